# -*- test-case-name: tests.test_testing -*-
"""
Time that stands still until a test moves it.

What is to happen now happens by itself, in turns of the reactor that really runs;
what is to happen later waits for :meth:`Clock.advance`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from math import inf
from typing import Any, TypeVar

from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import FailTest
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps

__all__ = ["Clock", "Restless", "Silence"]

T = TypeVar("T")

#: When a clock starts, in seconds since the epoch: 2026-01-01, 00:00 UTC.
_EPOCH = 1_767_225_600.0

#: What is later by less than this is now: some have a reactor's next turn by asking
#: for a hundredth of a microsecond.
_INSTANT = 0.001

#: So many turns of the real reactor without anything happening are rest. What
#: waits for the loop only (``asyncio.sleep(0)``, a task group) takes a few.
_QUIET = 20

#: Of so many turns each of which had something to do, no end is to be expected.
_RESTLESS = 200_000


class Silence(FailTest):
    """
    What a test waits for does not come.
    """


class Restless(FailTest):
    """
    Something happens again and again without time passing.
    """


@implementer(IReactorTime)
class Clock:
    """
    A clock that a test moves. It starts at 0, which is the beginning of 2026.

    It governs asyncio's timers as well while a test runs: ``asyncio.sleep(60)``
    and ``asyncio.timeout(60)`` last until somebody calls ``advance(60)``. (Not
    governed: ``loop.time()``, threads, and calls of the real reactor.)

    :param reactor: The reactor that really runs.
    :ivar patience: Real seconds that a test waits for what does not come.
    """

    _log = Logger()

    def __init__(self, reactor: Any, patience: float = 1.0) -> None:
        self.patience = patience
        self._reactor = reactor
        self._seconds = 0.0
        self._calls: list[DelayedCall] = []
        self._ready: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._context = copy_context()
        self._woken = False
        self._turns = 0
        self._moving: float | None = None
        self._governed: _Governed | None = None

    # What a test uses.

    @inlineCallbacks
    def advance(self, seconds: float) -> Steps[None]:
        """
        Let time pass. Wait for it, with ``yield`` or ``await``: what is due on
        the way happens one after another, each at its time, and what comes of
        it has happened before the next.

        :param seconds: How much, 0 or more.
        """
        if self._moving is not None:
            raise RuntimeError(f"advance({self._moving:g}) was not waited for")
        until = _exact(self._seconds + seconds)
        self._moving = seconds
        try:
            yield self.settle()
            while (due := self._next(until)) is not None:
                self._seconds = max(self._seconds, due.getTime())
                self._wake()
                yield self.settle()
            self._seconds = until
        finally:
            self._moving = None

    @inlineCallbacks
    def settle(self) -> Steps[None]:
        """
        Wait until all has happened that happens without time passing: every
        byte has arrived, every handler has answered that waits for nothing else.

        :raise Restless: When there is no end to it.
        """
        quiet = 0
        for _ in range(_RESTLESS):
            before = self._turns
            yield deferLater(self._reactor, 0)
            idle = before == self._turns and not self._woken
            quiet = quiet + 1 if idle else 0
            if quiet == _QUIET:
                return
        busy = ", ".join(_name(call) for call in self.getDelayedCalls()[:3])
        raise Restless(f"something happens without end; perhaps {busy or 'a peer'}")

    def seconds(self) -> float:
        """Seconds since the test began."""
        return self._seconds

    def now(self) -> float:
        """Seconds since the epoch, as ``time.time()`` would say."""
        return _EPOCH + self._seconds

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: Any, **kw: Any
    ) -> IDelayedCall:
        """See :class:`twisted.internet.interfaces.IReactorTime`."""
        assert delay >= 0, f"{delay!r} is in the past"
        if delay < _INSTANT:
            delay = 0.0
        call = DelayedCall(
            _exact(self._seconds + delay),
            callable,
            args,
            kw,
            self._calls.remove,
            self._moved,
            self.seconds,
        )
        self._calls.append(call)
        self._moved(call)
        return call

    def getDelayedCalls(self) -> list[DelayedCall]:
        """What is to happen later, what is due first first."""
        return sorted(self._calls, key=DelayedCall.getTime)

    def __str__(self) -> str:
        text = f"the clock stands at {self._seconds:g} s"
        call = self._next()
        if call is not None:
            text += f", the next timer is at {call.getTime():g} s ({_name(call)})"
        return text

    # What the rest of the kit uses.

    def soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Have something happen in the next turn."""
        self._ready.append((function, args))
        self._wake()

    def patiently(self, awaited: Deferred[T], tell: Callable[[], str]) -> Deferred[T]:
        """
        Wait for something that should come without time passing; a thread may
        have to do its work first.

        :param tell: Says what did not come.
        :return: fires with what came.
        :raise Silence: When it does not come.
        """
        if awaited.called:
            return awaited
        waiting: Deferred[T] = Deferred(lambda _: awaited.cancel())

        @inlineCallbacks
        def give_up() -> Steps[None]:
            yield self.settle()
            if not waiting.called:
                waiting.errback(Silence(f"{tell()}; {self}"))
                awaited.cancel()

        def arrive(outcome: Any) -> None:
            if timer.active():
                timer.cancel()
            if not waiting.called:
                waiting.callback(outcome)

        timer = self._reactor.callLater(self.patience, give_up)
        awaited.addBoth(arrive)
        return waiting

    @property
    def moving(self) -> float | None:
        """The seconds of an :meth:`advance` that has not come to its end."""
        return self._moving

    def govern(self) -> None:
        """Take over the timers of the asyncio loop, if one is running."""
        if self._governed is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return
            self._governed = _Governed(self, loop, self._reactor)

    def tasks(self) -> set[asyncio.Task[Any]]:
        """The asyncio tasks that were begun since :meth:`govern` and go on."""
        return set() if self._governed is None else self._governed.tasks()

    def release(self) -> None:
        """Give back what :meth:`govern` took."""
        governed, self._governed = self._governed, None
        if governed is not None:
            governed.release()

    def _next(self, until: float = inf) -> DelayedCall | None:
        """What is due first, if it is due by then."""
        call = min(self._calls, key=DelayedCall.getTime, default=None)
        return None if call is None or call.getTime() > until else call

    def _moved(self, call: DelayedCall) -> None:
        if call.getTime() <= self._seconds:
            self._wake()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._reactor.callLater(0, self._turn)

    def _turn(self) -> None:
        """
        Do what is to be done now. What comes of it waits for the next turn,
        as in any reactor.
        """
        self._woken = False
        self._turns += 1
        ready, self._ready = self._ready, deque()
        now = self._seconds
        for call in [each for each in self.getDelayedCalls() if each.getTime() <= now]:
            if call.active() and call.getTime() <= now:
                self._calls.remove(call)
                call.called = 1
                self._do(call.func, *call.args, **call.kw)
        for function, args in ready:
            self._do(function, *args)
        if self._ready or self._next(now) is not None:
            self._wake()

    def _do(self, function: Callable[..., Any], *args: Any, **kw: Any) -> None:
        """
        Call it. As in any reactor, it runs in nobody's context, and what it
        raises is logged.
        """
        try:
            self._context.copy().run(function, *args, **kw)
        except Exception:
            self._log.failure("{function} failed", function=function)


