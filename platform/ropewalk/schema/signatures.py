# -*- test-case-name: tests.test_binding -*-
"""
What a function says of itself: where it is written, what it takes, what comes of it.

Functions under ``functools.wraps``, partials, bound methods, classes and objects that
can be called are seen through to the function that somebody wrote.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import sys
import typing
from collections import ChainMap
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from functools import partial
from types import CodeType, MethodType, NoneType, UnionType
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred

__all__ = [
    "Unresolved",
    "answer_of",
    "called",
    "is_steps",
    "kind_name",
    "name_of",
    "place_of",
    "read_signature",
    "written",
]

Function = Callable[..., Any]

#: What is waited for: the type of what comes is its last argument.
_WAITS: tuple[Any, ...] = (
    Deferred,
    Awaitable,
    Coroutine,
    asyncio.Future,
    asyncio.Task,
    concurrent.futures.Future,
)


class Unresolved(Struct, frozen=True):
    """
    Stands in a signature for an annotation that cannot be resolved.

    :ivar problem: Why not, and what to do about it.
    """

    problem: str


def written(function: Function) -> Any:
    """
    The function, or the class, that somebody wrote, below all that was put around it.
    """
    while True:
        inner = _below(function)
        if inner is function:
            return function
        function = inner


def called(function: Function) -> Function:
    """
    The function that Python runs when something is called.
    """
    if isinstance(function, (partial, type)) or inspect.isroutine(function):
        return function
    return type(function).__call__


def name_of(function: Function) -> str:
    """
    What a function is called: ``"Products.create"``.
    """
    core = written(function)
    name: str = getattr(core, "__qualname__", type(core).__qualname__)
    return name.rpartition("<locals>.")[2]


def place_of(function: Function, otherwise: str = "") -> str:
    """
    Where a function is written: ``"file:line"``.

    :param otherwise: What to say where there is no such thing; its module, by default.
    """
    core = written(function)
    code = getattr(core, "__code__", None)
    if isinstance(code, CodeType):
        return f"{code.co_filename}:{code.co_firstlineno}"
    try:
        return f"{inspect.getsourcefile(core)}:{inspect.getsourcelines(core)[1]}"
    except (OSError, TypeError):
        return otherwise or str(getattr(core, "__module__", None) or "built in")


def kind_name(kind: Any) -> str:
    """
    What a type is called where it is written: ``"Session"``, ``"list[str]"``.
    """
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return kind_name(args[0])
    if origin in (typing.Union, UnionType):
        return " | ".join(map(kind_name, args))
    if args and isinstance(origin, type):
        return f"{kind_name(origin)}[{', '.join(map(kind_name, args))}]"
    if kind is NoneType:
        return "None"
    name = getattr(kind, "__qualname__", None) or getattr(kind, "__name__", None)
    told = name if isinstance(name, str) else repr(kind).replace("typing.", "")
    return told.rpartition("<locals>.")[2]


def read_signature(function: Function, *, bound: bool = False) -> inspect.Signature:
    """
    The signature of a function, with types for annotations. An annotation that
    cannot be resolved is an :class:`Unresolved`: nobody may need it.

    :param bound: Whether it is a method that is called with its instance first,
        which is left out.
    :raise ValueError: When it has no signature, as some that are written in C.
    :raise TypeError: When it cannot be called.
    :raise NameError: When annotations that are evaluated late name what is not there.
    """
    signature = inspect.signature(function)
    names = _namespace(function)
    parameters = [
        each.replace(annotation=_resolved(each.annotation, names))
        for each in signature.parameters.values()
        if each.name not in _settled(function)
    ]
    if bound and parameters:
        head = parameters[0]
        if head.kind in (head.POSITIONAL_ONLY, head.POSITIONAL_OR_KEYWORD):
            del parameters[0]
    answer = _resolved(signature.return_annotation, names)
    return signature.replace(parameters=parameters, return_annotation=answer)


def is_steps(kind: Any) -> bool:
    """
    Whether a type is :data:`~ropewalk.interfaces.Steps`, which only a function under
    ``@inlineCallbacks`` has a use for.
    """
    return typing.get_origin(kind) is Generator and typing.get_args(kind)[:2] == (
        Any,
        Any,
    )


def answer_of(function: Function, declared: Any) -> Any:
    """
    The type of what a function gives when it has been waited for.

    :param declared: What it is annotated to return.
    """
    if typing.get_origin(declared) is Generator and _is_run(function):
        declared = typing.get_args(declared)[2]
    while typing.get_origin(declared) in _WAITS:
        declared = typing.get_args(declared)[-1]
    return declared


def _is_run(function: Function) -> bool:
    """
    Whether a function is a generator function inside only: under ``@inlineCallbacks``.
    """
    return inspect.isgeneratorfunction(written(function)) and not (
        inspect.isgeneratorfunction(called(function))
    )


def _below(function: Any) -> Any:
    if isinstance(function, partial):
        return function.func
    if isinstance(function, MethodType):
        return function.__func__
    if isinstance(function, type):
        return function
    if hasattr(function, "__ropewalk_handler__"):
        return function.__ropewalk_handler__
    if hasattr(function, "__wrapped__") and not hasattr(function, "__signature__"):
        return function.__wrapped__
    if inspect.isroutine(function) or not callable(function):
        return function
    return type(function).__call__


def _settled(function: Any) -> Mapping[str, Any]:
    """
    The arguments that a partial gives by name: they are nobody else's business.
    """
    return function.keywords if isinstance(function, partial) else {}


def _namespace(function: Function) -> ChainMap[str, Any]:
    """
    The names that a function's annotations are written in.
    """
    core = written(function)
    modules = [
        sys.modules.get(each.__module__)
        for each in (core.__mro__ if isinstance(core, type) else (core,))
        if getattr(each, "__module__", None)
    ]
    names = [vars(module) for module in modules if module is not None]
    return ChainMap(getattr(core, "__globals__", {}), *names)


def _resolved(annotation: Any, names: ChainMap[str, Any]) -> Any:
    if annotation is inspect.Parameter.empty:
        return annotation

    def holder() -> None:
        """What typing asks for the annotation."""

    holder.__annotations__ = {"it": annotation}
    try:
        return typing.get_type_hints(holder, {}, names, include_extras=True)["it"]
    except NameError as error:
        module = names.get("__name__", "its module")
        return Unresolved(
            f"there is no {error.name!r} in {module}: import or define it at the top "
            "of the module, not in a function and not under `if TYPE_CHECKING:`"
        )
    except Exception as error:
        return Unresolved(f"{annotation!r} is no type: {error}")
