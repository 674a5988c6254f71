# -*- test-case-name: tests.test_jitter -*-
"""
How late the steps of ``examples/game`` are while the same daemon answers HTTP.

    python benchmarks/jitter.py [--seconds 10] [--rate 500] [--players 8]

The requests are paced: each is due at a time, on one of a few connections, and is sent
then, whatever became of those before. (wrk sends as fast as it can.) The players are
sockets of this process. How late a step was the daemon itself says, by the clock of
the system, for each of them; how far apart they arrive is measured here, and has the
lateness of this process in it as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from msgspec import Struct

ROOT = Path(__file__).resolve().parent.parent
GAME = ROOT / "examples" / "game"

#: Seconds that the daemon may take to start, and to stop.
PATIENCE = 20.0

#: Milliseconds that 99 of 100 steps may be late at most.
GOAL = 5.0

#: Seconds between two steps.
STEP = 0.05

_REQUEST = b"GET /game/state HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Measured(Struct):
    """
    What came of it. Times are in milliseconds.

    :ivar late: How late the steps were, as the daemon says.
    :ivar apart: How much longer or shorter than a step two states were apart, here.
    :ivar answered: How many requests a second were answered.
    :ivar failed: How many were answered with something else than 200.
    """

    late: dict[str, float]
    apart: dict[str, float]
    answered: float
    failed: int


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """The middle one of some values, what 99 of 100 do not exceed, and the last."""
    inorder = sorted(values) or [0.0]
    last = len(inorder) - 1
    return {
        "p50": inorder[round(0.5 * last)],
        "p99": inorder[round(0.99 * last)],
        "worst": inorder[last],
    }


class Player(asyncio.DatagramProtocol):
    """
    One player: joins, and notes when it is told something.

    :ivar came: When that was, in seconds.
    """

    def __init__(self, name: str) -> None:
        from ropewalk.wire.proofs import Prover

        self.came: list[float] = []
        self._name = name
        self._prover = Prover(json.dumps({"join": name}).encode())
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        from ropewalk.wire.proofs import HELLO

        self._transport = transport
        transport.sendto(HELLO)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        reply, said = self._prover.take(data)
        if reply is not None:
            self._transport.sendto(reply)
        if said is not None:
            self.came.append(time.perf_counter())
            if len(self.came) % 4 == 0:
                self._transport.sendto(b'{"move": [0.5, -0.25]}')


class Load:
    """
    Requests at a fixed rate.

    :ivar answered: How many were answered.
    :ivar failed: How many not with 200.
    """

    def __init__(self, port: int, rate: float, connections: int = 10) -> None:
        self.answered = self.failed = 0
        self._port = port
        self._every = connections / rate
        self._connections = connections
        self._rate = rate

    async def run(self, seconds: float) -> None:
        """Ask for so long."""
        began = time.perf_counter() + 0.05
        await asyncio.gather(
            *(
                self._ask(began + number / self._rate, began + seconds)
                for number in range(self._connections)
            )
        )

    async def _ask(self, due: float, until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        reading = asyncio.create_task(self._read(reader))
        while due < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(_REQUEST)
            due += self._every
        await asyncio.sleep(0.2)  # for the last answers
        reading.cancel()
        writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            [length] = [each[15:] for each in lines if each[:15] == b"content-length:"]
            await reader.readexactly(int(length))
            self.answered += 1
            self.failed += not head.startswith(b"HTTP/1.1 200 ")


def free_ports() -> tuple[int, int]:
    """A port of TCP and one of UDP that nobody has at the moment."""
    import socket

    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        return tcp.getsockname()[1], udp.getsockname()[1]


def start(directory: Path, http: int, udp: int) -> subprocess.Popen[bytes]:
    """Start the daemon, and wait until it answers."""
    settings = directory / "ropewalk.toml"
    settings.write_text(
        f'[web]\nlisten = ["tcp:{http}:interface=127.0.0.1"]\naccess_log = false\n'
        f'[game]\nlisten = "udp:{udp}:interface=127.0.0.1"\n'
    )
    paths = os.pathsep.join(map(str, (GAME, ROOT / "platform", ROOT)))
    words = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile="]
    words += ["ropewalk", "--settings", str(settings)]
    with (directory / "log").open("wb") as log:
        daemon = subprocess.Popen(
            words,
            cwd=directory,
            env={**os.environ, "PYTHONPATH": paths},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fetch(http, "/game/state")
            return daemon
        except OSError:
            if daemon.poll() is not None or time.monotonic() > deadline:
                daemon.kill()
                told = (directory / "log").read_text("utf-8", "replace")
                raise SystemExit(f"it does not start:\n{told}") from None
            time.sleep(0.05)


def fetch(port: int, path: str) -> Any:
    """What is answered, as JSON."""
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as response:
        return json.load(response)


async def measure(
    http: int, udp: int, seconds: float, rate: float, players: int
) -> Measured:
    """Play, ask, and look at what came of it."""
    loop = asyncio.get_running_loop()
    playing = []
    for number in range(players):
        transport, protocol = await loop.create_datagram_endpoint(
            lambda number=number: Player(f"P{number}"),  # type: ignore[misc]
            remote_addr=("127.0.0.1", udp),
        )
        playing.append((transport, protocol))
    load = Load(http, rate)
    await load.run(seconds)
    late = await asyncio.to_thread(fetch, http, "/game/lateness")
    for transport, _ in playing:
        transport.close()
    apart = [
        abs(later - earlier - STEP) * 1000
        for _, protocol in playing
        for earlier, later in pairwise(protocol.came)
    ]
    if not apart:
        raise SystemExit("no player was told anything")
    told = {name: late[name] for name in ("p50", "p99", "worst")}
    answered = load.answered / seconds
    return Measured(told, percentiles(apart), answered, load.failed)


def main(words: Sequence[str] | None = None) -> int:
    """
    Measure, and say what came of it.

    :return: 0 when 99 of 100 steps were in time.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    add = parser.add_argument
    add("--seconds", type=float, default=10.0, help="how long")
    add("--rate", type=float, default=500.0, help="requests a second")
    add("--players", type=int, default=8, help="how many play, 1 to 32")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as directory:
        http, udp = free_ports()
        daemon = start(Path(directory), http, udp)
        try:
            measured = asyncio.run(
                measure(http, udp, asked.seconds, asked.rate, asked.players)
            )
        finally:
            daemon.terminate()
            daemon.wait(PATIENCE)
    for title, times in ("late", measured.late), ("apart, here", measured.apart):
        told = ", ".join(f"{name} {value:.2f} ms" for name, value in times.items())
        sys.stdout.write(f"{title:12} {told}\n")
    sys.stdout.write(
        f"{'HTTP':12} {measured.answered:.0f} answers a second, "
        f"{measured.failed} of them not 200\n"
    )
    good = measured.late["p99"] < GOAL
    sys.stdout.write(f"{'goal':12} p99 late < {GOAL:g} ms: {'yes' if good else 'no'}\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "platform")]
    sys.exit(main())
