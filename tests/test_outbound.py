# -*- test-case-name: tests.test_outbound -*-
"""
Calls to others: tried again when they fail, and not tried while that is in vain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import BreakerOpen, RopewalkError, TimedOut, TooMany
from ropewalk.outbound import Breaker, Retries, call


class Down(Exception):
    """Whoever is called does not answer."""


class Refused(Exception):
    """Whoever is called answers that it will not."""


def no_chance() -> float:
    """No pause is shortened."""
    return 0.0


class RetriesTests(SynchronousTestCase):
    """
    How often, and how soon.
    """

    def test_pauses(self) -> None:
        """
        Each pause is as many times as long as the one before as is said, and none is
        longer than is said.
        """
        retries = Retries(times=5, first=1.0, growth=3.0, longest=20.0)
        self.assertEqual([*retries.pauses(no_chance)], [1.0, 3.0, 9.0, 20.0, 20.0])

    def test_jitter(self) -> None:
        """
        That part of a pause is left to chance that is said.
        """
        retries = Retries(times=1, first=8.0, jitter=0.25)
        self.assertEqual([*retries.pauses(lambda: 0.5)], [7.0])

    @given(
        st.integers(0, 40),
        st.floats(0, 1e6),
        st.floats(1, 1e6),
        st.floats(0, 1e6),
        st.floats(0, 1),
        st.floats(0, 1, exclude_max=True),
    )
    def test_bounds(
        self,
        times: int,
        first: float,
        growth: float,
        longest: float,
        jitter: float,
        chance: float,
    ) -> None:
        """
        There are as many pauses as tries, from 0 to the longest; what is not left to
        chance does not shrink.
        """
        retries = Retries(
            times=times, first=first, growth=growth, longest=longest, jitter=jitter
        )
        pauses = [*retries.pauses(lambda: chance)]
        self.assertEqual(len(pauses), times)
        self.assertTrue(all(0 <= each <= longest for each in pauses), pauses)
        self.assertTrue(all(one <= other for one, other in pairwise(pauses)), pauses)

    def test_out_of_range(self) -> None:
        """
        What makes no sense is refused.
        """
        for wrong in (
            {"times": -1},
            {"first": -1.0},
            {"longest": -0.1},
            {"growth": 0.5},
            {"jitter": 1.5},
        ):
            with self.assertRaises(ValueError, msg=str(wrong)):
                Retries(**wrong)


class CallTests(SynchronousTestCase):
    """
    A function of any kind is called, and again if it fails.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.calls: list[float] = []
        self.outcomes: list[Any] = []

    def function(self, *args: Any) -> Any:
        """Fails, or answers, as is next."""
        self.calls.append(self.clock.seconds())
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return args or outcome

    def call(self, *args: Any, **options: Any) -> Deferred[Any]:
        options.setdefault("retries", Retries(times=2, first=1.0))
        called: Deferred[Any] = call(
            self.function, *args, clock=self.clock, chance=no_chance, **options
        )
        return called

    def test_again(self) -> None:
        """
        It is called again after each pause, until it answers.
        """
        self.outcomes = [Down(), fail(Down()), "here"]
        called = self.call()
        self.clock.pump([0.5, 0.5, 1.0, 1.0])
        self.assertEqual(self.successResultOf(called), "here")
        self.assertEqual(self.calls, [0.0, 1.0, 3.0])

    def test_arguments(self) -> None:
        """
        It is called with what it is to be called with.
        """
        self.outcomes = [None]
        self.assertEqual(self.successResultOf(self.call(1, "b")), (1, "b"))

    def test_awaitable(self) -> None:
        """
        It may be a coroutine function.
        """

        async def answer(value: int) -> int:
            return value + 1

        called = call(answer, 4, clock=self.clock)
        self.assertEqual(self.successResultOf(called), 5)

    def test_in_vain(self) -> None:
        """
        When there is no try left, its error is told.
        """
        self.outcomes = [Down("a"), Down("b"), Down("c")]
        called = self.call()
        self.clock.pump([1.0, 2.0])
        self.assertEqual(str(self.failureResultOf(called, Down).value), "c")

    def test_once(self) -> None:
        """
        Unless it is said otherwise, there is one try.
        """
        self.outcomes = [Down()]
        called = call(self.function, clock=self.clock)
        self.failureResultOf(called, Down)

    def test_other_errors(self) -> None:
        """
        After an error that is not among those to try again after, there is no other
        try.
        """
        self.outcomes = [Down(), Refused()]
        called = self.call(retries=Retries(times=5, first=1.0, on=(Down,)))
        self.clock.advance(1.0)
        self.failureResultOf(called, Refused)

    def test_asked_to_wait(self) -> None:
        """
        An error that says when to come again is taken at its word; one that says a time
        that is too long is told.
        """
        self.outcomes = [TooMany("x", 7.0), TooMany("x", 61.0)]
        called = self.call()
        self.clock.advance(6.9)
        self.assertEqual(self.calls, [0.0])
        self.clock.advance(0.1)
        self.assertEqual(self.calls, [0.0, 7.0])
        self.failureResultOf(called, TooMany)

    def test_no_seconds(self) -> None:
        """
        What an error says that are no seconds is as if it had not been said.
        """

        vague = RopewalkError()
        vague.headers = {"Retry-After": "soon"}
        self.outcomes = [vague, "here"]
        called = self.call()
        self.clock.advance(1.0)
        self.assertEqual(self.successResultOf(called), "here")

    def test_too_slow(self) -> None:
        """
        A try that takes too long is cancelled, and there is another.
        """
        cancelled: list[Any] = []
        self.outcomes = [Deferred(cancelled.append), "here"]
        called = self.call(seconds=2.0)
        self.clock.advance(2.0)
        self.assertEqual(len(cancelled), 1)
        self.clock.advance(1.0)
        self.assertEqual(self.successResultOf(called), "here")

    def test_too_slow_at_last(self) -> None:
        """
        When the last try takes too long, that is told, and of what.
        """
        self.outcomes = [Deferred()]
        called = self.call(seconds=2.0, retries=Retries(times=0))
        self.clock.advance(2.0)
        error = self.failureResultOf(called, TimedOut).value
        self.assertEqual((error.what, error.seconds), ("CallTests.function", 2.0))

    def test_cancelled_while_trying(self) -> None:
        """
        Cancelling cancels the try, and there is no other.
        """
        cancelled: list[Any] = []
        self.outcomes = [Deferred(cancelled.append)]
        called = self.call()
        called.cancel()
        self.assertEqual(len(cancelled), 1)
        self.failureResultOf(called, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled_while_waiting(self) -> None:
        """
        Cancelling in a pause ends it, and there is no other try.
        """
        self.outcomes = [Down()]
        called = self.call()
        called.cancel()
        self.failureResultOf(called, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_open_breaker_ends_it(self) -> None:
        """
        Each try goes through the breaker; when that opens, nobody waits any more.
        """
        breaker = Breaker("the shop", self.clock, threshold=2, seconds=30.0)
        self.outcomes = [Down(), Down()]
        called = self.call(breaker=breaker, retries=Retries(times=9, first=1.0))
        self.clock.pump([1.0, 2.0])
        self.failureResultOf(called, BreakerOpen)
        self.assertEqual(self.calls, [0.0, 1.0])

    def test_too_slow_is_a_failure(self) -> None:
        """
        For the breaker, a try that took too long has failed.
        """
        breaker = Breaker("the shop", self.clock, threshold=1)
        self.outcomes = [Deferred()]
        called = self.call(breaker=breaker, seconds=1.0, retries=Retries(times=0))
        self.clock.advance(1.0)
        self.failureResultOf(called, TimedOut)
        self.assertEqual(breaker.state, "open")


class BreakerTests(SynchronousTestCase):
    """
    Who fails again and again is left alone.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.breaker = Breaker(
            "the shop", self.clock, threshold=3, seconds=10.0, on=(Down,)
        )

    def fall(self, error: Exception) -> None:
        """One call that fails."""
        self.failureResultOf(self.breaker.call(fail, error), type(error))

    def open(self) -> None:
        for _ in range(3):
            self.fall(Down())

    def test_opens(self) -> None:
        """
        After so many failures in a row nobody is let through, and is told when.
        """
        self.open()
        self.assertEqual(self.breaker.state, "open")
        self.clock.advance(4.0)
        refused = self.breaker.call(self.fail, "called")
        error = self.failureResultOf(refused, BreakerOpen).value
        self.assertEqual((error.status, error.headers), (503, {"Retry-After": "6"}))
        self.assertIn("'the shop' has failed too often", str(error))

    def test_in_a_row(self) -> None:
        """
        A success, or another error, begins the count anew.
        """
        for between in (lambda: "fine", lambda: fail(Refused())):
            self.fall(Down())
            self.fall(Down())
            self.breaker.call(between).addErrback(lambda failure: None)
            self.fall(Down())
            self.assertEqual(self.breaker.state, "closed")
            self.breaker.call(lambda: "fine")

    def test_one_trial(self) -> None:
        """
        When it has been open for long enough, one is let through, and nobody beside it;
        if that succeeds, all are.
        """
        self.open()
        self.clock.advance(10.0)
        self.assertEqual(self.breaker.state, "half-open")
        trial: Deferred[str] = Deferred()
        called = self.breaker.call(lambda: trial)
        error = self.failureResultOf(self.breaker.call(self.fail), BreakerOpen).value
        self.assertEqual(error.headers, {"Retry-After": "1"})
        trial.callback("fine")
        self.assertEqual(self.successResultOf(called), "fine")
        self.assertEqual(self.breaker.state, "closed")
        self.assertEqual(self.successResultOf(self.breaker.call(lambda: 1)), 1)

    def test_a_trial_that_fails(self) -> None:
        """
        If the trial fails, it is open for as long again.
        """
        self.open()
        self.clock.advance(10.0)
        self.fall(Down())
        self.clock.advance(9.9)
        self.assertEqual(self.breaker.state, "open")
        self.clock.advance(0.1)
        self.assertEqual(self.breaker.state, "half-open")

    def test_a_trial_that_is_cancelled(self) -> None:
        """
        A trial that is cancelled says nothing: the next one may try.
        """
        self.open()
        self.clock.advance(10.0)
        called = self.breaker.call(Deferred)
        called.cancel()
        self.failureResultOf(called, CancelledError)
        self.assertEqual(self.breaker.state, "half-open")
        self.assertEqual(self.successResultOf(self.breaker.call(lambda: 1)), 1)

    def test_what_comes_late(self) -> None:
        """
        What was begun before it opened says nothing of what is after.
        """
        slow: list[Deferred[None]] = [Deferred(), Deferred()]
        called = [self.breaker.call(lambda each=each: each) for each in slow]
        self.open()
        slow[0].callback(None)
        self.assertEqual(self.breaker.state, "open")
        self.clock.advance(10.0)
        self.breaker.call(lambda: None)
        slow[1].errback(Down())
        self.failureResultOf(called[1], Down)
        self.fall(Down())
        self.fall(Down())
        self.assertEqual(self.breaker.state, "closed")

    def test_problem(self) -> None:
        """
        It says whether it is well, for a health check.
        """
        self.assertIsNone(self.breaker.problem())
        self.open()
        self.assertEqual(self.breaker.problem(), "the shop has failed 3 times in a row")

    def test_out_of_range(self) -> None:
        """
        What makes no sense is refused.
        """
        for wrong in {"threshold": 0}, {"seconds": 0.0}:
            with self.assertRaises(ValueError):
                Breaker("x", self.clock, **wrong)

    def test_coroutines(self) -> None:
        """
        It takes functions of any kind.
        """

        async def answer() -> str:
            return "fine"

        self.assertEqual(self.successResultOf(self.breaker.call(answer)), "fine")
        self.failureResultOf(self.breaker.call(_raise, Refused()), Refused)


def _raise(error: Exception) -> None:
    raise error


class BreakerMachine(RuleBasedStateMachine):
    """
    A breaker beside a plain model of it, with any number of calls under way.
    """

    threshold, seconds = 2, 5

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(
            "x", self.clock, threshold=self.threshold, seconds=self.seconds, on=(Down,)
        )
        # Calls under way: what they wait for, how they end, and in which era they
        # were begun.
        self.under_way: list[tuple[Deferred[None], list[Any], int]] = []
        self.era = 0
        self.failures = 0
        self.opened: float | None = None
        self.trial: Deferred[None] | None = None

    @property
    def expected(self) -> str:
        if self.opened is None:
            return "closed"
        over = self.clock.seconds() >= self.opened + self.seconds
        return "half-open" if over else "open"

    @rule(seconds=st.integers(0, 6))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def begin(self) -> None:
        waiting: Deferred[None] = Deferred()
        called: list[bool] = []
        ended: list[Any] = []

        def function() -> Deferred[None]:
            called.append(True)
            return waiting

        state, busy = self.expected, self.trial is not None
        self.breaker.call(function).addBoth(ended.append)
        let_through = state == "closed" or (state == "half-open" and not busy)
        assert bool(called) is let_through, (state, busy)
        if let_through:
            self.under_way.append((waiting, ended, self.era))
            if state == "half-open":
                self.trial = waiting
        else:
            assert ended[0].check(BreakerOpen)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), how=st.sampled_from(["well", "down", "refused", "cancelled"]))
    def end(self, data: st.DataObject, how: str) -> None:
        waiting, ended, era = self.under_way.pop(
            data.draw(st.integers(0, len(self.under_way) - 1))
        )
        tried = waiting is self.trial
        outcomes: dict[str, Callable[[], Any]] = {
            "well": lambda: waiting.callback(None),
            "down": lambda: waiting.errback(Down()),
            "refused": lambda: waiting.errback(Refused()),
            "cancelled": waiting.cancel,
        }
        outcomes[how]()
        assert len(ended) == 1
        if tried:
            self.trial = None
        if era != self.era or how == "cancelled":
            return
        if how == "down":
            self.failures += 1
            if tried or self.failures >= self.threshold:
                self.opened, self.era = self.clock.seconds(), self.era + 1
        else:
            self.failures = 0
            if self.opened is not None:
                self.opened, self.era = None, self.era + 1

    @invariant()
    def agrees(self) -> None:
        assert self.breaker.state == self.expected
        assert (self.breaker.problem() is None) is (self.expected == "closed")


class BreakerMachineTests(SynchronousTestCase):
    """
    A breaker does what its model does.
    """

    def test_any_steps(self) -> None:
        """
        In whatever order calls begin and end, and however long that takes, there is
        never more than one trial, and only what is of the present counts.
        """
        run_state_machine_as_test(
            BreakerMachine,
            settings=settings(
                max_examples=200, stateful_step_count=30, deadline=None, database=None
            ),
        )


class AsyncioTests(SynchronousTestCase):
    """
    What asyncio has is waited for, too.
    """

    def test_a_future(self) -> None:
        """
        Inside a loop, a future of it is what a function may return.
        """

        async def main() -> Any:
            future = asyncio.get_running_loop().create_future()
            called = call(lambda: future, clock=Clock())
            future.set_result("fine")
            return await called.asFuture(asyncio.get_running_loop())

        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        self.assertEqual(loop.run_until_complete(main()), "fine")

    def test_succeeded(self) -> None:
        """
        A Deferred that has fired is its result.
        """
        called = call(succeed, 3, clock=Clock())
        self.assertEqual(self.successResultOf(called), 3)
