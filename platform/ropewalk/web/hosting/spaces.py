# -*- test-case-name: tests.test_hosting_spaces -*-
"""
Two applications in one process may each have a module ``app``: an application whose
modules are called as somebody else's has them under a name of their own, and its import
statements find them.

What is imported by a text (``importlib.import_module("models")``) is the module of
whoever came first.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.machinery import SOURCE_SUFFIXES
from itertools import count
from types import ModuleType
from typing import Any

from msgspec import Struct

__all__ = ["SPACES", "Space", "Spaces", "modules_in"]

#: Where this is written: among the frames of what an application imports.
SPACES = __file__

#: Packages that were installed may lie below an application, and are not its own.
_INSTALLED = f"{os.sep}site-packages{os.sep}"


class Space(Struct, frozen=True):
    """
    Where the modules of an application are.

    :ivar name: What stands before the names of those that clash: ``"guest2"``.
    :ivar directory: Where they lie.
    :ivar private: The names that clash.
    """

    name: str
    directory: str
    private: frozenset[str]

    def load(self, module: str) -> ModuleType:
        """Import one of them."""
        if module.partition(".")[0] in self.private:
            module = f"{self.name}.{module}"
        return import_module(module)

    def has(self, importer: Mapping[str, Any]) -> bool:
        """Whether a module is one of them, by its globals."""
        if str(importer.get("__name__")).partition(".")[0] == self.name:
            return True
        file = importer.get("__file__")
        return (
            isinstance(file, str)
            and file.startswith(self.directory + os.sep)
            and _INSTALLED not in file
        )


class _Above(ModuleType):
    """
    The package above modules that clash. Python puts a module into its package when it
    has run; who looks for itself meanwhile, as ``scan()`` of Pyramid's does, would find
    nothing.
    """

    def __getattr__(self, name: str) -> ModuleType:
        module = sys.modules.get(f"{self.__name__}.{name}")
        if module is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return module


class Spaces:
    """
    Those of one process.
    """

    def __init__(self) -> None:
        self._spaces: dict[str, Space] = {}
        self._numbers = count(1)
        self._import: Any = None

    def enter(self, directory: str) -> Space:
        """
        Have the modules of a directory found, behind those of all that came before.
        """
        known = self._spaces.get(directory)
        if known is not None:
            return known
        if directory not in sys.path:
            others = [sys.path.index(each) for each in self._spaces if each in sys.path]
            sys.path.insert(max(others, default=-1) + 1, directory)
        name = f"guest{next(self._numbers)}"
        space = Space(name, directory, frozenset(self._clashes(directory)))
        if space.private:
            package = _Above(name)
            package.__path__ = [directory]
            sys.modules[name] = package
            self._listen()
        self._spaces[directory] = space
        return space

    def _clashes(self, directory: str) -> Iterator[str]:
        others = {name for each in self._spaces for name in modules_in(each)}
        for name in modules_in(directory):
            if name in sys.stdlib_module_names:
                continue  # who is imported already is that for everybody
            if name in others or _is_elsewhere(name, directory):
                yield name

    def _listen(self) -> None:
        """Hear of every import statement from now on."""
        if self._import is None:
            self._import, builtins.__import__ = builtins.__import__, self._find

    def _find(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """``__import__``, which knows whose statement it is."""
        if level == 0 and globals is not None:
            root = name.partition(".")[0]
            for space in self._spaces.values():
                if root in space.private and space.has(globals):
                    name = f"{space.name}.{name}"
                    if not fromlist:
                        import_module(name)
                        return sys.modules[f"{space.name}.{root}"]
                    break
        return self._import(name, globals, locals, fromlist, level)


def modules_in(directory: str) -> Iterator[str]:
    """The modules and packages of a directory, by name."""
    try:
        entries = sorted(os.listdir(directory))
    except OSError:
        return
    for entry in entries:
        name, suffix = os.path.splitext(entry)
        package = os.path.join(directory, entry, "__init__.py")
        there = suffix in SOURCE_SUFFIXES or (not suffix and os.path.exists(package))
        if there and name.isidentifier():
            yield name


def _is_elsewhere(name: str, directory: str) -> bool:
    """Whether there is a module of a name that does not lie in a directory."""
    module = sys.modules.get(name)
    if module is None:
        return False
    file = getattr(module, "__file__", None)
    return not (isinstance(file, str) and file.startswith(directory + os.sep))
