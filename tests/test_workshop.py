# -*- test-case-name: tests.test_workshop -*-
"""
What a newcomer types works, and what continuous integration counts is true.
"""

from __future__ import annotations

import configparser
import doctest
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from socket import create_connection, create_server
from threading import Timer
from urllib.request import urlopen

from twisted.trial.unittest import SkipTest, SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent

#: A program that does as told, once for those who ask for ``ensurepip`` and once
#: for all others.
_FAKE_PYTHON = """\
#!/bin/sh
case "$*" in
*ensurepip*) {ensurepip} ;;
*) {otherwise} ;;
esac
"""


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def targets() -> set[str]:
    """
    What ``make`` can be asked for.
    """
    return set(re.findall(r"(?m)^([a-z]+):", read("Makefile")))


class ReadmeTests(SynchronousTestCase):
    """
    The page that everybody reads.
    """

    def test_it_opens_with_what_this_is_and_two_commands(self) -> None:
        """
        A title, three lines, and ``make run`` and ``make test``.
        """
        title, underline, about, code, commands = re.split(
            r"\n(?=Ropewalk is|=)|\n\n", read("README.rst"), maxsplit=4
        )[:5]
        self.assertEqual(title, "Ropewalk")
        self.assertEqual(set(underline.strip()), {"="})
        self.assertLessEqual(len(about.splitlines()), 3)
        self.assertTrue(about.startswith("Ropewalk is "))
        self.assertEqual(code, ".. code-block:: console")
        typed = re.findall(
            r"(?m)^   \$ ([^#\n]+?)\s*(?:#.*)?$", commands.split("\n\n")[0]
        )
        self.assertEqual(typed, ["make run", "make test"])

    def test_files_it_names(self) -> None:
        """
        What the README sends people to is there.
        """
        named = re.findall(r"``([\w/]+(?:\.rst)?|LICENSE)``", read("README.rst"))
        for name in (name for name in named if "/" in name or name.endswith(".rst")):
            if not name.startswith("docs/_build"):
                self.assertTrue((ROOT / name).exists(), name)


