# -*- test-case-name: tests.test_plugin -*-
"""
What a plugin is, and how the installed ones are found.

A plugin is a name and the dotted name of a module. Finding it does not import
that module: a service that no settings file asks for costs nothing and can
break nothing.
"""

from __future__ import annotations

import os
import pickle
import re
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from importlib import import_module
from importlib.machinery import PathFinder
from inspect import getattr_static
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field
from twisted.application.service import Service
from twisted.plugin import IPlugin
from twisted.python.filepath import FilePath
from twisted.python.modules import getModule
from zope.interface import implementer

from ropewalk.errors import BadPlugin, Conflict
from ropewalk.interfaces import IServicePlugin

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "ENTRY_POINTS",
    "RESERVED",
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

#: The daemon's own tables in the settings file.
RESERVED = frozenset({"host", "hub", "operations", "web"})

# Two underscores in a row separate a table from its key in the environment.
_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")


def caller(depth: int = 1) -> str:
    """
    Where the code stands that called the function which asks.

    :param depth: How many callers further up.
    :return: ``"file:line"``.
    """
    frame: FrameType = sys._getframe(depth + 1)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


@implementer(IPlugin, IServicePlugin)
class ServicePlugin(Struct, frozen=True, eq=False):
    """
    A service, by name. Declare one in a module in ``twisted/plugins/``::

        chat = ServicePlugin("chat", "acme.chat")

    :ivar name: Its table in the settings file: lower-case letters and digits,
        in words with ``-`` or ``_`` between them; not ``host``, ``operations`` or
        ``web``.
    :ivar module: The dotted name of a module that has ``makeService`` (see
        :class:`ServiceModule`).
    :ivar place: Where it is declared; found out, not given.
    :raise BadPlugin: When a name is none.
    """

    name: str
    module: str
    # The function between is the frame that `caller` is called from.
    place: str = field(default_factory=lambda: caller())

    def __post_init__(self) -> None:
        if problem := _problem(self.name, self.module):
            raise BadPlugin(str(self.name), self.place, problem)

    def __eq__(self, other: object) -> bool:
        """Whether it is the same service, wherever either was declared."""
        if not isinstance(other, ServicePlugin):
            return NotImplemented
        return self._service() == other._service()

    def __hash__(self) -> int:
        return hash(self._service())

    def load(self) -> ServiceModule:
        """
        Import the module.

        :raise BadPlugin: When it cannot be imported, or is not what a service
            module must be. A traceback is in the problem.
        """
        try:
            module = import_module(self.module)
        except (Exception, SystemExit) as error:
            problem = f"cannot import {self.module}: {error}\n{_story(error)}"
            raise BadPlugin(self.name, self.place, problem) from error
        if problem := _flaw(module):
            raise BadPlugin(self.name, self.place, f"{self.module}{problem}")
        return ServiceModule(self, module, tuple(getattr(module, "requires", ())))

    def _service(self) -> tuple[object, ...]:
        return type(self), self.name, self.module


