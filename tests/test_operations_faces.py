# -*- test-case-name: tests.test_operations_faces -*-
"""
One rule on every protocol: whatever a call ends with, it ends with the same wherever it
came from.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from attrs import evolve, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.protocols.amp import AmpBox, parseString

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import Invalid, RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.net.calls.boxes import write_result
from ropewalk.operations.words import spoken
from ropewalk.testing import MemoryHost, TestCase
from ropewalk.wire.amp import read_pairs
from tests.callables import Callables, Knock
from tests.offering import Offering
from tests.wiring import Peer

SETTINGS = """
[operations]
lines = "tcp:7071"
frames = "tcp:7072"
amp = "tcp:7073"
text = "tcp:7074"
datagrams = "udp:7075"
"""


@frozen
class Told:
    """
    What a caller is told.

    :ivar status: 200, or an error's; 499 for a call that was cancelled.
    :ivar value: The result, or what is wrong; nothing for what is our fault, of which
        each face tells in its own way where to find it.
    :ivar faults: Paths and problems.
    """

    status: int
    value: Any = None
    faults: tuple[tuple[str, str], ...] = ()


def told(status: int, message: Any, faults: Any = ()) -> Told:
    """What is told, without what each face tells in its own way."""
    pairs = tuple((each["path"], each["problem"]) for each in faults)
    return Told(status, None if status in (499, 500) else message, pairs)


class Memory:
    """Called by a test."""

    def __init__(self, host: MemoryHost) -> None:
        self.host = host
        self.called: Deferred[Any] = Deferred()

    @inlineCallbacks
    def send(self, name: str, arguments: dict[str, Any]) -> Steps[None]:
        self.called = self.host.call(name, **arguments)
        yield self.host.clock.settle()

    @inlineCallbacks
    def answer(self) -> Steps[Told]:
        try:
            value = yield self.called
        except CancelledError:
            return Told(499)
        except RopewalkError as error:
            faults = error.faults if isinstance(error, Invalid) else ()
            pairs = [{"path": each.path, "problem": each.problem} for each in faults]
            said = "; ".join(map(str, faults)) or str(error)
            return told(error.status, said, pairs)
        return told(200, value)

    @inlineCallbacks
    def cancel(self) -> Steps[Told]:
        self.called.cancel()
        answer: Told = yield self.answer()
        return answer


class Web:
    """Called over HTTP."""

    def __init__(self, host: MemoryHost) -> None:
        self.host = host
        self.line = host.lines("tcp:8080")

    accept = "application/json"

    @inlineCallbacks
    def send(self, name: str, arguments: dict[str, Any]) -> Steps[None]:
        body = json.dumps(arguments)
        yield self.line.send(
            f"POST /operations/{name} HTTP/1.1\r\nHost: a\r\nAccept: {self.accept}\r\n"
            "Connection: close\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode("ascii")
        )

    @inlineCallbacks
    def answer(self) -> Steps[Told]:
        yield self.line.closed
        lines = yield self.line.received()
        self.line = self.host.lines("tcp:8080")
        status, body = int(lines[0].split()[1]), lines[lines.index("") + 1 :]
        return self.read(status, body)

    def read(self, status: int, body: list[str]) -> Told:
        """What an answer tells."""
        found = json.loads("\n".join(body))
        if status == 200:
            return told(200, found)
        return told(status, found["detail"], found.get("errors", ()))

    @inlineCallbacks
    def cancel(self) -> Steps[Told]:
        yield self.line.close(abort=True)
        return Told(499)


class WebLines(Web):
    """Called over HTTP, in lines."""

    accept = "application/x-ndjson"

    def read(self, status: int, body: list[str]) -> Told:
        if status == 200:
            (line,) = body
            return told(200, json.loads(line)["result"])
        return super().read(status, body)


class RPC:
    """Called by JSON-RPC, on whatever."""

    def __init__(self, host: MemoryHost) -> None:
        self.host = host
        self.number = 0

    def say(self, message: Any) -> Deferred[None]:
        raise NotImplementedError

    def hear(self) -> Deferred[Any]:
        raise NotImplementedError

    @inlineCallbacks
    def send(self, name: str, arguments: dict[str, Any]) -> Steps[None]:
        self.number += 1
        yield self.say(
            {
                "jsonrpc": "2.0",
                "id": self.number,
                "method": name,
                "params": arguments,
            }
        )

    @inlineCallbacks
    def answer(self) -> Steps[Told]:
        found = yield self.hear()
        if "error" not in found:
            return told(200, found["result"])
        error = found["error"]
        data = error.get("data", {"status": 499})
        return told(data["status"], error["message"], data.get("errors", ()))

    @inlineCallbacks
    def cancel(self) -> Steps[Told]:
        yield self.say(
            {"jsonrpc": "2.0", "method": "rpc.cancel", "params": {"id": self.number}}
        )
        answer: Told = yield self.answer()
        return answer


class Lines(RPC):
    """In lines."""

    def __init__(self, host: MemoryHost) -> None:
        super().__init__(host)
        self.line = host.lines("tcp:7071")

    @inlineCallbacks
    def say(self, message: Any) -> Steps[None]:
        yield self.line.send(json.dumps(message))

    @inlineCallbacks
    def hear(self) -> Steps[Any]:
        line = yield self.line.receive()
        return line.json()


class Socket(RPC):
    """By WebSocket."""

    def __init__(self, host: MemoryHost) -> None:
        super().__init__(host)
        self.socket = host.socket("/live")

    @inlineCallbacks
    def say(self, message: Any) -> Steps[None]:
        yield self.socket.send(message)

    @inlineCallbacks
    def hear(self) -> Steps[Any]:
        message = yield self.socket.receive()
        return message.json()


class Frames(RPC):
    """In frames of msgpack."""

    def __init__(self, host: MemoryHost) -> None:
        super().__init__(host)
        self.peer = Peer()
        factory: Any = Factory.forProtocol(lambda: self.peer)
        factory.noisy = False
        host.endpoint("tcp:7072").connect(factory)

    @inlineCallbacks
    def say(self, message: Any) -> Steps[None]:
        yield self.host.clock.settle()
        frame = msgspec.msgpack.encode(message)
        self.peer.transport.write(len(frame).to_bytes(4, "big") + frame)
        yield self.host.clock.settle()

    @inlineCallbacks
    def hear(self) -> Steps[Any]:
        yield self.host.clock.settle()
        heard, self.peer.heard = self.peer.heard, b""
        return msgspec.msgpack.decode(heard[4:])


class Datagrams(RPC):
    """In datagrams."""

    def __init__(self, host: MemoryHost) -> None:
        super().__init__(host)
        self.device = host.datagrams("udp:7075")

    @inlineCallbacks
    def say(self, message: Any) -> Steps[None]:
        yield self.device.send(json.dumps(message))

    @inlineCallbacks
    def hear(self) -> Steps[Any]:
        datagram = yield self.device.receive()
        return datagram.json()


class PackedDatagrams(Datagrams):
    """In datagrams of msgpack."""

    @inlineCallbacks
    def say(self, message: Any) -> Steps[None]:
        yield self.device.send(msgspec.msgpack.encode(message))

    @inlineCallbacks
    def hear(self) -> Steps[Any]:
        datagram = yield self.device.receive()
        return msgspec.msgpack.decode(datagram)


class Amp:
    """By AMP, which has no faults one by one: they are in the sentence."""

    def __init__(self, host: MemoryHost) -> None:
        self.host = host
        self.peer = Peer()
        factory: Any = Factory.forProtocol(lambda: self.peer)
        factory.noisy = False
        host.endpoint("tcp:7073").connect(factory)

    @inlineCallbacks
    def say(self, **pairs: bytes) -> Steps[None]:
        yield self.host.clock.settle()
        box = {key.encode(): value for key, value in pairs.items()}
        self.peer.transport.write(AmpBox(box).serialize())
        yield self.host.clock.settle()

    def send(self, name: str, arguments: dict[str, Any]) -> Deferred[None]:
        pairs = read_pairs(write_result(arguments))
        given = {key.decode(): value for key, value in pairs.items()}
        return self.say(_command=name.encode(), _ask=b"1", **given)

    @inlineCallbacks
    def answer(self) -> Steps[Told]:
        yield self.host.clock.settle()
        heard, self.peer.heard = self.peer.heard, b""
        (box,) = parseString(heard)
        if b"_answer" in box:
            return told(200, box[b"result"].decode() if b"result" in box else None)
        status = int(box.get(b"status", b"499"))
        return told(status, box[b"_error_description"].decode())

    @inlineCallbacks
    def cancel(self) -> Steps[Told]:
        yield self.say(_command=b"rpc.cancel", id=b"1")
        answer: Told = yield self.answer()
        return answer


class Typed:
    """Typed, and told in lines for people: faults have no status of their own."""

    def __init__(self, host: MemoryHost) -> None:
        self.host = host
        self.line = host.lines("tcp:7074")

    @inlineCallbacks
    def send(self, name: str, arguments: dict[str, Any]) -> Steps[None]:
        yield self.line.received()
        words = [name, spoken(arguments)] if arguments else [name]
        yield self.line.send(" ".join(words))

    @inlineCallbacks
    def answer(self) -> Steps[Told]:
        lines = yield self.line.received()
        faults = [line[2:] for line in lines if line.startswith("! ")]
        if not faults:
            (line,) = lines
            results = {"* done": (200, None), "* cancelled": (499, None)}
            return told(*results.get(line, (200, line.removeprefix("= "))))
        if lines[-1].startswith("* help "):
            pairs = [
                dict(zip(("path", "problem"), each.split(": ", 1), strict=True))
                for each in faults
            ]
            return told(422, "; ".join(faults), pairs)
        message, _, status = lines[0][2:].rstrip(")").rpartition(" (")
        return told(int(status), message)

    @inlineCallbacks
    def cancel(self) -> Steps[Told]:
        yield self.line.send("stop")
        answer: Told = yield self.answer()
        return answer


#: Every transport.
FACES: tuple[Callable[[MemoryHost], Any], ...] = (
    Memory,
    Web,
    WebLines,
    Lines,
    Frames,
    Socket,
    Amp,
    Typed,
    Datagrams,
    PackedDatagrams,
)

#: Every end: what is called, how often, and after how many seconds it has an answer;
#: what the last caller is told, and how it is counted. ``None`` for a time is until it
#: is cancelled.
ENDS: tuple[tuple[str, dict[str, Any], int, float | None, Told, str], ...] = (
    (
        "house.enter",
        {"guest": {"name": "Ada"}, "doors": [1, 2]},
        1,
        0,
        Told(200, "Ada by [1, 2]"),
        "ok",
    ),
    ("house.knock", {}, 2, 0, Told(200, None), "ok"),
    (
        "house.enter",
        {"guest": {"name": "", "age": -1}, "door": 1},
        1,
        0,
        Told(
            422,
            "guest.name: expected text of 1 to 40 characters, got ''; "
            "guest.age: expected an integer of at least 0, got -1; "
            "door: unknown field; did you mean 'doors'?",
            (
                ("guest.name", "expected text of 1 to 40 characters, got ''"),
                ("guest.age", "expected an integer of at least 0, got -1"),
                ("door", "unknown field; did you mean 'doors'?"),
            ),
        ),
        "invalid",
    ),
    (
        "house.burn",
        {"what": "all"},
        1,
        0,
        Told(403, "you may not call 'house.burn': it takes 'house.burn'"),
        "forbidden",
    ),
    (
        "house.knock",
        {},
        3,
        0,
        Told(429, "'house.knock' was called too often; try again in 30.0 seconds"),
        "limited",
    ),
    (
        "house.wait",
        {},
        1,
        5,
        Told(504, "'house.wait' took more than 5 seconds, and was cancelled"),
        "timed out",
    ),
    ("house.wait", {}, 1, None, Told(499), "cancelled"),
    ("house.close", {}, 1, 0, Told(409, "the house is closed"), "refused"),
    ("house.fall", {}, 1, 0, Told(500), "failed"),
    ("house.odd", {}, 1, 0, Told(500), "failed"),
    (
        "house.ecco",
        {"text": "a"},
        1,
        0,
        Told(404, "there is no operation 'house.ecco'; did you mean 'house.echo'?"),
        "",
    ),
)


class TableTests(TestCase):
    """
    Every transport, and every end.
    """

    timeout = 60.0

    @inlineCallbacks
    def test_table(self) -> Steps[None]:
        """
        Each end is told alike on each transport, counted alike, and what has to be
        cancelled is.
        """
        for make in FACES:
            for name, arguments, times, seconds, expected, outcome in ENDS:
                offered = Callables()
                host = yield self.offer(offered)
                where = (make, name, expected.status)
                face = make(host)
                for _ in range(times):
                    yield face.send(name, arguments)
                    if seconds is None:
                        found = yield face.cancel()
                    else:
                        yield self.clock.advance(seconds)
                        found = yield face.answer()
                if make is Amp:
                    expected = evolve(expected, faults=())
                self.assertEqual(found, expected, where)
                self.assertEqual(offered.cancelled, int(bool(offered.waiting)), where)
                figures = host.operations.figures()
                counted = figures[name].outcomes if name in figures else {"": 1}
                self.assertIn(outcome, counted, where)
                logged = self.flushLoggedErrors()
                self.assertEqual(len(logged), int(expected.status == 500), where)
                yield host.stop()

    def offer(self, offered: Callables) -> Deferred[MemoryHost]:
        """Start a daemon."""

        def make(host: Any) -> Service:
            host.operations.add("house", offered)
            host.authorise(Knock())
            return Service()

        return self.start(Offering("house", "house", make=make), settings=SETTINGS)
