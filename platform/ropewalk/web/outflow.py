# -*- test-case-name: tests.test_outflow -*-
"""
An answer that somebody else writes, no faster than the client takes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web.http_headers import Headers
from zope.interface import implementer

from ropewalk.web.streams import end_with

__all__ = ["Outflow"]

#: Headers of an answer that are between us and the client (RFC 9110, section 7.6.1).
HOP_BY_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer"),
        *(b"transfer-encoding", b"upgrade"),
    }
)


@implementer(IPushProducer)
class Outflow:
    """
    Writes the answer to a request.

    The head waits for the first piece of the body: an answer of one piece is one write.
    What is written to a client that has left goes nowhere.

    :param request: The request. It was rendered as ``NOT_DONE_YET``.
    :ivar gone: Whether the client has left.
    :ivar started: Whether there is a head.
    :ivar finished: Whether all is written.
    """

    __slots__ = (
        "_left",
        "_producing",
        "_room",
        "finished",
        "gone",
        "request",
        "started",
    )

    def __init__(self, request: Any) -> None:
        self.request = request
        self.gone = self.started = self.finished = False
        self._producing = False
        self._room: Deferred[None] | None = None
        self._left: Deferred[None] = Deferred()
        request.notifyFinish().addBoth(self._over)

    def left(self) -> Deferred[None]:
        """Fires when the client has left before the answer was finished."""
        return self._left

    def start(
        self,
        code: int,
        headers: Iterable[tuple[bytes, bytes]],
        reason: bytes | None = None,
    ) -> None:
        """
        Say what the answer is. Headers that are between us and the client are ours,
        and left out; ``Server`` and ``Date`` are theirs where they say them.
        """
        self.started = True
        if self.gone:
            return
        request = self.request
        request.setResponseCode(code, reason)
        request.defaultContentType = None
        ours: Headers = request.responseHeaders
        said: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP:
                said.setdefault(name.lower(), []).append(value)
        for name, values in said.items():
            ours.setRawHeaders(name, values)

    def write(self, data: bytes) -> Deferred[None] | None:
        """
        Write a piece of the body, which may be empty.

        :return: fires when there is room for more; ``None`` when there is now.
        """
        if self.gone or self.finished:
            return None
        if not self._producing:
            self._producing = True
            self.request.registerProducer(self, True)
        self.request.write(data)
        return self._room

    def finish(
        self, data: bytes = b"", trailers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """
        Write the last piece, and say that it is the last.

        :param trailers: What is said behind the body, where that can be: over HTTP/2,
            and behind a body in chunks (RFC 9110, section 6.5).
        """
        if self.gone or self.finished:
            return
        self.finished = True
        if not self._producing and not trailers:
            self.request.answer(data)
            return
        if data or not self._producing:
            self.request.write(data)
        if self._producing:
            self.request.unregisterProducer()
        if trailers:
            _end_with(self.request, trailers)
        self.request.finish()

    def abort(self) -> None:
        """End the connection in the middle: the answer will not be whole."""
        if not self.gone and not self.finished:
            self.finished = True
            self.request.break_off()

    # What the transport calls.

    def pauseProducing(self) -> None:
        if self._room is None:
            self._room = Deferred()

    def resumeProducing(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def stopProducing(self) -> None:
        self.resumeProducing()

    def _over(self, outcome: Any) -> None:
        if self.finished:
            return
        self.gone = True
        self.resumeProducing()
        self._left.callback(None)


def _end_with(request: Any, trailers: Sequence[tuple[bytes, bytes]]) -> None:
    """Have trailers sent when a request is finished."""
    if not request.direct:
        end_with(request.channel, trailers)
    elif request.chunked:
        lines = b"".join(b"%b: %b\r\n" % each for each in trailers)
        request.channel.write(b"0\r\n%b\r\n" % lines)
        request.chunked = 0  # the last chunk is written
