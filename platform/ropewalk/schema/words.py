# -*- test-case-name: tests.test_schema -*-
"""
How types, values and places are put into words for people.
"""

from __future__ import annotations

import datetime
import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from msgspec import Struct, inspect

from ropewalk.schema.kinds import parts_in, type_info
from ropewalk.schema.shape import Secret, described, is_model, mask

__all__ = [
    "DATA",
    "SETTINGS",
    "Step",
    "Words",
    "describe",
    "describe_kind",
    "hides",
    "nearest",
    "pattern_words",
    "shorten",
    "show_got",
    "spell",
]

#: One step into a value: the name of a field, or the index in a list.
Step = str | int

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_LONGEST = 60


class Words(Struct, frozen=True):
    """
    What the parts of a value are called where it was written.

    :ivar key: A named part of an object.
    :ivar branch: A named part that has named parts itself.
    :ivar table: Something with named parts, with its article.
    :ivar tables: More than one of these.
    :ivar nothing: The value for "there is none"; empty where none can be written.
    """

    key: str
    branch: str
    table: str
    tables: str
    nothing: str


#: For JSON, forms and messages.
DATA = Words("field", "field", "an object", "objects", "null")

#: For TOML.
SETTINGS = Words("key", "table", "a table", "tables", "")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """
    The known word that somebody who wrote another one may have meant.

    :return: the most similar word, or ``None`` when none is similar.
    """
    if len(word) > _LONGEST:
        return None
    folded = {_fold(name): name for name in known}
    found = difflib.get_close_matches(_fold(word), folded, n=1)
    return folded[found[0]] if found else None


def _fold(word: str) -> str:
    return word.lower().replace("-", "_")


def spell(steps: Iterable[Step]) -> str:
    """
    Write a place in a value: ``limits.size``, ``names[2]``, ``headers."x y"``.
    """
    written = ""
    for step in steps:
        if isinstance(step, int):
            written += f"[{step}]"
        else:
            written += f".{_spell_key(step)}" if written else _spell_key(step)
    return written


def _spell_key(key: str) -> str:
    if _BARE.match(key):
        return shorten(key)
    return json.dumps(shorten(key), ensure_ascii=False)


def shorten(text: str) -> str:
    """
    The text, or its beginning when it is long.
    """
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def show_got(value: Any, words: Words, *, hide: bool = False) -> str:
    """
    A value as a message shows it: never long, never a secret.

    :param hide: Tell only what kind of value it is.
    """
    match value:
        case Mapping() | Struct():
            return words.table
        case list() | tuple() | set() | frozenset():
            return _show_list(len(value))
        case None:
            return words.nothing or "nothing"
        case _ if hide or isinstance(value, Secret):
            return f"{_sort_of(value)} (not shown)"
        case bool():
            return "true" if value else "false"
        case str():
            return _show_text(value)
        case int() if abs(value) >= 10**_LONGEST:
            return "a huge integer"
        case datetime.date() | datetime.time():
            return str(value.isoformat())
        case bytes() | bytearray() | memoryview():
            return f"{len(value)} bytes"
        case _ if (said := described(type(value))) is not None:
            return said[0]
        case _:
            return shorten(mask(repr(value)))


def _show_text(text: str) -> str:
    if len(text) <= _LONGEST:
        return repr(mask(text))
    # Masked before it is cut: the "@" after a password may be what is cut off.
    start = mask(text[: 20 * _LONGEST])[:_LONGEST]
    return f"{start + '…'!r} ({len(text)} characters)"


def _show_list(length: int) -> str:
    if length == 0:
        return "an empty list"
    return f"a list of {length} {'item' if length == 1 else 'items'}"


def _sort_of(value: Any) -> str:
    match value:
        case str():
            return "text"
        case bool():
            return "true or false"
        case int():
            return "an integer"
        case float():
            return "a number"
        case _:
            return "a value"


def describe(shape: Any) -> str:
    """
    Say what values a type takes: ``"an integer from 0 to 10000"``, ``"a list of
    text"``, ``"one of 'a', 'b'"``.

    :param shape: Any type that :func:`~ropewalk.schema.read` takes.
    """
    return describe_kind(type_info(shape), DATA)


def describe_kind(kind: inspect.Type, words: Words, *, many: bool = False) -> str:
    """
    As :func:`describe`, of a type that msgspec has taken apart.

    :param many: Say it of more than one: ``"integers from 0 to 10000"``.
    """
    match kind:
        case inspect.Metadata():
            return pattern_words(kind) or describe_kind(kind.type, words, many=many)
        case inspect.IntType():
            return ("integers" if many else "an integer") + _range(kind)
        case inspect.FloatType():
            return ("numbers" if many else "a number") + _range(kind)
        case inspect.StrType():
            matches = f" that matches {kind.pattern!r}" if kind.pattern else ""
            return "text" + _length(kind, "character") + matches
        case inspect.LiteralType() | inspect.EnumType():
            return _choice(kind, words, many)
        case inspect.CustomType():
            return _describe_custom(kind.cls, words)[many]
        case inspect.UnionType():
            return _either(kind, words, many)
        case inspect.TupleType():
            items = (describe_kind(item, words) for item in kind.item_types)
            lists = "lists" if many else "a list"
            return f"{lists} of {len(kind.item_types)} items: {', '.join(items)}"
        case inspect.CollectionType():
            lists = "lists" if many else "a list"
            return lists + _of(kind.item_type, words) + _length(kind, "item", ", with")
        case inspect.DictType():
            tables = words.tables if many else words.table
            size = _length(kind, words.key, ", with")
            return tables + _of(kind.value_type, words) + size
        case _:
            one, more = _NAMES.get(type(kind), (words.table, words.tables))
            return more if many else one


