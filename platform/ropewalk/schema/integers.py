# -*- test-case-name: tests.test_schema -*-
"""
Integers that are written as other numbers: to JSON, ``2.0`` and ``2e3`` are integers as
well (JSON Schema 2020-12, validation, section 6.1.1), and some languages write them so.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec import inspect

from ropewalk.schema.kinds import (
    ANYTHING,
    alternatives,
    item_kind,
    list_kind,
    part_kinds,
    table_kind,
)

__all__ = ["with_integers"]

#: As many digits as the longest number has that is no infinity in most languages.
_MOST_DIGITS = 309

#: What takes a number as it is.
_NUMBERS = (
    inspect.AnyType,
    inspect.RawType,
    inspect.FloatType,
    inspect.DecimalType,
)


def with_integers(kind: inspect.Type, data: Any) -> Any:
    """
    The same data, with an ``int`` wherever a type takes integers but no other numbers,
    and the data has another number that is one.

    :param data: What JSON or msgpack say, numbers with a point or an exponent as
        ``float`` or ``Decimal``.
    :return: the very same object if there is no such number.
    """
    match data:
        case float() | Decimal():
            return int(data) if _is_whole(data) and _wants_integer(kind) else data
        case dict():
            return _in_table(kind, data)
        case list():
            several = list_kind(kind)
            if several is None:
                return data
            items = [
                with_integers(item_kind(several, at), each)
                for at, each in enumerate(data)
            ]
            return _unless_same(data, items, zip(data, items, strict=True))
    return data


def _in_table(kind: inspect.Type, data: Mapping[Any, Any]) -> Any:
    table = table_kind(kind, lambda name: _tag(data.get(name)))
    if table is None:
        return data
    known = {**part_kinds(table)}
    tag_field = getattr(table, "tag_field", None)
    if tag_field is not None:
        known[tag_field] = inspect.LiteralType((getattr(table, "tag", None),))
    other = getattr(table, "value_type", ANYTHING)
    parts = {
        name: with_integers(known.get(name, other), each) for name, each in data.items()
    }
    return _unless_same(data, parts, ((data[name], parts[name]) for name in data))


def _unless_same(data: Any, changed: Any, pairs: Any) -> Any:
    return data if all(one is other for one, other in pairs) else changed


def _tag(value: Any) -> str | None:
    """What says which of several objects is meant, as text."""
    if isinstance(value, (float, Decimal)) and _is_whole(value):
        return str(int(value))
    return str(value) if isinstance(value, (str, int)) else None


def _is_whole(number: float | Decimal) -> bool:
    exact = Decimal(number)
    if not exact.is_finite() or exact.adjusted() >= _MOST_DIGITS:
        return False
    return exact == exact.to_integral_value()


def _wants_integer(kind: inspect.Type) -> bool:
    kinds = list(alternatives(kind))
    return not any(isinstance(each, _NUMBERS) for each in kinds) and any(
        map(_has_integers, kinds)
    )


def _has_integers(kind: inspect.Type) -> bool:
    match kind:
        case inspect.IntType():
            return True
        case inspect.LiteralType():
            return any(isinstance(each, int) for each in kind.values)
        case inspect.EnumType():
            return any(isinstance(each.value, int) for each in kind.cls)
    return False
