"""
Tests for L{ropewalk.web.quick}, and for the twins that it chooses between:
L{ropewalk.web.plain} and what was compiled of C{_quick.c}.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import count, zip_longest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from klein import Klein
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import server
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ropewalk.web import plain, quick
from ropewalk.web.lines import header_line
from ropewalk.web.quick import is_native
from ropewalk.web.requests import Request
from tests.streams import outcomes
from tests.visiting import Place, Visit, request

ROOT = Path(__file__).resolve().parent.parent

#: How many streams both twins get.
STREAMS = 50

#: How often each kind of request is asked before memory is looked at, and how often
#: between two looks.
WARM = 20
OFTEN = 70

#: Bytes that may be more after that: less than any object for each request would be.
SPARE = 256 * OFTEN

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def why_not() -> str | None:
    """
    Why the compiled twin cannot be tested, if that is no fault. Where changes are
    judged, it is one that it was not built.
    """
    if is_native or (os.environ.get("CI") and not told_not_to()):
        return None
    if told_not_to():
        return "ROPEWALK_NATIVE=0 wants Python's"
    return "ropewalk.web._quick is not compiled here: `pip install -e .` does it"


def told_not_to() -> bool:
    """Whether the environment wants Python's."""
    return os.environ.get("ROPEWALK_NATIVE") == "0"


def python(*words: str, **environ: str) -> subprocess.Popen[bytes]:
    """Start another Python that finds what this one finds."""
    paths = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": paths, **environ},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def said(process: subprocess.Popen[bytes]) -> str:
    """What a process prints, if it ends well."""
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, err.decode("utf-8", "replace")[-2000:]
    return out.decode("utf-8")


def counted(shared: Iterable[object]) -> list[int]:
    """How often some objects are known."""
    gc.collect()
    return [sys.getrefcount(each) for each in shared]


def a_site(**what: Any) -> Any:
    """What C looks at of a site."""
    usual = {"lanes": {}, "numbers": count(), "id_start": b"", "loud": False}
    return SimpleNamespace(**{**usual, "has_proxies": False, **what})


class NativeCase(SynchronousTestCase):
    """
    Needs the compiled twin.
    """

    skip = why_not()

    def setUp(self) -> None:
        self.native: Any = import_module("ropewalk.web._quick")


class ChoiceTests(SynchronousTestCase):
    """
    Which of the twins is used.
    """

    ASK = (
        "from ropewalk.web import quick, requests, engine\n"
        "kinds = quick.RequestBase, quick.ChannelBase, quick.serve, quick.set_request\n"
        "print(quick.is_native, *sorted({each.__module__ for each in kinds}))\n"
        "print(issubclass(requests.Request, quick.RequestBase))\n"
        "print(issubclass(engine.Channel, quick.ChannelBase))"
    )

    def chosen(self, before: str = "", **environ: str) -> list[str]:
        """What another Python chooses."""
        return said(python("-c", before + self.ASK, **environ)).split()

    def test_told(self) -> None:
        """
        With C{ROPEWALK_NATIVE=0} in the environment it is Python's.
        """
        self.assertEqual(
            self.chosen(ROPEWALK_NATIVE="0"),
            ["False", "ropewalk.web.plain", "True", "True"],
        )

    def test_not_there(self) -> None:
        """
        So it is where the other was not compiled, or cannot be loaded.
        """
        hide = "import sys; sys.modules['ropewalk.web._quick'] = None\n"
        self.assertEqual(
            self.chosen(hide, ROPEWALK_NATIVE="1"),
            ["False", "ropewalk.web.plain", "True", "True"],
        )

    def test_here(self) -> None:
        """
        C{is_native} says which it is.
        """
        module = "ropewalk.web._quick" if is_native else "ropewalk.web.plain"
        self.assertEqual(quick.RequestBase.__module__, module)
        self.assertEqual(quick.ChannelBase.__module__, module)
        self.assertTrue(issubclass(Request, quick.RequestBase))

    def test_there(self) -> None:
        """
        It is the compiled one wherever there is one.
        """
        self.assertEqual(
            self.chosen(ROPEWALK_NATIVE="1"),
            ["True", "ropewalk.web._quick", "True", "True"],
        )

    test_there.skip = why_not()  # type: ignore[attr-defined]


