# -*- test-case-name: tests.test_client -*-
"""
Where a daemon is, and how to get there.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from msgspec import Struct
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.interfaces import IStreamClientEndpoint

from ropewalk.net.endpoints import make_client

__all__ = ["Place"]

#: By scheme: whether there is TLS, and the port where none is named.
_SCHEMES = {
    "http": (False, 80),
    "https": (True, 443),
    "ws": (False, 80),
    "wss": (True, 443),
    "lines": (False, None),
    "frames": (False, None),
}


class Place(Struct, frozen=True):
    """
    Where a daemon is.

    :ivar scheme: ``"http"``, ``"https"``, ``"lines"`` or ``"frames"``.
    :ivar path: Of the site's pages, without a slash at the end.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def of(cls, url: str) -> Place:
        """
        :raise ValueError: When no daemon can be there.
        """
        parts = urlsplit(url)
        scheme = parts.scheme.replace("ws", "http")
        if parts.scheme not in _SCHEMES or not parts.hostname:
            known = ", ".join(f"{each}://…" for each in _SCHEMES)
            raise ValueError(f"no daemon can be at {url!r}; write {known}")
        if parts.query or parts.fragment or parts.username is not None:
            raise ValueError(f"{url!r} has more than scheme, host, port and path")
        port = parts.port or _SCHEMES[parts.scheme][1]
        if port is None:
            raise ValueError(f"{url!r} needs a port: {url}:7071")
        return cls(scheme, parts.hostname, port, parts.path.rstrip("/"))

    @property
    def is_secure(self) -> bool:
        """Whether one speaks TLS there."""
        return self.scheme == "https"

    def url(self, path: str, scheme: str = "") -> str:
        """The URL of a page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _SCHEMES[self.scheme][1] else f":{self.port}"
        rest = quote(self.path, safe="/%") + path
        return f"{scheme or self.scheme}://{host}{port}{rest}"

    def endpoint(self, reactor: Any) -> IStreamClientEndpoint:
        """
        What connects.

        :raise MissingExtra: For TLS, when it is not installed.
        """
        kind = "tls" if self.is_secure else "tcp"
        host = quoteStringArgument(self.host)
        return make_client(f"{kind}:{host}:{self.port}", reactor)
