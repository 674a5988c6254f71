# -*- test-case-name: tests.test_workshop -*-
"""
What several runs of the suite say together, in one line.

    python workshop/tally.py 3.11.log 3.12.log

prints ``N passed, N failed, N skipped`` from the last words of trial in each log. A
log without such words, or with not one test that passed, is a failure by itself.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

#: Trial's words, and ours. A test that fails although it must and a test that is
#: known to fail and does are neither good news nor bad; one that is known to fail
#: and does not is marked wrongly.
_MEANINGS = {
    "successes": "passed",
    "failures": "failed",
    "errors": "failed",
    "unexpectedSuccesses": "failed",
    "expectedFailures": "skipped",
    "skips": "skipped",
}

_LAST_WORDS = re.compile(r"^(?:PASSED|FAILED)(?: \((.*)\))?$", re.MULTILINE)


class NoCount(Exception):
    """
    A log does not say how many tests passed, so that nobody knows.
    """


def tally(log: str) -> Counter[str]:
    """
    Count what one run of trial says of itself.

    :raise NoCount: When it says nothing, says something else, or when nothing
        passed.
    """
    endings = _LAST_WORDS.findall(log)
    if not endings:
        raise NoCount("trial did not get to its summary")
    counts: Counter[str] = Counter()
    for entry in filter(None, endings[-1].split(", ")):
        word, _, number = entry.partition("=")
        if word not in _MEANINGS or not number.isdigit():
            raise NoCount(f"trial's summary has an entry we do not know: {entry!r}")
        counts[_MEANINGS[word]] += int(number)
    if not counts["passed"]:
        raise NoCount("not one test passed")
    return counts


def main(paths: Sequence[str]) -> int:
    """
    Print the counts of all the logs.

    :return: The exit status: 0 when every log has counts and nothing failed.
    """
    total: Counter[str] = Counter()
    good = bool(paths)
    for path in paths:
        try:
            total += tally(Path(path).read_text("utf-8", "replace"))
        except (NoCount, OSError) as error:
            print(f"{path}: {error}")
            good = False
    words = ("passed", "failed", "skipped")
    print(", ".join(f"{total[word]} {word}" for word in words))
    return 0 if good and not total["failed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
