"""
What every hub promises (:class:`~ropewalk.interfaces.IHub`), as tests: a hub is right
when it passes them. A module of tests makes a subclass of each class here, and says how
its hub is made.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any

from attrs import Factory, define
from twisted.internet.defer import CancelledError, Deferred, gatherResults, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import (
    BadChannel,
    BadChannelRule,
    ChannelFull,
    Conflict,
    Forbidden,
    HubClosed,
    Invalid,
    RopewalkError,
)
from ropewalk.hub import ANYONE, NOBODY, ChannelRule, Mailbox
from ropewalk.interfaces import (
    Attendance,
    Caller,
    IAuthoriser,
    IHub,
    IPaced,
    ISubscriber,
    Message,
    Presence,
    Resumed,
    Since,
    Steps,
)
from ropewalk.schema import Meta, Shape

Event = tuple[str, Any]

ADA = Caller("lines", "192.0.2.7", "c1", "ada")
STRANGER = Caller("http", "192.0.2.9")


class Line(Shape):
    """What is said in a room."""

    author: Annotated[str, Meta(min_length=1, max_length=40)]
    text: str


@implementer(ISubscriber)
@define
class Ears:
    """
    Keeps what it hears.

    :ivar then: What to do next, each at one occasion.
    """

    heard: list[Event] = Factory(list)
    then: deque[Callable[[], object]] = Factory(deque)

    @property
    def said(self) -> list[Any]:
        """What was said, without who came and went."""
        return [fact for what, fact in self.heard if what == "said"]

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


@implementer(IPaced)
class SlowEars(Ears):
    """
    Has room when it is told so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Deferred[None]] = []
        self.full = False

    def ready(self) -> Deferred[None] | None:
        if not self.full:
            return None
        waiting: Deferred[None] = Deferred(self.waiting.remove)
        self.waiting.append(waiting)
        return waiting

    def make_room(self) -> None:
        self.full = False
        for each in tuple(self.waiting):
            self.waiting.remove(each)
            each.callback(None)


@implementer(IAuthoriser)
class Porter:
    """
    Lets in who is on a list, now or when told to decide.

    :ivar asked: What it was asked.
    """

    def __init__(self, *allowed: tuple[str | None, str], slow: bool = False) -> None:
        self.allowed = set(allowed)
        self.slow = slow
        self.asked: list[tuple[str | None, str, str]] = []
        self.undecided: deque[Deferred[bool]] = deque()

    def permits(self, caller: Caller, requirement: str, what: str) -> Any:
        self.asked.append((caller.user, requirement, what))
        if self.slow:
            answer: Deferred[bool] = Deferred()
            self.undecided.append(answer)
            return answer
        return (caller.user, requirement) in self.allowed


class HubCase(TestCase):
    """
    A hub, and what its tests do again and again.
    """

    def make_hub(self, authoriser: IAuthoriser | None = None, limit: int = 3) -> IHub:
        """
        A new hub, whose time is ``self.clock``'s.

        :param limit: How many subscribers a channel may have.
        """
        raise NotImplementedError

    def settle(self) -> Deferred[None]:
        """
        Wait until all has been told that is to be told.
        """
        return succeed(None)

    def setUp(self) -> None:
        self.clock = Clock()
        self.hub: Any = self.make_hub()

    @inlineCallbacks
    def pass_time(self, seconds: float) -> Steps[None]:
        yield self.settle()
        self.clock.advance(seconds)
        yield self.settle()

    @inlineCallbacks
    def ears(
        self, channel: str = "lobby", who: str | None = None, **how: Any
    ) -> Steps[Ears]:
        """Somebody new in a channel."""
        ears = Ears()
        yield self.hub.subscribe(channel, ears, who, **how)
        yield self.settle()
        return ears

    @inlineCallbacks
    def say(
        self, *bodies: Any, channel: str = "lobby", **how: Any
    ) -> Steps[list[Message]]:
        """Publish, and wait for everybody to have it."""
        messages: list[Message] = []
        for body in bodies:
            messages.append((yield self.hub.publish(channel, body, **how)))
        yield self.settle()
        return messages

    @inlineCallbacks
    def history(
        self, channel: str = "lobby", limit: int | None = None
    ) -> Steps[list[Any]]:
        messages: Sequence[Message] = yield self.hub.history(channel, limit)
        return [message.body for message in messages]

    @inlineCallbacks
    def last(self, channel: str = "lobby") -> Steps[Any]:
        message: Message | None = yield self.hub.last(channel)
        return message.body if message is not None else None

    @inlineCallbacks
    def present(self, channel: str = "lobby") -> Steps[list[str]]:
        present: Sequence[Presence] = yield self.hub.present(channel)
        return [each.who for each in present]

    @inlineCallbacks
    def resume(self, after: str | None, **how: Any) -> Steps[tuple[list[Event], Any]]:
        """Come back with a token for a moment."""
        ears = Ears()
        resumed = yield self.hub.subscribe("lobby", ears, None, after, **how)
        yield self.settle()
        yield self.hub.unsubscribe("lobby", ears)
        return ears.said, resumed

    @inlineCallbacks
    def refused(
        self, error: type[RopewalkError], result: Deferred[Any]
    ) -> Steps[RopewalkError]:
        """What something is refused with."""
        caught: RopewalkError = yield self.assertFailure(result, error)
        return caught


