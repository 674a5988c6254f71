# -*- test-case-name: tests.test_transports -*-
"""
Connections of the loop's, beside Twisted's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import SkipTest

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import tcp, unix
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    clientFromString,
    connectProtocol,
    serverFromString,
)
from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    UserError,
)
from twisted.internet.error import TimeoutError as TookTooLong
from twisted.internet.interfaces import (
    IConsumer,
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    ILoggingContext,
    IProtocolNegotiationFactory,
    IPullProducer,
    IPushProducer,
    ISSLTransport,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
)
from twisted.internet.protocol import (
    ClientCreator,
    ClientFactory,
    Factory,
    Protocol,
    connectionDone,
)
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.basic import FileSender
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, implementer
from zope.interface.verify import verifyObject

from ropewalk.net.transports import (
    Connection,
    INeedsDescriptor,
    LoopNetwork,
    needs_descriptor,
    network,
)
from ropewalk.net.transports.connections import Outbox, TCPConnection
from tests.certificates import make_pem, self_signed
from tests.test_schema import run_page

ROOT = Path(__file__).resolve().parent.parent

#: Where C{struct tcp_info} has the segments with data that were sent, and, of a socket
#: that listens, how many may wait (linux/tcp.h).
DATA_SEGMENTS, BACKLOG = 156, 28

#: Seconds after which something has happened, or never will. Where a peer takes little
#: at a time, the system itself waits for tenths of a second.
PATIENCE = 20.0


class Peer(Protocol):
    """
    Writes down what happens to it.

    :ivar then: What to do as well, by what happens.
    """

    transport: Any

    def __init__(self, **then: Callable[[Peer], Any]) -> None:
        self.events: list[str] = []
        self.heard = b""
        self.pieces = 0
        self.reason: BaseException | None = None
        self.then = then

    def note(self, what: str) -> None:
        self.events.append(what)
        self.then.get(what, lambda _: None)(self)

    def connectionMade(self) -> None:
        self.note("made")

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self.pieces += 1
        self.note("heard")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason.value
        self.note("lost")

    # What is called if it produces.

    def pauseProducing(self) -> None:
        self.note("pause")

    def resumeProducing(self) -> None:
        self.note("resume")

    def stopProducing(self) -> None:
        self.note("stop")


@implementer(IHalfCloseableProtocol)
class HalfPeer(Peer):
    """One whose halves are closed one by one."""

    def readConnectionLost(self) -> None:
        self.note("read lost")

    def writeConnectionLost(self) -> None:
        self.note("write lost")


@implementer(IFileDescriptorReceiver)
class Receiver(Peer):
    """One that receives descriptors."""

    descriptor = -1

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.note("descriptor")


class Given(ClientFactory):
    """
    Gives out the protocols it was given.

    :ivar failed: Why a connection could not be made.
    :ivar lost: How many were lost.
    """

    noisy = False

    def __init__(self, *protocols: Any) -> None:
        self.protocols = list(protocols)
        self.failed: BaseException | None = None
        self.lost = 0

    def buildProtocol(self, addr: Any) -> Any:
        self.peer = addr
        protocol = self.protocols.pop(0)
        if isinstance(protocol, Exception):
            raise protocol
        return protocol

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.failed = reason.value

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        self.lost += 1


class Ground:
    """
    A loop, a reactor on it, and the network that this makes. Nothing happens but in a
    turn.
    """

    def __init__(self) -> None:
        import uvloop

        self.loop = uvloop.new_event_loop()
        # What the loop is left to deal with: that should be nothing.
        self.problems: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, what: self.problems.append(what))
        reactor: Any = AsyncioSelectorReactor(self.loop)
        reactor.loop = self.loop
        self.reactor = reactor
        self.network: LoopNetwork = network(self.reactor)

    def turn(self, times: int = 8) -> None:
        for _ in range(times):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def clear(self) -> None:
        """Leave nothing behind."""
        self.network.disconnect()
        self.reactor.disconnectAll()
        self.turn()
        for call in self.reactor.getDelayedCalls():
            call.cancel()
        self.reactor._uninstallHandler()
        for reader in list(self.reactor._internalReaders):
            self.reactor.removeReader(reader)
            reader.connectionLost(None)
        self.turn()
        self.loop.close()


class Reader:
    """
    The other end of a connection, which reads.

    :ivar got: What has come.
    :ivar end: How it ended: C{b"."} in order, C{b"!"} by a reset.
    """

    def __init__(self, far: socket.socket) -> None:
        self._far = far
        self.got, self.end = bytearray(), b""

    def read(self, size: int = 65536) -> int:
        """Read something, if there is something; how much there was in all."""
        if not self.end:
            try:
                data = self._far.recv(min(size, 65536))
            except BlockingIOError:
                return 0
            except ConnectionResetError:
                self.end = b"!"
            else:
                self.got += data
                self.end = b"" if data else b"."
        return len(self.got) + len(self.end)


class LoopTestCase(SynchronousTestCase):
    """
    Connections are made, on a loop of its own.
    """

    def setUp(self) -> None:
        if not find_spec("uvloop"):
            if os.environ.get("CI"):
                self.fail("the loop's transports are not tested without uvloop")
            raise SkipTest("no uvloop here: `pip install uvloop` brings it")
        self.ground = Ground()
        self.addCleanup(lambda: self.assertEqual(self.ground.problems, []))
        self.addCleanup(self.ground.clear)
        self.network = self.ground.network

    def turn(self, times: int = 8) -> None:
        self.ground.turn(times)

    def until(self, condition: Callable[[], Any]) -> None:
        """Turn until something is true."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                self.fail("it does not happen")
            self.turn(1)

    def result(self, waited: Deferred[Any]) -> Any:
        """Turn until there is a result."""
        results: list[Any] = []
        waited.addBoth(results.append)
        self.until(lambda: results)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    def listen(self, *protocols: Any, where: Any = None) -> Any:
        """Listen for as many connections, and have the port."""
        where = self.network if where is None else where
        port = where.listenTCP(0, Given(*protocols), interface="127.0.0.1")
        self.addCleanup(self.close, port)
        return port

    def close(self, port: Any) -> None:
        if port.connected:
            self.result(port.stopListening())

    def dial(self, port: Any, **options: int) -> socket.socket:
        """A socket that is connected to a port; the system accepts for it."""
        dialled = socket.socket()
        self.addCleanup(dialled.close)
        for name, value in options.items():
            dialled.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        dialled.settimeout(5)
        dialled.connect(("127.0.0.1", port.getHost().port))
        dialled.setblocking(False)
        return dialled

    def accept(self, peer: Any = None, **options: int) -> tuple[Any, socket.socket]:
        """A protocol of ours, and the socket at the other end."""
        peer = Peer() if peer is None else peer
        far = self.dial(self.listen(peer), **options)
        self.until(lambda: peer.events)
        return peer, far

    def pair(self, server: Any = None, client: Any = None) -> tuple[Any, Any]:
        """Two protocols of ours that talk to each other."""
        server, client = server or Peer(), client or Peer()
        port = self.listen(server)
        number = port.getHost().port
        self.network.connectTCP("127.0.0.1", number, Given(client))
        self.until(lambda: server.events and client.events)
        return server, client

    def read(self, far: socket.socket) -> bytes:
        """What has come."""
        reader = Reader(far)
        idle = 0
        while idle < 8 and not reader.end:
            idle = 0 if reader.read() else idle + 1
            self.turn(1)
        return bytes(reader.got) + reader.end

    def take(self, far: socket.socket, size: int) -> bytes:
        """So much of what comes, however long it takes."""
        reader = Reader(far)
        self.until(lambda: reader.read(size - len(reader.got)) == size or reader.end)
        return bytes(reader.got)

    def whole(self, far: socket.socket) -> bytes:
        """
        All that comes, however long it takes, and how it ends: C{b"."} in order,
        C{b"!"} by a reset.
        """
        reader = Reader(far)
        self.until(lambda: reader.read() and reader.end)
        return bytes(reader.got) + reader.end

    def fill(self, peer: Any) -> int:
        """Write until the peer at the other end can take no more: how much that is."""
        size = 0
        while peer.transport._transport.get_write_buffer_size() <= 64 * 1024:
            peer.transport.write(b"x" * 65536)
            size += 65536
            self.turn(2)
        return size


