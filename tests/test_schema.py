"""
Tests for L{ropewalk.schema}.
"""

from __future__ import annotations

import dataclasses
import datetime
import doctest
import enum
import pickle
import re
import textwrap
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import Fault, Invalid
from ropewalk.schema import (
    Meta,
    Secret,
    Shape,
    describe,
    field,
    mask,
    nearest,
    read,
    read_json,
    read_msgpack,
    to_plain,
    write_json,
    write_msgpack,
)
from ropewalk.schema.integers import with_integers
from ropewalk.schema.kinds import kind_of

DOCS = Path(__file__).resolve().parent.parent / "docs"

T = TypeVar("T")

Name = Annotated[str, Meta(min_length=1, max_length=40)]


class Limits(Shape):
    """A shape in a shape."""

    size: Annotated[int, Meta(ge=1, le=64)] = 8
    rate: Annotated[float, Meta(gt=0)] = 1.0


class Message(Shape):
    """A shape as a plugin has it."""

    author: Name
    text: Annotated[str, Meta(min_length=1, max_length=500)]
    history: Annotated[int, Meta(ge=0, le=10_000)] = 100
    format: Literal["auto", "json", "text"] = "auto"
    names: tuple[Name, ...] = ()
    limits: Limits = Limits()
    scores: dict[str, int] = field(default_factory=dict)


class Circle(Shape, tag="circle"):
    """One of two."""

    radius: float


class Square(Shape, tag="square"):
    """The other."""

    side: float


class Range(Shape):
    """A shape with a rule over two fields."""

    first: int
    last: int

    def __post_init__(self) -> None:
        """Refuse what runs backwards."""
        if self.last < self.first:
            raise ValueError("the last must not be before the first - at `$.no`")


class Tree(Shape):
    """A shape that contains itself."""

    name: str
    branches: tuple[Tree, ...] = ()


class Colour(enum.Enum):
    """Text to choose from."""

    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    """Numbers to choose from."""

    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    """What may be a list in JSON."""

    x: int
    y: int


class Person(TypedDict):
    """What stays a dict."""

    name: str
    age: int


@dataclasses.dataclass
class Parcel:
    """A dataclass of somebody else."""

    weight: int
    fragile: bool = False


class Pair(Shape, Generic[T]):
    """A shape of some type."""

    one: T
    two: T


class Row(Shape, array_like=True):
    """A shape that is written as a list."""

    key: str
    count: int


class Renamed(Shape, rename="camel"):
    """A shape whose fields are called otherwise outside."""

    first_name: str


def blocks(page: str, language: str) -> list[str]:
    """
    The code blocks of a page of the documentation.
    """
    text = (DOCS / page).read_text("utf-8")
    pattern = rf"^\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)"
    return [textwrap.dedent(found) for found in re.findall(pattern, text, re.MULTILINE)]


def run_page(page: str) -> tuple[dict[str, Any], str]:
    """
    Run the Python in a page, then the sessions in it.

    :return: the names that are there after the first, and what the second say
        that the page does not.
    """
    names: dict[str, Any] = {"__name__": page.removesuffix(".rst")}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec", dont_inherit=True), names)
    said: list[str] = []
    sessions = "\n".join(blocks(page, "pycon"))
    session = doctest.DocTestParser().get_doctest(sessions, names, page, page, 0)
    doctest.DocTestRunner().run(session, out=said.append, clear_globs=False)
    return names, "".join(said)


def problems(shape: Any, data: Any, *, strict: bool = True) -> list[str]:
    """
    What is wrong with data, one line each; nothing when nothing is.
    """
    try:
        read(shape, data, strict=strict)
    except Invalid as error:
        return [str(fault) for fault in error.faults]
    return []


