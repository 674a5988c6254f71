# -*- test-case-name: tests.test_client -*-
"""
By HTTP: streams of events, or asking again and again.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    DNSLookupError,
)
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.awaiting import inlineCallbacks, within
from ropewalk.client.calls import Call, Refused
from ropewalk.client.offers import Offer
from ropewalk.client.pages import Pages
from ropewalk.client.records import Misunderstood, Present, Said, read
from ropewalk.client.subscriptions import Subscription
from ropewalk.client.ways import Owner, Way, exactly
from ropewalk.interfaces import Steps
from ropewalk.wire.events import Event, EventReader
from ropewalk.wire.jsonrpc import JSON

__all__ = ["ByEvents", "ByPolling"]

#: What says that nobody was asked.
_UNREACHED = (ConnectError, ConnectingCancelledError, DNSLookupError)

#: What is asked of a channel's pages.
_OF_CHANNELS = ("rpc.history", "rpc.present", "rpc.publish")

#: The status of what a way cannot do (RFC 9110, section 15.6.2).
_NOT_HERE = 501

#: Messages that are asked for at once.
_AT_ONCE = 100


class ByHTTP(Way):
    """
    What both ways by HTTP do.

    :param channels: Where channels are.
    :param operations: Where operations are.
    :param silence: As of :class:`ropewalk.client.conversation.ByConnection`.
    :cvar name: What it is called.
    """

    name: str

    _log = Logger()

    def __init__(
        self, owner: Owner, silence: float, pages: Pages, channels: str, operations: str
    ) -> None:
        super().__init__(owner, silence)
        self._pages = pages
        self._channels = channels
        self._operations = operations
        self._patience = 1.5 * silence
        self._open = False
        self._stopped = False
        self._tasks: dict[object, Deferred[Any]] = {}

    @abstractmethod
    def follow(self, subscription: Subscription) -> Deferred[None]:
        """Hear a channel, as long as it goes."""

    def start(self) -> None:
        self._do(self, self._begin(), self._failed)

    def stop(self) -> Deferred[None]:
        self._stopped = True
        for key in tuple(self._tasks):
            self._end(key)
        return succeed(None)

    def subscribe(self, subscription: Subscription) -> None:
        if self._open and not self._stopped and subscription.stands:
            failed = partial(self._unheard, subscription)
            self._do(subscription, self.follow(subscription), failed)

    def unsubscribe(self, subscription: Subscription) -> None:
        self._end(subscription)

    def offer(self, offer: Offer) -> None:
        """Nobody can be asked for something by HTTP."""
        if self._open and not self._stopped:
            problem = f"nothing can be offered by {self.name}"
            waits = f"{offer.name} waits for another way"
            offer.hold(Refused(f"{problem}: {waits}", _NOT_HERE))

    def withdraw(self, offer: Offer) -> None:
        """There is nothing to be done."""

    def send(self, call: Call) -> None:
        asked = self._ask(call).addCallback(call.answer)
        self._do(call, asked, partial(self._unanswered, call))

    def cancel(self, call: Call) -> None:
        self._end(call)

    # Tasks.

    def _do(
        self, key: object, task: Deferred[Any], failed: Callable[[Failure], None]
    ) -> None:
        """Have something be done until the end."""
        self._tasks[key] = task

        def over(outcome: Any) -> Any:
            if self._tasks.get(key) is not task:
                return None  # nobody waits for it any more
            del self._tasks[key]
            return outcome

        task.addBoth(over)
        task.addErrback(failed)
        task.addErrback(
            lambda failure: self._log.failure("a client has gone wrong", failure)
        )

    def _end(self, key: object) -> None:
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()

    # Beginning.

    @inlineCallbacks
    def _begin(self) -> Steps[None]:
        """Whoever answers, whatever it says, is there."""
        try:
            asked = self._pages.ask("HEAD", self._operations)
            yield within(self.opening, asked, self.owner.clock)
        except Refused as refused:
            if refused.status >= 500:
                raise
        self._open = True
        self.reached()
        for subscription in tuple(self.owner.subscriptions.values()):
            self.subscribe(subscription)
        for offer in tuple(self.owner.offers.values()):
            self.offer(offer)
        self.owner.opened(self)

    def reached(self) -> None:
        """The daemon has answered."""

    # Asking.

    def _ask(self, call: Call) -> Deferred[Any]:
        params = call.params
        if call.method not in _OF_CHANNELS:
            address = f"{self._operations}/{quote(call.method, safe='')}"
            return self._pages.ask("POST", address, params)
        channel = JSON.decode(params["channel"])
        if call.method == "rpc.publish":
            return self._pages.ask("POST", self._address(channel), params["body"])
        if call.method == "rpc.present":
            return self._pages.ask("GET", self._address(channel) + "/present")
        return self._history(channel, JSON.decode(params["limit"]))

    def _history(self, channel: str, limit: int | None) -> Deferred[Any]:
        asked = self._pages.ask("GET", self._address(channel, limit=limit))
        return asked.addCallback(lambda told: _member(told, "messages"))

    def _address(self, channel: str, **query: Any) -> str:
        address = f"{self._channels}/{quote(channel, safe='')}"
        asked = exactly(query)
        return f"{address}?{urlencode(asked)}" if asked else address

    @inlineCallbacks
    def settle(self, subscription: Subscription) -> Steps[None]:
        """See to it that a subscription knows where it begins."""
        if subscription.token is None and not subscription.is_pattern:
            asked = self._history(subscription.channel, 1)
            told = yield within(self.opening, asked, self.owner.clock)
            messages = read(list[Said], told)
            subscription.settle(messages[-1] if messages else None)

    # What goes wrong.

    def _unanswered(self, call: Call, failure: Failure) -> None:
        error: Any = failure.value
        if failure.check(Refused):
            call.refuse(error)
        elif failure.check(*_UNREACHED):
            self.owner.unsent(call)
            self._failed(failure)
        elif failure.check(Misunderstood):
            call.refuse(Refused(f"the daemon has said something strange: {error}"))
        else:
            call.lose()

    def _unheard(self, subscription: Subscription, failure: Failure) -> None:
        error: Any = failure.value
        if failure.check(Refused):
            self.reject(subscription, error)
        else:
            self._failed(failure)

    def _failed(self, failure: Failure) -> None:
        reached = not failure.check(*_UNREACHED)
        self.owner.lost(self, failure.getErrorMessage(), reached=reached)


class ByEvents(ByHTTP):
    """
    Hears each channel by a stream of events.
    """

    name = "events"

    def reached(self) -> None:
        if not self.owner.subscriptions:
            self.owner.proved(self)  # so far as one can say

    @inlineCallbacks
    def follow(self, subscription: Subscription) -> Steps[None]:
        yield self.settle(subscription)
        after = None if subscription.is_pattern else subscription.token
        address = self._address(subscription.channel, after=after, who=subscription.who)
        reader = EventReader(self._pages.longest)
        stream = _Stream(subscription, reader, lambda: self.owner.proved(self))
        subscription.begin()
        asked = self._pages.listen(address, stream.take)
        (ended,) = yield within(self.opening, asked, self.owner.clock)
        timer = _Timer(self.owner.clock, self._patience, ended.cancel)
        stream.alive = timer.reset
        try:
            yield ended
        finally:
            timer.stop()
        raise TimeoutError("the stream has ended")


class ByPolling(ByHTTP):
    """
    Asks for what is new in each channel, again and again. The daemon waits with its
    answer until there is something.
    """

    name = "poll"

    def reached(self) -> None:
        self.owner.proved(self)

    @inlineCallbacks
    def follow(self, subscription: Subscription) -> Steps[None]:
        yield self.settle(subscription)
        while subscription.stands and not self._stopped:
            address = self._address(
                subscription.channel,
                after=subscription.token,
                wait=round(self._patience * 5 / 9, 3),  # 25 seconds of 45
                limit=_AT_ONCE,
            )
            subscription.begin()
            asked = self._pages.ask("GET", address)
            told = yield within(self._patience, asked, self.owner.clock)
            messages = read(list[Said], _member(told, "messages"))
            subscription.began(_member(told, "whole") is True)
            for said in messages:
                subscription.take(said)


class _Stream:
    """
    What is told of a channel in a stream of events.

    :param proved: Called when the first thing has come.
    :ivar alive: Called when something has come.
    """

    def __init__(
        self,
        subscription: Subscription,
        reader: EventReader,
        proved: Callable[[], None],
    ) -> None:
        self.alive: Callable[[], None] = _nothing
        self._subscription = subscription
        self._proved = proved
        self._reader = reader
        self._begun = False

    def take(self, data: bytes) -> None:
        """
        Something has come.

        :raise Misunderstood: When it is nothing that a daemon would say.
        """
        self.alive()
        if not self._begun:
            self._begun = True
            self._proved()
            self._subscription.began(whole=True)
        for event in self._reader.feed(data):
            self._tell(event)

    def _tell(self, event: Event) -> None:
        if event.kind == "message":
            self._subscription.take(read(Said, _json(event)))
        elif event.kind == "gap":
            self._subscription.lacks()
        elif event.kind in ("joined", "left"):
            self._subscription.meet(event.kind, read(Present, _json(event)))


class _Timer:
    """
    Calls something when nothing was heard for a while.
    """

    def __init__(
        self, clock: IReactorTime, seconds: float, call: Callable[[], object]
    ) -> None:
        self._seconds = seconds
        self._call = clock.callLater(seconds, call)

    def reset(self) -> None:
        """Something was heard."""
        if self._call.active():
            self._call.reset(self._seconds)

    def stop(self) -> None:
        """It does not matter any more."""
        if self._call.active():
            self._call.cancel()


def _nothing() -> None:
    """Nobody is to be told."""


def _json(event: Event) -> Any:
    return JSON.decode(event.data.encode())


def _member(told: Any, name: str) -> Any:
    """
    A member of an answer.

    :raise Misunderstood: When it has no such one.
    """
    if not isinstance(told, dict) or name not in told:
        raise Misunderstood(f"expected an object with {name!r}")
    return told[name]
