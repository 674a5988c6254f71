# -*- test-case-name: tests.test_answers -*-
"""
What a handler may return, and how it gets onto the wire.

:func:`settle` makes a :class:`Response` of whatever was returned; its body is still
the handler's value. Middleware may change it. :func:`deliver` writes it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import (
    AsyncIterable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import lru_cache
from http import HTTPStatus
from pathlib import PurePath
from typing import Any, ClassVar, Generic, Literal, TypeVar

from attrs import frozen
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath
from twisted.web.error import FlattenerError
from twisted.web.http import NO_BODY_CODES
from twisted.web.iweb import IRenderable
from twisted.web.resource import IResource, getChildForRequest
from twisted.web.server import NOT_DONE_YET
from twisted.web.template import Tag, flatten

from ropewalk.errors import RopewalkError
from ropewalk.web.headers import (
    Headers,
    attachment,
    encode_address,
    leads_elsewhere,
    write_cookie,
)
from ropewalk.web.media import formats_of
from ropewalk.web.negotiation import (
    NotAcceptable,
    said_header,
    said_type,
    set_type,
    welcome,
    write_value,
)
from ropewalk.web.pieces import (
    Array,
    Events,
    FilePieces,
    Lines,
    NotWritable,
    Text,
    close,
    stream,
)
from ropewalk.web.problems import phrase
from ropewalk.web.sending import open_file, parts_of, type_of

__all__ = [
    "HTML",
    "Accepted",
    "Created",
    "File",
    "Headers",
    "NoContent",
    "NotAcceptable",
    "NotWritable",
    "Redirect",
    "Response",
    "Stream",
    "conclude",
    "deliver",
    "redirect",
    "render_resource",
    "settle",
]

T = TypeVar("T")

#: What text is, unless somebody says something else.
HTML = "text/html; charset=utf-8"


class Response:
    """
    An answer: a status, headers, cookies and a body. All of it can be changed.

    :ivar body: Anything that a handler may return, except another response.
    :ivar content_type: Of the body; what the body is otherwise says it.
    """

    __slots__ = ("_cookies", "_headers", "_status", "body", "content_type")

    def __init__(
        self,
        body: Any = b"",
        status: int | None = None,
        headers: Any = None,
        content_type: str | None = None,
    ) -> None:
        """
        :param status: From 200 to 599; 200 unless something else was said, here or
            to the request.
        :param headers: A mapping, or pairs; of a name to a value or a list of them.
        :raise ValueError: For a status or header that is none.
        """
        self.body = body
        self.content_type = content_type
        self._status: int | None = None
        self._headers: Headers | None = None
        self._cookies: list[str] | None = None
        if status is not None:
            self.status = status
        if headers is not None:
            self._headers = Headers(headers)

    @property
    def status(self) -> int:
        return self._status or 200

    @status.setter
    def status(self, status: int) -> None:
        if not 200 <= status <= 599:
            raise ValueError(f"a response has a status from 200 to 599, not {status}")
        self._status = int(status)

    @property
    def headers(self) -> Headers:
        if self._headers is None:
            self._headers = Headers()
        return self._headers

    @headers.setter
    def headers(self, headers: Any) -> None:
        self._headers = headers if isinstance(headers, Headers) else Headers(headers)

    def set_cookie(
        self,
        name: str,
        value: str,
        *,
        max_age: int | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        http_only: bool = True,
        same_site: Literal["Lax", "Strict", "None"] | None = "Lax",
    ) -> None:
        """
        Have the client keep something (RFC 6265).

        :param value: Printable ASCII without spaces, quotes, commas, semicolons and
            backslashes: encode what may be more.
        :param max_age: Seconds to keep it; ``None`` until the browser is closed.
        :param domain: Also send it to hosts below this one; ``None`` only to ours.
        :param secure: Send it over TLS only.
        :param http_only: Keep it from scripts.
        :param same_site: Whether other sites' links (``"Lax"``) or requests
            (``"None"``, which must be ``secure``) bring it along.
        :raise ValueError: For something that no cookie can have.
        """
        if self._cookies is None:
            self._cookies = []
        cookie = write_cookie(
            name,
            value,
            max_age=max_age,
            path=path,
            domain=domain,
            secure=secure,
            http_only=http_only,
            same_site=same_site,
        )
        self._cookies.append(cookie)

    def delete_cookie(
        self, name: str, *, path: str | None = "/", domain: str | None = None
    ) -> None:
        """
        Have the client forget a cookie that was set for this path and domain.
        """
        secure = name.startswith(("__Secure-", "__Host-"))
        self.set_cookie(name, "", max_age=0, path=path, domain=domain, secure=secure)

    def __repr__(self) -> str:
        return f"<Response {self.status} {type(self.body).__qualname__}>"


@frozen
class Created(Generic[T]):
    """
    Something was made (201).

    :ivar value: What.
    :ivar location: Where it is to be found from now on.
    """

    status: ClassVar[int] = 201

    value: T
    location: str | None = None


@frozen
class Accepted(Generic[T]):
    """
    Something will be done, later (202).

    :ivar value: What is known of it now.
    :ivar location: Where it can be followed.
    """

    status: ClassVar[int] = 202

    value: T
    location: str | None = None


@frozen
class NoContent:
    """
    It was done, and there is nothing to say (204).
    """

    status: ClassVar[int] = 204


@frozen
class Redirect:
    """
    Something is elsewhere: see :func:`redirect`.

    :ivar location: Where, in ASCII.
    """

    location: str
    status: int = 303


def redirect(location: str, status: int = 303, *, elsewhere: bool = False) -> Redirect:
    """
    Lead to another address.

    :param location: A path, or anything else relative to here. What is not ASCII is
        percent-encoded.
    :param status: 303 to look there by GET, 307 to do the same there, 308 to do so
        from now on; 302 and 301 are what browsers make of them.
    :param elsewhere: Whether it may lead to another site. A location that a client
        chose, ``?next=//evil.example``, must not.
    :raise ValueError: For another status, for a location with a control character
        in it, and for one that leads elsewhere.
    """
    if status not in (301, 302, 303, 307, 308):
        raise ValueError(
            f"a redirect has the status 301, 302, 303, 307 or 308, not {status}"
        )
    if not elsewhere and leads_elsewhere(location):
        raise ValueError(
            f"{location!r} leads to another site, if a client reads it: "
            "say elsewhere=True if that is meant"
        )
    return Redirect(encode_address(location), int(status))


@frozen
class File:
    """
    A file to be sent.

    :ivar path: Where it is.
    :ivar filename: As what to save it; ``None`` to show it.
    :ivar content_type: What it is; otherwise its name tells.
    """

    path: str | os.PathLike[str]
    filename: str | None = None
    content_type: str | None = None


@frozen
class Stream:
    """
    Pieces to be sent one by one, as the client takes them.

    :ivar pieces: An iterable, or an asynchronous one, of bytes and text, or of
        values. An iterator need not be wrapped: it is a stream already.
    :ivar content_type: Of all of it. Values become events for
        ``text/event-stream``, an array for ``application/json``, lines otherwise;
        ``None`` lets the client choose.
    """

    pieces: Iterable[Any] | AsyncIterable[Any]
    content_type: str | None = None


# What was returned, as a response.


def settle(value: Any, request: Any = None, *, typed: bool = False) -> Response:
    """
    Make a response of whatever a handler returned.

    It may have returned a response (Klein's, too); a status and a value (in either
    order, when the value is no int), perhaps with headers; a :class:`Failure`, which
    is raised; or a value, which becomes the body.

    :param request: Whose status counts where the value says none.
    :param typed: Whether ``None`` means that there is nothing to say (204) rather
        than an empty answer.
    :raise ValueError: For a status or header that is none.
    """
    if typed and value is None:
        return Response(b"", 204)
    response = _settling(type(value))(value)
    if response._status is None and request is not None and request.code != 200:
        response._status = request.code
    return response


def _find_settling(kind: type) -> Callable[[Any], Response]:
    """How values of a type become a response."""
    for known, way in _SETTLING:
        if issubclass(kind, known):
            return way
    if _is_of_klein(kind):
        return _settle_klein
    return _settle_tuple if kind is tuple else Response


def _is_of_klein(kind: type) -> bool:
    """Whether it is Klein's response; who has none has not imported Klein."""
    return issubclass(kind, getattr(sys.modules.get("klein"), "Response", ()))


