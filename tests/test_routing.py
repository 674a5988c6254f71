"""
Tests for L{ropewalk.web.routes}: what is said of routes, and what comes of it.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Generator, Iterator
from functools import partial
from typing import Any

from attrs import define, frozen
from klein import Klein
from klein.interfaces import IKleinRequest
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from werkzeug.routing import BaseConverter

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadHandler
from ropewalk.interfaces import Steps
from ropewalk.web.patterns import BadRule, Converter
from ropewalk.web.routes import Routes, Timeout
from tests.visiting import Answer, Place


class RoutingCase(SynchronousTestCase):
    """
    Routes on a site, and a client.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.routes = Routes()

    def ask(self, path: str, method: str = "GET", *headers: str) -> Answer:
        if not list(self.place.site.mounts):
            self.place.mount("/shop", self.routes)
        return self.place.visit().ask(f"/shop{path}", method, *headers)

    def texts(self, *paths: str) -> list[str]:
        return [self.ask(path).text for path in paths]

    def statuses(self, *paths: str) -> list[int]:
        return [self.ask(path).status for path in paths]


class DecoratorTests(RoutingCase):
    """
    A decorator for each method.
    """

    def test_methods(self) -> None:
        """
        Each answers its own method, and no other; that for GET answers HEAD.
        """
        methods = ["get", "post", "put", "patch", "delete", "head", "options"]
        for method in methods:

            @getattr(self.routes, method)(f"/{method}")  # type: ignore[untyped-decorator]
            def answer(request: Any) -> str:
                return str(request.method.decode())

        for method in methods:
            answers = {
                each: self.ask(f"/{method}", each.upper()).status for each in methods
            }
            answered = {each for each, status in answers.items() if status == 200}
            expected = {"get", "head"} if method == "get" else {method}
            self.assertEqual(answered - {"options"}, expected - {"options"})

    def test_the_function_itself(self) -> None:
        """
        A decorator returns the function that it was given.
        """

        def show() -> str:
            return "shown"

        self.assertIs(self.routes.get("/a")(show), show)
        self.assertIs(self.routes.stream("/b")(show), show)
        self.assertIs(self.routes.route("/c", branch=True)(show), show)

    def test_stacked(self) -> None:
        """
        Of one function under two decorators, each route has its own options.
        """

        @self.routes.get("/small", longest_body=5)
        @self.routes.post("/large", longest_body=50, timeout=2)
        def show(request: Any) -> list[Any]:
            options = request.route.options
            return [options.longest_body, options.timeout and options.timeout.seconds]

        self.assertEqual(self.ask("/small").json, [5, None])
        self.assertEqual(self.ask("/large", "POST").json, [50, 2])
        self.assertEqual(self.ask("/small", "POST").status, 405)

    def test_two_of_one_name(self) -> None:
        """
        Two functions of one name both answer, each at its own route; with Klein, the
        second would answer at both.
        """
        for word in "first", "second":

            @self.routes.get(f"/{word}")
            def show(word: str = word) -> str:
                return word

        self.assertEqual(self.texts("/first", "/second"), ["first", "second"])
        self.assertEqual(self.routes.endpoints.keys(), {"show", "show_2"})

    def test_names_of_branches(self) -> None:
        """
        The second name that Klein gives a branch is nobody else's.
        """

        @self.routes.get("/other")
        def show_branch() -> str:
            return "other"

        @self.routes.route("/tree/", branch=True)
        def show(request: Any) -> str:
            return "branch"

        paths = "/other", "/tree/", "/tree/a/b"
        self.assertEqual(self.texts(*paths), ["other", "branch", "branch"])

    def test_endpoint(self) -> None:
        """
        Klein's C{endpoint} and our C{name} both name a route.
        """

        @self.routes.get("/a/<int:number>", endpoint="by_klein")
        def one(request: Any, number: int) -> list[str]:
            links = IKleinRequest(request)
            return [
                links.url_for("by_klein", {"number": 2}),
                links.url_for("by_us", {"word": "x"}),
            ]

        @self.routes.get("/b/<word>", name="by_us")
        def other(word: str) -> str:
            return word

        self.assertEqual(self.ask("/a/1").json, ["/shop/a/2", "/shop/b/x"])

    def test_callables(self) -> None:
        """
        A bound method, a partial, and any object that can be called may answer.
        """

        class Greeter:
            def __init__(self, word: str) -> None:
                self.word = word

            def greet(self, name: str) -> str:
                return f"{self.word} {name}"

            def __call__(self) -> str:
                return self.word

        self.routes.get("/hello/<name>")(Greeter("hello").greet)
        self.routes.get("/bye")(Greeter("bye"))
        self.routes.get("/hello/Alan")(partial(Greeter("hi").greet, name="Alan"))
        paths = "/hello/Ada", "/bye", "/hello/Alan"
        self.assertEqual(self.texts(*paths), ["hello Ada", "bye", "hi Alan"])
        self.assertEqual(self.routes.endpoints.keys(), {"greet", "Greeter", "greet_2"})

    def test_defaults(self) -> None:
        """
        As with Werkzeug, a path that says what another leaves out leads there.
        """

        @self.routes.get("/posts", defaults={"page": 1})
        @self.routes.get("/posts/<int:page>")
        def posts(page: int) -> str:
            return str(page)

        self.assertEqual(self.texts("/posts", "/posts/2"), ["1", "2"])
        answer = self.ask("/posts/1?a=b")
        self.assertEqual(
            (answer.status, answer.headers["location"]), (308, "/shop/posts?a=b")
        )

    def test_branch(self) -> None:
        """
        A branch has its options on both its routes.
        """

        def stamp(request: Any) -> Generator[Any, Any, None]:
            response = yield
            response.headers["X-Stamp"] = "yes"

        @self.routes.route(
            "/tree/", branch=True, methods=["GET"], middleware=[stamp], slashes="exact"
        )
        def tree(request: Any) -> str:
            below = IKleinRequest(request).branch_segments
            return "/".join(each for each in below)

        for path, text in {"/tree/": "", "/tree/a/b": "a/b"}.items():
            answer = self.ask(path)
            self.assertEqual((answer.text, answer.headers["x-stamp"]), (text, "yes"))
        self.assertEqual(self.ask("/tree/a", "POST").status, 405)
        self.assertEqual(self.ask("/tree").status, 404)

    def test_equality(self) -> None:
        """
        Routes are equal to themselves, and so are those of one instance.
        """

        class Pages:
            routes = Routes()

        pages = Pages()
        self.assertNotEqual(Routes(), Routes())
        self.assertEqual(self.routes, self.routes)
        self.assertEqual(pages.routes, pages.routes)
        self.assertNotEqual(pages.routes, Pages().routes)


