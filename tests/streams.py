"""
Random streams of requests, and what a site makes of them. Of one seed the same comes
each time, in any process, and whichever way requests go: in C or in Python.

    python -m tests.streams FIRST NUMBER      # a line of JSON for the tour, then for
                                              # each seed
"""

from __future__ import annotations

import json
import re
import sys
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from random import Random
from typing import Any

from attrs import Factory, asdict, define
from msgspec import Struct
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from werkzeug.exceptions import Forbidden, NotFound

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import Conflict
from ropewalk.interfaces import Steps
from ropewalk.schema import Shape
from ropewalk.telemetry import work
from ropewalk.web.limits import HttpLimits
from ropewalk.web.problems import Refused
from ropewalk.web.proxies import Proxies
from ropewalk.web.quick import is_native
from ropewalk.web.routes import Routes
from tests.visiting import Place, Visit, request

__all__ = ["Client", "Outcome", "become", "outcomes", "tour"]

_DATE = re.compile(rb"(?m)^Date: [^\r\n]*")


class Point(Struct):
    """A value of somebody else's."""

    x: int
    y: float


class Person(Shape):
    """A value of ours."""

    name: str
    age: int = 5


class Away(BaseException):
    """No accident, and nothing that code catches by mistake."""


class Box(Resource):
    """A resource with one method."""

    isLeaf = True

    def render_POST(self, request: Any) -> bytes:
        return b"boxed " + bytes(request.content.read())


class Below(Resource):
    """A resource that has all that is below its path, and takes bodies as they come."""

    isLeaf = streams = True

    def render(self, request: Any) -> Any:
        if request.path.endswith(b"/wrong"):
            raise Away
        if request.path.endswith(b"/text"):
            return "text"
        if request.method in (b"PUT", b"DELETE"):
            raise UnsupportedMethod((b"GET", b"POST"))
        body = request.whole_body
        return repr((request.postpath, request.header_pairs(), body)).encode()


#: What may be said in headers of an answer, in all the ways that there are.
SAYINGS: list[Callable[[Any], object]] = [
    lambda it: it.setHeader(b"X-A", b"1"),
    lambda it: it.setHeader("x-a", "é"),
    lambda it: it.setHeader(name=b"x-a", value=b"2"),
    lambda it: it.setHeader("content-type", "text/plain"),
    lambda it: it.setHeader(b"Content-Type", b"application/json"),
    lambda it: it.setHeader(b"content-length", b"3"),
    lambda it: it.setHeader("Server", "me"),
    lambda it: it.setHeader("Date", "now"),
    lambda it: it.setHeader("ETag", '"a"'),
    lambda it: it.setHeader("Set-Cookie", "a=b"),
    lambda it: it.setHeader("X-Request-Id", "mine"),
    lambda it: it.setHeader("Connection", "close"),
    lambda it: it.setHeader("Connection", "keep-alive"),
    lambda it: it.setHeader("Vary", "cookie"),
    lambda it: it.setHeader("X-A", "a\r\nX-B: b"),
    lambda it: it.setHeader("X A", "a"),
    lambda it: it.setHeader("X-A", 5),
    lambda it: it.setHeader(bytearray(b"x-a"), b"1"),
    lambda it: it.setHeader("X-A"),
    lambda it: it.responseHeaders.addRawHeader("X-A", "3"),
    lambda it: it.responseHeaders.removeHeader("x-a"),
    lambda it: it.responseHeaders.removeHeader("server"),
    lambda it: it.addCookie(b"a", b"b"),
    lambda it: it.addCookie("c", "d", path="/"),
    lambda it: it.setETag(b'"b"'),
    lambda it: it.setLastModified(1000),
    lambda it: it.setResponseCode(200, b"Fine"),
    lambda it: it.setResponseCode(200),
    lambda it: it.setResponseCode(201),
    lambda it: it.setResponseCode(204),
    lambda it: it.setResponseCode(304),
    lambda it: it.setResponseCode(418, b"Short"),
    lambda it: setattr(it, "defaultContentType", b"text/css"),
    lambda it: setattr(it, "defaultContentType", None),
    lambda it: setattr(it, "code", 202),
]

