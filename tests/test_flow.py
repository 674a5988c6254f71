# -*- test-case-name: tests.test_flow -*-
"""
The two directions of a conversation, each with a bound.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ropewalk.net.flow import Backlog, Patience, Turns
from ropewalk.telemetry import Work, work, working
from tests.observing import Observed

#: Something that calls may set.
LAST: ContextVar[Any] = ContextVar("LAST", default="nothing")


class TurnsTests(SynchronousTestCase):
    """
    Calls are made one at a time.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.made: list[Any] = []
        self.wrong: list[BaseException | None] = []
        self.holds: list[bool] = []
        self.turns = Turns(self.went_wrong, self.holds.append, self.clock, ahead=2)

    def went_wrong(self, failure: Failure) -> None:
        self.wrong.append(failure.value)

    def slow(self, name: object) -> Deferred[None]:
        """Hand over a call that ends when its Deferred fires."""
        end: Deferred[None] = Deferred()

        def call() -> Deferred[None]:
            self.made.append(name)
            return end

        self.turns.take(call)
        return end

    def fall(self, *args: object) -> None:
        raise ZeroDivisionError("no")

    def test_at_once(self) -> None:
        """
        A call is made before it is known whether there will be another.
        """
        self.turns.take(self.made.append, 1)
        self.turns.take(self.made.append, 2)
        self.assertEqual(self.made, [1, 2])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_in_order(self) -> None:
        """
        The next is made when the one before has ended.
        """
        first, second = self.slow(1), self.slow(2)
        self.turns.take(self.made.append, 3)
        self.assertEqual(self.made, [1])
        first.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.made, [1, 2])
        second.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.made, [1, 2, 3])

    def test_newcomers_wait(self) -> None:
        """
        A call that comes between the end of one and the beginning of the next
        does not overtake it.
        """
        first = self.slow(1)
        self.turns.take(self.made.append, 2)
        first.callback(None)
        self.turns.take(self.made.append, 3)
        self.clock.advance(0)
        self.assertEqual(self.made, [1, 2, 3])

    def test_anything_is_waited_for(self) -> None:
        """
        A call may be a coroutine function as well, or give a Deferred that has
        already fired.
        """
        until: Deferred[None] = Deferred()

        async def call() -> None:
            self.made.append("begun")
            await until
            self.made.append("ended")

        self.turns.take(call)
        self.turns.take(self.made.append, "next")
        self.assertEqual(self.made, ["begun"])
        until.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.made, ["begun", "ended", "next"])
        self.slow("fired").callback(None)
        self.turns.take(self.made.append, "last")
        self.assertEqual(self.made[3:], ["fired", "last"])

    def test_from_inside(self) -> None:
        """
        What a call hands over comes after it, and after those that wait.
        """

        def call() -> None:
            self.turns.take(self.made.append, "inner")
            self.made.append("outer")

        self.turns.take(call)
        first = self.slow("slow")
        self.turns.take(call)
        self.turns.take(self.made.append, "waited")
        first.callback(None)
        self.clock.advance(0)
        self.assertEqual(
            self.made, ["outer", "inner", "slow", "outer", "waited", "inner"]
        )

    def test_hold(self) -> None:
        """
        When too many wait, the peer is made to wait, once, until half of them are
        left.
        """
        ends = [self.slow(number) for number in range(3)]
        self.assertEqual(self.holds, [])
        ends += [self.slow(3), self.slow(4)]
        self.assertEqual(self.holds, [True])
        for end in ends:
            self.assertEqual(
                self.holds, [True] if len(self.made) < 4 else [True, False]
            )
            end.callback(None)
            self.clock.advance(0)
        self.assertEqual(self.made, [0, 1, 2, 3, 4])

    def test_errors(self) -> None:
        """
        A call that fails, at once or later, is told of, and the next is made.
        """
        self.turns.take(self.fall)
        self.slow("slow").errback(ValueError("later"))
        self.turns.take(self.made.append, "next")
        self.assertEqual(
            list(map(repr, self.wrong)),
            ["ZeroDivisionError('no')", "ValueError('later')"],
        )
        self.assertEqual(self.made, ["slow", "next"])

    def test_exits(self) -> None:
        """
        A call that would end the process ends itself.
        """
        self.turns.take(exit, 3)
        self.turns.take(self.made.append, "next")
        self.assertEqual(repr(self.wrong), "[SystemExit(3)]")
        self.assertEqual(self.made, ["next"])

    def test_worse(self) -> None:
        """
        When even that cannot be told, both are logged, and the next call is made.
        """
        turns = Turns(self.fall, self.holds.append, self.clock)
        turns.take(int, "five")
        turns.take(self.made.append, "next")
        self.assertEqual(self.made, ["next"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_deep(self) -> None:
        """
        However many wait, the stack does not grow.
        """
        first = self.slow("slow")
        for number in range(10_000):
            self.turns.take(self.made.append, number)
        first.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.made[-1], 9999)
        ends = [self.slow(number) for number in range(3000)]
        for end in reversed(ends):
            end.callback(None)
        self.clock.advance(0)
        self.assertEqual(len(self.made), 13_001)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_end(self) -> None:
        """
        After the end nothing waits, nothing is taken, and nobody is held; what is
        under way goes on, and what it fails of is told.
        """
        under_way = self.slow("under way")
        for number in range(9):
            self.turns.take(self.made.append, number)
        self.turns.end()
        self.turns.take(self.made.append, "late")
        under_way.errback(ZeroDivisionError())
        self.clock.advance(0)
        self.assertEqual(self.made, ["under way"])
        self.assertEqual(self.holds, [True, False])
        self.assertIsInstance(self.wrong[0], ZeroDivisionError)

    def test_end_from_inside(self) -> None:
        """
        A call may be the one that ends it all.
        """

        def call() -> None:
            self.turns.take(self.made.append, "never")
            self.turns.end()

        self.turns.take(call)
        self.clock.advance(0)
        self.assertEqual(self.made, [])

    def test_last(self) -> None:
        """
        What is to be done at last is done when nothing is under way any more: at
        once, or when that has ended.
        """
        under_way = self.slow("under way")
        self.turns.take(self.made.append, "forgotten")
        self.turns.end(lambda: self.made.append("goodbye"))
        self.turns.end()
        self.turns.end(lambda: self.made.append("closed"))
        self.assertEqual(self.made, ["under way"])
        under_way.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.made, ["under way", "goodbye", "closed"])
        self.turns.end(lambda: self.made.append("again"))
        self.assertEqual(self.made[3:], ["again"])

    def test_last_may_wait(self) -> None:
        """
        It may be waited for as well. There is nobody to tell what goes wrong then
        but the log.
        """

        async def last() -> None:
            await until
            raise ZeroDivisionError

        until: Deferred[None] = Deferred()
        self.turns.end(last)
        self.turns.end(self.fall)
        until.callback(None)
        self.clock.advance(0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual(self.wrong, [])

    def test_whose_work(self) -> None:
        """
        Each call is made, and what went wrong with it told, as part of the work in
        which it was handed over, whoever ends the one before.
        """
        seen: list[str | None] = []

        def call() -> None:
            seen.append(work.get().connection)
            raise ZeroDivisionError

        turns = Turns(
            lambda _: seen.append(work.get().connection), self.holds.append, self.clock
        )
        until: Deferred[None] = Deferred()
        with working(connection="c1"):
            turns.take(lambda: until)
        with working(connection="c2"):
            turns.take(call)
        with working(connection="c3"):
            until.errback(ZeroDivisionError())
            self.clock.advance(0)
        self.assertEqual(seen, ["c1", "c2", "c2"])

    def test_whose_coroutine(self) -> None:
        """
        So does a coroutine, from its first step.
        """
        seen: list[str | None] = []

        async def call(_: object = None) -> None:
            seen.append(work.get().connection)

        until: Deferred[None] = Deferred()
        self.turns.take(lambda: until)
        with working(connection="c2"):
            self.turns.take(call)
            self.turns.each(call, [1])
        with working(connection="c3"):
            until.callback(None)
            self.clock.advance(0)
            self.turns.each(call, [1, 2])
        self.assertEqual(seen, ["c2", "c2", "c3", "c3"])


class EachTests(SynchronousTestCase):
    """
    One call is made with many things, one after the other.

    :ivar made: What the call was made with.
    :ivar ends: What it returned, by what it was made with.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.made: list[Any] = []
        self.ends: dict[Any, Any] = {}
        self.wrong: list[tuple[str, Any]] = []
        self.holds: list[bool] = []
        self.turns = Turns(self.went_wrong, self.holds.append, self.clock, ahead=2)

    def went_wrong(self, failure: Failure) -> None:
        self.wrong.append((type(failure.value).__name__, LAST.get()))

    def call(self, thing: Any) -> Any:
        self.made.append(thing)
        return self.ends.get(thing)

    def slow(self, thing: Any) -> Deferred[None]:
        end: Deferred[None] = Deferred()
        self.ends[thing] = end
        return end

    def fire(self, end: Deferred[None]) -> None:
        end.callback(None)
        self.clock.advance(0)

    def test_at_once(self) -> None:
        """
        As long as there is nothing to wait for, nothing waits.
        """
        self.ends = {2: "no matter what", 3: succeed(None)}
        self.turns.each(self.call, [1, 2, 3, 4])
        self.turns.each(self.call, [])
        self.turns.each(self.call, [5])
        self.assertEqual(self.made, [1, 2, 3, 4, 5])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_waiting(self) -> None:
        """
        When there is, the others wait, and whatever is handed over meanwhile waits
        behind them.
        """
        end = self.slow(2)
        self.turns.each(self.call, [1, 2, 3])
        self.turns.each(self.call, [4])
        self.turns.take(self.call, 5)
        self.assertEqual(self.made, [1, 2])
        self.fire(end)
        self.assertEqual(self.made, [1, 2, 3, 4, 5])

    def test_newcomers_wait(self) -> None:
        """
        Nor do they overtake those of which the next is about to be called.
        """
        end = self.slow(1)
        self.turns.each(self.call, [1, 2, 3])
        end.callback(None)
        self.turns.each(self.call, [4, 5])
        self.clock.advance(0)
        self.assertEqual(self.made, [1, 2, 3, 4, 5])

    def test_from_inside(self) -> None:
        """
        What a call hands over comes after all that it was handed over with.
        """

        def call(thing: str) -> Any:
            self.turns.each(self.call, [thing.upper()])
            return self.call(thing)

        end = self.slow("b")
        self.turns.each(call, ["a", "b", "c"])
        self.assertEqual(self.made, ["a", "b"])
        self.fire(end)
        self.assertEqual(self.made, ["a", "b", "c", "A", "B", "C"])
        self.turns.each(call, ["d", "e"])
        self.assertEqual(self.made[6:], ["d", "e", "D", "E"])

    def test_errors(self) -> None:
        """
        Those that fail are told of, each in its context, and the next is called.
        """

        def call(thing: Any) -> Any:
            LAST.set(thing)
            self.made.append(thing)
            if thing == "later":
                return self.ends[thing]
            raise thing

        end = self.slow("later")
        self.turns.each(call, [KeyError(1), SystemExit(2), "later", ValueError(4)])
        self.assertEqual(len(self.made), 3)
        end.errback(ZeroDivisionError())
        self.clock.advance(0)
        self.assertEqual(
            [name for name, _ in self.wrong],
            ["KeyError", "SystemExit", "ZeroDivisionError", "ValueError"],
        )
        self.assertEqual([last for _, last in self.wrong], self.made)

    def test_hold(self) -> None:
        """
        When too many wait, the peer is made to wait.
        """
        end = self.slow(1)
        self.turns.each(self.call, [1, 2, 3])
        self.assertEqual(self.holds, [])
        self.assertEqual(self.turns.room, 1)
        self.turns.each(self.call, [4])
        self.assertEqual(self.holds, [True])
        self.assertEqual(self.turns.room, 0)
        self.fire(end)
        self.assertEqual(self.holds, [True, False])

    def test_end(self) -> None:
        """
        After the end no more are called, those neither that come with the call that
        ended it.
        """

        def call(thing: int) -> None:
            self.made.append(thing)
            if thing == 2:
                self.turns.end(lambda: self.made.append("goodbye"))

        self.turns.each(call, [1, 2, 3, 4])
        self.turns.each(call, [5, 6])
        self.turns.each(call, [7])
        self.assertEqual(self.made, [1, 2, "goodbye"])

    def test_each_has_a_context(self) -> None:
        """
        What a call sets in its context is set for nobody else.
        """

        def call(thing: Any) -> Any:
            self.made.append(LAST.get())
            LAST.set(thing)
            return self.ends.get(thing)

        end = self.slow(3)
        self.turns.each(call, [1, 2, 3, 4, 5])
        self.turns.each(call, [6])
        self.fire(end)
        self.turns.each(call, [7])
        self.assertEqual(self.made, ["nothing"] * 7)
        self.assertEqual(LAST.get(), "nothing")

    def test_what_will_not_be_compared(self) -> None:
        """
        Whatever it sets: some values will not say whether they are equal.
        """

        class Obstinate:
            def __eq__(self, other: object) -> bool:
                raise TypeError("no")

            __hash__ = None  # type: ignore[assignment]

        def call(thing: Any) -> None:
            self.made.append(LAST.get())
            LAST.set(thing)

        token = LAST.set(Obstinate())
        self.addCleanup(LAST.reset, token)
        self.turns.each(call, [Obstinate(), Obstinate()])
        self.assertEqual([each is LAST.get() for each in self.made], [True, True])
        self.assertEqual(self.wrong, [])

    @settings(max_examples=200, deadline=None, database=None)
    @given(st.lists(st.lists(st.sampled_from("now later fired bad never".split()))))
    def test_as_take(self, lots: list[list[str]]) -> None:
        """
        It is as if they were handed over one by one.
        """
        self.assertEqual(self.play(lots, True), self.play(lots, False))

    def play(self, lots: list[list[str]], together: bool) -> tuple[list[Any], ...]:
        """Hand over lots of things, and end what they wait for in between."""
        self.setUp()
        ends: list[Deferred[None]] = []

        def call(thing: str) -> Any:
            self.made.append((thing, LAST.get()))
            LAST.set(thing)
            if thing == "bad":
                raise ZeroDivisionError
            if thing == "fired":
                return succeed(None)
            if thing == "now":
                return None
            ends.append(Deferred())
            return ends[-1]

        for lot in lots:
            if together:
                self.turns.each(call, [*lot])
            else:
                for thing in lot:
                    self.turns.take(call, thing)
            self.made.append("end")
            if ends and lot and lot[-1] != "never":
                self.fire(ends.pop())
        while ends:
            self.fire(ends.pop())
        return self.made, self.wrong, self.holds


class BacklogTests(SynchronousTestCase):
    """
    A peer that does not read.
    """

    def setUp(self) -> None:
        self.cuts: list[Work] = []
        self.transport = StringTransport()
        self.clock = Clock()
        self.backlog = Backlog(
            lambda: self.cuts.append(work.get()), limit=10, clock=self.clock
        )
        with working(connection="c1"):
            self.backlog.watch(self.transport)

    def test_interface(self) -> None:
        """
        To the transport it is a producer.
        """
        self.assertTrue(verifyObject(IPushProducer, self.backlog))
        self.assertIs(self.transport.producer, self.backlog)
        self.assertTrue(self.transport.streaming)

    def test_reading(self) -> None:
        """
        There is room for anything while the peer reads.
        """
        self.assertTrue(self.backlog.room(10**9))
        self.backlog.pauseProducing()
        self.backlog.resumeProducing()
        self.assertTrue(self.backlog.room(10**9))
        self.assertEqual(self.cuts, [])

    def test_limit(self) -> None:
        """
        While the transport is full there is room for so many bytes; one more, and
        the peer is cut off, once, under its own name.
        """
        self.backlog.pauseProducing()
        self.assertEqual([self.backlog.room(size) for size in (4, 6)], [True, True])
        observed = Observed.during(self)
        with working(connection="c2"):
            self.assertEqual([self.backlog.room(1) for _ in range(3)], [False] * 3)
        self.assertEqual(self.cuts, [Work(connection="c1")])
        self.assertIsNone(self.transport.producer)
        self.assertEqual(
            observed.texts,
            ["cut off: over 10 bytes wait for a peer that does not read"],
        )
        self.assertEqual(observed.works, [Work(connection="c1")])

    def test_time(self) -> None:
        """
        Who reads nothing for a minute of what waits is cut off, under its own name:
        others may be waiting for it. Those are let go on.
        """
        self.backlog.pauseProducing()
        self.clock.advance(59)
        self.backlog.resumeProducing()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNone(self.backlog.ready())
        self.backlog.pauseProducing()
        waiting = self.backlog.ready()
        assert waiting is not None
        observed = Observed.during(self)
        with working(connection="c2"):
            self.clock.advance(59)
            self.assertNoResult(waiting)
            self.clock.advance(1)
        self.successResultOf(waiting)
        self.assertEqual(self.cuts, [Work(connection="c1")])
        self.assertIsNone(self.transport.producer)
        (told,) = observed.texts
        self.assertIn("nothing was read for 60 seconds", told)

    def test_time_of_none(self) -> None:
        """
        Who is gone is not cut off any more.
        """
        for end in self.backlog.stopProducing, self.backlog.release:
            self.backlog.watch(StringTransport())
            self.backlog.pauseProducing()
            end()
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.cuts, [])

    def test_who_catches_up(self) -> None:
        """
        A peer that has read it all begins anew.
        """
        for _ in range(5):
            self.backlog.pauseProducing()
            self.assertTrue(self.backlog.room(10))
            self.backlog.resumeProducing()
        self.assertEqual(self.cuts, [])

    def test_release(self) -> None:
        """
        Once released, the transport can close, and nobody is cut off.
        """
        self.backlog.pauseProducing()
        self.backlog.release()
        self.backlog.release()
        self.assertIsNone(self.transport.producer)
        self.assertFalse(self.backlog.room(11))
        self.assertEqual(self.cuts, [])

    def test_lost(self) -> None:
        """
        Nor is somebody who is gone.
        """
        self.backlog.pauseProducing()
        self.backlog.stopProducing()
        self.assertFalse(self.backlog.room(11))
        self.backlog.release()
        self.assertEqual(self.cuts, [])

    def test_cut_from_inside(self) -> None:
        """
        Who is cut off while his goodbye is written is cut off once.
        """
        backlog = Backlog(lambda: self.assertFalse(backlog.room(99)), limit=1)
        backlog.watch(StringTransport())
        backlog.pauseProducing()
        self.assertFalse(backlog.room(99))


class PatienceTests(SynchronousTestCase):
    """
    Somebody is waited for, and not for ever.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.over: list[tuple[float, Work]] = []
        self.patience = Patience(
            lambda: self.over.append((self.clock.seconds(), work.get())), self.clock
        )

    def advance(self, *times: float) -> None:
        for seconds in times:
            self.clock.advance(seconds)

    def test_end(self) -> None:
        """
        It is over when so many seconds have passed, once, and whoever's turn it is
        then, for whoever began to wait.
        """
        with working(connection="c1"):
            self.patience.wait(10)
        with working(connection="c2"):
            self.advance(9, 0.5, 0.25)
            self.assertEqual(self.over, [])
            self.advance(0.25, 100)
        self.assertEqual(self.over, [(10.0, Work(connection="c1"))])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_anew(self) -> None:
        """
        Whoever is heard of is waited for as long again, by the same timer.
        """
        with working(connection="c1"):
            self.patience.wait(10)
        (timer,) = self.clock.getDelayedCalls()
        for _ in range(3):
            self.advance(3)
            self.patience.since = self.clock.seconds()
            self.assertEqual(self.clock.getDelayedCalls(), [timer])
        self.advance(1, 8)
        self.assertEqual(self.over, [])
        self.advance(1)
        self.assertEqual(self.over, [(19.0, Work(connection="c1"))])

    def test_another_time(self) -> None:
        """
        Who is waited for otherwise, is so from then on: shorter, longer, or for ever.
        """
        self.patience.wait(100)
        self.advance(50)
        self.patience.wait(10)
        self.advance(9)
        self.patience.wait(20)
        self.advance(19)
        self.patience.wait(0)
        self.advance(1000)
        self.assertEqual(self.over, [])
        self.patience.wait(1)
        self.advance(1)
        self.assertEqual(self.over, [(1079.0, Work())])

    def test_again_when_it_is_over(self) -> None:
        """
        What is done at the end may begin to wait once more.
        """
        overs: list[float] = []

        def over() -> None:
            overs.append(self.clock.seconds())
            patience.wait(5)

        patience = Patience(over, self.clock)
        patience.wait(10)
        self.advance(10, 4, 1, 5)
        self.assertEqual(overs, [10, 15, 20])
