"""
Tests for L{ropewalk.run.single}: one Python file is a service.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase, TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadPlugin, BadSettings
from ropewalk.interfaces import Steps
from ropewalk.plugin import Found, ServiceModule, ServicePlugin
from ropewalk.run.checking import Checked, check
from ropewalk.run.discovering import Application
from ropewalk.run.foreground import develop
from ropewalk.run.single import Program, Serving, hosted, open_settings, with_file
from ropewalk.run.statuses import Status
from tests.commandline import PATIENCE, Running, ropewalk, write
from tests.daemonry import Daemon

HELLO = """\
from ropewalk.web import Routes

routes = Routes()
@routes.get("/")
def hello():
    return "Hello!"
"""

SOMEWHERE = {"ROPEWALK_WEB__LISTEN": "tcp:0:interface=127.0.0.1"}


class FileCase(SynchronousTestCase):
    """
    Files, of which Python forgets what it learns.
    """

    def setUp(self) -> None:
        self.root = Path(self.mktemp()).absolute()
        self.patch(sys, "path", [*sys.path])
        known = set(sys.modules)
        self.addCleanup(self.forget, known)

    def forget(self, known: set[str]) -> None:
        for name in set(sys.modules) - known:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if file.startswith(str(self.root)):
                del sys.modules[name]

    def file(self, name: str = "hello.py", text: str = HELLO, **more: str) -> str:
        """Write files; the path of the first."""
        more = {f"{stem}.py": each for stem, each in more.items()}
        return str(write(self.root, {name: text, **more}) / name)

    def plugin(self, path: str, *others: ServicePlugin) -> ServicePlugin:
        *_, plugin = with_file(Found(others), path).plugins
        return plugin

    def load(self, path: str) -> ServiceModule:
        return self.plugin(path).load()

    def refused(self, path: str) -> str:
        problem: str = self.assertRaises(BadPlugin, self.load, path).problem
        return problem

    def check(self, path: str, **environ: str) -> Checked:
        return check(path, environ, Found(()))


class NameTests(FileCase):
    """
    What the service is called, and the module.
    """

    def test_names(self) -> None:
        """
        Like the file, as a table may be called; not as what Python has already.
        """
        for name, table, module in (
            ("hello.py", "hello", "hello"),
            ("Hello_World.py", "hello-world", "hello_world"),
            ("my-first--app.py", "my-first-app", "my_first_app"),
            ("2048.py", "app-2048", "app_2048"),
            ("_.py", "app", "app"),
            ("größe.py", "gr-e", "gr_e"),
            ("host.py", "host-app", "host_app"),
            ("web.py", "web-app", "web_app"),
            ("class.py", "class", "class"),
            ("calendar.py", "calendar", "_calendar"),
            ("antigravity.py", "antigravity", "_antigravity"),
            ("klein.py", "klein", "_klein"),
            ("twisted.py", "twisted", "_twisted"),
            ("ropewalk.py", "ropewalk", "_ropewalk"),
            ("__init__.py", "init", "init"),
        ):
            plugin = self.plugin(self.file(name))
            self.assertEqual((plugin.name, plugin.module), (table, module))

    def test_what_python_has(self) -> None:
        """
        A file that is called like a library leaves it alone, and is found again.
        """
        klein = sys.modules["klein"]
        path = self.file("klein.py", "from klein import Klein\n\napp = Klein()\n")
        first = self.load(path).module
        self.assertIs(self.load(path).module, first)
        self.assertIs(sys.modules["klein"], klein)
        self.assertIs(sys.modules["_klein"], first)

    def test_in_place_of_others(self) -> None:
        """
        It comes before an installed service of its name.
        """
        installed = ServicePlugin("hello", "acme.hello"), ServicePlugin("chat", "acme")
        path = self.file()
        found = with_file(Found(installed), path)
        self.assertEqual(found.names, ("chat", "hello"))
        hello = found.get("hello")
        assert hello is not None
        self.assertEqual((hello.module, hello.place), ("hello", f"{path}:1"))

    def test_other_files(self) -> None:
        """
        A settings file is one, and a file that is not there is no service.
        """
        found = Found((ServicePlugin("chat", "acme"),))
        for name in self.file("a.toml", "[chat]\n"), str(self.root / "none.py"):
            self.assertIs(with_file(found, name), found)
        error = self.assertRaises(
            BadSettings, open_settings, str(self.root / "none.py"), {}
        )
        self.assertIn("none.py: no such file", str(error))
        document = open_settings(self.root / "a.toml", {})
        self.assertEqual(document.tables, ("chat",))


class LoadTests(FileCase):
    """
    The module.
    """

    def test_once(self) -> None:
        """
        It is run once, also when the settings are read again; another file of its
        name is another.
        """
        path = self.file()
        loaded = self.load(path)
        self.assertIs(self.load(path).module, loaded.module)
        other = str(write(self.root, {"other/hello.py": HELLO}) / "other/hello.py")
        self.assertEqual(self.load(other).module.__file__, other)

    def test_beside_it(self) -> None:
        """
        What is beside it can be imported, by its name; like any script, it is in no
        package.
        """
        text = f"from beside_hello import WORD\n{HELLO}"
        path = self.file("reads.py", text, beside_hello="WORD = 'beside'\n")
        self.assertEqual(self.load(path).module.WORD, "beside")
        path = self.file("relative.py", f"from . import beside_hello\n{HELLO}")
        self.assertIn("no known parent package", self.refused(path))

    def test_routes(self) -> None:
        """
        It has C{routes}, or an C{app}, of ours or Klein's; or a C{makeService}.
        """
        for text in (
            HELLO,
            HELLO.replace("routes", "app"),
            "from klein import Klein\n\napp = Klein()\n",
            "from ropewalk.web import falcon\n\napp = falcon.App()\n",
            "def makeService(settings, host): ...\n",
        ):
            name = f"file{len(text)}.py"
            self.assertTrue(callable(self.load(self.file(name, text)).make_service))

    def test_no_routes(self) -> None:
        """
        One that serves nothing is told what to write.
        """
        start = " has no makeService(settings, host), and no routes: "
        imports = "from ropewalk.web import Routes\n"
        pages = f"{imports}class Pages:\n    routes = Routes()\n"
        for number, (text, told) in enumerate(
            {
                "": "say routes = Routes(), or what else it serves",
                "app = 5": "say routes = Routes(), or what else it serves; "
                "it has app (int)",
                HELLO.replace("routes", "router"): "call router routes",
                pages: "say routes = Pages(…).routes",
                f"{pages}pages = Pages()\ndel Pages": "say routes = pages.routes",
            }.items()
        ):
            path = self.file(f"wrong{number}.py", text)
            self.assertEqual(self.refused(path), f"wrong{number}{start}{told}")

    def test_fails(self) -> None:
        """
        What goes wrong in it is told with a traceback that begins in it. Nothing
        half-run stays.
        """
        path = self.file(text="x = 1\n1 / 0\n")
        problem = self.refused(path)
        self.assertEqual(
            problem.splitlines()[:3],
            [
                f"cannot import {path}: division by zero",
                "Traceback (most recent call last):",
                f'  File "{path}", line 2, in <module>',
            ],
        )
        self.assertNotIn("hello", sys.modules)
        problem = self.refused(self.file("odd.py", "def hello(:\n"))
        self.assertIn("SyntaxError", problem)
        self.assertIn("odd.py", problem)
        self.assertNotIn("importlib", problem)
        self.assertIn("SystemExit", self.refused(self.file("e.py", "exit(3)\n")))


class SettingsTests(FileCase):
    """
    Settings without a file of settings.
    """

    def test_check(self) -> None:
        """
        C{ropewalk check} shows what can be set, and where it comes from.
        """
        settings = """
