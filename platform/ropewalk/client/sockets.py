# -*- test-case-name: tests.test_client -*-
"""
By WebSocket.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ropewalk.client.conversation import ByConnection
from ropewalk.client.places import Place
from ropewalk.client.ways import Owner

__all__ = ["BySocket"]

_PROTOCOL = "ropewalk.json"


class BySocket(ByConnection):
    """
    Talks by WebSocket: ``ropewalk.net.calls.sockets.CallSocket`` is the other end.

    :param path: Where that is.
    :param longest: Bytes of the longest message that is heard.
    """

    def __init__(
        self,
        owner: Owner,
        silence: float,
        place: Place,
        path: str,
        reactor: Any,
        longest: int,
    ) -> None:
        super().__init__(owner, silence)
        self._place = place
        self._reactor = reactor
        scheme = "wss" if place.is_secure else "ws"
        self._factory = _Factory(self, place.url(path, scheme), reactor, longest)
        self._connecting: Deferred[Any] | None = None
        self._protocol: _Socket | None = None

    def connect(self) -> None:
        endpoint = self._place.endpoint(self._reactor)
        self._connecting = endpoint.connect(self._factory)
        self._connecting.addErrback(self._failed)

    def give_up(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()

    def say(self, message: bytes) -> None:
        if self._protocol is not None:
            self._protocol.sendMessage(message)

    def leave(self) -> None:
        if self._protocol is not None:
            self._protocol.sendClose(1000)
            self._protocol.transport.loseConnection()

    def cut(self) -> None:
        if self._protocol is not None:
            self._protocol.transport.abortConnection()

    def met(self, protocol: Any) -> None:
        """There is a connection, and as yet no WebSocket."""
        self._protocol = protocol
        self.reached()

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.gone(failure.getErrorMessage())


class _Factory(WebSocketClientFactory):
    """
    Makes the one protocol. Its times are the way's to mind: Autobahn would count them
    on the global reactor.
    """

    noisy = False

    def __init__(self, way: BySocket, url: str, reactor: Any, longest: int) -> None:
        super().__init__(url, protocols=[_PROTOCOL], reactor=reactor)
        self._way = way
        self.setProtocolOptions(
            maxMessagePayloadSize=longest,
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            serverConnectionDropTimeout=0,
            failByDrop=True,
        )

    def buildProtocol(self, addr: Any) -> Any:
        protocol = _Socket(self._way)
        protocol.factory = self
        return protocol


class _Socket(WebSocketClientProtocol):
    """
    The connection.
    """

    transport: Any

    def __init__(self, way: BySocket) -> None:
        super().__init__()
        self._way = way

    def connectionMade(self) -> None:
        super().connectionMade()
        self._way.met(self)

    def dataReceived(self, data: bytes) -> None:
        self._way.alive()
        super().dataReceived(data)

    def onOpen(self) -> None:
        self._way.ready()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._way.heard(payload)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._way.gone(self.wasNotCleanReason or "closed")
