"""
Tests for L{ropewalk.run.sites} and L{ropewalk.web.claims}.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

from attrs import frozen
from autobahn.twisted.websocket import WebSocketServerProtocol
from klein import Klein
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import http
from twisted.web._http2 import H2Connection
from twisted.web.resource import Resource
from twisted.web.static import Data

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadSettings, StartFailed
from ropewalk.interfaces import IWeb, Steps
from ropewalk.plugin import Found, ServiceModule, ServicePlugin
from ropewalk.run.configuration import make_plan
from ropewalk.run.host import Host
from ropewalk.run.statuses import Status
from ropewalk.settings import parse
from ropewalk.testing import MemoryHost, TestCase
from ropewalk.testing import host as testing_host
from ropewalk.testing.clients import Response
from ropewalk.web import BadLink, Request, Routes, expose
from ropewalk.web.mounts import Mount
from tests.test_site import Browser
from tests.visiting import Place, blocks

Pages = Callable[[IWeb], object]

INTERNAL = '[web.sites.internal]\nlisten = ["tcp:9090:interface=127.0.0.1"]\n'

BOTH = f"[web]\n{INTERNAL}"


class Puts(ServicePlugin, frozen=True, eq=False):
    """
    A service that puts something on the web.

    :ivar pages: Does so.
    """

    pages: Any = None

    def load(self) -> ServiceModule:
        module: Any = ModuleType(self.module, f"The service {self.name}.")
        module.makeService = self.make
        return ServiceModule(self, module, ())

    def make(self, _: object, host: Any) -> Service:
        self.pages(host.web)
        return Service()


def services(*pages: Pages) -> tuple[Puts, ...]:
    """Services called a, b, c …"""
    return tuple(
        Puts(name, name, place="x.py:1", pages=each)
        for name, each in zip("abcd", pages, strict=False)
    )


def made(*pages: Pages, settings: str = "") -> Host:
    """A host of services that are made, and not started."""
    plugins = services(*pages)
    text = "".join(f"[{each.name}]\n" for each in plugins) + settings
    plan = make_plan(parse(text, "f"), Found(plugins))
    host = Host(plan, MemoryReactorClock(), lambda: 0.0)
    host.make()
    return host


def says(
    text: str, path: str = "/", *methods: str, kind: Any = Klein, **how: Any
) -> Any:
    """An application that says something at a path."""
    app = kind()

    def say(request: Request, **args: str) -> str:
        return " ".join([text, *(str(each) for each in args.values())])

    def say_plainly(request: Request) -> str:
        return text

    handler = say if kind is Klein else say_plainly
    app.route(path, methods=list(methods) or ["GET"], **how)(handler)
    return app


def mounts(path: str, app: Any, site: str = "", **how: Any) -> Pages:
    """Puts an application there."""
    return lambda web: web.site(site).mount(path, app, **how)


def together(*pages: Pages) -> Pages:
    """What one service puts there."""

    def puts(web: IWeb) -> None:
        for each in pages:
            each(web)

    return puts


def line_of(text: str) -> int:
    """The only line of this module that ends so."""
    source, _ = inspect.getsourcelines(inspect.getmodule(line_of) or Any)
    (number,) = (n for n, line in enumerate(source, 1) if line.rstrip().endswith(text))
    return number


class SiteTestCase(TestCase):
    """
    A daemon of services, each of which puts something on the web.
    """

    @inlineCallbacks
    def run_all(self, *pages: Pages, settings: str = "") -> Steps[MemoryHost]:
        host: MemoryHost = yield self.start(*services(*pages), settings=settings)
        return host

    @inlineCallbacks
    def say(self, host: MemoryHost, path: str = "/", where: str = "web") -> Steps[str]:
        """What is said at a path: its text, or the status if that is not 200."""
        answer: Response = yield host.http(where).get(path)
        return answer.text if answer.status == 200 else str(answer.status)

    @inlineCallbacks
    def ask(self, host: MemoryHost, name: str, path: str = "/") -> Steps[str]:
        """What is said by the host of a name, byte for byte."""
        lines = host.lines("tcp:8080")
        asked = f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
        yield lines.send(asked.encode())
        yield lines.closed
        came: list[str] = yield lines.received()
        return came[-1] if " 200 " in came[0] else came[0].split()[1]


class SitesTests(SiteTestCase):
    """
    Several sites in one daemon.
    """

    @inlineCallbacks
    def test_apart(self) -> Steps[None]:
        """
        A service puts some pages on one site, others on another; what is on one is
        not on the other.
        """

        def pages(web: IWeb) -> None:
            web.mount("/shop", says("shop"))
            web.site("internal").mount("/admin", says("admin"))

        host = yield self.run_all(pages, settings=INTERNAL)
        for path, where, said in (
            ("/shop", "web", "shop"),
            ("/admin", "web", "404"),
            ("/shop", "web.internal", "404"),
            ("/admin", "web.internal", "admin"),
        ):
            self.assertEqual((yield self.say(host, path, where)), said)

    @inlineCallbacks
    def test_default(self) -> Steps[None]:
        """
        The default site can be asked for by no name, from any other.
        """

        def pages(web: IWeb) -> None:
            web.site("internal").site("").mount("/", says("default"))

        host = yield self.run_all(pages, settings=INTERNAL)
        self.assertEqual((yield self.say(host)), "default")

    @inlineCallbacks
    def test_nothing_on_it(self) -> Steps[None]:
        """
        A site that the file asks for is there, whatever is on it: with a page of what
        is, and health. The default one is not there when the file has but the others.
        """
        host = yield self.start(settings=INTERNAL)
        page = yield host.http().get("/", headers={"Accept": "text/html"})
        self.assertIn("<h1>Ropewalk: internal</h1>", page.text)
        ready = yield host.http("web.internal").get("/health/ready")
        self.assertTrue(ready.json()["ready"])
        with self.assertRaises(LookupError):
            host.http("web")

    @inlineCallbacks
    def test_home(self) -> Steps[None]:
        """
        The page of what is there has what is on this site; for another host it has
        the name, too.
        """

        def pages(web: IWeb) -> None:
            web.mount("/shop", says("shop"))
            web.mount("/api", says("api"), host="api.example.org")
            web.site("internal").mount("/admin", says("admin"))

        host = yield self.run_all(pages, settings=INTERNAL)
        found = []
        for where in "web", "web.internal":
            entries = (yield host.http(where).get("/")).json()
            found.append([each["where"] for each in entries if each["kind"] == "Pages"])
        self.assertEqual(found, [["api.example.org/api", "/shop"], ["/admin"]])

    @inlineCallbacks
    def test_around(self) -> Steps[None]:
        """
        Middleware, components and signals are a site's own.
        """
        told: list[str] = []

        def mark(name: str) -> Any:
            def middleware(request: Request) -> Any:
                response = yield
                response.headers["X-Mark"] = f"mark {name}".strip()

            return middleware

        def whose(name: str) -> Routes:
            routes = Routes()

            @routes.get("/")
            def own(text: Own) -> str:
                return text.name

            return routes

        def pages(web: IWeb) -> None:
            for name in "", "internal":
                site = web.site(name)
                site.use(mark(name))
                site.provide(Own, Own(f"own {name}"))
                site.when("finished", lambda _, name=name: told.append(name))
                site.mount("/x", whose(name))

        host = yield self.run_all(pages, settings=INTERNAL)
        for name, where in ("", "web"), ("internal", "web.internal"):
            answer = yield host.http(where).get("/x")
            self.assertEqual(answer.text, f"own {name}")
            self.assertEqual(answer.headers["x-mark"], f"mark {name}".strip())
        self.assertEqual(told, ["", "internal"])

    @inlineCallbacks
    def test_settings(self) -> Steps[None]:
        """
        Each site goes by its own settings.
        """
        settings = f'{BOTH}longest_body = 2\nrequest_id = "x-id"\n'
        host = yield self.run_all(
            together(
                mounts("/", says("", "/", "POST")),
                mounts("/", says("", "/", "POST"), "internal"),
            ),
            settings=settings,
        )
        statuses = []
        for where, name in ("web", "x-request-id"), ("web.internal", "x-id"):
            answer = yield host.http(where).request("POST", "/", data=b"123")
            statuses.append(answer.status)
            self.assertIn(name, answer.headers)
        self.assertEqual(statuses, [200, 413])

    @inlineCallbacks
    def test_names(self) -> Steps[None]:
        """
        No two requests of a daemon have the same name in its log.
        """
        host = yield self.run_all(settings=BOTH)
        ids = []
        for where in ("web", "web.internal", "web"):
            answer = yield host.http(where).get("/")
            ids.append(answer.headers["x-request-id"])
        self.assertEqual([each.partition("-")[2] for each in ids], ["r1", "r2", "r3"])
        self.assertEqual(len({each.partition("-")[0] for each in ids}), 1)

    @inlineCallbacks
    def test_sockets(self) -> Steps[None]:
        """
        WebSockets are served on every site, by a protocol or by a route.
        """

        class Echo(WebSocketServerProtocol):
            def onMessage(self, payload: bytes, isBinary: bool) -> None:
                self.sendMessage(payload, isBinary)

        routes = Routes()
        routes.socket("/route")(lambda request: Echo())

        def pages(web: IWeb) -> None:
            for name in "", "internal":
                web.site(name).socket("/protocol", Echo)
                web.site(name).mount("/", routes)

        host = yield self.run_all(pages, settings=INTERNAL)
        for where in "web", "web.internal":
            for path in "/protocol", "/route":
                socket = host.socket(path, where)
                yield socket.send("hello")
                self.assertEqual((yield socket.receive()), "hello")
                yield socket.close()

    @inlineCallbacks
    def test_log(self) -> Steps[None]:
        """
        What no service owns is in the log as the site's.
        """
        batches: list[Any] = []
        self.patch(testing_host, "log_access", batches.extend)
        host = yield self.run_all(
            lambda web: web.site("internal").mount("/x", says("", "/y/")),
            settings=INTERNAL,
        )
        for path in "/x/y/", "/x/y", "/nobody", "/health/live":
            yield host.http("web.internal").get(path)
        yield self.clock.settle()
        owners = [(each.work.plugin, each.status) for each in batches]
        nobodys = [("web.internal", 404), ("web.internal", 200)]
        self.assertEqual(owners, [("a", 200), ("a", 308), *nobodys])

    @inlineCallbacks
    def test_goodbye(self) -> Steps[None]:
        """
        Who is being answered on any site is answered before the daemon stops.
        """
        waiting: list[Deferred[str]] = []
        app = Klein()

        @app.route("/")
        def slow(request: Request) -> Deferred[str]:
            waiting.append(Deferred())
            return waiting[-1]

        host = yield self.run_all(
            together(mounts("/", app), mounts("/", app, "internal")),
            settings=INTERNAL,
        )
        asking = [host.http(where) for where in ("web", "web.internal")]
        for each in asking:
            yield each.send("GET", "/")
        stopping = host.stop()
        for each in waiting:
            each.callback("at last")
        for each in asking:
            answer = yield each.receive()
            self.assertEqual(answer.text, "at last")
        self.assertIs((yield stopping), Status.STOPPED)

    @inlineCallbacks
    def test_development(self) -> Steps[None]:
        """
        Errors are explained on each site, and each has its own debugger.
        """
        app = Klein()
        app.route("/")(lambda request: str(1 / 0))
        host = yield self.run_all(
            together(mounts("/", app), mounts("/", app, "internal")),
            settings="[host]\ndevelopment = true\n[web]\n"
            f"debugger = true\n{INTERNAL}debugger = true\n",
        )
        for where in "web", "web.internal":
            answer = yield host.http(where).get("/", headers={"Accept": "text/html"})
            self.assertEqual(answer.status, 500)
            self.assertIn("ZeroDivisionError", answer.text)
            self.assertIn("/-/debugger", answer.text)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    @inlineCallbacks
    def test_environment(self) -> Steps[None]:
        """
        A site may come from the environment, which has no hyphens.
        """
        host = yield self.start(
            *services(lambda web: web.site("for-us").mount("/", says("us"))),
            environ={"ROPEWALK_WEB__SITES__FOR_US__LISTEN": "tcp:9090"},
        )
        self.assertEqual((yield self.say(host, "/", "tcp:9090")), "us")

    @inlineCallbacks
    def test_reload(self) -> Steps[None]:
        """
        What a site can change while it runs, each changes by its own table; all else
        needs a restart, and so does a site that is new or gone.
        """
        text = f"[web]\n{INTERNAL}[web.sites.old]\nlisten = ['tcp:1']\n"
        host = yield self.run_all(
            lambda web: web.site("internal").mount("/", says("", "/", "POST")),
            settings=text,
        )
        report = yield host.reload(
            f"[web]\n{INTERNAL}longest_body = 2\nidle = 5\n"
            "[web.sites.new]\nlisten = ['tcp:2']\nlongest_body = 3\n"
        )
        said = [str(each) for each in report]
        for expected in (
            "[web] sites.internal.longest_body: 1048576 → 2: in force",
            "[web] sites.internal.idle: 60.0 → 5.0: needs a restart",
            "[web] sites.old.longest_body: 1048576 → not set: needs a restart",
            "[web] sites.new.longest_body: not set → 3: needs a restart",
        ):
            self.assertIn(expected, said)
        self.assertEqual([each.applied for each in report].count(True), 1)
        answer = yield host.http("web.internal").request("POST", "/", data=b"123")
        self.assertEqual(answer.status, 413)
        self.assertEqual((yield self.say(host, "/health/live", "web.old"))[:1], "{")


@frozen
class Own:
    """What a site gives to its handlers."""

    name: str


class SettingsTests(SynchronousTestCase):
    """
    What can be said of sites in the settings.
    """

    def faults(self, text: str) -> list[str]:
        """What is wrong with them."""
        error = self.assertRaises(
            BadSettings, lambda: make_plan(parse(text, "f"), Found(()))
        )
        return [str(each) for each in error.faults]

    def refusal(self, name: str, settings: str = INTERNAL) -> str:
        """What a service is told that asks for a site."""

        def make() -> None:
            made(lambda web: web.site(name), settings=settings)

        return str(self.assertRaises(StartFailed, make))

    def test_faults(self) -> None:
        """
        The table of a site has the keys of ``[web]``; it has to say where to listen.
        What is wrong has its line and, of a key, the nearest one.
        """
        for text, expected in (
            ("[web.sites.a]\n", ["f:1: [web.sites.a] listen: required, but missing"]),
            (
                "[web.sites.a]\nlisten = ['tcp:1']\nidel = 4\n",
                ["f:3: [web.sites.a] idel: unknown key; did you mean 'idle'?"],
            ),
            (
                "[web.sites.a]\nlisten = ['tpc:1']\n",
                ["f:2: [web.sites.a] listen[0]: cannot listen at 'tpc:1': "],
            ),
            (
                "[web.sites.a]\nlisten = ['tcp:1']\ndebugger = true\n",
                ["f:3: [web.sites.a] debugger: in production there is no debugger"],
            ),
            (
                "[web.sites.A]\nlisten = ['tcp:1']\n",
                ["f:1: [web.sites.A]: as the name of a key, expected the name of a s"],
            ),
        ):
            found = self.faults(text)
            self.assertEqual(len(found), len(expected), found)
            for said, start in zip(found, expected, strict=True):
                self.assertTrue(said.startswith(start), said)

    def test_unknown(self) -> None:
        """
        A service that asks for a site that is not there is told what to write, and
        which one it may have meant.
        """
        said = self.refusal("intrenal")
        self.assertRegex(
            said, r"service 'a' did not start: service 'a' \(.*test_sites\.py:\d+\): "
        )
        self.assertIn(
            "there is no web site 'intrenal'; did you mean 'internal'? Otherwise add "
            "it to the settings: [web.sites.intrenal] with listen = [",
            said,
        )
        self.assertNotIn("did you mean", self.refusal("public", ""))

    def test_one_port(self) -> None:
        """
        Two sites at one port are both named, each with its line.
        """
        text = "[web]\nlisten = ['tcp:1']\n[web.sites.x]\nlisten = ['tcp:1']\n"
        said = str(self.assertRaises(StartFailed, lambda: made(settings=text)))
        self.assertIn("service 'web.x' did not start: TCP port 1 of every", said)
        self.assertIn("by service 'web' (f:2)\n  by service 'web.x' (f:4)", said)

    def test_deadlines(self) -> None:
        """
        Those of ``web`` are for all sites.
        """
        host = made(settings=f"{BOTH}[host.deadlines.web]\nstop = 3\n")
        self.assertEqual(
            [(each.name, each.stop_within) for each in host.units],
            [("web", 3.0), ("web.internal", 3.0)],
        )


class HostsTests(SiteTestCase):
    """
    Virtual hosts: on one site, each name has its own pages.
    """

    @inlineCallbacks
    def test_by_name(self) -> Steps[None]:
        """
        Who is asked by its name answers, however it is written; anybody else is for
        the mounts without one.
        """
        host = yield self.run_all(
            together(
                mounts("/", says("any")),
                mounts("/", says("api"), host="API.example.org"),
                mounts("/", says("six"), host="[2001:db8::1]"),
            )
        )
        for name, said in (
            ("api.example.org", "api"),
            ("api.example.org:8080", "api"),
            ("API.Example.ORG.:8080", "api"),
            ("[2001:db8::1]", "six"),
            ("[2001:DB8::1]:8080", "six"),
            ("[2001:db8::2]:8080", "any"),
            ("example.org", "any"),
            ("www.api.example.org", "any"),
            ("", "any"),
        ):
            self.assertEqual((yield self.ask(host, name)), said, name)

    @inlineCallbacks
    def test_argument(self) -> Steps[None]:
        """
        What stands in the place of a parameter is an argument of the handlers that
        ask for it, whatever they are.
        """
        routes = Routes()

        @routes.get("/")
        def own(company: str, page: int = 1) -> str:
            return f"{company} {page}"

        @routes.get("/plain")
        def nobody(request: Request) -> str:
            return "plain"

        klein = Klein()

        @klein.route("/")
        def named(request: Request, company: str) -> str:
            return f"Klein of {company}"

        @klein.route("/plain")
        def unnamed(request: Request) -> str:
            return "plain"

        host = yield self.run_all(
            together(
                mounts("/", routes, host="<company>.example.org"),
                mounts("/klein", klein, host="<company>.example.org"),
                mounts("/by", by_number(), host="<int:company>.example.net"),
            )
        )
        for name, path, said in (
            ("acme.example.org", "/?page=2", "acme 2"),
            ("Acme.example.org", "/plain", "plain"),
            ("acme.example.org", "/klein", "Klein of acme"),
            ("acme.example.org", "/klein/plain", "plain"),
            ("17.example.net", "/by", "18"),
            ("acme.example.net", "/by", "404"),
        ):
            self.assertEqual((yield self.ask(host, name, path)), said, (name, path))

    @inlineCallbacks
    def test_all_of_it(self) -> Steps[None]:
        """
        What is mounted at the root of a host has all of it: what is elsewhere is not
        there. A mount further down leaves the rest to the mounts without a host.
        """
        host = yield self.run_all(
            together(
                mounts("/", says("root", "/<path:x>")),
                mounts("/", says("all"), host="all.org"),
                mounts("/api", says("api"), host="api.org"),
            )
        )
        for name, path, said in (
            ("all.org", "/", "all"),
            ("all.org", "/x", "404"),
            ("all.org", "/health/live", "404"),
            ("api.org", "/api", "api"),
            ("api.org", "/api/x", "404"),
            ("api.org", "/x", "root x"),
            ("x.org", "/api", "root api"),
        ):
            self.assertEqual((yield self.ask(host, name, path)), said, (name, path))

    def test_streams(self) -> None:
        """
        Over HTTP/2, too, where the name is the request's authority.
        """
        place = Place.of()
        for text, name in ("any", None), ("own", "example.org"):
            app = says(text)
            mount = Mount("/", app.resource(), "a", "x.py:1", "pages", app, name)
            place.site.mounts.add(mount)
        self.patch(http, "H2Connection", lambda: H2Connection(place.clock))
        self.assertEqual(Browser(place).ask("/").body, b"own")

    @inlineCallbacks
    def test_routes(self) -> Steps[None]:
        """
        A route may be for a host, of those that are mounted for all.
        """
        routes = Routes()

        @routes.get("/", host="<who>.example.org")
        def own(who: str) -> str:
            return who

        @routes.get("/")
        def everybody() -> str:
            return "everybody"

        host = yield self.run_all(lambda web: web.mount("/", routes))
        for name, said in ("ada.example.org", "ada"), ("example.org", "everybody"):
            self.assertEqual((yield self.ask(host, name)), said)

    @inlineCallbacks
    def test_links(self) -> Steps[None]:
        """
        A link to what is on another host says which; on the same one, it does not.
        """
        api, pages = Routes(), Routes()

        @api.get("/items/<int:id>")
        def item(request: Request, id: int, tenant: str = "") -> str:
            return request.link(item, id=id + 1)

        @api.get("/of")
        def of(request: Request) -> str:
            return request.link(own)

        @pages.get("/own", host="<who>.example.org")
        def own(request: Request, who: str) -> str:
            return request.link(own)

        @pages.get("/to")
        def to(request: Request) -> str:
            return f"{request.link(item, id=1)} {request.link(own, who='ada')}"

        host = yield self.run_all(
            together(
                mounts("/", pages),
                mounts("/v1", api, host="api.example.org"),
            )
        )
        there = "http://api.example.org"
        for name, path, said in (
            (
                "x:8080",
                "/to",
                f"{there}:8080/v1/items/1 http://ada.example.org:8080/own",
            ),
            ("x", "/to", f"{there}/v1/items/1 http://ada.example.org/own"),
            ("Api.example.org:8080", "/v1/items/1", "/v1/items/2"),
            ("ada.example.org", "/own", "/own"),
        ):
            self.assertEqual((yield self.ask(host, name, path)), said, (name, path))
        self.assertEqual((yield self.ask(host, "api.example.org", "/v1/of")), "500")
        self.assertEqual(len(self.flushLoggedErrors(BadLink)), 1)

    def test_no_host(self) -> None:
        """
        What can be no host is refused where it is mounted, or where the route is.
        """
        for name in "http://x.org", "x.org:80", "x..org", "x.org/y", "<x:y>.org":

            def make(name: str = name) -> None:
                made(mounts("/", Klein(), host=name))

            said = str(self.assertRaises(StartFailed, make))
            self.assertRegex(
                said, r"\(.*test_sites.py:\d+\): cannot mount at '/': the "
            )
            with self.assertRaises(Exception) as caught:
                Routes().get("/", host=name)
            self.assertIn("the rule ", str(caught.exception))

    def test_one_name_twice(self) -> None:
        """
        A parameter of the host may not be called as one of the path: the handler is
        named.
        """

        def make() -> None:
            made(mounts("/<id>", by_number(), host="<id>.example.org"))

        said = str(self.assertRaises(StartFailed, make))
        self.assertIn("has a slot called 'id', too", said)

        routes = Routes()

        @routes.get("/<id>", host="<id>.example.org")
        def twice(id: str) -> None: ...

        said = str(self.assertRaises(StartFailed, lambda: made(mounts("/", routes))))
        self.assertIn("service 'a' did not start: ", said)
        self.assertRegex(said, r"twice \(.*test_sites\.py:\d+\): the rule '/<id>'")


def by_number() -> Routes:
    """Routes of a host with a number."""
    routes = Routes()

    @routes.get("/")
    def number(company: int) -> str:
        return str(company + 1)

    return routes


class ConflictTests(SynchronousTestCase):
    """
    Two who claim the same stop the start.
    """

    def refusal(self, *pages: Pages, settings: str = "") -> str:
        """Why a host cannot be made, without directories."""
        error = self.assertRaises(StartFailed, lambda: made(*pages, settings=settings))
        return re.sub(r"\(/[^)]*/", "(", str(error))

    def test_handlers(self) -> None:
        """
        Both services are named, and both handlers, by file and line; who came later
        is who did not start.
        """
        one, two = Klein(), Routes()

        @one.route("/x", methods=["GET", "POST"])  # the first
        def first(request: Request) -> None: ...

        @two.get("/x")  # the second
        def second() -> None: ...

        self.assertEqual(
            self.refusal(mounts("/", one), mounts("/", two)),
            "service 'b' did not start: the route 'GET /x' is claimed twice:\n"
            f"  by service 'a' (test_sites.py:{line_of('# the first')})\n"
            f"  by service 'b' (test_sites.py:{line_of('# the second')})",
        )

    def test_whatever(self) -> None:
        """
        Nobody is served by chance: no matter what the parameters are called, what
        claims them, and where it is mounted.
        """
        socket, stream = Routes(), Routes()
        socket.socket("/x")(lambda request: WebSocketServerProtocol())
        stream.stream("/x")(lambda request: iter("x"))
        below = Routes()
        below.mount("/data", Data(b"", "text/plain"))
        for one, other, claimed in (
            (says("", "/<int:a>"), says("", "/<int:b>"), "the route 'GET /<int:a>'"),
            (says("", "/<x>"), says("", "/<string:y>"), "the route 'GET /<x>'"),
            (says("", "/x", "GET", "PUT"), socket, "the route 'GET /x'"),
            (stream, socket, "the route 'GET /x'"),
            (
                says("", "/x", "PUT", "GET"),
                says("", "/x", "GET", "PUT"),
                "'GET, PUT /x",
            ),
            (below, below, "the path '/data'"),
        ):
            said = self.refusal(mounts("/", one), mounts("/", other))
            self.assertIn(f"{claimed.rstrip()}", said)
        for pages in (
            (mounts("/a", says("", "/b/c")), mounts("/a/b", says("", "/c"))),
            (mounts("/a/b", says("", "/c")), lambda web: web.socket("/a/b/c", object)),
        ):
            self.assertIn("/a/b/c' is claimed twice", self.refusal(*pages))
        data = Data(b"", "text/plain")
        said = self.refusal(mounts("/", below), mounts("/data", data))
        self.assertIn("the path '/data' is claimed twice", said)

    def test_no_conflict(self) -> None:
        """
        Other methods, other hosts, other sites, and paths that something can tell
        apart are nobody's business.
        """
        made(
            mounts("/", says("", "/<int:a>", "GET")),
            mounts("/", says("", "/<float:a>", "GET")),
            mounts("/", says("", "/<int:a>", "PUT")),
            together(
                mounts("/", says("", "/<int:a>"), host="x.org"),
                mounts("/", says("", "/<int:a>"), host="<x>.org"),
                mounts("/", says("", "/<int:a>"), "internal"),
            ),
            settings=INTERNAL,
        )

    def test_hosts(self) -> None:
        """
        The same host is the same however it is written, and is told.
        """
        said = self.refusal(
            mounts("/", says("", "/x"), host="<a>.Example.org"),
            mounts("/", says("", "/x"), host="<b>.example.org"),
        )
        self.assertIn("the route 'GET <a>.Example.org/x' is claimed twice", said)
        data = Data(b"", "text/plain")
        said = self.refusal(
            mounts("/", data, host="X.org"), mounts("/", data, host="x.org")
        )
        self.assertIn("the path '/' is claimed twice", said)

    def test_one_klein(self) -> None:
        """
        Within one ``klein.Klein`` the first is found, as it is by Klein.
        """
        app = Klein()
        for text in "first", "second":
            app.route("/", endpoint=text)(lambda request, text=text: text)
        for override in False, True:
            made(mounts("/", app, override=override))

    def test_one_routes(self) -> None:
        """
        Routes may not claim the same twice, nor may two applications of one service.
        """
        routes = Routes()

        @routes.get("/x")
        def first() -> None: ...

        @routes.route("/x", methods=["GET", "PUT"])
        def second() -> None: ...

        said = self.refusal(mounts("/", routes))
        self.assertRegex(
            said,
            r"service 'a' did not start: the route 'GET /x' is claimed twice:\n"
            r"  by service 'a' \(test_sites\.py:\d+\)\n"
            r"  by service 'a' \(test_sites\.py:\d+\)",
        )
        for app in says("", "/y"), says("", "/y", kind=Routes):
            said = self.refusal(
                together(
                    mounts("/", app),
                    mounts("/", says("", "/y")),
                )
            )
            self.assertIn("the route 'GET /y' is claimed twice", said)

    def test_said_twice(self) -> None:
        """
        One handler may be said to answer twice.
        """
        routes = Routes()

        @routes.get("/x")
        @routes.route("/x")
        def both() -> None: ...

        made(mounts("/", routes))

    def test_bad_handler(self) -> None:
        """
        A handler that cannot be called is its service's.
        """
        routes = Routes()

        @routes.get("/x")
        def needs(what: Service) -> None: ...

        for pages in (
            mounts("/", routes),
            lambda web: web.site("internal").mount("/", routes),
        ):
            said = self.refusal(mounts("/a", Klein()), pages, settings=INTERNAL)
            self.assertIn("service 'b' did not start: ", said)
            self.assertRegex(said, r"needs \(test_sites\.py:\d+\)")

    def test_health(self) -> None:
        """
        The daemon's own pages give way to those of a service.
        """
        host = made(mounts("/", says("own", "/health/live")))
        owners = {
            entry.target.path: entry.target.plugin
            for entry in host.mounts.table.entries
            if entry.target.kind == "route"
        }
        self.assertEqual(owners, {"/health/live": "a", "/health/ready": "web"})


class OverrideTests(SiteTestCase):
    """
    C{override=True} settles who has what two claim.
    """

    @inlineCallbacks
    def test_methods(self) -> Steps[None]:
        """
        Who says so answers, whoever comes first; for other methods the other one is
        still there.
        """
        old = says("old", "/x", "GET", "PUT")
        every = Klein()
        every.route("/x")(lambda request: "old")
        pages = (
            mounts("/", says("new", "/x"), override=True),
            mounts("/", says("new", "/x", kind=Routes, override=True)),
            mounts("/", says("new", "/x", kind=Routes), override=True),
        )
        for other in old, every:
            for new in pages:
                for both in (mounts("/", other), new), (new, mounts("/", other)):
                    host = yield self.run_all(*both)
                    http = host.http()
                    said = []
                    for method in "GET", "HEAD", "PUT":
                        answer = yield http.request(method, "/x")
                        self.assertEqual(answer.status, 200)
                        said.append(answer.text)
                    self.assertEqual(said, ["new", "", "old"])
                    yield host.stop()

    @inlineCallbacks
    def test_all(self) -> Steps[None]:
        """
        Who answers every method leaves nothing, and is all that is listed.
        """
        every = Klein()
        every.route("/x")(lambda request: "new")
        host = yield self.run_all(
            mounts("/", says("old", "/x", "GET", "PUT")),
            mounts("/", every, override=True),
        )
        answer = yield host.http().request("PUT", "/x")
        self.assertEqual(answer.text, "new")
        there = [
            entry.target.plugin
            for entry in host._host.mounts.table.entries
            if entry.target.path == "/x"
        ]
        self.assertEqual(there, ["b"])

    @inlineCallbacks
    def test_resources(self) -> Steps[None]:
        """
        A resource that says so has all that is at its path and below; what is mounted
        further down stays.
        """
        data = Data(b"new", "text/plain")
        data.isLeaf = True
        host = yield self.run_all(
            together(
                mounts("/", says("old", "/x/y")),
                mounts("/x", says("old", "/z")),
                mounts("/x/deep", says("deep")),
                mounts("/data", Resource()),
            ),
            mounts("/x", data, override=True),
            mounts("/data", data, override=True),
        )
        for path, said in (
            ("/x", "new"),
            ("/x/y", "new"),
            ("/x/z", "new"),
            ("/x/deep", "deep"),
            ("/data", "new"),
            ("/nowhere", "404"),
        ):
            self.assertEqual((yield self.say(host, path)), said, path)

    @inlineCallbacks
    def test_application_over_resource(self) -> Steps[None]:
        """
        An application has its routes before a resource at the same path, which has
        the rest, and needs no override for it.
        """
        data = Data(b"data", "text/plain")
        data.isLeaf = True
        for override in False, True:
            host = yield self.run_all(
                mounts("/x", data), mounts("/x", says("app", "/y"), override=override)
            )
            for path, said in ("/x/y", "app"), ("/x/z", "data"):
                self.assertEqual((yield self.say(host, path)), said)
            yield host.stop()

    def test_two(self) -> None:
        """
        Of two who both say so, nobody has it.
        """
        data = Data(b"", "text/plain")
        for pages in (
            [mounts("/", says("", "/x"), override=True) for _ in "ab"],
            [mounts("/x", data, override=True) for _ in "ab"],
        ):
            error = self.assertRaises(StartFailed, lambda pages=pages: made(*pages))
            self.assertIn("is claimed twice:\n  by service 'a' (", str(error))

    def test_third(self) -> None:
        """
        It settles what the others dispute, too, as far as it goes.
        """
        new = mounts("/", says("", "/x"), override=True)
        old = [mounts("/", says("", "/x")) for _ in "ab"]
        made(*old, new)
        old = [mounts("/", says("", "/x", "GET", "PUT")) for _ in "ab"]
        error = self.assertRaises(StartFailed, lambda: made(*old, new))
        self.assertIn("the route 'PUT /x' is claimed twice", str(error))


class Tree:
    """
    An object to be published.
    """

    @expose
    def index(self, page: int = 1) -> str:
        return f"page {page}"

    @expose
    def default(self, name: str) -> str:
        return f"default {name}"


class PublishedTests(SiteTestCase):
    """
    A tree of objects, as CherryPy has them.
    """

    @inlineCallbacks
    def test_default(self) -> Steps[None]:
        """
        What is below an object that has a C{default} is that method's, whatever
        C{index} might take.
        """
        routes = Routes()
        routes.publish("/", Tree())
        host = yield self.run_all(mounts("/", routes))
        for path, said in (
            ("/", "page 1"),
            ("/?page=2", "page 2"),
            ("/2", "default 2"),
        ):
            self.assertEqual((yield self.say(host, path)), said)


class PageTests(SiteTestCase):
    """
    The page about sites and hosts.
    """

    @inlineCallbacks
    def test_shop(self) -> Steps[None]:
        """
        What it shows is what comes of it.
        """
        source, *_ = blocks("sites", "python")
        (settings,) = blocks("sites", "toml")
        (shown,) = blocks("sites", "console")
        module: Any = ModuleType("shop")
        exec(compile(source.removeprefix("\n"), "shop", "exec"), vars(module))
        plugin = Puts("shop", "shop", place="x.py:1")
        self.patch(Puts, "make", lambda _, *args: module.makeService(*args))
        host = yield self.start(plugin, settings=settings)
        asked = {
            "$ curl http://127.0.0.1:9090/orders": ("web.internal", "/orders", None),
            "$ curl http://127.0.0.1:8080/": ("web", "/", None),
            "$ curl -H 'Host: Bergen.shop.example' http://127.0.0.1:8080/goods": (
                "web",
                "/goods",
                "Bergen.shop.example",
            ),
        }
        lines = shown.splitlines()
        for line, (where, path, name) in asked.items():
            headers = {} if name is None else {"Host": name}
            answer = yield host.http(where).get(path, headers=headers)
            self.assertEqual(answer.text.strip(), lines[lines.index(line) + 1])
        self.assertEqual((yield self.say(host, "/orders")), "404")


class BareTests(SiteTestCase):
    """
    A route for the path of a mount alone goes before the one with a slash.
    """

    @inlineCallbacks
    def test_bare(self) -> Steps[None]:
        """
        Whichever is written first.
        """
        for paths in ("", "/"), ("/", ""):
            routes = Routes()
            for path in paths:
                routes.get(path)(lambda request, path=path: f"at {path!r}")
            host = yield self.run_all(mounts("/x", routes))
            for path, said in ("/x", "at ''"), ("/x/", "at '/'"):
                self.assertEqual((yield self.say(host, path)), said)
            yield host.stop()
