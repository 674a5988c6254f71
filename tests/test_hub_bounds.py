# -*- test-case-name: tests.test_hub_bounds -*-
"""
How much strangers can make of the channels, and at whose cost.
"""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import BadChannelRule, HubFull, RopewalkError, TooManyBegun
from ropewalk.hub import ANYONE, NOBODY, ChannelRule, MemoryHub
from ropewalk.hub.channels import Channel
from ropewalk.hub.names import ChannelPattern
from ropewalk.hub.rules import Declared
from ropewalk.hub.stock import Stock
from ropewalk.interfaces import Caller, Message
from ropewalk.net.calls import Calls
from ropewalk.net.limits import CallSettings
from ropewalk.operations import Operations
from ropewalk.schema import write_json
from ropewalk.web.channels import ChannelPages
from tests.effort import lines_run
from tests.hub_contract import Ears
from tests.test_calls import request
from tests.visiting import Place


def stranger(number: int) -> Caller:
    """Somebody at an address of their own."""
    return Caller("lines", f"192.0.2.{number}", f"c{number}")


class RoomsTests(SynchronousTestCase):
    """
    Rooms that strangers make.
    """

    def setUp(self) -> None:
        self.hub = MemoryHub(lambda: 0.0, channels=6, from_one=2, history_bytes=40)
        self.hub.declare("rooms.*", ChannelRule(publish=ANYONE))
        self.hub.declare("games.*", ChannelRule(publish=ANYONE, channels=2))

    def say(self, channel: str, by: Caller | None = None, body: Any = 1) -> Any:
        return self.successResultOf(self.hub.publish(channel, body, by=by))

    def refused(self, error: type[RopewalkError], channel: str, by: Caller) -> Any:
        """What both ways to begin a channel are refused with."""
        spoken = self.hub.publish(channel, 1, by=by)
        heard = self.hub.subscribe(channel, Ears(), by=by)
        texts = [
            str(self.failureResultOf(each, error).value) for each in (spoken, heard)
        ]
        self.assertEqual(texts[0], texts[1])
        return texts[0]

    def names(self) -> list[str]:
        return list(self.hub.figures().channels)

    def test_one_stranger(self) -> None:
        """
        However many rooms somebody begins, only rooms of their own are forgotten as
        long as there is room for as many as one may begin.
        """
        rule = ChannelRule(publish=ANYONE, channels=4)
        self.hub.declare("rooms.*", rule, replace=True)
        for number in (1, 2):
            self.say(f"rooms.mine{number}", stranger(1))
        for number in range(100):
            self.say(f"rooms.flood{number}", stranger(2))
        self.assertEqual(
            self.names(),
            ["rooms.mine1", "rooms.mine2", "rooms.flood98", "rooms.flood99"],
        )

    def test_in_use(self) -> None:
        """
        Where somebody is in each room that a stranger has begun, they can begin no
        other; others can, and they can again when one of them is left.
        """
        ears = Ears()
        for number in (1, 2):
            self.say(f"rooms.{number}", stranger(1))
            self.hub.subscribe(f"rooms.{number}", ears)
        said = self.refused(TooManyBegun, "rooms.3", stranger(1))
        self.assertIn("you have begun 2 channels", said)
        self.say("rooms.3", stranger(2))
        self.hub.unsubscribe("rooms.1", ears)
        self.say("rooms.4", stranger(1))
        self.assertEqual(self.names(), ["rooms.2", "rooms.3", "rooms.4"])

    def test_one_household(self) -> None:
        """
        Addresses of one IPv6 network are one stranger; an account is one wherever it
        comes from.
        """
        house = [Caller("http", f"2001:db8::{number}") for number in range(3)]
        user = [Caller("http", f"192.0.2.{number}", "", "ada") for number in range(3)]
        for callers in (house, user):
            for number, caller in enumerate(callers):
                self.say(f"rooms.{number}", caller)
            self.assertEqual(self.names(), ["rooms.1", "rooms.2"])
            self.setUp()

    def test_many_strangers(self) -> None:
        """
        However many strangers begin rooms, only rooms of the same rule are forgotten:
        the ones where nothing has happened for longest.
        """
        self.say("prices")
        self.say("games.chess", stranger(1))
        for number in range(1, 100):
            self.say(f"rooms.{number}", stranger(number))
        self.assertEqual(
            self.names(), ["prices", "games.chess", "rooms.97", "rooms.98", "rooms.99"]
        )

    def test_a_limit_for_a_rule(self) -> None:
        """
        By a rule there are as many channels as it says; when all are in use, one more
        is refused.
        """
        for number in range(1, 5):
            self.say(f"games.{number}", stranger(number))
        self.assertEqual(self.names(), ["games.3", "games.4"])
        for name in self.names():
            self.hub.subscribe(name, Ears())
        said = self.refused(HubFull, "games.5", stranger(5))
        self.assertIn("2 channels like 'games.*', and all are in use", said)
        self.say("rooms.1", stranger(5))

    def test_full_of_others(self) -> None:
        """
        Where a hub is full, strangers wait rather than that channels of others are
        forgotten; a service is not refused.
        """
        for number in range(6):
            self.say(f"prices.{number}")
        self.assertIn("6 channels", self.refused(HubFull, "rooms.1", stranger(1)))
        self.say("prices.6")
        self.assertEqual(self.names(), [f"prices.{number}" for number in range(1, 7)])

    def test_other_rules(self) -> None:
        """
        Where another rule takes the place of one, its limit holds for the next channel
        that is begun, and the channels of both are counted with it.
        """
        for number in range(1, 4):
            self.say(f"rooms.{number}", stranger(number))
        visitor = Ears()
        self.hub.subscribe("rooms.1", visitor)
        rule = ChannelRule(publish=ANYONE, channels=3)
        self.hub.declare("rooms.*", rule, replace=True)
        self.say("rooms.4", stranger(4))
        self.assertEqual(self.names(), ["rooms.1", "rooms.3", "rooms.4"])
        self.hub.unsubscribe("rooms.1", visitor)
        self.say("rooms.5", stranger(5))
        self.assertEqual(self.names(), ["rooms.1", "rooms.4", "rooms.5"])

    def test_only_looking(self) -> None:
        """
        Who may only hear makes no room for channels that are not there at the cost of
        what others have.
        """
        self.hub.declare("news.*", ChannelRule(channels=2))
        self.hub.publish("news.today", "It rains.")
        held = [Ears() for _ in range(2)]
        self.hub.subscribe("news.a", held[0], by=stranger(1))
        self.say("rooms.1", stranger(2))
        self.hub.subscribe("news.today", held[1], by=stranger(3))
        done = self.hub.subscribe("news.b", Ears(), by=stranger(4))
        self.failureResultOf(done, HubFull)
        self.assertEqual(self.names(), ["news.today", "news.a", "rooms.1"])

    def test_bytes(self) -> None:
        """
        All histories together have a bound. What is too much is taken from the largest,
        the oldest message first, and small ones keep what they have.
        """
        self.say("rooms.small", stranger(1), "ten bytes")  # 11 with its quotes
        for number in range(4):
            self.say("rooms.large", stranger(2), f"nine {number:04}")  # 11 each
        kept = self.successResultOf(self.hub.history("rooms.large"))
        self.assertEqual([each.body for each in kept], ["nine 0002", "nine 0003"])
        self.assertEqual(len(self.successResultOf(self.hub.history("rooms.small"))), 1)
        self.assertEqual(self.hub.figures().size, 33)

    def test_retained_bytes(self) -> None:
        """
        The last message of a channel is among it, when the history has it no longer.
        """
        rule = ChannelRule(publish=ANYONE, keep=0, retain=math.inf)
        self.hub.declare("walls.*", rule)
        for number in range(3):
            self.say(f"walls.{number}", stranger(number), "x" * 18)
        last = [
            self.successResultOf(self.hub.last(f"walls.{number}"))
            for number in range(3)
        ]
        self.assertEqual([each is None for each in last], [True, False, False])
        self.assertEqual(self.hub.figures().size, 40)

    def test_strange_limits(self) -> None:
        """
        A rule by which there can be no channel is none.
        """
        for channels in (0, -1, 1.5, True):
            wrong: Any = channels
            with self.assertRaises(BadChannelRule) as caught:
                self.hub.declare("halls.*", ChannelRule(channels=wrong))
            self.assertIn("1 channel or more", str(caught.exception))

    def test_work(self) -> None:
        """
        To begin a channel in the place of another is as much work among thousands as
        among a few, and so is to be over the bound of bytes.
        """
        few, many = self.work(20), self.work(4000)
        self.assertLess(many, few * 2)

    def work(self, size: int) -> int:
        hub = MemoryHub(
            lambda: 0.0, channels=2 * size, from_one=size // 2, history_bytes=5 * size
        )
        hub.declare("rooms.*", ChannelRule(publish=ANYONE))
        for number in range(2 * size):
            hub.publish(f"rooms.{number}", "12345", by=stranger(number % 5))
        return lines_run(lambda: hub.publish("rooms.new", "123456", by=stranger(1)))


