# -*- test-case-name: tests.test_hosting_environs -*-
"""
A request in the words of WSGI (PEP 3333, "environ Variables").

No header can pass for another: of two spellings that CGI would make one of, only that
with hyphens is told, and ``Proxy`` is told to nobody (it would be ``HTTP_PROXY``, which
some take for a setting: CVE-2016-5385).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.web.http_headers import Headers

__all__ = ["environ_of", "split_path"]

#: What is known of a request by other names, or is over once it has been received.
_NOT_TOLD = frozenset({"HTTP_CONTENT_LENGTH", "HTTP_PROXY", "HTTP_TRANSFER_ENCODING"})


def environ_of(
    request: Any, prefix: str, usual: dict[str, Any], length: int | None
) -> dict[str, Any]:
    """
    The environment of a request, but for ``wsgi.input`` and ``wsgi.errors``.

    :param prefix: The mount's: ``""``, ``"/shop"``.
    :param usual: What it has whatever is asked for.
    :param length: Bytes of the body; ``None`` when there is none.
    """
    uri = request.uri.decode("latin-1")
    name, path = split_path(request.path, prefix)
    secure = request.isSecure()
    environ = {
        **usual,
        "REQUEST_METHOD": request.method.decode("latin-1"),
        "SCRIPT_NAME": name,
        "PATH_INFO": path,
        "QUERY_STRING": uri.partition("?")[2],
        "REQUEST_URI": uri,
        "RAW_URI": uri,
        "SERVER_PROTOCOL": request.clientproto.decode("ascii"),
        "wsgi.url_scheme": "https" if secure else "http",
        "ropewalk.request_id": request.id,
    }
    if secure:
        environ["HTTPS"] = "on"
    _add_addresses(environ, request, secure)
    _add_headers(environ, _headers_of(request))
    if length is not None:
        environ["CONTENT_LENGTH"] = str(length)
    return environ


def split_path(path: bytes, prefix: str) -> tuple[str, str]:
    """
    ``SCRIPT_NAME`` and ``PATH_INFO``: what was asked for without percent-encoding, each
    byte a character (PEP 3333, "Unicode Issues").

    :param path: As it was asked for.
    :param prefix: As people read it. It may be percent-encoded in the path.
    """
    mount = prefix.encode("utf-8")
    if b"%" not in path and path.startswith(mount):
        return mount.decode("latin-1"), path[len(mount) :].decode("latin-1")
    pieces = path.split(b"/")
    depth = prefix.count("/") + 1
    name, below = (
        b"".join(b"/" + unquote_to_bytes(each) for each in part)
        for part in (pieces[1:depth], pieces[depth:])
    )
    return name.decode("latin-1"), below.decode("latin-1")


def _add_addresses(environ: dict[str, Any], request: Any, secure: bool) -> None:
    environ["SERVER_NAME"] = request.getRequestHostname().decode("latin-1")
    # A UNIX socket has no port.
    port = getattr(request.host, "port", 443 if secure else 80)
    environ["SERVER_PORT"] = str(port)
    client = request.client
    environ["REMOTE_ADDR"] = getattr(client, "host", None) or ""
    if hasattr(client, "port"):
        environ["REMOTE_PORT"] = str(client.port)


def _headers_of(request: Any) -> Iterable[tuple[bytes, Sequence[bytes]]]:
    """Its headers as they came, where nobody has changed them."""
    if request._request_headers is None and request._fields is not None:
        fields: dict[bytes, list[bytes]] = request._fields.by_name
        return fields.items()
    headers: Headers = request.requestHeaders
    return headers.getAllRawHeaders()


def _add_headers(
    environ: dict[str, Any], headers: Iterable[tuple[bytes, Sequence[bytes]]]
) -> None:
    for name, values in headers:
        key = _variable(name)
        if key is None:
            continue
        if len(values) == 1 or key == "CONTENT_TYPE":
            value = values[0]
        else:
            # RFC 9110, section 5.3; cookies: RFC 9113, section 8.2.3.
            value = (b"; " if key == "HTTP_COOKIE" else b",").join(values)
        environ[key] = value.decode("latin-1")


@lru_cache(1024)
def _variable(name: bytes) -> str | None:
    """What a header is called; ``None`` for one that is not told."""
    if b"_" in name:
        return None
    key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
    if key == "HTTP_CONTENT_TYPE":
        return "CONTENT_TYPE"
    return None if key in _NOT_TOLD else key
