"""
Tests for L{ropewalk.web.headers}.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.headers import Headers, write_cookie


class HeadersTests(SynchronousTestCase):
    """
    Headers have names in any case, and any number of values.
    """

    def test_names(self) -> None:
        """
        The case of a name does not matter, but it is kept.
        """
        headers = Headers({"X-A": "1"})
        self.assertEqual(
            (headers["x-a"], "X-a" in headers, "b" in headers), ("1", True, False)
        )
        self.assertNotIn(5, headers)
        headers["x-A"] = "2"
        self.assertEqual((list(headers), len(headers)), (["x-A"], 1))
        del headers["X-A"]
        self.assertEqual((headers.get("X-A"), headers.get_all("X-A")), (None, []))

    def test_values(self) -> None:
        """
        There can be several values, which read as one.
        """
        headers = Headers([("Vary", "accept"), ("vary", ["cookie", "origin"])])
        self.assertEqual(headers["vary"], "accept, cookie, origin")
        headers.add("VARY", b"x-\xc3\xa9")
        headers.setdefault("Age", 5)  # type: ignore[arg-type]
        self.assertEqual(headers.get_all("vary"), ["accept", "cookie", "origin", "x-é"])
        self.assertEqual(
            repr(headers),
            "Headers({'Vary': ['accept', 'cookie', 'origin', 'x-é'], 'Age': ['5']})",
        )

    def test_injection(self) -> None:
        """
        Nothing that comes in a value begins another header.
        """
        for text in (
            "a\r\nSet-Cookie: b",
            "a\nb",
            "a\rb",
            "a\0b",
            b"a\r\nb",
            ["a", "\n"],
        ):
            self.assertRaises(ValueError, Headers, {"X-A": text})
            self.assertRaises(ValueError, Headers().__setitem__, "X-A", text)
            self.assertRaises(ValueError, Headers().add, "X-A", text)
        for name in "", "a b", "a:", "a\n", "é", b"a\r\n":
            self.assertRaises(ValueError, Headers, {name: "x"})

    @given(st.text(), st.text())
    def test_any(self, name: str, value: str) -> None:
        """
        Whatever a client could have a handler say, it is one line or an error.
        """
        try:
            headers = Headers({name: value})
        except ValueError:
            return
        self.assertNotRegex(f"{name}{value}", r"[\r\n\0]")
        self.assertEqual(headers.get_all(name.upper()), [value])


class CookieTests(SynchronousTestCase):
    """
    What is set is a cookie.
    """

    def test_bad(self) -> None:
        """
        What is no cookie, or one that no browser takes, is an error.
        """
        cookies: tuple[tuple[str, str, dict[str, Any]], ...] = (
            ("", "b", {}),
            ("a b", "b", {}),
            ("a", "b; Domain=evil", {}),
            ("a", "b\r\nX: y", {}),
            ("a", "é", {}),
            ("a", "b c", {}),
            ("a", '"b"', {}),
            ("a", "b", {"path": "/; Secure"}),
            ("a", "b", {"domain": "x\n"}),
            ("a", "b", {"same_site": "None"}),
            ("a", "b", {"same_site": "lax; x"}),
            ("__Secure-a", "b", {}),
            ("__Host-a", "b", {"secure": True, "domain": "example.org"}),
            ("__Host-a", "b", {"secure": True, "path": "/b"}),
        )
        for name, value, more in cookies:
            with self.assertRaises(ValueError, msg=(name, value, more)):
                write_cookie(name, value, **more)
