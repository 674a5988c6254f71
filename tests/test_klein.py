"""
Klein's own suite, twice: plain C{klein.Klein} applications that our resource serves,
and L{Routes} in their place. And Klein's idioms over the wire, beside Klein.

Of Klein's modules those are run that make applications. The others test headers,
messages, sessions in memory and what is exported, which is Klein's and not ours. What
differs on purpose is in L{DIFFERENCES}. It is run, has to fail, and is then reported as
skipped, with the reason; when it passes, that is a failure.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import SkipTest, TestCase
from unittest.mock import patch
from weakref import ref

from attrs import frozen
from klein import Klein
from klein import Response as KleinResponse
from klein.interfaces import IKleinRequest
from klein.resource import KleinResource
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import server
from twisted.web.resource import Resource
from twisted.web.template import Element, TagLoader, tags
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from ropewalk.errors import RopewalkError
from ropewalk.web.apps import AppResource
from ropewalk.web.routes import Routes
from tests.adopting import cases_of, different
from tests.visiting import Answer, Place, Visit, Wire, parse, request

#: Klein's modules that make applications.
MODULES = (
    "test_app",
    "test_form",
    "test_plating",
    "test_requirer",
    "test_resource",
    "test_session",
)

#: Those that do not, and what of the above does not either.
NOT_OURS = (
    "test_app.DummyRequestSelfTest",
    "test_attrs_zope",
    "test_exports",
    "test_headers",
    "test_headers_compat",
    "test_memory",
    "test_message",
    "test_plating.ResolveDeferredObjectsTests",
    "test_plating.TransformJSONObjectTests",
    "test_request",
    "test_request_compat",
    "test_resource.ExtractURLpartsTests",
    "test_response",
    "test_trial",
)

_CHARSET = (
    "a page says that it is in UTF-8; this looks for its type in b'text/html', where "
    "no longer one is"
)
_MADE_BY_ROUTES = (
    "this replaces the KleinResource in Klein's own module; Routes.resource makes an "
    "AppResource"
)

#: What differs on purpose, and why.
DIFFERENCES = {
    "KleinResourceTests.test_addSlash": (
        "a redirect names no host, so that it leads to the right one behind a proxy"
    ),
    "KleinResourceTests.test_notFound": (
        "an error is RFC 9457 problem details, or a page of ours in a browser"
    ),
    "TestForms.test_renderLookupError": (
        "an element that fails is answered 500, not 200 with half a page"
    ),
    "TestForms.test_rendering": _CHARSET,
    "TestForms.test_renderingEmptyForm": _CHARSET,
    "TestForms.test_renderingExplicitSubmit": _CHARSET,
    "TestForms.test_renderingFormGlue": _CHARSET,
}

#: What differs besides, with L{Routes} in place of Klein.
DIFFERENCES_OF_ROUTES = {
    "KleinTestCase.test_resource": _MADE_BY_ROUTES,
    "KleinTestCase.test_run": _MADE_BY_ROUTES,
    "KleinTestCase.test_runSSL": _MADE_BY_ROUTES,
    "KleinTestCase.test_runTCP6": _MADE_BY_ROUTES,
    "KleinTestCase.test_runWithLogFile": _MADE_BY_ROUTES,
}

#: Why there is nothing of Klein's to run; empty if there is.
MISSING = ", ".join(
    name for name in ("klein.test", "hypothesis", "idna", "treq") if not find_spec(name)
)


@contextmanager
def _served_by_us(kind: type[Klein]) -> Iterator[None]:
    """
    Let what is imported now make applications of a kind, which our resource serves.
    """
    known = {name: sys.modules.pop(name) for name in _loaded()}
    try:
        with (
            patch("klein.Klein", kind),
            patch("klein._app.Klein", kind),
            patch("klein._app.KleinResource", AppResource),
            patch("klein._resource.KleinResource", AppResource),
        ):
            yield
    finally:
        for name in _loaded():
            del sys.modules[name]
        sys.modules.update(known)


def _loaded() -> list[str]:
    return [name for name in sys.modules if f"{name}.".startswith("klein.test.")]


#: Klein's say what they expect; another error is one.
_different = partial(different, by=AssertionError)


def _adopted(case: type[TestCase], name: str, differences: dict[str, str]) -> type:
    """A test case of Klein's as one of ours."""

    def run(self: TestCase, result: Any = None) -> Any:
        # What Klein.resource makes is not imported by the test but by Klein.
        with patch("klein._app.KleinResource", AppResource):
            return case.run(self, result)

    members: dict[str, Any] = {"__module__": __name__, "run": run}
    for method in dir(case):
        reason = differences.get(f"{case.__name__}.{method}")
        if reason is not None:
            members[method] = _different(getattr(case, method), reason)
    return type(name, (case,), members)


