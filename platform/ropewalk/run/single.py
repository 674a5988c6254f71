# -*- test-case-name: tests.test_single -*-
"""
A program in the place of a settings file: ``ropewalk run hello.py``. It is a service by
itself, called like the file; its settings come from the environment. Or it has an
application of some framework, which is served as it is.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from types import ModuleType, TracebackType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from twisted.application.service import Service

from ropewalk.errors import BadPlugin, BadSettings, Fault, SettingFault
from ropewalk.plugin import RESERVED, Found, ServiceModule, ServicePlugin
from ropewalk.run.discovering import (
    Application,
    NotFound,
    choose,
    contents,
    default,
    find,
    named,
    settings_of,
)
from ropewalk.run.standing import OwnServer, engine_line, no_servers
from ropewalk.settings import Document, load, parse

__all__ = ["FilePlugin", "Program", "Serving", "open_settings", "with_file"]

#: What is in a program: ``:name``, with dots, perhaps with ``()``.
_NAMED = re.compile(r":[^\W\d]\w*(\.[^\W\d]\w*)*(\(\))?$")

#: What is run only where a file is the program itself, and what is to be said of it.
_MAIN = re.compile(r"^if\s+__name__\s*==\s*[\"']__main__[\"']", re.MULTILINE)
_UNRUN = (
    "what is below if __name__ == '__main__': is not run, so the application has to be "
    "made above that"
)


class Program(Struct, frozen=True):
    """
    What is to be run in place of a settings file.

    :ivar text: How it was named: ``"app.py"``, ``"app.py:app"``,
        ``"shop.wsgi:application"``, ``"app.py:create_app()"``.
    :ivar file: The file; of a module that is not there, where it would be.
    :ivar module: The dotted name of the module; empty for a file.
    :ivar name: What in it; empty for whatever it serves.
    """

    text: str
    file: str
    module: str
    name: str

    @classmethod
    def read(cls, text: str) -> Program | None:
        """
        Understand how it was named; ``None`` for a settings file.
        """
        source, colon, name = text, "", ""
        if _NAMED.search(text) and not text.endswith(".toml"):
            source, colon, name = text.rpartition(":")
        if source.endswith(".py"):
            return cls(text, source, "", name)
        directory, module = os.path.split(source)
        if not colon or not all(each.isidentifier() for each in module.split(".")):
            return None
        inside = os.path.join(directory, *module.split("."))
        package = os.path.join(inside, "__init__.py")
        file = package if os.path.isfile(package) else f"{inside}.py"
        return cls(text, file, module, name)

    @property
    def directory(self) -> str:
        """Where Python is to look for modules first."""
        if not self.module:
            return os.path.dirname(os.path.abspath(self.file))
        source = self.text.rpartition(":")[0]
        return os.path.abspath(os.path.dirname(source) or os.curdir)

    @property
    def is_there(self) -> bool:
        """Whether it can be run; a module may be anywhere."""
        return bool(self.module) or os.path.isfile(self.file)

    @property
    def place(self) -> str:
        """What is put before ``:`` to name what is in it."""
        return self.module or os.path.basename(self.file)


class FilePlugin(ServicePlugin, frozen=True, eq=False):
    """
    The service in a program, wherever Python looks for modules.

    :ivar program: The program.
    """

    program: Program = Program("", "", "", "")

    def load(self) -> ServiceModule:
        """
        Run the file, and find what it serves: a service, or an application of any
        framework.

        :raise BadPlugin: When that fails, or there is nothing to serve.
        """
        try:
            self._foresee(_text(self.program.file))
            with no_servers():
                module = self._run()
                self._foresee("")
                return self._serve(module)
        except BadPlugin:
            raise
        except (NotFound, OwnServer) as error:
            raise BadPlugin(self.name, self.place, str(error)) from error
        except (Exception, SystemExit) as error:
            text = self.program.module or os.path.abspath(self.program.file)
            problem = f"cannot import {text}: {error}\n{_story(error)}"
            raise BadPlugin(self.name, self.place, problem) from error

    def _foresee(self, source: str) -> None:
        """
        Refuse what would take the process for itself, or has done so.

        :param source: The text that is going to be run; empty afterwards.
        """
        line = engine_line(source)
        if line:
            raise OwnServer(f"{os.path.abspath(self.program.file)}:{line}")
        known = sys.modules.keys() & {"gevent.monkey", "eventlet.patcher"}
        if not known and "patch" not in source:
            return  # as most are: nothing is imported for them
        conflicts = import_module("ropewalk.web.hosting.conflicts")
        target = self.program.text
        try:
            conflicts.foresee(target, self.program.directory, source, {}, ())
            conflicts.see_whole(target)
        except conflicts.CannotShare as error:
            raise BadPlugin(self.name, self.place, str(error)) from error

    def _run(self) -> ModuleType:
        """The module, run once."""
        program = self.program
        if program.module:
            return import_module(program.module)
        file, known = os.path.abspath(program.file), sys.modules.get(self.module)
        if known is not None and getattr(known, "__file__", None) == file:
            return known
        spec = spec_from_file_location(self.module, file)
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[self.module] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(self.module, None)
            if known is not None:
                sys.modules[self.module] = known
            raise
        return module

    def _serve(self, module: ModuleType) -> ServiceModule:
        program = self.program
        if program.name:
            return Serving(self, module, (), named(module, program.name, program.place))
        project = settings_of(_text(program.file))
        if project is not None:
            return Serving(self, module, (), django(project))
        found, names = find(vars(module)), vars(module)
        ours = [each.name for each in found if each.kind == "routes"]
        if "makeService" in names or {"routes", "app"}.intersection(ours):
            return super().load()
        if len(found) > len(ours):
            theirs = [each for each in found if each.kind != "routes"]
            return Serving(self, module, (), choose(theirs, program.place))
        try:
            return super().load()
        except BadPlugin as error:
            kept = default()
            if kept is not None:
                return Serving(self, module, (), kept)
            told = contents(names, program.place)
            if not told or not error.problem.endswith("what else it serves"):
                raise
            problem = f"{error.problem}; {told}"
            if "ropewalk run" not in told and _MAIN.search(_text(program.file)):
                problem += f"; {_UNRUN}"
            raise BadPlugin(self.name, self.place, problem) from None


class Serving(ServiceModule, frozen=True):
    """
    A module that has an application of any framework, which is served at ``/``.

    :ivar application: The application.
    """

    application: Application

    @property
    def settings(self) -> None:
        """Nothing can be set."""

    @property
    def make_service(self) -> Callable[..., Any]:
        """What serves it."""
        return self._make

    def _make(self, settings: Any, host: Any) -> Service:
        host.web.mount("/", hosted(self.application))
        return Service()


def hosted(application: Application) -> Any:
    """An application as it can be mounted."""
    if application.kind == "routes":
        return application.value
    kind = application.kind.removesuffix("2")
    make = getattr(import_module(f"ropewalk.web.hosting.{kind}"), kind)
    options = {"asgi_version": 2} if kind != application.kind else {}
    return make(application.value, **options)


def django(settings: str) -> Application:
    """
    The application of a Django project, with its static files as long as it is
    developed (``DEBUG``).

    :param settings: Its settings module.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings)
    conf: Any = import_module("django.conf").settings
    shows = conf.DEBUG and "django.contrib.staticfiles" in conf.INSTALLED_APPS
    handlers = "django.contrib.staticfiles.handlers"
    said = getattr(conf, "ASGI_APPLICATION", None)
    if said:
        module, _, name = said.rpartition(".")
        value = getattr(import_module(module), name)
        if shows:
            value = import_module(handlers).ASGIStaticFilesHandler(value)
        return Application(name, "asgi", value)
    value = import_module("django.core.wsgi").get_wsgi_application()
    if shows:
        value = import_module(handlers).StaticFilesHandler(value)
    return Application("application", "wsgi", value)


