"""
Tests for L{ropewalk.web.hosting.asgi.conversation} and L{ropewalk.net.guests}:
WebSockets of ASGI applications.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any

from ropewalk.web.hosting.asgi.errors import BadEvent, ClientLeft, NoAnswer
from ropewalk.web.problems import Refused
from tests.asgi_places import AsgiTestCase, on_loop, turns
from tests.test_sockets import frame
from tests.test_upgrade import HANDSHAKE
from tests.visiting import Visit, request

TEXT, BINARY, CLOSE = 1, 2, 8

ACCEPT = {"type": "websocket.accept"}
SEND = "websocket.send"


def frames(said: bytes) -> list[tuple[int, bytes]]:
    """What a server has said in frames: what each is, and what is in it."""
    found = []
    while said:
        length, start = said[1], 2
        if length == 126:
            (length,), start = struct.unpack("!H", said[2:4]), 4
        elif length == 127:
            (length,), start = struct.unpack("!Q", said[2:10]), 10
        found.append((said[0] & 15, said[start : start + length]))
        said = said[start + length :]
    return found


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says what it hears."""
    await receive()
    await send(ACCEPT)
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": SEND})


class SocketTestCase(AsgiTestCase):
    """
    A WebSocket, and an application that has it.
    """

    async def open(self, app: Any, *headers: str, **options: Any) -> Visit:
        """Ask for a WebSocket."""
        await self.serve(app, lifespan="off", **options)
        return self.knock(*headers)

    def knock(self, *headers: str) -> Visit:
        visit = self.visit()
        lines = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
        visit.send(request("/", "GET", *lines, *headers))
        return visit

    def said(self, visit: Visit) -> list[tuple[int, bytes]]:
        """What has been said since, in frames."""
        said = visit.wire.value()
        visit.wire.clear()
        if said.startswith(b"HTTP/1.1 101 "):
            self.head, _, said = said.partition(b"\r\n\r\n")
        return frames(said)


