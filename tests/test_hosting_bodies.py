"""
Tests for L{ropewalk.web.hosting.wsgi.bodies}: C{wsgi.input}.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.hosting.wsgi.bodies import (
    SPOOLED,
    Body,
    BodyLost,
    Source,
    taken,
    whole,
)
from ropewalk.web.intake import Intake

_TEXT = st.text("ab\n", max_size=40).map(str.encode)
_SIZES = st.integers(-1, 12)

#: What can be done with a file.
_DEEDS = st.one_of(
    st.tuples(st.sampled_from(["read", "readline"]), _SIZES),
    st.tuples(st.sampled_from(["seek"]), st.integers(0, 50)),
    st.tuples(st.sampled_from(["readlines", "tell", "next"])),
)


def nothing(*ignored: object) -> None:
    """Does nothing."""


def intake(length: int | None = None) -> Intake:
    return Intake(length, nothing, nothing)


def body(*pieces: bytes, came: bytes = b"") -> Body:
    """A body that comes in pieces."""
    rest = iter([*pieces, b""])
    return Body(came, lambda: next(rest))


def do(file: Any, deed: tuple[Any, ...]) -> Any:
    name, *args = deed
    if name == "next":
        return next(file, None)
    return getattr(file, name)(*args)


class BodyTests(SynchronousTestCase):
    """
    A body as a file.
    """

    @given(st.lists(_TEXT.filter(bool), max_size=5), _TEXT, st.lists(_DEEDS))
    def test_file(
        self, pieces: list[bytes], came: bytes, deeds: list[tuple[Any, ...]]
    ) -> None:
        """
        In whatever pieces it comes, it is as a file that is all there.
        """
        ours, file = body(*pieces, came=came), io.BytesIO(came + b"".join(pieces))
        for deed in deeds:
            self.assertEqual(do(ours, deed), do(file, deed), deed)

    def test_only_what_is_wanted(self) -> None:
        """
        No more is waited for than somebody wants.
        """
        asked: list[int] = []

        def come() -> bytes:
            asked.append(1)
            return b"abcd"

        ours = Body(b"xy", come)
        self.assertEqual((ours.read(2), len(asked)), (b"xy", 0))
        self.assertEqual((ours.read(3), len(asked)), (b"abc", 1))
        self.assertEqual((ours.read1(10), len(asked)), (b"d", 1))
        self.assertEqual((ours.read1(), len(asked)), (b"abcd", 2))

    def test_seek(self) -> None:
        """
        Counted from the end, all has to come; before the beginning there is nothing.
        """
        ours = body(b"abc", b"def")
        self.assertEqual(ours.seek(-2, io.SEEK_END), 4)
        self.assertEqual(ours.seek(-1, io.SEEK_CUR), 3)
        self.assertEqual(ours.read(), b"def")
        self.assertTrue(ours.seekable() and ours.readable())
        self.assertRaises(ValueError, ours.seek, -1)

    def test_spooled(self) -> None:
        """
        A long one is on disk.
        """
        piece = b"x" * 1000
        ours = body(*[piece] * 100)
        self.assertEqual(len(ours.read(SPOOLED)), SPOOLED)
        self.assertEqual(len(ours.read()), 100_000 - SPOOLED)
        self.assertNotIsInstance(ours._file, io.BytesIO)
        ours.seek(0)
        self.assertEqual(ours.read(), piece * 100)
        ours.close()

    def test_closed(self) -> None:
        """
        When the request is over, so is its body.
        """
        ours = body(b"abc")
        ours.close()
        ours.close()
        self.assertRaises(ValueError, ours.read)
        self.assertRaises(ValueError, ours.readline)


class SourceTests(SynchronousTestCase):
    """
    How it gets into a thread.
    """

    def setUp(self) -> None:
        self.intake = intake(9)
        self.wanted: list[Callable[[], object]] = []

    def source(self) -> Source:
        """One for a thread that finds what it asks for there already."""

        def call(function: Callable[..., object], *args: Any) -> None:
            self.wanted.append(partial(function, *args))
            function(*args)

        return Source(self.intake, call)

    def test_pieces(self) -> None:
        """
        What is there comes at once, and then the end.
        """
        for piece in b"abc", b"def", b"ghi":
            self.intake.add(piece)
        self.intake.end()
        source = self.source()
        self.assertEqual([source(), source()], [b"abcdefghi", b""])
        self.assertEqual(len(self.wanted), 2)

    def test_lost(self) -> None:
        """
        When the client leaves, whoever reads is told so.
        """
        self.intake.add(b"abc")
        self.intake.fail(ConnectionLost())
        ours = Body(b"", self.source())
        self.assertEqual(ours.read(3), b"abc")
        self.assertRaises(BodyLost, ours.read, 1)
        self.assertIsInstance(BodyLost(), OSError)

    def test_two_threads(self) -> None:
        """
        Of two threads that read one body, neither waits for ever.
        """
        self.intake.read()
        ours = Body(b"", self.source())
        self.assertRaises(BodyLost, ours.read, 1)

    def test_limit(self) -> None:
        """
        Of much, not all is taken at once.
        """
        for _ in range(10):
            self.intake.add(b"x" * 100_000)
        self.assertEqual(len(b"".join(taken(self.intake))), 300_000)


class WholeTests(SynchronousTestCase):
    """
    A body that is waited for.
    """

    def test_whole(self) -> None:
        """
        It is there when it has ended.
        """
        coming = intake()
        waiting = whole(coming)
        coming.add(b"abc")
        self.assertNoResult(waiting)
        coming.add(b"def")
        coming.end()
        file = self.successResultOf(waiting)
        self.assertEqual(Body(file).read(), b"abcdef")
        file.close()

    def test_lost(self) -> None:
        """
        It never is when the client leaves.
        """
        coming = intake()
        waiting = whole(coming)
        coming.add(b"abc")
        coming.fail(ConnectionLost())
        self.failureResultOf(waiting, ConnectionLost)
