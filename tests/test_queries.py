"""
Tests for L{ropewalk.web.queries}.
"""

from __future__ import annotations

import datetime
import time
from urllib.parse import parse_qsl, urlencode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import Fault, Malformed
from ropewalk.schema import Secret
from ropewalk.web.queries import read_cookies, read_query, write_query

FIELDS = st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=5)


class QueryTests(SynchronousTestCase):
    """
    A query string is names, and the texts under each.
    """

    def test_fields(self) -> None:
        """
        Names and texts in their order, a name as often as it comes.
        """
        self.assertEqual(read_query(b"b=1&a=2&b=3"), {"b": ["1", "3"], "a": ["2"]})

    def test_encoded(self) -> None:
        """
        Escapes and ``+`` are undone.
        """
        self.assertEqual(
            read_query(b"full+name=Ann%20Lee%26Co&%C3%A9=%2b"),
            {"full name": ["Ann Lee&Co"], "é": ["+"]},
        )

    def test_blank(self) -> None:
        """
        Blank text is text; nothing between two ``&`` is nothing.
        """
        self.assertEqual(read_query(b"a=&b&&=c&"), {"a": [""], "b": [""], "": ["c"]})
        self.assertEqual(read_query(b""), {})

    def test_broken_escapes(self) -> None:
        """
        A ``%`` that starts no escape stands for itself.
        """
        self.assertEqual(read_query(b"a=100%&b=%zz%4"), {"a": ["100%"], "b": ["%zz%4"]})

    def test_not_utf8(self) -> None:
        """
        Each field that is not UTF-8 is named.
        """
        error = self.assertRaises(Malformed, read_query, b"a=%ff&b=\xe9&c=1&%fe=1")
        self.assertEqual(
            error.faults,
            (
                Fault("a", "not UTF-8"),
                Fault("b", "not UTF-8"),
                Fault('"�"', "not UTF-8"),
            ),
        )

    def test_most(self) -> None:
        """
        There is a number of fields that is enough.
        """
        self.assertEqual(len(read_query(b"a&b&c", most=3)), 3)
        error = self.assertRaises(Malformed, read_query, b"a&b&c&d", most=3)
        self.assertEqual(str(error), "more than 3 fields")
        self.assertRaises(Malformed, read_query, b"&" * 100_000)

    def test_long(self) -> None:
        """
        It takes no longer than it has to, whatever comes.
        """
        started = time.perf_counter()
        for piece in (b"%", b"%a", b"+", b"=", b"%41"):
            read_query(piece * 300_000)
        self.assertLess(time.perf_counter() - started, 5)

    @given(st.binary() | st.text("%+&=a1F", max_size=20).map(str.encode))
    def test_any_bytes(self, query: bytes) -> None:
        """
        Whatever comes has fields, or is refused.
        """
        try:
            fields = read_query(query)
        except Malformed as error:
            self.assertNotEqual(error.faults, ())
        else:
            if query.isascii():
                pairs = parse_qsl(query.decode(), keep_blank_values=True)
                found = [(name, text) for name in fields for text in fields[name]]
                self.assertEqual(sorted(found), sorted(pairs))

    @given(FIELDS)
    def test_of_others(self, fields: list[tuple[str, str]]) -> None:
        """
        What others wrote is read.
        """
        read = read_query(urlencode(fields).encode())
        self.assertEqual(
            read, {name: [t for n, t in fields if n == name] for name, _ in fields}
        )


class WritingTests(SynchronousTestCase):
    """
    Fields become a query string.
    """

    def test_values(self) -> None:
        """
        Text, numbers, truth values and dates; what is not there is left out.
        """
        self.assertEqual(
            write_query(
                {
                    "q": "a b&c",
                    "page": 2,
                    "deep": True,
                    "day": datetime.date(2026, 1, 31),
                    "none": None,
                    "tags": ["x", "é"],
                    "key": Secret("hunter2"),
                }
            ),
            "q=a+b%26c&page=2&deep=true&day=2026-01-31&tags=x&tags=%C3%A9"
            "&key=%2A%2A%2A%2A",
        )

    def test_no_field(self) -> None:
        """
        What has parts cannot be one text.
        """
        error = self.assertRaises(TypeError, write_query, {"a": {"b": 1}})
        self.assertEqual(str(error), "dict cannot be written as one text")

    @given(st.dictionaries(st.text(), st.lists(st.text(), min_size=1)))
    def test_there_and_back(self, fields: dict[str, list[str]]) -> None:
        """
        What was written is read again as it was.
        """
        # A blank name with blank text is "=", which is a field; nothing is lost.
        self.assertEqual(read_query(write_query(fields).encode()), fields)


class CookieTests(SynchronousTestCase):
    """
    A ``Cookie`` header is names and texts.
    """

    def test_cookies(self) -> None:
        """
        Pairs with semicolons between them, quotes left out.
        """
        self.assertEqual(
            read_cookies('a=1; b="2 3";c = x=y ; d='),
            {"a": "1", "b": "2 3", "c": "x=y", "d": ""},
        )

    def test_first_counts(self) -> None:
        """
        Of two with one name, the first is from nearer.
        """
        self.assertEqual(read_cookies("a=1; a=2"), {"a": "1"})

    def test_none(self) -> None:
        """
        What is no cookie is passed over.
        """
        self.assertEqual(read_cookies('; a; =b; c="'), {"c": '"'})
        self.assertEqual(read_cookies(""), {})

    @given(st.text())
    def test_any_text(self, header: str) -> None:
        """
        Whatever comes, each cookie has a name.
        """
        for name, text in read_cookies(header).items():
            self.assertNotEqual(name, "")
            self.assertNotIn(";", text)
