# -*- test-case-name: tests.test_scaffold -*-
"""
``ropewalk new``: writes a plugin project that runs, with tests that pass.
"""

from __future__ import annotations

import keyword
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Template

from attrs import define
from msgspec import Struct

from ropewalk.errors import RopewalkError
from ropewalk.plugin import RESERVED, Found
from ropewalk.run.columns import near
from ropewalk.run.installed import find_module

__all__ = ["CannotWrite", "Project", "write_project"]

_TEMPLATES = Path(__file__).with_name("templates")

#: Modules that every project has or needs.
_TAKEN = frozenset("ropewalk twisted tests conftest setup".split())

_LONGEST = 40


@define
class CannotWrite(RopewalkError):
    """
    A project cannot be written.

    :ivar problem: Why, and what to do.
    """

    problem: str

    def __str__(self) -> str:
        return self.problem


class Project(Struct, frozen=True):
    """
    A project that is to be written.

    :ivar name: Its name; that of its distribution, its service and its path, too.
    """

    name: str

    @property
    def module(self) -> str:
        """The module of its service."""
        return self.name.replace("-", "_")

    def files(self) -> Iterator[tuple[str, str]]:
        """Each file's path in the project, and its text."""
        for path, template in (
            ("README.rst", "README.rst.txt"),
            ("pyproject.toml", "pyproject.toml.txt"),
            ("ropewalk.toml", "ropewalk.toml.txt"),
            (f"{self.module}.py", "service.py.txt"),
            (f"twisted/plugins/{self.module}_plugin.py", "plugin.py.txt"),
            (f"tests/test_{self.module}.py", "tests.py.txt"),
            (".gitignore", "gitignore.txt"),
        ):
            yield path, self._filled(template)
        yield "tests/__init__.py", ""

    def _filled(self, template: str) -> str:
        text = (_TEMPLATES / template).read_text("utf-8")
        return Template(text).substitute(
            name=self.name,
            module=self.module,
            variable=self.module,
            VARIABLE=self.module.upper(),
            underline="=" * len(self.name),
        )


def write_project(
    name: str, directory: str | os.PathLike[str], found: Found
) -> Iterator[str]:
    """
    Write a project.

    :param directory: Where to; made if it is not there.
    :param found: The services that are installed already.
    :return: what was done, in lines for people.
    :raise CannotWrite: When the name will not do, or something is in the way.
        Nothing is written then.
    """
    project = Project(_checked(name, found))
    root = Path(directory)
    _need_room(root)
    written = []
    try:
        for path, text in project.files():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
            written.append(path)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
        raise CannotWrite(f"cannot write the project: {problem}") from error
    yield f"Written into {root}:"
    yield from (f"  {path}" for path in written)
    yield ""
    yield "Next:"
    if root.resolve() != Path.cwd():
        yield f"  cd {root}"
    yield "  python -m twisted.trial tests"
    yield "  ropewalk run"


def _checked(name: str, found: Found) -> str:
    """
    A name that will do.

    :raise CannotWrite: Says why another will not.
    """
    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        wish = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")
        hint = f"; {wish!r} would do" if wish and wish != name else ""
        raise CannotWrite(
            f"a project cannot be called {name!r}: its name starts with a lower-case "
            f"letter and has only those, digits and single hyphens{hint}"
        )
    if len(name) > _LONGEST:
        raise CannotWrite(f"a project's name has at most {_LONGEST} characters")
    if keyword.iskeyword(module):
        raise CannotWrite(f"{name!r} is a word of Python's own: choose another name")
    if module in RESERVED | _TAKEN:
        raise CannotWrite(f"{name!r} has a meaning already: choose another name")
    if module in sys.stdlib_module_names:
        raise CannotWrite(
            f"{name!r} is a module of Python's own, which the project would hide: "
            "choose another name"
        )
    for plugin in found.plugins:
        if plugin.name == name:
            raise CannotWrite(
                f"there is a service {name!r} already ({near(plugin.place)}): choose "
                "another name"
            )
    _need_free(module)
    return name


def _need_free(module: str) -> None:
    spec = find_module(module)
    # One in this directory is not on the path of a project below it.
    if spec is None or not spec.has_location or not spec.origin:
        return
    if os.path.dirname(spec.origin) != os.getcwd():
        raise CannotWrite(
            f"there is a module {module!r} already ({spec.origin}), which the project "
            "would hide: choose another name"
        )


def _need_room(root: Path) -> None:
    try:
        empty = not root.exists() or (root.is_dir() and not any(root.iterdir()))
    except OSError as error:
        raise CannotWrite(f"{root}: {error.strerror}") from error
    if not empty:
        raise CannotWrite(
            f"{root} is there already and not empty: name another directory, as in "
            f"`ropewalk new NAME DIRECTORY`"
        )
