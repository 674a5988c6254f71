# -*- test-case-name: tests.test_transports -*-
"""
A connection: what the loop calls a protocol, and a protocol a transport.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    ILoggingContext,
    IPushProducer,
    ISSLTransport,
    ISystemHandle,
    ITLSTransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer

from ropewalk.net.segments import Ends, Gathering

__all__ = ["Connection", "Outbox", "TCPConnection", "UNIXConnection"]

#: Bytes that may wait for a peer before a producer is told to pause, and when it may
#: go on: as with Twisted (``abstract.FileDescriptor.bufferSize``), and as uvloop has
#: them unless told.
_FULL, _ROOM = 64 * 1024, 16

#: To close without waiting for what is on its way (socket(7), SO_LINGER): the peer
#: sees a reset.
_NO_LINGER = struct.pack("ii", 1, 0)

_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV

#: What a connection leaves to TLS, once that is on top of it.
_TLS = (
    *("write", "writeSequence", "loseConnection", "registerProducer"),
    *("unregisterProducer", "getHandle", "getPeerCertificate"),
)


class Outbox(Gathering):
    """
    The connections in which something was written in this turn of the loop. At the
    end of the turn it is sent, with one call to the system for each.

    :ivar waiting: These connections.
    :ivar held: Whether somebody is going to call :meth:`send` anyway.
    :ivar later: Calls something in the next turn.
    """

    __slots__ = ("later",)

    def __init__(self, call_soon: Callable[..., Any]) -> None:
        self.later = call_soon
        self.waiting: list[Connection] = []
        self.held = False

    def add(self, connection: Connection) -> None:
        """Send what it has at the end of the turn."""
        self.waiting.append(connection)
        if not self.held:
            self.held = True
            self.later(self.send)

    def send(self) -> None:
        """Send what waits."""
        self.held = False
        waiting, self.waiting = self.waiting, []
        for connection in waiting:
            try:
                connection.settle()
            except BaseException:
                connection.failed()  # and no other


@implementer(ITLSTransport, IConsumer, IPushProducer, ILoggingContext, ISystemHandle)
class Connection(Ends, asyncio.Protocol):
    """
    One connection of the loop's. To a protocol it is what Twisted's are; their
    interfaces say what each method promises.

    :param home: The port it came to, or whoever has dialled.
    :param number: Which of its connections it is.
    :ivar protocol: Who hears what comes in. It may be replaced at any time.
    :ivar peer: Who is at the other end, once somebody has asked.
    """

    __slots__ = (
        *("__dict__", "__weakref__", "_asks", "_ended", "_full", "_half", "_held"),
        *("_home", "_paused", "_reason"),
        *("connected", "disconnected", "disconnecting", "peer", "producer"),
        *("producerPaused", "sessionno", "streamingProducer"),
    )

    TLS = False
    _log = Logger()

    def __init__(self, home: Any, number: int, outbox: Outbox) -> None:
        self._home = home
        self.sessionno = number
        self._outbox = outbox
        self._transport: Any = None
        self.protocol: Any = None
        self.connected = self.disconnecting = self.disconnected = False
        self.producer: Any = None
        self.producerPaused = self.streamingProducer = False
        self._unsent: Any = None
        self._size = 0
        # Whether the loop has enough of what is written.
        self._mute, self._full = True, False
        self._hears = False
        # Whether what waits for what was written to be sent is a pull producer, to be
        # asked for more.
        self._extra = self._asks = False
        # Whether the peer says no more, and whether we do not.
        self._ended = self._half = False
        # Whether the protocol does not want to hear, and what it has not heard.
        self._paused = False
        self._held: _Held | None = None
        self._reason: Failure | None = None
        self.peer: Any = None

    # What the loop calls.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        try:
            protocol = self._home.begin(self)
        except Exception:
            self._log.failure("there is no protocol for {peer}", peer=self.address())
            protocol = None
        if protocol is None:
            transport.abort()
            return
        self.protocol = protocol
        self.connected, self._mute = True, False
        self._tell(protocol.makeConnection, self)
        client = self._home.client
        if self.connected and (client or self._paused or self.disconnecting):
            # Whatever is asked of it in here, the loop now begins to read.
            self._held = _Held(self)
            transport.set_protocol(self._held)
            if client:
                self._outbox.later(self._begin)

    def eof_received(self) -> bool:
        self._ended = True
        half: Any = IHalfCloseableProtocol(self.protocol, None)
        if half is None:
            # As with Twisted, what the peer has not taken until now is dropped.
            self._send()
            self._transport.abort()
        else:
            self._tell(half.readConnectionLost)
        return True

    def pause_writing(self) -> None:
        self._full = True
        if self.producer is not None and self.streamingProducer:
            self.producerPaused = True
            self._tell(self.producer.pauseProducing)

    def resume_writing(self) -> None:
        self._full = False
        if self.producer is None:
            if self._half and self._mute:
                self._half_close()
        elif self.producerPaused or not self.streamingProducer:
            self.producerPaused = self._asks = False
            self._tell(self.producer.resumeProducing)

    def connection_lost(self, exc: BaseException | None) -> None:
        error = ConnectionDone() if exc is None else ConnectionLost(str(exc))
        self._lose(self._reason or Failure(error))

    # What the protocol calls, and others who write.

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        try:
            data = b"".join(iovec)
        except TypeError:
            raise TypeError("Data must be bytes") from None
        self.write(data)

    def loseConnection(self) -> None:
        if self.connected and not self.disconnecting:
            self.disconnecting = self._extra = True
            self._transport.pause_reading()
            self._leave()

    def loseWriteConnection(self) -> None:
        if self.connected and not self._half:
            self._half = self._extra = True
            self._leave()

    def abortConnection(self) -> None:
        if self.connected and self._reason is None:
            with suppress(OSError):  # it may be gone already
                Connection.getHandle(self).setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER
                )
            self._die(Failure(ConnectionAborted()))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self.producer is not None:
            raise RuntimeError(
                f"{producer} cannot be registered: {self.producer} still is"
            )
        if self.disconnected:
            producer.stopProducing()
            return
        self.producer, self.streamingProducer = producer, bool(streaming)
        if not streaming:
            self._extra = True
            # It is to be asked for more when nothing is left.
            self._transport.set_write_buffer_limits(high=0)
            producer.resumeProducing()
        elif self._full:
            self.pause_writing()

    def unregisterProducer(self) -> None:
        if self.producer is not None and not self.streamingProducer and self.connected:
            self._transport.set_write_buffer_limits(high=_FULL, low=_ROOM)
        self.producer = None
        self.producerPaused = self._asks = False
        self._extra = self.disconnecting or self._half
        if self.connected and self._extra:
            self._leave()

    def stopConsuming(self) -> None:
        self.unregisterProducer()
        self.loseConnection()

    def pauseProducing(self) -> None:
        self._paused = True
        if self.connected:
            self._transport.pause_reading()

    def resumeProducing(self) -> None:
        if not self.connected or self.disconnecting or self._reason is not None:
            return
        self._paused = False
        held, self._held = self._held, None
        if held is not None:
            held.release()
        if not (self._paused or self._ended or self._transport.is_closing()):
            self._transport.resume_reading()

    def stopProducing(self) -> None:
        self.loseConnection()

    # Twisted's transports are known by these as well.

    def stopReading(self) -> None:
        self.pauseProducing()

    def startReading(self) -> None:
        self.resumeProducing()

    def fileno(self) -> int:
        """Its file descriptor, -1 when it is closed. The loop reads it and writes."""
        handle = Connection.getHandle(self)
        number: int = -1 if handle is None else handle.fileno()
        return number

    def startTLS(self, contextFactory: Any, normal: bool = True) -> None:
        from twisted.protocols.tls import TLSMemoryBIOFactory

        producer, streaming = self.producer, self.streamingProducer
        if producer is not None:
            self.unregisterProducer()
        home = self._home
        nobody: Any = None  # the protocol is there already
        factory = TLSMemoryBIOFactory(
            contextFactory, normal == home.client, nobody, home.reactor
        )
        tls = factory.protocol(factory, self.protocol, False)
        self.protocol = tls
        for name in _TLS:
            setattr(self, name, getattr(tls, name))
        directlyProvides(self, ISSLTransport)
        self.TLS = True
        tls.makeConnection(_Below(self))
        if producer is not None:
            self.registerProducer(producer, streaming)

    def getHost(self) -> Any:
        return self._spoken(self._transport.get_extra_info("sockname"))

    def getPeer(self) -> Any:
        if self.peer is None:
            self.peer = self.address()
        return self.peer

    def getHandle(self) -> Any:
        return self._transport.get_extra_info("socket")

    def getTcpNoDelay(self) -> bool:
        return self._option(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def setTcpNoDelay(self, enabled: bool) -> None:
        with suppress(OSError):  # as Twisted does: it is a wish
            self._set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, enabled)

    def getTcpKeepAlive(self) -> bool:
        return self._option(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self._set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)

    def logPrefix(self) -> str:
        return self.logstr

    @property
    def logstr(self) -> str:
        """What its log lines begin with."""
        prefix: str = self._home.prefix(self)
        return prefix

    @property
    def addr(self) -> Any:
        """What was dialled."""
        return self._home.addr

    def connectionLost(self, reason: Failure) -> None:
        """Be lost at once: there is no next turn of the loop."""
        self._lose(reason)
        self._transport.abort()

    # What its home and its outbox call.

    def address(self) -> Any:
        """The address of the peer; ``None`` when that is gone already."""
        name = self._transport.get_extra_info("peername")
        return None if name is None else self._spoken(name)

    def settle(self) -> None:
        """Send what was written in this turn, and do what waits for that."""
        self._send()
        if self.disconnecting or self._half:
            self._leave()
        if self._asks and not self._full:
            self._asks = False
            self._tell(self.producer.resumeProducing)

    def blame(self, error: BaseException) -> None:
        """The protocol raised it."""
        try:
            raise error
        except BaseException:
            self.failed()

    def failed(self) -> None:
        """
        Whatever a protocol or a producer dies of, in here it is what has ended this
        one connection.
        """
        self._log.failure("{connection} failed", connection=self)
        if not self.disconnected:
            self._reason = None
            self._die(Failure())

    # Within.

    @staticmethod
    def _spoken(name: Any) -> Any:
        """What the system calls an address, as an ``IAddress``."""
        raise NotImplementedError

    def _begin(self) -> None:
        """
        Hear what comes, from the turn after the connection on. By then the calls that
        were put off (``callLater(0, …)``) are made, as with Twisted: who connects has
        often something to make ready.
        """
        if not self._paused:
            self.resumeProducing()

    def _option(self, level: int, name: int) -> bool:
        return bool(Connection.getHandle(self).getsockopt(level, name))

    def _set_option(self, level: int, name: int, enabled: bool) -> None:
        Connection.getHandle(self).setsockopt(level, name, int(bool(enabled)))

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, None
        if unsent is not None:
            self._asks = self.producer is not None and not self.streamingProducer
            self._transport.write(b"".join(unsent) if type(unsent) is list else unsent)

    def _leave(self) -> None:
        """
        Close, or half close, when all is said. A producer that was told to wait, or
        that waits to be asked, still has something to say.
        """
        self._send()
        waits = self.producerPaused or not self.streamingProducer
        if self.producer is not None and waits:
            return
        if self.disconnecting:
            self._mute = True
            self._transport.close()
        elif not self._mute:
            self._mute = True
            self._end_writing()

    def _end_writing(self) -> None:
        if self._transport.get_write_buffer_size():
            # When all is sent, it resumes.
            self._transport.set_write_buffer_limits(high=0)
        else:
            self._outbox.later(self._half_close)

    def _half_close(self) -> None:
        if self.disconnected or self._transport.is_closing():
            return
        self._transport.write_eof()
        half: Any = IHalfCloseableProtocol(self.protocol, None)
        if half is not None:
            self._tell(half.writeConnectionLost)

    def _tell(self, call: Callable[..., Any], *args: Any) -> None:
        try:
            call(*args)
        except BaseException:
            self.failed()

    def _die(self, reason: Failure) -> None:
        self._reason = reason
        self._mute, self._unsent = True, None
        self._transport.abort()

    def _lose(self, reason: Failure) -> None:
        """Tell everybody, once, that it is gone."""
        protocol, self.protocol = self.protocol, None
        self.disconnected, self.connected, self._mute = True, False, True
        self._unsent = self._held = None
        if protocol is None:
            return
        producer, self.producer = self.producer, None
        if producer is not None:
            self._tell(producer.stopProducing)
        self._tell(protocol.connectionLost, reason)
        self._tell(self._home.end, self, reason)

    def __repr__(self) -> str:
        described: str = self._home.describe(self)
        return described


class _Held(asyncio.Protocol):
    """
    Keeps what comes in before a protocol wants to hear it. That is little, as nothing
    is read after it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._data: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self._data.append(data)
        self._connection._transport.pause_reading()

    def eof_received(self) -> bool:
        return True  # whoever reads on, reads that again

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connection.connection_lost(exc)

    def release(self) -> None:
        """Let the connection have it."""
        connection = self._connection
        connection._transport.set_protocol(connection)
        if self._data:
            connection.data_received(b"".join(self._data))


