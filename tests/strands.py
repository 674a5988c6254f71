"""
Clients of a daemon in memory, on a clock that stands still: each connection is a pair
of queues, of which a test lets through as much as it likes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.task import Clock

from ropewalk.client.calls import Refused
from ropewalk.client.conversation import ByConnection
from ropewalk.client.pages import Pages
from ropewalk.client.session import Session
from ropewalk.client.ways import Owner, Way
from ropewalk.client.web import ByEvents, ByPolling
from ropewalk.hub import ANYONE, NOBODY, ChannelRule, MemoryHub
from ropewalk.interfaces import Caller
from ropewalk.net.calls import Calls
from ropewalk.net.limits import CallSettings
from ropewalk.operations import Operations
from ropewalk.web.channels import EVENTS, ChannelPages
from ropewalk.web.operations import OperationPages
from ropewalk.wire.jsonrpc import JSON
from tests.callables import Callables
from tests.houses import Guard
from tests.visiting import Place, Visit, request

__all__ = ["Line", "Town"]

SILENCE = 30.0


class Town:
    """
    A daemon, and the ways to it.

    :ivar dark: Whether nobody answers at all.
    :ivar blocked: The ways that are cut off before they open.
    """

    def __init__(self) -> None:
        self.place = Place.of()
        self.clock: Clock = self.place.clock
        self.guard = Guard()
        self.hub = MemoryHub(
            self.clock.seconds, clock=self.clock, epoch="e", authoriser=self.guard
        )
        self.hub.declare("rooms.*", ChannelRule(publish=ANYONE, keep=1000))
        self.hub.declare("short.*", ChannelRule(publish=ANYONE, keep=2))
        self.hub.declare("none.*", ChannelRule(publish=ANYONE, keep=0))
        self.hub.declare("secret", ChannelRule(subscribe=NOBODY))
        self.hub.declare("guarded.*", ChannelRule(subscribe="ears"))
        self.hub.declare("full.*", ChannelRule(publish=ANYONE, limit=1))
        self.house = Callables()
        self.operations = Operations(self.clock)
        self.operations.add("house", self.house)
        self.operations.authorise(self.guard)
        pages = ChannelPages(self.hub, self.clock)
        self.place.mount("/channels", pages.routes)
        self.place.mount("/operations", OperationPages(self.operations).routes())
        self.dark = False
        self.blocked: set[str] = set()
        self.links: list[Line | Trip] = []
        self.dialled: list[str] = []
        self._sessions: list[Session] = []

    def session(self, *ways: str, **settings: Any) -> Session:
        """What a client wants of it, and has begun to ask for."""
        given = {"most": 5, "pause": 1.0, "chance": lambda: 1.0, **settings}
        session = Session(self.make, self.clock, ways or ("wire",), **given)
        session.start()
        self._sessions.append(session)
        return session

    def end(self) -> None:
        """Everybody leaves."""
        for session in self._sessions:
            session.close()
        self.pump()

    def make(self, name: str, owner: Owner) -> Way:
        """Make a way."""
        self.dialled.append(name)
        if name == "wire":
            return Wire(owner, self)
        kind = ByEvents if name == "events" else ByPolling
        pages: Any = MemoryPages(self, name)
        return kind(owner, SILENCE, pages, "/channels", "/operations")

    def say(self, channel: str, *bodies: Any) -> None:
        """Publish."""
        for body in bodies:
            self.hub.publish(channel, body)

    def pump(self, most: int = 10_000) -> None:
        """Let through what is on its way, or so many pieces of it."""
        for _ in range(most):
            self.clock.advance(0)
            moved = [link.step() for link in tuple(self.links)]
            if not any(moved):
                break

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and all come through."""
        self.pump()
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.pump()

    def cut(self) -> None:
        """Cut all connections."""
        links, self.links[:] = [*self.links], []
        for link in links:
            link.cut()


class Wire(ByConnection):
    """
    The way by a connection.
    """

    def __init__(self, owner: Owner, town: Town) -> None:
        super().__init__(owner, SILENCE)
        self._town = town
        self.line: Line | None = None

    def connect(self) -> None:
        if self._town.dark:
            self.owner.clock.callLater(0, self.gone, "refused")
            return
        self.line = Line(self, self._town)
        self.owner.clock.callLater(0, self._meet)

    def give_up(self) -> None:
        self.line = None

    def say(self, message: bytes) -> None:
        if self.line is not None:
            self.line.up.append(message)

    def leave(self) -> None:
        self.cut()

    def cut(self) -> None:
        if self.line is not None:
            self.owner.clock.callLater(0, self.line.cut)

    def _meet(self) -> None:
        if self.line is None:
            return
        self.reached()
        if "wire" in self._town.blocked:
            self.line.cut()
        else:
            self._town.links.append(self.line)
            self.ready()


