# -*- test-case-name: tests.test_asgi_http -*-
"""
What is told ahead of an answer (RFC 8297).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["tell_ahead"]


def tell_ahead(request: Any, links: Iterable[bytes]) -> None:
    """
    Tell a client what it will need (103), before the answer to its request. One that
    speaks HTTP/1.0 is told nothing: it would take that for the answer.

    :param links: The values of ``Link`` headers.
    :raise ValueError: For what is no value of a header.
    """
    lines = [bytes(each) for each in links]
    if any(b"\r" in each or b"\n" in each for each in lines):
        raise ValueError("a link has an end of a line in it")
    if request.clientproto == b"HTTP/1.1":
        told = b"".join(b"Link: %b\r\n" % each for each in lines)
        request.channel.write(b"HTTP/1.1 103 Early Hints\r\n%b\r\n" % told)
    elif request.clientproto == b"HTTP/2":
        connection, number = request.channel._conn, request.channel.streamID
        pairs = [(b":status", b"103"), *((b"link", each) for each in lines)]
        connection.conn.send_headers(number, pairs)
        connection._tryToWriteControlData()
