# -*- test-case-name: tests.test_webhooks -*-
"""
Signed webhooks, as Standard Webhooks has them (https://www.standardwebhooks.com): who
sends one shows that it knows a secret, and when it was sent; who receives one believes
nothing else.

The signature is HMAC-SHA256 over the identifier, the time and the body, with a dot
between two.
"""

from __future__ import annotations

import hmac
import os
import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field

from ropewalk.errors import BadWebhook

__all__ = ["Seen", "key_of", "make_secret", "sign", "verify"]

_PREFIX = "whsec_"

#: How many bytes there are in a secret, says the specification.
_SHORTEST, _LONGEST = 24, 64

#: How many signatures of one webhook are looked at: secrets rotate one by one.
_SIGNATURES = 16

_IDENTIFIER = re.compile(r"[!-~]{1,255}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


def make_secret() -> str:
    """A new secret: ``whsec_`` and 32 random bytes in base 64."""
    return _PREFIX + b64encode(os.urandom(32)).decode("ascii")


def key_of(secret: str) -> bytes:
    """
    The bytes of a secret.

    :param secret: 24 to 64 bytes in base 64, with ``whsec_`` before them or not.
    :raise ValueError: When it is none. What it was is not told.
    """
    try:
        key = b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (NotBase64, ValueError):
        key = b""
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(
            f"expected whsec_ and {_SHORTEST} to {_LONGEST} bytes in base 64; "
            "ropewalk.outbound.signing.make_secret() makes one"
        )
    return key


def sign(
    identifier: str, body: bytes, secrets: Iterable[str], now: float
) -> dict[str, str]:
    """
    The headers that go with a webhook.

    :param identifier: Of what is told; the same whenever it is told again.
    :param body: The body, as it is sent.
    :param secrets: Each signs: whoever receives it may know the old one or the new.
    :param now: Seconds since the epoch (UTC).
    :raise ValueError: When a secret is none.
    """
    at = str(int(now))
    signatures = [_signature(key_of(each), identifier, at, body) for each in secrets]
    return {
        "webhook-id": identifier,
        "webhook-timestamp": at,
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    now: float,
    tolerance: float = 300.0,
) -> str:
    """
    See whether a webhook comes from somebody who knows a secret, and was sent just now.

    :param headers: By name, in whatever case.
    :param body: As it came, byte for byte.
    :param secrets: Those that are believed.
    :param now: Seconds since the epoch (UTC).
    :param tolerance: How many seconds the clocks may be apart, and the webhook be on
        its way.
    :return: the webhook's identifier. It is the same when one is sent again; who must
        not do a thing twice asks a :class:`Seen`.
    :raise BadWebhook: When it is not to be believed.
    :raise ValueError: When a secret of ours is none.
    """
    found = {name.lower(): value for name, value in headers.items()}
    identifier = _header(found, "webhook-id", _IDENTIFIER, "an identifier")
    at = _header(found, "webhook-timestamp", _TIMESTAMP, "seconds since the epoch")
    expected = [_signature(key_of(each), identifier, at, body) for each in secrets]
    given = [
        each.removeprefix("v1,").encode("latin-1", "replace")
        for each in found.get("webhook-signature", "").split(" ")[:_SIGNATURES]
        if each.startswith("v1,")
    ]
    if not given:
        raise BadWebhook("webhook-signature has no signature of version 1")
    # Each is compared with each, whichever fits, in a time that tells nothing.
    fits = [
        hmac.compare_digest(one.encode("ascii"), other)
        for one in expected
        for other in given
    ]
    if not any(fits):
        raise BadWebhook("no signature is by a secret that is known here")
    age = now - int(at)
    if abs(age) > tolerance:
        when = f"{age:.0f} seconds ago" if age > 0 else f"{-age:.0f} seconds from now"
        raise BadWebhook(f"it was sent {when}; set the clocks of both machines")
    return identifier


@define(eq=False)
class Seen:
    """
    The identifiers that were seen. An attacker may send again what was sent before, and
    an honest sender does so whose answer got lost.

    :param limit: How many are remembered, 1 or more; one more, and the oldest is
        forgotten. Only who knows a secret can bring that about.
    :param keep: Seconds for which one is remembered. Twice the tolerance of
        :func:`verify` keeps out whatever is sent by others; as long as the sender tries
        again, whatever is sent twice.
    """

    _limit: int = 10_000
    _keep: float = 24 * 60 * 60.0
    _seen: OrderedDict[str, float] = field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._seen)

    def before(self, identifier: str, now: float) -> bool:
        """
        Whether this one was seen before. From now on it was.

        :param now: Seconds, of any clock that goes forward.
        """
        while self._seen and next(iter(self._seen.values())) <= now - self._keep:
            self._seen.popitem(last=False)
        if identifier in self._seen:
            return True
        if len(self._seen) >= self._limit:
            self._seen.popitem(last=False)
        self._seen[identifier] = now
        return False

    def forget(self, identifier: str) -> None:
        """It came to nothing: when it is sent again, it is new."""
        self._seen.pop(identifier, None)


def _signature(key: bytes, identifier: str, at: str, body: bytes) -> str:
    signed = f"{identifier}.{at}.".encode() + body
    return b64encode(hmac.digest(key, signed, "sha256")).decode("ascii")


def _header(
    headers: Mapping[str, str], name: str, pattern: re.Pattern[str], what: str
) -> str:
    value = headers.get(name, "")
    if not pattern.fullmatch(value):
        raise BadWebhook(f"the header {name} is missing, or is not {what}")
    return value