def _adopt(kind: type[Klein], differences: dict[str, str]) -> dict[str, type]:
    """Klein's test cases, with applications of a kind."""
    adopted = {}
    with _served_by_us(kind):
        modules = [import_module(f"klein.test.{name}") for name in MODULES]
    for short, module in zip(MODULES, modules, strict=True):
        for case in cases_of(module):
            if f"{short}.{case.__name__}" not in NOT_OURS:
                name = f"{case.__name__}With{kind.__name__}"
                adopted[name] = _adopted(case, name, differences)
    return adopted


if not MISSING:
    globals().update(_adopt(Klein, DIFFERENCES))
    globals().update(_adopt(Routes, {**DIFFERENCES, **DIFFERENCES_OF_ROUTES}))


class SuiteTests(SynchronousTestCase):
    """
    Klein's suite is all there, and what is said of it is true.
    """

    def setUp(self) -> None:
        if MISSING and os.environ.get("CI"):
            self.fail(f"Klein's suite is not run without {MISSING}")
        if MISSING:
            raise SkipTest(
                f"Klein's suite is not run without {MISSING}: `pip install klein treq "
                "hypothesis idna` brings it"
            )

    def test_modules(self) -> None:
        """
        Each of Klein's test modules is run, or it is said that it is not.
        """
        package = find_spec("klein.test")
        assert package is not None and package.origin is not None
        there = {each.stem for each in Path(package.origin).parent.glob("test_*.py")}
        left_out = {name for name in NOT_OURS if "." not in name}
        self.assertEqual(there, {*MODULES, *left_out})
        self.assertEqual(left_out & {*MODULES}, set())

    def test_what_is_left_out(self) -> None:
        """
        What is left out of a module is there.
        """
        for name in NOT_OURS:
            module, _, case = name.partition(".")
            if case:
                there = cases_of(import_module(f"klein.test.{module}"))
                self.assertIn(case, {each.__name__ for each in there})

    def test_differences(self) -> None:
        """
        Each case that is said to differ is there.
        """
        for kind, differences in (
            (Klein, DIFFERENCES),
            (Routes, {**DIFFERENCES, **DIFFERENCES_OF_ROUTES}),
        ):
            for name in differences:
                case, _, method = name.partition(".")
                adopted = globals()[f"{case}With{kind.__name__}"]
                self.assertTrue(hasattr(adopted, method), name)

    def test_none_is_lost(self) -> None:
        """
        Every test of a case of Klein's is one of ours, under its own name.
        """
        for module in MODULES:
            for case in cases_of(import_module(f"klein.test.{module}")):
                if f"{module}.{case.__name__}" in NOT_OURS:
                    continue
                for kind in Klein, Routes:
                    adopted = globals()[f"{case.__name__}With{kind.__name__}"]
                    for method in dir(case):
                        if method.startswith("test"):
                            self.assertTrue(callable(getattr(adopted, method)))

    def test_nothing_stays(self) -> None:
        """
        Who imports Klein besides gets Klein, and its own resource.
        """
        app = import_module("klein").Klein()
        self.assertIs(type(app), Klein)
        self.assertIs(type(app.resource()), KleinResource)

    def test_what_no_longer_differs(self) -> None:
        """
        A case fails that is listed and passes.
        """
        case = _different(lambda _: None, "it did")
        error = self.assertRaises(self.failureException, case, self)
        self.assertIn("it did", str(error))

    def test_what_differs(self) -> None:
        """
        One that is listed and fails is skipped; another error is one.
        """
        case = _different(lambda test: test.assertEqual(1, 2), "one is not two")
        error = self.assertRaises(SkipTest, case, self)
        self.assertIn("one is not two", str(error))
        case = _different(lambda _: int("one"), "one is no number")
        self.assertRaises(ValueError, case, self)


