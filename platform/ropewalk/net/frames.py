# -*- test-case-name: tests.test_frames -*-
"""
Binary frames over TCP, for programs: each behind its length.

What is in a frame, and how a peer is told of an error, is for who builds upon it to
say.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime

from ropewalk.net.protocols import Conversation, ConversationFactory
from ropewalk.wire.frames import PREFIXES, FrameReader

__all__ = ["FrameFactory", "FrameProtocol"]


class FrameProtocol(Conversation[bytes]):
    """
    One TCP connection that talks in frames of bytes. Override :meth:`heard`, and
    the other methods where there is something to do.

    A frame that is too long cannot be skipped: it may be any number of gigabytes, or
    no frame at all. It is complained of, and the peer let go.

    :param clock: Where time comes from.
    :cvar prefix: Bytes that tell the length of a frame, the highest first: 1, 2 or 4.
    :cvar longest: The longest frame that is heard, in bytes, without its length.
    :cvar ahead: Frames that may wait for the answer to an earlier one before the peer
        is made to wait as well.
    :raise ValueError: When a length cannot be told in so many bytes.
    """

    prefix = 4
    longest = 64 * 1024
    ahead = 16

    def __init__(self, clock: IReactorTime) -> None:
        if self.prefix not in PREFIXES:
            raise ValueError(f"a length takes 1, 2 or 4 bytes, not {self.prefix}")
        self._length = PREFIXES[self.prefix]
        super().__init__(clock)

    # What to override.

    def heard(self, frame: bytes) -> Any:
        """
        Take a frame, without its length.

        Raising a :class:`~ropewalk.errors.RopewalkError` calls :meth:`complain`.
        """

    # What to call.

    def send(self, frame: bytes | bytearray | memoryview) -> None:
        """
        Send a frame. To a peer that is gone or going, nothing is sent.

        What is sent while frames are heard is written when all of them are that have
        come at once.

        :raise ValueError: When its length cannot be told.
        """
        if self._leaving:
            return
        if not isinstance(frame, bytes):
            frame = bytes(memoryview(frame))
        size = len(frame)
        if size >> 8 * self.prefix:
            raise ValueError(f"{self.prefix} bytes cannot tell a length of {size}")
        self._unwritten += (self._length.pack(size), frame)
        self._gatherable -= size + self.prefix
        if self._gatherable < 0:
            self._write_out()

    def _new_reader(self) -> FrameReader:
        return FrameReader(self._length)

    def _say_last(self, piece: bytes) -> None:
        self.send(piece)

    def _as_bytes(self, said: list[bytes]) -> bytes:
        return b"".join(said)


class FrameFactory(ConversationFactory[FrameProtocol]):
    """
    Makes a frame protocol for each connection.

    :param make: Makes it: a subclass of :class:`FrameProtocol`, say.
    :param args: What it is called with.
    """
