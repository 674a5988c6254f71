# -*- test-case-name: tests.test_telemetry -*-
"""
What happens in the daemon is recorded here and read elsewhere: whose work is
being done (for the log), whether the services are well (for ``/health``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from attrs import Factory, define, evolve, frozen
from zope.interface import implementer

from ropewalk.errors import Conflict
from ropewalk.interfaces import IHealth

__all__ = ["Check", "Health", "Work", "work", "working"]


@frozen
class Work:
    """
    Whose work is being done.

    :ivar plugin: The service's name.
    :ivar connection: The connection's name: ``"c17"``.
    :ivar request: The request's name: ``"c17.3"``.
    """

    plugin: str | None = None
    connection: str | None = None
    request: str | None = None


#: Whose work the running code does. Context variables follow
#: ``inlineCallbacks``, ``async def`` and, on the asyncio reactor, later calls.
work: ContextVar[Work] = ContextVar("work", default=Work())  # noqa: B039


@contextmanager
def working(**changes: str | None) -> Iterator[Work]:
    """
    Say whose work is done inside the ``with`` block; what is not named stays.

    :param changes: Fields of :class:`Work`.
    """
    now = evolve(work.get(), **changes)
    token = work.set(now)
    try:
        yield now
    finally:
        work.reset(token)


@frozen
class Check:
    """
    One question about the health of a service.

    :ivar plugin: Whose it is.
    :ivar name: What is asked about.
    :ivar ask: Returns ``None`` while all is well, otherwise why not; or an
        awaitable of these.
    """

    plugin: str
    name: str
    ask: Callable[[], Any]


@define
class Health:
    """
    The health checks of one daemon.
    """

    _checks: dict[tuple[str, str], Check] = Factory(dict)

    def add(self, plugin: str, name: str, ask: Callable[[], Any]) -> None:
        """
        Ask this from now on.

        :raise Conflict: When the plugin has a check of this name already.
        """
        if (plugin, name) in self._checks:
            raise Conflict(f"the health check {name!r}", plugin, plugin)
        self._checks[plugin, name] = Check(plugin, name, ask)

    def of(self, plugin: str) -> IHealth:
        """The checks as one plugin sees them."""
        return _PluginHealth(plugin, self)

    def __iter__(self) -> Iterator[Check]:
        """The checks, in the order in which they were added."""
        return iter(list(self._checks.values()))


@implementer(IHealth)
@frozen
class _PluginHealth:
    _plugin: str
    _health: Health

    def add(self, name: str, check: Callable[[], Any]) -> None:
        self._health.add(self._plugin, name, check)
