# -*- test-case-name: tests.test_patterns -*-
"""
Patterns: ``"/companies/<int:id>"``.

The language is Werkzeug's, as Klein and Flask have it. A pattern is taken apart into
*steps*, one for each piece between two slashes; the table goes along them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from math import comb
from typing import Any
from urllib.parse import quote, unquote

from attrs import define
from msgspec import Struct

from ropewalk.errors import RopewalkError
from ropewalk.schema import nearest
from ropewalk.web.converters import (
    CONVERTERS,
    ENCODED_SLASH,
    AnyConverter,
    Converter,
    DateConverter,
    IntConverter,
    NumberConverter,
    PathConverter,
    UUIDConverter,
    adopt_all,
)

__all__ = [
    "CONVERTERS",
    "ENCODED_SLASH",
    "SAFE",
    "BadLink",
    "BadRule",
    "Converter",
    "Pattern",
    "Slot",
    "Step",
    "adopt_all",
    "parse",
    "parse_host",
    "quote_path",
    "split",
]

#: What needs no percent-encoding in a segment, beside letters, digits and ``-._~``:
#: RFC 3986, section 3.3, "pchar".
SAFE = "!$&'()*+,:;=@"

#: In how many ways a text may be cut into a step's slots before it is too long to try:
#: some ten milliseconds of the regular expression's backtracking.
_MOST_CUTS = 1_000_000


@define
class BadRule(RopewalkError):
    """
    A rule cannot be read.

    :ivar rule: As it was written.
    :ivar problem: What is wrong with it, and what to write instead.
    :ivar position: At which character, from 0; ``None`` when it is all of it.
    """

    rule: str
    problem: str
    position: int | None = None

    def __str__(self) -> str:
        where = "" if self.position is None else f" (at character {self.position + 1})"
        return f"the rule {self.rule!r}{where}: {self.problem}"


@define
class BadLink(RopewalkError):
    """
    There is no link to a route with these arguments.

    :ivar rule: The route's rule.
    :ivar problem: Why not.
    """

    rule: str
    problem: str

    def __str__(self) -> str:
        return f"no link to {self.rule!r}: {self.problem}"


class Slot(Struct, frozen=True):
    """
    Where a pattern takes a value.

    :ivar name: What the value is called.
    :ivar converter: What it takes.
    :ivar written: As the rule has it: ``"<int(min=1):page>"``.
    """

    name: str
    converter: Converter
    written: str = ""


Piece = str | Slot


class Pattern(Struct, frozen=True, dict=True):
    """
    A rule, read.

    :ivar rule: As it was written.
    :ivar pieces: Text and slots, by turns; text is not percent-encoded.
    """

    rule: str
    pieces: tuple[Piece, ...]

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The slots among the pieces."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Slot))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What these are called."""
        return tuple(slot.name for slot in self.slots)

    def join(self, prefix: Pattern) -> Pattern:
        """
        This pattern below another: ``/`` below ``/a`` is ``/a/``.

        :raise BadRule: When both have a slot of one name.
        """
        rule = prefix.rule.rstrip("/") + self.rule
        for name in self.names:
            if name in prefix.names:
                raise BadRule(rule, f"two slots are called {name!r}")
        *before, last = prefix.pieces
        if isinstance(last, str):
            last = last.rstrip("/")
        pieces = _merged([*before, last, *self.pieces])
        _steps(rule, pieces)
        return Pattern(rule, pieces)


def parse(
    rule: str, converters: Mapping[str, Callable[..., Converter]] = CONVERTERS
) -> Pattern:
    """
    Read a rule: ``/companies/<int:id>``.

    :param converters: By the names that the rule may use.
    :raise BadRule: When it cannot be read.
    """
    if not rule.startswith("/"):
        raise BadRule(rule, "a rule starts with '/'")
    if rule.startswith("//"):
        raise BadRule(rule, "behind two slashes browsers look for the name of a host")
    pattern = _read(rule, converters)
    for step in _steps(rule, pattern.pieces):
        if step in (".", ".."):
            raise BadRule(rule, "browsers resolve '.' and '..' before they ask")
    return pattern


