"""
Tests for L{ropewalk.web.hosting.loading}: applications are found by their names.
"""

from __future__ import annotations

import asyncio
import builtins
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import BadSettings
from ropewalk.plugin import Found
from ropewalk.run.configuration import make_plan
from ropewalk.settings import parse
from ropewalk.web.hosting.loading import BadApplication, Guests, Target, amiss, loaded

#: Seconds in which a thread is expected to do something that takes it none.
PATIENCE = 10.0


class GuestCase(SynchronousTestCase):
    """
    A process without guests, and a directory for their modules.
    """

    def setUp(self) -> None:
        self.home = Path(os.path.realpath(self.mktemp()))
        self.home.mkdir()
        self.guests = Guests()
        self.patch(sys, "path", list(sys.path))
        self.patch(builtins, "__import__", builtins.__import__)
        self.patch(os, "environ", os.environ)
        before, environment = set(sys.modules), dict(os.environ)
        self.addCleanup(self.forget, before, environment)
        self.told: list[Any] = []
        note: Any = self.told.append
        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)

    def forget(self, before: set[str], environment: dict[str, str]) -> None:
        for name in set(sys.modules) - before:
            del sys.modules[name]
        for key in os.environ.keys() - environment:
            del os.environ[key]
        os.environ.update(environment)

    def write(self, path: str, text: str) -> Path:
        """Write a module."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text), "utf-8")
        return file

    def load(
        self,
        target: str,
        directory: str = "",
        environment: Mapping[str, str] | None = None,
        prefix: str = "",
    ) -> Any:
        here = str(self.home / directory)
        return self.guests.load(target, here, environment or {}, prefix)

    def problem(self, target: str, directory: str = "") -> str:
        """Why it is not loaded."""
        error: Any = self.assertRaises(BadApplication, self.load, target, directory)
        self.assertIn(f"cannot load {target!r}: ", str(error))
        return str(error.problem)

    def warnings(self) -> list[str]:
        """What was told of it."""
        return [each["what"] for each in self.told if "what" in each]


class NameTests(GuestCase):
    """
    What an application is called.
    """

    def test_ways(self) -> None:
        """
        By module and name, by file, by what makes it; or as it is usually called.
        """
        self.write("shop/__init__.py", "")
        self.write(
            "shop/wsgi.py",
            """\
            def application(): return "application"
            class inner:
                @staticmethod
                def app(): return "inner"
            def create_app(): return lambda: "made"
            """,
        )
        self.write("my-app.py", "def app(): return 'mine'")
        for target, said in (
            ("shop.wsgi:application", "application"),
            ("shop.wsgi", "application"),
            ("shop.wsgi:inner.app", "inner"),
            ("shop.wsgi:create_app()", "made"),
            ("shop/wsgi.py:application", "application"),
            ("my-app.py", "mine"),
        ):
            self.assertEqual(self.load(target)(), said, target)

    def test_nonsense(self) -> None:
        """
        What is no name is said to be none.
        """
        for target in "", ":app", "shop wsgi", "shop:a b", "shop:()", "a..b", ".py":
            error = self.assertRaises(BadApplication, Target.read, target)
            self.assertIn("expected 'package.module:name'", error.problem)
            self.assertEqual(amiss(target), error.problem)

    def test_no_module(self) -> None:
        """
        Where there is no such module, it is said where it was looked for, and what may
        be meant. That is known without running anything.
        """
        self.write("shop/__init__.py", "raise RuntimeError('it was run')")
        self.write("shop/wsgi.py", "")
        here = str(self.home)
        for target, problem in (
            ("shap:app", f"no module 'shap' in {here}, nor on Python's path; did you"),
            ("shop.wsgy:app", "no module 'shop.wsgy' in"),
            ("shop.wsgy:app", "did you mean 'wsgi'?"),
            ("shop.wsgi.app", "shop.wsgi is a module, not a package"),
            ("nothing_like_it:app", "nor on Python's path"),
        ):
            self.assertIn(problem, self.problem(target))
            self.assertIn(problem, amiss(target, here) or "")
        self.assertIn("there is no directory", self.problem("shop:app", "elsewhere"))
        self.assertIsNone(amiss("shop.wsgi:whatever", here))

    def test_no_name(self) -> None:
        """
        Where there is nothing of that name in it, so is that.
        """
        self.write("shop.py", "aplication = 3\ndef make_app(): return 3\n")
        path = self.home / "shop.py"
        self.assertEqual(
            self.problem("shop:application"),
            f"there is no 'application' in {path}; did you mean 'aplication'?",
        )
        self.assertIn("say which: 'shop:make_app()'", self.problem("shop"))
        self.assertIn("int cannot be called", self.problem("shop:aplication"))
        self.assertIn("int cannot be called", self.problem("shop:make_app()"))

    def test_failure(self) -> None:
        """
        The error of an application is told with its traceback, and not with ours.
        """
        self.write("shop.py", "import db\n")
        self.write("db.py", "import nothing_like_it\n")
        problem = self.problem("shop:app")
        self.assertIn("No module named 'nothing_like_it'", problem)
        self.assertIn(f'File "{self.home / "db.py"}", line 1', problem)
        self.assertNotIn("ropewalk", problem.replace(str(self.home), ""))
        self.assertNotIn("importlib", problem)
        self.guests._spaces._listen()  # as where two have modules of one name
        again = self.problem("shop:app")
        self.assertEqual(again.replace("^", ""), problem.replace("^", ""))
        self.write("ends.py", "raise SystemExit('enough')")
        self.assertIn("SystemExit: enough", self.problem("ends:app"))


class ProcessTests(GuestCase):
    """
    What an application finds in the process, and leaves there.
    """

    def test_environment(self) -> None:
        """
        It is loaded with its environment, and knows where it is mounted.
        """
        source = """\
            import os
            seen = os.environ["ROPEWALK_MOUNT"], os.environ["COLOUR"]
            def app(): return seen
            """
        self.write("one/shop.py", source)
        self.write("two/store.py", source)
        before = os.environ.get("ROPEWALK_MOUNT")
        one = self.load("shop:app", "one", {"COLOUR": "red"}, "/one")
        self.assertEqual((one(), os.environ["COLOUR"]), (("/one", "red"), "red"))
        self.assertEqual(os.environ.get("ROPEWALK_MOUNT"), before)
        two = self.load("store:app", "two", {"COLOUR": "blue"}, "")
        self.assertEqual(two(), ("", "blue"))
        # They do not agree: it is as it was.
        self.assertNotIn("COLOUR", os.environ)

    def test_apart(self) -> None:
        """
        What one has put into the environment, the next one does not find there.
        """
        source = """\
            import os
            said = os.environ.setdefault("SETTINGS_OF_GUEST", {!r})
            def app(): return said
            """
        self.write("one.py", source.format("one"))
        self.write("two.py", source.format("two"))
        self.assertEqual([self.load(each)() for each in ("one", "two")], ["one", "two"])

    def test_other_programs(self) -> None:
        """
        What they have put there is theirs: there is an environment without it for other
        programs, also while one is loaded.
        """
        self.write(
            "shop.py",
            """\
            import os, sys
            os.environ["SETTINGS_OF_GUEST"] = "shop"
            os.environ["HOME"] = "/nowhere"
            meanwhile = sys.modules["desk"].guests.environment_without()
            def app(): return meanwhile
            """,
        )
        desk: Any = ModuleType("desk")
        desk.guests = self.guests
        sys.modules["desk"] = desk
        before = dict(os.environ)
        app = self.load("shop:app", "", {"COLOUR": "red"})
        self.assertEqual(os.environ["SETTINGS_OF_GUEST"], "shop")
        self.assertEqual(app(), before)
        self.assertEqual(self.guests.environment_without(), before)

    def test_left_behind(self) -> None:
        """
        What one changes for all is told, and put back where that can be.
        """
        zone, here = time.tzname, os.getcwd()
        self.addCleanup(time.tzset)
        events: Any = asyncio.events
        self.patch(events, "_event_loop_policy", events._event_loop_policy)
        self.write(
            "shop.py",
            """\
            import asyncio, os, tempfile, time
            os.environ["TZ"] = "America/Chicago"
            time.tzset()
            os.chdir(tempfile.gettempdir())
            asyncio.events._event_loop_policy = object()
            def app(): return time.tzname
            """,
        )
        app = self.load("shop:app")
        self.assertEqual((time.tzname, os.getcwd(), app()), (zone, here, zone))
        self.assertEqual(
            self.warnings(),
            ["the current directory", "the time zone", "the policy of asyncio"],
        )

    def test_quiet(self) -> None:
        """
        Of one that changes nothing, nothing is told.
        """
        self.write("shop.py", "def app(): pass")
        self.load("shop")
        self.assertEqual(self.warnings(), [])


class NamesakeTests(GuestCase):
    """
    Applications whose modules are called alike.
    """

    def test_both(self) -> None:
        """
        Each has its own: in import statements, in functions that run later, and in
        packages.
        """
        for name in "one", "two":
            self.write(
                f"{name}/app.py", "from models import who\nfrom web import views"
            )
            with (self.home / name / "app.py").open("a") as file:
                file.write(
                    "\ndef later():\n"
                    "    import helpers, web.forms\n"
                    "    return who, views.who, helpers.who, web.forms.who, __name__\n"
                )
            for module in "models", "helpers", "web/views", "web/forms":
                self.write(f"{name}/{module}.py", "from names import NAME as who")
            self.write(f"{name}/web/__init__.py", "from . import forms")
            self.write(f"{name}/names.py", f"NAME = {name!r}")
        first, second = (self.load("app:later", each) for each in ("one", "two"))
        self.assertEqual(second()[:4], ("two",) * 4)
        self.assertEqual(first(), ("one", "one", "one", "one", "app"))
        self.assertNotEqual(second()[4], "app")
        self.assertEqual(sys.modules["app"].__name__, "app")

    def test_own_names(self) -> None:
        """
        What only one of them has keeps its name, and can be imported by it.
        """
        self.write("one/app.py", "def app(): pass")
        self.write("two/app.py", "import settings_of_two\ndef app(): return __name__")
        self.write("two/settings_of_two.py", "import app\nNAME = app.__name__")
        self.load("app", "one")
        name = self.load("app", "two")()
        self.assertIn("settings_of_two", sys.modules)
        # Which is of the same application.
        self.assertEqual(sys.modules["settings_of_two"].NAME, name)

    def test_scanned(self) -> None:
        """
        A module can be had by its dotted name while it still runs, as frameworks do
        that scan what asks them to.
        """
        text = """\
            import sys
            from functools import reduce
            first, *others = __name__.split(".")
            itself = reduce(getattr, others, __import__(first))
            def app(): return itself is sys.modules[__name__], hasattr(itself, "pie")
            """
        for each in "one", "two":
            self.write(f"{each}/app.py", text)
            self.assertEqual(self.load("app", each)(), (True, False))

    def test_standard_library(self) -> None:
        """
        A module of the standard library's stays what it is for everybody.
        """
        self.write("one/app.py", "import json\ndef app(): return json.dumps")
        self.write("one/json.py", "")
        self.write("two/app.py", "import json\ndef app(): return json.dumps")
        for each in "one", "two":
            self.assertEqual(self.load("app", each)()("x"), '"x"')

    def test_twice(self) -> None:
        """
        One application at two places is one.
        """
        self.write("app.py", "def app(): pass")
        self.assertIs(self.load("app"), self.load("app:app"))


class Desk(Clock):
    """
    A reactor that notes what threads want.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wanted: list[tuple[Any, ...]] = []
        self.came = threading.Event()

    def callFromThread(self, *call: Any) -> None:
        self.wanted.append(call)
        self.came.set()

    def turn(self) -> None:
        """Do what a thread wants."""
        assert self.came.wait(PATIENCE)
        for function, *args in self.wanted:
            function(*args)


