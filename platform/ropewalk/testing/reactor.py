# -*- test-case-name: tests.test_testing -*-
"""
A reactor whose network is in memory, and whose time a test moves. Its threads are
those of the reactor that really runs. Processes it has none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Literal

from attrs import frozen
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.base import BaseConnector
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.error import (
    CannotListenError,
    ConnectionRefusedError,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IReactorSSL,
    IReactorTCP,
    IReactorThreads,
    IReactorUDP,
    IReactorUNIX,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks, run
from ropewalk.interfaces import Steps
from ropewalk.testing.clock import Clock
from ropewalk.testing.post import Post
from ropewalk.testing.transport import MemoryTransport, join

__all__ = ["MemoryEndpoint", "MemoryPort", "MemoryReactor"]

#: IANA's ports for who asks for none: RFC 6335, section 6.
_DYNAMIC = 49152

_EVERYWHERE = ("", "0.0.0.0", "::")


@implementer(
    IReactorTCP,
    IReactorSSL,
    IReactorUNIX,
    IReactorUDP,
    IReactorThreads,
    IReactorPluggableNameResolver,
)
class MemoryReactor(Clock):
    """
    A reactor for one test. ``serverFromString(reactor, "tcp:7070")`` listens in
    it, ``clientFromString(reactor, "tcp:example.org:7070")`` connects in it:
    there is one machine, and all names and addresses are its.

    :param reactor: The reactor that really runs.
    """

    running = True

    def __init__(self, reactor: Any, patience: float = 1.0) -> None:
        super().__init__(reactor, patience)
        self._ports: list[MemoryPort] = []
        self._numbers = count(_DYNAMIC)
        self._alive: dict[MemoryTransport, None] = {}
        self._post = Post(self.soon)
        self._triggers: list[tuple[str, Callable[..., Any], Any, Any]] = []
        self.nameResolver: IHostnameResolver = _Resolver()

    # Listening and connecting.

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        address = _address(interface or "0.0.0.0", port or next(self._numbers))
        return self._listen(MemoryPort(self, address, factory))

    def listenSSL(
        self,
        port: int,
        factory: Any,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        from twisted.protocols.tls import TLSMemoryBIOFactory

        wrapped = TLSMemoryBIOFactory(contextFactory, False, factory, self)
        return self.listenTCP(port, wrapped, backlog, interface)

    def listenUNIX(
        self,
        address: str,
        factory: Any,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> IListeningPort:
        return self._listen(MemoryPort(self, UNIXAddress(address), factory))

    def listenUDP(
        self,
        port: int,
        protocol: Any,
        interface: str = "",
        maxPacketSize: int = 8192,
    ) -> IListeningPort:
        address = _address(interface or "0.0.0.0", port or next(self._numbers), "UDP")
        return self._post.listen(address, protocol, maxPacketSize)

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30.0,
        bindAddress: tuple[str, int] | None = None,
    ) -> Any:
        peer = None if bindAddress is None else self.client_address(*bindAddress)
        return _connect(self, _address(host, port), factory, timeout, peer)

    def connectSSL(
        self,
        host: str,
        port: int,
        factory: Any,
        contextFactory: Any,
        timeout: float = 30.0,
        bindAddress: tuple[str, int] | None = None,
    ) -> Any:
        from twisted.protocols.tls import TLSMemoryBIOFactory

        wrapped = TLSMemoryBIOFactory(contextFactory, True, factory, self)
        return self.connectTCP(host, port, wrapped, timeout, bindAddress)

    def connectUNIX(
        self, address: str, factory: Any, timeout: float = 30, checkPID: bool = False
    ) -> Any:
        return _connect(self, UNIXAddress(address), factory, timeout, None)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        before, self.nameResolver = self.nameResolver, resolver
        return before

    def client_address(self, host: str = "127.0.0.1", port: int = 0) -> IAddress:
        """An address for the near end of a connection."""
        address: IAddress = _address(host or "127.0.0.1", port or next(self._numbers))
        return address

    def dial(
        self,
        address: IAddress,
        build: Callable[[IAddress], IProtocol | None],
        peer: IAddress | None = None,
        cut: int = 0,
        lost: Callable[[Failure], None] = lambda reason: None,
    ) -> Deferred[IProtocol]:
        """
        Connect.

        :param build: Makes the protocol of this end.
        :param peer: Where from.
        :param cut: Bytes of the longest piece that either end gets at once; 0
            for as much as there is.
        :param lost: Called when the connection is gone.
        :return: fires with the protocol of this end, connected.
        """
        dialled: Deferred[IProtocol] = Deferred()
        caller = peer or self.client_address()

        def ring() -> None:
            if not dialled.called:
                port = self._find(address)
                if port is None:
                    refused = ConnectionRefusedError(f"nobody listens at {address}")
                    dialled.errback(refused)
                elif (client := build(address)) is None:
                    dialled.errback(NoProtocol())
                else:
                    near = MemoryTransport(self.soon, caller, address, cut)
                    far = MemoryTransport(self.soon, address, caller, cut)
                    near.lost = partial(self._lost, near, lost)
                    self._join(near, client, far, port.factory.buildProtocol(caller))
                    dialled.callback(client)

        self.soon(ring)
        return dialled

    # The rest of a reactor.

    def callWhenRunning(
        self, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        function(*args, **kwargs)

    def stop(self) -> None:
        """Do what is to be done before, during and after a shutdown."""
        self.soon(self.shut_down)

    def addSystemEventTrigger(
        self,
        phase: str,
        eventType: str,
        callable: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        trigger = (phase, callable, args, kwargs)
        if eventType == "shutdown":
            self._triggers.append(trigger)
        return trigger

    def removeSystemEventTrigger(self, triggerID: Any) -> None:
        self._triggers = [each for each in self._triggers if each is not triggerID]

    def callFromThread(
        self, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> None:
        self._reactor.callFromThread(callable, *args, **kwargs)

    def callInThread(
        self, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> None:
        self._reactor.callInThread(callable, *args, **kwargs)

    def getThreadPool(self) -> Any:
        return self._reactor.getThreadPool()

    def suggestThreadPoolSize(self, size: int) -> None:
        self._reactor.suggestThreadPoolSize(size)

    # What the kit calls.

    @inlineCallbacks
    def shut_down(self) -> Steps[None]:
        """See :meth:`stop`."""
        triggers, self._triggers = self._triggers, []
        for phase in ("before", "during", "after"):
            yield gatherResults(
                [
                    run(function, *args, **kwargs)
                    for when, function, args, kwargs in triggers
                    if when == phase
                ]
            )

    def cut_off(self) -> None:
        """End every connection that is left."""
        for transport in list(self._alive):
            transport.abortConnection()

    def _listen(self, port: MemoryPort) -> MemoryPort:
        port.startListening()
        return port

    def _find(self, address: Any) -> MemoryPort | None:
        there = [port for port in self._ports if port.answers(address)]
        exact = [port for port in there if port.address == address]
        return next(iter(exact or there), None)

    def _join(
        self,
        near: MemoryTransport,
        client: IProtocol,
        far: MemoryTransport,
        server: IProtocol | None,
    ) -> None:
        self._alive[near] = None
        join(near, client, far, server or Protocol())
        if server is None:
            far.loseConnection()

    def _lost(
        self,
        near: MemoryTransport,
        tell: Callable[[Failure], None],
        reason: Failure,
    ) -> None:
        del self._alive[near]
        tell(reason)


@implementer(IListeningPort)
@frozen(eq=False)
class MemoryPort:
    """
    Where somebody listens.

    :ivar address: Its address.
    :ivar factory: Makes the protocols of this end.
    """

    _reactor: MemoryReactor
    address: Any
    factory: Any

    def startListening(self) -> None:
        ports = self._reactor._ports
        if any(port.clashes(self.address) for port in ports):
            host, number = _place(self.address)
            raise CannotListenError(host, number, OSError("Address already in use"))
        ports.append(self)
        self.factory.doStart()

    def stopListening(self) -> Deferred[None]:
        if self in self._reactor._ports:
            self._reactor._ports.remove(self)
            self.factory.doStop()
        return succeed(None)

    def getHost(self) -> IAddress:
        listens: IAddress = self.address
        return listens

    def answers(self, address: Any) -> bool:
        """Whether who calls this address gets here. All hosts are one."""
        return bool(_place(self.address)[1] == _place(address)[1])

    def clashes(self, address: Any) -> bool:
        """Whether nobody else can have this address."""
        (ours, number), (theirs, wanted) = _place(self.address), _place(address)
        everywhere = ours in _EVERYWHERE or theirs in _EVERYWHERE
        return bool(number == wanted) and (everywhere or ours == theirs)


@implementer(IStreamClientEndpoint)
@frozen
class MemoryEndpoint:
    """
    Where somebody listens in memory, to connect to.

    :param address: The address.
    :param peer: The host to come from.
    :param cut: See :meth:`MemoryReactor.dial`.
    """

    _reactor: MemoryReactor
    _address: IAddress
    _peer: str = "127.0.0.1"
    _cut: int = 0

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :class:`twisted.internet.interfaces.IStreamClientEndpoint`."""
        factory: Any = protocolFactory

        def failed(failure: Failure) -> Failure:
            factory.doStop()
            return failure

        factory.doStart()
        dialled = self._reactor.dial(
            self._address,
            factory.buildProtocol,
            self._reactor.client_address(self._peer),
            self._cut,
            lambda reason: factory.doStop(),
        )
        return dialled.addErrback(failed)


