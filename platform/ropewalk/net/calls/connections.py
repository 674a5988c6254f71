# -*- test-case-name: tests.test_calls -*-
"""
Calls in lines and in frames, over TCP.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ropewalk.errors import RopewalkError
from ropewalk.interfaces import IHub
from ropewalk.net.calls.conversation import Calls, PackedCalls, caller_at
from ropewalk.net.frames import FrameProtocol
from ropewalk.net.limits import CallSettings
from ropewalk.net.protocols import Conversation, LineProtocol
from ropewalk.operations import Operations

__all__ = ["HTTP", "CallFrames", "CallLines", "Calling"]

# What a conversation consists of.
T = TypeVar("T", str, bytes)

#: How an HTTP request begins. A page can have a browser send one anywhere, and behind
#: it what we would take for a message.
HTTP = re.compile(r"[A-Z]+ \S+ HTTP/[0-9.]+")


class Calling(Conversation[T]):
    """
    What lines, frames and boxes have in common.

    :param clock: Where time comes from.
    :cvar via: By what those come who call here.
    :cvar kind: How they are understood.
    """

    via: str
    kind: type[Calls] = Calls

    def __init__(
        self,
        clock: IReactorTime,
        operations: Operations,
        hub: IHub,
        settings: CallSettings,
    ) -> None:
        super().__init__(clock)
        self.longest = settings.longest
        self._calls = self.kind(
            operations, hub, self._tell, settings, self._backlog.ready
        )

    @abstractmethod
    def _tell(self, message: bytes) -> None:
        """Send a message."""

    def opened(self) -> None:
        self._calls.begin(caller_at(self.via, self.transport))

    def complain(self, error: RopewalkError) -> None:
        self._calls.complain(str(error))

    def ended(self) -> Deferred[None]:
        # Whoever pipes requests into `nc` waits for the answers.
        return self._calls.finished().addCallback(lambda _: self.leave())

    def busy(self) -> bool:
        # Who hears a channel need not say anything, and who offers something neither.
        calls = self._calls
        return calls.busy or calls.offering or len(calls.channels) > 0

    def cut_off(self) -> None:
        self._calls.cut_off()

    def drain(self, reason: str) -> None:
        """See :meth:`ropewalk.interfaces.IDrainable.drain`."""

        def part() -> Deferred[None]:
            finished = self._calls.finished()
            return finished.addCallback(lambda _: self.leave(self.goodbye(reason)))

        self._turns.end(part)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._calls.cancel()
        super().connectionLost(reason)


class CallLines(Calling[str], LineProtocol):
    """
    One TCP connection that calls operations and hears channels: JSON-RPC, a message
    in each line.

    :param clock: Where time comes from.
    :param operations: What can be called.
    :param hub: The channels.
    :param settings: How much the peer may do.
    """

    plain = False  # it would no longer be JSON
    via = "lines"

    def heard(self, line: str) -> Deferred[None] | None:
        """Take a message; what is blank is none."""
        if HTTP.fullmatch(line):
            self._calls.complain("this is no web server")
            self.leave()
            return None
        return self._calls.hear(line.encode("utf-8")) if line.strip() else None

    def goodbye(self, reason: str) -> str:
        return self._calls.goodbye(reason).decode("utf-8")

    def _tell(self, message: bytes) -> None:
        self.say(message.decode("utf-8"))


class CallFrames(Calling[bytes], FrameProtocol):
    """
    One TCP connection that calls operations and hears channels: the messages of
    JSON-RPC in msgpack, one in each frame.

    :param clock: Where time comes from.
    :param operations: What can be called.
    :param hub: The channels.
    :param settings: How much the peer may do.
    """

    via = "frames"
    kind = PackedCalls

    def heard(self, frame: bytes) -> Deferred[None] | None:
        """Take a message; an empty frame is none."""
        return self._calls.hear(frame) if frame else None

    def complain(self, error: RopewalkError) -> None:
        super().complain(error)
        self.leave()  # after a frame that is too long, nothing can be found any more

    def goodbye(self, reason: str) -> bytes:
        return self._calls.goodbye(reason)

    def _tell(self, message: bytes) -> None:
        self.send(message)
