# -*- test-case-name: tests.test_hub -*-
"""
Where subscribers and messages meet: what a hub of one process does at once, for whoever
may do it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ropewalk.errors import ChannelFull, HubClosed
from ropewalk.hub.absent import Absent, Seat
from ropewalk.hub.channels import Channel
from ropewalk.hub.names import ChannelPattern, check_name
from ropewalk.hub.pacing import Pace, Turn
from ropewalk.hub.presence import Introduction
from ropewalk.hub.rules import Declared, Rules
from ropewalk.hub.shares import Bounds, Maker
from ropewalk.hub.stock import Stock
from ropewalk.hub.subscriptions import ByPattern, Hearer, Subscription, each_once
from ropewalk.hub.table import Table
from ropewalk.hub.tallies import Ledger
from ropewalk.hub.telling import News, Teller
from ropewalk.hub.timetable import Timetable
from ropewalk.interfaces import (
    HubFigures,
    ISubscriber,
    ITallied,
    Losses,
    Message,
    Presence,
    Resumed,
    Since,
)

__all__ = ["Exchange"]


def _deliver(message: Message, subscriber: ISubscriber) -> None:
    subscriber.deliver(message)


@define(eq=False)
class Exchange:
    """
    The channels and who hears them.

    :param now: Where the time comes from: seconds since the epoch.
    :param clock: What becomes too old, and who is away for too long, is found by its
        time; without one, nothing does and nobody is.
    :param rules: What holds for the channels.
    :param bounds: How much there may be of all.
    :param epoch: What the numberings are called by.
    """

    _now: Callable[[], float]
    _clock: IReactorTime | None
    _rules: Rules
    _bounds: Bounds
    _epoch: str
    _teller: Teller = field(factory=Teller, init=False)
    _published: int = field(default=0, init=False)
    _losses: Ledger = field(init=False)
    _closed: bool = field(default=False, init=False)
    _timetable: Timetable = field(init=False)
    _channels: Table = field(init=False)
    _stock: Stock = field(init=False)
    _by_pattern: ByPattern = field(init=False)
    _absent: Absent = field(init=False)
    _pace: Pace = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._timetable = Timetable(self._clock, self.look)
        rule_of = self._rules.of
        bounds = self._bounds
        self._channels = Table(bounds, self._epoch, rule_of, self._leave)
        self._stock = Stock(bounds.history)
        self._losses = Ledger(of=self._losses_of)
        self._by_pattern = ByPattern(bounds)
        self._absent = Absent(bounds)
        self._pace = Pace(lambda: self._teller.telling)

    def follow(self) -> None:
        """
        Other rules hold from now on.
        """
        now = self._timetable.now()
        for state in self._channels:
            state.follow(self._rules.of(state.name), now)
            self._timetable.remind(state.name, state.due())
            self._stock.note(state)
        self._channels.follow()

    def check(self, channel: str) -> None:
        """
        :raise BadChannel: When something is no channel's name.
        """
        if channel not in self._channels:
            check_name(channel)

    def figures(self) -> HubFigures:
        """See :meth:`ropewalk.interfaces.IHub.figures`."""
        for state in self._channels:
            self.look(state.name)
        return HubFigures(
            published=self._published,
            delivered=self._teller.delivered,
            raised=self._teller.raised,
            dropped=self._losses.dropped,
            replaced=self._losses.replaced,
            cut=self._losses.cut,
            patterns=len(self._by_pattern),
            size=self._stock.size,
            channels={each.name: each.figures() for each in self._channels},
        )

    def close(self) -> None:
        """
        Let nobody in any more, and have nothing wait: neither in the clock, nor for
        room.
        """
        self._closed = True
        self._timetable.close()
        self._pace.close()

    # Coming and going.

    def subscribe(
        self,
        channel: str,
        subscriber: ISubscriber,
        guest: Introduction,
        after: str | None,
        retained: bool,
        maker: Maker = None,
    ) -> Resumed:
        """
        Have somebody hear a channel. The parameters are those of
        :meth:`ropewalk.interfaces.IHub.subscribe`, but that ``maker`` begins the
        channel, if there is none.

        :raise ChannelFull: When the channel is full.
        :raise HubClosed: When the hub is.
        :raise HubFull: When there can be no other channel.
        :raise TooManyBegun: When the maker can begin no other.
        """
        self._see_that_open(channel)
        state = self.look(channel)
        known = state.subscriptions.get(id(subscriber)) if state is not None else None
        resumed = Resumed()
        if state is None or known is None:
            state = self._channel_for_one_more(channel, maker)
            if after == self._channels.dawn:
                after = state.dawn
            messages, whole = state.missed(after)
            resumed = Resumed(len(messages), whole)
            if retained and after is None and (last := state.history.last()):
                messages = [last]
            known = self._enter(state, subscriber, guest.who, maker)
            self._resume(state, known, messages)
            self._come(state, guest)
        elif known.who != guest.who:
            # The subscription stays: what it has still to hear is not lost.
            before, known.who = known.who, guest.who
            self._go(state, before, None)
            self._come(state, guest)
        else:
            state.people.say(guest)
        self._tell_all()
        return resumed

    def since(self, state: Channel | None, after: str) -> Since:
        """See :meth:`ropewalk.interfaces.IHub.since`."""
        if state is None:
            return Since([], after == self._channels.dawn)
        dawn = after == self._channels.dawn
        return Since(*state.missed(state.dawn if dawn else after))

    def token(self, state: Channel | None) -> str:
        """See :meth:`ropewalk.interfaces.IHub.token`."""
        if state is None or not state.sequence:
            return self._channels.dawn
        return f"{state.epoch}.{state.sequence}"

    def _channel_for_one_more(self, name: str, maker: Maker) -> Channel:
        """A channel in which there is room for one more."""
        state = self._channels.get(name)
        if state is not None:
            limit = state.declared.rule.limit or self._bounds.subscribers
            if len(state.subscriptions) >= limit:
                raise ChannelFull(name, limit)
            return state
        return self._channels.make(name, maker)

    def _enter(
        self, state: Channel, subscriber: ISubscriber, who: str | None, maker: Maker
    ) -> Subscription:
        subscription = Subscription.of(subscriber, who, maker)
        self._tally(subscriber)
        state.add(subscription)
        self._channels.occupy(state.name)
        return subscription

    def unsubscribe(self, channel: str, subscriber: ISubscriber) -> None:
        """
        Have somebody hear a channel no more.
        """
        state = self._channels.get(channel)
        known = state.remove(subscriber) if state is not None else None
        if state is None or known is None:
            return
        away = state.declared.rule.away
        until = self._timetable.now() + away if away else None
        self._go(state, known.who, until, known.maker)
        if not state.subscriptions:
            self._channels.vacate(state.name)
            self._forget_if_empty(state)
        self._tell_all()
        self._pace.gone(subscriber)

    # By a pattern.

    def subscribe_by_pattern(
        self,
        pattern: ChannelPattern,
        subscriber: ISubscriber,
        retained: bool,
        allowed: frozenset[ChannelPattern] | None,
        maker: Maker = None,
    ) -> Resumed:
        """
        Have somebody hear all channels that match a pattern.

        :param allowed: The patterns of the rules whose channels may be heard; ``None``
            for all channels.
        :raise ChannelFull: When the pattern has as many subscribers as it may.
        :raise HubClosed: When the hub is closed.
        :raise HubFull: When there are as many patterns as there may be.
        :raise TooManyBegun: When the maker can begin no other.
        """
        self._see_that_open(str(pattern))
        known = self._known_to(subscriber, pattern) if retained else {}
        subscription, new = self._by_pattern.add(pattern, subscriber, allowed, maker)
        self._tally(subscriber)
        if new:
            for state, heard in known.items():
                last = state.history.last()
                if last and not heard and subscription.hears(state.declared.pattern):
                    self._resume(state, subscription, [last])
        self._tell_all()
        return Resumed()

    def unsubscribe_by_pattern(
        self, pattern: ChannelPattern, subscriber: ISubscriber
    ) -> None:
        """
        Have somebody hear no more by a pattern.
        """
        if self._by_pattern.remove(pattern, subscriber):
            self._tell_all()
            self._pace.gone(subscriber)

    def _tally(self, subscriber: ISubscriber) -> None:
        """Have what somebody does not take be counted here, too."""
        if ITallied.providedBy(subscriber):
            counts: Any = subscriber
            counts.tally(self._losses)

    def _losses_of(self, channel: str) -> Losses | None:
        state = self._channels.get(channel)
        return state.losses if state is not None else None

    def _known_to(
        self, subscriber: ISubscriber, pattern: ChannelPattern
    ) -> dict[Channel, bool]:
        """The channels that match, and whether somebody hears them already."""
        for state in self._channels:
            if pattern.matches(state.name):
                self.look(state.name)
        return {
            state: any(
                hearer.subscriber is subscriber
                for hearer in state.hearers(self._by_pattern)
            )
            for state in self._channels
            if pattern.matches(state.name)
        }

    # Publishing.

    def publish(
        self, channel: str, body: Any, keep: int | None, maker: Maker = None
    ) -> Deferred[Message]:
        """
        Publish now. The parameters are those of
        :meth:`ropewalk.interfaces.IHub.publish`, and of :meth:`subscribe`.

        :return: fires with the message when everybody has been told.
        :raise BadChannel: When it is no channel's name.
        :raise HubClosed: When the hub is closed.
        :raise HubFull: When there can be no other channel.
        :raise Invalid: When the body does not have its shape, or no size.
        :raise TooManyBegun: When the maker can begin no other.
        """
        state = self._channels.get(channel)
        declared = state.declared if state is not None else self._declared(channel)
        self._see_that_open(channel)
        size = 0
        if declared.looks:
            body = declared.read(body)
            size = declared.size(body)
        if state is None:
            state = self._channels.make(channel, maker)
        if not state.subscriptions:
            self._channels.happened(channel)
        state.sequence += 1
        self._published += 1
        message = Message(channel, state.sequence, self._now(), body, state.epoch)
        if keep is None:
            keep = declared.rule.keep
        state.history.add(message, self._timetable.now(), size, keep)
        if size:  # otherwise nobody counts here
            self._stock.note(state)
        if declared.expires:
            self._timetable.remind(channel, state.history.due())
        done: Deferred[Message] = Deferred()
        to = state.hearers(self._by_pattern)
        tell = partial(_deliver, message)
        self._teller.note(
            News(channel, to, tell, lambda: done.callback(message), is_message=True)
        )
        self._tell_all()
        return done

    def publish_in_turn(
        self, channel: str, body: Any, keep: int | None, maker: Maker = None
    ) -> Deferred[Message]:
        """
        Publish when there is room, and wait until there is room again. What cannot be
        published is refused at once, as far as that can be told.

        :raise BadChannel: When it is no channel's name.
        :raise HubClosed: When the hub is closed, before or while it waits.
        :raise Invalid: When the body does not have its shape.
        """
        value = self._declared(channel).read(body)
        self._see_that_open(channel)
        turn = Turn(
            lambda: self._hearers(channel),
            lambda: self.publish(channel, value, keep, maker),
        )
        return self._pace.enter(channel, turn)

    def _hearers(self, channel: str) -> Sequence[Hearer]:
        """Who would hear a channel now, if there is such a channel or not."""
        state = self._channels.get(channel)
        if state is not None:
            return state.hearers(self._by_pattern)
        rule = self._rules.of(channel).pattern
        return each_once(self._by_pattern.of(channel, rule))

    def _see_that_open(self, channel: str) -> None:
        """
        :raise HubClosed: When nothing happens in channels any more.
        """
        if self._closed:
            raise HubClosed(channel)

    # Channels.

    def look(self, name: str) -> Channel | None:
        """
        Have what is over in a channel be over, and look again when the next thing is.

        :return: the channel, if there is such a one.
        """
        state = self._channels.get(name)
        if state is None or self._clock is None:
            return state
        now = self._timetable.now()
        state.history.expire(now)
        self._stock.note(state)
        for presence in state.people.expire(now):
            self._left(state, presence)
        self._timetable.remind(name, state.due())
        if not state.subscriptions:
            self._forget_if_empty(state)
        self._tell_all()
        return self._channels.get(name)

    def _declared(self, channel: str) -> Declared:
        """
        What holds for a channel, if there is such a channel or not.

        :raise BadChannel: When it is no channel's name.
        """
        state = self._channels.get(channel)
        if state is not None:
            return state.declared
        check_name(channel)
        return self._rules.of(channel)

    def _forget_if_empty(self, state: Channel) -> None:
        """
        Where nothing was ever said, and nobody is waited for: a channel that was only
        looked at leaves nothing behind.
        """
        if not state.sequence and not state.people:
            self._channels.forget(state.name)

    def _leave(self, state: Channel) -> None:
        """
        A channel will be forgotten.
        """
        for presence in state.people:  # they are away, with nothing to come back to
            self._left(state, presence)
        self._timetable.forget(state.name)
        self._stock.forget(state)

    # News.

    def _resume(
        self, state: Channel, subscription: Subscription, messages: Sequence[Message]
    ) -> None:
        """
        Have somebody hear what was missed, before whatever is still to come.
        """
        for message in messages:
            tell = partial(_deliver, message)
            self._teller.note(News(state.name, (subscription,), tell, is_message=True))

    def _come(self, state: Channel, guest: Introduction) -> None:
        """
        A subscription stands under a name.
        """
        at = self._now() if guest.who is not None else 0.0
        presence = state.people.come(guest, at)
        if guest.who is not None:
            self._absent.discard((state.name, guest.who))
        if presence is not None:
            self._note(state, lambda each: each.joined(state.name, presence))

    def _go(
        self,
        state: Channel,
        who: str | None,
        until: float | None,
        maker: Maker = None,
    ) -> None:
        """
        A subscription does not stand under a name any more.
        """
        presence = state.people.go(who, until)
        if presence is not None:
            self._left(state, presence)
        elif who is not None and state.people.is_away(who):
            self._timetable.remind(state.name, state.people.due())
            self._dismiss(self._absent.add((state.name, who), maker))

    def _dismiss(self, seat: Seat | None) -> None:
        """Wait no longer for somebody, if anybody has to leave."""
        state = self._channels.get(seat[0]) if seat is not None else None
        if seat is None or state is None:
            return
        self._left(state, state.people.leave(seat[1]))
        if not state.subscriptions:
            self._forget_if_empty(state)

    def _left(self, state: Channel, presence: Presence) -> None:
        self._absent.discard((state.name, presence.who))
        self._note(state, lambda each: each.left(state.name, presence))

    def _note(self, state: Channel, tell: Callable[[ISubscriber], None]) -> None:
        """
        Something is to be told to everybody who hears a channel now.
        """
        to = state.hearers(self._by_pattern)
        self._teller.note(News(state.name, to, tell))

    def _tell_all(self) -> None:
        """Tell what is to be told, then let in those who wait to publish."""
        self._teller.tell()
        self._pace.told()
