"""
Tests for L{ropewalk.testing}.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import TestResult

import txaio
from klein import Klein
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import (
    CannotListenError,
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.interfaces import (
    IConnector,
    IHalfCloseableProtocol,
    IListeningPort,
    IPushProducer,
    IReactorPluggableNameResolver,
    IReactorSSL,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IReactorUNIX,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadSettings, RopewalkError, StartFailed
from ropewalk.interfaces import IHost, Steps
from ropewalk.net.protocols import LineProtocol
from ropewalk.net.sockets import Socket
from ropewalk.plugin import Found, ServicePlugin
from ropewalk.run.statuses import Status
from ropewalk.schema import Shape
from ropewalk.testing import (
    Closed,
    MemoryReactor,
    Restless,
    Silence,
    TestCase,
    clock as clock_module,
    host as host_module,
)

ROOT = Path(__file__).resolve().parent.parent

#: This module, which is a service too.
ECHO = sys.modules[__name__]


# The service.


class Settings(Shape):
    """
    What the echo can be told.

    :ivar starts: Seconds its start takes.
    :ivar stops: Seconds its stop takes.
    :ivar fault: What is wrong with it.
    """

    listen: str = "tcp:7000:interface=127.0.0.1"
    word: str = "echo"
    starts: float = 0.0
    stops: float = 0.0
    fault: str = ""


class EchoLines(LineProtocol):
    """Says what it hears; says nothing to ``hush``."""

    word = ""

    def heard(self, line: str) -> None:
        if line == "bye":
            self.leave("goodbye")
        elif line == "where":
            peer: Any = self._transport.getPeer()
            self.say(peer.host)
        elif line != "hush":
            self.say(f"{self.word} {line}")


class EchoSocket(Socket):
    """Says what it hears, and closes when it hears ``bye``."""

    def heard(self, message: str | bytes) -> None:
        if message == "bye":
            self.shut(4001, "you said bye")
        else:
            self.say(message)


class Pages:
    """What can be asked of the echo over HTTP."""

    routes = Klein()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.waiting: list[Deferred[bytes]] = []

    @routes.route("/say/<word>", methods=["GET", "POST"])
    def say(self, request: Any, word: str) -> bytes:
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return f"{word} {request.content.read().decode()}".strip().encode()

    @routes.route("/slow/<int:seconds>")
    def slow(self, request: Any, seconds: int) -> Deferred[bytes]:
        return deferLater(self._reactor, seconds, lambda: b"at last")

    @routes.route("/nap/<int:seconds>")
    async def nap(self, request: Any, seconds: int) -> bytes:
        await asyncio.sleep(seconds)
        return b"well rested"

    @routes.route("/thread")
    def thread(self, request: Any) -> Deferred[bytes]:
        reactor = self._reactor
        return deferToThreadPool(reactor, reactor.getThreadPool(), lambda: b"threads")

    @routes.route("/cookie")
    def cookie(self, request: Any) -> bytes:
        before: bytes = request.getCookie(b"seen") or b"no"
        request.addCookie(b"seen", b"yes", path=b"/")
        return before

    @routes.route("/elsewhere")
    def elsewhere(self, request: Any) -> bytes:
        request.redirect(b"/echo/say/there")
        return b""

    @routes.route("/where")
    def where(self, request: Any) -> str:
        address = request.getClientAddress()
        return f"{address.host} {request.getRequestHostname().decode()}"

    @routes.route("/broken")
    def broken(self, request: Any) -> bytes:
        raise ZeroDivisionError("broken")


class Echo(MultiService):
    """Starts and stops as it is told to."""

    def __init__(self, settings: Settings, clock: IReactorTime) -> None:
        super().__init__()
        self._settings = settings
        self._clock = clock

    def startService(self) -> Any:
        super().startService()
        if self._settings.fault == "start":
            raise RopewalkError("it does not want to")
        if self._settings.fault == "crash":
            raise ZeroDivisionError("it cannot")
        if self._settings.fault == "timer":
            self._clock.callLater(60, print, "still there")
        if self._settings.fault == "task":
            self._task = asyncio.ensure_future(self.forever())
        return deferLater(self._clock, self._settings.starts)

    def stopService(self) -> Any:
        super().stopService()
        return deferLater(self._clock, self._settings.stops)

    def reconfigure(self, settings: Settings) -> None:
        self._settings = settings
        EchoLines.word = settings.word

    async def forever(self) -> None:
        await asyncio.Event().wait()


def makeService(settings: Settings, host: IHost) -> Service:
    """Build the echo."""
    EchoLines.word = settings.word
    host.web.mount("/echo", Pages(host.reactor).routes)
    host.web.socket("/echo/live", EchoSocket)
    echo = Echo(settings, host.reactor)
    factory: Any = Factory.forProtocol(lambda: EchoLines(host.reactor))
    host.listener(settings.listen, factory).setServiceParent(echo)
    return echo


# Time.


class ClockTests(TestCase):
    """
    Time passes when a test says so, and in order.
    """

    def test_reactor(self) -> None:
        """
        It is a reactor, as far as time, network and threads go.
        """
        for interface in (
            IReactorTime,
            IReactorTCP,
            IReactorSSL,
            IReactorUNIX,
            IReactorThreads,
            IReactorPluggableNameResolver,
        ):
            verifyObject(interface, self.clock)

    @inlineCallbacks
    def test_each_at_its_time(self) -> Steps[None]:
        """
        What is due on the way happens at its time, however far one goes.
        """
        seen: list[tuple[str, float]] = []

        def note(what: str) -> None:
            seen.append((what, self.clock.seconds()))

        loop = LoopingCall(note, "loop")
        loop.clock = self.clock
        loop.start(2, now=False)
        self.clock.callLater(5, note, "later")
        self.clock.callLater(1, note, "first")
        yield self.clock.advance(6)
        loop.stop()
        self.assertEqual(
            seen, [("first", 1), ("loop", 2), ("loop", 4), ("later", 5), ("loop", 6)]
        )
        self.assertEqual(self.clock.seconds(), 6)

    @inlineCallbacks
    def test_now(self) -> Steps[None]:
        """
        What is to happen at once does, in a later turn. So does what is to
        happen in less than a millisecond, as some ask for the next turn.
        """
        seen: list[str] = []
        self.clock.callLater(0, self.clock.callLater, 1e-8, seen.append, "now")
        self.assertEqual(seen, [])
        yield self.clock.settle()
        self.assertEqual((seen, self.clock.seconds()), (["now"], 0))

    @inlineCallbacks
    def test_delayed_calls(self) -> Steps[None]:
        """
        A call can be cancelled, put off and brought forward.
        """
        seen: list[str] = []
        never = self.clock.callLater(1, seen.append, "never")
        later = self.clock.callLater(2, seen.append, "later")
        sooner = self.clock.callLater(9, seen.append, "sooner")
        never.cancel()
        later.delay(3)
        sooner.reset(4)
        self.assertEqual(self.clock.getDelayedCalls(), [sooner, later])
        yield self.clock.advance(4)
        self.assertEqual(seen, ["sooner"])
        yield self.clock.advance(1)
        self.assertEqual(seen, ["sooner", "later"])

    async def test_asyncio(self) -> None:
        """
        asyncio's timers wait for the clock, too.
        """
        nap = asyncio.ensure_future(asyncio.sleep(3600, "rested"))
        gave_up = asyncio.ensure_future(asyncio.wait_for(asyncio.Event().wait(), 60))
        await self.clock.advance(59)
        self.assertFalse(gave_up.done())
        await self.clock.advance(1)
        self.assertIsInstance(gave_up.exception(), TimeoutError)
        await self.clock.advance(3540)
        self.assertEqual(await nap, "rested")
        with self.assertRaises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.gather(asyncio.sleep(6), self.clock.advance(7))

    @inlineCallbacks
    def test_what_comes_of_it(self) -> Steps[None]:
        """
        What comes of a timer has happened before the next, whatever it needs:
        here, asyncio's turns.
        """
        seen: list[float] = []

        async def tick() -> None:
            while len(seen) < 3:
                await deferLater(self.clock, 1)
                await asyncio.sleep(0)
                seen.append(self.clock.seconds())

        ticking = asyncio.ensure_future(tick())
        yield self.clock.advance(3)
        self.assertEqual(seen, [1, 2, 3])
        yield ticking

    @inlineCallbacks
    def test_autobahn(self) -> Steps[None]:
        """
        The timers that Autobahn takes from nobody in particular are the clock's.
        """
        seen: list[str] = []
        txaio.call_later(5, seen.append, "five")
        yield self.clock.advance(5)
        self.assertEqual(seen, ["five"])

    @inlineCallbacks
    def test_failure(self) -> Steps[None]:
        """
        What a call raises is logged, and the others are made all the same.
        """
        seen: list[str] = []
        self.clock.callLater(1, lambda: 1 / 0)
        self.clock.callLater(1, seen.append, "next")
        yield self.clock.advance(1)
        self.assertEqual(seen, ["next"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_epoch(self) -> None:
        """
        Every test begins at the beginning of 2026.
        """
        self.assertEqual(self.clock.seconds(), 0)
        self.assertEqual(self.clock.now(), 1767225600)

    @inlineCallbacks
    def test_restless(self) -> Steps[None]:
        """
        There is an end to waiting for what never ends.
        """
        self.patch(clock_module, "_RESTLESS", 50)
        loop = LoopingCall(lambda: None)
        loop.clock = self.clock
        loop.start(0)
        error = yield self.assertFailure(self.clock.settle(), Restless)
        self.assertIn("LoopingCall", str(error))
        loop.stop()

    @inlineCallbacks
    def test_one_at_a_time(self) -> Steps[None]:
        """
        Two cannot move the clock at once.
        """
        moving = self.clock.advance(5)
        error = yield self.assertFailure(self.clock.advance(1), RuntimeError)
        self.assertEqual(str(error), "advance(5) was not waited for")
        yield moving

    @inlineCallbacks
    def test_threads(self) -> Steps[None]:
        """
        Threads are real, and come home to the real reactor.
        """
        home = threading.current_thread()
        came: Deferred[Any] = Deferred()

        def report() -> None:
            came.callback(threading.current_thread())

        self.clock.callInThread(self.clock.callFromThread, report)
        self.assertIs((yield came), home)


# The wire.


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Protocol):
    """Notes when either half is closed."""

    def __init__(self) -> None:
        self.halves: list[str] = []

    def readConnectionLost(self) -> None:
        self.halves.append("read")

    def writeConnectionLost(self) -> None:
        self.halves.append("write")


class Peer(Protocol):
    """Notes what it gets."""

    transport: Any

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.reason = reason

    @property
    def why(self) -> type[BaseException] | None:
        return None if self.reason is None else self.reason.type


@implementer(IPushProducer)
class Producer:
    """Notes what it is told; produces ten bytes a turn, if it is pulled."""

    def __init__(self, transport: Any) -> None:
        self.told: list[str] = []
        self._transport = transport

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")
        if not self._transport.streamingProducer and len(self.told) < 4:
            self._transport.write(b"0123456789")

    def stopProducing(self) -> None:
        self.told.append("stop")


class WireTests(TestCase):
    """
    A connection in memory is as a connection is.
    """

    @inlineCallbacks
    def pair(self, near: Protocol, far: Protocol, cut: int = 0) -> Steps[None]:
        """Connect two protocols."""
        factory: Any = Factory.forProtocol(lambda: far)
        factory.noisy = False
        port = self.clock.listenTCP(0, factory)
        yield self.clock.dial(port.getHost(), lambda address: near, cut=cut)
        yield port.stopListening()

    @inlineCallbacks
    def test_interfaces(self) -> Steps[None]:
        """
        Its ends are TCP transports, and producers.
        """
        near, far = Peer(), Peer()
        yield self.pair(near, far)
        for interface in (ITCPTransport, IPushProducer):
            verifyObject(interface, near.transport)
        self.assertEqual(near.transport.getHost(), far.transport.getPeer())
        self.assertEqual(far.transport.getHost(), near.transport.getPeer())
        for option in ("NoDelay", "KeepAlive"):
            getattr(near.transport, f"setTcp{option}")(True)
            self.assertTrue(getattr(near.transport, f"getTcp{option}")())

    @inlineCallbacks
    def test_delivery(self) -> Steps[None]:
        """
        What is written arrives soon, not at once, and in one piece.
        """
        near, far = Peer(), Peer()
        yield self.pair(near, far)
        near.transport.write(b"ab")
        near.transport.writeSequence([b"c", b"d"])
        self.assertEqual(far.pieces, [])
        yield self.clock.settle()
        self.assertEqual(far.pieces, [b"abcd"])

    @inlineCallbacks
    def test_pieces(self) -> Steps[None]:
        """
        What is written can be made to arrive in awkward pieces, both ways.
        """
        near, far = Peer(), Peer()
        yield self.pair(near, far, cut=3)
        near.transport.write(b"abcdefgh")
        far.transport.write(b"1234")
        yield self.clock.settle()
        self.assertEqual(far.pieces, [b"abc", b"def", b"gh"])
        self.assertEqual(near.pieces, [b"123", b"4"])

    def test_text(self) -> None:
        """
        A transport takes bytes.
        """
        near, far = Peer(), Peer()
        self.pair(near, far).addCallback(
            lambda _: self.assertRaises(TypeError, near.transport.write, "text")
        )

    @inlineCallbacks
    def test_close(self) -> Steps[None]:
        """
        A connection is closed when all that was written has arrived.
        """
        near, far = Peer(), Peer()
        yield self.pair(near, far)
        near.transport.write(b"last words")
        near.transport.loseConnection()
        yield self.clock.settle()
        self.assertEqual(far.pieces, [b"last words"])
        self.assertEqual((near.why, far.why), (ConnectionDone, ConnectionDone))
        near.transport.write(b"more")
        near.transport.abortConnection()
        yield self.clock.settle()
        self.assertEqual(near.why, ConnectionDone)

    @inlineCallbacks
    def test_abort(self) -> Steps[None]:
        """
        A connection that is aborted is gone, with what was not read.
        """
        near, far = Peer(), Peer()
        yield self.pair(near, far)
        near.transport.write(b"last words")
        near.transport.abortConnection()
        yield self.clock.settle()
        self.assertEqual(far.pieces, [])
        self.assertEqual((near.why, far.why), (ConnectionAborted, ConnectionLost))

    @inlineCallbacks
    def test_half_close(self) -> Steps[None]:
        """
        Who has said all there is to say can still listen.
        """
        near, far = HalfCloseable(), HalfCloseable()
        yield self.pair(near, far)
        transport: Any = near.transport
        transport.loseWriteConnection()
        transport.write(b"more")
        yield self.clock.settle()
        self.assertEqual((near.halves, far.halves), (["write"], ["read"]))
        other: Any = far.transport
        self.assertTrue(transport.connected and other.connected)
        other.loseConnection()
        yield self.clock.settle()
        self.assertEqual(near.halves, ["write", "read"])
        transport.loseConnection()
        yield self.clock.settle()
        self.assertFalse(transport.connected)

    @inlineCallbacks
    def test_end_of_file(self) -> Steps[None]:
        """
        A protocol that knows no halves closes when the other has said all.
        """
        near, far = Peer(), Peer()
        yield self.pair(near, far)
        near.transport.write(b"that is all")
        near.transport.loseWriteConnection()
        yield self.clock.settle()
        self.assertEqual(far.pieces, [b"that is all"])
        self.assertEqual((near.why, far.why), (ConnectionDone, ConnectionDone))

    @inlineCallbacks
    def test_writing_to_nobody(self) -> Steps[None]:
        """
        Who writes when nobody is there any more loses the connection.
        """
        near, far = HalfCloseable(), Peer()
        lost: list[Any] = []
        near.connectionLost = lost.append  # type: ignore[assignment, method-assign]
        yield self.pair(near, far)
        far.transport.loseConnection()
        yield self.clock.settle()
        self.assertEqual((near.halves, lost), (["read"], []))
        transport: Any = near.transport
        transport.write(b"hello?")
        yield self.clock.settle()
        self.assertEqual(lost[0].type, ConnectionLost)

    @inlineCallbacks
    def test_who_does_not_read(self) -> Steps[None]:
        """
        A peer that does not read is felt by the producer at the other end, from
        64 KiB on, and gets it all when it reads again.
        """
        near, far = Peer(), Peer()
        yield self.pair(near, far)
        producer = Producer(near.transport)
        near.transport.registerProducer(producer, True)
        far.transport.pauseProducing()
        near.transport.write(b"x" * 65536)
        yield self.clock.settle()
        self.assertEqual((producer.told, far.pieces), ([], []))
        near.transport.write(b"x")
        self.assertEqual(producer.told, ["pause"])
        far.transport.resumeProducing()
        yield self.clock.settle()
        self.assertEqual(producer.told, ["pause", "resume"])
        self.assertEqual(len(b"".join(far.pieces)), 65537)
        far.transport.stopProducing()
        yield self.clock.settle()
        self.assertEqual(producer.told, ["pause", "resume", "stop"])

    @inlineCallbacks
    def test_goodbye_to_who_does_not_read(self) -> Steps[None]:
        """
        A peer that does not read learns that the connection is closed when it
        has read what was said before.
        """
        near, far = Peer(), Peer()
        yield self.pair(near, far)
        far.transport.pauseProducing()
        near.transport.write(b"last words")
        near.transport.loseConnection()
        yield self.clock.settle()
        self.assertEqual((near.why, far.why), (None, None))
        far.transport.resumeProducing()
        yield self.clock.settle()
        self.assertEqual(far.pieces, [b"last words"])
        self.assertEqual((near.why, far.why), (ConnectionDone, ConnectionDone))

    @inlineCallbacks
    def test_pull_producer(self) -> Steps[None]:
        """
        A producer that is pulled is asked for more when all has been taken, and
        the connection is closed when it has no more.
        """
        near, far = Peer(), Peer()
        yield self.pair(near, far)
        producer = Producer(near.transport)
        near.transport.registerProducer(producer, False)
        self.assertRaises(
            RuntimeError, near.transport.registerProducer, producer, False
        )
        near.transport.loseConnection()
        yield self.clock.settle()
        self.assertEqual(b"".join(far.pieces), b"0123456789" * 3)
        self.assertIsNone(far.why)
        near.transport.unregisterProducer()
        yield self.clock.settle()
        self.assertEqual(far.why, ConnectionDone)
        near.transport.registerProducer(producer, True)
        self.assertEqual(producer.told[-1], "stop")

    @inlineCallbacks
    def test_protocol_that_raises(self) -> Steps[None]:
        """
        A protocol that raises loses its connection; the log has the error.
        """

        class Bad(Peer):
            def dataReceived(self, data: bytes) -> None:
                raise ZeroDivisionError

        near, far = Peer(), Bad()
        yield self.pair(near, far)
        near.transport.write(b"hello")
        yield self.clock.settle()
        self.assertEqual((near.why, far.why), (ConnectionDone, ZeroDivisionError))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class NetworkTests(TestCase):
    """
    A network in memory is as a network is, but that all of it is one machine.
    """

    @inlineCallbacks
    def meet(self, server: str, client: str) -> Steps[tuple[Any, Any]]:
        """Listen, connect, and return what the two ends are."""
        there: Deferred[Protocol] = Deferred()

        class Greeter(Protocol):
            def connectionMade(self) -> None:
                there.callback(self)

        factory: Any = Factory.forProtocol(Greeter)
        port = yield serverFromString(self.clock, server).listen(factory)
        verifyObject(IListeningPort, port)
        endpoint = clientFromString(self.clock, client)
        near = yield endpoint.connect(Factory.forProtocol(Protocol))  # type: ignore[arg-type]
        return near, (yield there)

    @inlineCallbacks
    def test_endpoint_strings(self) -> Steps[None]:
        """
        Endpoint strings lead from one place to another.
        """
        for server, client in (
            ("tcp:7000", "tcp:127.0.0.1:7000"),
            ("tcp:7001:interface=127.0.0.1", "tcp:example.org:7001"),
            ("tcp6:7002:interface=\\:\\:1", "tcp:\\:\\:1:7002"),
            ("unix:/run/echo", "unix:/run/echo"),
        ):
            near, far = yield self.meet(server, client)
            self.assertEqual(near.transport.getPeer(), far.transport.getHost())
            self.assertEqual(near.transport.getHost(), far.transport.getPeer())

    @inlineCallbacks
    def test_taken(self) -> Steps[None]:
        """
        Two cannot listen at one place, until one of them stops.
        """
        factory: Any = Factory.forProtocol(Protocol)
        port = self.clock.listenTCP(7000, factory, interface="127.0.0.1")
        self.assertRaises(CannotListenError, self.clock.listenTCP, 7000, factory)
        self.clock.listenTCP(7000, factory, interface="127.0.0.2")
        yield port.stopListening()
        yield port.stopListening()
        self.clock.listenTCP(7000, factory, interface="127.0.0.1")
        first, second = (self.clock.listenTCP(0, factory).getHost() for _ in "ab")
        self.assertNotEqual(first, second)

    @inlineCallbacks
    def test_exact_address(self) -> Steps[None]:
        """
        Of two who listen on one port, the one whose address is called answers.
        """
        where: list[str] = []

        class Here(Factory):
            def __init__(self, name: str) -> None:
                self.name = name

            def buildProtocol(self, addr: Any) -> None:
                where.append(self.name)

        for name in ("127.0.0.1", "127.0.0.2"):
            here: Any = Here(name)
            self.clock.listenTCP(7000, here, interface=name)
        for name in ("127.0.0.2", "127.0.0.1"):
            endpoint = clientFromString(self.clock, f"tcp:{name}:7000")
            yield endpoint.connect(Factory.forProtocol(Protocol))  # type: ignore[arg-type]
        self.assertEqual(where, ["127.0.0.2", "127.0.0.1"])

    @inlineCallbacks
    def test_refused(self) -> Steps[None]:
        """
        Nobody gets through to where nobody listens: a test has no other network.
        """
        endpoint = clientFromString(self.clock, "tcp:example.org:80")
        factory: Any = Factory.forProtocol(Protocol)
        error = yield self.assertFailure(
            endpoint.connect(factory), ConnectionRefusedError
        )
        self.assertIn("nobody listens", str(error))

    @inlineCallbacks
    def test_declined(self) -> Steps[None]:
        """
        A factory that declines a connection closes it.
        """

        class Decline(Factory):
            def buildProtocol(self, addr: Any) -> None:
                return None

        decline: Any = Decline()
        self.clock.listenTCP(7000, decline)
        peer = Peer()
        yield clientFromString(self.clock, "tcp:example.org:7000").connect(
            Factory.forProtocol(lambda: peer)  # type: ignore[arg-type]
        )
        yield self.clock.settle()
        self.assertEqual(peer.why, ConnectionDone)

    @inlineCallbacks
    def test_connector(self) -> Steps[None]:
        """
        A client factory is told of its connector's fortunes.
        """
        told: list[str] = []

        class Told(ClientFactory):
            protocol = Peer
            noisy = False

            def startedConnecting(self, connector: Any) -> None:
                told.append("started")

            def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
                told.append("lost")

            def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
                told.append(reason.getErrorMessage().partition(":")[0])

        factory: Any = Factory.forProtocol(Peer)
        self.clock.listenTCP(7000, factory)
        connector = self.clock.connectTCP("example.org", 7000, Told())
        verifyObject(IConnector, connector)
        self.assertEqual(connector.getDestination().port, 7000)
        yield self.clock.settle()
        connector.disconnect()
        yield self.clock.settle()
        stopped = self.clock.connectTCP("example.org", 7000, Told())
        stopped.stopConnecting()
        self.clock.connectTCP("example.org", 9, Told())
        yield self.clock.settle()
        self.assertEqual(told[:2], ["started", "lost"])
        self.assertEqual(told[2:4], ["started", "User aborted connection"])
        self.assertEqual(told[4:], ["started", "Connection was refused by other side"])

    @inlineCallbacks
    def test_shutdown(self) -> Steps[None]:
        """
        What stops the reactor has done what is to be done before it stops.
        """
        done: list[str] = []
        for phase in ("after", "during", "before"):
            self.clock.addSystemEventTrigger(phase, "shutdown", done.append, phase)
        not_this = self.clock.addSystemEventTrigger(
            "during", "shutdown", done.append, "not this"
        )
        self.clock.removeSystemEventTrigger(not_this)
        self.clock.stop()
        yield self.clock.settle()
        self.assertEqual(done, ["before", "during", "after"])


# The host.


class HostTests(TestCase):
    """
    A host in memory is the daemon's, started and stopped as the daemon does it.
    """

    @inlineCallbacks
    def test_by_module(self) -> Steps[None]:
        """
        A module is a service whose table is the last word of its name; its
        settings are keyword arguments.
        """
        host = yield self.start(ECHO, word="well")
        lines = host.lines("test_testing")
        yield lines.send("hello")
        self.assertEqual((yield lines.receive()), "well hello")

    @inlineCallbacks
    def test_by_declaration(self) -> Steps[None]:
        """
        A declaration is a service; its settings are TOML as well.
        """
        echo = ServicePlugin("echo", __name__)
        host = yield self.start(
            echo, settings='[echo]\nword = "oh"\n[web]\nlisten = ["tcp:80"]'
        )
        lines = host.lines("echo")
        yield lines.send("hello")
        self.assertEqual((yield lines.receive()), "oh hello")
        self.assertEqual((yield host.http("tcp:80").get("/echo/say/hi")).text, "hi")

    @inlineCallbacks
    def test_by_name(self) -> Steps[None]:
        """
        A name is that of an installed service, found as the daemon finds it;
        what the test brings is stronger.
        """
        plugins = ServicePlugin("echo", __name__), ServicePlugin("second", "nowhere")
        self.patch(host_module, "discover", lambda: Found(plugins))
        second = ServicePlugin("second", __name__)
        host = yield self.start("echo", settings="[echo]\nlisten = 'tcp:7001'")
        other = yield self.start(
            "echo", second, settings="[web]\nlisten = ['tcp:81']\n[second]\nlisten=''"
        )
