# -*- test-case-name: tests.test_hub_pacing -*-
"""
Publishers that wait until their subscribers have room.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.hub import Mailbox, MemoryHub
from ropewalk.interfaces import Message

BOXES = st.integers(0, 3)
WHERE = st.sampled_from(["a.a", "a.a", "a.b", "b.a", "a.*", "**"])
CHANNELS = st.sampled_from(["a.a", "a.a", "a.b", "b.a"])


class PaceMachine(RuleBasedStateMachine):
    """
    Mailboxes in several channels, and publishers that all wait: whatever happens in
    whatever order, no mailbox is overrun, and nobody waits for nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hub = MemoryHub(lambda: 0.0)
        self.boxes = [Mailbox(limit, when_full="wait") for limit in (1, 1, 2, 3)]
        self.stands: set[tuple[int, str]] = set()
        self.taken: dict[int, list[Message]] = {number: [] for number in range(4)}
        self.waiting: list[Deferred[Message]] = []
        self.published: list[str] = []

    @rule(box=BOXES, where=WHERE)
    def subscribe(self, box: int, where: str) -> None:
        """A mailbox hears a channel, or many."""
        self.hub.subscribe(where, self.boxes[box])
        self.stands.add((box, where))

    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        """A mailbox hears something no more."""
        if self.stands:
            box, where = data.draw(st.sampled_from(sorted(self.stands)))
            self.stands.discard((box, where))
            self.hub.unsubscribe(where, self.boxes[box])

    @rule(channel=CHANNELS, again=st.integers(0, 2))
    def publish(self, channel: str, again: int) -> None:
        """Somebody publishes, and when that is done publishes again."""
        done = self.hub.publish(channel, None, wait=True)
        self.waiting.append(done)

        def more(message: Message) -> None:
            self.published.append(message.token)
            self.waiting.remove(done)
            if again:
                self.publish(channel, again - 1)

        def stop(failure: Any) -> None:
            failure.trap(CancelledError)

        done.addCallbacks(more, stop)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """A publisher gives up."""
        if self.waiting:
            places = st.integers(0, len(self.waiting) - 1)
            self.waiting.pop(data.draw(places)).cancel()

    @rule(box=BOXES)
    def take(self, box: int) -> None:
        """Somebody takes a message, if there is one."""
        if len(self.boxes[box]):
            self.boxes[box].take().addCallback(self.taken[box].append)

    @invariant()
    def nobody_is_overrun(self) -> None:
        """Each mailbox has what may wait in it."""
        for box in self.boxes:
            assert len(box) <= box.limit
            assert not (box.cut or box.dropped)

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        """Where all have room, nobody waits."""
        if all(len(box) < box.limit for box in self.boxes):
            assert not self.waiting

    def teardown(self) -> None:
        """When all is taken, everybody has published, and nothing is left."""
        while full := [number for number in range(4) if len(self.boxes[number])]:
            for number in full:
                self.take(number)
            self.nobody_is_overrun()
        assert not self.waiting
        assert len(self.published) == len(set(self.published))
        for messages in self.taken.values():
            for channel in ("a.a", "a.b", "b.a"):
                places = [each.sequence for each in messages if each.channel == channel]
                assert all(before < after for before, after in pairwise(places))
        pace = self.hub._exchange._pace
        for left in (pace._queues, pace._heads, pace._busy, pace._later, pace._waits):
            assert not left, left


class PaceTests(SynchronousTestCase):
    """
    Publishers wait, and never in vain.
    """

    def test_any_steps(self) -> None:
        """
        Whatever happens in whatever order, no mailbox is overrun, and when all is
        taken nobody waits any more.
        """
        run_state_machine_as_test(
            PaceMachine,
            settings=settings(
                max_examples=100,
                stateful_step_count=40,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
