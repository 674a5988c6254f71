"""
A reverse proxy on a site, and the other ends of it in memory: for tests.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from ropewalk.web.hosting import Place as At
from ropewalk.web.proxying import ProxyMounting, proxy
from tests.visiting import Place, Visit, Wire

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
        wanted[2].clientConnectionFailed(None, Failure(ConnectionRefusedError()))

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
