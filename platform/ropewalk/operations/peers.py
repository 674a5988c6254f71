# -*- test-case-name: tests.test_operations_peers -*-
"""
Operations that somebody offers who is connected: a browser, a device. They are gone
when the peer is.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from attrs import define
from msgspec import Struct
from twisted.internet.defer import Deferred

from ropewalk.errors import RopewalkError
from ropewalk.interfaces import Caller
from ropewalk.operations.parameters import Progress

__all__ = [
    "AlreadyOffered",
    "Free",
    "OtherTerms",
    "Peer",
    "PeerGone",
    "Peers",
    "Routing",
]

#: Who is asked where several peers offer one operation: ``"single"``, there is one and
#: no other; ``"first"``, the one who has offered it for longest; ``"round-robin"``, one
#: after the other.
Routing = Literal["single", "first", "round-robin"]


@define
class AlreadyOffered(RopewalkError):
    """
    Somebody else offers an operation of this name, and not to share it.

    :ivar name: The name.
    """

    status = 409

    name: str

    def __str__(self) -> str:
        return f"{self.name!r} is offered by somebody else already"


@define
class OtherTerms(RopewalkError):
    """
    An operation is offered already, and on other terms: all who share one say the
    same.

    :ivar name: The name.
    :ivar term: Which of the terms is another: ``"requires"`` or ``"routing"``.
    :ivar wanted: What those say who offer it.
    :ivar given: What this one says.
    """

    status = 409

    name: str
    term: str
    wanted: str | None
    given: str | None

    def __str__(self) -> str:
        return (
            f"{self.name!r} is offered with another {self.term}: expected "
            f"{_said(self.wanted)}, got {_said(self.given)}; say the same, or offer it "
            "by another name"
        )


@define
class PeerGone(RopewalkError):
    """
    Who offered an operation is gone.

    :ivar name: The name.
    """

    status = 503

    name: str

    def __str__(self) -> str:
        return f"who offered {self.name!r} is gone"


class Peer(Protocol):
    """
    Somebody who offers operations.
    """

    def ask(
        self, name: str, arguments: Any, caller: Caller, progress: Progress
    ) -> Deferred[Any]:
        """
        Call one of them.

        :return: fires with the result; cancelling it tells the peer. It fails with a
            :class:`~ropewalk.errors.RopewalkError` when the peer refuses, or goes.
        """


class Free(Struct, frozen=True):
    """
    The parameters of an operation that only the peer knows: whatever is given.
    """

    def read(self, arguments: Any) -> Any:
        """See :meth:`ropewalk.operations.parameters.Parameters.read`."""
        return arguments

    def call(self, method: Any, value: Any, caller: Caller, progress: Progress) -> Any:
        """See :meth:`ropewalk.operations.parameters.Parameters.call`."""
        return method(value, caller, progress)


class Peers:
    """
    Those who offer one operation.

    :param name: Its name.
    :ivar routing: Who of them is asked.
    :ivar requires: What it takes to ask them; ``None`` for nothing.
    """

    def __init__(self, name: str, routing: Routing, requires: str | None) -> None:
        self.name = name
        self.routing = routing
        self.requires = requires
        self._peers: list[Peer] = []
        self._turn = 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._peers)

    def add(self, peer: Peer, routing: Routing, requires: str | None) -> None:
        """
        One more. Offering twice is offering once.

        :raise AlreadyOffered: When it is not for more than one.
        :raise OtherTerms: When they do not agree on who is asked, or on what it takes:
            who wants more of callers must not be reached by those who need less.
        """
        is_new = peer not in self._peers
        if is_new and self._peers and self.routing == "single":
            raise AlreadyOffered(self.name)
        if routing != self.routing:
            raise OtherTerms(self.name, "routing", self.routing, routing)
        if requires != self.requires:
            raise OtherTerms(self.name, "requires", self.requires, requires)
        if is_new:
            self._peers.append(peer)

    def remove(self, peer: Peer) -> None:
        """One less; who is none of them is none."""
        if peer in self._peers:
            place = self._peers.index(peer)
            del self._peers[place]
            self._turn -= place < self._turn

    def ask(self, arguments: Any, caller: Caller, progress: Progress) -> Deferred[Any]:
        """Call it."""
        return self._choose().ask(self.name, arguments, caller, progress)

    def _choose(self) -> Peer:
        if not self._peers:  # who was permitted to call it took too long to be
            raise PeerGone(self.name)
        if self.routing != "round-robin":
            return self._peers[0]
        chosen = self._peers[self._turn % len(self._peers)]
        self._turn = (self._turn + 1) % len(self._peers)
        return chosen


def _said(term: str | None) -> str:
    return "nothing" if term is None else repr(term)
