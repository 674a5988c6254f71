# -*- test-case-name: tests.test_export -*-
"""
A site as an ASGI 3 application (https://asgi.readthedocs.io/en/latest/specs/).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ropewalk.errors import RopewalkError
from ropewalk.export import guest

if TYPE_CHECKING:
    from ropewalk.export.house import House
    from ropewalk.export.wires import WireDoor
    from ropewalk.wire.replies import Reply

__all__ = ["Scopes"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: What may stand in a path as it is, besides letters and digits (RFC 3986, section
#: 3.3).
SAFE = "/-._~!$&'()*+,;=:@"


class Scopes:
    """
    A site for a server that speaks ASGI.

    :param settings: The settings file.
    :param site: The name of the site.
    :param listeners: Whether what else listens does so.
    """

    def __init__(self, settings: str, site: str, listeners: bool) -> None:
        self._settings, self._site, self._listeners = settings, site, listeners
        self._starting: asyncio.Task[House] | None = None
        self._reactor: Any = None
        self._farewell: guest.Farewell | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._live(receive, send)
        elif kind == "http":
            house = await self._house()
            await _Crossing(scope, receive, send).run(house.door)
        elif kind == "websocket":
            house = await self._house()
            from ropewalk.export.sockets import pass_on

            await pass_on(house.door, scope, receive, send)
        else:
            raise ValueError(f"ropewalk knows no scope of the type {kind!r}")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._house()
        except Exception as error:
            problem = str(error) if isinstance(error, RopewalkError) else repr(error)
            await send({"type": "lifespan.startup.failed", "message": problem})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _house(self) -> House:
        """What is started once, whoever comes first."""
        if asyncio._get_running_loop() is None:
            raise guest.ReactorTaken("the server runs no event loop of asyncio's")
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._start())
        return await asyncio.shield(self._starting)

    async def _start(self) -> House:
        loop = asyncio.get_running_loop()
        reactor = self._reactor = guest.board(loop)
        try:
            from ropewalk.export.house import House

            house = House(
                self._settings, self._site, self._listeners, True, "ASGI", reactor
            )
            await house.start().asFuture(loop)
        except BaseException:
            guest.leave(reactor)
            raise
        self._farewell = guest.Farewell(
            lambda name: loop.call_soon_threadsafe(house.goodbye, name)
        )
        self._farewell.listen()
        reactor.addSystemEventTrigger("before", "shutdown", house.stop)
        return house

    async def _stop(self) -> None:
        house = await self._house()
        if self._farewell is not None:
            self._farewell.forget()
        await house.stop().asFuture(asyncio.get_running_loop())
        guest.leave(self._reactor)


class News:
    """
    Wakes up whoever waits for something to happen.
    """

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def tell(self) -> None:
        """It has."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    def next(self) -> asyncio.Future[None]:
        """Done when it has happened again."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future


class _Crossing:
    """
    A request that is taken to the site, and the answer back.
    """

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        from ropewalk.export.exchanges import Exchange

        self._scope, self._receive, self._send = scope, receive, send
        self._news = News()
        self._exchange = Exchange(self._news.tell, scope["method"].encode("latin-1"))
        named = {name.lower(): value for name, value in scope["headers"]}
        self._length = named.get(b"content-length")
        self._chunked = self._length is None and _comes_in_pieces(scope, named)
        self._has_body = self._chunked or self._length not in (None, b"0")
        self._waits = b"expect" in named
        self._root = root_of(scope)

    async def run(self, door: WireDoor) -> None:
        """Do all of it."""
        exchange = self._exchange
        problem = self._begin(door)
        if problem is not None:
            await refuse(self._send, problem)
            return
        pump = None
        if self._has_body or not exchange.over:
            pump = asyncio.ensure_future(self._pump())
            pump.add_done_callback(self._pumped)
        try:
            await self._carry()
        except OSError:
            pass  # as ASGI servers say that the client has left
        finally:
            exchange.leave()
            if pump is not None:
                pump.cancel()

    def _begin(self, door: WireDoor) -> RopewalkError | None:
        """Ask the site; what is wrong, if it cannot be asked."""
        from ropewalk.export.exchanges import BadRequest, GoingDown, address_of, head_of

        scope, headers = self._scope, self._scope["headers"]
        method, target = scope["method"].encode("latin-1"), target_of(scope)
        try:
            head = head_of(method, target, headers, self._length, self._chunked)
        except BadRequest as error:
            return error
        host, peer = address_of(scope.get("server")), address_of(scope.get("client"))
        secure = scope.get("scheme") == "https"
        begun = self._exchange.begin(door, head, host, peer, secure, self._chunked)
        return None if begun else GoingDown()

    async def _carry(self) -> None:
        """Send the answer, as fast as it is taken."""
        exchange, ended = self._exchange, False
        while True:
            item = exchange.take()
            if item is not None:
                ended = exchange.whole and exchange.is_empty
                await self._send_one(item, ended)
            elif exchange.over:
                break
            else:
                await self._news.next()
        if exchange.whole and not ended:
            await self._send_one(b"", True)

    async def _send_one(self, item: Reply | bytes, last: bool) -> None:
        if isinstance(item, bytes):
            body = {"type": "http.response.body", "body": item, "more_body": not last}
            await self._send(body)
            return
        from ropewalk.export.exchanges import above

        headers = above(item, self._root)
        start = {"type": "http.response.start", "status": item.code, "headers": headers}
        await self._send(start)
        if last:
            await self._send_one(b"", True)

    async def _pump(self) -> None:
        """Take the body to the site, as fast as it is read; then see who leaves."""
        exchange, comes = self._exchange, self._has_body
        while True:
            while comes and self._is_held():
                await self._news.next()
            message = await self._receive()
            if message["type"] == "http.disconnect":
                exchange.leave()
                self._news.tell()
                return
            exchange.feed(message.get("body", b""))
            if comes and not message.get("more_body", False):
                comes = False
                exchange.end_body()

    def _pumped(self, pump: asyncio.Future[None]) -> None:
        """The client has left, or the server cannot say what it does."""
        if not pump.cancelled() and pump.exception() is not None:
            self._exchange.leave()
            self._news.tell()

    def _is_held(self) -> bool:
        """Whether the site does not want the body, for now or not yet."""
        exchange = self._exchange
        if exchange.over:
            return False
        return not exchange.thirsty or (self._waits and not exchange.invited)


def _comes_in_pieces(scope: Message, named: dict[bytes, bytes]) -> bool:
    """
    Whether there may be a body, of which nobody says how long it is. By HTTP/1 it says
    that it comes (RFC 9112, section 6.3); later ones need not, and to GET and HEAD a
    body means nothing (RFC 9110, section 9.3).
    """
    if scope.get("http_version", "1.1").startswith("1"):
        return b"transfer-encoding" in named
    return scope["method"] not in ("GET", "HEAD")


def root_of(scope: Message) -> bytes:
    """The path below which the server has the site; without its last slash."""
    root: str = scope.get("root_path", "")
    return quote(root.rstrip("/"), safe=SAFE).encode("ascii")


def target_of(scope: Message) -> bytes:
    """Path and query as the site has them."""
    from ropewalk.export.exchanges import beneath

    raw: bytes | None = scope.get("raw_path")
    if not raw:
        raw = quote(scope["path"], safe=SAFE).encode("ascii")
    root: str = scope.get("root_path", "").rstrip("/")
    path = raw.partition(b"?")[0]
    # Some servers put it before the path as it was set, not encoded.
    as_it_is = path.startswith(root.encode() + b"/")
    path = beneath(path, root.encode() if as_it_is else root_of(scope))
    query: bytes = scope.get("query_string", b"")
    return path + b"?" + query if query else path


async def refuse(send: Send, error: RopewalkError) -> None:
    """Answer without the site."""
    body = f"{error}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode("ascii")),
    ]
    start = {"type": "http.response.start", "status": error.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
