# -*- test-case-name: tests.test_mounts -*-
"""
What is served where: paths, and the resources mounted at them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from inspect import iscoroutinefunction
from typing import Any

from attrs import Factory, define, frozen
from klein import Klein
from klein.resource import KleinResource
from twisted.web.resource import IResource

from ropewalk import awaiting
from ropewalk.errors import BadPlugin, Conflict

__all__ = ["Mount", "Mounts", "resource_for"]


@frozen
class Mount:
    """
    Something served at a path.

    :ivar path: ``"/chat"``.
    :ivar resource: What is served.
    :ivar plugin: The service that mounted it.
    :ivar place: Where in its source (``file:line``).
    :ivar kind: ``"pages"`` at the path and below, or a ``"socket"`` at just the
        path.
    :ivar app: What the plugin gave us.
    """

    path: str
    resource: Any
    plugin: str
    place: str
    kind: str
    app: Any


@define
class Mounts:
    """
    The mounts of one site.
    """

    _by_segments: dict[tuple[bytes, ...], Mount] = Factory(dict)
    _depth: int = 0

    def add(self, mount: Mount) -> None:
        """
        Serve it.

        :raise BadPlugin: When the path is none.
        :raise Conflict: When the path is taken.
        """
        if not re.fullmatch(r"/|(/[^/?#]+)+", mount.path):
            problem = (
                f"cannot mount at {mount.path!r}: a path starts with '/' and "
                "does not end with one"
            )
            raise BadPlugin(mount.plugin, mount.place, problem)
        segments = _segments(mount.path)
        taken = self._by_segments.get(segments)
        if taken is not None:
            raise Conflict(
                f"the path {mount.path!r}",
                f"service {taken.plugin!r} ({taken.place})",
                f"service {mount.plugin!r} ({mount.place})",
            )
        self._by_segments[segments] = mount
        self._depth = max(self._depth, len(segments))

    def find(self, segments: list[bytes]) -> tuple[Mount, int] | None:
        """
        The mount that answers for a path: the one with the longest path.

        :param segments: The path's segments, unquoted.
        :return: the mount and how many segments it is deep; ``None`` if nobody
            answers.
        """
        for depth in range(min(len(segments), self._depth), -1, -1):
            mount = self._by_segments.get(tuple(segments[:depth]))
            if mount is None:
                continue
            if mount.kind == "pages" or depth == len(segments):
                return mount, depth
        return None

    def __contains__(self, path: str) -> bool:
        return _segments(path) in self._by_segments

    def __iter__(self) -> Iterator[Mount]:
        """All mounts, by path."""
        return iter(sorted(self._by_segments.values(), key=lambda each: each.path))


def resource_for(app: Any) -> Any:
    """
    The resource that serves what a plugin mounts; ``None`` if nothing can.

    :param app: A ``klein.Klein``, or something that is or adapts to a
        ``twisted.web`` resource.
    """
    if isinstance(app, Klein):
        return KleinResource(_AwaitingKlein(app))  # type: ignore[arg-type]
    return IResource(app, None)


class _AwaitingKlein:
    """
    A Klein app whose ``async def`` handlers may await what they like; Klein
    itself drives them so that they can only await Deferreds.
    """

    def __init__(self, app: Klein) -> None:
        self._app = app

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)

    def execute_endpoint(
        self, endpoint: str, request: Any, *args: Any, **kwargs: Any
    ) -> Any:
        app = self._app
        handler = getattr(app.endpoints[endpoint], "__original__", None)
        if not iscoroutinefunction(handler) or "__rest__" in kwargs:
            return app.execute_endpoint(endpoint, request, *args, **kwargs)
        run: Callable[..., Any] = awaiting.run
        instance = app._instance
        if instance is not None or getattr(handler, "__klein_bound__", False):
            return run(handler, instance, request, *args, **kwargs)
        return run(handler, request, *args, **kwargs)


def _segments(path: str) -> tuple[bytes, ...]:
    return tuple(path.strip("/").encode("utf-8").split(b"/")) if path != "/" else ()
