# -*- test-case-name: tests.test_serving -*-
"""
What a call is wrapped in on its way to a handler and back: error handlers, a time-out,
a shape, a stream. Each makes one call of another, and no Deferred where nothing has to
be waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import TimeoutError
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from werkzeug.exceptions import HTTPException

from ropewalk.awaiting import awaitable, deferred, within
from ropewalk.errors import Invalid, RopewalkError
from ropewalk.schema import read, to_plain
from ropewalk.schema.trimming import trim
from ropewalk.web.answers import Response, Stream, settle
from ropewalk.web.around import Call, kept
from ropewalk.web.problems import Refused, is_told, respond
from ropewalk.web.refusals import refuse
from ropewalk.web.routes import Timeout

if TYPE_CHECKING:
    from ropewalk.web.serving import Area

__all__ = [
    "TookTooLong",
    "bared",
    "clock_of",
    "guarded",
    "patient",
    "shaped",
    "streamed",
    "told",
    "translating",
    "upgraded",
]


class TookTooLong(RopewalkError):
    """
    A handler took longer than its route lets it.

    :ivar status: 503, or 504 when the route says so.
    """

    def __init__(self, timeout: Timeout) -> None:
        super().__init__(timeout)
        self.status = timeout.status

    def __str__(self) -> str:
        return "this took too long; try again later"


def guarded(call: Call, area: Area) -> Call:
    """Let an application's error handlers answer when a call fails."""

    def guard(request: Any, args: dict[str, Any]) -> Any:
        try:
            answer = call(request, args)
        except Exception:
            return area.recover(request, Failure())
        if isinstance(answer, Failure):
            return area.recover(request, answer)
        if awaitable(answer):
            waiting = deferred(answer)
            return waiting.addErrback(kept(partial(area.recover, request)))
        return answer

    return guard


def told(call: Call) -> Call:
    """
    Answer what was raised on purpose, so that who is around it sees an answer; what
    was not is left to be reported.
    """

    def tell(request: Any, failure: Failure) -> Response | Failure:
        error: Any = failure.value
        planned = isinstance(error, HTTPException) or is_told(error)
        if request.startedWriting or not planned:
            return failure
        request.forget_answer()
        if isinstance(error, HTTPException):
            body = refuse(request, error)
        else:
            body = respond(request, error, request.work.request)
        return Response(body, request.code)

    def listen(request: Any, args: dict[str, Any]) -> Any:
        try:
            answer = call(request, args)
        except Exception:
            answer = tell(request, Failure())
            if isinstance(answer, Failure):
                answer.raiseException()
        if awaitable(answer):
            return deferred(answer).addErrback(kept(partial(tell, request)))
        return answer

    return listen


def bared(call: Call) -> Call:
    """
    Let a handler be called without what is around it; what that has to see is shown
    to it afterwards.

    :return: has ``call`` as its attribute ``bare``. To a request that has ``outcome``,
        it gives what comes of that in place of calling.
    """

    def again(request: Any, args: dict[str, Any]) -> Any:
        outcome = getattr(request, "outcome", None)
        if outcome is None:
            return call(request, args)
        request.outcome = None
        return outcome()

    again.bare = call  # type: ignore[attr-defined]
    return again


def patient(call: Call, timeout: Timeout) -> Call:
    """Wait for a handler, but not for ever: then it is cancelled."""

    def limited(request: Any, args: dict[str, Any]) -> Any:
        answer = call(request, args)
        if not awaitable(answer):
            return answer
        own: list[BaseException | None] = []

        def note(failure: Failure) -> Failure:
            own.append(failure.value)
            return failure

        def translate(failure: Failure) -> Failure:
            if failure.check(TimeoutError) and failure.value not in own:
                return Failure(TookTooLong(timeout))
            return failure

        handler = deferred(answer).addErrback(note)
        waiting = within(timeout.seconds, handler, clock_of(request))
        return waiting.addErrback(translate)

    return limited


def shaped(call: Call, shape: Any) -> Call:
    """Have what a handler returns in the shape that its ``@output`` says."""

    def convert(answer: Any) -> Response:
        response = settle(answer)
        body = response.body
        if not isinstance(body, (bytes, str)):
            try:
                response.body = read(shape, trim(shape, to_plain(body)))
            except Invalid as error:
                problem = f"a handler returned what its @output does not allow: {error}"
                raise ValueError(problem) from error
        return response

    return _then(call, convert)


def translating(
    function: Callable[..., Any], known: tuple[tuple[type[Exception], int | None], ...]
) -> Callable[..., Any]:
    """
    Give the errors of a handler the status that its ``@errors`` says; not those of
    what it was asked with.
    """

    def translate(failure: Failure) -> Failure:
        for kind, status in known:
            if status is not None and failure.check(kind):
                error = Refused(status, str(failure.value))
                error.__cause__ = failure.value
                return Failure(error)
        return failure

    @wraps(function)
    def listen(*args: Any, **kwargs: Any) -> Any:
        try:
            answer = function(*args, **kwargs)
        except Exception:
            translate(Failure()).raiseException()
        if awaitable(answer):
            return deferred(answer).addErrback(translate)
        return answer

    return listen


def streamed(call: Call) -> Call:
    """Send what a handler yields as it comes."""

    def wrap(answer: Any) -> Response:
        response = settle(answer)
        if not isinstance(response.body, (Stream, bytes, str)):
            response.body = Stream(response.body)
        return response

    return _then(call, wrap)


def upgraded(call: Call, take_over: Callable[[Any, Any], Any]) -> Call:
    """
    Let the protocol that a function makes take the connection over.

    :param take_over: Called with the request and the protocol; returns what
        ``render`` of a resource does.
    """

    def listen(request: Any, args: dict[str, Any]) -> Any:
        def hand_over(protocol: Any) -> Any:
            return _Taking(lambda: take_over(request, protocol))

        return _then(call, hand_over)(request, args)

    return listen


class _Taking(Resource):
    """A resource that renders by a call."""

    isLeaf = True

    def __init__(self, render: Callable[[], Any]) -> None:
        super().__init__()
        self._render = render

    def render(self, request: Any) -> Any:
        return self._render()


def _then(call: Call, follow: Callable[[Any], Any]) -> Call:
    """Do something with an answer, when it is there."""

    def both(request: Any, args: dict[str, Any]) -> Any:
        answer = call(request, args)
        if awaitable(answer):
            return deferred(answer).addCallback(kept(follow))
        return follow(answer)

    return both


def clock_of(request: Any) -> Any:
    """
    The clock of the request's site; of one that is not ours, its reactor. ``None`` if
    it has none: only streams and time-outs need one.
    """
    site = getattr(request, "site", None)
    return getattr(site, "clock", None) or getattr(site, "reactor", None)
