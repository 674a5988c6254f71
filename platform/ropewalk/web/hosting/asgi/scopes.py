# -*- test-case-name: tests.test_asgi_scopes -*-
"""
What an ASGI application is told of a request: its scope (ASGI 3.0; HTTP and WebSocket
2.5).
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import unquote

from twisted.internet.address import UNIXAddress

from ropewalk.web.hosting.asgi.tls import tls_of

__all__ = ["DIALECTS", "Dialect", "Scopes", "wants_socket"]

#: How the path of a mount is told: see
#: :func:`ropewalk.web.hosting.asgi.described.asgi`.
Dialect = Literal["full", "strip", "raw"]
DIALECTS = ("full", "strip", "raw")

_Address = tuple[str, int | None] | None
_Ends = tuple[_Address, _Address, bool]

_METHODS = {each.encode(): each for each in ("GET", "HEAD", "POST", "PUT", "DELETE")}
_VERSIONS = {b"HTTP/1.0": "1.0", b"HTTP/1.1": "1.1", b"HTTP/2": "2"}


class Scopes:
    """
    Makes the scopes of the requests to one application.

    :param prefix: The path of its mount: ``""``, ``"/api"``.
    :param dialect: How it is told the path.
    :param version: What the scope says of ASGI: ``"3.0"``, ``"2.0"``.
    :ivar state: What its lifespan has put there; each request has a copy.
    """

    def __init__(self, prefix: str, dialect: Dialect, version: str = "3.0") -> None:
        self._prefix, self._dialect = prefix, dialect
        self._root = "" if dialect == "raw" else prefix
        self._asgi = {"version": version, "spec_version": "2.5"}
        self.state: dict[str, Any] = {}

    def http(self, request: Any) -> dict[str, Any]:
        """The scope of an HTTP request."""
        ends = _ends_of(request)
        scope = self._scope(request, "http", "https" if ends[2] else "http", ends)
        method: bytes = request.method
        scope["method"] = _METHODS.get(method) or method.decode("latin-1").upper()
        extensions: dict[str, Any] = {
            "http.response.pathsend": {},
            "http.response.zerocopysend": {},
        }
        if scope["http_version"] != "1.0":
            extensions["http.response.early_hint"] = {}
            if _takes_trailers(request):
                extensions["http.response.trailers"] = {}
        scope["extensions"] = extensions
        if ends[2]:
            _add_tls(extensions, request)
        return scope

    def websocket(self, request: Any) -> dict[str, Any]:
        """The scope of a request for a WebSocket."""
        ends = _ends_of(request)
        scope = self._scope(request, "websocket", "wss" if ends[2] else "ws", ends)
        scope["subprotocols"] = [
            each.strip()
            for value in request.requestHeaders.getRawHeaders(
                b"sec-websocket-protocol", ()
            )
            for each in value.decode("latin-1").split(",")
            if each.strip()
        ]
        extensions: dict[str, Any] = {"websocket.http.response": {}}
        scope["extensions"] = extensions
        if ends[2]:
            _add_tls(extensions, request)
        return scope

    def _scope(
        self, request: Any, kind: str, scheme: str, ends: _Ends
    ) -> dict[str, Any]:
        raw, query = request.path, request.uri
        path = _path(raw) if b"%" in raw or not raw.isascii() else raw.decode("ascii")
        if self._dialect == "strip" and path.startswith(self._prefix):
            path = path[len(self._prefix) :] or "/"
        version = _VERSIONS.get(request.clientproto, "1.1")
        return {
            "type": kind,
            "asgi": self._asgi.copy(),
            "http_version": version,
            "scheme": scheme,
            "path": path,
            "raw_path": raw,
            "query_string": query.partition(b"?")[2] if b"?" in query else b"",
            "root_path": self._root,
            "headers": request.header_pairs() if version != "2" else _pairs(request),
            "client": ends[0],
            "server": ends[1],
            "state": self.state.copy(),
        }


def wants_socket(request: Any) -> bool:
    """Whether a request is one for a WebSocket (RFC 6455, section 4.1)."""
    if not request.clientproto.startswith(b"HTTP/1"):
        return False
    said = request.asked_header(b"upgrade")
    return bool(said) and b"websocket" in b",".join(said).lower()


def _path(raw: bytes) -> str:
    return unquote(raw.decode("latin-1"), "utf-8", "replace")


def _pairs(request: Any) -> list[tuple[bytes, bytes]]:
    """
    The headers of a request by HTTP/2, whose client may send each cookie in a line of
    its own (RFC 9113, section 8.2.3).
    """
    pairs: list[tuple[bytes, bytes]] = request.header_pairs()
    cookies = [value for name, value in pairs if name == b"cookie"]
    if len(cookies) > 1:
        pairs = [pair for pair in pairs if pair[0] != b"cookie"]
        pairs.append((b"cookie", b"; ".join(cookies)))
    return pairs


def _ends_of(request: Any) -> _Ends:
    """
    Who asks, who is asked, and whether by TLS. All requests of a connection are alike
    in that, unless a proxy may speak for others.
    """
    channel = request.channel
    known: _Ends | None = getattr(channel, "ends", None)
    if known is None or request.site.has_proxies:
        secure = bool(request.isSecure())
        known = _address(request.client), _address(request.host), secure
        if hasattr(channel, "ends"):
            channel.ends = known
    return known


def _address(address: Any) -> _Address:
    if hasattr(address, "port"):
        return address.host, address.port
    if isinstance(address, UNIXAddress) and address.name:
        return address.name.decode("utf-8", "replace"), None
    return None


def _takes_trailers(request: Any) -> bool:
    """Whether a client says that it reads trailers (RFC 9110, section 6.5.1)."""
    said = request.asked_header(b"te")
    return bool(said) and b"trailers" in b",".join(said).lower()


def _add_tls(extensions: dict[str, Any], request: Any) -> None:
    told = tls_of(request)
    if told is not None:
        extensions["tls"] = told
