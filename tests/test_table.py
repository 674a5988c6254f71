"""
Tests for L{ropewalk.web.table}.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from werkzeug.routing import BaseConverter, Map, Rule, ValidationError
from werkzeug.routing.exceptions import NoMatch, RequestPath

from ropewalk.web.patterns import (
    CONVERTERS,
    BadLink,
    BadRule,
    Converter,
    adopt_all,
    parse,
    parse_host,
)
from ropewalk.web.table import Entry, Found, Missing, Moved, Table, clashes


class Reversed(Converter):
    """
    Text, from the back.
    """

    def to_python(self, text: str) -> str:
        return text[::-1]

    def to_url(self, value: Any) -> str:
        return str(value)[::-1]


class Point(Converter):
    """
    Two numbers, as segments of their own.
    """

    regex = "[0-9]+/[0-9]+"
    slashes = True

    def to_python(self, text: str) -> tuple[int, ...]:
        return tuple(map(int, text.split("/")))

    def to_url(self, value: Any) -> str:
        return "/".join(map(str, value))


class Anything(Converter):
    """
    Whatever there is, slashes and nothing included.
    """

    regex = "(?s:.*)"
    slashes = True


OWN = {**CONVERTERS, "reversed": Reversed, "point": Point, "anything": Anything}


def entry(rule: str, methods: str = "", host: str = "", **more: Any) -> Entry[str]:
    """
    An entry whose target is its rule, for all methods or these.
    """
    return Entry(
        parse(rule, OWN),
        f"{host}{rule}",
        frozenset(methods.split()) if methods else None,
        parse_host(host, OWN) if host else None,
        **more,
    )


def table(*entries: Entry[str] | str, merge_slashes: bool = True) -> Table[str]:
    """
    A table of entries, or of rules for all methods.
    """
    made = (entry(each) if isinstance(each, str) else each for each in entries)
    return Table(made, merge_slashes=merge_slashes)


class TableCase(SynchronousTestCase):
    """
    What is found, as something that can be compared.
    """

    def find(
        self, routes: Table[str], path: str, method: str = "GET", host: str = ""
    ) -> Any:
        """
        The target and its arguments; where to go; or the methods that are allowed.
        """
        found = routes.find(path, method, host)
        if isinstance(found, Found):
            return found.entry.target, found.args
        if isinstance(found, Moved):
            return found.path
        return set(found.allowed)

    def assertFinds(self, routes: Table[str], expected: dict[str, Any]) -> None:
        self.assertEqual({path: self.find(routes, path) for path in expected}, expected)


class FindTests(TableCase):
    """
    What answers for a path and a method.
    """

    def test_text_and_slots(self) -> None:
        """
        Text goes before slots, slots that take less before those that take more, in
        whatever order they were added.
        """
        routes = table(
            "/<path:rest>",
            "/<name>",
            "/<int:id>",
            "/<name>.json",
            "/me",
            "/<int:id>/me",
            "/<name>/<other>",
        )
        self.assertFinds(
            routes,
            {
                "/me": ("/me", {}),
                "/5": ("/<int:id>", {"id": 5}),
                "/you": ("/<name>", {"name": "you"}),
                "/you.json": ("/<name>.json", {"name": "you"}),
                "/5/me": ("/<int:id>/me", {"id": 5}),
                "/5/you": ("/<name>/<other>", {"name": "5", "other": "you"}),
                "/a/b/c": ("/<path:rest>", {"rest": "a/b/c"}),
                "/": set(),
            },
        )

    def test_back(self) -> None:
        """
        A way that leads nowhere is left for the next.
        """
        routes = table("/a/b/c", "/a/<x>/d", "/<y>/b/e")
        self.assertFinds(
            routes,
            {
                "/a/b/c": ("/a/b/c", {}),
                "/a/b/d": ("/a/<x>/d", {"x": "b"}),
                "/a/b/e": ("/<y>/b/e", {"y": "a"}),
                "/a/b/f": set(),
            },
        )

    def test_methods(self) -> None:
        """
        A route is for its methods, GET for HEAD as well; of a path that is there for
        others, these are told.
        """
        routes = table(entry("/a", "get"), entry("/a", "POST"), entry("/<x>", "PUT"))
        self.assertEqual(self.find(routes, "/a", "GET"), ("/a", {}))
        self.assertEqual(self.find(routes, "/a", "HEAD"), ("/a", {}))
        self.assertEqual(self.find(routes, "/a", "PUT"), ("/<x>", {"x": "a"}))
        for method in "OPTIONS", "PATCH", "get":
            self.assertEqual(
                self.find(routes, "/a", method), {"GET", "HEAD", "POST", "PUT"}
            )
        self.assertEqual(self.find(routes, "/b", "GET"), {"PUT"})
        self.assertEqual(self.find(routes, "/b/c", "GET"), set())

    def test_the_first_wins(self) -> None:
        """
        Of two that claim the same the first is found; one for all methods leaves
        nothing to those behind it.
        """
        first, second, rest = entry("/a", "GET"), entry("/a", "GET PUT"), entry("/a")
        routes = table(first, second, rest, entry("/a", "POST"))
        for method, expected in ("GET", first), ("PUT", second), ("POST", rest):
            found = routes.find("/a", method)
            assert isinstance(found, Found)
            self.assertIs(found.entry, expected)

    def test_head(self) -> None:
        """
        A route for HEAD is found before one for GET, wherever it stands.
        """
        for entries in (
            (entry("/a", "GET HEAD"), entry("/a", "HEAD", defaults={"own": 1})),
            (entry("/a", "HEAD", defaults={"own": 1}), entry("/a", "GET")),
        ):
            routes = table(*entries)
            self.assertEqual(self.find(routes, "/a", "HEAD"), ("/a", {"own": 1}))
            self.assertEqual(self.find(routes, "/a", "GET"), ("/a", {}))

    def test_arguments_are_ones_own(self) -> None:
        """
        What a handler does to its arguments, the next does not see.
        """
        routes = table(entry("/a", defaults={"page": 1}))
        for _ in range(2):
            found = routes.find("/a", "GET")
            assert isinstance(found, Found)
            self.assertEqual(found.args, {"page": 1})
            found.args.clear()

    def test_defaults(self) -> None:
        """
        A route's defaults are among its arguments.
        """
        routes = table(entry("/<int:a>", defaults={"b": 2, "c": None}))
        self.assertEqual(
            self.find(routes, "/1"), ("/<int:a>", {"a": 1, "b": 2, "c": None})
        )

    def test_refused(self) -> None:
        """
        What a converter refuses is not there; no other route is asked. That others at
        this place answer to other methods is told.
        """
        routes = table(
            entry("/<int:a>", "POST"), entry("/<int(max=5):a>", "GET"), "/<name>"
        )
        self.assertEqual(self.find(routes, "/5"), ("/<int(max=5):a>", {"a": 5}))
        self.assertEqual(self.find(routes, "/6"), {"POST"})
        self.assertEqual(self.find(table("/<date:a>", "/<b>"), "/2026-02-30"), set())

    def test_build_only(self) -> None:
        """
        What is there for its links is not found.
        """
        self.assertEqual(self.find(table(entry("/a", build_only=True)), "/a"), set())

    def test_no_path(self) -> None:
        """
        The target of a request need not be a path.
        """
        self.assertFinds(table("/", "/<x>"), {"*": set(), "": "/", "x": set()})

    def test_long_ways(self) -> None:
        """
        A path made to be expensive is not: no place in the table is come to twice, and
        what could be cut in a million ways is not cut at all.
        """
        rules = [f"/<a{at}>/<b{at}>/" + "/".join("a" * at) for at in range(1, 9)]
        routes = table(*rules, "/x/<a>-<b>-<c>-<d>.json", "/y/<path:a>/1/<path:b>/2")
        for path in (
            "/a" * 5000,
            "/" * 5000,
            "/x/" + "-" * 5000 + ".json",
            "/x/" + "-" * 5000,
            "/y" + "/1" * 5000,
        ):
            self.assertEqual(self.find(routes, path), set())


class SlashTests(TableCase):
    """
    A slash at the end, and slashes in a row.
    """

    def test_redirect(self) -> None:
        """
        A path that lacks the slash of its rule is redirected, as it came; one that has
        a slash too many is not there.
        """
        routes = table(
            "/", "/a/", "/b", "/<x>/c/", "/p/<path:y>/", entry("/d/", "POST")
        )
        self.assertFinds(
            routes,
            {
                "": "/",
                "/a": "/a/",
                "/a/": ("/a/", {}),
                "/b/": set(),
                "/caf%C3%A9%2F/c": "/caf%C3%A9%2F/c/",
                "/p/q/r": "/p/q/r/",
                "/p/q/r/": ("/p/<path:y>/", {"y": "q/r"}),
                "/d": set(),
            },
        )

    def test_ignore(self) -> None:
        """
        Where slashes are ignored, either is answered.
        """
        routes = table(
            entry("/a/", slashes="ignore"),
            entry("/<int:b>", "GET", slashes="ignore"),
            entry("/<int:b>/c/", "GET", slashes="ignore"),
        )
        self.assertFinds(
            routes,
            {
                "/a": ("/a/", {}),
                "/a/": ("/a/", {}),
                "/1": ("/<int:b>", {"b": 1}),
                "/1/": ("/<int:b>", {"b": 1}),
                "/1/c": ("/<int:b>/c/", {"b": 1}),
            },
        )
        self.assertEqual(self.find(routes, "/1/", "POST"), {"GET", "HEAD"})

    def test_exact(self) -> None:
        """
        Where they are exact, only what is written is there.
        """
        routes = table(entry("/a/", slashes="exact"), entry("/b", slashes="exact"))
        self.assertFinds(
            routes, {"/a": set(), "/a/": ("/a/", {}), "/b": ("/b", {}), "/b/": set()}
        )

    def test_both(self) -> None:
        """
        With and without can be two routes.
        """
        routes = table("/a", "/a/")
        self.assertFinds(routes, {"/a": ("/a", {}), "/a/": ("/a/", {})})

    def test_merged(self) -> None:
        """
        A path with slashes in a row is redirected to the one without, if that is there
        for this method; a path converter takes them as they are.
        """
        routes = table("/a/b", "/c/", entry("/d", "POST"), "/p/<path:x>", "/<int:y>")
        self.assertFinds(
            routes,
            {
                "/a//b": "/a/b",
                "///a/b": "/a/b",
                "//c": "/c/",
                "/c//": "/c/",
                "//d": {"POST"},
                "//e": set(),
                "/p/q//r": ("/p/<path:x>", {"x": "q//r"}),
                "//p/q": "/p/q",
                "//" + "9" * 5000: "/" + "9" * 5000,
            },
        )

    def test_unmerged(self) -> None:
        """
        A table can take them for what they are.
        """
        routes = table("/a/b", "/c//d", merge_slashes=False)
        self.assertFinds(
            routes, {"/a//b": set(), "/c//d": ("/c//d", {}), "/c/d": set()}
        )
        self.assertFinds(table("/c//d"), {"/c/d": ("/c//d", {})})

    def test_nowhere_else(self) -> None:
        """
        No redirect leads to another host, whatever was asked for.
        """
        routes = table("/<anything:x>/", merge_slashes=False)
        self.assertFinds(
            routes,
            {
                "//evil.example": "/evil.example/",
                "/\\evil.example": "/%5Cevil.example/",
                "/\t/evil.example\r\nx": "/%09/evil.example%0D%0Ax/",
                "/caf\xc3\xa9": "/caf%C3%A9/",
            },
        )


class EncodedTests(TableCase):
    """
    Paths come percent-encoded.
    """

    def test_encoded(self) -> None:
        """
        However a client encodes a path, it is the same.
        """
        routes = table("/café/a b", "/<name>/x", "/100%")
        found: Any = ("/café/a b", {})
        self.assertFinds(
            routes,
            {
                "/caf%C3%A9/a%20b": found,
                "/caf%c3%a9/%61 b": found,
                "/caf\xc3\xa9/a b": found,
                "/%C3%BC%3F%23%25/x": ("/<name>/x", {"name": "ü?#%"}),
                "/100%25": ("/100%", {}),
                "/100%": ("/100%", {}),
            },
        )

    def test_slashes(self) -> None:
        """
        An encoded slash is a character of its segment, and separates nothing.
        """
        routes = table(
            "/<name>",
            "/<name>.json",
            "/<a>/<b>",
            "/x/<path:p>/edit",
            "/n/<int:n>",
            "/w/<any('a/b', c):w>",
            "/y/z/",
        )
        self.assertFinds(
            routes,
            {
                "/a%2Fb": ("/<name>", {"name": "a/b"}),
                "/a%2fb.json": ("/<name>.json", {"name": "a/b"}),
                "/a%2Fb/%2F": ("/<a>/<b>", {"a": "a/b", "b": "/"}),
                "/x/p%2Fq/r/edit": ("/x/<path:p>/edit", {"p": "p/q/r"}),
                "/x/p%2Fedit": ("/<a>/<b>", {"a": "x", "b": "p/edit"}),
                "/x/%2Fetc/passwd/edit": set(),
                "/n/1%2F2": ("/<a>/<b>", {"a": "n", "b": "1/2"}),
                "/w/a%2Fb": ("/w/<any('a/b', c):w>", {"w": "a/b"}),
                "/y/z%2F": ("/<a>/<b>", {"a": "y", "b": "z/"}),
                "/y%2Fz/": set(),
            },
        )

    def test_not_utf_8(self) -> None:
        """
        A path that is no UTF-8 is nobody's.
        """
        routes = table("/<name>", "/a")
        for path in "/%FF", "/\xff", "/a/%C3", "/%ED%A0%80":
            self.assertRaises(UnicodeDecodeError, routes.find, path, "GET")

    @given(
        st.lists(
            st.sampled_from([*"/.-%", "%2F", "%2e", "%00", "%C3%A9", "\xe9", "a", "1"])
            | st.text(st.characters(max_codepoint=255), max_size=3)
        ),
        st.sampled_from(["GET", "POST", ""]),
        st.sampled_from(["", "a.example.org", "[::1]:80", ".", ":", "[", "A..b"]),
    )
    def test_anything(self, pieces: list[str], method: str, host: str) -> None:
        """
        Whatever is asked for, there is an answer, but for what is no UTF-8.
        """
        routes = table(
            "/",
            "/a",
            entry("/a/<int:x>/", "GET"),
            "/<float:x>-<y>",
            "/<date:x>.<anything:y>/1",
            entry("/<path:x>/1/", "POST"),
            entry("/<z>", host="<x>.example.org"),
            entry("/1", guard=True),
        )
        path = "/" + "".join(pieces)
        try:
            found = routes.find(path, method, host)
        except UnicodeDecodeError:
            return
        if isinstance(found, Moved):
            self.assertRegex(found.path, r"^/(?![/\\])[!-~]*$")


class HostTests(TableCase):
    """
    Routes for some hosts only.
    """

    def assertHosts(self, routes: Table[str], expected: dict[str, Any]) -> None:
        found = {host: self.find(routes, "/a", host=host) for host in expected}
        self.assertEqual(found, expected)

    def test_hosts(self) -> None:
        """
        What is for the host asked goes before what is for any, text before slots; in
        small letters or capitals, with a port or without.
        """
        routes = table(
            "/a",
            entry("/a", host="<sub>.example.org"),
            entry("/a", host="api.example.org"),
            entry("/a", host="<int:n>.example.org"),
            entry("/a", host="[::1]"),
            entry("/a", host="<x>.<y>.net"),
        )
        api: Any = ("api.example.org/a", {})
        self.assertHosts(
            routes,
            {
                "api.example.org": api,
                "API.Example.org:8080": api,
                "api.example.org.": api,
                "shop.example.org": ("<sub>.example.org/a", {"sub": "shop"}),
                "7.example.org": ("<int:n>.example.org/a", {"n": 7}),
                "a.b.example.org": ("/a", {}),
                "example.org": ("/a", {}),
                "a.b.net:1": ("<x>.<y>.net/a", {"x": "a", "y": "b"}),
                "[::1]": ("[::1]/a", {}),
                "[::1]:8080": ("[::1]/a", {}),
                "[::2]:8080": ("/a", {}),
                "": ("/a", {}),
            },
        )

    def test_fall_back(self) -> None:
        """
        What is not there for the host may be there for any; what is there for other
        methods is told of both.
        """
        routes = table(
            entry("/a", "GET", "api.example.org"),
            entry("/a", "PUT", "<x>.example.org"),
            entry("/a", "POST"),
            "/b",
        )
        host = "api.example.org"
        self.assertEqual(self.find(routes, "/b", "GET", host), ("/b", {}))
        self.assertEqual(self.find(routes, "/a", "POST", host), ("/a", {}))
        self.assertEqual(
            self.find(routes, "/a", "PUT", host), ("<x>.example.org/a", {"x": "api"})
        )
        self.assertEqual(
            self.find(routes, "/a", "PATCH", host), {"GET", "HEAD", "PUT", "POST"}
        )

    def test_arguments(self) -> None:
        """
        The slots of host and path are arguments alike, and so have different names.
        """
        routes = table(entry("/<int:b>/<c>", host="<a>.example.org"))
        self.assertEqual(
            routes.find("/1/%C3%BC", "GET", "X.example.org"),
            Found(routes.entries[0], {"a": "x", "b": 1, "c": "ü"}),
        )
        with self.assertRaises(BadRule) as raised:
            entry("/<a>", host="<a>.example.org")
        self.assertEqual(
            str(raised.exception),
            "the rule '/<a>': its host '<a>.example.org' has a slot called 'a', too",
        )

    def test_refused(self) -> None:
        """
        A host whose converter refuses it is not there.
        """
        routes = table("/a", entry("/a", host="<int(max=5):n>.example.org"))
        self.assertHosts(
            routes,
            {
                "5.example.org": ("<int(max=5):n>.example.org/a", {"n": 5}),
                "6.example.org": set(),
            },
        )

    def test_many(self) -> None:
        """
        However many hosts are asked for, each is told from the others.
        """
        routes = table(entry("/a", host="<int:n>.example.org"), "/a")
        for number in [*range(1000), *range(1000)]:
            found = routes.find("/a", "GET", f"{number}.example.org")
            assert isinstance(found, Found)
            self.assertEqual(found.args, {"n": number})


class GuardTests(TableCase):
    """
    Who owns what is not there.
    """

    def owner(
        self, routes: Table[str], path: str, method: str = "GET", host: str = ""
    ) -> tuple[str | None, Collection[str]]:
        found = routes.find(path, method, host)
        assert isinstance(found, Missing)
        return found.guard.target if found.guard else None, set(found.allowed)

    def test_below(self) -> None:
        """
        A guard owns its path and all below it, the longest first, whether or not it is
        written with a slash.
        """
        routes = table(
            entry("/img", guard=True),
            entry("/img/big/", guard=True),
            entry("/img/<int:n>", "GET"),
        )
        for path in "/img", "/img/", "/img/a", "/img/a/b", "/img//", "/img/b%2F":
            self.assertEqual(self.owner(routes, path), ("/img", set()))
        for path in "/img/big", "/img/big/", "/img/big/a":
            self.assertEqual(self.owner(routes, path), ("/img/big/", set()))
        for path in "/", "/imgs", "/img%2Fa":
            self.assertEqual(self.owner(routes, path), (None, set()))
        self.assertEqual(self.owner(routes, "/img/5", "PUT"), ("/img", {"GET", "HEAD"}))

    def test_before_shorter_ones(self) -> None:
        """
        What is not there below a guard is not looked for above it; what is there is
        found, by whatever slots.
        """
        routes = table(
            "/<path:rest>",
            "/<a>/b",
            entry("/img", guard=True),
            "/img/<x>",
            "/img/<path:y>/z",
        )
        self.assertFinds(
            routes,
            {
                "/img/b": ("/img/<x>", {"x": "b"}),
                "/img/b/c/z": ("/img/<path:y>/z", {"y": "b/c"}),
                "/img/b/c": set(),
                "/img": set(),
                "/images/b": ("/<a>/b", {"a": "images"}),
            },
        )

    def test_all(self) -> None:
        """
        One at "/" owns everything; of two at a path it is the first.
        """
        routes = table(
            entry("/", guard=True),
            entry("/", guard=True, defaults={"second": True}),
            "/a/",
        )
        self.assertFinds(routes, {"/a": "/a/", "/a/": ("/a/", {}), "//a//": "/a/"})
        for path in "/", "/b", "/b/c", "//":
            found = routes.find(path, "GET")
            self.assertEqual(found, Missing(frozenset(), routes.entries[0]))

    def test_refused(self) -> None:
        """
        What a converter refuses belongs to whom it would have belonged to.
        """
        routes = table(
            entry("/", guard=True), entry("/n", guard=True), "/n/<int(max=5):x>/y"
        )
        self.assertEqual(self.owner(routes, "/n/6/y"), ("/n", set()))
        self.assertEqual(self.owner(table("/<int(max=5):x>"), "/6"), (None, set()))

    def test_slots(self) -> None:
        """
        The path of a guard may have slots.
        """
        routes = table(entry("/<int:shop>", guard=True), "/<int:shop>/a", "/<x>/<y>")
        self.assertFinds(
            routes,
            {
                "/5/a": ("/<int:shop>/a", {"shop": 5}),
                "/x/b": ("/<x>/<y>", {"x": "x", "y": "b"}),
            },
        )
        self.assertEqual(self.owner(routes, "/5/b"), ("/<int:shop>", set()))

    def test_hosts(self) -> None:
        """
        A guard of a host owns what is not there on that host.
        """
        routes = table(
            entry("/", host="api.example.org", guard=True),
            entry("/a", host="api.example.org"),
            "/a",
            "/b",
        )
        self.assertEqual(
            self.owner(routes, "/b", host="api.example.org"),
            ("api.example.org/", set()),
        )
        self.assertEqual(self.find(routes, "/b", host="example.org"), ("/b", {}))


class BuildTests(TableCase):
    """
    Links to routes.
    """

    def build(self, route: Entry[str], **args: Any) -> str:
        return Table([route]).build(route, args)

    def assertNoLink(self, problem: str, route: Entry[str], **args: Any) -> None:
        with self.assertRaises(BadLink) as raised:
            self.build(route, **args)
        rule = route.pattern.rule
        self.assertEqual(str(raised.exception), f"no link to {rule!r}: {problem}")

    def test_path(self) -> None:
        """
        Arguments are put into the slots, percent-encoded where that is needed.
        """
        for rule, args, link in (
            ("/", {}, "/"),
            ("/a b/é", {}, "/a%20b/%C3%A9"),
            ("/<int:a>/", {"a": 5}, "/5/"),
            ("/<a>-<b>.json", {"a": "x", "b": "é"}, "/x-%C3%A9.json"),
            ("/<a>", {"a": "a/b?c#d%e;f g"}, "/a%2Fb%3Fc%23d%25e;f%20g"),
            ("/<path:a>", {"a": "a/b?c"}, "/a/b%3Fc"),
            ("/<date:a>", {"a": datetime.date(2026, 1, 31)}, "/2026-01-31"),
            ("/<point:a>/x", {"a": (1, 2)}, "/1/2/x"),
        ):
            self.assertEqual(self.build(entry(rule), **args), link)

    def test_query(self) -> None:
        """
        Other arguments are in the query: a list as often as it has items, nothing not
        at all, and everything as JSON would spell it.
        """
        link = self.build(
            entry("/<int:id>"),
            id=5,
            words=["a b", "ü&="],
            none=None,
            nothing=[],
            truth=True,
            half=0.5,
            day=datetime.date(2026, 1, 31),
        )
        self.assertEqual(
            link,
            "/5?words=a+b&words=%C3%BC%26%3D&truth=true&half=0.5&day=2026-01-31",
        )
        self.assertNoLink("x={'a': 1} has no place in a query", entry("/"), x={"a": 1})
        self.assertIn(
            "has no place in a query",
            str(self.assertRaises(BadLink, self.build, entry("/"), x=object())),
        )

    def test_defaults(self) -> None:
        """
        What a route has by itself need not be given, and cannot be given otherwise.
        """
        first = entry("/all", defaults={"page": 1})
        self.assertEqual(self.build(first), "/all")
        self.assertEqual(self.build(first, page=1, q="x"), "/all?q=x")
        self.assertNoLink("there page is 1, not 2", first, page=2)
        slotted = entry("/<int:page>", defaults={"page": 1})
        self.assertEqual(self.build(slotted), "/1")

    def test_missing(self) -> None:
        """
        A link without all its arguments is none.
        """
        self.assertNoLink("nothing is given for 'b'", entry("/<a>/<b>"), a="x")
        self.assertNoLink("nothing is given for 'a'", entry("/<a>"), a=None)

    def test_misfits(self) -> None:
        """
        Nor is one that would not be found, or understood otherwise.
        """
        self.assertNoLink("a='' does not fit <a>", entry("/<a>"), a="")
        self.assertNoLink("a=-1 does not fit <int:a>", entry("/<int:a>/b"), a=-1)
        self.assertNoLink("a=6: more than 5", entry("/<int(max=5):a>"), a=6)
        self.assertNoLink("a=[]: not a whole number", entry("/<int:a>"), a=[])
        self.assertNoLink(
            "'x-y-z' would be read as a='x-y', b='z'",
            entry("/<a>-<b>"),
            a="x",
            b="y-z",
        )
        self.assertNoLink(
            "a='/etc' does not fit <path:a>", entry("/<path:a>"), a="/etc"
        )

    def test_dots(self) -> None:
        """
        Browsers resolve dots before they ask, also percent-encoded ones; a link with
        them would lead elsewhere.
        """
        problem = "browsers resolve '{}' before they ask"
        for route, args, dots in (
            (entry("/<a>/x"), {"a": ".."}, ".."),
            (entry("/<a>"), {"a": "."}, "."),
            (entry("/<a><b>"), {"a": ".", "b": "."}, ".."),
            (entry("/.<a>"), {"a": "."}, ".."),
            (entry("/<path:a>"), {"a": "a/../b"}, ".."),
            (entry("/<path:a>/x"), {"a": "."}, "."),
        ):
            self.assertNoLink(problem.format(dots), route, **args)
        self.assertEqual(self.build(entry("/<a>.json"), a="."), "/..json")
        self.assertEqual(self.build(entry("/<a>"), a="../x"), "/..%2Fx")

    def test_nowhere_else(self) -> None:
        """
        No link leads to another host.
        """
        self.assertNoLink(
            "behind the two slashes of '//evil.example' browsers look for a host",
            entry("/<anything:a>"),
            a="/evil.example",
        )

    def test_host(self) -> None:
        """
        A link to a route for some hosts has a host, from the same arguments.
        """
        route = entry("/<int:b>", host="<a>.example.org")
        routes = Table([route])
        args = {"a": "Shop", "b": 1, "c": 2}
        self.assertEqual(routes.build(route, args), "/1?c=2")
        self.assertEqual(routes.host_of(route, args), "shop.example.org")
        for bad in "", "a.b", "a/b", "a:1", "ü", None:
            with self.assertRaises(BadLink):
                routes.host_of(route, {"a": bad})
        for host in "[::1]", "api.example.org":
            fixed = entry("/", host=host)
            self.assertEqual(Table([fixed]).host_of(fixed, {}), host)
        anywhere = entry("/")
        self.assertIsNone(Table([anywhere]).host_of(anywhere, {}))


#: Values for each converter, with what is awkward in a path.
TEXTS = st.text(min_size=1) | st.lists(
    st.sampled_from([*"/%?#;.: +-_~\\\n", "..", "a", "é", "\U0001f600", "%2F"]),
    min_size=1,
).map("".join)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXTS,
    "string(minlength=2, maxlength=4)": st.text(min_size=2, max_size=4),
    "int": st.integers(min_value=0),
    "int(signed=True)": st.integers(),
    "int(fixed_digits=3, min=1)": st.integers(1, 999),
    "float": st.floats(min_value=0, allow_infinity=False),
    "float(signed=True)": st.floats(allow_nan=False, allow_infinity=False),
    "uuid": st.uuids(),
    "date": st.dates(),
    "any(a, 'b c', 'd/e', '%', é)": st.sampled_from(["a", "b c", "d/e", "%", "é"]),
    "path": TEXTS,
    "reversed": TEXTS,
    "point": st.tuples(st.integers(min_value=0), st.integers(min_value=0)),
}


class RoundTripTests(SynchronousTestCase):
    """
    What a link is made of is found where it leads.
    """

    @given(
        st.sampled_from(sorted(VALUES)).flatmap(
            lambda slot: st.tuples(st.just(slot), VALUES[slot])
        ),
        st.sampled_from(
            [
                "/{}",
                "/{}/",
                "/a/{}",
                "/{}/b",
                "/x-{}",
                "/{}.json",
                "/a/-{}-/b/",
                "/é {}",
            ]
        ),
    )
    @settings(max_examples=1000)
    def test_every_converter(self, given: tuple[str, Any], form: str) -> None:
        """
        For every converter, wherever its slot stands.
        """
        slot, value = given
        rule = form.format(f"<{slot}:x>")
        route = entry(rule)
        routes = Table([route, entry("/<path:elsewhere>")])
        try:
            link = routes.build(route, {"x": value})
        except BadLink:
            self.assertTrue(self.is_awkward(slot, value), (rule, value))
            return
        self.assertTrue(link.isascii() and "?" not in link and "#" not in link)
        found = routes.find(link, "GET")
        self.assertEqual(found, Found(route, {"x": value}))

    def is_awkward(self, slot: str, value: Any) -> bool:
        """
        Whether a value may have no link: it would be, or have, a segment of dots only,
        or begin or end with a slash of its own.
        """
        if slot == "path":
            dots = any(each in (".", "..") for each in value.split("/"))
            return dots or value.startswith("/") or value.endswith("/")
        return value in (".", "..")

    @given(
        st.dictionaries(
            st.text(min_size=1), st.text() | st.lists(st.text(), min_size=1), max_size=4
        )
    )
    def test_queries(self, args: dict[str, Any]) -> None:
        """
        So are the arguments in its query.
        """
        route = entry("/a")
        link = Table([route]).build(route, args)
        lists = {
            name: value if isinstance(value, list) else [value]
            for name, value in args.items()
        }
        query = urlsplit(link).query
        self.assertEqual(parse_qs(query, keep_blank_values=True), lists)

    @given(st.text("abc-_0123456789", min_size=1))
    def test_hosts(self, label: str) -> None:
        """
        So are those in its host.
        """
        route = entry("/a", host="<x>.example.org")
        routes = Table([route])
        host = routes.host_of(route, {"x": label})
        assert host is not None
        self.assertEqual(routes.find("/a", "GET", host), Found(route, {"x": label}))


class ClashTests(SynchronousTestCase):
    """
    What claims the same.
    """

    def clashes(self, *entries: Entry[str]) -> list[tuple[str, str, set[str]]]:
        return [
            (one.target, other.target, set(methods))
            for one, other, methods in clashes(entries)
        ]

    def test_alike(self) -> None:
        """
        Two that take the same path for the same method, whatever their slots are
        called.
        """
        self.assertEqual(
            self.clashes(
                entry("/<int:a>/b", "GET POST"),
                entry("/c"),
                entry("/<int:b>/b", "POST PUT"),
                entry("/c", "GET"),
                entry("/c"),
                entry("/d//e", "PUT"),
                entry("/d/e", "PUT"),
            ),
            [
                ("/<int:a>/b", "/<int:b>/b", {"POST"}),
                ("/c", "/c", {"GET"}),
                ("/c", "/c", set()),
                ("/c", "/c", {"GET"}),
                ("/d//e", "/d/e", {"PUT"}),
            ],
        )

    def test_different(self) -> None:
        """
        Not two that differ in a method, a slash, a host or a converter; nor guards, or
        what is there for its links only.
        """
        found = self.clashes(
            entry("/a", "GET"),
            entry("/a", "HEAD"),
            entry("/a", "POST"),
            entry("/a/"),
            entry("/a", "GET", "example.org"),
            entry("/a", guard=True),
            entry("/a", build_only=True),
            entry("/<b>"),
            entry("/<int:b>"),
            entry("/<b>", host="<c>.org"),
        )
        self.assertEqual(found, [])

    def test_hosts(self) -> None:
        """
        Hosts are alike as paths are.
        """
        found = self.clashes(
            entry("/a", host="<b>.example.org"), entry("/a", host="<c>.Example.org")
        )
        self.assertEqual(
            found, [("<b>.example.org/a", "<c>.Example.org/a", set[str]())]
        )


# Beside Werkzeug.


class Pair(BaseConverter):
    """
    Many segments.
    """

    regex = "[ab]+/[0-9]+"
    weight = 60


class Letters(BaseConverter):
    """
    An expression with a group in it.
    """

    regex = "(a|b)+"


class Even(BaseConverter):
    """
    Refuses half of what its expression takes.
    """

    regex = "[0-9]+"
    weight = 50

    def to_python(self, value: str) -> int:
        if int(value) % 2:
            raise ValidationError
        return int(value)


CONVERTER_MAP = {"pair": Pair, "letters": Letters, "even": Even}

SLOTS = st.sampled_from(
    [
        "",
        "any('x-y', ab):",
        "any(a, b):",
        "even:",
        "float(max=2.5):",
        "float:",
        "int(fixed_digits=2):",
        "int(max=5):",
        "int(signed=True):",
        "int:",
        "letters:",
        "pair:",
        "path:",
        "string(length=2):",
        "string(minlength=2, maxlength=3):",
        "uuid:",
    ]
).map(lambda kind: f"<{kind}NAME>")

WORDS = st.sampled_from(["a", "b", "ab", "x-y", "1", ".json", "é", "a b"])

SEGMENTS = (
    WORDS
    | SLOTS
    | st.lists(WORDS | SLOTS | st.sampled_from("-."), max_size=3).map("".join)
)


@st.composite
def rules(draw: st.DrawFn) -> str:
    """
    Rules of up to three segments, their slots called v0, v1 and so on.
    """
    rule = "".join(f"/{segment}" for segment in draw(st.lists(SEGMENTS, max_size=3)))
    if not rule or draw(st.booleans()):
        rule += "/"
    for number in range(rule.count("NAME")):
        rule = rule.replace("NAME", f"v{number}", 1)
    return rule


ROUTES = st.lists(
    st.tuples(
        rules(),
        st.none() | st.sets(st.sampled_from(["GET", "POST", "PUT"]), min_size=1),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)

TEXT_SEGMENTS = st.lists(
    st.sampled_from(
        [
            *("", "a", "b", "ab", "bb", "x-y", "a b", "é", "-", ".json"),
            *("1", "7", "12", "-3", "2.5", "3.5", "a-1", "1-2.json", "a/12"),
            "0d6d5d6e-1a2b-4c3d-8e9f-001122334455",
        ]
    ),
    min_size=1,
    max_size=2,
).map("".join)

REQUESTS = st.lists(
    st.tuples(
        st.lists(TEXT_SEGMENTS, max_size=4).map(lambda each: "/" + "/".join(each)),
        st.sampled_from(["GET", "POST", "HEAD", "DELETE"]),
    ),
    min_size=1,
    max_size=40,
)


class WerkzeugTests(SynchronousTestCase):
    """
    A table finds what Werkzeug's map finds.
    """

    @given(ROUTES, REQUESTS, st.booleans())
    @settings(max_examples=300, deadline=None)
    def test_alike(
        self,
        routes: Sequence[tuple[str, set[str] | None, bool]],
        requests: Sequence[tuple[str, str]],
        merge_slashes: bool,
    ) -> None:
        """
        The same route with the same values, the same redirect, or nothing with the
        same methods, for random routes and requests.
        """
        url_map = Map(converters=CONVERTER_MAP, merge_slashes=merge_slashes)
        converters = adopt_all(url_map)
        entries = []
        for number, (rule, methods, strict) in enumerate(routes):
            try:
                pattern = parse(rule, converters)
            except BadRule:  # "//a": that would be a host
                continue
            url_map.add(
                Rule(rule, endpoint=number, methods=methods, strict_slashes=strict)
            )
            slashes = "redirect" if strict else "ignore"
            entries.append(Entry(pattern, number, methods, slashes=slashes))  # type: ignore[arg-type]
        ours = Table(entries, merge_slashes=merge_slashes)
        for path, method in requests:
            self.assertEqual(
                self.find_ours(ours, path, method),
                self.find_theirs(url_map, path, method),
                f"{method} {path}",
            )

    def find_ours(self, routes: Table[int], path: str, method: str) -> Any:
        found = routes.find(quote(path), method)
        if isinstance(found, Found):
            return found.entry.target, found.args
        return unquote(found.path) if isinstance(found, Moved) else set(found.allowed)

    def find_theirs(self, url_map: Map, path: str, method: str) -> Any:
        url_map.update()
        try:
            rule, args = url_map._matcher.match("", path, method, False)
        except RequestPath as moved:
            return moved.path_info
        except NoMatch as missing:
            return missing.have_match_for
        return rule.endpoint, args
