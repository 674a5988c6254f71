"""
Tests for L{ropewalk.web.binding}, and for what it stands on:
L{ropewalk.web.parameters}, L{ropewalk.web.gathering} and
L{ropewalk.schema.signatures}.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import inspect
import typing
import uuid
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Generator,
    Iterator,
    Mapping,
)
from decimal import Decimal
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType
from unittest.mock import patch

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IRequest
from twisted.web.server import Request
from twisted.web.test.requesthelper import DummyChannel
from typing_extensions import TypeAliasType

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadHandler, Invalid
from ropewalk.interfaces import Steps
from ropewalk.schema import Meta, Shape, field
from ropewalk.web import site
from ropewalk.web.binding import (
    BadRequest,
    Binding,
    Body,
    Cookie,
    Form,
    Header,
    NotFound,
    Path,
    Query,
    Source,
    bind,
)
from ropewalk.web.components import Components, Scope
from ropewalk.web.formats import Unsupported, Upload
from ropewalk.web.gathering import elements_of

if TYPE_CHECKING:
    from ropewalk.web.nowhere import Elsewhere  # type: ignore[import-not-found]

Rating = Annotated[int, Meta(ge=1, le=5)]
UserId = NewType("UserId", int)


class Product(Shape):
    """What a handler takes as the body."""

    name: Annotated[str, Meta(min_length=1)]
    rating: Rating = 3


class Supplier(Shape):
    """Another one."""

    city: str


class Filter(Shape):
    """What a handler takes as the query."""

    words: tuple[str, ...] = ()
    size: Annotated[int, Meta(le=100)] = 10
    on_sale: bool = field(default=False, name="on-sale")


class Circle(Shape, tag="circle"):
    """One of two."""

    radius: float


class Square(Shape, tag="square"):
    """The other."""

    side: float


class Meeting(Shape):
    """A form with a file in it."""

    title: str
    minutes: Upload | None = None


class Colour(enum.Enum):
    """Text to choose from."""

    RED = "red"
    GREEN = "green"


class Person(typing.TypedDict):
    """What stays a dict."""

    name: str


@dataclasses.dataclass
class Parcel:
    """A dataclass of somebody else."""

    weight: int


@frozen
class Letter:
    """An attrs class of somebody else."""

    stamp: str


class Session:
    """What no request has in it."""


@frozen
class Repository:
    """What has fields, but not such as could be read."""

    session: Session


def request(
    uri: str = "/", body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Request:
    """
    A request that has come in, as Twisted has them.
    """
    made = Request(DummyChannel(), False)
    made.uri = uri.encode()
    made.content = BytesIO(body)
    for name, text in (headers or {}).items():
        for line in text.split("\n"):
            made.requestHeaders.addRawHeader(name, line)
    return made


def scope_of(asked: Any) -> Scope:
    """
    What is open for a request.
    """
    scope: Scope = asked.scope
    return scope


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}


def multipart(**parts: str) -> bytes:
    """
    The body of a form; what begins with ``@`` is a file.
    """
    lines = []
    for name, text in parts.items():
        file = '; filename="a.txt"' if text.startswith("@") else ""
        lines += [f'--b\r\nContent-Disposition: form-data; name="{name}"{file}']
        lines += ["", text.removeprefix("@")]
    return "\r\n".join([*lines, "--b--", ""]).encode()


def quoted(text: str) -> str:
    """
    A text in quotes, as a header has it.
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class Ledger(Shape):
    """A shape that msgspec does not know how to limit."""

    total: Annotated[Decimal, Meta(ge=0)]


class BindingCase(SynchronousTestCase):
    """
    A route to bind handlers to.
    """

    def setUp(self) -> None:
        self.components = Components()
        self.path: dict[str, Any] = {}
        self.methods: Collection[str] | None = {"POST"}

    def bind(self, function: Callable[..., Any], **more: Any) -> Binding:
        return bind(
            function,
            path=self.path,
            methods=self.methods,
            components=self.components,
            **more,
        )

    def ask(
        self,
        function: Callable[..., Any],
        uri: str = "/",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        **args: Any,
    ) -> Any:
        """What a handler returns when it is bound and asked."""
        return self.bind(function).call(request(uri, body, headers), args)

    def refused(
        self,
        function: Callable[..., Any],
        uri: str = "/",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        **args: Any,
    ) -> tuple[int, list[str]]:
        """The status of a refusal, and what is told."""
        with self.assertRaises(Invalid) as raised:
            self.ask(function, uri, body, headers, **args)
        error = raised.exception
        return error.status, [f"{each.where} {each}" for each in error.faults]

    def wrong(self, function: Callable[..., Any], **more: Any) -> str:
        """What is wrong with a handler."""
        return self.error(function, **more).problem

    def error(self, function: Callable[..., Any], **more: Any) -> BadHandler:
        with self.assertRaises(BadHandler) as raised:
            self.bind(function, **more)
        error: BadHandler = raised.exception
        return error


