# -*- test-case-name: tests.test_sockets -*-
"""
What peers may do, as an operator sets it. It is read by every daemon, so nothing
is imported here that only some of them need.
"""

from __future__ import annotations

from typing import Annotated

from ropewalk.schema import Meta, Shape

__all__ = ["CallSettings", "SocketLimits"]


class SocketLimits(Shape):
    """
    What a WebSocket peer may do.

    :ivar message: The longest message, in bytes, after decompression.
    :ivar unsent: Bytes that may wait for a peer that does not read.
    :ivar handshake: Seconds a peer has for its opening handshake.
    :ivar ping: Seconds between two pings; a peer of whom nothing is heard for as
        long after one is dropped. 0 sends none.
    :ivar close: Seconds a peer has to answer a close frame, and to read what is
        still on its way then.
    :ivar deflate: Whether messages are compressed where the peer offers to (RFC
        7692). It costs 70 KiB a connection, and lets whoever can put text of
        his own beside a secret guess at that by the length of a message.
    """

    message: Annotated[int, Meta(ge=1)] = 64 * 1024
    unsent: Annotated[int, Meta(ge=1)] = 1024 * 1024
    handshake: Annotated[float, Meta(gt=0)] = 10.0
    ping: Annotated[float, Meta(ge=0)] = 30.0
    close: Annotated[float, Meta(gt=0)] = 3.0
    deflate: bool = False


class CallSettings(Shape):
    """
    The table ``[operations]``: how operations are offered on connections.

    :ivar lines: Where to listen for JSON-RPC in lines, an endpoint string:
        ``"tcp:7070:interface=127.0.0.1"``; empty for nowhere.
    :ivar frames: Where to listen for the same in msgpack, each message behind its
        length in 4 bytes.
    :ivar amp: Where to listen for those who speak AMP (``twisted.protocols.amp``).
    :ivar text: Where to listen for people, who type.
    :ivar datagrams: Where to take JSON-RPC, in JSON or msgpack, a message in each
        datagram: ``"udp:7071:interface=127.0.0.1"``.
    :ivar log: Whether each call is logged.
    :ivar running: How many calls of one connection may run at once. The next wait.
    :ivar connections: How many connections one client address may have at a time in
        lines, frames, AMP and text, in each; 0 for any number.
    :ivar peers: How many peers there may be in datagrams. One client address may have a
        sixteenth of them.
    :ivar channels: How many channels and patterns one connection may hear.
    :ivar batch: How many requests there may be in a batch. (In a datagram there is
        one.)
    :ivar longest: The longest message, in bytes. (Of a WebSocket, ``sockets.message``
        of the site says that; of a datagram, 1200.)
    """

    lines: str = ""
    frames: str = ""
    amp: str = ""
    text: str = ""
    datagrams: str = ""
    log: bool = True
    running: Annotated[int, Meta(ge=1, le=10_000)] = 32
    connections: Annotated[int, Meta(ge=0)] = 1000
    peers: Annotated[int, Meta(ge=1)] = 1024
    channels: Annotated[int, Meta(ge=0, le=10_000)] = 100
    batch: Annotated[int, Meta(ge=1, le=10_000)] = 50
    longest: Annotated[int, Meta(ge=1)] = 64 * 1024

    def listen(self) -> dict[str, str]:
        """Where to listen for what, by the names of the settings."""
        there = {
            "lines": self.lines,
            "frames": self.frames,
            "amp": self.amp,
            "text": self.text,
            "datagrams": self.datagrams,
        }
        return {name: where for name, where in there.items() if where}
