"""
Tests for L{ropewalk.web.published}.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NewType
from urllib.parse import quote

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadHandler, Conflict, RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.schema import Shape
from ropewalk.web.binding import Body, Cookie, Header
from ropewalk.web.formats import Upload
from ropewalk.web.routes import Routes, errors, expose, output
from tests.visiting import Answer, Place

FORM = "Content-Type: application/x-www-form-urlencoded"
JSON = "Content-Type: application/json"

UserName = NewType("UserName", str)


class Missing(RopewalkError):
    """There is no such thing."""

    status = 404


class Product(Shape):
    """What is in a body."""

    name: str
    rating: int = 0


class Session:
    """Something to be injected."""


class PublishedCase(SynchronousTestCase):
    """
    A tree on a site, and a client.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.routes = Routes()

    def publish(self, root: Any, path: str = "/", **options: Any) -> None:
        self.routes.publish(path, root, **options)

    def ask(
        self, path: str, method: str = "GET", *headers: str, body: bytes = b""
    ) -> Answer:
        if not list(self.place.site.mounts):
            self.place.mount("/", self.routes)
        return self.place.visit().ask(path, method, *headers, body=body)

    def texts(self, *paths: str) -> list[str]:
        return [self.ask(path).text for path in paths]

    def statuses(self, *paths: str) -> list[int]:
        return [self.ask(path).status for path in paths]


