# -*- test-case-name: tests.test_endpoints -*-
"""
Where to listen.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest import SkipTest

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet import endpoints, reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import clientFromString, quoteStringArgument
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IReactorSocket,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.internet.tcp import Server
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadEndpoint, MissingExtra
from ropewalk.interfaces import Steps
from ropewalk.net.endpoints import (
    BadDestination,
    Claim,
    Doorway,
    _parse,
    claim,
    make_client,
)
from ropewalk.net.listening import ConnectionFactory, Listener, namer
from ropewalk.net.protocols import LineFactory, LineProtocol
from ropewalk.net.transports import Connection, LoopNetwork, network
from ropewalk.telemetry import Work
from tests.certificates import make_pem
from tests.test_schema import run_page
from tests.wiring import connect

ROOT = Path(__file__).resolve().parent.parent


class ClaimTests(SynchronousTestCase):
    """
    What an endpoint takes is known from its string.
    """

    def test_claims(self) -> None:
        """
        Endpoints of different kinds that end in a TCP port claim that port.
        """
        for description, claimed in (
            ("tcp:80", Claim("tcp", "80")),
            ("tcp:port=80", Claim("tcp", "80")),
            ("tcp:0080:interface=0.0.0.0", Claim("tcp", "80")),
            ("tcp:80:127.0.0.1", Claim("tcp", "80", "127.0.0.1")),
            ("tcp:80:interface=localhost", Claim("tcp", "80", "127.0.0.1")),
            ("tcp:80:backlog=9:interface=::1", Claim("tcp", "80")),
            (r"tcp:80:interface=\:\:1", Claim("tcp", "80", "::1")),
            (r"tcp:80:interface=0\:0\:0\:0\:0\:0\:0\:1", Claim("tcp", "80", "::1")),
            (r"tcp:80:interface=\:\:", Claim("tcp", "80", "::")),
            ("tcp6:80", Claim("tcp", "80", "::")),
            ("tcp6:80:interface=", Claim("tcp", "80", "::")),
            (r"tcp6:80:50:\:\:1", Claim("tcp", "80", "::1")),
            ("ssl:443:server.pem", Claim("tcp", "443")),
            (
                "ssl:443:interface=10.0.0.1:privateKey=a",
                Claim("tcp", "443", "10.0.0.1"),
            ),
            ("tls:/etc/certificates", Claim("tcp", "443", "::")),
            ("tls:/etc/certificates:8443", Claim("tcp", "8443", "::")),
            ("tls:path=/etc/certificates:port=8443", Claim("tcp", "8443", "::")),
            ("haproxy:tcp:80:interface=10.0.0.1", Claim("tcp", "80", "10.0.0.1")),
            ("tcp:http", Claim("tcp", "http")),
            ("unix:/run/chat", Claim("unix", "/run/chat")),
            ("unix:/run/../run/chat:mode=660", Claim("unix", "/run/chat")),
            ("unix:address=chat", Claim("unix", os.path.abspath("chat"))),
            (r"unix:/run/a\:b", Claim("unix", "/run/a:b")),
            ("systemd:domain=INET:index=0", Claim("systemd", "0")),
            ("systemd:domain=UNIX:name=web", Claim("systemd", "web")),
            ("stdio:", Claim("stdio", "")),
            ("onion:80:version=3", Claim("onion", "80:version=3")),
            ("", Claim("", "")),
        ):
            self.assertEqual(claim(description), claimed, description)

    def test_clashes(self) -> None:
        """
        Two clash where the kernel would let only one of them have its address.
        """
        for one, other in (
            ("tcp:80", "tcp:80"),
            ("tcp:80", "tcp:80:interface=0.0.0.0"),
            ("tcp:80:interface=0.0.0.0", "tcp:80:interface=127.0.0.1"),
            ("tcp:80:interface=127.0.0.1", "tcp:80:interface=localhost"),
            ("tcp:80", "tcp6:80"),
            ("tcp:80:interface=127.0.0.1", "tcp6:80"),
            ("tcp6:80", r"tcp6:80:interface=\:\:1"),
            ("tcp:443", "ssl:443:a.pem"),
            ("tcp:443", "tls:/etc/certificates"),
            ("tcp:80", "haproxy:tcp:80"),
            ("unix:/run/chat", "unix:/run/./chat"),
            ("systemd:domain=INET:index=0", "systemd:index=0:domain=INET6"),
            ("stdio:", "stdio:"),
        ):
            for first, second in ((one, other), (other, one)):
                self.assertTrue(claim(first).clashes(claim(second)), (first, second))

    def test_no_clashes(self) -> None:
        """
        Others can be had at once.
        """
        for one, other in (
            ("tcp:80", "tcp:81"),
            ("tcp:0", "tcp:0"),
            ("tcp:80:interface=127.0.0.1", "tcp:80:interface=127.0.0.2"),
            ("tcp:80", r"tcp:80:interface=\:\:1"),
            ("tcp:80:interface=127.0.0.1", r"tcp:80:interface=\:\:1"),
            ("unix:/run/chat", "unix:/run/bank"),
            ("systemd:domain=INET:index=0", "systemd:domain=INET:index=1"),
            ("tcp:80", "unix:80"),
        ):
            for first, second in ((one, other), (other, one)):
                self.assertFalse(claim(first).clashes(claim(second)), (first, second))

    def test_for_people(self) -> None:
        """
        A claim is told in words.
        """
        for description, words in (
            ("tcp:80", "TCP port 80 of every interface"),
            ("tcp6:80", "TCP port 80 of every interface"),
            ("ssl:80:a.pem:interface=127.0.0.1", "TCP port 80 of 127.0.0.1"),
            ("unix:/run/chat", "unix:/run/chat"),
        ):
            self.assertEqual(str(claim(description)), words)

    @settings(max_examples=200, deadline=None, database=None)
    @given(st.text(st.sampled_from("ab:=\\\n"), max_size=20))
    @example("a=b:c\\:d=e=\\=f:")
    def test_words(self, description: str) -> None:
        """
        Strings are taken apart as Twisted takes them apart.
        """
        try:
            plain, named = endpoints._parse(f"other:{description}")
        except RuntimeError:  # it ends with half of an escape
            return
        del plain
        kind, arguments = _parse(f"other:{description}")
        self.assertEqual((kind, arguments), ("other", named))


class BadEndpointTests(SynchronousTestCase):
    """
    A string that is no endpoint is refused when a listener is made of it.
    """

    def problem(self, description: str) -> str:
        """What is wrong with a string."""
        error = self.assertRaises(BadEndpoint, Doorway, description, Clock())
        self.assertEqual(error.endpoint, description)
        problem: str = error.problem
        return problem

    def test_at_once(self) -> None:
        """
        Nobody has to wait for the start of the daemon to hear of it.
        """
        error = self.assertRaises(
            BadEndpoint, Listener, "tpc:80", Factory(), "chat", Clock()
        )
        self.assertEqual(
            str(error),
            "cannot listen at 'tpc:80': there are no 'tpc' endpoints; did you mean "
            "tcp:?",
        )

    def test_problems(self) -> None:
        """
        What is wrong is told with what to write instead.
        """
        no_port = "a port is a number from 0 to 65535, not "
        for description, problem in (
            ("8080", "write tcp:8080"),
            (":8080", "write tcp:8080"),
            ("localhost:8080", "write tcp:8080:interface=localhost"),
            ("127.0.0.1:8080", "write tcp:8080:interface=127.0.0.1"),
            ("[::1]:8080", r"write tcp:8080:interface=\:\:1"),
            ("haproxy:tpc:80", "there are no 'tpc' endpoints; did you mean tcp:?"),
            ("tcp", no_port + "''"),
            ("tcp:", no_port + "''"),
            ("tcp:http", no_port + "'http'"),
            ("tcp:65536", no_port + "'65536'"),
            ("tcp:-1", no_port + "'-1'"),
            (
                "tcp:80:interfce=::1",
                "tcp: knows no 'interfce'; did you mean 'interface'?",
            ),
            ("tcp:80:zz=1", "tcp: knows no 'zz'; there are port, interface, backlog"),
            ("tcp:80:a:1:2", "tcp: takes port, interface, backlog"),
            ("tcp:80\\", "it ends with a backslash that has nothing to stand before"),
            ("unix:", "write unix: and the path of the socket"),
            ("systemd:domain=INET:index=7", "systemd passed on no such socket"),
            ("systemd:domain=INET:name=web", "systemd passed on no such socket"),
            ("systemd:domain=INET", "Specify exactly one of descriptor index or name"),
        ):
            self.assertIn(problem, self.problem(description))

    def test_unknown_kinds(self) -> None:
        """
        Where nothing is similar, all that there is is told.
        """
        for description in ("onion:80", "", "http://localhost:80/"):
            problem = self.problem(description)
            self.assertIn("there are no ", problem)
            for kind in ("ssl", "systemd", "tcp", "tcp6", "tls", "unix"):
                self.assertIn(kind, problem)

    def test_certificates(self) -> None:
        """
        Certificates that are not there, or are none, are missed at once.
        """
        not_there = os.path.abspath(self.mktemp())
        garbage = os.path.abspath(self.mktemp())
        Path(garbage).write_text("garbage")
        try:
            import OpenSSL  # noqa: F401
        except ImportError:
            self.skipTest("pyOpenSSL is not installed")
        missing = f"cannot read {not_there}: No such file or directory"
        self.assertEqual(self.problem(f"ssl:443:{not_there}"), missing)
        self.assertEqual(self.problem(f"tls:{not_there}"), missing)
        self.assertIn("Error", self.problem(f"ssl:443:{garbage}"))

    def test_without_tls(self) -> None:
        """
        Who has no TLS is told which extra brings it.
        """
        modules: dict[str, Any] = sys.modules
        self.addCleanup(modules.update, {"OpenSSL": modules.get("OpenSSL")})
        modules["OpenSSL"] = None
        error = self.assertRaises(MissingExtra, Doorway, "ssl:443:/nowhere", Clock())
        self.assertIn("pip install 'ropewalk[tls]'", str(error))


class Echo(LineProtocol):
    """Says what it hears."""

    def heard(self, line: str) -> None:
        self.say(line)


class Caller(Protocol):
    """
    The other end.

    :ivar answer: Fires with the first line that is heard.
    """

    transport: Any

    def __init__(self) -> None:
        self.answer: Deferred[bytes] = Deferred()
        self._heard = b""

    def connectionMade(self) -> None:
        self.transport.write(b"hello\n")

    def dataReceived(self, data: bytes) -> None:
        self._heard += data
        if self._heard.endswith(b"\n") and not self.answer.called:
            self.answer.callback(self._heard)


@inlineCallbacks
def talk(description: str) -> Steps[bytes]:
    """Connect to an endpoint, and have what it answers to a hello."""
    client = clientFromString(reactor, description)
    caller: Caller = yield client.connect(Factory.forProtocol(Caller))
    answer: bytes = yield caller.answer
    caller.transport.abortConnection()
    return answer


@contextmanager
def taken(interface: str = "127.0.0.1") -> Iterator[int]:
    """A port that somebody listens at."""
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    with closing(socket.socket(family)) as listening:
        listening.bind((interface, 0))
        listening.listen()
        yield listening.getsockname()[1]


def free_port() -> int:
    with taken() as port:
        return port


class DoorwayTests(TestCase):
    """
    One place to listen, of the real network of this machine.
    """

    timeout = 20

    def doorway(self, description: str) -> Doorway:
        doorway = Doorway(description, reactor)
        self.addCleanup(doorway.close)
        return doorway

    @inlineCallbacks
    def open(
        self, doorway: Doorway, protocol: Callable[[Any], LineProtocol] = Echo
    ) -> Steps[None]:
        """Let people in; they hear themselves."""
        lines = LineFactory(protocol, reactor)
        factory = ConnectionFactory(lines, Work("echo"), namer())
        self.addCleanup(factory.gone)
        self.addCleanup(doorway.close)
        yield doorway.open(factory)

    def assertRefused(self, port: int, interface: str = "127.0.0.1") -> None:
        """Nobody listens there."""
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((interface, port), timeout=5).close()

    @inlineCallbacks
    def test_early(self) -> Steps[None]:
        """
        A port that is bound is ours, but nobody can connect until it is opened;
        after it is closed, nobody can any more, and it is free.
        """
        port = free_port()
        doorway = self.doorway(f"tcp:{port}:interface=127.0.0.1")
        self.assertRefused(port)
        doorway.bind()
        doorway.bind()
        self.assertRefused(port)
        with closing(socket.socket()) as other, self.assertRaises(OSError):
            other.bind(("127.0.0.1", port))
        yield self.open(doorway)
        self.assertEqual(doorway.address, IPv4Address("TCP", "127.0.0.1", port))
        answer = yield talk(f"tcp:127.0.0.1:{port}")
        self.assertEqual(answer, b"hello\n")
        yield doorway.close()
        self.assertIsNone(doorway.address)
        self.assertRefused(port)

    @inlineCallbacks
    def test_any_port(self) -> Steps[None]:
        """
        Of "any port", the one that was bound is the one that is opened.
        """
        doorway = self.doorway("tcp:0:interface=127.0.0.1")
        doorway.bind()
        assert doorway._early.bound is not None
        bound = doorway._early.bound[1].getsockname()
        # Otherwise asyncio's loop would stand still after the first connection.
        self.assertFalse(doorway._early.bound[1].getblocking())
        yield self.open(doorway)
        self.assertEqual((doorway.address.host, doorway.address.port), bound)
        answer = yield talk(f"tcp:127.0.0.1:{bound[1]}")
        self.assertEqual(answer, b"hello\n")

    @inlineCallbacks
    def test_not_bound_before(self) -> Steps[None]:
        """
        It can be opened without being bound first.
        """
        doorway = self.doorway("tcp:0:interface=127.0.0.1")
        yield self.open(doorway)
        answer = yield talk(f"tcp:127.0.0.1:{doorway.address.port}")
        self.assertEqual(answer, b"hello\n")

    @inlineCallbacks
    def test_again(self) -> Steps[None]:
        """
        Once closed, it can be bound and opened again, while those who came before
        still talk.
        """
        port = free_port()
        doorway = self.doorway(f"tcp:{port}:interface=127.0.0.1")
        caller: Caller
        for _ in range(2):
            doorway.bind()
            yield self.open(doorway)
            client = clientFromString(reactor, f"tcp:127.0.0.1:{port}")
            caller = yield client.connect(Factory.forProtocol(Caller))
            self.addCleanup(caller.transport.abortConnection)
            yield caller.answer
            yield doorway.close()
        self.assertRefused(port)

    def test_no_name(self) -> None:
        """
        An interface whose name no name can be is told like any other that is not
        here.
        """
        doorway = self.doorway("tcp:0:interface=a..b")
        self.assertRaises(CannotListenError, doorway.bind)

    @inlineCallbacks
    def test_last_words(self) -> Steps[None]:
        """
        A peer that closes its half after its last words (``printf … | nc -N``) has
        all the answers, also those that take a while.
        """

        @implementer(IHalfCloseableProtocol)
        class Patient(Caller):
            def connectionMade(self) -> None:
                self.gone: Deferred[bytes] = Deferred()
                self.transport.write(b"one\ntwo\n")
                self.transport.loseWriteConnection()

            def readConnectionLost(self) -> None:
                self.gone.callback(self._heard)
                self.transport.loseConnection()

            def writeConnectionLost(self) -> None: ...

        class Slow(LineProtocol):
            def heard(self, line: str) -> Deferred[None]:
                return deferLater(reactor, 0.01, self.say, line)

        doorway = self.doorway("tcp:0:interface=127.0.0.1")
        yield self.open(doorway, Slow)
        client = clientFromString(reactor, f"tcp:127.0.0.1:{doorway.address.port}")
        patient = yield client.connect(Factory.forProtocol(Patient))
        self.assertEqual((yield patient.gone), b"one\ntwo\n")

    def test_given_back(self) -> None:
        """
        What was bound and never opened is given back by closing.
        """
        port = free_port()
        doorway = self.doorway(f"tcp:{port}:interface=127.0.0.1")
        doorway.bind()
        self.successResultOf(doorway.close())
        with closing(socket.socket()) as other:
            other.bind(("127.0.0.1", port))

    def test_taken(self) -> None:
        """
        A port that somebody listens at cannot be bound.
        """
        with taken() as port:
            doorway = self.doorway(f"tcp:{port}:interface=127.0.0.1")
            error = self.assertRaises(CannotListenError, doorway.bind)
        self.assertEqual((error.interface, error.port), ("127.0.0.1", port))
        self.assertEqual(error.socketError.errno, errno.EADDRINUSE)

    def test_taken_meanwhile(self) -> None:
        """
        Who is quicker to listen has the port: it then cannot be opened.
        """
        port = free_port()
        first = self.doorway(f"tcp:{port}:interface=127.0.0.1")
        first.bind()
        with closing(socket.socket()) as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
            failure = self.failureResultOf(first.open(Factory()), CannotListenError)
        self.assertEqual(failure.value.socketError.errno, errno.EADDRINUSE)

    def test_no_such_interface(self) -> None:
        """
        An address that this machine does not have cannot be bound.
        """
        doorway = self.doorway("tcp:0:interface=192.0.2.1")  # RFC 5737
        error = self.assertRaises(CannotListenError, doorway.bind)
        self.assertEqual((error.interface, error.port), ("192.0.2.1", 0))

    @inlineCallbacks
    def test_ipv6(self) -> Steps[None]:
        """
        An endpoint of IPv6 is bound early, too.
        """
        if not socket.has_ipv6:
            self.skipTest("there is no IPv6 here")
        for description in (
            r"tcp:0:interface=\:\:1",
            r"tcp6:0:interface=\:\:1",
            "tcp6:0",
        ):
            doorway = self.doorway(description)
            try:
                doorway.bind()
            except CannotListenError as error:
                self.skipTest(f"there is no IPv6 here: {error}")
            yield self.open(doorway)
            port = doorway.address.port
            answer = yield talk(rf"tcp:\:\:1:{port}")
            self.assertEqual(answer, b"hello\n")
            if description == "tcp6:0":
                # All of IPv6 is all of IPv4 as well: that is why both clash.
                answer = yield talk(f"tcp:127.0.0.1:{port}")
                self.assertEqual(answer, b"hello\n")

    @inlineCallbacks
    def test_unix(self) -> Steps[None]:
        """
        A UNIX socket is made when it is opened, and removed when it is closed.
        """
        path = os.path.abspath(self.mktemp())
        if len(path) > 100:
            path = os.path.relpath(path)
        doorway = self.doorway(f"unix:{quoteStringArgument(path)}:mode=600")
        doorway.bind()
        self.assertFalse(os.path.exists(path))
        yield self.open(doorway)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        answer = yield talk(f"unix:{quoteStringArgument(path)}")
        self.assertEqual(answer, b"hello\n")
        yield doorway.close()
        self.assertFalse(os.path.exists(path))

    @inlineCallbacks
    def test_tls(self) -> Steps[None]:
        """
        A TLS endpoint is bound early as well, and its certificate read early:
        afterwards there may be no privileges to do so.
        """
        try:
            from tests.certificates import make_pem, self_signed
        except ImportError:
            self.skipTest("pyOpenSSL is not installed")
        directory = Path(self.mktemp())
        directory.mkdir()
        pem = directory / "localhost.pem"
        pem.write_bytes(make_pem())
        quoted = quoteStringArgument(str(pem))
        doorway = self.doorway(f"ssl:0:{quoted}:interface=127.0.0.1")
        doorway.bind()
        pem.unlink()
        yield self.open(doorway)
        yield self.talk_tls(doorway.address.port, self_signed()[1])
        pem.write_bytes(make_pem())
        quoted = quoteStringArgument(str(directory))
        doorway = self.doorway(f"tls:{quoted}:0:interface=127.0.0.1")
        doorway.bind()
        yield self.open(doorway)
        yield self.talk_tls(doorway.address.port, self_signed()[1])

    @inlineCallbacks
    def talk_tls(self, port: int, options: Any) -> Steps[None]:
        client = endpoints.wrapClientTLS(
            options, clientFromString(reactor, f"tcp:127.0.0.1:{port}")
        )
        caller: Caller = yield client.connect(Factory.forProtocol(Caller))
        self.addCleanup(caller.transport.abortConnection)
        answer = yield caller.answer
        self.assertEqual(answer, b"hello\n")

    def test_proxied(self) -> None:
        """
        So is one behind a proxy.
        """
        doorway = Doorway("haproxy:tcp:0:interface=127.0.0.1", reactor, bool)
        self.addCleanup(doorway.close)
        doorway.bind()
        assert doorway._early.bound is not None
        bound = doorway._early.bound[1].getsockname()[1]
        self.successResultOf(doorway.open(Factory()))
        self.assertEqual(doorway.address.port, bound)

    @inlineCallbacks
    def test_transports(self) -> Steps[None]:
        """
        On uvloop, connections are the loop's, whether the port was bound early or not;
        otherwise they are Twisted's own.
        """
        kinds = []

        class Looking(Echo):
            def opened(self) -> None:
                transport: Any = self.transport
                kinds.append(type(transport.transport))

        for early in True, False:
            doorway = self.doorway("tcp:0:interface=127.0.0.1")
            if early:
                doorway.bind()
            yield self.open(doorway, Looking)
            yield talk(f"tcp:127.0.0.1:{doorway.address.port}")
            yield doorway.close()
        on_uvloop = isinstance(network(reactor), LoopNetwork)
        wanted = Connection if on_uvloop else Server
        self.assertEqual([issubclass(each, wanted) for each in kinds], [True, True])

    @inlineCallbacks
    def test_backlog(self) -> Steps[None]:
        """
        As many may wait to be accepted as the endpoint says, also at a port that was
        bound early.
        """
        if sys.platform != "linux":
            raise SkipTest("only Linux tells how many may wait")
        for early in True, False:
            doorway = self.doorway("tcp:0:interface=127.0.0.1:backlog=9")
            if early:
                doorway.bind()
            yield self.open(doorway)
            port: Any = doorway._port
            info = port.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            self.assertEqual(struct.unpack_from("I", info, BACKLOG), (9,))
            yield doorway.close()


#: Where C{struct tcp_info} of a socket that listens says how many may wait
#: (linux/tcp.h).
BACKLOG = 28


class DestinationTests(TestCase):
    """
    Where to connect to.
    """

    timeout = 20

    @inlineCallbacks
    def ask(self, description: str) -> Steps[tuple[bytes, type]]:
        """What is answered to a hello, and by which transport that came."""
        client = make_client(description, reactor)
        caller: Caller = yield client.connect(Factory.forProtocol(Caller))
        answer: bytes = yield caller.answer
        beneath = caller.transport
        while hasattr(beneath, "transport"):
            beneath = beneath.transport
        caller.transport.abortConnection()
        return answer, type(beneath)

    @inlineCallbacks
    def test_connecting(self) -> Steps[None]:
        """
        What Twisted's strings connect to is connected to, by the transports that are
        best here.
        """
        path = os.path.relpath(self.mktemp())
        pem = Path(self.mktemp())
        pem.mkdir()
        (pem / "localhost.pem").write_bytes(make_pem())
        for where, there in (
            ("tcp:0:interface=127.0.0.1", "tcp:127.0.0.1:{port}"),
            (f"unix:{path}", f"unix:{path}"),
            (
                f"tls:{pem}:0:interface=127.0.0.1",
                f"tls:localhost:443:trustRoots={pem}:endpoint=tcp\\:127.0.0.1\\:{{port}}",
            ),
        ):
            doorway = Doorway(where, reactor)
            self.addCleanup(doorway.close)
            yield doorway.open(LineFactory(Echo, reactor))
            number = getattr(doorway.address, "port", None)
            answer, kind = yield self.ask(there.format(port=number))
            self.assertEqual(answer, b"hello\n")
            on_uvloop = isinstance(network(reactor), LoopNetwork)
            self.assertEqual(issubclass(kind, Connection), on_uvloop)

    def test_problems(self) -> None:
        """
        What is wrong with a string is said at once, and what to write instead.
        """
        for description, problem in (
            ("tcp:localhost", "tcp: takes host, port, timeout, bindAddress"),
            ("tcp:localhost:http", "a port is a number from 0 to 65535, not 'http'"),
            ("tcp:localhost:99999", "a port is a number from 0 to 65535, not '99999'"),
            (
                "tpc:localhost:80",
                "there are no 'tpc' endpoints; did you mean tcp:?",
            ),
            (
                "ssl:localhost:443:prvateKey=a.pem",
                "ssl: knows no 'prvateKey'; did you mean 'privateKey'?",
            ),
            (
                "ssl:localhost:443:caCertsDir=/nowhere",
                "cannot read /nowhere: No such file or directory",
            ),
            ("unix:", "write unix: and the path of the socket"),
            (
                "tcp:localhost:80\\",
                "it ends with a backslash that has nothing to stand before",
            ),
            (
                "tcp:localhost:80:timeout=soon",
                "ValueError: invalid literal for int() with base 10: 'soon'",
            ),
        ):
            with self.assertRaises(BadDestination) as caught:
                make_client(description, reactor)
            self.assertEqual(
                str(caught.exception), f"cannot connect to {description!r}: {problem}"
            )


@implementer(IReactorSocket)
class Elsewhere(Clock):
    """
    A reactor that listens nowhere, and says what it was asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Any] = []
        self.port: Deferred[Any] = succeed(self)
        self.stopped = 0

    def listenTCP(self, *args: Any, **options: Any) -> Any:
        self.asked.append(("TCP", args[0], options))
        return self

    def listenUNIX(self, *args: Any, **options: Any) -> Any:
        self.asked.append(("UNIX", args[0], options))
        return self

    def stopListening(self) -> None:
        self.stopped += 1

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: Any, factory: Any
    ) -> Any:
        self.asked.append(("adopted", addressFamily))
        return self

    def adoptStreamConnection(self, *args: Any) -> Any: ...

    def adoptDatagramPort(self, *args: Any) -> Any: ...


