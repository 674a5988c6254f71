# -*- test-case-name: tests.test_transports -*-
"""
Ports whose connections are the loop's.

Twisted binds, listens and closes, and writes of it in the log; the loop accepts.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.python.failure import Failure

from ropewalk.net.transports.connections import (
    Connection,
    TCPConnection,
    UNIXConnection,
)

__all__ = ["TCPPort", "UNIXPort"]


class _Accepting:
    """
    What both kinds of ports have in common.

    :cvar client: Whether connections begin here.
    """

    client = False

    reactor: Any  # the network
    socket: socket.socket
    factory: Any
    backlog: Any
    sessionno: int
    _kind: type[Connection]
    _realPortNumber: int | None
    _server: asyncio.AbstractServer | None = None
    _looking_at = 0

    # What Twisted calls when it listens, and when it no longer does.

    def startReading(self) -> None:
        if self._server is not None:
            return
        # The loop closes what it is given. This one is Twisted's.
        given = self.socket.dup()
        # How many wait at a socket that was passed on, nobody knows; there must not
        # be fewer.
        backlog = socket.SOMAXCONN if self.backlog is None else self.backlog
        self._server = _at_once(
            self.reactor.loop.create_server(
                self._answer, sock=given, backlog=backlog, start_serving=False
            )
        )
        _at_once(self._server.start_serving())
        self.reactor.add(self)

    def stopReading(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.reactor.discard(self)

    def _answer(self) -> Connection:
        number = self.sessionno
        self.sessionno = number + 1
        return self._kind(self, number, self.reactor.outbox)

    # What connections call.

    def begin(self, connection: Connection) -> Any:
        """Make the protocol of a connection; ``None`` if it is to be closed."""
        peer = connection.address()
        if peer is None:
            return None  # it was reset meanwhile
        if connection.sessionno >= self._looking_at:
            seldom = self.reactor.opened(connection.fileno())
            self._looking_at = connection.sessionno + seldom
        protocol = self.factory.buildProtocol(peer)
        if protocol is not None:
            self.reactor.add(connection)
        return protocol

    def end(self, connection: Connection, reason: Failure) -> None:
        """Forget a connection."""
        self.reactor.discard(connection)

    def prefix(self, connection: Connection) -> str:
        """What the log lines of a connection begin with."""
        name = self._getLogPrefix(connection.protocol)  # type: ignore[attr-defined]
        host = getattr(connection.getPeer(), "host", None)
        return f"{name},{connection.sessionno},{host}"

    def describe(self, connection: Connection) -> str:
        """A connection, for people."""
        name = type(connection.protocol).__name__
        return f"<{name} #{connection.sessionno} on {self._realPortNumber}>"


class TCPPort(_Accepting, tcp.Port):
    """
    A TCP port.
    """

    _kind = TCPConnection


class UNIXPort(_Accepting, unix.Port):
    """
    A UNIX socket that listens.
    """

    _kind = UNIXConnection

    def begin(self, connection: Connection) -> Any:
        """As of any port; who receives descriptors gets Twisted's own transport."""
        protocol: Any = super().begin(connection)
        receives: bool = IFileDescriptorReceiver.providedBy(protocol)
        if not receives:
            return protocol
        self.reactor.discard(connection)
        same = connection.getHandle().dup()
        protocol.makeConnection(
            unix.Server(
                same,
                protocol,
                same.getpeername(),
                self,
                connection.sessionno,
                self.reactor,
            )
        )
        return None


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """
    What comes of a coroutine of the loop's that has nothing to wait for; at most it
    lets others go first.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    return None
