# -*- test-case-name: tests.test_hub -*-
"""
How much room something takes that is said to others.
"""

from __future__ import annotations

from typing import Any

from ropewalk.errors import Fault, Invalid
from ropewalk.schema import write_json

__all__ = ["size_in_json"]


def size_in_json(value: Any, path: str = "") -> int:
    """
    How many bytes a value takes as JSON.

    :param path: What it is called in the error.
    :raise Invalid: When JSON cannot say it.
    """
    try:
        return len(write_json(value))
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise Invalid((Fault(path, f"JSON cannot say it: {error}"),)) from error
