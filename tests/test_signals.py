"""
Tests for L{ropewalk.web.signals}: who is told what of the requests of a site.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import Conflict
from ropewalk.interfaces import Steps
from ropewalk.web.routes import Routes
from ropewalk.web.signals import Signals
from ropewalk.web.upgrade import UpgradeResource
from tests.visiting import Place, Visit, request


class SignalTests(SynchronousTestCase):
    """
    A site, and somebody who listens.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.routes = Routes()
        self.heard: list[tuple[Any, ...]] = []
        connect = self.place.site.signals.connect
        connect("started", lambda each: self.heard.append(("started", each.uri)))
        connect("finished", lambda each: self.heard.append(("finished", each.code)))
        connect("failed", self.failed)

    def failed(self, request: Any, failure: Failure) -> None:
        self.heard.append(("failed", failure.type))

    def visit(self) -> Visit:
        self.place.mount("/", self.routes)
        return self.place.visit()

    def logged(self, kind: type[Exception]) -> int:
        return len(self.flushLoggedErrors(kind))

    def test_order(self) -> None:
        """
        It starts, and is finished when it has been answered, whoever does that.
        """

        @self.routes.get("/plain")
        def plain() -> str:
            self.heard.append(("handler",))
            return ""

        @self.routes.get("/waits")
        async def waits() -> str:
            await waiting
            return ""

        waiting: Deferred[None] = Deferred()
        visit = self.visit()
        visit.ask("/plain")
        self.assertEqual(
            self.heard, [("started", b"/plain"), ("handler",), ("finished", 200)]
        )
        self.heard.clear()
        visit.send(request("/waits"))
        self.assertEqual(self.heard, [("started", b"/waits")])
        waiting.callback(None)
        self.assertEqual(visit.answer().status, 200)
        self.assertEqual(self.heard[1:], [("finished", 200)])
        self.heard.clear()
        visit.ask("/nothing", "POST", body=b"a body")
        self.assertEqual(self.heard, [("started", b"/nothing"), ("finished", 404)])

    def test_after_the_body(self) -> None:
        """
        It starts when its body is here.
        """

        @self.routes.post("/")
        def post() -> str:
            return ""

        visit = self.visit()
        whole = request("/", "POST", body=b"a body")
        visit.send(whole[:-1])
        self.assertEqual(self.heard, [])
        visit.send(whole[-1:])
        self.assertEqual(self.heard, [("started", b"/"), ("finished", 200)])

    def test_failed(self) -> None:
        """
        It fails when somebody raises what nobody had planned: not what is an answer,
        nor what an error handler answers.
        """

        @self.routes.get("/<word>")
        def fails(word: str) -> str:
            raise {"value": ValueError, "key": KeyError}[word]

        @self.routes.get("/planned")
        def planned() -> str:
            error = Conflict("the name", "one", "other")
            error.status = 409
            raise error

        @self.routes.handle_errors(KeyError)
        def handled(request: Any, failure: Failure) -> str:
            return "handled"

        visit = self.visit()
        for path in "/value", "/key", "/planned":
            visit.ask(path)
        self.assertEqual(
            self.heard,
            [
                ("started", b"/value"),
                ("failed", ValueError),
                ("finished", 500),
                ("started", b"/key"),
                ("finished", 200),
                ("started", b"/planned"),
                ("finished", 409),
            ],
        )
        self.assertEqual(self.logged(ValueError), 1)

    def test_broken_off(self) -> None:
        """
        One that fails in the middle of its answer fails once, and is finished.
        """

        @self.routes.stream("/")
        def pieces() -> Iterator[str]:
            yield "a" * 100_000
            raise ValueError

        visit = self.visit()
        visit.send(request("/"))
        self.place.clock.pump([0.1] * 5)
        visit.leave()
        self.assertEqual(
            self.heard, [("started", b"/"), ("failed", ValueError), ("finished", 200)]
        )
        self.assertEqual(self.logged(ValueError), 1)

    def test_left(self) -> None:
        """
        A client that leaves finishes it, with 499; nothing has failed.
        """

        @self.routes.get("/")
        def slow() -> Deferred[str]:
            return Deferred()

        visit = self.visit()
        visit.send(request("/"))
        visit.leave()
        self.assertEqual(self.heard, [("started", b"/"), ("finished", 499)])

    def test_refused(self) -> None:
        """
        Of what is refused before it is complete, nobody is told: who counts those
        that are being answered counts as many out as in.
        """
        visit = self.visit()
        visit.send(request("/", "POST", "Content-Length: 9999999"))
        self.assertEqual(visit.answer().status, 413)
        visit = self.place.visit()
        visit.send(b"nonsense\r\n\r\n")
        self.assertEqual(visit.answer().status, 400)
        visit = self.place.visit()
        visit.send(request("/")[:-2])
        visit.leave()
        self.assertEqual(self.heard, [])

    def test_socket(self) -> None:
        """
        One for a WebSocket is finished when it is refused, or when a protocol has
        taken its connection over.
        """

        class Taking(Resource):
            isLeaf = True

            def render(self, request: Any) -> Any:
                return NOT_DONE_YET

        self.place.site.mounts.sockets = lambda request, protocol: UpgradeResource(
            Taking(), ()
        ).render(request)

        @self.routes.socket("/live")
        def live() -> object:
            return object()

        @self.routes.socket("/no", guards=[lambda request: False])
        def no() -> None:
            """Never called."""

        visit = self.visit()
        visit.send(request("/no"))
        self.assertEqual(self.heard, [("started", b"/no"), ("finished", 403)])
        self.heard.clear()
        visit = self.place.visit()
        visit.send(
            request(
                "/live",
                "GET",
                "Connection: upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            )
        )
        self.assertEqual(self.heard, [("started", b"/live"), ("finished", 101)])


class ListenerTests(SynchronousTestCase):
    """
    Who listens.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        routes = Routes()
        routes.get("/")(lambda: "answered")
        self.place.mount("/", routes)
        self.heard: list[str] = []

    def ask(self) -> str:
        return self.place.visit().ask("/").text

    def test_raises(self) -> None:
        """
        One that raises is logged; the request and the others do not notice.
        """
        for word in "first", "second":

            def listen(request: Any, word: str = word) -> None:
                self.heard.append(word)
                raise ValueError(word)

            self.place.site.signals.connect("started", listen)
        self.assertEqual(self.ask(), "answered")
        self.assertEqual(self.heard, ["first", "second"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)

    def test_waits(self) -> None:
        """
        One may wait; nobody waits for it. What it raises then is logged, too.
        """
        waiting: Deferred[None] = Deferred()

        async def later(request: Any) -> None:
            await waiting
            self.heard.append("later")
            raise ValueError

        @inlineCallbacks
        def stepwise(request: Any) -> Steps[None]:
            yield succeed(None)
            self.heard.append("stepwise")
            raise ValueError

        self.place.site.signals.connect("finished", later)
        self.place.site.signals.connect("finished", stepwise)
        self.assertEqual(self.ask(), "answered")
        self.assertEqual(self.heard, ["stepwise"])
        waiting.callback(None)
        self.assertEqual(self.heard, ["stepwise", "later"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)

    def test_connects_while_told(self) -> None:
        """
        One that connects another does not have it told of the same.
        """
        signals = self.place.site.signals

        def listen(request: Any) -> None:
            signals.connect("started", lambda request: self.heard.append("new"))

        signals.connect("started", listen)
        self.ask()
        self.assertEqual(self.heard, [])

    def test_mistakes(self) -> None:
        """
        There are three moments, and a listener is a function.
        """
        connect = Signals().connect
        error = self.assertRaises(ValueError, connect, "start", print)
        self.assertEqual(
            str(error),
            "there is no signal 'start'; there are 'started', 'finished', 'failed'",
        )
        not_one: Any = "print"
        error = self.assertRaises(TypeError, connect, "started", not_one)
        self.assertEqual(str(error), "a listener is a function, not 'print'")
