# -*- test-case-name: tests.test_protocols -*-
"""
Text lines over TCP.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import Fault, Invalid, RopewalkError
from ropewalk.interfaces import IDrainable, Steps
from ropewalk.net.protocols import LineFactory, LineProtocol
from ropewalk.telemetry import Work, working
from ropewalk.wire import plain
from ropewalk.wire.lines import LineReader
from tests.observing import Observed
from tests.wiring import Peer, connect


class Scribe(LineProtocol):
    """
    Writes down what happens, and answers what it is told to.

    :ivar answers: What to do with a line, by its first word.
    """

    longest = 10
    idle = 60.0
    parting = 5.0

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(clock)
        self.notes: list[Any] = []
        self.answers: dict[str, Callable[[], Any]] = {}

    def opened(self) -> Any:
        self.notes.append("opened")
        return self.answers.get("opened", lambda: None)()

    def heard(self, line: str) -> Any:
        self.notes.append(line)
        return self.answers.get(line, lambda: None)()

    def closed(self) -> Any:
        self.notes.append("closed")
        return self.answers.get("closed", lambda: None)()


class LineTestCase(SynchronousTestCase):
    """
    A scribe at one end and a peer at the other.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.scribe = Scribe(self.clock)
        self.peer = self.connect()

    def connect(self) -> Peer:
        peer: Peer = connect(self.clock, self.scribe)
        return peer

    def send(self, *pieces: bytes) -> str:
        """Send, and give what is answered."""
        for piece in pieces:
            self.peer.transport.write(piece)
            self.clock.advance(0)
        return self.peer.said()

    def slow(self, word: str) -> Deferred[None]:
        """Have a line answered when the Deferred fires."""
        end: Deferred[None] = Deferred()
        self.scribe.answers[word] = lambda: end
        return end

    def fire(self, end: Deferred[None]) -> None:
        end.callback(None)
        self.clock.advance(0)


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    """Bytes, cut at these places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


#: The line that is answered, as the answer knows.
CURRENT: ContextVar[str] = ContextVar("CURRENT", default="")

#: Bytes in which what matters to lines comes often.
BYTES = st.lists(
    st.one_of(
        st.sampled_from(
            [b"\n", b"\r\n", b"\r", b"/quit\n", b"slow\n", b"bad\n", b"\xff"]
        ),
        st.sampled_from([b"0123456789", "é€".encode(), b"\x00\x1b[2J", b"x" * 25]),
        st.binary(max_size=6),
    ),
    max_size=12,
).map(b"".join)


class HearingTests(LineTestCase):
    """
    What is heard of the bytes that come.
    """

    def test_interfaces(self) -> None:
        """
        It can say goodbye, and hear out a peer that has stopped talking.
        """
        self.assertTrue(verifyObject(IDrainable, self.scribe))
        self.assertTrue(verifyObject(IHalfCloseableProtocol, self.scribe))

    def test_lines(self) -> None:
        """
        Lines end with LF or CRLF and may be empty; what has no end is no line yet.
        """
        self.send(b"one\ntwo\r\n\n\r\nth", b"ree\nfo")
        self.assertEqual(self.scribe.notes[1:], ["one", "two", "", "", "three"])

    def test_only_the_end_is_taken_off(self) -> None:
        """
        A carriage return inside a line, or a second one at its end, belongs to it.
        """
        self.send(b"a\rb\n", b"c\r\r\n", b"\r", b"d\n")
        self.assertEqual(self.scribe.notes[1:], ["a\rb", "c\r", "\rd"])

    def test_the_longest_line(self) -> None:
        """
        The longest line is heard, whatever its end; one byte more, and it is not.
        """
        whole = b"0123456789"
        self.assertEqual(self.send(whole + b"\n" + whole + b"\r\n"), "")
        self.assertEqual(self.send(whole, b"\r", b"\n"), "")
        self.assertEqual(self.scribe.notes[1:], [whole.decode()] * 3)
        answer = "! that line is too long: at most 10 bytes\n"
        for piece in (whole + b"x\n", whole + b"x\r\n", whole + b"\r\r\n"):
            self.assertEqual(self.send(piece), answer)
            self.assertEqual(self.send(*chunks(piece, [10, 11, 12])), answer)
        self.assertEqual(self.send(b"next\n"), "")
        self.assertEqual(self.scribe.notes[4:], ["next"])

    def test_too_long(self) -> None:
        """
        A line that is too long is complained of once, as soon as that is known,
        and skipped up to its end, but not the line after it.
        """
        self.assertEqual(
            self.send(b"x" * 11), "! that line is too long: at most 10 bytes\n"
        )
        for _ in range(100):
            self.assertEqual(self.send(b"x" * 1000), "")
            self.assertEqual(len(self.scribe._unheard), 0)
        self.assertEqual(self.send(b"x\nnext\n"), "")
        self.assertEqual(self.scribe.notes, ["opened", "next"])

    def test_not_utf8(self) -> None:
        """
        What is no UTF-8 is told by its first wrong byte, and the next line heard.
        """
        self.assertEqual(
            self.send(b"ab\xffc\n\xc3\nnext\n"),
            "! that is not UTF-8: byte 3 of the line\n"
            "! that is not UTF-8: byte 1 of the line\n",
        )
        self.assertEqual(self.scribe.notes, ["opened", "next"])

    def test_characters_cut_in_two(self) -> None:
        """
        A character is whole, wherever TCP cut it.
        """
        self.send(*(bytes([byte]) for byte in "é€😀\n".encode()))
        self.assertEqual(self.scribe.notes[1:], ["é€😀"])

    def test_nothing(self) -> None:
        """
        No bytes are no line.
        """
        for piece in (b"", b"a", b"", b"\n", b""):
            self.scribe.dataReceived(piece)
        self.assertEqual(self.scribe.notes, ["opened", "a"])

    def test_telnet(self) -> None:
        """
        What a telnet client sends besides text is complained of (Ctrl-C: IAC IP,
        IAC DO TM; RFC 854) or heard as it is (control characters).
        """
        self.assertEqual(
            self.send(b"\xff\xf4\xff\xfd\x06\r\n"),
            "! that is not UTF-8: byte 1 of the line\n",
        )
        self.send(b"a\x08\x1b[A\x00\r\n")
        self.assertEqual(self.scribe.notes[1:], ["a\x08\x1b[A\x00"])

    @settings(max_examples=150, deadline=None, database=None)
    @given(BYTES, st.lists(st.integers(0, 300), max_size=12))
    @example(b"0123456789\r\n", [10])
    @example(b"0123456789\rx\n", [11])
    @example(b"01234567890\nnext\n", [11])
    @example(b"/quit\nmore\n", [6])
    def test_any_bytes_in_any_pieces(self, data: bytes, cuts: list[int]) -> None:
        """
        The conversation is the same wherever TCP cut what was sent.
        """
        self.assertEqual(self.converse([data]), self.converse(chunks(data, cuts)))

    def converse(self, pieces: list[bytes]) -> tuple[str, list[Any]]:
        """All that is said, and all that is heard."""
        self.setUp()
        ends: list[Deferred[None]] = []

        def slow() -> Deferred[None]:
            end: Deferred[None] = Deferred()
            end.addCallback(lambda _: self.scribe.say("done"))
            ends.append(end)
            return end

        def bad() -> None:
            raise RopewalkError("no")

        self.scribe.answers = {"/quit": self.scribe.leave, "slow": slow, "bad": bad}
        said = self.send(*pieces)
        while ends:
            self.fire(ends.pop(0))
            said += self.peer.said()
        self.peer.transport.loseConnection()
        self.clock.advance(0)
        return said + self.peer.said(), self.scribe.notes


class AnsweringTests(LineTestCase):
    """
    One line after the other.
    """

    def test_opened_first(self) -> None:
        """
        A line waits until the opening has come to its end.
        """
        self.scribe = Scribe(self.clock)
        end = self.slow("opened")
        self.peer = self.connect()
        self.send(b"one\n")
        self.assertEqual(self.scribe.notes, ["opened"])
        self.fire(end)
        self.assertEqual(self.scribe.notes, ["opened", "one"])

    def test_order(self) -> None:
        """
        Lines are answered in the order in which they came, those nobody could
        hear too, however long an answer takes.
        """
        end = self.slow("slow")
        end.addCallback(lambda _: self.scribe.say("slowly"))
        self.scribe.answers["next"] = lambda: self.scribe.say("fast")
        self.assertEqual(self.send(b"slow\n\xff\nnext\n", b"x" * 11), "")
        self.fire(end)
        self.assertEqual(
            self.peer.said(),
            "slowly\n"
            "! that is not UTF-8: byte 1 of the line\n"
            "fast\n"
            "! that line is too long: at most 10 bytes\n",
        )

    def test_waiting_lines_are_bounded(self) -> None:
        """
        When too many lines wait for an answer, the rest stays where it came from,
        and is heard later, in order.
        """
        lines = [str(number) for number in range(60_000)]
        self.send_many(["slow", *lines[:5000], "wait", *lines[5000:]])
        for word, count in (("slow", 2), ("wait", 5003)):
            self.assertEqual(len(self.scribe.notes), count)
            self.assertEqual(len(self.scribe._turns._waiting), 5)
            self.assertLess(len(self.scribe._unheard), 70_000)
            self.assertGreater(len(self.peer.transport._out), 80_000)
            self.fire(self.ends[word])
        self.assertEqual(
            self.scribe.notes,
            ["opened", "slow", *lines[:5000], "wait", *lines[5000:]],
        )

    def test_who_cannot_wait(self) -> None:
        """
        Nor do more of them wait when a transport goes on bringing them.
        """
        self.send_many(["slow"])
        for _ in range(100):
            self.scribe.dataReceived(b"line\n")
        self.assertEqual(len(self.scribe._turns._waiting), 5)
        self.fire(self.ends["slow"])
        self.assertEqual(self.scribe.notes, ["opened", "slow"] + ["line"] * 100)

    def test_the_rest_of_a_piece(self) -> None:
        """
        What came with the lines that made the peer wait is heard without anything
        more coming.
        """
        lines = [str(number) for number in range(20)]
        self.send_many(["slow", *lines])
        self.fire(self.ends["slow"])
        self.assertEqual(self.scribe.notes, ["opened", "slow", *lines])

    def send_many(self, lines: list[str]) -> None:
        """Send lines at once to somebody who does not let many wait."""
        self.scribe = Scribe(self.clock)
        self.scribe._turns.ahead = 4
        self.ends = {word: self.slow(word) for word in ("slow", "wait")}
        self.peer = self.connect()
        self.send("".join(f"{line}\n" for line in lines).encode())

    def test_errors(self) -> None:
        """
        What is wrong is told in a line; anything unforeseen is logged, and told in
        a line that gives nothing away.
        """

        def invalid() -> None:
            raise Invalid((Fault("author", "too long"), Fault("text", "missing")))

        @inlineCallbacks
        def fall() -> Steps[None]:
            yield None
            raise ZeroDivisionError("secret")

        self.scribe.answers.update(invalid=invalid, fall=fall)
        self.assertEqual(
            self.send(b"invalid\nfall\nnext\n"),
            "! author: too long; text: missing\n"
            "! something went wrong here; it is in our log\n",
        )
        self.assertEqual(self.scribe.notes[-1], "next")
        [failure] = self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(failure.getErrorMessage(), "secret")

    def test_other_words(self) -> None:
        """
        A protocol may complain in its own words.
        """

        class Blunt(Scribe):
            def complain(self, error: RopewalkError) -> None:
                self.say(f"ERR {error.status}")

        self.scribe = Blunt(self.clock)
        self.peer = self.connect()
        self.assertEqual(self.send(b"\xff\n"), "ERR 500\n")

    def test_whose_work(self) -> None:
        """
        A line that waited is answered under the name of its connection, whoever
        ended the wait.
        """
        end = self.slow("slow")
        observed = Observed.during(self)
        self.scribe.answers["log"] = lambda: self.scribe._log.info("here")
        with working(connection="c1"):
            self.scribe.dataReceived(b"slow\nlog\n")
        with working(connection="c2"):
            self.fire(end)
        self.assertEqual(observed.works, [Work(connection="c1")])


class SayingTests(LineTestCase):
    """
    What is said arrives as lines.
    """

    def said(self, line: str) -> str:
        self.scribe.say(line)
        self.clock.advance(0)
        return self.peer.said()

    def test_lines(self) -> None:
        """
        What has line breaks in it is several lines; no line is an empty one. Only
        the first begins where a line begins.
        """
        self.assertEqual(self.said("é€"), "é€\n")
        self.assertEqual(self.said("a\nb\r\nc"), "a\n    b\n    c\n")
        self.assertEqual(self.said(""), "\n")

    def test_control_characters(self) -> None:
        """
        What would move the cursor of a terminal is shown instead; a tabulator is
        sent, and so is everything if the protocol wants it.
        """
        evil = "\x1b[2J\rGrace: \x00\x07\x7f\x9b\tyes"
        self.assertEqual(
            self.said(evil), "\\x1b[2J\\x0dGrace: \\x00\\x07\\x7f\\x9b\tyes\n"
        )
        self.scribe.plain = False
        self.assertEqual(self.said(evil), evil + "\n")

    def test_each_control_character(self) -> None:
        """
        Each of them is shown, alone and among other text; none that is harmless is.
        """
        for number in (*range(0x20), *range(0x7F, 0xA0)):
            character = chr(number)
            if character not in "\t\n":
                for before, after in (("", ""), ("é", "£")):
                    self.assertEqual(
                        self.said(before + character + after),
                        f"{before}\\x{number:02x}{after}\n",
                    )
        harmless = "".join(map(chr, [9, *range(0x20, 0x7F), *range(0xA0, 0x800)]))
        self.assertEqual(self.said(harmless), harmless + "\n")

    def test_what_is_no_line(self) -> None:
        """
        Who says something else is told so, at once.
        """
        for thing in (b"bytes", 5, None, ["list"]):
            with self.assertRaises(TypeError) as caught:
                self.scribe.say(thing)  # type: ignore[arg-type]
            self.assertEqual(
                str(caught.exception),
                f"a line is a str, not {type(thing).__name__}",
            )
        self.assertEqual(self.said("a"), "a\n")

    def test_what_is_no_text(self) -> None:
        """
        Half of a character, as JSON may contain one, harms nobody.
        """
        self.assertEqual(self.said("a\ud800b"), "a?b\n")

    def test_leave(self) -> None:
        """
        Whoever is let go has all that was said, and nothing after that. What was
        heard and waits is not answered any more.
        """
        long = "x" * 1_000_000

        def leave() -> None:
            self.scribe.say(long)
            self.scribe.leave("goodbye")
            self.scribe.say("never")
            self.scribe.leave("never")

        self.scribe.answers["/quit"] = leave
        self.assertEqual(self.send(b"/quit\nmore\n"), f"{long}\ngoodbye\n")
        self.assertIsInstance(self.peer.reason, ConnectionDone)
        self.assertEqual(self.scribe.notes, ["opened", "/quit", "closed"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_leave_without_a_word(self) -> None:
        """
        One may leave without saying so.
        """
        self.scribe.leave()
        self.clock.advance(0)
        self.assertEqual(self.peer.said(), "")
        self.assertIsInstance(self.peer.reason, ConnectionDone)

    def test_who_closes_without_leave(self) -> None:
        """
        A handler that closes the connection itself has had its say as well.
        """

        def close() -> None:
            self.scribe.say("bye")
            transport: Any = self.scribe.transport
            transport.unregisterProducer()
            transport.loseConnection()

        self.scribe.answers["close"] = close
        self.assertEqual(self.send(b"close\n"), "bye\n")
        self.assertIsInstance(self.peer.reason, ConnectionDone)

    def test_who_does_not_take_leave(self) -> None:
        """
        A peer that does not read its last lines is cut off after a while.
        """
        self.peer.transport.pauseProducing()
        self.scribe.leave("x" * 100_000)
        for _ in range(4):
            self.clock.advance(1.2)
            self.scribe.dataReceived(b"line\n")
        self.assertEqual(self.scribe.notes, ["opened"])
        self.clock.advance(0.3)
        self.assertEqual(self.scribe.notes, ["opened", "closed"])
        self.peer.transport.resumeProducing()
        self.clock.advance(0)
        self.assertIsInstance(self.peer.reason, ConnectionLost)

    def test_unsent(self) -> None:
        """
        A peer that does not read is cut off when too much waits for it; nothing
        is said to it after that.
        """
        self.peer.transport.pauseProducing()
        line = "x" * 1023
        for _ in range(65 + 256):
            self.scribe.say(line)
        self.clock.advance(0)
        self.assertEqual(self.scribe.notes, ["opened"])
        for _ in range(10):
            self.scribe.say(line)
        self.clock.advance(0)
        self.assertEqual(self.scribe.notes, ["opened", "closed"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_reads_at_last(self) -> None:
        """
        A peer that is slow, but reads, hears everything.
        """
        for _ in range(5):
            self.peer.transport.pauseProducing()
            self.scribe.say("x" * 200_000)
            self.scribe.say("y" * 200_000)
            self.clock.advance(0)
            self.peer.transport.resumeProducing()
            self.clock.advance(0)
        self.assertEqual(len(self.peer.said()), 5 * 400_002)
        self.assertIsNone(self.peer.reason)


class Wire(StringTransport):
    """
    A transport that is watched.

    :ivar written: What was written, a piece for each time.
    """

    def __init__(self) -> None:
        super().__init__(lenient=True)
        self.written: list[str] = []

    def write(self, data: bytes) -> None:
        self.written.append(data.decode("utf-8"))

    def loseConnection(self) -> None:
        self.written.append("lost")

    def abortConnection(self) -> None:
        self.written.append("cut")


class WritingTests(SynchronousTestCase):
    """
    What is said while lines are heard is written when they have been, all at once.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.scribe = Scribe(self.clock)
        self.wire = Wire()
        self.scribe.makeConnection(self.wire)

    def saying(self, line: str, then: Callable[[], Any] | None = None) -> Any:
        """What says something, and does something then."""

        def say() -> Any:
            self.scribe.say(line)
            return then and then()

        return say

    def fall(self) -> None:
        raise RopewalkError("no")

    def test_at_once(self) -> None:
        """
        Lines that come at once are answered at once; those that came before them and
        have no answer yet, later.
        """
        end: Deferred[None] = Deferred()
        self.scribe.answers = {
            "a": self.saying("A"),
            "slow": lambda: end.addCallback(lambda _: self.scribe.say("SLOW")),
        }
        for piece in (b"a\na\n\xff\na\n", b"a\n", b"a\na\nslow\na\na\n", b"a\n"):
            self.scribe.dataReceived(piece)
        self.assertEqual(
            self.wire.written,
            ["A\nA\n! that is not UTF-8: byte 1 of the line\nA\n", "A\n", "A\nA\n"],
        )
        end.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.wire.written[3:], ["SLOW\n", "A\n", "A\n", "A\n"])

    def test_errors(self) -> None:
        """
        It is no matter whether an answer is an error.
        """
        self.scribe.answers = {
            "bad": self.saying("so far", self.fall),
            "worse": self.saying("so far", lambda: 1 / 0),
        }
        self.scribe.dataReceived(b"bad\nworse\n")
        self.scribe.dataReceived(b"bad\n")
        self.assertEqual(
            self.wire.written,
            [
                "so far\n! no\nso far\n! something went wrong here; it is in our log\n",
                "so far\n! no\n",
            ],
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_before_the_end(self) -> None:
        """
        What was said is written before the connection is closed.
        """
        self.scribe.answers = {
            "a": self.saying("A"),
            "/quit": self.saying("B", lambda: self.scribe.leave("bye")),
        }
        self.scribe.dataReceived(b"a\n/quit\na\n")
        self.assertEqual(self.wire.written, ["A\nB\nbye\n", "lost"])

    def test_outside(self) -> None:
        """
        What is said at other times is written at once.
        """
        self.scribe.say("one")
        self.scribe.dataReceived(b"line\n")
        self.scribe.say("two")
        self.scribe.say("three")
        self.assertEqual(self.wire.written, ["one\n", "two\n", "three\n"])

    def test_of_many(self) -> None:
        """
        However many lines come at once.
        """
        self.scribe.answers = {"a": self.saying("A")}
        self.scribe.dataReceived(b"a\n" * 10_000)
        self.assertEqual(self.wire.written, ["A\n" * 10_000])

    def test_not_too_much(self) -> None:
        """
        Up to 64 KiB, about; more is written as it is said. So a peer that does not
        read cannot have much gathered for it.
        """
        self.scribe.answers = {"a": self.saying("x" * 30_000)}
        self.scribe.dataReceived(b"a\n" * 4)
        self.assertEqual([len(each) for each in self.wire.written], [90_003, 30_001])
        self.wire.written.clear()
        producer: Any = self.wire.producer
        producer.pauseProducing()
        self.scribe.dataReceived(b"a\n" * 64)
        self.assertEqual([len(each) for each in self.wire.written], [90_003] * 2 + [3])
        self.assertEqual(self.scribe.notes.count("a"), 4 + 9)

    def test_plain_for_a_while(self) -> None:
        """
        Whoever sends control characters for once does so for no other line.
        """

        def paint() -> None:
            self.scribe.say("\x1b")
            self.scribe.plain = False
            self.scribe.say("\x1b")
            self.scribe.plain = True
            self.scribe.say("\x1b")

        self.scribe.answers = {"paint": paint}
        self.scribe.dataReceived(b"paint\n")
        self.assertEqual("".join(self.wire.written), "\\x1b\n\x1b\n\\x1b\n")

    def test_from_inside(self) -> None:
        """
        A handler may bring more data about; it is heard after what came before.
        """
        self.scribe.answers = {
            "a": self.saying("A", lambda: self.scribe.dataReceived(b"c\nd")),
            "b": self.saying("B", lambda: self.scribe.dataReceived(b"\n")),
            "c": self.saying("C"),
            "e": self.saying("E", lambda: self.scribe.dataReceived(b"c\n")),
        }
        self.scribe.dataReceived(b"e\n")
        self.scribe.dataReceived(b"a\n")
        self.scribe.dataReceived(b"b\na\nb\n")
        self.assertEqual(self.scribe.notes, "opened e c a c db a b c d".split())
        self.assertEqual(self.wire.written, ["E\nC\n", "A\nC\n", "A\nB\nC\n"])


class EndTests(LineTestCase):
    """
    Conversations end.
    """

    def test_the_end_comes_meanwhile(self) -> None:
        """
        A peer may say its last, or be gone, while a line of it is heard.
        """
        for lines in (b"last\n", b"last\nmore\n"):
            transport, scribe = StringTransport(), Scribe(self.clock)
            scribe.answers["last"] = scribe.readConnectionLost
            scribe.makeConnection(transport)
            scribe.dataReceived(lines)
            self.assertTrue(transport.disconnecting)
            scribe = Scribe(self.clock)
            scribe.answers["last"] = scribe.connectionLost
            scribe.makeConnection(StringTransport())
            scribe.dataReceived(lines)
            self.assertEqual(scribe.notes, ["opened", "last", "closed"])

    def test_silence(self) -> None:
        """
        A peer silent for ``idle`` seconds is let go, and told why. Lines count,
        those that cannot be heard as well; bytes do not.
        """
        for piece in (b"line\n", b"\xff\n", b"x" * 20, b"y\n\n"):
            self.clock.advance(59)
            self.send(piece)
        self.send(b"not a line")
        self.clock.advance(59)
        self.assertIsNone(self.peer.reason)
        self.clock.advance(1)
        self.assertEqual(
            self.peer.said(), "* goodbye: nothing was said for 60 seconds\n"
        )
        self.assertIsInstance(self.peer.reason, ConnectionDone)

    def test_no_limit_to_silence(self) -> None:
        """
        With ``idle`` 0 nobody is let go for being silent.
        """
        self.scribe = Scribe(self.clock)
        self.scribe.idle = 0
        self.peer = self.connect()
        self.clock.advance(10**6)
        self.assertIsNone(self.peer.reason)

    def test_whose_silence(self) -> None:
        """
        It is under its own name that a peer is let go.
        """
        observed = Observed.during(self)
        self.scribe = Scribe(self.clock)
        self.scribe.answers["closed"] = lambda: self.scribe._log.info("here")
        with working(connection="c1"):
            self.peer = self.connect()
        transport: Any = self.scribe.transport
        transport.loseConnection = lambda: self.scribe.connectionLost()
        with working(connection="c2"):
            self.clock.advance(60)
        self.assertEqual(observed.works, [Work(connection="c1")])

    def test_drain(self) -> None:
        """
        Whoever says goodbye finishes the answer first, and begins no other.
        """
        end = self.slow("slow")
        end.addCallback(lambda _: self.scribe.say("answer"))
        self.send(b"slow\nnext\n")
        self.scribe.drain("shutting down")
        self.assertEqual(self.send(b"more\n"), "")
        self.fire(end)
        self.assertEqual(self.peer.said(), "answer\n* goodbye: shutting down\n")
        self.assertIsInstance(self.peer.reason, ConnectionDone)
        self.assertEqual(self.scribe.notes, ["opened", "slow", "closed"])

    def test_drain_at_rest(self) -> None:
        """
        With nothing under way goodbye is said at once, and once.
        """
        self.scribe.drain("shutting down")
        self.scribe.drain("shutting down")
        self.clock.advance(0)
        self.assertEqual(self.peer.said(), "* goodbye: shutting down\n")

    def test_drain_while_held(self) -> None:
        """
        A peer that was made to wait hears the goodbye as well.
        """
        end = self.slow("slow")
        self.send(b"slow\n" + b"line\n" * 1000)
        self.scribe.drain("shutting down")
        self.fire(end)
        self.assertEqual(self.peer.said(), "* goodbye: shutting down\n")
        self.assertEqual(self.scribe.notes, ["opened", "slow", "closed"])

    def test_gone_while_draining(self) -> None:
        """
        A peer that goes before the goodbye is gone, and that is all.
        """
        end = self.slow("slow")
        self.send(b"slow\n")
        self.scribe.drain("shutting down")
        self.peer.transport.abortConnection()
        self.clock.advance(0)
        self.fire(end)
        self.assertEqual(self.scribe.notes, ["opened", "slow", "closed"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed_comes_last(self) -> None:
        """
        A protocol hears of the end when nothing it does is under way, so that what
        was begun before it (coming into a room) is undone by it (leaving).
        """
        end = self.slow("slow")
        end.addCallback(lambda _: self.scribe.notes.append("answered"))
        self.send(b"slow\nnext\n")
        self.peer.transport.abortConnection()
        self.clock.advance(0)
        self.assertEqual(self.scribe.notes, ["opened", "slow"])
        self.fire(end)
        self.assertEqual(self.scribe.notes, ["opened", "slow", "answered", "closed"])

    def test_closed_may_fail(self) -> None:
        """
        What goes wrong at the end is logged, there being nobody to tell.
        """

        async def fall() -> None:
            raise RopewalkError("no room")

        self.scribe.answers["closed"] = fall
        self.peer.transport.loseConnection()
        self.clock.advance(0)
        [failure] = self.flushLoggedErrors(RopewalkError)
        self.assertEqual(failure.getErrorMessage(), "no room")

    def test_half_closed(self) -> None:
        """
        A peer that has said its last (``printf … | nc -N``) is answered, however
        long that takes, and let go then; half a line is no line.
        """
        end = self.slow("slow")
        end.addCallback(lambda _: self.scribe.say("slowly"))
        self.scribe.answers["fast"] = lambda: self.scribe.say("fast")
        self.peer.transport.write(b"slow\n" + b"line\n" * 1000 + b"fast\nhalf a l")
        self.peer.transport.loseWriteConnection()
        self.clock.advance(0)
        self.assertEqual(self.peer.said(), "")
        self.fire(end)
        self.assertEqual(self.peer.said(), "slowly\nfast\n")
        self.assertIsInstance(self.peer.reason, ConnectionDone)
        self.assertEqual(self.scribe.notes[-3:], ["line", "fast", "closed"])

    def test_half_closed_while_held(self) -> None:
        """
        Also if a transport says so while it is told to wait.
        """
        end = self.slow("slow")
        self.scribe.answers["fast"] = lambda: self.scribe.say("fast")
        self.send(b"slow\n" + b"line\n" * 1000 + b"fast\n")
        self.scribe.readConnectionLost()
        self.fire(end)
        self.assertEqual(self.peer.said(), "fast\n")
        self.assertIsInstance(self.peer.reason, ConnectionDone)

    def test_nothing_is_kept(self) -> None:
        """
        Of a connection that is gone, nothing is kept for as long as an answer takes.
        """
        end = self.slow("slow")
        self.send(b"slow\n" + b"line\n" * 10 + b"begun")
        self.assertEqual(len(self.scribe._unheard), 5)
        self.peer.transport.abortConnection()
        self.clock.advance(0)
        self.assertEqual(len(self.scribe._unheard), 0)
        self.fire(end)
        self.assertEqual(self.scribe.notes, ["opened", "slow", "closed"])

    def test_nothing_is_left(self) -> None:
        """
        When a connection is gone, so are its protocol and its timers.
        """
        self.slow("slow")
        self.send(b"line\nslow\nmore\n")
        watched = weakref.ref(self.scribe)
        self.peer.transport.abortConnection()
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        del self.scribe, self.peer
        gc.collect()
        self.assertIsNone(watched())


#: What :class:`Model` and :class:`Modelled` answer in ways of their own.
WORDS = ("slow", "async", "bad", "worse", "twice", "/quit")

#: A stream of lines, good and bad.
STREAM = st.lists(
    st.one_of(
        st.sampled_from([word.encode() for word in WORDS]),
        st.sampled_from([b"", b"0123456789", b"01234567890", b"x" * 40, b"a\xffb"]),
        st.binary(max_size=12),
    ).flatmap(lambda line: st.sampled_from([line + b"\n", line + b"\r\n", line])),
    max_size=20,
).map(b"".join)


class Model:
    """
    How lines are heard and answered, slowly and obviously.

    :ivar heard: The lines.
    :ivar said: The answers.
    """

    def __init__(self, data: bytes, longest: int) -> None:
        self.heard: list[str] = []
        self.said = ""
        *lines, rest = data.split(b"\n")
        for line in lines:
            if line[-1:] == b"\r":
                line = line[:-1]
            self.answer(line, longest)
            if self.heard[-1:] == ["/quit"]:
                return
        if rest[-1:] == b"\r":
            rest = rest[:-1]
        if len(rest) > longest:
            self.answer(rest, longest)

    def answer(self, line: bytes, longest: int) -> None:
        if len(line) > longest:
            self.said += f"! that line is too long: at most {longest} bytes\n"
            return
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            self.said += f"! that is not UTF-8: byte {error.start + 1} of the line\n"
            return
        self.heard.append(text)
        self.said += {
            "bad": "! no\n",
            "worse": "! something went wrong here; it is in our log\n",
            "twice": "one\ntwo\n",
            "/quit": "bye\n",
        }.get(text, f"{text!r}\n")


class Modelled(Scribe):
    """
    Answers as the model does, only that some answers take their time.

    :ivar ends: What they wait for.
    :ivar strange: What a line was not the first to know of.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(clock)
        self.ends: list[Deferred[None]] = []
        self.strange: list[str] = []
        self.answers = {
            "slow": lambda: self.wait().addCallback(lambda _: self.say("'slow'")),
            "async": self.answer_late,
            "bad": self.fail,
            "worse": lambda: 1 / 0,
            "twice": self.say_two,
            "/quit": lambda: self.leave("bye"),
        }

    def heard(self, line: str) -> Any:
        self.notes.append(line)
        self.strange += filter(None, [CURRENT.get()])
        CURRENT.set(line)
        return self.answers.get(line, lambda: self.say(repr(line)))()

    def wait(self) -> Deferred[None]:
        self.ends.append(Deferred())
        return self.ends[-1]

    async def answer_late(self) -> None:
        await self.wait()
        self.say("'async'")

    def say_two(self) -> None:
        self.say("one")
        self.say("two")

    def fail(self) -> None:
        raise RopewalkError("no")


class ModelTests(SynchronousTestCase):
    """
    However lines come, and however long each answer takes, the conversation is the
    one that comes of answering them one by one.
    """

    @settings(max_examples=400, deadline=None, database=None)
    @given(
        STREAM,
        st.lists(st.integers(0, 300), max_size=12),
        st.lists(st.booleans(), max_size=12),
        st.sampled_from([1, 2, 64]),
    )
    def test_model(
        self, data: bytes, cuts: list[int], fires: list[bool], ahead: int
    ) -> None:
        """
        What is heard and what is said are what the model says.
        """
        clock = Clock()
        protocol = Modelled(clock)
        protocol._turns.ahead = ahead
        peer: Peer = connect(clock, protocol)
        for index, piece in enumerate(chunks(data, cuts)):
            peer.transport.write(piece)
            clock.advance(0)
            if protocol.ends and fires[index : index + 1] == [True]:
                protocol.ends.pop(0).callback(None)
                clock.advance(0)
        while protocol.ends:
            protocol.ends.pop(0).callback(None)
            clock.advance(0)
        model = Model(data, Modelled.longest)
        self.assertEqual(peer.said(), model.said)
        self.assertEqual(
            protocol.notes, ["opened", *model.heard] + ["closed"] * protocol._leaving
        )
        self.assertEqual(protocol.strange, [])
        self.flushLoggedErrors(ZeroDivisionError)


class ReaderTests(SynchronousTestCase):
    """
    Lines are found in bytes, however many there are of them.
    """

    def read(self, reader: LineReader, most: int, longest: int) -> list[str]:
        """Take all that there is: lines, and what is wrong with some."""
        found: list[str] = []
        while reader.more:
            lines, error = reader.take(most, longest)
            self.assertLessEqual(len(lines), most)
            found += lines
            if error is not None:
                found.append(f"! {error}")
        return found

    @settings(max_examples=200, deadline=None, database=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([0, 1, 63, 2000, 4094, 4095, 4096, 4097, 9000]),
                st.sampled_from([b"x", "é".encode(), b"\xff"]),
                st.sampled_from([b"\n", b"\r\n"]),
                st.integers(1, 60),
            ),
            max_size=8,
        ),
        st.lists(st.integers(0, 10**6), max_size=8),
        st.integers(1, 70),
        st.sampled_from([4095, 4096, 8000, 10**6]),
    )
    def test_long_and_many(
        self,
        runs: list[tuple[int, bytes, bytes, int]],
        cuts: list[int],
        most: int,
        longest: int,
    ) -> None:
        """
        They are the lines there are, whatever their length and number, however they
        were cut, and however many are taken at once.
        """
        data = b"".join(
            (byte * (size // len(byte)) + end) * min(count, 20_000 // (size + 1) + 1)
            for size, byte, end, count in runs
        )
        reader, found = LineReader(), []
        for piece in chunks(data, cuts):
            line = reader.lone(piece, longest)
            if line is None:
                reader.feed(piece)
                found += self.read(reader, most, longest)
            else:
                found.append(line)
        lines: list[str] = []
        for each in data.split(b"\n")[:-1]:
            model = Model(each + b"\n", longest)
            lines += model.heard or [model.said.rstrip("\n")]
        self.assertEqual(found, lines)
        self.assertEqual(len(reader), 0)

    def test_not_all_at_once(self) -> None:
        """
        Of what has come, no more is made lines than is taken, or nearly.
        """
        reader = LineReader()
        reader.feed(b"\n" * 1_000_000)
        self.assertEqual(reader.take(10, 80), ([""] * 10, None))
        self.assertGreater(len(reader), 995_000)

    def test_what_waits(self) -> None:
        """
        What comes while earlier lines wait waits behind them.
        """
        reader = LineReader()
        reader.feed(b"a\nb\nc\nd")
        self.assertEqual(reader.take(1, 80), (["a"], None))
        for piece in (b"e\n", b"f\n", b"g"):
            self.assertIsNone(reader.lone(piece, 80))
            reader.feed(piece)
        self.assertEqual(self.read(reader, 9, 80), ["b", "c", "de", "f"])
        self.assertEqual(len(reader), 1)


class Echo(LineProtocol):
    """
    All that one has to write.
    """

    def opened(self) -> None:
        self.say("* say something")

    def heard(self, line: str) -> None:
        if not line.strip():
            raise RopewalkError("say something, please")
        self.say(line)


class PlainTests(SynchronousTestCase):
    """
    What is done for the usual line, in Python.
    """

    module = "ropewalk.wire.plain"

    def setUp(self) -> None:
        self.twin: Any = import_module(self.module)

    def test_lone(self) -> None:
        """
        What comes is one line, or it is to be looked at more closely.
        """
        for data, line in {
            b"to\n": "to",
            b"to\r\n": "to",
            b"to\r\r\n": "to\r",
            b"\n": "",
            b"\r\n": "",
            "é€😀".encode() + b"\n": "é€😀",
            b"": None,
            b"to": None,
            b"to\nfro": None,
            b"to\nfro\n": None,
            b"\n\n": None,
            b"to\xff\n": None,
            b"\xed\xa0\x80\n": None,
        }.items():
            self.assertEqual(self.twin.lone(data, 10), line, data)

    def test_longest(self) -> None:
        """
        As many bytes are counted as there are before the line feed.
        """
        for longest, line in ((0, None), (1, None), (2, "to"), (1 << 99, "to")):
            self.assertEqual(self.twin.lone(b"to\n", longest), line)

    def test_plainly(self) -> None:
        """
        Each line gets its end, if all of them can be sent as they are.
        """
        for lines, data in (
            ([], b""),
            (["to"], b"to\n"),
            (["to", "", "fro"], b"to\n\nfro\n"),
            (["\ta b~"], b"\ta b~\n"),
            (["é\xa0\xbf", "€😀"], "é\xa0\xbf\n€😀\n".encode()),
        ):
            self.assertEqual(self.twin.plainly(lines), data)

    def test_not_plainly(self) -> None:
        """
        What moves a cursor is looked at more closely, wherever it is.
        """
        controls = [*range(9), *range(10, 32), *range(127, 160), 0xD800, 0xDFFF]
        for odd in map(chr, controls):
            for lines in ([odd], ["to", f"fro{odd}"], [f"é{odd}to", ""]):
                self.assertIsNone(self.twin.plainly(lines), lines)


class CompiledTests(PlainTests):
    """
    The same, in C.
    """

    module = "ropewalk.wire._lines"

    if find_spec(module) is None:
        skip = f"{module} is not compiled here: `pip install -e .` does it"

    @given(
        st.binary(max_size=8) | st.text(max_size=8).map(str.encode), st.integers(0, 9)
    )
    def test_lone_as_in_python(self, data: bytes, longest: int) -> None:
        """
        Whatever comes is the same to both.
        """
        for piece in (data, data + b"\n", data + b"\r\n"):
            found = self.twin.lone(piece, longest)
            self.assertEqual(found, plain.lone(piece, longest))

    @given(st.lists(st.text(st.characters(), max_size=5), max_size=5))
    def test_plainly_as_in_python(self, lines: list[str]) -> None:
        """
        So is whatever is said.
        """
        self.assertEqual(self.twin.plainly(lines), plain.plainly(lines))

    def test_what_it_is_not_made_for(self) -> None:
        """
        It takes nothing for what it is not.
        """
        for piece in (bytearray(b"to\n"), memoryview(b"to\n"), "to\n", None):
            self.assertIsNone(self.twin.lone(piece, 10))
        for lines in (("to",), ["to", b"fro"], None):
            self.assertIsNone(self.twin.plainly(lines))
        self.assertRaises(TypeError, self.twin.lone, b"to\n")
        self.assertIsNone(self.twin.lone(b"to\n", float("inf")))


class FactoryTests(SynchronousTestCase):
    """
    A protocol for each connection.
    """

    def test_ten_lines(self) -> None:
        """
        A line protocol is a class with a method or two.
        """
        clock = Clock()
        factory = LineFactory(Echo, clock)
        echo = factory.buildProtocol(None)
        self.assertIsNot(echo, factory.buildProtocol(None))
        peer = connect(clock, echo)
        peer.transport.write(b"hello\n \n")
        clock.advance(0)
        self.assertEqual(
            peer.said(), "* say something\nhello\n! say something, please\n"
        )

    def test_arguments(self) -> None:
        """
        Each is made with the arguments that the factory was.
        """

        class Greeter(LineProtocol):
            def __init__(self, greeting: str, *, clock: IReactorTime) -> None:
                super().__init__(clock)
                self.greeting = greeting

            def opened(self) -> None:
                self.say(self.greeting)

        clock = Clock()
        factory = LineFactory(Greeter, "hello", clock=clock)
        protocol = factory.buildProtocol(None)
        self.assertIs(protocol.factory, factory)
        self.assertEqual(connect(clock, protocol).said(), "hello\n")
