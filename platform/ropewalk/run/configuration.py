# -*- test-case-name: tests.test_configuration -*-
"""
What an operator can set of the daemon itself, and the plan that comes of a whole
settings file: which services run, by which settings, in which order.
"""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal

from attrs import evolve, frozen

from ropewalk.errors import (
    BadEndpoint,
    BadPlugin,
    BadSettings,
    Conflict,
    Fault,
    MissingExtra,
    SettingFault,
)
from ropewalk.net.endpoints import Doorway
from ropewalk.net.limits import SocketLimits
from ropewalk.plugin import Found, ServiceModule
from ropewalk.schema import Meta, Shape, field, nearest
from ropewalk.schema.words import spell
from ropewalk.settings import Document
from ropewalk.settings.kinds import match_name

__all__ = [
    "OURS",
    "Deadlines",
    "HostSettings",
    "Plan",
    "Planned",
    "Unset",
    "WebSettings",
    "make_plan",
]


#: More than nothing, and not for ever: a day at most.
Seconds = Annotated[float, Meta(gt=0, le=86_400)]

#: The same, or nothing.
SomeSeconds = Annotated[float, Meta(ge=0, le=86_400)]

Origin = Annotated[
    str,
    Meta(
        pattern=r"^(\*|null|[A-Za-z][A-Za-z0-9+.-]*://[^/\s]+/?)$",
        description="an origin like https://example.org, or '*'",
    ),
]


class Unset(Shape):
    """The settings of a service that has none to make."""


class Deadlines(Shape):
    """
    How long one service may take, in seconds, where that is not what
    ``[host]`` says.
    """

    start: Seconds | None = None
    stop: SomeSeconds | None = None


class HostSettings(Shape):
    """
    The table ``[host]``.

    :ivar log: ``"text"`` for people, ``"json"`` for programs (an object a line);
        ``"auto"`` is text on a terminal and JSON elsewhere.
    :ivar log_level: What is less than this is not logged.
    :ivar hub: Where the channels live: ``"memory"`` is this process.
    :ivar start_deadline: Seconds each service has to start.
    :ivar stop_deadline: Seconds each service has to say goodbye to its
        connections, and as many again to stop.
    :ivar deadlines: Other deadlines, by service.
    :ivar drain_delay: Seconds between "not ready" at ``/health/ready`` and the
        closing of the listeners: what a load balancer needs to notice.
    """

    log: Literal["auto", "text", "json"] = "auto"
    log_level: Literal["debug", "info", "warn", "error"] = "info"
    hub: Literal["memory"] = "memory"
    start_deadline: Seconds = 30.0
    stop_deadline: SomeSeconds = 10.0
    deadlines: dict[str, Deadlines] = field(default_factory=dict)
    drain_delay: SomeSeconds = 0.0

    def start_within(self, service: str) -> float:
        """Seconds a service has to start."""
        own = self._own(service).start
        return self.start_deadline if own is None else own

    def stop_within(self, service: str) -> float:
        """Seconds a service has to stop."""
        own = self._own(service).stop
        return self.stop_deadline if own is None else own

    def _own(self, service: str) -> Deadlines:
        # An environment variable says my_chat for my-chat.
        name = match_name(service, self.deadlines)
        return Deadlines() if name is None else self.deadlines[name]


class WebSettings(Shape):
    """
    The table ``[web]``.

    :ivar listen: Endpoint strings.
    :ivar access_log: Whether each request that is answered is logged.
    :ivar longest_body: Bytes of the longest request body taken.
    :ivar idle: Seconds a connection may be silent.
    :ivar origins: Which pages may open WebSockets here besides our own:
        ``"https://example.org"``; ``"*"`` for all, ``"null"`` for those without
        an origin.
    :ivar sockets: What a WebSocket peer may do.
    """

    listen: Annotated[tuple[str, ...], Meta(min_length=1)] = (
        "tcp:8080:interface=127.0.0.1",
    )
    access_log: bool = True
    longest_body: Annotated[int, Meta(ge=0)] = 1024 * 1024
    idle: Seconds = 60.0
    origins: tuple[Origin, ...] = ()
    sockets: SocketLimits = SocketLimits()


#: The tables that are not a service's, and their shapes.
OURS = {"host": HostSettings, "web": WebSettings}


@frozen
class Planned:
    """
    A service that is to run.

    :ivar name: Its table.
    :ivar module: What builds it.
    :ivar settings: The value of its ``Settings``; of :class:`Unset` when it
        has none.
    """

    name: str
    module: ServiceModule
    settings: Any

    @property
    def shape(self) -> type[Any]:
        """The shape of its settings."""
        return self.module.settings or Unset


@frozen
class Plan:
    """
    What a settings file asks for.

    :ivar services: In the order in which they start.
    """

    document: Document
    host: HostSettings
    web: WebSettings
    services: tuple[Planned, ...]

    def tables(self) -> tuple[tuple[str, type[Any], Any], ...]:
        """Every table that means something: its name, shape and value."""
        return (
            ("host", HostSettings, self.host),
            ("web", WebSettings, self.web),
            *((each.name, each.shape, each.settings) for each in self.services),
        )

    def with_values(self, values: Mapping[str, Any]) -> Plan:
        """The same plan with other values for its tables."""
        return evolve(
            self,
            host=values["host"],
            web=values["web"],
            services=tuple(
                evolve(each, settings=values[each.name]) for each in self.services
            ),
        )


