# -*- test-case-name: tests.test_reload -*-
"""
New settings for a running daemon (SIGHUP): read, compared, given to those who
can take them. What only a restart can change is said; what is wrong changes
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from attrs import define, frozen
from twisted.application.service import IService, MultiService
from twisted.logger import Logger

from ropewalk.awaiting import inlineCallbacks, run
from ropewalk.errors import BadSettings, RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.run.configuration import Plan
from ropewalk.run.host import Host
from ropewalk.settings import Change, differences
from ropewalk.telemetry import working

__all__ = ["Reloaded", "Reloader"]

#: What the daemon itself can change while it runs.
_LIVE = {"host": {"log_level", "drain_delay"}, "web": {"access_log", "longest_body"}}


@frozen
class Reloaded:
    """
    What became of one change.

    :ivar change: The key, its old and its new value; ``None`` when a whole
        table came or went.
    :ivar applied: Whether it is in force; otherwise it needs a restart.
    """

    table: str
    change: Change | None
    applied: bool

    def __str__(self) -> str:
        what = f"[{self.table}]"
        if self.change is None:
            return f"{what} came or went: needs a restart"
        what += f" {self.change.key}: {self.change.old} → {self.change.new}"
        return f"{what}: {'in force' if self.applied else 'needs a restart'}"


@define
class Reloader:
    """
    Brings new settings to a host.

    :param host: The host.
    :param read: Reads the settings file again.
    :param apply: Puts a plan in force: what of the new one can be.
    """

    _host: Host
    _read: Callable[[], Plan]
    _apply: Callable[[Plan], None]
    _log = Logger()

    @inlineCallbacks
    def reload(self) -> Steps[tuple[Reloaded, ...]]:
        """
        Read the settings and apply what can be applied. Never raises: a file
        with a fault is reported and changes nothing, and when a service
        refuses its new settings, those that had taken theirs get the old back.

        :return: fires with what became of each change.
        """
        try:
            plan = self._read()
        except BadSettings as error:
            self._log.error(
                "the settings were not reloaded; nothing changes:\n{faults}",
                faults=str(error),
            )
            return ()
        done: list[tuple[Any, Any]] = []
        try:
            report: tuple[Reloaded, ...] = yield self._bring(plan, done)
        except Exception as error:
            if isinstance(error, RopewalkError):
                self._log.error("refused: {error}", error=str(error))
            else:
                self._log.failure("a service could not take its new settings")
            yield self._give_back(done)
            self._log.error("the settings were not reloaded: the old ones are in force")
            return ()
        for each in report:
            self._log.info("{reloaded}", reloaded=str(each))
        if not report:
            self._log.info("the settings were read again: nothing has changed")
        return report

    @inlineCallbacks
    def _bring(
        self, plan: Plan, done: list[tuple[Any, Any]]
    ) -> Steps[tuple[Reloaded, ...]]:
        report: list[Reloaded] = []
        in_force = {name: value for name, _, value in self._host.plan.tables()}
        wanted = {name: value for name, _, value in plan.tables()}
        services = {unit.name: unit.service for unit in self._host.units}
        for table in [*in_force, *(name for name in wanted if name not in in_force)]:
            if table not in wanted or table not in in_force:
                report.append(Reloaded(table, None, False))
                continue
            old, new = in_force[table], wanted[table]
            changes = differences(old, new)
            if not changes:
                continue
            if table in _LIVE:
                later: Collection[str] = {each.key for each in changes} - _LIVE[table]
            else:
                with working(plugin=table):
                    later = yield self._reconfigure(services[table], old, new, done)
            told = [
                Reloaded(table, each, not _among(each.key, later)) for each in changes
            ]
            in_force[table] = _mixed(old, new, told)
            report += told
        self._apply(self._host.plan.with_values(in_force))
        return tuple(report)

    @inlineCallbacks
    def _reconfigure(
        self, service: IService, old: Any, new: Any, done: list[tuple[Any, Any]]
    ) -> Steps[Collection[str]]:
        """The keys that need a restart, all if nobody takes part."""
        parts = _taking_part(service)
        if not parts:
            return {"*"}
        later: set[str] | None = None
        for part in parts:
            done.append((part, old))
            names: Collection[str] | None = yield run(part.reconfigure, new)
            # Several services of one plugin: what one of them applied is in
            # force only if none of them says it needs a restart.
            later = (later or set()) | set(names or ())
        return later or set()

    @inlineCallbacks
    def _give_back(self, done: Sequence[tuple[Any, Any]]) -> Steps[None]:
        for part, old in reversed(done):
            try:
                yield run(part.reconfigure, old)
            except Exception:
                self._log.failure("{part} did not take its old settings", part=part)


def _taking_part(service: Any) -> list[Any]:
    """A service, and the children of a group, that have ``reconfigure``."""
    parts = [service] if callable(getattr(service, "reconfigure", None)) else []
    if not parts and isinstance(service, MultiService):
        for child in service:
            parts += _taking_part(child)
    return parts


def _among(key: str, names: Collection[str]) -> bool:
    """Whether a key, or a table that it is in, is among some names."""
    return "*" in names or any(
        key == name or key.startswith((f"{name}.", f"{name}[")) for name in names
    )


def _mixed(old: Any, new: Any, told: Sequence[Reloaded]) -> Any:
    """
    The settings that are now in force: what waits for a restart is still as it
    was, so that the next reload says again that it waits.
    """
    waiting = {
        re.split(r"[.\[]", each.change.key)[0]
        for each in told
        if each.change is not None and not each.applied
    }
    return msgspec.structs.replace(
        new, **{field: getattr(old, field) for field in waiting}
    )
