"""
Tests for classes of others that are read as shapes: L{ropewalk.schema.guests},
L{ropewalk.schema.making} and L{ropewalk.schema.models}.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import sys
import uuid
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import attrs
import msgspec
import pydantic
from attrs import validators
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import Invalid, Malformed
from ropewalk.schema import (
    Meta,
    Secret,
    Shape,
    check,
    describe,
    field,
    read,
    read_json,
    read_msgpack,
    to_plain,
    write_json,
)
from ropewalk.schema.integers import with_integers
from ropewalk.schema.kinds import kind_of
from ropewalk.schema.models import describe_model
from tests.test_schema import KEYS, PLAIN, problems

T = TypeVar("T")


@dataclasses.dataclass
class Parcel:
    """A dataclass."""

    weight: Annotated[int, Meta(ge=1)]
    fragile: bool = False
    labels: list[str] = dataclasses.field(default_factory=list)
    number: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Refuse what nobody can carry."""
        self.number = 7
        if self.fragile and self.weight > 50:
            raise ValueError("too heavy for what breaks")


@dataclasses.dataclass
class Box(Generic[T]):
    """A dataclass of some type."""

    content: T


def _halve(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} has no half")
    return number // 2


def _freeze(tags: Iterable[str]) -> frozenset[str]:
    return frozenset(tags)


def _strip(text: str) -> str:
    return text.strip()


@attrs.define
class Person:
    """An attrs class with all that attrs has."""

    name: str = attrs.field(converter=_strip, validator=validators.min_len(1))
    age: int | None = attrs.field(
        default=None, validator=validators.optional(validators.ge(0))
    )
    tags: frozenset[str] = attrs.field(factory=frozenset, converter=_freeze)
    initial: str = attrs.field(init=False)
    _seen: int = 0

    def __attrs_post_init__(self) -> None:
        """Compute what is not given."""
        self.initial = self.name[:1]


@attrs.frozen(kw_only=True)
class Limited:
    """An attrs class whose validators say what a type could say."""

    size: int = attrs.field(validator=[validators.gt(0), validators.le(9)])
    ratio: float = attrs.field(default=0.5, validator=validators.lt(1))
    name: str = attrs.field(
        default="a", validator=[validators.min_len(1), validators.max_len(3)]
    )
    code: str = attrs.field(default="AB", validator=validators.matches_re("[A-Z]+"))
    kind: str = attrs.field(default="x", validator=validators.in_(["x", "y"]))
    first: int = 0
    last: int = attrs.field(default=0)

    @last.validator
    def _check_last(self, attribute: Any, value: int) -> None:
        if value < self.first:
            raise ValueError("the last comes before the first")


@attrs.define
class Branch:
    """An attrs class that contains itself."""

    name: str
    branches: list[Branch] = attrs.Factory(list)
    parcel: Parcel | None = None


class Delivery(Shape):
    """A shape with guests in it."""

    to: Person
    parcels: list[Parcel] = field(default_factory=list)
    boxes: dict[str, Box[int]] = field(default_factory=dict)
    pair: tuple[int, Parcel] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse empty ones."""
        if not self.parcels and not self.boxes:
            raise ValueError("there is nothing in it")


class ByCar(Shape, tag="car"):
    """One of two with guests in them."""

    driver: Person


class ByBike(Shape, tag="bike"):
    """The other."""

    rider: Person | None = None


class Stranger:
    """Something that is made by nobody."""


class Bad(Shape):
    """A shape that nothing can be read into."""

    one: int
    two: list[Stranger]


class Colour(enum.Enum):
    """Text to choose from."""

    RED = "red"
    GREEN = "green"


class Cat(pydantic.BaseModel):
    """A model."""

    kind: Literal["cat"] = "cat"
    lives: int = pydantic.Field(default=9, ge=1, le=9)


class Dog(pydantic.BaseModel):
    """Another."""

    kind: Literal["dog"] = "dog"


class Order(pydantic.BaseModel):
    """A model with much in it."""

    model_config = pydantic.ConfigDict(extra="forbid")

    number: int = pydantic.Field(gt=0, alias="no")
    name: str = pydantic.Field(default="x", min_length=1, max_length=5)
    when: datetime.date | None = None
    colour: Colour = Colour.RED
    amounts: dict[str, int] = {}
    lines: list[Cat] = []
    pet: Cat | Dog | None = pydantic.Field(default=None, discriminator="kind")
    either: int | list[int] = 0
    price: Decimal = Decimal(0)

    @pydantic.field_validator("name")
    @classmethod
    def _no_bob(cls, name: str) -> str:
        if name == "bob":
            raise ValueError("not bob")
        return name


class Keys(pydantic.BaseModel):
    """A model with something to hide."""

    token: pydantic.SecretStr = pydantic.Field(min_length=8)
    count: int = 0


class Names(pydantic.RootModel[list[str]]):
    """A model that is a list."""


@pydantic.dataclasses.dataclass
class Point:
    """A dataclass of pydantic's."""

    x: int = pydantic.Field(gt=0)
    y: int = 0


