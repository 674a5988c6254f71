# -*- test-case-name: tests.test_client -*-
"""
What a client wants of a daemon, and by which way it has it:

.. code-block:: text

    connecting --opened--> open --lost--> connecting … --close--> closed

It knows no connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Raw
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ropewalk.client.calls import Call, Refused
from ropewalk.client.offers import Offer
from ropewalk.client.subscriptions import Subscription
from ropewalk.client.ways import Maker, Way
from ropewalk.wire.jsonrpc import JSON, MSGPACK

__all__ = ["Session"]

#: Attempts by a way that never opens before the next way is tried.
_PATIENCE = 2

#: Seconds that are waited between two attempts at most.
_LONGEST_PAUSE = 60.0

#: Likewise where the daemon says how many: nobody is to be away for days.
_LONGEST_WAIT = 3600.0

#: Doublings after which a pause does not grow any more, whatever it began with.
_DOUBLINGS = 30


class Session:
    """
    The calls and subscriptions of a client, from one connection to the next.

    :param make: Makes a way of its name.
    :param ways: The names, the best first.
    :param most: How many calls may wait for a connection.
    :param pause: Seconds before the first new attempt.
    :param chance: Gives numbers from 0 to 1.
    :param changed: Told of each new state.
    :param packed: Whether what is said is said in msgpack in the end.
    :ivar state: ``"connecting"``, ``"open"`` or ``"closed"``.
    :ivar subscriptions: By channel or pattern.
    :ivar offers: By name.
    """

    _log = Logger()

    def __init__(
        self,
        make: Maker,
        clock: IReactorTime,
        ways: Sequence[str],
        most: int,
        pause: float,
        chance: Callable[[], float],
        changed: Callable[[str], object] | None = None,
        packed: bool = False,
    ) -> None:
        self.clock = clock
        self.state = "connecting"
        self.subscriptions: dict[str, Subscription] = {}
        self.offers: dict[str, Offer] = {}
        self._make = make
        self._ways = deque(ways)
        self._most = most
        self._pause = pause
        self._chance = chance
        self._changed = changed
        self._packed = packed
        self._calls: dict[int, Call] = {}
        self._number = 0
        self._way: Way | None = None
        self._proved = False
        self._blamed = 0  # attempts by this way that were its failures
        self._failures = 0  # attempts since one was good
        self._timer: IDelayedCall | None = None
        self._ending: list[Deferred[None]] = []

    @property
    def way(self) -> str:
        """What it talks by, or tries to."""
        return self._ways[0]

    def start(self) -> None:
        """Connect."""
        self._timer = None
        self._proved = False
        self._way = self._make(self.way, self)
        self._way.start()

    # What a client calls.

    def subscribe(self, subscription: Subscription) -> None:
        """
        Hear a channel.

        :raise ValueError: When it is heard already.
        :raise TypeError: When what is said of it cannot be said in JSON.
        :raise Refused: After it was closed.
        """
        channel = subscription.channel
        self._in_json([subscription.who, subscription.data, subscription.token])
        if self.state == "closed":
            raise Refused("closed")
        if channel in self.subscriptions:
            raise ValueError(f"{channel} is subscribed to already")
        self.subscriptions[channel] = subscription
        if self._way is not None:
            self._way.subscribe(subscription)

    def leave(self, subscription: Subscription) -> None:
        """Hear a channel no longer."""
        if self.subscriptions.get(subscription.channel) is subscription:
            del self.subscriptions[subscription.channel]
            if self._way is not None:
                self._way.forget(subscription)
                self._way.unsubscribe(subscription)

    def offer(self, offer: Offer) -> None:
        """
        Offer an operation.

        :raise ValueError: When it is offered already.
        :raise Refused: After it was closed.
        """
        if self.state == "closed":
            raise Refused("closed")
        if offer.name in self.offers:
            raise ValueError(f"{offer.name} is offered already; stop that offer first")
        self.offers[offer.name] = offer
        if self._way is not None:
            self._way.offer(offer)

    def withdraw(self, offer: Offer) -> None:
        """Offer it no longer."""
        if self.offers.get(offer.name) is offer:
            del self.offers[offer.name]
            if self._way is not None:
                self._way.forget(offer)
                self._way.withdraw(offer)

    def ask(
        self,
        method: str,
        params: Mapping[str, Any],
        deadline: float,
        progress: Callable[[Any], object] | None = None,
    ) -> Deferred[Any]:
        """
        Ask for something, now or when there is a connection.

        :return: fires with the answer. Cancelling it cancels the call.
        :raise Refused: When it was refused, took too long, was under way when a
            connection was lost, or when too many wait for one.
        :raise TypeError: When the parameters cannot be said in JSON.
        :raise ValueError: Likewise, or at once when there is no time.
        :raise OverflowError: When a number in them cannot be said in msgpack.
        """
        if not deadline > 0:
            raise ValueError(f"a deadline is more than 0 seconds, not {deadline!r}")
        if self.state == "closed":
            return fail(Refused("closed"))
        waiting = sum(not call.sent for call in self._calls.values())
        if self.state != "open" and waiting >= self._most:
            return fail(Refused(f"{waiting} calls wait for a connection already"))
        try:
            said = {name: self._in_json(value) for name, value in params.items()}
        except (TypeError, ValueError, OverflowError, RecursionError):
            return fail()
        self._number += 1
        number = self._number
        done: Deferred[Any] = Deferred(lambda _: self._give_up(number))
        call = Call(number, method, said, progress, done)
        self._calls[number] = call
        done.addBoth(self._forget, number)
        call.timer = self.clock.callLater(deadline, self._expire, call, deadline)
        if self.state == "open":
            self._send(call)
        return done

    def close(self) -> Deferred[None]:
        """
        Leave, for good.

        :return: fires when no connection is left.
        """
        if self.state != "closed":
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._stop()
            for subscription in self.subscriptions.values():
                subscription.stands = False
            self.subscriptions.clear()
            self._become("closed")
            offers, self.offers = self.offers, {}
            for offer in offers.values():
                offer.end(Refused("closed"))
            for call in tuple(self._calls.values()):
                call.lose() if call.sent else call.refuse(Refused("closed"))
        return gatherResults(self._ending).addCallback(lambda _: None)

    # What the ways call.

    def opened(self, way: Way) -> None:
        """See :meth:`ropewalk.client.ways.Owner.opened`."""
        if way is not self._way:
            return
        self._become("open")
        for call in tuple(self._calls.values()):
            if not call.sent and way is self._way and self.state == "open":
                self._send(call)

    def proved(self, way: Way) -> None:
        """See :meth:`ropewalk.client.ways.Owner.proved`."""
        if way is self._way:
            self._proved = True
            self._blamed = self._failures = 0

    def lost(self, way: Way, problem: str, *, reached: bool = True) -> None:
        """See :meth:`ropewalk.client.ways.Owner.lost`."""
        if way is not self._way:
            return
        self._log.debug(
            "lost the daemon by {way}: {problem}", way=self.way, problem=problem
        )
        self._stop()
        self._failures += 1
        if reached and not self._proved:
            self._blamed += 1
        if self._blamed >= _PATIENCE:
            self._blamed = 0
            self._ways.rotate(-1)  # behind the last there is the first again
        # Whoever is told now may close it.
        pause = self.pause(self._failures)
        self._timer = self.clock.callLater(pause, self.start)
        self._become("connecting")
        for call in tuple(self._calls.values()):
            if call.sent:
                call.lose()

    def unsent(self, call: Call) -> None:
        """See :meth:`ropewalk.client.ways.Owner.unsent`."""
        call.sent = False

    def pause(self, failures: int, least: float = 0.0) -> float:
        """See :meth:`ropewalk.client.ways.Owner.pause`."""
        doubled = self._pause * 2.0 ** min(failures - 1, _DOUBLINGS)
        chance = self._chance()
        pause = min(doubled, _LONGEST_PAUSE) * (0.5 + chance / 2)
        # Who was told so is not alone, perhaps.
        return max(pause, min(least, _LONGEST_WAIT) * (1 + chance / 2))

    # Within.

    def _in_json(self, value: Any) -> Raw:
        """
        Say something in JSON.

        :raise TypeError: When that is not possible.
        :raise OverflowError: When a number in it is more than can be said later.
        """
        said = JSON.encode(value)
        if self._packed:
            MSGPACK.encode(JSON.decode(said))
        return Raw(said)

    def _send(self, call: Call) -> None:
        call.sent = True
        if self._way is not None:
            self._way.send(call)

    def _give_up(self, number: int) -> None:
        call = self._calls[number]
        call.stop()
        if call.sent and self._way is not None:
            self._way.cancel(call)

    def _expire(self, call: Call, deadline: float) -> None:
        if call.sent and self._way is not None:
            self._way.cancel(call)
        problem = f"{call.method} took more than {deadline:g} seconds"
        call.refuse(Refused(problem, 504))

    def _forget(self, outcome: Any, number: int) -> Any:
        self._calls.pop(number, None)
        return outcome

    def _stop(self) -> None:
        """Be done with the way there is."""
        way, self._way = self._way, None
        if way is None:
            return
        way.forget()
        for offer in self.offers.values():
            offer.lost()
        ending = way.stop()
        self._ending = [each for each in self._ending if not each.called]
        self._ending.append(ending.addErrback(lambda _: None))

    def _become(self, state: str) -> None:
        if state == self.state or self.state == "closed":
            return
        self.state = state
        if self._changed is not None:
            try:
                self._changed(state)
            except Exception:
                self._log.failure(
                    "{changed} raised when told of {state}",
                    changed=self._changed,
                    state=state,
                )
