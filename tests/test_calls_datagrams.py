"""
Tests for L{ropewalk.net.calls.datagrams}.
"""

from __future__ import annotations

import json
import socket
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.application.service import Service
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase
from twisted.trial.unittest import TestCase as SocketCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.hub import ANYONE, NOBODY, ChannelRule, Mailbox, MemoryHub
from ropewalk.interfaces import Steps
from ropewalk.net.calls.datagrams import CallDatagrams, Pace
from ropewalk.net.datagrams.listening import DatagramListener
from ropewalk.net.limits import CallSettings
from ropewalk.operations import Operations, operation
from ropewalk.run.offering import datagrams_of
from ropewalk.testing import MemoryHost, TestCase
from ropewalk.wire.proofs import HELLO, Prover
from tests.callables import Callables
from tests.offering import Offering
from tests.test_datagrams import Air
from tests.test_docs_routes import DOCS
from tests.test_schema import run_page

ADA = ("10.0.0.1", 5000)
LOBBY = "rooms.lobby"

reactor: Any = global_reactor


class Tank:
    """
    :ivar filled: How often it was filled.
    """

    def __init__(self) -> None:
        self.filled = 0

    @operation
    def fill(self) -> int:
        """Fill it once more."""
        self.filled += 1
        return self.filled

    @operation
    def read(self, size: int) -> str:
        """Something long."""
        return "x" * size


