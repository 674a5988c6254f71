"""
The page about ASGI applications: what it shows is what is served.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from ropewalk.hub import MemoryHub
from ropewalk.operations import Operations
from ropewalk.schema import read
from ropewalk.web.hosting import here
from ropewalk.web.hosting.asgi.scopes import DIALECTS
from ropewalk.web.hosting.settings import MountSettings
from tests.asgi_places import on_loop, turns
from tests.curling import read_blocks
from tests.test_asgi_sockets import TEXT, SocketTestCase
from tests.test_docs_routes import DOCS
from tests.test_hosting_wsgi import require
from tests.test_sockets import frame
from tests.test_upgrade import HANDSHAKE
from tests.visiting import Visit, blocks, request

PAGE = DOCS / "hosting-asgi.rst"


class PageTests(SocketTestCase):
    """
    ``docs/hosting-asgi.rst``.
    """

    def application(self, caption: str) -> Any:
        """What a file on the page calls ``app``."""
        require("starlette")
        (text,) = (
            block.text for block in read_blocks(PAGE) if block.caption == caption
        )
        names: dict[str, Any] = {}
        exec(text, names)
        return names["app"]

    def call(self, path: str) -> Visit:
        """Ask for a WebSocket there."""
        visit = self.visit()
        lines = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
        visit.send(request(path, "GET", *lines))
        return visit

    @on_loop
    async def test_the_first(self) -> None:
        """
        It answers as the page says, below its mount, also by WebSocket.
        """
        mounting = await self.serve(self.application("api.py"), "/api")
        said = blocks(PAGE.stem, "console")[0].splitlines()[-1]
        visit = self.visit()
        visit.send(request("/api/"))
        await turns(30)
        self.assertEqual(visit.answer().text.strip(), said)
        visit = self.call("/api/talk")
        await turns(30)
        visit.send(frame(TEXT, b"hemp"))
        await turns(30)
        self.assertEqual(self.said(visit), [(TEXT, b"you said: hemp")])
        await mounting.stopService()

    @on_loop
    async def test_channels(self) -> None:
        """
        What is sold is watched.
        """
        clock = Clock()
        hub = MemoryHub(clock.seconds, clock=clock)
        self.addCleanup(
            here.attach(clock, hub, Operations(clock))  # type: ignore[arg-type]
        )
        mounting = await self.serve(self.application("sales.py"), "/sales")
        watching = self.call("/sales/watch")
        await turns(30)
        visit = self.visit()
        visit.send(request("/sales/sell", "POST"))
        await turns(30)
        self.assertEqual(visit.answer().text, "sale 1\n")
        await turns(30)
        ((kind, said),) = self.said(watching)
        self.assertEqual((kind, json.loads(said)), (TEXT, {"yards": 3}))
        await mounting.stopService()

    def test_adapter(self) -> None:
        """
        The adapter for Emmett's tells its application of a WebSocket by the name that
        this knows, and of all else as it is.
        """
        told: list[dict[str, Any]] = []

        class App:
            """What the page uses of Emmett's."""

            def __init__(self, name: str) -> None: ...

            def module(self, *names: str, url_prefix: str | None) -> App:
                told.append({"prefix": url_prefix})
                return self

            def route(self, path: str, output: str) -> Any:
                return lambda view: view

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                told.append(scope)

        emmett: Any = ModuleType("emmett")
        emmett.App = App
        self.patch(sys, "modules", {**sys.modules, "emmett": emmett})
        self.patch(os, "environ", {**os.environ, "ROPEWALK_MOUNT": "/garden"})
        adapter = self.application("garden.py")
        for kind in "http", "websocket", "lifespan":
            scope = {"type": kind, "path": "/x"}
            self.successResultOf(ensureDeferred(adapter(scope, None, None)))
        self.assertEqual(
            told,
            [
                {"prefix": "garden"},
                {"type": "http", "path": "/x"},
                {"type": "ws", "path": "/x"},
                {"type": "lifespan", "path": "/x"},
            ],
        )

    def test_layer(self) -> None:
        """
        The channel layer is where the page says.
        """
        require("channels")
        (text,) = (
            block.text
            for block in read_blocks(PAGE)
            if block.caption == "site_settings.py"
        )
        names: dict[str, Any] = {}
        exec(text, names)
        backend = names["CHANNEL_LAYERS"]["default"]["BACKEND"]
        module, _, name = backend.rpartition(".")
        assert find_spec(module) is not None
        self.assertEqual(name, "HubLayer")

    def test_settings(self) -> None:
        """
        What can be set can be set, and is by default what the page says.
        """
        for text in blocks(PAGE.stem, "toml"):
            for path, said in tomllib.loads(text)["web"]["mounts"].items():
                mount = read(MountSettings, said)
                self.assertTrue(mount.asgi, path)
                self.assertIn(mount.root_path, DIALECTS)
        page, defaults = PAGE.read_text("utf-8"), MountSettings()
        self.assertIn(f'``root_path``       ``"{defaults.root_path}"``', page)
        self.assertIn(f'``lifespan``        ``"{defaults.lifespan}"``', page)
        self.assertIn(f"``asgi_version``    {defaults.asgi_version}: ", page)
        self.assertIn(f"``timeout``         {defaults.timeout:g}: ", page)
        self.assertIn(f"``longest_body``    {defaults.longest_body}: ", page)
        self.assertTrue(Path(PAGE).is_file())
