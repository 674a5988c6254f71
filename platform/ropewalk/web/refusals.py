# -*- test-case-name: tests.test_mounts -*-
"""
What Klein and Werkzeug raise where nobody answers, and how it looks to a client:
nothing there, not this method, over there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect
from werkzeug.utils import redirect

from ropewalk.web.problems import Refused, phrase, respond

__all__ = ["host_of", "nobody", "refuse", "with_options", "wrong_method"]


def nobody(allowed: Collection[str], method: bytes = b"") -> HTTPException:
    """
    What Klein's error handlers are told where no route answers.

    :param allowed: The methods that would be answered; none when there is nothing.
    :param method: The one that was asked for.
    """
    if not allowed:
        return NotFound("there is nothing here")
    methods = with_options(allowed)
    return MethodNotAllowed(methods, wrong_method(method, methods))


def with_options(allowed: Collection[str]) -> list[str]:
    """Methods, and OPTIONS, which is answered wherever another one is."""
    return sorted({*allowed, "OPTIONS"})


def wrong_method(method: bytes, methods: Sequence[str]) -> str:
    """
    What is told who asks for a method that is not there.

    :param methods: Those that are.
    """
    asked = method.decode("ascii", "backslashreplace")
    return f"there is no {asked} here, only {', '.join(methods)}"


def refuse(request: Any, error: Any) -> bytes:
    """
    Answer for one of Werkzeug's exceptions. One that brings a response of its own
    is left that.

    :return: the body.
    """
    response = error.get_response()
    status: int = response.status_code
    if isinstance(error, RequestRedirect):
        response = redirect(_near(error.new_url, request), status)
    own = error.response is not None or status < 400
    for name, value in response.headers:
        if own or not name.lower().startswith("content-"):
            request.responseHeaders.addRawHeader(name, value)
    if not own:
        return respond(request, Refused(status, _why(error)))
    words = (phrase(status).encode("ascii"),) if status >= 400 else ()
    request.setResponseCode(status, *words)  # Twisted knows the others
    return b"".join(response.iter_encoded())


def _why(error: HTTPException) -> str:
    return error.description or phrase(error.code or 400)


def _near(url: str, request: Any) -> str:
    """
    Where to go, without our scheme and host: those that we know need not be those
    that the client knows us by. What is on purpose somebody else's is left.
    """
    parts = urlsplit(url)
    if parts.scheme and parts.netloc.lower() != host_of(request).lower():
        return url
    if parts.scheme or parts.netloc or url.startswith("/"):
        path = "/" + parts.path.lstrip("/")
        return urlunsplit(("", "", path, parts.query, parts.fragment))
    return url


def host_of(request: Any) -> str:
    """The host that a request is for, with the port if it is not the usual one."""
    host: str = request.getRequestHostname().decode("ascii", "replace")
    port = getattr(request.getHost(), "port", 0)  # a UNIX socket has none
    usual = port in (0, 443 if request.isSecure() else 80)
    return host if usual else f"{host}:{port}"
