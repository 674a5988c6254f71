# -*- test-case-name: tests.test_client_offers -*-
"""
What a function takes that a client offers.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ropewalk.errors import Fault, Invalid
from ropewalk.interfaces import Caller
from ropewalk.operations.declaring import refuse
from ropewalk.operations.parameters import Parameters, Progress
from ropewalk.schema.signatures import read_signature

__all__ = ["Function", "function_for"]

#: Nobody is told who calls.
_UNKNOWN = Caller("")

Arguments = Mapping[str, Any] | Sequence[Any]


class Function(Protocol):
    """
    A function of whatever kind, and what it takes.
    """

    def __call__(self, arguments: Arguments, progress: Progress) -> Any:
        """
        Call it.

        :raise Invalid: When it does not take these.
        """


def function_for(name: str, function: Callable[..., Any]) -> Function:
    """
    Read the signature of a function. Where each parameter has a type, what it is
    called with is checked as that of an operation is; otherwise it is given as it came.

    :param name: What it is offered as: ``"lamp.switch"``.
    :raise BadOperation: When no call could give what it takes.
    """
    try:
        signature = read_signature(function)
    except (TypeError, ValueError, NameError) as error:
        raise refuse(function, f"its signature cannot be read: {error}") from error
    taken = signature.parameters.values()
    if any(each.annotation is Caller for each in taken):
        raise refuse(function, "who calls is not told to a client: take no Caller")
    if all(_is_typed(each) for each in taken):
        title = "".join(word[:1].upper() + word[1:] for word in name.split("."))
        return _Typed(function, Parameters.of(function, title))
    return _Untyped(function, signature)


class _Typed:
    """One whose parameters have types."""

    def __init__(self, function: Callable[..., Any], parameters: Parameters) -> None:
        self._function = function
        self._parameters = parameters

    def __call__(self, arguments: Arguments, progress: Progress) -> Any:
        value = self._parameters.read(arguments)
        return self._parameters.call(self._function, value, _UNKNOWN, progress)


class _Untyped:
    """One that is called with whatever comes, if it takes so much."""

    def __init__(
        self, function: Callable[..., Any], signature: inspect.Signature
    ) -> None:
        self._function = function
        self._whole = signature
        taken = signature.parameters.values()
        self._told = [each.name for each in taken if each.annotation is Progress]
        read = [each for each in taken if each.annotation is not Progress]
        self._read = signature.replace(parameters=read)

    def __call__(self, arguments: Arguments, progress: Progress) -> Any:
        try:
            if isinstance(arguments, Mapping):
                read = self._read.bind(**arguments)
            else:
                read = self._read.bind(*arguments)
        except TypeError as error:
            raise Invalid((Fault("", str(error)),)) from None
        given = {**read.arguments, **dict.fromkeys(self._told, progress)}
        ordered = {
            name: given[name] for name in self._whole.parameters if name in given
        }
        bound = inspect.BoundArguments(self._whole, OrderedDict(ordered))
        return self._function(*bound.args, **bound.kwargs)


def _is_typed(taken: inspect.Parameter) -> bool:
    stars = (taken.VAR_POSITIONAL, taken.VAR_KEYWORD)
    return taken.annotation is not taken.empty and taken.kind not in stars