class TreeTests(PublishedCase):
    """
    Which paths lead where.
    """

    def test_nested(self) -> None:
        """
        The path leads from attribute to attribute, of an object or of its class, with
        a slash at its end or not. What is not exposed is not there.
        """

        class Blog:
            @expose
            def index(self) -> str:
                return "posts"

            @expose
            def about(self) -> str:
                return "about the blog"

            def hidden(self) -> str:
                raise AssertionError("never called")

        class Root:
            blog = Blog()
            number = 7

            def __init__(self) -> None:
                self.news = Blog()
                self._secret = Blog()
                self.nothing = None

            @expose
            def index(self) -> str:
                return "root"

        class Wing(Root):
            """It inherits all of it."""

        for root in Root(), Wing():
            self.place, self.routes = Place.of(), Routes()
            self.publish(root, "/tree")
            self.assertEqual(
                self.texts("/tree", "/tree/", "/tree/blog", "/tree/blog/about/"),
                ["root", "root", "posts", "about the blog"],
            )
            self.assertEqual(self.ask("/tree/news/about").text, "about the blog")
            self.assertEqual(
                self.statuses(
                    *("/tree/blog/hidden", "/tree/_secret", "/tree/number"),
                    *("/tree/blog/index", "/tree/nothing", "/tree/news/blog"),
                ),
                [404] * 6,
            )

    def test_default(self) -> None:
        """
        C{default} answers where nothing else does, at the path of its object as well,
        if that has no C{index}.
        """

        class With:
            @expose
            def index(self) -> str:
                return "index"

            @expose
            def default(self, *path: str) -> str:
                return f"default {path}"

        class Without:
            @expose
            def default(self, *path: str) -> str:
                return f"default {path}"

            @expose
            def here(self) -> str:
                return "here"

        self.publish(SimpleNamespace(a=With(), b=Without()))
        self.assertEqual(
            self.texts("/a", "/a/x", "/a/x/y/", "/b", "/b/x", "/b/here", "/b/here/x"),
            [
                "index",
                "default ('x',)",
                "default ('x', 'y')",
                "default ()",
                "default ('x',)",
                "here",
                "default ('here', 'x')",
            ],
        )

    def test_index_is_alone(self) -> None:
        """
        As in CherryPy, C{index} takes nothing from the path.
        """

        class Root:
            @expose
            def index(self, page: int = 1) -> str:
                return f"page {page}"

        self.publish(Root())
        self.assertEqual(self.texts("/", "/?page=2"), ["page 1", "page 2"])
        self.assertEqual(self.ask("/2").status, 404)

    def test_names(self) -> None:
        """
        A method may have another name in the path; where a name has C{_}, the path
        may have C{-}. Two names of one method are both there.
        """

        class Shop:
            @expose(name="a.b")
            def odd(self) -> str:
                return "odd"

            @expose
            def price_list(self, currency: str = "EUR") -> str:
                return currency

            @expose
            def a(self) -> str:
                return "a"

            b = a

        self.publish(SimpleNamespace(our_shop=Shop()))
        self.assertEqual(
            self.texts("/our_shop/price_list", "/our-shop/price-list/USD"),
            ["EUR", "USD"],
        )
        self.assertEqual(
            self.texts("/our_shop/a.b", "/our_shop/a", "/our_shop/b"),
            ["odd", "a", "a"],
        )

    def test_what_kinds_of_functions(self) -> None:
        """
        Any function may be exposed: a static method, a class's, one that is
        inherited, one that was put there, C{__call__}, of any flavour.
        """

        @expose
        def put_there(number: int = 0) -> str:
            return f"put there {number}"

        class Base:
            @expose
            def inherited(self) -> str:
                return type(self).__name__

        class Callable:
            @expose
            def __call__(self) -> str:
                return "called"

        class Root(Base):
            def __init__(self) -> None:
                self.added = put_there
                self.object = Callable()

            @expose
            @staticmethod
            def static(number: int) -> str:
                return f"static {number}"

            @staticmethod
            @expose
            def other(number: int) -> str:
                return f"other {number}"

            @classmethod
            @expose
            def own(cls, number: int) -> str:
                return f"{cls.__name__} {number}"

            @expose
            @inlineCallbacks
            def stepwise(self) -> Steps[str]:
                return (yield succeed("stepwise"))  # type: ignore[no-any-return]

            @expose
            async def later(self) -> str:
                return await succeed("later")

        self.publish(Root())
        self.assertEqual(
            self.texts(
                *("/static/1", "/other/2", "/own/3", "/stepwise", "/later"),
                *("/added/4", "/inherited", "/object"),
            ),
            [
                *("static 1", "other 2", "Root 3", "stepwise", "later"),
                *("put there 4", "Root", "called"),
            ],
        )

    def test_overridden(self) -> None:
        """
        A method that overrides one is exposed if it says so; an attribute of the
        object hides the method of that name.
        """

        class Base:
            @expose
            def a(self) -> str:
                return "base"

            @expose
            def b(self) -> str:
                return "base"

            @expose
            def c(self) -> str:
                return "base"

        class Root(Base):
            def __init__(self) -> None:
                self.c: Any = None

            @expose
            def a(self) -> str:
                return "root"

            def b(self) -> str:
                raise AssertionError("never called")

        self.publish(Root())
        self.assertEqual(self.ask("/a").text, "root")
        self.assertEqual(self.statuses("/b", "/c"), [404, 404])

    def test_circles(self) -> None:
        """
        An object that leads back to one above it is left out; one at two places is at
        both.
        """

        class Node:
            def __init__(self, word: str) -> None:
                self.word = word

            @expose
            def index(self) -> str:
                return self.word

        root: Any = Node("root")
        root.a, root.b = Node("a"), Node("b")
        root.a.up = root.b.up = root.a.itself = root
        root.a.shared = root.b.shared = Node("shared")
        self.publish(root)
        self.assertEqual(
            self.texts("/a", "/b", "/a/shared", "/b/shared"),
            ["a", "b", "shared", "shared"],
        )
        self.assertEqual(self.statuses("/a/up", "/a/itself"), [404, 404])

    def test_too_many_ways(self) -> None:
        """
        Objects that all lead to one another are too many ways, and told so.
        """

        class Node:
            @expose
            def index(self) -> str:
                return ""

        nodes: list[Any] = [Node() for _ in range(9)]
        for node in nodes:
            for number, other in enumerate(nodes):
                setattr(node, f"n{number}", other)
        error = self.assertRaises(BadHandler, lambda: self.publish(nodes[0]))
        self.assertRegex(
            str(error), r"Node \(.*test_published\.py:\d+\): .* more than 1000 ways"
        )

    def test_what_leads_there(self) -> None:
        """
        Objects in between need not have something themselves, if they are namespaces
        or were written together with the root; those with slots lead on, too.
        """

        class Leaf:
            @expose
            def index(self) -> str:
                return "leaf"

        class Between:
            def __init__(self) -> None:
                self.leaf = Leaf()

        @define
        class Root:
            between: Between = field(factory=Between)
            space: Any = field(factory=lambda: SimpleNamespace(leaf=Leaf()))
            kind: Any = Leaf
            module: Any = st

        self.publish(Root())
        self.assertEqual(self.texts("/between/leaf", "/space/leaf"), ["leaf", "leaf"])
        self.assertEqual(self.statuses("/between", "/kind"), [404, 404])


