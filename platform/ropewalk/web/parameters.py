# -*- test-case-name: tests.test_binding -*-
"""
Where each parameter of a handler, or of a component, comes from: decided at the
start, by its type and its name.

A parameter is the first of these that fits:

1. the request: by its type, by its name ``request``, or because it is the first and
   has no annotation;
2. what its annotation says: ``Header[str]``, ``Cookie[str]``, ``Query[...]``,
   ``Form[...]``, ``Body[...]``, ``Path[...]``;
3. what stands in the path under its name;
4. its default, when it has no annotation;
5. a component (:mod:`~ropewalk.web.components`), when one gives its type;
6. a file of a form, or several: :class:`~ropewalk.web.uploads.Upload`;
7. the body, when its type has named parts; on a route whose methods have no body, the
   whole query;
8. the query under its name, when its type is text, a number, a date and the like, or
   a list of these.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import PurePath
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union
from uuid import UUID

from msgspec import Struct
from msgspec import inspect as kinds
from twisted.web.iweb import IRequest
from twisted.web.server import Request

from ropewalk.errors import BadHandler
from ropewalk.schema import check, nearest
from ropewalk.schema.kinds import bare, kind_of, takes_leaf, takes_list, takes_table
from ropewalk.schema.shape import is_model
from ropewalk.schema.signatures import (
    Unresolved,
    kind_name,
    name_of,
    place_of,
    read_signature,
)
from ropewalk.web.components import Component, Components, without_none
from ropewalk.web.uploads import Upload

__all__ = [
    "ELSEWHERE",
    "Asker",
    "Body",
    "Cookie",
    "Form",
    "Header",
    "Parameter",
    "Path",
    "Query",
    "Source",
    "Supply",
    "decide",
    "fits_as_it_is",
    "has_place",
    "sort_of",
]

T = TypeVar("T")

#: The default of a body that somebody looks for elsewhere when it is missing, and does
#: not do without: it is documented as one that must be there.
ELSEWHERE: Any = object()

Where = Literal[
    "request", "path", "query", "header", "cookie", "form", "body", "component"
]

_EMPTY = inspect.Parameter.empty

#: What no request is without.
_ALWAYS_THERE = ("request", "path", "component")


class Source(Struct, frozen=True):
    """
    Says in an annotation where a parameter comes from.

    :ivar where: Which part of the request.
    :ivar name: Its name there; ``None`` for the parameter's own, of which a header
        has each ``_`` as ``-``.
    """

    where: Literal["path", "query", "header", "cookie", "form", "body"]
    name: str | None = None


Path = Annotated[T, Source("path")]
Query = Annotated[T, Source("query")]
Header = Annotated[T, Source("header")]
Cookie = Annotated[T, Source("cookie")]
Form = Annotated[T, Source("form")]
Body = Annotated[T, Source("body")]


class Parameter(Struct, frozen=True):
    """
    One thing that a handler asks for, or a component on its behalf.

    :ivar name: What it is called in the function.
    :ivar where: Where it comes from.
    :ivar key: What it is called there; the name of the type for a component.
    :ivar shape: Its type.
    :ivar required: Whether it must be there.
    :ivar default: What it is otherwise.
    :ivar whole: Whether it is all of the body, the form or the query, of which its
        parts are the fields, and not one field.
    :ivar component: The component that asks; ``None`` for the handler itself.
    """

    name: str
    where: Where
    key: str
    shape: Any
    required: bool = True
    default: Any = None
    whole: bool = False
    component: Component | None = None


class Asker(Struct, frozen=True):
    """
    A handler or a component, and what it said of itself.

    :ivar component: Which component, if it is one.
    :ivar chain: Who asks for it: the handler, then the types of components.
    """

    function: Callable[..., Any]
    name: str
    place: str
    signature: inspect.Signature
    component: Component | None = None
    chain: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        bound: bool = False,
        component: Component | None = None,
        chain: tuple[str, ...] = (),
    ) -> Asker:
        """
        Look at a function.

        :raise BadHandler: When nothing can be seen.
        """
        name, place = name_of(function), place_of(function)
        try:
            signature = read_signature(function, bound=bound)
        except (TypeError, ValueError, NameError) as error:
            raise BadHandler(name, place, f"it cannot be bound: {error}") from error
        return cls(function, name, place, signature, component, chain or (name,))

    def refuse(self, problem: str) -> BadHandler:
        """
        The error to raise when it cannot have what it asks for.
        """
        if self.component is not None:
            problem += f" (asked for by {' → '.join(self.chain)})"
        return BadHandler(self.name, self.place, problem)

    def named(self) -> list[inspect.Parameter]:
        """
        Its parameters but for ``*args`` and ``**kwargs``.
        """
        stars = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return [
            each
            for each in self.signature.parameters.values()
            if each.kind not in stars
        ]

    def takes_any_place(self) -> bool:
        """
        Whether it has a ``*args``, and nothing before it.
        """
        return self._has(inspect.Parameter.VAR_POSITIONAL) and not any(
            map(has_place, self.named())
        )

    def takes_any_name(self) -> bool:
        """
        Whether it has a ``**kwargs``.
        """
        return self._has(inspect.Parameter.VAR_KEYWORD)

    def _has(self, star: Any) -> bool:
        return any(each.kind is star for each in self.signature.parameters.values())


class Supply(Struct, frozen=True):
    """
    What there is to be asked for on a route.

    :ivar path: The names in the path, and the types that their converters give.
    :ivar has_body: Whether its requests have a body.
    """

    path: Mapping[str, Any]
    components: Components
    has_body: bool


def decide(asker: Asker, supply: Supply) -> tuple[Parameter, ...]:
    """
    Where everything comes from that a function asks for; what is left at its default
    is left out.

    :raise BadHandler: When something comes from nowhere.
    """
    requests = _requests(asker, supply)
    rules = [_Rules.of(asker, supply, each) for each in asker.named()]
    decided = [
        each.give("request", shape=IRequest) if each.name in requests else each.decide()
        for each in rules
    ]
    parameters = tuple(each for each in decided if each is not None)
    _check_keys(asker, parameters)
    if asker.component is None:
        _check_body(asker, parameters)
    return parameters


def _requests(asker: Asker, supply: Supply) -> set[str]:
    """
    The names of the parameters that are the request.
    """
    named = asker.named()
    found = {each.name for each in named if _is_request(each.annotation)}
    free = [each for each in named if _says_nothing(each.annotation)]
    found |= {each.name for each in free if each.name == "request"}
    # Annotations under TYPE_CHECKING are no reason not to know Klein's handlers.
    found |= {
        each.name
        for each in named
        if each.name == "request" and isinstance(each.annotation, Unresolved)
    }
    if not found and free and free[0] is named[0]:
        first = named[0]
        # Klein gives it to a handler whatever its default is.
        is_free = asker.component is None or first.default is _EMPTY
        if is_free and has_place(first) and first.name not in supply.path:
            found.add(first.name)
    return found


def has_place(parameter: inspect.Parameter) -> bool:
    """
    Whether an argument may be given by its place.
    """
    return parameter.kind in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )


def _is_request(annotation: Any) -> bool:
    return annotation is IRequest or (
        isinstance(annotation, type) and issubclass(annotation, Request)
    )


def _says_nothing(annotation: Any) -> bool:
    return annotation is _EMPTY or annotation is Any


class _Rules(Struct, frozen=True):
    """
    The rules, for one parameter.

    :ivar kind: Its type.
    :ivar source: Where it says that it comes from.
    """

    asker: Asker
    supply: Supply
    name: str
    kind: Any
    source: Source | None
    default: Any

    @classmethod
    def of(cls, asker: Asker, supply: Supply, asked: inspect.Parameter) -> _Rules:
        kind, source = _without_source(_without_alias(asked.annotation))
        return cls(asker, supply, asked.name, kind, source, asked.default)

    def decide(self) -> Parameter | None:
        if isinstance(self.kind, Unresolved):
            raise self._refuse(self.kind.problem)
        if self.source is not None:
            return self._from_source(self.source)
        if self.name in self.supply.path:
            return self._from_path(self.name)
        if _says_nothing(self.kind):
            self._check_default()
            return None
        found = self._from_components()
        if found is None and self.name == "request" and sort_of(self.kind) is None:
            return self.give("request", shape=IRequest)
        return found or self._by_sort()

    def give(
        self, where: Where, key: str = "", *, shape: Any = None, whole: bool = False
    ) -> Parameter:
        optional = self.default is not _EMPTY or without_none(self.kind)[1]
        return Parameter(
            self.name,
            where,
            key or self.name,
            self.kind if shape is None else shape,
            required=where in _ALWAYS_THERE or not optional,
            default=None if self.default is _EMPTY else self.default,
            whole=whole,
            component=self.asker.component,
        )

    def _check_default(self) -> None:
        if self.default is not _EMPTY:
            return
        taken = {each.name for each in self.asker.named()}
        meant = nearest(
            self.name, [each for each in self.supply.path if each not in taken]
        )
        hint = f"; did you mean {meant!r}, which is in the path?" if meant else ""
        raise self.asker.refuse(
            f"cannot tell what {self.name!r} is: annotate it, put it in the path, or "
            f"give it a default{hint}"
        )

    def _from_source(self, source: Source) -> Parameter:
        key = source.name or self.name
        if source.where == "path":
            return self._from_path(key)
        if _says_nothing(self.kind) and source.where != "body":
            raise self._refuse("say its type as well")
        if source.where in ("form", "body"):
            return self._from_body(source.where, key)
        if source.where == "header" and source.name is None:
            key = "-".join(map(str.capitalize, key.strip("_").split("_")))
        sort = self._readable()
        if sort in ("scalar", "list"):
            return self.give(source.where, key)
        if source.where == "query" and sort == "parts":
            return self.give("query", key, whole=True)
        raise self._refuse(f"a {source.where} cannot be {kind_name(self.kind)}")

    def _from_path(self, key: str) -> Parameter:
        if key not in self.supply.path:
            meant = nearest(key, self.supply.path)
            hint = f"; did you mean {meant!r}?" if meant else ""
            raise self._refuse(f"there is no {key!r} in the path{hint}")
        gives = self.supply.path[key]
        if _says_nothing(self.kind):
            return self.give("path", key, shape=gives)
        wanted = without_none(self.kind)[0]
        never = wanted is str and gives in (int, float, date, UUID)
        if never or (
            not fits_as_it_is(gives, self.kind) and self._readable() != "scalar"
        ):
            raise self._refuse(
                f"in the path it is {kind_name(gives)}, which cannot become "
                f"{kind_name(self.kind)}"
            )
        return self.give("path", key)

    def _from_components(self) -> Parameter | None:
        kind, optional = without_none(self.kind)
        found = self.supply.components.find(kind)
        if found is None:
            return None
        if found.optional and not optional:
            raise self._refuse(
                f"{found} may give None: annotate it with {kind_name(kind)} | None"
            )
        return self.give("component", kind_name(kind), shape=found.kind)

    def _from_body(self, where: Literal["form", "body"], key: str) -> Parameter:
        if self.asker.component is not None:
            raise self._refuse("a component cannot have the body, or a part of it")
        if not self.supply.has_body:
            raise self._refuse("the methods of this route have no body")
        sort = self._readable()
        whole = where == "body" or sort in ("parts", "many parts")
        if where == "form" and sort == "many parts":
            raise self._refuse(f"a form cannot be {kind_name(self.kind)}")
        return self.give(where, key, whole=whole)

    def _by_sort(self) -> Parameter:
        sort = self._readable()
        if sort in ("scalar", "list"):
            return self.give("query")
        if sort == "file":
            return self._from_body("form", self.name)
        if self.asker.component is not None:
            name = kind_name(self.kind)
            raise self._refuse(
                f"a component cannot have the body; {name} is read from the query if "
                f"it is annotated with Query[{name}]"
            )
        if self.supply.has_body:
            return self._from_body("body", self.name)
        if sort == "many parts":
            raise self._refuse(
                f"the methods of this route have no body, and a query cannot be "
                f"{kind_name(self.kind)}"
            )
        return self.give("query", whole=True)

    def _readable(self) -> Sort:
        """
        What sort of thing it is to be read as.

        :raise BadHandler: When nobody can read it.
        """
        sort = sort_of(self.kind)
        if sort is None:
            raise self._refuse(self._flaw() or self._unknown())
        try:
            check(self.kind)
        except TypeError as error:
            raise self._refuse(f"{error}; {self._unknown()}") from None
        return sort

    def _flaw(self) -> str:
        """What is wrong with how its type is written; empty when nothing is."""
        try:
            kind_of(self.kind)
        except Exception as error:  # annotations can be wrong in any way
            if "is not supported" in str(error):
                return ""  # it is a class of another kind
            return f"{kind_name(self.kind)} cannot be read: {error}"
        return ""

    def _unknown(self) -> str:
        """
        Says that a type is none that can be had, and what can.
        """
        name = kind_name(without_none(self.kind)[0])
        there = [kind_name(each.kind) for each in self.supply.components]
        meant = nearest(name, there)
        if meant:
            hint = f"did you mean {meant}?"
        elif there:
            hint = f"there are components for {', '.join(there)}"
        else:
            hint = "there are no components"
        return f"no request has a {name} in it, and no component gives one; {hint}"

    def _refuse(self, problem: str) -> BadHandler:
        return self.asker.refuse(f"parameter {self.name!r}: {problem}")


def _without_alias(annotation: Any) -> Any:
    """
    What ``type Token = Header[str]`` stands for, as of Python 3.12.
    """
    while type(annotation).__name__ == "TypeAliasType":
        annotation = annotation.__value__
    return annotation


def _without_source(annotation: Any) -> tuple[Any, Source | None]:
    """
    ``Header[str]`` as ``str`` and where it comes from; ``Header[str] | None`` too.
    """
    if typing.get_origin(annotation) is Annotated:
        kind, *metadata = typing.get_args(annotation)
        sources = [each for each in metadata if isinstance(each, Source)]
        others = [each for each in metadata if not isinstance(each, Source)]
        if not sources:
            inner, source = _without_source(kind)
            return (Annotated[(inner, *others)] if source else annotation), source
        return (Annotated[(kind, *others)] if others else kind), sources[-1]
    if typing.get_origin(annotation) in (Union, UnionType):
        parts = [_without_source(each) for each in typing.get_args(annotation)]
        found = [source for _, source in parts if source]
        if found:
            return Union[tuple(kind for kind, _ in parts)], found[0]  # noqa: UP007
    return annotation, None


def fits_as_it_is(gives: Any, wanted: Any) -> bool:
    """
    Whether a value of one type needs no reading to be of another.
    """
    if _says_nothing(wanted) or gives == wanted:
        return True
    if hasattr(wanted, "__supertype__"):
        return fits_as_it_is(gives, wanted.__supertype__)
    if typing.get_origin(wanted) in (Union, UnionType):
        return any(fits_as_it_is(gives, each) for each in typing.get_args(wanted))
    return (
        isinstance(wanted, type)
        and isinstance(gives, type)
        and not typing.get_args(wanted)
        and issubclass(gives, wanted)
    )


# What sort of thing a type is.

#: One text, several texts, something with named parts, several of these, files.
Sort = Literal["scalar", "list", "parts", "many parts", "file"]


def sort_of(shape: Any) -> Sort | None:
    """
    What a type is read as; ``None`` when it cannot be read.
    """
    try:
        return _sort(kind_of(shape))
    except Exception:  # annotations of others can be wrong in any way
        return None


def _sort(kind: kinds.Type) -> Sort | None:
    kind = bare(kind)
    if isinstance(kind, kinds.UnionType):
        sorts = [_sort(each) for each in kind.types if not _is_none(each)]
        if None in sorts:
            return None
        order: tuple[Sort, ...] = ("file", "many parts", "parts", "list", "scalar")
        return next(each for each in order if each in sorts)
    cls = getattr(kind, "cls", object)
    if issubclass(typing.get_origin(cls) or cls, Upload):
        return "file"
    if takes_table(kind):
        return "parts"
    if isinstance(kind, (kinds.CollectionType, kinds.TupleType)):
        items = getattr(kind, "item_types", None) or (getattr(kind, "item_type", None),)
        sorts = [_sort(each) for each in items if each is not None]
        if None in sorts:
            return None
        if "file" in sorts:
            return "file"
        return "list" if set(sorts) <= {"scalar"} else "many parts"
    if takes_list(kind):  # a NamedTuple, or a struct that is written as a list
        return "many parts"
    if isinstance(kind, kinds.CustomType):
        return _custom_sort(kind.cls)
    return "scalar" if takes_leaf(kind) else None


def _is_none(kind: kinds.Type) -> bool:
    return isinstance(bare(kind), kinds.NoneType)


def _custom_sort(cls: type) -> Sort | None:
    if is_model(cls):
        return "parts"
    return "scalar" if issubclass(cls, (str, PurePath)) else None


# Whether all of it can be had together.


def _check_keys(asker: Asker, parameters: tuple[Parameter, ...]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for each in parameters:
        if each.whole or each.where not in ("query", "header", "cookie", "form"):
            continue
        key = each.key.lower() if each.where == "header" else each.key
        other = seen.setdefault((each.where, key), each.name)
        if other != each.name:
            raise asker.refuse(
                f"parameters {other!r} and {each.name!r} are both {each.key!r} in the "
                f"{each.where}"
            )


def _check_body(asker: Asker, parameters: tuple[Parameter, ...]) -> None:
    """
    A body is one value, or it is a form's fields.
    """
    wholes = [each for each in parameters if each.whole and each.where != "query"]
    fields = [each for each in parameters if each.where == "form" and not each.whole]
    if len(wholes) + bool(fields) < 2:
        return
    both = [*wholes, *fields][:2]
    names = " and ".join(repr(each.name) for each in both)
    told = "; ".join(f"{each.name}: {kind_name(each.shape)}" for each in both)
    if len(wholes) > 1:
        raise asker.refuse(
            f"there is one body, and parameters {names} both want it: ask for one "
            f"shape that has both, as `class Both(Shape): {told}`"
        )
    raise asker.refuse(
        f"parameter {wholes[0].name!r} wants the whole body, of which "
        f"{fields[0].name!r} is a field: make it a field of "
        f"{kind_name(wholes[0].shape)}, as `{fields[0].name}: "
        f"{kind_name(fields[0].shape)}`"
    )
