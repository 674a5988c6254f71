# -*- test-case-name: tests.test_intake -*-
"""
The body of a request while it comes: no more of it than somebody reads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost

__all__ = ["SPARE", "Intake"]

#: Bytes that may wait to be read before no more are taken from the client, and of how
#: few more are.
HIGH, LOW = 64 * 1024, 16 * 1024

#: Bytes of a body that nobody wants which are let go by, so that the connection can be
#: used again.
SPARE = 256 * 1024


class Intake:
    """
    The body of a request, as it comes.

    :param length: Bytes that the headers promise; ``None`` when nobody knows.
    :param hold: Called with whether the client is to wait.
    :param invite: Called when somebody first wants the body (``100-continue``).
    :ivar over: Whether all of it was read.
    :ivar trailers: What came behind it, once it is over.
    """

    __slots__ = (
        *("_error", "_held", "_hold", "_invite", "_pieces", "_size", "_waiting"),
        *("came", "ended", "length", "over", "trailers"),
    )

    def __init__(
        self,
        length: int | None,
        hold: Callable[[bool], object],
        invite: Callable[[], object],
    ) -> None:
        self.length = length
        self.came = 0
        self.ended = self.over = False
        self.trailers: Sequence[tuple[bytes, bytes]] = ()
        self._hold = hold
        self._invite: Callable[[], object] | None = invite
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._held = False
        self._error: Exception | None = None
        self._waiting: Deferred[bytes] | None = None

    def read(self) -> Deferred[bytes]:
        """
        The next piece. One is read at a time.

        :return: fires with ``b""`` when there is no more.
        :raise ropewalk.errors.RopewalkError: When it is refused: it is too long, or
            comes too slowly, or is no body.
        :raise twisted.internet.error.ConnectionLost: When the client leaves before it
            is whole, or the request was answered before that.
        """
        if self._waiting is not None:
            raise RuntimeError("the body is being read already")
        piece = self.take()
        if piece is not None:
            return succeed(piece)
        if self._error is not None:
            return fail(self._error)
        waiting = self._waiting = Deferred(self._forget)
        return waiting

    def take(self) -> bytes | None:
        """
        The next piece if it is here, ``b""`` if there is no more, ``None`` if it is
        still to come, or never will.
        """
        if self._invite is not None:
            invite, self._invite = self._invite, None
            if not self.came and not self.ended:
                invite()
        if self._pieces:
            piece = self._pieces.popleft()
            self._size -= len(piece)
            if self._held and self._size <= LOW:
                self._held = False
                self._hold(False)
            return piece
        if self.ended and self._error is None:
            self.over = True
            return b""
        return None

    # What the request calls.

    def add(self, data: bytes) -> None:
        """Something has come."""
        self.came += len(data)
        if self.over or not data:
            return
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.callback(data)
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= HIGH and not self._held:
            self._held = True
            self._hold(True)

    def end(self, trailers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """All has come."""
        self.ended, self.trailers = True, trailers
        if self._waiting is not None:
            self.over = True
            waiting, self._waiting = self._waiting, None
            waiting.callback(b"")

    def fail(self, error: Exception) -> None:
        """The rest will not come."""
        if self.ended or self._error is not None:
            return
        self._error = error
        self.ended = True
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.errback(error)

    def discard(self) -> None:
        """Nobody is to read on: let what comes go by."""
        self.fail(ConnectionLost("the request is answered: nobody brings the rest"))
        self.over = True
        self._invite = None
        self._pieces.clear()
        self._size = 0
        if self._held:
            self._held = False
            self._hold(False)

    def _forget(self, cancelled: Deferred[bytes]) -> None:
        self._waiting = None
