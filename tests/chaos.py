# -*- test-case-name: tests.test_chaos -*-
"""
Chaos between a daemon and its clients: a proxy that cuts connections at random, in the
middle of messages too, stalls some and refuses some; a publisher who counts; and those
who listen, by every way there is: programs, or the pages of a browser. Sockets are
real, and nothing waits for a time but what does so in a client.
"""

from __future__ import annotations

from collections import Counter
from math import exp, log
from random import Random
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from ropewalk.awaiting import inlineCallbacks
from ropewalk.client import Client, Refused, Said, Subscription
from ropewalk.interfaces import Steps
from ropewalk.net.transports import network
from ropewalk.web.live import client_module
from tests.browser import Browser
from tests.houses import House
from tests.tabs import Tab, tab_pages

__all__ = ["Chaos", "FlappingProxy"]

reactor: Any = global_reactor

#: Bytes that a connection lives for: from so many to so many.
_LEAST, _MOST = 60, 20_000

#: Of ten connections, so many are refused, and so many of those that end are stalled.
_REFUSED, _STALLED = 1, 0.5

#: Messages that the slowest may be behind. More are not said until it has caught up.
_BEHIND = 1000

#: Seconds between two messages.
_EVERY = 0.002

#: Messages after which somebody takes another way.
_WANDERED = 40

#: Seconds of silence after which clients begin to wonder.
_SILENCE = 0.5

#: The ways to a web site, as they are usually tried.
_WEB = ("websocket", "events", "poll")

#: Who listens, by name: by which ways. Whoever wanders takes any of them.
_KINDS: dict[str, tuple[str, ...]] = {each: (each,) for each in _WEB}
_KINDS |= {"all": _WEB, "wanderer": _WEB}


class FlappingProxy(Factory):
    """
    Passes on what is said, until it does not.

    :param place: Where to: ``"127.0.0.1:8080"``.
    :ivar cuts: How many connections it has cut, stalled or refused.
    :ivar calm: Whether it leaves off.
    """

    noisy = False

    def __init__(self, place: str, random: Random) -> None:
        host, _, port = place.rpartition(":")
        self.cuts: Counter[str] = Counter()
        self.calm = False
        self._endpoint = TCP4ClientEndpoint(network(reactor), host, int(port))
        self._random = random
        self._pairs: set[_Pair] = set()
        self._port: Any = None

    def open(self) -> str:
        """Listen; where."""
        self._port = network(reactor).listenTCP(0, self, interface="127.0.0.1")
        return f"127.0.0.1:{self._port.getHost().port}"

    @inlineCallbacks
    def close(self) -> Steps[None]:
        """Listen no longer, and cut what there is."""
        yield self._port.stopListening()
        for pair in tuple(self._pairs):
            pair.end()

    def buildProtocol(self, addr: Any) -> Protocol:
        pair = _Pair(self, self.lifetime(), self.fate())
        self._pairs.add(pair)
        return pair.near

    def lifetime(self) -> float:
        """Bytes after which a connection ends; 0 refuses it."""
        if self._random.random() * 10 < _REFUSED:
            return 0
        return exp(self._random.uniform(log(_LEAST), log(_MOST)))

    def fate(self) -> str:
        """How a connection ends."""
        if self._random.random() * 10 < _STALLED:
            return "stalled"
        return self._random.choice(("cut", "closed"))

    def dial(self, far: Protocol) -> Deferred[Any]:
        """Connect to the daemon."""
        dialled: Deferred[Any] = connectProtocol(self._endpoint, far)
        return dialled

    def forget(self, pair: _Pair) -> None:
        """A connection is over."""
        self._pairs.discard(pair)