class RequestTests(BindingCase):
    """
    A handler may ask for the request.
    """

    def test_by_type(self) -> None:
        """
        It is known by any of its types, wherever it stands.
        """

        def interface(size: int, it: IRequest) -> Any:
            return it, size

        def twisted(size: int, it: Request) -> Any:
            return it, size

        def ours(size: int, *, it: site.Request) -> Any:
            return it, size

        for function in (interface, twisted, ours):
            asked = request("/?size=3")
            self.assertEqual(self.bind(function).call(asked, {}), (asked, 3))

    def test_by_place(self) -> None:
        """
        It is what comes first and has no annotation, as in Klein.
        """

        def view(it, size: int = 1):  # type: ignore[no-untyped-def]
            return it, size

        asked = request()
        self.assertEqual(self.bind(view).call(asked, {}), (asked, 1))

    def test_by_name(self) -> None:
        """
        It is what is called C{request}, wherever it stands; nothing else is then.
        """

        def view(size: int, request):  # type: ignore[no-untyped-def]
            return request, size

        def typo(product, request):  # type: ignore[no-untyped-def]
            """Has not said what a product is."""

        asked = request("/?size=3")
        self.assertEqual(self.bind(view).call(asked, {}), (asked, 3))
        self.assertIn("cannot tell what 'product' is", self.wrong(typo))

    def test_by_name_of_any_type(self) -> None:
        """
        What is called C{request} and is of a type that nobody gives is the request,
        too; what is of one that can be read is not.
        """

        def view(size: int, request: Session) -> Any:
            return request

        def shape(size: int, request: Product) -> Any:
            return request

        asked = request("/?size=3")
        self.assertIs(self.bind(view).call(asked, {}), asked)
        self.assertEqual(
            self.ask(shape, "/?size=3", b'{"name": "a"}'), Product(name="a")
        )

    def test_none(self) -> None:
        """
        A handler need not take it.
        """

        def hello() -> str:
            return "hello"

        self.assertEqual(self.ask(hello), "hello")

    def test_positional(self) -> None:
        """
        What cannot be given by name is given by place.
        """
        self.path = {"name": str}

        def view(it: IRequest, name: str, size: int, /, more: int = 0) -> Any:
            return name, size, more

        def silent(it: IRequest, name: str, first=1, second: int = 2, /) -> Any:  # type: ignore[no-untyped-def]
            return name, first, second

        self.assertEqual(self.ask(view, "/?size=3&more=4", name="a"), ("a", 3, 4))
        self.assertEqual(self.ask(silent, "/?second=3", name="a"), ("a", 1, 3))

    def test_star_behind_others(self) -> None:
        """
        C{*args} gets nothing when something else would get it first.
        """
        self.path = {"name": str}

        def plain(name: str, *args: Any) -> Any:
            return name, args

        def typed(name: str, size: int, *args: Any) -> Any:
            return name, size, args

        self.assertEqual(self.ask(plain, name="a"), ("a", ()))
        self.assertEqual(self.ask(typed, "/?size=3", name="a"), ("a", 3, ()))

    def test_stars(self) -> None:
        """
        C{*args} gets the request and C{**kwargs} what is in the path, as in Klein.
        """
        self.path = {"name": str}

        def plain(*args: Any, **kwargs: Any) -> Any:
            return args, kwargs

        def typed(*args: Any, size: int, **kwargs: Any) -> Any:
            return args, kwargs, size

        def named(request: Request, *args: Any, size: int, **kwargs: Any) -> Any:
            return args, kwargs, size

        asked = request("/?size=3")
        for function, expected in (
            (plain, ((asked,), {"name": "a"})),
            (typed, ((asked,), {"name": "a"}, 3)),
            (named, ((), {"name": "a"}, 3)),
        ):
            binding = self.bind(function)
            self.assertEqual(binding.call(asked, {"name": "a"}), expected)


class PlainTests(BindingCase):
    """
    A handler that asks for nothing but what Klein gives costs nothing.
    """

    def test_plain(self) -> None:
        """
        It takes the request, or nothing, and what is in the path as it is.
        """
        self.path = {"id": int}

        def klein(request, id, page=1):  # type: ignore[no-untyped-def]
            """Klein's own."""

        def typed(request: IRequest, id: int) -> None:
            """The same with types."""

        def wider(request: IRequest, id: int | None, page: Any = None) -> None:
            """What it takes may be more."""

        def without(id: object) -> None:
            """No request."""

        def stars(*args: Any, **kwargs: Any) -> None:
            """Anything."""

        for function in (klein, typed, wider, without, stars):
            self.assertTrue(self.bind(function).plain, function)

    def test_not_plain(self) -> None:
        """
        It is not when anything has to be read, or put in another place.
        """
        self.path = {"id": int}

        def query(request: IRequest, id: int, page: int = 1) -> None:
            """Reads the query."""

        def rated(request: IRequest, id: Rating) -> None:
            """Reads what is in the path once more."""

        def renamed(
            request: IRequest, it: Annotated[int, Source("path", "id")]
        ) -> None:
            """Calls it by another name."""

        def behind(id: int, request: IRequest) -> None:
            """Has the request elsewhere."""

        def positional(request: IRequest, id: int, /) -> None:
            """Takes nothing by name."""

        for function in (query, rated, renamed, behind, positional):
            self.assertFalse(self.bind(function).plain, function)

    def test_calls(self) -> None:
        """
        A plain handler is called with what is there, and with its instance first
        if it is a method.
        """

        class Pages:
            def both(self, request: IRequest, id: int) -> Any:
                return self, request, id

            def without(self, id: int) -> Any:
                return self, id

        self.path = {"id": int}
        pages, asked = Pages(), request()
        for function, bound, expected in (
            (Pages.both, True, (pages, asked, 3)),
            (Pages.without, True, (pages, 3)),
            (pages.both, False, (pages, asked, 3)),
            (pages.without, False, (pages, 3)),
        ):
            binding = self.bind(function, bound=bound)
            self.assertTrue(binding.plain)
            self.assertEqual(binding.call(asked, {"id": 3}, pages), expected)

    def test_methods(self) -> None:
        """
        One that is not plain gets its instance first as well.
        """

        class Pages:
            def show(self, size: int) -> Any:
                return self, size

            def stars(self, *args: Any, size: int) -> Any:
                return self, args, size

        pages, asked = Pages(), request("/?size=3")
        for function, expected in (
            (Pages.show, (pages, 3)),
            (Pages.stars, (pages, (asked,), 3)),
        ):
            binding = self.bind(function, bound=True)
            self.assertEqual(binding.call(asked, {}, pages), expected)

    def test_no_deferred(self) -> None:
        """
        No Deferred is made where nothing has to be waited for.
        """

        def session() -> Iterator[Session]:
            yield Session()

        def view(size: int, session: Session, product: Product) -> str:
            return product.name

        self.components.add(session)
        binding = self.bind(view)
        asked = request("/?size=3", b'{"name": "a"}')
        with patch.object(
            defer.Deferred, "__init__", side_effect=AssertionError("a Deferred")
        ):
            self.assertEqual(binding.call(asked, {}), "a")
            self.assertIsNone(scope_of(asked).close(None))

    def test_own_result(self) -> None:
        """
        What a handler returns is what its caller gets.
        """
        waiting: Deferred[int] = Deferred()

        def view(size: int) -> Deferred[int]:
            return waiting

        self.assertIs(self.ask(view, "/?size=3"), waiting)


