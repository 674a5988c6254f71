"""
A site with one handler, for tests of what comes of what a handler returns.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import isfunction
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ropewalk.schema import Shape
from ropewalk.web.answers import conclude, deliver, settle
from tests.visiting import Answer, Place


class Answers(Resource):
    """
    Answers every request with what a handler returns.

    :ivar handler: The handler.
    :ivar failures: How deliveries failed.
    :ivar more: What else a delivery is told.
    :ivar delivered: The last delivery that was not done at once.
    """

    isLeaf = True
    delivered: Deferred[Any]

    def __init__(
        self, clock: IReactorTime, handler: Callable[[Any], Any] | None = None
    ) -> None:
        super().__init__()
        self.clock = clock
        self.handler: Callable[[Any], Any] = handler or (lambda _: None)
        self.failures: list[Failure] = []
        self.more: dict[str, Any] = {}

    def render(self, request: Any) -> Any:
        if request.postpath == [b""]:
            request.postpath = []
        value = self.handler(request)
        return (
            NOT_DONE_YET if isinstance(value, Deferred) else self.answer(request, value)
        )

    def answer(self, request: Any, value: Any) -> Any:
        rest = deliver(request, settle(value, request), clock=self.clock, **self.more)
        if not isinstance(rest, Deferred):
            return rest
        self.delivered = rest
        rest.addCallback(lambda rest: conclude(request, rest))
        rest.addErrback(self.fail, request)
        return NOT_DONE_YET

    def fail(self, failure: Failure, request: Any) -> None:
        self.failures.append(failure)
        request.processingFailed(failure)


class Point(Shape):
    """A value."""

    x: int
    y: int


def always(value: Any) -> Callable[[Any], Any]:
    """A handler."""
    return lambda _: value


class AnswersTestCase(SynchronousTestCase):
    """
    A site with one handler.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.answers = Answers(self.place.clock)
        self.place.mount("/", self.answers)

    def ask(
        self, value: Any, *headers: str, method: str = "GET", path: str = "/"
    ) -> Answer:
        """The answer that comes of what a handler returned."""
        self.answers.handler = value if isfunction(value) else always(value)
        visit = self.place.visit()
        answer = visit.ask(path, method, *headers)
        self.assertTrue(answer.whole)
        self.assertFalse(visit.closed)
        return answer
