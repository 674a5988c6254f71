"""
Tests for L{ropewalk.client}, in memory and on a clock that stands still. Over sockets
it is in L{tests.test_client_live} and L{tests.test_chaos}.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.client import Client, Hearing, Refused, Said, Subscription
from ropewalk.client.places import Place
from ropewalk.client.session import Session
from ropewalk.client.subscriptions import Listener
from ropewalk.errors import BadChannel, Fault, MailboxFull, TooMany
from tests.strands import SILENCE, Line, Town

WAYS = ("wire", "events", "poll")


class Ear:
    """
    Somebody who hears a channel.

    :ivar heard: What was told: the bodies, ``"gap"``, and who has come or gone.
    :ivar refused: The errors.
    """

    def __init__(
        self,
        session: Session,
        channel: str,
        after: str | None = None,
        who: str | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        self.heard: list[Any] = []
        self.sequences: list[Any] = []
        self.refused: list[Refused] = []
        listener = Listener(
            self._hear,
            lambda someone: self.heard.append(("joined", someone.who, someone.data)),
            lambda someone: self.heard.append(("left", someone.who)),
            self._miss,
            self.refused.append,
        )
        self.subscription = Subscription(
            channel, listener, who, data, after, session.leave
        )
        session.subscribe(self.subscription)

    def taken(self) -> list[Any]:
        """What was heard since."""
        heard, self.heard[:] = [*self.heard], []
        return heard

    def _hear(self, said: Said) -> None:
        self.heard.append(said.body)
        self.sequences.append(said.sequence)

    def _miss(self) -> None:
        self.heard.append("gap")
        self.sequences.append("gap")


class TownCase(SynchronousTestCase):
    """
    A daemon in memory.
    """

    def setUp(self) -> None:
        self.town = self.another()

    def another(self) -> Town:
        """One more."""
        town = Town()
        self.addCleanup(town.end)
        return town

    def ask(self, session: Session, method: str, **params: Any) -> Any:
        return session.ask(method, params, 30)

    def publish(self, session: Session, body: Any) -> Any:
        return self.ask(session, "rpc.publish", channel="rooms.a", body=body)


class PlaceTests(SynchronousTestCase):
    """
    Where a daemon is.
    """

    def test_urls(self) -> None:
        """
        A URL says where pages and WebSockets are.
        """
        place = Place.of("https://example.org/app/")
        self.assertEqual(place.url("/channels"), "https://example.org/app/channels")
        self.assertEqual(place.url("/live", "wss"), "wss://example.org/app/live")
        self.assertTrue(place.is_secure)
        self.assertEqual(place, Place.of("wss://example.org:443/app"))
        here = Place.of("ws://[::1]:8080")
        self.assertEqual(here, Place("http", "::1", 8080))
        self.assertEqual(here.url("/x"), "http://[::1]:8080/x")
        self.assertEqual(Place.of("http://h").port, 80)
        self.assertEqual(Place.of("lines://h:7071"), Place("lines", "h", 7071))

    def test_wrong(self) -> None:
        """
        Where there can be no daemon, that is said at once.
        """
        for url, problem in (
            ("ftp://h", "no daemon can be at"),
            ("h:80", "no daemon can be at"),
            ("http://", "no daemon can be at"),
            ("http://h/?x=1", "more than scheme, host"),
            ("http://u:p@h", "more than scheme, host"),
            ("lines://h", "needs a port"),
            ("http://h:x", ""),
        ):
            with self.assertRaisesRegex(ValueError, problem):
                Client(url, Clock())

    def test_settings(self) -> None:
        """
        Ways that are none, and times that are none, are refused.
        """
        for wrong in (
            {"ways": ("carrier pigeon",)},
            {"ways": ()},
            {"deadline": 0},
            {"pause": 0},
            {"silence": -1},
        ):
            with self.assertRaises(ValueError):
                Client("http://h", Clock(), **wrong)


class StateTests(TownCase):
    """
    A client connects, and connects again.
    """

    def test_opens(self) -> None:
        """
        By each way it is connecting, then open, then closed; whoever wants to is told.
        What they raise harms nothing.
        """
        for way in WAYS:
            states: list[str] = []

            def changed(state: str, states: list[str] = states) -> None:
                states.append(state)
                raise ZeroDivisionError

            session = self.town.session(way, changed=changed)
            self.assertEqual((session.state, session.way), ("connecting", way))
            self.town.pump()
            self.assertEqual(session.state, "open")
            closed = session.close()
            self.town.pump()
            self.successResultOf(closed)
            self.assertEqual(states, ["open", "closed"])
            self.assertEqual(self.town.links, [])
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_pauses(self) -> None:
        """
        Each attempt that fails doubles the pause, up to a minute; one that succeeds
        begins anew. Chance takes away up to a half.
        """
        self.town.dark = True
        session = self.town.session("wire", pause=1.0, chance=lambda: 1.0)
        self.assertEqual(
            [session.pause(failures) for failures in (1, 2, 6, 7, 5000)],
            [1, 2, 32, 60, 60],
        )
        self.town.clock.advance(0)
        for pause in 1, 2, 4, 8:
            dialled = len(self.town.dialled)
            self.town.clock.advance(pause - 0.5)
            self.assertEqual(len(self.town.dialled), dialled)
            self.town.clock.advance(0.5)
            self.assertEqual(len(self.town.dialled), dialled + 1)
            self.town.clock.advance(0)
        self.town.dark = False
        self.town.pass_time(16)
        self.assertEqual(session.state, "open")
        self.town.cut()
        self.assertEqual(session.state, "connecting")
        self.town.pass_time(1)
        self.assertEqual(session.state, "open")
        lucky = self.town.session("wire", pause=1.0, chance=lambda: 0.0)
        self.assertEqual(lucky.pause(2), 1)

    def test_falls_back(self) -> None:
        """
        A way that does not open twice gives way to the next; the last to the first.
        """
        self.town.blocked = {"wire", "events"}
        session = self.town.session(*WAYS)
        ear = Ear(session, "rooms.a")
        self.town.pass_time(60)
        self.assertEqual((session.state, session.way), ("open", "poll"))
        self.assertEqual(self.town.dialled, ["wire"] * 2 + ["events"] * 2 + ["poll"])
        self.town.say("rooms.a", 1)
        self.town.pump()
        self.assertEqual(ear.taken(), [1])
        self.town.blocked = {"events"}
        self.town.cut()
        self.town.pass_time(2)
        self.assertEqual(session.way, "poll")

    def test_nobody_there(self) -> None:
        """
        Where nobody is there at all, the way is not to blame.
        """
        self.town.dark = True
        session = self.town.session(*WAYS)
        self.town.pass_time(100)
        self.assertEqual(set(self.town.dialled), {"wire"})
        self.town.dark = False
        self.town.pass_time(60)
        self.assertEqual((session.state, session.way), ("open", "wire"))

    def test_half_open(self) -> None:
        """
        A connection on which nothing comes is asked for a sign of life, and given up
        when there is none.
        """
        session = self.town.session("wire")
        ear = Ear(session, "rooms.a")
        self.town.pass_time(300)
        self.assertEqual(self.town.dialled, ["wire"])
        self.assertEqual(session.state, "open")
        self.town.clock.advance(SILENCE)
        self.town.clock.advance(SILENCE)  # nothing comes through
        self.assertEqual(session.state, "connecting")
        self.town.say("rooms.a", 1)
        self.town.pass_time(2)
        self.assertEqual(session.state, "open")
        self.assertEqual(ear.taken(), [1])

    def test_half_open_pages(self) -> None:
        """
        Nor is a stream believed that says nothing, or an answer that never comes.
        """
        for way in "events", "poll":
            town = self.another()
            session = town.session(way)
            ear = Ear(session, "rooms.a")
            town.pass_time(120)
            self.assertEqual(town.dialled, [way])
            for _ in range(2):
                town.clock.advance(SILENCE)
            self.assertEqual(session.state, "connecting")
            town.say("rooms.a", 1)
            town.pass_time(3)
            self.assertEqual(ear.taken(), [1], way)

    def test_never_answers(self) -> None:
        """
        Who says nothing within ten seconds is not there.
        """
        for way in "events", "poll":
            session = self.town.session(way)
            self.town.clock.advance(9)
            self.assertEqual(session.state, "connecting")
            self.town.clock.advance(1)
            self.town.links.clear()
            self.town.clock.advance(1)
            self.assertEqual(self.town.dialled.count(way), 2)

    def test_strange(self) -> None:
        """
        A daemon that says what none would say is left, and tried again.
        """
        for strange in (
            *(b"{", b"[]", b"1", b'{"method": "rpc.message", "params": {}}'),
            *(b'{"id": 1, "error": 5}', b"[" * 5000, b'{"id": [1], "result": 1}'),
            b'{"method": "rpc.joined", "params": {"who": "a", "since": 1}}',
        ):
            session = self.town.session("wire")
            ear = Ear(session, "rooms.b")
            self.town.pump()
            (line,) = self.town.links
            assert isinstance(line, Line)
            line.down.append(strange)
            self.town.pump()
            if b"[1]" in strange:
                self.assertEqual(session.state, "open")  # it answers nobody
            else:
                self.assertEqual(session.state, "connecting", strange)
            self.town.pass_time(2)
            self.assertEqual(session.state, "open")
            self.assertEqual(ear.refused, [])
            session.close()
            self.town.pump()


class CallTests(TownCase):
    """
    What is asked is answered, or refused.
    """

    def test_answers(self) -> None:
        """
        By each way, the daemon's answers and refusals are the same.
        """
        for way in WAYS:
            session = self.town.session(way)
            echoed = self.ask(session, "house.echo", text="é")
            forbidden = self.ask(session, "house.burn")
            wrong = self.ask(session, "house.echo", text=5)
            nothing = self.ask(session, "house.nothing")
            fallen = self.ask(session, "house.fall")
            self.town.pump()
            self.assertEqual(self.successResultOf(echoed), "é")
            statuses = [
                self.failureResultOf(each, Refused).value.status
                for each in (forbidden, nothing, fallen)
            ]
            self.assertEqual(statuses, [403, 404, 500])
            refused: Any = self.failureResultOf(wrong, Refused).value
            self.assertEqual(refused.status, 422)
            problem = "expected text, got 5"
            self.assertEqual(refused.faults, (Fault("text", problem),))
            self.assertIn(problem, str(refused))
            session.close()
            self.town.pump()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), len(WAYS))

    def test_channels(self) -> None:
        """
        By each way one publishes, and asks for history and who is there.
        """
        for number, way in enumerate(WAYS, 1):
            session = self.town.session(way)
            said = self.publish(session, {"x": way})
            history = self.ask(session, "rpc.history", channel="rooms.a", limit=1)
            present = self.ask(session, "rpc.present", channel="rooms.a")
            self.town.pump()
            self.assertEqual(self.successResultOf(said)["sequence"], number)
            (last,) = self.successResultOf(history)
            self.assertEqual(last["body"], {"x": way})
            self.assertEqual(
                self.successResultOf(present), {"people": [], "subscriptions": 0}
            )
            session.close()
            self.town.pump()

    def test_progress(self) -> None:
        """
        Progressive results are told; what is raised then harms nothing.
        """
        session = self.town.session()
        told: list[Any] = []

        def progress(value: Any) -> None:
            told.append(value)
            raise ZeroDivisionError

        climbed = session.ask("house.climb", {"stairs": 2}, 30, progress)
        self.town.pump()
        for _ in range(2):
            self.town.house.waiting.pop().callback(None)
            self.town.pump()
        self.assertEqual(told, [{"stair": 1}, {"stair": 2}])
        self.assertEqual(self.successResultOf(climbed), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_waits(self) -> None:
        """
        Without a connection so many calls wait for one; one more is refused at once.
        """
        for way in WAYS:
            self.town.dark = True
            session = self.town.session(way, most=2)
            said = [self.publish(session, number) for number in range(3)]
            refused: Any = self.failureResultOf(said[2], Refused).value
            self.assertEqual(refused.status, 0)
            self.assertEqual(str(refused), "2 calls wait for a connection already")
            self.town.dark = False
            self.town.pass_time(2)
            bodies = [self.successResultOf(each)["body"] for each in said[:2]]
            self.assertEqual(bodies, [0, 1])
            session.close()
            self.town.pump()

    def test_under_way(self) -> None:
        """
        What was under way when the connection was lost is refused, as nobody knows
        whether it was done; it is not done again.
        """
        for way in WAYS:
            session = self.town.session(way)
            self.town.pump()
            waiting = self.ask(session, "house.wait")
            self.town.pump()
            self.town.cut()
            refused: Any = self.failureResultOf(waiting, Refused).value
            self.assertEqual(refused.status, 0)
            self.assertEqual(
                str(refused),
                "the connection was lost while house.wait was under way: nobody knows "
                "whether it was done",
            )
            self.town.pass_time(5)
            self.assertEqual(len(self.town.house.waiting), 1, way)
            self.town.house.waiting.clear()
            session.close()
            self.town.pump()

    def test_never_sent(self) -> None:
        """
        What cannot have reached the daemon waits for the next connection.
        """
        for way in "events", "poll":
            session = self.town.session(way)
            self.town.pump()
            self.town.dark = True
            said = self.publish(session, way)
            self.town.pump()
            self.assertNoResult(said)
            self.town.dark = False
            self.town.pass_time(3)
            self.assertEqual(self.successResultOf(said)["body"], way)

    def test_deadline(self) -> None:
        """
        A call that takes too long is refused with 504, and cancelled at the daemon.
        """
        for way in WAYS:
            session = self.town.session(way)
            self.town.pump()
            waiting = session.ask("house.wait", {}, 2)
            self.town.pump()
            self.town.clock.advance(1)
            self.assertNoResult(waiting)
            self.town.clock.advance(1)
            refused: Any = self.failureResultOf(waiting, Refused).value
            self.assertEqual(refused.status, 504)
            self.assertEqual(str(refused), "house.wait took more than 2 seconds")
            self.town.pump()
            session.close()
            self.town.pump()
        self.assertEqual(self.town.house.cancelled, len(WAYS))

    def test_unspeakable(self) -> None:
        """
        What JSON cannot say is refused at once, and holds up nothing; what is changed
        later is said as it was.
        """
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        for way in WAYS:
            session = self.town.session(way)
            self.failureResultOf(self.publish(session, object()), TypeError)
            self.failureResultOf(self.publish(session, "\ud800"), ValueError)
            self.failureResultOf(self.publish(session, deep), RecursionError)
            with self.assertRaisesRegex(ValueError, "more than 0 seconds, not 0"):
                session.ask("house.echo", {}, 0)
            body = [1]
            said = self.publish(session, body)
            body.append(2)
            self.town.pump()
            self.assertEqual(self.successResultOf(said)["body"], [1])
            session.close()
            self.town.pump()

    def test_deadline_offline(self) -> None:
        """
        Waiting for a connection counts.
        """
        self.town.dark = True
        session = self.town.session()
        said = session.ask("house.echo", {"text": "a"}, 2)
        self.town.pass_time(2)
        self.failureResultOf(said, Refused)
        self.town.dark = False
        self.town.pass_time(9)
        self.assertEqual(session.state, "open")

    def test_cancelled(self) -> None:
        """
        Who cancels a call has the daemon cancel it.
        """
        for way in WAYS:
            session = self.town.session(way)
            self.town.pump()
            waiting = self.ask(session, "house.wait")
            self.town.pump()
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            self.town.pump()
            session.close()
            self.town.pump()
        self.assertEqual(self.town.house.cancelled, len(WAYS))

    def test_closed(self) -> None:
        """
        When it is closed, what waits is refused, and so is whatever is asked later.
        """
        self.town.dark = True
        session = self.town.session()
        said = self.publish(session, 1)
        self.successResultOf(session.close())
        for each in said, self.publish(session, 2):
            refused: Any = self.failureResultOf(each, Refused).value
            self.assertEqual(str(refused), "closed")
        self.town.pump()
        with self.assertRaisesRegex(Refused, "closed"):
            Ear(session, "rooms.a")
        self.assertEqual(self.town.clock.getDelayedCalls(), [])


class SubscriptionTests(TownCase):
    """
    Channels are heard.
    """

    def test_heard(self) -> None:
        """
        By each way: what is said from then on; after a token, what came since; after
        the empty one, all that is kept.
        """
        for way in WAYS:
            town = self.another()
            session = town.session(way)
            town.say("rooms.a", 1, 2, 3)
            now = Ear(session, "rooms.a")
            town.pump()
            town.say("rooms.a", 4)
            town.pump()
            self.assertEqual(now.taken(), [4], way)
            token = now.subscription.token
            now.subscription.end()
            now.subscription.end()
            town.say("rooms.a", 5)
            then = Ear(session, "rooms.a", after=token)
            town.pump()
            self.assertEqual(then.taken(), [5])
            then.subscription.end()
            everything = Ear(session, "rooms.a", after="")
            town.pump()
            self.assertEqual(everything.taken(), [1, 2, 3, 4, 5])
            self.assertEqual(now.taken() + then.taken(), [])

    def test_resumed(self) -> None:
        """
        After a loss, all that was said meanwhile, and nothing twice; also what came
        before anything was heard.
        """
        for way in WAYS:
            town = self.another()
            session = town.session(way)
            ear, silent = Ear(session, "rooms.a"), Ear(session, "rooms.b")
            town.pump()
            town.say("rooms.a", 1, 2)
            town.pump()
            town.say("rooms.a", 3)
            town.cut()
            town.say("rooms.a", 4)
            town.say("rooms.b", 1)
            town.pass_time(3)
            self.assertEqual(ear.taken(), [1, 2, 3, 4], way)
            self.assertEqual(silent.taken(), [1])

    def test_settled(self) -> None:
        """
        Who has heard nothing yet, in a channel that has a history, comes back behind
        that.
        """
        for way in WAYS:
            town = self.another()
            town.say("short.a", 1)
            session = town.session(way)
            ear = Ear(session, "short.a")
            town.pump()
            town.cut()
            town.say("short.a", 2)
            town.pass_time(3)
            self.assertEqual(ear.taken(), [2], way)
            town.cut()
            town.say("short.a", 3, 4, 5)
            town.pass_time(3)
            self.assertEqual(ear.taken(), ["gap", 4, 5], way)

    def test_gap(self) -> None:
        """
        Where the history does not reach back, that is told once, before what is kept.
        """
        for way in WAYS:
            for channel, kept in ("short.a", [4, 5]), ("none.a", []):
                town = self.another()
                session = town.session(way)
                ear = Ear(session, channel)
                town.pump()
                if way != "poll" or kept:  # who polls hears nothing that is not kept
                    town.say(channel, 1)
                    town.pump()
                    self.assertEqual(ear.taken(), [1], (way, channel))
                town.cut()
                town.say(channel, 2, 3, 4, 5)
                town.pass_time(3)
                town.say(channel, 6)
                town.pump()
                self.assertEqual(ear.taken(), ["gap", *kept, 6], (way, channel))

    def test_other_numbering(self) -> None:
        """
        A token of a numbering that is gone is a gap.
        """
        for way in WAYS:
            town = self.another()
            town.say("rooms.a", 1, 2)
            session = town.session(way)
            ear = Ear(session, "rooms.a", after="yesterday.7")
            town.pump()
            self.assertEqual(ear.taken(), ["gap", 1, 2], way)
            strange = Ear(session, "none.b", after="what is this?")
            town.pass_time(60)
            self.assertEqual(strange.taken(), ["gap"], way)
            town.say("none.b", 1)
            town.pump()
            self.assertEqual(strange.taken(), [1], way)

    def test_ended(self) -> None:
        """
        Nothing is heard after the end, though it is on its way; who subscribes again at
        once hears what comes from then on, and what is under way is not taken for that.
        """
        session = self.town.session()
        ear = Ear(session, "rooms.a")
        self.town.pump()
        self.town.say("rooms.a", 1, 2)
        self.town.pump(1)
        ear.subscription.end()
        again = Ear(session, "rooms.a")
        self.town.say("rooms.a", 3)
        self.town.pump()
        self.town.say("rooms.a", 4)
        self.town.pump()
        self.assertEqual((ear.taken(), again.taken()), ([1], [4]))
        self.town.say("rooms.a", 5)
        again.subscription.end()
        everything = Ear(session, "rooms.a", after="")
        self.town.pump()
        self.assertEqual(everything.taken(), [1, 2, 3, 4, 5])

    def test_wrong(self) -> None:
        """
        What is no channel, and what cannot be said, is refused at once.
        """
        session = self.town.session()
        for name in "", "rooms/a", "..", "rooms.**.a":
            with self.assertRaises(BadChannel):
                Ear(session, name)
        with self.assertRaisesRegex(ValueError, r"and rooms\.\* is many"):
            Ear(session, "rooms.*", after="")
        with self.assertRaises(TypeError):
            Ear(session, "rooms.a", data={"x": object()})
        self.assertEqual(session.subscriptions, {})

    def test_twice(self) -> None:
        """
        A channel is subscribed to once.
        """
        session = self.town.session()
        Ear(session, "rooms.a")
        with self.assertRaisesRegex(ValueError, "rooms.a is subscribed to already"):
            Ear(session, "rooms.a")

    def test_refused(self) -> None:
        """
        Who may not subscribe is told, once and for all.
        """
        for way in WAYS:
            session = self.town.session(way)
            ear = Ear(session, "secret")
            late = Ear(session, "secret.too", after="")
            self.town.pass_time(5)
            for each in ear, late:
                (error,) = each.refused
                self.assertEqual(error.status, 403, way)
            self.assertEqual(session.subscriptions, {})
            self.assertEqual(session.state, "open")
            Ear(session, "secret").subscription.end()
            session.close()
            self.town.pump()

    def test_full(self) -> None:
        """
        Where there is no room now, it is tried again, ever more rarely.
        """
        for way in WAYS:
            town = self.another()
            first = town.session("wire")
            before = Ear(first, "full.a", after="")
            town.pump()
            ear = Ear(town.session(way), "full.a", after="")
            town.pass_time(4)
            self.assertEqual(ear.refused, [])
            before.subscription.end()
            town.pass_time(10)
            town.say("full.a", 1)
            town.pump()
            self.assertEqual((before.taken(), ear.taken()), ([], [1]), way)

    def test_later(self) -> None:
        """
        Where the daemon says after how many seconds one may ask again, it is not asked
        before, nor by all at once.
        """
        session = self.town.session("wire", chance=lambda: 0.5)
        self.town.guard.answer = TooMany("ears", 8)
        ear = Ear(session, "guarded.a", after="")
        self.town.pump()
        self.town.guard.answer = True
        self.town.say("guarded.a", 1)
        self.town.clock.advance(9.9)  # a quarter more, by chance
        self.town.pump()
        self.assertEqual(ear.taken(), [])
        self.town.clock.advance(0.2)
        self.town.pump()
        self.assertEqual((ear.taken(), ear.refused), ([1], []))

    def test_presence(self) -> None:
        """
        With a name one is there, and hears who comes and goes, but by polling.
        """
        session = self.town.session("wire")
        ada = Ear(session, "rooms.a", who="Ada", data={"mood": "good"})
        self.town.pump()
        other = self.town.session("events")
        grace = Ear(other, "rooms.a", who="Grace")
        self.town.pump()
        closed = other.close()
        self.town.pump()
        self.successResultOf(closed)
        self.assertEqual(
            ada.taken(),
            [
                ("joined", "Ada", {"mood": "good"}),
                ("joined", "Grace", None),
                ("left", "Grace"),
            ],
        )
        self.assertEqual(grace.taken(), [("joined", "Grace", None)])

    def test_patterns(self) -> None:
        """
        A pattern is many channels; after a loss nobody knows what was missed. By
        polling there are none.
        """
        for way in "wire", "events":
            town = self.another()
            session = town.session(way)
            ear = Ear(session, "rooms.*")
            town.pump()
            town.say("rooms.a", 1)
            town.say("rooms.b", 1)
            town.pump()
            self.assertEqual(ear.taken(), [1, 1])
            town.cut()
            town.say("rooms.a", 2)
            town.pass_time(3)
            town.say("rooms.a", 3)
            town.pump()
            self.assertEqual(ear.taken(), ["gap", 3], way)
            self.assertIsNone(ear.subscription.token)
        polling = Ear(self.town.session("poll"), "rooms.*")
        self.town.pump()
        self.assertEqual(polling.refused[0].status, 422)

    def test_pattern_beside_channel(self) -> None:
        """
        On one connection a channel and a pattern that has it are heard each by itself:
        what one has missed is no news for the other.
        """
        session = self.town.session()
        self.town.say("rooms.a", 1, 2)
        pattern = Ear(session, "rooms.*")
        self.town.pump()
        self.town.say("rooms.a", 3)
        self.town.pump()
        channel = Ear(session, "rooms.a", after="e-1.1")
        self.town.say("rooms.a", 4)  # comes by the pattern, before what was missed
        self.town.pump()
        self.town.say("rooms.a", 5)
        self.town.pump()
        self.assertEqual(channel.taken(), [2, 3, 4, 5])
        self.assertEqual(pattern.taken(), [3, 4, 5])

    def test_raises(self) -> None:
        """
        A listener that raises is logged, and hears on.
        """
        session = self.town.session()
        heard: list[Any] = []

        def hear(said: Said) -> None:
            heard.append(said.body)
            raise ZeroDivisionError

        listener = Listener(hear)
        subscription = Subscription("rooms.a", listener, None, None, "", session.leave)
        session.subscribe(subscription)
        self.town.say("rooms.a", 1, 2)
        self.town.pump()
        self.assertEqual(heard, [1, 2])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_ends_itself(self) -> None:
        """
        Who hears something may end it all at once, and hears nothing more.
        """
        for way in WAYS:
            for closes in False, True:
                town = self.another()
                session = town.session(way)
                heard: list[Any] = []
                subscriptions: list[Subscription] = []

                def hear(
                    said: Said,
                    session: Session = session,
                    heard: list[Any] = heard,
                    subscriptions: list[Subscription] = subscriptions,
                    closes: bool = closes,
                ) -> None:
                    heard.append(said.body)
                    if closes:
                        session.close()
                    else:
                        subscriptions[0].end()

                listener = Listener(hear)
                subscriptions.append(
                    Subscription("rooms.a", listener, None, None, "", session.leave)
                )
                session.subscribe(subscriptions[0])
                town.say("rooms.a", 1, 2)
                town.pass_time(3)
                town.say("rooms.a", 3)
                town.pass_time(3)
                self.assertEqual(heard, [1], way)
                self.assertEqual(session.state, "closed" if closes else "open")
                count = self.successResultOf(town.hub.count("rooms.a"))
                self.assertEqual(count.subscriptions, 0)

    def test_across(self) -> None:
        """
        A token goes from any way to any other.
        """
        self.town.say("rooms.a", 0)
        heard: list[Any] = []
        token: str | None = ""
        number = 0
        for first in WAYS:
            for second in WAYS:
                for way in first, second:
                    session = self.town.session(way)
                    ear = Ear(session, "rooms.a", after=token)
                    self.town.pump()
                    number += 1
                    self.town.say("rooms.a", number)
                    self.town.pump(2)
                    token = ear.subscription.token
                    session.close()
                    self.town.pump()
                    heard += ear.taken()
        last = Ear(self.town.session(), "rooms.a", after=token)
        self.town.pump()
        self.assertEqual(heard + last.taken(), list(range(number + 1)))


class HearingTests(TownCase):
    """
    A channel is heard in a loop.
    """

    def hearing(self, channel: str, limit: int = 3) -> Hearing:
        hearing = Hearing(limit)
        listener = Listener(hearing.put, refused=hearing.refuse)
        subscription = Subscription(
            channel, listener, None, None, "", self.session.leave
        )
        self.session.subscribe(subscription)
        hearing.begin(subscription)
        return hearing

    def setUp(self) -> None:
        super().setUp()
        self.session = self.town.session()

    def test_taken(self) -> None:
        """
        Messages are taken one by one; after the end, those that wait.
        """
        hearing = self.hearing("rooms.a")
        waiting = hearing.take()
        self.town.say("rooms.a", 1, 2)
        self.town.pump()
        self.assertEqual(self.successResultOf(waiting).body, 1)
        self.assertEqual(hearing.token, "e-1.1")
        hearing.end()
        self.assertEqual(self.successResultOf(hearing.take()).body, 2)
        self.failureResultOf(hearing.take(), StopAsyncIteration)
        self.assertEqual(self.session.subscriptions, {})

    def test_slow(self) -> None:
        """
        Who is too slow has what waits, and is told; behind the token nothing is lost.
        """
        hearing = self.hearing("rooms.a")
        self.town.say("rooms.a", 1, 2, 3, 4, 5)
        self.town.pump()
        self.assertEqual(self.session.subscriptions, {})
        taken = [self.successResultOf(hearing.take()).body for _ in range(3)]
        self.failureResultOf(hearing.take(), MailboxFull)
        rest = Ear(self.session, "rooms.a", after=hearing.token)
        self.town.pump()
        self.assertEqual(taken + rest.taken(), [1, 2, 3, 4, 5])

    def test_refused(self) -> None:
        """
        Who may not hear is told so by the loop.
        """
        hearing = self.hearing("secret")
        waiting = hearing.take()
        self.town.pump()
        refused: Any = self.failureResultOf(waiting, Refused).value
        self.assertEqual(refused.status, 403)


class LossMachine(RuleBasedStateMachine):
    """
    Whatever happens to connections, everybody hears everything once and in order, or is
    told of a gap.
    """

    channels = st.sampled_from(["rooms.a", "short.a"])

    def __init__(self) -> None:
        super().__init__()
        self.town = Town()
        self.session = self.town.session(*WAYS)
        self.ears: list[Ear] = []
        self.said = {"rooms.a": 0, "short.a": 0}

    @rule(channel=channels, times=st.integers(1, 4))
    def publish(self, channel: str, times: int) -> None:
        for _ in range(times):
            self.said[channel] += 1
            self.town.say(channel, self.said[channel])

    @rule(channel=channels, start=st.sampled_from([None, "", "last"]))
    def subscribe(self, channel: str, start: str | None) -> None:
        if channel in self.session.subscriptions:
            return
        if start == "last":
            heard = [
                each.subscription.token
                for each in self.ears
                if each.subscription.channel == channel and each.subscription.token
            ]
            start = heard[-1] if heard else None
        self.ears.append(Ear(self.session, channel, after=start))

    @rule(channel=channels)
    def end(self, channel: str) -> None:
        if channel in self.session.subscriptions:
            self.session.subscriptions[channel].end()

    @rule(pieces=st.integers(0, 6))
    def let_through(self, pieces: int) -> None:
        self.town.pump(pieces)

    @rule()
    def calm_down(self) -> None:
        self.town.dark, self.town.blocked = False, set()
        self.town.pass_time(5)

    @rule(channel=channels, times=st.integers(1, 4))
    def lose(self, channel: str, times: int) -> None:
        self.calm_down()
        self.town.cut()
        self.publish(channel, times)

    @rule(channel=channels)
    def replace(self, channel: str) -> None:
        """Subscribe again while something is on its way."""
        self.calm_down()
        self.publish(channel, 2)
        self.end(channel)
        self.subscribe(channel, None)
        self.publish(channel, 1)

    @rule(seconds=st.sampled_from([0, 0.5, 1, 8, 31]))
    def wait(self, seconds: float) -> None:
        self.town.clock.advance(seconds)

    @rule()
    def cut(self) -> None:
        self.town.cut()

    @rule(dark=st.booleans(), blocked=st.sets(st.sampled_from(WAYS)))
    def change(self, dark: bool, blocked: set[str]) -> None:
        self.town.dark, self.town.blocked = dark, blocked

    @invariant()
    def in_order(self) -> None:
        for ear in self.ears:
            last: Any = None
            for each in ear.sequences:
                if each != "gap" and last not in (None, "gap"):
                    assert each == last + 1, ear.sequences
                last = each
            numbers = [each for each in ear.sequences if each != "gap"]
            assert numbers == sorted(set(numbers)), ear.sequences
            if ear.subscription.channel == "rooms.a":
                assert "gap" not in ear.sequences
            assert ear.refused == []

    def teardown(self) -> None:
        self.town.dark, self.town.blocked = False, set()
        self.town.pass_time(200)
        assert self.session.state == "open"
        for channel in self.said:
            self.publish(channel, 1)
        self.town.pass_time(2)
        self.in_order()
        for ear in self.ears:
            if ear.subscription.stands:
                assert ear.sequences[-1] == self.said[ear.subscription.channel]
        self.town.end()
        assert self.town.links == []
        for channel in self.said:
            attendance: Any = self.town.hub.count(channel).result
            assert attendance.subscriptions == 0


class AnyTests(SynchronousTestCase):
    """
    Whatever happens.
    """

    def test_nothing_is_lost(self) -> None:
        """
        Messages are heard once and in order, or a gap is told; in the end everybody
        hears what is said last, and nothing is left behind.
        """
        run_state_machine_as_test(
            LossMachine,
            settings=settings(
                max_examples=120,
                stateful_step_count=30,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
