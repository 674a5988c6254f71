# -*- test-case-name: tests.test_asgi_lifespan -*-
"""
The life of an ASGI application: it is told when it starts and when it is to stop
(lifespan 2.0).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Literal

from twisted.internet.defer import Deferred, TimeoutError
from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.awaiting import inlineCallbacks, run, within
from ropewalk.interfaces import Steps
from ropewalk.web.hosting.asgi.errors import BadEvent, LifespanFailed

__all__ = ["MODES", "Lifespan", "Mode"]

#: Whether an application has a lifespan: ``"auto"`` for who does not raise when told.
Mode = Literal["auto", "on", "off"]
MODES = ("auto", "on", "off")

_STARTUP, _RUNNING, _SHUTDOWN, _OVER = "startup", "running", "shutdown", "end"


class Lifespan:
    """
    The life of one application.

    :param app: The application, called as ASGI 3 has it.
    :param name: What it is called.
    :param clock: Where time comes from.
    :param patience: Seconds that its start may take, and its end.
    :ivar state: What it puts there is in the scope of each request.
    """

    _log = Logger()

    def __init__(
        self,
        app: Callable[..., Any],
        name: str,
        mode: Mode,
        clock: Any,
        patience: float,
    ) -> None:
        self._app, self._name, self._mode = app, name, mode
        self._clock, self._patience = clock, patience
        self.state: dict[str, Any] = {}
        self._events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._said: Deferred[None] | None = None
        self._task: Deferred[Any] | None = None
        self._stage = _OVER

    @inlineCallbacks
    def start(self, scope: Mapping[str, Any]) -> Steps[None]:
        """
        Have it start.

        :param scope: What it is told beside its state.
        :return: fires when it has; at once when it has no lifespan.
        :raise LifespanFailed: When it has not.
        """
        if self._mode == "off":
            return
        said = self._said = Deferred()
        self._events.put_nowait({"type": "lifespan.startup"})
        whole = {"type": "lifespan", "state": self.state, **scope}
        self._stage = _STARTUP
        self._task = run(self._app, whole, self._events.get, self._send)
        self._task.addBoth(self._end)
        try:
            yield within(self._patience, said, self._clock)
        except TimeoutError:
            self._cancel()
            problem = f"still starting after {self._patience:g} seconds"
            raise LifespanFailed(self._name, problem) from None
        except LifespanFailed:
            self._cancel()
            raise

    @inlineCallbacks
    def stop(self) -> Steps[None]:
        """
        Have it stop, if it has started.

        :return: fires when it has, or its time is over.
        :raise LifespanFailed: When it says that it could not.
        """
        if self._stage != _RUNNING:
            return
        self._stage = _SHUTDOWN
        said = self._said = Deferred()
        self._events.put_nowait({"type": "lifespan.shutdown"})
        try:
            yield within(self._patience, said, self._clock)
        except TimeoutError:
            self._log.error(
                "{app} did not stop within {seconds:g} seconds: it is cancelled",
                app=self._name,
                seconds=self._patience,
            )
        self._cancel()

    async def _send(self, event: Mapping[str, Any]) -> None:
        kind, stage = str(event.get("type")), self._stage
        if stage == _RUNNING and kind.startswith("lifespan.shutdown."):
            self._stop_early(event.get("message"))
            return
        if self._said is None or not kind.startswith(f"lifespan.{stage}."):
            raise BadEvent(self._name, kind, f"it is in its {stage}")
        said, self._said = self._said, None
        if kind == f"lifespan.{stage}.complete":
            self._stage = _RUNNING if stage == _STARTUP else _OVER
            said.callback(None)
        else:
            self._stage = _OVER
            problem = str(event.get("message") or "it does not say why").strip()
            said.errback(self._failed(stage, problem))

    def _stop_early(self, message: Any) -> None:
        """It stops though nobody has told it to."""
        self._stage = _OVER
        self._log.error(
            "{app} has stopped by itself: {why}",
            app=self._name,
            why=str(message or "it does not say why").strip(),
        )

    def _end(self, outcome: Any) -> None:
        """Its task is at its end."""
        failure = outcome if isinstance(outcome, Failure) else None
        stage, self._stage = self._stage, _OVER
        said, self._said = self._said, None
        if said is None:
            if stage == _RUNNING and failure is not None:
                self._log.failure(
                    "the lifespan of {app} failed", failure, app=self._name
                )
            return
        why = "it returned" if failure is None else _why(failure)
        if failure is None and stage == _SHUTDOWN:
            said.callback(None)
        elif stage == _SHUTDOWN or self._mode == "on":
            said.errback(self._failed(stage, why))
        else:
            self._log.info(
                "{app} has no lifespan, it seems: {why}", app=self._name, why=why
            )
            said.callback(None)

    def _failed(self, stage: str, why: str) -> LifespanFailed:
        verb = "start" if stage == _STARTUP else "stop"
        return LifespanFailed(self._name, f"did not {verb}: {why}")

    def _cancel(self) -> None:
        self._stage, self._said = _OVER, None
        if self._task is not None and not self._task.called:
            self._task.cancel()


def _why(failure: Failure) -> str:
    return f"{type(failure.value).__name__}: {failure.value}"
