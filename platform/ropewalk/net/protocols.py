# -*- test-case-name: tests.test_protocols -*-
"""
Text lines over TCP, for people with ``nc`` and for programs.

The edge: bytes into calls, errors into lines, no rules. A line that is too
long, not UTF-8, or wrong to whoever hears it is answered in a line, and the
conversation goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, cast

from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from ropewalk.errors import RopewalkError
from ropewalk.interfaces import IDrainable
from ropewalk.net.flow import Backlog, Turns

__all__ = ["LineFactory", "LineProtocol"]

# What moves a terminal's cursor, or worse: C0, DEL and C1 but for the tabulator.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@implementer(IDrainable, IHalfCloseableProtocol)
class LineProtocol(Protocol, TimeoutMixin):
    """
    One TCP connection that talks in lines of UTF-8. Override :meth:`heard`, and
    :meth:`opened` and :meth:`closed` where there is something to do. What any of
    these returns is waited for, if it can be awaited, before the next is called.

    A line ends with a line feed, and may have a carriage return before that.

    :param clock: Where time comes from.
    :cvar longest: The longest line that is heard, in bytes, without its end.
    :cvar idle: Seconds without a line after which the peer is let go; 0 waits
        for ever.
    :cvar parting: Seconds a peer has to read the last lines before it is cut
        off (as ``twisted.web.http.HTTPChannel.abortTimeout``).
    :cvar unsent: Bytes that may wait for a peer that does not read. One more,
        and it is cut off: it would not read a goodbye either.
    :cvar ahead: Lines that may wait for the answer to an earlier one before the
        peer is made to wait as well.
    :cvar plain: Whether control characters are shown (``\\x1b``) rather than
        sent: what one peer says should not write over another's terminal.
    """

    longest = 4096
    idle = 600.0
    parting = 15.0
    unsent = 256 * 1024
    ahead = 64
    plain = True

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._buffer = b""
        self._start = 0  # of what has not been taken out of the buffer
        self._skipping = False
        self._held = False
        self._ended = False
        self._leaving = False
        self._turns = Turns(self._wrong, self._hold, clock, self.ahead)
        self._backlog = Backlog(self._cut, self.unsent)

    # What to override.

    def opened(self) -> Any:
        """Somebody is there."""

    def heard(self, line: str) -> Any:
        """
        Take a line, without its end.

        Raising a :class:`~ropewalk.errors.RopewalkError` tells the peer what
        is wrong, in a line.
        """

    def closed(self) -> Any:
        """
        Nobody is there any more. Called once, after :meth:`opened`, and when
        nothing that was heard is still being worked on.
        """

    # What to call.

    def say(self, line: str) -> None:
        """
        Send a line. What has line feeds in it arrives as several lines, of which
        all but the first are indented: what one peer says cannot look to another
        like the words of a third. To a peer that is gone or going, nothing is
        sent.
        """
        if self._leaving:
            return
        if self.plain:
            line = _CONTROL.sub(_shown, line.replace("\r\n", "\n"))
            line = line.replace("\n", "\n    ")
        data = line.encode("utf-8", "replace") + b"\n"
        if self._backlog.room(len(data)):
            self._transport.write(data)

    def leave(self, line: str | None = None) -> None:
        """
        Close the connection, with a last line if there is one to say. What was
        said before is still delivered.
        """
        if line is not None:
            self.say(line)
        if self._leaving:
            return
        self._leaving = True
        self._turns.end()
        self._backlog.release()
        self.setTimeout(self.parting)
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
        if not self._leaving:
            self._buffer += data
            self._read_on()

    def readConnectionLost(self) -> None:
        """The peer has said its last, and may still wait for the answer."""
        self._ended = True
        self._read_on()

    def writeConnectionLost(self) -> None:
        """We never stop talking without closing."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._leaving = True
        self._buffer = b""
        self.setTimeout(None)
        self._turns.end(self.closed)

    def timeoutConnection(self) -> None:
        if self._leaving:
            self._transport.abortConnection()
        else:
            self.leave(f"* goodbye: nothing was said for {self.idle:g} seconds")

    def callLater(self, period: float, func: Callable[[], None]) -> IDelayedCall:
        return self._clock.callLater(period, copy_context().run, func)

    # What the listener calls.

    def drain(self, reason: str) -> None:
        """See :meth:`ropewalk.interfaces.IDrainable.drain`."""
        self._turns.end(lambda: self.leave(self.goodbye(reason)))

    @property
    def _transport(self) -> ITCPTransport:
        transport = self.transport
        assert transport is not None, "before connectionMade there is nobody"
        return cast(ITCPTransport, transport)

    def _read_on(self) -> None:
        """
        Take lines out of the buffer, until the peer is to wait. Taking one may
        bring more data, and the rest of it into here.
        """
        while not self._held:
            end = self._buffer.find(b"\n", self._start)
            if end < 0:
                break
            line = self._buffer[self._start : end].removesuffix(b"\r")
            self._start = end + 1
            self._line(line)
        self._buffer, self._start = self._buffer[self._start :], 0
        if not self._held:
            self._look_at_rest()

    def _look_at_rest(self) -> None:
        """
        Let the beginning of a line wait in the buffer if it may become one.
        """
        if len(self._buffer.removesuffix(b"\r")) > self.longest and not self._skipping:
            self._skipping = True
            self._too_long()
        if self._skipping:
            self._buffer = b""
        if self._ended:
            self._turns.take(self.leave)

    def _line(self, line: bytes) -> None:
        if self._skipping:
            self._skipping = False
        elif len(line) > self.longest:
            self._too_long()
        else:
            self._take(line)

    def _take(self, line: bytes) -> None:
        self.resetTimeout()
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            self._refuse(f"that is not UTF-8: byte {error.start + 1} of the line")
        else:
            self._turns.take(self.heard, text)

    def _too_long(self) -> None:
        self.resetTimeout()
        self._refuse(f"that line is too long: at most {self.longest} bytes")

    def _refuse(self, problem: str) -> None:
        """Complain of a line, when it is its turn to be answered."""
        self._turns.take(self.complain, RopewalkError(problem))

    def _wrong(self, failure: Failure) -> None:
        if isinstance(failure.value, RopewalkError):
            self.complain(failure.value)
            return
        self._log.failure("a line could not be answered", failure)
        self.complain(RopewalkError("something went wrong here; it is in our log"))

    def _hold(self, hold: bool) -> None:
        self._held = hold
        if not hold:
            self._read_on()
        if self._leaving:
            return
        transport: Any = self._transport
        (transport.pauseProducing if self._held else transport.resumeProducing)()

    def _cut(self) -> None:
        self._leaving = True
        self._turns.end()
        self._transport.abortConnection()


class LineFactory(ServerFactory):
    """
    Makes a line protocol for each connection.

    :param make: Makes it: a subclass of :class:`LineProtocol`, say.
    :param args: What it is called with.
    """

    noisy = False

    def __init__(
        self, make: Callable[..., LineProtocol], *args: Any, **kwargs: Any
    ) -> None:
        self.protocol: Callable[..., Any] = make
        self._args = args
        self._kwargs = kwargs

    def buildProtocol(self, addr: IAddress | None) -> LineProtocol:
        made: LineProtocol = self.protocol(*self._args, **self._kwargs)
        made.factory = self
        return made


def _shown(control: re.Match[str]) -> str:
    return f"\\x{ord(control.group()):02x}"
