# -*- test-case-name: tests.test_client -*-
"""
What is common to those who talk over bare TCP, whatever tells messages apart.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from ropewalk.client.dialling import Dialled
from ropewalk.client.places import Place
from ropewalk.client.ways import Owner

__all__ = ["AT_ONCE", "ByStream", "StreamProtocol"]

#: Messages that are taken at once.
AT_ONCE = 100


class ByStream(Dialled):
    """
    Talks over TCP.

    :param longest: Bytes of the longest message that is heard.
    :cvar protocol: Makes the protocol of a connection, of this.
    """

    protocol: type[StreamProtocol]

    def __init__(
        self, owner: Owner, silence: float, place: Place, reactor: Any, longest: int
    ) -> None:
        super().__init__(owner, silence, place, reactor)
        self.longest = longest

    def connect(self) -> None:
        factory = Factory.forProtocol(lambda: self.protocol(self))
        factory.noisy = False
        self.dial(factory)

    def part(self, protocol: Any) -> None:
        protocol.transport.loseConnection()

    def met(self, protocol: Any) -> None:
        """There is a connection, and talk on it."""
        super().met(protocol)
        self.ready()


class StreamProtocol(Protocol):
    """
    A connection.
    """

    transport: Any

    def __init__(self, way: ByStream) -> None:
        self._way = way

    def connectionMade(self) -> None:
        self._way.met(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        done = reason.check(ConnectionDone)
        self._way.gone("closed" if done else reason.getErrorMessage())
