# -*- test-case-name: tests.test_plugin -*-
"""
Plugins: declared in two strings, found without being imported, and harmless to
each other when they are broken.
"""

from __future__ import annotations

import os
import sys
import zipfile
from importlib import import_module, invalidate_caches
from importlib.metadata import Distribution, EntryPoint, PathDistribution
from itertools import count
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import twisted.plugins
from twisted.plugin import IPlugin, getCache, getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ropewalk.errors import BadPlugin, Conflict
from ropewalk.interfaces import IServicePlugin
from ropewalk.plugin import (
    RESERVED,
    Broken,
    Found,
    ServicePlugin,
    caller,
    discover,
)
from ropewalk.run.configuration import OURS
from tests.test_schema import run_page

DECLARATION = """\
from ropewalk.plugin import ServicePlugin

chat = ServicePlugin("chat", "acme.chat")
"""

numbers = count()


class Files:
    """
    Files on Python's path, for as long as a test takes.
    """

    def __init__(self, case: SynchronousTestCase) -> None:
        self.root = Path(case.mktemp()).resolve()
        self.root.mkdir()
        self._before = list(sys.path), set(sys.modules)
        # Files that are written twice within a second would be taken for the same.
        case.patch(sys, "dont_write_bytecode", True)
        sys.path.insert(0, str(self.root))
        case.addCleanup(self.forget)

    def write(self, name: str, text: str, age: float = 0.0) -> Path:
        """
        Write a file.

        :param age: How many seconds ago that was.
        """
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        when = path.stat().st_mtime - age
        os.utime(path, (when, when))
        invalidate_caches()
        return path

    def forget(self) -> None:
        """Leave Python as it was."""
        sys.path[:] = self._before[0]
        for name in set(sys.modules) - self._before[1]:
            if str(self.root) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]
        invalidate_caches()


class Declarations(Files):
    """
    A package of declarations, as ``twisted.plugins`` is one.
    """

    def __init__(self, case: SynchronousTestCase) -> None:
        super().__init__(case)
        self.name = f"declarations{next(numbers)}"
        self.directory = self.root / self.name
        self.write(f"{self.name}/__init__.py", "")

    def declare(self, name: str, text: str, age: float = 0.0) -> str:
        """
        Write a declaration.

        :return: its path.
        """
        return str(self.write(f"{self.name}/{name}.py", text, age))

    @property
    def package(self) -> ModuleType:
        """The package."""
        return import_module(self.name)

    def imported(self) -> set[str]:
        """Which of the files have been imported, by name."""
        prefix = f"{self.name}."
        return {
            name.removeprefix(prefix) for name in sys.modules if name.startswith(prefix)
        }

    def discover(self, *points: EntryPoint) -> Found:
        """What is found in the package, in a process that has just started."""
        for name in self.imported():
            del sys.modules[f"{self.name}.{name}"]
        return discover(self.package, points)


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, "ropewalk.services")


