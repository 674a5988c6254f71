"""
Tests for L{ropewalk.web.converters}.
"""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase
from werkzeug.routing import BaseConverter, IntegerConverter, Map, ValidationError

from ropewalk.web.converters import (
    CONVERTERS,
    AnyConverter,
    Converter,
    IntConverter,
    StringConverter,
    adopt,
    adopt_all,
)
from ropewalk.web.patterns import Step, parse, split

SOME_UUID = "0d6d5d6e-1a2b-4c3d-8e9f-001122334455"


def converter(slot: str) -> Converter:
    """
    The converter of the one slot in a rule of one segment.
    """
    (found,) = parse(f"/{slot}").slots
    return found.converter


def takes(slot: str, text: str) -> Any:
    """
    The value that a slot alone in its segment makes of a text; C{None} for none.
    """
    step = split(parse(f"/{slot}").pieces)[1]
    assert isinstance(step, Step)
    texts = step.match(text)
    if texts is None:
        return None
    try:
        return converter(slot).to_python(texts[0])
    except ValueError:
        return None


class ConverterTests(SynchronousTestCase):
    """
    What each converter takes, and what it makes of it.
    """

    def assertTakes(self, slot: str, table: dict[str, Any]) -> None:
        self.assertEqual({text: takes(slot, text) for text in table}, table)

    def assertWrites(self, slot: str, table: list[tuple[Any, str | None]]) -> None:
        found: list[tuple[Any, str | None]] = []
        for value, _ in table:
            try:
                found.append((value, converter(slot).to_url(value)))
            except ValueError:
                found.append((value, None))
        self.assertEqual(found, table)

    def test_string(self) -> None:
        """
        Any text but none, and of the length that is said, if it is.
        """
        self.assertTakes("<x>", {"a": "a", "é ü\n": "é ü\n", "": None})
        self.assertTakes("<string(length=2):x>", {"a": None, "ab": "ab", "abc": None})
        self.assertTakes(
            "<string(minlength=2):x>", {"a": None, "ab": "ab", "abc": "abc"}
        )
        self.assertTakes("<string(maxlength=2):x>", {"": None, "ab": "ab", "abc": None})

    def test_int(self) -> None:
        """
        The digits 0 to 9 only, and a sign only where that is said.
        """
        plain = {"0": 0, "007": 7, "-1": None, "+1": None, "1_0": None, " 1": None}
        self.assertTakes("<int:x>", {**plain, "": None, "1.0": None})
        self.assertTakes("<int(signed=True):x>", {"-1": -1, "1": 1, "--1": None})
        self.assertTakes(
            "<int(min=2, max=3):x>", {"1": None, "2": 2, "3": 3, "4": None}
        )
        self.assertTakes(
            "<int(fixed_digits=3):x>", {"12": None, "012": 12, "1234": None}
        )

    def test_digits_of_others(self) -> None:
        """
        Python reads the digits of every script; in a path they would be a second
        address of the same thing.
        """
        self.assertTakes("<int:x>", {"\u0663": None, "\u00b2": None})
        self.assertTakes("<float:x>", {"\u0663.0": None})
        self.assertTakes("<date:x>", {"202\u0666-01-31": None})

    def test_huge(self) -> None:
        """
        Numbers that Python does not want to read are not there.
        """
        self.assertTakes("<int:x>", {"9" * 5000: None, "9" * 100: int("9" * 100)})
        self.assertTakes("<float:x>", {"9" * 400 + ".0": None})

    def test_float(self) -> None:
        """
        Digits, a point and digits; neither infinity nor what is no number.
        """
        none = dict.fromkeys(("1", "1.", ".5", "-1.5", "1e5", "nan", "inf"))
        self.assertTakes("<float:x>", {**none, "1.5": 1.5, "00.50": 0.5})
        self.assertTakes("<float(signed=True):x>", {"-1.5": -1.5, "-inf": None})
        self.assertTakes(
            "<float(min=0.5, max=2):x>",
            {"0.4": None, "0.5": 0.5, "2.0": 2.0, "2.1": None},
        )

    def test_others(self) -> None:
        """
        A UUID, a day, one of some words, a path.
        """
        self.assertTakes(
            "<uuid:x>",
            {
                SOME_UUID: UUID(SOME_UUID),
                SOME_UUID.upper(): UUID(SOME_UUID),
                SOME_UUID.replace("-", ""): None,
            },
        )
        self.assertTakes(
            "<date:x>",
            {
                "2026-01-31": datetime.date(2026, 1, 31),
                "2026-02-30": None,
                "0000-01-01": None,
                "20260131": None,
                "2026-W05-6": None,
            },
        )
        self.assertTakes("<any(a, 'b c'):x>", {"a": "a", "b c": "b c", "b": None})
        self.assertTakes("<path:x>", {"a/b": "a/b", "a/": "a/", "/a": None, "": None})

    def test_writing_numbers(self) -> None:
        """
        A number is written so that it is read again, or not at all.
        """
        self.assertWrites(
            "<int(min=0, max=99, fixed_digits=2):x>",
            [(5, "05"), ("7", "07"), (100, None), (-1, None), (1.5, None), ("x", None)],
        )
        self.assertWrites("<int:x>", [(10**5000, None), (None, None), (True, "1")])
        self.assertWrites(
            "<float:x>",
            [
                (0.1, "0.1"),
                (2, "2.0"),
                (1e22, "10000000000000000000000.0"),
                (1e-7, "0.0000001"),
                (float("nan"), None),
                (float("inf"), None),
                ("x", None),
            ],
        )

    def test_writing_others(self) -> None:
        """
        So is everything else.
        """
        day = datetime.date(2026, 1, 31)
        noon = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
        self.assertWrites(
            "<date:x>",
            [
                (day, "2026-01-31"),
                ("2026-01-31", "2026-01-31"),
                (noon, None),
                (5, None),
            ],
        )
        self.assertWrites(
            "<uuid:x>",
            [(UUID(SOME_UUID), SOME_UUID), (SOME_UUID.upper(), SOME_UUID), ("x", None)],
        )
        self.assertWrites("<x>", [("a/b", "a/b"), (5, "5"), (b"a", None)])

    def test_what_is_said_of_them(self) -> None:
        """
        A converter keeps what it was made with, for whoever describes it.
        """
        number, text, word = (
            converter("<int(min=1, max=5):x>"),
            converter("<string(length=2):x>"),
            converter("<any(a, b):x>"),
        )
        assert isinstance(number, IntConverter)
        assert isinstance(text, StringConverter)
        assert isinstance(word, AnyConverter)
        self.assertEqual((number.min, number.max, number.signed), (1, 5, False))
        self.assertEqual((text.minlength, text.maxlength), (2, 2))
        self.assertEqual(word.items, ("a", "b"))


