# -*- test-case-name: tests.test_flow -*-
"""
The two directions of a conversation, each with a bound.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ropewalk.net.flow import Backlog, Turns
from ropewalk.telemetry import Work, work, working
from tests.observing import Observed


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


class BacklogTests(SynchronousTestCase):
    """
    A peer that does not read.
    """

    def setUp(self) -> None:
        self.cuts: list[Work] = []
        self.transport = StringTransport()
        self.backlog = Backlog(lambda: self.cuts.append(work.get()), limit=10)
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
