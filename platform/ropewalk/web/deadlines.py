# -*- test-case-name: tests.test_deadlines -*-
"""
Deadlines of many connections, looked at once a second: to set one costs nothing.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

__all__ = ["Deadlines", "Mortal"]


class Mortal(Protocol):
    """What has deadlines."""

    def check(self, now: float) -> None:
        """Do what is due."""


class Deadlines:
    """
    :param clock: Where time comes from.
    :cvar every: Seconds between two looks: how late they may be.

    One that raises is logged, and harms no other.
    """

    every = 1.0

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._watched: dict[Mortal, None] = {}
        self._next: IDelayedCall | None = None

    def watch(self, mortal: Mortal) -> None:
        """Look at it from now on."""
        self._watched[mortal] = None
        if self._next is None:
            self._next = self._clock.callLater(self.every, self._look)

    def forget(self, mortal: Mortal) -> None:
        """Do no longer."""
        self._watched.pop(mortal, None)
        if not self._watched and self._next is not None:
            self._next.cancel()
            self._next = None

    def _look(self) -> None:
        self._next = self._clock.callLater(self.every, self._look)
        now = self._clock.seconds()
        for each in list(self._watched):
            try:
                each.check(now)
            except Exception:
                self._log.failure("{each} could not do what is due", each=each)
