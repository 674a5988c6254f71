# -*- test-case-name: tests.test_client_live -*-
"""
In frames of msgpack, over TCP.
"""

from __future__ import annotations

from ropewalk.client.streams import AT_ONCE, ByStream, StreamProtocol
from ropewalk.wire.frames import PREFIXES, FrameReader
from ropewalk.wire.jsonrpc import MSGPACK

__all__ = ["ByFrames", "FramesProtocol"]

#: How a length is written.
_LENGTH = PREFIXES[4]


class FramesProtocol(StreamProtocol):
    """
    The connection.
    """

    def __init__(self, way: ByStream) -> None:
        super().__init__(way)
        self._reader = FrameReader(_LENGTH)

    def dataReceived(self, data: bytes) -> None:
        self._way.alive()
        self._reader.feed(data)
        while self._reader.more:
            frames, wrong = self._reader.take(AT_ONCE, self._way.longest)
            for frame in frames:
                self._way.heard(frame)
            if wrong is not None:
                self._way.misheard(wrong)


class ByFrames(ByStream):
    """
    Talks in frames: ``ropewalk.net.calls.CallFrames`` is the other end.
    """

    form = MSGPACK
    protocol = FramesProtocol

    def say(self, message: bytes) -> None:
        if self._protocol is not None:
            self._protocol.transport.write(_LENGTH.pack(len(message)) + message)
