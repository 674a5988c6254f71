# -*- test-case-name: tests.test_wires -*-
"""
A connection without a network: what a server has taken in goes to a site by it, and the
answer comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer

from ropewalk.net.listening import ConnectionFactory
from ropewalk.telemetry import Work

__all__ = ["Near", "Wire", "WireDoor"]


class Near(Protocol):
    """The end that is not the site's."""

    def hear(self, data: bytes) -> None:
        """The site has written something."""

    def wait(self, hold: bool) -> None:
        """The site wants no more, or wants more again."""

    def ended(self) -> None:
        """The site has closed the connection."""


@implementer(ITCPTransport, IConsumer, IPushProducer)
class Wire:
    """
    The site's end of a connection in memory. What is written is heard at once; that the
    connection has ended, the protocol is told in a later turn.

    :param near: The other end.
    :param soon: Calls a function in a later turn.
    :param host: The address of this end.
    :param peer: The address of the client.
    :param secure: Whether the client has come by TLS.
    """

    connected = True
    disconnected = disconnecting = False
    protocol: Any = None

    def __init__(
        self,
        near: Near,
        soon: Callable[..., object],
        host: IAddress,
        peer: IAddress,
        secure: bool,
    ) -> None:
        self._near, self._soon = near, soon
        self._host, self._peer = host, peer
        self._producer: Any = None
        self._held = False
        if secure:
            directlyProvides(self, ISSLTransport)

    # What the near end calls.

    def feed(self, data: bytes) -> None:
        """Let the site hear something."""
        if self.connected and not self.disconnecting:
            self.protocol.dataReceived(data)

    def hold(self, hold: bool) -> None:
        """Take no more for now, or take more again."""
        if self._held == hold:
            return
        self._held = hold
        if self._producer is not None:
            if hold:
                self._producer.pauseProducing()
            else:
                self._producer.resumeProducing()

    def hang_up(self) -> None:
        """The client has gone, or is done."""
        self._soon(self._lose, ConnectionLost())

    def retire(self) -> None:
        """No more will be asked: end when what was asked has been dealt with."""
        self._soon(self._retire)

    # What the site calls.

    def write(self, data: bytes) -> None:
        if self.connected and not self.disconnecting and data:
            self._near.hear(bytes(data))

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            if self._producer is None:
                self._end(ConnectionDone())

    def abortConnection(self) -> None:
        if self.connected:
            self.disconnecting = True
            self._end(ConnectionAborted())

    def loseWriteConnection(self) -> None:
        self.loseConnection()

    def getHost(self) -> Any:
        return self._host

    def getPeer(self) -> Any:
        return self._peer

    def getPeerCertificate(self) -> None:
        """The client's certificate is the server's to know."""

    # There are no packets, and nothing can be dead unnoticed.

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpNoDelay(self, enabled: bool) -> None: ...

    def getTcpKeepAlive(self) -> bool:
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None: ...

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self._producer is not None:
            raise RuntimeError(f"{self._producer!r} is registered already")
        if not streaming:
            raise RuntimeError(f"{producer!r} would have to be asked for each piece")
        if not self.connected:
            producer.stopProducing()
            return
        self._producer = producer
        if self._held:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self._producer = None
        if self.disconnecting:
            self._end(ConnectionDone())

    def pauseProducing(self) -> None:
        self._near.wait(True)

    def resumeProducing(self) -> None:
        if self.connected and not self.disconnecting:
            self._near.wait(False)

    def stopProducing(self) -> None:
        self.loseConnection()

    def _retire(self) -> None:
        channel: Any = getattr(self.protocol, "wrappedProtocol", None)
        if getattr(channel, "requests", None):
            channel.persistent = False  # whoever answers has not ended yet
        else:
            self._lose(ConnectionDone())

    def _end(self, reason: Exception) -> None:
        if self.connected:
            self._near.ended()
            self._soon(self._lose, reason)

    def _lose(self, reason: Exception) -> None:
        if not self.connected:
            return
        self.connected, self.disconnected = False, True
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(Failure(reason))


class _Wires(ConnectionFactory):
    """
    Makes the connections. How many an address may have is the server's to say: it may
    have them all from one proxy.
    """

    def __init__(self, site: Any, owner: Work, names: Callable[[], str]) -> None:
        super().__init__(site, owner, names)
        self._most = None


class WireDoor(Service):
    """
    Where requests come in that another server has taken: in place of a listener.

    :param description: What the settings would have had listen.
    :param site: What answers, or would have.
    :ivar reactor: The reactor.
    """

    address = None

    def __init__(
        self,
        description: str,
        site: Any,
        owner: str,
        reactor: Any,
        names: Callable[[], str],
    ) -> None:
        self.description, self.owner, self.serves = description, owner, site
        self._factory = _Wires(site, Work(plugin=owner), names)
        self.reactor = reactor

    @property
    def place(self) -> str:
        """What the settings say; it is not there."""
        return self.description

    @property
    def connections(self) -> tuple[Any, ...]:
        """The connections alive, oldest first."""
        return tuple(self._factory.alive)

    def connect(
        self, near: Near, host: IAddress, peer: IAddress, secure: bool
    ) -> Wire | None:
        """
        A connection to the site.

        :return: ``None`` when it has closed.
        """
        connection = self._factory.buildProtocol(peer)
        if connection is None:
            return None
        wire = Wire(near, self.later, host, peer, secure)
        wire.protocol = connection
        connection.makeConnection(wire)
        return wire

    def open(self) -> Deferred[Any]:
        """Nothing is to be opened."""
        return succeed(None)

    def goodbye(self, reason: str) -> None:
        """Say goodbye to those who are here; others may still come."""
        for connection in self.connections:
            connection.drain(reason)

    def drain(self, reason: str) -> Deferred[None]:
        """See :class:`ropewalk.net.doors.Door`."""
        self._factory.closed = True
        self.goodbye(reason)
        return self._factory.gone()

    def abort(self) -> None:
        """See :class:`ropewalk.net.doors.Door`."""
        for connection in self.connections:
            connection.cut()

    def later(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function in a later turn."""
        self.reactor.callLater(0, function, *args)