def _describe_custom(cls: type, words: Words) -> tuple[str, str]:
    if issubclass(cls, PurePath):
        return "a path", "paths"
    if issubclass(cls, str):
        return "text", "text"
    if is_model(cls) and not getattr(cls, "__pydantic_root_model__", False):
        return words.table, words.tables
    return described(cls) or (cls.__name__, cls.__name__)


def pattern_words(kind: inspect.Type) -> str | None:
    """
    What the text is called that a pattern describes: the ``description`` of its
    ``Meta``. A regular expression is no help to most people.
    """
    if not isinstance(kind, inspect.Metadata):
        return None
    if not isinstance(kind.type, inspect.StrType) or kind.type.pattern is None:
        return None
    said = (kind.extra_json_schema or {}).get("description")
    return said if isinstance(said, str) else None


_NAMES: dict[type, tuple[str, str]] = {
    inspect.AnyType: ("anything", "anything"),
    inspect.RawType: ("anything", "anything"),
    inspect.BoolType: ("true or false", "true or false"),
    inspect.NoneType: ("null", "null"),
    inspect.BytesType: ("base64 text", "base64 text"),
    inspect.ByteArrayType: ("base64 text", "base64 text"),
    inspect.MemoryViewType: ("base64 text", "base64 text"),
    inspect.DateTimeType: (
        "a date and time such as 2026-01-31T12:00:00Z",
        "dates and times such as 2026-01-31T12:00:00Z",
    ),
    inspect.DateType: ("a date such as 2026-01-31", "dates such as 2026-01-31"),
    inspect.TimeType: ("a time such as 12:00:00", "times such as 12:00:00"),
    inspect.TimeDeltaType: (
        "a duration such as 'PT1H30M'",
        "durations such as 'PT1H30M'",
    ),
    inspect.UUIDType: ("a UUID", "UUIDs"),
    inspect.DecimalType: ("a decimal number", "decimal numbers"),
    inspect.NamedTupleType: ("a list", "lists"),
}


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        said = f" from {kind.ge} to {kind.le}"
    else:
        said = " and".join(_bounds(kind))
    return said + (f", a multiple of {kind.multiple_of}" if kind.multiple_of else "")


def _bounds(kind: inspect.IntType | inspect.FloatType) -> Iterator[str]:
    if kind.ge is not None:
        yield f" of at least {kind.ge}"
    if kind.gt is not None:
        yield f" greater than {kind.gt}"
    if kind.le is not None:
        yield f" of at most {kind.le}"
    if kind.lt is not None:
        yield f" less than {kind.lt}"


def _length(kind: Any, unit: str, link: str = " of") -> str:
    least, most = kind.min_length, kind.max_length
    if least is None and most is None:
        return ""
    if least is None:
        count, last = f"at most {most}", most
    elif most is None:
        count, last = f"at least {least}", least
    elif least == most:
        count, last = f"exactly {most}", most
    else:
        count, last = f"{least} to {most}", most
    return f"{link} {count} {unit if last == 1 else unit + 's'}"


def _of(kind: inspect.Type, words: Words) -> str:
    if isinstance(kind, inspect.AnyType):
        return ""
    return f" of {describe_kind(kind, words, many=True)}"


def choices(kind: inspect.LiteralType | inspect.EnumType) -> tuple[Any, ...]:
    """
    The values that a choice is made from.
    """
    if isinstance(kind, inspect.EnumType):
        return tuple(member.value for member in kind.cls)
    return kind.values


def _choice(
    kind: inspect.LiteralType | inspect.EnumType, words: Words, many: bool
) -> str:
    values = [value for value in choices(kind) if value is not None or words.nothing]
    said = ", ".join(show_got(value, words) for value in values)
    if len(values) > 1:
        said = f"one of {said}"
    return f"values, each {said}" if many else said


def _either(kind: inspect.UnionType, words: Words, many: bool) -> str:
    said = []
    for each in kind.types:
        if isinstance(each, inspect.NoneType):
            continue
        text = describe_kind(each, words, many=many)
        if text not in said:
            said.append(text)
    if kind.includes_none and words.nothing:
        said.append(words.nothing)
    return " or ".join(said)


def hides(kind: inspect.Type) -> bool:
    """
    Whether values of this type may hold a secret.
    """
    return _holds_secret(kind, set())


def _holds_secret(kind: inspect.Type, seen: set[int]) -> bool:
    if id(kind) in seen:
        return False
    seen.add(id(kind))
    if isinstance(kind, inspect.CustomType):
        if is_model(kind.cls):
            from ropewalk.schema.models import hides_any

            return hides_any(kind.cls)
        return issubclass(kind.cls, Secret)
    return any(_holds_secret(part, seen) for part in parts_in(kind))
