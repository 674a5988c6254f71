# -*- test-case-name: tests.test_client -*-
"""
The pages of a daemon, asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import MsgspecError
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.client.calls import Refused
from ropewalk.client.places import Place
from ropewalk.client.records import Misunderstood
from ropewalk.interfaces import Steps
from ropewalk.wire.jsonrpc import JSON

__all__ = ["Pages"]

#: Bytes of an answer that says what is wrong.
_LONGEST_PROBLEM = 64 * 1024


@implementer(IAgentEndpointFactory)
class Pages:
    """
    Asks for pages, each on a connection of its own.

    :param longest: Bytes of the longest answer, and of the longest event.
    """

    def __init__(self, place: Place, reactor: Any, longest: int) -> None:
        self._place = place
        self._reactor = reactor
        self.longest = longest
        # On a connection that was kept, nobody knows whether a request was still read.
        pool = HTTPConnectionPool(reactor, persistent=False)
        agent = Agent.usingEndpointFactory(reactor, self, pool)
        self._client = HTTPClient(agent)

    def endpointForURI(self, uri: Any) -> IStreamClientEndpoint:
        """All pages are at one place."""
        return _Quietly(self._place.endpoint(self._reactor))

    @inlineCallbacks
    def ask(self, method: str, path: str, body: Any = ...) -> Steps[Any]:
        """
        Ask for JSON.

        :param body: What is sent, as JSON; ``...`` for nothing.
        :raise Refused: When the answer is another.
        :raise Misunderstood: When it is none.
        """
        response = yield self._request(method, path, "application/json", body)
        if response.code >= 300:
            yield self._refuse(response)
        told: bytes = yield _collect(response, self.longest)
        if method == "HEAD":
            return None
        try:
            return JSON.decode(told)
        except (MsgspecError, ValueError, RecursionError) as error:
            raise Misunderstood(f"{path}: {error}") from error

    @inlineCallbacks
    def listen(
        self, path: str, came: Callable[[bytes], None]
    ) -> Steps[tuple[Deferred[None]]]:
        """
        Ask for a stream of events.

        :param came: Told of what comes. When it raises, that is the end of the stream.
        :return: fires when there is one, with a Deferred for its end (in a tuple, or
            it would be waited for).
        :raise Refused: When the answer is another.
        """
        response = yield self._request("GET", path, "text/event-stream", ...)
        kind = (response.headers.getRawHeaders("content-type") or [""])[0]
        if response.code != 200:
            yield self._refuse(response)
        if kind.partition(";")[0].strip().lower() != "text/event-stream":
            yield _collect(response, 0).addErrback(lambda _: None)
            raise Misunderstood(f"{path}: expected a stream of events, not {kind!r}")
        return (_hear(response, came),)

    def _request(self, method: str, path: str, accept: str, body: Any) -> Deferred[Any]:
        headers = Headers({"Accept": [accept]})
        data = None
        if body is not ...:
            headers.addRawHeader("Content-Type", "application/json")
            data = JSON.encode(body)
        requested: Deferred[Any] = self._client.request(
            method,
            self._place.url(path),
            headers=headers,
            data=data,
            allow_redirects=False,
            unbuffered=True,
        )
        return requested

    @inlineCallbacks
    def _refuse(self, response: Any) -> Steps[None]:
        """
        :raise Refused: Says what the answer says.
        """
        told = yield _collect(response, _LONGEST_PROBLEM)
        try:
            problem = JSON.decode(told)
        except (MsgspecError, ValueError, RecursionError):
            problem = None
        facts = problem if isinstance(problem, dict) else {}
        phrase = response.phrase.decode("latin-1")
        raise Refused.of(
            facts.get("detail") or f"{response.code} {phrase}",
            response.code,
            facts.get("errors"),
            (response.headers.getRawHeaders("retry-after") or [None])[0],
        )


@implementer(IStreamClientEndpoint)
class _Quietly:
    """
    Connects without a line in the log for each page.
    """

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        protocolFactory.noisy = False
        connecting: Deferred[Any] = self._endpoint.connect(protocolFactory)
        return connecting


def _collect(response: Any, longest: int) -> Deferred[bytes]:
    """
    The body of a response.

    :raise Misunderstood: When it is longer than it may be.
    """
    came = bytearray()

    def take(data: bytes) -> None:
        came.extend(data)
        if len(came) > longest:
            raise Misunderstood(f"the answer is longer than {longest} bytes")

    return _hear(response, take).addCallback(lambda _: bytes(came))


def _hear(response: Any, came: Callable[[bytes], None]) -> Deferred[None]:
    """
    :return: fires at the end of the body, if that is whole. Cancelling it closes the
        connection.
    """
    body = _Body(came)
    response.deliverBody(body)
    return body.ended


class _Body(Protocol):
    """
    The body of a response.
    """

    transport: Any

    def __init__(self, came: Callable[[bytes], None]) -> None:
        self._came = came
        self.ended: Deferred[None] = Deferred(lambda _: self._cut())

    def dataReceived(self, data: bytes) -> None:
        if self.ended.called:
            return
        try:
            self._came(data)
        except Exception:
            failure = Failure()
            self._cut()
            if not self.ended.called:
                self.ended.errback(failure)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.ended.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.ended.callback(None)
        else:
            self.ended.errback(reason)

    def _cut(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
