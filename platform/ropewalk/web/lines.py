# -*- test-case-name: tests.test_lines -*-
"""
The lines of an answer's head, remembered: most answers say what those before them
said.
"""

from __future__ import annotations

import re
from collections.abc import Container
from time import time
from typing import Any

from twisted.web import http, server
from twisted.web.http_headers import Headers

__all__ = [
    "HOP_BY_HOP",
    "SPECIAL",
    "check_header",
    "header_line",
    "opening",
    "remembered",
    "signature",
    "status_line",
]

#: Headers that mean something to who writes an answer, and cannot just be copied.
SPECIAL = frozenset(
    b"Connection Content-Length Date ETag Last-Modified Server Set-Cookie "
    b"Transfer-Encoding".split()
)

#: Headers that are between us and the client (RFC 9110, section 7.6.1).
HOP_BY_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer"),
        *(b"transfer-encoding", b"upgrade"),
    }
)

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

#: How many headers are remembered, and the longest of them, in bytes.
_REMEMBERED = 1024
_LONGEST = 256

_OK = http.RESPONSES[http.OK]

#: Headers that were written before; of those that are special, ``None``.
remembered: dict[tuple[str | bytes, str | bytes], tuple[bytes, bytes] | None] = {}
_second = 0
_opening = {b"HTTP/1.0": b"", b"HTTP/1.1": b""}
_ours = b""


def header_line(name: str | bytes, value: str | bytes) -> tuple[bytes, bytes] | None:
    """
    A header as it is sent, under its usual name; ``None`` for one of
    :data:`SPECIAL`.

    :raise twisted.web.http_headers.InvalidHeaderName: For a name that is none.
    """
    try:
        return remembered[name, value]
    except KeyError:
        pass
    headers = Headers()
    headers.setRawHeaders(name, [value])
    ((usual, (sent,)),) = headers.getAllRawHeaders()
    line = None if usual in SPECIAL else (usual, b"%b: %b\r\n" % (usual, sent))
    if len(sent) <= _LONGEST:
        if len(remembered) >= _REMEMBERED:
            remembered.clear()
        remembered[name, value] = line
    return line


def check_header(name: Any, value: Any) -> None:
    """
    Hold somebody who says a header to what a header is.

    :raise ValueError: When it is not of bytes, has a name that is no token (RFC 9110,
        section 5.6.2), or an end of a line or a NUL in its value (section 5.5).
    """
    if type(name) is not bytes or type(value) is not bytes:
        raise ValueError(f"expected headers in bytes, got {name!r}: {value!r}")
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no name of a header")
    if b"\n" in value or b"\r" in value or b"\0" in value:
        raise ValueError(f"{value!r} is no value of a header")


def status_line(version: bytes, code: int, phrase: bytes) -> bytes:
    """A status line (RFC 9112, section 4)."""
    return b"%b %d %b\r\n" % (version, code, phrase)


def opening(version: bytes, code: int, phrase: bytes) -> bytes:
    """The status line, and who says it, and when."""
    now = int(time())
    if now != _second:
        _tick(now)
    if code == 200 and phrase is _OK:
        return _opening[version]
    return status_line(version, code, phrase) + _ours


def signature(names: Container[bytes]) -> bytes:
    """
    Who says an answer, and when, as far as its headers do not.

    :param names: Of those headers, in lower case.
    """
    lines = b"" if b"server" in names else b"Server: %b\r\n" % server.version
    if b"date" in names:
        return lines
    return b"%bDate: %b\r\n" % (lines, http.datetimeToString())


def _tick(now: int) -> None:
    global _second, _ours
    _second = now
    _ours = b"Server: %b\r\nDate: %b\r\n" % (server.version, http.datetimeToString(now))
    for version in _opening:
        _opening[version] = status_line(version, 200, _OK) + _ours
