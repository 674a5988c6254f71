"""
Tests for L{ropewalk.web.serving} and L{ropewalk.web.compiling}: what becomes of a
request on its way from its route to its answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from contextvars import ContextVar
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar
from unittest.mock import patch

from klein import Klein
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import Data
from werkzeug.exceptions import MethodNotAllowed, NotFound

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadHandler, Conflict, Fault, Invalid, RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.schema import Meta, Shape
from ropewalk.web.answers import Created, Response
from ropewalk.web.binding import Header
from ropewalk.web.problems import Refused
from ropewalk.web.routes import Routes, Timeout, errors, output
from tests.visiting import Answer, Place, chunked, request

T = TypeVar("T")


class Missing(RopewalkError):
    """There is no such thing."""

    status = 404


class Product(Shape):
    """Something on sale."""

    name: Annotated[str, Meta(max_length=10)]
    rating: Annotated[int, Meta(ge=1, le=5)]


class Page(Shape, Generic[T]):
    """Some of many things."""

    items: list[T]


class ServingCase(SynchronousTestCase):
    """
    Routes on a site, and a client.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.routes = Routes()

    def ask(self, path: str, method: str = "GET", *headers: str, **how: Any) -> Answer:
        if not list(self.place.site.mounts):
            self.place.mount("/shop", self.routes)
        return self.place.visit().ask(path, method, *headers, **how)

    def logged(self, kind: type[Exception]) -> int:
        return len(self.flushLoggedErrors(kind))


class PlainTests(ServingCase):
    """
    A handler that is plain stays cheap.
    """

    def test_no_deferred(self) -> None:
        """
        No Deferred is made for a plain handler that returns a plain value, with
        middleware or without.
        """

        def stamp(request: Any) -> Generator[Any, Any, None]:
            response = yield
            response.headers["X-Stamp"] = "yes"

        @self.routes.get("/a")
        def plain(request: Any) -> bytes:
            return b"plain"

        @self.routes.get("/b/<int:number>", middleware=[stamp])
        def typed(number: int, more: int = 1) -> dict[str, int]:
            return {"number": number + more}

        self.ask("/shop/a")
        made: list[Deferred[Any]] = []
        make = Deferred.__init__

        def count(new: Deferred[Any], *args: Any, **kwargs: Any) -> None:
            made.append(new)
            make(new, *args, **kwargs)

        visit = self.place.visit()
        with patch.object(Deferred, "__init__", count):
            said = [visit.ask("/shop/a").text, visit.ask("/shop/b/1?more=2").text]
        self.assertEqual((said, made), (["plain", '{"number":3}'], []))

    def test_content_length(self) -> None:
        """
        An answer whose length is known says it.
        """

        @self.routes.route("/")
        @inlineCallbacks
        def slow(request: Any) -> Steps[str]:
            yield succeed(None)
            return "wörld"

        answer = self.ask("/shop/")
        self.assertEqual(answer.headers["content-length"], "6")
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
        head = self.ask("/shop/", "HEAD")
        self.assertEqual((head.headers["content-length"], head.body), ("6", b""))


class MethodTests(ServingCase):
    """
    Methods that nobody wrote a handler for.
    """

    def setUp(self) -> None:
        super().setUp()

        @self.routes.get("/thing")
        def show() -> str:
            return "shown"

        @self.routes.put("/thing")
        def change() -> str:
            return "changed"

    def test_not_allowed(self) -> None:
        """
        A method that is not there is answered 405, with those that are (RFC 9110,
        section 15.5.6).
        """
        answer = self.ask("/shop/thing", "POST")
        self.assertEqual(
            (answer.status, answer.headers["allow"], answer.json["detail"]),
            (
                405,
                "GET, HEAD, OPTIONS, PUT",
                "there is no POST here, only GET, HEAD, OPTIONS, PUT",
            ),
        )

    def test_options(self) -> None:
        """
        OPTIONS is answered with what there is (RFC 9110, section 9.3.7), unless a
        handler does.
        """
        answer = self.ask("/shop/thing", "OPTIONS")
        self.assertEqual(
            (answer.status, answer.headers["allow"]), (204, "GET, HEAD, OPTIONS, PUT")
        )
        self.assertEqual(self.ask("/shop/nothing", "OPTIONS").status, 404)

    def test_own_options_and_head(self) -> None:
        """
        A handler of one's own for HEAD or OPTIONS comes first.
        """

        @self.routes.head("/thing")
        def head() -> Response:
            return Response(b"", 200, {"X-Head": "mine"})

        @self.routes.options("/thing")
        def options() -> Response:
            return Response(b"", 204, {"X-Options": "mine"})

        self.assertEqual(self.ask("/shop/thing", "HEAD").headers["x-head"], "mine")
        answer = self.ask("/shop/thing", "OPTIONS")
        self.assertEqual(answer.headers["x-options"], "mine")

    def test_error_handlers(self) -> None:
        """
        What is not there reaches the application's error handlers, as Klein has it.
        """

        @self.routes.handle_errors(NotFound)
        def nothing(request: Any, failure: Failure) -> tuple[int, str]:
            return 404, "nothing"

        @self.routes.handle_errors(MethodNotAllowed)
        def not_so(request: Any, failure: Failure) -> tuple[int, str]:
            return 405, "not so"

        answer = self.ask("/shop/nothing")
        self.assertEqual((answer.status, answer.text), (404, "nothing"))
        answer = self.ask("/shop/thing", "POST")
        self.assertEqual((answer.status, answer.text), (405, "not so"))


