# -*- test-case-name: tests.test_asgi -*-
"""
An ASGI application, as it is described.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from ropewalk.errors import BadPlugin
from ropewalk.web.hosting.asgi.lifespan import MODES, Mode
from ropewalk.web.hosting.asgi.mounting import AsgiMounting, Load
from ropewalk.web.hosting.asgi.scopes import DIALECTS, Dialect
from ropewalk.web.hosting.hosted import Hosted, Place, called
from ropewalk.web.hosting.loading import load

__all__ = ["Asgi", "asgi"]

#: Bytes of the longest request body, unless told.
LONGEST_BODY = 100 * 1024 * 1024

#: Bytes of the longest message of a WebSocket, unless told.
LONGEST_MESSAGE = 1024 * 1024


class Asgi(Hosted):
    """An ASGI application: see :func:`asgi`."""

    kind = "asgi"

    def __init__(
        self,
        target: Any,
        *,
        root_path: Dialect,
        version: int,
        lifespan: Mode,
        directory: str | os.PathLike[str],
        environment: Mapping[str, str],
        prefix_variable: str,
        longest_body: int | None,
        longest_message: int,
        timeout: float,
    ) -> None:
        self._target, self._directory = target, os.fspath(directory)
        self._environment = dict(environment)
        self._prefix_variable = prefix_variable
        self.longest_body = longest_body
        self._options: dict[str, Any] = {
            "dialect": root_path,
            "version": version,
            "lifespan": lifespan,
            "timeout": timeout,
            "longest_body": longest_body,
            "longest_message": longest_message,
        }

    @property
    def shown(self) -> str:
        return f"{called(self._target)} (ASGI)"

    def at(self, place: Place) -> AsgiMounting:
        """
        :raise BadPlugin: When it is described as none can be.
        """
        options = self._options
        _check(place, "root_path", options["dialect"], DIALECTS)
        _check(place, "lifespan", options["lifespan"], MODES)
        _check(place, "asgi_version", options["version"], (0, 2, 3))
        app = self._target
        if isinstance(app, str):
            environment = dict(self._environment)
            if self._prefix_variable:
                environment[self._prefix_variable] = place.prefix
            app = Load(partial(load, app, self._directory, environment, place.prefix))
        return AsgiMounting(app, called(self._target), place, **options)


def asgi(
    target: Any,
    *,
    root_path: Dialect = "full",
    asgi_version: int = 0,
    lifespan: Mode = "auto",
    directory: str | os.PathLike[str] = "",
    environment: Mapping[str, str] = {},
    prefix_variable: str = "",
    longest_body: int | None = LONGEST_BODY,
    longest_message: int = LONGEST_MESSAGE,
    timeout: float = 30.0,
) -> Asgi:
    """
    An ASGI application, to be mounted: FastAPI, Starlette, Django, Quart, Litestar ….

    :param target: Where it is, ``"api:app"`` for ``app`` of the module ``api``; or the
        application itself.
    :param root_path: How it is told of its mount. ``"full"``: the path has it, and
        ``root_path`` says how much of the path it is. ``"strip"``: the path does not
        have it. ``"raw"``: the path has it, and ``root_path`` is empty, for an
        application that has its prefix in its routes.
    :param asgi_version: Which ASGI it speaks: 2 or 3; 0 finds out where that is
        certain, and takes it for 3 otherwise.
    :param lifespan: Whether it is told when it starts and stops: ``"on"``, ``"off"``,
        or ``"auto"`` for as long as it does not raise when it is told the first time.
    :param directory: Where its modules are, if not on ``sys.path``.
    :param environment: Environment variables, set before it is loaded. One of them is
        ``ROPEWALK_MOUNT``, the path of the mount.
    :param prefix_variable: Another name for that.
    :param longest_body: Bytes of the longest request body; ``None`` for what the site
        takes.
    :param longest_message: Bytes of the longest message that a WebSocket's peer may
        send.
    :param timeout: Seconds that its start may take, and its end.
    """
    return Asgi(
        target,
        root_path=root_path,
        version=asgi_version,
        lifespan=lifespan,
        directory=directory,
        environment=environment,
        prefix_variable=prefix_variable,
        longest_body=longest_body,
        longest_message=longest_message,
        timeout=timeout,
    )


def _check(place: Place, name: str, value: Any, known: tuple[Any, ...]) -> None:
    if value not in known:
        meant = ", ".join(map(repr, known))
        problem = f"{name} = {value!r} of an ASGI application: expected one of {meant}"
        raise BadPlugin(place.owner, place.origin, problem)
