# -*- test-case-name: tests.test_hub_mailbox -*-
"""
A subscriber to take messages from.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from ropewalk.errors import MailboxFull
from ropewalk.hub.tallies import Tallies
from ropewalk.interfaces import (
    IPaced,
    ISubscriber,
    ITallied,
    Losses,
    Message,
    Presence,
)

__all__ = ["Mailbox"]

_POLICIES = ("cut", "oldest", "wait")


@implementer(ISubscriber, IPaced, ITallied)
class Mailbox:
    """
    A subscriber that keeps messages until somebody takes them, with ``async for
    message in mailbox`` or one by one. However slowly that goes, memory does not grow,
    and the channel waits only if that is wanted.

    :param limit: How many messages may wait, 1 or more.
    :param when_full: What becomes of one more: ``"cut"`` lets it not in, and nothing
        after it; whoever takes has what waits, and then is told so by
        :exc:`~ropewalk.errors.MailboxFull`. ``"oldest"`` drops the oldest. With
        ``"wait"``, those who publish with ``wait=True`` wait until there is room; for
        one more from somebody who does not, it is as with ``"cut"``.
    :param key: Of the messages for which it gives the same, something hashable, only
        the last one waits: of prices, say, the latest is all that anybody wants.
        ``None`` keeps all.
    """

    _log = Logger()

    def __init__(
        self,
        limit: int = 100,
        when_full: Literal["cut", "oldest", "wait"] = "cut",
        key: Callable[[Message], Any] | None = None,
    ) -> None:
        if limit < 1:
            raise ValueError(f"a mailbox cannot keep {limit} messages")
        if when_full not in _POLICIES:
            raise ValueError(
                f'when_full is "cut", "oldest" or "wait", not {when_full!r}'
            )
        self.limit = limit
        self._when_full = when_full
        self._key = key
        self._tallies = Tallies()
        self._messages: OrderedDict[Any, Message] = OrderedDict()
        self._taker: Deferred[Message] | None = None
        self._end: Callable[[], Exception] | None = None
        self._waiting: list[Deferred[None]] = []

    @property
    def dropped(self) -> int:
        """How many nobody can take because it was full."""
        return self._tallies.own.dropped

    @property
    def replaced(self) -> int:
        """How many a later one has taken the place of."""
        return self._tallies.own.replaced

    @property
    def cut(self) -> bool:
        """Whether it was cut off because it was full."""
        return self._tallies.own.cut > 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._messages)

    # A mailbox is there also when it is empty.
    def __bool__(self) -> bool:
        return True

    def take(self) -> Deferred[Message]:
        """
        Take the next message.

        :return: fires with it, when there is one. Cancelling it before takes nothing.
        :raise MailboxFull: When more came than may wait.
        :raise StopAsyncIteration: When it is closed, and nothing waits.
        :raise RuntimeError: When somebody takes already.
        """
        if self._taker is not None:
            raise RuntimeError("somebody takes from this mailbox already")
        if self._messages:
            _, message = self._messages.popitem(last=False)
            self._let_in()
            return succeed(message)
        if self._end is not None:
            return fail(self._end())
        self._taker = Deferred(self._forget_taker)
        return self._taker

    def close(self) -> None:
        """
        Let nothing more in. What waits can still be taken; then the ``async for`` ends.
        """
        self._finish(StopAsyncIteration)

    def __aiter__(self) -> Mailbox:
        return self

    def __anext__(self) -> Deferred[Message]:
        return self.take()

    # What the hub calls.

    def deliver(self, message: Message) -> None:
        """See :meth:`ropewalk.interfaces.ISubscriber.deliver`."""
        lose = self._tallies.lose
        if self._end is not None:
            if self._end is not StopAsyncIteration:
                lose(message.channel, dropped=1)
            return
        key = object() if self._key is None else self._key(message)
        taker, self._taker = self._taker, None
        if taker is not None:
            taker.callback(message)
            return
        if self._messages.pop(key, None) is not None:
            lose(message.channel, replaced=1)
        elif len(self._messages) == self.limit:
            lose(message.channel, dropped=1)
            if self._when_full != "oldest":
                self._cut_off(message)
                return
            self._messages.popitem(last=False)
        self._messages[key] = message

    def joined(self, channel: str, presence: Presence) -> None:
        """Who comes is no message; a subclass may care."""

    def left(self, channel: str, presence: Presence) -> None:
        """Nor is who leaves."""

    def ready(self) -> Deferred[None] | None:
        """See :meth:`ropewalk.interfaces.IPaced.ready`."""
        if self._has_room():
            return None
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def tally(self, losses: Losses) -> None:
        """See :meth:`ropewalk.interfaces.ITallied.tally`."""
        self._tallies.add(losses)

    def _has_room(self) -> bool:
        return (
            self._when_full != "wait"
            or self._end is not None
            or len(self._messages) < self.limit
        )

    def _let_in(self) -> None:
        """
        Tell those who wait for room. Of these the first may fill it again.
        """
        while self._waiting and self._has_room():
            self._waiting.pop(0).callback(None)

    def _cut_off(self, message: Message) -> None:
        self._tallies.lose(message.channel, cut=1)
        self._log.warn(
            "a mailbox is cut off: {limit} messages wait that nobody takes, and there "
            "was one more in {channel}",
            limit=self.limit,
            channel=message.channel,
        )
        self._finish(partial(MailboxFull, self.limit))

    def _finish(self, end: Callable[[], Exception]) -> None:
        if self._end is None:
            self._end = end
            taker, self._taker = self._taker, None
            if taker is not None:
                taker.errback(end())
            self._let_in()

    def _forget_taker(self, _: Deferred[Message]) -> None:
        self._taker = None
