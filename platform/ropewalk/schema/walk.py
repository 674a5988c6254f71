# -*- test-case-name: tests.test_schema -*-
"""
All that is wrong with a value, found by walking it beside its type.

msgspec is fast and stops at the first fault. This is run when it has refused a
value: it asks msgspec about each part alone, and puts the answers into words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct, inspect

from ropewalk.errors import Fault
from ropewalk.schema.guests import complaints, guest_of
from ropewalk.schema.kinds import (
    bare,
    kind_of,
    python_type,
    takes_leaf,
    takes_list,
    takes_table,
)
from ropewalk.schema.making import convert
from ropewalk.schema.shape import Secret, is_model
from ropewalk.schema.words import (
    DATA,
    Step,
    Words,
    choices,
    describe_kind,
    hides,
    nearest,
    pattern_words,
    show_got,
    spell,
)

__all__ = [
    "MOST_FLAWS",
    "Flaw",
    "bare",
    "convert",
    "find_flaws",
    "fits",
    "kind_of",
    "make",
    "takes_leaf",
    "takes_list",
    "takes_table",
]

#: How many flaws are told at most: a message of a megabyte can have as many
#: flaws as it has bytes, and the answer should not be longer than the question.
MOST_FLAWS = 100

_Fields = inspect.StructType | inspect.TypedDictType


class Flaw(Struct, frozen=True):
    """
    One thing wrong with a value, with its place in single steps.
    """

    steps: tuple[Step, ...]
    problem: str

    def fault(self) -> Fault:
        """
        The same for people.
        """
        return Fault(spell(self.steps), self.problem)


def find_flaws(
    shape: Any,
    data: Any,
    refused: Exception,
    *,
    strict: bool = True,
    words: Words = DATA,
) -> tuple[Flaw, ...]:
    """
    All that is wrong with data that msgspec has refused, in the order of the
    shape; after :data:`MOST_FLAWS` the rest is only mentioned.

    :param refused: What msgspec said. It is told where the walk finds nothing.
    """
    walk = _Walk(strict, words)
    try:
        flaws = tuple(islice(walk.look(kind_of(shape), data, ()), MOST_FLAWS + 1))
    except RecursionError:
        flaws = ()
    if len(flaws) > MOST_FLAWS:
        more = Flaw((), f"more is wrong than these {MOST_FLAWS} faults")
        return (*flaws[:MOST_FLAWS], more)
    return flaws or (_told(refused),)


def fits(kind: inspect.Type, value: Any, *, strict: bool) -> bool:
    """
    Whether msgspec takes a value as one of a type.
    """
    try:
        make(kind, value, strict=strict)
    except msgspec.ValidationError:
        return False
    return True


def make(kind: inspect.Type, value: Any, *, strict: bool) -> Any:
    """
    A value of a type that was taken apart.

    :raise msgspec.ValidationError: When it is not one.
    """
    return convert(python_type(kind), value, strict=strict)


class _Walk(Struct, frozen=True):
    strict: bool
    words: Words

    def look(
        self, kind: inspect.Type, value: Any, steps: tuple[Step, ...]
    ) -> Iterator[Flaw]:
        match kind:
            case inspect.Metadata() if pattern_words(kind):
                if not fits(kind.type, value, strict=self.strict):
                    yield self._expected(kind, value, steps)
            case inspect.Metadata():
                yield from self.look(kind.type, value, steps)
            case inspect.UnionType():
                yield from self._look_at_either(kind, value, steps)
            case inspect.StructType(array_like=True) | inspect.NamedTupleType():
                yield from self._build(kind, value, steps)
            case inspect.StructType() | inspect.TypedDictType():
                yield from self._look_at_fields(kind, value, steps)
            case inspect.DictType():
                yield from self._look_at_dict(kind, value, steps)
            case inspect.TupleType():
                yield from self._look_at_tuple(kind, value, steps)
            case inspect.CollectionType():
                yield from self._look_at_list(kind, value, steps)
            case inspect.CustomType() if is_model(kind.cls):
                yield from self._look_at_model(kind, value, steps)
            case _:
                if not fits(kind, value, strict=self.strict):
                    yield self._expected(kind, value, steps)

    def _expected(
        self, kind: inspect.Type, value: Any, steps: tuple[Step, ...]
    ) -> Flaw:
        expected = describe_kind(kind, self.words)
        got = show_got(value, self.words, hide=hides(kind))
        return Flaw(steps, f"expected {expected}, got {got}{_meant(kind, value)}")

    def _look_at_either(
        self, kind: inspect.UnionType, value: Any, steps: tuple[Step, ...]
    ) -> Iterator[Flaw]:
        kinds = [bare(each) for each in kind.types]
        if isinstance(value, Mapping):
            tables = [each for each in kinds if takes_table(each)]
            if len(tables) == 1:
                yield from self.look(tables[0], value, steps)
                return
            if tables:
                yield from self._look_at_tagged(tables, value, steps)
                return
        if isinstance(value, (list, tuple)):
            for each in kinds:
                if takes_list(each):
                    yield from self.look(each, value, steps)
                    return
        leaves = inspect.UnionType(tuple(filter(takes_leaf, kinds)))
        if not leaves.types or not fits(leaves, value, strict=self.strict):
            yield self._expected(kind, value, steps)

    def _look_at_tagged(
        self,
        kinds: list[inspect.Type],
        value: Mapping[Any, Any],
        steps: tuple[Step, ...],
    ) -> Iterator[Flaw]:
        tagged = {
            each.tag: each
            for each in kinds
            if isinstance(each, inspect.StructType) and each.tag_field is not None
        }
        name = next(each.tag_field for each in tagged.values())
        if name not in value:
            yield Flaw((*steps, str(name)), "required, but missing")
            return
        tag = value[name]
        if isinstance(tag, (str, int)) and tag in tagged:
            yield from self.look(tagged[tag], value, steps)
        else:
            literal = inspect.LiteralType(tuple(tagged))
            yield self._expected(literal, tag, (*steps, str(name)))

    def _look_at_fields(
        self, kind: _Fields, value: Any, steps: tuple[Step, ...]
    ) -> Iterator[Flaw]:
        if not isinstance(value, Mapping):
            if not fits(kind, value, strict=self.strict):
                yield self._expected(kind, value, steps)
            return
        clean = True
        for flaw in self._look_into(kind, value, steps):
            clean = False
            yield flaw
        if clean:
            yield from self._build(kind, value, steps)

    def _look_into(
        self, kind: _Fields, value: Mapping[Any, Any], steps: tuple[Step, ...]
    ) -> Iterator[Flaw]:
        known = [field.encode_name for field in kind.fields]
        for field in kind.fields:
            if field.encode_name in value:
                inner = value[field.encode_name]
                yield from self.look(field.type, inner, (*steps, field.encode_name))
            elif field.required:
                yield Flaw((*steps, field.encode_name), "required, but missing")
        if isinstance(kind, inspect.StructType):
            if kind.tag_field is not None:
                known.append(kind.tag_field)
                tag = inspect.LiteralType((kind.tag,))
                if not fits(tag, value.get(kind.tag_field, kind.tag), strict=True):
                    got = value[kind.tag_field]
                    yield self._expected(tag, got, (*steps, kind.tag_field))
            if kind.forbid_unknown_fields:
                guest = guest_of(kind.cls)
                fixed = guest.read_only if guest else frozenset()
                yield from self._refuse_unknown(known, fixed, value, steps)

    def _refuse_unknown(
        self,
        known: list[str],
        fixed: frozenset[str],
        value: Mapping[Any, Any],
        steps: tuple[Step, ...],
    ) -> Iterator[Flaw]:
        missing = [name for name in known if name not in value]
        for key, inner in value.items():
            if key in known:
                continue
            if key in fixed:
                yield Flaw((*steps, str(key)), "cannot be set")
                continue
            table = isinstance(inner, Mapping)
            noun = self.words.branch if table else self.words.key
            # One that is there already is not what was meant, unless all are.
            meant = nearest(str(key), missing) or nearest(str(key), known)
            hint = f"; did you mean {meant!r}?" if meant else ""
            yield Flaw((*steps, str(key)), f"unknown {noun}{hint}")

    def _look_at_dict(
        self, kind: inspect.DictType, value: Any, steps: tuple[Step, ...]
    ) -> Iterator[Flaw]:
        if not isinstance(value, Mapping) or not _within(kind, len(value)):
            yield self._expected(kind, value, steps)
            return
        part = inspect.DictType(kind.key_type, kind.value_type)
        for _, (key, inner) in self._suspects(part, list(value.items()), dict):
            place = (*steps, str(key))
            # Names are always text; "7" is good for an integer.
            if not fits(kind.key_type, key, strict=not isinstance(key, str)):
                expected = describe_kind(kind.key_type, self.words)
                yield Flaw(
                    place, f"as the name of a {self.words.key}, expected {expected}"
                )
            yield from self.look(kind.value_type, inner, place)

    def _look_at_list(
        self, kind: inspect.CollectionType, value: Any, steps: tuple[Step, ...]
    ) -> Iterator[Flaw]:
        if not _is_list(value) or not _within(kind, len(value)):
            yield self._expected(kind, value, steps)
            return
        part = inspect.ListType(kind.item_type)
        for index, item in self._suspects(part, list(value), list):
            yield from self.look(kind.item_type, item, (*steps, index))

    def _suspects(
        self, kind: inspect.Type, items: list[Any], gather: Callable[[list[Any]], Any]
    ) -> Iterator[tuple[int, Any]]:
        """
        The items that do not fit and their places, found by halving: of a
        hundred thousand good ones, none is looked at by itself.

        :param kind: What some of the items are, gathered.
        """
        ranges = [(0, len(items))]
        while ranges:
            start, end = ranges.pop()
            if fits(kind, gather(items[start:end]), strict=self.strict):
                continue
            if end - start == 1:
                yield start, items[start]
                continue
            middle = (start + end) // 2
            ranges += [(middle, end), (start, middle)]

    def _look_at_tuple(
        self, kind: inspect.TupleType, value: Any, steps: tuple[Step, ...]
    ) -> Iterator[Flaw]:
        if not _is_list(value) or len(value) != len(kind.item_types):
            yield self._expected(kind, value, steps)
            return
        for index, (each, item) in enumerate(zip(kind.item_types, value, strict=True)):
            yield from self.look(each, item, (*steps, index))

    def _build(self, kind: Any, value: Any, steps: tuple[Step, ...]) -> Iterator[Flaw]:
        try:
            convert(kind.cls, value, strict=self.strict)
        except msgspec.ValidationError as refused:
            told = list(self._complain(kind, value, steps))
            if not told:
                flaw = _told(refused)
                told = [Flaw((*steps, *flaw.steps), flaw.problem)]
            yield from told

    def _complain(
        self, kind: Any, value: Any, steps: tuple[Step, ...]
    ) -> Iterator[Flaw]:
        """
        What an attrs class has against the values of its fields.
        """
        guest = guest_of(kind.cls)
        if guest is None or not guest.checks or not isinstance(value, Mapping):
            return
        fields = {
            field.name: field for field in kind.fields if field.encode_name in value
        }
        given = {
            name: make(field.type, value[field.encode_name], strict=self.strict)
            for name, field in fields.items()
        }
        for name, said in complaints(kind.cls, given):
            hidden = name in fields and hides(fields[name].type)
            yield Flaw((*steps, name), "not valid" if hidden else said)

    def _look_at_model(
        self, kind: inspect.CustomType, value: Any, steps: tuple[Step, ...]
    ) -> Iterator[Flaw]:
        from ropewalk.schema.models import find_model_flaws

        for place, problem in find_model_flaws(
            kind.cls, value, strict=self.strict, words=self.words
        ):
            yield Flaw((*steps, *place), problem)


def _meant(kind: inspect.Type, value: Any) -> str:
    if not isinstance(kind, (inspect.LiteralType, inspect.EnumType)):
        return ""
    if not isinstance(value, str) or isinstance(value, Secret):
        return ""
    meant = nearest(value, [each for each in choices(kind) if isinstance(each, str)])
    return f"; did you mean {meant!r}?" if meant else ""


def _within(kind: Any, length: int) -> bool:
    return (kind.min_length or 0) <= length and (
        kind.max_length is None or length <= kind.max_length
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset))


def _told(refused: Exception) -> Flaw:
    """
    What msgspec said, with the place it named.
    """
    said = str(refused)
    if refused.__cause__ is not None:
        # A ValueError of __post_init__, which may have any sentence.
        place = said.removeprefix(str(refused.__cause__))
        said = str(refused.__cause__)
    else:
        said, _, place = said.partition(" - at `")
    steps = re.findall(r"\.([^.\[`]+)|\[(\d+)\]", place)
    return Flaw(
        tuple(int(index) if index else name for name, index in steps),
        said or "not valid",
    )
