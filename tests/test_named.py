"""
Tests for L{ropewalk.settings.named}.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.settings.named import BadName, load_named


class LoadTests(SynchronousTestCase):
    """
    A setting may name anything that can be imported.
    """

    def setUp(self) -> None:
        root = Path(self.mktemp()).absolute()
        self.patch(sys, "path", [str(root), *sys.path])
        known = set(sys.modules)
        self.addCleanup(lambda: [sys.modules.pop(x) for x in {*sys.modules} - known])
        (root / "ropetest_acme").mkdir(parents=True)
        for name, source in {
            "__init__": "",
            "fast": "class JSON:\n    class Inner:\n        pass\n",
            "broken": "import json\njson.loads('{')\n",
            "lacking": "import ropetest_nobody\n",
            "leaving": "raise SystemExit\n",
            "lazy": "def __getattr__(name):\n    import ropetest_nobody\n",
        }.items():
            (root / "ropetest_acme" / f"{name}.py").write_text(source)

    def problem(self, name: str) -> str:
        """What is wrong with a name."""
        error = self.assertRaises(BadName, load_named, name)
        self.assertEqual(error.name, name)
        self.assertIn(repr(name), str(error))
        problem: str = error.problem
        return problem

    def test_found(self) -> None:
        """
        It is what stands behind the colon, or deeper.
        """
        self.assertIs(load_named("decimal:Decimal"), Decimal)
        self.assertEqual(load_named("os:path.sep"), load_named("os.path:sep"))
        inner = load_named("ropetest_acme.fast:JSON.Inner")
        self.assertEqual(inner.__qualname__, "JSON.Inner")

    def test_misspelt(self) -> None:
        """
        Who writes it as an import is told how it is written here.
        """
        for name in "acme.fast.JSON", " acme.fast.JSON ":
            said = self.problem(name)
            self.assertIn("like acme.fast:JSON", said)
            self.assertIn("did you mean 'acme.fast:JSON'?", said)
        for name in "", "JSON", ":", "a:", ":b", "a:b:c", "a/b:c", "a..b:c", "a b:c":
            self.assertIn("write a module, a colon", self.problem(name))

    def test_missing(self) -> None:
        """
        What is not there is said as far as it is known, and what may have been meant.
        """
        for name, problem in {
            "ropetest_acmee.fast:JSON": "there is no module ropetest_acmee; "
            "did you mean ropetest_acme?",
            "ropetest_acme.fats:JSON": "there is no module fats in ropetest_acme; "
            "did you mean fast?",
            "ropetest_acme.fast.json:JSON": "ropetest_acme.fast is no package, so "
            "there is no json in it",
            "ropetest_acme.fast:JSNO": "there is no JSNO in ropetest_acme.fast; "
            "did you mean JSON?",
            "ropetest_acme.fast:JSON.x": "there is no x in ropetest_acme.fast.JSON",
        }.items():
            self.assertEqual(self.problem(name), problem)

    def test_failing(self) -> None:
        """
        A module that fails says where.
        """
        for module, said in {
            "broken": "Expecting property name",
            "lacking": "No module named 'ropetest_nobody'",
            "leaving": "SystemExit",
            "lazy": "No module named 'ropetest_nobody'",
        }.items():
            name = f"ropetest_acme.{module}"
            problem = self.problem(f"{name}:x")
            self.assertTrue(problem.startswith(f"cannot import {name}"), problem)
            self.assertIn(said, problem.split("\n")[0])
            self.assertIn(f"{module}.py", problem)

    @given(st.text(max_size=20))
    def test_anything(self, name: str) -> None:
        """
        Whatever is written, there is something, or it is said that there is not.
        """
        try:
            load_named(f"decimal:{name}")
        except BadName as error:
            self.assertTrue(error.problem)