class ChoiceTests(LoopTestCase):
    """
    Which transports a connection has.
    """

    def test_uvloop(self) -> None:
        """
        Where uvloop runs, they are the loop's.
        """
        self.assertIsInstance(self.network, LoopNetwork)
        self.assertIs(network(self.network), self.network)

    def test_other_loops(self) -> None:
        """
        On any other loop, and on none, they are Twisted's own.
        """
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        for reactor in SimpleNamespace(loop=loop), SimpleNamespace(), None:
            self.assertIs(network(reactor), reactor)

    def test_marked(self) -> None:
        """
        A factory that says that it needs a descriptor has Twisted's own, wherever it
        is wrapped.
        """
        marked = Given(Peer(), Peer())
        directlyProvides(marked, INeedsDescriptor)
        wrapped = WrappingFactory(WrappingFactory(marked))
        hidden = SimpleNamespace(_wrappedFactory=marked)
        for factory in marked, wrapped, hidden:
            self.assertTrue(needs_descriptor(factory))
        self.assertFalse(needs_descriptor(WrappingFactory(Given())))
        port: Any = self.network.listenTCP(0, wrapped, interface="127.0.0.1")
        self.addCleanup(self.close, port)
        self.assertIs(type(port), tcp.Port)
        client = Given(Peer())
        directlyProvides(client, INeedsDescriptor)
        connector: Any = self.network.connectTCP(
            "127.0.0.1", port.getHost().port, client
        )
        self.assertIs(type(connector), tcp.Connector)
        self.turn()
        self.assertIs(type(connector.transport), tcp.Client)

    def test_marked_elsewhere(self) -> None:
        """
        So it has by a UNIX socket, and at a socket that was passed on.
        """
        marked = Given()
        directlyProvides(marked, INeedsDescriptor)
        path = self.mktemp()
        port: Any = self.network.listenUNIX(path, marked)
        self.addCleanup(self.close, port)
        connector: Any = self.network.connectUNIX(path, marked)
        self.assertIs(type(port), unix.Port)
        self.assertIs(type(connector), unix.Connector)
        connector.disconnect()
        adopted: Any = self.network.adoptStreamPort(
            port.fileno(), socket.AF_UNIX, marked
        )
        self.addCleanup(adopted.socket.close)
        self.addCleanup(adopted.stopReading)
        self.assertIs(type(adopted), unix.Port)

    def test_receivers(self) -> None:
        """
        By a UNIX socket, a factory whose protocols receive descriptors has Twisted's
        own. By TCP nobody can receive any.
        """
        factory = Factory.forProtocol(Receiver)
        port: Any = self.network.listenUNIX(self.mktemp(), factory)
        self.addCleanup(self.close, port)
        self.assertIs(type(port), unix.Port)
        ours: Any = self.network.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(self.close, ours)
        self.assertIsNot(type(ours), tcp.Port)

    def test_descriptors(self) -> None:
        """
        A protocol that turns out to receive descriptors has Twisted's own transport
        from its beginning, at either end.
        """
        for server_receives in True, False:
            server: Any = Receiver() if server_receives else Peer()
            client: Any = Peer() if server_receives else Receiver()
            factories = {each: Given(each) for each in (server, client)}
            sender, receiver = (server, client)[:: -1 if server_receives else 1]
            directlyProvides(factories[sender], INeedsDescriptor)
            path = self.mktemp()
            port: Any = self.network.listenUNIX(path, factories[server])
            self.addCleanup(self.close, port)
            self.network.connectUNIX(path, factories[client])
            self.until(lambda: server.events and client.events)  # noqa: B023
            sender.transport.sendFileDescriptor(0)
            sender.transport.write(b"x")
            self.until(lambda: "heard" in receiver.events)  # noqa: B023
            os.close(receiver.descriptor)
            self.assertEqual(receiver.events, ["made", "descriptor", "heard"])
            receiver.transport.loseConnection()
            self.until(lambda: receiver.reason and sender.reason)  # noqa: B023
            self.assertIsInstance(receiver.reason, ConnectionDone)
            self.assertEqual(factories[client].lost, 1)

    def test_unmarked_sender(self) -> None:
        """
        Who sends descriptors without having said so is told what to say.
        """
        path = self.mktemp()
        peer = Peer()
        port: Any = self.network.listenUNIX(path, Given(peer))
        self.addCleanup(self.close, port)
        with socket.socket(socket.AF_UNIX) as far:
            far.connect(path)
            self.until(lambda: peer.events)
            with self.assertRaisesRegex(RuntimeError, "INeedsDescriptor"):
                peer.transport.sendFileDescriptor(0)


class TransportTests(LoopTestCase):
    """
    What a protocol writes to.
    """

    def test_interfaces(self) -> None:
        """
        It is all that Twisted's is.
        """
        for peer in self.pair():
            for interface in (
                *(ITCPTransport, ITLSTransport, IConsumer, IPushProducer),
                *(ILoggingContext, ISystemHandle),
            ):
                verifyObject(interface, peer.transport)
            self.assertFalse(ISSLTransport.providedBy(peer.transport))

    def test_state(self) -> None:
        """
        It knows whether it is connected.
        """
        peer, _ = self.accept()
        states = []
        for _ in range(3):
            transport = peer.transport
            states.append(
                (
                    bool(transport.connected),
                    bool(transport.disconnecting),
                    bool(transport.disconnected),
                )
            )
            if not transport.disconnecting:
                self.ground.loop.call_soon(transport.loseConnection)
            self.turn(1)
        self.assertEqual(states[0], (True, False, False))
        self.assertEqual(states[2], (False, True, True))

    def test_addresses(self) -> None:
        """
        Both ends know each other, also when they are gone.
        """
        server, client = self.pair()
        here, there = server.transport.getHost(), server.transport.getPeer()
        self.assertEqual(client.transport.getPeer(), here)
        self.assertEqual(client.transport.getHost(), there)
        self.assertIsInstance(here, IPv4Address)
        self.assertEqual((here.type, here.host), ("TCP", "127.0.0.1"))
        client.transport.loseConnection()
        self.until(lambda: server.reason and client.reason)
        self.assertEqual(server.transport.getPeer(), there)
        self.assertEqual(client.transport.getPeer(), here)
        self.assertEqual(client.transport.getHost(), there)

    def test_ipv6(self) -> None:
        """
        So do they by IPv6.
        """
        if not socket.has_ipv6:
            raise SkipTest("no IPv6 here")
        server, client = Peer(), Peer()
        factory = Given(server)
        port: Any = self.network.listenTCP(0, factory, interface="::1")
        self.addCleanup(self.close, port)
        self.network.connectTCP("::1", port.getHost().port, Given(client))
        self.until(lambda: server.events and client.events)
        self.assertIsInstance(factory.peer, IPv6Address)
        self.assertEqual(factory.peer, client.transport.getHost())
        self.assertEqual(client.transport.getPeer(), server.transport.getHost())

    def test_unix(self) -> None:
        """
        By a UNIX socket, the one who connects has no name.
        """
        path = self.mktemp()
        server, client = Peer(), Peer()
        port: Any = self.network.listenUNIX(path, Given(server))
        self.addCleanup(self.close, port)
        self.network.connectUNIX(path, Given(client))
        self.until(lambda: server.events and client.events)
        self.assertEqual(server.transport.getHost(), UNIXAddress(path))
        self.assertEqual(server.transport.getPeer(), UNIXAddress(None))
        self.assertEqual(client.transport.getPeer(), UNIXAddress(path))
        client.transport.setTcpNoDelay(True)
        self.assertFalse(client.transport.getTcpNoDelay())
        client.transport.write(b"hello")
        self.until(lambda: server.heard)
        client.transport.loseConnection()
        self.until(lambda: server.reason and client.reason)
        self.assertEqual(server.transport.getPeer(), UNIXAddress(None))
        self.assertEqual(server.transport.getHost(), UNIXAddress(path))

    def test_unix_closed(self) -> None:
        """
        Where nobody asked for its address before it closed, it has none.
        """
        path = self.mktemp()
        server = Peer()
        port: Any = self.network.listenUNIX(path, Given(server))
        self.addCleanup(self.close, port)
        with socket.socket(socket.AF_UNIX) as far:
            far.connect(path)
            self.until(lambda: server.events)
        self.until(lambda: server.reason)
        self.assertEqual(server.transport.getPeer(), UNIXAddress(None))
        self.turn()
        self.assertEqual(server.transport.getHost(), UNIXAddress(None))

    def test_options(self) -> None:
        """
        The options of TCP are there to be asked and set; what is written does not wait
        for what was sent to be acknowledged.
        """
        for peer in self.pair():
            transport = peer.transport
            self.assertIs(transport.getTcpNoDelay(), True)
            self.assertIs(transport.getTcpKeepAlive(), False)
            transport.setTcpNoDelay(False)
            transport.setTcpKeepAlive(True)
            handle = transport.getHandle()
            for level, name, value in (
                (socket.IPPROTO_TCP, socket.TCP_NODELAY, transport.getTcpNoDelay()),
                (socket.SOL_SOCKET, socket.SO_KEEPALIVE, transport.getTcpKeepAlive()),
            ):
                self.assertEqual(bool(handle.getsockopt(level, name)), value)
            self.assertIs(transport.getTcpNoDelay(), False)
            self.assertIs(transport.getTcpKeepAlive(), True)

    def test_descriptor(self) -> None:
        """
        Its file descriptor can be had as long as it is open.
        """
        peer, _ = self.accept()
        number = peer.transport.fileno()
        self.assertEqual(number, peer.transport.getHandle().fileno())
        os.fstat(number)
        peer.transport.loseConnection()
        self.until(lambda: peer.reason)
        self.turn()
        self.assertEqual(peer.transport.fileno(), -1)

    def test_names(self) -> None:
        """
        For the log, it is called as Twisted's are.
        """
        server, client = self.pair()
        number = server.transport.getHost().port
        self.assertEqual(server.transport.logPrefix(), "Peer,0,127.0.0.1")
        self.assertEqual(client.transport.logPrefix(), "Peer,client")
        self.assertEqual(repr(server.transport), f"<Peer #0 on {number}>")
        self.assertIn(f"to ('127.0.0.1', {number}) at", repr(client.transport))

    def test_another_protocol(self) -> None:
        """
        A protocol can be replaced at any time.
        """
        peer, far = self.accept()
        other = Peer()
        far.send(b"one")
        self.until(lambda: peer.heard)
        peer.transport.protocol = other
        far.send(b"two")
        self.until(lambda: other.heard)
        far.close()
        self.until(lambda: other.reason)
        self.assertEqual((peer.heard, peer.reason, other.heard), (b"one", None, b"two"))

    def test_small(self) -> None:
        """
        It needs 300 bytes at the most, beside what the loop needs.
        """
        outbox = Outbox(lambda call: None)
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            made = [TCPConnection(None, 0, outbox) for _ in range(1000)]
            used = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        self.assertLess(used / len(made), 300)

    def test_forgotten(self) -> None:
        """
        Nobody keeps one that is lost.
        """
        peer, far = self.accept()
        self.assertIn(peer.transport, self.network._alive)
        far.close()
        self.until(lambda: peer.reason)
        self.assertNotIn(peer.transport, self.network._alive)
        self.assertIsNone(peer.transport.protocol)


