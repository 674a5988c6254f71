# -*- test-case-name: tests.test_outbound_http -*-
"""
Asking others over HTTP, within bounds: so long and no longer, so much and no more, no
redirect, and, unless it is allowed, nobody but the public internet.

Where it connects to is looked at when it connects, whatever the name was and whoever
answers for it (OWASP calls what this prevents server-side request forgery).
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Any

from msgspec import Struct
from treq.client import HTTPClient as Treq
from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    ResponseDone,
)
from twisted.web.error import SchemeNotSupported
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import (
    IAgent,
    IAgentEndpointFactory,
    IBodyProducer,
    IResponse,
)
from zope.interface import directlyProvides, implementer, providedBy

from ropewalk.awaiting import inlineCallbacks, within
from ropewalk.errors import NotPublic, TimedOut
from ropewalk.interfaces import Steps

__all__ = ["Answer", "HTTPClient", "is_public"]

#: Networks of IPv6 in whose addresses there is one of IPv4, in the last bits: NAT64
#: (RFC 6052), and what is compatible with IPv4 (RFC 4291, section 2.5.5.1).
_EMBEDDING = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))

#: Networks that Pythons before 3.13 take for public: protocol assignments (RFC 6890,
#: section 2.2.2), and what a network of one's own translates (RFC 8215).
_LOCAL = (IPv4Network("192.0.0.0/24"), IPv6Network("64:ff9b:1::/48"))

#: Seconds for which a connection is kept. Servers close those that are idle, some after
#: 75 seconds and others after 5; a question that crosses with that is lost.
_KEPT = 4


class Answer(Struct, frozen=True):
    """
    What somebody answered.

    :ivar status: The HTTP status.
    :ivar headers: By name in lower case. Of several with one name, the first; none of
        the body's length and encoding.
    :ivar body: As much of it as is read.
    :ivar whole: Whether that is all of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True


class HTTPClient(Service):
    """
    Asks others. It keeps no cookies, follows no redirects, and takes no compressed
    answers: a few bytes of those can become any number.

    It is a service for the sake of its end: put it among the children of yours, and its
    connections are closed when that stops.

    :param reactor: The reactor.
    :param private: Whether addresses may be called that are not the internet's: this
        machine, private networks, those of a cloud's own services.
    :param seconds: How long an answer may take, all of it, more than 0.
    :param longest: How much of a body is read, in bytes, 0 or more. When there is more
        the connection is closed.
    :param pooled: How many connections to one place are kept for the next question, 0
        or more.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        private: bool = False,
        seconds: float = 10.0,
        longest: int = 64 * 1024,
        pooled: int = 2,
    ) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._longest = longest
        self._pool = HTTPConnectionPool(reactor, persistent=pooled > 0)
        self._pool.maxPersistentPerHost = pooled
        self._pool.cachedConnectionTimeout = _KEPT
        places = _Places(reactor if private else _Outside(reactor), seconds)
        agent = Agent.usingEndpointFactory(reactor, places, self._pool)
        self._agent = _Uncompressed(agent)

    @inlineCallbacks
    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Steps[Answer]:
        """
        Ask something. Cancelling closes the connection.

        :param url: With ``http:`` or ``https:``.
        :return: fires with the answer, whatever its status.
        :raise NotPublic: When the address may not be called.
        :raise TimedOut: When it took too long.
        :raise Exception: As :meth:`twisted.web.client.Agent.request` does: when nobody
            answers, or with what is no HTTP.
        """
        try:
            answer: Answer = yield within(
                self._seconds, self._ask(method, url, body, headers), self._reactor
            )
        except TimeoutError:
            raise TimedOut(f"{method} {shown(url)}", self._seconds) from None
        return answer

    def stopService(self) -> Deferred[Any]:
        super().stopService()
        return self.close()

    def close(self) -> Deferred[Any]:
        """
        Close the connections that are kept.

        :return: fires when they are closed.
        """
        closing: Deferred[Any] = self._pool.closeCachedConnections()
        return closing

    @inlineCallbacks
    def _ask(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> Steps[Answer]:
        # One for each question: cookies are kept in there.
        treq = Treq(self._agent)
        response: Any = yield treq.request(
            method,
            url,
            data=body,
            headers=Headers({name: [value] for name, value in (headers or {}).items()}),
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,
        )
        reader = _Reader(self._longest)
        response.deliverBody(reader)
        whole: bool = yield reader.done
        return Answer(response.code, _plain(response.headers), reader.read, whole)


def is_public(address: str) -> bool:
    """
    Whether an IP address is one of the public internet's, for one to one.

    :param address: Of IPv4 or IPv6. What is none is not public either.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        within_it = _embedded(found)
        if within_it is not None:
            return is_public(str(within_it))
        if found.teredo is not None or found.scope_id is not None:
            return False
    if any(found in network for network in _LOCAL):
        return False
    return found.is_global and not found.is_multicast