_settling: Callable[[type], Callable[[Any], Response]] = lru_cache(1024)(_find_settling)


def _settle_none(_: None) -> Response:
    return Response()


def _settle_response(response: Response) -> Response:
    return response


def _settle_klein(response: Any) -> Response:
    settled = settle(response.body)
    settled.status = response.code
    for name, values in response.headers.items():
        settled.headers[name] = values
    return settled


def _settle_value(said: Created[Any] | Accepted[Any]) -> Response:
    settled = settle(said.value)
    settled.status = said.status
    if said.location is not None:
        settled.headers["Location"] = encode_address(said.location)
    return settled


def _settle_no_content(_: NoContent) -> Response:
    return Response(b"", 204)


def _settle_redirect(said: Redirect) -> Response:
    return Response(b"", said.status, {"Location": said.location})


def _settle_failure(failure: Failure) -> Response:
    failure.raiseException()
    raise AssertionError  # not reached


def _settle_tuple(value: tuple[Any, ...]) -> Response:
    if len(value) not in (2, 3) or (
        len(value) == 3 and not isinstance(value[2], (Mapping, list))
    ):
        return Response(value)
    first, second = value[:2]
    if _is_status(first):
        status, body = first, second
    elif _is_status(second) and not isinstance(first, int):
        body, status = first, second
    else:
        return Response(value)
    settled = settle(body)
    settled.status = status
    if len(value) == 3:
        pairs = value[2].items() if isinstance(value[2], Mapping) else value[2]
        for name, each in pairs:
            settled.headers.add(name, each)
    return settled


