# -*- test-case-name: tests.test_live -*-
"""
Texts of our own that are served as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256

from msgspec import Struct
from twisted.web.http import CACHED
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource

__all__ = ["Text", "Texts"]


class Text(Struct, frozen=True):
    """
    A text, and its entity tag.
    """

    text: bytes
    tag: bytes

    @classmethod
    def of(cls, text: bytes) -> Text:
        """A text."""
        return cls(text, b'"%s"' % sha256(text).hexdigest()[:32].encode("ascii"))


class Texts(Resource):
    """
    Texts that stay the same: who has one is told so (RFC 9110, section 13.1.2).

    :param text: Gives the one that a request is for.
    """

    isLeaf = True

    def __init__(
        self,
        content_type: str,
        text: Callable[[IRequest], Text],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._content_type = content_type
        self._text = text
        self._headers = headers or {}

    def render_GET(self, request: IRequest) -> bytes:
        """The text, or nothing new."""
        found = self._text(request)
        request.setHeader(b"content-type", self._content_type.encode("ascii"))
        request.setHeader(b"cache-control", b"no-cache")
        for name, value in self._headers.items():
            request.setHeader(name.encode("ascii"), value.encode("ascii"))
        if request.setETag(found.tag) is CACHED:
            return b""
        return found.text
