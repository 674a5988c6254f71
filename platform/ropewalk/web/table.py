# -*- test-case-name: tests.test_table -*-
"""
The route table: from a path, a method and a host to what answers, and back to links.

It knows neither requests nor handlers. It finds what Werkzeug's map would find
(version 3.1), but for these:

- a slash that comes percent-encoded is a character of its segment;
- a route for HEAD goes before one for GET, which would take HEAD as well;
- a *guard* owns what nobody takes below its path.

A path is followed through a tree of segments. What this costs grows with the number of
segments, and of slots that would take one of them; not with the number of routes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import combinations
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote, unquote, unquote_to_bytes, urlencode

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from ropewalk.schema import to_plain
from ropewalk.web.patterns import (
    ENCODED_SLASH,
    SAFE,
    BadLink,
    BadRule,
    Pattern,
    Slot,
    Step,
    quote_path,
    shown,
    split,
)

__all__ = ["Entry", "Found", "Missing", "Moved", "Table", "clashes", "extent"]

T = TypeVar("T")

#: How many hosts are remembered, with where the search begins for them.
_HOSTS = 256

_SLASHES = re.compile("/{2,}")

#: What stands between two dots of a host: RFC 1123, section 2.1, and underscores.
_LABEL = re.compile("[A-Za-z0-9_-]+")


def _methods(given: Iterable[str] | None) -> frozenset[str] | None:
    """Methods in capitals; without HEAD beside GET, which means it anyway."""
    if given is None:
        return None
    if isinstance(given, str):
        raise TypeError(f"methods are a set of words, not the text {given!r}")
    methods = frozenset(each.upper() for each in given)
    return methods - {"HEAD"} if "GET" in methods else methods


class Entry(Struct, Generic[T], frozen=True, eq=False):
    """
    One route.

    :ivar pattern: The paths it is for.
    :ivar target: What answers.
    :ivar methods: The methods it is for, in capitals; ``None``: all. GET is for HEAD,
        too, if nobody is for HEAD alone.
    :ivar host: The hosts it is for; ``None``: all.
    :ivar slashes: What becomes of a path that differs by a slash at its end.
        ``"redirect"``: if the rule has one and the path has not, it is redirected, and
        otherwise it is not there; ``"ignore"``: it is answered; ``"exact"``: it is not
        there.
    :ivar defaults: Arguments beside those in the path.
    :ivar guard: It does not answer, but owns what is not there at its path and below:
        the search does not go on with what a shorter path would take.
    :ivar build_only: It is there for its links.
    """

    pattern: Pattern
    target: T
    methods: AbstractSet[str] | None = None
    host: Pattern | None = None
    slashes: Literal["redirect", "ignore", "exact"] = "redirect"
    defaults: Mapping[str, Any] = {}
    guard: bool = False
    build_only: bool = False

    def __post_init__(self) -> None:
        force_setattr(self, "methods", _methods(self.methods))
        if self.host is None:
            return
        for name in self.host.names:
            if name in self.pattern.names:
                problem = f"its host {self.host.rule!r} has a slot called {name!r}, too"
                raise BadRule(self.pattern.rule, problem)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Those of the host, then those of the path."""
        return (self.host.slots if self.host else ()) + self.pattern.slots


class Found(Struct, Generic[T]):
    """
    :ivar entry: What answers.
    :ivar args: The values of its slots, and its defaults.
    """

    entry: Entry[T]
    args: dict[str, Any]


class Moved(Struct, frozen=True):
    """
    It is at another path.

    :ivar path: Which; percent-encoded. Only one slash is at its beginning: behind two,
        browsers look for a host.
    """

    path: str


class Missing(Struct, Generic[T], frozen=True):
    """
    Nobody answers.

    :ivar allowed: The methods that would be answered, with HEAD where GET is. If there
        are none, nothing is there.
    :ivar guard: Who owns the path, if anybody does.
    """

    allowed: frozenset[str]
    guard: Entry[T] | None = None


