# -*- test-case-name: tests.test_serving -*-
"""
The way of a request from its route to its answer: middleware, the handler, error
handlers, the answer on the wire. A plain handler that returns a plain value gets by
without a Deferred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from klein import Klein
from klein.interfaces import IKleinRequest
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter
from zope.interface import implementer

from ropewalk.awaiting import awaitable, deferred, run
from ropewalk.web.answers import HTML, Response, conclude, deliver, settle
from ropewalk.web.around import Call
from ropewalk.web.negotiation import said_header, set_type, write_value
from ropewalk.web.problems import is_told, respond
from ropewalk.web.refusals import host_of, refuse
from ropewalk.web.routes import Options
from ropewalk.web.signposts import descend
from ropewalk.web.wrapping import clock_of

__all__ = ["BELOW", "REST", "Area", "Endpoint", "KleinView"]

#: How Klein calls what a branch takes: all that is below its path.
REST = "__rest__"

#: And how it writes it in a rule.
BELOW = f"<path:{REST}>"

#: Writes a value of a usual type; returns the body.
_Write = Callable[[Any, Any], bytes]

_log = Logger()


class Area(Struct, eq=False):
    """
    An application at its place on a site: whose errors they are.

    :ivar app: The application.
    :ivar plugin: The service that mounted it.
    :ivar place: Where in its source: ``file:line``.
    :ivar prefix: The path at which it is.
    :ivar parent: The area it is part of.
    :ivar absent: What answers where it has no route.
    """

    app: Klein
    plugin: str
    place: str
    prefix: str
    parent: Area | None = None
    absent: Endpoint | None = None

    def outside(self) -> Iterator[Area]:
        """What it is part of, the innermost first."""
        area = self.parent
        while area is not None:
            yield area
            area = area.parent

    def handles(self, kind: type[BaseException]) -> bool:
        """Whether there are error handlers for a kind of error, here or outside."""
        return any(
            issubclass(kind, tuple(kinds))
            for area in (self, *self.outside())
            for kinds, _ in area.app._error_handlers
        )

    def recover(self, request: Any, failure: Failure) -> Deferred[Any]:
        """
        Let the application's error handlers answer, in their order. One that fails
        itself leaves it to those after it.

        :return: fires with an answer, or with the failure that nobody handled.
        """
        waiting: Deferred[Any] = Deferred()
        handlers = iter(list(self.app._error_handlers))
        waiting.addErrback(self._try, request, handlers)
        waiting.errback(failure)
        return waiting

    def _try(
        self, failure: Failure, request: Any, handlers: Iterator[Any]
    ) -> Deferred[Any] | Failure:
        request.trouble = failure.value
        if _is_gone(request):
            return failure  # nobody hears an answer any more
        # Whoever has seen it need not see it again on its way out.
        seen = request.__dict__.setdefault("recovering", set())
        if (id(self), id(failure.value)) in seen:
            return failure
        for kinds, handler in handlers:
            if failure.check(*kinds):
                answer = run(self._handle, handler, request, failure)
                return answer.addErrback(self._try, request, handlers)
        seen.add((id(self), id(failure.value)))
        return failure

    def _handle(self, handler: Any, request: Any, failure: Failure) -> Any:
        app = self.app
        function = getattr(handler, "__original__", None)
        own = type(app).execute_error_handler is not Klein.execute_error_handler
        if function is None or own:
            return app.execute_error_handler(handler, request, failure)
        bound = getattr(function, "__klein_bound__", False)
        if app._instance is not None or bound:
            return function(app._instance, request, failure)
        return function(request, failure)


class Endpoint(Struct, eq=False):
    """
    What answers at a route. To ``twisted.web`` it is a resource.

    :ivar name: What the route is called, once in its application.
    :ivar path: Its whole path, as it was written.
    :ivar methods: The methods it answers; ``None`` for all.
    :ivar handler: The function, or the class of a socket's protocol.
    :ivar place: Where that is written: ``file:line``.
    :ivar plugin: The service it belongs to.
    :ivar call: What answers.
    :ivar bare: What calls the handler without what is around it, where that need not
        see it before (:func:`~ropewalk.web.wrapping.bared`); otherwise ``None``.
    :ivar depth: How many segments of the path it takes; what is left is below it.
    :ivar steps: How many of these its application gave it.
    :ivar area: The application it is of; ``None`` for a resource.
    :ivar kind: ``"route"``, ``"socket"``, ``"stream"``; ``"resource"`` for one with
        something around it; ``"absent"`` for what answers where its application has no
        route.
    :ivar is_root: Whether it is at the very path of its application.
    :ivar binding: What the handler asks for; ``None`` where Klein calls it.
    :ivar options: What else was said of the route.
    :ivar lane: As ``bare``, for :mod:`ropewalk.web.quick`, once it was asked for.
    :ivar is_kleins: Whether Klein could call its handler: it takes the request. Found
        out, not given.
    :ivar shown: Its path for people and labels: ``"/files/…"``; empty where there is no
        route. Found out, not given.
    """

    isLeaf = True

    name: str
    path: str
    methods: frozenset[str] | None
    handler: Any
    place: str
    plugin: str
    call: Call
    depth: int
    steps: int = 0
    area: Area | None = None
    kind: str = "route"
    is_root: bool = False
    binding: Any = None
    options: Options = Options()
    bare: Call | None = None
    lane: tuple[Any, ...] | None = None
    shown: str = ""
    is_kleins: bool = True

    def __post_init__(self) -> None:
        self.shown = self._show()
        self.is_kleins = self._find_out()

    def _show(self) -> str:
        if self.kind == "absent":
            return ""
        if self.kind == "resource":
            return f"{self.path.rstrip('/')}/…"
        if self.is_root:
            return self.path.rstrip("/") or "/"
        return self.path.replace(BELOW, "…")

    def _find_out(self) -> bool:
        return self.binding is None or any(
            each.where == "request" and each.component is None
            for each in self.binding.parameters
        )

    @property
    def typed(self) -> bool:
        """Whether its handler asks for more than Klein gives."""
        return self.binding is not None and not self.binding.plain

    def __str__(self) -> str:
        return f"{self.path} ({self.place})"

    def enter(self, request: Any) -> Endpoint:
        """
        Take a request, and as much of its path as belongs here.

        :return: what renders it.
        """
        request.route = self
        if getattr(request, "unwalked", False):
            request._entered = self  # the rest when somebody asks for it
        else:
            self.walk(request)
        return self

    def walk(self, request: Any) -> None:
        """Take what belongs here of a request's path."""
        descend(request, self.depth)
        request.above = len(request.prepath) - self.steps
        if self.is_root and not request.postpath:
            request.postpath = [b""]  # with a slash behind it or not

    def render(self, request: Any) -> Any:
        """
        Answer: what ``twisted.web`` asks of a resource.

        :param request: Whose ``path_args`` are the arguments in its path.
        """
        if self.bare is not None and getattr(request, "outcome", None) is None:
            try:
                answer = self.bare(request, request.path_args)
            except Exception as error:
                request.outcome = partial(_raise, error)
            else:
                body = self.write(request, answer)
                if body is not None:
                    return body
                request.outcome = partial(_give, answer)
        try:
            answer = self.call(request, request.path_args)
            if awaitable(answer):
                return self._wait(request, deferred(answer))
        except Exception:
            return self._fail(request, Failure())
        try:
            return self._conclude(request, answer)
        except Exception:
            return self._amend(request, Failure())

    def write(self, request: Any, answer: Any) -> Any:
        """
        The body that comes of an answer of a usual kind, or ``NOT_DONE_YET`` when it
        could not be written; ``None`` for any other.
        """
        kind: Any = type(answer)
        write = _writing(kind)
        if (
            write is None
            or request.code != 200
            or request.startedWriting
            or getattr(request, "scope", None) is not None
            or (write is _as_it_is and not self.is_kleins)
        ):
            return None
        if not self.is_kleins:
            request.defaultContentType = None
        try:
            return write(request, answer)
        except Exception:
            return self._amend(request, Failure())

    def _wait(
        self, request: Any, waiting: Deferred[Any], *, amended: bool = False
    ) -> Any:
        """
        Write the answer when it is there. A client that goes away cancels what
        makes it.

        :param amended: Whether it takes the place of one that could not be written.
        """
        gone: list[bool] = []

        def leave(_: object) -> None:
            gone.append(True)
            waiting.cancel()

        def write(answer: Any) -> Any:
            if gone:
                return _close(request, CancelledError())
            try:
                rest = self._conclude(request, answer)
            except Exception:
                if amended:
                    raise
                rest = self._amend(request, Failure())
            return _write(request, rest)

        def fail(failure: Failure) -> Any:
            # A handler may have heard before us that its client left.
            if not gone and not _is_gone(request):
                return _write(request, self._fail(request, failure))
            self._report_late(failure)
            return _close(request, failure.value)

        request.notifyFinish().addErrback(leave)
        waiting.addCallback(write).addErrback(fail).addErrback(_report)
        return NOT_DONE_YET

    def _conclude(self, request: Any, answer: Any) -> Any:
        """
        Write an answer.

        :return: the bytes of its body, or ``NOT_DONE_YET`` when somebody else will
            write them, or has.
        """
        route = request.route
        if answer is NOT_DONE_YET and route.is_kleins:
            return NOT_DONE_YET  # as a resource has it: somebody goes on with it
        response = settle(answer, request, typed=route.typed or not route.is_kleins)
        if not route.is_kleins:
            # Twisted would say that whatever nobody has named is HTML.
            request.defaultContentType = None
            if isinstance(response.body, bytes | bytearray | memoryview):
                _name_bytes(request, response)
        if request.startedWriting and response.body in (None, b""):
            return NOT_DONE_YET if request.finished else b""  # it has all been written
        rest = deliver(request, response, clock=clock_of(request))
        if request.finished and isinstance(rest, bytes):
            request.write(rest)  # which says that this is too late
        if isinstance(rest, Deferred):
            return self._follow(request, rest)
        closing = _close(request, None)
        if closing is None or rest is NOT_DONE_YET:
            return rest
        return self._follow(request, closing.addCallback(lambda _: rest))

    def _follow(self, request: Any, rest: Deferred[Any]) -> Any:
        """Conclude when all pieces are sent, and what is injected is closed."""

        def end(written: bytes) -> Any:
            closing = _close(request, None)
            return closing.addCallback(lambda _: written) if closing else written

        def fail(failure: Failure) -> Any:
            closing = _close(request, failure.value)
            return closing.addBoth(lambda _: failure) if closing else failure

        def give_up(failure: Failure) -> None:
            if not failure.check(CancelledError) or not _is_gone(request):
                self._fail(request, failure)

        rest.addCallbacks(end, fail)
        rest.addCallback(lambda written: conclude(request, written))
        rest.addErrback(give_up)
        rest.addErrback(_report)
        return NOT_DONE_YET

    def _amend(self, request: Any, failure: Failure) -> Any:
        """
        Let error handlers answer for an answer that could not be written, such as a
        resource that failed when it was rendered.
        """
        if request.startedWriting or self.area is None:
            return self._fail(request, failure)
        for name in b"content-type", b"content-length":
            request.responseHeaders.removeHeader(name)
        waiting = self.area.recover(request, failure)
        for area in self.area.outside():
            waiting.addErrback(partial(area.recover, request))
        return self._wait(request, waiting, amended=True)

    def _fail(self, request: Any, failure: Failure) -> Any:
        """Say what went wrong: nobody handled it."""
        closing = _close(request, failure.value)
        if closing is not None:
            closing.addErrback(_report)
        if request.finished:
            self._report_late(failure)
            return NOT_DONE_YET
        error: Any = failure.value
        if not request.startedWriting:
            if isinstance(error, HTTPException):
                return refuse(request, error)
            if is_told(error) and _is_foreign(request):
                return respond(request, error)
        request.processingFailed(failure)
        return NOT_DONE_YET

    def _report_late(self, failure: Failure) -> None:
        """Log what nobody can be told any more."""
        if not failure.check(CancelledError):
            _log.failure("{it} failed after its request had ended", failure, it=self)


