# -*- test-case-name: tests.test_lifecycle -*-
"""
Services are started in order and stopped in reverse, each waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import StartFailed
from ropewalk.run.lifecycle import Lifecycle, Unit


class Part(Service):
    """
    A service that writes down when it is started and stopped.

    :param start: What its start comes to.
    :param stop: What its stop comes to.
    """

    def __init__(
        self,
        label: str,
        book: list[str],
        start: Callable[[], Any] = lambda: None,
        stop: Callable[[], Any] = lambda: None,
    ) -> None:
        self.label = label
        self._book = book
        self._start = start
        self._stop = stop

    def startService(self) -> Any:
        super().startService()
        self._book.append(f"+{self.label}")
        return self._start()

    def stopService(self) -> Any:
        super().stopService()
        self._book.append(f"-{self.label}")
        return self._stop()


class Own(MultiService):
    """A group that does more than to start its children."""

    def startService(self) -> None:
        super().startService()


def group(*parts: Service) -> MultiService:
    """A plain group."""
    made = MultiService()
    for part in parts:
        part.setServiceParent(made)
    return made


class LifecycleTestCase(SynchronousTestCase):
    """
    Has a clock and a book to write in.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.book: list[str] = []

    def part(self, label: str, **how: Any) -> Part:
        """A service that writes into the book."""
        return Part(label, self.book, **how)

    def lifecycle(self, *services: Service) -> Lifecycle:
        """Services with 5 seconds to start and 3 to stop, named a, b, c …"""
        units = [
            Unit(name, service, 5.0, 3.0)
            for name, service in zip("abcdefgh", services, strict=False)
        ]
        return Lifecycle(units, self.clock)


class StartTests(LifecycleTestCase):
    """
    A start is waited for.
    """

    def test_one_after_another(self) -> None:
        """
        The next service starts when what the one before returned has fired.
        """
        slow: Deferred[None] = Deferred()
        lifecycle = self.lifecycle(self.part("a", start=lambda: slow), self.part("b"))
        started = lifecycle.start()
        self.assertEqual(self.book, ["+a"])
        self.assertNoResult(started)
        slow.callback(None)
        self.successResultOf(started)
        self.assertEqual(self.book, ["+a", "+b"])
        self.assertEqual(lifecycle.started, ("a", "b"))

    def test_children_one_after_another(self) -> None:
        """
        The children of a MultiService are waited for as well, and of groups in
        it.
        """
        slow: Deferred[None] = Deferred()
        inner = group(self.part("2", start=lambda: slow), self.part("3"))
        started = self.lifecycle(group(self.part("1"), inner, self.part("4"))).start()
        self.assertEqual(self.book, ["+1", "+2"])
        slow.callback(None)
        self.successResultOf(started)
        self.assertEqual(self.book, ["+1", "+2", "+3", "+4"])

    def test_a_group_of_its_own(self) -> None:
        """
        A group that overrides ``startService`` starts its children its own way.
        """
        own = Own()
        self.part("1", start=Deferred).setServiceParent(own)
        self.successResultOf(self.lifecycle(own).start())
        self.assertEqual(self.book, ["+1"])

    def test_async(self) -> None:
        """
        ``startService`` may be ``async def``.
        """

        async def start() -> None:
            self.book.append("awaited")

        self.successResultOf(self.lifecycle(self.part("a", start=start)).start())
        self.assertEqual(self.book, ["+a", "awaited"])

    def test_failure(self) -> None:
        """
        The first service that fails ends the start, and says why.
        """
        lifecycle = self.lifecycle(
            self.part("a"),
            self.part("b", start=lambda: fail(ValueError("no disk"))),
            self.part("c"),
        )
        error = self.failureResultOf(lifecycle.start(), StartFailed).value
        self.assertEqual(
            str(error), "service 'b' did not start: Part: ValueError: no disk"
        )
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.book, ["+a", "+b"])

    def test_deadline(self) -> None:
        """
        A service that takes longer than it may has not started, and is
        cancelled.
        """
        cancelled: list[Any] = []
        slow: Deferred[None] = Deferred(cancelled.append)
        started = self.lifecycle(self.part("a", start=lambda: slow)).start()
        self.clock.advance(4.9)
        self.assertNoResult(started)
        self.clock.advance(0.2)
        error = self.failureResultOf(started, StartFailed).value
        self.assertEqual(error.reason, "still starting after 5 seconds, in Part")
        self.assertEqual(cancelled, [slow])

    def test_cancelled(self) -> None:
        """
        A start can be given up; what had started can then be stopped.
        """
        lifecycle = self.lifecycle(self.part("a"), self.part("b", start=Deferred))
        started = lifecycle.start()
        started.cancel()
        self.failureResultOf(started)
        self.assertEqual(self.successResultOf(lifecycle.stop()), ())
        self.assertEqual(self.book, ["+a", "+b", "-a"])


