"""
A reverse proxy on a site, and the other ends of it in memory: for tests.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.protocol import ProcessProtocol, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.net.listening import ConnectionFactory, namer
from ropewalk.telemetry import Work
from ropewalk.web.hosting import Mounting
from ropewalk.web.hosting import Place as At
from ropewalk.web.mounts import Mount, Mounts
from ropewalk.web.proxying import ProxyMounting, proxy
from ropewalk.web.site import Site
from tests.visiting import Place, Visit, Wire, parse, request

reactor: Any = global_reactor

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Line:
    """
    A connection to a back end, seen from there.
    """

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.wire = Wire()
        protocol.makeConnection(self.wire)

    def heard(self) -> bytes:
        """What the back end was told since."""
        said: bytes = self.wire.value()
        self.wire.clear()
        return said

    def say(self, *pieces: bytes) -> None:
        """Say something, piece by piece."""
        for each in pieces:
            if not self.closed:
                self.protocol.dataReceived(each)

    def pause(self, full: bool) -> None:
        """Take no more, or take it again."""
        producer: Any = self.wire.producer
        if full:
            producer.pauseProducing()
        else:
            producer.resumeProducing()

    def close(self) -> None:
        """Close it."""
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def closed(self) -> bool:
        """Whether the proxy has."""
        return bool(self.wire.disconnecting)


class Proxying:
    """
    A site with a proxy on it.

    :ivar mounting: The proxy.
    :ivar visit: A client's connection.
    """

    def __init__(self, *targets: str, path: str = "/app", **terms: Any) -> None:
        self.place = Place.of(
            **{name: terms.pop(name) for name in ("proxies",) if name in terms}
        )
        self.reactor = MemoryReactorClock()
        described = proxy(targets or "http://127.0.0.1:9000", **terms)
        at = At(path, "shop", "x.py:1", self.reactor, lambda *ignored: None)
        self.mounting: ProxyMounting = described.at(at)
        self.place.mount(path, self.mounting.resource)
        self.mounting.startService()
        self._taken = 0
        self.visit = self.place.visit()

    def line(self, port: int | None = None) -> Line:
        """Take the connection that the proxy wants, as a back end."""
        wanted = self.reactor.tcpClients[self._taken]
        self._taken += 1
        if port is not None:
            assert wanted[1] == port, wanted[1]
        return Line(wanted[2].buildProtocol(None))

    def refuse(self) -> None:
        """Refuse it."""
        wanted = self.reactor.tcpClients[self._taken]
        self._taken += 1
        nowhere: Any = None
        wanted[2].clientConnectionFailed(nowhere, Failure(ConnectionRefusedError()))

    @property
    def wanted(self) -> int:
        """How many connections it wants beside those that it has."""
        return len(self.reactor.tcpClients) - self._taken

    def figures(self, number: int = 0) -> dict[str, Any]:
        """What there is to say of a back end."""
        return list(self.mounting.figures().values())[number]

    def another(self) -> Visit:
        """Another client."""
        return self.place.visit()


class RealSite:
    """
    A site of our own on a port of this machine, with something hosted on it.
    """

    def __init__(self, mounting: Mounting, port: Any) -> None:
        self.mounting, self.port = mounting, port
        self._stopped: Deferred[Any] | None = None

    @classmethod
    @inlineCallbacks
    def of(cls, path: str, mounting: Mounting) -> Steps[RealSite]:
        """Start one."""
        site = Site(Mounts(), reactor)
        resource = mounting.resource
        mount = Mount(path, resource, "shop", "x.py:1", "pages", resource)
        site.mounts.add(mount)
        yield maybeDeferred(mounting.startService)
        factory = ConnectionFactory(site, Work(plugin="web"), namer())
        return cls(mounting, reactor.listenTCP(0, factory, interface="127.0.0.1"))

    @property
    def base(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port.getHost().port}"

    def stop(self) -> Deferred[Any]:
        """Stop it, once."""
        if self._stopped is None:
            self._stopped = self._stop()
        return self._stopped

    @inlineCallbacks
    def _stop(self) -> Steps[None]:
        yield maybeDeferred(self.port.stopListening)
        yield maybeDeferred(self.mounting.stopService)

    @inlineCallbacks
    def ask(self, data: bytes) -> Steps[bytes]:
        """Say something, and hear all until the connection is closed."""
        listener = _Listener(data)
        endpoint = TCP4ClientEndpoint(
            reactor, "127.0.0.1", self.port.getHost().port, 10
        )
        yield connectProtocol(endpoint, listener)
        said: bytes = yield listener.over
        return said

    @inlineCallbacks
    def get(self, path: str) -> Steps[tuple[int, bytes]]:
        """Ask for something; its status and its body."""
        said = yield self.ask(request(path, "GET", "Connection: close"))
        (answer,) = parse(said, True)
        return answer.status, answer.body


class _Listener(Protocol):
    """Says something, and hears all."""

    def __init__(self, data: bytes) -> None:
        self._data, self._said = data, b""
        self.over: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._data)

    def dataReceived(self, data: bytes) -> None:
        self._said += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.over.callback(self._said)


class Child(ProcessProtocol):
    """
    A process, and what it says.
    """

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self.said = ""
        reactor.spawnProcess(self, words[0], words, environment)

    def outReceived(self, data: bytes) -> None:
        self.said += data.decode()

    def kill(self) -> None:
        """Kill it, as by ``kill -9``."""
        transport: Any = self.transport
        if transport.pid is not None:
            transport.signalProcess("KILL")
