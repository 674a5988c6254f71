"""
Tests for L{ropewalk.web.negotiation}.
"""

from __future__ import annotations

from collections import deque
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from typing import Any
from uuid import UUID

from ropewalk.web.answers import NotWritable, Response
from ropewalk.web.formats import OFFERS
from tests.answering import AnswersTestCase, Point, always
from tests.visiting import request


class ValueTests(AnswersTestCase):
    """
    Any other value is written as the client would have it.
    """

    def test_json(self) -> None:
        """
        It is JSON unless the client wants it otherwise.
        """
        values: dict[str, Any] = {
            '{"x":1,"y":2}': Point(1, 2),
            '{"a":[1,null]}': {"a": [1, None]},
            "[1,2]": (1, 2),
            "true": True,
            "1.5": 1.5,
            '"2024-01-02"': date(2024, 1, 2),
            '"0.10"': Decimal("0.10"),
            '"00000000-0000-0000-0000-000000000001"': UUID(int=1),
            "404": HTTPStatus.NOT_FOUND,
        }
        for text, value in values.items():
            for headers in [], ["Accept: */*"], ["Accept: application/json"]:
                answer = self.ask(value, *headers)
                self.assertEqual(answer.text, text)
                self.assertEqual(answer.headers["content-type"], "application/json")
                self.assertEqual(answer.headers["vary"], "accept")

    def test_negotiation(self) -> None:
        """
        It is what the client would rather have of what there is.
        """
        value = {"a": 1}
        for accept, media_type in {
            "application/msgpack": "application/msgpack",
            "application/json;q=0.5, application/msgpack": "application/msgpack",
            "application/xml, */*;q=0.1": "application/xml",
            "application/msgpack, */*": "application/msgpack",
            "application/*, application/xml": "application/xml",
            "text/html, application/xml;q=0.9, */*;q=0.8": "application/json",
            "text/html, application/xml;q=0.9": "application/xml",
            "image/png, */*": "application/json",
        }.items():
            answer = self.ask(value, f"Accept: {accept}")
            self.assertEqual(answer.headers["content-type"], media_type, accept)

    def test_vary(self) -> None:
        """
        What the answer varies with anyway is said as well, once.
        """
        for said, vary in {"origin": 2, "*": 1, "Accept": 1, "a, accept ,b": 1}.items():
            self.answers.handler = always(Response([1], headers={"Vary": said}))
            visit = self.place.visit()
            visit.send(request())
            self.assertEqual(visit.wire.value().count(b"Vary: "), vary, said)

    def test_not_acceptable(self) -> None:
        """
        Who accepts nothing of what there is is told what there is.
        """
        answer = self.ask({"a": 1}, "Accept: image/png, application/json;q=0")
        self.assertEqual(answer.status, 406)
        self.assertEqual(
            answer.json["detail"], f"what is here can be had as {', '.join(OFFERS)}"
        )

    def test_next_best(self) -> None:
        """
        What cannot be written in one format is written in the next.
        """
        form = "application/x-www-form-urlencoded"
        answer = self.ask([1], f"Accept: {form}, application/msgpack;q=0.5")
        self.assertEqual(answer.headers["content-type"], "application/msgpack")
        answer = self.ask([1], f"Accept: {form}")
        self.assertEqual(answer.status, 406)
        self.assertNotIn(form, answer.json["detail"])
        self.assertIn("application/json", answer.json["detail"])

    def test_said(self) -> None:
        """
        What the handler says it is, it becomes, whatever the client accepts.
        """
        for said, text in {
            "application/json; charset=utf-8": '{"a":1}',
            "application/problem+json": '{"a":1}',
            "application/x-www-form-urlencoded": "a=1",
        }.items():
            answer = self.ask(
                Response({"a": 1}, content_type=said), "Accept: image/png"
            )
            self.assertEqual(
                (answer.headers["content-type"], answer.text), (said, text)
            )
            self.assertNotIn("vary", answer.headers)

    def test_nobody_can(self) -> None:
        """
        What nobody can write is our fault, and the log names it.
        """
        for accept in "*/*", "application/msgpack", "application/xml, */*;q=0.1":
            for value, kind in {"object": object(), "dict": {"a": object()}}.items():
                answer = self.ask(kind, f"Accept: {accept}")
                self.assertEqual(answer.status, 500)
                (failure,) = self.flushLoggedErrors(NotWritable)
                self.assertIn(f"cannot answer with {value}: ", str(failure.value))
        answer = self.ask(Response({"a": 1}, content_type="text/html"))
        self.assertEqual(answer.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(NotWritable)), 1)

    def test_circle(self) -> None:
        """
        A value that contains itself cannot be written.
        """
        circle: list[Any] = []
        circle.append(circle)
        self.assertEqual(self.ask(circle).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(NotWritable)), 1)

    def test_iterables(self) -> None:
        """
        What is iterable and no value is a stream.
        """
        for value in range(2), {0: "a", 1: "b"}.keys(), deque([0, 1]):
            answer = self.ask(value)
            self.assertEqual(answer.headers["content-type"], "application/x-ndjson")
            self.assertEqual(answer.text, "0\n1\n")
