# -*- test-case-name: tests.test_hub_names -*-
"""
Something for each of many patterns, found by the names that these match.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from attrs import define, field
from msgspec import Struct

from ropewalk.hub.names import ChannelPattern

__all__ = ["PatternTree"]

V = TypeVar("V")


class _Node(Struct, eq=False):
    """
    :ivar words: What follows, by the next word.
    :ivar entry: The pattern that ends here, and what it stands for.
    """

    words: dict[str, _Node] = {}
    entry: tuple[ChannelPattern, Any] | None = None


@define(eq=False)
class PatternTree(Generic[V]):
    """
    A dictionary of patterns. To find what matches a name takes as long as there are
    patterns that begin as it does, and never longer than there are patterns in all.
    """

    _root: _Node = field(factory=_Node, init=False)
    _entries: dict[ChannelPattern, V] = field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._entries)

    def __setitem__(self, pattern: ChannelPattern, value: V) -> None:
        node = self._root
        for word in pattern.words:
            node = node.words.setdefault(word, _Node())
        node.entry = (pattern, value)
        self._entries[pattern] = value

    def __delitem__(self, pattern: ChannelPattern) -> None:
        del self._entries[pattern]
        way = [self._root]
        for word in pattern.words:
            way.append(way[-1].words[word])
        way[-1].entry = None
        for node, word in zip(way[-2::-1], reversed(pattern.words), strict=True):
            child = node.words[word]
            if child.words or child.entry is not None:
                break
            del node.words[word]

    def get(self, pattern: ChannelPattern) -> V | None:
        """What there is for just this pattern."""
        return self._entries.get(pattern)

    def items(self) -> Iterator[tuple[ChannelPattern, V]]:
        """All there is, in the order in which it came."""
        return iter(self._entries.items())

    def matching(self, name: str) -> Iterator[tuple[ChannelPattern, V]]:
        """
        What there is for the patterns that match a name, the most specific first.
        """
        words = name.split(".")
        end = len(words)
        # A node, and how many words led to it; what is to be looked at next is last.
        waiting = [(self._root, 0)]
        while waiting:
            node, depth = waiting.pop()
            if depth == end:
                if node.entry is not None:
                    yield node.entry
                continue
            for word, then in (
                ("**", end),
                ("*", depth + 1),
                (words[depth], depth + 1),
            ):
                following = node.words.get(word)
                if following is not None:
                    waiting.append((following, then))
