# -*- test-case-name: tests.test_testing -*-
"""
Importing this installs the asyncio reactor, unless somebody chose another. It comes
before anything that imports Twisted's default one, as Klein does.
"""

from ropewalk.testing.choosing import choose

choose()
