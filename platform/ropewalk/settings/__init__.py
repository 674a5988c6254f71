# -*- test-case-name: tests.test_settings -*-
"""
The settings: one TOML file, the environment over it, and where each value came
from. What they mean is not known here: each plugin has a shape for its table.
"""

from ropewalk.settings.document import Document, load, parse
from ropewalk.settings.showing import Change, Setting, differences

__all__ = ["Change", "Document", "Setting", "differences", "load", "parse"]
