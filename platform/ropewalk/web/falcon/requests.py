# -*- test-case-name: tests.test_falcon -*-
"""
Requests, as Falcon's resources see them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, BinaryIO
from urllib.parse import unquote

from ropewalk.web.accept import preferred, rank
from ropewalk.web.falcon.errors import (
    HTTPInvalidParam,
    HTTPMissingHeader,
    HTTPMissingParam,
)
from ropewalk.web.formats import read_body
from ropewalk.web.media import formats_of
from ropewalk.web.queries import read_cookies, read_query

__all__ = ["AsyncBody", "AsyncRequest", "Context", "Request"]


class Context(SimpleNamespace):
    """
    Whatever somebody keeps on it, by attribute or by key.
    """

    def __getitem__(self, name: str) -> Any:
        return vars(self)[name]

    def __setitem__(self, name: str, value: Any) -> None:
        vars(self)[name] = value

    def __delitem__(self, name: str) -> None:
        del vars(self)[name]

    def __contains__(self, name: object) -> bool:
        return name in vars(self)

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self))

    def get(self, name: str, default: Any = None) -> Any:
        """What is kept by a name."""
        return vars(self).get(name, default)


_NOTHING: Any = object()


class Request:
    """
    A request, as Falcon's resources see it.

    :ivar request: The ``twisted.web`` request.
    :ivar context: For whatever a resource keeps on it.
    """

    def __init__(self, request: Any) -> None:
        self.request = request
        self.context = Context()
        self._params: dict[str, Any] | None = None
        self._media: list[Any] = []

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri!r}>"

    # Where it leads.

    @property
    def method(self) -> str:
        return _text(self.request.method)

    @property
    def scheme(self) -> str:
        return "https" if self.request.isSecure() else "http"

    @property
    def netloc(self) -> str:
        """The host, and the port unless it is the usual one."""
        asked = self.get_header("Host") or _text(self.request.getRequestHostname())
        return asked.removesuffix(":443" if self.scheme == "https" else ":80")

    @property
    def host(self) -> str:
        return re.sub(r":[0-9]*\Z", "", self.netloc)

    @property
    def port(self) -> int:
        port = re.search(r":([0-9]+)\Z", self.netloc)
        return int(port[1]) if port else 443 if self.scheme == "https" else 80

    @property
    def path(self) -> str:
        return unquote(_text(self.request.path))

    @property
    def query_string(self) -> str:
        return self.relative_uri.partition("?")[2]

    @property
    def relative_uri(self) -> str:
        return _text(self.request.uri)

    @property
    def root_path(self) -> str:
        """Falcon's applications have their own; here all paths are whole."""
        return ""

    @property
    def prefix(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.root_path}"

    @property
    def uri(self) -> str:
        return self.prefix + self.relative_uri

    @property
    def url(self) -> str:
        return self.uri

    @property
    def remote_addr(self) -> str:
        return getattr(self.request.getClientAddress(), "host", None) or "127.0.0.1"

    # Headers.

    @property
    def headers(self) -> dict[str, str]:
        """By name in capitals."""
        headers = self.request.requestHeaders.getAllRawHeaders()
        return {
            _text(name).upper(): ", ".join(map(_text, values))
            for name, values in headers
        }

    @property
    def cookies(self) -> dict[str, str]:
        return read_cookies("; ".join(self._raw("Cookie")))

    @property
    def content_type(self) -> str | None:
        return self.get_header("Content-Type")

    @property
    def content_length(self) -> int | None:
        said = self.get_header("Content-Length") or ""
        return int(said) if said.isdecimal() else None

    @property
    def accept(self) -> str:
        return self.get_header("Accept") or "*/*"

    @property
    def auth(self) -> str | None:
        return self.get_header("Authorization")

    @property
    def referer(self) -> str | None:
        return self.get_header("Referer")

    @property
    def user_agent(self) -> str | None:
        return self.get_header("User-Agent")

    @property
    def client_accepts_json(self) -> bool:
        return self.client_accepts("application/json")

    def client_accepts(self, media_type: str) -> bool:
        """Whether the client takes a media type."""
        return rank(self.accept, media_type) > 0

    def client_prefers(self, media_types: Iterable[str]) -> str | None:
        """Which of some media types the client would rather have."""
        offers = [each for each in media_types if self.client_accepts(each)]
        return preferred(self.request, *offers) if offers else None

    def get_header(
        self, name: str, required: bool = False, default: str | None = None
    ) -> str | None:
        """
        :raise HTTPMissingHeader: When it is required, and missing.
        """
        values = self._raw(name)
        if not values and required:
            raise HTTPMissingHeader(name)
        return ", ".join(values) if values else default

    def _raw(self, name: str) -> list[str]:
        return self.request.requestHeaders.getRawHeaders(name) or []

    # The query.

    @property
    def params(self) -> dict[str, Any]:
        """The query's: text, or a list where a name is there more than once."""
        if self._params is None:
            fields = read_query(self.request.uri.partition(b"?")[2])
            self._params = {
                name: values[0] if len(values) == 1 else values
                for name, values in fields.items()
            }
        return self._params

    def has_param(self, name: str) -> bool:
        """Whether it is in the query."""
        return name in self.params

    def get_param(
        self,
        name: str,
        required: bool = False,
        store: Any = None,
        default: str | None = None,
    ) -> str | None:
        """
        :param store: A dictionary that gets it as well, if it is there.
        :raise HTTPMissingParam: When it is required, and missing.
        """
        value: str | None = self._param(name, required, store, default, str)
        return value

    def get_param_as_int(
        self,
        name: str,
        required: bool = False,
        min_value: int | None = None,
        max_value: int | None = None,
        store: Any = None,
        default: int | None = None,
    ) -> int | None:
        """
        :raise HTTPMissingParam: When it is required, and missing.
        :raise HTTPInvalidParam: When it is none, or too small or great.
        """
        problem = "The value must be an integer."
        value = self._param(name, required, None, default, int, problem)
        bounded: int | None = self._bounded(name, value, min_value, max_value, store)
        return bounded

    def get_param_as_float(
        self,
        name: str,
        required: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
        store: Any = None,
        default: float | None = None,
    ) -> float | None:
        """
        :raise HTTPMissingParam: When it is required, and missing.
        :raise HTTPInvalidParam: When it is none, or too small or great.
        """
        problem = "The value must be a float."
        value = self._param(name, required, None, default, float, problem)
        bounded: float | None = self._bounded(name, value, min_value, max_value, store)
        return bounded

    def get_param_as_bool(
        self,
        name: str,
        required: bool = False,
        store: Any = None,
        blank_as_true: bool = True,
        default: bool | None = None,
    ) -> bool | None:
        """
        :param blank_as_true: Whether a name without a value is true.
        :raise HTTPMissingParam: When it is required, and missing.
        :raise HTTPInvalidParam: When it is neither.
        """
        problem = "The value of the parameter must be 'true' or 'false'."

        def convert(text: str) -> bool:
            return blank_as_true if text == "" else _BOOLS[text.lower()]

        value: bool | None = self._param(
            name, required, store, default, convert, problem
        )
        return value

    def get_param_as_uuid(
        self,
        name: str,
        required: bool = False,
        store: Any = None,
        default: uuid.UUID | None = None,
    ) -> uuid.UUID | None:
        """
        :raise HTTPMissingParam: When it is required, and missing.
        :raise HTTPInvalidParam: When it is none.
        """
        problem = "The value must be a UUID string."
        value: uuid.UUID | None = self._param(
            name, required, store, default, uuid.UUID, problem
        )
        return value

    def get_param_as_list(
        self,
        name: str,
        transform: Callable[[str], Any] | None = None,
        required: bool = False,
        store: Any = None,
        default: list[Any] | None = None,
    ) -> list[Any] | None:
        """
        :param transform: Converts each of them; raises ``ValueError``.
        :raise HTTPMissingParam: When it is required, and missing.
        :raise HTTPInvalidParam: When one cannot be converted.
        """
        if self._param(name, required, None, None, str) is None:
            return default
        found = self.params[name]
        values = found if isinstance(found, list) else [found]
        try:
            converted = list(map(transform, values)) if transform else list(values)
        except ValueError:
            problem = "The value is not formatted correctly."
            raise HTTPInvalidParam(problem, name) from None
        if store is not None:
            store[name] = converted
        return converted

    def _param(
        self,
        name: str,
        required: bool,
        store: Any,
        default: Any,
        convert: Callable[[str], Any],
        problem: str = "",
    ) -> Any:
        found = self.params.get(name)
        if found is None:
            if required:
                raise HTTPMissingParam(name)
            return default
        try:
            value = convert(found[-1] if isinstance(found, list) else found)
        except (ValueError, KeyError):
            raise HTTPInvalidParam(problem, name) from None
        if store is not None:
            store[name] = value
        return value

    def _bounded(self, name: str, value: Any, least: Any, most: Any, store: Any) -> Any:
        if value is None or name not in self.params:
            return value
        if least is not None and value < least:
            raise HTTPInvalidParam(f"The value must be at least {least}.", name)
        if most is not None and value > most:
            raise HTTPInvalidParam(f"The value may not exceed {most}.", name)
        if store is not None:
            store[name] = value
        return value

    # The body.

    @property
    def stream(self) -> Any:
        """The body, as a file."""
        return self.request.content

    @property
    def bounded_stream(self) -> Any:
        """The same: it ends where the body does."""
        return self.stream

    @property
    def media(self) -> Any:
        """
        What is in the body, read by its content type.

        :raise Malformed: When it cannot be read.
        :raise Unsupported: When nobody reads this content type.
        """
        return self.get_media()

    def get_media(self, default_when_empty: Any = _NOTHING) -> Any:
        """
        See :attr:`media`.

        :param default_when_empty: What is returned where there is no body.
        """
        return self._read_media(default_when_empty)

    def _read_media(self, default: Any) -> Any:
        if not self._media:
            body = self.request.content
            length = body.seek(0, 2)
            body.seek(0)
            if not length and default is not _NOTHING:
                return default
            formats = formats_of(self.request)
            given = read_body(Any, self.content_type, body, length, formats)
            self._media.append(given)
        return self._media[0]


_BOOLS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "on"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "off"), False),
}


class AsyncRequest(Request):
    """
    A request, as responders see it that are ``async def``: they wait for what is in
    its body.
    """

    @property
    def stream(self) -> AsyncBody:
        return AsyncBody(self.request.content)

    async def get_media(self, default_when_empty: Any = _NOTHING) -> Any:
        return self._read_media(default_when_empty)


class AsyncBody:
    """
    A body to be waited for.
    """

    def __init__(self, body: BinaryIO) -> None:
        self._body = body

    async def read(self, size: int | None = -1) -> bytes:
        """The bytes that come next; all, unless it is said how many."""
        return self._body.read(-1 if size is None else size)

    async def readall(self) -> bytes:
        """All that is left."""
        return self._body.read()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := self._body.read(8192):
            yield piece


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")