class Shop(Shape):
    """A shape with models in it."""

    orders: list[Order]
    pet: Cat | None = None
    point: Point | None = None
    by_name: dict[str, Cat] = field(default_factory=dict)


ANN = {"name": " Ann "}


class DataclassTests(SynchronousTestCase):
    """
    Dataclasses are read as shapes are.
    """

    def test_a_value(self) -> None:
        """
        Good data becomes a value, with defaults for the rest.
        """
        self.assertEqual(
            read(Parcel, {"weight": 3, "labels": ["a"]}), Parcel(3, labels=["a"])
        )
        self.assertEqual(read_json(Parcel, b'{"weight": 3}'), Parcel(3))
        self.assertEqual(read_msgpack(Parcel, b"\x81\xa6weight\x03"), Parcel(3))

    def test_every_fault(self) -> None:
        """
        All faults are told, fields that are not known among them.
        """
        self.assertEqual(
            problems(Parcel, {"weight": 0, "labels": [1], "fragil": True}),
            [
                "weight: expected an integer of at least 1, got 0",
                "labels[0]: expected text, got 1",
                "fragil: unknown field; did you mean 'fragile'?",
            ],
        )

    def test_only_unknown(self) -> None:
        """
        A field that is not known is enough to be refused.
        """
        error = self.assertRaises(
            Invalid, read_json, Parcel, b'{"weight": 3, "wieght": 4}'
        )
        self.assertEqual(str(error), "wieght: unknown field; did you mean 'weight'?")

    def test_not_to_be_set(self) -> None:
        """
        A field that ``__init__`` does not take is written, and cannot be set.
        """
        self.assertEqual(to_plain(Parcel(3))["number"], 7)
        self.assertEqual(
            problems(Parcel, {"weight": 3, "number": 8}), ["number: cannot be set"]
        )

    def test_rule(self) -> None:
        """
        A ``ValueError`` of ``__post_init__`` is a fault of the whole.
        """
        self.assertEqual(
            problems(list[Parcel], [{"weight": 51, "fragile": True}]),
            ["[0]: too heavy for what breaks"],
        )

    def test_generic(self) -> None:
        """
        A dataclass of some type has the faults of that type.
        """
        self.assertEqual(read(Box[int], {"content": 3}), Box(3))
        self.assertEqual(
            problems(Box[int], {"content": "3"}),
            ["content: expected an integer, got '3'"],
        )
        self.assertEqual(read(Box[Parcel], {"content": {"weight": 3}}), Box(Parcel(3)))

    def test_text(self) -> None:
        """
        Text from a form is converted.
        """
        data = {"weight": "3", "fragile": "true"}
        self.assertEqual(read(Parcel, data, strict=False), Parcel(3, True))

    def test_no_object(self) -> None:
        """
        What is no object is told to be none.
        """
        self.assertEqual(problems(Parcel, 5), ["expected an object, got 5"])
        self.assertEqual(
            problems(Parcel | None, []),
            ["expected an object or null, got an empty list"],
        )

    def test_values(self) -> None:
        """
        A value that is there already is taken as it is.
        """
        parcel = Parcel(3)
        self.assertIs(read(Parcel, parcel), parcel)
        self.assertEqual(read(list[Parcel], [parcel]), [parcel])


