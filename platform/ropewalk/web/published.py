# -*- test-case-name: tests.test_published -*-
"""
A tree of objects, published: a method marked with
:func:`~ropewalk.web.routes.expose` answers where the attributes lead to it, as in
CherryPy::

    class Blog:
        @expose
        def index(self):                            # /blog
            return "Posts"

        @expose
        def post(self, number: int, full: bool = False):
            ...                                     # /blog/post/7, /blog/post?number=7

        @expose
        def default(self, *path: str):              # /blog/whatever/else
            ...

    root.blog = Blog()
    routes.publish("/", root)

Arguments come by name and type: from the path, as many as there are segments left;
otherwise from the query, or of a POST from its body: a form, or an object in JSON. A
POST without a body has them in the query. ``**others`` gets whatever else is there. A
path may have ``-`` where a name has ``_``.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Sequence
from types import MemberDescriptorType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from attrs import define, evolve, field, frozen
from msgspec import Struct
from msgspec.structs import replace
from twisted.web.iweb import IRequest

from ropewalk.errors import BadHandler, Fault, Invalid
from ropewalk.schema import read
from ropewalk.schema.signatures import name_of, read_signature
from ropewalk.web.fields import read_fields
from ropewalk.web.gathering import BadRequest, NotFound
from ropewalk.web.parameters import ELSEWHERE, Source, sort_of
from ropewalk.web.queries import read_query
from ropewalk.web.routes import Exposed

if TYPE_CHECKING:
    from ropewalk.web.routes import Routes

__all__ = ["publish"]

#: How deep a tree may be, and how many objects may be in it. One that leads back to
#: one above it is left out; but who leads to whom else may become many ways.
_DEEPEST = 20
_MOST = 1_000

#: What takes all the segments that are left, the body, and the request.
_PATH, _BODY, _REQUEST = "path__", "body__", "request__"

_ON_PATH = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


def publish(
    routes: Routes,
    path: str,
    root: Any,
    place: str,
    *,
    methods: Sequence[str] | None = None,
    **options: Any,
) -> None:
    """
    Serve a tree of objects.

    :param path: Where its root is.
    :param place: Where that is said: ``file:line``.
    :param methods: HTTP's methods for what does not say its own; GET and POST unless
        given.
    :raise BadHandler: When nothing in it is exposed.
    """
    found = False
    for leaf in _Tree(root, place).leaves():
        found = True
        verbs = leaf.exposed.methods or methods
        for verb in ("GET", "POST") if verbs is None else verbs:
            has_body = verb.upper() not in ("GET", "HEAD", "OPTIONS", "DELETE")
            if verbs is None and not has_body and leaf.needs_body():
                continue
            for rule, taken, documented in leaf.rules(path.rstrip("/")):
                said = {
                    "methods": [verb],
                    "owner": None,
                    "name": leaf.name,
                    "known_as": (leaf.name,),
                    "slashes": "ignore",
                    "documented": documented,
                    **options,
                }
                routes.route(rule, **said)(leaf.calling(taken, has_body))
    if not found:
        name = name_of(root if isinstance(root, type) else type(root))
        problem = "nothing in it is exposed: mark methods with @expose"
        if isinstance(root, type):
            problem = f"it is a class: publish an object, {name}(…)"
        raise BadHandler(name, place, problem)


class _Taken(Struct, frozen=True):
    """
    What of a method's arguments is in a path.

    :ivar names: The names of those.
    :ivar rest: Whether all that is left is in it as well.
    """

    names: tuple[str, ...] = ()
    rest: bool = False


@frozen
class _Leaf:
    """
    A method that is exposed.

    :ivar words: The attributes that lead to its object, and its own name.
    :ivar method: The method, bound.
    :ivar exposed: What was said of it.
    :ivar alone: Whether its object has no ``index``.
    """

    words: tuple[str, ...]
    method: Callable[..., Any]
    exposed: Exposed
    alone: bool = True
    asked: tuple[inspect.Parameter, ...] = field(init=False)

    @asked.default
    def _find_asked(self) -> tuple[inspect.Parameter, ...]:
        return tuple(read_signature(self.method).parameters.values())

    @property
    def name(self) -> str:
        """What links call it: ``"blog.post"``."""
        return ".".join(self.words)

    def rules(self, prefix: str) -> Iterator[tuple[str, _Taken, bool]]:
        """
        Its paths, what of its arguments is in each, and whether it is the one that is
        told.
        """
        *above, name = self.words
        words = above if name in ("index", "default") else [*above, name]
        base = "".join([prefix, *(f"/{word}" for word in words)])
        for rule, taken in self._rules(name):
            yield base + rule, taken, True
        dashed = "".join([prefix, *(f"/{word.replace('_', '-')}" for word in words)])
        if dashed != base:
            for rule, taken in self._rules(name):
                yield dashed + rule, taken, False

    def _rules(self, name: str) -> Iterator[tuple[str, _Taken]]:
        if name not in ("index", "default"):
            yield "", _Taken()
        elif name == "index" or self.alone:
            yield "/", _Taken()
        if name == "index":
            return
        rule, taken = "", _Taken()
        for each in filter(_may_be_in_path, self.asked):
            rule += f"/<{each.name}>"
            taken = _Taken((*taken.names, each.name))
            yield rule, taken
        if self._starred() is not None:
            yield f"{rule}/<path:{_PATH}>", replace(taken, rest=True)

    def needs_body(self) -> bool:
        """Whether it asks for what only a body has."""
        return any(
            sort_of(_kind(each)) == "file"
            or (_takes_body(each) and sort_of(_kind(each)) != "parts")
            or any(source.where in ("body", "form") for source in _sources(_kind(each)))
            for each in self.asked
        )

    def calling(self, taken: _Taken, has_body: bool) -> Callable[..., Any]:
        """
        A handler that calls it with what is in the path and, of what is not, with what
        is in the query or the form.
        """
        method, starred = self.method, self._starred()
        in_order = [each for each in self.asked if each.kind in _ON_PATH]
        known = {each.name for each in self.asked}
        takes_others = any(each.kind is each.VAR_KEYWORD for each in self.asked)
        fields = self._fields(taken) if has_body else ()
        shape = self._shape(fields) if fields else None

        def call(**named: Any) -> Any:
            request = named.pop(_REQUEST, None)
            rest = [each for each in named.pop(_PATH, "").split("/") if each]
            if starred is not None and rest:
                rest = _convert(starred, rest)
            if shape is not None:
                body = named.pop(_BODY)
                if body is None or body is ELSEWHERE:
                    body = _from_query(shape, request)
                named |= {each.name: getattr(body, each.name) for each in fields}
            if takes_others:
                named = {**_others(request, known), **named}
            args = [named.pop(each.name, each.default) for each in in_order]
            return method(*args, *rest, **named)

        parameters = [
            _keyword(each.name, _kind(each), each.default)
            for each in self.asked
            if each.kind in (*_ON_PATH, each.KEYWORD_ONLY) and each not in fields
        ]
        if taken.rest:
            parameters.append(_keyword(_PATH, str))
        if takes_others or shape is not None:
            parameters.append(_keyword(_REQUEST, IRequest))
        if shape is not None:
            body: Any = Annotated[shape, Source("body")]
            needed = any(each.default is each.empty for each in fields)
            missing = ELSEWHERE if needed else None
            parameters.append(_keyword(_BODY, body, missing))
        told: Any = call
        vars(told).update(vars(inspect.unwrap(method)))
        told.__signature__ = inspect.Signature(
            parameters, return_annotation=read_signature(method).return_annotation
        )
        told.__name__ = self.words[-1]
        told.__doc__ = method.__doc__
        told.__ropewalk_handler__ = method
        return call

    def _starred(self) -> inspect.Parameter | None:
        stars = (each for each in self.asked if each.kind is each.VAR_POSITIONAL)
        return next(stars, None)

    def _fields(self, taken: _Taken) -> tuple[inspect.Parameter, ...]:
        """Those of its arguments that are fields of a body, if that is no other's."""
        left = [each for each in self.asked if each.name not in taken.names]
        if any(_takes_body(each) for each in left):
            return ()
        return tuple(filter(_may_be_field, left))

    def _shape(self, fields: Sequence[inspect.Parameter]) -> type[Any]:
        """What is read of a body."""
        name = "".join(word.title() for word in self.words).replace("_", "")
        return msgspec.defstruct(
            name or "Body",
            [_struct_field(each) for each in fields],
            module=getattr(self.method, "__module__", __name__),
            kw_only=True,
        )