class ReadTests(SynchronousTestCase):
    """
    Plain data becomes typed values.
    """

    def test_a_value(self) -> None:
        """
        Good data becomes a value of the shape, with defaults for the rest.
        """
        self.assertEqual(
            read(Message, {"author": "Ann", "text": "hi", "limits": {"size": 2}}),
            Message("Ann", "hi", limits=Limits(size=2)),
        )

    def test_every_fault(self) -> None:
        """
        All that is wrong is told at once, by place, in the order of the shape.
        """
        error = self.assertRaises(
            Invalid,
            read,
            Message,
            {
                "histroy": 5,
                "names": ["Ann", 5, ""],
                "limits": {"size": 65, "rate": 0},
                "scores": {"Ann": 1, "the others": "many"},
                "format": "jsn",
                "text": "",
                "history": -1,
            },
        )
        self.assertEqual(
            [str(fault) for fault in error.faults],
            [
                "author: required, but missing",
                "text: expected text of 1 to 500 characters, got ''",
                "history: expected an integer from 0 to 10000, got -1",
                (
                    "format: expected one of 'auto', 'json', 'text', got 'jsn'; "
                    "did you mean 'json'?"
                ),
                "names[1]: expected text of 1 to 40 characters, got 5",
                "names[2]: expected text of 1 to 40 characters, got ''",
                "limits.size: expected an integer from 1 to 64, got 65",
                "limits.rate: expected a number greater than 0, got 0",
                "scores.\"the others\": expected an integer, got 'many'",
                "histroy: unknown field; did you mean 'history'?",
            ],
        )
        self.assertEqual(error.status, 422)

    def test_misspelled(self) -> None:
        """
        A misspelled field is said to be the one that is missing, even when one
        that is there is more like it.
        """

        class Two(Shape):
            text: str
            texts: str = ""

        self.assertEqual(
            problems(Two, {"texts": "", "textt": ""}),
            [
                "text: required, but missing",
                "textt: unknown field; did you mean 'text'?",
            ],
        )

    def test_nothing_similar(self) -> None:
        """
        A field that is like no other is just unknown.
        """
        self.assertEqual(problems(Limits, {"zebra": 1}), ["zebra: unknown field"])

    def test_no_object(self) -> None:
        """
        A fault of the value as a whole has no place.
        """
        error = self.assertRaises(Invalid, read, Limits, [1, 2])
        self.assertEqual(
            error.faults, (Fault("", "expected an object, got a list of 2 items"),)
        )

    def test_rule_of_the_shape(self) -> None:
        """
        A ``ValueError`` of ``__post_init__`` is a fault of the shape, in its own
        words.
        """
        said = "the last must not be before the first - at `$.no`"
        self.assertEqual(problems(Range, {"first": 2, "last": 1}), [said])
        self.assertEqual(
            problems(dict[str, list[Range]], {"a": [{"first": 2, "last": 1}]}),
            [f"a[0]: {said}"],
        )

    def test_rule_after_fields(self) -> None:
        """
        The rule of a shape is not asked about fields that are wrong.
        """
        self.assertEqual(
            problems(Range, {"first": 2, "last": "1"}),
            ["last: expected an integer, got '1'"],
        )

    def test_renamed(self) -> None:
        """
        Faults have the names of outside.
        """
        self.assertEqual(
            problems(Renamed, {"first_name": "Ann"}),
            [
                "firstName: required, but missing",
                "first_name: unknown field; did you mean 'firstName'?",
            ],
        )

    def test_generic(self) -> None:
        """
        A shape of some type has the faults of that type.
        """
        self.assertEqual(
            problems(Pair[int], {"one": "1", "two": 2}),
            ["one: expected an integer, got '1'"],
        )
        self.assertEqual(read(Pair[int], {"one": 1, "two": 2}), Pair(1, 2))

    def test_tagged(self) -> None:
        """
        Of several shapes the tag says which is meant.
        """
        shape = list[Circle | Square]
        self.assertEqual(
            read(shape, [{"type": "circle", "radius": 1.0}]), [Circle(1.0)]
        )
        self.assertEqual(
            problems(
                shape,
                [
                    {"type": "circle", "side": 2.0},
                    {"type": "sqare", "side": 2.0},
                    {"side": 2.0},
                    {"type": ["circle"]},
                    "circle",
                ],
            ),
            [
                "[0].radius: required, but missing",
                "[0].side: unknown field",
                (
                    "[1].type: expected one of 'circle', 'square', got 'sqare'; "
                    "did you mean 'square'?"
                ),
                "[2].type: required, but missing",
                "[3].type: expected one of 'circle', 'square', got a list of 1 item",
                "[4]: expected an object, got 'circle'",
            ],
        )

    def test_tag_of_one(self) -> None:
        """
        A shape with a tag takes its own tag, or none.
        """
        self.assertEqual(problems(Circle, {"radius": 1, "type": "circle"}), [])
        self.assertEqual(problems(Circle, {"radius": 1}), [])
        self.assertEqual(
            problems(Circle, {"radius": 1, "type": "square"}),
            ["type: expected 'circle', got 'square'"],
        )

    def test_either(self) -> None:
        """
        A value that may be of several types is looked at as the one it is like.
        """
        shape = int | list[int] | dict[str, int] | None
        for good in (5, [5], {"a": 5}, None):
            self.assertEqual(problems(shape, good), [])
        self.assertEqual(problems(shape, ["5"]), ["[0]: expected an integer, got '5'"])
        self.assertEqual(
            problems(shape, {"a": "5"}), ["a: expected an integer, got '5'"]
        )
        self.assertEqual(problems(shape, "5"), [f"expected {describe(shape)}, got '5'"])

    def test_keys(self) -> None:
        """
        The names in a dict may have a type, too; they are always text outside.
        """
        shape = dict[Annotated[int, Meta(ge=1)], str]
        self.assertEqual(read(shape, {"7": "seven"}), {7: "seven"})
        self.assertEqual(
            problems(shape, {"7": 7, "0": "zero"}),
            [
                "7: expected text, got 7",
                "0: as the name of a field, expected an integer of at least 1",
            ],
        )

    def test_recursive(self) -> None:
        """
        A shape may contain itself.
        """
        data = {"name": "a", "branches": [{"name": "b", "branches": [{"name": 5}]}]}
        self.assertEqual(
            problems(Tree, data),
            ["branches[0].branches[0].name: expected text, got 5"],
        )

    def test_deep(self) -> None:
        """
        Data nested beyond what can be walked is refused, not an error of ours.
        """
        data: dict[str, Any] = {"name": 5}
        for _ in range(20_000):
            data = {"name": "a", "branches": [data]}
        self.assertNotEqual(problems(Tree, data), [])

    def test_rather_deep(self) -> None:
        """
        Nested so deep that only msgspec can follow, the fault is told all the
        same, in its words.
        """
        data: dict[str, Any] = {"name": 5}
        for _ in range(250):
            data = {"name": "a", "branches": [data]}
        (found,) = problems(Tree, data)
        self.assertEqual(
            found, f"{'branches[0].' * 250}name: Expected `str`, got `int`"
        )

    def test_collections(self) -> None:
        """
        All kinds of collections are looked into, in collections, too.
        """
        for shape in (
            list[set[int]],
            list[frozenset[int]],
            list[tuple[int, ...]],
            list[tuple[int, int]],
            list[list[int]],
            list[
                tuple[Annotated[int, Meta(title="N")], Annotated[int, Meta(title="M")]]
            ],
        ):
            self.assertEqual(
                problems(shape, [[1, 2], [3, "4"]]),
                ["[1][1]: expected an integer, got '4'"],
            )

    def test_many_faults(self) -> None:
        """
        A hundred faults are told, and that there are more.
        """
        found = problems(list[int], ["x"] * 100_000)
        self.assertEqual(len(found), 101)
        self.assertEqual(found[99], "[99]: expected an integer, got 'x'")
        self.assertEqual(found[100], "more is wrong than these 100 faults")

    def test_untold(self) -> None:
        """
        What only msgspec knows to be wrong is told in its words.
        """
        self.assertEqual(
            problems(dict[str, Row], {"a": ["k", "x"]}),
            ["a[1]: Expected `int`, got `str`"],
        )
        self.assertEqual(problems(Point, [1, "x"]), ["[1]: Expected `int`, got `str`"])

    def test_foreign_shapes(self) -> None:
        """
        Dataclasses, typed dicts and named tuples are shapes as well.
        """
        self.assertEqual(read(Parcel, {"weight": 3}), Parcel(3))
        self.assertEqual(
            problems(Parcel, {"weight": "3"}), ["weight: expected an integer, got '3'"]
        )
        self.assertEqual(
            problems(Person, {"name": 5}),
            ["age: required, but missing", "name: expected text, got 5"],
        )
        self.assertEqual(read(Point, [1, 2]), Point(1, 2))


