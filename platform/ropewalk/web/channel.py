# -*- test-case-name: tests.test_site -*-
"""
One HTTP/1.1 connection of a site: Twisted's, which can stop listening to who was
refused, and say goodbye.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.components import registerAdapter
from twisted.python.failure import Failure
from twisted.web import http
from zope.interface import implementer

from ropewalk.interfaces import IDrainable
from ropewalk.telemetry import Work, work
from ropewalk.web.problems import Refused
from ropewalk.web.streams import drain_streams

__all__ = ["Channel"]


class Channel(http.HTTPChannel):
    """
    An HTTP/1.1 connection.

    :cvar linger: Seconds for which a client that was refused may go on sending
        what nobody looks at. A connection that is closed with something unread
        is reset, and the client may never see why (RFC 9112, section 9.6).
    :ivar work: Whose connection it is.
    """

    linger = 2.0

    site: Any
    transport: Any
    work = Work()

    _deaf = False
    _lingering: IDelayedCall | None = None

    def stop_listening(self) -> None:
        """
        Look at nothing more that comes. When the answer is written, the
        connection ends.
        """
        self._deaf = True
        self.persistent = False
        self.setTimeout(None)

    def drain(self) -> None:
        """
        Close, after the request that is being answered if there is one.
        """
        self.persistent = False
        if not self.requests:
            super().loseConnection()

    def abortConnection(self) -> None:
        """Reset the connection: what has not been read will not be."""
        self.transport.abortConnection()

    # What Twisted calls.

    def connectionMade(self) -> None:
        # A pipelined request begins where the one before it was finished, and
        # that may be in anybody's context.
        self.work = work.get()
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        if not self._deaf:
            super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        if not self._deaf:
            super().lineReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        if not self._deaf:
            super().rawDataReceived(data)

    def lineLengthExceeded(self, line: bytes) -> None:
        if not self.requests:
            limit = self.MAX_LENGTH
            self._refuse(414, f"the request line is longer than {limit} bytes")
        else:
            self._refuse_headers()

    def allHeadersReceived(self) -> None:
        # Twisted tells a request what it is only when its body is here.
        request = self.requests[-1]
        request.method, request.uri = self._command, self._path
        request.clientproto = self._version
        super().allHeadersReceived()

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        # Asked when the headers are complete; they may have begun before the
        # site was drained.
        if self.site.draining:
            return False
        persistent: bool = super().checkPersistence(request, version)
        return persistent

    def timeoutConnection(self) -> None:
        # Twisted logs each, and browsers leave many.
        self._abortingCall = self.callLater(self.abortTimeout, self.forceAbortClient)
        self.loseConnection()

    def loseConnection(self) -> None:
        if not self._deaf:
            super().loseConnection()
        elif self._lingering is None:
            self._lingering = self.callLater(self.linger, super().loseConnection)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()
        super().connectionLost(reason)

    # What has no other place to be changed.

    def _finishRequestBody(self, data: bytes) -> None:
        if not self._deaf:
            super()._finishRequestBody(data)

    def _send100Continue(self) -> None:
        if not self._deaf:
            super()._send100Continue()

    def _respondToBadRequestAndDisconnect(self) -> None:
        if (
            self._receivedHeaderSize > self.totalHeadersSize
            or self._receivedHeaderCount > self.maxHeaders
        ):
            self._refuse_headers()
        else:
            self._refuse(400, "this is not a request as HTTP/1.1 has it")

    def _refuse_headers(self) -> None:
        size, count = self.totalHeadersSize, self.maxHeaders
        detail = f"more headers than {size} bytes or {count} lines"
        self._refuse(431, detail)

    def _refuse(self, status: int, detail: str) -> None:
        if self._deaf:
            return
        if not self.requests:
            self.requests.append(self.requestFactory(self, 0))
        self.requests[-1].refuse(Refused(status, detail))


@implementer(IDrainable)
class _DrainableHTTP:
    """
    How an HTTP connection says goodbye: what is being answered is answered, and
    says so by ``Connection: close`` (RFC 9112, section 9.6).
    """

    def __init__(self, protocol: Any) -> None:
        self._channel = protocol._channel

    def drain(self, reason: str) -> None:
        channel = self._channel
        channel.site.draining = True
        if isinstance(channel, Channel):
            channel.drain()
        elif isinstance(channel, http.HTTPChannel):  # of somebody else's site
            channel.persistent = False
            if not channel.requests:
                channel.loseConnection()
        else:
            drain_streams(channel)


# The protocol that Twisted puts before its HTTP/1.1 and HTTP/2 channels has no
# public name.
registerAdapter(_DrainableHTTP, http._GenericHTTPChannelProtocol, IDrainable)
