"""
Tests for L{ropewalk.web.site}, L{ropewalk.web.engine} and
L{ropewalk.web.streams}.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import skipUnless

from hypothesis import given
from hypothesis import strategies as st
from klein import Klein
from twisted.internet import reactor as global_reactor
from twisted.internet.address import UNIXAddress
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web import http, server
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import EncodingResourceWrapper, Resource
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory
from twisted.web.static import Data

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import ChannelFull, Invalid, RopewalkError
from ropewalk.interfaces import IDrainable, Steps
from ropewalk.run.configuration import WebSettings
from ropewalk.settings import parse as parse_settings
from ropewalk.telemetry import Work, work, working
from ropewalk.web.engine import Channel
from tests.visiting import Place, Visit, Wire, blocks, chunked, parse, request

reactor: Any = global_reactor

LIMIT = 100

ABSENT = {"title": "Not Found", "status": 404}


class Pages:
    """
    An app to visit. It notes whose work it does.
    """

    routes = Klein()

    def __init__(self) -> None:
        self.waiting: list[Deferred[Any]] = []
        self.requests: list[Any] = []
        self.works: list[Work] = []

    def wait(self) -> Deferred[Any]:
        """Something that the test fires."""
        waiting: Deferred[Any] = Deferred()
        self.waiting.append(waiting)
        return waiting

    @routes.route("/")
    def root(self, request: Any) -> str:
        self.works.append(work.get())
        return "here"

    @routes.route("/echo", methods=["POST", "PUT"])
    def echo(self, request: Any) -> bytes:
        self.works.append(work.get())
        return bytes(request.content.read())

    @routes.route("/slow")
    @inlineCallbacks
    def slow(self, request: Any) -> Steps[str]:
        self.requests.append(request)
        self.works.append(work.get())
        try:
            text: str = yield self.wait()
        finally:
            self.works.append(work.get())
        return text

    @routes.route("/half/<way>")
    @inlineCallbacks
    def half(self, request: Any, way: str) -> Steps[str]:
        if way == "length":
            request.setHeader(b"content-length", b"100")
        request.write(b"the first half")
        yield self.wait()
        raise RuntimeError("the second half is missing")

    @routes.route("/fail")
    @inlineCallbacks
    def fail(self, request: Any) -> Steps[str]:
        request.setHeader(b"content-length", b"5")
        request.setHeader(b"content-encoding", b"gzip")
        request.setETag(b'"1"')
        request.setLastModified(5)
        request.addCookie(b"a", b"b")
        raise (yield self.wait())


class SiteTestCase(SynchronousTestCase):
    """
    A site with an app at C{/app}.
    """

    def setUp(self) -> None:
        self.place = Place.of(longest_body=LIMIT, idle=60.0)
        self.pages = Pages()
        self.place.mount("/app", self.pages.routes)
        self.events: list[tuple[LogEvent, Work]] = []
        observer: Any = self.observe
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def observe(self, event: LogEvent) -> None:
        self.events.append((event, work.get()))

    def logged(self) -> list[str]:
        """What was logged since, and in whose name."""
        events, self.events = self.events, []
        return [
            " ".join(
                filter(
                    None,
                    (
                        event["log_level"].name,
                        now.plugin,
                        now.connection,
                        now.request,
                        formatEvent(event),
                    ),
                )
            )
            for event, now in events
        ]

    def assertClosed(self, visit: Visit) -> None:
        """
        The connection is closed, and nothing is left that would happen later.
        """
        self.assertTrue(visit.closed)
        visit.leave()
        self.assertEqual(self.place.clock.getDelayedCalls(), [])


class AnswerTests(SiteTestCase):
    """
    Requests are answered by what is mounted, and have names.
    """

    def test_requests(self) -> None:
        """
        One connection has any number of requests, one after another, wherever TCP
        cuts them; each has a name of its own on the whole site.
        """
        one, two = self.place.visit(), self.place.visit()
        self.assertEqual(one.ask("/app").text, "here")
        self.assertEqual(two.ask("/app").text, "here")
        one.send(*(bytes([each]) for each in request("/app/echo", "PUT", body=b"ab")))
        self.assertEqual(one.answer().text, "ab")
        self.assertEqual([each.name for each in self.place.seen], ["r1", "r2", "r3"])
        self.assertFalse(one.closed)

    def test_nothing(self) -> None:
        """
        Where nothing is, the answer says so in the client's language.
        """
        visit = self.place.visit()
        answer = visit.ask("/nobody")
        detail = "there is nothing here; what there is: /"
        self.assertEqual(answer.json, {**ABSENT, "detail": detail})
        answer = visit.ask("/nobody", "GET", "Accept: text/html")
        self.assertIn("<h1>404 Not Found</h1>", answer.text)
        self.assertEqual(visit.ask("/").status, 404)

    def test_home(self) -> None:
        """
        What was given as home is at C{/}, unless something is mounted there, and
        only there.
        """
        place = Place.of(Data(b"home", "text/plain"))
        visit = place.visit()
        self.assertEqual(visit.ask("/").text, "home")
        self.assertEqual(visit.ask("/?x").text, "home")
        self.assertEqual(visit.ask("/x").status, 404)
        place.mount("/", Data(b"mounted", "text/plain"))
        self.assertEqual(visit.ask("/").status, 404)  # has no child ""

    def test_head(self) -> None:
        """
        HEAD is answered as GET is, with no body, by everything.
        """

        class OnlyGet(Resource):
            def render(self, request: Any) -> bytes:
                if request.method != b"GET":
                    raise UnsupportedMethod([b"GET"])
                request.write(b"some ")
                return b"data"

        self.place.mount("/data", Data(b"data", "text/plain"))
        self.place.mount("/get", OnlyGet())
        visit = self.place.visit()
        for path, length in {
            "/data": "4",
            "/get": "4",
            "/app": "4",
            "/nobody": str(len(visit.ask("/nobody").body)),
        }.items():
            visit.send(request(path, "HEAD") + request("/app"))
            answer, after = visit.answers("HEAD", "GET")
            self.assertEqual(answer.headers.get("content-length"), length, path)
            self.assertEqual(after.text, "here")
        self.assertEqual(self.logged(), [])

    def test_methods(self) -> None:
        """
        A method that a resource does not have is not allowed, whether it is
        known or not, and the answer says what is.
        """

        class Box(Resource):
            isLeaf = True

            def render_POST(self, request: Any) -> bytes:
                return b"posted"

        self.place.mount("/box", Box())
        self.place.mount("/data", Data(b"data", "text/plain"))
        visit = self.place.visit()
        for method in "GET", "HEAD", "TRACE", "BREW", "get":
            answer = visit.ask("/box", method)
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "POST"))
        answer = visit.ask("/data", "DELETE")
        self.assertEqual(answer.status, 405)
        self.assertEqual(set(answer.headers["allow"].split(", ")), {"GET", "HEAD"})
        self.assertEqual(
            answer.json["detail"],
            f"there is no DELETE here, only {answer.headers['allow']}",
        )
        self.assertEqual(visit.ask("/box", "POST").text, "posted")

    def test_targets(self) -> None:
        """
        The targets that are no path have answers, none of them an accident.
        """
        visit = self.place.visit()
        self.assertEqual(visit.ask("*", "OPTIONS").status, 200)
        self.assertEqual(visit.ask("http://example.org/app").status, 200)
        self.assertEqual(visit.ask("HTTPS://example.org").status, 404)
        self.assertEqual(self.pages.works, [Work("chat", "c1", "r2")])
        self.assertEqual(visit.ask("/%00%2e%2e/%ff").status, 404)
        # Whoever thinks that this is a tunnel now speaks to somebody else.
        self.assertEqual(visit.ask("example.org:443", "CONNECT").status, 501)
        self.assertTrue(visit.closed)

    def test_no_body(self) -> None:
        """
        An answer whose status has no body says nothing of a body.
        """

        class Unchanged(Resource):
            isLeaf = True

            def render_GET(self, request: Any) -> bytes:
                request.setResponseCode(int(request.postpath[0]))
                return b""

        self.place.mount("/status", Unchanged())
        visit = self.place.visit()
        for status in 204, 304:
            answer = visit.ask(f"/status/{status}")
            self.assertEqual(answer.status, status)
            self.assertNotIn("content-length", answer.headers)
            self.assertNotIn("transfer-encoding", answer.headers)

    def test_encoded(self) -> None:
        """
        A resource may have its answer encoded by Twisted.
        """
        data = Data(b"data" * 1000, "text/plain")
        self.place.mount("/data", EncodingResourceWrapper(data, [GzipEncoderFactory()]))
        answer = self.place.visit().ask("/data", "GET", "Accept-Encoding: gzip")
        self.assertEqual(answer.headers["content-encoding"], "gzip")
        self.assertTrue(answer.whole)
        self.assertLess(len(answer.body), 100)

    def test_a_host_without_a_name(self) -> None:
        """
        Who comes without a C{Host} header, perhaps through a UNIX socket, is
        answered.
        """
        visit = Visit(self.place.site)
        visit.send(b"GET /app HTTP/1.0\r\n\r\n")
        self.assertEqual(visit.answer().text, "here")
        visit = Visit(self.place.site)
        visit.wire.hostAddr = UNIXAddress(b"/run/web")
        visit.wire.peerAddr = UNIXAddress(None)
        visit.send(b"GET /app HTTP/1.0\r\n\r\n")
        self.assertEqual(visit.answer().text, "here")

    def test_idle(self) -> None:
        """
        A connection on which nothing happens is closed, and not a word said about
        it; one that is being answered is not.
        """
        idle, busy = self.place.visit(), self.place.visit()
        idle.ask("/app")
        busy.send(request("/app/slow"))
        self.events.clear()
        self.place.clock.advance(59)
        self.assertFalse(idle.closed)
        self.place.clock.advance(1)
        self.assertFalse(busy.closed)
        self.assertTrue(idle.closed)
        idle.leave()
        self.assertEqual(self.logged(), [])
        self.pages.waiting[0].callback("at last")
        self.assertEqual(busy.answer().text, "at last")

    def test_who_does_not_go(self) -> None:
        """
        A client that does not let a closed connection go is cut off, when it has had as
        long to read what waits for it as anybody has.
        """
        visit = self.place.visit()
        self.place.clock.advance(60)
        self.assertTrue(visit.closed)
        stall = self.place.site.limits.stall
        self.place.clock.advance(stall - 1)
        self.assertFalse(visit.wire.aborted)
        self.place.clock.advance(1)
        self.assertTrue(visit.wire.aborted)


class BodyTests(SiteTestCase):
    """
    A body over the limit is refused before it has been read.
    """

    def assertRefused(self, visit: Visit) -> None:
        """
        The answer was 413, nothing more is heard, and the connection ends.
        """
        answer = visit.answer()
        self.assertEqual((answer.status, answer.reason), (413, "Content Too Large"))
        self.assertEqual(answer.headers["connection"], "close")
        self.assertIn("date", answer.headers)
        detail = f"the body is too long: at most {LIMIT} bytes"
        self.assertEqual(answer.json["detail"], detail)
        visit.send(b"x" * 1000, request("/app"), b"\r\n\r\n0\r\n\r\n")
        self.assertEqual(visit.answers(), [])
        self.assertFalse(visit.closed)  # who still sends would be reset
        self.place.clock.advance(Channel.linger)
        self.assertClosed(visit)
        self.assertEqual(self.pages.works, [])

    def test_declared(self) -> None:
        """
        Who declares too long a body is refused before sending any of it.
        """
        visit = self.place.visit()
        head = f"Content-Length: {LIMIT + 1}"
        visit.send(request("/app/echo", "POST", head))
        self.assertRefused(visit)
        self.assertEqual(self.place.noted(), [("POST", "/app/echo", 413)])

    def test_unheard(self) -> None:
        """
        Who goes on sending is not read any more. It cannot say goodbye then, as TLS
        wants it, nor be seen to leave: it is not waited for.
        """
        visit = self.place.visit()
        visit.send(request("/app/echo", "POST", f"Content-Length: {10**6}"))
        self.assertEqual(visit.answer().status, 413)
        visit.send(b"x" * 200_000)
        self.assertEqual(visit.wire.producerState, "paused")
        self.place.clock.advance(Channel.linger)
        self.assertEqual((visit.closed, visit.wire.aborted), (True, False))
        self.place.clock.advance(Channel.linger)
        self.assertTrue(visit.wire.aborted)

    def test_expected(self) -> None:
        """
        Who asks whether to send it is not told to go on.
        """
        visit = self.place.visit()
        head = f"Content-Length: {10**30}", "Expect: 100-continue"
        visit.send(request("/app/echo", "POST", *head))
        self.assertNotIn(b"100 Continue", visit.wire.value())
        self.assertRefused(visit)

    def test_at_once(self) -> None:
        """
        All of it in one piece, with another request behind it, is no different.
        """
        body = b"x" * (LIMIT + 1)
        for head, sent in (
            (f"Content-Length: {len(body)}", body),
            ("Transfer-Encoding: chunked", chunked(body)),
            ("Transfer-Encoding: chunked", chunked(*([b"x"] * len(body)))),
        ):
            visit = self.place.visit()
            visit.send(request("/app/echo", "POST", head) + sent + request("/app"))
            self.assertRefused(visit)

    def test_chunked(self) -> None:
        """
        Who does not say how long it will be is refused when it is too long.
        """
        visit = self.place.visit()
        visit.send(request("/app/echo", "POST", "Transfer-Encoding: chunked"))
        piece = b"%x\r\n%s\r\n" % (LIMIT // 2, b"x" * (LIMIT // 2))
        visit.send(piece, piece)
        self.assertEqual(visit.answers(), [])
        visit.send(piece)
        self.assertRefused(visit)

    def test_a_client_that_goes(self) -> None:
        """
        When the client goes after its refusal, nothing is left.
        """
        visit = self.place.visit()
        visit.send(request("/app/echo", "POST", f"Content-Length: {LIMIT + 1}"))
        visit.leave()
        self.assertEqual(self.place.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.place.seen), 1)

    def test_at_the_limit(self) -> None:
        """
        A body of exactly the limit is taken, and so is the request behind it.
        """
        body = b"x" * LIMIT
        visit = self.place.visit()
        head = "Transfer-Encoding: chunked"
        visit.send(
            request("/app/echo", "POST", body=body)
            + request("/app/echo", "PUT", head)
            + chunked(body[:33], body[33:])
            + request("/app")
        )
        texts = [each.body for each in visit.answers()]
        self.assertEqual(texts, [body, body, b"here"])
        self.assertFalse(visit.closed)

    def test_another_limit(self) -> None:
        """
        The limit may change while the site runs; the next request minds it.
        """
        visit = self.place.visit()
        self.place.site.longest_body = 0
        self.assertEqual(visit.ask("/app", "GET").status, 200)
        visit.send(request("/app/echo", "POST", body=b"x"))
        self.assertEqual(visit.answer().status, 413)

    def test_a_form_that_is_none(self) -> None:
        """
        A form that cannot be read is a bad request to who asks for its fields, and
        bytes to who asks for these.
        """
        routes = Klein()

        @routes.route("/")
        def fields(request: Any) -> str:
            return repr(sorted(request.args.items()))

        self.place.mount("/fields", routes)
        visit = self.place.visit()
        head = "Content-Type: multipart/form-data"
        for form, kind in ((b"--y", f"{head}; boundary=x"), (b"x", head)):
            visit.send(request("/fields/?a=1", "POST", kind, body=form))
            self.assertEqual(visit.answer().status, 400)
            visit.send(request("/app/echo", "POST", kind, body=form))
            self.assertEqual(visit.answer().body, form)
            visit.send(request("/nobody", "POST", kind, body=form))
            self.assertEqual(visit.answer().status, 404)
        self.assertFalse(visit.closed)
        good = b'--x\r\nContent-Disposition: form-data; name="b"\r\n\r\n2\r\n--x--\r\n'
        answer = visit.ask("/fields/?a=1", "POST", f"{head}; boundary=x", body=good)
        self.assertEqual(answer.text, "[(b'a', [b'1']), (b'b', [b'2'])]")

    def test_a_form_without_fields(self) -> None:
        """
        A form with nothing in it is one: browsers send it.
        """
        visit = self.place.visit()
        head = "Content-Type: multipart/form-data; boundary=x"
        for body in b"--x--\r\n", b"\r\n--x--":
            visit.send(request("/app/echo", "POST", head, body=body))
            answer = visit.answer()
            self.assertEqual((answer.status, answer.body), (200, body))
        self.assertFalse(visit.closed)

    @given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 30))
    def test_any_pieces(self, chunks: list[bytes], step: int) -> None:
        """
        However a body is cut, it arrives if it is not too long and is refused if
        it is, with one answer.
        """
        place = Place.of(longest_body=LIMIT)
        place.mount("/app", Pages().routes)
        chunks = [each for each in chunks if each]
        head = request("/app/echo", "POST", "Transfer-Encoding: chunked")
        sent = head + chunked(*chunks)
        visit = place.visit()
        visit.send(*(sent[at : at + step] for at in range(0, len(sent), step)))
        body = b"".join(chunks)
        answer = visit.answer()
        if len(body) > LIMIT:
            self.assertEqual(answer.status, 413)
        else:
            self.assertEqual((answer.status, answer.body), (200, body))
        self.assertEqual(len(place.seen), 1)


class BadRequestTests(SiteTestCase):
    """
    What is no request, or has too much before its body, is refused; and the log
    has it.
    """

    def refusal(self, *pieces: bytes) -> int:
        visit = self.place.visit()
        visit.send(*pieces)
        visit.send(b"GET /app HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = visit.answer()
        self.assertEqual(answer.headers["connection"], "close")
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        self.place.clock.advance(Channel.linger)
        self.assertClosed(visit)
        self.assertEqual(self.pages.works, [])
        self.assertEqual(self.place.seen.pop().code, answer.status)
        self.assertEqual(self.place.seen, [])
        return answer.status

    def test_no_request(self) -> None:
        """
        Whatever is not HTTP/1.1 is a bad request.
        """
        start = b"POST /app/echo HTTP/1.1\r\nHost: x\r\n"
        for piece in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n",  # a TLS handshake
            b"GET * HTTP/1.1\r\n",
            b"GET  /app HTTP/1.1\r\n",
            b"GET /\xff HTTP/1.1\r\n",
            b"G\xe9T /app HTTP/1.1\r\n",
            start + b"no colon\r\nX: y\r\n\r\n",
            start + b"Content-Length: 1x\r\nX: y\r\n\r\n",
            start + b"Content-Length: -1\r\n\r\n",
            start + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
            start + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            start + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
            start + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
            start + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxyz",
            start + b"X: \x00\r\n\r\n",
        ):
            self.assertEqual(self.refusal(piece), 400, piece)
        self.assertEqual(self.refusal(b"GET /app HTTP/2.0\r\n"), 505)

    def test_too_much(self) -> None:
        """
        There is an end to the request line, to headers and to their number.
        """
        start = b"GET /app HTTP/1.1\r\nHost: x\r\n"
        many = [b"X: y\r\n"] * 100
        self.assertEqual(self.refusal(b"GET /" + b"x" * 20_000), 414)
        self.assertEqual(self.refusal(b"GET /" + b"x" * 8192 + b" HTTP/1.1\r\n"), 414)
        self.assertEqual(self.refusal(start + b"X: " + b"y" * 40_000), 431)
        self.assertEqual(self.refusal(start, *[b"X: %s\r\n" % (b"y" * 999)] * 33), 431)
        self.assertEqual(self.refusal(start, *many, b"\r\n"), 431)
        self.assertEqual(self.refusal(start + b"".join(many) + b"\r\n"), 431)

    def test_just_enough(self) -> None:
        """
        Up to there, everything is taken.
        """
        visit = self.place.visit()
        self.assertEqual(visit.ask("/app?" + "x" * 8174).status, 200)
        self.assertEqual(visit.ask("/app", "GET", *["X: y"] * 99).status, 200)
        long = "X: " + "y" * (32 * 1024 - len("Host: example.org\r\nX: \r\n"))
        self.assertEqual(visit.ask("/app", "GET", long).status, 200)

    def test_behind_an_answer(self) -> None:
        """
        A bad request behind a good one does the good one no harm.
        """
        visit = self.place.visit()
        visit.send(request("/app/slow") + b"nonsense\r\n\r\n")
        self.pages.waiting[0].callback("fine")
        good, bad = visit.answers()
        self.assertEqual((good.text, bad.status), ("fine", 400))
        self.assertEqual(
            self.place.noted(), [("GET", "/app/slow", 200), ("-", "-", 400)]
        )

    @given(st.lists(st.binary(max_size=30), max_size=5))
    def test_anything(self, pieces: list[bytes]) -> None:
        """
        Nothing that comes over a wire raises, and whatever comes back is HTTP.
        """
        visit = Place.of().visit()
        visit.send(*pieces, b"\r\n\r\n")
        for answer in parse(visit.wire.value(), True):
            self.assertTrue(answer.whole)
            self.assertIn(answer.status, (400, 404, 405, 414, 431, 200))


class ContextTests(SiteTestCase):
    """
    Whose work is done is known wherever it is done.
    """

    def test_handlers(self) -> None:
        """
        A handler works for its plugin, connection and request, also after it
        waited, whoever fires what it waited for.
        """
        visit = self.place.visit()
        visit.send(request("/app/slow"))
        with working(plugin="other", connection="c99"):
            self.pages.waiting[0].callback("done")
        self.assertEqual(self.pages.works, [Work("chat", "c1", "r1")] * 2)
        self.assertEqual(work.get(), Work())
        self.assertEqual(self.place.seen[0].work, Work("chat", "c1", "r1"))

    def test_pipelined(self) -> None:
        """
        The next request on a connection begins where the one before it ended;
        its work is its own.
        """
        visit = self.place.visit()
        visit.send(request("/app/slow") + request("/nobody") + request("/app"))
        with working(plugin="other", connection="c99"):
            self.pages.waiting[0].callback("done")
        self.assertEqual([each.status for each in visit.answers()], [200, 404, 200])
        self.assertEqual(
            [each.work for each in self.place.seen],
            [
                Work("chat", "c1", "r1"),
                Work("web", "c1", "r2"),
                Work("chat", "c1", "r3"),
            ],
        )
        self.assertEqual(self.pages.works[-1], Work("chat", "c1", "r3"))

    def test_returned_resources(self) -> None:
        """
        A resource that a handler returned after waiting works for the same.
        """
        works = self.pages.works

        class Noting(Resource):
            def render_GET(self, request: Any) -> bytes:
                works.append(work.get())
                return b""

        visit = self.place.visit()
        visit.send(request("/app/slow"))
        self.pages.waiting[0].callback(Noting())
        self.assertEqual(works, [Work("chat", "c1", "r1")] * 3)


class FailureTests(SiteTestCase):
    """
    What goes wrong is told to who can mend it.
    """

    def raised(self, error: Exception) -> Any:
        self.visit = self.place.visit()
        self.visit.send(request("/app/fail"))
        with working(plugin="other"):
            self.pages.waiting[-1].callback(error)
        return self.visit.answer()

    def test_an_accident(self) -> None:
        """
        It is logged once, with a traceback and in the name of the request, which
        is all that the client hears.
        """
        answer = self.raised(KeyError("password"))
        self.assertEqual(
            answer.json,
            {
                "title": "Internal Server Error",
                "status": 500,
                "detail": "Something went wrong here. Our log has it under r1.",
            },
        )
        self.assertEqual(self.logged(), ["critical chat c1 r1 GET /app/fail failed"])
        (failure,) = self.flushLoggedErrors(KeyError)
        self.assertIn("in fail", failure.getTraceback())

    def test_what_was_already_decided(self) -> None:
        """
        The headers of the answer that did not come about are not those of this
        one.
        """
        answer = self.raised(KeyError("password"))
        self.assertEqual(
            answer.headers.keys(),
            {"server", "date", "vary", "content-type", "content-length"},
        )
        self.assertTrue(answer.whole)
        self.assertEqual(self.visit.ask("/app").text, "here")
        self.flushLoggedErrors(KeyError)

    def test_encoded(self) -> None:
        """
        Where an answer would have been compressed, an error is not.
        """

        class Broken(Resource):
            def render_GET(self, request: Any) -> bytes:
                raise KeyError("password")

        wrapped = EncodingResourceWrapper(Broken(), [GzipEncoderFactory()])
        self.place.mount("/broken", wrapped)
        answer = self.place.visit().ask("/broken", "GET", "Accept-Encoding: gzip")
        self.assertEqual((answer.status, answer.json["status"]), (500, 500))
        self.assertNotIn("content-encoding", answer.headers)
        self.flushLoggedErrors(KeyError)

    def test_on_purpose(self) -> None:
        """
        An error that says what is wrong is answered with its status, and is
        nothing to log.
        """
        for error, status in (ChannelFull("lobby", 1), 503), (Invalid(()), 422):
            answer = self.raised(error)
            self.assertEqual(
                (answer.status, answer.json["detail"]), (status, str(error))
            )
        self.assertEqual(self.logged(), [])

    def test_on_purpose_but_ours(self) -> None:
        """
        Unless it says that something is wrong with us.
        """
        answer = self.raised(RopewalkError("the reactor is not asyncio's"))
        self.assertEqual(answer.status, 500)
        self.assertEqual(self.logged(), ["critical chat c1 r1 GET /app/fail failed"])
        self.assertEqual(len(self.flushLoggedErrors(RopewalkError)), 1)

    def test_an_error_that_cannot_speak(self) -> None:
        """
        An error that fails to say what it is does not take the answer with it.
        """

        class Mute(RopewalkError):
            status = 400

            def __str__(self) -> str:
                raise ValueError("no words")

        self.assertEqual(self.raised(Mute()).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_browser(self) -> None:
        """
        A browser gets a page.
        """
        visit = self.place.visit()
        visit.send(request("/app/fail", "GET", "Accept: text/html,*/*;q=0.8"))
        self.pages.waiting[0].callback(ValueError())
        self.assertIn("<h1>500 Internal Server Error</h1>", visit.answer().text)
        self.flushLoggedErrors(ValueError)

    def test_resources(self) -> None:
        """
        A resource that raises, when it is looked for or rendered, or renders what
        cannot be sent, is the same.
        """

        class Broken(Resource):
            def __init__(self, render: Any) -> None:
                super().__init__()
                self.render_GET = render

            def getChild(self, path: Any, request: Any) -> Any:
                raise KeyError("child")

        def give_up(request: Any) -> bytes:
            raise KeyError("rendering")

        self.place.mount("/raises", Broken(give_up))
        self.place.mount("/text", Broken(lambda request: "text"))
        visit = self.place.visit()
        for path in "/raises", "/raises/child", "/text":
            answer = visit.ask(path)
            self.assertEqual(answer.status, 500)
            self.assertIn("Our log has it under r", answer.json["detail"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 2)
        (failure,) = self.flushLoggedErrors(TypeError)
        self.assertIn("rendered str, not bytes or NOT_DONE_YET", str(failure.value))
        self.assertEqual(len(self.logged()), 3)

    def assertHalf(self, visit: Visit) -> None:
        """
        The answer broke off: the client can see that, the log says why, and the
        access log has it.
        """
        answer = visit.answer()
        self.assertEqual((answer.status, answer.whole), (200, False))
        self.assertTrue(answer.body.startswith(b"the first half"))
        self.assertEqual(len(self.logged()), 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertClosed(visit)
        (seen,) = self.place.seen
        self.assertEqual((seen.code, seen.aborted), (200, True))

    def test_half_an_answer(self) -> None:
        """
        Once an answer has begun it cannot be taken back. The connection ends
        before the answer does, whichever way its end would have been told.
        """
        for way in "chunked", "length":
            self.place.seen.clear()
            visit = self.place.visit()
            visit.send(request(f"/app/half/{way}") + request("/app"))
            self.pages.waiting[-1].callback(None)
            self.assertHalf(visit)

    def test_half_an_answer_of_old(self) -> None:
        """
        In HTTP/1.0 the end of the connection is the end of the answer; only a
        reset says that there is none.
        """
        visit = self.place.visit()
        visit.send(b"GET /app/half/way HTTP/1.0\r\n\r\n")
        self.pages.waiting[-1].callback(None)
        self.assertTrue(visit.wire.aborted)
        self.assertHalf(visit)

    def test_half_an_answer_with_a_producer(self) -> None:
        """
        Whatever still produced the answer is let go.
        """
        visit = self.place.visit()
        visit.send(request("/app/slow"))
        asked = self.pages.requests[0]
        asked.registerProducer(Producer(), True)
        asked.write(b"the first half")
        self.pages.waiting[0].errback(RuntimeError())
        self.assertHalf(visit)

    def test_after_the_end(self) -> None:
        """
        A handler that raises when it has answered is logged; the answer stands.
        """

        class Late(Resource):
            def render_GET(self, request: Any) -> int:
                request.write(b"all of it")
                request.finish()
                raise KeyError("late")

        self.place.mount("/late", Late())
        visit = self.place.visit()
        self.assertEqual(visit.ask("/late").text, "all of it")
        self.assertEqual(visit.ask("/app").text, "here")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)


class Producer:
    """A producer that does nothing."""

    def resumeProducing(self) -> None:
        pass

    pauseProducing = stopProducing = resumeProducing


class LeavingTests(SiteTestCase):
    """
    Clients leave when they like.
    """

    def test_a_handler_is_cancelled(self) -> None:
        """
        What a handler waited for is cancelled when nobody waits for it any more,
        in the name of its request and without noise; the access log has it.
        """
        visit = self.place.visit()
        visit.send(request("/app/slow"))
        visit.leave()
        self.assertEqual(self.pages.works, [Work("chat", "c1", "r1")] * 2)
        self.assertTrue(self.pages.waiting[0].called)
        self.assertEqual(self.logged(), [])
        (seen,) = self.place.seen
        self.assertEqual((seen.code, seen.aborted, seen.method), (499, True, b"GET"))

    def test_a_handler_that_does_not_mind(self) -> None:
        """
        A handler that goes on regardless answers nobody.
        """
        waiting: list[Any] = []

        class Stubborn(Resource):
            def render_GET(self, request: Any) -> int:
                waiting.append(request)
                return NOT_DONE_YET

        self.place.mount("/stubborn", Stubborn())
        visit = self.place.visit()
        visit.send(request("/stubborn"))
        visit.leave()
        waiting[0].write(b"anybody?")
        waiting[0].processingFailed(Failure(CancelledError()))
        waiting[0].processingFailed(Failure(KeyError("nobody")))
        self.assertEqual(visit.wire.value(), b"")
        self.assertEqual(len(self.flushLoggedErrors(KeyError, CancelledError)), 1)
        self.assertEqual(len(self.place.seen), 1)

    def test_in_the_middle(self) -> None:
        """
        Who leaves before the body has come was there; who leaves before the
        headers were, or between two requests, was not.
        """
        for sent, noted in (
            (request("/app/echo", "POST", "Content-Length: 5") + b"x", 1),
            (b"POST /app/echo HTTP/1.1\r\nContent-Le", 0),
            (b"POST /app", 0),
            (b"", 0),
        ):
            self.place.seen.clear()
            visit = self.place.visit()
            visit.send(sent)
            visit.leave()
            expected = [("POST", "/app/echo", 499)][:noted]
            self.assertEqual(self.place.noted(), expected)
        self.assertEqual(self.place.clock.getDelayedCalls(), [])


class ObserverTests(SiteTestCase):
    """
    Whoever observes hears of each request once.
    """

    def test_every_answer(self) -> None:
        """
        Of each that was answered, whatever the answer was.
        """
        visit = self.place.visit()
        visit.send(
            request("/app?x=1")
            + request("/app", "HEAD")
            + request("/nobody")
            + request("/app/only", "DELETE")
            + request("*", "OPTIONS")
            + request("/app/echo", "POST", "Content-Length: 101")
        )
        self.assertEqual(
            self.place.noted(),
            [
                ("GET", "/app?x=1", 200),
                ("HEAD", "/app", 200),
                ("GET", "/nobody", 404),
                ("DELETE", "/app/only", 404),
                ("OPTIONS", "*", 200),
                ("POST", "/app/echo", 413),
            ],
        )
        sizes = [each.sentLength for each in self.place.seen]
        answers = visit.answers("GET", "HEAD")
        self.assertEqual(sizes, [len(each.body) for each in answers])

    def test_nobody(self) -> None:
        """
        Nobody need observe; it can change while the site runs.
        """
        self.place.site.observe = None
        visit = self.place.visit()
        self.assertEqual(visit.ask("/app").text, "here")
        self.place.site.observe = self.place.seen.append
        visit.ask("/app")
        self.assertEqual(len(self.place.seen), 1)


class DrainTests(SiteTestCase):
    """
    When the site says goodbye, what was asked is answered.
    """

    def drain(self, *visits: Visit) -> None:
        for visit in visits:
            visit.connection.drain("shutting down")

    def test_idle(self) -> None:
        """
        A connection on which nobody waits is closed at once.
        """
        new, idle, begun = (self.place.visit() for _ in range(3))
        idle.ask("/app")
        begun.send(b"GET /a")
        self.drain(new, idle, begun)
        for visit in new, idle, begun:
            self.assertTrue(visit.closed)
            visit.leave()
        self.assertEqual(self.place.clock.getDelayedCalls(), [])

    def test_running(self) -> None:
        """
        A running request is answered, which says that the connection ends; what
        was asked behind it is not begun.
        """
        visit = self.place.visit()
        visit.send(request("/app/slow") + request("/app/slow"))
        self.drain(visit)
        visit.send(request("/app/slow"))
        self.assertFalse(visit.closed)
        self.pages.waiting[0].callback("done")
        answer = visit.answer()
        self.assertEqual((answer.text, answer.headers["connection"]), ("done", "close"))
        self.assertEqual(len(self.pages.waiting), 1)
        self.assertClosed(visit)

    def test_arriving(self) -> None:
        """
        So is a request whose headers or body had only begun to come.
        """
        whole = request("/app/echo", "POST", body=b"body")
        for cut in 40, len(whole) - 2:
            self.place.site.draining = False
            visit = self.place.visit()
            visit.send(whole[:cut])
            self.drain(visit)
            self.assertFalse(visit.closed)
            visit.send(whole[cut:])
            answer = visit.answer()
            self.assertEqual(
                (answer.text, answer.headers["connection"]), ("body", "close")
            )
            self.assertClosed(visit)

    def test_answering(self) -> None:
        """
        An answer that has begun goes on to its end.
        """
        visit = self.place.visit()
        visit.send(request("/app/slow"))
        asked = self.pages.requests[0]
        asked.write(b"one ")
        self.drain(visit)
        self.pages.waiting[0].callback("two")
        answer = visit.answer()
        self.assertEqual((answer.text, answer.whole), ("one two", True))
        self.assertClosed(visit)

    def test_refused(self) -> None:
        """
        Who was refused and still sends is not waited for.
        """
        visit = self.place.visit()
        visit.send(request("/app/echo", "POST", "Content-Length: 1000"))
        self.drain(visit)
        self.assertClosed(visit)

    def test_another_site(self) -> None:
        """
        A C{twisted.web} site that is not ours says goodbye as well.
        """
        slow = Slow()
        site = server.Site(slow, reactor=Clock())
        idle, busy = site.buildProtocol(None), site.buildProtocol(None)
        wires = [Wire(), Wire()]
        for each, wire in zip((idle, busy), wires, strict=True):
            each.makeConnection(wire)
        busy.dataReceived(request("/"))
        for each in idle, busy:
            IDrainable(each).drain("shutting down")
        self.assertEqual([wire.disconnecting for wire in wires], [True, False])
        slow.requests[0].finish()
        self.assertTrue(wires[1].disconnecting)


class Slow(Resource):
    """Answers when it is told to."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []

    def render(self, request: Any) -> int:
        self.requests.append(request)
        return NOT_DONE_YET


