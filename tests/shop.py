"""
A shop to be described, and tried: for tests of the documentation, in a browser and by
programs. ``ropewalk run tests/shop.py`` serves it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import count
from typing import Annotated, Any, Literal
from uuid import UUID

from attrs import Factory, frozen

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.schema import Meta, Shape, field
from ropewalk.web.answers import Accepted, Created, NoContent, Redirect, redirect
from ropewalk.web.binding import Cookie, Form, Header
from ropewalk.web.formats import Upload
from ropewalk.web.problems import Refused
from ropewalk.web.routes import Routes, errors, expose

#: What opens the shop.
TOKEN = "open-sesame"


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Size(Shape):
    """How large it is, in millimetres."""

    width: Annotated[int, Meta(ge=1)]
    height: Annotated[int, Meta(ge=1)]


class Review(Shape):
    """
    What somebody thinks of a product.

    :ivar stars: How good it is.
    :ivar replies: What others say to that.
    """

    author: Annotated[str, Meta(min_length=1, max_length=40)]
    stars: Annotated[int, Meta(ge=1, le=5)]
    replies: list[Review] = field(default_factory=list)


class Product(Shape):
    """
    Something that can be bought.

    :ivar name: What it is called.
    :ivar price: In euros.
    :ivar tags: Words to find it by.
    """

    name: Annotated[str, Meta(min_length=1, max_length=60)]
    price: Decimal
    colour: Colour = Colour.RED
    size: Size | None = None
    tags: Annotated[list[str], Meta(max_length=10)] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)


class Order(Shape):
    """How many of which."""

    amount: Annotated[int, Meta(ge=1, le=99)]
    note: Annotated[str, Meta(max_length=100)] = ""
    words: list[str] = field(default_factory=list)


class Filters(Shape):
    """
    :ivar colour: Only those of a colour.
    """

    colour: Colour | None = None
    page: Annotated[int, Meta(ge=1)] = 1


class MissingProduct(RopewalkError):
    """There is no such product."""

    status = 404


class User(Shape):
    name: str


def who(authorization: Header[str | None] = None) -> User:
    """Whoever has the token."""
    if authorization != f"Bearer {TOKEN}":
        raise Refused(401, "say who you are")
    return User("Ada")


class Shop:
    """
    What there is to be described, and tried.
    """

    routes = Routes()
    routes.component(security={"type": "http", "scheme": "bearer"})(who)

    def __init__(self) -> None:
        self.products: dict[int, Product] = {}
        self.numbers = count(1)

    @routes.get("/products")
    def find(self, filters: Filters) -> list[Product]:
        """
        List what is for sale. A page has ``20`` of them, the newest first.

        :return: A page of the list.
        """
        found = [
            each
            for each in reversed(self.products.values())
            if filters.colour in (None, each.colour)
        ]
        return found[20 * (filters.page - 1) :][:20]

    @routes.post("/products")
    @inlineCallbacks
    def create(
        self,
        product: Product,
        user: User,
        dry_run: bool = False,
        x_request_id: Header[str | None] = None,
    ) -> Steps[Created[Product]]:
        """
        Add a product. It is for sale at once, unless it is a *dry run*, in which
        nothing changes::

            POST /products?dry_run=true

        - names may be used twice
        - prices may change

        Example, a rope::

            {"name": "Hemp rope, 20 m", "price": "19.90", "colour": "green",
             "size": {"width": 10, "height": 20000}, "tags": ["hemp", "rope"]}

        :param dry_run: Only look whether it would do.
        :param x_request_id: What our log should call it.
        :return: The product as it was added.
        """
        yield None
        if dry_run:
            return Created(product)
        number = next(self.numbers)
        self.products[number] = product
        return Created(product, f"/products/{number}")

    @routes.get("/products/<int:number>")
    def show(self, number: int) -> Product:
        """
        One product.

        :raise MissingProduct: When there is none with this number.
        """
        return self._product(number)

    @routes.delete("/products/<int:number>")
    def drop(self, number: int, user: User) -> NoContent:
        """
        Take a product off sale.

        :raise MissingProduct: When there is none with this number.
        """
        self._product(number)
        del self.products[number]
        return NoContent()

    @routes.post("/products/<int:number>/orders")
    def order(self, number: int, order: Order) -> Created[Order]:
        """
        Order some.

        :raise MissingProduct: When there is none with this number.
        """
        self._product(number)
        return Created(order)

    @routes.put("/products/<int:number>/picture")
    def picture(self, number: int, picture: Upload) -> dict[str, int]:
        """Say what a product looks like."""
        return {picture.content_type: picture.size}

    @routes.get("/search", deprecated=True)
    def search(
        self,
        q: str,
        limit: Annotated[int, Meta(ge=1, le=100)] = 20,
        tag: list[str] = [],  # noqa: B006
        last: Cookie[str | None] = None,
    ) -> list[Product]:
        """
        Search. The list of products has filters now.

        :param q: What to look for.
        :param tag: Only those with all of these words.
        """
        return [
            each
            for each in self.products.values()
            if q in each.name and {*tag} <= {*each.tags}
        ][:limit]

    @routes.get("/hello/<name>")
    def hello(self, request: Any, name: str) -> str:
        """Say hello."""
        return f"Hello, {len(name)} letters!"

    def _product(self, number: int) -> Product:
        if number not in self.products:
            raise MissingProduct(f"there is no product {number}")
        return self.products[number]


class Circle(Shape, tag=True):
    """Round."""

    radius: Annotated[float, Meta(gt=0)]


class Rectangle(Shape, tag=True):
    """With corners."""

    width: Annotated[float, Meta(gt=0)]
    height: Annotated[float, Meta(gt=0)]


class Crate(Shape, rename="camel"):
    """
    What is in the warehouse.

    :ivar sealed_at: When it was closed.
    """

    number: UUID
    floor: Circle | Rectangle
    sealed_at: datetime | None = None
    best_before: date | None = None
    opened_for: timedelta = timedelta(0)
    picture: Annotated[bytes, Meta(max_length=10)] = b""
    weights: dict[str, Decimal] = field(default_factory=dict)
    origin: tuple[float, float] | None = None
    inner: tuple[Crate, ...] = ()
    anything: Any = None


class Label(Shape):
    """What is written on it, in as many formats as can be."""

    text: Annotated[str, Meta(min_length=1, max_length=20)]
    copies: Annotated[int, Meta(ge=1, le=9)]
    upright: bool
    colour: Colour
    printed: date


@dataclass
class Point:
    """Where it is."""

    x: int
    y: int = 0


@frozen
class Route:
    """From one place to another."""

    start: Point
    end: Point
    stops: list[Point] = Factory(list)


class Forbidden(RopewalkError):
    """You may not."""

    status = 403


class Key(Shape):
    """Who has a key."""

    number: int


def unlock(x_key: Header[str | None] = None) -> Key | None:
    """A key opens more."""
    return Key(len(x_key)) if x_key else None


warehouse = Routes(name="Warehouse")
warehouse.component(
    security={"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}
)(unlock)


@warehouse.post("/crates", longest_body=100_000)
def store(crate: Crate) -> Crate:
    """Store a crate."""
    return crate


@warehouse.put("/crates")
def store_all(crates: list[Crate], at: datetime | None = None) -> list[int]:
    """Store crates: how many there are, and how many in them."""
    return [len(crates), sum(len(each.inner) for each in crates)]


@warehouse.post("/labels")
def print_label(label: Label, key: Key | None) -> Accepted[Label]:
    """Print a label."""
    return Accepted(label, "/warehouse/labels")


@warehouse.patch("/labels")
def change_label(changes: Label | None = None) -> Label | NoContent:
    """Change a label; without changes, nothing happens."""
    return NoContent() if changes is None else changes


@warehouse.post("/routes")
def find_route(route: Route) -> Route:
    """Find a route."""
    return route


@warehouse.post("/forms")
def fill_in(
    name: Form[str],
    size: Form[Annotated[int, Meta(ge=1)]] = 1,
    colours: Form[list[Colour]] = [],  # noqa: B006
    urgent: Form[bool] = False,
) -> dict[str, int]:
    """Fill in a form."""
    return {name: size + len(colours) + urgent}


@warehouse.post("/pictures")
def upload(
    picture: Upload,
    more: list[Upload] = [],  # noqa: B006
    colour: Form[Colour] = Colour.RED,
) -> dict[str, int]:
    """Upload pictures."""
    return {each.name: each.size for each in (picture, *more)} | {colour.value: 0}


@warehouse.get("/crates/<uuid:number>/<date:day>/<any(in, out):way>")
def log(number: UUID, day: date, way: str, since: time | None = None) -> list[str]:
    """What happened to a crate on a day."""
    return [str(number), str(day), way, str(since)]


@warehouse.get("/files/<path:name>.txt")
def read_file(name: str) -> bytes:
    """A file."""
    return name.encode()


@warehouse.get("/prices/<price>")
def find_price(price: Decimal, at_most: float = 1e3) -> dict[str, Decimal]:
    """What costs that."""
    return {"price": price, "difference": Decimal(at_most) - price}


@warehouse.get("/headers")
def read_headers(
    x_numbers: Header[list[int]] = [],  # noqa: B006
    x_level: Header[Annotated[int, Meta(ge=0, le=9)]] = 0,
    x_when: Header[datetime | None] = None,
    x_size: Header[int | None] = None,
    theme: Cookie[Literal["light", "dark"]] = "light",
) -> list[Any]:
    """What the headers say."""
    return [x_numbers, x_level, x_when, x_size, theme]


@warehouse.get("/moments")
def moments(
    at: datetime,
    days: list[date] = [],  # noqa: B006
    level: Literal[1, 2] = 1,
    exact: bool | None = None,
    seen: Cookie[int | None] = None,
) -> dict[str, datetime | list[date]]:
    """Moments, with an offset or without."""
    return {"at": at, "days": days}


@warehouse.stream("/ticks")
def ticks(count: Annotated[int, Meta(ge=0, le=5)] = 2) -> Iterator[Key]:
    """Numbers, one by one."""
    return (Key(number) for number in range(count))


@warehouse.get("/old")
def old(teapot: bool = False) -> Redirect:
    """It has moved."""
    return redirect("/warehouse/headers")


@errors(Forbidden)
@errors(LookupError, status=409)
def guess(number: int) -> tuple[Literal[202], Key]:
    """Guess a number."""
    if number == 0:
        raise LookupError("somebody else has that")
    if number < 0:
        raise Forbidden
    return 202, Key(number)


warehouse.post("/guesses", timeout=5)(guess)


class Shelf:
    """A resource, of which each request gets one."""

    def __init__(self, x_aisle: Header[int] = 0) -> None:
        self.aisle = x_aisle

    def get(self, number: int) -> Key:
        """What is on a shelf."""
        return Key(self.aisle + number)

    def put(self, number: int, label: Label) -> None:
        """Put a label on a shelf."""


warehouse.add_route("/shelves/<int:number>", Shelf)


class Tree:
    """Objects that are published."""

    @expose
    def count(self, length: int, deep: bool = False) -> list[int]:
        """Count something."""
        return [length, int(deep)]


warehouse.publish("/tree", Tree())

#: Both, at once.
routes = Shop().routes
routes.mount("/warehouse", warehouse)
