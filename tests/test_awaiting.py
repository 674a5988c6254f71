# -*- test-case-name: tests.test_awaiting -*-
"""
Whatever a function is, and whatever it waits for, it waits in the same way.

`tests.awaiting_matrix` has the combinations, which run on each reactor; here is the
rest, on no reactor: a loop is made where one is needed, and turned by hand.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import gc
import inspect
import os
import re
import select
import subprocess
import sys
import tempfile
import textwrap
import types
import weakref
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar, copy_context
from functools import cache
from pathlib import Path
from traceback import walk_tb
from typing import Any
from unittest import SkipTest, skipIf

from attrs import define, field
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredLock,
    TimeoutError,
    fail,
    succeed,
)
from twisted.internet.defer import inlineCallbacks as twistedInlineCallbacks
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ropewalk.awaiting import (
    awaitable,
    begin,
    deferred,
    home,
    inlineCallbacks,
    install,
    run,
    within,
)
from ropewalk.errors import NeedsAsyncio, NeedsReactor, NotAwaitable
from ropewalk.interfaces import Steps
from tests import awaiting_matrix

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]

ROOT = Path(__file__).resolve().parent.parent
WHO: ContextVar[str] = ContextVar("WHO", default="nobody")

SomeCoroutine = Coroutine[Any, Any, Any]


class Broken(Exception):
    """
    What goes wrong in these tests.
    """


def break_down() -> Any:
    """
    Go wrong, in a function that is to be seen in the traceback.
    """
    raise Broken


def broken() -> Failure:
    try:
        break_down()
    except Broken:
        return Failure()
    raise AssertionError("it cannot break")


def boxed(waiting: Deferred[Any]) -> Deferred[list[Any]]:
    """
    :return: fires with a list of the result, or of the failure.
    """
    return waiting.addBoth(lambda result: [result])


async def give_back(thing: Any) -> Any:
    return await thing


@types.coroutine
def suspend(thing: Any) -> Generator[Any, Any, Any]:
    """
    What an ``await`` comes down to: hand something to who drives the coroutine.
    """
    return (yield thing)


@implementer(IReactorFromThreads)
@define
class Desk:
    """
    A reactor that other threads leave calls with.
    """

    calls: list[Callable[[], Any]] = field(factory=list)

    def callFromThread(
        self, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        self.calls.append(lambda: callable(*args, **kwargs))

    def callInThread(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError

    def getThreadPool(self) -> Any:
        raise NotImplementedError

    def suggestThreadPoolSize(self, size: int) -> None:
        raise NotImplementedError

    def work(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class QuietTestCase(SynchronousTestCase):
    """
    What is tested leaves no error behind that nobody looked at.
    """

    def setUp(self) -> None:
        gc.freeze()  # what tearDown looks through is what the test left
        self.addCleanup(gc.unfreeze)

    def tearDown(self) -> None:
        gc.collect()  # unhandled errors are noticed when they are forgotten
        self.assertEqual(self.flushLoggedErrors(), [])


class WithoutLoopTests(QuietTestCase):
    """
    Where no asyncio loop runs, what needs none works, and what needs one says so.
    """

    def setUp(self) -> None:
        super().setUp()
        self.loop = asyncio.new_event_loop()
        self.addCleanup(self.loop.close)
        self.addCleanup(home, home(None))

    def test_a_deferred_is_itself(self) -> None:
        """
        A Deferred is returned as it is.
        """
        it: Deferred[int] = Deferred()
        self.assertIs(deferred(it), it)

    def test_a_value_is_there(self) -> None:
        """
        A plain value is there at once, also one that looks like something else.
        """
        for value in (None, 0, "news", [succeed(1)], Deferred, (x for x in "ab")):
            self.assertIs(self.successResultOf(deferred(value)), value)

    def test_a_failure_fails(self) -> None:
        """
        A Failure is an error, as everywhere in Twisted.
        """
        failure = broken()
        self.assertIs(self.failureResultOf(deferred(failure), Broken), failure)

    def test_a_coroutine_goes_as_far_as_it_can(self) -> None:
        """
        A coroutine runs at once, waits for Deferreds, and goes on at once.
        """
        it: Deferred[str] = Deferred()
        waiting = deferred(give_back(it))
        self.assertNoResult(waiting)
        it.callback("news")
        self.assertEqual(self.successResultOf(waiting), "news")

    def test_a_generator_based_coroutine(self) -> None:
        """
        A coroutine of the old kind, by ``types.coroutine``, is one, too.
        """
        it: Deferred[str] = Deferred()
        waiting = deferred(suspend(it))
        it.callback("news")
        self.assertEqual(self.successResultOf(waiting), "news")

    def test_asyncio_that_is_done(self) -> None:
        """
        What asyncio has finished needs no loop any more.
        """
        future = self.loop.create_future()
        future.set_result("news")
        self.assertEqual(self.successResultOf(deferred(future)), "news")
        self.assertEqual(self.successResultOf(deferred(give_back(future))), "news")

    def test_an_asyncio_future(self) -> None:
        """
        Waiting for an asyncio future fails at once, where it is awaited.
        """
        future = self.loop.create_future()
        self.failureResultOf(deferred(future), NeedsAsyncio)
        failure = self.failureResultOf(deferred(give_back(future)), NeedsAsyncio)
        self.assertIn("in give_back\n    return await thing", failure.getTraceback())
        self.assertIn("--reactor asyncio", str(failure.value))

    def test_the_coroutine_may_do_without(self) -> None:
        """
        The error is raised by the ``await``, and can be caught there.
        """

        async def frugal() -> str:
            try:
                await self.loop.create_future()
            except NeedsAsyncio:
                return "did without"
            raise AssertionError("not raised")

        self.assertEqual(self.successResultOf(run(frugal)), "did without")

    def test_asyncio_functions(self) -> None:
        """
        asyncio's own "no running event loop" becomes an error that says what to
        do, from the line that needed the loop, in all kinds of functions.
        """

        def plain() -> None:
            asyncio.get_running_loop()

        @inlineCallbacks
        def steps() -> Steps[None]:
            yield
            asyncio.get_running_loop()

        async def sleeps() -> None:
            await asyncio.sleep(1)

        for function in (plain, steps, sleeps):
            failure = self.failureResultOf(run(function), NeedsAsyncio)
            self.assertIn(f"in {function.__name__}\n", failure.getTraceback())
            self.assertIsInstance(failure.value.__cause__, RuntimeError)

    def test_another_runtime_error(self) -> None:
        """
        Other errors of the same type are left alone.
        """

        async def clumsy() -> None:
            raise RuntimeError("no cake")

        failure = self.failureResultOf(run(clumsy), RuntimeError)
        self.assertEqual(str(failure.value), "no cake")

    def test_a_turn(self) -> None:
        """
        ``asyncio.sleep(0)`` has no turn to wait for.
        """
        self.failureResultOf(deferred(asyncio.sleep(0)), NeedsAsyncio)

    def test_something_foreign(self) -> None:
        """
        A coroutine written for another world is told that it cannot wait here.
        """
        failure = self.failureResultOf(deferred(suspend("trio")), NotAwaitable)
        self.assertIn("'trio'", str(failure.value))

    def test_cancellation(self) -> None:
        """
        Inside an ``async def``, cancellation is asyncio's; outside, Twisted's.
        """
        seen: list[type] = []

        async def hang() -> None:
            try:
                await Deferred()
            except BaseException as error:
                seen.append(type(error))
                raise

        waiting = run(hang)
        waiting.cancel()
        failure = self.failureResultOf(waiting, CancelledError)
        self.assertEqual(seen, [asyncio.CancelledError])
        self.assertIn("in hang\n", failure.getTraceback())

    def test_refused_cancellation(self) -> None:
        """
        Who does not want to be cancelled goes on.
        """
        more: Deferred[str] = Deferred()

        async def stubborn() -> str:
            with contextlib.suppress(asyncio.CancelledError):
                await Deferred()
            return await more

        waiting = run(stubborn)
        waiting.cancel()
        self.assertNoResult(waiting)
        more.callback("done")
        self.assertEqual(self.successResultOf(waiting), "done")

    def test_begun_before_the_loop(self) -> None:
        """
        What began before the loop ran can wait for asyncio once it does.
        """
        start: Deferred[None] = Deferred()
        future = self.loop.create_future()

        order = []

        async def early() -> str:
            await start
            order.append("began")
            await asyncio.sleep(0)
            order.append("went on")
            news: str = await future
            return news

        waiting = run(early)
        self.loop.call_soon(start.callback, None)
        self.loop.call_soon(order.append, "somebody's turn")
        self.loop.call_later(0, future.set_result, "news")

        def stop(result: Any) -> Any:
            self.loop.stop()
            return result

        waiting.addBoth(stop)
        self.loop.run_forever()
        self.assertEqual(self.successResultOf(waiting), "news")
        self.assertEqual(order, ["began", "somebody's turn", "went on"])

    def test_a_thread_without_a_home(self) -> None:
        """
        While nobody has said where threads should come home to, waiting for one
        fails at once, unless it is done.
        """
        future: concurrent.futures.Future[str] = concurrent.futures.Future()
        failure = self.failureResultOf(deferred(future), NeedsReactor)
        self.assertIn("home(reactor)", str(failure.value))
        future.set_result("news")
        self.assertEqual(self.successResultOf(deferred(future)), "news")

    def test_a_thread_comes_home(self) -> None:
        """
        What a thread did is told in the reactor's thread, in the context of who
        waits.
        """
        desk = Desk()
        verifyObject(IReactorFromThreads, desk)
        self.assertIs(home(desk), None)
        future: concurrent.futures.Future[str] = concurrent.futures.Future()
        context = copy_context()
        context.run(WHO.set, "Ann")
        waiting = context.run(deferred, future)
        waiting.addCallback(lambda news: f"{news} for {WHO.get()}")
        future.set_result("news")
        self.assertNoResult(waiting)
        desk.work()
        self.assertEqual(self.successResultOf(waiting), "news for Ann")
        self.assertIs(home(None), desk)

    def test_a_thread_that_nobody_waits_for(self) -> None:
        """
        A thread cannot be cancelled: who waits is told at once, and what
        becomes of it is dropped.
        """
        desk = Desk()
        home(desk)
        future: concurrent.futures.Future[str] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()
        waiting = deferred(future)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        future.set_exception(Broken())
        desk.work()


class RunTests(QuietTestCase):
    """
    A function of any kind is called in one way.
    """

    def test_arguments(self) -> None:
        """
        Arguments are passed on as they are, by name or by place.
        """

        def plain(*args: Any, **kwargs: Any) -> Any:
            return args, kwargs

        self.assertEqual(
            self.successResultOf(run(plain, 1, function=2)), ((1,), {"function": 2})
        )

    def test_nothing_is_raised(self) -> None:
        """
        Whatever a plain function raises is what the Deferred fails with.
        """

        def leave() -> None:
            sys.exit(1)

        self.failureResultOf(run(leave), SystemExit)
        self.failureResultOf(run(leave, "too", "many"), TypeError)  # type: ignore[call-overload]
        failure = self.failureResultOf(run(break_down), Broken)
        self.assertIn("in break_down\n", failure.getTraceback())

    def test_asyncio_cancellation_from_a_plain_function(self) -> None:
        """
        Outside ``async def``, cancellation is Twisted's, whoever raised it.
        """

        def plain() -> None:
            raise asyncio.CancelledError

        @inlineCallbacks
        def steps() -> Steps[None]:
            yield
            raise asyncio.CancelledError

        self.failureResultOf(run(plain), CancelledError)
        self.failureResultOf(run(steps), CancelledError)

    def test_a_generator(self) -> None:
        """
        A generator is a value, such as the pieces of an answer.
        """

        def pieces() -> Generator[bytes, None, None]:
            yield b"one"
            yield b"two"

        self.assertEqual(list(self.successResultOf(run(pieces))), [b"one", b"two"])

    def test_awaitable(self) -> None:
        """
        A caller can ask whether there is anything to wait for.
        """
        waits = give_back(None)
        self.addCleanup(waits.close)
        self.assertTrue(awaitable(waits))
        self.assertTrue(awaitable(Deferred()))
        self.assertTrue(awaitable(concurrent.futures.Future()))
        self.assertTrue(awaitable(awaiting_matrix.AnAwaitableObject()))
        self.assertTrue(awaitable(suspend(None)))
        self.assertFalse(awaitable(x for x in "ab"))
        self.assertFalse(awaitable(b"news"))
        self.assertFalse(awaitable(None))


class InlineCallbacksTests(QuietTestCase):
    """
    A ``yield`` waits for anything, and is otherwise Twisted's.
    """

    def test_it_is_still_the_function(self) -> None:
        """
        The decorated function keeps its name and docstring, and can be a method.
        """

        class Till:
            total = 3

            @inlineCallbacks
            def add(self, amount: int) -> Steps[int]:
                """
                Add it up.
                """
                more: int = yield succeed(amount)
                return self.total + more

        self.assertEqual(Till.add.__name__, "add")
        self.assertIn("Add it up", Till.add.__doc__ or "")
        self.assertEqual(self.successResultOf(Till().add(4)), 7)

    def test_a_function_without_yield(self) -> None:
        """
        What never yields is not a generator function, and told so.
        """

        @inlineCallbacks
        def hasty() -> Steps[int]:
            return 3  # type: ignore[return-value]

        error = self.assertRaises(TypeError, hasty)
        self.assertIn("hasty", str(error))

    def test_yielding_in_turn(self) -> None:
        """
        Values, Deferreds, coroutines and generators can be yielded one after
        the other; a Failure is raised.
        """

        def bare() -> Steps[str]:
            result: str = yield succeed("generator")
            return result

        @inlineCallbacks
        def steps() -> Steps[list[Any]]:
            got = [
                (yield "value"),
                (yield succeed("fired")),
                (yield Deferred.fromCoroutine(give_back(succeed("Twisted's")))),
                (yield give_back(succeed("coroutine"))),
                (yield bare()),
            ]
            try:
                yield broken()
            except Broken:
                got.append("Failure")
            return got

        self.assertEqual(
            self.successResultOf(steps()),
            ["value", "fired", "Twisted's", "coroutine", "generator", "Failure"],
        )

    def test_a_fired_deferred_keeps_its_result(self) -> None:
        """
        A Deferred that has fired can be yielded again.
        """
        it = succeed("news")

        @inlineCallbacks
        def steps() -> Steps[list[str]]:
            return [(yield it), (yield it)]

        self.assertEqual(self.successResultOf(steps()), ["news", "news"])

    def test_a_chained_deferred(self) -> None:
        """
        A Deferred that waits for another is waited for.
        """
        more: Deferred[str] = Deferred()
        it: Deferred[str] = succeed(None).addCallback(lambda _: more)

        @inlineCallbacks
        def steps() -> Steps[str]:
            news: str = yield it
            return news

        waiting = steps()
        self.assertNoResult(waiting)
        more.callback("news")
        self.assertEqual(self.successResultOf(waiting), "news")

    def test_traceback(self) -> None:
        """
        A traceback leads through all who waited to who raised the error.
        """
        start: Deferred[None] = Deferred()

        async def inner() -> None:
            await start
            break_down()

        @inlineCallbacks
        def middle() -> Steps[None]:
            yield inner()

        async def outer() -> None:
            await middle()

        waiting = run(outer)
        start.callback(None)
        traceback = self.failureResultOf(waiting, Broken).getTraceback()
        places = re.findall(r"in (outer|middle|inner|break_down)\n", traceback)
        self.assertEqual(places, ["outer", "middle", "inner", "break_down"])

    def test_cleaning_up(self) -> None:
        """
        A cancelled generator can wait while it cleans up, and is done after it.
        """
        cleaned_up: Deferred[None] = Deferred()

        @inlineCallbacks
        def tidy() -> Steps[None]:
            try:
                yield give_back(Deferred())
            finally:
                yield give_back(cleaned_up)

        waiting = tidy()
        waiting.cancel()
        self.assertNoResult(waiting)
        cleaned_up.callback(None)
        self.failureResultOf(waiting, CancelledError)

    def test_many(self) -> None:
        """
        Twenty thousand yields of what is there at once do not recurse.
        """

        @inlineCallbacks
        def steps(things: Callable[[int], Any]) -> Steps[int]:
            total = 0
            for number in range(20_000):
                total += yield things(number)
            return total

        async def coroutine(number: int) -> int:
            return number

        for things in (int, succeed, coroutine):
            total = self.successResultOf(steps(things))
            self.assertEqual(total, sum(range(20_000)))


class WithinTests(QuietTestCase):
    """
    Nobody waits longer than they want to.
    """

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()

    def test_in_time(self) -> None:
        """
        What is there in time is what it is, and no timer is left.
        """
        for outcome in ("news", broken()):
            it: Deferred[Any] = Deferred()
            waiting = boxed(within(5, it, self.clock))
            self.clock.advance(4)
            it.callback(outcome)
            self.assertEqual(self.successResultOf(waiting), [outcome])
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_at_once(self) -> None:
        """
        What is there already needs no time at all.
        """
        self.assertEqual(self.successResultOf(within(0, "news", self.clock)), "news")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_too_late(self) -> None:
        """
        At the deadline the caller gets a TimeoutError that says what took how
        long, even if what is cancelled does not react or makes up an excuse.
        """

        def excuse(it: Deferred[None]) -> None:
            it.errback(Broken())

        def answer(it: Deferred[None]) -> None:
            it.callback(None)

        async def hang() -> None:
            await Deferred()

        async def refuse() -> None:
            try:
                await Deferred()
            except asyncio.CancelledError:
                await Deferred()

        things: list[Awaitable[None]] = [Deferred(), Deferred(excuse), Deferred(answer)]
        for thing in (*things, hang(), refuse()):
            waiting = within(2.5, thing, self.clock)
            self.clock.advance(2.5)
            failure = self.failureResultOf(waiting, TimeoutError)
            self.assertIn(f"{type(thing).__name__}", str(failure.value))
            self.assertIn("more than 2.5 s", str(failure.value))

    def test_what_comes_later(self) -> None:
        """
        What comes after the deadline is dropped, be it an error.
        """
        for outcome in ("news", broken()):
            late: Deferred[Any] = Deferred()

            async def refuse(late: Deferred[Any] = late) -> None:
                try:
                    await Deferred()
                finally:
                    await late

            waiting = within(1, refuse(), self.clock)
            self.clock.advance(1)
            self.failureResultOf(waiting, TimeoutError)
            late.callback(outcome)

    def test_cancelled_by_the_caller(self) -> None:
        """
        The caller can cancel before; then too, the deadline is the deadline.
        """
        cleaned_up: Deferred[None] = Deferred()

        async def tidy() -> None:
            try:
                await Deferred()
            finally:
                await cleaned_up

        it: Deferred[None] = Deferred()
        waiting = within(5, it, self.clock)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        waiting = within(5, tidy(), self.clock)
        waiting.cancel()
        self.assertNoResult(waiting)
        self.clock.advance(5)
        self.failureResultOf(waiting, TimeoutError)
        cleaned_up.callback(None)

    def test_a_canceller_that_raises(self) -> None:
        """
        Who cannot even be cancelled does not keep the caller waiting.
        """

        def refuse(_: object) -> None:
            raise Broken

        it: Deferred[None] = Deferred(refuse)
        waiting = within(1, it, self.clock)
        self.assertRaises(Broken, self.clock.advance, 1)  # a reactor logs it
        self.failureResultOf(waiting, TimeoutError)


class LoopTestCase(QuietTestCase):
    """
    A loop of the test's own.
    """

    @staticmethod
    def make_loop() -> AbstractEventLoop:
        return asyncio.new_event_loop()

    def setUp(self) -> None:
        super().setUp()
        self.noise: list[dict[str, Any]] = []
        self.loop = self.make_loop()
        self.addCleanup(self.loop.close)
        self.loop.set_exception_handler(lambda _, noise: self.noise.append(noise))

    def tearDown(self) -> None:
        super().tearDown()
        self.assertEqual(self.noise, [])

    def play(self, function: Callable[[], SomeCoroutine]) -> Any:
        """
        Run a coroutine function on the loop to its end.
        """

        async def main() -> Any:
            return await run(function).asFuture(self.loop)

        return self.loop.run_until_complete(main())


class TaskTests(LoopTestCase):
    """
    On an asyncio loop, coroutines are tasks, and tasks can await Deferreds.
    """

    def test_it_begins_at_once(self) -> None:
        """
        A coroutine runs at once up to where it has to wait, and one that need
        not wait is done at once, so that it does not matter how a function was
        written.
        """

        async def main() -> None:
            order = []

            async def quick() -> str:
                order.append("quick")
                return "done"

            async def slow() -> None:
                order.append("slow")
                await asyncio.sleep(0)
                order.append("later")

            self.assertEqual(self.successResultOf(run(quick)), "done")
            waiting = run(slow)
            order.append("caller")
            await waiting
            self.assertEqual(order, ["quick", "slow", "caller", "later"])

        self.play(main)

    def test_an_error_at_once(self) -> None:
        """
        An error that comes at once is complete as well.
        """

        async def main() -> None:
            async def quick() -> None:
                break_down()

            async def cancelled() -> None:
                raise asyncio.CancelledError

            failure = self.failureResultOf(run(quick), Broken)
            self.assertIn("in break_down\n", failure.getTraceback())
            self.failureResultOf(run(cancelled), CancelledError)
            await asyncio.sleep(0)

        self.play(main)

    def test_it_is_one_task(self) -> None:
        """
        The same task, not the caller's, runs a coroutine from its first line to
        its last.
        """

        async def main() -> None:
            tasks = [asyncio.current_task()]

            async def watch() -> None:
                tasks.append(asyncio.current_task())
                await asyncio.sleep(0)
                tasks.append(asyncio.current_task())

            waiting = run(watch)
            self.assertIs(asyncio.current_task(), tasks[0])
            await waiting
            self.assertIsInstance(tasks[1], asyncio.Task)
            self.assertIs(tasks[1], tasks[2])
            self.assertIsNot(tasks[0], tasks[1])

        self.play(main)

    def test_time_out(self) -> None:
        """
        ``asyncio.timeout`` and ``wait_for`` end the wait for a Deferred, and
        cancel it, whatever error its canceller makes of that.
        """

        def excuse(it: Deferred[None]) -> None:
            it.errback(Broken())

        async def main() -> None:
            for canceller in (None, excuse):
                it: Deferred[None] = Deferred(canceller)
                with self.assertRaises(asyncio.TimeoutError):
                    async with asyncio.timeout(0):
                        await it
                self.assertTrue(it.called)
                it = Deferred(canceller)
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(it, 0.0001)
                self.assertTrue(it.called)

        self.play(main)

    def test_gather(self) -> None:
        """
        Tasks that asyncio makes can wait for Deferreds, too.
        """

        async def main() -> None:
            first: Deferred[str] = Deferred()
            second: Deferred[str] = Deferred()
            self.loop.call_soon(first.callback, "first")
            self.loop.call_soon(second.callback, "second")
            self.assertEqual(
                await asyncio.gather(give_back(first), second, asyncio.sleep(0, "3rd")),
                ["first", "second", "3rd"],
            )

        self.play(main)

    def test_task_group(self) -> None:
        """
        When one of a group fails, the Deferreds of the others are cancelled, and
        theirs are no errors.
        """

        async def main() -> None:
            hung: Deferred[None] = Deferred()
            with self.assertRaises(ExceptionGroup) as caught:
                async with asyncio.TaskGroup() as group:
                    group.create_task(give_back(hung))
                    group.create_task(give_back(fail(broken())))
            errors = caught.exception.exceptions
            self.assertEqual([type(error) for error in errors], [Broken])
            self.assertTrue(hung.called)

        self.play(main)

    def test_twisted_context_manager(self) -> None:
        """
        Twisted's own tools with ``async`` in front work in a task.
        """

        async def main() -> list[str]:
            lock, order = DeferredLock(), []

            async def enter(name: str) -> None:
                async with lock:
                    order.append(name)
                    await asyncio.sleep(0)
                    order.append(name)

            await asyncio.gather(enter("Ann"), enter("Ben"))
            return order

        self.assertEqual(self.play(main), ["Ann", "Ann", "Ben", "Ben"])

    def test_asynchronous_generator(self) -> None:
        """
        An asynchronous generator can await both between what it gives.
        """

        async def count() -> AsyncIterator[int]:
            it: Deferred[int] = Deferred()
            self.loop.call_soon(it.callback, 1)
            yield await it
            yield await asyncio.sleep(0, 2)

        async def main() -> list[int]:
            return [number async for number in count()]

        self.assertEqual(self.play(main), [1, 2])

    def test_cleaning_up(self) -> None:
        """
        What is cancelled can wait for both kinds while it cleans up, and is done
        when that is done.
        """

        async def main() -> None:
            cleaned_up: Deferred[None] = Deferred()
            future = self.loop.create_future()

            async def tidy() -> None:
                try:
                    await Deferred()
                finally:
                    await future
                    await cleaned_up

            @inlineCallbacks
            def caller() -> Steps[None]:
                yield tidy()

            async def outermost() -> None:
                await caller()

            waiting = run(outermost)
            waiting.cancel()
            await asyncio.sleep(0)
            future.set_result(None)
            await asyncio.sleep(0)
            self.assertNoResult(waiting)
            cleaned_up.callback(None)
            with self.assertRaises(asyncio.CancelledError):
                await waiting

        self.play(main)

    def test_refused_cancellation(self) -> None:
        """
        Who does not want to be cancelled goes on, until it is asked again.
        """

        async def main() -> None:
            asked = []

            async def stubborn(wait: Callable[[], Awaitable[None]]) -> None:
                try:
                    await wait()
                except asyncio.CancelledError:
                    asked.append(wait)
                await wait()

            waits: list[Callable[[], Any]] = [Deferred, self.loop.create_future]
            for wait in waits:
                waiting = run(stubborn, wait)
                waiting.cancel()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                self.assertNoResult(waiting)
                waiting.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await waiting
            self.assertEqual(asked, waits)

        self.play(main)

    def test_cancelled_between_turns(self) -> None:
        """
        A task that is cancelled just after its Deferred fired is cancelled, and
        the Deferred's error is nobody's complaint.
        """

        async def main() -> None:
            for outcome in ("news", broken()):
                it: Deferred[Any] = Deferred()
                task = self.loop.create_task(give_back(it))
                await asyncio.sleep(0)
                it.callback(outcome)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task

        self.play(main)

    def test_cancelled_by_others(self) -> None:
        """
        When somebody else cancels the Deferred, who awaits it is cancelled.
        """

        async def main() -> None:
            it: Deferred[None] = Deferred()
            self.loop.call_soon(it.cancel)
            with self.assertRaises(asyncio.CancelledError):
                await it

        self.play(main)

    def test_the_reason(self) -> None:
        """
        The message of a cancellation arrives, by which anyio knows its own, and
        the error that a canceller made of it is kept as the cause.
        """

        def excuse(it: Deferred[None]) -> None:
            it.errback(broken())

        async def watch() -> BaseException | None:
            try:
                await Deferred(excuse)
            except asyncio.CancelledError as error:
                self.assertEqual(error.args, ("closing time",))
                return error.__cause__
            return None

        async def main() -> None:
            task = self.loop.create_task(watch())
            await asyncio.sleep(0)
            task.cancel("closing time")
            cause = await task
            assert isinstance(cause, Broken)
            names = [frame.f_code.co_name for frame, _ in walk_tb(cause.__traceback__)]
            self.assertEqual(names, ["broken", "break_down"])

        self.play(main)

    def test_after_the_end(self) -> None:
        """
        A Deferred that fires when the loop is closed keeps its result, though
        nobody awaits it any more.
        """
        it: Deferred[str] = Deferred()

        async def main() -> None:
            run(give_back, it)

        self.loop.run_until_complete(main())
        self.loop.close()
        it.callback("news")
        self.assertEqual(self.successResultOf(it), "news")
        gc.collect()  # asyncio has lost a task, and says so
        self.assertIn("destroyed", self.noise.pop()["message"])

    def test_failing_to_clean_up(self) -> None:
        """
        An error of what refused to be cancelled is that error.
        """

        async def main() -> None:
            it: Deferred[None] = Deferred()

            @inlineCallbacks
            def stubborn() -> Steps[None]:
                with contextlib.suppress(CancelledError):
                    yield Deferred()
                yield it

            waiting = run(give_back, stubborn())
            waiting.cancel()
            await asyncio.sleep(0)
            it.errback(broken())
            with self.assertRaises(Broken):
                await waiting

        self.play(main)

    def test_a_thread_after_the_end(self) -> None:
        """
        What a thread does after the loop was closed is nobody's business.
        """
        future: concurrent.futures.Future[str] = concurrent.futures.Future()

        async def main() -> Deferred[str]:
            return deferred(future)

        waiting = self.loop.run_until_complete(main())
        self.loop.close()
        with self.assertNoLogs():
            future.set_result("news")
        self.assertNoResult(waiting)

    def test_two_wait_for_one(self) -> None:
        """
        Who awaits a Deferred gets what it had when it was their turn, even if
        somebody takes the result away before the task goes on.
        """

        async def main() -> None:
            @twistedInlineCallbacks
            def taker(it: Deferred[Any]) -> Steps[Any]:
                return (yield it)

            for outcome in ("news", broken()):
                it: Deferred[Any] = Deferred()
                first = run(give_back, it)
                second = run(give_back, it)
                third = taker(it)
                it.callback(outcome)
                for waiting in (first, second, third):
                    [got] = await boxed(waiting)
                    self.assertEqual(repr(got), repr(outcome))

        self.play(main)

    def test_what_others_make_of_it(self) -> None:
        """
        Callbacks that are added while somebody awaits a Deferred come after them.
        """

        async def main() -> None:
            it: Deferred[str] = Deferred()
            first = run(give_back, it)
            it.addCallback(str.upper)
            it.callback("news")
            self.assertEqual([await first, await it], ["news", "NEWS"])

        self.play(main)

    def test_awaiting_twice(self) -> None:
        """
        A Deferred can be awaited again, and by others, after it fired; so can
        one that failed.
        """

        async def main() -> None:
            it: Deferred[str] = Deferred()
            self.loop.call_soon(it.callback, "news")
            self.assertEqual([await it, await it], ["news", "news"])
            it = Deferred()
            self.loop.call_soon(it.errback, broken())
            for _ in range(2):
                with self.assertRaises(Broken):
                    await it

        self.play(main)

    def test_leaving(self) -> None:
        """
        ``sys.exit()`` in a coroutine is an error like any other: it does not
        stop the reactor.
        """

        async def at_once() -> None:
            sys.exit(3)

        async def later() -> None:
            await asyncio.sleep(0)
            sys.exit(3)

        async def main() -> None:
            for function in (at_once, later):
                [failure] = await boxed(run(function))
                self.assertEqual((failure.type, failure.value.code), (SystemExit, 3))
                self.assertIn(f"in {function.__name__}\n", failure.getTraceback())

        self.play(main)

    def test_another_loop(self) -> None:
        """
        A future of a loop that runs elsewhere, if at all, is refused at once.
        """
        other = asyncio.new_event_loop()
        self.addCleanup(other.close)

        async def main() -> None:
            self.failureResultOf(deferred(other.create_future()), NotAwaitable)

        self.play(main)

    def test_many(self) -> None:
        """
        Ten thousand waits, for what is there and for what comes, do not recurse.
        """

        async def main() -> int:
            total = 0
            for number in range(10_000):
                total += await succeed(number)
                total += await deferred(give_back(succeed(number)))
            for number in range(10_000):
                it: Deferred[int] = Deferred()
                self.loop.call_soon(it.callback, number)
                total += await it
            return total

        self.assertEqual(self.play(main), 3 * sum(range(10_000)))

    def test_nothing_is_kept(self) -> None:
        """
        What a finished coroutine held goes when nobody wants it any more,
        without the help of the garbage collector.
        """

        class Thing:
            pass

        async def hold(thing: Thing) -> Thing:
            await asyncio.sleep(0)
            it: Deferred[Thing] = Deferred()
            self.loop.call_soon(it.callback, thing)
            return await it

        @inlineCallbacks
        def steps(thing: Thing) -> Steps[Thing]:
            yield asyncio.sleep(0)
            held: Thing = yield hold(thing)
            return held

        async def fail_at_once(thing: Thing) -> None:
            break_down()

        async def fail_later(thing: Thing) -> None:
            await asyncio.sleep(0)
            break_down()

        async def hang(thing: Thing) -> None:
            await Deferred()

        async def main() -> None:
            functions: list[Callable[[Thing], Any]] = [hold, steps]
            for function in (*functions, fail_at_once, fail_later, hang):
                thing = Thing()
                gone = weakref.ref(thing)
                waiting = run(function, thing)
                del thing
                if function is hang:
                    waiting.cancel()
                waiting.addBoth(lambda _: None)
                await waiting
                del waiting
                for _ in range(2):  # turns, for which asyncio keeps a task
                    await asyncio.sleep(0)
                self.assertIs(gone(), None, function)

        gc.disable()
        self.addCleanup(gc.enable)
        self.play(main)

    def test_context_of_a_callback(self) -> None:
        """
        Callbacks of the Deferred of a coroutine see the caller's context.
        """

        async def main() -> None:
            seen = []

            async def claim() -> None:
                WHO.set("somebody else")
                await asyncio.sleep(0)

            WHO.set("Ann")
            await run(claim).addCallback(lambda _: seen.append(WHO.get()))
            self.assertEqual(seen, ["Ann"])

        self.play(main)


@skipIf(uvloop is None, "uvloop is not installed")
class UvloopTaskTests(TaskTests):
    """
    The same on uvloop.
    """

    @staticmethod
    def make_loop() -> AbstractEventLoop:
        return uvloop.new_event_loop()


class BeginTests(LoopTestCase):
    """
    A task may be begun at once.
    """

    def test_at_once(self) -> None:
        """
        Its coroutine runs at once up to where it has to wait, as the current task, in
        a copy of the context.
        """

        async def who() -> tuple[str, Any]:
            WHO.set("Ann")
            return WHO.get(), asyncio.current_task()

        async def main() -> None:
            task = begin(who(), self.loop)
            if sys.version_info >= (3, 12):
                self.assertTrue(task.done())
            self.assertEqual(await task, ("Ann", task))
            self.assertEqual(WHO.get(), "nobody")

        self.play(main)

    def test_waiting(self) -> None:
        """
        It may await Deferreds and whatever asyncio has, each of them more than once.
        """
        there: Deferred[str] = Deferred()
        failing: Deferred[str] = Deferred()

        async def work() -> list[str]:
            said = [await there]
            await asyncio.sleep(0)
            with self.assertRaises(Broken):
                await failing
            said.append(await succeed("more"))
            said.append(await asyncio.wait_for(give_back(succeed("last")), 5))
            return said

        async def main() -> None:
            task = begin(work(), self.loop)
            self.assertIn("work() running at", repr(task))
            there.callback("news")
            for _ in range(3):
                await asyncio.sleep(0)
            failing.errback(broken())
            self.assertEqual(await task, ["news", "more", "last"])

        self.play(main)

    def test_failing(self) -> None:
        """
        What its coroutine raises, at once or later, is the task's.
        """

        async def fail_at(turns: int) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            break_down()

        async def main() -> None:
            for turns in range(3):
                task = begin(fail_at(turns), self.loop)
                with self.assertRaises(Broken) as caught:
                    await task
                frames = walk_tb(caught.exception.__traceback__)
                self.assertIn(fail_at.__code__, [each.f_code for each, _ in frames])

        self.play(main)

    def test_cancelling(self) -> None:
        """
        It may be cancelled, wherever it waits; its coroutine may clean up, or refuse.
        """
        cleaned: list[object] = []

        async def work(thing: Any, refuses: bool) -> str:
            try:
                await thing
            except asyncio.CancelledError:
                cleaned.append(thing)
                await asyncio.sleep(0)
                if not refuses:
                    raise
            return "refused"

        async def main() -> None:
            for thing in (Deferred, self.loop.create_future):
                waits = begin(work(thing(), False), self.loop)
                waits.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await waits
                self.assertTrue(waits.cancelled())
                refuses = begin(work(thing(), True), self.loop)
                refuses.cancel()
                self.assertEqual(await refuses, "refused")
            self.assertEqual(len(cleaned), 4)

        self.play(main)

    @skipIf(sys.version_info < (3, 12), "before 3.12 another coroutine is the task's")
    def test_closed(self) -> None:
        """
        Who closes what the task drives closes the coroutine.
        """
        closed: list[str] = []

        async def work() -> None:
            try:
                await suspend(self.loop.create_future())
            finally:
                closed.append("closed")

        async def main() -> None:
            task = begin(work(), self.loop)
            driven: Any = task.get_coro()
            driven.close()
            self.assertEqual(closed, ["closed"])
            task.cancel()
            with self.assertRaises((asyncio.CancelledError, RuntimeError)):
                await task

        self.play(main)


@skipIf(uvloop is None, "uvloop is not installed")
class UvloopBeginTests(BeginTests):
    """
    The same on uvloop.
    """

    @staticmethod
    def make_loop() -> AbstractEventLoop:
        return uvloop.new_event_loop()


class InstallTests(LoopTestCase):
    """
    A loop learns that its tasks may await Deferreds.
    """

    def make_deferred(self) -> Deferred[str]:
        it: Deferred[str] = Deferred()
        self.loop.call_soon(it.callback, "news")
        return it

    def test_before_anything_else(self) -> None:
        """
        On a loop that was told, even the first task can.
        """
        install(self.loop)
        factory = self.loop.get_task_factory()
        install(self.loop)
        self.assertIs(self.loop.get_task_factory(), factory)
        it = give_back(self.make_deferred())
        self.assertEqual(self.loop.run_until_complete(it), "news")

    def test_tasks_are_what_they_were(self) -> None:
        """
        A task has the name and the context it is given, and only a coroutine can
        become one.
        """
        install(self.loop)
        context = copy_context()
        context.run(WHO.set, "Ann")

        async def who() -> str:
            return WHO.get()

        async def main() -> None:
            task = self.loop.create_task(who(), name="roll call", context=context)
            self.assertEqual(task.get_name(), "roll call")
            self.assertEqual(await task, "Ann")
            with self.assertRaises(TypeError):
                self.loop.create_task(3)  # type: ignore[arg-type]

        self.loop.run_until_complete(main())

    def test_another_factory(self) -> None:
        """
        Who makes the loop's tasks goes on making them, also who came later.
        """
        made = []

        def make_task(
            loop: AbstractEventLoop, coroutine: Any, **kwargs: Any
        ) -> asyncio.Task[Any]:
            task = asyncio.Task(coroutine, loop=loop, **kwargs)
            made.append(task)
            return task

        async def main() -> None:
            for _ in range(2):
                self.loop.set_task_factory(make_task)
                await deferred(asyncio.sleep(0))
                task = self.loop.create_task(give_back(self.make_deferred()))
                self.assertEqual(await task, "news")
                self.assertIs(made.pop(), task)

        self.play(main)

    @skipIf(sys.version_info < (3, 12), "asyncio.eager_task_factory is of Python 3.12")
    def test_eager_factory(self) -> None:
        """
        asyncio's own eager factory may be set.
        """
        self.loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        install(self.loop)
        it = give_back(self.make_deferred())
        self.assertEqual(self.loop.run_until_complete(it), "news")

    def test_looking_into_a_task(self) -> None:
        """
        A task shows whose coroutine it runs, and where that is.
        """

        async def linger() -> None:
            await Deferred()

        async def main() -> None:
            task = self.loop.create_task(linger())
            await asyncio.sleep(0)
            self.assertIn("linger() running at", repr(task))
            [frame] = task.get_stack()
            self.assertIs(frame.f_code, linger.__code__)
            coroutine: Any = task.get_coro()
            self.assertEqual(
                inspect.getcoroutinestate(coroutine), inspect.CORO_SUSPENDED
            )
            self.assertEqual(coroutine.__qualname__, linger.__qualname__)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        self.play(main)


#: How each reactor that there is here is installed, first thing in a process.
REACTORS = {
    "asyncio": "from twisted.internet import asyncioreactor as it; it.install()",
    "select": "from twisted.internet import selectreactor as it; it.install()",
}
if hasattr(select, "epoll"):
    REACTORS["epoll"] = "from twisted.internet import epollreactor as it; it.install()"
if uvloop is not None:
    REACTORS["uvloop"] = (
        "import uvloop; from twisted.internet import asyncioreactor as it; "
        "it.install(uvloop.new_event_loop())"
    )


@cache
def matrices() -> dict[str, subprocess.Popen[str]]:
    """
    A process per reactor. All at once, as trial on asyncio mostly waits.
    """
    directory = tempfile.TemporaryDirectory()
    atexit.register(directory.cleanup)
    processes = {}
    for name, install_reactor in REACTORS.items():
        program = (
            f"{install_reactor}; import sys; from twisted.scripts.trial import run; "
            "sys.argv[0] = 'trial'; run()"
        )
        command = [sys.executable, "-c", program, "--temp-directory"]
        process = processes[name] = subprocess.Popen(
            [*command, f"{directory.name}/{name}", "tests.awaiting_matrix"],
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        atexit.register(process.kill)
    return processes


class MatrixTests(SynchronousTestCase):
    """
    Every kind of function waits for every kind of thing, on every reactor.
    """

    def check(self, name: str) -> None:
        """
        All of it passed, and all of it ran.
        """
        if name not in REACTORS:
            raise SkipTest(f"{name} is not to be had here")
        process = matrices()[name]
        said, _ = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, said)
        self.assertEqual(len(awaiting_matrix.CELLS), 3 * 10 * 5)
        self.assertIn(f"PASSED (successes={len(awaiting_matrix.CELLS)})\n", said)

    def test_asyncio(self) -> None:
        """
        On Twisted's asyncio reactor, all of it works.
        """
        self.check("asyncio")

    def test_uvloop(self) -> None:
        """
        On the asyncio reactor with uvloop, all of it works.
        """
        self.check("uvloop")

    def test_epoll(self) -> None:
        """
        On epoll, what needs no asyncio works, and the rest fails at once.
        """
        self.check("epoll")

    def test_select(self) -> None:
        """
        The same on select, which every platform has.
        """
        self.check("select")


class PageTests(SynchronousTestCase):
    """
    ``docs/awaiting.rst`` is true.
    """

    def blocks(self, language: str) -> list[str]:
        """
        The pieces of a language, in the order of the page.
        """
        page = (ROOT / "docs" / "awaiting.rst").read_text("utf-8")
        pieces = re.findall(
            rf"^\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)", page, re.MULTILINE
        )
        return [textwrap.dedent(piece).strip() + "\n" for piece in pieces]

    def test_the_program(self) -> None:
        """
        The pieces of Python on the page, one after the other, are a program that
        says what the page says it does.
        """
        program = "\n".join(self.blocks("python"))
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.stderr, "")
        self.assertEqual([done.stdout], self.blocks("text"))
