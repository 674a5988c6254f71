# -*- test-case-name: tests.test_debugging_live -*-
"""
The page of an error in a browser, and ``ropewalk run`` for who develops.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from tests.browser import Browser, Page
from tests.commandline import PATIENCE, Running, write
from tests.test_daemon import WEB, DaemonTestCase

#: Where screenshots are kept to be looked at, if anywhere.
SCREENSHOTS = os.environ.get("SCREENSHOTS")

PLUGIN = """\
from ropewalk.plugin import ServicePlugin

shop = ServicePlugin("shop", "rope_shop")
"""

SHOP = '''\
"""A shop for rope."""

import asyncio
import json

from attrs import define
from klein import Klein
from twisted.application.service import Service

from ropewalk.awaiting import inlineCallbacks
from ropewalk.schema import Secret, Shape


class Settings(Shape):
    """What it is told."""

    api_key: Secret = Secret("key-of-the-bank")


@define
class Order:
    """What somebody wants."""

    number: int
    metres: float
    password: str = "swordfish"


class Bank:
    """Has the money."""

    def __init__(self, key):
        self.url = f"https://shop:{key}@bank.example/charge"

    @inlineCallbacks
    def charge(self, order):
        yield asyncio.sleep(0.001)
        answer = json.loads('{"status": "declined", "code": 51}')
        try:
            return answer["balance"] - order.metres * 1.5
        except KeyError as error:
            error.add_note(f"the bank answered {answer}")
            problem = f"{self.url}: order {order.number} is not paid"
            raise RuntimeError(problem) from error


class Shop:
    """The pages."""

    routes = Klein()

    def __init__(self, bank):
        self.bank = bank

    @routes.route("/orders/<int:number>")
    @inlineCallbacks
    def pay(self, request, number):
        order = Order(number, 20.0)
        greeting = "Thank you, Größe M it is"
        balance = yield self.bank.charge(order)
        return f"{greeting}: {balance}"


def makeService(settings, host):
    host.web.mount("/shop", Shop(Bank(settings.api_key)).routes)
    return Service()
'''

FILES = {"rope_shop.py": SHOP, "twisted/plugins/rope_shop_plugin.py": PLUGIN}

SETTINGS = WEB + "debugger = true\n[host]\ndevelopment = true\n[shop]\n"


class PageTests(DaemonTestCase):
    """
    What somebody sees who develops.
    """

    timeout = 120

    @inlineCallbacks
    def test_debugger(self) -> Steps[None]:
        """
        The page is used by keyboard: frames are opened, and after the PIN was
        entered Python runs in a frame. Nothing that is secret is anywhere on it.
        """
        project = write(Path(self.mktemp()).absolute(), FILES)
        daemon = self.launch(SETTINGS, paths=(project,))
        said = yield daemon.says("^the debugger is on")
        pin = said["message"].rpartition(" ")[2]
        places = yield daemon.ready()
        browser = yield Browser.start(self.mktemp())
        self.addCleanup(browser.stop)
        page: Page = yield browser.open(
            f"{places['web']}shop/orders/5?token=t-o-k-e-n&colour=red"
        )
        yield page.shows("https://shop:****@bank.example/charge: order 5 is not paid")
        yield page.shows("It was raised from")
        yield page.shows("the bank answered")
        looks = "document.documentElement.outerHTML"
        for secret in ("key-of-the-bank", "swordfish", "t-o-k-e-n"):
            there = yield page.run(f"{looks}.includes({json.dumps(secret)})")
            self.assertFalse(there, secret)
        marked = yield page.run(
            "document.querySelector('section + section mark').textContent"
        )
        self.assertEqual(marked, 'answer["balance"]')

        # By keyboard: what is folded is opened.
        yield page.run("document.querySelector('.folded summary').focus()")
        yield self.press_enter(page)
        yield page.until("document.querySelector('.folded details').open")
        yield self.press_enter(page)

        # Python in the frame asks for the PIN once.
        yield page.type(".console textarea", "order.number + 1")
        yield page.until("ask.open && document.activeElement.id === 'pin'")
        yield self.shoot(page, "debugger-pin")
        yield page.type("#pin", "1")
        yield page.shows("9 tries are left")
        yield page.type("#pin", pin)
        yield page.until("!ask.open")
        answers = "document.querySelector('.console .value')?.textContent"
        yield page.until(f"{answers} === '6'")
        yield page.type(".console textarea", "self.bank")
        yield page.shows("AttributeError")
        yield page.type(".console textarea", "vars(self)")
        yield page.until("document.querySelectorAll('.console .value').length === 2")
        yield self.shoot(page, "debugger", 1100, 1500)
        yield self.shoot(page, "debugger-phone", 390, 1700)
        yield page.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark"}],
        )
        yield self.shoot(page, "debugger-dark", 1100, 1500)
        wide = yield page.run("document.documentElement.scrollWidth <= innerWidth")
        self.assertTrue(wide)

    @inlineCallbacks
    def press_enter(self, page: Page) -> Steps[None]:
        for kind in ("keyDown", "keyUp"):
            yield page.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key="Enter",
                code="Enter",
                text="\r" if kind == "keyDown" else "",
                windowsVirtualKeyCode=13,
            )

    @inlineCallbacks
    def shoot(
        self, page: Page, name: str, width: int = 1000, height: int = 700
    ) -> Steps[None]:
        yield page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        if SCREENSHOTS:
            yield page.screenshot(Path(SCREENSHOTS, f"{name}.png"))


class RunTests(SynchronousTestCase):
    """
    C{ropewalk run} is the developer's command.
    """

    def traceback(self, settings: str) -> list[str]:
        """What a program is told of an error."""
        home = Path(self.mktemp()).absolute()
        write(home, {**FILES, "ropewalk.toml": settings})
        running = Running("run", "--no-reload", cwd=home)
        self.addCleanup(running.kill)
        place = running.says("web answers at ").rpartition("web answers at ")[2]
        place = place.partition('"')[0].strip()
        with self.assertRaises(HTTPError) as caught:
            urlopen(f"{place}shop/orders/5", timeout=PATIENCE)
        with caught.exception as answer:
            found: list[str] = json.loads(answer.read()).get("traceback", [])
        return found

    def test_run(self) -> None:
        """
        Under it errors are explained, unless the file says otherwise.
        """
        settings = f"{WEB}[shop]\n"
        self.assertIn("KeyError: 'balance'", self.traceback(settings))
        settings += "[host]\ndevelopment = false\n"
        self.assertEqual(self.traceback(settings), [])
