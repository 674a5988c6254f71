# -*- test-case-name: tests.test_awaiting -*-
"""
What functions under ``@inlineCallbacks`` are annotated with.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

__all__ = ["Steps"]

T = TypeVar("T")

#: What a function under ``@inlineCallbacks`` is annotated to return: the type
#: of its result, inside.
Steps = Generator[Any, Any, T]
