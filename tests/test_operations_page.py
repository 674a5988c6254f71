# -*- test-case-name: tests.test_operations_page -*-
"""
The page of the documentation about operations, played in real terminals.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.net.calls.asked import _MOST_OFFERED
from ropewalk.net.calls.conversation import LONGEST_REQUIREMENT
from ropewalk.net.limits import CallSettings
from ropewalk.operations.limits import _CALLERS
from ropewalk.operations.registry import OFFERING
from ropewalk.run.configuration import WebSettings
from ropewalk.schema import to_plain
from ropewalk.web.operations import _MOST_LINES
from tests.daemonry import PATIENCE, ROOT
from tests.pages import Player
from tests.visiting import blocks

PAGE = ROOT / "docs" / "operations.rst"


class PlayedTests(TestCase):
    """
    What can be typed.
    """

    timeout = 3 * PATIENCE

    @inlineCallbacks
    def test_page(self) -> Steps[None]:
        """
        The daemon, and whoever calls, say what the page says.
        """
        player = Player(PAGE, Path(self.mktemp()).absolute())
        self.addCleanup(player.end)
        missing = player.missing()
        if missing:
            raise SkipTest(f"not installed: {', '.join(missing)}")
        player.prepare(None)
        yield player.play()


class SaidTests(SynchronousTestCase):
    """
    What can be compared.
    """

    def test_settings(self) -> None:
        """
        The settings that are shown are all there are; but for the port, they are the
        defaults.
        """
        (text,) = blocks("operations", "toml")
        tables = tomllib.loads(text)
        self.assertEqual(tables["web"]["operations"], WebSettings().operations)
        shown = tables["operations"]
        self.assertNotEqual(shown["lines"], "")
        self.assertEqual({**shown, "lines": ""}, to_plain(CallSettings()))

    def test_ports(self) -> None:
        """
        The page has one port for lines, and one for the web.
        """
        text = PAGE.read_text("utf-8")
        self.assertEqual({*re.findall(r"tcp:(\d+)", text)}, {"7070"})
        self.assertEqual(
            {*re.findall(r"127\.0\.0\.1[: ](\d+)", text)}, {"7070", "8080"}
        )
        self.assertIn("tcp:7070", CallSettings.__doc__ or "")

    def test_numbers(self) -> None:
        """
        The numbers in the text are those of the code.
        """
        page = re.sub(r"\s+", " ", PAGE.read_text("utf-8"))
        settings = CallSettings()
        for told in (
            f"{_CALLERS:,} for each operation",
            f"up to {_MOST_LINES:,} of these wait",
            f"{settings.running} of one connection run at once",
            f"at most {settings.batch} requests",
            f"in up to {LONGEST_REQUIREMENT} characters",
            f"offers up to {_MOST_OFFERED} operations",
            f'for ``"{OFFERING}"``',
        ):
            self.assertIn(told, page)
