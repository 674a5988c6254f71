# -*- test-case-name: tests.test_telemetry -*-
"""
What is recorded while the daemon works.
"""

from __future__ import annotations

from contextvars import copy_context

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ropewalk.awaiting import inlineCallbacks, run
from ropewalk.errors import Conflict
from ropewalk.interfaces import IHealth, Steps
from ropewalk.plugin import caller
from ropewalk.telemetry import Check, Health, Work, work, working
from tests.test_schema import run_page


class WorkTests(SynchronousTestCase):
    """
    Whose work the running code does.
    """

    def test_nobody(self) -> None:
        """
        Unless somebody said so, it is nobody's.
        """
        self.assertEqual(work.get(), Work(plugin=None, connection=None, request=None))

    def test_nested(self) -> None:
        """
        Inside, what is named counts and the rest stays; afterwards all is as it
        was, also after an error.
        """
        with working(plugin="chat") as outer:
            self.assertIs(work.get(), outer)
            with (
                self.assertRaises(ZeroDivisionError),
                working(connection="c1", request="c1.1") as inner,
            ):
                self.assertEqual(inner, Work("chat", "c1", "c1.1"))
                self.assertIs(work.get(), inner)
                1 / 0  # noqa: B018
            self.assertEqual(work.get(), Work("chat"))
            with working(plugin=None):
                self.assertEqual(work.get(), Work())
        self.assertEqual(work.get(), Work())

    def test_unknown_fields(self) -> None:
        """
        What work does not have is a mistake.
        """
        with self.assertRaises(TypeError), working(conection="c1"):
            pass

    def test_follows(self) -> None:
        """
        Who waits goes on with the same work, whoever wakes him.
        """
        seen: list[Work] = []

        @inlineCallbacks
        def steps(until: Deferred[None]) -> Steps[None]:
            yield until
            seen.append(work.get())

        async def coroutine(until: Deferred[None]) -> None:
            await until
            seen.append(work.get())

        for function in (steps, coroutine):
            until: Deferred[None] = Deferred()
            with working(plugin="chat", connection="c1"):
                waiting = run(function, until)
            with working(plugin="bank", connection="c2"):
                until.callback(None)
            self.successResultOf(waiting)
        self.assertEqual(seen, [Work("chat", "c1")] * 2)

    def test_handed_over(self) -> None:
        """
        What is to be called later is handed over with the work it belongs to.
        """
        with working(plugin="chat"):
            later = copy_context().run
        self.assertEqual(later(work.get), Work("chat"))


class HealthTests(SynchronousTestCase):
    """
    The health checks of a daemon.
    """

    def setUp(self) -> None:
        self.health = Health()
        self.chat = self.health.of("chat")

    def ask(self) -> str | None:
        return None

    def test_interface(self) -> None:
        """
        A plugin sees it as IHealth.
        """
        self.assertTrue(verifyObject(IHealth, self.chat))

    def test_order(self) -> None:
        """
        The checks are asked in the order in which they were added, whatever is
        added meanwhile.
        """

        def slow() -> Deferred[str | None]:
            return succeed("slow")

        self.chat.add("rooms", self.ask)
        self.health.of("bank").add("rooms", slow)
        names = []
        for check in self.health:
            names.append((check.plugin, check.name, check.ask))
            self.chat.add(f"more{len(names)}", self.ask)
        self.assertEqual(names, [("chat", "rooms", self.ask), ("bank", "rooms", slow)])
        self.assertEqual(len(list(self.health)), 4)

    def test_twice(self) -> None:
        """
        A plugin that has two checks of one name is told where it adds them.
        """
        here = caller(0).rpartition(":")
        line = int(here[2])
        self.chat.add("rooms", self.ask)
        error = self.assertRaises(Conflict, lambda: self.chat.add("rooms", self.ask))
        self.assertEqual(
            str(error),
            "the health check 'rooms' is claimed twice:\n"
            f"  by service 'chat' ({here[0]}:{line + 2})\n"
            f"  by service 'chat' ({here[0]}:{line + 3})",
        )
        self.assertEqual(
            list(self.health),
            [Check("chat", "rooms", self.ask, f"{here[0]}:{line + 2}")],
        )


class DocumentationTests(SynchronousTestCase):
    """
    ``docs/telemetry.rst`` is true.
    """

    def test_page(self) -> None:
        """
        Its examples do what it says.
        """
        self.assertEqual(run_page("telemetry.rst")[1], "")
