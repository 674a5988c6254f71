# -*- test-case-name: tests.test_calls -*-
"""
The calls of one peer: what is asked for, what is under way, and the answers. It knows
no connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from msgspec import Raw
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.errors import Fault, Invalid, RopewalkError
from ropewalk.interfaces import Caller, IHub
from ropewalk.net.calls.answers import Answer, Answers, Overrun, Running, answer_of
from ropewalk.net.calls.asked import Asked
from ropewalk.net.calls.channels import METHODS, Channels
from ropewalk.net.limits import CallSettings
from ropewalk.operations import Operations
from ropewalk.operations.peers import Routing
from ropewalk.schema import Meta, Shape, write_json, write_msgpack
from ropewalk.schema import read as read_shape
from ropewalk.telemetry import work
from ropewalk.wire.jsonrpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    JSON,
    METHOD_NOT_FOUND,
    MSGPACK,
    PARSE_ERROR,
    NoRequest,
    Request,
    notification,
    read,
    read_one,
    refusal,
    result_answer,
    write_result,
)

__all__ = ["Calls", "PackedCalls", "caller_at"]

#: What else is done for a peer, and what it takes; where it may offer something, and
#: where not.
_SERVED = {
    True: {"rpc.cancel": "id", "rpc.withdraw": "name"},
    False: {"rpc.cancel": "id"},
}

#: Characters of what a peer says it takes to call something.
LONGEST_REQUIREMENT = 255

_log = Logger()


class _Offer(Shape):
    """
    What a peer offers.
    """

    name: str
    routing: Routing = "single"
    requires: (
        Annotated[str, Meta(min_length=1, max_length=LONGEST_REQUIREMENT)] | None
    ) = None


class Calls:
    """
    The calls of one peer, on whatever connection.

    :param operations: What can be called.
    :param hub: The channels.
    :param say: Sends a message.
    :param settings: How much the peer may do.
    :param room: Whether the connection has room, as
        :meth:`ropewalk.interfaces.IPaced.ready`.
    :ivar channels: What it hears.
    :cvar form: What messages are said in.
    :cvar offers: Whether the peer may offer operations;
    :cvar hears: and hear channels.
    """

    form = JSON
    offers = hears = True

    def __init__(
        self,
        operations: Operations,
        hub: IHub,
        say: Callable[[bytes], None],
        settings: CallSettings,
        room: Callable[[], Deferred[None] | None] = lambda: None,
    ) -> None:
        self._operations = operations
        self._say = say
        self._settings = settings
        self._caller = Caller("")
        self._asked = Asked(operations, self._send, settings.running, self._look_around)
        most = settings.channels
        self.channels = Channels(hub, self._send, self.write, room, most)
        self._running: set[Running] = set()
        self._by_id: dict[Any, Running] = {}
        self._waiting: deque[Running] = deque()
        self._room: Deferred[None] | None = None
        self._idle: list[Deferred[None]] = []
        self._starting = False

    def begin(self, caller: Caller) -> None:
        """Say who calls."""
        self._caller = caller

    def write(self, result: Any) -> bytes:
        """Write a result in the form of the messages."""
        return write_json(result)

    def arguments(self, request: Request) -> Any:
        """What a request gives to what it calls."""
        return request.params

    def hear(self, message: bytes) -> Deferred[None] | None:
        """
        Take a message.

        :return: when as many calls wait as may run, a Deferred that fires when the
            next message may come. While the peer is asked for something that it
            offers there is none, as its answer has to be heard; of what comes then,
            only what needs no room is done, and other requests are refused with
            :class:`~ropewalk.net.calls.answers.Overrun`.
        """
        if self.form is JSON and not self.busy and self._hear_one(message):
            return None
        heard = read(message, self._settings.batch, self.form)
        answers = Answers(self._send, len(heard.requests), heard.batch)
        # Who was told to wait, and says more, may have said it before.
        take = self._refuse if self._full and self._room is None else self._take
        for each in heard.requests:
            if isinstance(each, Request):
                take(each, answers)
            elif isinstance(each, NoRequest):
                answers.add(refusal(each))
            else:
                self._asked.hear(each)
                answers.add(None)
        self._start()
        if not self._full or self._asked.answering:
            return None
        if self._room is None:
            self._room = Deferred()
        return self._room

    def _hear_one(self, message: bytes) -> bool:
        """
        Take a message that is one usual request, while nothing else is under way: what
        comes of it is the same as in :meth:`hear`, and cheaper.

        :return: whether it is one.
        """
        one = read_one(message)
        if one is None or one.method not in self._operations:
            return False
        called = self._operations.call(
            one.method, one.params, self._caller, write=self.write
        )
        if called.called and not called.paused:
            outcome: Any = called.result
            if isinstance(outcome, Failure):
                called.addErrback(_nothing)
                self._send(answer_of(one.id, outcome))
            else:
                self._say(write_result(one.id, outcome))
            return True
        request = Request(one.method, one.params, one.id)
        running = Running(request, Answers(self._send, 1, batch=False))
        self._running.add(running)
        self._by_id[one.id] = running
        running.called = called
        called.addBoth(partial(self._end, running))
        return True

    @property
    def offering(self) -> bool:
        """Whether the peer offers something."""
        return self._asked.offering

    @property
    def busy(self) -> bool:
        """Whether something is under way, or waits to be."""
        return bool(self._running or self._waiting)

    def finished(self) -> Deferred[None]:
        """
        Wait for all that is under way.

        :return: fires when it has been answered.
        """
        if not self.busy:
            return succeed(None)
        idle: Deferred[None] = Deferred()
        self._idle.append(idle)
        return idle

    def cancel(self) -> None:
        """
        Cancel all that is under way, and hear no channel: nobody hears an answer any
        more.
        """
        self._waiting.clear()
        self._asked.gone()
        for each in list(self._running):
            each.cancel()
        self.channels.end()
        self._look_around()

    def cut_off(self) -> None:
        """The connection is ended, since the peer does not read."""
        self.channels.cut_off(self._caller)

    def complain(self, problem: str) -> None:
        """Say that what came was no message."""
        self._send(refusal(NoRequest(PARSE_ERROR, problem)))

    def goodbye(self, reason: str) -> bytes:
        """The last message."""
        return self.form.encode(notification("rpc.goodbye", {"reason": reason}))

    @property
    def _full(self) -> bool:
        """Whether as many wait as may run."""
        return len(self._waiting) >= self._settings.running

    def _refuse(self, request: Request, answers: Answers) -> None:
        """Take only what is done at once."""
        if self._takes_time(request):
            overrun = Failure(Overrun(2 * self._settings.running))
            answers.add(answer_of(request.id, overrun) if request.answered else None)
        else:
            answers.add(self._serve(request))

    def _take(self, request: Request, answers: Answers) -> None:
        if not self._takes_time(request):
            answers.add(self._serve(request))
            return
        running = Running(request, answers)
        if request.answered and request.id in self._by_id:
            problem = "id: there is a request with this id, and it has not ended"
            answers.add(refusal(NoRequest(INVALID_REQUEST, problem, request.id)))
        else:
            if request.id is not None:
                self._by_id[request.id] = running
            self._waiting.append(running)

    def _takes_time(self, request: Request) -> bool:
        """Whether it is answered as the call of an operation is: when it is done."""
        is_own = request.method.startswith("rpc.")
        return not is_own or self._is_of_channels(request) or self._is_offer(request)

    def _is_of_channels(self, request: Request) -> bool:
        return self.hears and request.method in METHODS

    def _is_offer(self, request: Request) -> bool:
        return self.offers and request.method == "rpc.offer"

    def _serve(self, request: Request) -> Answer | None:
        """Do what is asked of the connection itself."""
        number, method, params = request.id, request.method, self.arguments(request)
        served = _SERVED[self.offers]
        takes = served.get(method)
        if method == "rpc.progress":
            self._asked.hear_progress(params)
            return None
        if takes is None:
            others = ["rpc.offer"] * self.offers + [*METHODS] * self.hears
            told = ", ".join([*served, *others])
            problem = f"there is no method {method[:80]!r}; there are {told}"
            answer = refusal(NoRequest(METHOD_NOT_FOUND, problem, number))
        elif not isinstance(params, dict) or {*params} != {takes}:
            problem = f"{method} takes: {takes}"
            answer = refusal(NoRequest(INVALID_PARAMS, problem, number))
        else:
            given = params[takes]
            if method == "rpc.cancel":
                done = self._cancel(given)
            else:
                done = isinstance(given, str) and self._withdraw(given)
            answer = result_answer(number, self.write(done))
        return answer if request.answered else None

    def _offer(self, params: Any) -> Deferred[bytes]:
        """Let the peer offer an operation."""
        try:
            if isinstance(params, list):
                raise Invalid((Fault("", "expected an object"),))
            offer = read_shape(_Offer, params)
        except Invalid as refused:
            return fail(refused)
        offering = self._asked.offer(
            offer.name, self._caller, offer.routing, offer.requires
        )
        return offering.addCallbacks(lambda _: self.write(True), _explained)

    def _withdraw(self, name: str) -> bool:
        """Have the peer offer something no longer, also what it is about to offer."""
        offers = [each for each in self._waiting if self._offers(each.request, name)]
        for each in offers:
            self._forget(each)
        return self._asked.withdraw(name) or bool(offers)

    def _offers(self, request: Request, name: str) -> bool:
        params: Any = request.params
        is_offer = self._is_offer(request) and isinstance(params, dict)
        return is_offer and params.get("name") == name

    def _forget(self, running: Running) -> None:
        """Cancel one that has not begun."""
        self._waiting.remove(running)
        self._end(running, Failure(CancelledError()))

    def _cancel(self, number: Any) -> bool:
        """Cancel a request, if there is one of this id."""
        try:
            running = self._by_id.get(number)
        except TypeError:  # a list has no hash
            return False
        if running is None:
            return False
        if running in self._waiting:
            self._forget(running)
        else:
            running.cancel()
        return True

    def _start(self) -> None:
        """Begin what waits, so far as there is room."""
        if self._starting:
            return
        self._starting = True
        try:
            while self._waiting and len(self._running) < self._settings.running:
                running = self._waiting.popleft()
                self._running.add(running)
                self._call(running)
        finally:
            self._starting = False
        self._look_around()

    def _call(self, running: Running) -> None:
        request = running.request
        if self._is_offer(request):
            running.called = self._offer(request.params)
            running.called.addBoth(partial(self._end, running))
            return
        tell = None
        if request.progress and request.id is not None:
            tell = partial(self._tell, request.id)
        of_channels = self._is_of_channels(request)
        target = self.channels if of_channels else self._operations
        called = target.call(
            request.method,
            self.arguments(request),
            self._caller,
            progress=tell,
            write=self.write,
        )
        running.called = called
        called.addBoth(partial(self._end, running))

    def _tell(self, number: Any, value: Any) -> None:
        params = {"id": number, "value": Raw(self.write(value))}
        self._send(notification("rpc.progress", params))

    def _end(self, running: Running, outcome: Any) -> None:
        self._running.discard(running)
        number = running.request.id
        if self._by_id.get(number) is running:
            del self._by_id[number]
        running.end(outcome)
        self._start()

    def _look_around(self) -> None:
        """Tell those who wait for room, or for the end."""
        room = self._room
        if room is not None and (not self._full or self._asked.answering):
            self._room = None
            room.callback(None)
        if not self.busy:
            idle, self._idle = self._idle, []
            for each in idle:
                each.callback(None)

    def _send(self, answer: Answer | list[Answer]) -> None:
        self._say(self.form.encode(answer))


class PackedCalls(Calls):
    """
    The same in msgpack.
    """

    form = MSGPACK

    def write(self, result: Any) -> bytes:
        return write_msgpack(result)


def _nothing(_: object) -> None:
    """It is said otherwise."""


def _explained(failure: Failure) -> Failure:
    """What a peer is told of what goes wrong while it offers something."""
    if isinstance(failure.value, CancelledError | RopewalkError):
        return failure
    _log.failure("what a peer offers could not be taken", failure)
    return Failure(RopewalkError("something went wrong here; it is in our log"))


def caller_at(via: str, transport: Any) -> Caller:
    """Who calls by a connection."""
    address = getattr(transport.getPeer(), "host", None) or ""
    return Caller(via, str(address), work.get().connection or "")
