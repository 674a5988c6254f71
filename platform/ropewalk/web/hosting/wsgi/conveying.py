# -*- test-case-name: tests.test_hosting_conveying -*-
"""
The way of an answer from the thread that makes it to the client: in the order in which
it is made, several pieces at once where they are quick, and no more than the client
takes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from twisted.python.failure import Failure

from ropewalk.web.hosting.wsgi.files import OnDisk
from ropewalk.web.outflow import Outflow

__all__ = ["MOST", "Conveyor", "Departed", "Head", "Headers", "Turn"]

Headers = list[tuple[bytes, bytes]]

#: The head of an answer: its status, headers and reason.
Head = tuple[int, Headers, bytes]

#: Bytes of an answer that may be on the way to the client's connection before who makes
#: it has to wait. As many again may be in the kernel.
MOST = 256 * 1024


class Departed(ConnectionError):
    """
    Nobody is there any more to take an answer.
    """


class Turn(Protocol):
    """
    The request that is answered; for the reactor's thread.
    """

    def fail(self, failure: Failure) -> None:
        """End it with what went wrong."""

    def later(self, work: Callable[[], object]) -> None:
        """Do something in a thread."""

    def leave(self) -> None:
        """Its client has left."""


class Conveyor:
    """
    :param outflow: Where the answer goes.
    :param call: Calls something in the reactor's thread.
    :param turn: Whose answer it is.
    :ivar gone: Whether the client has left.
    """

    __slots__ = (
        *("_call", "_coming", "_head", "_outflow", "_pieces", "_room", "_turn"),
        *("_weight", "_whole", "gone"),
    )

    def __init__(
        self,
        outflow: Outflow,
        call: Callable[..., object],
        turn: Turn,
    ) -> None:
        self._outflow, self._call, self._turn = outflow, call, turn
        self._head: Head | None = None
        self._pieces: list[bytes] = []
        self._weight = 0
        self._coming = self.gone = False
        # Whether what comes next is the last, and the answer whole with it.
        self._whole: bool | None = None
        # Most answers are one piece, and never wait.
        self._room: threading.Condition | None = None
        outflow.left().addCallback(self._leave)

    # For the thread.

    def answer(self, head: Head, data: bytes) -> None:
        """A whole answer."""
        self._call(self._answer, head, data)

    def send_file(
        self, head: Head, file: OnDisk, length: int, then: Callable[[], object]
    ) -> None:
        """
        A file as the answer. The thread has nothing more to do with it.

        :param length: How much of the file.
        :param then: Called in a thread once it has been sent, or nobody wants it.
        """
        self._call(self._send_file, head, file, length, then)

    def start(self, head: Head) -> None:
        """Begin an answer. The head goes with its first piece."""
        self._head = head
        self._room = threading.Condition()

    def put(self, data: bytes) -> None:
        """
        A piece of an answer that has begun. Waits while many are on the way.

        :raise Departed: When nobody is there.
        """
        room = self._room
        assert room is not None
        with room:
            while self._weight >= MOST and not self.gone:
                room.wait()
            if self.gone:
                raise Departed("the client has left")
            self._pieces.append(data)
            self._weight += len(data)
            self._come()

    def end(self, whole: bool = True) -> None:
        """
        Say that there is no more.

        :param whole: Whether that was all; the connection is broken otherwise.
        """
        assert self._room is not None
        with self._room:
            self._whole = whole
            self._come()

    def _come(self) -> None:
        if not self._coming:
            self._coming = True
            self._call(self._carry)

    # For the reactor.

    def _leave(self, _: object) -> None:
        """The client has left: let nobody wait for it."""
        self.gone = True
        self._release(0)
        self._turn.leave()

    def _answer(self, head: Head, data: bytes) -> None:
        self._outflow.start(*head)
        self._outflow.finish(data)
        self._over()

    def _send_file(
        self, head: Head, file: OnDisk, length: int, then: Callable[[], object]
    ) -> None:
        self._outflow.start(*head)
        sending = file.send(self._outflow, length)
        sending.addErrback(self._turn.fail)
        sending.addCallback(lambda _: self._turn.later(then))

    def _carry(self) -> None:
        """Take along all that is there."""
        assert self._room is not None
        with self._room:
            self._coming = False
            pieces, self._pieces = self._pieces, []
            whole = self._whole
        outflow = self._outflow
        if self._head is not None:
            head, self._head = self._head, None
            outflow.start(*head)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if whole:
            outflow.finish(data)
            self._over()
            return
        room = outflow.write(data)
        if whole is False:
            outflow.abort()
        if room is None:
            self._release(len(data))
        else:
            room.addCallback(lambda _: self._release(len(data)))

    def _over(self) -> None:
        """All of it has gone: let nothing lead in a circle."""
        del self._outflow

    def _release(self, size: int) -> None:
        room = self._room
        if room is not None:
            with room:
                self._weight -= size
                room.notify()