class _Pair:
    """
    Two connections that are meant to be one.
    """

    def __init__(self, proxy: FlappingProxy, left: float, fate: str) -> None:
        self._proxy = proxy
        self._left = left
        self._fate = fate
        self._stalled = False
        self._over = False
        self.near, self.far = _Half(self), _Half(self)

    def begin(self) -> None:
        """The client is there."""
        if self._left == 0 and not self._proxy.calm:
            self._proxy.cuts["refused"] += 1
            self.end()
            return
        self.near.transport.pauseProducing()
        dialled = self._proxy.dial(self.far)
        dialled.addCallbacks(lambda _: self._join(), lambda _: self.end())

    def pass_on(self, half: _Half, data: bytes) -> None:
        """Pass on what one has said."""
        if self._stalled or self._over:
            return
        other = self.far if half is self.near else self.near
        left = self._left
        if not self._proxy.calm:
            self._left -= len(data)
        if self._proxy.calm or self._left > 0:
            other.transport.write(data)
            return
        self._proxy.cuts[self._fate] += 1
        other.transport.write(data[: int(left)])
        if self._fate == "stalled":
            self._stalled = True
        else:
            self.end(gently=self._fate == "closed")

    def end(self, gently: bool = False) -> None:
        """It is over for both."""
        self._over = True
        self._proxy.forget(self)
        for half in self.near, self.far:
            if half.connected:
                transport = half.transport
                (transport.loseConnection if gently else transport.abortConnection)()

    def _join(self) -> None:
        if self._over:
            self.end()
        else:
            self.near.transport.resumeProducing()


