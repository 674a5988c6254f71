# -*- test-case-name: tests.test_plugin -*-
"""
What a plugin is, and how the installed ones are found.

A plugin is a name and the dotted name of a module. Finding it does not import
that module: a service that no settings file asks for costs nothing and can
break nothing.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable
from importlib import import_module, metadata
from types import FrameType, ModuleType
from typing import Any

from attrs import define, field, frozen
from twisted.logger import LogEvent, globalLogPublisher
from twisted.plugin import IPlugin, getPlugins
from twisted.python.failure import Failure
from zope.interface import implementer

from ropewalk.errors import BadPlugin, Conflict
from ropewalk.interfaces import IServicePlugin

__all__ = [
    "ENTRY_POINTS",
    "Broken",
    "Found",
    "ServiceModule",
    "ServicePlugin",
    "caller",
    "discover",
]

#: The entry-point group in which a distribution may name its services:
#: ``chat = acme.chat``.
ENTRY_POINTS = "ropewalk.services"


def caller(depth: int = 1) -> str:
    """
    Where the code stands that called the function which asks.

    :param depth: How many callers further up.
    :return: ``"file:line"``.
    """
    frame: FrameType = sys._getframe(depth + 1)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


@implementer(IPlugin, IServicePlugin)
@define
class ServicePlugin:
    """
    A service, by name. Declare one in a module in ``twisted/plugins/``::

        chat = ServicePlugin("chat", "acme.chat")

    :ivar name: Its table in the settings file: a word in lower case.
    :ivar module: The dotted name of a module that has ``makeService`` (see
        :class:`ServiceModule`).
    :ivar place: Where it is declared; found out, not given.
    """

    name: str
    module: str
    place: str = field(factory=lambda: caller(2), kw_only=True, eq=False)

    def load(self) -> ServiceModule:
        """
        Import the module.

        :raise BadPlugin: When it cannot be imported, or lacks what a service
            module must have. The traceback is in the problem.
        """
        try:
            module = import_module(self.module)
        except Exception as error:
            text = "".join(traceback.format_exception(error)).rstrip()
            problem = f"cannot import {self.module}: {error}\n{text}"
            raise BadPlugin(self.name, self.place, problem) from error
        if not callable(getattr(module, "makeService", None)):
            problem = f"{self.module} has no makeService(settings, host)"
            raise BadPlugin(self.name, self.place, problem)
        requires = getattr(module, "requires", ())
        if isinstance(requires, str):
            problem = f"{self.module}.requires is a str; make it ({requires!r},)"
            raise BadPlugin(self.name, self.place, problem)
        return ServiceModule(self, module, tuple(requires))


@frozen
class ServiceModule:
    """
    The module of a plugin, imported.

    :ivar plugin: The plugin that named it.
    :ivar module: The module. It has ``makeService(settings, host)``, and may
        have ``Settings``, a :class:`ropewalk.schema.Shape`.
    :ivar requires: The module's ``requires``: names of services that must have
        started before this one does, and stop after it.
    """

    plugin: ServicePlugin
    module: ModuleType
    requires: tuple[str, ...]

    @property
    def settings(self) -> type[Any] | None:
        """The shape of its settings; ``None`` when nothing can be set."""
        shape: type[Any] | None = getattr(self.module, "Settings", None)
        return shape

    @property
    def make_service(self) -> Callable[..., Any]:
        """Its ``makeService``."""
        made: Callable[..., Any] = self.module.makeService
        return made


@frozen
class Broken:
    """
    A declaration that could not be read. The others can be used all the same.

    :ivar place: The file, or the distribution, it is in.
    :ivar traceback: What happened, as Python prints it.
    """

    place: str
    traceback: str


@frozen
class Found:
    """
    What is installed.

    :ivar plugins: Every declaration, by name, then by place.
    :ivar broken: What could not be read.
    """

    plugins: tuple[ServicePlugin, ...]
    broken: tuple[Broken, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, each once, in alphabetical order."""
        return tuple(sorted({plugin.name for plugin in self.plugins}))

    def get(self, name: str) -> ServicePlugin | None:
        """
        The plugin of a name, if there is one.

        :raise Conflict: When there are two.
        """
        named = [plugin for plugin in self.plugins if plugin.name == name]
        if len(named) > 1:
            first, second = (f"{each.module} ({each.place})" for each in named[:2])
            raise Conflict(f"the service name {name!r}", first, second)
        return named[0] if named else None


def discover(
    package: ModuleType | None = None,
    entry_points: Iterable[metadata.EntryPoint] | None = None,
) -> Found:
    """
    Find the installed services: those declared in ``twisted/plugins/``
    directories, and those in the entry-point group ``ropewalk.services``.

    A distribution may use both for one service; that is no conflict.

    :param package: Where declarations are, if not in :mod:`twisted.plugins`.
    :param entry_points: The entry points to read, if not the installed ones.
    """
    declared, broken = _declared(package)
    if entry_points is None:
        entry_points = metadata.entry_points(group=ENTRY_POINTS)
    known = {(plugin.name, plugin.module) for plugin in declared}
    for point in entry_points:
        plugin = ServicePlugin(point.name, point.value, place=_distribution(point))
        if (plugin.name, plugin.module) not in known:
            known.add((plugin.name, plugin.module))
            declared.append(plugin)
    declared.sort(key=lambda plugin: (plugin.name, plugin.place))
    return Found(tuple(declared), tuple(broken))


def _declared(
    package: ModuleType | None,
) -> tuple[list[ServicePlugin], list[Broken]]:
    """
    Read ``twisted/plugins/``. Twisted logs a module that it cannot import and
    goes on; the log is where its failure is to be had.
    """
    failures: list[Failure] = []

    def notice(event: LogEvent) -> None:
        if isinstance(failure := event.get("log_failure"), Failure):
            failures.append(failure)

    globalLogPublisher.addObserver(notice)
    try:
        plugins = [
            plugin
            for plugin in getPlugins(IServicePlugin, package)
            if isinstance(plugin, ServicePlugin)
        ]
    finally:
        globalLogPublisher.removeObserver(notice)
    return plugins, [_broken(failure) for failure in failures]


def _broken(failure: Failure) -> Broken:
    """
    Name the declaration whose import failed: the outermost frame in a plugins
    directory, or, where the file did not even compile, the file.
    """
    error = failure.value
    places = [
        f"{frame.filename}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.replace("\\", "/").rpartition("/")[0].endswith("/plugins")
    ]
    if not places and isinstance(error, SyntaxError):
        places = [f"{error.filename}:{error.lineno}"]
    text = "".join(traceback.format_exception(error)).rstrip()
    return Broken(places[0] if places else "unknown place", text)


def _distribution(point: metadata.EntryPoint) -> str:
    dist = point.dist
    name = f"{dist.name} {dist.version}, " if dist is not None else ""
    return f"{name}entry point {point.name} = {point.value}"