class WritingTests(LoopTestCase):
    """
    What is written arrives.
    """

    def segments(self, far_or_near: Any) -> int:
        """How many segments with data were sent from a socket."""
        if sys.platform != "linux":
            raise SkipTest("only Linux counts them")
        info = far_or_near.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        return int(struct.unpack_from("I", info, DATA_SEGMENTS)[0])

    def test_pieces(self) -> None:
        """
        What is written in one turn goes in one piece, in order.
        """
        for often in 1, 2, 100:
            peer, far = self.accept()
            before = self.segments(peer.transport.getHandle())
            for number in range(often):
                peer.transport.write(b"%d," % number)
            peer.transport.writeSequence([b"a", b"b", bytes(3)])
            got = self.read(far)
            expected = b"".join(b"%d," % number for number in range(often))
            self.assertEqual(got, expected + b"ab" + bytes(3))
            self.assertEqual(self.segments(peer.transport.getHandle()) - before, 1)

    def test_answers(self) -> None:
        """
        So does what is written while something is heard, to whomever.
        """

        def answer(peer: Peer) -> None:
            for piece in b"one", b"two":
                peer.transport.write(piece)
                other.transport.write(piece)

        other, other_far = self.accept()
        peer, far = self.accept(Peer(heard=answer))
        handles = [each.transport.getHandle() for each in (peer, other)]
        before = [self.segments(handle) for handle in handles]
        far.send(b"?")
        self.until(lambda: peer.heard)
        self.assertEqual(far.recv(100), b"onetwo")
        self.assertEqual(other_far.recv(100), b"onetwo")
        for handle, sent in zip(handles, before, strict=True):
            self.assertEqual(self.segments(handle) - sent, 1)

    def test_nothing(self) -> None:
        """
        Nothing can be written.
        """
        peer, far = self.accept()
        peer.transport.write(b"")
        peer.transport.writeSequence([])
        peer.transport.writeSequence(iter([b"", b"x"]))
        self.assertEqual(self.read(far), b"x")

    def test_no_bytes(self) -> None:
        """
        Nothing but bytes can.
        """
        peer, _ = self.accept()
        wrong: Any
        for wrong in "text", 7, None, bytearray(b"x"), memoryview(b"x"):
            with self.assertRaises(TypeError):
                peer.transport.write(wrong)
        with self.assertRaises(TypeError):
            peer.transport.writeSequence([b"x", "text"])

    def test_kinds_of_bytes(self) -> None:
        """
        Bytes of one's own kind can, too.
        """

        class Own(bytes):
            pass

        peer, far = self.accept()
        peer.transport.write(Own(b"one"))
        peer.transport.write(Own(b"two"))
        self.assertEqual(self.read(far), b"onetwo")

    def test_much(self) -> None:
        """
        Much arrives whole, however slowly it is read.
        """
        peer, far = self.accept(SO_RCVBUF=4096)
        sent = os.urandom(3_000_000)
        for start in range(0, len(sent), 70_001):
            peer.transport.write(sent[start : start + 70_001])
        peer.transport.loseConnection()
        self.assertIsNone(peer.reason)
        self.assertEqual(self.whole(far), sent + b".")
        self.assertIsInstance(peer.reason, ConnectionDone)

    def test_after_the_end(self) -> None:
        """
        What is written after it was closed is dropped, without complaint.
        """
        for end in "loseConnection", "abortConnection", "loseWriteConnection":
            peer, far = self.accept()
            peer.transport.write(b"before")
            self.turn()
            getattr(peer.transport, end)()
            peer.transport.write(b"after")
            peer.transport.writeSequence([b"after"])
            self.turn()
            peer.transport.write(b"after")
            self.assertEqual(self.whole(far).strip(b".!"), b"before")


class EndTests(LoopTestCase):
    """
    How connections end, and what is said of it.
    """

    def test_they_close(self) -> None:
        """
        When the other end closes, that is no fault.
        """
        peer, far = self.accept()
        far.send(b"bye")
        far.close()
        self.until(lambda: peer.reason)
        self.assertEqual((peer.heard, peer.events[-1]), (b"bye", "lost"))
        self.assertIsInstance(peer.reason, ConnectionDone)

    def test_we_close(self) -> None:
        """
        When this end does, what was written arrives first; nothing is heard any more.
        """
        peer, far = self.accept()
        peer.transport.write(b"bye")
        peer.transport.loseConnection()
        peer.transport.loseConnection()
        far.send(b"not heard")
        self.assertEqual(self.whole(far)[:3], b"bye")
        self.assertEqual(peer.events, ["made", "lost"])
        self.assertIsInstance(peer.reason, ConnectionDone)

    def test_reset(self) -> None:
        """
        A reset is told from an end.
        """
        peer, far = self.accept()
        _drop(far)
        self.until(lambda: peer.reason)
        self.assertIsInstance(peer.reason, ConnectionLost)
        self.assertIn("reset", str(peer.reason))

    def test_reset_while_writing(self) -> None:
        """
        So it is when something was to be written.
        """
        peer, far = self.accept(SO_RCVBUF=4096)
        self.fill(peer)
        _drop(far)
        for _ in range(4):
            peer.transport.write(b"x" * 65536)
            self.turn()
        self.assertIsInstance(peer.reason, ConnectionLost)
        self.assertEqual(peer.events.count("lost"), 1)

    def test_abort(self) -> None:
        """
        What is aborted ends at once: what waits to be sent is dropped, and the other
        end sees a reset. The protocol is told afterwards.
        """
        peer, far = self.accept(SO_RCVBUF=4096)
        self.fill(peer)
        peer.transport.abortConnection()
        peer.transport.abortConnection()
        peer.transport.loseConnection()
        self.assertEqual(peer.events, ["made"])
        self.until(lambda: peer.reason)
        self.assertIsInstance(peer.reason, ConnectionAborted)
        self.assertEqual(self.whole(far)[-1:], b"!")
        self.assertEqual(peer.events, ["made", "lost"])

    def test_abort_while_closing(self) -> None:
        """
        What is being closed, but cannot send its last words, can be aborted.
        """
        peer, _ = self.accept(SO_RCVBUF=4096)
        self.fill(peer)
        peer.transport.loseConnection()
        self.turn()
        self.assertIsNone(peer.reason)
        peer.transport.abortConnection()
        self.until(lambda: peer.reason)
        self.assertIsInstance(peer.reason, ConnectionAborted)

    def test_abort_when_made(self) -> None:
        """
        It can be aborted and closed as soon as it is made.
        """
        for end, reason in (
            ("abortConnection", ConnectionAborted),
            ("loseConnection", ConnectionDone),
        ):

            def leave(peer: Peer, end: str = end) -> None:
                getattr(peer.transport, end)()

            server, client = self.pair(Peer(made=leave), Peer(made=leave))
            self.until(lambda: server.reason and client.reason)  # noqa: B023
            for peer in server, client:
                self.assertIsInstance(
                    peer.reason, (reason, ConnectionLost, ConnectionDone)
                )
                self.assertEqual(peer.events, ["made", "lost"])

    def test_not_while_it_writes(self) -> None:
        """
        A protocol never hears of the end while it is doing something else.
        """

        def end(peer: Peer) -> None:
            for how in "write", "loseConnection", "abortConnection":
                getattr(peer.transport, how)(*[b"x"] * (how == "write"))
                self.assertIsNone(peer.reason)

        peer, far = self.accept(Peer(heard=end))
        far.send(b"?")
        self.until(lambda: peer.reason)
        self.assertEqual(peer.events, ["made", "heard", "lost"])

    def test_failing(self) -> None:
        """
        What a protocol raises while it hears is logged, and ends its connection, for
        that reason; no other is harmed.
        """

        def fail(peer: Peer) -> None:
            raise ZeroDivisionError

        other, other_far = self.accept()
        peer, far = self.accept(Peer(heard=fail))
        far.send(b"?")
        self.until(lambda: peer.reason)
        self.assertIsInstance(peer.reason, ZeroDivisionError)
        other_far.send(b"?")
        self.until(lambda: other.heard)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_failing_elsewhere(self) -> None:
        """
        So does what it raises when it is made, when half of it is closed, and when it
        produces; what it raises at the end is logged.
        """

        def fail(peer: Peer) -> None:
            raise ZeroDivisionError

        peer, far = self.accept(Peer(made=fail))
        self.until(lambda: peer.reason)
        self.assertIsInstance(peer.reason, ZeroDivisionError)
        half, far = self.accept(HalfPeer(**{"read lost": fail}))
        far.shutdown(socket.SHUT_WR)
        self.until(lambda: half.reason)
        self.assertIsInstance(half.reason, ZeroDivisionError)
        half, far = self.accept(HalfPeer(**{"write lost": fail}))
        half.transport.loseWriteConnection()
        self.until(lambda: half.reason)
        self.assertIsInstance(half.reason, ZeroDivisionError)
        peer, far = self.accept(Peer(pause=fail), SO_RCVBUF=4096)
        peer.transport.registerProducer(peer, True)
        for _ in range(100):
            peer.transport.write(b"x" * 100_000)
        self.until(lambda: peer.reason)
        self.assertIsInstance(peer.reason, ZeroDivisionError)
        self.assertEqual(peer.events, ["made", "pause", "stop", "lost"])
        peer, far = self.accept(Peer(lost=fail))
        far.close()
        self.until(lambda: peer.reason)
        self.assertIsInstance(peer.reason, ConnectionDone)
        self.assertNotIn(peer.transport, self.network._alive)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 5)

    def test_no_protocol(self) -> None:
        """
        Where a factory makes no protocol, or fails to, the connection is closed, and
        the next one is accepted.
        """
        peer = Peer()
        port = self.listen(None, ZeroDivisionError(), peer)
        self.assertEqual(self.whole(self.dial(port)), b".")
        self.assertEqual(self.whole(self.dial(port)), b".")
        self.dial(port)
        self.until(lambda: peer.events)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_half(self) -> None:
        """
        Of one that can be half closed, each half closes on its own.
        """
        peer, far = self.accept(HalfPeer())
        far.send(b"last words")
        far.shutdown(socket.SHUT_WR)
        self.until(lambda: "read lost" in peer.events)
        self.assertEqual(peer.heard, b"last words")
        peer.transport.write(b"the answer")
        peer.transport.loseWriteConnection()
        self.assertNotIn("write lost", peer.events)
        self.assertEqual(self.whole(far), b"the answer.")
        self.assertEqual(peer.events, ["made", "heard", "read lost", "write lost"])
        self.assertIsNone(peer.reason)
        peer.transport.loseConnection()
        self.until(lambda: peer.reason)
        self.assertIsInstance(peer.reason, ConnectionDone)

    def test_half_while_writing(self) -> None:
        """
        The writing half closes when all is written; what is said is heard until then
        and after.
        """
        peer, far = self.accept(HalfPeer(), SO_RCVBUF=4096)
        size = self.fill(peer)
        peer.transport.loseWriteConnection()
        peer.transport.loseWriteConnection()
        far.send(b"one")
        self.until(lambda: peer.heard)
        self.assertNotIn("write lost", peer.events)
        self.assertEqual(self.whole(far), b"x" * size + b".")
        self.until(lambda: "write lost" in peer.events)
        far.send(b"two")
        self.until(lambda: peer.heard == b"onetwo")
        self.assertEqual(peer.events.count("write lost"), 1)

    def test_half_of_others(self) -> None:
        """
        One that cannot be half closed is closed with the half of its peer's, at once,
        whether the peer takes the rest of what it was sent or not.
        """
        for waits in False, True:
            peer, far = self.accept(SO_RCVBUF=4096)
            if waits:
                self.fill(peer)
            far.shutdown(socket.SHUT_WR)
            self.turn()
            self.assertIsInstance(peer.reason, ConnectionDone)

    def test_half_and_whole(self) -> None:
        """
        When all of it is closed before the half was, that is not told any more.
        """
        for end in "loseConnection", "abortConnection":
            peer, _ = self.accept(HalfPeer())
            peer.transport.loseWriteConnection()
            getattr(peer.transport, end)()
            self.until(lambda: peer.reason)  # noqa: B023
            self.turn()
            self.assertEqual(peer.events, ["made", "lost"])

    def test_when_the_reactor_stops(self) -> None:
        """
        When the reactor stops, protocols are told, as Twisted tells its own, and ports
        are closed.
        """
        server, client = self.pair()
        producer = Peer()
        server.transport.registerProducer(producer, True)
        self.network.disconnect()
        for peer in server, client:
            self.assertIsInstance(peer.reason, ConnectionLost)
        self.assertEqual(producer.events, ["stop"])
        self.assertEqual(self.network._alive, set())
        self.turn()
        self.assertEqual(server.events, ["made", "lost"])


