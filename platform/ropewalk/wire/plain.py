# -*- test-case-name: tests.test_protocols -*-
"""
The twin in Python of ``_lines.c``: the same names, with the same meaning. Which of them
is used, :mod:`ropewalk.wire.lines` chooses.
"""

from __future__ import annotations

__all__ = ["Reader", "lone", "plainly"]

_LF = 0x0A

# Makes something else of each byte that is one of these: C0 but for the tabulator, and
# DEL. C1 is two bytes in UTF-8, of which this is the first.
_OTHERWISE = bytes.maketrans(bytes([*range(9), *range(10, 32), 127]), b"?" * 32)
_C1 = 0xC2


def lone(data: bytes, longest: int) -> str | None:
    """
    The one line that these bytes are, without its end; ``None`` if they are anything
    else: several, a part of one, longer than that many bytes, not UTF-8.
    """
    end = data.find(_LF)
    if end < 0 or end != len(data) - 1 or end > longest:
        return None
    try:
        return data[:end].removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        return None


def plainly(lines: list[str]) -> bytes | None:
    """
    The lines as bytes, each with its end; ``None`` if there is something in one of them
    that is not sent as it is: a line feed, what else moves the cursor of a terminal, or
    what is no character.
    """
    try:
        data = "".join(lines).encode()
    except UnicodeEncodeError:
        return None
    # A regular expression takes five times as long to find nothing.
    if data.translate(_OTHERWISE) != data or (_C1 in data and _has_c1(data)):
        return None
    return data + b"\n" if len(lines) == 1 else "\n".join([*lines, ""]).encode()


class Reader:
    """
    What has come, and is not taken yet: see :class:`ropewalk.wire.lines.LineReader`,
    which builds upon it.

    :ivar more: Whether there may be something to take.
    """

    __slots__ = ("_rest", "_skipping", "more")

    more: bool
    _rest: bytearray
    _skipping: bool

    def lone(self, data: bytes, longest: int) -> str | None:
        """
        Give what has come as the line that it is, if it is one, and nothing else
        waits; otherwise it is to be fed.
        """
        if self.more or self._rest or self._skipping:
            return None
        return lone(data, longest)


def _has_c1(data: bytes) -> bool:
    return any("\x80" <= character < "\xa0" for character in data.decode())