@define
class _Tree:
    """
    Objects that lead to others.

    :ivar place: Where it is said that they are served.
    """

    root: Any
    place: str
    _visited: int = 0

    def leaves(self) -> Iterator[_Leaf]:
        """The methods that are exposed."""
        yield from self._below(self.root, (), ())

    def _below(
        self, node: Any, words: tuple[str, ...], above: tuple[Any, ...]
    ) -> Iterator[_Leaf]:
        self._visited += 1
        if self._visited > _MOST:
            name = name_of(type(self.root))
            problem = f"there are more than {_MOST} ways through its objects"
            raise BadHandler(name, self.place, problem)
        leaves = [
            _Leaf((*words, name), method, exposed)
            for name, method, exposed in _methods(node)
        ]
        indexed = any(leaf.words[-1] == "index" for leaf in leaves)
        yield from (evolve(leaf, alone=not indexed) for leaf in leaves)
        if len(above) == _DEEPEST:
            return
        for name, each in _attributes(node):
            if self._may_lead(each) and not any(each is one for one in (*above, node)):
                yield from self._below(each, (*words, name), (*above, node))

    def _may_lead(self, value: Any) -> bool:
        """
        Whether there may be something to publish in an object, or below it: if it has
        something, or is of a class that was written together with the root's.
        """
        if isinstance(value, (type, ModuleType)) or inspect.isroutine(value):
            return False
        if isinstance(value, SimpleNamespace):
            return True
        home = type(self.root).__module__.partition(".")[0]
        if type(value).__module__.partition(".")[0] == home:
            return True
        return any(True for _ in _methods(value))


