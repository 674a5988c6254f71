# -*- test-case-name: tests.test_upgrade -*-
"""
The door between HTTP and WebSockets: who may go through, and what those are
told who may not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import ISSLTransport
from twisted.protocols.policies import ProtocolWrapper
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import noLongerProvides

from ropewalk.web.problems import Refused, respond

__all__ = ["UpgradeResource", "hand_over"]

#: Scheme, host and port of an origin (RFC 6454, section 6.2). Only what has such
#: a one can be our own.
_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/:@?#\[\]]+)(:[0-9]+)?"
)

_PORTS = {"http": ":80", "https": ":443"}

#: 16 bytes in base 64 (RFC 6455, section 4.2.1).
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")


class UpgradeResource(Resource):
    """
    Lets WebSockets through (RFC 6455, section 4.2). A page may open one if it is
    of the site's own origin, so that no other site can use our visitor's cookies
    (section 10.2); what is no browser says nothing of an origin.

    :param inner: The resource that takes the connection over.
    :param origins: Which origins may come besides the site's own; ``"*"`` for
        all, ``"null"`` for pages that have none.
    """

    isLeaf = True

    def __init__(self, inner: Any, origins: Sequence[str]) -> None:
        super().__init__()
        self._inner = inner
        self._everybody = "*" in origins
        self._origins = frozenset(_normal(origin) for origin in origins)

    def render(self, request: Any) -> Any:
        """Let the request through, or say why not."""
        refused = self.refusal(request)
        if refused is not None:
            return respond(request, refused, request.work.request)
        return hand_over(request, self._inner)

    def refusal(self, request: Any) -> Refused | None:
        """Why a request is not let through; ``None`` when it is."""
        if not request.clientproto.startswith(b"HTTP/1"):
            # There is no such header in HTTP/2 (RFC 9113, section 8.6).
            return Refused(501, "WebSockets go over HTTP/1.1 here, not over HTTP/2")
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"allow", b"GET")
            return Refused(405, "a WebSocket begins with GET")
        problem = _no_upgrade(request)
        if problem is not None:
            request.setHeader(b"upgrade", b"websocket")
            request.setHeader(b"connection", b"upgrade")
            return Refused(426, problem)
        versions = _values(request, b"sec-websocket-version")
        if versions != ["13"]:
            request.setHeader(b"sec-websocket-version", b"13")
            return Refused(426, f"expected version 13 of WebSocket, got {versions}")
        for origin in _values(request, b"origin"):
            if not self._is_welcome(origin, request):
                detail = f"the page's origin {origin!r} may not open WebSockets here"
                return Refused(403, detail)
        keys = _values(request, b"sec-websocket-key")
        if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
            return Refused(400, "Sec-WebSocket-Key: expected 16 bytes in base 64")
        if request.site.draining:
            return Refused(503, "the server is going down; come back in a moment")
        return None

    def _is_welcome(self, origin: str, request: Any) -> bool:
        if self._everybody or _normal(origin) in self._origins:
            return True
        found = _ORIGIN.fullmatch(origin.lower())
        hosts = _values(request, b"host")
        if found is None or found[1] not in _PORTS or len(hosts) != 1:
            return False
        usual = _PORTS[found[1]]
        port = found[3] or usual
        host = hosts[0].lower()
        # A proxy may speak TLS for us: without a port, either usual one is meant.
        return host == found[2] + port or (host == found[2] and port == usual)


def _no_upgrade(request: Any) -> str | None:
    """What keeps a request from being one for a WebSocket, if something does."""
    wanted = "websocket" in _tokens(request, b"upgrade")
    if wanted and "upgrade" not in _tokens(request, b"connection"):
        return "the header 'Connection: upgrade' is missing; did a proxy drop it?"
    if wanted and request.clientproto != b"HTTP/1.1":
        return "a WebSocket needs HTTP/1.1"
    if not wanted or request.method != b"GET":
        return "this address speaks WebSocket, not plain HTTP"
    return None


def hand_over(request: Any, inner: Any) -> Any:
    """
    Let another protocol have the connection, and note in the access log whether
    it took it.
    """
    channel = request.channel
    transport = channel.transport
    if not all(_ORIGIN.fullmatch(each.lower()) for each in _values(request, b"origin")):
        # Autobahn judges origins, too, and unlike us it lets "null" never pass.
        request.requestHeaders.removeHeader(b"origin")
    # Until now Twisted's HTTP channel is what the transport pauses when it is
    # full; whoever comes next may want to be told.
    transport.unregisterProducer()
    behind = request.client != transport.getPeer()
    if behind:
        transport.peer = request.client  # a proxy has said for whom it speaks
    result = None
    try:
        result = _render(request, inner, transport)
    finally:
        if behind and result is not NOT_DONE_YET:
            transport.peer = None  # what comes next may be somebody else's
    if result is NOT_DONE_YET:
        channel.retire()
        if hasattr(transport, "work"):
            # What is done on it from now on, it does for the socket's service.
            transport.work = request.work
        protocol = getattr(transport, "wrappedProtocol", None)
        closed = getattr(protocol, "STATE_CLOSED", None)
        refused = closed is not None and getattr(protocol, "state", None) == closed
        request.code = 400 if refused else 101
        request.site.log(request)
    return result


def _render(request: Any, inner: Any, transport: Any) -> Any:
    """
    Let a resource take the connection. Autobahn knows Twisted's TLS only when it
    sees it: what is around it is taken off for a moment.
    """
    tls: Any = getattr(transport, "transport", None)
    is_tls: bool = ISSLTransport.providedBy(transport)
    if not isinstance(tls, ProtocolWrapper):
        if is_tls:
            # None of Twisted's: Autobahn would look for the keys of the connection.
            noLongerProvides(transport, ISSLTransport)
        return inner.render(request)
    if not is_tls:
        return inner.render(request)
    if getattr(transport, "peer", None) is not None:
        _speak_for(tls, transport)
    request.channel.transport = tls
    try:
        return inner.render(request)
    finally:
        if tls.wrappedProtocol is not transport:
            transport.wrappedProtocol = tls.wrappedProtocol
            tls.wrappedProtocol = transport


def _speak_for(tls: Any, transport: Any) -> None:
    """Let TLS, too, say who is behind a proxy."""
    connected = tls.getPeer
    tls.getPeer = lambda: transport.peer or connected()


def _values(request: Any, name: bytes) -> list[str]:
    values = request.requestHeaders.getRawHeaders(name) or []
    return [value.decode("latin-1").strip() for value in values]


def _tokens(request: Any, name: bytes) -> list[str]:
    return [
        token.strip().lower()
        for value in _values(request, name)
        for token in value.split(",")
    ]


def _normal(origin: str) -> str:
    """An origin as browsers write it: in lower case, without the usual port."""
    origin = origin.strip().rstrip("/").lower()
    scheme = origin.partition(":")[0]
    return origin.removesuffix(_PORTS.get(scheme, "/"))
