"""
Tests for L{ropewalk.run.installed}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ropewalk.plugin import Broken, Found, ServicePlugin, discover
from ropewalk.run import installed
from ropewalk.run.columns import near
from ropewalk.run.installed import (
    Inventory,
    Service,
    Source,
    find_module,
    read_source,
    take_inventory,
)
from tests.commandline import write

CHAT = '''\
"""
Rooms in which ``nc`` and
browsers talk.

More about them.
"""

raise AssertionError("this module was imported")

requires = ("accounts", "mail")


class Settings(Shape):
    """The table [chat]."""

    LONGEST: ClassVar = 3
    listen: str = "tcp:7070"
    history: Annotated[int, Meta(ge=0)] = 100

    def method(self): ...
'''


class SourceTests(SynchronousTestCase):
    """
    What a module's text says of it.
    """

    def test_all_of_it(self) -> None:
        """
        The first paragraph of its docstring, its settings, what it requires.
        """
        self.assertEqual(
            read_source(CHAT),
            Source(
                "Rooms in which nc and browsers talk.",
                ("listen", "history"),
                ("accounts", "mail"),
            ),
        )

    def test_what_cannot_be_told(self) -> None:
        """
        Settings from elsewhere, requirements that are computed, what is no
        Python: nothing is told of them.
        """
        for text in (
            "from elsewhere import Settings\nrequires = tuple(some())",
            "requires: tuple[str, ...]",
            "def x(:",
            "\0",
            "",
        ):
            self.assertEqual(read_source(text), Source())


class PathTests(SynchronousTestCase):
    """
    Tests that put a directory of their own on Python's path.
    """

    def setUp(self) -> None:
        self.root = Path(self.mktemp()).absolute()
        self.root.mkdir()
        self.patch(sys, "path", [str(self.root), *sys.path])
        installed._distributions.cache_clear()
        self.addCleanup(installed._distributions.cache_clear)

    def plugin(self, name: str, module: str, line: int = 3) -> ServicePlugin:
        place = self.root / "twisted" / "plugins" / f"{name}_plugin.py"
        return ServicePlugin(name, module, place=f"{place}:{line}")


class FindTests(PathTests):
    """
    A module is found, and not imported.
    """

    def test_in_packages(self) -> None:
        """
        Neither is the package that it is in.
        """
        write(
            self.root,
            {"ropetest/__init__.py": "1/0", "ropetest/deep/a.py": '"""Deep."""'},
        )
        write(self.root, {"ropetest/deep/__init__.py": "1/0"})
        spec = find_module("ropetest.deep.a")
        assert spec is not None
        self.assertEqual(spec.origin, str(self.root / "ropetest/deep/a.py"))
        self.assertEqual([name for name in sys.modules if "ropetest" in name], [])

    def test_in_a_namespace(self) -> None:
        """
        A package without ``__init__.py`` has modules as well.
        """
        write(self.root, {"ropetest/a.py": ""})
        self.assertIsNotNone(find_module("ropetest.a"))

    def test_nothing(self) -> None:
        """
        There is no such module, no such package, and no module in a module.
        """
        write(self.root, {"ropetest.py": ""})
        for name in ("nonsuch_rope", "nonsuch_rope.a", "ropetest.a", "json.nonsuch"):
            self.assertIsNone(find_module(name), name)


class InventoryTests(PathTests):
    """
    What is told of the plugins that were found.
    """

    def take(
        self, *plugins: ServicePlugin, broken: tuple[Broken, ...] = ()
    ) -> Inventory:
        return take_inventory(Found(plugins, broken))

    def only(self, plugin: ServicePlugin) -> Service:
        [service] = self.take(plugin).services
        return service

    def test_a_checkout(self) -> None:
        """
        Everything that its text says is told, and where it is declared.
        """
        write(self.root, {"ropechat.py": CHAT})
        plugin = self.plugin("chat", "ropechat")
        told = "\n".join(self.take(plugin).lines()).replace(near(str(self.root)), "R")
        self.assertEqual(
            told,
            "chat  Rooms in which nc and browsers talk.\n"
            "  module    ropechat\n"
            "  from      not from a distribution\n"
            "  declared  R/twisted/plugins/chat_plugin.py:3\n"
            "  settings  listen, history\n"
            "  requires  accounts, mail",
        )
        self.assertFalse(self.take(plugin).problems)
        self.assertNotIn("ropechat", sys.modules)

    def test_a_distribution(self) -> None:
        """
        The one whose record has the declaration is named, with its version.
        """
        write(
            self.root,
            {
                "acme_rope-1.2.dist-info/METADATA": "Name: acme-rope\nVersion: 1.2\n",
                "acme_rope-1.2.dist-info/RECORD": (
                    "ropechat.py,sha256=x,1\ntwisted/plugins/chat_plugin.py,,\n"
                ),
            },
        )
        chat = self.only(self.plugin("chat", "ropechat"))
        self.assertEqual(chat.distribution, "acme-rope 1.2")
        other = self.only(self.plugin("other", "ropechat"))
        self.assertEqual(other.distribution, "")

    def test_an_editable_install(self) -> None:
        """
        The one that was installed from the directory it is in is named.
        """
        project = self.root / "a project"
        place = project / "twisted/plugins/chat_plugin.py"
        url = project.as_uri()
        write(
            self.root,
            {
                "acme_rope-1.2.dist-info/METADATA": "Name: acme-rope\nVersion: 1.2\n",
                "acme_rope-1.2.dist-info/direct_url.json": json.dumps(
                    {"url": url, "dir_info": {"editable": True}}
                ),
            },
        )
        chat = self.only(ServicePlugin("chat", "x", place=f"{place}:3"))
        self.assertEqual(chat.distribution, "acme-rope 1.2, editable")

    def test_an_entry_point(self) -> None:
        """
        It knows its distribution.
        """
        write(
            self.root,
            {
                "acme_rope-1.2.dist-info/METADATA": "Name: acme-rope\nVersion: 1.2\n",
                "acme_rope-1.2.dist-info/entry_points.txt": (
                    "[ropewalk.services]\nropechat = acme.chat\n"
                ),
            },
        )
        plugin = discover().get("ropechat")
        assert plugin is not None
        self.assertEqual(self.only(plugin).distribution, "acme-rope 1.2")

    def test_no_module(self) -> None:
        """
        That it names a module that is not there is seen without importing.
        """
        self.assertEqual(
            self.only(self.plugin("chat", "nonsuch_rope.chat")).problem,
            "there is no module nonsuch_rope.chat",
        )

    def test_one_name_twice(self) -> None:
        """
        Both are listed, each with the place of the other.
        """
        write(self.root, {"ropechat.py": ""})
        inventory = self.take(
            self.plugin("chat", "ropechat"), self.plugin("chat", "ropechat", 4)
        )
        problems = [
            each.problem.replace(near(str(self.root)), "R")
            for each in inventory.services
        ]
        where = "the name 'chat' is claimed by R/twisted/plugins/chat_plugin.py"
        self.assertEqual(problems, [f"{where}:4, too", f"{where}:3, too"])
        self.assertTrue(inventory.problems)

    def test_broken(self) -> None:
        """
        What cannot be read is told with its traceback, and is a problem.
        """
        broken = Broken("/plugins/bad.py:3", "Traceback:\nImportError: no")
        inventory = self.take(broken=(broken,))
        self.assertEqual(
            list(inventory.warnings()),
            [
                "/plugins/bad.py:3: this declaration is broken:",
                "  Traceback:",
                "  ImportError: no",
            ],
        )
        self.assertTrue(inventory.problems)

    def test_nothing(self) -> None:
        """
        Where nothing is installed, it is said how to begin.
        """
        self.assertEqual(
            list(self.take().lines()),
            ["No services are installed. `ropewalk new NAME` writes one."],
        )

    def test_for_programs(self) -> None:
        """
        The same as plain data.
        """
        write(self.root, {"ropechat.py": CHAT})
        inventory = self.take(self.plugin("chat", "ropechat"))
        [chat] = json.loads(json.dumps(inventory.plain()))["services"]
        self.assertEqual(chat["name"], "chat")
        self.assertEqual(chat["source"]["requires"], ["accounts", "mail"])
