# -*- test-case-name: tests.test_client_live -*-
"""
In frames of msgpack, over TCP.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from ropewalk.client.dialling import Dialled
from ropewalk.client.places import Place
from ropewalk.client.ways import Owner
from ropewalk.wire.frames import PREFIXES, FrameReader
from ropewalk.wire.jsonrpc import MSGPACK

__all__ = ["ByFrames"]

#: How a length is written.
_LENGTH = PREFIXES[4]

#: Frames that are taken at once.
_AT_ONCE = 100


class ByFrames(Dialled):
    """
    Talks in frames: ``ropewalk.net.calls.CallFrames`` is the other end.

    :param longest: Bytes of the longest frame that is heard.
    """

    form = MSGPACK

    def __init__(
        self, owner: Owner, silence: float, place: Place, reactor: Any, longest: int
    ) -> None:
        super().__init__(owner, silence, place, reactor)
        self.longest = longest

    def connect(self) -> None:
        factory = Factory.forProtocol(lambda: _Frames(self))
        factory.noisy = False
        self.dial(factory)

    def say(self, message: bytes) -> None:
        if self._protocol is not None:
            self._protocol.transport.write(_LENGTH.pack(len(message)) + message)

    def part(self, protocol: Any) -> None:
        protocol.transport.loseConnection()

    def met(self, protocol: Any) -> None:
        """There is a connection, and talk on it."""
        super().met(protocol)
        self.ready()


class _Frames(Protocol):
    """
    The connection.
    """

    transport: Any

    def __init__(self, way: ByFrames) -> None:
        self._way = way
        self._reader = FrameReader(_LENGTH)

    def connectionMade(self) -> None:
        self._way.met(self)

    def dataReceived(self, data: bytes) -> None:
        self._way.alive()
        self._reader.feed(data)
        while self._reader.more:
            frames, wrong = self._reader.take(_AT_ONCE, self._way.longest)
            for frame in frames:
                self._way.heard(frame)
            if wrong is not None:
                self._way.misheard(wrong)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        done = reason.check(ConnectionDone)
        self._way.gone("closed" if done else reason.getErrorMessage())
