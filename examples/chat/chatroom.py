"""
Chat rooms shared by browsers, ``nc`` and ``curl``.

Read from top to bottom: the shapes (what can be set, what can be said), the
rules (they know channels, never a socket), one face for each protocol, and
``makeService``, which puts them together.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from klein import Klein
from twisted.application.service import MultiService
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import Invalid, RopewalkError
from ropewalk.interfaces import (
    IHost,
    IHub,
    ISubscriber,
    Message,
    Presence,
    Steps,
)
from ropewalk.net.protocols import LineFactory, LineProtocol
from ropewalk.net.sockets import Socket
from ropewalk.schema import Meta, Shape, read, read_json
from ropewalk.web.accept import preferred

PAGE = Path(__file__).with_name("chatroom.html").read_bytes()


# The shapes.


class Settings(Shape):
    """The table ``[chat]`` of the settings file."""

    listen: str = "tcp:7070:interface=127.0.0.1"
    history: Annotated[int, Meta(ge=0, le=10_000)] = 100


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


class Line(Shape):
    """What somebody says."""

    author: Name
    text: Text


class Glance(Shape):
    """Somebody without a name: hears what is said in a room, and is not seen."""

    room: Room


class Visit(Glance):
    """Somebody with a name, who may speak and is seen."""

    name: Name


class Saying(Shape):
    """What a browser sends: it has said who it is when it came."""

    text: str


class NotJSON(RopewalkError):
    """
    A form of another site could send anything else in our visitor's name.
    """

    status = 415


# The rules.


class Rooms:
    """
    What can be done in a room. Each is a channel of the hub.

    :ivar history: How many messages a room remembers.
    """

    def __init__(self, hub: IHub, history: int) -> None:
        self._hub = hub
        self.history = history

    @inlineCallbacks
    def say(self, room: str, line: Line) -> Steps[Message]:
        """Say something in a room."""
        message: Message = yield self._hub.publish(
            _channel(room), line, keep=self.history
        )
        return message

    @inlineCallbacks
    def enter(self, visit: Glance, visitor: ISubscriber) -> Steps[None]:
        """Hear what is said in a room, and be seen in it if there is a name."""
        name = visit.name if isinstance(visit, Visit) else None
        yield self._hub.subscribe(_channel(visit.room), visitor, name)

    @inlineCallbacks
    def leave(self, room: str, visitor: ISubscriber) -> Steps[None]:
        """Neither hear nor be seen any more."""
        yield self._hub.unsubscribe(_channel(room), visitor)

    @inlineCallbacks
    def recent(self, room: str) -> Steps[Sequence[Message]]:
        """The last messages, oldest first."""
        messages: Sequence[Message] = yield self._hub.history(
            _channel(room), self.history
        )
        return messages

    @inlineCallbacks
    def present(self, room: str) -> Steps[list[str]]:
        """Who is in a room, the one who came first first."""
        present: Sequence[Presence] = yield self._hub.present(_channel(room))
        return [presence.who for presence in present]


def _channel(room: str) -> str:
    return f"rooms.{read(Glance, {'room': room}).room}"


def _told(message: Message) -> dict[str, Any]:
    at = datetime.fromtimestamp(message.at, UTC)
    return {
        "sequence": message.sequence,
        "at": at.isoformat(timespec="seconds"),
        "author": message.body.author,
        "text": message.body.text,
    }


# The face for curl and for a browser that opens the page: a Klein application.


class RoomPages:
    """``/chat/<room>``: a page for people, JSON for programs."""

    routes = Klein()

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @routes.route("/", methods=["GET"])
    def first(self, request: Any) -> bytes:
        """Where to begin."""
        request.redirect(b"/chat/lobby")
        return b""

    @routes.route("/<room>", methods=["GET"])
    @inlineCallbacks
    def show(self, request: Any, room: str) -> Steps[bytes]:
        """A room: the page, or its recent messages."""
        messages = yield self._rooms.recent(room)
        present = yield self._rooms.present(room)
        request.setHeader(b"vary", b"accept")
        if preferred(request, "application/json", "text/html") == "text/html":
            request.setHeader(b"content-type", b"text/html; charset=utf-8")
            return PAGE
        return _json(
            request,
            {
                "room": room,
                "present": present,
                "messages": [_told(message) for message in messages],
            },
        )

    @routes.route("/<room>", methods=["POST"])
    @inlineCallbacks
    def say(self, request: Any, room: str) -> Steps[bytes]:
        """Say something: ``{"author": "Alan", "text": "hello"}``."""
        kind = request.getHeader("content-type") or "nothing"
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise NotJSON(f"expected Content-Type: application/json, got {kind}")
        line = read_json(Line, request.content.read())
        message = yield self._rooms.say(room, line)
        request.setResponseCode(201)
        return _json(request, _told(message))


def _json(request: Any, value: object) -> bytes:
    request.setHeader(b"content-type", b"application/json")
    return json.dumps(value, ensure_ascii=False).encode("utf-8") + b"\n"


# The face for a browser that stays: a WebSocket.


@implementer(ISubscriber)
class RoomSocket(Socket):
    """
    ``/chat/live?room=lobby&name=Ada``. Everything is JSON with a ``type``; what
    the browser sends is ``{"text": "hello"}``.
    """

    def __init__(self, rooms: Rooms) -> None:
        super().__init__()
        self._rooms = rooms
        self._visit: Glance | None = None

    @inlineCallbacks
    def opened(self) -> Steps[None]:
        visit = read(Visit if "name" in self.query else Glance, self.query)
        yield self._rooms.enter(visit, self)
        self._visit = visit
        messages = yield self._rooms.recent(visit.room)
        self._tell("history", messages=[_told(message) for message in messages])
        self._tell("present", who=(yield self._rooms.present(visit.room)))

    @inlineCallbacks
    def heard(self, message: str | bytes) -> Steps[None]:
        raw = message if isinstance(message, bytes) else message.encode("utf-8")
        said = read_json(Saying, raw)
        visit = self._visit
        if not isinstance(visit, Visit):
            raise RopewalkError("say who you are before you speak: ?name=…")
        line = read(Line, {"author": visit.name, "text": said.text})
        yield self._rooms.say(visit.room, line)

    @inlineCallbacks
    def closed(self) -> Steps[None]:
        if self._visit is not None:
            yield self._rooms.leave(self._visit.room, self)

    def complain(self, error: RopewalkError) -> None:
        faults = error.faults if isinstance(error, Invalid) else ()
        self._tell(
            "problem",
            problem=str(error),
            faults=[{"path": each.path, "problem": each.problem} for each in faults],
        )

    def deliver(self, message: Message) -> None:
        self._tell("message", **_told(message))

    def joined(self, channel: str, presence: Presence) -> None:
        self._tell("joined", who=presence.who)

    def left(self, channel: str, presence: Presence) -> None:
        self._tell("left", who=presence.who)

    def _tell(self, kind: str, **values: object) -> None:
        self.say(json.dumps({"type": kind, **values}, ensure_ascii=False))


# The face for `nc`: lines.


@implementer(ISubscriber)
class RoomLines(LineProtocol):
    """``/join lobby Ada``, and then every line is said."""

    idle = 12 * 60 * 60.0  # somebody may just listen

    def __init__(self, rooms: Rooms, clock: IReactorTime) -> None:
        super().__init__(clock)
        self._rooms = rooms
        self._visit: Visit | None = None
        self._said: Line | None = None
        self._heard = 0  # the sequence number of the last message
        self._commands = {
            "/join": self._join,
            "/who": self._who,
            "/quit": self._quit,
            "/help": self._help,
        }

    def opened(self) -> None:
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
            yield self._rooms.leave(self._visit.room, self)

    def deliver(self, message: Message) -> None:
        if message.sequence <= self._heard:
            return  # it was among the recent ones
        self._heard = message.sequence
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
        yield self._rooms.say(visit.room, self._said)

    @inlineCallbacks
    def _join(self, words: str = "") -> Steps[None]:
        room, _, name = words.partition(" ")
        visit = read(Visit, {"room": room, "name": name.strip()})
        if self._visit is not None:
            yield self._rooms.leave(self._visit.room, self)
            self._visit = None
        self._heard = 0
        yield self._rooms.enter(visit, self)
        self._visit = visit
        for message in (yield self._rooms.recent(visit.room)):
            self.deliver(message)

    @inlineCallbacks
    def _who(self, _: str = "") -> Steps[None]:
        present = yield self._rooms.present(self._here().room)
        self.say(f"* here: {', '.join(present)}")

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

    def __init__(self, rooms: Rooms) -> None:
        super().__init__()
        self._rooms = rooms

    def reconfigure(self, settings: Settings) -> list[str]:
        """Take new settings; the address is one that only a restart changes."""
        self._rooms.history = settings.history
        return ["listen"]


def makeService(settings: Settings, host: IHost) -> Chat:
    """Build the service. Nothing is started here."""
    rooms = Rooms(host.hub, settings.history)
    host.web.mount("/chat", RoomPages(rooms).routes)
    host.web.socket("/chat/live", RoomSocket, rooms)
    chat = Chat(rooms)
    lines = LineFactory(RoomLines, rooms, host.reactor)
    host.listener(settings.listen, lines).setServiceParent(chat)
    return chat
