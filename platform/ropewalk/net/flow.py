# -*- test-case-name: tests.test_flow -*-
"""
The two directions of a conversation, each with a bound: what was heard and is
not yet answered, and what was said and is not yet read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from attrs import define, field, frozen
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ropewalk import awaiting

__all__ = ["Backlog", "Turns"]


@frozen(eq=False)
class _Turn:
    """
    A call to be made.

    :ivar context: Whose work it is (:data:`ropewalk.telemetry.work`), and
        whatever else is known there.
    :ivar wrong: Told when it raised.
    """

    call: Callable[..., Any]
    args: tuple[Any, ...]
    wrong: Callable[[Failure], None]
    context: Context


@define(eq=False)
class Turns:
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

    _wrong: Callable[[Failure], None]
    _hold: Callable[[bool], None]
    _clock: IReactorTime
    ahead: int = 64
    _waiting: deque[_Turn] = field(factory=deque, init=False)
    _busy: bool = field(default=False, init=False)
    _held: bool = field(default=False, init=False)
    _over: bool = field(default=False, init=False)
    _calling: bool = field(default=False, init=False)
    _log = Logger()

    def take(self, call: Callable[..., Any], *args: Any) -> None:
        """Call it now, or after those that wait."""
        if self._over:
            return
        self._put(call, args, self._wrong)
        if self._busy and not self._held and len(self._waiting) > self.ahead:
            self._held = True
            self._hold(True)

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
        if last is not None:
            self._put(last, (), self._failed)
        if self._held:
            self._held = False
            self._hold(False)

    def _put(
        self,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        wrong: Callable[[Failure], None],
    ) -> None:
        self._waiting.append(_Turn(call, args, wrong, copy_context()))
        if not self._busy:
            self._go_on()

    def _go_on(self) -> None:
        """
        Make calls until there is one to be waited for. It does not call itself,
        so that any number of calls may wait.
        """
        self._calling = True
        try:
            while self._waiting and not self._busy:
                self._busy = True
                self._make(self._waiting.popleft())
        finally:
            self._calling = False
        if self._held and len(self._waiting) <= self.ahead // 2:
            self._held = False
            self._hold(False)

    def _make(self, turn: _Turn) -> None:
        try:
            result = turn.context.run(turn.call, *turn.args)
        except BaseException:
            # As everywhere in Twisted, whatever a call dies of is its failure.
            self._tell(Failure(), turn)
        else:
            if awaiting.awaitable(result):
                awaiting.deferred(result).addErrback(self._tell, turn).addCallback(
                    self._answered
                )
                return
        self._busy = False

    def _answered(self, _: object) -> None:
        self._busy = False
        if self._waiting and not self._calling:
            self._clock.callLater(0, self._go_on)

    def _tell(self, failure: Failure, turn: _Turn) -> None:
        """
        Tell what went wrong with a call, in its context.
        """
        try:
            turn.context.run(turn.wrong, failure)
        except Exception:
            turn.context.run(
                self._log.failure, "what went wrong could not be told", failure
            )
            turn.context.run(self._failed, Failure())

    def _failed(self, failure: Failure) -> None:
        self._log.failure("the end of a conversation failed", failure)


@implementer(IPushProducer)
@define(eq=False)
class Backlog:
    """
    Watches over what waits for a peer that does not read.

    :param cut: Ends the connection at once; the peer would not read a goodbye.
        Called at most once, in the context in which the watch began.
    :ivar limit: Bytes that may wait, beyond what the transport itself buffers.
    """

    _cut: Callable[[], None]
    limit: int
    _transport: Any = field(default=None, init=False)
    _context: Context = field(factory=copy_context, init=False)
    _full: bool = field(default=False, init=False)
    _waiting: int = field(default=0, init=False)
    _log = Logger()

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

    def room(self, size: int) -> bool:
        """
        Whether so many bytes more may be written. If not, the peer is cut off.

        Only what is written while the transport is full counts: a long message
        to somebody who reads is no fault of theirs.
        """
        if not self._full:
            return True
        self._waiting += size
        if self._waiting <= self.limit:
            return True
        if self._transport is not None:
            # Who is cut off is hardly ever the one whose doing this is now.
            self._context.run(self._cut_off)
        return False

    def _cut_off(self) -> None:
        self._log.warn(
            "cut off: over {limit} bytes wait for a peer that does not read",
            limit=self.limit,
        )
        self.release()
        self._cut()

    # What the transport calls.

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full, self._waiting = False, 0

    def stopProducing(self) -> None:
        self._transport = None
