"""
Tests for L{ropewalk.run.columns}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ropewalk.run.columns import align, near


class AlignTests(SynchronousTestCase):
    """
    Words stand under one another.
    """

    def test_columns(self) -> None:
        """
        Each column is as wide as its widest word; no line ends in blanks.
        """
        rows = [("GET", "/", "home"), ("DELETE", "/chat", "")]
        self.assertEqual(
            list(align(rows, indent=2)),
            ["  GET     /      home", "  DELETE  /chat"],
        )

    def test_a_very_wide_word(self) -> None:
        """
        It sticks out; the others do not move to the right for it.
        """
        rows = [("a", "1"), ("much too wide", "2")]
        self.assertEqual(list(align(rows, widest=3)), ["a    1", "much too wide  2"])

    def test_rows_of_unequal_length(self) -> None:
        """
        A short row is a short line, no rows are no lines.
        """
        self.assertEqual(list(align([("a",), ("b", "c")])), ["a", "b  c"])
        self.assertEqual(list(align([])), [])


class NearTests(SynchronousTestCase):
    """
    A place is written as one would type it.
    """

    def test_below(self) -> None:
        """
        What is in the directory is relative to it, all else is not.
        """
        self.assertEqual(near("/srv/chat/a.py:3", "/srv/chat"), "a.py:3")
        self.assertEqual(near("/srv/chatty/a.py:3", "/srv/chat"), "/srv/chatty/a.py:3")
        self.assertEqual(
            near("acme 1.0, entry point x", "/"), "acme 1.0, entry point x"
        )
