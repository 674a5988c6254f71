"""
ASGI applications of frameworks, as they are, in a real daemon: over HTTP/1.1, HTTP/2
and WebSocket.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import skipUnless

import httpx
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import http

from tests.certificates import make_pem
from tests.commandline import Running
from tests.test_hosting_wsgi import require

STARLETTE = """
import contextlib

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"rope": "hemp"}


async def where(request):
    return JSONResponse([request.scope["http_version"], str(request.url_for("inner")),
                         request.state.rope])


async def size(request):
    number = 0
    async for piece in request.stream():
        number += len(piece)
    return PlainTextResponse(str(number))


async def fail(request):
    raise ZeroDivisionError


async def pieces(request):
    async def make():
        for number in range(3):
            yield f"{number}\\n"
    return StreamingResponse(make())


async def echo(socket):
    await socket.accept(subprotocol="rope")
    async for text in socket.iter_text():
        if text == "bye":
            await socket.close(4001, "enough")
            return
        await socket.send_text(text[::-1])


app = Starlette(lifespan=lifespan, routes=[
    Route("/where", where), Route("/size", size, methods=["POST"]),
    Route("/fail", fail), Route("/pieces", pieces), WebSocketRoute("/echo", echo),
    Mount("/in", routes=[Route("/ner", where, name="inner")]),
])
"""

DJANGO = """
import os

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import connection
from django.http import HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="of tests", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,
    FORCE_SCRIPT_NAME=os.environ["ROPEWALK_MOUNT"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)


def index(request):
    return HttpResponse(f"{request.path} {LOADED}")


urlpatterns = [path("index", index)]
application = get_asgi_application()
with connection.cursor() as cursor:  # as applications do that load what they need
    LOADED = cursor.execute("select 41 + 1").fetchone()[0]
"""


@contextmanager
def serving(home: Path) -> Iterator[dict[str, str]]:
    """Run a daemon that serves them, and say where, by scheme."""
    home.mkdir()
    (home / "star.py").write_text(STARLETTE, "utf-8")
    (home / "django_site.py").write_text(DJANGO, "utf-8")
    (home / "pem").write_bytes(make_pem())
    listen = [
        "tcp:0:interface=127.0.0.1",
        "ssl:0:interface=127.0.0.1:privateKey=pem:certKey=pem",
    ]
    settings = (
        f"[web]\nlisten = {listen}\n[web.mounts]\n"
        '"/star" = { asgi = "star:app", lifespan = "on" }\n'
        '"/site" = { asgi = "django_site:application" }\n'
    )
    (home / "ropewalk.toml").write_text(settings, "utf-8")
    running = Running("run", "--no-reload", cwd=home)
    try:
        running.says("ready: ")
        said = "\n".join(running.said)
        yield dict(re.findall(r"\b(https?)://127\.0\.0\.1:([0-9]+)/", said))
    finally:
        running.kill()


class LiveTests(SynchronousTestCase):
    """
    A daemon, and clients that others wrote.
    """

    def setUp(self) -> None:
        require("starlette", "django", "websockets")

    def ask(self, client: Any, version: str) -> None:
        """Ask for all that there is."""
        found = client.get("/star/where").json()
        self.assertEqual(found[0], version)
        self.assertTrue(found[1].endswith("/star/in/ner"), found)
        self.assertEqual(found[2], "hemp")
        body = b"x" * 3_000_000
        self.assertEqual(client.post("/star/size", content=body).text, "3000000")
        pieces = client.post("/star/size", content=iter([b"one", b"two"]))
        self.assertEqual(pieces.text, "6")
        self.assertEqual(client.get("/star/pieces").text, "0\n1\n2\n")
        self.assertEqual(client.get("/star/fail").status_code, 500)
        self.assertEqual(client.head("/star/where").content, b"")
        self.assertEqual(client.get("/star/nowhere").status_code, 404)
        self.assertEqual(client.get("/site/index").text, "/site/index 42")

    def test_http1(self) -> None:
        """
        Over HTTP/1.1 they answer as they do on a server of their own, and by WebSocket.
        """
        with serving(Path(self.mktemp())) as where:
            base = f"http://127.0.0.1:{where['http']}"
            with httpx.Client(base_url=base) as client:
                self.ask(client, "1.1")
            self.talk(f"ws://127.0.0.1:{where['http']}/star/echo")

    def talk(self, url: str) -> None:
        """Talk by WebSocket."""
        from websockets.exceptions import ConnectionClosed
        from websockets.sync.client import connect

        with connect(url, subprotocols=["chat", "rope"]) as socket:  # type: ignore[list-item]
            self.assertEqual(socket.subprotocol, "rope")
            for text in "hemp", "x" * 50_000 + "y":
                socket.send(text)
                self.assertEqual(socket.recv(timeout=30), text[::-1])
            socket.send("bye")
            with self.assertRaises(ConnectionClosed) as caught:
                socket.recv(timeout=30)
        close = caught.exception.rcvd
        assert close is not None
        self.assertEqual((close.code, close.reason), (4001, "enough"))

    @skipUnless(http.H2_ENABLED, "h2 is not installed: pip install 'ropewalk[http2]'")
    def test_http2(self) -> None:
        """
        So they do over TLS, by HTTP/2.
        """
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with serving(Path(self.mktemp())) as where:
            base = f"https://127.0.0.1:{where['https']}"
            with httpx.Client(base_url=base, http2=True, verify=trusting) as client:
                self.ask(client, "2")
