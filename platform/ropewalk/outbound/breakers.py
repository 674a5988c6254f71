# -*- test-case-name: tests.test_outbound -*-
"""
A circuit breaker: who fails again and again is left alone for a while, and then asked
once whether they are well again.

Three states:

.. code-block:: text

    closed ── threshold failures in a row ──▶ open
    open ── seconds have passed ──▶ half-open
    half-open ── the one trial succeeds ──▶ closed
    half-open ── the one trial fails ──▶ open

While it is open, and while a trial is under way, everybody else is refused at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from attrs import define, field
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ropewalk.awaiting import inlineCallbacks, run
from ropewalk.errors import BreakerOpen
from ropewalk.interfaces import Steps

__all__ = ["Breaker", "State"]

State = Literal["closed", "open", "half-open"]


@define(eq=False)
class Breaker:
    """
    Watches over the calls to one other.

    :param name: What is called, for people: ``"the warehouse"``.
    :param clock: Where time comes from.
    :param threshold: How many failures in a row open it, 1 or more.
    :param seconds: How long it stays open, more than 0.
    :param on: The errors that count as failures. With any other, the other has
        answered: that is as good as a success. To be cancelled says nothing.
    :raise ValueError: When one is out of its range.
    """

    name: str
    _clock: IReactorTime
    threshold: int = field(default=5, kw_only=True)
    seconds: float = field(default=30.0, kw_only=True)
    on: tuple[type[Exception], ...] = field(default=(Exception,), kw_only=True)
    _failures: int = field(default=0, init=False)
    _opened_at: float | None = field(default=None, init=False)
    _trying: bool = field(default=False, init=False)
    # Counts changes of state. What was begun before one says nothing of what is after.
    _era: int = field(default=0, init=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        if self.threshold < 1 or self.seconds <= 0:
            raise ValueError("threshold is 1 or more, and seconds are more than 0")

    @property
    def state(self) -> State:
        """Whether calls are let through."""
        if self._opened_at is None:
            return "closed"
        return "open" if self._left() > 0 else "half-open"

    def problem(self) -> str | None:
        """
        Why calls are not let through, or ``None``: a check for ``host.health.add``.
        """
        if self.state == "closed":
            return None
        return f"{self.name} has failed {self._failures} times in a row"

    @inlineCallbacks
    def call(self, function: Callable[..., Any], *args: Any) -> Steps[Any]:
        """
        Call a function of any kind, if calls are let through.

        :return: fires with what it returned, or fails with its error.
        :raise BreakerOpen: When it was not called.
        """
        era, trial = self._enter()
        try:
            result = yield run(function, *args)
        except CancelledError:
            raise
        except self.on:
            self._failed(era)
            raise
        except Exception:
            self._succeeded(era)
            raise
        else:
            self._succeeded(era)
            return result
        finally:
            if trial and era == self._era:
                self._trying = False  # it was cancelled: somebody else may try

    def _left(self) -> float:
        """Seconds until there may be a trial."""
        if self._opened_at is None:
            return 0.0
        return self._opened_at + self.seconds - self._clock.seconds()

    def _enter(self) -> tuple[int, bool]:
        """
        Let a call through.

        :return: what tells its outcome from those of another time, and whether it is a
            trial.
        """
        state = self.state
        if state == "open" or self._trying:
            raise BreakerOpen(self.name, max(0.0, self._left()))
        self._trying = state == "half-open"
        return self._era, self._trying

    def _succeeded(self, era: int) -> None:
        if era != self._era:
            return
        self._failures = 0
        if self._opened_at is not None:
            self._opened_at = None
            self._turn()
            self._log.info("{name} answers again", name=self.name)

    def _failed(self, era: int) -> None:
        if era != self._era:
            return
        self._failures += 1
        if self._trying or self._failures >= self.threshold:
            self._opened_at = self._clock.seconds()
            self._turn()
            self._log.warn(
                "{name} has failed {failures} times in a row; it is left alone for "
                "{seconds:g} seconds",
                name=self.name,
                failures=self._failures,
                seconds=self.seconds,
            )

    def _turn(self) -> None:
        self._era += 1
        self._trying = False
