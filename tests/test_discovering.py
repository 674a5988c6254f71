# -*- test-case-name: tests.test_discovering -*-
"""
Tests for L{ropewalk.run.discovering}: which application a module has.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from klein import Klein
from twisted.trial.unittest import SynchronousTestCase
from werkzeug.wrappers import Request, Response

from ropewalk.run.discovering import (
    KINDS,
    Application,
    NotFound,
    choose,
    contents,
    default,
    find,
    kind_of,
    named,
    settings_of,
)
from ropewalk.web import Routes


def theirs(module: str, name: str, *bases: type[Any], **members: Any) -> type[Any]:
    """A class as another framework has it."""
    return type(name, bases, {"__module__": module, **members})


def wsgi(environ: Any, start_response: Any) -> Any:
    """An application."""


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """An application."""


def filled(**members: Any) -> ModuleType:
    """A module."""
    module = ModuleType("shop")
    for name, value in members.items():
        setattr(module, name, value)
    return module


class Proxy:
    """Stands for what is not there, as Flask's C{request} does."""

    __module__ = "werkzeug.local"

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("not there")

    def __call__(self) -> Any:
        raise RuntimeError("not there")

    @property
    def __signature__(self) -> Any:
        raise RuntimeError("not there")


class KindTests(SynchronousTestCase):
    """
    What a thing is.
    """

    def test_frameworks(self) -> None:
        """
        An object of a framework's class, or of a class derived from it, is known by the
        names of these.
        """
        for (module, name), kind in KINDS.items():
            base = theirs(module, name)
            self.assertEqual(kind_of(base()), kind)
            self.assertEqual(kind_of(theirs("shop", "Mine", base)()), kind)
            self.assertEqual(kind_of(base), "")

    def test_nearest(self) -> None:
        """
        Of two classes that are known, the more special one says it.
        """
        starlette = theirs("starlette.applications", "Starlette")
        flask = theirs("flask.app", "Flask", starlette)
        self.assertEqual(kind_of(flask()), "wsgi")

    def test_conventions(self) -> None:
        """
        Anything else is known by what it is called with.
        """

        class Called:
            def __init__(self, scope: Any) -> None: ...

            def __call__(self, environ: Any, start_response: Any) -> Any: ...

            async def serve(self, scope: Any, receive: Any, send: Any) -> None: ...

        self.assertEqual(kind_of(wsgi), "wsgi")
        self.assertEqual(kind_of(asgi), "asgi")
        self.assertEqual(kind_of(Called({})), "wsgi")
        self.assertEqual(kind_of(Called({}).serve), "asgi")
        self.assertEqual(kind_of(lambda scope: None), "asgi2")
        for application in (
            lambda env, start: None,
            lambda environ, start: None,
            lambda request, start_response: None,
        ):
            self.assertEqual(kind_of(application), "wsgi")
        for other in 5, "app", print, int, lambda a, b: None, ModuleType("x"), Proxy():
            self.assertEqual(kind_of(other), "")

    def test_decorated(self) -> None:
        """
        A function that takes a request, made an application by Werkzeug, is one.
        """

        @Request.application
        def page(request: Request) -> Response:
            return Response("rope")

        self.assertEqual(kind_of(page), "wsgi")

    def test_class(self) -> None:
        """
        A class is an application of ASGI 2 when its objects answer one request each.
        """

        class Answer:
            def __init__(self, scope: Any) -> None: ...

            async def __call__(self, receive: Any, send: Any) -> None: ...

        class Scoped:
            def __init__(self, scope: Any) -> None: ...

        self.assertEqual((kind_of(Answer), kind_of(Scoped)), ("asgi2", ""))

    def test_ours(self) -> None:
        """
        Routes of ours and Klein's are routes.
        """
        self.assertEqual((kind_of(Routes()), kind_of(Klein())), ("routes", "routes"))


