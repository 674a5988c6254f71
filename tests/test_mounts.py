"""
Tests for L{ropewalk.web.mounts} and L{ropewalk.web.apps}.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from unittest import skipUnless
from urllib.parse import quote

from klein import Klein
from klein.interfaces import IKleinRequest
from msgspec.structs import replace
from twisted.internet import reactor as global_reactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.python.components import Adapter, registerAdapter
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import Data
from twisted.web.template import Element, TagLoader, tags
from werkzeug.exceptions import Conflict as HTTPConflict
from werkzeug.exceptions import HTTPException, NotFound, abort
from werkzeug.wrappers import Response

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadPlugin, Conflict, RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.web.mounts import Mount, Mounts, resource_for
from ropewalk.web.table import Found, Missing
from tests.visiting import Place, request

reactor: Any = global_reactor


def mount(path: str, kind: str = "pages", plugin: str = "chat", line: int = 1) -> Mount:
    """
    Something at a path.
    """
    resource = Resource()
    return Mount(path, resource, plugin, f"{plugin}.py:{line}", kind, resource)


class FindTests(SynchronousTestCase):
    """
    Of all mounts, the one with the longest path answers.
    """

    def setUp(self) -> None:
        self.mounts = Mounts()

    def find(self, *segments: bytes) -> tuple[str, int] | None:
        path = "/" + "/".join(quote(each, safe="") for each in segments)
        found = self.mounts.table.find(path, "GET")
        if isinstance(found, Found):
            entry = found.entry
        elif isinstance(found, Missing) and found.guard is not None:
            entry = found.guard
        else:
            return None
        return entry.target.path, entry.target.depth

    def add(self, *paths: str) -> None:
        for path in paths:
            kind = "socket" if path.endswith("live") else "pages"
            self.mounts.add(mount(path, kind))

    def test_longest(self) -> None:
        """
        A mount answers at its path and below, up to where a longer one begins.
        """
        self.add("/chat", "/chat/old/rooms", "/about")
        self.assertEqual(self.find(b"chat"), ("/chat", 1))
        self.assertEqual(self.find(b"chat", b""), ("/chat", 1))
        self.assertEqual(self.find(b"chat", b"old", b"x"), ("/chat", 1))
        self.assertEqual(self.find(b"chat", b"old", b"rooms"), ("/chat/old/rooms", 3))
        found = self.find(b"chat", b"old", b"rooms", b"1", b"2")
        self.assertEqual(found, ("/chat/old/rooms", 3))
        self.assertEqual(self.find(b"about", b"us"), ("/about", 1))

    def test_nobody(self) -> None:
        """
        A path that is only nearly a mount's is nobody's.
        """
        self.add("/chat", "/a/b")
        for segments in (
            [b""],
            [b"chats"],
            [b"Chat"],
            [b"a"],
            [b"a", b""],
        ):
            self.assertEqual(self.find(*segments), None)

    def test_root(self) -> None:
        """
        What is mounted at C{/} has all that nobody else has.
        """
        self.add("/", "/chat")
        for segments in [b""], [b"chats"], [b"", b"chats"]:
            self.assertEqual(self.find(*segments), ("/", 0))
        self.assertEqual(self.find(b"chat", b"x"), ("/chat", 1))

    def test_sockets(self) -> None:
        """
        A socket is at exactly its path; below it is whoever has what is above.
        """
        self.add("/chat", "/chat/live", "/live")
        self.assertEqual(self.find(b"chat", b"live"), ("/chat/live", 2))
        self.assertEqual(self.find(b"chat", b"live", b""), ("/chat", 1))
        self.assertEqual(self.find(b"chat", b"live", b"x"), ("/chat", 1))
        self.assertEqual(self.find(b"live"), ("/live", 1))
        self.assertEqual(self.find(b"live", b"x"), None)

    def test_a_socket_at_the_root(self) -> None:
        """
        A socket at C{/} is there, and nowhere else.
        """
        self.mounts.add(mount("/", "socket"))
        self.assertEqual(self.find(b""), ("/", 0))
        self.assertEqual(self.find(b"x"), None)

    def test_segments(self) -> None:
        """
        A path is compared as people read it: a slash in a segment separates
        nothing.
        """
        self.add("/Füße/a b")
        self.assertEqual(
            self.find("Füße".encode(), b"a b", b"c"),
            ("/Füße/a b", 2),
        )
        self.assertEqual(self.find("Füße/a b".encode()), None)

    def test_list(self) -> None:
        """
        The mounts can be listed, by path, and asked for.
        """
        self.add("/chat", "/about", "/chat/live")
        paths = [each.path for each in self.mounts]
        self.assertEqual(paths, ["/about", "/chat", "/chat/live"])
        self.assertIn("/chat", self.mounts)
        self.assertNotIn("/chat/x", self.mounts)

    def test_hosts(self) -> None:
        """
        What is there for one host only is not there for all.
        """
        self.mounts.add(replace(mount("/chat"), host="example.org"))
        self.assertNotIn("/chat", self.mounts)


class AddTests(SynchronousTestCase):
    """
    What cannot be mounted is refused, and the message says where to look.
    """

    def test_conflict(self) -> None:
        """
        Two mounts at one path: both places are named, whatever their kinds.
        """
        for kind in "pages", "socket":
            mounts = Mounts()
            mounts.add(mount("/chat", line=12))
            error = self.assertRaises(
                Conflict, mounts.add, mount("/chat", kind, "forum", 34)
            )
            self.assertEqual(
                str(error),
                "the path '/chat' is claimed twice:\n"
                "  by service 'chat' (chat.py:12)\n"
                "  by service 'forum' (forum.py:34)",
            )

    def test_paths_that_are_none(self) -> None:
        """
        A path at which nobody could ever ask is refused where it is mounted, with
        the reason.
        """
        shape = "a path starts with '/', does not end with one, and has no empty pieces"
        table: dict[Any, str] = {
            "": shape,
            "chat": shape,
            "/chat/": shape,
            "//": shape,
            "/a//b": shape,
            "/a/../b": "browsers resolve '.' and '..' before they ask",
            "/.": "browsers resolve '.' and '..' before they ask",
            "/a?b": "a path ends before '?' and '#'",
            "/a#b": "a path ends before '?' and '#'",
            "/a%20b": "write the path as people read it, without '%'",
            "/a\nb": "a path has only characters that can be printed",
            "/\ud800": "a path has only characters that can be printed",
            b"/chat": "a path is a str, not bytes",
            None: "a path is a str, not NoneType",
        }
        for path, reason in table.items():
            error = self.assertRaises(BadPlugin, Mounts().add, mount(path))
            self.assertEqual(
                str(error),
                f"service 'chat' (chat.py:1): cannot mount at {path!r}: {reason}",
            )


class AddLastTests(SynchronousTestCase):
    """
    What is mounted last is served beside what was compiled already.
    """

    def setUp(self) -> None:
        self.mounts = Mounts()
        self.mounts.add(mount("/chat"))
        self.before = self.find("/chat")

    def find(self, path: str) -> Any:
        found: Any = self.mounts.table.find(path, "GET")
        return found.entry if isinstance(found, Found) else found.guard

    def test_both(self) -> None:
        """
        All of them answer. What was compiled stays what it was, as long as nobody
        asks for it anew.
        """
        self.mounts.learn(b"GET", b"/about", "nothing is there")
        self.mounts.add_last([mount("/about"), mount("/live", "socket")])
        self.assertEqual(self.find("/about").target.path, "/about")
        self.assertEqual(self.find("/live").target.path, "/live")
        self.assertIs(self.find("/chat"), self.before)
        self.assertEqual(self.mounts.lanes, {})
        self.mounts.compile()
        self.assertIsNot(self.find("/chat"), self.before)

    def test_one_more(self) -> None:
        """
        Whoever comes after that is as welcome as before.
        """
        self.mounts.add_last([mount("/about")])
        self.mounts.add(mount("/late"))
        for path in "/chat", "/about", "/late":
            self.assertEqual(self.find(path).target.path, path)
        self.assertIsNot(self.find("/chat"), self.before)

    def test_before_anybody_asked(self) -> None:
        """
        Nothing need have been compiled.
        """
        self.mounts.add(mount("/early"))
        self.mounts.add_last([mount("/about")])
        for path in "/chat", "/about", "/early":
            self.assertEqual(self.find(path).target.path, path)

    def test_refused(self) -> None:
        """
        What :meth:`Mounts.add` refuses is refused here; what came before it is there.
        """
        for name, wrong in ("/a", mount("chat")), ("/b", mount("/chat")):
            both = [mount(name), wrong]
            self.assertRaises((BadPlugin, Conflict), self.mounts.add_last, both)
            self.assertEqual(self.find(name).target.path, name)
        self.assertIs(self.find("/chat"), self.before)


class Adapted:
    """
    Something that is no resource, but has an adapter to one.
    """


class AdaptedResource(Adapter, Resource):
    """
    The adapter.
    """


registerAdapter(AdaptedResource, Adapted, IResource)


class ResourceForTests(SynchronousTestCase):
    """
    What a plugin may mount.
    """

    def test_resources(self) -> None:
        """
        A resource is itself; what adapts to one is adapted.
        """
        resource = Resource()
        self.assertIdentical(resource_for(resource), resource)
        self.assertIsInstance(resource_for(Adapted()), AdaptedResource)

    def test_apps(self) -> None:
        """
        A Klein app, and what Klein makes of one, are served by us.
        """
        app = Klein()
        for given in app, app.resource():
            self.assertEqual(type(resource_for(given)).__name__, "AppResource")

    def test_nothing(self) -> None:
        """
        Anything else is nothing that could be served.
        """
        for thing in None, "text", 5, object(), Klein:
            self.assertEqual(resource_for(thing), None)


class Told(RopewalkError):
    """An error of the app's own."""

    status = 409


