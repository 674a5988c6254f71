# -*- test-case-name: tests.test_outflow -*-
"""
An answer that somebody else writes, no faster than the client takes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web.http import NO_BODY_CODES, NO_CONTENT
from zope.interface import implementer

from ropewalk.web.lines import HOP_BY_HOP
from ropewalk.web.streams import end_with

__all__ = ["HOP_BY_HOP", "Outflow"]


@implementer(IPushProducer)
class Outflow:
    """
    Writes the answer to a request.

    The head waits for the first piece of the body: an answer of one piece is one write.
    What is written to a client that has left goes nowhere. What is more than the
    ``Content-Length`` said is cut off, and where it is less, the connection is ended:
    what comes next would be taken for the rest.

    :param request: The request. It was rendered as ``NOT_DONE_YET``.
    :ivar gone: Whether the client has left, or somebody else has answered.
    :ivar started: Whether there is a head.
    :ivar finished: Whether all is written.
    :ivar surplus: Bytes that were cut off.
    :ivar lacking: Bytes that the head promised, and nobody wrote; once it is finished.
    """

    __slots__ = (
        *("_headless", "_left", "_length", "_producing", "_room", "_said", "_since"),
        *("finished", "gone", "lacking", "request", "started", "surplus"),
    )

    def __init__(self, request: Any) -> None:
        self.request = request
        self.gone = self.started = self.finished = False
        self.surplus = self.lacking = 0
        self._producing = self._headless = False
        self._length: int | None = None
        self._said: list[tuple[bytes, bytes]] = []
        self._since = 0.0  # nothing was taken
        self._room: Deferred[None] | None = None
        self._left: Deferred[None] | None = None
        request.notifyFinish().addBoth(self._over)

    def left(self) -> Deferred[None]:
        """
        Wait until the client has left; of who stays until the answer is finished,
        nobody hears.
        """
        if self._left is None:
            self._left = Deferred()
            if self.gone:
                self._left.callback(None)
        return self._left

    def start(
        self,
        code: int,
        headers: Iterable[tuple[bytes, bytes]],
        reason: bytes | None = None,
    ) -> None:
        """
        Say what the answer is. Of several headers of one name, each has its line.
        Headers that are between us and the client are ours, and left out.

        :param code: From 200 on.
        :param headers: Names and values.
        :param reason: The phrase behind the code; that of the code, unless given.
        """
        self.started = True
        if self.gone:
            return
        request = self.request
        request.setResponseCode(code, reason)
        request.defaultContentType = None
        self._headless = request.method == b"HEAD" or code in NO_BODY_CODES
        for name, value in headers:
            low = name.lower()
            if low == b"content-length" and value.isdigit():
                self._length = None if code == NO_CONTENT else int(value)
            elif low not in HOP_BY_HOP:
                self._said.append((low, value))

    def write(self, data: bytes) -> Deferred[None] | None:
        """
        Write a piece of the body, which may be empty.

        :return: fires when there is room for more; ``None`` when there is now.
        """
        if self.gone or self.finished:
            return None
        if not self._producing:
            self._begin()
        if data:
            data = self._cut(data)
            if data:
                self.request.write(data)
        return self._room

    def finish(
        self, data: bytes = b"", trailers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """
        Write the last piece, and say that it is the last.

        :param trailers: What comes behind it, over HTTP/2, or if it goes in chunks of
            HTTP/1.1; they are left out otherwise.
        """
        if self.gone or self.finished:
            return
        if not (self._producing or trailers) and self._is_whole(data):
            self.finished = True
            if not self.request.relay(self._said, data):
                self._say()
                self.request.answer(data)
            return
        self.write(data)
        if self._length and not self._headless:
            self.lacking = self._length
            self.abort()
            return
        self.finished = True
        self.request.unregisterProducer()
        if trailers and not self.request.direct:
            end_with(self.request.channel, trailers)
        self.request.finish(trailers)

    def abort(self) -> None:
        """End the connection in the middle: the answer will not be whole."""
        if not self.gone and not self.finished:
            self.finished = True
            self.resumeProducing()
            self.request.break_off()

    def _is_whole(self, data: bytes) -> bool:
        """Whether a body of one piece is as long as the head says, and goes with it."""
        if self._headless:
            return not data and self._length is None
        return self._length is None or self._length == len(data)

    def _begin(self) -> None:
        """Write the head."""
        self._producing = True
        self._say()
        request = self.request
        if self._length is not None:
            request.setHeader(b"content-length", b"%d" % self._length)
        request.registerProducer(self, True)
        request.write(b"")

    def _say(self) -> None:
        """Have the request say the headers."""
        said: dict[bytes, list[bytes]] = {}
        for name, value in self._said:
            said.setdefault(name, []).append(value)
        for name, values in said.items():
            if len(values) == 1:
                self.request.setHeader(name, values[0])
            else:
                self.request.responseHeaders.setRawHeaders(name, values)

    def _cut(self, data: bytes) -> bytes:
        """What of a piece is sent."""
        if self._headless:
            return b""
        if self._length is None:
            return data
        self.surplus += max(0, len(data) - self._length)
        data = data[: self._length]
        self._length -= len(data)
        return data

    # What the transport calls.

    def pauseProducing(self) -> None:
        if self._room is None:
            self._room = Deferred()
            self._mind(True)

    def resumeProducing(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            self._mind(False)
            room.callback(None)

    def stopProducing(self) -> None:
        self.resumeProducing()

    def _mind(self, wait: bool) -> None:
        """
        Mind how long a client of HTTP/2 takes nothing: its streams are not its
        connection, which the engine minds.
        """
        request = self.request
        if request.direct:
            return
        site = request.site
        if wait:
            self._since = site.seconds()
            site.deadlines.watch(self)
        else:
            site.deadlines.forget(self)

    def check(self, now: float) -> None:
        """Do what is due."""
        if now - self._since >= self.request.site.limits.stall:
            self.request.break_off()

    def _over(self, outcome: Any) -> None:
        if self.finished:
            return
        self.gone = True
        self.resumeProducing()
        if self._left is not None:
            self._left.callback(None)
