# -*- test-case-name: tests.test_accept -*-
"""
Which of several representations a client would rather have.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from twisted.web.iweb import IRequest

__all__ = ["asked_header", "preferred", "rank"]

#: A media range with its parameters: up to a comma that is not in quotes.
_RANGE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')

#: One of its parts: up to a semicolon that is not in quotes.
_PART = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+')

#: RFC 9110, section 12.4.2, and more digits than that has.
_WEIGHT = re.compile(r"0?\.[0-9]+|0\.?|1(\.0*)?")


def asked_header(request: Any, name: bytes) -> Sequence[bytes]:
    """
    What a request says in a header: all values. Of one of ours no other header has to
    be looked at.

    :param name: In lower case.
    """
    ours = getattr(request, "asked_header", None)
    values: Sequence[bytes] | None
    if ours is not None:
        values = ours(name)
    else:
        values = request.requestHeaders.getRawHeaders(name)
    return values or ()


def preferred(request: IRequest, *offers: str) -> str:
    """
    Choose by the request's ``Accept`` header (RFC 9110, section 12.5.1).

    :param offers: Media types that can be had, at least one; the one to choose
        when the client has no preference first.
    :return: one of the offers. Of those that are equally welcome, the one that
        the client named rather than meant by ``*/*``, then the first; the
        first, too, when the client accepts none.
    """
    accept = b",".join(asked_header(request, b"accept")).decode("latin-1")
    if not accept:
        return offers[0]
    return max(offers, key=lambda offer: _judge(accept, offer))


def rank(accept: str, offer: str) -> float:
    """
    How welcome a media type is, 0 to 1. The most specific range decides; of two
    that are alike, the first.

    A range with parameters that the offer does not have is not for it. It
    counts if no other does: who asks for ``text/html;level=1`` would rather have
    HTML than JSON.

    :param accept: The value of an ``Accept`` header.
    """
    return _judge(accept, offer)[0]


def _judge(accept: str, offer: str) -> tuple[float, int]:
    """
    How welcome a media type is, and, where it is, how closely it was named.
    """
    wanted, wanted_parameters = _split(offer)
    decisive, found = -1, 0.0
    for each in _RANGE.findall(accept):
        kind, parameters = _split(each)
        # What comes behind the weight is an extension of old (RFC 7231).
        at = next(
            (at for at, word in enumerate(parameters) if word.startswith("q=")), None
        )
        weight = 1.0 if at is None else _weight(parameters[at])
        own = parameters[:at]
        if kind == wanted:
            alike = 4 if own and set(own) <= set(wanted_parameters) else 0 if own else 3
        elif kind == f"{wanted.partition('/')[0]}/*":
            alike = 2
        elif kind == "*/*":
            alike = 1
        else:
            continue
        if alike > decisive:
            decisive, found = alike, weight
    return (found, decisive) if found else (0.0, 0)


def _split(written: str) -> tuple[str, list[str]]:
    """A media type or range, and its parameters."""
    kind, *parameters = _PART.findall(written) or [""]
    return kind.strip().lower(), [each.strip().lower() for each in parameters]


def _weight(parameter: str) -> float:
    """What ``q=`` says; what is no weight weighs nothing."""
    written = parameter[2:]
    return float(written) if _WEIGHT.fullmatch(written) else 0.0
