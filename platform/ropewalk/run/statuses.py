"""
How the daemon's process ends.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Status"]


class Status(IntEnum):
    """
    The exit status of ``twistd ropewalk``, ``ropewalk run`` and ``ropewalk
    check``.
    """

    #: Stopped as it was asked to, everything said goodbye. ``check``: no fault.
    STOPPED = 0

    #: A service did not start, or an address could not be had.
    START_FAILED = 1

    #: The settings cannot be used: a fault in the file, or a plugin in it.
    BAD_SETTINGS = 2

    #: Stopped, but something would not stop in time and was left behind, or a
    #: second signal cut the goodbyes short.
    LEFT_BEHIND = 3
