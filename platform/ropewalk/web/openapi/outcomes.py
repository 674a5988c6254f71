# -*- test-case-name: tests.test_openapi -*-
"""
What may come of a handler, by what it is annotated to return.
"""

from __future__ import annotations

import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterator,
)
from functools import reduce
from operator import or_
from pathlib import PurePath
from types import NoneType, UnionType
from typing import IO, Any, Literal, Union, get_args, get_origin

from msgspec import Struct
from msgspec.structs import replace
from twisted.python.filepath import FilePath

from ropewalk.schema.schemas import Schema
from ropewalk.web.answers import (
    Accepted,
    Created,
    File,
    NoContent,
    Redirect,
    Response,
    Stream,
)
from ropewalk.web.formats import OFFERS
from ropewalk.web.problems import phrase

__all__ = ["Outcome", "outcomes"]

_STREAMS = (AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterator)
_STREAM_TYPES = ("application/x-ndjson", "text/event-stream", "application/json")
_FORM = "application/x-www-form-urlencoded"
_BYTES: Schema = {"type": "string", "format": "binary"}

_LOCATION = ("Location", "Where it is.", True)
_MAYBE_THERE = ("Location", "Where it is to be found from now on.", False)


class Outcome(Struct, frozen=True):
    """
    One way in which a handler may end well.

    :ivar status: ``"201"``; ``"2XX"`` or ``"default"`` where nobody knows.
    :ivar description: What is said of it, unless the docstring says more.
    :ivar media_types: Of the body, if there is one.
    :ivar shape: Of the value that the body is, if ``valued``.
    :ivar schema: Of a body that is no value.
    :ivar headers: Names, what they are, and whether they are always there.
    """

    status: str
    description: str
    media_types: tuple[str, ...] = ()
    shape: Any = None
    valued: bool = False
    schema: Schema = {}
    headers: tuple[tuple[str, str, bool], ...] = ()


def outcomes(
    declared: Any, output: Any = None, *, streams: bool = False
) -> list[Outcome]:
    """
    What may come of a handler.

    :param declared: What it returns when it has been waited for;
        ``inspect.Parameter.empty`` if it does not say.
    :param output: The shape of the value, where that is said besides.
    :param streams: Whether it is sent piece by piece, whatever it is.
    """
    if output is not None and declared in (inspect.Parameter.empty, Any, Response):
        declared = output
    ends: list[Outcome] = []
    values: list[Any] = []
    for kind in _alternatives(declared):
        special = _special(kind, output)
        if streams and (special is None or special.status == "default"):
            special = _stream((get_args(kind) or (Any,))[0])
        if special is None:
            values.append(kind)
        else:
            ends.append(special)
    if values:
        ends.insert(0, _value(output or reduce(or_, values)))
    return ends


def _alternatives(kind: Any) -> list[Any]:
    if get_origin(kind) not in (Union, UnionType):
        return [kind]
    return [each for part in get_args(kind) for each in _alternatives(part)]


def _special(kind: Any, output: Any) -> Outcome | None:
    """What is no mere value; ``None`` for one."""
    origin = get_origin(kind) or kind
    inner = (output,) if output is not None else get_args(kind) or (Any,)
    if kind in (inspect.Parameter.empty, Any) or origin is Response:
        return Outcome("default", "What the handler answers.")
    if kind in (None, NoneType) or origin is NoContent:
        return Outcome("204", "It was done; there is nothing to say.")
    if origin is Created:
        made = _wrapped(inner[0], "201", "It was made.")
        return replace(made, headers=(_MAYBE_THERE,))
    if origin is Accepted:
        later = _wrapped(inner[0], "202", "It will be done, later.")
        return replace(later, headers=(_MAYBE_THERE,))
    if origin is Redirect:
        return Outcome("303", "It is elsewhere.", headers=(_LOCATION,))
    if origin is tuple and _is_status(kind):
        return _with_status(kind, output)
    return _body(origin, inner)


def _body(origin: Any, inner: tuple[Any, ...]) -> Outcome | None:
    """Answers that are no values, with the status 200."""
    if origin is str:
        return Outcome("200", "A page.", ("text/html",), schema={"type": "string"})
    if origin in (bytes, bytearray, memoryview):
        return Outcome("200", phrase(200), ("*/*",), schema=_BYTES)
    if origin in _STREAMS or origin is Stream:
        return _stream(inner[0])
    if not isinstance(origin, type):
        return None
    if issubclass(origin, (File, PurePath, FilePath, IO)):
        return Outcome("200", "A file.", ("*/*",), schema=_BYTES)
    if _is_written_otherwise(origin):
        return Outcome("default", "What the handler answers.")
    return None


def _stream(piece: Any) -> Outcome:
    if piece is str:
        return Outcome("200", "Text.", ("*/*",), schema={"type": "string"})
    if piece in (bytes, Any):
        return Outcome("200", "A stream.", ("*/*",), schema=_BYTES)
    return Outcome("200", "One after the other.", _STREAM_TYPES, schema={})


def _wrapped(kind: Any, status: str, description: str) -> Outcome:
    inside = _special(kind, None) or _value(kind)
    if inside.status == "204":
        inside = replace(inside, media_types=())
    return replace(inside, status=status, description=description)


def _value(kind: Any) -> Outcome:
    """
    A value, as every media type that it can be had as: a form is for what has names.
    """
    origin = get_origin(kind) or kind
    offers = OFFERS
    if origin in (list, tuple, set, frozenset, int, float, bool):
        offers = tuple(each for each in OFFERS if each != _FORM)
    return Outcome("200", phrase(200), offers, kind, True)


def _is_status(kind: Any) -> bool:
    """Whether it is a tuple of a status and a value."""
    parts = get_args(kind)
    if len(parts) not in (2, 3) or Ellipsis in parts:
        return False
    return parts[0] is int or (
        get_origin(parts[0]) is Literal
        and all(isinstance(each, int) for each in get_args(parts[0]))
    )


def _with_status(kind: Any, output: Any) -> Outcome:
    status, value = get_args(kind)[:2]
    known = get_args(status)
    end = _special(value, output) or _value(output or value)
    if len(known) == 1:
        return replace(end, status=str(known[0]), description=phrase(known[0]))
    return replace(end, status="default", description="What the handler answers.")


def _is_written_otherwise(kind: type) -> bool:
    """Whether a class writes its answers itself: a resource, an element."""
    return any(
        base.__module__.startswith(("twisted.web.", "klein.")) for base in kind.__mro__
    )
