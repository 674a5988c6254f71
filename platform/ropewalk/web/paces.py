# -*- test-case-name: tests.test_intake -*-
"""
Whether the body of a stream of HTTP/2 comes fast enough, while somebody reads it: one
thread that waits for ever is one thread less.
"""

from __future__ import annotations

from typing import Any

from ropewalk.web.intake import Intake
from ropewalk.web.problems import Refused

__all__ = ["Pace"]


class Pace:
    """
    Refuses a body that comes slower than the limits of the site let it. The time in
    which nobody takes more of it does not count.

    :param intake: The body of the request.
    """

    __slots__ = ("_began", "_held", "_intake", "_request", "_site")

    def __init__(self, request: Any, intake: Intake) -> None:
        self._request, self._intake = request, intake
        self._site = request.site
        self._began = self._site.seconds()
        self._held: float | None = None
        if self._site.limits.body_floor:
            self._site.deadlines.watch(self)

    def hold(self, hold: bool) -> None:
        """The client waits; or it does no longer."""
        now = self._site.seconds()
        if hold:
            self._held = now
        elif self._held is not None:
            self._began += now - self._held
            self._held = None

    def check(self, now: float) -> None:
        """Do what is due."""
        limits, intake = self._site.limits, self._intake
        if intake.ended:
            self._site.deadlines.forget(self)
        elif self._held is None:
            allowed = limits.body_patience + intake.came / limits.body_floor
            if now - self._began >= allowed:
                self._request.refuse(Refused(408, "the body comes too slowly"))
