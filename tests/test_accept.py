"""
Tests for L{ropewalk.web.accept}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IRequest
from twisted.web.test.requesthelper import DummyRequest

from ropewalk.web.accept import preferred, rank

CHROME = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

HTML, JSON = "text/html", "application/json"


def asking(*headers: bytes) -> IRequest:
    """
    A request with these C{Accept} headers.
    """
    request = DummyRequest([b""])
    if headers:
        request.requestHeaders.setRawHeaders(b"accept", list(headers))
    return request  # type: ignore[return-value]


class PreferredTests(SynchronousTestCase):
    """
    A client gets what it would rather have.
    """

    def test_no_preference(self) -> None:
        """
        Who says nothing, as much as curl, gets the first offer.
        """
        for request in asking(), asking(b""), asking(b"*/*"), asking(b", ,"):
            self.assertEqual(preferred(request, JSON, HTML), JSON)
            self.assertEqual(preferred(request, HTML, JSON), HTML)

    def test_browsers(self) -> None:
        """
        A browser gets the page, wherever it stands among the offers.
        """
        for accept in CHROME, FIREFOX:
            request = asking(accept.encode())
            self.assertEqual(preferred(request, JSON, HTML), HTML)
            self.assertEqual(preferred(request, HTML, JSON), HTML)

    def test_programs(self) -> None:
        """
        A program that asks for JSON gets it, also where it would not mind
        anything else.
        """
        for accept in b"application/json", b"application/json, text/plain, */*":
            self.assertEqual(preferred(asking(accept), HTML, JSON), JSON)

    def test_several_headers(self) -> None:
        """
        Several headers are one list (RFC 9110, section 5.3).
        """
        request = asking(b"text/html;q=0.5", b"application/json")
        self.assertEqual(preferred(request, HTML, JSON), JSON)

    def test_nothing_acceptable(self) -> None:
        """
        Who accepts nothing that can be had gets the first offer: an answer that
        can be looked at says more than a 406.
        """
        for accept in b"image/png", b"text/html;q=0, application/json;q=0":
            self.assertEqual(preferred(asking(accept), HTML, JSON), HTML)

    def test_not_text(self) -> None:
        """
        A header need not be UTF-8.
        """
        request = asking(b"\xff\xfe, application/json, text/html;q=\xff")
        self.assertEqual(preferred(request, HTML, JSON), JSON)


class RankTests(SynchronousTestCase):
    """
    How welcome one media type is.
    """

    def test_specificity(self) -> None:
        """
        The most specific range decides, in whatever order they are written: the
        table of RFC 9110, section 12.5.1.
        """
        accept = (
            "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, "
            "text/plain;format=fixed;q=0.4, */*;q=0.5"
        )
        table = {
            "text/plain;format=flowed": 1.0,
            "text/plain": 0.7,
            "text/html": 0.3,
            "image/jpeg": 0.5,
            "text/plain;format=fixed": 0.4,
            "text/html;level=3": 0.3,
        }
        turned = ",".join(reversed(accept.split(",")))
        for spelled in accept, turned, accept.upper():
            found = {offer: rank(spelled, offer) for offer in table}
            self.assertEqual(found, table)

    def test_only_with_parameters(self) -> None:
        """
        A range with parameters that the offer does not have decides only when no
        other range is for it.
        """
        self.assertEqual(rank("text/html;level=1;q=0.4", HTML), 0.4)
        self.assertEqual(rank("text/html;level=1, */*;q=0.1", HTML), 0.1)

    def test_weights(self) -> None:
        """
        A weight is a number from 0 to 1; whatever else stands in its place
        weighs nothing.
        """
        table = {
            "0": 0.0,
            "0.": 0.0,
            ".5": 0.5,
            "0.5": 0.5,
            "0.125": 0.125,
            "0.33333": 0.33333,
            "1": 1.0,
            "1.": 1.0,
            "1.000": 1.0,
            "": 0.0,
            "1.001": 0.0,
            "2": 0.0,
            "-1": 0.0,
            "+1": 0.0,
            "1e-1": 0.0,
            "0_1": 0.0,
            "nan": 0.0,
            "inf": 0.0,
            "\u0661": 0.0,
            "high": 0.0,
        }
        found = {each: rank(f"{HTML};q={each}", HTML) for each in table}
        self.assertEqual(found, table)

    def test_behind_the_weight(self) -> None:
        """
        What stands behind the weight does not make a range more specific.
        """
        self.assertEqual(rank("text/html;q=0.5;level=1, text/html;q=0.7", HTML), 0.5)

    def test_quotes(self) -> None:
        """
        A comma or a semicolon in quotes separates nothing; quotes that are left
        open swallow the rest.
        """
        self.assertEqual(rank(r'text/html;a="\",;q=0";q=0.5', HTML), 0.5)
        self.assertEqual(rank('image/png;a="x, text/html', HTML), 0.0)

    def test_malformed(self) -> None:
        """
        What is no media range is passed over.
        """
        for accept in "text", "/", "text/", "*", "*/html", ";q=1", ",", "text/html/x":
            self.assertEqual(rank(f"{accept}, {HTML};q=0.2", HTML), 0.2, accept)

    @given(st.text(), st.sampled_from([HTML, JSON, "text/html;level=1", "*/*", "x"]))
    def test_anything(self, accept: str, offer: str) -> None:
        """
        Nothing that a client sends raises, and the answer is a weight.
        """
        self.assertTrue(0.0 <= rank(accept, offer) <= 1.0)

    @given(
        st.lists(
            st.sampled_from(
                [*'/,;*="\\ ', "q", "q=", "0.5", "1", "text", "html", "text/*", "*/*"]
            )
        )
    )
    def test_nearly(self, pieces: list[str]) -> None:
        """
        Nor does anything made of what such headers are made of, and one of the
        offers is chosen.
        """
        request = asking("".join(pieces).encode())
        self.assertIn(preferred(request, HTML, JSON), (HTML, JSON))
