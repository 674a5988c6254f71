"""
What L{docs/hosting.rst} says holds.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService
from twisted.internet.threads import deferToThread

from ropewalk.awaiting import inlineCallbacks, run
from ropewalk.hub import ChannelRule
from ropewalk.interfaces import Steps
from ropewalk.operations import operation
from ropewalk.run.configuration import WebSettings
from ropewalk.settings import parse
from tests.test_hosting import Greets
from tests.test_sites import SiteTestCase
from tests.visiting import blocks


class Mounts:
    """
    A host that notes what is mounted.
    """

    def __init__(self) -> None:
        self.mounted: dict[str, str] = {}
        self.web = self

    def mount(self, path: str, app: Any) -> None:
        self.mounted[path] = app.shown


class Stock:
    """
    What is left.
    """

    @operation
    def left(self, item: int) -> int:
        """How many there are."""
        return 6 * item


class PageTests(SiteTestCase):
    """
    The code of the page.
    """

    def test_settings(self) -> None:
        """
        The settings are some.
        """
        (text,) = blocks("hosting", "toml")
        web = parse(text, "ropewalk.toml").read("web", WebSettings)
        self.assertEqual(web.mounts["/shop"].threads, 8)
        self.assertEqual([*web.mounts], ["/shop", "/api", "/feed", "/old", "/img"])

    def test_service(self) -> None:
        """
        So is the service one.
        """
        page: dict[str, Any] = {}
        exec(blocks("hosting", "python")[0], page)
        host = Mounts()
        service = page["makeService"](None, host)
        self.assertTrue(IService.providedBy(service))
        self.assertEqual([*host.mounted], ["/shop", "/api"])

    @inlineCallbacks
    def test_here(self) -> Steps[None]:
        """
        The views publish, in a thread and on the loop, and call.
        """
        page: dict[str, Any] = {}
        exec(blocks("hosting", "python")[1], page)
        host = yield self.run_all(lambda web: web.mount("/shop", Greets()))
        host.hub.declare("rooms.*", ChannelRule(keep=9))
        host.operations.add("stock", Stock())
        yield deferToThread(page["sold"], None)
        left = yield run(page["sold_later"], None)
        self.assertEqual(left, 42)
        said = yield host.hub.history("rooms.lobby")
        self.assertEqual([each.body["text"] for each in said], ["sold", "sold"])
