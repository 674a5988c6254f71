# -*- test-case-name: tests.test_words -*-
"""
What people type behind an operation's name, and what they are told of its parameters:
both by the schema of these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ropewalk.errors import RopewalkError
from ropewalk.schema import nearest, write_json

__all__ = [
    "BadWords",
    "Schema",
    "kind_of",
    "read_pairs",
    "read_text",
    "read_words",
    "rows_of",
    "split_words",
    "spoken",
    "types_of",
    "word_of",
]

Schema = Mapping[str, Any]

#: Parts that the name of a parameter may have: people type two or three.
_DEEPEST = 20

#: How deep what is typed may be nested: as far as everybody who is told it can say it.
_NESTED = 64

#: Text in JSON, and what something is nested in.
_STRING, _BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"'), re.compile(r"[\[{\]}]")

#: What stands before a value: ``room=``.
_NAMED = re.compile(r"\s*([^\s=]+)=")

_BLANK, _BARE = re.compile(r"\s+"), re.compile(r"\S*")

#: A word with blanks in it, and where it ends.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(?!\S)|\'([^\']*)\'(?!\S)')

#: What a backslash takes its meaning from.
_ESCAPED = re.compile(r'\\(["\\])')

#: What need not be quoted.
_PLAIN = re.compile(r"[^\s\"'{\[=][^\s\"=]*")

#: Characters of what is typed that are shown.
_SHOWN = 80


class BadWords(RopewalkError):
    """
    The words after an operation's name are not what it takes.
    """

    status = 422


# What is typed.


def read_words(words: Sequence[str], schema: Schema) -> dict[str, Any]:
    """
    Read the words behind an operation's name on a command line: ``--room lobby``,
    ``--room=lobby``, ``--message.text hi`` for a part, ``--message '{"text": "hi"}'``
    for all of it, ``--loud`` for true, ``--door 1 --door 2`` for a list.

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
        part = _part(schema, _steps(name), schema)
        types = types_of(part, schema)
        if equals:
            value = read_text(text, types)
        elif "boolean" in types and _ends(ahead):
            value = True
        elif not ahead:
            raise BadWords(f"--{name}: expected a value behind it")
        else:
            value = read_text(ahead.pop(0), types)
        _put(arguments, name, value, "array" in types, f"--{name}")
    return arguments


def read_pairs(text: str, schema: Schema) -> dict[str, Any]:
    """
    Read what is typed in a line: ``room=lobby text="hello there" doors=[1, 2]``,
    ``message.text=hi`` for a part. What is no parameter is read all the same: what
    there is to say of it, whoever is called says.

    :param schema: As for :func:`read_words`.
    :raise BadWords: When it cannot be read.
    """
    arguments: dict[str, Any] = {}
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _NAMED.match(text, at)
        if found is None:
            word = text[at : at + _SHOWN].split()[0]
            raise BadWords(f"{word!r}: expected {_wanted(schema)}")
        name = found[1]
        part = _find(schema, _steps(name), schema) or {}
        types = types_of(part, schema)
        value, at = _read_value(text, found.end(), types, name)
        _put(arguments, name, value, "array" in types, f"{name}=")
    return arguments


def split_words(text: str) -> list[str]:
    """
    Split a line at its blanks, but for those in quotes: ``lobby "Ada Lovelace"``.

    :raise BadWords: When a quote does not end.
    """
    words: list[str] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        begins = _BLANK.match(text, at)
        word, at, _ = _read_word(text, begins.end() if begins else at, "")
        words.append(word)
    return words


def read_text(text: str, types: set[str]) -> Any:
    """
    Read a value. What is neither text nor JSON is left as text: whoever is called
    knows best what to say of it.

    :param types: What it may be; nothing for anything.
    :raise BadWords: When it is nested too deeply.
    """
    if types == {"string"}:
        return text
    _check_depth(text)
    try:
        value = msgspec.json.decode(text.encode("utf-8"))
    except (msgspec.MsgspecError, ValueError):
        return text
    return text if "string" in types and not _is_one(value, types) else value


def _check_depth(text: str) -> None:
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket.group() in "[{" else -1
        if depth > _NESTED:
            raise BadWords(f"that is nested too deeply: at most {_NESTED} times")


def _is_one(value: Any, types: set[str]) -> bool:
    """Whether a value that is no text is what is wanted besides text."""
    match value:
        case None:
            return "null" in types
        case bool():
            return "boolean" in types
        case int() | float():
            return bool(types & {"integer", "number"})
        case list():
            return "array" in types
    return isinstance(value, dict) and "object" in types


def _read_value(text: str, at: int, types: set[str], name: str) -> tuple[Any, int]:
    """The value that stands somewhere in a line, and where it ends."""
    if text[at : at + 1] in ("{", "[") and types != {"string"}:
        _check_depth(text[at:])
        try:
            _, end = json.JSONDecoder().raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise BadWords(f"{name}=: this is no JSON: {error.msg}") from None
        return read_text(text[at:end], types), end
    word, end, quoted = _read_word(text, at, f"{name}=")
    if quoted and ("string" in types or not types):
        return word, end
    return read_text(word, types), end


