# -*- test-case-name: tests.test_hub -*-
"""
What a hub knows of one channel.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field

from ropewalk.errors import Invalid
from ropewalk.hub.history import History
from ropewalk.hub.presence import People
from ropewalk.hub.rules import Declared
from ropewalk.hub.subscriptions import ByPattern, Hearer, Subscription, each_once
from ropewalk.interfaces import Attendance, ChannelFigures, Losses, Message

__all__ = ["Channel"]

#: Digits of a number that there will never be so many messages as.
_LONGEST = 20


@define(eq=False)
class Channel:
    """
    One channel's state.

    :ivar epoch: What its numbering is called.
    :ivar declared: The rule that holds for it.
    :ivar subscriptions: By the ``id`` of the subscriber, in order of arrival;
        a subscriber need not be hashable.
    :ivar losses: What was not taken of what was said in it.
    """

    name: str
    epoch: str
    declared: Declared
    sequence: int = field(default=0, init=False)
    history: History = field(init=False)
    people: People = field(factory=People, init=False)
    subscriptions: dict[int, Subscription] = field(factory=dict, init=False)
    losses: Losses = field(factory=Losses, init=False)
    _hearers: Sequence[Subscription] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.history = History(self.declared.rule)

    @property
    def dawn(self) -> str:
        """The token of the time before the first message."""
        return f"{self.epoch}.0"

    def follow(self, declared: Declared, now: float) -> None:
        """
        Another rule holds from now on.

        :param now: The clock's seconds.
        """
        if declared is self.declared:
            return
        self.declared = declared
        most = declared.rule.keep_bytes or 0

        def size_of(body: object) -> int:
            try:
                return declared.size(body)
            except Invalid:
                return most + 1  # it cannot be kept

        self.history.follow(declared.rule, size_of)
        self.people.wait_no_longer_than(now + declared.rule.away)

    def add(self, subscription: Subscription) -> None:
        """Somebody subscribes."""
        self.subscriptions[id(subscription.subscriber)] = subscription
        self._hearers = None

    def remove(self, subscriber: object) -> Subscription | None:
        """
        Somebody does not subscribe any more.

        :return: the subscription, if there was one.
        """
        subscription = self.subscriptions.pop(id(subscriber), None)
        if subscription is not None:
            subscription.stands = False
            self._hearers = None
        return subscription

    def hearers(self, patterns: ByPattern) -> Sequence[Hearer]:
        """
        Who is to hear what happens now: those who are in the channel, then those who
        hear it by a pattern.
        """
        if self._hearers is None:
            self._hearers = tuple(self.subscriptions.values())
        if not patterns:
            return self._hearers
        by_pattern = tuple(patterns.of(self.name, self.declared.pattern))
        if not by_pattern:
            return self._hearers
        return each_once((*self.subscriptions.values(), *by_pattern))

    def missed(self, after: str | None) -> tuple[list[Message], bool]:
        """
        What is kept of what came after a message, and whether that is all; everything
        that is kept, if it is not. Without a message, nothing is missed.
        """
        if after is None:
            return [], True
        epoch, _, digits = after.rpartition(".")
        known = epoch == self.epoch and digits.isascii() and digits.isdigit()
        place = int(digits) if known and len(digits) < _LONGEST else -1
        new = self.sequence - place
        if place < 0 or not 0 <= new <= len(self.history):
            return self.history.messages(), False
        return self.history.latest(new), True

    def due(self) -> float:
        """When something is over in it, by the clock; infinity if nothing ever is."""
        return min(self.history.due(), self.people.due())

    def count(self) -> Attendance:
        """How many are in it."""
        return Attendance(len(self.subscriptions), len(self.people))

    def figures(self) -> ChannelFigures:
        """It in numbers."""
        counts_bytes = self.declared.rule.keep_bytes is not None
        return ChannelFigures(
            subscribers=len(self.subscriptions),
            people=len(self.people),
            published=self.sequence,
            kept=len(self.history),
            size=self.history.size if counts_bytes else None,
            dropped=self.losses.dropped,
            replaced=self.losses.replaced,
            cut=self.losses.cut,
        )
