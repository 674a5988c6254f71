# -*- test-case-name: tests.test_telemetry -*-
"""
What happens in the daemon is recorded here and read elsewhere: whose work is
being done (for the log), whether the services are well (for ``/health``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, Protocol

from attrs import Factory, define, frozen
from msgspec import Struct
from msgspec.structs import replace
from zope.interface import implementer

from ropewalk.errors import Conflict
from ropewalk.interfaces import IHealth

__all__ = ["Check", "Doing", "Health", "Work", "WorkVariable", "work", "working"]


class Work(Struct, frozen=True):
    """
    Whose work is being done.

    :ivar plugin: The service's name.
    :ivar connection: The connection's name: ``"c17"``.
    :ivar request: The request's name: ``"r42"``.
    """

    plugin: str | None = None
    connection: str | None = None
    request: str | None = None


class Doing(Protocol):
    """
    What is done, and knows in whose name: a request, say.

    :ivar work: In whose; worked out when somebody asks.
    """

    @property
    def work(self) -> Work: ...


class WorkVariable:
    """
    A context variable that has a :class:`Work`, or something that is :class:`Doing`
    one: most that is done ends before anybody asks.
    """

    def __init__(self) -> None:
        self.variable: ContextVar[Work | Doing] = ContextVar("work")
        #: Say what is done from now on: as ``ContextVar.set``.
        self.set: Callable[[Work | Doing], Token[Work | Doing]] = self.variable.set
        #: As ``ContextVar.reset``.
        self.reset: Callable[[Token[Work | Doing]], None] = self.variable.reset

    def get(self) -> Work:
        """In whose name the running code does what it does."""
        doing = self.variable.get(_NOBODYS)
        return doing if isinstance(doing, Work) else doing.work

    def doing(self) -> Any:
        """What was set last."""
        return self.variable.get(_NOBODYS)


_NOBODYS = Work()

#: Whose work the running code does. A context variable follows
#: ``inlineCallbacks`` and ``async def``; it does not follow Twisted's later
#: calls, which are nobody's work unless they are handed over as
#: ``copy_context().run, function``.
work = WorkVariable()


@contextmanager
def working(**changes: str | None) -> Iterator[Work]:
    """
    Say whose work is done inside the ``with`` block; what is not named stays.

    :param changes: Fields of :class:`Work`.
    :return: for ``as``, whose work it is.
    """
    now = replace(work.get(), **changes)
    token = work.set(now)
    try:
        yield now
    finally:
        work.reset(token)


class Check(Struct, frozen=True):
    """
    One question about the health of a service.

    :ivar plugin: Whose it is.
    :ivar name: What is asked about.
    :ivar ask: Returns ``None`` while all is well, otherwise why not; or an
        awaitable of these.
    :ivar place: Where the question was put, ``file:line``.
    """

    plugin: str
    name: str
    ask: Callable[[], Any]
    place: str = ""


@define
class Health:
    """
    The health checks of one daemon.
    """

    _checks: dict[tuple[str, str], Check] = Factory(dict)

    def add(self, check: Check) -> None:
        """
        Ask this from now on.

        :raise Conflict: When the plugin has a check of this name already.
        """
        known = self._checks.setdefault((check.plugin, check.name), check)
        if known is not check:
            first, second = (
                f"service {each.plugin!r} ({each.place})" for each in (known, check)
            )
            raise Conflict(f"the health check {check.name!r}", first, second)

    def of(self, plugin: str) -> IHealth:
        """The checks as one plugin sees them."""
        return _PluginHealth(plugin, self)

    def __iter__(self) -> Iterator[Check]:
        """The checks, in the order in which they were added."""
        return iter(tuple(self._checks.values()))


@implementer(IHealth)
@frozen
class _PluginHealth:
    _plugin: str
    _health: Health

    def add(self, name: str, check: Callable[[], Any]) -> None:
        asker = sys._getframe(1)
        place = f"{asker.f_code.co_filename}:{asker.f_lineno}"
        self._health.add(Check(self._plugin, name, check, place))
