# -*- test-case-name: tests.test_hub -*-
"""
Channels: what is published into one reaches everyone subscribed to it.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from attrs import Factory, define
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ropewalk.errors import BadChannelRule, ChannelFull, HubFull
from ropewalk.hub import ChannelRule, MemoryHub
from ropewalk.interfaces import IAuthoriser, ISubscriber, Message, Presence, Resumed
from tests import hub_contract
from tests.effort import lines_run
from tests.hub_contract import Ears, Event, SlowEars
from tests.test_schema import run_page
from tests.visiting import Place, request


class InMemory:
    """
    Makes the hub that is to be what every hub promises to be.
    """

    clock: Clock

    def make_hub(
        self, authoriser: IAuthoriser | None = None, limit: int = 3
    ) -> MemoryHub:
        return MemoryHub(
            lambda: 1e9 + self.clock.seconds(),
            clock=self.clock,
            authoriser=authoriser,
            limit=limit,
        )


class OrderTests(InMemory, hub_contract.OrderContract):
    """See there."""


class ResumeTests(InMemory, hub_contract.ResumeContract):
    """See there."""


class HistoryTests(InMemory, hub_contract.HistoryContract):
    """See there."""


class RuleTests(InMemory, hub_contract.RuleContract):
    """See there."""


class RightsTests(InMemory, hub_contract.RightsContract):
    """See there."""


class PresenceTests(InMemory, hub_contract.PresenceContract):
    """See there."""


class PatternTests(InMemory, hub_contract.PatternContract):
    """See there."""


class PaceTests(InMemory, hub_contract.PaceContract):
    """See there."""


class FiguresTests(InMemory, hub_contract.FiguresContract):
    """See there."""


class MemoryHubTests(SynchronousTestCase):
    """
    What is the memory hub's own.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.hub = MemoryHub(
            self.clock.seconds, clock=self.clock, limit=3, channels=3, epoch="e"
        )

    def ears(self, channel: str = "lobby", who: str | None = None) -> Ears:
        """Somebody new in a channel."""
        ears = Ears()
        self.successResultOf(self.hub.subscribe(channel, ears, who))
        return ears

    def say(self, *bodies: Any, channel: str = "lobby") -> list[Message]:
        """Publish, and wait for everybody to have it."""
        return [
            self.successResultOf(self.hub.publish(channel, body)) for body in bodies
        ]

    def history(self, channel: str = "lobby") -> list[Any]:
        messages = self.successResultOf(self.hub.history(channel))
        return [message.body for message in messages]

    def present(self, channel: str = "lobby") -> list[str]:
        return [each.who for each in self.successResultOf(self.hub.present(channel))]

    def test_no_token(self) -> None:
        """
        What is no text at all is a mistake of the caller, and leaves nothing behind.
        """
        number: Any = 5
        with self.assertRaises(AttributeError):
            self.hub.subscribe("lobby", Ears(), "Ada", number)
        self.assertEqual(self.successResultOf(self.hub.present("lobby")), [])

    def test_hub_full(self) -> None:
        """
        When there is somebody in each of the channels there may be, there can be
        no other; those there are go on.
        """
        for channel in "abc":
            self.ears(channel)
        for refused in (self.hub.subscribe("d", Ears()), self.hub.publish("d", 1)):
            self.assertEqual(self.failureResultOf(refused, HubFull).value.limit, 3)
        self.say(1, channel="a")

    def test_forgotten(self) -> None:
        """
        Otherwise a channel that nobody is in makes room for another: the one where
        nothing has happened for longest.
        """
        for channel in "abc":
            self.say(channel, channel=channel)
        self.say("again", channel="a")
        visitor = self.ears("b")
        self.hub.unsubscribe("b", visitor)
        self.ears("d")
        kept = {channel: self.history(channel) for channel in "abc"}
        self.assertEqual(kept, {"a": ["a", "again"], "b": ["b"], "c": []})
        [first] = self.say("new", channel="c")
        self.assertEqual((first.sequence, self.history("a")), (1, []))

    def test_looking_leaves_nothing(self) -> None:
        """
        Channels that were only looked at, or left without a word, take no room and
        push nobody out.
        """
        self.say("kept")
        for number in range(1000):
            name = f"room{number}"
            self.assertEqual((self.history(name), self.present(name)), ([], []))
            self.hub.unsubscribe(name, Ears())
            visitor = self.ears(name, "Ada")
            self.hub.unsubscribe(name, visitor)
        self.assertEqual(self.history(), ["kept"])
        self.assertEqual(list(self.hub.figures().channels), ["lobby"])

    def test_nobody_is_held(self) -> None:
        """
        Who has gone is not kept in memory.
        """

        class Visitor(Ears):
            """One that can be watched."""

        visitor = Visitor()
        watched = weakref.ref(visitor)
        self.hub.subscribe("lobby", visitor, "Ada")
        self.say("hello")
        self.hub.unsubscribe("lobby", visitor)
        del visitor
        self.assertIsNone(watched())

    def test_nobody_is_held_who_heard_many(self) -> None:
        """
        Nor who heard channels by a pattern.
        """

        class Visitor(Ears):
            """One that can be watched."""

        visitor = Visitor()
        watched = weakref.ref(visitor)
        for pattern in ("**", "rooms.*"):
            self.hub.subscribe(pattern, visitor)
        self.say("hello", channel="rooms.a")
        for pattern in ("**", "rooms.*"):
            self.hub.unsubscribe(pattern, visitor)
        del visitor
        self.assertIsNone(watched())

    def test_a_forgotten_numbering(self) -> None:
        """
        A channel that was forgotten begins again, and knows no token from before.
        """
        [said] = self.say(1)
        for name in "abc":  # there is no room for the lobby any more
            self.say(1, channel=name)
        [again] = self.say(2)
        self.assertEqual((said.token, again.token), ("e-1.1", "e-5.1"))
        ears = Ears()
        resumed = self.hub.subscribe("lobby", ears, None, said.token)
        self.assertEqual(self.successResultOf(resumed), Resumed(1, whole=False))

    def test_forgotten_while_somebody_waits(self) -> None:
        """
        Who waits for room in a channel that is forgotten meanwhile publishes its first
        message.
        """
        ears = SlowEars()
        self.hub.subscribe("lobby", ears)
        self.hub.unsubscribe("lobby", ears)
        self.say(1)
        self.hub.subscribe("**", ears)
        ears.full = True
        waits = self.hub.publish("lobby", 2, wait=True)
        for name in "abc":
            self.say(name, channel=name)
        self.assertNotIn("lobby", self.hub.figures().channels)
        self.assertNoResult(waits)
        ears.make_room()
        self.assertEqual(self.successResultOf(waits).token, "e-6.1")

    def test_forgotten_with_somebody_away(self) -> None:
        """
        Who is away from a channel that makes room for another has left it.
        """
        self.hub.declare("**", ChannelRule(away=10))
        ears = Ears()
        self.hub.subscribe("lobby.*", ears)
        ada = self.ears("lobby.a", "Ada")
        self.hub.unsubscribe("lobby.a", ada)
        for name in "abc":
            self.say(1, channel=name)
        self.assertEqual(ears.heard, [("joined", "Ada"), ("left", "Ada")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_patterns(self) -> None:
        """
        There are no more patterns that are heard than there may be channels.
        """
        ears = Ears()
        for pattern in ("a.*", "b.*", "c.*"):
            self.successResultOf(self.hub.subscribe(pattern, ears))
        done = self.hub.subscribe("d.*", ears)
        self.assertEqual(self.failureResultOf(done, HubFull).value.limit, 3)
        self.hub.unsubscribe("a.*", ears)
        self.successResultOf(self.hub.subscribe("d.*", ears))

    def test_one_timer(self) -> None:
        """
        However much will be too old, one call of the clock waits for it; none when
        nothing will. When it is over, nothing of it is in memory.
        """
        self.hub.declare("**", ChannelRule(keep_for=10, retain=20, away=5))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        watched: list[weakref.ref[Any]] = []

        class Body:
            """One that can be watched."""

        for name in "abc":
            body = Body()
            watched.append(weakref.ref(body))
            self.say(body, channel=name)
            self.hub.unsubscribe(name, self.ears(name, "Ada"))
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(1)
        del body
        self.clock.advance(17)
        self.assertEqual([each() is None for each in watched], [True, False, False])
        self.clock.advance(2)
        self.assertEqual([each() is None for each in watched], [True] * 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody_has_to_look(self) -> None:
        """
        What is too old is not in memory any more, though nothing happens in the
        channel; nor where that is declared when it is there already.
        """

        class Body:
            """One that can be watched."""

        for declare_first in (True, False):
            self.setUp()
            body = Body()
            watched = weakref.ref(body)
            if declare_first:
                self.hub.declare("**", ChannelRule(keep_for=10))
            self.say(body)
            if not declare_first:
                self.hub.declare("**", ChannelRule(keep_for=10))
            del body
            self.clock.advance(9.5)
            self.assertIsNotNone(watched())
            self.clock.advance(0.5)
            self.assertIsNone(watched())

    def test_nothing_expires(self) -> None:
        """
        Where nothing is declared that takes time, nothing waits in the clock.
        """
        self.hub.declare("lobby", ChannelRule(retain=float("inf")))
        self.say(1)
        self.hub.unsubscribe("lobby", self.ears(who="Ada"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_clock(self) -> None:
        """
        A hub without a clock refuses what takes time, and says what it needs.
        """
        hub = MemoryHub(lambda: 0.0)
        for name in ("keep_for", "retain", "away"):
            given: dict[str, Any] = {name: 5}
            with self.assertRaises(BadChannelRule) as caught:
                hub.declare("**", ChannelRule(**given))
            self.assertEqual(
                caught.exception.problem,
                f"{name} takes time, and the hub has no clock: MemoryHub(…, clock=…)",
            )
        hub.declare("**", ChannelRule(retain=float("inf"), away=0))


class CrowdTests(SynchronousTestCase):
    """
    Many channels with many in them.
    """

    def test_steps(self) -> None:
        """
        Coming, going, and making room for a channel is as much work among
        thousands as among a few.
        """
        few, many = self.work(20), self.work(4000)
        self.assertLess(many, few * 2)

    def test_patterns(self) -> None:
        """
        To publish is as much work where thousands of patterns are heard that do not
        match as where there are a few.
        """
        few, many = self.publishing(20), self.publishing(4000)
        self.assertLess(many, few * 2)

    def publishing(self, patterns: int) -> int:
        """How many steps it takes to publish where so many patterns are heard."""
        hub = MemoryHub(lambda: 0.0)
        ears = Ears()
        for number in range(patterns):
            hub.subscribe(f"rooms{number}.*", ears)
            hub.subscribe(f"rooms.lobby{number}.**", ears)
        hub.subscribe("rooms.lobby", ears)
        return lines_run(lambda: hub.publish("rooms.lobby", 1))

    def work(self, size: int) -> int:
        """How many steps it takes in a hub with so much in it."""
        hub = MemoryHub(lambda: 0.0, limit=2 * size, channels=2 * size)
        held = [Ears() for _ in range(size)]
        for number, each in enumerate(held):
            hub.subscribe("lobby", each)
            hub.publish(f"idle{number}", number)
            hub.subscribe(f"busy{number}", each)
        visitor = Ears()

        def come_and_go() -> None:
            hub.subscribe("lobby", visitor)
            hub.unsubscribe("lobby", visitor)
            hub.subscribe("new", visitor, "Ada")
            hub.unsubscribe("new", visitor)

        return lines_run(come_and_go)


@define(eq=False)
class Stay:
    """
    A subscription, as the model sees it.

    :ivar due: What it is to hear, in order.
    """

    who: str | None
    due: list[Any] = Factory(list)
    heard: list[Any] = Factory(list)
    stands: bool = True


@define(eq=False)
class Room:
    """
    A channel, as the model sees it.

    :ivar listeners: Those who hear all rooms.
    :ivar kept: The places of messages, and when they were published.
    :ivar guests: How many stay under a name, in the order in which the names came.
    :ivar away: Until when those are waited for of whom nobody stays.
    """

    name: str
    listeners: dict[int, Stay]
    sequence: int = 0
    kept: list[tuple[int, float]] = Factory(list)
    stays: dict[int, Stay] = Factory(dict)
    guests: dict[str, int] = Factory(dict)
    away: dict[str, float] = Factory(dict)

    @property
    def patience(self) -> float:
        """Seconds for which those are waited for who are away."""
        return AWAY if self.name == "a" else 0.0

    def happen(self, event: Event) -> None:
        for stay in self.stays.values():
            stay.due.append(event)
        for listener in self.listeners.values():
            listener.due.append((self.name, event))

    def places(self, now: float) -> list[int]:
        """The places of the messages that are not too old."""
        lifetime = KEEP_FOR if self.name == "a" else float("inf")
        return [place for place, born in self.kept if born + lifetime > now]

    def leave(self, who: str) -> None:
        """Somebody is not there any more."""
        del self.guests[who]
        self.away.pop(who, None)
        self.happen(("left", who))

    def expire(self, now: float) -> None:
        """Wait no longer for whom it was waited long enough for."""
        for who, until in tuple(self.away.items()):
            if until <= now:
                self.leave(who)


# What is declared of the first channel.
AWAY, KEEP_FOR = 3.0, 5.0

# Mostly in one channel, so that things meet there.
NAMES = st.sampled_from([*"aaaaabcd"])
PEOPLE = st.integers(0, 3)
LISTENERS = st.integers(4, 5)
WHO = st.sampled_from([None, "Ada", "Grace"])
# Which of the tokens that were seen, newest first; or one that never was, or none.
AFTER = st.sampled_from([None, None, -1, *range(6)])
STEPS = st.one_of(
    st.tuples(st.just("subscribe"), NAMES, PEOPLE, WHO, AFTER),
    st.tuples(st.just("unsubscribe"), NAMES, PEOPLE),
    st.tuples(st.just("publish"), NAMES, st.integers(0, 3)),
    st.tuples(st.just("publish"), NAMES, st.integers(0, 3)),
    st.tuples(st.just("come_back"), st.just("a"), PEOPLE),
    st.tuples(st.just("listen"), LISTENERS),
    st.tuples(st.just("listen_no_more"), LISTENERS),
    st.tuples(st.just("fall")),
)


@implementer(ISubscriber)
class Person:
    """
    A subscriber that does something of its own when it hears something.
    """

    def __init__(self, machine: HubMachine, number: int) -> None:
        self.machine = machine
        self.number = number
        self.plans: deque[Sequence[Any]] = deque()

    def deliver(self, message: Message) -> None:
        self.hear(message.channel, ("said", message.sequence))

    def joined(self, channel: str, presence: Presence) -> None:
        self.hear(channel, ("joined", presence.who))

    def left(self, channel: str, presence: Presence) -> None:
        self.hear(channel, ("left", presence.who))

    def hear(self, channel: str, event: Event) -> None:
        listener = self.machine.listeners.get(self.number)
        if listener is not None:
            listener.heard.append((channel, event))
        else:
            self.machine.rooms[channel].stays[self.number].heard.append(event)
        if self.plans:
            self.machine.act(self.plans.popleft())


class HubMachine(RuleBasedStateMachine):
    """
    The hub and a model of it do the same: the model knows at each call, in the
    order of the calls, who is to hear what. Subscribers act while they listen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.hub = MemoryHub(self.clock.seconds, clock=self.clock, limit=3, channels=3)
        self.hub.declare("a", ChannelRule(away=AWAY, keep_for=KEEP_FOR))
        self.people = [Person(self, number) for number in range(6)]
        self.rooms: dict[str, Room] = {}
        self.idle: list[str] = []
        self.listeners: dict[int, Stay] = {}
        self.tokens: list[tuple[str, Room, int]] = []
        self.unfired = 0

    @initialize(names=st.lists(WHO, max_size=4), listens=st.booleans())
    def arrive(self, names: list[str | None], listens: bool) -> None:
        """Some are there from the beginning."""
        for person, who in enumerate(names):
            self.act(("subscribe", "a", person, who, None))
        if listens:
            self.act(("listen", 4))

    @rule(step=STEPS)
    def do(self, step: Sequence[Any]) -> None:
        """Somebody does something."""
        if step[0] != "fall":
            self.act(step)

    @rule(person=PEOPLE | LISTENERS, step=STEPS)
    def plan(self, person: int, step: Sequence[Any]) -> None:
        """Somebody is to do something when he hears something next."""
        self.people[person].plans.append(step)

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds: int) -> None:
        """Time passes; who is away for too long leaves, each in time."""
        until = self.clock.seconds() + seconds
        while (room := self.rooms.get("a")) is not None:
            due = min(room.away.values(), default=until + 1)
            if due > until:
                break
            room.expire(due)
            if not (room.sequence or room.guests or room.stays):
                del self.rooms["a"]
                self.idle.remove("a")
            self.clock.advance(due - self.clock.seconds())
        self.clock.advance(until - self.clock.seconds())

    def act(self, step: Sequence[Any]) -> None:
        """Do it in the model, then in the hub."""
        getattr(self, f"act_{step[0]}")(*step[1:])

    def act_fall(self) -> None:
        raise ZeroDivisionError("a subscriber that falls")

    def act_listen(self, person: int) -> None:
        self.listeners.setdefault(person, Stay(None))
        self.check(self.hub.subscribe("**", self.people[person]), None)

    def act_listen_no_more(self, person: int) -> None:
        stay = self.listeners.pop(person, None)
        if stay is not None:
            stay.stands = False
            assert stay.heard == stay.due[: len(stay.heard)]
        self.check(self.hub.unsubscribe("**", self.people[person]), None)

    def room(self, name: str) -> Room | None:
        """A channel; none when there can be no other."""
        if name not in self.rooms:
            if len(self.rooms) == 3:
                # The first has a rule that lets callers in, and is alone with it.
                if not self.idle or name == "a":
                    return None
                forgotten = self.rooms.pop(self.idle.pop(0))
                for who in tuple(forgotten.guests):
                    forgotten.leave(who)
            self.rooms[name] = Room(name, self.listeners)
            self.idle.append(name)
        return self.rooms[name]

    def act_subscribe(
        self, name: str, person: int, who: str | None, after: int | None
    ) -> None:
        room = self.rooms.get(name)
        token, resumed = None, Resumed()
        stay = room.stays.get(person) if room else None
        expected: type[Exception] | None = None
        if stay is None:
            if room is not None and len(room.stays) == 3:
                expected = ChannelFull
            elif (room := self.room(name)) is None:
                expected = HubFull
            else:
                stay = room.stays[person] = Stay(None)
                token, resumed = self.resume(room, stay, after)
                if name in self.idle:
                    self.idle.remove(name)
        if stay is not None and room is not None and stay.who != who:
            self.rename(room, stay, who)
        result = self.hub.subscribe(name, self.people[person], who, token)
        came = self.check(result, expected)
        assert expected is not None or came == resumed

    def resume(
        self, room: Room, stay: Stay, after: int | None
    ) -> tuple[str | None, Resumed]:
        """Have somebody hear what is kept of what came after a message."""
        if after is None:
            return None, Resumed()
        token, whose, sequence = "never", None, 0
        if 0 <= after < len(self.tokens):
            token, whose, sequence = self.tokens[-1 - after]
        kept = room.places(self.clock.seconds())
        missed = [place for place in kept if place > sequence]
        whole = whose is room and room.sequence - sequence == len(missed)
        missed = missed if whole else kept
        stay.due.extend(("said", place) for place in missed)
        return token, Resumed(len(missed), whole)

    def act_unsubscribe(self, name: str, person: int) -> None:
        room = self.rooms.get(name)
        stay = room.stays.pop(person, None) if room else None
        if room is not None and stay is not None:
            stay.stands = False
            # It has heard the first of what it was to hear, in that order.
            assert stay.heard == stay.due[: len(stay.heard)]
            self.rename(room, stay, None, room.patience)
            if not room.stays:
                if room.sequence or room.guests:
                    self.idle.append(name)
                else:
                    del self.rooms[name]
        self.check(self.hub.unsubscribe(name, self.people[person]), None)

    def act_come_back(self, name: str, person: int) -> None:
        room = self.rooms.get(name)
        stay = room.stays.get(person) if room else None
        if stay is not None:
            who = stay.who
            self.act_unsubscribe(name, person)
            self.act_subscribe(name, person, who, None)

    def rename(
        self, room: Room, stay: Stay, who: str | None, patience: float = 0.0
    ) -> None:
        """Have somebody known under another name, or under none."""
        before, stay.who = stay.who, who
        if before is not None:
            room.guests[before] -= 1
            if not room.guests[before]:
                if patience:
                    room.away[before] = self.clock.seconds() + patience
                else:
                    room.leave(before)
        if who is not None:
            if who not in room.guests:
                room.happen(("joined", who))
            room.away.pop(who, None)
            room.guests[who] = room.guests.get(who, 0) + 1

    def act_publish(self, name: str, keep: int) -> None:
        room = self.room(name)
        stays: list[Stay] = []
        if room is not None:
            if name in self.idle:
                self.idle.remove(name)
                self.idle.append(name)
            room.sequence += 1
            said = (room.sequence, self.clock.seconds())
            room.kept = [*room.kept, said][-keep:] if keep else []
            stays = list(room.stays.values())
            room.happen(("said", room.sequence))
        sequence = room.sequence if room is not None else 0
        result = self.hub.publish(name, None, keep)
        if room is None:
            self.check(result, HubFull)
            return
        self.unfired += 1

        def published(message: Message) -> None:
            self.unfired -= 1
            self.tokens.append((message.token, room, sequence))
            assert message.sequence == sequence
            for stay in stays:
                assert ("said", sequence) in stay.heard or not stay.stands

        result.addCallback(published)

    def check(self, result: Deferred[Any], expected: type[Exception] | None) -> Any:
        """What a call came to, at once."""
        came: list[Any] = []
        result.addBoth(came.append)
        error = getattr(came[0], "type", None)
        assert error is expected, f"{error} is not {expected}"
        return came[0]

    @invariant()
    def same(self) -> None:
        """Now that all is quiet, the hub and the model agree."""
        assert not self.unfired
        for listener in self.listeners.values():
            assert listener.heard == listener.due
        for name in "abcd":
            room = self.rooms.get(name, Room(name, {}))
            for stay in room.stays.values():
                assert stay.heard == stay.due
                places = [fact for what, fact in stay.heard if what == "said"]
                assert all(after == before + 1 for before, after in pairwise(places))
            kept: list[Any] = []
            self.hub.history(name).addCallback(kept.extend)
            sequences = [message.sequence for message in kept]
            assert sequences == room.places(self.clock.seconds())
            present: list[Any] = []
            self.hub.present(name).addCallback(present.extend)
            assert [each.who for each in present] == list(room.guests)
        assert sorted(self.hub.figures().channels) == sorted(self.rooms)


class HubMachineTests(SynchronousTestCase):
    """
    The hub does what its model does.
    """

    def test_any_steps(self) -> None:
        """
        In whatever order people come, go and speak, and whatever they do while
        they are being told, all hear the same in the same order, nothing is lost,
        and nothing comes twice.
        """
        from hypothesis.stateful import run_state_machine_as_test

        run_state_machine_as_test(
            HubMachine,
            settings=settings(
                max_examples=150,
                stateful_step_count=25,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        self.flushLoggedErrors(ZeroDivisionError)


class DocumentationTests(SynchronousTestCase):
    """
    ``docs/hub.rst`` is true.
    """

    def test_page(self) -> None:
        """
        Its examples do what it says.
        """
        self.assertEqual(run_page("hub.rst")[1], "")

    def test_events(self) -> None:
        """
        Its browser hears a channel, and after a break what it has missed; when it has
        left, nobody is subscribed.
        """
        names, _ = run_page("hub.rst")
        hub, game = MemoryHub(lambda: 0.0, epoch="e"), "games.chess"
        hub.declare("games.*", ChannelRule())
        names["hub"] = hub
        place = Place.of()
        place.mount("/", names["routes"])
        hub.publish(game, "one")
        visit = place.visit()
        visit.send(request("/games/chess/events"))
        self.assertIn(b"text/event-stream", visit.wire.value())
        visit.wire.clear()
        hub.publish(game, "two")
        event = b'id: e-1.2\ndata: "two"\n\n'
        self.assertEqual(visit.wire.value(), b"%x\r\n%b\r\n" % (len(event), event))
        visit.leave()
        hub.publish(game, "three")
        visit = place.visit()
        visit.send(request("/games/chess/events", "GET", "Last-Event-ID: e-1.2"))
        said = visit.wire.value()
        self.assertIn(b'id: e-1.3\ndata: "three"\n\n', said)
        self.assertNotIn(b"two", said)
        visit.leave()
        self.assertEqual(hub.figures().channels[game].subscribers, 0)