class AttrsTests(SynchronousTestCase):
    """
    attrs classes are made by their own ``__init__``.
    """

    def test_a_value(self) -> None:
        """
        Converters run, and what is computed is computed.
        """
        ann = read(Person, {"name": " Ann ", "tags": ["a", "a"]})
        self.assertEqual(ann, Person("Ann", tags=frozenset({"a"})))
        self.assertEqual(ann.initial, "A")

    def test_private(self) -> None:
        """
        What is private is neither read nor written.
        """
        self.assertNotIn("_seen", to_plain(Person("Ann")))
        self.assertEqual(
            problems(Person, {**ANN, "_seen": 5, "seen": 5}),
            ["_seen: unknown field", "seen: unknown field"],
        )

    def test_validators(self) -> None:
        """
        What a validator refuses is a fault of the field, in our words where it
        says what a type could say.
        """
        self.assertEqual(
            problems(
                Limited,
                {
                    "size": 10,
                    "ratio": 1.5,
                    "name": "",
                    "code": "ab",
                    "kind": "z",
                },
            ),
            [
                "size: expected an integer greater than 0 and of at most 9, got 10",
                "ratio: expected a number less than 1, got 1.5",
                "name: expected text of 1 to 3 characters, got ''",
                "code: expected text that matches '\\\\A(?:[A-Z]+)\\\\Z', got 'ab'",
                "kind: expected one of 'x', 'y', got 'z'",
            ],
        )

    def test_own_validators(self) -> None:
        """
        A validator of one's own is asked about each field, once all have the
        right types.
        """
        self.assertEqual(
            problems(list[Limited], [{"size": 1, "first": 2, "last": 1}]),
            ["[0].last: the last comes before the first"],
        )
        self.assertEqual(
            problems(Person, {"name": " ", "age": -1}),
            ["age: expected an integer of at least 0 or null, got -1"],
        )

    def test_after_conversion(self) -> None:
        """
        A validator sees what the converter made.
        """
        (problem,) = problems(Person, {"name": "   "})
        self.assertTrue(problem.startswith("name: "), problem)

    def test_failing_converter(self) -> None:
        """
        A converter may refuse a value, too.
        """

        @attrs.define
        class Coded:
            code: int = attrs.field(converter=_halve)

        self.assertEqual(problems(Coded, {"code": 5}), ["code: 5 has no half"])

    def test_secret(self) -> None:
        """
        A validator that tells a secret is not quoted.
        """

        @attrs.define
        class Login:
            password: Secret = attrs.field()

            @password.validator
            def _check(self, attribute: Any, value: str) -> None:
                raise ValueError(f"{value!s} is too short")

        self.assertEqual(
            problems(Login, {"password": "hunter2"}), ["password: not valid"]
        )

    def test_long_sentence(self) -> None:
        """
        An answer does not grow with what was sent.
        """

        @attrs.define
        class Short:
            text: str = attrs.field(validator=validators.not_(validators.min_len(3)))

        (problem,) = problems(Short, {"text": "x" * 10_000})
        self.assertLess(len(problem), 400)

    def test_recursive(self) -> None:
        """
        A class may contain itself.
        """
        data = {"name": "a", "branches": [{"name": "b", "parcel": {"weight": 1}}]}
        self.assertEqual(
            read(Branch, data), Branch("a", [Branch("b", parcel=Parcel(1))])
        )
        data["branches"] = [{"name": "b", "branches": [{"nme": "c"}]}]
        self.assertEqual(
            problems(Branch, data),
            [
                "branches[0].branches[0].name: required, but missing",
                "branches[0].branches[0].nme: unknown field; did you mean 'name'?",
            ],
        )

    def test_deep(self) -> None:
        """
        Data nested beyond what can be walked is refused, not an error of ours.
        """
        raw = b'{"name":"a","branches":[' * 5_000 + b"]}" * 5_000
        self.assertRaises(Invalid, read_json, Branch, raw)
        data: dict[str, Any] = {"name": "a"}
        for _ in range(20_000):
            data = {"name": "a", "branches": [data]}
        self.assertNotEqual(problems(Branch, data), [])