class NamesTests(NativeCase):
    """
    The twins have the same names.
    """

    def test_of_modules(self) -> None:
        """
        What one has for others, so has the other; C's is given Python's functions.
        """
        names = {name for name in dir(self.native) if not name.startswith("_")}
        self.assertEqual(names - {"set_up"}, set(plain.__all__))

    def test_of_classes(self) -> None:
        """
        The attributes of one are the other's: the public ones, and those that the
        engine looks at.
        """
        for name in "RequestBase", "ChannelBase":
            ours, its = getattr(plain, name), getattr(self.native, name)
            known = ours.__annotations__.keys() | vars(ours).keys()
            inherited = set(dir(server.Request))
            compiled = {each for each in vars(its) if not each.startswith("__")}
            self.assertEqual(compiled - known - inherited, set())
            public = {each for each in vars(ours) if not each.startswith("_")}
            self.assertEqual(public - compiled, set())

    def test_at_first(self) -> None:
        """
        They are the same, before anybody has set them.
        """
        for name in "RequestBase", "ChannelBase":
            ours, its = getattr(plain, name)(), getattr(self.native, name)()
            for each in vars(type(its)).keys() & vars(type(ours)).keys():
                value = getattr(its, each)
                if not each.startswith("__") and not callable(value):
                    self.assertEqual(value, getattr(ours, each), each)

    def test_channel(self) -> None:
        """
        A request that is over has no connection: to ask for it is an error.
        """
        for twin in plain, self.native:
            self.assertRaises(AttributeError, getattr, twin.RequestBase(), "channel")


class StreamTests(NativeCase):
    """
    Whatever is asked, and whatever handlers do, the twins make the same of it.
    """

    def test_same(self) -> None:
        """
        Of random streams, valid and not, in pieces and pipelined, they answer the
        same bytes, close the same connections, hand the same to handlers and log the
        same.
        """
        words = "-m", "tests.streams", "0", str(STREAMS)
        other = python(*words, ROPEWALK_NATIVE="0")
        self.addCleanup(other.kill)
        here = list(outcomes(range(STREAMS)))
        self.flushLoggedErrors()
        there = [json.loads(line) for line in said(other).splitlines()]
        self.assertEqual({each.pop("native") for each in here}, {True})
        self.assertEqual({each.pop("native") for each in there}, {False})
        for one, two in zip(here, there, strict=True):
            self.same(one, two)
        text = "".join(text for each in here for text in each["said"])
        for status in 200, 204, 308, 400, 403, 404, 405, 406, 413, 431, 500:
            self.assertIn(f"HTTP/1.1 {status} ", text)

    def same(self, one: dict[str, Any], two: dict[str, Any]) -> None:
        """What became of a stream is the same; otherwise the first that is not."""
        seed = one.pop("seed")
        self.assertEqual(seed, two.pop("seed"))
        for name, here in one.items():
            for each, other in zip_longest(here, two[name]):
                self.assertEqual(each, other, f"{name} of the stream {seed}")


class Value(Struct):
    """What is sent as JSON."""

    text: str


class Pages:
    """
    A page of each kind.

    :ivar waiting: Answers that are not there yet.
    """

    routes = Klein()

    def __init__(self) -> None:
        self.waiting: list[Deferred[Any]] = []
        self.body = b"some bytes"
        self.doing: Callable[[Any], Any] = lambda request: None

    @routes.route("/bytes")
    def some_bytes(self, request: Any) -> bytes:
        return self.body

    @routes.route("/text")
    def text(self, request: Any) -> str:
        return "some text"

    @routes.route("/value")
    def value(self, request: Any) -> Any:
        return {"a": [1, 2]}

    @routes.route("/struct")
    def struct(self, request: Any) -> Any:
        return Value("é")

    @routes.route("/slot/<int:number>")
    def slot(self, request: Any, number: int) -> str:
        return f"{number}"

    @routes.route("/said")
    def say(self, request: Any) -> bytes:
        request.setHeader(b"X-A", b"b")
        request.setHeader("content-type", "text/plain")
        return b"said"

    @routes.route("/cookie")
    def cookie(self, request: Any) -> bytes:
        request.addCookie(b"a", b"b")
        request.setResponseCode(201)
        return b"eaten"

    @routes.route("/asked")
    def asked(self, request: Any) -> str:
        seen = request.uri, request.args, request.getHeader("x"), request.content.read()
        return repr((seen, request.getAllHeaders(), request.client, request.prepath))

    @routes.route("/wrong")
    def wrong(self, request: Any) -> str:
        raise ValueError("wrong")

    @routes.route("/unwritable")
    def unwritable(self, request: Any) -> Any:
        return {"a": object()}

    @routes.route("/lone")
    def lone(self, request: Any) -> str:
        return "\ud800"

    @routes.route("/later")
    def later(self, request: Any) -> Deferred[Any]:
        self.waiting.append(Deferred())
        return self.waiting[-1]

    @routes.route("/pieces")
    def pieces(self, request: Any) -> Any:
        request.write(b"one")
        request.write(b"two")
        request.finish()
        return NOT_DONE_YET

    @routes.route("/do")
    def do(self, request: Any) -> Any:
        return self.doing(request)