class SlashTests(ServingCase):
    """
    The slash at the end of a path.
    """

    def serve(self, routes: Routes) -> None:
        for rule in "/with/", "/without":

            @routes.get(rule)
            def show() -> str:
                return "shown"

        self.routes = routes

    def statuses(self) -> list[int]:
        paths = "/with/", "/with", "/without", "/without/"
        return [self.ask(f"/shop{path}").status for path in paths]

    def test_redirect(self) -> None:
        """
        Unless something else is said, one that is missing is added by a redirect.
        """
        self.serve(Routes())
        self.assertEqual(self.statuses(), [200, 308, 200, 404])
        self.assertEqual(
            self.ask("/shop/with?a=%2F").headers["location"], "/shop/with/?a=%2F"
        )

    def test_ignore(self) -> None:
        """
        It may be ignored.
        """
        self.serve(Routes(slashes="ignore"))
        self.assertEqual(self.statuses(), [200, 200, 200, 200])

    def test_exact(self) -> None:
        """
        It may be taken seriously.
        """
        self.serve(Routes(slashes="exact"))
        self.assertEqual(self.statuses(), [200, 404, 200, 404])

    def test_root(self) -> None:
        """
        What is mounted answers for its own path with a slash behind it and without
        (klein#237); a rule that is empty, for the one without.
        """

        @self.routes.get("/")
        def root() -> str:
            return "root"

        bare = Routes()

        @bare.get("")
        def show() -> str:
            return "bare"

        self.routes.mount("/bare", bare)
        self.assertEqual(self.ask("/shop").text, "root")
        self.assertEqual(self.ask("/shop/").text, "root")
        self.assertEqual(self.ask("/shop/bare").text, "bare")
        self.assertEqual(self.ask("/shop/bare/").status, 404)