class LenientTests(SynchronousTestCase):
    """
    Text from query strings and forms is converted.
    """

    def test_converted(self) -> None:
        """
        Where a number or the like is expected, text that says one is taken.
        """

        class Query(Shape):
            limit: int
            exact: bool
            ratio: float | None

        self.assertEqual(
            read(
                Query, {"limit": "500", "exact": "true", "ratio": "0.5"}, strict=False
            ),
            Query(500, True, 0.5),
        )

    def test_faults(self) -> None:
        """
        Text that says none is shown as it came.
        """
        self.assertEqual(
            problems(dict[str, bool | int], {"a": "yes", "b": "1"}, strict=False),
            ["a: expected true or false or an integer, got 'yes'"],
        )

    def test_strict(self) -> None:
        """
        Otherwise it is not: in JSON, "500" is no number.
        """
        self.assertEqual(problems(int, "500"), ["expected an integer, got '500'"])

    def test_mistakable(self) -> None:
        """
        A number is no moment and no duration; what only Python takes for a number is
        none.
        """
        number, moment = "a number", "a date and time such as 2026-01-31T12:00:00Z"
        for shape, text, expected in (
            (datetime.datetime, "2026", moment),
            (datetime.datetime, "0.5", moment),
            (datetime.timedelta, "5", "a duration such as 'PT1H30M'"),
            (float, "nan", number),
            (float, "-Infinity", number),
            (float, "1_0", number),
            (Decimal, "sNaN", "a decimal number"),
            (Decimal, "٣", "a decimal number"),
            (Decimal, " 1", "a decimal number"),
            (datetime.datetime | None, "1e3", f"{moment} or null"),
        ):
            told = f"[0].a: expected {expected}, got {text!r}"
            nested: Any = list[dict[str, shape]]  # type: ignore[valid-type]
            found = problems(nested, [{"a": text}], strict=False)
            self.assertEqual(found, [told])

    def test_unmistakable(self) -> None:
        """
        Numbers are numbers wherever there may be one, and text is text.
        """
        for shape, text, expected in (
            (float, "1e3", 1000.0),
            (float, "0.5", 0.5),
            (Decimal, "-5.", Decimal(-5)),
            (int | datetime.datetime, "2026", 2026),
            (str | float, "nan", "nan"),
            (datetime.timedelta, "PT5S", datetime.timedelta(seconds=5)),
            (dict[str, Any], {"a": "nan"}, {"a": "nan"}),
        ):
            self.assertEqual(read(shape, text, strict=False), expected)


