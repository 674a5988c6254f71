"""
Tests for L{ropewalk.web.problems}.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from ropewalk.errors import (
    ChannelFull,
    Fault,
    Invalid,
    Malformed,
    NeedsAsyncio,
    RopewalkError,
)
from ropewalk.web.problems import Refused, phrase, respond

FAULTS = (
    Fault("author", "expected text of 1 to 40 characters, got ''"),
    Fault("tags[1]", "expected text, got 5"),
    Fault("", "author and text are the same"),
)


class Teapot(RopewalkError):
    """An error of a plugin's own."""

    status = 418


class Nameless(RopewalkError):
    """An error with a status that nobody registered."""

    status = 499


def request(accept: bytes = b"*/*") -> Any:
    """
    A request that would have its answer in these types.
    """
    made = DummyRequest([b""])
    made.requestHeaders.setRawHeaders(b"accept", [accept])
    return made


class ProgramTests(SynchronousTestCase):
    """
    A program gets problem details: RFC 9457.
    """

    def problem(self, error: BaseException, name: str | None = None) -> Any:
        self.request = request()
        return json.loads(respond(self.request, error, name))

    def test_an_error_on_purpose(self) -> None:
        """
        It says what is wrong, with the status that says the same.
        """
        self.assertEqual(
            self.problem(ChannelFull("lobby", 8)),
            {
                "title": "Service Unavailable",
                "status": 503,
                "detail": "channel 'lobby' already has 8 subscribers",
            },
        )
        headers = dict(self.request.responseHeaders.getAllRawHeaders())
        self.assertEqual(
            headers,
            {b"Content-Type": [b"application/problem+json"], b"Vary": [b"accept"]},
        )
        self.assertEqual(self.request.responseCode, 503)

    def test_faults(self) -> None:
        """
        What is wrong with what was sent is listed by place.
        """
        for error, status, title in (
            (Invalid(FAULTS), 422, "Unprocessable Content"),
            (Malformed(FAULTS), 400, "Bad Request"),
        ):
            self.assertEqual(
                self.problem(error),
                {
                    "title": title,
                    "status": status,
                    "detail": "; ".join(str(fault) for fault in FAULTS),
                    "errors": [
                        {
                            "path": "author",
                            "problem": "expected text of 1 to 40 characters, got ''",
                        },
                        {"path": "tags[1]", "problem": "expected text, got 5"},
                        {"path": "", "problem": "author and text are the same"},
                    ],
                },
            )
            self.assertEqual(self.request.responseCode, status)

    def test_an_error_of_a_plugin(self) -> None:
        """
        A plugin's own errors do as ours do, whether HTTP knows their status or
        not.
        """
        self.assertEqual(
            self.problem(Teapot("short and stout")),
            {"title": "I'm a Teapot", "status": 418, "detail": "short and stout"},
        )
        self.assertEqual(
            self.problem(Nameless("gone away")),
            {"title": "Error", "status": 499, "detail": "gone away"},
        )

    def test_an_accident(self) -> None:
        """
        Anything else tells nothing of what happened but its name in the log. So
        does an error of ours that is the operator's affair.
        """
        expected: dict[str, Any] = {
            "title": "Internal Server Error",
            "status": 500,
            "detail": "Something went wrong here.",
        }
        self.assertEqual(self.problem(KeyError("password")), expected)
        self.assertEqual(self.problem(NeedsAsyncio("a nap")), expected)
        expected["detail"] += " Our log has it under r17."
        self.assertEqual(self.problem(KeyError("password"), "r17"), expected)

    def test_any_text(self) -> None:
        """
        Whatever an error has to say can be sent.
        """
        text = "ü \x00 \ud800 \u2028"
        self.assertEqual(self.problem(Refused(404, text))["detail"], text)


class BrowserTests(SynchronousTestCase):
    """
    A browser gets a page.
    """

    def page(self, error: BaseException) -> str:
        self.request = request(b"text/html,*/*;q=0.8")
        return respond(self.request, error, "r17").decode("utf-8")

    def test_an_error_on_purpose(self) -> None:
        """
        The page says what is wrong.
        """
        page = self.page(Refused(404, "There is nothing here."))
        for piece in (
            "<title>404 Not Found</title>",
            "<h1>404 Not Found</h1>",
            "<p>There is nothing here.</p>",
        ):
            self.assertIn(piece, page)
        self.assertEqual(
            dict(self.request.responseHeaders.getAllRawHeaders()),
            {
                b"Content-Type": [b"text/html; charset=utf-8"],
                b"Vary": [b"accept"],
            },
        )

    def test_faults(self) -> None:
        """
        Faults are a list.
        """
        page = self.page(Invalid(FAULTS))
        self.assertIn(
            "<ul><li>author: expected text of 1 to 40 characters, got &#x27;&#x27;"
            "</li><li>tags[1]: expected text, got 5</li>"
            "<li>author and text are the same</li></ul>",
            page,
        )

    def test_an_accident(self) -> None:
        """
        Anything else tells nothing of what happened but its name in the log. So
        does an error of ours that is the operator's affair.
        """
        page = self.page(KeyError("password"))
        self.assertNotIn("password", page)
        self.assertIn("Our log has it under r17.", page)

    def test_escaped(self) -> None:
        """
        What a visitor sent comes back as text, whatever it would be as HTML.
        """
        attack = "<script>alert('{title}')</script>"
        for error in (
            Refused(400, attack),
            Invalid((Fault(attack, attack),)),
        ):
            page = self.page(error)
            self.assertNotIn("<script", page)
            self.assertIn("&lt;script&gt;alert(&#x27;{title}&#x27;)", page)

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """
        Whatever an error has to say can be sent, surrogates and all.
        """
        self.page(Refused(404, text))
        self.page(Refused(404, text + "\ud800"))


class PhraseTests(SynchronousTestCase):
    """
    A status has the words of RFC 9110, on every Python.
    """

    def test_phrases(self) -> None:
        """
        Also those that Python had by their older names.
        """
        table = {
            404: "Not Found",
            413: "Content Too Large",
            414: "URI Too Long",
            416: "Range Not Satisfiable",
            422: "Unprocessable Content",
            426: "Upgrade Required",
            429: "Too Many Requests",
            431: "Request Header Fields Too Large",
            599: "Error",
        }
        self.assertEqual({status: phrase(status) for status in table}, table)
