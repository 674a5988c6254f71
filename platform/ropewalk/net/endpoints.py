# -*- test-case-name: tests.test_endpoints -*-
"""
Where to listen: a Twisted endpoint string, of which we know early on which
address it will want, and which we can bind before we accept.

Between binding and accepting lies the start of every service. A daemon that
binds first learns at once that its port is taken, may give up its privileges
before it runs anybody's code, and refuses connections until it can serve them.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorSocket,
)
from zope.interface import directlyProvides, providedBy

__all__ = ["Claim", "Doorway", "claim"]

#: Endpoints that end in one TCP port, and which of their arguments it is. The
#: ``tls:`` endpoint has the directory of its certificates first.
_PORTS = {"tcp": 0, "ssl": 0, "tls": 1}


@frozen
class Claim:
    """
    What an endpoint takes for itself.

    :ivar kind: ``"tcp"``, ``"unix"``, or another endpoint's prefix.
    :ivar address: A TCP port, a path, or the rest of the string.
    :ivar interface: The address to listen on; empty for all of them.
    """

    kind: str
    address: str
    interface: str = ""

    def clashes(self, other: Claim) -> bool:
        """Whether both cannot be had at once. Port 0 is as many as one likes."""
        if (self.kind, self.address) != (other.kind, other.address):
            return False
        if self.kind != "tcp":
            return True
        if self.address == "0":
            return False
        return self.interface == other.interface or not (
            self.interface and other.interface
        )

    def __str__(self) -> str:
        if self.kind != "tcp":
            return f"{self.kind}:{self.address}"
        return f"TCP port {self.address} of {self.interface or 'every interface'}"


def claim(description: str) -> Claim:
    """
    Say what an endpoint will take.

    :param description: As for
        :func:`twisted.internet.endpoints.serverFromString`.
    """
    words = re.split(r"(?<!\\):", description)
    kind, arguments = words[0], [word.replace("\\:", ":") for word in words[1:]]
    plain = [word for word in arguments if "=" not in word]
    named = dict(word.split("=", 1) for word in arguments if "=" in word)
    if kind in _PORTS:
        place = _PORTS[kind]
        port = named.get("port", plain[place] if len(plain) > place else "")
        interface = named.get("interface", "")
        return Claim("tcp", port, "" if interface in ("0.0.0.0", "::") else interface)
    if kind == "unix" and (plain or "address" in named):
        path = named.get("address", plain[0] if plain else "")
        return Claim("unix", os.path.abspath(path))
    return Claim(kind, description.partition(":")[2])


class _BoundReactor:
    """
    The reactor, but that a TCP port which is bound already is not bound again.
    Endpoints of any kind that end in ``listenTCP`` or ``listenSSL`` use it.
    """

    def __init__(self, reactor: Any, bound: socket.socket) -> None:
        self._reactor = reactor
        self._bound = bound
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        try:
            self._bound.listen(backlog)
        except OSError as error:
            raise CannotListenError(interface, port, error) from error
        opened: IListeningPort = self._reactor.adoptStreamPort(
            self._bound.fileno(), self._bound.family, factory
        )
        return opened

    def listenSSL(
        self,
        port: int,
        factory: Any,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        from twisted.protocols.tls import TLSMemoryBIOFactory

        wrapped = TLSMemoryBIOFactory(contextFactory, False, factory)
        return self.listenTCP(port, wrapped, backlog, interface)


@define
class Doorway:
    """
    One place to listen: bound, then opened, then closed.

    :param description: An endpoint string.
    """

    description: str
    _reactor: Any
    _bound: socket.socket | None = field(default=None, init=False)
    _port: IListeningPort | None = field(default=None, init=False)

    def bind(self) -> None:
        """
        Take the address, where it is a TCP port; nobody can connect yet.

        :raise CannotListenError: When it cannot be had.
        """
        wanted = claim(self.description)
        if (
            self._bound is not None
            or wanted.kind != "tcp"
            or not wanted.address.isdigit()
            or not IReactorSocket.providedBy(self._reactor)
        ):
            return
        interface = wanted.interface
        if "interface=\\:\\:" in self.description and not interface:
            interface = "::"
        family = socket.AF_INET6 if ":" in interface else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setblocking(False)
            if os.name == "posix":
                # As Twisted's own ports do: a restart need not wait for the
                # last connections of the process before it (TIME_WAIT).
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((interface, int(wanted.address)))
        except OSError as error:
            bound.close()
            port = int(wanted.address)
            raise CannotListenError(interface, port, error) from error
        self._bound = bound

    def open(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Accept connections.

        :return: fires with the port.
        :raise CannotListenError: When the address cannot be had.
        """
        bound, reactor = self._bound, self._reactor
        if bound is not None:
            reactor = _BoundReactor(reactor, bound)
        opening = maybeDeferred(self._listen, reactor, factory)
        opening.addCallback(self._opened)
        if bound is not None:
            opening.addBoth(self._unbind)
        return opening

    def close(self) -> Deferred[Any]:
        """Accept no more, and give the address back."""
        self._unbind(None)
        port, self._port = self._port, None
        stop: Callable[[], Any] = (lambda: None) if port is None else port.stopListening
        return maybeDeferred(stop)

    @property
    def address(self) -> Any:
        """The address it accepts at, an ``IAddress``; ``None`` while closed."""
        return None if self._port is None else self._port.getHost()

    def _listen(self, reactor: Any, factory: IProtocolFactory) -> Any:
        return serverFromString(reactor, self.description).listen(factory)

    def _opened(self, port: IListeningPort) -> IListeningPort:
        self._port = port
        return port

    def _unbind(self, result: Any) -> Any:
        if self._bound is not None:
            self._bound.close()
            self._bound = None
        return result
