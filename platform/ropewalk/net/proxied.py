# -*- test-case-name: tests.test_proxied -*-
"""
Connections that come through a proxy which first says whose they are: the PROXY
protocol, versions 1 and 2
(https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).

Twisted has it, too (``twisted.protocols.haproxy``), but believes anybody, waits for
ever, and makes the protocol before it knows whose connection it is.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from ipaddress import IPv4Address as PlainIPv4
from ipaddress import IPv6Address as PlainIPv6
from typing import Any

from msgspec import Struct
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import alsoProvides, directlyProvides, providedBy

__all__ = ["Header", "NoHeader", "Proxied", "ProxiedFactory", "read_header"]

#: Bytes of the longest header of version 1 (section 2.1).
_LONGEST_LINE = 107

#: Bytes of the longest header of version 2 that is read: as many as nginx reads
#: (NGX_PROXY_PROTOCOL_MAX_HEADER). The addresses take 232 at most; what follows
#: them (TLVs, section 2.2) is skipped.
_LONGEST_HEADER = 4096

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_WORD = b"PROXY "

#: Section 2.1: the addresses of both, then the ports of both. Of what is unknown,
#: nobody looks at the rest.
_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: .*)?|TCP([46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+)"
    rb" (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))",
    re.DOTALL,
)

_LOCAL, _PROXY = 0, 1

#: Section 2.2: families, in the upper half of a byte, and how they have addresses;
#: in the lower half, whether a stream was accepted, or datagrams.
_UNSPECIFIED, _INET, _INET6, _UNIX = 0, 1, 2, 3
_FORMATS = {_INET: "!4s4sHH", _INET6: "!16s16sHH", _UNIX: "!108s108s"}
_TRANSPORTS = (0, 1, 2)


class NoHeader(Exception):
    """
    What a connection begins with is no header, and will be none.
    """


class Header(Struct, frozen=True):
    """
    What a proxy says of a connection.

    :ivar size: Bytes of it.
    :ivar peer: Who has connected to the proxy; ``None`` when it does not say.
    :ivar host: Where; as ``peer``.
    :ivar own: Whether the proxy speaks for itself: it asks how we are.
    """

    size: int
    peer: IAddress | None = None
    host: IAddress | None = None
    own: bool = False


def read_header(data: bytes) -> Header | None:
    """
    Read what a connection begins with.

    :return: ``None`` as long as it is not complete.
    :raise NoHeader: When it cannot become one.
    """
    if data.startswith(_SIGNATURE[: len(data)]):
        return _read_binary(data)
    if data.startswith(_WORD[: len(data)]):
        return _read_line(data)
    raise NoHeader("it does not begin as the PROXY protocol does")


def _read_line(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, _LONGEST_LINE)
    if end < 0:
        if len(data) >= _LONGEST_LINE:
            raise NoHeader(f"its first {_LONGEST_LINE} bytes are no line")
        return None
    found = _LINE.fullmatch(data[:end])
    if found is None:
        raise NoHeader("its first line says nothing that can be understood")
    if found[1] is None:
        return Header(end + 2)
    kind, source, target, *ports = (each.decode("ascii") for each in found.groups())
    peer_port, port = (int(each) for each in ports)
    try:
        if kind == "4":
            peer, host = str(PlainIPv4(source)), str(PlainIPv4(target))
        else:
            peer, host = str(PlainIPv6(source)), str(PlainIPv6(target))
    except ValueError as error:
        raise NoHeader(f"its first line has no address: {error}") from None
    if max(peer_port, port) > 65535:
        raise NoHeader("its first line has no port")
    make = IPv4Address if kind == "4" else IPv6Address
    return Header(end + 2, make("TCP", peer, peer_port), make("TCP", host, port))


def _read_binary(data: bytes) -> Header | None:
    if len(data) < len(_SIGNATURE) + 4:
        return None
    command, family, length = struct.unpack_from("!BBH", data, len(_SIGNATURE))
    size = len(_SIGNATURE) + 4 + length
    if command >> 4 != 2 or command & 15 not in (_LOCAL, _PROXY):
        raise NoHeader(f"its header has the version and command {command:#04x}")
    if size > _LONGEST_HEADER:
        raise NoHeader(f"its header has {size} bytes; {_LONGEST_HEADER} are read")
    if len(data) < size:
        return None
    if command & 15 == _LOCAL:
        return Header(size, own=True)
    family, transport = family >> 4, family & 15
    if family > _UNIX or transport not in _TRANSPORTS:
        raise NoHeader(f"its header has the family {family} and protocol {transport}")
    if _UNSPECIFIED in (family, transport):
        return Header(size)
    wanted = struct.calcsize(_FORMATS[family])
    if length < wanted:
        raise NoHeader(f"its header has {length} bytes of addresses, not {wanted}")
    said = struct.unpack_from(_FORMATS[family], data, len(_SIGNATURE) + 4)
    if family == _UNIX:
        peer, host = (UNIXAddress(each.partition(b"\0")[0] or None) for each in said)
        return Header(size, peer, host)
    source, target, peer_port, port = said
    return Header(size, _address(source, peer_port), _address(target, port))


def _address(packed: bytes, port: int) -> IPv4Address | IPv6Address:
    if len(packed) == 4:
        return IPv4Address("TCP", str(PlainIPv4(packed)), port)
    return IPv6Address("TCP", str(PlainIPv6(packed)), port)


class Proxied(ProtocolWrapper):
    """
    A connection through a proxy. When the proxy has said whose it is, there is a
    protocol for it, which sees that address and nothing of the proxy.

    :ivar anonymous: Whether the proxy did not say whose it is, or not by an address
        of IP. It then has the proxy's address, but what is said on it is not the
        proxy's word.
    """

    factory: ProxiedFactory
    transport: Any
    wrappedProtocol: Any

    _log = Logger()

    def __init__(self, factory: ProxiedFactory) -> None:
        super().__init__(factory, None)  # type: ignore[arg-type]  # there is none yet
        self.anonymous = False
        self._said = b""
        self._header: Header | None = None
        self._closed = False
        self._deadline: IDelayedCall | None = None

    def getPeer(self) -> Any:
        """Who has connected to the proxy."""
        known = self._header is not None and self._header.peer
        return known or self.transport.getPeer()

    def getHost(self) -> Any:
        """Where they have connected to."""
        known = self._header is not None and self._header.host
        return known or self.transport.getHost()

    def hang_up(self) -> None:
        """Close, unless there is a protocol that would know how to do that."""
        if self.wrappedProtocol is None:
            self._closed = True
            self.loseConnection()

    # What Twisted calls.

    def makeConnection(self, transport: Any) -> None:
        directlyProvides(self, providedBy(transport))
        Protocol.makeConnection(self, transport)
        self.factory.registerProtocol(self)
        patience = self.factory.patience
        self._deadline = self.factory.clock.callLater(patience, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        if self.wrappedProtocol is not None:
            self.wrappedProtocol.dataReceived(data)
        elif not self._closed:
            self._said += data
            try:
                header = read_header(self._said)
            except NoHeader as error:
                self._refuse(str(error))
            else:
                if header is not None:
                    self._begin(header)

    def readConnectionLost(self) -> None:
        self.wrappedProtocol.readConnectionLost()

    def writeConnectionLost(self) -> None:
        self.wrappedProtocol.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_waiting()
        # Breaks a cycle, as Twisted's does.
        protocol, self.wrappedProtocol = self.wrappedProtocol, None
        self._closed = True
        self.factory.unregisterProtocol(self)
        if protocol is not None:
            protocol.connectionLost(reason)

    def _begin(self, header: Header) -> None:
        self._stop_waiting()
        self._header = header
        inet = isinstance(header.peer, IPv4Address | IPv6Address)
        self.anonymous = not (inet or header.own)
        rest, self._said = self._said[header.size :], b""
        protocol = self.factory.wrappedFactory.buildProtocol(self.getPeer())
        if protocol is None:
            self.hang_up()
            return
        self.wrappedProtocol = protocol
        protocol.makeConnection(self)
        # A connection knows only now whether its protocol can be half closed.
        if IHalfCloseableProtocol.providedBy(protocol):
            alsoProvides(self, IHalfCloseableProtocol)
        if rest and not getattr(self.transport, "disconnecting", False):
            protocol.dataReceived(rest)

    def _too_late(self) -> None:
        self._deadline = None
        self._refuse(f"it has not said within {self.factory.patience:g} s whose it is")

    def _refuse(self, problem: str) -> None:
        self._stop_waiting()
        self._log.warn(
            "a connection of the proxy {peer} to {where} was closed: {problem}",
            peer=_spoken(self.transport.getPeer()),
            where=self.factory.where,
            problem=problem,
        )
        self.hang_up()

    def _stop_waiting(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None


class ProxiedFactory(WrappingFactory[Proxied]):
    """
    Takes connections of trusted proxies, and no others.

    :param factory: Makes a protocol for each, when it is known whose it is.
    :param trusts: Whether an ``IAddress`` is a trusted proxy's.
    :param clock: Where time comes from.
    :ivar where: Where they connect to, for the log.
    :cvar patience: Seconds in which a proxy has to say whose a connection is. The
        specification wants 3 at least, as a segment may have to be sent again
        (section 2).
    """

    noisy = False
    patience = 5.0

    _log = Logger()

    def __init__(
        self,
        factory: IProtocolFactory,
        trusts: Callable[[Any], bool],
        clock: IReactorTime,
        where: str,
    ) -> None:
        super().__init__(factory)
        self.clock = clock
        self.where = where
        self._trusts = trusts

    def buildProtocol(  # type: ignore[override]  # it may decline, as any factory
        self, addr: IAddress | None
    ) -> Proxied | None:
        if self._trusts(addr):
            return Proxied(self)
        self._log.warn(
            "a connection of {peer} to {where} was closed: it is no trusted proxy",
            peer=_spoken(addr),
            where=self.where,
        )
        return None

    def hang_up(self) -> None:
        """Close the connections of whom nobody has said yet whose they are."""
        for connection in list(self.protocols):
            connection.hang_up()


def _spoken(address: Any) -> str:
    host: str | None = getattr(address, "host", None)
    return "this machine" if host is None else host
