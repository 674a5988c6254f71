# -*- test-case-name: tests.test_routes -*-
"""
``ropewalk routes``: every route, socket and listener, of every protocol, on one
page. The services are built for it and never started.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from ropewalk.run.columns import align, near
from ropewalk.run.host import Host
from ropewalk.run.sites import WebSite
from ropewalk.schema.signatures import name_of, place_of
from ropewalk.web.table import Entry, Missing

__all__ = ["Place", "Port", "Route", "RouteMap", "map_routes"]


class Route(Struct, frozen=True):
    """
    Something that answers at a path of a web site.

    :ivar methods: The methods it answers; none when it answers all.
    :ivar kind: ``"route"``, ``"stream"``, ``"resource"`` of ``twisted.web``,
        ``"socket"``, or ``"hosted"`` for an application of another framework.
    :ivar site: The name of the site; empty for the default one.
    :ivar host: The host it is for, ``"<company>.example.org"``; empty for all.
    :ivar path: The whole path, with ``…`` at the end when all below it belongs
        to it, too.
    :ivar answers: The function or class that answers.
    :ivar place: Where that is written: ``file:line``.
    :ivar service: The service it belongs to.
    """

    methods: tuple[str, ...]
    kind: str
    site: str
    host: str
    path: str
    answers: str
    place: str
    service: str

    @property
    def verbs(self) -> str:
        """Its methods, for people."""
        return "WS" if self.kind == "socket" else ",".join(self.methods) or "any"

    def words(self) -> tuple[str, ...]:
        """A line of the page."""
        told = f" ({self.kind})" if self.kind in ("stream", "resource") else ""
        return (
            self.verbs,
            self.host + self.path,
            self.answers + told,
            self.service,
            near(self.place),
        )


class Port(Struct, frozen=True):
    """
    Something that people can connect to.

    :ivar endpoint: Where it listens.
    :ivar answers: What makes its protocols.
    :ivar place: Where it is asked for: ``file:line``.
    :ivar service: The service it belongs to.
    """

    endpoint: str
    answers: str
    place: str
    service: str

    def words(self) -> tuple[str, ...]:
        """A line of the page."""
        return self.endpoint, self.answers, self.service, near(self.place)


class Place(Struct, frozen=True):
    """
    A web site.

    :ivar name: What the settings call it; empty for the default one.
    :ivar listen: Where it listens.
    """

    name: str
    listen: tuple[str, ...]

    def __str__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"Web site{name} at {', '.join(self.listen)}"


class RouteMap(Struct, frozen=True):
    """
    All that a daemon would answer.

    :ivar sites: The web sites that listen.
    :ivar routes: What is on them: by site, host and path.
    :ivar ports: All other listeners, in the order in which they are made.
    """

    sites: tuple[Place, ...]
    routes: tuple[Route, ...]
    ports: tuple[Port, ...]

    def lines(self) -> Iterator[str]:
        """The page."""
        sections: list[tuple[str, list[tuple[str, ...]]]] = []
        for site in self.sites:
            on_it = [each.words() for each in self.routes if each.site == site.name]
            sections.append((str(site), on_it))
        if self.ports:
            sections.append(("Other listeners", [each.words() for each in self.ports]))
        if not sections:
            yield "Nothing listens."
        for number, (heading, rows) in enumerate(sections):
            yield from ["", heading, ""] if number else [heading, ""]
            yield from align(rows, indent=2)

    def plain(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "sites": [asdict(each) for each in self.sites],
            "routes": [asdict(each) for each in self.routes],
            "listeners": [asdict(each) for each in self.ports],
        }


def map_routes(host: Host) -> RouteMap:
    """
    Say what a host answers.

    :param host: Its services are made; they need not run.
    """
    sites, routes = [], []
    for site in host.sites.values():
        listen = tuple(each.description for each in host.owned_by(site.owner))
        if listen:
            sites.append(Place(site.name, listen))
            routes += sorted(_routes(site), key=_order)
    ports = [
        Port(
            each.listener.description,
            _named(each.listener.serves),
            each.place,
            each.owner,
        )
        for each in host.listeners
        if each.owner not in host.sites.owners
    ]
    return RouteMap(tuple(sites), tuple(routes), tuple(ports))


def _routes(site: WebSite) -> Iterator[Route]:
    """What is on a site, each once."""
    seen = set()
    for entry in site.mounts.table.entries:
        target = entry.target
        if entry.build_only or not target.shown or id(target) in seen:
            continue
        seen.add(id(target))
        hosted: str = getattr(target.handler, "shown", "")
        yield Route(
            _verbs(entry),
            "hosted" if hosted else target.kind,
            site.name,
            "" if entry.host is None else entry.host.rule,
            target.shown,
            hosted or name_of(target.handler),
            _place(target),
            target.plugin,
        )
    at_root = site.mounts.table.find("/", "GET")
    if isinstance(at_root, Missing) and at_root.guard is None:
        kind = type(site.site.resource)
        place = place_of(kind)
        name = kind.__qualname__
        yield Route(("GET",), "resource", site.name, "", "/", name, place, site.owner)


def _order(route: Route) -> tuple[str, str, tuple[str, ...]]:
    return route.host, route.path, route.methods


def _verbs(entry: Entry[Any]) -> tuple[str, ...]:
    if entry.target.kind == "socket":
        return ()
    methods = set(entry.methods or ())
    if "GET" in methods:
        methods.discard("HEAD")  # it comes with every GET
    return tuple(sorted(methods))


def _place(target: Any) -> str:
    """Where a socket's class is written, or a resource mounted."""
    if target.kind == "socket":
        return place_of(target.handler, target.place)
    place: str = target.place
    return place


def _named(factory: Any) -> str:
    """What a factory makes, if that is all that is known of it; else itself."""
    protocol = getattr(factory, "protocol", None)
    general = type(factory).__module__.startswith(("twisted.", "ropewalk."))
    if general and protocol is not None:
        return name_of(protocol)
    return name_of(type(factory))
