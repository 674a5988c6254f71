# -*- test-case-name: tests.test_hub_names -*-
"""
What channels are called, and patterns that stand for many of them.
"""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import BadChannel
from ropewalk.hub.names import LONGEST, ChannelPattern, check_name
from ropewalk.hub.tree import PatternTree
from tests.effort import lines_run

WORDS = st.sampled_from(["a", "b", "c-1", "Zug_2", "日本"])
NAMES = st.lists(WORDS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.builds(
    lambda words, end: ".".join([*words, *end]),
    st.lists(st.one_of(WORDS, st.just("*")), min_size=1, max_size=4),
    st.sampled_from([(), (), ("**",)]),
).map(ChannelPattern.of) | st.just(ChannelPattern.of("**"))


def naive(pattern: ChannelPattern) -> re.Pattern[str]:
    """The same by a regular expression."""
    wild = {"*": r"[^.]+", "**": r".+"}
    words = (wild.get(word, re.escape(word)) for word in pattern.words)
    return re.compile(r"\.".join(words))


class NameTests(SynchronousTestCase):
    """
    Names of channels.
    """

    def refused(self, name: Any) -> str:
        """Why something is no name."""
        error: BadChannel = self.assertRaises(BadChannel, check_name, name)
        return error.problem

    def test_names(self) -> None:
        """
        Words of letters and digits of any script, ``-`` and ``_``, with dots between.
        """
        for name in (
            *("lobby", "rooms.lobby", "a", "7", "-", "_", "rooms.l-o_b.9"),
            *("räume.größe", "комната.1", "部屋", "غرفة", "कमरा.हिन्दी", "x" * 255),
        ):
            check_name(name)

    def test_what_is_none(self) -> None:
        """
        Anything else is refused, with what is wrong.
        """
        for name, problem in (
            ("", "it is empty"),
            *((name, "it has an empty word") for name in (".", "a.", ".a", "a..b")),
            ("x" * 256, "it has more than 255 characters"),
            ("x" * 10**6, "it has more than 255 characters"),
            ("rooms.*", "it has '*', as a pattern has, and one channel is meant"),
            ("rooms.**", "it has '**', as a pattern has, and one channel is meant"),
            ("a*", "it has 'a*' where a word should be"),
            *(
                (f"a{c}b", f"{c!r} can stand in no word")
                for c in " /\\+#$%\n\x00\u202e"
            ),
            ("a\ud800", "'\\ud800' can stand in no word"),
            ("a\n", "'\\n' can stand in no word"),
            ("\u0301a", "a word begins with a mark that has no letter"),
            ("a.\u0301", "a word begins with a mark that has no letter"),
            ("u\u0308ber", "it is not in Unicode's normal form C"),
            (5, "it is a int, not a text"),
            (None, "it is a NoneType, not a text"),
        ):
            self.assertEqual(self.refused(name), problem, name)

    def test_told(self) -> None:
        """
        Whoever sent it reads what is wrong, where, and what to write; and not all of
        what was sent.
        """
        error = self.assertRaises(BadChannel, check_name, "a" * 10**6)
        self.assertEqual(
            str(error),
            f"no channel can be meant by '{'a' * 60}' …: it has more than 255 "
            "characters. A name is words of letters, digits, - and _ with a dot "
            "between two, such as rooms.lobby",
        )
        self.assertEqual(error.status, 422)

    @given(st.text(max_size=8) | st.text("a.*-_ é", max_size=8))
    def test_any_text(self, text: str) -> None:
        """
        A name has no empty word, and nothing in it that a URL, a pattern or a line
        of a log gives a meaning to.
        """
        try:
            check_name(text)
        except BadChannel:
            return
        self.assertTrue(all(text.split(".")))
        self.assertTrue(text.isprintable())
        self.assertFalse(set(text) & set(" */#+?%&:;,'\"\\\n"))


class PatternTests(SynchronousTestCase):
    """
    Patterns of names.
    """

    def test_what_is_none(self) -> None:
        """
        A pattern is made as a name is, with ``*`` and ``**`` for words.
        """
        for text, problem in (
            ("", "it is empty"),
            ("**.a", "** can only be its last word"),
            ("a.**.**", "** can only be its last word"),
            ("a.*b", "it has '*b' where a word should be"),
            ("a.***", "it has '***' where a word should be"),
            ("a..*", "it has an empty word"),
            ("a" * LONGEST + ".*", "it has more than 255 characters"),
            (7, "it is a int, not a text"),
        ):
            error = self.assertRaises(BadChannel, ChannelPattern.of, text)
            self.assertEqual(error.problem, problem, text)
        self.assertEqual(str(ChannelPattern.of("*.a.**")), "*.a.**")
        ChannelPattern.of("a" * (LONGEST - 3) + ".**")

    def test_matching(self) -> None:
        """
        ``*`` is one word, ``**`` one or more.
        """
        for text, names in (
            ("rooms.*", {"rooms.a"}),
            ("rooms.**", {"rooms.a", "rooms.a.b"}),
            ("**", {"rooms", "rooms.a", "rooms.a.b", "other.a"}),
            ("*", {"rooms"}),
            ("*.a", {"rooms.a", "other.a"}),
            ("*.a.**", {"rooms.a.b"}),
            ("rooms.a", {"rooms.a"}),
        ):
            pattern = ChannelPattern.of(text)
            known = ("rooms", "rooms.a", "rooms.a.b", "other.a")
            self.assertEqual({name for name in known if pattern.matches(name)}, names)

    def test_is_name(self) -> None:
        """
        A name is a pattern that stands for itself.
        """
        self.assertTrue(ChannelPattern.of("rooms.a").is_name)
        self.assertFalse(ChannelPattern.of("rooms.*").is_name)
        self.assertFalse(ChannelPattern.of("**").is_name)

    @given(PATTERNS, NAMES)
    def test_against_a_regular_expression(
        self, pattern: ChannelPattern, name: str
    ) -> None:
        """
        A pattern matches what a regular expression would.
        """
        matched = naive(pattern).fullmatch(name) is not None
        self.assertEqual(pattern.matches(name), matched)

    def test_rank(self) -> None:
        """
        A word comes before ``*``, that before ``**``; the first words count most.
        """
        texts = ["a.b.c", "a.b.*", "a.b.**", "a.*.c", "a.*.**", "a.**", "*.b.c", "**"]
        patterns = [ChannelPattern.of(text) for text in texts]
        patterns.reverse()
        ranked = sorted(patterns, key=lambda each: each.rank)
        self.assertEqual([str(each) for each in ranked], texts)

    @given(PATTERNS, PATTERNS, st.lists(NAMES, max_size=20))
    def test_two_patterns(
        self, first: ChannelPattern, second: ChannelPattern, names: list[str]
    ) -> None:
        """
        What covers another matches all that it matches; what both match shows that
        they meet; of two that meet one is more specific, if they are not the same.
        """
        for name in names:
            if first.covers(second) and second.matches(name):
                self.assertTrue(first.matches(name))
            if first.matches(name) and second.matches(name):
                self.assertTrue(first.meets(second) and second.meets(first))
                self.assertEqual(first.rank == second.rank, first == second)
        if first.covers(second):
            self.assertTrue(first.meets(second))
        self.assertTrue(first.covers(first))

    @given(PATTERNS, PATTERNS)
    def test_covers_and_meets_are_complete(
        self, first: ChannelPattern, second: ChannelPattern
    ) -> None:
        """
        Where one does not cover the other, there is a name that shows it; where two
        meet, one that both match.
        """
        fresh = [
            ".".join("new" if word == "*" else word for word in [*words, *more])
            for words in (first.words, second.words, self.merged(first, second))
            for more in ((), ("new",), ("new", "new"))
        ]
        names = [re.sub(r"\*\*", "new", name) for name in fresh]
        shown = any(second.matches(x) and not first.matches(x) for x in names)
        self.assertEqual(first.covers(second), not shown)
        both = any(second.matches(x) and first.matches(x) for x in names)
        self.assertEqual(first.meets(second), both)

    def merged(self, first: ChannelPattern, second: ChannelPattern) -> list[str]:
        """The words of both, of each two the one that stands for itself."""
        words: list[str] = []
        longest = max(len(first.words), len(second.words))
        for place in range(longest):
            there = [p.words[place] for p in (first, second) if place < len(p.words)]
            words.append(min(there, key=lambda word: ("*" in word, len(word))))
        return words


class TreeTests(SynchronousTestCase):
    """
    Many patterns.
    """

    @given(
        st.lists(st.tuples(PATTERNS, st.booleans()), max_size=30),
        st.lists(NAMES, max_size=10),
    )
    def test_against_a_list(
        self, steps: list[tuple[ChannelPattern, bool]], names: list[str]
    ) -> None:
        """
        It finds what a list of all would, the most specific first.
        """
        tree, plain = PatternTree[int](), dict[ChannelPattern, int]()
        for number, (pattern, comes) in enumerate(steps):
            if comes:
                tree[pattern] = plain[pattern] = number
            elif pattern in plain:
                del tree[pattern]
                del plain[pattern]
            self.assertEqual(tree.get(pattern), plain.get(pattern))
        self.assertEqual((dict(tree.items()), len(tree)), (plain, len(plain)))
        for name in names:
            matching = [each for each in plain.items() if each[0].matches(name)]
            matching.sort(key=lambda each: each[0].rank)
            self.assertEqual(list(tree.matching(name)), matching)

    def test_nothing_is_left(self) -> None:
        """
        What was taken out takes no room, and what is below or above it stays.
        """
        tree = PatternTree[int]()
        for number, text in enumerate(["a.b", "a.b.c.*", "a.**"]):
            tree[ChannelPattern.of(text)] = number
        del tree[ChannelPattern.of("a.b")]
        self.assertEqual([value for _, value in tree.matching("a.b.c.d")], [1, 2])
        del tree[ChannelPattern.of("a.b.c.*")]
        self.assertEqual([value for _, value in tree.matching("a.b")], [2])
        del tree[ChannelPattern.of("a.**")]
        self.assertEqual(tree._root.words, {})
        with self.assertRaises(KeyError):
            del tree[ChannelPattern.of("a.**")]

    def test_hostile_names(self) -> None:
        """
        However patterns and a name are chosen, finding takes no more steps than there
        are words in the patterns.
        """
        tree, words = PatternTree[int](), 0
        for number in range(64):
            pattern = ChannelPattern.of(
                ".".join("a" if number >> bit & 1 else "*" for bit in range(6)) + ".b"
            )
            tree[pattern] = number
            words += len(pattern.words)
        name = ".".join(["a"] * 120)
        found: list[object] = []
        lines = lines_run(lambda: found.extend(tree.matching(name)))
        self.assertEqual(found, [])
        self.assertLess(lines, 20 * words)