class FacesTests(SynchronousTestCase):
    """
    Who is refused is told so, whatever they came by.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        clock = self.place.clock
        self.hub = MemoryHub(clock.seconds, clock=clock, from_one=1)
        self.hub.declare("rooms.*", ChannelRule(publish=ANYONE))
        self.hub.declare("games.*", ChannelRule(publish=ANYONE, channels=1))
        self.place.mount("/channels", ChannelPages(self.hub, clock).routes)
        for name, by in (("rooms.1", "10.9.8.7"), ("games.1", "192.0.2.1")):
            self.hub.publish(name, 1, by=Caller("http", by))
            self.hub.subscribe(name, Ears())

    def test_web(self) -> None:
        """
        By HTTP it is a 429 for who has begun too many, by whichever rule: for who
        publishes, who asks, and who listens.
        """
        visit = self.place.visit()
        for channel in ("rooms.2", "games.2"):
            for method, header in (
                ("POST", "Content-Type: application/json"),
                ("GET", "Accept: application/json"),
                ("GET", "Accept: text/event-stream"),
            ):
                body = b"1" if method == "POST" else b""
                answer = visit.ask(f"/channels/{channel}", method, header, body=body)
                self.assertEqual(answer.status, 429, (channel, method))
                self.assertIn("you have begun 1 channels", answer.text)

    def test_full(self) -> None:
        """
        It is a 503 where there are too many channels of others.
        """
        rule = ChannelRule(publish=ANYONE, channels=1)
        self.hub.declare("rooms.*", rule, replace=True)
        visit = self.place.visit()
        visit.wire.peerAddr = IPv4Address("TCP", "192.0.2.9", 5555)
        answer = visit.ask(
            "/channels/rooms.2", "POST", "Content-Type: application/json", body=b"1"
        )
        self.assertEqual(answer.status, 503)
        self.assertIn("1 channels like", answer.text)

    def test_connections(self) -> None:
        """
        On a connection it is an error with the same status.
        """
        said: list[Any] = []
        calls = Calls(
            Operations(self.place.clock),
            self.hub,
            lambda message: said.append(json.loads(message)),
            CallSettings(),
        )
        calls.begin(Caller("lines", "10.9.8.7", "c1"))
        for method, more in (("rpc.publish", {"body": 1}), ("rpc.subscribe", {})):
            params = {"channel": "rooms.2", **more}
            calls.hear(write_json(request(method, 1, params=params)))
            error = said.pop()["error"]
            self.assertEqual(error["data"]["status"], 429)
            self.assertIn("you have begun 1 channels", error["message"])
        self.assertEqual([*self.hub.figures().channels], ["rooms.1", "games.1"])


class PatternTests(SynchronousTestCase):
    """
    Patterns that strangers subscribe to.
    """

    def setUp(self) -> None:
        self.hub = MemoryHub(lambda: 0.0, channels=6, from_one=2)
        self.hub.declare("rooms.**", ChannelRule())

    def hear(self, number: int, by: int | None = None, ears: Any = None) -> Any:
        caller = stranger(by) if by else None
        pattern = f"rooms.{number}.*"
        return self.hub.subscribe(pattern, ears or Ears(), by=caller)

    def test_one_stranger(self) -> None:
        """
        Somebody has others subscribe to as many patterns as one may begin channels, and
        may hear what others have begun.
        """
        ears = Ears()
        for number in 1, 2, 1:
            self.successResultOf(self.hear(number, 1, ears))
        refused = self.failureResultOf(self.hear(3, 1), TooManyBegun).value
        self.assertIn("you have begun 2 patterns", str(refused))
        self.successResultOf(self.hear(3, 2))
        self.successResultOf(self.hear(3, 1))
        self.hub.unsubscribe("rooms.1.*", ears)
        self.successResultOf(self.hear(4, 1))

    def test_many_strangers(self) -> None:
        """
        All strangers together have half of those there may be; a service has the rest.
        """
        for number in 1, 2, 3:
            self.successResultOf(self.hear(number, number))
        refused = self.failureResultOf(self.hear(4, 4), HubFull).value
        self.assertIn("3 patterns", str(refused))
        for number in 4, 5, 6:
            self.successResultOf(self.hear(number))
        refused = self.failureResultOf(self.hear(7), HubFull).value
        self.assertIn("6 patterns", str(refused))

    def test_of_a_service(self) -> None:
        """
        What a service has begun counts as its own, whoever hears it as well.
        """
        ears = Ears()
        for number in 1, 2, 3:
            self.successResultOf(self.hear(number, None, ears))
            self.successResultOf(self.hear(number, 1))
        self.successResultOf(self.hear(4, 1))


class AbsentTests(SynchronousTestCase):
    """
    Those who have gone and are waited for.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.hub = MemoryHub(lambda: 0.0, clock=self.clock, from_one=2, away=3)
        self.hub.declare("rooms.*", ChannelRule(publish=ANYONE, away=10))

    def visit(self, channel: str, who: str, number: int) -> None:
        """A stranger comes, and goes."""
        passer = Ears()
        self.hub.subscribe(channel, passer, who, by=stranger(number))
        self.hub.unsubscribe(channel, passer)

    def here(self, channel: str) -> list[str]:
        people = self.successResultOf(self.hub.present(channel))
        return [each.who for each in people]

    def test_one_stranger(self) -> None:
        """
        Of one caller as many are waited for as one may have begun channels: one more,
        and the one who went first has left, in whichever channel that was.
        """
        ears = Ears()
        self.hub.subscribe("rooms.1", ears)
        for channel, who in (("rooms.1", "a"), ("rooms.2", "b"), ("rooms.2", "c")):
            self.visit(channel, who, 1)
        self.assertEqual([fact for what, fact in ears.heard if what == "left"], ["a"])
        self.assertEqual(self.here("rooms.1"), [])
        self.assertEqual(self.here("rooms.2"), ["b", "c"])

    def test_many_strangers(self) -> None:
        """
        Of all, as many are waited for as the hub says; a channel in which nobody is
        left and nothing was said leaves nothing.
        """
        for number in (1, 2, 3, 4):
            self.visit(f"rooms.{number}", "a", number)
        self.assertEqual(
            [*self.hub.figures().channels], ["rooms.2", "rooms.3", "rooms.4"]
        )

    def test_back(self) -> None:
        """
        Who is back, or has left in time, makes room.
        """
        for who in ("a", "b"):
            self.visit("rooms.1", who, 1)
        self.hub.subscribe("rooms.1", Ears(), "a", by=stranger(1))
        self.visit("rooms.1", "c", 1)
        self.assertEqual(self.here("rooms.1"), ["a", "b", "c"])
        self.clock.advance(10)
        for who in ("d", "e"):
            self.visit("rooms.1", who, 1)
        self.assertEqual(self.here("rooms.1"), ["a", "d", "e"])

    def test_services(self) -> None:
        """
        What a service does itself is bounded by what there may be of all.
        """
        for who in ("a", "b", "c", "d"):
            passer = Ears()
            self.hub.subscribe("rooms.1", passer, who)
            self.hub.unsubscribe("rooms.1", passer)
        self.assertEqual(self.here("rooms.1"), ["b", "c", "d"])


