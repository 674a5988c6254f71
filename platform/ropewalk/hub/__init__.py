# -*- test-case-name: tests.test_hub -*-
"""
Channels: what is published into one reaches everyone subscribed to it.

The hub knows nothing of sockets. A WebSocket, a TCP connection and a job can
each be an :class:`~ropewalk.interfaces.ISubscriber`, and each is tested with a
list.
"""

from ropewalk.hub.mailbox import Mailbox
from ropewalk.hub.memory import MemoryHub
from ropewalk.hub.names import ChannelPattern, check_name
from ropewalk.hub.tallies import Tallies
from ropewalk.interfaces import ANYONE, NOBODY, ChannelRule

__all__ = [
    "ANYONE",
    "NOBODY",
    "ChannelPattern",
    "ChannelRule",
    "Mailbox",
    "MemoryHub",
    "Tallies",
    "check_name",
]
