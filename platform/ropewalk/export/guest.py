# -*- test-case-name: tests.test_export -*-
"""
Twisted's reactor as a guest in somebody else's process: on the event loop of its
server, or in a thread.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from attrs import define

from ropewalk.errors import RopewalkError

__all__ = ["Farewell", "ReactorTaken", "ReactorThread", "board", "leave"]

#: The signals by which a server is told to stop.
_LAST_WORDS = ("SIGTERM", "SIGINT")

#: How many sites run on the reactor that we have brought.
_guests = 0


@define
class ReactorTaken(RopewalkError):
    """
    Twisted's reactor, of which a process has one, is not on the loop of the server.

    :ivar reason: What it is instead, in a sentence.
    """

    status = 503

    reason: str

    def __str__(self) -> str:
        return f"a site of ropewalk's cannot run in this process: {self.reason}"


def board(loop: asyncio.AbstractEventLoop) -> Any:
    """
    Let Twisted's reactor run on a loop that runs already.

    :return: the reactor. Who has got it gives it back by :func:`leave`.
    :raise ReactorTaken: When this process has another reactor, or had this one.
    """
    global _guests
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    if reactor is None:
        reactor = _install(loop)
    elif getattr(reactor, "_asyncioEventloop", None) is not loop:
        raise ReactorTaken(_other(reactor))
    elif not reactor.running:
        raise ReactorTaken("Twisted's reactor has ended, and does not begin again")
    from ropewalk.run import reactors

    _guests += 1
    return reactors.running()


def leave(reactor: Any) -> None:
    """
    Somebody needs the reactor no more. The last one ends it, if we have brought it.
    """
    global _guests
    _guests -= 1
    if not _guests and is_ours(reactor):
        reactor.fireSystemEvent("shutdown")


def is_ours(reactor: Any) -> bool:
    """Whether we have brought a reactor, not the server (daphne has one)."""
    return type(reactor).__name__ == "GuestReactor"


def _install(loop: asyncio.AbstractEventLoop) -> Any:
    from ropewalk.run import reactors

    reactors.install_on(loop)
    reactor = reactors.running()
    reactor.startRunning(installSignalHandlers=False)
    # Otherwise a process whose server never says goodbye would wait for them.
    pool: Any = reactor.getThreadPool()
    pool.threadFactory = partial(threading.Thread, daemon=True)
    return reactor


def _other(reactor: Any) -> str:
    if hasattr(reactor, "_asyncioEventloop"):
        return (
            "Twisted's reactor runs on another event loop; a process has one, for one "
            "loop and for all its life"
        )
    return (
        f"Twisted's reactor is {type(reactor).__name__}; something has imported "
        "twisted.internet.reactor before the server has begun. Import it later, or not "
        "at all: services are handed theirs (host.reactor)"
    )


class Farewell:
    """
    Hears the signals that end a process before its server does. That waits for requests
    to end; some go on till they are told.

    :param call: Called once, with the signal's name, in the middle of anything.
    """

    def __init__(self, call: Callable[[str], object]) -> None:
        self._call: Callable[[str], object] | None = call
        self._others: dict[int, Any] = {}

    def listen(self) -> None:
        """
        Begin. Signals that nobody handles are left alone, and all of them are where
        this is not the main thread.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for name in _LAST_WORDS:
            number = getattr(signal, name, None)
            other = None if number is None else signal.getsignal(number)
            if number is not None and callable(other):
                self._others[number] = other
                signal.signal(number, self._heard)

    def forget(self) -> None:
        """Leave them to who had them."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, other in self._others.items():
            if signal.getsignal(number) == self._heard:
                signal.signal(number, other)
        self._others.clear()

    def _heard(self, number: int, frame: Any) -> None:
        call, self._call = self._call, None
        if call is not None:
            call(signal.Signals(number).name)
        other = self._others.get(number)
        if other is not None:
            other(number, frame)


class ReactorThread:
    """
    A loop with the reactor on it, in a thread. It does not keep a process from ending.

    :ivar reactor: The reactor.
    """

    reactor: Any = None

    def __init__(self) -> None:
        self._loop = _new_loop()
        self._runs = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ropewalk", daemon=True)

    def start(self) -> None:
        """
        Begin, and wait until it runs.

        :raise ReactorTaken: See :func:`board`.
        """
        self._thread.start()
        self._runs.wait()
        if self._error is not None:
            raise self._error

    def ask(self, function: Callable[[], Any], seconds: float | None = None) -> Any:
        """
        Call a function there, from another thread, and wait for what comes of it.

        :param seconds: How long to wait; ``None`` for as long as it takes.
        :raise TimeoutError: When that is over.
        """
        from ropewalk.awaiting import run

        future: Future[Any] = Future()

        def call() -> None:
            run(function).addCallbacks(
                future.set_result, lambda failure: future.set_exception(failure.value)
            )

        self._loop.call_soon_threadsafe(call)
        return future.result(seconds)

    def stop(self) -> None:
        """End it, and wait for that."""
        self._loop.call_soon_threadsafe(self._leave)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(self._board)
        self._loop.run_forever()

    def _board(self) -> None:
        try:
            self.reactor = board(self._loop)
        except BaseException as error:
            self._error = error
            self._loop.stop()
        self._runs.set()

    def _leave(self) -> None:
        leave(self.reactor)
        self._loop.call_soon(self._loop.stop)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