class PathTests(BindingCase):
    """
    What stands in the path goes by its name.
    """

    def test_as_it_is(self) -> None:
        """
        What a converter gives is given.
        """
        self.path = {"id": int}

        def view(id: int, size: int) -> Any:
            return id, size

        self.assertEqual(self.ask(view, "/?size=3", id=7), (7, 3))

    def test_read(self) -> None:
        """
        What is annotated with more than the converter knows is read; what it is not
        is not there.
        """
        self.path = {"rating": str, "colour": str}

        def view(rating: Rating, colour: Colour) -> Any:
            return rating, colour

        self.assertEqual(self.ask(view, rating="5", colour="red"), (5, Colour.RED))
        self.assertEqual(
            self.refused(view, rating="6", colour="blue"),
            (
                404,
                [
                    "path rating: expected an integer from 1 to 5, got '6'",
                    "path colour: expected one of 'red', 'green', got 'blue'",
                ],
            ),
        )
        with self.assertRaises(NotFound):
            self.ask(view, rating="6", colour="red")

    def test_not_found_comes_first(self) -> None:
        """
        Where nothing is, nothing else is wrong.
        """
        self.path = {"rating": int}

        def view(rating: Rating, size: int) -> None:
            """Is not called."""

        self.assertEqual(
            self.refused(view, rating=6),
            (404, ["path rating: expected an integer from 1 to 5, got 6"]),
        )

    def test_by_another_name(self) -> None:
        """
        An annotation may say what it is called there.
        """
        self.path = {"id": int, "name": str}

        def view(
            number: Annotated[Rating, Source("path", "id")], name: Path[str]
        ) -> Any:
            return number, name

        self.assertEqual(self.ask(view, id=3, name="a"), (3, "a"))

    def test_not_in_the_path(self) -> None:
        """
        What is said to be in the path and is not stops the start.
        """
        self.path = {"product_id": int}

        def view(prod_id: Path[int]) -> None:
            """Misspelt."""

        self.assertEqual(
            self.wrong(view),
            "parameter 'prod_id': there is no 'prod_id' in the path; did you mean "
            "'product_id'?",
        )

    def test_not_taken(self) -> None:
        """
        What is in the path and nobody takes stops the start, but for a name that is
        spare.
        """
        self.path = {"product_id": int}

        def view(prod_id: int) -> int:
            return prod_id

        self.assertEqual(
            self.wrong(view),
            "'product_id' is in the path, but no parameter takes it; did you mean it "
            "by 'prod_id'?",
        )
        binding = self.bind(view, spare={"product_id"})
        self.assertEqual(binding.call(request("/?prod_id=3"), {"product_id": 7}), 3)

    def test_spare(self) -> None:
        """
        A name that is spare may be taken; what does not is not given it.
        """
        self.path = {"company": str}

        def without(request: IRequest) -> str:
            return "nobody"

        def taking(request: IRequest, company: str) -> str:
            return company

        for function, expected in ((without, "nobody"), (taking, "acme")):
            binding = self.bind(function, spare={"company"})
            self.assertEqual(binding.call(request(), {"company": "acme"}), expected)

    def test_not_to_be_read(self) -> None:
        """
        What no text can become stops the start.
        """
        self.path = {"product": str}

        def view(product: Product) -> None:
            """Wants more than a text."""

        self.assertEqual(
            self.wrong(view),
            "parameter 'product': in the path it is str, which cannot become Product",
        )

    def test_converted(self) -> None:
        """
        What a converter of one's own gives needs no reading, of whatever type.
        """
        self.path = {"session": Session, "day": datetime.date, "id": int}

        def view(session: Session, day: datetime.date, id: UserId) -> Any:
            return session, day, id

        session, day = Session(), datetime.date(2026, 1, 31)
        self.assertEqual(
            self.ask(view, session=session, day=day, id=3), (session, day, 3)
        )