class DeclarationTests(SynchronousTestCase):
    """
    A plugin is two strings.
    """

    def test_interfaces(self) -> None:
        """
        Twisted finds it as a plugin, we as a service.
        """
        chat = ServicePlugin("chat", "acme.chat")
        self.assertTrue(verifyObject(IPlugin, chat))
        self.assertTrue(verifyObject(IServicePlugin, chat))

    def test_place(self) -> None:
        """
        It knows where it was declared.
        """
        chat, here = ServicePlugin("chat", "acme.chat"), caller(0)
        self.assertEqual(chat.place, here)

    def test_equal_wherever_declared(self) -> None:
        """
        The two strings are the plugin; the place is only where to look.
        """
        first = ServicePlugin("chat", "acme.chat")
        second = ServicePlugin("chat", "acme.chat")
        self.assertEqual((first, hash(first)), (second, hash(second)))
        self.assertNotEqual(first.place, second.place)

    def test_names(self) -> None:
        """
        A name can be a table in TOML and a piece of an environment variable's name.
        """
        for name in ("c", "chat", "chat2", "acme-chat", "acme_chat"):
            self.assertEqual(ServicePlugin(name, "acme.chat").name, name)
        odd = "Chat CHAT a.chat 1chat -chat chat- a__chat a--chat chät chat/x"
        for name in ("", "a chat", "chat\n", *odd.split()):
            error = self.assertRaises(BadPlugin, ServicePlugin, name, "acme.chat")
            self.assertIn(f"cannot be called {name!r}", str(error))

    def test_what_is_no_text(self) -> None:
        """
        Something else in place of a string is refused in the same way.
        """
        for name, module in ((None, "acme.chat"), ("chat", None), ("chat", os)):
            self.assertRaises(BadPlugin, ServicePlugin, name, module)

    def test_reserved_names(self) -> None:
        """
        The daemon's own tables are no service's.
        """
        self.assertEqual(RESERVED, set(OURS))
        for name in RESERVED:
            error = self.assertRaises(BadPlugin, ServicePlugin, name, "acme.chat")
            self.assertEqual(
                error.problem,
                f"a service cannot be called {name!r}: [{name}] is the daemon's own "
                "table",
            )

    def test_modules(self) -> None:
        """
        The module is named as in an import statement.
        """
        for module in (
            "",
            "acme chat",
            "acme.chat:makeService",
            ".chat",
            "acme/chat.py",
        ):
            error = self.assertRaises(BadPlugin, ServicePlugin, "chat", module)
            self.assertIn(f"{module!r} is not the dotted name", str(error))

    def test_refused_by_place(self) -> None:
        """
        What is refused is named by the line that declares it.
        """
        refused = self.assertRaises(BadPlugin, lambda: ServicePlugin("1", "a")).place
        self.assertEqual(refused, f"{__file__}:{int(caller(0).rpartition(':')[2]) - 1}")


class LoadTests(SynchronousTestCase):
    """
    The module is imported when somebody asks for the service.
    """

    def setUp(self) -> None:
        self.files = Files(self)
        self.module = f"service{next(numbers)}"
        self.plugin = ServicePlugin("chat", self.module)

    def problem(self, text: str) -> str:
        """What is wrong with a module."""
        self.files.write(f"{self.module}.py", text)
        error = self.assertRaises(BadPlugin, self.plugin.load)
        self.assertEqual((error.name, error.place), ("chat", self.plugin.place))
        problem: str = error.problem
        return problem

    def test_a_service_module(self) -> None:
        """
        It has makeService, and may have Settings and requirements.
        """
        text = """
            import msgspec
            requires = ["database"]
            class Settings(msgspec.Struct):
                history: int = 100
            def makeService(settings, host): ...
        """
        self.files.write(f"{self.module}.py", text)
        found = self.plugin.load()
        module = sys.modules[self.module]
        self.assertIs(found.settings, module.Settings)
        self.assertIs(found.make_service, module.makeService)
        self.assertEqual(found.requires, ("database",))
        self.assertEqual((found.plugin, found.module), (self.plugin, module))

    def test_the_least(self) -> None:
        """
        A service that can be told nothing and requires nothing.
        """
        self.files.write(f"{self.module}.py", "def makeService(settings, host): ...")
        found = self.plugin.load()
        self.assertEqual((found.settings, found.requires), (None, ()))

    def test_missing(self) -> None:
        """
        A module that is not there is named, without a traceback of ours.
        """
        error = self.assertRaises(BadPlugin, self.plugin.load)
        self.assertEqual(
            error.problem,
            f"cannot import {self.module}: No module named '{self.module}'\n"
            f"ModuleNotFoundError: No module named '{self.module}'",
        )

    def test_cannot_be_imported(self) -> None:
        """
        The traceback starts in the module, and its last line says what is wrong.
        """
        for text, last in (
            (
                "import no_such_thing",
                "ModuleNotFoundError: No module named 'no_such_thing'",
            ),
            ("raise ValueError('no')", "ValueError: no"),
            ("raise SystemExit('no')", "SystemExit: no"),
        ):
            head, trace, *rest = self.problem(text).splitlines()
            self.assertIn(f"cannot import {self.module}: ", head)
            self.assertEqual(trace, "Traceback (most recent call last):")
            self.assertEqual(
                rest[0],
                f'  File "{self.files.root}/{self.module}.py", line 1, in <module>',
            )
            self.assertEqual(rest[-1], last)

    def test_does_not_compile(self) -> None:
        """
        A slip of the pen is shown as Python shows it.
        """
        problem = self.problem("def makeService(settings, host) ...")
        self.assertIn(f'File "{self.files.root}/{self.module}.py", line 1', problem)
        self.assertIn("SyntaxError: ", problem.splitlines()[-1])

    def test_no_service_module(self) -> None:
        """
        What a service module must be, it is told in a line.
        """
        make = "def makeService(settings, host): ...\n"
        for text, problem in (
            ("", " has no makeService(settings, host)"),
            ("makeService = 5", " has no makeService(settings, host)"),
            (make + "requires = 'data'", ".requires is a str; make it ('data',)"),
            (make + "requires = 5", ".requires is 5; make it a tuple"),
            (make + "requires = (5,)", ".requires is (5,); make it a tuple"),
            (
                make + "class Settings: ...",
                "make it a class, and a ropewalk.schema.Shape",
            ),
            (make + "Settings = {}", "make it a class, and a ropewalk.schema.Shape"),
        ):
            sys.modules.pop(self.module, None)
            found = self.problem(text)
            self.assertTrue(found.startswith(self.module), found)
            self.assertIn(problem, found)


