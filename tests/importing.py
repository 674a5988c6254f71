"""
What a program imports, for tests of who pays for what.
"""

from __future__ import annotations

import os
import subprocess
import sys


def imported(statements: str, *names: str) -> list[str]:
    """
    Which modules are there in a fresh Python that has run something.

    :param names: The modules, or packages, to look for.
    """
    program = f"{statements}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    there = set(done.stdout.rpartition("\n\n")[2].split())
    return [name for name in names if name in there]