class BranchTests(ServingCase):
    """
    Routes below routes.
    """

    def test_errors_reach_the_parent(self) -> None:
        """
        What nobody handles in what is mounted below reaches the handlers of what it
        is below (klein#119), however it is mounted: with C{mount}, or returned by a
        handler of a branch.
        """
        child = Klein()

        @child.route("/fails")
        def fails(request: Any) -> None:
            raise Missing

        @child.route("/fails-later")
        async def later(request: Any) -> None:
            await succeed(None)
            raise Missing

        self.routes.mount("/mounted", child)

        @self.routes.route("/returned/", branch=True)
        def returned(request: Any) -> Any:
            return child.resource()

        @self.routes.handle_errors(Missing, NotFound)
        def missing(request: Any, failure: Failure) -> tuple[int, str]:
            return 404, f"the parent's: {type(failure.value).__name__}"

        for path, kind in {
            "/mounted/fails": "Missing",
            "/mounted/fails-later": "Missing",
            "/mounted/nothing": "NotFound",
            "/returned/fails": "Missing",
            "/returned/fails-later": "Missing",
            "/returned/nothing": "NotFound",
        }.items():
            answer = self.ask(f"/shop{path}")
            self.assertEqual(
                (answer.status, answer.text), (404, f"the parent's: {kind}"), path
            )

    def test_the_slash_of_a_branch(self) -> None:
        """
        A branch whose rule has no slash at its end has its own C{/} all the same
        (klein#237).
        """
        child = Klein()

        @child.route("/")
        def users(request: Any) -> str:
            return "users"

        @child.route("/<name>")
        def user(request: Any, name: str) -> str:
            return name

        for app in Klein(), Routes():

            @app.route("/users", branch=True)
            def below(request: Any) -> Any:
                return child.resource()

            place = Place.of()
            place.mount("/", app)
            visit = place.visit()
            paths = "/users", "/users/", "/users/bob"
            said = [visit.ask(path).text for path in paths]
            self.assertEqual(said, ["users", "users", "bob"])

    def test_own_handlers_first(self) -> None:
        """
        A branch's own error handlers come first; one that fails leaves it to the
        parent's.
        """
        child = Routes()

        @child.get("/<int:number>")
        def fails(number: int) -> None:
            raise (Missing, KeyError)[number]

        @child.handle_errors(Missing)
        def own(request: Any, failure: Failure) -> str:
            return "the child's"

        @child.handle_errors(KeyError)
        def broken(request: Any, failure: Failure) -> str:
            raise ZeroDivisionError

        @self.routes.handle_errors(ZeroDivisionError)
        def parents(request: Any, failure: Failure) -> str:
            return "the parent's"

        self.routes.mount("/child", child)
        self.assertEqual(self.ask("/shop/child/0").text, "the child's")
        self.assertEqual(self.ask("/shop/child/1").text, "the parent's")

    def test_prefixes_with_parameters(self) -> None:
        """
        A path to mount at may have parameters; handlers take those that they want.
        """
        child = Routes()

        @child.get("/name")
        def name(tenant: str) -> str:
            return tenant

        @child.get("/plain/<int:number>")
        def plain(number: int) -> str:
            return str(number)

        self.routes.mount("/<tenant>/of/<int:year>", child)
        self.assertEqual(self.ask("/shop/acme/of/1999/name").text, "acme")
        self.assertEqual(self.ask("/shop/acme/of/1999/plain/3").text, "3")

    def test_resources(self) -> None:
        """
        A resource may be below routes, too, with their middleware around it.
        """
        seen = []

        def watch(request: Any) -> Generator[Any, Any, None]:
            seen.append(request.path)
            yield

        self.routes.use(watch)
        self.routes.mount("/data", Data(b"data", "text/plain"))
        self.assertEqual(self.ask("/shop/data").text, "data")
        self.assertEqual(seen, [b"/shop/data"])

    def test_a_tree(self) -> None:
        """
        What the table does not know falls to a resource at the same path.
        """
        self.place.mount("/shop", Data(b"rest", "text/plain"), "files")
        self.place.mount("/shop", self.routes)

        @self.routes.post("/thing")
        def change() -> str:
            return "changed"

        self.assertEqual(self.ask("/shop").text, "rest")
        self.assertEqual(self.ask("/shop/thing", "POST").text, "changed")


