# -*- test-case-name: tests.test_channels_web -*-
"""
What strangers are told of what happens in channels: the same on every protocol.
"""

from __future__ import annotations

from typing import Any

from ropewalk.interfaces import Message, Presence
from ropewalk.schema import Shape

__all__ = ["Present", "Said", "present", "said"]


class Said(Shape):
    """
    A message, as it is told to strangers.

    :ivar channel: The channel's name.
    :ivar sequence: Its place in the channel; 1 for the first.
    :ivar at: When it was published, in seconds since the epoch (UTC).
    :ivar token: What to come back with, to hear what came after it.
    :ivar body: What was published.
    """

    channel: str
    sequence: int
    at: float
    token: str
    body: Any


class Present(Shape):
    """
    Somebody in a channel, as they are told to strangers.

    :ivar who: The name they came with.
    :ivar since: When they came, in seconds since the epoch (UTC).
    :ivar data: What they last said of themselves.
    """

    who: str
    since: float
    data: Any = None


def said(message: Message) -> Said:
    """Tell a message."""
    return Said(
        message.channel, message.sequence, message.at, message.token, message.body
    )


def present(presence: Presence) -> Present:
    """Tell of somebody."""
    return Present(presence.who, presence.since, presence.data)
