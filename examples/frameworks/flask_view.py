"""
A view as in Flask: a version and a number in the path, and decorators, of which one is
our own. There is no global ``request``: who wants it, takes it. What ``@output`` and
``@errors`` say is also in the documentation of the API, at ``/openapi``.

::

    $ ropewalk run flask_view.py
    $ curl -H 'Authorization: Bearer sesame' http://127.0.0.1:8080/v1/products/7
    {"number":7,"name":"Hemp rope"}
    $ curl -H 'Authorization: Bearer sesame' http://127.0.0.1:8080/v1/products/8
    {"title": "Not Found", "status": 404, "detail": "there is no product 8"}
    $ curl http://127.0.0.1:8080/v1/products/7
    {"title": "Unauthorized", "status": 401, "detail": "the word is missing"}
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ropewalk.errors import RopewalkError
from ropewalk.schema import Shape
from ropewalk.web import Request, Routes, errors, output

P = ParamSpec("P")
T = TypeVar("T")

routes = Routes()


class Product(Shape):
    """Something to buy."""

    number: int
    name: str


class MissingProduct(RopewalkError):
    """There is no such product."""

    status = 404


class Stranger(RopewalkError):
    """The word is missing."""

    status = 401
    headers = {"WWW-Authenticate": "Bearer"}


def auth_required(
    view: Callable[Concatenate[Request, P], T],
) -> Callable[Concatenate[Request, P], T]:
    """Let those in who know the word."""

    @errors(Stranger)
    @wraps(view)
    def guarded(request: Request, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if request.getHeader("Authorization") != "Bearer sesame":
            raise Stranger("the word is missing")
        return view(request, *args, **kwargs)

    return guarded


@routes.get("/<string:version>/products/<int:prod_id>")
@auth_required
@output(Product)
@errors(MissingProduct)
def get_product(request: Request, version: str, prod_id: int) -> dict[str, Any]:
    """A product."""
    names = {7: "Hemp rope"}
    if prod_id not in names:
        raise MissingProduct(f"there is no product {prod_id}")
    return {"number": prod_id, "name": names[prod_id]}
