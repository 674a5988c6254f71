# -*- test-case-name: tests.test_calling -*-
"""
What is shown of an operation on the command line. (What is typed there is read by
:mod:`ropewalk.operations.words`.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ropewalk.operations.words import BadWords, kind_of, read_words, rows_of
from ropewalk.run.columns import align

__all__ = ["BadWords", "completions", "explain", "listed", "read_words"]


def listed(offered: Mapping[str, Any]) -> Iterator[str]:
    """The operations, a line each."""
    rows = [(name, each["summary"]) for name, each in offered.items()]
    yield from align(rows)


def explain(operation: Mapping[str, Any]) -> Iterator[str]:
    """What there is to know of an operation before it is called."""
    name, schema = operation["name"], operation["parameters"]
    yield f"Usage: ropewalk call {name} [--PARAMETER VALUE]..."
    for text in (operation["summary"], operation["description"]):
        if text:
            yield ""
            yield from (f"  {line}".rstrip() for line in text.splitlines())
    rows = [(f"--{name}", *told) for name, *told in rows_of(schema)]
    if rows:
        yield ""
        yield "Parameters:"
        yield from (f"  {line}" for line in align(rows))
    yield ""
    yield f"Result: {kind_of(operation['result'], operation['result'])}"
    if operation["requires"]:
        yield f"Requires: {operation['requires']}"


def completions(operation: Mapping[str, Any], begun: str) -> list[tuple[str, str]]:
    """The parameters that begin with what was typed, and what each is."""
    found = [(f"--{row[0]}", row[-1]) for row in rows_of(operation["parameters"])]
    return [(name, about) for name, about in found if name.startswith(begun)]