class QueryTests(BindingCase):
    """
    What is text, a number and the like comes from the query.
    """

    def test_scalars(self) -> None:
        """
        Every type of a single text is read.
        """

        def view(
            text: str,
            number: float,
            price: Decimal,
            day: datetime.date,
            at: datetime.datetime,
            key: uuid.UUID,
            colour: Colour,
            order: Literal["up", "down"],
            user: UserId,
            either: int | str,
        ) -> tuple[Any, ...]:
            return text, number, price, day, at, key, colour, order, user, either

        key = uuid.UUID(int=1)
        self.assertEqual(
            self.ask(
                view,
                "/?text=a+b%C3%A9&number=1.5&price=9.90&day=2026-01-31"
                f"&at=2026-01-31T12:00:00Z&key={key}&colour=red&order=up&user=3"
                "&either=x",
            ),
            (
                "a bé",
                1.5,
                Decimal("9.90"),
                datetime.date(2026, 1, 31),
                datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC),
                key,
                Colour.RED,
                "up",
                3,
                "x",
            ),
        )

    def test_lists(self) -> None:
        """
        A list is a name more than once.
        """

        def view(
            tags: list[str],
            sizes: set[int] = set(),  # noqa: B006
            pair: tuple[int, int] = (0, 0),
        ) -> Any:
            return tags, sizes, pair

        self.assertEqual(self.ask(view, "/?tags=a"), (["a"], set(), (0, 0)))
        self.assertEqual(
            self.ask(view, "/?tags=a&tags=b&sizes=1&sizes=2&sizes=1&pair=3&pair=4"),
            (["a", "b"], {1, 2}, (3, 4)),
        )

    def test_list_faults(self) -> None:
        """
        What is wrong in a list is told with its place.
        """

        def view(sizes: list[int], pages: list[int]) -> None:
            """Is not called."""

        self.assertEqual(
            self.refused(view, "/?sizes=1&sizes=x"),
            (
                400,
                [
                    "query sizes[1]: expected an integer, got 'x'",
                    "query pages: required, but missing",
                ],
            ),
        )

    def test_more_than_once(self) -> None:
        """
        What is no list cannot be given twice.
        """

        def view(size: int) -> None:
            """Is not called."""

        self.assertEqual(
            self.refused(view, "/?size=1&size=2"),
            (400, ["query size: expected an integer, got a list of 2 items"]),
        )

    def test_one_or_several(self) -> None:
        """
        What may be either is what comes.
        """

        def view(size: int | list[int]) -> Any:
            return size

        self.assertEqual(self.ask(view, "/?size=1"), 1)
        self.assertEqual(self.ask(view, "/?size=1&size=2"), [1, 2])

    def test_unknown(self) -> None:
        """
        What nobody asked for is nobody's business.
        """

        def view(size: int) -> int:
            return size

        self.assertEqual(self.ask(view, "/?size=1&utm_source=x"), 1)

    def test_booleans(self) -> None:
        """
        A truth value is C{true} or C{false} in any case, C{1} or C{0}, or what a box
        in a form is when it is checked; a name alone is true.
        """

        def view(flag: bool) -> bool:
            return flag

        for text in ("true", "True", "1", "on"):
            self.assertIs(self.ask(view, f"/?flag={text}"), True)
        for text in ("false", "FALSE", "0", "off"):
            self.assertIs(self.ask(view, f"/?flag={text}"), False)
        self.assertIs(self.ask(view, "/?flag"), True)
        self.assertEqual(
            self.refused(view, "/?flag=perhaps"),
            (400, ["query flag: expected true or false, got 'perhaps'"]),
        )

    def test_optional(self) -> None:
        """
        What may be missing is its default, or C{None}; blank text is C{None} where
        there may be that, but no text.
        """

        def view(
            size: int | None,
            page: int = 1,
            word: str | None = "x",
            tags: list[str] = ["a"],  # noqa: B006
        ) -> Any:
            return size, page, word, tags

        self.assertEqual(self.ask(view), (None, 1, "x", ["a"]))
        self.assertEqual(self.ask(view, "/?size=&word="), (None, 1, "", ["a"]))
        self.assertEqual(
            self.refused(view, "/?page="),
            (400, ["query page: expected an integer, got ''"]),
        )

    def test_wrong_default(self) -> None:
        """
        A default is given as it is, of whatever type.
        """
        nothing = object()

        def view(size: int = nothing) -> Any:  # type: ignore[assignment]
            return size

        self.assertIs(self.ask(view), nothing)

    def test_shape(self) -> None:
        """
        On a route whose methods have no body, a shape is the query; what else is in
        the query does not disturb it.
        """
        self.methods = {"GET", "HEAD"}

        def search(filter: Filter, page: int = 1) -> Any:
            return filter, page

        self.assertEqual(self.ask(search), (Filter(), 1))
        self.assertEqual(
            self.ask(search, "/?words=a&words=b&on-sale=on&page=2&utm_source=x"),
            (Filter(words=("a", "b"), on_sale=True), 2),
        )
        self.assertEqual(
            self.refused(search, "/?size=200&page=x"),
            (
                400,
                [
                    "query page: expected an integer, got 'x'",
                    "query size: expected an integer of at most 100, got '200'",
                ],
            ),
        )

    def test_optional_shape(self) -> None:
        """
        A shape that may be missing is when none of its fields is there.
        """
        self.methods = {"GET"}

        def search(filter: Filter | None) -> Any:
            return filter

        self.assertIsNone(self.ask(search, "/?page=2"))
        self.assertEqual(self.ask(search, "/?size=2"), Filter(size=2))

    def test_said_to_be(self) -> None:
        """
        C{Query} reads from the query what would be the body.
        """

        def search(filter: Query[Filter], product: Product) -> Any:
            return filter.size, product.name

        self.assertEqual(self.ask(search, "/?size=3", b'{"name": "a"}'), (3, "a"))

    def test_tagged_shapes(self) -> None:
        """
        One of several shapes is told by its tag; any fields go into a dict.
        """
        self.methods = {"GET"}

        def shapes(it: Circle | Square) -> Any:
            return it

        def anything(it: dict[str, str]) -> Any:
            return it

        self.assertEqual(self.ask(shapes, "/?type=square&side=3&x=1"), Square(3))
        self.assertEqual(self.ask(anything, "/?a=1&b=2"), {"a": "1", "b": "2"})

    def test_flags(self) -> None:
        """
        A type that cannot be kept, for want of a hash, is read as well.
        """

        def view(size: Annotated[int, Meta(extra_json_schema={"x": []})]) -> int:
            return size

        self.assertEqual(self.ask(view, "/?size=3"), 3)

    def test_key(self) -> None:
        """
        An annotation may say what it is called there.
        """

        def view(from_day: Annotated[int, Source("query", "from")]) -> int:
            return from_day

        self.assertEqual(self.ask(view, "/?from=3"), 3)
        self.assertEqual(
            self.refused(view), (400, ["query from: required, but missing"])
        )

    def test_malformed(self) -> None:
        """
        A query that cannot be taken apart is told once.
        """

        def view(size: int, filter: Query[Filter]) -> None:
            """Is not called."""

        self.assertEqual(
            self.refused(view, "/?word=%FF"), (400, ["query word: not UTF-8"])
        )

    def test_list_of_shapes(self) -> None:
        """
        No query is a list of shapes.
        """
        self.methods = {"GET"}

        def view(products: list[Product]) -> None:
            """Wants too much."""

        self.assertEqual(
            self.wrong(view),
            "parameter 'products': the methods of this route have no body, and a query "
            "cannot be list[Product]",
        )


