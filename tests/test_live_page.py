# -*- test-case-name: tests.test_live_page -*-
"""
The client for pages, in a real browser.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any
from urllib.parse import quote, urlsplit

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.portforward import (
    ProxyClient,
    ProxyClientFactory,
    ProxyFactory,
    ProxyServer,
)
from twisted.trial.unittest import TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import Fault, Invalid, NoSuchOperation, TooMany
from ropewalk.hub import ANYONE, ChannelRule
from ropewalk.interfaces import Caller, Steps
from ropewalk.net.calls.asked import PeerRefused
from ropewalk.operations import operation
from ropewalk.operations.peers import PeerGone
from ropewalk.web import Routes
from tests.browser import Browser, Page
from tests.chaos import FlappingProxy
from tests.daemonry import reactor
from tests.houses import Guard
from tests.offering import begin
from tests.visiting import blocks

PAGE = b"""<!doctype html><title>Rope</title><body><script type="module">
import { Ropewalk } from "/ropewalk.js";
const options = JSON.parse(decodeURIComponent(location.hash.slice(1)));
window.heard = [];
window.met = [];
window.states = [];
window.gaps = [];
window.rope = new Ropewalk({ pause: 0.02, ...options });
rope.addEventListener("state", () => states.push(`${rope.way} ${rope.state}`));
const hear = ({ body }) => heard.push(body);
window.listen = (channel, more) => rope.subscribe(channel, hear, {
  joined: ({ who }) => met.push(`+${who}`),
  left: ({ who }) => met.push(`-${who}`),
  gap: () => gaps.push(heard.length),
  refused: ({ status, message }) => (window.refused = [status, message]),
  ...more,
});
const told = ({ status, faults, message }) =>
  [status, faults.map(({ path }) => path), message];