class MistakeTests(RoutingCase):
    """
    What somebody who writes a route gets wrong is told where it is written.
    """

    def refused(self, kind: type[Exception], *args: Any, **options: Any) -> str:
        error = self.assertRaises(kind, self.routes.get, *args, **options)
        return str(error)

    def test_no_path(self) -> None:
        """
        A decorator that was not called is told so.
        """

        def show() -> str:
            return ""

        self.assertEqual(
            self.refused(TypeError, show),
            'the path is missing: write @routes.get("/show"), say',
        )
        self.assertEqual(self.refused(TypeError, b"/"), "a path is a str, not bytes")

    def test_paths(self) -> None:
        """
        A path that nobody could ask for is refused at the decorator.
        """
        self.assertIn("a rule starts with '/'", self.refused(BadRule, "things"))
        self.assertIn("did you mean 'int'?", self.refused(BadRule, "/<itn:id>"))
        self.assertIn(
            "without its port", self.refused(BadRule, "/", host="example.org:80")
        )

    def test_options(self) -> None:
        """
        An option that there is not is refused, with the one that was meant.
        """
        self.assertEqual(
            self.refused(TypeError, "/", timout=2),
            "a route has no option 'timout'; did you mean 'timeout'?",
        )
        self.assertEqual(
            self.refused(TypeError, "/", defalts={}),
            "a route has no option 'defalts'; did you mean 'defaults'?",
        )

    def test_values(self) -> None:
        """
        An option that cannot be so is refused.
        """
        self.assertEqual(
            self.refused(ValueError, "/", slashes="strict"),
            "slashes is one of 'redirect', 'ignore', 'exact', not 'strict'",
        )
        for wrong in -1, 1.5, True, "1 MB":
            self.assertEqual(
                self.refused(ValueError, "/", longest_body=wrong),
                f"longest_body is a number of bytes, not {wrong!r}",
            )
        self.assertIn(
            "write middleware=[…]", self.refused(TypeError, "/", middleware=len)
        )
        self.assertIn("write guards=[…]", self.refused(TypeError, "/", guards=len))
        self.assertRaises(ValueError, Routes, slashes="no")

    def test_timeouts(self) -> None:
        """
        A time-out is more than no seconds, and is answered 503 or 504.
        """
        for wrong in 0, -1, float("nan"), float("inf"), True, "5":
            error = self.refused(ValueError, "/", timeout=wrong)
            self.assertEqual(
                error,
                f"a time-out is a number of seconds above 0, not {wrong!r}; None is "
                "for no time-out",
            )
        status: Any = 500
        error = str(self.assertRaises(ValueError, Timeout, 1, status))
        self.assertEqual(error, "a time-out is answered 503 or 504, not 500")

    def test_mounts(self) -> None:
        """
        What cannot be mounted is refused: at a path that there cannot be; below
        itself; or as it is nothing that answers.
        """
        mount = self.routes.mount
        self.assertRaises(BadRule, mount, "things", Routes())
        self.assertRaises(BadRule, mount, "/", Routes(), host="http://a")
        child = Routes()
        child.mount("/again", self.routes)
        mount("/child", child)
        self.place.mount("/shop", self.routes)
        error = self.assertRaises(BadHandler, self.place.site.mounts.compile)
        self.assertRegex(
            str(error),
            r"test_routing\.py:\d+\): at '/again', they would be below themselves",
        )

    def test_mounting_nothing(self) -> None:
        """
        What is nothing that answers is told with the place where it was mounted.
        """
        self.routes.mount("/child", object())
        self.place.mount("/shop", self.routes)
        error = self.assertRaises(BadHandler, self.place.site.mounts.compile)
        self.assertRegex(str(error), r"test_routing\.py:\d+\): cannot be mounted at")


