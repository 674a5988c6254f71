"""
ASGI applications on a site in memory, and the loop that they run on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import install
from ropewalk.run.configuration import SiteSettings
from ropewalk.run.sites import WebSite
from ropewalk.web.home import Home
from ropewalk.web.hosting import Place as HostingPlace
from ropewalk.web.hosting.asgi import asgi
from ropewalk.web.hosting.asgi.mounting import AsgiMounting
from ropewalk.web.proxies import Proxies
from tests.visiting import Answer, Place, Visit

__all__ = ["AsgiTestCase", "answer", "on_loop", "turns"]


def on_loop(test: Callable[[Any], Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
    """A test that runs on an asyncio loop of its own."""

    async def main(self: Any) -> None:
        install(asyncio.get_running_loop())
        await asyncio.ensure_future(test(self))

    @wraps(test)
    def run(self: Any) -> None:
        asyncio.run(main(self))

    return run


async def turns(number: int = 10) -> None:
    """Let the loop go on."""
    for _ in range(number):
        await asyncio.sleep(0)


async def answer(
    send: Any,
    body: bytes = b"",
    status: int = 200,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    """Send an answer of one piece."""
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": headers or []})
    await send({"type": "http.response.body", "body": body})


class AsgiTestCase(SynchronousTestCase):
    """
    A site with an application on it.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.web = WebSite(
            "",
            SiteSettings(listen=("tcp:1",)),
            Proxies(()),
            Home("", tuple),
            self.place.clock,
        )
        self.place.site.mounts.sockets = self.web.mounts.sockets

    async def serve(self, app: Any, path: str = "/", **options: Any) -> AsgiMounting:
        """Mount an application, and start it."""
        where = HostingPlace(
            path,
            "shop",
            "x.py:1",
            self.place.clock,
            self.web.mounts.sockets,
            self.web.check_socket,
            self.web.make_socket,
        )
        mounting = asgi(app, **options).at(where)
        self.place.mount(path, mounting.resource, "shop")
        await mounting.startService()
        return mounting

    def ask(self, path: str = "/", *args: Any, **kwargs: Any) -> Answer:
        """Ask on a connection of its own."""
        return self.place.visit().ask(path, *args, **kwargs)

    def visit(self) -> Visit:
        return self.place.visit()
