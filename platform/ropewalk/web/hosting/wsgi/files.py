# -*- test-case-name: tests.test_hosting_files -*-
"""
``wsgi.file_wrapper``: a file as an answer. A file on disk needs no thread while it is
sent, however slow the client is.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from stat import S_ISREG
from tempfile import _TemporaryFileWrapper
from typing import Any

from twisted.internet.defer import Deferred

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.web.outflow import Outflow

__all__ = ["FileWrapper", "OnDisk"]

#: Bytes read of a file, and sent, in one turn of the reactor.
_PIECE = 64 * 1024

_BUFFERED = (io.BufferedReader, io.BufferedRandom)


class FileWrapper:
    """
    What an application returns to answer with a file (PEP 3333, "Optional
    Platform-Specific File Handling").

    :param file: Something that can be read.
    :param size: Bytes that are read at a time.
    """

    def __init__(self, file: Any, size: int = 8192) -> None:
        self.file, self.size = file, size
        close = getattr(file, "close", None)
        if close is not None:
            self.close = close

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.file.read(self.size), b"")

    def on_disk(self) -> OnDisk | None:
        """The file, if it is one on disk, and is read as it is there."""
        file = self.file
        if isinstance(file, _TemporaryFileWrapper):
            file = file.file
        raw = file.raw if type(file) in _BUFFERED else file
        # Others have a number too, and read something else: gzip's files.
        if type(raw) is not io.FileIO:
            return None
        try:
            number = raw.fileno()
            status, place = os.fstat(number), file.tell()
        except (OSError, ValueError):
            return None
        if not S_ISREG(status.st_mode):
            return None
        return OnDisk(number, place, max(0, status.st_size - place))


class OnDisk:
    """
    A piece of a file on disk.

    :param number: Of the file, which is open.
    :param place: Where the piece begins.
    :param length: How long it is.
    """

    def __init__(self, number: int, place: int, length: int) -> None:
        self._number, self._place, self.length = number, place, length

    @inlineCallbacks
    def send(self, outflow: Outflow, length: int) -> Steps[None]:
        """
        Send it, no faster than the client takes it.

        :param length: How much of it.
        """
        place, end = self._place, self._place + length
        while place < end and not outflow.gone:
            piece = os.pread(self._number, min(_PIECE, end - place), place)
            place += len(piece)
            if not piece:  # somebody has cut it meanwhile
                outflow.abort()
                return
            if place >= end:
                outflow.finish(piece)
                return
            room: Deferred[None] | None = outflow.write(piece)
            if room is not None:
                yield room
        if not outflow.gone:
            outflow.finish()