class ArgumentTests(PublishedCase):
    """
    What a method is given.
    """

    def test_path_and_query(self) -> None:
        """
        Arguments come from the path in their order, those that are left from the
        query, each by its type: what it says, or that of its default.
        """

        class Root:
            @expose
            def post(
                self,
                number: int,
                full: bool = False,
                *,
                tags: list[str] | None = None,
                word: str = "x",
            ) -> list[Any]:
                return [number, full, tags, word]

            @expose
            def grow(self, length=8, lay=0.5):  # type: ignore[no-untyped-def]
                return [length, lay]

        self.publish(Root())
        for path, answer in {
            "/post/7": [7, False, None, "x"],
            "/post/7/yes": None,
            "/post/7/true": [7, True, None, "x"],
            "/post?number=7&full=1&tags=a&tags=b&word=y": [7, True, ["a", "b"], "y"],
            "/post/7?full=1&unknown=1": [7, True, None, "x"],
            "/post/7/1/more": None,
            "/grow/3": [3, 0.5],
            "/grow/3/2.5": [3, 2.5],
            "/grow?lay=1": [8, 1.0],
        }.items():
            asked = self.ask(path)
            self.assertEqual(asked.status, 404 if answer is None else 200, path)
            if answer is not None:
                self.assertEqual(asked.json, answer, path)

    def test_faults(self) -> None:
        """
        What is wrong with arguments is told: in the path, nothing is there then.
        """

        class Root:
            @expose
            def post(self, number: int, page: int = 1) -> str:
                return ""

        self.publish(Root())
        answer = self.ask("/post/x?page=y")
        self.assertEqual(answer.status, 404)
        problems = {each["path"]: each["in"] for each in answer.json["errors"]}
        self.assertEqual(problems["number"], "path")
        answer = self.ask("/post?number=x&page=y")
        self.assertEqual(answer.status, 400)
        self.assertEqual(
            [(each["in"], each["path"]) for each in answer.json["errors"]],
            [("query", "number"), ("query", "page")],
        )
        self.assertEqual(self.ask("/post").status, 400)

    def test_forms(self) -> None:
        """
        Those of a POST come from its path and its form, or from an object in JSON.
        """

        class Root:
            @expose
            def post(self, number: int, full: bool = False) -> list[Any]:
                return [number, full]

        self.publish(Root())
        post = "/post", "POST"
        self.assertEqual(
            self.ask(*post, FORM, body=b"number=7&full=on").json, [7, True]
        )
        self.assertEqual(self.ask("/post/7", "POST", FORM, body=b"full=1").json[0], 7)
        self.assertEqual(self.ask("/post/7", "POST").json, [7, False])
        answer = self.ask(*post, JSON, body=b'{"number": 7, "full": true}')
        self.assertEqual(answer.json, [7, True])
        answer = self.ask(*post, FORM, body=b"number=x")
        self.assertEqual((answer.status, answer.json["errors"][0]["in"]), (422, "body"))
        self.assertEqual(self.ask("/post?number=7&full=1", "POST").json, [7, True])
        answer = self.ask("/post?number=x", "POST")
        self.assertEqual(
            (answer.status, answer.json["errors"]),
            (
                400,
                [
                    {
                        "in": "query",
                        "path": "number",
                        "problem": "expected an integer, got 'x'",
                    }
                ],
            ),
        )

    def test_bodies(self) -> None:
        """
        What is read from a body is for POST alone, where a query cannot have it.
        """

        class Root:
            @expose
            def shape(self, product: Product) -> str:
                return product.name

            @expose
            def several(self, products: list[Product]) -> int:
                return len(products)

            @expose
            def upload(self, file: Upload, title: str = "") -> str:
                return f"{file.filename} {title}"

            @expose
            def raw(self, text: Body[list[int]]) -> int:
                return sum(text)

        self.publish(Root())
        self.assertEqual(self.ask("/shape?name=a").text, "a")
        answer = self.ask("/shape", "POST", JSON, body=b'{"name": "b"}')
        self.assertEqual(answer.text, "b")
        answer = self.ask("/several", "POST", JSON, body=b'[{"name": "b"}]')
        self.assertEqual(answer.json, 1)
        self.assertEqual(self.ask("/raw", "POST", JSON, body=b"[1, 2]").json, 3)
        self.assertEqual(self.statuses("/several", "/upload", "/raw"), [405] * 3)

    def test_stars(self) -> None:
        """
        C{*path} gets all segments that are left, each by its type; C{**others} gets
        all else that is in the query or the form.
        """

        class Root:
            @expose
            def sum(
                self, first: int, *more: int, sign: bool = True, **others: str
            ) -> list[Any]:
                return [first + sum(more), sign, others]

            @expose
            def any(self, *args, **kwargs):  # type: ignore[no-untyped-def]
                return [args, kwargs]

        self.publish(Root())
        for path, answer in {
            "/sum/1": [1, True, {}],
            "/sum?first=1": [1, True, {}],
            "/sum/1/2/3/": [6, True, {}],
            "/sum/1/2?sign=0&a=b&c=d&c=e": [3, False, {"a": "b", "c": ["d", "e"]}],
            "/any": [[], {}],
            "/any/a%20b/c?d=e": [["a b", "c"], {"d": "e"}],
        }.items():
            self.assertEqual(self.ask(path).json, answer, path)
        answer = self.ask("/any/x", "POST", FORM, body=b"a=b&a=c").json
        self.assertEqual(answer, [["x"], {"a": ["b", "c"]}])
        asked = self.ask("/sum/1/x/2/y")
        self.assertEqual(
            (asked.status, [each["path"] for each in asked.json["errors"]]),
            (404, ["more[0]", "more[2]"]),
        )

    def test_request(self) -> None:
        """
        C{request} is the request, wherever it stands.
        """

        class Root:
            @expose
            def show(self, number: int, request, word: str = "") -> list[Any]:  # type: ignore[no-untyped-def]
                return [number, request.method.decode(), word]

        self.publish(Root())
        self.assertEqual(self.ask("/show/7/x").json, [7, "GET", "x"])

    def test_by_place(self) -> None:
        """
        Arguments that can only be given by their place are.
        """

        class Root:
            @expose
            def show(self, number: int, word: str = "w", /, other: str = "o") -> str:
                return f"{number} {word} {other}"

        self.publish(Root())
        self.assertEqual(
            self.texts("/show/7", "/show?number=7&other=x", "/show/7/a/b"),
            ["7 w o", "7 w x", "7 a b"],
        )

    def test_injected(self) -> None:
        """
        What is injected, and what is said to come from elsewhere, is never in the
        path, nor in a form: nobody can say who he is.
        """

        @self.routes.component
        def session() -> Session:
            return Session()

        @self.routes.component
        def user(x_user: Header[str] = "nobody") -> UserName:
            return UserName(x_user)

        class Root:
            @expose
            def show(
                self,
                session: Session,
                user: UserName,
                number: int,
                x_token: Header[str] = "",
                theme: Cookie[str] | None = None,
            ) -> list[Any]:
                return [user, number, x_token, theme]

        self.publish(Root())
        headers = "X-User: Ada", "X-Token: t", "Cookie: theme=dark"
        answer = ["Ada", 7, "t", "dark"]
        self.assertEqual(self.ask("/show/7", "GET", *headers).json, answer)
        body = b"user=root&x_token=r&theme=r"
        asked = self.ask("/show/7", "POST", *headers, FORM, body=body)
        self.assertEqual(asked.json, answer)
        self.assertEqual(self.ask("/show/7?user=root").json[0], "nobody")
        self.assertEqual(self.ask("/show/root/7").status, 404)


