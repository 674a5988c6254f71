# -*- test-case-name: tests.test_formats -*-
"""
Fields that have nothing but names and texts, as a shape: ``limits.size=5`` is
the size in the limits; ``names[0]=a``, or ``names=a`` more than once, is a list.

The name of a field is the path that a fault would name it by.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, inspect

from ropewalk.schema import read
from ropewalk.schema.kinds import (
    ANYTHING,
    item_kind,
    kind_of,
    leaf_kinds,
    list_kind,
    part_kinds,
    pick,
    table_kind,
    takes_none,
    takes_table,
    takes_text,
)
from ropewalk.schema.words import Step
from ropewalk.web.queries import text_of

__all__ = ["flatten", "read_fields"]

#: One step of a name: ``.size``, ``."x y"``, ``[0]``. Each alternative starts
#: differently, so nothing is tried twice.
_STEP = re.compile(r'\.([^."\[\]]+)|\.("(?:[^"\\]|\\.)*")|\[([0-9]{1,9})\]')

#: A name that needs no quotes.
_BARE = re.compile(r"[A-Za-z0-9_-]+")

#: How deep a name may reach into a shape.
_DEEPEST = 32


class _Node(Struct):
    """
    What stands under one name, and under the names that begin with it.
    """

    values: list[Any] = []
    parts: dict[Step, _Node] = {}

    def text(self, name: str) -> str | None:
        """The only text under a part's name, if there is just one."""
        part = self.parts.get(name)
        if part is None or len(part.values) != 1:
            return None
        (value,) = part.values
        return value if isinstance(value, str) else None


def read_fields(shape: Any, fields: Mapping[str, Sequence[Any]]) -> Any:
    """
    Make a shape of the fields of a query or a form.

    Text becomes what the shape says: ``"5"`` an integer, ``"on"`` true. Blank
    text is ``None`` where there may be ``None`` but no text.

    :param fields: The texts under each name; in a multipart form also each
        :class:`~ropewalk.web.uploads.Upload`.
    :raise Invalid: With all that is wrong.
    """
    kind = kind_of(shape)
    known = part_kinds(pick(kind, takes_table))
    root = _Node()
    for name, values in fields.items():
        node = root
        for step in (name,) if name in known else _steps_of(name):
            node = node.parts.setdefault(step, _Node())
        node.values += values
    data = _arrange(kind, root) if root.parts else {}
    return read(shape, data, strict=False)


def _steps_of(name: str) -> tuple[Step, ...]:
    """
    A name taken apart; one that is not written as a path is a single step.
    """
    path, at, steps = f".{name}", 0, list[Step]()
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or len(steps) == _DEEPEST:
            return (name,)
        word, quoted, index = found.groups()
        try:
            steps.append(word or (int(index) if index else json.loads(quoted)))
        except ValueError:
            return (name,)
        at = found.end()
    return tuple(steps)


def _arrange(kind: inspect.Type, node: _Node) -> Any:
    """
    Fields as plain data, lists where the shape has lists.
    """
    if not node.parts:
        return _arrange_values(kind, node.values)
    if node.values:  # "a=5&a.b=6" is neither, and a list will be told to be none
        return [*node.values, {}]
    indexes = [step for step in node.parts if isinstance(step, int)]
    if len(indexes) == len(node.parts):
        lists = list_kind(kind)
        return [
            _arrange(item_kind(lists, place), node.parts[index])
            for place, index in enumerate(sorted(indexes))
        ]
    return _arrange_parts(kind, node)


def _arrange_parts(kind: inspect.Type, node: _Node) -> dict[str, Any]:
    table = table_kind(kind, node.text)
    known = part_kinds(table)
    other = table.value_type if isinstance(table, inspect.DictType) else ANYTHING
    arranged = {
        str(step): _arrange(known.get(str(step), other), part)
        for step, part in node.parts.items()
    }
    tag = getattr(table, "tag_field", None)
    if tag is not None and node.text(tag) == str(getattr(table, "tag", None)):
        arranged[tag] = getattr(table, "tag", None)
    return arranged


def _arrange_values(kind: inspect.Type, values: list[Any]) -> Any:
    lists = list_kind(kind)
    if lists and (len(values) != 1 or not leaf_kinds(kind)):
        return [
            _convert_text(item_kind(lists, place), value)
            for place, value in enumerate(values)
        ]
    return _convert_text(kind, values[0]) if len(values) == 1 else values


def _convert_text(kind: inspect.Type, value: Any) -> Any:
    """
    What forms say otherwise than the rest of the world: blank for ``None``, and
    ``on`` for true.
    """
    if not isinstance(value, str) or takes_text(kind):
        return value
    if value == "" and takes_none(kind):
        return None
    if pick(kind, lambda each: isinstance(each, inspect.BoolType)):
        return {"on": True, "off": False}.get(value, value)
    return value


def flatten(plain: Mapping[str, Any]) -> dict[str, list[str]]:
    """
    Plain data as fields. What is empty is left out: ``None``, a list, an object.

    :raise TypeError: When it cannot be said with fields: a list with ``None``
        in it, say.
    """
    fields: dict[str, list[str]] = {}
    for name, text in _flatten(plain, ""):
        fields.setdefault(name, []).append(text)
    return fields


def _flatten(plain: Any, name: str) -> Iterator[tuple[str, str]]:
    match plain:
        case None:
            return
        case dict():
            for key, value in plain.items():
                spelled = key if _BARE.fullmatch(key) else json.dumps(key)
                yield from _flatten(value, f"{name}.{spelled}" if name else spelled)
        case list() | tuple() if any(map(_has_parts, plain)):
            for index, each in enumerate(plain):
                parts = list(_flatten(each, f"{name}[{index}]"))
                if not parts:
                    raise TypeError("a list with nothing in one of its places")
                yield from parts
        case list() | tuple():
            for each in plain:
                yield name, text_of(each)
        case _:
            yield name, text_of(plain)


def _has_parts(plain: Any) -> bool:
    return isinstance(plain, (dict, list, tuple))