class ThreadTests(SynchronousTestCase):
    """
    Where it is loaded.
    """

    def start(self, using: Any) -> tuple[Desk, Deferred[Any]]:
        desk = Desk()
        return desk, loaded(desk, "shop:app", within=5.0, using=using)

    def test_thread(self) -> None:
        """
        In a thread of its own, without an event loop.
        """

        def load(*args: Any) -> Any:
            loop = asyncio._get_running_loop()
            return threading.current_thread().name, loop, args

        desk, waiting = self.start(load)
        desk.turn()
        name, loop, args = self.successResultOf(waiting)
        self.assertEqual((name, loop), ("loads shop:app", None))
        self.assertEqual(args, ("shop:app", "", {}, ""))
        self.assertEqual(desk.getDelayedCalls(), [])

    def test_failure(self) -> None:
        """
        What goes wrong there is told here.
        """

        def load(*args: Any) -> Any:
            raise BadApplication("shop:app", "no")

        desk, waiting = self.start(load)
        desk.turn()
        self.failureResultOf(waiting, BadApplication)

    def test_too_long(self) -> None:
        """
        One that takes too long is told of, and where it is.
        """
        end, begun = threading.Event(), threading.Event()
        self.addCleanup(end.set)

        def load(*args: Any) -> Any:
            begun.set()
            wait_for_the_tide(end)

        desk, waiting = self.start(load)
        self.assertTrue(begun.wait(PATIENCE))
        desk.advance(5)
        error = self.failureResultOf(waiting, BadApplication).value
        self.assertIn("it is not done after 5 seconds", error.problem)
        self.assertIn("the thread that loads it is here:\n  File", error.problem)
        end.set()
        desk.turn()


def wait_for_the_tide(end: threading.Event) -> None:
    end.wait(PATIENCE)


class SettingsTests(GuestCase):
    """
    An application in a settings file.
    """

    def test_not_there(self) -> None:
        """
        One that is not there is found out before anything is started or run: by
        C{ropewalk check}, too.
        """
        self.write("shop.py", "raise RuntimeError('it was run')")
        for kind in "wsgi", "asgi", "native":
            text = f'[web.mounts]\n"/shop" = {{ {kind} = "shap:app" }}\n'
            document = parse(text, str(self.home / "f.toml"))
            error = self.assertRaises(BadSettings, make_plan, document, Found(()))
            self.assertIn("f.toml:2", str(error))
            self.assertIn(f"no module 'shap' in {self.home}", str(error))
            self.assertIn("did you mean 'shop'?", str(error))
        text = '[web.mounts]\n"/shop" = { wsgi = "shop:app" }\n'
        make_plan(parse(text, str(self.home / "f.toml")), Found(()))
