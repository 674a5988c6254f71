"""
Tests for L{ropewalk.web.falcon}: what was written for Falcon runs here.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadHandler
from ropewalk.interfaces import Steps
from ropewalk.web import falcon
from ropewalk.web.patterns import BadRule
from ropewalk.web.routes import Routes
from tests.visiting import Answer, Place

JSON = "Content-Type: application/json"
FORM = "Content-Type: application/x-www-form-urlencoded"

QUOTE = {"quote": "A smooth sea never made a skilled sailor.", "author": "proverb"}

Responder = Callable[..., Any]


class FalconCase(SynchronousTestCase):
    """
    An application, and a client.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.app = falcon.App()

    def add(self, path: str, *methods: str) -> Callable[[Responder], None]:
        """Serve a function as the only responder of a resource."""

        def decorate(function: Responder) -> None:
            resource = _Plain()
            for method in methods or ("get",):
                setattr(resource, f"on_{method}", function)
            self.app.add_route(path, resource)

        return decorate

    def ask(
        self, path: str, method: str = "GET", *headers: str, body: bytes = b""
    ) -> Answer:
        if not list(self.place.site.mounts):
            self.place.mount("/", self.app)
        return self.place.visit().ask(path, method, *headers, body=body)


class _Plain:
    """A resource whose responders are put there."""


class ResourceTests(FalconCase):
    """
    Resources.
    """

    def test_quote(self) -> None:
        """
        The quote of the article, as one writes it now, and as one did.
        """

        class QuoteResource:
            def on_get(self, req: Any, resp: Any) -> None:
                resp.media = QUOTE

        class OlderResource:
            def on_get(self, req: Any, resp: Any) -> None:
                """Handles GET requests"""
                resp.status = falcon.HTTP_200
                resp.body = json.dumps(QUOTE)

        for make in falcon.App, falcon.API:
            self.place, self.app = Place.of(), make()
            self.app.add_route("/quote", QuoteResource())
            self.app.add_route("/older", OlderResource())
            for path in "/quote", "/older":
                answer = self.ask(path)
                self.assertEqual(
                    (answer.status, answer.headers["content-type"], answer.json),
                    (200, "application/json", QUOTE),
                )
        answer = self.ask("/quote", "POST")
        self.assertEqual(
            (answer.status, answer.headers["allow"]), (405, "GET, HEAD, OPTIONS")
        )
        self.assertEqual(self.ask("/quote", "HEAD").status, 200)

    def test_in_our_routes(self) -> None:
        """
        It runs in routes of ours, whose paths are ours; below a path with parameters
        it is given its own only.
        """

        class Thing:
            def on_get(self, req: Any, resp: Any, id: int) -> None:
                resp.media = id

            def on_delete(self, req: Any, resp: Any, id: int) -> None:
                resp.status = falcon.HTTP_204

        routes = Routes()
        routes.add_route("/things/<int:id>", Thing())
        outer = Routes()
        outer.mount("/<tenant>", routes)
        self.place.mount("/", outer)
        self.assertEqual(self.ask("/acme/things/3").json, 3)
        self.assertEqual(self.ask("/acme/things/3", "DELETE").status, 204)

    def test_flavours(self) -> None:
        """
        A responder may be under C{@inlineCallbacks} or C{async def}.
        """

        class Thing:
            @inlineCallbacks
            def on_get(self, req: Any, resp: Any) -> Steps[None]:
                resp.media = yield succeed({"a": 1})

            async def on_put(self, req: Any, resp: Any) -> None:
                resp.media = await succeed({"b": 2})

        self.app.add_route("/", Thing())
        self.assertEqual(self.ask("/").json, {"a": 1})
        self.assertEqual(self.ask("/", "PUT").json, {"b": 2})

    def test_suffix(self) -> None:
        """
        One resource may be at two paths, with other methods by a suffix.
        """

        class Things:
            def on_get(self, req: Any, resp: Any, id: str) -> None:
                resp.media = id

            def on_get_all(self, req: Any, resp: Any) -> None:
                resp.media = "all"

        things = Things()
        self.app.add_route("/things", things, suffix="all")
        self.app.add_route("/things/{id}", things)
        self.assertEqual(self.ask("/things").json, "all")
        self.assertEqual(self.ask("/things/3").json, "3")

    def test_classes(self) -> None:
        """
        Where a class is given, one object is made of it; one that cannot be made is
        refused with the place where it was added.
        """

        class Thing:
            def __init__(self) -> None:
                self.count = 0

            def on_get(self, req: Any, resp: Any) -> None:
                self.count += 1
                resp.media = self.count

            on_put = on_get

        class Needy:
            def __init__(self, database: object) -> None:
                """Never made."""

            def on_get(self, req: Any, resp: Any) -> None:
                """Never called."""

        self.app.add_route("/", Thing)
        self.assertEqual([self.ask("/").json, self.ask("/", "PUT").json], [1, 2])
        add = self.app.add_route
        error = self.assertRaises(BadHandler, lambda: add("/needy", Needy))
        self.assertRegex(
            str(error), r"Needy \(.*test_falcon\.py:\d+\): an object is needed"
        )
        error = self.assertRaises(BadHandler, lambda: add("/nothing", object()))
        self.assertRegex(str(error), r"object \(.*test_falcon\.py:\d+\): it has none")

    def test_links_and_places(self) -> None:
        """
        Links lead to a responder; it is known where it is written.
        """

        class Thing:
            def on_get(self, req: Any, resp: Any, id: int) -> None:
                resp.media = req.request.link(self.on_get, id=id + 1)

        self.app.add_route("/{id:int}", Thing())
        self.assertEqual(self.ask("/1").json, "/2")
        (entry,) = (
            each
            for each in self.place.site.mounts.table.entries
            if each.target.kind == "route"
        )
        self.assertRegex(entry.target.place, r"test_falcon\.py:\d+$")


