# -*- test-case-name: tests.test_proxying -*-
"""
Whether a back end is well: it is asked for a page every few seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from ropewalk.awaiting import inlineCallbacks, within
from ropewalk.interfaces import Steps
from ropewalk.web.proxying.backends import Backend
from ropewalk.web.proxying.connections import Connection
from ropewalk.web.proxying.targets import Target
from ropewalk.wire.replies import Heard

__all__ = ["Probes", "problem_of"]


class _Question:
    """
    One question, on a connection of its own.

    :ivar code: Fires with the status of the answer.
    """

    def __init__(self) -> None:
        self.code: Deferred[int] = Deferred()

    def heard(self, heard: Heard) -> None:
        if heard.head is not None and not self.code.called:
            self.code.callback(heard.head.code)

    def lost(self, problem: str) -> None:
        if not self.code.called:
            self.code.errback(Failure(ConnectionError(problem)))

    def hold(self, full: bool) -> None:
        """It is short."""

    def forget(self, connection: Connection) -> None:
        """Nobody keeps it."""


@inlineCallbacks
def problem_of(
    target: Target, path: str, seconds: float, reactor: Any
) -> Steps[str | None]:
    """
    Ask a back end how it is.

    :param path: What to ask for; empty to look only whether somebody listens.
    :param seconds: How long the answer may take.
    :return: fires with ``None`` when all is well, and with what is wrong otherwise.
    """
    question = _Question()
    factory = Factory.forProtocol(lambda: Connection(question, 0.0))
    factory.noisy = False
    try:
        connecting = target.endpoint(reactor, seconds).connect(factory)
        connection: Any = yield connecting
        try:
            code: int = 200
            if path:
                connection.ask(question, b"GET", _head(target, path), False)
                code = yield within(seconds, question.code, reactor)
        finally:
            if path or target.secure:
                connection.drop()
            else:
                # A server that had to read nothing would tell of a reset.
                connection.transport.loseConnection()
    except ConnectTimeout:
        return f"nobody answered within {seconds:g} seconds"
    except Exception as error:
        return str(error) or f"nobody answered within {seconds:g} seconds"
    return None if code < 400 else f"{path} is answered with {code}"


def _head(target: Target, path: str) -> bytes:
    lines = (
        b"GET %b HTTP/1.1" % (target.base + path).encode("ascii"),
        *(b"Host: " + target.authority, b"User-Agent: ropewalk", b"Connection: close"),
    )
    return b"\r\n".join((*lines, b"", b""))


class Probes:
    """
    Asks back ends again and again how they are.

    :param path: What they are asked for.
    :param every: Seconds between two questions to one; it has as long to answer.
    """

    def __init__(
        self, backends: Iterable[Backend], path: str, every: float, reactor: Any
    ) -> None:
        self._backends = tuple(backends)
        self._path, self._every = path, every
        self._reactor = reactor
        self._loops: list[LoopingCall] = []

    def start(self) -> None:
        """Begin."""
        for each in self._backends:
            loop = LoopingCall(self._ask, each)
            loop.clock = self._reactor
            loop.start(self._every).addErrback(lambda failure: failure.trap())
            self._loops.append(loop)

    def stop(self) -> None:
        """End."""
        for each in self._loops:
            each.stop()
        self._loops.clear()

    @inlineCallbacks
    def _ask(self, backend: Backend) -> Steps[None]:
        target = backend.target
        problem = yield problem_of(target, self._path, self._every, self._reactor)
        backend.check(problem)
