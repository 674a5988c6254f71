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

from msgspec import Struct, structs
from msgspec.structs import replace

from ropewalk.errors import (
    BadEndpoint,
    BadPlugin,
    BadSettings,
    Conflict,
    Fault,
    MissingExtra,
    SettingFault,
)
from ropewalk.net.endpoints import Doorway, claim_datagrams
from ropewalk.net.limits import CallSettings, SocketLimits
from ropewalk.net.vanished import VANISHED
from ropewalk.plugin import Found, ServiceModule
from ropewalk.run.replacing import find_faults
from ropewalk.schema import Meta, Secret, Shape, field, nearest
from ropewalk.schema.words import Step, spell
from ropewalk.settings import Document
from ropewalk.settings.kinds import match_name
from ropewalk.web.hosting.settings import BadMount, MountSettings, describe, missing
from ropewalk.web.limits import HttpLimits
from ropewalk.web.proxies import Family, Proxies

__all__ = [
    "OURS",
    "Deadlines",
    "HostSettings",
    "HubSettings",
    "Plan",
    "Planned",
    "SiteSettings",
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


HeaderName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]*$",
        description="the name of a header like X-Request-ID, or '' for none",
    ),
]


PathOrNone = Annotated[
    str,
    Meta(
        pattern=r"^(/[^/?#%\s]+)*$",
        description="a path like /openapi, or '' for none",
    ),
]


