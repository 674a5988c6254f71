# -*- test-case-name: tests.test_hub_bounds -*-
"""
How much all channels remember together.
"""

from __future__ import annotations

from collections import defaultdict

from attrs import define, field

from ropewalk.hub.channels import Channel

__all__ = ["Stock"]


@define(eq=False)
class Stock:
    """
    The histories of all channels, with a bound for what they have together. When it is
    too much, one of the largest gives its oldest message away: so many small ones lose
    nothing because of a large one.

    To note a change takes the same time however many there are. The largest are those
    whose sizes have as many binary digits as any: of two of these, none is more than
    twice as large as the other.

    :param most: Bytes that they may have.
    :ivar size: Bytes that they have.
    """

    _most: int
    size: int = field(default=0, init=False)
    _sizes: dict[Channel, int] = field(factory=dict, init=False)

    #: By the number of digits of their sizes; of each, who came first comes first.
    _by_digits: defaultdict[int, dict[Channel, None]] = field(
        factory=lambda: defaultdict(dict), init=False
    )

    def note(self, state: Channel) -> None:
        """What a channel remembers may have changed."""
        self._weigh(state, state.history.weight)
        while self.size > self._most:
            largest = next(iter(self._by_digits[max(self._by_digits)]))
            largest.history.shrink()
            self._weigh(largest, largest.history.weight)

    def forget(self, state: Channel) -> None:
        """A channel is no more."""
        self._weigh(state, 0)

    def _weigh(self, state: Channel, size: int) -> None:
        before = self._sizes.get(state, 0)
        if size == before:
            return
        self.size += size - before
        digits = before.bit_length()
        if size.bit_length() != digits:
            self._move(state, digits, size.bit_length())
        if size:
            self._sizes[state] = size
        else:
            del self._sizes[state]

    def _move(self, state: Channel, before: int, digits: int) -> None:
        if before:
            del self._by_digits[before][state]
            if not self._by_digits[before]:
                del self._by_digits[before]
        if digits:
            self._by_digits[digits][state] = None
