"""
Tests for L{ropewalk.net.calls.channels}.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ropewalk.hub import ANYONE, ChannelRule, Mailbox, MemoryHub
from ropewalk.interfaces import Caller, IPaced, ISubscriber
from ropewalk.net.calls import Calls
from ropewalk.net.calls.conversation import PackedCalls
from ropewalk.net.limits import CallSettings
from ropewalk.operations import Operations
from ropewalk.schema import Shape
from tests.test_calls import request, result


class Price(Shape):
    """What something costs."""

    symbol: str
    cost: int


class ChannelsTestCase(SynchronousTestCase):
    """
    A peer on a connection that has room, or has not.
    """

    form = json

    def setUp(self) -> None:
        self.clock = Clock()
        self.hub = MemoryHub(self.clock.seconds, clock=self.clock, epoch="e")
        self.hub.declare("rooms.*", ChannelRule(publish=ANYONE))
        self.hub.declare("prices", ChannelRule(shape=Price, publish=ANYONE))
        self.said: list[Any] = []
        self.full: Deferred[None] | None = None
        self.calls = self.connect()

    def connect(self, **settings: Any) -> Calls:
        calls = Calls(
            Operations(self.clock),
            self.hub,
            lambda message: self.said.append(json.loads(message)),
            CallSettings(**settings),
            room=lambda: self.full,
        )
        calls.begin(Caller("test", "192.0.2.1"))
        return calls

    def ask(self, method: str, **params: Any) -> list[Any]:
        """Ask for something; what is said then, the answer last."""
        self.calls.hear(json.dumps(request(method, 1, params=params)).encode())
        return self.taken()

    def answer(self, method: str, **params: Any) -> Any:
        """The answer, where nothing else is said."""
        (answer,) = self.ask(method, **params)
        self.assertEqual(answer["id"], 1)
        return answer.get("result", answer.get("error"))

    def taken(self) -> list[Any]:
        said, self.said[:] = [*self.said], []
        return said

    def say(self, *bodies: Any, channel: str = "rooms.lobby") -> list[str]:
        """Publish; the tokens."""
        return [
            self.successResultOf(self.hub.publish(channel, body)).token
            for body in bodies
        ]

    def bodies(self, said: list[Any]) -> list[Any]:
        """What was published, of what was said."""
        return [
            each["params"]["body"]
            for each in said
            if each.get("method") == "rpc.message"
        ]


class SubscribeTests(ChannelsTestCase):
    """
    A peer hears channels.
    """

    def test_interfaces(self) -> None:
        """
        It is a subscriber that can be waited for.
        """
        verifyObject(ISubscriber, self.calls.channels)
        verifyObject(IPaced, self.calls.channels)

    def test_heard(self) -> None:
        """
        Who subscribes is told what is published, until it unsubscribes.
        """
        told = self.answer("rpc.subscribe", channel="rooms.lobby")
        token = self.successResultOf(self.hub.token("rooms.lobby"))
        self.assertEqual(told, {"missed": 0, "whole": True, "token": token})
        self.clock.advance(5)
        (token,) = self.say({"text": "hi"})
        said = {
            "channel": "rooms.lobby",
            "sequence": 1,
            "at": 5.0,
            "token": token,
            "body": {"text": "hi"},
        }
        self.assertEqual(
            self.taken(), [{"jsonrpc": "2.0", "method": "rpc.message", "params": said}]
        )
        self.assertIsNone(self.answer("rpc.unsubscribe", channel="rooms.lobby"))
        self.say("2")
        self.assertEqual(self.taken(), [])
        self.assertIsNone(self.answer("rpc.unsubscribe", channel="rooms.lobby"))

    def test_come_back(self) -> None:
        """
        With a token, it hears before the answer what it has missed.
        """
        tokens = self.say("1", "2", "3")
        said = self.ask("rpc.subscribe", channel="rooms.lobby", after=tokens[0])
        self.assertEqual(self.bodies(said), ["2", "3"])
        told = {"missed": 2, "whole": True, "token": tokens[2]}
        self.assertEqual(said[-1], result(1, told))
        self.answer("rpc.unsubscribe", channel="rooms.lobby")
        said = self.ask("rpc.subscribe", channel="rooms.lobby", after="old.1")
        self.assertEqual(said[-1], result(1, {**told, "missed": 3, "whole": False}))

    def test_presence(self) -> None:
        """
        It is there under its name, and told who comes and goes.
        """
        params = {"channel": "rooms.lobby", "who": "ada", "data": {"mood": "good"}}
        said = self.ask("rpc.subscribe", **params)
        ada = {"who": "ada", "since": 0.0, "data": {"mood": "good"}}
        self.assertEqual(said[0]["method"], "rpc.joined")
        self.assertEqual(said[0]["params"], {"channel": "rooms.lobby", **ada})
        self.assertEqual(
            self.answer("rpc.present", channel="rooms.lobby"),
            {"people": [ada], "subscriptions": 1},
        )
        alan = Mailbox()
        self.hub.subscribe("rooms.lobby", alan, "alan")
        self.hub.unsubscribe("rooms.lobby", alan)
        self.assertEqual(
            [(each["method"], each["params"]["who"]) for each in self.taken()],
            [("rpc.joined", "alan"), ("rpc.left", "alan")],
        )

    def test_gone(self) -> None:
        """
        Who is gone hears nothing, and is not there.
        """
        self.ask("rpc.subscribe", channel="rooms.lobby", who="ada")
        self.ask("rpc.subscribe", channel="prices", slow="oldest")
        self.ask("rpc.subscribe", channel="rooms.*")
        self.assertEqual(len(self.calls.channels), 3)
        self.calls.cancel()
        self.assertEqual(len(self.calls.channels), 0)
        self.say("1")
        self.assertEqual(self.taken(), [])
        self.assertEqual(
            self.successResultOf(self.hub.count("rooms.lobby")).subscriptions, 0
        )
        self.assertEqual(self.hub.figures().patterns, 0)

    def test_once(self) -> None:
        """
        Who hears a channel by its name and by a pattern hears everything once.
        """
        for channel in "rooms.lobby", "rooms.*", "rooms.**":
            self.ask("rpc.subscribe", channel=channel)
        self.say("1")
        self.assertEqual(self.bodies(self.taken()), ["1"])

    def test_slow_once(self) -> None:
        """
        Who reads slowly hears a channel in one way, or would hear it twice.
        """
        self.ask("rpc.subscribe", channel="rooms.*", slow="oldest")
        for channel, more in (
            ("rooms.lobby", {}),
            ("rooms.**", {}),
            ("*.lobby", {"latest": "symbol"}),
        ):
            error = self.answer("rpc.subscribe", channel=channel, **more)
            self.assertEqual(error["data"]["errors"][0]["path"], "channel", channel)
            self.assertIn("'rooms.*' is heard already", error["message"])
        self.assertIn("whole", self.answer("rpc.subscribe", channel="prices"))

    def test_much_missed(self) -> None:
        """
        What was missed is told as fast as it is read, and what comes meanwhile behind
        it; nothing is lost or doubled.
        """
        tokens = self.say(*range(50))
        self.full = Deferred()
        said = self.ask("rpc.subscribe", channel="rooms.lobby", after=tokens[9])
        self.assertEqual(self.bodies(said), [10])
        self.say("while")
        full, self.full = self.full, None
        full.callback(None)
        said = self.taken()
        self.assertEqual(self.bodies(said), [*range(11, 50), "while"])
        told = said[-1]["result"]
        self.assertEqual((told["missed"], told["whole"]), (41, True))
        (token,) = self.say("now")
        self.assertNotEqual(token, told["token"])
        self.assertEqual(self.bodies(self.taken()), ["now"])

    def begin_to_resume(self) -> Deferred[None]:
        """Have much to be told; what fires when there is room for it."""
        self.say(*range(5))
        self.full = full = Deferred[None]()
        self.ask("rpc.subscribe", channel="rooms.lobby", after="x.1")
        self.full = None
        return full

    def test_gone_meanwhile(self) -> None:
        """
        Who leaves while it is told what it missed is told no more.
        """
        self.begin_to_resume()
        self.calls.cancel()
        self.assertEqual(self.bodies(self.taken()), [])
        self.assertEqual(
            self.successResultOf(self.hub.count("rooms.lobby")).subscriptions, 0
        )

    def test_unwanted_meanwhile(self) -> None:
        """
        So is who does not want it any more; its request is answered as cancelled.
        """
        full = self.begin_to_resume()
        asked = request("rpc.unsubscribe", 2, params={"channel": "rooms.lobby"})
        self.calls.hear(json.dumps(asked).encode())
        full.callback(None)
        answers = {each["id"]: each for each in self.taken()}
        self.assertEqual(answers[1]["error"]["code"], -32099)
        self.assertIsNone(answers[2]["result"])
        self.assertEqual(
            self.successResultOf(self.hub.count("rooms.lobby")).subscriptions, 0
        )

    def test_may_not(self) -> None:
        """
        Who may not is told so, and hears nothing.
        """
        error = self.answer("rpc.subscribe", channel="elsewhere")
        self.assertEqual((error["code"], error["data"]["status"]), (-32003, 403))
        self.say("1", channel="elsewhere")
        self.assertEqual(self.taken(), [])
        self.assertEqual(len(self.calls.channels), 0)
        error = self.answer("rpc.subscribe", channel="no channel")
        self.assertEqual(error["data"]["status"], 422)

    def test_too_many(self) -> None:
        """
        It hears so many channels, and no more; those that it hears can be said again.
        """
        self.calls = self.connect(channels=2)
        for name in "rooms.1", "rooms.2", "rooms.1":
            self.assertIn("whole", self.answer("rpc.subscribe", channel=name))
        error = self.answer("rpc.subscribe", channel="rooms.3")
        self.assertIn("hears 2 channels at most", error["message"])
        self.answer("rpc.unsubscribe", channel="rooms.1")
        self.assertIn("whole", self.answer("rpc.subscribe", channel="rooms.3"))

    def test_wrong(self) -> None:
        """
        All that is wrong is told by its place; what is not there, with the nearest.
        """
        error = self.answer("rpc.subscribe", chanel="x", who=3)
        self.assertEqual(error["code"], -32602)
        self.assertEqual(
            {each["path"] for each in error["data"]["errors"]},
            {"channel", "chanel", "who"},
        )
        error = self.answer("rpc.subscrib", channel="x")
        self.assertEqual(error["code"], -32601)
        self.assertIn("rpc.subscribe", error["message"])


class DoTests(ChannelsTestCase):
    """
    A peer does something in channels.
    """

    def test_publish(self) -> None:
        """
        It publishes, and is answered the message; itself among those who hear it.
        """
        self.ask("rpc.subscribe", channel="rooms.lobby")
        said = self.ask("rpc.publish", channel="rooms.lobby", body=[1])
        self.assertEqual(self.bodies(said), [[1]])
        self.assertEqual(said[-1]["result"], said[0]["params"])

    def test_shape(self) -> None:
        """
        What it publishes has the shape that is declared.
        """
        error = self.answer("rpc.publish", channel="prices", body={"symbol": 3})
        self.assertEqual(
            [each["path"] for each in error["data"]["errors"]], ["symbol", "cost"]
        )

    def test_unsayable(self) -> None:
        """
        What cannot be said on every protocol is not published.
        """
        for body in ({"n": 10**29}, [-(10**29)]):
            error = self.answer("rpc.publish", channel="rooms.lobby", body=body)
            self.assertEqual(error["code"], -32602)
        for odd in ({None: 1}, {(1, 2): 1}):
            asked = request(
                "rpc.publish", 1, params={"channel": "rooms.lobby", "body": odd}
            )
            packed = PackedCalls(
                Operations(self.clock), self.hub, self.said.append, CallSettings()
            )
            packed.begin(Caller("test"))
            packed.hear(msgspec.msgpack.encode(asked))
            (raw,) = self.taken()
            self.assertIn("error", msgspec.msgpack.decode(raw))
        self.assertEqual(self.successResultOf(self.hub.history("rooms.lobby")), [])

    def test_history(self) -> None:
        """
        It can look at what was said.
        """
        self.say("1", "2", "3")
        told = self.answer("rpc.history", channel="rooms.lobby", limit=2)
        self.assertEqual([each["body"] for each in told], ["2", "3"])
        error = self.answer("rpc.history", channel="elsewhere")
        self.assertEqual(error["data"]["status"], 403)

    def test_wait(self) -> None:
        """
        It waits for others if it wants to, and can stop waiting.
        """
        box = Mailbox(1, "wait")
        self.hub.subscribe("rooms.lobby", box)
        params = {"channel": "rooms.lobby", "body": 1, "wait": True}
        self.assertEqual(self.ask("rpc.publish", **params), [])
        self.successResultOf(box.take())
        self.assertEqual(self.taken()[0]["result"]["body"], 1)


class SlowTests(ChannelsTestCase):
    """
    A peer that reads slowly.
    """

    def test_waited_for(self) -> None:
        """
        Who publishes can wait for it.
        """
        self.ask("rpc.subscribe", channel="rooms.lobby")
        self.full = Deferred()
        published = self.hub.publish("rooms.lobby", "1", wait=True)
        self.assertNoResult(published)
        full, self.full = self.full, None
        full.callback(None)
        self.assertEqual(self.bodies(self.taken()), ["1"])
        self.successResultOf(published)

    def test_oldest(self) -> None:
        """
        If it wants that, the oldest is dropped of what waits for it; it is told the
        rest when there is room.
        """
        self.ask("rpc.subscribe", channel="rooms.lobby", slow="oldest")
        self.full = full = Deferred[None]()
        self.say(*range(103))
        self.assertEqual(self.bodies(self.taken()), [0])
        self.assertEqual(self.hub.figures().dropped, 2)
        self.full = None
        full.callback(None)
        self.assertEqual(self.bodies(self.taken()), [*range(3, 103)])

    def test_latest(self) -> None:
        """
        Or all but the latest of each.
        """
        self.ask("rpc.subscribe", channel="prices", latest="symbol")
        self.ask("rpc.subscribe", channel="rooms.*", latest="symbol")
        self.full = full = Deferred[None]()
        first, *prices = (
            Price("hemp", 1),
            *(Price("hemp", 2), Price("sisal", 5), Price("hemp", 3)),
        )
        self.say(first, *prices, channel="prices")
        self.say("x", {"symbol": [1]}, {"symbol": [1], "new": True}, "y")
        self.taken()
        self.full = None
        full.callback(None)
        self.assertEqual(
            self.bodies(self.taken()),
            [
                {"symbol": "sisal", "cost": 5},
                {"symbol": "hemp", "cost": 3},
                {"symbol": [1], "new": True},
                "y",
            ],
        )


class MsgpackTests(ChannelsTestCase):
    """
    The same in msgpack.
    """

    def test_message(self) -> None:
        """
        What is said is said in msgpack.
        """
        said: list[Any] = []
        calls = PackedCalls(
            Operations(self.clock),
            self.hub,
            lambda message: said.append(msgspec.msgpack.decode(message)),
            CallSettings(),
        )
        calls.begin(Caller("test"))
        asked = request("rpc.subscribe", 1, params={"channel": "rooms.lobby"})
        calls.hear(msgspec.msgpack.encode(asked))
        self.say({"x": 1.5})
        self.assertIs(said[0]["result"]["whole"], True)
        self.assertEqual(said[1]["params"]["body"], {"x": 1.5})


class AnyTests(SynchronousTestCase):
    """
    Whatever is asked.
    """

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(
                    ["rpc.subscribe", "rpc.unsubscribe", "rpc.publish", "rpc.present"]
                ),
                st.sampled_from(["rooms.1", "rooms.2", "rooms.*", "no", "", None]),
                st.dictionaries(
                    st.sampled_from(["who", "after", "body", "slow", "latest", "odd"]),
                    st.none() | st.text("aé*.1", max_size=3) | st.integers(),
                    max_size=3,
                ),
            ),
            max_size=12,
        )
    )
    def test_answered(self, asked: list[tuple[str, Any, dict[str, Any]]]) -> None:
        """
        Each request is answered once, and nothing is left behind.
        """
        case = ChannelsTestCase()
        case.setUp()
        for method, channel, params in asked:
            said = case.ask(method, channel=channel, **params)
            self.assertEqual(sum("id" in each for each in said), 1)
        case.calls.cancel()
        case.taken()
        for name in "rooms.1", "rooms.2":
            case.hub.publish(name, "1")
            attendance = case.successResultOf(case.hub.count(name))
            self.assertEqual(attendance.subscriptions, 0)
        self.assertEqual(case.hub.figures().patterns, 0)
        self.assertEqual(case.taken(), [])
