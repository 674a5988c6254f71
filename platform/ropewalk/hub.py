# -*- test-case-name: tests.test_hub -*-
"""
Channels: what is published into one reaches everyone subscribed to it.

The hub knows nothing of sockets. A WebSocket, a TCP connection and a job can
each be an :class:`~ropewalk.interfaces.ISubscriber`, and each is tested with a
list.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from secrets import token_hex
from typing import Any, Literal

import msgspec
from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from ropewalk.errors import ChannelFull, HubFull, MailboxFull
from ropewalk.interfaces import IHub, ISubscriber, Message, Presence, Resumed

__all__ = ["Mailbox", "MemoryHub"]

#: Digits of a number that there will never be so many messages as.
_LONGEST = 20


class _Subscription(msgspec.Struct, eq=False):
    """
    :ivar stands: Whether it has not been given up.
    """

    subscriber: ISubscriber
    who: str | None
    stands: bool = True


class _Guest(msgspec.Struct, eq=False):
    """
    Somebody who is present.

    :ivar count: How many subscriptions stand under the name.
    """

    presence: Presence
    count: int = 1


class _Channel(msgspec.Struct, eq=False):
    """
    One channel's state.

    :ivar subscriptions: By the ``id`` of the subscriber, in order of arrival;
        a subscriber need not be hashable.
    """

    name: str
    epoch: str
    sequence: int = 0
    history: deque[Message] = msgspec.field(default_factory=deque)
    subscriptions: dict[int, _Subscription] = {}
    guests: dict[str, _Guest] = {}

    def missed(self, after: str | None) -> tuple[list[Message], bool]:
        """
        What is kept of what came after a message, and whether that is all; everything
        that is kept, if it is not. Without a message, nothing is missed.
        """
        if after is None:
            return [], True
        kept = list(self.history)
        epoch, _, digits = after.rpartition(".")
        known = epoch == self.epoch and digits.isascii() and digits.isdigit()
        place = int(digits) if known and len(digits) < _LONGEST else -1
        new = self.sequence - place
        if place < 0 or not 0 <= new <= len(kept):
            return kept, False
        return kept[len(kept) - new :], True


class _News(msgspec.Struct, frozen=True, eq=False):
    """
    Something that happened in a channel.

    :ivar to: The subscriptions that stood when it happened.
    :ivar tell: How to tell a subscriber of it.
    :ivar told: Called when everybody has been told.
    """

    channel: str
    to: tuple[_Subscription, ...]
    tell: Callable[[ISubscriber], None]
    told: Callable[[], None]


def _deliver(message: Message, subscriber: ISubscriber) -> None:
    subscriber.deliver(message)


def _nothing() -> None:
    """Nobody waits."""


@implementer(IHub)
@define(eq=False)
class MemoryHub:
    """
    The channels of one process.

    Subscribing, unsubscribing and forgetting take the same time however many
    channels and subscribers there are, but for telling those who are to know.

    :param now: Where the time comes from: seconds since the epoch.
    :ivar limit: How many subscribers a channel may have.
    :ivar channels: How many channels there may be. One more, and of those that
        nobody is subscribed to, the one where nothing has happened for longest
        is forgotten with its history; its next message is its first again.
    :ivar epoch: What the numberings of its channels are called by; no two hubs should
        have the same.
    """

    _now: Callable[[], float]
    limit: int = field(default=10_000, kw_only=True)
    channels: int = field(default=10_000, kw_only=True)
    epoch: str = field(factory=lambda: token_hex(4), kw_only=True)
    _numbers: Iterator[int] = field(factory=lambda: count(1), init=False)
    _channels: dict[str, _Channel] = field(factory=dict, init=False)
    _idle: OrderedDict[str, None] = field(factory=OrderedDict, init=False)
    _news: deque[_News] = field(factory=deque, init=False)
    _telling: bool = field(default=False, init=False)
    _log = Logger()

    def subscribe(
        self,
        channel: str,
        subscriber: ISubscriber,
        who: str | None = None,
        after: str | None = None,
    ) -> Deferred[Resumed]:
        """See :meth:`ropewalk.interfaces.IHub.subscribe`."""
        resumed = Resumed()
        state = self._channels.get(channel)
        subscriptions = state.subscriptions if state is not None else {}
        known = subscriptions.get(id(subscriber))
        if state is None or known is None:
            if len(subscriptions) >= self.limit:
                return fail(ChannelFull(channel, self.limit))
            try:
                state = self._channel(channel)
            except HubFull:
                return fail()
            messages, whole = state.missed(after)
            known = _Subscription(subscriber, who)
            state.subscriptions[id(subscriber)] = known
            self._idle.pop(channel, None)
            resumed = Resumed(len(messages), whole)
            self._resume(state, known, messages)
            self._come(state, who)
        elif known.who != who:
            # The subscription stays: what it has still to hear is not lost.
            before, known.who = known.who, who
            self._go(state, before)
            self._come(state, who)
        self._tell_all()
        return succeed(resumed)

    def unsubscribe(self, channel: str, subscriber: ISubscriber) -> Deferred[None]:
        """See :meth:`ropewalk.interfaces.IHub.unsubscribe`."""
        state = self._channels.get(channel)
        if state is None:
            return succeed(None)
        known = state.subscriptions.pop(id(subscriber), None)
        if known is not None:
            known.stands = False
            if not state.subscriptions:
                self._idle[channel] = None
                if not state.sequence:
                    # Nothing was ever said here: a channel that was only
                    # looked at leaves nothing behind.
                    self._forget(channel)
            self._go(state, known.who)
            self._tell_all()
        return succeed(None)

    def publish(self, channel: str, body: Any, keep: int = 100) -> Deferred[Message]:
        """See :meth:`ropewalk.interfaces.IHub.publish`."""
        if keep < 0:
            raise ValueError(f"a channel cannot keep {keep} messages")
        try:
            state = self._channel(channel)
        except HubFull:
            return fail()
        if state.history.maxlen != keep:
            state.history = deque(state.history, keep)
        if channel in self._idle:
            self._idle.move_to_end(channel)
        state.sequence += 1
        message = Message(channel, state.sequence, self._now(), body, state.epoch)
        state.history.append(message)
        done: Deferred[Message] = Deferred()
        self._note(state, partial(_deliver, message), lambda: done.callback(message))
        self._tell_all()
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
        guests = state.guests.values() if state is not None else ()
        return succeed([guest.presence for guest in guests])

    def _channel(self, name: str) -> _Channel:
        """
        A channel, made if need be, and if need be in the place of another.
        """
        state = self._channels.get(name)
        if state is None:
            if len(self._channels) >= self.channels:
                if not self._idle:
                    raise HubFull(self.channels)
                self._forget(next(iter(self._idle)))
            epoch = f"{self.epoch}-{next(self._numbers)}"
            state = self._channels[name] = _Channel(name, epoch)
            self._idle[name] = None
        return state

    def _forget(self, name: str) -> None:
        del self._channels[name], self._idle[name]

    def _resume(
        self, state: _Channel, subscription: _Subscription, messages: list[Message]
    ) -> None:
        """
        Have somebody hear what was missed, before whatever is still to come.
        """
        for message in messages:
            tell = partial(_deliver, message)
            self._news.append(_News(state.name, (subscription,), tell, _nothing))

    def _come(self, state: _Channel, who: str | None) -> None:
        """
        A subscription stands under a name.
        """
        if who is None:
            return
        if who in state.guests:
            state.guests[who].count += 1
            return
        presence = Presence(who, self._now())
        state.guests[who] = _Guest(presence)
        self._note(state, lambda each: each.joined(state.name, presence))

    def _go(self, state: _Channel, who: str | None) -> None:
        """
        A subscription does not stand under a name any more.
        """
        if who is None:
            return
        guest = state.guests[who]
        guest.count -= 1
        if not guest.count:
            del state.guests[who]
            self._note(state, lambda each: each.left(state.name, guest.presence))

    def _note(
        self,
        state: _Channel,
        tell: Callable[[ISubscriber], None],
        told: Callable[[], None] = _nothing,
    ) -> None:
        """
        Something is to be told to everybody who is in a channel now.
        """
        to = tuple(state.subscriptions.values())
        self._news.append(_News(state.name, to, tell, told))

    def _tell_all(self) -> None:
        """
        Tell what is to be told, after what is being told now.

        A subscriber that publishes from inside ``deliver`` would otherwise have
        its message overtake the one being delivered. For the same reason nobody
        is told anything while the state of a channel is being changed.
        """
        if self._telling:
            return
        self._telling = True
        try:
            while self._news:
                self._tell_now(self._news.popleft())
        finally:
            self._telling = False

    def _tell_now(self, news: _News) -> None:
        """
        Tell each subscriber. One that raises is logged and skipped: a bad
        connection does not silence a channel.
        """
        for subscription in news.to:
            if not subscription.stands:
                continue  # it was given up while others were being told
            try:
                news.tell(subscription.subscriber)
            except Exception:
                self._log.failure(
                    "{subscriber!r} could not take what {channel} had for it",
                    subscriber=subscription.subscriber,
                    channel=news.channel,
                )
        news.told()


@implementer(ISubscriber)
class Mailbox:
    """
    A subscriber that keeps messages until somebody takes them, with ``async for
    message in mailbox`` or one by one. However slowly that goes, the channel does not
    wait, and memory does not grow.

    :param limit: How many messages may wait, 1 or more.
    :param when_full: What becomes of one more: ``"cut"`` lets it not in, and nothing
        after it; whoever takes has what waits, and then is told so by
        :exc:`~ropewalk.errors.MailboxFull`. ``"oldest"`` drops the oldest.
    :param key: Of the messages for which it gives the same, something hashable, only
        the last one waits: of prices, say, the latest is all that anybody wants.
        ``None`` keeps all.
    :ivar dropped: How many nobody can take because it was full.
    :ivar replaced: How many a later one has taken the place of.
    """

    def __init__(
        self,
        limit: int = 100,
        when_full: Literal["cut", "oldest"] = "cut",
        key: Callable[[Message], Any] | None = None,
    ) -> None:
        if limit < 1:
            raise ValueError(f"a mailbox cannot keep {limit} messages")
        if when_full not in ("cut", "oldest"):
            raise ValueError(f'when_full is "cut" or "oldest", not {when_full!r}')
        self.limit = limit
        self.dropped = self.replaced = 0
        self._drops = when_full == "oldest"
        self._key = key
        self._messages: OrderedDict[Any, Message] = OrderedDict()
        self._taker: Deferred[Message] | None = None
        self._end: Callable[[], Exception] | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._messages)

    # A mailbox is there also when it is empty.
    def __bool__(self) -> bool:
        return True

    def take(self) -> Deferred[Message]:
        """
        Take the next message.

        :return: fires with it, when there is one. Cancelling it before takes nothing.
        :raise MailboxFull: When more came than may wait.
        :raise StopAsyncIteration: When it is closed, and nothing waits.
        :raise RuntimeError: When somebody takes already.
        """
        if self._taker is not None:
            raise RuntimeError("somebody takes from this mailbox already")
        if self._messages:
            return succeed(self._messages.popitem(last=False)[1])
        if self._end is not None:
            return fail(self._end())
        self._taker = Deferred(self._forget_taker)
        return self._taker

    def close(self) -> None:
        """
        Let nothing more in. What waits can still be taken; then the ``async for`` ends.
        """
        self._finish(StopAsyncIteration)

    def __aiter__(self) -> Mailbox:
        return self

    def __anext__(self) -> Deferred[Message]:
        return self.take()

    # What the hub calls.

    def deliver(self, message: Message) -> None:
        """See :meth:`ropewalk.interfaces.ISubscriber.deliver`."""
        if self._end is not None:
            self.dropped += self._end is not StopAsyncIteration
            return
        key = object() if self._key is None else self._key(message)
        taker, self._taker = self._taker, None
        if taker is not None:
            taker.callback(message)
            return
        if self._messages.pop(key, None) is not None:
            self.replaced += 1
        elif len(self._messages) == self.limit:
            self.dropped += 1
            if not self._drops:
                self._finish(partial(MailboxFull, self.limit))
                return
            self._messages.popitem(last=False)
        self._messages[key] = message

    def joined(self, channel: str, presence: Presence) -> None:
        """Who comes is no message; a subclass may care."""

    def left(self, channel: str, presence: Presence) -> None:
        """Nor is who leaves."""

    def _finish(self, end: Callable[[], Exception]) -> None:
        if self._end is None:
            self._end = end
            taker, self._taker = self._taker, None
            if taker is not None:
                taker.errback(end())

    def _forget_taker(self, _: Deferred[Message]) -> None:
        self._taker = None
