"""
Tests for L{ropewalk.web.answers}.
"""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from http import HTTPStatus
from io import BytesIO
from types import SimpleNamespace
from typing import Any, NamedTuple, get_args, get_origin
from urllib.parse import urljoin, urlsplit

from hypothesis import given
from hypothesis import strategies as st
from klein import Response as KleinResponse
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.error import FlattenerError, UnsupportedMethod
from twisted.web.resource import Resource
from twisted.web.static import Data
from twisted.web.template import Element, Tag, TagLoader, renderer, tags

from ropewalk.web.answers import (
    Accepted,
    Created,
    File,
    NoContent,
    NotWritable,
    Response,
    conclude,
    redirect,
    settle,
)
from ropewalk.web.problems import Refused
from tests.answering import Answers, AnswersTestCase, Point
from tests.visiting import request


class Named(NamedTuple):
    """A value which might be a status and a value."""

    status: int
    body: str


class Page(Element):
    """An element that may have to wait, or fail."""

    loader = TagLoader(tags.p(tags.transparent(render="text"), title="é"))

    def __init__(self, text: Any) -> None:
        super().__init__()
        self._text = text

    @renderer
    def text(self, request: Any, tag: Tag) -> Any:
        if isinstance(self._text, Exception):
            raise self._text
        return tag(self._text)


class SettleTests(SynchronousTestCase):
    """
    Whatever a handler returned becomes a response.
    """

    def settled(self, value: Any, **more: Any) -> tuple[Any, int, dict[str, str]]:
        response = settle(value, **more)
        return response.body, response.status, dict(response.headers)

    def test_values(self) -> None:
        """
        A value is the body, as it is.
        """
        for value in b"x", "x", 5, True, {"a": 1}, [1], Point(1, 2), object(), (), (1,):
            self.assertEqual(self.settled(value), (value, 200, {}))

    def test_none(self) -> None:
        """
        Nothing is an empty answer; of a typed handler, no answer.
        """
        self.assertEqual(self.settled(None), (b"", 200, {}))
        self.assertEqual(self.settled(None, typed=True), (b"", 204, {}))
        self.assertEqual(self.settled((201, None), typed=True), (b"", 201, {}))

    def test_statuses(self) -> None:
        """
        A status comes with a value, before it or behind it, and perhaps with
        headers.
        """
        for value in (
            (201, "x"),
            (HTTPStatus.CREATED, "x"),
            ("x", 201),
            ("x", HTTPStatus.CREATED),
            Created("x"),
            (201, Response("x", 404)),
        ):
            self.assertEqual(self.settled(value), ("x", 201, {}))
        for headers in {"X-A": "1"}, [("X-A", "1")]:
            said = ("x", 201, {"X-A": "1"})
            self.assertEqual(self.settled((201, "x", headers)), said)
            self.assertEqual(self.settled(("x", 201, headers)), said)

    def test_no_statuses(self) -> None:
        """
        Other tuples are values; of two numbers, the first may be a status.
        """
        values = (1, 2), (True, "x"), (99, "x"), (600, "x"), ("a", "b"), (201, 2, 3)
        for value in values:
            self.assertEqual(self.settled(value), (value, 200, {}))
        self.assertEqual(self.settled((201, 404)), (404, 201, {}))
        named = Named(404, "x")
        self.assertEqual(self.settled(named), (named, 200, {}))

    def test_sentences(self) -> None:
        """
        What is made, accepted, done or elsewhere says so by its status.
        """
        self.assertEqual(
            self.settled(Created(Point(1, 2), "/points/é 1")),
            (Point(1, 2), 201, {"Location": "/points/%C3%A9%201"}),
        )
        self.assertEqual(self.settled(Accepted([1])), ([1], 202, {}))
        self.assertEqual(self.settled(NoContent()), (b"", 204, {}))
        said = (b"", 303, {"Location": "/a"})
        self.assertEqual(self.settled(redirect("/a")), said)

    def test_generic(self) -> None:
        """
        What is made or accepted can be declared.
        """
        declared = Created[Point]
        self.assertEqual(
            (get_origin(declared), get_args(declared)), (Created, (Point,))
        )
        self.assertEqual((declared.status, Accepted.status), (201, 202))

    def test_response(self) -> None:
        """
        A response is itself, and can be changed.
        """
        response = Response("x", 404)
        self.assertIs(settle(response), response)
        response.status, response.headers["x-a"] = 410, "1"
        self.assertEqual(self.settled(response), ("x", 410, {"x-a": "1"}))
        self.assertEqual(repr(response), "<Response 410 str>")

    def test_klein(self) -> None:
        """
        Klein's response is one, whatever the types in it.
        """
        headers: Any = {"X-A": ["1", "2"], b"x-b": b"3"}
        response = KleinResponse(404, headers, ("x", 201))
        self.assertEqual(
            self.settled(response), ("x", 404, {"X-A": "1, 2", "x-b": "3"})
        )

    def test_failure(self) -> None:
        """
        A failure is raised.
        """
        self.assertRaises(ValueError, settle, Failure(ValueError()))

    def test_request(self) -> None:
        """
        What was said to the request counts if the value says nothing else.
        """
        request = SimpleNamespace(code=404)
        self.assertEqual(settle("x", request).status, 404)
        self.assertEqual(settle(Response("x"), request).status, 404)
        self.assertEqual(settle((200, "x"), request).status, 200)

    def test_bad_status(self) -> None:
        """
        A response has a status that can be final.
        """
        for status in 0, 100, 199, 600:
            self.assertRaises(ValueError, Response, "x", status)


class CookieTests(AnswersTestCase):
    """
    Cookies are set and forgotten.
    """

    def said(self, response: Response) -> list[str]:
        self.answers.handler = lambda _: response
        visit = self.place.visit()
        visit.send(request())
        head, _, _ = visit.wire.value().partition(b"\r\n\r\n")
        return re.findall(r"Set-Cookie: (.*)\r\n", head.decode() + "\r\n")

    def test_set(self) -> None:
        """
        A cookie is kept from scripts and from other sites unless it is said
        otherwise.
        """
        response = Response("x", headers={"Set-Cookie": ["z=1"]})
        response.set_cookie("a", "b")
        response.set_cookie("__Host-a", "", secure=True, max_age=60, same_site="Strict")
        response.set_cookie(
            "c", "d", path=None, domain="example.org", http_only=False, same_site=None
        )
        self.assertEqual(
            self.said(response),
            [
                "z=1",
                "a=b; Path=/; HttpOnly; SameSite=Lax",
                "__Host-a=; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Strict",
                "c=d; Domain=example.org",
            ],
        )

    def test_delete(self) -> None:
        """
        A cookie is forgotten by one that is over.
        """
        response = Response("x")
        response.delete_cookie("a", path="/b")
        response.delete_cookie("__Host-a")
        self.assertEqual(
            self.said(response),
            [
                "a=; Max-Age=0; Path=/b; HttpOnly; SameSite=Lax",
                "__Host-a=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",
            ],
        )


class RedirectTests(AnswersTestCase):
    """
    A redirect leads on, on this site.
    """

    def test_answer(self) -> None:
        """
        It says where, in ASCII.
        """
        answer = self.ask(redirect("/é?q=a b&c=%20#d", 308))
        self.assertEqual(answer.status, 308)
        self.assertEqual(answer.headers["location"], "/%C3%A9?q=a%20b&c=%20#d")
        self.assertEqual((answer.headers["content-length"], answer.body), ("0", b""))

    def test_here(self) -> None:
        """
        Anything relative stays here.
        """
        for location in "/", "a", "../a", "?a=//b", "#a", "./a:b", "/a//b", "/a:b":
            self.assertEqual(redirect(location).location, location)

    def test_elsewhere(self) -> None:
        """
        What a browser may take for another site is refused, unless it is meant.
        """
        for location in (
            "//evil.example",
            "https://evil.example",
            "HTTP:evil.example",
            "javascript:alert(1)",
            "/\\evil.example",
            "\\\\evil.example",
            "\\/evil.example",
            "  //evil.example",
            "/\t/evil.example",
            "\n//evil.example",
            "/a\r\nSet-Cookie: b=c",
            "\x01//evil.example",
            "",
        ):
            with self.assertRaises(ValueError, msg=location):
                redirect(location)
        meant = redirect("https://example.com/é", elsewhere=True)
        self.assertEqual(meant.location, "https://example.com/%C3%A9")
        self.assertRaises(ValueError, redirect, "//a\n", elsewhere=True)

    def test_status(self) -> None:
        """
        It has the status of a redirect.
        """
        for status in 200, 300, 304, 305, 306, 400:
            self.assertRaises(ValueError, redirect, "/", status)

    @given(st.text())
    def test_any(self, location: str) -> None:
        """
        Where it leads is always a reference in ASCII, to the same site.
        """
        try:
            said = redirect(location).location
        except ValueError:
            return
        self.assertRegex(said, r"\A[!-~]+\Z")
        base = "https://example.org/a/"
        self.assertEqual(urlsplit(urljoin(base, said)).netloc, "example.org")


class TextTests(AnswersTestCase):
    """
    Bytes and text are the body.
    """

    def test_bytes(self) -> None:
        """
        Bytes are as long as they are.
        """
        for body in b"data", bytearray(b"data"), memoryview(b"data"):
            answer = self.ask(body)
            self.assertEqual((answer.status, answer.body), (200, b"data"))
            self.assertEqual(answer.headers["content-length"], "4")
            self.assertNotIn("vary", answer.headers)

    def test_text(self) -> None:
        """
        Text is HTML in UTF-8, unless the handler said what it is.
        """
        answer = self.ask("é")
        self.assertEqual(answer.body, b"\xc3\xa9")
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")

        def handler(request: Any) -> str:
            request.setHeader("content-type", "text/css")
            return "p {}"

        self.assertEqual(self.ask(handler).headers["content-type"], "text/css")
        for response in (
            Response("é", content_type="text/plain"),
            Response("é", headers={"Content-Type": "text/plain"}),
        ):
            self.assertEqual(self.ask(response).headers["content-type"], "text/plain")

    def test_status(self) -> None:
        """
        What a handler said to the request stands.
        """

        def handler(request: Any) -> str:
            request.setResponseCode(404, b"Nowhere")
            request.setHeader("x-a", "1")
            return "x"

        answer = self.ask(handler)
        self.assertEqual((answer.status, answer.reason), (404, "Nowhere"))
        self.assertEqual(answer.headers["x-a"], "1")

    def test_no_body(self) -> None:
        """
        What has no body has none, and nothing that would say what it is.
        """
        for status in 204, 304:
            for body in b"data", "text", {"a": 1}, File(__file__), iter(["a"]):
                answer = self.ask(Response(body, status, content_type="text/plain"))
                self.assertEqual((answer.status, answer.body), (status, b""))
                self.assertNotIn("content-type", answer.headers)
                self.assertNotIn("content-length", answer.headers)

    def test_no_body_stream(self) -> None:
        """
        A stream that nobody wants is closed.
        """
        file = BytesIO(b"x")
        self.ask((204, file))
        self.assertTrue(file.closed)

    def test_head(self) -> None:
        """
        HEAD has the headers of GET.
        """
        for value in b"data", "text", {"a": 1}, File(__file__), Page("x"), (404, "x"):
            whole = self.ask(value)
            answer = self.place.visit().ask("/", "HEAD")
            self.assertEqual(
                (answer.status, answer.headers, answer.body),
                (whole.status, whole.headers, b""),
            )

    def test_misplaced(self) -> None:
        """
        A response is no body of another.
        """
        answer = self.ask(Response(Created("x")))
        self.assertEqual(answer.status, 500)
        (failure,) = self.flushLoggedErrors(NotWritable)
        self.assertIn("cannot answer with Created", str(failure.value))


