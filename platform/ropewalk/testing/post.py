# -*- test-case-name: tests.test_datagrams -*-
"""
Datagrams in memory: they arrive in the order in which they were sent, and none is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError, MessageLengthError
from twisted.internet.interfaces import IListeningPort, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

__all__ = ["MemoryUDPPort", "Post"]

_EVERYWHERE = ("", "0.0.0.0", "::")

#: As in UDP over IPv4.
_MOST = 65_507


@define(eq=False)
class Post:
    """
    Brings datagrams from one port to another. All hosts are one, so that a port's
    number says which it is; of several with one number, the address does.

    :param soon: Calls a function in a later turn.
    """

    _soon: Callable[..., None]
    _ports: list[MemoryUDPPort] = field(factory=list, init=False)

    def listen(
        self, address: Any, protocol: DatagramProtocol, most: int
    ) -> MemoryUDPPort:
        """
        Open a port.

        :raise CannotListenError: When there is one.
        """
        port = MemoryUDPPort(self, address, protocol, most)
        port.startListening()
        return port

    def add(self, port: MemoryUDPPort) -> None:
        """Bring it what is for it."""
        ours = port.address
        for other in self._ports:
            theirs = other.address
            hosts = {ours.host, theirs.host}
            everywhere = not hosts.isdisjoint(_EVERYWHERE)
            if ours.port == theirs.port and (everywhere or len(hosts) == 1):
                error = OSError("Address already in use")
                raise CannotListenError(ours.host, ours.port, error)
        self._ports.append(port)

    def remove(self, port: MemoryUDPPort) -> None:
        """Bring it nothing more."""
        if port in self._ports:
            self._ports.remove(port)

    def send(
        self, datagram: bytes, source: tuple[str, int], target: tuple[str, int]
    ) -> None:
        """Have it arrive in a later turn, if somebody is there then."""
        self._soon(self._deliver, datagram, source, target)

    def _deliver(
        self, datagram: bytes, source: tuple[str, int], target: tuple[str, int]
    ) -> None:
        host, number = target
        there = [each for each in self._ports if each.address.port == number]
        exact = [each for each in there if each.address.host == host]
        for port in (exact or there)[:1]:
            port.take(datagram, source)


@implementer(IListeningPort, IUDPTransport)
class MemoryUDPPort:
    """
    A port that datagrams come to, and the transport of who hears them.

    :ivar address: Its address.
    :param most: How much of a datagram is read: the rest is lost, as by the system.
    """

    _log = Logger()

    def __init__(
        self, post: Post, address: Any, protocol: DatagramProtocol, most: int
    ) -> None:
        self.address = address
        self._post = post
        self._protocol = protocol
        self._most = most
        self._open = False

    def startListening(self) -> None:
        self._post.add(self)
        self._open = True
        self._protocol.makeConnection(self)

    def stopListening(self) -> Deferred[None]:
        self._post.remove(self)
        if self._open:
            self._open = False
            self._protocol.doStop()
        return succeed(None)

    def getHost(self) -> Any:
        return self.address

    def write(self, packet: bytes, addr: tuple[str, int] | None = None) -> None:
        if addr is None:
            raise ValueError("a datagram needs an address to go to")
        if not isinstance(packet, bytes | bytearray | memoryview):
            raise TypeError(f"a transport takes bytes, not {type(packet).__name__}")
        if len(packet) > _MOST:
            raise MessageLengthError("message too long")
        host = "127.0.0.1" if self.address.host in _EVERYWHERE else self.address.host
        self._post.send(bytes(packet), (host, self.address.port), addr)

    def take(self, datagram: bytes, source: tuple[str, int]) -> None:
        """It has arrived."""
        try:
            self._protocol.datagramReceived(datagram[: self._most], source)
        except Exception:
            self._log.failure("{protocol} failed", protocol=self._protocol)

    # What else a transport of UDP can do, and this one has no use for.

    def connect(self, host: str, port: int) -> None:
        raise NotImplementedError("say with each datagram where it is to go")

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """There is but one machine."""

    def getBroadcastAllowed(self) -> bool:
        return False
