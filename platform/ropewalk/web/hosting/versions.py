# -*- test-case-name: tests.test_hosting_conflicts -*-
"""
What an application says that it needs, beside what is there.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["unmet"]

#: A line of a ``requirements.txt`` that bounds versions by numbers (PEP 440, "Version
#: specifiers"); the others are for pip.
_NEEDS = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*"
    r"((?:(?:==|<=|>=|<|>)\s*[0-9]+(?:\.[0-9]+)*\s*,?\s*)+)(?=$|;|\#)"
)
_BOUND = re.compile(r"(==|<=|>=|<|>)\s*([0-9.]+)")
_COMPARISONS = {
    "==": operator.eq,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


def unmet(directory: str) -> Iterator[str]:
    """
    What an application says that it needs, in its ``requirements.txt``, and another
    version is installed: there is one for all applications of a process.
    """
    try:
        lines = Path(directory, "requirements.txt").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        found = _NEEDS.match(line)
        if found is None:
            continue
        try:
            here = version(found[1])
        except PackageNotFoundError:
            continue  # the application will say so itself
        if not all(_meets(here, *each) for each in _BOUND.findall(found[2])):
            yield f"{found[0].strip()}, and {found[1]} {here} is installed"


def _meets(here: str, comparison: str, wanted: str) -> bool:
    """Whether a version is within a bound, as far as numbers say."""
    one, other = (tuple(map(int, each.split("."))) for each in (_numbers(here), wanted))
    length = max(len(one), len(other))
    one, other = (each + (0,) * (length - len(each)) for each in (one, other))
    compare: Callable[[Any, Any], bool] = _COMPARISONS[comparison]
    return compare(one, other)


def _numbers(text: str) -> str:
    found = re.match(r"[0-9]+(\.[0-9]+)*", text)
    return found[0] if found else "0"
