# -*- test-case-name: tests.test_site -*-
"""
What came with a request, worked out when somebody asks for it: headers, arguments,
cookies, content, addresses, and the way through resources.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import Any, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from twisted.python.reflect import qual
from twisted.web import http, server
from twisted.web.http import parse_qs  # there it costs a microsecond
from twisted.web.http_headers import Headers

from ropewalk.web.problems import Refused
from ropewalk.web.quick import RequestBase
from ropewalk.wire.http1 import Fields

__all__ = ["Received", "lazy", "usual_name"]

T = TypeVar("T")

#: A form that is not longer, in bytes, may be nothing but its end.
_LONGEST_END = 300

#: The forms of which Twisted puts the fields among a request's arguments.
_FORMS = (b"application/x-www-form-urlencoded", b"multipart/form-data")

#: What is told of a request to another process.
_COPIED = (
    *("method", "uri", "path", "clientproto", "args", "received_cookies"),
    *("prepath", "postpath", "sitepath"),
)


class lazy(Generic[T]):
    """
    An attribute that is worked out when somebody looks at it, unless it was set. (As
    ``functools.cached_property``, which takes a lock on Python 3.11.)
    """

    def __init__(self, work_out: Callable[[Any], T]) -> None:
        self._work_out = work_out
        self.__doc__ = work_out.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, request: Any, owner: type | None = None) -> T:
        if request is None:
            return self  # type: ignore[return-value]  # as of the class
        value = self._work_out(request)
        setattr(request, self._name, value)
        return value


class Received(RequestBase, server.Request):
    """
    A request, as far as it is what came.
    """

    _has_args = False
    _args: Any = None

    @property
    def requestHeaders(self) -> Headers:
        headers = self._request_headers
        if headers is None:
            fields = self._fields
            headers = Headers() if fields is None else _headers_of(fields)
            self._request_headers = headers
        return headers

    @requestHeaders.setter
    def requestHeaders(self, headers: Headers) -> None:
        self._request_headers = headers

    def getHeader(self, key: Any) -> Any:
        if self._request_headers is not None or not self.direct:
            return super().getHeader(key)
        as_text = isinstance(key, str)
        values = self.asked_header((key.encode() if as_text else key).lower())
        if not values:
            return None
        return values[-1].decode("utf-8") if as_text else values[-1]

    def _pairs_slowly(self) -> list[tuple[bytes, bytes]]:
        headers, fields = self._request_headers, self._fields
        if headers is None and fields is not None:
            return fields.low_pairs.copy()
        return [
            (name.lower(), value)
            for name, values in self.requestHeaders.getAllRawHeaders()
            for value in values
        ]

    @lazy
    def received_cookies(self) -> dict[bytes, bytes]:
        self.received_cookies = {}
        self.parseCookies()
        return self.received_cookies

    @lazy
    def client(self) -> Any:
        return self._line.getPeer()

    @lazy
    def host(self) -> Any:
        return self._line.getHost()

    @lazy
    def transport(self) -> Any:
        return self._line.transport

    @lazy
    def _adapterCache(self) -> dict[str, Any]:
        return {}

    @lazy
    def prepath(self) -> list[bytes]:
        self._walk()
        return self.prepath

    @lazy
    def postpath(self) -> list[bytes]:
        self._walk()
        return self.postpath

    @lazy
    def sitepath(self) -> list[bytes]:
        return []

    @lazy
    def above(self) -> int:
        self._walk()
        return self.above

    def _walk(self) -> None:
        """Take the path apart, and give what belongs to the route to it."""
        self.unwalked = False
        self.prepath, self.above = [], 0
        self.postpath = [unquote_to_bytes(each) for each in self.path[1:].split(b"/")]
        route, self._entered = self._entered, None
        if route is not None:
            route.walk(self)

    @property
    def content(self) -> Any:
        if self._content is None and self.direct:
            self._content = BytesIO(self.body or b"")
        return self._content

    @content.setter
    def content(self, content: Any) -> None:
        self._content = content

    @content.deleter
    def content(self) -> None:
        self._content = None

    @property
    def args(self) -> Any:
        """
        What is in the query, and, as Twisted has it, in the form of a POST: names and
        lists of values, in bytes. The form is read, whole, when somebody asks; who
        asks for an ``Upload`` does without.

        :raise Refused: When the form is none.
        """
        if self._args is None and self.direct:
            query = self.uri.partition(b"?")[2]
            self._args = parse_qs(query, 1) if query else {}
        if self.method == b"POST" and self._started and not self._has_args:
            self._has_args = True
            self._args.update(self._read_form())
        return self._args

    @args.setter
    def args(self, args: Any) -> None:
        self._args = args

    def _read_form(self) -> dict[bytes, list[bytes]]:
        content = self.content
        said = (self.requestHeaders.getRawHeaders(b"content-type") or [b""])[0]
        kind = http._parseContentType(said)
        if kind not in _FORMS:
            return {}
        place = content.tell()
        content.seek(0)
        body = content.read()
        content.seek(place)
        if kind == b"application/x-www-form-urlencoded":
            query: dict[bytes, list[bytes]] = parse_qs(body, True)
            return query
        if _is_blank_form(body, said):
            return {}
        try:
            fields: dict[bytes, list[bytes]] = http._getMultiPartArgs(body, said)
            return fields
        except http._MultiPartParseException:
            raise Refused(400, "the form cannot be read") from None

    def getTypeToCopyFor(self, perspective: Any) -> bytes:
        """As what another process gets it (``twisted.web.distrib``)."""
        return qual(server.Request).encode("ascii")

    def getStateToCopyFor(self, issuer: Any) -> dict[str, Any]:
        """What another process is told of it."""
        from twisted.spread.pb import ViewPoint

        content = self.content
        content.seek(0)
        return {
            **{name: getattr(self, name) for name in _COPIED},
            "host": server._addressToTuple(self.host),
            "client": server._addressToTuple(self.client),
            "requestHeaders": list(self.requestHeaders.getAllRawHeaders()),
            "content_data": content.read(),
            "remote": ViewPoint(issuer, self),
        }


def _headers_of(fields: Fields) -> Headers:
    """
    Headers as Twisted has them. (It would judge each of them once more.)
    """
    headers = Headers()
    raw: dict[bytes, list[bytes]] = headers._rawHeaders
    for name, values in fields.by_name.items():
        raw[usual_name(name)] = list(values)
    return headers


@lru_cache(1024)
def usual_name(name: bytes) -> bytes:
    """How the name of a header is usually written, of one in lower case."""
    ((usual, _),) = Headers({name: [b""]}).getAllRawHeaders()
    return usual


def _is_blank_form(body: bytes, said: bytes) -> bool:
    """
    Whether a form has no field, as browsers send it: nothing but the end (RFC 2046,
    section 5.1.1, wants a part before that).
    """
    end = body[:_LONGEST_END].strip()
    boundary = end.removeprefix(b"--").removesuffix(b"--")
    whole = len(body) < _LONGEST_END
    return whole and end == b"--%s--" % boundary and boundary in said