class Colour(BaseConverter):
    """
    As Werkzeug has it: percent-encoded on the way out.
    """

    regex = "#[0-9a-f]{6}"
    weight = 42

    def __init__(self, url_map: Map, *words: str, **more: str) -> None:
        super().__init__(url_map)
        self.made_with = words, more

    def to_python(self, value: str) -> int:
        if value == "#000000":
            raise ValidationError("too dark")
        return int(value[1:], 16)

    def to_url(self, value: Any) -> str:
        return f"%23{value:06x}"


class AdoptTests(SynchronousTestCase):
    """
    Converters that were written for Werkzeug serve here as well.
    """

    def test_adopted(self) -> None:
        """
        What it takes and makes stays the same; its links are encoded once.
        """
        colour = adopt(Colour, Map())
        self.assertEqual((colour.weight, colour.slashes), (42, False))
        self.assertEqual(colour.regex, Colour.regex)
        self.assertEqual(colour.to_python("#0000ff"), 255)
        self.assertRaises(ValueError, colour.to_python, "#000000")
        self.assertEqual(colour.to_url(255), "#0000ff")
        base = adopt(BaseConverter, Map())
        self.assertEqual(base.to_url("a/b c%é"), "a/b c%é")

    def test_kinds(self) -> None:
        """
        The type of its values is told where it can be.
        """

        class Even(IntegerConverter):
            pass

        class Odd(BaseConverter):
            def to_python(self, value: str) -> Any:
                return value

        kinds = [adopt(kind, Map()).kind for kind in (Colour, BaseConverter, Even, Odd)]
        self.assertEqual(kinds, [int, str, int, object])

    def test_slashes(self) -> None:
        """
        One whose expression has a slash may be many segments, as Werkzeug has it.
        """

        class Deep(BaseConverter):
            regex = "[a-z]+/[a-z]+"

        self.assertTrue(adopt(Deep, Map()).slashes)

    def test_a_map(self) -> None:
        """
        The converters of a map are ours where they were Werkzeug's.
        """
        url_map = Map(converters={"colour": Colour, "int": Colour})
        converters = adopt_all(url_map)
        rule = "/<a>/<float:b>/<path:c>/<d>"
        kinds, ours = (
            [type(slot.converter) for slot in parse(rule, each).slots]
            for each in (converters, CONVERTERS)
        )
        self.assertEqual(kinds, ours)
        (slot,) = parse("/<colour(a, b='c'):x>", converters).slots
        inner: Any = slot.converter
        self.assertEqual(inner._inner.made_with, (("a",), {"b": "c"}))
        self.assertIs(inner._inner.map, url_map)
        (slot,) = parse("/<int:x>", converters).slots
        self.assertEqual(slot.converter.regex, Colour.regex)
