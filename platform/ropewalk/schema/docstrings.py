# -*- test-case-name: tests.test_openapi -*-
"""
What a docstring says: prose, field lists as Sphinx and pydoctor read them, examples.

The prose is turned into CommonMark, which is what OpenAPI's descriptions are.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

__all__ = ["Example", "Told", "read_docstring"]

#: ``:param name: what it is``, and ``@param name: what it is``.
_FIELD = re.compile(r"[:@](?P<kind>[a-z]+)(?:[ ]+(?P<about>[^:]+?))?[ ]*:(?:[ ]+|$)")

#: ``Example::``, ``Example answer::``, ``Example, an old book::``.
_EXAMPLE = re.compile(
    r"Example(?P<answer>[ ]answer)?(?:[,:]?[ ](?P<title>[^:]+))?(?P<end>::?)$"
)

#: What fields are called, and what they are to us.
_KINDS = {
    **dict.fromkeys(("param", "parameter", "arg", "argument", "key", "keyword"), "of"),
    **dict.fromkeys(("ivar", "cvar", "var"), "of"),
    **dict.fromkeys(("raise", "raises", "except", "exception"), "raise"),
    **dict.fromkeys(("return", "returns"), "return"),
}

#: Written by Python, not by a person.
_NOBODYS = re.compile(r"An enumeration\.|[A-Za-z_]\w*\((?s:.*)\)")

_ROLE = re.compile(r":(?:[a-z]+:)+`(?:[^`<]*<)?[~!]?([^`<>]+)>?`")
_LITERAL = re.compile(r"``(.+?)``")
_LINK = re.compile(r"`([^`<]+?)\s*<([^`>]+)>`__?")
_EPYTEXT = re.compile(r"\b([LCIB])\{([^{}]*)\}")
_EPYTEXT_MARKS = {"L": "`", "C": "`", "I": "*", "B": "**"}
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


class Example(Struct, frozen=True):
    """
    A value that somebody might send or get.

    :ivar title: What it is an example of; may be empty.
    :ivar answer: Whether it is one of an answer.
    :ivar value: What JSON it is.
    """

    title: str
    answer: bool
    value: Any


class Told(Struct):
    """
    A docstring, taken apart. Texts are CommonMark.

    :ivar summary: Its first sentence, without the full stop.
    :ivar description: The rest of the prose.
    :ivar about: What is said of each parameter or attribute, by name.
    :ivar raises: What is said of each error, by the name that is written there.
    :ivar returns: What is said of the answer.
    :ivar examples: In the order in which they are written.
    """

    summary: str = ""
    description: str = ""
    about: dict[str, str] = {}
    raises: dict[str, str] = {}
    returns: str = ""
    examples: list[Example] = []

    @property
    def prose(self) -> str:
        """Summary and description in one."""
        first = f"{self.summary}." if self.summary[-1:].isalnum() else self.summary
        return "\n\n".join(filter(None, (first, self.description)))


def read_docstring(docstring: str | None) -> Told:
    """
    Take a docstring apart. An example is a literal block that is JSON, below a line
    ``Example::`` (of what is sent) or ``Example answer::``; both may have a title:
    ``Example, an old book::``.
    """
    told = Told()
    if docstring is None or _NOBODYS.fullmatch(docstring):
        return told
    prose: list[str] = []
    for lines in _blocks(inspect.cleandoc(docstring).splitlines()):
        field = _FIELD.match(lines[0])
        kind = _KINDS.get(field["kind"]) if field else None
        if field is None:
            prose += lines
        elif kind is not None:
            about = (field["about"] or "").split()
            first = lines[0][field.end() :]
            text = _commonmark(
                [first, *inspect.cleandoc("\n".join(lines[1:])).split("\n")]
            )
            # ``:param int length:`` has its type in front.
            _note(told, kind, about[-1] if about else "", text)
    prose = list(_take_examples(prose, told))
    text = _commonmark(prose)
    first, _, told.description = text.partition("\n\n")
    if first.startswith(("```", "- ", "* ")):
        told.description = text
        return told
    sentence, *more = _SENTENCE.split(first, maxsplit=1)
    told.summary = re.sub(r"\s+", " ", sentence).removesuffix(".")
    told.description = "\n\n".join(filter(None, (*more, told.description)))
    return told


def _note(told: Told, kind: str, name: str, text: str) -> None:
    if kind == "return":
        told.returns = text
    elif kind == "raise":
        told.raises[name] = text
    else:
        told.about[name] = text


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Fields with the lines that belong to them, and lines that belong to none."""
    block: list[str] = []
    for line in lines:
        starts = _FIELD.match(line) is not None
        inside = bool(block) and _FIELD.match(block[0]) is not None
        ends = inside and bool(line.strip()) and not line.startswith(" ")
        if block and (starts or ends):
            yield block
            block = []
        block.append(line)
    if block:
        yield block


def _take_examples(lines: list[str], told: Told) -> Iterator[str]:
    """Prose without the examples, which are noted."""
    at = 0
    while at < len(lines):
        found = _EXAMPLE.match(lines[at])
        end = _end_of_block(lines, at + 1)
        if found is None or end == at + 1:
            yield lines[at]
            at += 1
            continue
        try:
            value = json.loads("\n".join(lines[at + 1 : end]))
        except ValueError:
            yield from lines[at:end]
        else:
            title = (found["title"] or "").strip()
            told.examples.append(Example(title, bool(found["answer"]), value))
        at = end


def _end_of_block(lines: list[str], start: int) -> int:
    """Where the indented lines end that start here."""
    end = start
    for at in range(start, len(lines)):
        if lines[at].startswith(" "):
            end = at + 1
        elif lines[at].strip():
            break
    return end


def _commonmark(lines: list[str]) -> str:
    """reStructuredText, as far as docstrings have it, as CommonMark."""
    out: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at].rstrip()
        at += 1
        if not line.endswith("::") or (end := _end_of_block(lines, at)) == at:
            out.append(_inline(line))
            continue
        if line.strip() != "::":
            out += [_inline(line[:-1]), ""]
        code = inspect.cleandoc("\n" + "\n".join(lines[at:end]))
        out += ["```", *code.splitlines(), "```", ""]
        at = end
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip()


def _inline(text: str) -> str:
    text = _ROLE.sub(lambda found: f"`{found[1].rpartition('.')[2]}`", text)
    text = _LINK.sub(r"[\1](\2)", text)
    text = _LITERAL.sub(r"`\1`", text)
    return _EPYTEXT.sub(_epytext, text)


def _epytext(found: re.Match[str]) -> str:
    mark = _EPYTEXT_MARKS[found[1]]
    return f"{mark}{found[2]}{mark}"
