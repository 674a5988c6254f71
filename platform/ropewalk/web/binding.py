# -*- test-case-name: tests.test_binding -*-
"""
Typed handlers: what a handler asks for, by the types and names of its parameters, it
is given.

All that can be decided is decided at the start: where each parameter comes from (the
rules are in :mod:`~ropewalk.web.parameters`), in which order components are made, and
that nobody asks for what no request has. What is left to do for a request is a short
list of functions; a handler that asks for nothing but the request and what stands in
the path is just called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from ropewalk.errors import BadHandler
from ropewalk.interfaces import Steps
from ropewalk.schema import nearest
from ropewalk.schema.signatures import Unresolved, answer_of, is_steps
from ropewalk.web.components import Component, Components, Scope, begin
from ropewalk.web.gathering import BadRequest, Gathering, NotFound, Recipe
from ropewalk.web.parameters import (
    Asker,
    Body,
    Cookie,
    Form,
    Header,
    Parameter,
    Path,
    Query,
    Source,
    Supply,
    decide,
    fits_as_it_is,
    has_place,
)

__all__ = [
    "BadRequest",
    "Binding",
    "Body",
    "Cookie",
    "Form",
    "Header",
    "NotFound",
    "Parameter",
    "Path",
    "Query",
    "Source",
    "bind",
]

#: ``call(request, args, instance=None)``
Call = Callable[..., Any]

_EMPTY = inspect.Parameter.empty


class Binding(Struct, frozen=True):
    """
    What a handler asks for, and the way to call it.

    :ivar plain: Whether it takes the request, or nothing, and the arguments in the
        path as they are: ``call`` only calls it.
    :ivar parameters: All that it asks for, then all that its components do.
    :ivar answer: The type of its answer, when that has been waited for;
        ``inspect.Parameter.empty`` if it does not say.
    :ivar components: All that are made for it, each behind those that it needs.
    :ivar call: Called with a request, the arguments in its path, and the instance that
        the handler is a method of, returns what the handler returned; or a Deferred
        of it, when components had to be waited for. Raises
        :exc:`~ropewalk.errors.Invalid` with all that is wrong with the request. What
        is open then is closed by ``request.scope``, which is there if anything is: a
        :class:`~ropewalk.web.components.Scope`.
    """

    plain: bool
    parameters: tuple[Parameter, ...]
    answer: Any
    components: tuple[Component, ...]
    call: Call


def bind(
    function: Callable[..., Any],
    *,
    path: Mapping[str, Any],
    methods: Collection[str] | None,
    components: Components,
    bound: bool = False,
    spare: Collection[str] = (),
) -> Binding:
    """
    Decide where a handler gets what it asks for.

    :param path: The names in the path, and the types that their converters give.
    :param methods: What the route answers to; ``None`` for all.
    :param components: What there is to be asked for.
    :param bound: Whether the function is called with an instance first.
    :param spare: The names in the path that nobody has to take, such as those of a
        prefix.
    :raise BadHandler: When it asks for what no request could give it.
    """
    asker = Asker.of(function, bound=bound)
    supply = Supply(path, components, _have_body(methods))
    parameters = decide(asker, supply)
    order = _Order(supply)
    made = order.add_all(asker, parameters)
    taken = {
        each.key for each in (*parameters, *order.parameters) if each.where == "path"
    }
    left = [name for name in path if name not in taken and name not in spare]
    if left and not asker.takes_any_name():
        raise asker.refuse(_not_taken(asker, left[0]))
    recipe = Recipe.of(asker, parameters, made, path, left)
    plain = _is_plain(asker, parameters, path) and taken.union(left) == set(path)
    return Binding(
        plain,
        (*parameters, *order.parameters),
        _answer(asker, plain),
        tuple(order.recipes),
        _call(asker, parameters, recipe, order.recipes, bound, plain),
    )


def _have_body(methods: Collection[str] | None) -> bool:
    """RFC 9110, section 9.3: a body means nothing to these."""
    return methods is None or not {*methods} <= {"GET", "HEAD", "OPTIONS", "DELETE"}


def _answer(asker: Asker, plain: bool) -> Any:
    declared = asker.signature.return_annotation
    if isinstance(declared, Unresolved):
        if plain:  # as Klein, which does not look at it
            return _EMPTY
        raise asker.refuse(f"what it returns: {declared.problem}")
    answer = answer_of(asker.function, declared)
    if is_steps(answer):
        raise asker.refuse(
            "it is annotated with Steps: decorate it with @inlineCallbacks"
        )
    return answer


def _not_taken(asker: Asker, name: str) -> str:
    meant = nearest(name, [each.name for each in asker.named()])
    hint = f"; did you mean it by {meant!r}?" if meant else ""
    return f"{name!r} is in the path, but no parameter takes it{hint}"


class _Order:
    """
    The order in which components are made.

    :ivar recipes: The components, each behind those that it needs, and how they are
        called.
    :ivar parameters: What they ask for.
    """

    __slots__ = ("_supply", "_under_way", "parameters", "recipes")

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        self.recipes: dict[Component, Recipe] = {}
        self.parameters: list[Parameter] = []
        self._under_way: list[Component] = []

    def add_all(
        self, asker: Asker, parameters: Sequence[Parameter]
    ) -> dict[str, Component]:
        """
        Add all components that somebody asks for, and those that they ask for.

        :return: the former, by the name of the parameter.
        """
        made: dict[str, Component] = {}
        for each in parameters:
            if each.where == "component":
                component = self._supply.components.find(each.shape)
                assert component is not None  # it was found when this was decided
                made[each.name] = component
                self._add(component, (*asker.chain, each.key))
        return made

    def _add(self, component: Component, chain: tuple[str, ...]) -> None:
        if component in self.recipes or component.style == "value":
            return
        if component in self._under_way:
            circle = self._under_way[self._under_way.index(component) :]
            told = ", ".join(map(str, circle))
            problem = f"it needs itself: {' → '.join(chain)}; these are {told}"
            raise BadHandler(component.name, component.place, problem)
        self._under_way.append(component)
        asker = Asker.of(component.function, component=component, chain=chain)
        parameters = decide(asker, self._supply)
        made = self.add_all(asker, parameters)
        path = self._supply.path
        self.recipes[component] = Recipe.of(asker, parameters, made, path)
        self.parameters += parameters
        self._under_way.pop()


# What is left to do for a request.


def _is_plain(
    asker: Asker, parameters: Sequence[Parameter], path: Mapping[str, Any]
) -> bool:
    """
    Whether all is given as Klein would: the request first, what is in the path by its
    name.
    """
    named = asker.named()
    for each in parameters:
        if each.where == "request":
            if each.name != named[0].name or not has_place(named[0]):
                return False
        elif (
            each.where != "path"
            or each.key != each.name
            or not fits_as_it_is(path[each.key], each.shape)
        ):
            return False
    return all(
        each.kind is not each.POSITIONAL_ONLY for each in named if each.name in path
    )


def _call(
    asker: Asker,
    parameters: Sequence[Parameter],
    recipe: Recipe,
    order: Mapping[Component, Recipe],
    bound: bool,
    plain: bool,
) -> Call:
    requests = [each for each in parameters if each.where == "request"]
    starred = not requests and asker.takes_any_place()
    if plain:
        return _plain_call(asker.function, bound, bool(requests) or starred)
    before = _before(bound, starred)
    if not order and not any(each.where in ("form", "body") for each in parameters):
        return _simple_call(recipe, before)
    return _Caller(recipe, tuple(order.items()), before).call


def _plain_call(function: Callable[..., Any], bound: bool, takes_request: bool) -> Call:
    def with_both(request: Any, args: Mapping[str, Any], instance: Any = None) -> Any:
        return function(instance, request, **args)

    def with_instance(
        request: Any, args: Mapping[str, Any], instance: Any = None
    ) -> Any:
        return function(instance, **args)

    def with_request(
        request: Any, args: Mapping[str, Any], instance: Any = None
    ) -> Any:
        return function(request, **args)

    def with_neither(
        request: Any, args: Mapping[str, Any], instance: Any = None
    ) -> Any:
        return function(**args)

    if takes_request:
        return with_both if bound else with_request
    return with_instance if bound else with_neither


#: The arguments that go before all others.
Before = Callable[[Any, Any], tuple[Any, ...]]


def _before(bound: bool, starred: bool) -> Before:
    if starred:
        return lambda request, instance: (instance, request) if bound else (request,)
    return lambda request, instance: (instance,) if bound else ()


def _simple_call(recipe: Recipe, before: Before) -> Call:
    def call(request: Any, args: Mapping[str, Any], instance: Any = None) -> Any:
        gathering = Gathering(request, args)
        arguments = recipe.gather(gathering)
        gathering.check()
        return recipe.call(arguments, {}, before(request, instance))

    return call


class _Caller(Struct, frozen=True):
    """
    Calls a handler that needs something made, or has something uploaded.
    """

    recipe: Recipe
    order: tuple[tuple[Component, Recipe], ...]
    before: Before

    def call(self, request: Any, args: Mapping[str, Any], instance: Any = None) -> Any:
        gathering = Gathering(request, args)
        arguments = self.recipe.gather(gathering)
        needed = [each.gather(gathering) for _, each in self.order]
        gathering.check()
        if not self.order and not gathering.files:
            return self.recipe.call(arguments, {}, self.before(request, instance))
        scope = _scope_of(request)
        if gathering.files:
            scope.keep(gathering.close_files)
        finish = partial(
            self.recipe.call, arguments, scope.values, self.before(request, instance)
        )
        return begin(self._make(scope, needed), finish)

    def _make(self, scope: Scope, needed: list[dict[str, Any]]) -> Steps[None]:
        for (component, recipe), arguments in zip(self.order, needed, strict=True):
            call = partial(recipe.call, arguments, scope.values)
            yield from scope.make(component, call)


def _scope_of(request: Any) -> Scope:
    scope: Scope | None = getattr(request, "scope", None)
    if scope is None or scope.closed:
        scope = request.scope = Scope()
    return scope