class OptionTests(PublishedCase):
    """
    What is said beside.
    """

    def test_methods(self) -> None:
        """
        A method may be for some of HTTP's only; what says nothing is for those that
        the tree is for.
        """

        class Root:
            @expose(methods=["POST"])
            def change(self, number: int) -> str:
                return f"changed {number}"

            @expose(methods=["PUT", "DELETE"])
            def other(self, number: int) -> str:
                return f"other {number}"

            @expose
            def show(self) -> str:
                return "shown"

        self.publish(Root())
        self.assertEqual(self.ask("/change/1").status, 405)
        self.assertEqual(self.ask("/change/1", "POST").text, "changed 1")
        answer = self.ask("/other", "PUT", FORM, body=b"number=2")
        self.assertEqual(answer.text, "other 2")
        self.assertEqual(self.ask("/other?number=3", "DELETE").text, "other 3")
        self.assertEqual(self.ask("/show", "POST").text, "shown")
        self.place, self.routes = Place.of(), Routes()
        self.publish(Root(), methods=["GET"])
        self.assertEqual(self.ask("/show", "POST").status, 405)
        self.assertRaises(TypeError, expose, methods="POST")

    def test_said_of_the_method(self) -> None:
        """
        What else was said of a method holds: its errors, its output.
        """

        class Root:
            @expose
            @errors(KeyError, status=404)
            def fails(self) -> None:
                raise KeyError("nothing")

            @expose
            @output(Product)
            def show(self) -> dict[str, Any]:
                return {"name": "rope", "rating": 5}

        self.publish(Root())
        self.assertEqual(self.ask("/fails").status, 404)
        self.assertEqual(self.ask("/show").json, {"name": "rope", "rating": 5})

    def test_links(self) -> None:
        """
        Links lead to a method, of the object that is meant, or to its name; with as
        much in the path as can be.
        """

        class Blog:
            @expose
            def post(self, number: int, full: bool = False) -> str:
                return ""

        blog, news = Blog(), Blog()
        self.publish(SimpleNamespace(blog=blog, the_news=news), "/tree")
        self.ask("/")
        links = self.place.site.mounts.links

        def link(target: Any, **args: Any) -> str:
            return links.to(target, args)[0]

        self.assertEqual(link(Blog.post, number=3), "/tree/blog/post/3")
        self.assertEqual(link(blog.post, number=3), "/tree/blog/post/3")
        self.assertEqual(link(news.post, number=3), "/tree/the_news/post/3")
        self.assertEqual(link("blog.post", number=3), "/tree/blog/post/3")
        self.assertEqual(link("the_news.post", number=3), "/tree/the_news/post/3")
        self.assertEqual(
            link("blog.post", number=3, full=True), "/tree/blog/post/3/True"
        )

    def test_told_once(self) -> None:
        """
        A path with C{-} for C{_} is not told of. What is told of a method is what
        its author wrote.
        """

        class Root:
            @expose
            def price_list(self) -> str:
                """The prices."""
                return ""

        self.publish(Root())
        self.ask("/")
        told = {
            entry.pattern.rule: entry.target
            for entry in self.place.site.mounts.table.entries
            if entry.target.kind == "route"
        }
        documented = [rule for rule, each in told.items() if each.options.documented]
        self.assertEqual(documented, ["/price_list"])
        target = told["/price_list"]
        self.assertRegex(target.place, r"test_published\.py:\d+$")
        self.assertEqual(target.handler.__doc__, "The prices.")