class SiteCase(NativeCase):
    """
    A site, and a client of it.
    """

    def setUp(self) -> None:
        super().setUp()
        self.place, self.pages = Place.of(request_id="X-Request-Id"), Pages()
        self.place.site.observe = None
        self.place.mount("/", self.pages.routes)
        self.visit = self.place.visit()
        self.ask("GET /bytes")  # the first is Python's: it may be HTTP/2

    def ask(self, line: str, *headers: str, body: bytes = b"") -> list[str]:
        """
        Ask once.

        :return: the status and the body.
        """
        if self.visit.closed:
            self.visit = self.place.visit()
        method, path = line.split()
        answer = self.visit.ask(path, method, *headers, body=body)
        return [str(answer.status), answer.text]

    def do(self, doing: Callable[[Any], Any]) -> Visit:
        """Let a handler do something, between two other requests."""
        self.pages.doing = doing
        visit = self.visit
        visit.send(request("/bytes") + request("/do") + request("/text"))
        return visit


class MemoryTests(SiteCase):
    """
    What is made for a request goes with it.
    """

    KINDS = (
        "GET /bytes",
        "GET /text",
        "GET /value",
        "GET /struct",
        "GET /slot/5",
        "GET /said",
        "GET /cookie",
        "GET /asked?a=b",
        "GET /pieces",
        "GET /unwritable",
        "GET /lone",
        "GET /wrong",
        "GET /nowhere",
        "HEAD /bytes",
        "OPTIONS /bytes",
        "POST /asked",
        "POST /slot/17",
    )

    def grown(self, work: Callable[[], object]) -> int:
        """
        By how many bytes memory grows whenever something is done often: a cache may
        still be filled the first times.
        """
        tracemalloc.start()
        try:
            self.often(work, WARM)
            for _ in range(3):
                grown = self.often(work, OFTEN)
                if grown < SPARE:
                    break
            return grown
        finally:
            tracemalloc.stop()

    def often(self, work: Callable[[], object], times: int) -> int:
        """Do something; how much more memory there is."""
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(times):
            work()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        return after - before

    def test_requests(self) -> None:
        """
        Requests of a kind leave nothing behind, and take nothing away.
        """
        lanes = self.place.site.lanes
        shared = [
            *(self.place.site, self.pages, self.pages.body, lanes, Value, header_line),
            *(b"GET", sys.modules),
        ]
        for line in self.KINDS:
            body = b"a=b" if line.startswith("POST") else b""

            def work(line: str = line, body: bytes = body) -> None:
                self.ask(line, "X: y", body=body)
                self.flushLoggedErrors()

            work()
            before = counted(shared)
            self.assertLess(self.grown(work), SPARE, line)
            changed = map(int.__sub__, counted(shared), before)
            self.assertLess(max(map(abs, changed)), 20, line)

    def test_later(self) -> None:
        """
        Nor do those that are answered later.
        """

        def work() -> None:
            self.visit.send(request("/later"))
            self.pages.waiting.pop().callback("later")
            self.visit.answer()

        self.assertLess(self.grown(work), SPARE)

    def test_connections(self) -> None:
        """
        Nor do connections, however they end.
        """

        def work() -> None:
            for path in "/bytes", "/later":
                visit = self.place.visit()
                visit.send(request("/bytes"), request(path) + b"GET /")
                visit.leave()
            self.pages.waiting.clear()

        self.assertLess(self.grown(work), SPARE)

    def test_errors(self) -> None:
        """
        Nor does what C cannot go on with.
        """
        serve, channel = self.native.serve, self.visit.connection.wrappedProtocol
        broken: list[Any] = [
            SimpleNamespace(),
            *(a_site(), a_site(numbers=iter(())), a_site(lanes=[])),
            *(
                a_site(numbers=5),
                a_site(id_start=""),
                a_site(lanes={b"GET": {b"/": 5}}),
            ),
        ]
        site = channel.site
        self.addCleanup(setattr, channel, "site", site)

        def work() -> None:
            for each in broken:
                channel.site = each
                try:
                    serve(channel, GET, 0, 0.0)
                except Exception:
                    channel._request = None
                else:
                    self.fail("a broken site was served")

        self.assertLess(self.grown(work), SPARE)

    def test_cycles(self) -> None:
        """
        Requests and connections that know each other go when nobody knows them.
        """
        gone: list[weakref.ref[Any]] = []

        def keep(request: Any) -> str:
            request.me, request.channel.last = request, request
            gone.append(weakref.ref(request))
            gone.append(weakref.ref(request.channel))
            return "kept"

        self.do(keep).leave()
        self.visit = self.place.visit()
        gc.collect()
        self.assertEqual([each() for each in gone], [None, None])


