"""
Tests for L{ropewalk.web.proxying}.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import skipUnless

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import http
from twisted.web.http_headers import Headers

from ropewalk.web.hosting.settings import BadMount
from ropewalk.web.problems import Refused
from ropewalk.web.proxies import Proxies
from ropewalk.web.proxying import proxy
from ropewalk.web.proxying.heads import Manners, request_head
from ropewalk.web.proxying.targets import read_target
from ropewalk.web.proxying.tunnels import FrameEdges
from tests.proxying import OK, Line, Proxying
from tests.test_site import browse
from tests.visiting import Answer, chunked, request


def lines(said: bytes) -> list[str]:
    """The lines of a head, in the order of the alphabet but for the first."""
    head, end, _ = said.partition(b"\r\n\r\n")
    assert end, said
    first, *others = head.decode("latin-1").split("\r\n")
    return [first, *sorted(others)]


class ProxyCase(SynchronousTestCase):
    """
    A site with a proxy on it.
    """

    def setUp(self) -> None:
        self.proxying = Proxying()

    @property
    def visit(self) -> Any:
        return self.proxying.visit

    def send(self, *args: Any, **kwargs: Any) -> None:
        """Have the client ask something."""
        self.visit.send(request(*args, **kwargs))

    def ask(self, *args: Any, **kwargs: Any) -> Line:
        """Have the client ask something, and a back end hear it."""
        self.send(*args, **kwargs)
        return self.proxying.line()

    def answer(self, method: str = "GET") -> Answer:
        answer: Answer = self.visit.answer(method)
        return answer


class PassingTests(ProxyCase):
    """
    Requests go to a back end, and its answers to the client.
    """

    def test_request(self) -> None:
        """
        A back end is told what was asked, and who is asking, once.
        """
        line = self.ask("/app/a%20b?c=d", "GET", "X-Own: 1", "Accept: text/html")
        self.assertEqual(
            lines(line.heard()),
            [
                "GET /app/a%20b?c=d HTTP/1.1",
                "Accept: text/html",
                "Forwarded: for=10.9.8.7;proto=http;host=example.org",
                "Host: example.org",
                "Via: 1.1 ropewalk",
                "X-Forwarded-For: 10.9.8.7",
                "X-Forwarded-Host: example.org",
                "X-Forwarded-Proto: http",
                "X-Own: 1",
            ],
        )

    def test_answer(self) -> None:
        """
        The client has what it answers: status, reason, headers and body.
        """
        line = self.ask("/app/")
        line.say(
            b"HTTP/1.1 404 Not Here\r\nContent-Le",
            b"ngth: 5\r\nX-A: b\r\nServer: shop\r\nSet-Cookie: a\r\n",
            b"Set-Cookie: b\r\n\r\nhel",
        )
        line.say(b"lo")
        said = self.visit.wire.value()
        self.assertIn(b"Set-Cookie: a\r\nSet-Cookie: b\r\n", said)
        self.assertEqual(said.count(b"Server: "), 1)
        answer = self.answer()
        self.assertEqual((answer.status, answer.reason), (404, "Not Here"))
        self.assertEqual(answer.body, b"hello")
        self.assertEqual(
            (answer.headers["x-a"], answer.headers["server"]), ("b", "shop")
        )
        self.assertEqual(self.proxying.place.noted(), [("GET", "/app/", 404)])

    def test_at_once(self) -> None:
        """
        What a back end has said is sent before it has said all.
        """
        line = self.ask("/app")
        line.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.assertIn(b"200 OK", self.visit.wire.value())
        line.say(b"3\r\none\r\n")
        self.assertTrue(self.visit.wire.value().endswith(b"3\r\none\r\n"))
        line.say(b"0\r\n\r\n")
        self.assertEqual(self.answer().body, b"one")

    def test_hop_by_hop(self) -> None:
        """
        What is between two ends of a connection stays there, in both directions.
        """
        line = self.ask(
            *("/app", "GET", "Connection: X-Own, close", "X-Own: 1", "TE: gzip"),
            *("Keep-Alive: 3", "Proxy-Connection: x", "Proxy: http://evil"),
            *("Proxy-Authorization: Basic eDp5", "Upgrade: h2c", "HTTP2-Settings: x"),
        )
        names = {each.partition(":")[0] for each in lines(line.heard())[1:]}
        self.assertEqual(
            names,
            {"Forwarded", "Host", "Via"}
            | {f"X-Forwarded-{each}" for each in ("For", "Host", "Proto")},
        )
        line.say(
            b"HTTP/1.1 200 OK\r\nConnection: X-Own\r\nX-Own: 1\r\nKeep-Alive: timeout=5"
            b"\r\nContent-Length: 0\r\n\r\n"
        )
        headers = self.answer().headers
        self.assertNotIn("x-own", headers)
        self.assertNotIn("keep-alive", headers)
        self.assertEqual(headers["connection"], "close")

    def test_trailers(self) -> None:
        """
        What comes behind a body in chunks is passed on, both ways.
        """
        head = request("/app", "POST", "Transfer-Encoding: chunked", "TE: trailers")
        self.visit.send(head + b"3\r\none\r\n0\r\nX-Sum: 1\r\n\r\n")
        line = self.proxying.line()
        said = line.heard()
        self.assertIn("Connection: TE", lines(said))
        self.assertIn("TE: trailers", lines(said))
        self.assertTrue(said.endswith(b"3\r\none\r\n0\r\nX-Sum: 1\r\n\r\n"))
        line.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        line.say(b"3\r\ntwo\r\n0\r\nX-Sum: 2\r\n\r\n")
        said = self.visit.wire.value()
        self.assertTrue(said.endswith(b"3\r\ntwo\r\n0\r\nX-Sum: 2\r\n\r\n"))

    def test_early_hints(self) -> None:
        """
        Early hints are passed on, and the answer comes behind them.
        """
        line = self.ask("/app")
        line.say(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nX-A: b\r\n\r\n")
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
        self.assertEqual(self.visit.wire.value(), hint)
        self.visit.wire.clear()
        line.say(OK)
        self.assertEqual(self.answer().body, b"ok")

    def test_kept(self) -> None:
        """
        A connection is used again; which of two requests came first does not matter.
        """
        line = self.ask("/app/1")
        line.heard()
        line.say(OK)
        self.assertEqual(self.answer().body, b"ok")
        self.send("/app/2")
        self.assertEqual(lines(line.heard())[0], "GET /app/2 HTTP/1.1")
        line.say(OK)
        self.assertEqual(self.proxying.wanted, 0)
        self.assertEqual(self.proxying.figures()["asked"], 2)

    def test_not_kept_for_long(self) -> None:
        """
        One that nobody uses is closed; sooner, if the back end says when it will.
        """
        line = self.ask("/app/1")
        line.say(OK)
        self.proxying.reactor.pump([1.0] * 3)
        self.assertFalse(line.closed)
        self.proxying.reactor.pump([1.0] * 2)
        self.assertTrue(line.closed)
        self.answer()
        line = self.ask("/app/1")
        line.say(
            b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 0\r\n\r\n"
        )
        self.proxying.reactor.pump([1.0, 1.0])
        self.assertTrue(line.closed)
        self.assertEqual(self.proxying.figures()["open"], 0)

    def test_head(self) -> None:
        """
        HEAD is answered without a body, also by a back end that sends one; and nobody
        takes that for the next answer.
        """
        line = self.ask("/app", "HEAD")
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        self.assertTrue(line.closed)
        answer = self.answer("HEAD")
        self.assertEqual((answer.headers["content-length"], answer.body), ("2", b""))
        line = self.ask("/app", "HEAD")
        line.say(OK)
        self.assertTrue(self.visit.wire.value().endswith(b"\r\n\r\n"))

    def test_more_than_an_answer(self) -> None:
        """
        What is behind an answer is not taken for the next one.
        """
        line = self.ask("/app")
        line.say(OK + b"HTTP/1.1 200 OK\r\n\r\nevil")
        self.assertTrue(line.closed)
        self.assertEqual(self.answer().body, b"ok")
        line = self.ask("/app")
        line.say(OK)
        line.say(b"HTTP/1.1 200 OK\r\n\r\nevil")
        self.assertTrue(line.closed)
        self.send("/app")
        self.assertEqual(self.proxying.wanted, 1)

    def test_old(self) -> None:
        """
        An answer of HTTP/1.0 ends with its connection, and the client's goes on.
        """
        line = self.ask("/app")
        line.say(b"HTTP/1.0 200 OK\r\n\r\nhel", b"lo")
        line.close()
        answer = self.answer()
        self.assertEqual((answer.body, answer.whole), (b"hello", True))
        self.assertFalse(self.visit.closed)
        self.send("/app", "POST", "Transfer-Encoding: chunked")
        self.assertEqual(self.answer().status, 411)

    def test_no_content(self) -> None:
        """
        204 has no length, whatever the back end says.
        """
        self.ask("/app").say(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
        answer = self.answer()
        self.assertEqual(answer.status, 204)
        self.assertNotIn("content-length", answer.headers)

    def test_pipelined(self) -> None:
        """
        Requests that come together are answered in their order.
        """
        self.visit.send(request("/app/1") + request("/app/2"))
        line = self.proxying.line()
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2")
        self.assertEqual([each.body for each in self.visit.answers()], [b"1", b"2"])

    def test_trace(self) -> None:
        """
        TRACE is not passed on.
        """
        self.send("/app", "TRACE")
        answer = self.answer()
        self.assertEqual(answer.status, 405)
        self.assertNotIn("TRACE", answer.headers["allow"])


class BodyTests(ProxyCase):
    """
    Bodies go as they come.
    """

    def test_length(self) -> None:
        """
        A body whose length is known goes with it, and at once.
        """
        line = self.ask("/app", "POST", "Content-Length: 6")
        self.assertIn("Content-Length: 6", lines(line.heard()))
        self.visit.send(b"one")
        self.assertEqual(line.heard(), b"one")
        self.visit.send(b"two")
        self.assertEqual(line.heard(), b"two")
        line.say(OK)
        self.assertEqual(self.answer().body, b"ok")
        self.assertEqual(self.proxying.figures()["idle"], 1)

    def test_no_body(self) -> None:
        """
        A POST without a body says so.
        """
        line = self.ask("/app", "POST")
        self.assertIn("Content-Length: 0", lines(line.heard()))

    def test_chunks(self) -> None:
        """
        One of which nobody knows the length goes in chunks.
        """
        line = self.ask("/app", "PUT", "Transfer-Encoding: chunked")
        said = lines(line.heard())
        self.assertIn("Transfer-Encoding: chunked", said)
        self.assertFalse(any(each.startswith("Content-Length") for each in said))
        self.visit.send(chunked(b"one", b"two"))
        self.assertEqual(line.heard(), b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")

    def test_invited(self) -> None:
        """
        Who waits to be invited is, when the back end does so.
        """
        line = self.ask("/app", "POST", "Content-Length: 3", "Expect: 100-continue")
        self.assertIn("Expect: 100-continue", lines(line.heard()))
        self.assertEqual(self.visit.wire.value(), b"")
        line.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(self.visit.wire.value(), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.visit.send(b"one")
        self.assertEqual(line.heard(), b"one")

    def test_not_invited(self) -> None:
        """
        One that the back end refuses is told so; one that it says nothing to sends its
        body after a second.
        """
        line = self.ask("/app", "POST", "Content-Length: 3", "Expect: 100-continue")
        line.say(b"HTTP/1.1 413 Too Long\r\nContent-Length: 0\r\n\r\n")
        answer = self.answer()
        self.assertEqual((answer.status, answer.headers["connection"]), (413, "close"))
        self.assertTrue(line.closed)
        visit = self.proxying.another()
        visit.send(request("/app", "POST", "Content-Length: 3", "Expect: 100-continue"))
        self.proxying.line()
        self.proxying.reactor.pump([1.0])
        self.assertEqual(visit.wire.value(), b"HTTP/1.1 100 Continue\r\n\r\n")

    def test_back_pressure_there(self) -> None:
        """
        A client sends no more than the back end takes.
        """
        line = self.ask("/app", "POST", "Content-Length: 1000000")
        line.pause(True)
        self.visit.send(b"x")  # somebody waits for that already
        line.heard()
        self.visit.send(b"x" * 70_000)
        self.assertEqual(self.visit.wire.producerState, "paused")
        self.assertEqual(line.heard(), b"")
        line.pause(False)
        self.assertEqual(self.visit.wire.producerState, "producing")
        self.assertEqual(line.heard(), b"x" * 70_000)

    def test_back_pressure_back(self) -> None:
        """
        A back end says no more than the client takes.
        """
        line = self.ask("/app")
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none")
        self.visit.wire.producer.pauseProducing()
        line.say(b"two")
        self.assertEqual(line.wire.producerState, "paused")
        self.visit.wire.producer.resumeProducing()
        self.assertEqual(line.wire.producerState, "producing")
        line.say(b"six")
        self.assertEqual(self.answer().body, b"onetwosix")

    def test_answered_early(self) -> None:
        """
        An answer that comes before the body is whole is sent, and the connection to
        the back end is not used again.
        """
        line = self.ask("/app", "POST", "Content-Length: 6")
        self.visit.send(b"one")
        line.say(OK)
        self.assertEqual(self.answer().body, b"ok")
        self.assertTrue(line.closed)
        self.visit.send(b"two" + request("/app"))
        self.assertEqual(self.proxying.wanted, 1)

    def test_too_long(self) -> None:
        """
        A body that is too long is cut, and the back end does not take it for whole.
        """
        self.proxying = Proxying(longest_body=10)
        line = self.ask("/app", "POST", "Transfer-Encoding: chunked")
        self.visit.send(b"b\r\n")
        self.assertEqual(self.answer().status, 413)
        self.assertTrue(line.closed)
        self.assertFalse(line.heard().endswith(b"0\r\n\r\n"))


class TrustTests(ProxyCase):
    """
    Who is asking is told as we know it, not as the client says.
    """

    def test_spoofed(self) -> None:
        """
        What a client says of that is dropped, also by a name that WSGI cannot tell
        from it.
        """
        said = [
            *(
                "X-Forwarded-For: 1.1.1.1",
                "X_Forwarded_For: 1.1.1.1",
                "Forwarded: for=x",
            ),
            *(
                "X-Real-IP: 1.1.1.1",
                "x-forwarded-host: evil",
                "X-Forwarded_Proto: https",
            ),
            *("X-Forwarded-Prefix: /evil", "X-Script-Name: /evil", "Via: 1.0 fred"),
            *("X-Original-URL: /admin", "True-Client-IP: 1.1.1.1"),
        ]
        heard = lines(self.ask("/app", "GET", *said).heard())
        self.assertEqual(
            heard[1:],
            [
                "Forwarded: for=10.9.8.7;proto=http;host=example.org",
                "Host: example.org",
                "Via: 1.0 fred",
                "Via: 1.1 ropewalk",
                "X-Forwarded-For: 10.9.8.7",
                "X-Forwarded-Host: example.org",
                "X-Forwarded-Proto: http",
            ],
        )

    def test_trusted(self) -> None:
        """
        Whom a trusted proxy names is who is asking.
        """
        self.proxying = Proxying(proxies=Proxies(["10.9.8.7"]))
        line = self.ask(
            *("/app", "GET", "X-Forwarded-For: 1.2.3.4, 192.0.2.7"),
            *("X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example"),
        )
        heard = lines(line.heard())
        self.assertIn("X-Forwarded-For: 192.0.2.7", heard)
        self.assertIn("X-Forwarded-Proto: https", heard)
        self.assertIn("Host: shop.example", heard)
        self.assertIn("Forwarded: for=192.0.2.7;proto=https;host=shop.example", heard)

    def test_request_id(self) -> None:
        """
        A back end is told the request's id.
        """
        self.proxying.place.site.request_id = b"X-Request-ID"
        heard = self.ask("/app", "GET", "X-Request-ID: evil").heard()
        (name,) = [each for each in lines(heard) if each.startswith("X-Request-ID")]
        self.assertRegex(name, "^X-Request-ID: [0-9a-f]{12}-r[0-9]+$")


class PathTests(ProxyCase):
    """
    What a back end is asked for, and how it is named.
    """

    def asked(self, path: str, *targets: str, **terms: Any) -> str:
        self.proxying = Proxying(*targets, **terms)
        first = lines(self.ask(path).heard())[0]
        return first.removeprefix("GET ").removesuffix(" HTTP/1.1")

    def test_kept(self) -> None:
        """
        A back end is asked for what the client asks for.
        """
        for path in ("/app", "/app/", "/app/%2e%2e/x", "/app/a//b?c=%2F"):
            self.assertEqual(self.asked(path), path)

    def test_stripped(self) -> None:
        """
        It is asked without the path of the mount if that is wanted, however that is
        written.
        """
        expected = {
            "/app": "/",
            "/app?a": "/?a",
            "/app/": "/",
            "/app/b%2Fc?d": "/b%2Fc?d",
            "/%61pp/b/c": "/b/c",
            "/%61pp?x=/y": "/?x=/y",
        }
        for path, asked in expected.items():
            self.assertEqual(self.asked(path, keep_prefix=False), asked)
        self.proxying = Proxying(keep_prefix=False)
        heard = lines(self.ask("/app/b").heard())
        self.assertIn("X-Forwarded-Prefix: /app", heard)

    def test_base(self) -> None:
        """
        A back end's own path comes first.
        """
        target = "http://127.0.0.1:9000/base/"
        self.assertEqual(self.asked("/app/x", target), "/base/app/x")
        self.assertEqual(self.asked("/app/x", target, keep_prefix=False), "/base/x")

    def test_host(self) -> None:
        """
        It is told the host that the client asked for, or its own.
        """
        for target, host in (
            ("http://127.0.0.1:9000", "127.0.0.1:9000"),
            ("http://127.0.0.1", "127.0.0.1"),
            ("http://[::1]:9000", "[::1]:9000"),
        ):
            self.proxying = Proxying(target, keep_host=False)
            heard = lines(self.ask("/app").heard())
            self.assertIn(f"Host: {host}", heard)
            self.assertIn("X-Forwarded-Host: example.org", heard)

    def test_rewritten(self) -> None:
        """
        Paths in its answers are the client's, if that is wanted.
        """
        self.proxying = Proxying(keep_prefix=False, rewrite=True)
        line = self.ask("/app/x")
        line.say(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9000/y?z\r\n"
            b"Set-Cookie: a=b; Path=/; Secure\r\nSet-Cookie: c=d; path=/app/e\r\n"
            b"Content-Location: /q\r\nX-Other: /r\r\nContent-Length: 0\r\n\r\n"
        )
        said = self.visit.wire.value().decode()
        self.assertIn("Location: /app/y?z\r\n", said)
        self.assertIn("Set-Cookie: a=b; Path=/app/; Secure\r\n", said)
        self.assertIn("Set-Cookie: c=d; path=/app/e\r\n", said)
        self.assertIn("Content-Location: /app/q\r\n", said)
        self.assertIn("X-Other: /r\r\n", said)

    def test_elsewhere(self) -> None:
        """
        What leads elsewhere is left as it is.
        """
        for place in ("http://other/y", "//other/y", "y", "http://127.0.0.1:90001/"):
            self.proxying = Proxying(keep_prefix=False, rewrite=True)
            line = self.ask("/app/x")
            line.say(
                b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n"
                % place.encode()
            )
            self.assertEqual(self.answer().headers["location"], place)


class FaultTests(ProxyCase):
    """
    A back end that fails is no reason for the client to hear something wrong.
    """

    def assertRefused(self, status: int) -> None:
        answer = self.answer()
        self.assertEqual(answer.status, status)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        self.assertNotIn("127.0.0.1", answer.text)

    def test_refused(self) -> None:
        """
        Nobody listens: 502.
        """
        self.send("/app")
        self.proxying.refuse()
        self.assertRefused(502)
        self.assertEqual(self.proxying.figures()["failed"], 1)

    def test_no_reply(self) -> None:
        """
        It says something that is no answer: 502, and nothing of it is passed on.
        """
        for said in (
            *(b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n"),
            OK.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
        ):
            self.proxying = Proxying()
            line = self.ask("/app", "POST")
            line.say(said)
            self.assertTrue(line.closed)
            self.assertRefused(502)

    def test_closed(self) -> None:
        """
        It closes before it answers: 502.
        """
        line = self.ask("/app", "POST")
        line.close()
        self.assertRefused(502)
        self.assertEqual(self.proxying.wanted, 0)

    def test_silent(self) -> None:
        """
        It does not answer in time: 504.
        """
        self.proxying = Proxying(timeout=5)
        line = self.ask("/app")
        self.proxying.reactor.pump([1.0] * 4)
        self.assertFalse(line.closed)
        self.proxying.reactor.pump([1.0] * 2)
        self.assertTrue(line.closed)
        self.assertRefused(504)

    def test_broken_off(self) -> None:
        """
        An answer that it breaks off is broken off for the client.
        """
        for body in (
            b"Content-Length: 9\r\n\r\none",
            b"Transfer-Encoding: chunked\r\n\r\n",
        ):
            self.proxying = Proxying()
            line = self.ask("/app")
            line.say(b"HTTP/1.1 200 OK\r\n" + body)
            line.close()
            self.assertTrue(self.visit.closed)
            self.assertFalse(self.answer().whole)

    def test_silent_in_the_middle(self) -> None:
        """
        One that goes silent in the middle of an answer is given up, too; not one that
        waits for the client.
        """
        self.proxying = Proxying(timeout=5)
        line = self.ask("/app")
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none")
        self.visit.wire.producer.pauseProducing()
        line.say(b"two")
        self.proxying.reactor.pump([1.0] * 20)
        self.assertFalse(line.closed)
        self.visit.wire.producer.resumeProducing()
        self.proxying.reactor.pump([1.0] * 6)
        self.assertTrue(line.closed)
        self.assertFalse(self.answer().whole)

    def test_slow_client(self) -> None:
        """
        A back end is not blamed for a body that the client does not send.
        """
        self.proxying = Proxying(timeout=5)
        line = self.ask("/app", "POST", "Content-Length: 6")
        self.proxying.reactor.pump([1.0] * 9)
        self.visit.send(b"onetwo")
        line.say(OK)
        self.assertEqual(self.answer().body, b"ok")

    def test_left(self) -> None:
        """
        When the client leaves, the back end need not go on.
        """
        line = self.ask("/app")
        self.visit.leave()
        self.assertTrue(line.closed)
        self.assertEqual(self.proxying.figures()["busy"], 0)

    def test_left_while_connecting(self) -> None:
        """
        A connection that is there too late is kept for others.
        """
        self.send("/app")
        self.visit.leave()
        line = self.proxying.line()
        self.assertEqual(line.heard(), b"")
        figures = self.proxying.figures()
        self.assertEqual((figures["busy"], figures["idle"]), (0, 1))

    def test_stale(self) -> None:
        """
        A connection that is closed just when it is used again costs nobody an answer.
        """
        line = self.ask("/app")
        line.say(OK)
        self.answer()
        self.send("/app/again")
        line.close()
        again = self.proxying.line()
        self.assertEqual(lines(again.heard())[0], "GET /app/again HTTP/1.1")
        again.say(OK)
        self.assertEqual(self.answer().body, b"ok")
        self.assertEqual(self.proxying.figures()["failed"], 0)

    def test_stale_only_once(self) -> None:
        """
        It is tried once, and on a new connection.
        """
        line = self.ask("/app")
        line.say(OK)
        self.answer()
        self.send("/app/again")
        line.close()
        self.proxying.line().close()
        self.assertRefused(502)

    def test_never_twice(self) -> None:
        """
        What could do something twice is not sent twice; and a connection that was idle
        for long is not risked for it.
        """
        line = self.ask("/app")
        line.say(OK)
        self.answer()
        self.send("/app", "POST", body=b"pay")
        line.close()
        self.assertRefused(502)
        self.assertEqual(self.proxying.wanted, 0)
        line = self.ask("/app")
        line.say(OK)
        self.answer()
        self.proxying.reactor.advance(2)
        self.send("/app", "POST", body=b"pay")
        self.assertEqual(self.proxying.wanted, 1)

    def test_busy(self) -> None:
        """
        There are no more connections than there may be; who waits has the next that is
        free, and who waits too long is told so.
        """
        self.proxying = Proxying(connections=1, queue=1)
        line = self.ask("/app/1")
        second, third = self.proxying.another(), self.proxying.another()
        second.send(request("/app/2"))
        third.send(request("/app/3"))
        answer = third.answer()
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
        line.heard()
        line.say(OK)
        self.assertEqual(lines(line.heard())[0], "GET /app/2 HTTP/1.1")
        third.send(request("/app/3"))
        self.proxying.reactor.advance(5)
        self.assertEqual(third.answer().status, 503)
        line.say(OK)
        self.assertEqual(second.answer().body, b"ok")

    def test_busy_and_lost(self) -> None:
        """
        Who waits has a new connection when an old one is lost.
        """
        self.proxying = Proxying(connections=1)
        line = self.ask("/app/1")
        second = self.proxying.another()
        second.send(request("/app/2"))
        line.close()
        again = self.proxying.line()
        self.assertEqual(lines(again.heard())[0], "GET /app/2 HTTP/1.1")
        again.say(OK)
        self.assertEqual(second.answer().body, b"ok")

    def test_busy_and_left(self) -> None:
        """
        Who has left no longer waits for a connection, in the place of another.
        """
        self.proxying = Proxying(connections=1, queue=1)
        line = self.ask("/app/1")
        second, third = self.proxying.another(), self.proxying.another()
        second.send(request("/app/2"))
        self.assertEqual(self.proxying.figures()["busy"], 2)
        second.leave()
        self.assertEqual(self.proxying.figures()["busy"], 1)
        third.send(request("/app/3"))
        line.heard()
        line.say(OK)
        self.assertEqual(lines(line.heard())[0], "GET /app/3 HTTP/1.1")
        line.say(OK)
        self.assertEqual(third.answer().body, b"ok")
        self.assertEqual(self.proxying.figures()["failed"], 0)

    def test_busy_and_refused(self) -> None:
        """
        When no connection can be had any more, nobody waits for one in vain.
        """
        self.proxying = Proxying(connections=1)
        self.send("/app/1")
        others = [self.proxying.another() for _ in range(3)]
        for each in others:
            each.send(request("/app/2"))
        for _ in range(3):
            self.proxying.refuse()
        line = self.proxying.line()
        line.say(OK)
        statuses = [each.answer().status for each in (self.visit, *others)]
        self.assertEqual(statuses, [502, 502, 502, 200])


class BackendTests(ProxyCase):
    """
    Of several back ends, those are asked that are well.
    """

    def setUp(self) -> None:
        self.proxying = Proxying("http://127.0.0.1:1", "http://127.0.0.1:2")

    def test_least_busy(self) -> None:
        """
        Who has the fewest requests has the next one.
        """
        for port in (1, 2, 1):
            visit = self.proxying.another()
            visit.send(request("/app"))
            line = self.proxying.line(port)
        line.say(OK)  # of the first, which has one left
        self.proxying.another().send(request("/app"))
        self.assertEqual(self.proxying.figures(0)["busy"], 1 + 0)

    def test_round(self) -> None:
        """
        Or each has one in turn.
        """
        self.proxying = Proxying(
            "http://127.0.0.1:1", "http://127.0.0.1:2", balance="round"
        )
        for port in (1, 2, 1, 2):
            line = self.ask("/app") if port else None
            assert line is not None
            line.say(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )
            self.answer()
        asked = [self.proxying.figures(number)["asked"] for number in (0, 1)]
        self.assertEqual(asked, [2, 2])

    def test_refused(self) -> None:
        """
        Where one does not even answer the telephone, the other has the request:
        nothing of it was sent.
        """
        self.send("/app", "POST", body=b"pay")
        self.proxying.refuse()
        line = self.proxying.line(2)
        self.assertTrue(line.heard().endswith(b"pay"))
        line.say(OK)
        self.assertEqual(self.answer().body, b"ok")
        self.assertEqual(self.proxying.figures(0)["state"], "resting")
        self.assertEqual(self.proxying.figures(1)["retried"], 1)

    def test_lost(self) -> None:
        """
        What could be sent twice is sent to the other when one dies of it.
        """
        self.ask("/app").close()
        line = self.proxying.line(2)
        line.say(OK)
        self.assertEqual(self.answer().body, b"ok")

    def test_resting(self) -> None:
        """
        One that has failed is left out, longer each time, and then tried again.
        """
        rests = []
        for _ in range(2):
            self.send("/app")
            while self.proxying.wanted:
                self.proxying.refuse()
            self.assertEqual(self.answer().status, 502)
            self.send("/app")
            answer = self.answer()
            self.assertEqual(answer.status, 503)
            rests.append(int(answer.headers["retry-after"]))
            self.proxying.reactor.advance(rests[-1])
        self.assertEqual(rests, [1, 2])
        self.ask("/app").say(OK)
        self.assertEqual(self.answer().body, b"ok")

    def test_leaving(self) -> None:
        """
        One that is taken out finishes what it has, and gets nothing new until it is
        back.
        """
        line = self.ask("/app")
        left = self.proxying.mounting.leave("http://127.0.0.1:1")
        self.assertNoResult(left)
        visit = self.proxying.another()
        visit.send(request("/app"))
        self.proxying.line(2).say(OK)
        line.say(OK)
        self.successResultOf(left)
        self.assertTrue(line.closed)
        self.assertEqual(self.answer().body, b"ok")
        self.successResultOf(self.proxying.mounting.leave("http://127.0.0.1:2"))
        visit.send(request("/app"))
        self.assertEqual([each.status for each in visit.answers()], [200, 503])
        self.assertIn("leaving", self.proxying.mounting.problem() or "")
        self.proxying.mounting.come_back("http://127.0.0.1:2")
        self.assertIsNone(self.proxying.mounting.problem())
        self.assertRaises(KeyError, self.proxying.mounting.leave, "http://other")

    def test_leaving_while_others_wait(self) -> None:
        """
        Who waited for a connection before that has one.
        """
        self.proxying = Proxying(connections=1)
        line = self.ask("/app/1")
        second = self.proxying.another()
        second.send(request("/app/2"))
        left = self.proxying.mounting.leave("http://127.0.0.1:9000")
        line.heard()
        line.say(OK)
        self.assertNoResult(left)
        self.assertEqual(lines(line.heard())[0], "GET /app/2 HTTP/1.1")
        line.say(OK)
        self.assertEqual(second.answer().body, b"ok")
        self.successResultOf(left)
        self.assertTrue(line.closed)


class RestartTests(ProxyCase):
    """
    What was stopped can be started.
    """

    def test_restarted(self) -> None:
        """
        Connections are kept again.
        """
        self.ask("/app").say(OK)
        self.proxying.mounting.stopService()
        self.assertEqual(self.proxying.figures()["open"], 0)
        self.proxying.mounting.startService()
        self.answer()
        self.ask("/app").say(OK)
        self.assertEqual(self.proxying.figures()["idle"], 1)

    def test_many_failures(self) -> None:
        """
        Of failures in a row, each is told that has twice the number of the last one.
        """
        events: Any = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        for _ in range(9):
            self.send("/app")
            self.proxying.refuse()
            self.answer()
        told = [each["number"] for each in events if "number" in each]
        self.assertEqual(told, [1, 2, 4, 8])


class ProbeTests(ProxyCase):
    """
    Back ends are asked how they are.
    """

    def setUp(self) -> None:
        self.proxying = Proxying(health="/health", health_interval=5)

    def probe(self, *said: bytes) -> bytes:
        line = self.proxying.line()
        heard = line.heard()
        line.say(*said)
        self.assertTrue(line.closed)
        return heard

    def state(self) -> str:
        state: str = self.proxying.figures()["state"]
        return state

    def test_well(self) -> None:
        """
        One that answers is asked again after a while.
        """
        heard = self.probe(OK)
        self.assertEqual(
            lines(heard),
            [
                "GET /health HTTP/1.1",
                *("Connection: close", "Host: 127.0.0.1:9000", "User-Agent: ropewalk"),
            ],
        )
        self.assertEqual((self.state(), self.proxying.wanted), ("ready", 0))
        self.proxying.reactor.advance(5)
        self.assertEqual(self.proxying.wanted, 1)

    def test_ill(self) -> None:
        """
        One that twice does not answer well gets no requests, until it does.
        """
        self.probe(OK)
        self.proxying.reactor.advance(5)
        self.probe(b"HTTP/1.1 500 Oh\r\n\r\n")
        self.assertEqual(self.state(), "ready")
        self.proxying.reactor.advance(5)
        self.proxying.refuse()
        self.assertEqual(self.state(), "ill")
        self.send("/app")
        self.assertEqual(self.answer().status, 503)
        self.assertIn("ill", self.proxying.mounting.problem() or "")
        self.proxying.reactor.advance(5)
        self.probe(OK)
        self.assertEqual(self.state(), "ready")

    def test_silent(self) -> None:
        """
        To be silent is not to be well; nobody is asked twice at once.
        """
        line = self.proxying.line()
        self.proxying.reactor.advance(5)
        self.assertTrue(line.closed)
        self.assertEqual((self.state(), self.proxying.wanted), ("ill", 0))
        self.proxying.reactor.advance(5)
        self.assertEqual(self.proxying.wanted, 1)

    def test_stopped(self) -> None:
        """
        When the daemon stops, nobody is asked any more, and no time is waited for.
        """
        self.probe(OK)
        self.proxying.mounting.stopService()
        self.assertEqual(self.proxying.reactor.getDelayedCalls(), [])


class DescriptionTests(SynchronousTestCase):
    """
    What cannot be passed to is refused where it is written.
    """

    def test_shown(self) -> None:
        """
        It is shown by where it passes requests to.
        """
        described = proxy(["http://a:1", "unix:/run/b"])
        self.assertEqual(described.shown, "http://a:1, unix:/run/b (proxy)")

    def test_refused(self) -> None:
        """
        Each mistake is named, and what to write.
        """
        for url, problem in {
            "127.0.0.1:9000": "no place to pass requests to; write 'http://127",
            "ftp://a": "no place to pass requests to",
            "http://": "no place to pass requests to",
            "http://a:x": "is no URL",
            "http://a?b": "more in it than",
            "http://u:p@a": "more in it than",
            "unix:run": "names no socket by its whole path",
            "http://a b": "characters in it that no URL has",
        }.items():
            with self.assertRaisesRegex(BadMount, problem):
                proxy(url)

    def test_terms(self) -> None:
        """
        So are terms that cannot be kept.
        """
        for terms, problem in (
            (
                {"hots": "keep"},
                "nothing is known of hots; what can be said: keep_prefix",
            ),
            ({"rewrite": True}, "nothing to put back"),
            ({"balance": "best"}, "balance is 'least' or 'round'"),
            ({"timeout": 0}, "timeout is more than 0"),
            ({"connections": 0}, "1 or more"),
            ({"health": "x"}, "a path such as"),
        ):
            with self.assertRaisesRegex(BadMount, problem):
                proxy("http://a", **terms)
        with self.assertRaisesRegex(BadMount, "named twice"):
            proxy(["http://a", "http://a"])
        with self.assertRaisesRegex(BadMount, "nobody to pass requests to"):
            proxy([])


SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
)

SOCKET = (
    *("Connection: keep-alive, Upgrade", "Upgrade: websocket"),
    *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"),
)

#: RFC 6455, section 7.4.1: going away.
AWAY = b"\x88\x02\x03\xe9"


class TunnelTests(ProxyCase):
    """
    A client and a back end may agree upon another protocol.
    """

    def tunnel(self, *headers: str, rest: bytes = b"") -> Line:
        line = self.ask("/app/live", "GET", *(headers or SOCKET))
        said = lines(line.heard())
        self.assertIn("Connection: Upgrade", said)
        line.say(SWITCH + rest)
        self.assertEqual(self.heard(), SWITCH + rest)
        return line

    def heard(self) -> bytes:
        said: bytes = self.visit.wire.value()
        self.visit.wire.clear()
        return said

    def test_both_ways(self) -> None:
        """
        What one says, the other hears, as it is; the log has it as 101.
        """
        line = self.tunnel(rest=b"\x81\x02hi")
        self.visit.send(b"\x81\x82mask", b"\x00")
        self.assertEqual(line.heard(), b"\x81\x82mask\x00")
        line.say(b"\x82\x00")
        self.assertEqual(self.heard(), b"\x82\x00")
        self.assertEqual(self.proxying.place.noted(), [("GET", "/app/live", 101)])
        figures = self.proxying.figures()
        self.assertEqual((figures["busy"], figures["open"]), (1, 0))

    def test_early(self) -> None:
        """
        What the client says before the back end has agreed is not lost.
        """
        self.visit.send(request("/app/live", "GET", *SOCKET) + b"\x81")
        line = self.proxying.line()
        self.visit.send(b"\x80")
        self.assertIn("Upgrade: websocket", lines(line.heard()))
        line.say(SWITCH)
        self.assertEqual(line.heard(), b"\x81\x80")

    def test_refused(self) -> None:
        """
        A back end that does not agree just answers.
        """
        line = self.ask("/app/live", "GET", *SOCKET)
        line.say(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        self.assertEqual(self.answer().status, 403)
        self.send("/app")
        self.assertEqual(self.proxying.wanted, 0)

    def test_not_asked(self) -> None:
        """
        Nothing else is asked for: not what HTTP/2 is called, not by who names nothing,
        and not with a body.
        """
        for headers in (
            *(["Connection: Upgrade", "Upgrade: h2c"], ["Upgrade: websocket"]),
            *(["Connection: Upgrade"], ["Connection: Upgrade", "Upgrade: a, b"]),
        ):
            self.proxying = Proxying()
            said = self.ask("/app", "GET", *headers).heard().lower()
            self.assertNotIn(b"upgrade", said)
        self.proxying = Proxying()
        self.assertNotIn(
            b"pgrade", self.ask("/app", "POST", *SOCKET, body=b"x").heard()
        )

    def test_client_leaves(self) -> None:
        """
        When the client leaves, the back end is told.
        """
        line = self.tunnel()
        self.visit.leave()
        self.assertTrue(line.closed)
        line.close()
        self.assertEqual(self.proxying.figures()["busy"], 0)

    def test_back_end_leaves(self) -> None:
        """
        When the back end leaves, the client is told, after what was said.
        """
        line = self.tunnel()
        line.say(b"\x88\x00")
        line.close()
        self.assertEqual(self.heard(), b"\x88\x00")
        self.assertTrue(self.visit.closed)
        self.visit.send(b"\x88\x80")
        self.visit.leave()
        self.assertEqual(self.proxying.figures()["busy"], 0)

    def test_back_pressure(self) -> None:
        """
        Each waits while the other does not read.
        """
        line = self.tunnel()
        line.pause(True)
        self.assertEqual(self.visit.wire.producerState, "paused")
        line.pause(False)
        self.assertEqual(self.visit.wire.producerState, "producing")
        self.visit.wire.producer.pauseProducing()
        self.assertEqual(line.wire.producerState, "paused")

    def test_goodbye(self) -> None:
        """
        When the daemon goes, the client of a WebSocket is told, between two frames, and
        the two may say goodbye.
        """
        line = self.tunnel()
        line.say(b"\x82\x7e\x00\x80" + b"x" * 100)
        self.heard()
        self.visit.connection.drain("shutting down")
        self.assertEqual(self.heard(), b"")
        line.say(b"x" * 28)
        self.assertEqual(self.heard(), b"x" * 28 + AWAY)
        line.say(b"\x81\x02hi")
        self.assertEqual(self.heard(), b"")
        self.visit.send(b"\x88\x82abcdef")
        self.assertEqual(line.heard(), b"\x88\x82abcdef")
        line.close()
        self.assertTrue(self.visit.closed)
        self.visit.leave()
        self.assertEqual(self.proxying.reactor.getDelayedCalls()[1:], [])

    def test_late(self) -> None:
        """
        One that begins while the daemon goes ends at once.
        """
        line = self.ask("/app/live", "GET", *SOCKET)
        self.visit.connection.drain("shutting down")
        line.say(SWITCH)
        self.assertEqual(self.heard(), SWITCH + AWAY)

    def test_no_goodbye(self) -> None:
        """
        Who does not say goodbye is not waited for; of another protocol, nobody knows
        how.
        """
        line = self.tunnel()
        self.visit.connection.drain("shutting down")
        self.assertEqual(self.heard(), AWAY)
        self.assertFalse(self.visit.closed)
        self.proxying.reactor.advance(3)
        self.assertTrue(self.visit.closed)
        self.assertTrue(line.closed)
        self.proxying = Proxying()
        line = self.tunnel("Connection: Upgrade", "Upgrade: telnet")
        self.visit.connection.drain("shutting down")
        self.assertTrue(self.visit.closed)
        self.assertTrue(line.closed)


class EdgeTests(SynchronousTestCase):
    """
    Where the frames of a WebSocket end.
    """

    @settings(suppress_health_check=list(HealthCheck), deadline=None)
    @given(
        st.lists(st.sampled_from([0, 1, 125, 126, 65535, 65536, 70000]), max_size=5),
        st.lists(st.integers(1, 80_000), max_size=8),
    )
    def test_frames(self, sizes: list[int], cuts: list[int]) -> None:
        """
        They are known wherever bytes are cut.
        """
        data, ends = b"", {0}
        for size in sizes:
            length = (
                bytes([size])
                if size < 126
                else b"\x7e" + size.to_bytes(2, "big")
                if size < 65536
                else b"\x7f" + size.to_bytes(8, "big")
            )
            data += b"\x82" + length + b"\xff" * size
            ends.add(len(data))
        edges, at = FrameEdges(), 0
        for place in sorted({*(cut for cut in cuts if cut < len(data)), len(data)}):
            edges.follow(data[at:place])
            at = place
            self.assertEqual(edges.between, at in ends)


class Asking:
    """
    A request as it may have come by HTTP/2, whose bytes nobody has judged.
    """

    clientproto = b"HTTP/2"
    client = _fields = None
    site = SimpleNamespace(request_id=b"")

    def __init__(self, method: bytes, uri: bytes, **headers: bytes) -> None:
        self.method, self.uri = method, uri
        self.requestHeaders = Headers({b"host": [b"a"]})
        raw: Any = self.requestHeaders._rawHeaders  # setRawHeaders would mend them
        raw.update({name.encode(): [value] for name, value in headers.items()})

    def isSecure(self) -> bool:
        return True

    def asked_header(self, name: bytes) -> list[bytes]:
        return list(self.requestHeaders.getRawHeaders(name) or ())


class HeadTests(SynchronousTestCase):
    """
    What cannot be said in HTTP/1.1 is not said.
    """

    target = read_target("http://127.0.0.1:9000")

    def head(self, method: bytes, uri: bytes, **headers: bytes) -> bytes:
        asking = Asking(method, uri, **headers)
        return request_head(asking, self.target, Manners(), None, None)

    def test_said(self) -> None:
        """
        What can be is; cookies that came in pieces are one (RFC 9113, section 8.2.3).
        """
        asking = Asking(b"GET", b"/a?b")
        asking.requestHeaders.setRawHeaders(b"cookie", [b"a=b", b"c=d"])
        said = request_head(asking, self.target, Manners(), None, None)
        self.assertEqual(
            lines(said),
            [
                *("GET /a?b HTTP/1.1", "Cookie: a=b; c=d"),
                *("Forwarded: for=unknown;proto=https;host=a", "Host: a"),
                *("Via: 2 ropewalk", "X-Forwarded-Host: a", "X-Forwarded-Proto: https"),
            ],
        )

    def test_not_said(self) -> None:
        """
        An end of a line, or anything else that would be read as more than it is, ends
        the request.
        """
        for method, uri, value in (
            (b"GET", b"/ HTTP/1.1\r\nX: y", b""),
            (b"GET", b"/a b", b""),
            (b"GET", b"/\xc3\xa4", b""),
            (b"GE T", b"/", b""),
            (b"GET\r\nX: y", b"/", b""),
            (b"GET", b"/", b"y\r\nContent-Length: 5"),
            (b"GET", b"/", b"y\nz"),
            (b"GET", b"/", b"\x00"),
        ):
            with self.assertRaises(Refused):
                self.head(method, uri, **({"x": value} if value else {}))
        with self.assertRaises(Refused):
            self.head(b"GET", b"/", **{"x: y\r\nz": b"1"})


@skipUnless(http.H2_ENABLED, "h2 is not installed")
class HTTP2Tests(ProxyCase):
    """
    Clients may speak HTTP/2; back ends hear HTTP/1.1.
    """

    def setUp(self) -> None:
        super().setUp()
        self.browser = browse(self, self.proxying.place)

    def test_both_ways(self) -> None:
        """
        A body goes as it comes, and so does the answer, with its trailers.
        """
        stream = self.browser.ask("/app/x", "POST", ("te", "trailers"), end=False)
        line = self.proxying.line()
        said = lines(line.heard())
        self.assertEqual(said[0], "POST /app/x HTTP/1.1")
        for each in ("Host: example.org", "TE: trailers", "Via: 2 ropewalk"):
            self.assertIn(each, said)
        self.assertIn("Transfer-Encoding: chunked", said)
        self.browser.send(b"one")
        self.assertEqual(line.heard(), b"3\r\none\r\n")
        line.say(b"HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n")
        self.browser.turn()
        self.assertEqual((stream.status, stream.body), (201, b"two"))
        self.browser.send(b"", end=True)
        self.assertEqual(line.heard(), b"0\r\n\r\n")
        line.say(b"0\r\nX-Sum: 1\r\n\r\n")
        self.browser.turn()
        self.assertTrue(stream.whole)
        self.assertEqual(self.browser.trailers, {"x-sum": "1"})

    def test_early_hints(self) -> None:
        """
        Early hints go through.
        """
        stream = self.browser.ask("/app")
        line = self.proxying.line()
        line.say(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
        self.browser.turn()
        self.assertEqual((stream.status, stream.body), (200, b"ok"))

    def test_broken_off(self) -> None:
        """
        A stream whose answer is broken off is reset; the connection goes on.
        """
        stream = self.browser.ask("/app")
        line = self.proxying.line()
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none")
        line.close()
        self.browser.turn()
        self.assertFalse(stream.whole)
        again = self.browser.ask("/app")
        self.proxying.line().say(OK)
        self.browser.turn()
        self.assertEqual(again.body, b"ok")
