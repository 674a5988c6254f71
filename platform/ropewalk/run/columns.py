# -*- test-case-name: tests.test_columns -*-
"""
What the command line prints: words under one another, and places as somebody
in this directory would write them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

__all__ = ["align", "near"]

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


def near(place: str, here: str | None = None) -> str:
    """
    A path (with a line behind it, or without) as it is written from a directory:
    relative, when it is below.

    :param here: The directory; the current one by default.
    """
    try:
        root = os.path.join(os.getcwd() if here is None else here, "")
    except OSError:  # it was removed while we are in it
        return place
    return place.removeprefix(root) or place