class EarlyTests(SynchronousTestCase):
    """
    The reactor that an endpoint is given.
    """

    def setUp(self) -> None:
        self.reactor = Elsewhere()

    def test_whatever_else(self) -> None:
        """
        What is not bound, the reactor listens at as ever.
        """
        Doorway("tcp:80:interface=127.0.0.1:backlog=5", self.reactor).open(Factory())
        Doorway("unix:/run/chat", self.reactor).open(Factory())
        options = {"backlog": 5, "interface": "127.0.0.1"}
        self.assertEqual(self.reactor.asked[0], ("TCP", 80, options))
        self.assertEqual(self.reactor.asked[1][:2], ("UNIX", "/run/chat"))

    def test_another_port(self) -> None:
        """
        An endpoint that wants a second port gets that, and not the bound one.
        """
        doorway = Doorway("tcp:0:interface=127.0.0.1", self.reactor)
        doorway.bind()
        self.addCleanup(doorway.close)
        doorway._early.listenTCP(81, Factory())
        doorway._early.listenTCP(0, Factory())
        self.assertEqual(
            self.reactor.asked,
            [
                ("TCP", 81, {"backlog": 1024, "interface": ""}),
                ("adopted", socket.AF_INET),
            ],
        )

    def test_a_reactor_that_adopts_nothing(self) -> None:
        """
        With a reactor that cannot take over a socket, none is bound early.
        """
        doorway = Doorway("tcp:0:interface=127.0.0.1", Clock())
        doorway.bind()
        self.assertIsNone(doorway._early.bound)

    def test_closed_while_opening(self) -> None:
        """
        A port that opens after it was closed is closed again.
        """

        @implementer(IStreamServerEndpoint)
        class Slow:
            def listen(self, factory: Any) -> Deferred[Any]:
                return opening

        opening: Deferred[Any] = Deferred()
        doorway = Doorway("stdio:", self.reactor)
        doorway._endpoint = Slow()
        opened = doorway.open(Factory())
        self.successResultOf(doorway.close())
        opening.callback(self.reactor)
        self.successResultOf(opened)
        self.assertEqual((self.reactor.stopped, doorway.address), (1, None))

    def test_failing(self) -> None:
        """
        What an endpoint fails with, opening fails with; what was bound is given
        back.
        """

        @implementer(IStreamServerEndpoint)
        class Failing:
            def listen(self, factory: Any) -> Deferred[Any]:
                return fail(ZeroDivisionError())

        doorway = Doorway("tcp:0:interface=127.0.0.1", self.reactor)
        doorway.bind()
        doorway._endpoint = Failing()
        self.failureResultOf(doorway.open(Factory()), ZeroDivisionError)
        self.assertIsNone(doorway._early.bound)


