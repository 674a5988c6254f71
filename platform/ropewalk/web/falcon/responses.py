# -*- test-case-name: tests.test_falcon -*-
"""
Responses, as Falcon's resources make them.
"""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ropewalk.schema import write_json
from ropewalk.web.answers import Response as Answer
from ropewalk.web.answers import Stream
from ropewalk.web.falcon.errors import code_of, write_date
from ropewalk.web.falcon.requests import Context
from ropewalk.web.headers import attachment, encode_address

__all__ = ["Header", "Response"]

_JSON = "application/json"

#: What is not there; ``None`` may be.
_NOTHING: Any = object()


class Header:
    """
    A header of a response, as an attribute.

    :param write: Makes its value.
    """

    def __init__(self, name: str, write: Callable[[Any], str] = str) -> None:
        self._name = name
        self._write = write

    def __get__(self, response: Any, _: object) -> Any:
        return self if response is None else response.get_header(self._name)

    def __set__(self, response: Response, value: Any) -> None:
        if value is None:
            response.delete_header(self._name)
        else:
            response.set_header(self._name, self._write(value))


def _listed(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def _quoted(tag: str) -> str:
    return tag if tag.startswith(('"', 'W/"')) else f'"{tag}"'


class Response:
    """
    An answer, as Falcon's resources make it. Of ``text``, ``data``, ``media`` and
    ``stream``, the first that is set is its body.

    :ivar status: ``"201 Created"``, 201 or ``HTTPStatus.CREATED``.
    """

    __slots__ = (
        "_answer",
        "content_type",
        "context",
        "data",
        "media",
        "status",
        "stream",
        "text",
    )

    def __init__(self) -> None:
        self.status: str | int = 200
        self.context = Context()
        self._answer = Answer()
        self.content_type: str | None = None
        self.clear()

    def clear(self) -> None:
        """Have no body."""
        self.text: str | None = None
        self.data: bytes | None = None
        self.media: Any = _NOTHING
        self.stream: Any = None

    accept_ranges = Header("Accept-Ranges")
    cache_control = Header("Cache-Control", _listed)
    content_location = Header("Content-Location", encode_address)
    downloadable_as = Header("Content-Disposition", attachment)
    etag = Header("ETag", _quoted)
    expires = Header("Expires", write_date)
    last_modified = Header("Last-Modified", write_date)
    location = Header("Location", encode_address)
    retry_after = Header("Retry-After")
    vary = Header("Vary", _listed)

    @property
    def body(self) -> str | None:
        """What ``text`` was called before Falcon 3."""
        return self.text

    @body.setter
    def body(self, body: str | None) -> None:
        self.text = body

    @property
    def status_code(self) -> int:
        """The number of its status."""
        return code_of(self.status)

    @status_code.setter
    def status_code(self, code: int) -> None:
        self.status = code

    @property
    def headers(self) -> dict[str, str]:
        """By name in small letters; a copy."""
        return {name.lower(): value for name, value in self._answer.headers.items()}

    def set_header(self, name: str, value: str) -> None:
        """Set a header, in place of any older one."""
        if name.lower() == "content-type":
            self.content_type = str(value)
        else:
            self._answer.headers[name] = str(value)

    def append_header(self, name: str, value: str) -> None:
        """Add a value to a header."""
        self._answer.headers.add(name, str(value))

    def get_header(self, name: str, default: str | None = None) -> str | None:
        """A header; several values of one have commas between them."""
        if name.lower() == "content-type":
            return self.content_type or default
        return self._answer.headers.get(name, default)

    def delete_header(self, name: str) -> None:
        """Unset a header."""
        self._answer.headers.pop(name, None)

    def set_headers(self, headers: Any) -> None:
        """Set some: a mapping, or pairs."""
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        for name, value in pairs:
            self.set_header(name, value)

    def set_stream(self, stream: Any, content_length: int) -> None:
        """Send a file, or an iterable of bytes."""
        self.stream = stream

    def set_cookie(
        self,
        name: str,
        value: str,
        expires: datetime.datetime | None = None,
        max_age: int | None = None,
        domain: str | None = None,
        path: str | None = None,
        secure: bool | None = None,
        http_only: bool = True,
        same_site: Any = "Lax",
    ) -> None:
        """
        See :meth:`ropewalk.web.answers.Response.set_cookie`. As in Falcon, a cookie
        goes over TLS only, unless ``secure=False``.

        :param expires: Until when to keep it, where ``max_age`` does not say.
        """
        if expires is not None and max_age is None:
            now = datetime.datetime.now(datetime.UTC)
            zone = expires.tzinfo or datetime.UTC
            max_age = max(0, int((expires.replace(tzinfo=zone) - now).total_seconds()))
        self._answer.set_cookie(
            name,
            value,
            max_age=max_age,
            domain=domain,
            path=path,
            secure=secure is not False,
            http_only=http_only,
            same_site=same_site,
        )

    def unset_cookie(
        self, name: str, domain: str | None = None, path: str | None = None
    ) -> None:
        """Have the client forget a cookie."""
        self._answer.delete_cookie(name, path=path, domain=domain)

    def settle(self) -> Answer:
        """The same as a response of ours."""
        answer = self._answer
        answer.status = self.status_code
        answer.body = self._body()
        # Falcon's text is not HTML unless it says so.
        own = None if answer.body == b"" else _JSON
        answer.content_type = self.content_type or own
        return answer

    def _body(self) -> Any:
        if self.text is not None:
            return self.text.encode("utf-8")
        if self.data is not None:
            return self.data
        if self.media is not _NOTHING:
            return self._media()
        if self.stream is not None:
            return Stream(_pieces(self.stream), self.content_type)
        return b""

    def _media(self) -> Any:
        """A value: text is one as well, and JSON has quotes around it."""
        if isinstance(self.media, str) and "json" in (self.content_type or _JSON):
            return write_json(self.media)
        return b"null" if self.media is None else self.media


def _pieces(stream: Any) -> Any:
    """What is in a file, or in whatever has pieces."""
    if hasattr(stream, "read") and not inspect.iscoroutinefunction(stream.read):
        return iter(lambda: stream.read(8192), b"")
    return stream