def asked(method: str, number: Any = 1, /, **params: Any) -> dict[str, Any]:
    """A request."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


class DeviceCase(SynchronousTestCase):
    """
    A device that has proved to be there.
    """

    form: Any = msgspec.json

    def setUp(self) -> None:
        self.clock = Clock()
        self.hub = MemoryHub(self.clock.seconds, clock=self.clock, epoch="e")
        self.hub.declare("rooms.*", ChannelRule(publish=ANYONE, keep=1000))
        self.hub.declare("secret", ChannelRule(subscribe=NOBODY))
        self.house, self.tank = Callables(), Tank()
        self.operations = Operations(self.clock)
        self.operations.add("house", self.house)
        self.operations.add("tank", self.tank)
        self.air = Air()
        settings = CallSettings(running=2, channels=2, peers=32)
        what = self.operations, self.hub, settings
        self.peers = datagrams_of(*what, self.clock)
        transport: Any = self.air
        self.peers.makeConnection(transport)
        self.come()

    def come(self, place: tuple[str, int] = ADA) -> None:
        """Prove to be there."""
        self.peers.datagramReceived(HELLO, place)
        reply, _ = Prover().take(self.air.sent.pop()[0])
        self.peers.datagramReceived(reply or b"", place)

    def send(self, message: Any) -> list[Any]:
        """Send a message; what is said then."""
        self.put(self.form.encode(message))
        return self.said()

    def put(self, datagram: bytes) -> None:
        self.peers.datagramReceived(datagram, ADA)
        self.clock.advance(0)

    def said(self) -> list[Any]:
        sent, self.air.sent[:] = [*self.air.sent], []
        self.assertTrue(all(len(each) <= 1200 for each, _ in sent))
        self.assertEqual({place for _, place in sent} - {ADA}, set())
        return [self.form.decode(each) for each, _ in sent]

    def ask(self, method: str, number: Any = 1, /, **params: Any) -> Any:
        """The answer to a request, where nothing else is said."""
        (answer,) = self.send(asked(method, number, **params))
        self.assertEqual(answer["id"], number)
        return answer.get("result", answer.get("error"))

    def say(self, *bodies: Any, channel: str = LOBBY) -> list[str]:
        """Publish; the tokens."""
        return [
            self.successResultOf(self.hub.publish(channel, body)).token
            for body in bodies
        ]

    def heard(self, said: list[Any]) -> list[int]:
        """The sequences of what was published, of what was said."""
        return [
            each["params"]["sequence"]
            for each in said
            if each.get("method") == "rpc.message"
        ]


class RequestTests(DeviceCase):
    """
    A device asks for something.
    """

    def test_asked(self) -> None:
        """
        It is answered, in a datagram.
        """
        self.assertEqual(self.ask("house.echo", text="a"), "a")
        self.assertIsNone(self.ask("house.knock", 2))
        caller = self.house.callers[0]
        self.assertEqual(
            (caller.via, caller.address, caller.connection),
            ("datagrams", "10.0.0.1", "c1"),
        )

    def test_again(self) -> None:
        """
        What is sent again is answered again, and not done twice.
        """
        first = self.ask("tank.fill", "a")
        self.assertEqual([self.ask("tank.fill", "a") for _ in range(3)], [first] * 3)
        self.assertEqual(self.tank.filled, 1)
        self.assertEqual(self.ask("tank.fill", "b"), 2)
        wrong = self.ask("house.close", 3)
        self.assertEqual(self.ask("house.close", 3), wrong)
        self.assertEqual(
            self.operations.figures()["house.close"].outcomes, {"refused": 1}
        )

    def test_under_way(self) -> None:
        """
        What is sent again while it is done is answered once, when it has been.
        """
        message = asked("house.wait", 1)
        for _ in range(3):
            self.assertEqual(self.send(message), [])
        self.assertEqual(len(self.house.waiting), 1)
        self.house.come("Ada")
        (answer,) = self.said()
        self.assertEqual(answer["result"], "Ada")
        self.assertEqual(self.send(message), [answer])
        self.assertEqual(len(self.house.waiting), 0)

    def test_another(self) -> None:
        """
        Another request with the id of one that is under way is refused, and harms
        neither; afterwards it is one of its own.
        """
        self.send(asked("house.wait", 1))
        (answer,) = self.send(asked("house.echo", 1, text="a"))
        self.assertIn("has not ended", answer["error"]["message"])
        self.house.come("Ada")
        self.assertEqual([each["result"] for each in self.said()], ["Ada"])
        self.assertEqual(self.ask("house.echo", 1, text="a"), "a")
        self.assertEqual(self.ask("house.wait", 1), "Ada")

    def test_remembered(self) -> None:
        """
        So many answers are remembered, and no more.
        """
        for number in range(CallDatagrams.remembered):
            self.clock.advance(0.1)
            self.ask("tank.fill", number)
        self.ask("tank.fill", 0)
        self.assertEqual(self.tank.filled, CallDatagrams.remembered)
        self.ask("tank.fill", "new")
        self.ask("tank.fill", 0)
        self.assertEqual(self.tank.filled, CallDatagrams.remembered + 2)

    def test_notifications(self) -> None:
        """
        What has no id is done as often as it comes, and not answered.
        """
        message = {"jsonrpc": "2.0", "method": "tank.fill"}
        for _ in range(2):
            self.assertEqual(self.send(message), [])
        self.assertEqual(self.tank.filled, 2)

    def test_cancel(self) -> None:
        """
        What is under way can be cancelled.
        """
        self.send(asked("house.wait", 1))
        answers = self.send(asked("rpc.cancel", 2, id=1))
        self.assertEqual(
            [each.get("error", {}).get("code") for each in answers], [-32099, None]
        )
        self.assertEqual(self.house.cancelled, 1)

    def test_progress(self) -> None:
        """
        How far it is is told on the way.
        """
        message = {**asked("house.climb", 1, stairs=1), "progress": True}
        (told,) = self.send(message)
        self.assertEqual(told["method"], "rpc.progress")
        self.assertEqual(told["params"], {"id": 1, "value": {"stair": 1}})

    def test_too_long(self) -> None:
        """
        An answer that has no room in a datagram is replaced by one that says so; what
        was asked has been done.
        """
        error = self.ask("tank.read", size=1200)
        self.assertEqual(error["data"]["status"], 413)
        self.assertIn("it was done, but the answer has 12", error["message"])
        self.assertEqual(self.ask("tank.read", size=1200), error)
        self.assertEqual(self.ask("tank.read", 2, size=1000), "x" * 1000)

    def test_long_errors(self) -> None:
        """
        So is the end of a problem.
        """
        unknown = {f"n{number}": 1 for number in range(50)}
        error = self.ask("house.echo", "\x01" * 40, text="\x01", **unknown)
        self.assertEqual((error["code"], error["data"]), (-32602, {"status": 422}))
        self.assertTrue(error["message"].endswith("…"))

    def test_refused(self) -> None:
        """
        What is no message, or has no room in one, is refused with what is wrong.
        """
        for datagram, told in (
            (b"{", "this is no JSON"),
            (b"hello?", "this is no JSON"),
            (b"[" + self.form.encode(asked("tank.fill")) + b"]", "send one by one"),
            (b"[]", "nothing in this batch"),
            (b"x" * 1201, "a datagram has at most 1200 bytes, not 1201"),
            (msgspec.json.encode(asked("tank.fill", "x" * 41)), "id: at most 40"),
            (msgspec.json.encode(asked("tank.fill", 2**70)), "id: expected"),
            (
                msgspec.json.encode(asked("rpc.offer", 1, name="a.b")),
                "no method 'rpc.offer'; there are rpc.cancel, rpc.history",
            ),
            (msgspec.json.encode(asked("rpc.withdraw", 1, name="a.b")), "no method"),
        ):
            self.put(datagram)
            (answer,) = self.said()
            self.assertIn(told, answer["error"]["message"])
        self.put(b"")
        self.put(b" \r\n")
        self.assertEqual(self.said(), [])
        self.assertEqual(self.tank.filled, 0)

    @given(st.lists(st.binary(max_size=60), max_size=5))
    def test_junk(self, datagrams: list[bytes]) -> None:
        """
        Whatever comes, it harms nobody, and no more is remembered than is asked.
        """
        for datagram in datagrams:
            self.clock.advance(1)
            self.put(datagram)
        self.air.sent.clear()
        self.assertEqual(self.flushLoggedErrors(), [])
        (peer,) = self.peers.peers
        assert isinstance(peer, CallDatagrams)
        self.assertEqual((peer._under_way, peer._answered), ({}, {}))

    def test_nan(self) -> None:
        """
        A number that is none is no id, and is not kept as one.
        """
        self.form = msgspec.msgpack
        for _ in range(3):
            (answer,) = self.send(asked("tank.fill", float("nan")))
            self.assertIn("id: expected", answer["error"]["message"])
        (peer,) = self.peers.peers
        assert isinstance(peer, CallDatagrams)
        self.assertEqual(peer._under_way, {})

    def test_forms(self) -> None:
        """
        Who sends msgpack is answered in msgpack, who then sends JSON in JSON; but what
        is heard goes on as it was asked for.
        """
        self.form = msgspec.msgpack
        self.assertEqual(self.ask("house.echo", text="a"), "a")
        self.form = msgspec.json
        self.assertEqual(self.ask("house.echo", text="a"), "a")
        self.ask("rpc.subscribe", 2, channel=LOBBY)
        self.put(msgspec.msgpack.encode(asked("house.echo", 3, text="a")))
        (answer,) = self.said()
        self.assertIn("this is no JSON", answer["error"]["message"])

    def test_crowd(self) -> None:
        """
        An address has a sixteenth of the peers there may be.
        """
        for port in range(5001, 5005):
            self.come((ADA[0], port))
        self.assertEqual(len(self.peers.peers), 2)


class HearTests(DeviceCase):
    """
    A device hears channels.
    """

    def test_hear(self) -> None:
        """
        Each message comes once, with its sequence.
        """
        told = self.ask("rpc.subscribe", channel=LOBBY)
        self.assertEqual(told, {"missed": 0, "whole": True, "token": "e~0.0"})
        (token,) = self.say({"text": "hi"})
        (said,) = self.said()
        self.assertEqual(said["method"], "rpc.message")
        self.assertEqual(
            said["params"],
            {
                "channel": LOBBY,
                "sequence": 1,
                "at": 0.0,
                "token": token,
                "body": {"text": "hi"},
            },
        )

    def test_hole(self) -> None:
        """
        Who has missed some of what they hear asks for it again, and hears on.
        """
        self.ask("rpc.subscribe", channel=LOBBY)
        tokens = self.say(*range(5))
        self.air.sent.clear()  # the network has lost them
        said = self.send(asked("rpc.subscribe", 2, channel=LOBBY, after=tokens[1]))
        self.assertEqual(self.heard(said), [3, 4, 5])
        told = {"missed": 3, "whole": True, "token": tokens[4]}
        self.assertEqual(said[-1]["result"], told)
        self.say("on")
        self.assertEqual(self.heard(self.said()), [6])
        there = self.successResultOf(self.hub.count(LOBBY))
        self.assertEqual(there.subscriptions, 1)

    def test_not_whole(self) -> None:
        """
        It is told if that is not all.
        """
        self.ask("rpc.subscribe", channel=LOBBY)
        said = self.send(asked("rpc.subscribe", 2, channel=LOBBY, after="old.7"))
        self.assertFalse(said[-1]["result"]["whole"])

    def test_too_long(self) -> None:
        """
        A message that has no room is replaced by a notice, with what to ask for to have
        it by another way.
        """
        self.ask("rpc.subscribe", channel=LOBBY)
        self.say("a", "x" * 1200)
        _, notice = self.said()
        params = notice["params"]
        self.assertEqual(notice["method"], "rpc.omitted")
        self.assertEqual(
            {**params, "size": 0},
            {
                "method": "rpc.message",
                "size": 0,
                "channel": LOBBY,
                "sequence": 2,
                "at": 0.0,
                "token": "e-1.2",
                "after": "e-1.1",
            },
        )
        self.assertGreater(params["size"], 1200)
        since = self.successResultOf(self.hub.since(LOBBY, params["after"]))
        self.assertEqual([each.body for each in since.messages], ["x" * 1200])

    def test_long_presence(self) -> None:
        """
        So is what somebody says of themselves.
        """
        self.ask("rpc.subscribe", channel=LOBBY)
        data = {"mood": "y" * 1000}
        self.hub.subscribe(LOBBY, Mailbox(), "Grace" * 40, data=data)
        (notice,) = self.said()
        self.assertEqual(notice["params"]["method"], "rpc.joined")
        self.assertEqual(notice["params"]["who"], "Grace" * 40)

    def test_pace(self) -> None:
        """
        More than it is told a second is dropped, and can be asked for; that comes as
        fast as the pace allows.
        """
        self.ask("rpc.subscribe", channel=LOBBY)
        tokens = self.say(*range(200))
        self.assertEqual(len(self.heard(self.said())), CallDatagrams.told_at_once)
        self.assertEqual(self.peers.figures.untold, 150)
        last = tokens[CallDatagrams.told_at_once - 1]
        said = self.send(asked("rpc.subscribe", 2, channel=LOBBY, after=last))
        for _ in range(20):
            self.clock.pump([0.01] * 10)
            said += self.said()
        self.assertEqual(self.heard(said), [*range(51, 201)])
        self.assertTrue(said[-1]["result"]["whole"])

    def test_slow(self) -> None:
        """
        Who asks for that is told what waits, as fast as the pace allows.
        """
        self.ask("rpc.subscribe", channel=LOBBY, slow="oldest")
        self.say(*range(100))
        said = self.said()
        self.clock.pump([0.01] * 100)
        said += self.said()
        self.assertEqual(self.heard(said), [*range(1, 101)])

    def test_may_not(self) -> None:
        """
        Who may not hear a channel is told so, as everywhere; so is who hears as many as
        they may.
        """
        error = self.ask("rpc.subscribe", channel="secret")
        self.assertEqual(error["data"]["status"], 403)
        for number, name in enumerate(("rooms.1", "rooms.2")):
            self.ask("rpc.subscribe", f"s{number}", channel=name)
        error = self.ask("rpc.subscribe", 3, channel="rooms.3")
        self.assertIn("hears 2 channels at most", error["message"])

    def test_publish(self) -> None:
        """
        It publishes, and once, however often that is sent.
        """
        for _ in range(3):
            said = self.ask("rpc.publish", channel=LOBBY, body="hi")
        self.assertEqual(said["sequence"], 1)


class EndTests(DeviceCase):
    """
    A device is gone.
    """

    def test_silence(self) -> None:
        """
        With it go what it hears and what is done for it; an empty datagram is enough to
        be there.
        """
        self.send(asked("rpc.subscribe", 1, channel=LOBBY))
        self.send(asked("house.climb", 2, stairs=1))
        self.clock.advance(29)
        self.put(b"")
        self.clock.advance(29)
        self.assertEqual(self.said(), [])
        self.clock.advance(1)
        (goodbye,) = self.said()
        self.assertEqual(goodbye["method"], "rpc.goodbye")
        self.assertEqual(self.house.cancelled, 1)
        told = self.successResultOf(self.hub.count(LOBBY))
        self.assertEqual(told.subscriptions, 0)
        self.assertEqual(self.peers.peers, ())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_gone_while_told(self) -> None:
        """
        So does what it was about to be told.
        """
        self.say(*range(300))
        self.send(asked("rpc.subscribe", 1, channel=LOBBY, after=""))
        self.said()
        (peer,) = self.peers.peers
        peer.leave()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(10)
        self.assertEqual(self.said(), [])
        told = self.successResultOf(self.hub.count(LOBBY))
        self.assertEqual(told.subscriptions, 0)

    def test_drain(self) -> None:
        """
        When the daemon ends, what is under way is answered first.
        """
        self.send(asked("house.wait", 1))
        closed = self.peers.close("shutting down")
        self.assertEqual(self.said(), [])
        self.house.come("Ada")
        answer, goodbye = self.said()
        self.assertEqual(answer["result"], "Ada")
        self.assertEqual(goodbye["params"], {"reason": "shutting down"})
        self.successResultOf(closed)

    def test_full(self) -> None:
        """
        Who is gone while as much waits as may takes all of it along.
        """
        for number in range(6):
            self.send(asked("house.climb", number, stairs=1))
        (peer,) = self.peers.peers
        peer.leave()
        self.clock.advance(0)
        self.assertEqual(self.house.cancelled, 2)
        self.assertEqual(self.said(), [])


class PaceTests(SynchronousTestCase):
    """
    How fast somebody is told something.
    """

    def test_ready(self) -> None:
        """
        Who waits is told in order, and one that does not wait any more is not.
        """
        clock = Clock()
        pace = Pace(10.0, 1, clock)
        self.assertIsNone(pace.ready())
        self.assertTrue(pace.take())
        self.assertFalse(pace.take())
        told: list[int] = []
        waiting: list[Deferred[None]] = []

        def go_on(_: None, number: int) -> None:
            told.append(number)
            pace.take()

        for number in range(3):
            ready = pace.ready()
            assert ready is not None
            ready.addCallback(go_on, number)
            ready.addErrback(lambda _: None)
            waiting.append(ready)
        waiting[1].cancel()
        clock.pump([0.05] * 3)
        self.assertEqual(told, [0])
        clock.pump([0.05] * 3)
        self.assertEqual(told, [0, 2])
        self.assertEqual(clock.getDelayedCalls(), [])


class DaemonTests(TestCase):
    """
    A daemon for devices.
    """

    @inlineCallbacks
    def test_daemon(self) -> Steps[None]:
        """
        The settings say where it is; it says goodbye when it ends.
        """

        def make(host: Any) -> Service:
            host.operations.add("house", Callables())
            return Service()

        plugin = Offering("house", "house", make=make)
        where = '[operations]\ndatagrams = "udp:7011:interface=127.0.0.1"\n'
        host: MemoryHost = yield self.start(plugin, settings=where)
        device = host.datagrams("operations")
        yield device.send(json.dumps(asked("house.echo", text="a")))
        self.assertEqual((yield device.receive()).json()["result"], "a")
        yield host.stop()
        said = (yield device.receive()).json()
        self.assertEqual(said["params"], {"reason": "shutting down"})

    @inlineCallbacks
    def test_bad_settings(self) -> Steps[None]:
        """
        What is no place for datagrams is refused with the key.
        """
        where = '[operations]\ndatagrams = "tcp:7011"\n'
        plugin = Offering("house", "house", make=lambda host: None)
        error = yield self.assertFailure(self.start(plugin, settings=where), Exception)
        self.assertIn("datagrams", str(error))
        self.assertIn("udp:", str(error))


class SocketTests(SocketCase):
    """
    A device with a socket of its own.
    """

    timeout = 30.0

    @inlineCallbacks
    def begin(self) -> Steps[tuple[str, int]]:
        """Take datagrams; where."""
        self.hub = MemoryHub(reactor.seconds, clock=reactor)
        self.hub.declare("rooms.*", ChannelRule(publish=ANYONE))
        self.addCleanup(self.hub.close)
        self.tank = Tank()
        operations = Operations(reactor)
        operations.add("tank", self.tank)
        peers = datagrams_of(operations, self.hub, CallSettings(), reactor)
        where = "udp:0:interface=127.0.0.1"
        listener = DatagramListener(where, peers, "operations", reactor)
        listener.startService()
        self.addCleanup(listener.stopService)
        yield listener.open()
        return listener.address.host, listener.address.port

    @inlineCallbacks
    def test_socket(self) -> Steps[None]:
        """
        It proves to be there, calls, hears, and is answered again.
        """
        address = yield self.begin()
        said = yield deferToThread(_talk, address)
        self.assertEqual(
            [each.get("method", each.get("id")) for each in said],
            [1, 1, 2, "rpc.message", 3],
        )
        self.assertEqual(self.tank.filled, 1)

    @inlineCallbacks
    def test_page(self) -> Steps[None]:
        """
        So does the one that ``docs/udp.rst`` shows, and hears what it does not ask for.
        """
        address = yield self.begin()
        names, problems = run_page("udp.rst")
        self.assertEqual(problems, "")
        device = names["Device"](address)
        self.addCleanup(device.close)
        answers = []
        for method, params in (
            ("tank.fill", {}),
            ("tank.fill", {}),
            ("rpc.subscribe", {"channel": LOBBY}),
            ("rpc.publish", {"channel": LOBBY, "body": "hi"}),
            ("tank.read", {"size": 2000}),
        ):
            answers.append((yield deferToThread(device.ask, method, **params)))
        self.assertEqual([each["result"] for each in answers[:2]], [1, 2])
        self.assertEqual(answers[-1]["error"]["data"]["status"], 413)
        self.assertEqual([each["method"] for each in device.heard], ["rpc.message"])

    def test_numbers(self) -> None:
        """
        The numbers on the page are those of the code.
        """
        page = " ".join((DOCS / "udp.rst").read_text("utf-8").split())
        peer = CallDatagrams
        for told in (
            f"the last {peer.remembered} answers",
            f"told {peer.told:g} messages a second, and {peer.told_at_once} at once",
            f"at most {peer.longest} bytes",
            f"nothing for {peer.idle:g} seconds",
            f"peers = {CallSettings().peers} ",
        ):
            self.assertIn(told, page)


def _talk(address: tuple[str, int]) -> list[Any]:
    """What a device hears."""
    said: list[Any] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.connect(address)
        device.settimeout(10)
        device.send(HELLO)
        first = json.dumps(asked("tank.fill")).encode()
        reply, _ = Prover(first).take(device.recv(2048))
        device.send(reply or b"")
        said.append(json.loads(device.recv(2048)))
        device.send(first)
        said.append(json.loads(device.recv(2048)))
        device.send(json.dumps(asked("rpc.subscribe", 2, channel=LOBBY)).encode())
        said.append(json.loads(device.recv(2048)))
        message = asked("rpc.publish", 3, channel=LOBBY, body="hi")
        device.send(json.dumps(message).encode())
        said += [json.loads(device.recv(2048)) for _ in range(2)]
    return said
