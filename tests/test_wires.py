# -*- test-case-name: tests.test_wires -*-
"""
Tests for L{ropewalk.export.wires}: a connection without a network.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer, ISSLTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ropewalk.export.wires import Wire, WireDoor
from ropewalk.net.listening import namer

HOST, PEER = IPv4Address("TCP", "10.0.0.1", 80), IPv4Address("TCP", "10.0.0.2", 5000)


class Near:
    """The end that is not the site's."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def hear(self, data: bytes) -> None:
        self.heard.append(data)

    def wait(self, hold: bool) -> None:
        self.heard.append(hold)

    def ended(self) -> None:
        self.heard.append("ended")


class Far(Protocol):
    """What listens."""

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.lost: list[type[BaseException] | None] = []

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.append(reason.type)


@implementer(IPushProducer)
class Producer:
    """What writes."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


class WireCase(SynchronousTestCase):
    """
    A connection.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.near, self.far = Near(), Far()
        factory = Factory.forProtocol(lambda: self.far)
        self.door = WireDoor("tcp:80", factory, "web", self.clock, namer())
        self.wire = self.connect()

    def connect(self, secure: bool = False) -> Wire:
        wire = self.door.connect(self.near, HOST, PEER, secure)
        assert wire is not None
        return wire

    def later(self) -> None:
        self.clock.advance(0)


class WireTests(WireCase):
    """
    Both ends.
    """

    def test_both_ways(self) -> None:
        """
        What one end says, the other hears at once.
        """
        self.wire.feed(b"ping")
        self.assertEqual(self.far.received, b"ping")
        self.far.transport.writeSequence([b"po", b"ng"])
        self.far.transport.write(b"")
        self.assertEqual(self.near.heard, [b"pong"])

    def test_addresses(self) -> None:
        """
        The protocol knows who is there, and whether they came by TLS.
        """
        transport = self.far.transport
        self.assertEqual((transport.getHost(), transport.getPeer()), (HOST, PEER))
        self.assertFalse(ISSLTransport.providedBy(transport))
        self.connect(secure=True)
        verifyObject(ISSLTransport, self.far.transport)
        self.assertIs(self.far.transport.getPeerCertificate(), None)

    def test_close(self) -> None:
        """
        When the site closes it, the other end hears so at once, and nothing more; the
        protocol in a later turn, once.
        """
        self.far.transport.loseConnection()
        self.far.transport.write(b"late")
        self.wire.feed(b"late")
        self.assertEqual(self.near.heard, ["ended"])
        self.assertEqual(self.far.lost, [])
        self.wire.hang_up()
        self.later()
        self.assertEqual((self.far.lost, self.far.received), ([ConnectionDone], b""))

    def test_abort(self) -> None:
        """
        It may be cut.
        """
        self.far.transport.abortConnection()
        self.later()
        self.assertEqual(self.near.heard, ["ended"])
        self.assertEqual(self.far.lost, [ConnectionAborted])

    def test_hang_up(self) -> None:
        """
        When the client has gone, protocol and producer are told.
        """
        producer = Producer()
        self.far.transport.registerProducer(producer, True)
        self.wire.hang_up()
        self.later()
        self.assertEqual((self.far.lost, producer.told), ([ConnectionLost], ["stop"]))
        self.wire.registerProducer(producer, True)
        self.assertEqual(producer.told, ["stop", "stop"])

    def test_pace(self) -> None:
        """
        Each end can have the other wait, who registers later as well.
        """
        early, late = Producer(), Producer()
        self.wire.registerProducer(early, True)
        for hold in True, True, False, True:
            self.wire.hold(hold)
        self.assertEqual(early.told, ["pause", "resume", "pause"])
        self.assertRaises(RuntimeError, self.wire.registerProducer, late, True)
        self.wire.unregisterProducer()
        self.wire.registerProducer(late, True)
        self.assertEqual(late.told, ["pause"])
        self.far.transport.pauseProducing()
        self.far.transport.resumeProducing()
        self.assertEqual(self.near.heard, [True, False])

    def test_no_pulling(self) -> None:
        """
        A producer that has to be asked is refused, rather than never asked.
        """
        self.assertRaises(RuntimeError, self.wire.registerProducer, Producer(), False)

    def test_close_waits_for_the_producer(self) -> None:
        """
        What is still to be written, is.
        """
        self.wire.registerProducer(Producer(), True)
        self.wire.loseConnection()
        self.assertEqual(self.near.heard, [])
        self.wire.unregisterProducer()
        self.assertEqual(self.near.heard, ["ended"])


class DoorTests(WireCase):
    """
    Where connections come in.
    """

    def test_drain(self) -> None:
        """
        Nobody comes in any more, and who is there is let go.
        """
        drained = self.door.drain("enough")
        self.assertNoResult(drained)
        self.assertIs(self.door.connect(self.near, HOST, PEER, False), None)
        self.later()
        self.assertIs(self.successResultOf(drained), None)
        self.assertEqual(self.door.connections, ())

    def test_goodbye(self) -> None:
        """
        Who is there is let go, and others may come.
        """
        self.door.goodbye("enough")
        self.later()
        self.assertEqual(self.far.lost, [ConnectionDone])
        self.connect()
        self.assertEqual(len(self.door.connections), 1)
        self.door.abort()
        self.later()
        self.assertEqual(self.far.lost, [ConnectionDone, ConnectionAborted])

    def test_closed(self) -> None:
        """
        It is nowhere: nothing is opened.
        """
        self.successResultOf(self.door.open())
        self.assertEqual((self.door.address, self.door.place), (None, "tcp:80"))
