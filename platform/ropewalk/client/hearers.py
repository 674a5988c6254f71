# -*- test-case-name: tests.test_client -*-
"""
A subscription on one connection that others share.
"""

from __future__ import annotations

from ropewalk.client.records import Present, Said
from ropewalk.client.subscriptions import Subscription

__all__ = ["Hearer"]

#: Messages that are held until it is known whether they are whole. More are told
#: without that.
_HELD = 10_000


class Hearer:
    """
    Hands on what is for a subscription.

    Before the daemon has said that it subscribes, what was missed comes in order, but
    on the same connection there may be news among it for a pattern. So where others
    hear the channel as well, messages are held until then, and told in the order of
    their numbers.
    """

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self._held: list[Said] = []
        self._asked = False
        self._subscribed = False

    def hears(self, channel: str) -> bool:
        """Whether a channel is the one, or of the pattern."""
        return self.subscription.pattern.matches(channel)

    def begin(self) -> None:
        """The daemon is asked to subscribe."""
        self._asked = True
        self.subscription.begin()

    def began(self, whole: bool) -> None:
        """The daemon has subscribed."""
        self._subscribed = True
        self.subscription.began(whole)
        self._tell_held()

    def take(self, said: Said, alone: bool) -> None:
        """
        A message has come.

        :param alone: Whether nobody else on this connection hears the channel.
        """
        if self._subscribed or (self._asked and alone and not self._held):
            self.subscription.take(said)
        elif self._asked:
            self._held.append(said)
            if len(self._held) > _HELD:
                self._tell_held()

    def meet(self, event: str, someone: Present) -> None:
        """Somebody has come or gone."""
        if self._asked:
            self.subscription.meet(event, someone)

    def _tell_held(self) -> None:
        held, self._held = self._held, []
        for said in sorted(held, key=lambda said: said.sequence):
            self.subscription.take(said)
