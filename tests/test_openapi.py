"""
Tests for L{ropewalk.web.openapi}.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import inspect
import json
import re
import subprocess
import sys
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from hashlib import sha256
from pathlib import Path
from types import GenericAlias, SimpleNamespace
from typing import Annotated, Any, Literal

import msgspec
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import ChannelFull, Invalid, RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.schema import Meta, Secret, Shape, read_json
from ropewalk.schema import field as shape_field
from ropewalk.schema.docstrings import Example, Told, read_docstring
from ropewalk.schema.schemas import Shapes
from ropewalk.web.answers import (
    Accepted,
    Created,
    File,
    NoContent,
    Redirect,
    Response,
    Stream,
)
from ropewalk.web.binding import Cookie, Form, Header, bind
from ropewalk.web.components import Components
from ropewalk.web.formats import Upload
from ropewalk.web.openapi.document import Operation, document
from ropewalk.web.openapi.outcomes import outcomes
from ropewalk.web.openapi.page import DocumentationPages
from ropewalk.web.patterns import parse
from tests.validating import require_validator, validate
from tests.visiting import Place

PROBLEM = {
    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
}

VALUES = ["application/json", "application/msgpack", "application/xml"]
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Size(Shape):
    """How large it is."""

    width: Annotated[int, Meta(ge=1)]


class Product(Shape):
    """
    Something to buy.

    :ivar name: What it is called.
    """

    name: Annotated[str, Meta(min_length=1, max_length=60)]
    size: Size | None = None


class Flat(Shape):
    name: str
    tags: list[str] = shape_field(default_factory=list)
    colour: Colour | None = None


class Boxed(Shape):
    size: Size
    name: str


class Flags(Shape):
    urgent: bool
    fragile: bool = False


class DeepFlags(Shape):
    flags: Flags


class Placed(Shape):
    place: tuple[int, int]


class Filters(Shape):
    """
    :ivar colour: Only those of a colour.
    """

    colour: Colour | None = None
    page: Annotated[int, Meta(ge=1)] = 1


class Node(Shape):
    inner: list[Node] = shape_field(default_factory=list)


class Account(Shape):
    password: Secret = Secret("hunter2")
    made: datetime.datetime = shape_field(
        default_factory=lambda: datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)
    )
    groups: set[str] = shape_field(default_factory=lambda: {"a", "b", "c"})
    roles: frozenset[str] = frozenset({"x", "y", "z"})


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0
    z: str = None  # type: ignore[assignment]


@frozen
class Line:
    """From here to there."""

    start: Point


class Problem(Shape):
    """A puzzle."""

    answer: int


class MissingProduct(RopewalkError):
    """There is no such product."""

    status = 404


class SoldOut(RopewalkError):
    """Somebody was faster."""

    status = 409


class User(Shape):
    name: str


BEARER = {"type": "http", "scheme": "bearer"}


def current_user(authorization: Header[str]) -> User:
    return User(authorization)


def maybe_user(x_key: Header[str | None] = None) -> User | None:
    return User(x_key) if x_key else None


def nothing(*_: Any) -> Any:
    """A handler that does nothing."""


def operation(
    rule: str,
    function: Callable[..., Any] = nothing,
    methods: str | None = "GET HEAD",
    components: Components | None = None,
    **more: Any,
) -> Operation:
    """
    A route, as the table has it.
    """
    path = parse(rule)
    answered = None if methods is None else frozenset(methods.split())
    binding = bind(
        function,
        path={slot.name: slot.converter.kind for slot in path.slots},
        methods=answered,
        components=components or Components(),
    )
    given: dict[str, Any] = {"name": function.__name__, "tag": "shop", **more}
    return Operation(path, answered, binding, function, **given)


def describe(*operations: Operation, **more: Any) -> Any:
    """
    The document, which is valid.
    """
    made = document(operations, title="Shop", version="1", **more)
    validate(made)
    return made


def the_one(*args: Any, **more: Any) -> Any:
    """
    How a route is described.
    """
    (item,) = describe(operation(*args, **more))["paths"].values()
    (told,) = item.values()
    return told


class DocstringTests(SynchronousTestCase):
    """
    What a docstring says is told in the language of OpenAPI's descriptions.
    """

    def test_fields(self) -> None:
        """
        The first sentence is the summary; field lists are taken out of the prose.
        """
        told = read_docstring(
            """
            Sell a product, or
            say why not. It is gone then.

            For good.

            :param int amount: How many,
                at least one.
            :ivar price: In euros.
            :return: What is left.
            :raise SoldOut: When there are fewer.
            :raises acme.Missing:
            :rtype: int
            """
        )
        self.assertEqual(
            told,
            Told(
                "Sell a product, or say why not",
                "It is gone then.\n\nFor good.",
                {"amount": "How many,\nat least one.", "price": "In euros."},
                {"SoldOut": "When there are fewer.", "acme.Missing": ""},
                "What is left.",
            ),
        )

    def test_epytext(self) -> None:
        """
        Twisted's way to write docstrings is read as well.
        """
        told = read_docstring(
            "Sell a L{Product}.\n\n@param amount: B{Many} C{int}s.\n@return: I{Yes}."
        )
        self.assertEqual(told.summary, "Sell a `Product`")
        self.assertEqual(told.about, {"amount": "**Many** `int`s."})
        self.assertEqual(told.returns, "*Yes*.")

    def test_markup(self) -> None:
        """
        Roles, literals, links and literal blocks become CommonMark.
        """
        told = read_docstring(
            """
            See :class:`~acme.shop.Product` and ``name``::

                first
                  second

            Or read `the book <https://example.org/>`_.
            """
        )
        self.assertEqual(told.summary, "See `Product` and `name`:")
        self.assertEqual(
            told.description,
            "```\nfirst\n  second\n```\n\nOr read [the book](https://example.org/).",
        )

    def test_examples(self) -> None:
        """
        A literal block of JSON under ``Example::`` is an example; another is prose.
        """
        told = read_docstring(
            """
            Sell.

            Example::

                {"amount": 1}

            Example, a dozen::

                {
                  "amount": 12
                }

            Example answer::

                [1, 2]

            Example::

                sell 12
            """
        )
        self.assertEqual(
            told.examples,
            [
                Example("", False, {"amount": 1}),
                Example("a dozen", False, {"amount": 12}),
                Example("", True, [1, 2]),
            ],
        )
        self.assertEqual(told.description, "Example:\n\n```\nsell 12\n```")

    def test_nothing_said(self) -> None:
        """
        There may be no docstring, or one that Python wrote.
        """
        for docstring in (None, "", Point.__doc__, ":param x: It."):
            self.assertEqual(read_docstring(docstring).prose, "")

    @given(st.text("a:@ `*{}L\n.<>_-", max_size=60))
    def test_any_text(self, text: str) -> None:
        """
        No docstring is too strange to be read.
        """
        self.assertIsInstance(read_docstring(text).prose, str)


LEAVES: list[Any] = [
    *(int, float, bool, str, None, bytes, uuid.UUID, decimal.Decimal, Colour, Level),
    *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta, Any),
    Annotated[datetime.time, Meta(tz=False)],
    Annotated[datetime.datetime, Meta(tz=False)],
    Annotated[datetime.datetime, Meta(tz=True)],
    Literal["a", "b"],
    Literal[1, 2, None],
    Annotated[int, Meta(ge=-2, lt=5)],
    Annotated[int, Meta(multiple_of=3)],
    Annotated[float, Meta(gt=0, le=1.5)],
    Annotated[str, Meta(min_length=1, max_length=3)],
    Annotated[str, Meta(pattern="^a+$")],
    Annotated[bytes, Meta(max_length=2)],
    Annotated[bytes, Meta(min_length=2, max_length=4)],
]

KEYS: list[Any] = [
    *(str, int, datetime.date, Literal["a", "b"]),
    Annotated[str, Meta(max_length=2)],
]


@st.composite
def structs(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> Any:
    """Classes of msgspec's, of every sort."""
    fields: list[Any] = [
        (f"f_{number}", kind) if draw(st.booleans()) else (f"f_{number}", kind, None)
        for number, kind in enumerate(draw(st.lists(inner, max_size=3)))
    ]
    return msgspec.defstruct(
        f"S{draw(st.integers(0, 2))}",
        fields,
        forbid_unknown_fields=draw(st.booleans()),
        rename=draw(st.sampled_from([None, "camel"])),
        array_like=draw(st.sampled_from([False, False, True])),
        tag=draw(st.sampled_from([None, True])),
        kw_only=True,
        module=draw(st.sampled_from(["acme.a", "acme.b"])),
    )


