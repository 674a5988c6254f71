# -*- test-case-name: tests.test_falcon -*-
"""
Falcon's shape: resources that were written for Falcon run here when they import this
module in Falcon's place::

    from ropewalk.web import falcon

    class QuoteResource:
        def on_get(self, req, resp):
            resp.media = {"quote": "…"}

    app = falcon.App()
    app.add_route("/quote", QuoteResource())

A resource has ``on_get(self, req, resp, …)``, ``on_post`` and so on, each plain, under
``@inlineCallbacks`` or ``async def``; the last waits for what is in a body, as in
``falcon.asgi``. Of ``req``, ``resp`` and the errors there is what resources use; hooks,
middleware and media handlers are ours, not Falcon's.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from http import HTTPStatus as Status
from http import client
from typing import Any

from twisted.python.failure import Failure

from ropewalk.awaiting import awaitable, deferred
from ropewalk.plugin import caller
from ropewalk.schema import nearest
from ropewalk.web.answers import Response as Answer
from ropewalk.web.converters import FloatConverter
from ropewalk.web.falcon.errors import (
    HTTPBadGateway,
    HTTPBadRequest,
    HTTPConflict,
    HTTPContentTooLarge,
    HTTPError,
    HTTPForbidden,
    HTTPFound,
    HTTPGatewayTimeout,
    HTTPGone,
    HTTPInternalServerError,
    HTTPInvalidHeader,
    HTTPInvalidParam,
    HTTPLocked,
    HTTPMethodNotAllowed,
    HTTPMissingHeader,
    HTTPMissingParam,
    HTTPMovedPermanently,
    HTTPNotAcceptable,
    HTTPNotFound,
    HTTPNotImplemented,
    HTTPPayloadTooLarge,
    HTTPPermanentRedirect,
    HTTPPreconditionFailed,
    HTTPSeeOther,
    HTTPServiceUnavailable,
    HTTPStatus,
    HTTPTemporaryRedirect,
    HTTPTooManyRequests,
    HTTPUnauthorized,
    HTTPUnprocessableEntity,
    HTTPUnsupportedMediaType,
    Redirected,
    code_of,
)
from ropewalk.web.falcon.requests import AsyncRequest, Request
from ropewalk.web.falcon.responses import Response
from ropewalk.web.patterns import BadRule
from ropewalk.web.routes import Routes

__all__ = [
    "API",
    "App",
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
    "Request",
    "Response",
    "code_to_http_status",
    "responder",
]

MEDIA_JSON = "application/json"
MEDIA_MSGPACK = "application/msgpack"
MEDIA_MULTIPART = "multipart/form-data"
MEDIA_URLENCODED = "application/x-www-form-urlencoded"
MEDIA_XML = "application/xml"
MEDIA_YAML = "application/yaml"
MEDIA_CSV = "text/csv"
MEDIA_HTML = "text/html; charset=utf-8"
MEDIA_JS = "text/javascript"
MEDIA_TEXT = "text/plain; charset=utf-8"
MEDIA_GIF = "image/gif"
MEDIA_JPEG = "image/jpeg"
MEDIA_PNG = "image/png"

#: What of Falcon is not here, and what there is in its place.
_ELSEWHERE = {
    "before": "what is before a responder is middleware: add_route(…, middleware=[…])",
    "after": "what is after a responder is middleware: add_route(…, middleware=[…])",
    "asgi": "there is one App; its responders may be async",
    "testing": "tests are written with ropewalk.testing",
    "CORSMiddleware": "middleware is a function: see ropewalk.web.around",
}

#: ``{id}``, ``{id:int}`` and ``{id:int(2)}`` in a path, as Falcon writes slots.
_SLOT = re.compile(r"\{([A-Za-z_]\w*)(?::(\w+)(?:\(([^)]*)\))?)?\}")

#: Falcon's converters, and what is nearest to each among ours.
_CONVERTERS = {"int": "int", "float": "float", "uuid": "uuid", "path": "path"}


class AnyFloat(FloatConverter):
    """
    A number, with a point in it or without.
    """

    regex = r"[0-9]+(?:\.[0-9]+)?"


class App(Routes):
    """
    What Falcon calls an application: :class:`~ropewalk.web.routes.Routes` whose paths
    may have Falcon's slots as well, ``/things/{id:int}``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        for name in options:
            hint = "; put middleware around it with use(…)" * (name == "middleware")
            raise TypeError(f"an App takes no {name!r} here{hint}")
        self.convert("float", AnyFloat)

    def add_route(self, path: str, resource: Any, **options: Any) -> None:
        """
        See :meth:`ropewalk.web.routes.Routes.add_route`.

        :raise BadRule: When the path has a slot that cannot be understood.
        """
        from ropewalk.web.classes import add_route

        add_route(self, _our_path(path), resource, caller(), **options)

    def add_error_handler(
        self, kinds: Any, handler: Callable[..., Any] | None = None
    ) -> None:
        """
        Have a function answer for errors: ``handler(req, resp, error, params)``; by
        default the ``handle`` of their class. Of two that could, the first is asked.
        """
        several = kinds if isinstance(kinds, (tuple, list)) else (kinds,)
        asked: Any = several[0].handle if handler is None else handler

        def answer(request: Any, failure: Failure) -> Any:
            args = dict(request.path_args or {})

            def respond(req: Request, resp: Response) -> Any:
                return asked(req, resp, failure.value, args)

            return _answered(request, respond, inspect.iscoroutinefunction(asked))

        self.handle_errors(*several)(answer)


