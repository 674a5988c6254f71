# -*- test-case-name: tests.test_asgi_calling -*-
"""
How an ASGI application is called: once with three arguments (ASGI 3), or with one, and
what comes of that with two (ASGI 2).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["called_as_three", "is_certainly_two"]


def called_as_three(app: Callable[..., Any], version: int) -> Callable[..., Any]:
    """
    An application as ASGI 3 calls it.

    :param version: Which ASGI it speaks: 2, 3, or 0 for 2 where that is certain and 3
        otherwise.
    """
    if version == 2 or (version == 0 and is_certainly_two(app)):
        return _Doubled(app)
    return app


class _Doubled:
    """An application of ASGI 2, called as one of ASGI 3 is."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope)(receive, send)


def is_certainly_two(app: Any) -> bool:
    """Whether an application takes a scope, and cannot take three arguments."""
    try:
        signature = inspect.signature(app)
    except (TypeError, ValueError):
        return False
    return _fits(signature, 1) and not _fits(signature, 3)


def _fits(signature: inspect.Signature, number: int) -> bool:
    try:
        signature.bind(*range(number))
    except TypeError:
        return False
    return True
