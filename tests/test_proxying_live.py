"""
Tests for L{ropewalk.web.proxying} with real connections.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadPlugin
from ropewalk.interfaces import IWeb, Steps
from ropewalk.net.transports import network
from ropewalk.testing import Response
from ropewalk.web.hosting import Place as At
from ropewalk.web.hosting.settings import BadMount
from ropewalk.web.proxying import proxy
from tests.certificates import make_pem, self_signed
from tests.proxying import OK, RealSite
from tests.test_sites import SiteTestCase
from tests.visiting import parse, request

reactor: Any = global_reactor

BIG = 3_000_000


class Server(Protocol):
    """
    A back end: answers with what it was sent, or with much.
    """

    def connectionMade(self) -> None:
        self._came = b""

    def dataReceived(self, data: bytes) -> None:
        self._came += data
        head, end, body = self._came.partition(b"\r\n\r\n")
        transport: Any = self.transport
        if not end or (b"chunked" in head and not body.endswith(b"0\r\n\r\n")):
            return
        self._came = b""
        if head.startswith(b"GET /much"):
            transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
            transport.write(b"x" * BIG)
        elif head.startswith(b"GET /half"):
            transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            transport.loseConnection()
        elif b"chunked" in head:
            said = b"%d" % body.count(b"x")
            transport.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + said)
            transport.loseConnection()
        else:
            transport.write(OK)


class LiveCase(TestCase):
    """
    A back end, and a site in front of it.
    """

    timeout = 60

    @inlineCallbacks
    def serve(self, listen: Any, url: str, **terms: Any) -> Steps[RealSite]:
        factory = Factory.forProtocol(Server)
        port = listen(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        target = url.format(port=port.getHost().port)
        at = At(
            *("/", "shop", "x.py:1", reactor, lambda *each: None),
            network=network(reactor),
        )
        site: RealSite = yield RealSite.of("/", proxy(target, **terms).at(at))
        self.addCleanup(site.stop)
        return site


class PlainTests(LiveCase):
    """
    A back end that speaks no TLS.
    """

    def plain(self) -> Any:
        return self.serve(reactor.listenTCP, "http://127.0.0.1:{port}")

    @inlineCallbacks
    def test_by_name(self) -> Steps[None]:
        """
        It is found by its name.
        """
        site = yield self.serve(reactor.listenTCP, "http://localhost:{port}")
        self.assertEqual((yield site.get("/")), (200, b"ok"))

    @inlineCallbacks
    def test_much(self) -> Steps[None]:
        """
        A long answer arrives whole.
        """
        site = yield self.plain()
        status, body = yield site.get("/much")
        self.assertEqual((status, len(body)), (200, BIG))

    @inlineCallbacks
    def test_upload(self) -> Steps[None]:
        """
        So does a long body.
        """
        site = yield self.plain()
        site.mounting.resource.longest_body = 2 * BIG
        chunks = b"".join(b"10000\r\n" + b"x" * 65536 + b"\r\n" for _ in range(40))
        head = request("/", "POST", "Transfer-Encoding: chunked", "Connection: close")
        said = yield site.ask(head + chunks + b"0\r\n\r\n")
        (answer,) = parse(said, True)
        self.assertEqual((answer.status, answer.body), (200, b"%d" % (40 * 65536)))

    @inlineCallbacks
    def test_half(self) -> Steps[None]:
        """
        Half an answer is not taken for a whole one.
        """
        site = yield self.plain()
        said = yield site.ask(request("/half"))
        (answer,) = parse(said, True)
        self.assertEqual((answer.body, answer.whole), (b"half", False))

    @inlineCallbacks
    def test_nobody(self) -> Steps[None]:
        """
        Where nobody listens, that is said.
        """
        port = reactor.listenTCP(0, Factory.forProtocol(Server), interface="127.0.0.1")
        number = port.getHost().port
        yield maybeDeferred(port.stopListening)
        at = At("/", "shop", "x.py:1", reactor, lambda *each: None)
        site = yield RealSite.of("/", proxy(f"http://127.0.0.1:{number}").at(at))
        self.addCleanup(site.stop)
        status, body = yield site.get("/")
        self.assertEqual(status, 502)
        self.assertIn(b"does not answer as it should", body)


class SecureTests(LiveCase):
    """
    A back end that speaks TLS.
    """

    def secure(self, **terms: Any) -> Any:
        server, _ = self_signed()

        def listen(port: int, factory: Any, interface: str) -> Any:
            return reactor.listenSSL(port, factory, server, interface=interface)

        return self.serve(listen, "https://localhost:{port}", **terms)

    @inlineCallbacks
    def test_trusted(self) -> Steps[None]:
        """
        One whose certificate is trusted is asked.
        """
        path = Path(self.mktemp())
        path.write_bytes(make_pem())
        site = yield self.secure(trust=str(path))
        self.assertEqual((yield site.get("/")), (200, b"ok"))

    @inlineCallbacks
    def test_not_trusted(self) -> Steps[None]:
        """
        One whose certificate nobody vouches for is not told anything.
        """
        site = yield self.secure()
        status, _ = yield site.get("/")
        self.assertEqual(status, 502)

    def test_no_certificates(self) -> None:
        """
        A file of certificates that is not there is named.
        """
        described = proxy("https://localhost", trust="/nowhere.pem")
        at = At("/", "shop", "x.py:1", reactor, lambda *each: None)
        with self.assertRaisesRegex(BadPlugin, r"x.py:1.*nowhere\.pem"):
            described.at(at)


class ReadinessTests(SiteTestCase):
    """
    A daemon whose applications cannot be asked is not ready.
    """

    @inlineCallbacks
    def test_not_ready(self) -> Steps[None]:
        """
        It says which.
        """
        described = proxy("http://127.0.0.1:1")
        made: list[Any] = []
        at = described.at

        def note(place: Any) -> Any:
            made.append(at(place))
            return made[-1]

        self.patch(described, "at", note)

        def pages(web: IWeb) -> None:
            web.mount("/old", described)

        host = yield self.run_all(pages)
        answer: Response = yield host.http().get("/health/ready")
        self.assertEqual(answer.status, 200)
        made[0].leave("http://127.0.0.1:1")
        answer = yield host.http().get("/health/ready")
        self.assertEqual(answer.status, 503)
        self.assertIn("what is at /old", answer.text)
        self.assertIn("http://127.0.0.1:1 is leaving", answer.text)


class SettingsTests(SiteTestCase):
    """
    Other servers in a settings file.
    """

    @inlineCallbacks
    def test_bad(self) -> Steps[None]:
        """
        A place that is none is refused where it is written.
        """
        yield deferLater(reactor, 0)
        self.assertRaises(BadMount, proxy, "127.0.0.1:9000")
        settings = '[web.mounts]\n"/x" = { proxy = "127.0.0.1:9000" }\n'
        with self.assertRaisesRegex(Exception, "no place to pass requests to"):
            yield self.run_all(lambda web: None, settings=settings)
