# -*- test-case-name: tests.test_quick -*-
"""
The twin in Python of ``_quick.c``: the same names, with the same meaning. Which of them
is used, :mod:`ropewalk.web.quick` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from ropewalk.web.lines import HOP_BY_HOP, check_header, header_line, opening
from ropewalk.wire.http1 import Fields

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.web.http_headers import Headers

    from ropewalk.web.serving import Endpoint

__all__ = ["ChannelBase", "RequestBase", "said_headers", "serve", "set_request"]

#: Bytes of answers that are collected before they are written.
BATCH = 64 * 1024


class RequestBase:
    """
    What every request has, and the usual way to its answer.

    :ivar direct: Whether the engine has read it, and writes its answer.
    """

    channel: Any
    site: Any = None
    method: Any = None
    path: Any = None
    uri: Any = None
    clientproto: Any = None
    route: Any = None
    path_args: Any = None
    context: Context | None = None
    scope: Any = None
    outcome: Callable[[], Any] | None = None
    etag: bytes | None = None
    lastModified: Any = None
    producer: Any = None
    body: bytes | None = None
    number = 0
    sentLength = 0
    began: float = 0.0
    code = 200
    code_message: bytes
    startedWriting: int = 0
    finished: int = 0
    unwalked = False
    responseHeaders: Any

    _said: dict[bytes, bytes] | None = None
    _entered: Endpoint | None = None
    _line: Any = None
    _id: str | None = None
    _fields: Fields | None = None
    _headers: Headers | None = None
    _cookies: list[bytes] | None = None
    _notifications: list[Deferred[None]] | None = None
    _content: Any = None
    _request_headers: Headers | None = None
    _encoder: Any = None
    _started = False
    _disconnected = False
    _cut = False
    _inFakeHead = False

    if TYPE_CHECKING:  # what the request knows

        def _asked_slowly(self, name: bytes) -> list[bytes]: ...

        def _pairs_slowly(self) -> list[tuple[bytes, bytes]]: ...

        def _default_type(self) -> bytes: ...

        def _is_plain(self, channel: Any, site: Any, size: int) -> bool: ...

        def _cleanup(self) -> None: ...

    @property
    def direct(self) -> bool:
        return self._fields is not None

    def asked_header(self, name: bytes) -> list[bytes]:
        """
        What the request says in a header: all values.

        :param name: In lower case.
        """
        return self._asked_slowly(name)

    def header_pairs(self) -> list[tuple[bytes, bytes]]:
        """
        Names and values of the headers, in their order; the names in lower case.
        """
        return self._pairs_slowly()

    def setHeader(self, name: Any, value: Any) -> None:
        """Say something in a header of the answer, in place of what was said before."""
        if self._headers is None:
            line = header_line(name, value)
            if line is not None:
                if self._said is None:
                    self._said = {line[0]: line[1]}
                else:
                    self._said[line[0]] = line[1]
                return
        self.responseHeaders.setRawHeaders(name, [value])

    def _answer_plainly(self, body: bytes) -> bool:
        """Write an answer and finish it, if it is plain; whether it was."""
        if self._fields is None or self._headers is not None or self.startedWriting:
            return False
        channel, site, said = self.channel, self.site, self._said
        if not self._is_plain(channel, site, len(body)):
            return False
        lines = b"" if said is None else b"".join(said.values())
        if body and (said is None or b"Content-Type" not in said):
            lines += self._default_type()
        if site.id_start:
            lines = b"%b%d\r\n%b" % (site.id_start, self.number, lines)
        first = opening(self.clientproto, self.code, self.code_message)
        size = self.sentLength = len(body)
        self.startedWriting = 1
        answer = b"%b%bContent-Length: %d\r\n\r\n%b" % (first, lines, size, body)
        channel.write(answer)
        if site.loud:
            site.log(self)
        self.finished = 1
        self._cleanup()
        return True


class ChannelBase:
    """
    What every connection has, and what waits to be written on it.
    """

    site: Any = None
    transport: Any = None
    persistent: Any = True
    unsent = 256 * 1024

    _request: Any = None
    _body: Any = None
    _waiting = b""
    _left = 0
    _served = 0
    _batching = False
    _deaf = False
    _closing = False
    _waitingForTransport = False
    _lost = False
    _reader: Any = None
    _since = 0.0
    _longest_line = _most_headers = _most_header_bytes = 0
    _fresh = True
    _quick = False
    _waits_for_head = True
    _out: list[bytes] | None = None
    _size = 0

    if TYPE_CHECKING:

        def _data_received(self, data: bytes) -> None: ...

    def dataReceived(self, data: bytes) -> None:
        """Take what has come."""
        self._data_received(data)

    def write(self, data: bytes) -> None:
        """Write, or collect what is to be written when all has been looked at."""
        if not self._batching:
            self._flush()
            self._hand_over(data)
            return
        if self._out is None:
            self._out = []
        self._out.append(bytes(data))
        self._size += len(data)
        if self._size > BATCH:
            self._flush()

    def _flush(self) -> None:
        """Write what is collected."""
        out = self._out
        if out is not None:
            self._discard()
            self._hand_over(out[0] if len(out) == 1 else b"".join(out))

    def _discard(self) -> None:
        """Forget it."""
        self._out, self._size = None, 0

    def _hand_over(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)


def serve(channel: Any, data: bytes, at: int, now: float) -> int:
    """
    Answer what is plain. Here that is nothing: the engine answers all.

    :return: up to where.
    """
    return at


def said_headers(
    said: Iterable[Any],
) -> tuple[int | None, list[tuple[bytes, bytes]], dict[bytes, bytes] | None]:
    """
    Read the headers that an application says of its answer.

    :return: what they say of the length of the body; those that are not ours to write,
        with names in lower case; and the lines that these are by their usual names,
        ``None`` where one means something to who writes an answer, or comes twice.
    :raise ValueError: When they are no pairs, or as :func:`check_header`.
    """
    length = None
    pairs: list[tuple[bytes, bytes]] = []
    lines: dict[bytes, bytes] | None = {}
    for item in said:
        name, value = _pair(item)
        if name == b"content-length":
            if not value.isdigit():
                raise ValueError(f"{value!r} is no Content-Length")
            length = int(value)
        elif name not in HOP_BY_HOP:
            pairs.append((name, value))
            lines = None if lines is None else _with_line(lines, name, value)
    return length, pairs, lines


def _pair(item: Any) -> tuple[bytes, bytes]:
    pair = tuple(item)
    if len(pair) != 2:
        raise ValueError(f"expected a name and a value, got {pair!r}")
    check_header(*pair)
    return pair[0].lower(), pair[1]


def _with_line(
    lines: dict[bytes, bytes], name: bytes, value: bytes
) -> dict[bytes, bytes] | None:
    line = header_line(name, value)
    if line is None or line[0] in lines:
        return None
    lines[line[0]] = line[1]
    return lines


def set_request(kind: type[RequestBase]) -> None:
    """Be told what requests are made of. Here, nobody makes any."""
