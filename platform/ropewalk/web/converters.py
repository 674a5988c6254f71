# -*- test-case-name: tests.test_converters -*-
"""
Converters: what a slot of a pattern takes, and the way between the text in a URL and
a value of Python.

They take what Werkzeug's do, but for digits of other scripts than ours, and paths with
line breaks, which they take. Those that were written for Werkzeug can be adopted.
"""

from __future__ import annotations

import datetime
import math
import operator
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import Any, get_type_hints
from urllib.parse import unquote

__all__ = [
    "CONVERTERS",
    "ENCODED_SLASH",
    "AnyConverter",
    "Converter",
    "DateConverter",
    "FloatConverter",
    "IntConverter",
    "NumberConverter",
    "PathConverter",
    "StringConverter",
    "UUIDConverter",
    "adopt",
    "adopt_all",
]

#: Stands for a slash that came percent-encoded, and so separates nothing, while a path
#: is matched. Half of a surrogate pair: no text that was UTF-8 has it.
ENCODED_SLASH = "\udc2f"


def _returned(function: Callable[..., Any]) -> type:
    """The class that a function says it returns; ``object`` if it does not."""
    try:
        hint = get_type_hints(function).get("return")
    except (NameError, TypeError):  # a name that is not there yet, or is no type
        return object
    return hint if isinstance(hint, type) and hint is not Any else object


class Converter:
    """
    What a slot takes, and the way between text and value. One's own are subclasses.

    :ivar regex: What the text looks like. A converter that is not for ``slashes`` gets
        an encoded slash as a character that is not "/": ``[^/]+`` takes it, ``[a-z]+``
        does not.
    :ivar weight: Of two that would take a text, the lighter is asked.
    :ivar slashes: Whether the text may have "/" in it, and so be many segments.
    :ivar kind: The type of the values; where a class does not say, what its
        ``to_python`` is annotated with, and ``object`` if that is no class.
    """

    regex: str = "[^/]+"
    weight: int = 100
    slashes: bool = False
    kind: type = str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "to_python" in cls.__dict__ and "kind" not in cls.__dict__:
            cls.kind = _returned(cls.to_python)

    def to_python(self, text: str) -> Any:
        """
        :param text: What the regular expression took; not percent-encoded.
        :raise ValueError: It is not for this route after all.
        """
        return text

    def to_url(self, value: Any) -> str:
        """
        :return: text that is not percent-encoded.
        :raise ValueError: The value has no text that would be understood.
        """
        if isinstance(value, bytes | bytearray):
            raise ValueError("bytes are no text")
        return str(value)


class StringConverter(Converter):
    """
    One segment, or a piece of one.

    :param minlength: Characters it has at least, 1 or more.
    :param maxlength: Characters it has at most.
    :param length: Characters it has, in place of the other two.
    """

    def __init__(
        self,
        minlength: int = 1,
        maxlength: int | None = None,
        length: int | None = None,
    ) -> None:
        if length is not None:
            minlength = maxlength = length
        _check_count(minlength, "a length", least=1)
        if maxlength is not None:
            _check_count(maxlength, "a length", least=minlength)
        self.minlength = minlength
        self.maxlength = maxlength
        if (minlength, maxlength) != (1, None):
            most = "" if maxlength is None else maxlength
            self.regex = f"[^/]{{{minlength},{most}}}"


class AnyConverter(Converter):
    """
    One of a few words.

    :param items: The words.
    """

    def __init__(self, *items: object) -> None:
        self.items = tuple(str(item) for item in items)
        if not self.items or "" in self.items:
            raise ValueError("needs words to choose from: <any(red, green):colour>")
        words = (re.escape(each.replace("/", ENCODED_SLASH)) for each in self.items)
        self.regex = f"(?:{'|'.join(words)})"


class PathConverter(Converter):
    """
    One segment or more, with the slashes between them.
    """

    regex = "(?s:[^/].*?)"
    weight = 200
    slashes = True

    def to_python(self, text: str) -> str:
        if text.startswith("/"):  # an encoded one, which a link would not lead back to
            raise ValueError("a path below another does not start with a slash")
        return text


class NumberConverter(Converter):
    """
    What the numbers have in common.
    """

    weight = 50

    def __init__(self, least: Any, most: Any, signed: bool) -> None:
        for bound in least, most:
            if not isinstance(bound, int | float | None) or isinstance(bound, bool):
                raise ValueError(f"{bound!r} is not a number")
        if not isinstance(signed, bool):
            raise ValueError(f"signed is True or False, not {signed!r}")
        self.min = least
        self.max = most
        self.signed = signed
        self._unbounded = least is None and most is None
        if signed:
            self.regex = f"-?{self.regex}"

    def _bounded(self, number: Any) -> Any:
        if self.min is not None and number < self.min:
            raise ValueError(f"less than {self.min}")
        if self.max is not None and number > self.max:
            raise ValueError(f"more than {self.max}")
        return number


