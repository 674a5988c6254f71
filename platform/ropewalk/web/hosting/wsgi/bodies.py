# -*- test-case-name: tests.test_hosting_bodies -*-
"""
``wsgi.input``: the body of a request as a file that can be sought in, read by a thread
while it still comes.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from queue import SimpleQueue
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from twisted.internet.defer import maybeDeferred
from twisted.python.failure import Failure

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.web.intake import Intake

__all__ = ["SPOOLED", "Body", "BodyLost", "Source", "spool", "taken", "whole"]

#: Bytes of a body that are kept in memory; what is longer is on disk.
SPOOLED = 64 * 1024

#: Bytes that are handed to a thread at a time, if they are there.
_MOST = 256 * 1024


class BodyLost(ConnectionError):
    """
    The rest of a body will not come: the client left, or was refused.
    """


class Source:
    """
    Brings what comes of a body to the thread that wants it.

    :param intake: Where it comes.
    :param call: Calls something in the reactor's thread.
    """

    def __init__(self, intake: Intake, call: Callable[..., object]) -> None:
        self._intake, self._call = intake, call
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()

    def __call__(self) -> bytes:
        """
        The next piece; ``b""`` at the end. For the thread.

        :raise BodyLost: When there will be none.
        """
        self._call(self._fetch)
        piece = self._pieces.get()
        if piece is None:
            raise BodyLost("the rest of the request's body will not come")
        return piece

    def _fetch(self) -> None:
        pieces = taken(self._intake)
        if pieces:
            self._pieces.put(b"".join(pieces))
            return
        # It raises at once for the second of two threads that read.
        waiting = maybeDeferred(self._intake.read)
        waiting.addCallbacks(self._pieces.put, self._lose)

    def _lose(self, failure: Failure) -> None:
        self._pieces.put(None)


def taken(intake: Intake) -> list[bytes]:
    """What is there of a body now, up to a limit."""
    pieces, size = list[bytes](), 0
    while size < _MOST:
        piece = intake.take()
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return pieces


class Body(io.BufferedIOBase):
    """
    The body of a request. What has been read is kept, so that it can be read again.

    :param came: What of it is here already.
    :param source: Called for the next piece, until it returns ``b""``; ``None`` when
        nothing more comes.
    """

    def __init__(
        self, came: bytes | IO[bytes], source: Callable[[], bytes] | None = None
    ) -> None:
        self._source = source
        self._at = 0
        self._file: Any = io.BytesIO(came) if isinstance(came, bytes) else came
        self._size = self._file.seek(0, io.SEEK_END)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file; counted from the end, that has to come first."""
        if whence == io.SEEK_END:
            self._have(None)
            offset += self._size
        elif whence == io.SEEK_CUR:
            offset += self._at
        if offset < 0:
            raise ValueError(f"negative seek position {offset}")
        self._at = offset
        return offset

    def read(self, size: int | None = -1, /) -> bytes:
        """
        Wait for ``size`` bytes, or the end.

        :raise BodyLost: When they will not come.
        """
        if size is None or size < 0:
            self._have(None)
            size = max(0, self._size - self._at)
        else:
            self._have(self._at + size)
        return self._take(size)

    def read1(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes, as soon as there are any."""
        self._have(self._at + 1)
        there = max(0, self._size - self._at)
        return self._take(there if size < 0 else min(size, there))

    def readline(self, size: int | None = -1, /) -> bytes:
        """The rest of a line, up to ``size`` bytes of it."""
        most = None if size is None or size < 0 else size
        parts, length = list[bytes](), 0
        while most is None or length < most:
            self._have(self._at + 1)
            self._file.seek(self._at)
            part = self._file.readline(-1 if most is None else most - length)
            self._at += len(part)
            length += len(part)
            parts.append(part)
            if not part or part.endswith(b"\n"):
                break
        return b"".join(parts)

    def close(self) -> None:
        """Nobody reads it any more."""
        if not self.closed:
            self._source = None
            self._file.close()
        super().close()

    def _take(self, size: int) -> bytes:
        self._file.seek(self._at)
        data: bytes = self._file.read(size)
        self._at += len(data)
        return data

    def _have(self, end: int | None) -> None:
        """Wait until it is here up to a place; ``None`` for all of it."""
        if self.closed:
            raise ValueError("the request is over, and its body closed")
        while self._source is not None and (end is None or self._size < end):
            piece = self._source()
            if not piece:
                self._source = None
                return
            self._keep(piece)

    def _keep(self, piece: bytes) -> None:
        file = self._file
        if type(file) is io.BytesIO and self._size + len(piece) > SPOOLED:
            self._file = spool(file.getvalue())
            file = self._file
        file.seek(0, io.SEEK_END)
        file.write(piece)
        self._size += len(piece)


def spool(data: bytes = b"") -> IO[bytes]:
    """A file in memory as long as it is short."""
    file = SpooledTemporaryFile(SPOOLED)  # noqa: SIM115  # whoever reads it closes it
    file.write(data)
    return file


@inlineCallbacks
def whole(intake: Intake) -> Steps[IO[bytes]]:
    """
    All of a body.

    :raise OSError: When there is no room for it.
    """
    length = intake.length
    # What is short need not think of becoming long.
    file = spool() if length is None or length > SPOOLED else io.BytesIO()
    try:
        while True:
            piece = intake.take()
            if piece is None:
                piece = yield intake.read()
            if not piece:
                return file
            file.write(piece)
    except BaseException:
        file.close()
        raise
