# -*- test-case-name: tests.test_authority -*-
"""
Who is asked what callers may do: one for all of a daemon.
"""

from __future__ import annotations

from collections.abc import Awaitable

from zope.interface import implementer

from ropewalk.errors import Conflict
from ropewalk.interfaces import Caller, IAuthoriser

__all__ = ["Authority"]


@implementer(IAuthoriser)
class Authority:
    """
    Asks the authoriser that a service has named. Until one has, nobody may do what
    takes anything.
    """

    def __init__(self) -> None:
        self._authoriser: IAuthoriser | None = None
        self._place = ""

    @property
    def named(self) -> bool:
        """Whether one has."""
        return self._authoriser is not None

    def name(self, authoriser: IAuthoriser, place: str) -> None:
        """
        Ask this one from now on.

        :param place: Who says so, and where in their source.
        :raise Conflict: When somebody has named one already.
        """
        if self._authoriser is not None:
            raise Conflict("saying who may do what", self._place, place)
        self._authoriser, self._place = authoriser, place

    def permits(
        self, caller: Caller, requirement: str, what: str
    ) -> bool | Awaitable[bool]:
        """See :meth:`ropewalk.interfaces.IAuthoriser.permits`."""
        if self._authoriser is None:
            return False
        return self._authoriser.permits(caller, requirement, what)