from ropewalk.schema import Shape

class Settings(Shape):
    word: str = "Hello"

def makeService(settings, host): ...
"""
        checked = self.check(
            self.file(text=settings),
            ROPEWALK_HELLO__WORD="Bye",
            ROPEWALK_WEB__LISTEN='["tcp:9000"]',
        )
        self.assertEqual((checked.faults, checked.services), ((), ("hello",)))
        tables = {each.name: each.settings for each in checked.tables}
        (word,) = tables["hello"]
        self.assertEqual(
            (word.text, word.origin),
            ('"Bye"', "environment variable ROPEWALK_HELLO__WORD"),
        )
        listen = next(each for each in tables["web"] if each.name == "listen")
        self.assertIn("tcp:9000", listen.text)

    def test_faults(self) -> None:
        """
        What is wrong with it, or with the environment, keeps it from starting.
        """
        checked = self.check(self.file(text=""))
        self.assertEqual(checked.status, Status.BAD_SETTINGS)
        self.assertIn("and no routes: say routes = Routes()", str(checked.faults[0]))
        checked = self.check(self.file("b.py"), ROPEWALK_B__WORD="x")
        self.assertIn("word: unknown key", "".join(map(str, checked.faults)))
        checked = self.check(str(self.root / "none.py"))
        self.assertIn("no such file", str(checked.faults[0]))

    def test_develops(self) -> None:
        """
        Whoever runs a file develops, unless the environment says otherwise.
        """
        path = self.file()
        for said, comes in (None, "true"), ("false", "false"):
            name = "ROPEWALK_HOST__DEVELOPMENT"
            environ = {} if said is None else {name: said}
            develop(path, environ)
            self.assertEqual(environ, {name: comes})


class ProgramTests(FileCase):
    """
    Applications of others.
    """

    WSGI = "def application(environ, start_response): ...\n"

    def serves(self, target: str) -> Application:
        loaded = self.load(target)
        assert isinstance(loaded, Serving)
        self.assertIs(loaded.settings, None)
        return loaded.application

    def test_how_it_is_named(self) -> None:
        """
        A file, or a module and what is in it; anything else is a settings file.
        """
        for text, file, module, name in (
            ("app.py", "app.py", "", ""),
            ("src/app.py:shop.app", "src/app.py", "", "shop.app"),
            ("app.py:make()", "app.py", "", "make()"),
            ("shop.wsgi:application", "shop/wsgi.py", "shop.wsgi", "application"),
            ("/srv/shop.wsgi:app", "/srv/shop/wsgi.py", "shop.wsgi", "app"),
        ):
            self.assertEqual(Program.read(text), Program(text, file, module, name))
        for text in "ropewalk.toml", "a:b.toml", "c:/x.toml", "app", "a b:c", "app.py:":
            self.assertIs(Program.read(text), None, text)
        program = Program.read("/srv/shop.wsgi:app")
        assert program is not None
        self.assertEqual((program.directory, program.place), ("/srv", "shop.wsgi"))

    def test_file(self) -> None:
        """
        What is meant is found, or named.
        """
        path = self.file("their.py", f"{self.WSGI}other = application\nspare = 5\n")
        self.assertEqual(self.serves(path).kind, "wsgi")
        self.assertEqual(self.serves(f"{path}:other").name, "other")
        self.assertIn("did you mean 'other'", self.refused(f"{path}:othr"))
        self.assertIn("it is int", self.refused(f"{path}:spare"))

    def test_module(self) -> None:
        """
        A module of a package is one: it imports what is beside it.
        """
        write(self.root, {"parcel/__init__.py": "", "parcel/words.py": "A = 1\n"})
        self.file("parcel/wsgi.py", f"from .words import A\n{self.WSGI}")
        plugin = self.plugin(f"{self.root}/parcel.wsgi:application")
        self.assertEqual((plugin.name, plugin.module), ("parcel", "parcel.wsgi"))
        found = self.serves(f"{self.root}/parcel.wsgi:application")
        self.assertEqual(found.kind, "wsgi")
        document = open_settings(f"{self.root}/parcel.wsgi:application", {})
        self.assertEqual(document.tables, ("parcel",))

    def test_main(self) -> None:
        """
        What is below C{if __name__ == "__main__":} is not run.
        """
        text = f"{self.WSGI}if __name__ == '__main__':\n    1 / 0\n"
        self.assertEqual(self.serves(self.file("main.py", text)).name, "application")

    def test_only_in_main(self) -> None:
        """
        Where the application is made there, that is told.
        """
        told = "is not run, so the application has to be made above that"
        text = f"def page(request): ...\nif __name__ == '__main__':\n    {self.WSGI}"
        self.assertIn(told, self.refused(self.file("inside.py", text)))
        text = "def page(request): ...\n"
        self.assertNotIn(told, self.refused(self.file("without.py", text)))

    def test_asgi2(self) -> None:
        """
        An application of ASGI 2 is mounted as one.
        """
        found = self.serves(self.file("two.py", "def app(scope): ...\n"))
        self.assertEqual((found.kind, hosted(found).kind), ("asgi2", "asgi"))

    def test_own_server(self) -> None:
        """
        A file that starts a server when it is imported is told on which line.
        """
        start = "import socket\nwith socket.socket() as s:\n"
        start += "    s.bind(('127.0.0.1', 0))\n"
        path = self.file("looks.py", self.WSGI + start)
        self.assertEqual(self.serves(path).kind, "wsgi")
        start = start.replace("0))", "5055))")
        path = self.file("stands.py", self.WSGI + start)
        problem = self.refused(path)
        self.assertTrue(problem.startswith(f"{path}:4 starts a server of its own"))

    def test_own_engine(self) -> None:
        """
        So is one that starts CherryPy's engine, which would serve in another thread and
        never return.
        """
        for start in "quickstart(Pages())", "cherrypy.engine.start()":
            text = f"import cherrypy\n1 / 0\n{start}\n"
            path = self.file("tree.py", text)
            self.assertTrue(self.refused(path).startswith(f"{path}:3 starts a server"))
        text = "import cherrypy_of_ours\nif __name__ == '__main__':\n    quickstart()\n"
        path = self.file("later.py", text)
        self.assertIn("cannot import", self.refused(path))

    def test_whole_process(self) -> None:
        """
        A file that puts gevent in the place of Python's sockets is not run, and is told
        the way out.
        """
        text = "from gevent import monkey\n\nmonkey.patch_all()\n1 / 0\n"
        problem = self.refused(self.file("patched.py", text))
        self.assertIn("cannot share this process: it puts gevent in", problem)
        self.assertIn("command = [", problem)

    def test_patched_meanwhile(self) -> None:
        """
        Nor is it served when what it imports has done that; Python's sockets are as
        they were.
        """
        real, bind = socket.socket, socket.socket.bind
        text = """
