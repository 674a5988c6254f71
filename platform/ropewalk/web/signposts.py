# -*- test-case-name: tests.test_mounts -*-
"""
What stands at a path besides routes: a resource that was mounted, a redirect, and the
list of methods that there are.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from msgspec import Struct, field
from twisted.web.resource import (
    Resource,
    _IEncodingResource,
    getChildForRequest,
)
from twisted.web.server import NOT_DONE_YET

from ropewalk.web.answers import Response, deliver
from ropewalk.web.refusals import nobody, refuse, with_options
from ropewalk.web.routes import Options
from ropewalk.web.wrapping import clock_of

__all__ = ["Elsewhere", "Mounted", "Offered", "descend", "lacks_get"]


class Mounted(Struct, eq=False):
    """
    A ``twisted.web`` resource at its place: it has all that is below its path.

    :ivar path: The path.
    :ivar handler: What was mounted.
    :ivar resource: What of it renders.
    :ivar lane: As of an :class:`~ropewalk.web.serving.Endpoint`.
    """

    path: str
    plugin: str
    place: str
    handler: Any
    resource: Any
    depth: int
    kind: str = "resource"
    methods: frozenset[str] | None = None
    options: Options = field(default_factory=Options)
    binding: Any = None
    is_root: bool = False
    lane: tuple[Any, ...] | None = None

    @property
    def shown(self) -> str:
        """As of an :class:`Endpoint`."""
        return self.path if self.kind == "socket" else f"{self.path.rstrip('/')}/…"

    def enter(self, request: Any) -> Any:
        """
        Take a request.

        :return: what renders it.
        """
        request.route = self
        if self.options.streams and getattr(request, "unwalked", False):
            request._entered = self  # the rest when somebody asks for it
            return self.resource
        self.walk(request)
        return self.rendering(request)

    def way(self) -> tuple[Any, ...] | None:
        """
        The lane to a resource that has all that is below its path, and knows by itself
        what that is; ``None`` to any other, or where an answer may be encoded.
        """
        if not self.options.streams or _IEncodingResource.providedBy(self.resource):
            return None
        if self.lane is None:
            render = self.resource.render
            self.lane = (self, render, None, None, render, False)
        return self.lane

    def write(self, request: Any, answer: Any) -> Any:
        """What the resource has rendered; ``None`` for what nobody may render."""
        return answer if answer is NOT_DONE_YET or isinstance(answer, bytes) else None

    def render(self, request: Any) -> Any:
        """Give, or raise, what came of it on a lane."""
        return request.outcome()

    def walk(self, request: Any) -> None:
        """Take what belongs here of a request's path."""
        descend(request, self.depth)

    def rendering(self, request: Any) -> Any:
        """What renders a request that has come down to here."""
        if not request.postpath and _is_directory(self.resource):
            path = request.uri.partition(b"?")[0].strip(b"/")
            return Elsewhere(f"/{path.decode('latin-1')}/")
        return getChildForRequest(self.resource, request)


class Elsewhere(Resource):
    """
    Leads to another path (308; RFC 9110, section 15.4.9): to one with a slash at its
    end, say, from where relative links lead on.

    :param path: Percent-encoded.
    """

    isLeaf = True
    plugin = ""  # the site's

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def enter(self, request: Any) -> Elsewhere:
        """It renders itself."""
        return self

    def call(self, request: Any, args: dict[str, Any]) -> Response:
        """Where to go; what was asked for goes along."""
        _, mark, query = request.uri.partition(b"?")
        return Response(
            b"", 308, {"Location": self._path.encode("latin-1") + mark + query}
        )

    def render(self, request: Any) -> Any:
        """Say where to go."""
        return deliver(request, self.call(request, {}), clock=clock_of(request))


class Offered:
    """
    Says which methods there are: what OPTIONS asks for (RFC 9110, section 9.3.7), or
    what another one is told that is not there (section 15.5.6).

    :param allowed: The methods.
    :param status: 204 or 405.
    """

    isLeaf = True
    plugin = ""  # the site's

    def __init__(self, allowed: Collection[str], status: int = 204) -> None:
        self._allowed = allowed
        self._status = status

    def enter(self, request: Any) -> Offered:
        """It renders itself."""
        return self

    def call(self, request: Any, args: dict[str, Any]) -> Response:
        """The methods."""
        if self._status == 204:
            return Response(b"", 204, {"Allow": ", ".join(with_options(self._allowed))})
        return Response(refuse(request, nobody(self._allowed, request.method)))

    def render(self, request: Any) -> Any:
        """Say which there are."""
        response = self.call(request, {})
        return deliver(request, response, clock=clock_of(request))


def _is_directory(resource: Any) -> bool:
    """
    Whether a resource does not answer for itself: its child without a name does.
    """
    return lacks_get(resource) and not resource.isLeaf and b"" in resource.children


def lacks_get(resource: Any) -> bool:
    """
    Whether a resource has no ``render_GET``, which the ``render_HEAD`` that all
    have would call.
    """
    kind = type(resource)
    return (
        isinstance(resource, Resource)
        and kind.render is Resource.render
        and kind.render_HEAD is Resource.render_HEAD
        and not hasattr(resource, "render_GET")
    )


def descend(request: Any, depth: int) -> None:
    """Move as many segments from what is left of the path to what is taken."""
    request.prepath = [*request.prepath, *request.postpath[:depth]]
    request.postpath = request.postpath[depth:]
