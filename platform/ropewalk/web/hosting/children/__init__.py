# -*- test-case-name: tests.test_hosting_command -*-
"""
Processes of other programs, which live no longer than the daemon.
"""
