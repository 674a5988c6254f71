# -*- test-case-name: tests.test_operations -*-
"""
What is told of an operation to those who might call it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from msgspec import Struct

from ropewalk.operations.declaring import Declaration
from ropewalk.operations.limits import Rate
from ropewalk.operations.parameters import Parameters
from ropewalk.schema import Shape
from ropewalk.schema.docstrings import read_docstring
from ropewalk.schema.schemas import REFERENCE, Schema, Shapes

__all__ = ["Offered", "describe", "schema_of"]


class Offered(Struct, frozen=True):
    """
    An operation, as those see it who may call it.

    :ivar name: What it is called: ``"chat.say"``.
    :ivar service: What stands before the dot.
    :ivar summary: What it does, in a line, without the full stop.
    :ivar doc: What else there is to say of it: CommonMark.
    :ivar requires: What it takes to call it; ``None`` for nothing.
    :ivar rate: How often each caller may; ``None`` for as often as they like.
    :ivar timeout: Seconds it may take; ``None`` for as long as it likes.
    :ivar progressive: Whether it tells how far it is.
    :ivar shape: The shape of its parameters; ``None`` if only who offers it knows.
    :ivar kind: The type of its result.
    :ivar function: The method behind it, for its docstring and its place.
    """

    name: str
    service: str
    summary: str
    doc: str
    requires: str | None
    rate: Rate | None
    timeout: float | None
    progressive: bool
    shape: type[Shape] | None
    kind: Any
    function: Callable[..., Any]

    @property
    def parameters(self) -> Schema:
        """Its parameters as JSON Schema 2020-12: an object's."""
        return {} if self.shape is None else schema_of(self.shape)

    @property
    def result(self) -> Schema:
        """Its result as JSON Schema 2020-12."""
        return schema_of(self.kind)

    def plain(self) -> dict[str, Any]:
        """The same for programs: what JSON can say."""
        rate = self.rate
        return {
            "name": self.name,
            "summary": self.summary,
            "description": self.doc,
            "parameters": self.parameters,
            "result": self.result,
            "requires": self.requires,
            "rate": rate and {"calls": rate.calls, "seconds": rate.seconds},
            "timeout": self.timeout,
            "progressive": self.progressive,
        }


def describe(
    name: str,
    method: Callable[..., Any],
    declared: Declaration,
    parameters: Parameters,
) -> Offered:
    """Say what there is to be told of an operation."""
    told = read_docstring(method.__doc__)
    return Offered(
        name,
        name.rpartition(".")[0],
        declared.summary or told.summary,
        told.description,
        declared.requires,
        declared.rate,
        declared.timeout,
        any(what == "progress" for _, what in parameters.given),
        parameters.shape,
        parameters.result,
        method,
    )


def schema_of(kind: Any) -> Schema:
    """A type as JSON Schema 2020-12."""
    try:
        return _kept_schema(kind)
    except TypeError:  # a type that has no hash
        return _make_schema(kind)


def _make_schema(kind: Any) -> Schema:
    """
    The schema of a type with all that it refers to.
    """
    shapes = Shapes([kind])
    schema = shapes.schema(kind)
    parts = dict(shapes.components)
    if (name := _referred(schema)) is not None and not _mentions(parts, name):
        schema = parts.pop(name)
    if parts:
        schema = {**schema, "$defs": parts}
    whole: Schema = _with_own_references(schema)
    return whole


_kept_schema = lru_cache(maxsize=1024)(_make_schema)


def _referred(schema: Schema) -> str | None:
    """The component that is all of a schema."""
    return schema["$ref"].removeprefix(REFERENCE) if [*schema] == ["$ref"] else None


def _mentions(thing: Any, name: str) -> bool:
    if isinstance(thing, dict):
        return any(_mentions(each, name) for each in thing.values())
    if isinstance(thing, list):
        return any(_mentions(each, name) for each in thing)
    return bool(thing == REFERENCE + name)


def _with_own_references(thing: Any) -> Any:
    """The same, with what it refers to looked for in itself."""
    if isinstance(thing, dict):
        return {key: _with_own_references(each) for key, each in thing.items()}
    if isinstance(thing, list):
        return [_with_own_references(each) for each in thing]
    if isinstance(thing, str) and thing.startswith(REFERENCE):
        return f"#/$defs/{thing.removeprefix(REFERENCE)}"
    return thing
