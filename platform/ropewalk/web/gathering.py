# -*- test-case-name: tests.test_binding -*-
"""
A request read for a function: what it asks for is gathered from all over the request,
and all that is wrong with it is told at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from inspect import Parameter as Named
from typing import Any

import msgspec
from attrs import define
from msgspec import Struct
from msgspec import inspect as kinds
from msgspec.structs import asdict, replace

from ropewalk.errors import Fault, Invalid, Malformed
from ropewalk.schema import read, read_json
from ropewalk.schema.kinds import (
    alternatives,
    item_kind,
    kind_of,
    leaf_kinds,
    list_kind,
    part_kinds,
    takes_text,
)
from ropewalk.web.accept import asked_header
from ropewalk.web.components import Component, without_none
from ropewalk.web.media import formats_of
from ropewalk.web.parameters import Asker, Parameter, fits_as_it_is
from ropewalk.web.queries import read_cookies, read_query

__all__ = ["BadRequest", "Gathering", "NotFound", "Recipe", "elements_of"]

#: What stands under names, as of a query: each may be there more than once.
Fields = Mapping[str, Sequence[Any]]

Arguments = dict[str, Any]

#: An element of a list in a header: RFC 9110, section 5.6.1.
_ELEMENT = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*"?)+')

#: The first step of a field's name: ``limits`` of ``limits.size``.
_FIRST_STEP = re.compile(r"[^.\[]*")


@define
class BadRequest(Invalid):
    """
    A request cannot be understood: something is wrong with its query, a header or a
    cookie, or its body cannot even be taken apart.
    """

    status = 400


@define
class NotFound(Invalid):
    """
    Something in the path is not what can be there.
    """

    status = 404


class Gathering:
    """
    What is being read of one request.

    :ivar args: The arguments in its path.
    :ivar files: The files that came with it; they are open.
    """

    __slots__ = (
        "_faults",
        "_form",
        "_query",
        "_unreadable",
        "args",
        "files",
        "request",
    )

    def __init__(self, request: Any, args: Mapping[str, Any]) -> None:
        self.request = request
        self.args = args
        self.files: list[Any] = []
        self._faults: list[Fault] | None = None
        self._form: Fields | None = None
        self._query: Fields | None = None
        self._unreadable = False

    def refuse(self, refused: Invalid, where: str, key: str = "") -> None:
        """
        Note what is wrong.

        :param key: The name of the value in which it is.
        """
        self._unreadable |= isinstance(refused, Malformed)
        noted = self._faults = self._faults or []
        for fault in refused.faults:
            path = _join(key, fault.path)
            noted.append(replace(fault, path=path, where=fault.where or where))

    def check(self) -> None:
        """
        See that nothing is wrong.

        :raise Invalid: With all that is; then the files are closed.
        """
        if self._faults is None:
            return
        self.close_files()
        faults = tuple(dict.fromkeys(self._faults))
        astray = tuple(each for each in faults if each.where == "path")
        if astray:
            raise NotFound(astray)
        if self._unreadable or any(each.where != "body" for each in faults):
            raise BadRequest(faults)
        raise Invalid(faults)

    def close_files(self) -> None:
        """Forget what was uploaded."""
        for each in self.files:
            each.close()

    def query(self) -> Fields | None:
        """
        The fields of the query; ``None`` when it cannot be taken apart.
        """
        if self._query is None:
            try:
                self._query = read_query(self.request.uri.partition(b"?")[2])
            except Malformed as refused:
                self.refuse(refused, "query")
        return self._query

    def form(self) -> Fields | None:
        """
        The fields of the form; ``None`` when it cannot be taken apart.

        :raise Unsupported: When the body is no form.
        """
        from ropewalk.web.formats import Upload, read_form

        if self._form is None:
            body, length = self.body()
            try:
                self._form = read_form(self.content_type(), body, length)
            except Malformed as refused:
                self.refuse(refused, "body")
                return None
            values = (value for values in self._form.values() for value in values)
            self.files += [each for each in values if isinstance(each, Upload)]
        return self._form

    def body(self) -> tuple[Any, int]:
        """
        The body at its beginning, and how many bytes it has.
        """
        content = self.request.content
        length = content.seek(0, 2)
        content.seek(0)
        return content, length

    def content_type(self) -> str | None:
        """What the body is said to be."""
        said = asked_header(self.request, b"content-type")
        return said[-1].decode("latin-1") if said else None


def _join(key: str, path: str) -> str:
    if not key or not path:
        return key or path
    return f"{key}{path}" if path.startswith("[") else f"{key}.{path}"


class Recipe(Struct, frozen=True):
    """
    How a function gets its arguments, and is called.

    :ivar fills: What reads the request.
    :ivar made: Its parameters that are components.
    :ivar positional: Its parameters that cannot be given by name, in their order.
    """

    function: Callable[..., Any]
    fills: tuple[Fill, ...]
    made: tuple[tuple[str, Component], ...]
    positional: tuple[str, ...]

    @classmethod
    def of(
        cls,
        asker: Asker,
        parameters: Sequence[Parameter],
        made: Mapping[str, Component],
        path: Mapping[str, Any],
        rest: Collection[str] = (),
    ) -> Recipe:
        """
        Decide how to read what was asked for.

        :param made: The components among the parameters, by name.
        :param path: The names in the path, and the types of what stands there.
        :param rest: The names in the path that go into its ``**kwargs``.
        """
        by_place = [
            each for each in asker.named() if each.kind is Named.POSITIONAL_ONLY
        ]
        given = {each.name for each in parameters}
        fills = list(_fills(parameters, path))
        fills += [
            _Constant(each.name, each.default)
            for each in by_place
            if each.name not in given
        ]
        fills += [_Constant(*each) for each in _constants(made)]
        fills += [_Converted(name, name) for name in rest]
        return cls(
            asker.function,
            tuple(fills),
            tuple(each for each in made.items() if each[1].style != "value"),
            tuple(each.name for each in by_place),
        )

    def gather(self, gathering: Gathering) -> Arguments:
        """
        Read what the function asks for. What is wrong is noted there.

        :raise Unsupported: When the body is in no format that is read.
        """
        arguments: Arguments = {}
        for fill in self.fills:
            fill(gathering, arguments)
        return arguments

    def call(
        self,
        arguments: Arguments,
        values: Mapping[Component, Any],
        before: tuple[Any, ...] = (),
    ) -> Any:
        """
        Call the function.

        :param arguments: What was read.
        :param values: What was made.
        :param before: What goes first: the instance, or the request of ``*args``.
        """
        for name, component in self.made:
            arguments[name] = values[component]
        if self.positional:
            before += tuple(arguments.pop(name) for name in self.positional)
        return self.function(*before, **arguments)


# What reads a request: a small object for each part of it that is asked for.


#: Reads something of a request into the arguments of a function.
Fill = Callable[[Gathering, Arguments], None]

#: Finds the fields that one part of a request has.
Find = Callable[[Gathering], Fields | None]


def _fills(parameters: Sequence[Parameter], path: Mapping[str, Any]) -> Iterator[Fill]:
    """
    What reads these parameters, in an order in which it is told best.
    """
    by: dict[str, list[Parameter]] = {}
    for each in parameters:
        by.setdefault(each.where, []).append(each)
    for each in by.get("request", ()):
        yield _TheRequest(each.name)
    for each in by.get("path", ()):
        if fits_as_it_is(path[each.key], each.shape):
            yield _Converted(each.name, each.key)
        else:
            yield _InPath(each.name, each.key, each.shape)
    for where, finder in _FINDERS.items():
        asked = by.get(where, ())
        single = [each for each in asked if not each.whole]
        if single:
            yield _Fields.of(single, finder(single))
        for each in asked:
            if each.whole:
                yield _AllFields.of(each, finder([]))
    for each in by.get("body", ()):
        yield _RawBody(each.name) if each.shape is bytes else _Body(each)


def _constants(made: Mapping[str, Component]) -> Iterator[tuple[str, Any]]:
    for name, component in made.items():
        if component.style == "value":
            yield name, component.function()


class _TheRequest(Struct, frozen=True):
    name: str

    def __call__(self, gathering: Gathering, arguments: Arguments) -> None:
        arguments[self.name] = gathering.request


class _Constant(Struct, frozen=True):
    name: str
    value: Any

    def __call__(self, gathering: Gathering, arguments: Arguments) -> None:
        arguments[self.name] = self.value


class _Converted(Struct, frozen=True):
    """
    What stands in the path, as its converter gives it.
    """

    name: str
    key: str

    def __call__(self, gathering: Gathering, arguments: Arguments) -> None:
        arguments[self.name] = gathering.args[self.key]


class _InPath(Struct, frozen=True):
    """
    What stands in the path, as more than its converter knows of.
    """

    name: str
    key: str
    shape: Any

    def __call__(self, gathering: Gathering, arguments: Arguments) -> None:
        try:
            given = read(self.shape, gathering.args[self.key], strict=False)
        except Invalid as refused:
            gathering.refuse(refused, "path", self.key)
        else:
            arguments[self.name] = given


class _Fields(Struct, frozen=True):
    """
    Fields of one part of a request, all at once: they are read as a struct that was
    made for them.
    """

    where: str
    shape: type[msgspec.Struct]
    picks: tuple[tuple[str, _Pick], ...]
    find: Find

    @classmethod
    def of(cls, parameters: Sequence[Parameter], find: Find) -> _Fields:
        parameters = [_as_written(each) for each in parameters]
        shape = msgspec.defstruct(
            "Fields",
            [(each.name, each.shape, _struct_field(each)) for each in parameters],
            kw_only=True,
            gc=False,
        )
        picks = tuple((each.key, _Pick.of(each)) for each in parameters)
        return cls(_told_as(parameters[0].where), shape, picks, find)

    def __call__(self, gathering: Gathering, arguments: Arguments) -> None:
        fields = self.find(gathering)
        if fields is None:
            return
        data = {key: pick(fields[key]) for key, pick in self.picks if key in fields}
        try:
            arguments.update(asdict(read(self.shape, data, strict=False)))
        except Invalid as refused:
            gathering.refuse(refused, self.where)


def _as_written(parameter: Parameter) -> Parameter:
    """
    A header or a cookie that need not be there has no word for ``None``: a blank one
    is there.
    """
    if parameter.where not in ("header", "cookie"):
        return parameter
    return replace(parameter, shape=without_none(parameter.shape)[0])


def _struct_field(parameter: Parameter) -> Any:
    if parameter.required:
        return msgspec.field(name=parameter.key)
    default = parameter.default
    return msgspec.field(name=parameter.key, default_factory=lambda: default)


class _AllFields(Struct, frozen=True):
    """
    All fields of the query or a form, as one shape. What a query has beside them is
    somebody else's.

    :ivar known: The names of the fields; ``None`` if it may be any.
    """

    parameter: Parameter
    find: Find
    known: frozenset[str] | None

    @classmethod
    def of(cls, parameter: Parameter, find: Find) -> _AllFields:
        known = _known_fields(kind_of(parameter.shape))
        return cls(parameter, find, known if parameter.where == "query" else None)

    def __call__(self, gathering: Gathering, arguments: Arguments) -> None:
        from ropewalk.web.formats import read_fields

        asked = self.parameter
        fields = self.find(gathering)
        if fields is None:
            return
        if self.known is not None:
            fields = {
                name: texts
                for name, texts in fields.items()
                if _FIRST_STEP.match(name)[0] in self.known  # type: ignore[index]
            }
        if not fields and not asked.required:
            arguments[asked.name] = asked.default
            return
        try:
            arguments[asked.name] = read_fields(asked.shape, fields)
        except Invalid as refused:
            gathering.refuse(refused, _told_as(asked.where))


class _Body(Struct, frozen=True):
    """
    The body, by its content type.
    """

    parameter: Parameter

    def __call__(self, gathering: Gathering, arguments: Arguments) -> None:
        asked = self.parameter
        if self._is_plain(gathering):
            try:
                given = read_json(asked.shape, gathering.request.body)
            except Invalid as refused:
                gathering.refuse(refused, "body")
            else:
                arguments[asked.name] = given
            return
        from ropewalk.web.formats import parse_type, read_body, read_fields

        body, length = gathering.body()
        if not length and not asked.required:
            arguments[asked.name] = asked.default
            return
        said = gathering.content_type()
        try:
            if said is not None and parse_type(said)[0] == "multipart/form-data":
                # It may have files in it, to be closed later.
                form = gathering.form()
                if form is not None:
                    arguments[asked.name] = read_fields(asked.shape, form)
            else:
                formats = formats_of(gathering.request)
                given = read_body(asked.shape, said, body, length, formats)
                body.seek(0)  # for whoever has the request as well
                arguments[asked.name] = given
        except Invalid as refused:
            gathering.refuse(refused, "body")

    def _is_plain(self, gathering: Gathering) -> bool:
        """Whether it is JSON, and here in one piece."""
        return (
            getattr(gathering.request, "body", None) is not None
            and gathering.content_type() == "application/json"
            and not formats_of(gathering.request)
        )


class _RawBody(Struct, frozen=True):
    """
    The body as it came.
    """

    name: str

    def __call__(self, gathering: Gathering, arguments: Arguments) -> None:
        arguments[self.name] = gathering.body()[0].read()


def _told_as(where: str) -> str:
    return "body" if where == "form" else where


class _Pick(Struct, frozen=True):
    """
    What is read of the texts under one name.

    :ivar one: Whether it may be a single text.
    :ivar words: Texts that mean something else.
    """

    one: bool
    words: Mapping[str, Any]

    @classmethod
    def of(cls, parameter: Parameter) -> _Pick:
        kind = kind_of(parameter.shape)
        several = list_kind(kind)
        if several is None or leaf_kinds(kind):
            return cls(True, _words(kind, parameter))
        return cls(False, _words(item_kind(several, 0), parameter))

    def __call__(self, texts: Sequence[Any]) -> Any:
        if self.words:
            texts = [self.words.get(text, text) for text in texts]
        return texts[0] if self.one and len(texts) == 1 else texts


def _words(kind: kinds.Type, parameter: Parameter) -> Mapping[str, Any]:
    """
    What a browser says of a box that is checked, and a blank text where there may be
    no text. ``?flag`` alone is true.
    """
    if takes_text(kind):
        return {}
    sorts = {type(each) for each in alternatives(kind)}
    words: dict[str, Any] = {}
    if kinds.BoolType in sorts:
        words |= {"on": True, "off": False}
        if parameter.where == "query":
            words[""] = True
    if kinds.NoneType in sorts:
        words.setdefault("", None)
    return words


def _known_fields(kind: kinds.Type) -> frozenset[str] | None:
    """
    The names of the fields of a shape; ``None`` if it may have any.
    """
    known: set[str] = set()
    for each in alternatives(kind):
        if isinstance(each, kinds.NoneType):
            continue
        if not hasattr(each, "fields"):
            return None
        known |= part_kinds(each).keys()
        tag = getattr(each, "tag_field", None)
        known |= {tag} if tag else set()
    return frozenset(known)


# Where fields are found.


def _in_query(parameters: Sequence[Parameter]) -> Find:
    return Gathering.query


def _in_form(parameters: Sequence[Parameter]) -> Find:
    return Gathering.form


def _in_headers(parameters: Sequence[Parameter]) -> Find:
    """
    A header that is a list may come in several lines, or several elements in one:
    RFC 9110, section 5.3.
    """
    wanted = [
        (each.key, each.key.lower().encode("ascii"), not _Pick.of(each).one)
        for each in parameters
    ]

    def find(gathering: Gathering) -> Fields | None:
        fields: dict[str, Sequence[str]] = {}
        for key, name, many in wanted:
            lines = asked_header(gathering.request, name)
            if not lines:
                continue
            try:
                texts = [line.decode() for line in lines]
            except UnicodeDecodeError:
                gathering.refuse(Invalid((Fault(key, "not UTF-8"),)), "header")
                return None
            fields[key] = elements_of(texts) if many else texts
        return fields

    return find


def elements_of(lines: Sequence[str]) -> list[str]:
    """
    The elements of a header that is a list; blank ones are none.
    """
    found = (_ELEMENT.findall(line) for line in lines)
    return [text.strip() for texts in found for text in texts if text.strip()]


def _in_cookies(parameters: Sequence[Parameter]) -> Find:
    def find(gathering: Gathering) -> Fields:
        lines = asked_header(gathering.request, b"cookie")
        cookies = read_cookies(b"; ".join(lines).decode("utf-8", "replace"))
        return {name: [text] for name, text in cookies.items()}

    return find


_FINDERS: Mapping[str, Callable[[Sequence[Parameter]], Find]] = {
    "query": _in_query,
    "header": _in_headers,
    "cookie": _in_cookies,
    "form": _in_form,
}