class Stream:
    """
    What came back on one stream of HTTP/2.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.whole = False
        self.reset: int | None = None


class Browser:
    """
    A client of HTTP/2, in memory.
    """

    def __init__(self, place: Place) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        self.place = place
        self.visit = place.visit()
        self.visit.wire.negotiatedProtocol = b"h2"  # type: ignore[attr-defined]
        config = H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = H2Connection(config)
        self.h2.initiate_connection()
        self.streams: dict[int, Stream] = {}
        self.goodbye: int | None = None
        self.trailers: dict[str, str] = {}
        self.turn()

    def ask(
        self,
        path: str,
        method: str = "GET",
        *headers: tuple[str, str],
        end: bool = True,
    ) -> Stream:
        head = [
            (":method", method),
            (":path", path),
            (":scheme", "https"),
            (":authority", "example.org"),
        ]
        return self.begin(*head, *headers, end=end)

    def begin(self, *headers: tuple[str, str], end: bool = False) -> Stream:
        """Begin a stream with just these headers."""
        number: int = self.h2.get_next_available_stream_id()
        stream = self.streams[number] = Stream()
        self.number = number
        self.h2.send_headers(number, headers, end_stream=end)
        self.turn()
        return stream

    def send(self, data: bytes, end: bool = False) -> None:
        """More of the body of the last request."""
        self.h2.send_data(self.number, data, end_stream=end)
        self.turn()

    def turn(self) -> None:
        """Let both sides hear each other."""
        import h2.events as events

        self.visit.send(self.h2.data_to_send())
        for _ in range(10):
            self.place.clock.advance(0)
        said = self._without_goodbye(self.visit.wire.value())
        self.visit.wire.clear()
        for event in self.h2.receive_data(said) if said else ():
            stream = self.streams.get(getattr(event, "stream_id", None) or 0, Stream())
            if isinstance(event, events.ResponseReceived):
                headers: Any = event.headers
                stream.headers = dict(headers)
                stream.status = int(stream.headers.pop(":status"))
            elif isinstance(event, events.DataReceived):
                stream.body += event.data
            elif isinstance(event, events.TrailersReceived):
                trailers: Any = event.headers
                self.trailers = dict(trailers)
            elif isinstance(event, events.StreamEnded):
                stream.whole = True
            elif isinstance(event, events.StreamReset):
                stream.reset = int(event.error_code)

    def _without_goodbye(self, said: bytes) -> bytes:
        """
        A client made of C{h2} takes a GOAWAY for the end; browsers do not.
        """
        rest = b""
        while said:
            length = 9 + int.from_bytes(said[:3], "big")
            frame, said = said[:length], said[length:]
            if frame[3] == 7:
                self.goodbye = int.from_bytes(frame[9:13], "big")
            else:
                rest += frame
        return rest


def browse(case: SynchronousTestCase, place: Place) -> Browser:
    """Have a client of HTTP/2 at a place, whose time it keeps."""
    from twisted.web._http2 import H2Connection

    # Twisted's own takes the global reactor.
    case.patch(http, "H2Connection", lambda: H2Connection(place.clock))
    return Browser(place)


@skipUnless(http.H2_ENABLED, "h2 is not installed: pip install 'ropewalk[http2]'")
class StreamTests(SiteTestCase):
    """
    All of this holds in HTTP/2 as well.
    """

    def setUp(self) -> None:
        super().setUp()
        self.browser = browse(self, self.place)

    def test_answers(self) -> None:
        """
        Requests are answered, named and noted.
        """
        stream = self.browser.ask("/app")
        self.assertEqual(
            (stream.status, stream.body, stream.whole), (200, b"here", True)
        )
        self.assertEqual(self.pages.works, [Work("chat", "c1", "r1")])
        stream = self.browser.ask("/app/echo", "POST", end=False)
        self.browser.send(b"a body", end=True)
        self.assertEqual(stream.body, b"a body")
        stream = self.browser.ask("/app", "HEAD")
        self.assertEqual((stream.status, stream.body, stream.whole), (200, b"", True))
        self.assertEqual(self.browser.ask("/nobody").status, 404)
        self.assertEqual(
            self.place.noted(),
            [
                ("GET", "/app", 200),
                ("POST", "/app/echo", 200),
                ("HEAD", "/app", 200),
                ("GET", "/nobody", 404),
            ],
        )

    def test_connect(self) -> None:
        """
        Nobody is connected to others, or to a WebSocket (RFC 8441): who asks is told
        so, and not left waiting.
        """
        there = (":authority", "example.org:80")
        path = (":scheme", "https"), (":path", "/app/echo"), (":protocol", "websocket")
        for more in (), path:
            stream = self.browser.begin((":method", "CONNECT"), there, *more)
            self.assertEqual((stream.status, stream.whole), (501, True))
            self.assertEqual(stream.reset, 0)
            self.assertEqual(self.browser.ask("/app").body, b"here")

    def assertRefused(self, stream: Stream) -> None:
        """
        The answer was 413, the client need send no more, and other streams do not
        suffer.
        """
        self.assertEqual((stream.status, stream.whole, stream.reset), (413, True, 0))
        self.assertEqual(self.browser.ask("/app").body, b"here")
        noted = [("POST", "/app/echo", 413), ("GET", "/app", 200)]
        self.assertEqual(self.place.noted(), noted)
        self.assertEqual(self.logged(), [])

    def test_declared_too_long(self) -> None:
        """
        A body that is declared too long is refused at its first byte.
        """
        length = ("content-length", "101")
        stream = self.browser.ask("/app/echo", "POST", length, end=False)
        self.assertEqual(stream.status, 0)
        self.browser.send(b"x")
        self.assertRefused(stream)

    def test_too_long(self) -> None:
        """
        One that becomes too long is refused there; what was under way is not
        looked at.
        """
        stream = self.browser.ask("/app/echo", "POST", end=False)
        self.browser.send(b"x" * LIMIT)
        self.assertEqual(stream.status, 0)
        h2, number = self.browser.h2, self.browser.number
        for _ in range(3):
            h2.send_data(number, b"x" * 50)
        self.browser.turn()
        self.assertRefused(stream)

    def test_too_long_at_once(self) -> None:
        """
        One that has come to its end when it is refused is no different.
        """
        stream = self.browser.ask("/app/echo", "POST", end=False)
        self.browser.h2.send_data(self.browser.number, b"x" * 50)
        self.browser.send(b"x" * 51, end=True)
        self.assertEqual((stream.status, stream.whole), (413, True))
        self.assertEqual(self.browser.ask("/app").body, b"here")
        self.assertEqual(self.logged(), [])

    def test_half_an_answer(self) -> None:
        """
        An answer that breaks off resets its stream, not the connection.
        """
        stream = self.browser.ask("/app/half/way")
        self.pages.waiting[0].callback(None)
        self.browser.turn()
        self.assertEqual((stream.status, stream.whole, stream.reset), (200, False, 2))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.browser.ask("/app").body, b"here")
        self.assertEqual([each.aborted for each in self.place.seen], [True, False])
        self.assertEqual(len(self.logged()), 1)

    def test_leaving(self) -> None:
        """
        A client that resets a stream cancels its handler.
        """
        self.browser.ask("/app/slow")
        self.browser.h2.reset_stream(self.browser.number)
        self.browser.turn()
        self.assertTrue(self.pages.waiting[0].called)
        self.assertEqual([each.code for each in self.place.seen], [499])
        self.assertEqual(self.logged(), [])

    def test_drain_idle(self) -> None:
        """
        A connection without streams is closed, with a goodbye.
        """
        self.browser.ask("/app")
        self.browser.visit.connection.drain("shutting down")
        self.browser.turn()
        self.assertEqual(self.browser.goodbye, self.browser.number)
        self.assertTrue(self.browser.visit.closed)

    def test_drain_running(self) -> None:
        """
        Streams that run are answered; with the last, the connection ends.
        """
        streams = [self.browser.ask("/app/slow") for _ in range(2)]
        self.browser.visit.connection.drain("shutting down")
        self.browser.turn()
        for waiting, stream in zip(self.pages.waiting, streams, strict=True):
            self.assertFalse(self.browser.visit.closed)
            self.assertFalse(stream.whole)
            waiting.callback("done")
            self.browser.turn()
            self.assertEqual((stream.status, stream.body), (200, b"done"))
            self.assertTrue(stream.whole)
        self.assertTrue(self.browser.visit.closed)
        self.browser.visit.leave()
        self.assertEqual(self.logged(), [])


@skipUnless(isinstance(reactor, AsyncioSelectorReactor), "not an asyncio reactor")
class PageTests(TestCase):
    """
    What C{docs/web.rst} shows is what is answered.
    """

    def setUp(self) -> None:
        source, *_ = blocks("web", "python")
        names: dict[str, Any] = {"__name__": "acme.notes"}
        exec(source, names)
        self.place = Place.of()
        names["makeService"](None, SimpleNamespace(web=self.place))

    @inlineCallbacks
    def curl(self, command: str) -> Steps[str]:
        """Do what a command on the page does."""
        name, *words = shlex.split(command)
        self.assertEqual(name, "curl")
        method, body = "GET", ""
        while words[0].startswith("-"):
            option, value, *words = words
            method = value if option == "-X" else method
            body = value if option == "-d" else body
        path = words[0].removeprefix("http://127.0.0.1:8080")
        visit = self.place.visit()
        visit.send(request(path, method, body=body.encode()))
        while not visit.wire.value():
            yield deferLater(reactor, 0)
        return visit.answer(method).text

    @inlineCallbacks
    def test_commands(self) -> Steps[None]:
        """
        Each command, in its order, has the answer that stands below it.
        """
        yield deferLater(reactor, 0)  # the loop turns from here on
        shown = "".join(blocks("web", "console"))
        commands = shown.split("$ ")[1:]
        self.assertEqual(len(commands), 7)
        for each in commands:
            command, _, expected = each.partition("\n")
            answer: str = yield self.curl(command)
            self.assertEqual(answer, expected)

    def test_settings(self) -> None:
        """
        The settings shown can be set.
        """
        for shown in blocks("web", "toml"):
            parse_settings(shown).read("web", WebSettings)

    def test_numbers(self) -> None:
        """
        The limits on the page are those in force.
        """
        path = Path(__file__).resolve().parent.parent / "docs" / "web.rst"
        page = path.read_text("utf-8")
        settings = WebSettings()
        limits = settings.limits
        for number in (
            f"- {limits.line} bytes",
            f"- {limits.header_bytes} bytes, {limits.headers} lines",
            f"- {limits.head_time:g} seconds",
            f"- {limits.body_floor} bytes a second, {limits.body_patience:g} seconds",
            f"- {limits.spool} bytes",
            f"- {limits.requests}",
            f"- {limits.connections}",
            f"- {limits.unsent} bytes",
            f"- {limits.stall:g} seconds",
            f"- {settings.longest_body} bytes",
            f"- {settings.idle:g} seconds",
        ):
            self.assertIn(number, page)
        self.assertEqual(Channel.linger, 2)
