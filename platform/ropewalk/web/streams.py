# -*- test-case-name: tests.test_site -*-
"""
What Twisted's HTTP/2 does not do by itself: end a stream or a connection so that
the client knows why.

These are functions of Twisted's ``H2Connection`` and ``H2Stream``, which have no
names in public for what is needed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure

__all__ = [
    "cut_stream",
    "drain_streams",
    "end_upload",
    "end_with",
    "give_back",
    "hold_back",
    "inform_stream",
]


def cut_stream(stream: Any) -> None:
    """
    End a stream in the middle of its answer, as an error of ours (RFC 9113,
    section 7).
    """
    from h2.errors import ErrorCodes

    connection, number = stream._conn, stream.streamID
    connection.conn.reset_stream(number, ErrorCodes.INTERNAL_ERROR)
    connection._tryToWriteControlData()
    stream.connectionLost(Failure(ConnectionAborted()))
    connection._requestDone(number)


def end_upload(stream: Any) -> None:
    """
    When a stream has been answered, tell the client to send no more of the
    request (RFC 9113, section 8.1).
    """
    from h2.errors import ErrorCodes
    from h2.exceptions import ProtocolError

    connection, number = stream._conn, stream.streamID

    def stop(result: Any) -> Any:
        with suppress(ProtocolError):  # it has all been sent
            connection.conn.reset_stream(number, ErrorCodes.NO_ERROR)
            connection._tryToWriteControlData()
        return result

    connection._streamCleanupCallbacks[number].addCallback(stop)


def end_with(stream: Any, trailers: Sequence[tuple[bytes, bytes]]) -> None:
    """
    Send trailers (RFC 9113, section 8.1) when the answer of a stream has been sent, in
    place of the empty frame at its end.
    """
    connection = stream._conn.conn
    ends = connection.__dict__.setdefault("ends", {})
    ends[stream.streamID] = [(name.lower(), value) for name, value in trailers]
    if "end_stream" in connection.__dict__:
        return
    end_stream = connection.end_stream

    def end(number: int) -> None:
        said = ends.pop(number, None)
        if said is None:
            end_stream(number)
        else:
            connection.send_headers(number, said, end_stream=True)

    connection.end_stream = end


def give_back(stream: Any) -> None:
    """
    Let what a stream that has ended had sent, and nobody has read, not count against
    the other streams of its connection (RFC 9113, section 6.9.1).
    """
    waiting = stream._inboundDataBuffer
    unread = sum(size for _, size in waiting if size)
    waiting.clear()
    if unread:
        stream._conn.openStreamWindow(stream.streamID, unread)


def hold_back(stream: Any) -> None:
    """
    Have a stream whose window is used up wait until there is more of it (RFC 9113,
    section 5.2). It would be asked again and again for what it cannot send.
    """
    connection, number = stream._conn, stream.streamID
    waiting, stop = _waiting(connection), stream.flowControlBlocked

    def wait() -> None:
        stop()
        queue = connection._outboundStreamQueues[number]
        # The end of a stream needs no window.
        if queue and isinstance(queue[0], bytes) and not _has_window(stream):
            connection.priority.block(number)
            waiting[number] = stream

    stream.flowControlBlocked = wait


def _waiting(connection: Any) -> dict[int, Any]:
    """
    The streams of a connection that wait, by their numbers. Whenever something has come
    from the client, those go on that can.
    """
    known: dict[int, Any] | None = connection.__dict__.get("waiting")
    if known is not None:
        return known
    waiting: dict[int, Any] = {}
    connection.waiting, write = waiting, connection._tryToWriteControlData

    def write_and_go_on() -> Any:
        active = write()
        for number, stream in tuple(waiting.items()):
            # One that goes on may have us called again.
            if connection.streams.get(number) is not stream:
                waiting.pop(number, None)
            elif _has_window(stream) and waiting.pop(number, None) is not None:
                _go_on(connection, number)
        return active

    connection._tryToWriteControlData = write_and_go_on
    return waiting


def _has_window(stream: Any) -> bool:
    return bool(stream._conn.conn.local_flow_control_window(stream.streamID) > 0)


def _go_on(connection: Any, number: int) -> None:
    """Send again what a stream has, unless that has gone meanwhile."""
    if not connection._outboundStreamQueues.get(number):
        return
    connection.priority.unblock(number)
    asleep, connection._sendingDeferred = connection._sendingDeferred, None
    if asleep is not None:
        asleep.callback(number)


def inform_stream(
    stream: Any, code: int, headers: Iterable[tuple[bytes, bytes]]
) -> None:
    """
    Send something before a stream's answer (RFC 9113, section 8.1).
    """
    connection = stream._conn
    block = [(b":status", b"%d" % code), *((name.lower(), v) for name, v in headers)]
    connection.conn.send_headers(stream.streamID, block)
    connection._tryToWriteControlData()


def drain_streams(connection: Any) -> None:
    """
    Begin no streams any more, and close when the last one has been answered (RFC
    9113, section 6.8).
    """
    from hyperframe.frame import GoAwayFrame

    # The state machine would let nothing be sent after a GOAWAY of its own.
    last = connection.conn.highest_inbound_stream_id
    connection.transport.write(GoAwayFrame(0, last_stream_id=last).serialize())
    _close_when_idle(connection)


def _close_when_idle(connection: Any) -> None:
    if not connection.streams:
        connection.transport.loseConnection()
        return

    def again(number: int) -> int:
        _close_when_idle(connection)
        return number

    ended = next(iter(connection._streamCleanupCallbacks.values()))
    ended.addCallback(again)