class PathTests(FalconCase):
    """
    Paths as Falcon writes them.
    """

    def test_slots(self) -> None:
        """
        Falcon's slots and converters, as many digits and signs as Falcon takes.
        """
        for path in (
            *("/text/{a}/{b}", "/int/{a:int}", "/two/{a:int(2)}", "/float/{a:float}"),
            *("/range/{a:int(min=1, max=9)}", "/uuid/{a:uuid}", "/path/{a:path}"),
            *("/digits/{a:int(num_digits=3)}", "/mixed-{a:int}.txt", "/ours/<date:a>"),
        ):

            @self.add(path)
            def show(req: Any, resp: Any, a: Any, b: Any = None) -> None:
                resp.media = [a, b, type(a).__name__]

        known = uuid.UUID(int=1)
        for path, answer in {
            "/text/x/y": ["x", "y", "str"],
            "/int/7": [7, None, "int"],
            "/int/-7": [-7, None, "int"],
            "/int/x": None,
            "/two/12": [12, None, "int"],
            "/two/123": None,
            "/float/5": [5.0, None, "float"],
            "/float/-5.25": [-5.25, None, "float"],
            "/range/9": [9, None, "int"],
            "/range/10": None,
            f"/uuid/{known}": [str(known), None, "UUID"],
            "/path/a/b/c": ["a/b/c", None, "str"],
            "/digits/007": [7, None, "int"],
            "/digits/7": None,
            "/mixed-7.txt": [7, None, "int"],
            "/ours/2026-01-31": ["2026-01-31", None, "date"],
        }.items():
            asked = self.ask(path)
            self.assertEqual(asked.status, 404 if answer is None else 200, path)
            if answer is not None:
                self.assertEqual(asked.json, answer)

    def test_wrong(self) -> None:
        """
        A slot that cannot be understood is refused where it is written.
        """
        form = "a slot is written {name}, {name:converter} or {name:converter(…)}"
        for path, problem in {
            "/{id:itn}": "there is no converter 'itn'; did you mean 'int'?",
            "/{id:dt}": "there is no converter 'dt'; there are float, int, path, uuid",
            "/x/{id:int": form,
            "/{i-d}": form,
            "/a}": form,
            "/{id:int(mn=1)}": "unexpected keyword argument 'mn'",
            "{id}": "a rule starts with '/'",
        }.items():
            error = self.assertRaises(BadRule, self.app.add_route, path, _Quoting())
            self.assertIn(problem, str(error), path)