class Oops(Exception):
    """
    What goes wrong in the handlers below.
    """


class Full(RopewalkError):
    """
    What is told the client.
    """

    status = 409

    def __str__(self) -> str:
        return "full"


class Failing(Resource):
    """
    A resource that cannot be rendered.
    """

    isLeaf = True

    def render(self, request: Any) -> bytes:
        raise Oops("rendered")


class Tree(Resource):
    """
    A resource that is all of its children.
    """

    def getChild(self, name: bytes, request: Any) -> Resource:
        return self

    def render(self, request: Any) -> bytes:
        link = IKleinRequest(request).url_for("item", {"number": 3})
        return b"%s at %s" % (link.encode(), b"/".join(request.prepath))


def idioms(kind: type[Klein]) -> Klein:
    """
    An application with what people do with Klein.
    """
    app, below = kind(), kind()

    @app.route("/")
    def root(request: Any) -> str:
        return "root"

    @app.route("/item/<int:number>", methods=["GET"])
    def item(request: Any, number: int) -> str:
        view = IKleinRequest(request)
        return ", ".join(
            view.url_for("item", {"number": number + 1}, force_external=far)
            for far in (False, True)
        )

    @app.route("/item/<int:number>", methods=["POST"])
    async def change(request: Any, number: int) -> bytes:
        return b"changed %d" % (await succeed(number))

    @app.route("/slash/")
    def slash(request: Any) -> str:
        return "slash"

    @app.route("/both/", strict_slashes=False)
    def both(request: Any) -> str:
        return "both"

    @app.route("/rest", branch=True)
    def rest(request: Any) -> str:
        return f"{IKleinRequest(request).branch_segments} {request.postpath}"

    @app.route("/tree/", branch=True)
    def tree(request: Any) -> Resource:
        return Tree()

    with app.subroute("/deep/<name>"):

        @app.route("/er")
        def deeper(request: Any, name: str) -> str:
            return f"{name} {request.prepath}"

    @app.route("/below", branch=True)
    def go_below(request: Any) -> KleinResource:
        return below.resource()

    @below.route("/slash/")
    def slash_below(request: Any) -> str:
        return IKleinRequest(request).url_for("slash_below")

    @app.route("/text")
    def text(request: Any) -> str:
        return "\u2603"

    @app.route("/nothing")
    def nothing(request: Any) -> None:
        return None

    @app.route("/response")
    def response(request: Any) -> Any:
        return KleinResponse(201, {"x-made": "yes"}, Element(TagLoader(tags.p("made"))))

    @app.route("/written")
    def written(request: Any) -> None:
        request.write(b"all ")
        request.write(b"of it")
        request.finish()

    @app.route("/half")
    def half(request: Any) -> bytes:
        request.write(b"half and ")
        return b"half"

    @app.route("/raises")
    def raises(request: Any) -> None:
        raise Oops("raised")

    @app.route("/fails")
    def fails(request: Any) -> Deferred[Any]:
        return fail(Oops("failed"))

    @app.route("/failure")
    def failure(request: Any) -> Any:
        return Failure(Oops("returned"))

    @app.route("/rendered")
    def rendered(request: Any) -> Resource:
        return Failing()

    @app.route("/accident")
    def accident(request: Any) -> None:
        raise ZeroDivisionError

    @app.route("/moved")
    def moved(request: Any) -> None:
        raise RequestRedirect("https://elsewhere.example/x?y=1")

    @app.route("/near")
    def near(request: Any) -> None:
        raise RequestRedirect("/item/1?y=1")

    @app.route("/old/<int:number>", redirect_to="item/<number>")
    def old(request: Any, number: int) -> None:
        """Never called."""

    @app.route("/alias", alias=True)
    @app.route("/real")
    def real(request: Any) -> str:
        return "real"

    @app.route("/page/", defaults={"number": 1})
    @app.route("/page/<int:number>")
    def page(request: Any, number: int) -> str:
        return f"page {number}"

    @app.handle_errors(KeyError)
    def never(request: Any, failure: Failure) -> str:
        return "never"

    @app.handle_errors(Oops)
    def first(request: Any, failure: Failure) -> Any:
        if str(failure.value) == "failed":
            return failure  # to the next one
        request.setResponseCode(418)
        return f"first: {failure.value}"

    @app.handle_errors(Oops, ZeroDivisionError)
    async def second(request: Any, failure: Failure) -> str:
        failure.trap(Oops)
        request.setResponseCode(418)
        return f"second: {failure.value}"

    return app


