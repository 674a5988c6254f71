# -*- test-case-name: tests.test_asking -*-
"""
What operations and channels want to know of a request: who asks, and the JSON that it
brings.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ropewalk.errors import Invalid
from ropewalk.interfaces import Caller
from ropewalk.schema import read_json
from ropewalk.web.accept import asked_header
from ropewalk.web.formats import Unsupported, parse_type
from ropewalk.web.media import base_of

__all__ = ["JSON", "caller_of", "in_body", "json_of"]

JSON = "application/json"


def caller_of(request: Any) -> Caller:
    """Who asks."""
    address = getattr(request.client, "host", None) or ""
    return Caller("http", address, request.work.connection or "")


def json_of(request: Any, shape: Any, *, empty: Any = None) -> Any:
    """
    What is in the body.

    A page of another site can have a browser send anything in our visitor's name, but
    not of this type, unless it is allowed to (Fetch, section 3.3.5: such a request is
    preflighted).

    :param shape: What it is read into.
    :param empty: What no body at all stands for, if it may be missing: only a browser
        says by a header what page has sent it.
    :raise Unsupported: When it is no JSON, by its type.
    :raise Malformed: When it is none.
    :raise Invalid: When it does not have the shape.
    """
    request.content.seek(0)
    body = request.content.read()
    kinds = asked_header(request, b"content-type")
    kind = kinds[-1].decode("latin-1") if kinds else ""
    missing = not body and empty is not None
    if missing and not kind and not asked_header(request, b"origin"):
        return empty
    if not kind or base_of(parse_type(kind)[0]) != JSON:
        raise Unsupported(kind, (JSON,))
    if missing:
        return empty
    try:
        return read_json(shape, body)
    except Invalid as refused:
        raise in_body(refused) from None


def in_body(refused: Invalid) -> Invalid:
    """The same faults, with the part of the request that they are in."""
    faults = tuple(replace(each, where=each.where or "body") for each in refused.faults)
    return type(refused)(faults)