class MiddlewareTests(ServingCase):
    """
    Middleware, where it was put.
    """

    def test_where(self) -> None:
        """
        Around the site, around routes and what is below them, around one route: in
        this order. Error handlers are inside of their routes' middleware, and see
        what it raises as well.
        """
        seen: list[str] = []

        def note(word: str) -> Any:
            def noting(request: Any) -> Generator[Any, Any, None]:
                seen.append(word)
                if request.args.get(b"stop") == [word.encode()]:
                    raise Missing
                response = yield
                seen.append(f"{word} {response.status}")

            return noting

        child = Routes()
        child.use(note("child"))

        @child.get("/<word>", middleware=[note("route")])
        def show(word: str) -> str:
            if word == "missing":
                raise Missing
            return word

        @child.handle_errors(Missing)
        def missing(request: Any, failure: Failure) -> tuple[int, str]:
            return 404, "missing"

        self.routes.use(note("routes"))
        self.routes.mount("/child", child)
        self.place.site.mounts.middleware.append(note("site"))
        self.assertEqual(self.ask("/shop/child/word").text, "word")
        around = ["site", "routes", "child", "route"]
        self.assertEqual(seen, [*around, *(f"{each} 200" for each in around[::-1])])
        seen.clear()
        self.assertEqual(self.ask("/shop/child/missing").text, "missing")
        self.assertEqual(seen, [*around, "child 404", "routes 404", "site 404"])
        seen.clear()
        self.assertEqual(self.ask("/shop/child/word?stop=child").text, "missing")
        self.assertEqual(seen, [*around[:3], "routes 404", "site 404"])

    def test_context(self) -> None:
        """
        What one request puts into context variables is nothing to the next on its
        connection; and it is there in all of its own steps, so that it can be taken
        back.
        """
        user: ContextVar[str] = ContextVar("user", default="nobody")
        gate: list[Deferred[None]] = []

        def who(request: Any) -> Generator[Any, Any, None]:
            name = request.getHeader("x-user")
            token = user.set(name) if name else None
            try:
                yield
            finally:
                if token is not None:
                    user.reset(token)

        def stays(request: Any) -> Generator[Any, Any, None]:
            user.set(request.getHeader("x-stays") or user.get())
            yield

        @self.routes.get("/", middleware=[stays, who])
        def show() -> str:
            return user.get()

        @self.routes.get("/later", middleware=[who])
        @inlineCallbacks
        def later() -> Steps[str]:
            gate.append(Deferred())
            yield gate[-1]
            return user.get()

        self.place.mount("/", self.routes)
        visit = self.place.visit()
        for header, name in (("X-User: ada", "ada"), ("X-Stays: bob", "bob")):
            self.assertEqual(visit.ask("/", "GET", header).text, name)
            self.assertEqual(visit.ask("/").text, "nobody")
        visit.send(request("/later", "GET", "X-User: ada"))
        other = self.place.visit()
        other.send(request("/later"))
        for each in gate:
            each.callback(None)
        self.assertEqual((visit.answer().text, other.answer().text), ("ada", "nobody"))

    def test_written_by_hand(self) -> None:
        """
        A handler may write all of the answer itself, now or later, with middleware
        around it or not; nothing is logged.
        """
        waiting = []

        def watch(request: Any) -> Generator[Any, Any, None]:
            yield

        @self.routes.get("/now", middleware=[watch])
        def now(request: Any) -> None:
            request.write(b"now")
            request.finish()

        @self.routes.get("/later")
        def later(request: Any) -> Any:
            waiting.append(request)
            return NOT_DONE_YET

        self.assertEqual(self.ask("/shop/now").text, "now")
        visit = self.place.visit()
        visit.send(request("/shop/later"))
        self.assertEqual(visit.answers(), [])
        waiting[0].write(b"later")
        waiting[0].finish()
        self.assertEqual(visit.answer().text, "later")

    def test_around_what_is_not_there(self) -> None:
        """
        It is also around what is answered where nothing is.
        """
        seen = []

        def watch(request: Any) -> Generator[Any, Any, None]:
            try:
                yield
            except NotFound:
                seen.append(request.path)
                raise

        self.routes.use(watch)
        self.assertEqual(self.ask("/shop/nothing").status, 404)
        self.assertEqual(seen, [b"/shop/nothing"])


class SiteMiddlewareTests(ServingCase):
    """
    Middleware of the site is around all that it answers.
    """

    def setUp(self) -> None:
        super().setUp()
        self.seen: list[int] = []

        def stamp(request: Any) -> Generator[Any, Any, None]:
            response = yield
            self.seen.append(response.status)
            response.headers["Access-Control-Allow-Origin"] = "*"

        self.place.site.mounts.middleware.append(stamp)

        @self.routes.get("/thing/")
        def show(number: int = 0) -> str:
            if number == 1:
                raise Refused(418, "no coffee", {"Retry-After": "5"})
            return "shown"

    def test_everything(self) -> None:
        """
        What is redirected, what is offered, what is not there and what was refused on
        purpose: each is an answer to it, whose headers it can change.
        """
        for path, method, status in (
            ("/shop/thing/", "GET", 200),
            ("/shop/thing", "GET", 308),
            ("/shop/thing/", "OPTIONS", 204),
            ("/shop/thing/", "POST", 405),
            ("/shop/nothing", "GET", 404),
            ("/nothing", "GET", 404),
            ("/shop/thing/?number=x", "GET", 400),
            ("/shop/thing/?number=1", "GET", 418),
        ):
            answer = self.ask(path, method)
            self.assertEqual(
                (answer.status, answer.headers.get("access-control-allow-origin")),
                (status, "*"),
                path,
            )
        self.assertEqual(self.ask("/shop/thing/?number=1").headers["retry-after"], "5")

    def test_accidents(self) -> None:
        """
        What nobody had planned stays an error: middleware may see it, and the log does.
        """

        @self.routes.get("/fails")
        def fails() -> None:
            raise ZeroDivisionError

        self.assertEqual(self.ask("/shop/fails").status, 500)
        self.assertEqual(self.seen, [])
        self.assertEqual(self.logged(ZeroDivisionError), 1)


