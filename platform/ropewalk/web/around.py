# -*- test-case-name: tests.test_around -*-
"""
Middleware: what happens around a request, before its handler, after it, and when it
fails.

A middleware is a generator function of the request. Its bare ``yield`` is where
everything else happens; it gives the answer, as a
:class:`~ropewalk.web.answers.Response` that may be changed, or raises what went
wrong::

    def timing(request):
        began = perf_counter()
        response = yield
        response.headers["Server-Timing"] = f"all;dur={1000 * (perf_counter() - began)}"

It answers itself by returning something, before the ``yield`` or after it. Any other
``yield`` waits, as under ``@inlineCallbacks``. An asynchronous generator function
does the same with ``await``, and gives another answer by a second ``yield``.

A class has any of the methods ``before(request)``, ``after(request, response)`` and
``on_error(request, error)``, of any flavour. What they return, if they do, is the
answer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Sequence
from contextvars import Context, copy_context
from functools import partial, wraps
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ropewalk.awaiting import awaitable, deferred
from ropewalk.telemetry import work
from ropewalk.web.answers import Response, settle

__all__ = ["Call", "Middleware", "around", "check_middleware", "kept"]

T = TypeVar("T")

#: What answers a request: called with it and the arguments in its path; returns an
#: answer, or what has to be waited for.
Call = Callable[[Any, dict[str, Any]], Any]

#: A generator function of the request, an asynchronous one, or an object with
#: ``before``, ``after`` or ``on_error``.
Middleware = Any

_METHODS = ("before", "after", "on_error")


def around(middleware: Sequence[Middleware], call: Call) -> Call:
    """
    Put middleware around a call: the first is the outermost.

    :raise TypeError: For something that is no middleware.
    """
    for each in reversed(middleware):
        call = _enter(_generator_of(each), call)
    return call


def kept(function: Callable[[Any], T]) -> Callable[[Any], T]:
    """
    Have a callback run in the context of our request: whoever fires a Deferred may be
    about another one.
    """
    # The request's that is being answered, so that each of its steps is in the same.
    own: Context | None = getattr(work.doing(), "context", None)
    if own is None:
        copied: Callable[..., T] = copy_context().run
        return partial(copied, function)

    def run(result: Any) -> T:
        entered: list[bool] = []

        def enter() -> T:
            entered.append(True)
            return function(result)

        try:
            return own.run(enter)
        except RuntimeError:
            if entered:
                raise
            return function(result)  # we are in it already

    return run


def check_middleware(middleware: Middleware) -> None:
    """
    See that something is middleware, while it is known who says so.

    :raise TypeError: When it is not.
    """
    steps = _generator_of(middleware)
    try:
        inspect.signature(steps, follow_wrapped=False).bind(None)
    except TypeError as error:
        name = getattr(middleware, "__qualname__", repr(middleware))
        raise TypeError(
            f"{name} is no middleware: it is called with the request, and {error}"
        ) from None


#: Every kind of middleware becomes this kind.
_Steps = Callable[[Any], Generator[Any, Any, Any]]


def _generator_of(middleware: Middleware) -> _Steps:
    if isinstance(middleware, type):
        name = middleware.__qualname__
        raise TypeError(f"middleware is an object, not a class: write {name}()")
    if any(callable(getattr(middleware, name, None)) for name in _METHODS):
        return _from_object(middleware)
    called = getattr(type(middleware), "__call__", None)  # noqa: B004
    if any(map(inspect.isgeneratorfunction, (middleware, called))):
        steps: _Steps = middleware
        return steps
    if any(map(inspect.isasyncgenfunction, (middleware, called))):
        return _from_asynchronous(middleware)
    raise TypeError(
        f"{middleware!r} is no middleware: that is a generator function of the "
        "request, with a bare `yield` where the rest happens, or an object with "
        "`before`, `after` or `on_error`"
    )


def _from_object(middleware: Middleware) -> _Steps:
    before, after, on_error = (getattr(middleware, name, None) for name in _METHODS)

    @wraps(type(middleware), updated=())
    def steps(request: Any) -> Generator[Any, Any, Any]:
        answer = None
        try:
            if before is not None:
                answer = yield from _called(before, request)
            if answer is None:
                answer = yield
        except Exception as error:
            if on_error is not None:
                answer = yield from _called(on_error, request, error)
            if answer is None:
                raise
        response, other = settle(answer), None
        if after is not None:
            other = yield from _called(after, request, response)
        return response if other is None else other

    return steps


def _from_asynchronous(middleware: Middleware) -> _Steps:
    @wraps(middleware, updated=())
    def steps(request: Any) -> Generator[Any, Any, Any]:
        inside = middleware(request)
        own = None
        try:
            own = yield anext(inside)
            if own is None:
                try:
                    response = yield
                except Exception as error:
                    own = yield inside.athrow(error)
                else:
                    own = yield inside.asend(response)
        except StopAsyncIteration:
            return None  # what was answered before, if anything, is the answer
        yield inside.aclose()
        return own

    return steps


def _called(function: Callable[..., Any], *args: Any) -> Generator[Any, Any, Any]:
    """What a function of any flavour returns."""
    got = function(*args)
    if awaitable(got):
        got = yield got
    return got


def _enter(steps: _Steps, call: Call) -> Call:
    def enter(request: Any, args: dict[str, Any]) -> Any:
        return _Passage(steps, request, args, call).go()

    return enter


class _Passage:
    """
    The way of one request through one middleware. No Deferred is made unless
    something has to be waited for.
    """

    def __init__(
        self, steps: _Steps, request: Any, args: dict[str, Any], call: Call
    ) -> None:
        self._name = getattr(steps, "__qualname__", repr(steps))
        self._steps = steps(request)
        self._inside: Callable[[], Any] | None = lambda: call(request, args)
        self._answer: Response | None = None

    def go(self, given: Any = None, error: BaseException | None = None) -> Any:
        """Go on until the end, or until something has to be waited for."""
        while True:
            try:
                asked = self._step(given, error)
            except StopIteration as end:
                return self._end(end.value)
            given, error, resting = None, None, asked is None
            try:
                got = self._rest() if resting else asked
                if awaitable(got):
                    return self._wait(deferred(got), resting)
                given = self._take(got) if resting else got
            except Exception as raised:
                error = raised

    def _step(self, given: Any, error: BaseException | None) -> Any:
        return self._steps.send(given) if error is None else self._steps.throw(error)

    def _rest(self) -> Any:
        """What is inside: the bare yield asks for it, once."""
        inside, self._inside = self._inside, None
        if inside is None:
            raise RuntimeError(f"the middleware {self._name} yields nothing twice")
        return inside()

    def _take(self, answer: Any) -> Response:
        self._answer = settle(answer)
        return self._answer

    def _wait(self, waiting: Deferred[Any], resting: bool) -> Deferred[Any]:
        def arrive(got: Any) -> Any:
            return self.go(self._take(got) if resting else got)

        def fail(failure: Failure) -> Any:
            return self.go(None, failure.value)

        return waiting.addCallbacks(kept(arrive), kept(fail))

    def _end(self, own: Any) -> Any:
        if own is not None:
            return own
        if self._answer is None:
            raise RuntimeError(
                f"the middleware {self._name} ended without an answer: it neither "
                "yields for one nor returns one"
            )
        return self._answer