class OrderContract(HubCase):
    """
    What is published reaches everybody, in one order.
    """

    def test_interface(self) -> None:
        """
        It is a hub, and the tests' ears are subscribers.
        """
        self.assertTrue(verifyObject(IHub, self.hub))
        self.assertTrue(verifyObject(ISubscriber, Ears()))
        self.assertTrue(verifyObject(IPaced, SlowEars()))
        self.assertTrue(verifyObject(IAuthoriser, Porter()))

    @inlineCallbacks
    def test_delivery(self) -> Steps[None]:
        """
        What is published reaches those who are subscribed to the channel at that
        time, each once, though they may be equal.
        """
        ada, grace = (yield self.ears()), (yield self.ears())
        other = yield self.ears("kitchen")
        self.assertEqual(ada, grace)
        yield self.say("one")
        late = yield self.ears()
        yield self.hub.unsubscribe("lobby", ada)
        yield self.say("two")
        self.assertEqual(ada.heard, [("said", "one")])
        self.assertEqual(grace.heard, [("said", "one"), ("said", "two")])
        self.assertEqual(late.heard, [("said", "two")])
        self.assertEqual(other.heard, [])

    @inlineCallbacks
    def test_message(self) -> Steps[None]:
        """
        A message has its place in its channel, from 1 without gaps, and its time.
        """
        [one] = yield self.say("one")
        yield self.pass_time(5)
        [two] = yield self.say("two")
        [there] = yield self.say("one", channel="kitchen")
        for message, place, body in (
            (one, 1, "one"),
            (two, 2, "two"),
            (there, 1, "one"),
        ):
            self.assertEqual((message.sequence, message.body), (place, body))
            self.assertEqual(message.token, f"{message.epoch}.{place}")
            self.assertTrue(message.token.isascii())
            self.assertNotIn(" ", message.token)
        self.assertEqual(two.at - one.at, 5)
        self.assertEqual((one.channel, there.channel), ("lobby", "kitchen"))
        self.assertEqual(one.epoch, two.epoch)
        self.assertNotEqual(one.epoch, there.epoch)

    @inlineCallbacks
    def test_one_order(self) -> Steps[None]:
        """
        What a subscriber says while it hears something is heard by all after
        that, also by those who come or go meanwhile.
        """
        first, last = (yield self.ears()), (yield self.ears())
        late = Ears()
        first.then.append(lambda: self.hub.publish("lobby", "answer"))
        first.then.append(lambda: self.hub.subscribe("lobby", late, "Late"))
        yield self.say("question")
        self.assertEqual(
            first.heard, [("said", "question"), ("said", "answer"), ("joined", "Late")]
        )
        self.assertEqual(last.heard, first.heard)
        self.assertEqual(late.heard, [("joined", "Late")])

    @inlineCallbacks
    def test_going_while_others_are_told(self) -> Steps[None]:
        """
        Who has gone hears nothing more, though it was on its way.
        """
        first = yield self.ears()
        last = yield self.ears(who="Last")
        first.heard.clear()
        last.heard.clear()
        first.then.append(lambda: self.hub.unsubscribe("lobby", last))
        yield self.say("question")
        self.assertEqual(first.heard, [("said", "question"), ("left", "Last")])
        self.assertEqual(last.heard, [])

    @inlineCallbacks
    def test_back_again(self) -> Steps[None]:
        """
        Who goes and comes back hears what is said after that, and not what was on
        its way before.
        """
        first, last = (yield self.ears()), (yield self.ears())
        first.then.append(lambda: self.hub.publish("lobby", "missed"))
        last.then.append(lambda: self.hub.unsubscribe("lobby", last))
        yield self.say("one")
        yield self.hub.subscribe("lobby", last)
        yield self.say("two")
        self.assertEqual(last.heard, [("said", "one"), ("said", "two")])

    @inlineCallbacks
    def test_published(self) -> Steps[None]:
        """
        The Deferred fires when all have heard it, and those who are told by it may
        go on publishing.
        """
        speaker, last = (yield self.ears()), (yield self.ears())
        heard: list[int] = []
        speaker.then.append(
            lambda: self.hub.publish("lobby", "two").addCallback(
                lambda _: heard.append(len(last.heard))
            )
        )
        done = self.hub.publish("lobby", "one")
        done.addCallback(lambda message: self.hub.publish("lobby", message.sequence))
        yield done
        yield self.settle()
        self.assertEqual(heard, [2])
        self.assertEqual(last.said, ["one", "two", 1])

    @inlineCallbacks
    def test_who_does_not_wait(self) -> Steps[None]:
        """
        Who gives up waiting for the delivery has published all the same.
        """
        ada = yield self.ears()

        def impatient() -> None:
            done = self.hub.publish("lobby", "two")
            done.cancel()
            done.addErrback(lambda failure: failure.trap(CancelledError))

        ada.then.append(impatient)
        yield self.say("one", "three")
        self.assertEqual(ada.said, ["one", "two", "three"])

    @inlineCallbacks
    def test_a_bad_subscriber(self) -> Steps[None]:
        """
        One that raises harms nobody, is logged and counted, and stays subscribed.
        """

        def fall() -> None:
            raise ZeroDivisionError("no")

        before = yield self.ears()
        bad = yield self.ears()
        after = yield self.ears()
        bad.then.append(fall)
        yield self.say("one", "two")
        self.assertEqual(before.heard, after.heard)
        self.assertEqual(bad.heard, [("said", "one"), ("said", "two")])
        [failure] = self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(failure.getErrorMessage(), "no")
        self.assertEqual(self.hub.figures().raised, 1)

    @inlineCallbacks
    def test_channel_full(self) -> Steps[None]:
        """
        No more than so many subscribers come in; who is in may change his name, and
        the place of one who goes is free.
        """
        ada = yield self.ears()
        yield self.ears()
        yield self.ears()
        full = self.hub.subscribe("lobby", Ears())
        error = yield self.refused(ChannelFull, full)
        self.assertEqual((error.channel, error.limit), ("lobby", 3))
        yield self.hub.subscribe("lobby", ada, "Ada")
        yield self.hub.unsubscribe("lobby", ada)
        yield self.hub.subscribe("lobby", Ears())

    @inlineCallbacks
    def test_close(self) -> Steps[None]:
        """
        When it is closed nothing waits in the clock any more, whatever happens.
        """
        rule = ChannelRule(keep_for=10, away=10, retain=10)
        self.hub.declare("lobby", rule)
        ada = yield self.ears(who="Ada")
        yield self.say(1)
        yield self.hub.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        yield self.hub.unsubscribe("lobby", ada)
        yield self.settle()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        yield self.hub.close()

    @inlineCallbacks
    def test_after_the_close(self) -> Steps[None]:
        """
        Then nobody comes in any more and nothing is published, whoever wants it; one
        can still look, and go.
        """
        hub = self.hub
        hub.declare("lobby", ChannelRule(publish=ANYONE))
        ada = yield self.ears(who="Ada")
        [said] = yield self.say(1)
        yield hub.close()
        for how in ({}, {"by": STRANGER}):
            for refused in (
                hub.publish("lobby", 2, **how),
                hub.publish("lobby", 2, wait=True, **how),
                hub.publish("hall", 2),
                hub.subscribe("lobby", Ears(), **how),
                hub.subscribe("**", Ears()),
            ):
                yield self.refused(HubClosed, refused)
        yield self.refused(BadChannel, hub.publish("a b", 2))
        yield self.settle()
        self.assertEqual(ada.said, [1])
        self.assertEqual((yield self.history()), [1])
        self.assertEqual((yield hub.token("lobby")), said.token)
        self.assertEqual((yield self.present()), ["Ada"])
        yield hub.unsubscribe("lobby", ada)
        self.assertEqual((yield self.present()), [])

    @inlineCallbacks
    def test_names(self) -> Steps[None]:
        """
        What is no name of a channel is refused, wherever one is needed, and makes no
        channel.
        """
        hub = self.hub
        for name in ("", "a..b", "a b", "rooms.*", "x" * 256, "a\n"):
            yield self.refused(BadChannel, hub.publish(name, 1))
            yield self.refused(BadChannel, hub.publish(name, 1, wait=True))
            yield self.refused(BadChannel, hub.publish(name, 1, by=ADA))
            for look in (hub.history, hub.last, hub.present, hub.count):
                yield self.refused(BadChannel, look(name))
                yield self.refused(BadChannel, look(name, by=ADA))
            if "*" not in name:
                yield self.refused(BadChannel, hub.subscribe(name, Ears()))
                yield self.refused(BadChannel, hub.subscribe(name, Ears(), by=ADA))
            yield hub.unsubscribe(name, Ears())
        self.assertEqual(hub.figures().channels, {})


class ResumeContract(HubCase):
    """
    Who comes back hears what it has missed.
    """

    @inlineCallbacks
    def test_resuming(self) -> Steps[None]:
        """
        Who comes back with the token of a message hears what came after it, then
        what comes now: nothing is missing, and nothing comes twice.
        """
        messages = yield self.say(1, 2, 3)
        for place, message in enumerate(messages, 1):
            said, resumed = yield self.resume(message.token)
            self.assertEqual(said, [*range(place + 1, 4)])
            self.assertEqual(resumed, Resumed(3 - place, whole=True))
        ears = yield self.ears(after=messages[1].token)
        yield self.say(4)
        self.assertEqual(ears.said, [3, 4])

    @inlineCallbacks
    def test_before_the_first(self) -> Steps[None]:
        """
        Who knows the numbering, and has heard nothing of it, has missed everything.
        """
        [one, _] = yield self.say(1, 2)
        said, resumed = yield self.resume(f"{one.epoch}.0")
        self.assertEqual((said, resumed), ([1, 2], Resumed(2, whole=True)))

    @inlineCallbacks
    def test_token(self) -> Steps[None]:
        """
        There is a token for now, whether anything was ever said or not. Asking for one
        leaves nothing behind.
        """
        dawn = yield self.hub.token("lobby")
        self.assertEqual((yield self.resume(dawn)), ([], Resumed(0, whole=True)))
        self.assertEqual(self.hub.figures().channels, {})
        [_, two] = yield self.say(1, 2)
        self.assertEqual((yield self.hub.token("lobby")), two.token)
        self.assertEqual((yield self.resume(dawn)), ([1, 2], Resumed(2, whole=True)))
        yield self.say(3, keep=2)
        self.assertEqual((yield self.resume(dawn)), ([2, 3], Resumed(2, whole=False)))
        yield self.refused(Forbidden, self.hub.token("lobby", by=ADA))
        yield self.refused(BadChannel, self.hub.token("*"))

    @inlineCallbacks
    def test_since(self) -> Steps[None]:
        """
        What came after a message can be looked at.
        """
        dawn = yield self.hub.token("lobby")
        self.assertEqual((yield self.hub.since("lobby", dawn)), Since([]))
        messages = yield self.say(1, 2, 3)
        since = yield self.hub.since("lobby", messages[0].token)
        self.assertEqual((since.messages, since.whole), (messages[1:], True))
        self.assertEqual((yield self.hub.since("lobby", dawn)), Since(messages))
        since = yield self.hub.since("lobby", "yesterday.7")
        self.assertEqual((since.messages, since.whole), (messages, False))
        yield self.refused(Forbidden, self.hub.since("lobby", dawn, by=ADA))

    @inlineCallbacks
    def test_it_does_not_reach_back(self) -> Steps[None]:
        """
        Who was away for too long is told so, and has what there is.
        """
        first, second, _, fourth = yield self.say(1, 2, 3, 4, keep=2)
        said, resumed = yield self.resume(first.token)
        self.assertEqual((said, resumed), ([3, 4], Resumed(2, whole=False)))
        _, resumed = yield self.resume(second.token)
        self.assertEqual(resumed, Resumed(2, whole=True))
        yield self.say(5, keep=0)
        said, resumed = yield self.resume(fourth.token)
        self.assertEqual((said, resumed), ([], Resumed(0, whole=False)))

    @inlineCallbacks
    def test_too_old(self) -> Steps[None]:
        """
        What the history lost by age is not there to come back to; who has heard the
        last of that has missed nothing.
        """
        self.hub.declare("lobby", ChannelRule(keep_for=10))
        [one] = yield self.say(1)
        yield self.pass_time(6)
        [two] = yield self.say(2)
        yield self.pass_time(6)
        for token, expected in (
            (one.token, ([2], Resumed(1, whole=True))),
            (f"{one.epoch}.0", ([2], Resumed(1, whole=False))),
        ):
            self.assertEqual((yield self.resume(token)), expected)
        yield self.pass_time(6)
        for token, expected in (
            (two.token, ([], Resumed(0, whole=True))),
            (one.token, ([], Resumed(0, whole=False))),
        ):
            self.assertEqual((yield self.resume(token)), expected)

    @inlineCallbacks
    def test_too_large(self) -> Steps[None]:
        """
        Nor is what it lost by size.
        """
        self.hub.declare("lobby", ChannelRule(keep_bytes=10))
        one, two, _ = yield self.say("abc", "def", "ghi")
        for token, expected in (
            (two.token, (["ghi"], Resumed(1, whole=True))),
            (one.token, (["def", "ghi"], Resumed(2, whole=True))),
            (f"{one.epoch}.0", (["def", "ghi"], Resumed(2, whole=False))),
        ):
            self.assertEqual((yield self.resume(token)), expected)
        [large] = yield self.say("more than all of it")
        self.assertEqual((yield self.resume(two.token)), ([], Resumed(0, False)))
        self.assertEqual((yield self.resume(large.token)), ([], Resumed(0, True)))

    @inlineCallbacks
    def test_other_numberings(self) -> Steps[None]:
        """
        A token of another hub, of another channel, or of nothing at all is no place
        here.
        """
        [said] = yield self.say(1)
        [there] = yield self.say(1, channel="kitchen")
        epoch = said.epoch
        for odd in (
            *(there.token, "f-1.1", "1", "", ".", epoch, f"{epoch}.", f"{epoch}.-1"),
            *(f"{epoch}.+1", f"{epoch}. 1", f"{epoch}.2", f"{epoch}.\u0661"),
            *(f"{epoch}.1.1", f"{epoch}.{'1' * 5000}"),
        ):
            expected = ([1], Resumed(1, whole=False))
            self.assertEqual((yield self.resume(odd)), expected, odd)

    @inlineCallbacks
    def test_in_the_middle(self) -> Steps[None]:
        """
        Who comes back while others are being told misses nothing of that.
        """
        [said] = yield self.say(0)
        late, came = Ears(), []

        def come_back() -> None:
            self.hub.publish("lobby", 2)
            came.append(self.hub.subscribe("lobby", late, "Ada", said.token))
            self.hub.publish("lobby", 3)

        (yield self.ears()).then.append(come_back)
        yield self.say(1)
        expected = [("said", 1), ("said", 2), ("joined", "Ada"), ("said", 3)]
        self.assertEqual(late.heard, expected)
        self.assertEqual((yield came[0]), Resumed(2, whole=True))

    @inlineCallbacks
    def test_gone_while_it_resumes(self) -> Steps[None]:
        """
        Who leaves while it hears what it has missed hears no more of it.
        """
        [one, *_] = yield self.say(1, 2, 3)
        ears = Ears()
        ears.then.append(lambda: self.hub.unsubscribe("lobby", ears))
        yield self.hub.subscribe("lobby", ears, None, f"{one.epoch}.0")
        yield self.settle()
        self.assertEqual(ears.heard, [("said", 1)])

    @inlineCallbacks
    def test_what_stands(self) -> Steps[None]:
        """
        Who is subscribed has missed nothing, whatever token it has.
        """
        [said] = yield self.say(1)
        ears = yield self.ears(after=said.token)
        yield self.say(2)
        resumed = yield self.hub.subscribe("lobby", ears, None, said.token)
        self.assertEqual(resumed, Resumed(0, whole=True))
        self.assertEqual(ears.heard, [("said", 2)])


