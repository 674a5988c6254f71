# -*- test-case-name: tests.test_negotiation -*-
"""
Values written as the client would have them: JSON, or any other format that there is
and that its ``Accept`` header names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from attrs import define

from ropewalk.errors import RopewalkError
from ropewalk.schema import write_json
from ropewalk.web.accept import asked_header, rank
from ropewalk.web.headers import checked_values
from ropewalk.web.media import Formats, base_of, formats_of
from ropewalk.web.pieces import NotWritable

__all__ = [
    "NotAcceptable",
    "said_header",
    "said_type",
    "set_type",
    "welcome",
    "write_value",
]

_JSON = "application/json"


@define
class NotAcceptable(RopewalkError):
    """
    A client accepts nothing of what there is.

    :ivar offers: The media types that there are.
    """

    status = 406

    offers: tuple[str, ...]

    def __str__(self) -> str:
        return f"what is here can be had as {', '.join(self.offers)}"


def write_value(request: Any, value: Any, offers: Sequence[str] | None) -> bytes:
    """
    Write a value as a handler said, or else as the client would have it, and set the
    headers that say so.

    :param offers: The media types that it can be had as; ``None`` for all.
    :raise NotAcceptable: When the client accepts nothing of what there is.
    :raise NotWritable: When nobody knows how to write it.
    """
    formats = formats_of(request)
    said = said_type(request)
    if said is not None:
        return _write(value, said, formats)
    _vary(request)
    accept = _accept(request)
    if offers is None and accept in ("", "*/*"):
        set_type(request, _JSON)
        return _write(value, _JSON, formats)
    there = _all_offers(formats) if offers is None else tuple(offers)
    media_type, written = _negotiate(value, accept, there, formats)
    set_type(request, media_type)
    return written


def welcome(request: Any, offers: tuple[str, ...]) -> tuple[str, ...]:
    """
    Of some media types those that a client accepts, the most welcome first; and say
    that it is up to the client.
    """
    _vary(request)
    return _acceptable(_accept(request), offers)


def said_type(request: Any) -> str | None:
    """
    The media type of a request's answer, if somebody has said it; without parameters.
    """
    said = said_header(request, b"Content-Type")
    return None if said is None else _kind_of(said)


def set_type(request: Any, content_type: str) -> None:
    """
    Say what a request's answer is.

    :raise ValueError: When it cannot be said in a header.
    """
    encoded = _encoded_type(content_type)
    request.setHeader(b"Content-Type", encoded)


def said_header(request: Any, name: bytes) -> bytes | None:
    """
    What a request's answer says so far; the last of several values.

    :param name: As it is usually written: ``b"Content-Type"``.
    """
    ours = getattr(request, "said_header", None)
    if ours is not None:
        said: bytes | None = ours(name)
        return said
    values = request.responseHeaders.getRawHeaders(name)
    return values[-1] if values else None


@lru_cache(1024)
def _kind_of(said: bytes) -> str:
    return said.decode("latin-1").partition(";")[0].strip().lower()


@lru_cache(1024)
def _encoded_type(content_type: str) -> bytes:
    (checked,) = checked_values("content-type", content_type)
    return checked.encode("utf-8")


def _vary(request: Any) -> None:
    if said_header(request, b"Vary") is None:
        request.setHeader(b"Vary", b"accept")
        return
    headers = request.responseHeaders
    said = b",".join(headers.getRawHeaders(b"vary", ())).lower()
    if not said:
        headers.setRawHeaders(b"vary", [b"accept"])
    elif not {b"accept", b"*"} & {each.strip() for each in said.split(b",")}:
        headers.addRawHeader(b"vary", b"accept")


def _accept(request: Any) -> str:
    return b",".join(asked_header(request, b"accept")).decode("latin-1")


def _all_offers(formats: Formats) -> tuple[str, ...]:
    from ropewalk.web.formats import OFFERS

    return tuple(dict.fromkeys((*OFFERS, *formats.written)))


@lru_cache(256)
def _acceptable(accept: str, offers: tuple[str, ...]) -> tuple[str, ...]:
    """
    Of some media types those that a client accepts, the most welcome first.
    """
    if not accept:
        return offers
    named = accept.lower()

    def order(offer: str) -> tuple[float, int]:
        group = f"{offer.partition('/')[0]}/*"
        return -rank(accept, offer), 0 if offer in named else 1 if group in named else 2

    acceptable = sorted((each for each in offers if rank(accept, each)), key=order)
    if acceptable and _is_browser(accept, acceptable[0]):
        acceptable.sort(key=offers.index)
    return tuple(acceptable)


def _is_browser(accept: str, offer: str) -> bool:
    """
    Whether a client would rather have a page than the best of what there is. It may
    prefer XML to JSON all the same, but only for XHTML's sake.
    """
    return "text/html" in accept.lower() and rank(accept, "text/html") > rank(
        accept, offer
    )


def _negotiate(
    value: Any, accept: str, offers: tuple[str, ...], formats: Formats
) -> tuple[str, bytes]:
    acceptable = _acceptable(accept, offers)
    if not acceptable:
        raise NotAcceptable(offers)
    refused: NotWritable | None = None
    for media_type in acceptable:
        try:
            return media_type, _write(value, media_type, formats)
        except NotWritable as error:
            refused = refused or error
    assert refused is not None
    if _JSON not in acceptable and _JSON in offers:
        # Or it cannot be written at all, which is our fault.
        _write(value, _JSON, formats)
        raise NotAcceptable(tuple(set(offers) - set(acceptable)))
    raise refused


def _write(value: Any, media_type: str, formats: Formats) -> bytes:
    own = formats.writer(media_type) if formats else None
    media_type = base_of(media_type)
    try:
        if own is not None:
            return own(value)
        if media_type == _JSON:
            return write_json(value)
        from ropewalk.web.formats import write_body

        body: bytes = write_body(value, media_type)
        return body
    except (
        TypeError,
        ValueError,
        NotImplementedError,
        RecursionError,
        RopewalkError,
    ) as error:
        raise NotWritable(type(value).__qualname__, str(error)) from error
