# -*- test-case-name: tests.test_proxying -*-
"""
What a request says to a back end, and what its answer says to the client: without what
is between two ends of one connection, and with who is asking.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from twisted.internet.address import IPv4Address, IPv6Address

from ropewalk.web.intake import Intake
from ropewalk.web.problems import Refused
from ropewalk.web.proxies import write_forwarded
from ropewalk.web.proxying.targets import Target
from ropewalk.wire.http1 import FIELD
from ropewalk.wire.replies import Reply

__all__ = ["Manners", "reply_headers", "request_head", "wanted_protocol"]

Pairs = list[tuple[bytes, bytes]]

#: What is between us and the client (RFC 9110, section 7.6.1), what we say ourselves,
#: and ``Proxy``, which CGI takes for a setting of its own (CVE-2016-5385).
_DROPPED = frozenset(
    b"connection content-length expect host keep-alive proxy proxy-authenticate "
    b"proxy-authorization proxy-connection te trailer transfer-encoding upgrade "
    b"http2-settings".split()
)

#: Who is asking, and by which way: believed of us by who is behind us, so that no
#: client may say it. ``_`` is ``-`` to an application that is told by WSGI.
_OURS = re.compile(
    rb"x-forwarded-.*|x-forwarded|forwarded|forwarded-for|x-real-ip|x-client-ip|"
    rb"x-original-(?:url|host)|x-rewrite-url|x-scheme|x-url-scheme|x-script-name|"
    rb"true-client-ip|x-cluster-client-ip"
)

_HEAD = re.compile(
    rb"[!#$%%&'*+\-.^_`|~0-9A-Za-z]++ [!-~]++ HTTP/1\.1\r\n(?:%b)*+\r\n" % FIELD
)

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z/]+")

#: Methods whose requests say how long their body is even if there is none (RFC 9110,
#: section 8.6).
_WITH_BODY = (b"POST", b"PUT", b"PATCH")

#: As they are named in ``Via`` (RFC 9110, section 7.6.3).
_VERSIONS = {b"HTTP/1.0": b"1.0", b"HTTP/1.1": b"1.1", b"HTTP/2": b"2"}


class Manners(Struct, frozen=True):
    """
    How requests are passed on.

    :ivar prefix: The path of the mount, percent-encoded: ``""``, ``"/shop"``.
    :ivar strip: Whether the back end is asked without it.
    :ivar rewrite: Whether what it answers is given the prefix again, where it says
        paths of its own: ``Location`` and the paths of cookies.
    :ivar keep_host: Whether the back end is told the host that the client asked for.
    """

    prefix: str = ""
    strip: bool = False
    rewrite: bool = False
    keep_host: bool = True


def wanted_protocol(request: Any) -> bytes | None:
    """
    Which protocol a client wants to speak in place of HTTP, if that can be: to ask it
    for that, a request has no body.

    HTTP/2 is none: what is said by it the back end would hear without us.
    """
    if request.clientproto != b"HTTP/1.1":
        return None
    headers = request.requestHeaders
    values: list[bytes] = headers.getRawHeaders(b"upgrade") or []
    if len(values) != 1 or b"upgrade" not in _options(request):
        return None
    value = values[0].strip()
    if _TOKEN.fullmatch(value) is None or value.lower().startswith(b"h2"):
        return None
    return value


def request_head(
    request: Any,
    target: Target,
    manners: Manners,
    intake: Intake | None,
    upgrade: bytes | None,
) -> bytes:
    """
    The head of a request as a back end is sent it.

    :param intake: Its body, if there is one.
    :param upgrade: The protocol that is asked for.
    :raise Refused: When it cannot be said in HTTP/1.1.
    """
    lines: Pairs = [(b"Host", _host(request, target, manners))]
    options = _options(request)
    for name, values in request.requestHeaders.getAllRawHeaders():
        key = name.lower()
        if key in _DROPPED or key in options or is_ours(key):
            continue
        if key == b"cookie":
            values = [b"; ".join(values)]  # RFC 9113, section 8.2.3
        lines += [(name, value) for value in values]
    lines += _who(request, manners)
    lines += _way(request, upgrade)
    lines += _length(request, intake)
    asked = b"%b %b HTTP/1.1" % (request.method, path_of(request, target, manners))
    said = [b"%b: %b" % pair for pair in lines]
    head = b"\r\n".join((asked, *said, b"", b""))
    if head.count(b"\n") != len(lines) + 2 or _HEAD.fullmatch(head) is None:
        raise Refused(400, "this request cannot be passed on: it is no HTTP/1.1")
    return head


def is_ours(key: bytes) -> bool:
    """Whether a header, in lower case, is nothing for a client to say."""
    return _OURS.fullmatch(key.replace(b"_", b"-")) is not None


def path_of(request: Any, target: Target, manners: Manners) -> bytes:
    """What a back end is asked for."""
    uri: bytes = request.uri
    if not uri.startswith(b"/"):
        uri = uri if uri == b"*" else b"/" + uri.partition(b"//")[2].partition(b"/")[2]
    if manners.strip and manners.prefix:
        uri = _stripped(uri, manners.prefix.encode("ascii"))
    return target.base.encode("ascii") + uri


def _stripped(uri: bytes, prefix: bytes) -> bytes:
    if uri.startswith(prefix):
        rest = uri[len(prefix) :]
    else:  # the client has written it in another way: "/%73hop"
        path, mark, query = uri.partition(b"?")
        rest = b"/".join(path.split(b"/")[prefix.count(b"/") + 1 :]) + mark + query
        rest = b"/" + rest if rest[:1] not in (b"", b"?") else rest
    return rest if rest.startswith(b"/") else b"/" + rest


def _options(request: Any) -> list[bytes]:
    said = request.requestHeaders.getRawHeaders(b"connection")
    if said is None:
        return []
    return [each.strip(b" \t").lower() for each in b",".join(said).split(b",")]


def _host(request: Any, target: Target, manners: Manners) -> bytes:
    if not manners.keep_host:
        return target.authority
    said = request.requestHeaders.getRawHeaders(b"host")
    return said[0] if said else target.authority


def _who(request: Any, manners: Manners) -> Pairs:
    """Who is asking, for what (RFC 7239, and what was before it)."""
    client, scheme = request.client, "https" if request.isSecure() else "http"
    known = isinstance(client, IPv4Address | IPv6Address)
    host = (request.requestHeaders.getRawHeaders(b"host") or [b""])[0].decode("latin-1")
    said = {"for": _node(client), "proto": scheme, **({"host": host} if host else {})}
    lines = [
        *([(b"X-Forwarded-For", client.host.encode("ascii"))] if known else ()),
        (b"X-Forwarded-Proto", scheme.encode("ascii")),
        *([(b"X-Forwarded-Host", host.encode("latin-1"))] if host else ()),
        (b"Forwarded", write_forwarded([said]).encode("latin-1")),
    ]
    if manners.strip and manners.prefix:
        lines.append((b"X-Forwarded-Prefix", manners.prefix.encode("ascii")))
    name = request.site.request_id
    if name:
        lines.append((name, request.id.encode("ascii")))
    return lines


def _node(client: Any) -> str:
    """RFC 7239, section 6."""
    if isinstance(client, IPv6Address):
        return f"[{client.host}]"
    return client.host if isinstance(client, IPv4Address) else "unknown"


def _way(request: Any, upgrade: bytes | None) -> Pairs:
    """What is between us and the back end, and that there is something between."""
    version = _VERSIONS.get(request.clientproto, b"1.1")
    lines = [(b"Via", version + b" ropewalk")]
    if upgrade is not None:
        return [*lines, (b"Connection", b"Upgrade"), (b"Upgrade", upgrade)]
    wanted = b",".join(request.requestHeaders.getRawHeaders(b"te") or ())
    if b"trailers" in [each.strip().lower() for each in wanted.split(b",")]:
        lines += [(b"Connection", b"TE"), (b"TE", b"trailers")]
    return lines


def _length(request: Any, intake: Intake | None) -> Pairs:
    """How long the body is (RFC 9112, section 6)."""
    if intake is None:
        return [(b"Content-Length", b"0")] if request.method in _WITH_BODY else []
    expects = request.requestHeaders.getRawHeaders(b"expect")
    lines = [(b"Expect", b"100-continue")] if expects else []
    if intake.length is None:
        return [(b"Transfer-Encoding", b"chunked"), *lines]
    return [(b"Content-Length", b"%d" % intake.length), *lines]


def reply_headers(reply: Reply, target: Target, manners: Manners) -> Iterable[Any]:
    """The headers of an answer as the client is sent them."""
    pairs = reply.pairs
    if reply.options:
        pairs = [each for each in pairs if each[0].lower() not in reply.options]
    if reply.code == 204:
        # RFC 9110, section 8.6.
        pairs = [each for each in pairs if each[0].lower() != b"content-length"]
    if manners.rewrite and manners.strip and manners.prefix:
        return [
            (name, _rewritten(name, value, target, manners)) for name, value in pairs
        ]
    return pairs


def _rewritten(name: bytes, value: bytes, target: Target, manners: Manners) -> bytes:
    prefix, key = manners.prefix.encode("ascii"), name.lower()
    if key in (b"location", b"content-location"):
        own = (b"https://" if target.secure else b"http://") + target.authority
        rest = value.removeprefix(own)
        if rest != value and rest[:1] in (b"", b"/", b"?"):
            value = rest or b"/"
        return _below(prefix, value)
    if key == b"set-cookie":
        found = _COOKIE_PATH.search(value)
        if found is not None:
            at = found.start(1)
            return value[:at] + _below(prefix, found[1]) + value[found.end() :]
    return value


_COOKIE_PATH = re.compile(rb"(?i);[ \t]*path=(/[^;]*)")


def _below(prefix: bytes, path: bytes) -> bytes:
    """A path of the back end's as the client must ask for it."""
    if not path.startswith(b"/") or path.startswith(b"//"):
        return path
    if path == prefix or path.startswith((prefix + b"/", prefix + b"?")):
        return path
    return prefix + path
