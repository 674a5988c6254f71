# -*- test-case-name: tests.test_openapi -*-
"""
The documentation as it is served: the document, and a page to read it on. The page is
one file with all that it needs, so that it works wherever the site does.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cached_property
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any

from attrs import define, field
from twisted.web.http import CACHED
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource

__all__ = ["DocumentationPages"]

_POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@define
class DocumentationPages:
    """
    What the documentation is served by.

    :ivar make: Makes the document; called once, when somebody asks for it first.
    :ivar title: What the page is called until the document is there.
    :ivar address: Where the document is, seen from the page.
    """

    make: Callable[[], Mapping[str, Any]]
    title: str = "API"
    address: str = "openapi.json"
    _document: Resource | None = field(default=None, init=False)
    _page: Resource | None = field(default=None, init=False)

    @property
    def document(self) -> Resource:
        """The document, for programs."""
        if self._document is None:
            self._document = _Text("application/json", self._write)
        return self._document

    @property
    def page(self) -> Resource:
        """The page, for people."""
        if self._page is None:
            page, policy = _compose(self.title, self.address)
            headers = {
                "Content-Security-Policy": policy,
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
            }
            self._page = _Text("text/html; charset=utf-8", lambda: page, headers)
        return self._page

    def _write(self) -> bytes:
        said = json.dumps(self.make(), ensure_ascii=False, separators=(",", ":"))
        return said.encode("utf-8", "replace") + b"\n"


class _Text(Resource):
    """
    A text that stays the same: who has it is told so (RFC 9110, section 13.1.2).

    :param make: Makes it, once.
    """

    isLeaf = True

    def __init__(
        self,
        content_type: str,
        make: Callable[[], bytes],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._content_type = content_type
        self._make = make
        self._headers = headers or {}

    @cached_property
    def _text(self) -> tuple[bytes, bytes]:
        """The text, and its entity tag."""
        text = self._make()
        return text, b'"%s"' % sha256(text).hexdigest()[:32].encode("ascii")

    def render_GET(self, request: IRequest) -> bytes:
        """The text, or nothing new."""
        text, tag = self._text
        request.setHeader(b"content-type", self._content_type.encode("ascii"))
        request.setHeader(b"cache-control", b"no-cache")
        for name, value in self._headers.items():
            request.setHeader(name.encode("ascii"), value.encode("ascii"))
        if request.setETag(tag) is CACHED:
            return b""
        return text


def _compose(title: str, address: str) -> tuple[bytes, str]:
    """The page, and the policy under which nothing else can run in it."""
    here = files(__package__)
    template, style, script = (
        here.joinpath(name).read_text("utf-8")
        for name in ("page.html", "page.css", "page.js")
    )
    page = template.format(
        title=escape(title), address=escape(address), style=style, script=script
    )
    policy = _POLICY.format(script=_hash(script), style=_hash(style))
    return page.encode("utf-8"), policy


def _hash(text: str) -> str:
    """A source expression for a piece of a page (CSP3, section 2.3.1)."""
    return f"'sha256-{b64encode(sha256(text.encode('utf-8')).digest()).decode()}'"
