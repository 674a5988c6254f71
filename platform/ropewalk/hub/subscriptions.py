# -*- test-case-name: tests.test_hub -*-
"""
Who hears a channel: by its name, by a pattern, or both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from attrs import define, field
from msgspec import Struct

from ropewalk.errors import ChannelFull, HubFull, TooManyBegun
from ropewalk.hub.names import ChannelPattern
from ropewalk.hub.shares import Bounds, Maker
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

    :param bounds: How many there may be for a pattern; how many patterns in all, and
        how many that one caller has begun. All callers together have half of them.
    """

    _bounds: Bounds
    _makers: dict[ChannelPattern, Maker] = field(factory=dict, init=False)
    _begun: Counter[Maker] = field(factory=Counter, init=False)
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
        maker: Maker = None,
    ) -> tuple[Subscription, bool]:
        """
        :param maker: Who subscribes.
        :return: the subscription, and whether it is new. To one that there was, what
            is allowed now counts.
        :raise ChannelFull: When the pattern has as many subscribers as it may.
        :raise HubFull: When there are as many patterns as there may be.
        :raise TooManyBegun: When as many are there that the caller has begun.
        """
        known = self._tree.get(pattern)
        subscription = (known or {}).get(id(subscriber))
        new = subscription is None
        if subscription is None:
            if known is None:
                known = self._begin(pattern, maker)
            elif len(known) >= self._bounds.subscribers:
                raise ChannelFull(str(pattern), self._bounds.subscribers)
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
            self._end(pattern)
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

    def _begin(self, pattern: ChannelPattern, maker: Maker) -> dict[int, Subscription]:
        """Have a pattern that nobody has subscribed to, if there is room for it."""
        most = self._bounds.channels
        if len(self._tree) >= most:
            raise HubFull(most, what="patterns")
        if maker is not None:
            self._see_that_room_for(maker)
        self._makers[pattern] = maker
        self._begun[maker] += 1
        known: dict[int, Subscription] = {}
        self._tree[pattern] = known
        return known

    def _see_that_room_for(self, maker: Maker) -> None:
        """
        :raise TooManyBegun: When a caller has begun as many as one may,
        :raise HubFull: or all callers have.
        """
        bounds = self._bounds
        if self._begun[maker] >= bounds.from_one:
            raise TooManyBegun(bounds.from_one, "patterns")
        if len(self._tree) - self._begun[None] >= bounds.open:
            raise HubFull(bounds.open, what="patterns")

    def _end(self, pattern: ChannelPattern) -> None:
        """Nobody subscribes to it any more."""
        del self._tree[pattern]
        maker = self._makers.pop(pattern)
        self._begun[maker] -= 1
        if not self._begun[maker]:
            del self._begun[maker]
