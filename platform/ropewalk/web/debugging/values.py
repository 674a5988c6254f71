# -*- test-case-name: tests.test_debugging -*-
"""
Any value as text: short, soon, whatever its ``repr`` does, and without what is
called a secret in it.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from types import FrameType, MappingProxyType, SimpleNamespace
from typing import Any

import attrs
import msgspec
from attrs import define, field
from twisted.web.http_headers import Headers

from ropewalk.schema import Secret
from ropewalk.web.debugging.masking import MASK, Masker, is_secret_name, reveal

__all__ = ["CutShort", "Shower", "limited", "name_of"]

#: Characters of a text within a value, of a whole value, and those that are
#: looked through for secrets before they are cut.
_TEXT, _VALUE, _RAW = 300, 2_000, 20_000

#: Items of a collection, and how deep they are within each other.
_ITEMS, _DEPTH = 20, 4

#: Bits of the longest number that is written out.
_BITS = 10_000

#: Characters below which text in something that is called a secret is too common
#: to be one.
_LEAST_INSIDE = 8

_BRACKETS: dict[Any, tuple[str, str]] = {
    list.__repr__: ("[", "]"),
    tuple.__repr__: ("(", ")"),
    set.__repr__: ("{", "}"),
    frozenset.__repr__: ("frozenset({", "})"),
    deque.__repr__: ("deque([", "])"),
    type({}.keys()).__repr__: ("dict_keys([", "])"),
    type({}.values()).__repr__: ("dict_values([", "])"),
}

_MAPPINGS = {
    each.__repr__
    for each in (dict, OrderedDict, defaultdict, MappingProxyType, SimpleNamespace)
}


class CutShort(BaseException):
    """
    Something was cut short. It is no ``Exception``, so that what is cut short does
    not catch it.
    """


@contextmanager
def limited(
    seconds: float, timer: Callable[[], float], *, closely: bool = False
) -> Iterator[None]:
    """
    Let Python code run for a time, and no longer. What waits in C is not
    noticed: only a line of Python can be interrupted.

    :param timer: Tells the seconds.
    :param closely: Whether to look at each instruction; a loop that does nothing at
        all is else never at a new line.
    :raise CutShort: In the code that took too long.
    """
    end = timer() + seconds

    def look(frame: FrameType, event: str, arg: Any) -> Any:
        if timer() > end:
            raise CutShort
        frame.f_trace_opcodes = closely
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        yield
    finally:
        sys.settrace(before)


def name_of(kind: type) -> str:
    """A class as its errors are told: ``ValueError``, ``shop.OutOfStock``."""
    module = kind.__module__
    return (
        kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
    )


@define
class Shower:
    """
    Shows values. A secret that is met in one of them is to be known in all: first
    let it :meth:`learn` all, then :meth:`show` them.

    :param masker: What knows the secrets.
    :param timer: Tells the seconds that something takes.
    :ivar each: Seconds that one ``repr`` may take.
    :ivar left: Seconds that are left for all of them.
    """

    _masker: Masker
    _timer: Callable[[], float]
    each: float = 0.1
    left: float = 1.0
    _around: set[int] = field(factory=set, init=False)
    _said: dict[int, tuple[Any, str]] = field(factory=dict, init=False)

    def learn(self, name: str, value: Any) -> None:
        """
        Meet the secrets in a value.

        :param name: What it is called, which may say that it is a secret.
        """
        self._show(name, value, _DEPTH)

    def show(self, name: str, value: Any) -> str:
        """
        A value as text, at most some 2000 characters.

        :param name: As for :meth:`learn`.
        """
        text = self._show(name, value, _DEPTH)
        return self._masker.cut(text[:_RAW], _VALUE, len(text))

    def clean(self, text: str, most: int) -> str:
        """
        The beginning of a text that somebody wrote.

        :param most: Characters.
        """
        self._masker.notice(text[:_RAW])
        return self._masker.cut(text[:_RAW], most, len(text))

    def describe(self, error: BaseException) -> str:
        """What an error says; that it cannot say it, if so. It is not clean."""
        try:
            with limited(self.each, self._timer):
                return str(error)
        except CutShort:
            return f"(its str() takes longer than {self.each:g} s)"
        except Exception as another:
            return f"(its str() raised {name_of(type(another))})"

    def _show(self, name: str, value: Any, depth: int) -> str:
        kind = type(value)
        if value is None or kind is bool:
            return repr(value)
        if name and is_secret_name(name):
            self._learn(value, depth)
            return repr(value) if _is_empty(value) else MASK
        if issubclass(kind, Secret):
            self._masker.learn(reveal(value))
            return Secret.__repr__(value)
        text = self._atom(value, kind)
        if text is not None:
            return text
        if id(value) in self._around:
            return "…"
        if depth == 0:
            return f"<{name_of(kind)} …>"
        self._around.add(id(value))
        try:
            return self._composed(value, kind, depth - 1)
        finally:
            self._around.discard(id(value))

    def _learn(self, value: Any, depth: int) -> None:
        """All the texts in what is called a secret."""
        kind = type(value)
        inside = depth < _DEPTH
        if issubclass(kind, str | bytes | bytearray | int):
            self._masker.learn(value, _LEAST_INSIDE if inside else 4)
        elif depth and kind in (list, tuple, set, frozenset):
            for each in islice(value, _ITEMS):
                self._learn(each, depth - 1)
        elif depth and kind is dict:
            for each in islice(value.values(), _ITEMS):
                self._learn(each, depth - 1)

    def _atom(self, value: Any, kind: type) -> str | None:
        """What has nothing within."""
        shown: Any = kind.__repr__
        if shown is str.__repr__:
            text = str.__str__(value)
            self._masker.notice(text[:_RAW])
            return self._text(text, _quoted)
        if kind in (bytes, bytearray):
            text = bytes(value[:_RAW]).decode("latin-1")
            return self._text(text, _quoted_bytes, len(value))
        if shown is int.__repr__:
            if value.bit_length() > _BITS:
                return f"<{kind.__name__} of {value.bit_length()} bits>"
            number: str = int.__repr__(value)
            return number
        return repr(value) if kind in (float, complex) else None

    def _text(
        self, text: str, quoted: Callable[[str], str], length: int | None = None
    ) -> str:
        whole = len(text) if length is None else length
        most = _TEXT if self._around else 5 * _TEXT
        if whole <= most:
            return quoted(text)
        shown = self._masker.cut(text[:_RAW], most, whole).removesuffix("…")
        return f"{quoted(shown)}… ({whole} {'bytes' if length else 'characters'})"

    def _composed(self, value: Any, kind: Any, depth: int) -> str:
        shown = kind.__repr__
        if kind is type(os.environ) or _is_environment(value, shown):
            return "<the environment, which is not shown>"
        try:
            if shown in _BRACKETS:
                return self._items(value, kind, *_BRACKETS[shown], depth)
            if shown in _MAPPINGS:
                return self._mapping(value, kind, depth)
            if kind is Headers:
                pairs = [(name, each) for name, each in value.getAllRawHeaders()]
                return f"Headers({{{self._pairs(pairs, ': ', depth)}}})"
            members = _members(value, kind)
        except Exception as error:  # a collection that another thread changes
            return self._broken(kind, error)
        if members is None:
            return self._foreign(value, kind)
        address = f" at {id(value):#x}" if shown is object.__repr__ else ""
        if address:
            said = self._pairs(members, "=", depth)
            return f"<{name_of(kind)}{address}{' ' * bool(said)}{said}>"
        return f"{kind.__qualname__}({self._pairs(members, '=', depth)})"

    def _items(self, value: Any, kind: Any, start: str, end: str, depth: int) -> str:
        length = len(value)
        shown = [self._show("", each, depth) for each in islice(iter(value), _ITEMS)]
        if length > _ITEMS:
            shown.append(f"… {length - _ITEMS} more")
        if not length and "{" in start:
            return f"{kind.__qualname__}()"
        comma = "," if start == "(" and length == 1 else ""
        text = f"{start}{', '.join(shown)}{comma}{end}"
        plain = kind in (list, tuple, set, frozenset, deque) or "_" in start
        return text if plain else f"{kind.__qualname__}({text})"

    def _mapping(self, value: Any, kind: Any, depth: int) -> str:
        if issubclass(kind, SimpleNamespace):
            return f"namespace({self._pairs(vars(value).items(), '=', depth)})"
        pairs = value.items() if kind is MappingProxyType else dict.items(value)
        length = len(value)
        shown = self._pairs(islice(pairs, _ITEMS), ": ", depth)
        more = f", … {length - _ITEMS} more" if length > _ITEMS else ""
        text = f"{{{shown}{more}}}"
        return text if kind is dict else f"{kind.__qualname__}({text})"

    def _pairs(self, pairs: Iterable[tuple[Any, Any]], sign: str, depth: int) -> str:
        shown = []
        for key, value in islice(pairs, _ITEMS):
            if isinstance(key, bytes):
                name = key.decode("utf-8", "replace")
            else:
                name = key if isinstance(key, str) else ""
            left = name if sign == "=" else self._show("", key, depth)
            shown.append(f"{left}{sign}{self._show(name, value, depth)}")
        return ", ".join(shown)

    def _foreign(self, value: Any, kind: type) -> str:
        """What only somebody else's ``repr`` can show. It is called once."""
        if id(value) not in self._said:
            self._said[id(value)] = (value, self._asked(value, kind))
        return self._said[id(value)][1]

    def _asked(self, value: Any, kind: type) -> str:
        if self.left <= 0:
            return f"<{name_of(kind)}, not shown: all this takes too long>"
        began = self._timer()
        try:
            with limited(min(self.each, self.left), self._timer):
                text = repr(value)
        except CutShort:
            return f"<{name_of(kind)} whose repr takes longer than {self.each:g} s>"
        except Exception as error:
            return self._broken(kind, error)
        finally:
            self.left -= self._timer() - began
        text = str.__str__(text)
        self._masker.notice(text[:_RAW])
        return text

    def _broken(self, kind: type, error: Exception) -> str:
        raised = name_of(type(error))
        said = self.describe(error)
        return f"<{name_of(kind)} whose repr raised {raised}: {said}>"


