# -*- test-case-name: tests.test_proxying -*-
"""
What a request says to a back end, and what its answer says to the client: without what
is between two ends of one connection, and with who is asking.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from msgspec import Struct
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.web.http_headers import Headers

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

#: What we add to the way (RFC 9110, section 7.6.3), by the version we were asked in.
_VIA = {
    b"HTTP/1.0": (b"Via", b"1.0 ropewalk"),
    b"HTTP/1.1": (b"Via", b"1.1 ropewalk"),
    b"HTTP/2": (b"Via", b"2 ropewalk"),
}


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
    values: list[bytes] = request.asked_header(b"upgrade")
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
    lines: Pairs = [
        (b"Host", _host(request, target, manners)),
        *_passed_on(request),
        *_who(request, manners),
        *_way(request, upgrade),
        *_length(request, intake),
    ]
    asked = b"%b %b HTTP/1.1" % (request.method, path_of(request, target, manners))
    said = [b"%b: %b" % pair for pair in lines]
    head = b"\r\n".join((asked, *said, b"", b""))
    if head.count(b"\n") != len(lines) + 2 or _HEAD.fullmatch(head) is None:
        raise Refused(400, "this request cannot be passed on: it is no HTTP/1.1")
    return head


def _passed_on(request: Any) -> Pairs:
    """What a client says that is for the back end."""
    fields = request._fields
    if fields is None or request._request_headers is not None:
        return _for_others(request.requestHeaders, _options(request))
    # Most clients say the same in each request, and their headers are read once.
    known: Pairs | None = fields.__dict__.get("passed_on")
    if known is None:
        known = _for_others(request.requestHeaders, _options(request))
        fields.__dict__["passed_on"] = known
    return known


def _for_others(headers: Headers, options: list[bytes]) -> Pairs:
    pairs: Pairs = []
    for name, values in headers.getAllRawHeaders():
        key = name.lower()
        if key in _DROPPED or key in options or _is_ours(key):
            continue
        if key == b"cookie":
            values = [b"; ".join(values)]  # RFC 9113, section 8.2.3
        pairs += [(name, value) for value in values]
    return pairs


@lru_cache(1024)
def _is_ours(key: bytes) -> bool:
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
    said = request.asked_header(b"connection")
    return _members(said) if said else []


def _members(said: list[bytes]) -> list[bytes]:
    """The members of a list, in lower case (RFC 9110, section 5.6.1)."""
    return [each.strip(b" \t").lower() for each in b",".join(said).split(b",")]


def _host(request: Any, target: Target, manners: Manners) -> bytes:
    if not manners.keep_host:
        return target.authority
    said = request.asked_header(b"host")
    return said[0] if said else target.authority


def _who(request: Any, manners: Manners) -> Pairs:
    """Who is asking, for what."""
    hosts = request.asked_header(b"host")
    host = hosts[0] if hosts else b""
    said = _introduction(_address(request.client), request.isSecure(), host)
    if manners.strip and manners.prefix:
        said = [*said, (b"X-Forwarded-Prefix", manners.prefix.encode("ascii"))]
    name = request.site.request_id
    return [*said, (name, request.id.encode("ascii"))] if name else said


def _address(client: Any) -> str:
    """A client's address; empty for one that has none."""
    return client.host if isinstance(client, IPv4Address | IPv6Address) else ""


@lru_cache(1024)
def _introduction(client: str, secure: bool, host: bytes) -> Pairs:
    """RFC 7239, and what was before it. Whoever asks changes nothing."""
    scheme, asked = "https" if secure else "http", host.decode("latin-1")
    node = f"[{client}]" if ":" in client else client or "unknown"  # section 6
    said = {"for": node, "proto": scheme, **({"host": asked} if asked else {})}
    return [
        *([(b"X-Forwarded-For", client.encode("ascii"))] if client else ()),
        (b"X-Forwarded-Proto", scheme.encode("ascii")),
        *([(b"X-Forwarded-Host", host)] if host else ()),
        (b"Forwarded", write_forwarded([said]).encode("latin-1")),
    ]


def _way(request: Any, upgrade: bytes | None) -> Pairs:
    """What is between us and the back end, and that there is something between."""
    lines = [_VIA.get(request.clientproto, _VIA[b"HTTP/1.1"])]
    if upgrade is not None:
        return [*lines, (b"Connection", b"Upgrade"), (b"Upgrade", upgrade)]
    wanted = request.asked_header(b"te")
    if wanted and b"trailers" in _members(wanted):
        lines += [(b"Connection", b"TE"), (b"TE", b"trailers")]
    return lines


def _length(request: Any, intake: Intake | None) -> Pairs:
    """How long the body is (RFC 9112, section 6)."""
    if intake is None:
        return [(b"Content-Length", b"0")] if request.method in _WITH_BODY else []
    expects = request.asked_header(b"expect")
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
