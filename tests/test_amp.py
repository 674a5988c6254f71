# -*- test-case-name: tests.test_amp -*-
"""
AMP: boxes, and operations called in them, by Twisted's own AMP at the other end.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.hub import MemoryHub
from ropewalk.interfaces import Caller
from ropewalk.net.calls.boxes import CallBoxes, read_arguments, write_result
from ropewalk.net.limits import CallSettings
from ropewalk.operations import Operations, operation
from ropewalk.schema import Meta, Shape
from ropewalk.wire.amp import (
    AMP,
    BoxReader,
    read_list,
    read_pairs,
    write_list,
    write_pairs,
)
from ropewalk.wire.jsonrpc import (
    Heard,
    Request,
    Response,
    error_answer,
    notification,
    read,
    result_answer,
)
from tests.callables import Callables, Closed, Guest, Knock
from tests.visiting import blocks
from tests.wiring import connect

END = b"\0\0"

PAIRS: Any = st.dictionaries(
    st.text(min_size=1, max_size=20), st.binary(max_size=300), max_size=5
)


class ReaderTests(SynchronousTestCase):
    """
    Boxes out of bytes.
    """

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(PAIRS, max_size=6),
        st.lists(st.integers(0, 10_000), max_size=20),
        st.integers(1, 4),
    )
    def test_boxes(
        self, boxes: list[dict[str, bytes]], cuts: list[int], most: int
    ) -> None:
        """
        They are the boxes there are, however they were cut, and as Twisted writes them;
        nothing is left.
        """
        data = b"".join(
            amp.AmpBox({key.encode(): value for key, value in box.items()}).serialize()
            for box in boxes
        )
        places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        reader, found = BoxReader(), []
        for start, end in pairwise(places):
            piece = data[start:end]
            self.assertIsNone(reader.lone(piece, 10_000))
            reader.feed(piece)
            while reader.more:
                taken, error = reader.take(most, 10_000)
                self.assertIsNone(error)
                self.assertLessEqual(len(taken), most)
                found += [read_pairs(each) for each in taken]
        expected = [
            {key.encode(): value for key, value in box.items()} for box in boxes
        ]
        self.assertEqual(found, expected)
        self.assertEqual(len(reader), 0)

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.binary(max_size=60), max_size=10), st.integers(4, 40))
    def test_anything(self, pieces: list[bytes], longest: int) -> None:
        """
        Whatever comes, no more is kept than a box may have and what came at once, and
        no box is longer.
        """
        reader = BoxReader()
        for piece in pieces:
            reader.feed(piece)
            while reader.more:
                taken, error = reader.take(3, longest)
                for each in taken:
                    self.assertLessEqual(len(each), longest)
                self.assertEqual(error is not None, reader.lost)
            self.assertLessEqual(len(reader), longest + 2)

    def test_lost(self) -> None:
        """
        After what is no box, or is too long, nothing is found, and nothing kept.
        """
        for data, told in (
            (b"GET / HTTP/1.1\r\n", "that is no box of AMP"),
            (b"\0\1a\0\x0a", "that box is too long: 15 bytes, of 9 at most"),
        ):
            reader = BoxReader()
            reader.feed(b"\0\1a\0\1b\0\0" + data)
            boxes, error = reader.take(9, 9)
            self.assertEqual(boxes, [b"\0\1a\0\1b"])
            self.assertEqual(str(error), told)
            reader.feed(b"\0\1a\0\1b\0\0")
            self.assertEqual((reader.more, len(reader)), (False, 0))


class BoxTests(SynchronousTestCase):
    """
    What is in boxes.
    """

    @given(PAIRS)
    def test_pairs(self, pairs: dict[str, bytes]) -> None:
        """
        What is written can be read, by us and by Twisted.
        """
        raw = write_pairs(pairs)
        expected = {key.encode(): value for key, value in pairs.items()}
        self.assertEqual(read_pairs(raw), expected)
        self.assertEqual(amp.parseString(raw + END), [expected])

    @given(st.lists(st.binary(max_size=300)))
    def test_lists(self, values: list[bytes]) -> None:
        """
        So can lists.
        """
        self.assertEqual(read_list(write_list(values)), values)
        listed = amp.ListOf(amp.String()).toString(values)
        self.assertEqual(write_list(values), listed)

    def test_wrong(self) -> None:
        """
        What AMP cannot say is not written, and what is no box not read.
        """
        for pairs in ({"": b""}, {"a" * 256: b""}, {"a": b"x" * 65_536}):
            self.assertRaises(ValueError, write_pairs, pairs)
        for raw in (b"\0", b"\0\2a", b"\0\1a", b"\0\1a\0\1b\0\1c"):
            self.assertRaises(ValueError, read_pairs, raw)

    def test_messages(self) -> None:
        """
        A command is a request, with or without an answer; answers to what nobody has
        asked are answers.
        """
        for pairs, expected in (
            (
                {"_command": b"a.b", "_ask": b"1", "c": b"5"},
                Request("a.b", {"c": b"5"}, "1"),
            ),
            ({"_command": b"a.b"}, Request("a.b", {}, None, False)),
            ({"_answer": b"1", "c": b"5"}, Response("1")),
            ({"_error": b"1"}, Response("1")),
        ):
            self.assertEqual(read(write_pairs(pairs), 9, AMP), Heard((expected,)))
        for raw in (b"", b"\0", write_pairs({"a": b"b"}), b"\0\1\xff\0\1b"):
            (refused,) = read(raw, 9, AMP).requests
            self.assertEqual(getattr(refused, "code", None), -32700)
        bad = b"\0\x08_command\0\1\xff"
        (refused,) = read(bad, 9, AMP).requests
        self.assertEqual(getattr(refused, "code", None), -32700)

    def test_answers(self) -> None:
        """
        Results and errors are answered by the name of the request; what has none is not
        answered.
        """
        result = AMP.encode(result_answer("1", write_pairs({"result": b"5"})))
        self.assertEqual(amp.parseString(result), [{b"_answer": b"1", b"result": b"5"}])
        error = AMP.encode(error_answer("1", Closed()))
        self.assertEqual(
            amp.parseString(error),
            [
                {
                    b"_error": b"1",
                    b"_error_code": b"-32009",
                    b"_error_description": b"the house is closed",
                    b"status": b"409",
                }
            ],
        )
        for nothing in (
            result_answer(None, b""),
            notification("a", {}),
            [result_answer("1", b"")],
        ):
            self.assertEqual(AMP.encode(nothing), b"")


class Deep(Shape):
    guest: Guest
    raw: bytes = b""
    loud: bool = False
    share: float | None = None
    doors: list[int] = []  # noqa: RUF012
    names: list[str] = []  # noqa: RUF012


class ValueTests(SynchronousTestCase):
    """
    Arguments and results.
    """

    def test_arguments(self) -> None:
        """
        Arguments become what the operation takes, parts of them by dots; what is not
        that stays text, and is refused in its turn.
        """
        for given_, expected in (
            ({}, {}),
            (
                {"guest.name": b"5", "guest.age": b"5"},
                {"guest": {"name": "5", "age": 5}},
            ),
            ({"guest": b"Ada"}, {"guest": "Ada"}),
            ({"guest": b"Ada", "guest.age": b"5"}, {"guest": "Ada"}),
            ({"raw": b"\xff"}, {"raw": b"\xff"}),
            ({"loud": b"True"}, {"loud": True}),
            ({"loud": b"false"}, {"loud": False}),
            ({"loud": b"yes"}, {"loud": "yes"}),
            ({"share": b"-1.5e3"}, {"share": -1500.0}),
            ({"share": b"nan"}, {"share": "nan"}),
            ({"share": b"1" * 100}, {"share": "1" * 100}),
            ({"doors": write_list([b"1", b"2"])}, {"doors": [1, 2]}),
            ({"doors": b"1"}, {"doors": "1"}),
            ({"names": write_list([b"1", b"\xff"])}, {"names": ["1", b"\xff"]}),
            ({"other": b"5"}, {"other": "5"}),
        ):
            arguments: Any = given_
            self.assertEqual(read_arguments(Deep, arguments), expected, given_)
        self.assertEqual(
            read_arguments(None, {"a.b": b"5", "c": b"\xff"}),
            {"a": {"b": "5"}, "c": b"\xff"},
        )

    def test_results(self) -> None:
        """
        A value is ``result``, one with parts is an argument for each, ``None`` none.
        """
        for result, pairs in (
            (None, {}),
            ("ä", {b"result": "ä".encode()}),
            (b"\xff", {b"result": b"\xff"}),
            (5, {b"result": b"5"}),
            (True, {b"result": b"True"}),
            (0.5, {b"result": b"0.5"}),
            ([1, 2], {b"result": write_list([b"1", b"2"])}),
            (Guest("Ada", 5), {b"name": b"Ada", b"age": b"5"}),
            ({"a": {"b": 1}, "c": None}, {b"a.b": b"1"}),
        ):
            self.assertEqual(read_pairs(write_result(result)), pairs)
        wrongs: tuple[Any, ...] = ({"_a": 1}, "x" * 65_536, [{}], {"": 5})
        for wrong in wrongs:
            self.assertRaises(ValueError, write_result, wrong)


class Wrong(Exception):
    """-32602."""


class Cancelled(Exception):
    """-32099."""


class Enter(amp.Command):
    """What a client of Twisted's says of an operation."""

    commandName = b"house.enter"
    arguments: ClassVar = [
        (b"guest.name", amp.Unicode()),
        (b"guest.age", amp.Integer(optional=True)),
        (b"doors", amp.ListOf(amp.Integer(), optional=True)),
    ]
    response: ClassVar = [(b"result", amp.Unicode())]
    errors: ClassVar = {Wrong: b"-32602"}


