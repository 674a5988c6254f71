"""
The examples as their clients meet them, in memory. ``trial test_frameworks`` runs this,
and so does ``pytest``.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.web.client import ResponseFailed

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.testing import HTTPClient, Response, TestCase
from ropewalk.web import Routes


class ExampleTests(TestCase):
    """
    One file, and somebody who asks it.
    """

    @inlineCallbacks
    def visit(self, file: str, **settings: Any) -> Steps[HTTPClient]:
        """Run a file, as ``ropewalk run`` does."""
        host = yield self.serve(file, **settings)
        http: HTTPClient = host.http()
        return http


#: What somebody sends who knows the word.
KNOWING = {"Authorization": "Bearer sesame"}


class FlaskTests(ExampleTests):
    """
    A view behind decorators.
    """

    @inlineCallbacks
    def test_product(self) -> Steps[None]:
        """
        What ``@output`` says is written.
        """
        http = yield self.visit("flask_view.py")
        response = yield http.get("/v1/products/7", headers=KNOWING)
        self.assertEqual(response.status, 200)
        self.assertEqual(response.json(), {"number": 7, "name": "Hemp rope"})

    @inlineCallbacks
    def test_missing(self) -> Steps[None]:
        """
        What ``@errors`` says is answered with its status; a number that is none is no
        product either.
        """
        http = yield self.visit("flask_view.py")
        response = yield http.get("/v1/products/8", headers=KNOWING)
        self.assertEqual(response.status, 404)
        self.assertEqual(response.json()["detail"], "there is no product 8")
        response = yield http.get("/v1/products/seven", headers=KNOWING)
        self.assertEqual(response.status, 404)

    @inlineCallbacks
    def test_auth_required(self) -> Steps[None]:
        """
        Who does not know the word learns nothing.
        """
        http = yield self.visit("flask_view.py")
        for path in "/v1/products/7", "/v1/products/8":
            self.assertEqual((yield http.get(path)).status, 401)

    @inlineCallbacks
    def test_documentation(self) -> Steps[None]:
        """
        The view is documented, with what its decorators say.
        """
        http = yield self.visit("flask_view.py")
        document = (yield http.get("/openapi.json")).json()
        view = document["paths"]["/{version}/products/{prod_id}"]["get"]
        asked = [(each["name"], each["in"]) for each in view["parameters"]]
        self.assertEqual(asked, [("version", "path"), ("prod_id", "path")])
        said = {
            status: answer["description"]
            for status, answer in view["responses"].items()
        }
        self.assertIn("There is no such product.", said["404"])
        self.assertIn("The word is missing.", said["401"])


class FalconTests(ExampleTests):
    """
    A quote, in two shapes.
    """

    @inlineCallbacks
    def test_quotes(self) -> Steps[None]:
        """
        Falcon's resource says what ours says; neither answers POST.
        """
        http = yield self.visit("falcon_quote.py")
        for path in "/quote", "/native/quote":
            response = yield http.get(path)
            self.assertEqual(response.json()["author"], "John Heywood")
            self.assertEqual(response.headers["content-type"], "application/json")
            refused = yield http.post(path)
            self.assertEqual(refused.status, 405)
            self.assertEqual(refused.headers["allow"], "GET, HEAD, OPTIONS")


class APIStarTests(ExampleTests):
    """
    A product that must be what its type says.
    """

    @inlineCallbacks
    def offer(self, user: str | None = "Ada", **product: Any) -> Steps[Response]:
        """Offer a product."""
        http = yield self.visit("apistar_product.py")
        headers = {"X-User": user} if user else {}
        response: Response = yield http.post("/products", json=product, headers=headers)
        return response

    @inlineCallbacks
    def test_good(self) -> Steps[None]:
        """
        A product is made, by the user whom the component found.
        """
        response = yield self.offer(name="Hemp rope", rating=5)
        self.assertEqual(response.status, 201)
        made = {"name": "Hemp rope", "rating": 5, "size": "medium"}
        self.assertEqual(response.json(), {"maker": "Ada", "product": made})

    @inlineCallbacks
    def test_all_faults(self) -> Steps[None]:
        """
        A bad name, a bad rating and a bad size are all told at once.
        """
        response = yield self.offer(name="Hemp rope, 20 m", rating=6, size="huge")
        self.assertEqual(response.status, 422)
        faults = [each["path"] for each in response.json()["errors"]]
        self.assertEqual(faults, ["name", "rating", "size"])

    @inlineCallbacks
    def test_nobody(self) -> Steps[None]:
        """
        So is that nobody says who asks, which the component wants to know.
        """
        response = yield self.offer(None, name="Hemp rope", rating=6)
        self.assertEqual(response.status, 400)
        faults = [(each["in"], each["path"]) for each in response.json()["errors"]]
        self.assertEqual(faults, [("body", "rating"), ("header", "X-User")])


class HelloTests(ExampleTests):
    """
    Hello, as in Pyramid and in Japronto.
    """

    @inlineCallbacks
    def test_pyramid(self) -> Steps[None]:
        """
        A name in the path, whatever is in it.
        """
        http = yield self.visit("pyramid_hello.py")
        response = yield http.get("/hello/%3Cb%3EJos%C3%A9")
        self.assertEqual(response.text, "Hello, <b>José!\n")
        self.assertEqual(response.headers.get_content_type(), "text/plain")

    @inlineCallbacks
    def test_japronto(self) -> Steps[None]:
        """
        A function that knows nothing of us.
        """
        http = yield self.visit("japronto_hello.py")
        self.assertEqual((yield http.get("/")).text, "Hello, world!\n")


class HangUp(Protocol):
    """Says nothing."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


