# -*- test-case-name: tests.test_calling -*-
"""
What is typed behind an operation's name, and what is shown of an operation: both by the
schema of its parameters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ropewalk.errors import RopewalkError
from ropewalk.run.columns import align
from ropewalk.schema import nearest

__all__ = ["BadWords", "completions", "explain", "listed", "read_words"]

Schema = Mapping[str, Any]


class BadWords(RopewalkError):
    """
    The words after an operation's name are not what it takes.
    """

    status = 422


# What is typed.


def read_words(words: Sequence[str], schema: Schema) -> dict[str, Any]:
    """
    Read the words behind an operation's name: ``--room lobby``, ``--room=lobby``,
    ``--message.text hi`` for a part, ``--message '{"text": "hi"}'`` for all of it,
    ``--loud`` for true, ``--door 1 --door 2`` for a list.

    :param schema: That of the operation's parameters. What is text there is taken as
        it is, anything else is JSON.
    :raise BadWords: When they cannot be read, or there is no such parameter.
    """
    arguments: dict[str, Any] = {}
    ahead = list(words)
    while ahead:
        word = ahead.pop(0)
        name, equals, text = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise BadWords(f"{word!r}: expected a parameter like --name")
        part = _part(schema, name.split("."), schema)
        if equals:
            value = _value(text, part, schema)
        elif "boolean" in _types(part, schema) and _ends(ahead):
            value = True
        elif not ahead:
            raise BadWords(f"--{name}: expected a value behind it")
        else:
            value = _value(ahead.pop(0), part, schema)
        _put(arguments, name.split("."), value, "array" in _types(part, schema))
    return arguments


def _ends(ahead: Sequence[str]) -> bool:
    """Whether no value follows."""
    return not ahead or ahead[0].startswith("--")


def _part(schema: Schema, steps: Sequence[str], root: Schema) -> Schema:
    """
    The schema of a parameter, or of a part of one; of what may be anything, anything.
    """
    if not steps:
        return schema
    fields = {
        name: inner
        for each in _alternatives(schema, root)
        for name, inner in each.get("properties", {}).items()
    }
    if steps[0] in fields:
        return _part(fields[steps[0]], steps[1:], root)
    alternatives = list(_alternatives(schema, root))
    if (schema is root and "properties" in root) or any(
        each.get("additionalProperties") is False for each in alternatives
    ):
        meant = nearest(steps[0], fields)
        hint = f"did you mean {meant!r}?" if meant else f"there are {_told(fields)}"
        raise BadWords(f"there is no parameter {steps[0]!r}; {hint}")
    return {}


def _told(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _alternatives(schema: Schema, root: Schema) -> Iterator[Schema]:
    """A schema, what it refers to, and each of several that it may be."""
    reference = schema.get("$ref")
    if reference == "#":
        yield from _alternatives({**root, "$ref": None}, root)
    elif reference:
        name = reference.removeprefix("#/$defs/")
        yield from _alternatives(root.get("$defs", {}).get(name, {}), root)
    elif "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _alternatives(each, root)
    else:
        yield schema


def _types(schema: Schema, root: Schema) -> set[str]:
    """What a value may be; nothing where nobody says."""
    types: set[str] = set()
    for each in _alternatives(schema, root):
        said = each.get("type", ())
        types |= {said} if isinstance(said, str) else {*said}
        for value in (*each.get("enum", ()), each.get("const")):
            types |= {"string"} if isinstance(value, str) else set()
    return types


def _value(text: str, schema: Schema, root: Schema) -> Any:
    """
    Read a value. What is neither text nor JSON is sent as text: the daemon knows best
    what to say of it.
    """
    types = _types(schema, root)
    if types == {"string"}:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, str) and "string" in types else value


def _put(
    arguments: dict[str, Any], steps: Sequence[str], value: Any, many: bool
) -> None:
    *above, last = steps
    inside = arguments
    for step in above:
        inside = inside.setdefault(step, {})
        if not isinstance(inside, dict):
            raise BadWords(f"--{'.'.join(steps)}: {step!r} was given as a whole")
    if many:
        given = value if isinstance(value, list) else [value]
        value = [*inside.get(last, []), *given]
    elif last in inside:
        raise BadWords(f"--{'.'.join(steps)} is given twice")
    inside[last] = value


# What is shown.


def listed(offered: Mapping[str, Any]) -> Iterator[str]:
    """The operations, a line each."""
    rows = [(name, each["summary"]) for name, each in offered.items()]
    yield from align(rows)


def explain(operation: Mapping[str, Any]) -> Iterator[str]:
    """What there is to know of an operation before it is called."""
    name, schema = operation["name"], operation["parameters"]
    yield f"Usage: ropewalk call {name} [--PARAMETER VALUE]..."
    for text in (operation["summary"], operation["description"]):
        if text:
            yield ""
            yield from (f"  {line}".rstrip() for line in text.splitlines())
    rows = list(_rows(schema))
    if rows:
        yield ""
        yield "Parameters:"
        yield from (f"  {line}" for line in align(rows))
    yield ""
    yield f"Result: {_kind(operation['result'], operation['result'])}"
    if operation["requires"]:
        yield f"Requires: {operation['requires']}"


def completions(operation: Mapping[str, Any], begun: str) -> list[tuple[str, str]]:
    """The parameters that begin with what was typed, and what each is."""
    found = [(row[0], row[-1]) for row in _rows(operation["parameters"])]
    return [(name, about) for name, about in found if name.startswith(begun)]


def _rows(schema: Schema) -> Iterator[tuple[str, str, str]]:
    """A parameter a row, and each part of those that have parts."""
    needed = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        parts = [
            each
            for each in _alternatives(inner, schema)
            if each.get("properties") and each is not schema
        ]
        about = [] if name not in needed else ["required"]
        if "default" in inner:
            about.append(f"default {json.dumps(inner['default'])}")
        text = inner.get("description", "")
        told = " ".join([text, f"({', '.join(about)})" if about else ""]).strip()
        yield f"--{name}", _kind(inner, schema), told
        for part in parts[:1]:
            for key, deeper in part["properties"].items():
                told = deeper.get("description", "")
                yield f"--{name}.{key}", _kind(deeper, schema), told


def _kind(schema: Schema, root: Schema) -> str:
    """What a value is, in a word or two."""
    words: dict[str, None] = {}
    for each in _alternatives(schema, root):
        if "enum" in each:
            words.update(dict.fromkeys(map(str, each["enum"])))
            continue
        said = each.get("type", "anything")
        words.update(dict.fromkeys([said] if isinstance(said, str) else said))
    return "|".join(words) or "anything"
