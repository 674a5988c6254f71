"""
A real Chromium, headless, spoken to by its DevTools protocol, for tests.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from itertools import count
from pathlib import Path
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from tests.daemonry import PATIENCE, reactor

#: What keeps it from looking for the world outside.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # No page is in the background.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)


def find_chromium() -> str:
    """
    Chromium's program.

    :raise SkipTest: Where there is none. In continuous integration that is an
        error.
    """
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found is not None:
            return found
    if os.environ.get("CI"):
        raise AssertionError("no chromium: apt install chromium")
    raise SkipTest("no chromium here: `apt install chromium` brings it")


class Browser(ProcessProtocol):
    """
    One Chromium.
    """

    def __init__(self) -> None:
        self.address: Deferred[str] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self._said = ""
        self._tools: _DevTools | None = None

    @classmethod
    @inlineCallbacks
    def start(cls, directory: Path | str) -> Steps[Browser]:
        """
        Start one.

        :param directory: Where it keeps its things.
        """
        browser = cls()
        program = find_chromium()
        home = Path(directory).absolute()
        home.mkdir(parents=True)
        command = [program, *_FLAGS, f"--user-data-dir={home}", "about:blank"]
        reactor.spawnProcess(browser, program, command, env={**os.environ})
        address: str = yield browser.address.addTimeout(PATIENCE, reactor)
        browser._tools = yield _DevTools.to(address)
        return browser

    @inlineCallbacks
    def open(self, url: str, width: int = 1000, height: int = 700) -> Steps[Page]:
        """Open a page in a window of its own, and wait until it is there."""
        tools = self._tools
        assert tools is not None
        made = yield tools.call("Target.createTarget", url="about:blank")
        attached = yield tools.call(
            "Target.attachToTarget", targetId=made["targetId"], flatten=True
        )
        page = Page(tools, attached["sessionId"])
        yield page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        # Of several pages, each believes that it has the keyboard.
        yield page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        yield page.call("Page.navigate", url=url)
        yield page.until(
            "document.readyState === 'complete' && location.href !== 'about:blank'"
        )
        return page

    @inlineCallbacks
    def stop(self) -> Steps[None]:
        """End it."""
        if self._tools is not None:
            self._tools.dropConnection(abort=True)
            yield self._tools.ended
        if not self.ended.called:
            transport: Any = self.transport
            transport.signalProcess("KILL")
            yield self.ended

    def errReceived(self, data: bytes) -> None:
        self._said += data.decode("utf-8", "replace")
        found = re.search(r"DevTools listening on (ws://\S+)", self._said)
        if found and not self.address.called:
            self.address.callback(found[1])

    def processEnded(self, reason: Failure) -> None:
        if not self.address.called:
            self.address.errback(AssertionError(f"chromium ended: {self._said}"))
        self.ended.callback(None)


class Page:
    """
    One page.
    """

    def __init__(self, tools: _DevTools, session: str) -> None:
        self._tools = tools
        self._session = session

    def call(self, method: str, **values: Any) -> Deferred[Any]:
        """A method of the DevTools protocol."""
        return self._tools.call(method, self._session, **values)

    @inlineCallbacks
    def run(self, script: str) -> Steps[Any]:
        """
        Run JavaScript in the page.

        :return: fires with its value; a promise is waited for.
        """
        answer = yield self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {json.dumps(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    def until(self, condition: str) -> Deferred[Any]:
        """Wait until an expression is true; it is looked at for every frame."""
        script = (
            "new Promise((done, failed) => {"
            f"  const end = performance.now() + {PATIENCE * 1000};"
            "  const look = () => {"
            f"    if ({condition}) done(true);"
            "    else if (performance.now() > end)"
            "      failed(new Error(document.body.innerText));"
            "    else setTimeout(look, 10);"
            "  };"
            "  look();"
            "})"
        )
        return self.run(script)

    def shows(self, text: str) -> Deferred[Any]:
        """Wait until the page shows a text."""
        return self.until(f"document.body.innerText.includes({json.dumps(text)})")

    @inlineCallbacks
    def type(self, selector: str, text: str) -> Steps[None]:
        """Type into a field, as a person does, and press Enter."""
        yield self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        yield self.run(f"document.querySelector({json.dumps(selector)}).select()")
        yield self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            yield self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key="Enter",
                code="Enter",
                text="\r" if kind == "keyDown" else "",
                windowsVirtualKeyCode=13,
            )

    @inlineCallbacks
    def screenshot(self, path: Path | str) -> Steps[None]:
        """Keep what it looks like as a PNG file."""
        taken = yield self.call("Page.captureScreenshot", format="png")
        Path(path).write_bytes(base64.b64decode(taken["data"]))


class _DevTools(WebSocketClientProtocol):
    """The connection to the browser."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self._numbers = count(1)
        self._waiting: dict[int, Deferred[Any]] = {}

    @classmethod
    @inlineCallbacks
    def to(cls, address: str) -> Steps[_DevTools]:
        factory = WebSocketClientFactory(address, reactor=reactor)
        factory.protocol = cls
        factory.setProtocolOptions(openHandshakeTimeout=PATIENCE)
        endpoint = TCP4ClientEndpoint(reactor, factory.host, factory.port)
        tools: _DevTools = yield endpoint.connect(factory)
        yield tools.opened
        return tools

    def call(
        self, method: str, session: str | None = None, **values: Any
    ) -> Deferred[Any]:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": values}
        if session is not None:
            message["sessionId"] = session
        waiting = self._waiting[number] = Deferred()
        self.sendMessage(json.dumps(message).encode("utf-8"))
        return waiting.addTimeout(PATIENCE + 5, reactor)

    def onOpen(self) -> None:
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = json.loads(payload)
        waiting = self._waiting.pop(message.get("id"), None)
        if waiting is None:
            return
        if "error" in message:
            waiting.errback(AssertionError(message["error"]["message"]))
        else:
            waiting.callback(message["result"])

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.ended.callback(None)