class _Quoting:
    """A resource."""

    def on_get(self, req: Any, resp: Any, **params: Any) -> None:
        resp.media = QUOTE


class RequestTests(FalconCase):
    """
    What a resource sees of a request.
    """

    def seen(
        self,
        look: Callable[[Any], Any],
        path: str = "/",
        *headers: str,
        body: bytes = b"",
        method: str = "POST",
    ) -> Any:
        """What a function of the request comes to, through JSON."""
        self.place, self.app = Place.of(), falcon.App()

        @self.add(unquote(path.partition("?")[0]), method.lower())
        def respond(req: Any, resp: Any) -> None:
            resp.media = look(req)

        answer = self.ask(path, method, *headers, body=body)
        return answer.json if answer.status == 200 else answer

    def test_where(self) -> None:
        """
        Where it leads.
        """
        names = (
            *("method", "scheme", "host", "port", "netloc", "path", "query_string"),
            *("relative_uri", "prefix", "uri", "url", "root_path", "remote_addr"),
        )
        self.assertEqual(
            self.seen(
                lambda req: [getattr(req, name) for name in names],
                "/f%C3%BC?a=%20b",
                "Host: example.org:8080",
                method="GET",
            ),
            [
                *("GET", "http", "example.org", 8080, "example.org:8080", "/fü"),
                *("a=%20b", "/f%C3%BC?a=%20b", "http://example.org:8080"),
                *["http://example.org:8080/f%C3%BC?a=%20b"] * 2,
                *("", "10.9.8.7"),
            ],
        )
        self.assertEqual(
            self.seen(lambda req: [req.host, req.port, req.prefix], "/", "Host: [::1]"),
            ["[::1]", 80, "http://[::1]"],
        )

    def test_headers(self) -> None:
        """
        Its headers and cookies.
        """
        headers = "X-Seed: a", "X-Seed: b", "Cookie: a=b; c=d", "Accept: text/html"

        def look(req: Any) -> list[Any]:
            return [
                req.get_header("x-seed"),
                req.headers["X-SEED"],
                req.get_header("X-None"),
                req.get_header("X-None", default="d"),
                req.cookies,
                req.accept,
                req.client_accepts_json,
                req.client_prefers(["application/json", "text/html"]),
                req.client_prefers(["image/png"]),
                [req.content_type, req.content_length, req.user_agent, req.auth],
            ]

        self.assertEqual(
            self.seen(look, "/", *headers, FORM, body=b"abc"),
            [
                *("a, b", "a, b", None, "d", {"a": "b", "c": "d"}, "text/html"),
                *(False, "text/html", None),
                ["application/x-www-form-urlencoded", 3, None, None],
            ],
        )
        answer = self.seen(lambda req: req.get_header("X-None", required=True))
        self.assertEqual(
            (answer.status, answer.json["detail"]),
            (400, 'Missing header value: The "X-None" header is required.'),
        )

    def test_params(self) -> None:
        """
        What is in its query, by type.
        """
        known = uuid.UUID(int=1)
        path = f"/?n=5&f=2.5&yes=true&no=off&bare=&l=1&l=2&u={known}&s=a%20b"
        stored: dict[str, Any] = {}

        def look(req: Any) -> list[Any]:
            return [
                req.params["l"],
                req.get_param("s", store=stored),
                req.get_param("l"),
                req.get_param("none", default="d"),
                req.get_param_as_int("n", min_value=1, max_value=5, store=stored),
                req.get_param_as_int("none", default=7),
                req.get_param_as_float("f"),
                [req.get_param_as_bool(each) for each in ("yes", "no", "bare", "x")],
                req.get_param_as_list("l", int),
                req.get_param_as_list("s"),
                req.get_param_as_list("none"),
                str(req.get_param_as_uuid("u")),
                [req.has_param("n"), req.has_param("none")],
            ]

        self.assertEqual(
            self.seen(look, path),
            [
                *(["1", "2"], "a b", "2", "d", 5, 7, 2.5, [True, False, True, None]),
                *([1, 2], ["a b"], None, str(known), [True, False]),
            ],
        )
        self.assertEqual(stored, {"s": "a b", "n": 5})

    def test_wrong_params(self) -> None:
        """
        What is missing or wrong in its query is answered 400.
        """
        invalid = 'Invalid parameter: The "n" parameter is invalid. The value '
        looks: dict[str, Callable[[Any], Any]] = {
            'Missing parameter: The "m" parameter is required.': lambda req: (
                req.get_param("m", required=True)
            ),
            f"{invalid}must be an integer.": lambda req: req.get_param_as_int("n"),
            f"{invalid}must be a float.": lambda req: req.get_param_as_float("n"),
            f"{invalid}must be a UUID string.": lambda req: req.get_param_as_uuid("n"),
            f"{invalid}is not formatted correctly.": lambda req: req.get_param_as_list(
                "n", int
            ),
        }
        for told, look in looks.items():
            answer = self.seen(look, "/?n=x")
            self.assertEqual((answer.status, answer.json["detail"]), (400, told))
        for least, most in (6, None), (None, 4):

            def bounded(req: Any, least: Any = least, most: Any = most) -> Any:
                return req.get_param_as_int("n", min_value=least, max_value=most)

            self.assertEqual(self.seen(bounded, "/?n=5").status, 400)

    def test_media(self) -> None:
        """
        What is in its body, by its content type.
        """

        def look(req: Any) -> Any:
            return [req.media, req.get_media()]

        body = b'{"a": 1}'
        self.assertEqual(self.seen(look, "/", JSON, body=body), [{"a": 1}] * 2)
        self.assertEqual(self.seen(look, body=body), [{"a": 1}] * 2)
        self.assertEqual(
            self.seen(look, "/", FORM, body=b"a=1&b=2&b=3"),
            [{"a": "1", "b": ["2", "3"]}] * 2,
        )
        for headers, wrong, status in (
            ((JSON,), b'{"a": ', 400),
            (("Content-Type: image/png",), b"x", 415),
        ):
            self.assertEqual(self.seen(look, "/", *headers, body=wrong).status, status)
        self.assertEqual(self.seen(lambda req: req.get_media("empty")), "empty")

    def test_streams(self) -> None:
        """
        Its body as a file, which ends.
        """

        def look(req: Any) -> list[str]:
            return [
                req.stream.read(3).decode(),
                req.bounded_stream.read().decode(),
                req.stream.read().decode(),
            ]

        self.assertEqual(self.seen(look, body=b"abcdef"), ["abc", "def", ""])

    def test_waiting_for_the_body(self) -> None:
        """
        A responder that is C{async def} waits for it, as in C{falcon.asgi}.
        """

        @self.add("/media", "post")
        async def media(req: Any, resp: Any) -> None:
            resp.media = [await req.media, await req.get_media()]

        @self.add("/raw", "post")
        async def raw(req: Any, resp: Any) -> None:
            first = await req.stream.read(2)
            hashed = hashlib.sha256(first)
            async for piece in req.stream:
                hashed.update(piece)
            rest = await req.bounded_stream.readall()
            resp.media = [hashed.hexdigest(), rest.decode()]

        body = b'{"a": 1}'
        answer = self.ask("/media", "POST", JSON, body=body)
        self.assertEqual(answer.json, [{"a": 1}] * 2)
        body = b"x" * 20_000
        answer = self.ask("/raw", "POST", body=body)
        self.assertEqual(answer.json, [hashlib.sha256(body).hexdigest(), ""])

    def test_context(self) -> None:
        """
        Whatever a resource keeps on it, by attribute or by key.
        """

        def look(req: Any) -> list[Any]:
            req.context.user = "Ada"
            req.context["word"] = "x"
            del req.context["word"]
            missing = getattr(req.context, "none", "no attribute")
            return [
                req.context["user"],
                "user" in req.context,
                "word" in req.context,
                req.context.get("word", "none"),
                missing,
                list(req.context),
            ]

        self.assertEqual(
            self.seen(look), ["Ada", True, False, "none", "no attribute", ["user"]]
        )


