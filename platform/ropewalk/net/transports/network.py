# -*- test-case-name: tests.test_transports -*-
"""
A reactor whose connections are the loop's.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Iterator
from typing import Any

from twisted.internet.error import UnsupportedAddressFamily
from twisted.internet.interfaces import (
    IConnector,
    IFileDescriptorReceiver,
    IListeningPort,
)
from twisted.internet.main import CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import Interface, directlyProvides, providedBy

from ropewalk.net.transports.clients import TCPConnector, UNIXConnector
from ropewalk.net.transports.connections import Outbox
from ropewalk.net.transports.ports import TCPPort, UNIXPort

__all__ = ["INeedsDescriptor", "LoopNetwork", "needs_descriptor", "network"]

#: The part of the descriptors that a process may have from which on it is said that
#: they are few, and the seconds between two times that it is said. Before that, one in
#: so many connections is looked at: for one that was asked for its descriptor, the loop
#: keeps 64 bytes more.
_FEW, _AGAIN, _SELDOM = 0.95, 60.0, 64

#: Where factories keep the one that they wrap.
_WRAPPED = ("wrappedFactory", "_wrappedFactory")


class INeedsDescriptor(Interface):
    """
    A factory whose protocols do with the file descriptor of their connection what no
    transport does for them: watch it, read it, hand it on. They have Twisted's own
    transports.
    """


def network(reactor: Any) -> Any:
    """
    A reactor whose connections are those of its loop, if that is uvloop's; otherwise
    the reactor, as Twisted's transports are then as good.
    """
    loop: Any = getattr(reactor, "loop", None)
    if type(loop).__module__.partition(".")[0] != "uvloop":
        return reactor
    return reactor if isinstance(reactor, LoopNetwork) else LoopNetwork(reactor, loop)


def needs_descriptor(factory: Any) -> bool:
    """
    Whether a factory, or one within, is an :class:`INeedsDescriptor`.
    """
    return any(INeedsDescriptor.providedBy(each) for each in _within(factory))


class LoopNetwork:
    """
    A reactor whose TCP and UNIX connections, and those with TLS, are made of the
    transports of an event loop. Whatever else is asked of it, the reactor does.

    Where no descriptor is left, the loop closes connections as they come. That it
    comes to this is said in the log.

    :param reactor: The reactor that runs on the loop.
    """

    _log = Logger()

    def __init__(self, reactor: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._reactor = reactor
        self.loop = loop
        self.outbox = Outbox(loop.call_soon)
        self._alive: set[Any] = set()
        self._trigger: Any = None
        self._said: float | None = None
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    # What endpoints call.

    def listenTCP(
        self, port: Any, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        if needs_descriptor(factory):
            ordinary: IListeningPort = self._reactor.listenTCP(
                port, factory, backlog, interface
            )
            return ordinary
        opened = TCPPort(port, factory, backlog, interface, self)
        opened.startListening()
        return opened

    def connectTCP(
        self,
        host: str,
        port: Any,
        factory: Any,
        timeout: float = 30,
        bindAddress: Any = None,
    ) -> IConnector:
        if needs_descriptor(factory):
            ordinary: IConnector = self._reactor.connectTCP(
                host, port, factory, timeout, bindAddress
            )
            return ordinary
        connector = TCPConnector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    def listenSSL(
        self,
        port: Any,
        factory: Any,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        from twisted.protocols.tls import TLSMemoryBIOFactory

        clock: Any = self
        wrapped = TLSMemoryBIOFactory(contextFactory, False, factory, clock)
        opened: Any = self.listenTCP(port, wrapped, backlog, interface)
        opened._type = "TLS"
        return opened  # type: ignore[no-any-return]

    def connectSSL(
        self,
        host: str,
        port: Any,
        factory: Any,
        contextFactory: Any,
        timeout: float = 30,
        bindAddress: Any = None,
    ) -> IConnector:
        from twisted.protocols.tls import TLSMemoryBIOFactory

        clock: Any = self
        wrapped = TLSMemoryBIOFactory(contextFactory, True, factory, clock)
        return self.connectTCP(host, port, wrapped, timeout, bindAddress)

    def listenUNIX(
        self,
        address: Any,
        factory: Any,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: int = 0,
    ) -> IListeningPort:
        if _exchanges_descriptors(factory):
            ordinary: IListeningPort = self._reactor.listenUNIX(
                address, factory, backlog, mode, wantPID
            )
            return ordinary
        opened = UNIXPort(address, factory, backlog, mode, self, wantPID)
        opened.startListening()
        return opened

    def connectUNIX(
        self, address: Any, factory: Any, timeout: float = 30, checkPID: int = 0
    ) -> IConnector:
        if _exchanges_descriptors(factory):
            ordinary: IConnector = self._reactor.connectUNIX(
                address, factory, timeout, checkPID
            )
            return ordinary
        connector = UNIXConnector(address, factory, timeout, self, checkPID)
        connector.connect()
        return connector

    def adoptStreamPort(
        self,
        fileDescriptor: int,
        addressFamily: Any,
        factory: Any,
        backlog: int | None = None,
    ) -> IListeningPort:
        """
        As a reactor's.

        :param backlog: How many may wait to be accepted, if that is known.
        """
        unix = addressFamily == socket.AF_UNIX
        if _exchanges_descriptors(factory) if unix else needs_descriptor(factory):
            ordinary: IListeningPort = self._reactor.adoptStreamPort(
                fileDescriptor, addressFamily, factory
            )
            return ordinary
        opened: Any
        if unix:
            opened = UNIXPort._fromListeningDescriptor(self, fileDescriptor, factory)
        elif addressFamily in (socket.AF_INET, socket.AF_INET6):
            opened = TCPPort._fromListeningDescriptor(
                self, fileDescriptor, addressFamily, factory
            )
        else:
            raise UnsupportedAddressFamily(addressFamily)
        if backlog is not None:
            opened.backlog = backlog
        opened.startListening()
        return opened  # type: ignore[no-any-return]

    # What ports and connections call.

    def add(self, member: Any) -> None:
        """Have it told when the reactor stops, as Twisted tells its own."""
        if self._trigger is None:
            self._trigger = self._reactor.addSystemEventTrigger(
                "during", "shutdown", self._stop
            )
        self._alive.add(member)

    def discard(self, member: Any) -> None:
        """Forget it."""
        self._alive.discard(member)
        if not self._alive and self._trigger is not None:
            trigger, self._trigger = self._trigger, None
            self._reactor.removeSystemEventTrigger(trigger)

    def opened(self, number: int) -> int:
        """
        See whether descriptors become few: the lowest that is free is always taken.

        :param number: A descriptor that was just made.
        :return: after how many more to ask again.
        """
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        few = int(limit * _FEW)
        if limit == resource.RLIM_INFINITY or number < few - _SELDOM:
            return _SELDOM
        if number >= few and self._again():
            self._log.warn(
                "{number} of {limit} file descriptors are in use; when none is left, "
                "connections are closed as they come (LimitNOFILE=, ulimit -n)",
                number=number + 1,
                limit=limit,
            )
        return max(1, few - number)

    def _again(self) -> bool:
        now = self._reactor.seconds()
        if self._said is not None and now - self._said < _AGAIN:
            return False
        self._said = now
        return True

    def disconnect(self) -> None:
        """End all that there is at once, as a reactor does with its own."""
        for member in list(self._alive):
            member.connectionLost(Failure(CONNECTION_LOST))

    def _stop(self) -> None:
        self._trigger = None
        self.disconnect()


def _exchanges_descriptors(factory: Any) -> bool:
    """
    Whether the connections of a factory may be used to send descriptors through.
    """
    return needs_descriptor(factory) or any(
        isinstance(protocol, type) and IFileDescriptorReceiver.implementedBy(protocol)
        for protocol in (getattr(each, "protocol", None) for each in _within(factory))
    )


def _within(factory: Any) -> Iterator[Any]:
    """A factory, the one that it wraps, and so on."""
    while factory is not None:
        yield factory
        inner = [getattr(factory, name, None) for name in _WRAPPED]
        factory = inner[0] or inner[1]