class _Below:
    """
    A connection as it is to the TLS on top of it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, data: bytes) -> None:
        Connection.write(self._connection, data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        Connection.writeSequence(self._connection, iovec)

    def loseConnection(self) -> None:
        Connection.loseConnection(self._connection)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        Connection.registerProducer(self._connection, producer, streaming)

    def unregisterProducer(self) -> None:
        Connection.unregisterProducer(self._connection)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class TCPConnection(Connection):
    """
    A connection by TCP. What is written goes at once (TCP_NODELAY), as it is gathered
    before.
    """

    __slots__ = ()

    @staticmethod
    def _spoken(name: Any) -> IPv4Address | IPv6Address:
        if len(name) == 2:
            return IPv4Address("TCP", *name)
        host, port, flow, scope = name
        if scope:
            host, _ = socket.getnameinfo(name, _NUMERIC)
        return IPv6Address("TCP", host, port, flow, scope)


class UNIXConnection(Connection):
    """
    A connection by a UNIX socket.
    """

    __slots__ = ()

    def getHost(self) -> UNIXAddress:
        try:
            address: UNIXAddress = super().getHost()
        except (OSError, ValueError, AttributeError):
            return UNIXAddress(None)  # it is closed
        return address

    def sendFileDescriptor(self, fileno: int) -> None:
        """
        Only Twisted's own transports can.

        :raise RuntimeError: Always.
        """
        raise RuntimeError(
            "to send descriptors, let the factory provide "
            "ropewalk.net.transports.INeedsDescriptor"
        )

    # Nothing is delayed here. Protocols do not ask what they are given.

    def getTcpNoDelay(self) -> bool:
        return False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """As with Twisted's."""

    @staticmethod
    def _spoken(name: Any) -> UNIXAddress:
        return UNIXAddress(name or None)