class TwistedTests(ExampleTests):
    """
    Users, whom another server knows.
    """

    url = "http://users.example.org:8000/users.json"

    @inlineCallbacks
    def users(self) -> Steps[Response]:
        """Ask for the users, and wait as long as it takes."""
        http = yield self.visit("twisted_users.py", url=self.url)
        yield http.send("GET", "/users")
        yield self.clock.advance(5)
        response: Response = yield http.receive()
        return response

    @inlineCallbacks
    def answer(self, status: int, body: Any) -> Steps[None]:
        """Be that server."""
        users = Routes()
        users.get("/users.json")(lambda: (status, body))
        yield self.serve(users, settings='[web]\nlisten = ["tcp:8000"]')

    @inlineCallbacks
    def test_users(self) -> Steps[None]:
        """
        They are what that server says.
        """
        users = [{"name": "Ada"}, {"name": "Grace"}]
        yield self.answer(200, users)
        response = yield self.users()
        self.assertEqual(response.json(), users)

    @inlineCallbacks
    def test_nobody_there(self) -> Steps[None]:
        """
        Where nobody listens, there are no users, and the log says why.
        """
        response = yield self.users()
        self.assertEqual((response.status, response.json()), (200, []))
        (_,) = self.flushLoggedErrors(ConnectionRefusedError)

    @inlineCallbacks
    def test_hung_up(self) -> Steps[None]:
        """
        Nor are there any where somebody hangs up.
        """
        endpoint = serverFromString(self.clock, "tcp:8000")
        yield endpoint.listen(Factory.forProtocol(HangUp))
        response = yield self.users()
        self.assertEqual((response.status, response.json()), (200, []))
        (_,) = self.flushLoggedErrors(ResponseFailed)

    @inlineCallbacks
    def test_broken(self) -> Steps[None]:
        """
        A server that fails is no fault of our client's.
        """
        yield self.answer(500, "Oh.")
        response = yield self.users()
        self.assertEqual(response.status, 502)

    @inlineCallbacks
    def test_nonsense(self) -> Steps[None]:
        """
        Nor is one that knows no users, but something else.
        """
        yield self.answer(200, [{"nickname": "Ada"}])
        response = yield self.users()
        self.assertEqual(response.status, 502)

    @inlineCallbacks
    def test_silence(self) -> Steps[None]:
        """
        One that says nothing is waited for, but not for ever.
        """
        yield self.answer(200, Deferred())
        response = yield self.users()
        self.assertEqual(response.status, 504)
        (_,) = self.flushLoggedErrors(ResponseFailed)


class CherryPyTests(ExampleTests):
    """
    A tree of objects.
    """

    @inlineCallbacks
    def test_tree(self) -> Steps[None]:
        """
        Arguments come from the path, the query or a form, and must be what they are
        said to be.
        """
        http = yield self.visit("cherrypy_tree.py")
        self.assertEqual((yield http.get("/")).text, "Ropes, and how to make them.\n")
        turns = "/calculator/turns"
        for asked in (
            http.get(f"{turns}/20/0.5"),
            http.get(f"{turns}?lay=0.5&length=20"),
            http.post(turns, data={"length": "20", "lay": "0.5"}),
        ):
            self.assertEqual((yield asked).json(), {"length": 20, "turns": 40})
        self.assertEqual((yield http.get(f"{turns}?length=long")).status, 400)
        self.assertEqual((yield http.get("/calculator")).status, 404)


class MorepathTests(ExampleTests):
    """
    A company that has a path.
    """

    @inlineCallbacks
    def test_company(self) -> Steps[None]:
        """
        Links are made of the company; who may not edit it, cannot.
        """
        http = yield self.visit("morepath_company.py")
        shown = (yield http.get("/companies/7")).json()
        self.assertEqual(shown, {"name": "Hemp & Sons", "edit": "/companies/7/edit"})
        edit = f"{shown['edit']}?name=Sisal"
        self.assertEqual((yield http.post(edit)).status, 403)
        edited = yield http.post(edit, headers={"X-User": "root"})
        self.assertEqual(edited.json()["name"], "Sisal")
        self.assertEqual((yield http.get("/companies/8")).status, 404)


class WebApp2Tests(ExampleTests):
    """
    A class that answers.
    """

    @inlineCallbacks
    def test_guests(self) -> Steps[None]:
        """
        Its methods are HTTP's; there is no other.
        """
        http = yield self.visit("webapp2_handler.py")
        before = yield http.get("/guests/Ada")
        self.assertEqual(before.text, "Ada has not signed.\n")
        signed = yield http.post("/guests/Ada", data={"text": "1 < 2"})
        self.assertEqual(signed.status, 303)
        after = yield http.get(signed.headers["location"])
        self.assertEqual(after.text, "Ada: 1 &lt; 2\n")
        self.assertEqual((yield http.request("PUT", "/guests/Ada")).status, 405)


class SanicTests(ExampleTests):
    """
    One blueprint at two paths.
    """

    @inlineCallbacks
    def test_links(self) -> Steps[None]:
        """
        Links stay where they are shown.
        """
        http = yield self.visit("sanic_blueprints.py")
        for version in "/v1", "/v2":
            links = (yield http.get(f"{version}/ropes")).json()
            self.assertEqual(links["hemp"], f"{version}/ropes/hemp")
            rope = yield http.get(links["hemp"])
            self.assertEqual(rope.json(), {"name": "hemp", "strength": 60})
        self.assertEqual((yield http.get("/v1/ropes/steel")).status, 404)
