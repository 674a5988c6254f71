# -*- test-case-name: tests.test_tutorial -*-
"""
Whoever types what the tutorial tells them to type sees what it says they see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from textwrap import indent

from twisted.internet.defer import Deferred
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
    def play(self, name: str) -> Steps[None]:
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
            yield daemon.see("2026-11-20 18:00:00+01:00 ready: chat, web", skip=True)
        yield player.play()

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

    def test_hello(self) -> Deferred[None]:
        """
        A page, a list of what runs, a typing error that is told.
        """
        return self.play("hello")

    def test_settings(self) -> Deferred[None]:
        """
        Values with their origin; all mistakes at once.
        """
        return self.play("settings")

    def test_lines(self) -> Deferred[None]:
        """
        What is typed into nc, curl reads; and goodbye.
        """
        return self.play("lines")

    def test_channels(self) -> Deferred[None]:
        """
        Two people and a program in a room.
        """
        return self.play("channels")

    def test_browser(self) -> Deferred[None]:
        """
        A page and a WebSocket.
        """
        return self.play("browser")

    def test_errors(self) -> Deferred[None]:
        """
        What is wrong is told by each protocol in its way.
        """
        return self.play("errors")

    def test_tests(self) -> Deferred[None]:
        """
        Tests that pass.
        """
        return self.play("tests")

    def test_deploying(self) -> Deferred[None]:
        """
        An installed service, and new settings while it runs.
        """
        return self.play("deploying")


class PlayerTests(TestCase):
    """
    A page that is wrong is found out.
    """

    @inlineCallbacks
    def play(self, *lines: str) -> Steps[str]:
        """
        Play a page of one terminal.

        :return: fires with what is wrong with it.
        """
        home = Path(self.mktemp()).absolute()
        player = Player(home / "page.rst", home)
        self.addCleanup(player.end)
        body = indent("\n".join([":caption: A", "", *lines, ""]), "   ")
        player.page.write_text(f".. code-block:: console\n{body}", "utf-8")
        player.project.mkdir()
        try:
            yield player.play()
        except AssertionError as error:
            return str(error)
        return ""

    @inlineCallbacks
    def test_as_it_says(self) -> Steps[None]:
        """
        What comes is what the page says, with lines that are left out.
        """
        wrong = yield self.play(
            "$ printf 'a\\nb\\nc\\n'", "…", "b", "c", "$ echo d", "d"
        )
        self.assertEqual(wrong, "")

    @inlineCallbacks
    def test_something_else(self) -> Steps[None]:
        """
        Another line comes, and the page, its line and both are named.
        """
        wrong = yield self.play("$ echo a", "b")
        self.assertIn("page.rst:1: in 'A', instead of\n  b\nthere is\n  a\n", wrong)

    @inlineCallbacks
    def test_less(self) -> Steps[None]:
        """
        The command ends before a line has come.
        """
        wrong = yield self.play("$ echo a", "a", "b")
        self.assertIn("'A' never says\n  b\n", wrong)

    @inlineCallbacks
    def test_more(self) -> Steps[None]:
        """
        A line comes that the page does not have.
        """
        wrong = yield self.play("$ echo a; echo b", "a")
        self.assertIn("in 'A' there is more: ['b'", wrong)


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

    def marks(self, number: int, name: str) -> Iterator[tuple[str, set[int], set[int]]]:
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
