# -*- test-case-name: tests.test_guests -*-
"""
Classes of others that are read as shapes: dataclasses and attrs classes.

msgspec can fill them, but does so behind their backs: it does not call
``__init__``, so no converter runs, and it sets what is not to be set and
passes over what it does not know. Here they are told as what their own
``__init__`` takes, and are made by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from attrs import NOTHING, Converter, Factory
from msgspec import Struct, inspect, structs

from ropewalk.schema.shape import is_model

__all__ = ["Guest", "adopt", "complaints", "guest_of", "without_arguments"]

#: How long a sentence of somebody else's may be.
_LONGEST = 300

_Limits = tuple[tuple[str, Any], ...]


class Guest(Struct, frozen=True):
    """
    A dataclass or an attrs class.

    :ivar arguments: What its ``__init__`` calls the fields that it takes, by the
        names of the fields.
    :ivar read_only: The fields that are seen, but cannot be given.
    :ivar limits: What validators say of fields that a type could say as well.
    :ivar checks: The attributes that have a converter or a validator.
    """

    arguments: dict[str, str]
    read_only: frozenset[str] = frozenset()
    limits: dict[str, _Limits] = {}
    checks: tuple[Any, ...] = ()


def without_arguments(cls: Any) -> Any:
    """
    A class without what stands in brackets behind it.
    """
    return getattr(cls, "__origin__", cls)


@lru_cache(maxsize=1024)
def guest_of(cls: Any) -> Guest | None:
    """
    What is known of a class; nothing when it is no guest of ours.
    """
    cls = without_arguments(cls)
    if is_model(cls):
        return None
    if hasattr(cls, "__attrs_attrs__"):
        return _attrs_guest(cls)
    if hasattr(cls, "__dataclass_fields__"):
        return _dataclass_guest(cls)
    return None


def _attrs_guest(cls: Any) -> Guest:
    # What begins with "_" is nobody's business: msgspec does not write it.
    seen = [each for each in cls.__attrs_attrs__ if not each.name.startswith("_")]
    return Guest(
        {each.name: each.alias for each in seen if each.init},
        frozenset(each.name for each in seen if not each.init),
        {
            each.name: tuple(_limits_of(each.validator))
            for each in seen
            if each.converter is None
        },
        tuple(
            each
            for each in cls.__attrs_attrs__
            if each.converter is not None or each.validator is not None
        ),
    )


def _dataclass_guest(cls: Any) -> Guest:
    import dataclasses

    fields = dataclasses.fields(cls)
    return Guest(
        {each.name: each.name for each in fields if each.init},
        frozenset(each.name for each in fields if not each.init),
    )


#: The attribute of msgspec's types for each comparison of attrs' validators.
_COMPARISONS = {">": "gt", ">=": "ge", "<": "lt", "<=": "le"}


def _limits_of(validator: Any) -> Iterator[tuple[str, Any]]:
    """
    What the validators of attrs say. They are private classes; one that looks
    otherwise than expected says nothing, and is run all the same.
    """
    match type(validator).__name__:
        case "_AndValidator":
            for each in getattr(validator, "_validators", ()):
                yield from _limits_of(each)
        case "_OptionalValidator":
            yield from _limits_of(getattr(validator, "validator", None))
        case "_NumberValidator":
            name = _COMPARISONS.get(getattr(validator, "compare_op", ""))
            if name is not None:
                yield name, getattr(validator, "bound", None)
        case "_MinLengthValidator":
            yield "min_length", getattr(validator, "min_length", None)
        case "_MaxLengthValidator":
            yield "max_length", getattr(validator, "max_length", None)
        case "_MatchesReValidator":
            yield from _pattern_of(validator)
        case "_InValidator":
            options = getattr(validator, "options", ())
            if isinstance(options, (list, tuple, set, frozenset)):
                yield "values", tuple(sorted(options, key=str))


def _pattern_of(validator: Any) -> Iterator[tuple[str, Any]]:
    pattern = getattr(validator, "pattern", None)
    if not isinstance(pattern, re.Pattern) or pattern.flags != re.UNICODE:
        return
    said = pattern.pattern
    match getattr(getattr(validator, "match_func", None), "__name__", ""):
        case "fullmatch":
            yield "pattern", rf"\A(?:{said})\Z"
        case "match":
            yield "pattern", rf"\A(?:{said})"
        case "search":
            yield "pattern", said


def adopt(kind: inspect.Type) -> inspect.Type:
    """
    A type that msgspec took apart, with what we know better about the guests in
    it. It is changed in place where it can be.
    """
    return _Adoption().adopt(kind)


class _Adoption:
    """
    A type may contain itself, so each is looked at once.
    """

    __slots__ = ("_done", "_kept")

    def __init__(self) -> None:
        self._done: dict[int, inspect.Type] = {}
        self._kept: list[inspect.Type] = []

    def adopt(self, kind: inspect.Type) -> inspect.Type:
        if id(kind) not in self._done:
            self._kept.append(kind)  # nothing else may get its id meanwhile
            self._done[id(kind)] = kind
            self._adopt(kind)
        return self._done[id(kind)]

    def _adopt(self, kind: inspect.Type) -> None:
        match kind:
            case inspect.DataclassType() if is_model(kind.cls):
                self._done[id(kind)] = inspect.CustomType(kind.cls)
            case inspect.DataclassType():
                self._adopt_guest(kind)
            case (
                inspect.StructType()
                | inspect.TypedDictType()
                | inspect.NamedTupleType()
            ):
                for each in kind.fields:
                    each.type = self.adopt(each.type)
            case inspect.Metadata():
                kind.type = self.adopt(kind.type)
            case inspect.UnionType():
                kind.types = tuple(map(self.adopt, kind.types))
            case inspect.TupleType():
                kind.item_types = tuple(map(self.adopt, kind.item_types))
            case inspect.CollectionType():
                kind.item_type = self.adopt(kind.item_type)
            case inspect.DictType():
                kind.key_type = self.adopt(kind.key_type)
                kind.value_type = self.adopt(kind.value_type)

    def _adopt_guest(self, kind: inspect.DataclassType) -> None:
        adopted = inspect.StructType(kind.cls, (), None, None, False, True)
        self._done[id(kind)] = adopted
        guest = guest_of(kind.cls)
        assert guest is not None
        fields = []
        for each in kind.fields:
            if each.name in guest.arguments:
                inner = self.adopt(each.type)
                for name, limit in guest.limits.get(each.name, ()):
                    inner = _limit(inner, name, limit)
                name = guest.arguments[each.name]
                fields.append(structs.replace(each, name=name, type=inner))
        adopted.fields = tuple(fields)


def _limit(kind: inspect.Type, name: str, limit: Any) -> inspect.Type:
    """
    A type with one limit more, where it is one that can have it.
    """
    match kind:
        case inspect.Metadata():
            return structs.replace(kind, type=_limit(kind.type, name, limit))
        case inspect.UnionType():
            types = tuple(_limit(each, name, limit) for each in kind.types)
            return structs.replace(kind, types=types)
        case inspect.StrType() if name == "values":
            return inspect.LiteralType(limit) if _all_are(limit, str) else kind
        case inspect.IntType() if name == "values":
            return inspect.LiteralType(limit) if _all_are(limit, int) else kind
        case inspect.IntType() if not _all_are((limit,), int):
            return kind
        case inspect.FloatType() if not isinstance(limit, (int, float)):
            return kind
        case _ if getattr(kind, name, ...) is None:
            return structs.replace(kind, **{name: limit})
    return kind


def _all_are(values: tuple[Any, ...], kind: type) -> bool:
    return bool(values) and all(type(value) is kind for value in values)


def complaints(cls: Any, given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """
    What the converters and validators of an attrs class have against values,
    each asked alone.

    :param given: Values of the right types, by the names of the arguments.
    :return: names of fields, each with a sentence.
    """
    cls = without_arguments(cls)
    blank = object.__new__(cls)  # what a validator may look at
    values: dict[str, Any] = {}
    for each in cls.__attrs_attrs__:
        try:
            value = _value_of(each, given)
        except (TypeError, ValueError) as refused:
            yield each.name, _sentence(refused)
            continue
        if value is not NOTHING:
            values[each.name] = value
            object.__setattr__(blank, each.name, value)
    for each in cls.__attrs_attrs__:
        if each.validator is not None and each.name in values:
            try:
                each.validator(blank, each, values[each.name])
            except (TypeError, ValueError) as refused:
                yield each.name, _sentence(refused)
            except AttributeError:  # it looked at what is not there yet
                continue


def _value_of(attribute: Any, given: dict[str, Any]) -> Any:
    value = given.get(attribute.alias, attribute.default)
    if isinstance(value, Factory):  # type: ignore[arg-type]
        if value.takes_self:
            return NOTHING
        value = value.factory()
    if value is NOTHING or attribute.converter is None:
        return value
    if isinstance(attribute.converter, Converter):
        return NOTHING  # it may want to see the rest
    return attribute.converter(value)


def _sentence(refused: Exception) -> str:
    """What attrs says comes with everything it was said about."""
    said = str(refused.args[0]) if refused.args else ""
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
