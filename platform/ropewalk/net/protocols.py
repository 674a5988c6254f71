# -*- test-case-name: tests.test_protocols -*-
"""
Text lines over TCP, for people with ``nc`` and for programs.

The edge: bytes into calls, errors into lines, no rules. A line that is too
long, not UTF-8, or wrong to whoever hears it is answered in a line, and the
conversation goes on.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ropewalk.errors import RopewalkError
from ropewalk.interfaces import IDrainable
from ropewalk.net.flow import Backlog, Patience, Turns
from ropewalk.net.segments import Lines, Talk
from ropewalk.wire.lines import LineReader, plainly

__all__ = ["Conversation", "ConversationFactory", "LineFactory", "LineProtocol"]

# What a conversation consists of, and its kind.
T = TypeVar("T", str, bytes)
C = TypeVar("C", bound="Conversation[Any]")

#: Bytes, about, that are gathered before they are written: as many as Twisted reads
#: at once (``twisted.internet.abstract.FileDescriptor.bufferSize``).
_GATHERED = 64 * 1024

# What moves a terminal's cursor, or worse: C0, DEL and C1 but for the tabulator.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@implementer(IDrainable, IHalfCloseableProtocol)
class Conversation(Talk, Protocol, Generic[T]):
    """
    One TCP connection that talks in pieces: what :class:`LineProtocol` and
    :class:`~ropewalk.net.frames.FrameProtocol` have in common. What :meth:`opened`,
    :meth:`heard` and :meth:`closed` return is waited for, if it can be awaited,
    before the next is called.

    :param clock: Where time comes from.
    :cvar longest: The longest piece that is heard, in bytes.
    :cvar idle: Seconds without a piece after which the peer is let go; 0 waits
        for ever.
    :cvar parting: Seconds a peer has to read the last pieces before it is cut
        off (as ``twisted.web.http.HTTPChannel.abortTimeout``).
    :cvar unsent: Bytes that may wait for a peer that does not read. One more,
        and it is cut off: it would not read a goodbye either.
    :cvar ahead: Pieces that may wait for the answer to an earlier one before the
        peer is made to wait as well.
    """

    longest: int
    idle = 600.0
    parting = 5.0
    unsent = 256 * 1024
    ahead = 64

    transport: Any

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.transport = None
        self._clock = clock
        self._unheard = self._new_reader()
        self._held = False
        self._ended = False  # nothing more can be heard
        self._leaving = False
        self._unwritten: list[T] = []
        self._quickly = None  # how it is written, if it is as usual
        self._hearing = False
        self._gatherable = -1  # what may be said before it is written
        self._turns = Turns(self._wrong, self._hold, clock, self.ahead)
        self._backlog = Backlog(self._cut, self.unsent, clock)
        self._patience = Patience(self._patience_ended, clock)

    # What to override.

    def opened(self) -> Any:
        """Somebody is there."""

    def heard(self, piece: T) -> Any:
        """
        Take a piece.

        Raising a :class:`~ropewalk.errors.RopewalkError` calls :meth:`complain`.
        """

    def closed(self) -> Any:
        """
        Nobody is there any more. Called once, after :meth:`opened`, and when
        nothing that was heard is still being worked on.
        """

    def ended(self) -> Any:
        """
        The peer has said its last, which was heard, and may still listen; unless
        overridden, close the connection.
        """
        self.leave()

    def busy(self) -> bool:
        """Whether the peer waits for us, so that its silence is no fault."""
        return False

    def complain(self, error: RopewalkError) -> None:
        """Say what is wrong; unless overridden, by closing the connection."""
        self.leave()

    def cut_off(self) -> None:
        """
        The connection is ended at once, since the peer does not read: more waits for
        it than may, or it waits for too long. The log says so already.
        """

    def goodbye(self, reason: str) -> T | None:
        """
        The last piece before the daemon closes the connection, if there is one.
        """
        return None

    # What to call.

    def leave(self, last: T | None = None) -> None:
        """
        Close the connection, with a last piece if there is one to say. What was
        said before is still delivered.
        """
        if last is not None:
            self._say_last(last)
        self._write_out()
        if self._leaving:
            return
        self._leaving = True
        self._turns.end()
        self._backlog.release()
        self._patience.wait(self.parting)
        self._transport.loseConnection()

    # What Twisted calls.

    def connectionMade(self) -> None:
        self._backlog.watch(self._transport)
        self._patience.wait(self.idle)
        self._turns.take(self.opened)

    def readConnectionLost(self) -> None:
        """The peer has said its last, and may still wait for the answer."""
        self._ended = True
        self._read_on()

    def writeConnectionLost(self) -> None:
        """We never stop talking without closing."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._leaving = True
        self._unheard = self._new_reader()
        self._patience.wait(0)
        self._backlog.stopProducing()
        self._turns.end(self.closed)

    # What the listener calls.

    def drain(self, reason: str) -> None:
        """See :meth:`ropewalk.interfaces.IDrainable.drain`."""
        self._turns.end(lambda: self.leave(self.goodbye(reason)))

    # What lines and frames do each in its own way.

    @abstractmethod
    def _new_reader(self) -> Any:
        """What finds pieces in what comes."""

    @abstractmethod
    def _say_last(self, piece: T) -> None:
        """Say something."""

    @abstractmethod
    def _as_bytes(self, said: list[T]) -> bytes:
        """What was said, as it is written."""

    @property
    def _transport(self) -> ITCPTransport:
        transport = self.transport
        assert transport is not None, "before connectionMade there is nobody"
        return cast(ITCPTransport, transport)

    def _read_on(self) -> None:
        """
        Hear what came, until the peer is to wait. What is said meanwhile is written
        in the end, all at once.
        """
        if self._hearing:
            return
        self._hearing, self._gatherable = True, _GATHERED
        try:
            while self._unheard.more and not self._held:
                self._hear_some()
        finally:
            self._hearing, self._gatherable = False, -1
            self._write_out()
        if self._ended and not self._held:
            self._ended = False
            self._turns.take(self.ended)

    def _hear_some(self) -> None:
        pieces, error = self._unheard.take(self._turns.room, self.longest)
        if pieces:
            self._patience.since = self._clock.seconds()
            self._turns.each(self.heard, pieces)
        if error is not None:
            self._patience.since = self._clock.seconds()
            self._turns.take(self.complain, error)
            self._ended = self._ended or self._unheard.lost

    def _wrong(self, failure: Failure) -> None:
        if isinstance(failure.value, RopewalkError):
            self.complain(failure.value)
            return
        self._log.failure("what was heard could not be answered", failure)
        self.complain(RopewalkError("something went wrong here; it is in our log"))

    def _hold(self, hold: bool) -> None:
        self._held = hold
        if not hold:
            self._read_on()
        if self._leaving:
            return
        transport: Any = self._transport
        (transport.pauseProducing if self._held else transport.resumeProducing)()

    def _patience_ended(self) -> None:
        if self._leaving:
            self._transport.abortConnection()
        elif self.busy():
            self._patience.wait(self.idle)
        else:
            reason = f"nothing was said for {self.idle:g} seconds"
            self.leave(self.goodbye(reason))

    def _cut(self) -> None:
        self._leaving = True
        self._turns.end()
        try:
            self.cut_off()
        finally:
            self._transport.abortConnection()


