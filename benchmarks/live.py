"""
What stays connected: how much memory idle WebSockets take, how a daemon fares whose
subscribers do not all read, and what a call costs beside an echo.

    python -m benchmarks.live idle [SOCKETS]
    python -m benchmarks.live stalled [SECONDS]
    python -m benchmarks.live calls [SECONDS]

Each starts a daemon of its own. One process has the clients.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: A service with rooms, an operation, and echoes to measure it beside.
SERVICE = '''
"""Rooms, and echoes."""

from twisted.application.service import MultiService

from ropewalk.hub import ANYONE, ChannelRule
from ropewalk.net.protocols import LineFactory, LineProtocol
from ropewalk.net.sockets import Socket
from ropewalk.operations import operation


class House:
    @operation
    def echo(self, text: str) -> str:
        """Say it again."""
        return text


class EchoSocket(Socket):
    def heard(self, message):
        self.say(message)


class EchoLines(LineProtocol):
    def heard(self, line):
        self.say(line)


def makeService(settings, host):
    host.hub.declare("rooms.*", ChannelRule(publish=ANYONE))
    host.operations.add("house", House())
    host.web.socket("/echo", EchoSocket)
    services = MultiService()
    lines = LineFactory(EchoLines, host.reactor)
    where = "tcp:%(echo)d:interface=127.0.0.1"
    host.listener(where, lines).setServiceParent(services)
    return services
'''

SETTINGS = """
[host]
log_level = "warn"
[web]
listen = ["tcp:%(web)d:interface=127.0.0.1"]
access_log = false
[web.limits]
connections = 0
[operations]
lines = "tcp:%(lines)d:interface=127.0.0.1"
log = false
[bench_live]
"""

DECLARATION = """
from ropewalk.plugin import ServicePlugin

bench_live = ServicePlugin("bench_live", "bench_live")
"""

PORTS = {"web": 18770, "lines": 18771, "echo": 18772}

#: Seconds for the daemon to begin, and for what is on its way to arrive.
PATIENCE = 30.0


class Daemon:
    """
    A daemon, until the ``with`` block ends.
    """

    def __enter__(self) -> Daemon:
        self._home = tempfile.TemporaryDirectory()
        home = Path(self._home.name)
        plugins = home / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "bench_live_plugin.py").write_text(DECLARATION)
        (home / "bench_live.py").write_text(SERVICE % PORTS)
        (home / "ropewalk.toml").write_text(SETTINGS % PORTS)
        paths = [str(home), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        twistd = Path(sys.executable).with_name("twistd")
        command = [str(twistd), "-n", "--pidfile=", "ropewalk", "-s", "ropewalk.toml"]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        self.process = subprocess.Popen(
            command, cwd=home, env=environ, preexec_fn=_on_core_0
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
        self._home.cleanup()

    def kib(self) -> int:
        """Its memory that is resident."""
        return self._status("VmRSS")

    def seconds(self) -> float:
        """How long it has used a processor."""
        text = Path(f"/proc/{self.process.pid}/schedstat").read_text()
        return int(text.split()[0]) / 1e9

    def _status(self, key: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (each for each in text.split("\n") if each.startswith(key))
        return int(line.split()[1])


def _on_core_0() -> None:
    if len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {0})


async def reach(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect, when somebody listens."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.05)


async def open_socket(
    path: str,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a WebSocket."""
    reader, writer = await reach(PORTS["web"])
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{PORTS['web']}\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head, head
    return reader, writer


def masked(message: bytes) -> bytes:
    """A text message in a frame (RFC 6455, section 5.2), with a mask of zeros."""
    size = len(message)
    if size < 126:
        return struct.pack("!BB", 0x81, 0x80 | size) + bytes(4) + message
    return struct.pack("!BBH", 0x81, 0xFE, size) + bytes(4) + message


async def take(reader: asyncio.StreamReader) -> bytes:
    """The next message."""
    _, size = await reader.readexactly(2)
    if size == 126:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", await reader.readexactly(8))
    return await reader.readexactly(size)


