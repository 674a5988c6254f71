"""
Tests for L{ropewalk.testing.synchronous}.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.static import Data

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.testing import Client, NoAnswer
from ropewalk.web import Routes
from ropewalk.web.mounts import Mounts
from ropewalk.web.site import Site


class ClientTests(SynchronousTestCase):
    """
    Somebody asks an application, and has the answer.
    """

    def setUp(self) -> None:
        self.routes = Routes()
        self.client = Client(self.routes)

        @self.routes.route("/echo")
        def echo(request: Any) -> dict[str, Any]:
            names = "content-type", "content-length", "x-a", "host"
            return {
                "method": request.method.decode(),
                "uri": request.uri.decode(),
                "body": request.content.read().decode(),
                **{each: request.getHeader(each) for each in names},
            }

    def test_what_is_sent(self) -> None:
        """
        Whatever a client can say arrives as it is said.
        """
        ask = self.client.request
        told = ask("GET", "/echo?a=é", params={"b": ["1", "2"]}, headers={"X-A": "1"})
        self.assertEqual(
            told.json(),
            {
                "method": "GET",
                "uri": "/echo?a=%C3%A9&b=1&b=2",
                "body": "",
                "content-type": None,
                "content-length": None,
                "x-a": "1",
                "host": "localhost",
            },
        )
        bodies: list[tuple[dict[str, Any], str, str | None]] = [
            ({"json": {"a": [1]}}, '{"a": [1]}', "application/json"),
            ({"data": {"a": "1 2"}}, "a=1+2", "application/x-www-form-urlencoded"),
            ({"data": "é"}, "é", None),
            ({"data": b"x", "headers": {"Content-Type": "a/b"}}, "x", "a/b"),
            ({}, "", None),
        ]
        for more, body, kind in bodies:
            said = self.client.post("/echo", **more).json()
            self.assertEqual((said["body"], said["content-type"]), (body, kind))
            self.assertEqual(said["content-length"], str(len(body.encode())))

    def test_what_comes(self) -> None:
        """
        The answer is read as http.client reads it: in chunks, without a body, or an
        error.
        """

        @self.routes.get("/stream")
        def stream(request: Any) -> Iterator[str]:
            for number in range(1000):
                yield f"{number}\n"

        came = self.client.get("/stream")
        self.assertEqual(len(came.text.splitlines()), 1000)
        self.assertIsNone(came.headers["content-length"])
        came = self.client.request("HEAD", "/echo")
        self.assertEqual((came.status, came.body), (200, b""))
        came = self.client.get("/nowhere")
        self.assertEqual((came.status, came.json()["title"]), (404, "Not Found"))

    def test_waiting(self) -> None:
        """
        What takes time takes the clock's, and what never comes is said.
        """

        @self.routes.get("/late/<float:seconds>")
        @inlineCallbacks
        def late(request: Any, seconds: float) -> Steps[str]:
            yield deferLater(self.client.clock, seconds, lambda: None)
            return "late"

        @self.routes.get("/never")
        def never(request: Any) -> Deferred[Any]:
            return Deferred()

        self.assertEqual(self.client.get("/late/0.0").text, "late")
        self.assertEqual(self.client.get("/late/5.0", wait=5).text, "late")
        self.assertRaises(NoAnswer, self.client.get, "/late/5.0")
        self.assertRaises(NoAnswer, self.client.get, "/never")

    def test_broken_off(self) -> None:
        """
        Half an answer is none.
        """

        @self.routes.get("/half")
        def half(request: Any) -> Iterator[bytes]:
            yield b"x" * 100_000
            raise ValueError("half")

        self.assertRaises(NoAnswer, self.client.get, "/half")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_applications(self) -> None:
        """
        It may be Klein's, a resource, or a whole site with a clock of its own.
        """
        klein = Klein()
        klein.route("/")(lambda request: "klein")
        self.assertEqual(Client(klein).get("/").text, "klein")
        data = Data(b"data", "a/b")
        data.isLeaf = True
        self.assertEqual(Client(data).get("/").text, "data")
        clock = Clock()
        client = Client(Site(Mounts(), clock))
        self.assertEqual(client.get("/").status, 404)
        self.assertIs(client.clock, clock)
        self.assertRaises(TypeError, Client, object())