class HistoryContract(HubCase):
    """
    What a channel remembers.
    """

    @inlineCallbacks
    def test_count(self) -> Steps[None]:
        """
        A channel keeps as many messages as its last publisher wants, and gives as
        many of them as one asks for; the sequence does not mind.
        """
        self.assertEqual((yield self.history()), [])
        yield self.say(1, 2, 3, 4, keep=3)
        self.assertEqual((yield self.history()), [2, 3, 4])
        for limit, expected in ((2, [3, 4]), (0, []), (9, [2, 3, 4])):
            self.assertEqual((yield self.history(limit=limit)), expected)
        for body, keep, expected in ((5, 5, [2, 3, 4, 5]), (6, 1, [6]), (7, 0, [])):
            yield self.say(body, keep=keep)
            self.assertEqual((yield self.history()), expected)
        [last] = yield self.say(8)
        self.assertEqual((last.sequence, (yield self.history())), (8, [8]))

    @inlineCallbacks
    def test_as_many_as_declared(self) -> Steps[None]:
        """
        Unless a publisher says so, the rule says how many: 100 without one.
        """
        yield self.say(*range(102))
        self.assertEqual((yield self.history()), [*range(2, 102)])
        self.hub.declare("kitchen", ChannelRule(keep=2))
        yield self.say(1, 2, 3, channel="kitchen")
        self.assertEqual((yield self.history("kitchen")), [2, 3])
        yield self.say(4, channel="kitchen", keep=3)
        self.assertEqual((yield self.history("kitchen")), [2, 3, 4])

    @inlineCallbacks
    def test_a_copy(self) -> Steps[None]:
        """
        Who was given the history keeps it as it was.
        """
        yield self.say(1)
        before = yield self.hub.history("lobby")
        yield self.say(2)
        self.assertEqual([message.body for message in before], [1])

    @inlineCallbacks
    def test_impossible(self) -> Steps[None]:
        """
        Less than nothing cannot be kept, and nothing is published then.
        """
        self.assertRaises(ValueError, self.hub.publish, "lobby", "x", keep=-1)
        [first] = yield self.say(1)
        self.assertEqual(first.sequence, 1)

    @inlineCallbacks
    def test_age(self) -> Steps[None]:
        """
        A message is kept for so many seconds, and not one more; nobody has to look.
        """
        self.hub.declare("lobby", ChannelRule(keep_for=10))
        yield self.say(1)
        yield self.pass_time(4)
        yield self.say(2)
        yield self.pass_time(5.5)
        self.assertEqual((yield self.history()), [1, 2])
        yield self.pass_time(0.5)
        self.assertEqual((yield self.history()), [2])
        yield self.pass_time(4)
        self.assertEqual((yield self.history()), [])

    @inlineCallbacks
    def test_size(self) -> Steps[None]:
        """
        The bodies take no more bytes of JSON than they may; what JSON cannot say is
        refused where somebody counts.
        """
        self.hub.declare("lobby", ChannelRule(keep_bytes=9, publish=ANYONE))
        yield self.say("ab", "é")  # 4 bytes each
        self.assertEqual((yield self.history()), ["ab", "é"])
        yield self.say(7)
        self.assertEqual((yield self.history()), ["ab", "é", 7])
        yield self.say(8)
        self.assertEqual((yield self.history()), ["é", 7, 8])
        yield self.refused(Invalid, self.hub.publish("lobby", object()))
        [last] = yield self.say("much too large")
        self.assertEqual((last.sequence, (yield self.history())), (5, []))

    @inlineCallbacks
    def test_all_bounds(self) -> Steps[None]:
        """
        Whichever bound comes first counts.
        """
        rule = ChannelRule(keep=3, keep_for=10, keep_bytes=4)
        self.hub.declare("lobby", rule)
        yield self.say(1, 2, 3, 4)
        self.assertEqual((yield self.history()), [2, 3, 4])
        yield self.pass_time(9)
        yield self.say(10)
        self.assertEqual((yield self.history()), [3, 4, 10])
        yield self.pass_time(1)
        self.assertEqual((yield self.history()), [10])

    @inlineCallbacks
    def test_last(self) -> Steps[None]:
        """
        The last message can be had as long as the history has it.
        """
        self.assertIsNone((yield self.last()))
        yield self.say(1, 2)
        self.assertEqual((yield self.last()), 2)
        yield self.say(3, keep=0)
        self.assertIsNone((yield self.last()))

    @inlineCallbacks
    def test_retained(self) -> Steps[None]:
        """
        Or as long as the rule retains it, whatever the history has.
        """
        self.hub.declare("lobby", ChannelRule(keep=0, retain=10))
        self.hub.declare("hall", ChannelRule(keep=0, retain=math.inf))
        self.hub.declare("yard", ChannelRule(keep_for=5, retain=10))
        for channel in ("lobby", "hall", "yard"):
            yield self.say(1, 2, channel=channel)
        yield self.pass_time(9.5)
        self.assertEqual((yield self.history("yard")), [])
        for channel in ("lobby", "hall", "yard"):
            self.assertEqual((yield self.last(channel)), 2)
        yield self.pass_time(0.5)
        for channel, expected in (("lobby", None), ("hall", 2), ("yard", None)):
            self.assertEqual((yield self.last(channel)), expected)
        yield self.pass_time(10**9)
        self.assertEqual((yield self.last("hall")), 2)

    @inlineCallbacks
    def test_asking_for_the_last(self) -> Steps[None]:
        """
        Who comes without a token may hear the last message first; with one, it hears
        what it has missed, and nothing twice.
        """
        self.hub.declare("lobby", ChannelRule(keep=1, retain=math.inf))
        messages = yield self.say(1, 2)
        ears = yield self.ears(retained=True)
        self.assertEqual((yield self.resume(None, retained=True))[0], [2])
        self.assertEqual((yield self.resume(None))[0], [])
        for message, said in zip(messages, ([2], []), strict=True):
            found = yield self.resume(message.token, retained=True)
            self.assertEqual(found, (said, Resumed(len(said), whole=True)))
        yield self.hub.subscribe("lobby", ears, retained=True)
        yield self.say(3)
        self.assertEqual(ears.said, [2, 3])
        empty = yield self.ears("hall", retained=True)
        self.assertEqual(empty.said, [])