def parse_host(
    rule: str, converters: Mapping[str, Callable[..., Converter]] = CONVERTERS
) -> Pattern:
    """
    Read the rule of a host: ``api.example.org``, ``<company>.example.org``. A slot
    takes what is between two dots, in small letters.

    :raise BadRule: When it cannot be read.
    """
    try:
        pieces = [
            _folded(piece) if isinstance(piece, str) else piece
            for piece in _read(rule, converters).pieces
        ]
    except UnicodeError:
        raise BadRule(rule, "no host can be called so") from None
    for piece in pieces:
        if isinstance(piece, Slot) and piece.converter.slashes:
            raise BadRule(rule, f"{piece.written} takes slashes, and a host has none")
        if isinstance(piece, str) and "/" in piece:
            raise BadRule(rule, "a host is written without a scheme and a path")
    if re.search(r":[0-9]*\Z", rule) and not rule.endswith("]"):
        raise BadRule(rule, "a host is written without its port")
    if "" in _steps(rule, pieces, "."):
        raise BadRule(rule, "a host has something before and behind each dot")
    return Pattern(rule, tuple(pieces))


#: A slot, whatever its words may be. Brackets and braces in the arguments may stand in
#: quotes only, so that the end is found.
_SLOT = re.compile(
    r"""
    <
    (?:
        (?P<converter> [^<>():/]* )
        (?: \( (?P<arguments> (?: [^"'()] | "[^"]*" | '[^']*' )* ) \) )?
        (?P<colon> : )
    )?
    (?P<name> [^<>():/]* )
    >
    """,
    re.VERBOSE,
)

_ARGUMENT = re.compile(
    r"""
    \s*
    (?: (?P<name> [^\W\d]\w* ) \s* = \s* )?
    (?: [urUR]? (?: "(?P<double>[^"]*)" | '(?P<single>[^']*)' ) | (?P<word> [\w.+-]+ ) )
    \s*
    (?: , | \Z )
    """,
    re.VERBOSE,
)

_CONSTANTS = {"None": None, "True": True, "False": False}


def _read(rule: str, converters: Mapping[str, Callable[..., Converter]]) -> Pattern:
    pieces: list[Piece] = []
    names = set()
    at = 0
    while at < len(rule):
        if rule[at] != "<":
            end = rule.find("<", at)
            text = rule[at:] if end == -1 else rule[at:end]
            _check_literal(rule, text, at)
            pieces.append(text)
            at += len(text)
            continue
        slot = _read_slot(rule, at, converters)
        if slot.name in names:
            raise BadRule(rule, f"two slots are called {slot.name!r}", at)
        names.add(slot.name)
        pieces.append(slot)
        at += len(slot.written)
    return Pattern(rule, tuple(pieces))


def _check_literal(rule: str, text: str, at: int) -> None:
    """Refuse text that nobody could ask for, or that was meant otherwise."""
    wrong = re.search(r"[>?#]|%[0-9A-Fa-f]{2}", text)
    if wrong is None:
        return
    if wrong[0] == ">":
        problem = "there is no '<' for this '>'"
    elif wrong[0] in "?#":
        problem = f"a path ends before {wrong[0]!r}"
    else:
        problem = f"write {unquote(wrong[0])!r} in place of {wrong[0]!r}"
    raise BadRule(rule, problem, at + wrong.start())