class SecretTests(SynchronousTestCase):
    """
    What must not be shown is not.
    """

    class Login(Shape):
        """A shape with a secret."""

        name: str
        password: Secret = Secret("")
        old: tuple[Secret, ...] = ()

    def test_is_text(self) -> None:
        """
        A secret is text to whoever works with it.
        """
        secret = read(Secret, "hunter2")
        self.assertIsInstance(secret, Secret)
        self.assertEqual(secret, "hunter2")
        self.assertEqual(f"{secret}", "hunter2")
        self.assertEqual(pickle.loads(pickle.dumps(secret)), "hunter2")

    def test_repr(self) -> None:
        """
        It is masked in its ``repr``, and in that of what contains it. That it
        is empty can be seen.
        """
        login = read(self.Login, {"name": "ann", "password": "hunter2"})
        self.assertEqual(
            repr(login), "Login(name='ann', password=Secret('****'), old=())"
        )
        self.assertEqual(repr(Secret("")), "Secret('')")

    def test_written(self) -> None:
        """
        It is masked in JSON.
        """
        login = read(self.Login, {"name": "ann", "password": "hunter2"})
        self.assertEqual(
            write_json(login), b'{"name":"ann","password":"****","old":[]}'
        )
        self.assertEqual(
            to_plain(self.Login("ann")), {"name": "ann", "password": "", "old": ()}
        )

    def test_in_faults(self) -> None:
        """
        Something wrong in the place of a secret is not shown either.
        """
        self.assertEqual(
            problems(
                self.Login,
                {"name": Secret("hunter2"), "password": 12345, "old": "hunter2"},
            ),
            [
                "password: expected text, got an integer (not shown)",
                "old: expected a list of text, got text (not shown)",
            ],
        )
        self.assertEqual(
            problems(dict[str, int], {"pin": Secret("hunter2")}),
            ["pin: expected an integer, got text (not shown)"],
        )
        self.assertEqual(
            problems(Secret | None, 5.5),
            ["expected text or null, got a number (not shown)"],
        )
        self.assertEqual(
            problems(tuple[int, Secret], True),
            [
                (
                    "expected a list of 2 items: an integer, text, "
                    "got true or false (not shown)"
                )
            ],
        )

    def test_beside_a_secret(self) -> None:
        """
        A recursive shape with a secret hides what is in its place.
        """

        class Node(Shape):
            inner: SecretTests.Login | None = None

        self.assertEqual(
            problems(Node, {"inner": "hunter2"}),
            ["inner: expected an object or null, got text (not shown)"],
        )

    def test_passwords_in_urls(self) -> None:
        """
        The password of a URL is masked wherever the URL is shown.
        """
        for url, shown in {
            "postgresql://user:pw@host/db": "postgresql://user:****@host/db",
            "redis://:p@ss/word@host": "redis://:****@host",
            "a://u:p@h,b://u:p@h": "a://u:****@h",
            "postgresql://h/db?user=u&password=pw&x=1": (
                "postgresql://h/db?user=u&password=****&x=1"
            ),
            "https://host:8080/path": "https://host:8080/path",
            "tcp:7070:interface=127.0.0.1": "tcp:7070:interface=127.0.0.1",
            "a://u:p@h and b://u:p@h": "a://u:****@h and b://u:****@h",
        }.items():
            self.assertEqual(mask(url), shown)
        self.assertEqual(
            problems(int, "postgresql://user:pw@host/db"),
            ["expected an integer, got 'postgresql://user:****@host/db'"],
        )
        shown = "postgresql://user:****@host/db…"
        cut = "postgresql://user:" + "x" * 100 + "@host/db"
        self.assertEqual(
            problems(int, cut),
            [f"expected an integer, got {shown!r} (126 characters)"],
        )


