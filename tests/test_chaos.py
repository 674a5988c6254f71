"""
Nothing is lost by L{ropewalk.client}, whatever happens to its connections.

``make chaos`` cuts 10,000 of them; ``CUTS=300 SEED=7`` says how many, and which.
"""

from __future__ import annotations

import os
import sys
from random import randrange
from typing import Any

from twisted.trial.unittest import TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from tests.browser import Browser
from tests.chaos import Chaos

CUTS = int(os.environ.get("CUTS", "300"))
PAGE_CUTS = int(os.environ.get("PAGE_CUTS", CUTS // 3))
SEED = int(os.environ.get("SEED") or randrange(1_000_000))


class ChaosTests(TestCase):
    """
    A daemon, its clients, and a proxy between them that cuts connections.
    """

    timeout = 60 + CUTS / 10

    @inlineCallbacks
    def test_everybody_hears_everything(self) -> Steps[None]:
        """
        By every way, by one after another and by ways that are changed, everybody hears
        the same: all that was published, once and in order. What was published through
        them is there once if they were told so, and never twice.
        """
        yield self.endure(Chaos(CUTS, SEED))

    @inlineCallbacks
    def test_pages(self) -> Steps[None]:
        """
        So does everybody in a browser.
        """
        browser = yield Browser.start(self.mktemp())
        self.addCleanup(browser.stop)
        yield self.endure(Chaos(PAGE_CUTS, SEED, browser))

    @inlineCallbacks
    def endure(self, chaos: Chaos) -> Steps[None]:
        """Have it happen, and look what has become of everybody."""
        sys.stdout.write(f" (SEED={SEED}) ")
        sys.stdout.flush()
        self.addCleanup(chaos.close)
        yield chaos.run()
        everything = list(range(1, chaos.published + 1))
        for ear in chaos.ears:
            self.assertEqual(ear.heard, everything, f"{ear.name}, SEED={SEED}")
            self.assertEqual(ear.gaps, 0, f"{ear.name}, SEED={SEED}")
            said: Any = yield chaos.house.hub.history(ear.channel)
            numbers = [message.body for message in said]
            self.assertEqual(len(numbers), len(set(numbers)), f"{ear.name} twice")
            self.assertEqual(set(ear.answered) - set(numbers), set(), ear.name)
        self.assertGreater(sum(len(ear.answered) for ear in chaos.ears), 0)
        self.assertEqual(len(chaos.cuts), 4, chaos.cuts)
