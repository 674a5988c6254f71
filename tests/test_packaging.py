# -*- test-case-name: tests.test_packaging -*-
"""
What is built from the tree is all of the tree, and shows its plugins.

A wheel, a checkout and an editable install are made for real, of a copy of the
tree, without a network: what they depend on comes from the environment that the
suite runs in.
"""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from shutil import copytree, ignore_patterns
from zipfile import ZipFile

from twisted.trial.unittest import SynchronousTestCase

from tests.test_layers import imported, sources

ROOT = Path(__file__).resolve().parent.parent

#: What is made from the tree, or lies beside it in a checkout.
_MADE = ignore_patterns(
    ".bench",
    ".git",
    ".venv*",
    ".*_cache",
    ".hypothesis",
    "__pycache__",
    "_build",
    "_trial_temp*",
    "*.egg-info",
    "*.so",
    "tests.test_*",
    "build",
    "dist",
    "dropin.cache",
)

_OPTIONS = """\
from twisted.python.usage import Options as Usage

class Options(Usage):
    optParameters = [["length", "l", "10", "Metres"]]
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """
    Run a command to its end, with nothing of ours on Python's path.

    :return: What it printed, errors included.
    :raise AssertionError: When it failed.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "ROPEWALK_"))
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    """
    A directory that lives as long as this process.
    """
    return tempfile.TemporaryDirectory(prefix="ropewalk-")


def copy_tree(name: str) -> Path:
    """
    A copy of the checkout.
    """
    target = Path(_scratch().name, name)
    return Path(copytree(ROOT, target, ignore=_MADE, dirs_exist_ok=True))


@cache
def built() -> Path:
    """
    A directory with the sdist, and the wheel that was made from that sdist.
    """
    dist = Path(_scratch().name, "dist")
    source = copy_tree("source")
    run(sys.executable, "-m", "build", "--no-isolation", "-o", dist, cwd=source)
    return dist


def in_wheel() -> set[str]:
    """
    The names of the wheel's files, without those about the wheel itself.
    """
    (wheel,) = built().glob("*.whl")
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    return {name for name in names if not re.match(r"ropewalk-[^/]+\.dist-info/", name)}


def plugin(name: str, about: str) -> str:
    """
    A plugin's declaration, as it stands in ``twisted/plugins``.
    """
    return f"""\
from twisted.application.service import ServiceMaker

{name} = ServiceMaker({name!r}, "ropewalk.{name}", {about!r}, {name!r})
"""


def foreign_modules() -> set[str]:
    """
    The modules from outside that ropewalk imports, by the first part of their names.
    """
    names = {
        name.partition(".")[0]
        for module, path in sources()
        for name in imported(path.read_text("utf-8"), module.rpartition(".")[0])
    }
    return names - sys.stdlib_module_names - {"ropewalk"}


