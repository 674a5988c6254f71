# -*- test-case-name: tests.test_testing -*-
"""
A TCP connection in memory: two transports that behave as Twisted's own do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    ITCPTransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["MemoryTransport", "join"]

#: Bytes that are read at once, and over which a producer is told to pause: as
#: ``twisted.internet.abstract.FileDescriptor.bufferSize``.
_BUFFER = 64 * 1024


@implementer(ITCPTransport, IConsumer, IPushProducer)
class MemoryTransport:
    """
    One end of a connection.

    Nothing is delivered while ``write`` runs, but soon afterwards. There is no
    buffer between the two ends but the writer's own: a peer that does not read
    is felt after 64 KiB.

    :param soon: Calls a function in a later turn.
    :param host: The address of this end.
    :param peer: The address of the other end.
    :param cut: Bytes of the longest piece that the *other* end is given at once;
        0 for as much as there is.
    :ivar lost: Called, with why, when the connection is gone.
    """

    _log = Logger()

    connected = True
    disconnected = False
    disconnecting = False
    producer: Any = None
    streamingProducer = False
    producerPaused = False

    _other: MemoryTransport
    _protocol: Any

    def __init__(
        self,
        soon: Callable[..., None],
        host: IAddress,
        peer: IAddress,
        cut: int = 0,
    ) -> None:
        self.lost: Callable[[Failure], None] = lambda reason: None
        self._soon = soon
        self._host = host
        self._peer = peer
        self._cut = cut or _BUFFER
        self._out = bytearray()
        self._flushing = False
        self._reading = True
        self._ending = False  # nothing more may be written
        self._ended = False  # and the other end was told
        self._over = False  # the other end writes nothing more
        self._aborting = False
        self._options = {"delay": False, "alive": False}

    # ITransport and ITCPTransport.

    def write(self, data: bytes) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"a transport takes bytes, not {type(data).__name__}")
        if not self.connected or self._ending or not data:
            return
        self._out += data
        if self.streamingProducer and len(self._out) > _BUFFER:
            self.producerPaused = True
            self.producer.pauseProducing()
        self._flush_soon()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            self._flush_soon()

    def loseWriteConnection(self) -> None:
        if self.connected and not self._ending:
            self._ending = True
            self._flush_soon()

    def abortConnection(self) -> None:
        if self.connected and not self._aborting:
            self._aborting, self._reading = True, False
            self._out.clear()
            self._soon(self._lose, ConnectionAborted(), ConnectionLost())

    def getHost(self) -> Any:
        return self._host

    def getPeer(self) -> Any:
        return self._peer

    def getTcpNoDelay(self) -> bool:
        return self._options["delay"]

    def setTcpNoDelay(self, enabled: bool) -> None:
        self._options["delay"] = bool(enabled)

    def getTcpKeepAlive(self) -> bool:
        return self._options["alive"]

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self._options["alive"] = bool(enabled)

    # IConsumer: what writes to us.

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self.producer is not None:
            raise RuntimeError(f"{self.producer!r} is registered already")
        if self.disconnected:
            producer.stopProducing()
            return
        self.producer = producer
        self.streamingProducer = streaming
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None
        self.streamingProducer = self.producerPaused = False
        if self.connected and (self.disconnecting or self._ending):
            self._flush_soon()

    # IPushProducer: we write to a protocol.

    def pauseProducing(self) -> None:
        self._reading = False

    def resumeProducing(self) -> None:
        if self.connected and not self.disconnecting:
            self._reading = True
            self._other._flush_soon()
            self._soon(self._hear_end)

    def stopProducing(self) -> None:
        self.loseConnection()

    # What happens in a later turn.

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        other = self._other
        while self._out and other._listens():
            piece = bytes(self._out[: self._cut])
            del self._out[: self._cut]
            other._take(piece)
        if self._out and not other.connected and not (self._over and self._reading):
            self._lose(ConnectionLost(), None)
        if other.disconnecting or not other.connected:
            self._out.clear()  # it does not read any more
        if self.connected and not self._out:
            self._drained()

    def _drained(self) -> None:
        if self.producer is not None and (
            self.producerPaused or not self.streamingProducer
        ):
            self.producerPaused = False
            self.producer.resumeProducing()
        elif self.disconnecting:
            self._lose(ConnectionDone(), None)
        elif self._ending and not self._ended:
            self._ended = True
            self._other._over = True
            self._soon(self._other._hear_end)
            if IHalfCloseableProtocol.providedBy(self._protocol):
                self._call(self._protocol.writeConnectionLost)

    def _listens(self) -> bool:
        return self.connected and self._reading and not self.disconnecting

    def _take(self, piece: bytes) -> None:
        self._call(self._protocol.dataReceived, piece)

    def _hear_end(self) -> None:
        """The other end has written its last, and we have read it."""
        if not self._over or not self.connected or not self._reading:
            return
        self._over = False
        # That is all one can see: whether the other end still reads, or is
        # gone, shows when one writes to it.
        half = IHalfCloseableProtocol.providedBy(self._protocol)
        if half and not self.disconnecting:
            self._call(self._protocol.readConnectionLost)
        else:
            self._lose(ConnectionDone(), None)

    def _call(self, method: Callable[..., Any], *args: Any) -> None:
        """A protocol that raises loses its connection, as with any reactor."""
        try:
            method(*args)
        except Exception as error:
            self._log.failure("{protocol} failed", protocol=self._protocol)
            self._lose(error, None)

    def _lose(self, reason: BaseException, told: BaseException | None) -> None:
        """
        The connection is gone.

        :param told: What the other end hears; ``None`` for the end of the data,
            once it has read that.
        """
        if not self.connected:
            return
        self.connected, self.disconnected = False, True
        self._out.clear()
        other = self._other
        if told is None:
            other._over = True
            self._soon(other._hear_end)
        else:
            self._soon(other._lose, told, None)
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        failure = Failure(reason)
        try:
            self._protocol.connectionLost(failure)
        except Exception:
            self._log.failure("{protocol} failed", protocol=self._protocol)
        self.lost(failure)


def join(one: MemoryTransport, first: Any, two: MemoryTransport, second: Any) -> None:
    """
    Make a connection of two ends.

    :param first: The protocol at the end ``one``.
    :param second: The protocol at the end ``two``.
    """
    one._other, two._other = two, one
    one._protocol, two._protocol = first, second
    for transport, protocol in ((one, first), (two, second)):
        transport._call(protocol.makeConnection, transport)