class ReadmeExampleTests(SynchronousTestCase):
    """
    The service that the README shows.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).resolve()
        blocks = re.findall(
            r"(?m)^\.\. code-block:: (python|toml)\n\n((?:   .*\n|\n)+)",
            read("README.rst"),
        )
        for language, indented in blocks:
            text = textwrap.dedent(indented)
            if language == "toml" and "[clock]" not in text:
                continue  # it is for applications that are not here
            name = re.match(r"# (\S+\.py)\n", text)
            path = self.directory / (name[1] if name else f"ropewalk.{language}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    def start(self, web_port: int, line_port: int) -> subprocess.Popen[str]:
        """
        Start the daemon with the README's settings, but for the ports.

        :return: the process, once it is ready.
        """
        settings = self.directory / "ropewalk.toml"
        text = settings.read_text("utf-8").replace(":8080:", f":{web_port}:")
        self.assertIn(str(web_port), text)
        settings.write_text(text, "utf-8")
        paths = (self.directory, ROOT / "platform", ROOT)
        code = "from twisted.scripts.twistd import run; run()"
        twistd = (sys.executable, "-c", code, "-n", "--pidfile=")
        daemon = subprocess.Popen(
            [*twistd, "ropewalk", "--settings", settings],
            cwd=self.directory,
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join(map(str, paths)),
                "ROPEWALK_CLOCK__LISTEN": f"tcp:{line_port}:interface=127.0.0.1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(daemon.communicate)
        self.addCleanup(daemon.terminate)
        patience = Timer(60, daemon.kill)
        patience.start()
        self.addCleanup(patience.cancel)
        assert daemon.stdout is not None
        said = []
        for line in daemon.stdout:
            said.append(line)
            if "ready" in line:
                return daemon
        raise AssertionError(f"the daemon ended: {''.join(said)}")

    def test_it_runs(self) -> None:
        """
        As it stands there, it tells the time to a browser and to ``nc``.
        """
        with create_server(("127.0.0.1", 0)) as one, create_server(("", 0)) as other:
            web_port, line_port = one.getsockname()[1], other.getsockname()[1]
        self.start(web_port, line_port)
        with urlopen(f"http://127.0.0.1:{web_port}/clock/", timeout=10) as response:
            self.assertRegex(response.read().decode(), r"^\d\d:\d\d$")
        with create_connection(("127.0.0.1", line_port), timeout=10) as line:
            self.assertRegex(line.makefile("r").read(), r"^\d\d:\d\d\n$")


class MakefileTests(SynchronousTestCase):
    """
    What can be made.
    """

    def test_help_names_every_target(self) -> None:
        """
        ``make`` alone lists what there is, and nothing that there is not.
        """
        shown = set(re.findall(r'(?m)^\t@echo "make ([a-z]+)', read("Makefile")))
        self.assertEqual(targets() - shown, {"help", "format"})
        self.assertEqual(shown - targets(), set())

    def test_everything_typed_exists(self) -> None:
        """
        No page tells anybody to make what cannot be made.
        """
        pages = [*ROOT.glob("*.rst"), *ROOT.glob("docs/**/*.rst"), ROOT / ".ci/run"]
        for page in pages:
            text = page.read_text("utf-8")
            for line in re.findall(r"(?m)(?:\$ |``)make((?: [a-z]+)+)", text):
                self.assertLessEqual(set(line.split()), targets(), page.name)

    def test_an_old_make_reads_it(self) -> None:
        """
        macOS has GNU make 3.81: nothing of what came with 3.82 and later.
        """
        newer = r"\.ONESHELL|\.RECIPEPREFIX|^define \w+ =|!=|&:|\$\(file |\$\(let "
        self.assertNotRegex(read("Makefile"), re.compile(newer, re.M))


class ExtrasTests(SynchronousTestCase):
    """
    The table of extras in the documentation.
    """

    def test_the_table_is_complete(self) -> None:
        """
        Every extra is explained, and no other is promised.
        """
        settings = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        settings.read(ROOT / "setup.cfg", "utf-8")
        rows = re.findall(r"(?m)^   \* - (``.*)$", read("docs/installing.rst"))
        explained = set(re.findall(r"``(\w+)``", " ".join(rows)))
        self.assertEqual(explained, set(settings["options.extras_require"]))


class ErrorsPageTests(SynchronousTestCase):
    """
    The page about errors.
    """

    def test_example(self) -> None:
        """
        Its example does what it says.
        """
        page = str(ROOT / "docs" / "errors.rst")
        results = doctest.testfile(page, module_relative=False)
        self.assertEqual((results.failed, results.attempted > 0), (0, True))


class FragmentTests(SynchronousTestCase):
    """
    What users will be told.
    """

    def test_names(self) -> None:
        """
        A fragment's name says its issue and its kind; towncrier passes over one
        that it does not understand without a word.
        """
        settings = tomllib.loads(read("pyproject.toml"))["tool"]["towncrier"]
        kinds = "|".join(kind["directory"] for kind in settings["type"])
        name = re.compile(rf"(\d+|\+[\w-]+)\.({kinds})(\.\d+)?\.rst")
        for path in (ROOT / settings["directory"]).iterdir():
            if not path.name.startswith("."):
                self.assertRegex(path.name, name)

    def test_changes_have_a_place_to_grow(self) -> None:
        """
        Towncrier puts a release's changes below its mark.
        """
        self.assertIn("\n.. towncrier release notes start\n", read("CHANGES.rst"))


class MissingTests(SynchronousTestCase):
    """
    What ``make`` says on a machine that lacks something.
    """

    def setUp(self) -> None:
        self.bin = Path(self.mktemp())
        self.bin.mkdir(parents=True)
        for tool in ("sh", "dirname", "awk", "sed", "sort", "uname", "id", "cat"):
            found = shutil.which(tool)
            assert found is not None
            (self.bin / tool).symlink_to(found)

    def fake(self, name: str, ensurepip: str, otherwise: str) -> None:
        """
        Put a program on the path.
        """
        path = self.bin / name
        path.write_text(_FAKE_PYTHON.format(ensurepip=ensurepip, otherwise=otherwise))
        path.chmod(0o755)

    def ask(self, *words: str, script: str = "environment") -> tuple[int, str]:
        """
        Run a script of the workshop on a machine that has only what is in
        ``self.bin``.
        """
        done = subprocess.run(
            [self.bin.resolve() / "sh", ROOT / "workshop" / script, *words],
            cwd=ROOT,
            env={"PATH": str(self.bin.resolve()), "HOME": str(self.bin.resolve())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout

    def test_no_python(self) -> None:
        """
        Without a Python that will do, the command that brings one.
        """
        self.fake("apt-get", ensurepip="exit 0", otherwise="exit 0")
        for name in ("python3", "python3.12"):
            self.fake(name, ensurepip="exit 1", otherwise="exit 1")
        status, told = self.ask(".venv-never", "test")
        self.assertEqual(status, 1)
        self.assertIn("Python 3.11 or newer, and none was found", told)
        if sys.platform == "linux":
            self.assertIn("\n    sudo apt install python3 python3-venv\n", told)

    def test_no_venv(self) -> None:
        """
        Debian takes ``venv`` out of Python; its package is named.
        """
        self.fake("apt-get", ensurepip="exit 0", otherwise="exit 0")
        # The list of Pythons asks for the version and for ensurepip in one go.
        self.fake(
            "python3.12",
            ensurepip='printf "3.12\\t%s\\tno-venv\\n" "$3"; test $# = 3',
            otherwise="echo 3.12",
        )
        _, listed = self.ask(script="pythons")
        self.assertEqual(listed, f"3.12 {self.bin.resolve()}/python3.12 no-venv\n")
        status, told = self.ask(".venv-never", "test")
        self.assertEqual(status, 1)
        self.assertIn("cannot make virtual environments", told)
        self.assertIn("\n    sudo apt install python3.12-venv\n", told)

    def test_a_python_of_ones_own_that_is_too_old(self) -> None:
        """
        ``PYTHON=`` is not taken on trust.
        """
        self.fake("python3.9", ensurepip="exit 0", otherwise="exit 1")
        status, told = self.ask(".venv-never", "test", "python3.9")
        self.assertEqual(status, 1)
        self.assertIn("python3.9 does not start, or is older than 3.11", told)

    def test_pythons_that_work(self) -> None:
        """
        The list has this very Python, and a shim that fails is left out.
        """
        version = "{}.{}".format(*sys.version_info)
        (self.bin / f"python{version}").symlink_to(Path(sys.executable).resolve())
        self.fake("python3", ensurepip="exit 127", otherwise="exit 127")
        status, told = self.ask(script="pythons")
        self.assertEqual(status, 0)
        self.assertEqual(told, f"{version} {self.bin.resolve()}/python{version}\n")

    def test_something_is_in_the_way(self) -> None:
        """
        A directory that is no virtual environment is never emptied.
        """
        precious = Path(self.mktemp())
        precious.mkdir()
        (precious / "letter").write_text("dear")
        directory = os.path.relpath(precious, ROOT)
        python = str(Path(sys.executable).resolve())
        status, told = self.ask(directory, "test", python)
        self.assertEqual(status, 1)
        self.assertIn("in the way", told)
        self.assertEqual((precious / "letter").read_text(), "dear")


class MakeTests(SynchronousTestCase):
    """
    What ``make`` would do.
    """

    def test_parts_on_several_lines(self) -> None:
        """
        The parts of the suite may stand on several lines, as ``.ci/run`` has them: it
        is one command all the same.
        """
        if shutil.which("make") is None:
            raise SkipTest("no make here: `apt install make` brings it")
        said = subprocess.check_output(
            ["make", "-n", "--no-print-directory", "test", "T=tests.a\n  tests.b"],
            cwd=ROOT,
            text=True,
        )
        (command,) = (line for line in said.splitlines() if "tests.a" in line)
        self.assertTrue(command.endswith(" tests.a tests.b"), command)


class TallyTests(SynchronousTestCase):
    """
    The last line of ``.ci/run``.
    """

    def count(self, *logs: str) -> tuple[int, list[str]]:
        """
        What is printed about some logs, and the exit status.
        """
        paths = []
        for log in logs:
            paths.append(self.mktemp())
            Path(paths[-1]).write_text(log)
        script = ROOT / "workshop" / "tally.py"
        done = subprocess.run(
            [sys.executable, script, *paths], stdout=subprocess.PIPE, text=True
        )
        return done.returncode, done.stdout.splitlines()

    def test_sum(self) -> None:
        """
        What passed on each Python is added up.
        """
        log = "Ran 5 tests in 0.1s\n\nPASSED (skips=1, successes=4)\n"
        self.assertEqual(self.count(log, log), (0, ["8 passed, 0 failed, 2 skipped"]))

    def test_failures(self) -> None:
        """
        An error is a failure, and so is a success that nobody expected.
        """
        log = "FAILED (skips=1, expectedFailures=1, failures=1, errors=2, {})\n"
        log = log.format("unexpectedSuccesses=1, successes=9")
        self.assertEqual(self.count(log), (1, ["9 passed, 4 failed, 2 skipped"]))

    def test_no_count(self) -> None:
        """
        A run without a summary is not a run without failures.
        """
        good = "PASSED (successes=4)\n"
        for bad in ("", "Segmentation fault\n", "PASSED\n", "PASSED (skips=3)\n"):
            status, lines = self.count(good, bad)
            self.assertEqual(status, 1, bad)
            self.assertEqual(lines[-1], "4 passed, 0 failed, 0 skipped")
        self.assertEqual(self.count()[0], 1)

    def test_words_that_are_not_known(self) -> None:
        """
        A kind of result that came later is not silently nothing.
        """
        status, lines = self.count("PASSED (successes=4, mysteries=1)\n")
        self.assertEqual(status, 1)
        self.assertIn("mysteries=1", lines[0])

    def test_the_last_words_count(self) -> None:
        """
        A test may print another summary, of a suite that it runs.
        """
        log = "PASSED (successes=1)\n...\nPASSED (successes=4)\n"
        self.assertEqual(self.count(log), (0, ["4 passed, 0 failed, 0 skipped"]))
