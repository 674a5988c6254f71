# -*- test-case-name: tests.test_events -*-
"""
Event streams, out of bytes that come in pieces of any size: WHATWG HTML, section 9.2.6.
"""

from __future__ import annotations

import re

from msgspec import Struct

from ropewalk.errors import RopewalkError

__all__ = ["Event", "EventReader"]

#: Bytes of a line, and characters of an event's data, that are taken.
_LONGEST = 1024 * 1024

#: Digits of a ``retry`` that are believed: of milliseconds, 30 years.
_DIGITS = 12

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")


class Event(Struct, frozen=True):
    """
    Something that was told.

    :ivar data: What was told, its lines with a line feed between two.
    :ivar kind: What kind of event; ``"message"`` where none is named.
    :ivar id: The last id that the stream has given, with this event or before; empty
        if none.
    """

    data: str
    kind: str = "message"
    id: str = ""


class EventReader:
    """
    What has come of a stream, and is no event yet.

    A line ends with CR, LF or both. A byte order mark at the very beginning is skipped,
    bytes that are not UTF-8 are read as U+FFFD, comments and strange fields mean
    nothing, and an event that the stream ends in is none.

    :param longest: Bytes that a line may have, and characters the data of an event.
    :ivar id: The last id that was given.
    :ivar retry: Milliseconds after which who is cut off is to come back; ``None`` where
        the stream has not said.
    """

    def __init__(self, longest: int = _LONGEST) -> None:
        self.id = ""
        self.retry: int | None = None
        self._longest = longest
        self._rest = b""
        self._begun = False
        self._after_return = False
        self._kind = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Event]:
        """
        Take what has come.

        :return: the events that are whole now.
        :raise RopewalkError: When a line or an event is too long. What comes after that
            cannot be understood.
        """
        whole = self._rest + self._without_line_feed(data)
        if not self._begun:
            if _BOM.startswith(whole):  # or is it one, and no more yet?
                self._rest = whole
                return []
            whole = whole.removeprefix(_BOM)
            self._begun = True
        *lines, self._rest = _LINE_END.split(whole)
        # A line feed that comes next belongs to this end of a line.
        self._after_return = whole.endswith(b"\r")
        events: list[Event] = []
        for line in lines:
            self._check(len(line))
            event = self._take(line.decode("utf-8", "replace"))
            if event is not None:
                events.append(event)
        self._check(len(self._rest))
        return events

    def _without_line_feed(self, data: bytes) -> bytes:
        if self._after_return and data:
            self._after_return = False
            return data.removeprefix(b"\n")
        return data

    def _take(self, line: str) -> Event | None:
        """Take a line; an event, where it ends one."""
        if not line:
            return self._end()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._size += len(value) + 1
            self._check(self._size)
            self._data.append(value)
        elif field == "event":
            self._kind = value
        elif field == "id" and "\0" not in value:
            self.id = value
        elif field == "retry" and _is_number(value):
            self.retry = int(value)
        return None

    def _end(self) -> Event | None:
        kind, data = self._kind or "message", self._data
        self._kind, self._data, self._size = "", [], 0
        return Event("\n".join(data), kind, self.id) if data else None

    def _check(self, size: int) -> None:
        if size > self._longest:
            raise RopewalkError(f"an event is too long: at most {self._longest} bytes")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS
