"""
Tests for L{ropewalk.web.engine}, L{ropewalk.web.requests} and L{ropewalk.web.limits};
what is a request and what is none is in L{tests.test_strictness}.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextvars import ContextVar
from io import BytesIO
from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import http, server
from twisted.web.http_headers import Headers
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface.verify import verifyObject

from ropewalk.interfaces import IDrainable
from ropewalk.web.around import Middleware
from ropewalk.web.engine import Channel
from ropewalk.web.limits import HttpLimits
from ropewalk.web.requests import Request
from ropewalk.web.routes import Routes
from tests.visiting import Place, Visit, Wire, chunked, parse, request


class Handlers:
    """
    An app to visit, which notes its requests.
    """

    routes = Routes()

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.waiting: list[Deferred[Any]] = []
        self.doing: Callable[[], object] = lambda: None

    @routes.route("/")
    def plain(self, request: Any) -> bytes:
        self.seen.append(request)
        request.setHeader(b"content-type", b"text/plain")
        return b"Hello, world!"

    @routes.route("/late")
    def late(self, request: Any) -> Deferred[Any]:
        self.seen.append(request)
        self.waiting.append(Deferred())
        return self.waiting[-1]

    @routes.route("/do")
    def do(self, request: Any) -> bytes:
        doing, self.doing = self.doing, lambda: None
        doing()
        return b"done"

    @routes.post("/echo")
    def echo(self, request: Any) -> bytes:
        self.seen.append(request)
        return bytes(request.content.read())

    @routes.get("/big")
    def big(self, request: Any) -> bytes:
        return b"x" * 1_000_000


class EngineTestCase(SynchronousTestCase):
    """
    A site with the app at C{/}.
    """

    def setUp(self) -> None:
        self.serve()

    def serve(self, **limits: Any) -> None:
        self.place = Place.of(limits=HttpLimits(**limits))
        self.handlers = Handlers()
        self.place.mount("/", self.handlers.routes)
        self.visit = self.place.visit()
        self.wire: Any = self.visit.wire

    def writes(self, visit: Visit) -> list[bytes]:
        """What is written from now on, write by write."""
        written: list[bytes] = []
        wire: Any = visit.wire
        wire.write = written.append
        return written


class ApartTests(EngineTestCase):
    """
    Requests that say the same are not the same.
    """

    def test_headers(self) -> None:
        """
        What one does to its headers is nothing to the next, of whomever it is.
        """
        said = request("/late", "GET", "X-Tag: one", "X-Tag: two")
        for _ in range(3):
            self.place.visit().send(said)
            asked = self.handlers.seen[-1]
            self.assertEqual(asked.asked_header(b"x-tag"), [b"one", b"two"])
            asked.asked_header(b"x-tag").append(b"three")
            asked.header_pairs().clear()
            values = asked.requestHeaders.getRawHeaders(b"x-tag")
            self.assertEqual(values, [b"one", b"two"])
            values.append(b"three")
            asked.requestHeaders.addRawHeader(b"x-tag", b"four")

    def test_a_header_twice(self) -> None:
        """
        So it is where one asks before the other has changed anything.
        """
        said = request("/late", "GET", "X-Tag: one")
        for _ in range(2):
            self.place.visit().send(said)
        one, other = self.handlers.seen
        self.assertEqual(one.header_pairs(), other.header_pairs())
        one.asked_header(b"x-tag").clear()
        self.assertEqual(other.asked_header(b"x-tag"), [b"one"])
        self.assertEqual(one.asked_header(b"x-tag"), [b"one"])


class WritingTests(EngineTestCase):
    """
    Answers take few writes.
    """

    def test_one(self) -> None:
        """
        An answer is one write, a batch of pipelined requests too: head and body, in
        order.
        """
        written = self.writes(self.visit)
        self.visit.send(request("/"))
        self.visit.send(request("/") * 3 + request("/nobody") + request("/"))
        self.assertEqual(len(written), 2)
        statuses = [each.status for each in parse(written[1], False)]
        self.assertEqual(statuses, [200, 200, 200, 404, 200])

    def test_late(self) -> None:
        """
        So is one that had to be waited for, with what comes behind it.
        """
        self.visit.send(request("/late") + request("/") * 2)
        written = self.writes(self.visit)
        self.handlers.waiting[0].callback(b"at last")
        texts = [each.text for each in parse(b"".join(written), False)]
        self.assertEqual(texts, ["at last", "Hello, world!", "Hello, world!"])
        self.assertEqual(len(written), 2)

    def test_long_batches(self) -> None:
        """
        What is collected is bounded: it is written when it is 64 KiB.
        """
        self.visit.send(request("/"))
        size = len(self.visit.wire.value())
        written = self.writes(self.visit)
        self.visit.send(request("/") * 1000)
        self.assertEqual(sum(b.count(b"Hello") for b in written), 1000)
        for each in written:
            self.assertLessEqual(len(each), 64 * 1024 + 2 * size)

    def test_pieces(self) -> None:
        """
        What a resource writes piece by piece has its head with the first of them.
        """

        class Pieces(Resource):
            isLeaf = True

            def render_GET(self, request: Any) -> int:
                request.write(b"one ")
                request.write(b"two")
                request.finish()
                return NOT_DONE_YET

        self.place.mount("/pieces", Pieces())
        answer = self.visit.ask("/pieces")
        self.assertEqual((answer.text, answer.whole), ("one two", True))
        self.assertEqual(answer.headers["transfer-encoding"], "chunked")


class SlowClientTests(EngineTestCase):
    """
    Who does not read makes nothing wait in memory but what he is owed.
    """

    def test_long_answer(self) -> None:
        """
        A long body is handed over as the client takes it.
        """
        self.visit.send(request("/big"))
        sent = len(self.visit.wire.value())
        self.assertGreater(sent, 1_000_000)  # nobody paused it
        visit = self.place.visit()
        wire: Any = visit.wire
        write = wire.write

        def full(data: bytes) -> None:
            write(data)
            wire.producer.pauseProducing()

        wire.write = full
        visit.send(request("/big") + request("/"))
        self.assertLess(len(wire.value()), 100_000)
        for _ in range(40):
            wire.producer.resumeProducing()
        answer, after = visit.answers()
        self.assertEqual((len(answer.body), answer.whole), (1_000_000, True))
        self.assertEqual(after.text, "Hello, world!")

    def test_pipelined(self) -> None:
        """
        While answers wait, no request is begun, and no more is read.
        """
        self.wire.producer.pauseProducing()
        self.visit.send(request("/") * 2)
        self.assertEqual(self.handlers.seen, [])
        self.assertEqual(self.visit.wire.producerState, "paused")
        self.wire.producer.resumeProducing()
        self.assertEqual(len(self.visit.answers()), 2)
        self.assertEqual(self.visit.wire.producerState, "producing")

    def test_behind_a_request(self) -> None:
        """
        What comes behind a request that is being answered is read up to 64 KiB.
        """
        self.visit.send(request("/late"))
        self.visit.send(request("/") * 1000)
        self.assertEqual(self.visit.wire.producerState, "producing")
        self.visit.send(request("/") * 1000)
        self.assertEqual(self.visit.wire.producerState, "paused")
        self.handlers.waiting[0].callback(b"")
        self.assertEqual(self.visit.wire.producerState, "producing")
        self.assertEqual(len(self.visit.answers()), 2001)

    def test_stall(self) -> None:
        """
        Who takes nothing of what waits for him is cut off.
        """
        self.serve(stall=5.0)
        self.visit.send(request("/"))
        self.wire.producer.pauseProducing()
        self.place.clock.advance(3)
        self.wire.producer.resumeProducing()
        self.wire.producer.pauseProducing()
        self.place.clock.advance(4)
        self.assertFalse(self.visit.wire.aborted)
        self.place.clock.advance(1)
        self.assertTrue(self.visit.wire.aborted)

    def test_producer(self) -> None:
        """
        What makes an answer is told to wait, and to go on.
        """

        class Made(Resource):
            isLeaf = True

            def __init__(self) -> None:
                super().__init__()
                self.told: list[str] = []

            def render_GET(self, request: Any) -> int:
                request.registerProducer(self, True)
                request.write(b"begun")
                return NOT_DONE_YET

            def pauseProducing(self) -> None:
                self.told.append("pause")

            def resumeProducing(self) -> None:
                self.told.append("resume")

            def stopProducing(self) -> None:
                self.told.append("stop")

        made = Made()
        self.place.mount("/made", made)
        self.visit.send(request("/made"))
        self.wire.producer.pauseProducing()
        self.wire.producer.resumeProducing()
        self.assertEqual(made.told, ["pause", "resume"])


class LimitTests(EngineTestCase):
    """
    What an operator sets, is.
    """

    def test_requests(self) -> None:
        """
        The last request of a connection is told that it is.
        """
        self.serve(requests=3)
        self.visit.send(request("/") * 5)
        said = [each.headers.get("connection") for each in self.visit.answers()]
        self.assertEqual(said, [None, None, "close"])
        self.assertTrue(self.visit.closed)

    def test_any_number_of_requests(self) -> None:
        """
        0 is as many as they like.
        """
        self.serve(requests=0)
        self.visit.send(request("/") * 500)
        self.assertEqual(len(self.visit.answers()), 500)
        self.assertFalse(self.visit.closed)

    def test_connections(self) -> None:
        """
        An address has as many connections as it may have.
        """
        self.serve(connections=2)
        # There is one already.
        site = self.place.site
        self.assertEqual(site.most_connections(self.visit.wire.peerAddr), 2)

    def test_spool(self) -> None:
        """
        A long body is on disk, a short one in memory, whether it is said how long it
        will be or not.
        """
        self.serve(spool=1000)
        for body in b"x" * 1000, b"x" * 1001:
            sent = request("/echo", "POST", f"Content-Length: {len(body)}") + body
            pieces = request("/echo", "POST", "Transfer-Encoding: chunked")
            for bytes_ in (sent, pieces + chunked(body[:500], body[500:])):
                self.visit.send(bytes_[:-600], bytes_[-600:])
                self.assertEqual(self.visit.answer().body, body)
        kinds = []

        def look(request: Any) -> bytes:
            kinds.append(hasattr(request.content, "getvalue"))
            return b""

        app = Klein()
        app.route("/", methods=["POST"])(look)
        self.place.mount("/look", app)
        for size in 1000, 1001:
            sent = request("/look", "POST", f"Content-Length: {size}") + b"x" * size
            self.visit.send(sent[:-1], sent[-1:])
        self.assertEqual(kinds, [True, False])

    def test_own_place_for_bodies(self) -> None:
        """
        A site that has C{getContentFile}, as Twisted knows it, is asked.
        """
        asked: list[int | None] = []

        def make(length: int | None) -> Any:
            asked.append(length)
            return BytesIO()

        site: Any = self.place.site
        site.getContentFile = make
        self.visit.send(request("/echo", "POST", body=b"body"))
        self.assertEqual(self.visit.answer().body, b"body")
        self.assertEqual(len(asked), 1)

    def test_full_disk(self) -> None:
        """
        When there is no room for a body, its client hears that, and the log.
        """

        class Full(BytesIO):
            def write(self, data: Any) -> int:
                raise OSError(28, "No space left on device")

        site: Any = self.place.site
        site.getContentFile = lambda length: Full()
        self.visit.send(request("/echo", "POST", body=b"body"))
        self.assertEqual(self.visit.answer().status, 507)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)


class RequestTests(EngineTestCase):
    """
    A request is Twisted's, to whoever looks.
    """

    def seen(self, path: str = "/", *headers: str, **more: Any) -> Any:
        self.visit.send(request("/late" + path, "GET", *headers, **more))
        return self.handlers.seen[-1]

    def test_interface(self) -> None:
        """
        It is a C{twisted.web} request, with all that one has.
        """
        self.visit.send(request("/late?a=1&a=2&b=", "GET", "Cookie: c=d; e=f"))
        asked = self.handlers.seen[-1]
        self.assertIsInstance(asked, server.Request)
        verifyObject(IRequest, asked)
        self.assertEqual((asked.method, asked.path), (b"GET", b"/late"))
        self.assertEqual(asked.uri, b"/late?a=1&a=2&b=")
        self.assertEqual(asked.clientproto, b"HTTP/1.1")
        self.assertEqual(asked.args, {b"a": [b"1", b"2"], b"b": [b""]})
        self.assertEqual(asked.received_cookies, {b"c": b"d", b"e": b"f"})
        self.assertEqual(asked.getCookie(b"c"), b"d")
        self.assertEqual(asked.getHeader("host"), "example.org")
        self.assertEqual(asked.getHeader(b"X-None"), None)
        headers = Headers({b"host": [b"example.org"], b"cookie": [b"c=d; e=f"]})
        self.assertEqual(asked.requestHeaders, headers)
        self.assertEqual(asked.content.read(), b"")
        self.assertEqual(asked.client, self.visit.wire.peerAddr)
        self.assertEqual(asked.host, self.visit.wire.hostAddr)
        self.assertEqual((asked.prepath, asked.postpath), ([b"late"], []))
        self.assertEqual(asked.getClientAddress(), self.visit.wire.peerAddr)
        self.assertFalse(asked.isSecure())
        self.assertEqual(asked.getRequestHostname(), b"example.org")
        self.assertIs(asked.site, self.place.site)
        self.assertIn("method=GET uri=/late", repr(asked))
        asked.setHeader(b"X-A", b"b")
        self.assertEqual(asked.responseHeaders.getRawHeaders("x-a"), ["b"])
        self.assertTrue(asked.responseHeaders.hasHeader("server"))
        self.assertTrue(asked.responseHeaders.hasHeader("date"))

    def test_headers_given_back(self) -> None:
        """
        Headers that one request has changed are those of no other.
        """
        for _ in range(2):
            self.visit.send(request("/"))
            headers = self.handlers.seen[-1].requestHeaders
            self.assertEqual(headers.getRawHeaders(b"host"), [b"example.org"])
            headers.setRawHeaders(b"host", [b"evil.example"])
            headers.addRawHeader(b"x", b"y")

    def test_sessions(self) -> None:
        """
        It has Twisted's sessions.
        """

        class Counted(Resource):
            isLeaf = True

            def render_GET(self, request: Any) -> bytes:
                session = request.getSession()
                session.number = getattr(session, "number", 0) + 1
                return b"%d" % session.number

        self.place.mount("/counted", Counted())
        site: Any = self.place.site
        session: Any = server.Session
        site.sessionFactory = lambda *args: session(*args, Clock())
        answer = self.visit.ask("/counted")
        cookie = answer.headers["set-cookie"].partition(";")[0]
        again = self.visit.ask("/counted", "GET", f"Cookie: {cookie}")
        self.assertEqual((answer.text, again.text), ("1", "2"))

    def test_notify_finish(self) -> None:
        """
        Who wants to know when it has ended is told, and how.
        """
        ends: list[str] = []
        for number in range(2):
            self.visit.send(request("/late"))
            ended = self.handlers.seen[-1].notifyFinish()
            ended.addCallbacks(
                lambda _: ends.append("done"), lambda _: ends.append("x")
            )
            if number == 0:
                self.handlers.waiting[-1].callback(b"")
        self.visit.leave()
        self.assertEqual(ends, ["done", "x"])

    def test_addresses_afterwards(self) -> None:
        """
        What it knows it knows when it has ended, too.
        """
        self.visit.ask("/?a=1")
        asked = self.handlers.seen[-1]
        self.assertEqual(asked.client.host, "10.9.8.7")
        self.assertEqual(asked.args, {b"a": [b"1"]})
        self.assertEqual(asked.name, "r1")
        self.assertRaises(RuntimeError, asked.write, b"too late")

    def test_own_kind(self) -> None:
        """
        A site may have requests of its own kind, made in its own way.
        """

        class Own(Request):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args)
                self.own = "mine"

        class Plain(Request):
            pass

        site: Any = self.place.site
        for kind in Own, Plain:
            site.requestFactory = kind
            visit = self.place.visit()
            visit.send(request("/") + request("/echo", "POST", body=b"body"))
            answers = visit.answers()
            self.assertEqual([each.text for each in answers], ["Hello, world!", "body"])
            self.assertIs(type(self.handlers.seen[-1]), kind)
        self.assertEqual(self.handlers.seen[0].own, "mine")

    def test_trailers(self) -> None:
        """
        What came behind a body is there.
        """
        self.visit.send(
            request("/echo", "POST", "Transfer-Encoding: chunked"),
            b"1\r\nx\r\n0\r\nX-Checksum: 17\r\n\r\n",
        )
        self.assertEqual(self.visit.answer().text, "x")
        self.assertEqual(
            list(self.handlers.seen[-1].trailers), [(b"X-Checksum", b"17")]
        )

    def test_contexts(self) -> None:
        """
        What a handler puts into a context variable is nothing to the next request.
        """
        variable: ContextVar[int] = ContextVar("number", default=0)
        app = Klein()

        @app.route("/")
        def count(request: Any) -> str:
            variable.set(variable.get() + 1)
            return str(variable.get())

        self.place.mount("/count", app)
        self.visit.send(request("/count") * 3)
        self.assertEqual([each.text for each in self.visit.answers()], ["1"] * 3)

    def test_nothing_is_kept(self) -> None:
        """
        A request that has ended, and a connection, are gone without being collected.
        """
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        self.place.site.observe = None
        self.visit.send(request("/") * 3, request("/big"), request("/?a=1"))
        self.handlers.seen.clear()
        self.visit.leave()
        site = self.place.site
        alive = [
            each
            for each in gc.get_objects()
            if isinstance(each, Request) and each.site is site
        ]
        self.assertEqual(alive, [])


class ReentryTests(EngineTestCase):
    """
    A handler may let something in on the connection that it answers.
    """

    def answers(self, sent: bytes, let_in: bytes) -> list[str]:
        """
        What is answered to something, and to what comes while the first of it is.
        """
        self.visit.answers()
        self.handlers.doing = lambda: self.visit.send(let_in)
        self.visit.send(sent)
        return [each.text for each in self.visit.answers()]

    def test_it_is_looked_at(self) -> None:
        """
        It does not wait for what comes next.
        """
        hello, do = request("/"), request("/do")
        both = ["done", "Hello, world!"]
        for _ in range(2):  # the first of a connection is Python's
            self.assertEqual(self.answers(do, hello), both)
            self.assertEqual(self.answers(do + hello[:20], hello[20:]), both)
            self.assertEqual(self.answers(do + hello, hello), [*both, both[1]])

    def test_bodies(self) -> None:
        """
        It may be the rest of a body.
        """
        item = request("/echo", "POST", body=b"some body")
        for at in range(len(item)):
            texts = self.answers(request("/do") + item[:at], item[at:])
            self.assertEqual(texts, ["done", "some body"], at)

    def test_halves(self) -> None:
        """
        What is not whole waits for the rest of it.
        """
        hello = request("/")
        self.assertEqual(self.answers(request("/do"), hello[:20]), ["done"])
        self.visit.send(hello[20:])
        self.assertEqual(self.visit.answer().text, "Hello, world!")

    def test_much(self) -> None:
        """
        Who lets in more than may wait makes the client wait only until it is answered.
        """
        texts = self.answers(request("/do"), request("/") * 3000)
        self.assertEqual(len(texts), 3001)
        self.assertEqual(self.wire.producerState, "producing")
        late = request("/echo", "POST", body=b"some body")
        self.answers(request("/do"), request("/") * 3000 + late[:-4])
        self.assertEqual(self.wire.producerState, "producing")
        self.visit.send(late[-4:])
        self.assertEqual(self.visit.answer().text, "some body")

    def test_while_it_is_written(self) -> None:
        """
        What comes while an answer is handed to the transport is behind what has come.
        """
        hello, write = request("/"), self.wire.write
        for _ in range(2):
            rest = [hello[20:]]

            def let_in(data: bytes, rest: list[bytes] = rest) -> None:
                write(data)
                if rest:
                    self.visit.send(rest.pop())

            self.wire.write = let_in
            self.visit.send(hello + hello[:20])
            self.wire.write = write
            self.assertEqual([each.status for each in self.visit.answers()], [200] * 2)


class LaneTests(EngineTestCase):
    """
    The usual way of a request is no other than the long one.
    """

    def test_added_later(self) -> None:
        """
        What is mounted later is found, also where somebody was found before.
        """
        self.assertEqual(self.visit.ask("/late2").status, 404)
        for _ in range(2):
            self.assertEqual(self.visit.ask("/").text, "Hello, world!")
        app = Routes()
        app.route("/", override=True)(lambda request: b"other")
        self.place.mount("/", app)
        self.assertEqual(self.visit.ask("/").text, "other")

    def test_middleware(self) -> None:
        """
        Middleware sees every request, however often there was one.
        """
        seen: list[str] = []

        def note(request: Any) -> Any:
            seen.append(request.path.decode())
            yield

        noting: Middleware = note
        self.place.site.mounts.middleware.append(noting)
        self.place.mount("/more", Klein())
        for _ in range(3):
            self.visit.ask("/")
        self.assertEqual(seen, ["/"] * 3)

    def test_signals(self) -> None:
        """
        So do those who want to be told, from when on they want to be.
        """
        told: list[str] = []
        for _ in range(2):
            self.visit.ask("/")
        signals = self.place.site.signals
        signals.connect("started", lambda request: told.append("started"))
        signals.connect("finished", lambda request: told.append("finished"))
        self.visit.ask("/")
        self.assertEqual(told, ["started", "finished"])

    def test_errors(self) -> None:
        """
        A handler that raises is answered for by the error handlers of its app, each
        time, and is called once.
        """
        app = Routes()
        calls: list[int] = []

        @app.route("/")
        def fail(request: Any) -> str:
            calls.append(1)
            raise KeyError("x")

        @app.handle_errors(KeyError)
        def handle(request: Any, failure: Any) -> str:
            request.setResponseCode(418)
            return "a teapot"

        self.place.mount("/fail", app)
        for _ in range(3):
            answer = self.visit.ask("/fail")
            self.assertEqual((answer.status, answer.text), (418, "a teapot"))
        self.assertEqual(len(calls), 3)

    def test_closing_in_between(self) -> None:
        """
        A handler that closes the connection is the last that is called.
        """
        app = Klein()
        calls: list[int] = []

        @app.route("/")
        def close(request: Any) -> str:
            calls.append(1)
            request.channel.loseConnection()
            return "bye"

        self.place.mount("/close", app)
        self.visit.send(request("/close") * 3)
        self.assertEqual(len(calls), 1)
        self.assertTrue(self.visit.closed)


class ForeignTests(SynchronousTestCase):
    """
    The channel by itself, with requests that are not ours.
    """

    def test_requests(self) -> None:
        """
        A factory of Twisted's, with requests of Twisted's, gets them as it is used to.
        """
        seen: list[Any] = []

        class Noting(http.Request):
            content: Any

            def process(self) -> None:
                seen.append((self.method, self.uri, self.args, self.content.read()))
                self.setHeader(b"content-length", b"2")
                self.write(b"ok")
                self.finish()

        factory: Any = http.HTTPFactory(reactor=Clock())
        factory.protocol = Channel
        channel: Any = factory.buildProtocol(None)
        channel.requestFactory = Noting
        wire = Wire()
        channel.makeConnection(wire)
        channel.dataReceived(request("/a?b=1") + request("/c", "PUT", body=b"body"))
        answers = parse(wire.value(), False)
        self.assertEqual([each.text for each in answers], ["ok", "ok"])
        self.assertEqual(
            seen,
            [
                (b"GET", b"/a?b=1", {b"b": [b"1"]}, b""),
                (b"PUT", b"/c", {}, b"body"),
            ],
        )

    def test_drainable(self) -> None:
        """
        It says goodbye by itself.
        """
        verifyObject(IDrainable, Channel())
