# -*- test-case-name: tests.test_testing -*-
"""
What a test's HTTP client gets.
"""

from __future__ import annotations

import json
from http.client import HTTPMessage
from typing import Any

from attrs import field, frozen

__all__ = ["Response"]


@frozen
class Response:
    """
    A response to a request.

    :ivar status: The status code.
    :ivar headers: Whatever their case: ``headers["content-type"]``; ``None`` if
        there is none. ``headers.get_all("set-cookie")`` is a list.
    :ivar body: The body.
    """

    status: int
    headers: HTTPMessage = field(repr=False)
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        charset = self.headers.get_content_charset("utf-8")
        return self.body.decode(charset, "replace")

    def json(self) -> Any:
        """What the body says, if it is JSON."""
        return json.loads(self.body)
