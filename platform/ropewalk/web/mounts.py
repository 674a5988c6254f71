# -*- test-case-name: tests.test_mounts -*-
"""
What is served where: all that the services mount on a site, and the one table that
comes of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from klein import Klein
from klein.resource import KleinResource
from msgspec import Struct
from twisted.web.resource import IResource

from ropewalk.errors import BadPlugin, Conflict, RopewalkError
from ropewalk.web.apps import AppResource
from ropewalk.web.around import Call, Middleware, around
from ropewalk.web.claims import Claim, settle
from ropewalk.web.compiling import Ground, compile_mount, no_sockets
from ropewalk.web.components import Components
from ropewalk.web.links import Links
from ropewalk.web.patterns import BadRule, parse, parse_host
from ropewalk.web.serving import Endpoint
from ropewalk.web.signposts import Mounted
from ropewalk.web.table import Entry, Table
from ropewalk.web.wrapping import told

__all__ = ["Mount", "Mounts", "resource_for"]


#: Paths to which the way is remembered: one route may have many, as they can be written
#: in many ways.
_MOST_LANES = 4096


class Mount(Struct, frozen=True):
    """
    Something served at a path.

    :ivar path: ``"/chat"``, as people read it: nothing in it is percent-encoded.
    :ivar resource: What is served.
    :ivar plugin: The service that mounted it.
    :ivar place: Where in its source (``file:line``).
    :ivar kind: ``"pages"`` at the path and below, or a ``"socket"`` at just the
        path.
    :ivar app: What the plugin gave us.
    :ivar host: The host it is for: ``"api.example.org"``; ``None`` for all.
    :ivar override: Whether it takes the place of what others claim.
    :ivar gives_way: Whether it leaves to anybody else what they claim.
    """

    path: str
    resource: Any
    plugin: str
    place: str
    kind: str
    app: Any
    host: str | None = None
    override: bool = False
    gives_way: bool = False


class Mounts:
    """
    The mounts of one site.

    :ivar middleware: What happens around every request for them, outermost first.
    :ivar components: What is injected into all their handlers.
    :ivar table_class: What finds a route: made of entries as a
        :class:`~ropewalk.web.table.Table` is, it has its ``entries``, ``find``,
        ``build`` and ``host_of``.
    :ivar lanes: The ways to handlers for which nothing has to be decided any more, by
        method and path (:mod:`ropewalk.web.quick`); to resources, what the table says.
    :ivar has_lanes: Whether there may be any: the host does not count.
    :ivar shortest: The least of the longest bodies that routes of their own accord
        take; ``None`` where all take what the site takes.
    :ivar streams: Whether something takes bodies while they come.
    :ivar sockets: Lets a protocol take a request's connection over.
    """

    def __init__(self) -> None:
        self.middleware: list[Middleware] = []
        self.components = Components()
        self.sockets: Callable[[Any, Any], Any] = no_sockets
        self.table_class: Callable[..., Table[Any]] = Table
        self.shortest: int | None = None
        self.streams = False
        self.lanes: dict[bytes, dict[bytes, Any]] = {}
        self.has_lanes = False
        self._mounts: list[Mount] = []
        # Of those mounts, in their order, that were compiled.
        self._claims: list[list[Claim]] = []
        self._table: Table[Any] | None = None
        self._links: Links | None = None

    def add(self, mount: Mount) -> None:
        """
        Serve it.

        :raise BadPlugin: When nobody could ever ask for the path.
        :raise Conflict: When the path is taken.
        """
        self._append(mount)
        self._claims.clear()
        self._table = self._links = None
        self.lanes.clear()

    def add_last(self, mounts: Iterable[Mount]) -> None:
        """
        Serve them beside all that is in the table, which is not compiled again.

        :raise BadPlugin: As :meth:`add`.
        :raise Conflict: As :meth:`add`, and as :attr:`table`.
        """
        self._table = self._links = None
        for each in mounts:
            self._append(each)
        self._build()

    @property
    def table(self) -> Table[Any]:
        """
        What the mounts come to: compiled once, when somebody first asks.

        :raise BadHandler: For a handler that asks for what no request could give it.
        :raise Conflict: When two claim the same path and method.
        :raise RopewalkError: Each of them knows as ``service`` whose doing it is.
        """
        return self._build() if self._table is None else self._table

    @property
    def links(self) -> Links:
        """The links into the table."""
        if self._links is None:
            self._links = Links(self.table)
        return self._links

    def compile(self) -> Table[Any]:
        """See :attr:`table`; all of it anew, as middleware and components are now."""
        self._claims.clear()
        return self._build()

    def _append(self, mount: Mount) -> None:
        wrong = _wrong(mount.path) or _wrong_host(mount.host)
        if wrong is not None:
            problem = f"cannot mount at {mount.path!r}: {wrong}"
            raise BadPlugin(mount.plugin, mount.place, problem)
        for taken in self._mounts:
            if _exclude_each_other(taken, mount):
                both = taken, mount
                claims = (f"service {each.plugin!r} ({each.place})" for each in both)
                raise Conflict(f"the path {mount.path!r}", *claims)
        self._mounts.append(mount)

    def _build(self) -> Table[Any]:
        for mount in self._mounts[len(self._claims) :]:
            self._claims.append(self._claimed(mount))
        entries = settle([claim for claims in self._claims for claim in claims])
        self._table, self._links = self.table_class(entries), None
        self.lanes.clear()
        self.has_lanes = self.table_class is Table and not any(
            entry.host is not None for entry in entries
        )
        options = [entry.target.options for entry in entries]
        bodies = [each.longest_body for each in options]
        self.shortest = min((each for each in bodies if each is not None), default=None)
        self.streams = any(each.streams for each in options)
        return self._table

    def _claimed(self, mount: Mount) -> list[Claim]:
        turn, depth = len(self._claims), mount.path.rstrip("/").count("/")
        try:
            return [
                Claim(entry, turn, depth, mount.gives_way)
                for entry in self._entries(mount)
            ]
        except RopewalkError as error:
            error.service = error.service or mount.plugin
            raise

    def learn(self, method: bytes, path: bytes, lane: Any) -> None:
        """Remember the way from a path without arguments."""
        lanes = self.lanes.setdefault(method, {})
        if len(lanes) >= _MOST_LANES:
            lanes.clear()
        lanes[path] = lane

    def __contains__(self, path: str) -> bool:
        """Whether there is a mount at a path, for all hosts."""
        return any(each.path == path and each.host is None for each in self._mounts)

    def __iter__(self) -> Iterator[Mount]:
        """All mounts, by path."""
        return iter(sorted(self._mounts, key=lambda each: each.path))

    def _entries(self, mount: Mount) -> Iterator[Entry[Any]]:
        prefix = mount.path.rstrip("/")
        if mount.kind == "socket":
            yield self._socket(mount, prefix)
            return
        ground = Ground(
            prefix=prefix,
            plugin=mount.plugin,
            place=mount.place,
            components=self.components,
            host=mount.host,
            around=self._around if self.middleware else None,
            is_bare=not self.middleware,
            override=mount.override,
            sockets=self.sockets,
        )
        yield from compile_mount(mount.app, ground)

    def beyond(self, request: Any, resource: Any) -> Endpoint | None:
        """
        What renders a resource that no service has mounted, with the site's middleware
        around it; ``None`` where there is none.
        """
        if not self.middleware:
            return None

        def call(request: Any, args: dict[str, Any]) -> Any:
            return resource

        endpoint = Endpoint("", "", None, resource, "", "", self._around(call), 0)
        return endpoint.enter(request)

    def _around(self, call: Call) -> Call:
        return around(self.middleware, told(call))

    def _socket(self, mount: Mount, prefix: str) -> Entry[Any]:
        depth = prefix.count("/")
        mounted = Mounted(
            mount.path,
            mount.plugin,
            mount.place,
            mount.app,
            mount.resource,
            depth,
            kind="socket",
        )
        host = None if mount.host is None else parse_host(mount.host)
        return Entry(parse(mount.path), mounted, host=host, slashes="exact")


def resource_for(app: Any) -> Any:
    """
    The resource that serves what a plugin mounts; ``None`` if nothing can.

    :param app: A ``klein.Klein``, or something that is or adapts to a
        ``twisted.web`` resource.
    """
    if isinstance(app, Klein):
        return AppResource(app)
    if type(app) is KleinResource and isinstance(app._app, Klein):
        return AppResource(app._app)
    return IResource(app, None)


def _exclude_each_other(one: Mount, other: Mount) -> bool:
    """
    Whether two mounts cannot be side by side at one path. Applications can, if no
    route is in both of them, and a resource has what they leave; so can one that says
    that it takes the place of the other.
    """
    return (
        one.path == other.path
        and (one.host or "").lower() == (other.host or "").lower()
        and one.override == other.override
        and not any(isinstance(each.app, Klein) for each in (one, other))
    )


def _wrong_host(host: str | None) -> str | None:
    """What is wrong with a host to mount for, if something is."""
    try:
        if host is not None:
            parse_host(host)
    except BadRule as error:
        return str(error)
    return None


def _wrong(path: object) -> str | None:
    """What is wrong with a path to mount at, if something is."""
    if not isinstance(path, str):
        return f"a path is a str, not {type(path).__name__}"
    if not re.fullmatch(r"/|(/[^/]+)+", path):
        return "a path starts with '/', does not end with one, and has no empty pieces"
    if any(piece in (".", "..") for piece in path.split("/")):
        return "browsers resolve '.' and '..' before they ask"
    if "?" in path or "#" in path:
        return "a path ends before '?' and '#'"
    if "%" in path:
        return "write the path as people read it, without '%'"
    if not path.isprintable():
        return "a path has only characters that can be printed"
    return None