#: What is asked, and the status, the body and the location of what is answered; no
#: body where Klein's and ours differ.
ANSWERS: dict[str, tuple[int, str | None, str | None]] = {
    "/": (200, "root", None),
    "/item/7": (200, "/item/8, http://example.org:8080/item/8", None),
    "/item/%37": (200, "/item/8, http://example.org:8080/item/8", None),
    "/item/x": (404, None, None),
    "POST /item/7": (200, "changed 7", None),
    "HEAD /item/7": (200, "", None),
    "PUT /item/7": (405, None, None),
    "/slash": (308, None, "/slash/"),
    "/slash/": (200, "slash", None),
    "/both": (200, "both", None),
    "/both/": (200, "both", None),
    "/rest": (200, "[''] []", None),
    "/rest/a/b": (200, "['a', 'b'] [b'a', b'b']", None),
    "/rest/a%2Fb": (200, "['a', 'b'] [b'a/b']", None),
    "/tree/a/b": (200, "/item/3 at tree/a/b", None),
    "/deep/ann/er": (200, "ann [b'deep', b'ann', b'er']", None),
    "/below/slash": (308, None, "/below/slash/"),
    "/below/slash/": (200, "/below/slash/", None),
    "/below/nothing": (404, None, None),
    "/text": (200, "\u2603", None),
    "/nothing": (200, "", None),
    "/response": (201, "<!DOCTYPE html>\n<p>made</p>", None),
    "/written": (200, "all of it", None),
    "/half": (200, "half and half", None),
    "/raises": (418, "first: raised", None),
    "/fails": (418, "second: failed", None),
    "/failure": (418, "first: returned", None),
    "/rendered": (418, "first: rendered", None),
    "/accident": (500, None, None),
    "/moved": (308, None, "https://elsewhere.example/x?y=1"),
    "/near": (308, None, "/item/1?y=1"),
    "/old/3": (308, None, "/item/3"),
    "/alias": (308, None, "/real"),
    "/real": (200, "real", None),
    "/page/1": (308, None, "/page/"),
    "/page/2": (200, "page 2", None),
    "/page/": (200, "page 1", None),
    "/nobody": (404, None, None),
}


@frozen
class Elsewhere:
    """
    A site that is not ours.
    """

    resource: Resource

    def ask(self, path: str = "/", method: str = "GET") -> Answer:
        """As that of a L{Visit}."""
        wire = Wire()
        site = server.Site(self.resource, reactor=Clock())
        channel = site.buildProtocol(IPv4Address("TCP", "10.9.8.7", 5555))
        channel.makeConnection(wire)
        channel.dataReceived(request(path, method))
        (answer,) = parse(wire.value(), bool(wire.disconnecting), [method])
        return answer


def ours(app: Any, path: str = "/") -> Visit:
    """
    A visit to a site of ours that serves something.
    """
    place = Place.of()
    place.mount(path, app)
    return place.visit()