class DiscoveryTests(SynchronousTestCase):
    """
    The installed services are found.
    """

    def setUp(self) -> None:
        self.declarations = Declarations(self)

    def discover(self, *points: EntryPoint) -> Found:
        return self.declarations.discover(*points)

    def assertBroken(self, found: Found, place: str, last: str) -> None:
        """One declaration is broken, and the one of the chat is not."""
        self.assertEqual([broken.place for broken in found.broken], [place])
        self.assertEqual(found.broken[0].traceback.splitlines()[-1], last)
        self.assertEqual(found.names, ("chat",))

    def test_declarations(self) -> None:
        """
        What is declared is found, by name, with the line of its declaration.
        """
        path = self.declarations.declare("acme", DECLARATION)
        other = 'bank = ServicePlugin("bank", "acme.bank")\n'
        self.declarations.declare("zebra", DECLARATION.splitlines()[0] + "\n" + other)
        found = self.discover()
        self.assertEqual(found.names, ("bank", "chat"))
        self.assertEqual(found.broken, ())
        chat = found.get("chat")
        self.assertEqual(chat, ServicePlugin("chat", "acme.chat"))
        self.assertEqual(chat and chat.place, f"{path}:3")
        self.assertIsNone(found.get("mail"))

    def test_place_from_the_cache(self) -> None:
        """
        The line is also known of a declaration that Twisted remembers.
        """
        path = self.declarations.declare("acme", DECLARATION, age=60)
        getCache(self.declarations.package)
        self.assertTrue((self.declarations.directory / "dropin.cache").exists())
        [chat] = self.discover().plugins
        self.assertEqual(chat.place, f"{path}:3")

    def test_in_twisted_plugins(self) -> None:
        """
        Unless told otherwise, it is ``twisted/plugins`` where declarations are.
        """
        path = self.declarations.write(
            "twisted/plugins/acme_chat_for_test.py", DECLARATION
        )
        twisted.plugins.__path__.append(str(path.parent))
        self.addCleanup(twisted.plugins.__path__.remove, str(path.parent))
        chat = discover(entry_points=()).get("chat")
        self.assertEqual(chat and chat.place, f"{path}:3")

    def test_services_are_not_imported(self) -> None:
        """
        Looking at what is installed imports declarations, no services; and once
        Twisted remembers them, no declarations of others.
        """
        self.declarations.declare("acme", DECLARATION, age=60)
        self.declarations.declare("other", "x = 5", age=60)
        self.declarations.write("acme/__init__.py", "raise SystemExit('not now')")
        self.assertEqual(self.discover().names, ("chat",))
        getCache(self.declarations.package)
        self.assertEqual(self.discover().names, ("chat",))
        self.assertEqual(self.declarations.imported(), {"acme"})
        self.assertNotIn("acme", sys.modules)

    def test_strangers_trouble(self) -> None:
        """
        What is wrong with somebody's declaration is reported, not logged: it
        must not fail the tests of everybody who is installed beside it.
        """
        self.declarations.declare("broken", "import nonsense")
        [broken] = self.discover().broken
        self.assertIn("No module named 'nonsense'", broken.traceback)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_entry_points(self) -> None:
        """
        A distribution may name its services in its metadata instead.
        """
        info = "acme_chat-1.2.dist-info"
        self.declarations.write(f"{info}/METADATA", "Name: acme-chat\nVersion: 1.2\n")
        self.declarations.write(
            f"{info}/entry_points.txt", "[ropewalk.services]\nchat = acme.chat\n"
        )
        chat = discover(self.declarations.package).get("chat")
        self.assertEqual(chat, ServicePlugin("chat", "acme.chat"))
        place = "acme-chat 1.2, entry point chat = acme.chat"
        self.assertEqual(chat and chat.place, place)

    def test_entry_points_of_an_egg(self) -> None:
        """
        So may one that was installed in the old way.
        """
        points = "[ropewalk.services]\nchat = acme.chat\n"
        self.declarations.write("acme.egg-info/PKG-INFO", "Name: acme\nVersion: 1\n")
        self.declarations.write("acme.egg-info/entry_points.txt", points)
        self.declarations.write("acme.egg/EGG-INFO/PKG-INFO", "Name: egg\nVersion: 1\n")
        egg = self.declarations.write(
            "acme.egg/EGG-INFO/entry_points.txt", points.replace("chat", "bank")
        )
        sys.path.insert(0, str(egg.parent.parent))
        self.assertEqual(discover(self.declarations.package).names, ("bank", "chat"))
        sys.path.remove(str(self.declarations.root))
        self.assertEqual(discover(self.declarations.package).names, ("bank",))

    def test_entry_points_in_an_archive(self) -> None:
        """
        So may one in an archive.
        """
        archive = self.declarations.root / "acme.zip"
        with zipfile.ZipFile(archive, "w") as opened:
            info = "acme-1.dist-info"
            opened.writestr(f"{info}/METADATA", "Name: acme\nVersion: 1\n")
            opened.writestr(
                f"{info}/entry_points.txt", "[ropewalk.services]\nchat = acme.chat\n"
            )
        sys.path.insert(0, str(archive))
        self.assertEqual(discover(self.declarations.package).names, ("chat",))

    def test_entry_points_found_otherwise(self) -> None:
        """
        So may one that something else finds than Python's own finder.
        """
        self.declarations.write(
            "hidden/acme.dist-info/METADATA", "Name: acme\nVersion: 1\n"
        )
        points = self.declarations.write(
            "hidden/acme.dist-info/entry_points.txt",
            "[ropewalk.services]\nchat = acme.chat\n",
        )

        class Finder:
            def find_spec(self, *args: object) -> None:
                return None

            def find_distributions(self, *args: object) -> list[Distribution]:
                return [PathDistribution(points.parent)]

        self.assertEqual(discover(self.declarations.package).names, ())
        self.patch(sys, "meta_path", [*sys.meta_path, Finder()])
        self.assertEqual(discover(self.declarations.package).names, ("chat",))

    def test_both_ways(self) -> None:
        """
        A service that is declared both ways is one, and has a line.
        """
        path = self.declarations.declare("acme", DECLARATION)
        [chat] = self.discover(point("chat", "acme.chat")).plugins
        self.assertEqual(chat.place, f"{path}:3")

    def test_one_object_twice(self) -> None:
        """
        A second name for a declaration, or an import of it, is not a second one.
        """
        self.declarations.declare("acme", DECLARATION + "talk = chat\n")
        name = self.declarations.name
        self.declarations.declare("other", f"from {name}.acme import chat\n")
        self.assertEqual(len(self.discover().plugins), 1)

    def test_two_of_one_name(self) -> None:
        """
        Of two services that claim a name neither wins, and both are named; others
        can be had.
        """
        first = self.declarations.declare("acme", DECLARATION)
        second = self.declarations.declare(
            "beta",
            DECLARATION.replace("acme.chat", "beta.chat")
            + 'bank = ServicePlugin("bank", "beta.bank")',
        )
        found = self.discover()
        error = self.assertRaises(Conflict, found.get, "chat")
        self.assertEqual(
            str(error),
            "the service name 'chat' is claimed twice:\n"
            f"  by acme.chat ({first}:3)\n"
            f"  by beta.chat ({second}:3)",
        )
        self.assertIsNotNone(found.get("bank"))
        self.assertEqual(found.names, ("bank", "chat"))

    def test_broken_declarations(self) -> None:
        """
        A declaration that cannot be imported is named by its line, with its
        traceback, whatever it died of. The others are found.
        """
        self.declarations.declare("acme", DECLARATION)
        for number, (line, last) in enumerate(
            (
                ("import no_such", "ModuleNotFoundError: No module named 'no_such'"),
                ("raise OSError('disk')", "OSError: disk"),
                ("raise SystemExit(3)", "SystemExit: 3"),
                ("raise GeneratorExit", "GeneratorExit"),
                ("x = = 5", "SyntaxError: invalid syntax"),
            )
        ):
            name = f"broken{number}"
            path = Path(self.declarations.declare(name, f'"""Mine."""\n{line}\n'))
            found = self.discover()
            path.unlink()
            self.assertBroken(found, f"{path}:2", last)
            self.flushLoggedErrors()

    def test_broken_below(self) -> None:
        """
        What fails in a module that the declaration imports is named by the line
        that imports it.
        """
        self.declarations.declare("acme", DECLARATION)
        below = self.declarations.write("below.py", "x = = 5")
        path = self.declarations.declare("broken", "\n\nimport below\n")
        found = self.discover()
        self.assertBroken(found, f"{path}:3", "SyntaxError: invalid syntax")
        self.assertIn(f'File "{below}", line 1', found.broken[0].traceback)
        self.flushLoggedErrors()

    def test_unreadable(self) -> None:
        """
        Of a file that is no text at all, at least the name is told.
        """
        self.declarations.declare("acme", DECLARATION)
        path = self.declarations.declare("broken", "\0")
        [broken] = self.discover().broken
        self.assertTrue(broken.place.startswith(path), broken.place)
        self.flushLoggedErrors()

    def test_bad_declarations(self) -> None:
        """
        A declaration that says something impossible is broken, too.
        """
        self.declarations.declare("acme", DECLARATION)
        path = self.declarations.declare(
            "broken", DECLARATION.replace('"chat"', '"web"')
        )
        self.assertBroken(
            self.discover(),
            f"{path}:3",
            f"ropewalk.errors.BadPlugin: service 'web' ({path}:3): a service cannot be "
            "called 'web': [web] is the daemon's own table",
        )
        self.flushLoggedErrors()

    def test_bad_entry_points(self) -> None:
        """
        So is an entry point that does.
        """
        self.declarations.declare("acme", DECLARATION)
        found = self.discover(point("bank", "acme.bank:makeService"))
        self.assertBroken(
            found,
            "entry point bank = acme.bank:makeService",
            "ropewalk.errors.BadPlugin: service 'bank' (entry point bank = "
            "acme.bank:makeService): 'acme.bank:makeService' is not the dotted name of "
            "a module, such as 'acme.chat'",
        )

    def test_damaged_metadata(self) -> None:
        """
        A distribution whose metadata cannot be read does not hide the declarations.
        """
        info = "acme_chat-1.2.dist-info"
        self.declarations.write(f"{info}/METADATA", "Name: acme-chat\nVersion: 1.2\n")
        self.declarations.write(
            f"{info}/entry_points.txt", "[ropewalk.services]\nchat\n"
        )
        self.declarations.declare("acme", DECLARATION)
        found = discover(self.declarations.package)
        self.assertEqual(found.names, ("chat",))
        self.assertEqual([broken.place for broken in found.broken], ["entry points"])

    def test_broken_while_running(self) -> None:
        """
        A declaration that was found, and then broken, is broken once and not
        found, though Twisted still remembers what it said.
        """
        self.declarations.declare("acme", DECLARATION, age=60)
        both = (
            DECLARATION.replace("chat", "bank") + 'x = ServicePlugin("mail", "mail")\n'
        )
        self.declarations.declare("broken", both, age=60)
        getCache(self.declarations.package)
        self.assertEqual(self.discover().names, ("bank", "chat", "mail"))
        path = self.declarations.declare("broken", "raise ValueError", age=-2)
        self.assertBroken(self.discover(), f"{path}:1", "ValueError")
        self.assertBroken(self.discover(), f"{path}:1", "ValueError")
        self.flushLoggedErrors()


