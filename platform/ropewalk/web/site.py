# -*- test-case-name: tests.test_site -*-
"""
The site: a ``twisted.web`` site that knows its mounts, keeps limits, names its
requests and can be drained.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from attrs import evolve
from klein.resource import KleinResource
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.error import UnsupportedMethod
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource, getChildForRequest

from ropewalk.errors import RopewalkError
from ropewalk.telemetry import Work, work
from ropewalk.web.channel import Channel
from ropewalk.web.mounts import Mounts
from ropewalk.web.problems import Refused, respond
from ropewalk.web.streams import cut_stream, end_upload

__all__ = ["BodyTooLong", "Request", "Site"]

#: The beginning of a request's target that is a whole URL, as for a proxy.
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)

#: What an answer says of us and of when, and not of what it is.
_OURS = (b"server", b"date", b"connection")

#: How nginx tells that a client left before it was answered; no client sees it.
_CLIENT_LEFT = 499


class BodyTooLong(RopewalkError):
    """
    A request's body is longer than the site takes.
    """

    status = 413


class Request(server.Request):
    """
    A request with a name, in the name of which its work is done.

    :ivar name: ``"r17"``, once its headers are here.
    :ivar work: Whose work it is.
    :ivar began: When its headers were here, by the site's clock.
    :ivar aborted: Whether the connection ended before the answer did.
    """

    _log = Logger()
    _cut = False
    _refused = False
    _taken = 0
    _too_long = False

    site: Site
    name: str | None = None
    work: Work
    began: float
    aborted = False

    def begin(self) -> None:
        """Give it its name: it will be answered."""
        channel: Any = self.channel
        self.site = channel.site
        self.name = self.site.next_name()
        self.work = evolve(getattr(channel, "work", work.get()), request=self.name)
        self.began = self.site.seconds()
        if not isinstance(channel, Channel):  # a stream of HTTP/2
            self.method, self.uri = channel.command, channel.path
            self.clientproto = b"HTTP/2"

    def refuse(self, error: RopewalkError) -> None:
        """
        Answer before all of the request is here, and close: what else comes is
        not looked at.
        """
        if self.name is None:  # not even its headers are complete
            self.begin()
            self.method = self.uri = b"-"
            self.clientproto = b"HTTP/1.1"
        self._refused = True
        channel: Any = self.channel
        self.setHeader(b"server", server.version)
        self.setHeader(b"date", http.datetimeToString())
        body = respond(self, error, self.name)
        self.setHeader(b"content-length", b"%d" % len(body))
        if isinstance(channel, Channel):
            channel.stop_listening()
            self.setHeader(b"connection", b"close")
        else:
            end_upload(channel)
        self.write(body)
        self.finish()

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        self.begin()
        self._too_long = length is not None and length > self.site.longest_body
        # A stream of HTTP/2 cannot be answered yet; it is when its body comes.
        if self._too_long and isinstance(self.channel, Channel):
            self._refuse_body()

    def handleContentChunk(self, data: bytes) -> None:
        if self._refused:
            return
        self._taken += len(data)
        if self._too_long or self._taken > self.site.longest_body:
            self._refuse_body()
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if self._refused:
            return
        absolute = _ABSOLUTE.match(path)
        if absolute is not None:  # RFC 9112, section 3.2.2
            self.requestHeaders.setRawHeaders(b"host", [absolute[1]])
            path = path[absolute.end() :]
            path = path if path.startswith(b"/") else b"/" + path
        super().requestReceived(command, path, version)

    def process(self) -> None:
        token = work.set(self.work)
        try:
            super().process()
        finally:
            work.reset(token)

    def getRequestHostname(self) -> bytes:
        if self.getHeader(b"host") is None and isinstance(self.host, UNIXAddress):
            return b"localhost"
        name: bytes = super().getRequestHostname()
        return name

    def render(self, resrc: Any) -> None:
        """
        Answer with what a resource renders. HEAD is answered as GET is, without
        the body, also by a resource that knows only GET.
        """
        # Klein renders what a handler returned when it does, in any context.
        token = work.set(self.work)
        try:
            body = self._rendered(resrc)
        except UnsupportedMethod as error:
            body = self._unsupported(error.allowedMethods)
        finally:
            work.reset(token)
        if body is server.NOT_DONE_YET:
            return
        if not isinstance(body, bytes):
            kind = type(body).__name__
            raise TypeError(f"{resrc!r} rendered {kind}, not bytes or NOT_DONE_YET")
        # A resource that has no body for HEAD may have said how long it would be.
        if self.code not in http.NO_BODY_CODES and (body or self.method != b"HEAD"):
            self.setHeader(b"content-length", b"%d" % len(body))
        self.write(body)
        self.finish()

    def write(self, data: bytes) -> None:
        if self._cut:
            return
        if (
            not self.startedWriting
            and not self._inFakeHead
            and self.site.draining
            and self.clientproto.startswith(b"HTTP/1")
        ):
            self.responseHeaders.setRawHeaders(b"connection", [b"close"])
        super().write(data)

    def finish(self) -> None:
        # Klein finishes a request whatever became of it.
        if not self._cut:
            super().finish()

    def connectionLost(self, reason: Failure) -> None:
        if self.name is None:  # it was not even asked
            super().connectionLost(reason)
            return
        token = work.set(self.work)
        try:
            super().connectionLost(reason)
        finally:
            work.reset(token)
        if not self.finished:
            self.aborted = True
            if not self.startedWriting:
                self.code = _CLIENT_LEFT
            self.site.log(self)

    def processingFailed(self, reason: Failure) -> Failure:
        """
        Answer with what went wrong, if that can still be said; otherwise end
        the connection, so that nobody takes half an answer for a whole one.

        It is logged, unless it is a :class:`~ropewalk.errors.RopewalkError`
        that says that nothing is wrong with us: its status is not 500.
        """
        token = work.set(self.work)
        try:
            self._fail(reason)
        finally:
            work.reset(token)
        return reason

    def _fail(self, reason: Failure) -> None:
        error: Any = reason.value
        if self._disconnected and isinstance(error, CancelledError):
            return
        if not isinstance(error, RopewalkError) or error.status == 500:
            self._report(reason)
        if self.finished or self._disconnected:
            return
        if self.startedWriting:
            self._break_off()
            return
        # What the handler had already decided about its answer is void.
        self._inFakeHead = False
        self._encoder = self.etag = self.lastModified = None
        self.cookies = []
        ours = [(name, self.responseHeaders.getRawHeaders(name)) for name in _OURS]
        self.responseHeaders = Headers({name: each for name, each in ours if each})
        try:
            body = respond(self, error, self.name)
        except Exception:
            # An error that cannot even say what it is.
            self._report(Failure())
            body = respond(self, RuntimeError(), self.name)
        self.setHeader(b"content-length", b"%d" % len(body))
        self.write(body)
        self.finish()

    def _report(self, failure: Failure) -> None:
        self._log.failure(
            "{method} {path} failed",
            failure,
            method=self.method.decode("ascii", "backslashreplace"),
            path=(self.path or b"").decode("ascii", "backslashreplace"),
        )

    def _rendered(self, resrc: Any) -> Any:
        if self.method != b"HEAD":
            return resrc.render(self)
        if not _lacks_get(resrc):
            try:
                return resrc.render(self)
            except UnsupportedMethod as error:
                if b"GET" not in error.allowedMethods:
                    raise
        self.method, self._inFakeHead = b"GET", True
        try:
            return resrc.render(self)
        finally:
            self.method, self._inFakeHead = b"HEAD", False

    def _unsupported(self, allowed: Sequence[bytes]) -> bytes:
        """RFC 9110, section 15.5.6."""
        methods = b", ".join(
            each for each in sorted(allowed) if each != b"HEAD" or b"GET" in allowed
        )
        self.setHeader(b"allow", methods)
        asked = self.method.decode("ascii", "backslashreplace")
        detail = f"there is no {asked} here, only {methods.decode('ascii')}"
        return respond(self, Refused(405, detail))

    def _refuse_body(self) -> None:
        """RFC 9110, section 15.5.14."""
        limit = self.site.longest_body
        self.refuse(BodyTooLong(f"the body is too long: at most {limit} bytes"))

    def _break_off(self) -> None:
        if self.producer is not None:
            self.unregisterProducer()
        channel: Any = self.channel
        if not isinstance(channel, Channel):
            cut_stream(channel)
        elif self.chunked or self.responseHeaders.hasHeader(b"content-length"):
            channel.loseConnection()
        else:
            # The end of the connection is the end of the answer: only a reset
            # says that it came too early.
            channel.abortConnection()
        self._cut = True


class Site(server.Site):
    """
    What is mounted, served.

    :param mounts: What is served where.
    :param reactor: The clock.
    :param home: Serves ``/`` unless something is mounted there.
    :ivar longest_body: Bytes of the longest request body taken.
    :ivar draining: Whether the site says goodbye.
    :ivar observe: Called with every request that is answered, and with those
        whose connection ended before.
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
        root = _Nothing() if home is None else home
        super().__init__(root, reactor=reactor, timeout=idle)
        self.mounts = mounts
        self.longest_body = longest_body
        self.draining = False
        self.observe = observe
        self.seconds = reactor.seconds
        numbers = count(1)
        self.next_name = lambda: f"r{next(numbers)}"

    def protocol(self) -> Any:
        # What Twisted puts before its HTTP/1.1 and HTTP/2 channels has no
        # public name.
        return http._GenericHTTPChannelProtocol(Channel())

    def getResourceFor(self, request: Any) -> Any:
        found = self.mounts.find(request.postpath)
        # As of any Twisted site, sessions are the site's, not the mount's.
        request.sitepath = []
        if found is None:
            return self.resource if request.postpath == [b""] else _Nothing()
        mount, depth = found
        request.work = evolve(request.work, plugin=mount.plugin)
        work.set(request.work)
        request.prepath = request.postpath[:depth]
        request.postpath = request.postpath[depth:]
        if not request.postpath and isinstance(mount.resource, KleinResource):
            # A mount's own path is an app's "/", with a slash behind it or not.
            request.postpath = [b""]
        elif not request.postpath and _is_directory(mount.resource):
            return _AddSlash()
        return getChildForRequest(mount.resource, request)

    def log(self, request: Any) -> None:
        if self.observe is not None:
            self.observe(request)

    def startFactory(self) -> None:
        """Twisted's own access log stays off; ``observe`` is ours."""

    def stopFactory(self) -> None:
        """See :meth:`startFactory`."""


def _is_directory(resource: Any) -> bool:
    """
    Whether a resource does not answer for itself: its child without a name does.
    """
    return _lacks_get(resource) and not resource.isLeaf and b"" in resource.children


class _AddSlash(Resource):
    """
    Leads from ``/docs`` to ``/docs/``, from where relative links lead on.
    """

    isLeaf = True

    def render(self, request: Any) -> bytes:
        path, mark, query = request.uri.partition(b"?")
        request.setResponseCode(308)
        request.setHeader(b"location", b"/" + path.strip(b"/") + b"/" + mark + query)
        return b""


class _Nothing(Resource):
    """What is where nothing is."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        return respond(request, Refused(404, "there is nothing here; what there is: /"))


def _lacks_get(resource: Any) -> bool:
    """
    Whether a resource has no ``render_GET``, which the ``render_HEAD`` that all
    have would call.
    """
    kind = type(resource)
    return (
        isinstance(resource, Resource)
        and kind.render is Resource.render
        and kind.render_HEAD is Resource.render_HEAD
        and not hasattr(resource, "render_GET")
    )
