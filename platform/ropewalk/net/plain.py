# -*- test-case-name: tests.test_segments -*-
"""
The twin in Python of ``_segments.c``: the same names, with the same meaning. Which of
them is used, :mod:`ropewalk.net.segments` chooses.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from ropewalk import awaiting
from ropewalk.telemetry import work

__all__ = ["Ends", "Gathering", "Lines", "Named", "Talk", "Turn"]

#: Bytes, about, that are gathered before they are sent, and before they are written: as
#: many as Twisted reads at once (``abstract.FileDescriptor.bufferSize``).
_FULL = _GATHERED = 64 * 1024


class Gathering:
    """
    Those who wait to send.

    :ivar waiting: A list of them.
    :ivar held: Whether somebody is going to have them sent anyway.
    """

    __slots__ = ("held", "waiting")

    waiting: list[Any]
    held: bool


class Ends:
    """
    The two ends of a connection: what the loop gives to the protocol, and the protocol
    to the loop. Who builds upon it has ``settle``, for what else is to be done after a
    segment; ``blame``, for an error; and ``_send``.

    :ivar protocol: Who hears what comes.
    """

    __slots__ = (
        *("_extra", "_hears", "_mute", "_outbox", "_size", "_transport", "_unsent"),
        "protocol",
    )

    _transport: Any
    _outbox: Any
    # What was written and the loop does not have yet, and how much that is, once there
    # is more than one piece.
    _unsent: Any
    _size: int
    # Whether what is written is dropped.
    _mute: bool
    # Whether the protocol is being told what came in: what it writes meanwhile is sent
    # when it is done.
    _hears: bool
    # Whether something waits for what was written to be sent.
    _extra: bool
    protocol: Any

    def data_received(self, data: bytes) -> None:
        """What the loop calls."""
        outbox = self._outbox
        outbox.held = self._hears = True
        try:
            self.protocol.dataReceived(data)
        except BaseException as error:
            self.blame(error)
        self._hears = outbox.held = False
        if self._extra:
            self.settle()
        elif self._unsent is not None:
            unsent, self._unsent = self._unsent, None
            self._transport.write(b"".join(unsent) if type(unsent) is list else unsent)
        if outbox.waiting:
            outbox.send()

    def write(self, data: bytes) -> None:
        """What the protocol calls."""
        if type(data) is not bytes and not isinstance(data, bytes):
            raise TypeError("Data must be bytes")
        if self._mute:
            return
        unsent = self._unsent
        if unsent is None:
            self._unsent = data
            if not self._hears:
                self._outbox.add(self)
            return
        if type(unsent) is list:
            unsent.append(data)
            self._size += len(data)
        else:
            self._unsent = [unsent, data]
            self._size = len(unsent) + len(data)
        if self._size > _FULL:
            self._send()

    def blame(self, error: BaseException) -> None:
        """The protocol raised it."""
        raise NotImplementedError

    def settle(self) -> None:
        """Send what was written, and do what waits for that."""
        raise NotImplementedError

    def _send(self) -> None:
        raise NotImplementedError


class Named:
    """
    A protocol between a transport and another protocol, which does what it does under
    a name. Who builds upon it has ``blame``, for an error.

    :ivar work: Under which: whose work it does.
    :ivar wrappedProtocol: The other protocol.
    """

    work: Any = None
    wrappedProtocol: Any = None
    transport: Any = None

    _context: Context | None = None
    _known: Any = None
    _inside = False

    def dataReceived(self, data: bytes) -> None:
        """Hand it on."""
        if self._inside:
            self._hear_again(data)
            return
        context = self._context
        if context is None or self._known is not self.work:
            # To enter it costs less than to say each time whose work it is.
            context = self._context = copy_context()
            context.run(work.set, self.work)
            self._known = self.work
        self._inside = True
        try:
            context.run(self._hand_on, data)
        finally:
            self._inside = False

    def _hand_on(self, data: bytes) -> None:
        try:
            self.wrappedProtocol.dataReceived(data)
        except Exception as error:
            self.blame(error)

    def _hear_again(self, data: bytes) -> None:
        """Hand it on from within what it does, which may be under another name."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Hand it back."""
        self.transport.write(data)

    def blame(self, error: BaseException) -> None:
        """The other protocol raised it."""
        raise NotImplementedError


