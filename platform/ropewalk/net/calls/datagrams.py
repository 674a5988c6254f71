# -*- test-case-name: tests.test_calls_datagrams -*-
"""
Operations and channels by datagrams: JSON-RPC, in JSON or msgpack, a message in each.

UDP promises neither that something comes, nor in which order, nor that it comes once.
So a request that is not answered is sent again, as it was: it is answered once more,
and not done twice. Who finds a hole in the ``sequence`` of a channel subscribes again,
with the last token before it as ``after``, and is told what is kept of the rest.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ropewalk.errors import RopewalkError
from ropewalk.interfaces import Caller, IHub, Message
from ropewalk.net.calls.conversation import Calls, PackedCalls
from ropewalk.net.datagrams import DatagramPeer
from ropewalk.net.limits import CallSettings
from ropewalk.operations import Operations
from ropewalk.wire.jsonrpc import (
    INVALID_REQUEST,
    Id,
    NoRequest,
    Request,
    error_answer,
    notification,
    read,
    refusal,
)

__all__ = ["CallDatagrams", "Pace"]

#: Characters of an id: it comes back in each answer.
_LONGEST_ID = 40

#: Characters of a problem that are told where all of it has no room.
_LONGEST_PROBLEM = 120

#: What may be long in what is told.
_HEAVY = {"body", "value", "data"}

#: The first byte that is none of ASCII: what begins with another is text.
_NO_ASCII = 0x80

#: Seconds; no timer is set to less.
_SHORTEST = 0.001


@define
class Overlong(RopewalkError):
    """
    What a request came to has no room in a datagram.

    :ivar size: How many bytes it has.
    :ivar limit: How many it may have.
    """

    status = 413

    size: int
    limit: int

    def __str__(self) -> str:
        return (
            f"it was done, but the answer has {self.size} bytes, and a datagram at "
            f"most {self.limit}: ask by another way, in lines or over HTTP"
        )


class _Calls(Calls):
    """The calls of a peer that speaks JSON."""

    offers = False  # what it is asked might never come


class _PackedCalls(PackedCalls):
    """The calls of a peer that speaks msgpack."""

    offers = False


class Pace:
    """
    How fast somebody is told something who cannot say that it is too fast.

    :param rate: How much a second, in the long run.
    :param burst: How much at once.
    :param clock: Where time comes from.
    """

    def __init__(self, rate: float, burst: int, clock: IReactorTime) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._filled = float(burst), clock.seconds()
        self._waiting: list[Deferred[None]] = []
        self._timer: IDelayedCall | None = None
        self._over = False

    def take(self) -> bool:
        """Whether there is room for one more, which is taken then."""
        if not self._has_room():
            return False
        self._tokens -= 1
        return True

    def ready(self) -> Deferred[None] | None:
        """Wait for room: as :meth:`ropewalk.interfaces.IPaced.ready`."""
        if self._over or self._has_room():
            return None
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        self._look_later()
        return waiting

    def stop(self) -> None:
        """Nobody is there any more."""
        self._over = True
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        waiting, self._waiting[:] = [*self._waiting], []
        for each in waiting:
            each.callback(None)

    def _has_room(self) -> bool:
        now = self._clock.seconds()
        more = (now - self._filled) * self._rate
        self._tokens = min(float(self._burst), self._tokens + more)
        self._filled = now
        return self._tokens >= 1

    def _look_later(self) -> None:
        if self._timer is None and self._waiting:
            seconds = max(_SHORTEST, (1 - self._tokens) / self._rate)
            self._timer = self._clock.callLater(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        while self._waiting and self._has_room():
            self._waiting.pop(0).callback(None)
        self._look_later()


class CallDatagrams(DatagramPeer):
    """
    Somebody who calls operations and hears channels by datagrams. Who sends JSON is
    answered in JSON, who sends msgpack in msgpack. An empty datagram says nothing, but
    that one is still there.

    :param operations: What can be called.
    :param hub: The channels.
    :param settings: How much the peer may do.
    :cvar remembered: How many answers are remembered.
    :cvar told: How many messages of channels, and the like, it is told a second, in the
        long run; the others are dropped, unless it has said that they wait (``slow``).
    :cvar told_at_once: How many at once.
    """

    remembered = 64
    told = 100.0
    told_at_once = 50

    def __init__(
        self, operations: Operations, hub: IHub, settings: CallSettings
    ) -> None:
        self._what = operations, hub, self._say, settings
        self._under_way: dict[Id, bytes] = {}  # by ids
        self._answered: dict[bytes, bytes] = {}  # by what was asked

    def opened(self) -> None:
        self._pace = Pace(self.told, self.told_at_once, self._home.clock)
        self._begin(_Calls)

    def heard(self, datagram: bytes) -> Deferred[None] | None:
        """Take a message."""
        if not datagram.strip():
            return None
        self._choose(_Calls if datagram[0] < _NO_ASCII else _PackedCalls)
        heard = read(datagram, len(datagram), self._calls.form)
        one = heard.requests[0]
        if heard.batch:
            self._refuse("there are no batches in datagrams: send one by one")
            return None
        if isinstance(one, Request) and not self._is_new(one.id, datagram):
            return None
        return self._calls.hear(datagram)

    def take(self, datagram: bytes) -> None:
        super().take(datagram)
        size = len(datagram)
        if size > self.longest and not self._gone and self._pace.take():
            self._refuse(f"a datagram has at most {self.longest} bytes, not {size}")

    def complain(self, error: RopewalkError) -> None:
        self._refuse(str(error))

    def goodbye(self, reason: str) -> bytes:
        return self._calls.goodbye(reason)

    def part(self, reason: str) -> None:
        def leave() -> Deferred[None]:
            finished = self._calls.finished()
            return finished.addCallback(lambda _: self.leave(self._last(reason)))

        self._turns.end(leave)

    def leave(self, last: bytes | None = None) -> None:
        super().leave(last)
        self._pace.stop()
        self._calls.cancel()

    # How they speak.

    def _choose(self, kind: type[Calls]) -> None:
        """Speak as they do, as long as nothing was said in another way."""
        calls = self._calls
        if not isinstance(calls, kind) and not calls.busy and not len(calls.channels):
            self._begin(kind)

    def _begin(self, kind: type[Calls]) -> None:
        self._calls = kind(*self._what, self._pace.ready)
        self._calls.channels.lossy = True
        self._calls.begin(Caller("datagrams", self.address.host, self.name))

    # What was asked before.

    def _is_new(self, number: Id, datagram: bytes) -> bool:
        """
        Whether something is asked for the first time. If not, it is answered again, as
        soon as there is an answer.
        """
        if number is None:  # it is not to be answered
            return True
        if isinstance(number, str) and len(number) > _LONGEST_ID:
            self._refuse(f"id: at most {_LONGEST_ID} characters, in a datagram")
            return False
        key = blake2b(datagram, digest_size=16).digest()
        answer = self._answered.get(key)
        if answer is not None:
            self.send(answer)
            return False
        before = self._under_way.setdefault(number, key)
        if before is not key and before != key:
            problem = "id: there is a request with this id, and it has not ended"
            self._refuse(problem, number)
        return before is key

    def _refuse(self, problem: str, number: Id = None) -> None:
        refused = refusal(NoRequest(INVALID_REQUEST, problem, number))
        self.send(self._calls.form.encode(refused))

    # What is said.

    def _say(self, message: bytes) -> None:
        try:
            said = self._calls.form.decode(message)
        except RecursionError:  # it is nested as nothing is that comes in a datagram
            self._home.count("untold")
            return
        if "method" in said:
            self._tell(said, message)
        else:
            self._answer(said, message)

    def _answer(self, answer: dict[str, Any], message: bytes) -> None:
        if len(message) > self.longest:
            message = self._calls.form.encode(self._shortened(answer, len(message)))
        key = self._under_way.pop(answer["id"], None)
        if key is not None:
            self._answered[key] = message
            if len(self._answered) > self.remembered:
                del self._answered[next(iter(self._answered))]
        self.send(message)

    def _shortened(self, answer: dict[str, Any], size: int) -> dict[str, Any]:
        if "error" not in answer:
            return error_answer(answer["id"], Overlong(size, self.longest))
        error = answer["error"]
        data = {"status": error.get("data", {}).get("status", 500)}
        told = f"{error['message'][:_LONGEST_PROBLEM]}…"
        return {**answer, "error": {**error, "message": told, "data": data}}

    def _tell(self, told: dict[str, Any], message: bytes) -> None:
        """
        Tell what was not asked for, as far as there is room for it. Of what is too long
        it is told that it is.
        """
        if len(message) > self.longest:
            message = self._calls.form.encode(_omitted(told, len(message)))
        if len(message) > self.longest or not self._pace.take():
            self._home.count("untold")
        else:
            self.send(message)


def _omitted(told: dict[str, Any], size: int) -> dict[str, Any]:
    """What is told in place of something that is too long."""
    params = {
        name: value for name, value in told["params"].items() if name not in _HEAVY
    }
    if told["method"] == "rpc.message":
        epoch = params["token"].rpartition(".")[0]
        before = Message(params["channel"], params["sequence"] - 1, 0, None, epoch)
        params["after"] = before.token
    told = {"method": told["method"], "size": size, **params}
    return notification("rpc.omitted", told)
