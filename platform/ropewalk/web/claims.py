# -*- test-case-name: tests.test_sites -*-
"""
Who answers where two want to.

It is settled when the daemon starts, and never by chance: who says ``override=True``
comes before who does not. Where that settles nothing, nobody starts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ropewalk.errors import Conflict
from ropewalk.web.routes import Routes
from ropewalk.web.table import Entry, clashes, extent

__all__ = ["Claim", "settle"]

#: What is left of an entry whose methods all are somebody else's.
_NOTHING: frozenset[str] = frozenset()


class Claim(Struct, frozen=True, eq=False):
    """
    An entry that somebody wants to be in a table.

    :ivar entry: The entry. Its target knows its ``plugin`` and ``place``, and in
        ``options`` what else was said of it.
    :ivar turn: The place of its mount among all: of two who want the same, the later
        one is told.
    :ivar depth: How many segments the path of the mount has.
    :ivar gives_way: Whether it leaves to anybody else what they want.
    """

    entry: Entry[Any]
    turn: int = 0
    depth: int = 0
    gives_way: bool = False

    @property
    def rank(self) -> int:
        """Who has the higher one answers."""
        if self.entry.target.options.override:
            return 2
        return 0 if self.gives_way else 1

    @property
    def bare(self) -> bool:
        """Whether it is meant for a path alone, without a slash."""
        bare: bool = self.entry.target.options.bare
        return bare

    @property
    def kind(self) -> str:
        """What its target is: ``"route"``, ``"resource"``, ``"absent"`` …"""
        kind: str = self.entry.target.kind
        return kind

    @property
    def area(self) -> Any:
        """The application that it is of, at its place; ``None`` for a resource's."""
        return getattr(self.entry.target, "area", None)


def settle(claims: Sequence[Claim]) -> list[Entry[Any]]:
    """
    Entries of which none is in another's way. Who is overridden keeps the methods that
    are left.

    :raise Conflict: When two want the same, and nobody said who has it. Its
        ``service`` is the one who came later.
    """
    # Where there is no route, a resource comes before an application that says so.
    ordered = sorted(
        _uncovered(claims),
        key=lambda each: (each.kind == "absent", -each.rank, not each.bare),
    )
    settled = list(_narrowed(ordered))
    _check_routes(settled)
    _check_resources(settled)
    return [each.entry for each in settled]


def _uncovered(claims: Sequence[Claim]) -> Sequence[Claim]:
    """
    Without what is covered by a resource that overrides: as it answers for all that is
    below its path, it leaves nothing to who is mounted there, or above.
    """
    covers = [each for each in claims if _is_resource(each) and each.rank == 2]
    if not covers:
        return claims
    return [
        each for each in claims if not any(_covers(cover, each) for cover in covers)
    ]


def _covers(cover: Claim, claim: Claim) -> bool:
    if claim.rank == 2 or claim.entry.target.plugin == cover.entry.target.plugin:
        return False
    host, path = extent(cover.entry)
    own_host, own_path = extent(claim.entry)
    return (
        host == own_host
        and path == own_path[: len(path)]
        and claim.depth <= len(path) - 1
    )


def _narrowed(claims: Sequence[Claim]) -> Iterator[Claim]:
    """The claims with those methods that nobody takes who may."""
    by_entry = {each.entry: each for each in claims}
    left = {entry: entry.methods for entry in by_entry}
    for pair in clashes(by_entry):
        beaten = _beaten(by_entry[pair[0]], by_entry[pair[1]])
        if beaten is None:
            continue
        loser, taken = beaten.entry, (pair[0] if beaten.entry is pair[1] else pair[1])
        methods = left[loser]
        if taken.methods is None:
            left[loser] = _NOTHING
        elif methods is not None:
            left[loser] = methods - taken.methods
    for entry, methods in left.items():
        if methods == entry.methods:
            yield by_entry[entry]
        elif methods != _NOTHING:
            yield replace(by_entry[entry], entry=replace(entry, methods=methods))


def _beaten(one: Claim, other: Claim) -> Claim | None:
    """Which of two has to leave what both want, if it can be told."""
    if one.rank != other.rank:
        return min(one, other, key=lambda each: each.rank)
    if one.area is not None and one.area is other.area and one.bare != other.bare:
        return other if one.bare else one
    return None


def _check_routes(claims: Sequence[Claim]) -> None:
    by_entry = {each.entry: each for each in claims}
    for first, second, methods in clashes(by_entry):
        one, other = by_entry[first], by_entry[second]
        if _beaten(one, other) is None and not _are_one(one, other):
            words = [", ".join(sorted(methods)), _written(first)]
            raise _conflict(f"the route {' '.join(words).strip()!r}", one, other)


def _are_one(one: Claim, other: Claim) -> bool:
    """
    Whether two claims are the same thing said twice; or of one ``klein.Klein``, where
    the first has always been found.
    """
    first, second = one.entry.target, other.entry.target
    if first is second:
        return True
    if one.area is None or one.area is not other.area:
        return False
    return not isinstance(one.area.app, Routes) or first.handler is second.handler


def _check_resources(claims: Sequence[Claim]) -> None:
    alike: defaultdict[object, list[Claim]] = defaultdict(list)
    for each in filter(_is_resource, claims):
        host, path = extent(each.entry)
        alike[tuple(host), tuple(path)].append(each)
    for group in alike.values():
        for one, other in combinations(group, 2):
            if one.rank == other.rank:
                raise _conflict(f"the path {_written(one.entry)!r}", one, other)
    for route in claims:
        for resource in alike.get(_spot(route), ()):
            if not route.entry.guard and _are_strangers(route, resource):
                raise _conflict(f"the path {_written(route.entry)!r}", route, resource)


def _spot(claim: Claim) -> object:
    """The very path of a route, as that of a resource is written."""
    host, path = extent(claim.entry)
    return tuple(host), tuple(path[:-1] if path[-1] == "" else path)


def _are_strangers(one: Claim, other: Claim) -> bool:
    """Whether two services want one thing, and neither gives way."""
    return (
        one.rank == other.rank and one.entry.target.plugin != other.entry.target.plugin
    )


def _is_resource(claim: Claim) -> bool:
    return claim.entry.guard and claim.kind == "resource"


def _written(entry: Entry[Any]) -> str:
    host = "" if entry.host is None else entry.host.rule
    return host + entry.pattern.rule


def _conflict(thing: str, *claims: Claim) -> Conflict:
    both = [each.entry.target for each in sorted(claims, key=lambda each: each.turn)]
    conflict = Conflict(
        thing, *(f"service {each.plugin!r} ({each.place})" for each in both)
    )
    conflict.service = both[1].plugin
    return conflict