class Table(Generic[T]):
    """
    Routes, to be found by what a request asks for. It does not change.

    :param entries: Of two that claim the same, the first is found.
    :param merge_slashes: Whether a path with slashes in a row is redirected to the one
        without, if that is there; and whether rules mean the one without.
    :ivar entries: As they were given.
    """

    entries: tuple[Entry[T], ...]

    def __init__(
        self, entries: Iterable[Entry[T]], *, merge_slashes: bool = True
    ) -> None:
        self.entries = tuple(entries)
        self._merge_slashes = merge_slashes
        self._steps = {entry: _Steps.of(entry, merge_slashes) for entry in self.entries}
        self._any_host: _Root[T] = _Root()
        self._hosts: _Node[T] = _Node()
        self._hosted = any(entry.host is not None for entry in self.entries)
        for entry, steps in self._steps.items():
            if not entry.build_only:
                self._add(entry, steps)
        self._any_host.node.finish()
        self._hosts.finish()
        self._roots_for = lru_cache(_HOSTS)(self._find_roots)
        self._only_root: _Roots[T] = [(self._any_host, ())]

    def find(
        self, path: str, method: str, host: str = ""
    ) -> Found[T] | Moved | Missing[T]:
        """
        Find what answers.

        :param path: As the request has it: percent-encoded, without the query.
        :param method: In capitals. To answer OPTIONS is left to the caller.
        :param host: With or without a port.
        :raise UnicodeDecodeError: The path is not UTF-8.
        """
        roots = self._roots_for(host) if self._hosted else self._only_root
        root, texts = roots[0]
        node = root.paths.get(path)
        if node is not None and not texts:
            route = node.by_method.get(method, node.any_method)
            if route is not None:
                return Found(route.entry, {**route.entry.defaults})
        if not _is_encoded(path):
            found = _find_straight(root.node, texts, path.split("/"), method)
            if found is not None:
                return found
        return self._search(roots, path, method)

    def build(self, entry: Entry[T], args: Mapping[str, Any]) -> str:
        """
        Make a link: a path, and a query of the arguments that are in no slot.

        :param entry: One of this table's.
        :param args: What is ``None`` counts as not given. A list is in the query as
            often as it has items.
        :return: percent-encoded; the entry takes it, and has these arguments then.
        :raise BadLink: When there is no such link.
        """
        rule = entry.pattern.rule
        args = _complete(entry, args)
        path = "/".join(_write(rule, self._steps[entry].link, args))
        if path.startswith("//"):
            problem = f"behind the two slashes of {path!r} browsers look for a host"
            raise BadLink(rule, problem)
        taken = {slot.name for slot in entry.slots} | entry.defaults.keys()
        query = urlencode(
            [
                (name, text)
                for name, value in args.items()
                if name not in taken
                for text in _query_texts(rule, name, value)
            ]
        )
        return f"{path}?{query}" if query else path

    def host_of(self, entry: Entry[T], args: Mapping[str, Any]) -> str | None:
        """
        The host that a link to an entry leads to; ``None`` if any will do.

        :raise BadLink: When no host has these arguments.
        """
        if entry.host is None:
            return None
        rule = entry.host.rule
        steps = self._steps[entry].host
        labels = _write(rule, steps, _complete(entry, args))
        for step, label in zip(steps, labels, strict=True):
            if isinstance(step, Step) and not _LABEL.fullmatch(label):
                raise BadLink(rule, f"no host has {unquote(label)!r} in its name")
        return ".".join(labels).lower()

    def _add(self, entry: Entry[T], steps: _Steps) -> None:
        root = self._any_host
        if entry.host is not None:
            node = self._hosts.below(steps.host)
            root = node.root = node.root or _Root()
        if entry.guard:
            path = steps.path[:-1] if steps.path[-1] == "" else steps.path
            node = root.node.below(path)
            node.guard = node.guard or entry
            return
        node = root.node.below(steps.path)
        node.add(entry)
        if not entry.pattern.slots:
            root.paths["/".join(_write(entry.pattern.rule, steps.link, {}))] = node

    def _find_roots(self, host: str) -> _Roots[T]:
        """Where to search for a host: first where it is meant, then where any is."""
        return [*_ends(self._hosts, _labels(host), ()), *self._only_root]

    def _search(
        self, roots: _Roots[T], path: str, method: str
    ) -> Found[T] | Moved | Missing[T]:
        search: _Search[T] = _Search(method)
        end = search.run(roots, path)
        if isinstance(end, _Hit):
            return search.settle(end)
        if not isinstance(end, Moved) and self._merge_slashes and "//" in path:
            path = _SLASHES.sub("/", path)
            merged = search.run(roots, path)
            end = Moved(path) if isinstance(merged, _Hit) else merged or end
        if isinstance(end, Moved):
            return Moved(_location(end.path))
        return Missing(frozenset(search.allowed), end.guard if end else None)


