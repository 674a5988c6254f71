# -*- test-case-name: tests.test_guests -*-
"""
Models of pydantic, and what pydantic has against a value in our words. Imported
where somebody has a model; pydantic itself is not imported here.

What JSON says is taken as pydantic's strict mode takes JSON: ``"5"`` is no integer,
``"2026-01-31"`` is a date. A form is taken as its lax mode takes it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from msgspec import inspect

from ropewalk.schema.walk import MOST_FLAWS
from ropewalk.schema.words import (
    Step,
    Words,
    describe_kind,
    nearest,
    show_got,
)

__all__ = [
    "describe_model",
    "find_model_flaws",
    "hides_any",
    "model_parts",
    "read_model",
    "write_model",
]


def read_model(cls: Any, value: Any, *, strict: bool) -> Any:
    """
    Make a model of plain data.

    :raise ValueError: pydantic's ``ValidationError``, or when there is no way to
        say the value in JSON.
    """
    if isinstance(value, cls):
        return value
    validator = cls.__pydantic_validator__
    if not strict:
        return validator.validate_python(value)
    return validator.validate_json(_core().to_json(value), strict=True)


def _core() -> Any:
    """pydantic's core, which whoever has a model has imported."""
    return sys.modules["pydantic_core"]


def write_model(value: Any) -> Any:
    """
    What JSON can say of a model, by the names that it has outside.
    """
    serializer = type(value).__pydantic_serializer__
    return serializer.to_python(value, mode="json", by_alias=True)


def describe_model(cls: Any, ref_template: str) -> dict[str, Any]:
    """
    The JSON Schema of a model, by what it says itself; those of the models in it
    are in its ``$defs``.

    :param ref_template: Where these will be found: ``"#/$defs/{model}"``.
    """
    own = getattr(cls, "model_json_schema", None)
    if own is None:  # a dataclass of pydantic's
        own = sys.modules["pydantic"].TypeAdapter(cls).json_schema
    schema: dict[str, Any] = own(ref_template=ref_template)
    return schema


def model_parts(cls: Any) -> Iterator[tuple[str, Any]]:
    """
    The annotations of a model's fields, by each name that they may have outside.
    """
    fields = getattr(cls, "model_fields", None)
    if fields is None:  # a dataclass of pydantic's
        fields = cls.__pydantic_fields__
    for name, info in fields.items():
        outside = info.validation_alias or info.alias or name
        if isinstance(outside, str):
            yield outside, info.annotation
        yield name, info.annotation


def hides_any(cls: Any) -> bool:
    """
    Whether there is anything in a model that must not be shown.
    """
    return _hides_any(cls)


@lru_cache(maxsize=1024)
def _hides_any(cls: Any) -> bool:
    return "Secret" in repr(cls.__pydantic_core_schema__)


def find_model_flaws(
    cls: Any, value: Any, *, strict: bool, words: Words
) -> Iterator[tuple[tuple[Step, ...], str]]:
    """
    All that pydantic has against a value, each with its place. Of the types that
    it tried in vain on one part, it is told that it is none of them.
    """
    try:
        read_model(cls, value, strict=strict)
    except _core().ValidationError as refused:
        errors = refused.errors(include_url=False)
    except ValueError as refused:
        yield (), str(refused)
        return
    else:
        return
    hide = hides_any(cls)
    told: dict[tuple[tuple[Step, ...], str], list[str]] = {}
    for error in errors:
        if len(told) > MOST_FLAWS:
            break
        steps, is_key = _place_of(error, value)
        expected = _expected(error, words)
        if is_key:
            told[steps, _as_name(error, expected, words)] = []
        elif expected is None:
            told[steps, _sentence(cls, error)] = []
        else:
            got = show_got(error["input"], words, hide=hide)
            alternatives = told.setdefault((steps, f", got {got}"), [])
            if expected not in alternatives:
                alternatives.append(expected)
    for (steps, said), alternatives in told.items():
        yield (
            steps,
            f"expected {' or '.join(alternatives)}{said}" if alternatives else said,
        )


def _place_of(error: Any, value: Any) -> tuple[tuple[Step, ...], bool]:
    """
    Where in a value something is wrong, and whether it is a name in a dict.

    Among the steps that pydantic tells are the names of types that it tried;
    these lead nowhere.
    """
    steps: list[Step] = []
    for step in error["loc"]:
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, (list, tuple)) and isinstance(step, int):
            value = value[step] if step < len(value) else None
        elif step is not error["loc"][-1] or error["type"] not in _ABSENT:
            continue
        steps.append(step)
    if error["type"] in _OF_TAGS:
        steps.append(str(error["ctx"]["discriminator"]).strip("'"))
    return tuple(steps), error["loc"][-1:] == ("[key]",)


#: Errors about a part that is not there, though the place names it.
_ABSENT = ("missing", "missing_argument", "missing_keyword_only_argument")

