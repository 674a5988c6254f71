# -*- test-case-name: tests.test_columns -*-
"""
Words under one another, for people who read lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

__all__ = ["align"]

#: A column that is wider is not waited for: one long value would push all the
#: others off the screen.
_WIDEST = 44


def align(
    rows: Iterable[Sequence[str]], indent: int = 0, widest: int = _WIDEST
) -> Iterator[str]:
    """
    Write rows as lines whose columns stand under one another.

    :param indent: Blanks before each line.
    :param widest: No column is made wider than this; what is longer sticks out.
    """
    cells = [list(row) for row in rows]
    count = max(map(len, cells), default=0)
    widths = [
        max(len(row[column]) for row in cells if column < len(row))
        for column in range(count)
    ]
    for row in cells:
        padded = [
            word.ljust(min(width, widest))
            for word, width in zip(row, widths, strict=False)
        ]
        yield (" " * indent + "  ".join(padded)).rstrip()
