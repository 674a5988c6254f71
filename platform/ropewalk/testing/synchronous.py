# -*- test-case-name: tests.test_synchronous -*-
"""
Somebody who speaks HTTP to an application, without a reactor and without a daemon.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from http.client import HTTPMessage, HTTPResponse, IncompleteRead
from io import BytesIO
from typing import Any
from urllib.parse import quote, urlencode

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from ropewalk.testing.response import Response

__all__ = ["Client", "NoAnswer"]

#: So many turns without an end are not to have one.
_TURNS = 10_000


class NoAnswer(Exception):
    """
    A request has had no answer: its handler waits for something that only a reactor
    brings, or for more time than was given it.
    """


class Client:
    """
    Somebody who speaks HTTP to an application. A request is answered when the call
    returns: what a handler does at once, and what it waits for by the ``clock``::

        Client(routes).get("/users", params={"page": 2}).json()

    For handlers that wait for threads, for the network or for asyncio, there is
    :class:`~ropewalk.testing.TestCase`.

    :param app: What ``host.web.mount`` takes, for ``/``; or a
        :class:`~ropewalk.web.site.Site`.
    :ivar site: The site that is asked.
    :ivar clock: Its time, unless the site has another.
    """

    def __init__(self, app: Any) -> None:
        from ropewalk.web.mounts import Mount, Mounts, resource_for
        from ropewalk.web.site import Site

        self.clock = Clock()
        if isinstance(app, Site):
            self.site, known = app, app.clock
            self.clock = known if isinstance(known, Clock) else self.clock
            return
        resource = resource_for(app)
        if resource is None:
            raise TypeError(f"{app!r} is no application: neither routes nor a resource")
        self.site = Site(Mounts(), self.clock)
        place = f"{type(app).__module__}:1"
        self.site.mounts.add(Mount("/", resource, "app", place, "pages", app))

    def get(self, path: str, **request: Any) -> Response:
        """Ask by GET; the parameters are those of :meth:`request`."""
        return self.request("GET", path, **request)

    def post(self, path: str, **request: Any) -> Response:
        """Ask by POST; the parameters are those of :meth:`request`."""
        return self.request("POST", path, **request)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Any = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | str | Mapping[str, Any] = b"",
        wait: float = 0,
    ) -> Response:
        """
        Ask for something, on a connection of its own.

        :param path: ``"/users?page=2"``; what no URL has is percent-encoded.
        :param params: The query, or more of it: a mapping or pairs.
        :param json: A value to be the body, as JSON.
        :param data: The body; a mapping is sent as a form does.
        :param wait: Seconds of the ``clock`` to wait for the answer.
        :raise NoAnswer: When none comes.
        """
        body, content_type = _body(json, data)
        fields = HTTPMessage()
        fields["Host"] = "localhost"
        if content_type:
            fields["Content-Type"] = content_type
        for name, value in (headers or {}).items():
            del fields[name]
            fields[name] = value
        if body or method in ("POST", "PUT", "PATCH"):
            fields["Content-Length"] = str(len(body))
        fields["Connection"] = "close"
        lines = [f"{name}: {value}" for name, value in fields.items()]
        head = "\r\n".join([f"{method} {_target(path, params)} HTTP/1.1", *lines])
        return self._ask(method, f"{head}\r\n\r\n".encode() + body, wait)

    def _ask(self, method: str, request: bytes, wait: float) -> Response:
        transport = _Wire()
        protocol: Any = self.site.buildProtocol(transport.getPeer())
        protocol.makeConnection(transport)
        protocol.dataReceived(request)
        self.clock.advance(wait)
        for _ in range(_TURNS):
            if transport.disconnecting:
                break
            self.clock.advance(0)
        said, ended = transport.value(), transport.disconnecting
        protocol.connectionLost(Failure(ConnectionDone()))
        if not ended:
            raise NoAnswer(f"after {self.clock.seconds():g} s, only {said!r} has come")
        return _read(method, said)


class _Wire(StringTransport):
    """
    A transport that goes on sending while it closes, as real ones do.
    """

    def __init__(self) -> None:
        super().__init__(
            IPv4Address("TCP", "127.0.0.1", 80),
            IPv4Address("TCP", "127.0.0.1", 50000),
            lenient=True,
        )

    def abortConnection(self) -> None:
        super().abortConnection()
        self.disconnecting = True

    def unregisterProducer(self) -> None:
        self.producer = self.streaming = None


class _Said:
    """What was said, as a socket that :mod:`http.client` can read."""

    def __init__(self, said: bytes) -> None:
        self._said = said

    def makefile(self, mode: str) -> BytesIO:
        return BytesIO(self._said)


def _read(method: str, said: bytes) -> Response:
    socket: Any = _Said(said)
    response = HTTPResponse(socket, method=method)
    response.begin()
    try:
        return Response(response.status, response.headers, response.read())
    except IncompleteRead as error:
        raise NoAnswer(f"the answer broke off after {error.partial!r}") from error


def _body(json: Any, data: Any) -> tuple[bytes, str]:
    """A body, and what it is."""
    if json is not None:
        return json_module.dumps(json).encode(), "application/json"
    if isinstance(data, Mapping):
        return urlencode(data, doseq=True).encode(), "application/x-www-form-urlencoded"
    return (data.encode() if isinstance(data, str) else data), ""


def _target(path: str, params: Any) -> str:
    target = quote(path, safe="!#$%&'()*+,/:;=?@[]~").partition("#")[0]
    if not params:
        return target
    return f"{target}{'&' if '?' in target else '?'}{urlencode(params, doseq=True)}"
