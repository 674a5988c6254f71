"""
Tests for L{ropewalk.web.documenting}.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import define
from klein import Klein
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.static import Data

from ropewalk.errors import RopewalkError
from ropewalk.schema import Shape
from ropewalk.web import falcon
from ropewalk.web.binding import Header
from ropewalk.web.documenting import mount_documentation
from ropewalk.web.mounts import Mount, resource_for
from ropewalk.web.routes import Routes, errors, expose, output
from tests.validating import validate
from tests.visiting import Answer, Place

ROOT = Path(__file__).resolve().parent.parent


class Product(Shape):
    """Something to buy."""

    name: str


class SoldOut(RopewalkError):
    """Somebody was faster."""

    status = 409


@define
class Company:
    """A model."""

    id: int


@define
class User:
    """Who asks."""

    name: str


def current_user(x_user: Header[str]) -> User:
    """Who says so."""
    return User(x_user)


def typed(number: int = 1) -> Product:
    """One product."""
    return Product(str(number))


def shop() -> Routes:
    """Routes with a typed handler."""
    routes = Routes()
    routes.get("/products")(typed)
    return routes


class Documented:
    """
    A site with its documentation.
    """

    def __init__(self) -> None:
        self.place = Place.of()

    def mount(
        self, path: str, app: Any, *, host: str | None = None, plugin: str = "shop"
    ) -> None:
        """Serve something."""
        resource = resource_for(app)
        place = f"{plugin}.py:1"
        mount = Mount(path, resource, plugin, place, "pages", app, host=host)
        self.place.site.mounts.add(mount)

    def finish(self, path: str = "/openapi", **about: str) -> None:
        """Serve its documentation."""
        mounts = self.place.site.mounts
        title = "The rope shop"
        mount_documentation(mounts, path, "web", "x.toml:1", title=title, about=about)

    def ask(self, path: str, host: str = "example.org") -> Answer:
        """Ask for a page."""
        return self.place.visit().ask(path, "GET", f"Host: {host}")

    def document(self, host: str = "example.org") -> Any:
        """The document, which is valid."""
        answer = self.ask("/openapi.json", host)
        assert answer.status == 200, answer
        validate(answer.json)
        return answer.json

    def operations(self, host: str = "example.org") -> dict[str, str]:
        """The names of all operations, by method and path."""
        return {
            f"{method.upper()} {path}": told["operationId"]
            for path, item in self.document(host)["paths"].items()
            for method, told in item.items()
        }


def described(app: Any, path: str = "/") -> Documented:
    """A site with an application and its documentation."""
    site = Documented()
    site.mount(path, app)
    site.finish()
    return site


class WhereTests(SynchronousTestCase):
    """
    Where the documentation is.
    """

    def test_page_and_document(self) -> None:
        """
        The page is at one path, the document beside it.
        """
        site = described(shop())
        page = site.ask("/openapi")
        self.assertEqual(page.headers["content-type"], "text/html; charset=utf-8")
        self.assertIn('data-document="openapi.json"', page.text)
        self.assertEqual(site.document()["info"]["title"], "The rope shop")
        self.assertEqual(site.operations(), {"GET /products": "shop.typed"})

    def test_another_path(self) -> None:
        """
        It may be anywhere.
        """
        site = Documented()
        site.mount("/", shop())
        site.finish("/about/api")
        self.assertIn('data-document="api.json"', site.ask("/about/api").text)
        self.assertIn("/products", site.ask("/about/api.json").json["paths"])

    def test_title(self) -> None:
        """
        It is called what the settings say, or what the services are.
        """
        site = Documented()
        site.mount("/a", shop(), plugin="rope-shop")
        site.mount("/b", shop(), plugin="users")
        site.mount("/c", Data(b"", "text/plain"), plugin="files")
        mount_documentation(site.place.site.mounts, "/openapi", "web", "x.toml:1")
        self.assertEqual(site.document()["info"]["title"], "Rope shop, users")
        self.assertIn("<title>Rope shop, users</title>", site.ask("/openapi").text)

    def test_only_with_typed_handlers(self) -> None:
        """
        Where handlers take the request and say nothing, there is nothing to document,
        and nothing is imported for it.
        """
        routes = Routes()
        routes.get("/")(lambda request: b"hello")
        app = Klein()
        app.route("/")(lambda request: b"hello")
        for each in routes, app:
            site = described(each)
            self.assertEqual(site.ask("/openapi").status, 404)
            self.assertEqual(site.ask("/openapi.json").status, 404)
        script = (
            "import sys\n"
            "from ropewalk.web.documenting import mount_documentation\n"
            "from ropewalk.web.mounts import Mount, Mounts, resource_for\n"
            "from ropewalk.web.routes import Routes\n"
            "routes, mounts = Routes(), Mounts()\n"
            "routes.get('/')(lambda request: b'hello')\n"
            "resource = resource_for(routes)\n"
            "mounts.add(Mount('/', resource, 'shop', 'x.py:1', 'pages', routes))\n"
            "mount_documentation(mounts, '/openapi', 'web', 'x.toml:1', title='x')\n"
            "print([each for each in sys.modules if 'openapi' in each])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONPATH": "platform"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual((done.stdout.strip(), done.stderr), ("[]", ""))

    def test_somebody_elses(self) -> None:
        """
        Where a service has put something else, that stays.
        """
        site = Documented()
        site.mount("/", shop())
        site.mount("/openapi", Data(b"ours", "text/plain"), plugin="other")
        site.finish()
        self.assertEqual(site.ask("/openapi").body, b"ours")
        self.assertEqual(len(site.operations()), 1)

    def test_somebody_elses_route(self) -> None:
        """
        So does a route.
        """
        routes = shop()
        routes.get("/openapi.json", documented=False)(lambda request: b"ours")
        site = described(routes)
        self.assertEqual(site.ask("/openapi.json").body, b"ours")
        self.assertEqual(site.ask("/openapi").status, 200)

    def test_accident(self) -> None:
        """
        What cannot be described is logged, and the rest of the site is served.
        """

        routes = shop()
        routes.component(security={"what": {"no JSON": print}})(current_user)
        routes.get("/me")(_with_user)
        site = described(routes)
        for _ in range(2):
            answer = site.ask("/openapi.json")
            self.assertEqual(answer.status, 500)
            (_,) = self.flushLoggedErrors(TypeError)
        self.assertEqual(site.ask("/openapi").status, 200)
        self.assertEqual(site.ask("/products").json, {"name": "1"})


class HostTests(SynchronousTestCase):
    """
    The document has what answers on the host that it is asked for at.
    """

    def test_virtual_hosts(self) -> None:
        """
        Two hosts may have the same path, and neither sees the other's.
        """
        site = Documented()
        for name in "a", "b":
            routes = Routes(name=name)
            routes.get("/products", name=name)(typed)
            routes.get(f"/{name}", name=f"own_{name}")(typed)
            site.mount("/", routes, host=f"{name}.example.org")
        site.mount("/open", shop())
        site.finish()
        for name in "a", "b":
            self.assertEqual(
                site.operations(f"{name}.example.org"),
                {"GET /products": f"shop.{name}", f"GET /{name}": f"shop.own_{name}"},
            )
            self.assertEqual(site.ask("/openapi", f"{name}.example.org").status, 200)
        self.assertEqual(
            site.operations("c.example.org:8080"), {"GET /open/products": "shop.typed"}
        )

    def test_beside_what_is_everywhere(self) -> None:
        """
        What is for one host goes before what is for any, method by method.
        """
        routes = Routes()
        routes.get("/", name="everywhere")(typed)
        routes.route("/any", name="any")(typed)
        several = routes.route(
            "/", host="<who>.example.org", name="who", methods=["GET", "PUT"]
        )
        several(lambda who, number=1: None)
        routes.post("/", name="post")(typed)
        routes.get("/", host="a.example.org", name="only_a")(typed)
        routes.get("/any", host="a.example.org", name="any_a")(typed)
        site = described(routes)
        others = {
            f"{each} /any": f"shop.any.{each.lower()}"
            for each in ("GET", "POST", "PUT", "PATCH", "DELETE")
        }
        self.assertEqual(
            site.operations("localhost"),
            {"GET /": "shop.everywhere", "POST /": "shop.post", **others},
        )
        self.assertEqual(
            site.operations("b.example.org"),
            {
                "POST /": "shop.post",
                "GET /": "shop.who.get",
                "PUT /": "shop.who.put",
                **others,
            },
        )
        self.assertEqual(
            site.operations("A.example.org"),
            {
                "POST /": "shop.post",
                "PUT /": "shop.who",
                "GET /": "shop.only_a",
                **{name: each for name, each in others.items() if name != "GET /any"},
                "GET /any": "shop.any_a",
            },
        )

    def test_one_document_each(self) -> None:
        """
        Hosts that are not told apart have one document between them.
        """
        site = described(shop())
        tags = {site.ask("/openapi.json", host).headers["etag"] for host in "abc"}
        self.assertEqual(len(tags), 1)


class OperationsTests(SynchronousTestCase):
    """
    What is documented, and how it is called.
    """

    def test_two_mounts(self) -> None:
        """
        Routes that are mounted twice are documented twice, each name once.
        """
        routes, outer = shop(), Routes()
        routes.get("/more", name="typed_2")(lambda request: b"")
        for prefix in "/v1", "/v2", "/v3":
            outer.mount(prefix, routes)
        self.assertEqual(
            described(outer).operations(),
            {
                "GET /v1/products": "shop.typed",
                "GET /v1/more": "shop.typed_2",
                "GET /v2/products": "shop.typed_3",
                "GET /v2/more": "shop.typed_2_2",
                "GET /v3/products": "shop.typed_4",
                "GET /v3/more": "shop.typed_2_3",
            },
        )

    def test_at_the_root_of_a_mount(self) -> None:
        """
        The path of a mount, which is there with and without a slash, is listed once.
        """
        routes = Routes()
        routes.get("/")(typed)
        routes.get("/all/")(lambda x=1: None)
        site = described(routes, "/shop")
        self.assertEqual(list(site.operations()), ["GET /shop", "GET /shop/all/"])

    def test_left_out(self) -> None:
        """
        Sockets, links to elsewhere, Klein's own and what does not want to be
        documented is not.
        """
        routes = shop()
        routes.socket("/live")(lambda number: None)
        routes.get("/secret", documented=False)(typed)
        routes.get("/link", build_only=True)(typed)
        routes.mount("/files", Data(b"", "text/plain"))
        app = Klein()
        app.route("/klein")(lambda request: b"")
        routes.mount("/klein", app)
        self.assertEqual(
            described(routes).operations(), {"GET /products": "shop.typed"}
        )

    def test_plain_handlers(self) -> None:
        """
        Beside typed handlers, plain ones are listed as well.
        """
        routes = shop()
        routes.get("/hello/<name>")(lambda request, name: b"")
        told = described(routes).document()["paths"]["/hello/{name}"]["get"]
        self.assertIn("default", told["responses"])

    def test_tags(self) -> None:
        """
        Operations are listed under their service, told by its docstring, or under the
        name of their routes.
        """
        site = Documented()
        site.mount("/a", shop())
        named = Routes(name="Ropes")
        named.get("/ropes")(typed)
        site.mount("/b", named)
        site.finish(shop="Sells rope.", other="Nothing.")
        tags = site.document()["tags"]
        self.assertEqual(
            tags, [{"name": "shop", "description": "Sells rope."}, {"name": "Ropes"}]
        )

    def test_errors_and_output(self) -> None:
        """
        What decorators say of errors and answers is told.
        """

        @errors(SoldOut)
        @errors(KeyError, status=404)
        @output(Product)
        def buy(name: str) -> Any:
            """Buy it."""

        routes = Routes()
        routes.post("/buy", timeout=2, longest_body=10)(buy)
        told = described(routes).document()["paths"]["/buy"]["post"]
        self.assertEqual(
            list(told["responses"]), ["200", "400", "404", "406", "409", "503"]
        )
        content = told["responses"]["200"]["content"]["application/json"]
        self.assertEqual(content["schema"], {"$ref": "#/components/schemas/Product"})
        self.assertEqual(
            told["responses"]["409"]["description"], "Somebody was faster."
        )

    def test_security(self) -> None:
        """
        A component that stands for a security scheme says who may.
        """
        routes = Routes()
        scheme = {"type": "apiKey", "in": "header", "name": "X-User"}
        routes.component(security=scheme)(current_user)
        routes.get("/me")(lambda user: None)
        routes.get("/you")(_with_user)
        document = described(routes).document()
        told = document["paths"]["/you"]["get"]
        self.assertEqual(told["security"], [{"current_user": []}])
        self.assertNotIn("parameters", told)
        self.assertEqual(
            document["components"]["securitySchemes"], {"current_user": scheme}
        )

    def test_streams(self) -> None:
        """
        A stream is one, whatever its annotation says of it.
        """

        def ticks(number: int = 1) -> Iterator[Product]:
            yield Product("a")

        def lines(number: int = 1) -> list[Product]:
            return []

        def anything(number: int = 1):  # type: ignore[no-untyped-def]
            yield b""

        routes = Routes()
        for each in ticks, lines, anything:
            routes.stream(f"/{each.__name__}")(each)
        paths = described(routes).document()["paths"]
        for name in "ticks", "lines":
            content = paths[f"/{name}"]["get"]["responses"]["200"]["content"]
            self.assertIn("text/event-stream", content)
        self.assertIn("200", paths["/anything"]["get"]["responses"])


def _with_user(user: User) -> None:
    """What only users see."""


class OtherShapesTests(SynchronousTestCase):
    """
    Handlers of other shapes are documented by what they ask for.
    """

    def test_classes(self) -> None:
        """
        Of a class that answers, each method is an operation; what makes its objects
        asks as well.
        """

        class Guest:
            def __init__(self, x_user: Header[str]) -> None:
                """Note who asks."""

            def get(self, name: str, full: bool = False) -> Product:
                """Look at a guest."""
                return Product(name)

            def delete(self, name: str) -> None:
                """Throw a guest out."""

        routes = Routes()
        routes.add_route("/guests/<name>", Guest)
        (item,) = described(routes).document()["paths"].values()
        self.assertEqual(
            {method: each["operationId"] for method, each in item.items()},
            {"get": "shop.Guest.get", "delete": "shop.Guest.delete"},
        )
        self.assertEqual(
            [each["name"] for each in item["get"]["parameters"]],
            ["name", "full", "X-User"],
        )
        self.assertEqual(item["delete"]["summary"], "Throw a guest out")

    def test_trees(self) -> None:
        """
        Of a tree of objects, each path is listed with what is in it, and what comes by
        query or form.
        """

        class Calculator:
            @expose
            def index(self, wait: bool = False) -> str:
                """Say hello."""
                return ""

            @expose
            def turns(self, length: int, lay: float = 1.0) -> dict[str, int]:
                """Count the turns of a rope."""
                return {}

            @expose
            def default(self, *path: str) -> str:
                """Whatever else there is."""
                return ""

        routes = Routes()
        routes.publish("/calculator", Calculator())
        document = described(routes).document()
        self.assertEqual(
            sorted(document["paths"]),
            [
                "/calculator",
                "/calculator/turns",
                "/calculator/turns/{length}",
                "/calculator/turns/{length}/{lay}",
                "/calculator/{path}",
            ],
        )
        told = document["paths"]["/calculator/turns/{length}"]
        self.assertEqual(
            [(each["name"], each["in"]) for each in told["get"]["parameters"]],
            [("length", "path"), ("lay", "query")],
        )
        self.assertEqual(told["get"]["summary"], "Count the turns of a rope")
        self.assertIn("requestBody", told["post"])

    def test_models(self) -> None:
        """
        A view says what finds its model and what its rules ask for; they may say no.
        """
        routes = Routes()

        @routes.model(Company, "/companies/<int:id>")
        def find(id: int, since: int = 0) -> Company | None:
            return Company(id)

        @routes.permits(Company)
        def may(company: Company, x_user: Header[str]) -> bool:
            return True

        @routes.view(Company)
        def show(company: Company) -> Product:
            """Show a company."""
            return Product(str(company.id))

        told = described(routes).document()["paths"]["/companies/{id}"]["get"]
        self.assertEqual(
            [each["name"] for each in told["parameters"]], ["id", "since", "X-User"]
        )
        self.assertEqual(list(told["responses"]), ["200", "400", "403", "404", "406"])

    def test_falcon(self) -> None:
        """
        Of a resource in Falcon's shape, path, methods and words are known.
        """

        class Quote:
            def on_get(self, req: Any, resp: Any, number: int) -> None:
                """A quote."""

        app = falcon.App()
        app.add_route("/quotes/{number:int}", Quote())
        app.get("/typed")(typed)
        told = described(app).document()["paths"]["/quotes/{number}"]["get"]
        self.assertEqual(told["summary"], "A quote")
        self.assertEqual(told["parameters"][0]["schema"]["type"], "integer")
        self.assertIn("default", told["responses"])

    def test_branches(self) -> None:
        """
        What is below a branch is told as one parameter.
        """
        routes = shop()
        routes.route("/files/", branch=True)(lambda request: Data(b"", "text/plain"))
        paths = described(routes).document()["paths"]
        self.assertIn("/files/{rest}", paths)