def make_plan(document: Document, found: Found) -> Plan:
    """
    Say what a settings file asks for. This imports the modules of the services
    that it names, and no others.

    :raise BadSettings: With everything that is wrong with the file, in its order.
    """
    faults = list(document.unknown([*OURS, *found.names]))
    ours: dict[str, Any] = {}
    for table, shape in OURS.items():
        try:
            ours[table] = document.read(table, shape)
        except BadSettings as error:
            faults += error.faults
    chosen = document.chosen(found.names)
    modules: dict[str, ServiceModule] = {}
    services: dict[str, Planned] = {}
    for table in chosen:
        try:
            modules[table] = _load(document, found, table)
            services[table] = _planned(document, modules[table], table)
        except BadSettings as error:
            faults += error.faults
    requires = {
        name: tuple(each for each in module.requires if each not in OURS)
        for name, module in modules.items()
    }
    faults += _unmet(document, found, requires, chosen)
    faults += _circles(document, requires)
    if "host" in ours:
        faults += _strange_deadlines(document, ours["host"], ("web", *found.names))
    if "web" in ours:
        faults += _bad_endpoints(document, ours["web"])
    if not faults and not document.tables:
        problem = (
            "asks for nothing: add a table for each service that is to run, like "
            "[chat]; `ropewalk plugins` lists those there are"
        )
        faults.append(SettingFault(document.path, "", Fault("", problem)))
    if faults:
        raise BadSettings(tuple(sorted(faults, key=lambda each: _line(document, each))))
    order = (services[name] for name in _ordered(requires))
    return Plan(document, ours["host"], ours["web"], tuple(order))


def _bad_endpoints(document: Document, web: WebSettings) -> Iterator[SettingFault]:
    """
    What of ``[web] listen`` is no place to listen. What systemd hands over is
    only there where systemd has started us.
    """
    for number, description in enumerate(web.listen):
        if description.startswith("systemd:"):
            continue
        try:
            Doorway(description, None)
        except (BadEndpoint, MissingExtra) as error:
            fault = Fault(f"listen[{number}]", str(error))
            yield SettingFault(document.origin("web", "listen"), "web", fault)


def _load(document: Document, found: Found, table: str) -> ServiceModule:
    try:
        plugin = found.get(table)
        assert plugin is not None
        return plugin.load()
    except (BadPlugin, Conflict) as error:
        problem = error.problem if isinstance(error, BadPlugin) else str(error)
        raise BadSettings((_fault(document, table, problem),)) from error


def _planned(document: Document, module: ServiceModule, table: str) -> Planned:
    try:
        return Planned(table, module, document.read(table, module.settings or Unset))
    except BadSettings:
        raise
    except Exception as error:
        # Of a shape that cannot be one, who knows what comes.
        text = "".join(traceback.format_exception(error)).rstrip()
        name = module.plugin.module
        problem = f"{name}.Settings cannot be read into: {error}\n{text}"
        raise BadSettings((_fault(document, table, problem),)) from error


Requires = Mapping[str, Sequence[str]]


def _unmet(
    document: Document, found: Found, requires: Requires, chosen: Collection[str]
) -> Iterator[SettingFault]:
    for name, wanted in requires.items():
        for each in wanted:
            if each in chosen:
                continue
            problem = f"requires the service {each!r}, which "
            if each in found.names:
                problem += f"no table turns on: add [{each}]"
            else:
                meant = nearest(each, found.names)
                hint = f"; did its author mean {meant!r}?" if meant else ""
                problem += f"is not installed{hint}"
            yield _fault(document, name, problem)


def _circles(document: Document, requires: Requires) -> Iterator[SettingFault]:
    places = list(requires)
    rest = {name: set(wanted) & {*requires} for name, wanted in requires.items()}
    while True:
        try:
            TopologicalSorter(rest).prepare()
            return
        except CycleError as error:
            # It lists what is required before what requires it.
            circle = error.args[1][:0:-1]
        start = circle.index(min(circle, key=places.index))
        circle = circle[start:] + circle[:start]
        around = " → ".join([*circle, circle[0]])
        problem = f"services require each other in a circle: {around}"
        yield _fault(document, circle[0], problem)
        # There may be more.
        rest = {
            name: wanted - {*circle}
            for name, wanted in rest.items()
            if name not in circle
        }


def _ordered(requires: Requires) -> Iterator[str]:
    """
    The names so that each comes after what it requires; otherwise in the order in
    which they are.
    """
    places = list(requires)
    sorter = TopologicalSorter(requires)
    sorter.prepare()
    waiting: set[str] = set()
    while sorter.is_active():
        waiting.update(sorter.get_ready())
        first = min(waiting, key=places.index)
        waiting.discard(first)
        sorter.done(first)
        yield first


def _strange_deadlines(
    document: Document, host: HostSettings, known: Collection[str]
) -> Iterator[SettingFault]:
    for name in host.deadlines:
        if match_name(name, known) is None:
            meant = nearest(name, known)
            hint = f"; did you mean {meant!r}?" if meant else ""
            problem = f"there is no service of this name{hint}"
            origin = document.origin("host", f"deadlines.{spell([name])}")
            yield SettingFault(origin, "host.deadlines", Fault(spell([name]), problem))


def _fault(document: Document, table: str, problem: str) -> SettingFault:
    return SettingFault(document.origin(table), table, Fault("", problem))


def _line(document: Document, fault: SettingFault) -> float:
    """
    Where a fault is in the file. What is elsewhere, or nowhere, comes last.
    """
    path, _, line = fault.origin.rpartition(":")
    return int(line) if path == document.path and line.isdigit() else float("inf")
