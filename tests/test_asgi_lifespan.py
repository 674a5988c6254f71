"""
Tests for L{ropewalk.web.hosting.asgi.lifespan}: the life of an ASGI application.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from ropewalk.web.hosting.asgi.errors import BadEvent, LifespanFailed
from tests.asgi_places import AsgiTestCase, answer, on_loop, turns
from tests.observing import Observed
from tests.visiting import request


class Shop:
    """
    An application with a life.

    :ivar seen: What it has been told, and has done.
    """

    def __init__(self, startup: str = "complete", shutdown: str = "complete") -> None:
        self.seen: list[Any] = []
        self.startup, self.shutdown = startup, shutdown

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            self.seen.append("asked")
            await answer(send)
            return
        self.scope = scope
        self.seen.append((await receive())["type"])
        await self.say(send, "startup", self.startup)
        self.seen.append((await receive())["type"])
        await self.say(send, "shutdown", self.shutdown)

    async def say(self, send: Any, stage: str, how: str) -> None:
        if how == "raise":
            raise ZeroDivisionError(stage)
        if how == "hang":
            await asyncio.Event().wait()
        event = {"type": f"lifespan.{stage}.{how}"}
        await send({**event, "message": "no rope left"} if how == "failed" else event)


class LifespanTests(AsgiTestCase):
    """
    Start and stop.
    """

    @on_loop
    async def test_a_life(self) -> None:
        """
        It starts once, before the first request, and stops when the mounting does.
        """
        shop = Shop()
        mounting = await self.serve(shop)
        self.assertEqual(shop.scope["asgi"], {"version": "3.0", "spec_version": "2.0"})
        self.assertEqual(shop.scope["state"], {})
        self.ask()
        self.ask()
        await mounting.stopService()
        started, stopped = "lifespan.startup", "lifespan.shutdown"
        self.assertEqual(shop.seen, [started, "asked", "asked", stopped])
        await turns()
        self.assertEqual(len(asyncio.all_tasks()), 2)

    @on_loop
    async def test_none(self) -> None:
        """
        Who raises when it is told of a lifespan has none, and is served.
        """
        shop = Shop("raise")
        mounting = await self.serve(shop)
        self.assertEqual(self.ask().status, 200)
        await mounting.stopService()
        self.assertEqual(shop.seen, ["lifespan.startup", "asked"])

    @on_loop
    async def test_returning(self) -> None:
        """
        So has one that returns.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                await answer(send)

        await self.serve(app)
        self.assertEqual(self.ask().status, 200)

    @on_loop
    async def test_off(self) -> None:
        """
        Who is to have none is told nothing.
        """
        shop = Shop()
        mounting = await self.serve(shop, lifespan="off")
        await mounting.stopService()
        self.assertEqual(shop.seen, [])

    async def failure(self, shop: Shop, **options: Any) -> str:
        try:
            await self.serve(shop, **options)
        except LifespanFailed as error:
            return str(error)
        raise AssertionError("it has started")

    @on_loop
    async def test_failed(self) -> None:
        """
        An application that cannot start says why, and the start fails with that.
        """
        told = await self.failure(Shop("failed"))
        self.assertIn("Shop: did not start: no rope left", told)
        await turns()
        self.assertEqual(len(asyncio.all_tasks()), 2)

    @on_loop
    async def test_on(self) -> None:
        """
        Where it must have a lifespan, what it raises fails the start.
        """
        told = await self.failure(Shop("raise"), lifespan="on")
        self.assertIn("did not start: ZeroDivisionError: startup", told)

    @on_loop
    async def test_too_slow(self) -> None:
        """
        A start takes no longer than it may.
        """
        shop = Shop("hang")
        starting = asyncio.ensure_future(self.failure(shop, timeout=5.0))
        await turns()
        self.place.clock.advance(4)
        await turns()
        self.assertFalse(starting.done())
        self.place.clock.advance(1)
        await turns()
        self.assertIn("still starting after 5 seconds", await starting)
        await turns()
        self.assertEqual(len(asyncio.all_tasks()), 2)

    @on_loop
    async def test_stop_fails(self) -> None:
        """
        An application that cannot stop says why, too.
        """
        for how, why in (("failed", "no rope left"), ("raise", "shutdown")):
            self.setUp()
            mounting = await self.serve(Shop(shutdown=how))
            try:
                await mounting.stopService()
            except LifespanFailed as error:
                self.assertIn("did not stop: ", str(error))
                self.assertIn(why, str(error))
            else:
                self.fail(how)

    @on_loop
    async def test_stop_too_slow(self) -> None:
        """
        One that takes too long to stop is cancelled.
        """
        mounting = await self.serve(Shop(shutdown="hang"), timeout=5.0)
        stopping = asyncio.ensure_future(mounting.stopService().asFuture(self.loop()))
        await turns()
        self.assertFalse(stopping.done())
        self.place.clock.advance(5)
        await turns()
        self.assertTrue(stopping.done())
        self.assertEqual(len(asyncio.all_tasks()), 2)

    @on_loop
    async def test_stop_all_the_same(self) -> None:
        """
        It is told to stop even if a request of it does not end when it is cancelled:
        that is waited for for five seconds.
        """
        shop, free = Shop(), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                await shop(scope, receive, send)
                return
            while not free.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await free.wait()
            await answer(send)

        mounting = await self.serve(app)
        self.visit().send(request("/"))
        observed = Observed.during(self)
        stopping = asyncio.ensure_future(mounting.stopService().asFuture(self.loop()))
        await turns()
        self.assertEqual(shop.seen, ["lifespan.startup"])
        self.place.clock.advance(5)
        await turns()
        free.set()
        self.assertEqual(shop.seen, ["lifespan.startup", "lifespan.shutdown"])
        self.assertIn("goes on though it was cancelled", "".join(observed.texts))
        await stopping

    def loop(self) -> Any:
        return asyncio.get_running_loop()

    @on_loop
    async def test_out_of_turn(self) -> None:
        """
        What is said out of turn is an error of the application.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "lifespan.shutdown.complete"})

        told = await self.failure(app, lifespan="on")  # type: ignore[arg-type]
        self.assertIn("'lifespan.shutdown.complete': it is in its startup", told)
        self.assertIn(BadEvent.__name__, told)

    @on_loop
    async def test_by_itself(self) -> None:
        """
        One that stops though nobody has told it to is logged, and not told to stop.
        """
        observed = Observed.during(self)
        events: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            events.append((await receive())["type"])
            await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.failed", "message": "out of rope"})

        mounting = await self.serve(app)
        await turns()
        self.assertIn("has stopped by itself: out of rope", "".join(observed.texts))
        await mounting.stopService()
        self.assertEqual(events, ["lifespan.startup"])
