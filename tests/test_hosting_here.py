"""
Tests for L{ropewalk.web.hosting.here}: the daemon, for those that it hosts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadChannel, NoSuchOperation
from ropewalk.hub import MemoryHub
from ropewalk.interfaces import Caller, Message, Steps
from ropewalk.operations import Operations, operation
from ropewalk.web.hosting import here

reactor: Any = global_reactor


class Till:
    """
    What can be called.
    """

    @operation
    def add(self, one: int, other: int) -> int:
        """Add."""
        return one + other


class _Service:
    """Operations, in the name of a service."""

    def __init__(self, operations: Operations) -> None:
        self.add = operations.add
        self._operations = operations

    def call(self, name: str, arguments: Any) -> Deferred[Any]:
        return self._operations.call(name, arguments, Caller("service", "web"))


class NobodyTests(SynchronousTestCase):
    """
    Where there is no daemon.
    """

    def test_nobody(self) -> None:
        """
        It is said that there is none, and where there would be one.
        """
        asks: list[Callable[[], Any]] = [
            lambda: here.publish("rooms.lobby", "x"),
            lambda: here.call("till.add", [1, 2]),
            lambda: here.last("rooms.lobby"),
        ]
        for ask in asks:
            error = self.assertRaises(here.NotHosted, ask)
            self.assertIn("there is no ropewalk daemon here", str(error))


class HereTests(TestCase):
    """
    In a daemon.
    """

    def setUp(self) -> None:
        self.hub = MemoryHub(lambda: 1.0, clock=reactor)
        operations = Operations(reactor)
        operations.add("till", Till(), plugin="till")
        service: Any = _Service(operations)
        self.addCleanup(here.attach(reactor, self.hub, service))
        self.addCleanup(self.hub.close)

    @inlineCallbacks
    def test_thread(self) -> Steps[None]:
        """
        In a thread, each waits for its result.
        """

        def view() -> tuple[Any, ...]:
            message = here.publish("rooms.lobby", {"text": "sold"})
            total = here.call("till.add", {"one": 1, "other": 2})
            kept = here.history("rooms.lobby")
            return message, total, kept, here.last("rooms.lobby"), here.present("a.b")

        message, total, kept, last, present = yield deferToThread(view)
        self.assertIsInstance(message, Message)
        self.assertEqual((message.body, total), ({"text": "sold"}, 3))
        self.assertEqual(list(kept), [message])
        self.assertEqual((last, list(present)), (message, []))

    @inlineCallbacks
    def test_errors(self) -> Steps[None]:
        """
        And is told what went wrong.
        """

        def view() -> None:
            self.assertRaises(NoSuchOperation, here.call, "till.sub", [1])

        yield deferToThread(view)

        def wrong() -> None:
            self.assertRaises(BadChannel, here.publish, "no channel", "x")

        yield deferToThread(wrong)

    @inlineCallbacks
    def test_coroutine(self) -> Steps[None]:
        """
        In a coroutine on the daemon's loop, it can be awaited.
        """

        async def view() -> Any:
            message = await here.publish("rooms.lobby", "x")
            return message.body, await here.call("till.add", [3, 4])

        answer = yield view()
        self.assertEqual(answer, ("x", 7))

    @inlineCallbacks
    def test_other_loop(self) -> Steps[None]:
        """
        So it can in a coroutine on a loop of a thread's own.
        """

        async def view() -> Any:
            return await here.call("till.add", [3, 4])

        answer = yield deferToThread(lambda: asyncio.run(view()))
        self.assertEqual(answer, 7)

    @inlineCallbacks
    def test_handler(self) -> Steps[None]:
        """
        And as a Deferred in the reactor's thread.
        """
        total = yield here.call("till.add", [3, 4])
        self.assertEqual(total, 7)