class LineProtocol(Lines, Conversation[str]):
    """
    One TCP connection that talks in lines of UTF-8. Override :meth:`heard`, and
    the other methods where there is something to do.

    A line ends with a line feed, and may have a carriage return before that.

    :param clock: Where time comes from.
    :cvar longest: The longest line that is heard, in bytes, without its end.
    :cvar plain: Whether control characters are shown (``\\x1b``) rather than
        sent: what one peer says should not write over another's terminal.
    """

    longest = 4096
    plain = True

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(clock)
        self._said_plainly = True  # how is said what was said
        self._quickly = plainly

    # What to override.

    def heard(self, line: str) -> Any:
        """
        Take a line, without its end.

        Raising a :class:`~ropewalk.errors.RopewalkError` tells the peer what
        is wrong, in a line.
        """

    def complain(self, error: RopewalkError) -> None:
        """Say what is wrong. Override to say it another way."""
        self.say(f"! {error}")

    def goodbye(self, reason: str) -> str | None:
        """The last line before the daemon closes the connection."""
        return f"* goodbye: {reason}"

    # What to call.

    say = Lines.say

    def _new_reader(self) -> LineReader:
        return LineReader()

    def _say_last(self, piece: str) -> None:
        self.say(piece)

    def _say_otherwise(self, plain: bool) -> None:
        self._write_out()
        self._said_plainly = plain
        self._quickly = plainly if plain else None

    def _as_bytes(self, said: list[str]) -> bytes:
        if self._said_plainly:
            said = [_shown(line) for line in said]
        return "\n".join([*said, ""]).encode("utf-8", "replace")


class ConversationFactory(ServerFactory, Generic[C]):
    """
    Makes a protocol for each connection.

    :param make: Makes it.
    :param args: What it is called with.
    """

    noisy = False

    def __init__(self, make: Callable[..., C], *args: Any, **kwargs: Any) -> None:
        self.protocol: Callable[..., Any] = make
        self._args = args
        self._kwargs = kwargs

    def buildProtocol(self, addr: IAddress | None) -> C:
        made: C = self.protocol(*self._args, **self._kwargs)
        made.factory = self
        return made


class LineFactory(ConversationFactory[LineProtocol]):
    """
    Makes a line protocol for each connection.

    :param make: Makes it: a subclass of :class:`LineProtocol`, say.
    :param args: What it is called with.
    """


def _shown(line: str) -> str:
    line = _CONTROL.sub(_hex, line.replace("\r\n", "\n"))
    return line.replace("\n", "\n    ")


def _hex(control: re.Match[str]) -> str:
    return f"\\x{ord(control.group()):02x}"
