# -*- test-case-name: tests.test_hosting -*-
"""
Applications of other frameworks on a site of ours: WSGI and ASGI applications, servers
on the daemon's own event loop, other processes, and other servers.
"""

from ropewalk.web.hosting.hosted import Hosted, Mounting, Place

__all__ = ["Hosted", "Mounting", "Place"]