class Turn:
    """
    Whose turn it is: what :class:`ropewalk.net.flow.Turns` is in the middle of.
    """

    __slots__ = ("_busy", "_calling", "_over", "_waiting")

    _waiting: deque[Any]
    _busy: bool
    _over: bool
    _calling: bool

    def take_one(self, call: Callable[[Any], Any], thing: Any) -> None:
        """
        Call it with something, now, or after those that wait: as :meth:`take`, and
        cheaper where nothing is to be waited for.
        """
        if self._busy or self._over or self._waiting:
            self.take(call, thing)
            return
        self._calling = self._busy = True
        context = copy_context()
        try:
            result = context.run(call, thing)
        except BaseException as error:
            self._raised(error, context)
            self._busy = False
        else:
            if result is not None and awaiting.awaitable(result):
                self._wait_for(result, context)
            else:
                self._busy = False
        self._calling = False
        if self._waiting:
            self._go_on()

    def take(self, call: Callable[..., Any], *args: Any) -> None:
        """Call it now, or after those that wait."""
        raise NotImplementedError

    def _go_on(self) -> None:
        raise NotImplementedError

    def _raised(self, error: BaseException, context: Context) -> None:
        raise NotImplementedError

    def _wait_for(self, result: Any, context: Context) -> None:
        raise NotImplementedError


class Talk:
    """
    What a conversation is in the middle of: see
    :class:`ropewalk.net.protocols.Conversation`, which builds upon it.
    """

    longest: int

    transport: Any = None
    _unheard: Any
    _unwritten: list[Any]
    _turns: Any
    _backlog: Any
    _patience: Any
    _clock: Any
    _quickly: Callable[[list[Any]], bytes | None] | None
    _gatherable: int
    _held: bool
    _hearing: bool
    _ended: bool
    _leaving: bool

    def heard(self, piece: Any) -> Any:
        """Take a piece."""
        raise NotImplementedError

    def dataReceived(self, data: bytes) -> None:
        """Hear what came."""
        if self._leaving:
            return
        lone = None
        if not self._held and not self._hearing:
            lone = self._unheard.lone(data, self.longest)
        if lone is None:
            self._unheard.feed(data)
            self._read_on()
            return
        # It is one piece, as whatever people send: what `_read_on` does, and cheaper.
        self._patience.since = self._clock.seconds()
        self._hearing, self._gatherable = True, _GATHERED
        try:
            self._turns.take_one(self.heard, lone)
        finally:
            self._hearing = False
        if self._ended or self._unheard.more:
            self._read_on()
            return
        self._gatherable = -1
        self._write_out()

    def _read_on(self) -> None:
        raise NotImplementedError

    def _as_bytes(self, said: list[Any]) -> bytes:
        raise NotImplementedError

    def _write_out(self) -> None:
        if not self._unwritten:
            return
        data = self._quickly and self._quickly(self._unwritten)
        if data is None:
            data = self._as_bytes(self._unwritten)
        self._unwritten.clear()
        self._gatherable = _GATHERED if self._hearing else -1
        if not self._backlog.full or self._backlog.room(len(data)):
            self.transport.write(data)


class Lines(Talk):
    """
    What a conversation in lines is in the middle of: see
    :class:`ropewalk.net.protocols.LineProtocol`, which builds upon it.
    """

    plain: bool

    _said_plainly: bool

    def say(self, line: str) -> None:
        """
        Send a line. What has line feeds in it arrives as several lines, of which
        all but the first are indented: what one peer says cannot look to another
        like the words of a third. To a peer that is gone or going, nothing is
        sent.

        What is said while lines are heard is written when all of them are that have
        come at once.
        """
        if self._leaving:
            return
        if not isinstance(line, str):
            raise TypeError(f"a line is a str, not {type(line).__name__}")
        if self.plain is not self._said_plainly:
            self._say_otherwise(self.plain)
        self._unwritten.append(line)
        self._gatherable -= len(line)
        if self._gatherable < 0:
            self._write_out()

    def _say_otherwise(self, plain: bool) -> None:
        raise NotImplementedError
