# -*- test-case-name: tests.test_pieces -*-
"""
Answers that come piece by piece, no faster than the client takes them.

The pieces come from an iterator or an asynchronous iterator. What is there at once
is sent together; what comes later is sent when it comes. A client that does not read
stops the iterator, one that leaves closes it, and one that is never satisfied gets
its turn like everybody else.

A plain generator may wait, as under ``@inlineCallbacks``: what can be waited for is
waited for, and its result is sent back in; everything else that it yields is a
piece. An iterator into which nothing can be sent, ``map(fetch, urls)`` or a generator
expression, is waited for in the same way, and the results are the pieces.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from types import coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from ropewalk.awaiting import awaitable, deferred, inlineCallbacks
from ropewalk.errors import RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.schema import write_json

__all__ = [
    "Array",
    "Events",
    "FilePieces",
    "Lines",
    "NotWritable",
    "Text",
    "close",
    "stream",
]

T = TypeVar("T")

#: How much is read of a file, and sent, in one turn of the reactor: what
#: Twisted's transports hold before they ask to pause.
CHUNK = 64 * 1024

#: How many pieces at most are taken in one turn.
MOST = 100

#: For how many seconds at most they are taken in one turn.
LONGEST = 0.01

_LINE_BREAKS = bytes.maketrans(b"\r\n", b"  ")

_END: Any = object()


class NotWritable(RopewalkError):
    """
    A handler returned, or yielded, what nobody knows how to write.

    :ivar kind: Of what type it is.
    :ivar problem: Why it cannot be written.
    """

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(kind, problem)
        self.kind, self.problem = kind, problem

    def __str__(self) -> str:
        return f"cannot answer with {self.kind}: {self.problem}"


class Text:
    """
    Pieces as they are: bytes, and text in UTF-8.

    :param json: What writes values as JSON. A line break between the parts of a value
        becomes a space: inside of a string JSON has none (RFC 8259, section 7).
    :cvar media_type: What the pieces become together; ``None`` if it says nothing.
    :cvar prompt: Whether the client waits for the beginning even while there is no
        piece yet.
    """

    media_type: str | None = None
    prompt = False

    def __init__(self, json: Callable[[Any], bytes] = write_json) -> None:
        self._json = json

    def write(self, piece: Any) -> bytes:
        """
        :raise NotWritable: When it is neither text nor bytes.
        """
        if isinstance(piece, bytes):
            return piece
        if isinstance(piece, str):
            return piece.encode("utf-8")
        if isinstance(piece, (bytearray, memoryview)):
            return bytes(piece)
        return self.write_value(piece)

    def write_value(self, value: Any) -> bytes:
        """What is neither text nor bytes."""
        kind = type(value).__qualname__
        raise NotWritable(kind, "a piece of this stream is bytes or text")

    def write_json(self, value: Any) -> bytes:
        """
        A value on one line.

        :raise NotWritable: When nobody knows how to write it.
        """
        try:
            written = self._json(value)
        except (TypeError, ValueError, NotImplementedError, RecursionError) as error:
            raise NotWritable(type(value).__qualname__, str(error)) from error
        if self._json is write_json:
            return written
        return written.translate(_LINE_BREAKS)

    def end(self) -> bytes:
        """What comes behind the last piece."""
        return b""


class Lines(Text):
    """
    One value of JSON a line (``application/x-ndjson``).
    """

    media_type = "application/x-ndjson"

    def write_value(self, value: Any) -> bytes:
        return self.write_json(value) + b"\n"


class Events(Text):
    """
    One event a value (``text/event-stream``; WHATWG HTML, section 9.2), its data
    JSON. Bytes and text are sent as they are: comments, or events with more to them.
    """

    media_type = "text/event-stream"
    prompt = True

    def write_value(self, value: Any) -> bytes:
        return b"data: " + self.write_json(value) + b"\n\n"


class Array(Text):
    """
    One array of JSON, with the values in it.
    """

    media_type = "application/json"

    def __init__(self, json: Callable[[Any], bytes] = write_json) -> None:
        super().__init__(json)
        self._before = b"["
        self._is_written = False

    def write(self, piece: Any) -> bytes:
        # Somebody may have written the JSON, and have it sent.
        if isinstance(piece, (bytes, str)) and piece:
            self._is_written = True
        return super().write(piece)

    def write_value(self, value: Any) -> bytes:
        before, self._before = self._before, b","
        return before + self.write_json(value)

    def end(self) -> bytes:
        if self._before == b"[":
            return b"" if self._is_written else b"[]"
        return b"]"


def stream(
    request: Any,
    pieces: Any,
    clock: IReactorTime,
    choose: Callable[[Any], Text],
    *,
    prompt: bool = False,
) -> Deferred[bytes]:
    """
    Write pieces to a request as its client takes them. The request is not finished.

    Nothing is sent before the first piece is there, and what comes together with it
    goes out together: as long as ``request.startedWriting`` is false, another answer
    can be given. An empty piece sends what there is, if only the headers.

    Whatever happens, the iterator is closed, once: ``finally`` blocks run.

    :param pieces: An iterator, or an asynchronous iterable.
    :param clock: The reactor; a test passes a ``Clock``.
    :param choose: Called once, before anything is sent, with the first piece that
        is not empty (``None`` when there is none): says how pieces are written, and
        sets the headers that tell it.
    :param prompt: Whether to send the headers as soon as the first piece has to be
        waited for.
    :return: fires with what remains to be written when there are no more pieces;
        fails with the error of the pieces, or with ``CancelledError`` when the
        client left. Cancelling it ends the stream.
    """
    return _Flow(request, clock, choose, prompt).begin(pieces)


class FilePieces(Iterator[Any]):
    """
    An open file, piece by piece.

    :param parts: What to take of it: bytes to be put in between, and places, each
        an offset and a length; ``None`` for all that is left to be read.
    """

    def __init__(
        self, file: Any, parts: Iterable[bytes | tuple[int, int]] | None = None
    ) -> None:
        self._file = file
        self._pieces = _read(file) if parts is None else _read_parts(file, parts)

    def __next__(self) -> Any:
        return next(self._pieces)

    def close(self) -> None:
        self._pieces.close()
        self._file.close()


def _read(file: Any) -> Generator[Any, None, None]:
    while piece := file.read(CHUNK):
        yield piece


def _read_parts(
    file: Any, parts: Iterable[bytes | tuple[int, int]]
) -> Generator[bytes, None, None]:
    for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        offset, left = part
        file.seek(offset)
        while left:
            piece = file.read(min(CHUNK, left))
            if not piece:
                raise EOFError(f"{file.name} has become shorter while it was sent")
            left -= len(piece)
            yield piece


def close(pieces: Any) -> None:
    """
    Close an iterator, or an open file. An asynchronous generator that was not begun
    has nothing to close.
    """
    if (closes := getattr(pieces, "close", None)) is not None:
        closes()


@implementer(IPushProducer)
class _Flow:
    """
    A stream under way.

    :ivar _held: What goes out with the next write.
    :ivar _size: How much was taken in this turn, in bytes.
    :ivar _count: How many pieces were.
    :ivar _began: When the turn began, by the clock.
    :ivar _sent: How much has gone out, in bytes.
    :ivar _due: How much was promised by ``Content-Length``.
    :ivar _producing: Whether the answer has begun.
    :ivar _paused: Whether the client has enough for now.
    :ivar _gone: Whether the client left.
    :ivar _over: Whether there is nothing more to come.
    :ivar _running: Whether the iterator, or what drives it, runs just now: who runs
        cannot be cancelled.
    :ivar _waited: Whether a piece was waited for in this turn.
    :ivar _waiting: Fires when the next turn begins.
    """

    _size: int
    _count: int
    _began: float

    def __init__(
        self,
        request: Any,
        clock: IReactorTime,
        choose: Callable[[Any], Text],
        prompt: bool,
    ) -> None:
        self._request = request
        self._clock = clock
        self._choose = choose
        self._prompt = prompt
        self._writer: Text | None = None
        self._held: list[bytes] = []
        self._sent = 0
        self._due: int | None = None
        self._producing = self._paused = self._gone = self._over = False
        self._waiting: Deferred[None] | None = None
        self._call: IDelayedCall | None = None
        self._driven: Deferred[bytes] | None = None
        self._begin_turn()

    def begin(self, pieces: Any) -> Deferred[bytes]:
        self._gone = getattr(self._request, "_disconnected", False)
        if not self._gone:
            self._request.notifyFinish().addErrback(self._leave)
        if isinstance(pieces, AsyncIterable):
            driven = deferred(self._drain_async(pieces))
        else:
            driven = self._drain(pieces)
        self._driven = driven.addBoth(self._end)
        return driven

    # What the transport calls.

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._go_on()

    def stopProducing(self) -> None:
        """The connection is lost; the request will soon hear of it, and tell us."""
        self._paused = True

    # How pieces are taken.

    @inlineCallbacks
    def _drain(self, pieces: Iterator[Any]) -> Steps[bytes]:
        takes_results = isinstance(pieces, Generator) and not _is_expression(pieces)
        pull = _resume if takes_results else _next
        try:
            piece = _END if self._gone else next(pieces, _END)
            while piece is not _END:
                result, error = None, None
                if not awaitable(piece):
                    self._take(piece)
                else:
                    waited = self._wait_for(piece)
                    try:
                        result = yield waited
                    except Exception as raised:
                        error = raised
                    else:
                        if not takes_results:
                            self._take(result)
                # One that is to hear that its client left hears it now.
                if self._is_enough() and not (self._gone and error is not None):
                    yield self._turn()
                piece = pull(pieces, result, error)
        finally:
            close(pieces)
        return self._rest()

    async def _drain_async(self, pieces: AsyncIterable[Any]) -> bytes:
        # All of it in one coroutine: what is in the generator may rely on being in
        # one task, as asyncio's time-outs and groups of tasks do.
        iterator = aiter(pieces)
        try:
            while not self._gone:
                try:
                    piece = await self._pull(anext(iterator))
                except StopAsyncIteration:
                    break
                if self._waited:
                    self._begin_turn()
                self._take(piece)
                if self._is_enough():
                    await self._turn()
        finally:
            if (closes := getattr(iterator, "aclose", None)) is not None:
                await closes()
        return self._rest()

    def _wait_for(self, thing: Any) -> Deferred[Any]:
        self._count += 1
        waited = deferred(thing)
        if not waited.called:
            self._flush_before_waiting()
            self._running = False
            waited.addBoth(self._begin_turn)
        return waited

    @coroutine
    def _pull(self, pull: Awaitable[T]) -> Generator[Any, Any, T]:
        """
        Await a piece, and send what there is if it is not there at once.
        """
        steps: Any = pull.__await__()
        try:
            thing = next(steps)
            self._waited = True
            self._flush_before_waiting()
            while True:
                self._running = False
                try:
                    yield thing
                except BaseException as error:
                    self._running = True
                    thing = steps.throw(error)
                else:
                    self._running = True
                    thing = next(steps)
        except StopIteration as end:
            piece: T = end.value
            return piece

    def _take(self, piece: Any) -> None:
        self._count += 1
        if self._writer is None and not (isinstance(piece, (bytes, str)) and not piece):
            self._writer = self._choose(piece)
        data = b"" if self._writer is None else self._writer.write(piece)
        if data:
            self._held.append(data)
            self._size += len(data)
        else:
            self._flush()

    # When it is sent.

    def _begin_turn(self, result: Any = None) -> Any:
        self._running, self._waited = True, False
        self._size = self._count = 0
        self._began = self._clock.seconds()
        return result

    def _is_enough(self) -> bool:
        """Whether enough has been taken in this turn."""
        return (
            self._paused
            or self._gone
            or self._size >= CHUNK
            or self._count >= MOST
            or self._clock.seconds() - self._began >= LONGEST
        )

    def _turn(self) -> Deferred[None]:
        """
        Let others have theirs, and the client read.

        :return: fires when it is ours again.
        """
        self._flush()
        if self._gone:
            return fail(CancelledError())
        self._running = False
        self._waiting = Deferred(self._forget_turn)
        if not self._paused:
            self._call = self._clock.callLater(0, self._go_on)
        return self._waiting

    def _go_on(self, result: Any = None) -> Any:
        if self._waiting is not None and not self._paused:
            waiting = self._waiting
            self._forget_turn()
            if (blocked := _congestion(self._request.channel)) is None:
                self._begin_turn()
                waiting.callback(None)
            else:
                self._waiting = waiting
                if isinstance(blocked, Deferred):
                    blocked.addCallback(self._go_on)
                else:
                    self._call = self._clock.callLater(0, self._go_on)
        return result

    def _forget_turn(self, _: object = None) -> None:
        self._waiting = None
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def _flush_before_waiting(self) -> None:
        if self._held or (self._prompt and not self._producing):
            self._flush()

    def _flush(self) -> None:
        """
        Send what is there; with it, if it is the first, the headers.
        """
        if self._gone:
            return
        if not self._producing:
            if self._writer is None:
                self._writer = self._choose(None)
            length = self._request.responseHeaders.getRawHeaders(b"content-length")
            self._due = int(length[-1]) if length else None
            self._producing = True
            self._request.registerProducer(self, True)
        data = b"".join(self._held)
        self._held.clear()
        self._sent += len(data)
        if self._due is not None and self._sent > self._due:
            raise NotWritable("a stream", f"it is longer than {self._due} bytes")
        self._request.write(data)

    # How it ends.

    def _rest(self) -> bytes:
        if self._gone:
            raise CancelledError
        if self._writer is None:
            self._writer = self._choose(None)
        rest = b"".join([*self._held, self._writer.end()])
        self._held.clear()
        if self._producing and self._due not in (None, self._sent + len(rest)):
            sent = self._sent + len(rest)
            raise NotWritable("a stream", f"it has {sent} bytes, not {self._due}")
        return rest

    def _leave(self, _: object) -> None:
        self._gone = True
        if self._running:
            self._clock.callLater(0, self._cancel)
        else:
            self._cancel()

    def _cancel(self) -> None:
        if self._driven is not None and not self._over:
            self._driven.cancel()

    def _end(self, result: bytes | Failure) -> bytes | Failure:
        self._over = True
        if self._producing and not self._gone:
            if self._held and isinstance(result, Failure):
                self._flush()
            self._request.unregisterProducer()
        return result


def _is_expression(pieces: Any) -> bool:
    """
    Whether a generator is an expression: what is sent into one is lost.
    """
    code = getattr(pieces, "gi_code", None)
    return code is not None and code.co_name == "<genexpr>"


def _resume(pieces: Any, result: Any, error: Exception | None) -> Any:
    try:
        return pieces.send(result) if error is None else pieces.throw(error)
    except StopIteration:
        return _END


def _next(pieces: Any, _: Any, error: Exception | None) -> Any:
    if error is not None:
        raise error
    return next(pieces, _END)


def _congestion(channel: Any) -> Deferred[Any] | bool | None:
    """
    Whether a stream of HTTP/2 has more to send than it should: Twisted pauses its
    producers only when the client's window is full, and that may be large.

    :return: ``None`` if not; what will fire when the connection can send again, if
        it cannot; otherwise ``True``.
    """
    connection = getattr(channel, "_conn", None)
    if connection is None:
        return None
    queue = connection._outboundStreamQueues.get(channel.streamID, ())
    if sum(len(each) for each in queue if isinstance(each, bytes)) < CHUNK:
        return None
    blocked: Deferred[Any] | None = connection._consumerBlocked
    return True if blocked is None else blocked
