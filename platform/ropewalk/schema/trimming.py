# -*- test-case-name: tests.test_schema -*-
"""
What of a value a shape has no place for, left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import inspect

from ropewalk.schema.kinds import bare, kind_of

__all__ = ["trim"]


def trim(shape: Any, data: Any) -> Any:
    """
    Plain data without the fields that a shape does not have: a row of a database may
    have more columns than are to be shown.

    :param data: Dicts, lists, text and numbers. It is not changed.
    """
    return _trim(kind_of(shape), data)


def _trim(kind: inspect.Type, data: Any) -> Any:
    kind = bare(kind)
    if isinstance(kind, inspect.UnionType):
        tables = [bare(each) for each in kind.types if _has_fields(bare(each))]
        lists = [bare(each) for each in kind.types if _has_items(bare(each))]
        if isinstance(data, Mapping) and len(tables) == 1:
            return _trim(tables[0], data)
        if isinstance(data, list | tuple) and len(lists) == 1:
            return _trim(lists[0], data)
        return data
    if isinstance(data, Mapping) and _has_fields(kind):
        fields: Any = kind.fields  # type: ignore[attr-defined]
        kept = {each.encode_name: each.type for each in fields}
        tag = getattr(kind, "tag_field", None)
        return {
            name: _trim(kept[name], value) if name in kept else value
            for name, value in data.items()
            if name in kept or name == tag
        }
    if isinstance(data, Mapping) and isinstance(kind, inspect.DictType):
        return {name: _trim(kind.value_type, value) for name, value in data.items()}
    if isinstance(data, list | tuple) and _has_items(kind):
        item: Any = kind.item_type  # type: ignore[attr-defined]
        return [_trim(item, each) for each in data]
    return data


def _has_fields(kind: inspect.Type) -> bool:
    return isinstance(
        kind, inspect.StructType | inspect.DataclassType | inspect.TypedDictType
    ) and not getattr(kind, "array_like", False)


def _has_items(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.CollectionType)
