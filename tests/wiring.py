"""
Connections in memory, on a clock: what is sent arrives when the clock is told to go
on, and a peer that does not read is felt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from ropewalk.testing.transport import MemoryTransport, join

__all__ = ["Peer", "connect"]


class Peer(Protocol):
    """
    The other end.

    :ivar heard: What has come, and has not been asked for.
    :ivar reason: Why the connection is gone; ``None`` while it is not.
    """

    transport: Any

    def __init__(self) -> None:
        self.heard = b""
        self.reason: BaseException | None = None

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason.value

    def said(self) -> str:
        """What has come since the last time, as text."""
        heard, self.heard = self.heard, b""
        return heard.decode("utf-8")


def connect(clock: Clock, server: Any, client: Any = None) -> Any:
    """
    Connect two protocols.

    :param client: The one that connects; a :class:`Peer` unless given.
    :return: that one.
    """

    def soon(function: Callable[..., object], *args: object) -> None:
        clock.callLater(0, function, *args)

    here = IPv4Address("TCP", "127.0.0.1", 7070)
    there = IPv4Address("TCP", "127.0.0.1", 50001)
    peer = Peer() if client is None else client
    join(
        MemoryTransport(soon, here, there),
        server,
        MemoryTransport(soon, there, here),
        peer,
    )
    clock.advance(0)
    return peer
