# -*- test-case-name: tests.test_headers -*-
"""
The headers of a response, and what may stand in them: values, cookies, addresses, the
names of files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

__all__ = [
    "Headers",
    "attachment",
    "checked_values",
    "encode_address",
    "leads_elsewhere",
    "write_cookie",
]

#: RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

#: What no header may contain (RFC 9110, section 5.5): a line break would begin
#: another.
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

#: RFC 6265, section 4.1.1: a cookie's value; and of its attributes.
_COOKIE = re.compile(r"[!#-+\--:<-\[\]-~]*")
_COOKIE_PART = re.compile(r"[ -:<-~]*")


class Headers(MutableMapping[str, str]):
    """
    The headers of a response. The case of their names does not matter.

    ``headers["Vary"]`` is the value, of several all in one, with commas (RFC 9110,
    section 5.3); setting takes a value or a list of values, and :meth:`add` leaves
    those that are there.

    :raise ValueError: For a name or value that is none, such as one with a line
        break, which would begin another header.
    """

    __slots__ = ("_values",)

    def __init__(self, headers: Any = ()) -> None:
        self._values: dict[str, tuple[str, list[str]]] = {}
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        for name, value in pairs:
            self.add(name, value)

    def add(self, name: str | bytes, value: Any) -> None:
        """One more value, or a list of more."""
        name = _checked_name(name)
        values = checked_values(name, value)
        self._values.setdefault(name.lower(), (name, []))[1].extend(values)

    def get_all(self, name: str) -> list[str]:
        """The values, one by one; none when there are none."""
        return list(self._values.get(name.lower(), ("", []))[1])

    def multi_items(self) -> Iterator[tuple[str, list[str]]]:
        """The names with the values of each."""
        return ((name, list(values)) for name, values in self._values.values())

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._values[name.lower()][1])

    def __setitem__(self, name: str, value: Any) -> None:
        name = _checked_name(name)
        self._values[name.lower()] = (name, checked_values(name, value))

    def __delitem__(self, name: str) -> None:
        del self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._values.values())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({dict(self.multi_items())!r})"


def _checked_name(name: str | bytes) -> str:
    text = name.decode("latin-1") if isinstance(name, bytes) else name
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{name!r} is no name of a header")
    return text


def checked_values(name: str, value: Any) -> list[str]:
    """
    A header's value, or a list of its values, as texts.

    :param name: The header.
    :raise ValueError: When one has a control character.
    """
    values = value if isinstance(value, (list, tuple)) else [value]
    checked = []
    for each in values:
        if isinstance(each, bytes):
            each = each.decode("utf-8", "surrogateescape")
        text = str(each)
        if _CONTROLS.search(text):
            raise ValueError(f"the header {name} has a control character: {text!r}")
        checked.append(text)
    return checked


def write_cookie(
    name: str,
    value: str,
    *,
    max_age: int | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    http_only: bool = True,
    same_site: str | None = "Lax",
) -> str:
    """
    The value of a ``Set-Cookie`` header (RFC 6265). The parameters are those of
    :meth:`Response.set_cookie <ropewalk.web.answers.Response.set_cookie>`.

    :raise ValueError: For something that no cookie can have.
    """
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a cookie")
    if not _COOKIE.fullmatch(value):
        raise ValueError(
            f"the cookie {name} cannot be {value!r}: encode it, as with "
            "urllib.parse.quote"
        )
    for part in path, domain:
        if part is not None and not _COOKIE_PART.fullmatch(part):
            raise ValueError(f"the cookie {name} cannot be for {part!r}")
    if same_site not in ("Lax", "Strict", "None", None):
        raise ValueError(f"same_site is Lax, Strict or None, not {same_site!r}")
    if not secure and (
        same_site == "None" or name.startswith(("__Secure-", "__Host-"))
    ):
        raise ValueError(f"browsers take the cookie {name} only if it is secure")
    if name.startswith("__Host-") and (domain is not None or path != "/"):
        raise ValueError(f"the cookie {name} has the path / and no domain")
    attributes = [f"{name}={value}"]
    if max_age is not None:
        attributes.append(f"Max-Age={int(max_age)}")
    if domain is not None:
        attributes.append(f"Domain={domain}")
    if path is not None:
        attributes.append(f"Path={path}")
    if secure:
        attributes.append("Secure")
    if http_only:
        attributes.append("HttpOnly")
    if same_site is not None:
        attributes.append(f"SameSite={same_site}")
    return "; ".join(attributes)


#: A scheme, or what a browser takes for "//".
_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[/\\]{2}")


def leads_elsewhere(location: str) -> bool:
    """
    Whether a browser may go to another site for it: one reads a backslash as a
    slash.
    """
    return _ELSEWHERE.match(location.lstrip()) is not None


def encode_address(location: str) -> str:
    """
    A reference in ASCII (RFC 3986). What is encoded already stays.

    :raise ValueError: When it has a control character.
    """
    if not location or re.search(r"[\x00-\x1f\x7f]", location):
        raise ValueError(f"{location!r} is no address")
    return quote(location, safe="!#$%&'()*+,/:;=?@[]~")


def attachment(filename: str) -> str:
    """
    A ``Content-Disposition`` to save a file by a name: RFC 6266, with the name in
    UTF-8 (RFC 8187) where ASCII does not do.
    """
    plain = re.sub(r"[^ !#-$&-.0-\[\]-~]", "_", filename)
    said = f'attachment; filename="{plain}"'
    if plain != filename:
        said += f"; filename*=UTF-8''{quote(filename, safe='!#$&+-.^_`|~')}"
    return said
