"""
Operations that end in every way, for tests of whatever offers them.
"""

from __future__ import annotations

from typing import Annotated, Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import RopewalkError
from ropewalk.interfaces import Caller, IAuthoriser, Steps
from ropewalk.operations import Progress, operation
from ropewalk.schema import Meta, Shape

__all__ = ["Callables", "Closed", "Guest", "Knock"]


class Guest(Shape):
    """
    Who comes.

    :ivar name: What they are called.
    """

    name: Annotated[str, Meta(min_length=1, max_length=40)]
    age: Annotated[int, Meta(ge=0)] = 0


class Closed(RopewalkError):
    """The house is closed."""

    status = 409

    def __str__(self) -> str:
        return "the house is closed"


class Callables:
    """
    :ivar waiting: What those that wait wait for.
    :ivar cancelled: How many of these were cancelled.
    :ivar callers: Who has asked who they are.
    """

    def __init__(self) -> None:
        self.waiting: list[Deferred[Any]] = []
        self.cancelled = 0
        self.callers: list[Caller] = []

    @operation(timeout=5, requires="house.enter")
    @inlineCallbacks
    def enter(self, guest: Guest, doors: list[int] = []) -> Steps[str]:  # noqa: B006
        """
        Come in, through some doors.

        :param guest: Who comes.
        :param doors: By which doors.
        """
        yield None
        return f"{guest.name} by {doors}"

    @operation
    def echo(self, text: str) -> str:
        """Say it again."""
        return text

    @operation(requires="house.burn")
    def burn(self) -> None:
        """Nobody may."""

    @operation(rate="2/m")
    def knock(self, caller: Caller) -> None:
        """Knock at the door."""
        self.callers.append(caller)

    @operation(timeout=5)
    async def wait(self) -> str:
        """Wait until somebody comes."""
        return str(await self.wait_here())

    @operation
    def close(self) -> None:
        """The house is closed."""
        raise Closed

    @operation
    def fall(self) -> None:
        """Fall down."""
        raise ZeroDivisionError("the secret is 5")

    @operation
    def odd(self) -> Any:
        """Return what cannot be said."""
        return {object()}

    @operation(timeout=None)
    @inlineCallbacks
    def climb(self, stairs: int, progress: Progress) -> Steps[int]:
        """Climb stairs, one by one."""
        for stair in range(1, stairs + 1):
            progress({"stair": stair})
            yield self.wait_here()
        return stairs

    @operation
    def slip(self, progress: Progress) -> None:
        """Tell what cannot be said."""
        progress(object())

    def wait_here(self) -> Deferred[Any]:
        """Something to wait for."""

        def cancel(_: object) -> None:
            self.cancelled += 1

        self.waiting.append(Deferred(cancel))
        return self.waiting[-1]

    def come(self, who: Any = "Ada") -> None:
        """Let the one who has waited longest go on."""
        self.waiting.pop(0).callback(who)


@implementer(IAuthoriser)
class Knock:
    """Whoever may enter may do nothing else."""

    def permits(self, caller: Caller, requirement: str, what: str) -> bool:
        return requirement == "house.enter"