class HeaderTests(BindingCase):
    """
    Headers and cookies come when they are asked for.
    """

    def test_header(self) -> None:
        """
        A header goes by the parameter's name, or by the one that is said.
        """

        def view(
            x_token: Header[str],
            retry: Annotated[int, Source("header", "Retry-After")],
            etag: Header[str] | None,
            accept: Header[str] = "*/*",
        ) -> Any:
            return x_token, retry, etag, accept

        self.assertEqual(
            self.ask(view, headers={"X-Token": "abc", "retry-after": "3"}),
            ("abc", 3, None, "*/*"),
        )
        self.assertEqual(
            self.refused(view, headers={"Retry-After": "x"}),
            (
                400,
                [
                    "header X-Token: required, but missing",
                    "header Retry-After: expected an integer, got 'x'",
                ],
            ),
        )

    def test_blank(self) -> None:
        """
        A header or a cookie that is blank is there, and is what it says.
        """

        def view(
            x_size: Header[int | None] = None,
            etag: Header[str | None] = None,
            size: Cookie[int | None] = None,
        ) -> Any:
            return x_size, etag, size

        self.assertEqual(self.ask(view), (None, None, None))
        self.assertEqual(self.ask(view, headers={"Etag": ""}), (None, "", None))
        for text in "", "null":
            said = {"X-Size": text, "Cookie": f"size={text}"}
            self.assertEqual(
                self.refused(view, headers=said),
                (
                    400,
                    [
                        f"header X-Size: expected an integer, got {text!r}",
                        f"cookie size: expected an integer, got {text!r}",
                    ],
                ),
            )

    def test_header_lists(self) -> None:
        """
        A list has several lines, or several elements in one; a comma in quotes is
        none (RFC 9110, section 5.6.1).
        """

        def view(x_tags: Header[list[str]]) -> Any:
            return x_tags

        self.assertEqual(
            self.ask(view, headers={"X-Tags": 'a, b ,, "c, \\"d"\ne'}),
            ["a", "b", '"c, \\"d"', "e"],
        )

    @given(
        st.lists(st.text("ab0!#-_.", min_size=1) | st.text('ab ,;"\\').map(quoted)),
        st.sampled_from([",", ", ", " ,\t", ",,", ", ,"]),
    )
    def test_any_header_list(self, elements: list[str], comma: str) -> None:
        """
        Whatever elements there are come out as they went in.
        """
        self.assertEqual(elements_of([comma.join(elements)]), elements)

    def test_header_twice(self) -> None:
        """
        What is no list cannot come twice.
        """

        def view(x_size: Header[int]) -> None:
            """Is not called."""

        self.assertEqual(
            self.refused(view, headers={"X-Size": "1\n2"}),
            (400, ["header X-Size: expected an integer, got a list of 2 items"]),
        )

    def test_not_utf8(self) -> None:
        """
        A header that is not UTF-8 is refused.
        """

        def view(x_name: Header[str]) -> None:
            """Is not called."""

        asked = request()
        asked.requestHeaders.addRawHeader(b"X-Name", b"\xff")
        with self.assertRaises(BadRequest) as raised:
            self.bind(view).call(asked, {})
        self.assertEqual(str(raised.exception), "X-Name: not UTF-8")

    def test_alias(self) -> None:
        """
        An annotation may have a name of its own.
        """
        alias: Any = TypeAliasType("Token", Header[str])

        def view(x_token):  # type: ignore[no-untyped-def]
            return x_token

        view.__annotations__["x_token"] = alias
        self.assertEqual(self.ask(view, headers={"X-Token": "abc"}), "abc")

    def test_cookie(self) -> None:
        """
        A cookie goes by its name; the first of two counts.
        """

        def view(session: Cookie[str], size: Cookie[int] = 1) -> Any:
            return session, size

        self.assertEqual(
            self.ask(view, headers={"Cookie": "session=abc; session=d; x=\nsize=3"}),
            ("abc", 3),
        )
        self.assertEqual(
            self.refused(view, headers={"Cookie": "size=x"}),
            (
                400,
                [
                    "cookie session: required, but missing",
                    "cookie size: expected an integer, got 'x'",
                ],
            ),
        )

    def test_no_shapes(self) -> None:
        """
        A header is no shape.
        """

        def view(x_product: Header[Product]) -> None:
            """Wants too much."""

        self.assertEqual(
            self.wrong(view), "parameter 'x_product': a header cannot be Product"
        )

    def test_types(self) -> None:
        """
        An annotation that says where something comes from says its type as well.
        """

        def view(x_token: Header[Any]) -> None:
            """Says too little."""

        self.assertEqual(self.wrong(view), "parameter 'x_token': say its type as well")


