# -*- test-case-name: tests.test_hub -*-
"""
Channels: what is published into one reaches everyone subscribed to it.

The hub knows nothing of sockets. A WebSocket, a TCP connection and a job can
each be an :class:`~ropewalk.interfaces.ISubscriber`, and each is tested with a
list.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from attrs import Factory, define, field, frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from ropewalk.errors import ChannelFull, HubFull
from ropewalk.interfaces import IHub, ISubscriber, Message, Presence

__all__ = ["MemoryHub"]


@frozen(eq=False)
class _Subscription:
    subscriber: ISubscriber
    who: str | None


@define
class _Channel:
    """
    One channel's state.

    :ivar subscriptions: By the ``id`` of the subscriber, in order of arrival;
        a subscriber need not be hashable.
    :ivar counts: How many subscriptions stand under each name that is present.
    """

    name: str
    history: deque[Message]
    sequence: int = 0
    subscriptions: dict[int, _Subscription] = Factory(dict)
    present: dict[str, Presence] = Factory(dict)
    counts: Counter[str] = Factory(Counter)


#: A channel, who was in it, how to tell each of them, what to do then.
_Telling = tuple[
    _Channel, list[_Subscription], Callable[[ISubscriber], None], Callable[[], None]
]


@implementer(IHub)
@define
class MemoryHub:
    """
    The channels of one process.

    :param now: Where the time comes from: seconds since the epoch.
    :ivar limit: How many subscribers a channel may have.
    :ivar channels: How many channels there may be. One more, and the one that
        has been silent for longest, and that nobody is subscribed to, is
        forgotten with its history.
    """

    _now: Callable[[], float]
    limit: int = field(default=10_000, kw_only=True)
    channels: int = field(default=10_000, kw_only=True)
    _channels: dict[str, _Channel] = field(factory=dict, init=False)
    _waiting: deque[_Telling] = field(factory=deque, init=False)
    _delivering: bool = field(default=False, init=False)
    _log = Logger()

    def subscribe(
        self, channel: str, subscriber: ISubscriber, who: str | None = None
    ) -> Deferred[None]:
        """See :meth:`ropewalk.interfaces.IHub.subscribe`."""
        try:
            state = self._channel(channel)
        except HubFull:
            return fail()
        known = state.subscriptions.get(id(subscriber))
        if known is not None:
            if known.who == who:
                return succeed(None)
            self._remove(state, known)
        if len(state.subscriptions) >= self.limit:
            return fail(ChannelFull(channel, self.limit))
        state.subscriptions[id(subscriber)] = _Subscription(subscriber, who)
        if who is not None:
            state.counts[who] += 1
            if who not in state.present:
                presence = state.present[who] = Presence(who, self._now())
                self._tell(state, lambda each: each.joined(channel, presence))
        return succeed(None)

    def unsubscribe(self, channel: str, subscriber: ISubscriber) -> Deferred[None]:
        """See :meth:`ropewalk.interfaces.IHub.unsubscribe`."""
        state = self._channels.get(channel)
        if state is not None and (known := state.subscriptions.get(id(subscriber))):
            self._remove(state, known)
            if not state.subscriptions and not state.sequence:
                # Nothing was ever said here: a channel that was only looked
                # at leaves nothing behind.
                del self._channels[channel]
        return succeed(None)

    def publish(self, channel: str, body: Any, keep: int = 100) -> Deferred[Message]:
        """See :meth:`ropewalk.interfaces.IHub.publish`."""
        try:
            state = self._channel(channel)
        except HubFull:
            return fail()
        if state.history.maxlen != keep:
            state.history = deque(state.history, keep)
        # The dict's order is that of the last publication.
        self._channels[channel] = self._channels.pop(channel)
        state.sequence += 1
        message = Message(channel, state.sequence, self._now(), body)
        state.history.append(message)
        done: Deferred[Message] = Deferred()
        self._tell(
            state, lambda each: each.deliver(message), lambda: done.callback(message)
        )
        return done

    def history(
        self, channel: str, limit: int | None = None
    ) -> Deferred[Sequence[Message]]:
        """See :meth:`ropewalk.interfaces.IHub.history`."""
        state = self._channels.get(channel)
        messages = list(state.history) if state is not None else []
        if limit is not None:
            messages = messages[max(0, len(messages) - limit) :]
        return succeed(messages)

    def present(self, channel: str) -> Deferred[Sequence[Presence]]:
        """See :meth:`ropewalk.interfaces.IHub.present`."""
        state = self._channels.get(channel)
        return succeed(list(state.present.values()) if state is not None else [])

    def _channel(self, name: str) -> _Channel:
        state = self._channels.get(name)
        if state is None:
            if len(self._channels) >= self.channels:
                self._forget_one()
            state = self._channels[name] = _Channel(name, deque())
        return state

    def _forget_one(self) -> None:
        for name, state in self._channels.items():
            if not state.subscriptions:
                del self._channels[name]
                return
        raise HubFull(self.channels)

    def _remove(self, state: _Channel, subscription: _Subscription) -> None:
        del state.subscriptions[id(subscription.subscriber)]
        who = subscription.who
        if who is None:
            return
        state.counts[who] -= 1
        if not state.counts[who]:
            del state.counts[who]
            presence = state.present.pop(who)
            self._tell(state, lambda each: each.left(state.name, presence))

    def _tell(
        self,
        state: _Channel,
        how: Callable[[ISubscriber], None],
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Tell everybody in a channel, after whoever is being told something now.

        A subscriber that publishes from inside ``deliver`` would otherwise
        have its message overtake the one being delivered.
        """
        subscriptions = list(state.subscriptions.values())
        self._waiting.append((state, subscriptions, how, then))
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._waiting:
                self._tell_now(*self._waiting.popleft())
        finally:
            self._delivering = False

    def _tell_now(
        self,
        state: _Channel,
        subscriptions: list[_Subscription],
        how: Callable[[ISubscriber], None],
        then: Callable[[], None],
    ) -> None:
        """
        Tell each subscriber. One that raises is logged and skipped: a bad
        connection does not silence a channel.
        """
        for subscription in subscriptions:
            subscriber = subscription.subscriber
            if state.subscriptions.get(id(subscriber)) is not subscription:
                continue  # left while others were being told
            try:
                how(subscriber)
            except Exception:
                self._log.failure(
                    "{subscriber!r} could not take what {channel} had for it",
                    subscriber=subscriber,
                    channel=state.name,
                )
        then()
