"""
A shop to be described, and tried: for tests of the documentation, in a browser and by
programs. ``ropewalk run tests/shop.py`` serves it.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from itertools import count
from typing import Annotated, Any

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.schema import Meta, Shape, field
from ropewalk.web.answers import Created, NoContent
from ropewalk.web.binding import Cookie, Header
from ropewalk.web.formats import Upload
from ropewalk.web.problems import Refused
from ropewalk.web.routes import Routes

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


routes = Shop().routes