def open_settings(path: str | os.PathLike[str], environ: Mapping[str, str]) -> Document:
    """
    Read a settings file; or have a program asked for, with nothing set.

    :param environ: The environment's variables, which are settings too.
    :raise BadSettings: As :func:`ropewalk.settings.load` does, or when there is no
        such file.
    """
    name = os.fspath(path)
    program = Program.read(name)
    if program is None:
        return load(path, environ)
    if not program.is_there:
        raise BadSettings((SettingFault(program.file, "", Fault("", "no such file")),))
    return parse(f"[{_table(program)}]\n", name, environ, os.path.dirname(name))


def with_file(found: Found, path: str | os.PathLike[str]) -> Found:
    """
    The plugins there are, and the service in a program that was named in place of a
    settings file.
    """
    program = Program.read(os.fspath(path))
    if program is None or not program.is_there:
        return found
    file = os.path.abspath(program.file)
    table = _table(program)
    # What Python has by this name, it has from elsewhere, as long as we do not say
    # where the file is.
    module = program.module or _module(table, file)
    if program.directory not in sys.path:
        sys.path.insert(0, program.directory)
    plugin = FilePlugin(table, module, f"{file}:1", program=program)
    others = tuple(each for each in found.plugins if each.name != table)
    return replace(found, plugins=(*others, plugin))


def _table(program: Program) -> str:
    """The table, and the service, of a program."""
    return _name(program.module.partition(".")[0] or program.file)


def _text(file: str) -> str:
    """What is in a file; nothing if it cannot be read."""
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read()
    except OSError:
        return ""


def _name(path: str) -> str:
    """The table, and the service, of a file."""
    stem = os.path.basename(path).removesuffix(".py").lower()
    name = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")
    if not name or name[0].isdigit():
        name = f"app-{name}".strip("-")
    return f"{name}-app" if name in RESERVED else name


def _module(table: str, file: str) -> str:
    """
    What Python calls the module. One that it has already, such as ``calendar`` or
    ``klein``, must stay what it is.
    """
    name = table.replace("-", "_")
    return f"_{name}" if _is_anothers(name, file) else name


def _is_anothers(name: str, file: str) -> bool:
    """Whether a module of this name is not that file."""
    if name in sys.stdlib_module_names:
        return True
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):  # it is being imported, or was made by hand
        return name in sys.modules
    origin = None if spec is None else spec.origin
    return spec is not None and (origin is None or os.path.abspath(origin) != file)


def _story(error: BaseException) -> str:
    """An error as Python prints it, from the file on."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and _imports(trace):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


def _imports(trace: TracebackType) -> bool:
    name: str = trace.tb_frame.f_globals.get("__name__", "")
    return name == __name__ or name.partition(".")[0] == "importlib"
