"""
Services that misbehave as their settings tell them, for tests/test_daemon.py.
"""

from ropewalk.plugin import ServicePlugin

trouble = ServicePlugin("trouble", "trouble")
ground = ServicePlugin("ground", "ground")
missing = ServicePlugin("missing", "there_is_no_such_module")