def clashes(
    entries: Iterable[Entry[T]], *, merge_slashes: bool = True
) -> Iterator[tuple[Entry[T], Entry[T], frozenset[str]]]:
    """
    Entries that no request can tell apart, in pairs, the earlier first.

    :return: yields with each pair the methods that both claim; none of them: all.
    """
    alike: defaultdict[object, list[Entry[T]]] = defaultdict(list)
    for entry in entries:
        if not entry.guard and not entry.build_only:
            alike[_Steps.of(entry, merge_slashes).key()].append(entry)
    for group in alike.values():
        for one, other in combinations(group, 2):
            if one.methods is None or other.methods is None:
                yield one, other, frozenset(one.methods or other.methods or ())
            elif one.methods & other.methods:
                yield one, other, frozenset(one.methods & other.methods)


def extent(
    entry: Entry[Any], *, merge_slashes: bool = True
) -> tuple[Sequence[object], Sequence[object]]:
    """
    What an entry takes, to be compared with what others do: of the host, a part for
    each label; of the path, one for each segment. What it takes as a guard begins with
    the latter.
    """
    host, path = _Steps.of(entry, merge_slashes).key()
    return host, path[:-1] if entry.guard and path[-1] == "" else path


# The tree.


class _Steps(Struct, frozen=True):
    """
    An entry's patterns, taken apart.

    :ivar link: As ``path``, with the text percent-encoded.
    """

    host: tuple[str | Step, ...]
    path: tuple[str | Step, ...]
    link: tuple[str | Step, ...]

    @classmethod
    def of(cls, entry: Entry[Any], merge_slashes: bool) -> _Steps:
        pieces = entry.pattern.pieces
        if merge_slashes:
            pieces = tuple(
                _SLASHES.sub("/", piece) if isinstance(piece, str) else piece
                for piece in pieces
            )
        path = split(pieces)
        link = tuple(
            quote_path(each) if isinstance(each, str) else each for each in path
        )
        host = () if entry.host is None else split(entry.host.pieces, ".")
        return cls(host, path, link)

    def key(self) -> tuple[tuple[object, ...], tuple[object, ...]]:
        """The same for what takes the same."""
        host, path = (
            tuple(step if isinstance(step, str) else step.key for step in steps)
            for steps in (self.host, self.path)
        )
        return host, path


class _Route(Generic[T]):
    """
    An entry at its node.

    :ivar before: The methods of those that come before it there.
    """

    __slots__ = ("_readers", "before", "entry")

    def __init__(self, entry: Entry[T], before: frozenset[str]) -> None:
        self.entry, self.before = entry, before
        self._readers = [(slot.name, slot.converter.to_python) for slot in entry.slots]

    def found(self, texts: Sequence[str]) -> Found[T]:
        """
        :param texts: For the slots.
        :raise ValueError: A converter does not take its text.
        """
        args = {}
        for at, (name, to_python) in enumerate(self._readers):
            args[name] = to_python(texts[at])
        if self.entry.defaults:
            args.update(self.entry.defaults)
        return Found(self.entry, args)


class _Node(Generic[T]):
    """
    Where one is after some segments of a path, or some labels of a host.

    :ivar literals: Where a segment leads that is just this text.
    :ivar branches: Where steps lead, the first to be tried first.
    :ivar guard: Who owns what is not there below.
    :ivar routes: What is here if no segment is left.
    :ivar by_method: Of these, the one for a method;
    :ivar any_method: the one for all others;
    :ivar allowed: and all methods, if there is none for all others.
    :ivar root: What is below a host that ends here.
    """

    __slots__ = (
        *("_by_key", "allowed", "any_method", "branches", "by_method", "guard"),
        *("literals", "root", "routes"),
    )

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.branches: Sequence[tuple[Step, _Node[T]]] = ()
        self.guard: Entry[T] | None = None
        self.routes: list[_Route[T]] = []
        self.by_method: dict[str, _Route[T]] = {}
        self.any_method: _Route[T] | None = None
        self.allowed: frozenset[str] = frozenset()
        self.root: _Root[T] | None = None
        self._by_key: dict[object, tuple[Step, _Node[T]]] = {}

    def below(self, steps: Iterable[str | Step]) -> _Node[T]:
        """The node that the steps lead to; made if it is not there."""
        node = self
        for step in steps:
            if isinstance(step, str):
                if step not in node.literals:
                    node.literals[step] = _Node()
                node = node.literals[step]
            else:
                if step.key not in node._by_key:
                    node._by_key[step.key] = step, _Node()
                node = node._by_key[step.key][1]
        return node

    def add(self, entry: Entry[T]) -> None:
        """Put an entry here, behind those that are."""
        before = self.routes[-1] if self.routes else None
        methods = before.before | _answered(before.entry) if before else frozenset()
        self.routes.append(_Route(entry, methods))

    def finish(self) -> None:
        """Put the branches into order, and the routes by their methods."""
        self.branches = sorted(self._by_key.values(), key=lambda each: each[0].weight)
        for route in self.routes:
            if route.entry.methods is None:
                self.any_method = route
                break
            for method in route.entry.methods:
                self.by_method.setdefault(method, route)
            self.allowed |= _answered(route.entry)
        if "GET" in self.by_method:
            self.by_method.setdefault("HEAD", self.by_method["GET"])
        for node in self.literals.values():
            node.finish()
        for _, node in self.branches:
            node.finish()
        if self.root is not None:
            self.root.node.finish()


