"""
Tests for L{ropewalk.web.hosting.asgi}: an application, described and at its place.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from textwrap import dedent
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ropewalk.errors import BadPlugin, NeedsAsyncio
from ropewalk.web.hosting import Place as HostingPlace
from ropewalk.web.hosting.asgi import asgi
from ropewalk.web.hosting.asgi.errors import ClientLeft, LifespanFailed, left
from ropewalk.web.hosting.loading import BadApplication
from ropewalk.web.hosting.settings import MountSettings, describe
from tests.asgi_places import AsgiTestCase, answer, on_loop
from tests.test_upgrade import HANDSHAKE

reactor: Any = global_reactor


def place(path: str = "/") -> HostingPlace:
    return HostingPlace(path, "shop", "x.py:1", reactor, lambda *_: None)


class DescribedTests(SynchronousTestCase):
    """
    An application as it is described.
    """

    def test_shown(self) -> None:
        """
        It is called as its target, or as what it is.
        """
        self.assertEqual(asgi("api:app").shown, "api:app (ASGI)")
        self.assertEqual(asgi(answer).shown, "answer (ASGI)")
        self.assertIn("Path (ASGI)", asgi(Path(".")).shown)

    def test_bad(self) -> None:
        """
        What cannot be is refused, with what can.
        """
        wrong: Any
        for name, wrong in (
            ("root_path", "half"),
            ("lifespan", "maybe"),
            ("asgi_version", 4),
        ):
            options: Any = {name: wrong}
            with self.assertRaises(BadPlugin) as caught:
                asgi("api:app", **options).at(place())
            told = str(caught.exception)
            self.assertIn(f"{name} = {wrong!r} of an ASGI application", told)

    def test_another_reactor(self) -> None:
        """
        On a reactor that is not asyncio's it says which to take.
        """
        failure = self.failureResultOf(asgi(answer).at(place()).startService())
        self.assertTrue(failure.check(NeedsAsyncio))
        self.assertIn("-r asyncio", str(failure.value))

    def test_left(self) -> None:
        """
        An error comes of it that a client has left if that is among its causes.
        """
        error = RuntimeError()
        error.__context__ = ValueError()
        self.assertFalse(left(error))
        error.__context__.__cause__ = ClientLeft()
        self.assertTrue(left(error))
        circle = ValueError()
        circle.__context__ = RuntimeError()
        circle.__context__.__context__ = circle
        self.assertFalse(left(circle))


class LoadingTests(TestCase):
    """
    Applications that are loaded.
    """

    def write(self, source: str) -> str:
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "asgi_shop.py").write_text(dedent(source))
        return str(directory.resolve())

    async def load(self, source: str, **options: Any) -> Any:
        directory = self.write(source)
        mounting = asgi("asgi_shop:app", directory=directory, **options).at(
            place("/shop")
        )
        await deferLater(reactor, 0)  # trial's reactor runs only when it has to
        await mounting.startService()
        self.addCleanup(mounting.stopService)
        return mounting

    async def test_timeout(self) -> None:
        """
        The settings of a mount say for how long its application may start.
        """
        directory = self.write(
            """
            async def app(scope, receive, send):
                await receive()
                await receive()  # which never comes
            """
        )
        settings = MountSettings(asgi="asgi_shop:app", timeout=0.01)
        mounting: Any = describe(settings, directory).at(place("/shop"))
        await deferLater(reactor, 0)
        with self.assertRaises(LifespanFailed) as caught:
            await mounting.startService()
        self.assertIn("still starting after 0.01 seconds", str(caught.exception))

    async def test_in_a_thread(self) -> None:
        """
        It is loaded where no loop runs, but the one that will run is known, and so is
        the path of its mount.
        """
        mounting = await self.load(
            """
            import asyncio, os, threading
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                runs = False
            else:
                runs = True
            loop = asyncio.get_event_loop()
            main = threading.current_thread() is threading.main_thread()
            prefix = os.environ["ROPEWALK_MOUNT"], os.environ["SEED"]

            async def app(scope, receive, send):
                scope["state"]["seen"] = runs, loop, main, prefix
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
            """,
            prefix_variable="SEED",
        )
        seen = mounting._scopes.state["seen"]
        loop = asyncio.get_running_loop()
        self.assertEqual(seen, (False, loop, False, ("/shop", "/shop")))

    async def test_nothing_there(self) -> None:
        """
        What cannot be loaded says why, and the start fails.
        """
        with self.assertRaises(BadApplication):
            await self.load("application_of_another_name = 1")


class PlaceTests(AsgiTestCase):
    """
    An application at its place.
    """

    @on_loop
    async def test_too_early(self) -> None:
        """
        Who asks before it has started is told to come again.
        """
        mounting = asgi(answer).at(place())
        self.place.mount("/", mounting.resource, "shop")
        self.assertEqual(self.ask().status, 503)

    @on_loop
    async def test_beside_others(self) -> None:
        """
        What is not below its mount is not its.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await answer(send, scope["path"].encode())

        await self.serve(app, "/shop", lifespan="off")
        self.assertEqual(self.ask("/shop/x").body, b"/shop/x")
        self.assertEqual(self.ask("/shop").body, b"/shop")
        self.assertEqual(self.ask("/shopping").status, 404)

    @on_loop
    async def test_leaving(self) -> None:
        """
        C{SystemExit} in an application ends its request, and not the daemon.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.sleep(0)
            raise SystemExit(3)

        await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(5):
            await asyncio.sleep(0)
        self.assertEqual(visit.answer().status, 500)
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)

    @on_loop
    async def test_old_sockets(self) -> None:
        """
        A WebSocket needs HTTP/1.1: an application is not asked by a client of 1.0.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise AssertionError(scope)

        await self.serve(app, lifespan="off")
        visit = self.visit()
        lines = [f"{name}: {value}\r\n" for name, value in HANDSHAKE.items()]
        visit.send(f"GET / HTTP/1.0\r\n{''.join(lines)}\r\n".encode())
        self.assertEqual(visit.answer().status, 426)