def _read_slot(
    rule: str, at: int, converters: Mapping[str, Callable[..., Converter]]
) -> Slot:
    found = _SLOT.match(rule, at)
    if found is None:
        if ">" not in rule[at:]:
            raise BadRule(rule, "this '<' is not closed", at)
        form = "<name>, <converter:name> or <converter(arguments):name>"
        raise BadRule(rule, f"a slot is written {form}", at)
    name = found["name"]
    if not name.isidentifier():
        what = f"{name!r} cannot be the name of an argument" if name else "no name"
        raise BadRule(rule, f"{what} in {found[0]!r}", at)
    kind = "default" if found["colon"] is None else found["converter"]
    if kind not in converters:
        meant = nearest(kind, converters)
        known = ", ".join(sorted(converters))
        hint = f"did you mean {meant!r}?" if meant else f"there are {known}"
        raise BadRule(rule, f"there is no converter {kind!r}; {hint}", at)
    try:
        converter = _make(converters[kind], found["arguments"] or "")
    except ValueError as error:
        raise BadRule(rule, f"{found[0]!r}: {error}", at) from None
    return Slot(name, converter, found[0])


def _make(factory: Callable[..., Converter], arguments: str) -> Converter:
    """
    :raise ValueError: When it does not take the arguments, or what it makes of them
        is no regular expression.
    """
    args, kwargs = _read_arguments(arguments)
    try:
        converter = factory(*args, **kwargs)
    except TypeError as error:
        # "IntConverter.__init__() got an unexpected keyword argument 'mn'"
        raise ValueError(str(error).rpartition("() ")[2]) from None
    try:
        _compiled(f"({converter.regex})")
    except (re.error, OverflowError) as error:
        problem = f"{converter.regex!r} is no regular expression: {error}"
        raise ValueError(problem) from None
    return converter


def _read_arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    """
    What stands in the brackets of a slot: words, numbers, constants, and text in quotes
    in which a backslash is a backslash.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    at = 0
    while text[at:].strip():
        found = _ARGUMENT.match(text, at)
        if found is None:
            raise ValueError(f"cannot read the argument {text[at:].strip()!r}")
        quoted = found["double"] if found["single"] is None else found["single"]
        value = _constant(found["word"]) if quoted is None else quoted
        name = found["name"]
        if name in kwargs:
            raise ValueError(f"{name!r} is given twice")
        if name is not None:
            kwargs[name] = value
        elif kwargs:
            raise ValueError("arguments without a name come first")
        else:
            args.append(value)
        at = found.end()
    return args, kwargs


def _constant(word: str) -> Any:
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if re.fullmatch("-?(0|[1-9][0-9]*)", word, re.ASCII):
        return int(word)
    if re.fullmatch(r"-?[0-9]+\.[0-9]+", word, re.ASCII):
        return float(word)
    return word


def _folded(text: str) -> str:
    """
    A piece of a host as it is asked for: in small letters, and in ASCII.

    :raise UnicodeError: It cannot be put into ASCII.
    """
    text = text.lower()
    if text.isascii():
        return text
    return ".".join(
        label if label.isascii() else label.encode("idna").decode("ascii")
        for label in text.split(".")
    )


def _merged(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Pieces without empty text, and without text next to text."""
    merged: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        elif piece != "":
            merged.append(piece)
    return tuple(merged)


@cache  # rules are read at start, and many have the same in them
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex)


# Steps.

#: How a step is ranked among its neighbours, the least first; as Werkzeug does.
Weight = tuple[int, tuple[tuple[int, int], ...], int, tuple[int, ...]]

#: What a step makes of a text: the texts for its slots, or ``None``.
Match = Callable[[str], tuple[str, ...] | None]


