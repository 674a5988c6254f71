# -*- test-case-name: tests.test_datagrams -*-
"""
How somebody proves to be where their datagrams say that they come from. Anybody can
write any address onto a datagram; only who is there gets what is sent to it:

.. code-block:: text

    client                              server
      hello                ──▶
                           ◀──          challenge, a cookie
      answer, the cookie,  ──▶          now it is known who talks
      the first datagram

A datagram of this kind begins with three bytes, ``ff 52 57``, and one that says which
it is. A cookie has 16 bytes. A hello is as long as a challenge, so that nobody is sent
more than was sent in their name; no shorter datagram is answered with a challenge.
"""

from __future__ import annotations

import os
from hashlib import blake2s
from hmac import compare_digest

from msgspec import Struct

__all__ = ["HELLO", "MARK", "Cookies", "Prover", "answer", "challenge", "read_answer"]

#: What they begin with: no text in UTF-8 has such a byte.
MARK = b"\xffRW"

_SIZE = 16
_CHALLENGE = MARK + b"?"
_ANSWER = MARK + b"!"

#: What somebody says who wants to be let in.
HELLO = MARK + b"." + bytes(_SIZE)

#: How long a cookie can be answered, at least, in seconds; and twice as long at most.
_VALID = 30.0


def challenge(cookie: bytes) -> bytes:
    """What is sent to somebody who has proved nothing."""
    return _CHALLENGE + cookie


def answer(cookie: bytes, first: bytes = b"") -> bytes:
    """
    What they answer.

    :param first: What they have to say; nothing if it is empty.
    """
    return _ANSWER + cookie + first


def read_answer(datagram: bytes) -> tuple[bytes, bytes] | None:
    """
    The cookie in an answer and what else it says; ``None`` when it is none.
    """
    start = len(_ANSWER)
    if not datagram.startswith(_ANSWER) or len(datagram) < start + _SIZE:
        return None
    return datagram[start : start + _SIZE], datagram[start + _SIZE :]


class Cookies:
    """
    Makes cookies and knows them again, without remembering any: who sends a million
    hellos takes no memory.

    :param secret: What only we know; 16 to 32 bytes.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret or os.urandom(32)

    def make(self, address: tuple[str, int], now: float) -> bytes:
        """
        The cookie of an address.

        :param now: Seconds, of any clock that goes forward.
        """
        return self._cookie(address, int(now // _VALID))

    def knows(self, cookie: bytes, address: tuple[str, int], now: float) -> bool:
        """Whether it is the cookie of this address, made not long ago."""
        window = int(now // _VALID)
        made = [self._cookie(address, each) for each in (window, window - 1)]
        return any(compare_digest(each, cookie) for each in made)

    def _cookie(self, address: tuple[str, int], window: int) -> bytes:
        text = f"{address[0]} {address[1]} {window}".encode()
        return blake2s(text, digest_size=_SIZE, key=self._secret).digest()


class Prover(Struct, eq=False):
    """
    The side of who comes: says :data:`HELLO`, and answers what is asked.

    :ivar first: What to say as soon as one is let in.
    """

    first: bytes = b""

    def take(self, datagram: bytes) -> tuple[bytes | None, bytes | None]:
        """
        Take what came.

        :return: what to send at once, if there is something; and what was said, if it
            is no challenge.
        """
        if not datagram.startswith(_CHALLENGE) or len(datagram) != len(HELLO):
            return None, datagram
        first, self.first = self.first, b""
        return answer(datagram[len(_CHALLENGE) :], first), None
