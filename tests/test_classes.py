"""
Tests for L{ropewalk.web.classes}.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadHandler
from ropewalk.interfaces import Steps
from ropewalk.schema import Shape
from ropewalk.web.binding import Header
from ropewalk.web.routes import Routes
from tests.visiting import Answer, Place


class Ropes(Shape):
    """What is in a body."""

    metres: int


class Session:
    """Something to be injected."""

    def __init__(self, user: str) -> None:
        self.user = user


class ClassCase(SynchronousTestCase):
    """
    Classes on a site, and a client.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.routes = Routes()

    def ask(
        self, path: str, method: str = "GET", *headers: str, body: bytes = b""
    ) -> Answer:
        if not list(self.place.site.mounts):
            self.place.mount("/", self.routes)
        return self.place.visit().ask(path, method, *headers, body=body)


class ObjectTests(ClassCase):
    """
    An object that answers.
    """

    def test_methods(self) -> None:
        """
        Each of its methods that is one of HTTP's answers that one, and is given what
        it asks for; HEAD and OPTIONS are answered as they are for any route.
        """

        class Shed:
            def __init__(self) -> None:
                self.ropes = {"hemp": 20}

            def get(self, name: str, unit: str = "m") -> str:
                return f"{self.ropes[name]} {unit}"

            @inlineCallbacks
            def put(self, name: str, ropes: Ropes) -> Steps[int]:
                yield succeed(None)
                self.ropes[name] = ropes.metres
                return ropes.metres

            async def delete(self, name: str) -> None:
                await succeed(None)
                del self.ropes[name]

            def patch_up(self) -> None:
                raise AssertionError("never called")

        self.routes.add_route("/ropes/<name>", Shed())
        self.assertEqual(self.ask("/ropes/hemp?unit=metres").text, "20 metres")
        answer = self.ask("/ropes/sisal", "PUT", body=b'{"metres": 3}')
        self.assertEqual(answer.json, 3)
        self.assertEqual(self.ask("/ropes/sisal").text, "3 m")
        head = self.ask("/ropes/sisal", "HEAD")
        self.assertEqual(head.headers["content-length"], "3")
        self.assertEqual(self.ask("/ropes/sisal", "DELETE").status, 204)
        answer = self.ask("/ropes/sisal", "POST")
        self.assertEqual(
            (answer.status, answer.headers["allow"]),
            (405, "DELETE, GET, HEAD, OPTIONS, PUT"),
        )
        self.assertEqual(self.ask("/ropes/sisal", "OPTIONS").status, 204)

    def test_own_head_and_options(self) -> None:
        """
        It may have methods for HEAD and OPTIONS.
        """

        class Thing:
            def head(self, request: Any) -> None:
                request.setHeader("X-Head", "mine")

            def options(self) -> str:
                return "mine"

        self.routes.add_route("/", Thing())
        self.assertEqual(self.ask("/", "HEAD").headers["x-head"], "mine")
        self.assertEqual(self.ask("/", "OPTIONS").text, "mine")

    def test_what_is_no_method(self) -> None:
        """
        A static method, a class's, one that an object has by itself, and one that is
        inherited answer; what a dictionary has does not.
        """

        class Base:
            word = "class"

            def patch(self) -> str:
                return self.word

        class Thing(Base, dict[str, str]):
            def __init__(self, word: str) -> None:
                self.word = word
                self.delete = lambda: self.word

            @staticmethod
            def post(number: int) -> int:
                return number + 1

            @classmethod
            def put(cls) -> str:
                return cls.word

        self.routes.add_route("/", Thing("object"))
        self.assertEqual(self.ask("/?number=3", "POST").json, 4)
        self.assertEqual(self.ask("/", "PUT").text, "class")
        self.assertEqual(self.ask("/", "PATCH").text, "object")
        self.assertEqual(self.ask("/", "DELETE").text, "object")
        self.assertEqual(self.ask("/").status, 405)

    def test_two_paths(self) -> None:
        """
        One object may be at two paths, by a suffix with other methods; two objects of
        a class are two.
        """

        class Thing:
            def __init__(self, word: str) -> None:
                self.word = word

            def get(self) -> str:
                return self.word

            def get_all(self) -> str:
                return f"all of {self.word}"

        one = Thing("one")
        self.routes.add_route("/one", one)
        self.routes.add_route("/again", one)
        self.routes.add_route("/other", Thing("other"))
        self.routes.add_route("/all", one, suffix="all")
        paths = "/one", "/again", "/other", "/all"
        self.assertEqual(
            [self.ask(path).text for path in paths],
            ["one", "one", "other", "all of one"],
        )

    def test_options(self) -> None:
        """
        Options are for all of its routes.
        """

        class Thing:
            def post(self, request: Any) -> str:
                return str(request.route.options.longest_body)

        self.routes.add_route("/", Thing(), longest_body=3, name="thing")
        self.assertEqual(self.ask("/", "POST").text, "3")
        self.assertEqual(self.ask("/", "POST", body=b"long").status, 413)
        self.assertEqual(self.place.site.mounts.links.to("thing", {}), ("/", None))

    def test_in_routes_of_a_class(self) -> None:
        """
        It is given what the routes inject, which may be those of a class.
        """

        class Thing:
            def get(self, session: Session) -> str:
                return session.user

        class Pages:
            routes = Routes()

            def __init__(self, user: str) -> None:
                self.user = user

            @routes.component
            def session(self) -> Session:
                return Session(self.user)

            routes.add_route("/thing", Thing())

        self.place.mount("/", Pages("Ada").routes)
        self.assertEqual(self.ask("/thing").text, "Ada")


