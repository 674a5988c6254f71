"""
Tests for L{ropewalk.operations.words}.
"""

from __future__ import annotations

from typing import Any, ClassVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.operations.words import (
    BadWords,
    read_pairs,
    read_words,
    split_words,
    spoken,
    word_of,
)
from tests import test_calling


class PairsTests(SynchronousTestCase):
    """
    What is typed in a line, made into parameters.
    """

    schema: ClassVar[Any] = test_calling.WordsTests.schema

    def test_pairs(self) -> None:
        """
        Text is taken as it is, anything else as JSON, with the blanks in it; quotes
        hold words together.
        """
        for typed, arguments in (
            ("", {}),
            ("  ", {}),
            ("room=5", {"room": "5"}),
            ("room=", {"room": ""}),
            ("room= loud=true", {"room": "", "loud": True}),
            ("  room=a \t loud=false ", {"room": "a", "loud": False}),
            ('room="a b"', {"room": "a b"}),
            ("room='a \"b\"'", {"room": 'a "b"'}),
            (r'room="a \"b\" \\ \n"', {"room": r'a "b" \ \n'}),
            ("room=it's", {"room": "it's"}),
            ("room=a=b", {"room": "a=b"}),
            ("room={x} loud=true", {"room": "{x}", "loud": True}),
            ("message.text=hi", {"message": {"text": "hi"}}),
            (
                'message={"text": "a b"} room=c',
                {"message": {"text": "a b"}, "room": "c"},
            ),
            ("doors=[1, 2] doors=3", {"doors": [1, 2, 3]}),
            ("doors=1", {"doors": [1]}),
            ("age=null", {"age": None}),
            ("age=x", {"age": "x"}),
            ("either=5", {"either": "5"}),
            ("either=null", {"either": None}),
            ('any="5"', {"any": "5"}),
            ("any=5", {"any": 5}),
            ("any=NaN", {"any": "NaN"}),
            (f'any=["{"[" * 99}"]', {"any": ["[" * 99]}),
            ("zzz=1 message.zzz=2", {"zzz": 1, "message": {"zzz": 2}}),
            (f"room={'x' * 200}", {"room": "x" * 200}),
        ):
            self.assertEqual(read_pairs(typed, self.schema), arguments, typed)

    def test_wrong(self) -> None:
        """
        What cannot be read is refused, with what to type instead.
        """
        for typed, told in (
            ("lobby", "'lobby': expected room= message= doors="),
            ("room=a lobby", "'lobby': expected room="),
            ("=a", "'=a': expected"),
            ('room="a', 'room="a: expected the same quote again at its end'),
            ('room="a"b', "expected the same quote again"),
            ("room=a room=b", "room= is given twice"),
            ("any=1 any.a=1", "any.a=: 'any' was given as a whole"),
            ('message={"a": 1', "message=: this is no JSON"),
            (f"any={'[' * 100_000}", "nested too deeply: at most 64 times"),
            (f"any=[{'[' * 64}", "nested too deeply: at most 64 times"),
            ("message" + ".by" * 30 + "=1", "a name has 20 parts at most"),
        ):
            error = self.assertRaises(BadWords, read_pairs, typed, self.schema)
            self.assertIn(told, str(error), typed[:80])
        error = self.assertRaises(BadWords, read_pairs, "a", {})
        self.assertEqual(str(error), "'a': expected name=value")

    def test_either(self) -> None:
        """
        On the command line, too, what may be text is text if it is nothing else that is
        wanted.
        """
        self.assertEqual(read_words(["--either", "5"], self.schema), {"either": "5"})

    def test_split(self) -> None:
        """
        Blanks separate words, but in quotes.
        """
        for typed, words in (
            ("", []),
            (" a  b\t", ["a", "b"]),
            ('a "b c" \'d e\' ""', ["a", "b c", "d e", ""]),
        ):
            self.assertEqual(split_words(typed), words)
        self.assertRaises(BadWords, split_words, 'a "b')

    def test_spoken(self) -> None:
        """
        What is told looks like what is typed.
        """
        for value, told in (
            ("a b", "a b"),
            ({"author": "Ada", "text": "a b"}, 'author=Ada text="a b"'),
            ({"a": 1, "b": [1, "x"], "c": None}, 'a=1 b=[1,"x"] c=null'),
            ({"a": "", "b": 'x"y', "c": "[1]"}, r'a="" b="x\"y" c="[1]"'),
            ({"a b": 1}, '{"a b":1}'),
            ({}, "{}"),
            ([1, 2], "[1,2]"),
            (True, "true"),
        ):
            self.assertEqual(spoken(value), told)

    @given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text()))
    def test_told_and_typed(self, said: dict[str, str]) -> None:
        """
        What is told can be typed again.
        """
        schema = {"properties": {name: {"type": "string"} for name in said}}
        told = spoken(said) if said else ""
        self.assertEqual(read_pairs(told, schema), said)

    @given(st.text(), st.text())
    def test_words(self, one: str, other: str) -> None:
        """
        So can a word.
        """
        self.assertEqual(split_words(f"{word_of(one)} {word_of(other)}"), [one, other])
