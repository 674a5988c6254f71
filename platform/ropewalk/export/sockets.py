# -*- test-case-name: tests.test_export -*-
"""
A WebSocket that another server has, taken to a protocol of the site's.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from ropewalk.export.exchanges import (
    LIMITS,
    BadRequest,
    GoingDown,
    above,
    address_of,
    head_of,
)
from ropewalk.export.scopes import Message, News, Receive, Send, root_of, target_of
from ropewalk.export.wires import Wire, WireDoor
from ropewalk.wire.replies import Reply, ReplyReader

__all__ = ["pass_on"]

#: The status behind which another protocol is spoken.
_SWITCHED = 101

#: Bytes of messages that may wait for the server before no more are taken.
_HIGH, _LOW = 64 * 1024, 16 * 1024

#: What a close frame that has no code stands for, and a connection that ends without
#: one (RFC 6455, section 7.4.1). Neither is ever sent.
_NO_CODE, _NO_CLOSE = 1005, 1006

#: What is sent in their place: a normal end, and an unexpected condition.
_SENT = {_NO_CODE: 1000, _NO_CLOSE: 1011}

_DENIAL = "websocket.http.response"


async def pass_on(door: WireDoor, scope: Message, receive: Receive, send: Send) -> None:
    """Take a WebSocket to the site, until either side closes it."""
    await receive()  # that it wants to be connected
    news = News()
    near = _Near(news.tell, scope)
    try:
        begun = near.begin(door)
    except BadRequest as error:
        await _deny(error.status, b"", (), scope, send)
        return
    if not begun:
        await _deny(GoingDown.status, b"", (), scope, send)
        return
    while near.answer is None and not near.over:
        await news.next()
    if near.answer is None or near.answer.code != _SWITCHED:
        while not near.over:
            await news.next()
        await near.deny(send)
        return
    await _accept(near.answer, send)
    pump = asyncio.ensure_future(_pump(near, receive, news))
    pump.add_done_callback(partial(_pumped, near, news))
    try:
        await _carry(near, send, news)
    except OSError:
        pass  # as ASGI servers say that the client has left
    finally:
        pump.cancel()
        near.leave(_NO_CLOSE, "")


async def _accept(answer: Reply, send: Send) -> None:
    headers, subprotocol = [], None
    for name, value in above(answer, b""):
        if name == b"sec-websocket-protocol":
            subprotocol = value.decode("latin-1")
        elif not name.startswith(b"sec-websocket-"):
            headers.append((name, value))
    accept = {"type": "websocket.accept", "subprotocol": subprotocol}
    await send({**accept, "headers": headers})


async def _carry(near: _Near, send: Send, news: News) -> None:
    """Send what the site says, then that it has closed."""
    while True:
        message = near.take()
        if message is not None:
            key = "text" if isinstance(message, str) else "bytes"
            await send({"type": "websocket.send", key: message})
        elif near.over:
            break
        else:
            await news.next()
    if not near.has_left:
        code = _SENT.get(near.code, near.code)
        await send({"type": "websocket.close", "code": code, "reason": near.reason})


async def _pump(near: _Near, receive: Receive, news: News) -> None:
    """Take to the site what the client says, as fast as it is heard."""
    while not near.over:
        while not near.thirsty:
            await news.next()
        message = await receive()
        if message["type"] == "websocket.disconnect":
            near.leave(message.get("code", _NO_CODE), message.get("reason") or "")
            news.tell()
            return
        text = message.get("text")
        near.say(message.get("bytes") or b"" if text is None else text)


def _pumped(near: _Near, news: News, pump: asyncio.Future[None]) -> None:
    """The client has left, or the server cannot say what it does."""
    if not pump.cancelled() and pump.exception() is not None:
        near.leave(_NO_CLOSE, "")
        news.tell()


async def _deny(
    code: int, body: bytes, headers: Any, scope: Message, send: Send
) -> None:
    """Turn somebody away, with the site's words if the server can pass them on."""
    if _DENIAL not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 4000 + code, "reason": ""})
        return
    start = {"type": f"{_DENIAL}.start", "status": code, "headers": list(headers)}
    await send(start)
    await send({"type": f"{_DENIAL}.body", "body": body})