class SaidTests(NativeCase):
    """
    The headers that an application says of its answer.
    """

    #: What is said, and what is read of that: the length, the pairs, the lines.
    READ: tuple[tuple[Any, Any], ...] = (
        ((), (None, [], {})),
        (
            [(b"X-A", b"b"), [b"content-length", b"5"]],
            (5, [(b"x-a", b"b")], {b"X-A": b"X-A: b\r\n"}),
        ),
        (
            ((name, value) for name, value in [(b"www-authenticate", b"")]),
            (
                None,
                [(b"www-authenticate", b"")],
                {b"WWW-Authenticate": b"WWW-Authenticate: \r\n"},
            ),
        ),
        (
            [(b"Content-Length", b"1"), (b"content-length", b"007" + b"0" * 30)],
            (7 * 10**30, [], {}),
        ),
        # Between us and the client (RFC 9110, section 7.6.1).
        (
            [
                *((b"TE", b"a"), (b"Trailer", b"a"), (b"Upgrade", b"a")),
                *((b"Connection", b"close"), (b"Keep-Alive", b"a")),
                *((b"Proxy-Connection", b"a"), (b"Transfer-Encoding", b"chunked")),
            ],
            (None, [], {}),
        ),
        ([(b"date", b"now")], (None, [(b"date", b"now")], None)),
        ([(b"A", b"1"), (b"a", b"2")], (None, [(b"a", b"1"), (b"a", b"2")], None)),
        (
            [(b"set-cookie", b"a=1"), (b"x", b"\xff")],
            (None, [(b"set-cookie", b"a=1"), (b"x", b"\xff")], None),
        ),
    )

    WRONG: tuple[tuple[Any, str], ...] = (
        ([("a", b"b")], "expected headers in bytes, got 'a': b'b'"),
        ([(b"a", bytearray(b"b"))], "expected headers in bytes"),
        ([(b"a", b"b", b"c")], "expected a name and a value, got"),
        (["ab"], "expected headers in bytes"),
        ([b"ab"], "expected headers in bytes"),
        ([(b"a b", b"c")], "b'a b' is no name of a header"),
        ([(b"", b"c")], "b'' is no name of a header"),
        ([(b"a\r\nb", b"c")], "is no name of a header"),
        ([(b"x", b"y"), (b"a", b"b\nc")], "b'b\\nc' is no value of a header"),
        ([(b"a", b"\r")], "is no value of a header"),
        ([(b"content-length", b"-1")], "b'-1' is no Content-Length"),
        ([(b"content-length", b"")], "b'' is no Content-Length"),
    )

    def test_read(self) -> None:
        """
        They are read in one go: how long the body is, what is left in lower case, and
        its lines, where each can just be copied.
        """
        for said, expected in self.READ:
            told = list(said)
            for twin in plain, self.native:
                self.assertEqual(twin.said_headers(iter(told)), expected)
                self.assertEqual(twin.said_headers(tuple(told)), expected)

    def test_wrong(self) -> None:
        """
        What is no header is refused with what is wrong with it.
        """
        for twin in plain, self.native:
            for said, why in self.WRONG:
                error = self.assertRaises(ValueError, twin.said_headers, said)
                self.assertIn(why, str(error))
            self.assertRaises(TypeError, twin.said_headers, 5)
            self.assertRaises(TypeError, twin.said_headers, [5])

    def test_left(self) -> None:
        """
        Neither leaves anything behind.
        """
        said = [(b"X-%d" % number, b"y") for number in range(9)]
        whole = [*said, (b"content-length", b"1000"), (b"x-0", b"y")]

        def work() -> None:
            self.native.said_headers(whole)
            self.native.said_headers(said)
            for each, _ in self.WRONG:
                self.assertRaises(ValueError, self.native.said_headers, each)

        work()
        known = [b"y", *said, *self.WRONG]
        before = counted(known)
        for _ in range(OFTEN):
            work()
        self.assertEqual(counted(known), before)

    def test_shrinking(self) -> None:
        """
        A list may become another while it is read.
        """
        said: list[Any] = [(b"a", b"b")] * 9

        class Shrinking:
            def __iter__(self) -> Iterator[bytes]:
                del said[1:]
                return iter((b"x", b"y"))

        said[0] = Shrinking()
        self.assertEqual(
            self.native.said_headers(said),
            (None, [(b"x", b"y")], {b"X": b"X: y\r\n"}),
        )