def _is_status(value: Any) -> bool:
    return (type(value) is int and 200 <= value <= 599) or isinstance(value, HTTPStatus)


_SETTLING: tuple[tuple[type, Callable[[Any], Response]], ...] = (
    (Response, _settle_response),
    (type(None), _settle_none),
    (Created, _settle_value),
    (Accepted, _settle_value),
    (NoContent, _settle_no_content),
    (Redirect, _settle_redirect),
    (Failure, _settle_failure),
)


# A response, on the wire.


def render_resource(request: Any, resource: Any) -> Any:
    """
    Let a resource, or its child for what is left of the path, write the answer.

    :return: ``NOT_DONE_YET``: it has been written, or will be.
    """
    request.render(getChildForRequest(resource, request))
    return NOT_DONE_YET


#: Renders a resource that a handler returned; returns as :func:`deliver` does.
Nested = Callable[[Any, Any], Any]


def deliver(
    request: Any,
    response: Response,
    *,
    clock: IReactorTime,
    offers: Sequence[str] | None = None,
    nested: Nested = render_resource,
) -> Any:
    """
    Apply a response's status and headers to a request, and write its body, or as
    much of it as has to be written piece by piece. The request is finished by the
    caller, with :func:`conclude`.

    What is raised here, and whatever a Deferred fails with while
    ``request.startedWriting`` is false, can still be answered as an error. When it
    is true, the connection must be broken off. ``request.processingFailed`` does
    either.

    :param clock: The reactor; a test passes a ``Clock``.
    :param offers: The media types that values can be had as; all, by default.
    :param nested: What renders a resource.
    :return: the body, as bytes, of which nothing has been written; or a Deferred,
        which fires with what remains to be written, or fails (with
        ``CancelledError`` when the client left), when the stream has ended and all
        of it is closed, and which ends it when it is cancelled; or
        ``NOT_DONE_YET``, when a resource writes and finishes the answer.
    :raise NotAcceptable: When the client accepts nothing of what there is.
    :raise NotWritable: When nobody knows how to write the body.
    :raise Refused: When there is no such file.
    """
    status = response._status
    if status is not None and status != request.code:
        request.setResponseCode(status, phrase(status).encode("ascii"))
    if response._headers is not None:
        _apply_headers(request, response._headers)
    if response._cookies is not None:
        request.cookies.extend(each.encode("utf-8") for each in response._cookies)
    if response.content_type is not None:
        set_type(request, response.content_type)
    body = response.body
    kind = type(body)
    if request.code in NO_BODY_CODES:
        return _nothing(request, body)
    if kind is bytes:
        return body
    return _delivering(kind)(_Delivery(request, clock, offers, nested), body)


def conclude(request: Any, rest: bytes) -> None:
    """
    Write what remains of an answer, and finish it.

    :param rest: What :func:`deliver` returned, or fired with.
    """
    if getattr(request, "_disconnected", False):
        return
    ours = getattr(request, "answer", None)
    if ours is not None:
        ours(rest)
        return
    if (
        not request.startedWriting
        and request.code not in NO_BODY_CODES
        and (rest or request.method != b"HEAD")
    ):
        request.setHeader(b"content-length", b"%d" % len(rest))
    request.write(rest)
    request.finish()


