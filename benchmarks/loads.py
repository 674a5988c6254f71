# -*- test-case-name: tests.test_benchmarks -*-
"""
What the peers are asked, how good answers look, and the programs that ask.

HTTP is asked by wrk, lines by ``lines.c``. Both count what came back and complain of
what did not. wrk looks at each answer's status only: so the first answer before and
the first after a slot are compared word for word, and all that came between must be as
many bytes as that many of them have.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

import msgspec
from attrs import frozen
from msgspec import Struct

from benchmarks.environments import compiled, found

__all__ = [
    "BIG",
    "HELLO",
    "HTTP",
    "LINES",
    "LOADS",
    "Load",
    "Outcome",
    "Wrong",
    "check",
    "greet",
    "hold",
    "read_outcome",
    "sample",
]

HERE = Path(__file__).resolve().parent

HELLO = b"Hello, world!"

#: The 64 KiB, as in ``apps/goods.py``.
BIG = b"".join(b"%07d\n" % number for number in range(65536 // 8))

#: What is posted: 200 bytes.
ITEM = {
    "name": "Hemp rope, four strands, hawser-laid, treated",
    "price": 129.95,
    "quantity": 12,
    "tags": ["hemp", "hawser", "outdoor"],
    "note": "Cut to length; please allow for three to five working days.",
}
POSTED = json.dumps(ITEM).encode()

#: Bodies that are not that, each in its own way. They must be refused.
REFUSED = (
    b'{"name": "Hemp rope", "price": 1.5, "quantity": 2, "tags": ["a", 1]}',
    b'{"name": "Hemp rope", "price": "dear", "quantity": 2, "tags": []}',
    b'{"name": "Hemp rope", "quantity": 2, "tags": []}',
    b"Hemp rope",
)

#: Seconds that an answer may take.
PATIENCE = 10.0

#: By how much answers may be longer or shorter than those that were looked at: a
#: number in a header, say.
TOLERANCE = 0.01


class Wrong(Exception):
    """
    An answer is not what it should be; the sentence says how.
    """


@frozen
class Load:
    """
    What is asked.

    :ivar title: In tables and pictures.
    :ivar base: The peer that is 1.
    :ivar depth: Requests, or lines, that are sent at once on a connection.
    """

    name: str
    title: str
    base: str = "klein"
    path: str = ""
    method: str = "GET"
    body: bytes = b""
    connections: int = 64
    depth: int = 1

    def words(self, port: int, seconds: float) -> list[str]:
        """
        The command that asks.

        :raise Absent: When it is not to be had.
        """
        words: list[object]
        if not self.path:
            words = [port, self.connections, seconds, LINE, self.depth]
            return [compiled(HERE / "lines.c"), *map(str, words)]
        words = ["--threads", 1, "--connections", self.connections]
        # wrk knows whole seconds only.
        words += ["--duration", max(1, round(seconds)), "--timeout", round(PATIENCE)]
        words += ["--script", HERE / "wrk.lua", f"http://127.0.0.1:{port}{self.path}"]
        words += ["--", self.method, self.depth]
        if self.body:
            words.append(self.body.decode())
        return [found("wrk"), *map(str, words)]

    def request(self, path: str = "", body: bytes = b"") -> bytes:
        """What wrk sends, or nearly."""
        head = f"{self.method} {path or self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        body = body or self.body
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"\r\n" + body


#: Bytes of a line, with its end.
LINE = 64

_LOADS = (
    Load("plain", "plain text", path="/"),
    Load("json", "JSON", path="/json"),
    Load("users", "<int:id>, JSON", path="/users/42"),
    Load("items", "typed POST", path="/items", method="POST", body=POSTED),
    Load("pipelined", "16 pipelined", path="/", depth=16),
    Load("many", "512 connections", path="/", connections=512),
    Load("big", "64 KiB", path="/big"),
    Load("lines", "lines", "line-receiver"),
    Load("segments", "64 lines at once", "line-receiver", depth=64),
)

#: All loads, by name.
LOADS = {load.name: load for load in _LOADS}

HTTP = tuple(load.name for load in _LOADS if load.path)
LINES = tuple(load.name for load in _LOADS if not load.path)


class Outcome(Struct):
    """
    What a program says that asked.

    :ivar count: Good answers.
    :ivar lost: Answers that did not come.
    :ivar refused: Answers with a status of an error.
    :ivar wrong: Bytes that are not what they should be.
    :ivar bytes: All of them; 0 where each was compared.
    """

    count: int
    seconds: float
    p50: float
    p99: float
    lost: int
    refused: int = 0
    wrong: int = 0
    bytes: int = 0

    def check(self, load: Load, sizes: tuple[int, int]) -> None:
        """
        See that all is well.

        :param sizes: The bytes of an answer before, and of one after.
        :raise Wrong: When it is not.
        """
        if self.lost or self.refused or self.wrong:
            raise Wrong(
                f"{self.lost} answers were lost, {self.refused} refused, "
                f"{self.wrong} bytes wrong"
            )
        if not self.count:
            raise Wrong("there was no answer")
        begun = load.connections * load.depth * max(sizes)
        least = self.count * min(sizes) * (1 - TOLERANCE)
        most = self.count * max(sizes) * (1 + TOLERANCE) + begun
        if self.bytes and not least <= self.bytes <= most:
            raise Wrong(
                f"{self.count} answers of {min(sizes)} to {max(sizes)} bytes are not "
                f"{self.bytes} bytes"
            )


def read_outcome(printed: str) -> Outcome:
    """
    The line of JSON among what a program printed.

    :raise Wrong: When there is none.
    """
    for line in printed.splitlines():
        if line.startswith("{"):
            with suppress(msgspec.MsgspecError):
                return msgspec.json.decode(line, type=Outcome)
    raise Wrong(f"the load did not say what came of it: {printed[-200:]!r}")


class _Wire(BufferedReader):
    """
    What comes in on a connection, for ``HTTPResponse``, which takes a socket and
    closes it after each answer.
    """

    def makefile(self, mode: str) -> _Wire:
        return self

    def close(self) -> None:
        """There may be another answer."""


class _Counting(socket.SocketIO):
    """
    A connection that counts its bytes.
    """

    count = 0

    def readinto(self, buffer: Any) -> int | None:
        taken = super().readinto(buffer)
        self.count += taken or 0
        return taken


def _connect(port: int, client: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE, (client, 0))


@contextmanager
def _complaining() -> Iterator[None]:
    """A connection that breaks is a wrong answer, too."""
    try:
        yield
    except (OSError, HTTPException) as error:
        raise Wrong(f"{type(error).__name__}: {error}") from None


def _ask(port: int, request: bytes, answers: int = 1) -> tuple[list[_Answer], int]:
    """
    :return: The answers to what is sent at once, and how many bytes they were.
    """
    with _complaining(), _connect(port) as connection:
        counting = _Counting(connection, "r")
        wire = _Wire(counting)
        connection.sendall(request)
        told = [_read_answer(wire) for _ in range(answers)]
        return told, counting.count


@frozen
class _Answer:
    """
    One answer, taken apart.
    """

    status: int
    kind: str
    body: bytes


def _read_answer(wire: _Wire) -> _Answer:
    response = HTTPResponse(cast(socket.socket, wire))
    response.begin()
    kind = response.getheader("Content-Type", "")
    return _Answer(response.status, kind.partition(";")[0], response.read())


def _expect(answer: _Answer, kind: str, body: Any) -> None:
    """
    :param body: Bytes, or what JSON says.
    """
    if answer.status != 200:
        raise Wrong(f"the answer is a {answer.status}")
    if answer.kind != kind:
        raise Wrong(f"the answer is {answer.kind!r}, not {kind}")
    told: Any = answer.body
    with suppress(ValueError):  # what is not JSON is not what was expected, either
        told = told if isinstance(body, bytes) else json.loads(told)
    if told != body:
        raise Wrong(f"the answer is {answer.body[:80]!r}")


#: What each load is answered.
_EXPECTED: dict[str, tuple[str, Any]] = {
    "plain": ("text/plain", HELLO),
    "json": ("application/json", {"message": "Hello, world!"}),
    "users": ("application/json", {"id": 42}),
    "items": ("application/json", ITEM),
    "pipelined": ("text/plain", HELLO),
    "many": ("text/plain", HELLO),
    "big": ("application/octet-stream", BIG),
}


def _expect_refusal(port: int, request: bytes) -> None:
    (answer,), _ = _ask(port, request)
    if not 400 <= answer.status < 500:
        asked = request.partition(b"\r\n")[0].decode()
        raise Wrong(f"{asked} should be refused, and is answered {answer.status}")


def _check_order(port: int) -> None:
    """Of requests that are sent at once, each has its own answer, in order."""
    users = LOADS["users"]
    numbers = range(1, LOADS["pipelined"].depth + 1)
    requests = b"".join(users.request(f"/users/{number}") for number in numbers)
    answers, _ = _ask(port, requests, len(numbers))
    for number, answer in zip(numbers, answers, strict=True):
        _expect(answer, "application/json", {"id": number})


def _echo(port: int) -> None:
    """Two lines come back, wherever the second was cut."""
    with _complaining(), _connect(port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (b"one\nan", b"other\n"):
            connection.sendall(piece)
        told = b""
        while told.count(b"\n") < 2 and (more := connection.recv(100)):
            told += more
    if told != b"one\nanother\n":
        raise Wrong(f"two lines come back as {told!r}")


def sample(load: Load, port: int) -> int:
    """
    Ask once.

    :return: The bytes of a good answer.
    :raise Wrong: When the answer is another one.
    """
    if not load.path:
        _echo(port)
        return LINE
    (answer,), size = _ask(port, load.request())
    _expect(answer, *_EXPECTED[load.name])
    return size


def check(load: Load, port: int) -> None:
    """
    See whether a peer does what it is to be measured at, all of it.

    :raise Wrong: When it does not.
    """
    sample(load, port)
    if load.name == "users":
        _expect_refusal(port, load.request("/users/nobody"))
    if load.name == "items":
        for body in REFUSED:
            _expect_refusal(port, load.request(body=body))
    if load.name == "pipelined":
        _check_order(port)


def greet(connection: socket.socket, speaks_lines: bool) -> None:
    """
    Ask on a connection that stays open.

    :raise Wrong: When there is no good answer.
    """
    asked = b"hello\n" if speaks_lines else LOADS["plain"].request()
    # In one piece, or in chunks.
    ends = (b"hello\n",) if speaks_lines else (HELLO, HELLO + b"\r\n0\r\n\r\n")
    with _complaining():
        connection.sendall(asked)
        told = b""
        while not told.endswith(ends):
            more = connection.recv(4096)
            if not more:
                raise Wrong(f"the connection was closed after {told[-80:]!r}")
            told += more


@contextmanager
def hold(port: int, count: int, speaks_lines: bool) -> Iterator[None]:
    """
    Connections that have been answered once, and wait. They come from many addresses,
    of which nobody has more than a server may allow.

    :raise Wrong: When somebody is not let in, or not answered.
    """
    held: list[socket.socket] = []
    try:
        with _complaining():
            for number in range(count):
                held.append(_connect(port, f"127.0.0.{1 + number % 250}"))
                greet(held[-1], speaks_lines)
        yield
    finally:
        for connection in held:
            connection.close()