class TimeoutTests(ServingCase):
    """
    A handler that takes too long.
    """

    def test_too_long(self) -> None:
        """
        It is cancelled, and its client is answered 503; or 504 where it waits for
        somebody else. Nothing is logged.
        """
        cancelled: list[str] = []

        @self.routes.get("/ours", timeout=2.5)
        def ours() -> Deferred[str]:
            return Deferred(lambda _: cancelled.append("ours"))

        @self.routes.get("/theirs", timeout=Timeout(2.5, 504))
        def theirs() -> Deferred[str]:
            return Deferred(lambda _: cancelled.append("theirs"))

        self.place.mount("/shop", self.routes)
        for path, status in {"ours": 503, "theirs": 504}.items():
            visit = self.place.visit()
            visit.send(request(f"/shop/{path}"))
            self.place.clock.advance(2.4)
            self.assertEqual(visit.answers(), [])
            self.place.clock.advance(0.2)
            self.assertEqual(visit.answer().status, status)
        self.assertEqual(cancelled, ["ours", "theirs"])

    def test_in_time(self) -> None:
        """
        One that is in time leaves no timer behind.
        """

        @self.routes.get("/", timeout=2)
        async def quick() -> str:
            await succeed(None)
            return "quick"

        self.assertEqual(self.ask("/shop/").text, "quick")
        names = [str(each) for each in self.place.clock.getDelayedCalls()]
        self.assertFalse([name for name in names if "expire" in name], names)

    def test_handled(self) -> None:
        """
        Error handlers are told; a time-out of the handler's own is not taken for
        ours.
        """
        from twisted.internet.defer import TimeoutError

        @self.routes.get("/", timeout=2)
        async def fails() -> str:
            raise TimeoutError("the database")

        @self.routes.handle_errors(TimeoutError)
        def late(request: Any, failure: Failure) -> str:
            return str(failure.value)

        self.assertEqual(self.ask("/shop/").text, "the database")


class LeavingTests(ServingCase):
    """
    A client that goes away.
    """

    def test_cancelled(self) -> None:
        """
        It cancels the handler, through all that is around it; nothing is logged.
        """
        seen: list[str] = []

        def watch(request: Any) -> Generator[Any, Any, None]:
            try:
                yield
            except CancelledError:
                seen.append("middleware")
                raise

        @self.routes.component
        def session() -> Iterator[Session]:
            yield Session()
            seen.append("never committed")

        self.routes.use(watch)

        @self.routes.get("/", timeout=9)
        @inlineCallbacks
        def slow(session: Session) -> Steps[None]:
            try:
                yield Deferred()
            finally:
                seen.append("handler")

        self.place.mount("/shop", self.routes)
        visit = self.place.visit()
        visit.send(request("/shop/"))
        self.assertEqual(seen, [])
        visit.leave()
        self.assertEqual(seen, ["handler", "middleware"])
        self.assertEqual([each.code for each in self.place.seen], [499])


class Session:
    """Something that has to be closed."""


class ScopeTests(ServingCase):
    """
    What is injected lives as long as the request.
    """

    def setUp(self) -> None:
        super().setUp()
        self.did: list[str] = []
        did = self.did

        @self.routes.component
        def session(x_fail: Header[bool] = False) -> Iterator[Session]:
            did.append("open")
            try:
                yield Session()
            except Exception as error:
                did.append(f"roll back: {type(error).__name__}")
                raise
            if x_fail:
                raise OSError("the disk is full")
            did.append("commit")

    def test_before_the_answer(self) -> None:
        """
        It is closed before the answer is written: a commit that fails is a failure.
        """

        @self.routes.post("/")
        def create(session: Session) -> Created[str]:
            return Created("done")

        self.assertEqual(self.ask("/shop/", "POST").status, 201)
        self.assertEqual(self.did, ["open", "commit"])
        answer = self.ask("/shop/", "POST", "X-Fail: true")
        self.assertEqual(answer.status, 500)
        self.assertEqual(self.logged(OSError), 1)

    def test_rolled_back(self) -> None:
        """
        What the handler raises is raised in the component, also when an error
        handler answers for it.
        """

        @self.routes.get("/<word>")
        def fails(session: Session, word: str) -> None:
            raise Missing if word == "missing" else KeyError

        @self.routes.handle_errors(Missing)
        def missing(request: Any, failure: Failure) -> str:
            return "handled"

        self.assertEqual(self.ask("/shop/missing").text, "handled")
        self.assertEqual(self.did, ["open", "roll back: Missing"])
        self.assertEqual(self.ask("/shop/other").status, 500)
        self.assertEqual(self.did[2:], ["open", "roll back: KeyError"])
        self.assertEqual(self.logged(KeyError), 1)

    def test_streams(self) -> None:
        """
        Where an answer is a stream, it is closed when the stream has ended.
        """
        gate: Deferred[None] = Deferred()

        @self.routes.stream("/")
        async def pieces(session: Session) -> AsyncIterator[str]:
            yield "a"
            await gate
            yield "b"

        self.place.mount("/shop", self.routes)
        visit = self.place.visit()
        visit.send(request("/shop/"))
        self.place.clock.pump([0.1] * 3)
        self.assertEqual(self.did, ["open"])
        gate.callback(None)
        self.place.clock.pump([0.1] * 3)
        self.assertEqual(visit.answer().text, "ab")
        self.assertEqual(self.did, ["open", "commit"])

    def test_not_asked_for(self) -> None:
        """
        It costs nothing where nobody asks for it, nor where the request is refused.
        """

        @self.routes.get("/plain")
        def plain() -> str:
            return ""

        @self.routes.get("/typed")
        def typed(session: Session, number: int) -> str:
            return ""

        self.assertEqual(self.ask("/shop/plain").status, 200)
        self.assertEqual(self.ask("/shop/typed").status, 400)
        self.assertEqual(self.did, [])


