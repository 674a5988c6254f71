"""
Chat rooms shared by browsers, nc and curl.
"""

from pathlib import Path
from typing import Annotated

from attrs import define
from klein import Klein
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import RopewalkError
from ropewalk.interfaces import ISubscriber
from ropewalk.net.protocols import LineFactory, LineProtocol
from ropewalk.net.sockets import Socket
from ropewalk.schema import Meta, Shape, read, read_json, write_json
from ropewalk.web.accept import preferred

PAGE = Path(__file__).with_name("chat.html").read_bytes()


class Settings(Shape):
    """The table [chat] of the settings file."""

    greeting: Annotated[str, Meta(min_length=1, max_length=60)] = "Hello."
    listen: str = "tcp:7070:interface=127.0.0.1"
    history: Annotated[int, Meta(ge=0, le=10_000)] = 100


Room = Annotated[str, Meta(max_length=30, pattern="^[a-z0-9-]+$")]
Name = Annotated[str, Meta(min_length=1, max_length=30)]
Text = Annotated[str, Meta(min_length=1, max_length=500)]


class Place(Shape):
    """Where one can be."""

    room: Room


class Entry(Place):
    """Who goes where."""

    name: Name


class Line(Shape):
    """Who says what."""

    author: Name
    text: Text


@define
class NameTaken(RopewalkError):
    """Somebody of this name is in the room already."""

    status = 409

    name: str

    def __str__(self):
        return f"{self.name} is in this room already; take another name"


class Rooms:
    """The rules. Each room is a channel of the hub."""

    def __init__(self, hub, history):
        self._hub = hub
        self._history = history

    @inlineCallbacks
    def enter(self, entry, visitor):
        if entry.name in (yield self.present(entry.room)):
            raise NameTaken(entry.name)
        yield self._hub.subscribe(channel(entry.room), visitor, entry.name)

    @inlineCallbacks
    def leave(self, room, visitor):
        yield self._hub.unsubscribe(channel(room), visitor)

    @inlineCallbacks
    def say(self, room, line):
        yield self._hub.publish(channel(room), line, keep=self._history)

    @inlineCallbacks
    def recent(self, room):
        messages = yield self._hub.history(channel(room))
        return [message.body for message in messages]

    @inlineCallbacks
    def present(self, room):
        present = yield self._hub.present(channel(room))
        return [presence.who for presence in present]


def channel(room):
    return f"rooms.{read(Place, {'room': room}).room}"


class Pages:
    """What browsers and curl get."""

    routes = Klein()

    def __init__(self, rooms, greeting):
        self._rooms = rooms
        self._greeting = greeting

    @routes.route("/")
    def greet(self, request):
        return f"{self._greeting} There is a room at /chat/lobby\n"

    @routes.route("/<room>", methods=["GET"])
    @inlineCallbacks
    def show(self, request, room):
        lines = yield self._rooms.recent(room)
        request.setHeader("vary", "accept")
        if preferred(request, "application/json", "text/html") == "text/html":
            request.setHeader("content-type", "text/html; charset=utf-8")
            return PAGE
        request.setHeader("content-type", "application/json")
        return write_json(lines) + b"\n"

    @routes.route("/<room>", methods=["POST"])
    @inlineCallbacks
    def say(self, request, room):
        line = read_json(Line, request.content.read())
        yield self._rooms.say(room, line)
        request.setResponseCode(201)
        return "said\n"


@implementer(ISubscriber)
class Lines(LineProtocol):
    """What nc gets: one of these for each connection."""

    def __init__(self, rooms, greeting, clock):
        super().__init__(clock)
        self._rooms = rooms
        self._greeting = greeting
        self._entry = None
        self._said = None

    # What LineProtocol calls.

    def opened(self):
        self.say(f"* {self._greeting} To come in, type: /join lobby YourName")

    @inlineCallbacks
    def heard(self, line):
        word, _, rest = line.partition(" ")
        if word == "/quit":
            self.leave("* goodbye")
        elif word == "/join":
            room, _, name = rest.partition(" ")
            yield self._join(read(Entry, {"room": room, "name": name}))
        elif self._entry is None:
            self.say("! you are in no room yet; type: /join lobby YourName")
        elif word == "/who":
            present = yield self._rooms.present(self._entry.room)
            self.say(f"* here: {', '.join(present)}")
        else:
            yield self._speak(line)

    @inlineCallbacks
    def closed(self):
        if self._entry is not None:
            yield self._rooms.leave(self._entry.room, self)

    # What the hub calls.

    def deliver(self, message):
        line = message.body
        if line is not self._said:  # who typed it has seen it
            self.say(f"{line.author}: {line.text}")

    def joined(self, channel, presence):
        self.say(f"* {presence.who} is here")

    def left(self, channel, presence):
        self.say(f"* {presence.who} has left")

    # What we call.

    @inlineCallbacks
    def _join(self, entry):
        if self._entry is not None:
            yield self._rooms.leave(self._entry.room, self)
            self._entry = None
        yield self._rooms.enter(entry, self)
        self._entry = entry

    @inlineCallbacks
    def _speak(self, text):
        self._said = read(Line, {"author": self._entry.name, "text": text})
        yield self._rooms.say(self._entry.room, self._said)


@implementer(ISubscriber)
class Live(Socket):
    """What an open page gets: a WebSocket, /chat/live?room=lobby&name=Ada."""

    def __init__(self, rooms):
        super().__init__()
        self._rooms = rooms
        self._entry = None

    # What Socket calls.

    @inlineCallbacks
    def opened(self):
        entry = read(Entry, self.query)
        yield self._rooms.enter(entry, self)
        self._entry = entry
        recent = yield self._rooms.recent(entry.room)
        present = yield self._rooms.present(entry.room)
        self._tell({"recent": recent, "present": present})

    @inlineCallbacks
    def heard(self, message):
        line = read(Line, {"author": self._entry.name, "text": message})
        yield self._rooms.say(self._entry.room, line)

    @inlineCallbacks
    def closed(self):
        if self._entry is not None:
            yield self._rooms.leave(self._entry.room, self)

    def complain(self, error):
        if self._entry is None:
            super().complain(error)  # closes: who is not in has nothing to do here
        else:
            self._tell({"problem": str(error)})

    # What the hub calls.

    def deliver(self, message):
        self._tell(message.body)

    def joined(self, channel, presence):
        self._tell({"note": f"{presence.who} is here"})

    def left(self, channel, presence):
        self._tell({"note": f"{presence.who} has left"})

    # What we call.

    def _tell(self, value):
        self.say(write_json(value).decode())


def makeService(settings, host):
    rooms = Rooms(host.hub, settings.history)
    host.web.mount("/chat", Pages(rooms, settings.greeting).routes)
    host.web.socket("/chat/live", Live, rooms)
    lines = LineFactory(Lines, rooms, settings.greeting, host.reactor)
    return host.listener(settings.listen, lines)
