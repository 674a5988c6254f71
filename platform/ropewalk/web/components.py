# -*- test-case-name: tests.test_components -*-
"""
Components: what a handler asks for by type and no request has in it.

A component is a function from other typed things to a value: a session of the
database, the user who is asking, a clock. It is called for a request whose handler
asks for the value, directly or by another component, once, and for no other request;
what it made is closed when the request has ended, whatever became of it.

This module keeps components and lets them live; what their functions take is decided
in :mod:`~ropewalk.web.binding`, by the rules for handlers.
"""

from __future__ import annotations

import asyncio
import inspect
import typing
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from functools import partial
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from ropewalk.awaiting import awaitable, inlineCallbacks
from ropewalk.errors import BadHandler
from ropewalk.interfaces import Steps
from ropewalk.plugin import caller
from ropewalk.schema.signatures import (
    Unresolved,
    answer_of,
    called,
    is_steps,
    kind_name,
    name_of,
    place_of,
    read_signature,
    written,
)

__all__ = ["Component", "Components", "Scope", "begin", "without_none"]

T = TypeVar("T")

#: What a request has in it. A component for one of these would take every
#: parameter of that type, in every handler.
_COMMON = (str, int, float, bool, bytes, list, dict, tuple, set, frozenset, object)

_ITERATORS = (Iterator, Iterable, Generator)
_ASYNC_ITERATORS = (AsyncIterator, AsyncIterable, AsyncGenerator)


class Component(Struct, frozen=True, eq=False):
    """
    A function that gives a value of a type.

    :ivar kind: The type that it gives.
    :ivar function: The function; a class is the function that makes its instances.
    :ivar name: What the function is called: ``"open_session"``.
    :ivar place: Where it is written: ``file:line``.
    :ivar optional: Whether it may give ``None`` instead.
    :ivar style: How it is closed: ``"generator"`` and ``"async generator"`` go on
        behind their ``yield``, ``"plain"`` has ``close``, ``"value"`` was there before
        and stays.
    :ivar close: What is called with the value when the request has ended.
    :ivar security: The security scheme that it stands for, as OpenAPI has it.
    """

    kind: Any
    function: Callable[..., Any]
    name: str
    place: str
    optional: bool = False
    style: Literal["plain", "generator", "async generator", "value"] = "plain"
    close: Callable[[Any], Any] | None = None
    security: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.place})"


class _Added(Struct, frozen=True):
    """
    What was added, until somebody asks: annotations may name what is written
    further down.
    """

    function: Callable[..., Any]
    provides: Any
    close: Callable[[Any], Any] | None
    security: Mapping[str, Any] | None


