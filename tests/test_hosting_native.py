"""
Tests for L{ropewalk.web.hosting.native}: servers of other frameworks on our event loop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor as global_reactor
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import NeedsAsyncio
from ropewalk.interfaces import Steps
from ropewalk.web.hosting import Mounting
from ropewalk.web.hosting import Place as At
from ropewalk.web.hosting.listeners import NoServer, kind_of
from ropewalk.web.hosting.loading import BadApplication
from ropewalk.web.hosting.native import native
from tests.proxying import RealSite
from tests.visiting import chunked, request

reactor: Any = global_reactor

AIOHTTP = """\
import os
from aiohttp import web

async def hello(request):
    body = await request.read()
    said = [request.path, str(len(body)), request.remote, request.scheme]
    return web.Response(text=" ".join([*said, os.environ.get("MINE", "")]))

async def live(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data + "!")
    return socket

async def begin(app):
    log.append("begun")
    yield
    log.append("ended")

def make():
    app = web.Application()
    app.router.add_route("*", "/hello", hello)
    app.router.add_get("/live", live)
    app.cleanup_ctx.append(begin)
    return app

log = []
app = make()
"""

TORNADO = """\
import os
from tornado.web import Application, RequestHandler

class Hello(RequestHandler):
    def get(self):
        self.write(f"{self.request.path} {self.request.remote_ip}")

app = Application([(os.environ["ROPEWALK_MOUNT"] + "/hello", Hello)])
"""

SANIC = """\
import os
from sanic import Sanic, text

app = Sanic("feed", configure_logging=False)
log = app.ctx.log = []

@app.before_server_start
async def begin(app, loop):
    log.append("begun")

@app.after_server_stop
async def end(app, loop):
    log.append("ended")

@app.get(os.environ["ROPEWALK_MOUNT"] + "/hello")
async def hello(request):
    return text(f"{request.path} {request.remote_addr}")
"""

SERVE = """\
import asyncio

async def serve(host, port, prefix=""):
    async def answer(reader, writer):
        head = await reader.readuntil(b"\\r\\n\\r\\n")
        body = b"%b behind %b" % (head.split()[1], prefix.encode())
        writer.write(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + body)
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(answer, host, port)
    async def close():
        server.close()
    return close

async def nothing(host, port, prefix=""):
    return None