class StopTests(LifecycleTestCase):
    """
    What has started is stopped, in reverse.
    """

    def test_reverse(self) -> None:
        """
        The next is stopped when the one after it has stopped.
        """
        slow: Deferred[None] = Deferred()
        lifecycle = self.lifecycle(
            self.part("a"), group(self.part("1"), self.part("2", stop=lambda: slow))
        )
        self.successResultOf(lifecycle.start())
        self.book.clear()
        stopped = lifecycle.stop()
        self.assertEqual(self.book, ["-2"])
        slow.callback(None)
        self.assertEqual(self.successResultOf(stopped), ())
        self.assertEqual(self.book, ["-2", "-1", "-a"])

    def test_half_a_group(self) -> None:
        """
        Of a group whose start failed in the middle, what had started is
        stopped; what failed is not.
        """
        bad = self.part("3", start=lambda: fail(ValueError("no")))
        inner = group(self.part("2"), bad, self.part("4"))
        lifecycle = self.lifecycle(self.part("a"), group(self.part("1"), inner))
        self.failureResultOf(lifecycle.start(), StartFailed)
        self.flushLoggedErrors(ValueError)
        self.book.clear()
        self.assertEqual(self.successResultOf(lifecycle.stop()), ())
        self.assertEqual(self.book, ["-2", "-1", "-a"])

    def test_hangs(self) -> None:
        """
        What does not stop in time is left behind by name; the rest stops.
        """
        lifecycle = self.lifecycle(self.part("a"), self.part("b", stop=Deferred))
        self.successResultOf(lifecycle.start())
        stopped = lifecycle.stop()
        self.clock.advance(3.0)
        self.assertEqual(self.successResultOf(stopped), ("b",))
        self.assertEqual(self.book, ["+a", "+b", "-b", "-a"])

    def test_raises(self) -> None:
        """
        What fails to stop is logged and left behind; in a group, its neighbours
        are stopped all the same.
        """

        def stop() -> None:
            raise ValueError("stuck")

        lifecycle = self.lifecycle(
            self.part("a"), group(self.part("1"), self.part("2", stop=stop))
        )
        self.successResultOf(lifecycle.start())
        self.assertEqual(self.successResultOf(lifecycle.stop()), ("b",))
        self.assertEqual(self.book, ["+a", "+1", "+2", "-2", "-1", "-a"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_twice(self) -> None:
        """
        Stopping what was stopped does nothing.
        """
        lifecycle = self.lifecycle(self.part("a"))
        self.successResultOf(lifecycle.start())
        self.successResultOf(lifecycle.stop())
        self.assertEqual(self.successResultOf(lifecycle.stop()), ())
        self.assertEqual(self.book, ["+a", "-a"])


#: Groups in groups; a leaf is True where its start fails.
TREES = st.recursive(
    st.sampled_from([False, False, False, True]),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


class PropertyTests(SynchronousTestCase):
    """
    Whatever fails wherever.
    """

    @given(st.lists(TREES, max_size=4))
    def test_balance(self, trees: list[Any]) -> None:
        """
        What started is stopped in exactly the reverse order, and what failed is
        the last that was begun.
        """
        book: list[str] = []
        labels = iter(range(1000))
        failing: list[str] = []

        def build(tree: Any) -> Service:
            if isinstance(tree, list):
                return group(*map(build, tree))
            label = str(next(labels))
            if tree:
                failing.append(f"+{label}")
                return Part(label, book, start=lambda: fail(ValueError(label)))
            return Part(label, book)

        units = [
            Unit(str(number), build(tree), 5.0, 3.0)
            for number, tree in enumerate(trees)
        ]
        lifecycle = Lifecycle(units, Clock())
        outcome: list[Any] = []
        lifecycle.start().addBoth(outcome.append)
        self.flushLoggedErrors(ValueError)
        begun = list(book)
        if failing:
            self.assertEqual(begun.pop(), failing[0])
        self.assertEqual(self.successResultOf(lifecycle.stop()), ())
        stopped = [each for each in book if each.startswith("-")]
        self.assertEqual(stopped, [each.replace("+", "-") for each in reversed(begun)])
