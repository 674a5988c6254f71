"""
Tests for L{ropewalk.web.hosting.asgi.calling}: ASGI 2 and 3.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.hosting.asgi.calling import is_certainly_two
from tests.asgi_places import AsgiTestCase, answer, on_loop


class Two:
    """An application of ASGI 2."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> None:
        await answer(send, self.scope["asgi"]["version"].encode())


class Plain:
    """One of ASGI 3 that is called as Emmett's are: by no ``async def``."""

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return answer(send, b"3")


async def three(scope: Any, receive: Any, send: Any) -> None:
    """One of ASGI 3."""


def anything(*args: Any) -> Any:
    """Who knows."""


class CallingTests(AsgiTestCase):
    """
    How applications are called.
    """

    @on_loop
    async def test_two(self) -> None:
        """
        One of ASGI 2 is called twice, where that was said.
        """
        await self.serve(Two, asgi_version=2, lifespan="off")
        self.assertEqual(self.ask().body, b"2.0")

    @on_loop
    async def test_found_out(self) -> None:
        """
        And where it can be nothing else.
        """
        await self.serve(Two, lifespan="off")
        self.assertEqual(self.ask().status, 200)

    @on_loop
    async def test_three(self) -> None:
        """
        One that returns what can be awaited is of ASGI 3.
        """
        await self.serve(Plain(), lifespan="off")
        self.assertEqual(self.ask().body, b"3")


class GuessTests(SynchronousTestCase):
    """
    What is certain.
    """

    def test_certain(self) -> None:
        """
        What takes a scope and cannot take three arguments is of ASGI 2; nothing else
        is taken for that.
        """
        for app in (Two, lambda scope: None):
            self.assertTrue(is_certainly_two(app))
        for other in (Plain(), three, anything, lambda a, b=None, c=None: None, print):
            self.assertFalse(is_certainly_two(other))