class Wait(amp.Command):
    commandName = b"house.wait"
    response: ClassVar = [(b"result", amp.Unicode())]
    errors: ClassVar = {Cancelled: b"-32099"}


class Numbers:
    """Operations for AMP."""

    @operation
    def half(self, number: int, raw: bytes = b"") -> dict[str, Any]:
        return {"half": number / 2, "raw": raw}


class Message(Shape):
    author: Annotated[str, Meta(min_length=1)]
    text: str


class Rooms:
    """Those of the page."""

    @operation
    def say(self, room: str, message: Message) -> int:
        return len(room + message.author + message.text)


class Half(amp.Command):
    commandName = b"numbers.half"
    arguments: ClassVar = [(b"number", amp.Integer()), (b"raw", amp.String())]
    response: ClassVar = [(b"half", amp.Float()), (b"raw", amp.String())]


class CallTests(SynchronousTestCase):
    """
    Twisted's AMP at the other end.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.offered = Callables()
        operations = Operations(self.clock)
        operations.add("house", self.offered)
        operations.add("numbers", Numbers())
        operations.add("chat", Rooms())
        operations.authorise(Knock())
        self.boxes = CallBoxes(
            self.clock,
            operations,
            MemoryHub(self.clock.seconds),
            CallSettings(longest=1000),
        )
        self.client: Any = amp.AMP()
        self.lost: list[Any] = []
        connect(self.clock, self.boxes, self.client)

    def call(self, command: Any, **arguments: Any) -> Deferred[Any]:
        return self.follow(self.client.callRemote(command, **arguments))

    def follow(self, called: Deferred[Any]) -> Deferred[Any]:
        """Let what was called arrive. Twisted reports what nobody waits for then."""
        followed: Deferred[Any] = Deferred()
        called.addBoth(followed.callback)
        for _ in range(3):
            self.clock.advance(0)
        return followed

    def test_result(self) -> None:
        """
        A command is an operation, with its arguments as Twisted writes them.
        """
        called = self.call(Enter, **{"guest.name": "Ada", "doors": [1, 2]})
        answer = {"result": "Ada by [1, 2]"}
        self.assertEqual(self.successResultOf(called), answer)
        called = self.call(Half, number=5, raw=b"\xff\0")
        self.assertEqual(self.successResultOf(called), {"half": 2.5, "raw": b"\xff\0"})

    def test_refused(self) -> None:
        """
        Errors come with the code of JSON-RPC, and say what is wrong.
        """
        called = self.call(Enter, **{"guest.name": "", "guest.age": -1})
        error = self.failureResultOf(called, Wrong).value
        self.assertIn("got ''; guest.age: expected", str(error))

    def test_page(self) -> None:
        """
        The command on the page calls what the page is about.
        """
        page = {"amp": amp, "WrongArguments": Wrong, "__name__": __name__}
        (block,) = (each for each in blocks("operations", "python") if "amp." in each)
        exec(block, page)
        called = self.call(
            page["Say"], **{"room": "a", "message.author": "b", "message.text": "cde"}
        )
        self.assertEqual(self.successResultOf(called), {"result": 5})
        called = self.call(
            page["Say"], **{"room": "a", "message.author": "", "message.text": "cde"}
        )
        self.failureResultOf(called, Wrong)

    def test_side_by_side(self) -> None:
        """
        What takes its time lets others pass.
        """
        waiting = self.call(Wait)
        self.successResultOf(self.call(Half, number=1, raw=b""))
        self.assertNoResult(waiting)
        self.offered.come()
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(waiting), {"result": "Ada"})

    def test_without_an_answer(self) -> None:
        """
        Who wants no answer gets none; the operation knows who calls.
        """
        self.client.callRemoteString(b"house.knock", False)
        for _ in range(3):
            self.clock.advance(0)
        self.assertEqual(self.offered.callers, [Caller("amp", "127.0.0.1")])

    def test_gone(self) -> None:
        """
        What is under way for a peer that is gone is cancelled; before the daemon ends
        it is answered.
        """
        waiting = self.call(Wait)
        self.boxes.drain("shutting down")
        self.offered.come()
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(waiting), {"result": "Ada"})
        self.setUp()
        waiting = self.call(Wait)
        self.client.transport.abortConnection()
        self.clock.advance(0)
        self.assertEqual(self.offered.cancelled, 1)
        self.failureResultOf(waiting)

    def test_no_box(self) -> None:
        """
        Who speaks something else, or sends a box without end, is let go.
        """
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0\1a\0\1b" * 200):
            self.setUp()
            self.client.transport.write(data)
            for _ in range(3):
                self.clock.advance(0)
            self.assertFalse(self.boxes.transport.connected)

    def test_offering(self) -> None:
        """
        Nobody offers operations by AMP; calls can be cancelled, all the same.
        """
        offering = self.client.callRemoteString(b"rpc.offer", name=b"a.b")
        called = self.follow(offering)
        error = self.failureResultOf(called, amp.RemoteAmpError).value
        self.assertEqual(error.errorCode, b"-32601")
        self.assertIn(
            "there is no method 'rpc.offer'; there are rpc.cancel", str(error)
        )
        self.assertNotIn("rpc.withdraw", str(error))
        waiting = self.call(Wait)
        self.client.callRemoteString(b"rpc.cancel", False, id=b"2")
        for _ in range(3):
            self.clock.advance(0)
        self.failureResultOf(waiting, Cancelled)
