"""
The suite. What our own code is warned of fails the test that it happens in.
"""

import re
import warnings
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def _turn_warnings_into_errors() -> None:
    """
    Let every warning about a line of ours be raised.

    Trial collects the warnings of a test and gives them out again without the
    module's name, in place of which Python then takes the file's.

    What was left open is noticed when garbage is collected, while some other
    test runs, and would fail the wrong one: that is only told.
    ``trial --force-gc`` names the right one.
    """
    directories = "platform|tests|examples|benchmarks|twisted|workshop"
    ours = rf"{re.escape(str(_ROOT))}/({directories})/|(ropewalk|tests)(\.|$)"
    warnings.filterwarnings("error", module=ours)
    warnings.filterwarnings("default", category=ResourceWarning)


_turn_warnings_into_errors()
