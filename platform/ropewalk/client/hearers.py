# -*- test-case-name: tests.test_client -*-
"""
A subscription on one connection that others share.
"""

from __future__ import annotations

from ropewalk.client.records import Present, Said
from ropewalk.client.subscriptions import Subscription
from ropewalk.hub.names import ChannelPattern

__all__ = ["Hearer"]

#: Messages that are held until it is known whether they are whole. More are told
#: without that.
_HELD = 10_000


class Hearer:
    """
    Hands on what is for a subscription.

    What comes before the daemon has said that it subscribes is held, and told in the
    order of its numbers: what was missed, and meanwhile what comes for a pattern on the
    same connection.
    """

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self._pattern = ChannelPattern(tuple(subscription.channel.split(".")))
        self._held: list[Said] | None = None
        self._hears = False

    def hears(self, channel: str) -> bool:
        """Whether a channel is the one, or of the pattern."""
        return self._pattern.matches(channel)

    def hold(self) -> None:
        """The daemon is asked to subscribe."""
        self._held = []

    def release(self, whole: bool) -> None:
        """The daemon has subscribed."""
        self._hears = True
        self.subscription.began(whole)
        self._tell_held()

    def take(self, said: Said) -> None:
        """A message has come."""
        if self._held is not None:
            self._held.append(said)
            if len(self._held) > _HELD:
                self._hears = True
                self._tell_held()
        elif self._hears:
            self.subscription.take(said)

    def meet(self, event: str, someone: Present) -> None:
        """Somebody has come or gone."""
        if self._hears or self._held is not None:
            self.subscription.meet(event, someone)

    def _tell_held(self) -> None:
        held, self._held = self._held or [], None
        for said in sorted(held, key=lambda said: said.sequence):
            self.subscription.take(said)
