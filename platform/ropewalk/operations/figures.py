# -*- test-case-name: tests.test_operations -*-
"""
How often operations were called, how that ended, and how long it took.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field
from msgspec import Struct
from twisted.internet.defer import CancelledError

from ropewalk.errors import RopewalkError

__all__ = ["OUTCOMES", "Count", "Figures", "outcome_of"]

#: How a call may end. ``"refused"`` is what the operation refuses by an error of its
#: own, ``"failed"`` what is our fault.
OUTCOMES = (
    "ok",
    "invalid",
    "forbidden",
    "limited",
    "timed out",
    "cancelled",
    "refused",
    "failed",
)

_BY_STATUS = {
    400: "invalid",
    403: "forbidden",
    422: "invalid",
    429: "limited",
    500: "failed",
    504: "timed out",
}


def outcome_of(error: BaseException) -> str:
    """How a call ended that ended with an error: one of :data:`OUTCOMES`."""
    if isinstance(error, CancelledError):
        return "cancelled"
    if isinstance(error, RopewalkError):
        return _BY_STATUS.get(error.status, "refused")
    return "failed"


class Figures(Struct, frozen=True):
    """
    What was counted of one operation since the daemon began.

    :ivar calls: How many calls have ended.
    :ivar running: How many have begun and not ended.
    :ivar outcomes: How many ended how, by :data:`OUTCOMES`; those that did not occur
        are left out.
    :ivar seconds: How long all of them took together.
    """

    calls: int
    running: int
    outcomes: Mapping[str, int]
    seconds: float


@define(eq=False)
class Count:
    """
    Counts the calls of one operation.
    """

    running: int = 0
    _calls: int = 0
    _outcomes: dict[str, int] = field(factory=dict)
    _seconds: float = 0.0

    def ended(self, outcome: str, seconds: float) -> None:
        """Note the end of a call that was running."""
        self.running -= 1
        self._calls += 1
        self._seconds += seconds
        self._outcomes[outcome] = self._outcomes.get(outcome, 0) + 1

    def figures(self) -> Figures:
        """What was counted so far."""
        return Figures(self._calls, self.running, {**self._outcomes}, self._seconds)