class ProducerTests(LoopTestCase):
    """
    Who writes much is told when to stop.
    """

    def test_push(self) -> None:
        """
        A push producer is told to pause when 64 KiB wait, and to resume when they are
        gone.
        """
        peer, far = self.accept(SO_RCVBUF=4096)
        peer.transport.registerProducer(peer, True)
        size = 0
        while "pause" not in peer.events:
            peer.transport.write(b"x" * 10_000)
            size += 10_000
            self.turn(1)
        waiting = peer.transport._transport.get_write_buffer_size()
        self.assertGreater(waiting, 64 * 1024)
        self.assertLess(waiting, 64 * 1024 + 10_000)
        self.turn()
        self.assertEqual(peer.events, ["made", "pause"])
        self.assertEqual(self.take(far, size), b"x" * size)
        self.assertEqual(peer.events, ["made", "pause", "resume"])

    def test_within_a_turn(self) -> None:
        """
        One that writes until it is told to pause is told, within the turn.
        """
        peer, far = self.accept(SO_RCVBUF=4096)
        peer.transport.registerProducer(peer, True)
        size = 0
        while "pause" not in peer.events:
            self.assertLess(size, 50_000_000)
            peer.transport.write(b"x" * 1000)
            size += 1000
        waiting = peer.transport._transport.get_write_buffer_size()
        self.assertLess(waiting, 2 * 64 * 1024 + 1000)
        self.assertEqual(self.take(far, size), b"x" * size)

    def test_full_already(self) -> None:
        """
        One that is registered when too much waits is told to pause at once.
        """
        peer, far = self.accept(SO_RCVBUF=4096)
        size = self.fill(peer)
        peer.transport.registerProducer(peer, True)
        self.assertEqual(peer.events, ["made", "pause"])
        self.take(far, size)
        self.assertEqual(peer.events, ["made", "pause", "resume"])

    def test_pull(self) -> None:
        """
        A pull producer is asked when what it wrote before is gone, and only then.
        """
        left = [b"%d" % number * 50_000 for number in range(9)]

        def produce(peer: Peer) -> None:
            waiting.append(peer.transport._transport.get_write_buffer_size())
            if left:
                peer.transport.write(left.pop(0))
            else:
                peer.transport.unregisterProducer()

        waiting: list[int] = []
        peer, far = self.narrow(Peer(resume=produce))
        expected = b"".join(left)
        peer.transport.registerProducer(peer, False)
        peer.transport.loseConnection()
        self.assertEqual(peer.events, ["made", "resume"])
        self.assertEqual(self.whole(far), expected + b".")
        self.assertEqual(peer.events, ["made", *["resume"] * 10, "lost"])
        self.assertEqual(waiting, [0] * 10)

    def narrow(self, peer: Any = None) -> tuple[Any, socket.socket]:
        """As C{accept}, but that the system keeps little, at either end."""
        peer, far = self.accept(peer, SO_RCVBUF=4096)
        handle = peer.transport.getHandle()
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        return peer, far

    def test_pull_after_others(self) -> None:
        """
        One that is registered while something waits is asked when that is gone, and
        before.
        """
        peer, far = self.accept(SO_RCVBUF=4096)
        size = self.fill(peer)
        peer.transport.registerProducer(peer, False)
        self.turn()
        self.assertEqual(peer.events, ["made", "resume"])
        self.assertEqual(self.take(far, size), b"x" * size)
        self.assertEqual(peer.events, ["made", "resume", "resume"])

    def test_push_after_pull(self) -> None:
        """
        Who comes after a pull producer may have as much wait as any.
        """
        peer, far = self.narrow()
        peer.transport.registerProducer(peer, False)
        peer.transport.unregisterProducer()
        peer.transport.registerProducer(peer, True)
        peer.transport.write(b"x" * 60_000)
        self.turn()
        waiting = peer.transport._transport.get_write_buffer_size()
        self.assertGreater(waiting, 0)
        self.assertEqual(peer.events, ["made", "resume"])
        self.assertEqual(self.take(far, 60_000), b"x" * 60_000)

    def test_the_last_of_it(self) -> None:
        """
        One can write much and be done with it.
        """

        def produce(peer: Peer) -> None:
            for _ in range(2):
                peer.transport.write(b"x" * 60_000)
            peer.transport.unregisterProducer()

        peer, far = self.accept(Peer(resume=produce))
        peer.transport.registerProducer(peer, False)
        self.assertEqual(self.take(far, 120_000), b"x" * 120_000)
        self.assertEqual(peer.events, ["made", "resume"])

    def test_slow_pull(self) -> None:
        """
        One that does not write when it is asked is not asked again before it has.
        """
        peer, far = self.accept()
        peer.transport.registerProducer(peer, False)
        self.turn()
        self.assertEqual(peer.events, ["made", "resume"])
        far.send(b"?")
        self.turn()
        self.assertEqual(peer.events, ["made", "resume", "heard"])
        peer.transport.write(b"x")
        self.turn()
        self.assertEqual(peer.events, ["made", "resume", "heard", "resume"])

    def test_pull_while_it_hears(self) -> None:
        """
        One that writes much while its protocol hears is asked for more as well.
        """

        def much(peer: Peer) -> None:
            for _ in range(3):
                peer.transport.write(b"x" * 60_000)

        peer, far = self.accept(Peer(heard=much))
        peer.transport.registerProducer(peer, False)
        far.send(b"?")
        self.assertEqual(self.take(far, 180_000), b"x" * 180_000)
        self.assertEqual(peer.events, ["made", "resume", "heard", "resume"])

    def test_a_file(self) -> None:
        """
        A file is sent.
        """
        path = Path(self.mktemp())
        path.write_bytes(os.urandom(700_000))
        peer, far = self.accept(SO_RCVBUF=4096)
        with path.open("rb") as file:
            sent = FileSender().beginFileTransfer(file, peer.transport)
            self.assertEqual(self.take(far, 700_000), path.read_bytes())
        self.successResultOf(sent)

    def test_last_words(self) -> None:
        """
        A producer that was told to wait, or that waits to be asked, has its say before
        the connection closes.
        """
        for half in False, True:
            peer, far = self.accept(HalfPeer(), SO_RCVBUF=4096)
            peer.transport.registerProducer(peer, True)
            size = self.fill(peer)

            def say(peer: Peer) -> None:
                peer.transport.write(b"last words")
                peer.transport.unregisterProducer()

            peer.then["resume"] = say
            if half:
                peer.transport.loseWriteConnection()
            else:
                peer.transport.loseConnection()
            self.assertEqual(self.whole(far), b"x" * size + b"last words.")

    def test_deaf_for_the_last_words(self) -> None:
        """
        While a producer has its say at the end, nothing is heard any more.
        """
        peer, far = self.accept(SO_RCVBUF=4096)
        peer.transport.registerProducer(peer, True)
        self.fill(peer)
        peer.transport.loseConnection()
        far.send(b"not heard")
        self.turn()
        self.assertEqual((peer.heard, peer.reason), (b"", None))
        peer.transport.resumeProducing()
        self.turn()
        self.assertEqual(peer.heard, b"")

    def test_a_producer_that_stays(self) -> None:
        """
        One that may write, but does not, keeps no connection open, as with Twisted's
        transports, whatever the interface says.
        """
        peer, far = self.accept()
        peer.transport.registerProducer(peer, True)
        peer.transport.write(b"bye")
        peer.transport.loseConnection()
        self.assertEqual(self.whole(far), b"bye.")
        self.assertEqual(peer.events, ["made", "stop", "lost"])

    def test_stop(self) -> None:
        """
        When the connection is lost, the producer is told first.
        """
        for streaming in True, False:
            peer, far = self.accept()
            peer.transport.registerProducer(peer, streaming)
            far.close()
            self.until(lambda: peer.reason)  # noqa: B023
            self.assertEqual(peer.events[-2:], ["stop", "lost"])

    def test_too_late(self) -> None:
        """
        One that is registered when it is lost is told to stop at once.
        """
        peer, far = self.accept()
        far.close()
        self.until(lambda: peer.reason)
        peer.transport.registerProducer(peer, True)
        self.assertEqual(peer.events[-1], "stop")
        peer.transport.unregisterProducer()

    def test_two(self) -> None:
        """
        There is one at a time.
        """
        peer, _ = self.accept()
        peer.transport.unregisterProducer()
        peer.transport.registerProducer(peer, True)
        with self.assertRaises(RuntimeError):
            peer.transport.registerProducer(Peer(), True)
        peer.transport.unregisterProducer()
        peer.transport.registerProducer(Peer(), False)
        peer.transport.stopConsuming()
        self.until(lambda: peer.reason)

    def test_interfaces(self) -> None:
        """
        What these tests register are producers.
        """
        verifyObject(IPushProducer, _as(IPushProducer, Peer()))
        verifyObject(IPullProducer, _as(IPullProducer, Peer()))


