# -*- test-case-name: tests.test_client -*-
"""
What was asked of a daemon, and is not answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from attrs import define
from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from ropewalk.errors import Fault

__all__ = ["Call", "Refused"]

#: Statuses below 500 that say: not now.
_LATER = (408, 425, 429)


@define
class Refused(Exception):
    """
    What the daemon does not want to do, or could not; or nobody knows whether it did.

    It is no :class:`~ropewalk.errors.RopewalkError`: what another daemon says to us is
    not what we say to those who ask us.

    :ivar problem: What is wrong.
    :ivar status: The HTTP status that says the same; 0 when the daemon did not answer.
    :ivar faults: What is wrong with which parameter.
    :ivar seconds: After how many it may be another answer; 0 where that is not said.
    """

    problem: str
    status: int = 0
    faults: tuple[Fault, ...] = ()
    seconds: float = 0.0

    @classmethod
    def of(cls, problem: Any, status: Any, faults: Any, seconds: Any = None) -> Refused:
        """Take what a daemon has said, so far as it makes sense."""
        listed = faults if isinstance(faults, list) else []
        return cls(
            str(problem),
            status if isinstance(status, int) else 0,
            tuple(
                Fault(str(each.get("path", "")), str(each.get("problem", "")))
                for each in listed
                if isinstance(each, dict)
            ),
            _seconds(seconds),
        )

    @property
    def passes(self) -> bool:
        """Whether it may be another answer later."""
        return self.status >= 500 or self.status in _LATER

    def __str__(self) -> str:
        return self.problem


class Call:
    """
    Something that was asked.

    :param number: What tells it from other calls.
    :param params: The parameters, each in JSON already.
    :param progress: Told of progressive results.
    :param done: Fires with the answer.
    :ivar sent: Whether the daemon may have it.
    :ivar timer: Ends it when it has taken too long.
    """

    __slots__ = ("_done", "method", "number", "params", "progress", "sent", "timer")

    def __init__(
        self,
        number: int,
        method: str,
        params: Mapping[str, Raw],
        progress: Callable[[Any], object] | None,
        done: Deferred[Any],
    ) -> None:
        self.number = number
        self.method = method
        self.params = params
        self.progress = progress
        self.sent = False
        self.timer: IDelayedCall | None = None
        self._done = done

    def answer(self, result: Any) -> None:
        """It went well."""
        self.stop()
        if not self._done.called:
            self._done.callback(result)

    def refuse(self, error: Exception) -> None:
        """It did not."""
        self.stop()
        if not self._done.called:
            self._done.errback(error)

    def stop(self) -> None:
        """Wait for it no longer."""
        timer, self.timer = self.timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def lose(self) -> None:
        """The connection was lost while it was under way."""
        problem = (
            f"the connection was lost while {self.method} was under way: nobody knows "
            "whether it was done"
        )
        self.refuse(Refused(problem))


def _seconds(told: Any) -> float:
    """So many as were told, if that is a number of seconds."""
    try:
        seconds = float(told)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return seconds if 0 < seconds < inf else 0.0
