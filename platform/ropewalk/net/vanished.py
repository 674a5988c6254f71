# -*- test-case-name: tests.test_vanished -*-
"""
Peers that are gone and have not said so: a cable was pulled, a telephone left the
network. TCP itself waits for two hours before it asks (RFC 1122, section 4.2.3.6), and
for a quarter of an hour for what it has sent to be acknowledged.
"""

from __future__ import annotations

import socket
from typing import Any, Final

__all__ = ["VANISHED", "watch_peers"]

#: Seconds after which a peer of whom nothing comes is gone. RFC 1122, section 4.2.3.5:
#: what was sent should be tried again for at least 100 seconds.
VANISHED: Final = 120.0

#: How often a peer is asked whether it is there, after half of that time.
_QUESTIONS = 3


def watch_peers(listening: Any, seconds: float) -> None:
    """
    Have those that are accepted at a socket from now on be looked after: who does not
    answer when asked, and who acknowledges nothing of what was sent, is gone after so
    many seconds. So is one that is there, and for as long takes nothing of what waits
    for it. The system does this, and tells the accepted socket.

    :param listening: A socket; of one that is not TCP's, nothing is changed.
    :param seconds: Of less than 6, the system makes a little more. 0 leaves it alone.
    """
    if not seconds or listening.family not in (socket.AF_INET, socket.AF_INET6):
        return
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", seconds / 2),
        ("TCP_KEEPINTVL", seconds / 2 / _QUESTIONS),
        ("TCP_KEEPCNT", _QUESTIONS),
        ("TCP_USER_TIMEOUT", 1000 * seconds),  # RFC 5482; in milliseconds
    ):
        option = getattr(socket, name, None)  # not every system has all of them
        if option is not None:
            listening.setsockopt(socket.IPPROTO_TCP, option, max(1, int(value)))
