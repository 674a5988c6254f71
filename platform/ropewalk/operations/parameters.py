# -*- test-case-name: tests.test_operations -*-
"""
What an operation takes: its signature, read once and made into one shape, so that a
call is checked as a whole and all that is wrong with it is told at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, astuple

from ropewalk.errors import Fault, Invalid
from ropewalk.interfaces import Caller
from ropewalk.operations.declaring import refuse
from ropewalk.schema import Shape, check, read
from ropewalk.schema.docstrings import read_docstring
from ropewalk.schema.integers import with_integers
from ropewalk.schema.kinds import kind_of
from ropewalk.schema.signatures import (
    Unresolved,
    answer_of,
    is_steps,
    read_signature,
)

__all__ = ["Arguments", "Parameters", "Progress"]

#: What a call gives: values by name, or by place.
Arguments = Mapping[str, Any] | Sequence[Any]

_EMPTY = inspect.Parameter.empty

_STARS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Progress(Protocol):
    """
    The annotation of a parameter through which an operation tells how far it is::

        def count(self, words: list[str], progress: Progress) -> int:
            for number, word in enumerate(words):
                progress(number)

    The value is anything that can be a result. It reaches who has called and wants to
    hear of it; nobody else. What is told after the end is dropped.
    """

    def __call__(self, value: Any, /) -> None: ...


class Parameters(Struct, frozen=True):
    """
    What an operation takes, and what it gives.

    :ivar shape: A :class:`~ropewalk.schema.Shape` of all that a call gives.
    :ivar names: The names of these, in their order.
    :ivar by_place: Those parameters that only have a place.
    :ivar given: Who gives the others that are not in a call, by their names.
    :ivar plain: Whether all of them have places, and are in a call.
    :ivar result: The type of the result; ``Any`` if that is not said.
    """

    shape: type[Shape]
    names: tuple[str, ...]
    by_place: tuple[str, ...]
    given: tuple[tuple[str, str], ...]
    plain: bool
    result: Any

    @classmethod
    def of(cls, method: Callable[..., Any], title: str) -> Parameters:
        """
        Read the signature of a method.

        :param method: The method, bound.
        :param title: What the shape is called: ``"ChatSay"``.
        :raise BadOperation: When no call could give what it takes.
        """
        try:
            signature = read_signature(method)
        except (TypeError, ValueError, NameError) as error:
            raise refuse(method, f"its signature cannot be read: {error}") from error
        asked = list(signature.parameters.values())
        for each in asked:
            _check(method, each)
        given = tuple(
            (each.name, "caller" if each.annotation is Caller else "progress")
            for each in asked
            if each.annotation in (Caller, Progress)
        )
        injected = {name for name, _ in given}
        fields = [each for each in asked if each.name not in injected]
        shape = _shape(method, title, fields)
        return cls(
            shape,
            tuple(each.name for each in fields),
            tuple(each.name for each in asked if each.kind is each.POSITIONAL_ONLY),
            given,
            not given and all(each.kind is not each.KEYWORD_ONLY for each in asked),
            _result(method, signature.return_annotation),
        )

    def read(self, arguments: Arguments) -> Shape:
        """
        Make the value of what a call gives.

        :param arguments: What JSON can say, and bytes.
        :raise Invalid: With all that is wrong.
        """
        if isinstance(arguments, list | tuple):
            arguments = self._by_name(arguments)
        try:
            return read(self.shape, arguments)
        except Invalid as refused:
            return read(self.shape, self._mended(arguments, refused))

    def _mended(self, arguments: Any, refused: Invalid) -> Any:
        """
        The same with an integer for what is one but for its point.

        :raise Invalid: As before, when there is none.
        """
        try:
            mended = with_integers(kind_of(self.shape), arguments)
        except RecursionError:  # too deep to look
            raise refused from None
        if mended is arguments:
            raise refused
        return mended

    def call(
        self,
        method: Callable[..., Any],
        value: Shape,
        caller: Caller,
        progress: Progress,
    ) -> Any:
        """
        Call the method with a value that was read.

        :return: what it returns.
        """
        if self.plain:
            return method(*astuple(value))
        arguments = asdict(value)
        for name, what in self.given:
            arguments[name] = caller if what == "caller" else progress
        args = [arguments.pop(name) for name in self.by_place]
        return method(*args, **arguments)

    def _by_name(self, arguments: Sequence[Any]) -> Mapping[str, Any]:
        if len(arguments) > len(self.names):
            most = len(self.names)
            problem = f"expected at most {most} parameters, got {len(arguments)}"
            raise Invalid((Fault("", problem),))
        return dict(zip(self.names, arguments, strict=False))


def _check(method: Any, asked: inspect.Parameter) -> None:
    name, kind = asked.name, asked.annotation
    if asked.kind in _STARS:
        stars = "*" if asked.kind is asked.VAR_POSITIONAL else "**"
        raise refuse(
            method,
            f"no call can be checked against {stars}{name}: name each parameter, "
            "or take one that is a list or a dict",
        )
    if isinstance(kind, Unresolved):
        raise refuse(method, f"{name!r}: {kind.problem}")
    if kind is _EMPTY:
        raise refuse(method, f"{name!r} has no type: write {name}: str, say")
    if kind in (Caller, Progress):
        return
    for given in (Caller, Progress):
        if _has(kind, given):
            # Otherwise whoever calls could say who they are.
            raise refuse(
                method,
                f"{name!r}: {given.__name__} is given, and not read from a call: write "
                f"{name}: {given.__name__}, and nothing else",
            )
    try:
        check(kind)
    except TypeError as error:
        raise refuse(method, f"{name!r}: {error}") from None


def _has(kind: Any, part: Any) -> bool:
    """Whether a type is made of another."""
    return kind is part or any(_has(each, part) for each in get_args(kind))


def _shape(method: Any, title: str, fields: Sequence[inspect.Parameter]) -> type[Shape]:
    told = read_docstring(method.__doc__).about
    about = [
        f":ivar {each.name}: {told[each.name]}" for each in fields if each.name in told
    ]
    shape: Any = msgspec.defstruct(
        title,
        [(each.name, each.annotation, _field(each.default)) for each in fields],
        bases=(Shape,),
        namespace={"__doc__": "\n".join(about)},
        module=getattr(method, "__module__", __name__),
        kw_only=True,
        frozen=True,
    )
    made: type[Shape] = shape
    return made


def _field(default: Any) -> Any:
    if default is _EMPTY:
        return msgspec.field()
    if type(default) in (list, dict, set) and not default:
        return msgspec.field(default_factory=type(default))
    if isinstance(default, Hashable):
        return msgspec.field(default=default)
    # The same object each time, as Python has it.
    return msgspec.field(default_factory=lambda: default)


def _result(method: Any, declared: Any) -> Any:
    if declared is _EMPTY:
        return Any
    if isinstance(declared, Unresolved):
        raise refuse(method, f"what it returns: {declared.problem}")
    answer = answer_of(method, declared)
    if is_steps(answer):
        raise refuse(
            method,
            "it is annotated with Steps: write @inlineCallbacks between @operation "
            "and the function",
        )
    return answer
