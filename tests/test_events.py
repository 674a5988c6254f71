"""
Tests for L{ropewalk.wire.events}.
"""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import RopewalkError
from ropewalk.wire.events import Event, EventReader

#: Lines of which streams are made, whether they mean something or not.
LINES = st.sampled_from(
    [
        *("", "", "data", "data:", "data: one", "data:two", "data:  three: 3"),
        *("event: odd", "event", "id: 7", "id", "id: a\0b", ":", ": a comment"),
        *("retry: 20", "retry: soon", "retry: ٣", "retry: " + "9" * 5000, "strange: 1"),
        *("\ufeffdata: no mark", "data: é\u2028", " data: 1"),
    ]
)
ENDS = st.sampled_from(["\r\n", "\r", "\n"])


def read_whole(text: str) -> tuple[list[Event], str, int | None]:
    """
    What the standard says of a whole stream, spelled out.

    :return: the events, the last id, and the time to come back after.
    """
    events = []
    kind, data, number, retry = "", "", "", None
    *lines, _ = re.split("\r\n|\r|\n", text.removeprefix("\ufeff"))
    for line in lines:
        field, colon, value = line.partition(":")
        if value[:1] == " ":
            value = value[1:]
        if line == "":
            if data != "":
                events.append(Event(data[:-1], kind or "message", number))
            kind, data = "", ""
        elif colon and not field:
            continue
        elif field == "event":
            kind = value
        elif field == "data":
            data += value + "\n"
        elif field == "id" and "\0" not in value:
            number = value
        elif field == "retry" and re.fullmatch("[0-9]{1,12}", value):
            retry = int(value)
    return events, number, retry


class EventReaderTests(SynchronousTestCase):
    """
    Events come out of bytes.
    """

    def test_event(self) -> None:
        """
        An event has data, a kind and an id; the id stays until there is another.
        """
        reader = EventReader()
        told = reader.feed(b"id: 7\nevent: gap\ndata: 1\ndata: 2\n\ndata: 3\n\n")
        self.assertEqual(told, [Event("1\n2", "gap", "7"), Event("3", "message", "7")])
        self.assertEqual(reader.id, "7")

    def test_nothing(self) -> None:
        """
        Without data there is no event, but what else was said counts.
        """
        reader = EventReader()
        self.assertEqual(reader.feed(b": hello\n\nretry: 250\nid: 3\nevent: x\n\n"), [])
        self.assertEqual((reader.retry, reader.id), (250, "3"))
        self.assertEqual(reader.feed(b"data:\n\n"), [Event("", "message", "3")])

    def test_mark(self) -> None:
        """
        A byte order mark is skipped at the beginning, and only there.
        """
        reader = EventReader()
        self.assertEqual(reader.feed(b"\xef\xbb"), [])
        self.assertEqual(reader.feed(b"\xbfdata: 1\n\n"), [Event("1")])
        self.assertEqual(reader.feed(b"\xef\xbb\xbfdata: 2\n\n"), [])
        self.assertEqual(EventReader().feed(b"\n\ndata: 1\n\n"), [Event("1")])

    def test_no_utf8(self) -> None:
        """
        Bytes that are no UTF-8 harm no more than themselves.
        """
        self.assertEqual(EventReader().feed(b"data: a\xffb\n\n"), [Event("a\ufffdb")])

    def test_unfinished(self) -> None:
        """
        What is not ended is no event yet; a return ends a line at once.
        """
        reader = EventReader()
        self.assertEqual(reader.feed(b"data: 1\r"), [])
        self.assertEqual(reader.feed(b"\ndata: 2"), [])
        self.assertEqual(reader.feed(b"\r\r"), [Event("1\n2")])

    def test_bounded(self) -> None:
        """
        Neither a line nor the data of an event is longer than it may be, in however
        many pieces they come.
        """
        for stream in (b"data: 123456789", b":" * 11, b"data: 12345\n" * 2, b"x" * 11):
            for pieces in ([stream], [stream[:5], stream[5:]]):
                reader = EventReader(10)
                with self.assertRaisesRegex(RopewalkError, "at most 10 bytes"):
                    for piece in pieces:
                        reader.feed(piece)
        self.assertEqual(
            EventReader(10).feed(b"data: 1234\ndata: 5678\n\n" * 2),
            [Event("1234\n5678")] * 2,
        )

    @given(st.lists(st.tuples(LINES, ENDS)), st.booleans(), st.data())
    def test_pieces(
        self, lines: list[tuple[str, str]], marked: bool, data: st.DataObject
    ) -> None:
        """
        However a stream is cut into pieces, what is read is what the standard says of
        the whole.
        """
        text = "\ufeff" * marked + "".join(line + end for line, end in lines)
        stream = text.encode()
        reader, events, rest = EventReader(10_000), [], stream
        while rest:
            size = data.draw(st.integers(0, len(rest)), "size of a piece")
            events += reader.feed(rest[: size or 1])
            rest = rest[size or 1 :]
        self.assertEqual((events, reader.id, reader.retry), read_whole(text))

    @given(st.lists(st.binary(max_size=40)))
    def test_anything(self, pieces: list[bytes]) -> None:
        """
        Whatever comes, it is read or refused, and no more of it is kept than may be.
        """
        reader = EventReader(60)
        try:
            for piece in pieces:
                for event in reader.feed(piece):
                    self.assertLessEqual(len(event.data), 60)
        except RopewalkError as error:
            self.assertIn("too long", str(error))
