# -*- test-case-name: tests.test_site -*-
"""
The site: a ``twisted.web`` site that knows its mounts, keeps limits, names its
requests and can be drained.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import lru_cache, partial
from itertools import count
from secrets import token_hex
from typing import Any
from urllib.parse import quote, unquote

from attrs import evolve
from klein.interfaces import IKleinRequest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.components import registerAdapter
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.error import UnsupportedMethod
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource

from ropewalk.errors import RopewalkError
from ropewalk.telemetry import Work, work
from ropewalk.web.around import OWN_CONTEXT
from ropewalk.web.channel import Channel
from ropewalk.web.compiling import is_resource, settle_route
from ropewalk.web.media import NONE, Formats
from ropewalk.web.mounts import Mounts
from ropewalk.web.problems import Refused, is_told, respond
from ropewalk.web.proxies import Proxies, Told, read_host, read_id
from ropewalk.web.refusals import wrong_method
from ropewalk.web.serving import Endpoint, KleinView
from ropewalk.web.signals import Signals, tell
from ropewalk.web.signposts import Mounted, lacks_get
from ropewalk.web.streams import cut_stream, end_upload
from ropewalk.web.table import Found, Missing, Moved

__all__ = ["BodyTooLong", "Request", "Site"]

#: The beginning of a request's target that is a whole URL, as for a proxy.
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)

#: A form that is not longer, in bytes, may be nothing but its end.
_LONGEST_END = 300

#: What a host may be called (RFC 3986, section 3.2.2), and its port.
_HOST = re.compile(r"[\w.~!$&'()*+,;=%:\[\]-]*", re.ASCII)

#: The forms of which Twisted puts the fields among a request's arguments.
_FORMS = (b"application/x-www-form-urlencoded", b"multipart/form-data")

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
    :ivar route: What answers it, once that is known.
    :ivar path_args: The arguments in its path.
    :ivar longest_body: How many bytes its body may have.
    :ivar aborted: Whether the connection ended before the answer did.
    """

    _log = Logger()
    _cut = False
    _refused = False
    _started = False
    _taken = 0
    _too_long = False
    _secure: bool | None = None
    _moved = False
    _has_form = False
    _args: Any = None
    _id: str | None = None

    site: Site
    longest_body: int
    route: Any = None
    path_args: Any = None
    scope: Any = None
    trouble: BaseException | None = None
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

    @property
    def id(self) -> str:
        """
        The request's id, which no other process gives to another: that of the
        trusted proxy which has sent it, if it has one. It ends with the name
        otherwise. What is logged under the id of a proxy is not under the name.
        """
        if self._id is None:
            self._id = f"{self.site.process}-{self.name}"
        return self._id

    def link(self, target: Any, view: str = "", /, **args: Any) -> str:
        """
        The path at which something answers.

        :param target: A handler, a route's name, or a model: see
            :meth:`ropewalk.web.links.Links.to`.
        :param view: Which view on a model, where not the one without a name.
        :param args: What is in the path; what is not goes into the query.
        :return: percent-encoded. With scheme and host where it is on another host.
        :raise BadLink: When there is no link.
        """
        path, host = self._link(target, args, view)
        asked = self._asked_host().lower()
        if host is None or host in (asked, asked.rpartition(":")[0]):
            return path
        return self._absolute(path, host)

    def url(self, target: Any, view: str = "", /, **args: Any) -> str:
        """
        As :meth:`link`, with scheme and host: for mail, say.
        """
        path, host = self._link(target, args, view)
        return self._absolute(path, host)

    def _link(self, target: Any, args: Any, view: str) -> tuple[str, str | None]:
        links = self.site.mounts.links
        return links.to(target, args, view, self.route, self.path_args)

    def _asked_host(self) -> str:
        """The host that was asked for, with the port if the client wrote one."""
        return (self.getHeader(b"host") or self.getRequestHostname()).decode("latin-1")

    def _absolute(self, path: str, host: str | None) -> str:
        secure = self.isSecure()
        usual = ":443" if secure else ":80"
        asked = self._asked_host()
        if host is not None:
            _, colon, port = asked.rpartition(":")
            asked = f"{host}:{port}" if colon and port.isdigit() else host
        return f"http{'s' if secure else ''}://{asked.removesuffix(usual)}{path}"

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
        body = respond(self, error, self.work.request)
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
        if self.site.proxies is not None:
            self._listen_to(self.site.proxies)
        self.longest_body = self.site.longest_body_of(self)
        self._too_long = length is not None and length > self.longest_body
        # A stream of HTTP/2 cannot be answered yet; it is when its body comes.
        if self._too_long and isinstance(self.channel, Channel):
            self._refuse_body()

    def handleContentChunk(self, data: bytes) -> None:
        if self._refused:
            return
        self._taken += len(data)
        if self._too_long or self._taken > self.longest_body:
            self._refuse_body()
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if self._refused:
            return
        absolute = _ABSOLUTE.match(path)
        if absolute is not None:  # RFC 9112, section 3.2.2
            if not self._moved:
                self.requestHeaders.setRawHeaders(b"host", [absolute[1]])
            path = path[absolute.end() :]
            path = path if path.startswith(b"/") else b"/" + path
        # Twisted would read every form here, whole, whoever answers.
        self._parsePOSTFormSubmission = False
        super().requestReceived(command, path, version)

    @property
    def args(self) -> Any:
        """
        What is in the query, and, as Twisted has it, in the form of a POST: names and
        lists of values, in bytes. The form is read, whole, when somebody asks; who
        asks for an ``Upload`` does without.

        :raise Refused: When the form is none.
        """
        if self._has_form:
            self._has_form = False
            self._args.update(self._read_form())
        return self._args

    @args.setter
    def args(self, args: Any) -> None:
        self._args = args

    def _read_form(self) -> dict[bytes, list[bytes]]:
        content: Any = self.content
        (said, *_) = self.requestHeaders.getRawHeaders(b"content-type", [b""])
        kind = http._parseContentType(said)
        if kind not in _FORMS:
            return {}
        place = content.tell()
        content.seek(0)
        body = content.read()
        content.seek(place)
        if kind == b"application/x-www-form-urlencoded":
            query: dict[bytes, list[bytes]] = http.parse_qs(body, True)
            return query
        if _is_blank_form(body, said):
            return {}
        try:
            fields: dict[bytes, list[bytes]] = http._getMultiPartArgs(body, said)
            return fields
        except http._MultiPartParseException:
            raise Refused(400, "the form cannot be read") from None

    def process(self) -> None:
        # What one request puts into context variables is nothing to the next.
        context = copy_context()
        context.run(OWN_CONTEXT.set, context)
        context.run(self._process)

    def _process(self) -> None:
        token = work.set(self.work)
        try:
            self._started = True
            self._has_form = self.method == b"POST"
            if self.site.signals.started:
                tell(self.site.signals.started, self)
            super().process()
        finally:
            work.reset(token)

    def getRequestHostname(self) -> bytes:
        if self.getHeader(b"host") is None and isinstance(self.host, UNIXAddress):
            return b"localhost"
        name: bytes = super().getRequestHostname()
        return name

    def isSecure(self) -> bool:
        """Whether the client came by TLS: to us, or to a proxy which says so."""
        if self._secure is not None:
            return self._secure
        secure: bool = super().isSecure()
        return secure

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
        if not self.startedWriting and not self._inFakeHead:
            self._complete_headers()
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
        if not is_told(error):
            self._report(reason)
            tell(self.site.signals.failed, self, reason)
        if self.finished or self._disconnected:
            return
        if self.startedWriting:
            self._break_off()
            return
        self._inFakeHead = False
        self.forget_answer()
        try:
            body = self._explained(reason) or respond(self, error, self.work.request)
        except Exception:
            # An error that cannot even say what it is.
            self._report(Failure())
            body = respond(self, RuntimeError(), self.work.request)
        self.setHeader(b"content-length", b"%d" % len(body))
        self.write(body)
        self.finish()

    def forget_answer(self) -> None:
        """Void what a handler has already decided about its answer."""
        self._encoder = self.etag = self.lastModified = None
        self.cookies = []
        ours = [(name, self.responseHeaders.getRawHeaders(name)) for name in _OURS]
        self.responseHeaders = Headers({name: each for name, each in ours if each})

    def _explained(self, reason: Failure) -> bytes | None:
        """What a developer is told, where somebody develops."""
        error: Any = reason.value
        if self.site.explain is None or is_told(error):
            return None
        before = self.responseHeaders.copy()
        try:
            return self.site.explain(self, reason)
        except Exception:
            self._report(Failure())
            self.responseHeaders = before
            return None

    def _report(self, failure: Failure) -> None:
        self._log.failure(
            "{method} {path} failed",
            failure,
            method=self.method.decode("ascii", "backslashreplace"),
            path=(self.path or b"").decode("ascii", "backslashreplace"),
        )

    def _complete_headers(self) -> None:
        name = self.site.request_id
        if name and not self.responseHeaders.hasHeader(name):
            self.responseHeaders.setRawHeaders(name, [self.id.encode("ascii")])
        if self.site.draining and self.clientproto.startswith(b"HTTP/1"):
            self.responseHeaders.setRawHeaders(b"connection", [b"close"])

    def _listen_to(self, proxies: Proxies) -> None:
        """Believe what a trusted proxy says of the request, if it is one's."""
        channel: Any = self.channel
        connection = channel if isinstance(channel, Channel) else channel._conn
        if not proxies.trusts(self.client) or getattr(
            connection.transport, "anonymous", False
        ):
            return
        if self.site.request_id:
            self._id = read_id(self.requestHeaders, self.site.request_id)
            if self._id is not None:
                self.work = evolve(self.work, request=self._id)
        told = proxies.read(self.requestHeaders)
        if told.disputed:
            self.site.warn_of_dispute(self.client)
        self.client = told.client or self.client
        if told.scheme or told.host or told.port:
            self._move(told)

    def _move(self, told: Told) -> None:
        """
        Be the request that came to the proxy, so that URLs made of it lead there:
        as with Twisted's ``setHost``, also in the header ``Host``.
        """
        if told.scheme is not None:
            self._secure = told.scheme == "https"
        usual = 443 if self.isSecure() else 80
        said = (self.getHeader(b"host") or b"").decode("latin-1")
        name, port = read_host(said) or (None, None)
        if told.host is not None:
            name, port = told.host, None
        port = told.port or port or usual
        if name is not None and (told.host or told.port):
            text = name if port == usual else f"{name}:{port}"
            self.requestHeaders.setRawHeaders(b"host", [text.encode("ascii")])
            self._moved = True
        if hasattr(self.host, "port"):
            self.host = evolve(self.host, port=port)
        else:  # a UNIX socket
            self.host = IPv4Address("TCP", name or "localhost", port)

    def _rendered(self, resrc: Any) -> Any:
        if self.method != b"HEAD":
            return resrc.render(self)
        if not lacks_get(resrc):
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
        methods = [
            each.decode("ascii")
            for each in sorted(allowed)
            if each != b"HEAD" or b"GET" in allowed
        ]
        self.setHeader(b"allow", ", ".join(methods).encode("ascii"))
        return respond(self, Refused(405, wrong_method(self.method, methods)))

    def _refuse_body(self) -> None:
        """RFC 9110, section 15.5.14."""
        limit = self.longest_body
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
    :ivar signals: Who is told of its requests.
    :ivar draining: Whether the site says goodbye.
    :ivar observe: Called with every request that is answered, and with those
        whose connection ended before.
    :ivar proxies: Who may say for whom they ask; ``None`` for nobody.
    :ivar request_id: The header that has a request's id; empty for none.
    :ivar explain: Makes the answer to a request that failed by accident, or ``None``
        where nothing is to be told; ``None`` in production.
    :ivar formats: Formats of its own, besides the built-in ones or in place of them.
    :ivar process: What the ids of this process begin with: 12 hexadecimal digits,
        so that in a million starts, the odds that two have the same are 1 in 500.
    """

    requestFactory = Request

    _log = Logger()
    _disputed = False

    def __init__(
        self,
        mounts: Mounts,
        reactor: IReactorTime,
        home: Resource | None = None,
        *,
        longest_body: int = 1024 * 1024,
        idle: float = 60.0,
        observe: Callable[[Request], None] | None = None,
        proxies: Proxies | None = None,
        request_id: str = "",
    ) -> None:
        root = _Nothing() if home is None else home
        super().__init__(root, reactor=reactor, timeout=idle)
        self.mounts = mounts
        self.signals = Signals()
        self.longest_body = longest_body
        self.draining = False
        self.observe = observe
        self.proxies = proxies
        self.request_id = request_id.encode("ascii")
        self.explain: Callable[[Request, Failure], bytes | None] | None = None
        self.formats: Formats = NONE
        self.process = token_hex(6)
        self.clock = reactor
        self.seconds = reactor.seconds
        numbers = count(1)
        self.next_name = lambda: f"r{next(numbers)}"

    def protocol(self) -> Any:
        # What Twisted puts before its HTTP/1.1 and HTTP/2 channels has no
        # public name.
        return http._GenericHTTPChannelProtocol(Channel())

    def getResourceFor(self, request: Any) -> Any:
        # As of any Twisted site, sessions are the site's, not the mount's.
        request.sitepath = []
        target = settle_route(request, self._find(request))
        if target is None:
            target = self.resource if request.postpath == [b""] else _Nothing()
            return self.mounts.beyond(request, target) or target
        if not isinstance(target, Endpoint | Mounted):  # it is nobody's in particular
            target = self.mounts.beyond(request, target) or target
        if target.plugin:
            request.work = evolve(request.work, plugin=target.plugin)
        work.set(request.work)
        return target.enter(request)

    def _find(self, request: Any) -> Found[Any] | Moved | Missing[Any]:
        """
        :raise Refused: When no text can come of the path, or the ``Host`` header
            names no host (RFC 9112, section 3.2).
        """
        path, method = request.path.decode("latin-1"), request.method.decode("latin-1")
        host = (request.getHeader(b"host") or b"").decode("latin-1")
        if not _is_host(host):
            raise Refused(400, "the Host header names no host")
        find = partial(self.mounts.table.find, method=method, host=host)
        try:
            return find(path)
        except UnicodeDecodeError:
            # A resource may have names that are no text; a route has not.
            found = find(quote(unquote(path, errors="replace")))
        if isinstance(found, Missing) and is_resource(found.guard):
            return found
        raise Refused(400, "the address is not text in UTF-8")

    def longest_body_of(self, request: Any) -> int:
        """
        How long a request's body may be, as soon as its headers are here.
        """
        table = self.mounts.table
        if not self.mounts.limited:
            return self.longest_body
        target = _ABSOLUTE.sub(b"", request.uri, count=1)
        path, host = target.partition(b"?")[0], request.getHeader(b"host") or b""
        asked = (each.decode("latin-1") for each in (path, request.method, host))
        try:
            found = table.find(*asked)
        except UnicodeDecodeError:
            return self.longest_body
        own = None
        if isinstance(found, Found):
            own = found.entry.target.options.longest_body
        return self.longest_body if own is None else own

    def log(self, request: Any) -> None:
        if self.signals.finished and request._started:
            tell(self.signals.finished, request)
        if self.observe is not None:
            self.observe(request)

    def warn_of_dispute(self, proxy: Any) -> None:
        """
        Say, once, that two kinds of headers of a proxy name different clients.
        """
        if self._disputed:
            return
        self._disputed = True
        self._log.warn(
            "the proxy {proxy} sends Forwarded and X-Forwarded-For, which name "
            "different clients: one of them it lets pass as anybody wrote it; set "
            "forwarded in [web] to the one that it writes",
            proxy=getattr(proxy, "host", "at our UNIX socket"),
        )

    def startFactory(self) -> None:
        """Twisted's own access log stays off; ``observe`` is ours."""

    def stopFactory(self) -> None:
        """See :meth:`startFactory`."""


def _is_blank_form(body: bytes, said: bytes) -> bool:
    """
    Whether a form has no field, as browsers send it: nothing but the end (RFC 2046,
    section 5.1.1, wants a part before that).
    """
    end = body[:_LONGEST_END].strip()
    boundary = end.removeprefix(b"--").removesuffix(b"--")
    whole = len(body) < _LONGEST_END
    return whole and end == b"--%s--" % boundary and boundary in said


@lru_cache(1024)
def _is_host(host: str) -> bool:
    return _HOST.fullmatch(host) is not None


class _Nothing(Resource):
    """What is where nothing is."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        return respond(request, Refused(404, "there is nothing here; what there is: /"))


registerAdapter(KleinView, Request, IKleinRequest)
