# -*- test-case-name: tests.test_hub_losses -*-
"""
What readers lose that do not read: it is counted, and said in the log.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ropewalk.hub import ANYONE, ChannelRule, Mailbox, MemoryHub, Tallies
from ropewalk.interfaces import ITallied, Losses
from ropewalk.net.calls import CallFrames, CallLines
from ropewalk.net.calls.sockets import CallSocket
from ropewalk.net.limits import CallSettings
from ropewalk.net.sockets import SocketFactory, SocketLimits
from ropewalk.operations import Operations
from ropewalk.schema import write_json, write_msgpack
from ropewalk.web.channels import EVENTS
from tests.observing import Observed
from tests.test_calls import request
from tests.test_channels_web import ChannelCase
from tests.test_sockets import Client
from tests.visiting import request as page_request
from tests.wiring import connect

#: A message of which a few are more than may wait.
LONG = "x" * 100_000


class LossesCase(SynchronousTestCase):
    """
    A hub with somebody in it who does not read.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.hub = MemoryHub(self.clock.seconds, clock=self.clock)
        self.hub.declare("rooms.*", ChannelRule(publish=ANYONE))
        self.operations = Operations(self.clock)
        self.log = Observed.during(self)

    def say(self, body: Any, times: int = 1, channel: str = "rooms.lobby") -> None:
        for _ in range(times):
            self.hub.publish(channel, body)
        self.clock.advance(0)

    def lost(self, channel: str = "") -> tuple[int, int, int]:
        """How much was dropped, replaced and cut."""
        figures: Any = self.hub.figures()
        if channel:
            figures = figures.channels[channel]
        return figures.dropped, figures.replaced, figures.cut

    def told(self) -> list[str]:
        """Who was let go, as the log has it."""
        return [text for text in self.log.texts if "let go" in text]


class TallyTests(SynchronousTestCase):
    """
    Where it is counted.
    """

    def test_everywhere(self) -> None:
        """
        What a subscriber loses it counts for itself, and once for each who wants to
        know; from when they do.
        """
        tallies, other = Tallies(), Losses()
        tallies.lose("lobby", dropped=1)
        tallies.add(other)
        tallies.add(other)
        tallies.lose("lobby", dropped=2, replaced=3, cut=1)
        for losses, dropped in ((tallies.own, 3), (other, 2)):
            counted = losses.dropped, losses.replaced, losses.cut
            self.assertEqual(counted, (dropped, 3, 1))


class MailboxTests(LossesCase):
    """
    A mailbox in several channels.
    """

    def test_each_channel(self) -> None:
        """
        Each channel counts what was lost of what was said in it, the hub all of it.
        """
        oldest = Mailbox(limit=2, when_full="oldest")
        latest = Mailbox(key=lambda message: 0)
        cut = Mailbox(limit=3)
        for box in (oldest, latest, cut):
            self.hub.subscribe("**", box)
        self.say(1, 2, "rooms.a")
        self.say(1, 3, "rooms.b")
        self.assertEqual(self.lost(), (5, 4, 1))
        self.assertEqual(self.lost("rooms.a"), (0, 1, 0))
        self.assertEqual(self.lost("rooms.b"), (5, 3, 1))
        [said] = [text for text in self.log.texts if "cut off" in text]
        self.assertIn("3 messages wait", said)
        self.assertIn("rooms.b", said)

    def test_forgotten_channel(self) -> None:
        """
        The hub knows also what was lost in channels that are no more.
        """
        hub = MemoryHub(lambda: 0.0, channels=1)
        box = Mailbox(limit=1, when_full="oldest")
        hub.subscribe("**", box)
        for channel in ("a", "a", "b"):
            hub.publish(channel, 1)
        self.assertEqual(hub.figures().dropped, 2)
        self.assertEqual(hub.figures().channels["b"].dropped, 1)


