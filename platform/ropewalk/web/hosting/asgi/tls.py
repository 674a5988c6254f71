# -*- test-case-name: tests.test_asgi_scopes -*-
"""
What an ASGI application is told of TLS (the extension ``tls``, 0.2).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["tls_of"]

#: What is known of each connection: it is worked out once.
_known: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()


def tls_of(request: Any) -> dict[str, Any] | None:
    """
    What is known of the TLS that a request came by; ``None`` when it did not come to us
    by TLS, but to a proxy.
    """
    channel = request.channel
    transport: Any = getattr(channel, "transport", None)
    if transport is None:
        transport = getattr(getattr(channel, "_conn", None), "transport", None)
    handle = _handle(transport)
    if handle is None:
        return None
    if handle not in _known:
        _known[handle] = _told(handle)
    return dict(_known[handle])


def _handle(transport: Any) -> Any:
    """OpenSSL's end of a connection, below whatever wraps it."""
    get = getattr(transport, "getHandle", None)
    handle = None if get is None else get()
    return handle if hasattr(handle, "get_cipher_name") else None


def _told(handle: Any) -> dict[str, Any]:
    peer = handle.get_peer_certificate()
    chain = handle.get_peer_cert_chain() if peer is not None else None
    return {
        "server_cert": _pem(handle.get_certificate()),
        "client_cert_chain": [_pem(each) for each in chain or ()],
        "client_cert_name": None if peer is None else _name(peer),
        "client_cert_error": None,
        "tls_version": handle.get_protocol_version(),
        "cipher_suite": _suites().get(handle.get_cipher_name()),
    }


def _pem(certificate: Any) -> str | None:
    if certificate is None:
        return None
    from OpenSSL.crypto import FILETYPE_PEM, dump_certificate

    pem: bytes = dump_certificate(FILETYPE_PEM, certificate)
    return pem.decode("ascii")


def _name(certificate: Any) -> str:
    name: str = certificate.to_cryptography().subject.rfc4514_string()
    return name


@lru_cache
def _suites() -> dict[str | None, int]:
    """The numbers of the cipher suites (RFC 8446, appendix B.4), by OpenSSL's names."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:COMPLEMENTOFALL")
    return {each["name"]: each["id"] & 0xFFFF for each in context.get_ciphers()}
