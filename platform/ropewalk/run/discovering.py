# -*- test-case-name: tests.test_discovering -*-
"""
The application in a module: a Flask, a FastAPI, a Django … object is known by its
type's name, so that nothing of theirs is imported here; anything else by how it is
called.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from attrs import define
from msgspec import Struct

from ropewalk.errors import RopewalkError
from ropewalk.schema import nearest

__all__ = [
    "Application",
    "NotFound",
    "choose",
    "contents",
    "default",
    "find",
    "kind_of",
    "named",
    "settings_of",
]

#: What applications are called; of several, the first of these is meant.
USUAL = ("app", "application")

#: And what makes one.
FACTORIES = ("create_app", "make_app", "get_app", "make_application")

#: By the module and the name of a class: what its instances, and those of its
#: subclasses, are. The more special class comes first in a type's own order.
KINDS: Mapping[tuple[str, str], str] = {
    ("aiohttp.web_app", "Application"): "native",
    ("blacksheep.server.application", "Application"): "asgi",
    ("bottle", "Bottle"): "wsgi",
    ("channels.routing", "ProtocolTypeRouter"): "asgi",
    ("cherrypy._cptree", "Application"): "wsgi",
    ("cherrypy._cptree", "Tree"): "wsgi",
    ("connexion.apps.asynchronous", "AsyncApp"): "asgi",
    ("connexion.apps.flask", "FlaskApp"): "asgi",
    ("django.core.handlers.asgi", "ASGIHandler"): "asgi",
    ("django.core.handlers.wsgi", "WSGIHandler"): "wsgi",
    ("falcon.app", "App"): "wsgi",
    ("falcon.asgi.app", "App"): "asgi",
    ("fastapi.applications", "FastAPI"): "asgi",
    ("flask.app", "Flask"): "wsgi",
    ("litestar.app", "Litestar"): "asgi",
    ("morepath.app", "App"): "wsgi",
    ("pyramid.router", "Router"): "wsgi",
    ("quart.app", "Quart"): "asgi",
    ("sanic.app", "Sanic"): "native",
    ("starlette.applications", "Starlette"): "asgi",
    ("tornado.web", "Application"): "native",
    ("webapp2", "WSGIApplication"): "wsgi",
    ("webob.dec", "wsgify"): "wsgi",
}

#: What is called as an application is, and is a part of one.
PARTS = frozenset(
    {
        ("starlette.responses", "Response"),
        ("starlette.routing", "BaseRoute"),
        ("starlette.routing", "Router"),
    }
)

#: Modules whose decorators make a function of WSGI of one that takes a request.
DECORATORS = frozenset({"werkzeug.wrappers.request"})

#: What a class keeps the application in that it is a part of.
WRAPPERS: Mapping[tuple[str, str], str] = {("dash.dash", "Dash"): "server"}

_SETTINGS = re.compile(
    r"""environ(?:\.setdefault\(\s*|\[\s*)["']DJANGO_SETTINGS_MODULE["']\s*"""
    r"""(?:,|\]\s*=)\s*["']([\w.]+)["']"""
)


class Application(Struct, frozen=True):
    """
    An application that was found.

    :ivar name: What it is called in its module.
    :ivar kind: ``"wsgi"``, ``"asgi"``, ``"asgi2"``, ``"native"``, or ``"routes"`` for
        ours and Klein's.
    :ivar value: It.
    """

    name: str
    kind: str
    value: Any


@define
class NotFound(RopewalkError):
    """
    There is no application in a module, or there are several.

    :ivar problem: What there is instead, and what to do.
    """

    problem: str

    def __str__(self) -> str:
        return self.problem


def kind_of(thing: Any) -> str:
    """
    What can be done with a thing: see :class:`Application`; empty for nothing.
    """
    if isinstance(thing, ModuleType):
        return ""
    if isinstance(thing, type):
        return "asgi2" if _is_asgi2(thing) else ""
    for name in _names_of(type(thing)):
        kind = KINDS.get(name)
        if kind is not None:
            return kind
    if hasattr(type(thing), "url_map") and hasattr(type(thing), "execute_endpoint"):
        return "routes"
    return _convention(thing)


def _convention(thing: Any) -> str:
    """What something is by the names of what it is called with."""
    if not callable(thing):
        return ""
    if inspect.isfunction(thing) and thing.__globals__["__name__"] in DECORATORS:
        return "wsgi"
    names = _called_with(thing)
    # The names are not prescribed (PEP 3333, "The Application/Framework Side").
    if names[1:2] == ["start_response"] or (
        names[:1] in (["environ"], ["env"]) and len(names) == 2
    ):
        return "wsgi"
    if names == ["scope", "receive", "send"]:
        return "asgi"
    return "asgi2" if names == ["scope"] else ""


def _is_asgi2(made: type[Any]) -> bool:
    """Whether a class is an application: one object of it answers one request."""
    answers = _called_with(made.__call__) == ["self", "receive", "send"]
    return answers and _called_with(made) == ["scope"]


def _called_with(thing: Any) -> list[str]:
    try:
        return list(_parameters(thing))
    except Exception:  # it is written in C, or stands for what is not there yet
        return []


def default() -> Application | None:
    """
    The application that a framework keeps for who makes none: Bottle's, CherryPy's;
    ``None`` unless something is in it.
    """
    bottle: Any = sys.modules.get("bottle")
    if bottle is not None and bottle.default_app().routes:
        return Application("default_app()", "wsgi", bottle.default_app())
    tree: Any = getattr(sys.modules.get("cherrypy"), "tree", None)
    return Application("tree", "wsgi", tree) if tree and tree.apps else None


def find(module: Mapping[str, Any]) -> list[Application]:
    """
    The applications in a module, each once: by the most usual name that it has.
    """
    found: dict[int, Application] = {}
    names = [name for name in USUAL if name in module]
    for name in [*names, *(each for each in module if each not in USUAL)]:
        if name.startswith("_"):
            continue
        value = _unwrapped(module[name])
        kind = kind_of(value)
        if kind:
            found.setdefault(id(value), Application(name, kind, value))
    return list(found.values())


def choose(found: list[Application], place: str) -> Application:
    """
    The one that is meant.

    :param place: What they are in, as it is named to be run: ``"shop.py"``.
    :raise NotFound: When nobody can tell.
    """
    for usual in USUAL:
        for each in found:
            if each.name == usual:
                return each
    whole = [each for each in found if not _is_part(each.value)] or found
    # A function is one by accident sooner than an object is.
    objects = [each for each in whole if not inspect.isroutine(each.value)] or whole
    if len(objects) == 1:
        return objects[0]
    lines = [
        f"    ropewalk run {place}:{each.name}   ({_spoken(each)})" for each in objects
    ]
    raise NotFound("\n".join((f"{place} has several applications; say which:", *lines)))


def named(module: ModuleType, name: str, place: str) -> Application:
    """
    What is called so.

    :param name: With dots for what is in something; with ``()`` for what makes it.
    :raise NotFound: When there is nothing of the name, or it is no application.
    """
    value: Any = module
    for part in name.removesuffix("()").split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            meant = nearest(part, [each for each in dir(value) if each[:1] != "_"])
            hint = f"; did you mean {meant!r}?" if meant else ""
            raise NotFound(f"there is no {part!r} in {place}{hint}") from None
    if name.endswith("()"):
        value = value()
    if inspect.iscoroutine(value):
        value.close()
        raise NotFound(
            f"{name} in {place} is an async function: what makes an application is "
            "called before there is an event loop; say def instead of async def"
        )
    value = _unwrapped(value)
    kind = kind_of(value)
    if not kind and inspect.iscoroutinefunction(value) and "port" in _parameters(value):
        kind = "native"
    if not kind:
        raise NotFound(
            f"{name} in {place} is no application: it is {_kind_name(value)}, and not "
            "called as one of WSGI or ASGI is"
        )
    return Application(name, kind, value)


def contents(module: Mapping[str, Any], place: str) -> str:
    """
    What a module has, in a sentence, for who has found no application; empty when it
    has nothing.
    """
    own = [name for name in module if _is_own(module, name)]
    if not own:
        return ""
    makes = [name for name in FACTORIES if callable(module.get(name))]
    if makes:
        return f"it has {makes[0]}: ropewalk run '{place}:{makes[0]}()'"
    for name in own:
        if isinstance(module[name], type) and _makes_one(module[name]):
            return f"it has the class {name}: ropewalk run '{place}:{name}()'"
    listed = ", ".join(f"{name} ({_kind_name(module[name])})" for name in own[:10])
    more = f" and {len(own) - 10} more" if len(own) > 10 else ""
    return f"it has {listed}{more}"


def settings_of(text: str) -> str | None:
    """
    The settings module that a Django project's ``manage.py`` names; ``None`` when the
    text is not of such a file.
    """
    found = _SETTINGS.search(text)
    return None if found is None else found[1]


def _is_own(module: Mapping[str, Any], name: str) -> bool:
    """Whether something is of a module, not what it has imported."""
    value = module[name]
    if name.startswith("_") or isinstance(value, ModuleType):
        return False
    if isinstance(value, type) or inspect.isroutine(value):
        return getattr(value, "__module__", None) == module.get("__name__")
    return type(value).__module__ != "__future__"


def _names_of(made: type[Any]) -> list[tuple[str, str]]:
    """The modules and names of a class and what it is derived from."""
    return [(each.__module__, each.__qualname__) for each in made.__mro__]


def _makes_one(made: type[Any]) -> bool:
    """Whether the objects of a class are applications."""
    return not KINDS.keys().isdisjoint(_names_of(made))


def _is_part(value: Any) -> bool:
    return not PARTS.isdisjoint(_names_of(type(value)))


def _unwrapped(value: Any) -> Any:
    for name in _names_of(type(value)):
        inner = WRAPPERS.get(name)
        if inner is not None:
            return getattr(value, inner)
    return value


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _spoken(found: Application) -> str:
    kind = "ASGI" if found.kind == "asgi2" else found.kind.upper()
    if found.kind in ("native", "routes"):
        return _kind_name(found.value)
    return f"{_kind_name(found.value)}, {kind}"


def _kind_name(value: Any) -> str:
    """What something is, for people."""
    if isinstance(value, type):
        return "a class"
    if inspect.isroutine(value):
        return "a function"
    return type(value).__qualname__
