# -*- test-case-name: tests.test_hub_timetable -*-
"""
What is due when, by one call of the clock.
"""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.hub.timetable import Timetable

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("remind"), st.sampled_from("abcd"), st.integers(0, 9)),
        st.tuples(st.just("forget"), st.sampled_from("abcd"), st.just(0)),
        st.tuples(st.just("pass"), st.just(""), st.integers(0, 5)),
    )
)


class TimetableTests(SynchronousTestCase):
    """
    Calls for those who are due.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.called: list[tuple[float, str]] = []
        self.table = Timetable(self.clock, self.call)

    def call(self, name: str) -> None:
        self.called.append((self.clock.seconds(), name))

    def test_in_time(self) -> None:
        """
        Each is called for once, when it is due, and one call of the clock is enough
        for all.
        """
        for when, name in (5.0, "a"), (3.0, "b"), (5.0, "c"):
            self.table.remind(name, when)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([1.0] * 9)
        self.assertEqual(self.called, [(3.0, "b"), (5.0, "a"), (5.0, "c")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_never(self) -> None:
        """
        Who is never due is not called for.
        """
        self.table.remind("a", math.inf)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_clock(self) -> None:
        """
        Without a clock nobody is.
        """
        table = Timetable(None, self.call)
        table.remind("a", 0.0)
        table.forget("a")
        self.assertEqual((table.now(), self.called), (0.0, []))

    def test_late(self) -> None:
        """
        What was due before is due at once.
        """
        self.clock.advance(5)
        self.table.remind("a", 3.0)
        self.clock.advance(0)
        self.assertEqual(self.called, [(5.0, "a")])

    def test_a_clock_that_is_early(self) -> None:
        """
        A clock that calls a little before the time is asked again.
        """
        self.table.remind("a", 3.0)
        [call] = self.clock.getDelayedCalls()
        call.reset(2.5)
        self.clock.advance(2.5)
        self.assertEqual(self.called, [])
        self.clock.advance(0.5)
        self.assertEqual(self.called, [(3.0, "a")])

    def test_while_it_calls(self) -> None:
        """
        Who is called for may ask for another call, or have others forgotten.
        """

        def call(name: str) -> None:
            self.call(name)
            if len(self.called) < 3:
                table.remind(name, self.clock.seconds() + 1)
            table.forget("b")

        table = Timetable(self.clock, call)
        table.remind("a", 1.0)
        table.remind("b", 1.5)
        self.clock.pump([0.5] * 9)
        self.assertEqual(self.called, [(1.0, "a"), (2.0, "a"), (3.0, "a")])

    def test_one_that_raises(self) -> None:
        """
        The others are called for all the same, later.
        """

        def fall(name: str) -> None:
            self.call(name)
            if name == "a":
                raise ZeroDivisionError

        table = Timetable(self.clock, fall)
        for name in "abc":
            table.remind(name, 1.0 + (name == "c"))
        self.assertRaises(ZeroDivisionError, self.clock.advance, 1)
        self.clock.advance(0)
        self.clock.advance(1)
        self.assertEqual(self.called, [(1.0, "a"), (1.0, "b"), (2.0, "c")])

    def test_memory(self) -> None:
        """
        However often somebody is expected and forgotten, little is remembered of it.
        """
        self.table.remind("b", 1.0)
        for number in range(10_000):
            self.table.remind("a", 100.0 + number)
            self.table.forget("a")
        self.assertLess(len(self.table._heap), 100)
        self.clock.advance(1)
        self.assertEqual(self.called, [(1.0, "b")])

    @given(STEPS)
    def test_any_steps(self, steps: list[tuple[str, str, int]]) -> None:
        """
        Whatever is asked for in whatever order, each is called for at the earliest
        time that was asked for, unless it is forgotten.
        """
        self.setUp()
        times: dict[str, float] = {}
        expected: list[tuple[float, str]] = []
        for step, name, number in steps:
            now = self.clock.seconds()
            if step == "remind":
                times[name] = min(times.get(name, math.inf), now + number)
                self.table.remind(name, now + number)
            elif step == "forget":
                times.pop(name, None)
                self.table.forget(name)
            else:
                self.clock.pump([0.5] * (2 * number))
                now = self.clock.seconds()
                # A clock calls when somebody advances it.
                due = {name for name, when in times.items() if number and when <= now}
                expected += sorted((times.pop(each), each) for each in due)
            self.assertEqual(len(self.clock.getDelayedCalls()), bool(times))
        told = [(math.floor(when), name) for when, name in self.called]
        self.assertEqual(sorted(told), sorted(expected))