def normal(distribution: str) -> str:
    """
    A distribution's name as it is compared (PEP 503).
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()


def setup_cfg() -> configparser.ConfigParser:
    settings = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    settings.read(ROOT / "setup.cfg", "utf-8")
    return settings


class Environment:
    """
    A virtual environment beside the suite's own, from which it borrows what
    ropewalk depends on. It has no ropewalk before one is installed.
    """

    def __init__(self, name: str) -> None:
        self.elsewhere = Path(_scratch().name, name, "elsewhere")
        directory = Path(_scratch().name, name, "venv")
        self.elsewhere.mkdir(parents=True)
        venv.create(directory, symlinks=True)
        self.python = directory / "bin" / "python"
        (packages,) = directory.glob("lib/python3*/site-packages")
        borrowed = [path for path in sys.path if path.endswith("-packages")]
        (packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n", "utf-8")

    def install(self, *words: str | Path) -> None:
        """
        Let pip install what needs nothing from anywhere.
        """
        pip = (sys.executable, "-m", "pip", "--python", self.python)
        offline = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet")
        run(*pip, "install", *offline, *words, cwd=self.elsewhere)

    def twistd(self, *words: str, **environment: str) -> str:
        """
        What ``twistd`` says in an empty directory.
        """
        code = "import sys; sys.argv[0] = 'twistd'; "
        code += "from twisted.scripts.twistd import run; run()"
        return run(self.python, "-c", code, *words, cwd=self.elsewhere, **environment)


class TreeTests(SynchronousTestCase):
    """
    ``setup.cfg`` says what the tree is.
    """

    def test_packages(self) -> None:
        """
        The packages that are installed are the ones there are.
        """
        found = {
            ".".join(path.parent.relative_to(ROOT / "platform").parts)
            for path in ROOT.glob("platform/ropewalk/**/__init__.py")
        }
        listed = setup_cfg()["options"]["packages"].split()
        self.assertEqual(sorted(listed), sorted(found | {"twisted.plugins"}))

    def test_requirements(self) -> None:
        """
        Whatever ropewalk imports is required, or belongs to an extra.
        """
        options = setup_cfg()
        extras = options["options.extras_require"].values()
        lines = "\n".join([options["options"]["install_requires"], *extras])
        declared = set(map(normal, re.findall(r"(?m)^[\w.-]+", lines)))
        owners = packages_distributions()
        # What is not installed here is taken to be called like its module.
        undeclared = [
            module
            for module in sorted(foreign_modules())
            if declared.isdisjoint(map(normal, owners.get(module, [module])))
        ]
        self.assertEqual(undeclared, [])

    def test_the_standard_library_has_its_platform(self) -> None:
        """
        A directory ``platform/`` beside the program hides nothing.
        """
        code = "import platform; assert platform.system()"
        run(sys.executable, "-c", code, cwd=ROOT)
        run(sys.executable, "-c", code, cwd=ROOT, PYTHONPATH="platform:.")


class WheelTests(SynchronousTestCase):
    """
    What is handed out.
    """

    def test_contents(self) -> None:
        """
        The wheel has every file of ours, and no other.
        """
        trees = (("platform", "ropewalk/**/*"), (".", "twisted/plugins/*.py"))
        expected = {
            path.relative_to(ROOT / root).as_posix()
            for root, pattern in trees
            for path in (ROOT / root).glob(pattern)
            if path.is_file() and path.suffix not in (".pyc", ".c", ".so")
        }
        self.assertIn("ropewalk/py.typed", expected)
        compiled = {name for name in in_wheel() if name.endswith(".so")}
        self.assertEqual(sorted(in_wheel() - compiled), sorted(expected))
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        parts = "net/_segments", "web/_quick", "wire/_lines"
        names = {f"ropewalk/{name}{suffix}" for name in parts}
        self.assertLessEqual(compiled, names)
        if os.environ.get("CI"):  # which has a compiler
            self.assertEqual(compiled, names)

    def test_nothing_of_others(self) -> None:
        """
        Installing ropewalk replaces nothing of Twisted's or Python's.
        """
        theirs = {"twisted/__init__.py", "twisted/plugins/__init__.py"}
        self.assertEqual(in_wheel() & theirs, set())
        tops = {name.partition("/")[0] for name in in_wheel()}
        self.assertEqual(tops, {"ropewalk", "twisted"})

    def test_the_sdist_has_the_workshop(self) -> None:
        """
        With an sdist one can build, test and read about ropewalk.
        """
        (sdist,) = built().glob("*.tar.gz")
        with tarfile.open(sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        needed = {
            "LICENSE",
            "Makefile",
            "README.rst",
            "docs/conf.py",
            "platform/ropewalk/net/_segments.c",
            "platform/ropewalk/web/_quick.c",
            "platform/ropewalk/wire/_lines.c",
            "setup.cfg",
            "setup.py",
            "tests/test_packaging.py",
            "workshop/build_ropewalk.py",
            "workshop/environment",
        }
        self.assertEqual(needed - names, set())


class PluginTests(SynchronousTestCase):
    """
    ``twistd`` shows ropewalk, in whatever way ropewalk came to be there.
    """

    def assertShown(self, name: str, told: str) -> None:
        self.assertRegex(told, rf"(?m)^ +{name} ")

    def assertRuns(self, told: str) -> None:
        """
        The command is not only listed: what it names can be imported.
        """
        self.assertIn("--settings", told)

    def test_nothing_is_borrowed(self) -> None:
        """
        What these tests compare with: an environment without ropewalk has no
        such command.
        """
        told = Environment("without").twistd("--help")
        self.assertShown("web", told)
        self.assertNotIn("ropewalk", told)

    def test_wheel(self) -> None:
        """
        An installed wheel.
        """
        environment = Environment("wheel")
        environment.install(*built().glob("*.whl"))
        self.assertShown("ropewalk", environment.twistd("--help"))
        self.assertRuns(environment.twistd("ropewalk", "--help"))

    def test_checkout(self) -> None:
        """
        A checkout on Python's path, nothing installed.
        """
        environment = Environment("checkout")
        path = f"{ROOT / 'platform'}:{ROOT}"
        self.assertShown("ropewalk", environment.twistd("--help", PYTHONPATH=path))
        self.assertRuns(environment.twistd("ropewalk", "--help", PYTHONPATH=path))

    def test_editable(self) -> None:
        """
        ``pip install -e .``, where plugins and modules show that came later.
        """
        source = copy_tree("editable-source")
        environment = Environment("editable")
        environment.install("-e", source)
        self.assertShown("ropewalk", environment.twistd("--help"))
        self.assertRuns(environment.twistd("ropewalk", "--help"))
        self.assertEqual(list(source.glob("platform/*.egg-info")), [])

        declaration = plugin("splice", "Joins two ropes")
        (source / "twisted/plugins/ropewalk_splice.py").write_text(declaration)
        (source / "platform/ropewalk/splice.py").write_text(_OPTIONS)
        self.assertShown("splice", environment.twistd("--help"))
        self.assertIn("--length", environment.twistd("splice", "--help"))
