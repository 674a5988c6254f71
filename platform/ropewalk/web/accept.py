# -*- test-case-name: tests.test_accept -*-
"""
Which of several representations a client would rather have.
"""

from __future__ import annotations

from twisted.web.iweb import IRequest

__all__ = ["preferred", "rank"]


def preferred(request: IRequest, *offers: str) -> str:
    """
    Choose by the request's ``Accept`` header (RFC 9110, section 12.5.1).

    :param offers: Media types that can be had, the one to choose when the
        client has no preference first.
    :return: one of the offers: the first, also when the client accepts none.
    """
    headers = request.requestHeaders.getRawHeaders("accept") or []
    accept = ", ".join(headers)
    if not accept.strip():
        return offers[0]
    return max(offers, key=lambda offer: (rank(accept, offer), -offers.index(offer)))


def rank(accept: str, offer: str) -> float:
    """
    How welcome a media type is, 0 to 1. The most specific range decides.

    :param accept: The value of an ``Accept`` header.
    """
    kind = offer.partition("/")[0]
    found = (-1, 0.0)
    for part in accept.split(","):
        words = [word.strip().lower() for word in part.split(";")]
        weights = [word[2:] for word in words[1:] if word.startswith("q=")]
        weight = _weight(weights[0]) if weights else 1.0
        specific = {offer: 2, f"{kind}/*": 1, "*/*": 0}.get(words[0], -1)
        if specific > found[0]:
            found = (specific, weight)
    return found[1]


def _weight(text: str) -> float:
    """A weight; what is not one weighs nothing."""
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
