"""
Tests for L{ropewalk.net.segments}, and for the twins that it chooses between:
L{ropewalk.net.plain} and what was compiled of C{_segments.c}. What is built upon them
is tested where it is.
"""

from __future__ import annotations

import gc
import os
import weakref
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.net import plain, segments
from ropewalk.telemetry import Work, work
from tests.test_quick import python, said

COMPILED = "ropewalk.net._segments"

#: Something that protocols may set.
LAST: ContextVar[str] = ContextVar("LAST", default="nothing")


def why_not() -> str | None:
    """
    Why the compiled twin cannot be tested, if that is no fault. Where changes are
    judged, it is one that it was not built.
    """
    if find_spec(COMPILED) is not None or os.environ.get("CI"):
        return None
    return f"{COMPILED} is not compiled here: `pip install -e .` does it"


class ChoiceTests(SynchronousTestCase):
    """
    Which of the twins is used.
    """

    ASK = (
        "from ropewalk.net import segments\n"
        "kinds = [getattr(segments, name) for name in segments.__all__]\n"
        "print(*sorted({each.__module__ for each in kinds}))"
    )

    def chosen(self, before: str = "", **environ: str) -> str:
        """What another Python chooses."""
        return said(python("-c", before + self.ASK, **environ)).strip()

    def test_told(self) -> None:
        """
        With C{ROPEWALK_NATIVE=0} in the environment it is Python's.
        """
        self.assertEqual(self.chosen(ROPEWALK_NATIVE="0"), "ropewalk.net.plain")

    def test_not_there(self) -> None:
        """
        So it is where the other was not compiled, or cannot be loaded.
        """
        hide = f"import sys; sys.modules[{COMPILED!r}] = None\n"
        self.assertEqual(self.chosen(hide, ROPEWALK_NATIVE="1"), "ropewalk.net.plain")

    def test_there(self) -> None:
        """
        It is the compiled one wherever there is one.
        """
        self.assertEqual(self.chosen(ROPEWALK_NATIVE="1"), COMPILED)

    test_there.skip = why_not()  # type: ignore[attr-defined]

    def test_names(self) -> None:
        """
        They have the same names.
        """
        twin = import_module(COMPILED)
        names = {name for name in dir(twin) if not name.startswith("_")}
        self.assertEqual(names, set(plain.__all__))
        self.assertEqual(names, set(segments.__all__))
        for name in names:
            known = set(dir(getattr(plain, name)))
            for kind in getattr(plain, name).__mro__:
                known |= vars(kind).get("__annotations__", {}).keys()
            fields = set(dir(getattr(twin, name))) - set(dir(object))
            self.assertEqual(fields - known, set(), name)

    test_names.skip = why_not()  # type: ignore[attr-defined]