class IntConverter(NumberConverter):
    """
    A whole number, written with the digits 0 to 9.

    :param fixed_digits: How many characters it has, with zeros before it.
    :param min: The least it may be.
    :param max: The most it may be.
    :param signed: Whether it may be negative.
    """

    regex = "[0-9]+"
    kind = int

    def __init__(
        self,
        fixed_digits: int = 0,
        min: int | None = None,
        max: int | None = None,
        signed: bool = False,
    ) -> None:
        super().__init__(min, max, signed)
        _check_count(fixed_digits, "fixed_digits", least=0)
        self.fixed_digits = fixed_digits

    def to_python(self, text: str) -> int:
        if self.fixed_digits and len(text) != self.fixed_digits:
            raise ValueError(f"not {self.fixed_digits} characters")
        if self._unbounded:
            return int(text)
        number: int = self._bounded(int(text))
        return number

    def to_url(self, value: Any) -> str:
        try:
            number = int(value) if isinstance(value, str) else operator.index(value)
        except TypeError:
            raise ValueError("not a whole number") from None
        text = str(self._bounded(number)).zfill(self.fixed_digits)
        if self.fixed_digits and len(text) != self.fixed_digits:
            raise ValueError(f"not {self.fixed_digits} characters")
        return text


class FloatConverter(NumberConverter):
    """
    A number with a point in it, and digits on both sides of that.

    :param min: The least it may be.
    :param max: The most it may be.
    :param signed: Whether it may be negative.
    """

    regex = r"[0-9]+\.[0-9]+"
    kind = float

    def __init__(
        self,
        min: float | None = None,
        max: float | None = None,
        signed: bool = False,
    ) -> None:
        super().__init__(min, max, signed)

    def to_python(self, text: str) -> float:
        return self._finite(float(text))

    def to_url(self, value: Any) -> str:
        number = self._finite(float(value))
        # The shortest digits that give the same number back, without an exponent.
        text = format(Decimal(repr(number)), "f")
        return text if "." in text else f"{text}.0"

    def _finite(self, number: float) -> float:
        if not math.isfinite(number):
            raise ValueError("not a finite number")
        bounded: float = self._bounded(number)
        return bounded


class UUIDConverter(Converter):
    """
    A UUID with its hyphens, in either case.
    """

    regex = "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
    kind = uuid.UUID

    def to_python(self, text: str) -> uuid.UUID:
        return uuid.UUID(text)

    def to_url(self, value: Any) -> str:
        return str(value if isinstance(value, uuid.UUID) else uuid.UUID(str(value)))


class DateConverter(Converter):
    """
    A day: ``2026-01-31``.
    """

    regex = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
    weight = 50
    kind = datetime.date

    def to_python(self, text: str) -> datetime.date:
        return datetime.date.fromisoformat(text)

    def to_url(self, value: Any) -> str:
        if isinstance(value, str):
            value = datetime.date.fromisoformat(value)
        if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
            raise ValueError("not a date")
        return value.isoformat()


#: The converters that a rule may name; ``default`` is for ``<name>``.
CONVERTERS: Mapping[str, type[Converter]] = MappingProxyType(
    {
        "default": StringConverter,
        "string": StringConverter,
        "int": IntConverter,
        "float": FloatConverter,
        "uuid": UUIDConverter,
        "path": PathConverter,
        "any": AnyConverter,
        "date": DateConverter,
    }
)


def _check_count(count: object, what: str, least: int) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < least:
        raise ValueError(f"{what} is a number of at least {least}, not {count!r}")


# Converters that were written for Werkzeug.


class _Adopted(Converter):
    """
    A converter that was written for Werkzeug.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.regex = inner.regex
        self.weight = inner.weight
        self.slashes = not inner.part_isolating
        self.kind = _kind_of(inner)

    def to_python(self, text: str) -> Any:
        return self._inner.to_python(text)  # a ValidationError is a ValueError

    def to_url(self, value: Any) -> str:
        # Werkzeug's are percent-encoded, and ours will be.
        return unquote(self._inner.to_url(value), errors="strict")


def adopt(
    converter_class: Any,
    werkzeug_map: Any,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Converter:
    """
    Make a converter of one that was written for Werkzeug.

    :param converter_class: A subclass of ``werkzeug.routing.BaseConverter``.
    :param werkzeug_map: The map that it is made with.
    """
    return _Adopted(converter_class(werkzeug_map, *args, **(kwargs or {})))


def adopt_all(werkzeug_map: Any) -> dict[str, Callable[..., Converter]]:
    """
    The converters of a Werkzeug map, by name: in place of Werkzeug's own, ours.
    """
    adopted: dict[str, Callable[..., Converter]] = {}
    for name, kind in werkzeug_map.converters.items():
        if kind.__module__ == _WERKZEUG and kind.__name__ in _STOCK:
            adopted[name] = _STOCK[kind.__name__]
        else:
            adopted[name] = partial(_adopt_called, kind, werkzeug_map)
    return adopted


_WERKZEUG = "werkzeug.routing.converters"

_STOCK: dict[str, type[Converter]] = {
    "UnicodeConverter": StringConverter,
    "AnyConverter": AnyConverter,
    "PathConverter": PathConverter,
    "IntegerConverter": IntConverter,
    "FloatConverter": FloatConverter,
    "UUIDConverter": UUIDConverter,
}


def _adopt_called(
    converter_class: Any, werkzeug_map: Any, *args: Any, **kwargs: Any
) -> Converter:
    return adopt(converter_class, werkzeug_map, args, kwargs)


def _kind_of(inner: Any) -> type:
    """The type of what a Werkzeug converter makes, if it can be told."""
    reader = type(inner).to_python
    if reader.__module__ == _WERKZEUG:
        if reader.__qualname__ == "BaseConverter.to_python":
            return str
        if reader.__qualname__ == "NumberConverter.to_python":
            number: type = type(inner).num_convert
            return number
    return _returned(reader)
