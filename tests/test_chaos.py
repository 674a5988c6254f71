"""
Nothing is lost by L{ropewalk.client} and C{ropewalk.js}, whatever happens to their
connections.

``make chaos`` cuts 10,000 of them; ``CUTS=300 SEED=7`` says how many, and which.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from random import randrange
from typing import Any

from twisted.trial.unittest import TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from tests.browser import Browser
from tests.chaos import Chaos

CUTS = int(os.environ.get("CUTS", "300"))
SEED = int(os.environ.get("SEED") or randrange(1_000_000))

#: Of so many cuts, pages have: each takes a browser longer.
PAGE_CUTS = CUTS // 4


class ChaosTests(TestCase):
    """
    A daemon, its clients, and proxies between them that cut connections.
    """

    timeout = 60 + CUTS / 10

    @inlineCallbacks
    def test_everybody_hears_everything(self) -> Steps[None]:
        """
        By every way, by one after another and by ways that are changed, everybody hears
        the same: all that was published, once and in order. What was published through
        them is there once if they were told so, and never twice.
        """
        kinds: Counter[str] = yield self.endure(CUTS - PAGE_CUTS)
        self.assertEqual(len(kinds), 4, kinds)

    @inlineCallbacks
    def test_pages(self) -> Steps[None]:
        """
        So does everybody in a browser. (By HTTP, that sends again by itself what it has
        sent on a connection that was closed before an answer.)
        """
        browser = yield Browser.start(self.mktemp())
        self.addCleanup(browser.stop)
        yield self.endure(PAGE_CUTS, browser)

    @inlineCallbacks
    def endure(self, cuts: int, browser: Browser | None = None) -> Steps[Any]:
        """Have it happen, and look what has become of everybody; what it was."""
        sys.stdout.write(f" (SEED={SEED}) ")
        sys.stdout.flush()
        chaos = Chaos(cuts, SEED, browser)
        self.addCleanup(chaos.close)
        yield chaos.run()
        told = ", ".join(f"{number} {kind}" for kind, number in chaos.cuts.items())
        sys.stdout.write(f"({told}; {chaos.published} messages) ")
        everything = list(range(1, chaos.published + 1))
        for ear in chaos.ears:
            self.assertEqual(ear.heard, everything, f"{ear.name}, SEED={SEED}")
            self.assertEqual(ear.gaps, 0, f"{ear.name}, SEED={SEED}")
            said: Any = yield chaos.house.hub.history(ear.channel)
            numbers = [message.body for message in said]
            if ear.once:
                self.assertEqual(len(numbers), len(set(numbers)), f"{ear.name} twice")
            self.assertEqual(set(ear.answered) - set(numbers), set(), ear.name)
        self.assertGreater(sum(len(ear.answered) for ear in chaos.ears), 0)
        self.assertGreaterEqual(chaos.cuts.total(), cuts)
        return chaos.cuts
