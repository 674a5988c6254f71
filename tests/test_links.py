"""
Tests for L{ropewalk.web.links}.
"""

from __future__ import annotations

import datetime
import uuid
from typing import Any
from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption
from klein import Klein
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.web.patterns import BadLink
from ropewalk.web.proxies import Proxies
from ropewalk.web.routes import Routes
from tests.visiting import Answer, Place


class LinkCase(SynchronousTestCase):
    """
    Routes on a site, and links into it.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.routes = Routes()

    def serve(self, *apps: Any) -> None:
        """Mount applications at C{/0}, C{/1} …, each as a service of its own."""
        for number, app in enumerate(apps or [self.routes]):
            self.place.mount(f"/{number}", app, f"service{number}")

    def link(self, target: Any, view: str = "", **args: Any) -> str:
        if not list(self.place.site.mounts):
            self.serve()
        path, _ = self.place.site.mounts.links.to(target, args, view)
        return path

    def refused(self, target: Any, view: str = "", **args: Any) -> str:
        return str(self.assertRaises(BadLink, self.link, target, view, **args))

    def ask(self, path: str, *headers: str) -> Answer:
        if not list(self.place.site.mounts):
            self.serve()
        return self.place.visit().ask(path, "GET", *headers)


class TargetTests(LinkCase):
    """
    What a link may lead to.
    """

    def test_functions(self) -> None:
        """
        A handler, of any flavour.
        """

        @self.routes.get("/plain/<int:id>")
        def plain(id: int) -> str:
            return ""

        @self.routes.get("/waits")
        @inlineCallbacks
        def waits() -> Steps[str]:
            yield None
            return ""

        @self.routes.get("/coroutine")
        async def coroutine() -> str:
            return ""

        self.assertEqual(self.link(plain, id=3), "/0/plain/3")
        self.assertEqual(self.link(waits), "/0/waits")
        self.assertEqual(self.link(coroutine), "/0/coroutine")

    def test_names(self) -> None:
        """
        A name: that of the function or the one that was given; also with the service,
        or with what its routes are called.
        """
        routes = Routes(name="shop")

        @routes.get("/a")
        def show() -> str:
            return ""

        @routes.get("/b", name="special")
        def other() -> str:
            return ""

        self.serve(routes)
        for name in "show", "service0.show", "shop.show", show:
            self.assertEqual(self.link(name), "/0/a")
        for name in "special", "service0.special", "shop.special", other:
            self.assertEqual(self.link(name), "/0/b")

    def test_klein(self) -> None:
        """
        The handlers of a C{klein.Klein}, too.
        """
        app = Klein()

        @app.route("/things/<int:id>")
        def thing(request: Any, id: int) -> str:
            return str(request.link(thing, id=id + 1))

        self.serve(app)
        self.assertEqual(self.link("thing", id=1), "/0/things/1")
        self.assertEqual(self.ask("/0/things/1").text, "/0/things/2")

    def test_methods(self) -> None:
        """
        Of two instances of a class, a method is that of its own.
        """

        class Pages:
            routes = Routes()

            @routes.get("/")
            def index(self) -> str:
                return ""

        one, other = Pages(), Pages()
        self.serve(one.routes, other.routes)
        self.assertEqual(self.link(one.index), "/0/")
        self.assertEqual(self.link(other.index), "/1/")
        self.assertEqual(self.link(Pages.index), "/0/")
        self.assertEqual(self.link(Pages().index), "/0/")

    def test_overridden_methods(self) -> None:
        """
        A method that overrides a handler leads to that one: it is what is called.
        """

        class Pages:
            routes = Routes()

            @routes.get("/")
            def index(self) -> str:
                return ""

        class Other(Pages):
            def index(self) -> str:
                return ""

        pages = Other()
        self.serve(pages.routes)
        self.assertEqual(self.link(pages.index), "/0/")

    def test_classes_and_objects(self) -> None:
        """
        A class that answers, or an object that does, by its class as well.
        """

        class Thing:
            def get(self, id: int) -> str:
                return ""

        class Things:
            def get(self) -> str:
                return ""

        things, more = Things(), Things()
        self.routes.add_route("/things/<int:id>", Thing)
        self.routes.add_route("/things", things)
        self.routes.add_route("/more", more)
        self.assertEqual(self.link(Thing, id=3), "/0/things/3")
        self.assertEqual(self.link(Thing(), id=3), "/0/things/3")
        self.assertEqual(self.link(Thing.get, id=3), "/0/things/3")
        self.assertEqual(self.link("Thing.get", id=3), "/0/things/3")
        self.assertEqual(self.link(things), "/0/things")
        self.assertEqual(self.link(more), "/0/more")
        self.assertEqual(self.link(more.get), "/0/more")
        self.assertEqual(self.link(Things), "/0/things")

    def test_unknown(self) -> None:
        """
        What is not served is told; of names, with the one that was meant.
        """

        @self.routes.get("/")
        def show_product() -> str:
            return ""

        def stranger() -> None:
            """Not served."""

        self.assertEqual(
            self.refused("show_produt"),
            "no link to 'show_produt': nothing that is served is known as this; did "
            "you mean 'show_product'?",
        )
        self.assertEqual(
            self.refused(stranger),
            "no link to 'stranger': nothing that is served is known as this",
        )
        self.assertEqual(
            self.refused(object()),
            "no link to 'a object': nothing that is served is known as this",
        )
        self.assertIn("known as this", self.refused(7))
        self.assertIn("known as this", self.refused({}))
        self.assertIn("known as this", self.refused(None))

    def test_arguments_by_place(self) -> None:
        """
        Who says an argument by its place is told to say it by its name.
        """

        @self.routes.get("/<int:id>")
        def show(request: Any, id: int) -> str:
            return str(request.link("show", "7"))

        self.assertEqual(
            self.refused("show", "7"),
            "no link to 'show': it has no view '7': say its arguments by name",
        )


class ArgumentTests(LinkCase):
    """
    What is in the path of a link, and in its query.
    """

    def setUp(self) -> None:
        super().setUp()

        @self.routes.get("/<word>/<int:number>")
        def show(request: Any, word: str, number: int) -> str:
            return ""

    def test_missing(self) -> None:
        """
        An argument that is missing is named, and one that cannot be.
        """
        self.assertIn("'number'", self.refused("show", word="a"))
        self.assertIn("number", self.refused("show", word="a", number="x"))
        self.assertIn("number", self.refused("show", word="a", number=None))

    def test_query(self) -> None:
        """
        What is not in the path is in the query.
        """
        self.assertEqual(
            self.link("show", word="ä/b", number=1, tag=["x", "y z"], flag=True),
            "/0/%C3%A4%2Fb/1?tag=x&tag=y+z&flag=true",
        )

    def test_the_best(self) -> None:
        """
        Of several routes of a handler, the one with the arguments in its path.
        """

        @self.routes.get("/posts", defaults={"page": 1})
        @self.routes.get("/posts/<int:page>")
        @self.routes.get("/posts/<int:page>/<tag>")
        def posts(page: int, tag: str = "") -> str:
            return ""

        self.assertEqual(self.link(posts), "/0/posts")
        self.assertEqual(self.link(posts, page=1), "/0/posts")
        self.assertEqual(self.link(posts, page=2), "/0/posts/2")
        self.assertEqual(self.link(posts, page=2, tag="a"), "/0/posts/2/a")
        self.assertEqual(self.link(posts, tag="a"), "/0/posts?tag=a")


class PlaceTests(LinkCase):
    """
    Where a link stands.
    """

    def links(self, *targets: Any) -> Routes:
        """Routes that answer with links to these, and to their own page."""
        routes = Routes()

        @routes.get("/")
        def index(request: Any) -> list[str]:
            return [request.link(each) for each in (*targets, "index")]

        return routes

    def test_two_mounts(self) -> None:
        """
        Of routes that are mounted twice, those are meant that are nearest: their own,
        then those of what they are mounted in.
        """
        leaf = self.links("top")
        for word in "ab":
            branch = Routes()
            branch.get("/top", name="top")(lambda: "")
            branch.mount("/leaf", leaf)
            branch.mount("/again", leaf)
            self.routes.mount(f"/{word}", branch)
        for path in "/0/a/leaf/", "/0/a/again/", "/0/b/leaf/", "/0/b/again/":
            top = "/".join([*path.split("/")[:3], "top"])
            self.assertEqual(self.ask(path).json, [top, path])

    def test_other_services(self) -> None:
        """
        A service's own names come first; those of others can be had with its name.
        """
        one, other = self.links("service1.index"), self.links("service0.index")
        self.serve(one, other)
        self.assertEqual(self.ask("/0/").json, ["/1/", "/0/"])
        self.assertEqual(self.ask("/1/").json, ["/0/", "/1/"])

    def test_what_both_begin_with(self) -> None:
        """
        What the path of a link begins with as the page's own does need not be said
        again.
        """
        app = Klein()

        @app.route("/plain/<int:number>")
        def plain(request: Any, number: int) -> str:
            return str(request.link("typed"))

        tenant = Routes()

        @tenant.get("/items/<int:item>")
        def typed(request: Any, item: int = 0) -> list[str]:
            return [
                request.link(typed),
                request.link(edit),
                request.link(typed, item=7),
                request.link(typed, tenant="other"),
            ]

        @tenant.get("/items/<int:item>/edit")
        def edit(item: int) -> str:
            return ""

        tenant.mount("/k", app)
        self.routes.mount("/<tenant>", tenant)
        self.assertEqual(
            self.ask("/0/acme/items/3").json,
            [
                "/0/acme/items/3",
                "/0/acme/items/3/edit",
                "/0/acme/items/7",
                "/0/other/items/3",
            ],
        )

    def test_nothing_more(self) -> None:
        """
        An argument of one name elsewhere in the path is another: it must be said.
        """

        @self.routes.get("/products/<int:id>")
        def product(request: Any, id: int) -> str:
            return str(request.link(company))

        @self.routes.get("/companies/<int:id>")
        def company(id: int) -> str:
            return ""

        self.assertEqual(self.ask("/0/products/3").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(BadLink)), 1)

    def test_from_klein(self) -> None:
        """
        A C{klein.Klein} below a path with parameters does not take these, but its
        links have them.
        """
        app = Klein()

        @app.route("/<int:number>")
        def show(request: Any, number: int) -> str:
            return str(request.link("show", number=number + 1))

        self.routes.mount("/<tenant>", app)
        self.assertEqual(self.ask("/0/acme/1").text, "/0/acme/2")

    def test_from_a_resource(self) -> None:
        """
        A resource may ask for links, too.
        """

        class Page(Resource):
            isLeaf = True

            def render_GET(self, request: Any) -> bytes:
                link: str = request.link("index")
                return link.encode()

        self.serve(self.links(), Page())
        self.assertEqual(self.ask("/1").text, "/0/")

    def test_from_an_error_handler(self) -> None:
        """
        So may an error handler, also where nothing is.
        """
        routes = self.links()

        @routes.handle_errors
        def failed(request: Any, failure: Any) -> str:
            return str(request.link("index"))

        self.serve(routes, self.links())
        self.assertEqual(self.ask("/0/nothing").text, "/0/")


class HostTests(LinkCase):
    """
    Links to other hosts, and whole URLs.
    """

    def setUp(self) -> None:
        super().setUp()

        @self.routes.get("/home", host="<tenant>.example.org")
        def home(request: Any, tenant: str) -> list[str]:
            return [
                request.link("home"),
                request.link("home", tenant="other"),
                request.link("anywhere"),
                request.url("anywhere"),
            ]

        @self.routes.get("/anywhere")
        def anywhere(request: Any) -> list[str]:
            return [request.link("home", tenant="acme"), request.url("anywhere")]

    def test_other_hosts(self) -> None:
        """
        A link to another host has its name and the port; on the host itself, it is a
        path.
        """
        self.assertEqual(
            self.ask("/0/home", "Host: acme.example.org:8080").json,
            [
                "/0/home",
                "http://other.example.org:8080/0/home",
                "/0/anywhere",
                "http://acme.example.org:8080/0/anywhere",
            ],
        )
        self.assertEqual(
            self.ask("/0/anywhere", "Host: example.org").json,
            ["http://acme.example.org/0/home", "http://example.org/0/anywhere"],
        )
        self.assertEqual(
            self.ask("/0/anywhere", "Host: [::1]:8080").json,
            ["http://acme.example.org:8080/0/home", "http://[::1]:8080/0/anywhere"],
        )

    def test_no_such_host(self) -> None:
        """
        What cannot be in the name of a host is refused.
        """
        self.assertIn("a b", self.refused("home", tenant="a b"))
        self.assertIn("'tenant'", self.refused("home"))

    def test_behind_a_proxy(self) -> None:
        """
        Behind a proxy that is trusted, links lead to where the client came.
        """
        self.place = Place.of(proxies=Proxies(["10.9.8.7"], "x-forwarded"))
        headers = "X-Forwarded-Proto: https", "X-Forwarded-Host: example.org"
        self.assertEqual(
            self.ask("/0/anywhere", *headers).json,
            ["https://acme.example.org/0/home", "https://example.org/0/anywhere"],
        )


class SocketTests(LinkCase):
    """
    Links where there is a WebSocket.
    """

    def test_both_ways(self) -> None:
        """
        A link may lead to a WebSocket; its function may ask for links.
        """
        taken: list[str] = []

        def take(request: Any, protocol: Any) -> bytes:
            taken.append(protocol)
            return b""

        self.place.site.mounts.sockets = take

        @self.routes.socket("/rooms/<room>/live")
        def live(request: Any, room: str) -> str:
            return str(request.link(live, room="other"))

        self.assertEqual(self.link(live, room="a"), "/0/rooms/a/live")
        self.ask("/0/rooms/a/live")
        self.assertEqual(taken, ["/0/rooms/other/live"])


_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(min_size=1, max_size=8),
    "int": st.integers(min_value=0),
    "float": st.floats(min_value=0, max_value=1e20, allow_nan=False),
    "uuid": st.uuids(),
    "date": st.dates(datetime.date(1000, 1, 1)),
    "path": st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=3).map(
        "/".join
    ),
}

_KINDS = {
    "string": str,
    "int": int,
    "float": float,
    "uuid": uuid.UUID,
    "date": datetime.date,
    "path": str,
}

_WORDS = st.text("abcdefgäß-_ ", min_size=1, max_size=6)


@st.composite
def _rules(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A rule, and the converters of its parameters C{p0}, C{p1} …"""
    rule, converters = "", list[str]()
    for piece in draw(st.lists(st.sampled_from(["word", *_VALUES]), max_size=4)):
        if piece == "word":
            rule += "/" + draw(_WORDS)
        elif "path" not in converters:
            rule += f"/<{piece}:p{len(converters)}>"
            converters.append(piece)
    return rule + draw(st.sampled_from(["", "/"])) or "/", converters


