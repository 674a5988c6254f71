# -*- test-case-name: tests.test_proxying -*-
"""
A client and a back end that speak something else than HTTP with each other: bytes both
ways, no faster than the slower of the two takes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from ropewalk.interfaces import IDrainable

__all__ = ["FrameEdges", "Tunnel"]

#: A close frame of a WebSocket: the server is going down (RFC 6455, sections 5.5.1 and
#: 7.4.1).
_GOING_AWAY = b"\x88\x02\x03\xe9"

#: Seconds that the two have to say goodbye to each other.
_PATIENCE = 3.0


class FrameEdges:
    """
    Where the frames of a WebSocket end (RFC 6455, section 5.2).

    :ivar between: Whether what has come ends with a frame.
    """

    def __init__(self) -> None:
        self._left = 0
        self._head = b""

    @property
    def between(self) -> bool:
        return not self._left and not self._head

    def follow(self, data: bytes) -> None:
        """Something has gone by."""
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            known = len(self._head)
            head = self._head + data[at : at + 14 - known]
            size = _head_size(head)
            if len(head) < size:
                self._head = head
                return
            self._head, self._left = b"", _payload(head)
            at += size - known


def _head_size(head: bytes) -> int:
    """Bytes of a frame before its payload, as far as that is known."""
    if len(head) < 2:
        return 2
    length = head[1] & 127
    return 2 + {126: 2, 127: 8}.get(length, 0) + (4 if head[1] & 128 else 0)


def _payload(head: bytes) -> int:
    length = head[1] & 127
    if length < 126:
        return length
    return int.from_bytes(head[2:4] if length == 126 else head[2:10], "big")


class _Far(Protocol):
    """The back end's end."""

    transport: Any

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def dataReceived(self, data: bytes) -> None:
        self._tunnel.from_far(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._tunnel.far_lost()


@implementer(IDrainable)
class Tunnel(Protocol):
    """
    The client's end of a tunnel, and what knows both.

    :param frames: Whether WebSocket frames go through it: then it can say goodbye.
    :param clock: Where time comes from.
    :param over: Called when it has ended.
    """

    isLeaf = True
    transport: Any

    def __init__(
        self,
        head: bytes,
        frames: bool,
        clock: IReactorTime,
        over: Callable[[], object],
    ) -> None:
        self._head = head
        self.far = _Far(self)
        self._edges = FrameEdges() if frames else None
        self._clock, self._over = clock, over
        self._drains = self._parted = self._ended = False
        self._last: Any = None

    def render(self, request: Any) -> Any:
        """Take a request's connection over."""
        channel = request.channel
        transport, channel.transport = channel.transport, None
        if hasattr(transport, "wrappedProtocol"):
            transport.wrappedProtocol = self
        else:
            transport.protocol = self
        early, channel._waiting = channel._waiting, b""
        self.makeConnection(transport)
        if early:
            self.dataReceived(early)
        return NOT_DONE_YET

    def connectionMade(self) -> None:
        far = self.far.transport
        self.transport.write(self._head)
        self.transport.registerProducer(far, True)
        far.registerProducer(self.transport, True)
        self.transport.resumeProducing()
        for each in (self.transport, far):
            # Nobody else would notice that one of them is gone.
            if hasattr(each, "setTcpKeepAlive"):
                each.setTcpKeepAlive(True)

    def dataReceived(self, data: bytes) -> None:
        if not self._ended:
            self.far.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end()
        self.far.transport.unregisterProducer()
        self.far.transport.loseConnection()

    def from_far(self, data: bytes) -> None:
        """The back end says something."""
        if self._parted or self._ended:
            return
        self.transport.write(data)
        if self._edges is not None:
            self._edges.follow(data)
            if self._drains:
                self._part()

    def far_lost(self) -> None:
        """The back end has closed."""
        if not self._ended:
            self._end()
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def drain(self, reason: str = "") -> None:
        """See :meth:`ropewalk.interfaces.IDrainable.drain`."""
        if self._drains or self._ended:
            return
        self._drains = True
        if self._edges is None:
            self.far_lost()
            self.far.transport.loseConnection()
            return
        self._last = self._clock.callLater(_PATIENCE, self._lose)
        self._part()

    def _part(self) -> None:
        """Say that the server is going, when no frame is under way."""
        assert self._edges is not None
        if self._edges.between and not self._parted:
            self._parted = True
            self.transport.write(_GOING_AWAY)

    def _lose(self) -> None:
        self._last = None
        self.far_lost()
        self.far.transport.loseConnection()

    def _end(self) -> None:
        if self._last is not None:
            self._last.cancel()
            self._last = None
        if not self._ended:
            self._ended = True
            self._over()
