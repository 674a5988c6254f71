# -*- test-case-name: tests.test_hosting_conflicts -*-
"""
Applications that cannot be in one process: two of them want the same thing of it for
themselves, or one wants all of it.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define
from msgspec import Struct

from ropewalk.errors import RopewalkError

__all__ = [
    "CannotShare",
    "Guest",
    "cherrypy_config",
    "clash",
    "foresee",
    "see_whole",
]

#: Names Django's settings.
_SETTINGS = "DJANGO_SETTINGS_MODULE"

#: How a module usually says it.
_SAYS_SETTINGS = re.compile(
    rf"""["']{_SETTINGS}["']\s*(?:,|\]\s*=)\s*["']([\w.]+)["']"""
)

#: Frameworks of which there is one application to a process, by their packages.
_ALONE = {"gluon": "web2py", "Zope2": "Zope", "ZPublisher": "Zope"}


@define
class CannotShare(RopewalkError):
    """
    An application cannot be in this process.

    :ivar target: Which.
    :ivar problem: Why.
    """

    target: str
    problem: str

    def __str__(self) -> str:
        return (
            f"{self.target!r} cannot share this process: {self.problem}. Give it one "
            'of its own: command = ["python", "…", "--port", "{port}"]'
        )


class Guest(Struct, frozen=True):
    """
    An application that was loaded.

    :ivar target: How it was called.
    :ivar directory: Where its modules are.
    :ivar application: The application.
    :ivar environment: What of the environment is its own.
    :ivar config: What CherryPy's configuration was behind it.
    :ivar file: Where its module is.
    """

    target: str
    directory: str
    application: Any
    environment: Mapping[str, str | None]
    config: Mapping[str, Any]
    file: str = ""


def foresee(
    target: str,
    directory: str,
    source: str,
    environment: Mapping[str, str],
    others: Sequence[Guest],
) -> None:
    """
    Look whether an application can be loaded here, before that is done.

    :param source: The text of its module.
    :raise CannotShare: When it cannot.
    """
    if _patches(source):
        raise CannotShare(target, _PATCHED)
    said = _SAYS_SETTINGS.search(source)
    settings = environment.get(_SETTINGS) or (said[1] if said else "")
    if settings:
        _compare_settings(target, directory, settings, others)


def clash(guest: Guest, others: Sequence[Guest]) -> None:
    """
    Look whether an application that was loaded can stay.

    :raise CannotShare: When it cannot.
    """
    see_whole(guest.target)
    settings = guest.environment.get(_SETTINGS)
    if settings:
        _compare_settings(guest.target, guest.directory, settings, others)
    _compare_objects(guest, others)
    _compare_configs(guest, others)
    framework = _framework_of(guest)
    for other in others:
        if framework in _ALONE and _framework_of(other) == framework:
            name = _ALONE[framework]
            raise CannotShare(
                guest.target,
                f"{name} has one application to a process, and there is "
                f"{other.target!r} already",
            )


_PATCHED = (
    "it puts gevent in the place of Python's sockets and threads "
    "(monkey.patch_all()), for everybody in the process"
)


def see_whole(target: str) -> None:
    """
    See whether an application has left Python as it is.

    :raise CannotShare: When it has not. Where that was done while it was loaded, in a
        thread, whatever it fails with comes of it.
    """
    if _is_patched():
        raise CannotShare(target, _PATCHED)


def _patches(source: str) -> bool:
    """Whether a module patches all of Python as soon as it is imported."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return False  # to be told by whoever imports it
    return any(
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute | ast.Name)
        and _last_name(node.value.func) in ("patch_all", "monkey_patch")
        for node in tree.body
    )


def _last_name(function: ast.Attribute | ast.Name) -> str:
    return function.attr if isinstance(function, ast.Attribute) else function.id


def _is_patched() -> bool:
    """Whether somebody has done it."""
    gevent, eventlet = map(sys.modules.get, ("gevent.monkey", "eventlet.patcher"))
    return bool(
        (gevent is not None and gevent.is_module_patched("socket"))
        or (eventlet is not None and eventlet.is_monkey_patched("socket"))
    )


def _compare_settings(
    target: str, directory: str, settings: str, others: Sequence[Guest]
) -> None:
    """Two Django projects have two settings, of which there is one."""
    for other in others:
        theirs = other.environment.get(_SETTINGS)
        if not theirs:
            continue
        mine, its = (
            next(_files(where, name), name)
            for where, name in ((directory, settings), (other.directory, theirs))
        )
        if mine != its:
            raise CannotShare(
                target,
                f"its Django settings are {settings} ({mine}), and those of "
                f"{other.target!r} are {theirs} ({its}); Django has one for a process",
            )


def _files(directory: str, module: str) -> Iterator[str]:
    """Where a module of a directory is."""
    path = os.path.join(directory, *module.split("."))
    for file in f"{path}.py", os.path.join(path, "__init__.py"):
        if os.path.exists(file):
            yield os.path.realpath(file)


def _compare_objects(guest: Guest, others: Sequence[Guest]) -> None:
    """
    Of py4web's there is one application for all who ask, and so of what Bottle and
    CherryPy keep for who makes none: two files that have it have each other's pages.
    """
    for other in others:
        if guest.application is other.application and guest.file != other.file:
            raise CannotShare(
                guest.target,
                f"{guest.file} and {other.file} have the same object, with the pages "
                "of both",
            )


def _compare_configs(guest: Guest, others: Sequence[Guest]) -> None:
    """Applications of CherryPy share its configuration, and may not know it."""
    if _framework_of(guest) != "cherrypy":
        return
    for other in others:
        if _framework_of(other) != "cherrypy" or other.config == guest.config:
            continue
        changed = sorted(
            str(key)
            for key in guest.config.keys() | other.config.keys()
            if guest.config.get(key) != other.config.get(key)
        )
        raise CannotShare(
            guest.target,
            f"it changes CherryPy's configuration ({', '.join(changed)}), which is "
            f"that of {other.target!r} too",
        )


def cherrypy_config() -> dict[str, Any]:
    """CherryPy's configuration as it is now, if there is any."""
    return dict(getattr(sys.modules.get("cherrypy"), "config", {}))


def _framework_of(guest: Guest) -> str:
    """The package that an application is made with."""
    application = guest.application
    module = getattr(application, "__module__", None) or type(application).__module__
    return str(module).partition(".")[0]