class _Root(Struct, Generic[T], frozen=True, eq=False):
    """
    The paths of a host.

    :ivar node: Where one is before a path's first slash.
    :ivar paths: Where paths lead that are just text.
    """

    node: _Node[T] = msgspec.field(default_factory=_Node)
    paths: dict[str, _Node[T]] = {}


#: Where to search, in this order; with the texts for the slots of the host.
_Roots = Sequence[tuple[_Root[T], tuple[str, ...]]]


def _answered(entry: Entry[Any]) -> frozenset[str]:
    """An entry's methods, with HEAD where GET is; none if it is for all."""
    methods = frozenset(entry.methods or ())
    return methods | {"HEAD"} if "GET" in methods else methods


def _ends(
    node: _Node[T], labels: Sequence[str], texts: tuple[str, ...]
) -> Iterator[tuple[_Root[T], tuple[str, ...]]]:
    """What is below a host, the first to be tried first."""
    if not labels:
        if node.root is not None:
            yield node.root, texts
        return
    if labels[0] in node.literals:
        yield from _ends(node.literals[labels[0]], labels[1:], texts)
    for step, following in node.branches:
        more = step.match(labels[0])
        if more is not None:
            yield from _ends(following, labels[1:], texts + more)


def _labels(host: str) -> list[str]:
    """What is between the dots of a host, in small letters and without a port."""
    host = host.lower()
    if host.startswith("["):  # IPv6: RFC 3986, section 3.2.2
        name = host[: host.find("]") + 1]
    else:
        name = host.partition(":")[0]
    return name.removesuffix(".").split(".")


# The way through it.


def _find_straight(
    node: _Node[T], texts: tuple[str, ...], parts: Sequence[str], method: str
) -> Found[T] | None:
    """
    Go where each part leads first, and never back. What is found so is what a search
    would find, for half of what that costs; if nothing is, one has to search.
    """
    for part in parts:
        following = node.literals.get(part)
        if following is None:
            for step, branch in node.branches:
                if step.spans:
                    return None
                more = step.match(part)
                if more is not None:
                    following, texts = branch, texts + more
                    break
            else:
                return None
        node = following
    route = node.by_method.get(method, node.any_method)
    if route is None:
        return None
    try:
        return route.found(texts)
    except ValueError:
        return None


class _Hit(Struct, Generic[T], frozen=True, eq=False):
    """
    A route that fits, if its converters take the texts.

    :ivar texts: For its slots.
    :ivar allowed: The methods that others here answer, if the converters do not,
    :ivar guard: and who owns the path.
    """

    route: _Route[T]
    texts: tuple[str, ...]
    allowed: frozenset[str]
    guard: Entry[T] | None


class _Owned(Struct, Generic[T], frozen=True, eq=False):
    """
    Nothing fits, and the search is not to go on.
    """

    guard: Entry[T]


_End = _Hit[T] | Moved | _Owned[T]


