# -*- test-case-name: tests.test_operations -*-
"""
How a method is marked as an operation.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar, overload

from msgspec import Struct

from ropewalk.errors import BadOperation
from ropewalk.operations.limits import Rate
from ropewalk.schema.signatures import called, name_of, place_of

__all__ = ["Declaration", "declaration_of", "operation"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__ropewalk_operation__"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,79}")


class Declaration(Struct, frozen=True):
    """
    What is said of an operation where it is marked.

    :ivar name: Its name; empty for the method's.
    :ivar requires: What it takes to call it; ``None`` for nothing.
    :ivar rate: How often each caller may; ``None`` for as often as they like.
    :ivar timeout: Seconds a call may take; ``None`` for as long as it likes.
    :ivar summary: What it does, in a line; empty for what its docstring says first.
    """

    name: str = ""
    requires: str | None = None
    rate: Rate | None = None
    timeout: float | None = 30.0
    summary: str = ""


@overload
def operation(function: F, /) -> F: ...
@overload
def operation(
    *,
    requires: str | None = None,
    rate: str | None = None,
    timeout: float | None = 30.0,
    name: str = "",
    summary: str = "",
) -> Callable[[F], F]: ...
def operation(
    function: Any = None,
    /,
    *,
    requires: str | None = None,
    rate: str | None = None,
    timeout: float | None = 30.0,
    name: str = "",
    summary: str = "",
) -> Any:
    """
    Mark a method as an operation: ``@operation``, or ``@operation(rate="10/s")``. It
    stands above all other decorators. The method stays what it is; who calls it
    directly is not limited, and nothing is checked.

    :param requires: What it takes to call it, in words for whoever says who may
        (:class:`~ropewalk.interfaces.IAuthoriser`): ``"rooms.say"``.
    :param rate: How often each caller may: ``"10/s"``, ``"100/m"``, ``"1000/h"``.
    :param timeout: Seconds a call may take before it is cancelled; ``None`` for ever.
    :param name: What it is called, if not as the method.
    :param summary: What it does, in a line, if the docstring does not begin with that.
    :raise BadOperation: When it cannot be one.
    """

    def mark(function: F) -> F:
        _check(function)
        declared = Declaration(
            _checked_name(function, name),
            requires,
            _checked_rate(function, rate),
            _checked_timeout(function, timeout),
            summary,
        )
        setattr(function, _MARK, declared)
        return function

    return mark if function is None else mark(function)


def declaration_of(function: Any) -> Declaration | None:
    """What was said of a function; ``None`` if it is no operation."""
    found = getattr(function, _MARK, None)
    if found is None and isinstance(function, staticmethod | classmethod):
        found = getattr(function.__func__, _MARK, None)
    return found if isinstance(found, Declaration) else None


def refuse(function: Any, problem: str) -> BadOperation:
    """The error to raise for a function."""
    return BadOperation(name_of(function), place_of(function), problem)


def _check(function: Any) -> None:
    if not inspect.isroutine(function):
        name = getattr(function, "__qualname__", repr(function))
        problem = "@operation marks a method, and this is none"
        raise BadOperation(name, place_of(function, "no file"), problem)
    core = called(function)
    if inspect.isasyncgenfunction(core):
        raise refuse(
            function,
            "an operation has one result, and this yields several: return it, and "
            "tell what comes before through a parameter annotated Progress",
        )
    if inspect.isgeneratorfunction(core):
        raise refuse(
            function,
            "it has a yield, and nobody who runs it: write @operation first and "
            "@inlineCallbacks below it",
        )


def _checked_name(function: Any, name: str) -> str:
    name = name or function.__name__
    if _NAME.fullmatch(name) is None:
        raise refuse(
            function,
            f"{name!r} is no name for an operation: take letters, digits, '_' and "
            "'-', a letter first",
        )
    return name


def _checked_rate(function: Any, rate: str | None) -> Rate | None:
    try:
        return None if rate is None else Rate.read(rate)
    except ValueError as error:
        raise refuse(function, str(error)) from None


def _checked_timeout(function: Any, timeout: float | None) -> float | None:
    if timeout is not None and not timeout > 0:
        raise refuse(
            function,
            f"timeout={timeout!r} is no time: give seconds, more than 0, or None",
        )
    return timeout
