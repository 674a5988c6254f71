# -*- test-case-name: tests.test_client -*-
"""
By WebSocket.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ropewalk.client.dialling import Dialled
from ropewalk.client.places import Place
from ropewalk.client.ways import Owner
from ropewalk.wire.jsonrpc import JSON, MSGPACK

__all__ = ["BySocket"]

#: The names of subprotocols, as ``ropewalk.net.calls.sockets`` has them.
_JSON, _MSGPACK = "ropewalk.json", "ropewalk.msgpack"


class BySocket(Dialled):
    """
    Talks by WebSocket: ``ropewalk.net.calls.sockets.CallSocket`` is the other end.

    :param path: Where that is.
    :param longest: Bytes of the longest message that is heard.
    :param packed: Whether to speak msgpack, if the daemon does.
    """

    def __init__(
        self,
        owner: Owner,
        silence: float,
        place: Place,
        path: str,
        reactor: Any,
        longest: int,
        packed: bool,
    ) -> None:
        super().__init__(owner, silence, place, reactor)
        scheme = "wss" if place.is_secure else "ws"
        kind = _MSGPACK if packed else _JSON
        self._factory = _Factory(self, place.url(path, scheme), reactor, longest, kind)

    def connect(self) -> None:
        self.dial(self._factory)

    def say(self, message: bytes) -> None:
        if self._protocol is not None:
            self._protocol.sendMessage(message, isBinary=self.form is MSGPACK)

    def part(self, protocol: Any) -> None:
        protocol.sendClose(1000)
        protocol.transport.loseConnection()

    def agreed(self, kind: str | None) -> None:
        """There can be talk of a kind; of none, it is in JSON."""
        self.form = MSGPACK if kind == _MSGPACK else JSON
        self.ready()


class _Factory(WebSocketClientFactory):
    """
    Makes the one protocol. Its times are the way's to mind: Autobahn would count them
    on the global reactor.
    """

    noisy = False

    def __init__(
        self, way: BySocket, url: str, reactor: Any, longest: int, kind: str
    ) -> None:
        super().__init__(url, protocols=[kind], reactor=reactor)
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
        self._way.agreed(self.websocket_protocol_in_use)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._way.heard(payload)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._way.gone(self.wasNotCleanReason or "closed")
