# -*- test-case-name: tests.test_schema -*-
"""
What a value can be declared as: a shape with typed fields, and text that must
not be shown.
"""

from __future__ import annotations

import re
import sys
from pathlib import PurePath
from typing import Any, dataclass_transform

import msgspec

__all__ = [
    "MASK",
    "Secret",
    "Shape",
    "decode_custom",
    "decode_text",
    "described",
    "encode_custom",
    "is_model",
    "mask",
]

#: What is shown in place of what must not be.
MASK = "****"

# Up to the last "@": better to hide a piece of a path than to show the end of
# a password that somebody forgot to quote.
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*:)\S+(?=@)")
_QUERY_PASSWORD = re.compile(
    r"([?&][^=&\s]*(?:pass|passwd|password|secret|token)=)[^&#\s]+", re.IGNORECASE
)


# Said again for type checkers: what inherits from a shape is frozen, too.
@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    A value with typed fields that cannot be changed, read from the outside by
    :func:`~ropewalk.schema.read`; fields it does not know are refused.

    Subclass it with annotations, as for an attrs class. ``kw_only=True`` and
    ``rename="camel"`` after the name of the base class mean what they mean to
    ``msgspec.Struct``. What the annotations cannot say, ``__post_init__`` can:
    it raises :exc:`ValueError` with the sentence to be shown.
    """


class Secret(str):
    """
    Text that must not be shown: its ``repr`` is masked, and so is everything
    that contains it. It is a ``str`` to whoever works with it, so ``str.join``,
    ``format`` and ``encode`` give the real text.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Secret({MASK!r})" if self else "Secret('')"


def mask(text: str) -> str:
    """
    The same text without the passwords of the URLs in it.
    """
    return _QUERY_PASSWORD.sub(rf"\1{MASK}", _URL_PASSWORD.sub(rf"\1{MASK}", text))


def is_model(cls: Any) -> bool:
    """
    Whether a class is read and written by pydantic. Whoever has one has imported
    pydantic.
    """
    return "pydantic" in sys.modules and hasattr(cls, "__pydantic_validator__")


def described(cls: Any) -> tuple[str, str] | None:
    """
    What a class that is neither text nor a path calls its values, one and more:
    ``("a file", "files")``. One that says this is taken as it is; nothing is made
    into it.
    """
    words = getattr(cls, "described", None)
    return words if isinstance(words, tuple) else None


def decode_custom(cls: type, value: Any) -> Any:
    """
    How msgspec gets at types that it does not know: kinds of text, paths and
    pydantic models.

    :raise ValueError: When the value is not of the type.
    """
    return _decode(cls, value, strict=True)


def decode_text(cls: type, value: Any) -> Any:
    """
    The same where there is nothing but text.
    """
    return _decode(cls, value, strict=False)


def _decode(cls: type, value: Any, *, strict: bool) -> Any:
    if isinstance(value, cls):
        return value
    if issubclass(cls, (str, PurePath)) and isinstance(value, str):
        return cls(value)
    if is_model(cls):
        from ropewalk.schema.models import read_model

        return read_model(cls, value, strict=strict)
    raise ValueError(f"expected {cls.__name__}")


def encode_custom(value: Any) -> Any:
    """
    How msgspec writes types that it does not know: secrets masked.

    :raise NotImplementedError: When there is no way to write it.
    """
    if isinstance(value, Secret):
        return MASK if value else ""
    if isinstance(value, (str, PurePath)):
        return str(value)
    if is_model(type(value)):
        from ropewalk.schema.models import write_model

        return write_model(value)
    raise NotImplementedError(f"{type(value).__name__} cannot be written as JSON")