class Backwards(Converter):
    """Text, the other way round."""

    regex = "[a-z]+"

    def to_python(self, text: str) -> str:
        return text[::-1]

    def to_url(self, value: Any) -> str:
        return str(value)[::-1]


class Capitals(BaseConverter):
    """Text in capitals, as Werkzeug writes converters."""

    regex = "[a-z]+"

    def to_python(self, value: str) -> str:
        return value.upper()

    def to_url(self, value: str) -> str:
        return value.lower()


class ConverterTests(RoutingCase):
    """
    Converters of one's own.
    """

    def serve(self) -> None:
        @self.routes.get("/<back:word>")
        def show(request: Any, word: str) -> list[str]:
            return [
                word,
                request.link(show, word="klm"),
                IKleinRequest(request).url_for("show", {"word": "nop"}),
            ]

    def test_ours(self) -> None:
        """
        One of our kind is for rules, for our links, and for Klein's.
        """
        self.routes.convert("back", Backwards)
        self.serve()
        self.assertEqual(self.ask("/abc").json, ["cba", "/shop/mlk", "/shop/pon"])
        self.assertEqual(self.ask("/ABC").status, 404)

    def test_werkzeugs(self) -> None:
        """
        So is one that was written for Werkzeug, given to us or, as Klein has it, put
        into the map.
        """
        self.routes.convert("back", Capitals)
        self.serve()
        self.assertEqual(self.ask("/abc").json, ["ABC", "/shop/klm", "/shop/nop"])
        self.place, self.routes = Place.of(), Routes()
        self.routes.url_map.converters["back"] = Capitals
        self.serve()
        self.assertEqual(self.ask("/abc").json, ["ABC", "/shop/klm", "/shop/nop"])

    def test_in_place_of_ours(self) -> None:
        """
        One may take the place of a converter that is there already.
        """
        self.routes.convert("int", Backwards)

        @self.routes.get("/<int:word>")
        def show(word: str) -> str:
            return word

        self.assertEqual(self.ask("/abc").text, "cba")

    def test_dates(self) -> None:
        """
        Klein's links know our converters that Werkzeug has not.
        """

        @self.routes.get("/<date:day>")
        def show(request: Any, day: Any) -> str:
            return IKleinRequest(request).url_for("show", {"day": day})

        self.assertEqual(self.ask("/2026-01-31").text, "/shop/2026-01-31")

    def test_in_prefixes_and_hosts(self) -> None:
        """
        It may be in the path at which something is mounted, and in a host.
        """
        self.routes.convert("back", Backwards)
        child = Routes()

        @child.get("/name")
        def name(word: str) -> str:
            return word

        self.routes.mount("/in/<back:word>", child)
        self.routes.mount("/at", child, host="<back:word>.example.org")

        @self.routes.get("/host", host="<back:word>.example.org")
        def host(word: str) -> str:
            return word

        self.assertEqual(self.ask("/in/abc/name").text, "cba")
        for path in "/at/name", "/host":
            self.assertEqual(
                self.ask(path, "GET", "Host: abc.example.org").text, "cba", path
            )


