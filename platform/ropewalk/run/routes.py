# -*- test-case-name: tests.test_routes -*-
"""
``ropewalk routes``: every route, socket and listener, of every protocol, on one
page. The services are built for it and never started.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import partial
from typing import Any

from attrs import asdict, frozen
from klein import Klein
from klein.resource import KleinResource

from ropewalk.run.columns import align, near
from ropewalk.run.host import Host
from ropewalk.web.mounts import Mount

__all__ = ["Port", "Route", "RouteMap", "map_routes"]

#: How Klein writes what a branch takes: all that is below its path.
_REST = "<path:__rest__>"


@frozen
class Route:
    """
    Something that answers at a path of the web site.

    :ivar methods: The methods it answers; none when it answers all.
    :ivar kind: ``"route"`` of a Klein application, ``"resource"`` of
        ``twisted.web``, or ``"socket"``.
    :ivar path: The whole path, with ``…`` at the end when all below it belongs
        to it, too.
    :ivar answers: The function or class that answers.
    :ivar place: Where that is written: ``file:line``.
    :ivar service: The service it belongs to.
    """

    methods: tuple[str, ...]
    kind: str
    path: str
    answers: str
    place: str
    service: str

    @property
    def verbs(self) -> str:
        """Its methods, for people."""
        return "WS" if self.kind == "socket" else ",".join(self.methods) or "any"


@frozen
class Port:
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


@frozen
class RouteMap:
    """
    All that a daemon would answer.

    :ivar site: Where the web site listens; nowhere, if nothing is on it.
    :ivar routes: What is on it, by path.
    :ivar ports: All other listeners, in the order in which they are made.
    """

    site: tuple[str, ...]
    routes: tuple[Route, ...]
    ports: tuple[Port, ...]

    def lines(self) -> Iterator[str]:
        """The page."""
        if not self.site and not self.ports:
            yield "Nothing listens."
        if self.site:
            yield f"Web site at {', '.join(self.site)}"
            yield ""
            yield from align(
                (
                    (
                        each.verbs,
                        each.path,
                        each.answers,
                        each.service,
                        near(each.place),
                    )
                    for each in self.routes
                ),
                indent=2,
            )
        if self.site and self.ports:
            yield ""
        if self.ports:
            yield "Other listeners"
            yield ""
            yield from align(
                (
                    (each.endpoint, each.answers, each.service, near(each.place))
                    for each in self.ports
                ),
                indent=2,
            )

    def plain(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "site": list(self.site),
            "routes": [asdict(each) for each in self.routes],
            "listeners": [asdict(each) for each in self.ports],
        }


def map_routes(host: Host) -> RouteMap:
    """
    Say what a host answers.

    :param host: Its services are made; they need not run.
    """
    site = [each for each in host.listeners if each.owner == "web"]
    routes = [route for mount in host.mounts for route in _routes(mount)]
    if site and "/" not in host.mounts:
        home = type(host.site.resource)
        routes.append(
            Route(("GET",), "resource", "/", home.__qualname__, _written(home), "web")
        )
    routes.sort(key=lambda each: (each.path, each.methods))
    ports = [
        Port(
            each.listener.description,
            _named(each.listener.factory.wrappedFactory),
            each.place,
            each.owner,
        )
        for each in host.listeners
        if each.owner != "web"
    ]
    endpoints = tuple(each.listener.description for each in site)
    return RouteMap(endpoints, tuple(routes), tuple(ports))


def _routes(mount: Mount) -> Iterator[Route]:
    app = mount.app
    if isinstance(app, KleinResource):
        app = app._app
    if isinstance(app, Klein):
        yield from _klein_routes(mount, app)
    elif mount.kind == "socket":
        name, place = _name(app), _written(app) or mount.place
        yield Route((), "socket", mount.path, name, place, mount.plugin)
    else:
        path = f"{mount.path.rstrip('/')}/…"
        name = _name(type(app))
        yield Route((), "resource", path, name, mount.place, mount.plugin)


def _klein_routes(mount: Mount, app: Klein) -> Iterator[Route]:
    for rule in app.url_map.iter_rules():
        if rule.build_only:
            continue
        methods = set(rule.methods or ())
        if "GET" in methods:
            methods.discard("HEAD")  # which Werkzeug adds to every GET
        handler = inspect.unwrap(app.endpoints[rule.endpoint])
        yield Route(
            tuple(sorted(methods)),
            "route",
            _below(mount.path, rule.rule),
            _name(handler),
            _written(handler) or mount.place,
            mount.plugin,
        )


def _below(prefix: str, rule: str) -> str:
    """The path of a route, as somebody would type it."""
    path = prefix.rstrip("/") + rule.replace(_REST, "…")
    return path if rule != "/" else prefix


def _named(factory: Any) -> str:
    """What a factory makes, if that is all that is known of it; else itself."""
    protocol = getattr(factory, "protocol", None)
    general = type(factory).__module__.startswith(("twisted.", "ropewalk."))
    if general and protocol is not None:
        return _name(protocol)
    return _name(type(factory))


def _name(thing: Any) -> str:
    """The name of a function or a class, as its author wrote it."""
    while isinstance(thing, partial):
        thing = thing.func
    name: str = getattr(thing, "__qualname__", None) or type(thing).__qualname__
    return name.rpartition("<locals>.")[2]


def _written(thing: Any) -> str:
    """Where a function or a class is written; empty if nobody knows."""
    code = getattr(thing, "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    try:
        _, line = inspect.findsource(thing)
        return f"{inspect.getfile(thing)}:{line + 1}"
    except (OSError, TypeError):
        return ""