class IdiomTests(SynchronousTestCase):
    """
    What people do with Klein is answered as Klein does.
    """

    def check(self, ask: Callable[[str, str], Answer]) -> None:
        for asked, (status, body, location) in ANSWERS.items():
            method, _, path = asked.rpartition(" ")
            answer = ask(path, method or "GET")
            self.assertEqual(answer.status, status, asked)
            if body is not None:
                self.assertEqual(answer.text, body, asked)
            led = answer.headers.get("location")
            near = led and led.removeprefix("http://example.org:8080")
            self.assertEqual(near, location, asked)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_by_klein(self) -> None:
        """
        Klein itself answers so, on Twisted's site.
        """
        self.check(Elsewhere(KleinResource(idioms(Klein))).ask)

    def test_klein(self) -> None:
        """
        A plain C{klein.Klein} on our site.
        """
        self.check(ours(idioms(Klein)).ask)

    def test_routes(self) -> None:
        """
        L{Routes} in its place.
        """
        self.check(ours(idioms(Routes)).ask)

    def test_elsewhere(self) -> None:
        """
        Our resource on Twisted's site, with either.
        """
        for kind in Klein, Routes:
            self.check(Elsewhere(AppResource(idioms(kind))).ask)

    def test_resources(self) -> None:
        """
        What C{resource()} makes of either, on our site.
        """
        for kind in Klein, Routes:
            self.check(ours(idioms(kind).resource()).ask)


class RedirectTests(SynchronousTestCase):
    """
    Where Klein redirects, so do we.
    """

    def test_below_a_path(self) -> None:
        """
        Redirects lead to below the path of the mount, and what was asked for goes
        along.
        """
        for kind in Klein, Routes:
            visit = ours(idioms(kind), "/at")
            for asked, location in {
                "/at/slash?a=1": "/at/slash/?a=1",
                "/at/old/3": "/at/item/3",
                "/at/alias?a=1": "/at/real?a=1",
                "/at/page/1?a=1": "/at/page/?a=1",
                "/at/below/slash": "/at/below/slash/",
                "/at/near": "/item/1?y=1",
            }.items():
                self.assertEqual(visit.ask(asked).headers["location"], location)

    def test_handlers(self) -> None:
        """
        A redirect is an error to an error handler that is for it, as with Klein.
        """
        for kind in Klein, Routes:
            app = idioms(kind)

            @app.handle_errors(HTTPException)
            def handle(request: Any, failure: Failure) -> str:
                error: Any = failure.value
                return f"to {error.new_url}"

            for at, site in (
                ("/at", ours(app, "/at")),
                ("", Elsewhere(AppResource(app))),
            ):
                self.assertEqual(site.ask(f"{at}/slash").text, f"to {at}/slash/")
                self.assertEqual(site.ask(f"{at}/alias").text, f"to {at}/real")


class EndTests(SynchronousTestCase):
    """
    A request that has ended is not answered, and nothing is lost.
    """

    def setUp(self) -> None:
        self.asked: list[Failure] = []
        self.later: Deferred[bytes] = Deferred()

    def app(self, kind: type[Klein]) -> Klein:
        app = kind()

        @app.route("/answers")
        def answers(request: Any) -> bytes:
            request.finish()
            return b"late"

        @app.route("/answers-later")
        async def answers_later(request: Any) -> bytes:
            request.finish()
            return b"late"

        @app.route("/raises")
        def raises(request: Any) -> None:
            request.finish()
            raise Oops("late")

        @app.route("/waits")
        def waits(request: Any) -> Deferred[bytes]:
            return self.later

        @app.route("/listens")
        def listens(request: Any) -> Deferred[bytes]:
            request.notifyFinish().addErrback(lambda _: self.later.cancel())
            return self.later

        @app.handle_errors
        def handle(request: Any, failure: Failure) -> str:
            self.asked.append(failure)
            return "handled"

        return app

    def test_late(self) -> None:
        """
        What a handler answers or raises after the end is logged. Error handlers are
        not asked.
        """
        for kind in Klein, Routes:
            app = self.app(kind)
            for ask in ours(app).ask, Elsewhere(AppResource(app)).ask:
                for path, error in {
                    "/answers": RuntimeError,
                    "/answers-later": RuntimeError,
                    "/raises": Oops,
                }.items():
                    answer = ask(path)
                    self.assertEqual((answer.status, answer.body), (200, b""))
                    self.assertEqual(len(self.flushLoggedErrors(error)), 1)
        self.assertEqual(self.asked, [])

    def test_a_client_that_leaves(self) -> None:
        """
        A handler is cancelled when its client leaves, whoever does so. That is no
        error, and no error handler is asked.
        """
        for kind in Klein, Routes:
            for path in "/waits", "/listens":
                self.later = Deferred()
                visit = ours(self.app(kind))
                visit.send(request(path))
                visit.leave()
                self.assertEqual(self.successResultOf(self.later), None)
        self.assertEqual(self.asked, [])

    def test_a_client_that_leaves_by_klein(self) -> None:
        """
        So it is with our resource on Twisted's site.
        """
        wire = Wire()
        app = AppResource(self.app(Klein))
        channel = server.Site(app, reactor=Clock()).buildProtocol(wire.peerAddr)
        channel.makeConnection(wire)
        channel.dataReceived(request("/waits"))
        channel.connectionLost(Failure(CancelledError()))
        self.assertEqual(self.successResultOf(self.later), None)
        self.assertEqual(self.asked, [])


