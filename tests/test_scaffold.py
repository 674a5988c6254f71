"""
Tests for L{ropewalk.run.scaffold}.
"""

from __future__ import annotations

import ast
import os
import signal
import socket
import subprocess
import sys
import tomllib
from http.client import HTTPConnection
from pathlib import Path
from zipfile import ZipFile

from twisted.trial.unittest import SynchronousTestCase

from ropewalk.plugin import Found, ServicePlugin
from ropewalk.run.scaffold import CannotWrite, write_project
from ropewalk.run.statuses import Status
from tests.commandline import PATIENCE, Running, ropewalk, variables, write


class ProjectTests(SynchronousTestCase):
    """
    What is written.
    """

    def setUp(self) -> None:
        self.parent = Path(self.mktemp()).absolute()
        self.parent.mkdir()

    def write(self, name: str = "hello", *installed: ServicePlugin) -> Path:
        root = self.parent / name
        self.said = list(write_project(name, root, Found(installed)))
        return root

    def refused(self, name: str, *installed: ServicePlugin) -> str:
        error = self.assertRaises(CannotWrite, self.write, name, *installed)
        self.assertEqual(list(self.parent.iterdir()), [])
        return str(error)

    def test_files(self) -> None:
        """
        A project as this one is: a module, its declaration, settings, tests.
        """
        root = self.write("acme-rope")
        found = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
        self.assertEqual(
            sorted(map(str, found)),
            [
                ".gitignore",
                "README.rst",
                "acme_rope.py",
                "pyproject.toml",
                "ropewalk.toml",
                "tests/__init__.py",
                "tests/test_acme_rope.py",
                "twisted/plugins/acme_rope_plugin.py",
            ],
        )
        self.assertEqual(self.said[0], f"Written into {root}:")
        self.assertEqual(
            self.said[-3:],
            [f"  cd {root}", "  python -m twisted.trial tests", "  ropewalk run"],
        )

    def test_nothing_is_left_to_fill_in(self) -> None:
        """
        Every text has the project's name where one belongs, and is what its
        suffix says.
        """
        root = self.write("acme-rope")
        for path in root.rglob("*.*"):
            text = path.read_text("utf-8") if path.is_file() else ""
            self.assertNotRegex(text, r"\$\{?[a-z]+\b(?<!\$ )", path)
            if path.suffix == ".py":
                ast.parse(text)
            elif path.suffix == ".toml":
                tomllib.loads(text)
        settings = tomllib.loads((root / "ropewalk.toml").read_text("utf-8"))
        self.assertEqual(list(settings), ["web", "acme-rope"])
        self.assertIn(
            "ROPEWALK_ACME_ROPE__GREETING", (root / "ropewalk.toml").read_text("utf-8")
        )
        readme = (root / "README.rst").read_text("utf-8").splitlines()
        self.assertEqual(readme[:2], ["acme-rope", "========="])

    def test_names_that_will_not_do(self) -> None:
        """
        Each is refused with its reason, and nothing is written.
        """
        rule = "its name starts with a lower-case letter"
        for name, reason in {
            "Hello": "'hello' would do",
            "3d": rule,
            "acme rope": "'acme-rope' would do",
            "acme..rope": "'acme-rope' would do",
            "a--b": "'a-b' would do",
            "a__b": "'a-b' would do",
            "-": rule,
            "": rule,
            "été": rule,
            "../up": "'up' would do",
            "x" * 41: "at most 40 characters",
            "class": "a word of Python's own",
            "host": "has a meaning already",
            "web": "has a meaning already",
            "ropewalk": "has a meaning already",
            "twisted": "has a meaning already",
            "tests": "has a meaning already",
            "json": "a module of Python's own",
            "klein": f"{os.sep}klein{os.sep}__init__.py",
        }.items():
            self.assertIn(reason, self.refused(name), name)

    def test_a_service_of_this_name(self) -> None:
        """
        Two could not be told apart; the place of the other is named.
        """
        plugin = ServicePlugin("hello", "json", place="/plugins/a.py:3")
        self.assertEqual(
            self.refused("hello", plugin),
            "there is a service 'hello' already (/plugins/a.py:3): choose another name",
        )

    def test_a_directory_that_is_not_empty(self) -> None:
        """
        What is in it stays as it is. An empty one will do.
        """
        root = write(self.parent / "hello", {"README.rst": "dear"})
        error = self.assertRaises(CannotWrite, self.write)
        self.assertIn("is there already and not empty", str(error))
        self.assertEqual((root / "README.rst").read_text(), "dear")
        (self.parent / "other").mkdir()
        self.assertTrue((self.write("other") / "other.py").exists())

    def test_a_file_in_the_way(self) -> None:
        """
        The same goes for a file of that name.
        """
        (self.parent / "hello").write_text("dear")
        self.assertRaises(CannotWrite, self.write)
        self.assertEqual((self.parent / "hello").read_text(), "dear")

    def test_where_one_may_not_write(self) -> None:
        """
        The reason is the system's, in a sentence.
        """
        (self.parent / "file").write_text("dear")
        writing = write_project("hello", self.parent / "file" / "hello", Found(()))
        error = self.assertRaises(CannotWrite, list, writing)
        self.assertIn("Not a directory", str(error))


