# -*- test-case-name: tests.test_reload -*-
"""
New settings for a running daemon (SIGHUP): read, compared, given to those who
can take them. What only a restart can change is said; what is wrong changes
nothing.
"""

from __future__ import annotations

import copy
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredLock, TimeoutError
from twisted.logger import Logger

from ropewalk.awaiting import inlineCallbacks, run, within
from ropewalk.errors import BadSettings, RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.run.configuration import Plan
from ropewalk.run.host import Host
from ropewalk.run.lifecycle import Unit
from ropewalk.schema.words import spell
from ropewalk.settings import Change, differences
from ropewalk.telemetry import working
from ropewalk.web.limits import HttpLimits

__all__ = ["Reloaded", "Reloader"]

_LIMITS = {f"limits.{each.name}" for each in msgspec.structs.fields(HttpLimits)}

#: What the daemon itself can change while it runs; of ``web``, of each site.
_LIVE = {
    "host": {"log_level", "drain_delay"},
    "web": {"access_log", "longest_body", *_LIMITS},
    "operations": {"log"},
    "hub": set(),
}

_SITE = re.compile(r"sites\.[^.]*\.")


class Reloaded(Struct, frozen=True):
    """
    What became of one change.

    :ivar change: The key, its old and its new value; ``None`` when a whole
        table came or went.
    :ivar applied: Whether it is in force; otherwise it needs a restart.
    :ivar gone: Of a whole table, whether it went.
    """

    table: str
    change: Change | None
    applied: bool
    gone: bool = False

    def __str__(self) -> str:
        what = f"[{self.table}]"
        if self.change is None:
            return f"{what} {'is gone' if self.gone else 'is new'}: needs a restart"
        what += f" {self.change.key}: {self.change.old} → {self.change.new}"
        return f"{what}: {'in force' if self.applied else 'needs a restart'}"


#: What a key has that is not there.
_ABSENT = object()


class _Refused(Exception):
    """A service does not take its new settings; the log has why."""


