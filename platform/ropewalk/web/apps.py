# -*- test-case-name: tests.test_mounts -*-
"""
Klein applications as part of a site. What Klein says holds; besides, a handler may
wait for anything, and what nobody handles is answered as everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from klein import Klein
from klein.interfaces import IKleinRequest
from klein.resource import KleinResource
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.utils import redirect

from ropewalk import awaiting
from ropewalk.web.problems import Refused, phrase, respond

__all__ = ["AppResource"]


class AppResource(KleinResource):
    """
    Serves a Klein application.

    :param app: The application, bound to an instance or not.
    """

    def __init__(self, app: Klein) -> None:
        super().__init__(_App(app))  # type: ignore[arg-type]

    def render(self, request: Any) -> Any:
        """
        Let the application answer.

        :raise Refused: When it cannot even be asked: no text can come of the
            path, or the ``Host`` header names no host.
        """
        try:
            b"/".join((*request.prepath, *request.postpath)).decode("utf-8")
            request.getRequestHostname().decode("utf-8")
            return super().render(request)
        except UnicodeDecodeError:
            raise Refused(400, "the address is not text in UTF-8") from None
        except HTTPException as error:
            raise Refused(error.code or 400, _why(error)) from error


class _App:
    """
    A Klein application whose handlers are called by `awaiting.run`. Klein itself
    drives an ``async def`` so that it can only wait for Deferreds.
    """

    def __init__(self, app: Klein) -> None:
        self._app = app
        # Whoever has their own way to call a handler keeps it.
        self._plain = type(app).execute_endpoint is Klein.execute_endpoint

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)

    @property
    def _error_handlers(self) -> list[Any]:
        # The application's own come first.
        return [*self._app._error_handlers, ([HTTPException], _refuse)]

    def execute_endpoint(
        self, endpoint: str, request: Any, *args: Any, **kwargs: Any
    ) -> Any:
        app = self._app
        handler = getattr(app.endpoints[endpoint], "__original__", None)
        if handler is None or not self._plain:
            return app.execute_endpoint(endpoint, request, *args, **kwargs)
        if "__rest__" in kwargs:
            below = kwargs.pop("__rest__")
            IKleinRequest(request).branch_segments = below.split("/")
        return self._call(handler, request, *args, **kwargs)

    def execute_error_handler(
        self, handler: Any, request: Any, failure: Failure
    ) -> Any:
        original = getattr(handler, "__original__", None)
        if original is None:
            return handler(self._app._instance, request, failure)
        return self._call(original, request, failure)

    def _call(self, handler: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        instance = self._app._instance
        if instance is not None or getattr(handler, "__klein_bound__", False):
            args = (instance, *args)
        return awaiting.run(handler, *args, **kwargs)


def _refuse(instance: Any, request: Any, failure: Failure) -> bytes:
    """
    Answer for Werkzeug's own exceptions: nothing there, not this method, over
    there. An exception that brings a response of its own is left that.
    """
    error: Any = failure.value
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
    request.setResponseCode(status, phrase(status).encode("ascii"))
    return b"".join(response.iter_encoded())


def _why(error: HTTPException) -> str:
    return error.description or phrase(error.code or 400)


def _near(url: str, request: Any) -> str:
    """
    Where to go, without scheme and host: those that we know need not be those
    that the client knows us by. What was asked for goes along.
    """
    path = "/" + urlsplit(url).path.lstrip("/")
    asked: str = request.uri.decode("latin-1")
    _, mark, query = asked.partition("?")
    return path + mark + query