def _drop(far: socket.socket) -> None:
    """Close with a reset."""
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()


def _as(interface: Any, peer: Peer) -> Peer:
    directlyProvides(peer, interface)
    return peer


class PausingTests(LoopTestCase):
    """
    A protocol hears when it wants to.
    """

    def test_pause(self) -> None:
        """
        What comes while it does not want to hear waits, in the system; then it hears
        all of it, and the end.
        """
        peer, far = self.accept()
        peer.transport.pauseProducing()
        far.send(b"one")
        far.close()
        self.turn()
        self.assertEqual(peer.events, ["made"])
        peer.transport.resumeProducing()
        self.until(lambda: peer.reason)
        self.assertEqual(peer.heard, b"one")
        self.assertEqual(peer.events, ["made", "heard", "lost"])

    def test_from_the_beginning(self) -> None:
        """
        It can want to hear nothing as soon as it is made, whether something has come
        by then or not.
        """

        def pause(peer: Peer) -> None:
            peer.transport.pauseProducing()

        for kind in Peer, HalfPeer:
            peer = kind(made=pause)
            far = self.dial(self.listen(peer))
            for piece in b"one", b"two":
                far.send(piece)
            far.shutdown(socket.SHUT_WR)
            self.turn(20)
            self.assertEqual(peer.events, ["made"])
            peer.transport.resumeProducing()
            self.until(lambda: len(peer.events) > 2)  # noqa: B023
            self.assertEqual(peer.heard, b"onetwo")
            self.assertEqual(peer.events[-1], "lost" if kind is Peer else "read lost")

    def test_again(self) -> None:
        """
        It can change its mind while it hears.
        """
        peer = Peer(
            made=lambda peer: peer.transport.pauseProducing(),
            heard=lambda peer: peer.transport.pauseProducing(),
        )
        far = self.dial(self.listen(peer))
        far.send(b"one")
        self.turn()
        peer.transport.resumeProducing()
        self.assertEqual(peer.heard, b"one")
        far.send(b"two")
        far.close()
        self.turn()
        self.assertEqual(peer.heard, b"one")
        peer.transport.resumeProducing()
        self.turn()
        self.assertEqual((peer.heard, peer.reason), (b"onetwo", None))
        peer.transport.resumeProducing()
        self.until(lambda: peer.reason)

    def test_lost_meanwhile(self) -> None:
        """
        One that hears nothing can be closed, aborted and reset.
        """

        def pause(peer: Peer) -> None:
            peer.transport.pauseProducing()

        for end, reason in (
            ("loseConnection", ConnectionDone),
            ("abortConnection", ConnectionAborted),
        ):
            peer, far = self.accept(Peer(made=pause))
            far.send(b"x")
            self.turn()
            getattr(peer.transport, end)()
            self.until(lambda: peer.reason)  # noqa: B023
            self.assertIsInstance(peer.reason, reason)
            self.assertEqual(peer.events, ["made", "lost"])
            peer.transport.pauseProducing()
            peer.transport.resumeProducing()

    def test_after_the_half(self) -> None:
        """
        One whose peer says no more can pause and resume; it is told that once.
        """
        peer, far = self.accept(HalfPeer())
        far.shutdown(socket.SHUT_WR)
        self.until(lambda: "read lost" in peer.events)
        peer.transport.pauseProducing()
        peer.transport.resumeProducing()
        self.turn()
        self.assertEqual(peer.events, ["made", "read lost"])

    def test_stop(self) -> None:
        """
        To stop producing is to close.
        """
        peer, far = self.accept()
        peer.transport.stopProducing()
        self.assertEqual(self.whole(far), b".")

    def test_the_other_names(self) -> None:
        """
        Twisted's transports are paused by another name as well.
        """
        peer, far = self.accept()
        peer.transport.stopReading()
        far.send(b"x")
        self.turn()
        self.assertEqual(peer.heard, b"")
        peer.transport.startReading()
        self.until(lambda: peer.heard)


class PortTests(LoopTestCase):
    """
    Ports.
    """

    def test_closed(self) -> None:
        """
        A port that is closed takes nobody any more; those who came before still talk.
        """
        peer = Peer()
        port = self.listen(peer)
        far = self.dial(port)
        self.until(lambda: peer.events)
        where = ("127.0.0.1", port.getHost().port)
        self.result(port.stopListening())
        with self.assertRaises(OSError):
            socket.create_connection(where, timeout=5).close()
        far.send(b"x")
        self.until(lambda: peer.heard)

    def test_reopened(self) -> None:
        """
        It can be opened again.
        """
        port = self.listen(Peer())
        self.result(port.stopListening())
        port.factory.protocols = [peer] = [Peer()]
        port.startListening()
        self.dial(port)
        self.until(lambda: peer.events)

    def test_paused(self) -> None:
        """
        It can stop to accept for a while: the system lets them wait.
        """
        peer = Peer()
        port = self.listen(peer)
        port.stopReading()
        port.stopReading()
        far = self.dial(port)
        far.send(b"x")
        self.turn()
        self.assertEqual(peer.events, [])
        port.startReading()
        port.startReading()
        self.until(lambda: peer.heard)

    def test_adopted(self) -> None:
        """
        A socket that listens already is accepted at, and stays open when the port is
        closed: it is somebody else's.
        """
        with socket.create_server(("127.0.0.1", 0), backlog=7) as given:
            peer = Peer()
            port: Any = self.network.adoptStreamPort(
                given.fileno(), socket.AF_INET, Given(peer), backlog=7
            )
            self.dial(port)
            self.until(lambda: peer.events)
            self.assertEqual(self.backlog(given), 7)
            self.result(port.stopListening())
            self.dial(SimpleNamespace(getHost=lambda: peer.transport.getHost()))

    def test_backlog(self) -> None:
        """
        As many may wait as is said. Of a socket that was passed on without a word, not
        fewer than before.
        """
        port: Any = self.network.listenTCP(0, Given(), 33, "127.0.0.1")
        self.addCleanup(self.close, port)
        self.assertEqual(self.backlog(port.socket), 33)
        with socket.create_server(("127.0.0.1", 0), backlog=200) as given:
            port = self.network.adoptStreamPort(given.fileno(), socket.AF_INET, Given())
            self.addCleanup(self.close, port)
            self.assertGreaterEqual(self.backlog(given), 200)

    def backlog(self, listening: socket.socket) -> int:
        if sys.platform != "linux":
            raise SkipTest("only Linux tells it")
        info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        return int(struct.unpack_from("I", info, BACKLOG)[0])

    def test_other_families(self) -> None:
        """
        No socket of another family can be adopted.
        """
        with self.assertRaises(Exception) as caught:
            self.network.adoptStreamPort(0, 999, Given())
        self.assertEqual(type(caught.exception).__name__, "UnsupportedAddressFamily")

    def test_unix_adopted(self) -> None:
        """
        A UNIX socket that listens already can.
        """
        path = self.mktemp()
        with (
            socket.socket(socket.AF_UNIX) as given,
            socket.socket(socket.AF_UNIX) as far,
        ):
            given.bind(path)
            given.listen()
            given.setblocking(False)
            peer = Peer()
            port: Any = self.network.adoptStreamPort(
                given.fileno(), socket.AF_UNIX, Given(peer)
            )
            self.addCleanup(self.close, port)
            far.connect(path)
            far.send(b"x")
            self.until(lambda: peer.heard)

    def test_many(self) -> None:
        """
        Many can come at once, and each has its number.
        """
        peers = [Peer() for _ in range(100)]
        port = self.listen(*peers)
        for number in range(100):
            self.dial(port).send(b"%d" % number)
            self.turn(number % 2)
        self.until(lambda: all(peer.heard for peer in peers))
        self.assertEqual({int(peer.heard) for peer in peers}, {*range(100)})
        self.assertEqual([peer.transport.sessionno for peer in peers], [*range(100)])

    def test_reset_before_it_is_made(self) -> None:
        """
        One that is gone before it was accepted is not bothered with.
        """
        peer = Peer()
        port = self.listen(peer)
        gone = self.dial(port)
        _drop(gone)
        self.dial(port).send(b"x")
        self.until(lambda: peer.heard)


