# -*- test-case-name: tests.test_calls -*-
"""
Calls by WebSocket. Who offers the subprotocol ``ropewalk.msgpack`` speaks msgpack in
binary messages; everybody else JSON in text. (Who calls in lines need not wait for
Autobahn to be imported.)
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ropewalk.errors import RopewalkError
from ropewalk.interfaces import IHub
from ropewalk.net.calls.conversation import Calls, PackedCalls, caller_at
from ropewalk.net.limits import CallSettings
from ropewalk.net.sockets import GOING_AWAY, Socket
from ropewalk.operations import Operations
from ropewalk.wire.jsonrpc import JSON

__all__ = ["CallSocket"]

#: How to speak, by the names of subprotocols.
_KINDS: dict[str, type[Calls]] = {
    "ropewalk.json": Calls,
    "ropewalk.msgpack": PackedCalls,
}


class CallSocket(Socket):
    """
    One WebSocket that calls operations and hears channels. It is closed with 1001 when
    the daemon ends, after all that was under way has been answered.

    :param operations: What can be called.
    :param hub: The channels.
    :param settings: How much the peer may do.
    """

    _kind: type[Calls] = Calls

    def __init__(
        self, operations: Operations, hub: IHub, settings: CallSettings
    ) -> None:
        super().__init__()
        self._what = operations, hub, self._tell, settings
        self._calls = Calls(*self._what)

    def onConnect(self, request: Any) -> str | None:
        """Choose how to speak, of what the peer would."""
        for offer in request.protocols:
            if offer in _KINDS:
                self._kind = _KINDS[offer]
                return str(offer)
        return None

    def opened(self) -> None:
        assert self._backlog is not None
        self._calls = self._kind(*self._what, self._backlog.ready)
        self._calls.begin(caller_at("websocket", self.transport))

    def heard(self, message: str | bytes) -> Deferred[None] | None:
        """Take a message."""
        raw = message.encode() if isinstance(message, str) else message
        came, wanted = _called(isinstance(message, str)), _called(self._is_text)
        if came != wanted:
            self._calls.complain(f"expected a {wanted} message, and this is {came}")
            return None
        return self._calls.hear(raw)

    def complain(self, error: RopewalkError) -> None:
        self._calls.complain(str(error))

    def cut_off(self) -> None:
        self._calls.cut_off()

    def drain(self, reason: str) -> None:
        """See :meth:`ropewalk.interfaces.IDrainable.drain`."""

        def part() -> Deferred[None]:
            finished = self._calls.finished()
            return finished.addCallback(lambda _: self.shut(GOING_AWAY, reason))

        if self.state == self.STATE_OPEN and self._turns is not None:
            self._turns.end(part)
        else:
            super().drain(reason)

    def _tell(self, message: bytes) -> None:
        self.say(message.decode() if self._is_text else message)

    @property
    def _is_text(self) -> bool:
        return self._kind.form is JSON

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._calls.cancel()
        super().connectionLost(reason)


def _called(is_text: bool) -> str:
    return "text" if is_text else "binary"