class ServiceModule(Struct, frozen=True):
    """
    The module of a plugin, imported.

    :ivar plugin: The plugin that named it.
    :ivar module: The module. It has ``makeService(settings, host)``, and may
        have ``Settings``, a :class:`ropewalk.schema.Shape`. One that has but
        ``routes`` (or an ``app``), :class:`~ropewalk.web.routes.Routes` or a
        ``klein.Klein``, serves these at ``/``.
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
        """Its ``makeService``, or what serves its routes where it has none."""
        made: Callable[..., Any] | None = getattr(self.module, "makeService", None)
        return _serve_routes(_routes(self.module)) if made is None else made


class Broken(Struct, frozen=True):
    """
    A declaration that could not be read. The others can be used all the same.

    :ivar place: Where in which file, or which distribution's entry point.
    :ivar traceback: What happened, as Python prints it: the last line says what.
    """

    place: str
    traceback: str


class Found(Struct, frozen=True):
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
    entry_points: Iterable[EntryPoint] | None = None,
) -> Found:
    """
    Find the installed services: those declared in ``twisted/plugins/``
    directories, and those in the entry-point group ``ropewalk.services``.

    A service that is declared twice with one name and one module, as a
    distribution may do that uses both, is one service.

    :param package: Where declarations are, if not in :mod:`twisted.plugins`.
    :param entry_points: The entry points to read, if not the installed ones.
    """
    broken: list[Broken] = []
    plugins: dict[ServicePlugin, ServicePlugin] = {}
    for plugin in _declared(package, broken):
        plugins.setdefault(plugin, plugin)
    for plugin in _pointed_to(entry_points, broken):
        plugins.setdefault(plugin, plugin)
    ordered = sorted(plugins.values(), key=lambda plugin: (plugin.name, plugin.place))
    return Found(tuple(ordered), tuple(broken))


def _declared(
    package: ModuleType | None, broken: list[Broken]
) -> Iterator[ServicePlugin]:
    """
    Read ``twisted/plugins/``, but for the files in which there is nothing for
    us, as Twisted's cache says. It is only read: having Twisted make it logs what
    cannot be imported as an error of ours.

    :param broken: Gets what cannot be read, which may fail in any way at all.
    """
    declarations = package or import_module("twisted.plugins")
    caches: dict[FilePath[str], set[str]] = {}
    for found in getModule(declarations.__name__).iterModules():
        directory = found.filePath.parent()
        if directory not in caches:
            caches[directory] = _uninteresting(directory)
        if found.filePath.basename() in caches[directory]:
            continue
        try:
            module = import_module(found.name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            place = _place(error, found.filePath.path)
            broken.append(Broken(place, _story(error)))
        else:
            declared = vars(module).values()
            yield from (each for each in declared if isinstance(each, ServicePlugin))


def _uninteresting(directory: FilePath[str]) -> set[str]:
    """
    The files of a directory in which Twisted has found no service, and that are
    as they were then; none where Twisted has written down nothing.
    """
    cache = directory.child("dropin.cache")
    try:
        written = cache.getModificationTime()
        known: dict[str, Any] = pickle.loads(cache.getContent())
        return {
            f"{name}.py"
            for name, cached in known.items()
            if not any(IServicePlugin in plugin.provided for plugin in cached.plugins)
            and (file := directory.child(f"{name}.py")).exists()
            and file.getModificationTime() < written
        }
    except Exception:
        # It may be of another version, half written, or anything: it is a cache.
        return set()


def _pointed_to(
    entry_points: Iterable[EntryPoint] | None, broken: list[Broken]
) -> Iterator[ServicePlugin]:
    """
    Read the entry points.
    """
    if entry_points is None:
        try:
            entry_points = _installed_points()
        except Exception as error:
            # One distribution whose metadata is damaged is enough.
            broken.append(Broken("entry points", _story(error)))
            return
    for point in entry_points:
        place = _distribution(point)
        try:
            yield ServicePlugin(point.name, point.value, place=place)
        except BadPlugin as error:
            broken.append(Broken(place, _story(error)))


def _installed_points() -> Iterable[EntryPoint]:
    """
    The installed entry points of our group. Most often there are none, and to look
    whether any file speaks of it takes a tenth of the time that asking takes.
    """
    finders = [each for each in sys.meta_path if hasattr(each, "find_distributions")]
    if finders == [PathFinder] and not any(map(_speaks_of_us, sys.path)):
        return ()
    from importlib.metadata import entry_points

    return entry_points(group=ENTRY_POINTS)


def _speaks_of_us(directory: str) -> bool:
    """
    Whether there may be an entry point of our group in a place where Python looks for
    modules. An archive is not opened: there may.
    """
    try:
        names = os.listdir(directory or os.curdir)
    except NotADirectoryError:
        return True
    except OSError:
        return False
    for name in names:
        if name.lower().endswith((".dist-info", "egg-info")):
            try:
                file = os.path.join(directory, name, "entry_points.txt")
                with open(file, "rb") as opened:
                    if ENTRY_POINTS.encode() in opened.read():
                        return True
            except OSError:  # most have none
                continue
    return False


def _problem(name: object, module: object) -> str:
    """
    What is wrong with a plugin's two strings; empty when nothing is.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return (
            f"a service cannot be called {name!r}: its name is a table of the "
            "settings file, such as 'chat' or 'acme-chat2', all in lower case"
        )
    if name in RESERVED:
        return (
            f"a service cannot be called {name!r}: [{name}] is the daemon's own table"
        )
    if not isinstance(module, str) or not all(
        word.isidentifier() for word in module.split(".")
    ):
        return f"{module!r} is not the dotted name of a module, such as 'acme.chat'"
    return ""