class Step(Struct, frozen=True, eq=False):
    """
    A piece of a path with slots in it: one segment; or, where a slot may have slashes,
    the rest of the path.

    :ivar pieces: What it is made of.
    :ivar spans: Whether it is the rest of the path.
    :ivar branch: Whether a slash comes behind it that may be missing in the path: it
        spans, and its rule ends with a slash.
    :ivar weight: Its rank among its neighbours, the least first.
    :ivar key: Two steps with one key take the same texts.
    :ivar match: Gives the texts for the slots, or ``None`` where it does not fit.
    """

    pieces: tuple[Piece, ...]
    spans: bool
    branch: bool
    weight: Weight
    key: object
    match: Match

    @classmethod
    def of(cls, pieces: Sequence[Piece], *, spans: bool, branch: bool) -> Step:
        regex = _regex(pieces) + ("(?<!/)/?" if branch else "")
        weight = _weight(pieces)
        key = (regex, spans, branch, weight)
        match = _make_match(pieces, regex, spans=spans, branch=branch)
        return cls(tuple(pieces), spans, branch, weight, key, match)

    def write(self, args: Mapping[str, Any]) -> str:
        """
        Make the piece of a link, percent-encoded.

        :raise ValueError: When an argument is missing, or could not be read back.
        """
        written, plain, values = "", "", []
        for piece in self.pieces:
            if isinstance(piece, str):
                written += quote_path(piece)
                plain += piece
                continue
            text = _written(piece, args)
            if piece.converter.slashes:
                written += quote_path(text)
            else:
                written += quote(text, safe=SAFE)
                text = text.replace("/", ENCODED_SLASH)
            plain += text
            values.append(text)
        self._check(args, plain, tuple(values))
        for segment in written.split("/"):
            if segment in (".", ".."):
                raise ValueError(f"browsers resolve {segment!r} before they ask")
        return written

    def _check(
        self, args: Mapping[str, Any], plain: str, values: tuple[str, ...]
    ) -> None:
        """Make sure that what was written is read as the same again."""
        read = self.match(plain) if plain else None
        if read == values:
            return
        slots = [piece for piece in self.pieces if isinstance(piece, Slot)]
        if read is None:
            given = ", ".join(f"{slot.name}={args[slot.name]!r}" for slot in slots)
            rule = "".join(str(getattr(each, "written", each)) for each in self.pieces)
            raise ValueError(f"{given} does not fit {rule}")
        understood = ", ".join(
            f"{slot.name}={shown(text)!r}"
            for slot, text in zip(slots, read, strict=True)
        )
        raise ValueError(f"{shown(plain)!r} would be read as {understood}")


def split(pieces: Sequence[Piece], separator: str = "/") -> tuple[str | Step, ...]:
    """
    Take a pattern's pieces apart where there are slashes: text stands for a segment
    that is just this text. A slash at the end has an empty text behind it.
    """
    steps: list[str | Step] = []
    current: list[Piece] = []
    spans = False
    for piece in pieces:
        if isinstance(piece, Slot):
            spans = spans or piece.converter.slashes
        elif not spans:
            *whole, piece = piece.split(separator)
            for text in whole:
                steps.append(_step([*current, text]))
                current = []
        current.append(piece)
    if not spans:
        return (*steps, _step(current))
    last = current[-1]
    if isinstance(last, str) and last.endswith("/"):
        current[-1] = last[:-1]
        return (*steps, Step.of(_merged(current), spans=True, branch=True), "")
    return (*steps, Step.of(_merged(current), spans=True, branch=False))


def _steps(
    rule: str, pieces: Sequence[Piece], separator: str = "/"
) -> tuple[str | Step, ...]:
    """
    :raise BadRule: When the converters of one step do not go together.
    """
    try:
        return split(pieces, separator)
    except (re.error, OverflowError) as error:
        problem = f"it makes no regular expression: {error}"
        raise BadRule(rule, problem) from None


def _step(pieces: Sequence[Piece]) -> str | Step:
    merged = _merged(pieces)
    if any(isinstance(piece, Slot) for piece in merged):
        return Step.of(merged, spans=False, branch=False)
    return "".join(piece for piece in merged if isinstance(piece, str))


def quote_path(text: str) -> str:
    """A path, or a piece of one, percent-encoded; its slashes stay."""
    return quote(text, safe=SAFE + "/")