class Paper(Element):
    """A renderable."""

    loader = TagLoader(tags.p("on paper"))


class Rooms:
    """
    A class-bound app with a handler of each kind.
    """

    routes = Klein()

    def __init__(self, name: str = "rooms") -> None:
        self.name = name
        self.later: Deferred[str] = Deferred()

    @routes.route("/")
    def root(self, request: Any) -> str:
        return f"root of {self.name}"

    @routes.route("/bytes")
    def some_bytes(self, request: Any) -> bytes:
        return b"bytes"

    @routes.route("/nothing")
    def nothing(self, request: Any) -> None:
        return None

    @routes.route("/deferred")
    def deferred(self, request: Any) -> Deferred[str]:
        return self.later

    @routes.route("/steps/<int:number>")
    @inlineCallbacks
    def steps(self, request: Any, number: int) -> Steps[str]:
        text: str = yield self.later
        return f"{text} {number}"

    @routes.route("/coroutine/<word>")
    async def coroutine(self, request: Any, word: str) -> str:
        return f"{await self.later} {word}"

    @routes.route("/hidden-coroutine")
    def hidden_coroutine(self, request: Any) -> Any:
        return self.coroutine(request, "hidden")

    @routes.route("/asyncio")
    async def asyncio(self, request: Any) -> str:
        await asyncio.sleep(0)
        task = asyncio.create_task(self.coroutine(request, "in a task"))
        self.later.callback("later")
        return await task

    @routes.route("/asyncio/fails")
    async def asyncio_fails(self, request: Any) -> str:
        await asyncio.sleep(0)
        raise Told("told from afar")

    @routes.route("/resource")
    def resource(self, request: Any) -> Resource:
        return Data(b"a resource", "text/x-resource")

    @routes.route("/renderable")
    def renderable(self, request: Any) -> Element:
        return Paper()

    @routes.route("/tree", branch=True)
    async def tree(self, request: Any) -> Resource:
        tree = Resource()
        tree.putChild(b"leaf", Leaf())
        return tree

    @routes.route("/branch", branch=True)
    async def branch(self, request: Any) -> str:
        return ",".join(IKleinRequest(request).branch_segments)

    @routes.route("/slash/")
    def slash(self, request: Any) -> str:
        return "with a slash"

    @routes.route("/url/<word>")
    def url(self, request: Any, word: str) -> str:
        return str(IKleinRequest(request).url_for("coroutine", {"word": word}))

    @routes.route("/only", methods=["GET"])
    def only(self, request: Any) -> str:
        return "only GET"

    @routes.route("/told")
    async def told(self, request: Any) -> str:
        raise Told("told")

    @routes.route("/http/<int:code>")
    def http(self, request: Any, code: int) -> str:
        abort(code)

    @routes.route("/own")
    def own(self, request: Any) -> str:
        raise HTTPConflict(response=Response("mine", 409, {"X-Own": "yes"}))

    @routes.route("/listed")
    def listed(self, request: Any) -> str:
        raise HTTPConflict("<b>taken</b>")


