# -*- test-case-name: tests.test_site -*-
"""
The site: a ``twisted.web`` site that knows its mounts, keeps limits, names its
requests and can be drained.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from attrs import evolve
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.components import registerAdapter
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.pages import notFound
from twisted.web.resource import Resource, getChildForRequest
from zope.interface import implementer

from ropewalk.errors import RopewalkError
from ropewalk.interfaces import IDrainable
from ropewalk.telemetry import Work, work
from ropewalk.web.mounts import Mounts
from ropewalk.web.problems import respond

__all__ = ["BodyTooLong", "Request", "Site"]


class BodyTooLong(RopewalkError):
    """
    A request's body is longer than the site takes.
    """

    status = 413


class Request(server.Request):
    """
    A request with a name, in the name of which its work is done.

    :ivar name: ``"r17"``.
    :ivar work: Whose work it is.
    :ivar began: When its headers were read, by the site's clock.
    """

    _log = Logger()
    _refused = False
    _taken = 0

    site: Site
    name: str
    work: Work
    began: float

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        self.site = self.channel.site
        self.name = self.site.next_name()
        self.began = self.site.seconds()
        if length is not None and length > self.site.longest_body:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        if self._refused:
            return
        self._taken += len(data)
        if self._taken > self.site.longest_body:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def process(self) -> None:
        if self._refused:
            return
        self.work = evolve(work.get(), request=self.name)
        token = work.set(self.work)
        try:
            super().process()
        finally:
            work.reset(token)

    def write(self, data: bytes) -> None:
        if not self.startedWriting and self.site.draining:
            self.responseHeaders.setRawHeaders(b"connection", [b"close"])
        super().write(data)

    def processingFailed(self, reason: Failure) -> Failure:
        """
        Answer with what went wrong, if that can still be said; otherwise end
        the connection, so that nobody takes half an answer for a whole one.
        """
        if not isinstance(reason.value, RopewalkError):
            self._log.failure(
                "{method} {path} failed",
                reason,
                method=self.method.decode("ascii", "replace"),
                path=self.path.decode("ascii", "replace"),
            )
        if self.startedWriting:
            self.loseConnection()
            return reason
        # What the handler had already decided about its answer is void.
        self.responseHeaders.removeHeader(b"content-length")
        self.write(respond(self, reason.value, self.name))
        self.finish()
        return reason

    def _refuse(self) -> None:
        """
        Answer 413 (RFC 9110, section 15.5.14) before the body is here, and
        close: what else comes is not looked at.
        """
        self._refused = True
        channel, limit = self.channel, self.site.longest_body
        self.work = evolve(work.get(), request=self.name)
        # Twisted says what was asked only once the body is here.
        self.method = getattr(channel, "_command", self.method)
        self.uri = getattr(channel, "_path", self.uri)
        self.clientproto = b"HTTP/1.1"
        error = BodyTooLong(f"the body is too long: at most {limit} bytes")
        body = respond(self, error, self.name)
        self.setHeader(b"connection", b"close")
        self.setHeader(b"content-length", b"%d" % len(body))
        self.write(body)
        self.finish()
        channel.loseConnection()


class Site(server.Site):
    """
    What is mounted, served.

    :param mounts: What is served where.
    :param reactor: The clock.
    :param home: Serves ``/`` unless something is mounted there.
    :ivar longest_body: Bytes of the longest request body taken.
    :ivar draining: Whether the site says goodbye.
    :ivar observe: Called with every request that is answered.
    """

    requestFactory = Request

    def __init__(
        self,
        mounts: Mounts,
        reactor: IReactorTime,
        home: Resource | None = None,
        *,
        longest_body: int = 1024 * 1024,
        idle: float = 60.0,
        observe: Callable[[Request], None] | None = None,
    ) -> None:
        root = Resource() if home is None else home
        super().__init__(root, reactor=reactor, timeout=idle)
        self.mounts = mounts
        self.longest_body = longest_body
        self.draining = False
        self.observe = observe
        self.seconds = reactor.seconds
        numbers = count(1)
        self.next_name = lambda: f"r{next(numbers)}"

    def getResourceFor(self, request: Any) -> Any:
        found = self.mounts.find(request.postpath)
        if found is None:
            if request.postpath in ([], [b""]):
                return self.resource
            return notFound(message="There is nothing here. What is: see /")
        mount, depth = found
        request.work = evolve(request.work, plugin=mount.plugin)
        work.set(request.work)
        request.prepath = request.postpath[:depth]
        # A mount's own path is its root, with a slash behind it or without.
        request.postpath = request.postpath[depth:] or [b""]
        request.sitepath = list(request.prepath)
        return getChildForRequest(mount.resource, request)

    def log(self, request: Any) -> None:
        if self.observe is not None:
            self.observe(request)

    def startFactory(self) -> None:
        """Twisted's own access log stays off; ``observe`` is ours."""

    def stopFactory(self) -> None:
        """See :meth:`startFactory`."""


@implementer(IDrainable)
class _DrainableHTTP:
    """
    How an HTTP connection says goodbye: what is being answered is answered,
    with ``Connection: close`` (RFC 9112, section 9.6).
    """

    def __init__(self, protocol: Any) -> None:
        self._channel = protocol._channel

    def drain(self, reason: str) -> None:
        channel = self._channel
        channel.site.draining = True
        if isinstance(channel, http.HTTPChannel):
            channel.persistent = False
            if not channel.requests:
                channel.loseConnection()
        else:
            self._drain_streams()

    def _drain_streams(self) -> None:
        """HTTP/2: close when no stream is left (RFC 9113, section 6.8)."""
        channel = self._channel
        if not channel.streams:
            channel.loseConnection()
            return
        for stream in list(channel.streams.values()):
            finished = stream._request.notifyFinish()
            finished.addBoth(lambda _: None)
            finished.addCallback(
                lambda _: channel.callLater(0, self._drain_streams)
            )


# The protocol that Twisted puts before its HTTP/1.1 and HTTP/2 channels has no
# public name.
registerAdapter(_DrainableHTTP, http._GenericHTTPChannelProtocol, IDrainable)
