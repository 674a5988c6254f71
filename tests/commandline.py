"""
The command ``ropewalk`` in processes of their own, for tests.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from attrs import frozen

__all__ = ["PATIENCE", "ROOT", "Running", "Told", "ropewalk", "variables", "write"]

ROOT = Path(__file__).resolve().parent.parent

#: Seconds in which a process is expected to say or do something. It takes a
#: fraction of one; a loaded machine may need more.
PATIENCE = 60.0

COMMAND = (sys.executable, "-m", "ropewalk")


@frozen
class Told:
    """
    What came of a command.
    """

    status: int
    out: str
    err: str


def variables(*paths: Path | str, **more: str) -> dict[str, str]:
    """
    An environment in which this checkout, and other paths, are found.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "ROPEWALK_"))
    }
    path = os.pathsep.join(map(str, [ROOT / "platform", ROOT, *paths]))
    return inherited | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"} | more


def ropewalk(*words: str, cwd: Path, paths: tuple[Path, ...] = (), **more: str) -> Told:
    """
    Run the command to its end.

    :param paths: More directories for Python's path.
    """
    done = subprocess.run(
        [*COMMAND, *words],
        cwd=cwd,
        env=variables(*paths, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return Told(done.returncode, done.stdout, done.stderr)


def write(root: Path, files: dict[str, str]) -> Path:
    """
    Write files, with the directories that they are in.
    """
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root


class Running:
    """
    A command that runs until somebody stops it.

    :ivar said: All the lines it has said, errors among them, up to the one last
        waited for.
    """

    def __init__(self, *words: str, cwd: Path, **more: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=cwd,
            env=variables(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._over = False
        reader = threading.Thread(target=self._read, daemon=True)
        reader.start()

    def says(self, text: str) -> str:
        """
        Wait for a line with this text in it.
        """
        while True:
            line = self._next(text)
            if line is None:
                raise AssertionError(f"it ended without {text!r}: {self.said}")
            self.said.append(line)
            if text in line:
                return line

    def falls_silent(self) -> None:
        """
        Wait until nobody is left who could say anything: the process, and all
        that it has started.
        """
        while not self._over and (line := self._next("its end")) is not None:
            self.said.append(line)

    def end(self) -> int:
        """
        Wait for its end.

        :return: its exit status.
        """
        return self.process.wait(PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self.falls_silent()
        self._output.close()

    def _next(self, wanted: str) -> str | None:
        try:
            line = self._lines.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"never said {wanted!r}: {self.said}") from None
        self._over = line is None
        return line

    def _read(self) -> None:
        for line in self._output:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    @property
    def _output(self) -> Any:
        return self.process.stdout
