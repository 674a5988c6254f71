# -*- test-case-name: tests.test_hub -*-
"""
The channels of one process, in its memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from secrets import token_hex
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ropewalk.errors import BadChannel, RopewalkError
from ropewalk.hub.applicants import Applicants
from ropewalk.hub.channels import Channel
from ropewalk.hub.exchange import Exchange
from ropewalk.hub.names import ChannelPattern
from ropewalk.hub.presence import introduce
from ropewalk.hub.rights import Rights
from ropewalk.hub.rules import Rules
from ropewalk.hub.shares import Bounds
from ropewalk.hub.sizes import check_sayable
from ropewalk.interfaces import (
    Attendance,
    Caller,
    ChannelRule,
    HubFigures,
    IAuthoriser,
    IHub,
    ISubscriber,
    Message,
    Presence,
    Resumed,
    Since,
)
from ropewalk.plugin import caller

__all__ = ["MemoryHub"]

T = TypeVar("T")


@implementer(IHub)
@define(eq=False)
class MemoryHub:
    """
    The channels of one process.

    Subscribing, unsubscribing and forgetting take the same time however many
    channels and subscribers there are, but for telling those who are to know.

    :param now: Where the time comes from: seconds since the epoch.
    :param clock: The reactor; what becomes too old, and who is away for too long, is
        found by its time. Without one, rules that need it are refused.
    :param authoriser: Says which callers meet a requirement. Without one, none does.
    :ivar limit: How many subscribers a channel may have, and a pattern.
    :ivar channels: How many channels there may be. One more, and of those that
        nobody is subscribed to, the one where nothing has happened for longest
        is forgotten with its history; its next message is its first again. For a
        channel into which callers may come, only one of the same rule makes room.
        There may be as many patterns that are subscribed to, half of them by callers.
    :ivar from_one: How many of the channels one caller may have begun. One more, and
        one of theirs makes room. It may have begun as many patterns, and as many people
        that it had come may be away.
    :ivar away: How many people may be away, in all channels together. One more, and
        the one who went first has left.
    :ivar history_bytes: Bytes of JSON that all histories may have together, so far as
        their rules bound them. One more, and one of the largest loses its oldest
        message.
    :ivar epoch: What the numberings of its channels are called by; no two hubs should
        have the same.
    """

    _now: Callable[[], float]
    _clock: IReactorTime | None = field(default=None, kw_only=True)
    _authoriser: IAuthoriser | None = field(default=None, kw_only=True)
    limit: int = field(default=10_000, kw_only=True)
    channels: int = field(default=10_000, kw_only=True)
    from_one: int = field(default=1000, kw_only=True)
    away: int = field(default=10_000, kw_only=True)
    history_bytes: int = field(default=256 * 1024 * 1024, kw_only=True)
    epoch: str = field(factory=lambda: token_hex(4), kw_only=True)
    _applicants: Applicants = field(factory=Applicants, init=False)
    _rules: Rules = field(init=False)
    _rights: Rights = field(init=False)
    _exchange: Exchange = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._rules = Rules(self._clock is not None)
        self._rights = Rights(self._rules, self._authoriser)
        bounds = Bounds(
            self.limit, self.channels, self.from_one, self.away, self.history_bytes
        )
        self._exchange = Exchange(
            self._now, self._clock, self._rules, bounds, self.epoch
        )

    # What IHub promises.

    def declare(
        self, pattern: str, rule: ChannelRule, *, replace: bool = False
    ) -> None:
        """See :meth:`ropewalk.interfaces.IHub.declare`."""
        self._rules.declare(pattern, rule, caller(), replace)
        self._exchange.follow()

    def declared(self) -> Mapping[str, ChannelRule]:
        """See :meth:`ropewalk.interfaces.IHub.declared`."""
        return self._rules.declared()

    def subscribe(
        self,
        channel: str,
        subscriber: ISubscriber,
        who: str | None = None,
        after: str | None = None,
        *,
        data: Mapping[str, Any] | None = None,
        retained: bool = False,
        by: Caller | None = None,
    ) -> Deferred[Resumed]:
        """See :meth:`ropewalk.interfaces.IHub.subscribe`."""
        try:
            guest = introduce(who, data)
            if "*" in channel:
                pattern = _many(channel, who, after)
                return self._subscribe_by_pattern(pattern, subscriber, retained, by)
            self._exchange.check(channel)
        except RopewalkError:
            return fail()
        come = partial(
            self._exchange.subscribe, channel, subscriber, guest, after, retained
        )
        if by is None:
            return _attempt(come)
        come = partial(come, by.counts_as)
        allowed = self._rights.to_subscribe(by, channel)
        return self._applicants.admit(channel, subscriber, allowed, lambda _: come())

    def unsubscribe(self, channel: str, subscriber: ISubscriber) -> Deferred[None]:
        """See :meth:`ropewalk.interfaces.IHub.unsubscribe`."""
        self._applicants.withdraw(channel, subscriber)
        if "*" not in channel:
            self._exchange.unsubscribe(channel, subscriber)
            return succeed(None)
        with suppress(BadChannel):  # nobody can have subscribed by it
            self._exchange.unsubscribe_by_pattern(
                ChannelPattern.of(channel), subscriber
            )
        return succeed(None)

    def publish(
        self,
        channel: str,
        body: Any,
        keep: int | None = None,
        *,
        wait: bool = False,
        by: Caller | None = None,
    ) -> Deferred[Message]:
        """See :meth:`ropewalk.interfaces.IHub.publish`."""
        if keep is not None and keep < 0:
            raise ValueError(f"a channel cannot keep {keep} messages")
        exchange = self._exchange
        say = exchange.publish_in_turn if wait else exchange.publish
        try:
            if by is None:
                return say(channel, body, keep)
            exchange.check(channel)
        except RopewalkError:
            return fail()

        def say_it(_: None) -> Deferred[Message]:
            check_sayable(body)
            return say(channel, body, keep, by.counts_as)

        return self._rights.to_publish(by, channel).addCallback(say_it)

    def history(
        self, channel: str, limit: int | None = None, *, by: Caller | None = None
    ) -> Deferred[Sequence[Message]]:
        """See :meth:`ropewalk.interfaces.IHub.history`."""

        def messages(state: Channel | None) -> Sequence[Message]:
            kept = state.history.messages() if state is not None else []
            return kept if limit is None else kept[max(0, len(kept) - limit) :]

        return self._look(channel, by, messages)

    def since(
        self, channel: str, after: str, *, by: Caller | None = None
    ) -> Deferred[Since]:
        """See :meth:`ropewalk.interfaces.IHub.since`."""
        return self._look(channel, by, lambda state: self._exchange.since(state, after))

    def last(
        self, channel: str, *, by: Caller | None = None
    ) -> Deferred[Message | None]:
        """See :meth:`ropewalk.interfaces.IHub.last`."""
        return self._look(
            channel, by, lambda state: state.history.last() if state else None
        )

    def token(self, channel: str, *, by: Caller | None = None) -> Deferred[str]:
        """See :meth:`ropewalk.interfaces.IHub.token`."""
        return self._look(channel, by, self._exchange.token)

    def present(
        self, channel: str, *, by: Caller | None = None
    ) -> Deferred[Sequence[Presence]]:
        """See :meth:`ropewalk.interfaces.IHub.present`."""
        return self._look(
            channel, by, lambda state: list(state.people) if state else []
        )

    def count(self, channel: str, *, by: Caller | None = None) -> Deferred[Attendance]:
        """See :meth:`ropewalk.interfaces.IHub.count`."""
        return self._look(
            channel, by, lambda state: state.count() if state else Attendance()
        )

    def figures(self) -> HubFigures:
        """See :meth:`ropewalk.interfaces.IHub.figures`."""
        return self._exchange.figures()

    def close(self) -> Deferred[None]:
        """See :meth:`ropewalk.interfaces.IHub.close`."""
        self._exchange.close()
        return succeed(None)

    # How.

    def _subscribe_by_pattern(
        self,
        pattern: ChannelPattern,
        subscriber: ISubscriber,
        retained: bool,
        by: Caller | None,
    ) -> Deferred[Resumed]:
        come = partial(
            self._exchange.subscribe_by_pattern, pattern, subscriber, retained
        )
        if by is None:
            return _attempt(partial(come, None))
        come = partial(come, maker=by.counts_as)
        allowed = self._rights.by_pattern(by, pattern)
        return self._applicants.admit(str(pattern), subscriber, allowed, come)

    def _look(
        self, channel: str, by: Caller | None, see: Callable[[Channel | None], T]
    ) -> Deferred[T]:
        """
        Look into a channel, for somebody who may.
        """
        try:
            self._exchange.check(channel)
        except RopewalkError:
            return fail()
        if by is None:
            return succeed(see(self._exchange.look(channel)))
        allowed = self._rights.to_subscribe(by, channel)
        return allowed.addCallback(lambda _: see(self._exchange.look(channel)))


def _many(channel: str, who: str | None, after: str | None) -> ChannelPattern:
    """
    The pattern that somebody wants to hear.

    :raise BadChannel: When it is none, or what goes with it does not go with many
        channels.
    """
    pattern = ChannelPattern.of(channel)
    if after is not None:
        raise BadChannel(channel, "a token belongs to one channel, and these are many")
    if who is not None:
        raise BadChannel(channel, "one is present in one channel, and these are many")
    return pattern


def _attempt(function: Callable[[], T]) -> Deferred[T]:
    """What a function returns, or a Deferred that fails with what it refuses."""
    try:
        return succeed(function())
    except RopewalkError:
        return fail()
