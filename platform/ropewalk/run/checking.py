# -*- test-case-name: tests.test_checking -*-
"""
``ropewalk check``: what a settings file says, and what is wrong with it. The
faults are found by what the daemon itself starts with, so that both say the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from ropewalk.errors import BadPlugin, BadSettings, Conflict, SettingFault
from ropewalk.plugin import Broken, Found
from ropewalk.run.columns import align, near
from ropewalk.run.configuration import OURS, Plan, Unset, make_plan
from ropewalk.run.single import open_settings, with_file
from ropewalk.run.statuses import Status
from ropewalk.settings import Document, Setting
from ropewalk.web.hosting.settings import keys_of

__all__ = ["Checked", "Table", "check"]


class Table(Struct, frozen=True):
    """
    A table of the settings, and what is in it.

    :ivar name: Its name.
    :ivar settings: Its values, those by default among them.
    """

    name: str
    settings: tuple[Setting, ...]

    def lines(self) -> Iterator[str]:
        """Each value, as it could stand in the file, and where it came from."""
        width = max((len(each.name) for each in self.settings), default=0)
        rows = [
            (f"{each.name:<{width}} = {each.text}", each.origin)
            for each in self.settings
        ]
        yield from align(rows, indent=2, widest=60)


class Checked(Struct, frozen=True):
    """
    What was found out about a settings file.

    :ivar tables: Those that mean something, whether or not they have faults.
    :ivar faults: What keeps the daemon from starting.
    :ivar broken: Plugin declarations that cannot be read. They keep nobody from
        starting.
    :ivar services: What would run, in the order in which it would start, as the log
        calls it; empty when there are faults.
    """

    tables: tuple[Table, ...]
    faults: tuple[SettingFault, ...]
    broken: tuple[Broken, ...]
    services: tuple[str, ...]

    @property
    def status(self) -> Status:
        """The exit status that says the same."""
        return Status.BAD_SETTINGS if self.faults else Status.STOPPED

    def values(self) -> Iterator[str]:
        """Every value and where it came from, as lines."""
        for table in self.tables:
            yield f"[{table.name}]"
            yield from table.lines()
            yield ""
        if not self.faults:
            running = ", ".join(self.services) or "the web site, with nothing on it"
            yield f"No faults. What would run: {running}."

    def warnings(self, verbose: bool = False) -> Iterator[str]:
        """
        What is broken beside the settings, as lines.

        :param verbose: With the tracebacks.
        """
        for broken in self.broken:
            problem = broken.traceback.rpartition("\n")[2]
            yield f"{near(broken.place)}: this plugin declaration is broken: {problem}"
            if verbose:
                yield broken.traceback

    def plain(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "tables": {
                table.name: [asdict(each) for each in table.settings]
                for table in self.tables
            },
            "faults": [
                {
                    "origin": each.origin,
                    "table": each.table,
                    "key": each.fault.path,
                    "problem": each.fault.problem,
                    "text": str(each),
                }
                for each in self.faults
            ],
            "broken": [asdict(each) for each in self.broken],
            "services": list(self.services),
        }


def check(
    path: str | os.PathLike[str], environ: Mapping[str, str], found: Found
) -> Checked:
    """
    Find out about a settings file. The modules of the services in it are
    imported; nothing is built and nothing is started.

    :param environ: The environment's variables, which are settings too.
    :param found: The plugins that are installed.
    """
    try:
        document = open_settings(path, environ)
    except BadSettings as error:
        return Checked((), error.faults, found.broken, ())
    found = with_file(found, path)
    faults: tuple[SettingFault, ...] = ()
    services: tuple[str, ...] = ()
    try:
        services = _in_order(make_plan(document, found))
    except BadSettings as error:
        faults = error.faults
    return Checked(tuple(_tables(document, found)), faults, found.broken, services)


def _tables(document: Document, found: Found) -> Iterator[Table]:
    shapes: dict[str, Any] = dict(OURS)
    for name in document.chosen(found.names):
        try:
            plugin = found.get(name)
            assert plugin is not None
            shapes[name] = plugin.load().settings or Unset
        except (BadPlugin, Conflict):
            continue  # it is among the faults
    for name, shape in shapes.items():
        yield Table(name, tuple(_meant(document.show(name, shape))))


def _meant(settings: tuple[Setting, ...]) -> Iterator[Setting]:
    """
    What has a meaning: not, of what is hosted, what goes with other kinds of it.
    """
    kinds: dict[str, frozenset[str]] = {}
    for each in settings:
        place, _, key = each.name.rpartition(".")
        if "mounts." in place and each.origin != "default" and keys_of(key):
            kinds[place] = keys_of(key)
    for each in settings:
        place, _, key = each.name.rpartition(".")
        if each.origin != "default" or key in kinds.get(place, (key,)):
            yield each


def _in_order(plan: Plan) -> tuple[str, ...]:
    hosted = (
        f"web.{name}:{path}" if name else f"web:{path}"
        for name, site in plan.sites().items()
        for path in site.mounts
    )
    return (*(each.name for each in plan.services), *hosted)