import socket, sys
from types import ModuleType
monkey = sys.modules["gevent.monkey"] = ModuleType("gevent.monkey")
monkey.is_module_patched = lambda name: name == "socket"
class Other(socket.socket): pass
socket.socket = Other
def app(environ, start_response): ...
"""
        self.patch(sys, "modules", {**sys.modules})
        self.patch(socket, "socket", socket.socket)
        self.assertIn("it puts gevent in", self.refused(self.file("deep.py", text)))
        self.assertIs(real.bind, bind)

    def test_kept_elsewhere(self) -> None:
        """
        A file that makes no application, and has its pages in that which its framework
        keeps, is served by that.
        """
        text = """
import sys
from types import ModuleType
class Bottle:
    __module__ = "bottle"
    routes = ["/"]
bottle = sys.modules["bottle"] = ModuleType("bottle")
bottle.default_app = lambda pages=Bottle(): pages
def index(): ...
"""
        self.patch(sys, "modules", {**sys.modules})
        self.assertEqual(self.serves(self.file("kept.py", text)).name, "default_app()")

    def test_ours_comes_first(self) -> None:
        """
        A file that has routes of ours, or is a service, is what it was.
        """
        for text in HELLO, "def makeService(settings, host): ...\n":
            path = self.file(f"both{len(text)}.py", self.WSGI + text)
            self.assertNotIsInstance(self.load(path), Serving)
        path = self.file("named.py", HELLO.replace("routes", "router"))
        self.assertEqual(self.serves(f"{path}:router").kind, "routes")

    def test_factory(self) -> None:
        """
        What makes an application is not called unless that is said.
        """
        text = f"def create_app():\n    {self.WSGI}    return application\n"
        path = self.file("maker.py", text)
        self.assertIn("ropewalk run 'maker.py:create_app()'", self.refused(path))
        self.assertEqual(self.serves(f"{path}:create_app()").kind, "wsgi")


class CommandTests(SynchronousTestCase):
    """
    The commands, in processes of their own.
    """

    def setUp(self) -> None:
        self.root = write(Path(self.mktemp()).absolute(), {"hello.py": HELLO})

    def ask(self, place: str, path: str = "/", **headers: str) -> tuple[int, str]:
        http = HTTPConnection(place, timeout=PATIENCE)
        self.addCleanup(http.close)
        http.request("GET", path, headers=headers)
        response = http.getresponse()
        return response.status, response.read().decode()

    def test_hello(self) -> None:
        """
        Six lines are served; somebody develops, so errors are explained; the daemon
        stops when it is told to.
        """
        self.assertEqual(len(HELLO.splitlines()), 6)
        text = f'{HELLO}\n@routes.get("/fails")\ndef fails():\n    return 1 / 0\n'
        write(self.root, {"hello.py": text})
        running = Running("run", "--no-reload", "hello.py", cwd=self.root, **SOMEWHERE)
        self.addCleanup(running.kill)
        said = running.says("web answers at ").rpartition("http://")[2]
        place = said.partition("/")[0]
        running.says("ready: ")
        self.assertEqual(self.ask(place), (200, "Hello!"))
        status, page = self.ask(place, "/fails", Accept="text/html")
        self.assertEqual(status, 500)
        self.assertIn("ZeroDivisionError", page)
        running.signal(signal.SIGTERM)
        self.assertEqual(running.end(), Status.STOPPED)

    def test_from_elsewhere(self) -> None:
        """
        The file may be anywhere; what is beside it is found, watched, and has it
        started again.
        """
        text = f"import words\n{HELLO}".replace('"Hello!"', "words.HELLO")
        write(self.root, {"src/hello.py": text, "src/words.py": 'HELLO = "1"\n'})
        here = write(self.root, {"here/x.txt": ""}) / "here"
        path = os.path.join("..", "src", "hello.py")
        running = Running(
            *("run", "--reload", path),
            cwd=here,
            PYTHONDONTWRITEBYTECODE="1",
            **SOMEWHERE,
        )
        self.addCleanup(running.kill)
        for number in "1", "2":
            said = running.says("web answers at ").rpartition("http://")[2]
            running.says("ready: ")
            self.assertEqual(self.ask(said.partition("/")[0])[1], number)
            if number == "1":
                write(self.root, {"src/words.py": 'HELLO = "2"  # changed\n'})
                running.says("words.py changed: starting again")
        running.signal(signal.SIGINT)
        self.assertEqual(running.end(), Status.STOPPED)

    def test_wrong(self) -> None:
        """
        A file that cannot be run, or serves nothing, ends the command with status 2
        and says why.
        """
        for text, told in {
            "def hello(:\n": "SyntaxError",
            "import nowhere_at_all\n": "No module named 'nowhere_at_all'",
            "": "say routes = Routes()",
        }.items():
            write(self.root, {"wrong.py": text})
            done = ropewalk("run", "--no-reload", "wrong.py", cwd=self.root)
            self.assertEqual((done.status, told in done.err), (2, True), done)
        done = ropewalk("run", "--no-reload", "none.py", cwd=self.root)
        self.assertEqual(done.status, 2)
        self.assertIn("none.py: no such file", done.err)

    def test_unserved(self) -> None:
        """
        A handler that asks for what nobody gives ends it with status 1, with its
        place.
        """
        text = HELLO.replace("hello()", "hello(session: dict.fromkeys)")
        write(self.root, {"hello.py": text})
        done = ropewalk("run", "--no-reload", "hello.py", cwd=self.root)
        self.assertEqual(done.status, Status.START_FAILED)
        self.assertIn("hello.py:4", done.err)

    def test_routes_and_check(self) -> None:
        """
        The other commands take it, too.
        """
        done = ropewalk("routes", "--json", "hello.py", cwd=self.root)
        routes: Any = json.loads(done.out)["routes"]
        (mine,) = (each for each in routes if each["service"] == "hello")
        self.assertEqual((mine["path"], mine["methods"]), ("/", ["GET"]))
        self.assertRegex(mine["place"], r"hello\.py:4$")
        done = ropewalk("check", "hello.py", cwd=self.root)
        self.assertEqual((done.status, done.err), (0, ""))
        self.assertIn("No faults. What would run: hello.", done.out)

    def test_grows(self) -> None:
        """
        The same file becomes a project's, as it is; and takes settings when it has
        some to take.
        """
        plugin = (
            "from ropewalk.plugin import ServicePlugin\n\n"
            'hello = ServicePlugin("hello", "hello")\n'
        )
        files = {"twisted/plugins/my_hello.py": plugin, "ropewalk.toml": "[hello]\n"}
        write(self.root, files)
        done = ropewalk("routes", "--json", cwd=self.root)
        served = [each["service"] for each in json.loads(done.out)["routes"]]
        self.assertIn("hello", served)
        more = """