@st.composite
def choices(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> Any:
    """Two classes that are told apart by a tag."""
    one = msgspec.defstruct("One", [("x", draw(inner))], tag="one")
    other = msgspec.defstruct("Other", [("y", draw(inner), None)], tag="other")
    return one | other


def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Types made of others."""
    lists: Any = list
    few = Meta(min_length=1, max_length=2)
    return st.one_of(
        inner.map(lambda kind: lists[kind]),
        inner.map(lambda kind: Annotated[lists[kind], few]),
        st.sampled_from([set[int], set[str], frozenset[Colour]]),
        st.builds(GenericAlias, st.just(dict), st.tuples(st.sampled_from(KEYS), inner)),
        st.builds(GenericAlias, st.just(tuple), st.tuples(inner, inner)),
        inner.map(lambda kind: kind if kind in (None, Any) else kind | None),
        st.sampled_from([int | str | None, list[int] | str]),
        structs(inner),
        structs(inner),
        choices(inner),
    )


KINDS = st.recursive(st.sampled_from(LEAVES), grow, max_leaves=6)

#: What fits somewhere, and mostly not here.
STRAY: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 7),
    st.sampled_from([0.5, -1.25, [], {}, {"type": "one"}, {"f_0": 1}, [1, 1]]),
    st.sampled_from([2.0, -3.0, 0.0, 1e20, [1.0, 2.0], {"f_0": 1.0}]),
    st.sampled_from(["", "a", "abcd", "red", "YQ==", "2026-02-30", "12:00:00", "P1D"]),
    st.sampled_from(["2026-01-31", "2026-01-31T12:00:00Z", "12:00:00Z", "1.5", "x y"]),
)

#: The last days of some Februaries.
LEAP_DAYS = [
    datetime.datetime(year, 2, 29)  # noqa: DTZ001
    for year in (4, 400, 1996, 2000, 2024, 9996)
]

TEXTS: dict[Any, st.SearchStrategy[Any]] = {
    msgspec.inspect.StrType: st.sampled_from(["", "a", "aa", "abc", "xyz!"]),
    msgspec.inspect.BytesType: st.sampled_from(
        ["", "YQ==", "YWI=", "YWJj", "YWJjZA==", "YWJjZGU=", "YQ"]
    ),
    msgspec.inspect.DateType: st.dates().map(str),
    msgspec.inspect.TimeType: st.times().map(str),
    msgspec.inspect.UUIDType: st.uuids().map(str),
    msgspec.inspect.DecimalType: st.decimals(-9, 9, places=2).map(str),
    msgspec.inspect.TimeDeltaType: st.timedeltas(
        datetime.timedelta(0), datetime.timedelta(9999)
    ).map(lambda span: json.loads(msgspec.json.encode(span))),
    msgspec.inspect.IntType: st.integers(-5, 9) | st.sampled_from([1.0, 3.0, 1e2]),
    msgspec.inspect.FloatType: st.sampled_from([-2, 0, 1, 0.5, 1.25, -0.5]),
    msgspec.inspect.BoolType: st.booleans(),
    msgspec.inspect.NoneType: st.none(),
}


def plain_data(kind: msgspec.inspect.Type) -> st.SearchStrategy[Any]:
    """
    Data that is of a type, or would be if something in it were not wrong.
    """
    while isinstance(kind, msgspec.inspect.Metadata):
        kind = kind.type
    right = _right(kind)
    return st.one_of(right, right, right, right, STRAY)


def _right(kind: Any) -> st.SearchStrategy[Any]:
    known = msgspec.inspect
    match kind:
        case known.DateTimeType():
            return st.builds(
                lambda when, offset: when.isoformat() + offset,
                st.datetimes() | st.sampled_from(LEAP_DAYS),
                st.sampled_from(["", "", "Z", "+02:00"]),
            )
        case known.EnumType():
            return st.sampled_from([each.value for each in kind.cls])
        case known.LiteralType():
            return st.sampled_from(kind.values)
        case known.UnionType():
            return st.one_of([plain_data(each) for each in kind.types])
        case known.TupleType():
            return st.tuples(*map(plain_data, kind.item_types)).map(list)
        case known.CollectionType():
            return st.lists(plain_data(kind.item_type), max_size=3)
        case known.DictType():
            names = plain_data(kind.key_type).map(
                lambda key: key if isinstance(key, str) else json.dumps(key)
            )
            return st.dictionaries(names, plain_data(kind.value_type), max_size=2)
        case known.StructType(array_like=True):
            parts = [plain_data(each.type) for each in kind.fields]
            tag = [] if kind.tag is None else [st.sampled_from([kind.tag] * 3 + ["?"])]
            more = st.sampled_from([(), (), (), (1,)])
            parts = [*tag, *parts]
            lengths = st.sampled_from([len(parts), len(parts), max(0, len(parts) - 1)])
            return st.builds(
                lambda row, length, more: [*row[:length], *more],
                *(st.tuples(*parts), lengths, more),
            )
        case known.StructType():
            fields = {each.encode_name: plain_data(each.type) for each in kind.fields}
            needed = {each.encode_name for each in kind.fields if each.required}
            optional: dict[str, st.SearchStrategy[Any]] = {
                name: data for name, data in fields.items() if name not in needed
            } | {"more": st.just(1)}
            if kind.tag_field is not None:
                optional[kind.tag_field] = st.sampled_from([kind.tag] * 3 + ["?"])
            required = {name: fields[name] for name in needed}
            whole = st.fixed_dictionaries(required, optional=optional)
            partial = st.fixed_dictionaries({}, optional={**required, **optional})
            return st.one_of(whole, whole, partial)
        case _:
            return TEXTS.get(type(kind), STRAY)


def is_read(kind: Any, data: Any) -> bool:
    """Whether data is taken as of a type."""
    try:
        read_json(kind, json.dumps(data).encode())
    except Invalid:
        return False
    return True


def has_schema(data: Any, schema: Any) -> bool:
    """Whether data has a schema, which is one."""
    require_validator()
    from jsonschema import (
        Draft202012Validator,
        FormatChecker,
    )

    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    return bool(validator.is_valid(data))


class ShapesTests(SynchronousTestCase):
    """
    A type's schema says what values it takes.
    """

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_schemas_are_exact(self, data: st.DataObject) -> None:
        """
        What has the schema is read, and what is read has the schema.
        """
        kind = data.draw(KINDS)
        value = data.draw(plain_data(msgspec.inspect.type_info(kind)))
        shapes = Shapes([kind])
        schema = shapes.schema(kind) | {"components": {"schemas": shapes.components}}
        self.assertEqual(has_schema(value, schema), is_read(kind, value))

    @settings(max_examples=25, deadline=None)
    @given(KINDS)
    def test_any_type_has_a_valid_document(self, kind: Any) -> None:
        """
        Whatever a handler takes and gives, its document is one of OpenAPI 3.1, and the
        same each time.
        """

        def handler(body: Any) -> Any: ...

        parameter = SimpleNamespace(
            name="body",
            where="body",
            key="body",
            shape=kind,
            required=True,
            default=None,
            whole=True,
            component=None,
        )
        binding: Any = SimpleNamespace(
            parameters=(parameter,), answer=list[kind], components=()
        )
        made = [
            describe(Operation(parse("/"), frozenset(("POST",)), binding, handler, "h"))
            for _ in range(2)
        ]
        self.assertEqual(*map(json.dumps, made))

    def test_docstrings(self) -> None:
        """
        A class is described by its docstring, a field by its ``:ivar``, or by what
        its type says.
        """

        class Described(Shape):
            """
            A thing. It is blue.

            :ivar first: The first.
            :ivar second: Not told.
            """

            first: int
            second: Annotated[int, Meta(description="The second.", examples=[7])] = 1

        shapes = Shapes([Described])
        self.assertEqual(
            shapes.components["Described"],
            {
                "title": "Described",
                "description": "A thing.\n\nIt is blue.",
                "type": "object",
                "properties": {
                    "first": {"type": "integer", "description": "The first."},
                    "second": {
                        "type": "integer",
                        "description": "The second.",
                        "examples": [7],
                        "default": 1,
                    },
                },
                "required": ["first"],
                "additionalProperties": False,
            },
        )

    def test_namesakes(self) -> None:
        """
        Two classes with one name are told apart by their modules, by numbers where
        these are the same, and from what has the name already.
        """
        one = msgspec.defstruct("Size", [("a", int)], module="acme.rope")
        other = msgspec.defstruct("Size", [("b", int)], module="acme.shoe")
        twin = msgspec.defstruct("Size", [("c", int)], module="acme.shoe")
        self.assertEqual(
            sorted(Shapes([one, other, Node]).components),
            ["Node", "acme.rope.Size", "acme.shoe.Size"],
        )
        self.assertEqual(
            sorted(Shapes([one, other, twin]).components),
            ["acme.rope.Size", "acme.shoe.Size_1", "acme.shoe.Size_2"],
        )
        self.assertEqual(
            list(Shapes([Problem], reserved=("Problem",)).components),
            ["tests.test_openapi.Problem"],
        )

    def test_defaults(self) -> None:
        """
        A default is told unless it is a secret, or made anew each time.
        """
        properties = Shapes([Account]).components["Account"]["properties"]
        self.assertEqual(
            properties["password"],
            {"type": "string", "format": "password", "writeOnly": True},
        )
        self.assertNotIn("default", properties["made"])
        self.assertNotIn("default", properties["groups"])
        self.assertEqual(properties["roles"]["default"], ["x", "y", "z"])

    def test_moments(self) -> None:
        """
        A moment without an offset is none of RFC 3339; where it may have one or not,
        both are described.
        """
        with_offset = {"type": "string", "format": "date-time"}
        shapes = Shapes([])
        naive = shapes.schema(Annotated[datetime.datetime, Meta(tz=False)])
        self.assertEqual(naive["format"], "date-time-local")
        for day, good in (
            ("2026-01-31", True),
            ("2026-02-29", False),
            ("2024-02-29", True),
            ("1900-02-29", False),
            ("2000-02-29", True),
            ("0000-01-01", False),
            ("2026-04-31", False),
        ):
            found = re.search(naive["pattern"], f"{day}T12:00:00")
            self.assertEqual(found is not None, good, day)
        aware = Annotated[datetime.datetime, Meta(tz=True)]
        self.assertEqual(shapes.schema(aware), with_offset)
        either = [with_offset, naive]
        self.assertEqual(shapes.schema(datetime.datetime), {"anyOf": either})
        self.assertEqual(
            shapes.schema(datetime.datetime | None),
            {"anyOf": [*either, {"type": "null"}]},
        )

    def test_recursion(self) -> None:
        """
        A class may contain itself.
        """
        shapes = Shapes([Node])
        self.assertEqual(shapes.schema(Node), {"$ref": "#/components/schemas/Node"})
        self.assertEqual(
            shapes.components["Node"]["properties"]["inner"]["items"],
            {"$ref": "#/components/schemas/Node"},
        )

    def test_others_classes(self) -> None:
        """
        A dataclass and an attrs class are described like a shape.
        """
        components = Shapes([Line]).components
        self.assertEqual(components["Line"]["description"], "From here to there.")
        self.assertEqual(components["Point"]["required"], ["x"])
        self.assertEqual(
            components["Point"]["properties"],
            {
                "x": {"type": "integer"},
                "y": {"type": "integer", "default": 0},
                "z": {"type": "string"},
            },
        )

    def test_models(self) -> None:
        """
        A pydantic model says itself what it is.
        """
        try:
            from pydantic import BaseModel, Field
        except ImportError as error:
            self.skipTest(str(error))

        class Wheel(BaseModel):
            size: int = Field(ge=1)

        class Cart(BaseModel):
            """It rolls."""

            wheels: list[Wheel]
            behind: Cart | None = None

        Cart.model_rebuild(_types_namespace={"Cart": Cart})
        shapes = Shapes([Cart])
        cart = shapes.components["Cart"]
        self.assertEqual(shapes.schema(Cart), {"$ref": "#/components/schemas/Cart"})
        self.assertEqual(cart["description"], "It rolls.")
        self.assertEqual(
            cart["properties"]["behind"]["anyOf"][0],
            {"$ref": "#/components/schemas/Cart"},
        )
        wheel = cart["properties"]["wheels"]["items"]["$ref"].rpartition("/")[2]
        self.assertEqual(shapes.components[wheel]["properties"]["size"]["minimum"], 1)

    def test_dataclasses_of_pydantic(self) -> None:
        """
        So does one of its dataclasses.
        """
        try:
            from pydantic import Field
            from pydantic.dataclasses import dataclass
        except ImportError as error:
            self.skipTest(str(error))

        @dataclass
        class Wheel:
            size: int = Field(ge=1)

        shapes = Shapes([Wheel])
        self.assertEqual(shapes.schema(Wheel), {"$ref": "#/components/schemas/Wheel"})
        size = shapes.components["Wheel"]["properties"]["size"]
        self.assertEqual((size["type"], size["minimum"]), ("integer", 1))

    def test_patterns(self) -> None:
        """
        Regular expressions are told as JavaScript reads them.
        """
        shapes = Shapes([])
        kind = Annotated[str, Meta(pattern=r"\A(?P<word>\w+)\Z")]
        self.assertEqual(shapes.schema(kind)["pattern"], r"^(?<word>\w+)$")


class AskedTests(SynchronousTestCase):
    """
    What a handler asks for is described where a client says it.
    """

    def test_path(self) -> None:
        """
        A path's parameters are described by their converters.
        """
        for rule, path, schema in (
            ("/<x>", "/{x}", {"type": "string", "minLength": 1}),
            ("/<int:x>", "/{x}", {"type": "integer", "minimum": 0}),
            ("/<int(signed=True):x>", "/{x}", {"type": "integer"}),
            (
                "/<int(min=2, max=5):x>",
                "/{x}",
                {"type": "integer", "minimum": 2, "maximum": 5},
            ),
            ("/<float:x>", "/{x}", {"type": "number", "minimum": 0}),
            ("/<uuid:x>", "/{x}", {"type": "string", "format": "uuid"}),
            ("/<date:x>", "/{x}", {"type": "string", "format": "date"}),
            ("/<any(a, b):x>", "/{x}", {"type": "string", "enum": ["a", "b"]}),
            (
                "/v<string(length=2):x>.txt",
                "/v{x}.txt",
                {"type": "string", "minLength": 2, "maxLength": 2},
            ),
        ):
            described = describe(operation(rule, lambda x: None, name="x"))
            ((where, item),) = described["paths"].items()
            self.assertEqual(where, path)
            self.assertEqual(
                item["get"]["parameters"],
                [{"name": "x", "in": "path", "required": True, "schema": schema}],
            )

    def test_path_with_slashes(self) -> None:
        """
        One that may have slashes in it says so.
        """
        told = the_one("/files/<path:name>", lambda name: None)
        (parameter,) = told["parameters"]
        self.assertEqual(parameter["description"], "May have slashes in it.")
        self.assertIs(parameter["x-slashes"], True)

    def test_limits_of_the_handler(self) -> None:
        """
        What the handler says of a parameter in the path counts as well.
        """

        def show(x: Annotated[int, Meta(le=99)]) -> None:
            """
            :param x: Its number.
            """

        (parameter,) = the_one("/<int:x>", show)["parameters"]
        self.assertEqual(
            parameter,
            {
                "name": "x",
                "in": "path",
                "description": "Its number.",
                "required": True,
                "schema": {"type": "integer", "maximum": 99, "minimum": 0},
            },
        )

    def test_what_the_converter_leaves_open(self) -> None:
        """
        Where any text can stand in the path, the handler says what it must be.
        """

        def show(x: decimal.Decimal) -> None: ...

        (parameter,) = the_one("/<x>", show)["parameters"]
        self.assertEqual(parameter["schema"]["format"], "decimal")
        (parameter,) = the_one("/<string(length=2):x>", show)["parameters"]
        self.assertEqual(parameter["schema"]["maxLength"], 2)

    def test_elsewhere(self) -> None:
        """
        Query, headers and cookies have types, limits, defaults and descriptions.
        Where there may be any text, ``null`` is one.
        """

        def find(
            q: str,
            x_token: Header[str],
            limit: Annotated[int, Meta(ge=1)] = 20,
            tag: list[str] = [],  # noqa: B006
            since: datetime.date | None = None,
            last: Cookie[str | None] = None,
        ) -> None:
            """
            Find.

            :param q: What to look for.
            """

        self.assertEqual(
            the_one("/", find)["parameters"],
            [
                {
                    "name": "q",
                    "in": "query",
                    "description": "What to look for.",
                    "required": True,
                    "schema": {"type": "string"},
                },
                {
                    "name": "X-Token",
                    "in": "header",
                    "required": True,
                    "schema": {"type": "string"},
                },
                {
                    "name": "limit",
                    "in": "query",
                    "schema": {"type": "integer", "minimum": 1, "default": 20},
                },
                {
                    "name": "tag",
                    "in": "query",
                    "style": "form",
                    "explode": True,
                    "schema": {
                        "type": "array",
                        "items": {"type": "string"},
                        "default": [],
                    },
                },
                {
                    "name": "since",
                    "in": "query",
                    "allowEmptyValue": True,
                    "schema": {
                        "anyOf": [
                            {"type": "string", "format": "date"},
                            {"type": "null"},
                        ]
                    },
                },
                {"name": "last", "in": "cookie", "schema": {"type": "string"}},
            ],
        )

    def test_a_shape_of_the_query(self) -> None:
        """
        Of a shape that is the whole query, each field is a parameter. What may be
        nothing may be blank.
        """

        def find(filters: Filters) -> None: ...

        self.assertEqual(
            the_one("/", find)["parameters"],
            [
                {
                    "name": "colour",
                    "in": "query",
                    "description": "Only those of a colour.",
                    "allowEmptyValue": True,
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/Colour"},
                            {"type": "null"},
                        ]
                    },
                },
                {
                    "name": "page",
                    "in": "query",
                    "schema": {"type": "integer", "minimum": 1, "default": 1},
                },
            ],
        )

    def test_bodies(self) -> None:
        """
        A body is listed in the formats in which it says the same as in JSON: a form
        has no objects in it, and an empty list in XML looks like nothing, as does text
        that must not be blank.
        """

        def nested(flags: DeepFlags) -> None: ...
        def flat(product: Flat) -> None: ...
        def listed(products: list[Flat]) -> None: ...
        def form(name: Form[str], size: Form[int] = 1) -> None: ...
        def upload(picture: Upload, caption: Form[str] = "") -> None: ...
        def row(place: Placed) -> None: ...

        def boxed(box: Boxed) -> None: ...
        def named(product: Product) -> None: ...
        def checked(flags: Flags) -> None: ...

        for handler, types in (
            (row, VALUES[:2]),
            (boxed, VALUES),
            (named, VALUES[:2]),
            (checked, [*VALUES, FORM, MULTIPART]),
            (nested, VALUES[:2]),
            (flat, [*VALUES[:2], FORM, MULTIPART]),
            (listed, VALUES[:2]),
            (form, [FORM, MULTIPART]),
            (upload, [MULTIPART]),
        ):
            body = the_one("/", handler, "POST")["requestBody"]
            self.assertEqual((handler, list(body["content"])), (handler, types))
            self.assertIs(body["required"], True)

    def test_true_and_false(self) -> None:
        """
        In forms and XML, 1 is true as well, and nothing is left out.
        """

        def change(flags: Flags | None = None) -> None: ...

        body = the_one("/", change, "PATCH")["requestBody"]
        self.assertNotIn("required", body)
        reference = {"$ref": "#/components/schemas/Flags"}
        digits = {"type": ["boolean", "integer"], "minimum": 0, "maximum": 1}
        for media_type, each in body["content"].items():
            if media_type in VALUES[:2]:
                either = {"anyOf": [reference, {"type": "null"}]}
                self.assertEqual(each["schema"], either)
            else:
                properties = each["schema"]["properties"]
                self.assertEqual(properties["urgent"], digits)
                self.assertEqual(properties["fragile"], {**digits, "default": False})

    def test_form(self) -> None:
        """
        The fields of a form are described as one object.
        """

        def upload(picture: Upload, caption: Form[str] = "") -> None:
            """
            :param caption: What is seen.
            """

        body = the_one("/", upload, "POST")["requestBody"]
        schema = body["content"][MULTIPART]["schema"]
        self.assertEqual(schema["required"], ["picture"])
        self.assertEqual(schema["properties"]["picture"]["format"], "binary")
        self.assertEqual(
            schema["properties"]["caption"],
            {"type": "string", "default": "", "description": "What is seen."},
        )

    def test_examples(self) -> None:
        """
        Examples in the docstring are the body's and the answer's.
        """

        def create(product: Product) -> Product:
            """
            Create.

            Example, a rope::

                {"name": "rope"}

            Example answer::

                {"name": "ROPE"}
            """
            return product

        told = the_one("/", create, "POST")
        self.assertEqual(
            told["requestBody"]["content"]["application/json"]["examples"],
            {"example1": {"summary": "a rope", "value": {"name": "rope"}}},
        )
        self.assertEqual(
            told["responses"]["200"]["content"]["application/json"]["examples"],
            {"example1": {"value": {"name": "ROPE"}}},
        )
        self.assertNotIn("description", told)

    def test_components_ask_as_well(self) -> None:
        """
        What a component reads of the request is a parameter of every handler that
        asks for the component; once, however many ask.
        """

        def page(number: int = 1) -> Size:
            """
            :param number: Which page.
            """
            return Size(number)

        def show(size: Size, number: int) -> None: ...

        components = Components()
        components.add(page)
        (parameter,) = the_one("/", show, components=components)["parameters"]
        self.assertEqual((parameter["name"], parameter["required"]), ("number", True))


class AnsweredTests(SynchronousTestCase):
    """
    What a handler answers is described by what it returns and raises.
    """

    def statuses(self, *args: Any, **more: Any) -> dict[str, str]:
        responses = the_one(*args, **more)["responses"]
        return {status: each["description"] for status, each in responses.items()}

    def test_outcomes(self) -> None:
        """
        The type of the answer says the status and the formats.
        """
        values = [*VALUES, FORM]
        lines = ["application/x-ndjson", "text/event-stream", "application/json"]
        for kind, *expected in (
            (Product, "200", values),
            (list[Product], "200", VALUES),
            (int, "200", VALUES),
            (Created[Product], "201", values),
            (Created[None], "201", []),
            (Accepted[list[int]], "202", VALUES),
            (tuple[Literal[207], Product], "207", values),
            (tuple[int, Product], "default", values),
            (None, "204", []),
            (NoContent, "204", []),
            (Redirect, "303", []),
            (str, "200", ["text/html"]),
            (bytes, "200", ["*/*"]),
            (File, "200", ["*/*"]),
            (Path, "200", ["*/*"]),
            (Stream, "200", ["*/*"]),
            (Iterator[bytes], "200", ["*/*"]),
            (AsyncIterator[Product], "200", lines),
            (Response, "default", []),
            (Any, "default", []),
            (inspect.Parameter.empty, "default", []),
        ):
            (end,) = outcomes(kind)
            self.assertEqual([end.status, list(end.media_types)], expected, kind)

    def test_alternatives(self) -> None:
        """
        Of several types, each is an answer; what is a value is one of several.
        """

        def show() -> Product | Size | NoContent | Created[Size]: ...  # type: ignore[empty-body]

        responses = the_one("/", show)["responses"]
        self.assertEqual(list(responses), ["200", "201", "204", "406"])
        self.assertEqual(
            responses["200"]["content"]["application/json"]["schema"],
            {
                "anyOf": [
                    {"$ref": "#/components/schemas/Product"},
                    {"$ref": "#/components/schemas/Size"},
                ]
            },
        )

    def test_declared_output(self) -> None:
        """
        A shape that is declared beside the handler is its answer's.
        """

        def show() -> Any: ...

        content = the_one("/", show, output=Size)["responses"]["200"]["content"]
        self.assertEqual(
            content["application/json"]["schema"], {"$ref": "#/components/schemas/Size"}
        )

    def test_locations(self) -> None:
        """
        Where a header says where something is, it is described.
        """

        def make() -> Created[int]: ...  # type: ignore[empty-body]
        def go() -> Redirect: ...  # type: ignore[empty-body]

        headers = the_one("/", make, "POST")["responses"]["201"]["headers"]
        self.assertNotIn("required", headers["Location"])
        headers = the_one("/", go)["responses"]["303"]["headers"]
        self.assertIs(headers["Location"]["required"], True)

    def test_refusals(self) -> None:
        """
        Of the ways to be refused, those are listed that there are.
        """

        def plain() -> None: ...
        def header(x_name: Header[str | None] = None) -> None: ...
        def needed(x_name: Header[str]) -> None: ...
        def query(name: str = "") -> None: ...
        def path(x: int) -> None: ...
        def value() -> int: ...  # type: ignore[empty-body]
        def body(size: Size) -> None: ...

        for handler, rule, methods, expected in (
            (plain, "/", "GET", "204"),
            (header, "/", "GET", "204"),
            (needed, "/", "GET", "204 400"),
            (query, "/", "GET", "204 400"),
            (path, "/<int:x>", "GET", "204 400 404"),
            (value, "/", "GET", "200 406"),
            (body, "/", "POST", "204 400 413 415 422"),
        ):
            self.assertEqual(" ".join(self.statuses(rule, handler, methods)), expected)
        self.assertEqual(" ".join(self.statuses("/", plain, timeout=1.0)), "204 503")
        late = self.statuses("/", plain, timeout=1.0, late=504)
        self.assertEqual(" ".join(late), "204 504")

    def test_longest_body(self) -> None:
        """
        A route with a limit of its own says it.
        """

        def body(size: Size) -> None: ...

        told = self.statuses("/", body, "POST", longest_body=65536)
        self.assertEqual(told["413"], "The body is longer than 65,536 bytes.")

    def test_errors(self) -> None:
        """
        What a handler raises is listed by status, in the words of its docstring or
        of the error's.
        """

        def buy(x: int) -> None:
            """
            Buy.

            :raise MissingProduct:
            :raise SoldOut: When the last is gone.
            :raise ChannelFull: When there are too many.
            :raise KeyError: When nobody knows.
            :raise RopewalkError: When it is our fault.
            """

        told = self.statuses(
            "/<int:x>", buy, "POST", errors=((SoldOut, None), (ZeroDivisionError, 418))
        )
        self.assertEqual(
            told,
            {
                "204": "It was done; there is nothing to say.",
                "400": "The request cannot be understood.",
                "404": "- There is nothing here.\n- There is no such product.",
                "409": "When the last is gone.",
                "418": "I'm a Teapot",
                "503": "When there are too many.",
            },
        )
        self.assertEqual(ChannelFull.status, 503)
        responses = the_one("/<int:x>", buy, "POST")["responses"]
        self.assertEqual(responses["404"]["content"], PROBLEM)

    def test_security(self) -> None:
        """
        A component that stands for a security scheme asks for it; what it reads for
        that is no parameter.
        """

        def show(user: User) -> None: ...

        components = Components()
        components.add(current_user, security=BEARER)
        described = describe(operation("/", show, components=components))
        told = described["paths"]["/"]["get"]
        self.assertEqual(told["security"], [{"current_user": []}])
        self.assertNotIn("parameters", told)
        self.assertEqual(list(told["responses"]), ["204", "401", "403"])
        self.assertEqual(
            described["components"]["securitySchemes"], {"current_user": BEARER}
        )

    def test_optional_security(self) -> None:
        """
        Schemes with names are alternatives; a component that may give nothing leaves
        it to the client.
        """

        def show(user: User | None) -> None: ...

        key = {"type": "apiKey", "in": "header", "name": "X-Key"}
        components = Components()
        components.add(maybe_user, security={"key": key, "token": BEARER})
        told = the_one("/", show, components=components)
        self.assertEqual(told["security"], [{"key": []}, {"token": []}, {}])
        self.assertNotIn("parameters", told)


class DocumentTests(SynchronousTestCase):
    """
    The document as a whole.
    """

    def test_document(self) -> None:
        """
        All of it, for one route.
        """

        def show(number: int) -> Size:
            """
            Show a size. It may be none of ours.

            :param number: Which one.
            :return: The size.
            """
            return Size(number)

        self.assertEqual(
            describe(
                operation("/sizes/<int:number>", show, name="sizes.show"),
                description="All sizes.",
                servers=("https://example.org",),
                tags={"shop": "The shop."},
            ),
            {
                "openapi": "3.1.0",
                "info": {"title": "Shop", "description": "All sizes.", "version": "1"},
                "servers": [{"url": "https://example.org"}],
                "tags": [{"name": "shop", "description": "The shop."}],
                "paths": {
                    "/sizes/{number}": {
                        "get": {
                            "operationId": "sizes.show",
                            "tags": ["shop"],
                            "summary": "Show a size",
                            "description": "It may be none of ours.",
                            "parameters": [
                                {
                                    "name": "number",
                                    "in": "path",
                                    "description": "Which one.",
                                    "required": True,
                                    "schema": {"type": "integer", "minimum": 0},
                                }
                            ],
                            "responses": {
                                "200": {
                                    "description": "The size.",
                                    "content": {
                                        media_type: {
                                            "schema": {
                                                "$ref": "#/components/schemas/Size"
                                            }
                                        }
                                        for media_type in (*VALUES, FORM)
                                    },
                                },
                                "400": {
                                    "description": "The request cannot be understood.",
                                    "content": PROBLEM,
                                },
                                "404": {
                                    "description": "There is nothing here.",
                                    "content": PROBLEM,
                                },
                                "406": {
                                    "description": "It cannot be had in any form that "
                                    "is accepted.",
                                    "content": PROBLEM,
                                },
                            },
                        }
                    }
                },
                "components": {
                    "schemas": {
                        "Problem": describe()["components"]["schemas"].get(
                            "Problem", PROBLEM_SCHEMA
                        ),
                        "Size": {
                            "title": "Size",
                            "description": "How large it is.",
                            "type": "object",
                            "properties": {"width": {"type": "integer", "minimum": 1}},
                            "required": ["width"],
                            "additionalProperties": False,
                        },
                    }
                },
            },
        )

    def test_methods(self) -> None:
        """
        Each method of a route is an operation; HEAD, which comes with GET, is not.
        """
        both = describe(operation("/", methods="GET HEAD POST"))["paths"]["/"]
        self.assertEqual(
            [(method, each["operationId"]) for method, each in both.items()],
            [("get", "nothing.get"), ("post", "nothing.post")],
        )
        self.assertEqual(
            list(describe(operation("/", methods="HEAD"))["paths"]["/"]), ["head"]
        )
        every = describe(operation("/", methods=None))["paths"]["/"]
        self.assertEqual(list(every), ["get", "post", "put", "patch", "delete"])

    def test_namesakes(self) -> None:
        """
        Each operation has an id of its own.
        """
        paths = describe(operation("/a"), operation("/b"))["paths"]
        self.assertEqual(
            [each["get"]["operationId"] for each in paths.values()],
            ["nothing", "nothing_2"],
        )

    def test_one_path_under_two_names(self) -> None:
        """
        To OpenAPI, paths that differ by the names of their parameters are one; those
        that differ by their converters are told apart.
        """

        def show(number: int) -> None: ...
        def drop(key: int) -> None: ...
        def find(name: str) -> None: ...

        paths = describe(
            operation("/x/<int:number>", show),
            operation("/x/<int:key>", drop, "DELETE"),
            operation("/x/<name>", find),
            operation("/x/<number>", lambda number: None, name="other"),
        )["paths"]
        self.assertEqual(
            {path: list(item) for path, item in paths.items()},
            {
                "/x/{number}": ["get", "delete"],
                "/x/{name}": ["get"],
                "/x/{number_2}": ["get"],
            },
        )
        (parameter,) = paths["/x/{number}"]["delete"]["parameters"]
        self.assertEqual(parameter["name"], "number")

    def test_unneeded(self) -> None:
        """
        A schema that nothing refers to is left out.
        """

        def find(filters: Filters) -> None: ...

        schemas = describe(operation("/", find))["components"]["schemas"]
        self.assertEqual(list(schemas), ["Colour", "Problem"])

    def test_unbound(self) -> None:
        """
        Of a handler of which nobody knows what it asks for, the path is known.
        """
        told = Operation(parse("/<x>"), frozenset(("GET",)), None, nothing, "nothing")
        described = describe(told)["paths"]["/{x}"]["get"]
        self.assertEqual(list(described["responses"]), ["400", "404", "default"])
        self.assertEqual(described["summary"], "A handler that does nothing")

    def test_deprecated(self) -> None:
        """
        What had better not be used any more says so.
        """
        self.assertIs(the_one("/", deprecated=True)["deprecated"], True)

    def test_wrapped(self) -> None:
        """
        Under ``@inlineCallbacks``, the docstring is still the function's.
        """
        from ropewalk.awaiting import inlineCallbacks

        @inlineCallbacks
        def show() -> Steps[Size]:
            """Show it."""
            yield None
            return Size(1)

        told = the_one("/", show)
        self.assertEqual(told["summary"], "Show it")
        self.assertIn("200", told["responses"])

    def test_lazy(self) -> None:
        """
        Nothing of this is imported by what serves routes.
        """
        script = (
            "import sys; import ropewalk.web.routes, ropewalk.web.site; "
            "print([each for each in sys.modules if 'openapi' in each])"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONPATH": "platform"},
            cwd=Path(__file__).resolve().parent.parent,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual((done.stdout.strip(), done.stderr), ("[]", ""))


#: What :mod:`ropewalk.web.problems` sends is checked by its own tests.
PROBLEM_SCHEMA = document(
    [operation("/<x>", lambda x: None, name="x")], title="Shop", version="1"
)["components"]["schemas"]["Problem"]


class PageTests(SynchronousTestCase):
    """
    The document and its page, as they are served.
    """

    def setUp(self) -> None:
        self.made: list[Any] = []
        self.pages = DocumentationPages(self.make, "The <b>shop</b>")
        place = Place.of()
        place.mount("/openapi", self.pages.page)
        place.mount("/openapi.json", self.pages.document)
        self.visit = place.visit()

    def make(self, _: object) -> Any:
        """Note that it is made."""
        self.made.append(document([operation("/")], title="Shop", version="1"))
        return self.made[-1]

    def test_document(self) -> None:
        """
        It is made when somebody asks for it first, and once.
        """
        self.assertEqual(self.made, [])
        for _ in range(2):
            answer = self.visit.ask("/openapi.json")
            self.assertEqual(answer.json, self.made[0])
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(len(self.made), 1)

    def test_nothing_new(self) -> None:
        """
        Who has the document or the page is not sent it again.
        """
        for path in ("/openapi", "/openapi.json"):
            tag = self.visit.ask(path).headers["etag"]
            answer = self.visit.ask(path, "GET", f"If-None-Match: {tag}")
            self.assertEqual((answer.status, answer.body), (304, b""))
            self.assertEqual(self.visit.ask(path, "HEAD").status, 200)
            self.assertEqual(self.visit.ask(path, "POST").status, 405)

    def test_nothing_else_runs(self) -> None:
        """
        The page's policy allows its own script and style, and nothing else: nothing
        is loaded from anywhere but the site.
        """
        answer = self.visit.ask("/openapi")
        policy = answer.headers["content-security-policy"]
        self.assertIn("default-src 'none'", policy)
        for tag in ("script", "style"):
            ((attributes, inside),) = re.findall(
                rf"(?s)<{tag}([^>]*)>(.*?)</{tag}>", answer.text
            )
            digest = b64encode(sha256(inside.encode()).digest()).decode()
            self.assertIn(f"{tag}-src 'sha256-{digest}'", policy)
            self.assertNotIn("src=", attributes)
        self.assertEqual(re.findall(r'(?:href|src)="(?:https?:)?//', answer.text), [])

    def test_text_is_text(self) -> None:
        """
        The title is text; the script puts in nothing as markup.
        """
        page = self.visit.ask("/openapi").text
        self.assertIn("<title>The &lt;b&gt;shop&lt;/b&gt;</title>", page)
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"):
            self.assertNotIn(way, page)

    def test_another_address(self) -> None:
        """
        The page is told where the document is.
        """
        place = Place.of()
        pages = DocumentationPages(self.make, address='../a"b.json')
        place.mount("/x", pages.page)
        page = place.visit().ask("/x").text
        self.assertIn('data-document="../a&quot;b.json"', page)