class EachRequestTests(ClassCase):
    """
    A class of which each request gets an object.
    """

    def test_its_own(self) -> None:
        """
        What one request leaves on its object, no other finds.
        """

        class Counter:
            def __init__(self) -> None:
                self.count = 0

            def get(self, id: int) -> list[int]:
                self.count += 1
                return [id, self.count]

        self.routes.add_route("/<int:id>", Counter)
        self.assertEqual([self.ask("/1").json, self.ask("/2").json], [[1, 1], [2, 1]])

    def test_what_it_is_made_of(self) -> None:
        """
        Its C{__init__} is given what it asks for, like a handler: what is in the
        request, and what is injected, once for both.
        """
        did: list[str] = []

        @self.routes.component
        async def session(x_user: Header[str] = "nobody") -> Session:
            await succeed(None)
            did.append("made")
            return Session(x_user)

        class Guest:
            def __init__(self, request: Any, session: Session, verbose: bool = False):
                self.request = request
                self.session = session
                self.verbose = verbose

            @inlineCallbacks
            def get(self, name: str, session: Session) -> Steps[list[Any]]:
                yield succeed(None)
                same = session is self.session
                return [self.request.link(Guest), same, name, self.verbose]

        self.routes.add_route("/guests/<name>", Guest)
        answer = self.ask("/guests/Ada?verbose=1", "GET", "X-User: Alan")
        self.assertEqual(answer.json, ["/guests/Ada", True, "Ada", True])
        self.assertEqual(did, ["made"])
        self.assertEqual(self.ask("/guests/Ada?verbose=perhaps").status, 400)

    def test_closed(self) -> None:
        """
        What it was made of is closed when the request has ended.
        """
        did: list[str] = []

        @self.routes.component
        def session() -> Iterator[Session]:
            yield Session("")
            did.append("closed")

        class Thing:
            def __init__(self, session: Session) -> None:
                did.append("made")

            def get(self) -> str:
                did.append("asked")
                return ""

        self.routes.add_route("/", Thing)
        self.ask("/")
        self.assertEqual(did, ["made", "asked", "closed"])

    def test_fails(self) -> None:
        """
        What its C{__init__} raises is answered as any error.
        """

        class Thing:
            def __init__(self) -> None:
                raise KeyError("nothing")

            def get(self) -> str:
                raise AssertionError("never called")

        self.routes.add_route("/", Thing)

        @self.routes.handle_errors(KeyError)
        def failed(request: Any, failure: Any) -> str:
            return f"failed: {failure.value}"

        self.assertEqual(self.ask("/").text, "failed: 'nothing'")


class MistakeTests(ClassCase):
    """
    What does not answer.
    """

    def refused(self, resource: Any, **options: Any) -> str:
        add = self.routes.add_route
        return str(self.assertRaises(BadHandler, lambda: add("/", resource, **options)))

    def test_nothing(self) -> None:
        """
        What has none of the methods is told which there could be, and where.
        """

        class Thing:
            def fetch(self) -> None:
                """No method of HTTP's."""

        place = r"\(.*test_classes\.py:\d+\)"
        for each in Thing, Thing():
            self.assertRegex(
                self.refused(each),
                rf"Thing {place}: it has none of the methods get, post, .*, nor on_get",
            )
        self.assertIn("get_all, post_all", self.refused(Thing, suffix="all"))
        self.assertIn("function (", self.refused(lambda: ""))

    def test_methods(self) -> None:
        """
        Which methods there are, the class says.
        """

        class Thing:
            def get(self) -> str:
                return ""

        add = self.routes.add_route
        error = self.assertRaises(TypeError, add, "/", Thing(), methods=["GET"])
        self.assertIn("its methods are those that", str(error))

    def test_cannot_be_made(self) -> None:
        """
        A class that asks for what no request has stops the start.
        """

        class Thing:
            def __init__(self, session: Session) -> None:
                """Never made."""

            def get(self) -> str:
                return ""

        self.routes.add_route("/", Thing)
        self.place.mount("/", self.routes)
        error = self.assertRaises(BadHandler, self.place.site.mounts.compile)
        self.assertRegex(str(error), r"Thing \(.*test_classes\.py:\d+\): .*Session")
