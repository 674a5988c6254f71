# -*- test-case-name: tests.test_client_offers -*-
"""
What a daemon asks, on one connection, of a client that offers operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import Raw
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from ropewalk.client.offers import Offer
from ropewalk.client.records import Misunderstood
from ropewalk.errors import NoSuchOperation
from ropewalk.wire.jsonrpc import (
    Id,
    cancelled_answer,
    error_answer,
    notification,
    result_answer,
)

__all__ = ["Asked"]


class Asked:
    """
    What is asked, and not answered yet.

    :param offers: What can be asked for, by name.
    :param say: Sends a message.
    :param write: Makes bytes of a value, in the form of the messages.
    :param room: Whether the connection has room for what may be dropped.
    """

    def __init__(
        self,
        offers: Mapping[str, Offer],
        say: Callable[[dict[str, Any]], None],
        write: Callable[[Any], bytes],
        room: Callable[[], bool],
    ) -> None:
        self._offers = offers
        self._say = say
        self._write = write
        self._room = room
        self._running: dict[Id, Deferred[bytes]] = {}

    def ask(self, number: Any, name: Any, arguments: Any) -> None:
        """
        Do what is asked.

        :raise Misunderstood: When no daemon would ask so.
        """
        if not isinstance(number, str | int) or number in self._running:
            raise Misunderstood(f"id: expected a new one, got {number!r}")
        if not isinstance(name, str) or not isinstance(arguments, dict | list):
            raise Misunderstood("expected a method, and an object or an array")
        offer = self._offers.get(name)
        if offer is None:
            self._say(error_answer(number, NoSuchOperation(name)))
            return
        # It is there before it ends, as it may at once; and so is its progress.
        called: Deferred[None] = Deferred()
        answered = called.addCallback(
            lambda _: offer.ask(arguments, partial(self._tell, number), self._write)
        )
        self._running[number] = answered
        answered.addBoth(partial(self._answer, number))
        called.callback(None)

    def cancel(self, number: Any) -> None:
        """Nobody waits for an answer any more."""
        running = self._running.pop(number, None)
        if running is not None:
            running.cancel()

    def end(self) -> None:
        """Nobody waits for any."""
        for number in tuple(self._running):
            self.cancel(number)

    def _answer(self, number: Id, outcome: Any) -> None:
        if self._running.pop(number, None) is None:
            return  # nobody waits; what went wrong has been logged
        if not isinstance(outcome, Failure):
            self._say(result_answer(number, outcome))
        elif outcome.check(CancelledError):
            self._say(cancelled_answer(number))
        else:
            error: Any = outcome.value
            self._say(error_answer(number, error))

    def _tell(self, number: Id, value: Any) -> None:
        """Hand on a progressive result. What comes too fast is dropped."""
        if number in self._running and self._room():
            params = {"id": number, "value": Raw(self._write(value))}
            self._say(notification("rpc.progress", params))
