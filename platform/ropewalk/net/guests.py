# -*- test-case-name: tests.test_asgi_sockets -*-
"""
WebSockets of applications that know nothing of us.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ropewalk.net.sockets import Socket

__all__ = ["GuestSocket"]

#: RFC 6455, section 7.4.1: the peer said no code, and: the connection was just lost.
_NO_CODE, _LOST = 1005, 1006


class GuestSocket(Socket):
    """
    A WebSocket of which somebody else hears all that comes.

    :param hearer: Hears it. Its ``opened(socket)`` is called when the handshake is
        answered; ``heard(message)`` with each message, and may return a Deferred that
        the next waits for; ``left(code, reason)`` at the end, with what the peer said.
    :param subprotocol: What the handshake is answered with; one of those offered.
    :param headers: And which headers that answer has.
    :param longest: Bytes of the longest message that the peer may send; 0 for what the
        site says.
    """

    def __init__(
        self,
        hearer: Any,
        subprotocol: str | None = None,
        headers: Mapping[str, Sequence[str]] = {},
        longest: int = 0,
    ) -> None:
        super().__init__()
        if longest:
            self.maxMessagePayloadSize = longest
        self._hearer = hearer
        self._answer = subprotocol, dict(headers)
        self._no_code = False

    def ready(self) -> Deferred[None] | None:
        """See :meth:`ropewalk.interfaces.IPaced.ready`."""
        return None if self._backlog is None else self._backlog.ready()

    # What Autobahn and the daemon call.

    def onConnect(self, request: Any) -> Any:
        return self._answer

    def opened(self) -> None:
        self._hearer.opened(self)

    def heard(self, message: str | bytes) -> Any:
        return self._hearer.heard(message)

    def onCloseFrame(self, code: Any, reasonRaw: Any) -> Any:
        self._no_code = code is None
        return super().onCloseFrame(code, reasonRaw)

    def drain(self, reason: str) -> None:
        """Close at once: nobody knows for how long the application would not hear."""
        if self.state == self.STATE_OPEN:
            self.shut(1001, reason)
        else:
            super().drain(reason)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        code = _NO_CODE if self._no_code else self.remoteCloseCode or _LOST
        self._hearer.left(code, self.remoteCloseReason or "")