def _read_word(text: str, at: int, before: str) -> tuple[str, int, bool]:
    """
    The word that stands somewhere in a line, where it ends, and whether it was quoted.

    :param before: What stands before it, for who is told.
    """
    if text[at : at + 1] not in ('"', "'"):
        bare = _BARE.match(text, at)
        end = bare.end() if bare else at
        return text[at:end], end, False
    found = _QUOTED.match(text, at)
    if found is None:
        shown = text[at : at + _SHOWN]
        raise BadWords(f"{before}{shown}: expected the same quote again at its end")
    word = found[2] if found[1] is None else _ESCAPED.sub(r"\1", found[1])
    return word, found.end(), True


def _wanted(schema: Schema) -> str:
    """What to type, for who typed something else."""
    names = [f"{name}=" for name in schema.get("properties", {})]
    return " ".join(names) or "name=value"


def _steps(name: str) -> list[str]:
    steps = name.split(".")
    if len(steps) > _DEEPEST:
        raise BadWords(f"{name[:_SHOWN]}: a name has {_DEEPEST} parts at most")
    return steps


def _ends(ahead: Sequence[str]) -> bool:
    """Whether no value follows."""
    return not ahead or ahead[0].startswith("--")


def _part(schema: Schema, steps: Sequence[str], root: Schema) -> Schema:
    """
    The schema of a parameter, or of a part of one; of what may be anything, anything.

    :raise BadWords: When there is none.
    """
    found = _find(schema, steps, root)
    if found is not None:
        return found
    for at in range(len(steps)):
        if _find(schema, steps[: at + 1], root) is None:
            above = _find(schema, steps[:at], root) or {}
            break
    fields = _fields(above, root)
    meant = nearest(steps[at], fields)
    hint = f"did you mean {meant!r}?" if meant else f"there are {_told(fields)}"
    raise BadWords(f"there is no parameter {steps[at]!r}; {hint}")


def _find(schema: Schema, steps: Sequence[str], root: Schema) -> Schema | None:
    """
    The schema of a part; of what may be anything, anything; ``None`` if there is none.
    """
    if not steps:
        return schema
    fields = _fields(schema, root)
    if steps[0] in fields:
        return _find(fields[steps[0]], steps[1:], root)
    is_closed = (schema is root and "properties" in root) or any(
        each.get("additionalProperties") is False
        for each in _alternatives(schema, root)
    )
    return None if is_closed else {}


def _fields(schema: Schema, root: Schema) -> dict[str, Schema]:
    return {
        name: inner
        for each in _alternatives(schema, root)
        for name, inner in each.get("properties", {}).items()
    }


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


def types_of(schema: Schema, root: Schema) -> set[str]:
    """What a value may be, in JSON Schema's words; nothing where nobody says."""
    types: set[str] = set()
    for each in _alternatives(schema, root):
        said = each.get("type", ())
        types |= {said} if isinstance(said, str) else {*said}
        for value in (*each.get("enum", ()), each.get("const")):
            types |= {"string"} if isinstance(value, str) else set()
    return types


def _put(
    arguments: dict[str, Any], name: str, value: Any, many: bool, told: str
) -> None:
    """
    :param told: What was typed, for who typed it.
    """
    *above, last = name.split(".")
    inside = arguments
    for step in above:
        inside = inside.setdefault(step, {})
        if not isinstance(inside, dict):
            raise BadWords(f"{told}: {step!r} was given as a whole")
    before = inside.get(last)
    if many and isinstance(before, list):
        before += value if isinstance(value, list) else [value]
    elif last in inside:
        raise BadWords(f"{told} is given twice")
    else:
        inside[last] = [value] if many and not isinstance(value, list) else value


# What is shown.


def rows_of(schema: Schema) -> Iterator[tuple[str, str, str]]:
    """
    What there is to know of parameters, one a row, and one for each part of those that
    have parts: its name, what it is, and what is said of it.
    """
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
        yield name, kind_of(inner, schema), told
        for part in parts[:1]:
            for key, deeper in part["properties"].items():
                told = deeper.get("description", "")
                yield f"{name}.{key}", kind_of(deeper, schema), told


def kind_of(schema: Schema, root: Schema) -> str:
    """What a value is, in a word or two."""
    words: dict[str, None] = {}
    for each in _alternatives(schema, root):
        if "enum" in each:
            words.update(dict.fromkeys(map(str, each["enum"])))
            continue
        said = each.get("type", "anything")
        words.update(dict.fromkeys([said] if isinstance(said, str) else said))
    return "|".join(words) or "anything"


def spoken(value: Any) -> str:
    """
    Plain data as people type it: text as it is, what has parts as ``name=value``,
    anything else in JSON.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and value and all(map(_PLAIN.fullmatch, value)):
        return " ".join(f"{name}={_part_of(each)}" for name, each in value.items())
    return _json(value)


def word_of(text: str) -> str:
    """Text as one word, in quotes where it takes these."""
    if _PLAIN.fullmatch(text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _part_of(value: Any) -> str:
    return word_of(value) if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return write_json(value).decode("utf-8")
