# -*- test-case-name: tests.test_calls_channels -*-
"""
The channels that one peer hears, and what it does there. It knows no connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal

from msgspec import Raw
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.logger import Logger
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import (
    Fault,
    Invalid,
    NoSuchOperation,
    RopewalkError,
    TooManyChannels,
)
from ropewalk.hub import ChannelPattern, Mailbox, Tallies
from ropewalk.hub.spoken import present, said
from ropewalk.interfaces import (
    Caller,
    IHub,
    IPaced,
    ISubscriber,
    ITallied,
    Losses,
    Message,
    Presence,
    Resumed,
    Since,
    Steps,
)
from ropewalk.schema import Meta, Shape, nearest, read, write_json
from ropewalk.wire.jsonrpc import notification

__all__ = ["METHODS", "Channels"]

#: Characters of a method that nobody knows which are shown.
_SHOWN = 80

#: How often what has come meanwhile is told before somebody hears it as it comes. Who
#: is slower than that is as slow later.
_PASSES = 100

#: Channels that are named in the log when a peer is let go that hears them.
_NAMED = 3

#: Messages that may wait for a peer that reads slowly and has said what to do then.
_WAITING = 100


class Subscribe(Shape):
    """
    What ``rpc.subscribe`` takes: as :meth:`ropewalk.interfaces.IHub.subscribe`.

    :ivar slow: What becomes of messages for which the peer reads too slowly: ``"cut"``
        ends the connection, ``"oldest"`` drops the oldest of those that wait. Who
        subscribes again leaves that as it is.
    :ivar latest: A member of the bodies, if of the messages that have the same there
        only the last one matters: ``"symbol"``. The oldest are dropped then, too.
    """

    channel: str
    who: str | None = None
    data: dict[str, Any] | None = None
    after: str | None = None
    retained: bool = False
    slow: Literal["cut", "oldest"] = "cut"
    latest: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class OfChannel(Shape):
    """
    What ``rpc.unsubscribe`` and ``rpc.present`` take.
    """

    channel: str


class Publish(Shape):
    """
    What ``rpc.publish`` takes.

    :ivar wait: Whether to wait until whoever hears it has room for more.
    """

    channel: str
    body: Any
    wait: bool = False


class History(Shape):
    """
    What ``rpc.history`` takes.
    """

    channel: str
    limit: Annotated[int, Meta(ge=0)] | None = None


@implementer(ISubscriber, IPaced, ITallied)
class Channels:
    """
    The channels of one peer, on whatever connection.

    :param hub: The channels of the daemon.
    :param tell: Sends a notification.
    :param write: Makes bytes of a value, in the format of the connection.
    :param room: As :meth:`ropewalk.interfaces.IPaced.ready`, of the connection.
    :param most: How many channels and patterns it may hear.
    :ivar lossy: Whether what is told may get lost, so that who hears a channel may have
        missed something all the same.
    """

    _log = Logger()

    def __init__(
        self,
        hub: IHub,
        tell: Callable[[dict[str, Any]], None],
        write: Callable[[Any], bytes],
        room: Callable[[], Deferred[None] | None],
        most: int,
    ) -> None:
        self._hub = hub
        self._tell = tell
        self._write = write
        self._room = room
        self._most = most
        self._heard: dict[str, Any] = {}  # subscribers
        self._over = self._is_cut = False
        self._telling = ""  # of which channel
        self._tallies = Tallies()
        self.lossy = False

    def __len__(self) -> int:
        """How many it hears."""
        return len(self._heard)

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | Sequence[Any],
        caller: Caller,
        *,
        progress: Callable[[Any], None] | None = None,
        write: Callable[[Any], Any],
    ) -> Deferred[Any]:
        """
        Do what is asked with a channel: as
        :meth:`ropewalk.operations.Operations.call`.
        """
        found = _METHODS.get(method)
        if found is None:
            return fail(NoSuchOperation(method[:_SHOWN], nearest(method, METHODS)))
        shape, do = found
        try:
            asked = read(shape, params)
        except RopewalkError:
            return fail()
        answered: Deferred[Any] = do(self, asked, caller)
        return answered.addCallback(write)

    def end(self) -> None:
        """Hear nothing more."""
        self._over = True
        for channel in tuple(self._heard):
            self._forget(channel)

    def cut_off(self, caller: Caller) -> None:
        """
        Hear nothing more, since the peer does not read. That is counted and logged, if
        it hears something.

        :param caller: Who the peer is.
        """
        if self._over or not self._heard:
            return
        self._over = self._is_cut = True
        self._tallies.lose(self._telling, cut=1)
        heard = [*self._heard]
        self._log.warn(
            "{who} ({via}) is let go, since it does not read: it hears {heard}",
            who=caller.user or caller.address or caller.connection or "somebody",
            via=caller.via,
            heard=", ".join(heard[:_NAMED]) + " …" * (len(heard) > _NAMED),
        )

    # What the hub calls.

    def deliver(self, message: Message) -> None:
        if not self._over:
            told = notification("rpc.message", Raw(self._write(said(message))))
            self._tell_of(message.channel, told)
        if self._is_cut:
            self._tallies.lose(message.channel, dropped=1)

    def joined(self, channel: str, presence: Presence) -> None:
        self._meet("rpc.joined", channel, presence)

    def left(self, channel: str, presence: Presence) -> None:
        self._meet("rpc.left", channel, presence)

    def ready(self) -> Deferred[None] | None:
        return self._room()

    def tally(self, losses: Losses) -> None:
        self._tallies.add(losses)

    def _tell_of(self, channel: str, told: dict[str, Any]) -> None:
        self._telling = channel
        try:
            self._tell(told)
        finally:
            self._telling = ""

    def _meet(self, event: str, channel: str, presence: Presence) -> None:
        if self._over:
            return
        told = present(presence)
        body = {"channel": channel, "who": told.who, "since": told.since}
        self._tell_of(channel, notification(event, {**body, "data": told.data}))

    # What is asked for.

    @inlineCallbacks
    def _subscribe(self, asked: Subscribe, caller: Caller) -> Steps[Any]:
        channel = asked.channel
        before = self._heard.get(channel)
        if before is None and len(self._heard) >= self._most:
            raise TooManyChannels(self._most)
        if before is None:
            self._refuse_twice(asked)
        subscriber = before or self._subscriber(asked)
        self._heard[channel] = subscriber
        after, told = asked.after, Since([])
        try:
            if after is not None and self._may_have_missed(channel, before):
                told = yield self._tell_missed(channel, after, caller)
                after = told.messages[-1].token if told.messages else after
            resumed: Resumed = yield self._hub.subscribe(
                channel,
                subscriber,
                asked.who,
                after,
                data=asked.data,
                retained=asked.retained,
                by=caller,
            )
        except BaseException:
            if before is None and self._heard.get(channel) is subscriber:
                self._forget(channel)
            raise
        token = None  # it belongs to one channel
        if "*" not in channel:
            token = yield self._hub.token(channel)
        missed = len(told.messages) + resumed.missed
        whole = told.whole and resumed.whole
        return {"missed": missed, "whole": whole, "token": token}

    @inlineCallbacks
    def _tell_missed(self, channel: str, after: str, caller: Caller) -> Steps[Since]:
        """
        Tell what was missed, as fast as the peer reads it: it may be more than may wait
        for one that does not. What comes meanwhile is told as well.

        :return: what was told.
        """
        told: list[Message] = []
        whole = True
        if self.lossy:  # what there is no room for is lost
            yield self.ready()
        for _ in range(_PASSES):
            since: Since = yield self._hub.since(channel, after, by=caller)
            whole = whole and since.whole
            if not since.messages:
                break
            for message in since.messages:
                self.deliver(message)
                told.append(message)
                room = self.ready()
                if room is not None:
                    yield room
                if self._over or channel not in self._heard:
                    raise CancelledError
            after = told[-1].token
        return Since(told, whole)

    def _may_have_missed(self, channel: str, before: Any) -> bool:
        """
        Whether it is told here, rather than by the hub, what it has missed.

        :param before: What has heard the channel until now, if something has.
        """
        if before is None:
            return self._hears_alone(channel)
        return self.lossy and "*" not in channel

    def _hears_alone(self, channel: str) -> bool:
        """Whether nothing else that it hears has messages of a channel."""
        if isinstance(self._heard[channel], _Slow) or "*" in channel:
            return False
        return not any(
            "*" in other and ChannelPattern.of(other).matches(channel)
            for other in self._heard
        )

    def _refuse_twice(self, asked: Subscribe) -> None:
        """
        :raise Invalid: When somebody who reads slowly would hear something twice.
        """
        slow = asked.slow != "cut" or asked.latest is not None
        wanted = ChannelPattern.of(asked.channel)
        for channel, subscriber in self._heard.items():
            if not slow and not isinstance(subscriber, _Slow):
                continue
            if ChannelPattern.of(channel).meets(wanted):
                problem = (
                    f"{channel!r} is heard already, and has channels of this: with "
                    "'slow' or 'latest', each channel is to be heard in one way"
                )
                raise Invalid((Fault("channel", problem),))

    @inlineCallbacks
    def _unsubscribe(self, asked: OfChannel, caller: Caller) -> Steps[Any]:
        yield self._forget(asked.channel)
        return None

    @inlineCallbacks
    def _publish(self, asked: Publish, caller: Caller) -> Steps[Any]:
        message: Message = yield self._hub.publish(
            asked.channel, asked.body, wait=asked.wait, by=caller
        )
        return said(message)

    @inlineCallbacks
    def _history(self, asked: History, caller: Caller) -> Steps[Any]:
        messages: Sequence[Message] = yield self._hub.history(
            asked.channel, asked.limit, by=caller
        )
        return [said(each) for each in messages]

    @inlineCallbacks
    def _present(self, asked: OfChannel, caller: Caller) -> Steps[Any]:
        people: Sequence[Presence] = yield self._hub.present(asked.channel, by=caller)
        attendance = yield self._hub.count(asked.channel, by=caller)
        return {
            "people": [present(each) for each in people],
            "subscriptions": attendance.subscriptions,
        }

    def _subscriber(self, asked: Subscribe) -> ISubscriber:
        if asked.slow == "cut" and asked.latest is None:
            return self  # the connection has a bound of its own
        return _Slow(self, asked.latest)

    def _forget(self, channel: str) -> Deferred[None]:
        """Hear a channel no longer."""
        subscriber = self._heard.pop(channel, None)
        if isinstance(subscriber, _Slow):
            subscriber.stop()
        return self._hub.unsubscribe(channel, subscriber or self)


class _Slow(Mailbox):
    """
    Keeps the messages of a channel for a peer that reads slowly, and tells them one by
    one as there is room.

    :param latest: As with :class:`Subscribe`.
    """

    _log = Logger()

    def __init__(self, channels: Channels, latest: str | None) -> None:
        key = None if latest is None else partial(_told_apart, latest)
        super().__init__(_WAITING, "oldest", key)
        self._channels = channels
        self._telling = self._tell_on()

    def joined(self, channel: str, presence: Presence) -> None:
        self._channels.joined(channel, presence)

    def left(self, channel: str, presence: Presence) -> None:
        self._channels.left(channel, presence)

    def tally(self, losses: Losses) -> None:
        super().tally(losses)
        self._channels.tally(losses)

    def stop(self) -> None:
        """Tell nothing more."""
        self._telling.cancel()

    @inlineCallbacks
    def _tell_on(self) -> Steps[None]:
        with suppress(CancelledError):
            while True:
                message: Message = yield self.take()
                try:
                    self._channels.deliver(message)
                except Exception:
                    self._log.failure("{message} cannot be told", message=message)
                room = self._channels.ready()
                if room is not None:
                    yield room


def _told_apart(member: str, message: Message) -> Any:
    """What tells messages apart of which only the last one matters."""
    body = message.body
    if isinstance(body, Mapping):
        value = body.get(member, message)
    else:
        value = getattr(body, member, message)
    try:
        hash(value)
    except TypeError:
        value = write_json(value)
    return message.channel, value


_METHODS: dict[str, tuple[Any, Callable[[Channels, Any, Caller], Deferred[Any]]]] = {
    "rpc.history": (History, Channels._history),
    "rpc.present": (OfChannel, Channels._present),
    "rpc.publish": (Publish, Channels._publish),
    "rpc.subscribe": (Subscribe, Channels._subscribe),
    "rpc.unsubscribe": (OfChannel, Channels._unsubscribe),
}

#: What can be asked for.
METHODS = tuple(_METHODS)
