# -*- test-case-name: tests.test_exchanges -*-
"""
Tests for L{ropewalk.export.exchanges}: a request on its way through a site.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.export.exchanges import (
    BadRequest,
    Exchange,
    above,
    address_of,
    beneath,
    head_of,
)
from ropewalk.export.wires import WireDoor
from ropewalk.net.listening import namer
from ropewalk.web import Routes
from ropewalk.web.mounts import Mount, Mounts, resource_for
from ropewalk.web.site import Site
from ropewalk.wire.replies import Reply

ADDRESS = IPv4Address("TCP", "127.0.0.1", 80)

routes = Routes()


@routes.get("/")
def hello() -> str:
    return "Hello."


@routes.post("/size")
def size(request: Any) -> str:
    return str(len(request.content.read()))


@routes.get("/numbers")
def numbers() -> Any:
    for _ in range(100):
        yield b"x" * 10_000


early: list[Deferred[None]] = []
ends: list[str] = []


@routes.get("/early")
def say_early(request: Any) -> Any:
    request.setHeader("content-length", "2")
    request.write(b"ok")
    ended = request.notifyFinish()
    ended.addCallbacks(lambda _: ends.append("finished"), ends.append)
    early.append(Deferred())
    return early[-1].addCallback(lambda _: b"")


class ExchangeTests(SynchronousTestCase):
    """
    Through a site in memory.
    """

    def setUp(self) -> None:
        self.clock, self.told = Clock(), 0
        mounts = Mounts()
        resource: Any = resource_for(routes)
        mounts.add(Mount("/", resource, "shop", "here:1", "pages", routes))
        mounts.compile()
        self.site = Site(mounts, self.clock)
        self.door = WireDoor("tcp:80", self.site, "web", self.clock, namer())

    def ask(
        self,
        target: bytes,
        method: bytes = b"GET",
        length: bytes | None = None,
        chunked: bool = False,
        **headers: bytes,
    ) -> Exchange:
        pairs = [(b"Host", b"x"), *((k.encode(), v) for k, v in headers.items())]
        exchange = Exchange(self.hear, method)
        head = head_of(method, target, pairs, length, chunked)
        begun = exchange.begin(self.door, head, ADDRESS, ADDRESS, False, chunked)
        self.assertTrue(begun)
        return exchange

    def hear(self) -> None:
        self.told += 1

    def taken(self, exchange: Exchange) -> tuple[int, bytes]:
        """The status, and what has come of the body."""
        head, body = exchange.take(), b""
        assert isinstance(head, Reply)
        while (piece := exchange.take()) is not None:
            assert isinstance(piece, bytes)
            body += piece
        return head.code, body

    def test_at_once(self) -> None:
        """
        What a plain handler says is there at once, and whole.
        """
        exchange = self.ask(b"/")
        self.assertTrue(exchange.over and exchange.whole)
        self.assertEqual(self.taken(exchange), (200, b"Hello."))
        self.assertTrue(exchange.is_empty)
        self.assertGreater(self.told, 0)

    def test_head(self) -> None:
        """
        The answer to HEAD ends with its headers.
        """
        exchange = self.ask(b"/", b"HEAD")
        self.assertEqual((exchange.whole, self.taken(exchange)), (True, (200, b"")))

    def test_bodies(self) -> None:
        """
        A body goes through as it comes, with its length or in chunks.
        """
        for chunked in False, True:
            length = None if chunked else b"11"
            exchange = self.ask(b"/size", b"POST", length, chunked)
            for piece in b"hello", b"", b" world":
                self.assertFalse(exchange.over)
                exchange.feed(piece)
            exchange.end_body()
            self.assertEqual(self.taken(exchange), (200, b"11"))

    def test_invitation(self) -> None:
        """
        Who asks whether to send a body hears so.
        """
        exchange = self.ask(b"/size", b"POST", b"2", expect=b"100-continue")
        self.assertTrue(exchange.invited)
        self.assertIs(exchange.take(), None)
        exchange.feed(b"ab")
        self.assertEqual(self.taken(exchange), (200, b"2"))

    def test_pace(self) -> None:
        """
        Of a long answer no more is made than is taken.
        """
        exchange = self.ask(b"/numbers")
        for _ in range(1000):
            self.clock.advance(0)
        self.assertFalse(exchange.over)
        body, most = b"", 0
        self.assertIsInstance(exchange.take(), Reply)
        while not (exchange.over and exchange.is_empty):
            most = max(most, exchange._size)
            piece = exchange.take()
            body += piece if isinstance(piece, bytes) else b""
            self.clock.advance(0)
        self.assertEqual(len(body), 1_000_000)
        self.assertLess(most, 200_000)
        self.assertTrue(exchange.whole)

    def test_leave(self) -> None:
        """
        When the client leaves, the connection is gone, and what is fed is nobody's.
        """
        exchange = self.ask(b"/numbers")
        exchange.leave()
        exchange.feed(b"x")
        exchange.end_body()
        self.clock.advance(0)
        self.assertEqual((exchange.over, exchange.whole), (True, False))
        self.assertEqual(self.door.connections, ())

    def test_ends(self) -> None:
        """
        A connection ends with its answer; where whoever answers has said all and not
        ended yet, it waits for that.
        """
        exchange = self.ask(b"/")
        self.assertEqual(len(self.door.connections), 1)
        self.clock.advance(0)
        self.assertEqual(self.door.connections, ())
        exchange = self.ask(b"/early")
        self.assertTrue(exchange.whole)
        self.clock.advance(0)
        self.assertEqual(len(self.door.connections), 1)
        early.pop().callback(None)
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(self.door.connections, ())
        self.assertEqual(ends, ["finished"])

    def test_going_down(self) -> None:
        """
        Once the site has closed its door, nobody can ask.
        """
        self.door.drain("enough")
        exchange = Exchange(self.hear, b"GET")
        head = head_of(b"GET", b"/", [], None, False)
        self.assertFalse(exchange.begin(self.door, head, ADDRESS, ADDRESS, False))

    def test_cut_short(self) -> None:
        """
        An answer that the site cuts is over, and not whole.
        """
        exchange = self.ask(b"/numbers")
        self.door.abort()
        self.clock.advance(0)
        self.assertEqual((exchange.over, exchange.whole), (True, False))


class HeadTests(SynchronousTestCase):
    """
    What is written for a request, and read of an answer.
    """

    def test_head(self) -> None:
        """
        Headers go through but for those between client and server.
        """
        pairs = [
            (b"Host", b"x"),
            (b"Connection", b"keep-alive, X-Mine"),
            (b"Upgrade", b"h2c"),
            (b"HTTP2-Settings", b"AAMA"),
            (b"Transfer-Encoding", b"chunked"),
            (b"Content-Length", b"5"),
            (b"Cookie", b"a=b"),
        ]
        self.assertEqual(
            head_of(b"POST", b"/?a", pairs, b"5", False),
            b"POST /?a HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\ncontent-length: 5\r\n\r\n",
        )
        self.assertIn(
            b"\r\ntransfer-encoding: chunked\r\n",
            head_of(b"POST", b"/", pairs, None, True),
        )

    def test_no_line_of_anybodys(self) -> None:
        """
        Nobody can write a line of their own by a header or a path.
        """
        for method, target, name, value in (
            (b"GET", b"/", b"a", b"b\r\nc: d"),
            (b"GET", b"/", b"a\nb", b"c"),
            (b"GET", b"/\r\nb: c", b"a", b"b"),
            (b"GET\n", b"/", b"a", b"b"),
            (b"GET", b"/", b"a", b"\0"),
        ):
            self.assertRaises(
                BadRequest, head_of, method, target, [(name, value)], None, False
            )

    def test_paths(self) -> None:
        """
        A site below another path has its own.
        """
        for path, root, told in (
            (b"/a/b", b"/a", b"/b"),
            (b"/a", b"/a", b"/"),
            (b"/ab", b"/a", b"/ab"),
            (b"/b", b"", b"/b"),
            (b"", b"", b"/"),
            (b"*", b"/a", b"*"),
        ):
            self.assertEqual(beneath(path, root), told)

    def test_places(self) -> None:
        """
        A client is sent to where it sees the site; the server's own headers are left
        to it.
        """
        pairs = [
            (b"Location", b"/there"),
            (b"Content-Location", b"//other/there"),
            (b"Link", b"/x"),
            (b"Server", b"ours"),
            (b"Date", b"today"),
            (b"Connection", b"close"),
        ]
        self.assertEqual(
            above(Reply(303, b"See Other", 1, pairs), b"/a"),
            [
                (b"location", b"/a/there"),
                (b"content-location", b"//other/there"),
                (b"link", b"/x"),
            ],
        )

    def test_addresses(self) -> None:
        """
        Hosts and ports are addresses; where there are none, it is a UNIX socket.
        """
        self.assertEqual(address_of(("::1", 5)), IPv6Address("TCP", "::1", 5))
        self.assertEqual(address_of(["1.2.3.4", "5"]), IPv4Address("TCP", "1.2.3.4", 5))
        for nobody in None, ("/run/x.sock", None):
            self.assertEqual(address_of(nobody), UNIXAddress(None))
