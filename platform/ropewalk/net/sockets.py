# -*- test-case-name: tests.test_sockets -*-
"""
WebSockets: Autobahn's protocols, with the limits on that Autobahn leaves off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from attrs import frozen
from autobahn.twisted.websocket import (
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
)
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.components import registerAdapter
from twisted.python.failure import Failure
from zope.interface import implementer

from ropewalk.errors import RopewalkError
from ropewalk.interfaces import IDrainable
from ropewalk.net.flow import Backlog, Turns
from ropewalk.net.limits import SocketLimits

__all__ = ["GOING_AWAY", "Socket", "SocketFactory", "SocketLimits"]

#: RFC 6455, section 7.4.1: the server is going down.
GOING_AWAY = 1001

#: RFC 6455, section 7.4.1: an unexpected condition.
_INTERNAL_ERROR = 1011

#: Codes that may be sent: RFC 6455, sections 7.4.1 and 7.4.2, and what IANA has
#: registered since. Not those that only say how a connection was seen to end.
_CODES = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})

#: RFC 6455, section 5.5: a control frame's payload; two bytes are the code.
_REASON_BYTES = 123

#: Bytes of an opening handshake: as many as nginx takes in its large buffers.
_HANDSHAKE_BYTES = 32 * 1024

#: Bytes that Autobahn is given at once. It copies all that it was given for each
#: of the frames in it.
_PIECE = 4096

#: Of the window in which we compress (RFC 7692, section 7.1.2.1), and of zlib's
#: memory for finding matches: 32 KiB a connection rather than 256, for little less
#: gain (as the package ``websockets`` has measured).
_WINDOW_BITS, _MEMORY_LEVEL = 12, 5


class SocketFactory(WebSocketServerFactory):
    """
    Makes a WebSocket protocol for each connection, within limits.

    It minds no origin (RFC 6455, section 10.2): the web site does, in front of
    it (:meth:`ropewalk.interfaces.IWeb.socket`). A listener of its own is for
    programs.

    :param make: Makes the protocol.
    :ivar limits: The limits in force.
    """

    noisy = False

    def __init__(
        self,
        make: Callable[[], WebSocketServerProtocol],
        limits: SocketLimits,
        reactor: Any,
    ) -> None:
        # Which version of what answers is nobody's business.
        super().__init__(reactor=reactor, server="")
        self.limits = limits
        self._make = make
        self._batched_timer = _Timers(reactor)
        self.setProtocolOptions(
            webStatus=False,
            # Whoever breaks a rule or a limit is told so: 1002, 1007, 1009.
            failByDrop=False,
            maxMessagePayloadSize=limits.message,
            openHandshakeTimeout=limits.handshake,
            closeHandshakeTimeout=limits.close,
            autoPingInterval=limits.ping,
            autoPingTimeout=limits.ping,
            perMessageCompressionAccept=_accept if limits.deflate else _decline,
            allowNullOrigin=True,
        )

    def buildProtocol(self, addr: Any) -> Any:
        protocol = self._make()
        protocol.factory = self
        return protocol


@implementer(IDrainable)
class Socket(WebSocketServerProtocol):
    """
    One WebSocket. Override :meth:`heard`, and :meth:`opened` and
    :meth:`closed` where there is something to do. What any of these returns is
    waited for, if it can be awaited, before the next is called. (Any other
    Autobahn protocol serves as well; this one minds the peer that does not read,
    and the one that sends faster than it is answered.)
    """

    factory: SocketFactory
    transport: Any
    maxMessagePayloadSize: int

    _log = Logger()
    _backlog: Backlog | None = None
    _turns: Turns | None = None
    _held = False
    _unread = b""
    _reading = False
    _lingering: IDelayedCall | None = None

    # What to override.

    def opened(self) -> Any:
        """Somebody is there; :attr:`query` has what the URL asked for."""

    def heard(self, message: str | bytes) -> Any:
        """
        Take a message: text as ``str``, binary as ``bytes``.

        Raising a :class:`~ropewalk.errors.RopewalkError` calls
        :meth:`complain`.
        """

    def closed(self) -> Any:
        """
        Nobody is there any more. Called once, after :meth:`opened`, and when
        nothing that was heard is still being worked on.
        """

    def cut_off(self) -> None:
        """
        The connection is ended at once, since the peer does not read: more waits for
        it than may, or it waits for too long. The log says so already.
        """

    def complain(self, error: RopewalkError) -> None:
        """
        Say what is wrong; unless overridden, by closing with 4000 + the error's
        status.
        """
        self.shut(4000 + error.status, str(error))

    # What to call.

    @property
    def query(self) -> dict[str, str]:
        """
        The query of the URL; of a repeated name, the last value. What was left
        empty is there (Autobahn's own ``http_request_params`` drops it).
        """
        query = urlsplit(self.http_request_uri).query
        return dict(parse_qsl(query, keep_blank_values=True))

    def say(self, message: str | bytes) -> None:
        """
        Send a message: ``str`` as text, ``bytes`` as binary. To a peer that is
        gone or going, nothing is sent.
        """
        if self.state != self.STATE_OPEN or self._backlog is None:
            return
        data = message
        if isinstance(data, str):
            data = data.encode("utf-8", "replace")
        if self._backlog.room(len(data)):
            self.sendMessage(data, isBinary=not isinstance(message, str))

    def shut(self, code: int, reason: str) -> None:
        """
        Close with a code and a reason. What was said before is still
        delivered; what was heard and waits is not answered any more.

        :param code: RFC 6455, section 7.4; Autobahn's ``sendClose`` refuses
            those below 3000 that a server may well have to send.
        :param reason: Why; what is longer than 123 bytes is cut.
        :raise ValueError: When the code is none that may be sent.
        """
        if code not in _CODES:
            raise ValueError(f"{code} is not a code to close a WebSocket with")
        if self.state == self.STATE_OPEN:
            _send_close(self, code, reason)
            self._end()

    # What the listener calls.

    def drain(self, reason: str) -> None:
        """See :meth:`ropewalk.interfaces.IDrainable.drain`."""
        if self.state == self.STATE_OPEN and self._turns is not None:
            self._turns.end(lambda: self.shut(GOING_AWAY, reason))
        else:
            _DrainableSocket(self).drain(reason)

    # What Twisted and Autobahn call.

    def dataReceived(self, data: bytes) -> None:
        self._unread += data
        self._read_on()

    def sendMessage(self, payload: bytes, *args: Any, **kwargs: Any) -> None:
        # The limit is for what comes; Autobahn has it hold for what goes as well.
        limit, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            super().sendMessage(payload, *args, **kwargs)
        finally:
            self.maxMessagePayloadSize = limit

    def processHandshake(self) -> None:
        if len(self.data) > _HANDSHAKE_BYTES:
            self.failHandshake("the request is too long", 431)
        else:
            super().processHandshake()

    def onOpenHandshakeTimeout(self) -> None:
        self.openHandshakeTimeoutCall = None
        if self.state == self.STATE_CONNECTING:
            self.failHandshake("the opening handshake took too long", 408)

    def succeedHandshake(self, res: Any) -> None:
        # Whoever ``onConnect`` waited for may be gone by now.
        if self.state == self.STATE_CONNECTING:
            super().succeedHandshake(res)

    def onOpen(self) -> None:
        self._turns = Turns(self._wrong, self._hold, self.factory.reactor)
        reactor = self.factory.reactor
        self._backlog = Backlog(self._cut, self.factory.limits.unsent, reactor)
        self._backlog.watch(self.transport)
        self._turns.take(self.opened)

    def onMessageFrameData(self, payload: bytes) -> None:
        if payload:  # a million empty pieces would be kept otherwise
            super().onMessageFrameData(payload)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self._turns is not None:
            self._turns.take(self.heard, payload if isBinary else payload.decode())

    def onPing(self, payload: bytes) -> None:
        if self._backlog is not None and self._backlog.room(len(payload)):
            super().onPing(payload)

    def onAutoPingTimeout(self) -> None:
        if self._held:
            # Its answer may be among what we have not read yet.
            self.autoPingTimeoutCall = self.factory._batched_timer.call_later(
                self.factory.limits.ping, self.onAutoPingTimeout
            )
        else:
            super().onAutoPingTimeout()

    def dropConnection(self, abort: bool = False) -> None:
        if self.state != self.STATE_CLOSED and not abort:
            # Closing waits for what is written to be read, however long.
            self._lingering = self.factory._batched_timer.call_later(
                self.factory.limits.close, self.transport.abortConnection
            )
        super().dropConnection(abort)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if self._backlog is not None:
            self._backlog.stopProducing()
        for timer in (self._lingering, self.closeHandshakeTimeoutCall):
            if timer is not None and timer.active():
                timer.cancel()
        self._end(self.closed)

    def _read_on(self) -> None:
        """
        Let Autobahn have what came, until the peer is to wait.
        """
        if self._reading:
            return
        self._reading = True
        try:
            while self._unread and not self._held:
                piece, self._unread = self._unread[:_PIECE], self._unread[_PIECE:]
                if self.state != self.STATE_CLOSED:
                    super().dataReceived(piece)
                if self.state == self.STATE_CLOSING and len(self.data) > _PIECE:
                    # It has refused to inflate a message, and keeps what follows.
                    self.data = b""
        finally:
            self._reading = False

    def _end(self, last: Callable[[], Any] | None = None) -> None:
        if self._turns is not None:
            self._turns.end(last)

    def _wrong(self, failure: Failure) -> None:
        if isinstance(failure.value, RopewalkError):
            self.complain(failure.value)
            return
        self._log.failure("a WebSocket message could not be answered", failure)
        self.shut(_INTERNAL_ERROR, "something went wrong here; it is in our log")

    def _hold(self, hold: bool) -> None:
        self._held = hold
        if not hold:
            self._read_on()
        if self.state != self.STATE_CLOSED:
            transport = self.transport
            (transport.pauseProducing if self._held else transport.resumeProducing)()

    def _cut(self) -> None:
        self._end()
        try:
            self.cut_off()
        finally:
            self.dropConnection(abort=True)


@implementer(IDrainable)
class _DrainableSocket:
    """How a WebSocket says goodbye: RFC 6455, section 7.1.2."""

    def __init__(self, protocol: WebSocketServerProtocol) -> None:
        self._protocol = protocol

    def drain(self, reason: str) -> None:
        if self._protocol.state == self._protocol.STATE_OPEN:
            _send_close(self._protocol, GOING_AWAY, reason)
        else:
            _refuse(self._protocol, reason)


@frozen
class _Timers:
    """
    What Autobahn wants timers from. Its own run on the global reactor, and count
    in whole seconds.
    """

    _clock: IReactorTime

    def call_later(
        self, delay: float, call: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> IDelayedCall:
        return self._clock.callLater(delay, copy_context().run, call, *args, **kwargs)


def _send_close(protocol: WebSocketServerProtocol, code: int, reason: str) -> None:
    short = reason.encode("utf-8", "replace")[:_REASON_BYTES].decode("utf-8", "ignore")
    protocol.sendCloseFrame(code, short.encode("utf-8"))


def _refuse(protocol: WebSocketServerProtocol, reason: str) -> None:
    """
    Turn somebody away who is not in yet; who is on the way out is let go.
    """
    if protocol.state == protocol.STATE_CONNECTING:
        protocol.failHandshake(reason, 503)


def _accept(offers: Sequence[Any]) -> PerMessageDeflateOfferAccept | None:
    """
    Take a peer's first offer to compress, with a window of modest size.
    """
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            return PerMessageDeflateOfferAccept(
                offer,
                window_bits=min(offer.request_max_window_bits or 15, _WINDOW_BITS),
                mem_level=_MEMORY_LEVEL,
            )
    return None


def _decline(offers: Sequence[Any]) -> None:
    """
    Compress nothing, whatever is offered.
    """


registerAdapter(_DrainableSocket, WebSocketServerProtocol, IDrainable)