class MistakeTests(PublishedCase):
    """
    What cannot be published.
    """

    def test_nothing(self) -> None:
        """
        A tree with nothing in it, or a class, is refused with its place.
        """

        class Root:
            def index(self) -> str:
                return ""

        place = r"\(.*test_published\.py:\d+\)"
        error = self.assertRaises(BadHandler, lambda: self.publish(Root()))
        self.assertRegex(str(error), rf"Root {place}: nothing in it is exposed: mark")
        error = self.assertRaises(BadHandler, lambda: self.publish(Root))
        self.assertRegex(
            str(error), rf"Root {place}: .* publish an object, .*Root\(…\)"
        )

    def test_collisions(self) -> None:
        """
        Two that want one path stop the start.
        """

        class Root:
            @expose(name="leaf")
            def method(self) -> str:
                return ""

            @expose
            def leaf(self, number: int = 0) -> str:
                return ""

        self.publish(Root())
        self.place.mount("/", self.routes)
        error = self.assertRaises(Conflict, self.place.site.mounts.compile)
        self.assertIn("'GET /leaf' is claimed twice", str(error))

    def test_unknown_types(self) -> None:
        """
        A method that asks for what nobody gives is named.
        """

        class Root:
            @expose
            def show(self, session: Session) -> str:
                return ""

        self.publish(Root())
        self.place.mount("/", self.routes)
        error = self.assertRaises(BadHandler, self.place.site.mounts.compile)
        self.assertRegex(str(error), r"show \(.*test_published\.py:\d+\): .*Session")


class PropertyTests(SynchronousTestCase):
    """
    What is true of all arguments.
    """

    @given(st.integers(), st.text(min_size=1), st.booleans(), st.booleans())
    def test_path_or_query(
        self, number: int, word: str, flag: bool, in_path: bool
    ) -> None:
        """
        A method gets the same by a link, whether its path has the arguments or its
        query.
        """
        seen: list[Any] = []

        class Root:
            @expose
            def method(self, number: int, word: str, *, flag: bool) -> str:
                seen.append((number, word, flag))
                return ""

        place, routes = Place.of(), Routes()
        routes.publish("/", Root())
        place.mount("/", routes)
        links = place.site.mounts.links
        path, _ = links.to("method", {})
        if in_path and word not in (".", ".."):  # browsers resolve these
            args = {"number": number, "word": word, "flag": flag}
            path, _ = links.to("method", args)
        else:
            path += f"?number={number}&flag={flag}&word={quote(word, safe='')}"
        self.assertEqual(place.visit().ask(path).status, 200, path)
        self.assertEqual(seen, [(number, word, flag)])
