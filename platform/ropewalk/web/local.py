# -*- test-case-name: tests.test_debugging -*-
"""
Whether who asks sits at this machine.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from twisted.protocols.policies import ProtocolWrapper

__all__ = ["is_local"]

#: Headers by which something says that it stands between us and who asks. RFC 7239,
#: RFC 9110 (section 7.6.3), RFC 8586, and what proxies and tunnels have of their own.
_BETWEEN = re.compile(
    rb"(?i)forwarded|via|cdn-loop|front-end-https|x-(?:forwarded|original|proxy|envoy)"
    rb"(?:-.*)?|.*-(?:client|real|connecting|cluster)-ip|x-proxyuser-ip|cf-.*|fly-.*"
    rb"|ngrok-.*|tailscale-.*|x-amz.*|x-azure-.*|x-appengine-.*|x-arr-.*|x-varnish"
)

_HOST = re.compile(r"(?i)(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::[0-9]{1,5})?")


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