class _Search(Struct, Generic[T], eq=False):
    """
    One way through the tree, depth first.

    A step takes one part, or, if it spans, all that are left: there is but one way to
    come to a node, and none is visited twice.

    :ivar path: What is searched for,
    :ivar parts: and what is between its slashes, decoded.
    :ivar allowed: The methods of all that would have fitted.
    """

    method: str
    path: str = ""
    parts: Sequence[str] = ()
    allowed: set[str] = set()

    def run(self, roots: _Roots[T], path: str) -> _End[T] | None:
        self.path = path
        self.parts = path.split("/")
        if _is_encoded(path):
            self.parts = [_decode(part) for part in self.parts]
        for root, texts in roots:
            end = self._walk(root.node, 0, texts, None)
            if end is not None:
                return end
        return None

    def settle(self, hit: _Hit[T]) -> Found[T] | Missing[T]:
        """Let the converters have their say. If one refuses, nothing else is tried."""
        try:
            return hit.route.found([shown(text) for text in hit.texts])
        except ValueError:
            return Missing(frozenset(self.allowed | hit.allowed), hit.guard)

    def _walk(
        self, node: _Node[T], at: int, texts: tuple[str, ...], guard: Entry[T] | None
    ) -> _End[T] | None:
        """
        Go on from a node.

        :param at: The first part that is left.
        :param texts: What the slots have got.
        :param guard: Who owns what is here, if the node has no guard.
        :return: where the search ends; ``None``: it goes on where it came from.
        """
        guard = node.guard or guard
        end: _End[T] | None = None
        if at == len(self.parts):
            end = self._arrive(node, texts, guard)
        else:
            part = self.parts[at]
            following = node.literals.get(part)
            if following is not None:
                end = self._walk(following, at + 1, texts, guard)
            if end is None and node.branches:
                end = self._branch_off(node, at, texts, guard)
            if end is None and part == "" and at + 1 == len(self.parts):
                end = self._tolerate(node, texts, guard)
        if end is None and node.guard is not None:
            end = _Owned(node.guard)
        return end

    def _arrive(
        self, node: _Node[T], texts: tuple[str, ...], guard: Entry[T] | None
    ) -> _End[T] | None:
        """No part is left: take what is here, or one slash further."""
        route = node.by_method.get(self.method, node.any_method)
        if route is not None:
            return _Hit(route, texts, route.before, guard)
        self.allowed |= node.allowed
        slashed = node.literals.get("")
        for route in slashed.routes if slashed else ():
            if route.entry.slashes != "exact" and self._is_for(route.entry):
                if route.entry.slashes == "redirect":
                    return Moved(f"{self.path}/")
                return _Hit(route, texts, frozenset(), guard)
        return None

    def _branch_off(
        self, node: _Node[T], at: int, texts: tuple[str, ...], guard: Entry[T] | None
    ) -> _End[T] | None:
        """Some parts are left: try the steps."""
        for step, following in node.branches:
            rest = "/".join(self.parts[at:]) if step.spans else self.parts[at]
            more = step.match(rest)
            if more is None:
                continue
            after = at + 1
            if step.spans:  # the slash at the end of a rule is a part of its own
                after = len(self.parts) - (step.branch and rest.endswith("/"))
            end = self._walk(following, after, texts + more, guard)
            if end is not None:
                return end
        return None

    def _tolerate(
        self, node: _Node[T], texts: tuple[str, ...], guard: Entry[T] | None
    ) -> _End[T] | None:
        """One slash is left: take what is here, if it does not mind."""
        for route in node.routes:
            if route.entry.slashes == "ignore":
                if self._is_for(route.entry):
                    return _Hit(route, texts, frozenset(), guard)
                self.allowed |= _answered(route.entry)
        return None

    def _is_for(self, entry: Entry[T]) -> bool:
        return entry.methods is None or self.method in _answered(entry)


def _is_encoded(path: str) -> bool:
    """Whether a path is other than it looks."""
    return "%" in path or not path.isascii()


def _decode(part: str) -> str:
    """
    :raise UnicodeDecodeError: It is not UTF-8.
    """
    text = unquote_to_bytes(part.encode("latin-1")).decode("utf-8")
    return text.replace("/", ENCODED_SLASH)


def _location(path: str) -> str:
    """A path to be redirected to, in which browsers see no host."""
    return quote("/" + path.lstrip("/"), safe=SAFE + "/%", encoding="latin-1")


# Links.


def _complete(entry: Entry[Any], args: Mapping[str, Any]) -> dict[str, Any]:
    """
    :raise BadLink: When an argument is not what the entry has there.
    """
    given = {name: value for name, value in args.items() if value is not None}
    for name, value in entry.defaults.items():
        if given.setdefault(name, value) != value:
            problem = f"there {name} is {value!r}, not {given[name]!r}"
            raise BadLink(entry.pattern.rule, problem)
    return given


def _write(
    rule: str, steps: Iterable[str | Step], args: Mapping[str, Any]
) -> list[str]:
    try:
        return [step if isinstance(step, str) else step.write(args) for step in steps]
    except ValueError as error:
        raise BadLink(rule, str(error)) from None


def _query_texts(rule: str, name: str, value: Any) -> Iterator[str]:
    try:
        plain = to_plain(value)
    except (TypeError, ValueError, NotImplementedError):
        plain = {}
    for each in plain if isinstance(plain, list) else [plain]:
        if isinstance(each, bool):
            yield "true" if each else "false"
        elif isinstance(each, str | int | float):
            yield str(each)
        elif each is not None:
            raise BadLink(rule, f"{name}={value!r} has no place in a query")
