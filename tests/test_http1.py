"""
Tests for L{ropewalk.wire.http1}.
"""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, SupportsIndex

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.wire.http1 import (
    Chunks,
    Fields,
    Head,
    HeadLimits,
    HeadReader,
    Inflation,
    NoRequest,
    read_fields,
    read_line,
)
from tests.effort import lines_run

LIMITS = HeadLimits()

#: Limits that are met by requests which one can read.
NARROW = HeadLimits(line=28, headers=4, header_bytes=64)

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

#: Where bytes may be cut, in thousandths of them.
CUTS = st.lists(st.integers(0, 1000), max_size=6)

METHODS = [b"GET", b"POST", b"OPTIONS", b"CONNECT", b"M-SEARCH", b"get"]
TARGETS = [
    *(b"/", b"/a?b=c", b"/a%20b/?", b"//", b"*", b"a.b:443", b"http://a.b/c?d=e"),
    *(b"https://a", b"http://a?b", b"http://u@a/", b"a", b"/\xc3", b"/<", b"/a?b?c\\"),
]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.7", b"HTTP/2.0", b"HTTP/11", b"http/1.1"]
FIELDS = [
    *(b"Host: a", b"Host: a:80", b"Host:", b"Host: a b", b"X: y", b"x-y:z", b"X:\t y "),
    *(b"Content-Length: 5", b"Content-Length: 05", b"content-length: +5"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked"),
    *(b"Connection: close", b"Connection: keep-alive, Upgrade", b"Upgrade: b"),
    *(b"Expect: 100-continue", b"Expect: more", b"X: \xff", b"X: \x00", b"X y: z"),
    *(b" X: y", b"X : y", b"X", b": y", b"X: " + b"y" * 30, b"X" * 30 + b": y"),
]
ENDS = [b"\r\n"] * 20 + [b"\n", b"\r", b"\r\r\n", b""]


def often(usual: bytes, others: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Mostly the usual thing."""
    return st.sampled_from([*[usual] * len(others), *others])


LINES = st.tuples(
    often(b"GET", [*METHODS, b"1GET", b""]),
    st.sampled_from([b" "] * 20 + [b"  ", b"\t", b""]),
    often(b"/", TARGETS),
    st.just(b" "),
    often(b"HTTP/1.1", VERSIONS),
    st.sampled_from(ENDS),
).map(b"".join)

FIELD_LINES = st.tuples(often(b"X: y", FIELDS), st.sampled_from(ENDS)).map(b"".join)

#: Heads, nearly heads, and what is behind them.
HEADS = st.tuples(
    st.sampled_from([b""] * 6 + [b"\r\n", b"\r\n" * 4, b"\r\n" * 5, b"\n", b"\r"]),
    LINES,
    st.sampled_from([b"Host: a\r\n"] * 4 + [b""]),
    st.lists(FIELD_LINES, max_size=4).map(b"".join),
    st.sampled_from(ENDS),
    st.sampled_from([b"", b"GET", GET, GET + GET, b"\r\n" + GET]),
).map(b"".join)

#: Chunks, nearly chunks, and what is behind them.
CHUNKS = st.lists(
    st.sampled_from(
        [
            *([b"5\r\nhello\r\n", b"1\r\na\r\n", b"0a\r\n0123456789\r\n"] * 3),
            *(b"3;a\r\nabc\r\n", b'2 ;a= "b;\\"" ; c\r\nab\r\n', b"1;" + b"x" * 9),
            *(b"0\r\n", b"0\r\n", b"0\r\n\r\n", b"00;a\r\n", b"X: y\r\n", b"x:\t\r\n"),
            *(b"Host: a\r\n", b"X: " + b" " * 40 + b"y\r\n", b"\r\n", b"\n", b"\r"),
            *(b"g", b" ", b"-1\r\n", b"ffffffffffffffff\r\n", b"0" * 17 + b"\r\n"),
        ]
    ),
    max_size=6,
).map(b"".join)


def cut(said: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Some bytes in pieces."""
    places = sorted({len(said) * each // 1000 for each in (0, *cuts, 1000)})
    return [said[start:end] for start, end in pairwise(places)]


def by_byte(said: bytes) -> list[bytes]:
    """Some bytes, one by one."""
    return [said[n : n + 1] for n in range(len(said))]


def halves(said: bytes) -> Iterator[list[bytes]]:
    """Some bytes, whole, and cut in two at each place."""
    yield [said]
    for n in range(1, len(said)):
        yield [said[:n], said[n:]]


def shown(head: Head) -> Any:
    """A head, to be compared with others that ended elsewhere."""
    return *head[:5], head.authority


def heads(pieces: Iterable[bytes], limits: HeadLimits = LIMITS) -> list[Any]:
    """
    Read heads as a connection does.

    :return: the heads; then the status for what is none, or the bytes that are left.
    """
    reader, found, waiting = HeadReader(limits), [], b""
    try:
        for piece in pieces:
            waiting, at = waiting + piece, 0
            while (head := reader.read(waiting, at)) is not None:
                found.append(shown(head))
                at = head.end
            waiting = waiting[at:]
    except NoRequest as error:
        return [*found, error.status]
    return [*found, waiting]


def head_of(said: bytes, limits: HeadLimits = LIMITS) -> Head:
    """The head that is there."""
    head = HeadReader(limits).read(said, 0)
    assert head is not None
    return head


def refused_after(said: bytes, limits: HeadLimits = LIMITS) -> int | None:
    """How many bytes of a head have to come before it is refused."""
    reader = HeadReader(limits)
    for n in range(len(said)):
        try:
            reader.read(said[: n + 1], 0)
        except NoRequest:
            return n + 1
    return None


def unchunk(pieces: Iterable[bytes], limits: HeadLimits = LIMITS) -> Any:
    """
    Take chunks apart as a connection does.

    :return: the content, whether it is all, the trailers, and the bytes that are left;
        or the status for what is none.
    """
    chunks, content, waiting = Chunks(limits), list[bytes](), b""
    try:
        for piece in pieces:
            waiting += piece
            waiting = waiting[chunks.read(waiting, 0, content) :]
    except NoRequest as error:
        return error.status
    return b"".join(content), chunks.done, chunks.trailers, waiting


def inflate(coding: bytes, pieces: Iterable[bytes]) -> Any:
    """The content, or the status for what is not coded as it says."""
    inflation = Inflation(coding)
    try:
        content = [each for piece in pieces for each in inflation.pieces(piece)]
        inflation.end()
    except NoRequest as error:
        return error.status
    return b"".join(content)


class HttpCase(SynchronousTestCase):
    """
    Looks at what is no request.
    """

    def refused(self, work: Callable[..., object], *args: Any) -> NoRequest:
        """What is said of it."""
        error: NoRequest = self.assertRaises(NoRequest, work, *args)
        return error


class LineTests(HttpCase):
    """
    A request line (RFC 9112, section 3).
    """

    def test_targets(self) -> None:
        """
        A target is a path, a whole URL, an authority for CONNECT, or an asterisk for
        OPTIONS (RFC 9112, section 3.2).
        """
        for line, read in {
            b"GET /a/b HTTP/1.1": (b"/a/b", None, None),
            b"GET /a? HTTP/1.1": (b"/a", b"?", None),
            b"GET /?a=b?c HTTP/1.1": (b"/", b"?a=b?c", None),
            b"GET http://a.b:80/c?d HTTP/1.1": (b"/c", b"?d", b"a.b:80"),
            b"GET HTTPS://a HTTP/1.1": (b"/", None, b"a"),
            b"GET http://a?b HTTP/1.1": (b"/", b"?b", b"a"),
            b"OPTIONS http://a HTTP/1.1": (b"*", None, b"a"),
            b"OPTIONS http://a/ HTTP/1.1": (b"/", None, b"a"),
            b"OPTIONS * HTTP/1.1": (b"*", None, None),
            b"CONNECT [::1]:443 HTTP/1.1": (b"[::1]:443", None, None),
        }.items():
            method, path, query, minor, authority = read_line(line + b"\r\n")
            self.assertEqual((path, query, authority), read, line)
            self.assertEqual((method, minor), (line.split(b" ")[0], 1))

    def test_no_targets(self) -> None:
        """
        Anything else is none.
        """
        for line in (
            *(b"GET *", b"GET a", b"GET a.b:443", b"GET ftp://a/", b"GET http://"),
            *(b"GET http:///a", b"GET http://:80/", b"GET http://u@a/", b"GET http:a"),
            *(b"CONNECT /", b"CONNECT a", b"CONNECT a:65536", b"CONNECT http://a:80"),
            *(b"GET /<", b"GET /#a", b"GET /\x7f", b"GET /\xc3\xa9", b"GET /?\xff"),
        ):
            error = self.refused(read_line, line + b" HTTP/1.1\r\n")
            self.assertEqual(error.status, 400, line)

    def test_versions(self) -> None:
        """
        Any version of HTTP/1 is one; who speaks a later one hears so (RFC 9110, section
        2.5 and 15.6.6).
        """
        self.assertEqual(read_line(b"GET / HTTP/1.0\r\n")[3], 0)
        self.assertEqual(read_line(b"GET / HTTP/1.9\r\n")[3], 1)
        for version, status in (b"HTTP/2.0", 505), (b"HTTP/0.9", 505), (b"HTTP/1", 400):
            error = self.refused(read_line, b"GET / " + version + b"\r\n")
            self.assertEqual(error.status, status, version)

    def test_methods(self) -> None:
        """
        A method is a word that begins with a letter, in capitals or not.
        """
        for method in b"GET", b"brew", b"M-SEARCH", b"A!#$%&'*+-.^_`|~0":
            self.assertEqual(read_line(method + b" / HTTP/1.1\r\n")[0], method)
        for method in b"", b"1", b"-a", b"G(T", b"G\xe9T", b"G:":
            self.refused(read_line, method + b" / HTTP/1.1\r\n")


class FieldsTests(HttpCase):
    """
    The headers of a request, and what they mean to its connection.
    """

    def read(self, *lines: bytes, is_current: bool = True) -> Fields:
        """Some headers, beside C{Host}."""
        block = b"".join(line + b"\r\n" for line in (b"Host: a", *lines))
        return read_fields(block, is_current, LIMITS)

    def status(self, *lines: bytes, is_current: bool = True) -> int:
        """With what they are refused."""
        return self.refused(lambda: self.read(*lines, is_current=is_current)).status

    def test_pairs(self) -> None:
        """
        They stay in their order and as they were written, but for blanks around their
        values.
        """
        fields = self.read(b"X: a", b"y:b:c", b"X:\t b c \t", b"Z:", b"x: \xff\x80")
        self.assertEqual(
            fields.pairs,
            [
                *((b"Host", b"a"), (b"X", b"a"), (b"y", b"b:c"), (b"X", b"b c")),
                *((b"Z", b""), (b"x", b"\xff\x80")),
            ],
        )
        self.assertEqual(
            fields.by_name,
            {
                b"host": [b"a"],
                b"x": [b"a", b"b c", b"\xff\x80"],
                b"y": [b"b:c"],
                b"z": [b""],
            },
        )

    def test_host(self) -> None:
        """
        A request of HTTP/1.1 says for which host it is, once; it may be for none (RFC
        9112, section 3.2).
        """
        self.assertEqual(self.read().host, b"a")
        self.assertEqual(read_fields(b"Host:\r\n", True, LIMITS).host, b"")
        self.assertIsNone(read_fields(b"", False, LIMITS).host)
        self.assertEqual(self.refused(read_fields, b"", True, LIMITS).status, 400)
        self.assertEqual(self.status(b"host: a"), 400)
        self.assertEqual(self.status(b"Host: a", is_current=False), 400)

    def test_hosts(self) -> None:
        """
        A host is a name or an address, and perhaps a port (RFC 3986, section 3.2.2).
        """
        for host in (
            *(b"a", b"a.b:80", b"a:", b"127.0.0.1:65535", b"[::1]", b"[::1]:8080"),
            *(b"a_b", b"xn--a", b"%41", b"[::ffff:1.2.3.4]", b"a;b", b":80"),
        ):
            read_fields(b"Host: " + host + b"\r\n", True, LIMITS)
        for host in (
            *(b"a b", b"a,b", b"a:65536", b"a:8x", b"[::1", b"::1", b"[::g]", b"[]"),
            *(b"a/b", b"u@a", b"a:80:80", b"%4", b"\xe9", b"a?", b"[1.2.3.4]", b'"a"'),
        ):
            block = b"Host: " + host + b"\r\n"
            self.assertEqual(self.refused(read_fields, block, True, LIMITS).status, 400)

    def test_length(self) -> None:
        """
        How long the body is, in digits; nothing where nobody says (RFC 9112, section
        6.3).
        """
        self.assertEqual(self.read().length, 0)
        self.assertEqual(self.read(b"Content-Length: 0").length, 0)
        self.assertEqual(self.read(b"CONTENT-LENGTH:\t0012 ").length, 12)
        self.assertEqual(self.read(b"Content-Length: " + b"9" * 40).length, 10**40 - 1)
        for length in b"", b"+1", b"-1", b"1,1", b"1 1", b"0x1", b"1_0", b"\xb2":
            self.assertEqual(self.status(b"Content-Length: " + length), 400, length)
        self.assertEqual(self.status(b"Content-Length: " + b"1" * 41), 400)
        self.assertEqual(self.status(b"Content-Length: 1", b"Content-Length: 1"), 400)

    def test_codings(self) -> None:
        """
        A body that comes in chunks has no length; below them it may be compressed, once
        (RFC 9112, section 6.1).
        """
        for said, codings in {
            b"chunked": (),
            b"Chunked ": (),
            b"gzip,\tchunked": (b"gzip",),
            b"X-GZIP, chunked": (b"x-gzip",),
            b"deflate , chunked": (b"deflate",),
        }.items():
            fields = self.read(b"Transfer-Encoding: " + said)
            self.assertEqual((fields.length, fields.codings), (None, codings), said)
        two = self.read(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked")
        self.assertEqual((two.length, two.codings), (None, (b"gzip",)))

    def test_no_codings(self) -> None:
        """
        Where nobody could tell where the body ends, or what it is, it is refused.
        """
        for said, status in {
            b"": 501,
            b"gzip": 400,
            b"identity": 501,
            b"chunked, gzip": 400,
            b"chunked, chunked": 501,
            b"br, chunked": 501,
            b"gzip, gzip, chunked": 501,
            b"chunked;q=1": 501,
            b",chunked": 501,
        }.items():
            self.assertEqual(self.status(b"Transfer-Encoding: " + said), status, said)
        chunked = b"Transfer-Encoding: chunked"
        self.assertEqual(self.status(chunked, b"Content-Length: 1"), 400)
        self.assertEqual(self.status(chunked, is_current=False), 400)

    def test_keeps(self) -> None:
        """
        A client may say what becomes of the connection (RFC 9112, section 9.3). Who
        says both means the end.
        """
        for said, keeps in {
            b"close": False,
            b"keep-alive": True,
            b"x , Keep-Alive": True,
            b"keep-alive, CLOSE": False,
            b"closed": None,
            b"": None,
        }.items():
            self.assertIs(self.read(b"Connection: " + said).keeps, keeps, said)
        both = self.read(b"Connection: keep-alive", b"Connection: close")
        self.assertIs(both.keeps, False)
        self.assertIsNone(self.read().keeps)

    def test_upgrades(self) -> None:
        """
        Who asks for another protocol says so twice (RFC 9110, section 7.8).
        """
        upgrade, connection = b"Upgrade: websocket", b"Connection: a, upgrade"
        self.assertTrue(self.read(upgrade, connection).upgrades)
        self.assertFalse(self.read(upgrade).upgrades)
        self.assertFalse(self.read(connection).upgrades)

    def test_expects(self) -> None:
        """
        C{100-continue} is all that can be expected (RFC 9110, section 10.1.1).
        """
        self.assertTrue(self.read(b"Expect: 100-Continue").expects)
        self.assertFalse(self.read().expects)
        self.assertEqual(self.status(b"Expect: 200-ok"), 417)

    def test_said_once(self) -> None:
        """
        What can be understood in two ways is said once.
        """
        for name in (
            *(b"Content-Type", b"Authorization", b"Content-Encoding", b"Expect"),
            *(b"Proxy-Authorization", b"cOnTeNt-TyPe"),
        ):
            said = name + b": 100-continue"
            self.read(said)
            self.assertEqual(self.status(said, said.lower()), 400)

    def test_limits(self) -> None:
        """
        As many lines and bytes as the limits say are taken, and not one more.
        """
        block = b"Host: a\r\nX: y\r\n"
        size = len(block)
        read_fields(block, True, HeadLimits(headers=2, header_bytes=size))
        for limits in HeadLimits(headers=1), HeadLimits(header_bytes=size - 1):
            self.assertEqual(self.refused(read_fields, block, True, limits).status, 431)


class HeadTests(HttpCase):
    """
    Heads, as they come.
    """

    def test_whole(self) -> None:
        """
        A head is read where it is, up to its end.
        """
        said = b"HEAD /a?b HTTP/1.0\r\nX: y\r\n\r\n"
        self.assertEqual(
            HeadReader(LIMITS).read(b"behind it" + said + GET, 9),
            Head(b"HEAD", b"/a", b"?b", 0, Fields([(b"X", b"y")]), 9 + len(said)),
        )

    def test_not_all(self) -> None:
        """
        Until it is complete, there is none.
        """
        reader = HeadReader(LIMITS)
        for n in range(len(GET)):
            self.assertIsNone(reader.read(GET[:n], 0))
        head = reader.read(GET, 0)
        self.assertEqual(head, head_of(GET))

    @settings(max_examples=500, deadline=None)
    @given(HEADS, CUTS, st.sampled_from([LIMITS, NARROW]))
    @example(b"\r\n\r\n\r\n\r\n\r" + GET, [250], LIMITS)
    @example(b"GET /" + b"a" * 15 + b" HTTP/1.1\n", [990], NARROW)
    @example(b"GET /" + b"a" * 14 + b" HTTP/1.1\r\r\r\n", [980], NARROW)
    @example(b"1" * 40 + GET, [500], NARROW)
    @example(b"GET /" + b"a" * 20 + b" HTTP/1.1\r\n" + b"Host: a\r\n" * 2, [5], NARROW)
    def test_cuts(self, said: bytes, cuts: list[int], limits: HeadLimits) -> None:
        """
        Wherever TCP cuts it, the same is read, or refused with the same status.
        """
        whole = heads([said], limits)
        self.assertEqual(heads(cut(said, cuts), limits), whole)
        self.assertEqual(heads(by_byte(said), limits), whole)

    @settings(max_examples=500, deadline=None)
    @given(st.binary(max_size=60), CUTS)
    def test_bytes(self, said: bytes, cuts: list[int]) -> None:
        """
        So it is with any bytes, and with any in the middle of a head.
        """
        for each in said, GET[:9] + said + GET[9:], GET[:-2] + said + b"\r\n\r\n":
            whole = heads([each])
            self.assertEqual(heads(cut(each, cuts)), whole)
            self.assertEqual(heads(by_byte(each)), whole)

    def test_one_after_another(self) -> None:
        """
        A connection has any number of heads, with a few empty lines before each (RFC
        9112, section 2.2).
        """
        one, other = shown(head_of(GET)), shown(head_of(GET.replace(b"a", b"b")))
        said = GET + b"\r\n" * 4 + GET.replace(b"a", b"b") + GET + b"\r\n"
        for pieces in halves(said):
            self.assertEqual(heads(pieces), [one, other, one, b"\r\n"])
        self.assertEqual(heads([b"\r\n" * 5 + GET]), [400])

    def test_the_same_again(self) -> None:
        """
        Headers that were read before are not read again; a version is.
        """
        reader = HeadReader(LIMITS)
        one, other = (reader.read(GET, 0) for _ in range(2))
        assert one is not None
        assert other is not None
        self.assertIs(one.fields, other.fields)
        block = b"Transfer-Encoding: chunked\r\nHost: a\r\n\r\n"
        self.assertIsNotNone(reader.read(b"GET / HTTP/1.1\r\n" + block, 0))
        error = self.refused(reader.read, b"GET / HTTP/1.0\r\n" + block, 0)
        self.assertEqual(error.status, 400)

    def test_as_soon_as_it_shows(self) -> None:
        """
        What is none is refused with the line that shows it, and not when the head is
        complete.
        """
        line = b"GET / HTTP/1.1\r\n"
        for wrong in (
            *(b"\n", b"\r\n" * 4 + b"\n", b"GET /\r\n", b"GET / HTTP/3.0\r\n"),
            *(b"GET / HTTP/1.1\n", line + b" a: b\r\n", line + b"a\r\n"),
            *(line + b"A: b\r\n\n", line + b"A: b\r\nC : d\r\n", line + b"A: \0\r\n"),
        ):
            self.assertEqual(refused_after(wrong + GET), len(wrong), wrong)

    def test_no_letters(self) -> None:
        """
        What does not begin with a letter is refused with its first byte: TLS, say.
        """
        for said in b"\x16\x03\x01\x02\x00\x01", b" GET", b"<", b"\0", b"\xff":
            self.assertEqual(refused_after(said), 1)


class LimitTests(HttpCase):
    """
    Heads that are as long as may be, and one byte longer.
    """

    def check(self, said: bytes, limits: HeadLimits, status: int | None) -> None:
        """
        Wherever it is cut, a head is taken or refused.
        """
        for pieces in halves(said):
            (*found, rest) = heads(pieces, limits)
            where = f"cut after {pieces[0]!r}"
            if status is None:
                self.assertEqual((len(found), rest), (1, b""), where)
            else:
                self.assertEqual((found, rest), ([], status), where)

    def test_line(self) -> None:
        """
        The request line, without its end.
        """
        for target in b"/" + b"a" * 15, b"http://a/" + b"a" * 7:
            said = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target
            self.check(said, HeadLimits(line=29), None)
            self.check(said, HeadLimits(line=28), 414)

    def test_headers(self) -> None:
        """
        The number of headers.
        """
        said = GET[:-2] + b"A: b\r\n" * 3 + b"\r\n"
        self.check(said, HeadLimits(headers=4), None)
        self.check(said, HeadLimits(headers=3), 431)
        self.check(b"A / HTTP/1.0\r\n\r\n", HeadLimits(headers=0), None)

    def test_bytes(self) -> None:
        """
        The bytes of all headers, each with the end of its line.
        """
        said = GET[:-2] + b"A: b\r\n" * 3 + b"\r\n"
        self.check(said, HeadLimits(header_bytes=27), None)
        self.check(said, HeadLimits(header_bytes=26), 431)
        self.check(b"A / HTTP/1.0\r\n\r\n", HeadLimits(header_bytes=0), None)

    def test_no_longer(self) -> None:
        """
        Who never comes to an end is refused with the first byte too many.
        """
        limits = HeadLimits(line=50, headers=5, header_bytes=60)
        line = b"GET / HTTP/1.1\r\n"
        self.assertEqual(refused_after(b"G" * 99, limits), 51)
        self.assertEqual(refused_after(line + b"A" * 99, limits), len(line) + 61)
        self.assertEqual(
            refused_after(line + b"A:\r\n" * 99, limits), len(line) + 5 * 4 + 1
        )
        self.assertEqual(
            refused_after(line + b"A: 4567890\r\n" * 99, limits), len(line) + 61
        )

    def test_first_things_first(self) -> None:
        """
        A line that is too long is refused for that, whatever is wrong behind it.
        """
        said = b"GET /%b HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n" % (b"a" * 30)
        self.check(said, HeadLimits(line=40), 414)


class ChunksTests(HttpCase):
    """
    Bodies in chunks (RFC 9112, section 7.1).
    """

    def check(self, said: bytes, expected: Any, limits: HeadLimits = LIMITS) -> None:
        """Wherever it is cut, the same comes of it."""
        for pieces in [*halves(said), by_byte(said)]:
            self.assertEqual(unchunk(pieces, limits), expected, pieces[0])

    def test_content(self) -> None:
        """
        Chunks have a size in hexadecimal digits, and content of that size; the last
        has none. What is behind it is left.
        """
        said = b"5\r\nhello\r\n00A\r\n, wonderful\r\n000\r\n\r\n"
        said = said.replace(b"00A", b"00b")
        self.check(said + GET, (b"hello, wonderful", True, [], GET))

    def test_not_all(self) -> None:
        """
        Content is given out as it comes.
        """
        chunks, content = Chunks(LIMITS), list[bytes]()
        self.assertEqual(chunks.read(b"5\r\nhel", 0, content), 6)
        self.assertEqual((content, chunks.left, chunks.done), ([b"hel"], 2, False))
        self.assertEqual(chunks.read(b"lo\r", 0, content), 2)
        self.assertEqual((content, chunks.left), ([b"hel", b"lo"], 0))
        self.assertEqual(chunks.read(b"\r\n0\r\n\r", 0, content), 5)
        self.assertFalse(chunks.done)
        self.assertEqual(chunks.read(b"\r\n5\r\n", 0, content), 2)
        self.assertTrue(chunks.done)
        self.assertEqual(chunks.read(b"5\r\n", 0, content), 0)

    def test_sizes(self) -> None:
        """
        A size of up to 16 digits is one; whoever sends that much is stopped by who
        knows how much is taken.
        """
        chunks = Chunks(LIMITS)
        self.assertEqual(chunks.read(b"fFfFfFfFfFfFfFfF\r\n", 0, []), 18)
        self.assertEqual(chunks.left, 2**64 - 1)
        self.check(b"0" * 17 + b"\r\n\r\n", 400)
        for size in b"", b" 1", b"1 ", b"+1", b"-1", b"0x1", b"1_0", b"g", b"\xb2":
            self.check(size + b"\r\na\r\n0\r\n\r\n", 400)

    def test_extensions(self) -> None:
        """
        What a chunk says besides is well-formed, and forgotten (RFC 9112, section
        7.1.1).
        """
        for extension in (
            *(b";a", b";a=b", b" ;\ta = b", b';a="b c"', b";a;b=c"),
            b';a="\\"\\\\;\xff"; b',
        ):
            said = b"1" + extension + b"\r\na\r\n0" + extension + b"\r\n\r\n"
            self.check(said, (b"a", True, [], b""))
        for extension in (
            *(b";", b";=b", b";a=", b";a b", b';a="b', b';a="b"c', b";a;", b" a", b"x"),
            *(b';a="\0"', b';a="\\\r\n"', b";a\0", b";a=\xff", b",a"),
        ):
            self.check(b"1" + extension + b"\r\na\r\n0\r\n\r\n", 400)

    def test_long_extensions(self) -> None:
        """
        They are short, and all of a body's together are, too.
        """
        longest = b";" + b"x" * 1023
        for size in b"1", b"0" * 15 + b"1":
            whole = size + longest + b"\r\na\r\n"
            self.check(whole + b"0\r\n\r\n", (b"a", True, [], b""))
            self.assertEqual(unchunk(halves_at(whole, len(size) + 1025)), 400)
        sixteen = [b"1%b\r\na\r\n" % longest] * 16
        self.assertEqual(unchunk(sixteen), (b"a" * 16, False, [], b""))
        self.assertEqual(unchunk([*sixteen, b"0;x\r\n"]), 400)

    def test_endless_size(self) -> None:
        """
        A line before a chunk that never ends is refused before it is long.
        """
        self.assertEqual(unchunk([b"1;" + b"x" * 1200]), 400)

    def test_longer_than_it_says(self) -> None:
        """
        Behind the content of a chunk is the end of a line.
        """
        for wrong in b"x\r\n", b"\n", b"\rx", b"\r\r\n", b"0\r\n":
            self.check(b"1\r\na" + wrong + b"0\r\n\r\n", 400)

    def test_trailers(self) -> None:
        """
        Behind the last chunk there may be headers, as they were written but for blanks.
        """
        said = b"0\r\nX: a\r\ny:\t b c \r\nX:\r\n\r\n"
        pairs = [(b"X", b"a"), (b"y", b"b c"), (b"X", b"")]
        self.check(said + GET, (b"", True, pairs, GET))

    def test_no_trailers(self) -> None:
        """
        They have the form of headers, and say nothing that would have had to be known
        before (RFC 9110, section 6.5.1).
        """
        for wrong in (
            *(b"X", b" X: a", b"X : a", b": a", b"X: \0", b"X: a\r", b"X: a\nY: b"),
            *(b"Host: a", b"content-length: 0", b"Transfer-Encoding: chunked"),
            *(b"Authorization: a", b"CONTENT-TYPE: a", b"Expect: 100-continue", b"TE:"),
        ):
            self.check(b"0\r\n" + wrong + b"\r\n\r\n", 400)

    def test_trailer_limits(self) -> None:
        """
        They are as many, and as long, as headers may be.
        """
        said = b"0\r\nA: b\r\nC:\t   d  \r\n\r\n"
        size = len(said) - 5
        taken = b"", True, [(b"A", b"b"), (b"C", b"d")], b""
        self.check(said, taken, HeadLimits(headers=2, header_bytes=size))
        self.check(said, 431, HeadLimits(headers=1))
        self.check(said, 431, HeadLimits(header_bytes=size - 1))

    def test_endless_trailers(self) -> None:
        """
        A trailer that never ends is refused with the first byte too many.
        """
        limits = HeadLimits(header_bytes=50)
        for line in b"A" * 50, b"A:" + b" " * 48, b"A: b\r\n" * 8 + b"AA":
            self.assertEqual(unchunk([b"0\r\n" + line], limits)[1], False)
            self.assertEqual(unchunk([b"0\r\n" + line + b"x"], limits), 431)

    @settings(max_examples=500, deadline=None)
    @given(CHUNKS, CUTS, st.sampled_from([LIMITS, NARROW]))
    @example(b"0\r\nX:" + b" " * 70 + b"y\r\n\r\n", [900], NARROW)
    @example(b"0\r\n" + b"A:b\r\n" * 4 + b"\r\n", [990], HeadLimits(header_bytes=20))
    @example(b"0\r\n" + b"A" * 70 + b"\n", [990], NARROW)
    def test_cuts(self, said: bytes, cuts: list[int], limits: HeadLimits) -> None:
        """
        Wherever TCP cuts them, the same comes of them, or they are refused with the
        same status.
        """
        whole = unchunk([said], limits)
        self.assertEqual(unchunk(cut(said, cuts), limits), whole)
        self.assertEqual(unchunk(by_byte(said), limits), whole)

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.binary(min_size=1, max_size=40)), CUTS, st.binary(max_size=9))
    def test_back(self, content: list[bytes], cuts: list[int], behind: bytes) -> None:
        """
        What is put into chunks comes out of them.
        """
        said = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in content)
        said += b"0\r\n\r\n" + behind
        expected: Any = b"".join(content), True, [], behind
        self.assertEqual(unchunk(cut(said, cuts)), expected)


def halves_at(said: bytes, place: int) -> list[bytes]:
    """Some bytes with one more at a place, cut behind it."""
    return [said[:place] + b"x", said[place:]]


class InflationTests(HttpCase):
    """
    Bodies that are compressed below their chunks.
    """

    @settings(max_examples=200, deadline=None)
    @given(
        st.sampled_from([b"gzip", b"x-gzip", b"deflate"]),
        st.lists(st.binary(max_size=99), max_size=5).map(lambda it: b"".join(it * 9)),
        CUTS,
    )
    def test_back(self, coding: bytes, content: bytes, cuts: list[int]) -> None:
        """
        What was compressed comes back, wherever it is cut.
        """
        compress = zlib.compress if coding == b"deflate" else gzip.compress
        self.assertEqual(inflate(coding, cut(compress(content), cuts)), content)

    @settings(max_examples=300, deadline=None)
    @given(st.sampled_from([b"gzip", b"deflate"]), st.binary(max_size=40), CUTS)
    def test_bytes(self, coding: bytes, said: bytes, cuts: list[int]) -> None:
        """
        What is not compressed is refused, wherever it is cut; and so is what has some
        other bytes in it.
        """
        compress = zlib.compress if coding == b"deflate" else gzip.compress
        whole = compress(b"hello" * 50)
        for each in said, whole[:-9] + said + whole[-9:], whole + said:
            expected = inflate(coding, [each])
            self.assertIn(expected, (400, b"hello" * 50))
            self.assertEqual(inflate(coding, cut(each, cuts)), expected)
            self.assertEqual(inflate(coding, by_byte(each)), expected)

    def test_not_complete(self) -> None:
        """
        What ends too early is refused.
        """
        whole = gzip.compress(b"hello")
        for n in range(len(whole)):
            self.assertEqual(inflate(b"gzip", [whole[:n]]), 400)

    def test_behind_its_end(self) -> None:
        """
        Nothing is behind it: not another one, not a byte.
        """
        for coding, whole in (
            (b"gzip", gzip.compress(b"hello")),
            (b"deflate", zlib.compress(b"hello")),
        ):
            for more in whole, b"\0", b"\n":
                self.assertEqual(inflate(coding, [whole + more]), 400)
                self.assertEqual(inflate(coding, [whole, more]), 400)
            self.assertEqual(inflate(coding, [whole, b""]), b"hello")

    def test_no_wrapping(self) -> None:
        """
        C{deflate} is the format of zlib, and not what is in it (RFC 9110, section
        8.4.1.2).
        """
        bare = zlib.compress(b"hello")[2:-4]
        self.assertEqual(inflate(b"deflate", [bare]), 400)
        self.assertEqual(inflate(b"gzip", [zlib.compress(b"hello")]), 400)

    def test_pieces(self) -> None:
        """
        Nothing is made that nobody takes, and it is made in pieces.
        """
        size = 64 * 1024 * 1024
        bomb = gzip.compress(bytes(size), mtime=0)
        self.assertLess(len(bomb), size // 1000)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        made, most = 0, Inflation.PIECE
        for piece in Inflation(b"gzip").pieces(bomb):
            self.assertLessEqual(len(piece), most)
            made += len(piece)
            if made > 100 * most:
                break
        _, peak = tracemalloc.get_traced_memory()
        self.assertLess(peak, 8 * most)

    def test_all_of_it(self) -> None:
        """
        Whoever takes all pieces gets all.
        """
        content = bytes(range(256)) * 4096
        whole = zlib.compress(content)
        pieces = list(Inflation(b"deflate").pieces(whole))
        self.assertEqual(b"".join(pieces), content)
        self.assertEqual(max(map(len, pieces)), Inflation.PIECE)


class Looked(bytes):
    """
    Bytes that count how many of them were looked at, one by one or in slices.
    """

    looked = 0

    def find(
        self,
        sub: Any,
        start: SupportsIndex | None = 0,
        end: SupportsIndex | None = None,
    ) -> int:
        first = 0 if start is None else int(start)
        place = super().find(sub, first)
        Looked.looked += (len(self) if place < 0 else place) - first + 1
        return place

    def __getitem__(self, key: Any) -> Any:
        piece = super().__getitem__(key)
        Looked.looked += 1 if isinstance(piece, int) else len(piece)
        return piece


class WorkTests(HttpCase):
    """
    What reading costs grows as what is read does, however it comes.
    """

    def grows_evenly(self, work: Callable[[int], int]) -> None:
        """Four times as much is four times the work, or little more."""
        less, more = work(100), work(400)
        self.assertGreater(less, 0)
        self.assertLess(more, 5 * less)

    def test_lines(self) -> None:
        """
        A head that comes line by line is not looked at again from its beginning.
        """

        def work(number: int) -> int:
            reader, said = HeadReader(HeadLimits(headers=500)), GET[:-2]
            Looked.looked = 0
            for n in range(number):
                said += b"X%d: y\r\n" % n
                self.assertIsNone(reader.read(Looked(said), 0))
            self.assertIsNotNone(reader.read(Looked(said + b"\r\n"), 0))
            return Looked.looked

        self.grows_evenly(work)

    def test_bytes(self) -> None:
        """
        Nor is one that comes byte by byte: of each, its last line is.
        """

        def work(number: int) -> int:
            reader = HeadReader(HeadLimits(headers=500))
            said = GET[:-2] + b"X: y\r\n" * number + b"\r\n"
            Looked.looked = 0
            for n in range(len(said)):
                reader.read(Looked(said[: n + 1]), 0)
            return Looked.looked

        self.grows_evenly(work)

    def test_steps(self) -> None:
        """
        Heads, chunks and trailers take a step for each of their lines, and not one
        for each that was before.
        """
        limits = HeadLimits(headers=500)

        def read_heads(number: int) -> int:
            said = GET * number
            return lines_run(lambda: heads([said], limits))

        def read_odd_head(number: int) -> int:
            said = b"\r\n" + GET[:-2] + b"X: y\r\n" * number + b"\r\n"
            return lines_run(lambda: heads(by_byte(said), limits))

        def read_chunks(number: int) -> int:
            said = b"1\r\na\r\n" * number + b"0\r\n\r\n"
            return lines_run(lambda: unchunk([said], limits))

        def read_trailers(number: int) -> int:
            said = b"0\r\n" + b"X: y\r\n" * number + b"\r\n"
            return lines_run(lambda: unchunk([said], limits))

        for work in read_heads, read_odd_head, read_chunks, read_trailers:
            self.grows_evenly(work)
