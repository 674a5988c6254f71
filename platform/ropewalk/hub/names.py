# -*- test-case-name: tests.test_hub_names -*-
"""
What channels are called, and patterns that stand for many of them.

A name is words with dots between them: ``rooms.lobby``. It can stand in a URL, in a
line of a log and in the topic of another system without being quoted.
"""

from __future__ import annotations

import re
from typing import Any, Final
from unicodedata import category, is_normalized

from msgspec import Struct

from ropewalk.errors import BadChannel

__all__ = ["LONGEST", "ChannelPattern", "check_name"]

#: How many characters a name or a pattern may have.
LONGEST: Final = 255

#: What most names are; the others are looked at one character after the other.
_PLAIN = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")

#: How general a word of a pattern is; a word that stands for itself is 0.
_WILD = {"*": 1, "**": 2}


def check_name(name: str) -> None:
    """
    Make sure that something is the name of a channel: 1 to 255 characters, words with
    a dot between two. A word is letters and digits of any script, ``-`` and ``_``. What
    looks the same is the same: it is in Unicode's normal form C.

    :raise BadChannel: When it is none.
    """
    if problem := _problem(name):
        raise BadChannel(str(name), problem)


class ChannelPattern(Struct, frozen=True):
    """
    Stands for all names that match it, word by word. ``*`` matches any one word, and
    ``**``, as the last word, one word or more. Another word matches itself.

    :ivar words: Its words.
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> ChannelPattern:
        """
        :param text: ``"rooms.*"``; a name is a pattern, too.
        :raise BadChannel: When it is none.
        """
        words = tuple(str(text).split("."))
        # A pattern is a name, but for the words that stand for others.
        plain = ".".join("x" * len(word) if word in _WILD else word for word in words)
        problem = _problem(plain if str(text) is text else text)
        if problem or "**" in words[:-1]:
            raise BadChannel(str(text), problem or "** can only be its last word")
        return cls(words)

    def __str__(self) -> str:
        return ".".join(self.words)

    @property
    def is_name(self) -> bool:
        """Whether it stands for nothing but itself."""
        return not any(word in _WILD for word in self.words)

    @property
    def rank(self) -> tuple[int, ...]:
        """
        How specific it is: of two patterns that match one name, the one with the lower
        rank is more specific. A word that stands for itself comes before ``*``, that
        before ``**``, and the first word in which two differ counts.
        """
        return tuple(_WILD.get(word, 0) for word in self.words)

    def matches(self, name: str) -> bool:
        """
        Whether it stands for a channel. It takes as long as the name has words.
        """
        return self.covers(ChannelPattern(tuple(name.split("."))))

    def covers(self, other: ChannelPattern) -> bool:
        """
        Whether it matches all that the other matches.
        """
        for mine, theirs in zip(self.words, other.words, strict=False):
            if mine == "**":
                return True
            if theirs == "**" or mine not in ("*", theirs):
                return False
        return len(self.words) == len(other.words)

    def meets(self, other: ChannelPattern) -> bool:
        """
        Whether there is a name that both match.
        """
        for mine, theirs in zip(self.words, other.words, strict=False):
            if "**" in (mine, theirs):
                return True
            if "*" not in (mine, theirs) and mine != theirs:
                return False
        return len(self.words) == len(other.words)


def _problem(name: Any) -> str:
    """
    What keeps something from being a name; empty when nothing does.
    """
    if not isinstance(name, str):
        return f"it is a {type(name).__name__}, not a text"
    if not name:
        return "it is empty"
    if len(name) > LONGEST:
        return f"it has more than {LONGEST} characters"
    if _PLAIN.fullmatch(name):
        return ""
    for word in name.split("."):
        if problem := _flaw(word):
            return problem
    return "" if is_normalized("NFC", name) else "it is not in Unicode's normal form C"


def _flaw(word: str) -> str:
    if not word:
        return "it has an empty word"
    if category(word[0]).startswith("M"):
        return "a word begins with a mark that has no letter"
    if word in _WILD:
        return f"it has {word!r}, as a pattern has, and one channel is meant"
    if "*" in word:
        return f"it has {word[:20]!r} where a word should be"
    for character in word:
        if not (character.isalnum() or character in "-_" or _is_mark(character)):
            return f"{character!r} can stand in no word"
    return ""


def _is_mark(character: str) -> bool:
    """
    Whether it is a part of a letter, as vowels of Devanagari are.
    """
    return category(character).startswith("M")