class Reloader:
    """
    Brings new settings to a host.

    :param host: The host.
    :param read: Reads the settings file again.
    :param apply: Puts a plan in force: what of the new one can be.
    """

    __slots__ = ("_apply", "_host", "_read", "_secrets", "_turn")

    _log = Logger()

    def __init__(
        self, host: Host, read: Callable[[], Plan], apply: Callable[[Plan], None]
    ) -> None:
        self._host, self._read, self._apply = host, read, apply
        self._turn = DeferredLock()
        self._secrets: defaultdict[str, set[str]] = defaultdict(set)

    def reload(self) -> Deferred[tuple[Reloaded, ...]]:
        """
        Read the settings and apply what can be applied; one reload after
        another. It never fails: a file with a fault is reported and changes
        nothing, and when a service refuses its new settings (or takes longer
        for them than it may take to start), it and those that had taken theirs
        get the old back, the last first.

        :return: fires with what became of each change.
        """
        return self._turn.run(self._reload)

    @inlineCallbacks
    def _reload(self) -> Steps[tuple[Reloaded, ...]]:
        try:
            plan = self._read()
        except BadSettings as error:
            self._log.error(
                "the settings were not reloaded; nothing changes:\n{faults}",
                faults=str(error),
            )
            return ()
        except Exception:
            self._log.failure("the settings were not reloaded; nothing changes")
            return ()
        taken: list[tuple[Unit, Any, Any]] = []
        try:
            report: list[Reloaded] = yield self._bring(plan, taken)
        except Exception as error:
            if not isinstance(error, _Refused):
                self._log.failure("the settings could not be reloaded")
            yield self._give_back(taken)
            self._log.error("the settings were not reloaded: the old ones are in force")
            return ()
        for each in report:
            log = self._log.info if each.applied else self._log.warn
            log("{reloaded}", reloaded=str(each))
        if not report:
            self._log.info("the settings were read again: nothing has changed")
        return tuple(report)

    @inlineCallbacks
    def _bring(
        self, plan: Plan, taken: list[tuple[Unit, Any, Any]]
    ) -> Steps[list[Reloaded]]:
        report: list[Reloaded] = []
        in_force = {name: value for name, _, value in self._host.plan.tables()}
        wanted = {name: value for name, _, value in plan.tables()}
        units = {unit.name: unit for unit in self._host.units}
        for table in {**in_force, **wanted}:
            if table not in wanted or table not in in_force:
                report.append(Reloaded(table, None, False, gone=table not in wanted))
                continue
            old, new = in_force[table], wanted[table]
            changes = differences(old, new, self._secret(table, plan))
            if not changes:
                continue
            if table in _LIVE:
                later: Collection[str] = {
                    each.key for each in changes if not _is_live(table, each.key)
                }
            else:
                later = yield self._reconfigure(units[table], old, new, taken)
            waiting = {each.key for each in changes if _among(each.key, later)}
            # What waits for a restart is still as it was: the next reload says
            # again that it waits.
            in_force[table] = _mixed(old, new, waiting)
            # A table that is new as a whole waits as a whole.
            still = {each.key for each in differences(in_force[table], new)}
            report += [Reloaded(table, each, each.key not in still) for each in changes]
        self._apply(self._host.plan.with_values(in_force))
        return report

    def _secret(self, table: str, plan: Plan) -> set[str]:
        """
        The keys of a table that are, or ever were, secrets: what waits for a
        restart may have been one some reloads ago.
        """
        secrets = self._secrets[table]
        for each in (self._host.plan, plan):
            shapes = {name: shape for name, shape, _ in each.tables()}
            shown = each.document.show(table, shapes[table])
            secrets.update(setting.name for setting in shown if setting.hidden)
        return secrets

    @inlineCallbacks
    def _reconfigure(
        self, unit: Unit, old: Any, new: Any, taken: list[tuple[Unit, Any, Any]]
    ) -> Steps[Collection[str]]:
        """The keys that need a restart, all if nobody takes part."""
        parts = _taking_part(unit.service)
        if not parts:
            return {"*"}
        later: set[str] = set()
        for part in parts:
            # Before, as one that refuses may have come half way.
            taken.append((unit, part, old))
            names: Collection[str] = yield self._tell(unit, part, new)
            # Several services of one plugin: what one of them applied is in
            # force only if none of them says it needs a restart.
            later.update(names)
        return self._spelled(unit, later, new)

    @inlineCallbacks
    def _tell(self, unit: Unit, part: Any, settings: Any) -> Steps[Collection[str]]:
        clock = self._host.reactor
        with working(plugin=unit.name):
            try:
                told = run(part.reconfigure, settings)
                names: Any = yield within(unit.start_within, told, clock)
                return (names,) if isinstance(names, str) else tuple(names or ())
            except TimeoutError:
                self._log.error(
                    "{service} did not take its settings within {seconds:g} seconds",
                    service=unit.name,
                    seconds=unit.start_within,
                )
            except RopewalkError as error:
                self._log.error(
                    "{service} refuses its settings: {error}",
                    service=unit.name,
                    error=str(error),
                )
            except Exception:
                self._log.failure(
                    "{service} could not take its settings", service=unit.name
                )
        raise _Refused

    @inlineCallbacks
    def _give_back(self, taken: Sequence[tuple[Unit, Any, Any]]) -> Steps[None]:
        for unit, part, old in reversed(taken):
            try:
                yield self._tell(unit, part, old)
            except _Refused:
                self._log.error(
                    "{service} did not take its old settings back: restart the daemon",
                    service=unit.name,
                )

    def _spelled(self, unit: Unit, names: Collection[str], settings: Any) -> set[str]:
        """Names of settings, as the settings file has them."""
        fields = {
            each.name: spell([each.encode_name])
            for each in msgspec.structs.fields(settings)
        }
        spelled = {fields.get(name, name) for name in names}
        for name in sorted(spelled):
            if not any(_among(name, [each]) for each in fields.values()):
                self._log.warn(
                    "{service} says that {name} needs a restart, but there is no "
                    "such setting",
                    service=unit.name,
                    name=name,
                )
        return spelled


def _is_live(table: str, key: str) -> bool:
    """Whether the daemon itself can change a key of its own while it runs."""
    return _SITE.sub("", key, count=1) in _LIVE[table]


def _taking_part(service: Any) -> list[Any]:
    """A service, or the children of a group, that have ``reconfigure``."""
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


def _mixed(
    old: Any, new: Any, waiting: Collection[str], steps: tuple[str, ...] = ()
) -> Any:
    """
    The new value, but for some keys that are as they were.
    """
    here = [key for key in waiting if not steps or _among(key, [spell(steps)])]
    if not here:
        return new
    if isinstance(new, msgspec.Struct) and type(old) is type(new):
        # Not `replace`, which would ask the shape whether this makes sense: both
        # the old and the new do, and this is what there is.
        mixed = copy.copy(new)
        for each in msgspec.structs.fields(new):
            was, will = getattr(old, each.name), getattr(new, each.name)
            part = _mixed(was, will, here, (*steps, each.encode_name))
            msgspec.structs.force_setattr(mixed, each.name, part)
        return mixed
    if isinstance(old, dict) and isinstance(new, dict):
        parts = {
            key: _mixed(
                old.get(key, _ABSENT), new.get(key, _ABSENT), here, (*steps, str(key))
            )
            for key in {**old, **new}
        }
        return {key: part for key, part in parts.items() if part is not _ABSENT}
    return old
