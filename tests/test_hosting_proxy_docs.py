"""
The page about other servers and programs: what it shows is what happens.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor as global_reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.plugin import Found
from ropewalk.run.configuration import make_plan
from ropewalk.settings import parse
from ropewalk.web.hosting import Place as At
from ropewalk.web.hosting.native import native
from tests.proxying import Proxying, RealSite
from tests.test_hosting_native import needs
from tests.visiting import blocks

PAGE = "hosting-proxy"

reactor: Any = global_reactor


def module(name: str) -> str:
    """The text of a module that is on the page."""
    path = Path(__file__).resolve().parent.parent / "docs" / f"{PAGE}.rst"
    source = path.read_text("utf-8").split(f":caption: {name}.py\n\n")[1]
    lines = []
    for line in source.split("\n"):
        if line and not line.startswith("   "):
            break
        lines.append(line[3:])
    return "\n".join(lines)


class SettingsTests(SynchronousTestCase):
    """
    ``docs/hosting-proxy.rst``.
    """

    def test_tables(self) -> None:
        """
        Each table of settings is one.
        """
        found = 0
        for text in blocks(PAGE, "toml"):
            plan = make_plan(parse(text, "ropewalk.toml"), Found(()))
            found += len(plan.sites()[""].mounts)
        whole = module_table()
        self.assertIn("[web.mounts]", whole)
        self.assertEqual(found, 4)

    def test_whole(self) -> None:
        """
        So is the first one, with one of each.
        """
        plan = make_plan(parse(module_table(), "ropewalk.toml"), Found(()))
        self.assertEqual(set(plan.sites()[""].mounts), {"/img", "/feed", "/old"})

    def test_service(self) -> None:
        """
        A service mounts the same.
        """
        mounted: dict[str, Any] = {}
        names: dict[str, Any] = {}
        exec(blocks(PAGE, "python")[0], names)
        host = SimpleNamespace(web=SimpleNamespace(mount=mounted.__setitem__))
        names["makeService"](None, host)
        self.assertEqual(
            [each.shown for each in mounted.values()],
            [
                "http://127.0.0.1:9000 (proxy)",
                "feed:app (native)",
                "python3.6 app.py --port {port} (command)",
            ],
        )

    def test_leaving(self) -> None:
        """
        A back end can be told to leave.
        """
        proxying = Proxying("http://10.0.0.5:9000", "http://10.0.0.6:9000")
        block = blocks(PAGE, "python")[1].replace("yield ", "")
        exec(block, {"mounting": proxying.mounting})
        self.assertEqual(proxying.figures()["state"], "ready")


class ServerTests(TestCase):
    """
    The servers on the page.
    """

    timeout = 60

    @inlineCallbacks
    def serve(self, name: str, target: str) -> Steps[RealSite]:
        yield deferLater(reactor, 0)
        if asyncio._get_running_loop() is None:
            raise SkipTest("these run on asyncio's reactor: --reactor asyncio")
        here = Path(self.mktemp()).absolute()
        here.mkdir()
        (here / f"{name}.py").write_text(module(name), "utf-8")
        described = native(f"{name}:{target}", directory=os.fspath(here))
        at = At("/feed", "shop", "x.py:1", reactor, lambda *each: None)
        site: RealSite = yield RealSite.of("/feed", described.at(at))
        self.addCleanup(site.stop)
        return site

    @inlineCallbacks
    def test_aiohttp(self) -> Steps[None]:
        """
        That of aiohttp answers below its path, and knows who asks.
        """
        needs("aiohttp")
        site = yield self.serve("feed", "app")
        answer = yield site.get("/feed/hello")
        self.assertEqual(answer, (200, b'{"hello": "127.0.0.1", "by": "http"}'))

    @inlineCallbacks
    def test_tornado(self) -> Steps[None]:
        """
        So does that of Tornado.
        """
        needs("tornado")
        site = yield self.serve("news", "app")
        answer = yield site.get("/feed/hello")
        self.assertEqual(answer, (200, b"hello, 127.0.0.1"))

    @inlineCallbacks
    def test_function(self) -> Steps[None]:
        """
        And the function tells the time.
        """
        site = yield self.serve("time_of_day", "serve")
        status, body = yield site.get("/feed")
        self.assertEqual(status, 200)
        self.assertRegex(body.decode(), r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}T")


def module_table() -> str:
    """The first table of settings, which has a caption."""
    path = Path(__file__).resolve().parent.parent / "docs" / f"{PAGE}.rst"
    text = path.read_text("utf-8").split(":caption: ropewalk.toml\n\n")[1]
    return "\n".join(
        line[3:] for line in text.split("\n\n``ropewalk check``")[0].split("\n")
    )
