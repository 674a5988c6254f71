# -*- test-case-name: tests.test_hub_pacing -*-
"""
Publishers that wait until their subscribers have room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk import awaiting
from ropewalk.errors import HubClosed
from ropewalk.hub.subscriptions import Hearer
from ropewalk.interfaces import ISubscriber, Message

__all__ = ["Pace", "Turn"]


@define(eq=False)
class Turn:
    """
    One publisher that waits.

    :ivar audience: Who would hear the message if it were published now.
    :ivar publish: Publishes it.
    :ivar give_up: Called when the publisher waits no more.
    :ivar done: Fires with the message when all that it went to have room again.
    """

    audience: Callable[[], Sequence[Hearer]]
    publish: Callable[[], Deferred[Message]]
    give_up: Callable[[], None] = field(default=lambda: None, init=False)
    done: Deferred[Message] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.done = Deferred(lambda _: self.give_up())


@define(eq=False)
class _Wait:
    """
    Waits until each of an audience has had room, or is gone.

    :ivar then: Called when that is so, once.
    """

    pace: Pace
    audience: Sequence[Hearer]
    then: Callable[[], object]
    _next: int = field(default=0, init=False)
    _ready: Deferred[None] | None = field(default=None, init=False)

    def proceed(self) -> None:
        """Look at the next of the audience, until there is one to wait for."""
        while self._next < len(self.audience):
            ready = self.pace.room(self.audience[self._next])
            if ready is not None:
                self.hold(ready)
                return
            self._next += 1
        self.then()

    def hold(self, ready: Deferred[None]) -> None:
        """Wait for the next of the audience."""
        self._ready = ready
        self.pace.watch(self._subscriber, self)
        ready.addBoth(self._arrived, ready)

    def look_again(self) -> None:
        """The one that it waits for may be gone."""
        if not self.audience[self._next].stands:
            self.end()
            self.proceed()

    def end(self) -> None:
        """Wait no more."""
        ready, self._ready = self._ready, None
        if ready is not None:
            self.pace.unwatch(self._subscriber, self)
            ready.cancel()

    def give_in(self) -> None:
        """Wait no more, as if all had room; not if it was ended before."""
        if self._ready is not None:
            self.end()
            self.then()

    @property
    def _subscriber(self) -> ISubscriber:
        return self.audience[self._next].subscriber

    def _arrived(self, result: object, ready: Deferred[None]) -> None:
        if ready is not self._ready:
            return  # it is not waited for any more
        if isinstance(result, Failure):
            self.pace.complain(result, self._subscriber)
        self._ready = None
        self.pace.unwatch(self._subscriber, self)
        self._next += 1
        self.proceed()


@define(eq=False)
class Pace:
    """
    Those who wait to publish, in a queue for each channel. The first is let in when all
    subscribers have room, and everything that was to be told has been told: so it adds
    one message to what each has, and none of them has more than it wants.

    :param telling: Whether something is being told.
    """

    _telling: Callable[[], bool]
    _queues: dict[str, deque[Turn]] = field(factory=dict, init=False)
    _heads: dict[str, _Wait] = field(factory=dict, init=False)
    _busy: set[str] = field(factory=set, init=False)

    #: The channels to look at when everything has been told.
    _later: dict[str, None] = field(factory=dict, init=False)

    #: Who waits for whom, by the ``id`` of the subscriber.
    _waits: dict[int, list[_Wait]] = field(factory=dict, init=False)
    _closed: bool = field(default=False, init=False)
    _log = Logger()

    def enter(self, channel: str, turn: Turn) -> Deferred[Message]:
        """
        Publish when it is one's turn.

        :return: ``turn.done``.
        """
        turn.give_up = lambda: self._leave(channel, turn)
        self._queues.setdefault(channel, deque()).append(turn)
        self.admit(channel)
        return turn.done

    def admit(self, channel: str) -> None:
        """
        Let in who can be let in.
        """
        queue = self._queues.get(channel)
        if queue is None or channel in self._busy:
            return
        if self._telling():
            self._later[channel] = None
            return
        self._busy.add(channel)
        try:
            while queue and self._has_room(channel, queue[0]):
                self._publish(queue.popleft())
        finally:
            self._busy.discard(channel)
        if not queue:
            self._queues.pop(channel, None)
            self._stop_waiting(channel)

    def told(self) -> None:
        """
        Everything has been told: look at what was put off until then.
        """
        while self._later and not self._telling():
            channel = next(iter(self._later))
            del self._later[channel]
            self.admit(channel)

    def gone(self, subscriber: ISubscriber) -> None:
        """
        A subscriber may be waited for in vain.
        """
        for wait in tuple(self._waits.get(id(subscriber), ())):
            wait.look_again()

    def close(self) -> None:
        """
        Have nobody wait any more, now or later. Who has published has; who has not is
        refused with :exc:`~ropewalk.errors.HubClosed`.
        """
        self._closed = True
        for channel in tuple(self._heads):
            self._stop_waiting(channel)
        for wait in [each for several in self._waits.values() for each in several]:
            wait.give_in()
        for channel, queue in tuple(self._queues.items()):
            while queue:
                turn = queue.popleft()
                turn.give_up = lambda: None
                turn.done.errback(HubClosed(channel))
        self._queues.clear()

    # What those who wait call.

    def room(self, hearer: Hearer) -> Deferred[None] | None:
        """
        What to wait for until somebody has room; ``None`` when they have, or are gone.
        """
        if not hearer.paced or not hearer.stands or self._closed:
            return None
        subscriber: object = hearer.subscriber
        try:
            ready: Deferred[None] | None = subscriber.ready()  # type: ignore[attr-defined]
        except Exception:
            self.complain(Failure(), hearer.subscriber)
            return None
        return None if ready is None or ready.called else ready

    def watch(self, subscriber: ISubscriber, wait: _Wait) -> None:
        """Say if somebody is gone."""
        self._waits.setdefault(id(subscriber), []).append(wait)

    def unwatch(self, subscriber: ISubscriber, wait: _Wait) -> None:
        """There is no need any more to say so."""
        waits = self._waits[id(subscriber)]
        waits.remove(wait)
        if not waits:
            del self._waits[id(subscriber)]

    def complain(self, failure: Failure, subscriber: ISubscriber) -> None:
        """Log that somebody could not say whether they have room."""
        self._log.failure(
            "{subscriber!r} could not say whether it has room",
            failure,
            subscriber=subscriber,
        )

    def _has_room(self, channel: str, turn: Turn) -> bool:
        """
        Whether everybody has room now. If not, look again when that may have changed.
        """
        self._stop_waiting(channel)
        for hearer in turn.audience():
            ready = self.room(hearer)
            if ready is not None:
                head = _Wait(self, (hearer,), lambda: self.admit(channel))
                self._heads[channel] = head
                head.hold(ready)
                return False
        return True

    def _stop_waiting(self, channel: str) -> None:
        """The first in a queue need not wait any more."""
        head = self._heads.pop(channel, None)
        if head is not None:
            head.end()

    def _publish(self, turn: Turn) -> None:
        audience = turn.audience()
        turn.give_up = lambda: None  # it is too late, but the wait is over

        def told(message: Message) -> None:
            wait = _Wait(self, audience, lambda: turn.done.callback(message))
            turn.give_up = wait.end
            if not turn.done.called:  # it may have been cancelled meanwhile
                wait.proceed()

        awaiting.run(turn.publish).addCallbacks(told, turn.done.errback)

    def _leave(self, channel: str, turn: Turn) -> None:
        """
        Somebody waits no more, and has not published.
        """
        self._queues[channel].remove(turn)
        self.admit(channel)