class Leaf(Resource):
    """
    Says where it is.
    """

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return b"%r %r %r" % (request.prepath, request.postpath, request.prePathURL())


class AppTests(SynchronousTestCase):
    """
    A Klein app under a prefix is served as Klein would, with handlers of every
    kind.
    """

    def setUp(self) -> None:
        self.rooms = Rooms()
        self.place = Place.of()
        self.place.mount("/chat", self.rooms.routes)
        self.visit = self.place.visit()

    def ask(self, path: str, method: str = "GET") -> str:
        return self.visit.ask(path, method).text

    def test_root(self) -> None:
        """
        The mount's own path is the app's C{/}, with a slash behind it and
        without.
        """
        self.assertEqual(self.ask("/chat"), "root of rooms")
        self.assertEqual(self.ask("/chat/"), "root of rooms")
        self.assertEqual(self.ask("/chat?x=/y"), "root of rooms")

    def test_values(self) -> None:
        """
        Text, bytes or nothing may be returned.
        """
        self.assertEqual(self.ask("/chat/bytes"), "bytes")
        self.assertEqual(self.ask("/chat/nothing"), "")

    def test_waiting(self) -> None:
        """
        A plain function, one under C{inlineCallbacks} and an C{async def} may each
        wait for a Deferred.
        """
        table = {
            "/chat/deferred": "later",
            "/chat/steps/7": "later 7",
            "/chat/coroutine/x": "later x",
            "/chat/hidden-coroutine": "later hidden",
        }
        for path, text in table.items():
            self.rooms.later = Deferred()
            self.visit.send(request(path))
            self.assertEqual(self.visit.answers(), [])
            self.rooms.later.callback("later")
            self.assertEqual(self.visit.answer().text, text)

    def test_resources(self) -> None:
        """
        A resource may be returned, also by C{async def}, and a renderable.
        """
        answer = self.visit.ask("/chat/resource")
        self.assertEqual(answer.text, "a resource")
        self.assertEqual(answer.headers["content-type"], "text/x-resource")
        self.assertIn("<p>on paper</p>", self.ask("/chat/renderable"))

    def test_branches(self) -> None:
        """
        A branch route has what is below it: as segments, or for a tree of
        resources, which finds its place.
        """
        self.assertEqual(self.ask("/chat/branch"), "")
        self.assertEqual(self.ask("/chat/branch/a/b%20c/"), "a,b c,")
        self.assertEqual(
            self.ask("/chat/tree/leaf/x"),
            "[b'chat', b'tree', b'leaf'] [b'x'] "
            "b'http://example.org:8080/chat/tree/leaf'",
        )

    def test_urls(self) -> None:
        """
        The URLs that Klein builds have the prefix.
        """
        self.assertEqual(self.ask("/chat/url/lobby"), "/chat/coroutine/lobby")

    def test_redirects(self) -> None:
        """
        So do its redirects, which name no host (ours may have another name
        outside) and keep the query.
        """
        for asked, location in {
            "/chat/slash": "/chat/slash/",
            "/chat/slash?a=1&b=%2F": "/chat/slash/?a=1&b=%2F",
            "//chat//slash": "/chat/slash/",
        }.items():
            answer = self.visit.ask(asked)
            self.assertEqual(answer.headers.get("location"), location)
            self.assertEqual(answer.status, 308)

    def test_a_redirect_to_nowhere_else(self) -> None:
        """
        A path that looks like another host does not become one.
        """
        place = Place.of()
        place.mount("/", Rooms().routes)
        for path in "//evil.org/../slash", "/%2Fslash", "//slash":
            location = place.visit().ask(path).headers.get("location", "/")
            self.assertFalse(location.startswith("//"), location)

    def test_head(self) -> None:
        """
        A GET route answers HEAD, without a body.
        """
        answer = self.visit.ask("/chat/only", "HEAD")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_another_method(self) -> None:
        """
        Other methods are not allowed, and what is, is told.
        """
        for method in "POST", "TRACE", "BREW":
            answer = self.visit.ask("/chat/only", method)
            self.assertEqual(answer.status, 405)
            self.assertEqual(answer.headers["allow"], "GET, HEAD, OPTIONS")
            self.assertEqual(answer.json["title"], "Method Not Allowed")

    def test_errors_on_purpose(self) -> None:
        """
        A RopewalkError is answered with its status.
        """
        answer = self.visit.ask("/chat/told")
        self.assertEqual((answer.status, answer.json["detail"]), (409, "told"))

    def test_errors_of_werkzeug(self) -> None:
        """
        Werkzeug's exceptions look as our own: nothing there, and what handlers
        abort with.
        """
        answer = self.visit.ask("/chat/nobody")
        self.assertEqual((answer.status, answer.json["title"]), (404, "Not Found"))
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        answer = self.visit.ask("/chat/http/413")
        self.assertEqual(answer.json["title"], "Content Too Large")
        answer = self.visit.ask("/chat/listed")
        self.assertEqual(answer.json["detail"], "<b>taken</b>")
        answer = self.visit.ask("/chat/listed", "GET", "Accept: text/html")
        self.assertIn("&lt;b&gt;taken", answer.text)

    def test_a_response_of_its_own(self) -> None:
        """
        An exception that brings its own response keeps it.
        """
        answer = self.visit.ask("/chat/own")
        self.assertEqual(
            (answer.status, answer.headers["x-own"], answer.text), (409, "yes", "mine")
        )

    def test_addresses_that_are_no_text(self) -> None:
        """
        A path that is not UTF-8, or a host that can be none, is the client's
        mistake: nothing is logged.
        """
        answer = self.visit.ask("/chat/%ff")
        self.assertEqual(
            (answer.status, answer.json["detail"]),
            (400, "the address is not text in UTF-8"),
        )
        for host in "Host: a/b", "Host: \xff":
            answer = self.place.visit().ask("/chat/", "GET", host)
            self.assertEqual(answer.status, 400)


