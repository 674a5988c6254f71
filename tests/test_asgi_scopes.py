"""
Tests for L{ropewalk.web.hosting.asgi.scopes} and L{ropewalk.web.hosting.asgi.tls}: what
an ASGI application is told of a request.
"""

from __future__ import annotations

import contextlib
from typing import Any
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.hosting.asgi.scopes import Dialect, Scopes
from ropewalk.web.hosting.asgi.tls import tls_of
from tests.asgi_places import AsgiTestCase, answer, on_loop
from tests.certificates import make_pem
from tests.visiting import Place, request

#: Names of headers that mean nothing to us, and what may be in their values (RFC 9110,
#: section 5.5).
NAMES = st.sampled_from(("X-One", "x-two", "Accept", "Cookie", "X-ONE", "a"))
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


class ScopeTests(AsgiTestCase):
    """
    The scope of a request.
    """

    async def listen(self, path: str = "/", **options: Any) -> list[dict[str, Any]]:
        """The scopes of what will be asked."""
        scopes: list[dict[str, Any]] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scopes.append(scope)
            await answer(send)

        await self.serve(app, path, lifespan="off", **options)
        return scopes

    @on_loop
    async def test_everything(self) -> None:
        """
        It has all that ASGI wants to be there.
        """
        scopes = await self.listen()
        self.visit().send(request("/a%20b?x=%201&y", "GET", "A: 1", "b: 2", "a: 3"))
        (scope,) = scopes
        del scope["extensions"]
        self.assertEqual(
            scope,
            {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.5"},
                "http_version": "1.1",
                "method": "GET",
                "scheme": "http",
                "path": "/a b",
                "raw_path": b"/a%20b",
                "query_string": b"x=%201&y",
                "root_path": "",
                "headers": [
                    (b"host", b"example.org"),
                    (b"a", b"1"),
                    (b"b", b"2"),
                    (b"a", b"3"),
                ],
                "client": ("10.9.8.7", 5555),
                "server": ("10.0.0.1", 8080),
                "state": {},
            },
        )

    @on_loop
    async def test_dialects(self) -> None:
        """
        The mount is told in three ways.
        """
        told = {}
        for dialect in ("full", "strip", "raw"):
            path = f"/{dialect}"
            scopes = await self.listen(path, root_path=dialect)
            self.visit().send(request(f"{path}/%C3%BC/x"))
            self.visit().send(request(path))
            told[dialect] = [(each["root_path"], each["path"]) for each in scopes]
            self.assertEqual(scopes[0]["raw_path"], f"{path}/%C3%BC/x".encode())
        self.assertEqual(told["full"], [("/full", "/full/ü/x"), ("/full", "/full")])
        self.assertEqual(told["strip"], [("/strip", "/ü/x"), ("/strip", "/")])
        self.assertEqual(told["raw"], [("", "/raw/ü/x"), ("", "/raw")])

    @on_loop
    async def test_versions(self) -> None:
        """
        A client of HTTP/1.0 is one, and is offered what it understands.
        """
        scopes = await self.listen()
        self.visit().send(b"GET / HTTP/1.0\r\nTE: trailers\r\n\r\n")
        self.visit().send(request("/", "GET", "TE: trailers"))
        old, new = scopes
        files = {"http.response.pathsend", "http.response.zerocopysend"}
        more = {"http.response.early_hint", "http.response.trailers"}
        self.assertEqual((old["http_version"], set(old["extensions"])), ("1.0", files))
        self.assertEqual(set(new["extensions"]), files | more)

    @on_loop
    async def test_state(self) -> None:
        """
        Each request has a copy of what the lifespan left.
        """
        seen: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                scope["state"]["shop"] = "open"
                await send({"type": "lifespan.startup.complete"})
                return
            seen.append(dict(scope["state"]))
            scope["state"]["shop"] = "closed"
            await answer(send)

        await self.serve(app)
        self.ask()
        self.ask()
        self.assertEqual(seen, [{"shop": "open"}, {"shop": "open"}])

    @on_loop
    async def test_a_whole_url(self) -> None:
        """
        Of a target that is a whole URL the path is told, and its host.
        """
        scopes = await self.listen()
        self.visit().send(b"GET http://a.example/x?y HTTP/1.1\r\nHost: b\r\n\r\n")
        self.assertEqual(
            (scopes[0]["path"], scopes[0]["query_string"], scopes[0]["headers"]),
            ("/x", b"y", [(b"host", b"a.example")]),
        )

    @settings(deadline=None, max_examples=30)
    @given(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.lists(st.tuples(NAMES, VALUES), max_size=6),
    )
    def test_whatever_comes(self, text: str, headers: list[tuple[str, str]]) -> None:
        """
        Path and headers are what was sent, in its order, however it was encoded.
        """
        fields = [f"{name}: {value}" for name, value in headers]
        self.setUp()
        got: list[dict[str, Any]] = []

        @on_loop
        async def visit(case: ScopeTests) -> None:
            scopes = await case.listen("/n", root_path="strip")
            case.visit().send(request("/n/" + quote(text, safe=""), "GET", *fields))
            got.extend(scopes)

        visit(self)
        (scope,) = got
        self.assertEqual(scope["path"], f"/{text}")
        expected = [(n.lower().encode(), v.encode()) for n, v in headers]
        self.assertEqual(scope["headers"][1:], expected)