class _Delivery(Struct, frozen=True):
    """
    How one answer is delivered.
    """

    request: Any
    clock: IReactorTime
    offers: Sequence[str] | None
    nested: Nested

    def text(self, body: str) -> bytes:
        if said_header(self.request, b"Content-Type") is None:
            set_type(self.request, HTML)
        return body.encode("utf-8")

    def raw(self, body: bytearray | memoryview) -> bytes:
        return bytes(body)

    def nothing(self, _: None) -> bytes:
        return b""

    def misplaced(self, body: Any) -> bytes:
        kind = type(body).__qualname__
        raise NotWritable(kind, "it cannot be the body of another response")

    def value(self, body: Any) -> Any:
        """Anything else may be a resource or an element of its own, or a value."""
        if IResource.providedBy(body):
            return self.resource(body)
        if IRenderable.providedBy(body):
            return self.element(body)
        return self.plain_value(body)

    def plain_value(self, body: Any) -> bytes:
        return write_value(self.request, body, self.offers)

    # Resources and elements.

    def resource(self, body: Any) -> Any:
        _undisguise(self.request)
        return self.nested(self.request, body)

    def element(self, body: Any) -> Any:
        request = self.request
        if not request.responseHeaders.hasHeader(b"content-type"):
            set_type(request, HTML)
        written = [b"<!DOCTYPE html>\n"]
        waiting = flatten(request, body, written.append)
        waiting.addErrback(_raised_inside)
        done: Deferred[bytes] = waiting.addCallback(lambda _: b"".join(written))
        if not done.called:
            request.notifyFinish().addErrback(lambda _: done.cancel())
        return _there(done)

    # Files and streams.

    def file(self, body: File) -> Any:
        request, path = self.request, os.fspath(body.path)
        opened = open_file(path)
        try:
            if not request.responseHeaders.hasHeader(b"content-type"):
                set_type(request, body.content_type or type_of(path))
            if body.filename is not None:
                request.setHeader(b"content-disposition", attachment(body.filename))
            status = os.stat(opened.fileno())
            parts = parts_of(request, status, whole=_is_head(request))
        except BaseException:
            opened.close()
            raise
        pieces = FilePieces(opened, parts)
        if parts is None:
            pieces.close()
            return _nothing(request, None)
        if not parts:  # there is nothing of what was asked for
            pieces.close()
            return b""
        length = sum(
            len(each) if isinstance(each, bytes) else each[1] for each in parts
        )
        request.setHeader(b"content-length", b"%d" % length)
        return self._flow(pieces)

    def path(self, body: PurePath) -> Any:
        return self.file(File(body))

    def file_path(self, body: FilePath[Any]) -> Any:
        return self.file(File(os.fsdecode(body.path)))

    def open_file(self, body: Any) -> Any:
        if not self.request.responseHeaders.hasHeader(b"content-type"):
            name = getattr(body, "name", None)
            kind = type_of(name) if isinstance(name, str) else type_of("")
            if hasattr(body, "encoding") and not isinstance(name, str):
                kind = "text/plain; charset=utf-8"
            set_type(self.request, kind)
        return self._flow(FilePieces(body))

    def wrapped(self, body: Stream) -> Any:
        if body.content_type is not None:
            set_type(self.request, body.content_type)
        pieces = body.pieces
        if not isinstance(pieces, AsyncIterable):
            pieces = iter(pieces)
        return self._flow(pieces)

    def stream(self, body: Iterator[Any] | AsyncIterable[Any]) -> Any:
        return self._flow(body)

    def iterable(self, body: Iterable[Any]) -> Any:
        if IResource.providedBy(body) or IRenderable.providedBy(body):
            return self.value(body)
        return self._flow(iter(body))

    def _flow(self, pieces: Any) -> Any:
        if _is_head(self.request):
            close(pieces)
            return b""
        said = said_type(self.request)
        prompt = _WRITERS.get(said or "", Text).prompt
        choose = self._choose
        return _there(stream(self.request, pieces, self.clock, choose, prompt=prompt))

    def _choose(self, first: Any) -> Text:
        """
        What a stream becomes: what its handler said, or what its first piece is.
        """
        said = said_type(self.request)
        if said is not None:
            return self._written_by(_WRITERS.get(said, Text))
        if isinstance(first, str):
            set_type(self.request, HTML)
            return Text()
        if isinstance(first, (bytes, bytearray, memoryview)):
            if self.request.defaultContentType is None:  # nobody else says it
                set_type(self.request, "application/octet-stream")
            return Text()
        offers = tuple(_WRITERS)
        acceptable = welcome(self.request, offers)
        if not acceptable:
            if first is None:
                return Text()
            raise NotAcceptable(offers)
        set_type(self.request, acceptable[0])
        return self._written_by(_WRITERS[acceptable[0]])

    def _written_by(self, writer: type[Text]) -> Text:
        headers = self.request.responseHeaders
        if writer is Events and not headers.hasHeader(b"cache-control"):
            headers.setRawHeaders(b"cache-control", [b"no-store"])
        return writer(formats_of(self.request).json)


