# -*- test-case-name: tests.test_hosting_command -*-
"""
One process of a program: started, asked until it answers, started again when it ends,
and ended with us.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.errors import RopewalkError
from ropewalk.web.hosting.children.orders import Order, free_port
from ropewalk.web.hosting.children.voices import Voice
from ropewalk.web.proxying.backends import Backend
from ropewalk.web.proxying.probes import problem_of
from ropewalk.web.proxying.targets import Target

__all__ = ["DoesNotRun", "Keeper", "Patience", "Process"]

_LEASH = Path(__file__).with_name("leash.py")

#: Seconds before a program that has ended is started again, the first time and at most.
_PAUSE, _LONGEST_PAUSE = 0.5, 30.0

#: Seconds after which a program that has ended was no failure of its start.
_SETTLED = 60.0

#: How often one may end before it has ever answered.
_MOST_TRIES = 3

#: Seconds for which the last that a program has printed is waited for.
_LAST_WORDS = 1.0

#: Seconds between two questions whether it answers.
_EVERY = 0.1


@define
class DoesNotRun(RopewalkError):
    """
    A program that is hosted does not run.

    :ivar name: What was run.
    :ivar problem: What became of it.
    :ivar said: What it printed last.
    """

    status = 503

    name: str
    problem: str
    said: str = ""

    def __str__(self) -> str:
        said = f"; it said:\n{self.said}" if self.said else ""
        return f"{self.name!r} {self.problem}{said}"


@define(frozen=True)
class Patience:
    """
    How long a program is waited for, in seconds.

    :ivar start: Until it answers.
    :ivar stop: From SIGTERM to SIGKILL.
    """

    start: float = 30.0
    stop: float = 10.0


class Process(ProcessProtocol):
    """What Twisted tells of one run of it."""

    def __init__(self, keeper: Keeper, voice: Voice) -> None:
        self._keeper, self.voice = keeper, voice
        self._last: IDelayedCall | None = None

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.voice.hear(childFD, data)

    def processExited(self, reason: Failure) -> None:
        # What it has started may have left its group, and print for ever.
        transport: Any = self.transport
        self._last = self._keeper.later(_LAST_WORDS, transport.loseConnection)

    def processEnded(self, reason: Failure) -> None:
        if self._last is not None and self._last.active():
            self._last.cancel()
        self.voice.end()
        self._keeper.ended(self, _said_of(reason.value))


def _said_of(outcome: Any) -> str:
    code = getattr(outcome, "exitCode", None)
    if code is None:
        return f"was killed by signal {getattr(outcome, 'signal', '?')}"
    if code > 128:
        return f"was ended by signal {code - 128}"
    return f"exited with {code}"


class Keeper:
    """
    Keeps one process of a program running.

    :param name: What it is called in the log.
    :param backend: What passes requests on to it.
    :param socket: The path of the UNIX socket at which it may be asked to listen.
    :param health: A path that it answers when it is ready; empty where it is enough
        that it listens.
    :ivar starts: How often it was started.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        order: Order,
        backend: Backend,
        socket: str,
        reactor: Any,
        *,
        health: str = "",
        patience: Patience | None = None,
    ) -> None:
        self.name = name
        self._order, self._backend, self._socket = order, backend, socket
        self._reactor, self._health = reactor, health
        self._patience = patience or Patience()
        self._process: Process | None = None
        self._began = 0.0
        self._failures = 0
        self._later: IDelayedCall | None = None
        self._asking: Deferred[Any] | None = None
        self._answered: Deferred[None] | None = None
        self._gone: Deferred[None] | None = None
        self._stops = False
        self.starts = 0

    def start(self) -> Deferred[None]:
        """
        Run it.

        :return: fires when it answers.
        :raise DoesNotRun: When it does not, after a while or several tries.
        """
        self._backend.away(_PAUSE)
        answered = self._answered = Deferred()
        if self._order.program() is None:
            problem = f"cannot be run: there is no program {self._order.words[0]!r}"
            self._fail(problem, Voice(self.name, self._reactor))
        else:
            self._launch()
        return answered

    def stop(self) -> Deferred[None]:
        """
        End it.

        :return: fires when it has ended.
        """
        self._stops = True
        self._backend.away(_LONGEST_PAUSE)
        self._be_quiet()
        if self._process is None:
            return succeed(None)
        gone = self._gone = Deferred()
        self._tell(b"t")
        self._later = self._reactor.callLater(self._patience.stop, self._kill)
        return gone

    @property
    def pid(self) -> int | None:
        """The process that minds the program, while there is one."""
        process = self._process
        return None if process is None else getattr(process.transport, "pid", None)

    def later(self, seconds: float, call: Callable[[], object]) -> IDelayedCall:
        """Have something called after so many seconds."""
        later: IDelayedCall = self._reactor.callLater(seconds, call)
        return later

    # How it runs.

    def _launch(self) -> None:
        self._later = None
        if self._order.by_socket:
            Path(self._socket).unlink(missing_ok=True)  # of the one before
            target = Target(f"unix:{self._socket}", socket=self._socket)
        else:
            port = free_port()
            target = Target(f"http://127.0.0.1:{port}", "127.0.0.1", port)
        self._backend.move(target)
        self._began = self._reactor.seconds()
        self.starts += 1
        process = Process(self, Voice(self.name, self._reactor))
        self._process = process
        nothing = os.open(os.devnull, os.O_RDONLY)
        words = [sys.executable, "-I", "-S", str(_LEASH), *self._order.filled(target)]
        try:
            self._reactor.spawnProcess(
                process,
                sys.executable,
                words,
                self._order.variables(target),
                self._order.directory,
                childFDs={0: nothing, 1: "r", 2: "r", 3: "w"},
            )
        finally:
            os.close(nothing)
        self._ask()

    def _ask(self) -> None:
        """Find out whether it answers."""
        self._later = None
        target, seconds = self._backend.target, self._patience.start
        asking = self._asking = problem_of(target, self._health, seconds, self._reactor)
        asking.addCallback(self._asked, self._process)

    def _asked(self, problem: str | None, process: Process | None) -> None:
        if process is None or process is not self._process or self._stops:
            return
        waited = self._reactor.seconds() - self._began
        if problem is None:
            self._log.info(
                "{name} answers after {seconds:.1f} seconds",
                name=self.name,
                seconds=waited,
            )
            self._backend.check(None)
            if self._answered is not None:
                answered, self._answered = self._answered, None
                answered.callback(None)
        elif waited < self._patience.start:
            self._later = self._reactor.callLater(_EVERY, self._ask)
        else:
            late = f"does not answer after {self._patience.start:g} seconds: {problem}"
            self._fail(late, process.voice)
            self._kill()

    def ended(self, process: Process, outcome: str) -> None:
        """It has ended."""
        if process is not self._process:
            return
        self._process = None
        self._be_quiet()
        if self._stops:
            if self._gone is not None:
                self._gone.callback(None)
            return
        lived = self._reactor.seconds() - self._began
        self._failures = 1 if lived >= _SETTLED else self._failures + 1
        if self._answered is not None and self._failures >= _MOST_TRIES:
            self._fail(f"{outcome}, {self._failures} times", process.voice)
        if not self._stops:
            self._start_again(outcome)

    def _start_again(self, outcome: str) -> None:
        longest = min(_LONGEST_PAUSE, _PAUSE * 2.0 ** min(self._failures - 1, 10))
        # Several that died of the same thing are not to come back at the same time.
        pause = longest * random.uniform(0.5, 1.0)
        self._backend.away(pause)
        self._log.warn(
            "{name} {outcome}; it is started again in {pause:.1f} seconds",
            name=self.name,
            outcome=outcome,
            pause=pause,
        )
        self._later = self._reactor.callLater(pause, self._launch)

    def _fail(self, problem: str, voice: Voice) -> None:
        """It does not run, and we do not start."""
        answered, self._answered = self._answered, None
        if answered is not None:
            self._stops = True
            error = DoesNotRun(self.name, problem, "\n".join(voice.last))
            answered.errback(Failure(error))

    def _kill(self) -> None:
        self._later = None
        self._tell(b"k")

    def _tell(self, order: bytes) -> None:
        if self._process is not None and self._process.transport is not None:
            with suppress(KeyError):  # it has closed that
                self._process.transport.writeToChild(3, order)

    def _be_quiet(self) -> None:
        """Do nothing any more that was to be done later."""
        later, self._later = self._later, None
        if later is not None and later.active():
            later.cancel()
        if self._asking is not None:
            self._asking.cancel()
