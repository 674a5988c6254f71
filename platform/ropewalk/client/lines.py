# -*- test-case-name: tests.test_client -*-
"""
In lines, over TCP.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from ropewalk.client.conversation import ByConnection
from ropewalk.client.places import Place
from ropewalk.client.ways import Owner
from ropewalk.wire.lines import LineReader

__all__ = ["ByLines"]

#: Lines that are taken at once.
_AT_ONCE = 100


class ByLines(ByConnection):
    """
    Talks in lines: ``ropewalk.net.calls.CallLines`` is the other end.

    :param longest: Bytes of the longest line that is heard.
    """

    def __init__(
        self, owner: Owner, silence: float, place: Place, reactor: Any, longest: int
    ) -> None:
        super().__init__(owner, silence)
        self.longest = longest
        self._place = place
        self._reactor = reactor
        self._connecting: Deferred[Any] | None = None
        self._protocol: _Lines | None = None

    def connect(self) -> None:
        factory = Factory.forProtocol(lambda: _Lines(self))
        factory.noisy = False
        endpoint = self._place.endpoint(self._reactor)
        self._connecting = endpoint.connect(factory)
        self._connecting.addErrback(self._failed)

    def give_up(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()

    def say(self, message: bytes) -> None:
        if self._protocol is not None:
            self._protocol.transport.write(message + b"\n")

    def leave(self) -> None:
        if self._protocol is not None:
            self._protocol.transport.loseConnection()

    def cut(self) -> None:
        if self._protocol is not None:
            self._protocol.transport.abortConnection()

    def met(self, protocol: Any) -> None:
        """There is a connection."""
        self._protocol = protocol
        self.reached()
        self.ready()

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.gone(failure.getErrorMessage())


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
