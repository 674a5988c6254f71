# -*- test-case-name: tests.test_testing -*-
"""
Somebody at the other end: of HTTP, of a WebSocket, of a line. Each sends,
receives and closes, and speaks through the code that real clients use.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from http.client import HTTPMessage
from typing import Any, Generic, NamedTuple, TypeVar

import treq
from attrs import define, field, frozen
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from treq.client import HTTPClient as Treq
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.testing.clock import Clock, Silence
from ropewalk.testing.reactor import MemoryReactor
from ropewalk.testing.response import Response

__all__ = [
    "Closed",
    "Closing",
    "HTTPClient",
    "LineClient",
    "Response",
    "SocketClient",
    "Text",
    "trusting",
]

T = TypeVar("T")

#: How many of the things that came a message shows.
_SHOWN = 10


class Closed(Exception):
    """
    The connection is closed, and all that came was received.
    """


class Closing(NamedTuple):
    """
    How a WebSocket was closed.

    :ivar code: RFC 6455, section 7.4; 1006 when nobody said goodbye.
    :ivar reason: The reason that came with it.
    """

    code: int
    reason: str


class Text(str):
    """
    A line or a message that came.
    """

    __slots__ = ()

    def json(self) -> Any:
        """What it says, if it is JSON."""
        return json.loads(self)


@define
class _Moment(Generic[T]):
    """
    Something that happens once. Several may wait for it, before and after.
    """

    _outcome: T | Failure | None = None
    _waiting: list[Deferred[T]] = field(factory=list)

    @property
    def past(self) -> bool:
        return self._outcome is not None

    def come(self, outcome: T | Failure) -> None:
        if self._outcome is None:
            self._outcome = outcome
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(outcome)

    def wait(self) -> Deferred[T]:
        if self._outcome is not None:
            return succeed(self._outcome)  # type: ignore[arg-type]
        waiting: Deferred[T] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting


class _Talker(Generic[T]):
    """
    Somebody at the other end of a connection that stays.

    :param clock: The test's clock.
    :param name: What messages call it.
    """

    def __init__(self, clock: Clock, name: str) -> None:
        self._clock = clock
        self._name = name
        self._came: deque[Text | bytes] = deque()
        self._all: list[Text | bytes] = []
        self._waiting: deque[Deferred[Any]] = deque()
        self._opened: _Moment[Any] = _Moment()
        self._over: _Moment[T] = _Moment()
        self._how = ""

    def receive(self) -> Deferred[Any]:
        """
        The next that comes, or has come and was not received yet.

        :return: fires with a :class:`Text`, which is a ``str`` that knows
            ``json()``; a binary message of a WebSocket is ``bytes``.
        :raise Closed: When the connection is closed, and nothing is left.
        :raise Silence: When nothing comes.
        """
        if self._came:
            return succeed(self._came.popleft())
        if self._over.past:
            return fail(self._closed())
        coming: Deferred[Any] = Deferred(self._waiting.remove)
        self._waiting.append(coming)
        return self._clock.patiently(
            coming, lambda: f"nothing came from {self._name}, {self._so_far()}"
        )

    @inlineCallbacks
    def received(self) -> Steps[list[Any]]:
        """
        All that has come and was not received yet, once what is on its way has
        arrived. An empty list says that there was silence.
        """
        yield self._clock.settle()
        came, self._came = list(self._came), deque()
        return came

    @inlineCallbacks
    def pause(self) -> Steps[None]:
        """Read nothing more, as a peer does that hangs."""
        protocol = yield self._open()
        protocol.transport.pauseProducing()

    @inlineCallbacks
    def resume(self) -> Steps[None]:
        """
        Read again.

        :return: fires when all that waited has arrived.
        """
        protocol = yield self._open()
        protocol.transport.resumeProducing()
        yield self._clock.settle()

    @property
    def closed(self) -> Deferred[T]:
        """
        Fires when the connection is closed, whoever closed it: for a WebSocket
        with its :class:`Closing`, for lines with whether it was closed cleanly.
        """
        return self._clock.patiently(
            self._over.wait(), lambda: f"{self._name} did not close, {self._so_far()}"
        )

    def _open(self) -> Deferred[Any]:
        return self._clock.patiently(
            self._opened.wait(), lambda: f"{self._name} did not open"
        )

    # What the protocols call.

    def _take(self, thing: Text | bytes) -> None:
        self._all.append(thing)
        if self._waiting:
            self._waiting.popleft().callback(thing)
        else:
            self._came.append(thing)

    def _end(self, outcome: T, how: str) -> None:
        self._how = how
        self._over.come(outcome)
        self._opened.come(Failure(self._closed()))
        while self._waiting:
            self._waiting.popleft().errback(self._closed())

    def _refused(self, failure: Failure) -> None:
        self._end(self._never_open(), failure.getErrorMessage())

    def _never_open(self) -> T:
        raise NotImplementedError

    def _closed(self) -> Closed:
        return Closed(f"{self._name}: {self._how}; {self._so_far()}")

    def _so_far(self) -> str:
        shown = [str(each) for each in self._all[-_SHOWN:]]
        if not shown:
            return "and nothing has come before"
        return f"after {'… ' if len(self._all) > _SHOWN else ''}{shown}"


class LineClient(_Talker[bool]):
    """
    Somebody who types lines. :meth:`MemoryHost.lines` makes one.
    """

    def __init__(
        self, clock: Clock, endpoint: IStreamClientEndpoint, name: str
    ) -> None:
        super().__init__(clock, f"the lines of {name}")
        factory: Any = Factory.forProtocol(lambda: _Lines(self))
        factory.noisy = False
        endpoint.connect(factory).addErrback(self._refused)

    @inlineCallbacks
    def send(self, line: str | bytes) -> Steps[None]:
        """
        Type a line. Text is sent with an end of line; bytes are sent as they
        are: half a line, or what is not UTF-8.

        :return: fires when it was heard, and all has happened that comes of it
            without time passing.
        :raise Closed: When the connection is closed.
        """
        protocol = yield self._open()
        if self._over.past:
            raise self._closed()
        data = line if isinstance(line, bytes) else f"{line}\n".encode()
        protocol.transport.write(data)
        yield self._clock.settle()

    @inlineCallbacks
    def close(self, abort: bool = False) -> Steps[None]:
        """
        Close the connection.

        :param abort: As a machine does that is switched off.
        :return: fires when both ends know.
        """
        protocol = yield self._open()
        (
            protocol.transport.abortConnection
            if abort
            else protocol.transport.loseConnection
        )()
        yield self.closed
        yield self._clock.settle()

    def _never_open(self) -> bool:
        return False


class _Lines(Protocol):
    """
    The protocol of somebody who types.
    """

    def __init__(self, client: LineClient) -> None:
        self._client = client
        self._rest = b""

    def connectionMade(self) -> None:
        self._client._opened.come(self)

    def dataReceived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._rest:
            self._take(self._rest)
        clean = reason.check(ConnectionDone) is not None
        how = "closed cleanly" if clean else f"cut off: {reason.getErrorMessage()}"
        self._client._end(clean, how)

    def _take(self, line: bytes) -> None:
        self._client._take(Text(line.removesuffix(b"\r").decode("utf-8", "replace")))


class SocketClient(_Talker[Closing]):
    """
    Somebody who speaks WebSocket. :meth:`MemoryHost.socket` makes one.
    """

    def __init__(
        self,
        clock: Clock,
        endpoint: IStreamClientEndpoint,
        url: str,
        headers: Mapping[str, str],
        protocols: Sequence[str],
    ) -> None:
        super().__init__(clock, f"the WebSocket {url}")
        factory = _SocketFactory(
            url, headers=dict(headers), protocols=list(protocols), reactor=clock
        )
        factory.client = self
        endpoint.connect(factory).addErrback(self._refused)

    @inlineCallbacks
    def send(self, message: Any) -> Steps[None]:
        """
        Send a message: ``str`` as text, ``bytes`` as binary, anything else as
        JSON.

        :return: fires when it was heard, and all has happened that comes of it
            without time passing.
        :raise Closed: When the connection is closed, or was refused.
        """
        protocol: _Socket = yield self._open()
        if protocol.state != protocol.STATE_OPEN:
            yield self.closed
            raise self._closed()
        if not isinstance(message, str | bytes):
            message = json.dumps(message)
        data = message if isinstance(message, bytes) else message.encode("utf-8")
        protocol.sendMessage(data, isBinary=isinstance(message, bytes))
        yield self._clock.settle()

    @inlineCallbacks
    def close(
        self, code: int = 1000, reason: str = "", abort: bool = False
    ) -> Steps[Closing]:
        """
        Close the connection.

        :param code: 1000, or 3000 to 4999.
        :param abort: As a machine does that is switched off.
        :return: fires with how it was closed, when both ends know.
        """
        protocol: _Socket = yield self._open()
        if abort:
            protocol.transport.abortConnection()
        else:
            protocol.sendClose(code, reason or None)
        closing: Closing = yield self.closed
        yield self._clock.settle()
        return closing

    def _never_open(self) -> Closing:
        return Closing(1006, self._how)


class _SocketFactory(WebSocketClientFactory):
    """
    Makes the one protocol of somebody who speaks WebSocket.
    """

    noisy = False
    client: SocketClient

    def buildProtocol(self, addr: Any) -> Any:
        protocol = _Socket(self.client)
        protocol.factory = self
        return protocol


class _Socket(WebSocketClientProtocol):
    """
    The protocol of somebody who speaks WebSocket.
    """

    transport: Any

    def __init__(self, client: SocketClient) -> None:
        super().__init__()
        self._client = client

    def onOpen(self) -> None:
        self._client._opened.come(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._client._take(payload if isBinary else Text(payload.decode("utf-8")))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        closing = Closing(code or 1005, reason or "")
        how = f"closed with {closing.code}"
        if closing.reason:
            how += f", {closing.reason!r}"
        self._client._end(closing, how)


class HTTPClient:
    """
    Somebody who speaks HTTP, on connections that are kept alive. It keeps
    cookies, and follows no redirects unless told to. :meth:`MemoryHost.http`
    makes one.
    """

    def __init__(
        self, clock: MemoryReactor, endpoint: IStreamClientEndpoint, origin: str
    ) -> None:
        self._clock = clock
        self._origin = origin
        self._pool = HTTPConnectionPool(clock)
        clock.addSystemEventTrigger(
            "after", "shutdown", self._pool.closeCachedConnections
        )
        self._treq = Treq(
            Agent.usingEndpointFactory(clock, _Always(endpoint), self._pool)
        )
        self._sent: deque[tuple[str, _Moment[Response]]] = deque()

    @inlineCallbacks
    def send(self, method: str, path: str, **request: Any) -> Steps[None]:
        """
        Send a request.

        :param path: ``"/chat/lobby"``; or a whole URL, whose host is then the
            ``Host`` that is asked for. It leads here all the same.
        :param request: What :func:`treq.request` takes: ``json``, ``data``,
            ``params``, ``headers``, ``cookies``, ``auth``, ``files``.
        :return: fires when all has happened that comes of it without time
            passing.
        """
        self._sent.append(self._begin(method, path, request))
        yield self._clock.settle()

    def receive(self) -> Deferred[Response]:
        """
        The response to the oldest request that was sent and has had none.

        :return: fires with it when its whole body is there; fails as
            :meth:`twisted.web.client.Agent.request` does.
        :raise Silence: When it does not come.
        """
        if not self._sent:
            return fail(Silence("no request is waiting for its response"))
        return self._answer(*self._sent.popleft())

    def request(self, method: str, path: str, **request: Any) -> Deferred[Response]:
        """Send a request, and receive the response."""
        return self._answer(*self._begin(method, path, request))

    def get(self, path: str, **request: Any) -> Deferred[Response]:
        """Send a GET, and receive the response."""
        return self.request("GET", path, **request)

    def post(self, path: str, **request: Any) -> Deferred[Response]:
        """Send a POST, and receive the response."""
        return self.request("POST", path, **request)

    @inlineCallbacks
    def close(self) -> Steps[None]:
        """Close the connections that are kept alive."""
        yield self._pool.closeCachedConnections()
        yield self._clock.settle()

    def _begin(
        self, method: str, path: str, request: dict[str, Any]
    ) -> tuple[str, _Moment[Response]]:
        url = path if "://" in path else self._origin + path
        answered: _Moment[Response] = _Moment()
        responding: Deferred[Any] = self._treq.request(
            method, url, **{"allow_redirects": False, **request}
        )
        responding.addCallback(_whole).addBoth(answered.come)
        return f"{method} {path}", answered

    def _answer(self, what: str, answered: _Moment[Response]) -> Deferred[Response]:
        return self._clock.patiently(
            answered.wait(), lambda: f"no response has come to {what}"
        )


@inlineCallbacks
def _whole(response: Any) -> Steps[Response]:
    headers = HTTPMessage()
    for name, values in response.headers.getAllRawHeaders():
        for value in values:
            headers[name.decode("ascii")] = value.decode("latin-1")
    body: bytes = yield treq.content(response)
    return Response(response.code, headers, body)


@implementer(IAgentEndpointFactory)
@frozen
class _Always:
    """
    One endpoint for every URL.
    """

    _endpoint: IStreamClientEndpoint

    def endpointForURI(self, uri: object) -> IStreamClientEndpoint:
        return self._endpoint


def trusting(endpoint: IStreamClientEndpoint) -> IStreamClientEndpoint:
    """
    Speak TLS there, and believe any certificate.
    """
    wrapped: IStreamClientEndpoint = wrapClientTLS(_Trusting(), endpoint)
    return wrapped


@implementer(IOpenSSLClientConnectionCreator)
class _Trusting:
    def clientConnectionForTLS(self, tlsProtocol: Any) -> Any:
        from OpenSSL import SSL

        return SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
