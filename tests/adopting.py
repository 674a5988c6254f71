"""
Test cases of others that are run against what is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from unittest import SkipTest, TestCase

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

__all__ = ["cases_of", "different"]


def cases_of(module: ModuleType) -> Iterator[type[TestCase]]:
    """The test cases that are written in a module."""
    for case in vars(module).values():
        is_case = isinstance(case, type) and issubclass(case, TestCase)
        if is_case and case.__module__ == module.__name__:
            yield case


def different(
    method: Callable[[Any], Any], reason: str, *, by: type[Exception] = Exception
) -> Callable[[Any], Any]:
    """
    A test that has to fail, soon or when its Deferred does.

    :param method: What it does.
    :param reason: Why what is ours differs.
    :param by: What it fails by; anything else is an error.
    """

    def differ(self: SynchronousTestCase) -> Any:
        try:
            result = method(self)
        except by:
            return skip(self)
        if isinstance(result, Deferred):
            return result.addCallbacks(
                lambda _: passed(self), lambda failure: failed(self, failure)
            )
        return passed(self)

    def passed(self: SynchronousTestCase) -> None:
        self.fail(f"this passes, and need not be listed: {reason}")

    def failed(self: SynchronousTestCase, failure: Failure) -> None:
        failure.trap(by)
        skip(self)

    def skip(self: SynchronousTestCase) -> None:
        self.flushLoggedErrors()  # which it no longer does itself
        raise SkipTest(f"differs on purpose: {reason}") from None

    differ.__doc__ = method.__doc__
    return differ
