# -*- test-case-name: tests.test_openapi -*-
"""
The documentation as it is served: the document, and a page to read it on. The page is
one file with all that it needs, so that it works wherever the site does.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from hashlib import sha256
from html import escape
from pkgutil import get_data
from typing import Any

from twisted.web.iweb import IRequest
from twisted.web.resource import Resource

from ropewalk.web.texts import Text, Texts

__all__ = ["DocumentationPages"]

#: How many documents are kept: there is one for each host that is told apart.
_MOST_DOCUMENTS = 64

_POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _the_only(host: str) -> Hashable:
    return None


class DocumentationPages:
    """
    What the documentation is served by.

    :ivar make: Makes a document; called once for each that is asked for, when somebody
        asks first.
    :ivar title: What the page is called until the document is there.
    :ivar address: Where the document is, seen from the page.
    :ivar choose: Says by the host which document is meant: what ``make`` is called
        with. For all that it says the same of, there is one.
    """

    def __init__(
        self,
        make: Callable[[Any], Mapping[str, Any]],
        title: str = "API",
        address: str = "openapi.json",
        choose: Callable[[str], Hashable] = _the_only,
    ) -> None:
        self.make, self.choose = make, choose
        self.title, self.address = title, address
        self._document: Resource | None = None
        self._page: Resource | None = None

    @property
    def document(self) -> Resource:
        """The document, for programs."""
        if self._document is None:
            write = lru_cache(_MOST_DOCUMENTS)(self._write)

            def text(request: IRequest) -> Text:
                host = request.getRequestHostname()
                return write(self.choose(host.decode("ascii", "replace")))

            self._document = Texts("application/json", text)
        return self._document

    @property
    def page(self) -> Resource:
        """The page, for people."""
        if self._page is None:
            page, policy = _compose(self.title, self.address)
            text = Text.of(page)
            headers = {
                "Content-Security-Policy": policy,
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
            }
            html = "text/html; charset=utf-8"
            self._page = Texts(html, lambda request: text, headers)
        return self._page

    def _write(self, which: Hashable) -> Text:
        said = json.dumps(self.make(which), ensure_ascii=False, separators=(",", ":"))
        return Text.of(said.encode("utf-8", "replace") + b"\n")


def _compose(title: str, address: str) -> tuple[bytes, str]:
    """The page, and the policy under which nothing else can run in it."""
    template, style, script = map(_read, ("page.html", "page.css", "page.js"))
    page = template.format(
        title=escape(title), address=escape(address), style=style, script=script
    )
    policy = _POLICY.format(script=_hash(script), style=_hash(style))
    return page.encode("utf-8"), policy


def _read(name: str) -> str:
    """A file that stands beside this one, wherever that is."""
    # importlib.resources is slower to be imported than all that it would read.
    data = get_data(__package__, name)
    assert data is not None
    return data.decode("utf-8")


def _hash(text: str) -> str:
    """A source expression for a piece of a page (CSP3, section 2.3.1)."""
    return f"'sha256-{b64encode(sha256(text.encode('utf-8')).digest()).decode()}'"
