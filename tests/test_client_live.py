"""
Tests for L{ropewalk.client} over sockets.
"""

from __future__ import annotations

import asyncio
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall, deferLater
from twisted.trial.unittest import TestCase

from ropewalk.awaiting import inlineCallbacks, run
from ropewalk.client import Client, People, Refused, Said
from ropewalk.client.pages import Pages
from ropewalk.client.places import Place
from ropewalk.client.records import Misunderstood
from ropewalk.interfaces import Steps
from ropewalk.net.endpoints import make_client
from ropewalk.net.transports import network
from tests.certificates import self_signed
from tests.houses import House
from tests.visiting import blocks

reactor: Any = global_reactor

WAYS = ("websocket", "events", "poll", "lines", "frames", "packed")


class Parrot(Protocol):
    """
    Answers whatever comes with the same, once.
    """

    def __init__(self, answer: bytes, close: bool) -> None:
        self._answer = answer
        self._close = close

    def dataReceived(self, data: bytes) -> None:
        if self._answer and self.transport is not None:
            self.transport.write(self._answer)
            self._answer = b""
            if self._close:
                self.transport.loseConnection()


class LiveCase(TestCase):
    """
    A daemon at a port.
    """

    timeout = 30

    @inlineCallbacks
    def setUp(self) -> Steps[None]:  # type: ignore[override]
        self.house = House(reactor, beat=0.5)
        yield self.house.open()
        self.addCleanup(self.house.close)

    def client(self, way: str, **settings: Any) -> Client:
        """A client by one way."""
        if way in ("lines", "frames"):
            url = f"{way}://{getattr(self.house, way)}"
        else:
            url = f"http://{self.house.web}"
            settings["packed"] = way == "packed"
            ways = ("websocket",) if settings["packed"] else (way,)
            settings.setdefault("ways", ways)
        client = Client(url, reactor, pause=0.01, **settings)
        self.addCleanup(client.close)
        return client

    def parrot(self, answer: bytes, close: bool = True) -> str:
        """Where something else answers."""
        factory = Factory.forProtocol(lambda: Parrot(answer, close))
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return f"127.0.0.1:{port.getHost().port}"


class ClientTests(LiveCase):
    """
    By each way it is the same client.
    """

    @inlineCallbacks
    def test_everything(self) -> Steps[None]:
        """
        One hears, publishes, looks around and calls.
        """
        for way in WAYS:
            channel = f"rooms.{way}"
            states: list[str] = []
            client = self.client(way, changed=states.append)
            called = way.replace("packed", "websocket")
            self.assertEqual((client.state, client.way), ("connecting", called))
            hearing = client.hear(channel, after="")
            said: Said = yield client.publish(channel, {"text": "é"})
            self.assertEqual((said.channel, said.body), (channel, {"text": "é"}))
            self.assertEqual((yield hearing.take()), said)
            self.house.say(channel, "2")
            self.assertEqual((yield hearing.take()).body, "2")
            history = yield client.history(channel, 2)
            self.assertEqual([each.body for each in history], [{"text": "é"}, "2"])
            present: People = yield client.present(channel)
            self.assertEqual(present.people, [])
            self.assertEqual((yield client.call("kitchen.add", first=1, second=2)), 3)
            sum_of = {"first": 3, "second": 4}
            self.assertEqual((yield client.call_with("kitchen.add", sum_of)), 7)
            refused: Any = yield self.assertFailure(
                client.call("kitchen.add", first="x", second=1), Refused
            )
            self.assertEqual(refused.status, 422)
            self.assertEqual([each.path for each in refused.faults], ["first"])
            with self.assertRaisesRegex(ValueError, "rpc.publish is no operation"):
                client.call("rpc.publish")
            late: Any = yield self.assertFailure(
                client.call("kitchen.cook", deadline=0.01), Refused
            )
            self.assertEqual(late.status, 504)
            yield client.close()
            self.assertEqual(states, ["open", "closed"])
            self.assertEqual(client.state, "closed")

    @inlineCallbacks
    def test_subscribed(self) -> Steps[None]:
        """
        What is subscribed to is told to functions; who may not, likewise.
        """
        for way in WAYS:
            client = self.client(way)
            heard: Deferred[Said] = Deferred()
            refused: Deferred[Refused] = Deferred()
            subscription = client.subscribe("rooms.a", heard.callback, after="")
            client.subscribe("secret", heard.callback, refused=refused.callback)
            self.house.say("rooms.a", "hello")
            said = yield heard
            self.assertEqual(said.body, "hello")
            self.assertEqual(subscription.token, said.token)
            self.assertEqual((yield refused).status, 403)
            subscription.end()
            yield client.close()
            self.house = House(reactor)
            yield self.house.open()
            self.addCleanup(self.house.close)

    @inlineCallbacks
    def test_asyncio(self) -> Steps[None]:
        """
        It is used from C{async def}, also together with what is asyncio's.
        """
        yield deferLater(reactor, 0)  # asyncio's loop runs from now on
        client = self.client("websocket")

        async def talk() -> list[Any]:
            bodies = []
            hearing = client.hear("rooms.a", after="")
            await asyncio.gather(
                *(client.publish("rooms.a", number) for number in range(3))
            )
            async for said in hearing:
                bodies.append(said.body)
                await asyncio.sleep(0)
                if len(bodies) == 3:
                    hearing.end()
            return bodies

        self.assertEqual((yield run(talk)), [0, 1, 2])

    @inlineCallbacks
    def test_falls_back(self) -> Steps[None]:
        """
        Where there are no WebSockets, streams are heard.
        """
        client = self.client("websocket", live="/nowhere", ways=("websocket", "events"))
        hearing = client.hear("rooms.a", after="")
        self.house.say("rooms.a", 1)
        self.assertEqual((yield hearing.take()).body, 1)
        self.assertEqual(client.way, "events")

    @inlineCallbacks
    def test_nobody_there(self) -> Steps[None]:
        """
        Where nobody listens, calls wait; closing refuses them.
        """
        place = self.parrot(b"")
        for url in f"http://{place}", f"lines://{place}", f"frames://{place}":
            client = Client(url, reactor, pause=0.01)
            waiting = client.publish("rooms.a", 1)
            yield client.close()
            refused: Any = yield self.assertFailure(waiting, Refused)
            self.assertEqual(refused.status, 0)

    @inlineCallbacks
    def test_too_long(self) -> Steps[None]:
        """
        A message that is longer than it may be is not taken.
        """
        for way in WAYS:
            states: list[str] = []
            again: Deferred[None] = Deferred()

            def changed(
                state: str, states: list[str] = states, again: Any = again
            ) -> None:
                states.append(state)
                if states.count("connecting") == 2 and not again.called:
                    again.callback(None)

            client = self.client(way, longest=200, changed=changed)
            self.house.say(f"rooms.{way}", "x" * 500)
            heard: list[Any] = []
            client.subscribe(f"rooms.{way}", heard.append, after="")
            yield again
            self.assertEqual(heard, [])
            yield client.close()


