# -*- test-case-name: tests.test_client -*-
"""
In lines, over TCP.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from ropewalk.client.dialling import Dialled
from ropewalk.client.places import Place
from ropewalk.client.ways import Owner
from ropewalk.wire.lines import LineReader

__all__ = ["ByLines"]

#: Lines that are taken at once.
_AT_ONCE = 100


class ByLines(Dialled):
    """
    Talks in lines: ``ropewalk.net.calls.CallLines`` is the other end.

    :param longest: Bytes of the longest line that is heard.
    """

    def __init__(
        self, owner: Owner, silence: float, place: Place, reactor: Any, longest: int
    ) -> None:
        super().__init__(owner, silence, place, reactor)
        self.longest = longest

    def connect(self) -> None:
        factory = Factory.forProtocol(lambda: _Lines(self))
        factory.noisy = False
        self.dial(factory)

    def say(self, message: bytes) -> None:
        if self._protocol is not None:
            self._protocol.transport.write(message + b"\n")

    def part(self, protocol: Any) -> None:
        protocol.transport.loseConnection()

    def met(self, protocol: Any) -> None:
        """There is a connection, and talk on it."""
        super().met(protocol)
        self.ready()


class _Lines(Protocol):
    """
    The connection.
    """

    transport: Any

    def __init__(self, way: ByLines) -> None:
        self._way = way
        self._reader = LineReader()

    def connectionMade(self) -> None:
        self._way.met(self)

    def dataReceived(self, data: bytes) -> None:
        self._way.alive()
        self._reader.feed(data)
        while self._reader.more:
            lines, wrong = self._reader.take(_AT_ONCE, self._way.longest)
            for line in lines:
                self._way.heard(line.encode())
            if wrong is not None:
                self._way.misheard(wrong)
            if not lines and wrong is None:
                return

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        done = reason.check(ConnectionDone)
        self._way.gone("closed" if done else reason.getErrorMessage())
