# -*- test-case-name: tests.test_datagrams -*-
"""
A place that datagrams come to is a service as a listener is: it binds, it opens when it
is told to, it knows its peers, and when it stops it says goodbye to each of them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorSocket
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.net.datagrams import DatagramPeer, Datagrams
from ropewalk.net.endpoints import bind, claim_datagrams
from ropewalk.net.listening import namer, spoken
from ropewalk.telemetry import Work, work

__all__ = ["DatagramListener"]

#: The longest datagram there is, and a byte: what is longer than a peer may send is
#: refused, never cut and taken for something else.
_MOST = 65_536


class DatagramListener(Service):
    """
    Takes datagrams at one address.

    Its service starts and stops with the others; :meth:`open` lets people in. What is
    sent to it between the two waits with the system, as far as that has room.

    :param description: Where: ``"udp:7072:interface=127.0.0.1"``.
    :param protocol: A :class:`~ropewalk.net.datagrams.Datagrams`, or any Twisted
        ``DatagramProtocol``.
    :param owner: The service whose peers these are.
    :param names: Makes names for peers.
    :raise BadEndpoint: When the string is none.
    """

    _log = Logger()

    def __init__(
        self,
        description: str,
        protocol: DatagramProtocol,
        owner: str,
        reactor: Any,
        names: Callable[[], str] | None = None,
    ) -> None:
        self.description = description
        self.owner = owner
        self.protocol = protocol
        self._reactor = reactor
        self._claim = claim_datagrams(description)
        self._work = Work(plugin=owner)
        self._bound: socket.socket | None = None
        self._port: Any = None
        self._draining: Deferred[None] | None = None
        if isinstance(protocol, Datagrams):
            protocol.work = self._work
            protocol.next_name = names or namer()

    @property
    def address(self) -> Any:
        """Where it is, an ``IAddress``; ``None`` while it is closed."""
        return None if self._port is None else self._port.getHost()

    @property
    def place(self) -> str:
        """Where it is, for people: ``"127.0.0.1:7072"``."""
        address = self.address
        return self.description if address is None else spoken(address)

    @property
    def connections(self) -> tuple[DatagramPeer, ...]:
        """The peers, those first that came first, as far as that is known."""
        known = isinstance(self.protocol, Datagrams)
        return self.protocol.peers if known else ()  # type: ignore[attr-defined]

    @property
    def serves(self) -> Any:
        """What hears all that comes, as it was given."""
        return self.protocol

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        if self._bound is None and IReactorSocket.providedBy(self._reactor):
            port = int(self._claim.address)
            self._bound = bind(self._claim.interface, port, socket.SOCK_DGRAM)

    def open(self) -> Deferred[Any]:
        """
        Let people in.

        :return: fires when they can come.
        :raise CannotListenError: When the address cannot be had.
        """
        self._draining = None
        opening: Deferred[Any] = maybeDeferred(self._open)
        return opening

    def drain(self, reason: str) -> Deferred[None]:
        """
        Let nobody in any more, and say goodbye to those who are; then close. Can be
        called again while that takes its time; goodbye is said once.

        :param reason: Why, for people.
        :return: fires when nobody is left. Cancelling it ends the wait of who does.
        """
        if self._draining is None:
            self._draining = self._drain(reason)
        waiting: Deferred[None] = Deferred()
        self._draining.addCallback(lambda _: waiting.callback(None))
        return waiting

    def abort(self) -> None:
        """Forget every peer that is left."""
        if isinstance(self.protocol, Datagrams):
            self.protocol.abort()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return self.drain("shutting down")

    def _open(self) -> None:
        heard = _Within(self.protocol, self._work)
        bound, self._bound = self._bound, None
        if bound is None:
            port, interface = int(self._claim.address), self._claim.interface
            self._port = self._reactor.listenUDP(port, heard, interface, _MOST)
            return
        try:
            self._port = self._reactor.adoptDatagramPort(
                bound.fileno(), bound.family, heard, _MOST
            )
        finally:
            bound.close()

    def _drain(self, reason: str) -> Deferred[None]:
        known = isinstance(self.protocol, Datagrams)
        leaving: Deferred[None] = (
            self.protocol.close(reason) if known else succeed(None)  # type: ignore[attr-defined]
        )
        return leaving.addCallback(lambda _: self._close()).addErrback(self._failed)

    def _close(self) -> Any:
        bound, self._bound = self._bound, None
        if bound is not None:
            bound.close()
        port, self._port = self._port, None
        return None if port is None else maybeDeferred(port.stopListening)

    def _failed(self, failure: Failure) -> None:
        self._log.failure("{where} did not close", failure, where=self.description)


class _Within(DatagramProtocol):
    """
    A protocol in its place between the transport and the log: what it does is its
    owner's work, and what it raises is logged there and harms nobody.
    """

    noisy = False

    _log = Logger()

    def __init__(self, protocol: DatagramProtocol, owner: Work) -> None:
        self._protocol = protocol
        self._work = owner
        protocol.noisy = False

    def startProtocol(self) -> None:
        self._call(self._protocol.makeConnection, self.transport)

    def stopProtocol(self) -> None:
        self._call(self._protocol.doStop)

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self._call(self._protocol.datagramReceived, datagram, addr)

    def connectionRefused(self) -> None:
        self._call(self._protocol.connectionRefused)

    def _call(self, method: Callable[..., Any], *args: Any) -> None:
        token = work.set(self._work)
        try:
            method(*args)
        except Exception:
            self._log.failure("what hears datagrams failed")
        finally:
            work.reset(token)
