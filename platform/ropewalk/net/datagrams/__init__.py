# -*- test-case-name: tests.test_datagrams -*-
"""
Datagrams over UDP, for games and devices: each peer is an object, made when it comes
and forgotten when it is silent.

UDP knows no connections, and an address on a datagram proves nothing. So there is a
bound on everything that a stranger can have more of: peers, of one address and of all;
datagrams a second; bytes in one; and of answers to somebody who has not proved to be
there, no more bytes than came.
"""

from ropewalk.net.datagrams.gathering import DatagramFigures, Datagrams
from ropewalk.net.datagrams.peers import DatagramPeer

__all__ = ["DatagramFigures", "DatagramPeer", "Datagrams"]
