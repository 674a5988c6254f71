# -*- test-case-name: tests.test_export_answers -*-
"""
The answers of our own engine, read back: the little of HTTP/1.1 that it writes.
"""

from __future__ import annotations

from msgspec import Struct

from ropewalk.wire.http1 import Chunks, HeadLimits

__all__ = ["AnswerHead", "AnswerReader"]

_END = b"\r\n\r\n"

#: Answers that have no body (RFC 9112, section 6.3).
_BODILESS = frozenset({204, 304})

#: The one behind which another protocol is spoken.
SWITCHED = 101


class AnswerHead(Struct, frozen=True):
    """
    What comes before the body of an answer.

    :ivar headers: Their names in lower case.
    """

    code: int
    reason: bytes
    headers: tuple[tuple[bytes, bytes], ...]

    @property
    def is_final(self) -> bool:
        """Whether this is the answer, not one that says to wait for it."""
        return self.code >= 200 or self.code == SWITCHED

    def get(self, name: bytes) -> bytes | None:
        """The value of a header, by its name in lower case."""
        return next((value for each, value in self.headers if each == name), None)


class AnswerReader:
    """
    Takes the answer to one request apart.

    :param to_head: Whether the request was HEAD, whose answer has no body.
    :ivar over: Whether all has come.
    :ivar rest: What came behind a head that switches protocols.
    """

    def __init__(self, to_head: bool = False) -> None:
        self.over = False
        self.rest = b""
        self._to_head = to_head
        self._has_head = False
        self._left: int | None = None
        self._chunks: Chunks | None = None

    def read(self, data: bytes) -> list[AnswerHead | bytes]:
        """
        Read on.

        :return: what has come: heads, then pieces of the body.
        """
        found: list[AnswerHead | bytes] = []
        data, self.rest = self.rest + data, b""
        while not self._has_head:
            end = data.find(_END)
            if end < 0:
                self.rest = data
                return found
            head = _read_head(data[:end])
            data = data[end + len(_END) :]
            found.append(head)
            if head.is_final:
                self._begin(head)
        if self.over:
            self.rest = data
            return found
        found += self._read_body(data)
        return found

    def end(self) -> bool:
        """
        The connection has ended.

        :return: whether the answer is whole.
        """
        if self._has_head and self._left is None and self._chunks is None:
            self.over = True  # it ends where the connection does
        return self.over

    def _begin(self, head: AnswerHead) -> None:
        self._has_head = True
        length = head.get(b"content-length")
        if head.code == SWITCHED or head.code in _BODILESS or self._to_head:
            self.over = True
        elif head.get(b"transfer-encoding") is not None:
            self._chunks = Chunks(HeadLimits())
        elif length is not None:
            self._left = int(length)
            self.over = not self._left

    def _read_body(self, data: bytes) -> list[bytes]:
        if self._chunks is not None:
            pieces: list[bytes] = []
            at = self._chunks.read(data, 0, pieces)
            self.rest, self.over = data[at:], self._chunks.done
            return pieces
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
            self.over = not self._left
        return [data] if data else []


def _read_head(data: bytes) -> AnswerHead:
    status, *lines = data.split(b"\r\n")
    _, code, reason = status.split(b" ", 2)
    headers = tuple(
        (name.lower(), value.strip())
        for name, _, value in (line.partition(b":") for line in lines)
    )
    return AnswerHead(int(code), reason, headers)
