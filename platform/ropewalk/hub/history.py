# -*- test-case-name: tests.test_hub_history -*-
"""
What a channel remembers: so many messages, so old, and so large together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from math import inf
from typing import Any

from attrs import define, field
from msgspec import Struct

from ropewalk.interfaces import ChannelRule, Message

__all__ = ["History"]


class _Kept(Struct, eq=False):
    """
    :ivar born: When it was published, by the clock.
    :ivar size: Bytes of its body; 0 where nobody counts.
    """

    message: Message
    born: float
    size: int


@define(eq=False)
class History:
    """
    The last messages of a channel, without a gap, and the very last apart from them.

    Times are a clock's, in seconds, and never go back. What is too old goes when
    :meth:`expire` is called.

    :param rule: How much is kept.
    :ivar size: Bytes of all the bodies, where the rule bounds them.
    """

    _rule: ChannelRule
    size: int = field(default=0, init=False)
    _kept: deque[_Kept] = field(factory=deque, init=False)
    _last: _Kept | None = field(default=None, init=False)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def weight(self) -> int:
        """
        Bytes of all that is remembered, the very last apart from the others among it.
        """
        last = self._last
        apart = last is not None and (not self._kept or self._kept[-1] is not last)
        return self.size + (last.size if apart and last is not None else 0)

    def add(self, message: Message, born: float, size: int, keep: int) -> None:
        """
        :param size: Bytes of the body.
        :param keep: How many messages are to be kept at most.
        """
        kept = _Kept(message, born, size)
        if self._rule.retain is not None:
            self._last = kept
        self._kept.append(kept)
        self.size += size
        while len(self._kept) > keep:
            self._drop()
        if self._rule.keep_bytes is not None:
            self._fit(self._rule.keep_bytes)

    def messages(self) -> list[Message]:
        """The messages, oldest first."""
        return [kept.message for kept in self._kept]

    def latest(self, count: int) -> list[Message]:
        """So many of the last messages, oldest first. There are as many."""
        found = [kept.message for kept in islice(reversed(self._kept), count)]
        found.reverse()
        return found

    def last(self) -> Message | None:
        """The last message, from wherever it is still to be had."""
        kept = self._kept[-1] if self._kept else self._last
        return kept.message if kept is not None else None

    def expire(self, now: float) -> None:
        """
        Let go of what is too old.
        """
        lifetime = _lifetime(self._rule.keep_for)
        while self._kept and self._kept[0].born + lifetime <= now:
            self._drop()
        if self._last and self._last.born + _lifetime(self._rule.retain) <= now:
            self._last = None

    def due(self) -> float:
        """
        When something will be too old; infinity if nothing ever is.
        """
        oldest = self._kept[0].born if self._kept else inf
        last = self._last.born if self._last is not None else inf
        return min(
            oldest + _lifetime(self._rule.keep_for), last + _lifetime(self._rule.retain)
        )

    def follow(self, rule: ChannelRule, size_of: Callable[[Any], int]) -> None:
        """
        Keep as much as another rule says.

        :param size_of: Measures a body.
        """
        self._rule = rule
        self.size = 0
        for kept in self._kept:
            kept.size = size_of(kept.message.body)
            self.size += kept.size
        while len(self._kept) > rule.keep:
            self._drop()
        if rule.keep_bytes is not None:
            self._fit(rule.keep_bytes)
        if rule.retain is None:
            self._last = None
        elif self._kept:
            self._last = self._kept[-1]

    def shrink(self) -> None:
        """
        Let go of the oldest message; of the very last, when there is no other.
        """
        if self._kept:
            self._drop()
        else:
            self._last = None

    def _fit(self, most: int) -> None:
        """Drop what is too large, the oldest first."""
        while self.size > most:
            self._drop()

    def _drop(self) -> None:
        self.size -= self._kept.popleft().size


def _lifetime(seconds: float | None) -> float:
    return inf if seconds is None else seconds
