# -*- test-case-name: tests.test_classes -*-
"""
Classes that answer: one method for each of HTTP's.

``def get(self, …)`` is given what it asks for, like any handler; of a class, each
request gets an object of its own, whose ``__init__`` is given what *it* asks for.
``def on_get(self, req, resp)`` is Falcon's shape: see :mod:`ropewalk.web.falcon`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import MethodDescriptorType
from typing import TYPE_CHECKING, Any

from ropewalk.errors import BadHandler
from ropewalk.schema.signatures import name_of

if TYPE_CHECKING:
    from ropewalk.web.routes import Routes

__all__ = ["add_route"]

_VERBS = ("get", "post", "put", "patch", "delete", "head", "options")


def add_route(
    routes: Routes,
    path: str,
    resource: Any,
    place: str,
    *,
    suffix: str = "",
    **options: Any,
) -> None:
    """
    Serve an object, or a class.

    :param place: Where that is said: ``file:line``.
    :param suffix: As in Falcon, for a second path of a resource: ``"all"`` has the
        methods ``on_get_all`` or ``get_all`` answer.
    :raise BadHandler: When it has no method that could answer.
    :raise TypeError: For ``methods``: which there are, the resource says.
    """
    kind = resource if isinstance(resource, type) else type(resource)
    if "methods" in options:
        raise TypeError(f"its methods are those that {name_of(kind)} has")
    end = f"_{suffix}" if suffix else ""
    falcons = {each: f"on_{each}{end}" for each in _VERBS}
    if any(callable(getattr(resource, name, None)) for name in falcons.values()):
        found = _falcons(resource, falcons, place)
    else:
        found = _own(resource, {each: f"{each}{end}" for each in _VERBS})
    if not found:
        names = ", ".join(f"{each}{end}" for each in _VERBS)
        problem = f"it has none of the methods {names}, nor on_get{end} or its like"
        raise BadHandler(name_of(kind), place, problem)
    for verb, (owner, function) in found.items():
        said = {
            "owner": owner,
            "name": f"{kind.__name__}.{verb}{end}",
            "known_as": (resource, kind),
            **options,
        }
        routes.route(path, methods=[verb.upper()], **said)(function)


#: By HTTP's method in small letters: whose method it is, and what answers.
Found = dict[str, tuple[Any, Callable[..., Any]]]


def _falcons(resource: Any, names: dict[str, str], place: str) -> Found:
    from ropewalk.web.falcon import responder

    if isinstance(resource, type):
        try:
            resource = resource()
        except TypeError as error:
            name = name_of(resource)
            problem = f"an object is needed, as {name}(…): {error}"
            raise BadHandler(name, place, problem) from error
    methods = {verb: getattr(resource, name, None) for verb, name in names.items()}
    return {
        verb: (None, responder(method))
        for verb, method in methods.items()
        if callable(method)
    }


def _own(resource: Any, names: dict[str, str]) -> Found:
    found: Found = {}
    kind = resource if isinstance(resource, type) else type(resource)
    for verb, name in names.items():
        written = inspect.getattr_static(kind, name, None)
        if inspect.isfunction(written):
            found[verb] = resource, written
        elif isinstance(written, MethodDescriptorType):
            continue  # it has dict's get, say
        elif callable(method := getattr(resource, name, None)):
            found[verb] = None, method  # it is bound to whatever it wants
    return found