class SubrouteTests(RoutingCase):
    """
    Klein's C{subroute}: a block whose routes are below a path.
    """

    def test_routes(self) -> None:
        """
        Routes in it, and in one inside of it, are below its path; C{""} is the path
        itself.
        """
        with self.routes.subroute("/v1") as routes:

            @routes.get("")
            def bare() -> str:
                return "bare"

            with routes.subroute("/deep/<int:number>"):

                @routes.get("/end")
                def end(number: int) -> str:
                    return str(number)

                @routes.get("")
                def itself(number: int) -> str:
                    return f"itself {number}"

        @self.routes.get("/outside")
        def outside() -> str:
            return "outside"

        self.assertEqual(
            self.texts("/v1", "/v1/deep/3/end", "/v1/deep/4", "/outside"),
            ["bare", "3", "itself 4", "outside"],
        )
        self.assertEqual(self.statuses("/v1/", "/v1/deep/4/"), [404, 404])

    def test_mounts(self) -> None:
        """
        So is what is mounted in it; a converter may be added there.
        """
        child = Routes()

        @child.get("/")
        def index() -> str:
            return "child"

        with self.routes.subroute("/v1") as routes:
            routes.mount("/child", child)
            routes.convert("back", Backwards)

            @routes.get("/<back:word>")
            def show(word: str) -> str:
                return word

        self.assertEqual(self.texts("/v1/child", "/v1/abc"), ["child", "cba"])
        self.assertEqual(self.ask("/child").status, 404)

    def test_bad_path(self) -> None:
        """
        Its path is looked at where it begins.
        """
        self.assertRaises(BadRule, self.routes.subroute("v1").__enter__)


class Session:
    """Something to be injected."""

    def __init__(self, word: str) -> None:
        self.word = word


