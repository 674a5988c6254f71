"""
Tests for L{ropewalk.web.lines}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import InvalidHeaderName

from ropewalk.web import lines


class LineTests(SynchronousTestCase):
    """
    Lines of a head, as they are sent.
    """

    def test_usual_name(self) -> None:
        """
        A header is sent under its usual name, whatever it was given as.
        """
        line = b"Content-Type", b"Content-Type: text/plain\r\n"
        for name, value in (
            (b"content-type", b"text/plain"),
            ("CONTENT-TYPE", "text/plain"),
            (b"Content-Type", "text/plain"),
        ):
            for _ in range(2):
                self.assertEqual(lines.header_line(name, value), line)

    def test_no_line_breaks(self) -> None:
        """
        No value begins another line.
        """
        line = lines.header_line(b"X", b"a\r\nSet-Cookie: b=c")
        assert line is not None
        self.assertEqual(line[1].count(b"\r\n"), 1)
        self.assertTrue(line[1].endswith(b"\r\n"))

    def test_bad_names(self) -> None:
        """
        A name that is none is refused, each time.
        """
        for _ in range(2):
            self.assertRaises(InvalidHeaderName, lines.header_line, b"a b", b"c")

    def test_special(self) -> None:
        """
        What decides about the answer is not just copied.
        """
        for name in b"content-length", b"connection", b"Date", "transfer-encoding":
            self.assertIsNone(lines.header_line(name, b"5"))

    def test_bounded(self) -> None:
        """
        What is remembered has bounds: of number, and of length.
        """
        for number in range(3000):
            lines.header_line(b"X-Number", b"%d" % number)
        lines.header_line(b"X-Long", b"x" * 10_000)
        self.assertLessEqual(len(lines.remembered), 1024)
        self.assertNotIn((b"X-Long", b"x" * 10_000), lines.remembered)

    def test_opening(self) -> None:
        """
        An answer says how it went, who gives it, and when.
        """
        for version, code, phrase in (
            (b"HTTP/1.1", 200, b"OK"),
            (b"HTTP/1.0", 200, b"OK"),
            (b"HTTP/1.1", 404, b"Not Found"),
            (b"HTTP/1.1", 200, b"Fine"),
        ):
            said = lines.opening(version, code, phrase)
            status, server, date, end = said.split(b"\r\n")
            self.assertEqual(status, b"%b %d %b" % (version, code, phrase))
            self.assertTrue(server.startswith(b"Server: TwistedWeb/"))
            self.assertRegex(date, rb"^Date: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$")
            self.assertEqual(end, b"")

    def test_time_goes_on(self) -> None:
        """
        The date is the present one.
        """
        dates = []
        for now in 784111777.2, 784111777.9, 784111778.1:
            self.patch(lines, "time", lambda now=now: now)
            dates.append(lines.opening(b"HTTP/1.1", 200, b"OK").split(b"\r\n")[2])
        first = b"Date: Sun, 06 Nov 1994 08:49:37 GMT"  # RFC 9110, section 5.6.7
        self.assertEqual(dates, [first, first, first.replace(b"37", b"38")])
        self.patch(lines, "_second", 0)
