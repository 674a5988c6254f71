# -*- test-case-name: tests.test_settings -*-
"""
Settings for people: each value as TOML would have it, secrets masked.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct, inspect, structs

from ropewalk.schema import to_plain
from ropewalk.schema.shape import MASK, Secret, mask
from ropewalk.schema.walk import bare, takes_table
from ropewalk.schema.words import Step, hides, spell
from ropewalk.settings.kinds import inner_kind, is_table
from ropewalk.settings.sources import Sources

__all__ = ["Change", "Setting", "differences", "show", "show_value"]

Steps = tuple[Step, ...]

#: Shown for "there is none", which TOML has no word for.
_NOTHING = "not set"


class Setting(Struct, frozen=True):
    """
    One value, and where it came from.

    :ivar name: Its key, with those of the tables in its table: ``limits.size``.
    :ivar text: The value as TOML has it, secrets masked.
    :ivar origin: ``"ropewalk.toml:12"``, ``"environment variable X"``, ``"file
        /run/secrets/x"`` or ``"default"``.
    :ivar hidden: Whether the value is masked as a whole.
    """

    name: str
    text: str
    origin: str
    hidden: bool = False


class Change(Struct, frozen=True):
    """
    One key that is different in two values of a shape.

    :ivar key: Its name, with those of the tables around it.
    :ivar old: The old value as TOML has it, secrets masked.
    :ivar new: The new one.
    """

    key: str
    old: str
    new: str


def differences(
    old: Struct, new: Struct, hidden: Collection[str] = ()
) -> tuple[Change, ...]:
    """
    What is different in two values of one shape, in the order of the shape.

    :param hidden: More keys whose values are not to be shown, besides secrets.
    """
    before, after = dict(_flatten(old, ())), dict(_flatten(new, ()))
    changes = []
    for steps in {**before, **after}:
        a, b = before.get(steps), after.get(steps)
        if a != b and {} not in (a, b):
            key = spell(steps)
            hide = key in hidden
            changes.append(
                Change(key, show_value(a, hide=hide), show_value(b, hide=hide))
            )
    return tuple(changes)


def _flatten(value: Any, steps: Steps) -> Iterator[tuple[Steps, Any]]:
    if isinstance(value, Struct):
        for field in structs.fields(value):
            yield from _flatten(getattr(value, field.name), (*steps, field.encode_name))
    elif isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flatten(item, (*steps, str(key)))
    else:
        yield steps, value


def show(sources: Sources) -> Iterator[Setting]:
    """
    Every value of a table, in the order of its shape.
    """
    yield from _show(sources, sources.kind, sources.data, ())


def _show(
    sources: Sources, kind: inspect.Type, value: Any, steps: Steps
) -> Iterator[Setting]:
    if is_table(kind) and isinstance(value, Mapping) and (value or not steps):
        yield from _show_table(sources, kind, value, steps)
    elif (
        isinstance(value, list)
        and value
        and is_table(inner_kind(kind, 0))
        and all(isinstance(item, Mapping) for item in value)
    ):
        for index, item in enumerate(value):
            yield from _show(sources, inner_kind(kind, index), item, (*steps, index))
    else:
        origin = sources.elsewhere.get(steps) or sources.origin(steps).text
        hide = hides(kind) or sources.hidden(steps)
        yield Setting(spell(steps), show_value(value, hide=hide), origin, hide)


def _show_table(
    sources: Sources, kind: inspect.Type, table: Mapping[str, Any], steps: Steps
) -> Iterator[Setting]:
    fields = {field.encode_name: field for field in _fields(kind, table)}
    for name, field in fields.items():
        place = (*steps, name)
        if name in table:
            yield from _show(sources, field.type, table[name], place)
        elif not field.required:
            yield from _show_default(field, place)
    if fields:
        return  # what it does not know may be a secret under a misspelled name
    for name, value in table.items():
        yield from _show(sources, inner_kind(kind, name), value, (*steps, name))


def _fields(kind: inspect.Type, table: Mapping[str, Any]) -> tuple[inspect.Field, ...]:
    """
    The fields of what a table is, or of the one thing that its tag says.
    """
    kind = bare(kind)
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    for each in map(bare, kinds):
        if isinstance(each, inspect.StructType) and each.tag_field is not None:
            if table.get(each.tag_field, each.tag) == each.tag:
                return each.fields
        elif takes_table(each) and not isinstance(each, inspect.DictType):
            fields: tuple[inspect.Field, ...] = getattr(each, "fields", ())
            return fields
    return ()


def _show_default(field: inspect.Field, steps: Steps) -> Iterator[Setting]:
    if field.default_factory is not NODEFAULT:
        default = field.default_factory()
    elif field.default is not NODEFAULT:
        default = field.default
    else:
        default = None
    hide = hides(field.type)
    for place, value in _flatten(default, steps):
        masked = hide and not isinstance(value, Struct)
        yield Setting(spell(place), show_value(value), "default", masked)


def show_value(value: Any, *, hide: bool = False) -> str:
    """
    A value as TOML has it.

    :param hide: Show only whether there is something.
    """
    match value:
        case None | msgspec.UNSET:
            return _NOTHING
        case _ if (hide or isinstance(value, Secret)) and value != "":
            return MASK
        case str():
            return json.dumps(mask(value), ensure_ascii=False)
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case list() | tuple() | set() | frozenset():
            return f"[{', '.join(show_value(item) for item in value)}]"
        case Mapping():
            pairs = (
                f"{spell([str(key)])} = {show_value(item)}"
                for key, item in value.items()
            )
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
        case _:
            try:
                plain = to_plain(value)
            except (NotImplementedError, TypeError):
                return repr(value)  # what TOML cannot say, a default may well be
            same = type(plain) is type(value)
            return json.dumps(str(plain)) if same else show_value(plain)
