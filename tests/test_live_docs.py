# -*- test-case-name: tests.test_live_docs -*-
"""
The page about channels from outside: what it shows is what happens.
"""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.hub import MemoryHub
from ropewalk.interfaces import Caller
from ropewalk.net.calls import Calls
from ropewalk.net.limits import CallSettings
from ropewalk.operations import Operations
from ropewalk.schema import to_plain
from ropewalk.web.channels import ChannelPages
from tests.test_docs_routes import DOCS
from tests.visiting import Place, request


class PageTests(SynchronousTestCase):
    """
    ``docs/live.rst``.
    """

    def setUp(self) -> None:
        self.page = (DOCS / "live.rst").read_text("utf-8")
        self.clock = Clock()
        self.hub = MemoryHub(self.clock.seconds, clock=self.clock, epoch="e")
        module = ModuleType("rooms_of_the_page")
        self.patch(sys, "modules", {**sys.modules, module.__name__: module})
        source = self.page.split(":caption: rooms.py\n\n")[1].split("\n\nThat is")[0]
        exec("\n".join(line[3:] for line in source.split("\n")), vars(module))

        class Host:
            hub = self.hub

        vars(module)["makeService"](None, Host())

    def test_conversation(self) -> None:
        """
        Each line that is sent is answered as it is said there.
        """
        said: list[Any] = []
        calls = Calls(
            Operations(self.clock),
            self.hub,
            lambda message: said.append(json.loads(message)),
            CallSettings(),
        )
        calls.begin(Caller("lines"))
        expected: list[Any] = []
        turns = 0
        for line in self.page.split("\n"):
            arrow, _, text = line.strip().partition(" ")
            if arrow == "-->":
                self.assertEqual(said, expected)
                turns += 1
                said.clear()
                expected.clear()
                calls.hear(text.encode())
            elif arrow == "<--":
                expected.append(json.loads(text))
        self.assertEqual(said, expected)
        self.assertEqual(turns, 7)

    def test_http(self) -> None:
        """
        So is what is asked by HTTP.
        """
        place = Place.of()
        pages = ChannelPages(self.hub, place.clock, lambda: 0.5565)
        place.mount("/channels", pages.routes)
        visit = place.visit()
        body = b'{"author": "Ada", "text": "hello"}'
        kind = "Content-Type: application/json"
        answer = visit.ask("/channels/rooms.lobby", "POST", kind, body=body)
        told = answer.text.replace('"at":0.0', '"at":1795896782.85')
        self.assertIn(told, self.page)
        answer = visit.ask("/channels/rooms.lobby")
        self.assertTrue(answer.text.endswith('}],"token":"e-1.1","whole":true}'))
        accept = "Accept: text/event-stream"
        visit.send(request("/channels/rooms.lobby?who=Grace", "GET", accept))
        place.clock.advance(0)
        events = visit.wire.value().decode()
        shown = self.page.split("'Accept: text/event-stream'\n")[1]
        for line in shown.split("   id: e-1.2")[0].split("\n"):
            told = line.strip().replace("1795896790.11", "0.0")
            self.assertIn(told, events)

    def test_settings(self) -> None:
        """
        The bounds that are told hold.
        """
        told = to_plain(CallSettings())
        self.assertIn(f"at most {told['channels']} channels", self.page)
        self.assertIn(f"when {ChannelPages.unread} events wait", self.page)
        self.assertIn(f"Every {ChannelPages.beat:g} seconds of silence", self.page)
