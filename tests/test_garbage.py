"""
Tests for L{ropewalk.run.garbage}.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref

from twisted.trial.unittest import SynchronousTestCase

from ropewalk.run.garbage import unsearched


class Circle:
    """
    Something that only a look for garbage frees.
    """

    def __init__(self) -> None:
        self.itself = self


class UnsearchedTests(SynchronousTestCase):
    """
    A start makes no garbage, and nobody looks for any.
    """

    def setUp(self) -> None:
        self.addCleanup(gc.unfreeze)
        self.addCleanup(gc.enable if gc.isenabled() else gc.disable)

    def test_meanwhile(self) -> None:
        """
        Nobody looks meanwhile; afterwards, it is as it was.
        """
        gc.enable()
        with unsearched():
            self.assertFalse(gc.isenabled())
        self.assertTrue(gc.isenabled())

    def test_an_error(self) -> None:
        """
        An error goes its way, and it is as it was.
        """
        gc.enable()

        @unsearched()
        def fail() -> None:
            raise ValueError("no")

        self.assertRaises(ValueError, fail)
        self.assertTrue(gc.isenabled())

    def test_what_was_there(self) -> None:
        """
        What was there at the end is not looked at any more; what comes later is.
        """
        gc.enable()
        with unsearched():
            early = weakref.ref(Circle())
        late = weakref.ref(Circle())
        gc.collect()
        self.assertIsNotNone(early())
        self.assertIsNone(late())

    def test_references(self) -> None:
        """
        What nobody holds any more is freed, unless it is in a circle.
        """
        gc.enable()
        with unsearched():
            thing: Circle | None = Circle()
            found = weakref.ref(thing)
        assert thing is not None
        del thing.itself
        thing = None
        self.assertIsNone(found())

    def test_nobody_looks_anyway(self) -> None:
        """
        Where garbage is not looked for, it stays so, and nothing else changes.
        """
        gc.disable()
        gc.unfreeze()
        with unsearched():
            pass
        self.assertFalse(gc.isenabled())
        self.assertEqual(gc.get_freeze_count(), 0)

    def test_the_daemon(self) -> None:
        """
        What the daemon is made of is not looked at.
        """
        program = (
            "import gc, ropewalk.run.tap\n"
            "print(gc.isenabled(), gc.get_freeze_count() > 10_000)\n"
        )
        paths = os.pathsep.join(each for each in sys.path if each)
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            check=True,
            text=True,
        )
        self.assertEqual(done.stdout.split(), ["True", "True"])
