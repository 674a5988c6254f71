# -*- test-case-name: tests.test_client -*-
"""
By one connection that stands: JSON-RPC, of which ``ropewalk.net.calls`` is the
other end. It knows no transport.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import MsgspecError, Struct
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ropewalk.client.asked import Asked
from ropewalk.client.calls import Call, Refused
from ropewalk.client.hearers import Hearer
from ropewalk.client.offers import Offer
from ropewalk.client.records import Misunderstood, Present, Said, read
from ropewalk.client.subscriptions import Subscription
from ropewalk.client.ways import Owner, Way, exactly
from ropewalk.schema import write_json, write_msgpack
from ropewalk.wire.jsonrpc import JSON, Format

__all__ = ["ByConnection"]

#: Seconds in which a connection that is closed is closed, or cut.
_CLOSING = 3.0

#: The id of a request that only asks for a sign of life.
_PING = "ping"


class _Asked(Struct, frozen=True, eq=False):
    """
    Who waits for an answer.
    """

    answer: Callable[[Any], object]
    refuse: Callable[[Refused], object]
    progress: Callable[[Any], object] | None = None


def _nothing(_: object) -> None:
    """Nobody waits for it."""


class ByConnection(Way):
    """
    Talks by one connection. A subclass connects, and calls :meth:`reached`,
    :meth:`heard` and :meth:`gone`.

    :param silence: Seconds without a sign of life after which the daemon is asked for
        one. After half as many again the connection is taken for lost.
    :ivar form: What messages are said in.
    """

    form: Format = JSON

    _log = Logger()

    def __init__(self, owner: Owner, silence: float) -> None:
        super().__init__(owner, silence)
        self._silence = silence
        self._open = False
        self._connected = False
        self._stopped = False
        self._signs = 0.0  # of life: when the last one was
        self._timer: IDelayedCall | None = None
        self._ended: Deferred[None] = Deferred()
        self._number = 0
        self._asked: dict[Any, _Asked] = {}
        self._hearers: dict[str, Hearer] = {}
        self._leaving: set[str] = set()
        self._doing = Asked(owner.offers, self._tell, self._write, self.has_room)

    # What a subclass does.

    @abstractmethod
    def connect(self) -> None:
        """Begin to connect."""

    @abstractmethod
    def give_up(self) -> None:
        """Connect no more; what comes of it does not matter."""

    @abstractmethod
    def say(self, message: bytes) -> None:
        """Send a message."""

    @abstractmethod
    def leave(self) -> None:
        """Close the connection, and say so."""

    @abstractmethod
    def cut(self) -> None:
        """Close the connection at once."""

    def has_room(self) -> bool:
        """Whether there is room for what may be dropped."""
        return True

    # What it calls.

    def reached(self) -> None:
        """Somebody is there; :meth:`gone` will be called."""
        self._connected = True
        if self._stopped:
            self.cut()

    def ready(self) -> None:
        """There can be talk."""
        if self._stopped:
            return
        self._open = True
        self._stop_timer()
        self.alive()
        self._timer = self.owner.clock.callLater(self._silence / 2, self._look)
        self.owner.proved(self)
        for subscription in tuple(self.owner.subscriptions.values()):
            self.subscribe(subscription)
        for offer in tuple(self.owner.offers.values()):
            self.offer(offer)
        self.owner.opened(self)

    def alive(self) -> None:
        """Something has come."""
        self._signs = self.owner.clock.seconds()

    def heard(self, message: bytes) -> None:
        """A message has come."""
        if self._stopped:
            return
        try:
            self._take(self.form.decode(message))
        except (MsgspecError, ValueError, RecursionError, Misunderstood) as error:
            self.misheard(error)

    def misheard(self, error: Exception) -> None:
        """Something has come that is no message."""
        if not self._stopped:
            self._log.error(
                "the daemon has said something strange: {error}", error=error
            )
            self._lose("it has said something strange")

    def gone(self, problem: str) -> None:
        """The connection is closed, or there never was one."""
        was_reached, self._connected = self._connected, False
        self._stop_timer()
        if self._stopped:
            if not self._ended.called:
                self._ended.callback(None)
        else:
            self.owner.lost(self, problem, reached=was_reached)

    # What the session calls.

    def start(self) -> None:
        self._timer = self.owner.clock.callLater(self.opening, self._too_late)
        self.connect()

    def stop(self) -> Deferred[None]:
        self._stopped = True
        was_open, self._open = self._open, False
        self._stop_timer()
        self._doing.end()
        if not self._connected:
            self.give_up()
            return succeed(None)
        if was_open:
            self._timer = self.owner.clock.callLater(_CLOSING, self.cut)
            self.leave()
        else:
            self.cut()
        return self._ended

    def subscribe(self, subscription: Subscription) -> None:
        channel = subscription.channel
        if not self._open or channel in self._leaving:
            return  # it is done when it opens, or has been left
        hearer = Hearer(subscription)
        self._hearers[channel] = hearer
        if subscription.token is None and not subscription.is_pattern:
            self._ask(
                *("rpc.history", {"channel": channel, "limit": 1}),
                _Asked(partial(self._settle, hearer), partial(self._reject, hearer)),
            )
        else:
            self._enter(hearer)

    def unsubscribe(self, subscription: Subscription) -> None:
        channel = subscription.channel
        if self._hearers.pop(channel, None) is None or not self._open:
            return
        # What is still on its way is not for whoever subscribes next.
        self._leaving.add(channel)
        left = partial(self._left, channel)
        self._ask("rpc.unsubscribe", {"channel": channel}, _Asked(left, left))

    def offer(self, offer: Offer) -> None:
        if not self._open:
            return  # it is done when it opens
        terms = offer.terms
        params = {
            "name": offer.name,
            "routing": terms.routing,
            "requires": terms.requires,
        }
        self._ask(
            *("rpc.offer", exactly(params)),
            _Asked(lambda _: offer.began(), partial(self.decline, offer)),
        )

    def withdraw(self, offer: Offer) -> None:
        if self._open:
            params = {"name": offer.name}
            self._ask("rpc.withdraw", params, _Asked(_nothing, _nothing))

    def send(self, call: Call) -> None:
        asked = _Asked(call.answer, call.refuse, call.progress)
        self._request(call.number, call.method, call.params, asked)

    def cancel(self, call: Call) -> None:
        if self._asked.pop(call.number, None) is not None:
            self._tell({"method": "rpc.cancel", "params": {"id": call.number}})

    # Subscribing.

    def _settle(self, hearer: Hearer, history: Any) -> None:
        if self._is_current(hearer):
            told = read(list[Said], history)
            hearer.subscription.settle(told[-1] if told else None)
            self._enter(hearer)

    def _enter(self, hearer: Hearer) -> None:
        subscription = hearer.subscription
        hearer.begin()
        params = {
            "channel": subscription.channel,
            "who": subscription.who,
            "data": subscription.data,
            "after": None if subscription.is_pattern else subscription.token,
        }
        self._ask(
            *("rpc.subscribe", exactly(params)),
            _Asked(partial(self._entered, hearer), partial(self._reject, hearer)),
        )

    def _entered(self, hearer: Hearer, resumed: Any) -> None:
        if not isinstance(resumed, dict):
            raise Misunderstood(f"expected an object, got {resumed!r}")
        if self._is_current(hearer):
            hearer.began(resumed.get("whole") is True)

    def _reject(self, hearer: Hearer, error: Refused) -> None:
        if self._is_current(hearer):
            del self._hearers[hearer.subscription.channel]
            self.reject(hearer.subscription, error)

    def _left(self, channel: str, _: object) -> None:
        self._leaving.discard(channel)
        subscription = self.owner.subscriptions.get(channel)
        if subscription is not None:
            self.subscribe(subscription)

    def _is_current(self, hearer: Hearer) -> bool:
        return self._hearers.get(hearer.subscription.channel) is hearer

    # Saying.

    def _ask(self, method: str, params: Mapping[str, Any], asked: _Asked) -> None:
        self._number += 1
        self._request(f"s{self._number}", method, params, asked)

    def _request(
        self, number: Any, method: str, params: Mapping[str, Any], asked: _Asked
    ) -> None:
        self._asked[number] = asked
        if self.form is not JSON:
            params = JSON.decode(JSON.encode(params))  # it is in JSON, in part
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if asked.progress is not None:
            message["progress"] = True
        self._tell(message)

    def _tell(self, message: Mapping[str, Any]) -> None:
        self.say(self.form.encode({"jsonrpc": "2.0", **message}))

    def _write(self, value: Any) -> bytes:
        return write_json(value) if self.form is JSON else write_msgpack(value)

    # Hearing.

    def _take(self, message: Any) -> None:
        if not isinstance(message, dict):
            raise Misunderstood("expected an object")
        if "method" in message:
            self._told(message["method"], message.get("params", {}), message)
            return
        asked = self._asked.pop(_known(message.get("id")), None)
        error = message.get("error")
        if error is None:
            if asked is not None:
                asked.answer(message.get("result"))
        elif not isinstance(error, dict):
            raise Misunderstood("error: expected an object")
        elif asked is not None:
            data = error.get("data")
            facts = data if isinstance(data, dict) else {}
            asked.refuse(
                Refused.of(
                    error.get("message"),
                    facts.get("status"),
                    facts.get("errors"),
                    facts.get("seconds"),
                )
            )
        elif message.get("id") is None:
            self._log.error(
                "the daemon could not read something: {problem}",
                problem=error.get("message"),
            )

    def _told(self, method: Any, params: Any, message: Mapping[str, Any]) -> None:
        if "id" in message:
            self._doing.ask(message["id"], method, params)
        elif method == "rpc.message":
            said = read(Said, params)
            hearing = self._hearing(said.channel)
            for hearer in hearing:
                hearer.take(said, alone=len(hearing) == 1)
        elif method in ("rpc.joined", "rpc.left"):
            someone = read(Present, params)
            for hearer in self._hearing(params.get("channel")):
                hearer.meet(method.removeprefix("rpc."), someone)
        elif method == "rpc.progress" and isinstance(params, dict):
            asked = self._asked.get(_known(params.get("id")))
            if asked is not None and asked.progress is not None:
                self._progress(asked.progress, params.get("value"))
        elif method == "rpc.cancel" and isinstance(params, dict):
            self._doing.cancel(_known(params.get("id")))

    def _progress(self, progress: Callable[[Any], object], value: Any) -> None:
        try:
            progress(value)
        except Exception:
            self._log.failure("{progress} raised when told", progress=progress)

    def _hearing(self, channel: Any) -> list[Hearer]:
        if not isinstance(channel, str):
            raise Misunderstood("channel: expected text")
        return [each for each in self._hearers.values() if each.hears(channel)]

    # Time.

    def _look(self) -> None:
        """Whether there was a sign of life."""
        idle = self.owner.clock.seconds() - self._signs
        if idle >= 1.5 * self._silence:
            self._lose("there was no sign of life")
            return
        self._timer = self.owner.clock.callLater(self._silence / 2, self._look)
        if idle >= self._silence:
            # There is no such id, and an answer is a sign.
            asked = _Asked(_nothing, _nothing)
            self._request(_PING, "rpc.cancel", {"id": _PING}, asked)

    def _too_late(self) -> None:
        self._lose(f"it has not answered within {self.opening:g} seconds")

    def _lose(self, problem: str) -> None:
        self._stop_timer()
        self.owner.lost(self, problem, reached=self._connected)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


def _known(number: Any) -> Any:
    """An id by which something can be looked for."""
    return number if isinstance(number, str | int) else None