class RuleContract(HubCase):
    """
    What is declared of channels.
    """

    def test_the_same_twice(self) -> None:
        """
        A pattern is declared once; the error says where the two are.
        """
        self.hub.declare("rooms.*", ChannelRule())
        with self.assertRaises(Conflict) as caught:
            self.hub.declare("rooms.*", ChannelRule())
        places = caught.exception.first, caught.exception.second
        for place in places:
            self.assertRegex(place, r"hub_contract\.pyc?:\d+$")
        self.assertNotEqual(*places)
        self.assertIn("'rooms.*'", str(caught.exception))

    @inlineCallbacks
    def test_another(self) -> Steps[None]:
        """
        A rule can be put in the place of another, and counts from then on: what it
        does not keep is forgotten, who is in stays in. Where there was none, it is
        the first.
        """
        self.hub.declare("rooms.*", ChannelRule(keep=3), replace=True)
        by_name = yield self.ears("rooms.hall")
        by_pattern = Ears()
        yield self.hub.subscribe("rooms.*", by_pattern, by=ADA)
        yield self.say(1, 2, 3, channel="rooms.hall")
        yield self.refused(Forbidden, self.hub.publish("rooms.hall", 4, by=ADA))
        another = ChannelRule(subscribe=NOBODY, publish=ANYONE, keep=2, keep_bytes=1000)
        self.hub.declare("rooms.*", another, replace=True)
        self.assertEqual(self.hub.declared(), {"rooms.*": another})
        self.assertEqual((yield self.history("rooms.hall")), [2, 3])
        yield self.say(4, channel="rooms.hall", by=ADA)
        self.assertEqual(by_name.said, [1, 2, 3, 4])
        self.assertEqual(by_pattern.said, [1, 2, 3, 4])
        yield self.refused(Forbidden, self.hub.subscribe("rooms.hall", Ears(), by=ADA))

    @inlineCallbacks
    def test_bytes_of_callers(self) -> Steps[None]:
        """
        Of what callers may publish no more than 1 MiB is kept in a channel, unless the
        rule says otherwise.
        """
        self.hub.declare("lobby", ChannelRule(publish=ANYONE))
        self.hub.declare("hall", ChannelRule())
        large = "x" * 500_000
        yield self.say(*[large] * 4, by=ADA)
        self.assertEqual(len((yield self.history("lobby"))), 2)
        yield self.say(*[large] * 4, channel="hall")
        self.assertEqual(len((yield self.history("hall"))), 4)

    def test_impossible_another(self) -> None:
        """
        What is refused takes nobody's place. Who comes later and does not want to
        replace anything is told where the last one is.
        """
        rule = ChannelRule(keep=3)
        self.hub.declare("rooms.*", ChannelRule())
        self.hub.declare("rooms.*", rule, replace=True)
        wrong = ChannelRule(keep=-1)
        with self.assertRaises(BadChannelRule) as refused:
            self.hub.declare("rooms.*", wrong, replace=True)
        with self.assertRaises(Conflict) as caught:
            self.hub.declare("rooms.*", ChannelRule())
        lines = [
            int(place.rpartition(":")[2])
            for place in (caught.exception.first, refused.exception.place)
        ]
        self.assertEqual(lines[1] - lines[0], 3)
        self.assertEqual(self.hub.declared(), {"rooms.*": rule})

    def test_impossible(self) -> None:
        """
        What no channel can be is refused where it is declared, in words.
        """
        wrong: Mapping[str, Sequence[Any]] = {
            "subscribe": ("", None, 5, True),
            "publish": ("", None),
            "keep": (-1, 1.5, None, True, "9"),
            "keep_for": (0, -1, math.nan, math.inf, "9", True),
            "keep_bytes": (-1, 0.5, "9", True),
            "retain": (0, -1, math.nan, -math.inf, "9"),
            "away": (-1, math.nan, math.inf, None, True),
            "limit": (0, -1, 0.5, True),
            "shape": (type(self), "Line"),
        }
        for name, values in wrong.items():
            for value in values:
                given: dict[str, Any] = {name: value}
                with self.assertRaises(BadChannelRule) as caught:
                    self.hub.declare("rooms.*", ChannelRule(**given))
                self.assertIn(f"{name}", caught.exception.problem)
                self.assertRegex(caught.exception.place, r"hub_contract\.pyc?:\d+$")
        self.assertRaises(BadChannelRule, self.hub.declare, "rooms.*", {"keep": 5})
        for pattern in ("", "a.**.b", "a*", "a..*"):
            self.assertRaises(BadChannel, self.hub.declare, pattern, ChannelRule())
        self.hub.declare("rooms.*", ChannelRule())  # nothing of that has stayed

    @inlineCallbacks
    def test_the_most_specific(self) -> Steps[None]:
        """
        Of several rules, the one whose words are closest counts, whichever was
        declared first.
        """
        for keep, pattern in enumerate(
            ("**", "rooms.**", "rooms.*", "*.lobby", "rooms.lobby", "rooms.*.side")
        ):
            self.hub.declare(pattern, ChannelRule(keep=keep))
        for channel, keep in (
            ("other", 0),
            ("rooms.a.b", 1),
            ("rooms.hall", 2),
            ("yards.lobby", 3),
            ("rooms.lobby", 4),
            ("rooms.a.side", 5),
        ):
            yield self.say(*range(9), channel=channel)
            self.assertEqual(len((yield self.history(channel))), keep, channel)

    @inlineCallbacks
    def test_declared_late(self) -> Steps[None]:
        """
        A rule counts for channels that are there already, from then on.
        """
        yield self.say("one", "two", "three")
        ears = yield self.ears()
        yield self.say(object(), "small", channel="hall")
        self.hub.declare("hall", ChannelRule(keep_bytes=50))
        self.assertEqual((yield self.history("hall")), ["small"])
        self.hub.declare("**", ChannelRule(keep=2, keep_for=10, keep_bytes=8))
        self.assertEqual((yield self.history()), ["three"])
        yield self.refused(Forbidden, self.hub.publish("lobby", 1, by=ADA))
        self.hub.declare("lobby", ChannelRule(keep=5, publish=ANYONE))
        yield self.say("four", by=ADA)
        yield self.pass_time(11)
        self.assertEqual((yield self.history()), ["three", "four"])
        self.assertEqual(ears.said, ["four"])

    @inlineCallbacks
    def test_limit(self) -> Steps[None]:
        """
        A rule says how many subscribers a channel may have.
        """
        self.hub.declare("lobby", ChannelRule(limit=1))
        yield self.ears()
        error = yield self.refused(ChannelFull, self.hub.subscribe("lobby", Ears()))
        self.assertEqual(error.limit, 1)

    @inlineCallbacks
    def test_shape(self) -> Steps[None]:
        """
        Plain data is read into the shape, or refused with all that is wrong with it;
        a value of the shape passes as it is.
        """
        self.hub.declare("lobby", ChannelRule(shape=Line, publish=ANYONE))
        ears = yield self.ears()
        line = Line("Ada", "hello")
        yield self.say({"author": "Ada", "text": "hello"}, by=ADA)
        yield self.say(line)
        self.assertEqual(ears.said, [line, line])
        self.assertIs(ears.said[1], line)
        for by in (None, ADA):
            for wait in (False, True):
                wrong = {"author": "", "text": 5}
                done = self.hub.publish("lobby", wrong, by=by, wait=wait)
                error = yield self.refused(Invalid, done)
                self.assertEqual([f.path for f in error.faults], ["author", "text"])
        self.assertEqual(len((yield self.history())), 2)

    @inlineCallbacks
    def test_other_shapes(self) -> Steps[None]:
        """
        A shape may be whatever can be read.
        """
        for channel, shape, good, bad in (
            ("lists", list[Line], [{"author": "A", "text": ""}], [{"author": ""}]),
            ("either", Line | None, None, 5),
            ("small", Annotated[int, Meta(le=9)], 9, 10),
            ("number", int, 5, True),
            ("days", date, "2026-01-01", "today"),
        ):
            self.hub.declare(channel, ChannelRule(shape=shape))
            yield self.say(good, channel=channel)
            yield self.refused(Invalid, self.hub.publish(channel, bad))
            # What is kept has the shape, and so can be said again.
            yield self.say((yield self.last(channel)), channel=channel)
        self.assertEqual((yield self.last("days")), date(2026, 1, 1))
        self.assertEqual((yield self.last("lists")), [Line("A", "")])

    @inlineCallbacks
    def test_a_bad_body_makes_no_channel(self) -> Steps[None]:
        """
        Where nothing could be published there is no channel after it.
        """
        self.hub.declare("rooms.*", ChannelRule(shape=Line, publish=ANYONE))
        for number in range(5):
            done = self.hub.publish(f"rooms.{number}", {}, by=STRANGER)
            yield self.refused(Invalid, done)
        self.assertEqual(self.hub.figures().channels, {})


