"""
A daemon's channels and operations, on a web site and in lines, for clients in tests.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.resource import WebSocketResource
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from zope.interface import implementer

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import Forbidden
from ropewalk.hub import ANYONE, NOBODY, ChannelRule, MemoryHub
from ropewalk.interfaces import Caller, IAuthoriser, Steps
from ropewalk.net.calls import CallFrames, CallLines
from ropewalk.net.calls.sockets import CallSocket
from ropewalk.net.limits import CallSettings, SocketLimits
from ropewalk.net.listening import ConnectionFactory, namer
from ropewalk.net.protocols import ConversationFactory
from ropewalk.net.sockets import SocketFactory
from ropewalk.net.transports import network
from ropewalk.operations import Operations, operation
from ropewalk.telemetry import Work
from ropewalk.web.channels import ChannelPages
from ropewalk.web.mounts import Mount, Mounts, resource_for
from ropewalk.web.operations import OperationPages
from ropewalk.web.site import Site
from ropewalk.web.upgrade import UpgradeResource

__all__ = ["Guard", "House"]


@implementer(IAuthoriser)
class Guard:
    """
    Lets everybody offer lamps, and nothing else.

    :ivar answer: What it says instead, and waits for: one that is an error is raised.
    """

    def __init__(self) -> None:
        self.answer: Any = None

    def permits(self, caller: Caller, requirement: str, what: str) -> Any:
        """See :meth:`ropewalk.interfaces.IAuthoriser.permits`."""
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        return requirement == "operations.offer" and what.startswith("lamp.")


class Kitchen:
    """
    What can be asked for.

    :ivar waiting: Those who wait for what is never ready.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self.cooked = 0

    @operation
    def add(self, first: int, second: int) -> int:
        """Add."""
        return first + second

    @operation
    def forbid(self) -> None:
        """Nobody may."""
        raise Forbidden("eat in the kitchen")

    @operation
    async def cook(self, progress: Any = None) -> str:
        """Take for ever."""
        self.waiting += 1
        try:
            await Deferred()
        finally:
            self.waiting -= 1
        return "done"


class House:
    """
    A daemon without settings.

    :ivar hub: Its channels. Everybody may publish into ``rooms.*``; in ``short.*``
        three messages are kept, in ``none.*`` none.
    :ivar web: Where its site is: ``"127.0.0.1:8080"``.
    :ivar lines: Where one speaks in lines,
    :ivar frames: and where in frames.
    """

    def __init__(self, reactor: Any, beat: float = 15.0) -> None:
        self.reactor = reactor
        self.hub = MemoryHub(reactor.seconds, clock=reactor)
        self.hub.declare("rooms.*", ChannelRule(publish=ANYONE, keep=20_000))
        self.hub.declare("short.*", ChannelRule(publish=ANYONE, keep=3))
        self.hub.declare("none.*", ChannelRule(publish=ANYONE, keep=0))
        self.hub.declare("secret", ChannelRule(subscribe=NOBODY))
        self.kitchen = Kitchen()
        self.operations = Operations(reactor)
        self.operations.add("kitchen", self.kitchen)
        self.operations.authorise(Guard())
        self.settings = CallSettings()
        self.site = Site(Mounts(), reactor)
        self.factory = ConnectionFactory(self.site, Work(plugin="web"), namer())
        self.web = self.lines = self.frames = ""
        self._ports: list[Any] = []
        pages = ChannelPages(self.hub, reactor)
        pages.beat = beat
        self.mount("/channels", pages.routes)
        self.mount("/operations", OperationPages(self.operations).routes())
        sockets = SocketFactory(
            lambda: CallSocket(self.operations, self.hub, self.settings),
            SocketLimits(),
            reactor,
        )
        live = UpgradeResource(WebSocketResource(sockets), ())
        self._mount("/live", live, "socket")

    @inlineCallbacks
    def open(self) -> Steps[None]:
        """Listen."""
        self.web = yield self._listen(self.factory)
        self.lines = yield self._listen(self._calls(CallLines))
        self.frames = yield self._listen(self._calls(CallFrames))

    @inlineCallbacks
    def close(self) -> Steps[None]:
        """Listen no longer."""
        for port in self._ports:
            yield port.stopListening()
        self.hub.close()

    def say(self, channel: str, *bodies: Any) -> list[str]:
        """Publish; the tokens."""
        tokens: list[str] = []
        for body in bodies:
            said = self.hub.publish(channel, body)
            said.addCallback(lambda message: tokens.append(message.token))
        return tokens

    def mount(self, path: str, app: Any) -> None:
        """Serve something more."""
        self._mount(path, resource_for(app))

    def _calls(self, kind: Any) -> ConnectionFactory:
        """What makes those who are called by connections of a kind."""
        what = self.operations, self.hub, self.settings
        made: Any = ConversationFactory(kind, self.reactor, *what)
        return ConnectionFactory(made, Work(plugin="operations"), namer())

    def _mount(self, path: str, resource: Any, kind: str = "pages") -> None:
        mount = Mount(path, resource, "house", "houses.py:1", kind, resource)
        self.site.mounts.add(mount)

    @inlineCallbacks
    def _listen(self, factory: Any) -> Steps[str]:
        endpoint = serverFromString(network(self.reactor), "tcp:0:interface=127.0.0.1")
        port = yield endpoint.listen(factory)
        self._ports.append(port)
        return f"127.0.0.1:{port.getHost().port}"
