# -*- test-case-name: tests.test_documenting -*-
"""
The documentation of a site, where it has something to document: handlers that say
what they ask for. Elsewhere nothing of it is imported.

There is one document for each host that is told apart: it has what is answered there.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from inspect import Parameter
from types import NoneType
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ropewalk.web.media import NONE, Formats
from ropewalk.web.mounts import Mount, Mounts
from ropewalk.web.patterns import BadRule, Pattern, parse, parse_host
from ropewalk.web.serving import Endpoint
from ropewalk.web.table import Entry, Found, Table, extent

if TYPE_CHECKING:
    from ropewalk.web.openapi.document import Operation

__all__ = ["hosts_of", "mount_documentation", "operations"]

_ROOT = parse("/")

#: What is left out of names: those of operations are used by programs.
_NOT_IN_NAMES = re.compile(r"[^\w.-]")

#: Stands for all methods that nobody has named.
_OTHERS = "*"

#: Which of these are listed.
_USUAL = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE"))


def mount_documentation(
    mounts: Mounts,
    path: str,
    owner: str,
    place: str,
    *,
    title: str = "",
    version: str = "",
    about: Mapping[str, str] | None = None,
    formats: Formats = NONE,
) -> None:
    """
    Serve the documentation of a site on it: the page at a path, the OpenAPI document at
    the same with ``.json`` behind it. Where a service has put something else, that
    stays.

    :param owner: Whose it is.
    :param place: Where in the settings that is said: ``file:line``.
    :param title: What the documentation is called; what the services are, unless given.
    :param about: What the services are, by name.
    :param formats: Formats of the site's own.
    """
    typed = [each for each in mounts.table.entries if _is_typed(each)]
    if not typed:
        return
    title = title or _title(dict.fromkeys(each.target.plugin for each in typed))
    from ropewalk.web.openapi.page import DocumentationPages

    def make(hosts: Sequence[Pattern]) -> dict[str, Any]:
        from ropewalk.web.openapi.document import document

        return document(
            operations(mounts, hosts),
            title=title,
            version=version or "0",
            tags=about or {},
            formats=formats,
        )

    def choose(host: str) -> tuple[Pattern, ...]:
        return tuple(hosts_of(mounts.table, host))

    address = f"{path.rpartition('/')[2]}.json"
    pages = DocumentationPages(make, title, address, choose=choose)
    # An application that has all of a host leaves nothing there to others.
    hosts = dict.fromkeys(each.host.rule for each in typed if each.host is not None)
    added: list[Mount] = []
    for host in (None, *filter(_is_mountable, hosts)):
        for where, page in ((path, pages.page), (f"{path}.json", pages.document)):
            mount = Mount(
                where, page, owner, place, "pages", page, host=host, gives_way=True
            )
            if not any(_are_at_one(each, mount) for each in (*mounts, *added)):
                added.append(mount)
    mounts.add_last(added)


def operations(mounts: Mounts, hosts: Sequence[Pattern] = ()) -> Iterator[Operation]:
    """
    What is documented of what is on a site: routes of
    :class:`~ropewalk.web.routes.Routes`, each once.

    :param hosts: The hosts whose routes are searched first, as :func:`hosts_of` tells
        them. What is for no host in particular is always there.
    """
    shown: dict[int, tuple[Entry[Any], frozenset[str] | None]] = {}
    for entry, methods in _answered(mounts.table, hosts):
        if not _is_documented(entry):
            continue
        key = id(entry.target)
        # The path of a mount is there with a slash behind it and without.
        if key not in shown or len(entry.pattern.rule) < len(
            shown[key][0].pattern.rule
        ):
            shown[key] = entry, methods
    for entry, methods in shown.values():
        yield _operation(entry, methods)


def hosts_of(table: Table[Any], host: str) -> Iterator[Pattern]:
    """
    The hosts in a table that a host is one of, the first to be searched first.
    """
    left = {each.host.rule: each.host for each in table.entries if each.host}
    while left:
        entries = [Entry(_ROOT, each, host=each) for each in left.values()]
        found = Table(entries).find("/", "GET", host)
        if not isinstance(found, Found):
            return
        yield left.pop(found.entry.target.rule)


def _answered(
    table: Table[Any], hosts: Sequence[Pattern]
) -> list[tuple[Entry[Any], frozenset[str] | None]]:
    """
    The entries that answer on a host, and the methods that each of them is asked for.
    """
    levels: dict[str | None, int] = {each.rule: at for at, each in enumerate(hosts)}
    levels[None] = len(levels)
    there = [
        (levels[rule], entry)
        for entry in table.entries
        if (rule := entry.host.rule if entry.host else None) in levels
        and not entry.build_only
    ]
    guards = [(level, _path(entry)) for level, entry in there if entry.guard]
    routes = [
        (level, entry)
        for level, entry in there
        if not entry.guard
        and not any(
            above < level and path == _path(entry)[: len(path)]
            for above, path in guards
        )
    ]
    taken: defaultdict[object, set[str]] = defaultdict(set)
    left: dict[Entry[Any], frozenset[str] | None] = {}
    for _, entry in sorted(routes, key=lambda each: (each[0], not each[1].methods)):
        others = taken[_path(entry)]
        if _OTHERS in others:
            continue
        methods = None if entry.methods is None else frozenset(entry.methods)
        if others:
            methods = (_USUAL if methods is None else methods) - others
        others.update({_OTHERS} if entry.methods is None else entry.methods)
        if methods is None or methods:
            left[entry] = methods
    return [(entry, left[entry]) for _, entry in routes if entry in left]


def _path(entry: Entry[Any]) -> tuple[object, ...]:
    return tuple(extent(entry)[1])


def _operation(entry: Entry[Any], methods: frozenset[str] | None) -> Operation:
    from ropewalk.web.openapi.document import Operation

    endpoint = entry.target
    options, handler = endpoint.options, endpoint.handler
    operation = Operation(
        path=_pattern(entry),
        methods=methods,
        binding=endpoint.binding,
        function=handler,
        name=_NOT_IN_NAMES.sub("", f"{endpoint.plugin}.{endpoint.name}"),
        tag=endpoint.area.app._more.name or endpoint.plugin,
        errors=getattr(handler, "__ropewalk_errors__", ()),
        output=getattr(handler, "__ropewalk_output__", None),
        deprecated=options.deprecated,
        timeout=options.timeout.seconds if options.timeout else None,
        late=options.timeout.status if options.timeout else 503,
        longest_body=options.longest_body,
        streams=endpoint.kind == "stream",
        guarded=bool(options.guards),
    )
    return replace(operation, **options.told) if options.told else operation


def _pattern(entry: Entry[Any]) -> Pattern:
    """The path of an entry, without a slash at its end that nobody needs."""
    pattern = entry.pattern
    *before, last = pattern.pieces
    if entry.slashes != "ignore" or pattern.rule == "/" or not isinstance(last, str):
        return pattern
    last = last.removesuffix("/")
    return Pattern(pattern.rule.removesuffix("/"), (*before, *filter(None, [last])))


def _title(services: Collection[str]) -> str:
    """What some services are called together."""
    words = re.sub("[-_]", " ", ", ".join(services))
    return words[:1].upper() + words[1:]


def _are_at_one(one: Mount, other: Mount) -> bool:
    """Whether two mounts are at one path, for the same hosts."""
    hosts = [(each.host or "").lower() for each in (one, other)]
    return one.path == other.path and hosts[0] == hosts[1]


def _is_mountable(host: str) -> bool:
    """Whether something can be mounted for it: it may have converters of its own."""
    try:
        parse_host(host)
    except BadRule:
        return False
    return True


def _is_documented(entry: Entry[Any]) -> bool:
    endpoint = entry.target
    return (
        isinstance(endpoint, Endpoint)
        and endpoint.binding is not None
        and endpoint.kind in ("route", "stream")
        and endpoint.options.documented
    )


def _is_typed(entry: Entry[Any]) -> bool:
    """Whether its handler, or what was said of it, is worth a documentation."""
    endpoint = entry.target
    return _is_documented(entry) and (
        endpoint.typed
        or endpoint.options.told is not None
        or hasattr(endpoint.handler, "__ropewalk_output__")
        or hasattr(endpoint.handler, "__ropewalk_errors__")
        or _is_shape(endpoint.binding.answer)
    )


def _is_shape(answer: Any) -> bool:
    """Whether an annotation says more of an answer than Klein's own do."""
    plain = (Parameter.empty, Any, None, NoneType, str, bytes, object)
    return not any(answer is each for each in plain)