class RightsContract(HubCase):
    """
    What callers may do.
    """

    def setUp(self) -> None:
        super().setUp()
        self.porter = Porter(("ada", "talk"), ("ada", "hear"))
        self.hub = self.make_hub(self.porter)

    def attempts(self, channel: str, by: Caller) -> list[Deferred[Any]]:
        """All that somebody can do who may hear a channel."""
        hub = self.hub
        looks = (hub.history, hub.last, hub.present, hub.count)
        return [
            hub.subscribe(channel, Ears(), by=by),
            *(look(channel, by=by) for look in looks),
        ]

    @inlineCallbacks
    def test_nothing_is_declared(self) -> Steps[None]:
        """
        Where nothing is declared no caller may do anything, and none learns whether
        there is such a channel; a service may do everything.
        """
        yield self.say("secret", channel="there")
        told = set()
        for channel in ("there", "nowhere"):
            for attempt in (
                *self.attempts(channel, ADA),
                self.hub.publish(channel, 1, by=ADA),
                self.hub.publish(channel, 1, by=ADA, wait=True),
                self.hub.subscribe(channel + ".*", Ears(), by=ADA),
            ):
                error = yield self.refused(Forbidden, attempt)
                self.assertEqual(error.status, 403)
                told.add(str(error).replace(channel, "…"))
        self.assertEqual(
            told,
            {
                "you may not subscribe to '…'; sign in as somebody who may",
                "you may not subscribe to '….*'; sign in as somebody who may",
                "you may not publish into '…'; sign in as somebody who may",
            },
        )
        self.assertEqual(self.porter.asked, [])
        self.assertEqual([*self.hub.figures().channels], ["there"])
        self.assertEqual((yield self.history("there")), ["secret"])

    @inlineCallbacks
    def test_declared(self) -> Steps[None]:
        """
        Unless it says otherwise, a declared channel can be heard by anyone, and only
        services publish in it.
        """
        self.hub.declare("lobby", ChannelRule())
        for attempt in self.attempts("lobby", STRANGER):
            yield attempt
        yield self.refused(Forbidden, self.hub.publish("lobby", 1, by=ADA))
        self.hub.declare("hall", ChannelRule(subscribe=NOBODY, publish=ANYONE))
        self.assertEqual(set(self.hub.declared()), {"lobby", "hall"})
        self.assertEqual(self.hub.declared()["hall"].publish, ANYONE)
        yield self.hub.publish("hall", 1, by=STRANGER)
        for attempt in self.attempts("hall", ADA):
            yield self.refused(Forbidden, attempt)
        self.assertEqual(self.porter.asked, [])

    @inlineCallbacks
    def test_requirements(self) -> Steps[None]:
        """
        The authoriser says who meets a requirement; services are not asked about.
        """
        self.hub.declare("rooms.*", ChannelRule(subscribe="hear", publish="talk"))
        yield self.hub.publish("rooms.a", 1, by=ADA)
        yield self.refused(Forbidden, self.hub.publish("rooms.a", 2, by=STRANGER))
        for attempt in self.attempts("rooms.a", ADA):
            yield attempt
        for attempt in self.attempts("rooms.a", STRANGER):
            yield self.refused(Forbidden, attempt)
        self.assertEqual(
            self.porter.asked,
            [
                ("ada", "talk", "rooms.a"),
                (None, "talk", "rooms.a"),
                *[("ada", "hear", "rooms.a")] * 5,
                *[(None, "hear", "rooms.a")] * 5,
            ],
        )
        yield self.say(3, channel="rooms.a")
        self.assertEqual((yield self.history("rooms.a")), [1, 3])

    @inlineCallbacks
    def test_no_authoriser(self) -> Steps[None]:
        """
        Without one nobody meets any requirement.
        """
        self.hub = self.make_hub()
        self.hub.declare("lobby", ChannelRule(subscribe="hear", publish="talk"))
        yield self.refused(Forbidden, self.hub.publish("lobby", 1, by=ADA))
        for attempt in self.attempts("lobby", ADA):
            yield self.refused(Forbidden, attempt)

    @inlineCallbacks
    def test_it_fails(self) -> Steps[None]:
        """
        An authoriser that falls lets nobody in.
        """
        fall: Any = lambda *_: 1 // 0  # noqa: E731
        self.porter.permits = fall  # type: ignore[method-assign]
        self.hub.declare("lobby", ChannelRule(subscribe="hear", publish="talk"))
        done = self.hub.publish("lobby", 1, by=ADA)
        yield self.assertFailure(done, ZeroDivisionError)
        done = self.hub.subscribe("lobby", Ears(), by=ADA)
        yield self.assertFailure(done, ZeroDivisionError)
        self.assertEqual(self.hub.figures().channels, {})

    @inlineCallbacks
    def test_an_answer_that_takes_time(self) -> Steps[None]:
        """
        Until the authoriser has answered nothing has happened; messages come in the
        order in which they were allowed.
        """
        self.hub.declare("lobby", ChannelRule(subscribe="hear", publish="talk"))
        self.porter.slow = True
        listener = yield self.ears()
        ears = Ears()
        coming = self.hub.subscribe("lobby", ears, "Ada", by=ADA)
        first = self.hub.publish("lobby", "first", by=ADA)
        second = self.hub.publish("lobby", "second", by=ADA)
        third = self.hub.publish("lobby", "third", by=STRANGER)
        yield self.say("meanwhile")
        for waiting in (coming, first, second, third):
            self.assertNoResult(waiting)
        self.assertEqual((yield self.present()), [])
        came, one, two, three = self.porter.undecided
        two.callback(True)
        three.callback(False)
        came.callback(True)
        one.callback(True)
        yield self.refused(Forbidden, third)
        self.assertEqual((yield second).sequence, 2)
        self.assertEqual((yield first).sequence, 3)
        self.assertEqual((yield coming), Resumed())
        yield self.settle()
        self.assertEqual(listener.said, ["meanwhile", "second", "first"])
        self.assertEqual(ears.heard, [("joined", "Ada"), ("said", "first")])

    @inlineCallbacks
    def test_gone_before_the_answer(self) -> Steps[None]:
        """
        Who unsubscribes while the authoriser thinks does not come in after that,
        even if it answers all the same; who cancels does not either.
        """
        self.hub.declare("lobby", ChannelRule(subscribe="hear"))
        self.hub.declare("rooms.*", ChannelRule(subscribe="hear"))
        self.porter.slow = True
        for channel in ("lobby", "rooms.*"):
            for give_up in (
                lambda coming, ears, channel=channel: self.hub.unsubscribe(
                    channel, ears
                ),
                lambda coming, ears: coming.cancel(),
            ):
                ears = Ears()
                coming = self.hub.subscribe(channel, ears, by=ADA)
                answer = self.porter.undecided.pop()
                give_up(coming, ears)
                yield self.assertFailure(coming, CancelledError)
                if not answer.called:
                    answer.callback(True)
                yield self.say(1, channel="rooms.a")
                yield self.say(1)
                self.assertEqual(ears.heard, [])

    @inlineCallbacks
    def test_an_answer_that_cannot_be_stopped(self) -> Steps[None]:
        """
        An authoriser that does not let itself be cancelled lets nobody in either who
        has gone.
        """

        class Stubborn(Deferred[bool]):
            def cancel(self) -> None:
                self.callback(True)

        answers = [Stubborn(), Stubborn()]
        permits: Any = lambda *_: answers[-1]  # noqa: E731
        self.porter.permits = permits  # type: ignore[method-assign]
        self.hub.declare("lobby", ChannelRule(subscribe="hear"))
        ears = Ears()
        coming = self.hub.subscribe("lobby", ears, by=ADA)
        self.hub.unsubscribe("lobby", ears)
        yield self.assertFailure(coming, CancelledError)
        yield self.say(1)
        self.assertEqual(ears.heard, [])

    @inlineCallbacks
    def test_a_message_that_is_not_allowed_yet(self) -> Steps[None]:
        """
        Who gives up before it is allowed has published nothing.
        """
        self.hub.declare("lobby", ChannelRule(publish="talk"))
        self.porter.slow = True
        saying = self.hub.publish("lobby", 1, by=ADA)
        saying.cancel()
        yield self.assertFailure(saying, CancelledError)
        self.assertEqual((yield self.history()), [])


