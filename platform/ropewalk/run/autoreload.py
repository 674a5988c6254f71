# -*- test-case-name: tests.test_autoreload -*-
"""
``ropewalk run --reload``: a daemon that is started again whenever a file of the
project changes.

This process watches; the daemon is its child. The child hangs on a lifeline, a
pipe, so that it ends with this process even where this one is killed.
"""

from __future__ import annotations

import os
import signal
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from attrs import define, field
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from ropewalk.run.foreground import STOP
from ropewalk.run.single import Program
from ropewalk.run.statuses import Status

__all__ = ["Autoreload", "Child", "Files", "own_roots", "run"]

#: What a project is written in. Not what a daemon may write itself (JSON, text,
#: databases): it would start again and again.
SUFFIXES = frozenset(
    ".py .toml .html .htm .css .js .mjs .svg .jinja .jinja2 .j2 .sql".split()
)

#: Directories in which nothing of a running daemon is.
_ELSEWHERE = frozenset(
    "__pycache__ build dist docs node_modules site-packages tests venv".split()
)

#: Not more files are watched, and not more than ten times as many looked at: that
#: takes some 100 ms.
_MOST_FILES = 5_000

#: When a file was last written, in nanoseconds, and how long it is.
Stamp = tuple[int, int]


class Files(Struct, frozen=True):
    """
    The files that are watched.

    :ivar roots: Directories, watched with all below them.
    :ivar extra: Files that are watched wherever they are, whatever their suffix.
    :ivar most: How many are watched at most; somebody may be in ``/``.
    """

    roots: tuple[str, ...]
    extra: tuple[str, ...] = ()
    most: int = _MOST_FILES

    def __call__(self) -> dict[str, Stamp]:
        """What they are now."""
        return self.look()[0]

    def look(self) -> tuple[dict[str, Stamp], bool]:
        """What they are now, and whether these are all that there are."""
        found: dict[str, Stamp] = {}
        for number, path in enumerate(self._paths()):
            if len(found) >= self.most or number >= 10 * self.most:
                return found, False
            if not path:
                continue
            try:
                about = os.stat(path)
            except OSError:  # gone, between being listed and being looked at
                continue
            found[path] = (about.st_mtime_ns, about.st_size)
        return found, True

    def _paths(self) -> Iterator[str]:
        """Each file that is watched; empty for each that is not."""
        yield from self.extra
        for root in self.roots:
            for directory, below, names in os.walk(root):
                if "pyvenv.cfg" in names:
                    below.clear()
                    continue
                below[:] = [name for name in below if _may_be_source(name)]
                for name in names:
                    watched = os.path.splitext(name)[1] in SUFFIXES
                    watched = watched and name[0] not in ".#"
                    yield os.path.join(directory, name) if watched else ""


def _may_be_source(directory: str) -> bool:
    return directory not in _ELSEWHERE and not directory.startswith(
        (".", "_trial_temp")
    )


def own_roots(path: Iterable[str], here: str) -> tuple[str, ...]:
    """
    The directories in which somebody writes code: the current one, and those of
    Python's path that nothing was installed into. Editable installs and
    ``PYTHONPATH`` are among them.

    :param path: ``sys.path``.
    :param here: The current directory.
    """
    roots: list[Path] = []
    for each in [here, *path]:
        root = Path(os.path.abspath(os.path.join(here, each)))
        if not root.is_dir() or _is_installed(root):
            continue
        if any(root.is_relative_to(other) for other in roots):
            continue
        roots = [other for other in roots if not other.is_relative_to(root)]
        roots.append(root)
    return tuple(map(str, roots))


def _is_installed(root: Path) -> bool:
    python = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "scripts")]
    packages = {"site-packages", "dist-packages"}
    return bool(packages.intersection(root.parts)) or any(
        root.is_relative_to(path) for path in python
    )


class Child(Protocol):
    """A daemon that was started."""

    def signal(self, name: str) -> None:
        """Send it a signal: ``"TERM"``. One that has ended hears nothing."""

    def nudge(self) -> None:
        """Have it stop, unless it already does."""


