# -*- test-case-name: tests.test_single -*-
"""
One Python file in the place of a settings file: ``ropewalk run hello.py``. It is a
service by itself, called like the file; its settings come from the environment.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Mapping
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from types import TracebackType

from msgspec.structs import replace

from ropewalk.errors import BadPlugin, BadSettings, Fault, SettingFault
from ropewalk.plugin import RESERVED, Found, ServiceModule, ServicePlugin
from ropewalk.settings import Document, load, parse

__all__ = ["FilePlugin", "open_settings", "with_file"]


class FilePlugin(ServicePlugin, frozen=True, eq=False):
    """
    The service in a file, wherever Python looks for modules.

    :ivar file: The file.
    """

    file: str = ""

    def load(self) -> ServiceModule:
        """
        Run the file.

        :raise BadPlugin: When that fails, or there is no service in it.
        """
        known = sys.modules.get(self.module)
        if known is None or getattr(known, "__file__", None) != self.file:
            spec = spec_from_file_location(self.module, self.file)
            assert spec is not None and spec.loader is not None
            module = module_from_spec(spec)
            sys.modules[self.module] = module
            try:
                spec.loader.exec_module(module)
            except (Exception, SystemExit) as error:
                sys.modules.pop(self.module, None)
                if known is not None:
                    sys.modules[self.module] = known
                problem = f"cannot import {self.file}: {error}\n{_story(error)}"
                raise BadPlugin(self.name, self.place, problem) from error
        return super().load()


def open_settings(path: str | os.PathLike[str], environ: Mapping[str, str]) -> Document:
    """
    Read a settings file; or have a Python file asked for, with nothing set.

    :param environ: The environment's variables, which are settings too.
    :raise BadSettings: As :func:`ropewalk.settings.load` does, or when there is no
        such file.
    """
    name = os.fspath(path)
    if not name.endswith(".py"):
        return load(path, environ)
    if not os.path.isfile(name):
        raise BadSettings((SettingFault(name, "", Fault("", "no such file")),))
    return parse(f"[{_name(name)}]\n", name, environ, os.path.dirname(name))


def with_file(found: Found, path: str | os.PathLike[str]) -> Found:
    """
    The plugins there are, and the service in a Python file that was named in place
    of a settings file.
    """
    name = os.fspath(path)
    if not name.endswith(".py") or not os.path.isfile(name):
        return found
    file = os.path.abspath(name)
    table = _name(name)
    # What Python has by this name, it has from elsewhere, as long as we do not say
    # where the file is.
    module = _module(table, file)
    directory = os.path.dirname(file)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    plugin = FilePlugin(table, module, f"{file}:1", file=file)
    others = tuple(each for each in found.plugins if each.name != table)
    return replace(found, plugins=(*others, plugin))


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
