# -*- test-case-name: tests.test_installed -*-
"""
``ropewalk plugins``: which services are installed, where they come from, and what
they add. Their modules are read, not imported.
"""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from msgspec import Struct, to_builtins

from ropewalk.plugin import Broken, Found, ServicePlugin
from ropewalk.run.columns import align, near

__all__ = ["Inventory", "Service", "Source", "read_source", "take_inventory"]


class Source(Struct, frozen=True):
    """
    What the text of a service's module says.

    :ivar about: The first paragraph of its docstring, in one line.
    :ivar settings: The keys that its ``Settings`` declares.
    :ivar requires: The services that it requires.
    """

    about: str = ""
    settings: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()


class Service(Struct, frozen=True):
    """
    A service that is installed.

    :ivar name: Its table in the settings file.
    :ivar module: The module that builds it.
    :ivar place: Where it is declared.
    :ivar distribution: The distribution that brought it, with its version; empty
        when none did, as in a checkout.
    :ivar source: What its module says.
    :ivar problem: Why it cannot be used, if that can be seen from here.
    """

    name: str
    module: str
    place: str
    distribution: str
    source: Source
    problem: str = ""

    def lines(self) -> Iterator[str]:
        """All about it."""
        yield f"{self.name}  {self.source.about}".rstrip()
        rows = {
            "problem": self.problem,
            "module": self.module,
            "from": self.distribution or "not from a distribution",
            "declared": near(self.place),
            "settings": ", ".join(self.source.settings),
            "requires": ", ".join(self.source.requires),
        }
        yield from align((row for row in rows.items() if row[1]), indent=2)


class Inventory(Struct, frozen=True):
    """
    All that is installed.

    :ivar services: By name, then by place.
    :ivar broken: Declarations that cannot be read.
    """

    services: tuple[Service, ...]
    broken: tuple[Broken, ...]

    @property
    def problems(self) -> bool:
        """Whether something of it cannot be used."""
        return bool(self.broken or any(each.problem for each in self.services))

    def lines(self) -> Iterator[str]:
        """The page."""
        if not self.services:
            yield "No services are installed. `ropewalk new NAME` writes one."
        for number, service in enumerate(self.services):
            if number:
                yield ""
            yield from service.lines()

    def warnings(self) -> Iterator[str]:
        """What is wrong with it."""
        for broken in self.broken:
            yield f"{near(broken.place)}: this declaration is broken:"
            yield from (f"  {line}" for line in broken.traceback.splitlines())

    def plain(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "services": to_builtins(self.services),
            "broken": to_builtins(self.broken),
        }


def take_inventory(found: Found) -> Inventory:
    """
    Say what is known of the plugins that were found, without importing them.
    """
    services = []
    for plugin in found.plugins:
        spec = find_module(plugin.module)
        rivals = [each for each in found.plugins if each.name == plugin.name]
        services.append(
            Service(
                plugin.name,
                plugin.module,
                plugin.place,
                find_distribution(plugin),
                Source() if spec is None else read_source(_text(spec)),
                _problem(plugin, rivals, spec),
            )
        )
    return Inventory(tuple(services), found.broken)


def _problem(
    plugin: ServicePlugin, rivals: Iterable[ServicePlugin], spec: ModuleSpec | None
) -> str:
    others = [each for each in rivals if each is not plugin]
    if others:
        return f"the name {plugin.name!r} is claimed by {near(others[0].place)}, too"
    if spec is None:
        return f"there is no module {plugin.module}"
    return ""


def find_module(name: str) -> ModuleSpec | None:
    """
    Find a module as Python would. :func:`importlib.util.find_spec` imports the
    packages that it is in; this does not.
    """
    path: Any = None
    found = None
    so_far = ""
    for part in name.split("."):
        so_far = f"{so_far}.{part}".lstrip(".")
        found = _ask_finders(so_far, path)
        if found is None:
            return None
        path = found.submodule_search_locations
    return found


def _ask_finders(name: str, path: Any) -> ModuleSpec | None:
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(name, path)
        except KeyError:  # a namespace package in one that was not imported
            continue
        if spec is not None:
            return spec
    return None


def _text(spec: ModuleSpec) -> str:
    """The source of a module; empty for one that has none."""
    get_source = getattr(spec.loader, "get_source", None)
    try:
        return (get_source and get_source(spec.name)) or ""
    except (ImportError, OSError, SyntaxError, UnicodeDecodeError):
        return ""


def read_source(text: str) -> Source:
    """
    Say what a module's text says of itself; nothing where it is not Python.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return Source()
    settings: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "Settings":
            settings = tuple(_fields(node))
        elif isinstance(node, ast.Assign | ast.AnnAssign) and _assigns(
            node, "requires"
        ):
            requires = _literal(node.value)
    paragraph = (ast.get_docstring(tree) or "").partition("\n\n")[0]
    about = " ".join(paragraph.replace("``", "").split())
    return Source(about, settings, requires)


def _fields(shape: ast.ClassDef) -> Iterator[str]:
    for node in shape.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        if "ClassVar" not in ast.unparse(node.annotation):
            yield node.target.id


def _assigns(node: ast.Assign | ast.AnnAssign, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(each, ast.Name) and each.id == name for each in targets)


def _literal(value: ast.expr | None) -> tuple[str, ...]:
    """A list of names that is written out; empty for one that is computed."""
    try:
        names = ast.literal_eval(value) if value is not None else ()
    except ValueError:
        return ()
    return tuple(map(str, names)) if isinstance(names, list | tuple | set) else ()


def find_distribution(plugin: ServicePlugin) -> str:
    """
    The distribution that brought a plugin: ``"acme-chat 1.2"``; empty when none
    did.
    """
    path = plugin.place.rpartition(":")[0]
    if not os.path.isabs(path):  # an entry point, whose place is its distribution
        return plugin.place.partition(",")[0] if ", entry point" in plugin.place else ""
    for dist in _distributions():
        if _owns(dist, path):
            editable = ", editable" if _edited(dist) else ""
            return f"{dist.name} {dist.version}{editable}"
    return ""


@cache
def _distributions() -> tuple[metadata.Distribution, ...]:
    return tuple(metadata.distributions())


def _owns(dist: metadata.Distribution, path: str) -> bool:
    edited = _edited(dist)
    if edited is not None:
        # Below the directory there may be anything; a distribution's own
        # declarations are in its own ``twisted/plugins``.
        return Path(path).parent in _declarations_of(edited)
    root = os.path.join(os.path.abspath(str(dist.locate_file(""))), "")
    if not path.startswith(root):
        return False
    record = dist.read_text("RECORD") or ""
    name = path.removeprefix(root).replace(os.sep, "/")
    return any(
        line.startswith((f"{name},", f'"{name}",')) for line in record.splitlines()
    )


def _declarations_of(root: Path) -> tuple[Path, ...]:
    """Where an editable install has its declarations: at its root, or in src."""
    return tuple(root / part / "twisted" / "plugins" for part in ("", "src"))


def _edited(dist: metadata.Distribution) -> Path | None:
    """The directory of an editable install (PEP 610)."""
    text = dist.read_text("direct_url.json")
    if not text:
        return None
    origin = json.loads(text)
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlsplit(origin["url"]).path))
