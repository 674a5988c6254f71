"""
Tests for L{ropewalk.web.hosting.asgi.exchange} and
L{ropewalk.web.hosting.asgi.answering}: HTTP, as an ASGI application has it.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from unittest import skipUnless

from twisted.internet.defer import Deferred
from twisted.web import http

from ropewalk.telemetry import work
from ropewalk.web.hosting.asgi.errors import BadEvent, ClientLeft, NoAnswer
from tests.asgi_places import AsgiTestCase, answer, on_loop, turns
from tests.test_site import Browser, browse
from tests.visiting import chunked, request

START = {"type": "http.response.start", "status": 200}
BODY = "http.response.body"

visitor: ContextVar[str] = ContextVar("visitor", default="nobody")


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says what it hears, piece by piece."""
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    await send(START)
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        more = event["more_body"]
        await send({"type": BODY, "body": event["body"], "more_body": more})


class AnswerTests(AsgiTestCase):
    """
    What an application sends.
    """

    @on_loop
    async def test_an_answer(self) -> None:
        """
        Status, headers and body arrive, the headers as often as they are said.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
            await answer(send, b"short and stout", 418, headers)

        await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.send(request("/"))
        said = visit.wire.value()
        self.assertIn(b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n", said)
        got = visit.answer()
        self.assertEqual((got.status, got.body), (418, b"short and stout"))
        self.assertEqual(got.headers["content-length"], "15")
        self.assertFalse(visit.closed)
        self.assertEqual(self.place.noted(), [("GET", "/", 418)])

    @on_loop
    async def test_pieces(self) -> None:
        """
        What comes in pieces goes in pieces, and each when it comes.
        """
        go_on = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await send({"type": BODY, "body": b"one", "more_body": True})
            await go_on.wait()
            await send({"type": BODY, "body": bytearray(b"two")})

        await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.send(request("/"))
        self.assertTrue(visit.wire.value().endswith(b"3\r\none\r\n"))
        go_on.set()
        await turns()
        self.assertEqual(visit.answer().body, b"onetwo")

    @on_loop
    async def test_head(self) -> None:
        """
        The application sees C{HEAD}, and its answer has headers and no body.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            headers = [(b"x-method", scope["method"].encode())]
            await answer(send, b"body", headers=[*headers, (b"content-length", b"4")])

        await self.serve(app, lifespan="off")
        visit = self.visit()
        got = visit.ask("/", "HEAD")
        self.assertEqual((got.headers["x-method"], got.body), ("HEAD", b""))
        self.assertEqual(got.headers["content-length"], "4")
        self.assertEqual(visit.ask("/").body, b"body")

    @on_loop
    async def test_room(self) -> None:
        """
        An application waits while its client does not read.
        """
        sent: list[int] = []
        full = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await send({"type": BODY, "more_body": True})
            await full.wait()
            for number in range(3):
                await send({"type": BODY, "body": b"x", "more_body": True})
                sent.append(number)
            await send({"type": BODY})

        await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.send(request("/"))
        visit.connection.wrappedProtocol.pauseProducing()
        full.set()
        await turns()
        self.assertEqual(sent, [])
        visit.connection.wrappedProtocol.resumeProducing()
        await turns()
        self.assertEqual(sent, [0, 1, 2])

    @on_loop
    async def test_files(self) -> None:
        """
        A file is sent by its path, or a part of one that is open.
        """
        path = Path(self.mktemp())
        path.write_bytes(b"0123456789" * 100_000)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            if scope["path"] == "/path":
                await send({"type": "http.response.pathsend", "path": str(path)})
                return
            part: dict[str, Any] = {"type": "http.response.zerocopysend"}
            with TemporaryFile() as file:
                file.write(b"0123456789")
                file.seek(1)
                await send({**part, "file": file, "count": 2, "more_body": True})
                await send({**part, "file": file, "offset": 7, "more_body": True})
            await send({"type": BODY, "body": b"."})

        await self.serve(app, lifespan="off")
        visit = self.visit()
        self.assertEqual(visit.ask("/path").body, path.read_bytes())
        self.assertEqual(visit.ask("/part").body, b"12789.")

    @on_loop
    async def test_no_file(self) -> None:
        """
        A file that is not there is an error of the application.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await send({"type": "http.response.pathsend", "path": "/no/such/file"})

        await self.serve(app, lifespan="off")
        self.assertEqual(self.ask().status, 500)
        self.assertEqual(len(self.flushLoggedErrors(FileNotFoundError)), 1)

    @on_loop
    async def test_trailers(self) -> None:
        """
        Trailers come behind a body in chunks, for clients that say they read them.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            takes = "http.response.trailers" in scope["extensions"]
            await send({**START, "trailers": takes})
            await send({"type": BODY, "body": b"body"})
            if takes:
                more: dict[str, Any] = {"type": "http.response.trailers"}
                await send({**more, "headers": [(b"a", b"1")], "more_trailers": True})
                await send({**more, "headers": [(b"b", b"2")]})

        await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.send(request("/", "GET", "TE: trailers"))
        self.assertTrue(
            visit.wire.value().endswith(b"4\r\nbody\r\n0\r\na: 1\r\nb: 2\r\n\r\n")
        )
        visit.wire.clear()
        self.assertEqual(visit.ask("/").body, b"body")

    @on_loop
    async def test_early_hints(self) -> None:
        """
        Links go ahead of the answer; to a client of HTTP/1.0 they do not.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            hint = {"type": "http.response.early_hint", "links": [b"</a.css>"]}
            await send(hint)
            await answer(send, b"body")

        await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.send(request("/"))
        said = visit.wire.value()
        self.assertTrue(
            said.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n")
        )
        self.assertIn(b"\r\n\r\nHTTP/1.1 200 OK\r\n", said)
        old = self.visit()
        old.send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(old.answer().status, 200)

    @skipUnless(http.H2_ENABLED, "h2 is not installed: pip install 'ropewalk[http2]'")
    @on_loop
    async def test_http2(self) -> None:
        """
        Over HTTP/2, bodies come in pieces both ways, and trailers behind them.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert scope["http_version"] == "2"
            await send({**START, "trailers": True})
            while (event := await receive())["more_body"]:
                await send({"type": BODY, "body": event["body"], "more_body": True})
            await send({"type": BODY, "body": event["body"]})
            trailers = [(b"X-End", b"yes")]
            await send({"type": "http.response.trailers", "headers": trailers})

        await self.serve(app, lifespan="off")
        browser = browse(self, self.place)
        stream = browser.ask("/", "POST", ("te", "trailers"), end=False)
        browser.send(b"one")
        await self.settle(browser)
        self.assertEqual((stream.status, stream.body), (200, b"one"))
        self.assertFalse(stream.whole)
        browser.send(b"two", end=True)
        await self.settle(browser)
        self.assertEqual((stream.body, stream.whole), (b"onetwo", True))
        self.assertEqual(stream.headers.get("x-end"), None)
        self.assertEqual(browser.trailers, {"x-end": "yes"})

    async def settle(self, browser: Browser) -> None:
        """Let all of them have their turns."""
        for _ in range(3):
            await turns()
            browser.turn()


