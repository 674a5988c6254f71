# -*- test-case-name: tests.test_hub_bounds -*-
"""
Who is away, in all channels together.
"""

from __future__ import annotations

from collections import defaultdict

from attrs import define, field

from ropewalk.hub.shares import Bounds, Maker

__all__ = ["Absent", "Seat"]

#: A channel, and the name of somebody who is present there.
Seat = tuple[str, str]


@define(eq=False)
class Absent:
    """
    Those who are away, with a bound for how many there are: of one caller, and of all.
    When there are too many, who went first is not waited for any longer.

    :param bounds: How many there may be.
    """

    _bounds: Bounds

    #: By where they were; who went first comes first.
    _makers: dict[Seat, Maker] = field(factory=dict, init=False)
    _by_maker: defaultdict[Maker, dict[Seat, None]] = field(
        factory=lambda: defaultdict(dict), init=False
    )

    def add(self, seat: Seat, maker: Maker) -> Seat | None:
        """
        Somebody goes, and is waited for.

        :param maker: Who had them come; ``None`` for a service.
        :return: who has to leave.
        """
        self._makers[seat] = maker
        mine = self._by_maker[maker]
        mine[seat] = None
        if maker is not None and len(mine) > self._bounds.from_one:
            return next(iter(mine))
        if len(self._makers) > self._bounds.away:
            return next(iter(self._makers))
        return None

    def discard(self, seat: Seat) -> None:
        """Somebody is back, or has left; who was not away is neither."""
        if seat not in self._makers:
            return
        maker = self._makers.pop(seat)
        del self._by_maker[maker][seat]
        if not self._by_maker[maker]:
            del self._by_maker[maker]