MountPath = Annotated[
    str,
    Meta(
        pattern=r"^(/|(/[^/?#%\s]+)+)$",
        description="a path like /shop, or '/' for all that nobody else has",
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
    :ivar trusted_proxies: Who may say whom they speak for, by ``Forwarded`` and
        ``X-Forwarded-For`` or by the PROXY protocol: ``"127.0.0.1"``,
        ``"10.0.0.0/8"``; ``"unix"`` for whoever can connect to a UNIX socket.
    :ivar vanished: Seconds after which a connection ends whose other end has vanished:
        nothing comes of it, not even an answer of its system's. One that takes nothing
        for so long of what waits for it is taken for such, whatever ``stall`` says. 0
        leaves both to the system, which takes its time.
    :ivar development: Whether errors are explained to who sits at this machine.
        ``ropewalk run`` turns it on unless something else is said.
    """

    log: Literal["auto", "text", "json"] = "auto"
    log_level: Literal["debug", "info", "warn", "error"] = "info"
    hub: Literal["memory"] = "memory"
    start_deadline: Seconds = 30.0
    stop_deadline: SomeSeconds = 10.0
    deadlines: dict[str, Deadlines] = field(default_factory=dict)
    drain_delay: SomeSeconds = 0.0
    trusted_proxies: tuple[str, ...] = ()
    vanished: SomeSeconds = VANISHED
    development: bool = False

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


class HubSettings(Shape):
    """
    The table ``[hub]``: how much there may be of the channels.

    :ivar subscribers: How many subscribers a channel may have, and a pattern.
    :ivar channels: How many channels there may be, and how many patterns; of these,
        callers have half.
    :ivar from_one: How many of the channels may have been begun by one caller: by one
        client address, unless there are accounts. So it is with the patterns, and with
        people who are away.
    :ivar away: How many people may be away, in all channels together.
    :ivar history_bytes: Bytes of JSON that all histories may have together, so far as
        rules bound them. In memory they take a few times as much.
    """

    subscribers: Annotated[int, Meta(ge=1)] = 10_000
    channels: Annotated[int, Meta(ge=1)] = 10_000
    from_one: Annotated[int, Meta(ge=1)] = 1000
    away: Annotated[int, Meta(ge=1)] = 10_000
    history_bytes: Annotated[int, Meta(ge=0)] = 256 * 1024 * 1024


SiteName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9]*([_-][a-z0-9]+)*$",
        max_length=40,
        description="the name of a site like internal, all in lower case",
    ),
]


class SiteSettings(Shape):
    """
    A web site: the table ``[web]``, or one that is called ``[web.sites.NAME]``.

    :ivar listen: Endpoint strings. ``[web]`` need not say it: it listens at
        ``"tcp:8080:interface=127.0.0.1"`` then.
    :ivar access_log: Whether each request that is answered is logged.
    :ivar longest_body: Bytes of the longest request body taken.
    :ivar idle: Seconds a connection may be silent.
    :ivar origins: Which pages may open WebSockets here besides our own:
        ``"https://example.org"``; ``"*"`` for all, ``"null"`` for those without
        an origin.
    :ivar forwarded: Which headers of trusted proxies are read: ``Forwarded`` (RFC
        7239), those called ``X-Forwarded-…``, or ``"any"``. Name the one that the
        proxies write: in the other, anybody may.
    :ivar request_id: The header that has a request's id, in answers and in what
        trusted proxies send; empty for none.
    :ivar title: What the site is called on its own pages; ``"Ropewalk"`` and its
        name unless set.
    :ivar openapi: Where the documentation of typed handlers is, ``"/openapi"``, with
        the OpenAPI document at the same path and ``.json``; empty for nowhere.
    :ivar operations: Where operations can be called, ``"/operations"``: by ``POST``
        below it. Empty for nowhere, which is what holds for this and the next two on
        sites other than ``[web]`` unless they say something.
    :ivar channels: Where channels can be heard, ``"/channels"``.
    :ivar live: Where both can be done by WebSocket, ``"/live"``.
    :ivar asyncapi: Where that is told in an AsyncAPI document, ``"/asyncapi.json"``.
    :ivar figures: Where what the daemon has counted can be seen, ``"/figures"``, by
        who sits at this machine or is allowed to; empty for nowhere.
    :ivar formats: Formats of the site's own, besides the built-in ones or in place of
        them. By media type, what has each: ``"acme.formats:CBOR"``.
    :ivar router: What finds the routes, ``"acme.routing:Table"``, in place of
        ropewalk's own; empty for that.
    :ivar limits: How much a client may ask, and how long it may take.
    :ivar sockets: What a WebSocket peer may do.
    :ivar debugger: Whether the page of an error runs Python in its frames, for who
        knows the PIN; in development only.
    :ivar mounts: What is hosted: applications of other frameworks, other programs and
        other servers, by their paths.
    """

    listen: Annotated[tuple[str, ...], Meta(min_length=1)]
    access_log: bool = True
    longest_body: Annotated[int, Meta(ge=0)] = 1024 * 1024
    idle: Seconds = 60.0
    origins: tuple[Origin, ...] = ()
    forwarded: Family = "x-forwarded"
    request_id: HeaderName = "x-request-id"
    title: str = ""
    openapi: PathOrNone = "/openapi"
    operations: PathOrNone = ""
    channels: PathOrNone = ""
    live: PathOrNone = ""
    asyncapi: PathOrNone = "/asyncapi.json"
    figures: PathOrNone = ""
    formats: dict[str, str] = field(default_factory=dict)
    router: str = ""
    limits: HttpLimits = HttpLimits()
    sockets: SocketLimits = SocketLimits()
    debugger: bool = False
    mounts: dict[MountPath, MountSettings] = field(default_factory=dict)


class WebSettings(SiteSettings):
    """
    The table ``[web]``: the default site, and those besides.

    :ivar sites: The other sites, by name.
    """

    listen: Annotated[tuple[str, ...], Meta(min_length=1)] = (
        "tcp:8080:interface=127.0.0.1",
    )
    operations: PathOrNone = "/operations"
    channels: PathOrNone = "/channels"
    live: PathOrNone = "/live"
    sites: dict[SiteName, SiteSettings] = field(default_factory=dict)


#: The tables that are not a service's, and their shapes.
OURS = {
    "host": HostSettings,
    "web": WebSettings,
    "operations": CallSettings,
    "hub": HubSettings,
}


class Planned(Struct, frozen=True):
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


class Plan(Struct, frozen=True):
    """
    What a settings file asks for.

    :ivar services: In the order in which they start.
    """

    document: Document
    host: HostSettings
    web: WebSettings
    services: tuple[Planned, ...]
    operations: CallSettings = CallSettings()
    hub: HubSettings = HubSettings()

    def tables(self) -> tuple[tuple[str, type[Any], Any], ...]:
        """Every table that means something: its name, shape and value."""
        return (
            ("host", HostSettings, self.host),
            ("web", WebSettings, self.web),
            ("operations", CallSettings, self.operations),
            ("hub", HubSettings, self.hub),
            *((each.name, each.shape, each.settings) for each in self.services),
        )

    def sites(self) -> dict[str, SiteSettings]:
        """The settings of each web site by its name; the default one has none."""
        return {"": self.web, **self.web.sites}

    def listens(self, site: str) -> bool:
        """
        Whether the file asks for a site, be there something on it or not.

        :param site: Its name; empty for the default one.
        """
        return site in self.web.sites or (
            not site and self.document.has("web", besides="sites")
        )

    def secrets(self) -> Iterator[str]:
        """Every value that must not be shown."""
        for name, shape, value in self.tables():
            shown = self.document.show(name, shape)
            hidden = [setting.name for setting in shown if setting.hidden]
            for key, text in _texts(value, ()):
                is_hidden = any(
                    key == each or key.startswith((f"{each}.", f"{each}["))
                    for each in hidden
                )
                if is_hidden or isinstance(text, Secret):
                    yield text

    def with_values(self, values: Mapping[str, Any]) -> Plan:
        """The same plan with other values for its tables."""
        return replace(
            self,
            host=values["host"],
            web=values["web"],
            operations=values["operations"],
            hub=values["hub"],
            services=tuple(
                replace(each, settings=values[each.name]) for each in self.services
            ),
        )


def _texts(value: Any, steps: tuple[Step, ...]) -> Iterator[tuple[str, str]]:
    """The texts in a value, each with its key."""
    parts: Iterator[tuple[Step, Any]] = iter(())
    if isinstance(value, Struct):
        parts = (
            (each.encode_name, getattr(value, each.name))
            for each in structs.fields(value)
        )
    elif isinstance(value, dict):
        parts = ((str(key), each) for key, each in value.items())
    elif isinstance(value, list | tuple):
        parts = iter(enumerate(value))
    elif isinstance(value, str):
        yield spell(steps), value
    for step, part in parts:
        yield from _texts(part, (*steps, step))


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
        faults += _strange_deadlines(
            document, ours["host"], ("web", "operations", *found.names)
        )
        faults += _bad_proxies(document, ours["host"])
    host = ours.get("host")
    if "operations" in ours:
        listen = ours["operations"].listen()
        faults += _bad_endpoints(document, "operations", listen, host)
    if "web" in ours:
        for table, site in _sites(ours["web"]):
            listen = {f"listen[{at}]": each for at, each in enumerate(site.listen)}
            faults += _bad_endpoints(document, table, listen, host)
        for table, site in _sites(ours["web"]):
            faults += find_faults(document, table, site.formats, site.router)
            faults += _bad_mounts(document, table, site.mounts)
    if len(ours) == len(OURS) and not ours["host"].development:
        faults += _debugged_production(document, ours["web"])
    if not faults and not document.tables:
        problem = (
            "asks for nothing: add a table for each service that is to run, like "
            "[chat]; `ropewalk plugins` lists those there are"
        )
        faults.append(SettingFault(document.path, "", Fault("", problem)))
    if faults:
        raise BadSettings(tuple(sorted(faults, key=lambda each: _line(document, each))))
    services_in_order = tuple(services[name] for name in _ordered(requires))
    return Plan(document, services=services_in_order, **ours)


def _debugged_production(
    document: Document, web: WebSettings
) -> Iterator[SettingFault]:
    problem = (
        "in production there is no debugger: it runs whatever it is told to. "
        "Turn it off; or, on your own machine, start with `ropewalk run`, or set "
        "development = true in [host]"
    )
    for table, site in _sites(web):
        if site.debugger:
            origin = document.origin(table, "debugger")
            yield SettingFault(origin, table, Fault("debugger", problem))


def _sites(web: WebSettings) -> Iterator[tuple[str, SiteSettings]]:
    """All sites, each with its table."""
    yield "web", web
    for name, site in web.sites.items():
        yield f"web.sites.{name}", site


def _bad_proxies(document: Document, host: HostSettings) -> Iterator[SettingFault]:
    for number, entry in enumerate(host.trusted_proxies):
        try:
            Proxies([entry])
        except ValueError as error:
            fault = Fault(f"trusted_proxies[{number}]", str(error))
            origin = document.origin("host", "trusted_proxies")
            yield SettingFault(origin, "host", fault)


def _bad_endpoints(
    document: Document,
    table: str,
    listen: Mapping[str, str],
    host: HostSettings | None,
) -> Iterator[SettingFault]:
    """
    What of a table's endpoints is no place to listen. What systemd hands over is
    only there where systemd has started us.

    :param listen: Endpoint strings, by their keys.
    """
    # Of a host whose settings cannot be read, nobody knows whom it trusts.
    somebody = host is None or host.trusted_proxies
    trusts = Proxies(()).trusts if somebody else None
    for key, description in listen.items():
        if description.startswith("systemd:"):
            continue
        try:
            if key == "datagrams":
                claim_datagrams(description)
            else:
                Doorway(description, None, trusts)
        except (BadEndpoint, MissingExtra) as error:
            origin = document.origin(table, key.partition("[")[0])
            yield SettingFault(origin, table, Fault(key, str(error)))


def _bad_mounts(
    document: Document, table: str, mounts: Mapping[str, MountSettings]
) -> Iterator[SettingFault]:
    for path, settings in mounts.items():
        try:
            kind = describe(settings, document.home).kind
            problem = missing(settings, document.home)
            if problem is not None:
                raise BadMount(kind, problem)
        except BadMount as error:
            key = spell(["mounts", path, *filter(None, [error.key])])
            origin = document.origin(table, key)
            yield SettingFault(origin, table, Fault(key, error.problem))


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
