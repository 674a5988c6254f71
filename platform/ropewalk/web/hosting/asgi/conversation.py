# -*- test-case-name: tests.test_asgi_sockets -*-
"""
One WebSocket, as an ASGI application has it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET

from ropewalk.errors import RopewalkError
from ropewalk.web.hosting.asgi.answering import Answer, headers_of, room_for
from ropewalk.web.hosting.asgi.errors import BadEvent, ClientLeft, NoAnswer, left
from ropewalk.web.hosting.hosted import Place
from ropewalk.web.problems import Refused, is_told, respond

__all__ = ["Conversation"]

#: Messages, and bytes of them, that may wait for the application before no more are
#: taken from the client.
_MESSAGES, _BYTES = 16, 64 * 1024

#: RFC 6455, section 7.4.1.
_NORMAL, _GOING_AWAY, _LOST, _INTERNAL_ERROR = 1000, 1001, 1006, 1011

_DENIAL = "websocket.http.response."


class Conversation:
    """
    A WebSocket: it hears what a :class:`ropewalk.net.guests.GuestSocket` hears.

    :param request: What asked for it. It was rendered as ``NOT_DONE_YET``.
    :param app: What the application is called.
    :param place: Where it is.
    :param longest: Bytes of the longest message that the peer may send.
    """

    _log = Logger()

    def __init__(self, request: Any, app: str, place: Place, longest: int) -> None:
        self._request, self._app, self._place = request, app, place
        self._longest = longest
        self._events: deque[dict[str, Any]] = deque([{"type": "websocket.connect"}])
        self._size = 0
        self._room: Deferred[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._socket: Any = None
        self._denial: Answer | None = None
        self._decided = self._over = self._ended = False
        self._closing: tuple[int, str] | None = None
        request.notifyFinish().addBoth(self._request_over)

    # What the application calls.

    async def receive(self) -> dict[str, Any]:
        """The next event."""
        while not self._events:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting
        event = self._events.popleft()
        if event["type"] == "websocket.receive":
            self._size -= len(event.get("bytes") or event.get("text") or "")
            self._let_come()
        elif event["type"] == "websocket.disconnect":
            self._events.append(event)  # whoever asks again is told again
            event = event.copy()
        return event

    async def send(self, event: Mapping[str, Any]) -> None:
        """
        Take an event of the application's.

        :raise BadEvent: For what ASGI does not allow, or not now.
        :raise ClientLeft: When nobody hears it.
        """
        kind = str(event.get("type"))
        if kind.startswith(_DENIAL):
            await self._deny(kind, event)
        elif self._over:
            raise ClientLeft
        elif kind == "websocket.accept":
            self._accept(event)
        elif kind == "websocket.send":
            await self._say(event)
        elif kind == "websocket.close":
            self._close(event)
        else:
            raise BadEvent(self._app, kind, "a WebSocket has no such event")

    def linger(self) -> None:
        """The application has not ended yet."""

    def ended(self) -> None:
        """The application has returned."""
        self._ended = True
        undecided = self._socket is None and not self._over
        if undecided and (self._denial is None or not self._denial.whole):
            missing = "'websocket.accept' or 'websocket.close'"
            self._request.processingFailed(Failure(NoAnswer(self._app, missing)))
        else:
            self._end(_NORMAL, "")

    def failed(self, error: BaseException) -> None:
        """The application has raised."""
        self._ended = True
        if isinstance(error, asyncio.CancelledError):
            self._end(_GOING_AWAY, "the server is going down")
        elif not self._over and self._socket is None:
            self._request.processingFailed(Failure(error))
        elif isinstance(error, RopewalkError) and is_told(error):
            self._end(4000 + error.status, str(error))
        elif not (self._over and left(error)):
            failure = Failure(error)
            self._log.failure("the WebSocket of {app} failed", failure, app=self._app)
            self._end(_INTERNAL_ERROR, "something went wrong here; it is in our log")

    def _end(self, code: int, reason: str) -> None:
        if self._socket is not None and not self._over:
            self._shut(code, reason)
        elif self._socket is None and not self._over:
            self._request.processingFailed(Failure(Refused(503, reason)))

    # What it sends.

    def _accept(self, event: Mapping[str, Any]) -> None:
        kind = "websocket.accept"
        if self._decided:
            raise BadEvent(self._app, kind, "the WebSocket was accepted already")
        subprotocol = event.get("subprotocol")
        offered = _offered(self._request)
        if subprotocol is not None and subprotocol not in offered:
            problem = f"the client did not offer {subprotocol!r}, but {offered}"
            raise BadEvent(self._app, kind, problem)
        try:
            headers = _told(event)
        except ValueError as error:
            raise BadEvent(self._app, kind, str(error)) from None
        self._decided = True
        socket = self._place.make_socket(self, subprotocol, headers, self._longest)
        body = self._place.sockets(self._request, socket)
        if body is not NOT_DONE_YET:
            self._request.answer(body)

    async def _say(self, event: Mapping[str, Any]) -> None:
        message = event.get("bytes")
        if message is None:
            message = event.get("text")
        if self._socket is None or self._closing is not None:
            problem = "it comes after 'websocket.accept', and before 'websocket.close'"
            raise BadEvent(self._app, "websocket.send", problem)
        if not isinstance(message, str | bytes):
            problem = f"expected 'bytes' or a 'text', got {type(message).__name__}"
            raise BadEvent(self._app, "websocket.send", problem)
        self._socket.say(message)
        room = self._socket.ready()
        if room is not None:
            await room_for(room)

    def _close(self, event: Mapping[str, Any]) -> None:
        code, reason = event.get("code") or _NORMAL, event.get("reason") or ""
        if not self._decided:
            self._decided = self._over = True
            self._put(self._goodbye(_LOST, ""))
            refused = Refused(403, "the application refuses this WebSocket")
            request = self._request
            request.answer(respond(request, refused, request.work.request))
        elif self._closing is None:
            try:
                self._shut(code, reason)
            except ValueError as error:
                raise BadEvent(self._app, "websocket.close", str(error)) from None

    def _shut(self, code: int, reason: str) -> None:
        if self._socket is not None:
            self._socket.shut(code, reason)
            self._closing = code, reason
            self._let_come(everything=True)

    async def _deny(self, kind: str, event: Mapping[str, Any]) -> None:
        if self._socket is not None or (self._decided and self._denial is None):
            problem = "the WebSocket was accepted or closed already"
            raise BadEvent(self._app, kind, problem)
        if self._denial is None:
            self._decided = True
            self._denial = Answer(self._request, self._app, self._denied)
        plain = {**event, "type": kind.removeprefix("websocket.")}
        await self._denial.send(plain)

    def _denied(self) -> None:
        if not self._over:
            self._over = True
            self._put(self._goodbye(_LOST, ""))

    # What its socket calls.

    def opened(self, socket: Any) -> None:
        """The handshake is answered."""
        self._socket = socket

    def heard(self, message: str | bytes) -> Deferred[None] | None:
        """A message has come."""
        kind = "text" if isinstance(message, str) else "bytes"
        self._size += len(message)
        self._put({"type": "websocket.receive", kind: message})
        if self._ended or (len(self._events) < _MESSAGES and self._size < _BYTES):
            return None
        self._room = Deferred()
        return self._room

    def left(self, code: int, reason: str) -> None:
        """The connection has ended."""
        if self._over:
            return
        self._over = True
        if self._closing is not None:
            code, reason = self._closing
        self._put(self._goodbye(code, reason))
        self._let_come(everything=True)

    def _request_over(self, _: object) -> None:
        """The request has been answered, or its client has left before that."""
        if self._socket is None:
            self.left(_LOST, "")

    def _goodbye(self, code: int, reason: str) -> dict[str, Any]:
        return {"type": "websocket.disconnect", "code": code, "reason": reason}

    def _put(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    def _let_come(self, *, everything: bool = False) -> None:
        """Take more from the client, if there is room for it."""
        room = self._room
        few = len(self._events) < _MESSAGES // 2 and self._size < _BYTES // 2
        if room is not None and (few or everything):
            self._room = None
            room.callback(None)


def _offered(request: Any) -> list[str]:
    said = request.requestHeaders.getRawHeaders(b"sec-websocket-protocol", ())
    names = [each.strip() for value in said for each in value.split(b",")]
    return [name.decode("latin-1") for name in names if name]


def _told(event: Mapping[str, Any]) -> dict[str, list[str]]:
    """The headers of an answer to a handshake, as Autobahn has them."""
    told: dict[str, list[str]] = {}
    for name, value in headers_of(event.get("headers") or ()):
        told.setdefault(name.decode("latin-1"), []).append(_text(value))
    return told


def _text(value: bytes) -> str:
    # Autobahn writes it in UTF-8.
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
