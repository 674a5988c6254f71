# -*- test-case-name: tests.test_flow -*-
"""
The two directions of a conversation, each with a bound: what was heard and is
not yet answered, and what was said and is not yet read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ropewalk import awaiting

__all__ = ["Backlog", "Turns"]

@define
class Turns:
    """
    Makes calls one at a time: the next when what the one before returned, if
    it can be awaited, has come to an end.

    :param wrong: Told when a call raised.
    :param hold: Called with ``True`` when the peer should wait, with ``False``
        when it may go on.
    :param clock: Where time comes from.
    :ivar ahead: How many may wait before the peer is made to wait.
    """

    _wrong: Callable[[Failure], None]
    _hold: Callable[[bool], None]
    _clock: IReactorTime
    ahead: int = 64
    _waiting: deque[tuple[Callable[..., Any], Any]] = field(factory=deque, init=False)
    _busy: bool = field(default=False, init=False)
    _held: bool = field(default=False, init=False)
    _over: bool = field(default=False, init=False)
    _looping: bool = field(default=False, init=False)
    _log = Logger()

    def take(self, call: Callable[..., Any], *args: Any) -> None:
        """Call it now, or after those that wait."""
        if self._over:
            return
        self._waiting.append((call, args))
        if not self._busy:
            self._go_on()
        elif not self._held and len(self._waiting) > self.ahead:
            self._held = True
            self._hold(True)

    def end(self) -> None:
        """Forget what waits, and take nothing more."""
        self._over = True
        self._waiting.clear()

    def _go_on(self) -> None:
        self._looping = True
        while self._waiting and not self._busy:
            self._busy = True
            call, args = self._waiting.popleft()
            calling = awaiting.run(call, *args)
            calling.addErrback(self._wrong)
            calling.addErrback(self._worse)
            calling.addBoth(self._answered)
        self._looping = False
        if self._held and len(self._waiting) <= self.ahead and not self._over:
            self._held = False
            self._hold(False)

    def _worse(self, failure: Failure) -> None:
        self._log.failure("what went wrong could not be told", failure)

    def _answered(self, _: Any) -> None:
        self._busy = False
        if self._waiting and not self._looping:
            # From the bottom of the stack: a thousand calls may wait.
            self._clock.callLater(0, self._go_on)


@implementer(IPushProducer)
@define
class Backlog:
    """
    Watches over what waits for a peer that does not read.

    :param cut: Ends the connection at once; the peer would not read a goodbye.
    :ivar limit: Bytes that may wait, beyond what the transport itself buffers.
    """

    _cut: Callable[[], None]
    limit: int
    _transport: Any = field(default=None, init=False)
    _full: bool = field(default=False, init=False)
    _waiting: int = field(default=0, init=False)
    _log = Logger()

    def watch(self, transport: Any) -> None:
        """Have the transport say when it is full."""
        self._transport = transport
        # Before an upgrade from HTTP, Twisted's HTTP channel was the producer.
        transport.unregisterProducer()
        transport.registerProducer(self, True)

    def release(self) -> None:
        """
        Watch no more. A transport with a registered producer does not close.
        """
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.unregisterProducer()

    def room(self, size: int) -> bool:
        """
        Whether so many bytes more may be written. If not, the peer is cut off.
        """
        if not self._full:
            return True
        self._waiting += size
        if self._waiting <= self.limit:
            return True
        if self._transport is not None:
            self._log.warn(
                "cut off: over {limit} bytes wait for a peer that does not read",
                limit=self.limit,
            )
            self.release()
            self._cut()
        return False

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full, self._waiting = False, 0

    def stopProducing(self) -> None:
        self._transport = None