class BodyTests(ServingCase):
    """
    What comes in a body.
    """

    def setUp(self) -> None:
        super().setUp()

        @self.routes.post("/products")
        def create(product: Product, dry_run: bool = False) -> Created[Product]:
            return Created(product, "/products/1")

        @self.routes.post("/long", longest_body=2_000_000)
        def long(request: Any) -> str:
            return str(len(request.content.read()))

        @self.routes.post("/short", longest_body=10)
        def short(request: Any) -> str:
            return str(len(request.content.read()))

    def test_faults(self) -> None:
        """
        All that is wrong is told at once, by place: API Star's product.
        """
        body = b'{"name": "a very long name", "rating": 6}'
        answer = self.ask(
            "/shop/products", "POST", "Content-Type: application/json", body=body
        )
        self.assertEqual(
            (answer.status, answer.json["title"]), (422, "Unprocessable Content")
        )
        self.assertEqual(
            answer.json["errors"],
            [
                {
                    "in": "body",
                    "path": "name",
                    "problem": "expected text of at most 10 characters, got 'a very "
                    "long name'",
                },
                {
                    "in": "body",
                    "path": "rating",
                    "problem": "expected an integer from 1 to 5, got 6",
                },
            ],
        )

    def test_formats(self) -> None:
        """
        The same shape is read from, and written as, what the client likes.
        """
        for kind, body in {
            "application/json": b'{"name":"Rope","rating":5}',
            "application/xml": b"<product><name>Rope</name>"
            b"<rating>5</rating></product>",
            "application/x-www-form-urlencoded": b"name=Rope&rating=5",
        }.items():
            answer = self.ask(
                "/shop/products",
                "POST",
                f"Content-Type: {kind}",
                f"Accept: {kind}",
                body=body,
            )
            self.assertEqual(
                (answer.status, answer.headers["content-type"]), (201, kind)
            )
            self.assertTrue(answer.body.endswith(body), answer.body)

    def test_other_formats(self) -> None:
        """
        What nobody reads is answered 415, and what nobody writes 406.
        """
        asked = "/shop/products", "POST"
        answer = self.ask(*asked, "Content-Type: image/png", body=b"x")
        self.assertEqual(answer.status, 415)
        body = b'{"name":"Rope","rating":5}'
        answer = self.ask(
            *asked, "Content-Type: application/json", "Accept: image/png", body=body
        )
        self.assertEqual(answer.status, 406)

    def test_lengths(self) -> None:
        """
        A route may take longer bodies than the site, or none so long, declared or in
        chunks.
        """
        visit = self.place.visit
        self.assertEqual(
            self.ask("/shop/long", "POST", body=b"x" * 1_500_000).text, "1500000"
        )
        self.assertEqual(self.ask("/shop/short", "POST", body=b"x" * 11).status, 413)
        self.assertEqual(self.ask("/shop/short", "POST", body=b"x" * 10).text, "10")
        client = visit()
        head = request("/shop/short", "POST", "Transfer-Encoding: chunked")
        client.send(head + chunked(b"x" * 6, b"x" * 6))
        self.assertEqual(client.answer().status, 413)

    def test_a_browser(self) -> None:
        """
        A browser is told in HTML.
        """
        answer = self.ask(
            "/shop/products",
            "POST",
            "Content-Type: application/x-www-form-urlencoded",
            "Accept: text/html,application/xhtml+xml,*/*;q=0.8",
            body=b"name=<b>&rating=0",
        )
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
        self.assertIn("<li>rating: expected an integer from 1 to 5, got", answer.text)


