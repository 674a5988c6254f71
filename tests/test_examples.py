# -*- test-case-name: tests.test_examples -*-
"""
The examples pass their own tests, run as their author would run them: in the
example's directory, with no more on Python's path than ropewalk.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.test_packaging import ROOT, run


class ExampleTests(SynchronousTestCase):
    """
    Whatever is in ``examples/``.
    """

    def test_each_passes_its_own(self) -> None:
        """
        Each example has tests, and every one of them runs and passes.
        """
        examples = sorted(path.parent for path in ROOT.glob("examples/*/ropewalk.toml"))
        self.assertIn(ROOT / "examples" / "chat", examples)
        for example in examples:
            modules = [path.stem for path in sorted(example.glob("test_*.py"))]
            self.assertNotEqual(modules, [], example)
            self.assertRegex(
                self.trial(example, *modules), r"\nPASSED \(successes=\d+\)"
            )

    def trial(self, example: Path, *modules: str) -> str:
        """
        What trial prints of an example's tests.
        """
        command = (sys.executable, "-W", "default", "-m", "twisted.trial")
        options = (
            "--reactor",
            "uvloop",
            "--temp-directory",
            Path(self.mktemp()).resolve(),
        )
        paths = (ROOT / "platform", ROOT, example)
        return run(
            *command,
            *options,
            *modules,
            cwd=example,
            PYTHONPATH=os.pathsep.join(map(str, paths)),
        )
