# -*- test-case-name: tests.test_segments -*-
"""
What every segment goes through on its way to a protocol and back: compiled where there
is a compiler, otherwise in Python.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING or os.environ.get("ROPEWALK_NATIVE", "1") == "0":
    from ropewalk.net.plain import Ends, Gathering, Lines, Named, Talk, Turn
else:
    try:
        from ropewalk.net._segments import Ends, Gathering, Lines, Named, Talk, Turn
    except ImportError:  # it was not compiled
        from ropewalk.net.plain import Ends, Gathering, Lines, Named, Talk, Turn

__all__ = ["Ends", "Gathering", "Lines", "Named", "Talk", "Turn"]
