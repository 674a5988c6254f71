# -*- test-case-name: tests.test_calls_offered -*-
"""
What is asked of a peer that offers operations: the other direction of a conversation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import define
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.python.failure import Failure

from ropewalk.errors import Fault, Invalid, RopewalkError
from ropewalk.interfaces import Caller
from ropewalk.operations import Operations, Progress
from ropewalk.operations.peers import PeerGone, Routing
from ropewalk.wire.jsonrpc import Response, notification, request

__all__ = ["Asked", "PeerBusy", "PeerRefused"]

#: Operations that one peer may offer.
_MOST_OFFERED = 100

#: Characters of what a peer says is wrong that others are told.
_LONGEST_PROBLEM = 500

#: Of how many parameters they are.
_MOST_FAULTS = 100

#: The status of a peer's error that says none, or one of ours (RFC 9110, section
#: 15.6.3: the answer of whoever was asked is invalid).
_BAD_GATEWAY = 502


@define
class PeerRefused(RopewalkError):
    """
    A peer refuses what was asked of it.

    :ivar status: As it says; 502 if it says nothing that can be a status, or that the
        fault is its own.
    :ivar problem: What it says.
    """

    status: int
    problem: str

    def __str__(self) -> str:
        return self.problem


@define
class PeerBusy(RopewalkError):
    """
    A peer is asked for as much as it may be at once.
    """

    status = 503

    name: str

    def __str__(self) -> str:
        return f"who offers {self.name!r} is busy; try again in a moment"


@define
class TooManyOffered(RopewalkError):
    """
    A peer offers as many operations as one may.
    """

    status = 409

    limit: int

    def __str__(self) -> str:
        return f"nobody may offer more than {self.limit} operations"


class Asked:
    """
    One peer, as somebody who offers operations.

    :param operations: Where it offers them.
    :param send: Sends a message.
    :param most: How much may be asked of it at once.
    :param begun: Told when it has been asked for something.
    """

    def __init__(
        self,
        operations: Operations,
        send: Callable[[Any], None],
        most: int,
        begun: Callable[[], None],
    ) -> None:
        self._operations = operations
        self._send = send
        self._most = most
        self._begun = begun
        self._number = 0
        self._waiting: dict[Any, _Waiting] = {}
        self._offered: set[str] = set()
        self._offers: list[_Offering] = []  # that somebody still thinks about
        self._is_gone = False

    @property
    def offering(self) -> bool:
        """Whether it offers something."""
        return bool(self._offered)

    @property
    def answering(self) -> bool:
        """Whether somebody waits for an answer of it."""
        return bool(self._waiting)

    def offer(
        self, name: str, caller: Caller, routing: Routing, requires: str | None
    ) -> Deferred[None]:
        """
        Offer an operation until the peer withdraws it, or goes: see
        :meth:`ropewalk.operations.Operations.offer`.

        :return: fires when it can be called. One that is withdrawn while somebody
            thinks about whether the peer may offer it is cancelled.
        :raise TooManyOffered: When it offers as many as one may; those that somebody
            still thinks about count as well.
        """
        if self._is_gone:
            return fail(CancelledError())
        names = self._offered.union(each.name for each in self._offers)
        if len(names) >= _MOST_OFFERED and name not in names:
            return fail(TooManyOffered(_MOST_OFFERED))
        decided = self._operations.offer(name, self, caller, routing, requires)
        offer = _Offering(name, decided)
        self._offers.append(offer)
        return decided.addBoth(partial(self._end, offer))

    def withdraw(self, name: str) -> bool:
        """
        Offer it no longer, and take back what somebody still thinks about.

        :return: whether there was something to take back.
        """
        offers = [each for each in self._offers if each.name == name]
        self._take_back(offers)
        if name not in self._offered:
            return bool(offers)
        self._offered.remove(name)
        self._operations.withdraw(name, self)
        return True

    def ask(
        self, name: str, arguments: Any, caller: Caller, progress: Progress
    ) -> Deferred[Any]:
        """See :meth:`ropewalk.operations.peers.Peer.ask`."""
        if len(self._waiting) >= self._most:
            return fail(PeerBusy(name))
        self._number += 1
        number = f"ask{self._number}"
        answered: Deferred[Any] = Deferred(lambda _: self._give_up(number))
        try:
            self._send(request(number, name, arguments, progress=True))
        except (TypeError, ValueError, OverflowError) as error:
            # What came in msgpack, say, and goes on in JSON.
            return fail(Invalid((Fault("", f"cannot be handed on: {error}"),)))
        self._waiting[number] = _Waiting(name, answered, progress)
        self._begun()
        return answered

    def hear(self, response: Response) -> None:
        """Take an answer. One that nobody waits for any more is nobody's."""
        waiting = self._waiting.pop(response.id, None)
        if waiting is None:
            return
        if response.problem is None:
            waiting.answered.callback(response.result)
        else:
            waiting.answered.errback(_refusal(response))

    def hear_progress(self, params: Any) -> None:
        """Take a progressive result; so likewise."""
        if isinstance(params, dict) and isinstance(params.get("id"), str):
            waiting = self._waiting.get(params["id"])
            if waiting is not None:
                waiting.progress(params.get("value"))

    def gone(self) -> None:
        """The peer is gone, with all that it offers."""
        self._is_gone = True
        self._take_back([*self._offers])
        for name in [*self._offered]:
            self.withdraw(name)
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            each.answered.errback(PeerGone(each.name))

    def _take_back(self, offers: list[_Offering]) -> None:
        """Have offers come to nothing, whatever is decided."""
        for each in offers:
            if each in self._offers:  # one may end with another
                self._offers.remove(each)
                each.decided.cancel()

    def _end(self, offer: _Offering, outcome: Any) -> Any:
        if offer in self._offers:
            self._offers.remove(offer)
            if not isinstance(outcome, Failure):
                self._offered.add(offer.name)
        elif not isinstance(outcome, Failure):
            # It was taken back, and who was asked would not be cancelled. The peer may
            # have offered it anew since.
            if offer.name not in self._offered:
                self._operations.withdraw(offer.name, self)
            return Failure(CancelledError())
        return outcome

    def _give_up(self, number: str) -> None:
        if self._waiting.pop(number, None) is not None:
            self._send(notification("rpc.cancel", {"id": number}))


class _Offering:
    """What the peer would offer, if it may."""

    __slots__ = ("decided", "name")

    def __init__(self, name: str, decided: Deferred[None]) -> None:
        self.name = name
        self.decided = decided


class _Waiting:
    """Somebody waits for an answer."""

    __slots__ = ("answered", "name", "progress")

    def __init__(self, name: str, answered: Deferred[Any], progress: Progress) -> None:
        self.name = name
        self.answered = answered
        self.progress = progress


def _refusal(response: Response) -> RopewalkError:
    status = response.status
    if status == Invalid.status and response.faults:
        return Invalid(tuple(map(_shortened, response.faults[:_MOST_FAULTS])))
    if status is None or not 400 <= status < 600 or status == 500:
        status = _BAD_GATEWAY
    return PeerRefused(status, (response.problem or "")[:_LONGEST_PROBLEM])


def _shortened(fault: Fault) -> Fault:
    return Fault(fault.path[:_LONGEST_PROBLEM], fault.problem[:_LONGEST_PROBLEM])