"""


def needs(module: str) -> None:
    """Skip a test where a framework is not installed; where it has to be, fail."""
    try:
        __import__(module)
    except ImportError:
        if os.environ.get("CI"):
            raise
        raise SkipTest(f"{module} is not installed") from None


class NativeCase(TestCase):
    """
    A server on a site of ours.
    """

    timeout = 60

    @inlineCallbacks
    def setUp(self) -> Steps[None]:  # type: ignore[override]
        yield deferLater(reactor, 0)  # on the loop, as it runs
        if asyncio._get_running_loop() is None:
            raise SkipTest("these run on asyncio's reactor: --reactor asyncio")
        self.here = Path(self.mktemp()).absolute()
        self.here.mkdir()

    def mounting(self, source: str, target: str, path: str = "/feed") -> Mounting:
        """A server that is written so."""
        module, _, name = target.partition(":")
        # A module is imported once in a process, and each test has its own.
        unique = f"{module}_{self.id().rpartition('.')[2]}"
        (self.here / f"{unique}.py").write_text(source, "utf-8")
        described = native(
            f"{unique}:{name}",
            directory=str(self.here),
            environment={"OWN": "1"},
            prefix_variable="MINE",
        )
        return described.at(At(path, "shop", "x.py:1", reactor, lambda *each: None))

    @inlineCallbacks
    def serve(self, source: str, target: str, path: str = "/feed") -> Steps[RealSite]:
        site: RealSite = yield RealSite.of(path, self.mounting(source, target, path))
        self.addCleanup(site.stop)
        return site

    def module(self, name: str) -> Any:
        """A module of an application."""
        return sys.modules[f"{name}_{self.id().rpartition('.')[2]}"]


class FrameworkTests(NativeCase):
    """
    What a framework calls an application is had to listen.
    """

    @inlineCallbacks
    def test_aiohttp(self) -> Steps[None]:
        """
        aiohttp: below the path of its mount, which need not be in its routes.
        """
        needs("aiohttp")
        site = yield self.serve(AIOHTTP, "feed:app")
        answer = yield site.get("/feed/hello")
        self.assertEqual(answer, (200, b"/feed/hello 0 127.0.0.1 http /feed"))
        self.assertEqual((yield site.get("/feed/x"))[0], 404)
        self.assertEqual((yield site.get("/hello"))[0], 404)
        ask = request(
            "/feed/hello", "POST", "Connection: close", "Transfer-Encoding: chunked"
        )
        said = yield site.ask(ask + chunked(b"one", b"three"))
        self.assertIn(b"/feed/hello 8 ", said)
        yield site.stop()
        self.assertEqual(self.module("feed").log, ["begun", "ended"])

    @inlineCallbacks
    def test_root(self) -> Steps[None]:
        """
        Or at the root of a site.
        """
        needs("aiohttp")
        site = yield self.serve(AIOHTTP, "feed:make()", "/")
        self.assertEqual((yield site.get("/hello"))[0], 200)

    @inlineCallbacks
    def test_tornado(self) -> Steps[None]:
        """
        Tornado: who is asking is who asks us.
        """
        needs("tornado")
        site = yield self.serve(TORNADO, "feed:app")
        answer = yield site.get("/feed/hello")
        self.assertEqual(answer, (200, b"/feed/hello 127.0.0.1"))

    @inlineCallbacks
    def test_sanic(self) -> Steps[None]:
        """
        Sanic: with its listeners, in their order.
        """
        needs("sanic")
        site = yield self.serve(SANIC, "feed:app")
        answer = yield site.get("/feed/hello")
        self.assertEqual(answer, (200, b"/feed/hello 127.0.0.1"))
        yield site.stop()
        self.assertEqual(self.module("feed").log, ["begun", "ended"])

    @inlineCallbacks
    def test_function(self) -> Steps[None]:
        """
        Anything that an async function has to listen.
        """
        site = yield self.serve(SERVE, "feed:serve")
        answer = yield site.get("/feed/a?b")
        self.assertEqual(answer, (200, b"/feed/a?b behind /feed"))
        yield site.stop()
        self.assertEqual(site.mounting.figures()["open"], 0)

    @inlineCallbacks
    def test_socket(self) -> Steps[None]:
        """
        A WebSocket goes through.
        """
        needs("aiohttp")
        import aiohttp

        site = yield self.serve(AIOHTTP, "feed:make()")

        async def talk() -> list[str]:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"{site.base}/feed/live") as socket,
            ):
                await socket.send_str("hello")
                return [await socket.receive_str(timeout=10)]

        self.assertEqual((yield talk()), ["hello!"])

    @inlineCallbacks
    def test_signals(self) -> Steps[None]:
        """
        The daemon's signal handlers stay.
        """
        needs("aiohttp")
        needs("sanic")
        kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = [signal.getsignal(kind) for kind in kinds]
        site = yield self.serve(AIOHTTP, "feed:make()")
        other = yield self.serve(SANIC.replace('"feed"', '"signals"'), "other:app")
        self.assertEqual([signal.getsignal(kind) for kind in kinds], before)
        yield site.stop()
        yield other.stop()
        self.assertEqual([signal.getsignal(kind) for kind in kinds], before)

    @inlineCallbacks
    def test_private(self) -> Steps[None]:
        """
        It listens where nobody else can come, and leaves nothing behind.
        """
        needs("aiohttp")
        site = yield self.serve(AIOHTTP, "feed:make()")
        (backend,) = site.mounting.backends
        directory = Path(backend.target.socket).parent
        self.assertEqual(directory.stat().st_mode & 0o777, 0o700)
        yield site.stop()
        self.assertFalse(directory.exists())


class RefusalTests(NativeCase):
    """
    What cannot be served is refused when the daemon starts, and says why.
    """

    @inlineCallbacks
    def assertRefused(
        self, problem: str, source: str, target: str, path: str = "/feed"
    ) -> Steps[None]:
        starting = self.mounting(source, target, path).startService()
        error = yield self.assertFailure(starting, BadApplication)
        self.assertRegex(str(error), problem)

    @inlineCallbacks
    def test_no_server(self) -> Steps[None]:
        """
        What is called for each request is no server.
        """
        wsgi = "def app(environ, start_response):\n    return []\n"
        yield self.assertRefused("mounted with asgi or wsgi", wsgi, "feed:app")
        asgi = "async def app(scope, receive, send):\n    pass\n"
        yield self.assertRefused("mounted with asgi or wsgi", asgi, "other:app")

    @inlineCallbacks
    def test_no_end(self) -> Steps[None]:
        """
        A function that does not say how it is ended is none.
        """
        problem = "nothing returned None, not an async function that ends it"
        yield self.assertRefused(problem, SERVE, "feed:nothing")

    @inlineCallbacks
    def test_missing(self) -> Steps[None]:
        """
        What is not there is named.
        """
        yield self.assertRefused(
            "there is no 'srve'.*did you mean 'serve'", SERVE, "f:srve"
        )

    @inlineCallbacks
    def test_twice(self) -> Steps[None]:
        """
        One application cannot be served at two places.
        """
        needs("aiohttp")
        yield self.serve(AIOHTTP, "feed:app")
        problem = "is served at '/feed' already, and cannot be twice"
        yield self.assertRefused(problem, AIOHTTP, "feed:app", "/other")

    @inlineCallbacks
    def test_same_name(self) -> Steps[None]:
        """
        Nor can two of Sanic that have one name.
        """
        needs("sanic")
        source = SANIC.replace('"feed"', '"same"')
        yield self.serve(source, "feed:app")
        problem = 'app name "same" already in use'
        yield self.assertRefused(problem, source, "other:app", "/other")

    @inlineCallbacks
    def test_same_name_later(self) -> Steps[None]:
        """
        Whoever makes them: the way out is told.
        """
        needs("sanic")
        source = SANIC.replace('"feed"', '"later"')
        made = "from sanic import Sanic\n\nasync def serve(host, port, prefix):\n"
        made += "    Sanic('later', configure_logging=False)\n"
        yield self.serve(source, "feed:app")
        problem = 'app name "later" already in use. Give this one a process of its own'
        yield self.assertRefused(problem, made, "other:serve", "/other")

    @inlineCallbacks
    def test_two_of_sanic(self) -> Steps[None]:
        """
        Nor can two of Sanic that have not: it would take from the first what the second
        does not need. One after the other can.
        """
        needs("sanic")
        site = yield self.serve(SANIC.replace('"feed"', '"first"'), "feed:app")
        problem = "there is one at '/feed' already. Give this one a process of its own"
        source = SANIC.replace('"feed"', '"second"')
        yield self.assertRefused(problem, source, "other:app", "/other")
        yield site.stop()
        second = yield self.serve(SANIC.replace('"feed"', '"third"'), "third:app")
        self.assertEqual((yield second.get("/feed/hello"))[0], 200)


class ReactorTests(SynchronousTestCase):
    """
    Only asyncio's reactor has a loop for them.
    """

    def test_no_loop(self) -> None:
        """
        On another, the daemon does not start, and says what is needed.
        """
        at = At("/feed", "shop", "x.py:1", Clock(), lambda *each: None)
        mounting = native(print).at(at)
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            error = self.failureResultOf(mounting.startService(), NeedsAsyncio).value
        finally:
            asyncio._set_running_loop(loop)
        self.assertIn("print (native)", str(error))

    def test_shown(self) -> None:
        """
        It is shown by its name.
        """
        self.assertEqual(native("feed:serve").shown, "feed:serve (native)")
        self.assertEqual(native(object()).shown, "builtins.object (native)")

    def test_kinds(self) -> None:
        """
        What is no server is told what would be.
        """
        with self.assertRaisesRegex(NoServer, "expected 'async def serve"):
            kind_of(lambda: None)
