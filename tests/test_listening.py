# -*- test-case-name: tests.test_listening -*-
"""
A listener knows its connections, and says goodbye to each of them.
"""

from __future__ import annotations

import gc
import warnings
import weakref
from typing import Any

from attrs import frozen
from twisted.application.service import IService
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IListeningPort,
    IProtocolFactory,
    IProtocolNegotiationFactory,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ropewalk.interfaces import IDrainable
from ropewalk.net.listening import Connection, ConnectionFactory, Listener, namer
from ropewalk.net.protocols import LineProtocol
from ropewalk.telemetry import Work, work, working
from tests.observing import Observed
from tests.wiring import Peer, connect


class Diary(Protocol):
    """
    Logs what happens to it.

    :ivar then: What to do as well, by what happens.
    """

    transport: Any
    _log = Logger()

    def __init__(self) -> None:
        self.then: dict[str, Any] = {}
        self.reason: BaseException | None = None

    def note(self, what: str) -> None:
        self._log.info("{what}", what=what)
        self.then.get(what, lambda: None)()

    def connectionMade(self) -> None:
        self.note("made")

    def dataReceived(self, data: bytes) -> None:
        self.note(data.decode())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason.value
        self.note("lost")


@implementer(IDrainable)
class Polite(Diary):
    """One that says goodbye."""

    def drain(self, reason: str) -> None:
        self.transport.write(f"{reason}\n".encode())
        self.note(reason)


def fall() -> None:
    raise ZeroDivisionError("no")


@implementer(IProtocolFactory)
class Made:
    """
    A factory that makes one protocol after the other.
    """

    noisy = True

    def __init__(self, *protocols: Protocol | None) -> None:
        self.protocols = list(protocols)
        self.running = 0

    def doStart(self) -> None:
        self.running += 1

    def doStop(self) -> None:
        self.running -= 1

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        return self.protocols.pop(0)


@implementer(IListeningPort)
class Port:
    """A port that nobody finds."""

    def __init__(self, number: int, closing: Deferred[None]) -> None:
        self.address = IPv4Address("TCP", "127.0.0.1", number)
        self.closing = closing

    def startListening(self) -> None: ...

    def stopListening(self) -> Deferred[None]:
        return self.closing

    def getHost(self) -> IAddress:
        return self.address


class Network(Clock):
    """
    A reactor where one can listen.

    :ivar closing: What a port fires when it closes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.closing: Deferred[None] = succeed(None)

    def listenTCP(self, port: int, factory: Any, **options: Any) -> Port:
        return Port(port, self.closing)


class ListenerTestCase(SynchronousTestCase):
    """
    A listener whose connections come out of nowhere.
    """

    def setUp(self) -> None:
        self.clock = Network()
        self.observed = Observed.during(self)

    def listener(self, *protocols: Protocol | None) -> Listener:
        """A listener for the connections of these protocols."""
        return Listener("tcp:7070", Made(*protocols), "chat", self.clock)

    def connect(self, listener: Listener) -> Peer:
        """Somebody at the other end."""
        protocol = listener.factory.buildProtocol(IPv4Address("TCP", "::1", 1))
        peer: Peer = connect(self.clock, protocol)
        return peer

    def send(self, peer: Peer, data: bytes) -> None:
        peer.transport.write(data)
        self.clock.advance(0)

    def drain(self, listener: Listener) -> Deferred[None]:
        draining = listener.drain("shutting down")
        self.clock.advance(0)
        return draining

    def logged(self) -> list[tuple[str, str | None]]:
        """What was logged, and under which connection's name."""
        names = [each.connection for each in self.observed.works]
        return list(zip(self.observed.texts, names, strict=True))


