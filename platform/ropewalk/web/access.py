# -*- test-case-name: tests.test_access -*-
"""
The access log: a line for every request that was answered, made in batches, so
that it costs little where there are many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from ropewalk.telemetry import Work

__all__ = ["Access", "AccessLog"]


@frozen
class Access:
    """
    A request that was answered.

    :ivar at: When, in seconds since the epoch.
    :ivar peer: The address it came from.
    :ivar size: Bytes of the answer's body.
    :ivar took: Seconds from its headers to the end of the answer.
    """

    at: float
    work: Work
    peer: str
    method: str
    uri: str
    status: int
    size: int
    took: float


class AccessLog:
    """
    Collects what was answered in one turn of the reactor, and hands it on in
    the next.

    :param write: Takes a batch.
    :param now: Seconds since the epoch.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Access]], None],
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self._write = write
        self._clock = clock
        self._now = now
        self._batch: list[Access] = []

    def __call__(self, request: Any) -> None:
        """Note a request that was answered."""
        if not self._batch:
            self._clock.callLater(0, self.flush)
        self._batch.append(
            Access(
                self._now(),
                request.work,
                getattr(request.getClientAddress(), "host", "") or "",
                request.method.decode("ascii", "replace"),
                request.uri.decode("ascii", "replace"),
                request.code,
                request.sentLength,
                self._clock.seconds() - request.began,
            )
        )

    def flush(self) -> None:
        """Hand on what has come together."""
        batch, self._batch = self._batch, []
        if batch:
            self._write(batch)
