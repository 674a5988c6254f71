# -*- test-case-name: tests.test_asgi -*-
"""
ASGI applications on a site of ours.
"""

from ropewalk.web.hosting.asgi.described import Asgi, asgi

__all__ = ["Asgi", "asgi"]
