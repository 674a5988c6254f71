# -*- test-case-name: tests.test_lifecycle -*-
"""
Starting services one after another and waiting for each; stopping them in
reverse. The lifetime is Twisted's ``IService``, but what ``startService``
returns is waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import CancelledError, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.awaiting import inlineCallbacks, run, within
from ropewalk.errors import RopewalkError, StartFailed
from ropewalk.interfaces import Steps
from ropewalk.telemetry import working

__all__ = ["Lifecycle", "Unit"]


class Unit(Struct, frozen=True, eq=False):
    """
    A plugin's service, and how long it may take.

    :ivar name: The plugin's name.
    :ivar service: Its service. The children of a ``MultiService`` are started
        one after another, each waited for.
    :ivar start_within: Seconds to start.
    :ivar stop_within: Seconds to stop.
    """

    name: str
    service: IService
    start_within: float
    stop_within: float


class Lifecycle:
    """
    The services of one daemon.

    :param units: In the order in which to start them.
    :param clock: Where time comes from.
    """

    __slots__ = ("_at", "_clock", "_half", "_started", "_units")

    _log = Logger()

    def __init__(self, units: Sequence[Unit], clock: IReactorTime) -> None:
        self._units, self._clock = units, clock
        self._started: list[Unit] = []
        self._at: dict[str, Any] = {}
        self._half: list[tuple[Unit, Any]] = []

    @property
    def started(self) -> tuple[str, ...]:
        """The names of the services that have started, in that order."""
        return tuple(unit.name for unit in self._started)

    @inlineCallbacks
    def start(self) -> Steps[None]:
        """
        Start each service when the one before it has.

        :return: fires when all have started.
        :raise StartFailed: With the first that did not. What had started is
            still to be stopped.
        """
        for unit in self._units:
            with working(plugin=unit.name):
                yield self._start(unit)
            self._started.append(unit)

    @inlineCallbacks
    def stop(self) -> Steps[tuple[str, ...]]:
        """
        Stop what has started, in reverse order, each when the one before has.
        What does not stop in time, or fails to, is logged and left behind.

        :return: fires with what was left behind, by name.
        """
        left: list[str] = []
        # Of a unit that came to half of its start, the half that runs.
        while self._half or self._started:
            if self._half:
                unit, service = self._half.pop()
            else:
                unit = self._started.pop()
                service = unit.service
            with working(plugin=unit.name):
                stopped: bool = yield self._stop(unit, service)
            if not stopped and unit.name not in left:
                left.append(unit.name)
        return tuple(left)

    @inlineCallbacks
    def _start(self, unit: Unit) -> Steps[None]:
        try:
            yield within(
                unit.start_within, self._start_tree(unit, unit.service), self._clock
            )
        except TimeoutError:
            where = _spoken(self._at.get(unit.name))
            reason = f"still starting after {unit.start_within:g} seconds, in {where}"
            raise StartFailed(unit.name, reason) from None
        except CancelledError:
            raise
        except Exception as error:
            where = _spoken(self._at.get(unit.name))
            if not isinstance(error, RopewalkError):
                self._log.failure("{where} failed", where=where)
            reason = str(error) or type(error).__name__
            if not isinstance(error, RopewalkError):
                reason = f"{where}: {type(error).__name__}: {error}"
            raise StartFailed(unit.name, reason) from error

    @inlineCallbacks
    def _start_tree(self, unit: Unit, service: Any) -> Steps[None]:
        if not _is_plain_group(service):
            self._at[unit.name] = service
            yield run(service.startService)
            if service is not unit.service:
                self._half.append((unit, service))
            return
        Service.startService(service)
        before = len(self._half)
        for child in list(service):
            yield self._start_tree(unit, child)
        # All of it runs: from now on it is stopped as a whole.
        del self._half[before:]
        if service is not unit.service:
            self._half.append((unit, service))

    @inlineCallbacks
    def _stop(self, unit: Unit, service: Any) -> Steps[bool]:
        try:
            yield within(unit.stop_within, self._stop_tree(unit, service), self._clock)
        except TimeoutError:
            self._log.error(
                "{service} did not stop within {seconds:g} seconds: left behind in "
                "{where}",
                service=unit.name,
                seconds=unit.stop_within,
                where=_spoken(self._at.get(unit.name)),
            )
            return False
        except CancelledError:
            raise
        except Exception:
            self._log.failure(
                "{service} failed while stopping, in {where}",
                service=unit.name,
                where=_spoken(self._at.get(unit.name)),
            )
            return False
        return True

    @inlineCallbacks
    def _stop_tree(self, unit: Unit, service: Any) -> Steps[None]:
        if not _is_plain_group(service):
            self._at[unit.name] = service
            yield run(service.stopService)
            return
        failures: list[Failure] = []
        for child in reversed(list(service)):
            if child.running:
                # One that fails does not keep the others from being stopped.
                yield self._stop_tree(unit, child).addErrback(failures.append)
        Service.stopService(service)
        if failures:
            failures[0].raiseException()


def _is_plain_group(service: Any) -> bool:
    """
    Whether a service does nothing on starting but start its children. One that
    does more is left to do it its own way.
    """
    kind = type(service)
    return (
        isinstance(service, MultiService)
        and kind.startService is MultiService.startService
        and kind.stopService is MultiService.stopService
    )


def _spoken(service: Any) -> str:
    name = getattr(service, "name", None)
    kind = type(service).__name__
    return f"{kind} {name!r}" if name else kind
