# -*- test-case-name: tests.test_listening -*-
"""
A listener is a service: it binds, it accepts when it is told to, it knows its
connections, and when it stops it says goodbye to each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from ropewalk.interfaces import IDrainable
from ropewalk.net.endpoints import Doorway
from ropewalk.telemetry import Work, work

__all__ = ["Connection", "ConnectionFactory", "Listener"]


class Connection(ProtocolWrapper):  # type: ignore[type-arg]
    """
    A protocol in its place between the transport and the log: what it does is
    done under its connection's name.

    :ivar name: ``"c17"``.
    """

    factory: ConnectionFactory

    def __init__(self, factory: ConnectionFactory, protocol: IProtocol) -> None:
        super().__init__(factory, protocol)
        self.name = factory.next_name()
        self._work = evolve(factory.work, connection=self.name)

    def makeConnection(self, transport: Any) -> None:
        self._within(super().makeConnection, transport)

    def dataReceived(self, data: bytes) -> None:
        # This runs for every segment: what `_within` does, without the call.
        token = work.set(self._work)
        try:
            self.wrappedProtocol.dataReceived(data)
        finally:
            work.reset(token)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._within(super().connectionLost, reason)

    def drain(self, reason: str) -> None:
        """
        Let the protocol say goodbye, if it can; otherwise close what is there.
        """
        drainable = IDrainable(self.wrappedProtocol, None)
        if drainable is None:
            self.loseConnection()
        else:
            self._within(drainable.drain, reason)

    def _within(self, function: Callable[..., Any], *args: Any) -> None:
        token = work.set(self._work)
        try:
            function(*args)
        finally:
            work.reset(token)

    def __str__(self) -> str:
        return f"{self.name} from {_spoken(self.transport.getPeer())}"


class ConnectionFactory(WrappingFactory):  # type: ignore[type-arg]
    """
    Makes connections of what another factory makes, and knows those alive.

    :ivar work: Whose connections they are.
    """

    protocol = Connection
    noisy = False

    def __init__(
        self, factory: IProtocolFactory, owner: Work, names: Callable[[], str]
    ) -> None:
        super().__init__(factory)
        # Twisted would log where it starts and stops; the daemon does.
        factory.noisy = False
        self.work = owner
        self.next_name = names
        self.alive: dict[Connection, None] = {}
        self._gone: list[Deferred[None]] = []

    def buildProtocol(self, addr: IAddress) -> Connection | None:
        # The inner factory may decline, which Twisted's WrappingFactory
        # would wrap all the same.
        inner = self.wrappedFactory.buildProtocol(addr)
        return None if inner is None else self.protocol(self, inner)

    def registerProtocol(self, p: Any) -> None:
        self.alive[p] = None

    def unregisterProtocol(self, p: Any) -> None:
        del self.alive[p]
        if not self.alive:
            waiting, self._gone = self._gone, []
            for gone in waiting:
                gone.callback(None)

    def gone(self) -> Deferred[None]:
        """Fires when no connection is left."""
        if not self.alive:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._gone.remove)
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
    """

    _log = Logger()

    def __init__(
        self,
        description: str,
        factory: IProtocolFactory,
        owner: str,
        reactor: Any,
        names: Callable[[], str] | None = None,
    ) -> None:
        self.description = description
        self.owner = owner
        self._doorway = Doorway(description, reactor)
        self._factory = ConnectionFactory(
            factory, Work(plugin=owner), names or namer()
        )
        self._draining: Deferred[None] | None = None

    @property
    def address(self) -> Any:
        """Where it accepts, an ``IAddress``; ``None`` while it does not."""
        return self._doorway.address

    @property
    def place(self) -> str:
        """Where it accepts, for people: ``"127.0.0.1:7070"``."""
        address = self.address
        return self.description if address is None else _spoken(address)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections alive, oldest first."""
        return tuple(self._factory.alive)

    @property
    def factory(self) -> ConnectionFactory:
        """What makes its connections."""
        return self._factory

    def privilegedStartService(self) -> None:
        self._doorway.bind()

    def open(self) -> Deferred[Any]:
        """
        Let people in.

        :raise CannotListenError: When the address cannot be had.
        """
        return self._doorway.open(self._factory)

    def drain(self, reason: str) -> Deferred[None]:
        """
        Let nobody in any more, and say goodbye to those who are.

        :param reason: Why, for people.
        :return: fires when the last connection is gone. It takes as long as
            they take: the deadline is the caller's, and so is :meth:`abort`.
        """
        if self._draining is None:
            self._draining = Deferred()
            closing = self._doorway.close()
            for connection in self.connections:
                try:
                    connection.drain(reason)
                except Exception:
                    self._log.failure(
                        "{connection} could not say goodbye", connection=connection
                    )
                    connection.loseConnection()
            closing.addErrback(self._failed_to_close)
            closing.addCallback(lambda _: self._factory.gone())
            closing.chainDeferred(self._draining)
        waiting: Deferred[None] = Deferred()

        def fire(result: Any) -> Any:
            if not waiting.called:
                waiting.callback(None)
            return result

        self._draining.addBoth(fire)
        return waiting

    def abort(self) -> None:
        """Cut every connection that is left."""
        for connection in self.connections:
            connection.abortConnection()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return self.drain("shutting down")

    def _failed_to_close(self, failure: Failure) -> None:
        self._log.failure(
            "{where} did not close", failure, where=self.description
        )


def namer() -> Callable[[], str]:
    """Names for connections: ``c1``, ``c2`` …"""
    numbers = count(1)
    return lambda: f"c{next(numbers)}"


def _spoken(address: Any) -> str:
    """An address as people write it."""
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if host is not None and port is not None:
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    name = getattr(address, "name", None)
    if isinstance(name, bytes):
        return name.decode("utf-8", "replace")
    return str(address)