class ResponseTests(FalconCase):
    """
    What a resource says.
    """

    def said(self, say: Callable[[Any], Any]) -> Answer:
        """What is answered when a function has had the response."""
        self.place, self.app = Place.of(), falcon.App()

        @self.add("/")
        def respond(req: Any, resp: Any) -> None:
            say(resp)

        return self.ask("/")

    def test_statuses(self) -> None:
        """
        A status may be said in any way that Falcon knows.
        """
        for status, code in {
            "201 Created": 201,
            "404 Not here": 404,
            202: 202,
            HTTPStatus.ACCEPTED: 202,
            falcon.HTTP_418: 418,
            falcon.HTTP_CREATED: 201,
            falcon.code_to_http_status(409): 409,
        }.items():

            def say(resp: Any, status: Any = status) -> None:
                resp.status = status

            self.assertEqual(self.said(say).status, code)
        self.assertEqual(
            (falcon.HTTP_200, falcon.HTTP_404, falcon.code_to_http_status("204")),
            ("200 OK", "404 Not Found", "204 No Content"),
        )
        self.assertRaises(AttributeError, getattr, falcon, "HTTP_NONE")

    def test_bodies(self) -> None:
        """
        Text, bytes or a value; without a content type, it is JSON.
        """

        def say(**said: Any) -> tuple[str, bytes]:
            def respond(resp: Any) -> None:
                for name, value in said.items():
                    setattr(resp, name, value)

            answer = self.said(respond)
            return answer.headers.get("content-type", ""), answer.body

        json_type, html = "application/json", falcon.MEDIA_HTML
        self.assertEqual(say(), ("", b""))
        self.assertEqual(say(text="tëxt"), (json_type, "tëxt".encode()))
        self.assertEqual(say(body="text", content_type=html), (html, b"text"))
        self.assertEqual(
            say(data=b"\x00", content_type=falcon.MEDIA_PNG), ("image/png", b"\x00")
        )
        self.assertEqual(say(media={"a": None}), (json_type, b'{"a":null}'))
        self.assertEqual(say(media=None), (json_type, b"null"))
        self.assertEqual(say(media=[]), (json_type, b"[]"))
        self.assertEqual(say(media="text"), (json_type, b'"text"'))
        kind, body = say(media={"a": 1}, content_type=falcon.MEDIA_XML)
        self.assertEqual(kind, falcon.MEDIA_XML)
        self.assertIn(b"<a>1</a>", body)
        self.assertEqual(say(text="text", data=b"data", media=1)[1], b"text")

    def test_streams(self) -> None:
        """
        A generator, plain or asynchronous, a list of pieces, or a file.
        """

        def pieces() -> Iterator[bytes]:
            yield b"a"
            yield b"b"

        async def later() -> AsyncIterator[bytes]:
            yield b"a"
            await succeed(None)
            yield b"b"

        class Reading:
            def __init__(self) -> None:
                self.read = io.BytesIO(b"ab").read

        for stream in pieces(), later(), [b"a", b"b"], io.BytesIO(b"ab"), Reading():

            def say(resp: Any, stream: Any = stream) -> None:
                resp.stream, resp.content_type = stream, "text/plain"

            answer = self.said(say)
            self.assertEqual(
                (answer.body, answer.headers["content-type"]), (b"ab", "text/plain")
            )

        def file(resp: Any) -> None:
            resp.set_stream(io.BytesIO(b'{"a":\n1}'), 8)

        answer = self.said(file)
        self.assertEqual(
            (answer.json, answer.headers["content-type"]),
            ({"a": 1}, "application/json"),
        )

    def test_headers(self) -> None:
        """
        Headers, by their methods or as attributes.
        """

        def say(resp: Any) -> None:
            resp.set_header("X-One", "1")
            resp.set_header("Content-Type", "text/plain")
            resp.set_headers([("X-Two", "2"), ("X-Gone", "3")])
            resp.append_header("X-One", "more")
            resp.delete_header("X-Gone")
            resp.cache_control = ["no-store", "max-age=0"]
            resp.etag = "tag"
            resp.vary = "Accept"
            resp.retry_after = 5
            resp.expires = datetime.datetime(2026, 1, 31, 12)  # noqa: DTZ001
            resp.last_modified = datetime.datetime(
                2026, 1, 31, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=1))
            )
            resp.location = "/ü"
            resp.downloadable_as = "a b.txt"
            resp.accept_ranges = "bytes"
            resp.accept_ranges = None
            resp.text = f"{resp.get_header('x-one')}|{resp.get_header('none', 'd')}"
            resp.text += f"|{resp.headers['x-two']}|{resp.etag}|{resp.location}"

        answer = self.said(say)
        self.assertEqual(answer.text, '1, more|d|2|"tag"|/%C3%BC')
        expected = {
            "x-two": "2",
            "content-type": "text/plain",
            "cache-control": "no-store, max-age=0",
            "etag": '"tag"',
            "vary": "Accept",
            "retry-after": "5",
            "expires": "Sat, 31 Jan 2026 12:00:00 GMT",
            "last-modified": "Sat, 31 Jan 2026 11:00:00 GMT",
            "location": "/%C3%BC",
            "content-disposition": 'attachment; filename="a b.txt"',
        }
        self.assertEqual({name: answer.headers[name] for name in expected}, expected)
        self.assertNotIn("x-gone", answer.headers)
        self.assertNotIn("accept-ranges", answer.headers)

    def test_cookies(self) -> None:
        """
        Cookies; as Falcon's, they are for TLS only, unless it is said otherwise.
        """

        def cookie(*args: Any, **options: Any) -> str:
            answer = self.said(lambda resp: resp.set_cookie(*args, **options))
            return answer.headers["set-cookie"]

        self.assertEqual(cookie("a", "b"), "a=b; Secure; HttpOnly; SameSite=Lax")
        self.assertEqual(
            cookie("a", "b", max_age=5, path="/x", secure=False, http_only=False),
            "a=b; Max-Age=5; Path=/x; SameSite=Lax",
        )
        expires = datetime.datetime(2000, 1, 1)  # noqa: DTZ001
        self.assertIn("Max-Age=0", cookie("a", "b", expires))
        answer = self.said(lambda resp: resp.unset_cookie("a", path="/x"))
        self.assertIn("a=; Max-Age=0; Path=/x", answer.headers["set-cookie"])

    def test_unknown(self) -> None:
        """
        What a response has not cannot be set: nobody would send it.
        """

        def say(resp: Any) -> None:
            resp.contents = "lost"

        self.assertEqual(self.said(say).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)


