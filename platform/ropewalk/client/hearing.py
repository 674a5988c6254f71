# -*- test-case-name: tests.test_client -*-
"""
A channel to be heard with ``async for``.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from ropewalk.client.calls import Refused
from ropewalk.client.records import Said
from ropewalk.client.subscriptions import Subscription
from ropewalk.hub import Mailbox

__all__ = ["Hearing"]


class Hearing:
    """
    The messages of a channel, for ``async for said in hearing``, or one by one.
    :meth:`Client.hear` makes one.

    Who takes them more slowly than they come, so that more wait than may, has those
    that wait and then is told so by :exc:`~ropewalk.errors.MailboxFull`. It can hear
    the channel again after :attr:`token`, and has missed nothing.

    :param limit: How many may wait.
    :ivar token: The token of the last message that was taken; before that, the one that
        it was to begin after. ``None`` for a pattern.
    """

    def __init__(self, limit: int) -> None:
        self.token: str | None = None
        self._box = Mailbox(limit)
        self._subscription: Subscription | None = None
        self._refused: Refused | None = None

    def begin(self, subscription: Subscription) -> None:
        """Say what is heard."""
        self._subscription = subscription
        self.token = subscription.token

    def take(self) -> Deferred[Said]:
        """
        Take the next message.

        :return: fires with it, when there is one. Cancelling it before takes nothing.
        :raise Refused: When one may not subscribe.
        :raise MailboxFull: When more came than may wait.
        :raise StopAsyncIteration: After :meth:`end`.
        :raise RuntimeError: When somebody takes already.
        """
        taken: Deferred[Any] = self._box.take()
        return taken.addCallbacks(self._taken, self._ended)

    def end(self) -> None:
        """Hear no more. What waits can still be taken."""
        self._box.close()
        if self._subscription is not None:
            self._subscription.end()

    def __aiter__(self) -> Hearing:
        return self

    def __anext__(self) -> Deferred[Said]:
        return self.take()

    # What the subscription calls.

    def put(self, said: Any) -> None:
        """A message was heard."""
        self._box.deliver(said)
        if self._box.cut and self._subscription is not None:
            self._subscription.end()

    def refuse(self, error: Refused) -> None:
        """One may not subscribe."""
        self._refused = error
        self._box.close()

    def _taken(self, said: Said) -> Said:
        if self._subscription is not None and not self._subscription.is_pattern:
            self.token = said.token
        return said

    def _ended(self, failure: Any) -> Any:
        if self._refused is not None and failure.check(StopAsyncIteration):
            raise self._refused
        return failure