class ConnectionTests(ListenerTestCase):
    """
    What a protocol does is done under its connection's name.
    """

    def test_names(self) -> None:
        """
        Connections are numbered, throughout a process if it likes.
        """
        names = namer()
        first = Listener("tcp:1", Made(Diary()), "chat", self.clock, names)
        second = Listener("tcp:2", Made(Diary(), Diary()), "bank", self.clock, names)
        for listener in (first, second, second):
            self.connect(listener)
        self.assertEqual(
            [each.name for each in (*first.connections, *second.connections)],
            ["c1", "c2", "c3"],
        )

    def test_work(self) -> None:
        """
        Whatever happens to it, it is its own work, and after that whatever it was
        before.
        """
        diary = Polite()
        listener = self.listener(diary)
        with working(plugin="bank", connection="c9", request="r1"):
            peer = self.connect(listener)
            self.send(peer, b"hello")
            listener.connections[0].drain("enough")
            peer.transport.loseConnection()
            self.clock.advance(0)
            self.assertEqual(work.get(), Work("bank", "c9", "r1"))
        words = ["made", "hello", "enough", "lost"]
        self.assertEqual(self.logged(), [(word, "c1") for word in words])
        self.assertEqual(set(self.observed.works), {Work("chat", "c1")})

    def test_nested(self) -> None:
        """
        When one connection's data makes another be heard, each is itself, and the
        first is so again afterwards.
        """
        outer, inner = Diary(), Diary()
        listener = self.listener(outer, inner)
        self.connect(listener)
        self.connect(listener)
        first, second = listener.connections

        def interlude() -> None:
            second.dataReceived(b"in")
            outer.note("out")

        outer.then["outer"] = interlude
        first.dataReceived(b"outer")
        self.assertEqual(
            self.logged()[2:], [("outer", "c1"), ("in", "c2"), ("out", "c1")]
        )

    def test_failures(self) -> None:
        """
        A protocol that raises is logged under its connection's name and cut off,
        at whatever moment; the others go on.
        """
        for moment in ("made", "hello", "lost"):
            self.setUp()
            diary, other = Diary(), Diary()
            diary.then[moment] = fall
            listener = self.listener(diary, other)
            peer, well = self.connect(listener), self.connect(listener)
            self.send(peer, b"hello")
            if moment == "lost":
                peer.transport.loseConnection()
                self.clock.advance(0)
            else:
                self.assertIsInstance(diary.reason, ConnectionAborted)
            self.assertIn(
                ("the protocol of c1 from 127.0.0.1:50001 failed", "c1"), self.logged()
            )
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertEqual([each.name for each in listener.connections], ["c2"])
            self.send(well, b"good day")
            self.assertEqual(self.logged()[-1], ("good day", "c2"))

    def test_for_people(self) -> None:
        """
        A connection is named with who is there.
        """
        peers = {
            IPv4Address("TCP", "127.0.0.1", 7070): "127.0.0.1:7070",
            IPv6Address("TCP", "::1", 7070): "[::1]:7070",
            UNIXAddress(b"/run/chat"): "/run/chat",
            UNIXAddress(None): "this machine",
        }
        factory = ConnectionFactory(Made(Diary()), Work("chat"), namer())
        connection = factory.buildProtocol(None)
        assert connection is not None
        self.assertEqual(str(connection), "c1")
        for peer, spoken in peers.items():
            connection.transport = StringTransport(peerAddress=peer)
            self.assertEqual(str(connection), f"c1 from {spoken}")

    def test_half_closed(self) -> None:
        """
        A peer that says no more is known to a protocol that wants to know, and
        gone to any other.
        """

        class Patient(LineProtocol):
            def heard(self, line: str) -> Deferred[None]:
                return until.addCallback(lambda _: self.say(line))

        until: Deferred[None] = Deferred()
        diary = Diary()
        listener = self.listener(Patient(self.clock), diary)
        for _ in range(2):
            peer = self.connect(listener)
            self.send(peer, b"hello\n")
            peer.transport.loseWriteConnection()
            self.clock.advance(0)
        self.assertEqual([each.name for each in listener.connections], ["c1"])
        self.assertIsInstance(diary.reason, ConnectionDone)
        until.callback(None)
        self.clock.advance(0)
        self.assertEqual(listener.connections, ())

    def test_half_closed_by_us(self) -> None:
        """
        A protocol that says no more learns when its last is sent.
        """

        @implementer(IHalfCloseableProtocol)
        class Halves(Diary):
            def readConnectionLost(self) -> None:
                self.note("all read")

            def writeConnectionLost(self) -> None:
                self.note("all written")

        protocol = Halves()
        protocol.then["made"] = lambda: protocol.transport.loseWriteConnection()
        self.connect(self.listener(protocol))
        words = ["made", "all written", "all read"]
        self.assertEqual(self.logged(), [(word, "c1") for word in words])

    def test_another_protocol(self) -> None:
        """
        A connection that has become another protocol's, as a WebSocket's does, is
        that one's in every respect.
        """
        second = Diary()
        listener = self.listener(LineProtocol(self.clock))
        peer = self.connect(listener)
        [connection] = listener.connections
        connection.wrappedProtocol = second
        self.send(peer, b"hello")
        peer.transport.loseWriteConnection()
        self.clock.advance(0)
        self.assertEqual(self.logged(), [("hello", "c1"), ("lost", "c1")])

    def test_nothing_is_left(self) -> None:
        """
        When a connection is gone, nothing of it stays in memory.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()  # what others have left: Twisted's own tests, say
        listener = self.listener(LineProtocol(self.clock))
        peer = self.connect(listener)
        [connection] = listener.connections
        watched = [weakref.ref(connection), weakref.ref(connection.wrappedProtocol)]
        del connection
        peer.transport.loseConnection()
        self.clock.advance(0)
        del peer
        gc.collect()
        self.assertEqual([each() for each in watched], [None, None])
        self.assertEqual(listener.connections, ())


class FactoryTests(ListenerTestCase):
    """
    Connections are made of what another factory makes.
    """

    def test_interface(self) -> None:
        """
        It is a factory, and lets the other know when it is used.
        """
        inner = Made()
        factory = ConnectionFactory(inner, Work("chat"), namer())
        self.assertTrue(verifyObject(IProtocolFactory, factory))
        factory.doStart()
        self.assertEqual(inner.running, 1)
        factory.doStop()
        self.assertEqual(inner.running, 0)

    def test_quiet(self) -> None:
        """
        Twisted does not log the factory's comings and goings, even if it cannot be
        told not to.
        """

        @implementer(IProtocolFactory)
        @frozen
        class Fixed(Factory):
            """One that cannot be changed."""

        inner = Made()
        ConnectionFactory(inner, Work("chat"), namer())
        self.assertFalse(inner.noisy)
        factory = ConnectionFactory(Fixed(), Work("chat"), namer())
        self.assertFalse(factory.noisy)

    def test_declined(self) -> None:
        """
        A factory may turn somebody away.
        """
        listener = self.listener(None)
        self.assertIsNone(listener.factory.buildProtocol(None))
        self.assertEqual(listener.connections, ())

    def test_no_protocol(self) -> None:
        """
        One that raises turns everybody away; its plugin's name is in the log.
        """
        listener = self.listener()
        self.assertIsNone(listener.factory.buildProtocol(None))
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 1)
        self.assertEqual(self.observed.works, [Work("chat")])


class ListenerTests(ListenerTestCase):
    """
    A listener is a service that says goodbye.
    """

    def test_interface(self) -> None:
        """
        It starts and stops like any service, and does nothing of its own in
        between.
        """
        listener = self.listener()
        self.assertTrue(verifyObject(IService, listener))
        listener.privilegedStartService()
        listener.startService()
        self.assertTrue(listener.running)
        self.assertEqual((listener.address, listener.place), (None, "tcp:7070"))
        self.successResultOf(listener.stopService())
        self.assertFalse(listener.running)

    def test_open(self) -> None:
        """
        While it is open it has an address.
        """
        listener = self.listener()
        self.successResultOf(listener.open())
        self.assertEqual(listener.address, IPv4Address("TCP", "127.0.0.1", 7070))
        self.assertEqual(listener.place, "127.0.0.1:7070")
        self.successResultOf(listener.drain("shutting down"))
        self.assertEqual((listener.address, listener.place), (None, "tcp:7070"))

    def test_open_again(self) -> None:
        """
        Once opened again it lets people in, and can say goodbye, again.
        """
        polite = Polite()
        listener = self.listener(polite)
        self.successResultOf(listener.open())
        self.successResultOf(listener.drain("shutting down"))
        self.successResultOf(listener.open())
        peer = self.connect(listener)
        self.assertNoResult(self.drain(listener))
        self.assertEqual(peer.said(), "shutting down\n")

    def test_closing_takes_time(self) -> None:
        """
        It is over when the port is closed, too; a port that does not close is
        logged, and nobody waits for it.
        """
        listener = self.listener()
        self.clock.closing = Deferred()
        self.successResultOf(listener.open())
        draining = self.drain(listener)
        self.assertNoResult(draining)
        self.clock.closing.errback(ZeroDivisionError("no"))
        self.successResultOf(draining)
        self.assertEqual(self.observed.texts, ["tcp:7070 did not close"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_drain(self) -> None:
        """
        A protocol that can says goodbye in its own way and time; any other is
        closed. All is over when the last is gone, and not before that one knows.
        """
        polite, plain = Polite(), Diary()
        listener = self.listener(polite, plain)
        peers = [self.connect(listener) for _ in range(2)]
        draining = self.drain(listener)
        self.assertEqual([peer.said() for peer in peers], ["shutting down\n", ""])
        self.assertIsInstance(plain.reason, ConnectionDone)
        self.assertNoResult(draining)
        seen: list[object] = []
        draining.addCallback(lambda _: seen.append(polite.reason))
        polite.transport.loseConnection()
        self.clock.advance(0)
        self.assertIsInstance(seen[0], ConnectionDone)

    def test_drain_nobody(self) -> None:
        """
        Without connections it is over at once, opened or not.
        """
        self.successResultOf(self.listener().drain("shutting down"))

    def test_drain_twice(self) -> None:
        """
        Goodbye is said once, and everybody who waits for the end learns of it; who
        gives up waiting does so alone.
        """
        polite = Polite()
        listener = self.listener(polite)
        peer = self.connect(listener)
        first, impatient, last = (self.drain(listener) for _ in range(3))
        self.assertEqual(peer.said(), "shutting down\n")
        impatient.cancel()
        self.failureResultOf(impatient, CancelledError)
        self.assertNoResult(first)
        polite.transport.loseConnection()
        self.clock.advance(0)
        for waiting in (first, last, self.drain(listener)):
            self.assertIsNone(self.successResultOf(waiting))

    def test_goodbye_that_fails(self) -> None:
        """
        A protocol that cannot say goodbye is closed, and so are the others.
        """
        bad, good = Polite(), Diary()
        bad.then["shutting down"] = fall
        listener = self.listener(bad, good)
        peer = self.connect(listener)
        self.connect(listener)
        self.successResultOf(self.drain(listener))
        self.assertEqual(peer.said(), "shutting down\n")
        self.assertIsInstance(bad.reason, ConnectionDone)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIn(
            ("c1 from 127.0.0.1:50001 could not say goodbye", "c1"), self.logged()
        )

    def test_goodbye_that_ends_another(self) -> None:
        """
        A connection that is gone by the time of its goodbye needs none.
        """
        first, second = Polite(), Polite()
        listener = self.listener(first, second)
        self.connect(listener)
        self.connect(listener)
        first.then["shutting down"] = lambda: listener.connections[-1].connectionLost()
        self.drain(listener)
        self.assertNotIn(("shutting down", "c2"), self.logged())

    def test_late(self) -> None:
        """
        Who comes while others are leaving is turned away.
        """
        listener = self.listener(Polite(), Polite())
        self.connect(listener)
        self.drain(listener)
        self.assertIsNone(listener.factory.buildProtocol(None))

    def test_abort(self) -> None:
        """
        Those who will not go are cut.
        """
        protocols = [Polite() for _ in range(3)]
        listener = self.listener(*protocols)
        for _ in protocols:
            self.connect(listener)
        draining = self.drain(listener)
        listener.abort()
        self.clock.advance(0)
        self.successResultOf(draining)
        for protocol in protocols:
            self.assertIsInstance(protocol.reason, ConnectionAborted)

    def test_who_waits_for_nobody(self) -> None:
        """
        Who does not want to know any more when the last has gone is forgotten.
        """
        factory = self.listener(Diary()).factory
        connection = factory.buildProtocol(None)
        peer = connect(self.clock, connection)
        waiting = factory.gone()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        peer.transport.loseConnection()
        self.clock.advance(0)
        self.successResultOf(factory.gone())


@implementer(IProtocolNegotiationFactory)
class Negotiating(Factory):
    """A factory that speaks two protocols, as a site does with HTTP/2."""

    def acceptableProtocols(self) -> list[bytes]:
        return [b"h2", b"http/1.1"]


class NegotiationTests(ListenerTestCase):
    """
    Which protocol is spoken can be agreed on below (ALPN, RFC 7301).
    """

    def test_offers(self) -> None:
        """
        What the inner factory offers is offered; one that offers nothing is not
        asked.
        """
        outer = ConnectionFactory(Negotiating(), Work(), namer())
        verifyObject(IProtocolNegotiationFactory, outer)
        self.assertEqual(outer.acceptableProtocols(), [b"h2", b"http/1.1"])
        plain = ConnectionFactory(Factory(), Work(), namer())
        self.assertFalse(IProtocolNegotiationFactory.providedBy(plain))


class SecureTests(ListenerTestCase):
    """
    Below a connection may be TLS.
    """

    def setUp(self) -> None:
        super().setUp()
        try:
            from tests.certificates import self_signed
        except ImportError:
            self.skipTest("pyOpenSSL is not installed")
        self.server, self.client = self_signed()

    def test_goodbye(self) -> None:
        """
        Goodbye is said inside, and TLS ended as it should be.
        """
        from twisted.protocols.tls import TLSMemoryBIOFactory

        listener = self.listener(LineProtocol(self.clock))
        inner: Any = Factory.forProtocol(Peer)
        client = TLSMemoryBIOFactory(self.client, True, inner, self.clock)
        server = TLSMemoryBIOFactory(self.server, False, listener.factory, self.clock)
        wire = client.buildProtocol(None)
        connect(self.clock, server.buildProtocol(None), wire)
        peer: Any = wire.wrappedProtocol
        [connection] = listener.connections
        self.assertIsInstance(connection, Connection)
        self.successResultOf(self.drain(listener))
        self.assertEqual(peer.said(), "* goodbye: shutting down\n")
        self.assertIsInstance(peer.reason, ConnectionDone)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CrowdTests(ListenerTestCase):
    """
    An address has as many connections as its factory says.
    """

    def crowd(self, most: int) -> ConnectionFactory:
        """A factory for so many connections an address."""
        inner: Any = Factory.forProtocol(Protocol)
        inner.most_connections = lambda address: most
        factory = ConnectionFactory(inner, Work("chat"), namer())
        factory.doStart()
        return factory

    def come(self, factory: ConnectionFactory, host: str) -> Any:
        """Somebody connects; C{None} if that is not to be."""
        kind = IPv6Address if ":" in host else IPv4Address
        connection = factory.buildProtocol(kind("TCP", host, 50001))
        if connection is not None:
            connection.makeConnection(StringTransport())
        return connection

    def test_as_many_as_it_may_have(self) -> None:
        """
        One more is turned away, until one ends. Others are no concern of theirs. The
        log has it once.
        """
        factory = self.crowd(2)
        first = self.come(factory, "10.0.0.1")
        self.assertIsNotNone(self.come(factory, "10.0.0.1"))
        for _ in range(3):
            self.assertIsNone(self.come(factory, "10.0.0.1"))
        self.assertIsNotNone(self.come(factory, "10.0.0.2"))
        first.connectionLost(Failure(ConnectionDone()))
        self.assertIsNotNone(self.come(factory, "10.0.0.1"))
        self.assertIsNone(self.come(factory, "10.0.0.1"))

    def test_networks(self) -> None:
        """
        Of IPv6, a network of 64 bits counts as one; IPv4 in it is IPv4.
        """
        factory = self.crowd(1)
        self.assertIsNotNone(self.come(factory, "2001:db8::1"))
        self.assertIsNone(self.come(factory, "2001:db8::ffff:2"))
        self.assertIsNotNone(self.come(factory, "2001:db8:0:1::1"))
        self.assertIsNotNone(self.come(factory, "::ffff:10.0.0.1"))
        self.assertIsNone(self.come(factory, "10.0.0.1"))

    def test_any_number(self) -> None:
        """
        0 is any number; and so it is where a factory says nothing.
        """
        factory = self.crowd(0)
        self.assertNotIn(None, [self.come(factory, "10.0.0.1") for _ in range(100)])

    def test_who_gets_no_protocol(self) -> None:
        """
        Who gets no protocol is not counted.
        """
        factory = self.crowd(1)
        inner: Any = factory.wrappedFactory
        made, inner.buildProtocol = inner.buildProtocol, lambda address: None
        for _ in range(3):
            self.assertIsNone(self.come(factory, "10.0.0.1"))
        inner.buildProtocol = made
        self.assertIsNotNone(self.come(factory, "10.0.0.1"))