def _quoted(text: str) -> str:
    return str.__repr__(text)


def _quoted_bytes(text: str) -> str:
    return repr(text.encode("latin-1", "replace"))


def _is_empty(value: Any) -> bool:
    kinds = (str, bytes, bytearray, list, tuple, dict, set, frozenset)
    return type(value) in kinds and not value


def _is_environment(value: Any, shown: Any) -> bool:
    """Whether a dict is a copy of the environment."""
    path = os.environ.get("PATH")
    return shown is dict.__repr__ and bool(path) and dict.get(value, "PATH") == path


def _members(value: Any, kind: Any) -> list[tuple[str, Any]] | None:
    """
    The attributes that a ``repr`` which nobody wrote would show; ``None`` where
    somebody wrote one.
    """
    shown = kind.__repr__
    if shown is object.__repr__:
        own = getattr(value, "__dict__", {}).items()
        return [(name, each) for name, each in own if not name.startswith("__")]
    names: Iterable[str]
    if shown is msgspec.Struct.__repr__:
        names = kind.__struct_fields__
    elif issubclass(kind, tuple) and _is_generated(shown, "collections"):
        names = kind._fields
    elif hasattr(kind, "__attrs_attrs__") and _is_generated(shown, "<attrs"):
        names = [each.name for each in attrs.fields(kind) if each.repr is True]
    elif dataclasses.is_dataclass(kind) and _is_generated(shown, "<string>"):
        names = [each.name for each in dataclasses.fields(kind) if each.repr]
    else:
        return None
    return [(name, getattr(value, name)) for name in names if hasattr(value, name)]


def _is_generated(function: Any, where: str) -> bool:
    code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
    return code is not None and where in code.co_filename
