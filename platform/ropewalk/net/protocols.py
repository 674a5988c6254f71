# -*- test-case-name: tests.test_protocols -*-
"""
Text lines over TCP, for people with ``nc`` and for programs.

The edge: bytes into calls, errors into lines, no rules. A line that is too
long, not UTF-8, or wrong to whoever hears it is answered in a line, and the
conversation goes on.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from ropewalk.errors import RopewalkError
from ropewalk.interfaces import IDrainable
from ropewalk.net.flow import Backlog, Turns

__all__ = ["LineProtocol"]


@implementer(IDrainable)
class LineProtocol(Protocol, TimeoutMixin):
    """
    One TCP connection that talks in lines of UTF-8. Override :meth:`heard`, and
    :meth:`opened` and :meth:`closed` where there is something to do.

    :param clock: Where time comes from.
    :cvar longest: The longest line that is heard, in bytes.
    :cvar idle: Seconds without a line after which the peer is let go; 0 waits
        for ever.
    :cvar unsent: Bytes that may wait for a peer that does not read. One more,
        and it is cut off: it would not read a goodbye either.
    :cvar ahead: Lines that may wait for the answer to an earlier one before the
        peer is made to wait as well.
    """

    longest = 4096
    idle = 600.0
    unsent = 256 * 1024
    ahead = 64

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._buffer = b""
        self._skipping = False
        self._leaving = False
        self._turns = Turns(self._wrong, self._hold, clock, self.ahead)
        self._backlog = Backlog(self._cut, self.unsent)

    # What to override.

    def opened(self) -> Any:
        """Somebody is there. What this returns is waited for before a line."""

    def heard(self, line: str) -> Any:
        """
        Take a line, without its end. Lines come one by one: the next when what
        this returns, if it can be awaited, has come to an end.

        Raising a :class:`~ropewalk.errors.RopewalkError` tells the peer what
        is wrong, in a line.
        """

    def closed(self) -> None:
        """Nobody is there any more."""

    # What to call.

    def say(self, line: str) -> None:
        """Send a line. What has line breaks in it arrives as several lines."""
        if self._leaving:
            return
        data = line.encode("utf-8", "replace") + b"\n"
        if self._backlog.room(len(data)):
            self._transport.write(data)

    def leave(self, line: str | None = None) -> None:
        """Close the connection, with a last line if there is one to say."""
        if self._leaving:
            return
        if line is not None:
            self.say(line)
        self._leaving = True
        self._turns.end()
        self._backlog.release()
        self._transport.loseConnection()

    def complain(self, error: RopewalkError) -> None:
        """Say what is wrong. Override to say it another way."""
        self.say(f"! {error}")

    def goodbye(self, reason: str) -> str:
        """The last line before the daemon closes the connection."""
        return f"* goodbye: {reason}"

    # What Twisted calls.

    def connectionMade(self) -> None:
        self._backlog.watch(self._transport)
        self.setTimeout(self.idle or None)
        self._turns.take(self.opened)

    def dataReceived(self, data: bytes) -> None:
        *whole, rest = (self._buffer + data).split(b"\n")
        for line in whole:
            if self._skipping:
                self._skipping = False
            elif len(line) > self.longest:
                self._too_long()
            else:
                self._take(line)
        if self._skipping:
            rest = b""
        elif len(rest) > self.longest:
            self._too_long()
            self._skipping, rest = True, b""
        self._buffer = rest

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._leaving = True
        self._turns.end()
        self.setTimeout(None)
        self.closed()

    def timeoutConnection(self) -> None:
        self.leave(f"* goodbye: nothing was said for {self.idle:g} seconds")

    def callLater(self, period: float, func: Any) -> Any:
        return self._clock.callLater(period, func)

    # What the listener calls.

    def drain(self, reason: str) -> None:
        """See :meth:`ropewalk.interfaces.IDrainable.drain`."""
        self.leave(self.goodbye(reason))

    @property
    def _transport(self) -> ITCPTransport:
        transport: Any = self.transport
        assert transport is not None, "before connectionMade there is nobody"
        return transport

    def _too_long(self) -> None:
        self._complain(f"that line is too long: at most {self.longest} bytes")

    def _take(self, line: bytes) -> None:
        self.resetTimeout()
        try:
            text = line.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            self._complain(f"that is not UTF-8: byte {error.start + 1} of the line")
        else:
            self._turns.take(self.heard, text)

    def _complain(self, problem: str) -> None:
        self.resetTimeout()
        self.complain(RopewalkError(problem))

    def _wrong(self, failure: Failure) -> None:
        if isinstance(failure.value, RopewalkError):
            self.complain(failure.value)
            return
        self._log.failure("a line could not be answered", failure)
        self.complain(RopewalkError("something went wrong here; it is in our log"))

    def _hold(self, hold: bool) -> None:
        if not self._leaving:
            transport: Any = self._transport
            (transport.pauseProducing if hold else transport.resumeProducing)()

    def _cut(self) -> None:
        self._leaving = True
        self._turns.end()
        self._transport.abortConnection()
