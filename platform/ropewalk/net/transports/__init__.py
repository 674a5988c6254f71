"""
Transports of the event loop, for protocols of Twisted.

On a reactor that runs on uvloop, Twisted's own transports do in Python what the loop
does in C. These hand each connection to the loop and are to a protocol, a factory and
an endpoint what Twisted's are. :func:`network` finds out who does it: the loop, where
that is worth it, or the reactor.
"""

from ropewalk.net.transports.connections import Connection
from ropewalk.net.transports.network import (
    INeedsDescriptor,
    LoopNetwork,
    needs_descriptor,
    network,
)

__all__ = [
    "Connection",
    "INeedsDescriptor",
    "LoopNetwork",
    "needs_descriptor",
    "network",
]
