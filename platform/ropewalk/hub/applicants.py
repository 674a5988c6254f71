# -*- test-case-name: tests.test_hub -*-
"""
Those of whom it is not decided yet whether they may subscribe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred

from ropewalk.interfaces import ISubscriber, Resumed

__all__ = ["Applicants"]

T = TypeVar("T")


@define(eq=False)
class _Applicant:
    """
    :ivar waits: Whether it still wants to come.
    """

    coming: Deferred[Resumed] = field(init=False)
    waits: bool = field(default=True, init=False)


@define(eq=False)
class Applicants:
    """
    Subscribers that wait to be let in, each by what it wants to hear.
    """

    _waiting: dict[tuple[str, int], list[_Applicant]] = field(factory=dict, init=False)

    def admit(
        self,
        channel: str,
        subscriber: ISubscriber,
        allowed: Deferred[T],
        come: Callable[[T], Resumed],
    ) -> Deferred[Resumed]:
        """
        Let somebody in when that is allowed, unless it goes before.

        :param allowed: Fires when it is allowed, or fails.
        :param come: Called with what it fired with.
        """
        applicant = _Applicant()
        key = channel, id(subscriber)
        waiting = self._waiting.setdefault(key, [])
        waiting.append(applicant)

        def enter(permission: T) -> Resumed:
            # Who was asked may have decided though it was told not to.
            if not applicant.waits:
                raise CancelledError
            return come(permission)

        def decided(outcome: Any) -> Any:
            waiting.remove(applicant)
            if not waiting:
                del self._waiting[key]
            return outcome

        applicant.coming = allowed.addBoth(decided).addCallback(enter)
        return applicant.coming

    def withdraw(self, channel: str, subscriber: ISubscriber) -> None:
        """
        Somebody does not want to come any more.
        """
        for applicant in tuple(self._waiting.get((channel, id(subscriber)), ())):
            applicant.waits = False
            applicant.coming.cancel()