class FindTests(SynchronousTestCase):
    """
    Those of a module.
    """

    def test_each_once(self) -> None:
        """
        One that has two names is one, by the more usual of them.
        """
        found = find(
            {"shop": wsgi, "application": wsgi, "_x": asgi, "request": Proxy()}
        )
        self.assertEqual(
            [(each.name, each.kind) for each in found], [("application", "wsgi")]
        )

    def test_part_of_something(self) -> None:
        """
        What Dash is served by is in it.
        """
        flask = theirs("flask.app", "Flask")()
        (found,) = find({"board": theirs("dash.dash", "Dash", server=flask)()})
        self.assertIs(found.value, flask)

    def test_which(self) -> None:
        """
        Of several, C{app} and then C{application} is meant; then the only object.
        """
        flask = theirs("flask.app", "Flask")()
        for names, meant in (
            ({"one": wsgi, "application": asgi}, "application"),
            ({"application": asgi, "app": wsgi}, "app"),
            ({"one": wsgi, "two": flask}, "two"),
            ({"one": wsgi}, "one"),
        ):
            self.assertEqual(choose(find(names), "shop.py").name, meant)

    def test_parts(self) -> None:
        """
        A router is a part of the application beside it; alone it is one.
        """
        router = theirs(
            *("starlette.routing", "Router"),
            __call__=lambda self, scope, receive, send: 0,
        )
        names = {"router": router(), "api": theirs("fastapi.applications", "FastAPI")()}
        self.assertEqual(choose(find(names), "shop.py").name, "api")
        del names["api"]
        self.assertEqual(choose(find(names), "shop.py").name, "router")

    def test_default(self) -> None:
        """
        Bottle and CherryPy have an application for who makes none; it is one as soon as
        something is in it.
        """
        bottle, cherrypy = ModuleType("bottle"), ModuleType("cherrypy")
        pages = theirs("bottle", "Bottle", routes=[])()
        tree = theirs("cherrypy._cptree", "Tree", apps={})()
        vars(bottle)["default_app"] = lambda: pages
        vars(cherrypy)["tree"] = tree
        self.patch(sys, "modules", {**sys.modules, "bottle": bottle})
        self.assertIsNone(default())
        sys.modules["cherrypy"] = cherrypy
        self.assertIsNone(default())
        tree.apps[""] = object()
        self.assertEqual(default(), Application("tree", "wsgi", tree))
        pages.routes.append(object())
        self.assertEqual(default(), Application("default_app()", "wsgi", pages))

    def test_nobody_can_tell(self) -> None:
        """
        Otherwise all of them are told, as they can be typed.
        """
        flask = theirs("flask.app", "Flask")
        names = {"one": flask(), "two": flask()}
        error = self.assertRaises(NotFound, choose, find(names), "shop.py")
        self.assertEqual(
            str(error).splitlines(),
            [
                "shop.py has several applications; say which:",
                "    ropewalk run shop.py:one   (Flask, WSGI)",
                "    ropewalk run shop.py:two   (Flask, WSGI)",
            ],
        )

    def test_named(self) -> None:
        """
        One that is named is taken, also out of an object or made by a function.
        """

        async def serve(host: str, port: int, prefix: str = "") -> Any: ...

        module = filled(wsgi=wsgi, make=lambda: asgi, inner=filled(a=wsgi), serve=serve)
        for name, kind in (
            ("wsgi", "wsgi"),
            ("make()", "asgi"),
            ("inner.a", "wsgi"),
            ("serve", "native"),
        ):
            self.assertEqual(named(module, name, "shop.py").kind, kind)

    def test_wrongly_named(self) -> None:
        """
        A name that is not there, or is none, is told with what there is.
        """
        module = filled(shop=wsgi, five=5, Shop=int)
        for name, told in (
            ("shpo", "there is no 'shpo' in shop.py; did you mean 'shop'?"),
            ("five", "five in shop.py is no application: it is int"),
            ("Shop", "Shop in shop.py is no application: it is a class"),
        ):
            error = self.assertRaises(NotFound, named, module, name, "shop.py")
            self.assertTrue(str(error).startswith(told), str(error))

    def test_made_later(self) -> None:
        """
        What is made by a coroutine is told, and the coroutine is not left behind.
        """

        async def make_app() -> Any: ...

        module = filled(make_app=make_app)
        error = self.assertRaises(NotFound, named, module, "make_app()", "shop.py")
        self.assertIn("make_app() in shop.py is an async function", str(error))

    def test_contents(self) -> None:
        """
        Who has no application is told what there is, or what makes one.
        """
        own = theirs("shop", "Shop")
        module = {"__name__": "shop", "Shop": own, "wsgi": wsgi, "n": 5, "_p": 1}
        self.assertEqual(contents(module, "shop.py"), "it has Shop (a class), n (int)")
        self.assertEqual(contents({"__name__": "shop"}, "shop.py"), "")
        many = {"__name__": "shop", **{f"n{number}": number for number in range(12)}}
        self.assertTrue(contents(many, "shop.py").endswith("n9 (int) and 2 more"))
        module["App"] = theirs("shop", "App", theirs("morepath.app", "App"))
        self.assertEqual(
            contents(module, "shop.py"),
            "it has the class App: ropewalk run 'shop.py:App()'",
        )
        module["create_app"] = lambda: None
        self.assertEqual(
            contents(module, "shop.py"),
            "it has create_app: ropewalk run 'shop.py:create_app()'",
        )


class DjangoTests(SynchronousTestCase):
    """
    The file that a Django project begins with.
    """

    def test_settings(self) -> None:
        """
        C{manage.py} says which settings are meant, in either way.
        """
        name = "'DJANGO_SETTINGS_MODULE'"
        for text, told in (
            (f"os.environ.setdefault({name}, 'shop.settings')", "shop.settings"),
            (f'os.environ[{name}] = "shop.settings"', "shop.settings"),
            (f"print({name})", None),
            ("", None),
        ):
            self.assertEqual(settings_of(text), told)
