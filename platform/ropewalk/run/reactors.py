# -*- test-case-name: tests.test_reactors -*-
"""
Which reactor runs: asyncio's, on uvloop where that is installed. The loop is
made here, so that whatever runs on it may await Deferreds as well.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextvars import Context
from typing import Any

from twisted.logger import Logger

from ropewalk import awaiting

__all__ = ["choose", "describe", "install", "install_on", "running"]

_log = Logger()


def choose() -> Any:
    """
    Install the reactor, unless there is one already (``twistd -r …``).

    :return: the reactor.
    """
    if "twisted.internet.reactor" not in sys.modules:
        try:
            install()
        except ImportError:
            _install(asyncio.new_event_loop())
    return running()


def install() -> None:
    """
    Install the asyncio reactor on uvloop: ``twistd -r uvloop``, ``trial
    --reactor uvloop``.

    :raise ImportError: When uvloop is not installed.
    """
    import uvloop

    _install(uvloop.new_event_loop())


def install_on(loop: asyncio.AbstractEventLoop) -> None:
    """
    Install the asyncio reactor on a loop that somebody else runs, and stops. To run,
    it wants ``startRunning(installSignalHandlers=False)``.
    """
    _install(loop, guest=True)


def running() -> Any:
    """
    The reactor of this process, which waiting comes home to.
    """
    from twisted.internet import reactor

    found: Any = reactor
    awaiting.home(found)
    return found


def describe(reactor: Any) -> str:
    """
    A reactor in a word: ``"uvloop"``, ``"asyncio"``, ``"EPollReactor"``.
    """
    loop = getattr(reactor, "loop", None)
    if loop is None:
        return type(reactor).__name__
    return type(loop).__module__.partition(".")[0]


def _install(loop: asyncio.AbstractEventLoop, guest: bool = False) -> None:
    from twisted.internet.asyncioreactor import AsyncioSelectorReactor
    from twisted.internet.main import installReactor
    from twisted.internet.posixbase import PosixReactorBase
    from twisted.internet.process import reapAllProcesses

    class LoopReactor(AsyncioSelectorReactor):
        """
        The asyncio reactor, noticing the end of its child processes.

        Twisted has SIGCHLD written to a pipe (``signal.set_wakeup_fd``). uvloop
        always, and asyncio once it handles a signal or a process, put their own
        pipe in that place, and Twisted's is never written to again.
        """

        def __init__(self) -> None:
            super().__init__(loop)
            self.loop = loop

        def runUntilCurrent(self) -> None:
            # asyncio calls this in the context of whoever set the timer that is
            # next; Twisted's delayed calls are nobody's.
            Context().run(super().runUntilCurrent)

        def startRunning(self, installSignalHandlers: bool = True) -> None:
            super().startRunning(installSignalHandlers)
            child: int | None = getattr(signal, "SIGCHLD", None)
            if installSignalHandlers and child is not None:
                signal.signal(child, lambda *_: self.callFromThread(reapAllProcesses))

    class GuestReactor(LoopReactor):
        """
        The same on somebody else's loop, which does not end when this does.
        """

        def stop(self) -> None:
            _log.info("the reactor was asked to stop; the server that runs it does")

        def crash(self) -> None:
            PosixReactorBase.crash(self)

    if not guest:
        asyncio.set_event_loop(loop)
    installReactor(GuestReactor() if guest else LoopReactor())
    awaiting.install(loop)
