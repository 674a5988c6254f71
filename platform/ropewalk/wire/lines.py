# -*- test-case-name: tests.test_protocols -*-
"""
Lines of UTF-8, out of bytes that come in pieces of any size, and as bytes again.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ropewalk.errors import RopewalkError

if TYPE_CHECKING or os.environ.get("ROPEWALK_NATIVE", "1") == "0":
    from ropewalk.wire.plain import Reader, lone, plainly
else:
    try:
        from ropewalk.wire._lines import Reader, lone, plainly
    except ImportError:  # it was not compiled
        from ropewalk.wire.plain import Reader, lone, plainly

__all__ = ["LineReader", "lone", "plainly"]

#: Bytes that are split at once. Lines that wait take more room than their bytes do,
#: an empty one eight times as much.
_AT_ONCE = 4096

_LF = 0x0A


class LineReader(Reader):
    """
    What has come, and is not taken yet. A line ends with a line feed, and may have a
    carriage return before that.

    :ivar more: Whether there may be something to take.
    :cvar lost: Whether nothing can be found any more: never, as a line feed ends
        whatever was wrong.
    """

    lost = False

    __slots__ = ("_bytes", "_lines", "_mixed", "_start")

    def __init__(self) -> None:
        self.more = False
        self._bytes = b""  # whole lines
        self._start = 0  # of those that are not split yet
        self._rest = bytearray()  # the beginning of a line
        self._skipping = False
        self._lines: list[str] = []
        self._mixed: deque[str | RopewalkError] = deque()

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self.more = True
        if self._skipping:
            data = self._skip(data)
        end = data.rfind(_LF) + 1
        if end == len(data) and not self._rest and not self._bytes:
            self._bytes = data
        else:
            self._append(data[:end], data[end:])

    def take(self, most: int, longest: int) -> tuple[list[str], RopewalkError | None]:
        """
        Give lines, without their ends, and forget them.

        :param most: How many at most.
        :param longest: Bytes that a line may have, without its end.
        :return: the lines before the first that is wrong, and what is wrong with
            that one; it is skipped.
        """
        if self._bytes and not self._lines and not self._mixed:
            self._split(longest)
        if self._mixed:
            return self._sort_out(most)
        lines = self._lines
        if len(lines) > most:
            self._lines = lines[most:]
            return lines[:most], None
        self._lines = []
        if lines:
            self.more = bool(self._bytes or self._rest)
            return lines, None
        self.more = False
        return lines, self._foresee(longest)

    def __len__(self) -> int:
        """How many bytes wait in which no lines were looked for."""
        return len(self._bytes) - self._start + len(self._rest)

    def _skip(self, data: bytes) -> bytes:
        """Up to the end of a line that was too long."""
        end = data.find(_LF)
        self._skipping = end < 0
        return b"" if self._skipping else data[end + 1 :]

    def _append(self, whole: bytes, rest: bytes) -> None:
        if whole:
            self._bytes = b"".join((self._bytes[self._start :], self._rest, whole))
            self._start = 0
            self._rest.clear()
        self._rest += rest

    def _split(self, longest: int) -> None:
        if len(self._bytes) > _AT_ONCE:
            block = self._cut_off()
        else:
            block, self._bytes = self._bytes[:-1], b""
        try:
            text = block.decode()
        except UnicodeDecodeError:
            self._mixed.extend(_judged(block, longest))
            return
        if len(block) > longest and max(map(len, block.split(b"\n"))) > longest:
            self._mixed.extend(_judged(block, longest))
            return
        if "\r" in text:
            text = text.replace("\r\n", "\n").removesuffix("\r")
        self._lines = text.split("\n")

    def _cut_off(self) -> bytes:
        """Whole lines, as many as are split at once, without the last one's end."""
        start, end = self._start, len(self._bytes) - 1
        if end - start > _AT_ONCE:
            end = self._bytes.rfind(_LF, start, start + _AT_ONCE)
            if end < 0:
                end = self._bytes.find(_LF, start + _AT_ONCE)
        block = self._bytes[start:end]
        self._start = end + 1
        if self._start == len(self._bytes):
            self._bytes, self._start = b"", 0
        return block

    def _sort_out(self, most: int) -> tuple[list[str], RopewalkError | None]:
        lines: list[str] = []
        while self._mixed and len(lines) < most:
            line = self._mixed.popleft()
            if isinstance(line, RopewalkError):
                return lines, line
            lines.append(line)
        return lines, None

    def _foresee(self, longest: int) -> RopewalkError | None:
        """What is wrong with a line that is not there yet."""
        rest = self._rest
        if len(rest) <= longest or len(rest.removesuffix(b"\r")) <= longest:
            return None
        rest.clear()
        self._skipping = True
        return _too_long(longest)


def _judged(block: bytes, longest: int) -> Iterator[str | RopewalkError]:
    for line in block.split(b"\n"):
        line = line.removesuffix(b"\r")
        if len(line) > longest:
            yield _too_long(longest)
            continue
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            byte = error.start + 1
            yield RopewalkError(f"that is not UTF-8: byte {byte} of the line")


def _too_long(longest: int) -> RopewalkError:
    return RopewalkError(f"that line is too long: at most {longest} bytes")
