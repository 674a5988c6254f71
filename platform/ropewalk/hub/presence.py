# -*- test-case-name: tests.test_hub -*-
"""
Who is in a channel, and who is away for a moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import Any, Final

from attrs import define, field
from msgspec import Struct
from msgspec.structs import replace

from ropewalk.errors import Fault, Invalid
from ropewalk.hub.sizes import size_in_json
from ropewalk.interfaces import Presence
from ropewalk.schema import to_plain

__all__ = ["Introduction", "People", "introduce"]

#: How many characters a name may have, and how many bytes of JSON what is said of it.
_LONGEST: Final = 255
_LARGEST: Final = 1024


class Introduction(Struct, frozen=True):
    """
    How a subscriber presents itself.

    :ivar who: Its name; ``None`` for who only listens.
    :ivar data: What it says of itself, or ``None``.
    """

    who: str | None = None
    data: Any = None


def introduce(who: str | None, data: Any) -> Introduction:
    """
    Look at how somebody presents themselves. Of the data, a copy is made.

    :raise Invalid: When it is not to be shown to others: it is too large, or cannot be
        said in JSON.
    """
    if who is not None and not 1 <= len(who) <= _LONGEST:
        problem = f"expected 1 to {_LONGEST} characters, got {len(who)}"
        raise Invalid((Fault("who", problem),))
    if data is None:
        return Introduction(who)
    if who is None:
        raise Invalid((Fault("data", "say who it is about: there is no name"),))
    if not isinstance(data, Mapping):
        raise Invalid(
            (Fault("data", "expected an object, with a value for each name"),)
        )
    size = size_in_json(data, "data")
    if size > _LARGEST:
        problem = f"expected up to {_LARGEST} bytes of JSON, got {size}"
        raise Invalid((Fault("data", problem),))
    return Introduction(who, to_plain(data))


class _Person(Struct, eq=False):
    """
    Somebody who is present.

    :ivar count: How many subscriptions stand under the name; none while away.
    """

    presence: Presence
    count: int = 1


@define(eq=False)
class People:
    """
    Those who are present in a channel, in the order in which they came.
    """

    _people: dict[str, _Person] = field(factory=dict, init=False)

    #: Until when those are waited for who are away; who went first comes first.
    _away: dict[str, float] = field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._people)

    def __iter__(self) -> Iterator[Presence]:
        return iter([person.presence for person in self._people.values()])

    def come(self, introduction: Introduction, at: float) -> Presence | None:
        """
        A subscription stands under a name.

        :param at: The time, for people.
        :return: who is new; ``None`` when they were present already.
        """
        who, data = introduction.who, introduction.data
        if who is None:
            return None
        known = self._people.get(who)
        if known is None:
            presence = Presence(who, at, data)
            self._people[who] = _Person(presence)
            return presence
        self._away.pop(who, None)
        known.count += 1
        self.say(introduction)
        return None

    def say(self, introduction: Introduction) -> None:
        """
        Note what somebody says of themselves who is present.
        """
        if introduction.data is not None and introduction.who is not None:
            known = self._people[introduction.who]
            known.presence = replace(known.presence, data=introduction.data)

    def go(self, who: str | None, until: float | None) -> Presence | None:
        """
        A subscription does not stand under a name any more.

        :param until: How long to wait for the next one; ``None`` for not at all.
        :return: who has left with it.
        """
        if who is None:
            return None
        person = self._people[who]
        person.count -= 1
        if person.count:
            return None
        if until is None:
            return self._people.pop(who).presence
        self._away[who] = until
        return None

    def is_away(self, who: str) -> bool:
        """Whether somebody is waited for."""
        return who in self._away

    def leave(self, who: str) -> Presence:
        """
        Wait no longer for somebody who is away.

        :return: them.
        """
        del self._away[who]
        return self._people.pop(who).presence

    def expire(self, now: float) -> list[Presence]:
        """
        Wait no longer for whom it was waited long enough for.

        :return: them.
        """
        gone: list[Presence] = []
        while self._away:
            who, until = next(iter(self._away.items()))
            if until > now:
                break
            gone.append(self.leave(who))
        return gone

    def due(self) -> float:
        """
        Until when somebody is waited for; infinity when nobody is away.
        """
        return next(iter(self._away.values()), inf)

    def wait_no_longer_than(self, until: float) -> None:
        """
        Wait for nobody who is away for longer than that.
        """
        for who, before in self._away.items():
            self._away[who] = min(before, until)
