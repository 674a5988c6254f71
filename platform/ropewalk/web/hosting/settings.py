# -*- test-case-name: tests.test_hosting -*-
"""
What is hosted, as an operator says it: a table in ``[web.mounts]``. It is read by every
daemon, so nothing is imported here that only some of them need.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, Literal

from attrs import define
from msgspec import structs

from ropewalk.errors import RopewalkError
from ropewalk.schema import Meta, Shape, field
from ropewalk.web.hosting.hosted import Hosted

__all__ = ["BadMount", "MountSettings", "describe", "keys_of", "missing"]

Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class MountSettings(Shape):
    """
    What is hosted at a path: exactly one of ``wsgi``, ``asgi``, ``native``, ``command``
    and ``proxy``, and how.

    :ivar wsgi: A WSGI application (PEP 3333): ``"shop.wsgi:application"``.
    :ivar asgi: An ASGI application: ``"api:app"``.
    :ivar native: A server on the daemon's own event loop: ``"feed:serve"``.
    :ivar command: A program that serves HTTP, and its arguments. In them, ``{port}``
        is where it is to listen, ``{socket}`` the same as the path of a UNIX socket,
        and ``{prefix}`` the path of the mount.
    :ivar proxy: The URL of another server, or of several.
    :ivar directory: Where to look for the module first, or where the program runs;
        as seen from the settings file, whose own directory it is unless set.
    :ivar environment: Environment variables that are set before it is loaded.
        ``ROPEWALK_MOUNT`` always is: to the path of the mount.
    :ivar prefix_variable: What the variable with the path of the mount is called
        besides.
    :ivar longest_body: Bytes of the longest request body taken.
    :ivar longest_message: Bytes of the longest message that a peer may send to a
        WebSocket of an ASGI application.
    :ivar threads: How many threads a WSGI application has.
    :ivar queue: How many requests may wait for one of them.
    :ivar timeout: Seconds: how long a request may wait for a thread, or for an answer
        of another server to begin; how long an ASGI application may take to start, and
        to stop.
    :ivar root_path: What an ASGI application is told of the path: ``"full"`` is all of
        it, and which part is the mount; with ``"strip"`` the path begins behind that;
        with ``"raw"`` there is no mount, for what knows its path by itself.
    :ivar asgi_version: 2 for an application of ASGI 2; 0 looks at it.
    :ivar lifespan: Whether an ASGI application is told of start and stop: ``"auto"``
        minds none that does not know about it.
    :ivar health: A path at which a program or another server is asked whether it is
        well: ``"/health"``.
    :ivar processes: How many processes of a program there are.
    :ivar start: Seconds until a program must answer, or the daemon does not start.
    :ivar stop: Seconds that it has to end by itself when the daemon does.
    :ivar keep_prefix: Whether another server is asked for the whole path, with that of
        the mount.
    :ivar keep_host: Whether it is told which host was asked for, rather than its own.
    :ivar rewrite: Whether the path of the mount, where the other server is asked
        without it, is put back in its redirects and in the paths of its cookies.
    :ivar balance: Which of several servers has the next request: the one with the
        fewest (``"least"``), or each in turn (``"round"``).
    :ivar health_interval: Seconds between two questions whether one is well.
    :ivar connections: How many connections there may be to each.
    :ivar trust: A file with the certificates by which ``https:`` servers are trusted,
        in PEM; empty for those of the system.
    :ivar host: For which host: ``"api.example.org"``; empty for all.
    :ivar override: Whether it takes the place of what services have there.
    """

    wsgi: str = ""
    asgi: str = ""
    native: str = ""
    command: tuple[str, ...] = ()
    proxy: str | tuple[str, ...] = ()
    directory: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    prefix_variable: str = ""
    longest_body: Annotated[int, Meta(ge=0)] = 100 * 1024 * 1024
    longest_message: Annotated[int, Meta(ge=1)] = 1024 * 1024
    threads: Annotated[int, Meta(ge=1, le=1000)] = 8
    queue: Annotated[int, Meta(ge=0)] = 100
    timeout: Seconds = 30.0
    root_path: Literal["full", "strip", "raw"] = "full"
    asgi_version: Literal[0, 2, 3] = 0
    lifespan: Literal["auto", "on", "off"] = "auto"
    health: str = ""
    processes: Annotated[int, Meta(ge=1, le=100)] = 1
    start: Seconds = 30.0
    stop: Seconds = 10.0
    keep_prefix: bool = True
    keep_host: bool = True
    rewrite: bool = False
    balance: Literal["least", "round"] = "least"
    health_interval: Seconds = 5.0
    connections: Annotated[int, Meta(ge=1, le=100_000)] = 256
    trust: str = ""
    host: str = ""
    override: bool = False


#: What each kind of them takes besides what all do, and what makes it.
_LOADED = ("directory", "environment", "prefix_variable")
_PASSED = ("keep_prefix", "keep_host", "rewrite", "connections", "timeout")
_RUN = ("health", "processes", "start", "stop")
_CHOSEN = ("health", "health_interval", "balance", "trust")
_KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "wsgi": ("wsgi", (*_LOADED, "threads", "queue", "timeout")),
    "asgi": (
        "asgi",
        (
            *(*_LOADED, "root_path", "asgi_version", "lifespan", "longest_message"),
            "timeout",
        ),
    ),
    "native": ("native", (*_LOADED, *_PASSED)),
    "command": ("command", (*_LOADED, *_RUN, *_PASSED)),
    "proxy": ("proxy", (*_CHOSEN, *_PASSED)),
}

_ALL = ("longest_body", "host", "override")

_DEFAULTS = MountSettings()


@define
class BadMount(RopewalkError):
    """
    What is hosted somewhere cannot be.

    :ivar key: Which key of its table says so; empty for all of it.
    :ivar problem: Why not.
    """

    key: str
    problem: str

    def __str__(self) -> str:
        return self.problem


def describe(settings: MountSettings, home: str) -> Hosted:
    """
    What is hosted by a table.

    :param home: The directory of the settings file.
    :raise BadMount: When it says nothing, or too much.
    """
    kind = _kind(settings)
    module, taken = _KINDS[kind]
    for each in structs.fields(MountSettings):
        said = getattr(settings, each.name) != getattr(_DEFAULTS, each.name)
        if said and each.name not in (kind, *taken, *_ALL):
            raise BadMount(each.name, f"this is not for {kind}")
    make = getattr(import_module(f"ropewalk.web.hosting.{module}"), kind)
    options = {name: getattr(settings, name) for name in (*taken, "longest_body")}
    if "directory" in options:
        options["directory"] = os.path.join(home, settings.directory)
    hosted: Hosted = make(getattr(settings, kind), **options)
    return hosted


def missing(settings: MountSettings, home: str) -> str | None:
    """
    Why what is loaded by a table cannot be found, as far as can be told without running
    any of it.

    :param home: The directory of the settings file.
    """
    from ropewalk.web.hosting.loading import amiss

    directory = os.path.join(home, settings.directory)
    target = settings.wsgi or settings.asgi or settings.native
    return amiss(target, directory) if target else None


def keys_of(kind: str) -> frozenset[str]:
    """
    The keys that mean something for a kind of mount, its own among them; none for what
    is no kind.

    :param kind: ``"wsgi"``, ``"asgi"`` …
    """
    return frozenset((kind, *_KINDS[kind][1], *_ALL)) if kind in _KINDS else frozenset()


def _kind(settings: MountSettings) -> str:
    given = [kind for kind in _KINDS if getattr(settings, kind)]
    if not given:
        raise BadMount("", f"say what is here: {_either(_KINDS)} = …")
    if len(given) > 1:
        raise BadMount(given[1], f"something is here already: {given[0]}")
    return given[0]


def _either(names: Any) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"
