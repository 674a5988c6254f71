# -*- test-case-name: tests.test_hosting_threads -*-
"""
The threads of one application: a few of them, and a queue that has an end.

Work is handed in by the reactor's thread; whoever is refused hears it at once.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any

from attrs import define
from msgspec import Struct
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from ropewalk.errors import RopewalkError

__all__ = ["Busy", "Job", "Pool", "PoolFigures"]


@define
class Busy(RopewalkError):
    """
    All threads of an application are at work, and as many requests wait for one as may,
    or one has waited for as long as it may.

    :ivar what: Which application.
    :ivar seconds: After how many seconds to try again.
    """

    status = 503

    what: str
    seconds: float

    @property
    def headers(self) -> Mapping[str, str]:  # type: ignore[override]
        """Says the same to a web client, in whole seconds."""
        return {"Retry-After": str(max(1, math.ceil(self.seconds)))}

    def __str__(self) -> str:
        return "everybody here is busy; try again in a moment"


class PoolFigures(Struct, frozen=True):
    """
    How the threads of an application do.

    :ivar threads: How many there are.
    :ivar busy: How many of them work.
    :ivar waiting: How many requests wait for one.
    :ivar done: How many pieces of work are done.
    :ivar refused: How many were refused: the queue was full, or they had waited for too
        long.
    """

    threads: int
    busy: int
    waiting: int
    done: int
    refused: int


class Job:
    """
    Something to do in a thread.

    :ivar since: Since when it waits.
    """

    __slots__ = ("since",)

    def __init__(self) -> None:
        self.since = 0.0

    def work(self) -> None:
        """Do it."""
        raise NotImplementedError

    def refuse(self, error: Busy) -> None:
        """It will not be done: it has waited for too long. For the reactor's thread."""


class Pool:
    """
    :param name: What the threads are called: ``"/shop"``.
    :param size: How many threads there are at most. Each is started when it is needed.
    :param queue: How many pieces of work may wait for one.
    :param timeout: For how many seconds one may wait.
    :param reactor: The reactor, which is the clock too.
    """

    _log = Logger()

    def __init__(
        self, name: str, size: int, queue: int, timeout: float, reactor: Any
    ) -> None:
        self._name = name
        self._size, self._queue, self._timeout = size, queue, timeout
        self._reactor = reactor
        self._lock = threading.Lock()
        self._ready: SimpleQueue[Job | None] = SimpleQueue()
        self._waiting: deque[Job] = deque()
        self._threads: set[threading.Thread] = set()
        self._number = self._idle = self._done = self._refused = 0
        self._watching: Any = None
        self._stopping = False
        self._ended: Deferred[None] | None = None

    def submit(self, job: Job) -> None:
        """
        Do something as soon as there is a thread for it.

        :raise Busy: When the queue is full, or the pool stops.
        """
        with self._lock:
            if self._stopping:
                raise Busy(self._name, self._timeout)
            if self._hand_over(job):
                return
            if len(self._waiting) >= self._queue:
                self._refused += 1
                raise Busy(self._name, 1)
            job.since = self._reactor.seconds()
            self._waiting.append(job)
        self._watch()

    def insist(self, job: Job) -> None:
        """
        Do something before all that waits; it is never refused, not even while the pool
        stops.
        """
        with self._lock:
            if not self._hand_over(job):
                job.since = math.inf
                self._waiting.appendleft(job)

    def forget(self, job: Job) -> bool:
        """
        Do not do it.

        :return: whether it still waited.
        """
        with self._lock:
            if job not in self._waiting:
                return False
            self._waiting.remove(job)
            return True

    def figures(self) -> PoolFigures:
        """How it does."""
        with self._lock:
            count = len(self._threads)
            busy, waiting = count - self._idle, len(self._waiting)
            return PoolFigures(count, busy, waiting, self._done, self._refused)

    def stop(self, within: float) -> Deferred[int]:
        """
        Take nothing on, refuse what waits, and end the threads as they get ready.

        :param within: For how many seconds they are waited for.
        :return: fires with how many are still at work; they are left to themselves.
        """
        with self._lock:
            self._stopping = True
            late = [job for job in self._waiting if job.since != math.inf]
            for job in late:
                self._waiting.remove(job)
            self._refused += len(late)
            for _ in range(self._idle):
                self._ready.put(None)
            self._idle = 0
            alive = len(self._threads)
        if self._watching is not None and self._watching.active():
            self._watching.cancel()
        for job in late:
            job.refuse(Busy(self._name, self._timeout))
        if not alive:
            return succeed(0)
        self._ended = Deferred()
        self._ended.addTimeout(within, self._reactor)
        return self._ended.addBoth(lambda _: self._left_behind(within))

    def _hand_over(self, job: Job) -> bool:
        """Give it to a thread, if one is free or may be started. (With the lock.)"""
        if self._idle:
            self._idle -= 1
            self._ready.put(job)
            return True
        if len(self._threads) >= self._size:
            return False
        self._number += 1
        thread = threading.Thread(
            target=self._run,
            args=(job,),
            name=f"{self._name} {self._number}",
            daemon=True,  # one that never gets ready keeps no daemon from stopping
        )
        self._threads.add(thread)
        thread.start()
        return True

    def _watch(self) -> None:
        """See to it that nobody waits for too long; one timer is enough."""
        if self._watching is None or not self._watching.active():
            wait = self._timeout
            self._watching = self._reactor.callLater(wait, self._refuse_late)

    def _refuse_late(self) -> None:
        now, late = self._reactor.seconds(), list[Job]()
        with self._lock:
            while self._waiting and self._waiting[0].since + self._timeout <= now:
                late.append(self._waiting.popleft())
            self._refused += len(late)
            rest = self._waiting[0].since if self._waiting else None
        if rest is not None:
            wait = self._timeout if rest == math.inf else rest + self._timeout - now
            self._watching = self._reactor.callLater(wait, self._refuse_late)
        for job in late:
            job.refuse(Busy(self._name, 1))

    def _left_behind(self, within: float) -> int:
        with self._lock:
            left = sorted(thread.name for thread in self._threads)
        if left:
            self._log.warn(
                "{count} threads of {name} are still at work after {within} seconds, "
                "and are left to themselves: {threads}",
                count=len(left),
                name=self._name,
                within=within,
                threads=", ".join(left),
            )
        return len(left)

    # What the threads do.

    def _run(self, first: Job) -> None:
        job: Job | None = first
        while job is not None:
            try:
                job.work()
            except BaseException:  # whatever it was, the thread is good for more
                self._log.failure("work for {name} failed", name=self._name)
            # Nothing of what is done lives on while the thread waits.
            del job
            job = self._next()
        with self._lock:
            self._threads.discard(threading.current_thread())
            last = self._stopping and not self._threads
        if last:
            self._reactor.callFromThread(self._end)

    def _next(self) -> Job | None:
        with self._lock:
            self._done += 1
            if self._waiting:
                return self._waiting.popleft()
            if self._stopping:
                return None
            self._idle += 1
        return self._ready.get()

    def _end(self) -> None:
        if self._ended is not None and not self._ended.called:
            self._ended.callback(None)