class SecureTests(LiveCase):
    """
    Over TLS it is the same, with whom one can trust.
    """

    @inlineCallbacks
    def setUp(self) -> Steps[None]:  # type: ignore[override]
        yield super().setUp()
        server, self.trusting = self_signed()
        port = network(reactor).listenSSL(
            0, self.house.factory, server, interface="127.0.0.1"
        )
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port

    @inlineCallbacks
    def test_trusted(self) -> Steps[None]:
        """
        Pages and WebSockets are reached.
        """

        def endpoint(place: Place, reactor: Any) -> Any:
            there = make_client(f"tcp:127.0.0.1:{place.port}", reactor)
            return wrapClientTLS(self.trusting, there)

        self.patch(Place, "endpoint", endpoint)
        for way in "websocket", "events", "poll":
            url = f"https://localhost:{self.port}"
            client = Client(url, reactor, ways=(way,))
            self.addCleanup(client.close)
            hearing = client.hear(f"rooms.{way}", after="")
            yield client.publish(f"rooms.{way}", way)
            self.assertEqual((yield hearing.take()).body, way)

    @inlineCallbacks
    def test_stranger(self) -> Steps[None]:
        """
        Whom nobody vouches for is not talked to.
        """
        for scheme, way in ("wss", "websocket"), ("https", "poll"):
            twice: Deferred[None] = Deferred()
            drawn: list[float] = []

            def chance(drawn: list[float] = drawn, twice: Any = twice) -> float:
                drawn.append(0.0)
                if len(drawn) == 2:
                    twice.callback(None)
                return 0.0

            client = Client(
                f"{scheme}://localhost:{self.port}",
                reactor,
                ways=(way,),
                pause=0.01,
                chance=chance,
            )
            said = client.publish("rooms.a", "a secret")
            yield twice
            yield deferLater(reactor, 0)  # it was told in the midst of things
            self.assertEqual(client.state, "connecting")
            yield client.close()
            yield self.assertFailure(said, Refused)
        self.assertEqual((yield self.house.hub.history("rooms.a")), [])


