# -*- test-case-name: tests.test_links -*-
"""
From what answers back to where it is: links to handlers, by name and by model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from inspect import unwrap
from types import MethodType
from typing import Any

from ropewalk.schema import nearest
from ropewalk.schema.signatures import name_of
from ropewalk.web.patterns import BadLink, Slot
from ropewalk.web.routes import OF_APP, Routes
from ropewalk.web.serving import Area, Endpoint
from ropewalk.web.table import Entry, Table

__all__ = ["Links"]


class Links:
    """
    The links into a table.

    :param table: What is served.
    """

    def __init__(self, table: Table[Any]) -> None:
        self._table = table
        self._known: defaultdict[Any, list[Entry[Any]]] = defaultdict(list)
        self._entries: dict[int, Entry[Any]] = {}
        for entry in table.entries:
            self._entries.setdefault(id(entry.target), entry)
            for key in dict.fromkeys(_keys(entry)):
                self._known[key].append(entry)

    def to(
        self,
        target: Any,
        args: Mapping[str, Any],
        view: str = "",
        near: Any = None,
        given: Mapping[str, Any] | None = None,
    ) -> tuple[str, str | None]:
        """
        Where something answers.

        :param target: A handler, as a function or a method; a name, ``"show"``, or
            with its service or its routes, ``"products.show"``; a class or an object
            that answers; or a model.
        :param view: Which view on a model.
        :param args: What is in the path, and what is to be in the query.
        :param near: What answers where the link will stand: of routes that are
            mounted twice, those are meant that are nearest.
        :param given: The arguments there. What both paths begin with need not be said
            again.
        :return: the path, percent-encoded, perhaps with a query; and the host,
            ``None`` if any will do.
        :raise BadLink: When there is no link.
        """
        here = self._entries.get(id(near))
        candidates: list[tuple[Entry[Any], dict[str, Any]]] = []
        for entry in _nearest(_own(self._find(target, view), target), near):
            shared = _shared_args(entry, here, given or {})
            candidates.append((entry, {**shared, **_own_args(entry, target), **args}))
        refused: BadLink | None = None
        for entry, full in sorted(candidates, key=_fitting):
            try:
                return self._table.build(entry, full), self._table.host_of(entry, full)
            except BadLink as error:
                refused = refused or error
        assert refused is not None
        raise refused

    def _find(self, target: Any, view: str) -> Sequence[Entry[Any]]:
        """What a link may lead to: one entry or more."""
        for key in _asked(target):
            entries = self._known.get(key)
            if entries and view:
                problem = f"it has no view {view!r}: say its arguments by name"
                raise BadLink(_said(target), problem)
            if entries:
                return entries
        for kind in _kinds(target):
            entries = [
                each for each in self._known.get(kind, ()) if _view_of(each) == view
            ]
            if entries:
                return entries
        raise BadLink(_said(target), self._unknown(target, view))

    def _unknown(self, target: Any, view: str) -> str:
        """Why there is no link to something."""
        views = [
            _view_of(each) for kind in _kinds(target) for each in self._known[kind]
        ]
        if views:
            meant = nearest(view, views)
            hint = f"; did you mean {meant!r}?" if meant else ""
            return f"there is no view {view!r} on it{hint}"
        names = [key for key in self._known if isinstance(key, str)]
        meant = nearest(target, names) if isinstance(target, str) else None
        hint = f"; did you mean {meant!r}?" if meant else ""
        return f"nothing that is served is known as this{hint}"


# What is known by which key: by the identities of functions and objects, of which
# not all have a hash; by classes; by names.


def _keys(entry: Entry[Any]) -> Iterator[Any]:
    """What a link may call an entry."""
    endpoint = entry.target
    if entry.guard or not isinstance(endpoint, Endpoint):
        return
    yield from _asked(endpoint.handler)
    for each in endpoint.options.known_as:
        yield each if isinstance(each, (type, str)) else id(each)
    yield endpoint.name
    yield f"{endpoint.plugin}.{endpoint.name}"
    app = None if endpoint.area is None else endpoint.area.app
    if isinstance(app, Routes) and app._more.name:
        yield f"{app._more.name}.{endpoint.name}"


def _asked(target: Any) -> Iterator[Any]:
    """What something that answers may be known as."""
    if isinstance(target, str):
        yield target
        return
    yield id(target)
    if isinstance(target, MethodType):
        # The function that was registered is one of a class, if not of the nearest.
        for kind in type(target.__self__).__mro__:
            if target.__name__ in vars(kind):
                yield id(_function(vars(kind)[target.__name__]))
        yield id(_function(target.__func__))
    elif callable(target):
        yield id(_function(target))


def _function(member: Any) -> Any:
    """What decorators were put around."""
    return unwrap(getattr(member, "__func__", member))


def _kinds(target: Any) -> tuple[type, ...]:
    """The classes by which something may be known, the nearest first."""
    if isinstance(target, str):
        return ()
    kind = target if isinstance(target, type) else type(target)
    return kind.__mro__[:-1]


def _view_of(entry: Entry[Any]) -> str:
    view: str = entry.target.options.view
    return view


def _said(target: Any) -> str:
    """What somebody wanted a link to, in few words."""
    if isinstance(target, str):
        return target
    return name_of(target) if callable(target) else f"a {type(target).__name__}"


# Which of several.


def _own(entries: Sequence[Entry[Any]], target: Any) -> Sequence[Entry[Any]]:
    """Those of the object whose method is meant, if it is known."""
    if not isinstance(target, MethodType):
        return entries
    own = target.__self__
    return [each for each in entries if _owner(each) is own] or entries


def _owner(entry: Entry[Any]) -> Any:
    endpoint: Endpoint = entry.target
    if isinstance(endpoint.handler, MethodType):
        return endpoint.handler.__self__
    owner = endpoint.options.owner
    return endpoint.area.app._instance if owner is OF_APP and endpoint.area else owner


def _nearest(entries: Sequence[Entry[Any]], near: Any) -> Sequence[Entry[Any]]:
    """Those that are in most of the areas in which the link will stand."""
    chain = _chain(near)
    shared = [_shared(_chain(each.target), chain) for each in entries]
    most = max(shared)
    return [each for each, much in zip(entries, shared, strict=True) if much == most]


def _chain(endpoint: Any) -> list[Area]:
    """The areas that something is in, the outermost first."""
    area: Area | None = getattr(endpoint, "area", None)
    return [] if area is None else [*reversed([*area.outside()]), area]


def _shared(one: Sequence[Area], other: Sequence[Area]) -> int:
    """How many areas two chains begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a is not b), min(len(one), len(other)))


