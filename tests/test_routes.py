"""
Tests for L{ropewalk.run.routes}.
"""

from __future__ import annotations

import inspect
import json
from functools import partial
from typing import Any

from klein import Klein
from twisted.application.service import IService, MultiService
from twisted.internet import reactor
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.static import Data

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import IHost, Steps
from ropewalk.net.sockets import Socket
from ropewalk.plugin import Found, ServicePlugin
from ropewalk.run.configuration import make_plan
from ropewalk.run.host import Host, PluginHost
from ropewalk.run.routes import Place, RouteMap, map_routes
from ropewalk.schema import Shape
from ropewalk.settings import parse
from ropewalk.web import Routes


class Rooms:
    """Routes as people write them."""

    routes = Klein()

    @routes.route("/", methods=["GET"])
    def first(self, request: Any) -> bytes:
        return b""

    @routes.route("/<room>", methods=["GET", "POST"])
    @inlineCallbacks
    def show(self, request: Any, room: str) -> Steps[bytes]:
        yield None
        return b""

    @routes.route("/files/", branch=True)
    async def files(self, request: Any) -> Resource:
        return Resource()

    with routes.subroute("/deep") as deep:

        @deep.route("/er/<int:number>", methods=["DELETE"])
        def remove(self, request: Any, number: int) -> bytes:
            return b""


class RoomSocket(Socket):
    """A socket."""


class Line(Protocol):
    """A protocol made by a factory of Twisted's."""


class LineFactory(Factory):
    """A factory with a name of its own."""

    def buildProtocol(self, addr: IAddress | None) -> Line:
        return Line()


class Settings(Shape):
    """What can be set of the service that this very module is."""

    listen: str = "tcp:7070"
    pages: bool = True


def makeService(settings: Settings, host: IHost) -> IService:
    """A service of every protocol."""
    if settings.pages:
        app = Klein()

        @app.route("/about")
        def about(request: Any) -> bytes:
            return b""

        host.web.mount("/chat", Rooms().routes)
        host.web.mount("/plain", app.resource())
        host.web.mount("/data", Data(b"", "text/plain"))
        host.web.socket("/chat/live", RoomSocket)
    group = MultiService()
    for factory in (LineFactory(), Factory.forProtocol(partial(Line))):
        host.listener(settings.listen, factory).setServiceParent(group)
    return group


def hosted() -> Routes:
    """Routes of other kinds."""
    routes = Routes()

    @routes.stream("/feed")
    def feed(request: Any) -> Any:
        yield "news"

    @routes.socket("/socket")
    def live(request: Any) -> Any: ...

    return routes


def map_of(text: str, pages: Any = None) -> RouteMap:
    """
    What a host answers that is made by these settings.

    :param pages: Puts something more on the web.
    """
    plugins = (ServicePlugin("chat", __name__),)
    plan = make_plan(parse(text), Found(plugins))
    # Autobahn knows of one reactor only.
    host = Host(plan, reactor, lambda: 0.0)
    if pages is not None:
        pages(PluginHost("chat", host).web)
    host.make()
    return map_routes(host)


def place_of(text: str) -> str:
    """
    Where a line of this module is.
    """
    lines = inspect.getsource(inspect.getmodule(place_of) or Any).splitlines()
    number = next(n for n, line in enumerate(lines, 1) if line.strip() == text)
    return f"{__file__}:{number}"


EVERYTHING = '[chat]\nlisten = "tcp:0"\n[web]\nlisten = ["tcp:8080", "tcp:8081"]\n'


