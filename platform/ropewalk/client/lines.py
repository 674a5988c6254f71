# -*- test-case-name: tests.test_client -*-
"""
In lines, over TCP.
"""

from __future__ import annotations

from ropewalk.client.streams import AT_ONCE, ByStream, StreamProtocol
from ropewalk.wire.lines import LineReader

__all__ = ["ByLines", "LinesProtocol"]


class LinesProtocol(StreamProtocol):
    """
    The connection.
    """

    def __init__(self, way: ByStream) -> None:
        super().__init__(way)
        self._reader = LineReader()

    def dataReceived(self, data: bytes) -> None:
        self._way.alive()
        self._reader.feed(data)
        while self._reader.more:
            lines, wrong = self._reader.take(AT_ONCE, self._way.longest)
            for line in lines:
                self._way.heard(line.encode())
            if wrong is not None:
                self._way.misheard(wrong)
            if not lines and wrong is None:
                return


class ByLines(ByStream):
    """
    Talks in lines: ``ropewalk.net.calls.CallLines`` is the other end.
    """

    protocol = LinesProtocol

    def say(self, message: bytes) -> None:
        if self._protocol is not None:
            self._protocol.transport.write(message + b"\n")