class InstanceTests(RoutingCase):
    """
    Routes as an attribute of a class.
    """

    def both(self, one: Any, other: Any, path: str = "/") -> list[str]:
        """What is answered at a path of each of two."""
        place = Place.of()
        place.mount("/one", one.routes)
        place.mount("/other", other.routes)
        visit = place.visit()
        return [visit.ask(f"/{each}{path}").text for each in ("one", "other")]

    def test_each_its_own(self) -> None:
        """
        The routes of each instance call its methods: handlers, components, guards,
        error handlers.
        """

        class Pages:
            routes = Routes()

            def __init__(self, word: str) -> None:
                self.word = word

            @routes.component
            @inlineCallbacks
            def session(self) -> Steps[Session]:
                yield None
                return Session(self.word)

            def may(self, session: Session) -> bool:
                return session.word == self.word

            @routes.get("/", guards=[may])
            def index(self, session: Session) -> str:
                return f"{self.word} {session.word}"

            @routes.get("/fails")
            def fails(self) -> None:
                raise KeyError

            @routes.handle_errors(KeyError)
            def failed(self, request: Any, failure: Failure) -> str:
                return f"{self.word} failed"

        one, other = Pages("one"), Pages("other")
        self.assertEqual(self.both(one, other), ["one one", "other other"])
        self.assertEqual(
            self.both(one, other, "/fails"), ["one failed", "other failed"]
        )

    def test_inherited(self) -> None:
        """
        A class inherits routes. As with Klein, the function that was decorated is
        called, also where it is overridden; what it calls itself is the instance's.
        """

        class Pages:
            routes = Routes()

            @routes.component
            def session(self) -> Session:
                return Session(self.word())

            @routes.get("/")
            def index(self, session: Session) -> str:
                return f"{self.word()} {session.word}"

            def word(self) -> str:
                return "pages"

        class Other(Pages):
            def session(self) -> Session:
                raise AssertionError("never called")

            def index(self, session: Session) -> str:
                raise AssertionError("never called")

            def word(self) -> str:
                return "other"

        self.assertEqual(self.both(Pages(), Other()), ["pages pages", "other other"])

    def test_what_is_no_method(self) -> None:
        """
        A static method and a class's method are what they are; a function of a module
        is no method of anybody.
        """

        class Pages:
            routes = Routes()
            word = "class"

            @routes.component
            @staticmethod
            def session() -> Session:
                return Session("static")

            @classmethod
            def may(cls, request: Any) -> bool:
                return bool(cls.word == "class")

            @routes.get("/", guards=[may, _may])
            def index(self, session: Session) -> str:
                return session.word

        self.assertEqual(self.both(Pages(), Pages()), ["static", "static"])

    def test_mounts_of_an_instance(self) -> None:
        """
        What an instance mounts, provides, or puts around its routes is its own.
        """

        class Pages:
            routes = Routes()

            def __init__(self, word: str) -> None:
                child = Routes()
                child.get("/")(lambda: f"child of {word}")
                self.routes.mount("/child", child)
                self.routes.provide(Session, Session(word))
                self.routes.use(self.stamp)
                self.word = word

            def stamp(self, request: Any) -> Generator[Any, Any, str]:
                response = yield
                return f"{response.body}, stamped by {self.word}"

            @routes.get("/")
            def index(self, session: Session) -> str:
                return session.word

        one, other = Pages("one"), Pages("other")
        self.assertEqual(
            self.both(one, other), ["one, stamped by one", "other, stamped by other"]
        )
        self.assertEqual(
            self.both(one, other, "/child"),
            ["child of one, stamped by one", "child of other, stamped by other"],
        )

    def test_other_instances(self) -> None:
        """
        So it is for objects that are frozen, have slots, or cannot be referred to
        weakly; they are forgotten like others.
        """

        @frozen(slots=False)
        class Frozen:
            routes = Routes()
            word: str

            def __attrs_post_init__(self) -> None:
                self.routes.provide(Session, Session(self.word))

            @routes.get("/")
            def index(self, session: Session) -> str:
                return session.word

        @define
        class Slotted:
            routes = Routes()
            word: str

            def __attrs_post_init__(self) -> None:
                self.routes.provide(Session, Session(self.word))

            @routes.get("/")
            def index(self, session: Session) -> str:
                return session.word

        @define(weakref_slot=False)
        class Strange:
            routes = Routes()
            word: str

            def __attrs_post_init__(self) -> None:
                self.routes.provide(Session, Session(self.word))

            @routes.get("/")
            def index(self, session: Session) -> str:
                return session.word

        for kind in Frozen, Slotted, Strange:
            one, other = kind("one"), kind("other")
            self.assertEqual(self.both(one, other), ["one", "other"])
            if kind is Strange:
                continue
            gone = weakref.ref(one)
            del one, other
            gc.collect()
            self.assertIsNone(gone())

    def test_two_at_once(self) -> None:
        """
        A class may have routes for two sites.
        """

        class Pages:
            routes = Routes()
            admin = Routes()

            def __init__(self) -> None:
                self.admin.provide(Session, Session("admin"))

            @routes.get("/")
            def index(self) -> str:
                return "index"

            @admin.get("/")
            def manage(self, session: Session) -> str:
                return session.word

        pages = Pages()
        place = Place.of()
        place.mount("/pages", pages.routes)
        place.mount("/admin", pages.admin)
        self.assertEqual(place.visit().ask("/pages").text, "index")
        self.assertEqual(place.visit().ask("/admin").text, "admin")


def _may(request: Any) -> bool:
    return True


