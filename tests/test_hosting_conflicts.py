"""
Tests for L{ropewalk.web.hosting.conflicts}: who cannot be in one process.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from types import ModuleType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ropewalk.web.hosting.conflicts import CannotShare, Guest, clash, foresee
from tests.test_hosting_loading import GuestCase


def guest(
    target: str, module: str = "shop", config: dict[str, Any] | None = None
) -> Guest:
    """An application that is made with some framework."""

    def application() -> None: ...

    application.__module__ = module
    return Guest(target, "/", application, {}, config or {})


class DjangoTests(GuestCase):
    """
    Two projects of Django's have two settings, and a process has one.
    """

    def project(self, directory: str, settings: str, says: str = "") -> None:
        line = says or f'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")'
        self.write(f"{directory}/wsgi.py", f"import os\n{line}\ndef app(): pass\n")
        self.write(f"{directory}/{settings.replace('.', '/')}.py", "")

    def refused(self, directory: str, environment: Any = None) -> str:
        error = self.assertRaises(
            CannotShare, self.load, "wsgi:app", directory, environment
        )
        return str(error)

    def test_two(self) -> None:
        """
        The second is refused before it is loaded: which it is, which is there, and the
        way out are told.
        """
        self.project("one", "one.settings")
        self.project("two", "two.settings")
        with (self.home / "two" / "wsgi.py").open("a") as file:
            file.write("\nraise RuntimeError('ran')")
        self.load("wsgi:app", "one")
        told = self.refused("two")
        for words in (
            "'wsgi:app' cannot share this process: its Django settings are two.",
            "and those of 'wsgi:app' are one.settings",
            "command = [",
        ):
            self.assertIn(words, told)

    def test_namesakes(self) -> None:
        """
        Two that call their settings alike are two.
        """
        self.project("one", "config.settings")
        self.project("two", "config.settings")
        self.load("wsgi:app", "one")
        self.assertIn(str(self.home / "two" / "config"), self.refused("two"))

    def test_found_out_late(self) -> None:
        """
        One that says it in another way is found out when it is loaded; so is one of
        which only the environment knows.
        """
        self.project("one", "one.settings")
        self.project(
            "two",
            "two.settings",
            "os.environ.update(**{'DJANGO_' 'SETTINGS_MODULE': 'two.settings'})",
        )
        self.load("wsgi:app", "one")
        self.assertIn("two.settings", self.refused("two"))
        self.project("three", "three.settings", "pass")
        settings = {"DJANGO_SETTINGS_MODULE": "three.settings"}
        self.assertIn("three.settings", self.refused("three", settings))

    def test_one_project(self) -> None:
        """
        Two applications of one project are none too many.
        """
        self.project("one", "one.settings")
        self.write("one/admin.py", (self.home / "one" / "wsgi.py").read_text())
        self.load("wsgi:app", "one")
        self.load("admin:app", "one")


class PatchedTests(GuestCase):
    """
    Who puts something else in the place of Python's sockets does it for everybody.
    """

    def test_seen(self) -> None:
        """
        It is seen in the module, before that is loaded.
        """
        for line in "monkey.patch_all()", "patch_all(thread=False)":
            self.write("shop.py", f"from gevent import monkey\n{line}\n")
            error = self.assertRaises(CannotShare, self.load, "shop:app")
            self.assertIn("(monkey.patch_all()), for everybody", str(error))

    def test_not_here(self) -> None:
        """
        Where it only does so as a program, it can be loaded.
        """
        source = (
            "def app(): pass\n"
            "if __name__ == '__main__':\n    from gevent import monkey\n"
            "    monkey.patch_all()\n"
        )
        self.write("shop.py", source)
        self.load("shop:app")
        foresee("shop:app", "/", "this is no python", {}, [])

    def test_done(self) -> None:
        """
        Whoever did it elsewhere is found out by what gevent says.
        """
        monkey: Any = ModuleType("gevent.monkey")
        monkey.is_module_patched = lambda name: name == "socket"
        self.write("shop.py", "import other_of_shop\ndef app(): pass\n")
        self.write("other_of_shop.py", "")
        self.load("shop:app")
        self.patch(sys, "modules", {**sys.modules, "gevent.monkey": monkey})
        self.assertRaises(CannotShare, self.load, "shop:app")
        # In a thread, it breaks what imports: the application cannot be loaded.
        self.write("broken.py", "raise RuntimeError('cannot release un-acquired lock')")
        self.assertRaises(CannotShare, self.load, "broken:app")


class ObjectTests(GuestCase):
    """
    Frameworks that keep one application for who makes none.
    """

    def test_same(self) -> None:
        """
        Two files that have it have the pages of both, and the second is refused.
        """
        self.write("one/kept.py", "def app(): pass")
        for name in "one", "two":
            self.write(f"{name}/shop_{name}.py", "from kept import app")
        first, second = (str(self.home / each) for each in ("one", "two"))
        self.load("shop_one:app", first)
        error = self.assertRaises(CannotShare, self.load, "shop_two:app", second)
        self.assertIn(
            f"{second}/shop_two.py and {first}/shop_one.py have the same object",
            str(error),
        )

    def test_other_name(self) -> None:
        """
        One file may be called by several names.
        """
        self.write("shop.py", "def app(): pass\nagain = app")
        self.assertIs(self.load("shop:app"), self.load("shop:again"))


class VersionTests(GuestCase):
    """
    There is one version of each package for all applications of a process.
    """

    def test_told(self) -> None:
        """
        When one fails, it is told what it says it needs and has not got.
        """
        self.write("shop.py", "from twisted import that_is_gone")
        self.write(
            "requirements.txt",
            """\
            # as it was
            -r other.txt
            Twisted<2.1,>=1  # for old times
            klein==0.1; python_version > "3"
            attrs>=20
            zope.interface>1.0,<1000
            nothing-like-it==1
            msgspec @ https://example.org/msgspec.whl
            """,
        )
        problem = self.problem("shop:app")
        here = version("twisted")
        told = problem.partition("Its requirements.txt has ")[2]
        self.assertEqual(
            told.replace("Its requirements.txt has ", "").splitlines(),
            [
                f"Twisted<2.1,>=1, and Twisted {here} is installed.",
                f"klein==0.1, and klein {version('klein')} is installed.",
            ],
        )


class FrameworkTests(SynchronousTestCase):
    """
    Frameworks that share more than they know.
    """

    def test_alone(self) -> None:
        """
        Of web2py and Zope there is one application to a process.
        """
        for module, name in ("gluon.main", "web2py"), ("ZPublisher.WSGI", "Zope"):
            one, two = guest("one:app", module), guest("two:app", module)
            clash(one, [guest("other:app")])
            error = self.assertRaises(CannotShare, clash, two, [one])
            self.assertIn(f"{name} has one application to a process", str(error))
            self.assertIn("'one:app'", str(error))

    def test_cherrypy(self) -> None:
        """
        Applications of CherryPy's can be together as long as they leave its
        configuration as it is.
        """
        one, two, three = (
            guest(f"{name}:app", "cherrypy._cptree", {"log.screen": screen})
            for name, screen in (("one", False), ("two", False), ("three", True))
        )
        clash(two, [one])
        error = self.assertRaises(CannotShare, clash, three, [one])
        self.assertIn("configuration (log.screen), which is that of 'one", str(error))
        clash(three, [guest("other:app")])