class ClientTests(LoopTestCase):
    """
    Connections that begin here.
    """

    def free(self) -> int:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            return int(taken.getsockname()[1])

    def test_refused(self) -> None:
        """
        Where nobody listens, it is told.
        """
        factory = Given()
        self.network.connectTCP("127.0.0.1", self.free(), factory)
        self.until(lambda: factory.failed)
        self.assertIsInstance(factory.failed, ConnectError)
        self.assertIn("refused", str(factory.failed))

    def test_nobody_there(self) -> None:
        """
        So it is where there is no UNIX socket.
        """
        factory = Given()
        self.network.connectUNIX(self.mktemp(), factory)
        self.until(lambda: factory.failed)
        self.assertIn("No such file", str(factory.failed))

    def test_too_long(self) -> None:
        """
        Where nobody answers in time, it is told.
        """
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            where = full.getsockname()
            waiting = [socket.socket() for _ in range(8)]
            for each in waiting:
                self.addCleanup(each.close)
                each.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    each.connect(where)
            factory = Given(*[Peer() for _ in range(9)])
            self.network.connectTCP("127.0.0.1", where[1], factory, timeout=0.05)
            self.until(lambda: factory.failed)
        self.assertIsInstance(factory.failed, TookTooLong)

    def test_given_up(self) -> None:
        """
        It can be given up at any moment before it is made, and is then not made.
        """
        for turns in range(6):
            factory, server = Given(Peer()), Peer()
            port = self.listen(server)
            connector: Any = self.network.connectTCP(*self.where(port), factory)
            self.turn(turns)
            if connector.state != "connecting":
                connector.disconnect()
                continue
            connector.stopConnecting()
            self.turn(20)
            self.assertIsInstance(factory.failed, UserError)
            self.assertEqual(len(factory.protocols), 1)
            self.assertEqual(self.network._alive - {port}, set())
            self.close(port)

    def where(self, port: Any) -> tuple[str, int]:
        return port.getHost().host, port.getHost().port

    def test_reset_at_once(self) -> None:
        """
        One that is reset before it is made is made all the same, and then lost; it is
        known with whom.
        """
        with socket.create_server(("127.0.0.1", 0)) as listening:
            where = listening.getsockname()
            client = Peer()
            self.network.connectTCP("127.0.0.1", where[1], Given(client))
            self.turn(1)
            accepted, _ = listening.accept()
            _drop(accepted)
            self.until(lambda: client.reason)
        self.assertIsInstance(client.reason, ConnectionLost)
        self.assertEqual(client.transport.getPeer(), IPv4Address("TCP", *where))

    def test_again(self) -> None:
        """
        A connector can connect again.
        """
        server, factory = Given(Peer(), Peer()), Given(Peer(), Peer())
        port: Any = self.network.listenTCP(0, server, interface="127.0.0.1")
        self.addCleanup(self.close, port)
        connector: Any = self.network.connectTCP(*self.where(port), factory)
        for times in 1, 2:
            self.until(lambda: connector.state == "connected")
            connector.disconnect()
            self.until(lambda: factory.lost == times)  # noqa: B023
            connector.connect()
        connector.stopConnecting()

    def test_from_an_address(self) -> None:
        """
        It can be told which address to connect from.
        """
        factory, number = Given(Peer()), self.free()
        client = Peer()
        port: Any = self.network.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(self.close, port)
        self.network.connectTCP(
            *self.where(port), Given(client), bindAddress=("127.0.0.1", number)
        )
        self.until(lambda: client.events)
        self.assertEqual(client.transport.getHost().port, number)
        self.assertEqual(factory.peer.port, number)

    def test_no_protocol(self) -> None:
        """
        A factory that makes no protocol is told that the connection was lost; one that
        fails to make it, that there is none.
        """
        port = self.listen(Peer(), Peer())
        factory = Given(None)
        self.network.connectTCP(*self.where(port), factory)
        self.until(lambda: factory.lost)
        factory = Given(ZeroDivisionError())
        self.network.connectTCP(*self.where(port), factory)
        self.until(lambda: factory.failed)
        self.assertIsInstance(factory.failed, ZeroDivisionError)
        self.turn()
        self.assertEqual(self.network._alive, {port})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_was_put_off(self) -> None:
        """
        What is put off when the connection is made is done before anything is heard.
        A C{ClientCreator} says that it has connected that way.
        """

        def greet(peer: Peer) -> None:
            peer.transport.write(b"220 ready")
            peer.transport.loseConnection()

        port = self.listen(Peer(made=greet))
        creator = ClientCreator(self.network, Peer)
        order: list[str] = []
        connected = creator.connectTCP(*self.where(port))

        def made(peer: Peer) -> None:
            order.extend(peer.events)
            peer.then["lost"] = lambda _: order.extend(peer.events)

        connected.addCallback(made)
        self.until(lambda: len(order) > 1)
        self.assertEqual(order, ["made", "made", "heard", "lost"])

    def test_endpoints(self) -> None:
        """
        Twisted's endpoints make connections of the loop's, when they are given such a
        network.
        """
        path = self.mktemp()
        for listening, connecting in (
            ("tcp:0:interface=127.0.0.1", "tcp:127.0.0.1:{port}"),
            (f"unix:{path}", f"unix:{path}"),
        ):
            server = Peer(heard=lambda peer: peer.transport.write(b"heard"))
            endpoint = serverFromString(self.network, listening)
            port = self.result(endpoint.listen(Given(server)))
            self.addCleanup(self.close, port)
            number = getattr(port.getHost(), "port", None)
            destination = clientFromString(self.network, connecting.format(port=number))
            client = self.result(connectProtocol(destination, Peer()))
            client.transport.write(b"hello")
            self.until(lambda: client.heard)  # noqa: B023
            for peer in server, client:
                self.assertIsInstance(peer.transport, Connection)

    def test_by_name(self) -> None:
        """
        A host is found by its name.
        """
        port = self.listen(Peer(), Peer())
        number = port.getHost().port
        self.network.installNameResolver(Names())
        destination = HostnameEndpoint(self.network, b"rope.example", number)
        client = self.result(connectProtocol(destination, Peer()))
        self.assertIsInstance(client.transport, Connection)


class Names:
    """Knows one name, of this machine."""

    def resolveHostName(
        self, receiver: Any, name: str, portNumber: int = 0, *args: Any, **named: Any
    ) -> Any:
        receiver.resolutionBegan(self)
        receiver.addressResolved(IPv4Address("TCP", "127.0.0.1", portNumber))
        receiver.resolutionComplete()
        return self

    name = "rope.example"

    def cancel(self) -> None: ...


@implementer(IProtocolNegotiationFactory)
class Negotiating(Given):
    """Offers protocols, the best first."""

    def acceptableProtocols(self) -> list[bytes]:
        return [b"h2", b"http/1.1"]


