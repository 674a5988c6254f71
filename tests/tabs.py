# -*- test-case-name: tests.test_chaos -*-
"""
Those who listen in a browser: ``/ropewalk.js`` itself, amid chaos.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from twisted.internet.task import LoopingCall

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.web import Routes
from tests.browser import Browser, Page

__all__ = ["Tab", "tab_pages"]

#: What a tab does. It hears a channel, and counts aloud in another one. One that
#: wanders goes on by another way after so many messages.
PAGE = b"""<!doctype html><title>Ear</title><body><script type="module">
import { Ropewalk } from "/ropewalk.js";
const told = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const { name, ways, every, silence } = told;
window.heard = [];
window.answered = [];
window.gaps = 0;
window.calm = false;
let rope, subscription, number = 0;
const begin = (ways, after) => {
  rope = new Ropewalk({ ways, pause: 0.004, silence, answer: silence });
  const gap = () => (gaps += 1);
  subscription = rope.subscribe("rooms.count", hear, { after, gap });
};
const hear = ({ body }) => {
  if (heard.push(body) % every === 0 && !calm) setTimeout(wander);
};
const wander = () => {
  const { token } = subscription;
  rope.close();
  begin([ways[Math.floor(Math.random() * ways.length)]], token);
};
const speak = async () => {
  while (!calm) {
    await new Promise((done) => setTimeout(done, 2));
    if (rope.state !== "open") continue;
    const mine = (number += 1);
    await rope.publish(`rooms.${name}`, mine).then(() => answered.push(mine), () => {});
  }
};
window.leave = () => rope.close();
begin(ways, "");
void speak();
window.ready = true;
</script>"""

#: Seconds after which a tab is asked again how far it is.
_EVERY = 0.03


def tab_pages() -> Any:
    """What serves it."""
    pages = Routes()

    @pages.get("/")
    def page(request: Any) -> bytes:
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        return PAGE

    return pages


class Tab:
    """
    Hears a channel in a page, and counts aloud in another one.

    :param name: What it is called: its ways.
    :ivar heard: What it has heard,
    :ivar gaps: how often it was told that something is missing,
    :ivar answered: and what it has published for certain: when it was asked at last.
    :ivar reached: The last that it has heard, as far as is known.
    :ivar once: Whether what it publishes is never there twice.
    """

    def __init__(self, name: str, page: Page, once: bool) -> None:
        self.name = name
        self.once = once
        self.channel = f"rooms.{name}"
        self.heard: list[Any] = []
        self.gaps = 0
        self.answered: list[int] = []
        self.reached = 0
        self._page = page
        self._looking = LoopingCall(self._look)
        self._looked = self._looking.start(_EVERY)

    @classmethod
    @inlineCallbacks
    def open(
        cls, browser: Browser, url: str, name: str, ways: tuple[str, ...], **more: Any
    ) -> Steps[Tab]:
        """Open one that talks in some ways."""
        words = quote(json.dumps({"name": name, "ways": ways, **more}))
        page: Page = yield browser.open(f"{url}#{words}")
        yield page.until("window.ready")
        # A browser sends again by HTTP what may have come in vain.
        return cls(name, page, ways == ("websocket",))

    def speak(self) -> None:
        """It does so by itself."""

    def wander(self, random: Any) -> None:
        """This, too."""

    @inlineCallbacks
    def hear_up_to(self, last: int) -> Steps[None]:
        """Wait until something was heard."""
        self._looking.stop()
        yield self._looked
        yield self._page.run("calm = true")
        while self.reached < last:
            yield self._look()
        told = yield self._page.run("[heard, gaps, answered]")
        self.heard, self.gaps, self.answered = told

    @inlineCallbacks
    def close(self) -> Steps[None]:
        """Leave."""
        if self._looking.running:
            self._looking.stop()
            yield self._looked
        yield self._page.run("leave()")

    @inlineCallbacks
    def _look(self) -> Steps[None]:
        self.reached = yield self._page.run("heard.at(-1) ?? 0")