class BodyTests(AsgiTestCase):
    """
    What an application receives.
    """

    @on_loop
    async def test_nothing(self) -> None:
        """
        A request without a body has an empty one.
        """
        await self.serve(echo, lifespan="off")
        self.assertEqual(self.ask().body, b"")

    @on_loop
    async def test_whole(self) -> None:
        """
        A body that is here is one event.
        """
        seen: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append(await receive())
            await answer(send)

        await self.serve(app, lifespan="off")
        self.ask("/", "POST", body=b"all of it")
        await turns()
        event = {"type": "http.request", "body": b"all of it", "more_body": False}
        self.assertEqual(seen, [event])

    @on_loop
    async def test_as_it_comes(self) -> None:
        """
        A long body is received while it comes, before it ends.
        """
        await self.serve(echo, lifespan="off")
        visit = self.visit()
        visit.send(request("/", "POST", "Content-Length: 6"), b"one")
        await turns()
        self.assertIn(b"one", visit.wire.value())
        visit.send(b"two")
        await turns()
        self.assertEqual(visit.answer().body, b"onetwo")

    @on_loop
    async def test_chunks(self) -> None:
        """
        A body in chunks comes without them.
        """
        await self.serve(echo, lifespan="off")
        visit = self.visit()
        visit.send(request("/", "POST", "Transfer-Encoding: chunked"))
        visit.send(chunked(b"hemp", b"sisal"))
        await turns()
        self.assertEqual(visit.answer().body, b"hempsisal")

    @on_loop
    async def test_expected(self) -> None:
        """
        A client that waits to be asked for its body is asked when the application asks.
        """
        asks = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asks.wait()
            await echo(scope, receive, send)

        await self.serve(app, lifespan="off")
        visit = self.visit()
        head = "Content-Length: 4", "Expect: 100-continue"
        visit.send(request("/", "POST", *head))
        await turns()
        self.assertEqual(visit.wire.value(), b"")
        asks.set()
        await turns()
        self.assertIn(b"100 Continue", visit.wire.value())
        visit.send(b"body")
        await turns()
        self.assertEqual(visit.answer().body, b"body")

    @on_loop
    async def test_impatience(self) -> None:
        """
        An application that gives up waiting loses nothing of what comes then.
        """
        seen: list[bytes] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            waiting = asyncio.ensure_future(receive())
            await turns(3)
            waiting.cancel()
            await turns(3)
            seen.append((await receive())["body"])
            await answer(send)

        await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.send(request("/", "POST", "Content-Length: 4"))
        await turns(20)
        visit.send(b"body")
        await turns()
        self.assertEqual((seen, visit.answer().status), ([b"body"], 200))

    @on_loop
    async def test_too_long(self) -> None:
        """
        A body that is longer than the mount takes is refused, and the application is
        told that there is nobody to answer.
        """
        seen: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            while (event := await receive())["type"] == "http.request":
                pass
            seen.append(event["type"])

        mounting = await self.serve(app, lifespan="off", longest_body=5)
        resource: Any = mounting.resource
        self.assertEqual(resource.longest_body, 5)
        visit = self.visit()
        visit.send(request("/", "POST", "Transfer-Encoding: chunked"))
        visit.send(chunked(b"four")[:-5], chunked(b"four"))
        await turns()
        self.assertEqual(visit.answer().status, 413)
        self.assertEqual(seen, ["http.disconnect"])

    @on_loop
    async def test_behind_the_answer(self) -> None:
        """
        Behind its answer an application is told that there is nobody any more.
        """
        seen: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await answer(send)
            seen.append((await receive())["type"])

        await self.serve(app, lifespan="off")
        self.assertEqual(self.ask().status, 200)
        await turns()
        self.assertEqual(seen, ["http.disconnect"])