class PresenceContract(HubCase):
    """
    Who is there.
    """

    @inlineCallbacks
    def test_coming_and_going(self) -> Steps[None]:
        """
        Everybody hears who comes and goes, the one who comes too.
        """
        ada = yield self.ears(who="Ada")
        yield self.pass_time(2)
        listener = yield self.ears()
        grace = yield self.ears(who="Grace")
        first, second = yield self.hub.present("lobby")
        self.assertEqual((first.who, second.who), ("Ada", "Grace"))
        self.assertEqual(second.since - first.since, 2)
        self.assertEqual((yield self.hub.count("lobby")), Attendance(3, 2))
        yield self.hub.unsubscribe("lobby", ada)
        yield self.hub.unsubscribe("lobby", ada)
        yield self.settle()
        self.assertEqual((yield self.present()), ["Grace"])
        self.assertEqual(ada.heard, [("joined", "Ada"), ("joined", "Grace")])
        self.assertEqual(listener.heard, [("joined", "Grace"), ("left", "Ada")])
        self.assertEqual(grace.heard, [("joined", "Grace"), ("left", "Ada")])
        self.assertEqual((yield self.hub.count("lobby")), Attendance(2, 1))
        self.assertEqual((yield self.hub.count("nowhere")), Attendance(0, 0))

    @inlineCallbacks
    def test_two_of_one_name(self) -> Steps[None]:
        """
        Ada with a browser and a telephone comes with the first and goes with the
        last, and has been there since the first.
        """
        listener = yield self.ears()
        browser = yield self.ears(who="Ada")
        [before] = yield self.hub.present("lobby")
        yield self.pass_time(5)
        telephone = yield self.ears(who="Ada")
        yield self.hub.unsubscribe("lobby", browser)
        self.assertEqual((yield self.hub.present("lobby")), [before])
        self.assertEqual(listener.heard, [("joined", "Ada")])
        yield self.hub.unsubscribe("lobby", telephone)
        yield self.settle()
        self.assertEqual((yield self.present()), [])
        self.assertEqual(listener.heard, [("joined", "Ada"), ("left", "Ada")])

    @inlineCallbacks
    def test_subscribing_twice(self) -> Steps[None]:
        """
        It is subscribing once, and the later name counts.
        """
        ada = yield self.ears(who="Ada")
        for who in ("Ada", "Countess", None):
            yield self.hub.subscribe("lobby", ada, who)
        yield self.say("hello")
        names = ["joined Ada", "left Ada", "joined Countess", "left Countess"]
        self.assertEqual(
            [" ".join(event) for event in ada.heard], [*names, "said hello"]
        )
        self.assertEqual((yield self.present()), [])

    @inlineCallbacks
    def test_a_new_name_loses_nothing(self) -> Steps[None]:
        """
        Who changes his name while there is something still to hear hears it.
        """
        speaker, ada = (yield self.ears()), (yield self.ears())
        speaker.then.append(lambda: self.hub.publish("lobby", "two"))
        ada.then.append(lambda: self.hub.subscribe("lobby", ada, "Ada"))
        yield self.say("one")
        self.assertEqual(
            ada.heard, [("said", "one"), ("said", "two"), ("joined", "Ada")]
        )

    @inlineCallbacks
    def test_answering_a_new_name(self) -> Steps[None]:
        """
        A change of name is one thing: who answers the going of the old name, even
        by sending its bearer away, comes after the coming of the new.
        """
        host = yield self.ears()
        ada = yield self.ears(who="Ada")
        host.then.append(lambda: self.hub.unsubscribe("lobby", ada))
        yield self.hub.subscribe("lobby", ada, "Countess")
        yield self.settle()
        self.assertEqual(
            host.heard[1:],
            [("left", "Ada"), ("joined", "Countess"), ("left", "Countess")],
        )
        self.assertEqual((yield self.present()), [])

    @inlineCallbacks
    def test_data(self) -> Steps[None]:
        """
        Others see what somebody said last of themselves, as it was then, and nobody
        is told of a change.
        """
        data = {"mood": "well", "pets": ["cat"]}
        listener = yield self.ears()
        browser = yield self.ears(who="Ada", data=data)
        data["pets"] = []
        [ada] = yield self.hub.present("lobby")
        self.assertEqual(ada.data, {"mood": "well", "pets": ["cat"]})
        telephone = yield self.ears(who="Ada", data={"mood": "tired"})
        for gone in (browser, None):
            [later] = yield self.hub.present("lobby")
            self.assertEqual(later, Presence("Ada", ada.since, {"mood": "tired"}))
            if gone is not None:
                yield self.hub.unsubscribe("lobby", gone)
        said: Any
        for said, expected in ((None, {"mood": "tired"}), ({}, {})):
            yield self.hub.subscribe("lobby", telephone, "Ada", data=said)
            [later] = yield self.hub.present("lobby")
            self.assertEqual(later.data, expected)
        self.assertEqual(listener.heard, [("joined", "Ada")])

    @inlineCallbacks
    def test_data_of_who_comes(self) -> Steps[None]:
        """
        Who is told that somebody comes or goes is told what they said.
        """
        told: list[Presence] = []

        class Watcher(Ears):
            def joined(self, channel: str, presence: Presence) -> None:
                told.append(presence)

            left = joined

        yield self.hub.subscribe("lobby", Watcher())
        ada = yield self.ears(who="Ada", data={"mood": "well"})
        yield self.hub.subscribe("lobby", ada, "Ada", data={"mood": "tired"})
        yield self.hub.unsubscribe("lobby", ada)
        yield self.settle()
        moods = [presence.data["mood"] for presence in told]
        self.assertEqual(moods, ["well", "tired"])

    @inlineCallbacks
    def test_too_much_of_oneself(self) -> Steps[None]:
        """
        Names and data are bounded, and the data is what JSON can say.
        """
        for who, data, problem in (
            ("", None, "who: expected 1 to 255 characters, got 0"),
            ("a" * 256, None, "who: expected 1 to 255 characters, got 256"),
            (
                "Ada",
                {"a": "é" * 600},
                "data: expected up to 1024 bytes of JSON, got 1208",
            ),
            (None, {"a": 1}, "data: say who it is about: there is no name"),
            ("Ada", ["a"], "data: expected an object, with a value for each name"),
        ):
            done = self.hub.subscribe("lobby", Ears(), who, data=data)
            error = yield self.refused(Invalid, done)
            self.assertEqual(str(error), problem)
        done = self.hub.subscribe("lobby", Ears(), "Ada", data={"a": object()})
        error = yield self.refused(Invalid, done)
        self.assertTrue(str(error).startswith("data: JSON cannot say it: "))
        self.assertEqual(self.hub.figures().channels, {})
        yield self.ears(who="a" * 255, data={"a": "x" * 1016})

    @inlineCallbacks
    def test_away(self) -> Steps[None]:
        """
        Who comes back soon enough has not been away: nobody hears of it, and the time
        of coming is the first one's.
        """
        self.hub.declare("lobby", ChannelRule(away=10))
        listener = yield self.ears()
        ada = yield self.ears(who="Ada", data={"a": 1})
        before = yield self.hub.present("lobby")
        for _ in range(3):
            yield self.hub.unsubscribe("lobby", ada)
            yield self.pass_time(9.5)
            self.assertEqual((yield self.hub.present("lobby")), before)
            self.assertEqual((yield self.hub.count("lobby")), Attendance(1, 1))
            ada = yield self.ears(who="Ada")
        yield self.pass_time(20)
        self.assertEqual((yield self.hub.present("lobby")), before)
        self.assertEqual(listener.heard, [("joined", "Ada")])
        yield self.hub.unsubscribe("lobby", ada)
        yield self.pass_time(10)
        self.assertEqual(listener.heard, [("joined", "Ada"), ("left", "Ada")])
        self.assertEqual((yield self.present()), [])
        yield self.ears(who="Ada")
        self.assertEqual(listener.heard[2:], [("joined", "Ada")])
        [after] = yield self.hub.present("lobby")
        self.assertEqual(after.data, None)
        self.assertGreater(after.since, before[0].since)

    @inlineCallbacks
    def test_nobody_has_to_look(self) -> Steps[None]:
        """
        Who is away leaves in time, though nobody asks for it.
        """
        self.hub.declare("lobby", ChannelRule(away=10))
        listener = yield self.ears()
        ada = yield self.ears(who="Ada")
        yield self.pass_time(1)
        yield self.hub.unsubscribe("lobby", ada)
        yield self.pass_time(9.5)
        self.assertEqual(listener.heard, [("joined", "Ada")])
        yield self.pass_time(0.5)
        self.assertEqual(listener.heard, [("joined", "Ada"), ("left", "Ada")])

    @inlineCallbacks
    def test_away_one_after_the_other(self) -> Steps[None]:
        """
        Each leaves in its own time; a new name is not an absence.
        """
        self.hub.declare("lobby", ChannelRule(away=10))
        listener = yield self.ears()
        ada = yield self.ears(who="Ada")
        grace = yield self.ears(who="Grace")
        yield self.hub.unsubscribe("lobby", ada)
        yield self.pass_time(4)
        yield self.hub.unsubscribe("lobby", grace)
        yield self.pass_time(6)
        self.assertEqual((yield self.present()), ["Grace"])
        yield self.pass_time(4)
        self.assertEqual(listener.heard[2:], [("left", "Ada"), ("left", "Grace")])
        yield self.hub.subscribe("lobby", listener, "Alan")
        yield self.hub.subscribe("lobby", listener, "Turing")
        yield self.settle()
        self.assertEqual((yield self.present()), ["Turing"])

    @inlineCallbacks
    def test_nobody_is_left(self) -> Steps[None]:
        """
        Who is away is present though nobody is subscribed; when all have left a
        channel without a word, there is no such channel.
        """
        self.hub.declare("lobby", ChannelRule(away=10))
        ada = yield self.ears(who="Ada")
        yield self.hub.unsubscribe("lobby", ada)
        self.assertEqual((yield self.present()), ["Ada"])
        yield self.pass_time(10)
        self.assertEqual(self.hub.figures().channels, {})

    @inlineCallbacks
    def test_a_shorter_time(self) -> Steps[None]:
        """
        A rule that is declared meanwhile counts for who is away.
        """
        self.hub.declare("**", ChannelRule(away=100))
        ada = yield self.ears(who="Ada")
        yield self.hub.unsubscribe("lobby", ada)
        self.hub.declare("lobby", ChannelRule(away=10))
        yield self.pass_time(10)
        self.assertEqual((yield self.present()), [])


