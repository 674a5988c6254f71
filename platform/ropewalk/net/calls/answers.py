# -*- test-case-name: tests.test_calls -*-
"""
What a peer has asked for and is not yet answered, and the answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from ropewalk.errors import RopewalkError
from ropewalk.wire.jsonrpc import (
    Id,
    Request,
    cancelled_answer,
    error_answer,
    result_answer,
)

__all__ = ["Answer", "Answers", "Overrun", "Running", "answer_of"]

#: One, as a format encodes it.
Answer = dict[str, Any]


@define
class Overrun(RopewalkError):
    """
    A peer asks for more at once than it may, and cannot be made to wait.

    :ivar limit: How many of its requests may run and wait.
    """

    status = 429

    limit: int

    def __str__(self) -> str:
        return (
            f"{self.limit} requests of this connection have not ended; ask again when "
            "some have been answered"
        )


class Running:
    """
    One request that is an operation's.
    """

    __slots__ = ("_answers", "called", "request")

    def __init__(self, request: Request, answers: Answers) -> None:
        self.request = request
        self.called: Deferred[Any] | None = None
        self._answers = answers

    def cancel(self) -> None:
        """Cancel the call."""
        if self.called is not None:
            self.called.cancel()

    def end(self, outcome: Any) -> None:
        """Answer with what has come of it."""
        answer = None
        if self.request.answered:
            answer = answer_of(self.request.id, outcome)
        self._answers.add(answer)


class Answers:
    """
    The answers to one message.

    :param send: Sends them.
    :param missing: How many are still to come, those among them that are none.
    :param batch: Whether they are sent together.
    """

    __slots__ = ("_answers", "_batch", "_missing", "_send")

    def __init__(self, send: Callable[[Any], None], missing: int, batch: bool) -> None:
        self._send = send
        self._missing = missing
        self._batch = batch
        self._answers: list[Answer] = []

    def add(self, answer: Answer | None) -> None:
        """
        Take one.

        :param answer: ``None`` where there is none, as to a notification.
        """
        self._missing -= 1
        if answer is not None:
            self._answers.append(answer)
        if self._missing == 0 and self._answers:
            self._send(self._answers if self._batch else self._answers[0])


def answer_of(number: Id, outcome: Any) -> Answer:
    """
    The answer to a request.

    :param outcome: What was written of its result, or why there is none: a failure
        with a :class:`~ropewalk.errors.RopewalkError`, or a ``CancelledError``.
    """
    if not isinstance(outcome, Failure):
        return result_answer(number, outcome)
    error: Any = outcome.value
    if isinstance(error, CancelledError):
        return cancelled_answer(number)
    return error_answer(number, error)
