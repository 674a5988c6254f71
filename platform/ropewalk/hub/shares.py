# -*- test-case-name: tests.test_hub_bounds -*-
"""
Some of the channels: those there are, those of one rule, those that one caller has
begun.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

from attrs import define, field
from msgspec import Struct

__all__ = ["Bounds", "Maker", "Share"]

#: Who begins a channel, or has somebody come into one, as callers are told apart;
#: ``None`` for a service.
Maker = tuple[str, str] | None


class Bounds(Struct, frozen=True):
    """
    How much a hub may have.

    :ivar subscribers: How many subscribers a channel may have, and a pattern.
    :ivar channels: How many channels there may be, and how many patterns.
    :ivar from_one: How many of the channels one caller may have begun, and how many
        people it may have who are away.
    :ivar away: How many people may be away, in all channels together.
    :ivar history: Bytes of JSON that all histories may have together, so far as
        somebody counts.
    """

    subscribers: int = 10_000
    channels: int = 10_000
    from_one: int = 1000
    away: int = 10_000
    history: int = 256 * 1024 * 1024

    @property
    def open(self) -> int:
        """
        How many channels a rule has that lets callers in and does not say; how many
        patterns callers have.
        """
        return (self.channels + 1) // 2


@define(eq=False)
class Share:
    """
    Counts channels, and knows those of them that nobody is in.
    """

    _count: int = field(default=0, init=False)

    #: The longest quiet one first.
    _idle: OrderedDict[str, None] = field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        return self._count

    def add(self, name: str) -> None:
        """One more, that nobody is in."""
        self._count += 1
        self._idle[name] = None

    def discard(self, name: str) -> None:
        """One less."""
        self._count -= 1
        self._idle.pop(name, None)

    def happened(self, name: str) -> None:
        """Something has happened in one of them."""
        if name in self._idle:
            self._idle.move_to_end(name)

    def occupy(self, name: str) -> None:
        """Somebody is in one of them."""
        self._idle.pop(name, None)

    def vacate(self, name: str) -> None:
        """Nobody is in one of them any more."""
        self._idle[name] = None

    def quietest(self, but: Collection[str] = ()) -> str | None:
        """
        The one that nobody is in and nothing has happened in for longest.

        :param but: Names of such that are not meant.
        """
        return next((name for name in self._idle if name not in but), None)

    def names(self) -> tuple[str, ...]:
        """Those that nobody is in, the longest quiet one first."""
        return tuple(self._idle)
