# -*- test-case-name: tests.test_slices -*-
"""
A long body that is there already, handed over no faster than the client takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

__all__ = ["Slices"]


@implementer(IPushProducer)
class Slices:
    """
    :param consumer: A request, or anything else that can be written to.
    :param body: The body.
    :param size: Bytes handed over at a time.
    :param done: Called when all of it has been.
    """

    def __init__(
        self, consumer: Any, body: bytes, size: int, done: Callable[[], object]
    ) -> None:
        self._consumer = consumer
        self._body = memoryview(body)
        self._size = size
        self._done = done
        self._at = 0
        self._running = False
        self._ended = False

    def resumeProducing(self) -> None:
        """Hand over, until it is told to wait."""
        if self._running or self._ended:
            return
        self._running = True
        while self._running and self._at < len(self._body):
            piece = self._body[self._at : self._at + self._size]
            self._at += len(piece)
            self._consumer.write(bytes(piece))
        self._running = False
        if self._at >= len(self._body) and not self._ended:
            self._ended = True
            self._done()

    def pauseProducing(self) -> None:
        """Wait."""
        self._running = False

    def stopProducing(self) -> None:
        """Nobody is there any more."""
        self._running, self._ended = False, True
