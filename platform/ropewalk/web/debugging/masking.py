# -*- test-case-name: tests.test_debugging -*-
"""
What must not be shown: what is called a secret, and whatever else has the same
value.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus, unquote_plus

from attrs import define, field
from msgspec import Struct
from msgspec.structs import replace

from ropewalk.schema.shape import MASK, Secret, mask

__all__ = ["MASK", "Masker", "is_secret_name"]

T = TypeVar("T")

#: What a name has in it that is a secret's, its letters alone.
_PARTS = (
    "password passwd passphrase passcode secret token apikey session csrf xsrf "
    "authorization privatekey accesskey signingkey encryptionkey credential cookie "
    "jwt bearer connectionstring cardnumber creditcard"
).split()

#: A secret's name, or a whole word of it.
_WORDS = frozenset("pass pwd pw auth pin otp totp cvc cvv sid dsn salt".split())

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")

_NAME = (
    r"pass[-_ ]?(?:word|phrase|code)|passwd|pwd|secret|token|session|csrf|xsrf|"
    r"authorization|credential|cookie|jwt|bearer|connection[-_ ]?string|"
    r"(?:api|private|access|signing|encryption)[-_ ]?key"
)

#: A secret's name and what follows it in a text: ``password='x'``,
#: ``"token": "x"``, ``Authorization: Bearer x``.
_SAID = re.compile(
    rf"""(?ix)
    (?<![\w.-])
    ( [\w.-]{{0,60}}? (?:{_NAME}) [\w.-]{{0,40}} ['"]? \s* (?:=>|[=:]) \s* \[? )
    ( b?'(?:[^'\\]|\\.)*' | b?"(?:[^"\\]|\\.)*"
    | (?:(?:bearer|basic|digest|token)\s+)? [^\s,;&)}}\]'"<>]+ )
    """
)

#: What is a secret wherever it stands: credentials of RFC 6750 and RFC 7617, JSON
#: Web Tokens (RFC 7519), private keys (RFC 7468).
_KNOWN = re.compile(
    r"(?i:\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}"
    r"|\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)

_URL_PASSWORD = re.compile(r"://[^:/@\s]*:(\S+)@")

_PASSED_ON = re.compile(r"[?&]([^=&\s]{1,80})=([^&#\s'\"<>]+)")

#: Characters of the shortest text that is looked for inside of other texts.
_SHORTEST = 4

#: Characters of the longest: of a key, the beginning will do.
_LONGEST = 8192

#: More secrets than these are not looked for.
_MOST = 500

#: What is in many a text and says nothing.
_PLAIN = frozenset(("true", "false", "none", "null", MASK))


def is_secret_name(name: str) -> bool:
    """
    Whether a variable, field, key or header of this name has something that must
    not be shown.
    """
    letters = re.sub(r"[^a-z]", "", name.lower())
    if any(part in letters for part in _PARTS):
        return True
    return any(word.lower() in _WORDS for word in _WORD.findall(name))


@define
class Masker:
    """
    Knows some secrets, and takes them out of texts.
    """

    _known: set[str] = field(factory=set)
    _pattern: re.Pattern[str] | None = None

    def learn(self, value: Any, least: int = _SHORTEST) -> None:
        """
        Take out a value from now on, however it is written.

        :param value: Text, bytes or a number; of anything else, nothing is
            learned.
        :param least: Characters below which it is too common to be looked for.
        """
        if isinstance(value, bytes | bytearray):
            text = bytes(value[:_LONGEST]).decode("latin-1")
        elif isinstance(value, str):
            text = str.__str__(value)[:_LONGEST]
        elif type(value) is int and value.bit_length() < 256:
            text = str(value)
        else:
            return
        text = text.strip()
        if len(text) < least or text.lower() in _PLAIN or len(self._known) > _MOST:
            return
        self._pattern = None
        self._known.update(
            form
            for form in (
                text,
                repr(text)[1:-1],
                repr(text.encode("utf-8", "surrogatepass"))[2:-1],
                json.dumps(text)[1:-1],
                quote(text, errors="replace"),
                quote(text, safe="", errors="replace"),
                quote_plus(text, errors="replace"),
            )
            if len(form) >= least
        )

    def learn_header(self, name: str, value: str) -> None:
        """
        Take out what a secret header has: of credentials also the user's
        password, of cookies each.
        """
        self.learn(value)
        scheme, _, rest = value.partition(" ")
        if rest and "=" not in scheme:
            self.learn(rest)
        if scheme.lower() == "basic":
            try:
                pair = base64.b64decode(rest).decode("utf-8", "replace")
            except (binascii.Error, ValueError):
                return
            self.learn(pair)
            self.learn(pair.partition(":")[2])
        for each in value.split(";") if "cookie" in name.lower() else ():
            self.learn(each.partition("=")[2].strip().strip('"'))

    def learn_all(self, values: Iterable[Any]) -> None:
        """See :meth:`learn`."""
        for value in values:
            self.learn(value)

    def notice(self, text: str) -> None:
        """Learn the passwords of the URLs in a text, and the secrets they pass on."""
        if "://" in text:
            self.learn_all(_URL_PASSWORD.findall(text))
        for name, value in _PASSED_ON.findall(text) if "=" in text else ():
            if is_secret_name(name):
                self.learn(value)
                self.learn(unquote_plus(value))

    def by_value(self, text: str) -> str:
        """The text without the secrets that are known."""
        if not self._known:
            return text
        if self._pattern is None:
            longest_first = sorted(self._known, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        return self._pattern.sub(MASK, text)

    def clean(self, text: str) -> str:
        """
        The text without the secrets that are known, and without what is called
        one in it.
        """
        text = _KNOWN.sub(MASK, mask(self.by_value(text)))
        return _SAID.sub(_masked, text)

    def cut(self, text: str, most: int, whole: int | None = None) -> str:
        """
        The beginning of a clean text.

        :param most: Characters.
        :param whole: Of how many this is the beginning already; what may be the
            beginning of a secret at its end is left out.
        """
        if whole is not None and whole > len(text):
            text = self._without_half(text)
        cleaned = self.clean(text)
        if len(cleaned) <= most and (whole is None or whole <= len(text)):
            return cleaned
        return f"{cleaned[:most]}…"

    def cleaned(self, value: T) -> T:
        """
        The same value with every text in it clean by value.

        :param value: Texts, tuples and structs, within each other.
        """
        shown: Any = value
        if isinstance(value, str):
            shown = self.by_value(value)
        elif isinstance(value, tuple):
            shown = tuple(self.cleaned(each) for each in value)
        elif isinstance(value, Struct):
            names = value.__struct_fields__
            changes = {name: self.cleaned(getattr(value, name)) for name in names}
            shown = replace(value, **changes)
        answer: T = shown
        return answer

    def _without_half(self, text: str) -> str:
        for known in self._known:
            for length in range(min(len(known) - 1, len(text)), 0, -1):
                if text.endswith(known[:length]):
                    return text[:-length]
        return text


def _masked(found: re.Match[str]) -> str:
    said = found[2]
    plain = said.removeprefix("b").strip("'\"")
    if not plain or plain.lower() in _PLAIN:
        return found[0]
    return found[1] + MASK


def reveal(secret: Secret) -> str:
    """What a secret really is."""
    return str.__str__(secret)