class BindingTests(SynchronousTestCase):
    """
    An app may be bound to an instance, to several, or to none.
    """

    def test_instances(self) -> None:
        """
        Two instances of one class keep apart.
        """
        place = Place.of()
        one, two = Rooms("one"), Rooms("two")
        place.mount("/one", one.routes)
        place.mount("/two", two.routes)
        visit = place.visit()
        self.assertEqual(visit.ask("/one").text, "root of one")
        self.assertEqual(visit.ask("/two").text, "root of two")

    def test_no_instance(self) -> None:
        """
        The handlers of an app at the top of a module get no instance.
        """
        app = Klein()

        @app.route("/plain/<word>")
        def plain(request: Any, word: str) -> str:
            return f"plain {word}"

        @app.route("/async/<word>")
        async def coroutine(request: Any, word: str) -> str:
            return await succeed(f"async {word}")

        @app.handle_errors(NotFound)
        async def missing(request: Any, failure: Any) -> str:
            request.setResponseCode(404)
            return await succeed("missing")

        place = Place.of()
        place.mount("/", app)
        visit = place.visit()
        self.assertEqual(visit.ask("/plain/a").text, "plain a")
        self.assertEqual(visit.ask("/async/b").text, "async b")
        self.assertEqual(visit.ask("/c").text, "missing")

    def test_a_way_of_its_own(self) -> None:
        """
        An app that calls its handlers in its own way goes on doing so.
        """

        class Shouting(Klein):
            def execute_endpoint(self, *args: Any, **kwargs: Any) -> Any:
                return str(super().execute_endpoint(*args, **kwargs)).upper()

        app = Shouting()
        app.route("/")(lambda request: "quiet")
        place = Place.of()
        place.mount("/", app)
        self.assertEqual(place.visit().ask("/").text, "QUIET")


