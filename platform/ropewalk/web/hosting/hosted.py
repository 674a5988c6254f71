# -*- test-case-name: tests.test_hosting -*-
"""
What is common to all that is hosted: it is described, then put at a place, where it
starts and stops with the daemon.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from twisted.application.service import Service
from twisted.web.resource import IResource

from ropewalk.errors import RopewalkError

__all__ = ["Hosted", "Mounting", "Place", "called"]


def _anybody(request: Any) -> None:
    """Let everybody have a WebSocket."""


def _nothing(*args: Any) -> Any:
    raise TypeError("nobody makes WebSockets for what is hosted here")


def called(target: Any) -> str:
    """What an application is called: by its name, if it was named."""
    if isinstance(target, str):
        return target
    kind = type(target)
    name: str | None = getattr(target, "__qualname__", None)
    return name or f"{kind.__module__}.{kind.__qualname__}"


class Place(Struct, frozen=True):
    """
    Where an application is put.

    :ivar path: The path of the mount: ``"/"``, ``"/shop"``.
    :ivar owner: The service that mounted it.
    :ivar origin: Where it did: ``file:line``.
    :ivar reactor: The reactor.
    :ivar sockets: Lets a WebSocket's protocol take a request's connection over:
        called with the request and the protocol.
    :ivar check_socket: Says why a request may not become a WebSocket: called with the
        request, returns an error, or ``None`` when it may.
    :ivar make_socket: Makes such a protocol for somebody who knows none: as
        :class:`ropewalk.net.guests.GuestSocket`.
    :ivar network: A reactor to connect by, whose connections cost less than those of
        ``reactor``; ``None`` where there is none.
    """

    path: str
    owner: str
    origin: str
    reactor: Any
    sockets: Callable[[Any, Any], Any]
    check_socket: Callable[[Any], RopewalkError | None] = _anybody
    make_socket: Callable[..., Any] = _nothing
    network: Any = None

    @property
    def prefix(self) -> str:
        """The path of the mount, as what is below it begins: ``""``, ``"/shop"``."""
        return self.path.rstrip("/")


class Mounting(Service):
    """
    An application at its place: a service that is started before the site listens, and
    stopped after it has drained. What ``startService`` and ``stopService`` return is
    waited for.

    :ivar resource: What answers. It is a leaf, and streams (``streams = True``): it is
        rendered as soon as a request's headers are here, and has the body by
        ``request.intake``.
    """

    resource: IResource

    def problem(self) -> str | None:
        """
        Why what is here cannot be asked just now, or ``None``: the daemon is not ready
        then.
        """
        return None

    def figures(self) -> Any:
        """What can be said of it in numbers: a value that JSON can say."""
        return {}


class Hosted(ABC):
    """
    An application of another framework, as it is described: what
    :meth:`ropewalk.interfaces.IWeb.mount` takes.

    :cvar kind: ``"wsgi"``, ``"asgi"``, …
    :ivar longest_body: Bytes of the longest request body taken; ``None`` for what the
        site takes.
    """

    kind = ""
    longest_body: int | None = None

    @abstractmethod
    def at(self, place: Place) -> Mounting:
        """
        Put it at a place. Nothing is loaded or started yet.

        :raise ropewalk.errors.RopewalkError: When that cannot be.
        """

    @property
    @abstractmethod
    def shown(self) -> str:
        """What it is, for people: ``"shop.wsgi:application (WSGI)"``."""