class _Near:
    """
    The client's end of a WebSocket in memory.

    :ivar answer: What the site has said to the handshake.
    :ivar over: Whether the connection has ended, or the answer that denies it.
    :ivar thirsty: Whether the site hears more.
    :ivar code: With which the site has closed it,
    :ivar reason: and why.
    :ivar has_left: Whether the client has closed it.
    """

    def __init__(self, told: Callable[[], object], scope: Message) -> None:
        self.answer: Reply | None = None
        self.over = self.has_left = False
        self.thirsty = True
        self.code, self.reason = _NO_CLOSE, ""
        self._told, self._scope = told, scope
        self._messages: deque[str | bytes] = deque()
        self._size = 0
        self._reader = ReplyReader(LIMITS)
        self._reader.expect(b"GET", upgrades=True)
        self._body: list[bytes] = []
        self._wire: Wire | None = None
        self._handshake = b""
        self._client = _Client(self)

    def begin(self, door: WireDoor) -> bool:
        """
        Ask the site.

        :return: whether anybody is there to be asked.
        """
        scope = self._scope
        host, peer = address_of(scope.get("server")), address_of(scope.get("client"))
        secure = scope.get("scheme") == "wss"
        self._wire = door.connect(self, host, peer, secure)
        if self._wire is not None:
            self._client.factory = _Factory(scope, door.reactor)
            self._client.makeConnection(_Lead(self._wire, door))
        return self._wire is not None

    def take(self) -> str | bytes | None:
        """The next message; ``None`` if there is none yet."""
        if not self._messages:
            return None
        message = self._messages.popleft()
        self._size -= len(message)
        if self._size <= _LOW and self._wire is not None:
            self._wire.hold(False)
        return message

    def say(self, message: str | bytes) -> None:
        """Say something to the site."""
        is_binary = isinstance(message, bytes)
        data = message if isinstance(message, bytes) else message.encode()
        self._client.sendMessage(data, isBinary=is_binary)

    def leave(self, code: int, reason: str) -> None:
        """The client has closed it."""
        wire, self._wire = self._wire, None
        if wire is None:
            return
        self.has_left = True
        wire.hold(False)
        if not self.over and code not in (_NO_CODE, _NO_CLOSE):
            self._client.sendCloseFrame(code, reason.encode()[:123] or None)
        elif not self.over and code == _NO_CODE:
            self._client.sendCloseFrame()
        else:
            wire.hang_up()
        self.over = True

    async def deny(self, send: Send) -> None:
        """Tell the client what the site has answered in place of a WebSocket."""
        answer = self.answer or Reply(500, b"", 1, [])
        headers = above(answer, root_of(self._scope))
        await _deny(answer.code, b"".join(self._body), headers, self._scope, send)

    # What the wire calls.

    def hear(self, data: bytes) -> None:
        if self._has_switched():
            self._client.dataReceived(data)
            return
        self._handshake += data
        if self.over:
            return
        heard = self._reader.read(data)
        self.answer = self.answer or heard.head
        self._body += heard.pieces
        if self._has_switched():
            self._client.dataReceived(self._handshake)
        else:
            self.over = heard.done
        self._told()

    def wait(self, hold: bool) -> None:
        self.thirsty = not hold
        self._told()

    def ended(self) -> None:
        self._client.connectionLost(Failure(ConnectionDone()))
        self.over = True
        self._told()

    def _has_switched(self) -> bool:
        return self.answer is not None and self.answer.code == _SWITCHED

    # What the client's protocol calls.

    def head(self, key: bytes) -> bytes:
        """The request for the handshake."""
        scope = self._scope
        headers = [
            (name, value)
            for name, value in scope["headers"]
            if not name.lower().startswith(b"sec-websocket-")
        ]
        headers += [(b"sec-websocket-version", b"13"), (b"sec-websocket-key", key)]
        offered = ", ".join(scope.get("subprotocols") or ()).encode("latin-1")
        if offered:
            headers.append((b"sec-websocket-protocol", offered))
        head = head_of(b"GET", target_of(scope), headers, None, False)
        upgrade = b"connection: upgrade\r\nupgrade: websocket\r\n\r\n"
        return head.removesuffix(b"\r\n") + upgrade

    def heard(self, message: str | bytes) -> None:
        """The site has said something."""
        self._messages.append(message)
        self._size += len(message)
        if self._size > _HIGH and self._wire is not None:
            self._wire.hold(True)
        self._told()

    def closed(self, was_clean: bool, code: int | None, reason: str | None) -> None:
        """The site has closed it."""
        no_code = _NO_CODE if was_clean else _NO_CLOSE
        self.code, self.reason = code or no_code, reason or ""
        self.over = True
        self._told()


class _Lead:
    """
    What the client's protocol writes to. The site hears it in a later turn: it may just
    be writing itself.
    """

    disconnecting = False

    def __init__(self, wire: Wire, door: WireDoor) -> None:
        self._wire, self._door = wire, door

    def write(self, data: bytes) -> None:
        self._door.later(self._wire.feed, data)

    def loseConnection(self) -> None:
        self._wire.hang_up()

    abortConnection = loseConnection

    def getPeer(self) -> Any:
        return self._wire.getHost()

    def getHost(self) -> Any:
        return self._wire.getPeer()


class _Factory(WebSocketClientFactory):
    """
    Has Autobahn mind no times and no sizes: those are the site's and the server's.
    """

    noisy = False

    def __init__(self, scope: Message, reactor: Any) -> None:
        protocols = list(scope.get("subprotocols") or ())
        super().__init__("ws://localhost/", protocols=protocols, reactor=reactor)
        self.setProtocolOptions(
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            serverConnectionDropTimeout=0,
            failByDrop=False,
        )


class _Client(WebSocketClientProtocol):
    """
    Speaks WebSocket to the site.
    """

    transport: Any

    def __init__(self, near: _Near) -> None:
        super().__init__()
        self._near = near

    def startHandshake(self) -> None:
        self.websocket_key = base64.b64encode(os.urandom(16))
        self.sendData(self._near.head(self.websocket_key))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._near.heard(payload if isBinary else payload.decode())

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._near.closed(wasClean, self.remoteCloseCode, self.remoteCloseReason)
