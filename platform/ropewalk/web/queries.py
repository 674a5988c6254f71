# -*- test-case-name: tests.test_queries -*-
"""
Names and the texts that stand under them: in a query string, in an urlencoded
body, in cookies. A name may come more than once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, unquote_to_bytes

from ropewalk.errors import Fault, Malformed
from ropewalk.schema import to_plain
from ropewalk.schema.words import spell

__all__ = ["MOST_FIELDS", "read_cookies", "read_query", "text_of", "write_query"]

#: How many fields a query or a form may have. PHP's ``max_input_vars`` and
#: Django's ``DATA_UPLOAD_MAX_NUMBER_FIELDS`` are 1000 as well.
MOST_FIELDS = 1000

#: How many fields that are not UTF-8 are named.
_MOST_FAULTS = 100


def read_query(query: bytes, *, most: int = MOST_FIELDS) -> dict[str, list[str]]:
    """
    Take a query string or an urlencoded body apart, as the URL Standard of
    WHATWG does (section 5.1), but for one thing: what is not UTF-8 is refused.

    A ``%`` that starts no escape stands for itself, a name without ``=`` has
    blank text, and nothing between two ``&`` is nothing.

    :param query: Without the ``?``.
    :param most: How many fields there may be.
    :return: the texts of each name in their order; names in the order in which
        they first came.
    :raise Malformed: With a fault for each field that is not UTF-8, or one for
        there being too many.
    """
    fields: dict[str, list[str]] = {}
    if not query:
        return fields
    if query.count(b"&") >= most:
        raise Malformed((Fault("", f"more than {most} fields"),))
    faults: list[Fault] = []
    plain = b"%" not in query
    for piece in query.replace(b"+", b" ").split(b"&"):
        if not piece:
            continue
        name, _, text = piece.partition(b"=")
        if not plain:
            name, text = unquote_to_bytes(name), unquote_to_bytes(text)
        try:
            fields.setdefault(name.decode(), []).append(text.decode())
        except UnicodeDecodeError:
            named = spell((name.decode("utf-8", "replace"),))
            faults.append(Fault(named, "not UTF-8"))
    if faults:
        raise Malformed(tuple(faults[:_MOST_FAULTS]))
    return fields


def write_query(fields: Mapping[str, Any]) -> str:
    """
    Put a query string or an urlencoded body together, percent-encoded.

    :param fields: Values that are text, numbers, dates and the like, or lists
        of these. ``None`` is left out, and so is an empty list.
    :raise TypeError: When a value is neither.
    """
    return "&".join(
        f"{quote_plus(name)}={quote_plus(text)}"
        for name, value in fields.items()
        for text in _texts(name, to_plain(value))
    )


def _texts(name: str, plain: Any) -> list[str]:
    if plain is None:
        return []
    several = isinstance(plain, (list, tuple))
    return list(map(text_of, plain if several else [plain]))


def text_of(plain: Any) -> str:
    """
    What stands for a value where there is nothing but text.

    :param plain: Text, a number or a truth value.
    :raise TypeError: When it is anything else.
    """
    match plain:
        case str():
            return plain
        case bool():
            return "true" if plain else "false"
        case int() | float():
            return repr(plain)
    raise TypeError(f"{type(plain).__name__} cannot be written as one text")


def read_cookies(header: str) -> dict[str, str]:
    """
    The cookies of a ``Cookie`` header (RFC 6265, section 5.4), without quotes
    around them. Of two with one name, the first counts: it has the longer path.
    What has no ``=`` is no cookie.
    """
    cookies: dict[str, str] = {}
    for piece in header.split(";"):
        name, equals, text = piece.partition("=")
        name, text = name.strip(" \t"), text.strip(" \t")
        if not equals or not name:
            continue
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1]
        cookies.setdefault(name, text)
    return cookies
