# -*- test-case-name: tests.test_engine -*-
"""
One HTTP/1.1 connection of a site: bytes into requests, answers into bytes.

To Twisted it is an ``HTTPChannel``. It answers requests one after another, in their
order, whatever is ready first; what else has come waits, and is not even read when it
is much. What is answered while bytes are being looked at is written when they all have
been: one write for one request, or for a batch of them.

Requests that are not :class:`~ropewalk.web.requests.Request` but another subclass of
Twisted's are served as Twisted serves them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextvars import Context, copy_context
from typing import Any

from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.components import registerAdapter
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http_headers import Headers
from twisted.web.iweb import INonQueuedRequestFactory
from zope.interface import implementer

from ropewalk.interfaces import IDrainable
from ropewalk.telemetry import Work, work
from ropewalk.web.deadlines import Deadlines
from ropewalk.web.intake import SPARE
from ropewalk.web.limits import HttpLimits
from ropewalk.web.problems import Refused
from ropewalk.web.quick import ChannelBase, is_native, serve
from ropewalk.web.requests import Request
from ropewalk.web.streams import drain_streams
from ropewalk.wire.http1 import (
    Chunks,
    Fields,
    Head,
    HeadLimits,
    HeadReader,
    Inflation,
    NoRequest,
)

__all__ = ["Channel"]

#: Bytes that may wait behind the request that is being answered before no more are
#: read.
_AHEAD = 64 * 1024

_CLOSE = b"Connection: close\r\n"
_KEEP = b"Connection: keep-alive\r\n"

_NOTHING = Fields([])


class _Body:
    """
    The body that is coming.

    :ivar left: Bytes of it that are to come; ``None`` when it comes in chunks.
    :ivar began: When it did.
    :ivar size: Bytes that have come.
    :ivar held: Since when nobody takes more of it; ``None`` while somebody does.
    :ivar invited: Whether the client knows that it is wanted.
    :ivar streams: Whether the request is being answered already.
    :ivar unpacking: What comes of chunks that are coded, and was not taken yet.
    """

    __slots__ = (
        *("began", "chunks", "held", "inflation", "invited", "left", "size"),
        *("streams", "unpacking"),
    )

    def __init__(self, fields: Fields, limits: HeadLimits, began: float) -> None:
        self.left = fields.length
        self.chunks = Chunks(limits) if fields.length is None else None
        self.inflation = Inflation(fields.codings[0]) if fields.codings else None
        self.began = began
        self.size = 0
        self.held: float | None = None
        self.invited = True
        self.streams = False
        self.unpacking: Iterator[bytes] | None = None

    def unpack(self, inflation: Inflation, pieces: Sequence[bytes]) -> Iterator[bytes]:
        """What is behind the coding of some pieces, each when it is asked for."""
        for piece in pieces:
            self.size += len(piece)
            yield from inflation.pieces(piece)


@implementer(IDrainable)
class Channel(ChannelBase, http.HTTPChannel):
    """
    An HTTP/1.1 connection.

    :cvar linger: Seconds for which a client that was refused may go on sending
        what nobody looks at. A connection that is closed with something unread
        is reset, and the client may never see why (RFC 9112, section 9.6).
    :ivar work: Whose connection it is.
    :ivar unsent: Bytes of answers that may wait for the client.
    :ivar stalled: Whether it was ended since the client did not read.
    """

    linger = 2.0

    factory: Any = None
    requestFactory: Any = http.Request
    work = Work()

    _limits = HttpLimits()
    _head_limits = HeadLimits()
    _deadlines: Deadlines | None = None
    _context: Context | None = None
    ends: Any = None

    _secure: bool | None = None
    _paused = False  # no more is read
    stalled = False
    _blocked: float | None = None  # since when the client does not read
    _lingers = False
    _patience: float | None = None  # for who does not let it be closed
    _ignored = 0  # bytes of who was refused
    _foreign: Head | None = None
    _successor: Any = None
    _networkProducer: Any = None

    def __init__(self) -> None:
        """Twisted's sets what is not needed here."""

    # What others ask.

    @property  # Twisted's is an attribute
    def requests(self) -> list[Any]:  # type: ignore[override]
        """The requests that are being received or answered: one, or none."""
        return [] if self._request is None else [self._request]

    def isSecure(self) -> bool:
        """Whether it is by TLS: found out once, as it costs more than an answer."""
        if self._secure is None:
            self._secure = bool(super().isSecure())
        return self._secure

    def stop_listening(self) -> None:
        """
        Look at nothing more that comes. When the answer is written, the
        connection ends.
        """
        self._deaf = True
        self.persistent = False
        self._body = None
        self._waiting = b""

    def drain(self, reason: str = "") -> None:
        """
        Close, after the request that is being answered if there is one: that says so
        by ``Connection: close`` (RFC 9112, section 9.6).
        """
        if self.site is not None:
            self.site.drain()
        if self._successor is not None:
            drain_streams(self._successor)
            return
        self.persistent = False
        if self._request is None and b"\n" not in self._waiting:
            self.loseConnection()

    def retire(self) -> None:
        """Another protocol has the connection from now on."""
        self._forget()

    def parting(self, request: Any) -> bytes:
        """What an answer says of the connection."""
        draining = self.site is not None and self.site.draining
        if not self.persistent or draining or not self.spares():
            self.persistent = False
            return _CLOSE
        return b"" if request.clientproto == b"HTTP/1.1" else _KEEP

    def spares(self) -> bool:
        """
        Whether what is left of the body that is coming can be let go by. Who was not
        invited to send it may send it or not (RFC 9110, section 10.1.1).
        """
        body = self._body
        if body is None or not body.streams:
            return True
        return body.invited and (body.left is None or body.left <= SPARE)

    # What Twisted calls.

    def connectionMade(self) -> None:
        # A pipelined request begins where the one before it was finished, and
        # that may be in anybody's context.
        self.work = work.get()
        self._context = copy_context()
        site = self.site
        if site is not None and hasattr(site, "limits"):
            self._limits, self._head_limits = site.limits, site.head_limits
            self.unsent = site.limits.unsent
            self._deadlines = site.deadlines
            self._since = site.seconds()
            self._left = site.limits.requests
            limits = site.head_limits
            self._longest_line = limits.line
            self._most_headers = limits.headers
            self._most_header_bytes = limits.header_bytes
            self._quick = is_native and self.requestFactory is Request
            self._deadlines.watch(self)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self._networkProducer = IPushProducer(self.transport, http._NoPushProducer())
        self._networkProducer.registerProducer(self, True)

    def _data_received(self, data: bytes) -> None:
        if self._fresh and self._speaks_otherwise(data):
            return
        if self._deaf:
            self._ignore(len(data))
            return
        if self._batching or (self._request is not None and self._body is None):
            self._wait(data)
            return
        if self._waiting:
            data = self._waiting + data
            self._waiting = b""
        self._look(data)

    def _ignore(self, size: int) -> None:
        """Look at nothing of what a refused client sends, and read no more of much."""
        self._ignored += size
        if self._ignored > _AHEAD:
            self._pause()

    def _speaks_otherwise(self, data: bytes) -> bool:
        """Whether HTTP/2 was agreed upon (RFC 7301); it has what comes then."""
        self._fresh = False
        if getattr(self.transport, "negotiatedProtocol", None) != b"h2":
            return False
        self._forget()
        self._networkProducer.unregisterProducer()
        make: Any = http.H2Connection  # type: ignore[attr-defined]  # not in its names
        successor = make()
        self._successor = successor
        for name in "requestFactory", "site", "factory", "timeOut", "callLater":
            setattr(successor, name, getattr(self, name))
        self.dataReceived = successor.dataReceived  # type: ignore[method-assign]
        self.connectionLost = successor.connectionLost  # type: ignore[method-assign]
        successor.makeConnection(self.transport)
        self._networkProducer.registerProducer(successor, True)
        successor.dataReceived(data)
        return True

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # What has come behind the request that is being answered is nobody's.
        self._lost = self._closing = True
        self._forget()
        self._waiting = b""
        request, self._request, self._body = self._request, None, None
        if request is not None:
            request.connectionLost(reason)

    def loseConnection(self) -> None:
        if self._deaf and not self._lingers and not self._closing:
            self._lingers, self._since = True, self._now()
            if self._deadlines is not None:
                self._flush()
                return
        self._close()

    def abortConnection(self) -> None:
        """Reset the connection: what has not been read will not be."""
        self._discard()
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        self._waitingForTransport = True
        if self._blocked is None:
            self._blocked = self._now()
        if self._requestProducer is not None:
            self._requestProducer.pauseProducing()
        elif self._request is None:
            self._pause()

    def resumeProducing(self) -> None:
        self._waitingForTransport = False
        self._blocked = None
        if self._requestProducer is not None:
            self._requestProducer.resumeProducing()
        if self._request is None and not self._batching:
            self._go_on()
        elif self._body is not None and self._body.streams and self._listens():
            self._resume()

    def stopProducing(self) -> None:
        if self._requestProducer is not None:
            self._requestProducer.stopProducing()

    def timeoutConnection(self) -> None:
        self.loseConnection()

    # What is read.

    def _look(self, data: bytes, at: int = 0) -> None:
        """Read requests, and have them answered, as far as that can be done now."""
        now = self._now()
        try:
            at = self._read_on(data, at, now)
            while self._waiting and self._listens():
                # A handler has let it in meanwhile: it came behind what is left.
                data, self._waiting = data[at:] + self._waiting, b""
                at = self._read_on(data, 0, now)
            if at < len(data) and not self._deaf and not self._closing:
                later, self._waiting = self._waiting, data[at:]
                self._wait(later)
        finally:
            # Last: who is written to may let something in.
            self._flush()
        if self._listens():
            self._resume()
        if self._request is None and not self._closing:
            self._rest(now)

    def _look_again(self) -> None:
        """Look at what a handler has let in."""
        data, self._waiting = self._waiting, b""
        self._look(data)

    def _listens(self) -> bool:
        """Whether more can be read now, of a body or of the next request."""
        body = self._body
        if body is not None and body.streams and not (self._deaf or self._closing):
            return body.held is None
        if self._deaf or self._closing or self._waitingForTransport:
            return False
        return self._request is None or body is not None

    def _read_on(self, data: bytes, at: int, now: float) -> int:
        """
        Read on from there.

        :return: up to where.
        """
        end = len(data)
        self._batching = True
        quick = self._quick and self.site.is_quick
        try:
            while not self._deaf and not self._closing:
                body = self._body
                if body is not None and body.unpacking is not None:
                    if body.held is not None:
                        break
                    self._unpack(body, body.unpacking)
                elif at >= end:
                    break
                elif body is not None:
                    before, at = at, self._read_body(data, at)
                    if at == before:
                        break
                elif self._request is not None or self._waitingForTransport:
                    break
                else:
                    before = at
                    if quick and self._reader is None:
                        at = serve(self, data, at, now)
                    if at == before:
                        at = self._read_head(data, at, now)
                        if at == before:
                            break
        except NoRequest as error:
            self._refuse(error)
        finally:
            self._batching = False
        return at

    def _read_head(self, data: bytes, at: int, now: float) -> int:
        """Read a head that is not among the usual ones, or not complete."""
        reader = self._reader or HeadReader(self._head_limits)
        head = reader.read(data, at)
        # Between requests, who has no use for it keeps none.
        self._reader = None if head is not None and is_native else reader
        if head is None:
            return at
        self._left -= 1
        if not self._left:
            self.persistent = False
        self._begin(head, data, now)
        return head.end

    def _rest(self, now: float) -> None:
        """Wait for the next request, or for the rest of its head."""
        if self._waiting and not self._waitingForTransport:
            if not self._waits_for_head:
                self._waits_for_head, self._since = True, now
        elif self._served:
            self._waits_for_head, self._since = False, now

    def _wait(self, data: bytes) -> None:
        """Keep what has come for later."""
        self._waiting = self._waiting + data if self._waiting else data
        busy = self._request is not None or self._waitingForTransport
        if busy and len(self._waiting) > _AHEAD:
            self._pause()

    def _begin(self, head: Head, data: bytes, now: float) -> None:
        fields, self._waits_for_head = head.fields, False
        if self.persistent and (
            fields.keeps is False or (not head.minor and not fields.keeps)
        ):
            self.persistent = False
        factory = self.requestFactory
        if isinstance(factory, type) and issubclass(factory, Request):
            request = factory.arrive(self, head, now)
            self._request = request
            if fields.length == 0:
                if self.site.proxies is not None:
                    request.expect(0)
                request.process()
                return
            request.expect(fields.length)
        else:
            self._begin_foreign(head)
        if self._request is not None and not self._deaf:
            self._expect_body(head, data, now)

    def _begin_foreign(self, head: Head) -> None:
        """Make a request as Twisted makes them."""
        factory, fields = self.requestFactory, head.fields
        if INonQueuedRequestFactory.providedBy(factory):
            request = factory(self)
        else:
            request = factory(self, 0)
        self._request = request
        for name, value in fields.pairs:
            request.requestHeaders.addRawHeader(name, value)
        request.parseCookies()
        request.gotLength(fields.length)
        self._foreign = head

    def _expect_body(self, head: Head, data: bytes, now: float) -> None:
        fields = head.fields
        if fields.length == 0:
            self._received()
            return
        body = self._body = _Body(fields, self._head_limits, now)
        waits = fields.expects and head.minor and len(data) == head.end
        request, length = self._request, fields.length
        here = length is not None and len(data) - head.end >= length
        if here:
            return  # it need not be waited for, whoever takes it
        if isinstance(request, Request) and self.site.streams_to(request):
            body.invited, body.streams = not waits, True
            request.admit(fields.length, self._hold, self._invite)
        elif waits:
            self._send100Continue()

    def _invite(self) -> None:
        """Somebody wants the body."""
        body = self._body
        if body is not None and not body.invited:
            body.invited, body.began = True, self._now()
            self._send100Continue()

    def _hold(self, hold: bool) -> None:
        """Let the client wait with the body, or go on."""
        body = self._body
        if body is None or hold == (body.held is not None):
            return
        if hold:
            body.held = self._now()
            self._pause()
            return
        assert body.held is not None
        body.began += self._now() - body.held
        body.held = None
        if self._batching:
            return
        if body.unpacking is None:
            self._resume()
        else:
            # Whoever has read is in a context of its own, or still in ours.
            self._context.copy().run(self._look_again)  # type: ignore[union-attr]

    def _read_body(self, data: bytes, at: int) -> int:
        body, request = self._body, self._request
        assert body is not None
        if body.chunks is None:
            assert body.left is not None
            piece = data[at : at + body.left]
            body.left -= len(piece)
            body.size += len(piece)
            at += len(piece)
            whole = not body.left and body.size == len(piece)
            if whole and not body.streams and self._takes_whole(request):
                request.body = piece  # it need not be copied
            else:
                request.handleContentChunk(piece)
            if not body.left and not self._deaf:
                self._received()
            return at
        return self._read_chunks(body, data, at)

    def _takes_whole(self, request: Any) -> bool:
        """Whether a request takes its body in one piece."""
        return isinstance(request, Request) and not hasattr(self.site, "getContentFile")

    def _read_chunks(self, body: _Body, data: bytes, at: int) -> int:
        chunks, request = body.chunks, self._request
        assert chunks is not None
        pieces: list[bytes] = []
        at = chunks.read(data, at, pieces)
        if body.inflation is not None:
            body.unpacking = body.unpack(body.inflation, pieces)
            return at
        if chunks.left:
            self._check_chunk(body, sum(map(len, pieces)) + chunks.left)
        for piece in pieces:
            body.size += len(piece)
            if not self._deaf:
                request.handleContentChunk(piece)
        self._end_chunks(body)
        return at

    def _unpack(self, body: _Body, unpacking: Iterator[bytes]) -> None:
        """Undo the coding of what has come, as far as somebody takes it."""
        for piece in unpacking:
            self._request.handleContentChunk(piece)
            if self._deaf or body.held is not None:
                return
        body.unpacking = None
        self._end_chunks(body)

    def _end_chunks(self, body: _Body) -> None:
        """If that was the last chunk, the body is whole."""
        chunks = body.chunks
        assert chunks is not None
        if not chunks.done or self._deaf:
            return
        if body.inflation is not None:
            body.inflation.end()
        if chunks.trailers:
            self._request.trailers = chunks.trailers
        self._received()

    def _check_chunk(self, body: _Body, size: int) -> None:
        """Refuse a chunk that says that it will be too much."""
        request = self._request
        if isinstance(request, Request) and body.size + size > request.longest_body:
            request.refuse_body()

    def _received(self) -> None:
        """All of a request is here."""
        self._body = None
        request = self._request
        if isinstance(request, Request) and request.direct:
            request.received()
            return
        head, self._foreign = self._foreign, None
        assert head is not None
        version = b"HTTP/1.%d" % head.minor
        uri = head.path if head.query is None else head.path + head.query
        request.requestReceived(head.method, uri, version)

    # What is written.

    def writeSequence(self, iovec: Any) -> None:
        self.write(b"".join(iovec))

    def writeHeaders(self, version: Any, code: Any, reason: Any, headers: Any) -> None:
        if not isinstance(headers, Headers):
            headers = Headers(_grouped(headers))
        lines = [
            b"%b: %b\r\n" % (name, value)
            for name, values in headers.getAllRawHeaders()
            for value in values
        ]
        if not self.persistent and not headers.hasHeader(b"connection"):
            lines.append(_CLOSE)
        self.write(
            b"".join((b"%b %b %b\r\n" % (version, code, reason), *lines, b"\r\n"))
        )

    def requestDone(self, request: Any) -> None:
        if request != self._request:  # which may be a proxy for it
            raise TypeError("another request is being answered")
        self._request = None
        self._served += 1
        if not self.persistent:
            self.loseConnection()
        elif not self._batching:
            self._go_on()

    def _go_on(self) -> None:
        """Look at what has come meanwhile, and read again."""
        if self._lost or self._closing:
            return
        self._resume()
        data, self._waiting = self._waiting, b""
        if data:
            # Whoever has finished the request before may be in anybody's context.
            self._context.run(self._look, data)  # type: ignore[union-attr]
        else:
            self._rest(self._now())

    def _send100Continue(self) -> None:
        self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _respondToBadRequestAndDisconnect(self) -> None:
        self._refuse(NoRequest("this is not a request as HTTP/1.1 has it"))

    def _refuse(self, error: NoRequest) -> None:
        if self._deaf:
            return
        request = self._request
        if request is None or not isinstance(request, Request):
            site = self.site
            if site is None or not hasattr(site, "limits"):
                self.stop_listening()
                status = http.RESPONSES.get(error.status, b"Error")
                self.write(b"HTTP/1.1 %d %b\r\n\r\n" % (error.status, status))
                self._flush()
                self._close()
                return
            request = self._request = self._nobody()
        request.refuse(Refused(error.status, error.detail))

    def _nobody(self) -> Request:
        """A request of whose head nothing is known."""
        head = Head(b"-", b"-", None, 1, _NOTHING, 0)
        return Request.arrive(self, head, self._now())

    # How it ends.

    def check(self, now: float) -> None:
        """Do what is due."""
        limits = self._limits
        if self._lingers:
            if now - self._since >= self.linger:
                self._close()
        elif self._closing:
            patience = limits.stall if self._patience is None else self._patience
            if now - self._since >= patience:
                self.abortConnection()
        elif self._blocked is not None:
            if now - self._blocked >= limits.stall:
                self.stalled = True
                self.abortConnection()
        elif self._body is not None:
            self._check_body(self._body, now)
        elif self._request is None:
            waits = limits.head_time if self._waits_for_head else self.timeOut
            if waits is not None and now - self._since >= waits:
                self._too_late()

    def _check_body(self, body: _Body, now: float) -> None:
        limits = self._limits
        if not limits.body_floor or body.held is not None or not body.invited:
            return
        allowed = limits.body_patience + body.size / limits.body_floor
        if now - body.began >= allowed:
            self._refuse(NoRequest("the body comes too slowly", 408))

    def _too_late(self) -> None:
        """Let a client go that is silent, and tell it if it has begun."""
        if self._waiting:
            self._refuse(NoRequest("the headers come too slowly", 408))
        else:
            self.persistent = False
            self._close()

    def _close(self) -> None:
        self._flush()
        if self._lingers and self._paused and not self._waitingForTransport:
            # It has had its answer and is not read: over TLS its goodbye, without
            # which the connection stays, would not be heard.
            self._patience = self.linger
        self._lingers = False
        if not self._closing:
            self._closing, self._since = True, self._now()
        self._networkProducer.unregisterProducer()
        self.transport.loseConnection()

    def _forget(self) -> None:
        if self._deadlines is not None:
            self._deadlines.forget(self)

    def _now(self) -> float:
        return 0.0 if self._deadlines is None else self.site.seconds()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._networkProducer.pauseProducing()

    def _resume(self) -> None:
        streams = self._body is not None and self._body.streams
        if self._paused and (streams or not self._waitingForTransport):
            self._paused = False
            self._networkProducer.resumeProducing()


def _grouped(headers: Any) -> dict[bytes, list[bytes]]:
    grouped: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        grouped.setdefault(name, []).append(value)
    return grouped


@implementer(IDrainable)
class _DrainableHTTP:
    """
    How an HTTP connection of somebody else's site says goodbye.
    """

    def __init__(self, protocol: Any) -> None:
        self._channel = protocol._channel

    def drain(self, reason: str) -> None:
        channel = self._channel
        if isinstance(channel, Channel):
            channel.drain(reason)
        elif isinstance(channel, http.HTTPChannel):
            channel.persistent = False
            if not channel.requests:
                channel.loseConnection()
        else:
            site = getattr(channel, "site", None)
            if site is not None:
                site.drain()
            drain_streams(channel)


# The protocol that Twisted puts before its HTTP/1.1 and HTTP/2 channels has no
# public name.
registerAdapter(_DrainableHTTP, http._GenericHTTPChannelProtocol, IDrainable)
