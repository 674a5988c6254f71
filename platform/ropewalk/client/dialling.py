# -*- test-case-name: tests.test_client -*-
"""
The connection to a place, however it is talked on.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.python.failure import Failure

from ropewalk.client.conversation import ByConnection
from ropewalk.client.places import Place
from ropewalk.client.ways import Owner
from ropewalk.net.flow import Backlog

__all__ = ["Dialled"]


class Dialled(ByConnection):
    """
    Connects to a place. A subclass makes the protocol, which calls :meth:`met`.
    """

    def __init__(
        self, owner: Owner, silence: float, place: Place, reactor: Any
    ) -> None:
        super().__init__(owner, silence)
        self._place = place
        self._reactor = reactor
        self._connecting: Deferred[Any] | None = None
        self._protocol: Any = None
        self._backlog = Backlog(self.cut, 0)

    def dial(self, factory: IProtocolFactory) -> None:
        """Begin to connect."""
        endpoint = self._place.endpoint(self._reactor)
        self._connecting = endpoint.connect(factory)
        self._connecting.addErrback(self._failed)

    def give_up(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()

    def cut(self) -> None:
        if self._protocol is not None:
            self._protocol.transport.abortConnection()

    def has_room(self) -> bool:
        return not self._backlog.full

    def met(self, protocol: Any) -> None:
        """There is a connection; it may not be talked on yet."""
        self._protocol = protocol
        self._backlog.watch(protocol.transport)
        self.reached()

    def leave(self) -> None:
        if self._protocol is not None:
            self._backlog.release()
            self.part(self._protocol)

    @abstractmethod
    def part(self, protocol: Any) -> None:
        """Close the connection, and say so."""

    def gone(self, problem: str) -> None:
        self._backlog.release()
        super().gone(problem)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.gone(failure.getErrorMessage())
