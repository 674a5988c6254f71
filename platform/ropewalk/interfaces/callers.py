# -*- test-case-name: tests.test_operations -*-
"""
Who asks for something, what it takes, and who says whether they may.
"""

from __future__ import annotations

from collections.abc import Awaitable
from enum import Enum
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

from msgspec import Struct
from zope.interface import Interface

__all__ = ["ANYONE", "NOBODY", "Access", "Caller", "IAuthoriser"]


class Caller(Struct, frozen=True):
    """
    Who asks for something, so far as is known.

    :ivar via: By what they came: ``"http"``, ``"websocket"``, ``"lines"`` …
    :ivar address: Where they come from, for people and for counting: an IP address, or
        what else tells one peer from another; empty when there is none.
    :ivar connection: The connection's name: ``"c17"``; empty for who has none.
    :ivar user: The account's name; ``None`` for who has not said who they are.
    """

    via: str
    address: str = ""
    connection: str = ""
    user: str | None = None

    @property
    def counts_as(self) -> tuple[str, str]:
        """
        Who it is where callers are counted. A user is one wherever they come from; who
        has not said who they are is told apart by their address, and of an IPv6 address
        by its first 64 bits, since that is how many a single household has.
        """
        if self.user is not None:
            return "user", self.user
        if ":" in self.address:
            return "address", _network(self.address)
        if self.address:
            return "address", self.address
        return self.via, self.connection


@lru_cache(1024)
def _network(address: str) -> str:
    """The first 64 bits of an IPv6 address; whatever else has a colon, as it is."""
    try:
        found = IPv6Address(address)
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return found.packed[:8].hex()


class Access(Enum):
    """
    What a caller needs where it is no matter of requirements.
    """

    ANYONE = "anyone"
    NOBODY = "nobody"


#: Every caller may.
ANYONE: Final = Access.ANYONE

#: No caller may: only services do it.
NOBODY: Final = Access.NOBODY


class IAuthoriser(Interface):
    """
    Says who may do what. Operations and channels ask the same one.
    """

    def permits(caller: Caller, requirement: str, what: str) -> bool | Awaitable[bool]:
        """
        :param requirement: What it takes, in the words of whoever declared it:
            ``"rooms.moderate"``.
        :param what: For what: an operation's or a channel's name, or the pattern of
            many channels, for all of which the answer is.
        :return: whether they may, or something that can be awaited and gives that.
        """
