"""
Types as in API Star: they say what a request must have, and all that is wrong with it
is told at once. What no request has in it is given by a component, which costs nobody
anything who does not ask for it.

::

    $ ropewalk run apistar_product.py
    $ curl -H 'X-User: Ada' --json '{"name": "Hemp rope", "rating": 5}' \
        http://127.0.0.1:8080/products
    {"maker":"Ada","product":{"name":"Hemp rope","rating":5,"size":"medium"}}
    $ curl -H 'X-User: Ada' --json '{"name": "Hemp rope, 20 m", "rating": 6}' \
        http://127.0.0.1:8080/products
    {"title": "Unprocessable Content", "status": 422, …
"""

from typing import Annotated, Literal

from ropewalk.schema import Meta, Shape
from ropewalk.web import Created, Header, Routes

routes = Routes()


class Product(Shape):
    """Something to sell."""

    name: Annotated[str, Meta(max_length=10)]
    rating: Annotated[int, Meta(ge=1, le=5)]
    size: Literal["small", "medium", "large"] = "medium"


class User(Shape):
    """Who is asking."""

    name: str


class Offer(Shape):
    """A product, and who offers it."""

    maker: str
    product: Product


@routes.component
def user(x_user: Header[str]) -> User:
    """As the header X-User says."""
    return User(x_user)


@routes.post("/products")
def create_product(product: Product, user: User) -> Created[Offer]:
    """Offer a product."""
    return Created(Offer(user.name, product))
