# -*- test-case-name: tests.test_schema -*-
"""
Plain data seen beside its type, and changed where a value has no parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import inspect

from ropewalk.schema.kinds import (
    ANYTHING,
    item_kind,
    list_kind,
    part_kinds,
    table_kind,
)

__all__ = ["change_leaves"]

#: Called with the type that is wanted, and the value that is there.
Change = Callable[[inspect.Type, Any], Any]


def change_leaves(kind: inspect.Type, data: Any, change: Change) -> Any:
    """
    The same data, with each text and each number as somebody would have it.

    :return: the very same object if nothing was changed.
    """
    match data:
        case dict():
            return _change_parts(kind, data, change)
        case list():
            several = list_kind(kind)
            if several is None:
                return data
            items = [
                change_leaves(item_kind(several, at), each, change)
                for at, each in enumerate(data)
            ]
            return _unless_same(data, items, zip(data, items, strict=True))
    return change(kind, data)


def _change_parts(kind: inspect.Type, data: Mapping[Any, Any], change: Change) -> Any:
    table = table_kind(kind, lambda name: _tag(data.get(name)))
    if table is None:
        return data
    known = {**part_kinds(table)}
    tag_field = getattr(table, "tag_field", None)
    if tag_field is not None:
        known[tag_field] = inspect.LiteralType((getattr(table, "tag", None),))
    other = getattr(table, "value_type", ANYTHING)
    parts = {
        name: change_leaves(known.get(name, other), each, change)
        for name, each in data.items()
    }
    return _unless_same(data, parts, ((data[name], parts[name]) for name in data))


def _unless_same(data: Any, changed: Any, pairs: Iterable[tuple[Any, Any]]) -> Any:
    return data if all(one is other for one, other in pairs) else changed


def _tag(value: Any) -> str | None:
    """What says which of several objects is meant, as text."""
    if isinstance(value, (float, Decimal)) and value % 1 == 0:
        return str(int(value))
    return str(value) if isinstance(value, (str, int)) else None