class BodyTests(BindingCase):
    """
    What has named parts is the body.
    """

    def test_shapes(self) -> None:
        """
        Whatever has named parts is, and lists of it.
        """

        def shape(it: Product) -> Any:
            return it

        def data(it: Parcel) -> Any:
            return it

        def attrs(it: Letter) -> Any:
            return it

        def typed(it: Person) -> Any:
            return it

        def mapping(it: dict[str, int]) -> Any:
            return it

        def several(it: list[Product]) -> Any:
            return it

        for function, body, expected in (
            (shape, b'{"name": "a"}', Product(name="a")),
            (data, b'{"weight": 3}', Parcel(3)),
            (attrs, b'{"stamp": "x"}', Letter("x")),
            (typed, b'{"name": "a"}', {"name": "a"}),
            (mapping, b'{"a": 1}', {"a": 1}),
            (several, b'[{"name": "a"}]', [Product(name="a")]),
        ):
            self.assertEqual(self.ask(function, "/", body, JSON), expected)
            self.assertEqual(self.bind(function).parameters[0].where, "body")

    def test_formats(self) -> None:
        """
        It may come in any format that is read.
        """

        def view(product: Product) -> Any:
            return product

        self.assertEqual(self.ask(view, "/", b"name=a&rating=4", FORM), Product("a", 4))
        self.assertEqual(
            self.ask(view, "/", multipart(name="a", rating="4"), MULTIPART),
            Product("a", 4),
        )
        with self.assertRaises(Unsupported):
            self.ask(view, "/", b"name", {"Content-Type": "text/plain"})

    def test_faults(self) -> None:
        """
        A body that is not what it should be is 422, one that cannot even be read is
        400.
        """

        def view(product: Product) -> None:
            """Is not called."""

        self.assertEqual(
            self.refused(view, "/", b'{"rating": 6}'),
            (
                422,
                [
                    "body name: required, but missing",
                    "body rating: expected an integer from 1 to 5, got 6",
                ],
            ),
        )
        status, faults = self.refused(view, "/", b"{")
        self.assertEqual((status, faults[0][:14]), (400, "body not JSON:"))
        self.assertEqual(self.refused(view), (400, ["body the body is empty"]))

    def test_all_faults(self) -> None:
        """
        All that is wrong is told at once, wherever it is; it is 400 when any of it
        is not in the body.
        """

        def view(
            product: Product, size: int, x_token: Header[str], session: Cookie[str]
        ) -> None:
            """Is not called."""

        self.assertEqual(
            self.refused(view, "/?size=x", b'{"rating": 6}'),
            (
                400,
                [
                    "query size: expected an integer, got 'x'",
                    "header X-Token: required, but missing",
                    "cookie session: required, but missing",
                    "body name: required, but missing",
                    "body rating: expected an integer from 1 to 5, got 6",
                ],
            ),
        )

    def test_optional(self) -> None:
        """
        One that may be missing is its default, or C{None}.
        """
        default = Product("x")

        def given(product: Product = default) -> Any:
            return product

        def optional(product: Product | None) -> Any:
            return product

        self.assertIs(self.ask(given), default)
        self.assertIsNone(self.ask(optional))
        self.assertEqual(self.ask(optional, "/", b'{"name": "a"}'), Product("a"))
        self.assertIsNone(self.ask(optional, "/", b"null"))

    def test_said_to_be(self) -> None:
        """
        C{Body} makes the body of what would be the query; the bytes of it are just
        that.
        """

        def number(it: Body[int]) -> Any:
            return it

        def anything(it: Body[Any]) -> Any:
            return it

        def raw(it: Body[bytes], size: int = 0) -> Any:
            return it

        self.assertEqual(self.ask(number, "/", b"3"), 3)
        self.assertEqual(self.ask(anything, "/", b'{"a": [1]}'), {"a": [1]})
        self.assertEqual(
            self.ask(raw, "/", b"\xff", {"Content-Type": "image/png"}), b"\xff"
        )
        self.assertEqual(self.ask(raw), b"")

    def test_read_again(self) -> None:
        """
        Who asks for the request as well can read the body there.
        """

        def view(request: Request, product: Product) -> Any:
            return request.content.read()  # type: ignore[union-attr]

        self.assertEqual(self.ask(view, "/", b'{"name": "a"}'), b'{"name": "a"}')

    def test_two(self) -> None:
        """
        There is one body; who wants two things of it is told how to.
        """

        def view(product: Product, supplier: Supplier) -> None:
            """Wants too much."""

        self.assertEqual(
            self.wrong(view),
            "there is one body, and parameters 'product' and 'supplier' both want it: "
            "ask for one shape that has both, as `class Both(Shape): product: Product; "
            "supplier: Supplier`",
        )

    def test_none_to_be_had(self) -> None:
        """
        A route whose methods have no body has none to give.
        """

        def body(product: Body[Product]) -> None:
            """Wants the body."""

        def form(name: Form[str]) -> None:
            """Wants a part of it."""

        def file(it: Upload) -> None:
            """Wants a file."""

        for methods in ({"GET"}, {"HEAD"}, {"DELETE", "OPTIONS"}):
            self.methods = methods
            for function in (body, form, file):
                self.assertIn(
                    "the methods of this route have no body", self.wrong(function)
                )
        for methods in ({"POST"}, {"GET", "PUT"}, None):  # type: ignore[assignment]
            self.methods = methods
            self.assertEqual(self.bind(body).parameters[0].where, "body")


class FormTests(BindingCase):
    """
    The fields of a form come when they are asked for.
    """

    def test_fields(self) -> None:
        """
        They are read as those of a query, from either kind of form.
        """

        def view(
            name: Form[str],
            tags: Form[list[str]],
            agreed: Form[bool] = False,
            page: int = 1,
        ) -> Any:
            return name, tags, agreed, page

        expected = ("a", ["b"], True, 2)
        self.assertEqual(
            self.ask(view, "/?page=2", b"name=a&tags=b&agreed=on&button=", FORM),
            expected,
        )
        body = multipart(name="a", tags="b", agreed="on")
        self.assertEqual(self.ask(view, "/?page=2", body, MULTIPART), expected)
        self.assertEqual(
            self.refused(view, "/", b"agreed=x", FORM),
            (
                422,
                [
                    "body name: required, but missing",
                    "body tags: required, but missing",
                    "body agreed: expected true or false, got 'x'",
                ],
            ),
        )

    def test_nothing(self) -> None:
        """
        Where all may be missing, there need not be a form.
        """

        def view(name: Form[str] = "x") -> Any:
            return name

        self.assertEqual(self.ask(view), "x")

    def test_no_form(self) -> None:
        """
        What is no form is not read as one.
        """

        def view(name: Form[str]) -> None:
            """Is not called."""

        with self.assertRaises(Unsupported):
            self.ask(view, "/", b'{"name": "a"}', JSON)
        status, faults = self.refused(view, "/", b"name=%FF", FORM)
        self.assertEqual((status, faults), (400, ["body name: not UTF-8"]))

    def test_shape(self) -> None:
        """
        A whole form may be a shape.
        """

        def view(product: Form[Product]) -> Any:
            return product

        self.assertEqual(self.ask(view, "/", b"name=a&rating=4", FORM), Product("a", 4))
        with self.assertRaises(Unsupported):
            self.ask(view, "/", b'{"name": "a"}', JSON)

    def test_files(self) -> None:
        """
        A file is known by its type; it is closed with all else that is open.
        """

        def view(name: Form[str], file: Upload, more: list[Upload] = []) -> Any:  # noqa: B006
            return name, file, more

        asked = request("/", multipart(name="a", file="@text"), MULTIPART)
        name, file, more = self.bind(view).call(asked, {})
        self.assertEqual((name, file.filename, more), ("a", "a.txt", []))
        self.assertEqual(file.file.read(), b"text")
        self.assertIsNone(scope_of(asked).close(None))
        self.assertTrue(file.file.closed)

    def test_files_in_shapes(self) -> None:
        """
        A shape may have a file in it, which is closed as well.
        """

        def view(meeting: Meeting) -> Any:
            return meeting

        body = multipart(title="a", minutes="@text")
        asked = request("/", body, MULTIPART)
        meeting = self.bind(view).call(asked, {})
        self.assertEqual(meeting.minutes.file.read(), b"text")
        scope_of(asked).close(None)
        self.assertTrue(meeting.minutes.file.closed)
        self.assertEqual(
            self.ask(view, "/", b'{"title": "a"}', JSON), Meeting(title="a")
        )

    def test_files_of_a_refused_form(self) -> None:
        """
        A form that is refused leaves no file open.
        """
        files: list[Upload] = []

        def view(file: Upload, size: int) -> None:
            """Is not called."""

        made = Upload.__init__

        def note(self: Upload, *args: Any) -> None:
            made(self, *args)
            files.append(self)

        with patch.object(Upload, "__init__", note):
            status, _ = self.refused(view, "/", multipart(file="@text"), MULTIPART)
        self.assertEqual((status, [each.file.closed for each in files]), (400, [True]))

    def test_a_missing_file(self) -> None:
        """
        A file that must be there is told of when it is not, or is text.
        """

        def view(file: Upload, other: Upload | None) -> None:
            """Is not called."""

        self.assertEqual(
            self.refused(view, "/", multipart(other="text"), MULTIPART),
            (
                422,
                [
                    "body file: required, but missing",
                    "body other: expected a file or null, got 'text'",
                ],
            ),
        )

    def test_not_with_a_body(self) -> None:
        """
        A handler takes fields, or all of the body.
        """

        def view(product: Product, file: Upload) -> None:
            """Wants both."""

        self.assertEqual(
            self.wrong(view),
            "parameter 'product' wants the whole body, of which 'file' is a field: "
            "make it a field of Product, as `file: Upload`",
        )


