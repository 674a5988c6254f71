# -*- test-case-name: tests.test_hub_mailbox -*-
"""
A subscriber to take messages from.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ropewalk.errors import MailboxFull
from ropewalk.hub import Mailbox, MemoryHub
from ropewalk.interfaces import IPaced, ISubscriber, ITallied, Losses, Message


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
        for interface in (ISubscriber, IPaced, ITallied):
            verifyObject(interface, Mailbox())

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

    def test_room(self) -> None:
        """
        Or can be waited for. Each who waits is told when there is room; who gives up
        waiting is forgotten.
        """
        box = Mailbox(limit=2, when_full="wait")
        self.assertIsNone(box.ready())
        self.fill(box, 1)
        self.assertIsNone(box.ready())
        self.fill(box, 2)
        first, second, third = box.ready(), box.ready(), box.ready()
        assert first is not None and second is not None and third is not None
        third.cancel()
        self.failureResultOf(third, CancelledError)
        # The first that is told fills it again.
        first.addCallback(lambda _: box.deliver(message(3)))
        self.assertNoResult(first)
        self.assertEqual(self.taken(box), 1)
        self.assertTrue(first.called)
        self.assertNoResult(second)
        self.assertEqual(self.taken(box), 2)
        self.successResultOf(second)
        self.assertEqual((len(box), box.dropped, box.cut), (1, 0, False))

    def test_no_room_any_more(self) -> None:
        """
        Who waits for one that is cut off or closed waits no longer.
        """
        for end in (lambda box: box.deliver(message(3)), lambda box: box.close()):
            box = self.fill(Mailbox(limit=1, when_full="wait"), 1)
            waiting = box.ready()
            assert waiting is not None
            end(box)
            self.successResultOf(waiting)
            self.assertIsNone(box.ready())
            self.assertEqual(self.taken(box), 1)

    def test_nobody_waits_for_the_others(self) -> None:
        """
        One that drops, or is cut off, holds nobody up.
        """
        for policy in ("cut", "oldest"):
            box = self.fill(Mailbox(limit=1, when_full=policy), 1)
            self.assertIsNone(box.ready())

    def test_tally(self) -> None:
        """
        What it loses is counted for others, too, from when they ask, and once.
        """
        box = self.fill(Mailbox(limit=1, when_full="oldest"), 1, 2)
        losses = Losses()
        box.tally(losses)
        box.tally(losses)
        self.fill(box, 3)
        self.assertEqual((box.dropped, losses.dropped), (2, 1))
        cut = Mailbox(limit=1, key=lambda each: each.body)
        cut.tally(losses)
        self.fill(cut, 1, 4, 2, 3)
        self.assertTrue(cut.cut)
        self.assertEqual((losses.dropped, losses.replaced, losses.cut), (3, 1, 1))

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
        with self.assertRaisesRegex(
            ValueError, '"cut", "oldest" or "wait", not \'new\''
        ):
            Mailbox(when_full="new")  # type: ignore[arg-type]

    @given(
        st.lists(st.sampled_from(["deliver", "deliver", "take", "cancel", "close"])),
        st.integers(1, 3),
        st.sampled_from(["cut", "oldest", "wait"]),
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
            room = when_full != "wait" or end is not None or len(waits) < limit
            self.assertEqual(box.ready() is None, room)