#: What there is to be seen of a request. Each may be worked out when it is asked for.
SIGHTS: list[Callable[[Any], object]] = [
    lambda it: [it.method, it.path, it.uri, it.clientproto],
    lambda it: it.args,
    lambda it: sorted(it.requestHeaders.getAllRawHeaders()),
    lambda it: it.getAllHeaders(),
    lambda it: [it.getHeader("host"), it.getHeader(b"X"), it.getHeader("accept")],
    lambda it: [it.asked_header(b"x"), it.asked_header(b"x:y"), it.asked_header(b"")],
    lambda it: it.content.read(),
    lambda it: [str(it.client), str(it.host), it.getClientAddress().host],
    lambda it: [it.prepath, it.postpath, it.sitepath],
    lambda it: [it.getCookie(b"a"), it.received_cookies],
    lambda it: [it.name, it.id, str(work.get())],
    lambda it: [it.isSecure(), it.getRequestHostname()],
    lambda it: [it.path_args, it.route.name, it.number],
    lambda it: [it.URLPath(), it.prePathURL()],
    lambda it: [it.began, it.longest_body, it.direct, it.aborted],
    lambda it: [it.code, it.code_message, it.finished, it.startedWriting],
    lambda it: it.said_header(b"Content-Type"),
]

#: What may happen to a connection, or to others, while a request is answered.
DOINGS: list[Callable[[Pages, Any], object]] = [
    lambda pages, it: it.channel.loseConnection(),
    lambda pages, it: it.loseConnection(),
    lambda pages, it: it.channel.abortConnection(),
    lambda pages, it: it.channel.connectionLost(Failure(ConnectionLost())),
    lambda pages, it: it.channel.drain(),
    lambda pages, it: it.channel.pauseProducing(),
    lambda pages, it: it.channel.stop_listening(),
    lambda pages, it: it.channel.write(b""),
    lambda pages, it: it.channel.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    lambda pages, it: it.channel.dataReceived(b"GET"),
    lambda pages, it: setattr(it.channel, "persistent", False),
    lambda pages, it: setattr(it, "path", b"/other/<"),
    lambda pages, it: setattr(it, "uri", b"/elsewhere"),
    lambda pages, it: setattr(it, "method", b"HEAD"),
    lambda pages, it: setattr(it, "clientproto", b"HTTP/1.0"),
    lambda pages, it: setattr(it, "path_args", {"a": 1}),
    lambda pages, it: it.notifyFinish().addBoth(pages.hear),
    lambda pages, it: pages.fire(0),
    lambda pages, it: pages.fire(-1),
    lambda pages, it: pages.mount_more(),
    lambda pages, it: pages.place.site.mounts.lanes.clear(),
    lambda pages, it: work.set(work.get()),
]

#: What handlers return that is no text and no bytes.
VALUES: list[Callable[[], object]] = [
    lambda: {"a": 1, "é": [None, True, 1.5]},
    dict,
    lambda: [1, "é", {"a": "b"}],
    list,
    lambda: Point(1, 2.5),
    lambda: Person("Ann"),
    lambda: [Point(1, 0.5)],
    lambda: {"a": object()},
    lambda: {1: 2},
    lambda: [float("nan")],
    lambda: (1, 2),
    lambda: None,
    lambda: 5,
    lambda: NOT_DONE_YET,
    lambda: True,
    lambda: {1},
    lambda: bytearray(b"some"),
    lambda: memoryview(b"more"),
    lambda: Box(),
    lambda: succeed("done"),
    lambda: succeed({"a": 1}),
    lambda: fail(ValueError("failed")),
    lambda: Failure(ValueError("a failure")),
    lambda: Refused(404, "returned"),
    lambda: Sub("a kind of text"),
    lambda: SubBytes(b"a kind of bytes"),
    lambda: SubDict(a=1),
]

ERRORS: list[Callable[[], BaseException]] = [
    lambda: ValueError("some value"),
    lambda: Refused(403, "not you"),
    lambda: Conflict("it", "one", "two"),
    lambda: NotFound(),
    lambda: Forbidden("no"),
    lambda: StopIteration(5),
    lambda: UnicodeError(),
    lambda: CancelledError(),
    lambda: Away(),
    lambda: GeneratorExit(),
]


