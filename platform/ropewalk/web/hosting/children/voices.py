# -*- test-case-name: tests.test_hosting_command -*-
"""
What a program prints, in our log, line by line; of one that does not stop talking, not
all.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

__all__ = ["Voice"]

#: Characters of a line, lines of a second, and lines that are remembered.
_LONGEST, _MOST, _REMEMBERED = 2000, 200, 20


class Voice:
    """
    :param name: Who speaks.
    :param clock: Where time comes from.
    :ivar last: What was said last.
    """

    _log = Logger()

    def __init__(self, name: str, clock: IReactorTime) -> None:
        self._name, self._clock = name, clock
        self._rest: dict[int, bytes] = {}
        self._second, self._count, self._dropped = 0, 0, 0
        self.last: deque[str] = deque(maxlen=_REMEMBERED)

    def hear(self, source: int, data: bytes) -> None:
        """
        Something was printed.

        :param source: By which descriptor.
        """
        *lines, rest = (self._rest.get(source, b"") + data).split(b"\n")
        if len(rest) > _LONGEST:
            lines, rest = [*lines, rest], b""
        self._rest[source] = rest
        for line in lines:
            self._say(line)

    def end(self) -> None:
        """Nothing more will be."""
        rests, self._rest = self._rest, {}
        for rest in rests.values():
            if rest:
                self._say(rest)
        self._tell_dropped()

    def _say(self, line: bytes) -> None:
        text = line[:_LONGEST].decode("utf-8", "backslashreplace").rstrip("\r")
        self.last.append(text)
        second = int(self._clock.seconds())
        if second != self._second:
            self._tell_dropped()
            self._second, self._count = second, 0
        self._count += 1
        if self._count > _MOST:
            self._dropped += 1
        else:
            self._log.info("{name}: {line}", name=self._name, line=text)

    def _tell_dropped(self) -> None:
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self._log.warn(
                "{name} printed {count} lines more, too fast to be kept",
                name=self._name,
                count=dropped,
            )