class GotTests(SynchronousTestCase):
    """
    A message shows what it got, but not too much of it.
    """

    def test_shown(self) -> None:
        """
        Values are shown as JSON or TOML would have them.
        """
        for value, shown in (
            (None, "null"),
            (True, "true"),
            (1.5, "1.5"),
            ("it's", '"it\'s"'),
            ("a\nb", r"'a\nb'"),
            ([], "an empty list"),
            ([1], "a list of 1 item"),
            ({}, "an object"),
            (datetime.date(2026, 1, 31), "2026-01-31"),
            (b"abc", "3 bytes"),
            ("x" * 500, f"'{'x' * 60}…' (500 characters)"),
            (10**400, "a huge integer"),
        ):
            self.assertEqual(
                problems(uuid.UUID, value), [f"expected a UUID, got {shown}"]
            )

    def test_pattern_in_words(self) -> None:
        """
        A pattern that has a description is told in its words, also where there
        may be nothing instead.
        """
        room = Annotated[str, Meta(pattern="^[a-z]+$", description="a room's name")]
        for shape, said in (
            (room, "a room's name"),
            (room | None, "a room's name or null"),
        ):
            error = self.assertRaises(Invalid, read, dict[str, shape], {"at": "A"})  # type: ignore[valid-type]
            self.assertEqual(error.faults, (Fault("at", f"expected {said}, got 'A'"),))
            self.assertEqual(describe(shape), said)

    def test_long_names(self) -> None:
        """
        The name of an unknown field is shortened, too.
        """
        (found,) = problems(Limits, {"x" * 500: 1})
        self.assertEqual(found, f"{'x' * 60}…: unknown field")


class DescribeTests(SynchronousTestCase):
    """
    Types are described to people.
    """

    def test_descriptions(self) -> None:
        """
        A type is described by the values it takes.
        """
        for shape, said in (
            (int, "an integer"),
            (Annotated[int, Meta(ge=0, le=10_000)], "an integer from 0 to 10000"),
            (Annotated[int, Meta(ge=1)], "an integer of at least 1"),
            (Annotated[int, Meta(le=9)], "an integer of at most 9"),
            (Annotated[int, Meta(multiple_of=5)], "an integer, a multiple of 5"),
            (
                Annotated[float, Meta(gt=0, lt=1)],
                "a number greater than 0 and less than 1",
            ),
            (float, "a number"),
            (bool, "true or false"),
            (str, "text"),
            (Secret, "text"),
            (Annotated[str, Meta(min_length=1)], "text of at least 1 character"),
            (Annotated[str, Meta(max_length=40)], "text of at most 40 characters"),
            (
                Annotated[str, Meta(min_length=2, max_length=2)],
                "text of exactly 2 characters",
            ),
            (Annotated[str, Meta(pattern="^[a-z]+$")], "text that matches '^[a-z]+$'"),
            (bytes, "base64 text"),
            (datetime.datetime, "a date and time such as 2026-01-31T12:00:00Z"),
            (datetime.date, "a date such as 2026-01-31"),
            (datetime.time, "a time such as 12:00:00"),
            (datetime.timedelta, "a duration such as 'PT1H30M'"),
            (uuid.UUID, "a UUID"),
            (Decimal, "a decimal number"),
            (Literal["a", "b"], "one of 'a', 'b'"),
            (Literal["a"], "'a'"),
            (Colour, "one of 'red', 'green'"),
            (Level, "one of 1, 2"),
            (list[str], "a list of text"),
            (list[int], "a list of integers"),
            (list[Any], "a list"),
            (set[Literal["a", "b"]], "a list of values, each one of 'a', 'b'"),
            (tuple[int, ...], "a list of integers"),
            (tuple[int, str], "a list of 2 items: an integer, text"),
            (
                Annotated[list[float], Meta(min_length=1, max_length=3)],
                "a list of numbers, with 1 to 3 items",
            ),
            (list[list[int]], "a list of lists of integers"),
            (list[Limits], "a list of objects"),
            (dict[str, int], "an object of integers"),
            (dict[str, Any], "an object"),
            (Limits, "an object"),
            (Parcel, "an object"),
            (int | None, "an integer or null"),
            (Circle | Square, "an object"),
            (list[int | str], "a list of integers or text"),
            (Any, "anything"),
            (Point, "a list"),
            (Annotated[int, Meta(title="Count", ge=1)], "an integer of at least 1"),
        ):
            self.assertEqual(describe(shape), said)

    def test_nearest(self) -> None:
        """
        The nearest name is found whatever its case, and nothing is made up.
        """
        known = ["history", "listen", "my-chat"]
        self.assertEqual(nearest("histroy", known), "history")
        self.assertEqual(nearest("LISTEN", known), "listen")
        self.assertEqual(nearest("my_chat", known), "my-chat")
        self.assertIsNone(nearest("zebra", known))
        self.assertIsNone(nearest("x" * 10_000, known))


