"""
Heads, chunks and compressed bodies: wherever they are cut, the same is read; and what
is taken for a request here means the same to llhttp and to h11.

    python -m benchmarks.fuzz.heads CORPUS -max_total_time=300
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import atheris
import h11
import httptools
from attrs import Factory, define

with atheris.instrument_imports(include=["ropewalk"]):
    from ropewalk.wire.http1 import (
        Chunks,
        Head,
        HeadLimits,
        HeadReader,
        Inflation,
        NoRequest,
    )

#: Limits that an input of a few hundred bytes can meet, and the usual ones.
LIMITS = HeadLimits(line=60, headers=5, header_bytes=120), HeadLimits()


@define
class Request:
    """
    What was asked.

    :ivar body: Of one that is compressed, what it comes to; ``None`` for one that is
        not complete.
    :ivar coded: Whether it was compressed below its chunks.
    """

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes | None = None
    trailers: list[tuple[bytes, bytes]] = Factory(list)
    coded: bool = False


@define
class Reader:
    """
    Reads requests as a connection does.

    :ivar requests: What was read.
    :ivar refused: The status for what is none; 0 for a body that is none.
    :ivar waiting: What has come, and is not read yet.
    """

    limits: HeadLimits
    requests: list[Request] = Factory(list)
    refused: int | None = None
    waiting: bytes = b""
    _heads: HeadReader | None = None
    _body: _Body | None = None

    def take(self, piece: bytes) -> None:
        """Read on."""
        if self.refused is not None:
            return
        data, at = self.waiting + piece, 0
        try:
            while True:
                before = at
                at = self._step(data, at)
                if at == before:
                    break
        except NoRequest as error:
            # In a body with two faults, chunks are judged before what is in them, as
            # far as they have come.
            self.refused = error.status if self._body is None else 0
        self.waiting = data[at:] if self.refused is None else b""

    def _step(self, data: bytes, at: int) -> int:
        if self._body is not None:
            at = self._body.take(data, at)
            if self._body.done:
                request = self.requests[-1]
                request.body = b"".join(self._body.content)
                request.trailers = self._body.trailers
                self._body = None
            return at
        heads = self._heads = self._heads or HeadReader(self.limits)
        head = heads.read(data, at)
        if head is None:
            return at
        self._begin(head)
        return head.end

    def _begin(self, head: Head) -> None:
        fields = head.fields
        target = head.path + (head.query or b"")
        request = Request(
            head.method, target, fields.pairs, None if fields.length else b""
        )
        if head.authority is not None:
            request.target = b"//%b%b" % (head.authority, target)
        self.requests.append(request)
        if fields.length != 0:
            request.body, request.coded = None, bool(fields.codings)
            self._body = _Body(fields, self.limits)


class _Body:
    """A body on its way."""

    def __init__(self, fields: Any, limits: HeadLimits) -> None:
        self.content: list[bytes] = []
        self.trailers: list[tuple[bytes, bytes]] = []
        self.done = False
        self._left = fields.length
        self._chunks = Chunks(limits) if fields.length is None else None
        self._inflation = Inflation(fields.codings[0]) if fields.codings else None

    def take(self, data: bytes, at: int) -> int:
        if self._chunks is None:
            piece = data[at : at + self._left]
            self.content.append(piece)
            self._left -= len(piece)
            self.done = not self._left
            return at + len(piece)
        pieces: list[bytes] = []
        at = self._chunks.read(data, at, pieces)
        for piece in pieces:
            self.content += self._inflated(piece)
        if self._chunks.done:
            if self._inflation is not None:
                self._inflation.end()
            self.trailers, self.done = self._chunks.trailers, True
        return at

    def _inflated(self, piece: bytes) -> Iterator[bytes]:
        if self._inflation is None:
            yield piece
            return
        for made in self._inflation.pieces(piece):
            assert len(made) <= Inflation.PIECE
            yield made


def read(pieces: Iterable[bytes], limits: HeadLimits) -> Reader:
    """What comes of some bytes."""
    reader = Reader(limits)
    for piece in pieces:
        reader.take(piece)
    return reader


def cut(random: Random, said: bytes) -> Iterator[bytes]:
    """Some bytes in pieces."""
    at = 0
    while at < len(said):
        end = at + random.choice([1, 2, 3, 10, 100])
        yield said[at:end]
        at = end


def shown(reader: Reader) -> Any:
    """What came of it. Of what is refused, nothing is left to be compared."""
    left = reader.waiting if reader.refused is None else b""
    whole = [each for each in reader.requests if each.body is not None]
    return whole, len(reader.requests), reader.refused, left


class Llhttp:
    """
    What llhttp makes of it.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._url, self._body = b"", b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self._url, self._body, self._headers, self._ended = b"", b"", [], False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._ended:
            self._headers.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self._ended = True
        self._method = self._parser.get_method()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        asked = Request(self._method, self._url, self._headers, self._body)
        self.requests.append(asked)

    @classmethod
    def read(cls, said: bytes) -> list[Request]:
        """The requests that it takes for complete, up to the first that is none."""
        own = cls()
        try:
            own._parser.feed_data(said)
        except httptools.HttpParserUpgrade:
            own.requests.pop()  # it leaves the body to the other protocol
        except httptools.HttpParserError:
            pass
        return own.requests


def read_with_h11(said: bytes) -> list[Request]:
    """What h11 makes of it."""
    requests: list[Request] = []
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(said)
    asked: Request | None = None
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                headers = list(event.headers.raw_items())
                asked = Request(event.method, event.target, headers, b"")
            elif isinstance(event, h11.Data) and asked is not None:
                asked.body = (asked.body or b"") + bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and asked is not None:
                requests.append(asked)
                connection.send(h11.Response(status_code=200, headers=[]))
                connection.send(h11.EndOfMessage())
                connection.start_next_cycle()
            else:
                return requests
    except (h11.ProtocolError, h11.LocalProtocolError):
        return requests


def usual(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """A header as h11 writes it."""
    name, value = header[0].lower(), header[1]
    return name, value.lower() if name == b"transfer-encoding" else value


def is_same(ours: Request, theirs: Request) -> bool:
    """Whether two readers have understood the same."""
    target = theirs.target
    if ours.target.startswith(b"//") and b"://" in target:
        rest = target.partition(b"://")[2]
        path = b"*" if ours.method == b"OPTIONS" else b"/"
        authority = rest.partition(b"/")[0].partition(b"?")[0]
        behind = rest[len(authority) :]
        if not behind.startswith(b"/"):
            behind = (b"/" if behind else path) + behind
        target = b"//" + authority + behind
    return (
        ours.method == theirs.method
        and ours.target == target
        and [*map(usual, ours.headers)] == [*map(usual, theirs.headers)]
        and (ours.coded or ours.body == theirs.body)
    )


def check(data: bytes) -> None:
    """One input: a byte that chooses limits and cuts, and what is said."""
    if not data:
        return
    choice, said = data[0], data[1:]
    limits = LIMITS[choice % 2]
    whole = read([said], limits)
    by_byte = (said[n : n + 1] for n in range(len(said)))
    for pieces in by_byte, cut(Random(choice), said):
        other = read(pieces, limits)
        assert shown(other) == shown(whole), (shown(whole), shown(other))
    complete = [each for each in whole.requests if each.body is not None]
    if not complete:
        return
    for name, theirs in ("llhttp", Llhttp.read(said)), ("h11", read_with_h11(said)):
        for one, another in zip(complete, theirs, strict=False):
            assert is_same(one, another), (name, one, another)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
