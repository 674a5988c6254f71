# -*- test-case-name: tests.test_guests -*-
"""
Plain data made into values: by msgspec, or, where there is a guest somewhere in a
type, by msgspec in pieces, put together by the guests themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from inspect import signature
from pathlib import PurePath
from typing import Any

import msgspec
from msgspec import UNSET, Struct, inspect, structs

from ropewalk.schema.guests import guest_of, without_arguments
from ropewalk.schema.kinds import (
    ANYTHING,
    bare,
    kind_of,
    parts_in,
    python_type,
    takes_leaf,
    takes_list,
    takes_table,
)
from ropewalk.schema.shape import (
    decode_custom,
    decode_text,
    described,
    is_model,
)
from ropewalk.schema.texts import mistakable, without_mistakable

__all__ = ["check", "convert", "has_guests"]

#: Makes a value of plain data, strictly or not.
Make = Callable[[Any, bool], Any]


def convert(shape: Any, data: Any, *, strict: bool) -> Any:
    """
    Make a value of plain data.

    :raise msgspec.ValidationError: At the first fault.
    """
    if not strict and (doubtful := _doubtful(shape)) is not None:
        data = without_mistakable(doubtful, data)
    make = _maker_of(shape)
    if make is None:
        return _convert(shape, data, strict)
    return make(data, strict)


def has_guests(shape: Any) -> bool:
    """
    Whether msgspec alone is not enough.
    """
    return _maker_of(shape) is not None


def check(shape: Any) -> None:
    """
    Find out now, and not when the first value comes, whether a type can be read.

    :raise TypeError: With what stands in the way.
    """
    try:
        kind = kind_of(shape)
        _find_maker(shape)
        _complete_models(kind, set())
    except Exception as error:  # annotations of others can be wrong in any way
        raise TypeError(f"{_name_of(shape)} cannot be read: {_why(error)}") from error
    for place, cls in _strangers(kind, _name_of(shape), set()):
        raise TypeError(
            f"{place} cannot be read: there is no way to make a {cls.__name__} of "
            "what JSON can say"
        )


def _complete_models(kind: inspect.Type, seen: set[int]) -> None:
    """
    Have pydantic look at annotations that it has put off.
    """
    if id(kind) in seen:
        return
    seen.add(id(kind))
    if isinstance(kind, inspect.CustomType) and is_model(kind.cls):
        rebuild = getattr(kind.cls, "model_rebuild", None)
        if rebuild is not None:
            rebuild()
    for part in parts_in(kind):
        _complete_models(part, seen)


def _name_of(shape: Any) -> str:
    return shape.__qualname__ if isinstance(shape, type) else str(shape)


def _why(error: Exception) -> str:
    match error:
        case KeyError():
            return f"the field {error.args[0]!r} of an attrs class has no annotation"
        case NotImplementedError() if "takes_self" in str(error):
            return "the default of a field depends on the others (takes_self)"
        case _:
            return str(error)


def _strangers(
    kind: inspect.Type, place: str, seen: set[int]
) -> Iterator[tuple[str, type]]:
    """
    The types in a type that nobody could make.
    """
    kind = bare(kind)
    if id(kind) in seen:
        return
    seen.add(id(kind))
    if isinstance(kind, inspect.CustomType) and not _is_known(kind.cls):
        yield place, kind.cls
    fields = getattr(kind, "fields", None)
    if fields is not None:
        name = _name_of(getattr(kind, "cls", None))
        for each in fields:
            yield from _strangers(each.type, f"{name}.{each.encode_name}", seen)
    else:
        for part in parts_in(kind):
            yield from _strangers(part, place, seen)


def _is_known(cls: type) -> bool:
    return (
        cls is object
        or issubclass(cls, (str, PurePath))
        or is_model(cls)
        or described(cls) is not None
    )


def _convert(shape: Any, data: Any, strict: bool) -> Any:
    hook = decode_custom if strict else decode_text
    return msgspec.convert(data, shape, strict=strict, str_keys=True, dec_hook=hook)


def _maker_of(shape: Any) -> Make | None:
    try:
        return _kept_maker(shape)
    except TypeError:  # perhaps a type that has no hash
        return _find_maker(shape)


@lru_cache(maxsize=1024)
def _kept_maker(shape: Any) -> Make | None:
    return _find_maker(shape)


def _doubtful(shape: Any) -> inspect.Type | None:
    """The type taken apart, if some text could be mistaken for a value of it."""
    try:
        return _kept_doubtful(shape)
    except TypeError:
        return _find_doubtful(shape)


@lru_cache(maxsize=1024)
def _kept_doubtful(shape: Any) -> inspect.Type | None:
    return _find_doubtful(shape)


def _find_doubtful(shape: Any) -> inspect.Type | None:
    kind = kind_of(shape)
    return kind if mistakable(kind) else None


def _find_maker(shape: Any) -> Make | None:
    kind = kind_of(shape)
    return _Makers().maker(kind) if _needs_help(kind, set()) else None


def _needs_help(kind: inspect.Type, seen: set[int]) -> bool:
    if id(kind) in seen:
        return False
    seen.add(id(kind))
    if isinstance(kind, inspect.StructType) and guest_of(kind.cls) is not None:
        return True
    return any(_needs_help(part, seen) for part in parts_in(kind))


class _Makers:
    """
    What makes values of a type and of its parts. A type may contain itself, so
    the makers of classes are kept, and found when they are needed.
    """

    __slots__ = ("_classes",)

    def __init__(self) -> None:
        self._classes: dict[Any, _ClassMaker] = {}

    def maker(self, kind: inspect.Type) -> Make:
        """
        :raise TypeError: When a guest is where it could not be made.
        """
        kind = bare(kind)
        if not _needs_help(kind, set()):
            shape = python_type(kind)
            return lambda value, strict: _convert(shape, value, strict)
        match kind:
            case inspect.UnionType():
                return self._either(kind)
            case inspect.StructType(array_like=False):
                return self._class(kind)
            case inspect.TupleType():
                return self._tuple(kind)
            case inspect.CollectionType():
                return self._collection(kind)
            case inspect.DictType():
                return self._dict(kind)
        name = getattr(getattr(kind, "cls", None), "__name__", "this type")
        raise TypeError(
            f"{name} contains a dataclass or an attrs class, which only a shape, a "
            "list, a tuple or a dict can"
        )

    def _either(self, kind: inspect.UnionType) -> Make:
        kinds = [bare(each) for each in kind.types]
        leaves = inspect.UnionType(tuple(filter(takes_leaf, kinds)))
        make_leaf = self.maker(leaves if leaves.types else inspect.NoneType())
        make_list = next(map(self.maker, filter(takes_list, kinds)), make_leaf)
        make_table = self._table([each for each in kinds if takes_table(each)])

        def make(value: Any, strict: bool) -> Any:
            if isinstance(value, (list, tuple, set, frozenset)):
                return make_list(value, strict)
            if make_table is not None and not _is_leaf(value):
                return make_table(value, strict)
            return make_leaf(value, strict)

        return make

    def _table(self, kinds: list[inspect.Type]) -> Make | None:
        """
        Makes one of several shapes, by its tag.
        """
        if len(kinds) < 2:
            return self.maker(kinds[0]) if kinds else None
        tags = {getattr(each, "tag", None): self.maker(each) for each in kinds}
        field = getattr(kinds[0], "tag_field", None)

        def make(value: Any, strict: bool) -> Any:
            tag = value.get(field) if isinstance(value, Mapping) else None
            if not isinstance(tag, (str, int)) or tag not in tags:
                raise msgspec.ValidationError(f"Invalid value for `{field}`")
            return tags[tag](value, strict)

        return make

    def _class(self, kind: inspect.StructType) -> Make:
        if kind.cls not in self._classes:
            maker = self._classes[kind.cls] = _ClassMaker(kind.cls)
            maker.learn(kind, self.maker)
        return self._classes[kind.cls]

    def _tuple(self, kind: inspect.TupleType) -> Make:
        makers = tuple(map(self.maker, kind.item_types))
        outline = python_type(inspect.TupleType((ANYTHING,) * len(makers)))

        def make(value: Any, strict: bool) -> Any:
            items = _convert(outline, value, strict)
            return tuple(
                each(item, strict) for each, item in zip(makers, items, strict=True)
            )

        return make

    def _collection(self, kind: inspect.CollectionType) -> Make:
        make_item = self.maker(kind.item_type)
        outline = python_type(
            inspect.ListType(ANYTHING, kind.min_length, kind.max_length)
        )
        gather = _COLLECTIONS[type(kind)]

        def make(value: Any, strict: bool) -> Any:
            items = _convert(outline, value, strict)
            return gather([make_item(item, strict) for item in items])

        return make

    def _dict(self, kind: inspect.DictType) -> Make:
        make_inner = self.maker(kind.value_type)
        outline = python_type(structs.replace(kind, value_type=ANYTHING))

        def make(value: Any, strict: bool) -> Any:
            items = _convert(outline, value, strict).items()
            return {key: make_inner(inner, strict) for key, inner in items}

        return make


_COLLECTIONS: dict[type, Callable[[list[Any]], Any]] = {
    inspect.ListType: list,
    inspect.SetType: set,
    inspect.FrozenSetType: frozenset,
    inspect.VarTupleType: tuple,
}


def _is_leaf(value: Any) -> bool:
    return value is None or isinstance(value, (str, bytes, int, float))


class _ClassMaker(Struct):
    """
    Makes values of a class by calling it.

    :ivar outline: A struct with the fields of the class, where what needs help
        may be anything.
    :ivar parts: The names of these fields in the struct and in the call, and
        what makes their values, if they need help.
    """

    cls: Any
    outline: type = msgspec.Struct
    parts: tuple[tuple[str, str, Make | None], ...] = ()

    def learn(self, kind: inspect.StructType, maker: Callable[..., Make]) -> None:
        """
        Look at the fields. The class may be the type of one of them.
        """
        outline: list[Any] = []
        names: dict[str, str] = {}
        parts: list[tuple[str, str, Make | None]] = []
        for index, part in enumerate(kind.fields):
            needs_help = _needs_help(part.type, set())
            shape = Any if needs_help else python_type(part.type)
            name = f"field{index}"
            names[name] = part.encode_name
            # One that is not there is left to the class.
            outline.append((name, shape) if part.required else (name, shape, UNSET))
            parts.append((name, part.name, maker(part.type) if needs_help else None))
        self.outline = msgspec.defstruct(
            getattr(without_arguments(self.cls), "__name__", "Outline"),
            outline,
            rename={
                f"field{at}": part.encode_name for at, part in enumerate(kind.fields)
            },
            kw_only=True,
            tag=kind.tag,
            tag_field=kind.tag_field,
            forbid_unknown_fields=kind.forbid_unknown_fields,
        )
        self.parts = tuple(parts)
        if guest_of(self.cls) is not None:
            _check_call(self.cls, [part.name for part in kind.fields])

    def __call__(self, value: Any, strict: bool) -> Any:
        """
        :raise msgspec.ValidationError: At the first fault.
        """
        if isinstance(value, without_arguments(self.cls)):
            return value
        outline = _convert(self.outline, value, strict)
        arguments = {}
        for name, argument, make in self.parts:
            inner = getattr(outline, name)
            if inner is not UNSET:
                arguments[argument] = inner if make is None else make(inner, strict)
        try:
            return self.cls(**arguments)
        except (TypeError, ValueError) as error:
            raise msgspec.ValidationError(str(error)) from error


def _check_call(cls: Any, arguments: list[str]) -> None:
    """
    :raise TypeError: When a guest cannot be made of what can be read.
    """
    cls = without_arguments(cls)
    try:
        signature(cls).bind(**dict.fromkeys(arguments))
    except TypeError as error:
        raise TypeError(
            f"{cls.__qualname__} cannot be made of its public fields: {error}"
        ) from None
