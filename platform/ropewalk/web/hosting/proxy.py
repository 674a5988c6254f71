# -*- test-case-name: tests.test_proxying -*-
"""
Other servers, on a site of ours.
"""

from ropewalk.web.proxying.proxied import proxy

__all__ = ["proxy"]