class RefusalTests(BindingCase):
    """
    A handler that asks for what no request has stops the start.
    """

    def test_place(self) -> None:
        """
        It is named, with the line in which it is written.
        """

        def view(session: Session) -> None:
            """Wants too much."""

        error = self.error(view)
        line = view.__code__.co_firstlineno
        self.assertEqual((error.name, error.place), ("view", f"{__file__}:{line}"))
        name = self.error(RefusalPages.show, bound=True).name
        self.assertEqual(name, "RefusalPages.show")

    def test_nothing_said(self) -> None:
        """
        What has no annotation must be in the path, or have a default.
        """
        self.path = {"product_id": int}

        def view(request, prod_id):  # type: ignore[no-untyped-def]
            """Misspelt."""

        self.assertEqual(
            self.wrong(view),
            "cannot tell what 'prod_id' is: annotate it, put it in the path, or give "
            "it a default; did you mean 'product_id', which is in the path?",
        )

    def test_defaults(self) -> None:
        """
        What has no annotation and a default is left at it, as in Klein.
        """

        def view(request, size: int, page=1):  # type: ignore[no-untyped-def]
            return size, page

        self.assertEqual(self.ask(view, "/?size=3&page=2"), (3, 1))

    def test_nobody_gives_it(self) -> None:
        """
        A type that nobody gives is told with those that somebody does.
        """

        def view(session: Session) -> None:
            """Wants too much."""

        def sesion() -> Letter:
            return Letter("x")

        self.assertIn("there are no components", self.wrong(view))
        self.components.add(sesion)
        self.assertEqual(
            self.wrong(view),
            "parameter 'session': no request has a Session in it, and no component "
            "gives one; there are components for Letter",
        )
        self.components.provide(type("Sessions", (), {}), None)
        self.assertIn("did you mean Sessions?", self.wrong(view))

    def test_fields_that_nobody_can_read(self) -> None:
        """
        A class that has fields is read only if these can be.
        """

        def view(repository: Repository) -> None:
            """Forgot the component."""

        self.assertEqual(
            self.wrong(view),
            "parameter 'repository': Repository.session cannot be read: there is no "
            "way to make a Session of what JSON can say; no request has a Repository "
            "in it, and no component gives one; there are no components",
        )

    def test_fields_that_cannot_be_so(self) -> None:
        """
        What is wrong with a class that is meant to be read is told.
        """

        def view(ledger: Ledger) -> None:
            """Wants a number of something that is none."""

        self.assertIn(
            "Ledger cannot be read: Can only set `ge` on a numeric type",
            self.wrong(view),
        )

    def test_a_default_is_no_way_out(self) -> None:
        """
        Nor is a type that nobody gives left at its default: the component may just
        have been forgotten.
        """

        def view(session: Session = None) -> None:  # type: ignore[assignment]
            """Would never have one."""

        self.assertIn("no component gives one", self.wrong(view))

    def test_unresolved(self) -> None:
        """
        An annotation that cannot be resolved is named.
        """

        def view(it: Elsewhere) -> None:
            """Knows its type only while it is checked."""

        self.assertEqual(
            self.wrong(view),
            "parameter 'it': there is no 'Elsewhere' in tests.test_binding: import or "
            "define it at the top of the module, not in a function and not under "
            "`if TYPE_CHECKING:`",
        )

    def test_no_type(self) -> None:
        """
        An annotation that is no type is shown.
        """

        def view(it: 3 | None) -> None:  # type: ignore[valid-type]
            """Is mistaken."""

        self.assertIn("'3 | None' is no type: ", self.wrong(view))

    def test_unresolved_in_klein(self) -> None:
        """
        What Klein does not need to know need not be known.
        """

        def view(request: Elsewhere) -> Elsewhere:
            return request

        asked = request()
        binding = self.bind(view)
        self.assertIs(binding.call(asked, {}), asked)
        self.assertIs(binding.answer, inspect.Parameter.empty)

    def test_unresolved_answer(self) -> None:
        """
        A handler that says of itself what it takes says also what it gives.
        """

        def view(size: int) -> Elsewhere:
            """Does not say."""

        self.assertIn("what it returns: there is no 'Elsewhere'", self.wrong(view))

    def test_steps(self) -> None:
        """
        A generator function that is meant to wait is decorated.
        """

        def view(request: IRequest) -> Steps[int]:
            yield 1
            return 2

        self.assertEqual(
            self.wrong(view),
            "it is annotated with Steps: decorate it with @inlineCallbacks",
        )

    def test_same_key(self) -> None:
        """
        Two parameters cannot be the same.
        """

        def view(
            x_token: Header[str], token: Annotated[int, Source("header", "x-token")]
        ) -> None:
            """Is confused."""

        self.assertEqual(
            self.wrong(view),
            "parameters 'x_token' and 'token' are both 'x-token' in the header",
        )

    def test_no_signature(self) -> None:
        """
        What does not say what it takes cannot be bound.
        """
        self.assertIn("it cannot be bound: ", self.wrong(dict))


