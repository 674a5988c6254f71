# -*- test-case-name: tests.test_signals -*-
"""
Signals: who wants to be told when a request begins, ends, or fails. They are told,
and change nothing; what changes something is middleware.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from msgspec import Struct
from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.awaiting import awaitable, deferred

__all__ = ["Moment", "Signals", "tell"]

#: ``"started"``: its headers and body are here, and it is about to be answered.
#: ``"finished"``: it has been answered, or its client has left; each that was started
#: is finished once, and no other. ``"failed"``, between the two: its handler raised
#: what nobody had planned.
Moment = Literal["started", "finished", "failed"]

_log = Logger()


class Signals(Struct):
    """
    Who is told of the requests of a site.

    :ivar changed: Called when somebody is.
    """

    started: list[Callable[..., object]] = []
    finished: list[Callable[..., object]] = []
    failed: list[Callable[..., object]] = []
    changed: Callable[[], object] = lambda: None

    def connect(self, moment: str, listener: Callable[..., object]) -> None:
        """
        Tell somebody from now on.

        :param listener: Called with the request, and for ``"failed"`` with the
            ``Failure``, too; plain, under ``@inlineCallbacks`` or ``async def``, but
            nobody waits for it. What it raises is logged, and changes nothing.
        :raise TypeError: When it cannot be called.
        :raise ValueError: When there is no such moment.
        """
        if moment not in get_args(Moment):
            moments = ", ".join(map(repr, get_args(Moment)))
            raise ValueError(f"there is no signal {moment!r}; there are {moments}")
        if not callable(listener):
            raise TypeError(f"a listener is a function, not {listener!r}")
        getattr(self, moment).append(listener)
        self.changed()


def tell(listeners: list[Callable[..., object]], *args: Any) -> None:
    """Tell all of them."""
    for listener in list(listeners):
        try:
            told = listener(*args)
            if awaitable(told):
                deferred(told).addErrback(_report, listener)
        except Exception:
            _report(Failure(), listener)


def _report(failure: Failure, listener: object) -> None:
    _log.failure("{listener} could not take a signal", failure, listener=listener)
