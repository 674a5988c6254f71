# -*- test-case-name: tests.test_hub -*-
"""
How much room something takes that is said to others.
"""

from __future__ import annotations

from typing import Any

from ropewalk.errors import Fault, Invalid
from ropewalk.schema import write_json, write_msgpack

__all__ = ["check_sayable", "size_in_json"]

_UNSAYABLE = (TypeError, ValueError, OverflowError, RuntimeError)


def size_in_json(value: Any, path: str = "") -> int:
    """
    How many bytes a value takes as JSON.

    :param path: What it is called in the error.
    :raise Invalid: When JSON cannot say it.
    """
    try:
        return len(write_json(value))
    except _UNSAYABLE as error:
        raise Invalid((Fault(path, f"JSON cannot say it: {error}"),)) from error


def check_sayable(value: Any) -> None:
    """
    See that a value can be said on every protocol: what came by one may not be for
    another, such as a key that is no text, or an integer of more than 64 bits.

    :raise Invalid: When it cannot.
    """
    size_in_json(value)
    try:
        write_msgpack(value)
    except _UNSAYABLE as error:
        raise Invalid((Fault("", f"msgpack cannot say it: {error}"),)) from error
