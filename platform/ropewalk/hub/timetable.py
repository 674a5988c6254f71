# -*- test-case-name: tests.test_hub_timetable -*-
"""
What is due when, by one call of the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Timetable"]

#: So many entries that nobody needs any more may lie about before they are cleared.
_CLUTTER = 64


@define(eq=False)
class Timetable:
    """
    Calls for those who are due, each at its time. As long as nobody is, nothing waits
    in the clock; otherwise one call does.

    :param clock: Where time comes from; without one, the time is always 0 and nothing
        is ever due.
    :param call: Called with a name when its time has come, once.
    """

    _clock: IReactorTime | None
    _call: Callable[[str], object]
    _times: dict[str, float] = field(factory=dict, init=False)
    _heap: list[tuple[float, str]] = field(factory=list, init=False)
    _waiting: IDelayedCall | None = field(default=None, init=False)
    _waits_for: float | None = field(default=None, init=False)
    _closed: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._closed = self._clock is None

    def now(self) -> float:
        """The clock's seconds."""
        return 0.0 if self._clock is None else self._clock.seconds()

    def remind(self, name: str, when: float) -> None:
        """
        Call for somebody at a time, or at an earlier one that was said before.
        """
        if self._closed or self._times.get(name, when + 1) <= when:
            return
        self._times[name] = when
        heappush(self._heap, (when, name))
        if len(self._heap) > 2 * len(self._times) + _CLUTTER:
            self._heap = [(time, name) for name, time in self._times.items()]
            heapify(self._heap)
        self._set()

    def forget(self, name: str) -> None:
        """
        Call for somebody no more.
        """
        if self._times.pop(name, None) is not None:
            self._set()

    def close(self) -> None:
        """
        Call for nobody any more, whoever asks.
        """
        self._closed = True
        self._times.clear()
        self._set()

    def _set(self) -> None:
        """
        Have the clock call when the first is due.
        """
        while self._heap and self._times.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        first = self._heap[0][0] if self._heap else None
        waiting = self._waiting
        if waiting is not None and waiting.active():
            if first == self._waits_for:
                return
            waiting.cancel()
        self._waiting, self._waits_for = None, first
        if first is not None and self._clock is not None:
            delay = max(0.0, first - self._clock.seconds())
            self._waiting = self._clock.callLater(delay, self._ring)

    def _ring(self) -> None:
        now = self.now()
        try:
            while (name := self._due(now)) is not None:
                self._call(name)
        finally:
            self._set()

    def _due(self, now: float) -> str | None:
        """Somebody who is due, and is not called for after this; ``None`` if nobody."""
        while self._heap and self._heap[0][0] <= now:
            when, name = heappop(self._heap)
            if self._times.get(name) == when:
                del self._times[name]
                return name
        return None
