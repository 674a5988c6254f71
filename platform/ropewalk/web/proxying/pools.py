# -*- test-case-name: tests.test_proxying -*-
"""
The connections to one back end: kept for the next request, and no more than so many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from ropewalk.errors import RopewalkError
from ropewalk.web.proxying.connections import Connection
from ropewalk.web.proxying.targets import Target

__all__ = ["Busy", "Pool", "PoolLimits"]

#: Seconds for which a connection is still believed in after its last answer, by a
#: request that could not be sent a second time.
_FRESH = 1.0


class Busy(RopewalkError):
    """
    All connections to a back end are in use, and enough requests wait for one.
    """

    status = 503
    headers: Mapping[str, str] = {"Retry-After": "1"}

    def __str__(self) -> str:
        return "too much is asked of what is behind this address; try again later"


class PoolLimits(Struct, frozen=True):
    """
    What there may be of connections to one back end.

    :ivar connect: Seconds to connect.
    :ivar connections: How many there may be.
    :ivar queue: How many requests may wait for one.
    :ivar idle: Seconds for which one is kept that nobody uses.
    """

    connect: float = 5.0
    connections: int = 256
    queue: int = 1000
    idle: float = 4.0


class Pool:
    """
    The connections to one back end.

    :param reactor: The reactor.
    :ivar open: How many there are, those that are being made counted.
    """

    def __init__(self, target: Target, limits: PoolLimits, reactor: Any) -> None:
        self._endpoint = target.endpoint(reactor, limits.connect)
        self._limits = limits
        self._reactor = reactor
        self._idle: deque[Connection] = deque()
        self._waiting: deque[Deferred[Connection]] = deque()
        self._factory = Factory.forProtocol(self._make)
        self._factory.noisy = False
        self._closed = False
        self.open = 0

    @property
    def idle(self) -> int:
        """How many nobody uses."""
        return len(self._idle)

    def take(self, fresh: bool, new: bool = False) -> Connection | Deferred[Connection]:
        """
        Have a connection.

        :param fresh: Whether one is needed that can be believed in.
        :param new: Whether it must be one on which nothing was asked.
        :return: one, or a Deferred that fires with one, or fails as to connect does.
        :raise Busy: When there are too many, and too many wait.
        """
        now = self._reactor.seconds()
        if not new:
            kept = self._take_idle(now, _FRESH if fresh else self._limits.idle)
            if kept is not None:
                return kept
        if self.open >= self._limits.connections and self._idle:
            self._idle[0].drop()
        if self.open < self._limits.connections:
            return self._connect()
        if len(self._waiting) >= self._limits.queue:
            raise Busy
        waiting: Deferred[Connection] = Deferred(self._give_up)
        self._waiting.append(waiting)
        return waiting.addTimeout(self._limits.connect, self._reactor)

    def withdraw(self, taken: Deferred[Connection]) -> None:
        """
        Wait for no connection any more, so that another can. One that is being made
        already is kept, and given to who has asked.
        """
        if taken in self._waiting:
            taken.cancel()

    def give_back(self, connection: Connection) -> None:
        """Somebody else may ask on it."""
        connection.release()
        if connection.alive and self._waiting:
            self._waiting.popleft().callback(connection)
        elif self._closed:
            connection.drop()
        elif connection.alive:
            connection.since = self._reactor.seconds()
            self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """See :class:`~ropewalk.web.proxying.connections.Keeper`."""
        self.open -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        self._serve_next()

    def sweep(self, now: float) -> None:
        """Close those that nobody has used for long."""
        while self._idle and now - self._idle[0].since >= self._idle[0].kept:
            self._idle[0].drop()

    def close(self) -> None:
        """
        Keep none from now on. Those in use are closed when they are given back and
        nobody waits for one.
        """
        self._closed = True
        for each in list(self._idle):
            each.drop()

    def reopen(self) -> None:
        """Keep some again."""
        self._closed = False

    def _take_idle(self, now: float, longest: float) -> Connection | None:
        self.sweep(now)
        while self._idle and now - self._idle[-1].since < longest:
            connection = self._idle.pop()
            if connection.alive:
                return connection
        return None

    def _give_up(self, waiting: Deferred[Connection]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            waiting.errback(Busy())

    def _serve_next(self) -> None:
        """There may be one connection more: make it for who waits."""
        if self._waiting:
            self._connect_for(self._waiting.popleft())

    def _connect_for(self, waiting: Deferred[Connection]) -> None:
        def give(connection: Connection) -> None:
            if waiting.called:  # it has given up meanwhile
                self.give_back(connection)
            else:
                waiting.callback(connection)

        def tell(failure: Failure) -> None:
            if not waiting.called:
                waiting.errback(failure)

        self._connect().addCallbacks(give, tell)

    def _make(self) -> Connection:
        return Connection(self, self._limits.idle)

    def _connect(self) -> Deferred[Connection]:
        self.open += 1

        def count(failure: Failure) -> Failure:
            self.open -= 1
            self._serve_next()
            return failure

        connecting: Deferred[Any] = self._endpoint.connect(self._factory)
        return connecting.addCallbacks(_inner, count)


def _inner(protocol: Any) -> Connection:
    """The connection, out of what TLS has around it."""
    connection = getattr(protocol, "wrappedProtocol", protocol)
    assert isinstance(connection, Connection)
    return connection
