# -*- test-case-name: tests.test_sites -*-
"""
Where services put their pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zope.interface import Interface

__all__ = ["IWeb"]


class IWeb(Interface):
    """
    A web site that services put their pages on.
    """

    def site(name: str) -> IWeb:
        """
        Another site of the daemon.

        :param name: As the settings call it: ``"internal"`` for the table
            ``[web.sites.internal]``; empty for the default one.
        :raise BadPlugin: When the settings do not have it.
        """

    def mount(
        path: str, app: Any, *, host: str | None = None, override: bool = False
    ) -> None:
        """
        Serve something at a path and below it.

        :param path: ``"/chat"``; ``"/"`` for all that nobody else has.
        :param app: A :class:`~ropewalk.web.routes.Routes`, a ``klein.Klein``, or a
            ``twisted.web`` resource. Applications may share a path, as long as no
            route is in two of them.
        :param host: For which host: ``"api.example.org"``, or
            ``"<company>.example.org"``, whose parameter is an argument of the
            handlers; ``None`` for all. Who is asked by name comes first.
        :param override: Take the place of another service's routes. An application
            takes the methods that it answers, a resource all that is mounted there.
        :raise BadPlugin: When nobody could ask for it, or it cannot be served.
        :raise Conflict: When the path is taken. That two services have one route is
            found when all are made.
        """

    def socket(
        path: str, protocol: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        """
        Serve WebSockets at a path.

        :param path: ``"/game/live"``; exactly this path, nothing below it.
        :param protocol: An Autobahn ``WebSocketServerProtocol`` class, called
            with ``args`` and ``kwargs`` for each connection.
        :raise Conflict: When the path is taken.
        """

    def use(*middleware: Any) -> None:
        """
        Put middleware around every request of the site, whoever answers it: see
        ``ropewalk.web.around``. The first is the outermost; it is inside of what
        was put there before.

        :raise TypeError: For something that is no middleware.
        """

    def component(
        function: Callable[..., Any],
        *,
        provides: Any = None,
        close: Callable[[Any], Any] | None = None,
        security: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Let a function make what handlers ask for by its type, on all of the site:
        see ``ropewalk.web.components``.
        """

    def provide(kind: Any, value: Any) -> None:
        """
        Give one value to all handlers of the site that ask for its type.
        """

    def when(moment: str, listener: Callable[..., object]) -> None:
        """
        Be told of every request of the site.

        :param moment: ``"started"``, ``"finished"``, or ``"failed"`` by accident.
        :param listener: Called with the request, and for ``"failed"`` with a
            ``Failure`` as well.
        :raise ValueError: When there is no such moment.
        """