class LeafTests(SynchronousTestCase):
    """
    Every kind of value is read, and refused in words.
    """

    def test_good(self) -> None:
        """
        Good values of every kind are read.
        """
        day = datetime.date(2026, 1, 31)
        noon = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
        for shape, value, wanted in (
            (datetime.date, "2026-01-31", day),
            (datetime.date, day, day),
            (datetime.datetime, "2026-01-31T12:00:00Z", noon),
            (datetime.datetime, noon, noon),
            (datetime.time, "12:00:00", datetime.time(12)),
            (datetime.timedelta, "PT90M", datetime.timedelta(minutes=90)),
            (uuid.UUID, str(uuid.UUID(int=5)), uuid.UUID(int=5)),
            (Decimal, "1.10", Decimal("1.10")),
            (bytes, "aGk=", b"hi"),
            (Colour, "red", Colour.RED),
            (Level, 2, Level.HIGH),
            (float, 2, 2.0),
            (frozenset[int], [1, 1], frozenset({1})),
            (tuple[int, str], [1, "a"], (1, "a")),
            (Any, {"a": [1]}, {"a": [1]}),
        ):
            self.assertEqual(read(shape, value), wanted)

    def test_bad(self) -> None:
        """
        Bad ones are refused with a description of a good one.
        """
        for shape, value, got in (
            (datetime.date, "2026-02-31", "'2026-02-31'"),
            (datetime.datetime, "yesterday", "'yesterday'"),
            (Annotated[datetime.datetime, Meta(tz=True)], "2026-01-31T12:00:00", None),
            (datetime.time, "25:00:00", "'25:00:00'"),
            (datetime.timedelta, "1h", "'1h'"),
            (Decimal, "1,10", "'1,10'"),
            (bytes, "?", "'?'"),
            (Level, 3, "3"),
            (int, True, "true"),
            (int, 1.5, "1.5"),
            (bool, 1, "1"),
            (str, None, "null"),
            (Annotated[str, Meta(pattern="^a")], "b", "'b'"),
            (tuple[int, str], [1], "a list of 1 item"),
            (Annotated[list[int], Meta(max_length=1)], [1, 2], "a list of 2 items"),
            (Annotated[dict[str, int], Meta(min_length=1)], {}, "an object"),
            (list[int], "5", "'5'"),
            (dict[str, int], 5, "5"),
        ):
            shown = got or repr(value)
            self.assertEqual(
                problems(shape, value), [f"expected {describe(shape)}, got {shown}"]
            )

    def test_parts_of_a_tuple(self) -> None:
        """
        Each item of a tuple has its own type.
        """
        self.assertEqual(
            problems(tuple[int, str], ["1", 2]),
            ["[0]: expected an integer, got '1'", "[1]: expected text, got 2"],
        )


class JsonTests(SynchronousTestCase):
    """
    JSON becomes typed values, and values JSON.
    """

    def test_there_and_back(self) -> None:
        """
        What was written is read again as it was.
        """
        message = Message("Ann", "hi", limits=Limits(size=2), scores={"Ann": 1})
        self.assertEqual(read_json(Message, write_json(message)), message)
        self.assertEqual(read(Message, to_plain(message)), message)

    def test_faults(self) -> None:
        """
        All faults are told, as for plain data.
        """
        error = self.assertRaises(
            Invalid, read_json, Message, b'{"author": "", "txt": "hi"}'
        )
        self.assertEqual(
            [str(fault) for fault in error.faults],
            [
                "author: expected text of 1 to 40 characters, got ''",
                "text: required, but missing",
                "txt: unknown field; did you mean 'text'?",
            ],
        )

    def test_no_json(self) -> None:
        """
        What is not JSON is refused with the place where it stops being it.
        """
        for raw, said in (
            (b"", "not JSON: it ends too early"),
            (b'{"author": "Ann"', "not JSON: it ends too early"),
            (b'{"a":}', "not JSON: expecting value at line 1, column 6"),
            (b'{"a": 1,\n "b": tru}', "not JSON: expecting value at line 2, column 7"),
            ('{"é": x}'.encode(), "not JSON: expecting value at line 1, column 7"),
            (b"{} x", "not JSON: extra data at line 1, column 4"),
            (b'"a\nb"', "not JSON: invalid control character at line 1, column 3"),
            (b'{"author": "\xff"}', "not JSON: not UTF-8 at line 1, column 13"),
            (b'\n"\xff"', "not JSON: not UTF-8 at line 2, column 2"),
            (b"NaN", "not JSON: NaN and Infinity are not numbers there"),
            (b'{"author": 1e999}', "a number is too large"),
            (b'{"x":' * 100_000, "nested too deeply"),
            (b'{"author": ' + b"1" * 5_000 + b"x}", "a number is too large"),
        ):
            error = self.assertRaises(Invalid, read_json, Message, raw)
            self.assertEqual(error.faults, (Fault("", said),))

    def test_types_without_a_hash(self) -> None:
        """
        Any type will do, also one that cannot be kept in a table.
        """
        shape = Annotated[int, Meta(ge=1, extra_json_schema={"example": 5})]
        self.assertEqual(read_json(shape, b"5"), 5)
        error = self.assertRaises(Invalid, read_json, shape, b"0")
        self.assertEqual(str(error), "expected an integer of at least 1, got 0")

    def test_unwritable(self) -> None:
        """
        What JSON has no word for is refused by its name.
        """
        error = self.assertRaises(NotImplementedError, write_json, {"a": object()})
        self.assertIn("object cannot be written as JSON", str(error))


