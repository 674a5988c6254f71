"""
Tests for L{ropewalk.web.media}: formats of a site's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import msgspec
from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import Invalid, Malformed
from ropewalk.schema import Shape, read, to_plain
from ropewalk.web import Routes
from ropewalk.web.answers import Response, Stream
from ropewalk.web.documenting import mount_documentation
from ropewalk.web.formats import OFFERS, Unsupported, accepted, read_body
from ropewalk.web.links import Links
from ropewalk.web.media import NONE, Formats
from ropewalk.web.table import Entry, Table
from tests.answering import AnswersTestCase, Point
from tests.visiting import Place


class Indenting:
    """JSON that people like to read."""

    def write(self, value: Any) -> bytes:
        return json.dumps(to_plain(value), indent=2).encode()


class Toy:
    """A format in which a text is all between two bytes."""

    def write(self, value: Any) -> bytes:
        return b"<" + repr(to_plain(value)).encode() + b">"

    def read(self, shape: Any, raw: bytes) -> Any:
        if raw[:1] != b"<" or raw[-1:] != b">":
            raise ValueError("Nothing is between < and >")
        return read(shape, {"x": int(raw[1:-1]), "y": 0})


TOY = "application/x-toy"


class FormatsTests(SynchronousTestCase):
    """
    Formats are objects that write, or read, or both.
    """

    def test_what_there_is(self) -> None:
        """
        It is known which can be written and which can be read.
        """
        formats = Formats({"application/json": Indenting(), TOY: Toy()})
        self.assertEqual(formats.written, ("application/json", TOY))
        self.assertEqual(formats.accepted, (TOY,))
        self.assertEqual((list(formats), len(formats), len(NONE)), ([*formats], 2, 0))
        self.assertIsInstance(formats[TOY], Toy)
        self.assertIsNone(formats.reader("application/json"))
        self.assertIsNone(formats.writer("application/xml"))

    def test_suffixes(self) -> None:
        """
        A format is for all that is written in it by its name, unless there is one
        for just that.
        """
        formats = Formats(
            {"application/json": Indenting(), "application/a+json": Toy()}
        )
        for media_type, written in {
            "application/json": b"[\n  1\n]",
            "application/problem+json": b"[\n  1\n]",
            "application/a+json": b"<[1]>",
        }.items():
            write = formats.writer(media_type)
            assert write is not None
            self.assertEqual(write([1]), written)

    def test_no_formats(self) -> None:
        """
        What is no format, or not for a media type, is refused when it is said.
        """
        for media_type in "", "json", "application/", "A/B", "a/b; c=d", "a/*", "a/b\n":
            self.assertRaises(ValueError, Formats, {media_type: Toy()})
        for media_type in "multipart/form-data", "application/x-www-form-urlencoded":
            self.assertRaises(ValueError, Formats, {media_type: Toy()})
        error = self.assertRaises(TypeError, Formats, {TOY: json})
        self.assertIn("neither write(value) nor read(shape, raw)", str(error))

    def test_wrong_bytes(self) -> None:
        """
        A format's complaints are told as others are.
        """

        @define
        class Failing:
            error: Exception

            def read(self, shape: Any, raw: bytes) -> Any:
                raise self.error

        for error, kind, said in (
            (ValueError("Odd"), Malformed, f"not {TOY}: odd"),
            (EOFError(), Malformed, f"not {TOY}: EOFError"),
            (msgspec.DecodeError("Cut"), Malformed, f"not {TOY}: cut"),
            (msgspec.ValidationError("Expected `int`"), Invalid, "expected `int`"),
            (Malformed(()), Malformed, ""),
            (KeyError("x"), KeyError, "'x'"),
        ):
            reader = Formats({TOY: Failing(error)}).reader(TOY)
            assert reader is not None
            raised = self.assertRaises(kind, reader, Any, b"x")
            self.assertEqual((type(raised), str(raised)), (kind, said))

    def test_text_is_not_written(self) -> None:
        """
        A format that makes text is told that it does.
        """

        class Texts:
            def write(self, value: Any) -> Any:
                return "text"

        write = Formats({TOY: Texts()}).writer(TOY)
        assert write is not None
        error = self.assertRaises(TypeError, write, 1)
        self.assertIn("Texts.write returned str, not bytes", str(error))


class ReadingTests(SynchronousTestCase):
    """
    Bodies in a site's own formats are read.
    """

    def read(self, content_type: str | None, raw: bytes, formats: Formats) -> Any:
        return read_body(Point, content_type, BytesIO(raw), len(raw), formats)

    def test_read(self) -> None:
        """
        A new format is read, the others as before; also in place of JSON.
        """
        formats = Formats({TOY: Toy()})
        self.assertEqual(self.read(TOY, b"<5>", formats), Point(5, 0))
        own = self.read(f"{TOY.upper()}; charset=UTF-8", b"<5>", formats)
        self.assertEqual(own, Point(5, 0))
        plain = b'{"x": 1, "y": 2}'
        for kind in None, "application/json", "application/a+json", "text/json":
            self.assertEqual(self.read(kind, plain, formats), Point(1, 2))
            instead = Formats({"application/json": Toy()})
            self.assertEqual(self.read(kind, b"<7>", instead), Point(7, 0))
        only_writes = Formats({"application/json": Indenting()})
        self.assertEqual(self.read(None, plain, only_writes), Point(1, 2))

    def test_refused(self) -> None:
        """
        What cannot be read is refused, and what can be is named.
        """
        formats = Formats({TOY: Toy()})
        error = self.assertRaises(Malformed, self.read, TOY, b"5", formats)
        self.assertEqual(str(error), f"not {TOY}: nothing is between < and >")
        self.assertRaises(Malformed, self.read, TOY, b"", formats)
        refused = self.assertRaises(Unsupported, self.read, "a/b", b"x", formats)
        self.assertEqual(refused.accepted, (*OFFERS, TOY, "multipart/form-data"))
        self.assertRaises(Unsupported, self.read, f"{TOY}; charset=x", b"<5>", formats)
        self.assertRaises(Unsupported, self.read, TOY, b"<5>", NONE)
        self.assertNotIn(TOY, accepted(Point))


class WritingTests(AnswersTestCase):
    """
    Answers are written in a site's own formats.
    """

    def test_instead(self) -> None:
        """
        One line replaces the JSON of all answers; what has another format keeps it.
        """
        self.place.site.formats = Formats({"application/json": Indenting()})
        written = '{\n  "x": 1,\n  "y": 2\n}'
        for accept in "*/*", "application/json", "text/html, */*;q=0.1":
            answer = self.ask(Point(1, 2), f"Accept: {accept}")
            self.assertEqual(answer.text, written)
            self.assertEqual(answer.headers["content-type"], "application/json")
        said = Response(Point(1, 2), content_type="application/hal+json; charset=utf-8")
        self.assertEqual(self.ask(said).text, written)
        answer = self.ask({"a": 1}, "Accept: application/xml")
        self.assertEqual(answer.headers["content-type"], "application/xml")

    def test_streams(self) -> None:
        """
        Streams are JSON by the same format, a value on one line.
        """
        self.place.site.formats = Formats({"application/json": Indenting()})
        points = [Point(1, 2), Point(3, 4)]

        def point(x: int, y: int) -> str:
            return f'{{   "x": {x},   "y": {y} }}'

        for kind, before, between, behind in (
            ("application/x-ndjson", "", "\n", "\n"),
            ("text/event-stream", "data: ", "\n\ndata: ", "\n\n"),
            ("application/json", "[", ",", "]"),
        ):
            answer = self.ask(Stream(iter(points), kind))
            self.assertEqual(
                answer.text, before + point(1, 2) + between + point(3, 4) + behind
            )

    def test_besides(self) -> None:
        """
        Who accepts a new format gets it; nobody else does.
        """
        self.place.site.formats = Formats({TOY: Toy()})
        for accept, text in {
            TOY: "<[1]>",
            f"{TOY}, application/json;q=0.9": "<[1]>",
            f"application/json, {TOY};q=0.9": "[1]",
            "*/*": "[1]",
            "application/*": "[1]",
        }.items():
            self.assertEqual(self.ask([1], f"Accept: {accept}").text, text, accept)
        self.assertEqual(self.ask(Response([1], content_type=TOY)).text, "<[1]>")
        refused = self.ask([1], "Accept: image/png")
        self.assertEqual(refused.status, 406)
        self.assertIn(TOY, refused.json["detail"])

    def test_what_it_cannot_write(self) -> None:
        """
        What a format refuses is written in the next best.
        """

        class Picky:
            def write(self, value: Any) -> bytes:
                raise ValueError("not today")

        self.place.site.formats = Formats({TOY: Picky()})
        answer = self.ask([1], f"Accept: {TOY}, application/json;q=0.5")
        self.assertEqual(answer.text, "[1]")
        answer = self.ask([1], f"Accept: {TOY}")
        self.assertEqual(answer.status, 406)


class Order(Shape):
    """What is ordered."""

    x: int
    y: int = 0


class SiteTests(SynchronousTestCase):
    """
    A whole site, its parts replaced.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        routes = Routes()

        @routes.post("/orders/<int:number>")
        def order(number: int, order: Order) -> dict[str, Any]:
            return {"number": number, "x": order.x}

        self.order = order
        self.place.mount("/", routes)

    def test_typed_handlers(self) -> None:
        """
        Handlers know nothing of the formats.
        """
        self.place.site.formats = Formats({TOY: Toy(), "application/json": Indenting()})
        visit = self.place.visit()
        answer = visit.ask("/orders/5", "POST", f"Content-Type: {TOY}", body=b"<7>")
        self.assertEqual(answer.text, '{\n  "number": 5,\n  "x": 7\n}')
        answer = visit.ask("/orders/5", "POST", f"Content-Type: {TOY}", body=b"7")
        self.assertEqual(answer.status, 400)
        told = {"in": "body", "path": "", "problem": answer.json["detail"]}
        self.assertEqual(answer.json["errors"], [told])
        answer = visit.ask("/orders/5", "POST", "Content-Type: a/b", body=b"7")
        self.assertEqual(answer.status, 415)
        self.assertIn(TOY, answer.json["detail"])

    def test_documentation(self) -> None:
        """
        The documentation lists a format where it can be had.
        """
        formats = Formats({TOY: Toy(), "application/json": Indenting()})
        mounts, place = self.place.site.mounts, "ropewalk.toml:1"
        mount_documentation(mounts, "/api", "web", place, title="", formats=formats)
        document = self.place.visit().ask("/api.json").json
        told = document["paths"]["/orders/{number}"]["post"]
        self.assertIn(TOY, told["requestBody"]["content"])
        self.assertEqual(list(told["responses"]["200"]["content"]), [*OFFERS, TOY])
        for status in "400", "422":
            self.assertNotIn(TOY, told["responses"][status]["content"])

    def test_router(self) -> None:
        """
        Routes may be found by somebody else's table.
        """
        made: list[Counting] = []

        class Counting(Table[Any]):
            """A table that counts."""

            def __init__(self, entries: Iterator[Entry[Any]]) -> None:
                super().__init__(entries)
                self.asked: list[str] = []
                made.append(self)

            def __len__(self) -> int:
                return 0  # it is there all the same

            def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
                self.asked.append(path)
                return super().find(path, *args, **kwargs)

        self.place.site.mounts.table_class = Counting
        visit = self.place.visit()
        for path in "/orders/1", "/orders/x", "/orders/1":
            visit.ask(path, "POST", body=b'{"x": 1}')
        (table,) = made
        self.assertEqual(table.asked, ["/orders/1", "/orders/x", "/orders/1"])
        self.assertIs(self.place.site.mounts.table, table)
        links: Links = self.place.site.mounts.links
        path, _ = links.to(self.order, {"number": 3}, "", None, None)
        self.assertEqual(path, "/orders/3")
