"""
A room that remembers what is typed into it.
"""

from collections import deque
from typing import Annotated

from klein import Klein

from ropewalk.net.protocols import LineFactory, LineProtocol
from ropewalk.schema import Meta, Shape


class Settings(Shape):
    """The table [chat] of the settings file."""

    greeting: Annotated[str, Meta(min_length=1, max_length=60)] = "Hello."
    listen: str = "tcp:7070:interface=127.0.0.1"
    history: Annotated[int, Meta(ge=0, le=10_000)] = 100


class Room:
    """The rules. They know nothing of requests and connections."""

    def __init__(self, history):
        self._said = deque(maxlen=history)

    def say(self, text):
        self._said.append(text)

    def recent(self):
        return list(self._said)


class Pages:
    """What browsers and curl get."""

    routes = Klein()

    def __init__(self, room, greeting):
        self._room = room
        self._greeting = greeting

    @routes.route("/")
    def show(self, request):
        request.setHeader("content-type", "text/plain; charset=utf-8")
        lines = [self._greeting, *self._room.recent()]
        return "\n".join(lines) + "\n"


class Lines(LineProtocol):
    """What nc gets: one of these for each connection."""

    def __init__(self, room, greeting, clock):
        super().__init__(clock)
        self._room = room
        self._greeting = greeting

    def opened(self):
        self.say(f"* {self._greeting} What you type is kept; /quit leaves.")

    def heard(self, line):
        if line == "/quit":
            self.leave("* goodbye")
        else:
            self._room.say(line)


def makeService(settings, host):
    room = Room(settings.history)
    host.web.mount("/chat", Pages(room, settings.greeting).routes)
    lines = LineFactory(Lines, room, settings.greeting, host.reactor)
    return host.listener(settings.listen, lines)