class _Half(Protocol):
    """
    One connection of a pair.
    """

    transport: Any

    def __init__(self, pair: _Pair) -> None:
        self._pair = pair

    def connectionMade(self) -> None:
        if self is self._pair.near:
            self._pair.begin()

    def dataReceived(self, data: bytes) -> None:
        self._pair.pass_on(self, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._pair.end(gently=True)


class Ear:
    """
    Hears a channel, and counts aloud in another one.

    :param name: What it is called: its ways.
    :param packed: Whether it speaks msgpack by WebSocket.
    :ivar heard: What it has heard.
    :ivar gaps: How often it was told that something is missing.
    :ivar answered: What it has published for certain.
    :cvar once: Whether what it publishes is never there twice.
    """

    once = True

    def __init__(
        self,
        name: str,
        ways: tuple[str, ...],
        places: dict[str, str],
        packed: bool = False,
    ) -> None:
        self.name = name
        self._packed = packed
        self.heard: list[Any] = []
        self.gaps = 0
        self.answered: list[int] = []
        self._ways = ways
        self._places = places
        self._client = self._make(ways)
        self._subscription = self._subscribe("")
        self._number = 0
        self._last: tuple[Any, Deferred[None]] | None = None
        self._asking = False

    def hear_up_to(self, last: Any) -> Deferred[None]:
        """Wait until something was heard."""
        waiting: Deferred[None] = Deferred()
        self._last = last, waiting
        self._look()
        return waiting

    @property
    def reached(self) -> int:
        """The last that was heard."""
        return int(self.heard[-1]) if self.heard else 0

    def speak(self) -> None:
        """Publish a number, if the last one is through."""
        if self._asking or self._client.state != "open":
            return
        self._asking, self._number = True, self._number + 1
        number = self._number
        said = self._client.publish(self.channel, number)
        said.addCallbacks(lambda _: self.answered.append(number), self._refused)
        said.addBoth(self._asked)

    @property
    def channel(self) -> str:
        """What it publishes into."""
        return f"rooms.{self.name}"

    def wander(self, random: Random) -> None:
        """Go on by another way, behind what was heard last."""
        token = self._subscription.token
        self._client.close()
        self._client = self._make((random.choice(self._ways),))
        self._subscription = self._subscribe(token)

    def close(self) -> Deferred[None]:
        """Leave."""
        return self._client.close()

    def _make(self, ways: tuple[str, ...]) -> Client:
        scheme = ways[0] if ways[0] in self._places else "http"
        return Client(
            f"{scheme}://{self._places[scheme]}",
            reactor,
            ways=ways,
            packed=self._packed,
            pause=0.004,
            silence=_SILENCE,
        )

    def _subscribe(self, token: str | None) -> Subscription:
        return self._client.subscribe(
            "rooms.count", self._hear, after=token, gap=self._miss
        )

    def _hear(self, said: Said) -> None:
        self.heard.append(said.body)
        self._look()

    def _miss(self) -> None:
        self.gaps += 1

    def _refused(self, failure: Failure) -> None:
        failure.trap(Refused)

    def _asked(self, outcome: Any) -> Any:
        self._asking = False
        return outcome

    def _look(self) -> None:
        if self._last is not None and self.heard and self.heard[-1] == self._last[0]:
            (_, waiting), self._last = self._last, None
            waiting.callback(None)


class Chaos:
    """
    A daemon, its clients, and what is between them.

    :param cuts: How many connections are to be cut.
    :param browser: Where those who listen are pages; without one they are programs.
    :ivar ears: Who listens; the last one wanders.
    :ivar published: How much was said.
    """

    def __init__(self, cuts: int, seed: int, browser: Browser | None = None) -> None:
        self._cuts = cuts
        self._random = Random(seed)
        self.house = House(reactor, beat=_SILENCE / 2)
        self.proxies: list[FlappingProxy] = []
        self.ears: list[Ear | Tab] = []
        self.published = 0
        self._browser = browser
        self._publishing: Any = None
        self._calm_since: int | None = None

    @property
    def cuts(self) -> Counter[str]:
        """What was done to connections."""
        return sum((proxy.cuts for proxy in self.proxies), Counter())

    @inlineCallbacks
    def run(self) -> Steps[None]:
        """Cut as many as there are to be cut, and wait until all have heard all."""
        yield self._open()
        self._publishing = LoopingCall(self._go_on)
        yield self._publishing.start(_EVERY)
        self._publish()
        yield gatherResults(
            [ear.hear_up_to(self.published) for ear in self.ears], consumeErrors=True
        )

    @inlineCallbacks
    def close(self) -> Steps[None]:
        """End it."""
        for ear in self.ears:
            yield ear.close()
        for proxy in self.proxies:
            yield proxy.close()
        yield self.house.close()

    @inlineCallbacks
    def _open(self) -> Steps[None]:
        yield self.house.open()
        if self._browser is None:
            self._open_programs()
        else:
            yield self._open_pages(self._browser)

    def _open_programs(self) -> None:
        """Have one on each way, and by TCP alone."""
        there = {"http": self.house.web}
        there |= {"lines": self.house.lines, "frames": self.house.frames}
        places = {scheme: self._proxy(place) for scheme, place in there.items()}
        packed = Ear("packed", ("websocket",), places, packed=True)
        tcp = [Ear(name, (name,), places) for name in ("lines", "frames")]
        web = [Ear(name, ways, places) for name, ways in _KINDS.items()]
        self.ears = [packed, *tcp, *web]

    @inlineCallbacks
    def _open_pages(self, browser: Browser) -> Steps[None]:
        """
        Have one on each way. Each has a place of its own, as a browser has only so many
        connections to one; and all of it, before anything is cut.
        """
        self.house.mount("/ropewalk.js", client_module())
        self.house.mount("/tab", tab_pages())
        for name, ways in _KINDS.items():
            url = f"http://{self._proxy(self.house.web, calm=True)}/tab/"
            every = _WANDERED if name == "wanderer" else 0
            opened = Tab.open(browser, url, name, ways, every=every, silence=_SILENCE)
            self.ears.append((yield opened))
        for proxy in self.proxies:
            proxy.calm = False

    def _proxy(self, place: str, calm: bool = False) -> str:
        """Put one before a place; where."""
        proxy = FlappingProxy(place, self._random)
        proxy.calm = calm
        self.proxies.append(proxy)
        return proxy.open()

    def _go_on(self) -> None:
        """Say something, until enough was cut and everybody is back."""
        slowest = min(ear.reached for ear in self.ears)
        if self.published - slowest < _BEHIND:
            self._publish()
            if self.published % _WANDERED == 0:
                self.ears[-1].wander(self._random)
        if self._calm_since is None:
            for ear in self.ears:
                ear.speak()
            if self.cuts.total() >= self._cuts:
                self._calm_since = self.published
                for proxy in self.proxies:
                    proxy.calm = True
        elif all(ear.reached > self._calm_since for ear in self.ears):
            self._publishing.stop()

    def _publish(self) -> None:
        self.published += 1
        self.house.say("rooms.count", self.published)
