# -*- test-case-name: tests.test_falcon -*-
"""
Errors and redirects, as Falcon's resources raise them.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from email.utils import format_datetime
from http.client import responses
from typing import Any, ClassVar

from ropewalk.errors import RopewalkError

__all__ = [
    "HTTPBadGateway",
    "HTTPBadRequest",
    "HTTPConflict",
    "HTTPContentTooLarge",
    "HTTPError",
    "HTTPForbidden",
    "HTTPFound",
    "HTTPGatewayTimeout",
    "HTTPGone",
    "HTTPInternalServerError",
    "HTTPInvalidHeader",
    "HTTPInvalidParam",
    "HTTPLocked",
    "HTTPMethodNotAllowed",
    "HTTPMissingHeader",
    "HTTPMissingParam",
    "HTTPMovedPermanently",
    "HTTPNotAcceptable",
    "HTTPNotFound",
    "HTTPNotImplemented",
    "HTTPPayloadTooLarge",
    "HTTPPermanentRedirect",
    "HTTPPreconditionFailed",
    "HTTPSeeOther",
    "HTTPServiceUnavailable",
    "HTTPStatus",
    "HTTPTemporaryRedirect",
    "HTTPTooManyRequests",
    "HTTPUnauthorized",
    "HTTPUnprocessableEntity",
    "HTTPUnsupportedMediaType",
    "OfStatus",
    "Redirected",
    "code_of",
    "write_date",
]


def code_of(status: Any) -> int:
    """The number of a status, however it is said."""
    return int(status.split()[0]) if isinstance(status, str) else int(status)


def write_date(value: Any) -> str:
    """A moment as HTTP says it; one without a zone is in UTC."""
    if isinstance(value, str):
        return value
    zone = datetime.UTC
    moment = value.astimezone(zone) if value.tzinfo else value.replace(tzinfo=zone)
    return format_datetime(moment, usegmt=True)


class HTTPError(RopewalkError):
    """
    Something that a client is told, in Falcon's words.

    :ivar headers: What is said beside it.
    :param status: ``"404 Not Found"`` or 404.
    :param more: ``href`` and ``code``, which Falcon tells as well.
    """

    def __init__(
        self,
        status: str | int,
        title: str | None = None,
        description: str | None = None,
        headers: Any = None,
        **more: Any,
    ) -> None:
        super().__init__(status, title, description)
        self.status = code_of(status)
        self.title = title
        self.description = description
        self.headers: dict[str, str] = dict(headers or {})

    def __str__(self) -> str:
        words = [each for each in (self.title, self.description) if each]
        return ": ".join(words) or responses.get(self.status, "Error")


class OfStatus(HTTPError):
    """
    An error whose class says its status.

    :cvar code: The status.
    :param challenges: How to log in.
    :param retry_after: Seconds to wait before the next try, or when that may be.
    """

    code: ClassVar[int] = 500

    def __init__(
        self,
        title: str | None = None,
        description: str | None = None,
        challenges: Iterable[str] | None = None,
        *,
        headers: Any = None,
        retry_after: Any = None,
        **more: Any,
    ) -> None:
        super().__init__(self.code, title, description, headers, **more)
        if challenges:
            self.headers["WWW-Authenticate"] = ", ".join(challenges)
        if retry_after is not None:
            is_time = isinstance(retry_after, datetime.datetime)
            self.headers["Retry-After"] = (write_date if is_time else str)(retry_after)


class HTTPBadRequest(OfStatus):
    """400"""

    code = 400


class HTTPInvalidHeader(HTTPBadRequest):
    """400, for what a header says."""

    def __init__(self, problem: str, header_name: str, **more: Any) -> None:
        told = f'The value provided for the "{header_name}" header is invalid.'
        super().__init__("Invalid header value", f"{told} {problem}", **more)


class HTTPMissingHeader(HTTPBadRequest):
    """400, for want of a header."""

    def __init__(self, header_name: str, **more: Any) -> None:
        told = f'The "{header_name}" header is required.'
        super().__init__("Missing header value", told, **more)


class HTTPInvalidParam(HTTPBadRequest):
    """400, for what a parameter says."""

    def __init__(self, problem: str, param_name: str, **more: Any) -> None:
        told = f'The "{param_name}" parameter is invalid.'
        super().__init__("Invalid parameter", f"{told} {problem}", **more)


class HTTPMissingParam(HTTPBadRequest):
    """400, for want of a parameter."""

    def __init__(self, param_name: str, **more: Any) -> None:
        told = f'The "{param_name}" parameter is required.'
        super().__init__("Missing parameter", told, **more)


class HTTPUnauthorized(OfStatus):
    """401"""

    code = 401


class HTTPForbidden(OfStatus):
    """403"""

    code = 403


class HTTPNotFound(OfStatus):
    """404"""

    code = 404


class HTTPMethodNotAllowed(OfStatus):
    """405"""

    code = 405

    def __init__(self, allowed_methods: Iterable[str], **more: Any) -> None:
        super().__init__(**more)
        self.headers["Allow"] = ", ".join(allowed_methods)


class HTTPNotAcceptable(OfStatus):
    """406"""

    code = 406


class HTTPConflict(OfStatus):
    """409"""

    code = 409


class HTTPGone(OfStatus):
    """410"""

    code = 410


class HTTPPreconditionFailed(OfStatus):
    """412"""

    code = 412


class HTTPContentTooLarge(OfStatus):
    """413"""

    code = 413


#: What it was called before Falcon 4.
HTTPPayloadTooLarge = HTTPContentTooLarge


class HTTPUnsupportedMediaType(OfStatus):
    """415"""

    code = 415


class HTTPUnprocessableEntity(OfStatus):
    """422"""

    code = 422


class HTTPLocked(OfStatus):
    """423"""

    code = 423


class HTTPTooManyRequests(OfStatus):
    """429"""

    code = 429


class HTTPInternalServerError(OfStatus):
    """500. What it says is for the log; a client is told nothing of it."""

    code = 500


class HTTPNotImplemented(OfStatus):
    """501"""

    code = 501


class HTTPBadGateway(OfStatus):
    """502"""

    code = 502


class HTTPServiceUnavailable(OfStatus):
    """503"""

    code = 503


class HTTPGatewayTimeout(OfStatus):
    """504"""

    code = 504


class HTTPStatus(Exception):
    """
    Raised, it ends a responder; what it says is the answer, and headers and cookies
    that were set stay.

    :param status: ``"202 Accepted"`` or 202.
    """

    def __init__(
        self, status: str | int, headers: Any = None, text: str | None = None
    ) -> None:
        super().__init__(status, headers, text)
        self.status = status
        self.headers = headers
        self.text = text


class Redirected(HTTPStatus):
    """
    A resource leads elsewhere.

    :cvar code: How.
    """

    code: ClassVar[int] = 302

    def __init__(self, location: str, headers: Any = None) -> None:
        super().__init__(self.code, headers)
        self.location = location


class HTTPMovedPermanently(Redirected):
    """301"""

    code = 301


class HTTPFound(Redirected):
    """302"""

    code = 302


class HTTPSeeOther(Redirected):
    """303"""

    code = 303


class HTTPTemporaryRedirect(Redirected):
    """307"""

    code = 307


class HTTPPermanentRedirect(Redirected):
    """308"""

    code = 308
