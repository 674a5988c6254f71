# -*- test-case-name: tests.test_calls -*-
"""
Operations called over connections.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ropewalk.hub import MemoryHub
from ropewalk.interfaces import Caller, IDrainable
from ropewalk.net.calls import CallFrames, CallLines, Calls
from ropewalk.net.calls.sockets import CallSocket
from ropewalk.net.limits import CallSettings, SocketLimits
from ropewalk.net.sockets import SocketFactory
from ropewalk.operations import Operations
from ropewalk.schema import write_json
from tests.callables import Callables, Closed, Knock
from tests.test_sockets import Client
from tests.wiring import connect


def request(method: str, number: Any = None, **more: Any) -> dict[str, Any]:
    """A request; a notification unless it has a number."""
    own = {} if number is None else {"id": number}
    return {"jsonrpc": "2.0", "method": method, **own, **more}


def result(number: Any, value: Any) -> dict[str, Any]:
    """The answer to a request."""
    return {"jsonrpc": "2.0", "id": number, "result": value}


class CallsTestCase(SynchronousTestCase):
    """
    Operations, and who calls them.
    """

    settings = CallSettings(running=2, batch=3, longest=1000)

    def setUp(self) -> None:
        self.clock = Clock()
        self.offered = Callables()
        self.operations = Operations(self.clock)
        self.operations.add("house", self.offered)
        self.operations.authorise(Knock())
        self.hub = MemoryHub(self.clock.seconds, clock=self.clock)


class ConversationTests(CallsTestCase):
    """
    What holds on every connection.
    """

    def setUp(self) -> None:
        super().setUp()
        self.said: list[Any] = []

        def say(message: bytes) -> None:
            self.said.append(json.loads(message))

        self.calls = Calls(self.operations, self.hub, say, self.settings)
        self.calls.begin(Caller("test", "192.0.2.1"))

    def hear(self, message: Any) -> Any:
        """Have a message heard; what has to be waited for, if something has."""
        return self.calls.hear(json.dumps(message).encode("utf-8"))

    def answers(self, message: Any = None) -> list[Any]:
        """What is said then."""
        if message is not None:
            self.assertIsNone(self.hear(message))
        said, self.said[:] = [*self.said], []
        return said

    def code(self, message: Any) -> int:
        """The code of the error that is the answer."""
        (answer,) = self.answers(message)
        code: int = answer["error"]["code"]
        return code

    def test_answers(self) -> None:
        """
        Requests are answered, by name and by place; notifications are not.
        """
        for params in ({"text": "a"}, ["a"]):
            asked = request("house.echo", 1, params=params)
            self.assertEqual(self.answers(asked), [result(1, "a")])
        self.assertEqual(self.answers(request("house.knock")), [])
        self.assertEqual(self.answers(request("house.echo")), [])
        self.assertEqual(self.offered.callers, [Caller("test", "192.0.2.1")])

    def test_null_is_an_id(self) -> None:
        """
        A request whose id is null is answered, also beside another.
        """
        asked = {**request("house.echo", 1, params=["a"]), "id": None}
        self.assertEqual(self.answers([asked, asked]), [[result(None, "a")] * 2])

    def test_side_by_side(self) -> None:
        """
        Requests run side by side, and are answered as they end.
        """
        self.answers([request("house.wait", 1)])
        self.answers(request("house.wait", 2))
        self.assertEqual(
            self.answers(request("rpc.cancel", 3, params={"id": 9})), [result(3, False)]
        )
        self.offered.waiting[1].callback("Grace")
        self.assertEqual(self.answers(), [result(2, "Grace")])
        self.offered.come()
        self.assertEqual(self.answers(), [[result(1, "Ada")]])

    def test_batch(self) -> None:
        """
        A batch is answered as one when all of it is done; what in it is no request is
        answered as such, and notifications are not.
        """
        self.answers([request("house.wait", 1), 5, request("house.knock")])
        self.offered.come()
        (answers,) = self.answers()
        by_id = {each["id"]: each for each in answers}
        self.assertEqual(by_id[1], result(1, "Ada"))
        self.assertEqual(by_id[None]["error"]["code"], -32600)
        self.assertEqual(len(answers), 2)

    def test_batch_of_notifications(self) -> None:
        """
        A batch of nothing but notifications is not answered at all.
        """
        asked = [request("house.knock"), request("house.nothing")]
        self.assertEqual(self.answers(asked), [])

    def test_no_message(self) -> None:
        """
        What is none is answered, and the conversation goes on.
        """
        self.calls.hear(b"nonsense")
        self.assertEqual(self.said.pop()["error"]["code"], -32700)
        self.assertEqual(self.code([]), -32600)
        self.assertEqual(self.code([1] * 4), -32600)
        asked = request("house.echo", 1, params=["a"])
        self.assertEqual(self.answers(asked), [result(1, "a")])

    def test_one_id_twice(self) -> None:
        """
        Two requests that have not ended cannot have one id: nobody could tell the
        answers apart.
        """
        self.answers(request("house.wait", 1))
        self.assertEqual(self.code(request("house.wait", 1)), -32600)
        self.offered.come()
        self.assertEqual(self.answers(), [result(1, "Ada")])
        self.answers(request("house.wait", 1))
        self.offered.come("Grace")
        self.assertEqual(self.answers(), [result(1, "Grace")])

    def test_cancel(self) -> None:
        """
        A request can be cancelled, and is answered all the same.
        """
        self.answers(request("house.wait", "a"))
        (answer,) = self.answers(request("rpc.cancel", params={"id": "a"}))
        self.assertEqual((answer["id"], answer["error"]["code"]), ("a", -32099))
        self.assertEqual(self.offered.cancelled, 1)

    def test_cancel_what_waits(self) -> None:
        """
        So can one that has not begun, and then it never does.
        """
        for number in (1, 2, 3):
            self.answers(request("house.wait", number))
        self.assertEqual(len(self.offered.waiting), 2)
        answers = self.answers(request("rpc.cancel", 4, params={"id": 3}))
        self.assertEqual([each["id"] for each in answers], [3, 4])
        self.assertEqual(answers[1], result(4, True))
        self.offered.come()
        self.assertEqual(len(self.offered.waiting), 1)

    def test_bad_cancel(self) -> None:
        """
        What is no id cancels nothing, and there is nothing else to be asked of the
        connection.
        """
        wrong: tuple[Any, ...] = ([], {}, {"id": 1, "more": 2})
        for params in wrong:
            asked = request("rpc.cancel", 1, params=params)
            self.assertEqual(self.code(asked), -32602)
        asked = request("rpc.cancel", 1, params={"id": [1]})
        self.assertEqual(self.answers(asked), [result(1, False)])
        self.assertEqual(self.code(request("rpc.quit", 1)), -32601)
        self.assertEqual(self.answers(request("rpc.quit")), [])

    def test_progress(self) -> None:
        """
        Who asks for progress hears of it before the answer; others do not.
        """
        asked = request("house.climb", 1, params=[2], progress=True)
        told: list[Any] = []
        for stair in (1, 2):
            told += self.answers(asked if stair == 1 else None)
            self.offered.come()
        told += self.answers()
        self.assertEqual(
            told,
            [
                *(
                    {
                        "jsonrpc": "2.0",
                        "method": "rpc.progress",
                        "params": {"id": 1, "value": {"stair": stair}},
                    }
                    for stair in (1, 2)
                ),
                result(1, 2),
            ],
        )
        self.answers(request("house.climb", 2, params=[1]))
        self.offered.come()
        self.assertEqual(self.answers(), [result(2, 1)])

    def test_too_many(self) -> None:
        """
        So many calls run at once, as many wait, and then the peer does.
        """
        for number in (1, 2, 3):
            self.assertIsNone(self.hear(request("house.wait", number)))
        waiting = self.hear(request("house.wait", 4))
        self.assertNoResult(waiting)
        self.assertIs(self.hear(request("house.wait", 5)), waiting)
        self.assertEqual(len(self.offered.waiting), 2)
        self.offered.come()
        self.assertNoResult(waiting)
        self.offered.come()
        self.successResultOf(waiting)
        self.assertEqual(len(self.offered.waiting), 2)

    def test_finished(self) -> None:
        """
        One can wait for all that is under way.
        """
        self.successResultOf(self.calls.finished())
        for number in (1, 2, 3):
            self.answers(request("house.wait", number))
        self.assertTrue(self.calls.busy)
        finished = self.calls.finished()
        for _ in range(3):
            self.assertNoResult(finished)
            self.offered.come()
        self.successResultOf(finished)
        self.assertFalse(self.calls.busy)

    def test_gone(self) -> None:
        """
        What is under way for a peer that is gone is cancelled, and what waits is
        forgotten.
        """
        for number in (1, 2, 3):
            self.answers(request("house.wait", number))
        waiting = self.hear(request("house.wait", 4))
        self.calls.cancel()
        self.successResultOf(waiting)
        self.assertEqual(self.offered.cancelled, 2)
        self.assertEqual(len(self.offered.waiting), 2)

    def test_accidents(self) -> None:
        """
        A result that cannot be said is our fault; so is such progress.
        """
        for name, error in (
            ("odd", TypeError),
            ("fall", ZeroDivisionError),
            ("slip", TypeError),
        ):
            asked = request(f"house.{name}", 1, progress=True)
            self.assertEqual(self.code(asked), -32603)
            self.assertEqual(len(self.flushLoggedErrors(error, NotImplementedError)), 1)


ACTIONS: Any = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(1, 4)),
        st.tuples(st.just("batch"), st.integers(1, 3)),
        st.tuples(st.just("tell"), st.just(0)),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("come"), st.integers(0, 9)),
        st.tuples(st.just("fail"), st.integers(0, 9)),
        st.tuples(st.just("echo"), st.just(0)),
    ),
    max_size=40,
)


class Slow(Calls):
    """
    Takes every message for one that is not usual.
    """

    def _hear_one(self, message: bytes) -> bool:
        return False


USUAL = st.fixed_dictionaries(
    {
        "jsonrpc": st.just("2.0") | st.sampled_from(["1.0", 2, None]),
        "method": st.sampled_from(
            [
                f"house.{name}"
                for name in ("echo", "close", "fall", "odd", "burn", "enter")
            ]
            + ["house.knock", "house.wait", "house.none", "rpc.cancel", "", 5]
        ),
    },
    optional={
        "id": st.sampled_from([1, "a", -(2**63), 2**63, 2**64, 1.5, True, None, [1]]),
        "params": st.sampled_from(
            [
                *({}, {"text": "ä"}, {"text": 5}, {"txt": "a"}, ["a"], [], None, "a"),
                *({"guest": {"name": "Ada"}}, {"id": 1}),
            ]
        ),
        "progress": st.booleans(),
        "more": st.none(),
    },
)


class UsualTests(SynchronousTestCase):
    """
    The usual request is taken in another way, with the same outcome.
    """

    def answers(self, kind: type[Calls], messages: list[Any]) -> list[Any]:
        """What is said to some messages, and what then comes of those that wait."""
        offered, said = Callables(), list[Any]()
        operations = Operations(Clock())
        operations.add("house", offered)
        operations.authorise(Knock())

        def say(message: bytes) -> None:
            said.append(json.loads(message))

        calls = kind(operations, MemoryHub(lambda: 0.0), say, CallSettings())
        calls.begin(Caller("test", "192.0.2.1"))
        for message in messages:
            calls.hear(json.dumps(message).encode())
            if offered.waiting:
                said.append("waits")
                offered.come()
        said.append((offered.callers, calls.busy, operations.figures().keys()))
        calls.cancel()
        self.flushLoggedErrors()
        return said

    @given(st.lists(USUAL, max_size=5))
    def test_same(self, messages: list[Any]) -> None:
        """
        Whatever is asked.
        """
        self.assertEqual(self.answers(Calls, messages), self.answers(Slow, messages))

    def test_taken(self) -> None:
        """
        Usual is one request, to be answered, with parameters by name.
        """
        usual = request("house.echo", 1, params={"text": "a"})
        for message, taken in (
            (usual, True),
            ({**usual, "id": "x"}, True),
            ([usual], False),
            ({**usual, "params": ["a"]}, False),
            ({**usual, "progress": True}, False),
            ({**usual, "method": "house.none"}, False),
            ({**usual, "method": "rpc.present"}, False),
        ):
            calls = Calls(
                Operations(Clock()),
                MemoryHub(lambda: 0.0),
                lambda said: None,
                CallSettings(),
            )
            calls._operations.add("house", Callables())
            raw = json.dumps(message).encode()
            self.assertEqual(calls._hear_one(raw), taken, message)


class Model:
    """
    A peer that does whatever occurs to it.

    :ivar open: The requests that are not answered, by id; how many answers came.
    """

    def __init__(self, settings: CallSettings) -> None:
        self.most = settings.running
        self.offered = Callables()
        operations = Operations(Clock())
        operations.add("house", self.offered)
        hub = MemoryHub(lambda: 0.0)
        self.calls = Calls(operations, hub, self.take, settings)
        self.answers: dict[int, int] = {}
        self.room: Any = None
        self.last = 0

    def take(self, message: bytes) -> None:
        told = json.loads(message)
        for each in told if isinstance(told, list) else [told]:
            self.answers[each["id"]] += 1

    def hear(self, message: Any) -> None:
        # A connection hears nothing as long as it is told to wait.
        if self.room is None or self.room.called:
            self.room = self.calls.hear(json.dumps(message).encode("utf-8"))

    def new(self, name: str) -> dict[str, Any]:
        self.last += 1
        self.answers[self.last] = 0
        params = ["a"] if name == "echo" else []
        return request(f"house.{name}", self.last, params=params)

    def do(self, action: str, number: int) -> None:
        waiting = [each for each in self.offered.waiting if not each.called]
        if self.room is not None and not self.room.called:
            action = action if action in ("come", "fail") else "come"
        if action == "ask":
            for _ in range(number):
                if self.room is None or self.room.called:
                    self.hear(self.new("wait"))
        elif action == "batch":
            self.hear([self.new("wait") for _ in range(number)])
        elif action == "echo":
            self.hear(self.new("echo"))
        elif action == "tell":
            self.hear(request("house.wait"))
        elif action == "cancel":
            self.hear(request("rpc.cancel", params={"id": number}))
        elif waiting and action == "come":
            waiting[number % len(waiting)].callback("Ada")
        elif waiting:
            waiting[number % len(waiting)].errback(Closed())


class ModelTests(SynchronousTestCase):
    """
    Whatever is asked, in whatever order it ends.
    """

    @settings(max_examples=300, deadline=None)
    @given(ACTIONS, st.integers(1, 3))
    def test_each_is_answered_once(
        self, actions: list[tuple[str, int]], running: int
    ) -> None:
        """
        Each request is answered exactly once, no more run at once than may, and in the
        end nothing is left.
        """
        model = Model(CallSettings(running=running, batch=3))
        for action, number in actions:
            model.do(action, number)
            under_way = [each for each in model.offered.waiting if not each.called]
            self.assertLessEqual(len(under_way), running)
            self.assertLessEqual(max(model.answers.values(), default=0), 1)
        while model.calls.busy:
            model.do("come", 0)
        self.assertEqual({*model.answers.values()} - {1}, set())
        self.assertTrue(model.room is None or model.room.called)
        self.successResultOf(model.calls.finished())


class LinesTests(CallsTestCase):
    """
    A message in each line.
    """

    def setUp(self) -> None:
        super().setUp()
        self.lines = CallLines(self.clock, self.operations, self.hub, self.settings)
        self.peer = connect(self.clock, self.lines)

    def send(self, *texts: str) -> list[Any]:
        """Send, and give the lines that come."""
        for text in texts:
            self.peer.transport.write(text.encode("utf-8"))
            self.clock.advance(0)
        self.clock.advance(0)
        return [json.loads(line) for line in self.peer.said().split("\n") if line]

    def ask(self, method: str, number: Any = None, **more: Any) -> list[Any]:
        return self.send(json.dumps(request(method, number, **more)) + "\n")

    def test_lines(self) -> None:
        """
        A line is a message, wherever it was cut; what comes is in one line, whatever
        is in it. A blank line is nothing.
        """
        text = "ä\n\x1b\x7f\x85\u2028"
        asked = json.dumps(request("house.echo", 1, params=[text])) + "\r\n\n"
        self.assertEqual(self.send(asked[:10], asked[10:]), [result(1, text)])

    def test_caller(self) -> None:
        """
        The operation learns where the caller comes from.
        """
        self.ask("house.knock")
        self.assertEqual(self.offered.callers, [Caller("lines", "127.0.0.1")])

    def test_no_message(self) -> None:
        """
        A line that is too long, or no text, is answered, and the conversation goes on.
        """
        self.peer.transport.write(b"\xff\n" + b"1" * 1001 + b"\n")
        answers = self.ask("house.echo", 1, params=["a"])
        codes = [each.get("error", {}).get("code") for each in answers]
        self.assertEqual(codes, [-32700, -32700, None])

    def test_a_browser(self) -> None:
        """
        Whom a page has sent is sent away, before anything is taken for a message that
        was put behind the headers.
        """
        body = json.dumps(request("house.knock")) + "\n"
        answers = self.send(f"POST / HTTP/1.1\r\nHost: a\r\n\r\n{body}")
        self.assertEqual([each["error"]["code"] for each in answers], [-32700])
        self.assertIsNotNone(self.peer.reason)
        self.assertEqual(self.offered.callers, [])

    def test_the_last_word(self) -> None:
        """
        Who has said all that they have to say is answered before the connection ends.
        """
        self.ask("house.wait", 1)
        self.peer.transport.loseWriteConnection()
        self.clock.advance(0)
        self.assertIsNone(self.peer.reason)
        self.offered.come()
        self.assertEqual(self.send(), [result(1, "Ada")])
        self.assertIsNotNone(self.peer.reason)

    def test_drain(self) -> None:
        """
        Before the daemon ends, what is under way is answered; nothing new is heard.
        """
        self.assertTrue(verifyObject(IDrainable, self.lines))
        self.ask("house.wait", 1)
        self.lines.drain("shutting down")
        self.assertEqual(self.ask("house.echo", 2, params=["a"]), [])
        self.offered.come()
        goodbye = {"reason": "shutting down"}
        self.assertEqual(
            self.send(),
            [result(1, "Ada"), request("rpc.goodbye", params=goodbye)],
        )
        self.assertIsNotNone(self.peer.reason)

    def test_gone(self) -> None:
        """
        What is under way for a peer that is gone is cancelled.
        """
        self.ask("house.wait", 1)
        self.peer.transport.abortConnection()
        self.clock.advance(0)
        self.assertEqual(self.offered.cancelled, 1)

    def test_silence(self) -> None:
        """
        Who says nothing is let go, unless they wait for us.
        """
        self.ask("house.climb", 1, params=[1])
        self.clock.advance(self.lines.idle)
        self.assertEqual(self.send(), [])
        self.assertIsNone(self.peer.reason)
        self.offered.come()
        self.assertEqual(self.send(), [result(1, 1)])
        self.clock.advance(self.lines.idle)
        self.assertEqual(self.send()[0]["method"], "rpc.goodbye")
        self.assertIsNotNone(self.peer.reason)

    def test_back_pressure(self) -> None:
        """
        Who asks for more than may run and wait is not read any more, and loses nothing.
        """
        many = "".join(
            json.dumps(request("house.wait", number)) + "\n" for number in range(200)
        )
        self.send(many)
        self.assertEqual(len(self.offered.waiting), 2)
        answers: list[Any] = []
        while self.offered.waiting:
            self.offered.come()
            answers += self.send()
        self.assertEqual([each["id"] for each in answers], [*range(200)])


class FramesTests(CallsTestCase):
    """
    A message in each frame, in msgpack.
    """

    def setUp(self) -> None:
        super().setUp()
        self.frames = CallFrames(self.clock, self.operations, self.hub, self.settings)
        self.peer = connect(self.clock, self.frames)

    def send(self, frame: bytes) -> list[Any]:
        """Send a frame, and give what is in those that come."""
        self.peer.transport.write(len(frame).to_bytes(4, "big") + frame)
        self.clock.advance(0)
        return self.received()

    def received(self) -> list[Any]:
        self.clock.advance(0)
        rest, self.peer.heard = self.peer.heard, b""
        found = []
        while rest:
            size = int.from_bytes(rest[:4], "big")
            found.append(msgspec.msgpack.decode(rest[4 : 4 + size]))
            rest = rest[4 + size :]
        return found

    def ask(self, method: str, number: Any = None, **more: Any) -> list[Any]:
        return self.send(msgspec.msgpack.encode(request(method, number, **more)))

    def test_frames(self) -> None:
        """
        Requests and answers are those of JSON-RPC.
        """
        asked = self.ask("house.echo", 1, params=["ä"])
        self.assertEqual(asked, [result(1, "ä")])
        (answer,) = self.ask("house.echo", 2)
        self.assertEqual(answer["error"]["code"], -32602)
        self.ask("house.knock")
        self.assertEqual(self.offered.callers, [Caller("frames", "127.0.0.1")])

    def test_no_message(self) -> None:
        """
        What is no msgpack is answered, and what is empty is nothing. After a frame that
        is too long nothing can be found any more.
        """
        self.assertEqual(self.send(b""), [])
        (answer,) = self.send(b"\xc1")
        self.assertEqual(answer["error"]["code"], -32700)
        self.assertIsNone(self.peer.reason)
        (answer,) = self.send(b"x" * 1001)
        self.assertEqual(answer["error"]["code"], -32700)
        self.assertIsNotNone(self.peer.reason)

    def test_drain(self) -> None:
        """
        Before the daemon ends, what is under way is answered.
        """
        self.ask("house.wait", 1)
        self.frames.drain("shutting down")
        self.offered.come()
        self.assertEqual(
            self.received(),
            [
                result(1, "Ada"),
                request("rpc.goodbye", params={"reason": "shutting down"}),
            ],
        )

    def test_gone(self) -> None:
        """
        What is under way for a peer that is gone is cancelled.
        """
        self.ask("house.wait", 1)
        self.peer.transport.abortConnection()
        self.clock.advance(0)
        self.assertEqual(self.offered.cancelled, 1)


class SocketTests(CallsTestCase):
    """
    A text message for each.
    """

    def setUp(self) -> None:
        super().setUp()
        factory: Any = SocketFactory(
            lambda: CallSocket(self.operations, self.hub, self.settings),
            SocketLimits(),
            self.clock,
        )
        self.socket = factory.buildProtocol(None)
        self.client = Client()
        client_factory: Any = self.client_factory()
        self.client.factory = client_factory
        connect(self.clock, self.socket, self.client)
        self.clock.advance(0)

    def client_factory(self) -> Any:
        from autobahn.twisted.websocket import WebSocketClientFactory

        return WebSocketClientFactory("ws://127.0.0.1:7070/", reactor=self.clock)

    def send(self, message: Any) -> list[Any]:
        """Send a message, and give those that come."""
        if isinstance(message, bytes):
            self.client.sendMessage(message, isBinary=True)
        elif message is not None:
            self.client.sendMessage(write_json(message))
        for _ in range(3):
            self.clock.advance(0)
        heard, self.client.heard[:] = [*self.client.heard], []
        return [json.loads(each) for each in heard]

    def test_messages(self) -> None:
        """
        Requests are answered, by whom they are asked; what is binary is no message.
        """
        asked = request("house.echo", 1, params=["ä"])
        self.assertEqual(self.send(asked), [result(1, "ä")])
        (answer,) = self.send(b"{}")
        self.assertEqual(answer["error"]["code"], -32700)
        self.send(request("house.knock"))
        self.assertEqual(self.offered.callers, [Caller("websocket", "127.0.0.1")])

    def test_drain(self) -> None:
        """
        Before the daemon ends, what is under way is answered; then it says why.
        """
        self.send(request("house.wait", 1))
        self.socket.drain("shutting down")
        self.send(None)
        self.assertIsNone(self.client.ended)
        self.offered.come()
        self.assertEqual(self.send(None), [result(1, "Ada")])
        self.assertEqual(self.client.ended, (1001, "shutting down"))

    def test_gone(self) -> None:
        """
        What is under way for a peer that is gone is cancelled.
        """
        self.send(request("house.wait", 1))
        self.client.transport.abortConnection()
        self.send(None)
        self.assertEqual(self.offered.cancelled, 1)