class NestedTests(SynchronousTestCase):
    """
    Guests may be anywhere in a shape.
    """

    def test_a_value(self) -> None:
        """
        In fields, in lists, in dicts and in tuples.
        """
        raw = (
            b'{"to": {"name": "Ann"}, "parcels": [{"weight": 1}],'
            b' "boxes": {"a": {"content": 5}}, "pair": [1, {"weight": 2}]}'
        )
        made = Delivery(Person("Ann"), [Parcel(1)], {"a": Box(5)}, (1, Parcel(2)))
        self.assertEqual(read_json(Delivery, raw), made)
        self.assertEqual(read(Delivery, msgspec.json.decode(raw)), made)

    def test_every_fault(self) -> None:
        """
        Their faults are told with all others, in the order of the shape.
        """
        self.assertEqual(
            problems(
                Delivery,
                {
                    "to": {"nam": "Ann"},
                    "parcels": [{"weight": 1}, {"weight": "1", "x": 1}, 5],
                    "boxes": {"a": {"content": "5"}},
                    "pair": [1, {"weight": 2, "x": 1}],
                    "note": 5,
                },
            ),
            [
                "to.name: required, but missing",
                "to.nam: unknown field; did you mean 'name'?",
                "parcels[1].weight: expected an integer of at least 1, got '1'",
                "parcels[1].x: unknown field",
                "parcels[2]: expected an object, got 5",
                "boxes.a.content: expected an integer, got '5'",
                "pair[1].x: unknown field",
                "note: expected text, got 5",
            ],
        )

    def test_rule_of_the_shape(self) -> None:
        """
        The rule of a shape with guests is kept.
        """
        self.assertEqual(problems(Delivery, {"to": ANN}), ["there is nothing in it"])

    def test_tagged(self) -> None:
        """
        Of several shapes with guests the tag says which is meant.
        """
        shape = list[ByCar | ByBike]
        self.assertEqual(
            read(shape, [{"type": "car", "driver": ANN}, {"type": "bike"}]),
            [ByCar(Person("Ann")), ByBike()],
        )
        self.assertEqual(
            problems(shape, [{"type": "car"}, {"type": "bus"}, {}, 5]),
            [
                "[0].driver: required, but missing",
                "[1].type: expected one of 'car', 'bike', got 'bus'",
                "[2].type: required, but missing",
                "[3]: expected an object, got 5",
            ],
        )

    def test_either(self) -> None:
        """
        A guest may be one of several things.
        """
        shape = Parcel | list[Parcel] | int | None
        for good, made in (
            (None, None),
            (5, 5),
            ({"weight": 1}, Parcel(1)),
            ([{"weight": 1}], [Parcel(1)]),
        ):
            self.assertEqual(read(shape, good), made)
        self.assertEqual(problems(shape, {"weight": 1, "x": 2}), ["x: unknown field"])
        self.assertNotEqual(problems(shape, "5"), [])

    def test_limits_of_lists(self) -> None:
        """
        A list of guests has its limits.
        """
        shape = Annotated[list[Parcel], Meta(max_length=1)]
        self.assertEqual(
            problems(shape, [{"weight": 1}] * 2),
            ["expected a list of objects, with at most 1 item, got a list of 2 items"],
        )

    def test_sets(self) -> None:
        """
        Guests that have a hash may be in a set.
        """
        self.assertEqual(
            read(set[Limited], [{"size": 1}, {"size": 1}]), {Limited(size=1)}
        )


