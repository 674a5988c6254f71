# -*- test-case-name: tests.test_schema -*-
"""
Shapes: typed values in and out of JSON, forms and TOML, with all that is wrong
with a value told at once, by place, in words for whoever wrote it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, TypeVar, overload

import msgspec
from msgspec import Meta, field

from ropewalk.errors import Fault, Invalid, Malformed
from ropewalk.schema.shape import Secret, Shape, decode_custom, encode_custom, mask
from ropewalk.schema.walk import convert, find_flaws
from ropewalk.schema.words import describe, nearest

__all__ = [
    "Meta",
    "Secret",
    "Shape",
    "describe",
    "field",
    "mask",
    "nearest",
    "read",
    "read_json",
    "to_plain",
    "write_json",
]

T = TypeVar("T")


@overload
def read(shape: type[T], data: Any, *, strict: bool = True) -> T: ...
@overload
def read(shape: Any, data: Any, *, strict: bool = True) -> Any: ...
def read(shape: Any, data: Any, *, strict: bool = True) -> Any:
    """
    Make a typed value of plain data: of dicts, lists and what TOML or JSON have
    in them.

    :param shape: A :class:`Shape`, or any other type that msgspec knows:
        ``list[Message]``, ``int | None``, a dataclass.
    :param strict: ``False`` converts text (``"500"`` to 500, ``"true"`` to
        ``True``), for query strings, forms and environment variables.
    :raise Invalid: With all that is wrong, in the order of the shape.
    """
    try:
        return convert(shape, data, strict=strict)
    except msgspec.ValidationError as refused:
        flaws = find_flaws(shape, data, refused, strict=strict)
        faults = tuple(flaw.fault() for flaw in flaws)
    except RecursionError:
        faults = (_TOO_DEEP,)
    raise Invalid(faults)


@overload
def read_json(shape: type[T], raw: bytes) -> T: ...
@overload
def read_json(shape: Any, raw: bytes) -> Any: ...
def read_json(shape: Any, raw: bytes) -> Any:
    """
    Make a typed value of JSON text.

    :param shape: As for :func:`read`.
    :param raw: JSON in UTF-8.
    :raise Malformed: When it is no JSON, with one fault that says where.
    :raise Invalid: As :func:`read` does.
    """
    try:
        return _decoder(shape).decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        refused = error
    except RecursionError:
        raise Malformed((_TOO_DEEP,)) from None
    try:
        data = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed((_no_json(raw, error),)) from None
    except RecursionError:
        raise Malformed((_TOO_DEEP,)) from None
    raise Invalid(tuple(flaw.fault() for flaw in find_flaws(shape, data, refused)))


def to_plain(value: Any) -> Any:
    """
    What JSON can say of a value: dicts, lists, text and numbers. A
    :class:`Secret` becomes its mask.
    """
    return msgspec.to_builtins(value, str_keys=True, enc_hook=encode_custom)


def write_json(value: Any) -> bytes:
    """
    A value as JSON in UTF-8. A :class:`Secret` becomes its mask.
    """
    return _encoder.encode(value)


_encoder = msgspec.json.Encoder(enc_hook=encode_custom)

_TOO_DEEP = Fault("", "nested too deeply")


def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    try:
        return _kept_decoder(shape)
    except TypeError:  # a type that has no hash, such as an Annotated with a dict
        return msgspec.json.Decoder(shape, dec_hook=decode_custom)


@lru_cache(maxsize=1024)
def _kept_decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape, dec_hook=decode_custom)


def _no_json(raw: bytes, refused: Exception) -> Fault:
    """
    Why a text is not JSON, and where it stops being it.
    """
    if "truncated" in str(refused):
        return Fault("", "not JSON: it ends too early")
    if "out of range" in str(refused):
        return Fault("", "a number is too large")
    try:
        json.loads(raw.decode("utf-8"))  # slower, but it tells the right place
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        problem = "not UTF-8"
    except json.JSONDecodeError as error:
        problem = error.msg[:1].lower() + error.msg[1:]
        problem, line, column = problem.removesuffix(" at"), error.lineno, error.colno
    except (ValueError, RecursionError):
        return Fault("", "not JSON")
    else:
        return Fault("", "not JSON: NaN and Infinity are not numbers there")
    return Fault("", f"not JSON: {problem} at line {line}, column {column}")