class ErrorTests(FalconCase):
    """
    What a resource raises.
    """

    def raised(self, error: Exception) -> Answer:
        self.place, self.app = Place.of(), falcon.App()

        @self.add("/")
        def respond(req: Any, resp: Any) -> None:
            resp.set_header("X-Before", "yes")
            resp.media = "lost"
            raise error

        @self.add("/later")
        async def later(req: Any, resp: Any) -> None:
            await succeed(None)
            resp.set_header("X-Before", "yes")
            resp.media = "lost"
            raise error

        answer, other = self.ask("/"), self.ask("/later")
        self.assertEqual(answer.status, other.status)
        return answer

    def test_errors(self) -> None:
        """
        Falcon's errors are answered with their status, and what they say as problem
        details.
        """
        for error, status, detail in (
            (falcon.HTTPNotFound(), 404, "Not Found"),
            (falcon.HTTPNotFound(description="no rope"), 404, "no rope"),
            (falcon.HTTPBadRequest("Title", "words"), 400, "Title: words"),
            (falcon.HTTPError("409 Conflict", "taken"), 409, "taken"),
            (falcon.HTTPError(falcon.HTTP_422, title="odd"), 422, "odd"),
            (falcon.HTTPInvalidParam("No.", "n", code=7), 400, None),
            (falcon.HTTPGone(href="http://a"), 410, "Gone"),
            (falcon.HTTPServiceUnavailable(), 503, "Service Unavailable"),
        ):
            answer = self.raised(error)
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.headers["content-type"], "application/problem+json")
            if detail is not None:
                self.assertEqual(answer.json["detail"], detail)
            self.assertNotIn("x-before", answer.headers)

    def test_headers(self) -> None:
        """
        What they say in headers is said.
        """
        when = datetime.datetime(2026, 1, 31, 12)  # noqa: DTZ001
        for error, name, value in (
            (
                falcon.HTTPUnauthorized("Auth", "needed", ["Basic", "Bearer"]),
                "www-authenticate",
                "Basic, Bearer",
            ),
            (falcon.HTTPTooManyRequests(retry_after=30), "retry-after", "30"),
            (
                falcon.HTTPServiceUnavailable(retry_after=when),
                "retry-after",
                "Sat, 31 Jan 2026 12:00:00 GMT",
            ),
            (falcon.HTTPMethodNotAllowed(["GET", "PUT"]), "allow", "GET, PUT"),
            (falcon.HTTPForbidden(headers={"X-Why": "so"}), "x-why", "so"),
        ):
            self.assertEqual(self.raised(error).headers[name], value)

    def test_our_own_fault(self) -> None:
        """
        What is our own fault is logged, and nobody is told.
        """
        answer = self.raised(falcon.HTTPInternalServerError("secret", "words"))
        self.assertEqual(answer.status, 500)
        self.assertNotIn("secret", answer.text)
        logged = self.flushLoggedErrors(falcon.HTTPInternalServerError)
        self.assertEqual(len(logged), 2)

    def test_redirects(self) -> None:
        """
        Redirects lead elsewhere; headers that were set stay, the body does not.
        """
        for kind, status in {
            falcon.HTTPMovedPermanently: 301,
            falcon.HTTPFound: 302,
            falcon.HTTPSeeOther: 303,
            falcon.HTTPTemporaryRedirect: 307,
            falcon.HTTPPermanentRedirect: 308,
        }.items():
            answer = self.raised(kind("/landing?ü=1", headers={"X-More": "1"}))
            self.assertEqual((answer.status, answer.body), (status, b""))
            self.assertEqual(answer.headers["location"], "/landing?%C3%BC=1")
            self.assertEqual(answer.headers["x-before"], "yes")
            self.assertEqual(answer.headers["x-more"], "1")

    def test_statuses(self) -> None:
        """
        An answer may be raised.
        """
        answer = self.raised(falcon.HTTPStatus(falcon.HTTP_202, text="later"))
        self.assertEqual((answer.status, answer.text), (202, "later"))
        self.assertEqual(answer.headers["x-before"], "yes")

    def test_handlers(self) -> None:
        """
        A function may answer for errors, plain or not; a class may have its own.
        """

        class Odd(Exception):
            @staticmethod
            def handle(req: Any, resp: Any, error: Exception, params: Any) -> None:
                resp.status, resp.media = 418, [str(error), params]

        async def failed(req: Any, resp: Any, error: Any, params: Any) -> None:
            await succeed(None)
            raise falcon.HTTPSeeOther(f"/{error.args[0]}")

        @self.add("/{name}")
        def respond(req: Any, resp: Any, name: str) -> None:
            raise {"odd": Odd, "key": KeyError, "value": ValueError}[name](name)

        self.app.add_error_handler(Odd)
        self.app.add_error_handler((KeyError, ValueError), failed)
        answer = self.ask("/odd")
        self.assertEqual((answer.status, answer.json), (418, ["odd", {"name": "odd"}]))
        for name in "key", "value":
            answer = self.ask(f"/{name}")
            self.assertEqual(
                (answer.status, answer.headers["location"]), (303, f"/{name}")
            )


class ElsewhereTests(SynchronousTestCase):
    """
    What of Falcon is not here.
    """

    def test_told(self) -> None:
        """
        Who looks for it is told what there is in its place.
        """
        for name, told in {
            "before": "middleware=[…]",
            "after": "middleware=[…]",
            "asgi": "there is one App",
            "testing": "ropewalk.testing",
            "Api": "has no attribute 'Api'",
        }.items():
            error = self.assertRaises(AttributeError, getattr, falcon, name)
            self.assertIn(told, str(error))
        error = self.assertRaises(TypeError, falcon.App, middleware=[object()])
        self.assertIn("put middleware around it with use(…)", str(error))
        self.assertRaises(TypeError, falcon.App, media_type="text/html")