def shown(url: str) -> str:
    """
    A URL for the log: there may be secrets in a query.
    """
    return url.partition("?")[0].partition("#")[0]


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The address of IPv4 that is meant by one of IPv6."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in _EMBEDDING):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _plain(headers: Headers) -> dict[str, str]:
    # What treq looked for, it leaves behind empty.
    return {
        name.decode("latin-1").lower(): values[0].decode("latin-1")
        for name, values in headers.getAllRawHeaders()
        if name.lower() != b"content-encoding"
    }


class _Outside:
    """
    The reactor, but that it connects to the public internet only. By the time it is
    asked to, every name has become an address.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def connectTCP(self, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        if not is_public(host):
            raise NotPublic(host)
        return self._reactor.connectTCP(host, port, *args, **kwargs)


@implementer(IAgentEndpointFactory)
class _Places:
    """
    Where URLs lead to: as with Twisted's own agent, certificates and all.

    :param seconds: How long connecting may take.
    """

    def __init__(self, reactor: Any, seconds: float) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._policy = BrowserLikePolicyForHTTPS()

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii")
        place: IStreamClientEndpoint = HostnameEndpoint(
            self._reactor, host, uri.port, self._seconds
        )
        if uri.scheme == b"https":
            creator = self._policy.creatorForNetloc(uri.host, uri.port)
            place = wrapClientTLS(creator, place)
        elif uri.scheme != b"http":
            raise SchemeNotSupported(f"expected http: or https:, got {uri.scheme!r}")
        return _Quiet(place)


@implementer(IStreamClientEndpoint)
class _Quiet:
    """
    An endpoint of which the log does not tell when it connects.
    """

    def __init__(self, place: IStreamClientEndpoint) -> None:
        self._place = place

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        protocolFactory.noisy = False
        connecting: Deferred[Any] = self._place.connect(protocolFactory)
        return connecting


@implementer(IAgent)
class _Uncompressed:
    """
    Asks for what is not compressed. treq would ask for gzip, and open whatever it is
    sent; here it never learns that something is compressed.
    """

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        headers = Headers() if headers is None else headers.copy()
        headers.setRawHeaders(b"accept-encoding", [b"identity"])
        asked: Deferred[IResponse] = self._agent.request(
            method, uri, headers, bodyProducer
        )
        return asked.addCallback(self._as_it_is)

    def _as_it_is(self, response: Any) -> IResponse:
        response.headers.removeHeader(b"content-encoding")
        answered: IResponse = response
        return answered


class _Reader(Protocol):
    """
    Reads a body, up to a bound.

    :ivar done: Fires with whether it was read to its end.
    """

    transport: Any

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._pieces = bytearray()
        self.done: Deferred[bool] = Deferred(lambda _: self._stop())

    @property
    def read(self) -> bytes:
        """What was read."""
        return bytes(self._pieces)

    def dataReceived(self, data: bytes) -> None:
        room = self._longest - len(self._pieces)
        self._pieces += data[:room]
        if len(data) > room and not self.done.called:
            self.done.callback(False)
            self._stop()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(True)
        else:
            self.done.errback(reason)

    def _stop(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