class StockTests(SynchronousTestCase):
    """
    What channels remember together.
    """

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=40))
    def test_any_sizes(self, said: list[tuple[int, int]]) -> None:
        """
        It is never more than the bound, and whoever loses something has at least half
        of what the largest has.
        """
        pattern = ChannelPattern.of("**")
        declared = Declared.of(pattern, ChannelRule(keep_bytes=100), "")
        states = [Channel(f"r{number}", "e", declared) for number in range(5)]
        stock = Stock(60)
        for place, size in said:
            state = states[place]
            state.history.add(Message(state.name, 1, 0.0, None), 0.0, size, 100)
            before = [each.history.size for each in states]
            stock.note(state)
            after = [each.history.size for each in states]
            self.assertEqual(stock.size, sum(after))
            self.assertLessEqual(stock.size, 60)
            for was, now in zip(before, after, strict=True):
                if now < was:
                    self.assertLessEqual(max(after), 2 * was)
        for state in states:
            stock.forget(state)
        self.assertEqual(stock.size, 0)


PLACES = st.sampled_from(["rooms", "games", "news", "own"])
NUMBERS = st.integers(0, 5)
CALLERS = st.sampled_from([None, 1, 2, 3])

#: What is declared, and how many channels there may be by it.
DECLARED = {
    "rooms": (ChannelRule(publish=ANYONE), 4),
    "games": (ChannelRule(publish=ANYONE, channels=2), 2),
    "news": (ChannelRule(channels=3), 3),
    "own": (ChannelRule(subscribe=NOBODY), 7),
}


