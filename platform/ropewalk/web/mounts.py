# -*- test-case-name: tests.test_mounts -*-
"""
What is served where: paths, and the resources mounted at them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from attrs import Factory, define, frozen
from klein import Klein
from klein.resource import KleinResource
from twisted.web.resource import IResource

from ropewalk.errors import BadPlugin, Conflict
from ropewalk.web.apps import AppResource

__all__ = ["Mount", "Mounts", "resource_for"]


@frozen
class Mount:
    """
    Something served at a path.

    :ivar path: ``"/chat"``, as people read it: nothing in it is percent-encoded.
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

        :raise BadPlugin: When nobody could ever ask for the path.
        :raise Conflict: When the path is taken.
        """
        wrong = _wrong(mount.path)
        if wrong is not None:
            problem = f"cannot mount at {mount.path!r}: {wrong}"
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

        :param segments: The path's segments, unquoted: ``[b"chat", b"lobby"]``.
        :return: the mount and how many segments it is deep; ``None`` if nobody
            answers.
        """
        if segments == [b""]:  # the path "/" has no segment that says anything
            segments = []
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
        return AppResource(app)
    if type(app) is KleinResource and isinstance(app._app, Klein):
        return AppResource(app._app)
    return IResource(app, None)


def _segments(path: str) -> tuple[bytes, ...]:
    return tuple(path.strip("/").encode("utf-8").split(b"/")) if path != "/" else ()


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