class RefusalPages:
    """
    Pages that do not work.
    """

    def show(self, session: Session) -> None:
        """Wants too much."""


class FunctionTests(BindingCase):
    """
    A handler may be any kind of function.
    """

    def test_wrapped(self) -> None:
        """
        What is put around it by C{functools.wraps} is seen through.
        """

        def shout(function: Callable[..., str]) -> Callable[..., str]:
            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> str:
                return function(*args, **kwargs).upper()

            return wrapper

        @shout
        def view(word: str) -> str:
            return word

        self.assertEqual(self.ask(view, "/?word=a"), "A")
        self.assertEqual(self.bind(view).parameters[0].shape, str)

    def test_partial(self) -> None:
        """
        What a partial gives is not asked for.
        """

        def view(greeting: str, word: str, mark: str) -> str:
            return greeting + word + mark

        self.assertEqual(
            self.ask(functools.partial(view, "hello ", mark="!"), "/?word=a&mark=x"),
            "hello a!",
        )

        def other(session: Session, mark: str) -> None:
            """Cannot be bound."""

        self.assertEqual(self.error(functools.partial(other, mark="!")).name, "other")

    def test_object(self) -> None:
        """
        An object that can be called is as good as its method.
        """

        class View:
            def __call__(self, word: str) -> str:
                return word

        self.assertEqual(self.ask(View(), "/?word=a"), "a")

    def test_class(self) -> None:
        """
        A class is called to make an instance.
        """
        self.path = {"stamp": str}
        self.assertEqual(self.ask(Letter, stamp="x"), Letter("x"))

    def test_other_decorations(self) -> None:
        """
        A decorator that is no function, such as a cache, is seen through as well.
        """

        @functools.lru_cache
        def view(word: str) -> str:
            return word

        self.assertEqual(self.ask(view, "/?word=a"), "a")


class AnswerTests(BindingCase):
    """
    The type of an answer is known at the start.
    """

    def test_answers(self) -> None:
        """
        It is what comes when the answer has been waited for.
        """

        def plain() -> Product:
            raise NotImplementedError

        def waiting() -> Deferred[Product]:
            raise NotImplementedError

        @inlineCallbacks
        def steps() -> Steps[Product]:
            yield
            raise NotImplementedError

        @defer.inlineCallbacks
        def twisted() -> Generator[Deferred[Any], Any, Product]:
            yield defer.succeed(None)
            raise NotImplementedError

        @inlineCallbacks
        def more_steps() -> Generator[Any, Any, Product]:
            yield
            raise NotImplementedError

        async def coroutine() -> Product:
            raise NotImplementedError

        def awaited() -> Awaitable[Product]:
            raise NotImplementedError

        def begun() -> Coroutine[Any, Any, Product]:
            raise NotImplementedError

        for function in (
            plain,
            waiting,
            steps,
            twisted,
            more_steps,
            coroutine,
            awaited,
            begun,
        ):
            self.assertIs(self.bind(function).answer, Product, function)

    def test_streams(self) -> None:
        """
        What comes in pieces is what it is.
        """

        def pieces() -> Iterator[bytes]:
            yield b""

        def generator() -> Generator[bytes, None, None]:
            yield b""

        async def asynchronous() -> AsyncIterator[bytes]:
            yield b""

        for function, expected in (
            (pieces, Iterator[bytes]),
            (generator, Generator[bytes, None, None]),
            (asynchronous, AsyncIterator[bytes]),
        ):
            self.assertEqual(self.bind(function).answer, expected)

    def test_not_said(self) -> None:
        """
        A handler need not say; C{None} is said.
        """

        def silent(request):  # type: ignore[no-untyped-def]
            """Says nothing."""

        def nothing() -> None:
            """Says that."""

        self.assertIs(self.bind(nothing).answer, type(None))
        self.assertIs(self.bind(silent).answer, inspect.Parameter.empty)


class ParameterTests(BindingCase):
    """
    What a handler asks for can be looked at.
    """

    def test_parameters(self) -> None:
        """
        Each is told with its place, its name there, its type, and whether it must
        be there.
        """
        self.path = {"id": int}

        def view(  # type: ignore[no-untyped-def]
            request: IRequest,
            id: int,
            size: int | None,
            x_token: Annotated[Header[str], Meta(min_length=3)],
            product: Product,
            session: Session,
            page: int = 1,
            silent=None,
        ) -> None:
            """Asks for a lot."""

        self.components.add(Session)
        told = [
            (each.name, each.where, each.key, each.shape, each.required, each.whole)
            for each in self.bind(view).parameters
        ]
        self.assertEqual(
            told,
            [
                ("request", "request", "request", IRequest, True, False),
                ("id", "path", "id", int, True, False),
                ("size", "query", "size", int | None, False, False),
                (
                    *("x_token", "header", "X-Token"),
                    *(Annotated[str, Meta(min_length=3)], True, False),
                ),
                ("product", "body", "product", Product, True, True),
                ("session", "component", "Session", Session, True, False),
                ("page", "query", "page", int, False, False),
            ],
        )
        self.assertEqual(self.bind(view).parameters[-1].default, 1)