class ElsewhereTests(SynchronousTestCase):
    """
    On a site that is not ours, an application answers by itself.
    """

    def test_errors(self) -> None:
        """
        An error that knows its status is answered with it; to Twisted it would be an
        accident.
        """
        routes = Routes()

        @routes.get("/full")
        def full(request: Any) -> None:
            raise Full

        @routes.get("/typed")
        def typed(count: int) -> dict[str, int]:
            return {"count": count}

        ask = Elsewhere(routes.resource()).ask
        answer = ask("/full")
        self.assertEqual((answer.status, answer.json["detail"]), (409, "full"))
        answer = ask("/typed?count=x")
        self.assertEqual(
            (answer.status, answer.json["errors"][0]["in"]), (400, "query")
        )
        self.assertEqual(ask("/typed?count=3").json, {"count": 3})

    def test_streams(self) -> None:
        """
        A stream is sent by the clock of the site.
        """
        routes = Routes()

        @routes.stream("/")
        def numbers() -> Iterator[str]:
            yield from ("one, ", "two")

        answer = Elsewhere(routes.resource()).ask()
        self.assertEqual((answer.status, answer.text), (200, "one, two"))

    def test_no_text(self) -> None:
        """
        A path of which no text can come is answered, and logged, as Klein does.
        """
        for resource in KleinResource, AppResource:
            answer = Elsewhere(resource(idioms(Klein))).ask("/%ff")
            self.assertEqual(answer.status, 400)
            self.assertEqual(answer.text, "Non-UTF-8 encoding in URL.")
            self.assertEqual(len(self.flushLoggedErrors(UnicodeDecodeError)), 1)

    def test_no_text_in_a_tree(self) -> None:
        """
        On our site, in a tree of resources, it is the client's mistake, and not
        logged.
        """
        tree = Resource()
        tree.putChild(b"app", AppResource(idioms(Klein)))
        answer = ours(tree, "/tree").ask("/tree/app/%ff")
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.json["detail"], "the address is not text in UTF-8")

    def test_klein_in_a_tree(self) -> None:
        """
        Klein's own resource, which we do not take for ours in a tree, makes its links
        on our site.
        """
        tree = Resource()
        tree.putChild(b"app", KleinResource(idioms(Klein)))
        visit = ours(tree, "/tree")
        link = "/tree/app/item/2"
        answer = visit.ask("/tree/app/item/1")
        self.assertEqual(answer.text, f"{link}, http://example.org:8080{link}")

    def test_a_unix_socket(self) -> None:
        """
        There is no port in the links of a request that came by a UNIX socket.
        """
        visit = ours(idioms(Klein))
        visit.wire.hostAddr = UNIXAddress(b"/run/web")
        self.assertEqual(
            visit.ask("/item/1").text, "/item/2, http://example.org/item/2"
        )

    def test_forgotten(self) -> None:
        """
        An application that was served by itself is forgotten with the last who knows
        it: people make one for each request.
        """

        class Pages:
            routes = Routes()

            @routes.get("/")
            def root(self, request: Any) -> bytes:
                return b"root"

        pages = Pages()
        app = pages.routes
        self.assertEqual(Elsewhere(AppResource(app)).ask().body, b"root")
        known = ref(pages), ref(app)
        del pages, app
        gc.collect()
        self.assertEqual([each() for each in known], [None, None])
