# -*- test-case-name: tests.test_hosting_native -*-
"""
Servers that run on an event loop of asyncio: each is had to listen at a place of its
own on the loop that runs, and to stop.

Their signal handlers stay out: the daemon has its own.
"""

from __future__ import annotations

import errno
import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from ropewalk.web.hosting.children.orders import free_port
from ropewalk.web.proxying.targets import Target

__all__ = ["Close", "NoServer", "begin", "kind_of"]

#: Ends a server.
Close = Callable[[], Awaitable[Any]]

#: Seconds that what is left of requests has, when the daemon has drained.
_PATIENCE = 3.0

#: Whether somebody else takes a port just before it is used, is for the next try.
_TRIES = 5

_ALONE = (
    "Give this one a process of its own: "
    'command = ["sanic", "…", "--port", "{port}", "--single-process"]'
)

#: Where the application of Sanic is that runs, and what its classes were before that.
_fitted: list[str] = []
_unfitted: dict[tuple[type, str], Any] = {}

#: What is served already, so that nobody serves it twice.
_served: dict[int, str] = {}


class NoServer(Exception):
    """
    Something is no server that runs on asyncio, or cannot be one here.
    """


def kind_of(found: Any) -> str:
    """
    What somebody gave us: ``"serve"``, ``"aiohttp"``, ``"tornado"`` or ``"sanic"``.

    :raise NoServer: When it is nothing of these.
    """
    if inspect.iscoroutinefunction(found) and not _is_asgi(found):
        return "serve"
    for kind, module, name in (
        ("aiohttp", "aiohttp.web", "Application"),
        ("tornado", "tornado.web", "Application"),
        ("sanic", "sanic", "Sanic"),
    ):
        known = getattr(sys.modules.get(module), name, None)
        if known is not None and isinstance(found, known):
            return kind
    what = type(found)
    raise NoServer(
        f"{what.__module__}.{what.__qualname__} is no server that runs on asyncio: "
        "expected 'async def serve(host, port, prefix)', an aiohttp.web.Application, "
        "a tornado.web.Application or a sanic.Sanic; what is called for each request "
        "is mounted with asgi or wsgi"
    )


def _is_asgi(found: Callable[..., Any]) -> bool:
    """Whether a function is called for each request, as ASGI has it."""
    return list(inspect.signature(found).parameters) == ["scope", "receive", "send"]


async def begin(found: Any, prefix: str, socket: str) -> tuple[Target, Close]:
    """
    Have a server listen.

    :param prefix: Where it is mounted: ``""``, ``"/feed"``.
    :param socket: The path of the UNIX socket at which it does, if it is one that can.
    :return: where it listens, and what ends it.
    :raise NoServer: When it is none, or is served already.
    """
    kind = kind_of(found)
    if kind == "serve":
        return await _serve(found, prefix)
    taken = _served.get(id(found))
    if taken is not None:
        raise NoServer(
            f"this application is served at {taken or '/'!r} already, and cannot be "
            "twice: make another with a factory, 'module:make()'"
        )
    _served[id(found)] = prefix
    try:
        close = await _STARTS[kind](found, prefix, socket)
    except BaseException:
        del _served[id(found)]
        raise

    async def end() -> None:
        _served.pop(id(found), None)
        await close()

    return Target(f"unix:{socket}", socket=socket), end


async def _serve(serve: Callable[..., Any], prefix: str) -> tuple[Target, Close]:
    tries = 0
    while True:
        port, tries = free_port(), tries + 1
        try:
            close = await serve("127.0.0.1", port, prefix)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or tries == _TRIES:
                raise
        except Exception as error:
            if type(error).__module__ != "sanic.exceptions":
                raise
            raise NoServer(f"{error} {_ALONE}") from None
        else:
            break
    if not callable(close):
        name = getattr(serve, "__qualname__", repr(serve))
        raise NoServer(f"{name} returned {close!r}, not an async function that ends it")
    return Target(f"http://127.0.0.1:{port}", "127.0.0.1", port), close


async def _start_aiohttp(app: Any, prefix: str, socket: str) -> Close:
    from aiohttp import web

    if prefix and not _knows(app, prefix):
        outer = web.Application(client_max_size=app._client_max_size)
        outer.add_subapp(prefix, app)
        app = outer
    app.middlewares.insert(0, _introduce())
    runner = web.AppRunner(
        app, handle_signals=False, access_log=None, shutdown_timeout=_PATIENCE
    )
    await runner.setup()
    try:
        await web.UnixSite(runner, socket).start()
    except BaseException:
        await runner.cleanup()
        raise
    return runner.cleanup


def _introduce() -> Any:
    """
    Let requests of aiohttp be whose they are: nobody but us can say that at a socket
    that nobody else can reach.
    """
    from aiohttp import web

    @web.middleware
    async def introduce(request: Any, handler: Any) -> Any:
        scheme = request.headers.get("X-Forwarded-Proto", "http")
        remote = request.headers.get("X-Forwarded-For")
        return await handler(request.clone(scheme=scheme, remote=remote))

    return introduce


def _knows(app: Any, prefix: str) -> bool:
    """Whether an application of aiohttp has its prefix in its routes."""
    paths = [each.canonical for each in app.router.resources()]
    return any(path == prefix or path.startswith(prefix + "/") for path in paths)


async def _start_tornado(app: Any, prefix: str, socket: str) -> Close:
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_unix_socket

    server = HTTPServer(app, xheaders=True)
    server.add_socket(bind_unix_socket(socket, mode=0o600))

    async def close() -> None:
        server.stop()
        await server.close_all_connections()

    return close


async def _start_sanic(app: Any, prefix: str, socket: str) -> Close:
    if _fitted:
        raise NoServer(
            "Sanic fits its own classes to the application that it starts, and there "
            f"is one at {_fitted[0] or '/'!r} already. {_ALONE}"
        )
    _fitted.append(prefix)
    try:
        return await _start_only_sanic(app, socket)
    except BaseException:
        _fitted.clear()
        raise


async def _start_only_sanic(app: Any, socket: str) -> Close:
    _take_back_fitting()
    if not app.config.PROXIES_COUNT:
        app.config.PROXIES_COUNT = 1  # it is behind us, and nobody else
    server = await app.create_server(
        unix=socket, return_asyncio_server=True, access_log=False
    )
    if server is None:
        raise NoServer("this Sanic application did not give a server")
    await server.startup()
    await server.before_start()
    await server.start_serving()
    await server.after_start()

    async def close() -> None:
        await server.before_stop()
        closing = server.close()
        for connection in list(server.connections):
            connection.abort()  # it would be waited for (Python 3.12)
        await closing
        await server.after_stop()
        _fitted.clear()

    return close


def _take_back_fitting() -> None:
    """Let Sanic's classes be what they were before the last application."""
    from sanic.touchup.service import TouchUp

    for owner, name in TouchUp._registry:
        before = _unfitted.setdefault((owner, name), getattr(owner, name))
        setattr(owner, name, before)


_STARTS = {
    "aiohttp": _start_aiohttp,
    "tornado": _start_tornado,
    "sanic": _start_sanic,
}
