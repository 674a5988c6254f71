# -*- test-case-name: tests.test_layers -*-
"""
The house stands in layers: a part imports lower ones or its own, nothing else.

Import statements are read, not run: one inside a function or under ``if
TYPE_CHECKING`` counts as much as one at the top.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent

LAYERS = (
    {"errors"},
    {"interfaces", "wire"},
    {"schema", "settings", "plugin", "telemetry", "awaiting"},
    {"data"},
    {"hub", "operations", "jobs", "auth", "outbound"},
    {"web", "net"},
    {"client", "console"},
    {"run", "testing", "export", "__main__"},
)

#: Neighbours of one layer, of whom the first may import the second: settings are
#: read into shapes, and the kit for plugin authors composes a host, as do
#: ``python -m ropewalk`` and who takes a site to another server.
NEIGHBOURS = {
    ("settings", "schema"),
    *((each, "run") for each in ("testing", "export", "__main__")),
}

#: Nobody imports these, wherever they stand: they are named in plugins, in
#: entry points and by tests.
SUMMITS = {"client", "console", "run", "testing", "export", "__main__"}

GLOBAL_REACTOR = "twisted.internet.reactor"

LEVELS = {part: level for level, parts in enumerate(LAYERS) for part in parts}


def part_of(module: str) -> str:
    """
    The part that a module of ropewalk's belongs to: ``"web"`` for
    ``"ropewalk.web.routes"``, nothing for the package itself.
    """
    return module.partition(".")[2].partition(".")[0]


def imported(source: str, package: str) -> set[str]:
    """
    Every name that a source text imports, with dots.

    ``from a import b`` is ``a`` and ``a.b``: ``b`` may be a module, and nobody
    can tell from here.

    :param package: What a relative import starts from.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                above = package.split(".")[: -(node.level - 1) or None]
                origin = ".".join([*above, *filter(None, [origin])])
            names.add(origin)
            names.update(f"{origin}.{alias.name}" for alias in node.names)
    return names


def trespasses(module: str, source: str, package: str) -> Iterator[str]:
    """
    What a module imports and should not, a sentence each.
    """
    importer = part_of(module)
    names = sorted(imported(source, package))
    targets = {part_of(name) for name in names if name.startswith("ropewalk.")}
    for target in sorted(targets & LEVELS.keys() - {importer}):
        if (importer, target) in NEIGHBOURS:
            continue
        if target in SUMMITS:
            yield f"{module} imports {target}, which nobody may import"
        elif LEVELS[target] >= LEVELS.get(importer, -1):
            yield f"{module} imports {target}, which is not below it"
    if importer == "wire" and any(name.split(".")[0] == "twisted" for name in names):
        yield f"{module} imports Twisted, and should know bytes only"
    if importer not in ("run", "testing") and GLOBAL_REACTOR in names:
        yield f"{module} imports the global reactor instead of being handed one"


def sources() -> Iterator[tuple[str, Path]]:
    """
    The modules of ropewalk by name.
    """
    platform = ROOT / "platform"
    for path in sorted((platform / "ropewalk").rglob("*.py")):
        yield ".".join(path.relative_to(platform).with_suffix("").parts), path


def tree_trespasses() -> Iterator[str]:
    for dotted, path in sources():
        module = dotted.removesuffix(".__init__")
        package = dotted.rpartition(".")[0]
        yield from trespasses(module, path.read_text("utf-8"), package)


def declarations_only(source: str) -> bool:
    """
    Whether a module imports and assigns, and does nothing else.
    """
    docstring = ast.Expr | ast.Constant
    return all(
        isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign)
        or (isinstance(node, ast.Expr) and isinstance(node.value, docstring))
        for node in ast.parse(source).body
    )


