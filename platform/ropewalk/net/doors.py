# -*- test-case-name: tests.test_datagrams -*-
"""
Where people come in, whatever they come by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred

__all__ = ["Door"]


class Door(Protocol):
    """
    What a :class:`~ropewalk.net.listening.Listener` is, and one for datagrams.

    :ivar description: An endpoint string.
    :ivar owner: The service whose peers come there.
    :ivar running: Whether its service has started.
    """

    description: str
    owner: str
    running: Any

    @property
    def address(self) -> Any:
        """Where it is, an ``IAddress``; ``None`` while it is closed."""

    @property
    def place(self) -> str:
        """Where it is, for people."""

    @property
    def connections(self) -> Sequence[Any]:
        """Who has come and not gone, oldest first; each has a name for people."""

    @property
    def serves(self) -> Any:
        """What hears them, as it was given."""

    def open(self) -> Deferred[Any]:
        """Let people in."""

    def drain(self, reason: str) -> Deferred[None]:
        """Let nobody in any more, and say goodbye to those who are."""

    def abort(self) -> None:
        """End all that is left at once."""
