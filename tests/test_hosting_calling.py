"""
Tests for L{ropewalk.web.hosting.wsgi.calling}: one call of a WSGI application.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.hosting.wsgi.calling import BadAnswer
from tests.guests import AtOnce, hello, put
from tests.visiting import Answer, chunked, request

Start = Callable[..., Callable[[bytes], None]]


def answering(
    pieces: Iterable[bytes], status: str = "200 OK", *headers: tuple[str, str]
) -> Callable[..., Iterable[bytes]]:
    """An application that always answers in one way."""

    def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start(status, list(headers))
        return pieces

    return application


class CallCase(SynchronousTestCase):
    """
    An application, called without threads.
    """

    def ask(
        self,
        application: Callable[..., Any],
        method: str = "GET",
        *headers: str,
        body: bytes = b"",
    ) -> Answer:
        visit = put(application).visit()
        return visit.ask("/", method, *headers, body=body)

    def fails(self, application: Callable[..., Any], words: str = "") -> None:
        """The client is told of an error, and the log which."""
        self.assertEqual(self.ask(application).status, 500)
        (error,) = self.flushLoggedErrors()
        self.assertIn(words, str(error.value))


class AnswerTests(CallCase):
    """
    What an application returns.
    """

    def test_one_piece(self) -> None:
        """
        A list is an answer whose length is known.
        """
        answer = self.ask(hello)
        self.assertEqual((answer.status, answer.body), (200, b"hello world\n"))
        self.assertEqual(answer.headers["content-length"], "12")
        self.assertEqual(answer.headers["content-type"], "text/plain")

    def test_pieces(self) -> None:
        """
        So is one of several pieces; of a generator nobody knows.
        """
        for pieces in [b"a", b"bc"], (b"a", b"bc"):
            answer = self.ask(answering(pieces))
            self.assertEqual(answer.headers["content-length"], "3")
        answer = self.ask(answering(iter([b"a", b"", b"bc"])))
        self.assertEqual(answer.headers["transfer-encoding"], "chunked")
        self.assertEqual((answer.body, answer.whole), (b"abc", True))

    def test_nothing(self) -> None:
        """
        Nothing is an answer without a body.
        """
        for nothing in [], [b""], iter(()), iter([b""]):
            answer = self.ask(answering(nothing))
            self.assertEqual((answer.status, answer.body), (200, b""))
            self.assertTrue(answer.whole)

    def test_head_waits(self) -> None:
        """
        Status and headers go with the first piece that is not empty: until then, an
        application may still find out that it fails.
        """

        def late(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
            start("200 OK", [])
            yield b""
            try:
                raise KeyError("late")
            except KeyError:
                start("404 Nowhere", [("X-Late", "yes")], sys.exc_info())
            yield b"sorry"

        answer = self.ask(late)
        self.assertEqual(
            (answer.status, answer.reason, answer.headers["x-late"], answer.body),
            (404, "Nowhere", "yes", b"sorry"),
        )

    def test_too_late(self) -> None:
        """
        After that, what it fails with is raised again, and the connection ends in the
        middle of the answer.
        """

        def late(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
            start("200 OK", [])
            yield b"beginning"
            try:
                raise KeyError("too late")
            except KeyError:
                start("500 Sorry", [], sys.exc_info())

        answer = self.ask(late)
        self.assertEqual((answer.status, answer.body), (200, b"beginning"))
        self.assertFalse(answer.whole)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_write(self) -> None:
        """
        What is written by hand comes before what is returned.
        """

        def application(environ: dict[str, Any], start: Start) -> list[bytes]:
            write = start("200 OK", [])
            write(b"one ")
            write(b"two ")
            return [b"three"]

        self.assertEqual(self.ask(application).body, b"one two three")

    def test_head(self) -> None:
        """
        HEAD is answered with the length, and without the body.
        """
        for application in (
            hello,
            answering([b"hello world\n"], "200 OK", ("Content-Length", "12")),
            answering(iter([b"hello world\n"]), "200 OK", ("Content-Length", "12")),
            answering([], "200 OK", ("Content-Length", "12")),
        ):
            visit = put(application).visit()
            visit.send(request("/", "HEAD"), request("/", "HEAD"))
            first, second = visit.answers("HEAD", "HEAD")
            self.assertEqual(first.headers["content-length"], "12")
            self.assertEqual(second.headers, first.headers)

    def test_head_of_much(self) -> None:
        """
        For HEAD, no more than the first piece is made; of a file, its length is told.
        """
        made = []

        def endless(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
            start("200 OK", [])
            for number in range(1000):
                made.append(number)
                yield b"x"

        answer = self.ask(endless, "HEAD")
        self.assertEqual((answer.status, made), (200, [0]))
        self.assertNotIn("content-length", answer.headers)
        path = Path(self.mktemp())
        path.write_bytes(b"x" * 20_000)

        def file(environ: dict[str, Any], start: Start) -> Any:
            start(environ["QUERY_STRING"] or "200 OK", [])
            return environ["wsgi.file_wrapper"](path.open("rb"))

        answer = self.ask(file, "HEAD")
        self.assertEqual(answer.headers["content-length"], "20000")
        answer = put(file).visit().ask("/?304")
        self.assertNotIn("content-length", answer.headers)

    def test_without_body(self) -> None:
        """
        204 and 304 have no body, whatever an application says.
        """
        for status in "204 No Content", "304 Not Modified":
            visit = put(answering([b"text"], status, ("Content-Length", "4"))).visit()
            visit.send(request("/"), request("/"))
            first, second = visit.answers()
            self.assertEqual((first.status, second.status), (int(status[:3]),) * 2)
        answer = self.ask(answering([], "204 No Content", ("Content-Length", "0")))
        self.assertNotIn("content-length", answer.headers)

    def test_cookies(self) -> None:
        """
        Of several headers of one name, each has its line.
        """
        visit = put(
            answering([b"x"], "200 OK", ("Set-Cookie", "a=1"), ("set-cookie", "b=2"))
        ).visit()
        visit.send(request("/"))
        said = visit.wire.value().lower()
        self.assertIn(b"set-cookie: a=1\r\n", said)
        self.assertIn(b"set-cookie: b=2\r\n", said)

    def test_close(self) -> None:
        """
        An answer is closed, once, whatever became of it.
        """
        closed: list[str] = []

        class Pieces:
            def __init__(self, name: str, *pieces: Any) -> None:
                self._name, self._pieces = name, iter(pieces)

            def __iter__(self) -> Iterator[Any]:
                return self._pieces

            def close(self) -> None:
                closed.append(self._name)

        self.ask(answering(Pieces("whole", b"x")))
        self.ask(answering(Pieces("text", "x")))
        self.ask(answering(Pieces("short", b"x"), "200 OK", ("Content-Length", "2")))
        self.assertEqual(closed, ["whole", "text", "short"])
        self.flushLoggedErrors(BadAnswer)


class LengthTests(CallCase):
    """
    What an application says of the length of its answer.
    """

    def test_too_long(self) -> None:
        """
        What is longer is cut, and the log has it.
        """
        told: list[Any] = []
        note: Any = told.append
        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)
        for pieces in [b"abcdef"], iter([b"ab", b"cd", b"ef"]):
            visit = put(answering(pieces, "200 OK", ("Content-Length", "3"))).visit()
            answer = visit.ask("/long")
            self.assertEqual((answer.body, answer.whole), (b"abc", True))
            self.assertFalse(visit.closed)
        lines = [each for each in told if "and was cut" in each["log_format"]]
        self.assertEqual([each["path"] for each in lines], ["/long", "/long"])

    def test_too_short(self) -> None:
        """
        What is shorter ends the connection: the client would wait for the rest.
        """
        for pieces in [b"abc"], iter([b"a", b"bc"]):
            answer = self.ask(answering(pieces, "200 OK", ("Content-Length", "9")))
            self.assertEqual((answer.body, answer.whole), (b"abc", False))

    def test_nothing_of_it(self) -> None:
        """
        Of which there is nothing at all, can still be said that it failed.
        """
        self.fails(answering([], "200 OK", ("Content-Length", "9")), "9 bytes shorter")

    def test_no_length(self) -> None:
        """
        A length is a number.
        """
        self.fails(answering([], "200 OK", ("Content-Length", "-1")), "digits")


class ErrorTests(CallCase):
    """
    What goes wrong in an application.
    """

    def test_raises(self) -> None:
        """
        It is answered and logged as the failure of a handler is.
        """

        def application(environ: dict[str, Any], start: Start) -> Any:
            raise RuntimeError("the rope parted")

        place = put(application)
        answer = place.visit().ask("/")
        self.assertEqual(answer.status, 500)
        self.assertIn("Our log has it under r1", answer.json["detail"])
        self.assertEqual(place.noted(), [("GET", "/", 500)])
        (error,) = self.flushLoggedErrors(RuntimeError)
        self.assertIn("in application", error.getTraceback())

    def test_raises_on(self) -> None:
        """
        So is one that comes before the first piece, and one that would end a program.
        """

        def application(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
            start("200 OK", [("X-Half", "done")])
            if not environ["QUERY_STRING"]:
                raise SystemExit(3)
            yield b""

        answer = self.ask(application)
        self.assertEqual(answer.status, 500)
        self.assertNotIn("x-half", answer.headers)
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)

    def test_nonsense(self) -> None:
        """
        What is no answer is said to be none, in words.
        """

        def silent(environ: dict[str, Any], start: Start) -> list[bytes]:
            return []

        def twice(environ: dict[str, Any], start: Start) -> list[bytes]:
            start("200 OK", [])
            start("200 OK", [])
            return []

        wrong: Any = ("a", 1)
        text: Any = ["text"]
        for application, words in (
            (silent, "without start_response()"),
            (twice, "called twice"),
            (answering([], "200"), ""),
            (answering([], "OK"), "'404 Not Found', not 'OK'"),
            (answering([], "100 Continue"), "'100 Continue'"),
            (answering([], "200 O\u2013K"), "Latin-1"),
            (answering([], "200 OK", ("a b", "c")), "a header is"),
            (answering([], "200 OK", ("a", "b\r\nc: d")), "a header is"),
            (answering([], "200 OK", ("a", "\u2013")), "a header is"),
            (answering([], "200 OK", wrong), "a header is"),
            (answering(text), "is bytes, not str: 'text'"),
        ):
            if words:
                self.fails(application, words)
            else:
                self.assertEqual(self.ask(application).status, 200)

    def test_after_the_end(self) -> None:
        """
        An error behind the last byte is logged; the answer is whole.
        """

        def application(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
            start("200 OK", [("Content-Length", "2")])
            yield b"ok"
            raise RuntimeError("behind")

        answer = self.ask(application)
        self.assertEqual((answer.status, answer.body, answer.whole), (200, b"ok", True))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_busy(self) -> None:
        """
        Where all threads are at work, the answer is 503, with a time to come back.
        """
        pool = AtOnce()
        pool.busy = True
        answer = put(hello, pool=pool).visit().ask("/", "POST", body=b"x")
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))


class StandardTests(CallCase):
    """
    What Python's own judge of WSGI says.
    """

    def test_validator(self) -> None:
        """
        It finds nothing wrong with us, whatever is asked and answered.
        """

        def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
            given = environ["wsgi.input"]
            body = given.read(3) + given.readline() + b"".join(given)
            environ["wsgi.errors"].write("a line\nhalf")
            environ["wsgi.errors"].flush()
            start("200 OK", [("Content-Type", "text/plain")])
            return [body, b"!"]

        guest: Any = application
        judged = validator(guest)
        place = put(judged, "/shop")
        visit = place.visit()
        for path in "/shop", "/shop/", "/shop/a%20b?c=d":
            self.assertEqual(visit.ask(path).body, b"!", path)
        answer = visit.ask("/shop/x", "POST", body=b"one\ntwo\nthree")
        self.assertEqual(answer.body, b"one\ntwo\nthree!")
        visit.send(request("/shop", "PUT", "Transfer-Encoding: chunked"))
        visit.send(chunked(b"four", b"five"))
        self.assertEqual(visit.answer().body, b"fourfive!")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_environment(self) -> None:
        """
        A body can be read again, and has an end.
        """

        def application(environ: dict[str, Any], start: Start) -> list[bytes]:
            given = environ["wsgi.input"]
            first = given.read()
            self.assertEqual(given.read(), b"")
            given.seek(2)
            self.assertIsInstance(given, io.BufferedIOBase)
            start("200 OK", [])
            return [first, b"|", given.read(), environ["CONTENT_LENGTH"].encode()]

        answer = self.ask(application, "POST", body=b"rope")
        self.assertEqual(answer.body, b"rope|pe4")
