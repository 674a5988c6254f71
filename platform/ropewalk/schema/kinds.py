# -*- test-case-name: tests.test_schema -*-
"""
Types taken apart: what a value of one is, and what its parts are.

A dataclass or an attrs class is told as a shape is that has its fields, and a
pydantic model as one thing: it is taken apart by pydantic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, inspect

from ropewalk.schema.guests import adopt
from ropewalk.schema.shape import is_model

__all__ = [
    "ANYTHING",
    "alternatives",
    "bare",
    "item_kind",
    "kind_of",
    "leaf_kinds",
    "list_kind",
    "part_kinds",
    "parts_in",
    "pick",
    "python_type",
    "table_kind",
    "takes_leaf",
    "takes_list",
    "takes_none",
    "takes_table",
    "takes_text",
    "type_info",
]

_CONSTRAINTS = (
    "gt",
    "ge",
    "lt",
    "le",
    "multiple_of",
    "min_length",
    "max_length",
    "pattern",
    "tz",
)


def kind_of(shape: Any) -> inspect.Type:
    """
    A type taken apart, without the titles and descriptions around it.
    """
    return bare(type_info(shape))


def type_info(shape: Any) -> inspect.Type:
    """
    A type taken apart, not to be changed: it is kept.

    :raise TypeError: When there is nothing that it could be read from.
    """
    if isinstance(shape, type) and not hasattr(shape, "__origin__"):
        return _kept_info(shape)
    # Not kept: "int | bool" equals "bool | int", and is told otherwise.
    return adopt(inspect.type_info(shape))


@lru_cache(maxsize=1024)
def _kept_info(shape: type) -> inspect.Type:
    return adopt(inspect.type_info(shape))


def bare(kind: inspect.Type) -> inspect.Type:
    """
    A type without the title and description around it.
    """
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def takes_table(kind: inspect.Type) -> bool:
    """
    Whether values of this type are tables, with parts that have names.
    """
    if isinstance(kind, inspect.CustomType):
        root = getattr(kind.cls, "__pydantic_root_model__", False)
        return is_model(kind.cls) and not root
    return isinstance(
        kind,
        (
            inspect.DictType,
            inspect.StructType,
            inspect.DataclassType,
            inspect.TypedDictType,
        ),
    ) and not getattr(kind, "array_like", False)


def takes_list(kind: inspect.Type) -> bool:
    """
    Whether values of this type are lists, with parts in an order.
    """
    return isinstance(
        kind, (inspect.CollectionType, inspect.TupleType, inspect.NamedTupleType)
    ) or getattr(kind, "array_like", False)


def takes_leaf(kind: inspect.Type) -> bool:
    """
    Whether values of this type have no parts.
    """
    return not takes_table(kind) and not takes_list(kind)


#: The type of a part that nobody said anything about.
ANYTHING = inspect.AnyType()


def alternatives(kind: inspect.Type) -> Iterator[inspect.Type]:
    """
    What a value may be one of; of most types, the type itself.
    """
    kind = bare(kind)
    if isinstance(kind, inspect.UnionType):
        yield from map(bare, kind.types)
    else:
        yield kind


def pick(
    kind: inspect.Type, is_meant: Callable[[inspect.Type], bool]
) -> inspect.Type | None:
    """
    The first alternative of some sort, if there is one.
    """
    return next(filter(is_meant, alternatives(kind)), None)


def list_kind(kind: inspect.Type) -> inspect.Type | None:
    """
    The alternative that is a list, if there is one.
    """
    return pick(kind, takes_list)


def table_kind(kind: inspect.Type, part: Callable[[str], Any]) -> inspect.Type | None:
    """
    The alternative that is an object, if there is one; of several shapes that
    have tags, the one whose tag is there.

    :param part: The value under a name, if it is one text.
    """
    tables = list(filter(takes_table, alternatives(kind)))
    for each in tables:
        tag = getattr(each, "tag_field", None)
        if tag is not None and part(tag) == str(getattr(each, "tag", None)):
            return each
    return tables[0] if tables else None


def leaf_kinds(kind: inspect.Type) -> list[inspect.Type]:
    """
    The alternatives that have no parts, without ``None``.
    """
    return [
        each
        for each in alternatives(kind)
        if takes_leaf(each) and not isinstance(each, inspect.NoneType)
    ]


def part_kinds(kind: inspect.Type | None) -> Mapping[str, inspect.Type]:
    """
    The types of the fields of an object, by their names outside.
    """
    if isinstance(kind, inspect.CustomType) and is_model(kind.cls):
        return _model_kinds(kind.cls)
    return {part.encode_name: part.type for part in getattr(kind, "fields", ())}


@lru_cache(maxsize=1024)
def _model_kinds(cls: type) -> Mapping[str, inspect.Type]:
    from ropewalk.schema.models import model_parts

    return {
        name: _kind_or_anything(annotation) for name, annotation in model_parts(cls)
    }


def _kind_or_anything(annotation: Any) -> inspect.Type:
    try:
        return kind_of(annotation)
    except Exception:  # pydantic knows more types than msgspec
        return ANYTHING


def item_kind(kind: inspect.Type | None, index: int) -> inspect.Type:
    """
    The type of a member of a list.
    """
    match kind:
        case inspect.CollectionType():
            return kind.item_type
        case inspect.TupleType():
            types = kind.item_types
        case inspect.StructType() | inspect.NamedTupleType():
            types = tuple(part.type for part in kind.fields)
            tag = getattr(kind, "tag", None)
            if tag is not None:  # which is written first
                types = (inspect.LiteralType((tag,)), *types)
        case _:
            types = ()
    return types[index] if index < len(types) else ANYTHING


def takes_none(kind: inspect.Type) -> bool:
    """
    Whether a value may be ``None``.
    """
    return any(
        isinstance(each, (inspect.NoneType, inspect.AnyType))
        for each in alternatives(kind)
    )


def takes_text(kind: inspect.Type) -> bool:
    """
    Whether any text is a value, as it stands.
    """
    return any(
        isinstance(each, (inspect.StrType, inspect.AnyType))
        or (isinstance(each, inspect.CustomType) and issubclass(each.cls, str))
        for each in alternatives(kind)
    )


def parts_in(kind: inspect.Type) -> Iterable[inspect.Type]:
    """
    The types that a type is made of, but for those of the names in a dict.
    """
    match kind:
        case inspect.Metadata():
            return (kind.type,)
        case inspect.UnionType():
            return kind.types
        case inspect.CollectionType():
            return (kind.item_type,)
        case inspect.TupleType():
            return kind.item_types
        case inspect.DictType():
            return (kind.value_type,)
        case (
            inspect.StructType()
            | inspect.DataclassType()
            | inspect.TypedDictType()
            | inspect.NamedTupleType()
        ):
            return (field.type for field in kind.fields)
        case _:
            return ()


_PLAIN: dict[type, Any] = {
    inspect.AnyType: Any,
    inspect.RawType: Any,
    inspect.BoolType: bool,
    inspect.IntType: int,
    inspect.FloatType: float,
    inspect.StrType: str,
    inspect.BytesType: bytes,
    inspect.ByteArrayType: bytearray,
    inspect.MemoryViewType: memoryview,
    inspect.DateTimeType: datetime,
    inspect.DateType: date,
    inspect.TimeType: time,
    inspect.TimeDeltaType: timedelta,
    inspect.UUIDType: UUID,
    inspect.DecimalType: Decimal,
}


def python_type(kind: inspect.Type) -> Any:
    """
    The annotation that msgspec took apart.
    """
    kind = bare(kind)
    plain = _PLAIN.get(type(kind)) or _generic_type(kind)
    limits = {name: getattr(kind, name, None) for name in _CONSTRAINTS}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return Annotated[plain, Meta(**given)] if given else plain


def _generic_type(kind: inspect.Type) -> Any:
    match kind:
        case inspect.NoneType():
            return None
        case inspect.LiteralType():
            return Literal[kind.values]
        case inspect.UnionType():
            return reduce(or_, map(python_type, kind.types))
        case inspect.ListType():
            return list[python_type(kind.item_type)]  # type: ignore[misc]
        case inspect.SetType():
            return set[python_type(kind.item_type)]  # type: ignore[misc]
        case inspect.FrozenSetType():
            return frozenset[python_type(kind.item_type)]  # type: ignore[misc]
        case inspect.VarTupleType():
            return tuple[python_type(kind.item_type), ...]  # type: ignore[misc]
        case inspect.TupleType():
            return tuple[tuple(map(python_type, kind.item_types))]  # type: ignore[misc]
        case inspect.DictType():
            key, value = python_type(kind.key_type), python_type(kind.value_type)
            return dict[key, value]  # type: ignore[valid-type]
        case _:
            return getattr(kind, "cls", Any)