def _connect(
    reactor: MemoryReactor,
    address: IAddress,
    factory: Any,
    timeout: float,
    peer: IAddress | None,
) -> MemoryConnector:
    connector = MemoryConnector(factory, timeout, reactor)  # type: ignore[arg-type]
    connector.address, connector.peer = address, peer
    connector.connect()
    return connector


class MemoryConnector(BaseConnector):
    """
    What ``connectTCP`` returns.
    """

    address: Any
    peer: IAddress | None

    def getDestination(self) -> IAddress:
        destination: IAddress = self.address
        return destination

    def _makeTransport(self) -> Any:
        return _Dialling(self)


class _Dialling:
    """
    A connection for a connector: on its way, then there.
    """

    def __init__(self, connector: MemoryConnector) -> None:
        self._connector = connector
        self._protocol: Any = None
        reactor: Any = connector.reactor
        self._dialled: Deferred[IProtocol] = reactor.dial(
            connector.address,
            connector.buildProtocol,
            connector.peer,
            lost=connector.connectionLost,
        )
        self._dialled.addCallbacks(self._connected, connector.connectionFailed)

    def failIfNotConnected(self, error: BaseException) -> None:
        if not self._dialled.called:
            self._dialled.errback(error)

    def loseConnection(self) -> None:
        self._protocol.transport.loseConnection()

    def _connected(self, protocol: IProtocol) -> None:
        self._protocol = protocol


@implementer(IHostnameResolver)
class _Resolver:
    """
    Knows every name.
    """

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        literal = isIPAddress(hostName) or isIPv6Address(hostName)
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        resolutionReceiver.addressResolved(
            _address(hostName if literal else "127.0.0.1", portNumber)
        )
        resolutionReceiver.resolutionComplete()
        return resolution


@implementer(IHostResolution)
@frozen
class _Resolution:
    name: str

    def cancel(self) -> None:
        """It is over already."""


def _address(host: str, port: int, transport: Literal["TCP", "UDP"] = "TCP") -> Any:
    kind = IPv6Address if ":" in host else IPv4Address
    return kind(transport, "127.0.0.1" if host == "localhost" else host, port)


def _place(address: Any) -> tuple[str, Any]:
    """A host, and a port or path."""
    if isinstance(address, UNIXAddress):
        return "", address.name
    return address.host, address.port