#: Errors about the field that says which of several models is meant.
_OF_TAGS = ("union_tag_invalid", "union_tag_not_found")


def _as_name(error: Any, expected: str | None, words: Words) -> str:
    return f"as the name of a {words.key}, expected {expected or error['msg']}"


def _sentence(cls: Any, error: Any) -> str:
    """
    What is wrong, where it is not that a value is something else than expected.
    """
    kind = error["type"]
    if kind in _ABSENT or kind == "union_tag_not_found":
        return "required, but missing"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        known = [name for name, _ in model_parts(cls)] if len(error["loc"]) == 1 else []
        meant = nearest(str(error["loc"][-1]), known)
        return f"unknown field; did you mean {meant!r}?" if meant else "unknown field"
    if kind in ("value_error", "assertion_error"):
        return str(error["ctx"]["error"]) or "not valid"
    said = str(error["msg"])
    return said[:1].lower() + said[1:]


_KINDS: dict[str, inspect.Type] = {
    "bool": inspect.BoolType(),
    "bytes": inspect.StrType(),
    "date": inspect.DateType(),
    "datetime": inspect.DateTimeType(),
    "decimal": inspect.DecimalType(),
    "dict": inspect.DictType(inspect.AnyType(), inspect.AnyType()),
    "float": inspect.FloatType(),
    "frozen_set": inspect.ListType(inspect.AnyType()),
    "int": inspect.IntType(),
    "iterable": inspect.ListType(inspect.AnyType()),
    "list": inspect.ListType(inspect.AnyType()),
    "mapping": inspect.DictType(inspect.AnyType(), inspect.AnyType()),
    "none": inspect.NoneType(),
    "set": inspect.ListType(inspect.AnyType()),
    "string": inspect.StrType(),
    "time": inspect.TimeType(),
    "time_delta": inspect.TimeDeltaType(),
    "timezone": inspect.StrType(),
    "tuple": inspect.ListType(inspect.AnyType()),
    "uuid": inspect.UUIDType(),
}

_MODELS = ("model_type", "model_attributes_type", "dataclass_type")

#: What the rest of an error's type says: that it is none of the type.
_WRONG_TYPE = (
    "type",
    "required",
    "parsing",
    "unicode",
    "from_float",
    "from_date_parsing",
    "from_datetime_parsing",
    "from_datetime_inexact",
    "object_invalid",
    "parsing_size",
    "sub_type",
)

_LIMITS: dict[str, Callable[[Any], str]] = {
    "greater_than": lambda ctx: f"a value greater than {ctx['gt']}",
    "greater_than_equal": lambda ctx: f"a value of at least {ctx['ge']}",
    "less_than": lambda ctx: f"a value less than {ctx['lt']}",
    "less_than_equal": lambda ctx: f"a value of at most {ctx['le']}",
    "multiple_of": lambda ctx: f"a multiple of {ctx['multiple_of']}",
    "finite_number": lambda ctx: "a finite number",
    "string_pattern_mismatch": lambda ctx: f"text that matches {ctx['pattern']!r}",
    "literal_error": lambda ctx: _choice(ctx["expected"]),
    "enum": lambda ctx: _choice(ctx["expected"]),
    "union_tag_invalid": lambda ctx: _choice(ctx["expected_tags"]),
    "url_parsing": lambda ctx: "a URL",
    "url_scheme": lambda ctx: f"a URL of {ctx['expected_schemes']}",
    "url_type": lambda ctx: "a URL",
}


def _expected(error: Any, words: Words) -> str | None:
    """
    What should have been there, if pydantic says that.
    """
    kind, ctx = error["type"], error.get("ctx", {})
    if kind in _LIMITS:
        return _LIMITS[kind](ctx)
    if kind in _MODELS:
        return words.table
    if kind in ("string_too_short", "string_too_long", "too_short", "too_long"):
        return _describe_length(error, ctx, words)
    if kind == "is_instance_of":
        return f"a value of {ctx['class']}"
    for name, described in _KINDS.items():
        if kind.startswith(f"{name}_") and kind[len(name) + 1 :] in _WRONG_TYPE:
            return describe_kind(described, words)
    return None


def _describe_length(error: Any, ctx: Any, words: Words) -> str:
    limits = {name: ctx.get(name) for name in ("min_length", "max_length")}
    if error["type"].startswith("string"):
        return describe_kind(inspect.StrType(**limits), words)
    if isinstance(error["input"], Mapping):
        anything = inspect.AnyType()
        return describe_kind(inspect.DictType(anything, anything, **limits), words)
    if isinstance(error["input"], str):
        return describe_kind(inspect.StrType(**limits), words)
    return describe_kind(inspect.ListType(inspect.AnyType(), **limits), words)


def _choice(said: str) -> str:
    """
    pydantic's ``'a', 'b' or 'c'`` as we say it.
    """
    several = " or " in said or ", " in said
    return f"one of {', '.join(said.rsplit(' or ', 1))}" if several else said
