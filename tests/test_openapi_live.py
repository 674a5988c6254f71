# -*- test-case-name: tests.test_openapi_live -*-
"""
The page of L{ropewalk.web.openapi} in a browser, over a real site.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.trial.unittest import TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.web.documenting import mount_documentation
from ropewalk.web.mounts import Mount, Mounts, resource_for
from ropewalk.web.openapi.page import DocumentationPages
from ropewalk.web.site import Site
from tests.browser import Browser, Page
from tests.shop import TOKEN, Shop

reactor: Any = global_reactor

#: Where screenshots are kept to be looked at, if anywhere.
SCREENSHOTS = os.environ.get("SCREENSHOTS")


def make_site(clock: Any) -> Site:
    """A site with the shop and its documentation."""
    mounts = Mounts()
    routes = Shop().routes
    mounts.add(Mount("/", resource_for(routes), "products", "x.py:1", "pages", routes))
    about = {"products": "What is for sale."}
    mount_documentation(
        mounts, "/openapi", "web", "x.toml:1", title="The rope shop", about=about
    )
    return Site(mounts, clock)


#: What a document may say, and what must be text then.
ATTACK = "<img src=x onerror='attacked = 1'><script>attacked = 1</script>"


class OpenApiPageTests(TestCase):
    """
    The documentation is read, searched and tried by keyboard alone.
    """

    timeout = 120

    @inlineCallbacks
    def setUp(self) -> Steps[None]:  # type: ignore[override]
        self.browser = yield Browser.start(self.mktemp())
        self.addCleanup(self.browser.stop)

    def serve(self, site: Any) -> str:
        """Serve a site; where it is."""
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return f"http://127.0.0.1:{port.getHost().port}"

    @inlineCallbacks
    def open(self, url: str, *size: int) -> Steps[Page]:
        """Open the page, and wait until the document is there."""
        page: Page = yield self.browser.open(url, *size)
        yield page.until("!document.querySelector('main').hasAttribute('aria-busy')")
        return page

    @inlineCallbacks
    def press(self, page: Page, *keys: str) -> Steps[None]:
        """Press keys, one after the other; ``Ctrl+Enter`` both at once."""
        for each in keys:
            key = each.removeprefix("Ctrl+")
            text = key if len(key) == 1 else "\r" if key == "Enter" else ""
            code = {"Enter": 13, "Escape": 27, "Tab": 9}.get(key, 0)
            modifiers = 2 if each != key else 0
            for kind in ("keyDown", "keyUp"):
                yield page.call(
                    "Input.dispatchKeyEvent",
                    type=kind,
                    key=key,
                    code=key,
                    text=text if kind == "keyDown" and not modifiers else "",
                    windowsVirtualKeyCode=code,
                    modifiers=modifiers,
                )

    @inlineCallbacks
    def shoot(self, page: Page, name: str) -> Steps[None]:
        """Keep a picture, if pictures are kept."""
        if SCREENSHOTS:
            yield page.screenshot(Path(SCREENSHOTS, f"openapi-{name}.png"))

    @inlineCallbacks
    def test_by_keyboard(self) -> Steps[None]:
        """
        An operation is found, opened, tried and closed without a mouse; faults are
        shown at the fields that they are about.
        """
        page = yield self.open(self.serve(make_site(reactor)) + "/openapi")
        focus = "document.activeElement"
        yield page.shows("8 operations")
        yield self.press(page, "/")
        self.assertEqual((yield page.run(f"{focus}.id")), "search")
        yield page.call("Input.insertText", text="add prod")
        yield page.shows("1 of 8")
        yield self.press(page, "ArrowDown", "Enter")
        opened = yield page.run(f"{focus}.getAttribute('aria-expanded')")
        self.assertEqual(opened, "true")
        self.assertEqual((yield page.run("location.hash")), "#products.create")
        for told in ("Hemp rope, 20 m", "1 to 60 characters", "Only look whether"):
            found = yield page.run(
                "document.querySelector('.operation.open').textContent"
                " + document.querySelector('textarea').value"
            )
            self.assertIn(told, found)
        yield self.shoot(page, "open")

        # The form: not known first, then with a token, then with faults.
        yield page.run("document.querySelector('form.try input').focus()")
        yield self.press(page, "Ctrl+Enter")
        yield page.shows("401 Unauthorized")
        yield page.call("Input.insertText", text=TOKEN)
        yield self.press(page, "Ctrl+Enter")
        yield page.shows("201 Created")
        shown = yield page.run(
            "JSON.parse(document.querySelector('pre.body').innerText)"
        )
        self.assertEqual(shown["tags"], ["hemp", "rope"])
        yield page.run("document.querySelector('textarea').select()")
        yield page.run("document.querySelector('textarea').focus()")
        yield page.call("Input.insertText", text='{"name": "", "price": 1}')
        yield self.press(page, "Ctrl+Enter")
        yield page.until("document.querySelector('textarea[aria-invalid=true]')")
        fault = yield page.run(
            "document.querySelector('.fault:not([hidden])').innerText"
        )
        self.assertIn("name: expected text of 1 to 60 characters", fault)
        self.assertEqual((yield page.run(f"{focus}.tagName")), "TEXTAREA")
        yield self.shoot(page, "fault")

        # Out again.
        yield self.press(page, "Escape")
        self.assertEqual(
            (yield page.run(f"{focus}.getAttribute('aria-expanded')")), "false"
        )
        self.assertEqual((yield page.run("location.hash")), "")
        yield self.press(page, "/", "Escape")
        yield page.shows("8 operations")
        yield self.press(page, "ArrowDown", "j", "j", "k", "ArrowDown")
        yield page.until(f"{focus}.innerText.includes('One product')")
        yield self.press(page, "?")
        yield page.until("document.querySelector('dialog').open")
        yield self.press(page, "Escape")
        yield page.until("!document.querySelector('dialog').open")

    @inlineCallbacks
    def test_every_kind_of_field(self) -> Steps[None]:
        """
        Paths, queries, lists, cookies and files are sent as the handlers read them,
        and told as a curl command.
        """
        home = self.serve(make_site(reactor))
        page = yield self.open(f"{home}/openapi#products.search")
        form = "document.querySelector('.operation.open form.try')"
        yield page.run(
            f"""{{
              const [q, limit, tag, last] =
                [...{form}.querySelectorAll('input, textarea')];
              q.value = 'a&b é'; limit.value = '0'; tag.value = 'x\\ny';
              last.value = '7';
            }}"""
        )
        yield page.run(f"{form}.querySelector('.actions button[type=button]').click()")
        command = yield page.run(f"{form}.querySelector('.curl pre').textContent")
        self.assertIn("q=a%26b+%C3%A9&limit=0&tag=x&tag=y", command)
        self.assertIn("-b last=7", command)
        yield page.run(f"{form}.requestSubmit()")
        yield page.shows("400 Bad Request")
        fault = yield page.run(
            f"{form}.querySelector('[aria-invalid]').closest('.field').innerText"
        )
        self.assertIn("limit", fault)
        self.assertIn("expected an integer from 1 to 100", fault)
        self.assertEqual((yield page.run("document.cookie")), "")

        yield page.run("location.hash = 'products.picture'")
        picture = "document.getElementById('products.picture')"
        yield page.until(f"{picture}.querySelector('form.try')")
        yield page.run(
            f"""{{
              const files = new DataTransfer();
              files.items.add(new File(['rope'], 'a.png', {{type: 'image/png'}}));
              {picture}.querySelector('input[type=file]').files = files.files;
              {picture}.querySelector('form.try').requestSubmit();
            }}"""
        )
        yield page.until(f"{picture}.querySelector('pre.body')")
        told = yield page.run(f"{picture}.querySelector('pre.body').textContent")
        self.assertEqual(json.loads(told), {"image/png": 4})

    @inlineCallbacks
    def test_text_is_text(self) -> Steps[None]:
        """
        Nothing that the document says runs.
        """
        described = {
            "openapi": "3.1.0",
            "info": {"title": ATTACK, "description": ATTACK, "version": ATTACK},
            "tags": [{"name": ATTACK, "description": f"[{ATTACK}](https://x.example)"}],
            "paths": {
                f"/{ATTACK}": {
                    "post": {
                        "operationId": "attack",
                        "tags": [ATTACK],
                        "summary": ATTACK,
                        "description": f"`{ATTACK}`\n\n```\n{ATTACK}\n```",
                        "parameters": [
                            {
                                "name": ATTACK,
                                "in": "query",
                                "description": ATTACK,
                                "schema": {"enum": [ATTACK], "default": ATTACK},
                            }
                        ],
                        "requestBody": {
                            "content": {
                                "application/json": {
                                    "schema": {
                                        "type": "object",
                                        "properties": {
                                            ATTACK: {"const": ATTACK, "title": ATTACK}
                                        },
                                    }
                                }
                            }
                        },
                        "responses": {"200": {"description": ATTACK}},
                    }
                }
            },
        }
        mounts = Mounts()
        pages = DocumentationPages(lambda _: described, ATTACK)
        for path, each in (("/x", pages.page), ("/openapi.json", pages.document)):
            mounts.add(Mount(path, each, "shop", "shop.py:1", "pages", each))
        home = self.serve(Site(mounts, reactor))
        page = yield self.open(f"{home}/x#attack")
        yield page.until("document.querySelector('.operation.open')")
        self.assertIs((yield page.run("'attacked' in window")), False)
        marked = yield page.run(
            "document.querySelectorAll('main img, main script, header img').length"
        )
        self.assertEqual(marked, 0)
        self.assertEqual((yield page.run("document.title")), ATTACK)

    @inlineCallbacks
    def test_telephone(self) -> Steps[None]:
        """
        It fits a telephone, in the light and in the dark.
        """
        home = self.serve(make_site(reactor))
        for scheme in ("light", "dark"):
            page = yield self.open(f"{home}/openapi#products.create", 360, 740)
            yield page.call(
                "Emulation.setEmulatedMedia",
                features=[{"name": "prefers-color-scheme", "value": scheme}],
            )
            yield page.until("document.querySelector('.operation.open')")
            width = yield page.run("document.documentElement.scrollWidth")
            self.assertLessEqual(width, 360)
            yield self.shoot(page, f"telephone-{scheme}")
