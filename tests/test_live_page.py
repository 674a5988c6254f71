# -*- test-case-name: tests.test_live_page -*-
"""
The client for pages, in a real browser.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.hub import ANYONE, ChannelRule
from ropewalk.interfaces import Caller, Steps
from ropewalk.operations import operation
from ropewalk.web import Routes
from tests.browser import Browser, Page
from tests.offering import begin

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
            host.operations.add("house", House())
            host.web.mount("/page", pages)

        self.browser = yield Browser.start(self.mktemp())
        self.addCleanup(self.browser.stop)
        self.host, self.url = yield begin(self, make)

    @inlineCallbacks
    def open(self, **options: Any) -> Steps[Page]:
        """Open a page that talks in this way."""
        words = quote(json.dumps(options))
        page: Page = yield self.browser.open(f"{self.url}page/#{words}")
        yield page.until("window.ready && rope.state === 'open'")
        yield page.run("rope.present('rooms.lobby')")  # behind what it subscribed to
        # A daemon that stops waits for whoever asks again and again.
        self.addCleanup(page.run, "rope.close()")
        return page

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


class FallBackTests(PageTestCase):
    """
    Where a way is barred.
    """

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