class Line:
    """
    What is on its way, and the daemon's end.
    """

    def __init__(self, way: Wire, town: Town) -> None:
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self._way = way
        self._town = town
        self._over = False
        self.calls = Calls(town.operations, town.hub, self._say, CallSettings())
        self.calls.begin(Caller("test"))

    def step(self) -> bool:
        """Let one message through each way; whether there were any."""
        moved = bool(self.up or self.down)
        if self.up:
            self.calls.hear(self.up.popleft())
        if self.down and not self._over:
            self._way.alive()
            self._way.heard(self.down.popleft())
        return moved

    def cut(self) -> None:
        """It is over; what was on its way is lost."""
        if self._over:
            return
        self._over = True
        if self in self._town.links:
            self._town.links.remove(self)
        self.calls.cancel()
        self._way.gone("cut")

    def _say(self, message: bytes) -> None:
        if not self._over:
            self.down.append(message)


class MemoryPages(Pages):
    """
    The pages of the town's site.
    """

    def __init__(self, town: Town, name: str) -> None:
        self._town = town
        self._name = name
        self.longest = 1_000_000

    def ask(self, method: str, path: str, body: Any = ...) -> Deferred[Any]:
        trouble = self._trouble(method)
        return trouble or Trip(self._town, method, path, body).done

    def listen(self, path: str, came: Callable[[bytes], None]) -> Deferred[Any]:
        trouble = self._trouble("GET")
        return trouble or Trip(self._town, "GET", path, ..., came).done

    def _trouble(self, method: str) -> Deferred[Any] | None:
        if self._town.dark:
            return fail(ConnectionRefusedError())
        if self._name in self._town.blocked and method != "HEAD":
            return fail(ConnectionLost())
        return None


class Trip:
    """
    A request, and what comes back.
    """

    def __init__(
        self,
        town: Town,
        method: str,
        path: str,
        body: Any,
        came: Callable[[bytes], None] | None = None,
    ) -> None:
        self._town = town
        self._method = method
        self._came = came
        self._ended: Deferred[None] | None = None
        self._visit = Visit(town.place.site)
        self._stream = b""
        self.done: Deferred[Any] = Deferred(lambda _: self._leave())
        headers = [f"Accept: {EVENTS if came else 'application/json'}"]
        content = b""
        if body is not ...:
            headers.append("Content-Type: application/json")
            content = JSON.encode(body)
        town.links.append(self)
        self._visit.send(request(path, method, *headers, body=content))

    def step(self) -> bool:
        """Let what has come through; whether there was something."""
        said = self._visit.wire.value()
        if not said:
            return False
        if self._came is None or b" 200 " not in said[:20] + self._stream[:20]:
            self._answer()
            return True
        self._visit.wire.clear()
        self._stream += said
        self._read_on()
        return True

    def cut(self) -> None:
        """It is over."""
        self._leave()
        waiting = self.done if not self.done.called else self._ended
        if waiting is not None and not waiting.called:
            waiting.errback(ConnectionLost())

    def _leave(self) -> None:
        if self in self._town.links:
            self._town.links.remove(self)
        if not self._visit.lost:
            self._visit.leave()

    def _answer(self) -> None:
        answer = self._visit.answer(self._method)
        self._leave()
        if answer.status < 300:
            self.done.callback(answer.json if answer.body else None)
        else:
            told = answer.json if answer.body else {}
            refused = Refused.of(told.get("detail"), answer.status, told.get("errors"))
            self.done.errback(refused)

    def _read_on(self) -> None:
        """Of a stream in chunks, those that are whole."""
        if self._ended is None:
            _, found, rest = self._stream.partition(b"\r\n\r\n")
            if not found:
                return
            self._stream = b"HTTP/1.1 200 \r\n" + rest
            self._ended = Deferred(lambda _: self._leave())
            self.done.callback((self._ended,))
        head, _, rest = self._stream.partition(b"\r\n")
        came, ended = self._came, self._ended
        while came is not None and b"\r\n" in rest and not ended.called:
            size, _, chunk = rest.partition(b"\r\n")
            length = int(size, 16)
            if len(chunk) < length + 2:
                break
            rest = chunk[length + 2 :]
            if length:
                came(chunk[:length])
            else:
                self._leave()
                ended.callback(None)
        self._stream = head + b"\r\n" + rest