class Components:
    """
    What there is for handlers to ask for.

    :param parent: Asked for what is not here.
    """

    __slots__ = ("_added", "_known", "parent")

    def __init__(self, parent: Components | None = None) -> None:
        self.parent = parent
        self._added: list[_Added] = []
        self._known: dict[Any, Component] = {}

    def add(
        self,
        function: Callable[..., Any],
        *,
        provides: Any = None,
        close: Callable[[Any], Any] | None = None,
        security: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Offer what a function gives to whoever asks for its type.

        :param function: Plain, under ``@inlineCallbacks`` or ``async def``; what it
            takes is found as for a handler. A generator function, plain or
            asynchronous, with one ``yield``: what is behind it runs when the request
            has ended, and an error of the handler is raised there. A class.
        :param provides: The type, where the function's annotation does not say it.
        :param close: Called with the value when the request has ended; may be waited
            for. Not called with ``None``.
        :param security: The security scheme that the component stands for, as OpenAPI
            has it.
        """
        self._added.append(_Added(function, provides, close, security))

    def provide(self, kind: Any, value: Any, place: str = "") -> None:
        """
        Offer a value that is there already. It is never closed.

        :param place: Where that is said: ``file:line``; unless given, who calls.
        :raise BadHandler: As :meth:`find`.
        """
        name, place = kind_name(kind), place or caller()
        self._keep(Component(kind, lambda: value, name, place, style="value"))

    def find(self, kind: Any) -> Component | None:
        """
        The component for a type: exactly this one, the nearest.

        :raise BadHandler: When a component says nothing of what it gives, or another
            one gives the same.
        """
        while self._added:
            self._keep(_component(self._added[0]))
            del self._added[0]
        try:
            found = self._known.get(kind)
        except TypeError:  # a type that has no hash
            return None
        if found is None and self.parent is not None:
            return self.parent.find(kind)
        return found

    def __iter__(self) -> Iterator[Component]:
        """
        All components that can be found, the nearest first.
        """
        self.find(None)
        yield from self._known.values()
        if self.parent is not None:
            yield from (each for each in self.parent if each.kind not in self._known)

    def _keep(self, component: Component) -> None:
        kind = component.kind
        problem = ""
        if typing.get_origin(kind) in _COMMON or kind in (*_COMMON, Any, NoneType):
            problem = (
                f"a component cannot give every {kind_name(kind)}: give it a type of "
                "its own, such as a class or a typing.NewType"
            )
        elif kind in self._known:
            problem = f"{kind_name(kind)} is given by {self._known[kind]} already"
        if problem:
            raise BadHandler(component.name, component.place, problem)
        self._known[kind] = component


def without_none(kind: Any) -> tuple[Any, bool]:
    """
    ``X`` and whether it was ``X | None``.
    """
    if typing.get_origin(kind) not in (Union, UnionType):
        return kind, False
    others = [each for each in typing.get_args(kind) if each is not NoneType]
    if len(others) == len(typing.get_args(kind)):
        return kind, False
    return Union[tuple(others)], True  # noqa: UP007


def _component(added: _Added) -> Component:
    """
    What can be told of a component before anybody asks for it.

    :raise BadHandler: When it cannot be told what it gives.
    """
    function = added.function
    name, place = name_of(function), place_of(function)
    style: Literal["plain", "generator", "async generator"] = "plain"
    if inspect.isasyncgenfunction(called(function)):
        style = "async generator"
    elif inspect.isgeneratorfunction(called(function)):
        style = "generator"
    problem, given = "", added.provides
    if given is None:
        try:
            given = _given(function, style)
        except (TypeError, ValueError, NameError) as error:
            problem = str(error)
    if not problem and style != "plain" and added.close is not None:
        problem = "what is behind its yield closes it; it has no need of close="
    if problem:
        raise BadHandler(name, place, problem)
    kind, optional = without_none(given)
    return Component(
        kind, function, name, place, optional, style, added.close, added.security
    )


def _given(function: Callable[..., Any], style: str) -> Any:
    """
    The type that a function is annotated to give.

    :raise TypeError: When it is not annotated so that this can be told.
    """
    if isinstance(function, type):
        return function
    declared = read_signature(function).return_annotation
    if declared is inspect.Signature.empty:
        raise TypeError("it does not say what it gives: annotate it with -> its type")
    if isinstance(declared, Unresolved):
        raise TypeError(f"it cannot be told what it gives: {declared.problem}")
    if style == "generator" and is_steps(declared):
        raise TypeError("it is annotated with Steps: decorate it with @inlineCallbacks")
    origins = {"generator": _ITERATORS, "async generator": _ASYNC_ITERATORS}
    if style in origins:
        if typing.get_origin(declared) not in origins[style]:
            raise TypeError(
                f"a generator is annotated with {origins[style][0].__name__}[its type]"
            )
        return typing.get_args(declared)[0]
    if inspect.isgeneratorfunction(written(function)) and not is_steps(declared):
        raise TypeError("leave out @contextmanager: a component is the generator alone")
    return answer_of(function, declared)


#: Ends what a component began: called with what went wrong, or ``None``; returns what
#: has to be waited for, or anything else.
_End = Callable[[BaseException | None], Any]


class Scope:
    """
    What was made for one request.

    :ivar values: What is there, by component.
    :ivar closed: Whether the request has ended.
    """

    _log = Logger()

    def __init__(self) -> None:
        self.values: dict[Component, Any] = {}
        self.closed = False
        self._ends: list[tuple[object, _End]] = []

    def make(self, component: Component, call: Callable[[], Any]) -> Steps[None]:
        """
        Make a value, unless it is there.

        What comes into being when the request has ended already, since it could not
        be cancelled, is closed at once.

        :param call: Calls the component's function with what it takes.
        :return: steps for :func:`begin`.
        :raise CancelledError: When the request has ended.
        """
        self._check_open()
        if component in self.values:
            return
        end: _End | None = None
        value = call()
        if component.style == "generator":
            steps = value
            end = partial(_end_generator, component, steps)
            value = _first(component, steps)
        elif component.style == "async generator":
            end = partial(_end_async_generator, component, value)
            value = yield _first_of_async(component, value)
        else:
            if awaitable(value):
                value = yield value
            if component.close is not None and value is not None:
                end = partial(_call_close, component.close, value)
        if end is not None:
            self._ends.append((component, end))
        self.values[component] = value
        if self.closed:
            yield from self._end_all(CancelledError())
            raise CancelledError()

    def keep(self, end: Callable[[], Any]) -> None:
        """
        Have something called when the request has ended.
        """
        self._ends.append(("what was uploaded", lambda error: end()))

    def close(self, error: BaseException | None) -> Deferred[None] | None:
        """
        Close what was made, the last first, each once, also when one of them fails.
        The request has ended; a second call does nothing.

        :param error: What went wrong with the request, if something did: it stays
            what is told. What else goes wrong here is logged.
        :return: ``None`` when all is closed; otherwise fires then.
        :raise Exception: The first that went wrong here; the others are logged.
        """
        self.closed = True
        closing: Deferred[None] | None = begin(self._end_all(error))
        return closing

    def _check_open(self) -> None:
        if self.closed:
            raise CancelledError()

    def _end_all(self, error: BaseException | None) -> Steps[None]:
        first: BaseException | None = None
        while self._ends:
            component, end = self._ends.pop()
            try:
                waits_for = end(error)
                if awaitable(waits_for):
                    yield waits_for
            except GeneratorExit:
                raise
            except BaseException as failed:
                if failed is error or _both_cancelled(failed, error):
                    continue
                if error is None and first is None:
                    first = failed
                else:
                    self._log.failure("{component} did not close", component=component)
        if first is not None:
            raise first


def begin(steps: Steps[None], then: Callable[[], Any] = lambda: None) -> Any:
    """
    Run a generator that yields what has to be waited for, and only that; then call
    something.

    :return: what that returned, if the generator had to wait for nothing: no Deferred
        is made then; otherwise fires with it, waited for.
    """
    try:
        waits_for = next(steps)
    except StopIteration:
        pass
    else:
        return _go_on(steps, waits_for, then)
    return then()


@inlineCallbacks
def _go_on(steps: Steps[None], waits_for: Any, then: Callable[[], Any]) -> Steps[Any]:
    try:
        while True:
            try:
                told = yield waits_for
            except BaseException as error:
                waits_for = steps.throw(error)
            else:
                waits_for = steps.send(told)
    except StopIteration:
        pass
    answer = then()
    return (yield answer) if awaitable(answer) else answer


def _call_close(
    close: Callable[[Any], Any], value: Any, error: BaseException | None
) -> Any:
    return close(value)


def _first(component: Component, steps: Any) -> Any:
    try:
        return next(steps)
    except StopIteration:
        raise RuntimeError(f"{component} ended before its yield") from None


async def _first_of_async(component: Component, steps: Any) -> Any:
    try:
        return await anext(steps)
    except StopAsyncIteration:
        raise RuntimeError(f"{component} ended before its yield") from None


def _end_generator(
    component: Component, steps: Any, error: BaseException | None
) -> None:
    try:
        if error is None:
            next(steps)
        else:
            steps.throw(error)
    except StopIteration:
        return
    steps.close()
    raise RuntimeError(f"{component} has more than one yield")


async def _end_async_generator(
    component: Component, steps: Any, error: BaseException | None
) -> None:
    if isinstance(error, CancelledError):
        error = asyncio.CancelledError()
    try:
        if error is None:
            await anext(steps)
        else:
            await steps.athrow(error)
    except StopAsyncIteration:
        return
    await steps.aclose()
    raise RuntimeError(f"{component} has more than one yield")


def _both_cancelled(failed: BaseException, error: BaseException | None) -> bool:
    return isinstance(failed, CancelledError) and isinstance(error, CancelledError)
