"""
Tests for L{ropewalk.web.home}.
"""

from __future__ import annotations

from html.parser import HTMLParser

from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.home import Entry, Home
from tests.visiting import Answer, Place

ENTRIES = [
    Entry("Pages", "/chat", "Chat rooms.", "/chat"),
    Entry("Lines", "nc 127.0.0.1 7070", "Chat rooms."),
    Entry("Pages", "/about", "About us.", "/about"),
]

BROWSER = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"


class Outline(HTMLParser):
    """
    What a page says: headings, links and texts, in order.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._skip = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skip = tag in ("style", "title")
        for name, value in attrs:
            if name == "href":
                self.found.append(f"-> {value}")
        if tag in ("h1", "h2", "code"):
            self.found.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip() and not self._skip:
            self.found.append(data.strip())


class HomeTests(SynchronousTestCase):
    """
    The page at C{/} says what runs here.
    """

    def setUp(self) -> None:
        self.entries = list(ENTRIES)

    def ask(self, *headers: str, title: str = "Ropewalk") -> Answer:
        place = Place.of(Home(title, lambda: self.entries))
        return place.visit().ask("/", "GET", *headers)

    def test_program(self) -> None:
        """
        A program gets a list.
        """
        answer = self.ask()
        self.assertEqual(
            answer.json,
            [
                {
                    "kind": "Pages",
                    "where": "/chat",
                    "what": "Chat rooms.",
                    "link": "/chat",
                },
                {
                    "kind": "Lines",
                    "where": "nc 127.0.0.1 7070",
                    "what": "Chat rooms.",
                    "link": None,
                },
                {
                    "kind": "Pages",
                    "where": "/about",
                    "what": "About us.",
                    "link": "/about",
                },
            ],
        )
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(answer.headers["vary"], "accept")

    def test_browser(self) -> None:
        """
        A browser gets a page, by kind, with links where there is something to
        open.
        """
        answer = self.ask(BROWSER)
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
        self.assertEqual(answer.headers["vary"], "accept")
        self.assertEqual(
            Outline(answer.text).found,
            [
                *("h1", "Ropewalk"),
                "What is running here, and where.",
                *("h2", "Pages"),
                *("-> /chat", "/chat", "Chat rooms."),
                *("-> /about", "/about", "About us."),
                *("h2", "Lines"),
                *("code", "nc 127.0.0.1 7070", "Chat rooms."),
            ],
        )

    def test_nothing(self) -> None:
        """
        A daemon in which nothing runs says that.
        """
        self.entries = []
        self.assertEqual(self.ask().json, [])
        self.assertEqual(Outline(self.ask(BROWSER).text).found[-1], "Nothing yet.")

    def test_now(self) -> None:
        """
        The list is made when it is asked for.
        """
        place = Place.of(Home("Ropewalk", lambda: self.entries))
        visit = place.visit()
        self.assertEqual(len(visit.ask("/").json), 3)
        self.entries.pop()
        self.assertEqual(len(visit.ask("/").json), 2)

    def test_escaped(self) -> None:
        """
        Whatever the names are, they are text.
        """
        attack = "\"><script>'{title}</script>"
        self.entries = [Entry(attack, attack, attack, attack)]
        page = self.ask(BROWSER, title=attack).text
        self.assertNotIn("<script", page)
        self.assertEqual(
            Outline(page).found,
            [
                *("h1", attack),
                "What is running here, and where.",
                *("h2", attack),
                *(f"-> {attack}", attack, attack),
            ],
        )

    def test_methods(self) -> None:
        """
        It can be looked at, and nothing else.
        """
        place = Place.of(Home("Ropewalk", lambda: self.entries))
        visit = place.visit()
        answer = visit.ask("/", "HEAD")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(visit.ask("/", "POST").status, 405)
