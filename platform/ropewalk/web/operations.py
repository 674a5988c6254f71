# -*- test-case-name: tests.test_operations_web -*-
"""
Operations over HTTP: ``POST /operations/chat.say`` with a JSON object of the
parameters calls one, ``GET /operations`` lists them.

Who accepts ``application/x-ndjson`` gets lines: each progressive result as
``{"progress": …}``, and in the end ``{"result": …}`` or ``{"error": …}``, which is a
problem. Others get the result, and of progress nothing.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from msgspec.structs import fields
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import (
    Forbidden,
    Invalid,
    RopewalkError,
    TimedOut,
    TooMany,
)
from ropewalk.interfaces import Steps
from ropewalk.operations import Offered, Operations, Progress
from ropewalk.schema import write_json
from ropewalk.web.accept import preferred
from ropewalk.web.answers import Stream
from ropewalk.web.asking import JSON, caller_of, in_body, json_of
from ropewalk.web.binding import Binding, Parameter
from ropewalk.web.parameters import ELSEWHERE
from ropewalk.web.problems import problem_of, respond
from ropewalk.web.repeats import KEY, Repeats, StillRunning
from ropewalk.web.routes import Routes

__all__ = ["LINES", "OperationPages"]

#: What progressive results are sent as.
LINES = "application/x-ndjson"

#: Progressive results that wait for a client which reads slowly.
_MOST_LINES = 1000


#: What a handler takes that looks like the operation otherwise.
_TAKES_REQUEST = inspect.Signature(
    [
        inspect.Parameter(
            "request", inspect.Parameter.POSITIONAL_ONLY, annotation=IRequest
        )
    ]
)


class OperationPages:
    """
    The operations of a daemon, for a web site.

    :param operations: What can be called. Those that are offered later can be called
        as well; they are not documented.
    """

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._repeats = Repeats()

    def routes(self) -> Routes:
        """What is to be mounted."""
        routes = Routes()
        own: dict[str, Any] = {"owner": None, "documented": False}
        index, others = self._index(), self._others()
        routes.route("/", methods=["GET"], **own)(index)
        for offered in self._operations.offered():
            routes.route(
                f"/{offered.name}",
                methods=["POST"],
                owner=None,
                name=offered.name,
                told=_told(offered),
            )(self._handler(offered))
        routes.route("/<name>", methods=["POST"], **own)(others)
        return routes

    def _index(self) -> Callable[..., Any]:
        def list_operations(request: Any) -> dict[str, Any]:
            offered = self._operations.offered()
            return {"operations": [each.plain() for each in offered]}

        return list_operations

    def _others(self) -> Callable[..., Any]:
        def call_operation(request: Any, name: str) -> Any:
            return self._call(request, name)

        return call_operation

    def _handler(self, offered: Offered) -> Callable[..., Any]:
        """What answers for one operation, and is documented as what it is."""

        def call(request: Any) -> Any:
            return self._call(request, offered.name)

        handler: Any = call
        handler.__signature__ = _TAKES_REQUEST
        handler.__ropewalk_handler__ = offered.function
        return call

    def _call(self, request: Any, name: str) -> Any:
        arguments = json_of(request, dict[str, Any], empty={})
        if preferred(request, JSON, LINES) == LINES:
            return self._call_for_lines(request, name, arguments)
        called = self._begin(request, name, arguments)
        return called.addCallbacks(
            lambda written: _answer(written, request),
            lambda failure: _refuse(_error_of(failure), request),
        )

    @inlineCallbacks
    def _call_for_lines(
        self, request: Any, name: str, arguments: Mapping[str, Any]
    ) -> Steps[Any]:
        lines = _Lines()
        lines.follow(self._begin(request, name, arguments, lines.tell))
        first: bytes | BaseException = yield lines.take()
        if isinstance(first, BaseException):
            # Nothing was told before, so that the status can still be an error's.
            return _refuse(first, request)
        return Stream(lines.all(first, request), LINES)

    def _begin(
        self,
        request: Any,
        name: str,
        arguments: Mapping[str, Any],
        progress: Progress | None = None,
    ) -> Deferred[bytes]:
        """Call it, unless the request is one that was answered before."""
        caller = caller_of(request)

        def call() -> Deferred[bytes]:
            return self._operations.call(
                name, arguments, caller, progress=progress, write=write_json
            )

        return self._repeats.once(request, caller, call)


class _Lines:
    """
    The lines that a client is sent for one call. When too many wait for one that reads
    slowly, the oldest are dropped; but never the last, which is the result.
    """

    def __init__(self) -> None:
        self._waiting: deque[bytes | BaseException] = deque(maxlen=_MOST_LINES)
        self._taker: Deferred[bytes | BaseException] | None = None
        self._called: Deferred[Any] | None = None

    def tell(self, value: Any) -> None:
        """Add a progressive result."""
        self._add(b'{"progress":%b}\n' % write_json(value))

    def follow(self, called: Deferred[bytes]) -> None:
        """Have what comes of a call for the last line."""
        self._called = called
        called.addCallbacks(lambda result: b'{"result":%b}\n' % result, _error_of)
        called.addCallback(self._end)

    def take(self) -> Deferred[bytes | BaseException]:
        """
        The next line; an error for the end of a call that failed.

        :return: cancelling it cancels the call.
        """
        if self._waiting:
            return succeed(self._waiting.popleft())
        self._taker = Deferred(self._give_up)
        return self._taker

    async def all(self, first: bytes, request: Any) -> AsyncIterator[bytes]:
        """All lines; who does not take them to the end cancels the call."""
        try:
            yield first
            while self._waiting or self._called is not None:
                line = await self.take()
                if isinstance(line, BaseException):
                    problem = problem_of(line, request.work.request)
                    line = b'{"error":%b}\n' % write_json(problem)
                yield line
        finally:
            self._cancel()

    def _add(self, line: bytes | BaseException) -> None:
        taker, self._taker = self._taker, None
        if taker is None:
            self._waiting.append(line)
        else:
            taker.callback(line)

    def _end(self, outcome: bytes | BaseException) -> None:
        self._called = None
        self._add(outcome)

    def _give_up(self, _: object) -> None:
        self._taker = None
        self._cancel()

    def _cancel(self) -> None:
        if self._called is not None:
            self._called.cancel()


def _answer(written: bytes, request: Any) -> bytes:
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"vary", b"accept")
    return written


def _refuse(error: BaseException, request: Any) -> bytes:
    """
    Answer for what is our fault; it is in the log already, by the operation's name.

    :raise BaseException: Anything else: whoever serves the request answers for that.
    """
    if isinstance(error, Invalid):
        raise in_body(error)
    if isinstance(error, RopewalkError) and error.status == 500:
        return respond(request, error, request.work.request)
    raise error


def _error_of(failure: Failure) -> BaseException:
    error: BaseException | None = failure.value
    assert error is not None
    return error


# What is documented.


def _told(offered: Offered) -> dict[str, Any]:
    """What the documentation says of an operation's handler."""
    needed = offered.shape is not None and any(
        each.required for each in fields(offered.shape)
    )
    body = Parameter(
        "parameters",
        "body",
        "parameters",
        offered.shape,
        required=False,
        default=ELSEWHERE if needed else None,
        whole=True,
    )
    errors: list[tuple[type[Exception], None]] = [(StillRunning, None)]
    if offered.requires is not None:
        errors.append((Forbidden, None))
    if offered.rate is not None:
        errors.append((TooMany, None))
    if offered.timeout is not None:
        errors.append((TimedOut, None))
    return {
        "binding": Binding(False, (body, KEY), offered.kind, (), _nothing),
        "name": offered.name,
        "tag": offered.service,
        "summary": offered.summary,
        "errors": tuple(errors),
        "json_only": True,
        "progressive": offered.progressive,
    }


def _nothing(*args: Any) -> None:
    """What a binding calls that is only read."""