class PatternContract(HubCase):
    """
    Hearing many channels at once.
    """

    @inlineCallbacks
    def test_hearing(self) -> Steps[None]:
        """
        Who subscribes by a pattern hears all channels that match, also later ones,
        and who comes and goes there; until it unsubscribes.
        """
        yield self.say(0, channel="rooms.a")
        ears = yield self.ears("rooms.*")
        deep = yield self.ears("rooms.**")
        yield self.say(1, channel="rooms.a")
        yield self.say(2, channel="rooms.b")
        yield self.say(3, channel="rooms.b.c")
        yield self.say(4, channel="rooms")
        ada = yield self.ears("rooms.b", "Ada")
        yield self.hub.unsubscribe("rooms.b", ada)
        presence = [("joined", "Ada"), ("left", "Ada")]
        self.assertEqual(ears.heard, [("said", 1), ("said", 2), *presence])
        self.assertEqual(deep.heard, [("said", 1), ("said", 2), ("said", 3), *presence])
        self.assertEqual(self.hub.figures().patterns, 2)
        yield self.hub.unsubscribe("rooms.*", ears)
        yield self.hub.unsubscribe("rooms.*", ears)
        yield self.hub.unsubscribe("rooms.*.c", deep)
        yield self.say(5, channel="rooms.a")
        self.assertEqual((len(ears.heard), deep.said), (4, [1, 2, 3, 5]))
        self.assertEqual(self.hub.figures().patterns, 1)

    @inlineCallbacks
    def test_once(self) -> Steps[None]:
        """
        Who is subscribed in several ways hears everything once, and goes on hearing
        it when one of them is given up, also what was on its way.
        """
        first = yield self.ears("rooms.a")
        ears = yield self.ears("rooms.a")
        for pattern in ("rooms.*", "**", "rooms.*"):
            yield self.hub.subscribe(pattern, ears)
        first.then.append(lambda: self.hub.unsubscribe("rooms.a", ears))
        yield self.say(1, channel="rooms.a")
        first.then.append(lambda: self.hub.unsubscribe("**", ears))
        yield self.say(2, channel="rooms.a")
        first.then.append(lambda: self.hub.unsubscribe("rooms.*", ears))
        yield self.say(3, channel="rooms.a")
        self.assertEqual(ears.said, [1, 2])

    @inlineCallbacks
    def test_order(self) -> Steps[None]:
        """
        All hear a channel in one order, however they came to hear it.
        """
        ears = yield self.ears("rooms.*")
        named = yield self.ears("rooms.a")
        named.then.append(lambda: self.hub.publish("rooms.a", "answer"))
        yield self.say("question", "more", channel="rooms.a")
        self.assertEqual(ears.said, ["question", "answer", "more"])
        self.assertEqual(named.said, ears.said)

    @inlineCallbacks
    def test_refused(self) -> Steps[None]:
        """
        What goes with one channel does not go with many.
        """
        hub = self.hub
        for attempt in (
            hub.subscribe("rooms.*", Ears(), None, "e-1.1"),
            hub.subscribe("rooms.*", Ears(), "Ada"),
            hub.subscribe("rooms.*", Ears(), "Ada", by=ADA),
            hub.subscribe("rooms.*.**.a", Ears()),
            hub.publish("rooms.*", 1),
            hub.present("rooms.*"),
            hub.count("**"),
        ):
            yield self.refused(BadChannel, attempt)
        error = yield self.refused(
            BadChannel, hub.subscribe("rooms.*", Ears(), None, "e-1.1")
        )
        self.assertIn("a token belongs to one channel", str(error))
        self.assertEqual(hub.figures().patterns, 0)

    @inlineCallbacks
    def test_full(self) -> Steps[None]:
        """
        A pattern has no more subscribers than a channel may have.
        """
        for _ in range(3):
            ears = yield self.ears("rooms.*")
        full = self.hub.subscribe("rooms.*", Ears())
        error = yield self.refused(ChannelFull, full)
        self.assertEqual((error.channel, error.limit), ("rooms.*", 3))
        yield self.hub.subscribe("rooms.*", ears)
        yield self.hub.unsubscribe("rooms.*", ears)
        yield self.hub.subscribe("rooms.*", Ears())

    @inlineCallbacks
    def test_the_last_of_each(self) -> Steps[None]:
        """
        Who asks for them hears the last message of each channel first, but for those
        that it hears already.
        """
        for channel in ("rooms.a", "rooms.b", "rooms.c", "hall"):
            yield self.say(f"old {channel}", channel, channel=channel)
        ears = yield self.ears("rooms.b")
        yield self.hub.subscribe("rooms.*", ears, retained=True)
        yield self.hub.subscribe("rooms.*", ears, retained=True)
        yield self.say("new", channel="rooms.a")
        self.assertEqual(ears.said, ["rooms.a", "rooms.c", "new"])

    @inlineCallbacks
    def test_rights(self) -> Steps[None]:
        """
        A caller needs a rule that covers the pattern, and hears of the channels that
        match those that it may subscribe to.
        """
        porter = Porter(("ada", "hear"))
        hub = self.hub = self.make_hub(porter)
        hub.declare("rooms.**", ChannelRule(subscribe="hear"))
        hub.declare("rooms.secret", ChannelRule(subscribe="moderate"))
        hub.declare("rooms.open", ChannelRule())
        hub.declare("rooms.shut", ChannelRule(subscribe=NOBODY))
        for pattern in ("**", "*.a", "*", "halls.*", "rooms.shut.**"):
            by = STRANGER if pattern == "rooms.shut.**" else ADA
            yield self.refused(Forbidden, hub.subscribe(pattern, Ears(), by=by))
        yield self.refused(Forbidden, hub.subscribe("rooms.*", Ears(), by=STRANGER))
        porter.asked.clear()
        ears = yield self.ears("rooms.*", by=ADA)
        self.assertEqual(
            sorted(porter.asked),
            [("ada", "hear", "rooms.*"), ("ada", "moderate", "rooms.*")],
        )
        hub.declare("rooms.later", ChannelRule())
        for name in ("a", "secret", "open", "shut", "later"):
            yield self.say(name, channel=f"rooms.{name}")
        self.assertEqual(ears.said, ["a", "open"])
        yield self.hub.subscribe("rooms.*", ears, by=ADA, retained=True)
        yield self.say("later", channel="rooms.later")
        self.assertEqual(ears.said, ["a", "open", "later"])
        last = yield self.ears("rooms.*", by=ADA, retained=True)
        self.assertEqual(sorted(last.said), ["a", "later", "open"])

    @inlineCallbacks
    def test_which_rule_covers(self) -> Steps[None]:
        """
        Of several rules that cover a pattern, the most specific one says who may.
        """
        self.hub.declare("**", ChannelRule())
        self.hub.declare("rooms.**", ChannelRule(subscribe=NOBODY))
        self.hub.declare("rooms.*", ChannelRule())
        for pattern in ("rooms.**", "rooms.*.a"):
            yield self.refused(Forbidden, self.hub.subscribe(pattern, Ears(), by=ADA))
        ears = yield self.ears("rooms.*", by=ADA)
        everything = yield self.ears("**", by=ADA)
        for channel in ("rooms.a", "rooms.a.b", "halls.a"):
            yield self.say(channel, channel=channel)
        self.assertEqual(ears.said, ["rooms.a"])
        self.assertEqual(everything.said, ["rooms.a", "halls.a"])

    @inlineCallbacks
    def test_too_old(self) -> Steps[None]:
        """
        The last message that somebody asks for is not too old.
        """
        self.hub.declare("rooms.*", ChannelRule(keep=0, retain=10))
        yield self.say(1, channel="rooms.a")
        yield self.pass_time(5)
        yield self.say(2, channel="rooms.b")
        yield self.pass_time(5)
        ears = yield self.ears("rooms.*", retained=True)
        self.assertEqual(ears.said, [2])


