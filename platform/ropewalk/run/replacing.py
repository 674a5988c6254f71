# -*- test-case-name: tests.test_replacing -*-
"""
Parts of a web site that its settings replace by others, which they name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ropewalk.errors import Fault, SettingFault
from ropewalk.schema.words import spell
from ropewalk.settings import Document
from ropewalk.settings.named import BadName, load_named
from ropewalk.web.media import Formats

__all__ = ["find_faults", "load_formats", "load_router"]

#: What is asked of a router, beside its ``entries``, which may be there only when it is
#: made.
_ROUTER = ("find", "build", "host_of")


def load_formats(names: Mapping[str, str]) -> Formats:
    """
    The formats of a site.

    :param names: ``"acme.fast:JSON"`` by media type; a class is made without
        arguments.
    :raise BadName: When one cannot be had, or is no format.
    """
    formats = {}
    for media_type, name in names.items():
        found = load_named(name)
        try:
            found = found() if isinstance(found, type) else found
            Formats({media_type: found})
        except Exception as error:
            raise BadName(name, str(error) or type(error).__name__) from error
        formats[media_type] = found
    return Formats(formats)


def load_router(name: str) -> Callable[..., Any]:
    """
    What finds the routes of a site: a class as :class:`ropewalk.web.table.Table`, or a
    function that makes one.

    :raise BadName: When it cannot be had, or is none.
    """
    found = load_named(name)
    if not callable(found):
        raise BadName(name, f"a {type(found).__name__} makes no router")
    if isinstance(found, type):
        missing = [each for each in _ROUTER if not hasattr(found, each)]
        if missing:
            raise BadName(name, f"it is no router: it has no {', '.join(missing)}")
    router: Callable[..., Any] = found
    return router


def find_faults(
    document: Document, table: str, formats: Mapping[str, str], router: str
) -> Iterator[SettingFault]:
    """
    What of a site's replacements cannot be had.

    :param table: The table of the site.
    """
    for media_type, name in formats.items():
        key = spell(["formats", media_type])
        yield from _fault(document, table, key, load_formats, {media_type: name})
    if router:
        yield from _fault(document, table, "router", load_router, router)


def _fault(
    document: Document, table: str, key: str, load: Callable[[Any], Any], asked: Any
) -> Iterator[SettingFault]:
    try:
        load(asked)
    except BadName as error:
        origin = document.origin(table, key)
        yield SettingFault(origin, table, Fault(key, str(error)))
