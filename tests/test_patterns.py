"""
Tests for L{ropewalk.web.patterns}.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.converters import (
    CONVERTERS,
    Converter,
    FloatConverter,
    IntConverter,
    PathConverter,
)
from ropewalk.web.patterns import (
    BadRule,
    Pattern,
    Slot,
    Step,
    parse,
    parse_host,
    split,
)


class Hexadecimal(Converter):
    """
    Bytes, two digits each.
    """

    regex = "(?:[0-9a-f]{2})+"

    def to_python(self, text: str) -> bytes:
        return bytes.fromhex(text)

    def to_url(self, value: Any) -> str:
        return bytes(value).hex()


class Range(Converter):
    """
    Two numbers, as segments of their own.
    """

    regex = "[0-9]+/[0-9]+"
    slashes = True


def spelled(pattern: Pattern) -> list[str]:
    """
    The pieces of a pattern, slots with the names of their converters' classes.
    """
    return [
        f"<{type(piece.converter).__name__}:{piece.name}>"
        if isinstance(piece, Slot)
        else piece
        for piece in pattern.pieces
    ]


class ParseTests(SynchronousTestCase):
    """
    A rule becomes text and slots.
    """

    def test_pieces(self) -> None:
        """
        Text stays as it is, whatever is between two slots.
        """
        table = {
            "/": ["/"],
            "/companies": ["/companies"],
            "/café au lait/100%": ["/café au lait/100%"],
            "/<name>": ["/", "<StringConverter:name>"],
            "/a/<int:b>/c/": ["/a/", "<IntConverter:b>", "/c/"],
            "/<int:a>-<float:b>.json": [
                "/",
                "<IntConverter:a>",
                "-",
                "<FloatConverter:b>",
                ".json",
            ],
            "/<a><path:b>": ["/", "<StringConverter:a>", "<PathConverter:b>"],
        }
        found = {rule: spelled(parse(rule)) for rule in table}
        self.assertEqual(found, table)

    def test_names(self) -> None:
        """
        A pattern knows its rule, its slots, and how these were written.
        """
        pattern = parse("/<a>/<int(min=1):b>")
        self.assertEqual(pattern.rule, "/<a>/<int(min=1):b>")
        self.assertEqual(pattern.names, ("a", "b"))
        self.assertEqual(
            [slot.written for slot in pattern.slots], ["<a>", "<int(min=1):b>"]
        )

    def test_arguments(self) -> None:
        """
        A converter gets words, numbers, constants and quoted text, by place or by
        name; a backslash in quotes is a backslash, and brackets and slashes there are
        nothing special.
        """
        got: list[Any] = []

        def remember(*args: Any, **kwargs: Any) -> Converter:
            got.append((args, kwargs))
            return Converter()

        for arguments in (
            "",
            "one, two_2,",
            "1, -2, 0.5, -3.25, 007, 1.2.3",
            "True, False, None, true",
            r""" "a, b" , 'c"', r"\d/(x|y):>" """,
            "min=1, max = -2,signed=True",
            "a, b='c'",
        ):
            parse(f"/<x({arguments}):y>/z", {"x": remember})
        self.assertEqual(
            got,
            [
                ((), {}),
                (("one", "two_2"), {}),
                ((1, -2, 0.5, -3.25, "007", "1.2.3"), {}),
                ((True, False, None, "true"), {}),
                (("a, b", 'c"', r"\d/(x|y):>"), {}),
                ((), {"min": 1, "max": -2, "signed": True}),
                (("a",), {"b": "c"}),
            ],
        )

    def test_ones_own(self) -> None:
        """
        Converters of one's own are named beside the others, or in their place.
        """
        own = {**CONVERTERS, "hex": Hexadecimal, "default": Range}
        self.assertEqual(
            spelled(parse("/<hex:a>/<b>", own)),
            ["/", "<Hexadecimal:a>", "/", "<Range:b>"],
        )

    def test_kinds(self) -> None:
        """
        A converter tells the type of its values; one's own by an annotation, too.
        """
        kinds = {name: CONVERTERS[name].kind for name in CONVERTERS}
        self.assertEqual(
            kinds,
            {
                "default": str,
                "string": str,
                "int": int,
                "float": float,
                "uuid": UUID,
                "path": str,
                "any": str,
                "date": datetime.date,
            },
        )

        class Untold(Converter):
            def to_python(self, text: str) -> Any:
                return text

        self.assertEqual(Hexadecimal.kind, bytes)
        self.assertEqual(Untold.kind, object)

    def test_join(self) -> None:
        """
        A pattern can be put below another, whose last slash is its first.
        """
        for prefix, rule, joined in (
            ("/a", "/b", "/a/b"),
            ("/a/", "/b/", "/a/b/"),
            ("/", "/b", "/b"),
            ("/<int:a>", "/", "/<int:a>/"),
            ("/<int:a>", "/b/<c>", "/<int:a>/b/<c>"),
        ):
            pattern = parse(rule).join(parse(prefix))
            self.assertEqual(pattern.rule, joined)
            self.assertEqual(spelled(pattern), spelled(parse(joined)))
        with self.assertRaises(BadRule) as raised:
            parse("/x/<a>").join(parse("/<a>"))
        self.assertEqual(
            str(raised.exception), "the rule '/<a>/x/<a>': two slots are called 'a'"
        )

    @given(
        st.lists(
            st.sampled_from(
                [*"/<>:(),='\"-.% ", "a", "1", "int", "min=1", "any", "path", "<a>"]
            )
        )
    )
    def test_nearly(self, pieces: list[str]) -> None:
        """
        Whatever is written is a pattern, which gives the rule back, or a L{BadRule}.
        """
        rule = "/" + "".join(pieces)
        try:
            pattern = parse(rule)
        except BadRule:
            return
        written = "".join(
            piece.written if isinstance(piece, Slot) else piece
            for piece in pattern.pieces
        )
        self.assertEqual(written, rule)

    @given(st.text())
    def test_anything(self, text: str) -> None:
        """
        So is any text at all.
        """
        for read in parse, parse_host:
            for rule in text, f"/{text}", f"/<{text}>", f"/<any({text}):x>":
                try:
                    read(rule)
                except BadRule as error:
                    self.assertIn(repr(rule), str(error))


class BadRuleTests(SynchronousTestCase):
    """
    What is wrong with a rule is said in a sentence, with the place.
    """

    def assertBad(
        self,
        table: dict[str, str],
        read: Callable[[str], object] = parse,
    ) -> None:
        found = {}
        for rule in table:
            try:
                read(rule)
            except BadRule as error:
                found[rule] = str(error).removeprefix(f"the rule {rule!r}")
        self.assertEqual(found, table)

    def test_text(self) -> None:
        """
        Text that nobody could ask for is refused.
        """
        self.assertBad(
            {
                "": ": a rule starts with '/'",
                "a/b": ": a rule starts with '/'",
                "//a": ": behind two slashes browsers look for the name of a host",
                "/a?b=<c>": " (at character 3): a path ends before '?'",
                "/a#b": " (at character 3): a path ends before '#'",
                "/a%20b": " (at character 3): write ' ' in place of '%20'",
                "/a/../b": ": browsers resolve '.' and '..' before they ask",
                "/int:a>": " (at character 7): there is no '<' for this '>'",
            }
        )

    def test_slots(self) -> None:
        """
        So are slots that are not closed, or have no good name.
        """
        form = (
            "a slot is written <name>, <converter:name> or <converter(arguments):name>"
        )
        self.assertBad(
            {
                "/a/<int:b": " (at character 4): this '<' is not closed",
                "/<int(b>": f" (at character 2): {form}",
                "/<int(max=5)>": f" (at character 2): {form}",
                "/<>": " (at character 2): no name in '<>'",
                "/<int:>": " (at character 2): no name in '<int:>'",
                "/<a b>": " (at character 2): 'a b' cannot be the name of an argument"
                " in '<a b>'",
                "/<a>/<int:a>": " (at character 6): two slots are called 'a'",
            }
        )

    def test_converters(self) -> None:
        """
        A converter that is not there is told with the one that was meant.
        """
        known = "any, date, default, float, int, path, string, uuid"
        self.assertBad(
            {
                "/<itn:a>": " (at character 2): there is no converter 'itn'; did you"
                " mean 'int'?",
                "/<regex('a'):b>": " (at character 2): there is no converter 'regex';"
                f" there are {known}",
                "/<:a>": " (at character 2): there is no converter '';"
                f" there are {known}",
            }
        )

    def test_arguments(self) -> None:
        """
        Arguments that a converter does not take are told with the slot.
        """
        table = {
            "int(no=1)": "got an unexpected keyword argument 'no'",
            "int(min=one)": "'one' is not a number",
            "int(signed=1)": "signed is True or False, not 1",
            "int(fixed_digits=-1)": "fixed_digits is a number of at least 0, not -1",
            "float(min=True)": "True is not a number",
            "string(minlength=0)": "a length is a number of at least 1, not 0",
            "string(minlength=3, maxlength=2)": "a length is a number of at least 3,"
            " not 2",
            "any()": "needs words to choose from: <any(red, green):colour>",
            "any(a b)": "cannot read the argument 'a b'",
            "any(a;b)": "cannot read the argument 'a;b'",
            "int(min=1, min=2)": "'min' is given twice",
            "int(min=1, 2)": "arguments without a name come first",
            "uuid(1)": "takes no arguments",
        }
        for slot, problem in table.items():
            with self.assertRaises(BadRule) as raised:
                parse(f"/<{slot}:x>")
            self.assertEqual(raised.exception.problem, f"'<{slot}:x>': {problem}")

    def test_regular_expressions(self) -> None:
        """
        A converter whose regular expression is none is found when a rule has it, and
        so are two that do not go together.
        """

        class Broken(Converter):
            regex = "(a"

        class Named(Converter):
            regex = "(?P<part>a)"

        own = {"broken": Broken, "named": Named}
        with self.assertRaises(BadRule) as raised:
            parse("/<broken:x>", own)
        self.assertIn("'(a' is no regular expression: ", str(raised.exception))
        with self.assertRaises(BadRule) as raised:
            parse("/<named:x><named:y>", own)
        self.assertIn("it makes no regular expression: ", str(raised.exception))
        parse("/<named:x>/<named:y>", own)

    def test_hosts(self) -> None:
        """
        A host is a name: no scheme, no port, no path.
        """
        nothing = ": a host has something before and behind each dot"
        self.assertBad(
            {
                "": nothing,
                "example..org": nothing,
                "example.org.": nothing,
                "<a>.": nothing,
                "example.org:8080": ": a host is written without its port",
                "[::1]:80": ": a host is written without its port",
                "http://example.org": ": a host is written without a scheme and a path",
                "\x80.org": ": no host can be called so",
                "<path:a>.org": ": <path:a> takes slashes, and a host has none",
            },
            parse_host,
        )


class SplitTests(SynchronousTestCase):
    """
    A pattern is taken apart where there are slashes.
    """

    def assertSplit(self, rule: str, *steps: str) -> None:
        own = {**CONVERTERS, "range": Range}
        found = [
            step if isinstance(step, str) else self.spell(step)
            for step in split(parse(rule, own).pieces)
        ]
        self.assertEqual(found, list(steps))

    def spell(self, step: Step) -> str:
        spelled = "".join(
            piece if isinstance(piece, str) else piece.written for piece in step.pieces
        )
        return spelled + " …" * step.spans + " /" * step.branch

    def test_segments(self) -> None:
        """
        Text stands for itself; a slash at the end has an empty text behind it.
        """
        self.assertSplit("/", "", "")
        self.assertSplit("/a/b", "", "a", "b")
        self.assertSplit("/a/<b>/", "", "a", "<b>", "")
        self.assertSplit("/a<b>c/<d>-<e>", "", "a<b>c", "<d>-<e>")

    def test_rests(self) -> None:
        """
        From a slot that may have slashes on, all is one step.
        """
        self.assertSplit("/a/<path:b>", "", "a", "<path:b> …")
        self.assertSplit("/a-<path:b>/c/<d>", "", "a-<path:b>/c/<d> …")
        self.assertSplit("/<path:b>/c/", "", "<path:b>/c … /", "")
        self.assertSplit("/<range:b>/", "", "<range:b> … /", "")

    def test_long(self) -> None:
        """
        A text that could be cut in too many ways is not for the step; one that can be
        cut in few may be as long as it likes.
        """
        long = "a-" * 5000
        for rule, text, fits in (
            ("/<a>-<b>.json", f"{long}b.json", True),
            ("/<int:a>-<int:b>-<int:c>-<d>", f"1-2-3-{long}", True),
            ("/<path:a>/x/<path:b>", f"{long}/x/{long}", True),
            ("/<a>-<b>-<c>", "a-b-c", True),
            ("/<a>-<b>-<c>-<d>.json", f"{long}b.json", False),
            ("/<int:a><int:b><int:c>", "1" * 5000, False),
        ):
            step = split(parse(rule).pieces)[1]
            assert isinstance(step, Step)
            self.assertEqual(step.match(text) is not None, fits, rule)


class HostTests(SynchronousTestCase):
    """
    A host is read as a path is, with dots for slashes.
    """

    def test_hosts(self) -> None:
        """
        Its text is in small letters, and in ASCII as it is asked for.
        """
        table = {
            "API.example.org": ["api.example.org"],
            "<sub>.Example.org": ["<StringConverter:sub>", ".example.org"],
            "bücher.example": ["xn--bcher-kva.example"],
            "[::1]": ["[::1]"],
            "localhost": ["localhost"],
        }
        found = {rule: spelled(parse_host(rule)) for rule in table}
        self.assertEqual(found, table)


class QuickTests(SynchronousTestCase):
    """
    What is matched without a regular expression is what that would match.
    """

    @given(st.text() | st.text("0123456789\u0663\u00b2/a\n"))
    def test_alone(self, text: str) -> None:
        """
        For whatever a client sends. (A step that is one segment never sees a slash.)
        """
        for slot, kind in ("<x>", Converter), ("<int:x>", IntConverter):
            if "/" not in text:
                self.assertAlike(slot, kind.regex, text)
        self.assertAlike("<path:x>", PathConverter.regex, text)

    def assertAlike(self, slot: str, regex: str, text: str) -> None:
        step = split(parse(f"/{slot}").pieces)[1]
        assert isinstance(step, Step)
        expected = (text,) if re.fullmatch(regex, text) else None
        self.assertEqual(step.match(text), expected)

    def test_subclasses(self) -> None:
        """
        A subclass with an expression of its own is matched by that.
        """

        class Even(IntConverter):
            regex = "[02468]"

        (slot,) = parse("/<even:x>", {"even": Even}).slots
        step = split(["/", slot])[1]
        assert isinstance(step, Step)
        self.assertEqual((step.match("2"), step.match("3")), (("2",), None))
        self.assertTrue(issubclass(FloatConverter, Converter))
