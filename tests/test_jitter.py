# -*- test-case-name: tests.test_jitter -*-
"""
The benchmark of the game's pace runs, and says what it says. How late the steps are is
nothing that a test knows: whatever else the machine does is in it.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.jitter import percentiles
from twisted.trial.unittest import SynchronousTestCase

from tests.daemonry import PATIENCE, ROOT


class JitterTests(SynchronousTestCase):
    """
    ``python benchmarks/jitter.py``
    """

    def test_percentiles(self) -> None:
        """
        Of values in any order, those in the middle, near the end, and at it.
        """
        told = percentiles([*range(100, -1, -1)])
        self.assertEqual(told, {"p50": 50, "p99": 99, "worst": 100})
        self.assertEqual(percentiles([]), {"p50": 0.0, "p99": 0.0, "worst": 0.0})

    def test_run(self) -> None:
        """
        It starts the daemon, plays, asks, and tells four things; all that was asked is
        answered.
        """
        words = ["--seconds", "0.5", "--rate", "40", "--players", "2"]
        ran = subprocess.run(
            [sys.executable, str(ROOT / "benchmarks" / "jitter.py"), *words],
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        self.assertEqual(ran.stderr, "")
        self.assertIn(ran.returncode, (0, 1))
        heads = [line[:12].strip() for line in ran.stdout.splitlines()]
        self.assertEqual(heads, ["late", "apart, here", "HTTP", "goal"])
        self.assertIn("answers a second, 0 of them not 200", ran.stdout)