def shown(text: str) -> str:
    """A text with its encoded slashes as slashes."""
    return text.replace(ENCODED_SLASH, "/")


def _written(slot: Slot, args: Mapping[str, Any]) -> str:
    value = args.get(slot.name)
    if value is None:
        raise ValueError(f"nothing is given for {slot.name!r}")
    try:
        text = slot.converter.to_url(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{slot.name}={value!r}: {error}") from None
    return text


def _regex(pieces: Sequence[Piece]) -> str:
    """
    The regular expression of a step. The groups have names: a converter's own
    expression may have groups, too.
    """
    numbers = iter(range(len(pieces)))
    return "".join(
        re.escape(piece)
        if isinstance(piece, str)
        else f"(?P<_slot_{next(numbers)}>{piece.converter.regex})"
        for piece in pieces
    )


def _weight(pieces: Sequence[Piece]) -> Weight:
    """
    Most text first, then the longer; then most slots, then the lighter.
    """
    texts = [
        text
        for piece in pieces
        if isinstance(piece, str)
        for text in piece.split("/")
        if text
    ]
    weights = tuple(
        piece.converter.weight for piece in pieces if isinstance(piece, Slot)
    )
    lengths = tuple((at, -len(text)) for at, text in enumerate(texts))
    return (-len(texts), lengths, -len(weights), weights)


def _take_any(text: str) -> tuple[str] | None:
    return (text,) if text else None


def _take_digits(text: str) -> tuple[str] | None:
    return (text,) if text.isdigit() and text.isascii() else None


def _take_path(text: str) -> tuple[str] | None:
    return None if text[:1] in ("", "/") else (text,)


#: What slots of the commonest kinds make of a segment, if they are alone in it: the
#: same as the regular expression would, for less.
_ALONE: dict[str, Match] = {
    Converter.regex: _take_any,
    IntConverter.regex: _take_digits,
}

#: The same for the rest of a path.
_ALONE_SPANNING: dict[str, Match] = {PathConverter.regex: _take_path}


def _make_match(
    pieces: Sequence[Piece], regex: str, *, spans: bool, branch: bool
) -> Match:
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1 and isinstance(first, Slot) and not branch:
        alone = _ALONE_SPANNING if spans else _ALONE
        if first.converter.regex in alone:
            return alone[first.converter.regex]
    fullmatch = _compiled(regex).fullmatch
    count = sum(isinstance(piece, Slot) for piece in pieces)
    names = [f"_slot_{at}" for at in range(count)]
    longest = _longest(pieces)
    end = last if isinstance(last, str) else ""
    ends = (end, f"{end}/") if branch else (end,)

    def match(text: str) -> tuple[str, ...] | None:
        if len(text) > longest or not text.endswith(ends):
            return None
        found = fullmatch(text)
        if found is None:
            return None
        return tuple([found[name] for name in names])

    return match


def _longest(pieces: Sequence[Piece]) -> int:
    """
    How long a text may be so that to cut it into slots does not take for ever: a
    regular expression tries all ways to cut, and there are more than ``length **
    cuts`` by some factor.
    """
    cuts = 0
    open_end = False
    for piece, following in zip(pieces, [*pieces[1:], None], strict=True):
        if isinstance(piece, Slot):
            # The end of the last slot is found at once, from the end of the text.
            cuts += open_end
            open_end = not _ends_by_itself(piece, following)
    if cuts < 2:
        return sys.maxsize
    longest = cuts
    while comb(longest + 1, cuts) <= _MOST_CUTS:
        longest += 1
    return longest


def _ends_by_itself(slot: Slot, following: Piece | None) -> bool:
    """Whether there is but one place, or a few, at which a slot's text can end."""
    if isinstance(slot.converter, UUIDConverter | DateConverter | AnyConverter):
        return True
    if isinstance(slot.converter, NumberConverter):
        return isinstance(following, str) and following[0] not in "0123456789."
    return False
