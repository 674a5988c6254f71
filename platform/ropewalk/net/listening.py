# -*- test-case-name: tests.test_listening -*-
"""
A listener is a service: it binds, it accepts when it is told to, it knows its
connections, and when it stops it says goodbye to each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address, IPv6Network
from itertools import count
from typing import Any

from msgspec.structs import replace
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IProtocolNegotiationFactory,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from ropewalk.interfaces import IDrainable
from ropewalk.net.endpoints import Doorway
from ropewalk.net.segments import Named
from ropewalk.net.vanished import VANISHED
from ropewalk.telemetry import Work, work, working

__all__ = [
    "Connection",
    "ConnectionFactory",
    "Crowd",
    "Listener",
    "namer",
    "spoken",
]


class Connection(Named, ProtocolWrapper):
    """
    A protocol in its place between the transport and the log: what it does is
    done under its connection's name, and what it raises is logged there and
    ends the connection.

    :ivar name: ``"c17"``.
    :ivar work: Whose work it does. After an upgrade from HTTP that is no longer
        the site's, and whoever hands it over says so;
    :ivar peer: and who is at the other end, if that is not who has connected: the
        client of a proxy, an ``IAddress``.
    """

    factory: ConnectionFactory
    transport: Any
    wrappedProtocol: Any
    peer: Any = None
    whose = ""

    _log = Logger()

    def __init__(self, factory: ConnectionFactory, protocol: IProtocol) -> None:
        super().__init__(factory, protocol)
        self.transport = None
        self.name = factory.next_name()
        self.work = replace(factory.work, connection=self.name)

    def getPeer(self) -> Any:
        """The address of who is at the other end."""
        return self.peer or self.transport.getPeer()

    def makeConnection(self, transport: Any) -> None:
        self._within(super().makeConnection, transport)
        if IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            alsoProvides(self, IHalfCloseableProtocol)

    def _hear_again(self, data: bytes) -> None:
        self._within(self.wrappedProtocol.dataReceived, data)

    def readConnectionLost(self) -> None:
        """The peer says no more. Not all that speak here at last can hear it."""
        half: Any = IHalfCloseableProtocol(self.wrappedProtocol, None)
        if half is None:
            self.loseConnection()
        else:
            self._within(half.readConnectionLost)

    def writeConnectionLost(self) -> None:
        half: Any = IHalfCloseableProtocol(self.wrappedProtocol, None)
        if half is not None:
            self._within(half.writeConnectionLost)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # Breaks a cycle, as Twisted's does.
        protocol, self.wrappedProtocol = self.wrappedProtocol, None
        self._within(protocol.connectionLost, reason)
        # Others know that it is gone when the protocol knows it.
        self.factory.unregisterProtocol(self)

    def drain(self, reason: str) -> None:
        """
        Let the protocol say goodbye, if it can; otherwise close what is there.
        """
        if self.wrappedProtocol is not None:
            self._within(self._say_goodbye, reason)

    def _say_goodbye(self, reason: str) -> None:
        drainable: Any = IDrainable(self.wrappedProtocol, None)
        if drainable is None:
            self.loseConnection()
            return
        try:
            drainable.drain(reason)
        except Exception:
            self._log.failure("{connection} could not say goodbye", connection=self)
            self.loseConnection()

    def _within(self, function: Callable[..., Any], *args: Any) -> None:
        token = work.set(self.work)
        try:
            function(*args)
        except Exception:
            self._failed()
        finally:
            work.reset(token)

    def blame(self, error: BaseException) -> None:
        """The protocol raised it."""
        try:
            raise error
        except Exception:
            self._failed()

    def _failed(self) -> None:
        """
        Twisted would log it as well, but not know whose doing it was.
        """
        self._log.failure("the protocol of {connection} failed", connection=self)
        if self.wrappedProtocol is not None:
            self.cut()

    def cut(self) -> None:
        """End it at once. One that cannot even be cut harms no other."""
        try:
            self.transport.abortConnection()
        except Exception:
            self._log.failure("{connection} could not be cut", connection=self)

    def __str__(self) -> str:
        if self.transport is None:
            return self.name
        return f"{self.name} from {spoken(self.getPeer())}"


class Crowd:
    """
    How many connections each client address has. Of IPv6, a network of 64 bits is
    one: that is the least that a client is given (RFC 6177, section 2).
    """

    _log = Logger()

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._told: set[str] = set()

    def enter(self, address: Any, most: int) -> str | None:
        """
        Count one more.

        :param most: How many there may be; 0 for any number.
        :return: whom it counts for, to be given to :meth:`leave`; ``None`` when there
            are as many as there may be. That is logged, once for a crowd.
        """
        whose = _whose(address)
        count = self._counts.get(whose, 0)
        if not most or not whose or count < most:
            self._counts[whose] = count + 1
            return whose
        if whose not in self._told:
            self._told.add(whose)
            self._log.warn(
                "{whose} has {most} connections; more are closed at once till some end",
                whose=whose,
                most=most,
            )
        return None

    def leave(self, whose: str) -> None:
        """One less."""
        count = self._counts.pop(whose) - 1
        if count:
            self._counts[whose] = count
        else:
            self._told.discard(whose)


class ConnectionFactory(WrappingFactory[Connection]):
    """
    Makes connections of what another factory makes, and knows those alive. One that
    has a method ``most_connections`` says by it how many an address may have.

    :ivar work: Whose connections they are.
    :ivar alive: The connections, oldest first.
    :ivar closed: Whether whoever comes now is turned away.
    """

    protocol = Connection
    noisy = False

    _log = Logger()

    def __init__(
        self, factory: IProtocolFactory, owner: Work, names: Callable[[], str]
    ) -> None:
        super().__init__(factory)
        with suppress(AttributeError):
            # Twisted would log where it starts and stops; the daemon does.
            factory.noisy = False  # type: ignore[attr-defined]
        self.work = owner
        self.next_name = names
        self.alive: dict[Connection, None] = {}
        self.closed = False
        self._crowd = Crowd()
        self._most: Any = getattr(factory, "most_connections", None)
        self._gone: list[Deferred[None]] = []
        if IProtocolNegotiationFactory.providedBy(factory):
            # How a site comes to speak HTTP/2 over TLS (ALPN, RFC 7301).
            alsoProvides(self, IProtocolNegotiationFactory)

    def acceptableProtocols(self) -> list[bytes]:
        """What the inner factory speaks, if it is asked: the best first."""
        inner: Any = self.wrappedFactory
        offered: list[bytes] = inner.acceptableProtocols()
        return offered

    def buildProtocol(  # type: ignore[override]  # it may decline, as any factory
        self, addr: IAddress | None
    ) -> Connection | None:
        if self.closed:
            return None
        whose = self._crowd.enter(addr, self._most(addr) if self._most else 0)
        if whose is None:
            return None
        connection = self._build(addr)
        if connection is None:
            self._crowd.leave(whose)
        else:
            connection.whose = whose
        return connection

    def _build(self, addr: IAddress | None) -> Connection | None:
        with working(plugin=self.work.plugin):
            try:
                inner = self.wrappedFactory.buildProtocol(addr)
            except Exception:
                self._log.failure("there is no protocol for {peer}", peer=addr)
                return None
        return None if inner is None else self.protocol(self, inner)

    def registerProtocol(self, p: Connection) -> None:
        self.alive[p] = None

    def unregisterProtocol(self, p: Connection) -> None:
        del self.alive[p]
        self._crowd.leave(p.whose)
        if not self.alive:
            waiting, self._gone = self._gone, []
            for gone in waiting:
                gone.callback(None)

    def gone(self) -> Deferred[None]:
        """Fires when no connection is left."""
        if not self.alive:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._gone.append(waiting)
        return waiting


class Listener(Service):
    """
    Accepts connections at one address.

    Its service starts and stops with the others; :meth:`open` lets people in.

    :param description: An endpoint string.
    :param factory: Makes a protocol for each connection.
    :param owner: The service whose connections these are.
    :param names: Makes names for connections.
    :param trusts: Whether an ``IAddress`` is a trusted proxy's; ``None`` where there
        are none.
    :param vanished: As for :class:`~ropewalk.net.endpoints.Doorway`.
    :raise BadEndpoint: When the string is none, or what it needs is not there.
    """

    _log = Logger()

    def __init__(
        self,
        description: str,
        factory: IProtocolFactory,
        owner: str,
        reactor: Any,
        names: Callable[[], str] | None = None,
        trusts: Callable[[Any], bool] | None = None,
        vanished: float = VANISHED,
    ) -> None:
        self.description = description
        self.owner = owner
        self._doorway = Doorway(description, reactor, trusts, vanished)
        self._factory = ConnectionFactory(factory, Work(plugin=owner), names or namer())
        self._draining: Deferred[None] | None = None

    @property
    def address(self) -> Any:
        """Where it accepts, an ``IAddress``; ``None`` while it does not."""
        return self._doorway.address

    @property
    def place(self) -> str:
        """Where it accepts, for people: ``"127.0.0.1:7070"``."""
        address = self.address
        return self.description if address is None else spoken(address)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections alive, oldest first."""
        return tuple(self._factory.alive)

    @property
    def serves(self) -> Any:
        """What makes the protocols of its connections, as it was given."""
        return self._factory.wrappedFactory

    @property
    def factory(self) -> ConnectionFactory:
        """What makes its connections."""
        return self._factory

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._doorway.bind()

    def open(self) -> Deferred[Any]:
        """
        Let people in.

        :return: fires when they can come.
        :raise CannotListenError: When the address cannot be had.
        """
        self._draining = None
        self._factory.closed = False
        return self._doorway.open(self._factory)

    def drain(self, reason: str) -> Deferred[None]:
        """
        Let nobody in any more, and say goodbye to those who are. Can be called
        again while that takes its time; goodbye is said once.

        :param reason: Why, for people.
        :return: fires when the last connection is gone. It takes as long as
            they take: the deadline is the caller's, and so is :meth:`abort`.
            Cancelling it ends only the wait of who does.
        """
        if self._draining is None:
            self._draining = Deferred()
            self._drain(reason).chainDeferred(self._draining)
        waiting: Deferred[None] = Deferred()
        self._draining.addCallback(lambda _: waiting.callback(None))
        return waiting

    def abort(self) -> None:
        """Cut every connection that is left."""
        for connection in list(self.connections):
            connection.cut()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return self.drain("shutting down")

    def _drain(self, reason: str) -> Deferred[None]:
        self._factory.closed = True
        closing = self._doorway.close()
        for connection in self.connections:
            connection.drain(reason)
        closing.addErrback(self._failed_to_close)
        return closing.addCallback(lambda _: self._factory.gone())

    def _failed_to_close(self, failure: Failure) -> None:
        self._log.failure("{where} did not close", failure, where=self.description)


def _whose(address: Any) -> str:
    """Whom a connection counts for; empty where nobody can tell."""
    host: str = getattr(address, "host", None) or ""
    if ":" not in host:
        return host
    try:
        packed = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if packed.ipv4_mapped is not None:
        return str(packed.ipv4_mapped)
    return str(IPv6Network((packed, 64), strict=False))


def namer() -> Callable[[], str]:
    """Names for connections: ``c1``, ``c2`` …"""
    numbers = count(1)
    return lambda: f"c{next(numbers)}"


def spoken(address: Any) -> str:
    """An address as people write it."""
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if host is not None and port is not None:
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    name = getattr(address, "name", b"")
    if name is None:
        return "this machine"  # who connects to a UNIX socket has no name
    return name.decode("utf-8", "replace") if name else str(address)
