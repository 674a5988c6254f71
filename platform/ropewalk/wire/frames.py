# -*- test-case-name: tests.test_frames -*-
"""
Frames of bytes, each behind its length, out of bytes that come in pieces of any size.
"""

from __future__ import annotations

from struct import Struct

from ropewalk.errors import RopewalkError

__all__ = ["PREFIXES", "FrameReader"]

#: How a length is written, by the bytes it takes: in network byte order (RFC 1700).
PREFIXES = {1: Struct("!B"), 2: Struct("!H"), 4: Struct("!I")}


class FrameReader:
    """
    What has come, and is not taken yet.

    :param prefix: How a length is written.
    :ivar more: Whether there may be something to take.
    :ivar lost: Whether nothing can be found any more, after a frame that was too long.
    """

    __slots__ = ("_bytes", "_needed", "_prefix", "_rest", "_start", "lost", "more")

    def __init__(self, prefix: Struct) -> None:
        self.more = False
        self.lost = False
        self._prefix = prefix
        self._bytes = b""
        self._start = 0  # of those that were not looked at
        self._rest = bytearray()  # the beginning of a frame
        self._needed = 0  # bytes, before there is more to be seen of it

    def lone(self, data: bytes, longest: int) -> bytes | None:
        """
        Give what has come as the frame that it is, if it is one, and nothing else
        waits; otherwise it is to be fed.
        """
        if self.more or self._rest or self.lost:
            return None
        start = self._prefix.size
        length = int.from_bytes(data[:start])
        if len(data) != start + length or length > longest:
            return None
        return data[start:]

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        if self.lost:
            return
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data = bytes(self._rest)
            self._rest.clear()
        elif self._bytes:
            data = self._bytes[self._start :] + data
        self._bytes, self._start = data, 0
        self.more = True

    def take(self, most: int, longest: int) -> tuple[list[bytes], RopewalkError | None]:
        """
        Give frames, without their lengths, and forget them.

        :param most: How many at most.
        :param longest: Bytes that a frame may have.
        :return: the frames before the first that is too long, and that it is; nothing
            is given after that.
        """
        data, at, size = self._bytes, self._start, self._prefix.size
        frames: list[bytes] = []
        while len(frames) < most:
            start = end = at + size
            if start <= len(data):
                end += self._prefix.unpack_from(data, at)[0]
            if end - start > longest:
                self._lose()
                return frames, _too_long(end - start, longest)
            if end > len(data):
                self._keep(data[at:], end - at)
                return frames, None
            frames.append(data[start:end])
            at = end
        self._start = at
        return frames, None

    def __len__(self) -> int:
        """How many bytes wait in which no frames were looked for."""
        return len(self._bytes) - self._start + len(self._rest)

    def _keep(self, rest: bytes, needed: int) -> None:
        self._bytes, self._start, self.more = b"", 0, False
        self._rest += rest
        self._needed = needed

    def _lose(self) -> None:
        self.lost = True
        self._keep(b"", 0)


def _too_long(length: int, longest: int) -> RopewalkError:
    return RopewalkError(
        f"that frame is too long: {length} bytes, of {longest} at most"
    )
