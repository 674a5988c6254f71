# -*- test-case-name: tests.test_docs_routes -*-
"""
What the pages about handlers show is what is answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from types import ModuleType

from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from ropewalk import web
from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from tests.curling import PageCase
from tests.daemonry import PATIENCE, ROOT
from tests.pages import Player

DOCS = ROOT / "docs"


class AskedTests(PageCase):
    """
    Each page, its files served in memory.
    """

    @inlineCallbacks
    def see(self, name: str) -> Steps[None]:
        """Play a page that shows something."""
        count: int = yield self.play(DOCS / f"{name}.rst")
        self.assertGreater(count, 10)

    @inlineCallbacks
    def test_routing(self) -> Steps[None]:
        """
        One route table.
        """
        yield self.see("routing")

    @inlineCallbacks
    def test_handlers(self) -> Steps[None]:
        """
        Typed handlers.
        """
        yield self.see("handlers")

    @inlineCallbacks
    def test_around(self) -> Steps[None]:
        """
        Middleware, errors, limits.
        """
        yield self.see("around")

    @inlineCallbacks
    def test_coming_from(self) -> Steps[None]:
        """
        What is known from elsewhere.
        """
        yield self.see("coming-from")


_PAGE = """
.. code-block:: python
   :caption: a.py

   from ropewalk.web import Routes

   routes = Routes()


   @routes.get("/")
   def index():
       return 201, [1, 2]

.. code-block:: console

"""


class WrongTests(PageCase):
    """
    A page that is wrong is found out.
    """

    @inlineCallbacks
    def complaint(self, *lines: str) -> Steps[str]:
        """
        Play a page with one terminal.

        :return: fires with what is wrong with it.
        """
        page = self.directory / "page.rst"
        page.write_text(_PAGE + indent("\n".join(lines), "   ") + "\n", "utf-8")
        try:
            yield self.play(page)
        except AssertionError as error:
            return str(error)
        return ""

    @inlineCallbacks
    def test_as_it_says(self) -> Steps[None]:
        """
        Headers and lines may be left out, where it says so.
        """
        wrong = yield self.complaint(
            "$ curl localhost:8080/",
            "[1,2]",
            "$ curl -i localhost:8080/",
            "HTTP/1.1 201 Created",
            "content-length: 5",
            "",
            "[1,2]",
            "$ curl localhost:8080/ | python3 -m json.tool",
            "[",
            "    …",
            "]",
        )
        self.assertEqual(wrong, "")

    @inlineCallbacks
    def test_another_answer(self) -> Steps[None]:
        """
        What is wrong is told with the page, the line and what came.
        """
        for said in "[1]", "[1,2]\n…\n[3]", "":
            wrong = yield self.complaint("$ curl localhost:8080/", said)
            self.assertIn("page.rst:16\n$ curl localhost:8080/\n[1,2]\n", wrong)

    @inlineCallbacks
    def test_another_head(self) -> Steps[None]:
        """
        So are a status and a header that are others, and a body that is not shown.
        """
        for said in (
            ["HTTP/1.1 200 OK", "", "[1,2]"],
            ["HTTP/1.1 201 Created", "Location: /1", "", "[1,2]"],
            ["HTTP/1.1 201 Created", "Content-Length: 5"],
        ):
            wrong = yield self.complaint("$ curl -i localhost:8080/", *said)
            self.assertIn("HTTP/1.1 201 Created\n", wrong)


class PlayedTests(TestCase):
    """
    What the pages show of a daemon, in real terminals.
    """

    timeout = 3 * PATIENCE

    @inlineCallbacks
    def test_routing(self) -> Steps[None]:
        """
        One file is served, set, and tested.
        """
        page = DOCS / "routing.rst"
        player = Player(page, Path(self.mktemp()).absolute())
        self.addCleanup(player.end)
        missing = player.missing()
        if missing:
            raise SkipTest(f"not installed: {', '.join(missing)}")
        player.prepare(None)
        yield player.play()


class ReferenceTests(SynchronousTestCase):
    """
    The reference.
    """

    #: What was there before, and is said on the pages about what it does.
    told_elsewhere = frozenset(
        f"ropewalk.web.{name}"
        for name in (
            "access",
            "apps",
            "channel",
            "health",
            "home",
            "streams",
            "upgrade",
        )
    )

    def test_each_module_has_a_page(self) -> None:
        """
        Every module that somebody may look for can be found.
        """
        pages = "".join(page.read_text("utf-8") for page in DOCS.rglob("*.rst"))
        told = set(re.findall(r"(?m)^\.\. (?:auto|current)?module:: (\S+)$", pages))
        told |= {
            name.rpartition(".")[0]
            for name in re.findall(r"(?m)^\.\. auto\w+:: ([\w.]+)", pages)
        }
        there = {*modules_of(web)}
        self.assertEqual(there - told - self.told_elsewhere, set())

    def test_each_page_is_listed(self) -> None:
        """
        The first page leads to all others.
        """
        directory = DOCS / "reference"
        index = (directory / "index.rst").read_text("utf-8")
        listed = re.findall(r"(?m)^   ([\w-]+)$", index)
        pages = [page.stem for page in directory.glob("*.rst")]
        self.assertEqual(sorted([*listed, "index"]), sorted(pages))


def modules_of(package: ModuleType) -> Iterator[str]:
    """The modules of a package and of those in it."""
    (directory,) = map(Path, package.__path__)
    for path in directory.rglob("*.py"):
        inside = path.relative_to(directory).with_suffix("").parts
        if inside[-1] != "__init__":
            yield ".".join([package.__name__, *inside])


class ReadmeTests(PageCase):
    """
    The six lines on the page that everybody reads.
    """

    @inlineCallbacks
    def test_hello(self) -> Steps[None]:
        """
        They are a service.
        """
        readme = (ROOT / "README.rst").read_text("utf-8")
        block = re.search(r"(?m)^   # (hello\.py)\n(?:   .*\n|\n)+", readme)
        assert block is not None
        page = self.directory / "page.rst"
        page.write_text(
            f".. code-block:: python\n   :caption: {block[1]}\n\n{block[0]}"
            ".. code-block:: console\n\n"
            "   $ curl 'localhost:8080/hello/Ada?times=2'\n"
            '   {"hello":["Ada","Ada"]}\n',
            "utf-8",
        )
        yield self.play(page)
