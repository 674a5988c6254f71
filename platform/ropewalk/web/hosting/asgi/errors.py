# -*- test-case-name: tests.test_asgi -*-
"""
What goes wrong between an ASGI application and us.
"""

from __future__ import annotations

from attrs import define

from ropewalk.errors import RopewalkError

__all__ = ["BadEvent", "ClientLeft", "LifespanFailed", "NoAnswer", "left"]


class ClientLeft(OSError):
    """
    Something was sent to a client that has left: what ASGI wants to be an ``OSError``.
    """

    def __init__(self) -> None:
        super().__init__("the client has left: nobody hears what is sent")


@define
class BadEvent(RopewalkError):
    """
    An application sent what ASGI does not let it send.

    :ivar app: The application: ``"api:app"``.
    :ivar event: The type of what was sent.
    :ivar problem: What is wrong with it.
    """

    app: str
    event: str
    problem: str

    def __str__(self) -> str:
        return f"{self.app} sent {self.event!r}: {self.problem}"


@define
class NoAnswer(RopewalkError):
    """
    An application returned before its answer was whole.

    :ivar app: The application.
    :ivar missing: What it did not send.
    """

    app: str
    missing: str

    def __str__(self) -> str:
        return f"{self.app} returned without having sent {self.missing}"


@define
class LifespanFailed(RopewalkError):
    """
    An application did not start, or did not stop.

    :ivar app: The application.
    :ivar problem: Why, as it says itself if it does.
    """

    status = 503

    app: str
    problem: str

    def __str__(self) -> str:
        return f"{self.app}: {self.problem}"


def left(error: BaseException | None) -> bool:
    """Whether an error comes of it that the client has left."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, ClientLeft):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False
