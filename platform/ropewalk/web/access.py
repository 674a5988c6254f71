# -*- test-case-name: tests.test_access -*-
"""
The access log: a line for every request, made in batches, so that it costs little
where there are many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime

from ropewalk.schema.shape import MASK
from ropewalk.telemetry import Work

__all__ = ["Access", "AccessLog"]

#: How the names of parameters end whose values nobody should read.
_SECRET = ("pass", "passwd", "password", "secret", "token")


class Access(Struct, frozen=True):
    """
    A request that was answered, or whose client left before it was.

    :ivar at: When that was, in seconds since the epoch.
    :ivar work: Whose work it was.
    :ivar peer: The address it came from; empty for a UNIX socket.
    :ivar uri: What was asked for, without the secrets in the query.
    :ivar status: The answer's; 101 for a WebSocket that opened, 499 when the
        client left before there was one.
    :ivar size: Bytes of the answer's body.
    :ivar took: Seconds from its headers to the end of the answer.
    :ivar aborted: Whether the connection ended before the answer did.
    :ivar route: The path of what answered, as it was written:
        ``"/companies/<int:id>"``; empty where nothing did.
    """

    at: float
    work: Work
    peer: str
    method: str
    uri: str
    status: int
    size: int
    took: float
    aborted: bool = False
    route: str = ""


class AccessLog:
    """
    Collects the requests that end in one turn of the reactor, and hands them on
    in the next.

    :param write: Takes a batch.
    :param clock: Where time comes from.
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
        """Note a :class:`~ropewalk.web.site.Request` that has ended."""
        if not self._batch:
            self._clock.callLater(0, self.flush)
        self._batch.append(
            Access(
                self._now(),
                request.work,
                getattr(request.client, "host", None) or "",
                request.method.decode("ascii", "backslashreplace"),
                _discreet(request.uri.decode("ascii", "backslashreplace")),
                request.code,
                request.sentLength,
                self._clock.seconds() - request.began,
                request.aborted,
                "" if request.route is None else request.route.shown,
            )
        )

    def flush(self) -> None:
        """Hand on what has come together."""
        batch, self._batch = self._batch, []
        if batch:
            self._write(batch)


def _discreet(uri: str) -> str:
    """
    What was asked for, without what only the two of us should know. (A regular
    expression could be made to take seconds for this.)
    """
    path, mark, query = uri.partition("?")
    if not mark:
        return uri
    pieces = query.split("&")
    for place, piece in enumerate(pieces):
        name, _, value = piece.partition("=")
        if value and name.lower().endswith(_SECRET):
            pieces[place] = f"{name}={MASK}"
    return f"{path}?{'&'.join(pieces)}"