class ModelTests(SynchronousTestCase):
    """
    pydantic models are read by pydantic, and spoken of in our words.
    """

    def test_a_value(self) -> None:
        """
        Good data becomes a model.
        """
        order = read_json(Order, b'{"no": 5, "when": "2026-01-31", "price": 1.10}')
        self.assertEqual(
            order, Order(no=5, when=datetime.date(2026, 1, 31), price=Decimal("1.10"))
        )
        self.assertEqual(read(Order, {"no": 5}), Order(no=5))
        self.assertEqual(read_msgpack(Order, b"\x81\xa2no\x05"), Order(no=5))
        self.assertEqual(read(Names, ["a"]), Names(["a"]))

    def test_every_fault(self) -> None:
        """
        All faults are told, by path.
        """
        self.assertEqual(
            problems(
                Order,
                {
                    "name": "",
                    "when": "today",
                    "colour": "blue",
                    "amounts": {"a b": "1"},
                    "lines": [{"lives": 0}, {"lives": 10}, 5],
                    "pet": {"kind": "cow"},
                    "either": "x",
                    "price": [],
                    "nmae": "Ann",
                },
            ),
            [
                "no: required, but missing",
                "name: expected text of at least 1 character, got ''",
                "when: expected a date such as 2026-01-31, got 'today'",
                "colour: expected one of 'red', 'green', got 'blue'",
                "amounts.\"a b\": expected an integer, got '1'",
                "lines[0].lives: expected a value of at least 1, got 0",
                "lines[1].lives: expected a value of at most 9, got 10",
                "lines[2]: expected an object, got 5",
                "pet.kind: expected one of 'cat', 'dog', got an object",
                "either: expected an integer or a list, got 'x'",
                "price: expected a decimal number, got an empty list",
                "nmae: unknown field; did you mean 'name'?",
            ],
        )

    def test_rule(self) -> None:
        """
        A validator's own sentence is told as it is.
        """
        self.assertEqual(problems(Order, {"no": 1, "name": "bob"}), ["name: not bob"])

    def test_strict(self) -> None:
        """
        In JSON a number is a number; in a form text may be one.
        """
        self.assertEqual(
            problems(Order, {"no": "5"}), ["no: expected an integer, got '5'"]
        )
        self.assertEqual(read(Order, {"no": "5"}, strict=False), Order(no=5))

    def test_no_json(self) -> None:
        """
        What is not JSON is refused as for a shape, and so are numbers that are
        none.
        """
        for raw in (b'{"no": }', b'{"no": NaN}', b"", b'"\xff"'):
            error = self.assertRaises(Malformed, read_json, Order, raw)
            self.assertTrue(str(error).startswith("not JSON"), str(error))

    def test_in_a_shape(self) -> None:
        """
        Models may be anywhere in a shape.
        """
        data = {"orders": [{"no": 1}], "pet": {"lives": 3}, "by_name": {"a": {}}}
        shop = Shop([Order(no=1)], Cat(lives=3), by_name={"a": Cat()})
        self.assertEqual(read(Shop, data), shop)
        self.assertEqual(read_json(Shop, write_json(shop)), shop)
        self.assertEqual(
            problems(
                Shop,
                {
                    "orders": [{"no": 1}, {"no": 0}, 5],
                    "pet": {"lives": "3"},
                    "by_name": {"a": []},
                    "x": 1,
                },
            ),
            [
                "orders[1].no: expected a value greater than 0, got 0",
                "orders[2]: expected an object, got 5",
                "pet.lives: expected an integer, got '3'",
                "by_name.a: expected an object, got an empty list",
                "x: unknown field",
            ],
        )

    def test_dataclasses(self) -> None:
        """
        A dataclass of pydantic's is read by pydantic.
        """
        self.assertEqual(read(Point, {"x": 1}), Point(1))
        self.assertEqual(
            problems(Shop, {"orders": [], "point": {"y": "1"}}),
            [
                "point.x: required, but missing",
                "point.y: expected an integer, got '1'",
            ],
        )

    def test_hidden(self) -> None:
        """
        A model with something secret in it has no value quoted.
        """
        said = problems(Keys, {"token": "hunter2", "count": "many"})
        self.assertEqual(
            said,
            [
                "token: expected text of at least 8 characters, got text (not shown)",
                "count: expected an integer, got text (not shown)",
            ],
        )
        self.assertNotIn(
            "hunter2",
            write_json(Keys(token=pydantic.SecretStr("hunter2hunter2"))).decode(),
        )

    def test_written(self) -> None:
        """
        A model is written as pydantic writes JSON, by the names of outside.
        """
        order = Order(no=1, when=datetime.date(2026, 1, 31))
        self.assertEqual(to_plain(order)["no"], 1)
        self.assertEqual(to_plain([order])[0]["when"], "2026-01-31")

    def test_described(self) -> None:
        """
        A model is an object to whoever has to write one.
        """
        self.assertEqual(describe(Order), "an object")
        self.assertEqual(describe(list[Cat] | None), "a list of objects or null")

    def test_schemas(self) -> None:
        """
        A model says itself how it looks to JSON Schema.
        """
        said = describe_model(Order, "#/x/{model}")
        self.assertEqual(said["required"], ["no"])
        self.assertEqual(said["properties"]["lines"]["items"], {"$ref": "#/x/Cat"})
        self.assertEqual(sorted(said["$defs"]), ["Cat", "Colour", "Dog"])
        self.assertEqual(describe_model(Point, "")["required"], ["x"])

    def test_not_imported(self) -> None:
        """
        What was never imported is not asked for.
        """
        self.patch(sys, "modules", {**sys.modules})
        del sys.modules["pydantic"]
        error = self.assertRaises(Invalid, read, Cat, {})
        self.assertEqual(str(error), "expected Cat, got an object")


