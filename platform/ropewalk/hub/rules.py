# -*- test-case-name: tests.test_hub -*-
"""
What is declared of channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin, is_typeddict

from attrs import define, field
from msgspec import Struct, structs

from ropewalk.errors import BadChannelRule, Conflict
from ropewalk.hub.names import ChannelPattern
from ropewalk.hub.shares import Bounds
from ropewalk.hub.sizes import size_in_json
from ropewalk.hub.tree import PatternTree
from ropewalk.interfaces import NOBODY, Access, ChannelRule
from ropewalk.schema import check, read

__all__ = ["UNDECLARED", "Declared", "Rules"]

#: Bytes that a channel keeps of what callers publish, unless its rule says.
_MOST_OF_CALLERS = 1024 * 1024

#: What JSON can say itself: to be of such a class is not to have the shape.
_PLAIN = (bool, int, float, str, bytes, list, tuple, dict, set, frozenset, object)


class Declared(Struct, frozen=True, eq=False):
    """
    A rule, and of what.

    :ivar pattern: Which channels; ``None`` for all of which nothing is declared.
    :ivar place: Where it is declared: ``file:line``.
    :ivar kinds: The classes whose instances have the shape as they are.
    :ivar looks: Whether it matters what is published: what shape or size it has.
    :ivar expires: Whether messages become too old.
    """

    pattern: ChannelPattern | None
    rule: ChannelRule
    place: str = ""
    kinds: tuple[type, ...] = ()
    looks: bool = False
    expires: bool = False

    @classmethod
    def of(cls, pattern: ChannelPattern, rule: ChannelRule, place: str) -> Declared:
        """What it comes to that a rule is declared."""
        looks = rule.shape is not None or rule.keep_bytes is not None
        expires = rule.keep_for is not None or rule.retain not in (None, math.inf)
        return cls(pattern, rule, place, _kinds(rule.shape), looks, expires)

    @property
    def is_open(self) -> bool:
        """Whether callers can come into the channels, so that they can begin some."""
        return {self.rule.subscribe, self.rule.publish} != {NOBODY}

    def most(self, bounds: Bounds) -> int:
        """How many channels there may be by the rule."""
        if self.rule.channels is not None:
            return self.rule.channels
        return bounds.open if self.is_open else bounds.channels

    def read(self, body: Any) -> Any:
        """
        The body of a message in its shape.

        :raise Invalid: When it does not have it.
        """
        if self.rule.shape is None or isinstance(body, self.kinds):
            return body
        return read(self.rule.shape, body)

    def size(self, body: Any) -> int:
        """
        The bytes of a body in JSON, if the channel counts them, otherwise 0.

        :raise Invalid: When JSON cannot say it.
        """
        return 0 if self.rule.keep_bytes is None else size_in_json(body)


#: What holds where nothing is declared.
UNDECLARED = Declared(None, ChannelRule(subscribe=NOBODY, publish=NOBODY))


@define(eq=False)
class Rules:
    """
    All that is declared.

    :param timed: Whether there is a clock.
    """

    _timed: bool
    _declared: PatternTree[Declared] = field(factory=PatternTree, init=False)

    def declare(
        self, pattern: str, rule: ChannelRule, place: str, replace: bool = False
    ) -> None:
        """
        See :meth:`ropewalk.interfaces.IHub.declare`.

        :param place: Where it is declared.
        """
        parsed = ChannelPattern.of(pattern)
        if problem := _problem(rule, self._timed):
            raise BadChannelRule(pattern, place, problem)
        known = self._declared.get(parsed)
        if known is not None and not replace:
            raise Conflict(f"the channels {pattern!r}", known.place, place)
        if rule.keep_bytes is None and rule.publish is not NOBODY:
            rule = structs.replace(rule, keep_bytes=_MOST_OF_CALLERS)
        self._declared[parsed] = Declared.of(parsed, rule, place)

    def declared(self) -> dict[str, ChannelRule]:
        """The rules there are, by their patterns."""
        return {str(pattern): each.rule for pattern, each in self._patterns()}

    def of(self, channel: str) -> Declared:
        """What holds for a channel."""
        for _, declared in self._declared.matching(channel):
            return declared
        return UNDECLARED

    def covering(self, pattern: ChannelPattern) -> Declared | None:
        """The most specific rule for all that a pattern matches, if there is one."""
        found = [each for each in self._patterns() if each[0].covers(pattern)]
        return min(found, key=lambda each: each[0].rank)[1] if found else None

    def meeting(self, pattern: ChannelPattern) -> list[Declared]:
        """The rules for some of what a pattern matches."""
        return [rule for each, rule in self._patterns() if each.meets(pattern)]

    def _patterns(self) -> Iterator[tuple[ChannelPattern, Declared]]:
        return self._declared.items()


def _problem(rule: Any, timed: bool) -> str:
    """
    What is wrong with a rule; empty when nothing is.
    """
    if not isinstance(rule, ChannelRule):
        return f"{rule!r} is no ChannelRule"
    for name, (expected, allows) in _ALLOWED.items():
        value = getattr(rule, name)
        if not allows(value):
            return f"{name} is {value!r}; expected {expected}"
    for name in ("keep_for", "retain", "away"):
        value = getattr(rule, name)
        if value and not math.isinf(value) and not timed:
            return f"{name} takes time, and the hub has no clock: MemoryHub(…, clock=…)"
    try:
        if rule.shape is not None:
            check(rule.shape)
    except TypeError as error:
        return f"shape: {error}"
    return ""


def _is_count(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and value >= 0 and math.isfinite(value)


def _needs(value: Any) -> bool:
    return isinstance(value, Access) or (isinstance(value, str) and bool(value))


_REQUIREMENT = "a requirement such as 'rooms.moderate', ANYONE or NOBODY", _needs

#: What each part of a rule may be, in words, and whether something is that.
_ALLOWED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "subscribe": _REQUIREMENT,
    "publish": _REQUIREMENT,
    "keep": ("0 messages or more", lambda value: _is_count(value, 0)),
    "keep_for": (
        "seconds, more than 0, or None",
        lambda value: value is None or (_is_time(value) and value > 0),
    ),
    "keep_bytes": (
        "0 bytes or more, or None",
        lambda value: value is None or _is_count(value, 0),
    ),
    "retain": (
        "seconds, more than 0, math.inf or None",
        lambda value: value in (None, math.inf) or (_is_time(value) and value > 0),
    ),
    "away": ("seconds, 0 or more", _is_time),
    "channels": (
        "1 channel or more, or None",
        lambda value: value is None or _is_count(value, 1),
    ),
    "limit": (
        "1 subscriber or more, or None",
        lambda value: value is None or _is_count(value, 1),
    ),
}


def _kinds(shape: Any) -> tuple[type, ...]:
    """
    The classes whose instances have a shape without being looked at.
    """
    is_union = get_origin(shape) in (Union, UnionType) or isinstance(shape, UnionType)
    return tuple(
        part
        for part in (get_args(shape) if is_union else (shape,))
        if isinstance(part, type) and part not in _PLAIN and not is_typeddict(part)
    )
