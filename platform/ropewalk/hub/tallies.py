# -*- test-case-name: tests.test_hub_losses -*-
"""
Where it is counted what subscribers did not take.
"""

from __future__ import annotations

from collections.abc import Callable

from ropewalk.interfaces import Losses

__all__ = ["Ledger", "Tallies"]


class Ledger(Losses, eq=False, kw_only=True):
    """
    The losses of a hub, and with them those of each channel.

    :ivar of: The losses of a channel; ``None`` when there is no such channel.
    """

    of: Callable[[str], Losses | None]

    def lose(
        self, channel: str, *, dropped: int = 0, replaced: int = 0, cut: int = 0
    ) -> None:
        """See :meth:`ropewalk.interfaces.Losses.lose`."""
        super().lose(channel, dropped=dropped, replaced=replaced, cut=cut)
        there = self.of(channel)
        if there is not None:
            there.lose(channel, dropped=dropped, replaced=replaced, cut=cut)


class Tallies:
    """
    What one subscriber counts, for itself and for all who want to know: how it keeps
    what :class:`~ropewalk.interfaces.ITallied` promises.

    :ivar own: What it has lost.
    """

    __slots__ = ("_others", "own")

    def __init__(self) -> None:
        self.own = Losses()
        self._others: list[Losses] = []

    def add(self, losses: Losses) -> None:
        """Count there, too, from now on; once, however often it is said."""
        if not any(known is losses for known in self._others):
            self._others.append(losses)

    def lose(
        self, channel: str, *, dropped: int = 0, replaced: int = 0, cut: int = 0
    ) -> None:
        """As :meth:`ropewalk.interfaces.Losses.lose`, everywhere."""
        for losses in (self.own, *self._others):
            losses.lose(channel, dropped=dropped, replaced=replaced, cut=cut)
