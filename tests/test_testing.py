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
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any
from unittest import TestResult

import txaio.tx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from klein import Klein
from klein.resource import KleinResource
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
from ropewalk.hub import ChannelRule
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
)
from ropewalk.testing import clock as clock_module
from ropewalk.testing import host as host_module

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


def nobody() -> bytes:
    """A key, and the certificate by which nobody says who they are, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    now = datetime.now(UTC)
    builder = builder.not_valid_before(now - timedelta(days=1))
    builder = builder.not_valid_after(now + timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(Encoding.PEM) + key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


#: A service in a file of its own.
ALONE = """\
import beside
from klein import Klein
from twisted.application.service import Service
from ropewalk.schema import Shape

class Settings(Shape):
    word: str

words = []

class Pages:
    routes = Klein()

    @routes.route("/")
    def all(self, request):
        return str(words).replace("'", '"')

def makeService(settings, host):
    words.append(settings.word)
    host.web.mount("/", Pages().routes)
    return Service()
"""


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
        txaio.tx.call_later(5, seen.append, "five")
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

    @inlineCallbacks
    def test_text(self) -> Steps[None]:
        """
        A transport takes bytes.
        """
        near, far = Peer(), Peer()
        yield self.pair(near, far)
        self.assertRaises(TypeError, near.transport.write, "text")

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
        near = yield endpoint.connect(Factory.forProtocol(Protocol))
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
            yield endpoint.connect(Factory.forProtocol(Protocol))
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
            Factory.forProtocol(lambda: peer)
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
                told.append(type(reason.value).__name__)

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
        self.assertEqual(told[2:4], ["started", "UserError"])
        self.assertEqual(told[4:], ["started", "ConnectionRefusedError"])

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
        A name is that of an installed service, found as the daemon finds it.
        """
        installed = Found((ServicePlugin("echo", __name__),))
        self.patch(host_module, "discover", lambda: installed)
        host = yield self.start("echo", word="hey")
        lines = host.lines("echo")
        yield lines.send("hello")
        self.assertEqual((yield lines.receive()), "hey hello")
        unknown = self.start("ecko", settings='[web]\nlisten = ["tcp:81"]')
        error = yield self.assertFailure(unknown, BadSettings)
        self.assertIn("unknown table; did you mean [echo]?", str(error))

    @inlineCallbacks
    def test_serve(self) -> Steps[None]:
        """
        Whatever can be mounted can be served by itself, at the path ``/``.
        """
        for app in Pages(self.clock).routes, KleinResource(Pages(self.clock).routes):
            host = yield self.serve(app, settings='[web]\nlisten = ["tcp:80"]')
            said = yield host.http("tcp:80").get("/say/hi")
            self.assertEqual(said.text, "hi")
            yield host.stop()
        error = yield self.assertFailure(self.serve(object()), StartFailed)
        self.assertIn("neither a klein.Klein, a twisted.web", str(error))

    @inlineCallbacks
    def test_serve_a_file(self) -> Steps[None]:
        """
        A Python file is a service called like the file; its name starts where the
        test is written.
        """
        host = yield self.serve("../examples/hello/hello.py")
        self.assertEqual((yield host.http().get("/")).text, "Hello.\n")

    @inlineCallbacks
    def test_serve_a_file_anew(self) -> Steps[None]:
        """
        A file is run anew each time, has settings, and finds what is next to it.
        Whoever has imported it keeps what they have.
        """
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        (directory / "beside.py").write_text("")
        (directory / "alone.py").write_text(ALONE)
        before = sys.modules["alone"] = ModuleType("alone")
        self.addCleanup(sys.modules.pop, "alone")
        self.addCleanup(sys.modules.pop, "beside", None)
        paths = [*sys.path]
        self.addCleanup(lambda: self.assertEqual(sys.path, paths))
        self.addCleanup(lambda: self.assertIs(sys.modules["alone"], before))
        for word in "first", "second":
            host = yield self.serve(directory / "alone.py", word=word)
            self.assertEqual((yield host.http().get("/")).json(), [word])
            yield host.stop()

    @inlineCallbacks
    def test_serve_no_file(self) -> Steps[None]:
        """
        A file that is not there, and one that is no Python, are named.
        """
        for name in "nowhere.py", __file__ + "c":
            error = yield self.assertFailure(self.serve(name), BadSettings)
            self.assertIn(f"{name}: no such file", str(error))

    @inlineCallbacks
    def test_settings_file(self) -> Steps[None]:
        """
        Settings can be a file, and come from the environment; the names of
        files in them start where it is.
        """
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "word").write_text("filed")
        file = directory / "ropewalk.toml"
        file.write_text('[test_testing]\nword = { file = "word" }\n')
        environ = {"ROPEWALK_TEST_TESTING__LISTEN": "tcp:7005"}
        host = yield self.start(ECHO, settings=file, environ=environ)
        lines = host.lines("tcp:7005")
        yield lines.send("away")
        self.assertEqual((yield lines.receive()), "filed away")

    @inlineCallbacks
    def test_bad_settings(self) -> Steps[None]:
        """
        Settings are refused as the daemon refuses them, in its words.
        """
        error = yield self.assertFailure(self.start(ECHO, word=5), BadSettings)
        self.assertEqual(
            str(error),
            "the test's settings:3: [test_testing] word: expected text, got 5",
        )
        error = yield self.assertFailure(
            self.start(ECHO, strats=[1.5, True, {"a": "b"}]), BadSettings
        )
        self.assertIn("starts", str(error))

    @inlineCallbacks
    def test_whose_settings(self) -> Steps[None]:
        """
        Keyword arguments are the settings of one service, said in one place.
        """
        twice = self.start(ECHO, settings="[test_testing]", word="twice")
        error = yield self.assertFailure(twice, TypeError)
        self.assertIn("whose settings are word?", str(error))
        yield self.assertFailure(self.start(ECHO, word=object()), TypeError)

    @inlineCallbacks
    def test_start_that_fails(self) -> Steps[None]:
        """
        A start that fails says so as the daemon does, and nobody gets in.
        """
        refused = self.start(ECHO, fault="start")
        error = yield self.assertFailure(refused, StartFailed)
        self.assertEqual(
            str(error), "service 'test_testing' did not start: it does not want to"
        )
        endpoint = clientFromString(self.clock, "tcp:127.0.0.1:7000")
        nobody: Any = Factory.forProtocol(Protocol)
        yield self.assertFailure(endpoint.connect(nobody), ConnectError)
        crashed = self.start(ECHO, fault="crash")
        yield self.assertFailure(crashed, StartFailed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    @inlineCallbacks
    def test_start_that_takes_time(self) -> Steps[None]:
        """
        What takes time at the start takes the clock's, to the deadline.
        """
        starting = self.start(ECHO, starts=5)
        yield self.clock.advance(5)
        host = yield starting
        yield host.stop()
        starting = self.start(ECHO, starts=60)
        failed = self.assertFailure(starting, StartFailed)
        yield self.clock.advance(30)
        self.assertIn("still starting after 30 seconds", str((yield failed)))

    @inlineCallbacks
    def test_start_that_waits_for_the_clock(self) -> Steps[None]:
        """
        Who waits for such a start without moving the clock is told soon.
        """
        self.clock.patience = 0.01
        error = yield self.assertFailure(self.start(ECHO, starts=5), Silence)
        self.assertIn(
            "the service 'test_testing' is still starting; the clock stands at 0 s, "
            "the next timer is at 5 s",
            str(error),
        )

    @inlineCallbacks
    def test_stop(self) -> Steps[None]:
        """
        A test can stop its host, see everybody told goodbye, and learn how the
        daemon would have ended.
        """
        host = yield self.start(ECHO, stops=3)
        http, lines = host.http(), host.lines("tcp:7000")
        socket = host.socket("/echo/live")
        yield http.send("GET", "/echo/slow/2")
        yield lines.send("hush")
        yield socket.send("hello")
        stopping = host.stop()
        self.assertEqual((yield lines.receive()), "* goodbye: shutting down")
        yield self.assertFailure(host.http().get("/"), ConnectionRefusedError)
        yield self.clock.advance(2)
        response = yield http.receive()
        self.assertEqual(response.text, "at last")
        yield self.clock.advance(3)
        self.assertIs((yield stopping), Status.STOPPED)
        self.assertEqual((yield socket.receive()), "hello")
        self.assertEqual((yield socket.closed), (1001, "shutting down"))
        again = yield self.start(ECHO)
        self.assertEqual((yield again.http().get("/echo/say/hi")).text, "hi")

    @inlineCallbacks
    def test_stop_that_leaves_something_behind(self) -> Steps[None]:
        """
        A stop beyond the deadline ends as the daemon would.
        """
        host = yield self.start(ECHO, stops=60, settings="[host]\nstop_deadline = 5")
        stopping = host.stop()
        yield self.clock.advance(5)
        self.assertIs((yield stopping), Status.LEFT_BEHIND)
        yield self.clock.advance(55)

    @inlineCallbacks
    def test_stopped_from_inside(self) -> Steps[None]:
        """
        A service that stops the reactor stops the host.
        """
        host = yield self.start(ECHO)
        lines = host.lines("tcp:7000")
        self.clock.callLater(1, self.clock.stop)
        yield self.clock.advance(1)
        self.assertEqual((yield lines.receive()), "* goodbye: shutting down")

    @inlineCallbacks
    def test_reload(self) -> Steps[None]:
        """
        A host takes new settings as the daemon does; bad ones change nothing.
        """
        host = yield self.start(ECHO)
        lines = host.lines("tcp:7000")
        (change,) = yield host.reload(word="new")
        self.assertTrue(change.applied)
        self.assertEqual((yield host.reload(word=5)), ())
        yield lines.send("word")
        self.assertEqual((yield lines.receive()), "new word")
        report = yield host.reload(settings="[web]\naccess_log = false", word="new")
        self.assertEqual([each.table for each in report], ["web"])

    @inlineCallbacks
    def test_health(self) -> Steps[None]:
        """
        The pages that are the daemon's own are there, too.
        """
        host = yield self.start(ECHO)
        ready = yield host.http().get("/health/ready")
        self.assertEqual(ready.json()["state"], "ready")
        self.assertEqual((yield host.http().get("/nowhere")).status, 404)

    @inlineCallbacks
    def test_hub(self) -> Steps[None]:
        """
        A test can publish into the channels of its host, at the clock's time.
        """
        host = yield self.start(ECHO)
        yield self.clock.advance(60)
        message = yield host.hub.publish("news", "nothing")
        self.assertEqual(message.at, self.clock.now())

    @inlineCallbacks
    def test_hub_clock(self) -> Steps[None]:
        """
        What becomes too old there does so by the test's clock, and what has not when
        the test ends is nothing left behind.
        """
        host = yield self.start(ECHO)
        host.hub.declare("news", ChannelRule(keep_for=10))
        yield host.hub.publish("news", "old")
        yield self.clock.advance(10)
        self.assertEqual((yield host.hub.history("news")), [])
        yield host.hub.publish("news", "new")

    @inlineCallbacks
    def test_where(self) -> Steps[None]:
        """
        A listener is found by its endpoint's port or by its owner; one that is
        not there is an error that says which are.
        """
        host = yield self.start(ECHO, settings='[web]\nlisten = ["tcp:80", "tcp6:81"]')
        for where in ("tcp:80", "tcp:80:interface=127.0.0.1"):
            self.assertEqual((yield host.http(where).get("/echo/where")).status, 200)
        there = (
            "there are ['tcp:7000:interface=127.0.0.1 of test_testing', "
            "'tcp:80 of web', 'tcp6:81 of web']"
        )
        for where, problem in (
            ("tcp:9", "nobody listens at tcp:9"),
            ("web", "several listeners are meant at web"),
        ):
            with self.assertRaises(LookupError) as caught:
                host.lines(where)
            self.assertEqual(str(caught.exception), f"{problem}; {there}")

    @inlineCallbacks
    def test_every_kind_of_address(self) -> Steps[None]:
        """
        A site answers at a UNIX socket, over IPv6, and at a port that nobody
        chose.
        """
        for listen in ("unix:/run/echo", "tcp6:80:interface=\\:\\:1", "tcp:0"):
            settings = f"[web]\nlisten = ['{listen}']"
            host = yield self.start(ECHO, settings=settings)
            self.assertEqual((yield host.http().get("/echo/say/hi")).text, "hi")
            socket = host.socket("/echo/live")
            yield socket.send("hello")
            self.assertEqual((yield socket.receive()), "hello")
            yield host.stop()

    @inlineCallbacks
    def test_tls(self) -> Steps[None]:
        """
        Where TLS is spoken, the clients speak it, too, and believe everybody.
        """
        directory = Path(self.mktemp())
        directory.mkdir()
        pem = directory / "nobody.pem"
        pem.write_bytes(nobody())
        listen = f"ssl:8443:privateKey={pem}:certKey={pem}"
        host = yield self.start(ECHO, settings=f"[web]\nlisten = ['{listen}']")
        self.assertEqual((yield host.http().get("/echo/say/hi")).text, "hi")
        socket = host.socket("/echo/live")
        yield socket.send("hello")
        self.assertEqual((yield socket.receive()), "hello")
        yield host.stop()
        self.assertEqual((yield socket.closed).code, 1001)


# The clients.


class HTTPTests(TestCase):
    """
    Somebody who speaks HTTP.
    """

    @inlineCallbacks
    def test_request(self) -> Steps[None]:
        """
        A request is sent with what treq takes, and a response has its parts.
        """
        http = (yield self.start(ECHO)).http(cut=1)
        response = yield http.post("/echo/say/hi", json={"a": 1})
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers["Content-Type"], "text/plain; charset=utf-8")
        self.assertIsNone(response.headers["X-Nothing"])
        self.assertEqual(response.text, 'hi {"a":1}')
        live = yield http.get("/health/live")
        self.assertEqual(live.body, b'{\n  "live": true\n}\n')
        self.assertEqual(live.json(), {"live": True})

    @inlineCallbacks
    def test_order(self) -> Steps[None]:
        """
        Responses are received in the order of the requests, whichever is there
        first.
        """
        http = (yield self.start(ECHO)).http()
        yield http.send("GET", "/echo/slow/5")
        yield http.send("GET", "/echo/say/quick")
        yield self.clock.advance(5)
        self.assertEqual((yield http.receive()).text, "at last")
        self.assertEqual((yield http.receive()).text, "quick")

    @inlineCallbacks
    def test_silence(self) -> Steps[None]:
        """
        A response that does not come is missed soon, with the time at which
        more may happen.
        """
        http = (yield self.start(ECHO)).http()
        self.clock.patience = 0.01
        error = yield self.assertFailure(http.get("/echo/slow/5"), Silence)
        self.assertIn("no response has come to GET /echo/slow/5; the clock", str(error))
        error = yield self.assertFailure(http.receive(), Silence)
        self.assertEqual(str(error), "no request is waiting for its response")
        yield self.clock.advance(5)

    @inlineCallbacks
    def test_asyncio(self) -> Steps[None]:
        """
        A handler that sleeps as asyncio does sleeps until the clock says.
        """
        http = (yield self.start(ECHO)).http()
        yield http.send("GET", "/echo/nap/3600")
        yield self.clock.advance(3600)
        self.assertEqual((yield http.receive()).text, "well rested")

    @inlineCallbacks
    def test_thread(self) -> Steps[None]:
        """
        What a thread has to do first is waited for.
        """
        http = (yield self.start(ECHO)).http()
        self.assertEqual((yield http.get("/echo/thread")).text, "threads")

    @inlineCallbacks
    def test_browser(self) -> Steps[None]:
        """
        A client keeps its own cookies, and follows no redirect unless told to.
        """
        host = yield self.start(ECHO)
        http = host.http()
        self.assertEqual((yield http.get("/echo/cookie")).text, "no")
        self.assertEqual((yield http.get("/echo/cookie")).text, "yes")
        self.assertEqual((yield host.http().get("/echo/cookie")).text, "no")
        there = yield http.get("/echo/elsewhere")
        self.assertEqual(there.status, 302)
        there = yield http.get("/echo/elsewhere", allow_redirects=True)
        self.assertEqual(there.text, "there")

    @inlineCallbacks
    def test_where_from(self) -> Steps[None]:
        """
        A client comes from the address, and asks for the host, that it is told.
        """
        http = (yield self.start(ECHO)).http(peer="203.0.113.7")
        self.assertEqual((yield http.get("/echo/where")).text, "203.0.113.7 127.0.0.1")
        there = yield http.get("http://example.org/echo/where")
        self.assertEqual(there.text, "203.0.113.7 example.org")

    @inlineCallbacks
    def test_error(self) -> Steps[None]:
        """
        What fails in a handler is in the log, where it fails the test unless
        that expects it.
        """
        http = (yield self.start(ECHO)).http()
        self.assertEqual((yield http.get("/echo/broken")).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    @inlineCallbacks
    def test_cut_off(self) -> Steps[None]:
        """
        A request whose connection is lost fails as with any client.
        """
        http = (yield self.start(ECHO)).http()
        yield http.send("GET", "/echo/slow/5")
        self.clock.cut_off()
        yield self.assertFailure(http.receive(), ResponseNeverReceived)
        yield self.clock.advance(5)

    @inlineCallbacks
    def test_close(self) -> Steps[None]:
        """
        A client keeps its connection until it closes it.
        """
        host = yield self.start(ECHO)
        http = host.http()
        for _ in range(3):
            yield http.get("/echo/say/hi")
        (web,) = host._host.owned_by("web")
        self.assertEqual(len(web.connections), 1)
        yield http.close()
        self.assertEqual(len(web.connections), 0)


class SocketTests(TestCase):
    """
    Somebody who speaks WebSocket.
    """

    @inlineCallbacks
    def test_messages(self) -> Steps[None]:
        """
        Text, bytes and JSON go out; text and bytes come in.
        """
        socket = (yield self.start(ECHO)).socket("/echo/live", cut=1)
        for message in ("größer", b"\x00\xff", {"a": [1]}):
            yield socket.send(message)
        text, data, value = yield socket.received()
        self.assertEqual((text, data), ("größer", b"\x00\xff"))
        self.assertEqual(value.json(), {"a": [1]})

    @inlineCallbacks
    def test_closed_by_the_server(self) -> Steps[None]:
        """
        How the server closed is seen, and said to who goes on.
        """
        socket = (yield self.start(ECHO)).socket("/echo/live")
        yield socket.send("last")
        yield socket.send("bye")
        self.assertEqual((yield socket.closed), (4001, "you said bye"))
        self.assertEqual((yield socket.closed).code, 4001)
        self.assertEqual((yield socket.receive()), "last")
        for going_on in (socket.receive, lambda: socket.send("more")):
            error = yield self.assertFailure(going_on(), Closed)
            self.assertEqual(
                str(error),
                "the WebSocket ws://127.0.0.1:8080/echo/live: closed with 4001, "
                "'you said bye'; after ['last']",
            )

    @inlineCallbacks
    def test_close(self) -> Steps[None]:
        """
        A client closes with a code and a reason, or without a word.
        """
        host = yield self.start(ECHO)
        polite, plain, rude = (host.socket("/echo/live") for _ in "abc")
        self.assertEqual((yield polite.close(3000, "done")), (1000, ""))
        self.assertEqual((yield plain.close()), (1000, ""))
        self.assertEqual((yield rude.close(abort=True)).code, 1006)
        (web,) = host._host.owned_by("web")
        self.assertEqual(web.connections, ())

    @inlineCallbacks
    def test_refused(self) -> Steps[None]:
        """
        A handshake that is refused is a connection that was closed, and says why.
        """
        host = yield self.start(ECHO)
        eve = host.socket("/echo/live", headers={"Origin": "https://evil.example"})
        for refused in (eve.receive(), eve.send("hello"), eve.close()):
            error = yield self.assertFailure(refused, Closed)
            self.assertIn("403", str(error))
        self.assertEqual((yield eve.closed).code, 1006)
        nowhere = host.socket("/nowhere")
        error = yield self.assertFailure(nowhere.receive(), Closed)
        self.assertIn("404", str(error))
        yield host.stop()
        late = host.socket("/echo/live")
        error = yield self.assertFailure(late.receive(), Closed)
        self.assertIn("nobody listens", str(error))
        self.assertEqual((yield late.closed).code, 1006)

    @inlineCallbacks
    def test_pings(self) -> Steps[None]:
        """
        A client answers pings: hours pass, and it is still there.
        """
        socket = (yield self.start(ECHO)).socket("/echo/live")
        yield self.clock.advance(7200)
        yield socket.send("still here")
        self.assertEqual((yield socket.receive()), "still here")

    @inlineCallbacks
    def test_one_that_hangs(self) -> Steps[None]:
        """
        A client that reads nothing any more does not answer pings, and is
        dropped.
        """
        socket = (yield self.start(ECHO)).socket("/echo/live")
        yield socket.pause()
        yield self.clock.advance(120)
        yield socket.resume()
        self.assertEqual((yield socket.closed).code, 1006)


class LinesTests(TestCase):
    """
    Somebody who types lines.
    """

    @inlineCallbacks
    def test_lines(self) -> Steps[None]:
        """
        Lines go out and come in, in order; one by one or all at once.
        """
        lines = (yield self.start(ECHO)).lines("tcp:7000", cut=1)
        for word in ("a", "ü", '{"b": 1}'):
            yield lines.send(word)
        self.assertEqual((yield lines.receive()), "echo a")
        self.assertEqual((yield lines.received()), ["echo ü", 'echo {"b": 1}'])
        self.assertEqual((yield lines.received()), [])

    @inlineCallbacks
    def test_bytes(self) -> Steps[None]:
        """
        Bytes go out as they are, so that anything can be sent.
        """
        lines = (yield self.start(ECHO, word="")).lines("tcp:7000")
        yield lines.send(b"half a")
        yield lines.send(b" line\r\n\xff\n")
        yield lines.send('{"b": 1}')
        half, wrong, value = yield lines.received()
        self.assertEqual(half, " half a line")
        self.assertIn("not UTF-8", wrong)
        self.assertEqual(value.json(), {"b": 1})

    @inlineCallbacks
    def test_closed_by_the_server(self) -> Steps[None]:
        """
        A connection that was closed says so, and how.
        """
        lines = (yield self.start(ECHO)).lines("tcp:7000")
        yield lines.send("bye")
        self.assertTrue((yield lines.closed))
        self.assertEqual((yield lines.receive()), "goodbye")
        for going_on in (lines.receive, lambda: lines.send("more")):
            error = yield self.assertFailure(going_on(), Closed)
            self.assertEqual(
                str(error), "the lines of tcp:7000: closed cleanly; after ['goodbye']"
            )

    @inlineCallbacks
    def test_cut_off(self) -> Steps[None]:
        """
        A connection that was cut off was not closed.
        """
        lines = (yield self.start(ECHO)).lines("tcp:7000")
        waiting = lines.receive()
        yield lines.close(abort=True)
        self.assertFalse((yield lines.closed))
        error = yield self.assertFailure(waiting, Closed)
        self.assertIn("cut off", str(error))

    @inlineCallbacks
    def test_close(self) -> Steps[None]:
        """
        A client that closes is gone at both ends.
        """
        host = yield self.start(ECHO)
        lines = host.lines("tcp:7000")
        yield lines.close()
        self.assertTrue((yield lines.closed))
        (listener,) = host._host.owned_by("test_testing")
        self.assertEqual(listener.connections, ())

    @inlineCallbacks
    def test_last_words(self) -> Steps[None]:
        """
        What comes last need not be a whole line.
        """
        host = yield self.start(ECHO)
        lines = host.lines("tcp:7000")
        yield self.clock.settle()
        (listener,) = host._host.owned_by("test_testing")
        (connection,) = listener.connections
        connection.write(b"one\ntwo")
        connection.loseConnection()
        self.assertEqual((yield lines.received()), ["one", "two"])

    @inlineCallbacks
    def test_silence(self) -> Steps[None]:
        """
        A line that does not come is missed soon, with what came instead.
        """
        lines = (yield self.start(ECHO)).lines("tcp:7000")
        yield lines.send("hello")
        yield lines.received()
        yield lines.send("hush")
        self.clock.patience = 0.01
        error = yield self.assertFailure(lines.receive(), Silence)
        self.assertIn(
            "nothing came from the lines of tcp:7000, after ['echo hello']; the clock "
            "stands at 0 s, the next timer is at 600 s (",
            str(error),
        )
        error = yield self.assertFailure(lines.closed, Silence)
        self.assertIn("the lines of tcp:7000 did not close", str(error))

    @inlineCallbacks
    def test_where_from(self) -> Steps[None]:
        """
        A client comes from the address that it is told.
        """
        lines = (yield self.start(ECHO)).lines("tcp:7000", peer="2001:db8::7")
        yield lines.send("where")
        self.assertEqual((yield lines.receive()), "2001:db8::7")

    @inlineCallbacks
    def test_several_wait(self) -> Steps[None]:
        """
        Who waits first gets the first line.
        """
        lines = (yield self.start(ECHO)).lines("tcp:7000")
        waiting = gatherResults([lines.receive() for _ in "ab"])
        yield lines.send(b"a\nb\n")
        self.assertEqual((yield waiting), ["echo a", "echo b"])

    @inlineCallbacks
    def test_a_protocol_of_ones_own(self) -> Steps[None]:
        """
        Any protocol can be connected to a listener.
        """
        endpoint = (yield self.start(ECHO)).endpoint("tcp:7000")
        verifyObject(IStreamClientEndpoint, endpoint)
        peer = Peer()
        yield endpoint.connect(Factory.forProtocol(lambda: peer))
        peer.transport.write(b"hello\n")
        yield self.clock.settle()
        self.assertEqual(peer.pieces, [b"echo hello\n"])


# The base class.


class FlavourTests(TestCase):
    """
    Whatever kind of function a test is, it runs, and can wait for anything.
    """

    async def setUp(self) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        self.is_set_up = True
        self.addCleanup(self.clean_up)

    @inlineCallbacks
    def clean_up(self) -> Steps[None]:
        yield asyncio.sleep(0)
        self.is_cleaned_up = True

    async def tearDown(self) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        self.assertTrue(self.is_set_up and self.is_cleaned_up)

    def test_plain(self) -> None:
        """
        A plain function, in a loop that runs.
        """
        self.assertTrue(self.is_set_up)
        self.assertTrue(asyncio.get_running_loop().is_running())

    def test_deferred(self) -> Deferred[None]:
        """
        A plain function that returns a Deferred.
        """
        return self.clock.advance(1)

    @inlineCallbacks
    def test_steps(self) -> Steps[None]:
        """
        A generator, which may yield anything that can be awaited.
        """
        with ThreadPoolExecutor() as threads:
            self.assertEqual((yield succeed(1)), 1)
            self.assertEqual((yield asyncio.sleep(0, 2)), 2)
            self.assertEqual((yield threads.submit(lambda: 3)), 3)

    async def test_coroutine(self) -> None:
        """
        A coroutine, which may await what has ``__await__``.
        """
        self.assertEqual(await succeed(1), 1)
        self.assertEqual(await asyncio.sleep(0, 2), 2)
        loop = asyncio.get_running_loop()
        self.assertEqual(await loop.run_in_executor(None, lambda: 3), 3)


class FailureTests(SynchronousTestCase):
    """
    What must not pass does not.
    """

    def outcome(self, method: Callable[..., Any], **attributes: Any) -> str:
        """What is said of a test with this method; nothing if it passes."""
        attributes = {"test_it": method, "patience": 0.01, **attributes}
        case: Any = type("Case", (TestCase,), attributes)("test_it")
        result = TestResult()
        case.run(result)
        self.assertEqual(result.testsRun, 1)
        return "".join(text for _, text in result.failures + result.errors)

    def test_it_passes(self) -> None:
        """
        A test that is well is well.
        """

        async def method(self: TestCase) -> None:
            host = await self.start(ECHO)
            await host.lines("tcp:7000").send("hello")

        self.assertEqual(self.outcome(method), "")

    def test_assertion(self) -> None:
        """
        An assertion fails in the middle of a coroutine.
        """

        async def method(self: TestCase) -> None:
            await asyncio.sleep(0)
            self.assertEqual(1, 2)

        self.assertIn("1 != 2", self.outcome(method))

    def test_never_awaited(self) -> None:
        """
        A coroutine that nobody awaits is named, with the line that made it.
        """

        async def important() -> None:
            raise AssertionError

        def method(self: TestCase) -> None:
            important()  # type: ignore[unused-coroutine]

        said = self.outcome(method)
        self.assertIn("important' was never awaited", said)
        self.assertIn(f'File "{__file__}", line', said)

    def test_other_warnings(self) -> None:
        """
        Other warnings stay what they are.
        """

        def method(self: TestCase) -> None:
            warnings.warn("mind the gap", UserWarning, stacklevel=1)

        self.assertEqual(self.outcome(method), "")
        (warning,) = self.flushWarnings()
        self.assertEqual(warning["message"], "mind the gap")

    def test_generators(self) -> None:
        """
        A generator without its decorator is named, and so is its remedy.
        """

        def steps(self: TestCase) -> Any:
            yield self.fail("never run")

        async def asynchronous_steps(self: TestCase) -> Any:
            yield self.fail("never run")

        for method in (steps, asynchronous_steps, lambda self: steps(self)):
            said = self.outcome(method)
            self.assertIn("returned a generator, which nobody runs", said)
            self.assertIn("put @inlineCallbacks", said)

    def test_names_of_another_base(self) -> None:
        """
        A method that only another base class would call is refused at once.
        """
        with self.assertRaises(TypeError) as caught:
            type("Case", (TestCase,), {"asyncSetUp": lambda self: None})
        self.assertEqual(
            str(caught.exception),
            "Case.asyncSetUp would never run; `async def setUp` does",
        )

    def test_clock_nobody_waits_for(self) -> None:
        """
        Time that is still passing when the test ends has tested nothing.
        """

        def method(self: TestCase) -> None:
            self.clock.advance(5)

        self.assertIn("advance(5) was not waited for", self.outcome(method))

    def test_logged_error(self) -> None:
        """
        An error that was only logged fails the test.
        """

        def method(self: TestCase) -> None:
            Logger().failure("bad luck", Failure(ZeroDivisionError("unlucky")))

        self.assertIn("ZeroDivisionError: unlucky", self.outcome(method))

    def test_task_that_failed_unheard(self) -> None:
        """
        An error in a task that nobody waits for fails the test, as one in a
        Deferred does.
        """

        async def fail() -> None:
            raise ZeroDivisionError("unheard")

        async def method(self: TestCase) -> None:
            asyncio.ensure_future(fail())  # noqa: RUF006
            await self.clock.settle()

        self.assertIn("ZeroDivisionError: unheard", self.outcome(method))

    def test_service_that_does_not_stop(self) -> None:
        """
        A service that does not stop is named, at no cost in real time.
        """

        async def method(self: TestCase) -> None:
            await self.start(ECHO, stops=86400)

        said = self.outcome(method)
        self.assertIn("test_testing did not stop within 10 seconds", said)

    def test_request_without_an_answer(self) -> None:
        """
        A connection that would not close is named.
        """

        async def method(self: TestCase) -> None:
            host = await self.start(ECHO)
            await host.http().send("GET", "/echo/slow/86400")

        said = self.outcome(method)
        self.assertIn("would not close within 10 seconds, of 1: ", said)

    def test_timer_left_behind(self) -> None:
        """
        A timer that goes on when every service has stopped is named.
        """

        async def method(self: TestCase) -> None:
            await self.start(ECHO, fault="timer")

        self.assertIn(
            "every service has stopped, but the clock stands at 0 s, the next timer "
            "is at 60 s (print)",
            self.outcome(method),
        )

    def test_task_left_behind(self) -> None:
        """
        A task that goes on when every service has stopped is named.
        """

        async def method(self: TestCase) -> None:
            await self.start(ECHO, fault="task")

        said = self.outcome(method)
        self.assertIn("every service has stopped, but tasks go on", said)
        self.assertIn("Echo.forever", said)

    def test_too_long(self) -> None:
        """
        A test that hangs is told what time it is, and its cleanups are run.
        """
        done: list[str] = []

        async def method(self: TestCase) -> None:
            self.addCleanup(done.append, "cleaned up")
            try:
                await asyncio.sleep(5)
            finally:
                done.append("cancelled")

        self.assertIn(
            "still running at 0.05 secs; the clock stands at 0 s, the next timer is "
            "at 5 s (a timer of asyncio's)",
            self.outcome(method, timeout=0.05),
        )
        self.assertEqual(done, ["cancelled", "cleaned up"])

    def test_every_clock_is_new(self) -> None:
        """
        No test sees the time, or the network, of another.
        """
        clocks: list[MemoryReactor] = []

        async def method(self: TestCase) -> None:
            clocks.append(self.clock)
            await self.clock.advance(5)
            factory: Any = Factory.forProtocol(Protocol)
            self.clock.listenTCP(7000, factory)

        self.assertEqual([self.outcome(method) for _ in "ab"], ["", ""])
        self.assertIsNot(*clocks)

    def test_the_loop_is_given_back(self) -> None:
        """
        After a test, asyncio's timers and Autobahn's are their own again.
        """
        loops: list[Any] = []

        async def method(self: TestCase) -> None:
            loops.append(asyncio.get_running_loop())

        before = txaio.tx.config.loop
        self.assertEqual(self.outcome(method), "")
        self.assertNotIn("call_later", vars(loops[0]))
        self.assertIs(txaio.tx.config.loop, before)


# Under both runners, and in the documentation.

#: Loaded before the other, by its name. It does without the kit.
OTHER = """\
import klein
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase


class OtherTests(TestCase):
    def test_of_another_kind(self):
        from twisted.internet import reactor

        return deferLater(reactor, 0, self.assertEqual, 1, 1)

    def test_fails_by_timeout(self):
        from twisted.internet.defer import Deferred

        return Deferred()

    test_fails_by_timeout.timeout = 0.1
"""

ON_ANY_REACTOR = """\
from ropewalk.testing import TestCase


class AnyTests(TestCase):
    async def test_it(self):
        from twisted.internet import reactor

        print(type(reactor).__name__)
        host = await self.start("chat")
        ada = host.lines("chat")
        await ada.send("/join lobby Ada")
        await self.clock.advance(12 * 3600)
        assert len(await ada.received()) == 4
"""

MODULE = """\
import asyncio
from concurrent.futures import ThreadPoolExecutor
from twisted.internet.defer import succeed
from ropewalk.awaiting import inlineCallbacks
from ropewalk.testing import TestCase


async def coroutine():
    pass


class BothTests(TestCase):
    async def test_await_anything(self):
        assert await succeed(1) == 1
        assert await asyncio.sleep(0, 2) == 2

    @inlineCallbacks
    def test_yield_anything(self):
        assert (yield succeed(1)) == 1
        assert (yield asyncio.sleep(0, 2)) == 2
        with ThreadPoolExecutor() as threads:
            assert (yield threads.submit(lambda: 3)) == 3

    async def test_virtual_time(self):
        sleeping = asyncio.ensure_future(asyncio.sleep(86400))
        await self.clock.advance(86400)
        await sleeping

    def test_fails_plainly(self):
        assert False

    async def test_fails_late(self):
        await asyncio.sleep(0)
        assert False

    def test_fails_unawaited(self):
        coroutine()

    def test_fails_as_generator(self):
        yield
"""


def run(directory: Path, *command: str, **environ: str) -> str:
    """What a Python program says."""
    places = ROOT / "platform", ROOT / "examples" / "chat", directory
    path = os.pathsep.join(map(str, places))
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": path, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    return done.stdout.decode("utf-8", "replace")


class RunnerTests(SynchronousTestCase):
    """
    ``trial`` and ``pytest`` run the same tests, with the same outcome.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        (self.directory / "test_another.py").write_text(OTHER)
        (self.directory / "test_both.py").write_text(MODULE)

    def assertOutcomes(self, outcomes: dict[str, bool], said: str) -> None:
        names = re.findall(r"def (test_\w+)", OTHER + MODULE)
        expected = {name: "fails" not in name for name in names}
        self.assertEqual(outcomes, expected, said)
        self.assertIn("coroutine 'coroutine' was never awaited", said)
        self.assertIn("put @inlineCallbacks", said)

    def test_trial(self) -> None:
        """
        ``trial``, with no option, although another module has had Klein import
        Twisted's default reactor.
        """
        said = run(self.directory, "twisted.trial", "test_another", "test_both")
        found = re.findall(r"(test_\w+) \.\.\. +\[(\w+)\]", said)
        self.assertOutcomes({name: end == "OK" for name, end in found}, said)

    def test_pytest(self) -> None:
        """
        ``pytest``, with no plugin and no configuration.
        """
        said = run(
            self.directory,
            *("pytest", "-v", "-p", "no:cacheprovider"),
            PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
        )
        found = re.findall(r"::(test_\w+) (PASSED|FAILED)", said)
        self.assertOutcomes({name: end == "PASSED" for name, end in found}, said)

    def test_chosen_reactor(self) -> None:
        """
        A reactor that was chosen stays, even if it is not asyncio's; what waits
        for nothing of asyncio's works on it.
        """
        (self.directory / "test_it.py").write_text(ON_ANY_REACTOR)
        said = run(self.directory, "twisted.trial", "--reactor", "select", "test_it")
        self.assertIn("SelectReactor", said)
        self.assertIn("PASSED (successes=1)", said)

    def test_reactor_in_use(self) -> None:
        """
        The default reactor stays if somebody may have got hold of it, and who
        that is, is said.
        """
        source = f"from twisted.internet import reactor\n{ON_ANY_REACTOR}"
        (self.directory / "test_it.py").write_text(source)
        said = run(self.directory, "twisted.trial", "test_it")
        self.assertIn("the reactor was imported by test_it before", said)
        self.assertIn("PASSED (successes=1)", said)
        self.assertNotIn("LoopReactor", said)


class DocumentationTests(SynchronousTestCase):
    """
    What people learn from is true.
    """

    def test_page(self) -> None:
        """
        What a reader copies from the page runs.
        """
        page = (ROOT / "docs" / "testing.rst").read_text("utf-8")
        blocks = re.findall(
            r"(?m)^\.\. code-block:: python\n   :caption: test_guests.py\n"
            r"((?:   .*\n|\n)+)",
            page,
        )
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        source = "\n".join(dedent(block) for block in blocks)
        (directory / "test_guests.py").write_text(source)
        said = run(directory, "twisted.trial", "test_guests")
        tests = len(re.findall(r"def test_", source))
        self.assertIn(f"PASSED (successes={tests})", said)

    def test_chat(self) -> None:
        """
        The demo's own tests, written with the kit, pass where they stand.
        """
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        said = run(directory, "twisted.trial", "test_chatroom")
        self.assertRegex(said, r"PASSED \(successes=\d\d\)")