class _Governed:
    """
    An asyncio loop whose timers are a clock's.

    :param reactor: The reactor on this loop, which keeps its own.
    """

    _log = Logger()

    def __init__(self, clock: Clock, loop: Any, reactor: Any) -> None:
        self._clock = clock
        self._loop = loop
        self._reactor = reactor
        self._call_later = loop.call_later
        self._call_at = loop.call_at
        self._handler = loop.get_exception_handler()
        self._before = asyncio.all_tasks(loop)
        loop.call_later = self.call_later
        loop.call_at = self.call_at
        loop.set_exception_handler(self._failed)

    def tasks(self) -> set[asyncio.Task[Any]]:
        return asyncio.all_tasks(self._loop) - self._before

    def release(self) -> None:
        del self._loop.call_later, self._loop.call_at
        self._loop.set_exception_handler(self._handler)

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        if self._is_exempt(callback):
            if callback == self._loop.stop:
                # Trial's janitor, twice after each test: `reactor.iterate(0)`
                # takes ten milliseconds so that timers may end.
                delay = 0
            return self._call_later(delay, callback, *args, context=context)
        return _Timer(self._clock, delay, callback, args, self._loop, context)

    def call_at(
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        if self._is_exempt(callback):
            return self._call_at(when, callback, *args, context=context)
        # Who says `when` has looked at the real time a moment ago.
        delay = round(when - self._loop.time(), 3)
        return _Timer(self._clock, delay, callback, args, self._loop, context)

    def _is_exempt(self, callback: Any) -> bool:
        owner = getattr(callback, "__self__", None)
        return owner is self._reactor or owner is self._loop

    def _failed(self, loop: Any, context: dict[str, Any]) -> None:
        """What nobody heard of fails the test, as Twisted's own does."""
        error = context.get("exception")
        if error is None:
            self._log.error("asyncio: {message}", message=context["message"])
        else:
            self._log.failure(
                "asyncio: {message}", Failure(error), message=context["message"]
            )


class _Timer(asyncio.TimerHandle):
    """
    An asyncio timer that waits for a clock.
    """

    def __init__(
        self,
        clock: Clock,
        delay: float,
        callback: Any,
        args: Any,
        loop: Any,
        context: Any,
    ) -> None:
        super().__init__(loop.time() + delay, callback, args, loop, context)
        self._waiting = clock.callLater(max(0.0, delay), self._run)

    def cancel(self) -> None:
        # Not TimerHandle's own, which tells the loop, which does not know it.
        asyncio.Handle.cancel(self)
        if self._waiting.active():
            self._waiting.cancel()


def _exact(seconds: float) -> float:
    """Ten steps of 0.1 are 1: a time to the nanosecond."""
    return round(seconds, 9)


def _name(call: DelayedCall) -> str:
    function: Any = call.func
    owner = getattr(function, "__self__", None)
    if isinstance(owner, _Timer):
        return "a timer of asyncio's"
    if isinstance(owner, Context):
        function = call.args[0]
    return getattr(function, "__qualname__", None) or repr(function)
