# -*- test-case-name: tests.test_asgi -*-
"""
An ASGI application at its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from ropewalk.awaiting import begin, inlineCallbacks, install, within
from ropewalk.errors import NeedsAsyncio
from ropewalk.interfaces import Steps
from ropewalk.web.hosting.asgi.calling import called_as_three
from ropewalk.web.hosting.asgi.conversation import Conversation
from ropewalk.web.hosting.asgi.exchange import Exchange
from ropewalk.web.hosting.asgi.lifespan import Lifespan, Mode
from ropewalk.web.hosting.asgi.scopes import Dialect, Scopes, wants_socket
from ropewalk.web.hosting.hosted import Mounting, Place
from ropewalk.web.problems import Refused, respond

__all__ = ["AsgiMounting", "Load"]

#: Seconds for which what was cancelled is waited for. The site has drained by then:
#: what still runs has nobody to answer to.
_LAST = 5.0


class Load(Struct, frozen=True):
    """
    How an application is loaded.

    :ivar load: Gives it.
    """

    load: Callable[[], Any]


class AsgiMounting(Mounting):
    """
    An ASGI application at its place. Its start loads it, in a thread, and waits until
    it says that it has started.

    :param app: The application; or what gives it, called in a thread.
    :param name: What it is called.
    :param version: As :func:`ropewalk.web.hosting.asgi.described.asgi` has it, as the
        rest.
    """

    _log = Logger()
    _lifespan: Lifespan | None = None

    def __init__(
        self,
        app: Any | Load,
        name: str,
        place: Place,
        *,
        dialect: Dialect,
        version: int,
        lifespan: Mode,
        timeout: float,
        longest_body: int | None = None,
        longest_message: int = 0,
    ) -> None:
        self._app, self._name, self._place = app, name, place
        self._version, self._mode, self._timeout = version, lifespan, timeout
        self._scopes = Scopes(place.prefix, dialect, "2.0" if version == 2 else "3.0")
        self._resource = AsgiResource(
            name, place, self._scopes, longest_body, longest_message
        )
        self.resource = self._resource

    @inlineCallbacks
    def startService(self) -> Steps[None]:
        """
        :raise NeedsAsyncio: On a reactor that is not asyncio's.
        :raise LifespanFailed: When the application does not start.
        """
        super().startService()
        loop = asyncio._get_running_loop()
        if loop is None:
            raise NeedsAsyncio(f"{self._name} (ASGI)")
        loaded: Any = self._app
        if isinstance(loaded, Load):
            loaded = yield self._load_aside(loop, loaded)
        app = called_as_three(loaded, self._version)
        lifespan = self._lifespan = Lifespan(
            app, self._name, self._mode, self._place.reactor, self._timeout
        )
        yield lifespan.start({"asgi": {"version": "3.0", "spec_version": "2.0"}})
        self._scopes.state = lifespan.state
        self._resource.begin(app, loop)

    @inlineCallbacks
    def stopService(self) -> Steps[None]:
        """
        What still runs is cancelled, and waited for, for a while; then the application
        stops.
        """
        yield super().stopService()
        try:
            yield within(_LAST, self._resource.stop(), self._place.reactor)
        except TimeoutError:
            self._log.error(
                "a request to {app} goes on though it was cancelled; {count} are left "
                "to themselves",
                app=self._name,
                count=self._resource.running,
            )
        if self._lifespan is not None:
            yield self._lifespan.stop()

    def _load_aside(self, loop: Any, how: Load) -> Deferred[Any]:
        """
        Load it in a thread in which the loop is known, but does not run: Django asks
        its database nothing where one does, and others want to know it.
        """

        def load() -> Any:
            asyncio.set_event_loop(loop)
            try:
                return how.load()
            finally:
                asyncio.set_event_loop(None)

        reactor = self._place.reactor
        return deferToThreadPool(reactor, reactor.getThreadPool(), load)


@implementer(IResource)
class AsgiResource:
    """
    Answers with an ASGI application, once that has started.

    :ivar longest_body: Bytes of the longest request body; ``None`` for what the site
        takes.
    """

    isLeaf = True
    streams = True

    _loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        name: str,
        place: Place,
        scopes: Scopes,
        longest_body: int | None,
        longest_message: int,
    ) -> None:
        self.longest_body, self._longest_message = longest_body, longest_message
        self._name, self._place, self._scopes = name, place, scopes
        self._running: set[asyncio.Task[None]] = set()
        self._app: Any = None

    def render(self, request: Any) -> Any:
        """Let the application answer."""
        if self._app is None:
            early = Refused(503, "the application has not started yet")
            return respond(request, early, request.work.request)
        if wants_socket(request):
            return self._converse(request)
        exchange = Exchange(request, self._name)
        scope = self._scopes.http(request)
        self._begin(scope, exchange)
        return NOT_DONE_YET

    def _converse(self, request: Any) -> Any:
        """Let the application have a WebSocket, if its client may have one."""
        refused = self._place.check_socket(request)
        if refused is not None:
            return respond(request, refused, request.work.request)
        conversation = Conversation(
            request, self._name, self._place, self._longest_message
        )
        self._begin(self._scopes.websocket(request), conversation)
        return NOT_DONE_YET

    def begin(self, app: Callable[..., Any], loop: asyncio.AbstractEventLoop) -> None:
        """Answer with an application from now on."""
        install(loop)
        self._app, self._loop = app, loop

    async def stop(self) -> None:
        """Cancel what still runs; returns when all of it has come to its end."""
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    @property
    def running(self) -> int:
        """How many requests it is at."""
        return len(self._running)

    def _begin(self, scope: Mapping[str, Any], what: Exchange | Conversation) -> None:
        task = begin(self._run(scope, what), self._loop)
        if not task.done():
            what.linger()
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _run(
        self, scope: Mapping[str, Any], what: Exchange | Conversation
    ) -> None:
        """
        Run the application. Whatever it raises ends here: not even ``SystemExit``
        of one ends the others.
        """
        try:
            await self._app(scope, what.receive, what.send)
        except BaseException as error:
            what.failed(error)
        else:
            what.ended()

    # What else twisted.web asks of a resource.

    def getChildWithDefault(self, name: bytes, request: Any) -> Any:
        return self

    def putChild(self, path: bytes, child: Any) -> None:
        raise TypeError("an ASGI application has no children")
