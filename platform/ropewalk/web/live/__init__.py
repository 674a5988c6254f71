# -*- test-case-name: tests.test_live -*-
"""
The client for pages: channels and operations in an ES module, ``ropewalk.js``.
"""

from __future__ import annotations

from importlib.resources import files

from ropewalk.web.texts import Text, Texts

__all__ = ["client_module"]


def client_module() -> Texts:
    """What serves it."""
    text = Text.of(files(__package__).joinpath("ropewalk.js").read_bytes())
    headers = {"X-Content-Type-Options": "nosniff"}
    return Texts("text/javascript; charset=utf-8", lambda request: text, headers)
