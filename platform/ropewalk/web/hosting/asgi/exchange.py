# -*- test-case-name: tests.test_asgi_http -*-
"""
One HTTP request and its answer, as an ASGI application has them.
"""

from __future__ import annotations

import asyncio
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.web.hosting.asgi.answering import Answer
from ropewalk.web.hosting.asgi.errors import NoAnswer, left
from ropewalk.web.problems import Refused

__all__ = ["Exchange"]

_LEFT = {"type": "http.disconnect"}


class Exchange:
    """
    A request and its answer.

    :param app: What the application is called.
    :ivar send: Takes the application's events.
    """

    _log = Logger()
    _piece: bytes | None = None
    _reading = _body_over = _listens = False
    _waiting: tuple[asyncio.Future[None], ...] = ()

    def __init__(self, request: Any, app: str) -> None:
        self._request, self._app = request, app
        answer = self._answer = Answer(request, app, self._wake)
        self.send = answer.send

    async def receive(self) -> dict[str, Any]:
        """The next event: some of the body, or that the client has left."""
        while (event := self._next()) is None:
            await self._wait()
        return event

    def ended(self) -> None:
        """The application has returned."""
        if not self._answer.whole and not self._answer.gone:
            missing = "the end of its answer" if self._answer.begun else "an answer"
            self.failed(NoAnswer(self._app, missing))

    def failed(self, error: BaseException) -> None:
        """The application has raised."""
        whole, gone = self._answer.whole, self._answer.gone
        cancelled = isinstance(error, asyncio.CancelledError)
        if not gone and not whole:
            if cancelled:
                error = Refused(503, "the server is going down")
            self._request.processingFailed(Failure(error))
        elif not cancelled and not (gone and left(error)):
            when = "behind its answer" if whole else "when its client had left"
            failure = Failure(error)
            self._log.failure("{app} failed {when}", failure, app=self._app, when=when)

    def linger(self) -> None:
        """The application has not ended yet: its client may leave."""
        if not (self._answer.whole or self._request.finished):
            self._answer.out  # noqa: B018  # it is told from now on

    # What comes.

    def _next(self) -> dict[str, Any] | None:
        """The next event, if there is one."""
        if self._answer.whole or self._answer.gone:
            return _LEFT.copy()
        if self._body_over:
            return None
        body = None if self._reading else self._request.whole_body
        if body is not None:
            self._body_over = True
            return {"type": "http.request", "body": body, "more_body": False}
        intake = self._request.intake
        piece, self._piece = self._piece, None
        if piece is None and not self._reading:
            piece = intake.take()
        if piece is None:
            self._fetch(intake)
            return None if self._reading else self._next()
        if intake.ended and piece:
            self._piece = intake.take()
        self._body_over = not piece or self._piece == b""
        return {"type": "http.request", "body": piece, "more_body": not self._body_over}

    def _fetch(self, intake: Any) -> None:
        if not self._reading:
            self._reading = True
            intake.read().addCallbacks(self._come, self._come_not)

    def _come(self, piece: bytes) -> None:
        self._reading, self._piece = False, piece
        self._wake()

    def _come_not(self, failure: Failure) -> None:
        # What was wrong has been answered, or there is nobody to answer.
        self._body_over = True
        self._wake()

    # Who waits for it.

    async def _wait(self) -> None:
        if not self._listens:
            self._listens = True
            self._answer.out.left().addCallback(self._wake)
        waiting = asyncio.get_running_loop().create_future()
        self._waiting += (waiting,)
        await waiting

    def _wake(self, _: object = None) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, ()
            for each in waiting:
                if not each.done():
                    each.set_result(None)