class Below(Resource):
    """Has all that is below its path, and knows by itself what that is."""

    isLeaf = streams = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []

    def render(self, request: Any) -> Any:
        self.requests.append(request)
        if request.path.endswith(b"/later"):
            return NOT_DONE_YET
        if request.path.endswith(b"/wrong"):
            raise ValueError("wrong")
        if request.path.endswith(b"/text"):
            return "text"
        if request.method == b"DELETE":
            raise UnsupportedMethod((b"GET",))
        return repr((request.postpath, request.header_pairs())).encode()


class ResourceTests(SiteCase):
    """
    A resource that has all that is below its path.
    """

    def setUp(self) -> None:
        super().setUp()
        self.below = Below()
        self.place.mount("/below", self.below)

    def test_rendered(self) -> None:
        """
        It renders at its path and below, the first time and again.
        """
        pairs = [(b"host", b"example.org"), (b"x-a", b"y")]
        for _ in range(2):
            self.assertEqual(
                self.ask("GET /below/a/b", "X-A:  y "),
                ["200", repr(([b"a", b"b"], pairs))],
            )
            self.assertEqual(self.ask("GET /below")[0], "200")
            self.assertEqual(self.ask("HEAD /below"), ["200", ""])
        self.assertIn(b"GET", self.place.site.lanes)
        self.assertEqual({each.route.path for each in self.below.requests}, {"/below"})

    def test_later(self) -> None:
        """
        It may answer later.
        """
        for _ in range(2):
            self.visit.send(request("/below/later"))
            self.assertEqual(self.visit.wire.value(), b"")
            self.below.requests[-1].answer(b"later")
            self.assertEqual(self.visit.answer().text, "later")

    def test_wrong(self) -> None:
        """
        What it raises, and what it may not return, is answered and logged; a method
        that it does not know is told.
        """
        for _ in range(2):
            self.assertEqual(self.ask("GET /below/wrong")[0], "500")
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
            self.assertEqual(self.ask("GET /below/text")[0], "500")
            (failure,) = self.flushLoggedErrors(TypeError)
            self.assertIn("rendered str", str(failure.value))
            self.assertEqual(self.ask("DELETE /below/x")[0], "405")

    def test_pairs(self) -> None:
        """
        The headers of a request are the same, whoever takes them apart; and what
        somebody has changed, all see.
        """
        lines = "A: b", "a:", "X-B:\t c d \t", "Cookie: a=b; c", "Y: \xe9"
        self.visit.send(request("/below/later", "GET", *lines))
        (it,) = self.below.requests
        pairs = it.header_pairs()
        self.assertEqual(pairs, it._pairs_slowly())
        self.assertEqual(pairs[1:4], [(b"a", b"b"), (b"a", b""), (b"x-b", b"c d")])
        it.requestHeaders.setRawHeaders(b"a", [b"changed"])
        self.assertIn((b"a", b"changed"), it.header_pairs())
        self.assertNotIn((b"a", b"b"), it.header_pairs())


