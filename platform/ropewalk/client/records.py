# -*- test-case-name: tests.test_client -*-
"""
What a daemon tells, as records. What a newer one tells besides is passed over.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

__all__ = ["Misunderstood", "People", "Present", "Said", "read"]

T = TypeVar("T")


class Misunderstood(Exception):
    """What a daemon has said is nothing that one would say."""


class Said(Struct, frozen=True):
    """
    A message.

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


class Present(Struct, frozen=True):
    """
    Somebody in a channel.

    :ivar who: The name they came with.
    :ivar since: When they came, in seconds since the epoch (UTC).
    :ivar data: What they last said of themselves.
    """

    who: str
    since: float
    data: Any = None


class People(Struct, frozen=True):
    """
    Who is in a channel.

    :ivar people: Those with a name, in the order in which they came.
    :ivar subscriptions: How many hear it, with a name and without.
    """

    people: list[Present]
    subscriptions: int


def read(shape: type[T], told: Any) -> T:
    """
    Make a record of what was told.

    :raise Misunderstood: When it is none.
    """
    try:
        return msgspec.convert(told, shape)
    except msgspec.ValidationError as error:
        raise Misunderstood(f"expected {shape}: {error}") from error
