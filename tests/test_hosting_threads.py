"""
Tests for L{ropewalk.web.hosting.wsgi.threads}: the threads of an application.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.hosting.wsgi.threads import Busy, Job, Pool, PoolFigures

#: Seconds in which a thread is expected to do something that takes it none.
PATIENCE = 10.0


class Desk(Clock):
    """
    A reactor that does what threads want when it is asked to.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, function: Callable[..., object], *args: Any) -> None:
        self._calls.put(lambda: function(*args))

    def turn(self) -> None:
        """Do the next thing that a thread wants."""
        self._calls.get(timeout=PATIENCE)()


class Work(Job):
    """
    Work that is done when it is let, and says when it begins.
    """

    __slots__ = ("began", "let", "name", "refused")

    def __init__(self) -> None:
        super().__init__()
        self.began, self.let = threading.Event(), threading.Event()
        self.refused: Busy | None = None
        self.name = ""

    def work(self) -> None:
        self.name = threading.current_thread().name
        self.began.set()
        self.let.wait(PATIENCE)

    def refuse(self, error: Busy) -> None:
        self.refused = error


class PoolTests(SynchronousTestCase):
    """
    A pool of two, for whom three may wait for ten seconds.
    """

    def setUp(self) -> None:
        self.desk = Desk()
        self.pool = Pool("/shop", 2, 3, 10.0, self.desk)
        self.works: list[Work] = []
        self.addCleanup(self.end)

    def end(self) -> None:
        for work in self.works:
            work.let.set()
        self.pool.stop(PATIENCE)

    def give(self) -> Work:
        """Hand in some work."""
        work = Work()
        self.works.append(work)
        self.pool.submit(work)
        return work

    def begin(self, count: int) -> list[Work]:
        """Hand in work, and wait until it is under way."""
        works = [self.give() for _ in range(count)]
        for work in works:
            self.assertTrue(work.began.wait(PATIENCE))
        return works

    def figures(self, **wanted: int) -> None:
        """It does like this, perhaps in a moment."""
        wanted = {"busy": 0, "waiting": 0, "done": 0, "refused": 0, **wanted}
        for _ in range(10_000):
            figures = self.pool.figures()
            if figures == PoolFigures(**wanted):
                return
            threading.Event().wait(0.001)
        self.fail(f"{figures}, not {wanted}")

    def test_as_needed(self) -> None:
        """
        A thread is started when it is needed, and used again.
        """
        self.figures(threads=0)
        (first,) = self.begin(1)
        self.figures(threads=1, busy=1)
        first.let.set()
        self.figures(threads=1, done=1)
        (second,) = self.begin(1)
        self.assertEqual((first.name, second.name), ("/shop 1", "/shop 1"))
        (third,) = self.begin(1)
        self.assertEqual(third.name, "/shop 2")
        self.figures(threads=2, busy=2, done=1)

    def test_queue(self) -> None:
        """
        There are no more threads than there may be: the rest waits, in order.
        """
        first, second = self.begin(2)
        third, fourth = self.give(), self.give()
        self.figures(threads=2, busy=2, waiting=2)
        second.let.set()
        self.assertTrue(third.began.wait(PATIENCE))
        self.assertFalse(fourth.began.is_set())
        first.let.set()
        self.assertTrue(fourth.began.wait(PATIENCE))

    def test_full(self) -> None:
        """
        What comes when the queue is full is refused at once, and counted.
        """
        self.begin(2)
        for _ in range(3):
            self.give()
        error = self.assertRaises(Busy, self.give)
        self.assertEqual((error.status, error.headers), (503, {"Retry-After": "1"}))
        self.figures(threads=2, busy=2, waiting=3, refused=1)

    def test_late(self) -> None:
        """
        What has waited for too long is refused, each at its time.
        """
        first, _ = self.begin(2)
        third = self.give()
        self.desk.advance(4)
        fourth, fifth = self.give(), self.give()
        self.desk.advance(6)
        self.assertIsInstance(third.refused, Busy)
        self.assertIsNone(fourth.refused)
        first.let.set()
        self.assertTrue(fourth.began.wait(PATIENCE))
        self.desk.advance(4)
        self.assertIsInstance(fifth.refused, Busy)
        self.assertIsNone(fourth.refused)
        self.figures(threads=2, busy=2, done=1, refused=2)
        self.assertEqual(self.desk.getDelayedCalls(), [])

    def test_forget(self) -> None:
        """
        What waits can be taken back; what is under way cannot.
        """
        first, _ = self.begin(2)
        third = self.give()
        self.assertTrue(self.pool.forget(third))
        self.assertFalse(self.pool.forget(third))
        self.assertFalse(self.pool.forget(first))
        self.figures(threads=2, busy=2)

    def test_failure(self) -> None:
        """
        Work that fails is logged, and its thread does the next.
        """

        class Failing(Job):
            def work(self) -> None:
                raise SystemExit("all of this")

        self.pool.submit(Failing())
        self.figures(threads=1, done=1)
        self.begin(1)
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)

    def test_insist(self) -> None:
        """
        What cannot be refused comes first, and has time.
        """
        first, _ = self.begin(2)
        for _ in range(3):
            self.give()
        last = Work()
        self.works.append(last)
        self.pool.insist(last)
        self.desk.advance(60)
        self.assertIsNone(last.refused)
        first.let.set()
        self.assertTrue(last.began.wait(PATIENCE))

    def test_stop(self) -> None:
        """
        A pool that stops takes nothing on, refuses what waits, and ends its threads.
        """
        first, second = self.begin(2)
        third = self.give()
        stopping = self.pool.stop(5.0)
        self.assertIsInstance(third.refused, Busy)
        self.assertRaises(Busy, self.give)
        first.let.set()
        second.let.set()
        self.desk.turn()
        self.assertEqual(self.successResultOf(stopping), 0)
        self.assertEqual(self.pool.figures().threads, 0)
        self.assertEqual(self.desk.getDelayedCalls(), [])

    def test_stop_idle(self) -> None:
        """
        So does one that has nothing to do, and one that never had.
        """
        (first,) = self.begin(1)
        first.let.set()
        self.figures(threads=1, done=1)
        stopping = self.pool.stop(5.0)
        self.desk.turn()
        self.assertEqual(self.successResultOf(stopping), 0)
        idle = Pool("/", 1, 1, 1.0, self.desk)
        self.assertEqual(self.successResultOf(idle.stop(1.0)), 0)

    def test_insist_while_it_stops(self) -> None:
        """
        What cannot be refused is done even then: by a thread that is about to end, or
        by one more.
        """
        (first,) = self.begin(1)
        first.let.set()
        self.figures(threads=1, done=1)
        self.pool.stop(5.0)
        last = Work()
        self.works.append(last)
        self.pool.insist(last)
        self.assertTrue(last.began.wait(PATIENCE))

    def test_left_behind(self) -> None:
        """
        A thread that never gets ready is left to itself, and the log says which.
        """
        self.begin(1)
        stopping = self.pool.stop(5.0)
        self.desk.advance(5)
        self.assertEqual(self.successResultOf(stopping), 1)
