# -*- test-case-name: tests.test_replies -*-
"""
HTTP/1.1 answers, from bytes (RFC 9112): what the server behind a proxy says.

As with requests, what two recipients could read in two ways is no answer: one of them
is a client of ours, which may take for its next answer what somebody else has written.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ropewalk.wire.http1 import (
    FIELD,
    LENGTH,
    TEXT,
    Chunks,
    HeadLimits,
    NoRequest,
    Pairs,
    wrong_field,
)

__all__ = ["Heard", "NoReply", "Reply", "ReplyReader"]

#: A head (RFC 9112, sections 2.1 and 4). Many servers leave the space behind the code
#: out where they give no reason.
_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: (%b*+))?\r\n((?:%b)*+)\r\n" % (TEXT, FIELD)
)
_LINE = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: %b*+)?" % TEXT)

_NOTABLE = (b"content-length", b"transfer-encoding", b"connection", b"keep-alive")
_NOTED = re.compile(rb"(?:^|\n)(?:%b):" % b"|".join(_NOTABLE), re.IGNORECASE)

#: How long a server says that it keeps a connection (RFC 2068, section 19.7.1.1).
_KEPT = re.compile(rb"(?i)(?:^|[,\s])timeout=([0-9]{1,6})")

#: Interim answers to one request: no server has this many to give.
_MOST_INTERIM = 32

_EMPTY = (204, 304)


class NoReply(Exception):
    """
    What was sent is no answer.

    :ivar detail: What is wrong, in words.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Reply(Struct):
    """
    The head of an answer.

    :ivar minor: 0 or 1, of the version.
    :ivar pairs: Names and values, in their order.
    :ivar framing: How its body ends: there is none, it is so long, it comes in chunks,
        it ends with the connection (RFC 9112, section 6.3).
    :ivar length: Bytes of the body, where it is so long.
    :ivar keeps: Whether the connection goes on.
    :ivar kept: Seconds for which the server says that it keeps the connection.
    :ivar options: What ``Connection`` names, in lower case.
    """

    code: int
    reason: bytes
    minor: int
    pairs: Pairs
    framing: Literal["none", "length", "chunks", "close"] = "close"
    length: int = 0
    keeps: bool = True
    kept: int | None = None
    options: tuple[bytes, ...] = ()


class Heard(Struct):
    """
    What some bytes were.

    :ivar interim: Answers that only lead up to the real one (RFC 9110, section 15.2).
    :ivar head: The answer's head.
    :ivar pieces: Of its body.
    :ivar done: Whether that was all of it.
    :ivar trailers: What was behind it.
    :ivar rest: What is behind the answer: after 101, the first bytes of the other
        protocol; otherwise nobody asked for it.
    """

    interim: list[Reply] = []
    head: Reply | None = None
    pieces: list[bytes] = []
    done: bool = False
    trailers: Pairs = []
    rest: bytes = b""


class ReplyReader:
    """
    Reads the answers on one connection.

    :param limits: How long heads may be; ``line`` is that of the status line.
    :ivar busy: Whether an answer is expected, or not complete.
    """

    __slots__ = (
        *("_chunks", "_data", "_head", "_interim", "_left", "_limits", "_method"),
        *("_meant", "_said", "_seen", "_upgrades", "busy"),
    )

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._data = self._said = b""
        self._meant = Reply(0, b"", 1, [])
        self.expect(b"")
        self.busy = False

    def expect(self, method: bytes, upgrades: bool = False) -> None:
        """
        Read the answer to a request.

        :param upgrades: Whether it asks for another protocol.
        """
        self._method, self._upgrades = method, upgrades
        self._head: Reply | None = None
        self._chunks: Chunks | None = None
        self._left = self._seen = self._interim = 0
        self.busy = True

    def read(self, data: bytes) -> Heard:
        """
        Read on.

        :raise NoReply: When this is no answer, or nobody has asked.
        """
        if not self.busy:
            raise NoReply("something came that nobody had asked for")
        heard = Heard()
        if self._data:
            data, self._data = self._data + data, b""
        at = 0
        if self._head is None:
            at = self._read_heads(data, heard)
        if self._head is not None:
            self._read_body(data, at, heard)
        else:
            self._data = data[at:] if at else data
        return heard

    def close(self) -> Heard:
        """
        The server has closed the connection.

        :raise NoReply: When its answer is not complete.
        """
        if self._head is None:
            raise NoReply("the connection was closed before the answer")
        if self._head.framing != "close":
            raise NoReply("the connection was closed in the middle of the answer")
        self.busy = False
        return Heard(done=True)

    def _read_heads(self, data: bytes, heard: Heard) -> int:
        """
        Read a head, and what may come before it.

        :return: up to where that was read.
        """
        at = 0
        while True:
            end = data.find(b"\r\n\r\n", max(at, at + self._seen - 3))
            if end < 0:
                self._seen = len(data) - at
                self._check_begun(data, at)
                return at
            self._seen = 0
            reply = self._read_head(data[at : end + 4])
            at = end + 4
            if reply.code >= 200 or reply.code == 101:
                self._begin(reply, heard)
                return at
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise NoReply("there is no end of interim answers")
            heard.interim.append(reply)

    def _read_head(self, data: bytes) -> Reply:
        """What a server has said before, it means again."""
        if data != self._said:
            self._meant = read_reply(data, self._limits)
            self._said = data
        return replace(self._meant)

    def _check_begun(self, data: bytes, at: int) -> None:
        """Judge what has come of a head."""
        begun = data[at : at + 5]
        if begun != b"HTTP/"[: len(begun)]:
            raise NoReply("this is not HTTP/1.1")
        if data.find(b"\n\n", at) >= 0:
            raise NoReply("a line of the headers does not end as lines do")
        limits, size = self._limits, len(data) - at
        if b"\n" not in data[at : at + limits.line + 2] and size > limits.line:
            raise NoReply(f"the status line is longer than {limits.line} bytes")
        if size > limits.line + limits.header_bytes:
            raise NoReply(f"more headers than {limits.header_bytes} bytes")

    def _begin(self, reply: Reply, heard: Heard) -> None:
        if reply.code == 101 and not self._upgrades:
            raise NoReply("another protocol is spoken that nobody had asked for")
        if self._method == b"HEAD" or reply.code in _EMPTY or reply.code == 101:
            # RFC 9112, section 6.3, rule 1.
            reply.framing = "none"
        elif self._method == b"CONNECT":
            raise NoReply("nothing is known of tunnels")
        heard.head = self._head = reply
        self._left = reply.length
        if reply.framing == "chunks":
            self._chunks = Chunks(self._limits)
        if reply.framing == "close":
            reply.keeps = False

    def _read_body(self, data: bytes, at: int, heard: Heard) -> None:
        reply = self._head
        assert reply is not None
        if reply.framing == "close":
            if at < len(data):
                heard.pieces.append(data[at:] if at else data)
            return
        if self._chunks is not None:
            at = self._read_chunks(self._chunks, data, at, heard)
        elif reply.framing == "length" and self._left:
            piece = data[at : at + self._left]
            if piece:
                heard.pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
            heard.done = not self._left
        else:
            heard.done = True
        if heard.done:
            heard.rest, self.busy = data[at:], False

    def _read_chunks(self, chunks: Chunks, data: bytes, at: int, heard: Heard) -> int:
        try:
            at = chunks.read(data, at, heard.pieces)
        except NoRequest as error:
            raise NoReply(error.detail) from None
        if chunks.done:
            heard.done, heard.trailers = True, chunks.trailers
        else:
            self._data = data[at:]
        return at


