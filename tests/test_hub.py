# -*- test-case-name: tests.test_hub -*-
"""
Channels: what is published into one reaches everyone subscribed to it.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count, pairwise
from typing import Any

from attrs import Factory, define
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ropewalk.errors import ChannelFull, HubFull, MailboxFull
from ropewalk.hub import Mailbox, MemoryHub
from ropewalk.interfaces import IHub, ISubscriber, Message, Presence, Resumed
from tests.test_schema import run_page
from tests.visiting import Place, request

Event = tuple[str, Any]


@implementer(ISubscriber)
@define
class Ears:
    """
    Keeps what it hears.

    :ivar then: What to do next, each at one occasion.
    """

    heard: list[Event] = Factory(list)
    then: deque[Callable[[], object]] = Factory(deque)

    def deliver(self, message: Message) -> None:
        self._hear("said", message.body)

    def joined(self, channel: str, presence: Presence) -> None:
        self._hear("joined", presence.who)

    def left(self, channel: str, presence: Presence) -> None:
        self._hear("left", presence.who)

    def _hear(self, what: str, fact: Any) -> None:
        self.heard.append((what, fact))
        if self.then:
            self.then.popleft()()


class MemoryHubTests(SynchronousTestCase):
    """
    The channels of one process.
    """

    def setUp(self) -> None:
        seconds = count(1)
        self.hub = MemoryHub(
            lambda: float(next(seconds)), limit=3, channels=3, epoch="e"
        )

    def ears(self, channel: str = "lobby", who: str | None = None) -> Ears:
        """Somebody new in a channel."""
        ears = Ears()
        self.successResultOf(self.hub.subscribe(channel, ears, who))
        return ears

    def say(
        self, *bodies: Any, channel: str = "lobby", keep: int = 100
    ) -> list[Message]:
        """Publish, and wait for everybody to have it."""
        return [
            self.successResultOf(self.hub.publish(channel, body, keep))
            for body in bodies
        ]

    def history(self, channel: str = "lobby", limit: int | None = None) -> list[Any]:
        messages = self.successResultOf(self.hub.history(channel, limit))
        return [message.body for message in messages]

    def present(self, channel: str = "lobby") -> list[str]:
        return [each.who for each in self.successResultOf(self.hub.present(channel))]

    def test_interface(self) -> None:
        """
        It is a hub, and the tests' ears are subscribers.
        """
        self.assertTrue(verifyObject(IHub, self.hub))
        self.assertTrue(verifyObject(ISubscriber, Ears()))

    def test_delivery(self) -> None:
        """
        What is published reaches those who are subscribed to the channel at that
        time, each once, though they may be equal.
        """
        ada, grace, other = self.ears(), self.ears(), self.ears("kitchen")
        self.assertEqual(ada, grace)
        self.say("one")
        late = self.ears()
        self.hub.unsubscribe("lobby", ada)
        self.say("two")
        self.assertEqual(ada.heard, [("said", "one")])
        self.assertEqual(grace.heard, [("said", "one"), ("said", "two")])
        self.assertEqual(late.heard, [("said", "two")])
        self.assertEqual(other.heard, [])

    def test_message(self) -> None:
        """
        A message has its place in its channel, from 1 without gaps, and its time.
        """
        self.assertEqual(
            self.say("one", "two"),
            [
                Message("lobby", 1, 1.0, "one", "e-1"),
                Message("lobby", 2, 2.0, "two", "e-1"),
            ],
        )
        [there] = self.say("one", channel="kitchen")
        self.assertEqual(there, Message("kitchen", 1, 3.0, "one", "e-2"))
        self.assertEqual(there.token, "e-2.1")

    def resume(
        self, after: str | None, who: str | None = None, channel: str = "lobby"
    ) -> tuple[Ears, Resumed]:
        """Come back with a token."""
        ears = Ears()
        done = self.hub.subscribe(channel, ears, who, after)
        return ears, self.successResultOf(done)

    def test_resuming(self) -> None:
        """
        Who comes back with the token of a message hears what came after it, then
        what comes now: nothing is missing, and nothing comes twice.
        """
        tokens = [each.token for each in self.say(1, 2, 3)]
        for place, token in enumerate(tokens, 1):
            ears, resumed = self.resume(token)
            missed = [("said", each) for each in range(place + 1, 4)]
            self.assertEqual(ears.heard, missed)
            self.assertEqual(resumed, Resumed(3 - place, whole=True))
        self.say(4)
        self.assertEqual(ears.heard, [("said", 4)])

    def test_resuming_before_the_first(self) -> None:
        """
        Who knows the numbering, and has heard nothing of it, has missed everything.
        """
        self.say(1, 2)
        ears, resumed = self.resume("e-1.0")
        self.assertEqual(ears.heard, [("said", 1), ("said", 2)])
        self.assertEqual(resumed, Resumed(2, whole=True))

    def test_it_does_not_reach_back(self) -> None:
        """
        Who was away for too long is told so, and has what there is.
        """
        first, second, *_ = [each.token for each in self.say(1, 2, 3, 4, keep=2)]
        ears, resumed = self.resume(first)
        self.assertEqual(ears.heard, [("said", 3), ("said", 4)])
        self.assertEqual(resumed, Resumed(2, whole=False))
        self.assertEqual(self.resume(second)[1], Resumed(2, whole=True))
        self.say(5, keep=0)
        self.assertEqual(self.resume("e-1.4")[1], Resumed(0, whole=False))

    def test_other_numberings(self) -> None:
        """
        A token of another hub, of a channel that was forgotten, or of nothing at all
        is no place here.
        """
        [said] = self.say(1)
        for odd in (
            *("f-1.1", "e-2.1", "1", "", ".", "e-1", "e-1.", "e-1.-1", "e-1.+1"),
            *("e-1. 1", "e-1.2", "e-1.\u0661", "e-1.1.1", f"e-1.{'1' * 5000}"),
        ):
            hub_ears, resumed = self.resume(odd)
            self.assertEqual(hub_ears.heard, [("said", 1)], odd)
            self.assertEqual(resumed, Resumed(1, whole=False), odd)
            self.hub.unsubscribe("lobby", hub_ears)
        for name in "abc":  # there is no room for the lobby any more
            self.say(1, channel=name)
        ears, resumed = self.resume(said.token)
        self.assertEqual((ears.heard, resumed), ([], Resumed(0, whole=False)))

    def test_resuming_in_the_middle(self) -> None:
        """
        Who comes back while others are being told misses nothing of that.
        """
        [said] = self.say(0)
        late, came = Ears(), []

        def come_back() -> None:
            self.hub.publish("lobby", 2)
            came.append(self.hub.subscribe("lobby", late, "Ada", said.token))
            self.hub.publish("lobby", 3)

        self.hub.subscribe("lobby", Ears(then=deque([come_back])))
        self.say(1)
        expected = [("said", 1), ("said", 2), ("joined", "Ada"), ("said", 3)]
        self.assertEqual(late.heard, expected)
        self.assertEqual(self.successResultOf(came[0]), Resumed(2, whole=True))

    def test_gone_while_it_resumes(self) -> None:
        """
        Who leaves while it hears what it has missed hears no more of it.
        """
        self.say(1, 2, 3)
        ears = Ears()
        ears.then.append(lambda: self.hub.unsubscribe("lobby", ears))
        self.hub.subscribe("lobby", ears, None, "e-1.0")
        self.assertEqual(ears.heard, [("said", 1)])

    def test_no_token(self) -> None:
        """
        What is no text at all is a mistake of the caller, and leaves nothing behind.
        """
        number: Any = 5
        with self.assertRaises(AttributeError):
            self.hub.subscribe("lobby", Ears(), "Ada", number)
        self.assertEqual(self.successResultOf(self.hub.present("lobby")), [])

    def test_resuming_what_stands(self) -> None:
        """
        Who is subscribed has missed nothing, whatever token it has.
        """
        [said] = self.say(1)
        ears, _ = self.resume(said.token)
        self.say(2)
        done = self.hub.subscribe("lobby", ears, None, said.token)
        self.assertEqual(self.successResultOf(done), Resumed(0, whole=True))
        self.assertEqual(ears.heard, [("said", 2)])

    def test_history(self) -> None:
        """
        A channel keeps as many messages as its last publisher wants, and gives as
        many of them as one asks for; the sequence does not mind.
        """
        self.assertEqual(self.history(), [])
        self.say(1, 2, 3, 4, keep=3)
        self.assertEqual(self.history(), [2, 3, 4])
        self.assertEqual(self.history(limit=2), [3, 4])
        self.assertEqual(self.history(limit=0), [])
        self.assertEqual(self.history(limit=9), [2, 3, 4])
        self.say(5, keep=5)
        self.assertEqual(self.history(), [2, 3, 4, 5])
        self.say(6, keep=1)
        self.assertEqual(self.history(), [6])
        self.say(7, keep=0)
        self.assertEqual(self.history(), [])
        [last] = self.say(8)
        self.assertEqual((last.sequence, self.history()), (8, [8]))

    def test_history_is_a_copy(self) -> None:
        """
        Who was given the history keeps it as it was.
        """
        self.say(1)
        before = self.successResultOf(self.hub.history("lobby"))
        self.say(2)
        self.assertEqual([message.body for message in before], [1])

    def test_impossible_history(self) -> None:
        """
        Less than nothing cannot be kept, and nothing is published then.
        """
        self.assertRaises(ValueError, self.hub.publish, "lobby", "x", keep=-1)
        [first] = self.say(1)
        self.assertEqual(first.sequence, 1)

    def test_presence(self) -> None:
        """
        Everybody hears who comes and goes, the one who comes too.
        """
        ada = self.ears(who="Ada")
        listener = self.ears()
        grace = self.ears(who="Grace")
        self.assertEqual(
            self.successResultOf(self.hub.present("lobby")),
            [Presence("Ada", 1.0), Presence("Grace", 2.0)],
        )
        self.hub.unsubscribe("lobby", ada)
        self.hub.unsubscribe("lobby", ada)
        self.assertEqual(self.present(), ["Grace"])
        self.assertEqual(ada.heard, [("joined", "Ada"), ("joined", "Grace")])
        self.assertEqual(listener.heard, [("joined", "Grace"), ("left", "Ada")])
        self.assertEqual(grace.heard, [("joined", "Grace"), ("left", "Ada")])

    def test_two_of_one_name(self) -> None:
        """
        Ada with a browser and a telephone comes with the first and goes with the
        last, and has been there since the first.
        """
        listener = self.ears()
        browser, telephone = self.ears(who="Ada"), self.ears(who="Ada")
        self.hub.unsubscribe("lobby", browser)
        self.assertEqual(
            self.successResultOf(self.hub.present("lobby")), [Presence("Ada", 1.0)]
        )
        self.assertEqual(listener.heard, [("joined", "Ada")])
        self.hub.unsubscribe("lobby", telephone)
        self.assertEqual(self.present(), [])
        self.assertEqual(listener.heard, [("joined", "Ada"), ("left", "Ada")])

    def test_subscribing_twice(self) -> None:
        """
        It is subscribing once, and the later name counts.
        """
        ada = self.ears(who="Ada")
        for who in ("Ada", "Countess", None):
            self.successResultOf(self.hub.subscribe("lobby", ada, who))
        self.say("hello")
        names = ["joined Ada", "left Ada", "joined Countess", "left Countess"]
        self.assertEqual(
            [" ".join(event) for event in ada.heard], [*names, "said hello"]
        )
        self.assertEqual(self.present(), [])

    def test_a_new_name_loses_nothing(self) -> None:
        """
        Who changes his name while there is something still to hear hears it.
        """
        speaker, ada = self.ears(), self.ears()
        speaker.then.append(lambda: self.say_later("two"))
        ada.then.append(lambda: self.hub.subscribe("lobby", ada, "Ada"))
        self.say("one")
        self.assertEqual(
            ada.heard, [("said", "one"), ("said", "two"), ("joined", "Ada")]
        )

    def test_answering_a_new_name(self) -> None:
        """
        A change of name is one thing: who answers the going of the old name, even
        by sending its bearer away, comes after the coming of the new.
        """
        host, ada = self.ears(), self.ears(who="Ada")
        host.then.append(lambda: self.hub.unsubscribe("lobby", ada))
        self.successResultOf(self.hub.subscribe("lobby", ada, "Countess"))
        self.assertEqual(
            host.heard[1:],
            [("left", "Ada"), ("joined", "Countess"), ("left", "Countess")],
        )
        self.assertEqual(self.present(), [])

    def say_later(self, body: Any) -> Deferred[Message]:
        return self.hub.publish("lobby", body)

    def test_one_order(self) -> None:
        """
        What a subscriber says while it hears something is heard by all after
        that, also by those who come or go meanwhile.
        """
        first, last = self.ears(), self.ears()
        late = Ears()
        first.then.append(lambda: self.say_later("answer"))
        first.then.append(lambda: self.hub.subscribe("lobby", late, "Late"))
        self.say("question")
        self.assertEqual(
            first.heard, [("said", "question"), ("said", "answer"), ("joined", "Late")]
        )
        self.assertEqual(last.heard, first.heard)
        self.assertEqual(late.heard, [("joined", "Late")])

    def test_going_while_others_are_told(self) -> None:
        """
        Who has gone hears nothing more, though it was on its way.
        """
        first, last = self.ears(), self.ears(who="Last")
        first.heard.clear()
        last.heard.clear()
        first.then.append(lambda: self.hub.unsubscribe("lobby", last))
        self.say("question")
        self.assertEqual(first.heard, [("said", "question"), ("left", "Last")])
        self.assertEqual(last.heard, [])

    def test_back_again(self) -> None:
        """
        Who goes and comes back hears what is said after that, and not what was on
        its way before.
        """
        first, last = self.ears(), self.ears()
        first.then.append(lambda: self.say_later("missed"))
        last.then.append(lambda: self.hub.unsubscribe("lobby", last))
        last.then.append(lambda: None)
        self.say("one")
        self.hub.subscribe("lobby", last)
        self.say("two")
        self.assertEqual(last.heard, [("said", "one"), ("said", "two")])

    def test_published(self) -> None:
        """
        The Deferred fires when all have heard it, and those who are told by it may
        go on publishing.
        """
        speaker, last = self.ears(), self.ears()
        heard: list[int] = []
        speaker.then.append(
            lambda: self.say_later("two").addCallback(
                lambda _: heard.append(len(last.heard))
            )
        )
        done = self.hub.publish("lobby", "one")
        done.addCallback(lambda message: self.hub.publish("lobby", message.sequence))
        self.successResultOf(done)
        self.assertEqual(heard, [2])
        self.assertEqual([body for _, body in last.heard], ["one", "two", 1])

    def test_who_does_not_wait(self) -> None:
        """
        Who gives up waiting for the delivery has published all the same.
        """
        ada = self.ears()

        def impatient() -> None:
            done = self.say_later("two")
            done.cancel()
            self.failureResultOf(done, CancelledError)

        ada.then.append(impatient)
        self.say("one", "three")
        self.assertEqual([body for _, body in ada.heard], ["one", "two", "three"])

    def test_a_bad_subscriber(self) -> None:
        """
        One that raises harms nobody, is logged, and stays subscribed.
        """

        def fall() -> None:
            raise ZeroDivisionError("no")

        before, bad, after = self.ears(), self.ears(), self.ears()
        bad.then.append(fall)
        self.say("one", "two")
        self.assertEqual(before.heard, after.heard)
        self.assertEqual(bad.heard, [("said", "one"), ("said", "two")])
        [failure] = self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(failure.getErrorMessage(), "no")

    def test_channel_full(self) -> None:
        """
        No more than so many subscribers come in; who is in may change his name, and
        the place of one who goes is free.
        """
        ada, _, _ = self.ears(), self.ears(), self.ears()
        error = self.failureResultOf(self.hub.subscribe("lobby", Ears()), ChannelFull)
        self.assertEqual((error.value.channel, error.value.limit), ("lobby", 3))
        self.successResultOf(self.hub.subscribe("lobby", ada, "Ada"))
        self.hub.unsubscribe("lobby", ada)
        self.successResultOf(self.hub.subscribe("lobby", Ears()))

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

    def work(self, size: int) -> int:
        """How many calls it takes in a hub with so much in it."""
        import sys

        hub = MemoryHub(lambda: 0.0, limit=2 * size, channels=2 * size)
        held = [Ears() for _ in range(size)]
        for number, each in enumerate(held):
            hub.subscribe("lobby", each)
            hub.publish(f"idle{number}", number)
            hub.subscribe(f"busy{number}", each)
        lines = 0

        def trace(frame: Any, event: str, argument: Any) -> Any:
            nonlocal lines
            lines += 1
            return trace

        visitor = Ears()
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            hub.subscribe("lobby", visitor)
            hub.unsubscribe("lobby", visitor)
            hub.subscribe("new", visitor, "Ada")
            hub.unsubscribe("new", visitor)
        finally:
            sys.settrace(before)
        return lines


@define(eq=False)
class Stay:
    """
    A subscription, as the model sees it.

    :ivar due: What it is to hear, in order.
    """

    who: str | None
    due: list[Event] = Factory(list)
    heard: list[Event] = Factory(list)
    stands: bool = True


@define(eq=False)
class Room:
    """A channel, as the model sees it."""

    sequence: int = 0
    kept: list[int] = Factory(list)
    stays: dict[int, Stay] = Factory(dict)

    #: How many stay under a name, in the order in which the names came.
    guests: dict[str, int] = Factory(dict)

    def happen(self, event: Event) -> None:
        for stay in self.stays.values():
            stay.due.append(event)


# Mostly in one channel, so that things meet there.
NAMES = st.sampled_from([*"aaaaabcd"])
PEOPLE = st.integers(0, 3)
WHO = st.sampled_from([None, "Ada", "Grace"])
# Which of the tokens that were seen, newest first; or one that never was, or none.
AFTER = st.sampled_from([None, None, -1, *range(6)])
STEPS = st.one_of(
    st.tuples(st.just("subscribe"), NAMES, PEOPLE, WHO, AFTER),
    st.tuples(st.just("unsubscribe"), NAMES, PEOPLE),
    st.tuples(st.just("publish"), NAMES, st.integers(0, 3)),
    st.tuples(st.just("publish"), NAMES, st.integers(0, 3)),
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
        self.hub = MemoryHub(lambda: 0.0, limit=3, channels=3)
        self.people = [Person(self, number) for number in range(4)]
        self.rooms: dict[str, Room] = {}
        self.idle: list[str] = []
        self.tokens: list[tuple[str, Room, int]] = []
        self.unfired = 0

    @initialize(names=st.lists(WHO, max_size=4))
    def arrive(self, names: list[str | None]) -> None:
        """Some are there from the beginning."""
        for person, who in enumerate(names):
            self.act(("subscribe", "a", person, who, None))

    @rule(step=STEPS)
    def do(self, step: Sequence[Any]) -> None:
        """Somebody does something."""
        if step[0] != "fall":
            self.act(step)

    @rule(person=PEOPLE, step=STEPS)
    def plan(self, person: int, step: Sequence[Any]) -> None:
        """Somebody is to do something when he hears something next."""
        self.people[person].plans.append(step)

    def act(self, step: Sequence[Any]) -> None:
        """Do it in the model, then in the hub."""
        getattr(self, f"act_{step[0]}")(*step[1:])

    def act_fall(self) -> None:
        raise ZeroDivisionError("a subscriber that falls")

    def room(self, name: str) -> Room | None:
        """A channel; none when there can be no other."""
        if name not in self.rooms:
            if len(self.rooms) == 3:
                if not self.idle:
                    return None
                del self.rooms[self.idle.pop(0)]
            self.rooms[name] = Room()
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
        missed = [place for place in room.kept if place > sequence]
        whole = whose is room and room.sequence - sequence == len(missed)
        missed = missed if whole else room.kept
        stay.due.extend(("said", place) for place in missed)
        return token, Resumed(len(missed), whole)

    def act_unsubscribe(self, name: str, person: int) -> None:
        room = self.rooms.get(name)
        stay = room.stays.pop(person, None) if room else None
        if room is not None and stay is not None:
            stay.stands = False
            # It has heard the first of what it was to hear, in that order.
            assert stay.heard == stay.due[: len(stay.heard)]
            self.rename(room, stay, None)
            if not room.stays:
                if room.sequence:
                    self.idle.append(name)
                else:
                    del self.rooms[name]
        self.check(self.hub.unsubscribe(name, self.people[person]), None)

    def rename(self, room: Room, stay: Stay, who: str | None) -> None:
        """Have somebody known under another name, or under none."""
        before, stay.who = stay.who, who
        if before is not None:
            room.guests[before] -= 1
            if not room.guests[before]:
                del room.guests[before]
                room.happen(("left", before))
        if who is not None:
            if who not in room.guests:
                room.happen(("joined", who))
            room.guests[who] = room.guests.get(who, 0) + 1

    def act_publish(self, name: str, keep: int) -> None:
        room = self.room(name)
        stays: list[Stay] = []
        if room is not None:
            if name in self.idle:
                self.idle.remove(name)
                self.idle.append(name)
            room.sequence += 1
            room.kept = [*room.kept, room.sequence][-keep:] if keep else []
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
        for name in "abcd":
            room = self.rooms.get(name, Room())
            for stay in room.stays.values():
                assert stay.heard == stay.due
                places = [fact for what, fact in stay.heard if what == "said"]
                assert all(after == before + 1 for before, after in pairwise(places))
            kept: list[Any] = []
            self.hub.history(name).addCallback(kept.extend)
            assert [message.sequence for message in kept] == room.kept
            present: list[Any] = []
            self.hub.present(name).addCallback(present.extend)
            assert [each.who for each in present] == list(room.guests)


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
                max_examples=100,
                stateful_step_count=25,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        self.flushLoggedErrors(ZeroDivisionError)


def message(number: int) -> Message:
    return Message("lobby", number, 0.0, number % 3, "e-1")


class MailboxTests(SynchronousTestCase):
    """
    A subscriber that keeps messages until they are taken.
    """

    def fill(self, box: Mailbox, *numbers: int) -> Mailbox:
        for number in numbers:
            box.deliver(message(number))
        return box

    def taken(self, box: Mailbox) -> int:
        """The place of the next message, which is there."""
        place: int = self.successResultOf(box.take()).sequence
        return place

    def test_interface(self) -> None:
        """
        It can be subscribed.
        """
        verifyObject(ISubscriber, Mailbox())

    def test_in_order(self) -> None:
        """
        What came first is taken first; who is too early waits.
        """
        box = self.fill(Mailbox(), 1, 2)
        self.assertEqual((len(box), self.taken(box), self.taken(box)), (2, 1, 2))
        early = box.take()
        self.assertNoResult(early)
        self.fill(box, 3, 4)
        self.assertEqual(self.successResultOf(early).sequence, 3)
        self.assertEqual((len(box), self.taken(box), len(box)), (1, 4, 0))
        self.assertTrue(box)

    def test_one_takes(self) -> None:
        """
        Two at once would each miss what the other gets.
        """
        box = Mailbox()
        first = box.take()
        with self.assertRaisesRegex(RuntimeError, "takes from this mailbox already"):
            box.take()
        self.fill(box, 1)
        self.successResultOf(first)

    def test_who_does_not_wait(self) -> None:
        """
        Who waits no longer takes nothing away.
        """
        box = Mailbox()
        taking = box.take()
        taking.cancel()
        self.failureResultOf(taking, CancelledError)
        self.assertEqual(self.taken(self.fill(box, 1)), 1)

    def test_cut(self) -> None:
        """
        Unless told otherwise, who is too slow has what waited, and then is told so.
        """
        box = self.fill(Mailbox(limit=2), 1, 2, 3, 4)
        self.assertEqual((self.taken(box), self.taken(box)), (1, 2))
        error = self.failureResultOf(box.take(), MailboxFull).value
        self.assertEqual(
            str(error), "cut off: over 2 messages were waiting to be taken"
        )
        self.assertEqual((len(box), box.dropped), (0, 2))
        again = self.failureResultOf(box.take(), MailboxFull).value
        self.assertIsNot(again, error)

    def test_far_behind(self) -> None:
        """
        Who has missed more than may wait gets there, one visit after the other.
        """
        hub = MemoryHub(lambda: 0.0, epoch="e")
        for number in range(1, 11):
            hub.publish("lobby", number)
        token, found = "e-1.0", list[int]()
        while len(found) < 10:
            box = Mailbox(limit=3)
            hub.subscribe("lobby", box, None, token)
            while len(box):
                got = self.successResultOf(box.take())
                found.append(got.body)
                token = got.token
            if len(found) < 10:
                self.failureResultOf(box.take(), MailboxFull)
            hub.unsubscribe("lobby", box)
        self.assertEqual(found, [*range(1, 11)])

    def test_many_channels(self) -> None:
        """
        Messages of several channels are never taken for one another.
        """
        box = Mailbox()
        for channel in "ab":
            box.deliver(Message(channel, 1, 0.0, channel))
        taken = [self.successResultOf(box.take()).channel for _ in range(2)]
        self.assertEqual((taken, box.replaced), (["a", "b"], 0))

    def test_drop_the_oldest(self) -> None:
        """
        Or has what is new.
        """
        box = self.fill(Mailbox(limit=2, when_full="oldest"), 1, 2, 3, 4)
        self.assertEqual((box.dropped, self.taken(box), self.taken(box)), (2, 3, 4))

    def test_by_key(self) -> None:
        """
        Or has the latest of each kind, in the order in which these came.
        """
        box = Mailbox(limit=3, key=lambda each: each.body)
        self.fill(box, *range(1, 9), 7)
        self.assertEqual((len(box), box.replaced, box.dropped), (3, 6, 0))
        self.assertEqual([self.taken(box) for _ in range(3)], [6, 8, 7])

    def test_close(self) -> None:
        """
        What is closed lets nothing in; what waits can still be taken.
        """
        box = self.fill(Mailbox(), 1)
        box.close()
        self.fill(box, 2)
        self.assertEqual(self.taken(box), 1)
        self.failureResultOf(box.take(), StopAsyncIteration)
        box = Mailbox()
        taking = box.take()
        box.close()
        self.failureResultOf(taking, StopAsyncIteration)

    def test_iteration(self) -> None:
        """
        ``async for`` takes one after the other, until it is closed, or cut.
        """

        async def read(box: Mailbox, found: list[int]) -> str:
            try:
                async for each in box:
                    found.append(each.sequence)
            except MailboxFull:
                return "cut"
            return "closed"

        for limit, ended in ((9, "closed"), (1, "cut")):
            box, found = self.fill(Mailbox(limit), 1), list[int]()
            reading = Deferred.fromCoroutine(read(box, found))
            self.fill(box, 2, 3)
            self.assertNoResult(reading)
            self.assertEqual(found, [1, 2, 3])
            box._finish(lambda: MailboxFull(1)) if ended == "cut" else box.close()
            self.assertEqual(self.successResultOf(reading), ended)

    def test_subscribed(self) -> None:
        """
        In a channel it fills, and what was missed comes first.
        """
        hub = MemoryHub(lambda: 0.0, epoch="e")
        hub.publish("lobby", "one")
        hub.publish("lobby", "two")
        box = Mailbox()
        hub.subscribe("lobby", box, "Ada", "e-1.1")
        hub.publish("lobby", "three")
        self.assertEqual([self.taken(box), self.taken(box)], [2, 3])
        hub.unsubscribe("lobby", box)
        hub.publish("lobby", "four")
        self.assertEqual(len(box), 0)

    def test_impossible(self) -> None:
        """
        What it cannot do it says at once.
        """
        with self.assertRaisesRegex(ValueError, "cannot keep 0 messages"):
            Mailbox(0)
        with self.assertRaisesRegex(ValueError, '"cut", "oldest" or "wait", not \'new\''):
            Mailbox(when_full="new")  # type: ignore[arg-type]

    @given(
        st.lists(st.sampled_from(["deliver", "deliver", "take", "cancel", "close"])),
        st.integers(1, 3),
        st.sampled_from(["cut", "oldest"]),
        st.booleans(),
    )
    def test_any_steps(
        self, steps: list[str], limit: int, when_full: Any, by_key: bool
    ) -> None:
        """
        Whatever happens in whatever order, it is what a list would have.
        """
        box = Mailbox(limit, when_full, (lambda each: each.body) if by_key else None)
        waits: list[int] = []
        end: type[Exception] | None = None
        taking: Deferred[Message] | None = None
        for number, step in enumerate(steps):
            if step == "deliver":
                box.deliver(message(number))
                if end is None and taking is not None:
                    self.assertEqual(self.successResultOf(taking), message(number))
                    taking = None
                elif end is None:
                    if by_key:
                        waits = [each for each in waits if each % 3 != number % 3]
                    if len(waits) == limit and when_full == "oldest":
                        del waits[0]
                    if len(waits) < limit:
                        waits.append(number)
                    else:
                        end = MailboxFull
            elif step == "take" and taking is None:
                taking = box.take()
                if waits:
                    found, taking = self.successResultOf(taking), None
                    self.assertEqual(found, message(waits.pop(0)))
                elif end is not None:
                    self.failureResultOf(taking, end)
                    taking = None
                else:
                    self.assertNoResult(taking)
            elif step == "cancel" and taking is not None:
                taking.cancel()
                self.failureResultOf(taking, CancelledError)
                taking = None
            elif step == "close":
                box.close()
                end = end or StopAsyncIteration
                if taking is not None:
                    self.failureResultOf(taking, end)
                    taking = None
            self.assertEqual(len(box), len(waits))


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
        hub, room = MemoryHub(lambda: 0.0, epoch="e"), "hall"
        names["hub"] = hub
        place = Place.of()
        place.mount("/", names["routes"])
        hub.publish(room, "one")
        visit = place.visit()
        visit.send(request("/rooms/hall/events"))
        self.assertIn(b"text/event-stream", visit.wire.value())
        visit.wire.clear()
        hub.publish(room, "two")
        event = b'id: e-1.2\ndata: "two"\n\n'
        self.assertEqual(visit.wire.value(), b"%x\r\n%b\r\n" % (len(event), event))
        visit.leave()
        hub.publish(room, "three")
        visit = place.visit()
        visit.send(request("/rooms/hall/events", "GET", "Last-Event-ID: e-1.2"))
        said = visit.wire.value()
        self.assertIn(b'id: e-1.3\ndata: "three"\n\n', said)
        self.assertNotIn(b"two", said)
        visit.leave()
        self.assertEqual(hub.figures().channels[room].subscribers, 0)