class Sub(str):
    """A kind of text."""


class SubBytes(bytes):
    """A kind of bytes."""


class SubDict(dict[str, int]):
    """A kind of dict."""


@define
class Pages:
    """
    What is served: a handler for each way to answer.

    :ivar waiting: Answers that are not there yet.
    :ivar heard: What came by the way.
    """

    place: Place
    waiting: list[Deferred[Any]] = Factory(list)
    heard: list[str] = Factory(list)

    routes = Routes()

    def hear(self, what: object) -> None:
        """Note something."""
        kind = type(what).__name__
        self.heard.append(f"{kind} {getattr(what, 'uri', '')!r}")

    def wait(self) -> Deferred[Any]:
        """Something that comes later."""
        waiting: Deferred[Any] = Deferred()
        self.waiting.append(waiting)
        return waiting

    def fire(self, place: int, answer: object = "later") -> None:
        """Let one of those come that are waited for."""
        if self.waiting:
            waiting = self.waiting.pop(place)
            if not waiting.called:
                waiting.callback(answer)

    def mount_more(self) -> None:
        """Serve something else."""
        if "/more" not in self.place.site.mounts:
            self.place.mount("/more", Box())

    @routes.route("/")
    def root(self, request: Any) -> str:
        return "Hello, world!"

    @routes.route("/bytes/<int:size>")
    def some_bytes(self, request: Any, size: int) -> bytes:
        return b"x" * min(size, 300_000)

    @routes.route("/text/<int:number>")
    def text(self, request: Any, number: int) -> str:
        return ["", "é", "\ud800", "<", "x" * 70_000][number % 5]

    @routes.route("/literal/bytes")
    def literal_bytes(self, request: Any) -> bytes:
        return b"literal"

    @routes.route("/literal/empty")
    def literal_empty(self, request: Any) -> bytes:
        return b""

    @routes.route("/literal/text")
    def literal_text(self, request: Any) -> str:
        return ""

    @routes.route("/literal/value")
    def literal_value(self, request: Any) -> dict[str, int]:
        return {"a": 1}

    @routes.route("/value/<int:number>")
    def value(self, request: Any, number: int) -> Any:
        return VALUES[number % len(VALUES)]()

    @routes.route("/say/<int:one>/<int:two>/<int:number>")
    def say(self, request: Any, one: int, two: int, number: int) -> Any:
        SAYINGS[one % len(SAYINGS)](request)
        SAYINGS[two % len(SAYINGS)](request)
        return [b"said", "said", b"", "", {"said": True}, [], Point(1, 2)][number % 7]

    @routes.route("/see/<int:one>/<int:two>")
    def see(self, request: Any, one: int, two: int) -> str:
        seen = [SIGHTS[each % len(SIGHTS)](request) for each in (one, two)]
        return ascii(seen)

    @routes.route("/do/<int:one>/<int:two>/<int:number>")
    def do(self, request: Any, one: int, two: int, number: int) -> Any:
        DOINGS[one % len(DOINGS)](self, request)
        DOINGS[two % len(DOINGS)](self, request)
        return ["done", b"done", {"done": True}, self.wait()][number % 4]

    @routes.route("/raise/<int:number>")
    def wrong(self, request: Any, number: int) -> str:
        request.setHeader("X-A", "1")
        raise ERRORS[number % len(ERRORS)]()

    @routes.route("/later")
    def later(self, request: Any) -> Deferred[Any]:
        return self.wait()

    @routes.route("/said-later")
    @inlineCallbacks
    def said_later(self, request: Any) -> Steps[Any]:
        answer = yield self.wait()
        request.setHeader("X-A", "1")
        return answer

    @routes.route("/async")
    async def asynchronous(self, request: Any) -> Any:
        return await self.wait()

    @routes.route("/write/<int:number>")
    def write(self, request: Any, number: int) -> Any:
        request.write(b"written ")
        if number % 4 == 0:
            request.finish()
        if number % 4 == 1:
            self.wait().addCallback(lambda _: request.finish())
        return NOT_DONE_YET if number % 4 < 2 else b"and returned"

    @routes.route("/finish")
    def finish(self, request: Any) -> Any:
        request.finish()
        return NOT_DONE_YET

    @routes.route("/items/<int:id>")
    def item(self, request: Any, id: int) -> dict[str, int]:
        return {"id": id}

    @routes.route("/items/<name>/<path:rest>")
    def items(self, request: Any, name: str, rest: str) -> str:
        return ascii((name, rest))

    @routes.route("/branch/", branch=True)
    def branch(self, request: Any) -> Any:
        return Box()

    @routes.post("/echo")
    def echo(self, request: Any) -> bytes:
        return bytes(request.content.read())

    @routes.route("/form", methods=["GET", "POST"])
    def form(self, request: Any) -> str:
        return ascii(sorted(request.args.items()))

    @routes.get("/typed/<int:id>")
    def typed(self, id: int, q: str = "") -> Any:
        return ["text", b"bytes", {"a": q}, Point(1, 2), "", b"", self.wait()][id % 7]

    @routes.post("/typed")
    def take(self, person: Person) -> Person:
        return person

    @routes.get("/typed/request/<int:id>")
    def typed_with_request(self, request: Any, id: int, accept: str = "") -> Any:
        return ["text", b"bytes", {"a": accept}, Point(1, 2)][id % 4]

    @routes.handle_errors(UnicodeError)
    def amend(self, request: Any, failure: Failure) -> str:
        return "amended"


