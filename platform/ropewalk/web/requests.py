# -*- test-case-name: tests.test_site -*-
"""
A request: ``twisted.web``'s, which is told its name, keeps to limits, and works out
nothing that nobody asks for.

What :class:`~ropewalk.web.engine.Channel` makes knows its method, path and headers as
they came. Its arguments, cookies, content, addresses and the rest are there as soon
as somebody looks at them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from contextvars import copy_context
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

from attrs import evolve
from klein.interfaces import IKleinRequest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.logger import Logger
from twisted.python.components import registerAdapter
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.error import UnsupportedMethod
from twisted.web.http import (  # as attributes of that module they cost a microsecond
    NO_BODY_CODES,
    NO_CONTENT,
    NOT_MODIFIED,
    datetimeToString,
)
from twisted.web.http_headers import Headers
from twisted.web.resource import _IEncodingResource

from ropewalk.errors import RopewalkError
from ropewalk.telemetry import Work, work
from ropewalk.web.intake import SPARE, Intake
from ropewalk.web.lines import SPECIAL, header_line, signature, status_line
from ropewalk.web.paces import Pace
from ropewalk.web.problems import Refused, is_told, respond
from ropewalk.web.proxies import Proxies, Told, read_host, read_id
from ropewalk.web.quick import set_request
from ropewalk.web.received import Received, lazy, usual_name
from ropewalk.web.refusals import wrong_method
from ropewalk.web.serving import Endpoint, KleinView
from ropewalk.web.signals import tell
from ropewalk.web.signposts import lacks_get
from ropewalk.web.slices import Slices
from ropewalk.web.streams import (
    cut_stream,
    end_upload,
    give_back,
    hold_back,
    inform_stream,
)
from ropewalk.wire.http1 import Head

if TYPE_CHECKING:
    from ropewalk.web.site import Site

__all__ = ["BodyTooLong", "Request"]

#: The beginning of a request's target that is a whole URL, as for a proxy.
ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)

#: What an answer says of us and of when, and not of what it is.
_OURS = (b"server", b"date", b"connection")

#: How nginx tells that a client left before it was answered; no client sees it.
_CLIENT_LEFT = 499

#: What there is to say before an answer (RFC 9110, section 15.2; RFC 8297).
_INFORMATION = {100: b"Continue", 103: b"Early Hints"}

_VERSIONS = (b"HTTP/1.0", b"HTTP/1.1")

_SPECIAL = frozenset(name.lower() for name in SPECIAL)


class BodyTooLong(RopewalkError):
    """
    A request's body is longer than the site takes.
    """

    status = 413


class Request(Received):
    """
    A request with a name, in the name of which its work is done.

    :ivar name: ``"r17"``, once its headers are here.
    :ivar work: Whose work it is.
    :ivar began: When its headers were here, by the site's clock.
    :ivar route: What answers it, once that is known.
    :ivar path_args: The arguments in its path.
    :ivar found: What the route table says, if that is known already.
    :ivar longest_body: How many bytes its body may have.
    :ivar aborted: Whether the connection ended before the answer did.
    """

    _log = Logger()
    _refused = False
    _taken = 0
    _too_long = False
    _secure: bool | None = None
    _moved = False
    _whose: Work | None = None  # of a stream of HTTP/2, whose connection it is
    _mute = False
    _intake: Intake | None = None
    _pace: Pace | None = None  # of a stream of HTTP/2
    _early = False  # it is being answered while its body comes
    _promised: int | None = None
    _spared = 0
    found: Any = None
    _parsePOSTFormSubmission = False
    queued: Any = False

    site: Site
    trouble: BaseException | None = None
    aborted = False
    trailers: Sequence[tuple[bytes, bytes]] = ()

    def __init__(self, channel: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(channel, *args, **kwargs)
        self._line = channel

    @classmethod
    def arrive(cls, channel: Any, head: Head, began: float) -> Request:
        """A request that the engine has read the head of."""
        if cls.__init__ is Request.__init__:
            request = cls.__new__(cls)
        else:
            request = cls(channel, 0)
            request._headers = request._request_headers = request._said = None
            request._cookies = request._notifications = None
        request.channel = request._line = channel
        site = request.site = channel.site
        request._fields = head.fields
        request.method, request.path = head.method, head.path
        query = head.query
        request.uri = head.path if query is None else head.path + query
        request.clientproto = _VERSIONS[head.minor]
        request.number = next(site.numbers)
        request.began = began
        request.unwalked = True
        if head.authority is not None:
            # RFC 9112, section 3.2.2.
            request.requestHeaders.setRawHeaders(b"host", [head.authority])
        return request

    @property
    def name(self) -> str | None:
        return f"r{self.number}" if self.number else None

    @property
    def id(self) -> str:
        """
        The request's id, which no other process gives to another: that of the
        trusted proxy which has sent it, if it has one. It ends with the name
        otherwise. What is logged under the id of a proxy is not under the name.
        """
        return self._id or f"{self.site.process}-{self.name}"

    @property
    def work(self) -> Work:
        now = self._whose or self._line.work
        plugin = getattr(self.route, "plugin", "") or now.plugin
        return Work(plugin, now.connection, self._id or self.name)

    def begin(self) -> None:
        """Give it its name: it will be answered."""
        channel = self.channel
        self.site = channel.site
        self.number = next(self.site.numbers)
        self.began = self.site.seconds()
        if not self.direct:
            # A stream of HTTP/2: Twisted tells what it asks for when all is here.
            hold_back(channel)
            self.method, self.uri = channel.command, channel.path
            self.clientproto = b"HTTP/2"
            self._whose = work.get()

    @property
    def notifications(self) -> list[Deferred[None]]:
        if self._notifications is None:
            self._notifications = []
        return self._notifications

    @notifications.setter
    def notifications(self, notifications: list[Deferred[None]]) -> None:
        self._notifications = notifications

    @lazy
    def longest_body(self) -> int:
        return self.site.longest_body_of(self)

    # How it comes in.

    @property
    def intake(self) -> Intake:
        """
        The body, piece by piece: while it comes, where what answers takes it so.
        """
        if self._intake is None:
            intake = self._intake = Intake(None, _nothing, _nothing)
            body = self.body or b""
            if self._content is not None or not self.direct:
                self.content.seek(0)
                body = self.content.read()
            intake.length = len(body)
            intake.add(body)
            intake.end(self.trailers)
        return self._intake

    @property
    def whole_body(self) -> bytes | None:
        """
        The body, where all of it came in one piece, and nobody has asked for
        :attr:`intake` or ``content``; ``None`` otherwise.
        """
        if self._intake is not None or self._content is not None or not self.direct:
            return None
        return self.body or b""

    def admit(
        self,
        length: int | None,
        hold: Callable[[bool], object],
        invite: Callable[[], object],
    ) -> None:
        """
        Be answered while the body comes. The parameters are those of
        :class:`~ropewalk.web.intake.Intake`.
        """
        self._early = True
        self._intake = Intake(length, hold, invite)
        self.process()

    def refuse(self, error: RopewalkError) -> None:
        """
        Answer before all of the request is here, and close: what else comes is
        not looked at.
        """
        if not self.number:  # not even its headers are complete
            self.begin()
        self._refused = True
        if self._early:
            self.intake.fail(error)
            if self.finished or self.startedWriting:
                self.break_off()
                return
        channel = self.channel
        self._stamp()
        body = respond(self, error, self.work.request)
        if self.direct:
            channel.stop_listening()
        else:
            end_upload(channel)
        self.answer(body)

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        self.begin()
        self._promised = length

    def parseCookies(self) -> None:
        # All headers of a stream of HTTP/2 are here, and this is how we are told.
        super().parseCookies()
        if self.direct:
            return
        if self.method == b"CONNECT":
            self._refused = True  # what is sent behind it is not for us
            self.uri = self.path = self.uri or b"*"
            self.site.clock.callLater(0, self._refuse_tunnel)
            return
        length = self._promised
        self.expect(length)
        if length != 0 and not self._too_long and self.site.streams_to(self):
            self._early = True
            intake = self._intake = Intake(length, self._hold_stream, _nothing)
            self._pace = Pace(self, intake)
            # The connection does not know the stream yet.
            self.site.clock.callLater(0, self._begin_stream)

    def _refuse_tunnel(self) -> None:
        """RFC 9113, section 8.5; RFC 8441."""
        if not self._disconnected:
            self.refuse(Refused(501, "this is no proxy, and WebSockets go by HTTP/1.1"))

    def _hold_stream(self, hold: bool) -> None:
        stream: Any = self.channel
        assert self._pace is not None
        self._pace.hold(hold)
        if hold:
            stream.pauseProducing()
        elif not self._disconnected:
            stream.resumeProducing()

    def _begin_stream(self) -> None:
        if not (self._started or self._refused or self._disconnected):
            self._receive(self.channel.command, self.channel.path, b"HTTP/2")

    def expect(self, length: int | None) -> None:
        """
        Take what the headers say, and refuse a body that will be too long.

        :param length: Bytes of the body; ``None`` when nobody knows.
        """
        if self.site.proxies is not None:
            self._listen_to(self.site.proxies)
        if length == 0:
            return
        self._too_long = length is not None and length > self.longest_body
        # A stream of HTTP/2 cannot be answered yet; it is when its body comes.
        if self._too_long and self.direct:
            self.refuse_body()

    def handleContentChunk(self, data: bytes) -> None:
        if self._refused or (self.finished and not self.direct):
            return
        self._taken += len(data)
        if self._too_long or self._taken > self.longest_body:
            self.refuse_body()
            return
        if self._intake is not None:
            self._intake.add(data)
            if self.finished and self._taken - self._spared > SPARE:
                self._intake.fail(ConnectionLost("nobody wants that much"))
                self.channel.stop_listening()
                self._cleanup()
            return
        try:
            if self.direct:
                self._keep()
            self.content.write(data)
        except OSError:
            self._log.failure("there is no room for the body of {name}", name=self.name)
            self.refuse(Refused(507, "there is no room for this here"))

    def _keep(self) -> None:
        """Have a place for some more of the body: on disk, if it is long."""
        if self._content is None:
            self._content = self.site.make_content(self._taken)
        elif type(self._content) is BytesIO and self._taken > self.site.limits.spool:
            before, self._content = self._content, self.site.make_content(None)
            self._content.write(before.getvalue())

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if self._refused:
            return
        if self._early:
            self.intake.end()
        if not self._started:
            self._receive(command, path, version)

    def _receive(self, command: bytes, path: bytes, version: bytes) -> None:
        absolute = ABSOLUTE.match(path)
        if absolute is not None:
            if not self._moved:
                self.requestHeaders.setRawHeaders(b"host", [absolute[1]])
            path = path[absolute.end() :]
            path = path if path.startswith(b"/") else b"/" + path
        # Twisted would read every form here, whole, whoever answers.
        self._parsePOSTFormSubmission = False
        super().requestReceived(command, path, version)

    def received(self) -> None:
        """All of the body is here."""
        if self._early:
            waits = self.finished  # only for the body to go by
            self.intake.end(self.trailers)
            if waits:
                self._cleanup()
        elif not self._refused:
            if self._content is not None:
                self._content.seek(0)
            self.process()

    # How it is answered.

    def process(self) -> None:
        # What one request puts into context variables is nothing to the next.
        context = self.context = copy_context()
        context.run(self._process)

    def _process(self) -> None:
        work.set(self)
        site: Any = self.site
        self._started = True
        if site.signals.started:
            tell(site.signals.started, self)
        if not self.direct:
            super().process()
            return
        try:
            if self.path == b"*":
                self._handleStar()
                return
            if self.method == b"CONNECT":
                # What is sent behind it is not for us (RFC 9110, section 9.3.6).
                self.channel.persistent = False
                raise Refused(501, "this is no proxy")
            target = site.getResourceFor(self)
            if type(target) is not Endpoint and _IEncodingResource.providedBy(target):
                self._encoder = target.getEncoder(self)
            self.render(target)
        except BaseException:
            self.processingFailed(Failure())

    def proceed(self, answer: Any, error: Exception | None = None) -> None:
        """Go on with what the handler of a lane has returned, or raised."""
        route = self.route
        try:
            if error is not None:
                self.outcome = partial(_raise, error)
                self.render(route)
                return
            body = route.write(self, answer)
            if body is None:
                self.outcome = partial(_give, answer)
                self.render(route)
            elif body is not server.NOT_DONE_YET:
                self.answer(body)
        except BaseException:
            self.processingFailed(Failure())

    def render(self, resrc: Any) -> None:
        """
        Answer with what a resource renders. HEAD is answered as GET is, without
        the body, also by a resource that knows only GET.
        """
        # Klein renders what a handler returned when it does, in any context.
        token = None if work.doing() is self else work.set(self)
        try:
            if self.method != b"HEAD":
                body = resrc.render(self)
            else:
                body = self._rendered(resrc)
        except UnsupportedMethod as error:
            body = self._unsupported(error.allowedMethods)
        finally:
            if token is not None:
                work.reset(token)
        if body is server.NOT_DONE_YET:
            return
        if not isinstance(body, bytes):
            kind = type(body).__name__
            raise TypeError(f"{resrc!r} rendered {kind}, not bytes or NOT_DONE_YET")
        self.answer(body)

    def answer(self, body: bytes) -> None:
        """
        Write all that there is to be written of an answer, and finish it.

        :raise RuntimeError: When it is finished already, or the client has left.
        """
        if self._early or not self._answer_plainly(body):
            self._answer_slowly(body)

    def relay(self, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """
        Answer with what somebody else has written, if nothing of it has to be thought
        about, and :meth:`setHeader` would think about it all the same.

        :param headers: Names, in lower case, and values: all but ``Content-Length``.
        :return: whether it was answered.
        """
        names = {name for name, _ in headers}
        if _SPECIAL.isdisjoint(names) or not self._can_relay(len(body)):
            return False
        lines = [b"%b: %b\r\n" % (usual_name(name), value) for name, value in headers]
        said = b"".join(lines)
        if said.count(b"\n") != len(lines) or said.count(b"\r") != len(lines):
            return False  # there is one in a value
        self._write_whole(names, said, body)
        return True

    def _write_whole(self, names: Container[bytes], said: bytes, body: bytes) -> None:
        """
        Write an answer and finish it.

        :param names: Of the headers that are said.
        """
        site, size = self.site, len(body)
        if site.id_start and site.request_id.lower() not in names:
            said = b"%b%b%d\r\n" % (said, site.id_start, self.number)
        first = status_line(self.clientproto, self.code, self.code_message)
        head = first + signature(names) + said
        self.startedWriting, self.sentLength = 1, size
        self.channel.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, size, body))
        if site.loud:
            site.log(self)
        self.finished = 1
        self._cleanup()

    def _can_relay(self, size: int) -> bool:
        return (
            self.direct
            and not self._early
            and not self.startedWriting
            and self._headers is None
            and not self._said
            and self._is_plain(self.channel, self.site, size)
        )

    def _is_plain(self, channel: Any, site: Any, size: int) -> bool:
        """Whether nothing of the answer has to be thought about."""
        return (
            self.method != b"HEAD"
            and self.code not in (204, 304)
            and self.code >= 200
            and self._cookies is None
            and self.etag is None
            and self.lastModified is None
            and self._encoder is None
            and self.producer is None
            and self._id is None
            and self.clientproto == b"HTTP/1.1"
            and not (self.finished or self._disconnected)
            and size <= channel.unsent
            and channel.persistent is True
            and channel._request is self
            and not site.draining
            and not (self._cut or self._inFakeHead)
        )

    def _default_type(self) -> bytes:
        kind = self.defaultContentType
        line = None if kind is None else header_line(b"Content-Type", kind)
        return b"" if line is None else line[1]

    def _answer_slowly(self, body: bytes) -> None:
        # A resource that has no body for HEAD may have said how long it would be.
        if (
            not self.startedWriting
            and self.code not in NO_BODY_CODES
            and (body or self.method != b"HEAD")
        ):
            self.setHeader(b"content-length", b"%d" % len(body))
        whole = not self.direct or self._disconnected
        if whole or len(body) <= self.channel.unsent:
            self.write(body)
            self.finish()
        else:
            self._answer_in_slices(body)

    def _answer_in_slices(self, body: bytes) -> None:
        """Write a long body as the client takes it."""

        def end() -> None:
            self.unregisterProducer()
            self.finish()

        if self.producer is not None or self.finished or self._disconnected:
            self.write(body)
            self.finish()
            return
        slices = Slices(self, body, self.channel.unsent // 8 or 1, end)
        self.registerProducer(slices, True)
        slices.resumeProducing()

    @property
    def responseHeaders(self) -> Headers:
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers()
            if self.direct and self._started:
                self._stamp()
            for line in (self._said or {}).values():
                name, _, value = line[:-2].partition(b": ")
                headers.setRawHeaders(name, [value])
            self._said = None
        return headers

    @responseHeaders.setter
    def responseHeaders(self, headers: Headers) -> None:
        self._headers, self._said = headers, None

    def say(self, lines: dict[bytes, bytes]) -> bool:
        """
        Say in headers of the answer what is in their lines, in place of what was said
        before; whether that could be.

        :param lines: As :func:`~ropewalk.web.lines.header_line` makes them.
        """
        if self._headers is not None:
            return False
        self._said = lines if self._said is None else {**self._said, **lines}
        return True

    def inform(self, code: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """
        Send something before the answer, to who understands that: ``103 Early Hints``
        (RFC 8297), say.
        """
        if self.startedWriting or self.finished or self._disconnected:
            return
        if not self.direct:
            inform_stream(self.channel, code, headers)
        elif self.clientproto == b"HTTP/1.1":
            lines = [b"%b: %b\r\n" % header for header in headers]
            status = status_line(b"HTTP/1.1", code, _INFORMATION.get(code, b""))
            self.channel.write(b"".join((status, *lines, b"\r\n")))

    def _stamp(self) -> None:
        """Say who answers, and when."""
        self.responseHeaders.setRawHeaders(b"server", [server.version])
        self.responseHeaders.setRawHeaders(b"date", [datetimeToString()])

    @property
    def cookies(self) -> list[bytes]:
        if self._cookies is None:
            self._cookies = []
        return self._cookies

    @cookies.setter
    def cookies(self, cookies: list[bytes]) -> None:
        self._cookies = cookies

    def said_header(self, name: bytes) -> bytes | None:
        """
        What the answer says so far, the last of several values.

        :param name: As it is usually written: ``b"Content-Type"``.
        """
        if self._headers is not None or name in SPECIAL:
            values = self.responseHeaders.getRawHeaders(name)
            return values[-1] if values else None
        line = None if self._said is None else self._said.get(name)
        return None if line is None else line[len(name) + 2 : -2]

    def _asked_slowly(self, name: bytes) -> list[bytes]:
        if self._request_headers is not None or self._fields is None:
            return list(self.requestHeaders.getRawHeaders(name) or ())
        return list(self._fields.by_name.get(name, ()))  # others have said the same

    def write(self, data: bytes) -> None:
        if self._cut:
            return
        if not self.direct:
            if not self.startedWriting and not self._inFakeHead:
                self._complete_headers()
            super().write(data)
            return
        if self.finished:
            raise RuntimeError(
                "Request.write called on a request after Request.finish was called."
            )
        if self._disconnected:
            return
        head = b""
        if not self.startedWriting:
            self._complete_type()
            if self._inFakeHead:
                return
            if self._encoder:
                data = self._encoder.encode(data)
            head = self._begin_answer()
        elif self._encoder:
            data = self._encoder.encode(data)
        self._write_on(head, data)

    def _write_on(self, head: bytes, data: bytes) -> None:
        if self._mute:
            data = b""
        self.sentLength += len(data)
        if data and self.chunked:
            head, data = b"%b%x\r\n" % (head, len(data)), data + b"\r\n"
        if head and data:
            self.channel.writeSequence((head, data))
        elif head or data:
            self.channel.write(head or data)

    def _complete_type(self) -> None:
        """Say what most bodies are, where nobody has said what this is."""
        headers = self.responseHeaders
        if (
            self.defaultContentType is not None
            and self.code not in (NOT_MODIFIED, NO_CONTENT)
            and not headers.hasHeader(b"content-type")
            and headers.getRawHeaders(b"content-length", [b""])[0] != b"0"
        ):
            headers.setRawHeaders(b"content-type", [self.defaultContentType])

    def _begin_answer(self) -> bytes:
        """The head of the answer."""
        self._complete_headers()
        self.startedWriting = 1
        headers = self.responseHeaders
        self._mute = self.method == b"HEAD" or self.code in NO_BODY_CODES
        if not self._mute and not headers.hasHeader(b"content-length"):
            if self.clientproto == b"HTTP/1.1":
                headers.setRawHeaders(b"transfer-encoding", [b"chunked"])
                self.chunked = 1
            else:
                self.channel.persistent = False
        if self.lastModified is not None and not headers.hasHeader(b"last-modified"):
            when = datetimeToString(self.lastModified)
            headers.setRawHeaders(b"last-modified", [when])
        if self.etag is not None:
            headers.setRawHeaders(b"etag", [self.etag])
        if self._cookies:
            headers.setRawHeaders(b"set-cookie", self._cookies)
        said = b",".join(headers.getRawHeaders(b"connection", ())).lower()
        if b"close" in [each.strip() for each in said.split(b",")]:
            self.channel.persistent = False
        parting = b"" if said else self.channel.parting(self)
        lines = [
            b"%b: %b\r\n" % (name, value)
            for name, values in headers.getAllRawHeaders()
            for value in values
        ]
        status = status_line(self.clientproto, self.code, self.code_message)
        return b"".join((status, *lines, parting, b"\r\n"))

    def finish(self, trailers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """
        :param trailers: What comes behind a body in chunks (RFC 9112, section 7.1.2).
        """
        # Klein finishes a request whatever became of it.
        if self._cut:
            return
        if trailers and self.startedWriting and self.chunked:
            lines = [b"%b: %b\r\n" % trailer for trailer in trailers]
            self.channel.write(b"".join((b"0\r\n", *lines, b"\r\n")))
            self.chunked = 0
        super().finish()

    def _cleanup(self) -> None:
        pending = self._early and not self.intake.ended and not self._disconnected
        if pending and self._lets_go_by():
            return
        if not self.direct or self.producer:
            super()._cleanup()
            return
        channel = self.channel
        del self.channel
        self.context = None  # it knows us
        content, self._content = self._content, None
        if content is not None:
            content.close()
        channel.requestDone(self)
        notifications, self._notifications = self._notifications, None
        for each in notifications or ():
            each.callback(None)

    def _lets_go_by(self) -> bool:
        """
        Let what is left of the body go by, unless it is much.

        :return: whether the request is over only when it has.
        """
        channel, intake = self.channel, self.intake
        if not self.direct:
            end_upload(channel)
            intake.discard()
            return False
        if channel.persistent and channel.spares():
            self._spared = self._taken
            intake.discard()
            return True
        channel.stop_listening()
        intake.discard()
        return False

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

    def connectionLost(self, reason: Failure) -> None:
        self.context = None
        if self._intake is not None:
            self._intake.fail(ConnectionLost("the client has left"))
            if not self.direct:
                give_back(self._line)
        if not self.number:  # it was not even asked
            super().connectionLost(reason)
            return
        token = work.set(self)
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
        token = work.set(self)
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
            self.break_off()
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
        connection = channel if self.direct else channel._conn
        if not proxies.trusts(self.client) or getattr(
            connection.transport, "anonymous", False
        ):
            return
        if self.site.request_id:
            self._id = read_id(self.requestHeaders, self.site.request_id)
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

    def refuse_body(self) -> None:
        """RFC 9110, section 15.5.14."""
        limit = self.longest_body
        self.refuse(BodyTooLong(f"the body is too long: at most {limit} bytes"))

    def break_off(self) -> None:
        """
        End the connection in the middle of the answer, so that nobody takes half of it
        for the whole.
        """
        if self.producer is not None:
            self.unregisterProducer()
        channel: Any = self.channel
        if not self.direct:
            cut_stream(channel)
        elif self.chunked or self.responseHeaders.hasHeader(b"content-length"):
            channel.loseConnection()
        else:
            # The end of the connection is the end of the answer: only a reset
            # says that it came too early.
            channel.abortConnection()
        self._cut = True


def _nothing(*ignored: object) -> None:
    pass


def _give(answer: Any) -> Any:
    return answer


def _raise(error: Exception) -> Any:
    raise error


set_request(Request)
registerAdapter(KleinView, Request, IKleinRequest)
