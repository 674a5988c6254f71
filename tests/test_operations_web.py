# -*- test-case-name: tests.test_operations_web -*-
"""
Operations over HTTP, on a site of a daemon.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadSettings, StartFailed
from ropewalk.interfaces import Caller, Steps
from ropewalk.run.routes import map_routes
from ropewalk.testing import Closed, TestCase
from ropewalk.web import Routes
from ropewalk.web.operations import _MOST_LINES, _Lines
from tests.callables import Callables, Guest, Knock
from tests.observing import Observed
from tests.offering import Offering
from tests.validating import validate


class WebTestCase(TestCase):
    """
    A daemon that offers ``house``.
    """

    @inlineCallbacks
    def begin(self, settings: str = "", more: Any = None) -> Steps[Any]:
        """
        Start it.

        :param more: What else the service does with its host.
        """
        self.offered = Callables()

        def make(host: Any) -> None:
            host.operations.add("house", self.offered)
            host.authorise(Knock())
            if more is not None:
                more(host)

        self.host = yield self.start(
            Offering("house", "house", make=make), settings=settings
        )
        return self.host.http()


class CallTests(WebTestCase):
    """
    ``POST /operations/house.echo``.
    """

    @inlineCallbacks
    def test_ok(self) -> Steps[None]:
        """
        The body is the parameters, the answer the result, in JSON.
        """
        http = yield self.begin()
        guest = {"name": "Ada"}
        said = yield http.post("/operations/house.enter", json={"guest": guest})
        self.assertEqual((said.status, said.json()), (200, "Ada by []"))
        self.assertEqual(said.headers["Content-Type"], "application/json")

    @inlineCallbacks
    def test_no_parameters(self) -> Steps[None]:
        """
        Without parameters there need be no body; ``None`` is ``null``. The operation
        learns who calls.
        """
        http = yield self.begin()
        said = yield http.post("/operations/house.knock")
        self.assertEqual((said.status, said.body), (200, b"null"))
        said = yield http.post("/operations/house.knock", json={})
        self.assertEqual(said.status, 200)
        first, _ = self.offered.callers
        self.assertEqual(first, Caller("http", "127.0.0.1", first.connection))
        self.assertNotEqual(first.connection, "")

    @inlineCallbacks
    def problem(self, http: Any, name: str, **request: Any) -> Steps[Any]:
        """What is said is wrong."""
        said = yield http.post(f"/operations/{name}", **request)
        self.assertEqual(said.headers["Content-Type"], "application/problem+json")
        problem = said.json()
        self.assertEqual(problem["status"], said.status)
        return problem

    @inlineCallbacks
    def test_invalid(self) -> Steps[None]:
        """
        All that is wrong is told, by its path.
        """
        http = yield self.begin()
        wrong = {"guest": {"name": "", "age": -1}, "door": 1}
        problem = yield self.problem(http, "house.enter", json=wrong)
        self.assertEqual(problem["status"], 422)
        told = [(each["in"], each["path"]) for each in problem["errors"]]
        paths = ["guest.name", "guest.age", "door"]
        self.assertEqual(told, [("body", path) for path in paths])
        problem = yield self.problem(http, "house.enter", json=[1])
        self.assertEqual((problem["status"], len(problem["errors"])), (422, 1))

    @inlineCallbacks
    def test_no_json(self) -> Steps[None]:
        """
        What is no JSON, or too deep, is refused, and so is what is said to be
        something else.
        """
        http = yield self.begin()
        for body in (b"{", b"\xff", b'{"a":' * 100_000):
            problem = yield self.problem(
                http,
                "house.echo",
                data=body,
                headers={"Content-Type": "application/json"},
            )
            self.assertEqual(problem["status"], 400)
        for body in (b"{}", b""):
            problem = yield self.problem(
                http, "house.echo", data=body, headers={"Content-Type": "text/plain"}
            )
            self.assertEqual(problem["status"], 415)
            self.assertIn("application/json", problem["detail"])

    @inlineCallbacks
    def test_a_page_of_somebody_else(self) -> Steps[None]:
        """
        What any page can have a browser send calls nothing, not even without
        parameters: who comes from a page says that it is JSON.
        """
        http = yield self.begin()
        origin = {"Origin": "https://example.org"}
        kinds = {"Content-Type": "application/x-www-form-urlencoded"}
        for headers in (origin, {**origin, **kinds}):
            problem = yield self.problem(http, "house.knock", headers=headers)
            self.assertEqual(problem["status"], 415)
        self.assertEqual(self.offered.callers, [])
        said = yield http.post("/operations/house.knock", json={}, headers=origin)
        self.assertEqual(said.status, 200)

    @inlineCallbacks
    def test_unknown(self) -> Steps[None]:
        """
        Who asks for what is not there is told what they may have meant.
        """
        http = yield self.begin()
        problem = yield self.problem(http, "house.ecco", json={})
        self.assertEqual(problem["status"], 404)
        self.assertIn("did you mean 'house.echo'?", problem["detail"])
        said = yield http.get("/operations/house.echo")
        self.assertEqual(said.status, 405)
        self.assertIn("POST", said.headers["Allow"])

    @inlineCallbacks
    def test_limited(self) -> Steps[None]:
        """
        Who calls too often is told when to come again.
        """
        http = yield self.begin()
        for _ in range(2):
            yield http.post("/operations/house.knock")
        said = yield http.post("/operations/house.knock")
        self.assertEqual((said.status, said.headers["Retry-After"]), (429, "30"))
        other = yield self.host.http(peer="192.0.2.7").post("/operations/house.knock")
        self.assertEqual(other.status, 200)

    @inlineCallbacks
    def test_other_errors(self) -> Steps[None]:
        """
        Each error has its status.
        """
        http = yield self.begin()
        for name, status in (("burn", 403), ("close", 409)):
            problem = yield self.problem(http, f"house.{name}", json={})
            self.assertEqual(problem["status"], status)

    @inlineCallbacks
    def test_accidents(self) -> Steps[None]:
        """
        What is our fault is logged once, and the client is told where.
        """
        http = yield self.begin()
        for name, error in (("fall", ZeroDivisionError), ("odd", NotImplementedError)):
            problem = yield self.problem(http, f"house.{name}", json={})
            self.assertEqual(problem["status"], 500)
            self.assertRegex(problem["detail"], r"^Something went wrong here. .* r\d+")
            self.assertEqual(len(self.flushLoggedErrors()), 1, error)

    @inlineCallbacks
    def test_timed_out(self) -> Steps[None]:
        """
        What takes too long is cancelled.
        """
        http = yield self.begin()
        yield http.send("POST", "/operations/house.wait", json={})
        yield self.clock.advance(5)
        said = yield http.receive()
        self.assertEqual(said.status, 504)
        self.assertEqual(self.offered.cancelled, 1)

    @inlineCallbacks
    def test_gone(self) -> Steps[None]:
        """
        What a client wants that has gone away is cancelled.
        """
        yield self.begin()
        line = self.host.lines("tcp:8080")
        yield line.send(
            b"POST /operations/house.wait HTTP/1.1\r\nHost: a\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        self.assertEqual(len(self.offered.waiting), 1)
        yield line.close(abort=True)
        self.assertEqual(self.offered.cancelled, 1)

    @inlineCallbacks
    def test_added_later(self) -> Steps[None]:
        """
        What is offered while the daemon runs can be called as well.
        """
        http = yield self.begin()
        self.host.operations.add("home", Callables())
        said = yield http.post("/operations/home.echo", json={"text": "a"})
        self.assertEqual(said.json(), "a")

    @inlineCallbacks
    def test_log(self) -> Steps[None]:
        """
        A call is logged in a line, unless the settings say that it is not; a reload
        may change that.
        """
        http = yield self.begin()
        observed = Observed.during(self)
        for settings, count in (
            ("", 1),
            ("[operations]\nlog = false", 0),
            ("[operations]\nlog = true", 1),
        ):
            if settings:
                yield self.host.reload(f"{settings}\n[house]\n")
            before = len(observed.texts)
            yield http.post("/operations/house.echo", json={"text": "a"})
            texts = observed.texts[before:]
            lines = [each for each in texts if "house.echo:" in each]
            self.assertEqual(len(lines), count, settings)
            for line in lines:
                self.assertIn("127.0.0.1 http house.echo: ok, 0.0 ms", line)


class ProgressTests(WebTestCase):
    """
    ``Accept: application/x-ndjson``.
    """

    headers: ClassVar = {"Accept": "application/x-ndjson"}

    def lines(self, said: Any) -> list[Any]:
        self.assertEqual(said.headers["Content-Type"], "application/x-ndjson")
        return [json.loads(line) for line in said.body.splitlines()]

    @inlineCallbacks
    def climb(self, http: Any, stairs: int) -> Steps[None]:
        yield http.send(
            "POST",
            "/operations/house.climb",
            json={"stairs": stairs},
            headers=self.headers,
        )

    @inlineCallbacks
    def test_lines(self) -> Steps[None]:
        """
        Each progressive result is a line, and the result is the last.
        """
        http = yield self.begin()
        yield self.climb(http, 2)
        for _ in range(2):
            self.offered.come()
            yield self.clock.settle()
        said = yield http.receive()
        self.assertEqual(said.status, 200)
        self.assertEqual(
            self.lines(said),
            [
                {"progress": {"stair": 1}},
                {"progress": {"stair": 2}},
                {"result": 2},
            ],
        )

    @inlineCallbacks
    def test_nothing_on_the_way(self) -> Steps[None]:
        """
        Without progress there is one line.
        """
        http = yield self.begin()
        said = yield http.post(
            "/operations/house.echo", json={"text": "a"}, headers=self.headers
        )
        self.assertEqual(self.lines(said), [{"result": "a"}])

    @inlineCallbacks
    def test_others(self) -> Steps[None]:
        """
        Who does not ask for lines gets the result alone.
        """
        http = yield self.begin()
        yield http.send("POST", "/operations/house.climb", json={"stairs": 1})
        self.offered.come()
        said = yield http.receive()
        self.assertEqual(said.json(), 1)

    @inlineCallbacks
    def test_refused(self) -> Steps[None]:
        """
        What is refused before there is a line has its status.
        """
        http = yield self.begin()
        said = yield http.post("/operations/house.climb", headers=self.headers)
        self.assertEqual(said.status, 422)
        said = yield http.post("/operations/house.fall", headers=self.headers)
        self.assertEqual(said.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    @inlineCallbacks
    def test_failed_on_the_way(self) -> Steps[None]:
        """
        What goes wrong later is the last line.
        """
        http = yield self.begin()
        yield self.climb(http, 2)
        self.offered.waiting[0].errback(ZeroDivisionError())
        said = yield http.receive()
        progress, end = self.lines(said)
        self.assertEqual(progress, {"progress": {"stair": 1}})
        self.assertEqual(end["error"]["status"], 500)
        self.assertRegex(end["error"]["detail"], r" r\d+\.$")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    @inlineCallbacks
    def test_gone(self) -> Steps[None]:
        """
        A client that goes away in the middle, or before it has heard anything, cancels
        the call.
        """
        yield self.begin()
        for number, name in enumerate((b"climb", b"wait"), 1):
            body = b'{"stairs": 2}' if name == b"climb" else b"{}"
            line = self.host.lines("tcp:8080")
            yield line.send(
                b"POST /operations/house.%b HTTP/1.1\r\nHost: a\r\n"
                b"Accept: application/x-ndjson\r\n"
                b"Content-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (name, len(body), body)
            )
            yield line.close(abort=True)
            yield self.clock.settle()
            self.assertEqual(self.offered.cancelled, number, name)


class SlowTests(SynchronousTestCase):
    """
    A client that reads slowly.
    """

    def test_the_newest(self) -> None:
        """
        Of what waits for it, the oldest is dropped, and never the result.
        """
        lines = _Lines()
        for number in range(_MOST_LINES + 10):
            lines.tell(number)
        lines.follow(succeed(b"5"))
        taken = []
        for _ in range(_MOST_LINES):
            taken.append(self.successResultOf(lines.take()))
        self.assertEqual(taken[0], b'{"progress":11}\n')
        self.assertEqual(taken[-1], b'{"result":5}\n')


class WhereTests(WebTestCase):
    """
    Where operations are, and what is told of them.
    """

    @inlineCallbacks
    def test_list(self) -> Steps[None]:
        """
        ``GET /operations`` lists them.
        """
        http = yield self.begin()
        for path in ("/operations", "/operations/"):
            said = yield http.get(path)
            told = {each["name"]: each for each in said.json()["operations"]}
            self.assertEqual(told["house.echo"]["summary"], "Say it again")
            self.assertEqual(len(told), len(self.host.operations))

    @inlineCallbacks
    def test_document(self) -> Steps[None]:
        """
        Each operation is in the site's OpenAPI document, with what it takes and gives,
        and what may be answered.
        """
        http = yield self.begin()
        document = (yield http.get("/openapi.json")).json()
        validate(document)
        paths = document["paths"]
        named = {f"/operations/{name}" for name in self.host.operations.figures()}
        self.assertEqual({*paths}, named)
        enter = paths["/operations/house.enter"]["post"]
        self.assertEqual(enter["operationId"], "house.enter")
        self.assertEqual(enter["tags"], ["house"])
        self.assertEqual(enter["summary"], "Come in, through some doors")
        body = enter["requestBody"]
        self.assertTrue(body["required"])
        self.assertEqual([*body["content"]], ["application/json"])
        shape = document["components"]["schemas"]["HouseEnter"]
        self.assertEqual(shape["required"], ["guest"])
        self.assertEqual(shape["properties"]["doors"]["description"], "By which doors.")
        answer = enter["responses"]["200"]["content"]["application/json"]
        self.assertEqual(answer, {"schema": {"type": "string"}})
        statuses = ["200", "400", "403", "409", "413", "415", "422", "504"]
        self.assertEqual([*enter["responses"]], statuses)
        knock = paths["/operations/house.knock"]["post"]
        self.assertIn("429", knock["responses"])
        self.assertNotIn("required", knock["requestBody"])
        climb = paths["/operations/house.climb"]["post"]
        self.assertNotIn("504", climb["responses"])
        self.assertIn("application/x-ndjson", climb["responses"]["200"]["content"])

    @inlineCallbacks
    def test_home(self) -> Steps[None]:
        """
        The page that says what there is, says where they are.
        """
        http = yield self.begin()
        said = yield http.get("/", headers={"Accept": "text/html"})
        self.assertIn('href="/operations"', said.text)
        routes = {
            (each.verbs, each.path) for each in map_routes(self.host._host).routes
        }
        for route in (
            ("POST", "/operations/house.echo"),
            ("GET", "/operations"),
            ("WS", "/live"),
        ):
            self.assertIn(route, routes)

    @inlineCallbacks
    def test_another_path(self) -> Steps[None]:
        """
        The settings say where, and on which sites.
        """
        yield self.begin(
            '[web]\noperations = ""\n[web.sites.api]\n'
            'listen = ["tcp:8081"]\noperations = "/call/it"\n'
        )
        said = yield self.host.http("web").post("/operations/house.knock")
        self.assertEqual(said.status, 404)
        said = yield self.host.http("web.api").post("/call/it/house.knock")
        self.assertEqual(said.status, 200)

    @inlineCallbacks
    def test_only_where_there_are_some(self) -> Steps[None]:
        """
        A daemon without operations has no such path.
        """
        routes = Routes()
        host = yield self.serve(routes)
        said = yield host.http().get("/operations")
        self.assertEqual(said.status, 404)

    @inlineCallbacks
    def test_gives_way(self) -> Steps[None]:
        """
        What a service has mounted there stays.
        """
        routes = Routes()

        @routes.get("/")
        def index(request: Any) -> str:
            return "ours"

        http = yield self.begin(more=lambda host: host.web.mount("/operations", routes))
        said = yield http.get("/operations")
        self.assertEqual(said.body, b"ours")
        said = yield http.post("/operations/house.knock")
        self.assertEqual(said.status, 200)

    @inlineCallbacks
    def test_live(self) -> Steps[None]:
        """
        By WebSocket they can be called at ``/live``.
        """
        yield self.begin()
        socket = self.host.socket("/live")
        yield socket.send(
            {"jsonrpc": "2.0", "method": "house.echo", "params": ["a"], "id": 1}
        )
        said = yield socket.receive()
        self.assertEqual(said.json()["result"], "a")
        yield socket.send({"jsonrpc": "2.0", "method": "house.knock"})
        (caller,) = self.offered.callers
        self.assertEqual((caller.via, caller.address), ("websocket", "127.0.0.1"))
        self.assertNotEqual(caller.connection, "")

    @inlineCallbacks
    def test_crowd(self) -> Steps[None]:
        """
        An address has so many connections, and no more.
        """
        yield self.begin(
            '[operations]\nlines = "tcp:7071:interface=127.0.0.1"\nconnections = 2\n'
        )
        asked = {"jsonrpc": "2.0", "method": "house.echo", "params": ["a"], "id": 1}
        kept = []
        for number in range(3):
            line = self.host.lines("tcp:7071")
            kept.append(line)
            if number == 2:
                yield self.assertFailure(line.receive(), Closed)
            else:
                yield line.send(json.dumps(asked))
                self.assertEqual(json.loads((yield line.receive()))["result"], "a")

    @inlineCallbacks
    def test_lines(self) -> Steps[None]:
        """
        In lines and frames they can be called where the settings say, and what is
        under way is answered before the daemon ends.
        """
        yield self.begin(
            '[operations]\nlines = "tcp:7071:interface=127.0.0.1"\n'
            'frames = "tcp:7072"\n'
        )
        line = self.host.lines("tcp:7071")
        yield line.send('{"jsonrpc": "2.0", "method": "house.wait", "id": 1}')
        stopping = self.host.stop()
        yield self.clock.settle()
        self.offered.come()
        said = yield line.receive()
        self.assertEqual(said.json()["result"], "Ada")
        said = yield line.receive()
        self.assertEqual(said.json()["method"], "rpc.goodbye")
        yield self.assertFailure(line.receive(), Closed)
        yield stopping

    @inlineCallbacks
    def test_bad_settings(self) -> Steps[None]:
        """
        What is no place to listen, and what nobody knows, is refused with its key.
        """
        for text, told in (
            ('lines = "tpc:1"', "[operations] lines: cannot listen at 'tpc:1'"),
            ("line = 1", "[operations] line: unknown key; did you mean 'lines'?"),
            ("running = 0", "[operations] running: expected an integer from 1"),
        ):
            error = yield self.assertFailure(
                self.begin(f"[operations]\n{text}\n"), BadSettings
            )
            self.assertIn(told, str(error))

    @inlineCallbacks
    def test_conflicts(self) -> Steps[None]:
        """
        Two operations of one name stop the start, with both places.
        """

        def again(host: Any) -> None:
            host.operations.add("house", Callables())

        error = yield self.assertFailure(self.begin(more=again), StartFailed)
        self.assertIn("is claimed twice", str(error))
        self.assertIn("callables.py:", str(error))


class KitTests(WebTestCase):
    """
    Operations in tests.
    """

    @inlineCallbacks
    def test_call(self) -> Steps[None]:
        """
        A test calls them by name; typed values will do.
        """
        yield self.begin()
        said = yield self.host.call("house.echo", text="a")
        self.assertEqual(said, "a")
        said = yield self.host.call("house.enter", guest=Guest("Ada"))
        self.assertEqual(said, "Ada by []")
        yield self.host.call("house.knock")
        self.assertEqual(self.offered.callers, [Caller("test", "127.0.0.1")])
