# -*- test-case-name: tests.test_proxies -*-
"""
Who is behind the proxies, and what for they came: what headers say of that is
believed of proxies that are trusted, and of nobody else.

Each proxy writes its own visitor behind what it was told. So the headers are read
from the right, and no further than to the first visitor who is no proxy of ours:
whatever stands left of him, he may have written himself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Literal

from msgspec import Struct
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.web.http_headers import Headers

__all__ = [
    "Family",
    "Proxies",
    "Told",
    "read_forwarded",
    "read_host",
    "read_id",
    "read_node",
    "write_forwarded",
]

#: Whose headers are read: those of RFC 7239, those that came before it, or either.
Family = Literal["any", "forwarded", "x-forwarded"]

_Network = IPv4Network | IPv6Network

#: What TLS is called in front of us; a proxy may say what a WebSocket's URL says.
_SCHEMES: Mapping[str, Literal["http", "https"]] = {
    "http": "http",
    "https": "https",
    "ws": "http",
    "wss": "https",
}

# RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# RFC 9110, section 5.6.4: what can be quoted.
_TEXT = re.compile("[\t -~\x80-\xff]*")

# RFC 7239, section 4; but many write addresses without the quotes they need.
_PAIR = re.compile(
    rf'[ \t]*({_TOKEN.pattern})=("(?:[^"\\]|\\.)*"|[^\s",;\\]*)[ \t]*', re.DOTALL
)

# RFC 7239, section 6; an obfuscated port says nothing.
_NODE = re.compile(
    r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::(?:([0-9]{1,5})|_[A-Za-z0-9._-]+))?"
)

# RFC 9110, section 7.2, of what can be looked up.
_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")

_ID = re.compile(rb"[A-Za-z0-9._:+/=@-]{1,200}")

#: Characters of the longest node that is looked at.
_LONGEST_NODE = 100

#: Addresses that are remembered, so that they need not be looked at again.
_REMEMBERED = 1024


class Told(Struct, frozen=True):
    """
    What trusted proxies tell of a request. ``None`` is what they do not tell.

    :ivar client: Whose request it is.
    :ivar host: The name that was asked for; of IPv6, in brackets.
    :ivar port: The port behind that name.
    :ivar disputed: Whether the two families of headers name different clients: a
        proxy writes one of them, and lets pass in the other what anybody wrote.
    """

    client: IPv4Address | IPv6Address | None = None
    scheme: Literal["http", "https"] | None = None
    host: str | None = None
    port: int | None = None
    disputed: bool = False


class Proxies:
    """
    The proxies that are trusted.

    :param entries: ``"127.0.0.1"``, ``"10.0.0.0/8"``; ``"unix"`` for whoever can
        connect to a UNIX socket of ours.
    :param family: Whose headers are read. Of ``"any"``, what ``Forwarded`` says
        counts, and the others where it says nothing.
    :raise ValueError: With what is wrong with an entry.
    """

    def __init__(self, entries: Iterable[str], family: Family = "any") -> None:
        written = tuple(entries)
        self.family = family
        self._unix = "unix" in written
        self._networks = tuple(_network(each) for each in written if each != "unix")
        self._has = lru_cache(_REMEMBERED)(self._look)

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def trusts(self, address: Any) -> bool:
        """Whether who has this address, an ``IAddress``, is one of them."""
        if isinstance(address, IPv4Address | IPv6Address):
            return self._has(address.host)
        return self._unix and isinstance(address, UNIXAddress)

    def read(self, headers: Headers) -> Told:
        """
        What the headers say that one of them has sent. What cannot be read ends
        the reading.
        """
        forwarded = headers.getRawHeaders(b"forwarded")
        if self.family == "x-forwarded" or (self.family == "any" and not forwarded):
            return self._read_former(headers)
        lines = [each.decode("latin-1") for each in forwarded or ()]
        told = self._read_standard(lines)
        if self.family == "forwarded":
            return told
        former = self._read_former(headers)
        names_both = told.client is not None and former.client is not None
        return Told(
            told.client or former.client,
            told.scheme or former.scheme,
            *((former.host, former.port) if told.host is None else _place(told)),
            names_both and _name(told.client) != _name(former.client),
        )

    def _read_standard(self, lines: Sequence[str]) -> Told:
        """RFC 7239."""
        told = Told()
        for element in read_forwarded(lines):
            client = read_node(element.get("for", ""))
            host, port = read_host(element.get("host", "")) or _place(told)
            scheme = _SCHEMES.get(element.get("proto", "").lower(), told.scheme)
            told = Told(client or told.client, scheme, host, port)
            if client is None or not self.trusts(client):
                break
        return told

    def _read_former(self, headers: Headers) -> Told:
        """``X-Forwarded-For`` and what goes with it, which nobody has specified."""
        client, depth = None, 1
        chain = _list(headers, b"x-forwarded-for")
        for place, text in enumerate(reversed(chain), 1):
            node, depth = read_node(text), place
            client = node or client
            if node is None or not self.trusts(node):
                break
        scheme = _SCHEMES.get(_at(headers, b"x-forwarded-proto", depth).lower())
        host, port = read_host(_at(headers, b"x-forwarded-host", depth)) or (None, None)
        port = _port(_at(headers, b"x-forwarded-port", depth)) or port
        return Told(client, scheme, host, port)

    def _look(self, host: str) -> bool:
        address = _plain(host)
        return address is not None and any(address in each for each in self._networks)


def read_forwarded(lines: Sequence[str]) -> Iterator[dict[str, str]]:
    """
    Read ``Forwarded`` (RFC 7239, section 4) from the right, where the nearest proxy
    has written; up to what is malformed.

    :param lines: The values of all headers of that name, in their order.
    :return: for each element what it says, by names in lower case.
    """
    for line in reversed(lines):
        element: dict[str, str] = {}
        for separator, pair in _pairs(line):
            found = _PAIR.fullmatch(pair)
            if found is not None and found[1].lower() not in element:
                element[found[1].lower()] = _unquoted(found[2])
            elif found is not None or pair.strip(" \t") or not separator:
                return
            if separator == "," and element:
                yield element
                element = {}


def write_forwarded(elements: Iterable[Mapping[str, str]]) -> str:
    """
    Write ``Forwarded`` (RFC 7239, section 4).

    :param elements: From left to right; what each says, by name.
    :raise ValueError: When no header could say that.
    """
    return ", ".join(
        ";".join(_written(name, value) for name, value in element.items())
        for element in elements
    )


def read_node(text: str) -> IPv4Address | IPv6Address | None:
    """
    Read who somebody is: ``"192.0.2.7"``, ``"[2001:db8::7]:5000"`` (RFC 7239,
    section 6), or as ``X-Forwarded-For`` has it, ``"2001:db8::7"``.

    :return: ``None`` for who is unknown, has a name of the proxy's own, or is none.
    """
    return _node(text) if len(text) <= _LONGEST_NODE else None


def read_host(text: str) -> tuple[str, int | None] | None:
    """
    Read ``"example.org"``, ``"example.org:8443"`` or ``"[::1]:8443"``.

    :return: the name and the port; ``None`` for what is none.
    """
    found = _HOST.fullmatch(text)
    if found is None:
        return None
    port = None if found[2] is None else _port(found[2])
    return None if found[2] is not None and port is None else (found[1], port)


def read_id(headers: Headers, name: bytes) -> str | None:
    """
    Read the id of a request; ``None`` where there is none that can be had as it
    is: 1 to 200 letters, digits and ``._:+/=@-``.

    :param name: The header's.
    """
    values = headers.getRawHeaders(name)
    if values is None or len(values) != 1 or not _ID.fullmatch(values[0]):
        return None
    return values[0].decode("ascii")


def _network(entry: str) -> _Network:
    try:
        network = ip_network(entry, strict=False)
    except ValueError:
        problem = "expected an address like '127.0.0.1', a network like '10.0.0.0/8', "
        raise ValueError(f"{problem}or 'unix', got {entry!r}") from None
    if "/" in entry and str(network.network_address) != str(
        ip_address(entry.partition("/")[0])
    ):
        one = entry.partition("/")[0]
        raise ValueError(
            f"{entry!r} is neither one address nor a network: write {one!r} or "
            f"{str(network)!r}"
        )
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:
        return IPv4Network((mapped, network.prefixlen - 96))
    return network


def _plain(text: str) -> Any:
    """
    An address without a port. Of an IPv4 address in an IPv6 one, which is how a
    socket for both shows it (RFC 4291, section 2.5.5.2), the former.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(_REMEMBERED)
