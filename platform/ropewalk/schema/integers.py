# -*- test-case-name: tests.test_schema -*-
"""
Integers that are written as other numbers: to JSON, ``2.0`` and ``2e3`` are integers as
well (JSON Schema 2020-12, validation, section 6.1.1), and some languages write them so.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec import inspect

from ropewalk.schema.kinds import alternatives
from ropewalk.schema.leaves import change_leaves

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
    return change_leaves(kind, data, _as_integer)


def _as_integer(kind: inspect.Type, value: Any) -> Any:
    is_other = isinstance(value, (float, Decimal))
    return int(value) if is_other and _is_whole(value) and _wants(kind) else value


def _is_whole(number: float | Decimal) -> bool:
    exact = Decimal(number)
    if not exact.is_finite() or exact.adjusted() >= _MOST_DIGITS:
        return False
    return exact == exact.to_integral_value()


def _wants(kind: inspect.Type) -> bool:
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