class TLSTests(LoopTestCase):
    """
    TLS is Twisted's, on top of these.
    """

    def secure(self, *protocols: Any, options: Any = None) -> Any:
        """Listen with TLS."""
        port: Any = self.network.listenSSL(
            0,
            Negotiating(*protocols),
            options or self_signed()[0],
            interface="127.0.0.1",
        )
        self.addCleanup(self.close, port)
        return port

    def test_talking(self) -> None:
        """
        What is said on either side is heard on the other, and the end of it.
        """
        server, client = Peer(), Peer()
        port = self.secure(server)
        self.assertIn("TLS", port._type)
        self.network.connectSSL(
            "127.0.0.1", port.getHost().port, Given(client), self_signed()[1]
        )
        self.until(lambda: client.events)
        client.transport.write(b"hello")
        self.until(lambda: server.heard)
        server.transport.write(b"x" * 300_000)
        server.transport.loseConnection()
        self.until(lambda: client.reason and server.reason)
        self.assertEqual((server.heard, len(client.heard)), (b"hello", 300_000))
        for peer in server, client:
            self.assertIsInstance(peer.reason, ConnectionDone)
            self.assertTrue(ISSLTransport.providedBy(peer.transport))

    def test_negotiated(self) -> None:
        """
        What is to be spoken is negotiated (ALPN).
        """
        server = Peer()
        port = self.secure(server)
        context = _trusting()
        context.set_alpn_protocols(["http/1.1", "h2"])
        far = Far(self, self.dial(port), context)
        far.say(b"x")
        self.until(lambda: server.heard)
        self.assertEqual(server.transport.negotiatedProtocol, b"h2")
        self.assertEqual(far.tls.selected_alpn_protocol(), "h2")

    def test_by_name(self) -> None:
        """
        The certificate is the one of the name that is asked for (SNI); C{tls:} has a
        directory of them.
        """
        certificates = Path(self.mktemp())
        certificates.mkdir()
        (certificates / "localhost.pem").write_bytes(make_pem())
        server = Peer()
        endpoint = serverFromString(
            self.network, f"tls:{certificates}:0:interface=127.0.0.1"
        )
        port = self.result(endpoint.listen(Given(server)))
        self.addCleanup(self.close, port)
        far = Far(self, self.dial(port), _trusting())
        far.say(b"x")
        self.until(lambda: server.heard)
        self.assertTrue(far.tls.getpeercert(binary_form=True))

    def test_client_certificates(self) -> None:
        """
        Who connects can be asked for a certificate, and it can be looked at.
        """
        from twisted.internet.ssl import Certificate, PrivateCertificate

        mine = PrivateCertificate.loadPEM(make_pem())
        options = mine.options(Certificate.loadPEM(make_pem()))
        server = Peer()
        port = self.secure(server, options=options)
        pem = Path(self.mktemp())
        pem.write_bytes(make_pem())
        context = _trusting()
        context.load_cert_chain(pem)
        far = Far(self, self.dial(port), context)
        far.say(b"x")
        self.until(lambda: server.heard)
        shown = server.transport.getPeerCertificate()
        subject = shown.to_cryptography().subject.rfc4514_string()
        self.assertEqual(subject, "CN=localhost")

    def test_later(self) -> None:
        """
        TLS can begin in the middle of a conversation.
        """

        def answer(peer: Peer) -> None:
            if not peer.transport.TLS:
                peer.transport.write(b"go on")
                begin(peer)

        def begin(peer: Peer) -> None:
            if not peer.transport.TLS:
                peer.transport.startTLS(contexts[peer])
                peer.transport.write(b" in secret")

        server, client = self.pair(Peer(heard=answer), Peer(heard=begin))
        contexts = dict(zip((server, client), self_signed(), strict=True))
        self.assertFalse(server.transport.TLS)
        client.transport.write(b"begin")
        self.until(lambda: server.heard == b"begin in secret")
        self.until(lambda: client.heard == b"go on in secret")
        for peer in server, client:
            verifyObject(ISSLTransport, peer.transport)
            self.assertTrue(peer.transport.TLS)
        self.assertTrue(client.transport.getPeerCertificate())
        server.transport.loseConnection()
        self.until(lambda: server.reason and client.reason)
        for peer in server, client:
            self.assertIsInstance(peer.reason, ConnectionDone)
            peer.transport.write(b"too late")

    def test_the_other_way_round(self) -> None:
        """
        In TLS, the one that was connected to can be the client.
        """
        server, client = self.pair()
        server.transport.startTLS(self_signed()[1], normal=False)
        client.transport.startTLS(self_signed()[0], normal=False)
        server.transport.write(b"x")
        self.until(lambda: client.heard)
        self.assertTrue(server.transport.getPeerCertificate())

    def test_later_with_a_producer(self) -> None:
        """
        A producer that is registered by then is told to pause and to resume by TLS.
        """
        server, client = self.pair()
        server.transport.registerProducer(server, True)
        server.transport.startTLS(self_signed()[0])
        client.transport.startTLS(self_signed()[1])
        server.transport.write(b"x")
        self.until(lambda: client.heard)
        client.transport.pauseProducing()
        size = 1
        while "pause" not in server.events:
            server.transport.write(b"x" * 65536)
            size += 65536
            self.turn(1)
        client.transport.resumeProducing()
        self.until(lambda: len(client.heard) == size)
        self.assertEqual(server.events, ["made", "pause", "resume"])
        self.assertIsNone(server.reason)

    def test_the_end(self) -> None:
        """
        However a client leaves, and whenever, the protocol is told. (With Twisted's own
        transports on uvloop, one in five is not.)
        """
        ways = (_close, _reset, _half, _garbage, _early, _early_reset, _answered)
        peers = [Peer(heard=_answer, made=_greet) for _ in range(10 * len(ways))]
        port = self.secure(*peers)
        for number in range(len(peers)):
            ways[number % len(ways)](self, self.dial(port))
            self.turn(number % 4)
        self.until(lambda: all(peer.reason for peer in peers))
        for peer in peers:
            self.assertEqual(peer.events.count("lost"), 1)
        self.assertEqual(self.network._alive, {port})


def _greet(peer: Peer) -> None:
    peer.transport.write(b"hello")


def _answer(peer: Peer) -> None:
    peer.transport.write(b"x" * 100_000)
    peer.transport.loseConnection()


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=make_pem().decode())
    context.check_hostname = False
    return context


class Far:
    """
    A client with TLS, of Python's.
    """

    def __init__(
        self, case: LoopTestCase, far: socket.socket, context: ssl.SSLContext
    ) -> None:
        self._case, self.socket = case, far
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        self._do(self.tls.do_handshake)

    def say(self, data: bytes) -> None:
        self._do(self.tls.write, data)

    def _do(self, call: Callable[..., Any], *args: Any) -> None:
        self._case.until(lambda: self._try(call, *args))

    def _try(self, call: Callable[..., Any], *args: Any) -> bool:
        """Call something, unless it waits for the other end."""
        with contextlib.suppress(BlockingIOError):
            self._in.write(self.socket.recv(65536))
        with contextlib.suppress(ssl.SSLWantReadError):
            call(*args)
            self._send()
            return True
        self._send()
        return False

    def _send(self) -> None:
        waiting = self._out.read()
        if waiting:
            self.socket.sendall(waiting)


def _close(case: LoopTestCase, far: socket.socket) -> None:
    """Say something, and close TCP, but not TLS."""
    Far(case, far, _trusting()).say(b"?")
    far.close()


def _reset(case: LoopTestCase, far: socket.socket) -> None:
    """Say something, and reset."""
    Far(case, far, _trusting()).say(b"?")
    _drop(far)


def _half(case: LoopTestCase, far: socket.socket) -> None:
    """Say something, close one half, and never the other."""
    Far(case, far, _trusting()).say(b"?")
    far.shutdown(socket.SHUT_WR)


def _garbage(case: LoopTestCase, far: socket.socket) -> None:
    """Say what is no TLS."""
    far.send(b"GET / HTTP/1.1\r\n\r\n")


def _early(case: LoopTestCase, far: socket.socket) -> None:
    """Leave in the middle of the first message."""
    far.send(b"\x16\x03\x01\x02\x00\x01\x00")
    far.close()


def _early_reset(case: LoopTestCase, far: socket.socket) -> None:
    """Reset in the middle of the first message."""
    far.send(b"\x16\x03\x01\x02\x00\x01\x00")
    case.turn(2)
    _drop(far)


def _answered(case: LoopTestCase, far: socket.socket) -> None:
    """Say something, let it be answered and closed, and reset."""
    Far(case, far, _trusting()).say(b"?")
    case.turn(20)
    _drop(far)


#: A server that may have few descriptors. It says how many bytes it has heard, how much
#: time it has used, and, at the end, who was lost.
FEW = """
import resource, sys, time
from ropewalk.run import reactors
reactors.install()
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import globalLogBeginner, textFileLogObserver
from ropewalk.net.endpoints import Doorway
globalLogBeginner.beginLoggingTo(
    [textFileLogObserver(sys.stderr)], redirectStandardIO=False
)
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
lost = 0

class Clock(Protocol):
    def dataReceived(self, data):
        if data == b"stop":
            reactor.stop()
        self.transport.write(b"%.3f" % time.process_time())

    def connectionLost(self, reason):
        global lost
        lost += 1

factory = Factory.forProtocol(Clock)
factory.noisy = False
doorway = Doorway("tcp:0:interface=127.0.0.1", reactor)
doorway.bind()
doorway.open(factory)
print(doorway.address.port, flush=True)
reactor.callLater(60, reactor.stop)
reactor.run()
print(lost, flush=True)
"""


