"""
An arena: players move in it, twenty times a second, over UDP. Spectators see it in a
browser, at ``/game/``.

What a player says is JSON, in datagrams: ``{"join": "Ada"}``, ``{"move": [1, 0]}``,
``{"leave": true}``. What it is told, at each step, is where everybody is. ``player.py``
is a player in a screen.

Read from top to bottom: the shapes, the rules (they know neither sockets nor time), the
pace, the faces, and ``makeService``, which puts them together.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from twisted.application.service import MultiService, Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import RopewalkError
from ropewalk.hub import ANYONE, ChannelRule
from ropewalk.interfaces import (
    IHost,
    IHub,
    ISubscriber,
    Message,
    Presence,
    Steps,
)
from ropewalk.net.datagrams import DatagramPeer, Datagrams
from ropewalk.net.sockets import Socket
from ropewalk.schema import Meta, Shape, read_json, write_json
from ropewalk.web import Routes

PAGE = Path(__file__).with_name("arena.html").read_text("utf-8")

#: Steps a second.
PACE = 20

#: How wide and high the arena is, and how far one comes in a second.
SIZE, SPEED = 100.0, 20.0

#: The channel that spectators hear.
CHANNEL = "game.arena"


# The shapes.


class Settings(Shape):
    """The table ``[game]``."""

    listen: str = "udp:7072:interface=127.0.0.1"
    # Where 32 players are can be said in one datagram.
    players: Annotated[int, Meta(ge=1, le=32)] = 32


Name = Annotated[str, Meta(pattern=r"^(?![\s\S]*\n)[\w-]{1,12}$")]
Way = Annotated[float, Meta(ge=-1, le=1)]


class Said(Shape):
    """What a player says."""

    join: Name | None = None
    move: tuple[Way, Way] | None = None
    leave: bool = False


class State(Shape):
    """Where everybody is."""

    step: int
    players: dict[str, tuple[float, float]]


class Lateness(Shape):
    """How late the last steps were, in milliseconds."""

    steps: int
    p50: float
    p99: float
    worst: float


# The rules.


class NotNow(RopewalkError):
    """Somebody cannot do that now."""

    status = 409


class Body:
    """
    Somebody in the arena.

    :ivar at: Where.
    :ivar way: Where to.
    """

    def __init__(self) -> None:
        self.at = (SIZE / 2, SIZE / 2)
        self.way = (0.0, 0.0)

    def move(self, seconds: float) -> None:
        """Go on for a while; nobody goes through walls."""
        x, y = (
            min(SIZE, max(0.0, at + way * SPEED * seconds))
            for at, way in zip(self.at, self.way, strict=True)
        )
        self.at = x, y


class Arena:
    """
    Who is there, and where.

    :param most: How many may be there.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._bodies: dict[str, Body] = {}
        self._step = 0

    def join(self, name: str) -> Body:
        """Come in."""
        if name in self._bodies:
            raise NotNow(f"there is a {name} already; take another name")
        if len(self._bodies) >= self._most:
            raise NotNow("the arena is full; try again when somebody has left")
        body = self._bodies[name] = Body()
        return body

    def leave(self, name: str) -> None:
        """Go out."""
        del self._bodies[name]

    def step(self) -> State:
        """Let everybody move, for a step."""
        self._step += 1
        for body in self._bodies.values():
            body.move(1 / PACE)
        return self.state()

    def state(self) -> State:
        """Where everybody is."""
        places = {
            name: (round(body.at[0], 1), round(body.at[1], 1))
            for name, body in self._bodies.items()
        }
        return State(self._step, places)


# The pace.


class Beat(Service):
    """
    Does something at a fixed pace. Each step is due at so many times the length of one
    after the start: one that is late does not make those after it late. Those that are
    overdue are made up for at once, as long as they are few; of more, time is lost.

    :param step: What to do.
    :param pace: How often a second.
    :param clock: Where time comes from.
    :param precisely: A clock for :attr:`lateness`; a reactor's may count milliseconds.
    :ivar lateness: How late the last steps were, in seconds.
    """

    made_up = 5

    _log = Logger()

    def __init__(
        self,
        step: Callable[[], object],
        pace: float,
        clock: IReactorTime,
        precisely: Callable[[], float],
    ) -> None:
        self._step = step
        self._pace = pace
        self._clock = clock
        self._precisely = precisely
        self._count = 0
        self._timer: IDelayedCall | None = None
        self.lateness: deque[float] = deque(maxlen=1200)

    def startService(self) -> None:
        super().startService()
        self._began, self._began_precisely = self._clock.seconds(), self._precisely()
        self._count = 0
        self._wait()

    def stopService(self) -> None:
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def told(self) -> Lateness:
        """How late the last steps were."""
        late = sorted(each * 1000 for each in self.lateness) or [0.0]
        p50, p99 = (late[int(part * (len(late) - 1))] for part in (0.5, 0.99))
        return Lateness(len(self.lateness), p50, p99, late[-1])

    def _wait(self) -> None:
        due = self._began + (self._count + 1) / self._pace
        wait = max(0.0, due - self._clock.seconds())
        self._timer = self._clock.callLater(wait, self._go)

    def _go(self) -> None:
        self._timer = None
        due = self._began_precisely + (self._count + 1) / self._pace
        self.lateness.append(self._precisely() - due)
        passed = (self._clock.seconds() - self._began) * self._pace
        overdue = max(1, int(passed + 0.01) - self._count)
        self._count += overdue
        for _ in range(min(overdue, self.made_up)):
            try:
                self._step()
            except Exception:
                self._log.failure("a step failed; the next is due all the same")
        if self.running:
            self._wait()


