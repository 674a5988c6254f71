# -*- test-case-name: tests.test_debugging -*-
"""
The page of an error, as HTML.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from html import escape
from itertools import groupby
from pathlib import Path
from string import Template

from msgspec import Struct

from ropewalk.web.debugging.asking import Asked
from ropewalk.web.debugging.frames import Line, Step, Trouble
from ropewalk.web.debugging.masking import MASK

__all__ = ["Facts", "write_page"]

_WORDS = "|".join((*keyword.kwlist, "self", "cls"))

#: What is coloured in a line of Python, by the class that it gets. A text over
#: several lines is not known as one: these are a few lines of a file.
_COLOURS = re.compile(
    r"""(?x)
    (?P<c>\#.*)
    | (?P<s>(?:\b[rbfuRBFU]{1,2})?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))
    | (?P<d>^\s*@[\w.]+)
    """
    rf"| \b(?P<k>{_WORDS})\b | \b(?P<n>\d[\d_.xobeEa-fA-F]*)\b"
)


class Facts(Struct, frozen=True):
    """
    What is on the page, clean of secrets.

    :ivar versions: Names and versions of what runs.
    :ivar lines: The error as text, to be copied.
    :ivar console: Where its consoles are asked; empty for none.
    :ivar nonce: What the page's own style and script are known by.
    """

    trouble: Trouble
    asked: Asked
    versions: Sequence[tuple[str, str]]
    lines: Sequence[str]
    console: str
    nonce: str


def write_page(facts: Facts) -> str:
    """A page that needs nothing but itself."""
    trouble, asked = facts.trouble, facts.asked
    return Template(_file("page.html")).substitute(
        title=escape(f"{trouble.kind} at {asked.method} {asked.path}"),
        nonce=facts.nonce,
        style=_file("page.css"),
        script=_file("page.js"),
        method=escape(asked.method),
        path=escape(asked.path),
        kind=escape(trouble.kind),
        message=_message(trouble),
        about=_about(asked),
        troubles="\n".join(_troubles(trouble)),
        request="\n".join(_table(*part) for part in asked.parts),
        versions=_table("Versions", facts.versions),
        text=escape("\n".join(facts.lines)),
        console=escape(facts.console),
    )


@cache
def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


def _message(trouble: Trouble) -> str:
    parts = [f'<p class="message">{escape(trouble.message)}</p>'] * bool(
        trouble.message
    )
    parts += [f'<p class="note">{escape(note)}</p>' for note in trouble.notes]
    return "\n".join(parts)


def _about(asked: Asked) -> str:
    found = (
        ("Service", asked.service),
        ("Route", asked.route),
        ("Handler", asked.place),
        ("In the log", asked.name),
    )
    return "".join(
        f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>"
        for name, value in found
        if value
    )


def _troubles(trouble: Trouble) -> Iterator[str]:
    for number, each in enumerate(trouble.all()):
        heading = ""
        if number:
            heading = (
                f'<p class="how">{escape(each.how)}</p>'
                f"<h3>{escape(each.kind)}</h3>{_message(each)}"
            )
        steps = "\n".join(_steps(each))
        way = f'<ol class="steps">{steps}</ol>' if steps else "<p>It has no frames.</p>"
        yield f"<section>{heading}{way}</section>"


def _steps(trouble: Trouble) -> Iterator[str]:
    """The frames; those that are not the developer's folded, several in one."""
    steps = trouble.steps
    own = [number for number, step in enumerate(steps) if step.own]
    opened = own[-1] if own else len(steps) - 1
    if trouble.left_out:
        left_out = f"{trouble.left_out} frames in the middle are not shown"
        yield f'<li class="left-out">{left_out}</li>'
    for is_own, found in groupby(enumerate(steps), key=lambda pair: pair[1].own):
        group = list(found)
        items = [_step(step, number == opened) for number, step in group]
        if is_own or not own:
            yield from items
        else:
            yield _folded([step for _, step in group], items)


def _folded(steps: Sequence[Step], items: Iterable[str]) -> str:
    packages = dict.fromkeys(
        re.split(r"[\\/]", step.place)[0].removesuffix(".py") for step in steps
    )
    count = "1 frame" if len(steps) == 1 else f"{len(steps)} frames"
    return (
        f'<li class="folded"><details><summary>{count} of '
        f"{escape(', '.join(packages))}</summary>"
        f"<ol>{''.join(items)}</ol></details></li>"
    )


def _step(step: Step, opened: bool) -> str:
    source = "".join(map(_line, step.source))
    return (
        f'<li class="step{" own" * step.own}">'
        f'<details data-frame="{step.number}"{" open" * opened}><summary>'
        f"<code>{escape(step.function)}</code> "
        f'<span class="place" title="{escape(step.path)}">{escape(step.place)}:'
        f"<b>{step.line}</b></span>"
        f'<code class="brief">{escape(step.text)}</code></summary>'
        f"{f'<pre class=source tabindex=0>{source}</pre>' if source else ''}"
        f"{_names(step)}</details></li>"
    )


def _names(step: Step) -> str:
    if not step.names:
        return ""
    rows = "".join(_row(name, value) for name, value in step.names)
    more = f"<p>{step.more} more are not shown.</p>" if step.more else ""
    return f'<dl class="names">{rows}</dl>{more}'


def _line(line: Line) -> str:
    painted = "".join(_painted(line)) or " "
    failed = ' class="failed"' if line.failed else ""
    return f"<span{failed}><i>{line.number}</i>{painted}\n</span>"


def _painted(line: Line) -> Iterator[str]:
    kinds = [""] * len(line.text)
    for found in _COLOURS.finditer(line.text):
        start, end = found.span()
        kinds[start:end] = [found.lastgroup or ""] * (end - start)
    start, end = line.columns or (0, 0)
    marked = [start <= at < end for at in range(len(kinds))]
    for is_marked, found_run in groupby(range(len(kinds)), key=marked.__getitem__):
        run = list(found_run)
        yield "<mark>" * is_marked
        for kind, part in groupby(run, key=kinds.__getitem__):
            text = escape("".join(line.text[at] for at in part))
            yield f'<span class="{kind}">{text}</span>' if kind else text
        yield "</mark>" * is_marked


def _table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    said = "".join(_row(name, value) for name, value in rows)
    return f'<h3>{escape(title)}</h3><dl class="names">{said}</dl>'


def _row(name: str, value: str) -> str:
    hidden = ' class="hidden"' if value == MASK else ""
    return f"<div><dt>{escape(name)}</dt><dd{hidden}>{escape(value)}</dd></div>"