def _methods(node: Any) -> Iterator[tuple[str, Callable[..., Any], Exposed]]:
    """What is exposed of an object itself: its name, the method, what was said."""
    own = getattr(node, "__dict__", {})
    for name, method in inspect.getmembers_static(type(node), inspect.isroutine):
        exposed = _exposed(method)
        if exposed is not None and name not in own:
            called = "index" if name == "__call__" else name
            yield exposed.name or called, getattr(node, name), exposed
    for name, function in own.items():
        exposed = _exposed(function)
        if exposed is not None and callable(function):
            yield exposed.name or name, function, exposed


def _exposed(method: Any) -> Exposed | None:
    for each in method, getattr(method, "__func__", None):
        said = getattr(each, "__ropewalk_exposed__", None)
        if isinstance(said, Exposed):
            return said
    return None


def _attributes(node: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of an object that are no secret."""
    names = {name for kind in type(node).__mro__ for name in vars(kind)}
    for name in sorted({*names, *getattr(node, "__dict__", {})}):
        if name.startswith("_"):
            continue
        value = inspect.getattr_static(node, name, None)
        if isinstance(value, MemberDescriptorType):  # of a class with slots
            value = getattr(node, name, None)
        yield name, value


# Arguments.


def _may_be_in_path(asked: inspect.Parameter) -> bool:
    """
    Whether an argument may be in a path. What may be a component's, with a type of its
    own, must not be given by who asks.
    """
    kind = _kind(asked)
    return (
        asked.kind in _ON_PATH
        and asked.name != "request"
        and not _says_where(kind)
        and sort_of(kind) == "scalar"
    )


def _may_be_field(asked: inspect.Parameter) -> bool:
    """Whether an argument may be a field of a body."""
    kind = _kind(asked)
    return (
        asked.kind in (*_ON_PATH, asked.KEYWORD_ONLY)
        and asked.name != "request"
        and not _says_where(kind)
        and sort_of(kind) in ("scalar", "list", "file")
    )


def _takes_body(asked: inspect.Parameter) -> bool:
    """Whether an argument is a body, or says what of it it is."""
    kind = _kind(asked)
    sources = [each.where for each in _sources(kind)]
    if sources:
        return not {"body", "form"}.isdisjoint(sources)
    return sort_of(kind) in ("parts", "many parts")


def _struct_field(asked: inspect.Parameter) -> Any:
    name, kind, default = asked.name, _kind(asked), asked.default
    if default is asked.empty:
        return name, kind
    return name, kind, msgspec.field(default_factory=lambda: default)


def _kind(asked: inspect.Parameter) -> Any:
    """Its type: what it says, what its default is, or text."""
    if asked.annotation is not asked.empty:
        return asked.annotation
    if asked.name == "request":
        return IRequest
    default = type(asked.default)
    return default if default in (int, float, bool) else str


def _says_where(kind: Any) -> bool:
    """Whether a type says where its values come from, or has a name of its own."""
    return hasattr(kind, "__supertype__") or any(True for _ in _sources(kind))


def _sources(kind: Any) -> Iterator[Source]:
    for each in getattr(kind, "__metadata__", ()):
        if isinstance(each, Source):
            yield each
    for part in typing.get_args(kind):
        yield from _sources(part)


def _convert(starred: inspect.Parameter, texts: Sequence[str]) -> list[Any]:
    """
    :raise NotFound: When one cannot be converted.
    """
    kind = _kind(starred)
    faults: list[Fault] = []
    values: list[Any] = []
    for number, text in enumerate(texts):
        try:
            values.append(read(kind, text, strict=False))
        except Invalid as error:
            problem = error.faults[0].problem
            faults.append(Fault(f"{starred.name}[{number}]", problem, "path"))
    if faults:
        raise NotFound(tuple(faults))
    return values


def _from_query(shape: type[Any], request: Any) -> Any:
    """
    What there would be in a body, if there were one.

    :raise BadRequest: When it cannot be read.
    """
    query = request.uri.partition(b"?")[2]
    try:
        return read_fields(shape, read_query(query))
    except Invalid as error:
        faults = (replace(each, where="query") for each in error.faults)
        raise BadRequest(tuple(faults)) from None


def _others(request: Any, known: set[str]) -> dict[str, Any]:
    """What is in the query and the form that no argument takes by its name."""
    others: dict[str, Any] = {}
    for raw, values in request.args.items():
        name = raw.decode("utf-8", "replace")
        if name not in known:
            texts = [value.decode("utf-8", "replace") for value in values]
            others[name] = texts[0] if len(texts) == 1 else texts
    return others


def _keyword(
    name: str, kind: Any, default: Any = inspect.Parameter.empty
) -> inspect.Parameter:
    where = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, where, annotation=kind, default=default)
