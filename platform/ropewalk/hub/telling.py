# -*- test-case-name: tests.test_hub -*-
"""
News, told in one order to all whom they concern.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from attrs import define, field
from msgspec import Struct
from twisted.logger import Logger

from ropewalk.hub.subscriptions import Hearer
from ropewalk.interfaces import ISubscriber

__all__ = ["News", "Teller"]


def _nothing() -> None:
    """Nobody waits."""


class News(Struct, frozen=True, eq=False):
    """
    Something that happened in a channel.

    :ivar to: Who is to hear it, of those who stood when it happened.
    :ivar tell: How to tell a subscriber of it.
    :ivar told: Called when everybody has been told.
    :ivar is_message: Whether it is a message, and counts as delivered.
    """

    channel: str
    to: Sequence[Hearer]
    tell: Callable[[ISubscriber], None]
    told: Callable[[], None] = _nothing
    is_message: bool = False


@define(eq=False)
class Teller:
    """
    Tells news one after the other.

    :ivar telling: Whether it is doing so now.
    :ivar delivered: How many times a subscriber has taken a message.
    :ivar raised: How many times one raised instead of taking what it was told.
    """

    telling: bool = field(default=False, init=False)
    delivered: int = field(default=0, init=False)
    raised: int = field(default=0, init=False)
    _news: deque[News] = field(factory=deque, init=False)
    _log = Logger()

    def note(self, news: News) -> None:
        """
        This is to be told, after what was noted before.
        """
        self._news.append(news)

    def tell(self) -> None:
        """
        Tell what is to be told, after what is being told now.

        A subscriber that publishes from inside ``deliver`` would otherwise have
        its message overtake the one being delivered. For the same reason nobody
        is told anything while the state of a channel is being changed.
        """
        if self.telling:
            return
        self.telling = True
        try:
            while self._news:
                self._tell(self._news.popleft())
        finally:
            self.telling = False

    def _tell(self, news: News) -> None:
        """
        Tell each subscriber. One that raises is logged and skipped: a bad
        connection does not silence a channel.
        """
        for hearer in news.to:
            if not hearer.stands:
                continue  # it was given up while others were being told
            try:
                news.tell(hearer.subscriber)
            except Exception:
                self.raised += 1
                self._log.failure(
                    "{subscriber!r} could not take what {channel} had for it",
                    subscriber=hearer.subscriber,
                    channel=news.channel,
                )
            else:
                self.delivered += news.is_message
        news.told()