window.failing = (promise) => promise.then(() => null, told);
window.subscription = listen("rooms.lobby", { who: "ada" });
window.ready = true;
</script>"""

#: How to get about, and what is said of it.
WAYS = ("websocket", "events", "poll")


class _Back(ProxyClient):
    """What comes back on one of them."""

    peer: Any

    def dataReceived(self, data: bytes) -> None:
        ways = self.peer.factory
        if ways.losing and data.startswith(b"HTTP/1.1 201 "):
            ways.losing -= 1
            self.peer.transport.abortConnection()
        else:
            super().dataReceived(data)


class _BackFactory(ProxyClientFactory):
    protocol = _Back


class _Way(ProxyServer):
    """One connection through a tunnel."""

    clientProtocolFactory = _BackFactory
    factory: _Ways

    def connectionMade(self) -> None:
        self.factory.connections.append(self)
        super().connectionMade()


class _Ways(ProxyFactory):
    """
    All that came through a tunnel.

    :ivar losing: How many answers to who has published are still to get lost, each with
        its connection.
    """

    protocol = _Way
    losing = 0

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)
        self.connections: list[Any] = []


class Tunnel:
    """
    A way to a daemon that can be closed, and opened again at the same place.

    :param url: Where the daemon is.
    """

    def __init__(self, url: str) -> None:
        self._ways = _Ways(urlsplit(url).port or 0)
        self._number = 0
        self.up()

    @property
    def url(self) -> str:
        """Where it begins."""
        return f"http://127.0.0.1:{self._number}/"

    def up(self) -> None:
        """Let through whoever comes."""
        self._port = reactor.listenTCP(self._number, self._ways, interface="127.0.0.1")
        self._number = self._port.getHost().port

    def lose(self) -> None:
        """Lose the next answer to who publishes."""
        self._ways.losing += 1

    def down(self) -> Deferred[None]:
        """Throw out everybody, and be there no longer."""
        for connection in self._ways.connections:
            connection.transport.abortConnection()
        stopped: Deferred[None] = self._port.stopListening()
        return stopped


class Brief(FlappingProxy):
    """
    Cuts every connection after a few messages.
    """

    def lifetime(self) -> float:
        """Enough for the handshake, and so many."""
        return 3000

    def fate(self) -> str:
        """They are closed."""
        return "closed"


class House:
    """What can be called."""

    @operation
    def add(self, numbers: list[int], caller: Caller) -> int:
        """Add numbers."""
        return sum(numbers)


class PageTestCase(TestCase):
    """
    A daemon with rooms, and a browser.
    """

    timeout = 120.0

    @inlineCallbacks
    def setUp(self) -> Steps[None]:  # type: ignore[override]
        pages = Routes()

        @pages.get("/")
        def page(request: Any) -> bytes:
            request.setHeader(b"content-type", b"text/html; charset=utf-8")
            return PAGE

        def make(host: Any) -> None:
            host.hub.declare("rooms.*", ChannelRule(publish=ANYONE))
            host.hub.declare("closet.*", ChannelRule(limit=1))
            host.hub.declare("guarded.*", ChannelRule(subscribe="ears"))
            host.authorise(self.guard)
            host.operations.add("house", House())
            host.web.mount("/page", pages)

        self.guard = Guard()
        self.browser = yield Browser.start(self.mktemp())
        self.addCleanup(self.browser.stop)
        self.host, self.url = yield begin(self, make)

    @inlineCallbacks
    def open(self, url: str = "", **options: Any) -> Steps[Page]:
        """Open a page that talks in this way."""
        page: Page = yield self.visit(url, **options)
        # A daemon that stops waits for whoever asks again and again.
        self.addCleanup(page.run, "rope.close()")
        return page

    @inlineCallbacks
    def visit(self, url: str = "", **options: Any) -> Steps[Page]:
        """Open one that goes before the daemon does."""
        words = quote(json.dumps(options))
        page: Page = yield self.browser.open(f"{url or self.url}page/#{words}")
        yield page.until("window.ready && rope.state === 'open'")
        yield page.run("rope.present('rooms.lobby')")  # behind what it subscribed to
        return page

    @inlineCallbacks
    def another(
        self, page: Page, before: str = "", after: str = "", **options: Any
    ) -> Steps[None]:
        """
        Have another client in a page, which is called ``other``.

        :param before: What is done in the page before it connects for the first time,
        :param after: and at once behind that.
        """
        words = json.dumps({"pause": 0.02, **options})
        made = f"window.other = new rope.constructor({words})"
        yield page.run(f"{before}; {made}; {after}; 0")
        self.addCleanup(page.run, "other.close()")

    def call(self, name: str = "lamp.switch", **parameters: Any) -> Deferred[Any]:
        """Call an operation, as a service does."""
        called: Deferred[Any] = self.host.operations.call(
            name, parameters, Caller("service", "test")
        )
        return called

    def say(self, *bodies: Any) -> None:
        for body in bodies:
            self.host.hub.publish("rooms.lobby", body)

    @inlineCallbacks
    def hears(self, page: Page, *bodies: Any) -> Steps[None]:
        """It hears these, and nothing else."""
        yield page.until(f"heard.length >= {len(bodies)}")
        heard = yield page.run("heard")
        self.assertEqual(heard, [*bodies])

    @inlineCallbacks
    def there(self, page: Page, *names: str) -> Steps[None]:
        """Wait until these are in the lobby, and nobody else."""
        found: list[str] | None = None
        while found != [*names]:
            yield page.run("0")  # that takes a moment
            people = yield self.host.hub.present("rooms.lobby")
            found = [each.who for each in people]

    def cut(self) -> None:
        """Cut every connection."""
        for owned in self.host.listeners:
            for connection in owned.listener.connections:
                connection.cut()


class WaysTests(PageTestCase):
    """
    Every way to get about.
    """

    @inlineCallbacks
    def test_ways(self) -> Steps[None]:
        """
        By each, one hears and publishes, sees who is there, calls, and is told what is
        wrong.
        """
        pages = yield gatherResults([self.open(ways=[way]) for way in WAYS])
        bodies: list[Any] = [{"text": "h\u00ef\n"}]
        self.say(*bodies)
        for way, page in zip(WAYS, pages, strict=True):
            said = yield page.run(f"rope.publish('rooms.lobby', '{way}')")
            self.assertEqual(said["body"], way)
            bodies.append(way)
        yield gatherResults([self.hears(page, *bodies) for page in pages])
        for way, page in zip(WAYS, pages, strict=True):
            there = yield page.run("rope.present('rooms.lobby')")
            self.assertEqual([each["who"] for each in there["people"]], ["ada"], way)
            added = yield page.run("rope.call('house.add', {numbers: [1, 2]})")
            self.assertEqual(added, 3, way)
            wrong = yield page.run(
                "failing(rope.call('house.add', {numbers: [1, 'x'], odd: 1}))"
            )
            self.assertEqual(wrong[0], 422, way)
            self.assertEqual(sorted(wrong[1]), ["numbers[1]", "odd"], way)
            yield page.run("void listen('elsewhere', {})")
            yield page.until("window.refused")
            self.assertEqual((yield page.run("refused[0]")), 403, way)
            yield page.run("subscription.end()")
        self.say("unheard")
        yield gatherResults([page.run("rope.present('rooms.1')") for page in pages])
        yield gatherResults([self.hears(page, *bodies) for page in pages])

    @inlineCallbacks
    def test_lost(self) -> Steps[None]:
        """
        What is lost is taken up again, behind what was heard last.
        """
        pages = yield gatherResults([self.open(ways=[way]) for way in WAYS])
        bodies = []
        for number in range(4):
            bodies += [number, str(number)]
            self.say(number)
            self.cut()
            self.say(str(number))
            yield gatherResults([self.hears(page, *bodies) for page in pages])
        for page in pages:
            self.assertEqual((yield page.run("gaps")), [])

    @inlineCallbacks
    def test_gap(self) -> Steps[None]:
        """
        Where the history does not reach back so far, that is told before what it has.
        """
        pages = yield gatherResults([self.open(ways=[way]) for way in WAYS])
        self.say("first")
        yield gatherResults([self.hears(page, "first") for page in pages])
        self.cut()
        for number in range(103):
            self.host.hub.publish("rooms.lobby", number)
        bodies = ["first", *range(3, 103)]
        yield gatherResults([self.hears(page, *bodies) for page in pages])
        for page in pages:
            self.assertEqual((yield page.run("gaps")), [1])

    @inlineCallbacks
    def test_kept(self) -> Steps[None]:
        """
        Who wants to hears first what is kept, and then what comes; that the history
        does not reach back to the first is no gap.
        """
        for number in range(103):
            self.host.hub.publish("rooms.hall", number)
        bodies = [*range(3, 103)]
        pages = yield gatherResults([self.open(ways=[way]) for way in WAYS])
        for page in pages:
            yield page.run("void listen('rooms.hall', {kept: true})")
        yield gatherResults([self.hears(page, *bodies) for page in pages])
        for number in range(103, 106):
            self.host.hub.publish("rooms.hall", number)
            bodies.append(number)
            yield gatherResults([self.hears(page, *bodies) for page in pages])
            self.cut()
        for page in pages:
            self.assertEqual((yield page.run("gaps")), [])

    @inlineCallbacks
    def test_kept_of_nothing(self) -> Steps[None]:
        """
        Where nothing is kept it begins with the first that comes. The empty token says
        the same.
        """
        pages = yield gatherResults([self.open(ways=[way]) for way in WAYS])
        for page in pages:
            yield page.run("void listen('rooms.hall', {after: ''})")
        yield gatherResults([page.run("rope.present('rooms.hall')") for page in pages])
        self.host.hub.publish("rooms.hall", "first")
        yield gatherResults([self.hears(page, "first") for page in pages])
        for page in pages:
            self.assertEqual((yield page.run("gaps")), [])

    @inlineCallbacks
    def test_another_daemon(self) -> Steps[None]:
        """
        One that knows nothing of what was heard tells what it keeps, once, and that
        something may be lost.
        """
        pages = yield gatherResults([self.open(ways=[way]) for way in WAYS])
        self.say("first")
        yield gatherResults([self.hears(page, "first") for page in pages])
        for page in pages:
            # So it looks when the daemon has begun anew.
            yield page.run(
                "subscription.end();"
                "void listen('rooms.lobby', {kept: true, after: 'yesterday-1.7'})"
            )
        yield gatherResults([self.hears(page, "first", "first") for page in pages])
        for page in pages:
            self.assertEqual((yield page.run("gaps")), [1])

    @inlineCallbacks
    def test_piecemeal(self) -> Steps[None]:
        """
        Whose connections never live long enough for all that was missed has it in
        pieces.
        """
        for number in range(100):
            self.host.hub.publish("rooms.hall", number)
        for way in WAYS[:2]:  # each page that is asked for comes whole, or not at all
            proxy = Brief(urlsplit(self.url).netloc, Random(1))
            self.addCleanup(proxy.close)
            proxy.calm = True
            page = yield self.open(f"http://{proxy.open()}/")
            proxy.calm = False
            yield self.another(page, ways=[way])
            yield page.run(
                "window.told = []; window.missing = 0;"
                "other.subscribe('rooms.hall', ({ body }) => told.push(body), {"
                "  kept: true, gap: () => (missing += 1) }); 0"
            )
            yield page.until("told.length >= 100")
            told, missing = yield page.run("[told, missing]")
            self.assertEqual((told, missing), ([*range(100)], 0), way)
            self.assertGreater(proxy.cuts.total(), 2, way)
            proxy.calm = True

    @inlineCallbacks
    def test_rename(self) -> Steps[None]:
        """
        One can change one's name, and hears everything once all the same.
        """
        for way in WAYS:
            page = yield self.open(ways=[way])
            self.say(way)
            yield self.hears(page, way)
            yield page.run("subscription.rename('grace')")
            self.say("and", "on")
            yield self.hears(page, way, "and", "on")
            yield self.there(page, "grace")
            self.assertEqual((yield page.run("gaps")), [], way)
            yield page.run("rope.close()")
            yield self.there(page)

    @inlineCallbacks
    def test_impossible_name(self) -> Steps[None]:
        """
        Who is refused another name hears no more, and is not there under the old one.
        """
        page = yield self.open()
        yield page.run("subscription.rename('x'.repeat(256))")
        yield page.until("window.refused")
        self.assertEqual((yield page.run("refused[0]")), 422)
        there = yield page.run("rope.present('rooms.lobby')")
        self.assertEqual(there, {"people": [], "subscriptions": 0})

    @inlineCallbacks
    def test_kept_of_many(self) -> Steps[None]:
        """
        Of many channels nobody can hear what is kept.
        """
        page = yield self.open()
        told = yield page.run(
            "(() => { try { listen('rooms.*', {kept: true}); return null }"
            " catch (error) { return error.message } })()"
        )
        self.assertEqual(
            told, "rooms.*: what is kept is of one channel, and these are many"
        )

    @inlineCallbacks
    def test_nothing(self) -> Steps[None]:
        """
        A message without a body has none, by each way.
        """
        for way in WAYS:
            page = yield self.open(ways=[way])
            said = yield page.run("rope.publish('rooms.lobby')")
            self.assertEqual((said["channel"], said["body"]), ("rooms.lobby", None))
            yield page.run("rope.close()")

    @inlineCallbacks
    def test_waiting(self) -> Steps[None]:
        """
        What waits for a connection is said as it was when it was asked for. What JSON
        cannot say is thrown, and keeps nothing else from being said.
        """
        page = yield self.open()
        for way in WAYS:
            yield self.another(
                page,
                "window.loop = {}; loop.it = loop; window.said = {text: 'one'}",
                "window.bad = other.publish('rooms.lobby', loop).catch("
                "  ({ name, status }) => [name, status]);"
                "window.good = other.publish('rooms.lobby', said);"
                "said.text = 'two'; window.left = other._calls.size",
                ways=[way],
            )
            self.assertEqual((yield page.run("good"))["body"], {"text": "one"}, way)
            self.assertEqual((yield page.run("bad")), ["TypeError", None], way)
            self.assertEqual((yield page.run("left")), 1, way)
            yield page.run("other.close()")

    @inlineCallbacks
    def test_impossible_data(self) -> Steps[None]:
        """
        Data that JSON cannot say is thrown at once, and the others are heard.
        """
        page = yield self.open()
        yield self.another(
            page,
            "window.loop = {}; loop.it = loop; window.thrown = []",
            "const catching = (call) => { try { call(); }"
            " catch ({ name }) { thrown.push(name); } };"
            "const quiet = () => {};"
            "const bad = { who: 'b', data: loop };"
            "catching(() => other.subscribe('rooms.a', quiet, bad));"
            "const hear = ({ body }) => heard.push(body);"
            "window.lobby = other.subscribe('rooms.lobby', hear);"
            "catching(() => lobby.rename('b', loop))",
        )
        self.assertEqual((yield page.run("thrown")), ["TypeError", "TypeError"])
        yield page.run("other.present('rooms.lobby')")
        self.say(1)
        yield self.hears(page, 1, 1)

    @inlineCallbacks
    def test_fault_of_the_page(self) -> Steps[None]:
        """
        A page that fails over a message is told the next one on the same connection.
        """
        pages = yield gatherResults([self.open(ways=[way]) for way in WAYS])
        for page in pages:
            yield page.run(
                "window.faults = [];"
                "window.onerror = (message) => (faults.push(message), true);"
                "subscription.end();"
                "void rope.subscribe('rooms.lobby', ({ body }) => {"
                "  heard.push(body); if (body === 'bad') throw new Error('alas');"
                "})"
            )
        yield gatherResults([page.run("rope.present('rooms.lobby')") for page in pages])
        for page in pages:
            yield page.until("rope._subscriptions.get('rooms.lobby').token")
        self.say("bad", "good")
        yield gatherResults([self.hears(page, "bad", "good") for page in pages])
        for page in pages:
            yield page.until("faults.length === 1")
            self.assertIn("alas", (yield page.run("faults[0]")))
            states = yield page.run("states.map((each) => each.split(' ')[1])")
            self.assertEqual(states, ["open"])

    @inlineCallbacks
    def test_full(self) -> Steps[None]:
        """
        Who finds no room in a channel asks again, by HTTP, until there is some.
        """
        first = yield self.open()
        for way in WAYS[1:]:
            yield first.run(f"window.inside = listen('closet.{way}', {{}}); 0")
            yield first.run(f"rope.present('closet.{way}')")  # behind that
            page = yield self.open(ways=[way])
            yield page.run(f"void listen('closet.{way}', {{after: ''}})")
            yield page.until(f"states.includes('{way} connecting')")
            yield first.run("inside.end()")
            yield page.until("rope.state === 'open'")
            self.host.hub.publish(f"closet.{way}", way)
            yield page.until(f"heard.includes('{way}')")
            self.assertIsNone((yield page.run("window.refused ?? null")), way)
            yield page.run("rope.close()")

    @inlineCallbacks
    def test_later(self) -> Steps[None]:
        """
        By WebSocket as well, who may not hear a channel now asks again; not before the
        daemon says so, and hears all that was said meanwhile, once. What comes by a
        pattern until then does not take its place.
        """
        page = yield self.open()
        self.guard.answer = TooMany("ears", 0.2)
        yield page.run(
            "window.asked = []; const send = WebSocket.prototype.send;"
            "WebSocket.prototype.send = function (text) {"
            "  if (text.includes('rpc.subscribe')) asked.push(performance.now());"
            "  send.call(this, text); }; 0"
        )
        yield page.run("void listen('guarded.a', {after: ''})")
        yield page.until("asked.length === 3")
        self.guard.answer = True
        self.host.hub.publish("guarded.a", 1)
        yield page.run("void rope.subscribe('guarded.*', () => {})")
        yield page.run("rope.present('rooms.lobby')")
        self.host.hub.publish("guarded.a", 2)
        yield self.hears(page, 1, 2)
        first, second, *_ = yield page.run("asked")
        self.assertGreaterEqual(second - first, 199)
        self.assertIsNone((yield page.run("window.refused ?? null")))
        states = yield page.run("states.map((each) => each.split(' ')[1])")
        self.assertEqual(states, ["open"])

    @inlineCallbacks
    def test_not_later(self) -> Steps[None]:
        """
        Who does not want it any more, or is refused for good meanwhile, asks no more.
        """
        page = yield self.open()
        self.guard.answer = TooMany("ears", 0.05)
        yield page.run("window.ended = rope.subscribe('guarded.b', () => {}); 0")
        yield page.run("void listen('guarded.a', {})")
        yield page.until("rope._way._later.size === 2")
        yield page.run("ended.end()")
        self.guard.answer = None
        yield page.until("window.refused")
        self.assertEqual((yield page.run("refused[0]")), 403)
        self.assertEqual((yield page.run("rope._way._later.size")), 0)


class OfferTests(PageTestCase):
    """
    What a page offers.
    """

    @inlineCallbacks
    def offer(self, page: Page, answer: str, terms: str = "{}") -> Steps[None]:
        """Have a page offer a lamp."""
        yield page.run(
            f"window.offer = rope.offer('lamp.switch', {answer}, {{"
            "  refused: ({ status, message }) => (window.refused = [status, message]),"
            f" ...{terms} }}); offer.ready().catch(() => null)"
        )

    @inlineCallbacks
    def call_when_offered(self, page: Page) -> Steps[Any]:
        """
        What is answered, as soon as it is offered: who was cut may be back before
        anybody could have seen that it was away.
        """
        while True:
            try:
                answer = yield self.call()
            except (NoSuchOperation, PeerGone):
                yield page.run("1")  # meanwhile, it comes back
            else:
                return answer

    @inlineCallbacks
    def test_called(self) -> Steps[None]:
        """
        Another peer calls it, by whatever way, and a service; it is gone when the page
        is.
        """
        page = yield self.visit()
        yield self.offer(page, "async ({ on }) => ({ is: on ? 'on' : 'off' })")
        for way in WAYS:
            other = yield self.open(ways=[way])
            told = yield other.run("rope.call('lamp.switch', {on: true})")
            self.assertEqual(told, {"is": "on"}, way)
        self.assertEqual((yield self.call(on=False)), {"is": "off"})
        yield page.call("Page.close")
        while "lamp.switch" in self.host.operations:
            yield other.run("0")  # that takes a moment
        yield self.assertFailure(self.call(on=True), NoSuchOperation)

    @inlineCallbacks
    def test_results(self) -> Steps[None]:
        """
        What it returns is the answer; where that is nothing, null. Parameters by their
        places are an array.
        """
        page = yield self.open()
        yield self.offer(page, "(params) => params.back ?? params")
        self.assertEqual((yield self.call(back="é")), "é")
        listed = self.host.operations.call("lamp.switch", [1, 2], Caller("test"))
        self.assertEqual((yield listed), [1, 2])
        yield page.run("offer.stop()")
        for answer in ("() => {}", "() => () => 5", "() => Symbol('x')"):
            yield self.offer(page, answer)
            self.assertIsNone((yield self.call()))
            yield page.run("offer.stop()")

    @inlineCallbacks
    def test_errors(self) -> Steps[None]:
        """
        A refusal is told as it is. What else is thrown is reported in the page, and who
        has called hears no more than that something went wrong.
        """
        page = yield self.open()
        yield page.run(
            "window.faults = []; window.Refused = null;"
            "window.onerror = (message) => (faults.push(message), true);"
            "import('/ropewalk.js').then((all) => { window.Refused = all.Refused })"
        )
        answers = {
            "() => { throw new Refused('no bulb', 409) }": (409, "no bulb"),
            "async () => { throw new Error('secret') }": (502, None),
            "() => { const me = {}; me.me = me; return me }": (502, None),
        }
        for answer, (status, told) in answers.items():
            yield self.offer(page, answer)
            error: Any = yield self.assertFailure(self.call(), PeerRefused)
            problem = told or "something went wrong in the page"
            self.assertEqual((error.status, str(error)), (status, problem))
            yield page.run("offer.stop()")
        yield page.until("faults.length === 2")
        self.assertIn("secret", (yield page.run("faults[0]")))
        fault = "{ path: 'on', problem: 'odd' }"
        answer = f"() => {{ throw new Refused('no', 422, [{fault}]) }}"
        yield self.offer(page, answer)
        invalid: Any = yield self.assertFailure(self.call(), Invalid)
        self.assertEqual(invalid.faults, (Fault("on", "odd"),))

    @inlineCallbacks
    def test_progress(self) -> Steps[None]:
        """
        It may tell how far it is; what comes after the end is dropped.
        """
        page = yield self.open()
        other = yield self.open()
        yield self.offer(
            page,
            "async (_, { progress }) => {"
            "  window.progress = progress; progress(0.5); progress(); return 'done' }",
        )
        yield other.run(
            "window.far = [];"
            "rope.call('lamp.switch', {}, {progress: (value) => far.push(value)})"
        )
        yield page.run("progress('late')")
        yield page.run("rope.present('rooms.lobby')")
        yield other.run("rope.present('rooms.lobby')")
        self.assertEqual((yield other.run("far")), [0.5, None])

    @inlineCallbacks
    def test_no_room(self) -> Steps[None]:
        """
        Progress that the daemon does not read is not piled up.
        """
        page = yield self.open()
        yield page.run(
            "Object.defineProperty("
            "  WebSocket.prototype, 'bufferedAmount', {get: () => 300000}); 0"
        )
        yield self.offer(
            page, "(_, { progress }) => { progress('dropped'); return 'done' }"
        )
        heard: list[Any] = []
        called = self.host.operations.call(
            "lamp.switch", {}, Caller("test"), progress=heard.append
        )
        self.assertEqual(((yield called), heard), ("done", []))

    @inlineCallbacks
    def test_cancelled(self) -> Steps[None]:
        """
        When nobody waits any more, or the connection is lost, it is told by a signal.
        """
        page = yield self.open()
        yield page.run(
            "window.aborted = 0; window.faults = [];"
            "window.onerror = (message) => (faults.push(message), true); 0"
        )
        yield self.offer(
            page,
            "(_, { signal }) => new Promise((done, failed) => {"
            "  signal.addEventListener('abort', () => {"
            "    aborted += 1; failed(signal.reason) }) })",
        )
        called = self.call()
        yield page.until("rope._way._doing.size === 1")
        called.cancel()
        yield self.assertFailure(called, CancelledError)
        yield page.until("aborted === 1")
        called = self.call()
        yield page.until("rope._way._doing.size === 1")
        self.cut()
        yield self.assertFailure(called, PeerGone)
        yield page.until("aborted === 2 && offer.offered")
        self.assertEqual((yield page.run("faults")), [])

    @inlineCallbacks
    def test_again(self) -> Steps[None]:
        """
        It is offered again after each loss, until it is stopped; what is under way then
        is still answered.
        """
        page = yield self.open()
        yield self.offer(
            page, "({ wait }) => wait ? new Promise((done) => (window.done = done)) : 1"
        )
        for _ in range(3):
            self.assertEqual((yield self.call_when_offered(page)), 1)
            self.cut()
        self.assertEqual((yield self.call_when_offered(page)), 1)
        waiting = self.call(wait=True)
        yield page.until("window.done")
        yield page.run("offer.stop(); offer.stop(); done('slow')")
        self.assertEqual((yield waiting), "slow")
        yield page.run("rope.present('rooms.lobby')")
        yield self.assertFailure(self.call(), NoSuchOperation)
        told = yield page.run("failing(offer.ready())")
        self.assertEqual(told[2], "lamp.switch is not offered any more")
        self.assertEqual((yield page.run("offer.stands")), False)
        self.cut()
        yield page.until("rope.state === 'open'")
        yield page.run("rope.present('rooms.lobby')")
        self.assertNotIn("lamp.switch", self.host.operations)

    @inlineCallbacks
    def test_busy(self) -> Steps[None]:
        """
        So many calls run at once.
        """
        page = yield self.open()
        yield self.offer(
            page, "() => new Promise((done) => (window.done = done))", "{running: 1}"
        )
        first = self.call()
        error: Any = yield self.assertFailure(self.call(), PeerRefused)
        self.assertEqual(error.status, 503)
        self.assertIn("busy", str(error))
        yield page.run("done('on')")
        self.assertEqual((yield first), "on")

    @inlineCallbacks
    def test_not_offered(self) -> Steps[None]:
        """
        What is asked for, and is not offered any more, there is not.
        """
        page = yield self.open()
        yield self.offer(page, "() => 1")
        yield page.run("rope._offers.clear(); 0")
        error: Any = yield self.assertFailure(self.call(), PeerRefused)
        self.assertEqual(error.status, 404)

    @inlineCallbacks
    def test_refused(self) -> Steps[None]:
        """
        Who may not offer something is told, once and for all; one who may not now asks
        again.
        """
        page = yield self.open()
        yield page.run(
            "window.safe = rope.offer('safe.open', () => 1, {refused: ({ status }) =>"
            "  (window.locked = status)}); 0"
        )
        told = yield page.run("failing(safe.ready())")
        problem = "you may not offer 'safe.open': it takes 'operations.offer'"
        self.assertEqual(told, [403, [], problem])
        self.assertEqual((yield page.run("[locked, safe.stands]")), [403, False])
        self.guard.answer = TooMany("lamps", 0.01)
        yield page.run(
            "window.told = []; window.lamp = rope.offer('lamp.late', () => 1, {"
            "  refused: ({ status, seconds }) => told.push([status, seconds])}); 0"
        )
        yield page.until("told.length === 1 && lamp.stands && lamp.problem")
        self.guard.answer = None
        yield page.run("lamp.ready()")
        self.assertEqual((yield page.run("[told, lamp.problem]")), [[[429, 0.01]], ""])

    @inlineCallbacks
    def test_taken(self) -> Steps[None]:
        """
        What somebody else offers cannot be offered, unless it was before: then it is
        tried again until they are gone.
        """
        page, other = yield gatherResults([self.open(), self.open()])
        yield self.offer(page, "() => 'first'")
        yield self.offer(other, "() => 'second'")
        self.assertEqual((yield other.run("[refused[0], offer.stands]")), [409, False])
        # The daemon does not hear that a connection is lost.
        yield page.run("WebSocket.prototype.close = () => {}; rope._lost(true); 0")
        yield page.until("window.refused && offer.problem && rope.state === 'open'")
        self.assertEqual((yield page.run("[refused[0], offer.stands]")), [409, True])
        self.cut()
        yield page.run("offer.ready()")
        self.assertEqual((yield self.call()), "first")

    @inlineCallbacks
    def test_ways_that_cannot(self) -> Steps[None]:
        """
        By HTTP nothing can be offered: that is told, and it waits for a way by which it
        can. Where there will be none, it is refused at once.
        """
        for way in WAYS[1:]:
            page = yield self.open(ways=[way, "websocket"])
            yield page.run(
                "window.offer = rope.offer('lamp.switch', () => 1, {"
                "  refused: ({ status, message }) =>"
                "    (window.refused = [status, message])}); 0"
            )
            problem = (
                f"nothing can be offered by {way}: lamp.switch waits for another way"
            )
            self.assertEqual((yield page.run("refused")), [501, problem])
            self.assertEqual((yield page.run("offer.stands")), True)
            yield page.run("rope.options.ways = ['websocket']; void rope._lost(true)")
            yield page.run("offer.ready()")
            self.assertEqual((yield self.call()), 1)
            yield page.run("rope.close()")
            told = yield page.run("failing(offer.ready())")
            self.assertEqual(told[2], "closed")
        page = yield self.open(ways=["events", "poll"])
        for script, problem in (
            (
                "rope.offer('lamp.a', () => 1)",
                "nothing can be offered by events and poll",
            ),
            ("rope.offer('lamp.a', () => 1, {running: 0})", "running is 1 or more"),
        ):
            told = yield page.run(
                f"(() => {{ try {{ {script}; return '' }} catch (error) {{"
                " return error.message } })()"
            )
            self.assertIn(problem, told)

    @inlineCallbacks
    def test_twice(self) -> Steps[None]:
        """
        A name is offered once, and by nobody who has left.
        """
        page = yield self.open()
        yield self.offer(page, "() => 1")
        again = (
            "(() => { try { rope.offer('lamp.switch', () => 1); return '' }"
            " catch (error) { return error.message } })()"
        )
        self.assertEqual((yield page.run(again)), "lamp.switch is offered already")
        yield page.run("rope.close()")
        self.assertEqual((yield page.run(again)), "closed")


class DocumentationTests(PageTestCase):
    """
    C{docs/clients.rst} is true.
    """

    @inlineCallbacks
    def test_offer(self) -> Steps[None]:
        """
        Its lamp is dimmed by others, tells how far it is, and refuses what it cannot.
        """
        page = yield self.open()
        (block,) = blocks("clients", "javascript")
        yield page.run(
            "import('/ropewalk.js').then(async ({ Refused }) => {" + block + "})"
        )
        told: list[Any] = []
        called = self.host.operations.call(
            "lamp.dim", {"power": 30}, Caller("test"), progress=told.append
        )
        self.assertEqual(((yield called), told), (30, [0, 10, 20]))
        error: Any = yield self.assertFailure(
            self.call("lamp.dim", power=101), PeerRefused
        )
        self.assertEqual((error.status, str(error)), (409, "the bulb is broken"))


class PatternTests(PageTestCase):
    """
    Many channels at once.
    """

    @inlineCallbacks
    def test_lost(self) -> Steps[None]:
        """
        They are heard again after an interruption, and what may be lost is told; by
        WebSocket and by events.
        """
        pages = yield gatherResults([self.open(ways=[way]) for way in WAYS[:2]])
        for page in pages:
            yield page.run("subscription.end(); void listen('rooms.*', {})")
        bodies: list[str] = []
        for number in range(3):
            for page in pages:
                yield page.until("rope._subscriptions.get('rooms.*')._stood")
            self.say(str(number))
            bodies.append(str(number))
            yield gatherResults([self.hears(page, *bodies) for page in pages])
            self.cut()
            for page in pages:
                yield page.until(f"gaps.length === {number + 1}")
        for page in pages:
            self.assertEqual((yield page.run("gaps")), [1, 2, 3])
            self.assertIsNone((yield page.run("window.refused ?? null")))

    @inlineCallbacks
    def test_refused(self) -> Steps[None]:
        """
        Where one may not hear them, that is told; nothing else is lost.
        """
        pages = yield gatherResults([self.open(ways=[way]) for way in WAYS[:2]])
        for page in pages:
            yield page.run("void listen('elsewhere.*', {})")
            yield page.until("window.refused")
            status, message = yield page.run("refused")
            self.assertEqual(status, 403)
            self.assertIn("elsewhere.*", message)
            states = yield page.run("states.map((each) => each.split(' ')[1])")
            self.assertEqual(states, ["open"])

    @inlineCallbacks
    def test_poll(self) -> Steps[None]:
        """
        Who asks again and again hears the rest, and them when another way is in turn.
        """
        page = yield self.open(ways=["poll"])
        yield page.run("void listen('rooms.*', {})")
        self.say("one")
        yield self.hears(page, "one")
        self.assertEqual((yield page.run("rope.state")), "open")
        yield page.run("subscription.end()")
        # What was in the way of the better one is gone.
        yield page.run("rope.options.ways = ['events']; 0")
        yield page.run("rope._lost(true); 0")
        yield page.until("rope.way === 'events' && rope.state === 'open'")
        self.say("two")
        yield self.hears(page, "one", "two")
        self.assertIsNone((yield page.run("window.refused ?? null")))

    @inlineCallbacks
    def test_overlap(self) -> Steps[None]:
        """
        A message that comes by a pattern while a channel of it is asked for hides
        nothing that is kept in the channel: all is told in order, a gap before it.
        """
        page = yield self.open()
        hub = self.host.hub
        subscribe = type(hub).subscribe

        def late(self: Any, channel: str, *args: Any, **more: Any) -> Any:
            if channel.startswith("rooms.k"):
                hub.publish(channel, 4)
            return subscribe(self, channel, *args, **more)

        for channel in ("rooms.k1", "rooms.k2"):
            for number in range(1, 4):
                hub.publish(channel, number)
        yield page.run("rope.subscribe('rooms.*', () => {}); 0")
        yield page.run("rope.present('rooms.lobby')")
        self.patch(type(hub), "subscribe", late)
        yield page.run("void listen('rooms.k1', {kept: true})")
        yield page.run("rope.present('rooms.lobby')")
        hub.publish("rooms.k1", 5)
        yield self.hears(page, 1, 2, 3, 4, 5)
        self.assertEqual((yield page.run("gaps")), [])
        yield page.run("void listen('rooms.k2', {after: 'yesterday-1.7'})")
        yield self.hears(page, 1, 2, 3, 4, 5, 1, 2, 3, 4)
        self.assertEqual((yield page.run("gaps")), [5])

    @inlineCallbacks
    def test_gap_first(self) -> Steps[None]:
        """
        That something may be lost is told before what a channel beside it has kept.
        """
        page = yield self.open()
        yield self.another(page)
        yield page.run(
            "window.said = []; other.subscribe('rooms.1', () => {});"
            "other.subscribe('rooms.*', ({ body }) => said.push(body), {"
            "  gap: () => said.push('gap'),"
            "}); 0"
        )
        yield page.run("other.present('rooms.1')")
        self.host.hub.publish("rooms.1", 1)
        yield page.until("said.length === 1")
        self.cut()
        self.host.hub.publish("rooms.1", 2)
        yield page.until("said.length === 3")
        self.assertEqual((yield page.run("said")), [1, "gap", 2])


class AbsenceTests(PageTestCase):
    """
    Where nobody is there for a while, or nobody says anything.
    """

    @inlineCallbacks
    def setUp(self) -> Steps[None]:  # type: ignore[override]
        yield super().setUp()
        self.tunnel = Tunnel(self.url)
        self.addCleanup(lambda: self.tunnel.down())
        silent = Factory.forProtocol(Protocol)
        port = reactor.listenTCP(0, silent, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.silent = f"http://127.0.0.1:{port.getHost().port}/"

    @inlineCallbacks
    def test_down(self) -> Steps[None]:
        """
        No way is blamed while nobody is there: the best one is taken up again. What is
        called meanwhile waits.
        """
        page = yield self.open(self.tunnel.url)
        yield self.tunnel.down()
        yield page.until("rope.state === 'connecting'")
        yield page.run("window.late = rope.publish('rooms.lobby', 'late'); 0")
        yield page.until("rope._attempts >= 5")
        self.assertEqual((yield page.run("rope.way")), "websocket")
        self.tunnel.up()
        self.assertEqual((yield page.run("late"))["body"], "late")
        self.assertEqual((yield page.run("rope.way")), "websocket")
        yield self.hears(page, "late")

    @inlineCallbacks
    def test_down_and_nothing_heard(self) -> Steps[None]:
        """
        Neither does a client by HTTP that hears nothing believe that somebody is there:
        what is called waits; a call that is lost is enough to look.
        """
        for way in WAYS[1:]:
            page = yield self.open(self.tunnel.url, ways=[way])
            yield page.run("subscription.end()")
            yield self.tunnel.down()
            told = yield page.run("failing(rope.publish('rooms.lobby', 'lost'))")
            self.assertEqual(told, [0, [], "the connection was lost"])
            yield page.until("rope.state === 'connecting'")
            yield self.another(page, ways=[way])
            yield page.run(
                "window.late = [rope, other].map((each) => each.publish('rooms.1', 2));"
                "0"
            )
            yield page.until("rope._attempts >= 3 && other._attempts >= 3")
            self.tunnel.up()
            said = yield page.run("Promise.all(late)")
            self.assertEqual([each["body"] for each in said], [2, 2], way)
            yield page.run("rope.close(); other.close()")

    @inlineCallbacks
    def test_a_proxy_alone(self) -> Steps[None]:
        """
        A proxy that says that nobody is behind it is nobody.
        """
        page = yield self.open()
        fetch = (
            "const real = fetch; window.fetch = async () => new Response('', {status})"
        )
        for status in (502, 503, 504):
            before = f"{{ const status = {status}; {fetch}; window.back = real }}"
            yield self.another(
                page, before, ways=["websocket", "poll"], live="/nowhere"
            )
            yield page.until("other._attempts >= 5")
            self.assertEqual((yield page.run("other.way")), "websocket", status)
            yield page.run("window.fetch = back; 0")
            yield page.until("other.way === 'poll' && other.state === 'open'")
            yield page.run("other.close()")

    @inlineCallbacks
    def test_silent(self) -> Steps[None]:
        """
        A way that is let through but never opens has failed after a while.
        """
        page = yield self.open()
        barred = {
            "websocket": f"WebSocket = class extends WebSocket {{"
            f" constructor() {{ super('{self.silent}'.replace('http', 'ws')) }} }}",
            "events": f"EventSource = class extends EventSource {{"
            f" constructor() {{ super('{self.silent}') }} }}",
            "poll": f"{{ const real = fetch; fetch = (where, how) =>"
            f" real(how.method ? where : '{self.silent}', how) }}",
        }
        for way, bar in barred.items():
            rest = [each for each in WAYS if each not in (way, "poll")]
            yield self.another(page, bar, ways=[way, *rest], answer=0.3)
            yield page.run("window.said = []; 0")
            yield page.run("other.subscribe('rooms.1', (each) => said.push(each)); 0")
            yield page.until(f"other.way !== '{way}' && other.state === 'open'")
            yield page.run("other.present('rooms.1')")  # behind what it subscribed to
            self.host.hub.publish("rooms.1", way)
            yield page.until("said.length === 1")
            yield page.run("other.close()")
            page = yield self.open()

    @inlineCallbacks
    def test_silent_everywhere(self) -> Steps[None]:
        """
        Where nobody says anything at all, no way is blamed.
        """
        page = yield self.open()
        where = {"live": self.silent, "channels": self.silent}
        yield self.another(page, answer=0.05, **where)
        yield page.until("other._attempts >= 4")
        told = yield page.run("[other.way, other.state]")
        self.assertEqual(told, ["websocket", "connecting"])

    @inlineCallbacks
    def test_question_without_an_answer(self) -> Steps[None]:
        """
        A question that may wait for 25 seconds is given up so long after these, and
        asked again.
        """
        page = yield self.open()
        # The time that is given to it, and to no other, is over at once.
        clock = (
            "window.given = 0; window.soon = setTimeout;"
            "window.setTimeout = (end, time) =>"
            "  soon(end, time === 32125 && !given++ ? 0 : time)"
        )
        listener = (
            "window.said = []; window.known = [];"
            "other.addEventListener('state', () => {"
            "  if (known.push(other.state) === 1)"
            "    other.subscribe('rooms.1', ({ body }) => said.push(body));"
            "})"
        )
        yield self.another(page, clock, listener, ways=["poll"], answer=7.125)
        yield page.until("known.length >= 3 && other.state === 'open'")
        self.assertEqual((yield page.run("known")), ["open", "connecting", "open"])
        self.host.hub.publish("rooms.1", "on")
        yield page.until("said.length === 1")

    @inlineCallbacks
    def test_subscribed_meanwhile(self) -> Steps[None]:
        """
        Who subscribes while there is no connection has one stream, when there is one.
        """
        page = yield self.open()
        streams = (
            "window.streams = []; EventSource = class extends EventSource {"
            " constructor(url) { super(url); streams.push(this) } }"
        )
        yield self.another(page, streams, ways=["events"])
        yield page.run("other.subscribe('rooms.1', () => {}); 0")
        yield page.until(
            "streams.some(({ url, readyState }) =>"
            "  readyState === 1 && url.includes('rooms.1'))"
        )
        yield page.until("other.state === 'open'")
        yield page.run(
            "other.addEventListener('state', () => {"
            "  window.late ??= other.subscribe('rooms.2', () => {});"
            "})"
        )
        self.cut()
        yield page.until("window.late && other.state === 'open'")
        living = (
            "streams.filter(({ url, readyState }) =>"
            "  readyState !== 2 && url.includes('rooms.2'))"
        )
        self.assertEqual((yield page.run(f"{living}.length")), 1)
        yield page.run("late.end()")
        self.assertEqual((yield page.run(f"{living}.length")), 0)


class FallBackTests(PageTestCase):
    """
    Where a way is barred.
    """

    @inlineCallbacks
    def test_sent_twice(self) -> Steps[None]:
        """
        What the browser sends again by itself, since its connection was closed without
        an answer, is published once.
        """
        tunnel = Tunnel(self.url)
        self.addCleanup(tunnel.down)
        for number, way in zip((1, 3), WAYS[1:], strict=True):
            page = yield self.open(tunnel.url, ways=[way])
            tunnel.lose()
            said = yield page.run(f"rope.publish('rooms.lobby', '{way}')")
            self.assertEqual((said["body"], said["sequence"]), (way, number))
            self.say(f"behind {way}")
            messages = yield self.host.hub.history("rooms.lobby", 2)
            self.assertEqual([each.body for each in messages], [way, f"behind {way}"])
            yield page.run("rope.close()")

    @inlineCallbacks
    def test_next(self) -> Steps[None]:
        """
        The next is tried. What was called meanwhile waits, as far as there is room;
        what is heard is no less.
        """
        words = quote(json.dumps({"live": "/nowhere", "most": 1}))
        page: Page = yield self.browser.open(f"{self.url}page/#{words}")
        yield page.until("window.ready")
        yield page.run(
            "window.early = rope.publish('rooms.lobby', 'early');"
            "window.many = failing(rope.publish('rooms.lobby', 'too many')); 0"
        )
        yield page.until("rope.state === 'open'")
        self.assertEqual((yield page.run("rope.way")), "events")
        self.assertEqual((yield page.run("early"))["body"], "early")
        told = yield page.run("many")
        self.assertEqual(told[::2], [0, "1 calls wait for a connection already"])
        self.say("late")
        yield self.hears(page, "early", "late")

    @inlineCallbacks
    def test_under_way(self) -> Steps[None]:
        """
        What was under way is refused: nobody knows whether it was done.
        """
        page = yield self.open()
        asked = page.run(
            "failing(Promise.all([1, 2].map(() => rope.call('house.add', {}))))"
        )
        yield asked
        yield page.run(
            "window.lost = failing(rope.call('house.add', {numbers: []})); 0"
        )
        self.cut()
        told = yield page.run("lost")
        self.assertIn(told, [None, [0, [], "the connection was lost"]])
        yield page.until("rope.state === 'open'")

    @inlineCallbacks
    def test_closed(self) -> Steps[None]:
        """
        Who leaves is gone.
        """
        page = yield self.open()
        yield page.until("met.includes('+ada')")
        yield page.run("rope.close()")
        told = yield page.run("failing(rope.publish('rooms.lobby', 1))")
        self.assertEqual(told, [0, [], "closed"])
        self.assertEqual((yield page.run("rope.state")), "closed")
