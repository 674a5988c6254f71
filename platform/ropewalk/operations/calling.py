# -*- test-case-name: tests.test_operations -*-
"""
One call of an operation, from beginning to end.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.awaiting import awaitable, deferred, inlineCallbacks, within
from ropewalk.errors import Forbidden, RopewalkError, TimedOut, TooMany
from ropewalk.interfaces import Caller, IAuthoriser, Steps
from ropewalk.operations.declaring import Declaration
from ropewalk.operations.describing import Offered
from ropewalk.operations.figures import Count, outcome_of
from ropewalk.operations.limits import Limit
from ropewalk.operations.parameters import Arguments, Parameters, Progress
from ropewalk.operations.peers import Free
from ropewalk.telemetry import Doing, Work, work

__all__ = ["Called", "Invocation", "Registered", "Terms"]

_log = Logger()


class Called(Struct, frozen=True):
    """
    A call that has ended.

    :ivar operation: The operation's name.
    :ivar caller: Who has called.
    :ivar outcome: How it ended: one of :data:`ropewalk.operations.figures.OUTCOMES`.
    :ivar took: Seconds.
    """

    operation: str
    caller: Caller
    outcome: str
    took: float


class Registered(Struct, eq=False):
    """
    An operation that is offered.

    :ivar plugin: The service that offers it.
    :ivar limit: Counts calls against its rate; ``None`` if it has none.
    """

    name: str
    plugin: str | None
    method: Callable[..., Any]
    declared: Declaration
    parameters: Parameters | Free
    offered: Offered
    limit: Limit | None
    count: Count


class Terms(Struct, eq=False):
    """
    On what terms operations are called.

    :ivar clock: Where time comes from.
    :ivar authoriser: Says who may do what; without one, nobody may do what requires
        something.
    :ivar observe: Told of each call that has ended.
    """

    clock: IReactorTime
    authoriser: IAuthoriser | None = None
    observe: Callable[[Called], None] | None = None


class Invocation:
    """
    One call. It is done in the name of the service that offers the operation.
    """

    __slots__ = (
        "_began",
        "_caller",
        "_listener",
        "_operation",
        "_outer",
        "_terms",
        "_write",
    )

    def __init__(
        self,
        operation: Registered,
        caller: Caller,
        listener: Progress | None,
        terms: Terms,
        write: Callable[[Any], Any] | None = None,
    ) -> None:
        self._operation = operation
        self._caller = caller
        self._listener = listener
        self._terms = terms
        self._write = write
        self._began = terms.clock.seconds()
        self._outer: Work | Doing = work.doing()

    @property
    def work(self) -> Work:
        """In whose name it is done."""
        outer = self._outer
        if not isinstance(outer, Work):
            outer = outer.work
        return Work(
            self._operation.plugin or outer.plugin,
            self._caller.connection or outer.connection,
            outer.request,
        )

    def run(self, arguments: Arguments, timeout: float | None) -> Deferred[Any]:
        """
        Do it.

        :param timeout: Seconds it may take; ``None`` for as long as it likes.
        """
        self._operation.count.running += 1
        token = work.set(self)
        try:
            try:
                result = self._begin(arguments)
                if awaitable(result):
                    return self._wait(deferred(result), timeout)
                if self._write is not None:
                    result = self._write(result)
            except Exception:
                return fail(self._end(self._explain(Failure())))
            self._end(None)
            return succeed(result)
        finally:
            work.reset(token)

    def _begin(self, arguments: Arguments) -> Any:
        operation = self._operation
        if operation.limit is not None:
            missing = operation.limit.take(self._caller, self._began)
            if missing:
                raise TooMany(operation.name, missing)
        requirement = operation.declared.requires
        if requirement is None:
            return self._invoke(arguments)
        permitted = self._ask(requirement)
        if awaitable(permitted):
            return self._begin_if(permitted, arguments)
        if not permitted:
            raise Forbidden(f"call {operation.name!r}", requirement)
        return self._invoke(arguments)

    def _ask(self, requirement: str) -> Any:
        authoriser = self._terms.authoriser
        if authoriser is None:
            return False
        return authoriser.permits(self._caller, requirement, self._operation.name)

    @inlineCallbacks
    def _begin_if(self, asked: Any, arguments: Arguments) -> Steps[Any]:
        permitted: bool = yield asked
        if not permitted:
            requirement = self._operation.declared.requires or ""
            raise Forbidden(f"call {self._operation.name!r}", requirement)
        result = self._invoke(arguments)
        if awaitable(result):
            result = yield result
        return result

    def _invoke(self, arguments: Arguments) -> Any:
        operation = self._operation
        value: Any = operation.parameters.read(arguments)
        return operation.parameters.call(
            operation.method, value, self._caller, self._tell
        )

    def _tell(self, value: Any) -> None:
        """Hand on a progressive result."""
        if self._listener is not None:
            self._listener(value)

    def _wait(self, waited: Deferred[Any], timeout: float | None) -> Deferred[Any]:
        context = copy_context()
        if self._write is not None:
            waited.addCallback(self._write)
        waited.addErrback(lambda failure: context.run(self._explain, failure))
        if timeout is not None and (not waited.called or waited.paused):
            waited = within(timeout, waited, self._terms.clock)
            waited.addErrback(self._late, timeout)
        return waited.addBoth(lambda result: context.run(self._end, result))

    def _late(self, failure: Failure, timeout: float) -> Failure:
        # An error of the work's own has been explained before.
        if isinstance(failure.value, RopewalkError | CancelledError):
            return failure
        return Failure(TimedOut(self._operation.name, timeout))

    def _explain(self, failure: Failure) -> Failure:
        """What the caller is told: nothing of what is our own fault."""
        error = failure.value
        if isinstance(error, CancelledError) or (
            isinstance(error, RopewalkError) and error.status != 500
        ):
            return failure
        name = self._operation.name
        _log.failure("the operation {operation} failed", failure, operation=name)
        return Failure(RopewalkError("something went wrong here; it is in our log"))

    def _end(self, result: Any) -> Any:
        """Count it."""
        self._listener = None
        error: Any = result.value if isinstance(result, Failure) else None
        outcome = "ok" if error is None else outcome_of(error)
        took = self._terms.clock.seconds() - self._began
        name = self._operation.name
        self._operation.count.ended(outcome, took)
        if self._terms.observe is not None:
            self._terms.observe(Called(name, self._caller, outcome, took))
        return result