@define
class Outcome:
    """
    What became of a stream.

    :ivar said: What was answered on each connection, without the date.
    :ivar ends: How each of them ended.
    :ivar seen: What the site noted of its requests.
    :ivar heard: What handlers noted.
    :ivar logged: What was logged.
    """

    said: list[str]
    ends: list[str]
    seen: list[str]
    heard: list[str]
    logged: list[str]


# What is asked.

PATHS = [
    *("/", "//", "/nowhere", "/%2f", "/%ff", "/%C3%A9", "/{a}|b", "/more", "/box"),
    *("/box", "/box/a", "/box/a/%ff", "/branch/a"),
    *("/below", "/below/a", "/below/a", "/below/%ff?b", "/below/text", "/below/wrong"),
    *("/literal/bytes", "/literal/empty", "/literal/text", "/literal/value"),
    *("/literal/bytes", "/literal/%62ytes", "/literal/bytes/", "//literal/bytes"),
    *("/later", "/later", "/said-later", "/async", "/finish", "/echo", "/form"),
    *("/items/5", "/items/-5", "/items/5x", "/items/a/b/c", "/items/a%2Fb/%C3%A9"),
    *("/branch", "/branch/", "/branch/a/b", "/typed", "/typed/0"),
    *("http://example.org/", "http://b/items/7?q", "https://c"),
]
NUMBERED = {
    "/bytes": 1,
    "/text": 1,
    "/value": 1,
    "/say": 3,
    "/see": 2,
    "/do": 3,
    "/raise": 1,
    "/write": 1,
    "/items": 1,
    "/typed": 1,
    "/typed/request": 1,
}
SIZES = [0, 1, 5, 17, 1000, 1001, 66_000, 300_000]
QUERIES = ["", "", "", "?", "?a=b&a=c&b", "?q=%C3%A9", "?accept=x", "?a?b\\"]
METHODS = "GET GET GET GET GET POST POST HEAD PUT DELETE OPTIONS PATCH BREW get".split()
HEADERS = [
    *("Accept: */*", "Accept: application/json", "Accept: text/html", "accept: a/b"),
    *("Accept: application/json;q=0", "ACCEPT: */*", "Accept:", "Accept: */*, a/b"),
    *("Cookie: a=b; c=d", "X: y", "x:z", "X:\t y ", "X:y:z", "X: \xff", "X:", "a:b"),
    *("Connection: keep-alive", "connection: Keep-Alive", "Range: a", "TE: trailers"),
    *('If-None-Match: "b"', "Accept-Encoding: gzip", "X-Request-Id: theirs"),
    *("X-Forwarded-For: 1.2.3.4", "Forwarded: for=1.2.3.4;proto=https;host=c:81"),
    *("If-Modified-Since: Thu, 01 Jan 1970 01:00:00 GMT", "X: " + "y" * 100),
]
KINDS = ["application/json", "multipart/form-data", "application/x-www-form-urlencoded"]
BODIES = ["abc", "a=b&c=d", '{"name": "Ann"}', "x" * 17, "x" * 1001, "\xff", ""]

