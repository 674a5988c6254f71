# -*- test-case-name: tests.test_proxied -*-
"""
Tests for L{ropewalk.net.proxied}.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from attrs import define
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import endpoints, reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadEndpoint, StartFailed
from ropewalk.interfaces import IDrainable, Steps
from ropewalk.net import endpoints as our_endpoints
from ropewalk.net.endpoints import Doorway
from ropewalk.net.listening import Listener
from ropewalk.net.protocols import LineFactory, LineProtocol
from ropewalk.net.proxied import Header, NoHeader, ProxiedFactory, read_header
from ropewalk.run.configuration import Unset
from ropewalk.testing import TestCase as HostTestCase
from ropewalk.web.proxies import Proxies
from tests.observing import Observed
from tests.wiring import Peer, connect

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n"

CLIENT = IPv4Address("TCP", "192.0.2.7", 50000)

SERVER = IPv4Address("TCP", "198.51.100.1", 443)

ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6)
PORTS = st.integers(0, 65535)


def binary(command: int = 0x21, family: int = 0x11, said: bytes | None = None) -> bytes:
    """A header of version 2; unless it is said, of the client."""
    if said is None:
        said = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + struct.pack("!HH", 50000, 443)
    return SIGNATURE + struct.pack("!BBH", command, family, len(said)) + said


class HeaderTests(SynchronousTestCase):
    """
    What a proxy says before all else.
    """

    def refusal(self, data: bytes) -> str:
        return str(self.assertRaises(NoHeader, read_header, data))

    def test_line(self) -> None:
        """
        Version 1 is a line.
        """
        self.assertEqual(read_header(LINE), Header(len(LINE), CLIENT, SERVER))
        self.assertEqual(read_header(LINE + b"x"), Header(len(LINE), CLIENT, SERVER))
        line = b"PROXY TCP6 2001:db8::7 ::ffff:1.2.3.4 0 65535\r\n"
        peer = IPv6Address("TCP", "2001:db8::7", 0)
        header = read_header(line)
        assert header is not None
        self.assertEqual((header.size, header.peer), (len(line), peer))
        for line in (
            b"PROXY UNKNOWN\r\n",
            b"PROXY UNKNOWN ffff:f:1::1 ffff::1 65535 65535\r\n",
        ):
            self.assertEqual(read_header(line), Header(len(line)))

    def test_binary(self) -> None:
        """
        Version 2 is made for programs.
        """
        self.assertEqual(read_header(binary()), Header(28, CLIENT, SERVER))
        # Of datagrams that a proxy made a stream of (QUIC), as well.
        data = binary(family=0x12) + b"x"
        self.assertEqual(read_header(data), Header(28, CLIENT, SERVER))
        one, other = (ip_address(each) for each in ("2001:db8::7", "::1"))
        data = binary(family=0x21, said=one.packed + other.packed + b"\0\1\0\2")
        peer = IPv6Address("TCP", "2001:db8::7", 1)
        host = IPv6Address("TCP", "::1", 2)
        self.assertEqual(read_header(data), Header(52, peer, host))
        data = binary(family=0x31, said=struct.pack("!108s108s", b"/run/a", b""))
        addresses = UNIXAddress(b"/run/a"), UNIXAddress(None)
        self.assertEqual(read_header(data), Header(232, *addresses))

    def test_more(self) -> None:
        """
        What follows the addresses is skipped: names, TLS, whatever.
        """
        said = binary()[16:] + b"\x20\0\5\1\0\0\0\0" + b"\x04\0\1x"
        data = binary(said=said)
        self.assertEqual(read_header(data + b"GET"), Header(len(data), CLIENT, SERVER))

    def test_for_itself(self) -> None:
        """
        A proxy may speak for itself, or not say for whom.
        """
        for data, header in (
            (binary(0x20, 0x00, b""), Header(16, own=True)),
            (binary(0x20, 0xFF, b"abc"), Header(19, own=True)),
            (binary(0x21, 0x00, b""), Header(16)),
            (binary(0x21, 0x10, b"abc"), Header(19)),
            (binary(0x21, 0x01, b""), Header(16)),
        ):
            self.assertEqual(read_header(data), header)

    def test_not_yet(self) -> None:
        """
        As long as it can still become one, one waits.
        """
        for data in (LINE, binary(), b"PROXY UNKNOWN \r\r\n"):
            for end in range(1, len(data)):
                self.assertIsNone(read_header(data[:end]), data[:end])

    def test_none(self) -> None:
        """
        What cannot become one is refused as soon as that is seen.
        """
        for data in (b"G", b"PROXz", b"PROXY\t", b"\n", SIGNATURE[:5] + b"x"):
            self.assertEqual(
                self.refusal(data), "it does not begin as the PROXY protocol does"
            )
        for line in (
            b"PROXY ",
            b"PROXY TCP4",
            b"PROXY TCP5 1.1.1.1 1.1.1.1 1 1",
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1",
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 ",
            b"PROXY TCP4  1.1.1.1 1.1.1.1 1 1",
            b"PROXY TCP4 1.1.1.1 1.1.1.1 01 1",
            b"PROXY TCP4 1.1.1.1 1.1.1.1 -1 1",
            b"PROXY UNKNOWNx",
        ):
            said = self.refusal(line + b"\r\n")
            self.assertIn("says nothing that can be understood", said)
        for line in (
            b"PROXY TCP4 ::1 ::1 1 1",
            b"PROXY TCP6 1.1.1.1 1.1.1.1 1 1",
            b"PROXY TCP4 1.1.1.256 1.1.1.1 1 1",
        ):
            self.assertIn("has no address", self.refusal(line + b"\r\n"))
        line = b"PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n"
        self.assertIn("has no port", self.refusal(line))
        self.assertIn("version and command 0x31", self.refusal(binary(0x31)))
        self.assertIn("version and command 0x22", self.refusal(binary(0x22)))
        self.assertIn("family 4 and protocol 1", self.refusal(binary(family=0x41)))
        self.assertIn("family 1 and protocol 3", self.refusal(binary(family=0x13)))
        said = self.refusal(binary(said=b"x" * 11))
        self.assertEqual(said, "its header has 11 bytes of addresses, not 12")

    def test_too_long(self) -> None:
        """
        Nobody can have us keep what he sends for ever.
        """
        longest = b"PROXY UNKNOWN " + b"x" * 91
        self.assertEqual(read_header(longest + b"\r\n"), Header(107))
        self.assertIsNone(read_header(longest + b"\r"))
        self.assertEqual(
            self.refusal(longest + b"xx"), "its first 107 bytes are no line"
        )
        self.assertIn("107", self.refusal(longest + b"x\r\n"))
        self.assertEqual(
            read_header(binary(0x20, 0, b"x" * 4080)), Header(4096, own=True)
        )
        self.assertEqual(
            self.refusal(binary(0x20, 0, b"x" * 4081)[:16]),
            "its header has 4097 bytes; 4096 are read",
        )

    @given(ADDRESSES, ADDRESSES, PORTS, PORTS)
    def test_round_trip(self, one: Any, other: Any, first: int, second: int) -> None:
        """
        What was written by the specification is read.
        """
        if one.version != other.version:
            other = one
        make = IPv4Address if one.version == 4 else IPv6Address
        peer, host = make("TCP", str(one), first), make("TCP", str(other), second)
        line = f"PROXY TCP{one.version} {one} {other} {first} {second}\r\n".encode()
        self.assertEqual(read_header(line), Header(len(line), peer, host))
        said = one.packed + other.packed + struct.pack("!HH", first, second)
        data = binary(family=0x11 if one.version == 4 else 0x21, said=said)
        self.assertEqual(read_header(data), Header(len(data), peer, host))

    @given(
        st.binary(min_size=1),
        st.sampled_from(
            [b"", b"PROXY ", b"PROXY TCP4 1", SIGNATURE, SIGNATURE + b"\x21"]
        ),
    )
    def test_anything(self, data: bytes, before: bytes) -> None:
        """
        Whatever comes is a header, the beginning of one, or none.
        """
        with contextlib.suppress(NoHeader):
            read_header(before + data)


class Diary(Protocol):
    """
    Notes what happens to it, and who it hears it from.
    """

    transport: Any

    def __init__(self) -> None:
        self.notes: list[Any] = []

    def connectionMade(self) -> None:
        self.notes.append(self.transport.getPeer())
        self.notes.append(self.transport.getHost())

    def dataReceived(self, data: bytes) -> None:
        self.notes.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.notes.append("lost")


@implementer(IDrainable)
class Polite(Diary):
    """One that says goodbye."""

    def drain(self, reason: str) -> None:
        self.transport.write(reason.encode())
        self.transport.loseConnection()


@implementer(IHalfCloseableProtocol)
class Half(Diary):
    """One that can be half closed."""

    def readConnectionLost(self) -> None:
        self.notes.append("read all")
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None: ...


@define
class Network:
    """
    A reactor where one can listen, and be connected to.
    """

    clock: Clock
    factory: Any = None
    closed: int = 0

    def seconds(self) -> float:
        return self.clock.seconds()

    def callLater(self, *args: Any) -> Any:
        return self.clock.callLater(*args)

    def listenTCP(self, port: int, factory: Any, **options: Any) -> Network:
        self.factory = factory
        return self

    def listenUNIX(self, address: str, factory: Any, **options: Any) -> Network:
        self.factory = factory
        return self

    def getHost(self) -> Any:
        return IPv4Address("TCP", "127.0.0.1", 7070)

    def stopListening(self) -> None:
        self.closed += 1


class ProxiedTestCase(SynchronousTestCase):
    """
    A listener behind a proxy.
    """

    def setUp(self) -> None:
        self.observed = Observed.during(self)
        self.clock = Clock()
        self.network = Network(self.clock)
        self.made: list[Diary] = []

    def listener(
        self, kind: type[Diary] = Diary, endpoint: str = "haproxy:tcp:7070"
    ) -> Listener:
        """One that trusts 127.0.0.1, and is open."""

        def make() -> Diary:
            self.made.append(kind())
            return self.made[-1]

        factory = Factory.forProtocol(make)
        trusts = Proxies(["127.0.0.1"]).trusts
        listener = Listener(endpoint, factory, "chat", self.network, None, trusts)
        self.successResultOf(listener.open())
        self.addCleanup(listener.drain, "over")
        return listener

    def connect(self, host: str = "127.0.0.1") -> Peer:
        """The proxy, which connects."""
        address = IPv4Address("TCP", host, 50001)
        protocol = self.network.factory.buildProtocol(address)
        peer: Peer = connect(self.clock, protocol)
        return peer

    def send(self, peer: Peer, *pieces: bytes) -> None:
        for piece in pieces:
            peer.transport.write(piece)
            self.clock.advance(0)

    def complaint(self) -> str:
        """The one line in the log."""
        (text,) = [each for each in self.observed.texts if "closed" in each]
        self.observed.texts.clear()
        return text


class ProxiedTests(ProxiedTestCase):
    """
    A protocol is made when it is known whose connection it is.
    """

    def test_whose(self) -> None:
        """
        It sees the client from the first moment on, and what follows the header.
        """
        listener = self.listener()
        peer = self.connect()
        self.send(peer, LINE[:20])
        self.assertEqual((self.made, listener.connections), ([], ()))
        self.send(peer, LINE[20:] + b"hello", b"again")
        (diary,) = self.made
        self.assertEqual(diary.notes, [CLIENT, SERVER, b"hello", b"again"])
        (connection,) = listener.connections
        self.assertEqual(str(connection), "c1 from 192.0.2.7:50000")
        diary.transport.write(b"answer")
        self.clock.advance(100)
        self.assertEqual(peer.said(), "answer")
        peer.transport.loseConnection()
        self.clock.advance(0)
        self.assertEqual((diary.notes[-1], listener.connections), ("lost", ()))

    def test_byte_by_byte(self) -> None:
        """
        However TCP cuts it.
        """
        for header in (LINE, binary()):
            self.listener()
            data = header + b"hello"
            self.send(self.connect(), *(data[at : at + 1] for at in range(len(data))))
            notes = self.made.pop().notes
            self.assertEqual(notes[:2], [CLIENT, SERVER])
            self.assertEqual(b"".join(notes[2:]), b"hello")

    def test_nobody_said(self) -> None:
        """
        Where the proxy does not say, or speaks for itself, the address is the
        proxy's; whether what comes is the proxy's word is known.
        """
        unix = binary(family=0x31, said=b"/run/a".ljust(216, b"\0"))
        proxy = IPv4Address("TCP", "127.0.0.1", 50001)
        for header, peer, anonymous in (
            (b"PROXY UNKNOWN\r\n", proxy, True),
            (binary(0x21, 0, b""), proxy, True),
            (binary(0x20, 0, b""), proxy, False),
            (unix, UNIXAddress(b"/run/a"), True),
            (LINE, CLIENT, False),
        ):
            self.listener()
            self.send(self.connect(), header)
            diary = self.made.pop()
            self.assertEqual(diary.notes[0], peer)
            # Through the connection's name tag, too.
            self.assertEqual(diary.transport.anonymous, anonymous)

    def test_strangers(self) -> None:
        """
        Who is no trusted proxy is not listened to.
        """
        self.listener()
        address = IPv4Address("TCP", "192.0.2.66", 5)
        self.assertIsNone(self.network.factory.buildProtocol(address))
        self.assertEqual(
            self.complaint(),
            "a connection of 192.0.2.66 to haproxy:tcp:7070 was closed: it is no "
            "trusted proxy",
        )
        self.assertIsNone(self.network.factory.buildProtocol(UNIXAddress(None)))
        self.assertIn("a connection of this machine to", self.complaint())

    def test_no_header(self) -> None:
        """
        Nor is a proxy that does not say whose the connection is.
        """
        self.listener()
        peer = self.connect()
        self.send(peer, b"GET / HTTP/1.1\r\n", b"\r\n")
        self.assertIsNotNone(peer.reason)
        self.assertEqual(
            self.complaint(),
            "a connection of the proxy 127.0.0.1 to haproxy:tcp:7070 was closed: it "
            "does not begin as the PROXY protocol does",
        )
        self.assertEqual((self.made, self.clock.getDelayedCalls()), ([], []))

    def test_late(self) -> None:
        """
        It has five seconds to say it.
        """
        self.listener()
        peer = self.connect()
        self.send(peer, LINE[:-1])
        self.clock.advance(4.9)
        self.assertIsNone(peer.reason)
        self.clock.advance(0.2)
        self.clock.advance(0)
        self.assertIsNotNone(peer.reason)
        self.assertIn("it has not said within 5 s whose it is", self.complaint())

    def test_leaves(self) -> None:
        """
        A proxy that only looks whether somebody listens is nothing to talk about.
        """
        self.listener()
        self.connect().transport.loseConnection()
        self.clock.advance(0)
        self.assertEqual(self.observed.texts, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_turned_away(self) -> None:
        """
        A factory may decline, as ever.
        """
        clients: list[Any] = []

        class Declining(Factory):
            def buildProtocol(self, addr: Any) -> None:
                clients.append(addr)

        factory = ProxiedFactory(Declining(), bool, self.clock, "here")
        peer = connect(self.clock, factory.buildProtocol(CLIENT))
        self.send(peer, LINE + b"hello")
        self.assertIsNotNone(peer.reason)
        self.assertEqual(clients, [CLIENT])

    def test_closes_at_once(self) -> None:
        """
        What came with the header is not heard by who has closed already.
        """

        class Closing(Diary):
            def connectionMade(self) -> None:
                self.transport.loseConnection()

        self.listener(Closing)
        self.send(self.connect(), LINE + b"hello")
        self.assertEqual(self.made[0].notes, ["lost"])

    def test_half_closed(self) -> None:
        """
        Who can hear the end of what a client says hears it.
        """
        self.listener(Half)
        peer = self.connect()
        self.send(peer, LINE)
        peer.transport.loseWriteConnection()
        for _ in range(3):
            self.clock.advance(0)
        self.assertEqual(self.made[0].notes[2:], ["read all", "lost"])

    def test_fails(self) -> None:
        """
        What a protocol raises is logged under its connection's name.
        """

        class Failing(Diary):
            def dataReceived(self, data: bytes) -> None:
                raise ZeroDivisionError("no")

        self.listener(Failing)
        self.send(self.connect(), LINE + b"hello")
        self.assertEqual(
            self.observed.texts, ["the protocol of c1 from 192.0.2.7:50000 failed"]
        )
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(self.made[0].notes[2:], ["lost"])


class DrainTests(ProxiedTestCase):
    """
    A listener behind a proxy says goodbye as any other.
    """

    def test_goodbye(self) -> None:
        """
        Those who are there are told; of whom it is not known who they are, the
        connection is closed.
        """
        listener = self.listener(Polite)
        known, unknown = self.connect(), self.connect()
        self.send(known, LINE)
        draining = listener.drain("shutting down")
        for _ in range(3):
            self.clock.advance(0)
        self.successResultOf(draining)
        self.assertEqual((known.said(), unknown.said()), ("shutting down", ""))
        self.assertIsNotNone(unknown.reason)
        self.assertEqual(self.network.closed, 1)
        self.assertEqual((self.observed.texts, self.clock.getDelayedCalls()), ([], []))

    def test_again(self) -> None:
        """
        It can be opened again.
        """
        listener = self.listener()
        self.successResultOf(listener.drain("a pause"))
        self.successResultOf(listener.open())
        self.send(self.connect(), LINE)
        self.assertEqual(self.made[0].notes[0], CLIENT)


class EndpointTests(ProxiedTestCase):
    """
    Whatever is behind ``haproxy:``.
    """

    def refusal(self, endpoint: str, trusts: Any = bool) -> str:
        error = self.assertRaises(BadEndpoint, Doorway, endpoint, self.network, trusts)
        problem: str = error.problem
        return problem

    def test_nobody_trusted(self) -> None:
        """
        Where no proxy is trusted, it is no place to listen; but what is wrong with
        the rest is told first.
        """
        said = self.refusal("haproxy:tcp:80", None)
        self.assertIn("no proxy is trusted; name yours in [host]: trusted_pro", said)
        said = self.refusal("haproxy:tpc:80", None)
        self.assertEqual(said, "there are no 'tpc' endpoints; did you mean tcp:?")

    def test_twice(self) -> None:
        """
        Two proxies say it once.
        """
        self.assertEqual(self.refusal("haproxy:haproxy:tcp:80"), "write haproxy: once")

    def test_unix(self) -> None:
        """
        A UNIX socket may be behind a proxy.
        """
        self.listener(endpoint="haproxy:unix:/run/chat")
        self.send(self.connect(), LINE)
        self.assertEqual(self.made[0].notes[0], CLIENT)

    def test_others(self) -> None:
        """
        So may whatever other distributions bring.
        """
        factories: list[Any] = []

        class Other:
            def listen(self, factory: Any) -> Deferred[Any]:
                factories.append(factory)
                return succeed(None)

        self.patch(our_endpoints, "serverFromString", lambda *_: Other())
        other = Doorway("haproxy:onion:80", self.network, bool)
        other.open(Factory())
        self.assertIsInstance(factories[0], ProxiedFactory)


class Echo(LineProtocol):
    """Says who is talking."""

    transport: Any

    def heard(self, line: str) -> None:
        peer = self.transport.getPeer()
        self.say(f"{peer.host} says {line}")


def makeService(settings: Unset, host: Any) -> Any:
    """This module is a service as well."""
    return host.listener("haproxy:tcp:7070", LineFactory(Echo, host.reactor))


class Caller(Protocol):
    """
    A proxy, and the client behind it.
    """

    transport: Any

    def __init__(self, options: Any = None) -> None:
        self.heard = b""
        self.answer: Deferred[bytes] = Deferred()
        self._options = options

    def connectionMade(self) -> None:
        self.transport.write(binary())
        if self._options is not None:
            self.transport.startTLS(self._options)
        self.transport.write(b"hello\n")

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        if self.heard.endswith(b"\n") and not self.answer.called:
            self.answer.callback(self.heard)


class SocketTests(TestCase):
    """
    Real sockets.
    """

    timeout = 30.0

    @inlineCallbacks
    def talk(self, endpoint: str, caller: Caller) -> Steps[bytes]:
        """What is answered to who comes through a proxy."""
        trusts = Proxies(["127.0.0.1"]).trusts
        lines = LineFactory(Echo, reactor)
        listener = Listener(endpoint, lines, "chat", reactor, None, trusts)
        listener.privilegedStartService()
        yield listener.open()
        self.addCleanup(listener.stopService)
        port = listener.address.port
        where = endpoints.clientFromString(reactor, f"tcp:127.0.0.1:{port}")
        yield endpoints.connectProtocol(where, caller)
        self.addCleanup(caller.transport.abortConnection)
        answer: bytes = yield caller.answer
        return answer

    @inlineCallbacks
    def test_plain(self) -> Steps[None]:
        """
        A port that is bound early knows its clients.
        """
        answer = yield self.talk("haproxy:tcp:0:interface=127.0.0.1", Caller())
        self.assertEqual(answer, b"192.0.2.7 says hello\n")

    @inlineCallbacks
    def test_both(self) -> Steps[None]:
        """
        So does a socket of IPv6 and IPv4, where the proxy's address has another
        form.
        """
        if not socket.has_dualstack_ipv6():
            self.skipTest("there is no IPv6 here")
        answer = yield self.talk("haproxy:tcp6:0", Caller())
        self.assertEqual(answer, b"192.0.2.7 says hello\n")

    @inlineCallbacks
    def test_tls(self) -> Steps[None]:
        """
        The proxy speaks before the client's TLS begins.
        """
        try:
            from tests.certificates import make_pem, self_signed
        except ImportError:
            self.skipTest("pyOpenSSL is not installed")
        pem = Path(self.mktemp())
        pem.write_bytes(make_pem())
        quoted = quoteStringArgument(str(pem))
        endpoint = f"haproxy:ssl:0:{quoted}:interface=127.0.0.1"
        answer = yield self.talk(endpoint, Caller(self_signed()[1]))
        self.assertEqual(answer, b"192.0.2.7 says hello\n")


class HostTests(HostTestCase):
    """
    A whole host.
    """

    @inlineCallbacks
    def test_pages(self) -> Steps[None]:
        """
        Pages are served to whom a proxy names, and the log has their addresses;
        what they say of others is not believed.
        """
        settings = """
            [host]
            trusted_proxies = ["127.0.0.1"]
            [web]
            listen = ["haproxy:tcp:8080"]
        """
        host = yield self.start(settings=settings)
        observed = Observed.during(self)
        question = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n"
        for header, client in (
            (LINE, "192.0.2.7"),
            (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
            (binary(0x20, 0, b""), "1.1.1.1"),  # it is the proxy that asks
        ):
            peer = Peer()
            yield endpoints.connectProtocol(host.endpoint("tcp:8080"), peer)
            transport: Any = peer.transport
            transport.write(header + question)
            yield self.clock.settle()
            self.assertTrue(peer.said().startswith("HTTP/1.1 200 OK"))
            (access,) = [each for each in observed.texts if "GET /" in each]
            self.assertTrue(access.startswith(f"{client} GET / 200"), access)
            observed.texts.clear()

    @inlineCallbacks
    def test_lines(self) -> Steps[None]:
        """
        A service's own listener knows its clients as well, and the page at ``/``
        promises nobody to talk to it without a proxy.
        """
        settings = '[host]\ntrusted_proxies = ["127.0.0.1"]\n'
        host = yield self.start(sys.modules[__name__], settings=settings + "[web]")
        caller = Caller()
        yield endpoints.connectProtocol(host.endpoint("test_proxied"), caller)
        answer = yield caller.answer
        self.assertEqual(answer, b"192.0.2.7 says hello\n")
        home = yield host.http("web").get("/")
        self.assertIn("0.0.0.0:7070", home.text)
        self.assertNotIn("nc ", home.text)

    @inlineCallbacks
    def test_nobody_trusted(self) -> Steps[None]:
        """
        Where no proxy is trusted, a service with such a listener does not start.
        """
        with self.assertRaises(StartFailed) as caught:
            yield self.start(sys.modules[__name__])
        self.assertIn("no proxy is trusted", str(caught.exception))
