# -*- test-case-name: tests.test_settings -*-
"""
Which line of a TOML text each key is on; ``tomllib`` does not tell.

It is run on text that ``tomllib`` has read, and believes that it is correct.
"""

from __future__ import annotations

import re
import tomllib

from msgspec import Struct

from ropewalk.schema.words import Step

__all__ = ["Lines", "find_lines"]

Steps = tuple[Step, ...]

_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\r\n]*")


class Lines(Struct):
    """
    Where things are in a TOML text.

    :ivar lines: The line, from 1, of each table, key and item of a list.
    :ivar headers: The places that have a ``[table]`` line of their own.
    """

    lines: dict[Steps, int] = {}
    headers: set[Steps] = set()


def find_lines(text: str) -> Lines:
    """
    Find the line of everything in a TOML text.

    A table that is only mentioned (``[a.b]``, ``a.b = 1``) is where it is first
    mentioned; one with a header is where that is.

    :param text: What ``tomllib`` could read.
    """
    return _Scanner(text).scan()


class _Scanner:
    __slots__ = ("_at", "_counts", "_found", "_line", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at, self._line = 0, 1
        self._found = Lines()
        # How many tables each [[list]] has by now.
        self._counts: dict[Steps, int] = {}

    def scan(self) -> Lines:
        table: Steps = ()
        self._pass(_BLANK)
        while self._at < len(self._text):
            if self._next("["):
                table = self._header()
            else:
                self._pair(table)
            self._pass(_BLANK)
        return self._found

    def _next(self, start: str) -> bool:
        return self._text.startswith(start, self._at)

    def _pass(self, pattern: re.Pattern[str]) -> str:
        """
        Go past what a pattern matches, and return it.
        """
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"not TOML at line {self._line}")
        self._at = match.end()
        self._line += match[0].count("\n")
        return match[0]

    def _header(self) -> Steps:
        listed = self._next("[[")
        self._at += 2 if listed else 1
        line = self._line
        *parents, name = self._names()
        self._at += 2 if listed else 1
        steps = self._enter((), parents, line)
        steps = (*steps, name)
        if listed:
            self._found.lines.setdefault(steps, line)
            index = self._counts.get(steps, 0)
            self._counts[steps] = index + 1
            steps = (*steps, index)
        self._found.lines[steps] = line
        self._found.headers.add(steps)
        return steps

    def _enter(self, steps: Steps, names: list[str], line: int) -> Steps:
        """
        Go down by names; through a list of tables, into the newest of them.
        """
        for name in names:
            steps = (*steps, name)
            self._found.lines.setdefault(steps, line)
            if steps in self._counts:
                steps = (*steps, self._counts[steps] - 1)
        return steps

    def _pair(self, table: Steps) -> None:
        line = self._line
        *parents, name = self._names()
        self._at += 1  # the "="
        self._pass(_SPACE)
        steps = (*self._enter(table, parents, line), name)
        self._found.lines[steps] = line
        self._value(steps)

    def _names(self) -> list[str]:
        names = []
        while True:
            self._pass(_SPACE)
            if self._next('"') or self._next("'"):
                names.append(_unquote(self._pass(_STRING)))
            else:
                names.append(self._pass(_BARE))
            self._pass(_SPACE)
            if not self._next("."):
                return names
            self._at += 1

    def _value(self, steps: Steps) -> None:
        if self._next("["):
            self._list(steps)
        elif self._next("{"):
            self._inline_table(steps)
        elif self._next('"') or self._next("'"):
            self._pass(_STRING)
        else:
            self._pass(_SCALAR)

    def _list(self, steps: Steps) -> None:
        self._at += 1
        self._pass(_BLANK)
        index = 0
        while not self._next("]"):
            self._found.lines[*steps, index] = self._line
            self._value((*steps, index))
            self._pass_comma()
            index += 1
        self._at += 1

    def _inline_table(self, steps: Steps) -> None:
        self._at += 1
        self._pass(_BLANK)
        while not self._next("}"):
            self._pair(steps)
            self._pass_comma()
        self._at += 1

    def _pass_comma(self) -> None:
        self._pass(_BLANK)
        if self._next(","):
            self._at += 1
            self._pass(_BLANK)


def _unquote(text: str) -> str:
    if text.startswith("'"):
        return text[1:-1]
    return str(tomllib.loads(f"name = {text}")["name"])
