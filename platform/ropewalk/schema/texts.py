# -*- test-case-name: tests.test_schema -*-
"""
Numbers and moments that are written as text, in queries, forms and XML. msgspec takes
more for these than anybody who writes text means: ``2026`` for half an hour after the
beginning of 1970, ``nan`` for a price.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec import Struct, inspect

from ropewalk.schema.kinds import alternatives, bare, parts_in, takes_text
from ropewalk.schema.leaves import change_leaves

__all__ = ["mistakable", "without_mistakable"]

_MOMENTS = (inspect.DateTimeType, inspect.TimeDeltaType)
_NUMBERS = (inspect.FloatType, inspect.DecimalType)

#: As people and JSON write numbers.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class _Mistakable(Struct, frozen=True):
    """
    Text that is no value of the type that it is for. It is not made into any.
    """

    text: str

    def __repr__(self) -> str:
        return repr(self.text)


def mistakable(kind: inspect.Type) -> bool:
    """
    Whether some text could be mistaken for a value of this type, or of a part of it.
    """
    return _is_mistakable(kind, set())


def _is_mistakable(kind: inspect.Type, seen: set[int]) -> bool:
    kind = bare(kind)
    if id(kind) in seen:
        return False
    seen.add(id(kind))
    return isinstance(kind, (*_MOMENTS, *_NUMBERS)) or any(
        _is_mistakable(part, seen) for part in parts_in(kind)
    )


def without_mistakable(kind: inspect.Type, data: Any) -> Any:
    """
    The same data, with what is no text in the place of text that would be mistaken.

    :return: the very same object if there is none.
    """
    return change_leaves(kind, data, _as_meant)


def _as_meant(kind: inspect.Type, value: Any) -> Any:
    if not isinstance(value, str) or takes_text(kind):
        return value
    kinds = list(alternatives(kind))
    if any(isinstance(each, _NUMBERS) for each in kinds):
        wrong = _is_odd_number(value)
    elif any(isinstance(each, _MOMENTS) for each in kinds):
        numbers = any(isinstance(each, inspect.IntType) for each in kinds)
        wrong = not numbers and _is_number(value)
    else:
        wrong = False
    return _Mistakable(value) if wrong else value


def _is_odd_number(text: str) -> bool:
    """Whether Python takes it for a number, and nobody else does."""
    return _is_number(text) and not _NUMBER.fullmatch(text)


def _is_number(text: str) -> bool:
    try:
        Decimal(text)
    except InvalidOperation:
        return False
    return True
