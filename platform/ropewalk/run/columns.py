# -*- test-case-name: tests.test_columns -*-
"""
What the command line prints: words under one another, and places as somebody
in this directory would write them.
"""

from __future__ import annotations

import os

from ropewalk.wire.columns import align

__all__ = ["align", "near"]


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
