# -*- test-case-name: tests.test_garbage -*-
"""
Garbage, and when Python looks for it: not while the daemon is put together, which
makes next to none, and never again in what it was put together of.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["unsearched"]


@contextmanager
def unsearched() -> Iterator[None]:
    """
    Look for no garbage meanwhile. Nor is there any look, later, at what is there at
    the end (:func:`gc.freeze`): some hundred thousand objects of modules, which would
    cost a start some 20 ms, and as much again now and then while requests wait. What
    nobody holds any more is freed as ever, but for circles.

    Where nobody looks for garbage anyway, nothing changes.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