def _fitting(candidate: tuple[Entry[Any], Mapping[str, Any]]) -> tuple[int, int, int]:
    """How well an entry fits arguments, the best first."""
    entry, args = candidate
    slots = {slot.name for slot in entry.slots}
    names = slots | entry.defaults.keys()
    return len(slots - args.keys()), -len(names & args.keys()), len(slots)


# The arguments.


def _own_args(entry: Entry[Any], target: Any) -> Mapping[str, Any]:
    """
    What is in the path of a link to a model.

    :raise BadLink: When it cannot say.
    """
    options = entry.target.options
    kinds = tuple(each for each in options.known_as if isinstance(each, type))
    if options.link_args is None or not isinstance(target, kinds):
        return {}
    args: Mapping[str, Any] = options.link_args(target)
    return args


def _shared_args(
    entry: Entry[Any], here: Entry[Any] | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments in what two paths, or hosts, have in common from their start."""
    if here is None:
        return {}
    shared: list[Slot] = []
    if entry.host is not None and here.host is not None:
        shared += entry.host.slots if entry.host.rule == here.host.rule else ()
    for one, other in zip(entry.pattern.pieces, here.pattern.pieces, strict=False):
        if isinstance(one, Slot) and isinstance(other, Slot):
            if one.written != other.written:
                break
            shared.append(one)
        elif one != other:
            break
    return {slot.name: given[slot.name] for slot in shared if slot.name in given}
