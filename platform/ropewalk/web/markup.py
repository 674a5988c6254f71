# -*- test-case-name: tests.test_formats -*-
"""
Values as XML 1.0, and back.

==================  ======================================================
a value             in XML
==================  ======================================================
an object           an element for each field, by its name; what stands in an
                    attribute is read as a field as well
a list              an ``<item>`` for each member; an element that stands there
                    more than once is read as a list as well
text, numbers       what stands in the element; ``true`` and ``false``
``None``            left out where the field is ``None`` anyway; otherwise
                    ``xsi:nil="true"``
==================  ======================================================

The name of the outermost element means nothing when it is read, and neither do
namespaces, comments and processing instructions. A name that XML cannot have is
spelt with ``_xHHHH_``, as in SQL/XML (ISO/IEC 9075-14, section 9.1).

A document type declaration is refused before anything in it is looked at, so
there are no entities and nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from attrs import Factory, define
from msgspec import UNSET, Struct, inspect

from ropewalk.errors import Fault, Malformed
from ropewalk.schema import read, to_plain
from ropewalk.schema.guests import guest_of
from ropewalk.schema.kinds import (
    ANYTHING,
    alternatives,
    item_kind,
    kind_of,
    leaf_kinds,
    list_kind,
    part_kinds,
    table_kind,
    takes_none,
    takes_table,
    takes_text,
)
from ropewalk.schema.words import Step, spell
from ropewalk.web.queries import text_of

__all__ = ["read_xml", "write_xml"]

#: How deep elements may stand in each other.
_DEEPEST = 100

_NIL = "http://www.w3.org/2001/XMLSchema-instance nil"
_NIL_WRITTEN = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"'

#: Encodings that are read: UTF-8, and what is UTF-8 as well.
_ENCODINGS = ("utf-8", "utf8", "us-ascii", "ascii")

#: What XML 1.0, section 2.2, has no way to say.
_UNSAYABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: What stands in the way of a name, and what could be taken for its spelling.
#: Fewer letters than XML has: parsers differ about the rest.
_LETTER = "A-Za-z_\xc0-\xd6\xd8-\xf6\xf8-\xff"
_NOT_IN_NAME = re.compile(
    rf"^[^{_LETTER}]|[^{_LETTER}0-9.-]|_(?=x(?:[0-9A-Fa-f]{{4}}|[0-9A-Fa-f]{{6}})_)"
)
_SPELT = re.compile("_x([0-9A-Fa-f]{6}|[0-9A-Fa-f]{4})_")


#: What says that a class has fields: msgspec's, dataclasses', attrs' mark.
_MARKS = ("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__")


def read_xml(shape: Any, raw: bytes) -> Any:
    """
    Make a typed value of XML.

    :param shape: As for :func:`ropewalk.schema.read`.
    :param raw: A document in UTF-8.
    :raise Malformed: When it is no XML, with one fault that says where.
    :raise Invalid: With all that is wrong.
    """
    return read(shape, _arrange(kind_of(shape), _parse(raw)), strict=False)


class _Element(Struct):
    """
    There may be one for each four bytes of a document, so what most do not have
    is made when it is needed.
    """

    name: str
    attributes: Mapping[str, str] = MappingProxyType({})
    is_nil: bool = False
    children: Sequence[_Element] = ()
    text: str = ""

    def add(self, child: _Element) -> None:
        """Take what stands in it."""
        if isinstance(self.children, list):
            self.children.append(child)
        else:
            self.children = [child]

    def part(self, name: str) -> str | None:
        """The text under a name: of an attribute or of an element."""
        if name in self.attributes:
            return self.attributes[name]
        found = [each for each in self.children if each.name == name]
        return found[0].text if len(found) == 1 else None

    def looks_like_list(self) -> bool:
        """Whether it has items, and nothing else."""
        return (
            not self.attributes
            and all(each.name == "item" for each in self.children)
            and not self.text.strip()
        )


def _parse(raw: bytes) -> _Element:
    from xml.parsers import expat

    tree = _Tree(expat.ParserCreate("utf-8", namespace_separator=" "))
    try:
        tree.parser.Parse(raw, True)
    except expat.ExpatError as error:
        problem = expat.ErrorString(error.code)
        raise _no_xml(problem, error.lineno, error.offset) from None
    return tree.root.children[0]


@define
class _Tree:
    """
    Elements as expat tells them.
    """

    parser: Any
    root: _Element = Factory(lambda: _Element(""))
    _open: list[_Element] = Factory(list)
    _pieces: list[str] = Factory(list)

    def __attrs_post_init__(self) -> None:
        """Listen."""
        self._open.append(self.root)
        self.parser.buffer_text = True
        self.parser.XmlDeclHandler = self._declare
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._take

    def _declare(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in _ENCODINGS:
            raise self._refuse("the encoding is not UTF-8")

    def _refuse_doctype(self, *declared: Any) -> None:
        raise self._refuse("a document type declaration, which is not read here")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) > _DEEPEST:
            raise Malformed((Fault("", "nested too deeply"),))
        element = _Element(_unspell(name.rpartition(" ")[2]))
        if attributes:
            element.is_nil = attributes.get(_NIL, "").strip() in ("true", "1")
            element.attributes = {
                _unspell(each): text
                for each, text in attributes.items()
                if " " not in each
            }
        self._refuse_text()
        self._open[-1].add(element)
        self._open.append(element)

    def _end(self, name: str) -> None:
        element = self._open.pop()
        if element.children:
            self._refuse_text()
        else:
            element.text = "".join(self._pieces)
            self._pieces.clear()

    def _take(self, text: str) -> None:
        self._pieces.append(text)

    def _refuse_text(self) -> None:
        if any(map(str.strip, self._pieces)):
            raise self._refuse("text between the elements")
        self._pieces.clear()

    def _refuse(self, problem: str) -> Malformed:
        place = self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber
        return _no_xml(problem, *place)


def _no_xml(problem: str, line: int, offset: int) -> Malformed:
    said = f"not XML: {problem} at line {line}, column {offset + 1}"
    return Malformed((Fault("", said),))


def _arrange(kind: inspect.Type, element: _Element) -> Any:
    """
    An element as plain data, a list where the shape has a list.
    """
    if element.is_nil:
        return None
    lists = list_kind(kind)
    if element.looks_like_list() and _may_be_list(kind, element):
        return [
            _arrange(item_kind(lists, place), child)
            for place, child in enumerate(element.children)
        ]
    if element.children or element.attributes:
        return _arrange_parts(kind, element)
    text = element.text
    if takes_text(kind):
        return text
    if text.strip():
        return text.strip()
    if table_kind(kind, element.part):
        return {}
    return None if takes_none(kind) else ""


def _may_be_list(kind: inspect.Type, element: _Element) -> bool:
    if element.children:
        return kind == ANYTHING or list_kind(kind) is not None
    return list_kind(kind) is not None and not leaf_kinds(kind)


def _arrange_parts(kind: inspect.Type, element: _Element) -> dict[str, Any]:
    table = table_kind(kind, element.part)
    known = part_kinds(table)
    other = table.value_type if isinstance(table, inspect.DictType) else ANYTHING
    found: dict[str, list[_Element]] = {}
    for name, text in element.attributes.items():
        found[name] = [_Element(name, text=text)]
    for child in element.children:
        found.setdefault(child.name, []).append(child)
    arranged: dict[str, Any] = {}
    for name, elements in found.items():
        arranged[name] = _arrange_all(known.get(name, other), elements)
    if not element.children and element.text.strip():
        arranged[""] = element.text.strip()
    tag = getattr(table, "tag_field", None)
    if tag is not None and element.part(tag) == str(getattr(table, "tag", None)):
        arranged[tag] = getattr(table, "tag", None)
    return arranged


def _arrange_all(kind: inspect.Type, elements: list[_Element]) -> Any:
    """
    The elements of one name in an object: one value, or a list of them.
    """
    lists = list_kind(kind)
    if len(elements) == 1:
        (only,) = elements
        if only.is_nil or not lists or only.looks_like_list() or leaf_kinds(kind):
            return _arrange(kind, only)
        if any(map(takes_table, alternatives(kind))):
            return _arrange(kind, only)
    return [
        _arrange(item_kind(lists, place), each) for place, each in enumerate(elements)
    ]


def _unspell(name: str) -> str:
    return _SPELT.sub(_character, name) if "_x" in name else name


def _character(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return found[0]
    return chr(code)


def write_xml(value: Any) -> bytes:
    """
    A value as XML in UTF-8; the outermost element is called as its class is, in
    lower case. A :class:`~ropewalk.schema.Secret` becomes its mask.

    :raise ValueError: When XML cannot say it, with what and where.
    """
    pieces = ['<?xml version="1.0" encoding="utf-8"?>\n']
    pieces += _write(_root_name(value), value, ())
    return "".join(pieces).encode()


def _root_name(value: Any) -> str:
    match value:
        case dict():
            return "object"
        case list() | tuple() | set() | frozenset():
            return "list"
        case _ if type(value).__module__ == "builtins":
            return "value"
    return type(value).__name__.lower()


def _write(name: str, value: Any, steps: tuple[Step, ...]) -> Iterator[str]:
    if not name:
        raise ValueError(f"a field without a name{_place(steps[:-1])}")
    tag = _NOT_IN_NAME.sub(_spell_character, name)
    if value is None:
        yield f"<{tag}{_NIL_WRITTEN}/>"
        return
    yield f"<{tag}>"
    yield from _write_inside(value, steps)
    yield f"</{tag}>"


def _write_inside(value: Any, steps: tuple[Step, ...]) -> Iterator[str]:
    match value:
        case _ if (fields := _fields_of(type(value))) is not None:
            for field in fields:
                inner = field.value_in(value)
                if inner is not UNSET and not (inner is None and field.may_miss):
                    yield from _write(field.name, inner, (*steps, field.name))
        case dict():
            for key, inner in value.items():
                (name,) = to_plain({key: None})
                yield from _write(name, inner, (*steps, name))
        case list() | tuple() | set() | frozenset():
            for index, inner in enumerate(value):
                yield from _write("item", inner, (*steps, index))
        case _:
            plain = to_plain(value)
            if isinstance(plain, (dict, list, tuple)):
                yield from _write_inside(plain, steps)
            else:
                yield _escape(text_of(plain), steps)


class _Field(Struct, frozen=True):
    """
    A field of a class, as it is written.

    :ivar may_miss: Whether it is ``None`` when it is not there.
    """

    attribute: str
    name: str
    tag: Any
    may_miss: bool

    def value_in(self, value: Any) -> Any:
        """The value of the field, in a value of the class."""
        return getattr(value, self.attribute, UNSET) if self.attribute else self.tag


def _find_fields(cls: Any) -> tuple[_Field, ...] | None:
    """
    The fields of a class; nothing where there are none, or when it is written
    as a list.
    """
    if not any(hasattr(cls, mark) for mark in _MARKS):
        return None
    kind = kind_of(cls)
    if not takes_table(kind):
        return None
    may_miss = {
        part.encode_name: part.default is None for part in getattr(kind, "fields", ())
    }
    guest = guest_of(cls)
    if guest is not None:
        names = [(name, name) for name in (*guest.arguments, *guest.read_only)]
    else:
        names = [(part.name, part.encode_name) for part in getattr(kind, "fields", ())]
    fields = [
        _Field(attribute, name, None, may_miss.get(name, False))
        for attribute, name in names
    ]
    tag = getattr(kind, "tag_field", None)
    if tag is not None:
        fields.insert(0, _Field("", tag, getattr(kind, "tag", None), False))
    return tuple(fields)


_fields_of: Callable[[Any], tuple[_Field, ...] | None] = lru_cache(maxsize=1024)(
    _find_fields
)


def _escape(text: str, steps: tuple[Step, ...]) -> str:
    unsayable = _UNSAYABLE.search(text)
    if unsayable:
        raise ValueError(f"the character U+{ord(unsayable[0]):04X}{_place(steps)}")
    return (
        text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\r", "&#13;")
    )


def _place(steps: tuple[Step, ...]) -> str:
    return f" in {spell(steps)}" if steps else ""


def _spell_character(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"_x{code:04X}_" if code < 0x10000 else f"_x{code:06X}_"
