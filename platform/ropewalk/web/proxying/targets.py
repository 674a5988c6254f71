# -*- test-case-name: tests.test_proxying -*-
"""
Where a back end listens, and how it is reached.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
)
from twisted.internet.interfaces import IStreamClientEndpoint

__all__ = ["Target", "read_target"]

_PORTS = {"http": 80, "https": 443}

_MEANT = (
    "write 'http://127.0.0.1:9000', 'https://app.internal', or 'unix:/run/app.sock'"
)


class Target(Struct, frozen=True):
    """
    Where a back end listens.

    :ivar written: As the operator wrote it.
    :ivar host: A name or an address, without brackets; empty for a UNIX socket.
    :ivar secure: Whether it speaks TLS.
    :ivar base: What every path there begins with: ``""``, ``"/app"``.
    :ivar socket: The path of a UNIX socket.
    :ivar trust: A file with the certificates of who may vouch for it, in PEM; empty
        for those that the system trusts.
    """

    written: str
    host: str = ""
    port: int = 0
    secure: bool = False
    base: str = ""
    socket: str = ""
    trust: str = ""

    @property
    def authority(self) -> bytes:
        """What ``Host`` says to ask for it by its own name."""
        if self.socket:
            return b"localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == _PORTS["https" if self.secure else "http"]
        return (host if usual else f"{host}:{self.port}").encode("ascii")

    def endpoint(self, reactor: Any, seconds: float) -> IStreamClientEndpoint:
        """
        What connects to it.

        :param seconds: How long that may take.
        """
        if self.socket:
            return UNIXClientEndpoint(reactor, self.socket, timeout=seconds)
        endpoint = self._plain(reactor, seconds)
        if not self.secure:
            return endpoint
        from twisted.internet.endpoints import wrapClientTLS

        return wrapClientTLS(_options(self.host, self.trust), endpoint)

    def _plain(self, reactor: Any, seconds: float) -> IStreamClientEndpoint:
        if isIPAddress(self.host):
            return TCP4ClientEndpoint(reactor, self.host, self.port, seconds)
        if isIPv6Address(self.host):
            return TCP6ClientEndpoint(reactor, self.host, self.port, seconds)
        return HostnameEndpoint(reactor, self.host, self.port, seconds)


def read_target(url: str, trust: str = "") -> Target:
    """
    Read where a back end listens.

    :raise ValueError: When it cannot be told.
    """
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"{url!r} has characters in it that no URL has; {_MEANT}")
    if url.startswith("unix:"):
        path = url.removeprefix("unix:")
        if not path.startswith("/"):
            raise ValueError(f"{url!r} names no socket by its whole path; {_MEANT}")
        return Target(url, socket=path)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no URL ({error}); {_MEANT}") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is no place to pass requests to; {_MEANT}")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{url!r} has more in it than a place and a path; {_MEANT}")
    return Target(
        *(url, parts.hostname, port or _PORTS[parts.scheme]),
        secure=parts.scheme == "https",
        base=parts.path.rstrip("/"),
        trust=trust,
    )


@lru_cache(64)
def _options(host: str, trust: str) -> Any:
    from twisted.internet.ssl import optionsForClientTLS, trustRootFromCertificates

    if not trust:
        return optionsForClientTLS(host)
    return optionsForClientTLS(host, trustRootFromCertificates(_certificates(trust)))


def _certificates(path: str) -> list[Any]:
    from twisted.internet.ssl import Certificate

    end = "-----END CERTIFICATE-----"
    pieces = Path(path).read_text("ascii").split(end)[:-1]
    return [Certificate.loadPEM(f"{each}{end}\n".encode()) for each in pieces]
