# -*- test-case-name: tests.test_flow -*-
"""
The two directions of a conversation, each with a bound: what was heard and is
not yet answered, and what was said and is not yet read. And the silence between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import Context, copy_context
from operator import length_hint
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ropewalk import awaiting
from ropewalk.net.segments import Turn

__all__ = ["Backlog", "Patience", "Turns"]

# A call to be made; who is told when it raised; and the context in which it is made:
# whose work it is (``ropewalk.telemetry.work``), and whatever else is known there.
_Turn = tuple[Callable[..., Any], Sequence[Any], Callable[[Failure], None], Context]


class Turns(Turn):
    """
    Makes calls one at a time: the next when what the one before returned, if
    it can be awaited, has come to an end. Each is made in the context in which
    it was handed over.

    :param wrong: Told when a call raised.
    :param hold: Called with ``True`` when the peer should wait, with ``False``
        when it may go on.
    :param clock: Where time comes from: after one that was waited for, the next
        call is made in a later turn of the reactor.
    :ivar ahead: How many may wait before the peer is made to wait.
    """

    __slots__ = ("_clock", "_coming", "_held", "_hold", "_wrong", "ahead")

    _log = Logger()

    def __init__(
        self,
        wrong: Callable[[Failure], None],
        hold: Callable[[bool], None],
        clock: IReactorTime,
        ahead: int = 64,
    ) -> None:
        self._wrong, self._hold, self._clock = wrong, hold, clock
        self.ahead = ahead
        self._waiting: deque[_Turn] = deque()
        self._busy = self._over = self._calling = self._held = False
        self._coming: list[Any] = []

    @property
    def room(self) -> int:
        """How many more may wait until the peer is made to wait."""
        return self.ahead + 1 - len(self._waiting)

    def take(self, call: Callable[..., Any], *args: Any) -> None:
        """Call it now, or after those that wait."""
        if self._over:
            return
        if self._busy or self._waiting:
            self._put(call, args, self._wrong)
            self._hold_if_many()
            return
        self._calling = True
        self._make(call, args, self._wrong, copy_context())
        self._calling = False
        if self._waiting:
            self._go_on()

    def each(self, call: Callable[[Any], Any], things: list[Any]) -> None:
        """
        Call it with one thing after the other, now, or after those that wait: as
        :meth:`take` for each of them, and cheaper. The list is not to be used again.
        """
        if self._over:
            return
        if self._busy or self._waiting:
            self._waiting.extend(self._turns(call, things))
            self._go_on()
        else:
            self._call_with_each(call, things)
        self._hold_if_many()

    def end(self, last: Callable[[], Any] | None = None) -> None:
        """
        Forget what waits, and take nothing more. What is under way goes on to
        its end. Can be called again, with something else to be done at last.

        :param last: Called when nothing is under way any more. It may return
            something to wait for; what it raises is logged.
        """
        if not self._over:
            self._over = True
            self._waiting.clear()
            self._coming.clear()
        if last is not None:
            self._put(last, (), self._failed)
        if self._held:
            self._held = False
            self._hold(False)

    def _put(
        self,
        call: Callable[..., Any],
        args: Sequence[Any],
        wrong: Callable[[Failure], None],
    ) -> None:
        self._waiting.append((call, args, wrong, copy_context()))
        self._go_on()

    def _turns(
        self, call: Callable[[Any], Any], things: Iterable[Any]
    ) -> Iterator[_Turn]:
        for thing in things:
            yield call, (thing,), self._wrong, copy_context()

    def _call_with_each(self, call: Callable[[Any], Any], things: list[Any]) -> None:
        """
        Make calls that nothing is before, until there is one to be waited for. Those
        that leave their context as it was share it.
        """
        self._calling = True
        self._coming = things
        coming, before = iter(things), copy_context()
        while length_hint(coming) and not self._busy:
            context = before.copy()
            self._make(_until, (call, coming, context, before), self._wrong, context)
        self._calling = False
        if self._busy:
            self._waiting.extendleft(reversed([*self._turns(call, coming)]))
        things.clear()
        if self._waiting:
            self._go_on()

    def _hold_if_many(self) -> None:
        if self._busy and len(self._waiting) > self.ahead and not self._held:
            self._held = True
            self._hold(True)

    def _go_on(self) -> None:
        """
        Make calls until there is one to be waited for. It does not call itself,
        so that any number of calls may wait.
        """
        if self._calling:
            return
        self._calling = True
        try:
            while self._waiting and not self._busy:
                self._make(*self._waiting.popleft())
        finally:
            self._calling = False
        if self._held and len(self._waiting) <= self.ahead // 2:
            self._held = False
            self._hold(False)

    def _make(
        self,
        call: Callable[..., Any],
        args: Sequence[Any],
        wrong: Callable[[Failure], None],
        context: Context,
    ) -> None:
        self._busy = True
        try:
            if len(args) == 1:  # a star costs more than all the rest
                result = context.run(call, args[0])
            else:
                result = context.run(call, *args)
        except BaseException:
            # As everywhere in Twisted, whatever a call dies of is its failure.
            self._tell(Failure(), wrong, context)
        else:
            if result is not None and awaiting.awaitable(result):
                self._wait_for(result, context, wrong)
                return
        self._busy = False

    def _raised(self, error: BaseException, context: Context) -> None:
        self._tell(Failure(error), self._wrong, context)

    def _wait_for(
        self,
        result: Any,
        context: Context,
        wrong: Callable[[Failure], None] | None = None,
    ) -> None:
        # A coroutine only begins now.
        waited = context.run(awaiting.deferred, result)
        waited.addErrback(self._tell, wrong or self._wrong, context)
        waited.addCallback(self._answered)

    def _answered(self, _: object) -> None:
        self._busy = False
        if self._waiting and not self._calling:
            self._clock.callLater(0, self._go_on)

    def _tell(
        self, failure: Failure, wrong: Callable[[Failure], None], context: Context
    ) -> None:
        """
        Tell what went wrong with a call, in its context.
        """
        try:
            context.run(wrong, failure)
        except Exception:
            context.run(self._log.failure, "what went wrong could not be told", failure)
            context.run(self._failed, Failure())

    def _failed(self, failure: Failure) -> None:
        self._log.failure("the end of a conversation failed", failure)


def _until(
    call: Callable[[Any], Any],
    things: Iterator[Any],
    context: Context,
    before: Context,
) -> Any:
    """
    Call it with each, until a call returns something, or changes the context in which
    all of them are made: what it has set there is for itself only.
    """
    for thing in things:
        result = call(thing)
        if result is not None:
            return result
        try:
            if context != before:
                return None
        except Exception:  # there are values that will not be compared
            return None
    return None


@implementer(IPushProducer)
class Backlog:
    """
    Watches over what waits for a peer that does not read.

    :param cut: Ends the connection at once; the peer would not read a goodbye.
        Called at most once, in the context in which the watch began.
    :param clock: Where time comes from; without one, time does not matter.
    :ivar limit: Bytes that may wait, beyond what the transport itself buffers.
    :cvar patience: Seconds in which a peer has to read what the transport buffers. One
        that does not keeps those waiting who wait for it.
    :ivar full: Whether it is full. While it is not, there is room.
    """

    __slots__ = (
        *("_clock", "_context", "_cut", "_ready", "_timer", "_transport", "_waiting"),
        *("full", "limit"),
    )

    patience = 60.0

    _log = Logger()

    def __init__(
        self,
        cut: Callable[[], None],
        limit: int,
        clock: IReactorTime | None = None,
    ) -> None:
        self._cut, self.limit, self._clock = cut, limit, clock
        self._timer: IDelayedCall | None = None
        self._transport: Any = None
        self._context = copy_context()
        self.full = False
        self._waiting = 0
        self._ready: list[Deferred[None]] = []

    def watch(self, transport: Any) -> None:
        """Have the transport say when it is full."""
        self._transport, self._context = transport, copy_context()
        transport.registerProducer(self, True)

    def release(self) -> None:
        """
        Watch no more: a full transport does not close while it has a producer.
        """
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.unregisterProducer()
        self._stop_timer()
        self._let_go_on()

    def room(self, size: int) -> bool:
        """
        Whether so many bytes more may be written. If not, the peer is cut off.

        Only what is written while the transport is full counts: a long message
        to somebody who reads is no fault of theirs.
        """
        if not self.full:
            return True
        self._waiting += size
        if self._waiting <= self.limit:
            return True
        if self._transport is not None:
            # Who is cut off is hardly ever the one whose doing this is now.
            self._context.run(self._cut_off)
        return False

    def ready(self) -> Deferred[None] | None:
        """
        Wait for room, as :meth:`ropewalk.interfaces.IPaced.ready` promises: until the
        transport is not full any more, or gone.
        """
        if not self.full or self._transport is None:
            return None
        waiting: Deferred[None] = Deferred(self._ready.remove)
        self._ready.append(waiting)
        return waiting

    def _cut_off(self) -> None:
        self._log.warn(
            "cut off: over {limit} bytes wait for a peer that does not read",
            limit=self.limit,
        )
        self.release()
        self._cut()

    # What the transport calls.

    def pauseProducing(self) -> None:
        self.full = True
        if self._clock is not None and self._timer is None:
            late = self._context.copy().run
            self._timer = self._clock.callLater(self.patience, late, self._too_late)

    def resumeProducing(self) -> None:
        self.full, self._waiting = False, 0
        self._stop_timer()
        self._let_go_on()

    def stopProducing(self) -> None:
        self._transport = None
        self._stop_timer()
        self._let_go_on()

    def _too_late(self) -> None:
        self._timer = None
        if self._transport is None:
            return
        self._log.warn(
            "cut off: nothing was read for {seconds:g} seconds of what waits",
            seconds=self.patience,
        )
        self.release()
        self._cut()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _let_go_on(self) -> None:
        """
        Tell those who wait. Of these the first may fill it again.
        """
        while self._ready and (not self.full or self._transport is None):
            self._ready.pop(0).callback(None)


class Patience:
    """
    How long a peer is waited for. Waiting anew costs next to nothing: one timer
    looks, when it goes off, whether it has been for long enough.

    :param over: Called when it is at an end, in the context in which the wait began.
    :param clock: Where time comes from.
    :ivar since: When the wait began. Who sets it to now, waits anew.
    """

    __slots__ = ("_clock", "_over", "_seconds", "_timer", "since")

    def __init__(self, over: Callable[[], None], clock: IReactorTime) -> None:
        self._over, self._clock = over, clock
        self.since = self._seconds = 0.0
        self._timer: IDelayedCall | None = None

    def wait(self, seconds: float) -> None:
        """
        Wait from now on, and no longer than this.

        :param seconds: How long; 0 waits for ever.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._seconds, self.since = seconds, self._clock.seconds()
        if seconds:
            self._look_in(seconds)

    def _look_in(self, seconds: float) -> None:
        self._timer = self._clock.callLater(seconds, copy_context().run, self._look)

    def _look(self) -> None:
        self._timer = None
        end, now = self.since + self._seconds, self._clock.seconds()
        if now < end:
            self._look_in(end - now)
        else:
            self._over()