class HouseTests(SynchronousTestCase):
    """
    The tree as it is.
    """

    def test_layers(self) -> None:
        """
        Every import goes down.
        """
        self.assertEqual(list(tree_trespasses()), [])

    def test_every_module_has_a_layer(self) -> None:
        """
        A module that no layer knows would be held by no rule.
        """
        parts = {part_of(module) for module, _ in sources()} - {"", "__init__"}
        self.assertEqual(parts - LEVELS.keys(), set())
        self.assertIn("errors", parts)

    def test_the_examples_are_handed_their_reactor(self) -> None:
        """
        Who learns from an example learns to be handed a reactor.
        """
        offenders = [
            str(path.relative_to(ROOT))
            for path in sorted(ROOT.glob("examples/**/*.py"))
            if "tests" not in path.parts
            and GLOBAL_REACTOR in imported(path.read_text("utf-8"), "")
        ]
        self.assertEqual(offenders, [])

    def test_packages_that_must_not_be(self) -> None:
        """
        An ``__init__.py`` in ``platform/`` hides the standard library's module
        of that name; one in ``twisted/`` hides Twisted.
        """
        for directory in ("platform", "twisted", "twisted/plugins"):
            self.assertFalse((ROOT / directory / "__init__.py").exists(), directory)
        for plugins in ROOT.glob("examples/*/twisted"):
            self.assertEqual(list(plugins.rglob("__init__.py")), [])

    def test_plugins_only_declare(self) -> None:
        """
        Twisted runs every file in ``twisted/plugins`` to see what is there, so
        that such a file imports and assigns and does nothing else.
        """
        files = [
            *ROOT.glob("twisted/plugins/*.py"),
            *ROOT.glob("examples/*/twisted/plugins/*.py"),
        ]
        for path in files:
            self.assertTrue(
                declarations_only(path.read_text("utf-8")),
                f"{path.relative_to(ROOT)} does more than declare",
            )


class RuleTests(SynchronousTestCase):
    """
    The rules themselves, on modules made up to break them.
    """

    def assertTrespass(self, module: str, source: str, *words: str) -> None:
        package = module.rpartition(".")[0]
        found = " ".join(trespasses(module, source, package))
        for word in words:
            self.assertIn(word, found)
        if not words:
            self.assertEqual(found, "")

    def test_down_is_allowed(self) -> None:
        """
        A lower layer and one's own package may be imported, at any depth.
        """
        self.assertTrespass("ropewalk.web.routes", "import ropewalk.errors")
        self.assertTrespass("ropewalk.web.routes", "from ropewalk.web import binding")
        self.assertTrespass("ropewalk.run.host", "from ropewalk import hub, x")

    def test_up_is_not(self) -> None:
        """
        Whatever the spelling, and wherever in the module.
        """
        for source in (
            "import ropewalk.web.routes",
            "from ropewalk import web",
            "from ropewalk.web import Routes",
            "from .web import Routes",
            "from . import web",
            "def late():\n    from ropewalk.web import Routes",
            "if TYPE_CHECKING:\n    from ropewalk.web import Routes",
        ):
            self.assertTrespass("ropewalk.hub", source, "hub imports web")

    def test_relative_imports_start_from_the_package(self) -> None:
        """
        Two dots lead one package up, where ``web`` is a neighbour of ``net``'s.
        """
        self.assertTrespass("ropewalk.net.lines", "from .web import x")
        self.assertTrespass("ropewalk.net.lines", "from ..web import x", "imports web")

    def test_neighbours(self) -> None:
        """
        Parts of one layer do not import each other, but for the ones listed.
        """
        self.assertTrespass("ropewalk.web.a", "import ropewalk.net", "imports net")
        self.assertTrespass("ropewalk.net.a", "import ropewalk.web", "imports web")
        self.assertTrespass("ropewalk.schema", "import ropewalk.settings", "settings")
        self.assertTrespass("ropewalk.settings", "import ropewalk.schema")
        self.assertTrespass("ropewalk.testing", "import ropewalk.run.host")
        self.assertTrespass("ropewalk.run.host", "import ropewalk.testing", "nobody")
        self.assertTrespass("ropewalk.run.host", "import ropewalk.console", "nobody")

    def test_the_package_itself_imports_nothing(self) -> None:
        """
        What ``ropewalk/__init__.py`` imports is paid for by everyone.
        """
        self.assertTrespass("ropewalk", "from ropewalk import errors", "not below")

    def test_wire_knows_bytes_only(self) -> None:
        """
        No Twisted where bytes become events.
        """
        self.assertTrespass("ropewalk.wire.http", "from twisted import web", "Twisted")

    def test_the_global_reactor(self) -> None:
        """
        It is imported where a daemon is composed, and by the kit for tests.
        """
        for source in (
            "from twisted.internet import reactor",
            "import twisted.internet.reactor",
            "from twisted.internet.reactor import callLater",
        ):
            self.assertTrespass("ropewalk.hub", source, "global reactor")
            self.assertTrespass("ropewalk.run.daemon", source)
            self.assertTrespass("ropewalk.testing", source)

    def test_declarations(self) -> None:
        """
        A plugin file with a call or a function of its own is found out.
        """
        plugin = '"""Chat."""\nfrom a import Plugin\nchat = Plugin("chat", "b")\n'
        self.assertTrue(declarations_only(plugin))
        self.assertFalse(declarations_only(plugin + "print(chat)\n"))
        self.assertFalse(declarations_only(plugin + "def more(): ...\n"))
        self.assertFalse(declarations_only(plugin + "if chat:\n    x = 1\n"))