class BoundsMachine(RuleBasedStateMachine):
    """
    Whatever callers and services do, nobody has more than they may, and what a caller
    does costs nobody but those of the same rule anything.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hub = MemoryHub(
            lambda: 0.0, clock=Clock(), channels=7, from_one=2, history_bytes=50
        )
        for place, (declared, _) in DECLARED.items():
            self.hub.declare(f"{place}.*", declared)
        self.begun: dict[str, int | None] = {}
        self.heard: dict[str, list[Ears]] = {}

    @rule(place=PLACES, number=NUMBERS, caller=CALLERS, size=st.integers(1, 20))
    def publish(self, place: str, number: int, caller: int | None, size: int) -> None:
        """Somebody says something."""
        name = f"{place}.{number}"
        by = stranger(caller) if caller else None
        self.judge(name, caller, self.hub.publish(name, "x" * size, by=by))

    @rule(place=PLACES, number=NUMBERS, caller=CALLERS)
    def subscribe(self, place: str, number: int, caller: int | None) -> None:
        """Somebody comes."""
        name, ears = f"{place}.{number}", Ears()
        by = stranger(caller) if caller else None
        done = self.hub.subscribe(name, ears, by=by)
        if self.judge(name, caller, done):
            self.heard.setdefault(name, []).append(ears)

    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        """Somebody goes."""
        if self.heard:
            name = data.draw(st.sampled_from(sorted(self.heard)))
            self.hub.unsubscribe(name, self.heard[name].pop())
            if not self.heard[name]:
                del self.heard[name]
            if name not in self.hub.figures().channels:
                del self.begun[name]

    def judge(self, name: str, caller: int | None, done: Any) -> bool:
        """See what something came to, and at whose cost. Whether it was done."""
        outcome: list[Any] = []
        done.addBoth(outcome.append)
        refused = getattr(outcome[0], "value", None)
        there = self.hub.figures().channels
        gone = self.begun.keys() - there.keys()
        assert not gone & self.heard.keys()
        if refused is not None:
            assert isinstance(refused, RopewalkError)
            assert not gone and there.keys() == self.begun.keys()
            return False
        place = name.partition(".")[0]
        for each in gone:
            like = each.partition(".")[0] == place
            own = caller is not None and self.begun[each] == caller
            assert like or own or place == "own"
            del self.begun[each]
        if name not in self.begun:
            self.begun[name] = caller
        return True

    @invariant()
    def bounded(self) -> None:
        """Nobody has more than they may."""
        figures = self.hub.figures()
        assert figures.channels.keys() == self.begun.keys()
        assert len(self.begun) <= 7
        for place, (_, most) in DECLARED.items():
            assert sum(name.startswith(place) for name in self.begun) <= most
        for caller in (1, 2, 3):
            assert list(self.begun.values()).count(caller) <= 2
        sizes = [each.size or 0 for each in figures.channels.values()]
        assert figures.size == sum(sizes) <= 50


class AbsentMachine(RuleBasedStateMachine):
    """
    Those are there who are here, or away for no longer than they may be.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.hub = MemoryHub(lambda: 0.0, clock=self.clock, from_one=2, away=3)
        self.hub.declare("rooms.*", ChannelRule(publish=ANYONE, away=10))
        self.here: list[tuple[str, str, int | None, Ears]] = []
        self.away: dict[tuple[str, str], tuple[float, int | None]] = {}

    @rule(number=st.integers(1, 2), who=st.sampled_from("abcdef"), caller=CALLERS)
    def come(self, number: int, who: str, caller: int | None) -> None:
        """Somebody comes."""
        name, ears = f"rooms.{number}", Ears()
        by = stranger(caller) if caller else None
        self.hub.subscribe(name, ears, who, by=by)
        self.here.append((name, who, caller, ears))
        self.away.pop((name, who), None)

    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        """Somebody goes."""
        if not self.here:
            return
        place = data.draw(st.integers(0, len(self.here) - 1))
        name, who, caller, ears = self.here.pop(place)
        self.hub.unsubscribe(name, ears)
        if any(each[:2] == (name, who) for each in self.here):
            return
        self.away[name, who] = self.clock.seconds() + 10, caller
        theirs = [seat for seat, (_, of) in self.away.items() if of == caller]
        if caller is not None and len(theirs) > 2:
            del self.away[theirs[0]]
        if len(self.away) > 3:
            del self.away[next(iter(self.away))]

    @rule(seconds=st.integers(1, 6))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.clock.advance(seconds)
        now = self.clock.seconds()
        self.away = {seat: each for seat, each in self.away.items() if each[0] > now}

    @invariant()
    def known(self) -> None:
        """These are there, and no others; nobody else is remembered."""
        seats = {each[:2] for each in self.here} | self.away.keys()
        found: list[Any] = []
        for name in "rooms.1", "rooms.2":
            there: list[Any] = []
            self.hub.present(name).addCallback(there.extend)
            found += [(name, each.who) for each in there]
        assert sorted(found) == sorted(seats)
        assert self.hub.figures().channels.keys() == {name for name, _ in seats}
        assert [*self.hub._exchange._absent._makers] == [*self.away]


class BoundsMachineTests(SynchronousTestCase):
    """
    In whatever order it comes.
    """

    def test_any_steps(self) -> None:
        """
        Whatever callers and services do, the bounds hold.
        """
        run_state_machine_as_test(
            BoundsMachine,
            settings=settings(
                max_examples=150, stateful_step_count=40, deadline=None, database=None
            ),
        )

    def test_any_absence(self) -> None:
        """
        Whoever comes and goes, as many are waited for as may be, and no more.
        """
        run_state_machine_as_test(
            AbsentMachine,
            settings=settings(
                max_examples=150, stateful_step_count=40, deadline=None, database=None
            ),
        )