class _Asked:
    """A request of which something is asked."""

    clientproto = b"HTTP/2"
    method, path, uri = b"GET", b"/", b"/"
    client: Any = UNIXAddress(None)
    host: Any = UNIXAddress(b"/run/shop.sock")
    channel: Any = None
    site = Place.of().site
    pairs: tuple[tuple[bytes, bytes], ...] = ()

    def isSecure(self) -> bool:
        return True

    def header_pairs(self) -> list[tuple[bytes, bytes]]:
        return list(self.pairs)

    def asked_header(self, name: bytes) -> list[bytes]:
        return []


class PartTests(SynchronousTestCase):
    """
    Parts of scopes.
    """

    def scope(self, dialect: Dialect = "full", **asked: Any) -> dict[str, Any]:
        request: Any = _Asked()
        for name, value in asked.items():
            setattr(request, name, value)
        return Scopes("", dialect).http(request)

    def test_cookies(self) -> None:
        """
        Cookies that came in several lines of HTTP/2 are told in one.
        """
        pairs = ((b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2"))
        headers = self.scope(pairs=pairs)["headers"]
        self.assertEqual(headers, [(b"x", b"y"), (b"cookie", b"a=1; b=2")])

    def test_unix(self) -> None:
        """
        Over a UNIX socket the server is its path, and the client nobody.
        """
        scope = self.scope()
        self.assertEqual(
            (scope["client"], scope["server"]), (None, ("/run/shop.sock", None))
        )

    def test_another_encoding(self) -> None:
        """
        A path that is no UTF-8 is told as well as it can be, and as it came.
        """
        scope = self.scope(path=b"/%FF")
        self.assertEqual((scope["path"], scope["raw_path"]), ("/\ufffd", b"/%FF"))

    def test_addresses(self) -> None:
        """
        TLS is told by the scheme; what a proxy did is not told as ours.
        """
        scope = self.scope(client=IPv4Address("TCP", "192.0.2.1", 5))
        self.assertEqual(
            (scope["scheme"], scope["client"]), ("https", ("192.0.2.1", 5))
        )
        self.assertNotIn("tls", scope["extensions"])

    def test_tls(self) -> None:
        """
        What is known of TLS is told: certificate, version and cipher suite.
        """
        from OpenSSL import SSL
        from twisted.internet.ssl import PrivateCertificate

        ours = PrivateCertificate.loadPEM(make_pem())
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_privatekey(ours.privateKey.original)
        context.use_certificate(ours.original)
        server, client = SSL.Connection(context), SSL.Connection(context)
        server.set_accept_state()
        client.set_connect_state()
        for _ in range(4):
            for one, other in ((client, server), (server, client)):
                with contextlib.suppress(SSL.WantReadError):
                    one.do_handshake()
                with contextlib.suppress(SSL.WantReadError):
                    other.bio_write(one.bio_read(1 << 16))

        class Transport:
            def getHandle(self) -> Any:
                return server

        request: Any = _Asked()
        request.channel = type("Channel", (), {"transport": Transport()})()
        told = tls_of(request)
        assert told is not None
        self.assertIn("BEGIN CERTIFICATE", told["server_cert"])
        self.assertEqual(told["tls_version"], 0x0304)
        self.assertIn(told["cipher_suite"], (0x1301, 0x1302, 0x1303))
        self.assertEqual(
            (told["client_cert_chain"], told["client_cert_name"]), ([], None)
        )
