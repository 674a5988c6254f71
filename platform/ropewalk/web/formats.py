# -*- test-case-name: tests.test_formats -*-
"""
The formats in which values come and go: JSON, msgpack, XML and forms, chosen by
``Content-Type`` and ``Accept``. What is wrong with a value is told in the same
words, whatever it came in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, cast

from attrs import define
from msgspec import inspect

from ropewalk.errors import Fault, Malformed, RopewalkError
from ropewalk.schema import (
    read_json,
    read_msgpack,
    to_plain,
    write_json,
    write_msgpack,
)
from ropewalk.schema.kinds import (
    alternatives,
    bare,
    kind_of,
    takes_none,
    takes_table,
)
from ropewalk.schema.words import shorten
from ropewalk.web.fields import flatten, read_fields
from ropewalk.web.media import NONE, Formats, base_of
from ropewalk.web.queries import read_query, write_query
from ropewalk.web.uploads import Upload, close_all, read_parts

__all__ = [
    "OFFERS",
    "Unsupported",
    "Unwritable",
    "Upload",
    "accepted",
    "can_write",
    "parse_type",
    "read_body",
    "read_fields",
    "read_form",
    "write_body",
]

_JSON = "application/json"
_MSGPACK = "application/msgpack"
_XML = "application/xml"
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"

#: What values can be written as; the one to choose without a preference first.
OFFERS: tuple[str, ...] = (_JSON, _MSGPACK, _XML, _FORM)

#: Other names of the same formats.
_ALIASES = {
    "application/vnd.msgpack": _MSGPACK,
    "application/x-msgpack": _MSGPACK,
    "text/xml": _XML,
    "text/json": _JSON,
}

_FORMS = (_FORM, _MULTIPART)

#: Names of UTF-8, and of what is UTF-8 as well.
_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")

#: A parameter of a media type: up to a semicolon that is not in quotes.
_PARAMETER = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+')
_QUOTED_PAIR = re.compile(r"\\(.)")

#: RFC 2046, section 5.1.1, allows 70 characters.
_LONGEST_BOUNDARY = 200

#: What says that a class has fields: msgspec's, dataclasses', attrs' and
#: pydantic's mark.
_MARKS = (
    "__struct_fields__",
    "__dataclass_fields__",
    "__attrs_attrs__",
    "__pydantic_fields__",
)


@define
class Unsupported(RopewalkError):
    """
    A body came in a format that is not read.

    :ivar media_type: What it came as; empty when that was not said.
    :ivar accepted: The media types that are read instead, for an ``Accept``
        header of the answer (RFC 9110, section 15.5.16).
    """

    status = 415

    media_type: str
    accepted: tuple[str, ...]

    def __str__(self) -> str:
        came = (
            f"of type {shorten(self.media_type)!r}" if self.media_type else "like this"
        )
        return f"a body {came} is not read here; send {_either(self.accepted)} in UTF-8"


@define
class Unwritable(RopewalkError):
    """
    A value cannot be said in the format that was chosen.

    :ivar media_type: The format.
    :ivar problem: What it has no words for.
    """

    status = 406

    media_type: str
    problem: str

    def __str__(self) -> str:
        return f"this cannot be written as {self.media_type}: {self.problem}"


def read_body(
    shape: Any,
    content_type: str | None,
    body: BinaryIO,
    length: int,
    formats: Formats = NONE,
) -> Any:
    """
    Make a typed value of a request's body.

    :param shape: As for :func:`ropewalk.schema.read`.
    :param content_type: The header; without one, the body is JSON.
    :param body: At its beginning.
    :param length: How long it is, in bytes.
    :param formats: Formats that go before the built-in ones.
    :raise Unsupported: When the format is none that is read.
    :raise Malformed: When the body is empty, or not in its format.
    :raise Invalid: With all that is wrong with the value.
    """
    kind, parameters = _JSON, dict[str, str]()
    if content_type is not None and content_type != _JSON:
        kind, parameters = _format_of(content_type, shape, formats)
    if length == 0 and (kind != _FORM or takes_none(kind_of(shape))):
        return _read_nothing(shape)
    if formats and (own := formats.reader(kind)) is not None:
        return own(shape, body.read())
    match kind:
        case "application/json":
            return read_json(shape, body.read())
        case "application/msgpack":
            return read_msgpack(shape, body.read())
        case "application/xml":
            from ropewalk.web.markup import read_xml

            return read_xml(shape, body.read())
        case _:
            fields = _read_fields_of(kind, parameters, body)
            return _claim(shape, fields)


def read_form(
    content_type: str | None, body: BinaryIO, length: int
) -> dict[str, list[Any]]:
    """
    The fields of a form: texts, and each file as an :class:`Upload`, which the
    caller has to close. No body is a form without fields.

    :raise Unsupported: When the body is no form.
    :raise Malformed: When it cannot be taken apart.
    """
    if content_type is None and length == 0:
        return {}
    kind, parameters = _format_of(content_type or "", dict)
    if kind not in _FORMS:
        raise Unsupported(content_type or "", _FORMS)
    if kind == _FORM and length == 0:
        return {}
    return _read_fields_of(kind, parameters, body)


def _read_fields_of(
    kind: str, parameters: Mapping[str, str], body: BinaryIO
) -> dict[str, list[Any]]:
    if kind == _FORM:
        return cast(dict[str, list[Any]], read_query(body.read()))
    boundary = parameters.get("boundary", "")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY or not boundary.isascii():
        raise Malformed((Fault("", "not a form: the boundary is missing"),))
    return cast(dict[str, list[Any]], read_parts(body, boundary))


def _claim(shape: Any, fields: dict[str, list[Any]]) -> Any:
    """
    A shape of fields. When there is none, no file is left open.
    """
    try:
        return read_fields(shape, fields)
    except BaseException:
        close_all(fields.values())
        raise


def _read_nothing(shape: Any) -> None:
    if not takes_none(kind_of(shape)):
        raise Malformed((Fault("", "the body is empty"),))


def _format_of(
    content_type: str, shape: Any, formats: Formats = NONE
) -> tuple[str, dict[str, str]]:
    """
    The format that a ``Content-Type`` names, under its own name.

    :param formats: Formats that go before the built-in ones.

    :raise Unsupported: When it is none that is read, or not in UTF-8.
    """
    kind, parameters = parse_type(content_type)
    charset = parameters.get("charset", "utf-8").lower()
    if kind not in formats.accepted:
        base = base_of(kind)
        if base in (_JSON, _XML, *formats.accepted):
            kind = base
        kind = _ALIASES.get(kind, kind)
    known = (*OFFERS, _MULTIPART, *formats.accepted)
    if kind not in known or charset not in _CHARSETS:
        raise Unsupported(content_type, accepted(shape, formats))
    return kind, parameters


def parse_type(content_type: str) -> tuple[str, dict[str, str]]:
    """
    A ``Content-Type`` taken apart (RFC 9110, section 8.3.1): the media type and
    its parameters, names in lower case. What is no parameter is left out.
    """
    kind, _, rest = content_type.partition(";")
    parameters: dict[str, str] = {}
    for parameter in _PARAMETER.findall(rest):
        name, _, text = parameter.strip().partition("=")
        if not name or not text or name[-1].isspace() or text[0].isspace():
            continue
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = _QUOTED_PAIR.sub(r"\1", text[1:-1])
        parameters.setdefault(name.lower(), text)
    return kind.strip().lower(), parameters


def accepted(shape: Any, formats: Formats = NONE) -> tuple[str, ...]:
    """
    The media types that a shape can be read from.

    :param formats: Formats besides the built-in ones.
    """
    kind = kind_of(shape)
    known = tuple(dict.fromkeys((*OFFERS, *formats.accepted)))
    if not any(map(takes_table, alternatives(kind))):
        return tuple(each for each in known if each != _FORM)
    if _needs_upload(kind, set()):
        return (_MULTIPART,)
    return (*known, _MULTIPART)


def _needs_upload(kind: inspect.Type, seen: set[int]) -> bool:
    """
    Whether there is no value without a file in it.
    """
    kind = bare(kind)
    if isinstance(kind, inspect.CustomType):
        return issubclass(kind.cls, Upload)
    if id(kind) in seen or not isinstance(kind, inspect.StructType):
        return False
    seen.add(id(kind))
    return any(
        _needs_upload(field.type, seen) for field in kind.fields if field.required
    )


def can_write(value: Any, media_type: str) -> bool:
    """
    Whether a value is of a sort that a format has: a form has nothing but
    fields.
    """
    if media_type != _FORM:
        return True
    return isinstance(value, dict) or any(hasattr(value, each) for each in _MARKS)


def write_body(value: Any, media_type: str) -> bytes:
    """
    A value in one of the :data:`OFFERS`. A :class:`~ropewalk.schema.Secret`
    becomes its mask.

    :raise Unwritable: When the format has no way to say it.
    """
    match media_type:
        case "application/json":
            return write_json(value)
        case "application/msgpack":
            write = _write_msgpack
        case "application/xml":
            from ropewalk.web.markup import write_xml as write
        case "application/x-www-form-urlencoded":
            write = _write_form
        case _:
            raise Unwritable(media_type, f"write {_either(OFFERS)} instead")
    try:
        return write(value)
    except ValueError as error:
        raise Unwritable(media_type, str(error)) from None


def _write_msgpack(value: Any) -> bytes:
    try:
        return write_msgpack(value)
    except OverflowError:
        raise ValueError("an integer of more than 64 bits") from None


def _write_form(value: Any) -> bytes:
    plain = to_plain(value)
    if not isinstance(plain, dict):
        raise ValueError("only an object has fields")
    try:
        return write_query(flatten(plain)).encode()
    except TypeError as error:
        raise ValueError(str(error)) from None


def _either(words: Sequence[str]) -> str:
    *some, last = words
    return f"{', '.join(some)} or {last}" if some else last