class Home:
    """
    A transport, and what else is called; it notes what for.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args: self.calls.append((name, *args))


class Hears:
    """
    A protocol that does with what it hears what the test says.
    """

    def __init__(self, does: Callable[[bytes], Any]) -> None:
        self.dataReceived = does


class PlainTests(SynchronousTestCase):
    """
    The way of a segment, in Python.
    """

    module = "ropewalk.net.plain"

    def setUp(self) -> None:
        self.twin: Any = import_module(self.module)
        self.home = Home()

    # The ends of a connection.

    def ends(self, does: Callable[[bytes], Any] = lambda data: None) -> Any:
        """A connection whose protocol does that."""
        calls = self.home.calls

        class Outbox(self.twin.Gathering):  # type: ignore[misc, name-defined]
            def add(self, one: object) -> None:
                calls.append(("add", one))

            def send(self) -> None:
                calls.append(("send", self.held))

        class Connection(self.twin.Ends):  # type: ignore[misc, name-defined]
            def blame(self, error: BaseException) -> None:
                calls.append(("blame", repr(error)))

            def settle(self) -> None:
                calls.append(("settle", self._hears))

            def _send(self) -> None:
                calls.append(("_send", len(self._unsent), self._size))

        connection = Connection()
        connection._outbox = Outbox()
        connection._outbox.held, connection._outbox.waiting = False, []
        connection._transport = self.home
        connection.protocol = Hears(does)
        connection._unsent = None
        connection._size = 0
        connection._mute = connection._hears = connection._extra = False
        return connection

    def test_answered(self) -> None:
        """
        What is written while something is heard is sent with one call.
        """

        def does(data: bytes) -> None:
            for piece in data, b"", b"2", b"3":
                ends.write(piece)
            self.assertTrue(ends._outbox.held)

        ends = self.ends(does)
        ends.data_received(b"1")
        self.assertEqual(self.home.calls, [("write", b"123")])
        self.assertFalse(ends._outbox.held)
        self.assertIsNone(ends._unsent)

    def test_one_piece(self) -> None:
        """
        One piece is sent as it is.
        """
        ends = self.ends(lambda data: ends.write(data))
        data = b"1" * 100
        ends.data_received(data)
        ((_, sent),) = self.home.calls
        self.assertIs(sent, data)

    def test_unasked(self) -> None:
        """
        What is written at another time waits for the end of the turn.
        """
        ends = self.ends()
        ends.write(b"1")
        ends.write(b"2")
        self.assertEqual(self.home.calls, [("add", ends)])
        self.assertEqual(ends._unsent, [b"1", b"2"])

    def test_much(self) -> None:
        """
        No more than so much is gathered.
        """
        ends = self.ends()
        ends.write(b"1" * 40_000)
        ends.write(b"2" * 25_536)
        ends.write(b"3")
        self.assertEqual(self.home.calls[1:], [("_send", 3, 65_537)])

    def test_mute(self) -> None:
        """
        Who is mute writes nothing, and bytes are written in any case.
        """
        ends = self.ends()
        ends._mute = True
        ends.write(b"1")
        self.assertIsNone(ends._unsent)
        for wrong in "1", bytearray(b"1"), None:
            error = self.assertRaises(TypeError, ends.write, wrong)
            self.assertEqual(str(error), "Data must be bytes")
        self.assertEqual(self.home.calls, [])

    def test_error(self) -> None:
        """
        What the protocol raises is told; what was written before is sent.
        """

        def does(data: bytes) -> None:
            ends.write(data)
            raise KeyboardInterrupt(1)

        ends = self.ends(does)
        ends.data_received(b"1")
        self.assertEqual(
            self.home.calls, [("blame", "KeyboardInterrupt(1)"), ("write", b"1")]
        )
        self.assertFalse(ends._hears)

    def test_more_to_do(self) -> None:
        """
        Where more is to be done, another does it; others that wait are sent as well.
        """
        ends = self.ends(lambda data: ends.write(data))
        ends._extra = True
        ends._outbox.waiting.append(object())
        ends.data_received(b"1")
        self.assertEqual(self.home.calls, [("settle", False), ("send", False)])

    def test_collected(self) -> None:
        """
        Nothing is kept alive by what refers to itself.
        """
        ends = self.ends()
        ends._outbox.waiting.append(ends)
        gone = weakref.ref(ends.protocol)
        del ends
        gc.collect()
        self.assertIsNone(gone())

    # A protocol under a name.

    def named(self, does: Callable[[bytes], Any]) -> Any:
        """A protocol with the name of c1, around one that does that."""
        calls = self.home.calls

        class Connection(self.twin.Named):  # type: ignore[misc, name-defined]
            def blame(self, error: BaseException) -> None:
                calls.append(("blame", repr(error), work.get().connection))

            def _hear_again(self, data: bytes) -> None:
                calls.append(("again", data))

        named = Connection()
        named.work = Work("chat", "c1")
        named.wrappedProtocol, named.transport = Hears(does), self.home
        return named

    def test_under_its_name(self) -> None:
        """
        What it does, it does under its name; if that is changed, under the other.
        """
        heard: list[tuple[bytes, str | None]] = []
        named = self.named(lambda data: heard.append((data, work.get().connection)))
        named.dataReceived(b"1")
        named.dataReceived(b"2")
        named.work = Work("web", "c2")
        named.dataReceived(b"3")
        self.assertEqual(heard, [(b"1", "c1"), (b"2", "c1"), (b"3", "c2")])
        self.assertIsNone(work.get().connection)

    def test_context(self) -> None:
        """
        What it sets is for itself, and stays: as the loop has one context for each
        connection.
        """
        seen: list[str] = []

        def does(data: bytes) -> None:
            seen.append(LAST.get())
            LAST.set(data.decode())

        one, other = self.named(does), self.named(does)
        for data in b"1", b"2":
            one.dataReceived(data)
        other.dataReceived(b"3")
        self.assertEqual(seen, ["nothing", "1", "nothing"])
        self.assertEqual(LAST.get(), "nothing")

    def test_again(self) -> None:
        """
        What comes while it hears is handed on by another way, under the name that is
        its own.
        """
        named = self.named(lambda data: named.dataReceived(b"2"))
        named.dataReceived(b"1")
        self.assertEqual(self.home.calls, [("again", b"2")])
        named.wrappedProtocol = Hears(lambda data: self.home.calls.append((data,)))
        named.dataReceived(b"3")
        self.assertEqual(self.home.calls[1:], [(b"3",)])

    def test_its_error(self) -> None:
        """
        What it raises is told under its name, and does not go on. What is to end the
        process does.
        """

        def does(data: bytes) -> None:
            raise (ZeroDivisionError if data == b"1" else SystemExit)("no")

        named = self.named(does)
        named.dataReceived(b"1")
        self.assertEqual(self.home.calls, [("blame", "ZeroDivisionError('no')", "c1")])
        self.assertRaises(SystemExit, named.dataReceived, b"2")
        named.wrappedProtocol = Hears(lambda data: self.home.calls.append((data,)))
        named.dataReceived(b"3")
        self.assertEqual(self.home.calls[1:], [(b"3",)])

    def test_handed_back(self) -> None:
        """
        What it writes, the transport writes.
        """
        self.named(lambda data: None).write(b"1")
        self.assertEqual(self.home.calls, [("write", b"1")])

    # One at a time.

    def turn(self) -> Any:
        """Whose turn it is."""
        calls = self.home.calls

        class Turns(self.twin.Turn):  # type: ignore[misc, name-defined]
            def take(self, call: Callable[..., Any], *args: Any) -> None:
                calls.append(("take", call, *args))

            def _go_on(self) -> None:
                calls.append(("go on", self._calling))

            def _raised(self, error: BaseException, context: Context) -> None:
                calls.append(("raised", repr(error), context[LAST], self._busy))

            def _wait_for(self, result: Any, context: Context) -> None:
                calls.append(("wait for", result, context[LAST], self._busy))

        turn = Turns()
        turn._waiting = deque()
        turn._busy = turn._over = turn._calling = False
        return turn

    def test_in_turn(self) -> None:
        """
        A call is made at once, in a context of its own.
        """
        turn = self.turn()

        def call(thing: str) -> None:
            LAST.set(thing)
            self.home.calls.append((thing, turn._busy, turn._calling))

        turn.take_one(call, "1")
        self.assertEqual(self.home.calls, [("1", True, True)])
        self.assertEqual((turn._busy, turn._calling), (False, False))
        self.assertEqual(LAST.get(), "nothing")

    def test_waited_for(self) -> None:
        """
        What it returns is waited for, if it can be awaited.
        """
        turn, later = self.turn(), Deferred[None]()

        def call(thing: Any) -> Any:
            LAST.set("me")
            return thing

        turn.take_one(call, 5)
        self.assertEqual((self.home.calls, turn._busy), ([], False))
        turn.take_one(call, later)
        self.assertEqual(self.home.calls, [("wait for", later, "me", True)])
        self.assertTrue(turn._busy)

    def test_raised(self) -> None:
        """
        What it raises is told, whatever it is; then the next may be called.
        """
        turn = self.turn()

        def call(thing: Any) -> None:
            LAST.set("me")
            raise thing

        for error in ZeroDivisionError("no"), SystemExit(3):
            self.home.calls.clear()
            turn.take_one(call, error)
            self.assertEqual(self.home.calls, [("raised", repr(error), "me", True)])
            self.assertEqual((turn._busy, turn._calling), (False, False))

    def test_not_in_turn(self) -> None:
        """
        It is put behind what waits, or is under way; nothing is done when all is over.
        """
        for name, value in (("_busy", True), ("_over", True), ("_waiting", deque("x"))):
            turn = self.turn()
            setattr(turn, name, value)
            turn.take_one(print, "1")
            self.assertEqual(self.home.calls.pop(), ("take", print, "1"))

    def test_goes_on(self) -> None:
        """
        What has begun to wait meanwhile comes next.
        """
        turn = self.turn()
        turn.take_one(turn._waiting.append, "2")
        self.assertEqual(self.home.calls, [("go on", False)])

    # A conversation.

    def talk(
        self, kind: str = "Talk", heard: Callable[[Any], Any] = lambda piece: None
    ) -> Any:
        """A conversation in pieces of three bytes."""
        calls = self.home.calls

        class Conversation(getattr(self.twin, kind)):  # type: ignore[misc]
            longest = 3
            plain = True

            def heard(self, piece: Any) -> Any:
                calls.append(("heard", piece, self._hearing))
                return heard(piece)

            def _read_on(self) -> None:
                calls.append(("read on",))

            def _as_bytes(self, said: list[Any]) -> bytes:
                calls.append(("as bytes", list(said)))
                return b"".join(said)

            def _say_otherwise(self, plain: bool) -> None:
                calls.append(("otherwise", plain))
                self._said_plainly = plain

        talk = Conversation()
        talk.transport, talk._turns, talk._unwritten = self.home, self.turn(), []
        talk._unheard = SimpleNamespace(
            lone=lambda data, most: data if len(data) == most else None,
            feed=lambda data: calls.append(("feed", data)),
            more=False,
        )
        talk._backlog = SimpleNamespace(full=False, room=lambda size: size < 5)
        talk._patience = SimpleNamespace(since=0.0)
        talk._clock = SimpleNamespace(seconds=lambda: 7.0)
        talk._quickly, talk._gatherable = None, -1
        talk._held = talk._hearing = talk._ended = talk._leaving = False
        talk._said_plainly = True
        return talk

    def test_piece(self) -> None:
        """
        One piece is heard, and what was said is written.
        """
        talk = self.talk(heard=lambda piece: talk._unwritten.append(piece))
        talk.dataReceived(b"one")
        self.assertEqual(
            self.home.calls,
            [("heard", b"one", True), ("as bytes", [b"one"]), ("write", b"one")],
        )
        self.assertEqual(talk._patience.since, 7.0)
        self.assertEqual(talk._unwritten, [])
        self.assertEqual((talk._hearing, talk._gatherable), (False, -1))

    def test_anything_else(self) -> None:
        """
        Whatever else comes is for the reader; so is all, while the peer is to wait, and
        while something is heard.
        """
        talk = self.talk()
        talk.dataReceived(b"o")
        for name in "_held", "_hearing":
            setattr(talk, name, True)
            talk.dataReceived(b"one")
            setattr(talk, name, False)
        feed = [("feed", b"o"), ("read on",), ("feed", b"one"), ("read on",)]
        self.assertEqual(self.home.calls, [*feed, *feed[2:]])
        talk._leaving = True
        talk.dataReceived(b"one")
        self.assertEqual(len(self.home.calls), 6)

    def test_read_on(self) -> None:
        """
        What has come meanwhile is heard; so is that nothing will.
        """
        talk = self.talk(heard=lambda piece: setattr(talk, "_ended", True))
        talk.dataReceived(b"one")
        self.assertEqual(self.home.calls[1:], [("read on",)])
        talk = self.talk(heard=lambda piece: setattr(talk._unheard, "more", True))
        talk.dataReceived(b"one")
        self.assertEqual(self.home.calls[3:], [("read on",)])

    def test_written(self) -> None:
        """
        What can be written quickly is, to whoever has room.
        """
        talk = self.talk()
        talk._write_out()
        talk._quickly = lambda said: None if said == [b"odd"] else b"quick"
        for piece, sent in ((b"any", b"quick"), (b"odd", b"odd")):
            talk._unwritten.append(piece)
            talk._write_out()
            self.assertEqual(self.home.calls.pop(), ("write", sent))
        self.assertEqual(self.home.calls, [("as bytes", [b"odd"])])
        talk._backlog.full = True
        talk._quickly = None
        for piece, count in ((b"1234", 3), (b"12345", 4)):
            talk._unwritten.append(piece)
            talk._write_out()
            self.assertEqual(len(self.home.calls), count)

    def test_gathers(self) -> None:
        """
        Lines are gathered while there is room, and written at once when there is none.
        """
        talk = self.talk("Lines")
        talk._quickly = lambda said: "".join(said).encode()
        talk.say("at once")
        talk._hearing, talk._gatherable = True, 7
        for line in "later", "é", "x", "last":
            talk.say(line)
        self.assertEqual(self.home.calls[0], ("write", b"at once"))
        self.assertEqual(self.home.calls[1], ("write", "lateréxlast".encode()))
        self.assertEqual(talk._gatherable, 64 * 1024)

    def test_says(self) -> None:
        """
        A line is a str; it is said in the way that is wished by now; and to who is
        leaving nothing is said.
        """
        talk = self.talk("Lines")
        talk._gatherable = 100
        error = self.assertRaises(TypeError, talk.say, b"line")
        self.assertEqual(str(error), "a line is a str, not bytes")
        talk.say("1")
        talk.plain = False
        talk.say("2")
        talk.say("3")
        self.assertEqual(self.home.calls, [("otherwise", False)])
        self.assertEqual(talk._unwritten, ["1", "2", "3"])
        talk._leaving = True
        talk.say("4")
        self.assertEqual(len(talk._unwritten), 3)

    def test_errors_of_others(self) -> None:
        """
        What a reader, a clock or a transport dies of comes out.
        """

        def die(*args: Any) -> Any:
            raise ZeroDivisionError

        for spoil in (
            lambda talk: setattr(talk._unheard, "lone", die),
            lambda talk: setattr(talk._clock, "seconds", die),
            lambda talk: setattr(talk, "transport", SimpleNamespace(write=die)),
            lambda talk: setattr(talk, "_quickly", die),
        ):
            talk = self.talk()
            talk._unwritten.append(b"zero")
            spoil(talk)
            self.assertRaises(ZeroDivisionError, talk.dataReceived, b"one")
            self.assertFalse(talk._hearing)


class CompiledTests(PlainTests):
    """
    The same, in C.
    """

    module = COMPILED
    skip = why_not()

    def test_not_made_for(self) -> None:
        """
        What is not there, or another thing, is an error and nothing worse.
        """
        for name, method, *args in (
            ("Ends", "data_received", b"x"),
            ("Ends", "write", b"x"),
            ("Named", "dataReceived", b"x"),
            ("Named", "write", b"x"),
            ("Talk", "dataReceived", b"x"),
            ("Talk", "_write_out"),
            ("Lines", "say", "x"),
        ):
            call = getattr(getattr(self.twin, name)(), method)
            self.assertRaises((TypeError, AttributeError), call, *args)
        talk = self.talk()
        talk._turns = talk._unwritten = None
        self.assertRaises(TypeError, talk.dataReceived, b"one")
        self.assertRaises(TypeError, talk._write_out)
        ends = self.ends()
        ends._outbox = None
        self.assertRaises(TypeError, ends.data_received, b"one")
        self.assertRaises(TypeError, self.turn().take_one, print)
