# -*- test-case-name: tests.test_channels_web -*-
"""
Channels over HTTP, for whoever may: ``GET /channels/rooms.lobby`` for what is kept and,
after a token, for what is new, at once or when there is some (long polling); the same
as a stream of events (Server-Sent Events; WHATWG HTML, section 9.2) for whom that is
welcome; ``POST`` to publish; ``GET /channels/rooms.lobby/present`` for who is there.

A token is good wherever it comes from: who loses one kind of connection goes on by
another, without a gap and without hearing anything twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import random
from typing import Annotated, Any

from twisted.internet.defer import Deferred, TimeoutError, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import IRequest
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks, within
from ropewalk.errors import (
    BadChannel,
    ChannelFull,
    Forbidden,
    HubFull,
    Invalid,
    TooManyBegun,
)
from ropewalk.hub import Tallies
from ropewalk.hub.spoken import Present, Said, present, said
from ropewalk.interfaces import (
    Caller,
    IHub,
    ISubscriber,
    ITallied,
    Losses,
    Message,
    Presence,
    Resumed,
    Steps,
)
from ropewalk.schema import Meta, Shape, write_json
from ropewalk.web.accept import preferred
from ropewalk.web.answers import Created, Stream
from ropewalk.web.asking import JSON, caller_of, in_body, json_of
from ropewalk.web.parameters import Header, Parameter
from ropewalk.web.repeats import Key, Repeats, StillRunning
from ropewalk.web.routes import Routes, errors

__all__ = ["EVENTS", "ChannelPages", "Heard", "People"]

#: What a stream of events is.
EVENTS = "text/event-stream"

Wait = Annotated[float, Meta(ge=0, le=60, description="seconds from 0 to 60")]
Limit = Annotated[int, Meta(ge=0, le=1000)]

#: What is published.
_BODY = Parameter("body", "body", "body", Any, whole=True)


class Heard(Shape):
    """
    What was heard of a channel.

    :ivar messages: Oldest first.
    :ivar token: What to ask on with, as ``after``.
    :ivar whole: Whether these are all that came after the token that was asked with. If
        not, the history does not reach back so far.
    """

    messages: list[Said]
    token: str
    whole: bool


class People(Shape):
    """
    Who is in a channel.

    :ivar people: Those with a name, in the order in which they came.
    :ivar subscriptions: How many hear it, with a name and without.
    """

    people: list[Present]
    subscriptions: int


class ChannelPages:
    """
    The channels of a daemon, for a web site.

    :param hub: The channels.
    :param clock: Where time comes from.
    :param chance: Gives numbers from 0 to 1, so that not all clients who have lost one
        daemon come back at the same time.
    :cvar beat: Seconds of silence in a stream after which something is sent, so that
        proxies and clients know that it lives.
    :cvar unread: How many events may wait for a client that reads slowly. One more,
        and the stream ends; the client comes back for the rest.
    """

    beat = 15.0
    unread = 100

    routes = Routes()

    def __init__(
        self, hub: IHub, clock: IReactorTime, chance: Callable[[], float] = random
    ) -> None:
        self._hub = hub
        self._clock = clock
        self._chance = chance
        self._repeats = Repeats()

    @routes.get("/<channel>")
    @errors(Forbidden, BadChannel, TooManyBegun, ChannelFull, HubFull)
    @inlineCallbacks
    def hear(
        self,
        request: IRequest,
        channel: str,
        after: str | None = None,
        wait: Wait = 0,
        limit: Limit = 100,
        who: str | None = None,
        last_event_id: Header[str | None] = None,
    ) -> Steps[Heard | Stream]:
        """
        Hear a channel.

        After a token, what has come since; without one, what is kept, or with ``limit``
        0 only a token to begin with. If there is nothing, it waits as long as it may.
        With ``Accept: text/event-stream`` it is a stream of events. ``who`` is a name
        to be present under meanwhile.
        """
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"vary", b"accept")
        caller = caller_of(request)
        if preferred(request, JSON, EVENTS) == EVENTS:
            events = _Events(self._hub, self._clock, channel, self.beat, self.unread)
            events.serve(request, caller)
            # A browser that comes back has heard more than when it came first.
            token = last_event_id or after
            retry = 1000 + int(2000 * self._chance())
            try:
                yield events.begin(token, who, caller, retry)
            except BaseException:
                yield events.aclose()
                raise
            if request.method == b"HEAD":
                yield events.aclose()
                return Stream((), EVENTS)
            # No proxy is to gather what is meant to be told at once.
            request.setHeader(b"x-accel-buffering", b"no")
            return Stream(events, EVENTS)
        if "*" in channel:
            problem = "a pattern is heard as a stream of events, and not by polling"
            raise BadChannel(channel, problem)
        if limit == 0 and after is None:
            now: str = yield self._hub.token(channel, by=caller)
            return Heard([], now, True)
        ear = _Ear(limit, latest=after is None)
        forget = _at_the_end(request, ear.hear_no_more)
        try:
            heard: Heard = yield self._poll(channel, ear, after, wait, who, caller)
        finally:
            forget()
        return heard

    @routes.post("/<channel>", told={"body": _BODY})
    @errors(Forbidden, StillRunning, BadChannel, TooManyBegun, HubFull)
    @inlineCallbacks
    def publish(
        self,
        request: IRequest,
        channel: str,
        wait: bool = False,
        idempotency_key: Header[Key | None] = None,
    ) -> Steps[Created[Said]]:
        """
        Publish the JSON that is the body of the request.

        With ``wait``, wait until whoever hears the channel has room for more.
        """
        body = json_of(request, Any)
        caller = caller_of(request)
        publish = partial(self._hub.publish, channel, body, wait=wait, by=caller)
        try:
            message: Message = yield self._repeats.once(
                request, caller, publish, _size_of
            )
        except Invalid as refused:
            raise in_body(refused) from None
        return Created(said(message))

    @routes.get("/<channel>/present")
    @errors(Forbidden, BadChannel)
    @inlineCallbacks
    def present(self, request: IRequest, channel: str) -> Steps[People]:
        """Tell who is in a channel."""
        caller = caller_of(request)
        people = yield self._hub.present(channel, by=caller)
        attendance = yield self._hub.count(channel, by=caller)
        request.setHeader(b"cache-control", b"no-store")
        return People([present(each) for each in people], attendance.subscriptions)

    @inlineCallbacks
    def _poll(
        self,
        channel: str,
        ear: _Ear,
        after: str | None,
        wait: float,
        who: str | None,
        caller: Caller,
    ) -> Steps[Heard]:
        # Without a token all that is kept is new: as after one that nobody knows.
        resumed: Resumed = yield self._hub.subscribe(
            channel, ear, who, after or "", by=caller
        )
        try:
            if wait and not ear.messages:
                with suppress(TimeoutError):  # there is nothing new, then
                    yield within(wait, ear.hear(), self._clock)
            token = after
            if not ear.messages and after is None:
                token = yield self._hub.token(channel)
        finally:
            yield self._hub.unsubscribe(channel, ear)
        messages = [said(message) for message in ear.messages]
        if messages:
            token = messages[-1].token
        return Heard(messages, token or "", after is None or resumed.whole)


@implementer(ISubscriber)
class _Ear:
    """
    Hears some messages.

    :param limit: How many.
    :param latest: Whether these are the latest; otherwise the first.
    """

    def __init__(self, limit: int, latest: bool) -> None:
        self._limit = limit
        self._latest = latest
        self._first: Deferred[None] | None = None
        self._over = False
        self.messages: deque[Message] = deque(maxlen=limit)

    def hear(self) -> Deferred[None]:
        """Wait for the first, or the end."""
        if self._over:
            return succeed(None)
        self._first = Deferred()
        return self._first

    def hear_no_more(self) -> None:
        """Wait no longer."""
        self._over = True
        first, self._first = self._first, None
        if first is not None and not first.called:
            first.callback(None)

    def deliver(self, message: Message) -> None:
        if self._latest or len(self.messages) < self._limit:
            self.messages.append(message)
        first, self._first = self._first, None
        if first is not None and not first.called:
            first.callback(None)

    def joined(self, channel: str, presence: Presence) -> None:
        """Only what is said is heard."""

    def left(self, channel: str, presence: Presence) -> None:
        """Likewise."""


@implementer(ISubscriber, ITallied)
class _Events:
    """
    What happens in a channel, as events, until the client leaves or reads too slowly.
    """

    _log = Logger()

    def __init__(
        self,
        hub: IHub,
        clock: IReactorTime,
        channel: str,
        beat: float,
        unread: int,
    ) -> None:
        self._hub = hub
        self._clock = clock
        self._channel = channel
        self._many = "*" in channel
        self._beat = beat
        self._unread = unread
        self._bound: int | None = None  # none while it begins: that is the history
        # Messages are written when they are taken: so they are those of the history.
        self._waiting: deque[bytes | Message] = deque()
        self._taker: Deferred[bytes | Message] | None = None
        self._over = self._is_cut = False
        self._forget: Callable[[], None] = lambda: None
        self._tallies = Tallies()
        self._connection: Any = None
        self._who = ""

    def serve(self, request: Any, caller: Caller) -> None:
        """
        Say who hears it. It ends when the site says goodbye: the client comes back to
        another.
        """
        self._forget = _at_the_end(request, self._end)
        self._connection = request.channel
        self._who = caller.user or caller.address or caller.connection

    @inlineCallbacks
    def begin(
        self, after: str | None, who: str | None, caller: Caller, retry: int
    ) -> Steps[None]:
        """
        Subscribe.

        :param retry: Milliseconds after which a client that has lost us comes back.
        """
        resumed: Resumed = yield self._hub.subscribe(
            self._channel, self, who, after, by=caller
        )
        first = b"retry: %d\n\n" % retry
        if not resumed.whole:
            first += _event("gap", {"channel": self._channel, "kept": resumed.missed})
        self._waiting.appendleft(first)
        # Behind what it has missed: who is lost now has all up to here.
        token = None if self._many else (yield self._hub.token(self._channel))
        ready = _event("ready", {"channel": self._channel, "token": token})
        self._waiting.append(_behind(token) + ready)
        self._bound = len(self._waiting) + self._unread

    # What the stream calls.

    def __aiter__(self) -> _Events:
        return self

    @inlineCallbacks
    def __anext__(self) -> Steps[bytes]:
        try:
            event: Any = yield within(self._beat, self._take(), self._clock)
        except TimeoutError:
            # A comment would do, but a page could not hear it.
            return _event("beat", {})
        return self._written(event) if isinstance(event, Message) else event

    def aclose(self) -> Deferred[None]:
        """Nobody is there any more."""
        self._forget()
        if getattr(self._connection, "stalled", False) and not self._is_cut:
            self._cut_off("")
        return self._hub.unsubscribe(self._channel, self)

    # What the hub calls.

    def deliver(self, message: Message) -> None:
        self._add(message, message.channel)
        if self._is_cut:
            self._tallies.lose(message.channel, dropped=1)

    def joined(self, channel: str, presence: Presence) -> None:
        self._come_or_go("joined", channel, presence)

    def left(self, channel: str, presence: Presence) -> None:
        self._come_or_go("left", channel, presence)

    def tally(self, losses: Losses) -> None:
        self._tallies.add(losses)

    # Within.

    def _come_or_go(self, event: str, channel: str, presence: Presence) -> None:
        told = present(presence)
        body = {"channel": channel, "who": told.who, "since": told.since}
        self._add(_event(event, {**body, "data": told.data}), channel)

    def _end(self) -> None:
        self._over = True
        taker, self._taker = self._taker, None
        if taker is not None:
            taker.errback(StopAsyncIteration())

    def _written(self, message: Message) -> bytes:
        # A token belongs to one channel.
        behind = _behind(None if self._many else message.token)
        return b"%bdata: %b\n\n" % (behind, write_json(said(message)))

    def _take(self) -> Deferred[bytes | Message]:
        if self._waiting:
            if self._bound is not None and self._bound > self._unread:
                self._bound -= 1
            return succeed(self._waiting.popleft())
        if self._over:
            return fail(StopAsyncIteration())
        self._taker = Deferred(self._forget_taker)
        return self._taker

    def _add(self, event: bytes | Message, channel: str) -> None:
        taker, self._taker = self._taker, None
        if self._over:
            return
        if taker is not None:
            taker.callback(event)
        elif self._bound is not None and len(self._waiting) >= self._bound:
            # What it has missed by then is kept, or it is told so when it comes back.
            self._cut_off(channel)
        else:
            self._waiting.append(event)

    def _cut_off(self, channel: str) -> None:
        self._over = self._is_cut = True
        self._tallies.lose(channel, cut=1)
        self._log.warn(
            "{who} (events) is let go, since it does not read: it hears {heard}, and "
            "{waiting} events wait",
            who=self._who or "somebody",
            heard=self._channel,
            waiting=len(self._waiting),
        )

    def _forget_taker(self, _: Deferred[bytes | Message]) -> None:
        self._taker = None


def _size_of(message: Message) -> int:
    """Bytes of what is answered to who has published."""
    return len(write_json(said(message)))


def _at_the_end(request: Any, call: Callable[[], None]) -> Callable[[], None]:
    """Have something called when the site of a request says goodbye."""
    forget: Callable[[], None] = request.site.when_draining(call)
    return forget


def _behind(token: str | None) -> bytes:
    """The line that says what to come back with."""
    return b"" if token is None else b"id: %b\n" % token.encode()


def _event(kind: str, data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), write_json(data))