#: What it was called before Falcon 3.
API = App


def _our_path(path: str) -> str:
    ours, at = "", 0
    for found in _SLOT.finditer(path):
        ours += _text_between(path, at, found.start()) + _our_slot(path, found)
        at = found.end()
    return ours + _text_between(path, at, len(path))


def _text_between(path: str, start: int, end: int) -> str:
    text = path[start:end]
    odd = re.search(r"[{}]", text)
    if odd:
        problem = "a slot is written {name}, {name:converter} or {name:converter(…)}"
        raise BadRule(path, problem, start + odd.start())
    return text


def _our_slot(path: str, found: re.Match[str]) -> str:
    name, converter, arguments = found.groups()
    if converter is None:
        return f"<{name}>"
    if converter not in _CONVERTERS:
        meant = nearest(converter, _CONVERTERS)
        known = ", ".join(sorted(_CONVERTERS))
        hint = f"did you mean {meant!r}?" if meant else f"there are {known}"
        problem = f"there is no converter {converter!r}; {hint}"
        raise BadRule(path, problem, found.start())
    arguments = (arguments or "").replace("num_digits", "fixed_digits")
    if converter in ("int", "float"):  # Falcon's take a sign
        arguments = f"{arguments}, signed=True" if arguments else "signed=True"
    return f"<{_CONVERTERS[converter]}({arguments}):{name}>"


def responder(method: Callable[..., Any]) -> Callable[..., Any]:
    """
    A handler that calls a resource's ``on_get``, or its like.

    :param method: Bound to its resource.
    """
    waits = inspect.iscoroutinefunction(method)

    def respond(request: Any, **args: Any) -> Any:
        return _answered(request, lambda req, resp: method(req, resp, **args), waits)

    respond.__name__ = getattr(method, "__name__", "respond")
    respond.__doc__ = method.__doc__
    respond.__ropewalk_handler__ = method  # type: ignore[attr-defined]
    return respond


def _answered(
    request: Any, respond: Callable[[Request, Response], Any], waits: bool
) -> Any:
    """
    What comes of a request.

    :param waits: Whether it is an ``async def`` that responds.
    """
    response = Response()
    try:
        done = respond((AsyncRequest if waits else Request)(request), response)
    except HTTPStatus as status:
        return _end(response, status)
    if not awaitable(done):
        return response.settle()
    return deferred(done).addCallbacks(
        lambda _: response.settle(), lambda failure: _ended(response, failure)
    )


def _ended(response: Response, failure: Failure) -> Answer:
    failure.trap(HTTPStatus)
    status: Any = failure.value
    return _end(response, status)


def _end(response: Response, status: HTTPStatus) -> Answer:
    response.clear()
    response.status = status.status
    response.text = status.text
    if status.headers is not None:
        response.set_headers(status.headers)
    if isinstance(status, Redirected):
        response.location = status.location
    return response.settle()


def code_to_http_status(code: Any) -> str:
    """
    ``404`` as ``"404 Not Found"``.
    """
    number = code_of(code)
    return f"{number} {client.responses.get(number, 'Unknown')}"


def __getattr__(name: str) -> str:
    """
    ``HTTP_201`` and ``HTTP_CREATED`` are ``"201 Created"``, and so on.
    """
    word = name.removeprefix("HTTP_")
    if word != name:
        if re.fullmatch("[1-7][0-9][0-9]", word):
            return code_to_http_status(word)
        if word in Status.__members__:
            return code_to_http_status(Status[word])
    hint = f": {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
