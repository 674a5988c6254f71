# -*- test-case-name: tests.test_chat_live -*-
"""
The demo as it is started by ``make run``: a browser, ``nc``, ``curl`` and a Python
client in one room.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest

from ropewalk.awaiting import inlineCallbacks
from ropewalk.client import Client
from ropewalk.interfaces import Steps
from tests.browser import Browser, Page
from tests.daemonry import CHAT, PATIENCE, Lines, reactor
from tests.test_daemon import WEB, DaemonTestCase

SETTINGS = WEB + '[chat]\nlisten = "tcp:0:interface=127.0.0.1"\n'

#: Where screenshots are kept to be looked at, if anywhere.
SCREENSHOTS = os.environ.get("SCREENSHOTS")


#: What is said on a page, by whom.
SHOWN = (
    "[...document.querySelectorAll('li:not(.note)')].map(item =>"
    " [item.querySelector('b').textContent, item.childNodes[1].textContent])"
)


class Listening(ProcessProtocol):
    """
    ``curl -N``, in a process of its own, which hears a stream of events.

    :ivar told: What it has written so far.
    """

    def __init__(self) -> None:
        self.told = ""
        self._ended: Deferred[None] = Deferred()
        self._waiting: list[tuple[str, Deferred[None]]] = []

    @classmethod
    def to(cls, url: str) -> Listening:
        """
        Start one.

        :raise SkipTest: Where there is no ``curl``.
        """
        curl = shutil.which("curl")
        if curl is None:
            raise SkipTest("there is no curl")
        listening = cls()
        command = (curl, "-sN", "-m", str(4 * PATIENCE), url)
        accept = ("-H", "Accept: text/event-stream")
        reactor.spawnProcess(listening, curl, (*command, *accept), env=os.environ)
        return listening

    def hears(self, text: str) -> Deferred[None]:
        """Wait until it has written a text."""
        waiting: Deferred[None] = Deferred()
        waiting.addTimeout(PATIENCE, reactor)
        self._waiting.append((text, waiting))
        self.outReceived(b"")
        return waiting

    def said(self) -> list[tuple[str, str]]:
        """What it has heard, by whom."""
        events = [event.split("\n") for event in self.told.split("\n\n")]
        bodies = [
            json.loads(line.removeprefix("data: "))["body"]
            for event in events
            if not any(line.startswith("event: ") for line in event)
            for line in event
            if line.startswith("data: ")
        ]
        return [(body["author"], body["text"]) for body in bodies]

    def stop(self) -> Deferred[None]:
        """End it, if it still runs."""
        transport: Any = self.transport
        with contextlib.suppress(ProcessExitedAlready):
            transport.signalProcess("KILL")
        return self._ended

    def outReceived(self, data: bytes) -> None:
        self.told += data.decode("utf-8", "replace")
        for text, waiting in list(self._waiting):
            if text in self.told:
                self._waiting.remove((text, waiting))
                waiting.callback(None)

    def processEnded(self, reason: Failure) -> None:
        self._ended.callback(None)


class Program:
    """
    A program that is in the lobby with the Python client.

    :ivar said: What it has heard, by whom.
    """

    def __init__(self, url: str, name: str) -> None:
        self.said: list[tuple[str, str]] = []
        self.client = Client(url, reactor)
        self.client.subscribe("rooms.lobby", self._hear, who=name, after="")

    def _hear(self, message: Any) -> None:
        self.said.append((message.body["author"], message.body["text"]))


class ChatTests(DaemonTestCase):
    """
    Who is in a room hears what is said in it, whatever they talk with.
    """

    timeout = 120

    @inlineCallbacks
    def test_one_room(self) -> Steps[None]:
        """
        A browser, ``nc``, ``curl`` and a Python client see each other's messages in one
        order, who is there, and what they did wrong; when the daemon stops, each is
        told.
        """
        daemon = self.launch(SETTINGS, paths=(CHAT,))
        places = yield daemon.ready()
        web = places["web"]
        room, channel = f"{web}chat/lobby", f"{web}channels/rooms.lobby"
        browser = yield Browser.start(self.mktemp())
        self.addCleanup(browser.stop)

        # Grace comes with a browser, Ada with a telephone, Alan with nc, Linus with
        # curl, and Guido is a program.
        grace: Page = yield self.visit(browser, room, "Grace")
        ada: Page = yield self.visit(browser, room, "Ada", 390, 700)
        alan = yield Lines.to(places["chat"])
        alan.type("/join lobby Alan")
        yield alan.hears("* Alan is here")
        linus = Listening.to(f"{channel}?who=Linus")
        self.addCleanup(linus.stop)
        yield linus.hears("event: ready")
        guido = Program(web, "Guido")
        self.addCleanup(guido.client.close)
        yield alan.hears("* Guido is here")
        everybody = "Grace, Ada, Alan, Linus, Guido"
        yield gatherResults([page.shows(everybody) for page in (grace, ada)])
        alan.type("/who")
        yield alan.hears(f"* here: {everybody}")

        # Everybody says something, all at once.
        alan.type("hello from nc")
        line = {"author": "Linus", "text": "hello from curl"}
        saying = self.fetch(channel, "POST", json=line)
        line = {"author": "Guido", "text": "hello from a program"}
        published = guido.client.publish("rooms.lobby", line)
        yield grace.type("#text", "hello from a browser")
        yield ada.type("#text", "hello from a telephone")
        code, _ = yield saying
        self.assertEqual(code, 201)
        yield published
        said = ("a browser", "a telephone", "nc", "curl", "a program")
        for each in said:
            text = f"hello from {each}"
            yield gatherResults([page.shows(text) for page in (grace, ada)])
            yield linus.hears(text)
            if each != "nc":
                yield alan.hears(text)

        # All of them in the same order.
        _, heard = yield self.fetch(channel)
        bodies = [each["body"] for each in json.loads(heard)["messages"]]
        order = [(body["author"], body["text"]) for body in bodies]
        self.assertEqual(len(order), len(said))
        for page in (grace, ada):
            seen = yield page.run(SHOWN)
            self.assertEqual([tuple(each) for each in seen], order)
        others = [f"{who}: {text}" for who, text in order if who != "Alan"]
        self.assertEqual([each for each in alan.heard if ": hello" in each], others)
        self.assertEqual(linus.said(), order)
        self.assertEqual(guido.said, order)

        # What is wrong is told in the way of each.
        yield grace.run("text.value = 'x'.repeat(501); form.requestSubmit()")
        yield grace.shows("text: expected text of 1 to 500 characters")
        self.assertEqual((yield grace.run("text.value.length")), 501)
        alan.type("x" * 501)
        yield alan.hears("! text: expected text of 1 to 500 characters")
        code, problem = yield self.fetch(
            channel, "POST", json={"author": "", "text": "x"}
        )
        self.assertEqual(
            (code, [each["path"] for each in json.loads(problem)["errors"]]),
            (422, ["author"]),
        )
        if SCREENSHOTS:
            yield grace.screenshot(Path(SCREENSHOTS, "chat.png"))
            yield ada.screenshot(Path(SCREENSHOTS, "chat-phone.png"))
            home = yield browser.open(web)
            yield home.screenshot(Path(SCREENSHOTS, "home.png"))

        # Who takes another name is seen under it, and hears nothing twice.
        yield grace.run("text.value = ''")
        yield grace.type("#name", "Hopper")
        left = ("Grace has left", "Hopper is here")
        for each in left:
            yield gatherResults([alan.hears(f"* {each}"), ada.shows(each)])
        yield ada.shows("Ada, Alan, Linus, Guido, Hopper")
        self.assertEqual(len((yield grace.run(SHOWN))), len(said))

        # The end.
        yield ada.call("Page.close")
        yield gatherResults([alan.hears("* Ada has left"), grace.shows("Ada has left")])
        daemon.signal("SIGTERM")
        yield alan.hears("* goodbye: shutting down")
        yield grace.until("state.textContent === 'shutting down'")
        status = yield daemon.end()
        self.assertEqual(status, 0)

    @inlineCallbacks
    def test_another_daemon(self) -> Steps[None]:
        """
        A page survives its daemon: what is said to the next one it shows once, also
        what was written while there was none; what was before is gone, as it is for
        whoever comes now.
        """
        daemon = self.launch(SETTINGS, paths=(CHAT,))
        places = yield daemon.ready()
        browser = yield Browser.start(self.mktemp())
        self.addCleanup(browser.stop)
        grace: Page = yield self.visit(browser, f"{places['web']}chat/lobby", "Grace")
        for text in ("one", "two"):
            yield grace.type("#text", text)
            yield grace.shows(text)
        daemon.signal("SIGTERM")
        yield daemon.end()
        yield grace.until("!document.querySelector('#state.live')")
        yield grace.type("#text", "three")

        port = places["web"].rstrip("/").rpartition(":")[2]
        settings = SETTINGS.replace("tcp:0:", f"tcp:{port}:", 1)
        daemon = self.launch(settings, paths=(CHAT,))
        yield daemon.ready()
        yield grace.until("document.querySelector('#state.live')")
        yield grace.shows("three")
        yield grace.type("#text", "four")
        yield grace.shows("four")
        said = [["Grace", "three"], ["Grace", "four"]]
        self.assertEqual((yield grace.run(SHOWN)), said)
        yield grace.shows("what was said before is not remembered")
        yield grace.until("present.textContent === 'Grace'")

    @inlineCallbacks
    def visit(self, browser: Browser, room: str, name: str, *size: int) -> Steps[Page]:
        """Come into a room under a name."""
        page: Page = yield browser.open(room, *size)
        yield page.until("document.querySelector('#state.live')")
        yield page.type("#name", name)
        yield page.until(f"present.textContent.includes({json.dumps(name)})")
        return page
