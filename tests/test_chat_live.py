# -*- test-case-name: tests.test_chat_live -*-
"""
The demo as it is started by ``make run``: a browser, a TCP socket and an HTTP
client in one room.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import treq
from twisted.internet.defer import gatherResults

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from tests.browser import Browser, Page
from tests.daemonry import CHAT, Lines
from tests.test_daemon import WEB, DaemonTestCase

SETTINGS = WEB + '[chat]\nlisten = "tcp:0:interface=127.0.0.1"\n'

#: Where screenshots are kept to be looked at, if anywhere.
SCREENSHOTS = os.environ.get("SCREENSHOTS")


class ChatTests(DaemonTestCase):
    """
    Who is in a room hears what is said in it, whatever they talk with.
    """

    timeout = 120

    @inlineCallbacks
    def test_one_room(self) -> Steps[None]:
        """
        A browser, ``nc`` and ``curl`` see each other's messages in one order,
        who is there, and what they did wrong; when the daemon stops, each is
        told.
        """
        daemon = self.launch(SETTINGS, paths=(CHAT,))
        places = yield daemon.ready()
        room = places["web"] + "chat/lobby"
        browser = yield Browser.start(self.mktemp())
        self.addCleanup(browser.stop)

        # Grace comes with a browser, Ada with a telephone, Alan with nc.
        grace: Page = yield browser.open(room)
        yield grace.until("document.querySelector('#state.live')")
        yield grace.type("#name", "Grace")
        yield grace.until("here.has('Grace')")
        ada: Page = yield browser.open(room, 390, 700)
        yield ada.type("#name", "Ada")
        yield ada.until("here.has('Ada')")
        alan = yield Lines.to(places["chat"])
        alan.type("/join lobby Alan")
        yield alan.hears("* Alan is here")
        yield gatherResults([page.shows("Grace, Ada, Alan") for page in (grace, ada)])
        alan.type("/who")
        yield alan.hears("* here: Grace, Ada, Alan")

        # Everybody says something, all at once.
        alan.type("hello from nc")
        saying = self.fetch(
            room, "POST", json={"author": "Linus", "text": "hello from curl"}
        )
        yield grace.type("#text", "hello from a browser")
        yield ada.type("#text", "hello from a telephone")
        code, _ = yield saying
        self.assertEqual(code, 201)
        said = ("a browser", "a telephone", "nc", "curl")
        for page in (grace, ada):
            yield gatherResults([page.shows(f"hello from {each}") for each in said])
        yield gatherResults(
            [alan.hears(f"hello from {each}") for each in said if each != "nc"]
        )

        # All of them in the same order.
        response = yield treq.get(room, agent=self.agent)
        messages = (yield response.json())["messages"]
        order = [(each["author"], each["text"]) for each in messages]
        shown = (
            "[...document.querySelectorAll('li:not(.note)')].map(item =>"
            " [item.querySelector('b').textContent, item.childNodes[1].textContent])"
        )
        for page in (grace, ada):
            seen = yield page.run(shown)
            self.assertEqual([tuple(each) for each in seen], order)
        others = [f"{who}: {text}" for who, text in order if who != "Alan"]
        self.assertEqual([each for each in alan.heard if ": hello" in each], others)

        # What is wrong is told in the way of each.
        yield grace.run("send('x'.repeat(501))")
        yield grace.shows("text: expected text of 1 to 500 characters")
        alan.type("x" * 501)
        yield alan.hears("! text: expected text of 1 to 500 characters")
        code, problem = yield self.fetch(room, "POST", json={"author": "", "text": "x"})
        self.assertEqual(
            (code, [each["path"] for each in json.loads(problem)["errors"]]),
            (422, ["author"]),
        )
        if SCREENSHOTS:
            yield grace.screenshot(Path(SCREENSHOTS, "chat.png"))
            yield ada.screenshot(Path(SCREENSHOTS, "chat-phone.png"))
            home = yield browser.open(places["web"])
            yield home.screenshot(Path(SCREENSHOTS, "home.png"))

        # The end.
        yield ada.call("Page.close")
        yield gatherResults([alan.hears("* Ada has left"), grace.shows("Ada has left")])
        daemon.signal("SIGTERM")
        yield alan.hears("* goodbye: shutting down")
        yield grace.until("state.textContent === 'shutting down'")
        status = yield daemon.end()
        self.assertEqual(status, 0)
