"""
Tests for L{ropewalk.web.deadlines}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.deadlines import Deadlines


class Noting:
    """
    Notes when it was looked at.

    :ivar last: After how many looks it leaves; ``None`` for never.
    """

    def __init__(self, deadlines: Deadlines, last: int | None = None) -> None:
        self.deadlines = deadlines
        self.last = last
        self.looks: list[float] = []

    def check(self, now: float) -> None:
        self.looks.append(now)
        if len(self.looks) == self.last:
            self.deadlines.forget(self)


class DeadlinesTests(SynchronousTestCase):
    """
    What is watched is looked at once a second.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)

    def test_looks(self) -> None:
        """
        It is, from the next second on, until it is forgotten.
        """
        first, second = Noting(self.deadlines), Noting(self.deadlines)
        self.deadlines.watch(first)
        self.clock.advance(1)
        self.deadlines.watch(second)
        self.clock.advance(1)
        self.deadlines.forget(first)
        self.clock.advance(1)
        self.assertEqual((first.looks, second.looks), ([1, 2], [2, 3]))

    def test_nothing_to_look_at(self) -> None:
        """
        Where nothing is watched, nothing happens.
        """
        self.assertEqual(self.clock.getDelayedCalls(), [])
        watched = Noting(self.deadlines)
        self.deadlines.watch(watched)
        self.deadlines.watch(watched)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.deadlines.forget(watched)
        self.deadlines.forget(watched)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_leaving_while_looked_at(self) -> None:
        """
        What is forgotten while it is looked at takes nobody else with it.
        """
        all_of_them = [Noting(self.deadlines, last=1), Noting(self.deadlines)]
        for each in all_of_them:
            self.deadlines.watch(each)
        for _ in range(2):
            self.clock.advance(1)
        self.assertEqual([len(each.looks) for each in all_of_them], [1, 2])

    def test_the_last_one_leaves(self) -> None:
        """
        When the last one goes while it is looked at, nothing is left.
        """
        self.deadlines.watch(Noting(self.deadlines, last=1))
        self.clock.advance(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_fails(self) -> None:
        """
        One that raises harms no other, and is logged.
        """

        class Failing(Noting):
            def check(self, now: float) -> None:
                raise KeyError("x")

        watched = Noting(self.deadlines)
        self.deadlines.watch(Failing(self.deadlines))
        self.deadlines.watch(watched)
        for _ in range(2):
            self.clock.advance(1)
        self.assertEqual(watched.looks, [1, 2])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 2)