class ProcessTests(SynchronousTestCase):
    """
    A process of its own.
    """

    def setUp(self) -> None:
        if not find_spec("uvloop"):
            raise SkipTest("no uvloop here")
        self.daemon = subprocess.Popen(
            [sys.executable, "-c", FEW],
            env={**os.environ, "PYTHONPATH": str(ROOT / "platform")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.end)
        assert self.daemon.stdout is not None
        self.port = int(self.daemon.stdout.readline())

    def end(self) -> None:
        self.daemon.kill()
        self.daemon.communicate()

    def dial(self) -> socket.socket:
        dialled = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.addCleanup(dialled.close)
        return dialled

    def ask(self, dialled: socket.socket) -> float | None:
        """The processor's seconds it has used; C{None} if it hangs up."""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            dialled.send(b"?")
            answer = dialled.recv(100)
            return float(answer) if answer else None
        return None

    def test_no_descriptors(self) -> None:
        """
        When no descriptor is left, those who come are turned away at once, those who
        are there are served, it is said once in the log, and costs nothing; when some
        leave, others can come.
        """
        served = []
        turned_away = 0
        while turned_away < 30:
            dialled = self.dial()
            if self.ask(dialled) is None:
                turned_away += 1
            else:
                served.append(dialled)
        self.assertGreater(len(served), 20)
        self.assertLess(len(served), 64)
        before = [self.ask(each) for each in served][-1]
        # Nobody says anything for a while.
        served[0].settimeout(0.3)
        with self.assertRaises(TimeoutError):
            served[0].recv(1)
        after = self.ask(served[-1])
        assert before is not None and after is not None
        self.assertLess(after - before, 0.1)
        for each in served[1:]:
            each.close()
        served[0].settimeout(10)
        self.assertTrue(self.ask(served[0]))
        again = [self.dial() for _ in range(10)]
        self.assertNotIn(None, [self.ask(each) for each in again])
        again[0].send(b"stop")
        _, log = self.daemon.communicate(timeout=20)
        said = [line for line in log.splitlines() if "descriptors" in line]
        self.assertEqual(len(said), 1, log)
        self.assertIn("of 64 file descriptors are in use", said[0])
        self.assertLess(len(log.splitlines()), 10, log)

    def test_stop(self) -> None:
        """
        When the reactor stops, each protocol is told.
        """
        dialled = [self.dial() for _ in range(5)]
        for each in dialled:
            self.ask(each)
        dialled[0].send(b"stop")
        out, log = self.daemon.communicate(timeout=20)
        self.assertEqual(out, "5\n", log)
        self.assertNotIn("Traceback", log)


class DocumentationTests(SynchronousTestCase):
    """
    C{docs/reference/transports.rst} is true.
    """

    def test_page(self) -> None:
        """
        Its examples do what it says.
        """
        names, said = run_page("reference/transports.rst")
        self.assertEqual(said, "")
        self.assertTrue(needs_descriptor(names["Passing"]()))
        wanted: Deferred[Any] = names["connect"](Peer(), MemoryReactorClock())
        self.assertNoResult(wanted)


#: A step of what happens to a connection: somebody does something, with so much of it.
STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 150_000)),
    st.tuples(st.just("pieces"), st.integers(0, 40)),
    st.tuples(st.just("pull"), st.integers(0, 12)),
    st.tuples(st.just("push"), st.integers(0, 300_000)),
    st.tuples(
        st.sampled_from(("pause", "resume", "half", "lose", "abort")), st.just(0)
    ),
    st.tuples(st.just("they say"), st.integers(1, 5000)),
    st.tuples(st.just("they read"), st.integers(1, 200_000)),
    st.tuples(st.just("they end"), st.just(0)),
)


class Pull:
    """
    A pull producer.
    """

    def __init__(self, transport: Any, times: int) -> None:
        self.transport, self.left = transport, times

    def resumeProducing(self) -> None:
        if self.left:
            self.left -= 1
            self.transport.write(b"%05d" % self.left * 2000)
        else:
            self.transport.unregisterProducer()

    def stopProducing(self) -> None:
        self.left = 0


class Push(Pull):
    """
    A push producer that goes on until it is told to pause.
    """

    paused = False

    def resumeProducing(self) -> None:
        self.paused = False
        while self.left > 0 and not self.paused:
            self.transport.write(b"%05d" % self.left * 1000)
            self.left -= 5000
        if not self.paused:
            self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        self.paused = True


class Story:
    """
    What happens to one connection.

    :ivar reader: What has come at the other end.
    :ivar said: What was said there.
    """

    def __init__(self, case: LoopTestCase, where: Any, kind: type[Peer]) -> None:
        self.case = case
        self.peer = kind()
        self.port = case.listen(self.peer, where=where)
        self.far = case.dial(self.port, SO_RCVBUF=4096)
        case.until(lambda: self.peer.events)
        self.transport = self.peer.transport
        handle = self.transport.getHandle()
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        self.reader = Reader(self.far)
        self.said = b""
        self.leaving = self.lost = self.ended = self.aborted = self.deaf = False
        # When a producer has its turn is nobody's to say: what others write meanwhile
        # would be anywhere in between.
        self.producing = False

    @property
    def whole(self) -> bool:
        """Whether nothing that was on its way may have been dropped."""
        heard = self.peer.heard == self.said
        return heard and not (self.aborted or self.ended)

    def over(self) -> bool:
        """Whether both ends know the end of it."""
        self.reader.read()
        return bool(self.reader.end) and self.peer.reason is not None

    def write(self, size: int) -> None:
        if not (self.leaving or self.producing):
            self.transport.write(b"w" * size)

    def pieces(self, times: int) -> None:
        if not (self.leaving or self.producing):
            for number in range(times):
                self.transport.writeSequence([b"%d" % number, b","])
                self.transport.write(b";")

    def pull(self, times: int) -> None:
        if not (self.leaving or self.producing):
            self.producing = True
            self.transport.registerProducer(Pull(self.transport, times), False)

    def push(self, size: int) -> None:
        if not (self.leaving or self.producing):
            self.producing = True
            producer = Push(self.transport, size)
            self.transport.registerProducer(producer, True)
            if not producer.paused:
                producer.resumeProducing()

    def pause(self, _: int) -> None:
        self.deaf = True
        self.transport.pauseProducing()

    def resume(self, _: int) -> None:
        self.deaf = self.lost
        self.transport.resumeProducing()

    def half(self, _: int) -> None:
        # Twisted's own forget it when a producer has its say before.
        if not (self.leaving or self.producing):
            self.leaving = True
            self.transport.loseWriteConnection()

    def lose(self, _: int) -> None:
        self.leaving = self.deaf = self.lost = True
        self.transport.loseConnection()

    def abort(self, _: int) -> None:
        self.leaving = self.aborted = self.deaf = self.lost = True
        self.transport.abortConnection()

    def they_say(self, size: int) -> None:
        if not self.ended:
            with contextlib.suppress(OSError):
                self.said += b"s" * self.far.send(b"s" * size)

    def they_read(self, size: int) -> None:
        for _ in range(8):
            self.reader.read(size)
            self.case.turn(1)

    def they_end(self, _: int) -> None:
        self.ended = True
        with contextlib.suppress(OSError):
            self.far.shutdown(socket.SHUT_WR)

    def settle(self) -> None:
        """Let it hear what is on its way to it."""
        self.case.turn(4)
        if not self.deaf:
            self.case.until(self.heard)

    def heard(self) -> bool:
        """Whether the protocol has heard everything."""
        if self.peer.reason is not None:
            return True
        ended = not self.ended or "read lost" in self.peer.events
        return ended and self.peer.heard == self.said

    def end(self) -> None:
        """Let it come to an end, and read what there is."""
        self.resume(0)
        self.settle()
        self.lose(0)
        self.case.until(self.over)
        self.far.close()
        self.case.turn(20)
        self.case.close(self.port)


class ParityTests(LoopTestCase):
    """
    Whatever happens, it is what happens with Twisted's own transports.
    """

    def setUp(self) -> None:
        super().setUp()
        # Not on uvloop, where Twisted's own do not notice each end.
        self.twisted = SelectReactor()
        self.addCleanup(self.forget)

    def turn(self, times: int = 8) -> None:
        super().turn(times)
        for _ in range(times):
            self.twisted.iterate(0)

    def forget(self) -> None:
        self.twisted.disconnectAll()
        for reader in list(self.twisted._internalReaders):
            self.twisted.removeReader(reader)
            reader.connectionLost(None)

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from((Peer, HalfPeer)), st.lists(STEPS, max_size=10))
    def test_stories(self, kind: type[Peer], steps: list[tuple[str, int]]) -> None:
        """
        What the other end gets, what the protocol hears, in which order it is told
        what, and why it ended, are the same.
        """
        ours = Story(self, self.network, kind)
        theirs = Story(self, self.twisted, kind)
        for what, size in steps:
            for story in ours, theirs:
                getattr(story, what.replace(" ", "_"))(size)
                story.settle()
        for story in ours, theirs:
            story.end()
        self.assertEqual(ours.whole, theirs.whole)
        if ours.whole:
            self.assertEqual(ours.reader.got, theirs.reader.got)
            self.assertEqual(ours.reader.end, theirs.reader.end)
            self.assertEqual(type(ours.peer.reason), type(theirs.peer.reason))
        else:
            got = ours.reader.got, theirs.reader.got
            self.assertTrue(max(got, key=len).startswith(min(got, key=len)))
        self.assertEqual(_once(ours.peer.events), _once(theirs.peer.events))


def _once(events: list[str]) -> list[str]:
    """
    What happened, without how often in a row. That the peer says no more, Twisted's own
    tell again whenever they are resumed.
    """
    told: list[str] = []
    for event in events:
        if [event] != told[-1:] and (event != "read lost" or event not in told):
            told.append(event)
    return told