def asked(method: str, **params: Any) -> bytes:
    """A request."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return json.dumps(message).encode()


async def idle(daemon: Daemon, count: int) -> None:
    """Open WebSockets that hear a channel each, and look at the memory."""
    await reach(PORTS["web"])
    before = daemon.kib()
    kept = []
    for number in range(count):
        reader, writer = await open_socket("/live")
        writer.write(masked(asked("rpc.subscribe", channel=f"rooms.{number % 100}")))
        await take(reader)
        kept.append((reader, writer))
    each = (daemon.kib() - before) / count
    used = daemon.seconds()
    await asyncio.sleep(5)
    used = (daemon.seconds() - used) / 5
    print(f"{count} WebSockets, each in a channel: {each:.1f} KiB each")
    print(f"then, for 5 s: {used:.1%} of a core")


async def stalled(daemon: Daemon, seconds: float) -> None:
    """Publish as fast as it goes to a hundred, of whom ten do not read."""
    readers = []
    for number in range(100):
        reader, writer = await open_socket("/live")
        writer.write(masked(asked("rpc.subscribe", channel="rooms.lobby")))
        if number % 10:
            readers.append((reader, writer))
            await take(reader)
        else:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
    heard = [0]

    async def listen(reader: asyncio.StreamReader) -> None:
        while True:
            await take(reader)
            heard[0] += 1

    tasks = [asyncio.create_task(listen(reader)) for reader, _ in readers]
    reader, writer = await open_socket("/live")
    before, most = daemon.kib(), 0
    body = {"text": "x" * 900}
    message = masked(asked("rpc.publish", channel="rooms.lobby", body=body, wait=False))
    end, published = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        writer.write(message)
        await take(reader)
        published += 1
        if published % 100 == 0:
            most = max(most, daemon.kib())
    await asyncio.sleep(1)
    for task in tasks:
        task.cancel()
    print(
        f"{published} messages of 1 KB in {seconds:g} s to 100 WebSockets, 10 of which "
        f"do not read: {heard[0] / len(readers):.0f} heard by each of the others; "
        f"memory {before / 1024:.0f} MiB, at most {most / 1024:.0f} MiB"
    )


async def calls(daemon: Daemon, seconds: float) -> None:
    """Call, and have echoed, as fast as one peer after the other can ask."""
    text = "x" * 40
    call = asked("house.echo", text=text)
    line = asked("house.echo", text=text) + b"\n"
    for name, port, path, said, ends in (
        ("WebSocket, echo", "web", "/echo", masked(call), None),
        ("WebSocket, call", "web", "/live", masked(call), None),
        ("lines, echo", "echo", "", line, b"\n"),
        ("lines, call", "lines", "", line, b"\n"),
    ):
        if path:
            peers = [await open_socket(path) for _ in range(16)]
        else:
            peers = [await reach(PORTS[port]) for _ in range(16)]
        end, count = time.monotonic() + seconds, [0]

        async def ask(
            reader: asyncio.StreamReader,
            writer: asyncio.StreamWriter,
            said: bytes = said,
            ends: bytes | None = ends,
            end: float = end,
            count: list[int] = count,
        ) -> None:
            while time.monotonic() < end:
                writer.write(said)
                await (take(reader) if ends is None else reader.readuntil(ends))
                count[0] += 1

        used = daemon.seconds()
        await asyncio.gather(*(ask(*peer) for peer in peers))
        used = daemon.seconds() - used
        print(f"{name}: {used / count[0] * 1e6:.1f} us of the server's processor each")
        for _, writer in peers:
            writer.close()


MEASURES: dict[str, tuple[Callable[[Daemon, Any], Any], float]] = {
    "idle": (idle, 10_000),
    "stalled": (stalled, 20),
    "calls": (calls, 3),
}


def main(words: list[str]) -> None:
    """Measure what is asked for, or all."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1 << 16), hard))
    for name in words[:1] or list(MEASURES):
        measure, usual = MEASURES[name]
        amount = float(words[1]) if len(words) > 1 else usual
        with Daemon() as daemon:
            asyncio.run(measure(daemon, int(amount) if name == "idle" else amount))


if __name__ == "__main__":
    main(sys.argv[1:])
