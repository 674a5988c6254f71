"""
A service that misbehaves as it is told.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any, Literal

from klein import Klein
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.net.protocols import LineProtocol
from ropewalk.net.sockets import Socket
from ropewalk.schema import Shape

requires = ("ground",)


class Settings(Shape):
    """How to misbehave."""

    make: Literal["fine", "raise", "exit", "slowly"] = "fine"
    start: Literal["fine", "raise", "fail", "hang", "asyncio"] = "fine"
    stop: Literal["fine", "raise", "hang"] = "fine"
    forget: bool = False
    health: str = ""
    listen: str = "tcp:0:interface=127.0.0.1"
    level: int = 0


class Trouble(Service):
    """Misbehaves."""

    _log = Logger()

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def startService(self) -> Any:
        super().startService()
        self._log.info("trouble is starting")
        how = self._settings.start
        if how == "raise":
            raise ValueError("trouble at start")
        if how == "fail":
            return fail(ValueError("trouble while starting"))
        if how == "hang":
            return Deferred()
        if how == "asyncio":
            return self._start_slowly()
        self._log.info("trouble has started")
        return None

    async def _start_slowly(self) -> None:
        await asyncio.sleep(0.01)
        self._log.info("trouble has started")

    def stopService(self) -> Any:
        super().stopService()
        self._log.info("trouble is stopping")
        if self._settings.stop == "raise":
            raise ValueError("trouble at stop")
        if self._settings.stop == "hang":
            return Deferred()
        self._log.info("trouble has stopped")
        return None

    def reconfigure(self, settings: Settings) -> list[str]:
        """Take a new level; refuse 13."""
        if settings.level == 13:
            raise RopewalkError("13 is no level")
        self._log.info("the level is {number}", number=settings.level)
        return ["listen"]


class Pages:
    """Answers when it is told to."""

    routes = Klein()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    @routes.route("/slow")
    @inlineCallbacks
    def slow(self, request: Any) -> Steps[bytes]:
        """Answer in a while."""
        Logger().info("a slow request is here")
        yield deferLater(self._reactor, 0.5)
        return b"slow, but whole\n"

    @routes.route("/never")
    def never(self, request: Any) -> Deferred[bytes]:
        """Never answer."""
        Logger().info("a request for ever is here")
        return Deferred()

    @routes.route("/timer")
    def timer(self, request: Any) -> bytes:
        """Set a timer."""
        log = Logger()
        self._reactor.callLater(0.01, log.info, "the timer that a request has set")
        return b"set"

    @routes.route("/asyncio")
    async def asyncio(self, request: Any) -> bytes:
        """Wait for something of asyncio's in a Klein handler."""
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return b"asyncio\n"

    @routes.route("/broken")
    def broken(self, request: Any) -> bytes:
        """Fail."""
        raise ValueError("a secret")


class Echo(LineProtocol):
    """Says what it hears."""

    def opened(self) -> None:
        self.say("hello")

    def heard(self, line: str) -> None:
        self.say(line)


class EchoSocket(Socket):
    """Says what it hears."""

    def heard(self, message: str | bytes) -> None:
        Logger().info("a message was heard")
        self.say(message)


def makeService(settings: Settings, host: Any) -> MultiService:
    """Make it."""
    if settings.make == "raise":
        raise ValueError("trouble in the making")
    if settings.make == "exit":
        sys.exit(9)
    if settings.make == "slowly":
        sys.stderr.write("trouble is being made\n")
        sys.stderr.flush()
        signal.sigtimedwait([signal.SIGUSR2], 0.5)
    host.web.mount("/trouble", Pages(host.reactor).routes)
    host.web.socket("/trouble/echo", EchoSocket)
    if settings.health:
        host.health.add("mood", lambda: settings.health)
    group = MultiService()
    Trouble(settings).setServiceParent(group)
    echo = Factory.forProtocol(lambda: Echo(host.reactor))
    listener = host.listener(settings.listen, echo)
    if not settings.forget:
        listener.setServiceParent(group)
    return group
