# -*- test-case-name: tests.test_calls -*-
"""
Operations called over connections: JSON-RPC 2.0 in lines and in WebSocket messages,
and the same in msgpack, in frames; in datagrams; by AMP; and by people who type.

Requests run side by side, and each is answered when it has ended, in whatever order.
Besides operations one may call, best as a notification:

``rpc.cancel``
    with an ``id``: cancel the request of this id. It is answered all the same, with the
    error -32099.

``rpc.offer``
    with a ``name``: offer an operation, which is then asked of the peer, by requests of
    the same kind, as long as it is there. ``routing`` says who is asked if several
    offer it (``"single"``, ``"first"`` or ``"round-robin"``), ``requires`` what it
    takes to call it: all who offer it say the same. Whether the peer may is for the
    authoriser to say.

``rpc.withdraw``
    with a ``name``: offer it no longer. An offer that is not answered yet is cancelled.

A request with ``"progress": true`` is told of progressive results before the answer, in
notifications ``rpc.progress`` with its ``id`` and a ``value``. Before the daemon closes
a connection it says ``rpc.goodbye`` with a ``reason``, after all that was under way
has been answered.
"""

from ropewalk.net.calls.connections import CallFrames, CallLines
from ropewalk.net.calls.conversation import Calls

__all__ = ["CallFrames", "CallLines", "Calls"]
