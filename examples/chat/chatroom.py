"""
Chat rooms shared by browsers, ``nc`` and ``curl``.

A room is a channel. The daemon offers channels to whoever may have them: to browsers at
``/live``, to ``curl`` at ``/channels/rooms.lobby``. So there is not much to say here:
what a line is, what a room promises, a page, and how one talks with ``nc``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from twisted.application.service import MultiService
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import RopewalkError
from ropewalk.hub import ANYONE, ChannelRule
from ropewalk.interfaces import (
    Caller,
    IHost,
    IHub,
    ISubscriber,
    Message,
    Presence,
    Steps,
)
from ropewalk.net.protocols import LineFactory, LineProtocol
from ropewalk.schema import Meta, Shape, read
from ropewalk.web import File, Redirect, Routes, redirect

PAGE = Path(__file__).with_name("chatroom.html")

#: What would begin a new line in somebody's terminal, or do worse there.
CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"

Name = Annotated[
    str,
    Meta(
        pattern=rf"^(?![\s\S]*[{CONTROL}])\S(.{{0,38}}\S)?$",
        description="a name of 1 to 40 characters",
    ),
]
Text = Annotated[
    str,
    Meta(
        pattern=rf"^(?![\s\S]*[{CONTROL}]).{{1,500}}$",
        description="text of 1 to 500 characters on one line",
    ),
]
Room = Annotated[
    str,
    Meta(
        pattern=r"^(?![\s\S]*\n)[\w-]{1,40}$",
        description="a room's name: 1 to 40 letters, digits, - or _",
    ),
]


class Settings(Shape):
    """The table ``[chat]`` of the settings file."""

    listen: str = "tcp:7070:interface=127.0.0.1"
    history: Annotated[int, Meta(ge=0, le=10_000)] = 100


class Line(Shape):
    """What somebody says."""

    author: Name
    text: Text


class Visit(Shape):
    """Where somebody is, and as whom."""

    room: Room
    name: Name

    @property
    def channel(self) -> str:
        """What is heard there."""
        return f"rooms.{self.room}"


def rule_of(settings: Settings) -> ChannelRule:
    """What every room promises. Who is back within five seconds has not left."""
    return ChannelRule(shape=Line, publish=ANYONE, keep=settings.history, away=5)


# For browsers: a page, which talks to the channel itself.

routes = Routes()


@routes.get("/")
def first() -> Redirect:
    """Where to begin."""
    return redirect("/chat/lobby")


@routes.get("/<room>")
def show(room: Room) -> File:
    """A room."""
    return File(PAGE)


# For people with `nc`: lines.


@implementer(ISubscriber)
class RoomLines(LineProtocol):
    """
    ``/join lobby Ada``, and then every line is said.

    :cvar recent: How many of the last messages somebody is told who comes in.
    """

    idle = 12 * 60 * 60.0  # somebody may just listen
    recent = 50

    def __init__(self, hub: IHub, clock: IReactorTime) -> None:
        super().__init__(clock)
        self._hub = hub
        self._caller = Caller("lines")
        self._visit: Visit | None = None
        self._said: Line | None = None
        self._commands = {
            "/join": self._join,
            "/who": self._who,
            "/quit": self._quit,
            "/help": self._help,
        }

    def opened(self) -> None:
        address = getattr(self.transport.getPeer(), "host", "")
        self._caller = Caller("lines", address)
        self.say("* Welcome. To come in, type: /join lobby YourName")
        self.say("* Then every line is said. /who, /quit and /help do what they say.")

    def heard(self, line: str) -> Any:
        line = line.strip()
        if not line:
            return None
        if not line.startswith("/"):
            return self._speak(line)
        word, *rest = line.split(maxsplit=1)
        command = self._commands.get(word.lower())
        if command is None:
            known = ", ".join(self._commands)
            raise RopewalkError(f"there is no {word}; there are {known}")
        return command(*rest)

    @inlineCallbacks
    def closed(self) -> Steps[None]:
        if self._visit is not None:
            yield self._hub.unsubscribe(self._visit.channel, self)

    def deliver(self, message: Message) -> None:
        if message.body is not self._said:  # who typed it has seen it
            self.say(f"{message.body.author}: {message.body.text}")

    def joined(self, channel: str, presence: Presence) -> None:
        self.say(f"* {presence.who} is here")

    def left(self, channel: str, presence: Presence) -> None:
        self.say(f"* {presence.who} has left")

    @inlineCallbacks
    def _speak(self, text: str) -> Steps[None]:
        visit = self._here()
        self._said = read(Line, {"author": visit.name, "text": text})
        yield self._hub.publish(visit.channel, self._said, by=self._caller)

    @inlineCallbacks
    def _join(self, words: str = "") -> Steps[None]:
        room, _, name = words.partition(" ")
        visit = read(Visit, {"room": room, "name": name.strip()})
        before, channel = self._visit, visit.channel
        moves = before is None or before.channel != channel
        after = (yield self._recall(channel)) if moves else None
        yield self._hub.subscribe(channel, self, visit.name, after, by=self._caller)
        self._visit = visit
        if before is not None and moves:
            yield self._hub.unsubscribe(before.channel, self)

    @inlineCallbacks
    def _recall(self, channel: str) -> Steps[str]:
        """Tell what was said last, and find out after what one hears the rest."""
        last: Sequence[Message] = yield self._hub.history(
            channel, self.recent, by=self._caller
        )
        for message in last:
            self.deliver(message)
        return last[-1].token if last else ""

    @inlineCallbacks
    def _who(self, _: str = "") -> Steps[None]:
        present = yield self._hub.present(self._here().channel, by=self._caller)
        self.say(f"* here: {', '.join(each.who for each in present)}")

    def _quit(self, _: str = "") -> None:
        self.leave("* goodbye")

    def _help(self, _: str = "") -> None:
        self.say("* /join ROOM NAME to come in, /who is here, /quit; else it is said")

    def _here(self) -> Visit:
        if self._visit is None:
            raise RopewalkError("you are in no room yet; type: /join lobby YourName")
        return self._visit


# The service.


class Chat(MultiService):
    """What starts and stops: the listener inside. SIGHUP reconfigures it."""

    def __init__(self, hub: IHub) -> None:
        super().__init__()
        self._hub = hub

    def reconfigure(self, settings: Settings) -> list[str]:
        """Take new settings; the address is one that only a restart changes."""
        self._hub.declare("rooms.*", rule_of(settings), replace=True)
        return ["listen"]


def makeService(settings: Settings, host: IHost) -> Chat:
    """Build the service. Nothing is started here."""
    host.hub.declare("rooms.*", rule_of(settings))
    host.web.mount("/chat", routes)
    chat = Chat(host.hub)
    lines = LineFactory(RoomLines, host.hub, host.reactor)
    host.listener(settings.listen, lines).setServiceParent(chat)
    return chat
