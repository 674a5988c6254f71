"""
Tests for L{ropewalk.web.upgrade}.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import (
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.types import ConnectionDeny
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.static import Data

from ropewalk.web.mounts import Mount
from ropewalk.web.proxies import Proxies
from ropewalk.web.upgrade import UpgradeResource
from tests.visiting import Answer, Place, Visit, request

HANDSHAKE = {
    "Host": "example.org",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}

#: What a server answers to this key: RFC 6455, section 1.3.
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class Guarded(WebSocketServerProtocol):
    """
    A socket that does not want everybody.
    """

    def onConnect(self, request: Any) -> Any:
        if "bot" in request.headers.get("user-agent", ""):
            raise ConnectionDeny(403, "no robots")
        return None


class UpgradeTestCase(SynchronousTestCase):
    """
    A site with a WebSocket at C{/live}.
    """

    def setUp(self) -> None:
        self.place = self.make()

    def make(self, *origins: str) -> Place:
        place = Place.of()
        factory = WebSocketServerFactory()
        factory.protocol = Guarded
        # No timers: Autobahn's run on the global reactor.
        factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)
        resource = UpgradeResource(WebSocketResource(factory), origins)
        mount = Mount("/live", resource, "chat", "x.py:1", "socket", Guarded)
        place.site.mounts.add(mount)
        return place

    def knock(
        self, method: str = "GET", place: Place | None = None, **headers: str | None
    ) -> Answer:
        """
        Ask for a WebSocket.

        :param headers: What is different from a good handshake; C{None} leaves a
            header out.
        """
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [
            f"{name}: {value}"
            for name, value in {**HANDSHAKE, **given}.items()
            if value is not None
        ]
        self.visit = Visit((place or self.place).site)
        self.visit.send(request("/live", method, *lines))
        return self.visit.answer(method)


class DoorTests(UpgradeTestCase):
    """
    Who asks properly for a WebSocket gets one; anybody else is told what to do.
    """

    def test_handshake(self) -> None:
        """
        A good handshake is answered by the WebSocket, and noted.
        """
        answer = self.knock()
        self.assertEqual(answer.status, 101)
        self.assertEqual(answer.headers["sec-websocket-accept"], ACCEPT)
        self.assertEqual(self.place.noted(), [("GET", "/live", 101)])
        self.visit.send(bytes.fromhex("8980 00000000"))  # a ping
        self.assertEqual(self.visit.wire.value(), bytes.fromhex("8a00"))

    def test_spelling(self) -> None:
        """
        The headers may be written in any case, and be lists.
        """
        answer = self.knock(Upgrade="h2c, WebSocket", Connection="keep-alive, UPGRADE")
        self.assertEqual(answer.status, 101)

    def test_plain(self) -> None:
        """
        A plain request is told that this address speaks WebSocket, and the
        connection goes on.
        """
        detail = "this address speaks WebSocket, not plain HTTP"
        for headers in (
            {"Upgrade": None, "Connection": None},
            {"Upgrade": "h2c"},
            {"Upgrade": "websockets"},
        ):
            answer = self.knock(**headers)
            self.assertEqual((answer.status, answer.json["detail"]), (426, detail))
            self.assertEqual(answer.headers["upgrade"], "websocket")
            self.assertEqual(answer.headers["connection"], "upgrade")
            self.assertEqual(self.visit.ask("/live").status, 426)
        answer = self.knock("HEAD", Upgrade=None)
        self.assertEqual((answer.status, answer.body), (426, b""))
        self.assertEqual(self.knock("HEAD").status, 426)

    def test_a_browser(self) -> None:
        """
        Somebody who opens the address in a browser gets a page that says so.
        """
        answer = self.knock(Upgrade=None, Accept="text/html,*/*;q=0.8")
        self.assertIn("<h1>426 Upgrade Required</h1>", answer.text)

    def test_a_proxy_in_between(self) -> None:
        """
        A proxy that was not set up for WebSockets can be recognised.
        """
        answer = self.knock(Connection="keep-alive")
        self.assertEqual(
            (answer.status, answer.json["detail"]),
            (426, "the header 'Connection: upgrade' is missing; did a proxy drop it?"),
        )

    def test_an_old_protocol(self) -> None:
        """
        HTTP/1.0 cannot be upgraded.
        """
        lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
        visit = self.place.visit()
        visit.send(f"GET /live HTTP/1.0\r\n{lines}\r\n".encode())
        answer = visit.answer()
        self.assertEqual(
            (answer.status, answer.json["detail"]), (426, "a WebSocket needs HTTP/1.1")
        )

    def test_versions(self) -> None:
        """
        Another version of WebSocket than 13 is told which one we speak (RFC 6455,
        section 4.4).
        """
        for version in None, "8", "14", "13, 8", "", "\xff":
            answer = self.knock(Sec_WebSocket_Version=version)
            self.assertEqual(
                (answer.status, answer.headers["sec-websocket-version"]), (426, "13")
            )

    def test_keys(self) -> None:
        """
        Without a proper key nothing can be agreed on.
        """
        for key in None, "", "short", "*" * 22 + "==", "dGhlIHNhbXBsZSBub25jZQ=x":
            answer = self.knock(Sec_WebSocket_Key=key)
            self.assertEqual(answer.status, 400)
            self.assertEqual(
                answer.json["detail"],
                "Sec-WebSocket-Key: expected 16 bytes in base 64",
            )

    def test_methods(self) -> None:
        """
        A WebSocket begins with GET.
        """
        for method in "POST", "PUT", "OPTIONS", "BREW":
            answer = self.knock(method)
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET"))

    def test_denied(self) -> None:
        """
        What the protocol itself denies is in the access log as denied.
        """
        self.visit = self.place.visit()
        lines = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
        self.visit.send(request("/live", "GET", *lines, "User-Agent: bot"))
        self.assertTrue(self.visit.wire.value().startswith(b"HTTP/1.1 403 no robots"))
        self.assertEqual(self.place.noted(), [("GET", "/live", 400)])

    def test_going_down(self) -> None:
        """
        Nobody comes in when the site is saying goodbye.
        """
        self.place.site.draining = True
        answer = self.knock()
        self.assertEqual((answer.status, answer.headers["connection"]), (503, "close"))
        self.assertTrue(self.visit.closed)

    @given(
        st.sampled_from(sorted(HANDSHAKE)),
        st.binary(max_size=20).filter(lambda value: not {*value} & {*b"\r\n\0"}),
    )
    def test_anything(self, name: str, value: bytes) -> None:
        """
        Whatever is in the headers, there is an answer and no accident.
        """
        visit = self.place.visit()
        lines = [
            f"{each}: {HANDSHAKE[each]}".encode()
            if each != name
            else f"{each}: ".encode() + value
            for each in HANDSHAKE
        ]
        visit.send(b"\r\n".join([b"GET /live HTTP/1.1", *lines, b"", b""]))
        status = int(visit.wire.value().split(b" ")[1])
        self.assertIn(status, (101, 400, 426))


class ProxyTests(UpgradeTestCase):
    """
    Behind a proxy that is trusted.
    """

    def test_not_taken(self) -> None:
        """
        A connection that no WebSocket has taken over is the proxy's again.
        """
        place = Place.of(proxies=Proxies(["10.9.8.7"]))
        for inner in (Data(b"no", "text/plain"), Broken()):
            resource = UpgradeResource(inner, ())
            path = f"/{type(inner).__name__}"
            mount = Mount(path, resource, "chat", "x.py:1", "socket", Guarded)
            place.site.mounts.add(mount)
            visit = place.visit()
            lines = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
            visit.ask(path, "GET", "X-Forwarded-For: 192.0.2.7", *lines)
            visit.ask("/", "GET", "X-Forwarded-For: 192.0.2.8")
            seen = [each.getClientAddress().host for each in place.seen]
            self.assertEqual(seen, ["192.0.2.7", "192.0.2.8"])
            self.assertEqual(visit.connection.getPeer().host, "10.9.8.7")
            place.seen.clear()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_refused(self) -> None:
        """
        Who is refused is told the id that the proxy gave.
        """
        place = Place.of(proxies=Proxies(["10.9.8.7"]), request_id="x-request-id")
        answer = place.visit().ask("/live", "GET", "X-Request-ID: abc")
        self.assertEqual(answer.headers["x-request-id"], "abc")


class Broken(Resource):
    """
    A resource that fails.
    """

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        raise ZeroDivisionError


class OriginTests(UpgradeTestCase):
    """
    A page may open a WebSocket on its own site, and on those that said so.
    """

    def assertWelcome(
        self,
        welcome: bool,
        origin: str | None,
        host: str = "example.org",
        *origins: str,
    ) -> None:
        answer = self.knock(place=self.make(*origins), Origin=origin, Host=host)
        expected = 101 if welcome else 403
        self.assertEqual(answer.status, expected, (origin, host, origins))

    def test_no_page(self) -> None:
        """
        What is no browser has no origin.
        """
        self.assertWelcome(True, None)

    def test_own(self) -> None:
        """
        The site's own pages are welcome, in whatever case host and origin are
        written; the port counts.
        """
        for origin, host in (
            ("http://example.org", "example.org"),
            ("HTTP://Example.ORG", "example.org"),
            ("http://example.org", "Example.Org"),
            ("http://example.org:8080", "example.org:8080"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://localhost", "localhost"),
        ):
            self.assertWelcome(True, origin, host)

    def test_usual_ports(self) -> None:
        """
        A usual port need not be written, on either side; what a proxy in front of
        us speaks is not known here.
        """
        for origin, host in (
            ("http://example.org:80", "example.org"),
            ("http://example.org", "example.org:80"),
            ("https://example.org", "example.org"),
            ("https://example.org:443", "example.org"),
            ("https://example.org", "example.org:443"),
        ):
            self.assertWelcome(True, origin, host)

    def test_strangers(self) -> None:
        """
        Anybody else is refused.
        """
        for origin, host in (
            ("http://evil.org", "example.org"),
            ("http://example.org.evil.org", "example.org"),
            ("http://notexample.org", "example.org"),
            ("http://example.org:8080", "example.org"),
            ("http://example.org", "example.org:8080"),
            ("http://example.org:81", "example.org:80"),
            ("http://example.org", "example.org:443"),
            ("https://example.org", "example.org:80"),
            ("https://example.org:80", "example.org"),
            ("http://example.org:443", "example.org"),
            ("http://example.org@evil.org", "example.org"),
            ("http://evil.org@example.org", "example.org"),
            ("http://evil.org/example.org", "example.org"),
            ("http://example.org/x", "example.org"),
            ("chrome-extension://example.org", "example.org"),
            ("file://", ""),
            ("http://", ""),
            ("http://[::1", "[::1]"),
            ("example.org", "example.org"),
            ("null", "null"),
            ("null", "example.org"),
            ("", "example.org"),
            ("\u00e9", "example.org"),
        ):
            self.assertWelcome(False, origin, host)

    def test_others(self) -> None:
        """
        The settings may invite others, as people write them.
        """
        ours = ("https://app.example.com/", "HTTP://Old.Example.com:80", "app://x")
        for origin in (
            "https://app.example.com",
            "https://app.example.com:443",
            "http://old.example.com",
            "app://x",
            "http://example.org",
        ):
            self.assertWelcome(True, origin, "example.org", *ours)
        for origin in (
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://old.example.com",
            "app://y",
            "null",
        ):
            self.assertWelcome(False, origin, "example.org", *ours)

    def test_everybody(self) -> None:
        """
        They may invite everybody, or pages without an origin.
        """
        for origin in "http://evil.org", "null", "nonsense":
            self.assertWelcome(True, origin, "example.org", "*")
        self.assertWelcome(True, "null", "example.org", "null")
        self.assertWelcome(False, "http://evil.org", "example.org", "null")

    def test_what_is_told(self) -> None:
        """
        The refusal names the origin, so that whoever wrote the page sees what to
        put into the settings.
        """
        answer = self.knock(Origin="http://evil.org")
        self.assertEqual(
            answer.json["detail"],
            "the page's origin 'http://evil.org' may not open WebSockets here",
        )
