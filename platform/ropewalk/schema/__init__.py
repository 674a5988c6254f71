# -*- test-case-name: tests.test_schema -*-
"""
Shapes: typed values in and out of JSON, forms and TOML, with all that is wrong
with a value told at once, by place, in words for whoever wrote it.
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

import msgspec
from msgspec import Meta, field

from ropewalk.errors import Invalid
from ropewalk.schema.encodings import (
    TOO_DEEP,
    read_json,
    read_msgpack,
    write_json,
    write_msgpack,
)
from ropewalk.schema.making import check
from ropewalk.schema.shape import Secret, Shape, encode_custom, mask
from ropewalk.schema.walk import convert, find_flaws
from ropewalk.schema.words import describe, nearest

__all__ = [
    "Meta",
    "Secret",
    "Shape",
    "check",
    "describe",
    "field",
    "mask",
    "nearest",
    "read",
    "read_json",
    "read_msgpack",
    "to_plain",
    "write_json",
    "write_msgpack",
]

T = TypeVar("T")


@overload
def read(shape: type[T], data: Any, *, strict: bool = True) -> T: ...
@overload
def read(shape: Any, data: Any, *, strict: bool = True) -> Any: ...
def read(shape: Any, data: Any, *, strict: bool = True) -> Any:
    """
    Make a typed value of plain data: of dicts, lists and what TOML or JSON have
    in them.

    :param shape: A :class:`Shape`, or any other type that msgspec knows:
        ``list[Message]``, ``int | None``, a dataclass.
    :param strict: ``False`` converts text (``"500"`` to 500, ``"true"`` to
        ``True``), for query strings, forms and environment variables.
    :raise Invalid: With all that is wrong, in the order of the shape.
    """
    try:
        return convert(shape, data, strict=strict)
    except msgspec.ValidationError as refused:
        flaws = find_flaws(shape, data, refused, strict=strict)
        faults = tuple(flaw.fault() for flaw in flaws)
    except RecursionError:
        faults = (TOO_DEEP,)
    raise Invalid(faults)


def to_plain(value: Any) -> Any:
    """
    What JSON can say of a value: dicts, lists, text and numbers. A
    :class:`Secret` becomes its mask.
    """
    return msgspec.to_builtins(value, str_keys=True, enc_hook=encode_custom)
