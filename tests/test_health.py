"""
Tests for L{ropewalk.web.health}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import ChannelFull
from ropewalk.interfaces import Steps
from ropewalk.telemetry import Check, Work, work
from ropewalk.web.health import HealthPages
from tests.visiting import Answer, Place, request


class HealthTestCase(SynchronousTestCase):
    """
    A site with health pages.
    """

    def setUp(self) -> None:
        self.state = "ready"
        self.checks: list[Check] = []
        self.place = Place.of()
        pages = HealthPages(lambda: self.state, self.checks, self.place.clock)
        self.place.mount("/health", pages.routes, "web")
        self.visit = self.place.visit()

    def check(self, ask: Callable[[], Any], name: str = "database") -> None:
        self.checks.append(Check("chat", name, ask))

    def ready(self, method: str = "GET") -> Answer:
        return self.visit.ask("/health/ready", method)

    def why(self) -> str:
        """Why the one check is not well."""
        answer = self.ready()
        self.assertEqual(answer.status, 503)
        (check,) = answer.json["checks"]
        return str(check["why"])


class LiveTests(HealthTestCase):
    """
    The process lives as long as it answers.
    """

    def test_live(self) -> None:
        """
        Whatever it is doing, and whatever is wrong.
        """
        self.check(lambda: "down")
        for self.state in "starting", "ready", "draining":
            answer = self.visit.ask("/health/live")
            self.assertEqual((answer.status, answer.json), (200, {"live": True}))
            self.assertEqual(answer.headers["content-type"], "application/json")
            self.assertEqual(answer.headers["cache-control"], "no-store")

    def test_head(self) -> None:
        """
        Who only wants the status gets it.
        """
        for path in "/health/live", "/health/ready":
            answer = self.visit.ask(path, "HEAD")
            self.assertEqual((answer.status, answer.body), (200, b""))
        self.state = "draining"
        self.assertEqual(self.ready("HEAD").status, 503)

    def test_nothing_else(self) -> None:
        """
        There are no other pages, and no other methods.
        """
        self.assertEqual(self.visit.ask("/health/other").status, 404)
        self.assertEqual(self.visit.ask("/health/live", "POST").status, 405)


class ReadyTests(HealthTestCase):
    """
    The daemon is ready when it has started, and every check is well.
    """

    def test_ready(self) -> None:
        """
        Without checks, and with some that are well.
        """
        answer = self.ready()
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json, {"ready": True, "state": "ready", "checks": []})
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.check(lambda: None)
        self.check(lambda: None, "disk")
        answer = self.ready()
        self.assertEqual(answer.status, 200)
        self.assertEqual(
            answer.json["checks"],
            [
                {"service": "chat", "check": "database", "ok": True},
                {"service": "chat", "check": "disk", "ok": True},
            ],
        )

    def test_states(self) -> None:
        """
        While the daemon does something else it is not ready, and says what.
        """
        for self.state in "starting", "draining", "failed":
            answer = self.ready()
            self.assertEqual(answer.status, 503)
            self.assertEqual(
                answer.json, {"ready": False, "state": self.state, "checks": []}
            )

    def test_not_well(self) -> None:
        """
        One check that is not well is enough; each says why.
        """
        self.check(lambda: None)
        self.check(lambda: "9 MB left", "disk")
        self.check(lambda: "behind by 5 s", "replica")
        answer = self.ready()
        self.assertEqual(answer.status, 503)
        self.assertEqual(
            answer.json,
            {
                "ready": False,
                "state": "ready",
                "checks": [
                    {"service": "chat", "check": "database", "ok": True},
                    {
                        "service": "chat",
                        "check": "disk",
                        "ok": False,
                        "why": "9 MB left",
                    },
                    {
                        "service": "chat",
                        "check": "replica",
                        "ok": False,
                        "why": "behind by 5 s",
                    },
                ],
            },
        )

    def test_any_function(self) -> None:
        """
        A check may return a Deferred, be under C{inlineCallbacks} or an C{async
        def}; it runs in its plugin's name.
        """
        works: list[Work] = []

        @inlineCallbacks
        def steps() -> Steps[str | None]:
            works.append(work.get())
            why: str = yield succeed("from steps")
            return why

        async def coroutine() -> str | None:
            works.append(work.get())
            return await succeed("from a coroutine")

        self.check(lambda: succeed("from a Deferred"))
        self.check(steps)
        self.check(coroutine)
        self.assertEqual(
            [check["why"] for check in self.ready().json["checks"]],
            ["from a Deferred", "from steps", "from a coroutine"],
        )
        self.assertEqual(works, [Work("chat", "c1", "r1")] * 2)

    def test_a_check_that_hangs(self) -> None:
        """
        A check has five seconds; the others are not asked later for it.
        """
        hanging: Deferred[None] = Deferred()
        asked: list[float] = []
        self.check(lambda: hanging)
        self.check(lambda: asked.append(self.place.clock.seconds()), "disk")
        self.visit.send(request("/health/ready"))
        self.place.clock.advance(4.9)
        self.assertEqual(self.visit.answers(), [])
        self.place.clock.advance(0.1)
        answer = self.visit.answer()
        self.assertEqual(answer.status, 503)
        self.assertEqual(
            answer.json["checks"],
            [
                {
                    "service": "chat",
                    "check": "database",
                    "ok": False,
                    "why": "no answer within 5 seconds",
                },
                {"service": "chat", "check": "disk", "ok": True},
            ],
        )
        self.assertEqual(asked, [0.0])
        self.assertTrue(hanging.called)

    def test_the_state_when_it_is_told(self) -> None:
        """
        When the daemon begins to drain while a check is waited for, it is not
        ready any more.
        """
        slow: Deferred[None] = Deferred()
        self.check(lambda: slow)
        self.visit.send(request("/health/ready"))
        self.state = "draining"
        slow.callback(None)
        answer = self.visit.answer()
        self.assertEqual((answer.status, answer.json["state"]), (503, "draining"))

    def test_a_check_that_fails(self) -> None:
        """
        A check that raises is not well. What it raised may have secrets in it and
        is only logged: once, not each time that somebody looks.
        """
        errors: list[Exception] = [KeyError("password=x"), ValueError("y")]

        def ask() -> None:
            if errors:
                raise errors[0]

        self.check(ask)
        expected = "the check itself failed: KeyError; our log has more"
        self.assertEqual(self.why(), expected)
        self.assertEqual(self.why(), expected)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        mended = errors.copy()
        errors.clear()
        self.assertEqual(self.ready().status, 200)
        errors += mended
        self.assertEqual(self.why(), expected)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_a_check_that_fails_on_purpose(self) -> None:
        """
        An error that says what is wrong is told.
        """
        self.check(lambda: Deferred.fromCoroutine(self._fail()))
        self.assertEqual(
            self.why(),
            "the check itself failed: channel 'lobby' already has 8 subscribers",
        )
        self.assertEqual(len(self.flushLoggedErrors(ChannelFull)), 1)

    async def _fail(self) -> None:
        raise ChannelFull("lobby", 8)

    def test_whatever_it_says(self) -> None:
        """
        What a check returns is said as text, whatever it is.
        """
        self.check(lambda: ["ü", "\ud800"])
        self.assertEqual(self.why(), "['ü', '\\ud800']")
        self.checks.clear()
        self.check(lambda: Mute())
        self.assertIn("ValueError", self.why())
        self.flushLoggedErrors(ValueError)

    def test_nobody_waits(self) -> None:
        """
        Who asked and left costs nothing, and nobody complains.
        """
        hanging: Deferred[None] = Deferred()
        self.check(lambda: hanging)
        self.check(lambda: None, "disk")
        self.visit.send(request("/health/ready"))
        self.visit.leave()
        self.assertTrue(hanging.called)
        self.assertEqual(self.place.clock.getDelayedCalls(), [])


class Mute:
    """Something that cannot say what it is."""

    def __str__(self) -> str:
        raise ValueError("no words")