SYSTEMD = """
import socket, sys
from twisted.internet import reactor
from twisted.internet.protocol import Factory
from ropewalk.net.endpoints import Doorway, claim
doorway = Doorway("systemd:domain=INET:name=chat", reactor)
doorway.bind()
doorway.open(Factory())
assert doorway.address is not None
print(doorway.address.port, claim(doorway.description).address)
"""


class SystemdTests(SynchronousTestCase):
    """
    Sockets that systemd has opened.
    """

    def test_socket_activation(self) -> None:
        """
        A socket that the process was started with is listened at.
        """
        with closing(socket.socket()) as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            descriptor = listening.fileno()
            done = subprocess.run(
                [
                    *("sh", "-c"),
                    'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=chat exec "$@"',
                    *("sh", sys.executable, "-c", SYSTEMD),
                ],
                env={**os.environ, "PYTHONPATH": f"{ROOT}/platform"},
                preexec_fn=lambda: os.dup2(descriptor, 3),
                pass_fds=[3],
                capture_output=True,
                text=True,
                check=False,
            )
            port = listening.getsockname()[1]
        self.assertEqual((done.stdout, done.stderr), (f"{port} chat\n", ""))


class DocumentationTests(SynchronousTestCase):
    """
    ``docs/net.rst`` is true.
    """

    def test_page(self) -> None:
        """
        Its examples do what it says.
        """
        names, said = run_page("net.rst")
        self.assertEqual(said, "")
        self.assertIsInstance(names["Settings"]().listen, str)

    def test_answers(self) -> None:
        """
        The protocol on it answers one thing after the other, makes a peer wait that
        is too fast, and cuts one off that does not read.
        """
        clock = Clock()
        ends: list[Deferred[bytes]] = []

        def answer(data: bytes) -> Deferred[bytes]:
            ends.append(Deferred())
            return ends[-1]

        protocol = run_page("net.rst")[0]["Answers"](clock, answer)
        peer = connect(clock, protocol)
        for _ in range(100):
            peer.transport.write(b"x")
            clock.advance(0)
        self.assertEqual((len(ends), len(protocol._turns._waiting)), (1, 65))
        ends[0].callback(b"first")
        clock.advance(0)
        self.assertEqual((len(ends), peer.said()), (2, "first"))
        peer.transport.pauseProducing()
        for size in (100_000, 250_000, 250_000):
            ends[-1].callback(b"x" * size)
            clock.advance(0)
        self.assertFalse(protocol.transport.connected)
