# -*- test-case-name: tests.test_benchmarks -*-
"""
A peer that runs: what it takes of the machine, and its end.

A server is a session of processes, so that those that it makes are counted with it and
end with it. What they take is read from Linux's ``/proc``.
"""

from __future__ import annotations

import ctypes
import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from benchmarks.environments import ROOT, Absent, in_short
from benchmarks.loads import BIG, Wrong, greet
from benchmarks.peers import APPS, Peer

__all__ = ["Server", "free_port", "members"]

#: Seconds that a server may take to start, and to stop before it is killed.
PATIENCE = 30.0
PARTING = 5.0

#: See prctl(2): what a process is sent when its parent is gone.
_PR_SET_PDEATHSIG = 1

_TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """
    A TCP port that nobody has at the moment.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _stat(pid: int) -> list[str]:
    """What ``/proc/PID/stat`` has after the program's name, which may have blanks."""
    text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    return text.rpartition(")")[2].split()


def members(session: int) -> Iterator[int]:
    """
    The processes of a session.
    """
    for name in os.listdir("/proc"):
        with suppress(OSError):
            if name.isdigit() and int(_stat(int(name))[3]) == session:
                yield int(name)


def _worked(pid: int) -> float:
    """Seconds that a process has had on a processor, with all its threads."""
    nanoseconds = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            nanoseconds += int(path.read_text().split()[0])
    if nanoseconds:
        return nanoseconds / 1e9
    fields = _stat(pid)  # a kernel without it, which counts in ticks
    return (int(fields[11]) + int(fields[12])) / _TICK


def _resident(pid: int) -> float:
    """MiB of a process; what it shares with others is divided among them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Server:
    """
    A peer, started.

    :param core: The only processor that it may use; any for ``None``.
    :param directory: For what it reads and writes: settings, a log.
    :ivar port: Where it listens.
    :ivar seconds: How long it took to the first good answer.
    :raise Absent: When it did not start.
    """

    def __init__(self, peer: Peer, core: int | None, directory: Path) -> None:
        self.peer = peer
        self.port = free_port()
        self._core = core
        self._directory = directory / peer.name
        self._log = directory / f"{peer.name}.log"
        file = self._write()
        words = peer.words(self.port, file)
        began = time.monotonic()
        self._process = self._start(words)
        try:
            self._wait(began)
        except BaseException:
            self.stop()
            raise

    def _write(self) -> Path:
        """What it reads: its template, filled in."""
        directory = self._directory
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "big").write_bytes(BIG)
        values = {
            "port": str(self.port),
            "other": str(free_port()),
            "directory": str(directory),
            "user": getpass.getuser(),
        }
        file = directory / (self.peer.template or "nothing")
        if self.peer.template:
            text = (APPS / self.peer.template).read_text("utf-8")
            for name, value in (values | self.peer.values).items():
                text = text.replace(f"@{name}@", value)
            file.write_text(text, "utf-8")
        return file

    def _start(self, words: list[str]) -> subprocess.Popen[bytes]:
        paths = [str(APPS), str(ROOT / "platform"), str(ROOT)]
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "ROPEWALK_"))
        }
        inherited["PYTHONPATH"] = os.pathsep.join(paths)
        with self._log.open("wb") as log:
            return subprocess.Popen(
                words,
                cwd=APPS,
                env=inherited | self.peer.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=self._stay,
            )

    def _stay(self) -> None:
        """On its processor, and for no longer than we are there to stop it."""
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if self._core is not None:
            os.sched_setaffinity(0, {self._core})

    def _wait(self, began: float) -> None:
        """Ask until there is an answer."""
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as asking:
                    greet(asking, self.peer.speaks_lines)
                self.seconds = time.monotonic() - began
                return
            except (OSError, Wrong) as error:
                if not self.runs:
                    raise Absent(f"it does not start: {self.last_words()}") from None
                if time.monotonic() - began > PATIENCE:
                    raise Absent(f"no answer in {PATIENCE:g} s: {error}") from None
            time.sleep(0.001)

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def last_words(self) -> str:
        """What its log ends with, in a line."""
        return in_short(self._log.read_text("utf-8", "replace")[-4000:])

    def worked(self) -> float:
        """Seconds on the processor so far."""
        return sum(self._each(_worked))

    def memory(self) -> float:
        """MiB at the moment."""
        return sum(self._each(_resident))

    def _each(self, read: Callable[[int], float]) -> Iterator[float]:
        for pid in members(self._process.pid):
            with suppress(OSError):
                yield read(pid)

    def stop(self) -> None:
        """End it, and all that it made."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + PARTING
        while time.monotonic() < deadline and self._remain():
            time.sleep(0.01)
        self._signal(signal.SIGKILL)
        self._process.wait()
        # An access log of millions of lines.
        if self._log.stat().st_size > 1_000_000:
            self._log.write_bytes(b"")

    def _remain(self) -> bool:
        self._process.poll()
        return any(True for _ in members(self._process.pid))

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