class LeavingTests(AsgiTestCase):
    """
    Clients that leave.
    """

    @on_loop
    async def test_told(self) -> None:
        """
        Who waits is told that the client has left, and what is sent then is an
        C{OSError} that nobody logs.
        """
        seen: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            seen.append(await receive())
            try:
                await send(START)
            except OSError as error:
                seen.append(error)
                raise RuntimeError("cannot go on") from error

        await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.send(request("/"))
        await turns()
        visit.leave()
        await turns()
        event, error = seen
        self.assertEqual(event, {"type": "http.disconnect"})
        self.assertIsInstance(error, ClientLeft)
        self.assertEqual(self.place.noted(), [("GET", "/", 499)])

    @on_loop
    async def test_in_the_middle_of_a_body(self) -> None:
        """
        A client that leaves while it sends is as one that leaves later.
        """
        seen: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            while (event := await receive())["type"] == "http.request":
                seen.append(event["body"])
            seen.append(event["type"])

        await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.send(request("/", "POST", "Content-Length: 9"), b"some")
        await turns()
        visit.leave()
        await turns()
        self.assertEqual(seen, [b"some", "http.disconnect"])

    @on_loop
    async def test_who_waits_for_room(self) -> None:
        """
        An application that waits for room goes on when the client leaves.
        """
        seen: list[Any] = []
        full = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await send({"type": BODY, "more_body": True})
            await full.wait()
            try:
                for _ in range(100):
                    await send({"type": BODY, "body": b"x", "more_body": True})
            except ClientLeft:
                seen.append("left")

        await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.send(request("/"))
        visit.connection.wrappedProtocol.pauseProducing()
        full.set()
        await turns()
        self.assertEqual(seen, [])
        visit.leave()
        await turns()
        self.assertEqual(seen, ["left"])

    @on_loop
    async def test_other_errors(self) -> None:
        """
        What else goes wrong when the client has left is logged.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await receive()
            raise ZeroDivisionError

        await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.send(request("/"))
        await turns()
        visit.leave()
        await turns()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class FaultTests(AsgiTestCase):
    """
    Applications that do not keep to ASGI.
    """

    async def fault(self, *events: dict[str, Any]) -> str:
        """What an application is told that sends this."""
        told: list[Exception] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for event in events:
                try:
                    await send(event)
                except BadEvent as error:
                    told.append(error)
                    raise

        await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.send(request("/"))
        await turns()
        (error,) = self.flushLoggedErrors(BadEvent)
        self.assertIs(error.value, told[0])
        self.said = visit.wire.value()
        self.closed = visit.closed
        return str(told[0])

    @on_loop
    async def test_body_first(self) -> None:
        """
        A body without a beginning is an error, and the client sees 500.
        """
        told = await self.fault({"type": BODY, "body": b"x"})
        self.assertIn("'http.response.body'", told)
        self.assertIn("begins with 'http.response.start'", told)
        self.assertIn(b"HTTP/1.1 500 ", self.said)
        self.assertFalse(self.closed)

    @on_loop
    async def test_twice(self) -> None:
        """
        There is one beginning.
        """
        told = await self.fault(START, START)
        self.assertIn("the answer has begun", told)

    @on_loop
    async def test_text(self) -> None:
        """
        Headers and bodies are bytes.
        """
        told = await self.fault({**START, "headers": [("a", "b")]})
        self.assertIn("expected headers in bytes, got 'a': 'b'", told)

    @on_loop
    async def test_body_of_text(self) -> None:
        """
        A body is bytes.
        """
        told = await self.fault(START, {"type": BODY, "body": "text"})
        self.assertIn("expected a body in bytes, got str", told)

    @on_loop
    async def test_splitting(self) -> None:
        """
        A header has one line.
        """
        headers = [(b"location", b"/\r\nSet-Cookie: a=1")]
        told = await self.fault({**START, "headers": headers})
        self.assertIn("is no value of a header", told)
        self.assertNotIn(b"Set-Cookie", self.said)

    @on_loop
    async def test_names(self) -> None:
        """
        Nor has its name.
        """
        headers = [(b"x-a: b\r\nSet-Cookie", b"a=1")]
        told = await self.fault({**START, "headers": headers})
        self.assertIn("sent 'http.response.start': ", told)
        self.assertIn("is no name of a header", told)
        self.assertNotIn(b"a=1", self.said)

    @on_loop
    async def test_names_of_trailers(self) -> None:
        """
        Not even behind the body.
        """
        headers = [(b"x-a: b\r\nSet-Cookie", b"a=1")]
        told = await self.fault(
            {**START, "trailers": True},
            {"type": BODY},
            {"type": "http.response.trailers", "headers": headers},
        )
        self.assertIn("is no name of a header", told)
        self.assertNotIn(b"a=1", self.said)

    @on_loop
    async def test_name_of_a_trailer(self) -> None:
        """
        So is that of a trailer.
        """
        trailers = [(b"x-a: 1\r\nx-b", b"2")]
        told = await self.fault(
            {**START, "trailers": True},
            {"type": BODY, "body": b"x"},
            {"type": "http.response.trailers", "headers": trailers},
        )
        self.assertIn("is no name of a header", told)
        self.assertNotIn(b"x-b", self.said)

    @on_loop
    async def test_status(self) -> None:
        """
        A status is a number from 200 to 999.
        """
        told = await self.fault({**START, "status": "200"})
        self.assertIn("expected a status from 200 to 999, got '200'", told)

    @on_loop
    async def test_unknown(self) -> None:
        """
        An event that nobody knows is told by its name.
        """
        told = await self.fault({"type": "http.response.smell"})
        self.assertIn("'http.response.smell'", told)

    @on_loop
    async def test_too_much(self) -> None:
        """
        A body that is longer than was said ends the connection.
        """
        headers = [(b"content-length", b"3")]
        head = {**START, "headers": headers}
        first = {"type": BODY, "body": b"ab", "more_body": True}
        told = await self.fault(head, first, {"type": BODY, "body": b"cd"})
        self.assertIn("1 bytes more than its Content-Length says", told)
        self.assertTrue(self.closed)
        self.assertTrue(self.said.endswith(b"ab"))

    @on_loop
    async def test_too_little(self) -> None:
        """
        So does one that is shorter.
        """
        headers = [(b"content-length", b"3")]
        first = {"type": BODY, "body": b"a", "more_body": True}
        told = await self.fault({**START, "headers": headers}, first, {"type": BODY})
        self.assertIn("2 bytes less than its Content-Length says", told)
        self.assertTrue(self.closed)

    @on_loop
    async def test_no_answer(self) -> None:
        """
        An application that returns without an answer has none: 500.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            pass

        await self.serve(app, lifespan="off")
        visit = self.visit()
        self.assertEqual(visit.ask().status, 500)
        self.assertFalse(visit.closed)
        (error,) = self.flushLoggedErrors(NoAnswer)
        self.assertIn("returned without having sent an answer", str(error.value))

    @on_loop
    async def test_half_an_answer(self) -> None:
        """
        After half an answer the connection ends, so that nobody takes it for whole.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await send({"type": BODY, "body": b"half", "more_body": True})

        await self.serve(app, lifespan="off")
        visit = self.visit()
        got = visit.ask()
        self.assertEqual((got.body, got.whole, visit.closed), (b"half", False, True))
        self.assertEqual(len(self.flushLoggedErrors(NoAnswer)), 1)

    @on_loop
    async def test_errors(self) -> None:
        """
        An application that raises before its answer is answered for by 500, logged
        under the request's name, and the connection goes on.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            raise ZeroDivisionError

        await self.serve(app, lifespan="off")
        visit = self.visit()
        got = visit.ask("/", "GET", "Accept: application/json")
        self.assertEqual(got.status, 500)
        self.assertIn("Our log has it under r1", got.json["detail"])
        self.assertFalse(visit.closed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    @on_loop
    async def test_errors_behind_the_answer(self) -> None:
        """
        What goes wrong behind a whole answer is logged, and nobody sees it.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await answer(send, b"body")
            raise ZeroDivisionError

        await self.serve(app, lifespan="off")
        visit = self.visit()
        self.assertEqual(visit.ask().body, b"body")
        self.assertEqual(visit.ask().body, b"body")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class ContextTests(AsgiTestCase):
    """
    In what an application runs.
    """

    @on_loop
    async def test_a_task(self) -> None:
        """
        Each request is a task with a context of its own, in the request's name.
        """
        seen: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append((asyncio.current_task(), visitor.get(), work.get().request))
            visitor.set("somebody")
            await answer(send)

        await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.ask()
        visit.ask()
        (first, *one), (second, *two) = seen
        self.assertIsInstance(first, asyncio.Task)
        self.assertIsNot(first, second)
        self.assertEqual((one, two), (["nobody", "r1"], ["nobody", "r2"]))
        self.assertEqual(visitor.get(), "nobody")

    @on_loop
    async def test_deferreds(self) -> None:
        """
        An application, and the tasks that it makes, can wait for Deferreds.
        """
        waiting: list[Deferred[bytes]] = [Deferred(), Deferred()]

        async def second() -> bytes:
            return await waiting[1]

        async def app(scope: Any, receive: Any, send: Any) -> None:
            task = asyncio.create_task(second())
            await answer(send, await waiting[0] + await task)

        await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.send(request("/"))
        await turns()
        waiting[0].callback(b"one ")
        waiting[1].callback(b"two")
        await turns()
        self.assertEqual(visit.answer().body, b"one two")

    @on_loop
    async def test_nothing_is_left(self) -> None:
        """
        No task is left of requests that were answered, or whose clients have left.
        """
        await self.serve(echo, lifespan="off")
        before = asyncio.all_tasks()
        for _ in range(3):
            self.ask("/", "POST", body=b"x")
            visit = self.visit()
            visit.send(request("/", "POST", "Content-Length: 5"))
            visit.leave()
        await turns()
        self.assertEqual(asyncio.all_tasks(), before)

    @on_loop
    async def test_stop(self) -> None:
        """
        What still runs when the daemon stops is cancelled, and waited for.
        """
        seen: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await turns(3)
                seen.append("cleaned up")

        mounting = await self.serve(app, lifespan="off")
        visit = self.visit()
        visit.send(request("/"))
        await turns()
        await mounting.stopService()
        self.assertEqual(seen, ["cleaned up"])
        self.assertEqual(visit.answer().status, 503)
