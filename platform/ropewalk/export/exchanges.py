# -*- test-case-name: tests.test_exchanges -*-
"""
One request on its way through a site, and its answer on the way back.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from ropewalk.errors import RopewalkError
from ropewalk.export.wires import Wire, WireDoor
from ropewalk.web.outflow import HOP_BY_HOP
from ropewalk.wire.http1 import HeadLimits
from ropewalk.wire.replies import NoReply, Reply, ReplyReader

__all__ = [
    "BadRequest",
    "Exchange",
    "GoingDown",
    "above",
    "address_of",
    "beneath",
    "head_of",
]

#: Bytes of an answer that may wait for the server before no more are made, and of how
#: few more are: as :mod:`ropewalk.web.intake` has it for requests.
_HIGH, _LOW = 64 * 1024, 16 * 1024

#: What would begin a header of somebody else's choice (RFC 9112, section 2.2).
_BREAKS = re.compile(rb"[\r\n\0]")

#: Headers that are between the client and the server, and none of ours to hear.
_NOT_OURS = HOP_BY_HOP | {b"http2-settings", b"content-length"}

#: Headers of an answer that the server writes itself.
_THEIRS = HOP_BY_HOP | {b"server", b"date"}

#: Of an answer: more than any of ours has.
LIMITS = HeadLimits(8192, 1000, 1024 * 1024)

Pairs = Iterable[tuple[bytes, bytes]]


class BadRequest(RopewalkError):
    """
    A server has let something through that is no request.
    """

    status = 400


class GoingDown(RopewalkError):
    """
    The site has said goodbye.
    """

    status = 503

    def __str__(self) -> str:
        return "the server is going down; come back in a moment"


class Exchange:
    """
    A request and its answer.

    :param told: Called whenever there is something new to know.
    :ivar over: Whether the answer has come to its end, whole or not.
    :ivar whole: Whether it has come to a good one.
    :ivar thirsty: Whether the site takes more of the body.
    :ivar invited: Whether the site has asked for the body (``100-continue``).
    """

    def __init__(self, told: Callable[[], object], method: bytes) -> None:
        self.over = self.whole = self.invited = False
        self.thirsty = True
        self._told = told
        self._reader = ReplyReader(LIMITS)
        self._reader.expect(method)
        self._items: deque[Reply | bytes] = deque()
        self._size = 0
        self._chunked = False
        self._wire: Wire | None = None

    # What the server's side calls.

    def begin(
        self,
        door: WireDoor,
        head: bytes,
        host: IAddress,
        peer: IAddress,
        secure: bool,
        chunked: bool = False,
    ) -> bool:
        """
        Ask.

        :param chunked: Whether the body comes in chunks.
        :return: whether anybody is there who could answer.
        """
        self._chunked = chunked
        self._wire = door.connect(self, host, peer, secure)
        if self._wire is None:
            return False
        self._wire.feed(head)
        return True

    def feed(self, data: bytes) -> None:
        """Send a piece of the body."""
        if self._wire is not None and data and not self.over:
            self._wire.feed(
                b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
            )

    def end_body(self) -> None:
        """All of the body has been sent."""
        if self._wire is not None and self._chunked and not self.over:
            self._wire.feed(b"0\r\n\r\n")

    def take(self) -> Reply | bytes | None:
        """The next of the answer, a head or a piece; ``None`` if there is none yet."""
        if not self._items:
            return None
        item = self._items.popleft()
        if isinstance(item, bytes):
            self._size -= len(item)
            if self._size <= _LOW and self._wire is not None:
                self._wire.hold(False)
        return item

    def leave(self) -> None:
        """The client has left."""
        wire, self._wire = self._wire, None
        if wire is not None and not self.whole:
            wire.hang_up()
        self.over = True

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to take."""
        return not self._items

    # What the wire calls.

    def hear(self, data: bytes) -> None:
        if self.over:
            return
        heard = self._reader.read(data)
        self.invited = self.invited or any(each.code == 100 for each in heard.interim)
        if heard.head is not None:
            self._items.append(heard.head)
        self._items.extend(heard.pieces)
        self._size += sum(map(len, heard.pieces))
        if self._size > _HIGH and self._wire is not None:
            self._wire.hold(True)
        if heard.done:
            self._finish(True)
        self._told()

    def wait(self, hold: bool) -> None:
        self.thirsty = not hold
        self._told()

    def ended(self) -> None:
        if self.over:
            return
        try:
            self._finish(self._reader.close().done)
        except NoReply:
            self._finish(False)
        self._told()

    def _finish(self, whole: bool) -> None:
        self.over, self.whole = True, whole
        if whole and self._wire is not None:
            self._wire.retire()


def head_of(
    method: bytes, target: bytes, headers: Pairs, length: bytes | None, chunked: bool
) -> bytes:
    """
    The head of a request as HTTP/1.1 has it.

    :param target: Path and query, as they were asked for.
    :param length: Of the body, if it is known.
    :raise BadRequest: When these are none that could be written.
    """
    lines = [b"%b %b HTTP/1.1" % (method, target)]
    for name, value in headers:
        if name.lower() not in _NOT_OURS:
            lines.append(b"%b: %b" % (name, value))
    if chunked:
        lines.append(b"transfer-encoding: chunked")
    elif length is not None:
        lines.append(b"content-length: %b" % length)
    for line in lines:
        if _BREAKS.search(line):
            raise BadRequest("a line of the request has a line's end in it")
    return b"\r\n".join((*lines, b"", b""))


def beneath(path: bytes, root: bytes) -> bytes:
    """
    A path as a site has it that is found below another path.

    :param root: That path, without the last slash; nothing is taken off where it is
        not there.
    """
    if root and (path == root or path.startswith(root + b"/")):
        path = path[len(root) :]
    return path if path.startswith((b"/", b"*")) else b"/" + path


def above(reply: Reply, root: bytes) -> list[tuple[bytes, bytes]]:
    """
    The headers of an answer, by their names in lower case, for a client that sees the
    site below a path: where it is sent to somewhere on the site, that begins there.
    """
    pairs = [(name.lower(), value) for name, value in reply.pairs]
    return [
        (name, root + value if _is_path(name, value) else value)
        for name, value in pairs
        if name not in _THEIRS
    ]


def _is_path(name: bytes, value: bytes) -> bool:
    is_place = name in (b"location", b"content-location")
    return is_place and value.startswith(b"/") and not value.startswith(b"//")


def address_of(known: Any) -> Any:
    """
    A Twisted address.

    :param known: Host and port; ``None`` for a UNIX socket.
    """
    if known is None or known[1] is None:
        return UNIXAddress(None)
    host, port = str(known[0]), int(known[1])
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)
