# -*- test-case-name: tests.test_media -*-
"""
Formats of a site's own: media types that ropewalk does not know, and others in place
of those that it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import DecodeError, ValidationError

from ropewalk.errors import Fault, Invalid, Malformed, RopewalkError
from ropewalk.schema import write_json

__all__ = ["NONE", "Formats", "base_of", "formats_of"]

_JSON = "application/json"

#: RFC 6838, section 4.2, in small letters.
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")

#: What handlers ask for field by field is no whole that a format could read.
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")

Read = Callable[[Any, bytes], Any]
Write = Callable[[Any], bytes]


class Formats(Mapping[str, Any]):
    """
    Formats by media type. A format is an object with one of these methods, or both:

    ``write(value) -> bytes``
        writes what a handler returned; :func:`ropewalk.schema.to_plain` has it as
        dicts, lists and the like. What it raises says that it cannot.
    ``read(shape, raw) -> Any``
        makes a value of a body; :func:`ropewalk.schema.read` does of dicts, lists and
        the like. A ``ValueError`` says that the bytes are not in the format (400).

    One for ``application/json`` is also for ``application/problem+json`` and whatever
    else is JSON by its name (RFC 6839), unless there is one for that.

    :param formats: By media types without parameters.
    :raise ValueError: For what is no media type, and for forms: handlers ask for their
        fields.
    :raise TypeError: For what can neither read nor write.
    :ivar written: The media types that values can be had as, besides others.
    :ivar accepted: The media types that are read, besides others.
    """

    def __init__(self, formats: Mapping[str, Any] | None = None) -> None:
        self._formats = dict(formats or {})
        for media_type, each in self._formats.items():
            if not _MEDIA_TYPE.fullmatch(media_type):
                raise ValueError(
                    f"{media_type!r} is no media type: write one like "
                    "application/cbor, in small letters"
                )
            if media_type in _FORMS:
                raise ValueError(f"no format can take the place of {media_type}")
            if not _can(each, "write") and not _can(each, "read"):
                raise TypeError(
                    f"{each!r} is no format: it has neither write(value) nor "
                    "read(shape, raw)"
                )
        self.written = tuple(self._those_that("write"))
        self.accepted = tuple(self._those_that("read"))

    def __getitem__(self, media_type: str) -> Any:
        return self._formats[media_type]

    def __iter__(self) -> Iterator[str]:
        return iter(self._formats)

    def __len__(self) -> int:
        return len(self._formats)

    def writer(self, media_type: str) -> Write | None:
        """
        What writes a media type: ``None`` if no format of these does.
        """
        found = self._find(media_type, "write")
        if found is None:
            return None

        def write(value: Any) -> bytes:
            written = found.write(value)
            if not isinstance(written, bytes):
                kind = type(written).__name__
                raise TypeError(f"{_name(found)}.write returned {kind}, not bytes")
            return written

        return write

    def reader(self, media_type: str) -> Read | None:
        """
        What reads a media type: ``None`` if no format of these does. It raises
        :class:`Malformed` and :class:`Invalid` only, or what is our own fault.
        """
        found = self._find(media_type, "read")
        if found is None:
            return None

        def read(shape: Any, raw: bytes) -> Any:
            try:
                return found.read(shape, raw)
            except RopewalkError:
                raise
            except ValidationError as error:
                raise Invalid((Fault("", _sentence(error)),)) from error
            except (DecodeError, ValueError, EOFError, RecursionError) as error:
                problem = f"not {media_type}: {_sentence(error)}"
                raise Malformed((Fault("", problem),)) from error

        return read

    @property
    def json(self) -> Write:
        """What writes JSON."""
        return self.writer(_JSON) or write_json

    def _find(self, media_type: str, what: str) -> Any:
        for each in (media_type, base_of(media_type)):
            found = self._formats.get(each)
            if _can(found, what):
                return found
        return None

    def _those_that(self, what: str) -> Iterator[str]:
        return (name for name, each in self._formats.items() if _can(each, what))


#: Where there are none.
NONE = Formats()


def formats_of(request: Any) -> Formats:
    """The formats of the site to which a request came."""
    found: Formats = getattr(getattr(request, "site", None), "formats", NONE)
    return found


def base_of(media_type: str) -> str:
    """
    The format by which a media type says it is written (RFC 6839):
    ``application/json`` for ``application/problem+json``; itself, if it does not say.
    """
    subtype, _, suffix = media_type.rpartition("+")
    return f"application/{suffix}" if subtype else media_type


def _can(candidate: Any, what: str) -> bool:
    return callable(getattr(candidate, what, None))


def _name(candidate: Any) -> str:
    kind = candidate if isinstance(candidate, type) else type(candidate)
    return kind.__qualname__


def _sentence(error: Exception) -> str:
    said = str(error)
    return said[:1].lower() + said[1:] if said else type(error).__name__