@implementer(IKleinRequest)
class KleinView:
    """
    What Klein knows of a request. Werkzeug's map is asked only when somebody wants a
    link from it.

    :ivar branch_segments: What is left of the path, for the handler of a branch.
    """

    def __init__(self, request: Any) -> None:
        self._request = request
        self._set: tuple[Any, MapAdapter | None] = None, None
        self.branch_segments = [""]

    @property
    def mapper(self) -> MapAdapter:
        """
        Werkzeug's map, as Klein binds it to a request. A ``KleinResource`` below our
        routes sets its own.
        """
        request = self._request
        route, mapper = self._set
        if mapper is not None and route is request.route:
            return mapper
        area = getattr(request.route, "area", None)
        if area is None:
            raise AttributeError("mapper")
        app: Klein = area.app
        path = [*request.prepath, *request.postpath]
        return app.url_map.bind(
            host_of(request),
            _joined(path[: request.above]),
            path_info=_joined(path[request.above :]),
            default_method=request.method.decode("ascii", "replace"),
            url_scheme="https" if request.isSecure() else "http",
        )

    @mapper.setter
    def mapper(self, mapper: MapAdapter) -> None:
        self._set = self._request.route, mapper

    def url_for(
        self,
        endpoint: str,
        values: Any = None,
        method: str | None = None,
        force_external: bool = False,
        append_unknown: bool = True,
    ) -> str:
        """A link, as Werkzeug makes it."""
        build = self.mapper.build
        return build(endpoint, values, method, force_external, append_unknown)


