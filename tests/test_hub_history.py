# -*- test-case-name: tests.test_hub_history -*-
"""
What a channel remembers: so many messages, so old, and so large together.
"""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.hub.history import History
from ropewalk.interfaces import ChannelRule, Message

RULES = st.builds(
    ChannelRule,
    keep=st.integers(0, 4),
    keep_for=st.none() | st.integers(1, 9),
    keep_bytes=st.none() | st.integers(0, 9),
    retain=st.none() | st.integers(1, 9) | st.just(math.inf),
)
#: Seconds that pass, the size of the next message, and how many are to be kept then.
STEPS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 4) | st.none())
)


class HistoryTests(SynchronousTestCase):
    """
    The last messages of a channel.
    """

    @given(RULES, STEPS, RULES)
    def test_against_a_list(
        self, rule: ChannelRule, steps: list[Any], other: ChannelRule
    ) -> None:
        """
        It has the messages that a list would be cut to, message by message, and says
        when the next is too old; and so it is under another rule.
        """
        history, now = History(rule), 0.0
        plain: list[tuple[int, float, int]] = []
        for place, (seconds, size, keep) in enumerate(steps, 1):
            now += seconds
            message = Message("lobby", place, now, size)
            counted = size if rule.keep_bytes is not None else 0
            most = rule.keep if keep is None else keep
            history.add(message, now, counted, most)
            plain = self.cut([*plain, (place, now, size)], most, rule)
            self.check(history, plain, rule, now)
        plain = self.fresh(plain, rule, now)
        history.follow(other, lambda body: body if other.keep_bytes is not None else 0)
        self.check(history, self.cut(plain, other.keep, other), other, now)

    def cut(
        self, plain: list[tuple[int, float, int]], keep: int, rule: ChannelRule
    ) -> list[tuple[int, float, int]]:
        """As many as there may be."""
        kept = plain[-keep:] if keep else []
        while (
            rule.keep_bytes is not None and sum(s for *_, s in kept) > rule.keep_bytes
        ):
            kept = kept[1:]
        return kept

    def fresh(
        self, plain: list[tuple[int, float, int]], rule: ChannelRule, now: float
    ) -> list[tuple[int, float, int]]:
        """Those that are not too old."""
        lifetime = rule.keep_for or math.inf
        return [each for each in plain if each[1] + lifetime > now]

    def check(
        self,
        history: History,
        plain: list[tuple[int, float, int]],
        rule: ChannelRule,
        now: float,
    ) -> None:
        history.expire(now)
        plain = self.fresh(plain, rule, now)
        places = [message.sequence for message in history.messages()]
        self.assertEqual(places, [place for place, *_ in plain])
        self.assertEqual(len(history), len(plain))
        if rule.keep_bytes is not None:
            self.assertEqual(history.size, sum(size for *_, size in plain))
        last = history.last()
        if plain:
            self.assertEqual(last and last.sequence, plain[-1][0])
            self.assertLessEqual(
                history.due(), plain[0][1] + (rule.keep_for or math.inf)
            )
        self.assertGreater(history.due(), now)
        if rule.retain is None and not plain:
            self.assertIsNone(last)

    def test_retained_apart(self) -> None:
        """
        The very last message stays as long as it is retained, though the history has
        lost it by count, age or size.
        """
        for rule in (
            ChannelRule(keep=0, retain=9),
            ChannelRule(keep_for=1, retain=9),
            ChannelRule(keep_bytes=0, retain=9),
        ):
            history = History(rule)
            for place in (1, 2):
                message = Message("lobby", place, 0.0, None)
                history.add(message, 0.0, 4, rule.keep)
            history.expire(8.5)
            self.assertEqual((len(history), history.last()), (0, message))
            self.assertEqual(history.due(), 9.0)
            history.expire(9.0)
            self.assertEqual((history.last(), history.due()), (None, math.inf))

    def test_a_rule_that_retains(self) -> None:
        """
        Under a rule that retains what the one before did not, what the history has
        last is retained; under one that does not, it is not any more.
        """
        history, message = History(ChannelRule()), Message("lobby", 1, 0.0, None)
        history.add(message, 0.0, 0, 100)
        history.follow(ChannelRule(keep_for=1, retain=9), lambda body: 0)
        history.expire(1.0)
        self.assertEqual((len(history), history.last()), (0, message))
        history.follow(ChannelRule(), lambda body: 0)
        self.assertIsNone(history.last())
