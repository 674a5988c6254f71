"""
Tests for L{ropewalk.web.sending}.
"""

from __future__ import annotations

import os
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.python.filepath import FilePath

from ropewalk.web.answers import File
from ropewalk.web.sending import ranges_of
from tests.answering import AnswersTestCase
from tests.visiting import Answer, request


class FileTests(AnswersTestCase):
    """
    A file is sent.
    """

    BODY = bytes(range(256)) * 1000

    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.file = self.path / "data.css"
        self.file.write_bytes(self.BODY)

    def get(self, value: Any, *headers: str, method: str = "GET") -> Answer:
        """All of an answer that may take a few turns."""
        self.answers.handler = lambda _: value
        visit = self.place.visit()
        visit.send(request("/", method, *headers))
        for _ in range(20):
            self.place.clock.advance(0)
        return visit.answer(method)

    def test_nothing_of_it(self) -> None:
        """
        Where there is nothing of what was asked for, there is nothing to be named.
        """
        answer = self.get(self.file, "Range: bytes=999999999-")
        self.assertEqual((answer.status, answer.body), (416, b""))
        self.assertNotIn("content-type", answer.headers)

    def test_head(self) -> None:
        """
        HEAD is about all of it (RFC 9110, section 14.2).
        """
        answer = self.get(self.file, "Range: bytes=0-9", method="HEAD")
        self.assertEqual(
            (answer.status, answer.headers["content-length"]),
            (200, str(len(self.BODY))),
        )

    def test_tags_before_dates(self) -> None:
        """
        A client that names an entity tag is not answered by dates (RFC 9110, section
        13.1.3).
        """
        changed = self.get(self.file).headers["last-modified"]
        since = f"If-Modified-Since: {changed}"
        self.assertEqual(self.get(self.file, since).status, 304)
        answer = self.get(self.file, since, 'If-None-Match: "x"')
        self.assertEqual(answer.status, 200)

    def test_whole(self) -> None:
        """
        It is sent whole, with what its name says it is, and when it was changed.
        """
        os.utime(self.file, (0, 1_000_000_000))
        for value in self.file, FilePath(str(self.file)), File(str(self.file)):
            answer = self.get(value)
            self.assertEqual((answer.status, answer.body), (200, self.BODY))
            self.assertEqual(answer.headers["content-type"], "text/css")
            self.assertEqual(answer.headers["content-length"], "256000")
            self.assertEqual(answer.headers["accept-ranges"], "bytes")
            self.assertEqual(
                answer.headers["last-modified"], "Sun, 09 Sep 2001 01:46:40 GMT"
            )
            self.assertNotIn("content-disposition", answer.headers)

    def test_types(self) -> None:
        """
        What is compressed is sent as that; what nobody knows is just bytes.
        """
        for name, kind in {
            "a.tar.gz": "application/gzip",
            "a.css.bz2": "application/x-bzip2",
            "a.nobody-knows": "application/octet-stream",
            "a": "application/octet-stream",
        }.items():
            (self.path / name).write_bytes(b"x")
            answer = self.get(self.path / name)
            self.assertEqual(answer.headers["content-type"], kind)
            self.assertNotIn("content-encoding", answer.headers)
        answer = self.get(File(self.file, content_type="text/x-a"))
        self.assertEqual(answer.headers["content-type"], "text/x-a")

    def test_empty(self) -> None:
        """
        An empty file is an empty answer.
        """
        self.file.write_bytes(b"")
        for headers in [], ["Range: bytes=0-"], ["Range: bytes=-5"]:
            answer = self.get(self.file, *headers)
            self.assertEqual(
                (answer.headers["content-length"], answer.body), ("0", b"")
            )

    def test_missing(self) -> None:
        """
        What is no file, or cannot be one, is not found; nobody learns more.
        """
        for path in (
            self.path / "nobody",
            self.path,
            self.file / "x",
            File("a\0b"),
            File("x" * 1000),
            File("/dev/null"),
        ):
            answer = self.get(path)
            self.assertEqual(answer.status, 404)
            self.assertEqual(answer.json["detail"], "there is no such file")

    def test_forbidden(self) -> None:
        """
        What may not be read is refused.
        """

        def refuse(path: str) -> Any:
            raise PermissionError

        self.patch(os, "stat", refuse)
        self.assertEqual(self.get(self.file).status, 403)

    def test_attachment(self) -> None:
        """
        A name to save it under is told so that any client understands it.
        """
        for name, said in {
            "a.css": 'attachment; filename="a.css"',
            "a b.css": 'attachment; filename="a b.css"',
            "é€.css": 'attachment; filename="__.css"; '
            "filename*=UTF-8''%C3%A9%E2%82%AC.css",
            'a"\\b%41/c': 'attachment; filename="a__b_41_c"; '
            "filename*=UTF-8''a%22%5Cb%2541%2Fc",
        }.items():
            answer = self.get(File(self.file, name))
            self.assertEqual(answer.headers["content-disposition"], said)

    def test_not_modified(self) -> None:
        """
        Who has it already is told so.
        """
        when = self.get(self.file).headers["last-modified"]
        for method in "GET", "HEAD":
            answer = self.get(self.file, f"If-Modified-Since: {when}", method=method)
            self.assertEqual((answer.status, answer.body), (304, b""))
            self.assertNotIn("content-type", answer.headers)
        answer = self.get(self.file, f"If-Modified-Since: {when}", method="POST")
        self.assertEqual(answer.status, 200)

    def test_range(self) -> None:
        """
        A part of it can be had.
        """
        for asked, (first, last) in {
            "0-0": (0, 0),
            "100-199": (100, 199),
            "255990-": (255990, 255999),
            "255990-999999": (255990, 255999),
            "-10": (255990, 255999),
            "-999999": (0, 255999),
            "0-": (0, 255999),
            "0-0,999999-": (0, 0),
        }.items():
            answer = self.get(self.file, f"Range: bytes={asked}")
            self.assertEqual((answer.status, answer.whole), (206, True))
            self.assertEqual(answer.body, self.BODY[first : last + 1])
            place = f"bytes {first}-{last}/256000"
            self.assertEqual(answer.headers["content-range"], place)

    def testranges_of(self) -> None:
        """
        So can several at once.
        """
        answer = self.get(self.file, "Range: bytes=0-1, 70000-140000 ,-2")
        self.assertEqual((answer.status, answer.whole), (206, True))
        head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
        message = BytesParser(policy=HTTP).parsebytes(head + answer.body)
        parts = [
            (part["content-type"], part["content-range"], part.get_payload(decode=True))
            for part in message.iter_parts()
        ]
        self.assertEqual(
            parts,
            [
                (
                    "text/css",
                    f"bytes {first}-{last}/256000",
                    self.BODY[first : last + 1],
                )
                for first, last in [(0, 1), (70000, 140000), (255998, 255999)]
            ],
        )

    def test_no_range(self) -> None:
        """
        What is none is not looked at, and nobody gets a file many times at once.
        """
        many = ",".join(["0-"] * 11)
        for asked in (
            *("bytes=", "bytes=a-b", "bytes=-", "bytes=5-1", "lines=0-1", "bytes 0-1"),
            *("bytes=0-1,x", f"bytes={many}", f"bytes=0-{'9' * 5000}"),
        ):
            answer = self.get(self.file, f"Range: {asked}")
            self.assertEqual(answer.status, 200, asked)
            self.assertEqual(answer.body, self.BODY)
        answer = self.get(self.file, "Range: bytes=0-1", method="POST")
        self.assertEqual(answer.status, 200)
        answer = self.get((404, self.file), "Range: bytes=0-1")
        self.assertEqual((answer.status, answer.body), (404, self.BODY))

    def test_unsatisfiable(self) -> None:
        """
        Who asks for what is not there learns how much is.
        """
        for asked in "256000-", "300000-400000", "-0", "300000-,400000-":
            answer = self.get(self.file, f"Range: bytes={asked}")
            self.assertEqual((answer.status, answer.body), (416, b""))
            self.assertEqual(answer.headers["content-range"], "bytes */256000")

    def test_if_range(self) -> None:
        """
        A part is sent only of what the client has the rest of.
        """
        when = self.get(self.file).headers["last-modified"]
        for condition, status in {
            when: 206,
            "Sun, 09 Sep 2001 01:46:40 GMT": 200,
            '"etag"': 200,
        }.items():
            headers = ("Range: bytes=0-1", f"If-Range: {condition}")
            self.assertEqual(self.get(self.file, *headers).status, status)

    @given(st.integers(0, 300), st.text("0123456789-, ", max_size=20))
    def test_any_range(self, size: int, asked: str) -> None:
        """
        Whatever is asked for, the parts are in the file.
        """
        for offset, length in ranges_of(f"bytes={asked}", size) or ():
            self.assertTrue(0 <= offset < offset + length <= size)

    def test_cut(self) -> None:
        """
        A file that becomes shorter while it is sent breaks off.
        """
        self.answers.handler = lambda _: self.file
        visit = self.place.visit()
        later = SimpleNamespace(active=lambda: False)
        self.patch(self.place.clock, "callLater", lambda *_: later)
        visit.send(request())
        with self.file.open("wb"):
            pass
        self.place.clock.advance(0)
        producer: Any = visit.wire.producer
        for _ in range(10):
            producer.resumeProducing()
        (answer,) = visit.answers()
        self.assertFalse(answer.whole)
        self.assertTrue(visit.closed)
        self.assertEqual(len(self.flushLoggedErrors(EOFError)), 1)
