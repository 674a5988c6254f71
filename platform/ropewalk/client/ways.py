# -*- test-case-name: tests.test_client -*-
"""
What a way to talk to a daemon is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ropewalk.client.calls import Call, Refused
from ropewalk.client.subscriptions import Subscription

__all__ = ["Maker", "Owner", "Way"]

#: Seconds in which a daemon says the first thing, or is not there: at most.
_OPENING = 10.0


class Owner(Protocol):
    """
    Who has a way: a :class:`~ropewalk.client.session.Session`.
    """

    clock: IReactorTime

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """What is heard, by channel or pattern."""

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

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures, 1 or more."""


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
        self._later: dict[Subscription, IDelayedCall] = {}

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
    def send(self, call: Call) -> None:
        """Ask for something. Called only when it is open."""

    @abstractmethod
    def cancel(self, call: Call) -> None:
        """Nobody waits for the answer any more."""

    def reject(self, subscription: Subscription, error: Refused) -> None:
        """
        The daemon does not have a subscription: for good, or it is tried again.
        """
        if not error.passes:
            subscription.refuse(error)
            return
        subscription.tries += 1

        def again() -> None:
            del self._later[subscription]
            self.subscribe(subscription)

        pause = self.owner.pause(subscription.tries)
        self._later[subscription] = self.owner.clock.callLater(pause, again)

    def forget(self, subscription: Subscription | None = None) -> None:
        """Do not try again: one, or none at all."""
        chosen = [*self._later] if subscription is None else [subscription]
        for each in chosen:
            later = self._later.pop(each, None)
            if later is not None:
                later.cancel()


#: Makes a way of a name.
Maker = Callable[[str, Owner], Way]


def exactly(params: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is ``None``."""
    return {name: value for name, value in params.items() if value is not None}
