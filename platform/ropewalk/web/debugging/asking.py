# -*- test-case-name: tests.test_debugging -*-
"""
Who asks, and what for: whether somebody sits at this machine, and what of their
request can be shown.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote

from msgspec import Struct
from twisted.protocols.policies import ProtocolWrapper

from ropewalk.web.debugging.masking import Masker, is_secret_name
from ropewalk.web.debugging.values import Shower

__all__ = ["Asked", "is_local", "learn_request", "read_request"]

#: Headers by which something says that it stands between us and who asks. RFC 7239,
#: RFC 9110 (section 7.6.3), RFC 8586, and what proxies and tunnels have of their own.
_BETWEEN = re.compile(
    rb"(?i)forwarded|via|cdn-loop|front-end-https|x-(?:forwarded|original|proxy|envoy)"
    rb"(?:-.*)?|.*-(?:client|real|connecting|cluster)-ip|x-proxyuser-ip|cf-.*|fly-.*"
    rb"|ngrok-.*|tailscale-.*|x-amz.*|x-azure-.*|x-appengine-.*|x-arr-.*|x-varnish"
)

_HOST = re.compile(r"(?i)(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::[0-9]{1,5})?")

#: Characters of a header or field, and bytes of a body that are looked at.
_MOST, _BODY = 2_000, 64 * 1024


def is_local(request: Any) -> bool:
    """
    Whether who asks is at this machine and asks us, not somebody who asks us on.

    The socket's other end is a loopback address, nothing says that it went through
    a proxy, and the name that was asked for is this machine's: otherwise a page of
    the Web could have its own name resolve to it. A client of HTTP/1.0 may be a
    proxy that says nothing of itself, as nginx is.

    :param request: A ``twisted.web`` request.
    """
    headers = request.requestHeaders
    if any(_BETWEEN.fullmatch(name) for name, _ in headers.getAllRawHeaders()):
        return False
    if request.clientproto == b"HTTP/1.0":
        return False
    hosts = headers.getRawHeaders(b"host") or []
    return (
        len(hosts) == 1
        and _is_loopback_name(hosts[0].decode("latin-1"))
        and all(_is_loopback(each) for each in _ends(request))
    )


def _is_loopback_name(written: str) -> bool:
    """RFC 6761, section 6.3: ``localhost`` and all names that end in it."""
    found = _HOST.fullmatch(written)
    if found is None:
        return False
    address, name = found.groups()
    if address is None:
        name = name.lower().removesuffix(".")
        if name == "localhost" or name.endswith(".localhost"):
            return True
    return _is_loopback(address or name)


def _is_loopback(host: str | None) -> bool:
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _ends(request: Any) -> Iterator[str | None]:
    """
    Who is at both ends, as every layer of the connection has it; ``None`` where
    nobody can tell, as of a UNIX socket.
    """
    channel = request.channel
    transport = getattr(channel, "transport", None)
    if transport is None:  # a stream of HTTP/2
        transport = getattr(getattr(channel, "_conn", None), "transport", None)
    if transport is None:
        yield None
    while transport is not None:
        yield getattr(transport.getPeer(), "host", None)
        yield getattr(transport.getHost(), "host", None)
        # The PROXY protocol: whatever it says, there is a proxy.
        if any("prox" in kind.__name__.lower() for kind in type(transport).__mro__):
            yield None
        inner = isinstance(transport, ProtocolWrapper)
        transport = transport.transport if inner else None


class Asked(Struct, frozen=True):
    """
    A request, with its secrets masked.

    :ivar name: Under which the log has it: ``"r17"``.
    :ivar route: Which route answers; empty if nobody knows.
    :ivar place: Where its handler is written.
    :ivar service: Whose it is.
    :ivar parts: The headers, the query, the form: for each its title, and names with
        values.
    """

    name: str
    method: str
    path: str
    route: str
    place: str
    service: str
    parts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def learn_request(request: Any, masker: Masker) -> None:
    """Meet the secrets in a request."""
    shower = Shower(masker, lambda: 0.0)
    for _, pairs in _parts(request):
        for name, value in pairs:
            if is_secret_name(name) and isinstance(value, str):
                masker.learn_header(name, value)
            else:
                shower.learn(name, value)


def read_request(request: Any, masker: Masker) -> Asked:
    """What can be shown of a request, when all secrets are known."""
    shower = Shower(masker, lambda: 0.0)

    def shown(name: str, value: Any) -> str:
        if not isinstance(value, str):
            return shower.show(name, value)
        if name.lower() == "cookie":
            return _cookie_names(value)
        if is_secret_name(name) and value:
            return shower.show(name, value)
        return masker.cut(value[:20_000], _MOST, len(value))

    route = getattr(request, "route", None)
    path, _, _ = request.uri.partition(b"?")
    return Asked(
        str(request.work.request or ""),
        request.method.decode("ascii", "backslashreplace"),
        masker.clean(unquote(path.decode("latin-1"))),
        str(getattr(route, "path", None) or ""),
        str(getattr(route, "place", None) or ""),
        str(request.work.plugin or ""),
        tuple(
            (title, tuple((name, shown(name, value)) for name, value in pairs))
            for title, pairs in _parts(request)
            if pairs
        ),
    )


def _cookie_names(value: str) -> str:
    names = [each.partition("=")[0].strip() for each in value.split(";")]
    return "; ".join(f"{name}=****" for name in names if name)


def _parts(request: Any) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    query = request.uri.partition(b"?")[2]
    yield "Query", _fields(query)
    try:
        body = list(_body(request))
    except Exception as error:  # it was what failed, perhaps
        body = [("Body", [("", f"it cannot be read: {type(error).__name__}")])]
    yield from body
    yield (
        "Headers",
        [
            (name.decode("latin-1"), value.decode("utf-8", "replace"))
            for name, values in request.requestHeaders.getAllRawHeaders()
            for value in values
        ],
    )


def _fields(written: bytes) -> list[tuple[str, Any]]:
    text = written.decode("utf-8", "replace")
    return list(parse_qsl(text, keep_blank_values=True, errors="replace"))


def _body(request: Any) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """What was sent, if it has names and values."""
    content = getattr(request, "content", None)
    kind = (request.getHeader(b"content-type") or b"").decode("latin-1").lower()
    if content is None or content.closed:
        return
    if kind.startswith("multipart/form-data"):
        yield (
            "Form",
            [
                (name.decode("utf-8", "replace"), each.decode("utf-8", "replace"))
                for name, values in (getattr(request, "args", None) or {}).items()
                for each in values
                if isinstance(each, bytes)
            ],
        )
        return
    before = content.tell()
    content.seek(0)
    body = content.read(_BODY)
    content.seek(before)
    if kind.startswith("application/x-www-form-urlencoded"):
        yield "Form", _fields(body)
    elif re.match(r"application/(?:[^;]*\+)?json\b", kind):
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return
        yield "JSON", list(value.items()) if type(value) is dict else [("", value)]