class ResourceTests(AnswersTestCase):
    """
    A handler may leave it to a resource, or to an element.
    """

    def test_resource(self) -> None:
        """
        A resource renders, or its child for the rest of the path.
        """
        self.assertEqual(self.ask(Data(b"data", "text/css")).body, b"data")
        root = Resource()
        root.putChild(b"child", Data(b"data", "text/css"))
        answer = self.ask(root, path="/child")
        self.assertEqual(
            (answer.body, answer.headers["content-type"]), (b"data", "text/css")
        )
        self.assertEqual(self.ask(root, path="/nobody").status, 404)

    def test_head(self) -> None:
        """
        HEAD is answered by the resource, whoever was asked first.
        """

        class OnlyGet(Answers):
            isLeaf = True

            def render(self, request: Any) -> Any:
                if request.method != b"GET":
                    raise UnsupportedMethod([b"GET"])
                return super().render(request)

        self.place.mount("/get", only := OnlyGet(self.place.clock))
        self.answers.handler = only.handler = lambda _: Data(b"data", "text/css")
        for path in "/", "/get":
            answer = self.place.visit().ask(path, "HEAD")
            self.assertEqual(answer.headers["content-length"], "4")
            self.assertEqual(answer.headers["content-type"], "text/css")

    def test_nested(self) -> None:
        """
        Somebody else can render resources.
        """
        seen = []

        def nested(request: Any, resource: Any) -> bytes:
            seen.append(resource)
            return b"nested"

        self.answers.more = {"nested": nested}
        self.assertEqual(self.ask(resource := Data(b"", "a/b")).body, b"nested")
        self.assertEqual(seen, [resource])

    def test_element(self) -> None:
        """
        An element, or tags, are a page.
        """
        for value in Page("<x>"), tags.p("<x>", title="é"):
            answer = self.ask(value)
            self.assertEqual(answer.text, '<!DOCTYPE html>\n<p title="é">&lt;x&gt;</p>')
            self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
            self.assertEqual(answer.headers["content-length"], str(len(answer.body)))

    def test_waiting_element(self) -> None:
        """
        It may have to wait, and a client that leaves cancels that, of which nobody
        complains.
        """
        waiting: list[Deferred[str]] = []

        def handler(_: Any) -> Page:
            waiting.append(Deferred())
            return Page(waiting[-1])

        self.answers.handler = handler
        visit = self.place.visit()
        visit.send(request())
        waiting[0].callback("x")
        self.assertIn("<p", visit.answer().text)
        visit.send(request())
        visit.leave()
        (failure,) = self.answers.failures
        self.assertIsInstance(failure.value, CancelledError)
        self.assertTrue(waiting[1].called)
        del failure, visit
        waiting.clear()
        self.answers.failures.clear()
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_failing_element(self) -> None:
        """
        What goes wrong in it is an ordinary error, and what was raised on purpose
        says what it is.
        """
        self.assertEqual(self.ask(Page(ValueError())).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(FlattenerError)), 1)
        answer = self.ask(Page(Refused(404, "nobody")))
        self.assertEqual((answer.status, answer.json["detail"]), (404, "nobody"))


class ContractTests(AnswersTestCase):
    """
    What a delivery is, and how it is concluded.
    """

    def test_gone(self) -> None:
        """
        An answer for a client that left goes nowhere, and is no reason to complain.
        """
        seen: list[Any] = []

        def handler(request: Any) -> Deferred[Any]:
            seen.append(request)
            return Deferred()

        for value in b"x", "x", {"a": 1}:
            self.answers.handler = handler
            visit = self.place.visit()
            visit.send(request())
            visit.leave()
            conclude(seen[-1], self.answers.answer(seen[-1], value))
            self.assertEqual(visit.wire.value(), b"")

    def test_costs(self) -> None:
        """
        Who answers in plain words imports no formats and no files.
        """
        code = (
            "import sys, ropewalk.web.answers\n"
            "print([m for m in ('ropewalk.web.formats', 'twisted.web.static',"
            " 'msgpack', 'pydantic', 'multipart') if m in sys.modules])"
        )
        said = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(said.stdout, "[]\n")
