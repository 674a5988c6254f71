# -*- test-case-name: tests.test_schema -*-
"""
Typed values in and out of bytes: JSON, and msgpack, which is the same in fewer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar, overload

import msgspec
from msgspec import Struct

from ropewalk.errors import Fault, Invalid, Malformed
from ropewalk.schema.integers import with_integers
from ropewalk.schema.kinds import kind_of
from ropewalk.schema.making import convert, has_guests
from ropewalk.schema.shape import decode_custom, encode_custom, is_model
from ropewalk.schema.walk import find_flaws

__all__ = ["TOO_DEEP", "read_json", "read_msgpack", "write_json", "write_msgpack"]

T = TypeVar("T")

#: What is wrong with what nobody can follow.
TOO_DEEP = Fault("", "nested too deeply")

_Decode = Callable[[bytes], Any]


@overload
def read_json(shape: type[T], raw: bytes) -> T: ...
@overload
def read_json(shape: Any, raw: bytes) -> Any: ...
def read_json(shape: Any, raw: bytes) -> Any:
    """
    Make a typed value of JSON text. ``2.0`` is an integer there, too.

    :param shape: As for :func:`read`.
    :param raw: JSON in UTF-8.
    :raise Malformed: When it is no JSON, with one fault that says where.
    :raise Invalid: As :func:`read` does.
    """
    try:
        decode = _kept_json_decoder(shape)
    except TypeError:  # a type that has no hash, such as an Annotated with a dict
        decode = _json_decoder(shape)
    return _read(shape, raw, decode, _JSON)


@overload
def read_msgpack(shape: type[T], raw: bytes) -> T: ...
@overload
def read_msgpack(shape: Any, raw: bytes) -> Any: ...
def read_msgpack(shape: Any, raw: bytes) -> Any:
    """
    Make a typed value of msgpack.

    :param shape: As for :func:`read`.
    :raise Malformed: When it is no msgpack, with one fault that says why.
    :raise Invalid: As :func:`read` does.
    """
    try:
        decode = _kept_msgpack_decoder(shape)
    except TypeError:
        decode = _msgpack_decoder(shape)
    return _read(shape, raw, decode, _MSGPACK)


class _Format(Struct, frozen=True):
    """
    One way to say plain data in bytes.

    :ivar decode: Gives plain data.
    :ivar decode_mended: Gives a typed value of what was refused: called with the shape,
        the bytes, what decodes them, and the plain data with whole numbers made
        integers.
    :ivar malformed: Says why bytes are none of this.
    :ivar has_more: Whether that may help where there are no such numbers.
    """

    decode: _Decode
    decode_mended: Callable[[Any, bytes, _Decode, Any], Any]
    malformed: Callable[[bytes, Exception], Fault]
    has_more: bool = False


def _read(shape: Any, raw: bytes, decode: _Decode, plain: _Format) -> Any:
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        refused: Exception = error
    except RecursionError:
        raise Malformed((TOO_DEEP,)) from None
    try:
        data = plain.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed((plain.malformed(raw, error),)) from None
    except RecursionError:
        raise Malformed((TOO_DEEP,)) from None
    try:
        mended = with_integers(kind_of(shape), data)
        if mended is not data or plain.has_more:
            return plain.decode_mended(shape, raw, decode, mended)
    except msgspec.ValidationError as error:
        data, refused = mended, error
    except RecursionError:
        pass  # what was refused first is told
    raise Invalid(tuple(flaw.fault() for flaw in find_flaws(shape, data, refused)))


def _decode_json(shape: Any, raw: bytes, decode: _Decode, mended: Any) -> Any:
    """No digit is lost of numbers that are no integers."""
    exact = with_integers(kind_of(shape), _exact_json.decode(raw))
    return decode(_exact_json_encoder.encode(exact))


_exact_json = msgspec.json.Decoder(float_hook=Decimal)
_exact_json_encoder = msgspec.json.Encoder(decimal_format="number")


def _decode_msgpack(shape: Any, raw: bytes, decode: _Decode, mended: Any) -> Any:
    """Bytes may be said as in JSON as well."""
    return convert(shape, mended, strict=True)


def write_json(value: Any) -> bytes:
    """
    A value as JSON in UTF-8. A :class:`Secret` becomes its mask.
    """
    return _json_encoder.encode(value)


def write_msgpack(value: Any) -> bytes:
    """
    A value as msgpack. A :class:`Secret` becomes its mask.

    :raise OverflowError: When there is an integer of more than 64 bits in it.
    """
    return _msgpack_encoder.encode(value)


_json_encoder = msgspec.json.Encoder(enc_hook=encode_custom)
_msgpack_encoder = msgspec.msgpack.Encoder(enc_hook=encode_custom)


def _json_decoder(shape: Any) -> _Decode:
    if is_model(shape):
        return lambda raw: _read_model(shape, raw)
    if has_guests(shape):
        return lambda raw: convert(shape, msgspec.json.decode(raw), strict=True)
    return msgspec.json.Decoder(shape, dec_hook=decode_custom).decode


def _read_model(shape: Any, raw: bytes) -> Any:
    """
    pydantic reads JSON faster than what has been made of it, and takes numbers
    that are none.
    """
    msgspec.json.decode(raw)
    try:
        return shape.__pydantic_validator__.validate_json(raw, strict=True)
    except ValueError as error:
        raise msgspec.ValidationError(str(error)) from error


def _msgpack_decoder(shape: Any) -> _Decode:
    if has_guests(shape):
        return lambda raw: convert(shape, msgspec.msgpack.decode(raw), strict=True)
    return msgspec.msgpack.Decoder(shape, dec_hook=decode_custom).decode


_kept_json_decoder = lru_cache(maxsize=1024)(_json_decoder)
_kept_msgpack_decoder = lru_cache(maxsize=1024)(_msgpack_decoder)


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


def _no_msgpack(raw: bytes, refused: Exception) -> Fault:
    """
    Why bytes are not msgpack, and which of them is the first that is wrong.
    """
    if isinstance(refused, UnicodeDecodeError):
        return Fault("", "not msgpack: there is text that is not UTF-8")
    said = str(refused)
    if "truncated" in said:
        return Fault("", "not msgpack: it ends too early")
    said = said.rpartition("malformed: ")[2]
    return Fault("", f"not msgpack: {said[:1].lower()}{said[1:]}")


_JSON = _Format(msgspec.json.decode, _decode_json, _no_json)
_MSGPACK = _Format(msgspec.msgpack.decode, _decode_msgpack, _no_msgpack, has_more=True)