class Order(Shape):
    """What has a number of every sort in it."""

    amount: Annotated[int, Meta(ge=1)]
    price: Decimal = Decimal(1)
    ratio: float = 1.0
    urgent: bool = False
    level: Level = Level.LOW
    size: Literal[1, 2, "any"] = "any"
    numbers: list[int | None] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    either: int | float = 0
    rest: Any = None


class Hexagon(Shape, tag=6):
    """A shape whose tag is a number."""

    side: int


class Triangle(Shape, tag=3):
    """Another."""

    side: int


class Nest(Shape):
    """Numbers in each other."""

    size: int
    inner: tuple[Nest, ...] = ()


class Entry(Shape, array_like=True, tag=7):
    """A list that begins with a number."""

    count: int


class IntegerTests(SynchronousTestCase):
    """
    JSON has no integers, but numbers that are some: ``2.0`` is one.
    """

    def test_whole(self) -> None:
        """
        A whole number is an integer, where there may be an integer and no other.
        """
        order = read_json(
            Order,
            b'{"amount": 2.0, "level": 2e0, "size": 1.0, "numbers": [1e2, null, -0.0],'
            b' "counts": {"7": 3.0}, "either": 4.0, "rest": [5.0]}',
        )
        self.assertEqual(
            order,
            Order(
                2,
                level=Level.HIGH,
                size=1,
                numbers=[100, None, 0],
                counts={7: 3},
                either=4.0,
                rest=[5.0],
            ),
        )
        integers = [order.amount, order.numbers[0], order.counts[7]]
        self.assertEqual({type(each) for each in integers}, {int})
        self.assertEqual({type(order.either), type(order.rest[0])}, {float})

    def test_exact(self) -> None:
        """
        No digit is lost on the way.
        """
        order = read_json(
            Order, b'{"amount": 12345678901234567891.0, "price": 0.1234567890123456789}'
        )
        self.assertEqual(order.amount, 12345678901234567891)
        self.assertEqual(order.price, Decimal("0.1234567890123456789"))

    def test_refused(self) -> None:
        """
        One that is not whole is refused; so is whatever is wrong with one that is.
        """
        for data, *expected in (
            ('{"amount": 1.5}', "amount: expected an integer of at least 1, got 1.5"),
            ('{"amount": 0.0}', "amount: expected an integer of at least 1, got 0"),
            (
                '{"amount": 1.0, "urgent": 1.0, "level": 3.0}',
                "urgent: expected true or false, got 1.0",
                "level: expected one of 1, 2, got 3",
            ),
            ('{"amount": 1e400}', "a number is too large"),
            ('{"amount": 1e999999999}', "a number is too large"),
            (
                '{"amount": "1.0"}',
                "amount: expected an integer of at least 1, got '1.0'",
            ),
        ):
            with self.assertRaises(Invalid) as caught:
                read_json(Order, data.encode())
            self.assertEqual([str(each) for each in caught.exception.faults], expected)

    def test_tags(self) -> None:
        """
        Numbers that say which shape is meant are numbers like any.
        """
        kind: Any = Hexagon | Triangle
        self.assertEqual(read_json(kind, b'{"type": 6.0, "side": 2.0}'), Hexagon(2))
        self.assertEqual(read_json(Entry, b"[7.0, 2.0]"), Entry(2))

    def test_msgpack(self) -> None:
        """
        msgpack is as JSON is. What is not finite is no integer.
        """
        raw = write_msgpack({"amount": 2.0, "level": 1.0})
        self.assertEqual(read_msgpack(Order, raw), Order(2))
        huge = read_msgpack(Order, write_msgpack({"amount": 1e300}))
        self.assertEqual(huge.amount, int(1e300))
        for number in (float("inf"), float("nan"), 1.5):
            with self.assertRaises(Invalid) as caught:
                read_msgpack(Order, write_msgpack({"amount": number}))
            expected = f"amount: expected an integer of at least 1, got {number}"
            self.assertEqual(str(caught.exception), expected)

    def test_bytes_in_msgpack(self) -> None:
        """
        Bytes are bytes there, or base64 as in JSON.
        """
        shape = dict[str, bytes]
        for said in b"rope", "cm9wZQ==":
            raw = write_msgpack({"a": said})
            self.assertEqual(read_msgpack(shape, raw), {"a": b"rope"})
        with self.assertRaises(Invalid) as caught:
            read_msgpack(shape, write_msgpack({"a": "rope!"}))
        self.assertEqual(str(caught.exception), "a: expected base64 text, got 'rope!'")

    def test_only_there(self) -> None:
        """
        Where there are integers, as in TOML, other numbers are none.
        """
        self.assertEqual(
            problems(list[int], [2.0]), ["[0]: expected an integer, got 2.0"]
        )

    def test_others(self) -> None:
        """
        Dataclasses and pydantic models are read likewise.
        """
        self.assertEqual(read_json(Parcel, b'{"weight": 3.0}'), Parcel(3))
        try:
            from pydantic import BaseModel
        except ImportError as error:
            self.skipTest(str(error))

        class Cart(BaseModel):
            wheels: int
            loads: list[Parcel]

        raw = b'{"wheels": 2.0, "loads": [{"weight": 3.0}]}'
        self.assertEqual(read_json(Cart, raw), Cart(wheels=2, loads=[Parcel(3)]))

    def test_deep(self) -> None:
        """
        However deep it stands, it is read or refused.
        """
        for depth, good in (50, True), (100_000, False):
            raw = b'{"size": 2.0, "inner": [' * depth + b"]}" * depth
            if good:
                self.assertEqual(read_json(Nest, raw).inner[0].size, 2)
            else:
                self.assertRaises(Invalid, read_json, Nest, raw)
        for depth in range(200, 1200, 50):
            raw = b'{"size": 2.0, "inner": [' * depth + b"]}" * depth
            try:
                nest = read_json(Nest, raw)
            except Invalid:
                continue
            self.assertEqual(nest.size, 2)