@define
class Autoreload:
    """
    Keeps a daemon running, and starts it again when a file changes.

    :param spawn: Starts a daemon; called with what to call when it has ended,
        which takes its exit status, negative for the signal that ended it.
    :param files: The watched files as they are now.
    :param say: Tells people something, in a line.
    :ivar every: Seconds between two looks at the files.
    :ivar patience: Seconds that a daemon has to stop after it was told to,
        before it is told to stop at once; and another ``grace`` before it is
        killed.
    """

    _spawn: Callable[[Callable[[int], None]], Child]
    _files: Callable[[], Mapping[str, Stamp]]
    _clock: IReactorTime
    _say: Callable[[str], None]
    every: float = 0.5
    patience: float = 15.0
    grace: float = 3.0
    _state: str = field(default="waiting", init=False)
    _child: Child | None = field(default=None, init=False)
    _status: int = field(default=0, init=False)
    _seen: Mapping[str, Stamp] = field(factory=dict, init=False)
    _changing: Mapping[str, Stamp] | None = field(default=None, init=False)
    _later: list[Any] = field(factory=list, init=False)
    _looking: LoopingCall = field(init=False)
    _ended: Deferred[int] = field(factory=Deferred, init=False)

    def start(self) -> Deferred[int]:
        """
        Start the daemon, and watch.

        :return: fires when all is over, with the last daemon's exit status as a
            shell would have it.
        """
        self._looking = LoopingCall(self._look)
        self._looking.clock = self._clock
        self._run()
        self._looking.start(self.every, now=False)
        return self._ended

    def interrupt(self, name: str) -> None:
        """
        Take a signal to stop: the first has the daemon stop, the second has it
        stop at once.

        :param name: ``"INT"`` or ``"TERM"``.
        """
        if self._child is None:
            self._finish(self._status)
        elif self._state == "stopping":
            self._hurry()
        elif name == "INT":
            # From a terminal the daemon has it, too. Told twice, it would not
            # say goodbye, and who pressed the key once did not ask for that.
            if self._state == "running":
                self._after(0.3, self._child.nudge)
            self._state = "stopping"
        else:
            if self._state == "running":
                self._child.signal(name)
            self._state = "stopping"

    def _run(self) -> None:
        self._seen = self._files()
        self._changing = None
        self._state = "running"
        self._child = self._spawn(self._child_ended)

    def _look(self) -> None:
        if self._state not in ("running", "waiting"):
            return
        now = self._files()
        if now == self._seen:
            self._changing = None
        elif now != self._changing:
            self._changing = now  # whoever saves one file may save another
        else:
            self._start_again(sorted(_differences(self._seen, now)))

    def _start_again(self, changed: Sequence[str]) -> None:
        names = ", ".join(os.path.basename(path) for path in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        self._say(f"{names}{more} changed: starting again")
        if self._child is None:
            self._run()
            return
        self._state = "restarting"
        self._child.signal("TERM")
        self._after(self.patience, self._hurry)

    def _hurry(self) -> None:
        if self._child is not None:
            self._child.signal("INT")
            self._after(self.grace, self._kill)

    def _kill(self) -> None:
        if self._child is not None:
            self._say(f"it does not stop within {self.grace:g} seconds: killing it")
            self._child.signal("KILL")

    def _child_ended(self, status: int) -> None:
        asked = self._state in ("stopping", "restarting")
        if status in (-signal.SIGINT, -signal.SIGTERM):
            # It was asked to stop before it had started.
            status, asked = Status.STOPPED, True
        self._child = None
        self._status = status if status >= 0 else 128 - status
        for call in self._later:
            if call.active():
                call.cancel()
        self._later.clear()
        if self._state == "restarting":
            self._run()
        elif asked or status in (Status.STOPPED, Status.LEFT_BEHIND):
            self._finish(self._status)
        else:
            self._state = "waiting"
            self._say(f"{_reason(status)}; waiting for a file to change")

    def _finish(self, status: int) -> None:
        if self._looking.running:
            self._looking.stop()
        self._ended.callback(status)

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        self._later.append(self._clock.callLater(seconds, do))


def _differences(old: Mapping[str, Stamp], new: Mapping[str, Stamp]) -> set[str]:
    return {path for path in {**old, **new} if old.get(path) != new.get(path)}


def _reason(status: int) -> str:
    if status < 0:
        return f"the daemon was ended by {signal.Signals(-status).name}"
    return f"the daemon ended with status {status}, see above"


class _Daemon(ProcessProtocol):
    """The daemon as a process."""

    def __init__(self, ended: Callable[[int], None]) -> None:
        self._ended = ended

    def signal(self, name: str) -> None:
        with suppress(ProcessExitedAlready):
            self._transport.signalProcess(name)

    def nudge(self) -> None:
        self._transport.writeToChild(3, STOP)

    def processEnded(self, reason: Failure) -> None:
        error: Any = reason.value
        number = error.signal
        self._ended(-number if number is not None else error.exitCode or 0)

    @property
    def _transport(self) -> Any:
        return self.transport


def run(settings: str, watch: Sequence[str] = ()) -> int:
    """
    Run the daemon of a settings file, again on each change, until somebody
    interrupts.

    :param watch: The directories to watch; those of :func:`own_roots` by default.
    :return: the exit status of the last one.
    """
    from twisted.internet import reactor as running

    reactor: Any = running
    # Set up like this process, and with a lifeline from it.
    command = [sys.executable, "-m", "ropewalk", "run", "--no-reload"]
    command += ["--lifeline", "3", "--settings", settings]

    def spawn(ended: Callable[[int], None]) -> Child:
        child = _Daemon(ended)
        ends: dict[int, Any] = {0: 0, 1: 1, 2: 2, 3: "w"}
        reactor.spawnProcess(child, command[0], command, env=None, childFDs=ends)
        return child

    def say(line: str) -> None:
        print(f"ropewalk: {line}", file=sys.stderr, flush=True)

    roots = tuple(map(os.path.abspath, watch)) or own_roots(sys.path, os.getcwd())
    program = Program.read(settings)
    if program is not None and program.directory not in roots:
        roots += (program.directory,)  # what is beside it is imported from there
    file = settings if program is None else program.file
    files = Files(roots, (os.path.abspath(file),))
    statuses: list[int] = []
    autoreload = Autoreload(spawn, files, reactor, say)

    def interrupt(number: int, _: Any) -> None:
        name = signal.Signals(number).name.removeprefix("SIG")
        reactor.callFromThread(autoreload.interrupt, name)

    def begin() -> None:
        signal.signal(signal.SIGINT, interrupt)
        signal.signal(signal.SIGTERM, interrupt)
        found, whole = files.look()
        number = f"{len(found)} files" if whole else f"the first {len(found)} files"
        say(f"watching {number} below {', '.join(roots)}; Ctrl-C stops")
        ended = autoreload.start()
        ended.addCallback(statuses.append)
        ended.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    return statuses[0] if statuses else Status.START_FAILED