def _flaw(module: ModuleType) -> str:
    """
    What keeps a module from being a service's, put after its name; empty when
    nothing does.
    """
    made = getattr(module, "makeService", None)
    if not callable(made) and (made is not None or _routes(module) is None):
        return f" has no makeService(settings, host), and no routes{_hint(module)}"
    shape = getattr(module, "Settings", None)
    if shape is not None and not (
        isinstance(shape, type) and issubclass(shape, msgspec.Struct)
    ):
        return f".Settings is {shape!r}; make it a class, and a ropewalk.schema.Shape"
    requires = getattr(module, "requires", ())
    if isinstance(requires, str):
        return f".requires is a str; make it ({requires!r},)"
    if not isinstance(requires, Collection) or not all(
        isinstance(name, str) for name in requires
    ):
        return f".requires is {requires!r}; make it a tuple of the names of services"
    return ""


def _routes(module: ModuleType) -> Any:
    """
    What a module serves that only has routes, called ``routes`` or ``app``; ``None``
    if it has none. (Klein's, or ours: we ask without importing either.)
    """
    for name in "routes", "app":
        routes = getattr(module, name, None)
        if _are_routes(routes):
            return routes
    return None


def _are_routes(thing: Any) -> bool:
    # Its class is asked: it may stand for something that is not there yet.
    kind = type(thing)
    return hasattr(kind, "url_map") and hasattr(kind, "execute_endpoint")


def _hint(module: ModuleType) -> str:
    """What to write in a module that has nothing to serve."""
    for name, thing in vars(module).items():
        is_class = isinstance(thing, type)
        if name.startswith("_") or isinstance(thing, ModuleType):
            continue
        if not is_class and _are_routes(thing):
            return f": call {name} routes"
        if _are_routes(getattr_static(thing, "routes", None)):
            return f": say routes = {name}{'(…)' if is_class else ''}.routes"
    return ": say routes = Routes(), or what else it serves"


def _serve_routes(routes: Any) -> Callable[..., Any]:
    def make_service(_: Any, host: Any) -> Service:
        host.web.mount("/", routes)
        return Service()

    return make_service


def _place(error: BaseException, path: str) -> str:
    """
    Where in a file an error came up, as near as can be told.
    """
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == path:
            return f"{path}:{frame.lineno}"
    if isinstance(error, SyntaxError) and error.filename == path and error.lineno:
        return f"{path}:{error.lineno}"
    return path


def _story(error: BaseException) -> str:
    """
    An error as Python prints it, without the frames that only import.
    """
    trace = error.__traceback__
    while trace is not None and _imports(trace.tb_frame):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


def _imports(frame: FrameType) -> bool:
    name: str = frame.f_globals.get("__name__", "")
    return name == __name__ or name.partition(".")[0] == "importlib"


def _distribution(point: EntryPoint) -> str:
    dist = point.dist
    name = f"{dist.name} {dist.version}, " if dist is not None else ""
    return f"{name}entry point {point.name} = {point.value}"