class PaceContract(HubCase):
    """
    Publishers that wait.
    """

    @inlineCallbacks
    def slow(self, channel: str = "lobby") -> Steps[SlowEars]:
        ears = SlowEars()
        yield self.hub.subscribe(channel, ears)
        return ears

    @inlineCallbacks
    def test_nobody_to_wait_for(self) -> Steps[None]:
        """
        Where all have room, or nobody is to be waited for, it is as without waiting.
        """
        [alone] = yield self.say(1, wait=True)
        self.assertEqual(alone.sequence, 1)
        quick, slow = (yield self.ears()), (yield self.slow())
        yield self.say(2, wait=True)
        self.assertEqual((quick.said, slow.said), ([2], [2]))

    @inlineCallbacks
    def test_waiting_after(self) -> Steps[None]:
        """
        The Deferred fires when all that the message went to have room again.
        """
        first, second = (yield self.slow()), (yield self.slow())
        for each in (first, second):
            each.then.append(lambda each=each: setattr(each, "full", True))
        done = self.hub.publish("lobby", 1, wait=True)
        yield self.settle()
        self.assertEqual((first.said, second.said), ([1], [1]))
        first.make_room()
        self.assertNoResult(done)
        second.make_room()
        self.assertEqual((yield done).sequence, 1)

    @inlineCallbacks
    def test_waiting_before(self) -> Steps[None]:
        """
        What would be too much for somebody is not published before there is room;
        who waits is let in in order, one for each room, and who does not wait is not
        held up.
        """
        slow, quick = (yield self.slow()), (yield self.ears())
        slow.full = True
        done = [self.hub.publish("lobby", body, wait=True) for body in (1, 2, 3)]
        yield self.say("now")
        self.assertEqual((quick.said, (yield self.history())), (["now"], ["now"]))
        for place in (1, 2, 3):
            slow.then.append(lambda: setattr(slow, "full", True))
            slow.make_room()
            yield self.settle()
            self.assertEqual(quick.said, ["now", 1, 2, 3][: place + 1])
        slow.make_room()
        places = []
        for each in done:
            places.append((yield each).sequence)
        self.assertEqual(places, [2, 3, 4])
        self.assertEqual(slow.waiting, [])

    @inlineCallbacks
    def test_what_could_not_be_published(self) -> Steps[None]:
        """
        What cannot be published anyway is refused at once.
        """
        self.hub.declare("lobby", ChannelRule(shape=Line))
        slow = yield self.slow("**")
        slow.full = True
        wrong = self.hub.publish("lobby", {}, wait=True)
        yield self.refused(Invalid, wrong)
        yield self.refused(BadChannel, self.hub.publish("a b", 1, wait=True))
        self.assertEqual(slow.waiting, [])

    @inlineCallbacks
    def test_who_goes_is_not_waited_for(self) -> Steps[None]:
        """
        Neither before nor after.
        """
        before = yield self.slow()
        before.full = True
        done = self.hub.publish("lobby", 1, wait=True)
        after = yield self.slow("**")
        after.then.append(lambda: setattr(after, "full", True))
        self.assertNoResult(done)
        yield self.hub.unsubscribe("lobby", before)
        yield self.settle()
        self.assertEqual(after.said, [1])
        self.assertNoResult(done)
        yield self.hub.unsubscribe("**", after)
        yield done
        self.assertEqual((before.waiting, after.waiting), ([], []))

    @inlineCallbacks
    def test_who_stays_is_waited_for(self) -> Steps[None]:
        """
        Who gives up one of two subscriptions that hear a channel has not gone.
        """
        slow = yield self.slow()
        yield self.hub.subscribe("**", slow)
        slow.then.append(lambda: setattr(slow, "full", True))
        done = self.hub.publish("lobby", 1, wait=True)
        for name in ("lobby", "lobby"):
            yield self.hub.unsubscribe(name, slow)
            self.assertNoResult(done)
        yield self.hub.unsubscribe("**", slow)
        yield done

    @inlineCallbacks
    def test_cancelling(self) -> Steps[None]:
        """
        It takes back what is not published, and nothing else.
        """
        slow = yield self.slow()
        slow.full = True
        never = self.hub.publish("lobby", "never", wait=True)
        second = self.hub.publish("lobby", "second", wait=True)
        third = self.hub.publish("lobby", "third", wait=True)
        never.cancel()
        third.cancel()
        for each in (never, third):
            yield self.assertFailure(each, CancelledError)
        slow.then.append(lambda: setattr(slow, "full", True))
        slow.make_room()
        self.assertNoResult(second)
        second.cancel()
        yield self.assertFailure(second, CancelledError)
        self.assertEqual(slow.waiting, [])
        slow.make_room()
        yield self.say("fourth", wait=True)
        self.assertEqual(slow.said, ["second", "fourth"])

    @inlineCallbacks
    def test_the_hub_closes(self) -> Steps[None]:
        """
        Nobody waits for ever: what is published by then has been, and whoever waits
        to publish is told that nothing comes of it, also by who is told first.
        """
        slow = yield self.slow()
        slow.then.append(lambda: setattr(slow, "full", True))
        said = self.hub.publish("lobby", 1, wait=True)
        waits = [self.hub.publish("lobby", body, wait=True) for body in (2, 3)]
        again: list[Deferred[Any]] = []

        def once_more(failure: Any) -> Any:
            again.append(self.hub.publish("lobby", 4, wait=True))
            return failure

        waits[0].addErrback(once_more)
        self.assertNoResult(said)
        yield self.hub.close()
        self.assertEqual((yield said).sequence, 1)
        for each in (*waits, *again):
            error = yield self.refused(HubClosed, each)
            self.assertIn("'lobby'", str(error))
        self.assertEqual((len(again), slow.waiting), (1, []))
        slow.make_room()
        yield self.settle()
        self.assertEqual((slow.said, (yield self.history())), ([1], [1]))

    @inlineCallbacks
    def test_the_hub_closes_meanwhile(self) -> Steps[None]:
        """
        Nor if the hub is closed by somebody who hears the message.
        """
        slow = yield self.slow()

        def fill_and_close() -> None:
            slow.full = True
            self.hub.close()

        slow.then.append(fill_and_close)
        said = self.hub.publish("lobby", 1, wait=True)
        self.assertEqual((yield said).sequence, 1)
        self.assertEqual(slow.waiting, [])

    @inlineCallbacks
    def test_the_hub_closes_before_a_decision(self) -> Steps[None]:
        """
        Who was let in or may publish after that is told that it is too late.
        """
        porter = Porter(slow=True)
        self.hub = self.make_hub(porter)
        self.hub.declare("**", ChannelRule(subscribe="hear", publish="say"))
        ears = Ears()
        late = (
            self.hub.subscribe("lobby", ears, by=ADA),
            self.hub.subscribe("**", ears, by=ADA),
            self.hub.publish("lobby", 1, by=ADA),
            self.hub.publish("lobby", 1, wait=True, by=ADA),
        )
        yield self.hub.close()
        while porter.undecided:
            porter.undecided.popleft().callback(True)
        for each in late:
            yield self.refused(HubClosed, each)

    @inlineCallbacks
    def test_cancelling_all(self) -> Steps[None]:
        """
        When nobody waits any more, nothing is left of it.
        """
        slow = yield self.slow()
        slow.full = True
        done = self.hub.publish("lobby", 1, wait=True)
        done.cancel()
        yield self.assertFailure(done, CancelledError)
        self.assertEqual(slow.waiting, [])
        slow.make_room()
        self.assertEqual(slow.said, [])

    @inlineCallbacks
    def test_cancelling_while_it_is_told(self) -> Steps[None]:
        """
        Who gives up while the message is on its way has published it.
        """
        ears = yield self.slow()
        waiting: list[Deferred[Any]] = []
        ears.full = True
        waiting.append(self.hub.publish("lobby", 1, wait=True))

        def give_up() -> None:
            waiting[0].cancel()
            ears.full = True

        ears.then.append(give_up)
        ears.make_room()
        yield self.assertFailure(waiting[0], CancelledError)
        self.assertEqual((ears.said, ears.waiting), ([1], []))
        ears.make_room()
        yield self.say(2, wait=True)

    @inlineCallbacks
    def test_waiting_in_the_middle(self) -> Steps[None]:
        """
        Who publishes while it is told something, and waits, is let in after that.
        """
        ears = yield self.slow()
        other = yield self.ears()
        done: list[Deferred[Any]] = []
        for channel in ("lobby", "hall"):
            ears.then.append(
                lambda channel=channel: done.append(
                    self.hub.publish(channel, channel, wait=True)
                )
            )
        yield self.hub.subscribe("hall", other)
        yield self.say("question", wait=True)
        self.assertEqual(other.said, ["question", "lobby", "hall"])
        yield gatherResults(done)

    @inlineCallbacks
    def test_many_in_the_middle(self) -> Steps[None]:
        """
        What is on its way counts as room that is taken.
        """
        box, ears = Mailbox(limit=1, when_full="wait"), (yield self.ears("c"))
        done: list[Deferred[Any]] = []
        for channel in ("a", "b"):
            yield self.hub.subscribe(channel, box)

        def answer() -> None:
            for channel in ("a", "b", "a"):
                done.append(self.hub.publish(channel, channel, wait=True))

        ears.then.append(answer)
        yield self.say("question", channel="c")
        for _ in range(3):
            self.assertEqual((len(box), box.cut), (1, False))
            yield box.take()
            yield self.settle()
        yield gatherResults(done)

    @inlineCallbacks
    def test_bad_subscribers(self) -> Steps[None]:
        """
        One that cannot say whether it has room is not waited for, and is logged.
        """
        ears = yield self.slow()
        fall: Any = lambda: 1 // 0  # noqa: E731
        ears.ready = fall
        yield self.say(1, wait=True)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        del ears.ready
        ears.full = True
        done = self.hub.publish("lobby", 2, wait=True)
        ears.full = False
        ears.waiting.pop().errback(ZeroDivisionError("no room, nor none"))
        yield done
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    @inlineCallbacks
    def test_mailboxes(self) -> Steps[None]:
        """
        However many publish, in however many channels: as long as all of them wait,
        nobody overruns a mailbox.
        """
        box = Mailbox(limit=2, when_full="wait")
        for channel in ("a", "b", "c.*"):
            yield self.hub.subscribe(channel, box)
        done = [
            self.hub.publish(channel, number, wait=True)
            for number in range(10)
            for channel in ("a", "b", "c.d")
        ]
        taken = 0
        while taken < 30:
            self.assertLessEqual(len(box), 2)
            yield box.take()
            taken += 1
            yield self.settle()
        yield gatherResults(done)
        self.assertEqual((len(box), box.dropped, box.cut), (0, 0, False))

    @inlineCallbacks
    def test_a_producer(self) -> Steps[None]:
        """
        One that waits goes as fast as its reader; one that does not cuts it off, and
        whoever waits for it goes on.
        """
        box = Mailbox(limit=3, when_full="wait")
        yield self.hub.subscribe("lobby", box)
        done = [self.hub.publish("lobby", number, wait=True) for number in range(4)]
        self.assertEqual([each.called for each in done], [True, True, False, False])
        yield box.take()
        self.assertEqual([each.called for each in done], [True, True, True, False])
        self.assertEqual(len(box), 3)
        yield self.say("pushed")
        self.assertTrue(box.cut)
        self.assertEqual(box.dropped, 1)
        yield done[3]
        yield self.say("on", wait=True)

    @inlineCallbacks
    def test_with_permission(self) -> Steps[None]:
        """
        Who is a caller waits, too, when it is allowed.
        """
        self.hub.declare("lobby", ChannelRule(publish=ANYONE))
        slow = yield self.slow()
        slow.full = True
        done = self.hub.publish("lobby", 1, wait=True, by=ADA)
        yield self.settle()
        self.assertEqual(slow.said, [])
        slow.make_room()
        yield done
        self.assertEqual(slow.said, [1])


class FiguresContract(HubCase):
    """
    What a hub counts.
    """

    @inlineCallbacks
    def test_figures(self) -> Steps[None]:
        """
        What was published, what reached somebody, and what is in each channel.
        """
        self.hub.declare("rooms.*", ChannelRule(keep=2, keep_bytes=100))
        yield self.ears("rooms.a", "Ada")
        yield self.ears("**")
        yield self.say("one", "two", "three", channel="rooms.a")
        yield self.say(1, channel="hall")
        figures = self.hub.figures()
        self.assertEqual(
            (figures.published, figures.delivered, figures.patterns), (4, 7, 1)
        )
        for name, expected in (
            ("rooms.a", (1, 1, 3, 2, 12)),
            ("hall", (0, 0, 1, 1, None)),
        ):
            channel = figures.channels[name]
            self.assertEqual(
                (
                    *(channel.subscribers, channel.people, channel.published),
                    *(channel.kept, channel.size),
                ),
                expected,
            )

    @inlineCallbacks
    def test_losses(self) -> Steps[None]:
        """
        What mailboxes do not take is counted, once, also when they have gone.
        """
        oldest = Mailbox(limit=1, when_full="oldest")
        latest = Mailbox(key=lambda message: 0)
        cut = Mailbox(limit=1)
        for box in (oldest, latest, cut):
            yield self.hub.subscribe("lobby", box)
        yield self.hub.subscribe("**", oldest)
        yield self.hub.subscribe("hall", oldest)
        yield self.say(1, 2, 3)
        for box in (oldest, latest, cut):
            yield self.hub.unsubscribe("lobby", box)
        figures = self.hub.figures()
        self.assertEqual((figures.dropped, figures.replaced, figures.cut), (4, 2, 1))
        self.assertEqual((oldest.dropped, latest.replaced, cut.dropped), (2, 2, 2))
