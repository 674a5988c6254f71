"""
Tests for L{ropewalk.wire.replies}.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.wire.http1 import HeadLimits
from ropewalk.wire.replies import Heard, NoReply, Reply, ReplyReader

LIMITS = HeadLimits(line=64, headers=6, header_bytes=256)

OK = b"HTTP/1.1 200 OK\r\n"

LINES = [
    *(OK, b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 204 \r\n", b"HTTP/1.1 304\r\n"),
    *(b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"HTTP/1.1 101 Other\r\n"),
    *(b"HTTP/2.0 200 OK\r\n", b"HTTP/1.1 20 OK\r\n", b"OK\r\n", b"HTTP/1.1 200 OK\n"),
]
FIELDS = [
    *(b"Content-Length: 5\r\n", b"content-length:0\r\n", b"Content-Length: -1\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n"),
    *(b"Connection: close\r\n", b"Connection: keep-alive, x\r\n", b"X: y\r\n"),
    *(b" folded\r\n", b"X\r\n", b"X: \x00\r\n", b"X: y\n", b"X : y\r\n"),
]
BODIES = [
    *(b"", b"hello", b"hello!", b"hel", b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello!"),
    *(b"0\r\nX: y\r\n\r\n", b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", b"zz\r\n"),
]


def read(*pieces: bytes, method: bytes = b"GET", upgrades: bool = False) -> Heard:
    """What an answer is that comes in these pieces."""
    reader = ReplyReader(LIMITS)
    reader.expect(method, upgrades)
    return together(reader, pieces)


def together(reader: ReplyReader, pieces: Sequence[bytes]) -> Heard:
    whole = Heard()
    for piece in pieces:
        if whole.done:
            whole.rest += piece
            continue
        heard = reader.read(piece)
        whole.interim += heard.interim
        whole.head = heard.head or whole.head
        whole.pieces += heard.pieces
        whole.done, whole.rest = heard.done, heard.rest
        whole.trailers = heard.trailers
    whole.pieces = [b"".join(whole.pieces)]
    return whole


def outcome(pieces: Sequence[bytes], method: bytes) -> Any:
    """What comes of some bytes: an answer, or that it is none."""
    try:
        return read(*pieces, method=method)
    except NoReply:
        return None


class FramingTests(SynchronousTestCase):
    """
    Where an answer ends is found as RFC 9112, section 6.3, has it.
    """

    def head(self, data: bytes, **how: Any) -> Reply:
        head = read(data, **how).head
        assert head is not None
        return head

    def test_length(self) -> None:
        """
        A body is as long as it says; what is behind it is nobody's.
        """
        heard = read(OK + b"Content-Length: 5\r\nX: y\r\n\r\nhel", b"lo", b"HTTP")
        expected = Reply(
            *(200, b"OK", 1, [(b"Content-Length", b"5"), (b"X", b"y")]),
            framing="length",
            length=5,
        )
        self.assertEqual(heard, Heard([], expected, [b"hello"], True, [], b"HTTP"))

    def test_chunks(self) -> None:
        """
        Chunks are taken apart, and their trailers are told.
        """
        heard = read(
            OK + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhel",
            *(b"lo\r", b"\n0\r\nX: y\r\n\r", b"\n"),
        )
        self.assertEqual(heard.pieces, [b"hello"])
        self.assertEqual(heard.trailers, [(b"X", b"y")])
        self.assertTrue(heard.done)

    def test_close(self) -> None:
        """
        What says nothing of its length ends with the connection.
        """
        reader = ReplyReader(LIMITS)
        reader.expect(b"GET")
        heard = reader.read(OK + b"\r\nhello")
        self.assertEqual((heard.pieces, heard.done), ([b"hello"], False))
        assert heard.head is not None
        self.assertFalse(heard.head.keeps)
        self.assertTrue(reader.close().done)

    def test_no_body(self) -> None:
        """
        HEAD, 204 and 304 are answered without one, whatever the headers say.
        """
        lines = ((b"HEAD", b"200 OK"), (b"GET", b"204 "), (b"GET", b"304"))
        for method, line in lines:
            data = b"HTTP/1.1 %b\r\nContent-Length: 5\r\n\r\nhello" % line
            heard = read(data, method=method)
            self.assertEqual((heard.pieces, heard.rest), ([b""], b"hello"))
            self.assertTrue(heard.done)

    def test_interim(self) -> None:
        """
        Interim answers are told apart from the one that they lead up to.
        """
        early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        heard = read(early + early[:20], early[20:] + OK + b"content-length: 0\r\n\r\n")
        self.assertEqual([each.code for each in heard.interim], [103, 103])
        self.assertEqual(heard.interim[0].pairs, [(b"Link", b"</a>")])
        assert heard.head is not None
        self.assertEqual((heard.head.code, heard.done), (200, True))

    def test_upgrade(self) -> None:
        """
        Behind 101 the other protocol begins.
        """
        data = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00"
        heard = read(data, upgrades=True)
        self.assertEqual((heard.done, heard.rest), (True, b"\x81\x00"))
        with self.assertRaisesRegex(NoReply, "nobody had asked for"):
            read(data)

    def test_keeping(self) -> None:
        """
        The connection goes on unless one of the two says otherwise, and in HTTP/1.0
        only if it does say so.
        """
        end = b"content-length: 0\r\n\r\n"
        old = b"HTTP/1.0 200 OK\r\n"
        self.assertTrue(self.head(OK + end).keeps)
        self.assertFalse(self.head(OK + b"Connection: x, Close\r\n" + end).keeps)
        self.assertFalse(self.head(old + end).keeps)
        kept = self.head(
            old + b"Connection: keep-alive\r\nKeep-Alive: max=9, timeout=5\r\n" + end
        )
        self.assertEqual((kept.keeps, kept.kept), (True, 5))

    def test_options(self) -> None:
        """
        What ``Connection`` names is told: it is between us and the server.
        """
        head = self.head(OK + b"Connection: X-a, ,Y\r\nconnection: z\r\n\r\n")
        self.assertEqual(head.options, (b"x-a", b"y", b"z"))


class FaultTests(SynchronousTestCase):
    """
    What two recipients could read in two ways is no answer.
    """

    def assertNone(self, problem: str, *pieces: bytes) -> None:
        with self.assertRaisesRegex(NoReply, problem):
            read(*pieces)

    def test_framing(self) -> None:
        """
        So is what says in two ways where it ends.
        """
        chunked = b"Transfer-Encoding: chunked\r\n"
        five = b"Content-Length: 5\r\n"
        self.assertNone("do not go together", OK + chunked + five + b"\r\n")
        self.assertNone("HTTP/1.0", b"HTTP/1.0 200 OK\r\n" + chunked + b"\r\n")
        self.assertNone("Content-Length is no", OK + five + five + b"\r\n")
        for wrong in (b"+5", b"5, 5", b"0x5", b"", b"5 5"):
            self.assertNone("is no", OK + b"Content-Length: %b\r\n\r\n" % wrong)
        for wrong in (b"gzip, chunked", b"chunked, chunked", b"identity", b"xchunked"):
            lines = b"Transfer-Encoding: %b\r\n\r\n" % wrong
            self.assertNone("not just 'chunked'", OK + lines)
        self.assertNone("not just", OK + chunked + chunked + b"\r\n")

    def test_lines(self) -> None:
        """
        So are lines that are no status line, and no headers.
        """
        self.assertNone("not HTTP/1.1", b"SSH-2.0-OpenSSH\r\n")
        self.assertNone("no status line", b"HTTP/2 200\r\n\r\n")
        self.assertNone("no status line", b"HTTP/1.1 2000 OK\r\n\r\n")
        self.assertNone("next line", OK + b"X: y\r\n z\r\n\r\n")
        self.assertNone("no colon", OK + b"X\r\n\r\n")
        self.assertNone("name that is none", OK + b"X : y\r\n\r\n")
        self.assertNone("control character", OK + b"X: \x00\r\n\r\n")
        self.assertNone("does not end as lines do", OK + b"X: y\n\n")
        self.assertNone("does not end as lines do", b"HTTP/1.1 200 OK\n\n")

    def test_limits(self) -> None:
        """
        A head has its limits, complete or not.
        """
        long = b"HTTP/1.1 200 " + b"x" * 64
        self.assertNone("status line is longer", long)
        self.assertNone("status line is longer", long + b"\r\n\r\n")
        self.assertNone("more headers", OK + b"X: y\r\n" * 7 + b"\r\n")
        self.assertNone("more headers", OK + b"X: " + b"y" * 300 + b"\r\n\r\n")
        self.assertNone("more headers", OK, b"X: " + b"y" * 400)
        self.assertNone("no end", b"HTTP/1.1 102 Wait\r\n\r\n" * 33)

    def test_chunks(self) -> None:
        """
        Chunks that are none are no answer.
        """
        begun = OK + b"Transfer-Encoding: chunked\r\n\r\n"
        self.assertNone("begin with its size", begun + b"zz\r\n")
        self.assertNone("longer than it says", begun + b"1\r\nab\r\n")
        self.assertNone("nothing for a trailer", begun + b"0\r\nHost: a\r\n\r\n")

    def test_the_end(self) -> None:
        """
        A connection that is closed too early gives no answer.
        """
        cut = (b"", b"HTTP/1.1 2", OK + b"Content-Length: 5\r\n\r\nhel")
        for data in (*cut, OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"):
            reader = ReplyReader(LIMITS)
            reader.expect(b"GET")
            if data:
                reader.read(data)
            with self.assertRaisesRegex(NoReply, "was closed"):
                reader.close()

    def test_unasked(self) -> None:
        """
        What comes without a question is no answer to one that is asked later.
        """
        reader = ReplyReader(LIMITS)
        with self.assertRaisesRegex(NoReply, "nobody had asked"):
            reader.read(OK)


class PieceTests(SynchronousTestCase):
    """
    It makes no difference where bytes are cut.
    """

    @given(
        st.sampled_from(LINES),
        st.lists(st.sampled_from(FIELDS), max_size=3),
        st.sampled_from(BODIES),
        st.sampled_from([b"GET", b"HEAD"]),
        st.lists(st.integers(0, 200), max_size=5),
    )
    def test_pieces(
        self,
        line: bytes,
        fields: list[bytes],
        body: bytes,
        method: bytes,
        cuts: list[int],
    ) -> None:
        """
        The same is heard in one piece and in many, or in neither.
        """
        data = b"".join((line, *fields, b"\r\n", body))
        places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        pieces = [data[a:b] for a, b in pairwise(places)]
        self.assertEqual(outcome([data], method), outcome(pieces, method))
