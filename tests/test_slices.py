"""
Tests for L{ropewalk.web.slices}.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ropewalk.web.slices import Slices


class Consumer:
    """
    Takes what is written, and may say something then.
    """

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.then: Callable[[], object] = lambda: None

    def write(self, data: bytes) -> None:
        self.taken.append(data)
        self.then()


class SlicesTests(SynchronousTestCase):
    """
    A long body, handed over in pieces.
    """

    def setUp(self) -> None:
        self.consumer = Consumer()
        self.done: list[bool] = []
        self.slices = Slices(
            self.consumer, b"abcdefg", 3, lambda: self.done.append(True)
        )
        verifyObject(IPushProducer, self.slices)

    def test_all(self) -> None:
        """
        All of it is handed over, if nobody says that it should wait.
        """
        self.slices.resumeProducing()
        self.assertEqual(self.consumer.taken, [b"abc", b"def", b"g"])
        self.assertEqual(self.done, [True])
        self.slices.resumeProducing()
        self.assertEqual(self.done, [True])

    def test_waiting(self) -> None:
        """
        It waits when it is told to while it hands something over.
        """
        self.consumer.then = self.slices.pauseProducing
        for taken in 1, 2:
            self.slices.resumeProducing()
            self.assertEqual((len(self.consumer.taken), self.done), (taken, []))
        self.slices.resumeProducing()
        self.assertEqual(
            (b"".join(self.consumer.taken), self.done), (b"abcdefg", [True])
        )

    def test_told_at_once(self) -> None:
        """
        Who says that it may go on while it does changes nothing.
        """
        self.consumer.then = self.slices.resumeProducing
        self.slices.resumeProducing()
        self.assertEqual(self.consumer.taken, [b"abc", b"def", b"g"])
        self.assertEqual(self.done, [True])

    def test_stopped(self) -> None:
        """
        When nobody is there any more, it ends.
        """
        self.consumer.then = self.slices.stopProducing
        self.slices.resumeProducing()
        self.slices.resumeProducing()
        self.assertEqual((self.consumer.taken, self.done), ([b"abc"], []))