class AnswerTests(ServingCase):
    """
    What comes of what a handler returns.
    """

    def test_nothing(self) -> None:
        """
        A handler that has nothing to say is answered 204; one that takes the request,
        as Klein's do, may have said it all, and is answered as Klein does.
        """

        @self.routes.get("/ours/<word>")
        def ours(word: str) -> None:
            """Nothing to say."""

        @self.routes.get("/kleins/<word>")
        def kleins(request: Any, word: str) -> None:
            """Nothing to say."""

        self.assertEqual(self.ask("/shop/ours/a").status, 204)
        answer = self.ask("/shop/kleins/a")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_bytes(self) -> None:
        """
        Bytes are bytes, not a page that a browser would run, unless it is said; of a
        handler that takes the request, Klein's way.
        """

        @self.routes.get("/ours")
        def ours() -> bytes:
            return b"<script>"

        @self.routes.get("/array")
        def array() -> bytearray:
            return bytearray(b"<script>")

        @self.routes.get("/pieces")
        def pieces() -> Iterator[bytes]:
            return iter([b"<script>", b"..."])

        @self.routes.get("/said")
        def said() -> Response:
            return Response(b"<b>", content_type="text/html")

        @self.routes.get("/kleins")
        def kleins(request: Any) -> bytes:
            return b"<b>"

        for path, kind in {
            "ours": "application/octet-stream",
            "array": "application/octet-stream",
            "pieces": "application/octet-stream",
            "said": "text/html",
            "kleins": "text/html",
        }.items():
            answer = self.ask(f"/shop/{path}")
            self.assertEqual(answer.headers["content-type"], kind)

    def test_head(self) -> None:
        """
        What cannot be known without a body is not said to HEAD.
        """

        @self.routes.stream("/stream")
        def stream(upto: int = 3) -> Iterator[int]:
            yield from range(upto)

        answer = self.ask("/shop/stream", "HEAD")
        self.assertEqual(answer.status, 200)
        self.assertNotIn("content-type", answer.headers)

    def test_classes(self) -> None:
        """
        A class may take what is in the path when it is made.
        """

        class Greeting:
            def __init__(self, name: str) -> None:
                self.name = name

            def get(self) -> str:
                return f"Hello, {self.name}"

        self.routes.add_route("/hello/<name>", Greeting)
        self.assertEqual(self.ask("/shop/hello/Ada").text, "Hello, Ada")

    def test_phrases(self) -> None:
        """
        A status has its own words on the wire (RFC 9110, section 15.5.21).
        """

        @self.routes.get("/")
        def show() -> tuple[int, str]:
            return 422, "no"

        self.assertEqual(self.ask("/shop/").reason, "Unprocessable Content")


class DecoratorTests(ServingCase):
    """
    What is said of a handler beside its annotations.
    """

    def test_output(self) -> None:
        """
        What a handler returns is written in the shape that its output has, without
        what that has no place for; what does not fit is our fault.
        """

        @self.routes.get("/<int:rating>")
        @output(Product)
        def show(rating: int) -> dict[str, Any]:
            return {"name": "Rope", "rating": rating, "cost": 1}

        self.assertEqual(self.ask("/shop/5").json, {"name": "Rope", "rating": 5})
        self.assertEqual(self.ask("/shop/6").status, 500)
        self.assertEqual(self.logged(ValueError), 1)

    def test_errors(self) -> None:
        """
        An error of somebody else's is given a status.
        """

        @self.routes.get("/<word>")
        @errors(Missing)
        @errors(KeyError, status=404)
        def show(word: str) -> str:
            return {"a": "b"}[word]

        self.assertEqual(self.ask("/shop/a").text, "b")
        answer = self.ask("/shop/c")
        self.assertEqual((answer.status, answer.json["detail"]), (404, "'c'"))

    def test_errors_of_the_handler_alone(self) -> None:
        """
        What the client asked wrongly is not taken for an error of the handler's.
        """

        @self.routes.get("/")
        @errors(Invalid, status=502)
        async def show(number: int) -> str:
            raise Invalid((Fault("", "what the back end said makes no sense"),))

        self.assertEqual(self.ask("/shop/?number=x").status, 400)
        self.assertEqual(self.ask("/shop/?number=1").status, 502)

    def test_errors_that_know_nothing(self) -> None:
        """
        An error without a status is refused where it is named.
        """
        error = self.assertRaises(TypeError, errors, KeyError)
        self.assertIn("say errors(KeyError, status=404)", str(error))

    def test_guards(self) -> None:
        """
        A handler is called when all its guards say yes, plain or not.
        """

        def yes(x_key: Header[str] = "") -> bool:
            return x_key == "open"

        async def later(x_key: Header[str] = "") -> bool:
            await succeed(None)
            return True

        @self.routes.get("/", guards=[later, yes])
        def show() -> str:
            return "in"

        self.assertEqual(self.ask("/shop/").status, 403)
        self.assertEqual(self.ask("/shop/", "GET", "X-Key: open").text, "in")


