# -*- test-case-name: tests.test_awaiting -*-
"""
Every kind of function × every kind of thing to wait for × every way it can end.

This is not collected: it says something about the reactor it runs on, so
`tests.test_awaiting` runs it in processes of its own, one per reactor. By hand::

    PYTHONPATH=platform:. trial --reactor asyncio tests.awaiting_matrix
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from itertools import product
from threading import Event
from traceback import walk_tb
from typing import Any, ClassVar, cast

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, fail
from twisted.internet.defer import inlineCallbacks as twistedInlineCallbacks
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from ropewalk.awaiting import deferred, home, inlineCallbacks, run, within
from ropewalk.errors import NeedsAsyncio
from ropewalk.interfaces import Steps

Trial = Generator[Deferred[Any], Any, None]

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


class Broken(Exception):
    """
    What goes wrong in these tests.
    """


def break_down() -> Any:
    """
    Go wrong, in a function that is to be seen in the traceback.
    """
    raise Broken


def bring_news() -> str:
    return "news"


def error_of(waiting: Deferred[Any]) -> Deferred[list[Failure]]:
    """
    :return: fires with a list of the failure (alone, it would be one).
    """
    return waiting.addCallbacks(lambda result: [result], lambda failure: [failure])


# What to wait for. Each comes about when told: by calling a function.


class Source:
    """
    Something to wait for, and the end of the string that makes it happen.

    :cvar needs_loop: Whether it is asyncio's.
    :cvar waits: Whether it is not there at once.
    """

    needs_loop: ClassVar[bool] = False
    waits: ClassVar[bool] = True

    def begin(self, outcome: Callable[[], Any]) -> Any:
        """
        :param outcome: Called when it happens, for what comes of it.
        :return: what can be waited for.
        """
        raise NotImplementedError

    def happen(self) -> None:
        raise NotImplementedError

    def was_cancelled(self) -> bool:
        raise NotImplementedError

    def clean_up(self) -> None:
        pass


class ADeferred(Source):
    _cancelled = False

    def begin(self, outcome: Callable[[], Any]) -> Deferred[Any]:
        self._deferred: Deferred[Any] = Deferred(self._cancel)
        return self._deferred.addCallback(lambda _: outcome())

    def happen(self) -> None:
        self._deferred.callback(None)

    def was_cancelled(self) -> bool:
        return self._cancelled

    def _cancel(self, _: object) -> None:
        self._cancelled = True


class AnAsyncioFuture(Source):
    needs_loop = True

    def begin(self, outcome: Callable[[], Any]) -> asyncio.Future[Any]:
        self._outcome = outcome
        try:
            self._loop, self._is_ours = asyncio.get_running_loop(), False
        except RuntimeError:
            self._loop, self._is_ours = asyncio.new_event_loop(), True
        self._future = self._loop.create_future()
        return self._future

    def happen(self) -> None:
        try:
            self._future.set_result(self._outcome())
        except Broken as error:
            self._future.set_exception(error)

    def was_cancelled(self) -> bool:
        return self._future.cancelled()

    def clean_up(self) -> None:
        if self._is_ours:
            self._loop.close()


class AnAsyncioTask(AnAsyncioFuture):
    _task: asyncio.Task[Any]

    def begin(self, outcome: Callable[[], Any]) -> asyncio.Future[Any]:
        future = super().begin(lambda: None)
        self._task = self._loop.create_task(self._wait(future, outcome))
        return self._task

    async def _wait(self, future: Awaitable[Any], outcome: Callable[[], Any]) -> Any:
        await future
        return outcome()

    def was_cancelled(self) -> bool:
        return self._task.cancelled()

    def clean_up(self) -> None:
        if self._is_ours:
            self._task.cancel()
            self._loop.run_until_complete(asyncio.wait([self._task]))
        super().clean_up()


class AnAsyncioCoroutine(AnAsyncioFuture):
    def begin(self, outcome: Callable[[], Any]) -> Any:
        return self._wait(super().begin(lambda: None), outcome)

    async def _wait(self, future: Awaitable[Any], outcome: Callable[[], Any]) -> Any:
        await future
        return outcome()


class ACoroutine(ADeferred):
    def begin(self, outcome: Callable[[], Any]) -> Any:
        return self._wait(super().begin(lambda: None), outcome)

    async def _wait(self, other: Awaitable[Any], outcome: Callable[[], Any]) -> Any:
        await other
        return outcome()


class AnAwaitableObject(ADeferred):
    def begin(self, outcome: Callable[[], Any]) -> Any:
        self._awaited = super().begin(lambda: None)
        self._outcome = outcome
        return self

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from self._awaited.__await__()
        return self._outcome()


class WorkInAThread(Source):
    _thread: ThreadPoolExecutor | None = None

    def begin(self, outcome: Callable[[], Any]) -> Future[Any]:
        started, self._go_on = Event(), Event()

        def work() -> Any:
            started.set()
            self._go_on.wait()
            return outcome()

        self._thread = ThreadPoolExecutor(1)
        future = self._thread.submit(work)
        started.wait()
        return future

    def happen(self) -> None:
        self._go_on.set()

    def was_cancelled(self) -> bool:
        return True  # a thread cannot be; nobody listens, which is all there is

    def clean_up(self) -> None:
        if self._thread is not None:
            self._go_on.set()
            self._thread.shutdown()


class WorkInAQueue(Source):
    def begin(self, outcome: Callable[[], Any]) -> Future[Any]:
        self._future: Future[Any] = Future()
        self._outcome = outcome
        return self._future

    def happen(self) -> None:
        try:
            self._future.set_result(self._outcome())
        except Broken as error:
            self._future.set_exception(error)

    def was_cancelled(self) -> bool:
        return self._future.cancelled()


class AFiredDeferred(Source):
    waits = False

    def begin(self, outcome: Callable[[], Any]) -> Deferred[Any]:
        try:
            return deferred(outcome())
        except Broken:
            return fail(Failure())

    def happen(self) -> None:
        pass

    def was_cancelled(self) -> bool:
        return False


class APlainValue(Source):
    waits = False

    def begin(self, outcome: Callable[[], Any]) -> Any:
        return outcome()

    def happen(self) -> None:
        pass

    def was_cancelled(self) -> bool:
        return False


# Who waits. Each notes who it runs for, and claims to be somebody else, after which
# nobody outside may believe it.


@define
class Waiters:
    """
    The three kinds of function.
    """

    source: Source
    outcome: Callable[[], Any]
    seen: list[str] = field(factory=list)

    def plain(self) -> Any:
        self.seen.append(WHO.get())
        return self.source.begin(self.outcome)

    @inlineCallbacks
    def inline_callbacks(self) -> Steps[Any]:
        self.seen.append(WHO.get())
        WHO.set(f"{WHO.get()} inside")
        result = yield self.source.begin(self.outcome)
        self.seen.append(WHO.get())
        return result

    async def async_def(self) -> Any:
        self.seen.append(WHO.get())
        WHO.set(f"{WHO.get()} inside")
        thing = self.source.begin(self.outcome)
        if not hasattr(thing, "__await__"):
            thing = deferred(thing)
        result = await thing
        self.seen.append(WHO.get())
        return result


# How it can end.


class MatrixTests(TestCase):
    """
    One cell of the matrix each, named for its row.
    """

    timeout = 20

    @twistedInlineCallbacks
    def setUp(self) -> Trial:  # type: ignore[override]
        from twisted.internet import reactor

        gc.freeze()  # what tearDown looks through is what the test left
        self.addCleanup(gc.unfreeze)
        self.noise: list[object] = []
        self.reactor = cast(Any, reactor)
        self.addCleanup(home, home(self.reactor))
        # Trial calls tests before the reactor runs; a daemon waits while it does.
        yield deferLater(self.reactor, 0)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.has_loop = False
        else:
            self.has_loop = True
            loop.set_exception_handler(lambda _, noise: self.noise.append(noise))

    def tearDown(self) -> None:
        gc.collect()  # unhandled errors are noticed when they are forgotten
        self.assertEqual(self.noise, [])

    def begin(
        self, kind: str, make_source: type[Source], outcome: Callable[[], Any]
    ) -> tuple[Source, Waiters, Callable[[], Any]]:
        source = make_source()
        self.addCleanup(source.clean_up)
        waiters = Waiters(source, outcome)
        return source, waiters, getattr(waiters, kind)

    def refused(self, kind: str, source: Source, waiting: Deferred[Any]) -> bool:
        """
        Where it cannot work, it says so at once, and where in the code.
        """
        if self.has_loop or not source.needs_loop:
            return False
        failure = self.failureResultOf(waiting, NeedsAsyncio)
        if kind != "plain":
            self.assertIn(f"in {kind}\n", failure.getTraceback())
        return True

    @twistedInlineCallbacks
    def result(self, kind: str, make_source: type[Source]) -> Trial:
        """
        The result arrives.
        """
        source, _, function = self.begin(kind, make_source, bring_news)
        waiting = run(function)
        if self.refused(kind, source, waiting):
            return
        self.assertEqual(waiting.called, not source.waits)
        source.happen()
        self.assertEqual((yield waiting), "news")

    @twistedInlineCallbacks
    def error(self, kind: str, make_source: type[Source]) -> Trial:
        """
        The error arrives, and its traceback tells who raised it and who waited.
        """
        source, _, function = self.begin(kind, make_source, break_down)
        waiting = run(function)
        if self.refused(kind, source, waiting):
            return
        source.happen()
        [failure] = yield error_of(waiting)
        self.assertIsInstance(failure.value, Broken)
        traceback = failure.getTraceback()
        self.assertIn("in break_down\n", traceback)
        if kind != "plain":
            self.assertIn(f"in {kind}\n", traceback)
        innermost = list(walk_tb(failure.value.__traceback__))[-1]
        self.assertEqual(innermost[0].f_code.co_name, "break_down")

    @twistedInlineCallbacks
    def cancellation(self, kind: str, make_source: type[Source]) -> Trial:
        """
        Cancelling the Deferred reaches what is waited for, and nothing is left.
        """
        source, _, function = self.begin(kind, make_source, bring_news)
        waiting = run(function)
        if self.refused(kind, source, waiting):
            return
        waiting.cancel()
        if source.waits:
            [failure] = yield error_of(waiting)
            self.assertIs(failure.type, CancelledError)
            self.assertTrue(source.was_cancelled())
        else:
            self.assertEqual(self.successResultOf(waiting), "news")

    @twistedInlineCallbacks
    def timeout_(self, kind: str, make_source: type[Source]) -> Trial:
        """
        What takes too long is cancelled, and the caller told at the deadline.
        """
        source, _, function = self.begin(kind, make_source, bring_news)
        clock = Clock()
        waiting = within(5, run(function), clock)
        if self.refused(kind, source, waiting):
            return
        if source.waits:
            clock.advance(4.9)
            self.assertNoResult(waiting)
            clock.advance(0.1)
            self.failureResultOf(waiting, TimeoutError)
            yield deferLater(self.reactor, 0)  # asyncio cancels in its next turn
            yield deferLater(self.reactor, 0)
            self.assertTrue(source.was_cancelled())
        else:
            self.assertEqual(self.successResultOf(waiting), "news")
        self.assertEqual(clock.getDelayedCalls(), [])

    @twistedInlineCallbacks
    def context(self, kind: str, make_source: type[Source]) -> Trial:
        """
        Two callers at once each have their own context variables inside, before
        and after the wait, whoever it was that made it happen; what is set
        inside stays there.
        """
        callers = []
        for name in ("Ann", "Ben"):
            source, waiters, function = self.begin(kind, make_source, bring_news)
            WHO.set(name)
            waiting = run(function)
            self.assertEqual(WHO.get(), name)
            if self.refused(kind, source, waiting):
                return
            callers.append((name, source, waiters, waiting))
        for name, source, waiters, waiting in reversed(callers):
            context = copy_context()
            context.run(WHO.set, "somebody else")
            context.run(source.happen)
            yield waiting
            after = [] if kind == "plain" else [f"{name} inside"]
            self.assertEqual(waiters.seen, [name, *after])


KINDS = ("plain", "inline_callbacks", "async_def")
SOURCES = (
    ADeferred,
    AFiredDeferred,
    ACoroutine,
    AnAwaitableObject,
    AnAsyncioFuture,
    AnAsyncioTask,
    AnAsyncioCoroutine,
    WorkInAThread,
    WorkInAQueue,
    APlainValue,
)
ENDINGS = (
    MatrixTests.result,
    MatrixTests.error,
    MatrixTests.cancellation,
    MatrixTests.timeout_,
    MatrixTests.context,
)


def fill_in(
    ending: Callable[..., Deferred[None]], kind: str, source: type[Source]
) -> None:
    def test(self: MatrixTests) -> Deferred[None]:
        return ending(self, kind, source)

    name = f"test_{ending.__name__.strip('_')}__{kind}__{source.__name__}"
    test.__doc__ = ending.__doc__
    setattr(MatrixTests, name, test)


CELLS = list(product(ENDINGS, KINDS, SOURCES))
for cell in CELLS:
    fill_in(*cell)