_WRITERS: dict[str, type[Text]] = {
    "application/x-ndjson": Lines,
    "application/jsonl": Lines,
    "text/event-stream": Events,
    "application/json": Array,
}


def _find_delivering(kind: type) -> Callable[[_Delivery, Any], Any]:
    """How bodies of a type are delivered."""
    for known, way in _DELIVERING:
        if issubclass(kind, known):
            return way
    if _is_of_klein(kind):
        return _Delivery.misplaced
    if IResource.implementedBy(kind):
        return _Delivery.resource
    if IRenderable.implementedBy(kind):
        return _Delivery.element
    if issubclass(kind, AsyncIterable):
        return _Delivery.stream
    if hasattr(kind, "read") and hasattr(kind, "close"):
        return _Delivery.open_file
    if issubclass(kind, FilePath):
        return _Delivery.file_path
    if issubclass(kind, Iterator):
        return _Delivery.stream
    if issubclass(kind, Iterable) and not _is_written(kind):
        return _Delivery.iterable
    return _Delivery.value


def _is_written(kind: type) -> bool:
    """
    Whether an iterable is a value, to be written as a whole.
    """
    return issubclass(kind, (Mapping, list, tuple, set, frozenset, Struct)) or any(
        hasattr(kind, name)
        for name in ("__dataclass_fields__", "__attrs_attrs__", "model_fields")
    )


_delivering: Callable[[type], Callable[[_Delivery, Any], Any]]
_delivering = lru_cache(1024)(_find_delivering)

_DELIVERING: tuple[tuple[type, Callable[[_Delivery, Any], Any]], ...] = (
    (str, _Delivery.text),
    (bytes, _Delivery.raw),
    (bytearray, _Delivery.raw),
    (memoryview, _Delivery.raw),
    (type(None), _Delivery.nothing),
    (PurePath, _Delivery.path),
    (File, _Delivery.file),
    (Stream, _Delivery.wrapped),
    (Tag, _Delivery.element),
    (dict, _Delivery.plain_value),
    (list, _Delivery.plain_value),
    (Struct, _Delivery.plain_value),
    *((kind, _Delivery.misplaced) for kind, _ in _SETTLING),
)


# The head of the answer.


def _apply_headers(request: Any, headers: Headers) -> None:
    for name, values in headers.multi_items():
        if name.lower() == "set-cookie":  # Twisted would replace them by its own
            request.cookies.extend(each.encode("utf-8") for each in values)
        else:
            encoded = [each.encode("utf-8", "surrogateescape") for each in values]
            request.responseHeaders.setRawHeaders(name, encoded)


def _nothing(request: Any, body: Any) -> bytes:
    """An answer that has no body, whatever it was meant to be."""
    for name in b"content-type", b"content-length":
        request.responseHeaders.removeHeader(name)
    way = _delivering(type(body))
    if way is _Delivery.wrapped:
        body = body.pieces
    if way in (_Delivery.stream, _Delivery.wrapped, _Delivery.open_file):
        close(body)
    return b""


def _is_head(request: Any) -> bool:
    return request.method == b"HEAD" or getattr(request, "_inFakeHead", False)


def _undisguise(request: Any) -> None:
    """
    Let a HEAD request be one again that was shown as GET: who renders a resource
    disguises it anew.
    """
    if getattr(request, "_inFakeHead", False):
        request.method, request._inFakeHead = b"HEAD", False


def _there(waiting: Deferred[bytes]) -> Any:
    """
    The result of a Deferred, if it is there.
    """
    if waiting.called and isinstance(waiting.result, bytes):
        return waiting.result
    return waiting


def _forgive(roots: Sequence[Any], error: CancelledError) -> None:
    """
    Let nobody complain of what we cancelled: Twisted hands a failure on, but leaves
    it in the Deferred that was in the element as well.
    """
    for root in roots:
        if isinstance(root, Deferred):
            root.addErrback(lambda failure: None if failure.value is error else failure)


def _raised_inside(failure: Failure) -> Any:
    """
    Raise what was raised on purpose while an element was rendered.
    """
    error: Any = failure.value
    if isinstance(error, FlattenerError):
        inside = error.args[0]
        if isinstance(inside, CancelledError):
            _forgive(error.args[1], inside)
        if isinstance(inside, (RopewalkError, CancelledError)):
            raise inside
    return failure
