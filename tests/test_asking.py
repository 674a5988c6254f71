"""
Tests for L{ropewalk.web.asking}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import Invalid
from ropewalk.web import Routes
from ropewalk.web.asking import caller_of, in_body, json_of
from tests.visiting import Answer, Place

JSON = "Content-Type: application/json"


class AskingTests(SynchronousTestCase):
    """
    What is known of who asks, and with what.
    """

    def setUp(self) -> None:
        routes = Routes()

        @routes.post("/some")
        def some(request: Any) -> dict[str, Any]:
            return {"body": json_of(request, dict[str, int])}

        @routes.post("/any")
        def some_or_none(request: Any) -> dict[str, Any]:
            return {"body": json_of(request, dict[str, int], empty={"none": 0})}

        @routes.get("/caller")
        def caller(request: Any) -> Any:
            return caller_of(request)

        @routes.post("/found")
        def found(request: Any) -> None:
            try:
                json_of(request, dict[str, int])
            except Invalid as refused:
                raise in_body(refused) from None

        self.place = Place.of()
        self.place.mount("/", routes)
        self.visit = self.place.visit()

    def post(self, path: str, body: bytes, *headers: str) -> Answer:
        return self.visit.ask(path, "POST", *headers, body=body)

    def test_json(self) -> None:
        """
        JSON of the right shape, whatever else its type says.
        """
        for kind in "application/json", "Application/JSON; charset=utf-8":
            answer = self.post("/some", b'{"a": 1}', f"Content-Type: {kind}")
            self.assertEqual(answer.json, {"body": {"a": 1}}, kind)

    def test_wrong(self) -> None:
        """
        What is wrong with it is in the body, and told once.
        """
        for path in "/some", "/found":
            answer = self.post(path, b'{"a": "b"}', JSON)
            self.assertEqual(answer.status, 422)
            (error,) = answer.json["errors"]
            self.assertEqual((error["in"], error["path"]), ("body", "a"))
        self.assertEqual(self.post("/some", b"{", JSON).status, 400)

    def test_empty(self) -> None:
        """
        Nothing is nothing, where that is allowed.
        """
        for headers in (), (JSON,), (JSON, "Origin: http://example.org"):
            answer = self.post("/any", b"", *headers)
            self.assertEqual(answer.json, {"body": {"none": 0}})
        self.assertEqual(self.post("/some", b"", JSON).status, 400)
        self.assertEqual(self.post("/some", b"").status, 415)

    def test_other_sites(self) -> None:
        """
        What pages of other sites can have a browser send is not taken.
        """
        origin = "Origin: http://elsewhere.example"
        for body, *headers in (
            (b"{}", "Content-Type: text/plain", origin),
            (b"{}", "Content-Type: application/x-www-form-urlencoded", origin),
            (b"{}", origin),
            (b"", origin),
            (b"", "Content-Type: multipart/form-data; boundary=a", origin),
        ):
            for path in "/any", "/some":
                answer = self.post(path, body, *headers)
                self.assertEqual(answer.status, 415, headers)

    def test_caller(self) -> None:
        """
        Who asks is an address, and a connection.
        """
        caller = self.visit.ask("/caller").json
        self.assertEqual((caller["via"], caller["address"]), ("http", "10.9.8.7"))
        self.assertRegex(caller["connection"], "^c[0-9]+$")
        self.assertIsNone(caller["user"])
