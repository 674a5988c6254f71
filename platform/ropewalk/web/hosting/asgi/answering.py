# -*- test-case-name: tests.test_asgi_http -*-
"""
The answer that an ASGI application sends, event by event.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.http import NO_BODY_CODES

from ropewalk.web.hosting.asgi.errors import BadEvent, ClientLeft
from ropewalk.web.lines import check_header
from ropewalk.web.outflow import Outflow
from ropewalk.web.quick import said_headers

__all__ = ["Answer", "headers_of", "room_for"]

#: How far an answer is.
_NOTHING, _HEAD, _BODY, _TRAILERS, _WHOLE = range(5)

#: Bytes of a file that are read at once.
_PIECE = 256 * 1024

_BEGIN = "http.response.start"
_MORE = "http.response.body"


class Answer:
    """
    An answer to a request.

    :param app: What the application is called.
    :param over: Called when all of it is sent.
    """

    _stage = _NOTHING
    _status = 0
    _headers: list[tuple[bytes, bytes]]
    _lines: dict[bytes, bytes] | None = None
    _length: int | None = None
    _left: int | None = None
    _trailers: list[tuple[bytes, bytes]] | None = None
    _out: Outflow | None = None

    def __init__(self, request: Any, app: str, over: Callable[[], None]) -> None:
        self._request, self._app, self._over = request, app, over

    @property
    def begun(self) -> bool:
        """Whether the application has said how it begins."""
        return self._stage != _NOTHING

    @property
    def whole(self) -> bool:
        """Whether the application has sent all of it."""
        return self._stage == _WHOLE

    @property
    def gone(self) -> bool:
        """Whether the client has left, or somebody else has answered."""
        return self._out is not None and self._out.gone

    @property
    def out(self) -> Outflow:
        """
        Where it goes. There is none as long as nobody waits: who answers at once has no
        client that could leave meanwhile.
        """
        if self._out is None:
            self._out = Outflow(self._request)
        return self._out

    async def send(self, event: Mapping[str, Any]) -> None:
        """
        Take an event of the application's; wait for room if there is none.

        :raise BadEvent: For what ASGI does not allow, or not now.
        :raise ClientLeft: When nobody hears it.
        """
        kind = event.get("type")
        if self._out is not None and self._out.gone:
            raise ClientLeft
        if kind == _MORE:
            room = self._write(_MORE, _body(self._app, event), event.get("more_body"))
            if room is not None:
                await room_for(room)
        elif kind == _BEGIN:
            self._begin(event)
        elif kind == "http.response.pathsend":
            with open(event["path"], "rb") as file:
                await self._send_file(kind, file.fileno(), 0, None, more=False)
        elif kind == "http.response.zerocopysend":
            offset, count = event.get("offset"), event.get("count")
            more = bool(event.get("more_body", False))
            await self._send_file(
                kind, event["file"].fileno(), offset, count, more=more
            )
        elif kind == "http.response.early_hint":
            self._expect(kind, _NOTHING)
            self._tell_ahead(event)
        elif kind == "http.response.trailers":
            self._send_trailers(event)
        else:
            raise BadEvent(self._app, str(kind), "an answer has no such event")

    def _tell_ahead(self, event: Mapping[str, Any]) -> None:
        try:
            links = headers_of((b"Link", link) for link in event.get("links", ()))
        except ValueError as error:
            raise BadEvent(self._app, str(event["type"]), str(error)) from None
        self._request.inform(103, links)

    def _begin(self, event: Mapping[str, Any]) -> None:
        if self._stage != _NOTHING:
            self._expect(_BEGIN, _NOTHING)
        status = event.get("status")
        if not isinstance(status, int) or not 200 <= status <= 999:
            problem = f"expected a status from 200 to 999, got {status!r}"
            raise BadEvent(self._app, _BEGIN, problem)
        try:
            read = said_headers(event.get("headers") or ())
        except ValueError as error:
            raise BadEvent(self._app, _BEGIN, str(error)) from None
        self._status = status
        self._length, self._headers, self._lines = read
        if self._request.method != b"HEAD" and status not in NO_BODY_CODES:
            self._left = self._length
        if event.get("trailers"):
            self._trailers = []
        self._stage = _HEAD

    def _write(self, kind: str, data: bytes, more: object) -> Deferred[None] | None:
        if self._stage == _HEAD:
            if self._left is not None:
                self._check(kind, data, more)
            if not more and self._out is None and self._is_plain():
                self._answer(data)
                return None
            self._start()
        elif self._stage == _BODY:
            self._check(kind, data, more)
        else:
            self._expect(kind, _BODY)
        if more or self._trailers is not None:
            if not more:
                self._stage = _TRAILERS
            return self.out.write(data)
        self._end(data)
        return None

    def _answer(self, body: bytes) -> None:
        """Answer with something whole: as an ``Outflow`` does, and cheaper."""
        request, self._stage = self._request, _WHOLE
        if self._status != 200:
            request.setResponseCode(self._status)
        request.defaultContentType = None
        if self._lines is None or not request.say(self._lines):
            _say(request, self._headers)
        request.answer(body)
        self._let_go()

    def _start(self) -> None:
        """Write the head, with the next that is written."""
        headers = self._headers
        if self._length is not None:
            headers = [*headers, (b"content-length", b"%d" % self._length)]
        self.out.start(self._status, headers)
        self._stage = _BODY

    def _check(self, kind: str, data: bytes, more: object) -> None:
        """Hold the application to the length that it has said."""
        if self._left is None:
            return
        left = self._left - len(data)
        if left < 0 or (left > 0 and not more):
            said = f"{abs(left)} bytes {'more' if left < 0 else 'less'}"
            problem = f"the body has {said} than its Content-Length says"
            raise BadEvent(self._app, kind, problem)
        self._left = left

    async def _send_file(
        self, kind: str, file: int, offset: int | None, count: int | None, *, more: bool
    ) -> None:
        """Send what is in a file, as the client takes it."""
        if self._stage not in (_HEAD, _BODY):
            self._expect(kind, _BODY)
        while count is None or count > 0:
            size = _PIECE if count is None else min(count, _PIECE)
            if offset is None:
                piece = os.read(file, size)
            else:
                piece = os.pread(file, size, offset)
                offset += len(piece)
            if not piece:
                break
            if count is not None:
                count -= len(piece)
            room = self._write(kind, piece, True)
            if room is not None:
                await room_for(room)
            if self.gone:
                raise ClientLeft
        if not more:
            self._write(kind, b"", False)

    def _send_trailers(self, event: Mapping[str, Any]) -> None:
        self._expect("http.response.trailers", _TRAILERS)
        assert self._trailers is not None
        try:
            self._trailers += headers_of(event.get("headers") or ())
        except ValueError as error:
            raise BadEvent(self._app, "http.response.trailers", str(error)) from None
        if not event.get("more_trailers"):
            self._end(b"")

    def _end(self, data: bytes) -> None:
        self._stage = _WHOLE
        self.out.finish(data, self._trailers or ())
        self._let_go()

    def _let_go(self) -> None:
        over, self._over = self._over, _nothing  # which knows us
        over()

    def _is_plain(self) -> bool:
        """Whether the body is sent as it is."""
        return (
            self._trailers is None
            and self._request.method != b"HEAD"
            and self._status not in NO_BODY_CODES
        )

    def _expect(self, kind: str, stage: int) -> None:
        if self._stage != stage:
            raise BadEvent(self._app, kind, _SAID[self._stage])


_SAID = (
    f"the answer begins with {_BEGIN!r}",
    "the answer has begun, and its body comes next",
    "the body of the answer is not whole yet",
    "the body of the answer is whole, and 'http.response.trailers' comes next",
    "the answer is whole already",
)


def _nothing() -> None:
    pass


def _body(app: str, event: Mapping[str, Any]) -> bytes:
    data = event.get("body", b"")
    if type(data) is bytes:
        return data
    if not isinstance(data, bytearray | memoryview):
        problem = f"expected a body in bytes, got {type(data).__name__}"
        raise BadEvent(app, _MORE, problem)
    return bytes(data)


def _say(request: Any, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Say headers of an answer, each as often as it is there."""
    seen = set()
    for name, value in headers:
        if name in seen:
            request.responseHeaders.addRawHeader(name, value)
        else:
            seen.add(name)
            request.setHeader(name, value)


def headers_of(said: Iterable[Any]) -> list[tuple[bytes, bytes]]:
    """
    Headers, as an application has them.

    :raise ValueError: When they are no pairs, or as
        :func:`~ropewalk.web.lines.check_header`.
    """
    headers = []
    for name, value in said:
        check_header(name, value)
        headers.append((name, value))
    return headers


async def room_for(room: Deferred[Any]) -> None:
    """Wait for room, in whatever task."""
    if room.called:
        return
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[None] = loop.create_future()

    def go_on(result: Any) -> Any:
        if not waiting.done():
            waiting.set_result(None)
        return result

    room.addCallback(go_on)
    await waiting