class CheckTests(SynchronousTestCase):
    """
    Whether a type can be read is known before the first value comes.
    """

    def test_good(self) -> None:
        """
        Whatever can be read is fine.
        """
        for shape in (
            *(Delivery, Shop, Order, Branch, Names, Point, Box[int], list[Limited]),
            *(int, object, Any, Path, Secret, uuid.UUID | None, dict[str, Colour]),
            Annotated[int, Meta(extra_json_schema={"a": 1})],
        ):
            check(shape)

    def test_strangers(self) -> None:
        """
        A type that nobody can make is named, and so is where it stands.
        """
        error = self.assertRaises(TypeError, check, dict[str, Bad])
        self.assertIn("Bad.two cannot be read", str(error))
        self.assertIn("Stranger", str(error))

    def test_attrs(self) -> None:
        """
        An attrs class that could not be made is refused, with the reason.
        """

        @attrs.define
        class Private:
            _x: int

        @attrs.define
        class Unknown:
            x = attrs.field()  # type: ignore[var-annotated]

        @attrs.define
        class Dependent:
            x: int
            y: int = attrs.Factory(lambda self: self.x, takes_self=True)

        for cls, why in (
            (Private, "cannot be made of its public fields"),
            (Unknown, "the field 'x' of an attrs class has no annotation"),
            (Dependent, "takes_self"),
        ):
            error = self.assertRaises(TypeError, check, cls)
            self.assertIn(why, str(error))
            self.assertIn(cls.__name__, str(error))

    def test_dataclasses(self) -> None:
        """
        A dataclass that takes more than its fields is refused.
        """

        @dataclasses.dataclass
        class Needy:
            x: int
            y: dataclasses.InitVar[int]

        error = self.assertRaises(TypeError, check, list[Needy])
        self.assertIn("InitVar", str(error))

        @dataclasses.dataclass(init=False)
        class Odd:
            x: int

            def __init__(self, what: int) -> None:
                self.x = what

        error = self.assertRaises(TypeError, check, Odd)
        self.assertIn("Odd", str(error))

    def test_places(self) -> None:
        """
        Where a guest could not be made, it is refused.
        """

        class Row(NamedTuple):
            parcel: Parcel

        error = self.assertRaises(TypeError, check, Row)
        self.assertIn("Row contains a dataclass", str(error))

    def test_annotations(self) -> None:
        """
        An annotation that names nothing is told.
        """
        namespace: dict[str, Any] = {"__annotations__": {"x": "Missing"}}
        bad = type("Bad", (Shape,), namespace)
        error = self.assertRaises(TypeError, check, bad)
        self.assertIn("Missing", str(error))


#: Types with guests of all kinds.
SHAPES: tuple[Any, ...] = (
    Parcel,
    Person,
    Limited,
    Branch,
    Delivery,
    list[ByCar | ByBike],
    Parcel | list[Parcel] | int | None,
    dict[str, Box[Parcel]],
    Order,
    Cat | None,
    Shop,
    list[Point],
    Names,
    Keys,
)

NAMES = KEYS | st.sampled_from(
    [
        *("weight", "fragile", "labels", "name", "age", "tags", "content", "to"),
        *("no", "kind", "lives", "pet", "orders", "x", "y", "token", "either"),
    ]
)

DATA: st.SearchStrategy[Any] = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner)
)


class AnyDataTests(SynchronousTestCase):
    """
    Whatever comes, it is a value or has faults.
    """

    @settings(max_examples=150, deadline=None)
    @given(st.sampled_from(SHAPES), DATA, st.booleans())
    def test_value_or_faults(self, shape: Any, data: Any, strict: bool) -> None:
        """
        Data is refused with faults in our words, or makes what is written and
        read again as it is.
        """
        try:
            value = read(shape, data, strict=strict)
        except Invalid as error:
            self.assertNotEqual(error.faults, ())
            for fault in error.faults:
                self.assertNotRegex(str(fault), "Expected|Object|Invalid|Input should")
        else:
            check(shape)
            self.assertIsInstance(write_json(value), bytes)

    @settings(max_examples=100, deadline=None)
    @given(st.sampled_from(SHAPES), st.binary(max_size=20) | DATA.map(write_json))
    def test_any_bytes(self, shape: Any, raw: bytes) -> None:
        """
        JSON is refused with faults, or gives what the plain data in it gives, with
        integers for whole numbers.
        """
        try:
            value = read_json(shape, raw)
        except Invalid as error:
            self.assertNotEqual(error.faults, ())
        else:
            data = with_integers(kind_of(shape), msgspec.json.decode(raw))
            self.assertEqual(value, read(shape, data))
