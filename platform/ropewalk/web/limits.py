# -*- test-case-name: tests.test_engine -*-
"""
How much a client may ask of us, and how long it may take: as an operator sets it.
"""

from __future__ import annotations

from typing import Annotated

from ropewalk.schema import Meta, Shape

__all__ = ["HttpLimits"]


class HttpLimits(Shape):
    """
    The table ``[web.limits]``.

    :ivar line: Bytes of the longest request line. (What RFC 9112, section 3, wants
        everybody to take is 8,000.)
    :ivar headers: How many headers a request may have.
    :ivar header_bytes: How long they may be together, in bytes.
    :ivar head_time: Seconds in which the headers of a request have to be complete,
        from its first byte; for the first, from the beginning of the connection.
    :ivar body_floor: Bytes a second that a body has to come with, on average; 0 for
        none.
    :ivar body_patience: Seconds that it may be behind.
    :ivar spool: Bytes of a body that are kept in memory; of a longer one, all is kept
        in a temporary file.
    :ivar requests: After how many requests a connection ends; 0 for never.
    :ivar connections: How many connections one client address may have at a time (of
        IPv6, one network of 64 bits); 0 for as many as there are. Trusted proxies and
        UNIX sockets are not counted.
    :ivar unsent: Bytes of answers that may wait for a client before what makes them
        is paused.
    :ivar stall: Seconds in which a client has to read what waits for it.
    """

    line: Annotated[int, Meta(ge=64)] = 8192
    headers: Annotated[int, Meta(ge=1)] = 100
    header_bytes: Annotated[int, Meta(ge=64)] = 32 * 1024
    head_time: Annotated[float, Meta(gt=0, le=86_400)] = 10.0
    body_floor: Annotated[int, Meta(ge=0)] = 256
    body_patience: Annotated[float, Meta(gt=0, le=86_400)] = 10.0
    spool: Annotated[int, Meta(ge=0)] = 64 * 1024
    requests: Annotated[int, Meta(ge=0)] = 100_000
    connections: Annotated[int, Meta(ge=0)] = 1000
    unsent: Annotated[int, Meta(ge=1)] = 256 * 1024
    stall: Annotated[float, Meta(gt=0, le=86_400)] = 30.0