class LivingProjectTests(SynchronousTestCase):
    """
    What is written works, as it is.
    """

    def setUp(self) -> None:
        parent = Path(self.mktemp()).absolute()
        parent.mkdir()
        made = ropewalk("new", "hello", cwd=parent)
        self.assertEqual((made.status, made.err), (Status.STOPPED, ""))
        self.assertIn("Written into hello:", made.out)
        self.root = parent / "hello"

    def run_python(self, *words: str) -> str:
        """
        Run a module of Python's in the project, with nothing of ours before it
        on the path.
        """
        environment = variables()
        path = f"{self.root}{os.pathsep}{environment['PYTHONPATH']}"
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.root,
            env={**environment, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_its_tests_pass(self) -> None:
        """
        Under trial and under pytest.
        """
        self.assertIn("PASSED (successes=3)", self.run_python("twisted.trial", "tests"))
        self.assertIn("3 passed", self.run_python("pytest", "-q"))

    def test_it_runs(self) -> None:
        """
        The daemon is started with what is there, answers on both protocols, and
        stops when asked to.
        """
        settings = {
            "ROPEWALK_WEB__LISTEN": "tcp:0:interface=127.0.0.1",
            "ROPEWALK_HELLO__LISTEN": "tcp:0:interface=127.0.0.1",
            "ROPEWALK_HOST__LOG": "text",
        }
        running = Running("run", "--no-reload", cwd=self.root, **settings)
        self.addCleanup(running.kill)
        lines = running.says("hello answers at ").rpartition(" ")[2]
        web = running.says("web answers at ").rpartition("http://")[2]
        running.says("ready: ")
        host, _, port = lines.rpartition(":")
        with socket.create_connection((host, int(port)), PATIENCE) as connection:
            connection.sendall(b"Grace\n")
            heard = connection.makefile("rb")
            self.assertEqual(heard.readline(), b"Who are you?\n")
            self.assertEqual(heard.readline(), b"Hello, Grace! You are number 1.\n")
            http = HTTPConnection(web.rstrip("/"), timeout=PATIENCE)
            http.request("PUT", "/hello/Ada")
            response = http.getresponse()
            self.assertEqual(response.status, 201)
            self.assertEqual(response.read(), b"Hello, Ada! You are number 2.\n")
            http.close()
            running.signal(signal.SIGTERM)
            self.assertEqual(heard.readline(), b"* goodbye: shutting down\n")
            heard.close()
        self.assertEqual(running.end(), Status.STOPPED)

    def test_the_commands_know_it(self) -> None:
        """
        In its directory it is found without being installed.
        """
        checked = ropewalk("check", cwd=self.root)
        self.assertEqual((checked.status, checked.err), (0, ""))
        self.assertIn("No faults. What would run: hello.", checked.out)
        listed = ropewalk("plugins", cwd=self.root)
        self.assertIn("declared  twisted/plugins/hello_plugin.py:8", listed.out)
        routes = ropewalk("routes", cwd=self.root)
        self.assertRegex(
            routes.out, r"PUT +/hello/<name> +Pages.sign +hello +hello.py:"
        )
        self.assertRegex(routes.out, r"tcp:7070:interface=127.0.0.1 +Lines +hello ")

    def test_its_wheel(self) -> None:
        """
        Whoever installs it gets the service, in both ways of being found, and
        nothing that hides Twisted.
        """
        self.run_python("build", "--no-isolation", "--wheel", ".")
        [wheel] = self.root.glob("dist/*.whl")
        with ZipFile(wheel) as archive:
            names = {name for name in archive.namelist() if ".dist-info" not in name}
            [points] = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
            self.assertIn(
                "[ropewalk.services]\nhello = hello", archive.read(points).decode()
            )
        self.assertEqual(names, {"hello.py", "twisted/plugins/hello_plugin.py"})
