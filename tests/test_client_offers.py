"""
Tests for what L{ropewalk.client} offers, in memory and over sockets.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.client import Client, Offer, Refused
from ropewalk.client.functions import function_for
from ropewalk.client.offers import Terms
from ropewalk.client.session import Session
from ropewalk.errors import BadOperation, RopewalkError, TooMany
from ropewalk.interfaces import Caller, Steps
from ropewalk.operations import Progress
from tests.observing import Observed
from tests.strands import Line, Wire
from tests.test_client import Ear, TownCase
from tests.test_client_live import LiveCase

#: The ways by which something can be offered.
WAYS = ("websocket", "packed", "lines", "frames")


@define
class Broken(RopewalkError):
    """The lamp is broken."""

    status = 409

    def __str__(self) -> str:
        return "the lamp is broken"


class Patient(Deferred[Any]):
    """
    Does not give in.
    """

    def cancel(self) -> None:
        """It is called, and nothing comes of it."""


class OfferCase(TownCase):
    """
    Somebody who offers, and somebody who calls.
    """

    def setUp(self) -> None:
        super().setUp()
        self.session = self.town.session()
        self.other = self.town.session()
        self.refused: list[Refused] = []
        self.town.pump()

    def offer(
        self,
        function: Callable[..., Any],
        name: str = "lamp.switch",
        session: Session | None = None,
        **terms: Any,
    ) -> Offer:
        """Offer something."""
        terms.setdefault("refused", self.refused.append)
        session = session or self.session
        called = function_for(name, function)
        offer = Offer(name, called, Terms(**terms), session.withdraw)
        session.offer(offer)
        self.town.pump()
        return offer

    def call(self, *, progress: Any = None, **parameters: Any) -> Deferred[Any]:
        """Call it."""
        called = self.other.ask("lamp.switch", parameters, 20, progress)
        self.town.pump()
        return called

    def result(self, **parameters: Any) -> Any:
        return self.successResultOf(self.call(**parameters))

    def problem(self, **parameters: Any) -> tuple[int, str]:
        """Why a call is refused."""
        error: Any = self.failureResultOf(self.call(**parameters), Refused).value
        return error.status, str(error)

    def line(self) -> Line:
        """The connection of who offers."""
        line = self.town.links[0]
        assert isinstance(line, Line)
        return line


class AskedTests(OfferCase):
    """
    What is offered is called by others.
    """

    def test_kinds(self) -> None:
        """
        A function of any kind is called with the parameters, and its result is the
        answer.
        """

        @inlineCallbacks
        def steps(on: bool) -> Steps[str]:
            yield None
            return f"steps {on}"

        async def waited(on: bool) -> str:
            return f"waited {on}"

        for function, told in (
            (lambda on: f"plain {on}", "plain True"),
            (steps, "steps True"),
            (waited, "waited True"),
        ):
            offer = self.offer(function)
            self.assertTrue(offer.is_offered)
            self.assertIsNone(self.successResultOf(offer.ready()))
            self.assertEqual(self.result(on=True), told)
            offer.stop()
            self.town.pump()
        self.assertEqual(self.refused, [])

    def test_by_place(self) -> None:
        """
        Parameters by their places are given by these, also around one that tells of
        progress.
        """

        def untyped(progress: Progress, first, second=2):  # type: ignore[no-untyped-def]
            progress(first)
            return [first, second]

        def typed(first: int, progress: Progress, second: int = 2) -> list[int]:
            progress(first)
            return [first, second]

        for function in (untyped, typed):
            offer = self.offer(function)
            heard: list[Any] = []
            called = self.town.operations.call(
                "lamp.switch", [1], Caller("test"), progress=heard.append
            )
            self.town.pump()
            self.assertEqual((self.successResultOf(called), heard), ([1, 2], [1]))
            offer.stop()
            self.town.pump()

    def test_types(self) -> None:
        """
        Where parameters have types, what comes is checked as that of an operation is;
        all that is wrong is told.
        """

        def switch(on: bool, power: int = 5) -> str:
            return f"{on} {power}"

        self.offer(switch)
        self.assertEqual(self.result(on=False), "False 5")
        status, told = self.problem(on="yes", odd=1)
        self.assertEqual(status, 422)
        self.assertIn("on: expected true or false, got 'yes'", told)
        self.assertIn("odd: ", told)

    def test_what_it_takes(self) -> None:
        """
        Otherwise a call has to fit what the function takes.
        """
        self.offer(lambda on, power=5: [on, power])
        self.assertEqual(self.result(on={"x": None}), [{"x": None}, 5])
        self.assertEqual(self.problem(), (422, "missing a required argument: 'on'"))
        status, told = self.problem(on=1, odd=2)
        self.assertEqual(status, 422)
        self.assertIn("odd", told)

    def test_errors(self) -> None:
        """
        An error of the family is told to who has called. Any other is logged, and they
        hear that something went wrong.
        """

        def switch(how: str) -> Any:
            if how == "broken":
                raise Broken
            if how == "our fault":
                raise RopewalkError("the password is 'secret'")
            if how == "elsewhere":
                raise Refused("what another daemon says", 404)
            return object()

        self.offer(switch)
        self.assertEqual(self.problem(how="broken"), (409, "the lamp is broken"))
        for how in ("our fault", "elsewhere", "not to be written"):
            told = (502, "something went wrong here; it is in our log")
            self.assertEqual(self.problem(how=how), told)
        kinds = [each.type for each in self.flushLoggedErrors()]
        self.assertEqual(kinds, [RopewalkError, Refused, NotImplementedError])

    def test_progress(self) -> None:
        """
        Progressive results reach who has called; what comes after the end does not.
        """
        tellers: list[Progress] = []
        done: Deferred[str] = Deferred()

        def switch(progress: Progress) -> Deferred[str]:
            tellers.append(progress)
            progress("begun")
            return done

        self.offer(switch)
        heard: list[Any] = []
        called = self.call(progress=heard.append)
        tellers[0](0.5)
        self.assertEqual(heard, ["begun"])
        self.town.pump()
        done.callback("done")
        tellers[0]("late")
        self.town.pump()
        self.assertEqual(heard, ["begun", 0.5])
        self.assertEqual(self.successResultOf(called), "done")

    def test_no_room(self) -> None:
        """
        Progress that a daemon does not read is not piled up.
        """
        self.patch(Wire, "has_room", lambda way: False)
        self.session.close()
        self.town.pump()
        self.session = self.town.session()
        self.town.pump()

        def switch(progress: Progress) -> str:
            progress("dropped")
            return "done"

        self.offer(switch)
        heard: list[Any] = []
        self.assertEqual(self.result(progress=heard.append), "done")
        self.assertEqual(heard, [])

    def test_cancelled(self) -> None:
        """
        When nobody waits any more, or the connection is lost, what is under way is
        cancelled.
        """
        cancelled: list[Any] = []
        self.offer(lambda: Deferred(cancelled.append))
        called = self.call()
        called.cancel()
        self.failureResultOf(called, CancelledError)
        self.town.pump()
        self.assertEqual(len(cancelled), 1)
        called = self.call()
        self.town.cut()
        self.failureResultOf(called, Refused)
        self.assertEqual(len(cancelled), 2)

    def test_gives_up(self) -> None:
        """
        A function that cancels itself is answered so.
        """

        def switch() -> None:
            raise CancelledError

        self.offer(switch)
        self.assertEqual(self.problem(), (502, "cancelled"))

    def test_busy(self) -> None:
        """
        So many calls run at once. One that will not be cancelled counts as well, also
        when its connection is long gone.
        """
        waiting: list[Patient] = []

        def switch() -> Patient:
            waiting.append(Patient())
            return waiting[-1]

        self.offer(switch, running=2)
        called = [self.call() for _ in range(3)]
        error: Any = self.failureResultOf(called[2], Refused).value
        self.assertEqual(error.status, 503)
        self.assertIn("'lamp.switch' is busy", str(error))
        self.town.cut()
        self.failureResultOf(called[0], Refused)
        self.failureResultOf(called[1], Refused)
        self.town.pass_time(2)
        self.assertEqual(self.problem()[0], 503)
        waiting.pop(0).callback("off")
        again = self.call()
        waiting.pop().callback("on")
        self.town.pump()
        self.assertEqual(self.successResultOf(again), "on")
        waiting.pop().callback("off")

    def test_not_offered(self) -> None:
        """
        Who is asked for what it does not offer says so.
        """
        line = self.line()
        asked = {"jsonrpc": "2.0", "id": "ask1", "method": "lamp.odd", "params": {}}
        heard: list[Any] = []
        self.patch(line.calls, "hear", lambda said: heard.append(json.loads(said)))
        line.down.append(json.dumps(asked).encode())
        self.town.pump()
        (answer,) = heard
        self.assertEqual(answer["error"]["data"], {"status": 404})
        self.assertEqual(answer["error"]["message"], "there is no operation 'lamp.odd'")

    def test_strange(self) -> None:
        """
        A daemon that asks as none would is left, and tried again.
        """
        self.offer(lambda: Deferred())
        twice = {"id": "ask9", "method": "lamp.switch"}
        for asked in (
            [{"id": None, "method": "lamp.switch"}],
            [{"id": [1], "method": "lamp.switch"}],
            [{"id": 1, "method": 5}],
            [{"id": 1, "method": "lamp.switch", "params": "on"}],
            [twice, twice],
        ):
            self.assertEqual(self.session.state, "open")
            lines = [each for each in self.town.links if isinstance(each, Line)]
            (line,) = (each for each in lines if each.calls.offering)
            line.down.extend(json.dumps(each).encode() for each in asked)
            self.town.pump()
            self.assertEqual(self.session.state, "connecting", asked)
            self.town.pass_time(2)
            called = self.call()
            self.assertNoResult(called)
            called.cancel()
            self.failureResultOf(called, CancelledError)
            self.town.pump()


class StandingTests(OfferCase):
    """
    An offer stands until it is stopped.
    """

    def test_again(self) -> None:
        """
        It is made again after each loss.
        """
        offer = self.offer(lambda: "on")
        for _ in range(3):
            self.assertEqual(self.result(), "on")
            self.town.cut()
            self.assertFalse(offer.is_offered)
            self.assertNotIn("lamp.switch", self.town.operations)
            ready = offer.ready()
            self.assertNoResult(ready)
            self.town.pass_time(2)
            self.assertIsNone(self.successResultOf(ready))
            self.assertTrue(offer.is_offered)
        self.assertEqual(self.refused, [])

    def test_before(self) -> None:
        """
        What is offered before there is a connection is there before what is called
        then.
        """
        session = self.town.session()
        self.offer(lambda: "on", session=session)
        self.town.cut()
        called = session.ask("lamp.switch", {}, 20)
        self.town.pass_time(3)
        self.assertEqual(self.successResultOf(called), "on")

    def test_stopped(self) -> None:
        """
        One that is stopped is gone; what is under way is still answered. The name can
        be offered again at once.
        """
        done: Deferred[str] = Deferred()
        offer = self.offer(lambda: done)
        called = self.call()
        offer.stop()
        offer.stop()
        self.assertFalse(offer.stands)
        second = self.offer(lambda: "second")
        self.assertEqual(self.result(), "second")
        done.callback("first")
        self.town.pump()
        self.assertEqual(self.successResultOf(called), "first")
        second.stop()
        self.town.pump()
        self.assertEqual(self.problem()[0], 404)
        error: Any = self.failureResultOf(second.ready(), Refused).value
        self.assertEqual(str(error), "lamp.switch is not offered any more")

    def test_stopped_before(self) -> None:
        """
        One that is stopped before it was answered comes to nothing, and who waits for
        it is told. Nobody has to wait to the end.
        """
        self.town.guard.answer = Deferred()
        offer = self.offer(lambda: "on")
        ready, forgotten = offer.ready(), offer.ready()
        forgotten.cancel()
        self.failureResultOf(forgotten, CancelledError)
        offer.stop()
        self.failureResultOf(ready, Refused)
        self.town.pump()
        self.assertNotIn("lamp.switch", self.town.operations)
        self.assertEqual((offer.is_offered, self.refused), (False, []))

    def test_forbidden(self) -> None:
        """
        Who may not offer something is told, once and for all.
        """
        offer = self.offer(lambda: "open", "safe.open")
        (error,) = self.refused
        self.assertEqual(error.status, 403)
        told = "you may not offer 'safe.open': it takes 'operations.offer'"
        self.assertEqual(str(error), told)
        self.assertFalse(offer.stands)
        self.assertEqual(offer.problem, str(error))
        self.assertIs(self.failureResultOf(offer.ready(), Refused).value, error)
        self.town.cut()
        self.town.pass_time(3)
        self.assertEqual(len(self.refused), 1)
        self.assertNotIn("safe.open", self.session.offers)

    def test_nobody_told(self) -> None:
        """
        Where nobody is told, it is logged; what is raised by who is told, as well.
        """
        observed = Observed.during(self)
        self.offer(lambda: "open", "safe.open", refused=None)
        told = "you may not offer 'safe.open': it takes 'operations.offer'"
        self.assertIn(f"safe.open is not offered: {told}", observed.texts)

        def refused(error: Refused) -> None:
            raise ZeroDivisionError

        self.offer(lambda: "open", "safe.open", refused=refused)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_no_name(self) -> None:
        """
        What is no name is said by the daemon.
        """
        self.offer(lambda: "on", "lamp")
        (error,) = self.refused
        self.assertEqual(error.status, 422)
        self.assertIn("expected a name like 'lamp.switch'", str(error))

    def test_taken(self) -> None:
        """
        What somebody else offers cannot be offered, unless all share it.
        """
        self.offer(lambda: "first")
        offer = self.offer(lambda: "second", session=self.other)
        (error,) = self.refused
        self.assertEqual((error.status, offer.stands), (409, False))
        for session in self.session, self.other:
            self.offer(
                lambda: "shared",
                "lamp.all",
                session,
                routing="round-robin",
                requires="lamps",
            )
        self.assertEqual(len(self.refused), 1)
        found = self.town.operations.find("lamp.all")
        assert found is not None
        self.assertEqual(found.requires, "lamps")

    def test_taken_by_a_ghost(self) -> None:
        """
        What was offered once is tried again when it is taken: the daemon may not have
        noticed yet that the connection before is lost. That is told once.
        """
        offer = self.offer(lambda: "on")
        ghost = self.line()
        self.town.links.remove(ghost)
        ghost._way.gone("cut")
        self.town.pass_time(5)
        (error,) = self.refused
        self.assertEqual((error.status, offer.stands), (409, True))
        self.assertEqual(offer.problem, str(error))
        ghost.calls.cancel()
        self.town.pass_time(8)
        self.assertTrue(offer.is_offered)
        self.assertEqual((offer.problem, len(self.refused)), ("", 1))
        self.assertEqual(self.result(), "on")

    def test_later(self) -> None:
        """
        Where it may not be now, it is tried again, not before the daemon says so and
        not with all others.
        """
        self.town.guard.answer = TooMany("lamps", 7.5)
        offer = self.offer(lambda: "on")
        self.assertEqual(self.refused[0].seconds, 7.5)
        self.assertTrue(offer.stands)
        self.town.guard.answer = None
        self.town.clock.advance(11.2)  # half as much again, by chance
        self.town.pump()
        self.assertFalse(offer.is_offered)
        self.town.clock.advance(0.1)
        self.town.pump()
        self.assertTrue(offer.is_offered)

    def test_stopped_meanwhile(self) -> None:
        """
        One that is stopped when it was to be tried again is not; neither by who is told
        of it.
        """
        self.town.guard.answer = TooMany("lamps", 7.5)
        self.offer(lambda: "on").stop()
        self.town.pump()
        offers: list[Offer] = []
        offer = Offer(
            "lamp.switch",
            function_for("lamp.switch", lambda: "on"),
            Terms(refused=lambda _: offers[0].stop()),
            self.session.withdraw,
        )
        offers.append(offer)
        self.session.offer(offer)
        self.town.pump()
        self.assertFalse(offer.stands)
        self.town.guard.answer = None
        self.town.pass_time(20)
        self.assertNotIn("lamp.switch", self.town.operations)

    def test_long_pause(self) -> None:
        """
        However long the daemon says, nobody stays away for days.
        """
        self.assertEqual(self.session.pause(1, 1e9), 5400)
        self.assertEqual(self.session.pause(5, 0.5), 16)

    def test_ways_that_cannot(self) -> None:
        """
        By HTTP nothing can be offered. That is told, and the offer waits for a way by
        which it can.
        """
        for way in "events", "poll":
            session = self.town.session(way, "wire")
            offer = self.offer(lambda: "on", f"lamp.{way}", session)
            for _ in range(3):
                self.town.cut()
                self.town.pass_time(2)
            (error,) = self.refused
            self.assertEqual((error.status, error.passes), (501, True))
            told = f"nothing can be offered by {way}: lamp.{way} waits for another way"
            self.assertEqual((str(error), offer.problem), (told, told))
            self.assertTrue(offer.stands)
            self.refused.clear()
            offer.stop()

    def test_another_way(self) -> None:
        """
        When such a way is in turn, it is offered.
        """
        session = self.town.session("events", "wire")
        offer = self.offer(lambda: "on", session=session)
        Ear(session, "rooms.a")
        self.town.blocked = {"events"}
        self.town.cut()
        self.town.pass_time(9)
        self.assertEqual(session.way, "wire")
        self.assertEqual((offer.is_offered, offer.problem), (True, ""))
        self.assertEqual(self.result(), "on")

    def test_closed(self) -> None:
        """
        With the client all its offers end, and what is under way.
        """
        cancelled: list[Any] = []
        offer = self.offer(lambda: Deferred(cancelled.append))
        called = self.call()
        self.town.cut()
        self.failureResultOf(called, Refused)
        ready = offer.ready()
        self.session.close()
        self.town.pump()
        error: Any = self.failureResultOf(ready, Refused).value
        self.assertEqual((str(error), offer.stands), ("closed", False))
        self.assertEqual(len(cancelled), 1)
        self.assertNotIn("lamp.switch", self.town.operations)
        with self.assertRaisesRegex(Refused, "closed"):
            self.offer(lambda: "on")
        offer.stop()

    def test_twice(self) -> None:
        """
        A name is offered once.
        """
        self.offer(lambda: "on")
        with self.assertRaisesRegex(ValueError, "lamp.switch is offered already"):
            self.offer(lambda: "off")


class WrongTests(SynchronousTestCase):
    """
    What cannot be offered is refused at once.
    """

    def client(self, url: str = "lines://127.0.0.1:7071", **settings: Any) -> Client:
        client = Client(url, MemoryReactorClock(), **settings)
        self.addCleanup(client.close)
        return client

    def test_functions(self) -> None:
        """
        A function that no call could suit, or that wants to know what nobody tells it.
        """

        def asks(caller: Caller) -> None:
            """Who are you?"""

        def strange(lamp: StringTransport) -> None:
            """This is no shape."""

        client = self.client()
        for function, problem in (
            (asks, "take no Caller"),
            (strange, "lamp"),
            (int, "signature cannot be read"),
        ):
            with self.assertRaisesRegex(BadOperation, problem):
                client.offer("lamp.switch", function)

    def test_ways(self) -> None:
        """
        A client by whose ways nothing can be offered.
        """
        client = self.client("http://127.0.0.1:8080", ways=("events", "poll"))
        with self.assertRaisesRegex(ValueError, "offered by events and poll: have"):
            client.offer("lamp.switch", lambda: None)

    def test_bound(self) -> None:
        """
        A bound that is none.
        """
        with self.assertRaisesRegex(ValueError, "running is 1 or more, not 0"):
            self.client().offer("lamp.switch", lambda: None, running=0)


class LiveOfferTests(LiveCase):
    """
    Over sockets it is the same.
    """

    @inlineCallbacks
    def test_ways(self) -> Steps[None]:
        """
        By each way that can, what is offered is called, tells how far it is, refuses,
        and is gone with the client.
        """
        other = self.client("websocket")

        def switch(on: bool, progress: Progress) -> dict[str, Any]:
            if not on:
                raise Broken
            progress({"é": 0.5})
            return {"is": "on"}

        for way in WAYS:
            client = self.client(way)
            offer = client.offer("lamp.switch", switch)
            yield offer.ready()
            heard: list[Any] = []
            told = yield other.call("lamp.switch", on=True, progress=heard.append)
            self.assertEqual((told, heard), ({"is": "on"}, [{"é": 0.5}]), way)
            refused: Any = yield self.assertFailure(
                other.call("lamp.switch", on=False), Refused
            )
            self.assertEqual(
                (refused.status, str(refused)), (409, "the lamp is broken")
            )
            yield client.close()
            status = 503  # it left while it was called: nobody has noticed before
            while status == 503:
                gone: Any = yield self.assertFailure(other.call("lamp.switch"), Refused)
                status = gone.status
            self.assertEqual(status, 404, way)

    @inlineCallbacks
    def test_big_numbers(self) -> Steps[None]:
        """
        What msgpack cannot say is refused at once, and holds up nothing; what JSON says
        in its own way is the same by msgpack.
        """
        for way in "packed", "frames":
            client = self.client(way)
            yield self.assertFailure(client.publish("rooms.a", 2**70), OverflowError)
            with self.assertRaises(OverflowError):
                client.subscribe("rooms.a", lambda _: None, data={"big": 2**70})
            said = yield client.publish("rooms.a", {"bytes": b"ab", "n": -1})
            self.assertEqual(said.body, {"bytes": "YWI=", "n": -1})

    @inlineCallbacks
    def test_no_msgpack(self) -> Steps[None]:
        """
        With a daemon that does not agree to msgpack, it is spoken in JSON.
        """
        from ropewalk.net.calls.sockets import CallSocket

        self.patch(CallSocket, "onConnect", lambda socket, request: None)
        client = self.client("packed")
        self.assertEqual((yield client.call("kitchen.add", first=1, second=2)), 3)


class RoomTests(SynchronousTestCase):
    """
    A connection that is full says so.
    """

    def test_full(self) -> None:
        """
        There is no room while the transport is full; who leaves does not wait until it
        has some.
        """
        from ropewalk.client.lines import ByLines
        from ropewalk.client.places import Place

        session = Session(lambda *_: way, Clock(), ("lines",), 5, 1, lambda: 1.0)
        way = ByLines(session, 30, Place.of("lines://h:1"), Clock(), 1000)
        self.patch(way, "connect", lambda: None)
        session.start()
        transport: Any = StringTransport()
        protocol: Any = type("Talk", (), {"transport": transport})()
        way.met(protocol)
        self.assertTrue(way.has_room())
        transport.producer.pauseProducing()
        self.assertFalse(way.has_room())
        transport.producer.resumeProducing()
        self.assertTrue(way.has_room())
        session.close()
        self.assertIsNone(transport.producer)
        self.assertTrue(transport.disconnecting)
        way.gone("closed")