class StartTests(SynchronousTestCase):
    """
    What cannot be served is said when the table is made.
    """

    def compile(self, *apps: Any) -> None:
        place = Place.of()
        for number, app in enumerate(apps):
            place.mount("/", app, f"service{number}")
        place.site.mounts.compile()

    def test_nothing_to_ask_for(self) -> None:
        """
        A handler that asks for what nobody gives is named, with its place.
        """
        routes = Routes()

        @routes.get("/")
        def show(session: Session) -> str:
            return ""

        error = self.assertRaises(BadHandler, self.compile, routes)
        self.assertIn("show (", str(error))
        self.assertIn("test_serving.py:", str(error))
        self.assertIn("Session", str(error))

    def test_never(self) -> None:
        """
        What no path could ever give is refused.
        """
        routes = Routes()

        @routes.get("/<int:number>")
        def show(number: str) -> str:
            return number

        error = self.assertRaises(BadHandler, self.compile, routes)
        self.assertIn("in the path it is int, which cannot become str", str(error))

    def test_generic(self) -> None:
        """
        A shape may have types in it that are said where it is asked for.
        """
        routes, place = Routes(), Place.of()

        @routes.post("/")
        def create(page: Page[Product]) -> Page[Product]:
            return page

        place.mount("/", routes)
        body = b'{"items":[{"name":"Rope","rating":5}]}'
        kind = "Content-Type: application/json"
        answer = place.visit().ask("/", "POST", kind, body=body)
        self.assertEqual((answer.status, answer.body), (200, body))

    def test_types_that_are_none(self) -> None:
        """
        A type that nobody can read is told with what is wrong with it.
        """
        routes = Routes()

        @routes.get("/")
        def show(price: Annotated[Decimal, Meta(ge=0)]) -> str:
            return ""

        error = self.assertRaises(BadHandler, self.compile, routes)
        self.assertIn("Can only set `ge` on a numeric type", str(error))

    def test_no_instance(self) -> None:
        """
        Routes of a class, where those of an instance are needed, are told apart.
        """

        class Pages:
            routes = Routes()

            @routes.get("/")
            def show(self) -> str:
                return ""

        error = self.assertRaises(BadHandler, self.compile, Pages.routes)
        self.assertIn("Pages(…).routes", str(error))

    def test_two_services(self) -> None:
        """
        Two services that claim one path and method are both named, with the places of
        their handlers.
        """
        one, other = Routes(), Klein()

        @one.get("/things/<int:id>")
        def first(id: int) -> str:
            return "first"

        @other.route("/things/<int:number>", methods=["GET", "POST"])
        def second(request: Any, number: int) -> str:
            return "second"

        error = self.assertRaises(Conflict, self.compile, one, other)
        lines = str(error).splitlines()
        self.assertEqual(lines[0], "the route 'GET /things/<int:id>' is claimed twice:")
        self.assertRegex(lines[1], r"by service 'service0' \(.*test_serving\.py:\d+\)")
        self.assertRegex(lines[2], r"by service 'service1' \(.*test_serving\.py:\d+\)")

    def test_a_route_and_a_resource(self) -> None:
        """
        So are a route and a resource at its very path; a resource above it has what the
        other leaves.
        """
        routes = Routes()

        @routes.get("/about")
        def about() -> str:
            return "about"

        for path in "/about", "/":
            place = Place.of()
            place.mount("/", routes, "shop")
            place.mount(path, Data(b"mine", "text/plain"), "files")
            if path == "/about":
                error = self.assertRaises(Conflict, place.site.mounts.compile)
                self.assertIn("the path '/about' is claimed twice", str(error))
            else:
                self.assertEqual(place.visit().ask("/about").text, "about")

    def test_override(self) -> None:
        """
        One that overrides takes the place of the other.
        """
        one, other = Routes(), Routes()

        @one.get("/thing")
        def first() -> str:
            return "first"

        @one.post("/thing")
        def kept() -> str:
            return "kept"

        @other.get("/thing", override=True)
        def second() -> str:
            return "second"

        for apps in (one, other), (other, one):
            place = Place.of()
            for number, app in enumerate(apps):
                place.mount("/", app, f"service{number}")
            visit = place.visit()
            self.assertEqual(visit.ask("/thing").text, "second")
            self.assertEqual(visit.ask("/thing", "POST").text, "kept")

    def test_resources(self) -> None:
        """
        Two resources cannot share a path.
        """
        self.assertRaises(Conflict, self.compile, Resource(), Resource())