class ErrorHandlerTests(SynchronousTestCase):
    """
    What an app handles itself, it handles before us.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.app = Klein()
        self.place.mount("/", self.app)

        @self.app.route("/<word>")
        async def fail(request: Any, word: str) -> str:
            raise {"value": ValueError, "told": Told, "key": KeyError}[word](word)

    def handle(self, *errors: type[Exception]) -> Callable[..., Any]:
        def decorate(function: Any) -> Any:
            return self.app.handle_errors(*errors)(function)

        return decorate

    def test_of_coroutines(self) -> None:
        """
        What an C{async def} raises is handled, by a plain handler and by one that
        waits.
        """

        @self.handle(ValueError)
        def handle_value(request: Any, failure: Any) -> str:
            return f"handled {failure.value}"

        @self.handle(Told)
        async def handle_told(request: Any, failure: Any) -> str:
            return await succeed(f"waited for {failure.value}")

        visit = self.place.visit()
        self.assertEqual(visit.ask("/value").text, "handled value")
        self.assertEqual(visit.ask("/told").text, "waited for told")

    def test_unhandled(self) -> None:
        """
        What no handler handles, or what a handler hands back, is ours.
        """

        @self.handle(KeyError)
        def hand_back(request: Any, failure: Any) -> Any:
            return failure

        visit = self.place.visit()
        self.assertEqual(visit.ask("/told").status, 409)
        self.assertEqual(visit.ask("/key").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_everything(self) -> None:
        """
        A handler of every exception gets Werkzeug's, too.
        """

        @self.handle(Exception)
        def handle(request: Any, failure: Any) -> str:
            code = getattr(failure.value, "code", 500)
            request.setResponseCode(code)
            return f"{isinstance(failure.value, HTTPException)} {code}"

        visit = self.place.visit()
        self.assertEqual(visit.ask("/a/b").text, "True 404")
        self.assertEqual(visit.ask("/value").text, "False 500")


class TreeTests(SynchronousTestCase):
    """
    A tree of C{twisted.web} resources is walked as Twisted walks it.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.visit = self.place.visit()

    def test_a_leaf(self) -> None:
        """
        A leaf gets all that is below its path, unquoted; nothing at its path.
        """
        self.place.mount("/a/b c", Leaf())
        url = "b'http://example.org:8080/a/b%20c'"
        for below, postpath in {
            "": "[]",
            "/": "[b'']",
            "/x/y%2Fz": "[b'x', b'y/z']",
            "//": "[b'', b'']",
        }.items():
            self.assertEqual(
                self.visit.ask(f"/a/b%20c{below}").text,
                f"[b'a', b'b c'] {postpath} {url}",
            )

    def test_children(self) -> None:
        """
        What is no leaf is asked for its children, and answers for itself at its
        own path.
        """
        tree = Data(b"the tree", "text/plain")
        tree.isLeaf = False
        tree.putChild(b"", Data(b"with a slash", "text/plain"))
        tree.putChild(b"leaf", Leaf())
        self.place.mount("/tree", tree)
        self.assertEqual(self.visit.ask("/tree").text, "the tree")
        self.assertEqual(self.visit.ask("/tree/").text, "with a slash")
        self.assertEqual(
            self.visit.ask("/tree/leaf/x/").text,
            "[b'tree', b'leaf'] [b'x', b''] b'http://example.org:8080/tree/leaf'",
        )
        self.assertEqual(self.visit.ask("/tree/nobody").status, 404)

    def test_a_directory(self) -> None:
        """
        What answers only with a slash behind it leads there.
        """
        tree = Resource()
        tree.putChild(b"", Data(b"index", "text/plain"))
        self.place.mount("/tree", tree)
        led = self.visit.ask("/tree?a=b")
        self.assertEqual((led.status, led.headers["location"]), (308, "/tree/?a=b"))
        self.assertEqual(self.visit.ask("/tree/?a=b").text, "index")

    def test_at_the_root(self) -> None:
        """
        A tree at C{/} is asked as the root of any Twisted site.
        """
        tree = Resource()
        tree.putChild(b"", Data(b"index", "text/plain"))
        tree.putChild(b"leaf", Leaf())
        self.place.mount("/", tree)
        self.assertEqual(self.visit.ask("/").text, "index")
        self.assertIn("[b'leaf'] [b'x']", self.visit.ask("/leaf/x").text)

    def test_a_session(self) -> None:
        """
        A browser has one session on the whole site.
        """

        class Counter(Resource):
            isLeaf = True

            def render_GET(self, request: Any) -> bytes:
                return bytes(request.getSession().uid)

        self.place.mount("/one", Counter())
        self.place.mount("/two", Counter())
        first = self.visit.ask("/one")
        cookie = first.headers["set-cookie"].partition(";")[0]
        second = self.visit.ask("/two", "GET", f"Cookie: {cookie}")
        self.assertEqual(second.body, first.body)

    def test_later(self) -> None:
        """
        A resource may answer when it likes.
        """
        waiting: list[Any] = []

        class Slow(Resource):
            def render_GET(self, request: Any) -> int:
                waiting.append(request)
                return NOT_DONE_YET

        self.place.mount("/slow", Slow())
        self.visit.send(request("/slow"))
        self.assertEqual(self.visit.answers(), [])
        waiting[0].write(b"at last")
        waiting[0].finish()
        self.assertEqual(self.visit.answer().text, "at last")


@skipUnless(isinstance(reactor, AsyncioSelectorReactor), "not an asyncio reactor")
class AsyncioTests(TestCase):
    """
    On the asyncio reactor, an C{async def} handler may wait for anything of
    asyncio's.
    """

    @inlineCallbacks
    def ask(self, path: str) -> Steps[Any]:
        yield deferLater(reactor, 0)  # the loop turns from here on
        place = Place.of()
        place.mount("/chat", Rooms().routes)
        visit = place.visit()
        visit.send(request(path))
        while not visit.wire.value():
            yield asyncio.sleep(0)
        return visit.answer()

    @inlineCallbacks
    def test_waiting(self) -> Steps[None]:
        """
        For a task that itself waits for a Deferred, for example.
        """
        answer = yield self.ask("/chat/asyncio")
        self.assertEqual((answer.status, answer.text), (200, "later in a task"))

    @inlineCallbacks
    def test_an_error(self) -> Steps[None]:
        """
        What it raises after waiting is answered as everywhere.
        """
        answer = yield self.ask("/chat/asyncio/fails")
        self.assertEqual(
            (answer.status, answer.json["detail"]), (409, "told from afar")
        )
