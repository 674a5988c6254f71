# -*- test-case-name: tests.test_proxying -*-
"""
The back ends of a proxy: which of them is well, and which is asked next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Literal

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from ropewalk.errors import RopewalkError
from ropewalk.web.proxying.pools import Pool, PoolLimits
from ropewalk.web.proxying.targets import Target

__all__ = ["Backend", "Backends", "Balance", "NobodyThere"]

#: Whom the next request goes to: who has the fewest, or each in turn.
Balance = Literal["least", "round"]

State = Literal["ready", "resting", "ill", "leaving"]

#: Seconds for which one is left out that has failed, the first time and at most; each
#: failure doubles them.
_REST, _LONGEST_REST = 1.0, 30.0

#: Answers to checks in a row after which one is taken for ill.
_MOST_MISSED = 2


class NobodyThere(RopewalkError):
    """
    No back end can be asked.

    :ivar seconds: After how many seconds it is worth asking again.
    """

    status = 503

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds
        self.headers = {"Retry-After": str(max(1, math.ceil(seconds)))}

    def __str__(self) -> str:
        return "what is behind this address is not there just now; try again later"


class Backend:
    """
    One back end.

    :ivar busy: Requests that it works on, and connections that were handed over to it.
    :ivar well: What checks say of it; ``None`` where nobody has checked.
    :ivar leaving: Whether it gets no new requests, and finishes those that it has.
    :ivar is_old: Whether it was seen to speak HTTP/1.0.
    :ivar asked: Requests that went there.
    :ivar failed: Of these, those that it did not answer.
    :ivar retried: Requests that were sent again, to it or to another.
    """

    _log = Logger()

    def __init__(self, target: Target, limits: PoolLimits, reactor: Any) -> None:
        self.target = target
        self.pool = Pool(target, limits, reactor)
        self._limits = limits
        self._reactor = reactor
        self.busy = 0
        self.well: bool | None = None
        self.leaving = False
        self.is_old = False
        self.asked = self.failed = self.retried = 0
        self._missed = self._failures = 0
        self._rested = 0.0
        self._idle: list[Deferred[None]] = []

    @property
    def state(self) -> State:
        """Whether it gets requests, and if not, why."""
        if self.leaving:
            return "leaving"
        if self.well is False:
            return "ill"
        return "resting" if self.rest() > 0 else "ready"

    def rest(self) -> float:
        """Seconds for which it is left out."""
        return max(0.0, self._rested - float(self._reactor.seconds()))

    def begin(self) -> None:
        """It has something to do."""
        self.busy += 1
        self.asked += 1

    def end(self) -> None:
        """It has that no longer."""
        self.busy -= 1
        if not self.busy:
            waiting, self._idle = self._idle, []
            for each in waiting:
                each.callback(None)

    def succeed(self) -> None:
        """It has answered."""
        if self._failures:
            self._failures, self._rested = 0, 0.0
            self._log.info("{backend} answers again", backend=self.target.written)

    def fail(self, problem: str) -> None:
        """It has not."""
        self.failed += 1
        self._failures += 1
        rest = min(_LONGEST_REST, _REST * 2.0 ** min(self._failures - 1, 10))
        self._rested = self._reactor.seconds() + rest
        if self._failures & (self._failures - 1) == 0:
            # The first, the second, the fourth … : there may be thousands.
            self._log.warn(
                "{backend} did not answer: {problem} (failure {number} in a row)",
                backend=self.target.written,
                problem=problem,
                number=self._failures,
            )

    def check(self, problem: str | None) -> None:
        """
        A check has come to an end.

        :param problem: What was wrong; ``None`` for nothing.
        """
        self._missed = self._missed + 1 if problem else 0
        well = not problem or (self._missed < _MOST_MISSED and self.well is True)
        if problem is None:
            self._rested = 0.0
            self.succeed()
        if well != self.well:
            self.well = well
            self._log.info(
                "{backend} is {state}",
                backend=self.target.written,
                state="well" if well else f"ill: {problem}",
            )

    def move(self, target: Target) -> None:
        """It listens somewhere else from now on."""
        self.pool.close()
        self.target = target
        self.pool = Pool(target, self._limits, self._reactor)

    def away(self, seconds: float) -> None:
        """It is not there, and is not expected to be before so many seconds."""
        self.well = False
        self._rested = self._reactor.seconds() + seconds

    def leave(self) -> Deferred[None]:
        """
        Give it no new requests.

        :return: fires when it has finished those that it has.
        """
        self.leaving = True
        self.pool.close()
        if not self.busy:
            return succeed(None)
        done: Deferred[None] = Deferred(self._idle.remove)
        self._idle.append(done)
        return done

    def come_back(self) -> None:
        """Give it requests again."""
        self.leaving, self._failures, self._rested = False, 0, 0.0
        self.pool.reopen()

    def figures(self) -> dict[str, Any]:
        """What can be said of it in numbers."""
        return {
            "state": self.state,
            "busy": self.busy,
            "open": self.pool.open,
            "idle": self.pool.idle,
            "asked": self.asked,
            "failed": self.failed,
            "retried": self.retried,
        }


class Backends:
    """
    All back ends of a proxy.

    :param balance: Whom the next request goes to.
    """

    def __init__(self, backends: Sequence[Backend], balance: Balance) -> None:
        self._backends = tuple(backends)
        self._next = 0
        self._pick: Callable[[list[Backend]], Backend] = (
            _least_busy if balance == "least" else _first
        )

    def __iter__(self) -> Iterator[Backend]:
        return iter(self._backends)

    def __len__(self) -> int:
        return len(self._backends)

    def choose(self, tried: Collection[Backend] = ()) -> Backend:
        """
        Whom to ask.

        One that has failed is left out for a while, if there is another.

        :param tried: Whom not.
        :raise NobodyThere: When there is nobody.
        """
        if len(self._backends) == 1 and not tried:
            (only,) = self._backends
            if only.well is not False and not only.leaving:
                return only
        start, self._next = self._next, (self._next + 1) % (len(self._backends) or 1)
        turned = self._backends[start:] + self._backends[:start]
        ready = [each for each in turned if each not in tried and each.state == "ready"]
        if not ready:
            rests = [rest for each in self._backends if (rest := each.rest()) > 0]
            raise NobodyThere(min(rests, default=1.0))
        return self._pick(ready)

    def figures(self) -> dict[str, dict[str, Any]]:
        """What can be said of each in numbers, by where it listens."""
        return {each.target.written: each.figures() for each in self._backends}


def _least_busy(ready: list[Backend]) -> Backend:
    return min(ready, key=lambda each: each.busy)


def _first(ready: list[Backend]) -> Backend:
    return ready[0]
