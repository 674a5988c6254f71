"""
Tests for L{ropewalk.web.outflow}.
"""

from __future__ import annotations

from ropewalk.web.outflow import Outflow
from tests.test_intake import EngineCase
from tests.visiting import Place, request


class OutflowTests(EngineCase):
    """
    An answer that somebody else writes.
    """

    def ask(self, method: str = "GET", *headers: str) -> Outflow:
        """Ask for something, and have its answer to write."""
        self.visit.send(request("/stream", method, *headers))
        return self.outflow

    def test_one_piece(self) -> None:
        """
        An answer of one piece has its length, and the headers as they were said.
        """
        answer = self.ask()
        answer.start(201, [(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2")], b"Fine")
        self.assertEqual(self.visit.wire.value(), b"")
        answer.finish(b"body")
        said = self.visit.wire.value()
        self.assertIn(b"HTTP/1.1 201 Fine\r\n", said)
        self.assertIn(b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n", said)
        self.assertNotIn(b"Content-Type", said)
        got = self.visit.answer()
        self.assertEqual((got.body, got.headers["content-length"]), (b"body", "4"))
        self.assertFalse(self.visit.closed)

    def test_said(self) -> None:
        """
        What was said of the body, of who answers and of when is not said again.
        """
        self.place = Place.of(request_id="X-Request-Id")
        self.place.mount("/stream", self.streaming)
        self.visit = self.place.visit()
        own = [(b"server", b"me"), (b"date", b"then"), (b"etag", b'"a"')]
        for said in own, own[1:], own[:1], [*own, (b"x-request-id", b"mine")]:
            answer = self.ask()
            answer.start(200, said)
            answer.finish(b"body")
            head = self.visit.wire.value().partition(b"\r\n\r\n")[0]
            got = self.visit.answer()
            self.assertEqual(got.body, b"body")
            self.assertEqual(head.count(b"Server: "), 1)
            self.assertEqual(head.count(b"Date: "), 1)
            self.assertEqual(head.lower().count(b"x-request-id: "), 1)
            for name, value in said:
                self.assertEqual(got.headers[name.decode()], value.decode())
        self.assertEqual(len(self.place.noted()), 4)

    def test_lines(self) -> None:
        """
        No value begins another header.
        """
        for end in b"\r\n", b"\n", b"\r":
            answer = self.ask()
            answer.start(200, [(b"etag", b"a" + end + b"X-B: c"), (b"date", b"then")])
            answer.finish(b"body")
            got = self.visit.answer()
            self.assertEqual(got.headers["etag"], "a X-B: c")
            self.assertNotIn("x-b", got.headers)

    def test_pieces(self) -> None:
        """
        One of several pieces comes piece by piece.
        """
        answer = self.ask()
        answer.start(200, [])
        answer.write(b"one")
        self.assertTrue(self.visit.wire.value().endswith(b"3\r\none\r\n"))
        answer.write(b"")
        answer.finish(b"two")
        self.assertEqual(self.visit.answer().body, b"onetwo")

    def test_length(self) -> None:
        """
        One whose length was said is not sent in chunks.
        """
        answer = self.ask()
        answer.start(200, [(b"content-length", b"6")])
        answer.write(b"one")
        answer.finish(b"two")
        got = self.visit.answer()
        self.assertEqual((got.body, got.headers["content-length"]), (b"onetwo", "6"))
        self.assertNotIn("transfer-encoding", got.headers)

    def test_too_much(self) -> None:
        """
        What is more than was said is cut off, in one piece or in several.
        """
        answer = self.ask()
        answer.start(200, [(b"content-length", b"4")])
        answer.finish(b"onetwo")
        self.assertEqual((self.visit.answer().body, answer.surplus), (b"onet", 2))
        answer = self.ask()
        answer.start(200, [(b"content-length", b"4")])
        answer.write(b"one")
        answer.write(b"two")
        answer.finish(b"three")
        self.assertEqual((self.visit.answer().body, answer.surplus), (b"onet", 7))
        self.assertFalse(self.visit.closed)

    def test_too_little(self) -> None:
        """
        If it is less, the connection ends: what comes next would be taken for the rest.
        """
        answer = self.ask()
        answer.start(200, [(b"content-length", b"4")])
        answer.finish(b"one")
        self.assertTrue(self.visit.closed)
        got = self.visit.answer()
        self.assertEqual((got.body, got.whole, answer.lacking), (b"one", False, 1))

    def test_head(self) -> None:
        """
        The answer to HEAD has the headers of that to GET, and no body.
        """
        for length in [(b"content-length", b"4")], []:
            answer = self.ask("HEAD")
            answer.start(200, length)
            answer.write(b"bo")
            answer.finish(b"dy")
            got = self.visit.answer("HEAD")
            self.assertEqual((got.status, got.body), (200, b""))
            self.assertEqual(got.headers.get("content-length"), "4" if length else None)
        self.assertFalse(self.visit.closed)

    def test_no_content(self) -> None:
        """
        Neither have those without content (RFC 9110, section 15.3.5), whatever is
        written.
        """
        answer = self.ask()
        answer.start(204, [(b"content-length", b"4")])
        answer.finish(b"body")
        self.assertFalse(self.visit.closed)
        self.assertNotIn("content-length", self.visit.answer().headers)

    def test_between_us(self) -> None:
        """
        What is between us and the client is ours to say (RFC 9110, section 7.6.1).
        """
        answer = self.ask()
        answer.start(200, [(b"Connection", b"close"), (b"Transfer-Encoding", b"x")])
        answer.finish(b"body")
        got = self.visit.answer()
        self.assertNotIn("connection", got.headers)
        self.assertEqual(got.body, b"body")
        self.assertFalse(self.visit.closed)

    def test_trailers(self) -> None:
        """
        What comes behind a body in chunks comes there; otherwise it is left out.
        """
        answer = self.ask()
        answer.start(200, [])
        answer.finish(b"body", [(b"X-Sum", b"1")])
        said = self.visit.wire.value()
        self.assertTrue(said.endswith(b"\r\n4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n"), said)
        self.visit.wire.clear()
        answer = self.ask()
        answer.start(200, [(b"content-length", b"4")])
        answer.finish(b"body", [(b"X-Sum", b"1")])
        self.assertTrue(self.visit.wire.value().endswith(b"\r\n\r\nbody"))

    def test_abort(self) -> None:
        """
        An answer that is given up is none, whether it has begun or not.
        """
        answer = self.ask()
        answer.abort()
        self.assertTrue(self.visit.wire.aborted)
        self.visit = self.place.visit()
        answer = self.ask()
        answer.start(200, [])
        answer.write(b"one")
        answer.abort()
        answer.write(b"two")
        answer.finish(b"three")
        got = self.visit.answer()
        self.assertEqual((got.body, got.whole), (b"one", False))

    def test_pausing(self) -> None:
        """
        Who writes is told when there is room; when the client leaves, too, so that
        nobody waits for ever.
        """
        answer = self.ask()
        answer.start(200, [])
        answer.write(b"one")
        self.producer.pauseProducing()
        room = answer.write(b"two")
        assert room is not None
        self.assertNoResult(room)
        self.producer.resumeProducing()
        self.successResultOf(room)
        self.producer.pauseProducing()
        room = answer.write(b"three")
        assert room is not None
        self.visit.leave()
        self.successResultOf(room)
        self.assertIsNone(answer.write(b"four"))
        answer.finish()
        answer.abort()
        self.successResultOf(answer.left())

    def test_hints(self) -> None:
        """
        Something can be sent before the answer (RFC 8297), to who speaks HTTP/1.1.
        """
        answer = self.ask()
        answer.request.inform(103, [(b"Link", b"</style.css>; rel=preload")])
        said = self.visit.wire.value()
        line = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
        self.assertEqual(said, line)
        answer.start(200, [])
        answer.finish(b"body")
        answer.request.inform(103, [])
        self.assertTrue(self.visit.wire.value().endswith(b"body"))
        self.visit.wire.clear()
        self.visit.send(b"GET /stream HTTP/1.0\r\nHost: example.org\r\n\r\n")
        self.request.inform(103, [])
        self.assertEqual(self.visit.wire.value(), b"")
