# -*- test-case-name: tests.test_interfaces -*-
"""
The seams: that they can be had from one place, and who pays for which.
"""

from __future__ import annotations

import ast
import pickle
from importlib import import_module
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ropewalk import interfaces
from tests.importing import imported

HERE = Path(interfaces.__file__).parent


class NamesTests(SynchronousTestCase):
    """
    What can be had from ``ropewalk.interfaces``.
    """

    def test_all(self) -> None:
        """
        Whatever a module of it has for others can be had from the package, and nothing
        else; type checkers are told the same.
        """
        found = {
            name: getattr(import_module(f"ropewalk.interfaces.{module.stem}"), name)
            for module in HERE.glob("[a-z]*.py")
            for name in import_module(f"ropewalk.interfaces.{module.stem}").__all__
        }
        self.assertEqual(sorted(found), sorted(interfaces.__all__))
        for name, value in found.items():
            self.assertIs(getattr(interfaces, name), value)
            self.assertIn(name, dir(interfaces))
        tree = ast.parse((HERE / "__init__.py").read_text("utf-8"))
        told = [
            each.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module is not None
            if node.module.startswith("ropewalk.interfaces.")
            for each in node.names
        ]
        self.assertEqual(sorted(told), sorted(found))

    def test_no_such(self) -> None:
        """
        What is not there is missed as it is in any module.
        """
        with self.assertRaises(AttributeError) as caught:
            interfaces.IHubb  # type: ignore[attr-defined]  # noqa: B018
        self.assertEqual(
            str(caught.exception),
            "module 'ropewalk.interfaces' has no attribute 'IHubb'",
        )

    def test_pickled(self) -> None:
        """
        A message can be pickled, wherever its class is written.
        """
        message = interfaces.Message("lobby", 1, 0.0, "hello", "e")
        self.assertEqual(pickle.loads(pickle.dumps(message)), message)

    def test_who_pays(self) -> None:
        """
        A daemon without channels imports nothing of theirs.
        """
        of_channels = "ropewalk.interfaces.channels", "ropewalk.interfaces.hub"
        host = "import ropewalk.run.host"
        self.assertEqual(imported(host, *of_channels), [])
        hub = f"{host}; from ropewalk.hub import MemoryHub"
        self.assertEqual(imported(hub, *of_channels), [*of_channels])
