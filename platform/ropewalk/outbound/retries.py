# -*- test-case-name: tests.test_outbound -*-
"""
What fails is tried again: how often, how soon, and after which errors.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ropewalk.awaiting import inlineCallbacks, run, within
from ropewalk.errors import BreakerOpen, RopewalkError, TimedOut
from ropewalk.interfaces import Steps
from ropewalk.outbound.breakers import Breaker

__all__ = ["Retries", "asked_to_wait", "call"]

T = TypeVar("T")


class Retries(Struct, frozen=True, kw_only=True):
    """
    How something is tried again.

    :ivar times: How many times, 0 or more; the first try is not among them.
    :ivar first: Seconds of the first pause, 0 or more.
    :ivar growth: How many times as long as the pause before each pause is, 1 or more.
    :ivar longest: Seconds that a pause may take at most, 0 or more.
    :ivar jitter: Which part of each pause is left to chance, 0 to 1, so that not all
        that have failed together come again together: with 0.5, a pause takes from
        half of its time to all of it.
    :ivar on: After which errors. To be cancelled is never among them, nor is a breaker
        that is open.
    :raise ValueError: When one is out of its range.
    """

    times: int = 3
    first: float = 0.5
    growth: float = 2.0
    longest: float = 60.0
    jitter: float = 0.5
    on: tuple[type[Exception], ...] = (Exception,)

    def __post_init__(self) -> None:
        if self.times < 0 or self.first < 0 or self.longest < 0:
            raise ValueError("times, first and longest are 0 or more")
        if self.growth < 1:
            raise ValueError(f"growth is 1 or more, not {self.growth!r}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is from 0 to 1, not {self.jitter!r}")

    def pauses(self, chance: Callable[[], float] = random.random) -> Iterator[float]:
        """
        The pauses before each further try, in seconds: as many as there are tries.

        :param chance: Gives numbers from 0 up to 1.
        """
        pause = min(self.first, self.longest)
        for _ in range(self.times):
            yield pause * (1 - self.jitter * chance())
            pause = min(pause * self.growth, self.longest)

    def again(self, error: Exception) -> bool:
        """Whether to try again after an error."""
        never = isinstance(error, CancelledError | BreakerOpen)
        return isinstance(error, self.on) and not never


_ONCE = Retries(times=0)


@inlineCallbacks
def call(
    function: Callable[..., Any],
    *args: Any,
    clock: IReactorTime,
    retries: Retries = _ONCE,
    breaker: Breaker | None = None,
    seconds: float | None = None,
    chance: Callable[[], float] = random.random,
) -> Steps[Any]:
    """
    Call a function of any kind, and again if it fails.

    An error that says when to come again, with a ``Retry-After`` among its headers, is
    taken at its word, unless that is longer than ``retries.longest``: then it is
    raised. Cancelling cancels the try that is under way, or ends the pause, and there
    is no other try.

    :param function: It may be plain, or return anything that can be awaited.
    :param clock: Where time comes from.
    :param retries: How it is tried again; not at all, unless that is said.
    :param breaker: Each try goes through it. While it is open there is none.
    :param seconds: How long each try may take; ``None`` for as long as it takes.
    :param chance: As for :meth:`Retries.pauses`.
    :return: fires with what the function returned; fails as the last try does.
    :raise BreakerOpen: When the breaker lets nobody through.
    :raise TimedOut: When the last try took too long.
    """
    pauses = retries.pauses(chance)
    while True:
        try:
            return (yield _try(function, args, clock, breaker, seconds))
        except Exception as error:
            pause = next(pauses, None)
            if pause is None or not retries.again(error):
                raise
            asked = asked_to_wait(error)
            if asked > retries.longest:
                raise
        yield deferLater(clock, max(pause, asked))


def asked_to_wait(error: Exception) -> float:
    """
    The seconds after which an error says that one may come again, 0 or more.
    """
    if not isinstance(error, RopewalkError):
        return 0.0
    told = error.headers.get("Retry-After", "")
    # The errors of ours say seconds, never a date.
    return float(told) if told.isascii() and told.isdigit() else 0.0


def _try(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    clock: IReactorTime,
    breaker: Breaker | None,
    seconds: float | None,
) -> Deferred[Any]:
    def once() -> Deferred[Any]:
        called: Deferred[Any] = run(function, *args)
        if seconds is None:
            return called
        return _timely(function, called, clock, seconds)

    return once() if breaker is None else breaker.call(once)


@inlineCallbacks
def _timely(
    function: Callable[..., Any],
    called: Deferred[T],
    clock: IReactorTime,
    seconds: float,
) -> Steps[T]:
    """Wait for it, and say what took too long."""
    try:
        result: T = yield within(seconds, called, clock)
    except TimeoutError:
        name = getattr(function, "__qualname__", None) or repr(function)
        raise TimedOut(name, seconds) from None
    return result
