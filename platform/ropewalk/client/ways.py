# -*- test-case-name: tests.test_client -*-
"""
What a way to talk to a daemon is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ropewalk.client.calls import Call, Refused
from ropewalk.client.offers import Offer
from ropewalk.client.subscriptions import Subscription

__all__ = ["Maker", "Owner", "Way"]

#: Seconds in which a daemon says the first thing, or is not there: at most.
_OPENING = 10.0

# What is tried again.
W = TypeVar("W", Subscription, Offer)


class Owner(Protocol):
    """
    Who has a way: a :class:`~ropewalk.client.session.Session`.
    """

    clock: IReactorTime

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """What is heard, by channel or pattern."""

    @property
    def offers(self) -> Mapping[str, Offer]:
        """What is offered, by name."""

    def opened(self, way: Way) -> None:
        """It can be talked to: calls may be sent."""

    def proved(self, way: Way) -> None:
        """This way is let through."""

    def lost(self, way: Way, problem: str, *, reached: bool = True) -> None:
        """
        It cannot be talked to any more.

        :param reached: Whether there was somebody; otherwise the way is not to blame.
        """

    def unsent(self, call: Call) -> None:
        """The daemon does not have it."""

    def pause(self, failures: int, least: float = 0.0) -> float:
        """
        Seconds to wait after so many failures, 1 or more.

        :param least: As many as the daemon wants it to be; 0 where it has not said.
        """


class Way(ABC):
    """
    One attempt to talk to a daemon. It is begun once, and stopped once.

    :param owner: Who has it.
    :param silence: Seconds without a sign of life after which one wonders.
    :ivar opening: Seconds in which a daemon says the first thing, or is not there.
    """

    def __init__(self, owner: Owner, silence: float) -> None:
        self.owner = owner
        self.opening = min(silence, _OPENING)
        self._later: dict[Subscription | Offer, IDelayedCall] = {}

    @abstractmethod
    def start(self) -> None:
        """Begin, with all the owner's subscriptions."""

    @abstractmethod
    def stop(self) -> Deferred[None]:
        """
        End. Nothing is told any more.

        :return: fires when no connection is left.
        """

    @abstractmethod
    def subscribe(self, subscription: Subscription) -> None:
        """Hear a channel, now or when it opens."""

    @abstractmethod
    def unsubscribe(self, subscription: Subscription) -> None:
        """Hear it no longer."""

    @abstractmethod
    def offer(self, offer: Offer) -> None:
        """Offer something, now or when it opens."""

    @abstractmethod
    def withdraw(self, offer: Offer) -> None:
        """Offer it no longer."""

    @abstractmethod
    def send(self, call: Call) -> None:
        """Ask for something. Called only when it is open."""

    @abstractmethod
    def cancel(self, call: Call) -> None:
        """Nobody waits for the answer any more."""

    def reject(self, subscription: Subscription, error: Refused) -> None:
        """
        The daemon does not have a subscription: for good, or it is tried again.
        """
        if error.passes:
            self._try_again(subscription, error, self.subscribe)
        else:
            subscription.refuse(error)

    def decline(self, offer: Offer, error: Refused) -> None:
        """
        The daemon does not have an offer: for good, or it is tried again.
        """
        if offer.passes(error):
            offer.hold(error)
            self._try_again(offer, error, self.offer)
        else:
            offer.refuse(error)

    def _try_again(self, wanted: W, error: Refused, ask: Callable[[W], None]) -> None:
        if not wanted.stands:  # who was told may have ended it
            return
        wanted.tries += 1

        def again() -> None:
            del self._later[wanted]
            ask(wanted)

        pause = self.owner.pause(wanted.tries, error.seconds)
        self._later[wanted] = self.owner.clock.callLater(pause, again)

    def forget(self, wanted: Subscription | Offer | None = None) -> None:
        """Do not try again: one, or none at all."""
        chosen = [*self._later] if wanted is None else [wanted]
        for each in chosen:
            later = self._later.pop(each, None)
            if later is not None:
                later.cancel()


#: Makes a way of a name.
Maker = Callable[[str, Owner], Way]


def exactly(params: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is ``None``."""
    return {name: value for name, value in params.items() if value is not None}