class RoutesTests(SynchronousTestCase):
    """
    What is told of a host.
    """

    def test_routes(self) -> None:
        """
        All that answers on the web site, by path: methods, whole path, and who
        answers.
        """
        self.assertEqual(
            [
                (each.verbs, each.path, each.answers)
                for each in map_of(EVERYTHING).routes
            ],
            [
                ("GET", "/", "Home"),
                ("GET", "/chat", "Rooms.first"),
                ("GET,POST", "/chat/<room>", "Rooms.show"),
                ("DELETE", "/chat/deep/er/<int:number>", "Rooms.remove"),
                ("any", "/chat/files/", "Rooms.files"),
                ("any", "/chat/files/…", "Rooms.files"),
                ("WS", "/chat/live", "RoomSocket"),
                ("any", "/data/…", "Data"),
                ("GET", "/health/live", "HealthPages.live"),
                ("GET", "/health/ready", "HealthPages.ready"),
                ("any", "/plain/about", "about"),
            ],
        )

    def test_places(self) -> None:
        """
        A function or a class is where it is written, through all decorators; a
        resource is where it was mounted.
        """
        places = {each.answers: each.place for each in map_of(EVERYTHING).routes}
        for name, line in {
            "Rooms.show": '@routes.route("/<room>", methods=["GET", "POST"])',
            "about": '@app.route("/about")',
            "RoomSocket": "class RoomSocket(Socket):",
            "Data": 'host.web.mount("/data", Data(b"", "text/plain"))',
        }.items():
            self.assertEqual(places[name], place_of(line))

    def test_owners(self) -> None:
        """
        Each belongs to a service; what is the daemon's own, to ``web``.
        """
        owners = {each.path: each.service for each in map_of(EVERYTHING).routes}
        self.assertEqual(owners["/chat/live"], "chat")
        self.assertEqual(owners["/health/live"], "web")
        self.assertEqual(owners["/"], "web")

    def test_listeners(self) -> None:
        """
        The site's are told with the site; the others by what they make.
        """
        told = map_of(EVERYTHING)
        self.assertEqual(told.sites, (Place("", ("tcp:8080", "tcp:8081")),))
        place = place_of(
            "host.listener(settings.listen, factory).setServiceParent(group)"
        )
        self.assertEqual(
            [(each.endpoint, each.answers, each.place) for each in told.ports],
            [("tcp:0", "LineFactory", place), ("tcp:0", "Line", place)],
        )

    def test_the_page(self) -> None:
        """
        One page for all, with the places last: they are the longest.
        """
        lines = list(map_of(EVERYTHING).lines())
        self.assertEqual(lines[:2], ["Web site at tcp:8080, tcp:8081", ""])
        row = next(line for line in lines if "/chat/live" in line)
        self.assertEqual(row.split()[:4], ["WS", "/chat/live", "RoomSocket", "chat"])
        self.assertIn("Other listeners", lines)
        self.assertTrue(lines[-1].startswith("  tcp:0  Line         chat  "), lines[-1])

    def test_no_web_site(self) -> None:
        """
        Where no page is mounted, there is none.
        """
        told = map_of('[chat]\npages = false\nlisten = "tcp:0"\n')
        self.assertEqual((told.sites, told.routes), ((), ()))
        self.assertEqual(next(told.lines()), "Other listeners")

    def test_nothing(self) -> None:
        """
        That nothing listens is said.
        """
        self.assertEqual(list(RouteMap((), (), ()).lines()), ["Nothing listens."])

    def test_for_programs(self) -> None:
        """
        The same as plain data.
        """
        plain = json.loads(json.dumps(map_of(EVERYTHING).plain()))
        route = next(each for each in plain["routes"] if each["path"] == "/chat/<room>")
        self.assertEqual(route["methods"], ["GET", "POST"])
        self.assertEqual((route["service"], route["site"]), ("chat", ""))
        self.assertEqual(plain["sites"][0]["listen"], ["tcp:8080", "tcp:8081"])
        self.assertEqual(plain["listeners"][0]["endpoint"], "tcp:0")


class SitesTests(SynchronousTestCase):
    """
    What is told of several sites, and of hosts.
    """

    settings = (
        "[chat]\npages = false\nlisten = 'tcp:0'\n[web]\nlisten = ['tcp:1']\n"
        "[web.sites.internal]\nlisten = ['tcp:2']\n"
    )

    def test_sites(self) -> None:
        """
        Each has a part of the page for itself, with what is on it; the host comes
        before the path, and WebSockets and streams can be told from the rest.
        """

        def pages(web: Any) -> None:
            web.mount("/", hosted(), host="<who>.example.org")
            web.site("internal").mount("/admin", hosted())
            web.site("internal").socket("/admin/live", RoomSocket)

        lines = list(map_of(self.settings, pages).lines())
        self.assertEqual(
            [each for each in lines if each and not each.startswith(" ")],
            ["Web site at tcp:1", "Web site 'internal' at tcp:2", "Other listeners"],
        )
        words = [" ".join(each.split()[:-2]) for each in lines if "chat" in each]
        self.assertEqual(
            words[:-2],
            [
                "GET <who>.example.org/feed feed (stream)",
                "WS <who>.example.org/socket live",
                "GET /admin/feed feed (stream)",
                "WS /admin/live RoomSocket",
                "WS /admin/socket live",
            ],
        )
        health = [each.split()[-2] for each in lines if "/health/live" in each]
        self.assertEqual(health, ["web", "web.internal"])

    def test_for_programs(self) -> None:
        """
        Sites, hosts and kinds have words of their own.
        """
        told = map_of(self.settings, lambda web: web.mount("/", hosted(), host="x.org"))
        (feed,) = (each for each in told.plain()["routes"] if each["path"] == "/feed")
        self.assertEqual((feed["host"], feed["kind"]), ("x.org", "stream"))
        self.assertEqual(
            told.plain()["sites"][1], {"name": "internal", "listen": ("tcp:2",)}
        )
