# -*- test-case-name: tests.test_proxying -*-
"""
A connection to a back end: one request at a time, and its answer.
"""

from __future__ import annotations

from typing import Any
from typing import Protocol as Interface

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ropewalk.wire.http1 import HeadLimits
from ropewalk.wire.replies import Heard, NoReply, ReplyReader

__all__ = ["Asker", "Connection", "Keeper"]

#: How long the heads of answers may be: a server in our own house says a little more
#: than a client may.
LIMITS = HeadLimits(line=8192, headers=256, header_bytes=128 * 1024)


class Asker(Interface):
    """What has asked something on a connection."""

    def heard(self, heard: Heard) -> None:
        """Some of the answer is here."""

    def lost(self, problem: str) -> None:
        """
        There is no answer, or no rest of it. The connection is not used again.
        """

    def hold(self, full: bool) -> None:
        """The back end takes no more for now; or it does again."""


class Keeper(Interface):
    """Who keeps connections."""

    def forget(self, connection: Connection) -> None:
        """It is no connection to ask on any more."""


@implementer(IPushProducer)
class Connection(Protocol):
    """
    A connection to a back end.

    :ivar used: How often something was asked on it.
    :ivar since: Since when nothing is asked on it.
    :ivar kept: How long it may be idle.
    :ivar alive: Whether something can be asked on it.
    :ivar full: Whether it takes no more for now.
    """

    transport: Any

    def __init__(self, keeper: Keeper, kept: float) -> None:
        self._keeper = keeper
        self._reader = ReplyReader(LIMITS)
        self._asker: Asker | None = None
        self._successor: Any = None
        self._lost = False
        self.used = 0
        self.since = 0.0
        self.kept = kept
        self.alive = False
        self.full = False

    def ask(self, asker: Asker, method: bytes, head: bytes, upgrades: bool) -> None:
        """
        Ask something.

        :param head: All of it, as bytes.
        """
        self._asker = asker
        self.used += 1
        self._reader.expect(method, upgrades)
        self.transport.write(head)

    def write(self, data: bytes) -> None:
        """Some of the request's body."""
        self.transport.write(data)

    def pause(self, wait: bool) -> None:
        """Let the back end wait with the rest of its answer, or not any longer."""
        if not self.alive:
            return
        if wait:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    def release(self) -> None:
        """The answer is complete: something else can be asked."""
        self._asker = None

    def drop(self) -> None:
        """End it at once."""
        self._asker = None
        self._retire()
        if not self._lost:
            self.transport.abortConnection()

    def hand_over(self, successor: Any) -> None:
        """Let another protocol have it."""
        self._asker, self._successor = None, successor
        self._retire()
        self.transport.unregisterProducer()
        successor.makeConnection(self.transport)

    def _retire(self) -> None:
        if self.alive:
            self.alive = False
            self._keeper.forget(self)

    # What Twisted calls.

    def connectionMade(self) -> None:
        self.alive = True
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        if self._successor is not None:
            self._successor.dataReceived(data)
            return
        asker = self._asker
        if asker is None:
            # Nobody has asked: it must not be taken for an answer later.
            self.drop()
            return
        try:
            heard = self._reader.read(data)
        except NoReply as error:
            self.drop()
            asker.lost(error.detail)
            return
        asker.heard(heard)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._successor is not None:
            self._successor.connectionLost(reason)
            return
        self._lost = True
        self._retire()
        asker, self._asker = self._asker, None
        if asker is None:
            return
        try:
            heard = self._reader.close()
        except NoReply as error:
            asker.lost(f"{error.detail}: {reason.getErrorMessage()}")
        else:
            asker.heard(heard)

    def pauseProducing(self) -> None:
        self.full = True
        if self._asker is not None:
            self._asker.hold(True)

    def resumeProducing(self) -> None:
        self.full = False
        if self._asker is not None:
            self._asker.hold(False)

    def stopProducing(self) -> None:
        """The connection's loss says the same."""