class PropertyTests(SynchronousTestCase):
    """
    What is true of all links.
    """

    @given(st.data(), st.lists(_rules(), min_size=1, max_size=5), st.booleans())
    def test_there_and_back(
        self, data: st.DataObject, rules: list[tuple[str, list[str]]], nested: bool
    ) -> None:
        """
        Who follows a link gets to its handler, with the same arguments; unless the
        path is another's.
        """
        seen: list[tuple[int, dict[str, Any]]] = []
        routes = Routes()
        handlers: list[Any] = []
        # Of two routes for one path, the start would be refused.
        shapes = {"/".join([_shape(rule), ""]): (rule, used) for rule, used in rules}
        for number, (rule, _) in enumerate(shapes.values()):

            def handle(request: Any, number: int = number, **args: Any) -> bytes:
                seen.append((number, args))
                return b""

            handlers.append(routes.get(rule)(handle))
        place = Place.of()
        outer = Routes()
        outer.mount("/deep", routes)
        place.mount("/top", outer if nested else routes)
        number = data.draw(st.integers(0, len(handlers) - 1))
        _, converters = list(shapes.values())[number]
        args = {
            f"p{at}": data.draw(_VALUES[each]) for at, each in enumerate(converters)
        }
        extra = data.draw(st.dictionaries(st.sampled_from("xyz"), st.integers()))
        try:
            path, host = place.site.mounts.links.to(handlers[number], {**args, **extra})
        except BadLink:
            raise UnsatisfiedAssumption from None
        self.assertIsNone(host)
        self.assertEqual(bool(urlsplit(path).query), bool(extra))
        status = place.visit().ask(path).status
        if len(handlers) == 1:
            self.assertEqual(status, 200, path)
        # Another may take the path, lead on to one with a slash, or refuse it: a day
        # that there is not, say.
        for got in [got for answered, got in seen if answered == number]:
            self.assertEqual({name: got[name] for name in args}, args)
            kinds = [type(got[f"p{at}"]) for at in range(len(converters))]
            self.assertEqual(kinds, [_KINDS[each] for each in converters])


def _shape(rule: str) -> str:
    """What a rule takes, whatever its parameters are called."""
    pieces = rule.strip("/").split("/")
    return "/".join(
        piece.partition(":")[0] if piece.startswith("<") else piece for piece in pieces
    )
