"""
The parts of the web layer, without the rest: tests for what docs/toolkit.rst says.
"""

from __future__ import annotations

import doctest

from twisted.trial.unittest import SynchronousTestCase

from tests.daemonry import ROOT
from tests.importing import imported

PAGE = ROOT / "docs" / "toolkit.rst"


class ImportTests(SynchronousTestCase):
    """
    Who imports a part pays for that part.
    """

    def test_no_twisted(self) -> None:
        """
        The tools import no Twisted, and what takes forms and XML apart only when
        there is some.
        """
        parts = (
            *("web.patterns", "web.converters", "web.table", "web.queries"),
            *("web.uploads", "web.formats", "web.headers", "web.fields"),
            *("schema", "schema.schemas"),
        )
        heavy = ("twisted", "zope.interface", "klein", "werkzeug", "multipart")
        statements = "\n".join(f"import ropewalk.{each}" for each in parts)
        found = imported(statements, *heavy, "pyexpat", "pydantic", "email")
        self.assertEqual(found, [])

    def test_no_reactor(self) -> None:
        """
        What handlers return, and the clients that test them, import no reactor.
        """
        parts = (
            *("web.answers", "web.negotiation", "web.pieces", "web.problems"),
            *("web.binding", "web.components", "testing"),
            *("testing.clients", "testing.synchronous", "testing.clock"),
            *("testing.reactor", "testing.transport", "testing.response"),
        )
        statements = "\n".join(f"import ropewalk.{each}" for each in parts)
        found = imported(statements, "twisted.internet.reactor", "klein")
        self.assertEqual(found, [])

    def test_names_of_the_kit(self) -> None:
        """
        The names of the kit install a reactor only if they need one, whichever
        comes first.
        """
        light = (
            "Client, Clock, Closed, HTTPClient, LineClient, MemoryReactor, Response, "
            "SocketClient, Text"
        )
        statement = f"from ropewalk.testing import {light}"
        self.assertEqual(imported(statement, "twisted.internet.reactor"), [])
        asyncio = "twisted.internet.asyncioreactor"
        for heavy in (
            *("from ropewalk.testing import TestCase", "import ropewalk.testing.case"),
            *("from ropewalk.testing import *", "import ropewalk.testing.host"),
        ):
            for before in "", statement, "import klein":
                names = imported(f"{before}\n{heavy}", asyncio)
                self.assertEqual(names, [asyncio], f"{before}; {heavy}")

    def test_all_that_is_said(self) -> None:
        """
        Whatever the kit says that it has, it has, and nothing else.
        """
        statements = (
            "import ropewalk.testing as kit\n"
            "assert {*kit.__all__} == {*kit._HOME_OF}\n"
            "assert {*kit.__all__} <= {*dir(kit)}\n"
            "for each in kit.__all__: getattr(kit, each)\n"
            "assert not hasattr(kit, 'Nobody')"
        )
        self.assertEqual(imported(statements, "ropewalk.testing"), ["ropewalk.testing"])


class PageTests(SynchronousTestCase):
    """
    What the page shows is what comes.
    """

    def test_page(self) -> None:
        """
        All that can be typed is typed.
        """
        said: list[str] = []
        session = doctest.DocTestParser().get_doctest(
            PAGE.read_text("utf-8"), {}, PAGE.name, str(PAGE), 0
        )
        results = doctest.DocTestRunner().run(session, out=said.append)
        self.assertEqual((results.failed, "".join(said)), (0, ""))
        self.assertGreater(results.attempted, 40)

    def test_tools_on_the_page(self) -> None:
        """
        Every module that the page lists as free of Twisted is.
        """
        text = PAGE.read_text("utf-8")
        before = text[: text.index("What a handler returns")]
        listed = [
            word
            for line in before.split("\n")
            if line.startswith("   * - ``")
            for word in line.replace("``, ``", " ").replace("``", " ").split()[2:]
        ]
        names = [
            f"ropewalk.web{each}" if each.startswith(".") else each for each in listed
        ]
        self.assertGreater(len(names), 8)
        statements = "\n".join(f"import {each}" for each in names)
        self.assertEqual(imported(statements, "twisted"), [])
