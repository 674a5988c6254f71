# -*- test-case-name: tests.test_hub -*-
"""
Who hears a channel: by its name, by a pattern, or both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attrs import define, field
from msgspec import Struct

from ropewalk.errors import ChannelFull, HubFull
from ropewalk.hub.names import ChannelPattern
from ropewalk.hub.shares import Maker
from ropewalk.hub.tree import PatternTree
from ropewalk.interfaces import IPaced, ISubscriber

__all__ = ["ByPattern", "Subscription", "each_once"]


class Subscription(Struct, eq=False):
    """
    Somebody hears something.

    :ivar paced: Whether a publisher can wait for the subscriber.
    :ivar who: The name that it is present under.
    :ivar allowed: The rules whose channels it may hear, by their patterns; ``None``
        for all channels.
    :ivar maker: Which caller has subscribed; ``None`` for a service.
    :ivar stands: Whether it has not been given up.
    """

    subscriber: ISubscriber
    paced: bool
    who: str | None = None
    maker: Maker = None
    allowed: frozenset[ChannelPattern] | None = None
    stands: bool = True

    @classmethod
    def of(
        cls, subscriber: ISubscriber, who: str | None = None, maker: Maker = None
    ) -> Subscription:
        """A subscription that stands."""
        return cls(subscriber, IPaced.providedBy(subscriber), who, maker)

    def hears(self, rule: ChannelPattern | None) -> bool:
        """
        Whether it may hear a channel for which a rule holds.
        """
        return self.allowed is None or rule in self.allowed


class _Several(Struct, frozen=True, eq=False):
    """
    Several subscriptions of one subscriber, which is to hear things once.
    """

    subscriptions: tuple[Subscription, ...]

    @property
    def subscriber(self) -> ISubscriber:
        return self.subscriptions[0].subscriber

    @property
    def paced(self) -> bool:
        return self.subscriptions[0].paced

    @property
    def stands(self) -> bool:
        return any(subscription.stands for subscription in self.subscriptions)


#: Who is to hear something: whoever has a ``subscriber``, and ``stands`` or not.
Hearer = Subscription | _Several


def each_once(subscriptions: Iterable[Subscription]) -> Sequence[Hearer]:
    """
    Those who have these subscriptions, each once, in the order in which they came.
    """
    found: dict[int, list[Subscription]] = {}
    for subscription in subscriptions:
        found.setdefault(id(subscription.subscriber), []).append(subscription)
    return tuple(
        several[0] if len(several) == 1 else _Several(tuple(several))
        for several in found.values()
    )


@define(eq=False)
class ByPattern:
    """
    Those who subscribed by a pattern.

    :param limit: How many there may be for a pattern.
    :param patterns: How many patterns there may be.
    """

    _limit: int
    _patterns: int
    _tree: PatternTree[dict[int, Subscription]] = field(factory=PatternTree, init=False)
    _count: int = field(default=0, init=False)

    def __len__(self) -> int:
        """How many subscriptions there are."""
        return self._count

    def add(
        self,
        pattern: ChannelPattern,
        subscriber: ISubscriber,
        allowed: frozenset[ChannelPattern] | None,
    ) -> tuple[Subscription, bool]:
        """
        :return: the subscription, and whether it is new. To one that there was, what
            is allowed now counts.
        :raise ChannelFull: When the pattern has as many subscribers as it may.
        :raise HubFull: When there are as many patterns as there may be.
        """
        known = self._tree.get(pattern)
        subscription = (known or {}).get(id(subscriber))
        new = subscription is None
        if subscription is None:
            if known is None:
                if len(self._tree) >= self._patterns:
                    raise HubFull(self._patterns)
                self._tree[pattern] = known = {}
            elif len(known) >= self._limit:
                raise ChannelFull(str(pattern), self._limit)
            subscription = known[id(subscriber)] = Subscription.of(subscriber)
            self._count += 1
        subscription.allowed = allowed
        return subscription, new

    def remove(self, pattern: ChannelPattern, subscriber: ISubscriber) -> bool:
        """
        :return: whether it was there.
        """
        known = self._tree.get(pattern)
        subscription = known.pop(id(subscriber), None) if known is not None else None
        if subscription is None:
            return False
        subscription.stands = False
        if not known:
            del self._tree[pattern]
        self._count -= 1
        return True

    def of(self, channel: str, rule: ChannelPattern | None) -> Iterator[Subscription]:
        """
        Those who hear a channel.

        :param rule: The pattern of the rule that holds for it.
        """
        for _, subscriptions in self._tree.matching(channel):
            for subscription in subscriptions.values():
                if subscription.hears(rule):
                    yield subscription
