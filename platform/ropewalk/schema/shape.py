# -*- test-case-name: tests.test_schema -*-
"""
What a value can be declared as: a shape with typed fields, and text that must
not be shown.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any, dataclass_transform

import msgspec

__all__ = ["MASK", "Secret", "Shape", "decode_custom", "encode_custom", "mask"]

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


def decode_custom(cls: type, value: Any) -> Any:
    """
    How msgspec gets at types that it does not know: kinds of text, and paths.

    :raise ValueError: When the value is not of the type.
    """
    if isinstance(value, cls):
        return value
    if issubclass(cls, (str, PurePath)) and isinstance(value, str):
        return cls(value)
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
    raise NotImplementedError(f"{type(value).__name__} cannot be written as JSON")
