# -*- test-case-name: tests.test_sending -*-
"""
Files as answers: which there are, what they are, and what of them a client wants.
"""

from __future__ import annotations

import mimetypes
import os
import re
from errno import ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR
from secrets import token_hex
from stat import S_ISREG
from typing import Any, BinaryIO

from twisted.web.http import CACHED, datetimeToString

from ropewalk.web.problems import Refused

__all__ = ["Parts", "open_file", "parts_of", "ranges_of", "type_of"]

_NO_SUCH_FILE = (ENOENT, ENOTDIR, ENAMETOOLONG, ELOOP)


def open_file(path: str) -> BinaryIO:
    """
    Open a file for reading.

    :raise Refused: When there is no such file, or it may not be read.
    """
    try:
        if S_ISREG(os.stat(path).st_mode):
            return open(path, "rb")
    except PermissionError:
        raise Refused(403, "this file may not be read") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if getattr(error, "errno", ENOENT) not in _NO_SUCH_FILE:
            raise
    raise Refused(404, "there is no such file")


#: How many ranges of a file are sent in one answer; who asks for more gets all of
#: it (RFC 9110, section 14.2, on those who ask for too many).
_MOST_RANGES = 10

#: Python reads no numbers of more than 4,300 digits; no file is longer than this.
_RANGE = re.compile(r"([0-9]{0,100})-([0-9]{0,100})")

#: What is sent of a file: bytes in between, and offsets and lengths in it.
Parts = list["bytes | tuple[int, int]"]


def parts_of(
    request: Any, status: os.stat_result, *, whole: bool = False
) -> Parts | None:
    """
    What of a file to send, and set the headers that say so.

    :param whole: Send it all, whatever was asked for, as to HEAD (RFC 9110, section
        14.2).
    :return: ``None`` when the client has it already.
    """
    size = status.st_size
    everything: Parts = [(0, size)]
    if request.code != 200 or request.method not in (b"GET", b"HEAD"):
        return everything
    request.setHeader(b"accept-ranges", b"bytes")
    if request.getHeader(b"if-none-match") is not None:
        # We have no entity tags: none matches, and dates do not count (RFC 9110,
        # section 13.1.3).
        request.requestHeaders.removeHeader(b"if-modified-since")
    if request.setLastModified(status.st_mtime) is CACHED:
        return None
    if whole:
        return everything
    condition = request.getHeader(b"if-range")
    if condition is not None and condition != datetimeToString(request.lastModified):
        return everything
    ranges = ranges_of((request.getHeader(b"range") or b"").decode("latin-1"), size)
    if ranges is None:
        return everything
    if not ranges:
        request.setResponseCode(416)
        request.setHeader(b"content-range", b"bytes */%d" % size)
        request.responseHeaders.removeHeader(b"content-type")
        return []
    request.setResponseCode(206)
    if len(ranges) == 1:
        request.setHeader(b"content-range", _content_range(ranges[0], size))
        return list(ranges)
    return _multipart(request, ranges, size)


def ranges_of(asked: str, size: int) -> list[tuple[int, int]] | None:
    """
    The ranges that a client asks for (RFC 9110, section 14.1.2).

    :return: offsets and lengths; ``None`` for all of the file, nothing when nothing
        of what was asked for is there.
    """
    unit, _, listed = asked.partition("=")
    specs = [each.strip() for each in listed.split(",") if each.strip()]
    if unit.strip().lower() != "bytes" or not 0 < len(specs) <= _MOST_RANGES:
        return None
    ranges = []
    for spec in specs:
        found = _RANGE.fullmatch(spec)
        if found is None or spec == "-":
            return None
        first, last = found.groups()
        if not first:
            start, stop = max(0, size - int(last)), size
        else:
            start, stop = int(first), min(size, int(last) + 1 if last else size)
            if last and int(last) < start:
                return None
        if start < stop:
            ranges.append((start, stop - start))
    return ranges


def _content_range(place: tuple[int, int], size: int) -> bytes:
    offset, length = place
    return b"bytes %d-%d/%d" % (offset, offset + length - 1, size)


def _multipart(request: Any, ranges: list[tuple[int, int]], size: int) -> Parts:
    """RFC 9110, section 14.6."""
    headers = request.responseHeaders
    (kind,) = headers.getRawHeaders(b"content-type")
    boundary = token_hex(16).encode("ascii")
    headers.setRawHeaders(
        b"content-type", [b"multipart/byteranges; boundary=" + boundary]
    )
    parts: Parts = []
    for each in ranges:
        place = _content_range(each, size)
        parts.append(
            b"\r\n--%b\r\nContent-Type: %b\r\nContent-Range: %b\r\n\r\n"
            % (boundary, kind, place)
        )
        parts.append(each)
    return [*parts, b"\r\n--%b--\r\n" % boundary]


_ENCODED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
}


def type_of(path: str) -> str:
    """The media type of a file, by its name."""
    kind, encoding = mimetypes.guess_type(path)
    if encoding is not None:  # the file is what is sent, not what is in it
        kind = _ENCODED.get(encoding)
    return kind or "application/octet-stream"