class HandshakeTests(SocketTestCase):
    """
    What the application decides.
    """

    @on_loop
    async def test_scope(self) -> None:
        """
        It is told of a WebSocket, with its scheme and what the client offers.
        """
        scopes: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scopes.append(scope)
            await echo(scope, receive, send)

        await self.open(app, "Sec-WebSocket-Protocol: chat, rope")
        (scope,) = scopes
        self.assertEqual((scope["type"], scope["scheme"]), ("websocket", "ws"))
        self.assertEqual(scope["subprotocols"], ["chat", "rope"])
        self.assertEqual(set(scope["extensions"]), {"websocket.http.response"})
        self.assertNotIn("method", scope)

    @on_loop
    async def test_accept(self) -> None:
        """
        The handshake waits for it, and has its subprotocol and headers.
        """
        decide = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            self.assertEqual(await receive(), {"type": "websocket.connect"})
            await decide.wait()
            headers = [(b"set-cookie", b"a=1"), (b"set-cookie", "b=é".encode())]
            await send({**ACCEPT, "subprotocol": "rope", "headers": headers})
            await receive()

        visit = await self.open(app, "Sec-WebSocket-Protocol: chat, rope")
        await turns()
        self.assertEqual(visit.wire.value(), b"")
        decide.set()
        await turns()
        self.assertEqual(self.said(visit), [])
        self.assertIn(b"Sec-WebSocket-Protocol: rope\r\n", self.head)
        lines = "set-cookie: a=1\r\nset-cookie: b=é\r\n".encode()
        self.assertIn(lines, self.head)
        self.assertEqual(self.place.noted(), [("GET", "/", 101)])

    @on_loop
    async def test_close(self) -> None:
        """
        It may refuse: 403. The connection goes on.
        """
        seen: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.close", "code": 4000})
            seen.append(await receive())

        visit = await self.open(app)
        await turns()
        self.assertEqual((visit.answer().status, visit.closed), (403, False))
        gone = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        self.assertEqual(seen, [gone])

    @on_loop
    async def test_denial(self) -> None:
        """
        It may refuse with an answer of its own.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            denial = "websocket.http.response."
            headers = [(b"www-authenticate", b"Rope")]
            await send({"type": f"{denial}start", "status": 401, "headers": headers})
            await send({"type": f"{denial}body", "body": b"who", "more_body": True})
            await send({"type": f"{denial}body", "body": b" are you"})

        got = (await self.open(app)).answer()
        self.assertEqual((got.status, got.body), (401, b"who are you"))
        self.assertEqual(got.headers["www-authenticate"], "Rope")

    @on_loop
    async def test_strangers(self) -> None:
        """
        A page of another site is refused before the application is asked.
        """
        asked: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            asked.append(scope)

        visit = await self.open(app, "Origin: https://elsewhere.example")
        self.assertEqual((visit.answer().status, asked), (403, []))

    @on_loop
    async def test_not_offered(self) -> None:
        """
        A subprotocol that the client did not offer is an error of the application.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({**ACCEPT, "subprotocol": "other"})

        visit = await self.open(app, "Sec-WebSocket-Protocol: chat")
        self.assertEqual(visit.answer().status, 500)
        (error,) = self.flushLoggedErrors(BadEvent)
        self.assertIn("did not offer 'other', but ['chat']", str(error.value))

    @on_loop
    async def test_undecided(self) -> None:
        """
        An application that returns without a decision, or raises, is answered for by
        500.
        """

        async def leave(scope: Any, receive: Any, send: Any) -> None:
            await receive()

        async def fail(scope: Any, receive: Any, send: Any) -> None:
            raise ZeroDivisionError

        self.assertEqual((await self.open(leave)).answer().status, 500)
        self.assertEqual(len(self.flushLoggedErrors(NoAnswer)), 1)
        self.setUp()
        self.assertEqual((await self.open(fail)).answer().status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    @on_loop
    async def test_left_before(self) -> None:
        """
        A client that leaves before the decision is told as one that is lost.
        """
        seen: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            seen.append(await receive())
            try:
                await send(ACCEPT)
            except ClientLeft:
                seen.append("left")

        visit = await self.open(app)
        visit.leave()
        await turns()
        gone = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        self.assertEqual(seen, [gone, "left"])


class TalkingTests(SocketTestCase):
    """
    Messages, and the end.
    """

    @on_loop
    async def test_longest_message(self) -> None:
        """
        The limit for messages is its own; a longer one is refused by 1009 (RFC 6455,
        section 7.4.1).
        """
        visit = await self.open(echo, longest_message=100_000)
        await turns()
        self.said(visit)
        visit.send(frame(1, b"x" * 100_000))
        await turns()
        self.assertEqual(self.said(visit), [(1, b"x" * 100_000)])
        visit.send(frame(1, b"x" * 100_001))
        await turns()
        ((opcode, said),) = self.said(visit)
        self.assertEqual((opcode, said[:2]), (8, (1009).to_bytes(2, "big")))

    @on_loop
    async def test_messages(self) -> None:
        """
        Text comes as text and bytes as bytes, both ways.
        """
        events: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def note() -> Any:
                events.append(await receive())
                return events[-1]

            await echo(scope, note, send)

        visit = await self.open(app)
        visit.send(frame(TEXT, "é€".encode()), frame(BINARY, b"\x00\xff"))
        await turns()
        got = self.said(visit)
        self.assertEqual(got, [(TEXT, "é€".encode()), (BINARY, b"\x00\xff")])
        self.assertEqual(
            events[1:],
            [
                {"type": "websocket.receive", "text": "é€"},
                {"type": "websocket.receive", "bytes": b"\x00\xff"},
            ],
        )

    @on_loop
    async def test_codes(self) -> None:
        """
        It may close with any code that may be sent, 1011 among them, and is told so.
        """
        for code in (1000, 1001, 1011, 3000, 4999):
            self.setUp()
            seen: list[Any] = []

            async def app(
                scope: Any, receive: Any, send: Any, code: int = code, seen: Any = seen
            ) -> None:
                await send(ACCEPT)
                await receive()
                await send({"type": "websocket.close", "code": code, "reason": "é"})
                seen.append(await receive())

            visit = await self.open(app)
            await turns()
            payload = struct.pack("!H", code) + "é".encode()
            self.assertEqual(self.said(visit), [(CLOSE, payload)])
            visit.send(frame(CLOSE, payload))
            visit.leave()
            await turns()
            gone = {"type": "websocket.disconnect", "code": code, "reason": "é"}
            self.assertEqual(seen, [gone])

    @on_loop
    async def test_bad_code(self) -> None:
        """
        A code that may not be sent is an error of the application.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(ACCEPT)
            await send({"type": "websocket.close", "code": 1006})

        visit = await self.open(app)
        await turns()
        ((kind, payload),) = self.said(visit)
        self.assertEqual((kind, payload[:2]), (CLOSE, struct.pack("!H", 1011)))
        (error,) = self.flushLoggedErrors(BadEvent)
        self.assertIn("1006 is not a code", str(error.value))

    @on_loop
    async def test_the_peer_closes(self) -> None:
        """
        The code and the reason that a client closes with are told; 1005 where there is
        none, 1006 where it is just lost.
        """
        payload = struct.pack("!H", 4001) + b"enough"
        ends = {
            frame(CLOSE, payload): (4001, "enough"),
            frame(CLOSE, b""): (1005, ""),
            b"": (1006, ""),
        }
        for said, told in ends.items():
            self.setUp()
            seen: list[Any] = []

            async def app(
                scope: Any, receive: Any, send: Any, seen: Any = seen
            ) -> None:
                await receive()
                await send(ACCEPT)
                seen.append(await receive())
                seen.append(await receive())

            visit = await self.open(app)
            visit.send(said)
            visit.leave()
            await turns()
            (first, second) = seen
            self.assertEqual((first["code"], first["reason"]), told)
            self.assertEqual(first, second)

    @on_loop
    async def test_sending_to_nobody(self) -> None:
        """
        What is sent to a client that has left is an C{OSError}, which nobody logs.
        """
        seen: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send(ACCEPT)
            seen.append((await receive())["type"])
            await send({"type": SEND, "text": "hello?"})

        visit = await self.open(app)
        visit.leave()
        await turns()
        self.assertEqual(seen, ["websocket.disconnect"])

    @on_loop
    async def test_errors(self) -> None:
        """
        An application that raises closes with 1011, and the log has why; one that was
        told no says so, with 4000 and the status.
        """
        for error, code in ((ZeroDivisionError(), 1011), (Refused(404, "no"), 4404)):
            self.setUp()

            async def app(
                scope: Any, receive: Any, send: Any, error: Any = error
            ) -> None:
                await send(ACCEPT)
                raise error

            visit = await self.open(app)
            await turns()
            ((kind, payload),) = self.said(visit)
            self.assertEqual((kind, payload[:2]), (CLOSE, struct.pack("!H", code)))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    @on_loop
    async def test_returning(self) -> None:
        """
        One that returns closes with 1000.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(ACCEPT)
            await send({"type": SEND, "text": "bye"})

        visit = await self.open(app)
        await turns()
        end = (CLOSE, struct.pack("!H", 1000))
        self.assertEqual(self.said(visit), [(TEXT, b"bye"), end])

    @on_loop
    async def test_reading(self) -> None:
        """
        No more is read from a client than the application receives; all of it is
        received, in order.
        """
        go_on = asyncio.Event()
        heard: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send(ACCEPT)
            await go_on.wait()
            while (event := await receive())["type"] == "websocket.receive":
                heard.append(event["text"])

        visit = await self.open(app)
        for number in range(200):
            visit.send(frame(TEXT, b"%d" % number))
        self.assertEqual(visit.wire.producerState, "paused")
        go_on.set()
        for _ in range(40):
            await turns()
            self.place.clock.advance(0)
        self.assertEqual(heard, [str(number) for number in range(200)])
        self.assertEqual(visit.wire.producerState, "producing")

    @on_loop
    async def test_room(self) -> None:
        """
        An application waits while its client does not read.
        """
        sent: list[int] = []
        full = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(ACCEPT)
            await full.wait()
            for number in range(3):
                await send({"type": SEND, "text": "x"})
                sent.append(number)

        visit = await self.open(app)
        await turns()
        producer: Any = visit.wire.producer
        producer.pauseProducing()
        full.set()
        await turns()
        self.assertEqual(sent, [])
        producer.resumeProducing()
        await turns()
        self.assertEqual(sent, [0, 1, 2])

    @on_loop
    async def test_stop(self) -> None:
        """
        When the daemon stops, what is open is closed with 1001.
        """
        mounting = await self.serve(echo, "/x", lifespan="off")
        visit = self.visit()
        lines = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
        visit.send(request("/x", "GET", *lines))
        await turns()
        self.said(visit)
        await mounting.stopService()
        ((kind, payload),) = self.said(visit)
        self.assertEqual((kind, payload[:2]), (CLOSE, struct.pack("!H", 1001)))

    @on_loop
    async def test_wrong_events(self) -> None:
        """
        What cannot be said now, or ever, is an error that says so.
        """
        told: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for event in (
                {"type": SEND, "text": "x"},
                {"type": "websocket.smell"},
                ACCEPT,
                ACCEPT,
                {"type": SEND, "text": 7},
                {"type": "websocket.http.response.start", "status": 200},
            ):
                try:
                    await send(event)
                except BadEvent as error:
                    told.append(error.problem)

        await self.open(app)
        await turns()
        words = ("comes after", "no such event", "already", "got int", "already")
        self.assertEqual(len(told), len(words))
        for problem, word in zip(told, words, strict=True):
            self.assertIn(word, problem)