class CacheTests(SynchronousTestCase):
    """
    Twisted's ``dropin.cache`` may be wrong, or not be there at all.
    """

    def setUp(self) -> None:
        self.declarations = Declarations(self)
        self.declarations.declare("acme", DECLARATION, age=60)
        self.cache = self.declarations.directory / "dropin.cache"

    def assertFound(self, *names: str) -> None:
        """
        These are found, and nothing is broken, before Twisted has looked at the
        files and after that.
        """
        for _ in range(2):
            found = self.declarations.discover()
            self.assertEqual((found.names, found.broken), (names, ()))
            getCache(self.declarations.package)

    def test_unwritable(self) -> None:
        """
        Where Twisted may not write its cache, services are found all the same,
        and nothing is broken.
        """
        # Not even root can put a file in the place of a directory.
        self.cache.mkdir()
        self.assertFound("chat")
        self.assertTrue(self.cache.is_dir())

    def test_garbage(self) -> None:
        """
        A cache that is none is as good as no cache.
        """
        self.cache.write_bytes(b"\x80garbage")
        self.assertFound("chat")
        self.assertNotEqual(self.cache.read_bytes(), b"\x80garbage")

    def test_gone(self) -> None:
        """
        What the cache remembers of a file that is gone is forgotten.
        """
        path = self.declarations.declare(
            "beta", DECLARATION.replace("chat", "bank"), 60
        )
        other = self.declarations.declare("other", "x = 5", 60)
        self.assertFound("bank", "chat")
        os.unlink(path)
        os.unlink(other)
        self.declarations.declare("more", "x = 5", 60)
        self.assertFound("chat")

    def test_edited(self) -> None:
        """
        A file that is newer than the cache is read again.
        """
        self.assertFound("chat")
        self.declarations.declare("acme", DECLARATION.replace('"chat"', '"talk"'), -2)
        self.assertFound("talk")

    def test_replaced_by_an_older_file(self) -> None:
        """
        A file that is older than the cache, but not the one that was looked at,
        as a package manager may put it there, says itself what is in it.
        """
        self.assertFound("chat")
        text = DECLARATION.replace("chat = ", "talk = ").replace('"chat"', '"talk"')
        self.declarations.declare("acme", text, age=30)
        self.assertFound("talk")

    def test_twisted_agrees(self) -> None:
        """
        Who asks Twisted for plugins of our kind gets the same.
        """
        package = self.declarations.package
        self.assertEqual(
            set(getPlugins(IServicePlugin, package)),
            set(self.declarations.discover().plugins),
        )


class CallerTests(SynchronousTestCase):
    """
    Where the code stands that calls.
    """

    def test_depth(self) -> None:
        """
        One step up is who called the function that asks, two steps who called that.
        """

        def inner() -> tuple[str, str]:
            return caller(), caller(2)

        def outer() -> tuple[str, str]:
            return inner()

        near, far = outer()
        first = outer.__code__.co_firstlineno
        self.assertEqual(near, f"{__file__}:{first + 1}")
        self.assertEqual(far, f"{__file__}:{first + 3}")


class BrokenTests(SynchronousTestCase):
    """
    What could not be read is a value, for whoever shows it.
    """

    def test_values(self) -> None:
        """
        Two reports of the same are equal.
        """
        self.assertEqual(Broken("a.py:1", "ValueError"), Broken("a.py:1", "ValueError"))


class DocumentationTests(SynchronousTestCase):
    """
    ``docs/plugin.rst`` is true.
    """

    def test_page(self) -> None:
        """
        Its examples do what it says.
        """
        self.assertEqual(run_page("plugin.rst")[1], "")