class LinesTests(LossesCase):
    """
    A peer on a TCP connection.
    """

    def connect(self, kind: Any = CallLines, **how: Any) -> Any:
        """A peer that hears a room, and then reads nothing more."""
        self.protocol = kind(self.clock, self.operations, self.hub, CallSettings())
        peer = connect(self.clock, self.protocol)
        asked = request("rpc.subscribe", 1, params={"channel": "rooms.lobby", **how})
        if kind is CallLines:
            peer.transport.write(write_json(asked) + b"\n")
        else:
            packed = write_msgpack(asked)
            peer.transport.write(len(packed).to_bytes(4, "big") + packed)
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertIn(b"missed", peer.heard)
        peer.transport.pauseProducing()
        return peer

    def test_interface(self) -> None:
        """
        What a peer hears by can be tallied.
        """
        self.connect()
        verifyObject(ITallied, self.protocol._calls.channels)

    def test_too_much(self) -> None:
        """
        A peer for which too much waits is cut off: that is counted, and so is what it
        did not get, and the log says who it was and what it heard.
        """
        for kind, via in ((CallLines, "lines"), (CallFrames, "frames")):
            self.setUp()
            peer = self.connect(kind, who="Ada")
            self.say(LONG, 6)
            dropped, replaced, cut = self.lost()
            self.assertEqual((replaced, cut), (0, 1))
            self.assertGreaterEqual(dropped, 1)
            self.assertEqual(self.lost("rooms.lobby"), (dropped, 0, 1))
            self.assertIsNotNone(peer.reason)
            self.assertEqual(self.successResultOf(self.hub.present("rooms.lobby")), [])
            said = f"127.0.0.1 ({via}) is let go, since it does not read: it hears "
            self.assertEqual(self.told(), [f"{said}rooms.lobby"])

    def test_too_long(self) -> None:
        """
        So is one that reads nothing for too long of what waits.
        """
        self.connect()
        self.say(LONG)
        self.assertEqual(self.lost(), (0, 0, 0))
        self.clock.advance(60)
        self.assertEqual(self.lost(), (0, 0, 1))
        self.assertEqual(self.lost("rooms.lobby"), (0, 0, 0))
        self.assertEqual(len(self.told()), 1)

    def test_slow(self) -> None:
        """
        Of one that has said it wants the newest, what it did not get is counted; it is
        let go only when it reads nothing at all.
        """
        self.connect(slow="oldest")
        self.say(LONG)
        self.say("short", 120)
        self.assertEqual(self.lost(), (20, 0, 0))
        self.clock.advance(60)
        self.assertEqual(self.lost(), (20, 0, 1))

    def test_hears_nothing(self) -> None:
        """
        A peer that hears no channel is no subscriber, and not counted.
        """
        peer = self.connect()
        asked = request("rpc.unsubscribe", params={"channel": "rooms.lobby"})
        peer.transport.write(write_json(asked) + b"\n")
        self.clock.advance(0)
        self.protocol.say(LONG)
        self.clock.advance(60)
        self.assertIsNotNone(peer.reason)
        self.assertEqual((self.lost(), self.told()), ((0, 0, 0), []))

    def test_many(self) -> None:
        """
        Of one that hears many channels, the log names some.
        """
        peer = self.connect()
        for number in range(3):
            params = {"channel": f"rooms.{number}"}
            asked = write_json(request("rpc.subscribe", params=params))
            peer.transport.write(asked + b"\n")
        self.clock.advance(0)
        self.say(LONG, 6)
        [said] = self.told()
        self.assertTrue(said.endswith("hears rooms.lobby, rooms.0, rooms.1 …"), said)
        self.assertEqual(self.lost()[2], 1)


class SocketTests(LossesCase):
    """
    A peer on a WebSocket.
    """

    def test_too_much(self) -> None:
        """
        It is as in lines.
        """
        factory: Any = SocketFactory(
            lambda: CallSocket(self.operations, self.hub, CallSettings()),
            SocketLimits(unsent=256 * 1024),
            self.clock,
        )
        client: Any = Client()
        client.factory = WebSocketClientFactory(
            "ws://127.0.0.1:7070/", reactor=self.clock
        )
        connect(self.clock, factory.buildProtocol(None), client)
        self.clock.advance(0)
        asked = request("rpc.subscribe", 1, params={"channel": "rooms.lobby"})
        client.sendMessage(write_json(asked))
        self.clock.advance(0)
        client.transport.pauseProducing()
        self.say(LONG[:60_000], 10)
        dropped, _, cut = self.lost()
        self.assertEqual(cut, 1)
        self.assertGreaterEqual(dropped, 1)
        self.assertEqual(len(self.told()), 1)
        self.assertIn("127.0.0.1 (websocket)", self.told()[0])
        attendance = self.successResultOf(self.hub.count("rooms.lobby"))
        self.assertEqual(attendance.subscriptions, 0)


class EventsTests(ChannelCase):
    """
    Who hears a channel as a stream of events.
    """

    def listen(self) -> Any:
        visit = self.place.visit()
        path = "/channels/rooms.lobby"
        visit.send(page_request(path, "GET", f"Accept: {EVENTS}"))
        self.log = Observed.during(self)
        visit.connection.transport.producer.pauseProducing()
        return visit

    def lost(self) -> tuple[int, int, int]:
        figures = self.hub.figures()
        channel = figures.channels["rooms.lobby"]
        self.assertEqual(figures.dropped, channel.dropped)
        return figures.dropped, figures.replaced, figures.cut

    def told(self) -> list[str]:
        return [text for text in self.log.texts if "let go" in text]

    def test_too_much(self) -> None:
        """
        One for whom too many events wait is let go. It has those that wait, and what
        comes after them is counted until it is gone.
        """
        visit = self.listen()
        self.say(*map(str, range(100)))
        self.assertEqual(self.lost(), (0, 0, 0))
        self.say(*map(str, range(20)))
        dropped, _, cut = self.lost()
        self.assertEqual(cut, 1)
        self.assertTrue(18 <= dropped <= 20, dropped)
        [said] = self.told()
        self.assertRegex(said, r"^[0-9.]+ \(events\) is let go, since it does not read")
        self.assertRegex(said, r"it hears rooms\.lobby, and 10[0-2] events wait")
        visit.connection.transport.producer.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(self.subscribers(), 0)

    def test_too_long(self) -> None:
        """
        So is one that reads nothing for longer than the site lets it.
        """
        visit = self.listen()
        self.say("1")
        self.clock.pump([1.0] * 31)
        self.assertTrue(visit.wire.aborted)
        visit.leave()
        self.assertEqual(self.lost(), (0, 0, 1))
        self.assertEqual(len(self.told()), 1)

    def test_who_leaves(self) -> None:
        """
        One that leaves is not.
        """
        visit = self.listen()
        self.say("1")
        visit.leave()
        self.assertEqual((self.lost(), self.told()), ((0, 0, 0), []))
