# -*- test-case-name: tests.test_contract -*-
"""
The service on the page about the contract does what the page says services do.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadSettings
from ropewalk.interfaces import Steps
from ropewalk.testing import MemoryHost, TestCase
from tests.daemonry import ROOT

DOCS = ROOT / "docs"


class BellTests(TestCase):
    """
    A bell in the tutorial's chat.
    """

    chat: ModuleType
    bell: ModuleType

    def setUp(self) -> None:
        paths = [str(DOCS / "contract"), str(DOCS / "tutorial" / "drop8")]
        self.patch(sys, "path", paths + sys.path)
        self.addCleanup(self.forget)
        self.chat = import_module("acme.chat")
        self.bell = import_module("acme.bell")
        sound = Path(self.mktemp()).absolute()
        sound.write_text("ding dong", "utf-8")
        self.table = f'[bell]\nsound = "{sound}"\n'

    def forget(self) -> None:
        """Leave no module of this name to other tests."""
        for name in [each for each in sys.modules if each.split(".")[0] == "acme"]:
            del sys.modules[name]

    @inlineCallbacks
    def launch(self, extra: str = "") -> Steps[MemoryHost]:
        """Start both; the order in which they are named is not theirs."""
        host: MemoryHost = yield self.start(
            self.bell, self.chat, settings=self.table + extra
        )
        return host

    @inlineCallbacks
    def test_it_rings(self) -> Steps[None]:
        """
        In the room, as often as is set, and when it is asked to.
        """
        host = yield self.launch("every = 60.0\n")
        ada = host.lines("chat")
        yield ada.send("/join lobby Ada")
        yield ada.received()
        yield self.clock.advance(120)
        yield host.http().post("/bell")
        self.assertEqual((yield ada.received()), ["Bell: ding dong"] * 3)
        page = yield host.http().get("/bell")
        self.assertEqual(page.text, "rung 3 times\n")

    @inlineCallbacks
    def test_reconfigured(self) -> Steps[None]:
        """
        It takes a new interval while it runs, and says what waits for a restart.
        """
        host = yield self.launch()
        report = yield host.reload(self.table + 'every = 60.0\nroom = "attic"\n')
        self.assertEqual(
            [str(each) for each in report],
            [
                '[bell] room: "lobby" → "attic": needs a restart',
                "[bell] every: 900.0 → 60.0: in force",
            ],
        )
        yield self.clock.advance(120)
        page = yield host.http().get("/bell")
        self.assertEqual(page.text, "rung 2 times\n")

    @inlineCallbacks
    def test_health(self) -> Steps[None]:
        """
        It says when it cannot do its work any more.
        """
        host = yield self.launch()
        well = yield host.http().get("/health/ready")
        self.patch(self.bell, "Line", None)
        yield self.clock.advance(900)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        ill = yield host.http().get("/health/ready")
        self.assertEqual((well.status, ill.status), (200, 503))
        # The page about operating shows this answer.
        shown = (DOCS / "operating.rst").read_text("utf-8")
        self.assertIn(f'"why": "{ill.json()["checks"][0]["why"]}"', shown)

    @inlineCallbacks
    def test_requires(self) -> Steps[None]:
        """
        Without what it requires it is not started.
        """
        with self.assertRaises(BadSettings) as caught:
            yield self.start(self.bell, settings=self.table)
        self.assertIn("requires the service 'chat'", str(caught.exception))
