# -*- test-case-name: tests.test_debugging -*-
"""
What happened, read from an exception: the errors that led to it, the frames that
each went through, their source and their locals.
"""

from __future__ import annotations

import linecache
import os
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

from msgspec import Struct

import ropewalk
from ropewalk.web.debugging.values import Shower, name_of

__all__ = ["Line", "Step", "Trouble", "read_trouble", "tell"]

#: Lines of source before and after the one that failed.
_BEFORE, _AFTER = 5, 4

#: Frames at the beginning and at the end of a long way.
_FIRST, _LAST = 15, 35

#: Names in a frame, errors in a group, errors in all, characters of a message.
_NAMES, _PARTS, _ERRORS, _MESSAGE = 60, 10, 25, 10_000

#: What a request comes through before it is at somebody's own code.
_MACHINERY = frozenset(
    "ropewalk twisted klein werkzeug zope autobahn attr attrs msgspec".split()
)

_PYTHON = tuple(
    os.path.realpath(sysconfig.get_path(name)) + os.sep
    for name in ("stdlib", "platstdlib")
)
_OURS = str(Path(ropewalk.__file__).resolve().parent) + os.sep
_INSTALLED = ("site-packages", "dist-packages")


class Line(Struct, frozen=True):
    """
    A line of source.

    :ivar failed: Whether it is what failed, or belongs to it.
    :ivar columns: Which part of it failed, if that is known: from, to.
    """

    number: int
    text: str
    failed: bool
    columns: tuple[int, int] | None = None


class Step(Struct, frozen=True):
    """
    A frame that an error went through.

    :ivar number: In the order in which frames were kept, from 0.
    :ivar path: Its file.
    :ivar place: The same, as short as it is known by.
    :ivar own: Whether it is the developer's; otherwise it is of what runs their
        code.
    :ivar source: The lines around the one that failed.
    :ivar names: Its variables, each with its value.
    :ivar more: How many variables are not shown.
    """

    number: int
    path: str
    place: str
    line: int
    function: str
    own: bool
    source: tuple[Line, ...]
    names: tuple[tuple[str, str], ...]
    more: int

    @property
    def text(self) -> str:
        """The line that failed."""
        return next((each.text.strip() for each in self.source if each.failed), "")


class Trouble(Struct, frozen=True):
    """
    One error.

    :ivar how: What it has to do with the one before: ``"It was raised from"``.
    :ivar kind: Its class.
    :ivar message: What it says.
    :ivar notes: What was added to it (:pep:`678`).
    :ivar steps: The frames it went through, the last being where it was raised.
    :ivar left_out: How many frames are missing after the first ones.
    :ivar others: What it came from, and what it is made of.
    """

    how: str
    kind: str
    message: str
    notes: tuple[str, ...]
    steps: tuple[Step, ...]
    left_out: int
    others: tuple[Trouble, ...]

    def all(self) -> Iterator[Trouble]:
        """It, and all others."""
        yield self
        for other in self.others:
            yield from other.all()


class _Hop(Struct, frozen=True):
    frame: FrameType
    line: int
    instruction: int
    owner: str


class _Met(Struct, frozen=True):
    how: str
    error: BaseException
    hops: tuple[_Hop, ...]
    left_out: int
    others: tuple[_Met, ...]

    def all(self) -> Iterator[_Met]:
        yield self
        for other in self.others:
            yield from other.all()


def read_trouble(
    error: BaseException, trace: Any, shower: Shower, keep: Callable[[FrameType], int]
) -> Trouble:
    """
    Read all of an error, secrets masked but for those that are known by their
    value only.

    :param trace: Its traceback, where that is longer than the error's own.
    :param keep: Takes each frame, and numbers it.
    """
    met = _meet(error, trace, "", set())
    hops = [hop for each in met.all() for hop in reversed(each.hops)]
    # What counts as one's own, where all there is was installed.
    own = {hop.owner for hop in hops} & {"own"} or {"library"}
    for each in met.all():
        shower.learn("", shower.describe(each.error))
    for hop in sorted(hops, key=lambda hop: hop.owner not in own):
        for name, value in _names(hop.frame):
            shower.learn(name, value)
    return _told(met, own, shower, keep)


def tell(trouble: Trouble) -> Iterator[str]:
    """An error in lines, as Python would tell it, but the last error first."""
    if trouble.how:
        yield f"{trouble.how}:"
    for number, step in enumerate(trouble.steps):
        if trouble.left_out and number == _FIRST:
            yield f"  … {trouble.left_out} frames"
        yield f'  File "{step.path}", line {step.line}, in {step.function}'
        if step.text:
            yield f"    {step.text}"
    said = f"{trouble.kind}: {trouble.message}" if trouble.message else trouble.kind
    yield from said.split("\n")
    for note in trouble.notes:
        yield from note.split("\n")
    for other in trouble.others:
        yield from tell(other)


# What there is.


def _meet(error: BaseException, trace: Any, how: str, seen: set[int]) -> _Met:
    seen.add(id(error))
    hops = tuple(_hops(_longer(error.__traceback__, trace)))
    left_out = max(0, len(hops) - _FIRST - _LAST)
    if left_out:
        hops = hops[:_FIRST] + hops[-_LAST:]
    others: list[_Met] = []
    parts = error.exceptions[:_PARTS] if isinstance(error, BaseExceptionGroup) else ()
    related = [(part, "One of the group") for part in parts]
    if error.__cause__ is not None:
        related.append((error.__cause__, "It was raised from"))
    elif error.__context__ is not None and not error.__suppress_context__:
        related.append((error.__context__, "It happened while this was handled"))
    for other, relation in related:
        if id(other) not in seen and len(seen) < _ERRORS:
            others.append(_meet(other, None, relation, seen))
    return _Met(how, error, hops, left_out, tuple(others))