class DocumentationTests(LiveCase):
    """
    C{docs/clients.rst} is true.
    """

    def names(self) -> dict[str, Any]:
        """What its Python defines."""
        names: dict[str, Any] = {}
        for block in blocks("clients", "python"):
            here = block.replace("127.0.0.1:8080", self.house.web)
            exec(compile(here, "clients.rst", "exec", dont_inherit=True), names)
        return names

    @inlineCallbacks
    def test_page(self) -> Steps[None]:
        """
        Its listener hears what is kept and what comes, its echo echoes, and its sum is
        one.
        """
        yield deferLater(reactor, 0)  # asyncio's loop runs from now on
        names = self.names()
        written: list[str] = []
        two: Deferred[None] = Deferred()

        def write(line: str) -> None:
            written.append(line)
            if len(written) == 2:
                two.callback(None)

        self.house.say("rooms.lobby", "hello")
        client = names["listen"](reactor, write)
        self.addCleanup(client.close)
        yield client.publish("rooms.lobby", "goodbye")
        yield two
        self.assertEqual(written, ["1. hello", "2. goodbye"])
        self.assertEqual((yield names["add"](client, 1, 2)), 3)
        (problem,) = yield names["add"](client, 1, "two")
        self.assertEqual(problem, "second: expected an integer, got 'two'")

    @inlineCallbacks
    def test_echo(self) -> Steps[None]:
        """
        Its echo says what is said once more, and once more louder.
        """
        yield deferLater(reactor, 0)
        echo = self.names()["echo"]
        client = self.client("websocket")
        echoes = client.hear("rooms.echo", after="")
        echoing = run(echo, client, 2)
        # When the daemon has the subscription on, nobody tells: it is said until then.
        saying = LoopingCall(lambda: self.house.say("rooms.lobby", "ho"))
        saying.start(0.01)
        yield echoing
        saying.stop()
        heard = []
        for _ in range(4):
            said = yield echoes.take()
            heard.append(said.body)
        self.assertEqual(sorted(heard), ["ho", "ho", "ho!", "ho!"])

    @inlineCallbacks
    def test_offer(self) -> Steps[None]:
        """
        Its lamp is dimmed by others, tells how far it is, and refuses what it cannot.
        """
        yield deferLater(reactor, 0)
        names = self.names()
        lamp = names["Lamp"]()
        offer = names["offer"](self.client("websocket"), lamp)
        yield offer.ready()
        other = self.client("lines")
        told: list[int] = []
        dimmed = yield other.call("lamp.dim", power=3, progress=told.append)
        self.assertEqual((dimmed, told, lamp.power), (3, [1, 2, 3], 3))
        for power, status, problem in (
            (101, 409, "the bulb is broken"),
            ("full", 422, "power: expected an integer, got 'full'"),
        ):
            refused: Any = yield self.assertFailure(
                other.call("lamp.dim", power=power), Refused
            )
            self.assertEqual((refused.status, str(refused)), (status, problem))


class PagesTests(LiveCase):
    """
    Pages are asked for, and what comes is not believed blindly.
    """

    def pages(self, answer: str, body: bytes = b"") -> Pages:
        head = answer.replace("\n", "\r\n") + f"\r\nContent-Length: {len(body)}"
        place = self.parrot(f"HTTP/1.1 {head}\r\n\r\n".encode() + body)
        pages = Pages(Place.of(f"http://{place}"), reactor, 100)
        return pages

    @inlineCallbacks
    def test_problems(self) -> Steps[None]:
        """
        An error says what its body says, or what its status says.
        """
        pages = self.pages("404 Not Found\nContent-Type: text/html", b"<h1>No</h1>")
        refused: Any = yield self.assertFailure(pages.ask("GET", "/x"), Refused)
        self.assertEqual((refused.status, str(refused)), (404, "404 Not Found"))
        odd = b'{"detail": "odd", "errors": [5, {"path": "a"}]}'
        pages = self.pages("422 Odd", odd)
        refused = yield self.assertFailure(pages.ask("POST", "/x", 1), Refused)
        self.assertEqual(str(refused), "odd")
        self.assertEqual([each.path for each in refused.faults], ["a"])

    @inlineCallbacks
    def test_later(self) -> Steps[None]:
        """
        When it says after how many seconds one may ask again, that is told.
        """
        for told, seconds in (
            ("7", 7),
            ("Sat, 21 Nov 2026 07:28:00 GMT", 0),
            ("-1", 0),
        ):
            pages = self.pages(f"429 Too Many\nRetry-After: {told}")
            refused: Any = yield self.assertFailure(pages.ask("GET", "/x"), Refused)
            self.assertEqual(refused.seconds, seconds)
            self.assertTrue(refused.passes)

    @inlineCallbacks
    def test_moved(self) -> Steps[None]:
        """
        Nobody is followed elsewhere.
        """
        pages = self.pages("302 Found\nLocation: http://example.org/")
        refused: Any = yield self.assertFailure(pages.ask("GET", "/x"), Refused)
        self.assertEqual(refused.status, 302)

    @inlineCallbacks
    def test_strange(self) -> Steps[None]:
        """
        What is no JSON, too long, or no stream, is an error.
        """
        yield self.assertFailure(
            self.pages("200 OK", b"<h1>").ask("GET", "/x"), Misunderstood
        )
        yield self.assertFailure(
            self.pages("200 OK", b"1" * 200).ask("GET", "/x"), Misunderstood
        )
        heard: list[bytes] = []
        html = self.pages("200 OK\nContent-Type: text/html", b"data: 1\n\n")
        yield self.assertFailure(html.listen("/x", heard.append), Misunderstood)
        self.assertEqual(heard, [])