def _node(text: str) -> IPv4Address | IPv6Address | None:
    found = _NODE.fullmatch(text)
    host, port = (text, 0) if found is None else (found[1] or found[2], found[3] or 0)
    address = None if "%" in host else _plain(host)
    if address is None or int(port) > 65535:
        return None
    kind = IPv4Address if address.version == 4 else IPv6Address
    return kind("TCP", str(address), int(port))


def _port(text: str) -> int | None:
    port = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return port if 0 < port < 65536 else None


def _name(client: IPv4Address | IPv6Address | None) -> str | None:
    return None if client is None else client.host


def _place(told: Told) -> tuple[str | None, int | None]:
    return told.host, told.port


def _list(headers: Headers, name: bytes) -> list[str]:
    """The members of a list (RFC 9110, section 5.6.1)."""
    lines = headers.getRawHeaders(name)
    if lines is None:
        return []
    members = b",".join(lines).decode("latin-1").split(",")
    return [each for each in (member.strip(" \t") for member in members) if each]


def _at(headers: Headers, name: bytes, depth: int) -> str:
    """
    What the proxy said in another list which added the entry at ``depth``, from 1
    at the right. Who adds nothing lets pass what the one before it said.
    """
    values = _list(headers, name)
    return values[-min(depth, len(values))] if values else ""


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """
    The pairs of a ``Forwarded``, from the right, each after what stands left of it:
    ``","`` at the beginning, too. The last of what is malformed stands after ``""``.
    (From the left, one quote would be enough to make text of what the proxy added.)
    """
    at = end = len(line)
    while at > 0:
        at -= 1
        if line[at] == '"':
            at = _opening(line, at)
            if at < 0:
                yield "", ""
                return
        elif line[at] in ",;":
            yield line[at], line[at + 1 : end]
            end = at
    yield ",", line[:end]


def _opening(line: str, closing: int) -> int:
    """Where the quoted string begins that ends at ``closing``; -1 for nowhere."""
    at = closing
    while (at := line.rfind('"', 0, at)) >= 0:
        before = at
        while before > 0 and line[before - 1] == "\\":
            before -= 1
        if (at - before) % 2 == 0:
            return at
    return -1


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)


def _written(name: str, value: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no token")
    if _TOKEN.fullmatch(value):
        return f"{name}={value}"
    if not _TEXT.fullmatch(value):
        raise ValueError(f"{value!r} cannot stand in a header")
    quoted = re.sub(r'(["\\])', r"\\\1", value)
    return f'{name}="{quoted}"'