def _longer(one: Any, two: Any) -> Any:
    return one if _length(one) >= _length(two) else two


def _length(trace: Any) -> int:
    length = 0
    while trace is not None:
        trace, length = trace.tb_next, length + 1
    return length


def _hops(trace: TracebackType | None) -> Iterator[_Hop]:
    while trace is not None:
        frame = trace.tb_frame
        owner = _owner(frame.f_code.co_filename)
        yield _Hop(frame, trace.tb_lineno, getattr(trace, "tb_lasti", -1), owner)
        trace = trace.tb_next


def _owner(path: str) -> str:
    """
    Whose a file is: ``"own"``, ``"library"`` for what was installed, or
    ``"machinery"``.
    """
    if path.startswith("<"):
        return "machinery"
    real = os.path.realpath(path)
    parts = Path(real).parts
    for directory in _INSTALLED:
        if directory in parts:
            package = parts[parts.index(directory) + 1].removesuffix(".py")
            return "machinery" if package in _MACHINERY else "library"
    return "machinery" if real.startswith((*_PYTHON, _OURS)) else "own"


def _names(frame: FrameType) -> Iterator[tuple[str, Any]]:
    """A frame's variables; those of a module without what Python puts there."""
    whole: Mapping[str, Any] = frame.f_locals
    for name, value in islice(list(whole.items()), _NAMES):
        if frame.f_code.co_name != "<module>" or not name.startswith("__"):
            yield name, value


# How it is told.


def _told(
    met: _Met, own: set[str], shower: Shower, keep: Callable[[FrameType], int]
) -> Trouble:
    error = met.error
    notes = getattr(error, "__notes__", None)
    return Trouble(
        met.how,
        name_of(type(error)),
        shower.clean(shower.describe(error), _MESSAGE),
        tuple(
            shower.clean(note, _MESSAGE)
            for note in (notes if isinstance(notes, list) else ())
            if isinstance(note, str)
        ),
        tuple(_step(hop, own, shower, keep) for hop in met.hops),
        met.left_out,
        tuple(_told(other, own, shower, keep) for other in met.others),
    )


def _step(
    hop: _Hop, own: set[str], shower: Shower, keep: Callable[[FrameType], int]
) -> Step:
    code = hop.frame.f_code
    return Step(
        keep(hop.frame),
        code.co_filename,
        _short(code.co_filename),
        hop.line,
        getattr(code, "co_qualname", code.co_name),
        hop.owner in own,
        tuple(_source(hop)),
        tuple((name, shower.show(name, each)) for name, each in _names(hop.frame)),
        max(0, len(hop.frame.f_locals) - _NAMES),
    )


def _short(path: str) -> str:
    if path.startswith("<"):
        return path
    real = os.path.realpath(path)
    for directory in _INSTALLED:
        _, found, rest = real.partition(f"{os.sep}{directory}{os.sep}")
        if found:
            return rest
    for root in (os.path.dirname(_OURS.rstrip(os.sep)) + os.sep, *_PYTHON, _here()):
        if real.startswith(root):
            return real.removeprefix(root)
    return real


def _here() -> str:
    try:
        return os.path.realpath(os.getcwd()) + os.sep
    except OSError:  # the directory is gone
        return os.sep


def _source(hop: _Hop) -> Iterator[Line]:
    code = hop.frame.f_code
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, hop.frame.f_globals)
    if not 0 < hop.line <= len(lines):
        return
    last = hop.line
    start: int | None = None
    end: int | None = None
    if hop.instruction >= 0:
        found = next(islice(code.co_positions(), hop.instruction // 2, None), None)
        if found is not None and found[0] == hop.line and found[1] is not None:
            _, _, start, end = found
            last = min(found[1], len(lines))
    begin, final = (1, len(lines))
    if code.co_name != "<module>":
        begin, final = code.co_firstlineno, min(final, _last_line(code))
    around = range(
        max(begin, hop.line - _BEFORE),
        min(max(final, last), max(last, hop.line) + _AFTER) + 1,
    )
    texts = {number: lines[number - 1].rstrip().expandtabs(4) for number in around}
    indent = min((_indent(text) for text in texts.values() if text), default=0)
    for number, text in texts.items():
        failed = hop.line <= number <= last
        columns = None
        if failed and start is not None and end is not None:
            whole = lines[number - 1].rstrip("\n").encode("utf-8")
            first = start if number == hop.line else _indent(lines[number - 1])
            close = end if number == last else len(whole)
            columns = _columns(whole, first, close, indent)
        yield Line(number, text[indent:], failed, columns)


def _last_line(code: CodeType) -> int:
    """The last line of a function, as far as something runs there."""
    lines = [line for _, _, line in code.co_lines() if line is not None]
    inside = [each for each in code.co_consts if isinstance(each, CodeType)]
    return max([code.co_firstlineno, *lines, *map(_last_line, inside)])


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _columns(line: bytes, start: int, end: int, indent: int) -> tuple[int, int] | None:
    """
    Where in a line that is shown, in characters, something is whose place in the
    file is known in bytes; ``None`` if it is the whole line.
    """
    first, last = (
        len(line[:at].decode("utf-8", "replace").expandtabs(4)) for at in (start, end)
    )
    text = line.decode("utf-8", "replace").expandtabs(4).rstrip()
    if text[first:last].strip() in ("", text.strip()):
        return None
    return max(0, first - indent), max(0, last - indent)
