# -*- test-case-name: tests.test_sockets -*-
"""
WebSockets: Autobahn's protocols, with the limits on that Autobahn leaves off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from autobahn.twisted.websocket import (
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.components import registerAdapter
from twisted.python.failure import Failure
from txaio._common import _BatchedTimer
from zope.interface import implementer

from ropewalk.errors import RopewalkError
from ropewalk.interfaces import IDrainable
from ropewalk.net.flow import Backlog, Turns
from ropewalk.schema import Meta, Shape

__all__ = ["GOING_AWAY", "Socket", "SocketFactory", "SocketLimits"]

#: RFC 6455, section 7.4.1: the server is going down.
GOING_AWAY = 1001

#: RFC 6455, section 7.4.1: an unexpected condition.
_INTERNAL_ERROR = 1011

#: RFC 6455, section 5.5: a control frame's payload; two bytes are the code.
_REASON_BYTES = 123


class SocketLimits(Shape):
    """
    What a WebSocket peer may do.

    :ivar message: The longest message, in bytes, after decompression.
    :ivar unsent: Bytes that may wait for a peer that does not read.
    :ivar handshake: Seconds a peer has for its opening handshake.
    :ivar ping: Seconds between two pings to a silent peer; 0 sends none.
    :ivar close: Seconds a peer has to answer a close frame.
    """

    message: Annotated[int, Meta(ge=1)] = 64 * 1024
    unsent: Annotated[int, Meta(ge=1)] = 1024 * 1024
    handshake: Annotated[float, Meta(gt=0)] = 10.0
    ping: Annotated[float, Meta(ge=0)] = 30.0
    close: Annotated[float, Meta(gt=0)] = 3.0


class SocketFactory(WebSocketServerFactory):
    """
    Makes a WebSocket protocol for each connection, within limits.

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
        super().__init__(reactor=reactor)
        self.limits = limits
        self._make = make
        # As `txaio.make_batched_timer` makes it, which takes the global reactor
        # whichever it is given, and refuses another once it has.
        self._batched_timer = _BatchedTimer(
            200.0,
            1000,
            seconds_provider=reactor.seconds,
            delayed_call_creator=reactor.callLater,
        )
        self.setProtocolOptions(
            maxFramePayloadSize=limits.message,
            maxMessagePayloadSize=limits.message,
            openHandshakeTimeout=limits.handshake,
            closeHandshakeTimeout=limits.close,
            autoPingInterval=limits.ping,
            autoPingTimeout=limits.ping,
        )

    def buildProtocol(self, addr: Any) -> Any:
        protocol = self._make()
        protocol.factory = self
        return protocol


class Socket(WebSocketServerProtocol):
    """
    One WebSocket. Override :meth:`heard`, and :meth:`opened` and
    :meth:`closed` where there is something to do. (Any other Autobahn protocol
    serves as well; this one minds the peer that does not read.)
    """

    transport: Any

    _log = Logger()
    _backlog: Backlog | None = None
    _turns: Turns

    # What to override.

    def opened(self) -> Any:
        """
        Somebody is there; :attr:`query` has what the URL asked for. What this
        returns is waited for before a message is heard.
        """

    def heard(self, message: str | bytes) -> Any:
        """
        Take a message: text as ``str``, binary as ``bytes``. What this returns
        may be awaited. Raising a :class:`~ropewalk.errors.RopewalkError` calls
        :meth:`complain`.
        """

    def closed(self) -> None:
        """Nobody is there any more."""

    def complain(self, error: RopewalkError) -> None:
        """
        Say what is wrong; unless overridden, by closing with 4000 + the error's
        status.
        """
        self.shut(4000 + error.status, str(error))

    # What to call.

    @property
    def query(self) -> dict[str, str]:
        """The query of the URL; of a repeated name, the last value."""
        return {name: values[-1] for name, values in self.http_request_params.items()}

    def say(self, message: str | bytes) -> None:
        """Send a message: ``str`` as text, ``bytes`` as binary."""
        if self.state != self.STATE_OPEN:
            return
        data = message.encode("utf-8") if isinstance(message, str) else message
        if self._backlog is None or self._backlog.room(len(data)):
            self.sendMessage(data, isBinary=not isinstance(message, str))

    def shut(self, code: int, reason: str) -> None:
        """
        Close with a code and a reason.

        :param code: RFC 6455, section 7.4; Autobahn's ``sendClose`` refuses
            those below 3000 that a server may well have to send.
        """
        if self.state == self.STATE_OPEN:
            _send_close(self, code, reason)

    # What Autobahn calls.

    def onOpen(self) -> None:
        self._turns = Turns(self._wrong, self._hold, self.factory.reactor)
        self._backlog = Backlog(self._cut, self.factory.limits.unsent)
        self._backlog.watch(self.transport)
        self._turns.take(self.opened)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = payload if isBinary else payload.decode("utf-8")
        self._turns.take(self.heard, message)

    def dropConnection(self, abort: bool = False) -> None:
        if self._backlog is not None:
            self._backlog.release()
        super().dropConnection(abort)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if self._backlog is not None:
            self._turns.end()
            self.closed()

    def _wrong(self, failure: Failure) -> None:
        if isinstance(failure.value, RopewalkError):
            self.complain(failure.value)
            return
        self._log.failure("a WebSocket message could not be answered", failure)
        self.shut(_INTERNAL_ERROR, "something went wrong here; it is in our log")

    def _hold(self, hold: bool) -> None:
        (self.transport.pauseProducing if hold else self.transport.resumeProducing)()

    def _cut(self) -> None:
        self._turns.end()
        self.dropConnection(abort=True)


@implementer(IDrainable)
class _DrainableSocket:
    """How a WebSocket says goodbye: RFC 6455, section 7.1.2."""

    def __init__(self, protocol: WebSocketServerProtocol) -> None:
        self._protocol = protocol

    def drain(self, reason: str) -> None:
        protocol = self._protocol
        if protocol.state == protocol.STATE_OPEN:
            _send_close(protocol, GOING_AWAY, reason)
        elif protocol.state != protocol.STATE_CLOSING:
            protocol.dropConnection()


def _send_close(protocol: WebSocketServerProtocol, code: int, reason: str) -> None:
    short = reason.encode("utf-8")[:_REASON_BYTES].decode("utf-8", "ignore")
    protocol.sendCloseFrame(code, short.encode("utf-8"))


registerAdapter(_DrainableSocket, WebSocketServerProtocol, IDrainable)
