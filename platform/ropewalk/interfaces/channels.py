# -*- test-case-name: tests.test_hub -*-
"""
What there is to know of channels: messages, presence, rules, figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from ropewalk.interfaces.callers import ANYONE, NOBODY, Access

__all__ = [
    "Attendance",
    "ChannelFigures",
    "ChannelRule",
    "HubFigures",
    "Losses",
    "Message",
    "Presence",
    "Resumed",
    "Since",
]


class Message(Struct, frozen=True):
    """
    Something published into a channel.

    :ivar channel: The channel's name.
    :ivar sequence: Its place in the channel: 1 for the first, without gaps, the
        same for every subscriber.
    :ivar at: When it was published, in seconds since the epoch (UTC).
    :ivar body: What was published. Treat it as unchangeable: all subscribers
        see the same object.
    :ivar epoch: Which numbering that is: another one begins when a hub has forgotten
        the channel, or is another hub.
    """

    channel: str
    sequence: int
    at: float
    body: Any
    epoch: str = ""

    @property
    def token(self) -> str:
        """
        What a subscriber that has lost its connection comes back with, to hear what
        came after this message: ASCII without blanks.
        """
        return f"{self.epoch}.{self.sequence}"


class Resumed(Struct, frozen=True):
    """
    How much of what a subscriber has missed it got.

    :ivar missed: How many messages.
    :ivar whole: Whether these are all. If not, the history does not reach back so far,
        or the numbering is another.
    """

    missed: int = 0
    whole: bool = True


class Since(Struct, frozen=True):
    """
    What came after a message.

    :ivar messages: What is kept of it, oldest first.
    :ivar whole: Whether that is all, as in :class:`Resumed`.
    """

    messages: Sequence[Message]
    whole: bool = True


class Presence(Struct, frozen=True):
    """
    Somebody who is in a channel.

    :ivar who: The name they came with.
    :ivar since: When they came, in seconds since the epoch (UTC).
    :ivar data: What they last said of themselves; ``None`` when they said nothing.
    """

    who: str
    since: float
    data: Any = None


class Attendance(Struct, frozen=True):
    """
    How many are in a channel.

    :ivar subscriptions: How many subscribers it has. Those who hear it by a pattern
        are not among them.
    :ivar people: How many are present under a name.
    """

    subscriptions: int = 0
    people: int = 0


class ChannelRule(Struct, frozen=True, kw_only=True):
    """
    What channels promise, and whom they let do what.

    A requirement is a text that the daemon's :class:`IAuthoriser` is asked about:
    ``"rooms.moderate"``.

    :ivar subscribe: What it takes to subscribe, and to see who is there and what was
        said: a requirement, ``ANYONE`` or ``NOBODY``.
    :ivar publish: What it takes to publish, likewise.
    :ivar shape: What the bodies of messages are, a type that
        :func:`ropewalk.schema.read` knows; ``None`` for anything.
    :ivar keep: How many messages the history has, 0 or more.
    :ivar keep_for: How many seconds a message stays in the history, more than 0;
        ``None`` for any time.
    :ivar keep_bytes: How large the bodies in the history may be together, in bytes of
        JSON, 0 or more. The oldest go first, and a message that is larger by itself is
        not kept. ``None`` for any size where only services publish, and for 1 MiB where
        callers may.
    :ivar retain: How many seconds the last message can be had apart from the history,
        more than 0; ``math.inf`` until the next one; ``None`` for no longer than the
        history has it.
    :ivar away: How many seconds somebody who is present may be without a subscription
        before they have left, 0 or more.
    :ivar limit: How many subscribers each channel may have, 1 or more; ``None`` for
        as many as the hub lets in anyway.
    :ivar channels: How many channels there may be by this rule, 1 or more. One more,
        and of those that nobody is in, the one where nothing has happened for longest
        is forgotten. ``None`` for as many as the hub has where only services come in,
        and for half of that where callers may.
    """

    subscribe: str | Access = ANYONE
    publish: str | Access = NOBODY
    shape: Any = None
    keep: int = 100
    keep_for: float | None = None
    keep_bytes: int | None = None
    retain: float | None = None
    away: float = 0.0
    limit: int | None = None
    channels: int | None = None


class Losses(Struct, eq=False):
    """
    What subscribers did not take.

    :ivar dropped: How many messages nobody can take any more.
    :ivar replaced: How many a later one has taken the place of.
    :ivar cut: How many subscribers were cut off.
    """

    dropped: int = 0
    replaced: int = 0
    cut: int = 0

    def lose(
        self, channel: str, *, dropped: int = 0, replaced: int = 0, cut: int = 0
    ) -> None:
        """
        Count more.

        :param channel: The channel of the message that was lost, or that was too much;
            empty where it was none.
        """
        self.dropped += dropped
        self.replaced += replaced
        self.cut += cut


class ChannelFigures(Struct, frozen=True):
    """
    A channel in numbers.

    :ivar subscribers: How many subscribe to it by its name.
    :ivar people: How many are present.
    :ivar published: How many messages were published into it.
    :ivar kept: How many are in its history.
    :ivar size: The bytes of these; ``None`` where nothing bounds them, and nobody
        counts.
    :ivar dropped: As in :class:`Losses`; so are the next two. Of a reader that was cut
        off, the channel counts whose message was too much for it, if there was one.
    """

    subscribers: int
    people: int
    published: int
    kept: int
    size: int | None
    dropped: int = 0
    replaced: int = 0
    cut: int = 0


class HubFigures(Struct, frozen=True):
    """
    What a hub has done in this process, in numbers.

    :ivar published: How many messages were published.
    :ivar delivered: How many times a subscriber has taken one.
    :ivar raised: How many times a subscriber raised instead of taking what it was told.
    :ivar dropped: As in :class:`Losses`; so are the next two.
    :ivar patterns: How many subscriptions by a pattern stand.
    :ivar size: The bytes of all histories, so far as somebody counts them.
    :ivar channels: The channels there are, by name.
    """

    published: int
    delivered: int
    raised: int
    dropped: int
    replaced: int
    cut: int
    patterns: int
    size: int
    channels: Mapping[str, ChannelFigures]