# The face for players: datagrams.


class Player(DatagramPeer):
    """Somebody who plays: says where to go, and is told where everybody is."""

    longest, idle, rate, burst = 200, 10.0, 60.0, 30

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._body: Body | None = None
        self._called = ""

    @property
    def plays(self) -> bool:
        """Whether they are in the arena."""
        return self._body is not None

    def heard(self, datagram: bytes) -> None:
        said = read_json(Said, datagram)
        if said.join is not None and said.join != self._called:
            self._join(said.join)
        if said.move is not None:
            if self._body is None:
                raise NotNow('join first: {"join": "Ada"}')
            self._body.way = said.move
        if said.leave:
            self.leave(self.goodbye("you have left"))

    def closed(self) -> None:
        if self._body is not None:
            self._arena.leave(self._called)

    def complain(self, error: RopewalkError) -> None:
        self.send(write_json({"problem": str(error)}))

    def goodbye(self, reason: str) -> bytes:
        return write_json({"goodbye": reason})

    def _join(self, name: str) -> None:
        if self._body is not None:
            raise NotNow(f"you are {self._called} already")
        self._body, self._called = self._arena.join(name), name


# The face for spectators: a page, and a WebSocket.


@implementer(ISubscriber)
class Watching(Socket):
    """``/game/live``: where everybody is, at each step."""

    def __init__(self, hub: IHub) -> None:
        super().__init__()
        self._hub = hub

    @inlineCallbacks
    def opened(self) -> Steps[None]:
        yield self._hub.subscribe(CHANNEL, self, retained=True)

    @inlineCallbacks
    def closed(self) -> Steps[None]:
        yield self._hub.unsubscribe(CHANNEL, self)

    def deliver(self, message: Message) -> None:
        self.say(write_json(message.body).decode())

    def joined(self, channel: str, presence: Presence) -> None:
        """Nobody is present under a name."""

    def left(self, channel: str, presence: Presence) -> None:
        """So nobody leaves either."""


class Game:
    """
    The arena, those who play in it, and those who watch.

    :ivar beat: The pace.
    """

    routes = Routes()

    def __init__(
        self,
        arena: Arena,
        players: Datagrams,
        hub: IHub,
        clock: IReactorTime,
        precisely: Callable[[], float],
    ) -> None:
        self._arena = arena
        self._players = players
        self._hub = hub
        self._told = arena.state()
        self.beat = Beat(self.step, PACE, clock, precisely)

    def step(self) -> None:
        """Let everybody move, and tell everybody."""
        state = self._arena.step()
        told = write_json(state)
        playing: Any = self._players.peers
        for player in playing:
            if player.plays:
                player.send(told)
        # Of an empty arena, once is enough.
        if state.players or self._told.players:
            self._hub.publish(CHANNEL, state)
        self._told = state

    @routes.get("/")
    def page(self) -> str:
        """The arena, for a browser."""
        return PAGE

    @routes.get("/state")
    def state(self) -> State:
        """Where everybody is."""
        return self._arena.state()

    @routes.get("/lateness")
    def lateness(self) -> Lateness:
        """How late the last steps were."""
        return self.beat.told()


def makeService(settings: Settings, host: IHost) -> MultiService:
    """Build the service. Nothing is started here."""
    arena = Arena(settings.players)
    players = Datagrams(Player, arena, clock=host.reactor, most=2 * settings.players)
    game = Game(arena, players, host.hub, host.reactor, time.perf_counter)
    host.hub.declare(CHANNEL, ChannelRule(subscribe=ANYONE, shape=State, keep=1))
    host.web.mount("/game", game.routes)
    host.web.socket("/game/live", Watching, host.hub)
    service = MultiService()
    game.beat.setServiceParent(service)
    host.datagrams(settings.listen, players).setServiceParent(service)
    return service
