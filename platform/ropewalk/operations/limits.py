# -*- test-case-name: tests.test_operations -*-
"""
How often somebody may call something.
"""

from __future__ import annotations

import re

from msgspec import Struct

from ropewalk.interfaces import Caller

__all__ = ["Limit", "Rate"]

_RATE = re.compile(r"([1-9][0-9]{0,8})/([smhd])")

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

#: Callers that are remembered, each in some hundred bytes.
_CALLERS = 10_000

#: What adding seconds to seconds may get wrong.
_ROUNDING = 1e-6


class Rate(Struct, frozen=True):
    """
    So many calls in so many seconds.
    """

    calls: int
    seconds: float

    @classmethod
    def read(cls, text: str) -> Rate:
        """
        Read ``"10/s"``, ``"100/m"``, ``"1000/h"`` or ``"5000/d"``: in a second, a
        minute, an hour, a day.

        :raise ValueError: When it is none of these.
        """
        found = _RATE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no rate; write one like '10/s' or '100/m'")
        return cls(int(found[1]), _SECONDS[found[2]])


class Limit:
    """
    Counts the calls of one operation, for each caller apart.

    Who has not called for long may call as often at once as the rate says for its
    whole time; from then on as calls become free, one after the other: a bucket of
    tokens. Who is one caller, :attr:`ropewalk.interfaces.Caller.counts_as` says.

    :param most: How many callers are remembered. One more, and the one who has not
        called for longest is forgotten, and may call as if for the first time.
    """

    def __init__(self, rate: Rate, most: int = _CALLERS) -> None:
        self._rate = rate
        self._every = rate.seconds / rate.calls
        self._most = most
        # When each caller's bucket will be full again; who called last is last.
        self._full_at: dict[tuple[str, str], float] = {}

    def take(self, caller: Caller, now: float) -> float:
        """
        Count a call, if there is room for it.

        :param now: Seconds, by a clock that only goes forward.
        :return: 0 if there is; otherwise the seconds until there will be.
        """
        key = caller.counts_as
        full_at = max(self._full_at.pop(key, now), now)
        missing = full_at + self._every - now - self._rate.seconds
        if missing > _ROUNDING:
            self._full_at[key] = full_at
            return missing
        self._full_at[key] = full_at + self._every
        if len(self._full_at) > self._most:
            del self._full_at[next(iter(self._full_at))]
        return 0.0

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._full_at)
