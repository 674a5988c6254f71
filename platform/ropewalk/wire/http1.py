# -*- test-case-name: tests.test_http1 -*-
"""
HTTP/1.1 requests, from bytes (RFC 9112, RFC 9110).

A head is judged by regular expressions, in one go where it comes in one piece; nothing
is taken out of its headers that nobody has to know for the framing. What a
specification leaves to the recipient is decided for the strict side: what two
recipients could read in two ways is no request.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from functools import cached_property
from ipaddress import IPv6Address
from typing import NamedTuple

from msgspec import Struct

__all__ = [
    "FIELD",
    "LENGTH",
    "TEXT",
    "Chunks",
    "Fields",
    "Head",
    "HeadLimits",
    "HeadReader",
    "Inflation",
    "NoRequest",
    "wrong_field",
]

# RFC 9110, section 5.6.2.
_TCHAR = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"

# RFC 3986, section 3.3, and what browsers send as it is (WHATWG URL, section 1.3,
# does not encode these everywhere).
_PCHAR = rb"A-Za-z0-9\-._~%!$&'()*+,;=:@/\[\]{}|^`"
_QCHAR = _PCHAR + rb"?\\"

#: What may stand in a value: visible characters, blanks, and obs-text (RFC 9110,
#: section 5.5).
TEXT = rb"[\t\x20-\x7e\x80-\xff]"

_METHOD = rb"[A-Za-z][" + _TCHAR + rb"]*+"
_ORIGIN = rb"(/[" + _PCHAR + rb"]*+)(\?[" + _QCHAR + rb"]*+)?+"
FIELD = rb"[" + _TCHAR + rb"]++:" + TEXT + rb"*+\r\n"

#: A whole head of the usual form (RFC 9112, section 3.2.1).
_HEAD = re.compile(
    rb"(?!CONNECT )(%b) %b HTTP/1\.([01])\r\n((?:%b)*+)\r\n" % (_METHOD, _ORIGIN, FIELD)
)

#: A request line of any form (RFC 9112, section 3).
_LINE = re.compile(rb"(%b) ([!-~]++) HTTP/([0-9])\.([0-9])\r\n" % _METHOD)
_ORIGIN_FORM = re.compile(_ORIGIN)
_ABSOLUTE_FORM = re.compile(
    rb"(?i:https?)://([^/?#]++)(/[" + _PCHAR + rb"]*+)?+(\?[" + _QCHAR + rb"]*+)?+"
)
_FIELD_LINE = re.compile(FIELD)

#: RFC 9110, section 7.2, and RFC 3986, section 3.2.2. A comma could be two hosts that
#: somebody has joined.
_HOST = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})*)"
    rb"(?::([0-9]{0,5}))?"
)
_AUTHORITY = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9\-._~!$&'()*+;=%]+):([0-9]{1,5})"
)

#: RFC 9112, section 6.3, and no longer than any file could be.
LENGTH = re.compile(rb"[0-9]{1,40}")

#: RFC 9112, section 7.1 and 7.1.1: a size, and extensions.
_TOKEN = rb"[" + _TCHAR + rb"]++"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'
_CHUNK = re.compile(
    rb"([0-9A-Fa-f]{1,16}+)((?:[\t ]*+;[\t ]*+%b(?:[\t ]*+=[\t ]*+(?:%b|%b))?+)*+)\r\n"
    % (_TOKEN, _TOKEN, _QUOTED)
)

#: Bytes of the longest extensions of a chunk, and of all that a body has of these.
_LONGEST_SIZE = 1024
_MOST_EXTENSIONS = 16 * 1024

#: Empty lines before a request that nobody minds: one was usual behind a form once
#: (RFC 9112, section 2.2).
_MOST_BLANKS = 4

#: Fields of which there is one, or none (RFC 9110, section 5.3): who says two things
#: may be understood in two ways.
_SINGLE = frozenset(
    (
        *(b"host", b"content-length", b"content-type", b"authorization"),
        *(b"content-encoding", b"expect", b"proxy-authorization"),
    )
)

_NOTABLE = _SINGLE | {b"transfer-encoding", b"connection", b"upgrade"}

#: What a trailer must not say (RFC 9110, section 6.5.1): framing, routing, who is
#: asking, what the content is.
_NO_TRAILERS = frozenset(
    b"authorization cache-control connection content-encoding content-length "
    b"content-range content-type cookie expect host if-match if-modified-since "
    b"if-none-match if-range if-unmodified-since keep-alive max-forwards pragma "
    b"proxy-authenticate proxy-authorization proxy-connection range set-cookie te "
    b"trailer transfer-encoding upgrade www-authenticate".split()
)

#: Codings that may be below ``chunked`` (RFC 9112, section 7.2), and what zlib calls
#: them.
_WINDOWS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}

Pairs = list[tuple[bytes, bytes]]


class NoRequest(Exception):
    """
    What was sent is no request, or none that is taken.

    :ivar status: The HTTP status that says so.
    :ivar detail: What is wrong, in words.
    """

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail, status)
        self.detail = detail
        self.status = status


class HeadLimits(Struct, frozen=True):
    """
    How long heads may be.

    :ivar line: Bytes of the request line.
    :ivar headers: Lines of headers.
    :ivar header_bytes: Bytes of all of them.
    """

    line: int = 8192
    headers: int = 100
    header_bytes: int = 32 * 1024

    def check_line(self, size: int) -> None:
        """:raise NoRequest: When a request line is too long."""
        if size > self.line:
            raise NoRequest(f"the request line is longer than {self.line} bytes", 414)

    def check_fields(self, size: int, count: int) -> None:
        """:raise NoRequest: When there are too many headers."""
        if size > self.header_bytes or count > self.headers:
            most = (
                f"more headers than {self.header_bytes} bytes or {self.headers} lines"
            )
            raise NoRequest(most, 431)


class Fields(Struct, dict=True):
    """
    The headers of a request, and what they mean to the connection.

    :ivar pairs: Names and values, in their order.
    :ivar length: Bytes of the body; ``None`` when it comes in chunks.
    :ivar codings: What is to be undone below the chunks, the outermost first.
    :ivar keeps: Whether the connection is to go on; ``None`` when it does not say.
    :ivar expects: Whether it waits for ``100 Continue``.
    :ivar upgrades: Whether it asks for another protocol.
    :ivar host: What ``Host`` says.
    """

    pairs: Pairs
    length: int | None = 0
    codings: tuple[bytes, ...] = ()
    keeps: bool | None = None
    expects: bool = False
    upgrades: bool = False
    host: bytes | None = None

    @cached_property
    def by_name(self) -> dict[bytes, list[bytes]]:
        """The values by their names in lower case. Whoever asks changes nothing."""
        by_name: dict[bytes, list[bytes]] = {}
        for name, value in self.pairs:
            by_name.setdefault(name.lower(), []).append(value)
        return by_name

    @cached_property
    def low_pairs(self) -> list[tuple[bytes, bytes]]:
        """The pairs, with the names in lower case. Whoever asks changes nothing."""
        return [(name.lower(), value) for name, value in self.pairs]


class Head(NamedTuple):
    """
    A request, without its body.

    :ivar query: With the question mark; ``None`` where there is none.
    :ivar minor: 0 or 1, of the version.
    :ivar authority: Of an absolute target (RFC 9112, section 3.2.2); it counts, and
        ``Host`` does not.
    :ivar end: Where in the bytes it ends.
    """

    method: bytes
    path: bytes
    query: bytes | None
    minor: int
    fields: Fields
    end: int
    authority: bytes | None = None


class HeadReader:
    """
    Reads the heads of one connection. Clients say the same headers again and again:
    what they meant last time, they mean this time.
    """

    __slots__ = (
        *("_after", "_block", "_checked", "_count", "_fields", "_limits", "_minor"),
        *("_seen", "_start"),
    )

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._block: bytes | None = None
        self._minor = b""
        self._fields: Fields | None = None
        # Of a head that is not complete, counted from its beginning: where its first
        # line and its headers begin, up to where its lines are judged, and up to where
        # an end of a line was looked for.
        self._start = self._after = self._checked = self._seen = 0
        self._count = 0

    def read(self, data: bytes, at: int) -> Head | None:
        """
        Read a head.

        :param data: What has come. Until the head is complete, each time the same
            bytes and more of them, from its beginning.
        :param at: Where it begins; 0 where ``data`` is not read for the first time.
        :return: ``None`` while it is not complete.
        :raise NoRequest: When it is none, as soon as a line of it shows that.
        """
        found = None if self._checked else _HEAD.match(data, at)
        if found is None:
            return self._read_slowly(data, at)
        method, path, query, minor, block = found.groups()
        end = found.end()
        self._seen = 0
        if end - at - len(block) > self._limits.line:
            self._limits.check_line(end - at - len(block) - 4)
        if block != self._block or minor != self._minor:
            self._note(block, minor)
        fields: Fields = self._fields  # type: ignore[assignment]  # noted
        return Head(method, path, query, int(minor), fields, end)

    def _note(self, block: bytes, minor: bytes) -> None:
        fields = read_fields(block, minor != b"0", self._limits)
        self._block, self._minor, self._fields = block, minor, fields

    def _read_slowly(self, data: bytes, at: int) -> Head | None:
        """Judge line by line what has come of a head."""
        if not self._checked:
            start = _skip_blanks(data, at)
            if start is None:
                return None
            self._start = self._checked = start - at
        place = at + self._checked
        seen = max(place, at + self._seen)
        while (end := data.find(b"\n", seen) + 1) > 0:
            if self._checked == self._start:
                self._check_line(data, at, end)
            elif end - place == 2 and data[place] == 13:
                return self._finish(data, at, end)
            else:
                self._check_field(data, at, place, end)
            place = seen = end
            self._checked = end - at
        self._seen = len(data) - at
        self._check_rest(data, at, place)
        if self._checked == self._start:
            self._checked = 0  # there may be more blanks than had come
        return None

    def _check_line(self, data: bytes, at: int, end: int) -> None:
        self._count, self._after = 0, end - at
        line = data[at + self._start : end]
        # A CR may be half of an end, until it is known not to be.
        self._check_begun(line, len(line) - (2 if line[-2:-1] == b"\r" else 1))
        read_line(line)

    def _check_begun(self, line: bytes, size: int) -> None:
        """Judge what has come of a request line."""
        if not line[:1].isalpha():
            raise NoRequest("a request begins with the name of a method")
        self._limits.check_line(size)

    def _check_field(self, data: bytes, at: int, place: int, end: int) -> None:
        self._count += 1
        self._limits.check_fields(end - at - self._after, self._count)
        if _FIELD_LINE.fullmatch(data, place, end) is None:
            raise NoRequest(wrong_field(data[place:end]))

    def _check_rest(self, data: bytes, at: int, place: int) -> None:
        """Judge a line that has not come to its end, without what may begin that."""
        end = len(data) - data.endswith(b"\r")
        if self._checked != self._start:
            begun = end - at - self._after
            self._limits.check_fields(begun, self._count + (end > place))
            return
        self._check_begun(data[place : place + 1], end - place)

    def _finish(self, data: bytes, at: int, end: int) -> Head:
        start, after = at + self._start, at + self._after
        self._checked = self._seen = 0
        method, path, query, minor, authority = read_line(data[start:after])
        self._note(data[after : end - 2], b"1" if minor else b"0")
        fields: Fields = self._fields  # type: ignore[assignment]  # noted
        return Head(method, path, query, minor, fields, end, authority)


def _skip_blanks(data: bytes, at: int) -> int | None:
    """Where a head begins; ``None`` when that has not come."""
    for _ in range(_MOST_BLANKS):
        if data.startswith(b"\r\n", at):
            at += 2
    left = len(data) - at
    if left <= 0 or (left == 1 and data[at] == 13):
        return None
    if data[at] in b"\r\n":
        raise NoRequest("a request begins with a line that is not empty")
    return at


def read_line(line: bytes) -> tuple[bytes, bytes, bytes | None, int, bytes | None]:
    """
    Read a request line.

    :param line: With its end.
    :return: method, path, query, the version's minor number, and the authority.
    :raise NoRequest: When it is none.
    """
    found = _LINE.fullmatch(line)
    if found is None:
        raise NoRequest("this is not a request as HTTP/1.1 has it")
    method, target, major, minor = found.groups()
    if major != b"1":
        raise NoRequest("this speaks HTTP/1.1 and HTTP/1.0 only", 505)
    path, query, authority = _read_target(method, target)
    return method, path, query, int(minor != b"0"), authority


def _read_target(
    method: bytes, target: bytes
) -> tuple[bytes, bytes | None, bytes | None]:
    """RFC 9112, section 3.2."""
    if method == b"CONNECT":
        found = _AUTHORITY.fullmatch(target)
        if found is None or int(found[1]) > 65535:
            raise NoRequest("CONNECT asks for a host and a port")
        return target, None, None
    if target == b"*" and method == b"OPTIONS":
        return target, None, None
    found = _ORIGIN_FORM.fullmatch(target)
    if found is not None:
        path, query = found.groups()
        return path, query, None
    found = _ABSOLUTE_FORM.fullmatch(target)
    if found is None:
        raise NoRequest("the target of the request is neither a path nor a URL")
    authority, path, query = found.groups()
    _check_host(authority)
    if not authority or authority.startswith(b":"):
        raise NoRequest("the URL that is asked for names no host")
    if path is None and method == b"OPTIONS" and query is None:
        path = b"*"  # RFC 9112, section 3.2.4
    return path or b"/", query, authority


def wrong_field(line: bytes) -> str:
    """What is wrong with a line of headers."""
    if line[:1] in (b" ", b"\t"):
        return "a header goes on in the next line"  # RFC 9112, section 5.2
    if not line.endswith(b"\r\n"):
        return "a line of the headers does not end as lines do"
    name, colon, _ = line.partition(b":")
    if not colon:
        return "a line of the headers has no colon"
    if re.fullmatch(_TOKEN, name) is None:
        return "a header has a name that is none"
    return "a header has a control character in it"


# The headers of a request.


def read_fields(block: bytes, is_current: bool, limits: HeadLimits) -> Fields:
    """
    Read headers that have the form of headers.

    :param block: Their lines, each with its end.
    :param is_current: Whether the request's version is 1.1.
    :raise NoRequest: When they cannot be those of a request.
    """
    lines = block.split(b"\r\n")
    limits.check_fields(len(block), len(lines) - 1)
    lines.pop()
    pairs: Pairs = []
    notable: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        value = value.strip(b" \t")
        pairs.append((name, value))
        key = name.lower()
        if key in _NOTABLE:
            if key in notable:
                if key in _SINGLE:
                    raise NoRequest(f"there are two headers {key.decode('ascii')!r}")
                value = notable[key] + b"," + value
            notable[key] = value
    fields = Fields(pairs)
    if notable:
        _note_framing(fields, notable, is_current)
        _note_connection(fields, notable)
    if fields.host is None and is_current:
        raise NoRequest("the header 'Host' is missing")
    return fields


def _note_framing(
    fields: Fields, notable: dict[bytes, bytes], is_current: bool
) -> None:
    """RFC 9112, section 6."""
    coding = notable.get(b"transfer-encoding")
    length = notable.get(b"content-length")
    if coding is not None:
        if length is not None or not is_current:
            also = "Content-Length" if length is not None else "HTTP/1.0"
            raise NoRequest(f"Transfer-Encoding and {also} do not go together")
        fields.length, fields.codings = None, _read_codings(coding)
    elif length is not None:
        if LENGTH.fullmatch(length) is None:
            raise NoRequest("Content-Length is no number of bytes")
        fields.length = int(length)
    fields.host = notable.get(b"host")
    if fields.host is not None:
        _check_host(fields.host)


def _note_connection(fields: Fields, notable: dict[bytes, bytes]) -> None:
    """RFC 9110, section 7.6.1 and 10.1.1."""
    said = notable.get(b"connection")
    if said is not None:
        options = [each.strip(b" \t").lower() for each in said.split(b",")]
        if b"close" in options:
            fields.keeps = False
        elif b"keep-alive" in options:
            fields.keeps = True
        fields.upgrades = b"upgrade" in options and b"upgrade" in notable
    expected = notable.get(b"expect")
    if expected is not None:
        if expected.lower() != b"100-continue":
            raise NoRequest("nothing is known of what the client expects", 417)
        fields.expects = True


def _check_host(host: bytes) -> None:
    found = _HOST.fullmatch(host)
    if (
        found is None
        or int(found[2] or 0) > 65535
        or (found[1] is not None and not _is_address(found[1]))
    ):
        raise NoRequest("the Host header names no host")


def _is_address(text: bytes) -> bool:
    """Whether something is an address of IPv6."""
    try:
        IPv6Address(text.decode("ascii"))
    except ValueError:
        return False
    return True


def _read_codings(said: bytes) -> tuple[bytes, ...]:
    """
    The codings below ``chunked``, the outermost first.

    :raise NoRequest: When they are not known, or nobody could tell where the body ends.
    """
    codings = [each.strip(b" \t").lower() for each in said.split(b",")]
    last = codings.pop()
    if last != b"chunked":
        known = last in _WINDOWS or b"chunked" in codings
        status = 400 if known else 501
        raise NoRequest("the last coding of a body is not 'chunked'", status)
    for each in codings:
        if each not in _WINDOWS:
            raise NoRequest("a coding of the body is not known", 501)
    if len(codings) > 1:
        raise NoRequest("the body has more codings than one below its chunks", 501)
    return tuple(reversed(codings))


# Bodies.


class Chunks:
    """
    Takes chunks apart (RFC 9112, section 7.1).

    :ivar left: Bytes of the chunk that are to come.
    :ivar done: Whether the last one has come, and what is behind it.
    :ivar trailers: What was behind it.
    """

    __slots__ = (
        *("_after", "_extensions", "_limits", "_size", "_trailer_bytes"),
        *("done", "left", "trailers"),
    )

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self.left = 0
        self._after = False  # behind the content of a chunk, before its line's end
        self._size: int | None = None
        self._extensions = self._trailer_bytes = 0
        self.done = False
        self.trailers: Pairs = []

    def read(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """
        Read on.

        :param data: What has come: what was not read of it last time, and more.
        :param at: Where to begin.
        :param pieces: Gets the content.
        :return: up to where it was read.
        :raise NoRequest: When these are no chunks.
        """
        while not self.done:
            if self.left:
                piece = data[at : at + self.left]
                if not piece:
                    return at
                pieces.append(piece)
                self.left -= len(piece)
                at += len(piece)
                self._after = not self.left
            elif self._after:
                if len(data) - at < 2 and data[at : at + 1] in (b"", b"\r"):
                    return at
                if not data.startswith(b"\r\n", at):
                    raise NoRequest("a chunk is longer than it says")
                at, self._after = at + 2, False
            elif self._size == 0:
                end = self._read_trailer(data, at)
                if end == at:
                    return at
                at = end
            else:
                end = self._read_size(data, at)
                if end == at:
                    return at
                at = end
        return at

    def _read_size(self, data: bytes, at: int) -> int:
        found = _CHUNK.match(data, at)
        if found is None:
            end = data.find(b"\n", at)
            if end >= 0 or len(data) - at > 16 + _LONGEST_SIZE + 1:
                raise NoRequest("a chunk does not begin with its size")
            return at
        self._size = self.left = int(found[1], 16)
        self._extensions += len(found[2])
        if len(found[2]) > _LONGEST_SIZE or self._extensions > _MOST_EXTENSIONS:
            raise NoRequest("the chunks have too long extensions")
        return found.end()

    def _read_trailer(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self.done = True
            return at + 2
        found = _FIELD_LINE.match(data, at)
        if found is None:
            end = data.find(b"\n", at) + 1
            line = data[at : end or len(data)]
            size = len(line.removesuffix(b"\n").removesuffix(b"\r"))
            self._check_trailers(size, len(self.trailers) + (size > 0))
            if end:
                raise NoRequest(wrong_field(line))
            return at
        name, _, value = found[0][:-2].partition(b":")
        self._check_trailers(found.end() - at, len(self.trailers) + 1)
        self._trailer_bytes += found.end() - at
        self.trailers.append((name, value.strip(b" \t")))
        if name.lower() in _NO_TRAILERS:
            raise NoRequest(f"{name.decode('ascii')!r} is nothing for a trailer")
        return found.end()

    def _check_trailers(self, more: int, count: int) -> None:
        self._limits.check_fields(self._trailer_bytes + more, count)


class Inflation:
    """
    Undoes a coding that is below the chunks.

    :param coding: ``b"gzip"`` or ``b"deflate"``.
    """

    #: Bytes that are made in one go, at most.
    PIECE = 64 * 1024

    def __init__(self, coding: bytes) -> None:
        self._zlib = zlib.decompressobj(_WINDOWS[coding])

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """
        What comes of some of the content, piece by piece: nothing is made that
        nobody takes.

        :raise NoRequest: When that is not how it is coded.
        """
        inflate = self._zlib
        while True:
            if inflate.unused_data or (inflate.eof and data):
                raise NoRequest("the coded body has something behind its end")
            try:
                piece = inflate.decompress(data, self.PIECE)
            except zlib.error:
                raise NoRequest("the body is not coded as it says") from None
            data = inflate.unconsumed_tail
            if not piece and not data and not inflate.unused_data:
                return
            yield piece

    def end(self) -> None:
        """:raise NoRequest: When there should have been more."""
        if not self._zlib.eof:
            raise NoRequest("the coded body is not complete")