# And what should not be.

ODD_PATHS = ["/a b", "/<", "*", "a:443", "HTTP://", "nowhere", "/\xe9", "/?\xe9"]
ODD_HEADERS = [
    *("Connection: close", "Connection: keep-alive, x", "Connection: upgrade"),
    *("Expect: 100-continue", "Upgrade: b", "Transfer-Encoding: chunked", "A" * 30),
    *("Content-Length: 3", "Content-Length: +1", "Host: b", "X: \x00", " folded: a"),
    *("X : y", "no colon", "X: " + "y" * 200, "Authorization: a", "Expect: more"),
]
HOSTS = ["host:a_b:80", "Host:", "HOST: [::1]", "Host: a b", "Host: a:65536", "X: y"]
VERSIONS = ["1.0", "1.0", "1.0", "1.2", "2.0", "x"]
ODD = ["\r", "\n", "\r\n", " ", "\x00", ":", "GET", "/", "\t", "\x7f", "0", "HTTP/1.1"]


@define
class Client:
    """
    Somebody who asks.

    :ivar odds: How often something is not usual, from 0 to 1.
    """

    random: Random
    odds: float

    def say(self) -> list[bytes]:
        """Some requests, as TCP may bring them."""
        random = self.random
        asked = (self.ask() for _ in range(random.choice([1, 1, 3, 8, 16])))
        said = "".join(asked).encode("latin-1")
        number = random.choice([0, 0, 0, 1, 2, 5, len(said) // 60])
        places = sorted(random.randrange(len(said) + 1) for _ in range(number))
        pieces = zip([0, *places], [*places, len(said)], strict=True)
        return [said[start:end] for start, end in pieces if start < end]

    def ask(self) -> str:
        """Say one request, or nearly."""
        random = self.random
        method, path = random.choice(METHODS), self.path() + random.choice(QUERIES)
        version = random.choice(VERSIONS) if self.oddly() else "1.1"
        fields = [random.choice(HOSTS) if self.oddly() else "Host: example.org"]
        fields += random.sample(HEADERS, random.choice([0, 0, 1, 2, 4]))
        if self.oddly():
            fields += random.sample(ODD_HEADERS, random.choice([1, 1, 2]))
        body = ""
        if method in ("POST", "PUT", "PATCH") or self.oddly():
            body = random.choice(BODIES)
            fields.append(f"Content-Type: {random.choice(KINDS)}")
            if random.random() < 0.2:
                fields.append("Transfer-Encoding: chunked")
                body = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n" if body else "0\r\n\r\n"
            else:
                fields.append(f"Content-Length: {len(body)}")
        random.shuffle(fields)
        said = "\r\n".join([f"{method} {path} HTTP/{version}", *fields, "", ""]) + body
        return self.mutated(said) if self.oddly() else said

    def oddly(self) -> bool:
        """Whether something is not usual this time."""
        return self.random.random() < self.odds

    def path(self) -> str:
        random = self.random
        if self.oddly():
            return random.choice(ODD_PATHS)
        if random.random() < 0.4:
            return random.choice(PATHS)
        name, slots = random.choice([*NUMBERED.items()])
        sizes = SIZES if name == "/bytes" else range(40)
        return name + "".join(f"/{random.choice(sizes)}" for _ in range(slots))

    def mutated(self, said: str) -> str:
        """Some bytes with something put into them, or taken from them."""
        random = self.random
        place, odd = random.randrange(len(said)), random.choice(["", *ODD])
        return said[:place] + odd + said[place + random.randrange(3) :]


def _place(random: Random) -> Place:
    """A site, with limits of its own."""
    place = Place.of(
        Box() if random.random() < 0.3 else None,
        longest_body=random.choice([10, 1000, 100_000]),
        request_id=random.choice(["", "X-Request-Id"]),
        proxies=Proxies(["10.9.8.7"]) if random.random() < 0.2 else None,
        limits=HttpLimits(
            line=random.choice([64, 8192, 8192, 8192]),
            headers=random.choice([6, 100, 100, 100]),
            header_bytes=random.choice([120, 32_768, 32_768, 32_768]),
            requests=random.choice([0, 3, 100_000, 100_000]),
            unsent=random.choice([1, 1000, 262_144, 262_144]),
            spool=random.choice([0, 16, 65_536]),
        ),
    )
    place.site.process = "0123456789ab"
    if random.random() < 0.3:
        place.site.observe = None
    return place


# What becomes of it.


@define
class _Line:
    """
    A connection.

    :ivar visit: The client's end.
    :ivar channel: The site's end.
    :ivar pieces: What the client is about to say.
    """

    visit: Visit
    channel: Any
    pieces: list[bytes] = Factory(list)

    @property
    def is_open(self) -> bool:
        return not self.visit.lost and not self.visit.closed

    def said(self) -> str:
        """All that the site has answered, but for the date."""
        return _DATE.sub(b"Date: -", self.visit.wire.value()).decode("latin-1")

    def leave(self) -> None:
        """Be gone."""
        if not self.visit.lost:
            self.visit.leave()

    def end(self) -> str:
        """How it is at the end."""
        channel = self.channel
        inside = {
            name: getattr(channel, name)
            for name in (
                *("_waiting", "_left", "_served", "_since", "_waits_for_head"),
                *("persistent", "_deaf", "_closing", "_lost", "_batching"),
                *("_waitingForTransport", "_paused", "_lingers"),
            )
        }
        busy = channel._request is not None
        return ascii((inside, self.visit.closed, self.visit.wire.aborted, busy))


@define
class _Run:
    """
    One stream, on its way.

    :ivar lines: All connections, those that are closed as well.
    :ivar raised: What would have gone to the reactor.
    """

    random: Random
    place: Place
    pages: Pages
    client: Client
    lines: list[_Line] = Factory(list)
    raised: list[str] = Factory(list)

    def go(self) -> None:
        """Say it all, and let other things happen meanwhile."""
        for _ in range(self.random.choice([3, 20, 40])):
            self.attempt(self.go_on)
            if self.random.random() < 0.3:
                self.attempt(self.happen)
        for line in self.lines:
            if not line.channel._lost:
                self.attempt(line.channel.resumeProducing)
        while self.pages.waiting:
            self.attempt(lambda: self.pages.fire(0))

    def go_on(self) -> None:
        """Say something on a connection."""
        lines = [each for each in self.lines if each.is_open]
        if len(lines) < self.random.choice([1, 1, 1, 2]):
            visit = self.place.visit()
            lines = [_Line(visit, visit.connection.wrappedProtocol)]
            self.lines += lines
        line = self.random.choice(lines)
        if not line.pieces:
            line.pieces = self.client.say()
        line.visit.send(line.pieces.pop(0))

    def attempt(self, work: Callable[[], object]) -> None:
        """Do something; what it raises goes to the reactor."""
        try:
            work()
        except BaseException as error:
            self.raised.append(type(error).__name__)

    def happen(self) -> None:
        """Something else happens."""
        random, signals = self.random, self.place.site.signals
        line = random.choice(self.lines)
        what = random.choice(["fire"] * 8 + ["fail", "time", "pause", *["go on"] * 2])
        if what == "fire":
            answers = "text", b"bytes", {"a": 1}, None, Point(1, 2), ""
            self.pages.fire(random.choice([0, -1]), random.choice(answers))
        elif what == "fail" and self.pages.waiting:
            waiting = self.pages.waiting.pop()
            if not waiting.called:
                waiting.errback(random.choice(ERRORS)())
        elif what == "time":
            self.place.clock.pump([1] * random.choice([1, 3, 12]))
        elif what == "pause" and not line.channel._lost:
            line.channel.pauseProducing()
        elif what == "go on" and not line.channel._lost:
            line.channel.resumeProducing()
        if random.random() < 0.03:
            line.leave()
        if random.random() < 0.02:
            signals.connect(random.choice(["started", "finished"]), self.pages.hear)

    def outcome(self, logged: list[str]) -> Outcome:
        """What became of it, when all have left."""
        ends = [line.end() for line in self.lines]
        for line in self.lines:
            self.attempt(line.leave)
        seen = [_noted(each) for each in self.place.seen]
        heard = [*self.pages.heard, *self.raised, f"{self.place.site.numbers}"]
        return Outcome([line.said() for line in self.lines], ends, seen, heard, logged)


def _noted(request: Any) -> str:
    """What a site may note of a request that is over."""
    noted: list[object] = [
        *(request.method, request.uri, request.path, request.code, request.number),
        *(request.sentLength, request.aborted, request.finished, request.began),
        *(request.name, str(request.work), request.clientproto, str(request.client)),
        sorted(request.requestHeaders.getAllRawHeaders()),
    ]
    return ascii(noted)


def become(seed: int) -> Outcome:
    """Let a site get the stream of a seed."""
    random = Random(seed)
    place = _place(random)
    client = Client(random, random.choice([0, 0, 0.01, 0.05]))
    run = _Run(random, place, Pages(place), client)
    return _outcome(run, run.go)


def tour() -> Outcome:
    """
    Let a site get each request that makes a handler do one thing, alone and between two
    others.
    """
    random = Random(0)
    place = Place.of(request_id="X-Request-Id")
    place.site.process = "0123456789ab"
    run = _Run(random, place, Pages(place), Client(random, 0))

    def go() -> None:
        for path in _everything():
            for paths in ([path], ["/literal/bytes", path, "/literal/text"]):
                visit = place.visit()
                run.lines.append(_Line(visit, visit.connection.wrappedProtocol))
                # The first is always Python's: it may be HTTP/2.
                run.attempt(partial(visit.send, request("/")))
                run.attempt(partial(visit.send, b"".join(map(request, paths))))
        while run.pages.waiting:
            run.attempt(lambda: run.pages.fire(0))

    return _outcome(run, go)


def _everything() -> Iterator[str]:
    """A path for each thing that handlers can do."""
    for number in range(len(SAYINGS)):
        for answer in range(7):
            yield f"/say/{number}/{number}/{answer}"
    for number in range(len(DOINGS)):
        for answer in range(4):
            # The second is one that does nothing.
            yield f"/do/{number}/{len(DOINGS) - 1}/{answer}"
    numbered: dict[str, Sized] = {
        "/see": SIGHTS,
        "/value": VALUES,
        "/raise": ERRORS,
        "/text": range(5),
        "/write": range(4),
        "/typed": range(7),
        "/typed/request": range(4),
    }
    for name, things in numbered.items():
        slots = "/0" if name == "/see" else ""
        for number in range(len(things)):
            yield f"{name}/{number}{slots}"
    for size in SIZES:
        yield f"/bytes/{size}"
    yield from (each for each in PATHS if each.startswith("/"))


def _outcome(run: _Run, go: Callable[[], None]) -> Outcome:
    """Run it, and note what is logged."""
    routes: Any = run.pages.routes
    run.place.mount("/", routes)
    run.place.mount("/box", Box())
    run.place.mount("/below", Below())
    logged: list[str] = []

    def observe(event: LogEvent) -> None:
        failure = event.get("log_failure")
        what = f"{type(failure.value).__name__}" if failure else ""
        # That nobody has handled a failure is found out when memory is tidied.
        if event["log_namespace"] != "twisted.internet.defer":
            logged.append(f"{event['log_level'].name} {event['log_format']} {what}")

    observer: Any = observe
    globalLogPublisher.addObserver(observer)
    try:
        go()
        return run.outcome(logged)
    finally:
        globalLogPublisher.removeObserver(observer)


def outcomes(seeds: Iterable[int]) -> Iterator[dict[str, Any]]:
    """What becomes of the tour and of streams, as it can be written in JSON."""
    yield {"seed": "tour", "native": is_native, **asdict(tour())}
    for seed in seeds:
        yield {"seed": seed, "native": is_native, **asdict(become(seed))}


if __name__ == "__main__":
    first, number = map(int, sys.argv[1:])
    for each in outcomes(range(first, first + number)):
        sys.stdout.write(f"{json.dumps(each)}\n")