class MountTests(RoutingCase):
    """
    Routes below routes.
    """

    def child(self, word: str) -> Routes:
        child = Routes()

        @child.get("/")
        def index() -> str:
            return word

        return child

    def test_blueprint(self) -> None:
        """
        One set of routes may be mounted at two paths, and deeper (Sanic's
        blueprints).
        """
        blog = Routes()

        @blog.get("/<int:number>")
        def post(request: Any, number: int) -> str:
            return str(request.link(post, number=number + 1))

        inner = Routes()
        inner.mount("/c", blog)
        self.routes.mount("/a", blog)
        self.routes.mount("/b", blog)
        self.routes.mount("/d", inner)
        self.assertEqual(
            self.texts("/a/1", "/b/1", "/d/c/1"),
            ["/shop/a/2", "/shop/b/2", "/shop/d/c/2"],
        )

    def test_at_the_root(self) -> None:
        """
        What is mounted at C{"/"} is beside the routes themselves.
        """
        child = Routes()

        @child.get("/b")
        def other() -> str:
            return "b"

        @self.routes.get("/a")
        def one() -> str:
            return "a"

        self.routes.mount("/", child)
        self.assertEqual(self.texts("/a", "/b"), ["a", "b"])
        self.assertEqual(self.ask("/c").status, 404)

    def test_components_and_middleware(self) -> None:
        """
        What is injected above is injected below; the nearest counts.
        """
        inner = self.child("")

        @inner.get("/session")
        def word(session: Session) -> str:
            return session.word

        outer = Routes()
        outer.component(lambda: Session("outer"), provides=Session)
        outer.mount("/inner", inner)
        self.routes.provide(Session, Session("top"))
        self.routes.mount("/inner", inner)
        self.routes.mount("/outer", outer)
        self.assertEqual(
            self.texts("/inner/session", "/outer/inner/session"), ["top", "outer"]
        )

    def test_provided_twice(self) -> None:
        """
        Two values for one type are told with both places.
        """
        for word in "ab":
            self.routes.provide(Session, Session(word))
        self.place.mount("/shop", self.routes)
        error = self.assertRaises(BadHandler, self.place.site.mounts.compile)
        self.assertEqual(str(error).count("test_routing.py:"), 2, error)

    def test_hosts(self) -> None:
        """
        What is mounted for a host is there for no other; its parameters are
        arguments for those who want them.
        """
        child = self.child("child")

        @child.get("/who")
        def name(who: str) -> str:
            return who

        plain = Klein()

        @plain.route("/")
        def index(request: Any) -> str:
            return "plain"

        self.routes.mount("/", child, host="<who>.example.org")
        self.routes.mount("/plain", plain, host="<who>.example.org")
        for path, text in {"/who": "acme", "/": "child", "/plain": "plain"}.items():
            answer = self.ask(path, "GET", "Host: acme.example.org")
            self.assertEqual(answer.text, text)
        self.assertEqual(self.statuses("/who", "/plain"), [404, 404])

    def test_resources(self) -> None:
        """
        A resource may be mounted, too; and routes are one where Twisted wants one.
        """

        class Deep(Resource):
            def getChild(self, path: bytes, request: Any) -> Resource:
                return self

            def render_GET(self, request: Any) -> bytes:
                return b"deep"

        self.routes.mount("/deep", Deep())
        parent = Resource()
        parent.putChild(b"child", self.child("child").resource())
        self.routes.mount("/parent", parent)
        self.assertEqual(
            self.texts("/deep", "/deep/a/b", "/parent/child/"),
            ["deep", "deep", "child"],
        )


class SocketTests(RoutingCase):
    """
    Routes for WebSockets.
    """

    def test_where_nobody_serves_them(self) -> None:
        """
        What is no site of the daemon says that it cannot.
        """

        @self.routes.socket("/live/<room>")
        def live(room: str) -> None:
            """Never used."""

        self.assertEqual(self.ask("/live/a").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(NotImplementedError)), 1)

    def test_refused_before(self) -> None:
        """
        What its function raises is answered before there is a WebSocket.
        """

        @self.routes.socket("/live/<int:number>", guards=[lambda request: False])
        def live(number: int) -> None:
            """Never called."""

        self.assertEqual(self.ask("/live/1").status, 403)
        self.assertEqual(self.ask("/live/x").status, 404)
        self.assertEqual(self.ask("/live/1", "POST").status, 405)


class StreamTests(RoutingCase):
    """
    Routes whose functions yield.
    """

    def test_values(self) -> None:
        """
        What is yielded is sent as lines of JSON, or as events to who asks for these.
        """

        @self.routes.stream("/count/<int:number>")
        def count(number: int) -> Iterator[dict[str, int]]:
            for each in range(number):
                yield {"n": each}

        self.assertEqual(self.ask("/count/2").text, '{"n":0}\n{"n":1}\n')
        answer = self.ask("/count/1", "GET", "Accept: text/event-stream")
        self.assertEqual(answer.text, 'data: {"n":0}\n\n')
