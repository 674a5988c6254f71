# -*- test-case-name: tests.test_calling -*-
"""
``ropewalk call``: operations of a running daemon from the command line. What there is,
and what each takes, is asked of the daemon.
"""
