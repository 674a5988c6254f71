"""
What it costs that ropewalk is there: time to the first answer, and memory at rest.

    make bench

The daemon with the demo's chat against ``twistd web`` with an empty directory, which
is the least that Twisted itself can serve. They take turns in one run; what counts
is the ratio, since the machine is the same for both.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
TWISTD = Path(sys.executable).with_name("twistd")

ROUNDS = 7

#: Seconds after the first answer at which memory is looked at: whatever a start leaves
#: to do is done by then.
REST = 1.0

#: Seconds to wait for a first answer before giving up.
PATIENCE = 30.0

SETTINGS = """\
[host]
log_level = "error"

[web]
listen = ["tcp:{port}:interface=127.0.0.1"]

[chat]
listen = "tcp:{line_port}:interface=127.0.0.1"
"""


def free_port() -> int:
    """
    A TCP port that nobody has at the moment.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def ropewalk(port: int, directory: Path) -> list[str]:
    """
    The words of the command that serves the chat.
    """
    settings = directory / f"{port}.toml"
    settings.write_text(SETTINGS.format(port=port, line_port=free_port()), "utf-8")
    return ["ropewalk", "--settings", str(settings)]


def twisted_web(port: int, directory: Path) -> list[str]:
    """
    The words of the command that serves a directory.
    """
    where = f"tcp:{port}:interface=127.0.0.1"
    return ["web", "--listen", where, "--path", str(directory)]


CONTENDERS = {"twistd ropewalk": ropewalk, "twistd web": twisted_web}


@contextmanager
def running(words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """
    A daemon, for as long as the block lasts.
    """
    paths = [str(ROOT / "examples" / "chat"), str(ROOT / "platform"), str(ROOT)]
    process = subprocess.Popen(
        [TWISTD, "--nodaemon", "--pidfile=", *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def wait_for_answer(process: subprocess.Popen[bytes], port: int) -> None:
    """
    Ask until the first answer, which has to be a good one.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", "/")
            status = connection.getresponse().status
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{process.args!r} does not answer") from None
            time.sleep(0.002)
        else:
            if status != 200:
                raise SystemExit(f"{process.args!r} answers {status}")
            return
        finally:
            connection.close()


def resident(pid: int) -> float:
    """
    The memory that a process has, in MiB.
    """
    shown = subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)])
    return int(shown) / 1024


def measure(name: str, directory: Path) -> tuple[float, float]:
    """
    One start.

    :return: Seconds until the first answer, MiB at rest.
    """
    port = free_port()
    words = CONTENDERS[name](port, directory)
    began = time.monotonic()
    with running(words) as process:
        wait_for_answer(process, port)
        seconds = time.monotonic() - began
        time.sleep(REST)
        return seconds, resident(process.pid)


def main() -> None:
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as directory:
        for name in CONTENDERS:
            measure(name, Path(directory))  # compiles what was not compiled
        for _ in range(ROUNDS):
            for name in CONTENDERS:
                results[name].append(measure(name, Path(directory)))
    print(f"{'median of ' + str(ROUNDS):18}  first answer  at rest")
    medians = []
    for name, measured in results.items():
        seconds, memory = (median(column) for column in zip(*measured, strict=True))
        medians.append((seconds, memory))
        print(f"{name:18}  {seconds:10.2f} s  {memory:4.0f} MiB")
    (seconds, memory), (other_seconds, other_memory) = medians
    ratios = f"{seconds / other_seconds:10.2f} x  {memory / other_memory:4.2f} x"
    print(f"{'the first is':18}  {ratios}")


if __name__ == "__main__":
    main()
