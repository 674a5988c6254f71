# -*- test-case-name: tests.test_settings -*-
"""
What a type says about settings of it: which keys it has, and how text from
outside the file becomes a value.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import inspect

from ropewalk.schema.shape import Secret
from ropewalk.schema.walk import (
    bare,
    fits,
    make,
    takes_leaf,
    takes_list,
    takes_table,
)
from ropewalk.schema.words import Step

__all__ = ["fold", "from_text", "inner_kind", "is_table", "keys_of", "match_name"]

_ANYTHING = inspect.AnyType()


def fold(name: str) -> str:
    """
    A name as an environment variable can have it: ``My-Chat`` is ``my_chat``.
    """
    return name.lower().replace("-", "_")


def match_name(written: str, known: Iterable[str]) -> str | None:
    """
    The known name that a piece of a variable's name means, if there is one.
    """
    names = list(known)
    if written in names:
        return written
    return next((name for name in names if fold(name) == fold(written)), None)


def is_table(kind: inspect.Type) -> bool:
    """
    Whether a table can be a value of this type.
    """
    return any(
        takes_table(each) or isinstance(each, inspect.AnyType)
        for each in _alternatives(kind)
    )


def keys_of(kind: inspect.Type) -> Iterator[str]:
    """
    The keys that a table of this type is known to have.
    """
    for each in _alternatives(kind):
        if takes_table(each):
            yield from (field.encode_name for field in getattr(each, "fields", ()))


def inner_kind(kind: inspect.Type, step: Step) -> inspect.Type:
    """
    The type of a part: of the value of a key, or of an item of a list.
    """
    for each in _alternatives(kind):
        if isinstance(step, int):
            if isinstance(each, inspect.CollectionType):
                return each.item_type
            if isinstance(each, inspect.TupleType) and step < len(each.item_types):
                return each.item_types[step]
        elif isinstance(each, inspect.DictType):
            return each.value_type
        elif takes_table(each):
            for field in getattr(each, "fields", ()):
                if field.encode_name == step:
                    return bare(field.type)
    return _ANYTHING


def _alternatives(kind: inspect.Type) -> Iterator[inspect.Type]:
    kind = bare(kind)
    if isinstance(kind, inspect.UnionType):
        yield from map(bare, kind.types)
    else:
        yield kind


def from_text(kind: inspect.Type, text: str) -> Any:
    """
    Plain data of text that was written outside the file.

    Where the type takes text, it is the text. Otherwise it is read as a number,
    a date, ``true`` and so on; a list or a table is written as in TOML. For a
    list, text that is not one is its only item, and no text is the empty list.
    What cannot be read stays text, for the message about it.
    """
    leaves = [each for each in _alternatives(kind) if takes_leaf(each)]
    if any(fits(each, text, strict=True) for each in leaves):
        return text
    for each in leaves:
        if fits(each, text, strict=False):
            return make(each, text, strict=False)
    value = _from_toml(text)
    for each in _alternatives(kind):
        if takes_table(each) and isinstance(value, dict):
            return value
        if takes_list(each):
            if isinstance(value, list):
                return value
            return [from_text(inner_kind(each, 0), text)] if text else []
    if isinstance(text, Secret) or any(map(_takes_text, leaves)) or value is None:
        return text
    return value


def _takes_text(kind: inspect.Type) -> bool:
    return isinstance(kind, (inspect.StrType, inspect.CustomType, inspect.AnyType))


def _from_toml(text: str) -> Any:
    """
    What a text means as a value in TOML; ``None`` for nothing.
    """
    try:
        read = tomllib.loads(f"value = {text}\n")
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    if read.keys() != {"value"}:
        return None
    return _hide(read["value"]) if isinstance(text, Secret) else read["value"]


def _hide(value: Any) -> Any:
    """
    The same value with all text in it made secret.
    """
    if isinstance(value, dict):
        return {key: _hide(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_hide(item) for item in value]
    return Secret(value) if isinstance(value, str) else value
