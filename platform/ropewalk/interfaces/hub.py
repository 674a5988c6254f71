# -*- test-case-name: tests.hub_contract -*-
"""
The hub, and who subscribes to its channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Interface

from ropewalk.interfaces.callers import Caller
from ropewalk.interfaces.channels import (
    Attendance,
    ChannelRule,
    HubFigures,
    Losses,
    Message,
    Presence,
    Resumed,
    Since,
)

__all__ = ["IHub", "IPaced", "ISubscriber", "ITallied"]


class ISubscriber(Interface):
    """
    What a channel delivers to. Called in the reactor's thread; must not block.
    One that raises is logged and skipped: it harms nobody else.

    It may call the hub. What comes of that is told when everybody has been told
    what is being told now, so that all hear everything in one order.
    """

    def deliver(message: Message) -> None:
        """
        Take a message. Messages of one channel come in order of ``sequence``.
        """

    def joined(channel: str, presence: Presence) -> None:
        """
        Somebody new is in the channel (you, too: it is how you know you are).
        """

    def left(channel: str, presence: Presence) -> None:
        """
        Somebody is no longer in the channel.
        """


class IPaced(Interface):
    """
    A subscriber that a publisher can wait for.
    """

    def ready() -> Deferred[None] | None:
        """
        Whether there is room for one more message.

        :return: ``None`` when there is; otherwise a Deferred of its own for each
            call, which fires when there is, or will never be. It may be cancelled.
        """


class ITallied(Interface):
    """
    A subscriber that counts what it does not take.
    :class:`ropewalk.hub.tallies.Tallies` does the work.
    """

    def tally(losses: Losses) -> None:
        """
        Count there, too, from now on, by :meth:`Losses.lose`; once, however often it
        is said.
        """


class IHub(Interface):
    """
    The channels: what is published into one is delivered to everybody who is
    subscribed to it, in the same order.

    A channel's name is 1 to 255 characters: words with a dot between two, each of
    letters and digits of any script, ``-`` and ``_``. In a pattern, ``*`` stands for
    one word, and ``**`` at the end for one or more.

    What a service does itself needs no right, nor that the channel was declared. Who
    does it for somebody else says for whom with ``by``: then the rule of the channel
    says whether they may. Of the rules whose patterns match, the most specific one
    counts: word by word from the left, a word comes before ``*``, that before ``**``.
    Where there is none, no caller may do anything. While the authoriser makes up its
    mind nothing has happened yet.

    Where a Deferred is returned, it fails with :exc:`~ropewalk.errors.BadChannel` for
    what is no name, and with :exc:`~ropewalk.errors.Forbidden` for whom it is not
    allowed. To publish and to subscribe fails with :exc:`~ropewalk.errors.HubClosed`
    when the hub was closed, also while somebody was asked.
    """

    def declare(pattern: str, rule: ChannelRule, *, replace: bool = False) -> None:
        """
        Say what the channels promise whose names match a pattern. For those that are
        there already it counts from now on.

        :param pattern: ``"rooms.*"``, ``"rooms.**"`` or ``"rooms.lobby"``.
        :param replace: Whether the rule takes the place of the one that the pattern
            has, if it has one: for a service that is told other settings.
        :raise BadChannel: When it is no pattern.
        :raise BadChannelRule: When no channel can be like this, or the rule needs a
            clock and the hub was given none.
        :raise Conflict: When the pattern was declared before, and nothing is to be
            replaced.
        """

    def declared() -> Mapping[str, ChannelRule]:
        """
        The rules there are, by their patterns.
        """

    def subscribe(
        channel: str,
        subscriber: ISubscriber,
        who: str | None = None,
        after: str | None = None,
        *,
        data: Mapping[str, Any] | None = None,
        retained: bool = False,
        by: Caller | None = None,
    ) -> Deferred[Resumed]:
        """
        Deliver to a subscriber what is published from now on. Subscribing
        twice is subscribing once (the later ``who`` counts).

        :param channel: Its name; or a pattern, to hear whatever is told in all
            channels that match, now or later, and that the caller may subscribe to.
            Who is subscribed in more than one way hears everything once. A pattern has
            no ``who`` and no ``after``. A caller needs a rule whose pattern covers
            it: one that matches every name that it matches.
        :param who: The name to be present under, 1 to 255 characters; ``None`` only
            listens. Two subscribers may come with one name: it joins with the first
            and leaves with the last.
        :param after: The token of the last message that it has, from whatever
            subscription. What has come after that, and is kept, is delivered before
            anything else; if that is not all, or there is no such message, whatever
            is kept. Who is subscribed has missed nothing.
        :param data: What others are to see of ``who``, up to 1024 bytes of JSON. Of
            two subscribers with one name, what was said last counts. Others see it
            when they look; nobody is told of a change.
        :param retained: Deliver the last message first (see :meth:`last`), if there is
            one and ``after`` is ``None``.
        :param by: For whom.
        :return: fires when the subscription stands. To unsubscribe before that takes
            it back, and the Deferred is cancelled.
        :raise ChannelFull: When the channel has as many subscribers as it may.
        :raise HubFull: When there are as many channels as there may be, and somebody
            is in each that could make room: of the same rule, if it lets callers in.
            Or as many patterns, of which callers have half.
        :raise Invalid: When ``who`` or ``data`` is too large, or the data cannot be
            said in JSON.
        :raise TooManyBegun: When the channel would be one more than the caller may
            have begun, and somebody is in each of these; so for patterns.
        """

    def unsubscribe(channel: str, subscriber: ISubscriber) -> Deferred[None]:
        """
        Deliver nothing more. Does nothing for who is not subscribed.

        :param channel: The name or the pattern that it subscribed to.
        :return: fires when nothing more will be delivered.
        """

    def publish(
        channel: str,
        body: Any,
        keep: int | None = None,
        *,
        wait: bool = False,
        by: Caller | None = None,
    ) -> Deferred[Message]:
        """
        Publish into a channel. Messages come in the order of the calls, or, where
        somebody had to be asked, in the order in which they were allowed.

        :param body: Where the rule has a shape, a value of that, or the plain data
            that it is read from.
        :param keep: How many messages the channel keeps as its history, this
            one among them; 0 or more. ``None`` for what the rule says, or 100.
        :param wait: Wait until every subscriber that can be waited for
            (:class:`IPaced`) has room before it is published, and until all that it
            went to have room again, or are gone, after that. Who waits for one channel
            is let in one by one, in order. Cancelling takes back what is not yet
            published, and nothing else. When the hub is closed, who has published need
            wait no longer, and who has not is refused.
        :param by: For whom.
        :return: fires with the message, once every subscriber of this process
            has taken it.
        :raise HubFull: As for subscribing; so is TooManyBegun.
        :raise Invalid: With all that keeps the body from having its shape.
        """

    def history(
        channel: str, limit: int | None = None, *, by: Caller | None = None
    ) -> Deferred[Sequence[Message]]:
        """
        The last messages of a channel, oldest first.

        :param limit: How many at most, 0 or more; ``None`` for all that is kept.
        :param by: For whom.
        :return: fires with them.
        """

    def since(channel: str, after: str, *, by: Caller | None = None) -> Deferred[Since]:
        """
        What came after a message.

        :param after: Its token, as for :meth:`subscribe`.
        :param by: For whom.
        :return: fires with that.
        """

    def last(channel: str, *, by: Caller | None = None) -> Deferred[Message | None]:
        """
        The last message of a channel, as long as the rule retains it or the history
        has it.

        :param by: For whom.
        :return: fires with it, or with ``None``.
        """

    def token(channel: str, *, by: Caller | None = None) -> Deferred[str]:
        """
        What to come back with, to hear whatever is published from now on: the token of
        the last message, or one for the time before the first.

        :param by: For whom.
        :return: fires with it.
        """

    def present(
        channel: str, *, by: Caller | None = None
    ) -> Deferred[Sequence[Presence]]:
        """
        Who is in a channel.

        :param by: For whom.
        :return: fires with them, in the order in which they came.
        """

    def count(channel: str, *, by: Caller | None = None) -> Deferred[Attendance]:
        """
        How many are in a channel.

        :param by: For whom.
        :return: fires with that.
        """

    def figures() -> HubFigures:
        """
        What has been done in this process so far, and the channels it knows of.
        """

    def close() -> Deferred[None]:
        """
        Have nothing wait in the clock, nor for others, any more: from now on nothing
        becomes too old, and nobody who is away leaves; nobody comes in, and nothing is
        published. One can still look, and go. The daemon does this when all services
        have stopped.

        :return: fires when that is so.
        """
