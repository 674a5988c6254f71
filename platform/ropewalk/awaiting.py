# -*- test-case-name: tests.test_awaiting -*-
"""
One way to wait, whatever for: Deferreds, asyncio, threads.

A function may be plain, ``@inlineCallbacks`` or ``async def``; what it waits for
may be a Deferred, an asyncio future, task or coroutine, a
``concurrent.futures.Future`` or a value that is there already. :func:`run` calls
any such function, :func:`deferred` turns any such thing into a Deferred, and
:func:`inlineCallbacks` is Twisted's with a ``yield`` that takes them all.

An ``async def`` runs as a real ``asyncio.Task`` while an asyncio loop runs in this
thread (as under the asyncio reactor), otherwise the way Twisted runs it.
Either way it begins at once, and runs up to the first thing that is not there yet.

Cancellation is called by its local name: ``asyncio.CancelledError`` inside an
``async def``, ``twisted.internet.defer.CancelledError`` everywhere else.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
from abc import abstractmethod
from asyncio import AbstractEventLoop, _enter_task, _get_running_loop, _leave_task
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import copy_context
from functools import lru_cache, wraps
from inspect import CO_ITERABLE_COROUTINE
from types import GeneratorType
from types import coroutine as coroutine_of
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from msgspec import Struct
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    TimeoutError,
    fail,
    succeed,
)
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.reflect import safe_repr

from ropewalk.errors import NeedsAsyncio, NeedsReactor, NotAwaitable
from ropewalk.interfaces import Steps

__all__ = [
    "awaitable",
    "begin",
    "deferred",
    "home",
    "inlineCallbacks",
    "install",
    "run",
    "within",
]

P = ParamSpec("P")
T = TypeVar("T")

_log = Logger()
_home: IReactorFromThreads | None = None


# What everybody uses.


@overload
def deferred(thing: Awaitable[T]) -> Deferred[T]: ...
@overload
def deferred(thing: concurrent.futures.Future[T]) -> Deferred[T]: ...
@overload
def deferred(thing: T) -> Deferred[T]: ...
def deferred(thing: Any) -> Deferred[Any]:
    """
    Turn what can be waited for into a Deferred.

    Cancelling it cancels what it waits for, and it fires when that has given
    in, which may take a while: a coroutine can clean up, or refuse. Only a
    thread cannot be asked: its work goes on, and nobody hears of it.

    :param thing: A Deferred, which is returned as it is; an asyncio future or
        task; a coroutine, which begins at once; anything else with an
        ``__await__``; a ``concurrent.futures.Future``; or a plain value.
    :return: fires with the result, or fails with the error and its traceback.
    :raise NeedsAsyncio: At once, when only a running asyncio loop could wait for
        this; for a coroutine, at the ``await`` that needs the loop.
    :raise NeedsReactor: At once, when a thread would not know where to come home
        to: see :func:`home`.
    :raise NotAwaitable: At once, when it belongs to another loop.
    """
    return _way(type(thing))(thing)


@overload
def run(
    function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
) -> Deferred[T]: ...
@overload
def run(
    function: Callable[P, concurrent.futures.Future[T]],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Deferred[T]: ...
@overload
def run(
    function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> Deferred[T]: ...
def run(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Deferred[Any]:
    """
    Call a function of any kind.

    A generator that it returns is a value like any other: it may be meant as
    one, such as the pieces of a long answer.

    :return: fires with what it returned, waited for if need be, or fails with
        what it raised. Nothing is raised here.
    """
    try:
        result = function(*args, **kwargs)
    except BaseException as error:
        return fail(_failure(error))
    return _way(type(result))(result)


def inlineCallbacks(function: Callable[P, Steps[T]]) -> Callable[P, Deferred[T]]:
    """
    Let a generator function wait by ``yield`` for whatever :func:`deferred` takes.

    A drop-in for ``twisted.internet.defer.inlineCallbacks``, and as there, a
    generator that is yielded is run as if it were decorated, too.
    """

    @wraps(function)
    def begin(*args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        steps = function(*args, **kwargs)
        if not isinstance(steps, GeneratorType):
            raise TypeError(f"{function!r} has no yield: it returned {steps!r}")
        return _from_steps(steps)

    return begin


@overload
def within(seconds: float, thing: Awaitable[T], clock: IReactorTime) -> Deferred[T]: ...
@overload
def within(
    seconds: float, thing: concurrent.futures.Future[T], clock: IReactorTime
) -> Deferred[T]: ...
@overload
def within(seconds: float, thing: T, clock: IReactorTime) -> Deferred[T]: ...
def within(seconds: float, thing: Any, clock: IReactorTime) -> Deferred[Any]:
    """
    Wait, but not for ever.

    What is not there in time is cancelled. The caller is told at the deadline,
    even if what was cancelled takes its time or goes on regardless; whatever
    comes of it later is dropped.

    :param seconds: How long to wait, 0 or more.
    :param thing: Anything that :func:`deferred` takes.
    :param clock: Where time comes from; a test passes a ``Clock``.
    :return: fires with the result.
    :raise twisted.internet.defer.TimeoutError: When the time is over.
    """
    awaited = deferred(thing)
    waiting: Deferred[Any] = _Patient(awaited.cancel)

    def expire() -> None:
        try:
            awaited.cancel()
        finally:
            late = TimeoutError(f"{safe_repr(thing)} took more than {seconds:g} s")
            waiting.errback(late)

    def arrive(result: Any) -> None:
        if limit.active():
            limit.cancel()
            waiting.callback(result)
        elif isinstance(result, Failure):
            _log.debug(
                "{thing}, given up after {seconds} s, failed: {error}",
                thing=thing,
                seconds=seconds,
                error=result.value,
            )

    limit = clock.callLater(seconds, expire)
    awaited.addBoth(arrive)
    return waiting


def awaitable(thing: object) -> bool:
    """
    Whether something has to be waited for, or fails: for callers who can do
    without a Deferred, and without :func:`deferred`, when a plain value is there.
    """
    way = _way(type(thing))
    return way is not succeed and (way is not _from_generator or _is_coroutine(thing))


# What the daemon and the testing kit say once.


def home(reactor: IReactorFromThreads | None) -> IReactorFromThreads | None:
    """
    Say which reactor runs, so that what threads do can come home to it even
    while no asyncio loop runs.

    :return: what was said before.
    """
    global _home
    before, _home = _home, reactor
    return before


def install(loop: AbstractEventLoop) -> None:
    """
    Let each task of an asyncio loop await Deferreds, also those that
    ``asyncio.gather`` or a ``TaskGroup`` make. A task factory that the loop has
    already keeps making the tasks.

    The first coroutine that :func:`deferred` gets while the loop runs sees to this
    as well; only what makes tasks before that needs it earlier.
    """
    factory = loop.get_task_factory()
    if not isinstance(factory, _TaskFactory):
        loop.set_task_factory(_TaskFactory(factory))


def begin(
    coroutine: Coroutine[Any, Any, T], loop: AbstractEventLoop
) -> asyncio.Task[T]:
    """
    Run a coroutine as a task that may await Deferreds, and begin with it at once. It
    runs in a copy of the context in which this is called.

    :param loop: The loop that runs.
    """
    return _begin_task(coroutine, loop)


# From everything to a Deferred: one way per type.


def _find_way(kind: type) -> Callable[[Any], Deferred[Any]]:
    """
    How a thing of this type becomes a Deferred.
    """
    if issubclass(kind, Deferred):
        return _from_deferred
    if hasattr(kind, "_asyncio_future_blocking"):  # as asyncio.isfuture() asks
        return _from_future
    if issubclass(kind, concurrent.futures.Future):
        return _from_concurrent
    if issubclass(kind, Coroutine):
        return _from_coroutine
    if issubclass(kind, GeneratorType):
        return _from_generator
    if hasattr(kind, "__await__"):
        return _from_awaitable
    if issubclass(kind, Failure):
        return fail
    return succeed


_way: Callable[[type], Callable[[Any], Deferred[Any]]] = lru_cache(1024)(_find_way)


def _from_deferred(thing: Deferred[T]) -> Deferred[T]:
    return thing


def _from_future(future: asyncio.Future[Any]) -> Deferred[Any]:
    if future.done():
        return _fired(_outcome(future))
    loop = _get_running_loop()
    if loop is None:
        return fail(NeedsAsyncio(safe_repr(future)))
    if future.get_loop() is not loop:
        return fail(NotAwaitable(f"{future!r} here: it belongs to another loop"))
    waiting: Deferred[Any] = _Patient(future.cancel)
    future.add_done_callback(lambda done: waiting.callback(_outcome(done)))
    return waiting


def _from_concurrent(future: concurrent.futures.Future[Any]) -> Deferred[Any]:
    if future.done():
        return _fired(_outcome(future))
    loop = _get_running_loop()
    call: Callable[..., object]
    if loop is not None:
        call = loop.call_soon_threadsafe
    elif _home is not None:
        call = _home.callFromThread
    else:
        return fail(NeedsReactor(safe_repr(future)))
    context = copy_context()

    def give_up(_: object) -> None:
        future.cancel()

    def arrive() -> None:
        if not waiting.called:
            waiting.callback(_outcome(future))

    def come_home(_: object) -> None:  # called in the thread that did the work
        if loop is None or not loop.is_closed():
            call(context.run, arrive)

    waiting: Deferred[Any] = Deferred(give_up)
    future.add_done_callback(come_home)
    return waiting


def _from_coroutine(coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
    loop = _get_running_loop()
    if loop is None:
        return Deferred.fromCoroutine(_TwistedCoroutine(coroutine))
    install(loop)
    return _begin(coroutine, loop)


def _from_generator(thing: Any) -> Deferred[Any]:
    return _from_coroutine(thing) if _is_coroutine(thing) else succeed(thing)


def _from_awaitable(thing: Awaitable[T]) -> Deferred[T]:
    return _from_coroutine(_await(thing))


def _from_steps(steps: Steps[T]) -> Deferred[T]:
    return Deferred.fromCoroutine(_TwistedGenerator(steps))


async def _await(thing: Awaitable[T]) -> T:
    return await thing


def _is_coroutine(generator: Any) -> bool:
    """
    Whether a generator was made by a function under ``@types.coroutine``.
    """
    return bool(generator.gi_code.co_flags & CO_ITERABLE_COROUTINE)


def _is_there(awaited: Deferred[Any]) -> bool:
    """
    Whether a Deferred has a value to give at once.
    """
    return (
        awaited.called
        and not awaited.paused
        and not isinstance(awaited.result, Failure)
    )


def _next_turn() -> Deferred[None]:
    """
    What a coroutine that yields nothing waits for: ``asyncio.sleep(0)`` does.
    """
    loop = _get_running_loop()
    if loop is None:
        return fail(NeedsAsyncio("asyncio.sleep(0)"))
    turn: Deferred[None] = Deferred()
    loop.call_soon(turn.callback, None)
    return turn


def _fired(outcome: Any) -> Deferred[Any]:
    return fail(outcome) if isinstance(outcome, Failure) else succeed(outcome)


class _Future(Protocol):
    def cancelled(self) -> bool: ...
    def exception(self) -> BaseException | None: ...
    def result(self) -> Any: ...


def _outcome(future: _Future) -> Any:
    """
    What came of a future, as a Deferred wants to hear it.
    """
    if future.cancelled():
        return Failure(CancelledError())
    error = future.exception()
    return future.result() if error is None else _failure(error)


def _failure(error: BaseException) -> Failure:
    return Failure(_translated(error))


def _translated(error: BaseException) -> BaseException:
    """
    An error as it should leave asyncio's world, with its traceback.
    """
    if isinstance(error, _Contained):
        return error.error
    if isinstance(error, asyncio.CancelledError):
        return CancelledError().with_traceback(error.__traceback__)
    if (
        type(error) is RuntimeError
        and str(error) == "no running event loop"
        and _get_running_loop() is None
    ):
        needs = NeedsAsyncio("something of asyncio's")
        needs.__cause__ = error
        return needs.with_traceback(error.__traceback__)
    return error


class _Contained(Exception):
    """
    Holds an error that asyncio would not keep in a task, but let loose.
    """

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Patient(Deferred[T]):
    """
    A Deferred whose cancellation is passed on and waited for: it fires when what
    it waits for is done, not before.
    """

    def __init__(self, cancel: Callable[[], object]) -> None:
        super().__init__()
        self._pass_on = cancel

    def cancel(self) -> None:
        if self.called:
            super().cancel()
        else:
            self._pass_on()


# Interpreters. Each stands between a coroutine (or generator) and what drives it,
# and translates what the one wants to wait for into what the other can wait for.


class _Interpreter(Coroutine[Any, Any, Any]):
    __slots__ = ("_coroutine", "_send")

    def __init__(self, coroutine: Any) -> None:
        self._coroutine = coroutine
        self._send = coroutine.send

    def __await__(self) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        # cr_frame, cr_running, __qualname__ …: for debuggers and repr().
        return getattr(self._coroutine, name)

    @abstractmethod
    def send(self, value: Any, step: Callable[[Any], Any] | None = None) -> Any:
        """
        Let the coroutine run until it has to wait.

        :param step: What to let it run with, if not with its own ``send``.
        :return: what its driver can wait for.
        """

    def throw(self, error: Any, value: Any = None, traceback: Any = None) -> Any:
        return self.send(error if value is None else value, self._coroutine.throw)

    def close(self) -> None:
        self._coroutine.close()


class _TwistedGenerator(_Interpreter):
    """
    A generator under :func:`inlineCallbacks`, driven by Twisted.
    """

    __slots__ = ()

    def send(
        self, value: Any, step: Callable[[Any], Any] | None = None
    ) -> Deferred[Any]:
        try:
            thing = (step or self._send)(value)
            while True:
                way = _way(type(thing))
                if way is _from_deferred:
                    if not _is_there(thing):
                        return thing  # type: ignore[no-any-return]
                    thing = self._send(thing.result)
                elif way is succeed:
                    thing = self._send(thing)
                elif way is _from_generator and not _is_coroutine(thing):
                    return _from_steps(thing)
                else:
                    return way(thing)
        except (asyncio.CancelledError, RuntimeError) as error:
            if (told := _translated(error)) is not error:
                raise told from told.__cause__
            raise


class _TwistedCoroutine(_Interpreter):
    """
    A coroutine that is not a task, driven by Twisted.
    """

    __slots__ = ()

    def send(
        self, value: Any, step: Callable[[Any], Any] | None = None
    ) -> Deferred[Any]:
        if step is not None and isinstance(value, CancelledError):
            value = asyncio.CancelledError()
        try:
            thing = (step or self._send)(value)
        except (asyncio.CancelledError, RuntimeError) as error:
            if (told := _translated(error)) is not error:
                raise told from told.__cause__
            raise
        if thing is None:
            return _next_turn()
        way = _way(type(thing))
        if way is not _from_deferred and way is not _from_future:
            return fail(NotAwaitable(f"{thing!r}, which a coroutine yielded"))
        return way(thing)


class _TaskCoroutine(_Interpreter):
    """
    A coroutine that may await Deferreds, driven by an asyncio task.

    :ivar _contained: Whether not even ``SystemExit`` gets out of the task.
    :ivar _pending: What stands for the Deferred that it awaits, if it does.
    """

    __slots__ = ("_contained", "_pending")

    def __init__(self, coroutine: Any, contained: bool = False) -> None:
        super().__init__(coroutine)
        self._contained = contained
        self._pending: _DeferredFuture | None = None

    def send(self, value: Any, step: Callable[[Any], Any] | None = None) -> Any:
        pending = self._pending
        try:
            if pending is None:
                thing = (step or self._send)(value)
            else:
                self._pending = None
                thing = pending.resume(self._coroutine, value, step)
        except (KeyboardInterrupt, SystemExit) as error:
            if self._contained:
                raise _Contained(error) from None
            raise
        return self.waited(thing)

    def waited(self, thing: Any) -> Any:
        """What a task waits for where the coroutine waits for a thing."""
        if _way(type(thing)) is _from_deferred:
            thing = self._pending = _DeferredFuture(thing)
        return thing


class _DeferredFuture(asyncio.Future[None]):
    """
    What a task waits for while its coroutine awaits a Deferred.

    The coroutine gets what the Deferred had when it was its turn among the
    Deferred's callbacks, though it only runs in the loop's next turn. Who else
    waits for the Deferred gets the same.
    """

    def __init__(self, awaited: Deferred[Any]) -> None:
        super().__init__()
        self._asyncio_future_blocking = True
        self._awaited = awaited
        self._cancelling = False
        self._message: Any = None
        self._outcome: Any = None
        awaited.addBoth(self._arrive)

    def _arrive(self, outcome: T) -> T:
        self._outcome = outcome
        if not self.get_loop().is_closed():  # or who waited is gone with it
            self.set_result(None)
        return outcome

    def cancel(self, msg: Any = None) -> bool:
        """
        Cancel the Deferred. Not this: the task waits for what it makes of it.
        """
        if self.done():
            return False
        self._cancelling, self._message = True, msg
        self._awaited.cancel()
        self._cancelling = self.done()
        return True

    def resume(
        self, coroutine: Any, error: Any, throw: Callable[[Any], Any] | None
    ) -> Any:
        """
        Let the coroutine go on: with what the Deferred had, unless there is an
        error to throw into it.
        """
        awaited, outcome = self._awaited, self._outcome
        if throw is not None:
            self._forgive()
            return throw(error)
        if isinstance(outcome, Failure):
            if self._cancelling or isinstance(outcome.value, CancelledError):
                self._forgive()
                return coroutine.throw(self._cancellation(outcome.value))
            if awaited.result is not outcome:
                return outcome.throwExceptionIntoGenerator(coroutine)
        elif awaited.result is not outcome and not awaited.paused:
            # Somebody changed the result after our turn: Twisted's
            # inlineCallbacks leaves None, for one.
            changed, awaited.result = awaited.result, outcome
            try:
                return coroutine.send(None)
            finally:
                if awaited.result is outcome:
                    awaited.result = changed
        return coroutine.send(None)  # Deferred.__await__ takes it from here

    def _cancellation(self, error: BaseException | None) -> asyncio.CancelledError:
        """
        What time-outs and groups of tasks expect, whatever the Deferred calls it;
        they know their own by the message.
        """
        args = () if self._message is None else (self._message,)
        cancellation = asyncio.CancelledError(*args)
        if not isinstance(error, CancelledError):
            cancellation.__cause__ = error
        return cancellation

    def _forgive(self) -> None:
        """
        Let nobody complain that nobody looked at the error.
        """
        failure = self._outcome
        if isinstance(failure, Failure) and self._awaited.result is failure:
            try:
                self._awaited.__await__().send(None)
            except BaseException as error:
                error.__traceback__ = failure.tb  # without us in it


class _TaskFactory(Struct, frozen=True):
    """
    Makes tasks which may await Deferreds.
    """

    make_task: Callable[..., Any] | None

    def __call__(self, loop: AbstractEventLoop, coroutine: Any, **kwargs: Any) -> Any:
        if asyncio.iscoroutine(coroutine) and type(coroutine) is not _TaskCoroutine:
            coroutine = _TaskCoroutine(coroutine)
        if self.make_task is None:
            return asyncio.Task(coroutine, loop=loop, **kwargs)
        return self.make_task(loop, coroutine, **kwargs)


if sys.version_info >= (3, 12):

    def _begin(
        coroutine: Coroutine[Any, Any, T], loop: AbstractEventLoop
    ) -> Deferred[T]:
        """
        Make a task whose first step is done now.
        """
        begun = _TaskCoroutine(coroutine, contained=True)
        return _from_future(asyncio.Task(begun, loop=loop, eager_start=True))

    def _begin_task(
        coroutine: Coroutine[Any, Any, T], loop: AbstractEventLoop
    ) -> asyncio.Task[T]:
        whole = _whole(coroutine)
        task = asyncio.Task(whole, loop=loop, eager_start=True)
        if not task.done():  # somebody may look into it
            whole.__qualname__ = getattr(coroutine, "__qualname__", "_whole")
        return task

    async def _whole(coroutine: Coroutine[Any, Any, T]) -> T:
        return await _stepping(coroutine)

    @coroutine_of
    def _stepping(coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """
        As a :class:`_TaskCoroutine`, which is made only where something has to be
        waited for: most that is done at once never has.
        """
        try:
            thing = coroutine.send(None)
            steps = _TaskCoroutine(coroutine)
            thing = steps.waited(thing)
            while True:
                try:
                    value = yield thing
                except GeneratorExit:
                    steps.close()
                    raise
                except BaseException as error:
                    thing = steps.throw(error)
                else:
                    thing = steps.send(value)
        except StopIteration as end:
            result: T = end.value
            return result

else:

    class _BegunCoroutine(_TaskCoroutine):
        """
        A coroutine that makes its first step before its task does; the task is
        told what came of it when it makes its own.
        """

        __slots__ = ("_error", "_told", "_waits_for")

        def begin(self) -> BaseException | None:
            """
            :return: how it ended, ``StopIteration`` for well; ``None`` if it
                did not.
            """
            self._error: BaseException | None = None
            self._waits_for = None
            self._told = True
            try:
                self._waits_for = self.send(None)
            except BaseException as error:
                self._error = error
            self._told = False
            return self._error

        def send(self, value: Any, step: Callable[[Any], Any] | None = None) -> Any:
            if self._told:
                return super().send(value, step)
            self._told = True
            if self._error is not None:
                try:
                    raise self._error
                finally:
                    self._error = None  # which has a traceback with us in it
            waits_for, self._waits_for = self._waits_for, None
            if step is None or (
                waits_for is not None and waits_for.cancel(*value.args)
            ):
                return waits_for
            return super().send(value, step)

    def _begin(
        coroutine: Coroutine[Any, Any, T], loop: AbstractEventLoop
    ) -> Deferred[T]:
        """
        Make a task whose first step is done now, as later Pythons can.
        """
        task, error = _make_first_step(coroutine, loop)
        try:
            if error is None:
                return _from_future(task)
            if isinstance(error, StopIteration):
                return _fired(error.value)
            # The task ends in the loop's next turn, when nobody asks it how.
            task.add_done_callback(_outcome)
            return fail(_failure(error))
        finally:
            del error, task  # the error's traceback leads here

    def _begin_task(
        coroutine: Coroutine[Any, Any, T], loop: AbstractEventLoop
    ) -> asyncio.Task[T]:
        return _make_first_step(coroutine, loop)[0]

    def _make_first_step(
        coroutine: Coroutine[Any, Any, T], loop: AbstractEventLoop
    ) -> tuple[asyncio.Task[T], BaseException | None]:
        """
        :return: the task, and how its coroutine ended, if it did.
        """
        begun = _BegunCoroutine(coroutine, contained=True)
        context = copy_context()
        task = asyncio.Task(begun, loop=loop, context=context)
        outer = asyncio.current_task(loop)
        if outer is not None:
            _leave_task(loop, outer)
        _enter_task(loop, task)
        try:
            return task, context.run(begun.begin)
        finally:
            _leave_task(loop, task)
            if outer is not None:
                _enter_task(loop, outer)
            del begun, task  # the traceback of an error leads here, too
