# -*- test-case-name: tests.test_tutorial -*-
"""
Whoever types what the tutorial tells them to type sees what it says they see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from tests.daemonry import PATIENCE, ROOT
from tests.pages import DAEMON, Player, files_of, read_page

TUTORIAL = ROOT / "docs" / "tutorial"


def pages() -> list[str]:
    """The pages' names, in order."""
    text = (TUTORIAL / "index.rst").read_text("utf-8")
    return re.findall(r"(?m)^   ([a-z]+)$", text)


def drop(number: int) -> Path:
    """The project at the end of a page, from 1."""
    return TUTORIAL / f"drop{number}"


class PlayedTests(TestCase):
    """
    Each page, played in real terminals.
    """

    timeout = 3 * PATIENCE

    @inlineCallbacks
    def play(self, name: str) -> Steps[Player]:
        """
        Type the files of a page into the project of the page before, and then what
        is in its terminals.
        """
        number = pages().index(name) + 1
        player = Player(TUTORIAL / f"{name}.rst", Path(self.mktemp()).absolute())
        self.addCleanup(player.end)
        missing = player.missing()
        if missing:
            raise SkipTest(f"not installed: {', '.join(missing)}")
        player.prepare(drop(number - 1) if number > 1 else None)
        self.assert_complete(player, drop(number))
        if not player.starts:
            daemon = yield player.run(DAEMON, "ropewalk run")
            yield daemon.see("2026-01-01 00:00:00 ready: chat, web", skip=True)
        yield player.play()
        return player

    def assert_complete(self, player: Player, directory: Path) -> None:
        """
        Nothing is needed that the page does not tell to type.
        """
        wanted = {
            str(file): player.translate((directory / file).read_text("utf-8"))
            for file in files_of(directory)
        }
        typed = {
            str(file): (player.project / file).read_text("utf-8")
            for file in files_of(player.project)
        }
        self.assertEqual(wanted, typed)

    def test_hello(self) -> Steps[Player]:
        """
        A page, a list of what runs, a typing error that is told.
        """
        return self.play("hello")

    def test_settings(self) -> Steps[Player]:
        """
        Values with their origin; all mistakes at once.
        """
        return self.play("settings")

    def test_lines(self) -> Steps[Player]:
        """
        What is typed into nc, curl reads; and goodbye.
        """
        return self.play("lines")

    def test_channels(self) -> Steps[Player]:
        """
        Two people and a program in a room.
        """
        return self.play("channels")

    def test_browser(self) -> Steps[Player]:
        """
        A page and a WebSocket.
        """
        return self.play("browser")

    def test_errors(self) -> Steps[Player]:
        """
        What is wrong is told by each protocol in its way.
        """
        return self.play("errors")

    def test_tests(self) -> Steps[Player]:
        """
        Tests that pass.
        """
        return self.play("tests")

    def test_deploying(self) -> Steps[Player]:
        """
        An installed service, and new settings while it runs.
        """
        return self.play("deploying")


class PagesTests(SynchronousTestCase):
    """
    What can be seen of the pages without running them.
    """

    def test_what_is_new_is_marked(self) -> None:
        """
        On a coloured ground is what the page before did not have, if anything.
        """
        for number, name in enumerate(pages(), 1):
            for file, marked, new in self.marks(number, name):
                self.assertEqual(marked, new, f"{name}.rst, {file}: {spoken(new)}")

    def marks(
        self, number: int, name: str
    ) -> Iterator[tuple[str, set[int], set[int]]]:
        for block in read_page(TUTORIAL / f"{name}.rst"):
            if block.kind != "include" or not block.typed:
                continue
            text = (TUTORIAL / block.source).read_text("utf-8").split("\n")
            before = (drop(number - 1) / block.caption).read_text("utf-8")
            filled = {at for at, line in enumerate(text) if line}
            new = changed(before.split("\n"), text) & filled
            yield block.caption, set(block.typed) & filled, new


def changed(before: list[str], after: list[str]) -> set[int]:
    """Which lines are new or changed, from 0."""
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    return {
        at
        for kind, _, _, start, end in matcher.get_opcodes()
        if kind != "equal"
        for at in range(start, end)
    }


def spoken(numbers: set[int]) -> str:
    """``{0, 2, 3}`` is ``"1, 3-4"``, as in ``:emphasize-lines:``."""
    spans: list[list[int]] = []
    for at in sorted(numbers):
        if spans and at == spans[-1][1] + 1:
            spans[-1][1] = at
        else:
            spans.append([at, at])
    return ", ".join(
        f"{first + 1}-{last + 1}" if last > first else f"{first + 1}"
        for first, last in spans
    )