@lru_cache(1024)
def _writing(kind: type) -> _Write | None:
    """How values of a type become the body of an answer, where that is simple."""
    if kind is bytes:
        return _as_it_is
    if kind is str:
        return _as_text
    if kind in (dict, list) or issubclass(kind, Struct):
        return _as_value
    return None


def _give(answer: Any) -> Any:
    return answer


def _raise(error: Exception) -> Any:
    raise error


def _as_it_is(_: Any, body: bytes) -> bytes:
    return body


def _as_text(request: Any, body: str) -> bytes:
    if said_header(request, b"Content-Type") is None:
        set_type(request, HTML)
    return body.encode("utf-8")


def _as_value(request: Any, body: Any) -> bytes:
    return write_value(request, body, None)


def _joined(segments: Sequence[bytes]) -> str:
    return b"/".join([b"", *segments]).decode("utf-8", "replace") or "/"


def _name_bytes(request: Any, response: Response) -> None:
    """
    Say of bytes that nobody has said anything of that they are just that. (Twisted
    says that they are HTML, and a browser would run what is in them.)
    """
    said = (
        response.content_type
        or "content-type" in response.headers
        or request.responseHeaders.hasHeader(b"content-type")
    )
    if response.body and not said:
        response.content_type = "application/octet-stream"


# The end of a request.


def _write(request: Any, rest: Any) -> None:
    """Write an answer that had to be waited for."""
    if rest is not NOT_DONE_YET and not _is_gone(request):
        conclude(request, rest)


def _close(request: Any, error: BaseException | None) -> Deferred[None] | None:
    """Close what was injected."""
    scope = getattr(request, "scope", None)
    if scope is None:
        return None
    request.scope = None
    # What an error handler has answered for went wrong all the same.
    trouble = error or getattr(request, "trouble", None)
    closing: Deferred[None] | None = scope.close(trouble)
    return closing


def _is_gone(request: Any) -> bool:
    return bool(request.finished or getattr(request, "_disconnected", False))


def _is_foreign(request: Any) -> bool:
    """Whether a request came to a site that is not ours and knows no errors of ours."""
    return not isinstance(IKleinRequest(request, None), KleinView)


def _report(failure: Failure) -> None:
    _log.failure("an answer could not be written", failure)
