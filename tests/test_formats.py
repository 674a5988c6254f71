"""
Tests for L{ropewalk.web.formats}, and for what it is made of:
L{ropewalk.web.fields}, L{ropewalk.web.markup} and L{ropewalk.web.uploads}.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import math
import os
import pickle
import subprocess
import sys
import tempfile
import time
import uuid
from decimal import Decimal
from io import BytesIO
from typing import Annotated, Any, Literal, NamedTuple
from xml.etree import ElementTree

import attrs
import msgspec
import pydantic
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import Fault, Invalid, Malformed
from ropewalk.schema import Meta, Secret, Shape, field, to_plain
from ropewalk.web import uploads
from ropewalk.web.formats import (
    OFFERS,
    Unsupported,
    Unwritable,
    Upload,
    accepted,
    can_write,
    parse_type,
    read_body,
    read_form,
    write_body,
)
from tests.test_schema import Circle, Message, Square, Tree, run_page

JSON = "application/json"
MSGPACK = "application/msgpack"
XML = "application/xml"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=here"


class Colour(enum.Enum):
    """Text to choose from."""

    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    """Numbers to choose from."""

    LOW = 1
    HIGH = 2


class Row(NamedTuple):
    """What is written as a list."""

    key: str
    amount: int


class Size(Shape):
    """A shape in a shape."""

    width: int
    height: float = 1.5
    names: tuple[str, ...] = ()


class Thing(Shape):
    """A shape with something of everything."""

    text: str
    number: int
    amount: float
    is_new: bool
    size: Size
    id: uuid.UUID
    price: Decimal
    day: datetime.date
    at: datetime.datetime
    clock: datetime.time
    span: datetime.timedelta
    raw: bytes
    colour: Colour
    level: Level
    kind: Literal["a", "b"]
    note: str | None = None
    count: int | None = None
    other: Size | None = None
    tags: list[str] = field(default_factory=list)
    numbers: tuple[int, ...] = ()
    flags: frozenset[bool] = frozenset()
    sizes: list[Size] = field(default_factory=list)
    by_name: dict[str, int] = field(default_factory=dict)
    by_number: dict[int, Size] = field(default_factory=dict)
    either: Circle | Square | None = None


class Nulls(Shape):
    """A shape where ``None`` must be said."""

    one: int | None
    two: int | None = 2
    three: list[int | None] = field(default_factory=list)
    four: list[list[int]] = field(default_factory=list)
    five: list[list[str] | None] | None = None
    six: tuple[int, str] = (1, "a")
    seven: Row | None = None


class Small(Shape, tag=1, tag_field="v"):
    """One of two with numbers for tags."""

    a: int


class Large(Shape, tag=2, tag_field="v"):
    """The other."""

    b: list[int]


class Both(Shape):
    """A shape with either."""

    all: list[Small | Large]


class Camel(Shape, rename="camel"):
    """A shape whose fields are called otherwise outside."""

    first_name: str
    last_name: str = ""


class Picture(Shape):
    """A shape with files in it."""

    title: str
    image: Upload
    others: list[Upload] = field(default_factory=list)
    width: int = 0


@dataclasses.dataclass
class Parcel:
    """A dataclass."""

    weight: int
    labels: list[str] = dataclasses.field(default_factory=list)


@attrs.define
class Person:
    """An attrs class."""

    name: str
    parcels: list[Parcel] = attrs.Factory(list)
    age: int | None = None
    _seen: int = 0


class Cat(pydantic.BaseModel):
    """A model."""

    name: str
    lives: int | None = None
    friends: list[str] = []


def read_as(content_type: str | None, shape: Any, raw: bytes) -> Any:
    """
    What a body says.
    """
    return read_body(shape, content_type, BytesIO(raw), len(raw))


def again(value: Any, media_type: str) -> Any:
    """
    A value, written and read.
    """
    return read_as(media_type, type(value), write_body(value, media_type))


def problems(content_type: str | None, shape: Any, raw: bytes) -> list[str]:
    """
    What is wrong with a body, one line each.
    """
    try:
        read_as(content_type, shape, raw)
    except Invalid as error:
        return [str(fault) for fault in error.faults]
    return []


def part(name: str, content: bytes, more: str = "", kind: str = "") -> bytes:
    """
    A part of a form, with the boundary before it.
    """
    header = f'Content-Disposition: form-data; name="{name}"{more}\r\n'
    if kind:
        header += f"Content-Type: {kind}\r\n"
    return b"--here\r\n" + header.encode() + b"\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    """
    A whole form.
    """
    return b"".join(parts) + b"--here--\r\n"


NAMES = st.text(max_size=8)

#: What XML 1.0 can say.
SAYABLE = st.text(
    st.characters(exclude_categories=["Cs"]).filter(
        lambda each: each in "\t\n\r" or (each >= " " and each not in "\ufffe\uffff")
    ),
    max_size=12,
)

SIZES = st.builds(
    Size,
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(SAYABLE, max_size=3).map(tuple),
)

AWARE = st.datetimes(
    timezones=st.just(datetime.UTC)
    | st.just(datetime.timezone(datetime.timedelta(hours=2)))
)

THINGS = st.builds(
    Thing,
    text=SAYABLE,
    number=st.integers(-(2**63), 2**64 - 1),
    amount=st.floats(allow_nan=False, allow_infinity=False),
    is_new=st.booleans(),
    size=SIZES,
    id=st.uuids(),
    price=st.decimals(allow_nan=False, allow_infinity=False),
    day=st.dates(),
    at=AWARE,
    clock=st.times(),
    span=st.timedeltas(
        datetime.timedelta(days=-999_999), datetime.timedelta(days=999_999)
    ),
    raw=st.binary(max_size=8),
    colour=st.sampled_from(Colour),
    level=st.sampled_from(Level),
    kind=st.sampled_from(["a", "b"]),
    note=st.none() | SAYABLE,
    count=st.none() | st.integers(-9, 9),
    other=st.none() | SIZES,
    tags=st.lists(SAYABLE, max_size=3),
    numbers=st.lists(st.integers(-9, 9), max_size=3).map(tuple),
    flags=st.frozensets(st.booleans()),
    sizes=st.lists(SIZES, max_size=2),
    by_name=st.dictionaries(SAYABLE.filter(bool), st.integers(-9, 9), max_size=3),
    by_number=st.dictionaries(st.integers(-9, 9), SIZES, max_size=2),
    either=st.none()
    | st.builds(Circle, st.floats(-9, 9))
    | st.builds(Square, st.floats(-9, 9)),
)

NULLS = st.builds(
    Nulls,
    one=st.none() | st.integers(-9, 9),
    two=st.none() | st.integers(-9, 9),
    three=st.lists(st.none() | st.integers(-9, 9), max_size=3),
    four=st.lists(st.lists(st.integers(-9, 9), max_size=2), max_size=2),
    five=st.none() | st.lists(st.none() | st.lists(SAYABLE, max_size=2), max_size=2),
    six=st.tuples(st.integers(-9, 9), SAYABLE),
    seven=st.none() | st.builds(Row, SAYABLE, st.integers(-9, 9)),
)


class RoundTripTests(SynchronousTestCase):
    """
    What was written is read again as it was.
    """

    @settings(max_examples=100, deadline=None)
    @given(THINGS, st.sampled_from(OFFERS))
    def test_things(self, thing: Thing, media_type: str) -> None:
        """
        In every format.
        """
        self.assertEqual(again(thing, media_type), thing)

    @settings(max_examples=100, deadline=None)
    @given(NULLS, st.sampled_from([JSON, MSGPACK, XML]))
    def test_nulls(self, nulls: Nulls, media_type: str) -> None:
        """
        In every format but that of forms, ``None`` can be said, and so can lists
        in lists with nothing in them.
        """
        self.assertEqual(again(nulls, media_type), nulls)

    def test_guests(self) -> None:
        """
        Classes of others as well.
        """
        for media_type in OFFERS:
            for value in (
                Person("Ann", [Parcel(1, ["a", "b"]), Parcel(2)], 5),
                Parcel(3),
                Cat(name="Tom", lives=9, friends=["a"]),
                Cat(name="Tom", friends=["a", "b"]),
            ):
                self.assertEqual(again(value, media_type), value)

    def test_lists(self) -> None:
        """
        Not only objects, but for forms.
        """
        for media_type in (JSON, MSGPACK, XML):
            for shape, value in (
                (list[int], [1, 2]),
                (list[str | None], ["", None, "a"]),
                (int, 5),
                (str, " a "),
                (bool, True),
                (int | None, None),
                (list[Circle | Square], [Circle(1.0), Square(2.0)]),
                (dict[str, list[Size]], {"a b": [Size(1)], "item": []}),
                (Tree, Tree("a", (Tree("b"), Tree("c", (Tree("d"),))))),
            ):
                raw = write_body(value, media_type)
                self.assertEqual(read_as(media_type, shape, raw), value)

    def test_not_numbers(self) -> None:
        """
        Numbers that are none are said where they can be; text is none of them.
        """
        numbers = {"a": math.inf, "b": math.nan}
        read = read_as(MSGPACK, dict[str, float], write_body(numbers, MSGPACK))
        self.assertEqual(read["a"], math.inf)
        self.assertTrue(math.isnan(read["b"]))
        for media_type in (XML, FORM):
            raw = write_body(numbers, media_type)
            self.assertEqual(
                problems(media_type, dict[str, float], raw),
                ["a: expected a number, got 'inf'", "b: expected a number, got 'nan'"],
            )

    def test_secrets(self) -> None:
        """
        A secret is masked in every format.
        """

        class Login(Shape):
            name: str
            password: Secret

        for media_type in OFFERS:
            raw = write_body(Login("ann", Secret("hunter2")), media_type)
            self.assertNotIn(b"hunter2", raw)
            self.assertIn(b"ann", raw)


class ChoosingTests(SynchronousTestCase):
    """
    The ``Content-Type`` says how a body is read.
    """

    def test_types(self) -> None:
        """
        Types with parameters, with other names, and with suffixes.
        """
        for content_type in (
            None,
            "application/json",
            "Application/JSON; charset=UTF-8",
            'application/json;charset="utf-8"',
            "application/merge-patch+json",
        ):
            self.assertEqual(read_as(content_type, list[int], b"[1]"), [1])
        for content_type in (
            "application/msgpack",
            "application/vnd.msgpack",
            "application/x-msgpack",
        ):
            self.assertEqual(read_as(content_type, list[int], b"\x91\x01"), [1])
        for content_type in ("application/xml", "text/xml; charset=utf-8", "a/b+xml"):
            raw = b"<a><item>1</item></a>"
            self.assertEqual(read_as(content_type, list[int], raw), [1])

    def test_unsupported(self) -> None:
        """
        What is not read is refused with what is.
        """
        for content_type in ("text/plain", "", "json", "application/json; charset=x"):
            error = self.assertRaises(
                Unsupported, read_as, content_type, Message, b"{}"
            )
            self.assertEqual(error.status, 415)
            self.assertEqual(error.accepted, (*OFFERS, "multipart/form-data"))
        error = self.assertRaises(Unsupported, read_as, "text/plain", list[int], b"5")
        self.assertEqual(
            str(error),
            "a body of type 'text/plain' is not read here; send application/json, "
            "application/msgpack or application/xml in UTF-8",
        )
        self.assertEqual(str(pickle.loads(pickle.dumps(error))), str(error))
        long = self.assertRaises(Unsupported, read_as, "x" * 9_999, Message, b"5")
        self.assertLess(len(str(long)), 300)

    def test_accepted(self) -> None:
        """
        A list is no form, and a file comes in nothing else.
        """
        self.assertEqual(accepted(list[int]), (JSON, MSGPACK, XML))
        self.assertEqual(accepted(Picture), ("multipart/form-data",))
        self.assertEqual(accepted(Cat | None), (*OFFERS, "multipart/form-data"))
        self.assertEqual(accepted(Tree), (*OFFERS, "multipart/form-data"))

    def test_empty(self) -> None:
        """
        A body that is not there is told to be empty, unless ``None`` will do.
        """
        for content_type in (None, JSON, MSGPACK, XML, MULTIPART):
            error = self.assertRaises(Malformed, read_as, content_type, Message, b"")
            self.assertEqual(error.faults, (Fault("", "the body is empty"),))
            self.assertIsNone(read_as(content_type, Message | None, b""))

    def test_empty_form(self) -> None:
        """
        An urlencoded form without fields is empty, and a form.
        """
        self.assertEqual(problems(FORM, Size, b""), ["width: required, but missing"])
        self.assertEqual(read_as(FORM, dict[str, int], b""), {})

    def test_parameters(self) -> None:
        """
        A media type has parameters, which may be quoted.
        """
        self.assertEqual(
            parse_type('Text/Plain ; A=b;c="d;\\"e";; f; g = h;c=i'),
            ("text/plain", {"a": "b", "c": 'd;"e'}),
        )
        self.assertEqual(parse_type('a/b;c="d'), ("a/b", {"c": '"d'}))

    def test_long_types(self) -> None:
        """
        A long one takes no longer than it has to.
        """
        started = time.perf_counter()
        for piece in ("a", ";", "a=", 'a="', "\\", '"', ' ;"\\"'):
            parse_type("a/b;" + piece * 100_000)
        self.assertLess(time.perf_counter() - started, 5)

    def test_lazy(self) -> None:
        """
        Who reads JSON pays for nothing else.
        """
        code = (
            "import sys, io; from ropewalk.web.formats import read_body;"
            "read_body(list[int], None, io.BytesIO(b'[1]'), 3);"
            "print([name for name in ('multipart', 'pyexpat', 'pydantic',"
            " 'ropewalk.web.markup') if name in sys.modules])"
        )
        said = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
            timeout=60,
        )
        self.assertEqual(said.stdout, b"[]\n", said.stderr)


class MsgpackTests(SynchronousTestCase):
    """
    msgpack is as JSON is.
    """

    def test_faults(self) -> None:
        """
        All faults are told, as for JSON.
        """
        data = {
            "author": "",
            "txt": b"ab",
            "history": datetime.datetime.now(datetime.UTC),
        }
        raw = msgspec.msgpack.encode(data)
        found = problems(MSGPACK, Message, raw)
        self.assertEqual(
            found[0], "author: expected text of 1 to 40 characters, got ''"
        )
        self.assertEqual(found[1], "text: required, but missing")
        self.assertTrue(found[2].startswith("history: expected an integer from 0"))
        self.assertEqual(found[3], "txt: unknown field; did you mean 'text'?")

    def test_no_msgpack(self) -> None:
        """
        What is not msgpack is refused with the place where it stops being it.
        """
        for raw, said in (
            (b"\x82\xa1a\x01", "not msgpack: it ends too early"),
            (b"\xdd\xff\xff\xff\xff", "not msgpack: it ends too early"),
            (b"\x01\x02", "not msgpack: trailing characters (byte 1)"),
            (b"\xc1", "not msgpack: invalid opcode '\\xc1' (byte 0)"),
            (b"\xa1\xff", "not msgpack: there is text that is not UTF-8"),
            (b"\x91" * 100_000, "nested too deeply"),
        ):
            error = self.assertRaises(Malformed, read_as, MSGPACK, Message, raw)
            self.assertEqual(error.faults, (Fault("", said),))

    def test_names_that_are_none(self) -> None:
        """
        A name that is no text is unknown.
        """
        raw = msgspec.msgpack.encode({5: 1, b"x": 2})
        self.assertEqual(
            problems(MSGPACK, Size, raw)[0], "width: required, but missing"
        )


class XmlTests(SynchronousTestCase):
    """
    Values are said in XML.
    """

    def test_written(self) -> None:
        """
        An element for each field, an item for each member; what is ``None`` by
        default is left out.
        """
        size = Size(5, names=("a<b", ""))
        self.assertEqual(
            write_body(size, XML),
            b'<?xml version="1.0" encoding="utf-8"?>\n'
            b"<size><width>5</width><height>1.5</height>"
            b"<names><item>a&lt;b</item><item></item></names></size>",
        )
        self.assertEqual(
            write_body(Person("Ann"), XML).partition(b"\n")[2],
            b"<person><name>Ann</name><parcels></parcels></person>",
        )
        self.assertIn(
            b'<two xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
            b'xsi:nil="true"/>',
            write_body(Nulls(1, None), XML),
        )

    def test_names_of_roots(self) -> None:
        """
        The outermost element is called as the class is, or as what it is.
        """
        for value, name in (
            (Size(1), "size"),
            (Circle(1.0), "circle"),
            (Cat(name="Tom"), "cat"),
            ([1], "list"),
            ({"a": 1}, "object"),
            (5, "value"),
            (Colour.RED, "colour"),
        ):
            root = ElementTree.fromstring(write_body(value, XML))
            self.assertEqual(root.tag, name)

    def test_names(self) -> None:
        """
        Names are those of outside; a name that XML cannot have is spelt.
        """
        self.assertIn(b"<firstName>", write_body(Camel("Ann"), XML))
        raw = write_body({"a b": 1, "1": 2, "_x0041_": 3, "\0": 4, "😀": 5}, XML)
        names = [child.tag for child in ElementTree.fromstring(raw)]
        self.assertEqual(
            names,
            ["a_x0020_b", "_x0031_", "_x005F_x0041_", "_x0000_", "_x01F600_"],
        )

    def test_lists(self) -> None:
        """
        A list may be items in an element, or elements of one name.
        """
        for raw in (
            b"<x><width>1</width><names><item>a</item><item>b</item></names></x>",
            b"<x><names>a</names><width> 1 </width><names>b</names></x>",
        ):
            self.assertEqual(read_as(XML, Size, raw), Size(1, names=("a", "b")))
        raw = b"<x><width>1</width><names>a</names></x>"
        self.assertEqual(read_as(XML, Size, raw), Size(1, names=("a",)))
        raw = b"<x><width>1</width><names/></x>"
        self.assertEqual(read_as(XML, Size, raw), Size(1))

    def test_attributes(self) -> None:
        """
        An attribute is a field, unless it is of a namespace.
        """
        raw = b'<s:x xmlns:s="urn:s" width="1" s:height="x" xml:lang="en"/>'
        self.assertEqual(read_as(XML, Size, raw), Size(1))

    def test_ignored(self) -> None:
        """
        Comments, processing instructions, namespaces and the mark of the order
        of bytes mean nothing.
        """
        raw = (
            b"\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?><!-- a --><?b c?>\n"
            b"<s xmlns='urn:x'><!-- d --><width>1<?e f?>2</width></s>\n<!-- g -->"
        )
        self.assertEqual(read_as(XML, Size, raw), Size(12))

    def test_text(self) -> None:
        """
        Text stays as it is; around a number there may be space.
        """
        raw = b"<x><author> a\n</author><text><![CDATA[<&>]]>&amp;&#233;</text>"
        raw += b"<history>\n 5 </history></x>"
        self.assertEqual(
            read_as(XML, Message, raw), Message(" a\n", "<&>&é", history=5)
        )

    def test_faults(self) -> None:
        """
        All faults are told, by the same paths.
        """
        raw = (
            b"<x><author></author><txt>a</txt><history>-1</history><names><item>a</item>"
            b"<item></item></names><limits size='65'><rate>0</rate></limits>"
            b"<scores><a>x</a></scores><history>5</history></x>"
        )
        self.assertEqual(
            problems(XML, Message, raw),
            [
                "author: expected text of 1 to 40 characters, got ''",
                "text: required, but missing",
                "history: expected an integer from 0 to 10000, got a list of 2 items",
                "names[1]: expected text of 1 to 40 characters, got ''",
                "limits.size: expected an integer from 1 to 64, got '65'",
                "limits.rate: expected a number greater than 0, got '0'",
                "scores.a: expected an integer, got 'x'",
                "txt: unknown field; did you mean 'text'?",
            ],
        )
        self.assertEqual(
            problems(XML, Size, b"<x>5</x>"), ["expected an object, got '5'"]
        )
        self.assertEqual(
            problems(XML, Size, b"<x><width unit='m'>5</width></x>"),
            ["width: expected an integer, got an object"],
        )

    def test_no_xml(self) -> None:
        """
        What is not XML is refused with the place where it stops being it.
        """
        for raw, said in (
            (b"<a>", "no element found at line 1, column 4"),
            (b"<a>\n<b></a>", "mismatched tag at line 2, column 6"),
            (b"x", "syntax error at line 1, column 1"),
            (b"<a>&b;</a>", "undefined entity at line 1, column 4"),
            (b"<a>\xff</a>", "not well-formed (invalid token) at line 1, column 4"),
            (b"<a>\n x <b/></a>", "text between the elements at line 2, column 4"),
            (b"<a><b/>x</a>", "text between the elements at line 1, column 9"),
            (
                b"<?xml version='1.0' encoding='latin-1'?><a/>",
                "the encoding is not UTF-8 at line 1, column 1",
            ),
        ):
            error = self.assertRaises(Malformed, read_as, XML, Size, raw)
            self.assertEqual(error.faults, (Fault("", f"not XML: {said}"),))

    def test_no_declarations(self) -> None:
        """
        A document type declaration is refused, so nothing is expanded and
        nothing is fetched.
        """
        lol = "".join(
            f"<!ENTITY lol{n} '{f'&lol{n - 1};' * 10}'>" for n in range(1, 10)
        )
        for declared in (
            "<!DOCTYPE x>",
            f"<!DOCTYPE x [<!ENTITY lol0 'lol'>{lol}]>",
            "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>",
            "<!DOCTYPE x SYSTEM 'http://127.0.0.1:1/x.dtd'>",
            "<!DOCTYPE x [<!ENTITY % e SYSTEM 'http://127.0.0.1:1/x.dtd'>%e;]>",
            "<!DOCTYPE x [<!ATTLIST x width CDATA '5'>]>",
        ):
            raw = f"{declared}<x>&e;&lol9;</x>".encode()
            error = self.assertRaises(Malformed, read_as, XML, Size, raw)
            self.assertIn("a document type declaration", str(error))

    def test_deep(self) -> None:
        """
        Elements stand in each other to a depth that is enough.
        """
        raw = b"<a>" * 100_000
        error = self.assertRaises(Malformed, read_as, XML, Any, raw)
        self.assertEqual(str(error), "nested too deeply")
        raw = b"<a>" * 100 + b"</a>" * 100
        self.assertNotEqual(read_as(XML, Any, raw), None)

    def test_big(self) -> None:
        """
        The time that it takes grows with the document, and not faster.
        """
        started = time.perf_counter()
        for raw in (
            b"<a>" + b"<b/>" * 100_000 + b"</a>",
            b"<a>" + b"<b/>\n" * 100_000 + b"</a>",
            b"<a>" + b"x<!---->" * 100_000 + b"</a>",
            b"<a " + b" ".join(b"b%d=''" % n for n in range(50_000)) + b"/>",
            b"<a xmlns:"
            + b" xmlns:".join(b"b%d='c'" % n for n in range(50_000))
            + b"/>",
            b"<" + b"_x0041_" * 100_000 + b"/>",
            b"<a>" + b"&amp;" * 100_000 + b"</a>",
        ):
            read_as(XML, Any, raw)
        self.assertLess(time.perf_counter() - started, 10)

    def test_anything(self) -> None:
        """
        Where nothing is said about a value, it is what it looks like.
        """
        self.assertEqual(
            read_as(XML, Any, b"<a><b>1</b><b>2</b><c><item>x</item></c><d/></a>"),
            {"b": ["1", "2"], "c": ["x"], "d": ""},
        )

    def test_unsayable(self) -> None:
        """
        What XML has no way to say is refused, with its place.
        """
        for value, said in (
            ({"a": ["x", "\0"]}, "the character U+0000 in a[1]"),
            ("\x1b", "the character U+001B"),
            ("\uffff", "the character U+FFFF"),
            ("\ud800", "the character U+D800"),
            ({"a": {"": 1}}, "a field without a name in a"),
        ):
            error = self.assertRaises(Unwritable, write_body, value, XML)
            self.assertEqual(error.status, 406)
            self.assertEqual(
                str(error), f"this cannot be written as application/xml: {said}"
            )

    @given(st.text(max_size=5) | SAYABLE)
    def test_texts(self, text: str) -> None:
        """
        Any text is written so that any reader takes it for the same, or refused.
        """
        try:
            raw = write_body([text], XML)
        except Unwritable:
            return
        (item,) = ElementTree.fromstring(raw)
        self.assertEqual(item.text or "", text)

    @given(st.text(min_size=1, max_size=6) | st.text("_x0041Fa:-.1é", min_size=1))
    def test_any_name(self, name: str) -> None:
        """
        Any name can be spelt, and is read again.
        """
        raw = write_body({name: 1}, XML)
        ElementTree.fromstring(raw)
        self.assertEqual(read_as(XML, dict[str, int], raw), {name: 1})


class FormTests(SynchronousTestCase):
    """
    Forms are names and texts.
    """

    def test_written(self) -> None:
        """
        Names are paths; what is empty is left out.
        """
        thing = {"a": {"b": 1, "c d": None}, "e": [1, 2], "f": [{"g": True}], "h": []}
        self.assertEqual(write_body(thing, FORM), b"a.b=1&e=1&e=2&f%5B0%5D.g=true")
        self.assertEqual(
            write_body({'x."y': {"": 1}}, FORM), b"%22x.%5C%22y%22.%22%22=1"
        )

    def test_read(self) -> None:
        """
        A list may be a name more than once, or a name with numbers.
        """
        self.assertEqual(
            read_as(FORM, Message, b"author=Ann&text=hi&names=a&names=b&limits.size=5"),
            Message(
                "Ann",
                "hi",
                names=("a", "b"),
                limits=msgspec.structs.replace(Message("a", "b").limits, size=5),
            ),
        )
        self.assertEqual(
            read_as(FORM, Tree, b"name=a&branches[7].name=c&branches[1].name=b"),
            Tree("a", (Tree("b"), Tree("c"))),
        )

    def test_blank(self) -> None:
        """
        Blank text is nothing where there may be nothing but text, and a box that
        is checked is true.
        """

        class Asked(Shape):
            age: int | None
            name: str | None
            is_member: bool = False

        self.assertEqual(
            read_as(FORM, Asked, b"age=&name=&is_member=on"), Asked(None, "", True)
        )
        self.assertEqual(
            problems(FORM, Size, b"width=&height="),
            ["width: expected an integer, got ''", "height: expected a number, got ''"],
        )

    def test_faults(self) -> None:
        """
        All faults are told, by the names of the fields.
        """
        raw = (
            b"author=&txt=a&history=-1&history=5&names=a&names=&limits.size=65"
            b"&limits.rate=x&scores.a%20b=x&format=jsn&a[b]=1&a..b=2&limits=5"
        )
        self.assertEqual(
            problems(FORM, Message, raw),
            [
                "author: expected text of 1 to 40 characters, got ''",
                "text: required, but missing",
                "history: expected an integer from 0 to 10000, got a list of 2 items",
                (
                    "format: expected one of 'auto', 'json', 'text', got 'jsn'; "
                    "did you mean 'json'?"
                ),
                "names[1]: expected text of 1 to 40 characters, got ''",
                "limits: expected an object, got a list of 2 items",
                "scores.\"a b\": expected an integer, got 'x'",
                "txt: unknown field; did you mean 'text'?",
                '"a[b]": unknown field',
                '"a..b": unknown field',
            ],
        )

    def test_tagged(self) -> None:
        """
        A tag says which of several shapes is meant.
        """
        raw = b"all[0].v=1&all[0].a=5&all[1].v=2&all[1].b=6"
        self.assertEqual(read_as(FORM, Both, raw), Both([Small(5), Large([6])]))
        self.assertEqual(
            problems(FORM, Both, b"all[0].v=3&all[1].v=2&all[1].b=x"),
            [
                "all[0].v: expected one of 1, 2, got '3'",
                "all[1].b[0]: expected an integer, got 'x'",
            ],
        )

    def test_names_with_dots(self) -> None:
        """
        A field whose name looks like a path is taken for itself.
        """

        class Dotted(Shape, rename={"a": "a.b", "c": "c[0]"}):
            a: int
            c: int

        self.assertEqual(read_as(FORM, Dotted, b"a.b=1&c[0]=2"), Dotted(1, 2))

    def test_no_form(self) -> None:
        """
        Only objects can be written, and only what has texts.
        """
        self.assertFalse(can_write([1], FORM))
        self.assertFalse(can_write(5, FORM))
        self.assertTrue(can_write([1], XML))
        for good in (Size(1), {"a": 1}, Parcel(1), Person("Ann"), Cat(name="Tom")):
            self.assertTrue(can_write(good, FORM))
        for value, said in (
            ([1], "only an object has fields"),
            ({"a": [None]}, "NoneType cannot be written as one text"),
            ({"a": [[], [1]]}, "a list with nothing in one of its places"),
        ):
            error = self.assertRaises(Unwritable, write_body, value, FORM)
            self.assertIn(said, str(error))

    def test_deep(self) -> None:
        """
        A name that leads nowhere takes no time.
        """
        for name in ("a." * 100_000 + "a", "a" + "[0]" * 100_000, '"' + "\\" * 100_000):
            self.assertEqual(len(problems(FORM, Size, f"{name}=1".encode())), 2)

    def test_read_form(self) -> None:
        """
        The fields can be had by themselves.
        """
        raw = b"a=1&b=2&a=3"
        self.assertEqual(
            read_form(FORM, BytesIO(raw), len(raw)), {"a": ["1", "3"], "b": ["2"]}
        )
        self.assertEqual(read_form(None, BytesIO(), 0), {})
        self.assertEqual(read_form(FORM, BytesIO(), 0), {})
        error = self.assertRaises(Unsupported, read_form, JSON, BytesIO(b"{}"), 2)
        self.assertEqual(error.accepted, (FORM, "multipart/form-data"))
        self.assertRaises(Unsupported, read_form, None, BytesIO(b"{}"), 2)


class Opening(SynchronousTestCase):
    """
    Tests that know which files were opened.
    """

    def setUp(self) -> None:
        """Look on."""
        self.opened: list[Any] = []
        self.patch(uploads, "SpooledTemporaryFile", self._open)
        self.addCleanup(self.close_all)

    def _open(self, limit: int) -> Any:
        file = tempfile.SpooledTemporaryFile(limit)  # noqa: SIM115
        self.opened.append(file)
        return file

    def are_closed(self) -> bool:
        """Whether no file was left open."""
        return all(file.closed for file in self.opened)

    def close_all(self) -> None:
        """Close what a caller would have closed."""
        for file in self.opened:
            file.close()
        self.opened.clear()


class UploadTests(Opening):
    """
    Forms may have files in them.
    """

    def test_read(self) -> None:
        """
        A file is what it was called, what it is said to be, and its content.
        """
        raw = form(
            part("title", "Straße".encode()),
            part("image", b"\x89PNG\r\n--her", '; filename="a.png"', "image/png"),
            part("width", b"5"),
        )
        picture = read_as(MULTIPART, Picture, raw)
        self.assertEqual((picture.title, picture.width), ("Straße", 5))
        upload = picture.image
        self.assertEqual(
            (upload.name, upload.filename, upload.content_type, upload.size),
            ("image", "a.png", "image/png", 11),
        )
        self.assertEqual(upload.file.read(), b"\x89PNG\r\n--her")
        upload.close()
        self.assertTrue(upload.file.closed)
        upload.close()

    def test_several(self) -> None:
        """
        A list of files is files of one name.
        """
        more = [part("others", b"%d" % n, f'; filename="{n}"') for n in range(3)]
        raw = form(part("title", b""), part("image", b"", '; filename="x"'), *more)
        picture = read_as(MULTIPART, Picture, raw)
        self.assertEqual(
            [each.file.read() for each in picture.others], [b"0", b"1", b"2"]
        )

    def test_not_chosen(self) -> None:
        """
        What a browser sends when no file was chosen is nothing.
        """
        raw = form(part("title", b"a"), part("image", b"", '; filename=""'))
        self.assertEqual(
            problems(MULTIPART, Picture, raw), ["image: required, but missing"]
        )

    def test_faults(self) -> None:
        """
        A text is no file, a file no text; of what is refused, no file is left
        open.
        """
        raw = form(
            part("title", b"x" * 100_000, '; filename="x"'),
            part("image", b"text"),
            part("others", b"y", '; filename="y"'),
            part("width", b"x"),
            part("more", b"z", '; filename="z"'),
        )
        self.assertEqual(
            problems(MULTIPART, Picture, raw),
            [
                "title: expected text, got a file",
                "image: expected a file, got 'text'",
                "width: expected an integer, got 'x'",
                "more: unknown field",
            ],
        )
        self.assertEqual(len(self.opened), 3)
        self.assertTrue(self.are_closed())

    def test_other_formats(self) -> None:
        """
        A file does not come in JSON.
        """
        raw = b'{"title": "a", "image": {"name": "a", "filename": "b"}}'
        self.assertEqual(
            problems(JSON, Picture, raw), ["image: expected a file, got an object"]
        )

    def test_filenames(self) -> None:
        """
        Of a filename the last part is kept, and what can be shown.
        """
        for sent, kept in (
            ("../../etc/passwd", "passwd"),
            ("C:\\temp\\a.txt", "a.txt"),
            ("..", ""),
            ("a/", ""),
            ("a\0b\x1b[31m\u202etxt.exe", "ab[31mtxt.exe"),
            (" Straße.png ", "Straße.png"),
            ("a" * 300 + ".png", "a" * 251 + ".png"),
        ):
            raw = form(part("f", b"x", f'; filename="{sent}"'))
            (upload,) = read_form(MULTIPART, BytesIO(raw), len(raw))["f"]
            self.assertEqual(upload.filename, kept)
            self.assertEqual(upload.content_type, "application/octet-stream")

    def test_blank_names(self) -> None:
        """
        The name of a field may be blank, as in a query.
        """
        raw = form(part("", b"x"))
        self.assertEqual(read_form(MULTIPART, BytesIO(raw), len(raw)), {"": ["x"]})
        self.assertEqual(read_as(MULTIPART, dict[str, str], raw), {"": "x"})

    def test_no_form(self) -> None:
        """
        What is no form is refused, and nothing is left open.
        """
        whole = form(
            part("f", b"x" * 200_000, '; filename="a"'),
            part("g", b"y" * 200_000, '; filename="b"'),
        )
        for raw in (
            b"x",
            b"--here",
            whole[:-10],
            whole[:300_000],
            form(part("f", b"x", '; filename="a"'), b"--here\r\nX: y\r\n\r\n\r\n"),
            form(b"--here\r\nContent-Disposition: form-data\r\n\r\nx\r\n"),
            form(b"--here\r\nContent-Disposition: form-data; a=name\r\n\r\nx\r\n"),
            form(part("f", b"x", '; filename="a"'), part("a" * 9_999, b"")),
        ):
            error = self.assertRaises(Malformed, read_as, MULTIPART, Picture, raw)
            self.assertTrue(str(error).startswith("not a form: "), str(error))
        self.assertTrue(self.are_closed())
        for content_type in ("multipart/form-data", "multipart/form-data; boundary=é"):
            error = self.assertRaises(Malformed, read_as, content_type, Picture, whole)
            self.assertIn("boundary", str(error))

    def test_not_utf8(self) -> None:
        """
        Text is UTF-8, or refused by its name.
        """
        for raw in (
            form(part("title", b"\xff")),
            form(part("title", b"x", kind="text/plain; charset=latin-1")),
        ):
            error = self.assertRaises(Malformed, read_as, MULTIPART, Picture, raw)
            self.assertEqual(error.faults, (Fault("title", "not UTF-8"),))

    def test_limits(self) -> None:
        """
        There is a number of parts, of files and of bytes of text that is enough.
        """
        for raw, said in (
            (form(*[part("a", b"")] * 1001), "maximum segment count exceeded"),
            (form(*[part("a", b"x", '; filename="x"')] * 101), "more than 100 files"),
            (form(part("a", b"x" * 2**21), part("a", b"x")), "more than 2097152 bytes"),
        ):
            error = self.assertRaises(Malformed, read_as, MULTIPART, Any, raw)
            self.assertIn(said, str(error))
        self.assertTrue(self.are_closed())


#: Types of all kinds, for finding what nobody thought of.
SHAPES: tuple[Any, ...] = (
    Any,
    Thing,
    Nulls,
    Message,
    Tree,
    Picture,
    Person,
    Cat,
    list[Circle | Square | None],
    dict[str, list[int]],
    dict[str, Any],
    list[list[int]],
    int | str | None,
    Annotated[list[Size], Meta(max_length=2)] | Size | None,
    Upload,
    tuple[int, str],
)

WORDS = st.sampled_from(
    [
        *("a", "item", "width", "names", "branches", "name", "radius", "type", "one"),
        *("three", "six", "size", "text", "number", "circle", "1", "true", "null", ""),
    ]
)

DOCUMENTS: st.SearchStrategy[bytes] = st.recursive(
    WORDS.map(str.encode)
    | st.sampled_from([b"&#0;", b"&x;", b"<!--", b"<![CDATA[a]]>"]),
    lambda inner: st.builds(
        lambda name, attribute, parts: (
            b"<%b%b>%b</%b>" % (name, attribute, b"".join(parts), name)
        ),
        WORDS.map(str.encode),
        st.sampled_from([b"", b" a='1'", b" width='2'", b" xsi:nil='true'"]),
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)

FORMS = st.lists(
    st.tuples(
        st.lists(WORDS | st.sampled_from(["[0]", "[2]", ".", '"a"', "%", "&"])).map(
            "".join
        ),
        WORDS,
    )
).map(lambda pairs: "&".join(f"{name}={text}" for name, text in pairs).encode())

PARTS = st.lists(
    st.builds(
        part,
        WORDS,
        st.binary(max_size=5),
        st.sampled_from(["", '; filename="x"', "; filename=", '; x="']),
        st.sampled_from(["", "text/plain", "application/json", "x; charset=utf-7"]),
    )
).map(lambda parts: form(*parts))

TYPES = st.sampled_from(
    [
        None,
        JSON,
        MSGPACK,
        XML,
        FORM,
        MULTIPART,
        "multipart/form-data",
        "text/xml",
        "x/y",
    ]
) | st.text(max_size=20)


class AnyBodyTests(Opening):
    """
    Whatever comes, it is a value or refused.
    """

    @settings(max_examples=300, deadline=None)
    @given(
        TYPES,
        st.sampled_from(SHAPES),
        st.binary(max_size=30) | DOCUMENTS | FORMS | PARTS,
    )
    @example(MULTIPART, Picture, form(part("a", b"")))
    @example(XML, Any, b"<a/>")
    @example(FORM, Tree, b"name=a&branches.x=1&branches[0]=2")
    def test_value_or_refused(
        self, content_type: str | None, shape: Any, raw: bytes
    ) -> None:
        """
        Nothing else is raised, and each fault is in our words.
        """
        try:
            read_as(content_type, shape, raw)
        except Unsupported as error:
            self.assertNotEqual(error.accepted, ())
        except Invalid as error:
            self.assertTrue(self.are_closed())
            self.assertNotEqual(error.faults, ())
            for fault in error.faults:
                self.assertNotRegex(fault.problem, "Expected|Object|Invalid|Input")
        self.close_all()

    @settings(max_examples=100, deadline=None)
    @given(st.sampled_from(SHAPES), st.binary(max_size=200), st.integers(0, 5))
    def test_any_xml(self, shape: Any, raw: bytes, at: int) -> None:
        """
        So it is for bytes in the midst of XML.
        """
        parts = [b"<a", b" b='", b"'>", b"<c>", b"</c>", b"</a>"]
        document = b"".join(parts[:at]) + raw + b"".join(parts[at:])
        try:
            read_as(XML, shape, document)
        except Invalid as error:
            self.assertNotEqual(error.faults, ())

    @settings(max_examples=100, deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ),
        st.sampled_from(OFFERS),
    )
    def test_any_value(self, value: Any, media_type: str) -> None:
        """
        Any plain value is written, or there is no way to say it.
        """
        try:
            raw = write_body(value, media_type)
        except Unwritable as error:
            self.assertNotEqual(media_type, JSON)
            self.assertIn(media_type, str(error))
        else:
            read_as(media_type, Any, raw)
        self.assertEqual(to_plain(value) is None, value is None)


class DocumentationTests(SynchronousTestCase):
    """
    The page about formats is true.
    """

    def test_page(self) -> None:
        """
        Its examples do what it says.
        """
        self.assertEqual(run_page("formats.rst")[1], "")
