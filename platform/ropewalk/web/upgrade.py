# -*- test-case-name: tests.test_upgrade -*-
"""
The door between HTTP and WebSockets: who may go through, and what those are
told who may not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from twisted.web.resource import Resource

from ropewalk.errors import RopewalkError
from ropewalk.web.problems import respond

__all__ = ["UpgradeResource"]


class NeedsUpgrade(RopewalkError):
    """
    A plain request came to where only WebSockets are (RFC 9110, section
    15.5.22).
    """

    status = 426


class StrangeOrigin(RopewalkError):
    """
    A page of another site wants a WebSocket with our visitor's cookies (RFC
    6455, section 10.2).
    """

    status = 403


class UpgradeResource(Resource):
    """
    Lets WebSockets through.

    :param inner: The resource that takes the connection over.
    :param origins: Which origins may come besides the site's own; ``"*"`` for
        all.
    """

    isLeaf = True

    def __init__(self, inner: Any, origins: Sequence[str]) -> None:
        super().__init__()
        self._inner = inner
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    def render(self, request: Any) -> Any:
        """Let the request through, or say why not."""
        headers = request.requestHeaders
        upgrade = headers.getRawHeaders("upgrade") or [""]
        if "websocket" not in upgrade[-1].lower():
            request.setHeader(b"upgrade", b"websocket")
            request.setHeader(b"connection", b"upgrade")
            return respond(
                request, NeedsUpgrade("this address speaks WebSocket, not plain HTTP")
            )
        for origin in headers.getRawHeaders("origin") or []:
            if not self._welcome(origin.lower(), request):
                detail = f"the page's origin {origin!r} may not open WebSockets here"
                return respond(request, StrangeOrigin(detail))
        return self._inner.render(request)

    def _welcome(self, origin: str, request: Any) -> bool:
        if "*" in self._origins or origin.rstrip("/") in self._origins:
            return True
        host = request.requestHeaders.getRawHeaders("host") or [""]
        return bool(host[0]) and urlsplit(origin).netloc == host[0].lower()