def read_reply(data: bytes, limits: HeadLimits) -> Reply:
    """
    Read a head.

    :param data: All of it, and nothing else.
    :raise NoReply: When it is none.
    """
    found = _HEAD.fullmatch(data)
    if found is None:
        raise NoReply(_wrong_head(data))
    minor, code, reason, block = found.groups()
    _check_size(len(data) - len(block) - 4, block, limits)
    pairs: Pairs = []
    for line in block.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        pairs.append((name, value.strip(b" \t")))
    reply = Reply(int(code), reason or b"", int(minor), pairs, keeps=minor == b"1")
    if _NOTED.search(block) is not None:
        _note_framing(reply)
    return reply


def _check_size(line: int, block: bytes, limits: HeadLimits) -> None:
    if line > limits.line:
        raise NoReply(f"the status line is longer than {limits.line} bytes")
    if len(block) > limits.header_bytes or block.count(b"\n") > limits.headers:
        most = f"{limits.header_bytes} bytes or {limits.headers} lines"
        raise NoReply(f"more headers than {most}")


def _wrong_head(data: bytes) -> str:
    """What is wrong with a head."""
    first, _, block = data.partition(b"\r\n")
    if not first.startswith(b"HTTP/"):
        return "this is not HTTP/1.1"
    if _LINE.fullmatch(first) is None:
        return "its first line is no status line"
    for line in block.removesuffix(b"\r\n").splitlines(keepends=True):
        if re.fullmatch(FIELD, line) is None:
            return wrong_field(line)
    return "its headers are none"


def _note_framing(reply: Reply) -> None:
    """RFC 9112, section 6.3."""
    said: dict[bytes, list[bytes]] = {}
    for name, value in reply.pairs:
        name = name.lower()
        if name in _NOTABLE:
            said.setdefault(name, []).append(value)
    codings, lengths = said.get(b"transfer-encoding"), said.get(b"content-length")
    if codings is not None:
        if lengths is not None or not reply.minor:
            also = "Content-Length" if lengths is not None else "HTTP/1.0"
            raise NoReply(f"Transfer-Encoding and {also} do not go together")
        if [each.lower() for each in codings] != [b"chunked"]:
            # Nothing else was asked for (RFC 9110, section 10.1.4).
            raise NoReply("the transfer coding is not just 'chunked'")
        reply.framing = "chunks"
    elif lengths is not None:
        if len(lengths) > 1 or LENGTH.fullmatch(lengths[0]) is None:
            raise NoReply("Content-Length is no number of bytes")
        reply.framing, reply.length = "length", int(lengths[0])
    _note_connection(reply, said)


def _note_connection(reply: Reply, said: dict[bytes, list[bytes]]) -> None:
    """RFC 9112, section 9.3."""
    names = b",".join(said.get(b"connection", ())).lower().split(b",")
    reply.options = tuple(name for each in names if (name := each.strip(b" \t")))
    if b"close" in reply.options:
        reply.keeps = False
    elif b"keep-alive" in reply.options:
        reply.keeps = True
    found = _KEPT.search(b",".join(said.get(b"keep-alive", ())))
    if found is not None:
        reply.kept = int(found[1])
