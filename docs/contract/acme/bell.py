"""
A bell that rings in a room of the chat.
"""

import asyncio
from pathlib import Path
from typing import Annotated

from klein import Klein
from twisted.application.service import Service
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from acme.chat import Line
from ropewalk.awaiting import inlineCallbacks
from ropewalk.schema import Meta, Shape

requires = ("chat",)


class Settings(Shape):
    """The table [bell]."""

    sound: str
    room: str = "lobby"
    every: Annotated[float, Meta(ge=1, le=86_400)] = 900.0


class Bell(Service):
    """Rings, and counts how often it has."""

    _log = Logger()

    def __init__(self, hub, room, every, sound, clock):
        self._hub = hub
        self._room = room
        self._every = every
        self._sound = sound
        self._loop = LoopingCall(self.ring)
        self._loop.clock = clock
        self.rung = 0

    async def startService(self):
        self._text = await asyncio.to_thread(self._sound.read_text, "utf-8")
        super().startService()
        self._run()

    async def stopService(self):
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        await self._ended

    def reconfigure(self, settings):
        self._every = settings.every
        if self._loop.running:
            self._loop.stop()
            self._run()
        return ["room", "sound"]

    def check(self):
        return None if self._loop.running else "it rings no more; the log says why"

    @inlineCallbacks
    def ring(self):
        yield self._hub.publish(f"rooms.{self._room}", Line("Bell", self._text))
        self.rung += 1

    def _run(self):
        self._ended = self._loop.start(self._every, now=False)
        self._ended.addErrback(lambda why: self._log.failure("the bell fell", why))


class Pages:
    """What browsers and curl get."""

    routes = Klein()

    def __init__(self, bell):
        self._bell = bell

    @routes.route("/", methods=["GET"])
    def count(self, request):
        return f"rung {self._bell.rung} times\n"

    @routes.route("/", methods=["POST"])
    @inlineCallbacks
    def ring(self, request):
        yield self._bell.ring()
        return "ding\n"


def makeService(settings, host):
    sound = Path(settings.sound)
    bell = Bell(host.hub, settings.room, settings.every, sound, host.reactor)
    host.web.mount("/bell", Pages(bell).routes)
    host.health.add("bell", bell.check)
    return bell
