# -*- test-case-name: tests.test_models -*-
"""
Routes bound to models, as in Morepath: a path says which one is meant, views answer
for it, links come from it, and one rule says who may see it::

    @routes.model(Company, "/companies/<int:id>")
    def find(id: int, companies: Companies) -> Company | None:
        return companies.get(id)                  # None is answered with 404

    @routes.permits(Company)
    def may(company: Company, user: User, permission: Permission) -> bool:
        return user.is_admin or permission == "view"

    @routes.view(Company)                         # GET /companies/7
    def show(company: Company):
        return company

    @routes.view(Company, "edit", methods=["POST"], permission="edit")
    def edit(company: Company, changes: Changes):
        ...

``request.link(company)`` is ``"/companies/7"``, and ``request.link(company, "edit")``
the other. To move them all, change the path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define
from msgspec import Struct

from ropewalk.awaiting import awaitable, deferred
from ropewalk.errors import BadHandler, RopewalkError
from ropewalk.schema.signatures import name_of
from ropewalk.web.patterns import BadLink, parse
from ropewalk.web.problems import Forbidden

if TYPE_CHECKING:
    from ropewalk.web.components import Components
    from ropewalk.web.routes import Routes

__all__ = ["Forbidden", "Model", "NotThere", "Permission", "model", "permits", "view"]

F = TypeVar("F", bound=Callable[..., Any])


class Permission(str):
    """
    What somebody wants to do with a model: what the view says, ``"view"`` unless it
    says something. A rule may ask for it.
    """


class NotThere(RopewalkError):
    """
    There is no such model.
    """

    status = 404

    def __str__(self) -> str:
        return "there is nothing here"


class Model(Struct, eq=False):
    """
    A model that has a path.

    :ivar path: The path.
    :ivar place: Where that is said: ``file:line``.
    :ivar below: The path of the ``subroute`` in which it is said.
    :ivar link_args: What is in it, for one of them.
    :ivar rules: Who may see it.
    """

    path: str
    place: str
    below: str
    link_args: Callable[[Any], Mapping[str, Any]]
    rules: list[Callable[..., Any]] = []


@define(eq=False)
class Guards(Sequence[Callable[..., Any]]):
    """
    The rules of a model, those among them that are added later.

    :ivar kind: The model.
    :ivar models: All models of its routes.
    """

    kind: type
    models: Mapping[type, Model]

    def __getitem__(self, number: Any) -> Any:
        return self._rules()[number]

    def __len__(self) -> int:
        return len(self._rules())

    def _rules(self) -> Sequence[Callable[..., Any]]:
        """
        :raise BadHandler: When there are none, though there are for its parent.
        """
        own = self.models[self.kind]
        if not own.rules:
            for parent in self.kind.__mro__[1:]:
                if parent in self.models and self.models[parent].rules:
                    name, over = name_of(self.kind), name_of(parent)
                    problem = (
                        f"nothing guards it, while rules guard {over}, of which it is "
                        f"a kind: say routes.permits({name}) as well"
                    )
                    raise BadHandler(name, own.place, problem)
        return own.rules


def model(
    routes: Routes,
    kind: type,
    path: str,
    place: str,
    *,
    variables: Callable[[Any], Mapping[str, Any]] | None = None,
) -> Callable[[F], F]:
    """
    Bind a path to a model.

    :param place: Where that is said: ``file:line``.
    :param variables: What is in the path of a link to one: by default its attributes
        of these names.
    :raise BadHandler: When it has a path already.
    :raise TypeError: When it is no class.
    """
    if not isinstance(kind, type):
        raise TypeError(f"a model is a class, not {kind!r}")
    models = routes._more.models
    if kind in models:
        known = models[kind]
        problem = f"it has a path already: {known.path} ({known.place})"
        raise BadHandler(name_of(kind), place, problem)
    names = parse(path, routes.converters).names

    def by_attributes(one: Any) -> Mapping[str, Any]:
        missing = [name for name in names if not hasattr(one, name)]
        if missing:
            problem = (
                f"a {name_of(type(one))} has no attribute {missing[0]!r}: say "
                f"routes.model({name_of(kind)}, …, variables=…)"
            )
            raise BadLink(path, problem)
        return {name: getattr(one, name) for name in names}

    models[kind] = Model(path, place, routes._more.below, variables or by_attributes)

    def decorate(function: F) -> F:
        def add(components: Components, instance: Any) -> None:
            find = routes.as_method(function, instance)
            components.add(_existing(find), provides=kind)

        routes._more.components.append(add)
        return function

    return decorate


def view(
    routes: Routes,
    kind: type,
    name: str,
    place: str,
    /,
    *,
    methods: Sequence[str] = ("GET",),
    permission: str = "view",
    **options: Any,
) -> Callable[[F], F]:
    """
    Let a function answer for a model.

    :param name: What comes behind the model's path; empty for the path itself.
    :param permission: What its rules are asked for.
    :raise BadHandler: When the model has no path.
    """
    known = _known(routes, kind, place)
    if routes._more.below != known.below:
        problem = (
            f"its path is said in another subroute ({known.place}); say both in one"
        )
        raise BadHandler(name_of(kind), place, problem)
    name = name.lstrip("/")
    path = f"{known.path.rstrip('/')}/{name}" if name else known.path
    return routes.route(
        path,
        methods=methods,
        known_as=(kind,),
        link_args=known.link_args,
        view=name,
        guards=Guards(kind, routes._more.models),
        permission=Permission(permission),
        **options,
    )


def permits(routes: Routes, kind: type, place: str) -> Callable[[F], F]:
    """
    Let a function say who may see a model, whichever view answers. Of several, all
    must say yes.

    :raise BadHandler: When the model has no path.
    """
    known = _known(routes, kind, place)

    def decorate(function: F) -> F:
        known.rules.append(function)
        return function

    return decorate


def _known(routes: Routes, kind: type, place: str) -> Model:
    if not isinstance(kind, type):
        raise TypeError(f"a model is a class, not {kind!r}")
    known: Model | None = routes._more.models.get(kind)
    if known is None:
        name = name_of(kind)
        problem = f"it has no path yet: say routes.model({name}, path) first"
        for parent in _parents(routes, kind):
            problem += f", or mean {name_of(parent)}, which has one"
        raise BadHandler(name, place, problem)
    return known


def _parents(routes: Routes, kind: type) -> Iterator[type]:
    """The nearest class of which it is a kind that has a path, if there is one."""
    known = (each for each in kind.__mro__ if each in routes._more.models)
    yield from islice(known, 1)


def _existing(find: Callable[..., Any]) -> Callable[..., Any]:
    """What finds a model, or raises."""

    def check(found: Any) -> Any:
        if found is None:
            raise NotThere
        return found

    @wraps(find)
    def existing(*args: Any, **kwargs: Any) -> Any:
        found = find(*args, **kwargs)
        return deferred(found).addCallback(check) if awaitable(found) else check(found)

    return existing