from twisted.application.service import Service
from ropewalk.schema import Shape

class Settings(Shape):
    path: str = "/"

def makeService(settings, host):
    host.web.mount(settings.path, routes)
    return Service()
"""
        settings = '[hello]\npath = "/greetings"\n'
        write(self.root, {"hello.py": HELLO + more, "ropewalk.toml": settings})
        done = ropewalk("routes", "--json", cwd=self.root)
        paths = {
            each["path"]: each["service"] for each in json.loads(done.out)["routes"]
        }
        self.assertEqual(paths["/greetings"], "hello")
        done = ropewalk("routes", "--json", "hello.py", cwd=self.root)
        paths = {
            each["path"]: each["service"] for each in json.loads(done.out)["routes"]
        }
        self.assertEqual(paths["/"], "hello")

    def test_their_application(self) -> None:
        """
        An application of WSGI is served with no settings at all, started again when its
        file changes, and shown by the other commands.
        """
        text = """
def shop(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"1" + environ["PATH_INFO"].encode()]
"""
        write(self.root, {"src/shop.py": text})
        done = ropewalk("routes", "--json", "src/shop.py", cwd=self.root)
        (mine,) = (
            each for each in json.loads(done.out)["routes"] if each["service"] == "shop"
        )
        self.assertEqual((mine["path"], mine["kind"]), ("/…", "hosted"))
        self.assertEqual(mine["answers"], "shop (WSGI)")
        done = ropewalk("check", "src/shop.py:shop", cwd=self.root)
        self.assertIn("No faults. What would run: shop.", done.out)
        running = Running("run", "--reload", "src/shop.py", cwd=self.root, **SOMEWHERE)
        self.addCleanup(running.kill)
        for number in "1", "2":
            said = running.says("web answers at ").rpartition("http://")[2]
            running.says("ready: ")
            self.assertEqual(self.ask(said.partition("/")[0], "/x")[1], f"{number}/x")
            if number == "1":
                write(self.root, {"src/shop.py": text.replace('b"1"', 'b"2"')})
                running.says("shop.py changed: starting again")
        running.signal(signal.SIGINT)
        self.assertEqual(running.end(), Status.STOPPED)


class DaemonTests(TestCase):
    """
    The daemon of a file.
    """

    @inlineCallbacks
    def test_twistd(self) -> Steps[None]:
        """
        C{twistd ropewalk -s hello.py} serves it, in production; on SIGHUP it goes on.
        """
        root = write(Path(self.mktemp()).absolute(), {"hello.py": HELLO})
        daemon = Daemon.start(
            root,
            None,
            paths=(),
            environ={**SOMEWHERE, "ROPEWALK_SETTINGS": "hello.py"},
        )
        self.addCleanup(daemon.stop)
        places = yield daemon.ready()
        http = places["web"].removeprefix("http://").rstrip("/")
        status = yield self._ask(http)
        self.assertEqual(status, b"Hello!")
        daemon.signal("SIGHUP")
        yield daemon.says("read again")
        status = yield self._ask(http)
        self.assertEqual(status, b"Hello!")
        daemon.signal("SIGTERM")
        self.assertEqual((yield daemon.end()), Status.STOPPED)

    @inlineCallbacks
    def _ask(self, place: str) -> Steps[bytes]:
        import treq

        response = yield treq.get(f"http://{place}/", persistent=False)
        body: bytes = yield response.content()
        return body
