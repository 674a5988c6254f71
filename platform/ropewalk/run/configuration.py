# -*- test-case-name: tests.test_configuration -*-
"""
What an operator can set of the daemon itself, and the plan that comes of a whole
settings file: which services run, by which settings, in which order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal

from attrs import evolve, frozen

from ropewalk.errors import BadPlugin, BadSettings, Conflict, Fault, SettingFault
from ropewalk.net.sockets import SocketLimits
from ropewalk.plugin import Found, ServiceModule
from ropewalk.schema import Meta, Shape
from ropewalk.settings import Document

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


class Unset(Shape):
    """The settings of a service that has none to make."""


class Deadlines(Shape):
    """
    How long one service may take, in seconds, where that is not what
    ``[host]`` says.
    """

    start: Annotated[float, Meta(gt=0)] | None = None
    stop: Annotated[float, Meta(ge=0)] | None = None


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
    start_deadline: Annotated[float, Meta(gt=0)] = 30.0
    stop_deadline: Annotated[float, Meta(ge=0)] = 10.0
    deadlines: dict[str, Deadlines] = {}
    drain_delay: Annotated[float, Meta(ge=0)] = 0.0

    def start_within(self, service: str) -> float:
        """Seconds a service has to start."""
        own = self.deadlines.get(service, Deadlines()).start
        return self.start_deadline if own is None else own

    def stop_within(self, service: str) -> float:
        """Seconds a service has to stop."""
        own = self.deadlines.get(service, Deadlines()).stop
        return self.stop_deadline if own is None else own


class WebSettings(Shape):
    """
    The table ``[web]``.

    :ivar listen: Endpoint strings.
    :ivar access_log: Whether each request that is answered is logged.
    :ivar longest_body: Bytes of the longest request body taken.
    :ivar idle: Seconds a connection may be silent.
    :ivar origins: Which pages may open WebSockets here besides our own:
        ``"https://example.org"``; ``"*"`` for all.
    :ivar sockets: What a WebSocket peer may do.
    """

    listen: Annotated[tuple[str, ...], Meta(min_length=1)] = (
        "tcp:8080:interface=127.0.0.1",
    )
    access_log: bool = True
    longest_body: Annotated[int, Meta(ge=0)] = 1024 * 1024
    idle: Annotated[float, Meta(gt=0)] = 60.0
    origins: tuple[str, ...] = ()
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

    :raise BadSettings: With everything that is wrong with the file.
    """
    faults = list(document.unknown([*OURS, *found.names]))
    ours: dict[str, Any] = {}
    for table, shape in OURS.items():
        try:
            ours[table] = document.read(table, shape)
        except BadSettings as error:
            faults += error.faults
    services: list[Planned] = []
    for table in document.chosen(found.names):
        try:
            services.append(_planned(document, found, table))
        except BadSettings as error:
            faults += error.faults
    # What a broken table requires was not read: no order can be told then.
    ordered = services if faults else _ordered(document, services, faults)
    faults += _strange_deadlines(document, ours.get("host"), found.names)
    if not faults and not document.tables:
        problem = (
            "asks for nothing: add a table for each service that is to run, like "
            "[chat]; `ropewalk plugins` lists those there are"
        )
        faults.append(SettingFault(document.path, "", Fault("", problem)))
    if faults:
        raise BadSettings(tuple(faults))
    return Plan(document, ours["host"], ours["web"], tuple(ordered))


def _planned(document: Document, found: Found, table: str) -> Planned:
    try:
        plugin = found.get(table)
        assert plugin is not None
        module = plugin.load()
    except (BadPlugin, Conflict) as error:
        problem = getattr(error, "problem", None) or str(error)
        raise BadSettings((_fault(document, table, problem),)) from error
    shape = module.settings or Unset
    return Planned(table, module, document.read(table, shape))


def _ordered(
    document: Document, services: list[Planned], faults: list[SettingFault]
) -> list[Planned]:
    """
    Sort so that each comes after what it requires; otherwise keep the order of
    the file.
    """
    by_name = {each.name: each for each in services}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for each in services:
        sorter.add(each.name)
        for required in each.module.requires:
            if required in by_name:
                sorter.add(each.name, required)
            else:
                problem = (
                    f"requires the service {required!r}, which no table turns "
                    f"on: add [{required}]"
                )
                faults.append(_fault(document, each.name, problem))
    try:
        sorter.prepare()
    except CycleError as error:
        circle = error.args[1]
        problem = f"services require each other in a circle: {' → '.join(circle)}"
        faults.append(_fault(document, circle[0], problem))
        return services
    order: list[str] = []
    places = list(by_name)
    waiting: set[str] = set()
    while sorter.is_active():
        waiting.update(sorter.get_ready())
        first = min(waiting, key=places.index)
        waiting.discard(first)
        sorter.done(first)
        order.append(first)
    return [by_name[name] for name in order]


def _strange_deadlines(
    document: Document, host: HostSettings | None, known: Iterable[str]
) -> list[SettingFault]:
    if host is None:
        return []
    return [
        SettingFault(
            document.origin("host", f"deadlines.{name}"),
            "host.deadlines",
            Fault(name, "there is no service of this name"),
        )
        for name in host.deadlines
        if name not in {"web", *known}
    ]


def _fault(document: Document, table: str, problem: str) -> SettingFault:
    return SettingFault(document.origin(table), table, Fault("", problem))
