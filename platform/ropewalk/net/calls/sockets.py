# -*- test-case-name: tests.test_calls -*-
"""
Calls by WebSocket: a text message for each message. (Who calls in lines need not wait
for Autobahn to be imported.)
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ropewalk.errors import RopewalkError
from ropewalk.net.calls.conversation import Calls, caller_at
from ropewalk.net.limits import CallSettings
from ropewalk.net.sockets import GOING_AWAY, Socket
from ropewalk.operations import Operations

__all__ = ["CallSocket"]


class CallSocket(Socket):
    """
    One WebSocket that calls operations. It is closed with 1001 when the daemon ends,
    after all that was under way has been answered.

    :param operations: What can be called.
    :param settings: How much the peer may do.
    """

    def __init__(self, operations: Operations, settings: CallSettings) -> None:
        super().__init__()
        self._calls = Calls(
            operations, lambda said: self.say(said.decode("utf-8")), settings
        )

    def opened(self) -> None:
        self._calls.begin(caller_at("websocket", self.transport))

    def heard(self, message: str | bytes) -> Deferred[None] | None:
        """Take a message."""
        if isinstance(message, bytes):
            self._calls.complain("expected a text message, and this is binary")
            return None
        return self._calls.hear(message.encode("utf-8"))

    def complain(self, error: RopewalkError) -> None:
        self._calls.complain(str(error))

    def drain(self, reason: str) -> None:
        """See :meth:`ropewalk.interfaces.IDrainable.drain`."""

        def part() -> Deferred[None]:
            finished = self._calls.finished()
            return finished.addCallback(lambda _: self.shut(GOING_AWAY, reason))

        if self.state == self.STATE_OPEN and self._turns is not None:
            self._turns.end(part)
        else:
            super().drain(reason)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._calls.cancel()
        super().connectionLost(reason)
