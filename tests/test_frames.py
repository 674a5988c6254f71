# -*- test-case-name: tests.test_frames -*-
"""
Binary frames over TCP.
"""

from __future__ import annotations

import ast
import struct
import sys
from collections.abc import Callable
from itertools import pairwise
from types import ModuleType
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import ClientFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import RopewalkError
from ropewalk.interfaces import IDrainable, Steps
from ropewalk.net.frames import FrameFactory, FrameProtocol
from ropewalk.testing import TestCase
from ropewalk.wire.frames import PREFIXES, FrameReader
from tests.visiting import blocks
from tests.wiring import Peer, connect


def framed(*frames: bytes, prefix: int = 4) -> bytes:
    """Frames as they are sent."""
    return b"".join(len(each).to_bytes(prefix, "big") + each for each in frames)


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    """Bytes, cut at these places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


class Echo(FrameProtocol):
    """
    Sends back what it hears, after what it is told to wait for.

    :ivar notes: What has happened.
    :ivar answers: What to do with a frame instead.
    """

    longest = 10
    idle = 60.0
    parting = 5.0

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(clock)
        self.notes: list[Any] = []
        self.ends: list[Deferred[None]] = []
        self.answers: dict[bytes, Callable[[], Any]] = {
            b"slow": self.wait,
            b"async": self.wait_longer,
            b"bad": self.fail,
            b"worse": lambda: 1 / 0,
            b"quit": lambda: self.leave(b"bye"),
        }

    def heard(self, frame: bytes) -> Any:
        self.notes.append(frame)
        return self.answers.get(frame, lambda: self.send(frame))()

    def closed(self) -> None:
        self.notes.append("closed")

    def wait(self) -> Deferred[None]:
        self.ends.append(Deferred())
        return self.ends[-1].addCallback(lambda _: self.send(b"slow"))

    async def wait_longer(self) -> None:
        await self.wait()
        await self.wait()

    def fail(self) -> None:
        raise RopewalkError("no")


class Plaintive(Echo):
    """Tells what is wrong, and goes on."""

    def complain(self, error: RopewalkError) -> None:
        self.send(f"! {error}".encode())

    def goodbye(self, reason: str) -> bytes:
        return f"* {reason}".encode()


class FrameTestCase(SynchronousTestCase):
    """
    An echo at one end and a peer at the other.
    """

    make: type[Echo] = Echo

    def setUp(self) -> None:
        self.clock = Clock()
        self.echo = self.make(self.clock)
        self.peer: Peer = connect(self.clock, self.echo)

    def send(self, *pieces: bytes) -> bytes:
        """Send, and give what is answered."""
        for piece in pieces:
            self.peer.transport.write(piece)
            self.clock.advance(0)
        return self.received()

    def received(self) -> bytes:
        heard, self.peer.heard = self.peer.heard, b""
        return heard

    def fire(self) -> None:
        """End the oldest wait."""
        self.echo.ends.pop(0).callback(None)
        self.clock.advance(0)


class HearingTests(FrameTestCase):
    """
    What is heard of the bytes that come.
    """

    def test_interfaces(self) -> None:
        """
        It can say goodbye, and hear out a peer that has stopped talking.
        """
        self.assertTrue(verifyObject(IDrainable, self.echo))
        self.assertTrue(verifyObject(IHalfCloseableProtocol, self.echo))

    def test_frames(self) -> None:
        """
        A frame is as long as it says, and may be empty; what is not all there is no
        frame yet.
        """
        self.assertEqual(
            self.send(b"\0\0\0\3one\0\0\0\0\0\0\0\4t", b"w\0o\0\0", b"\0\5thre"),
            framed(b"one", b"", b"tw\0o"),
        )
        self.assertEqual(self.send(b"e"), framed(b"three"))

    def test_prefixes(self) -> None:
        """
        A length takes 1, 2 or 4 bytes, and says no more than that many can.
        """
        for prefix, frame in ((1, b"x" * 255), (2, b"x" * 256), (4, b"x" * 65536)):
            self.make = type("Prefixed", (Echo,), {"prefix": prefix, "longest": 10**6})
            self.setUp()
            data = framed(frame, b"", prefix=prefix)
            self.assertEqual(self.send(*chunks(data, [1, prefix, 99])), data)
        for prefix in (1, 2):
            self.make = type("Prefixed", (Echo,), {"prefix": prefix})
            self.setUp()
            with self.assertRaises(ValueError) as caught:
                self.echo.send(b"x" * 256**prefix)
            self.assertEqual(
                str(caught.exception),
                f"{prefix} bytes cannot tell a length of {256**prefix}",
            )
        with self.assertRaises(ValueError) as caught:
            type("Prefixed", (Echo,), {"prefix": 3})(self.clock)
        self.assertEqual(str(caught.exception), "a length takes 1, 2 or 4 bytes, not 3")

    def test_too_long(self) -> None:
        """
        A frame that is too long ends the conversation as soon as that is known, after
        those before it have been answered.
        """
        answer = self.send(framed(b"slow", b"x" * 10) + b"\0\0\0\13")
        self.assertEqual(answer, b"")
        self.fire()
        self.assertEqual(self.received(), framed(b"slow", b"x" * 10))
        self.assertIsInstance(self.peer.reason, ConnectionDone)
        self.assertEqual(self.echo.notes, [b"slow", b"x" * 10, "closed"])

    def test_another_protocol(self) -> None:
        """
        So does one who speaks something else.
        """
        self.send(b"GET / HTTP/1.1\r\n\r\n")
        self.assertIsInstance(self.peer.reason, ConnectionDone)

    @settings(max_examples=300, deadline=None, database=None)
    @given(
        st.sampled_from(sorted(PREFIXES)),
        st.lists(
            st.one_of(
                st.sampled_from([b"slow", b"async", b"bad", b"worse", b"quit"]),
                st.binary(max_size=12),
            ),
            max_size=20,
        ),
        st.binary(max_size=6),
        st.lists(st.integers(0, 300), max_size=12),
        st.lists(st.booleans(), max_size=12),
        st.sampled_from([1, 2, 64]),
    )
    @example(4, [b"x" * 11, b"next"], b"", [], [], 1)
    def test_model(
        self,
        prefix: int,
        frames: list[bytes],
        rest: bytes,
        cuts: list[int],
        fires: list[bool],
        ahead: int,
    ) -> None:
        """
        However frames come, and however long each answer takes, the conversation is
        the one that comes of answering them one by one.
        """
        self.make = type("Prefixed", (Plaintive,), {"prefix": prefix})
        self.setUp()
        self.echo._turns.ahead = ahead
        data = framed(*frames, prefix=prefix) + rest
        for index, piece in enumerate(chunks(data, cuts)):
            self.peer.transport.write(piece)
            self.clock.advance(0)
            if self.echo.ends and fires[index : index + 1] == [True]:
                self.fire()
        while self.echo.ends:
            self.fire()
        heard, said, ended = model(data, prefix)
        self.assertEqual(self.received(), said)
        self.assertEqual(self.echo.notes, [*heard] + ["closed"] * ended)
        self.flushLoggedErrors(ZeroDivisionError)


def model(data: bytes, prefix: int) -> tuple[list[bytes], bytes, bool]:
    """
    How frames are heard and answered, slowly and obviously.

    :return: the frames, the answers, and whether the conversation is over.
    """
    heard: list[bytes] = []
    said: list[bytes] = []
    while len(data) >= prefix:
        length = int.from_bytes(data[:prefix], "big")
        if length > Echo.longest:
            said.append(b"! that frame is too long: %d bytes, of 10 at most" % length)
            return heard, framed(*said, prefix=prefix), True
        if len(data) < prefix + length:
            break
        frame, data = data[prefix : prefix + length], data[prefix + length :]
        heard.append(frame)
        said += {
            b"async": [b"slow", b"slow"],
            b"bad": [b"! no"],
            b"worse": [b"! something went wrong here; it is in our log"],
            b"quit": [b"bye"],
        }.get(frame, [frame])
        if frame == b"quit":
            return heard, framed(*said, prefix=prefix), True
    return heard, framed(*said, prefix=prefix), False


class AnsweringTests(FrameTestCase):
    """
    Errors, limits and ends.
    """

    def test_errors(self) -> None:
        """
        Who is wrong is let go, unless the protocol has a way to say so; anything
        unforeseen is logged.
        """
        for frame, logged in ((b"bad", 0), (b"worse", 1)):
            self.setUp()
            self.assertEqual(self.send(framed(b"a", frame, b"b")), framed(b"a"))
            self.assertIsInstance(self.peer.reason, ConnectionDone)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), logged)
        self.make = Plaintive
        self.setUp()
        self.assertEqual(
            self.send(framed(b"a", b"bad", b"b")), framed(b"a", b"! no", b"b")
        )

    def test_at_once(self) -> None:
        """
        What is sent while frames are heard is written when all of them are that have
        come at once; what is sent at another time, at once.
        """
        wire = StringTransport()
        written: list[bytes] = []
        wire.write = written.append  # type: ignore[method-assign]
        echo = Echo(self.clock)
        echo.makeConnection(wire)
        echo.dataReceived(framed(b"a", b"b", b"c"))
        echo.dataReceived(framed(b"d"))
        echo.send(b"e")
        self.assertEqual(
            written, [framed(b"a", b"b", b"c"), framed(b"d"), framed(b"e")]
        )

    def test_not_too_much(self) -> None:
        """
        Up to 64 KiB, about; a peer that does not read is cut off at a limit.
        """
        self.echo.answers[b"more"] = lambda: self.echo.send(b"x" * 65536)
        self.peer.transport.pauseProducing()
        self.peer.transport.write(framed(*[b"more"] * 100))
        self.clock.advance(0)
        self.assertEqual(self.echo.notes, [b"more"] * 5 + ["closed"])

    def test_waiting_frames_are_bounded(self) -> None:
        """
        When too many frames wait for an answer, the rest stays where it came from,
        and is heard later.
        """
        frames = [b"%d" % number for number in range(20_000)]
        self.send(framed(b"slow", *frames))
        self.assertEqual(len(self.echo._turns._waiting), Echo.ahead + 1)
        self.assertLess(len(self.echo._unheard), 70_000)
        self.fire()
        self.assertEqual(self.echo.notes, [b"slow", *frames])

    def test_what_can_be_sent(self) -> None:
        """
        Whatever is bytes can be sent, and is as it was then.
        """
        frame = bytearray(b"abc")
        for each in (frame, memoryview(frame)[1:]):
            self.echo.send(each)
        frame[:] = b"xyz"
        self.clock.advance(0)
        self.assertEqual(self.received(), framed(b"abc", b"bc"))
        for thing in ("text", 5, None):
            with self.assertRaises(TypeError):
                self.echo.send(thing)  # type: ignore[arg-type]
        self.clock.advance(0)
        self.assertEqual(self.received(), b"")

    def test_silence(self) -> None:
        """
        A peer silent for ``idle`` seconds is let go: frames count, bytes do not.
        """
        for _ in range(3):
            self.clock.advance(59)
            self.send(framed(b"a"))
        self.send(b"\0\0")
        self.clock.advance(60)
        self.assertEqual(self.received(), b"")
        self.assertIsInstance(self.peer.reason, ConnectionDone)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_parting(self) -> None:
        """
        A peer that does not read its last frames is cut off after a while.
        """
        self.peer.transport.pauseProducing()
        self.echo.send(b"x" * 100_000)
        self.echo.leave(b"bye")
        self.echo.send(b"never")
        self.clock.advance(4.9)
        self.assertEqual(self.echo.notes, [])
        self.clock.advance(0.1)
        self.assertEqual(self.echo.notes, ["closed"])

    def test_drain(self) -> None:
        """
        Whoever says goodbye finishes the answer first, and begins no other. The last
        frame is up to the protocol.
        """
        for make, goodbye in ((Echo, b""), (Plaintive, framed(b"* shutting down"))):
            self.make = make
            self.setUp()
            self.send(framed(b"slow", b"next"))
            self.echo.drain("shutting down")
            self.fire()
            self.assertEqual(self.received(), framed(b"slow") + goodbye)
            self.assertIsInstance(self.peer.reason, ConnectionDone)

    def test_half_closed(self) -> None:
        """
        A peer that has said its last is answered, and let go then; half a frame is no
        frame.
        """
        self.peer.transport.write(framed(b"slow", b"a") + b"\0\0\0\5half")
        self.peer.transport.loseWriteConnection()
        self.clock.advance(0)
        self.fire()
        self.assertEqual(self.received(), framed(b"slow", b"a"))
        self.assertIsInstance(self.peer.reason, ConnectionDone)

    def test_arguments(self) -> None:
        """
        Each connection has a protocol, made with the arguments that the factory was.
        """
        factory = FrameFactory(Echo, clock=self.clock)
        echo = factory.buildProtocol(None)
        self.assertIsNot(echo, factory.buildProtocol(None))
        self.assertIs(echo.factory, factory)


class ReaderTests(SynchronousTestCase):
    """
    Frames are found in bytes, however long they are.
    """

    @settings(max_examples=100, deadline=None, database=None)
    @given(
        st.lists(st.sampled_from([0, 1, 255, 256, 5000, 70_000]), max_size=12),
        st.lists(st.integers(0, 10**6), max_size=20),
        st.integers(1, 20),
    )
    def test_long_and_many(self, sizes: list[int], cuts: list[int], most: int) -> None:
        """
        They are the frames there are, however they were cut, and however many are
        taken at once; nothing is left.
        """
        frames = [bytes([size % 251]) * size for size in sizes]
        reader, found = FrameReader(PREFIXES[4]), []
        for piece in chunks(framed(*frames), cuts):
            frame = reader.lone(piece, 70_000)
            if frame is not None:
                found.append(frame)
                continue
            reader.feed(piece)
            while reader.more:
                taken, error = reader.take(most, 70_000)
                self.assertIsNone(error)
                self.assertLessEqual(len(taken), most)
                found += taken
        self.assertEqual(found, frames)
        self.assertEqual(len(reader), 0)

    def test_what_waits(self) -> None:
        """
        What comes while earlier frames wait, or half of one, waits behind them, even
        if it looks like one.
        """
        reader = FrameReader(PREFIXES[1])
        reader.feed(b"\1a\1b\3c")
        self.assertEqual(reader.take(1, 9), ([b"a"], None))
        self.assertIsNone(reader.lone(b"\1d", 9))
        reader.feed(b"\1d")
        self.assertEqual(reader.take(9, 9), ([b"b", b"c\1d"], None))
        reader.feed(b"\3e")
        self.assertEqual(reader.take(9, 9), ([], None))
        self.assertIsNone(reader.lone(b"\1f", 9))
        reader.feed(b"\1f")
        self.assertEqual(reader.take(9, 9), ([b"e\1f"], None))

    def test_lost(self) -> None:
        """
        After a frame that is too long nothing is found, and nothing kept.
        """
        reader = FrameReader(PREFIXES[1])
        reader.feed(b"\1a\5")
        frames, error = reader.take(9, 4)
        self.assertEqual(frames, [b"a"])
        self.assertEqual(str(error), "that frame is too long: 5 bytes, of 4 at most")
        self.assertIsNone(reader.lone(b"\1b", 4))
        reader.feed(b"\1b")
        self.assertFalse(reader.more)
        self.assertEqual(len(reader), 0)


class PageTests(TestCase):
    """
    The page about protocols does what it says.
    """

    @inlineCallbacks
    def test_words(self) -> Steps[None]:
        """
        Its first service echoes lines and messages.
        """
        host = yield self.start(self.module(0))
        lines = host.lines("tcp:7007")
        yield lines.send("hello")
        self.assertEqual((yield lines.received()), ["* say something", "hello"])
        socket = host.socket("/echo")
        yield socket.send("hello")
        self.assertEqual((yield socket.receive()), "hello")

    @inlineCallbacks
    def test_frames(self) -> Steps[None]:
        """
        Its second one echoes frames, and is asked as it says.
        """
        host = yield self.start(self.module(1))
        peer = Peer()
        factory = ClientFactory.forProtocol(lambda: peer)
        yield host.endpoint("tcp:7008").connect(factory)
        (session,) = blocks("protocols", "pycon")
        peer.transport.write(struct.pack("!I", 5) + b"hello")
        yield self.clock.settle()
        self.assertEqual(peer.heard, ast.literal_eval(session.splitlines()[-1]))
        status = yield host.stop()
        self.assertIsInstance(peer.reason, ConnectionDone)
        self.assertEqual(status, 0)

    def module(self, index: int) -> ModuleType:
        """A service of the page."""
        module = ModuleType(f"echo{index}")
        module.__file__ = "protocols.rst"
        sys.modules[module.__name__] = module
        self.addCleanup(sys.modules.pop, module.__name__)
        source = blocks("protocols", "python")[index]
        exec(compile(source, module.__file__, "exec"), vars(module))
        return module
