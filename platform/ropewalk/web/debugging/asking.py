# -*- test-case-name: tests.test_debugging -*-
"""
What somebody asks for, so far as it can be shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote

from msgspec import Struct

from ropewalk.web.debugging.masking import Masker, is_secret_name
from ropewalk.web.debugging.values import Shower

__all__ = ["Asked", "learn_request", "read_request"]

#: Characters of a header or field, and bytes of a body that are looked at.
_MOST, _BODY = 2_000, 64 * 1024


class Asked(Struct, frozen=True):
    """
    A request, with its secrets masked.

    :ivar name: Under which the log has it: ``"r17"``.
    :ivar route: Which route answers; empty if nobody knows.
    :ivar place: Where its handler is written.
    :ivar service: Whose it is.
    :ivar parts: The headers, the query, the form: for each its title, and names with
        values.
    """

    name: str
    method: str
    path: str
    route: str
    place: str
    service: str
    parts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def learn_request(request: Any, masker: Masker) -> None:
    """Meet the secrets in a request."""
    shower = Shower(masker, lambda: 0.0)
    for _, pairs in _parts(request):
        for name, value in pairs:
            if is_secret_name(name) and isinstance(value, str):
                masker.learn_header(name, value)
            else:
                shower.learn(name, value)


def read_request(request: Any, masker: Masker) -> Asked:
    """What can be shown of a request, when all secrets are known."""
    shower = Shower(masker, lambda: 0.0)

    def shown(name: str, value: Any) -> str:
        if not isinstance(value, str):
            return shower.show(name, value)
        if name.lower() == "cookie":
            return _cookie_names(value)
        if is_secret_name(name) and value:
            return shower.show(name, value)
        return masker.cut(value[:20_000], _MOST, len(value))

    route = getattr(request, "route", None)
    path, _, _ = request.uri.partition(b"?")
    return Asked(
        str(request.work.request or ""),
        request.method.decode("ascii", "backslashreplace"),
        masker.clean(unquote(path.decode("latin-1"))),
        str(getattr(route, "path", None) or ""),
        str(getattr(route, "place", None) or ""),
        str(request.work.plugin or ""),
        tuple(
            (title, tuple((name, shown(name, value)) for name, value in pairs))
            for title, pairs in _parts(request)
            if pairs
        ),
    )


def _cookie_names(value: str) -> str:
    names = [each.partition("=")[0].strip() for each in value.split(";")]
    return "; ".join(f"{name}=****" for name in names if name)


def _parts(request: Any) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    query = request.uri.partition(b"?")[2]
    yield "Query", _fields(query)
    try:
        body = list(_body(request))
    except Exception as error:  # it was what failed, perhaps
        body = [("Body", [("", f"it cannot be read: {type(error).__name__}")])]
    yield from body
    yield (
        "Headers",
        [
            (name.decode("latin-1"), value.decode("utf-8", "replace"))
            for name, values in request.requestHeaders.getAllRawHeaders()
            for value in values
        ],
    )


def _fields(written: bytes) -> list[tuple[str, Any]]:
    text = written.decode("utf-8", "replace")
    return list(parse_qsl(text, keep_blank_values=True, errors="replace"))


def _body(request: Any) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """What was sent, if it has names and values."""
    content = getattr(request, "content", None)
    kind = (request.getHeader(b"content-type") or b"").decode("latin-1").lower()
    if content is None or content.closed:
        return
    if kind.startswith("multipart/form-data"):
        yield (
            "Form",
            [
                (name.decode("utf-8", "replace"), each.decode("utf-8", "replace"))
                for name, values in (getattr(request, "args", None) or {}).items()
                for each in values
                if isinstance(each, bytes)
            ],
        )
        return
    before = content.tell()
    content.seek(0)
    body = content.read(_BODY)
    content.seek(before)
    if kind.startswith("application/x-www-form-urlencoded"):
        yield "Form", _fields(body)
    elif re.match(r"application/(?:[^;]*\+)?json\b", kind):
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return
        yield "JSON", list(value.items()) if type(value) is dict else [("", value)]
