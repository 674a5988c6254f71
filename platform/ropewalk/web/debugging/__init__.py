# -*- test-case-name: tests.test_debugging -*-
"""
Errors as who develops wants to see them: a page with the source and the variables of
every frame, and a debugger. In production none of this is imported.
"""

from ropewalk.web.debugging.debugger import (
    PATH,
    Debugger,
    Development,
    NotInDevelopment,
)
from ropewalk.web.debugging.pages import ErrorPages

__all__ = ["PATH", "Debugger", "Development", "ErrorPages", "NotInDevelopment"]
