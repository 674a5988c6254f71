# -*- test-case-name: tests.test_transports -*-
"""
Connections that begin here.

Twisted resolves, binds and connects; the loop has what comes of it.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.net.transports.connections import (
    Connection,
    TCPConnection,
    UNIXConnection,
)

__all__ = ["TCPConnector", "UNIXConnector"]


class _Dialling:
    """
    What Twisted connects, and hands to the loop.

    :cvar client: As of a port.
    """

    client = True

    addr: Any
    connector: Any
    reactor: Any  # the network
    socket: socket.socket
    fileno: Any
    _kind: type[Connection]
    _dialling = Logger()

    # What Twisted calls when it is connected.

    def _connectDone(self) -> None:
        given = self.socket
        # It is the loop's to close. There is nothing any more to be given up here.
        del self.socket, self.fileno
        loop = self.reactor.loop
        handing = loop.create_task(loop.connect_accepted_socket(self._answer, given))
        handing.add_done_callback(self._handed)

    def _answer(self) -> Connection:
        return self._kind(self, 0, self.reactor.outbox)

    def _handed(self, handing: asyncio.Task[Any]) -> None:
        try:
            handing.result()
        except (Exception, asyncio.CancelledError) as error:
            dialling: Any = self
            dialling.failIfNotConnected(ConnectError(string=str(error)))

    # What the connection calls.

    def begin(self, connection: Connection) -> Any:
        """Make its protocol, unless nobody wants it any more."""
        connector = getattr(self, "connector", None)
        if connector is None:
            return None
        # It may have been reset meanwhile: then only we still know who that was.
        dialled: Any = self
        connection.peer = dialled.getPeer()
        try:
            protocol = connector.buildProtocol(connection.peer)
        except BaseException:
            self._dialling.failure("{me} makes no protocol", me=connector.factory)
            connector.connectionFailed(Failure())
            del self.connector
            return None
        connector.transport = connection
        self.reactor.add(connection)
        # Somebody waits for the end of it, even so.
        return _Nobody() if protocol is None else protocol

    def end(self, connection: Connection, reason: Failure) -> None:
        """Forget the connection."""
        self.reactor.discard(connection)
        self.connector.connectionLost(reason)

    def prefix(self, connection: Connection) -> str:
        """What the log lines of the connection begin with."""
        name = self._getLogPrefix(connection.protocol)  # type: ignore[attr-defined]
        return f"{name},client"

    def describe(self, connection: Connection) -> str:
        """The connection, for people."""
        return f"<{type(connection)} to {self.addr} at {id(connection):x}>"


class _Nobody(Protocol):
    """
    Where a factory makes no protocol.
    """

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


class _TCPClient(_Dialling, tcp.Client):
    _kind = TCPConnection


class _UNIXClient(_Dialling, unix.Client):
    _kind = UNIXConnection

    def begin(self, connection: Connection) -> Any:
        """As of any; who receives descriptors gets Twisted's own transport."""
        protocol: Any = super().begin(connection)
        receives: bool = IFileDescriptorReceiver.providedBy(protocol)
        if not receives:
            return protocol
        self.reactor.discard(connection)
        self.socket = connection.getHandle().dup()
        self.fileno = self.socket.fileno
        self.protocol = protocol
        self.logstr = self.prefix(connection)
        self.connected = 1
        self.connector.transport = self
        self.startReading()
        protocol.makeConnection(self)
        return None


class TCPConnector(tcp.Connector):
    """
    Connects by TCP.
    """

    def _makeTransport(self) -> Any:
        return _TCPClient(self.host, self.port, self.bindAddress, self, self.reactor)


class UNIXConnector(unix.Connector):
    """
    Connects to a UNIX socket.
    """

    def _makeTransport(self) -> Any:
        return _UNIXClient(self.address, self, self.reactor, self.checkPID)
