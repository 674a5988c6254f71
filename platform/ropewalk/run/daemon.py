# -*- test-case-name: tests.test_daemon -*-
"""
The daemon: started and waited for, drained, reloaded, and honest about it.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    FirstError,
    TimeoutError,
    gatherResults,
)
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ropewalk import awaiting
from ropewalk.awaiting import inlineCallbacks, within
from ropewalk.errors import StartFailed
from ropewalk.interfaces import Steps
from ropewalk.net.doors import Door
from ropewalk.run.host import Host
from ropewalk.run.lifecycle import Lifecycle
from ropewalk.run.statuses import Status
from ropewalk.run.systemd import Systemd
from ropewalk.telemetry import working

__all__ = ["Daemon"]


class Daemon(Service):
    """
    Runs a host: Twisted starts and stops it like any other service.

    :param host: What to run; its services are made.
    :param systemd: The service manager.
    :param ended: Called with a message when the start has come to its end:
        empty when all is well.
    :ivar status: How the process is to end.
    :ivar failed: Why the start failed, if it did.
    """

    _log = Logger()

    def __init__(
        self,
        host: Host,
        systemd: Systemd,
        ended: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.host = host
        self.status = Status.STOPPED
        self.failed: StartFailed | None = None
        self._systemd = systemd
        self._ended = ended
        self._reactor = host.reactor
        self._lifecycle = Lifecycle(host.units, host.reactor)
        self._starting: Deferred[None] | None = None
        self._stopping: Deferred[None] | None = None
        self._doomed: StartFailed | None = None
        self._asked = False
        self.reason = "shutting down"

    def privilegedStartService(self) -> None:
        """
        Let every service take what needs privileges, addresses above all. What
        fails here is reported by the start, which then starts nothing.
        """
        super().privilegedStartService()
        for unit in self.host.units:
            with working(plugin=unit.name):
                try:
                    unit.service.privilegedStartService()
                except CannotListenError as error:
                    self._doomed = StartFailed(unit.name, _cannot_listen(error))
                except Exception as error:
                    self._log.failure("{service} failed", service=unit.name)
                    reason = f"privilegedStartService: {error}"
                    self._doomed = StartFailed(unit.name, reason)
                if self._doomed is not None:
                    return

    def startService(self) -> None:
        super().startService()
        # Services start in a loop that turns, since what they wait for may be
        # asyncio's; it does not yet turn when a reactor says it is running.
        self._reactor.callWhenRunning(self._reactor.callLater, 0, self._begin)

    def stopService(self) -> Deferred[None]:
        """
        Say goodbye to everybody, and stop what runs.

        :return: fires when that is done, or its deadlines are over.
        """
        super().stopService()
        if self._stopping is None:
            self._stopping = self._stop()
            self._stopping.addErrback(self._cut_short)
        waiting: Deferred[None] = Deferred()
        self._stopping.addBoth(lambda _: waiting.callback(None))
        return waiting

    def interrupt(self, name: str) -> None:
        """
        Take a signal to stop: the first begins the goodbyes, the second ends
        them.
        """
        if self._stopping is not None:
            self._log.warn("{name} again: stopping at once", name=name)
            self.hurry()
        elif self.running and not self._asked:
            # The reactor stops us in its next turn, and may be asked but once.
            self._asked = True
            self._log.info("{name}: stopping", name=name)
            self._reactor.stop()

    def hurry(self) -> None:
        """Stop waiting for whatever the stop still waits for."""
        self.status = Status.LEFT_BEHIND
        for owned in self.host.listeners:
            owned.listener.abort()
        if self._stopping is not None:
            self._stopping.cancel()

    def _begin(self) -> None:
        if not self.running:
            return
        try:
            awaiting.install(asyncio.get_running_loop())
        except RuntimeError:
            self._log.warn(
                "this reactor is not asyncio's: services cannot wait for anything "
                "of asyncio's"
            )
        self._starting = self._start()
        self._starting.addErrback(
            lambda failure: self._log.failure("the start failed", failure)
        )

    @inlineCallbacks
    def _start(self) -> Steps[None]:
        self._systemd.status("starting")
        try:
            if self._doomed is not None:
                raise self._doomed
            yield self._lifecycle.start()
            self._all_started()
            yield self._open()
        except CancelledError:
            self._ended("stopped before it had started")
            return
        except StartFailed as error:
            self._log.critical("{error}", error=str(error))
            self.status = Status.START_FAILED
            self.host.state = "failed"
            self.failed = error
            yield self._leave_start()
            self._ended(str(error))
            self._reactor.stop()
            return
        self.host.state = "ready"
        places = self.host.places()
        for owner, place in places:
            self._log.info("{owner} answers at {place}", owner=owner, place=place)
        self._log.info("ready: {names}", names=", ".join(self._lifecycle.started))
        self._systemd.ready("ready")
        self._ended("")

    def _all_started(self) -> None:
        """
        A listener that nobody started would stay closed, unnoticed.
        """
        for owned in self.host.listeners:
            if not owned.listener.running:
                reason = (
                    f"it made a listener for {owned.listener.description} "
                    f"({owned.place}) and did not return it from makeService"
                )
                raise StartFailed(owned.owner, reason)

    @inlineCallbacks
    def _open(self) -> Steps[None]:
        """Every service is ready: let people in."""
        for owned in self.host.listeners:
            try:
                with working(plugin=owned.owner):
                    yield owned.listener.open()
            except CannotListenError as error:
                raise StartFailed(owned.owner, _cannot_listen(error)) from error
            except CancelledError:
                raise
            except Exception as error:
                where = owned.listener.description
                problem = getattr(error, "strerror", None) or str(error)
                reason = f"cannot listen at {where}: {problem}"
                raise StartFailed(owned.owner, reason) from error

    @inlineCallbacks
    def _leave_start(self) -> Steps[None]:
        """Of a start that failed, undo what had been done."""
        yield gatherResults(
            [owned.listener.drain("it did not start") for owned in self.host.listeners],
            consumeErrors=True,
        )
        names = self._lifecycle.started
        if names:
            self._log.info("stopping what had started: {names}", names=", ".join(names))
        yield self._lifecycle.stop()
        yield self.host.close_hub()

    @inlineCallbacks
    def _stop(self) -> Steps[None]:
        host = self.host
        if self._starting is not None:
            self._starting.cancel()
        was_ready = host.state == "ready"
        host.state = "draining"
        self._systemd.stopping("draining")
        delay = host.plan.host.drain_delay
        if was_ready and delay:
            self._log.info("not ready any more; {delay:g} seconds to go", delay=delay)
            yield deferLater(self._reactor, delay)
        clean: list[bool] = yield gatherResults(
            [self._drain(unit.name, unit.stop_within) for unit in host.units],
            consumeErrors=True,
        )
        host.flush_access_log()
        left: Sequence[str] = yield self._lifecycle.stop()
        yield host.close_hub()
        self._systemd.stopped()
        if left or not all(clean):
            self.status = self.status or Status.LEFT_BEHIND
        elif not self.status:
            self._log.info("stopped")

    @inlineCallbacks
    def _drain(self, owner: str, seconds: float) -> Steps[bool]:
        """
        Say goodbye on all of a service's connections; those that are left at
        the deadline are named, and cut.
        """
        listeners = self.host.owned_by(owner)
        busy = sum(len(listener.connections) for listener in listeners)
        with working(plugin=owner):
            if busy:
                self._log.info(
                    "saying goodbye for up to {seconds:g} seconds; connections: {busy}",
                    busy=busy,
                    seconds=seconds,
                )
            goodbyes = gatherResults(
                [listener.drain(self.reason) for listener in listeners],
                consumeErrors=True,
            )
            try:
                yield within(seconds, goodbyes, self._reactor)
            except TimeoutError:
                self._name_left(listeners, seconds)
                return False
        return True

    def _name_left(self, listeners: Sequence[Door], seconds: float) -> None:
        left = [each for listener in listeners for each in listener.connections]
        self._log.error(
            "would not close within {seconds:g} seconds, of {count}: {connections}",
            count=len(left),
            seconds=seconds,
            connections=", ".join(str(each) for each in left[:10]),
        )
        for listener in listeners:
            listener.abort()

    def _cut_short(self, failure: Any) -> None:
        self._systemd.stopped()
        while failure.check(FirstError) is not None:
            failure = failure.value.subFailure
        if failure.check(CancelledError) is None:
            self._log.failure("the stop failed", failure)
        elif self._lifecycle.started:
            names = ", ".join(self._lifecycle.started)
            self._log.error("left behind: {names}", names=names)
        self.status = self.status or Status.LEFT_BEHIND


def _cannot_listen(error: CannotListenError) -> str:
    where = f"{error.interface or 'every interface'}, port {error.port}"
    cause = error.socketError
    detail = getattr(cause, "strerror", None) or str(cause)
    hint = ""
    if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
        hint = f"; `ss -lntup 'sport = :{error.port}'` shows who has it"
    return f"cannot listen on {where}: {detail}{hint}"