class ReentryTests(SiteCase):
    """
    Handlers may do anything; what is behind them in C stands.
    """

    def test_lanes(self) -> None:
        """
        The way on which a handler was reached may be gone when it returns.
        """

        def forget(request: Any) -> bytes:
            request.site.mounts.lanes.clear()
            for each in request.site.lanes.values():
                each.clear()
            request.route.lane = None
            request.route = request.path_args = request._entered = None
            gc.collect()
            return b"forgotten"

        for _ in range(3):
            answers = self.do(forget).answers()
            self.assertEqual(
                [each.text for each in answers],
                ["some bytes", "forgotten", "some text"],
            )

    def test_arguments(self) -> None:
        """
        So may be the arguments of the path.
        """

        def swap(request: Any) -> bytes:
            request.path_args = None
            gc.collect()
            return b"swapped"

        self.pages.doing = swap
        for _ in range(3):
            self.assertEqual(self.ask("GET /do"), ["200", "swapped"])

    def test_ends(self) -> None:
        """
        A connection may be closed, cut or lost, or the site be gone, under a request
        that C answers.
        """

        def lose(request: Any) -> bytes:
            request._line.connectionLost()
            return b"too late"

        def forget(request: Any) -> bytes:
            del request._line.site
            del request._line.transport
            return b"for nobody"

        for doing in (
            lambda it: it.channel.loseConnection(),
            lambda it: it.channel.abortConnection(),
            lambda it: it.channel.stop_listening(),
            lambda it: it._line._discard(),
            lambda it: it._line._flush(),
            lambda it: setattr(it._line, "_request", None),
            lambda it: setattr(it._line, "_waiting", None),
            lambda it: delattr(it._line, "_waiting"),
            lambda it: delattr(it, "channel"),
            lambda it: delattr(it, "site"),
            lambda it: delattr(it, "method"),
            lambda it: delattr(it, "clientproto"),
            lambda it: setattr(it, "_said", {b"X": 5}),
            lambda it: setattr(it, "_said", 5),
            lose,
            forget,
        ):
            self.visit = self.place.visit()
            self.visit.send(request("/bytes"))
            self.do(doing)
            gc.collect()
        self.flushLoggedErrors()
        self.visit = self.place.visit()
        self.assertEqual(self.ask("GET /text"), ["200", "some text"])

    def test_more_meanwhile(self) -> None:
        """
        Bytes may come while a handler runs, and others may be answered.
        """
        other = self.place.visit()
        other.send(request("/bytes"), request("/later"))
        other.answers()

        def meddle(it: Any) -> bytes:
            self.pages.waiting.pop().callback("later")
            it.channel.dataReceived(request("/value"))
            it.channel.write(b"")
            return b"done"

        visit = self.do(meddle)
        visit.send(request("/struct"))
        answers = [each.text for each in visit.answers()]
        self.assertEqual(answers[:3], ["some bytes", "done", "some text"])
        self.assertEqual(answers[3:], ['{"a":[1,2]}', '{"text":"é"}'])
        self.assertEqual(other.answer().text, "later")

    def test_in_order(self) -> None:
        """
        What comes while a handler runs is behind what has come before, whoever reads
        that.
        """
        text = request("/text")

        def let_in(it: Any) -> bytes:
            it.channel.dataReceived(text[20:] + request("/value"))
            return b"done"

        self.pages.doing = let_in
        self.visit.send(request("/do") + text[:20], request("/struct"))
        self.assertEqual(
            [each.text for each in self.visit.answers()],
            ["done", "some text", '{"a":[1,2]}', '{"text":"é"}'],
        )

    def test_observed_at_once(self) -> None:
        """
        Who begins to listen in a handler hears of that request already.
        """
        heard: list[Any] = []

        def listen(it: Any) -> bytes:
            it.site.observe = heard.append
            return b"done"

        self.do(listen)
        self.assertEqual([each.path for each in heard], [b"/do", b"/text"])

    def test_lost(self) -> None:
        """
        Of requests behind one whose client leaves meanwhile none is served, and the
        answer has nowhere to go.
        """
        for size in 1, 100_000:
            served: list[Any] = []

            def lose(it: Any, size: int = size, served: list[Any] = served) -> bytes:
                served.append(it)
                self.visit.leave()
                return bytes(size)

            self.visit = self.place.visit()
            self.visit.send(request("/bytes"))
            self.pages.doing = lose
            self.visit.send(request("/do") * 3)
            self.assertEqual(len(served), 1)
            kinds = {each.type for each in self.flushLoggedErrors()}
            self.assertLessEqual(kinds, {RuntimeError})

    def test_last_words(self) -> None:
        """
        What a handler returns may do something when it goes, or fail to.
        """

        class Word(dict[str, int]):
            def __del__(word) -> None:
                self.visit.send(request("/struct"))
                gc.collect()

        answers = self.do(lambda it: [Word(a=1)]).answers()
        texts = ["some bytes", '[{"a":1}]', "some text", '{"text":"é"}']
        self.assertEqual([each.text for each in answers], texts)

    def test_writes(self) -> None:
        """
        What is written in between, in whatever kind of bytes, and however much, stays
        in its order.
        """

        def write(request: Any) -> Any:
            channel = request.channel
            channel.write(
                bytearray(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n")
            )
            for piece in bytes(50_000), memoryview(bytes(100_000)), b"", bytes(50_000):
                channel.write(piece)
            for wrong in "text", None, 5, [b"a"]:
                self.assertRaises(TypeError, channel.write, wrong)
            request.startedWriting = 1
            request.finish()
            return NOT_DONE_YET

        one, two, three = self.do(write).answers()
        self.assertEqual((one.text, three.text), ("some bytes", "some text"))
        self.assertEqual((two.body, two.whole), (bytes(200_000), True))

    def test_goodbye(self) -> None:
        """
        Whoever hears of a request that is over may say goodbye: the connection ends
        behind its answer.
        """
        self.place.site.observe = lambda it: it.channel.drain()
        self.visit.send(request("/bytes"))
        self.assertEqual(self.visit.answer().text, "some bytes")
        self.assertTrue(self.visit.closed)

    def test_one_write(self) -> None:
        """
        What is asked in one piece is answered in one, whoever answers it.
        """
        written: list[bytes] = []
        self.visit.wire.write = written.append  # type: ignore[method-assign]
        for header in "X: y", "Upgrade: c", "Expect: 100-continue", "TE: trailers":
            for path in "/bytes", "/cookie", "/nowhere", "/pieces":
                odd = request(path, "GET", header)
                self.visit.send(request("/text") + odd + request("/bytes"))
        self.assertEqual(len(written), 16)

    def test_every_size(self) -> None:
        """
        Answers of any size come whole, and one behind another.
        """
        for size in 0, 1, 1023, 65_535, 65_536, 65_537, 262_144, 262_145:
            self.pages.body = b"x" * size
            self.visit.send(request("/bytes") * 3)
            answers = self.visit.answers()
            self.assertEqual([len(each.body) for each in answers], [size] * 3)
            self.assertTrue(all(each.whole for each in answers))


class ArgumentTests(NativeCase):
    """
    What has the wrong type, or is missing, is refused.
    """

    def channel(self, **site: Any) -> Any:
        """A connection that C would serve."""
        channel = self.native.ChannelBase()
        channel._longest_line = channel._most_headers = 1000
        channel._most_header_bytes = 1000
        channel._batching, channel._fresh, channel._quick = True, False, True
        channel.site = a_site(**site)
        return channel

    def test_serve(self) -> None:
        """
        A connection, bytes, a place in them, and a time.
        """
        channel, serve = self.channel(), self.native.serve
        for wrong in (
            (),
            (channel, GET, 0),
            (channel, GET, 0, 0.0, 0),
            (None, GET, 0, 0.0),
            (object(), GET, 0, 0.0),
            (plain.ChannelBase(), GET, 0, 0.0),
            (channel, "text", 0, 0.0),
            (channel, bytearray(GET), 0, 0.0),
            (channel, memoryview(GET), 0, 0.0),
            (channel, GET, "0", 0.0),
            (channel, GET, 0.0, 0.0),
            (channel, GET, 0, "0"),
        ):
            self.assertRaises(TypeError, serve, *wrong)
        self.assertRaises(OverflowError, serve, channel, GET, 2**64, 0.0)
        for place in -1, -(2**40), -sys.maxsize - 1:
            self.assertRaises(ValueError, serve, channel, GET, place, 0.0)

    def test_places(self) -> None:
        """
        Where nothing begins that is plain, nothing is read.
        """
        channel, serve = self.channel(), self.native.serve
        for place in *range(1, len(GET) + 1), len(GET) + 1, sys.maxsize:
            self.assertEqual(serve(channel, GET, place, 0.0), place)
        for end in range(len(GET)):
            self.assertEqual(serve(channel, GET[:end], 0, 0.0), 0)
        self.assertEqual(serve(channel, b"", 0, 0.0), 0)

    def test_no_site(self) -> None:
        """
        A connection without a site, or of one that lacks something, is not served.
        """
        serve = self.native.serve
        self.assertRaises(AttributeError, serve, self.native.ChannelBase(), GET, 0, 0.0)
        for name in vars(a_site()):
            channel = self.channel()
            delattr(channel.site, name)
            self.assertRaises(AttributeError, serve, channel, GET, 0, 0.0)
        for name, wrong in ("lanes", []), ("numbers", 5), ("id_start", "x"):
            channel = self.channel(**{name: wrong})
            self.assertRaises(TypeError, serve, channel, GET, 0, 0.0)

    def test_lanes(self) -> None:
        """
        What is no lane is none: the site is asked.
        """

        def way(request: Any) -> Any:
            raise LookupError("asked")

        def call(request: Any) -> bytes:
            return b"called"

        lanes: Iterator[Any] = iter(
            [5, (), (5,), (None,) * 5, (None,) * 7, [None] * 6, None]
        )
        for lane in lanes:
            for known in {b"GET": {b"/": lane}}, {b"GET": lane}, {"GET": {b"/": lane}}:
                channel = self.channel(lanes=known, way=way)
                raised: Any = LookupError, AttributeError  # the request finds no site
                self.assertRaises(raised, self.native.serve, channel, GET, 0, 0.0)
        lane = None, call, True, 5, None, True
        channel = self.channel(lanes={b"GET": {b"/": lane}}, draining=False)
        self.assertRaises(TypeError, self.native.serve, channel, GET, 0, 0.0)

    def test_data(self) -> None:
        """
        What is no connection of a site is left to who has made it.
        """
        heard: list[Any] = []

        class Own(self.native.ChannelBase):  # type: ignore[name-defined,misc]
            def _data_received(self, data: Any) -> None:
                heard.append(data)

        for waiting in b"more", None, 5, bytearray():
            own = Own()
            own._fresh, own._quick = False, True
            own.site, own._waiting = SimpleNamespace(is_quick=True), waiting
            own.dataReceived(GET)
        own = Own()
        own._fresh, own._quick = False, True
        own.dataReceived(GET)
        own.site = SimpleNamespace(is_quick=True)
        del own._waiting
        own.dataReceived(GET)
        own.dataReceived("text")
        self.assertEqual(heard, [GET] * 6 + ["text"])

    def test_set_request(self) -> None:
        """
        Requests are made of a kind of request.
        """
        for wrong in int, None, self.native.RequestBase(), server.Request, "Request":
            self.assertRaises(TypeError, self.native.set_request, wrong)
        self.native.set_request(Request)

    def test_set_up(self) -> None:
        """
        C is given what it wants of Python, or nothing.
        """
        self.assertRaises(TypeError, self.native.set_up)
        self.assertRaises(TypeError, self.native.set_up, *[None] * 10)

    def test_answer(self) -> None:
        """
        What is no request of ours, or is not being answered, is not answered.
        """
        request, channel = self.native.RequestBase(), self.channel(draining=False)
        wrong: Any
        for wrong in "text", None, bytearray(b"a"):
            self.assertIs(request._answer_plainly(wrong), False)
        self.assertIs(request._answer_plainly(b"a"), False)
        for wrong in None, 5, plain.ChannelBase():
            request.channel = wrong
            self.assertIs(request._answer_plainly(b"a"), False)
        request.channel = channel
        self.assertIs(request._answer_plainly(b"a"), False)
        request.method, request.clientproto = b"GET", b"HTTP/1.1"
        channel._request = request
        self.assertRaises(AttributeError, request._answer_plainly, b"a")

    def test_headers(self) -> None:
        """
        A header of an answer has a name and a value.
        """
        wrong: tuple[Any, ...]
        request = Request.__new__(Request)
        for wrong in (), (b"a",), (b"a", b"b", b"c"), ([], []), (5, b"a"):
            self.assertRaises(TypeError, request.setHeader, *wrong)
        self.assertRaises(TypeError, request.setHeader, b"a", name=b"b")
        self.assertRaises(TypeError, request.setHeader, b"a", worth=b"b")
        request.setHeader(b"a", value=b"b")
        request.setHeader(value="d", name="c")
        self.assertEqual(request._said, {b"A": b"A: b\r\n", b"C": b"C: d\r\n"})

    def test_subclasses(self) -> None:
        """
        Both kinds can be subclassed, with slots or without, and have room for more.
        """
        for kind in self.native.RequestBase, self.native.ChannelBase:
            with_slots = type("WithSlots", (kind,), {"__slots__": ("more",)})
            without = type("Without", (kind,), {})
            for own in with_slots(), without():
                own.more = own
                self.assertIs(own.more, own)
            self.assertRaises(AttributeError, setattr, with_slots(), "other", 1)
            self.assertRaises(AttributeError, setattr, kind(), "other", 1)
            own = without()
            gone = weakref.ref(own)
            own.site = own
            del own
            gc.collect()
            self.assertIsNone(gone())

    def test_attributes(self) -> None:
        """
        Numbers and switches take nothing else; what is deleted is C{None}.
        """
        request, channel = self.native.RequestBase(), self.native.ChannelBase()
        for owner, name in (
            *((request, "number"), (request, "code"), (request, "_started")),
            *((channel, "unsent"), (channel, "_deaf"), (channel, "_longest_line")),
            *((channel, "_since"), (request, "began")),
        ):
            self.assertRaises(TypeError, setattr, owner, name, "text")
            self.assertRaises(TypeError, delattr, owner, name)
        for owner, name in (
            *((request, "site"), (request, "uri"), (request, "_fields")),
            *((request, "path"), (channel, "site"), (channel, "_waiting")),
        ):
            setattr(owner, name, b"a")
            delattr(owner, name)
            self.assertIsNone(getattr(owner, name))
        self.assertIs(request.direct, False)


class UnpreparedTests(SynchronousTestCase):
    """
    By itself, before Python has given it what it needs, the compiled twin does nothing.
    """

    skip = why_not()

    def test_nothing(self) -> None:
        """
        It says so.
        """
        code = (
            "import sys, types\n"
            "sys.modules['ropewalk.web'] = web = types.ModuleType('ropewalk.web')\n"
            f"web.__path__ = [{str(ROOT / 'platform' / 'ropewalk' / 'web')!r}]\n"
            "from ropewalk.web._quick import ChannelBase, RequestBase, serve\n"
            "channel = ChannelBase()\n"
            "for work, args in (\n"
            "    (RequestBase().setHeader, (b'a', b'b')),\n"
            f"    (serve, (channel, {GET!r}, 0, 0.0)),\n"
            "):\n"
            "    try:\n"
            "        work(*args)\n"
            "    except RuntimeError as error:\n"
            "        print(error)\n"
        )
        words = said(python("-c", code)).splitlines()
        self.assertEqual(
            words, ["set_up comes first", "set_up and set_request come first"]
        )
