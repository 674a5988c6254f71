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
from importlib.util import module_from_spec, spec_from_file_location

from attrs import evolve, frozen

from ropewalk.errors import BadPlugin, BadSettings, Fault, SettingFault
from ropewalk.plugin import RESERVED, Found, ServiceModule, ServicePlugin
from ropewalk.settings import Document, load, parse

__all__ = ["FilePlugin", "open_settings", "with_file"]


@frozen
class FilePlugin(ServicePlugin):
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
                text = "".join(traceback.format_exception(error)).rstrip()
                problem = f"cannot import {self.file}: {error}\n{text}"
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
    directory = os.path.dirname(file)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    table = _name(name)
    plugin = FilePlugin(table, _module(table), file, place=f"{file}:1")
    others = tuple(each for each in found.plugins if each.name != table)
    return evolve(found, plugins=(*others, plugin))


def _name(path: str) -> str:
    """The table, and the service, of a file."""
    stem = os.path.basename(path).removesuffix(".py").lower()
    name = re.sub(r"[^a-z0-9]+", "-", stem).strip("-") or "app"
    return f"{name}-app" if name in RESERVED or not name[0].isalpha() else name


def _module(table: str) -> str:
    """
    What Python calls the module. One that it has already, such as ``calendar`` or
    ``platform``, must stay what it is.
    """
    name = table.replace("-", "_")
    return f"_{name}" if name in sys.stdlib_module_names or name == "ropewalk" else name