#: Types of all kinds, for finding what nobody thought of.
SHAPES: tuple[Any, ...] = (
    Message,
    Tree,
    Range,
    Circle | Square,
    list[Circle | Square | None],
    int | str | None,
    dict[str, list[int]] | list[bool] | float,
    Pair[Name],
    dict[Annotated[int, Meta(ge=1)], Colour],
    tuple[int, Name] | None,
    Annotated[set[int], Meta(min_length=1)],
    Person,
    list[Level | bool],
    Decimal | None,
    list[datetime.date],
    list[Secret | None],
    Literal["a", 1, None],
)

KEYS = st.sampled_from(
    [
        *("author", "text", "names", "limits", "size", "rate", "name", "branches"),
        *("first", "last", "radius", "side", "one", "two", "weight", "age"),
        *("type", "a", "7"),
    ]
)

PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text("abz019 -.:TZ\n\u00e9", max_size=5),
        st.sampled_from(["circle", "red", "2026-01-31", "a", "1"]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=8,
)


class AnyDataTests(SynchronousTestCase):
    """
    Whatever comes, it is a value or has faults.
    """

    @settings(max_examples=150, deadline=None)
    @given(st.sampled_from(SHAPES), PLAIN, st.booleans())
    def test_value_or_faults(self, shape: Any, data: Any, strict: bool) -> None:
        """
        Data is refused with at least one fault, in our words, exactly when
        msgspec refuses it.
        """
        found = problems(shape, data, strict=strict)
        try:
            msgspec.convert(
                data,
                shape,
                strict=strict,
                str_keys=True,
                dec_hook=lambda cls, value: read(cls, value),
            )
        except (msgspec.ValidationError, Invalid):
            self.assertNotEqual(found, [])
        else:
            self.assertEqual(found, [])
        for problem in found:
            self.assertNotRegex(problem, "Expected|Object|Invalid")

    @settings(max_examples=100, deadline=None)
    @given(st.sampled_from(SHAPES), st.binary(max_size=20) | PLAIN.map(write_json))
    def test_any_bytes(self, shape: Any, raw: bytes) -> None:
        """
        JSON is refused with at least one fault, or gives what the plain data
        in it gives, whole numbers taken for integers.
        """
        try:
            value = read_json(shape, raw)
        except Invalid as error:
            self.assertNotEqual(error.faults, ())
        else:
            data = with_integers(kind_of(shape), msgspec.json.decode(raw))
            self.assertEqual(value, read(shape, data))


class DocumentationTests(SynchronousTestCase):
    """
    The page about shapes is true.
    """

    def test_page(self) -> None:
        """
        Its examples do what it says.
        """
        self.assertEqual(run_page("schema.rst")[1], "")
