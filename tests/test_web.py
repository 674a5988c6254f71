# -*- test-case-name: tests.test_web -*-
"""
Tests for what L{ropewalk.web} hands on.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ropewalk import web
from tests.commandline import variables


class NameTests(SynchronousTestCase):
    """
    What the authors of handlers need is at hand, and costs nothing until then.
    """

    def test_each_is_there(self) -> None:
        """
        Every name leads to the thing itself, and C{dir} lists it.
        """
        for name in web.__all__:
            thing = getattr(web, name)
            home = sys.modules[f"ropewalk.web.{web._HOME_OF[name]}"]
            self.assertIs(thing, getattr(home, name), name)
            self.assertIn(name, home.__all__)
            self.assertIn(name, dir(web))

    def test_type_checkers_see_the_same(self) -> None:
        """
        A type checker is told of the same names, from the same modules.
        """
        tree = ast.parse(Path(web.__file__).read_text("utf-8"))
        checked = next(node for node in tree.body if isinstance(node, ast.If))
        told = {
            alias.name: str(node.module).removeprefix("ropewalk.web.")
            for node in checked.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        self.assertEqual(told, web._HOME_OF)
        self.assertEqual(web.__all__, sorted(told))

    def test_no_such_name(self) -> None:
        """
        Another name is none, whether it is asked for or imported.
        """
        with self.assertRaisesRegex(AttributeError, "has no attribute 'Route'"):
            getattr(web, "Route")  # noqa: B009
        with self.assertRaisesRegex(ImportError, "cannot import name 'Route'"):
            from ropewalk.web import Route  # type: ignore[attr-defined]  # noqa: F401

    def test_modules_can_still_be_had(self) -> None:
        """
        A module of the package is no such name, and is imported as ever.
        """
        from ropewalk.web import falcon

        self.assertEqual(falcon.__name__, "ropewalk.web.falcon")

    def test_nothing_is_imported_until_it_is_used(self) -> None:
        """
        The package alone imports neither Klein nor Twisted; one name imports no
        more than its own module does.
        """
        self.assertEqual(self.imported("import ropewalk.web"), "False False")
        self.assertEqual(
            self.imported("from ropewalk.web import preferred"), "False True"
        )

    def imported(self, statement: str) -> str:
        """Whether Klein and Twisted are imported after a statement."""
        source = f"import sys\n{statement}\n"
        source += "print(*(name in sys.modules for name in ('klein', 'twisted')))"
        done = subprocess.run(
            [sys.executable, "-c", source],
            env=variables(),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout.strip()
