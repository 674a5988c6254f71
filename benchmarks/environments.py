# -*- test-case-name: tests.test_benchmarks -*-
"""
Where the peers are installed: virtual environments beside our own, made once, with the
newest that pip finds. ``rm -r .venv-bench``, or ``make clean``, has them made again.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

__all__ = ["CACHE", "OURS", "ROOT", "Absent", "Home", "compiled", "found", "in_short"]

ROOT = Path(__file__).resolve().parent.parent

#: What is made, and can be made again. Git and the packaging ignore ".venv*".
CACHE = ROOT / ".venv-bench"

#: Seconds that pip may take for one environment.
PATIENCE = 600

#: Our own Python first: all should run on the same. Where somebody has no wheel for
#: it, the newest that they have one for.
NEWEST = (f"{sys.version_info[0]}.{sys.version_info[1]}", "3.13", "3.12", "3.11")

_DESCRIBE = "import platform, venv; print(platform.python_version())"


class Absent(Exception):
    """
    Something cannot be measured; the sentence says why.
    """


@frozen
class Home:
    """
    A virtual environment.

    :ivar packages: What pip is asked for.
    :ivar pythons: The versions of Python to try, in this order.
    :ivar wheels: Whether only wheels will do, so that nothing is built from source.
    """

    name: str
    packages: tuple[str, ...] = ()
    pythons: tuple[str, ...] = NEWEST
    wheels: bool = True

    @property
    def directory(self) -> Path:
        return CACHE / self.name

    @property
    def bin(self) -> Path:
        """Where its commands are."""
        return self.directory / "bin"

    def make(self) -> None:
        """
        Make it, unless it is there.

        :raise Absent: When no Python of this machine gets these packages.
        """
        stamp = self.directory / "packages"
        if stamp.exists() and stamp.read_text("utf-8") == repr(self):
            return
        reasons = []
        for version in dict.fromkeys(self.pythons):
            python = find_python(version)
            if python is None:
                reasons.append(f"there is no Python {version}")
                continue
            problem = self._install(python)
            if problem is None:
                stamp.write_text(repr(self), "utf-8")
                return
            reasons.append(f"on Python {version}: {problem}")
        raise Absent("; ".join(reasons))

    def _install(self, python: str) -> str | None:
        """What went wrong, if anything did."""
        words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if self.wheels:
            words += ["--only-binary", ":all:"]
        try:
            _run(python, "-m", "venv", "--clear", str(self.directory))
            _run(str(self.bin / "python"), *words, *self.packages)
        except subprocess.CalledProcessError as error:
            return in_short(error.stdout)
        except subprocess.TimeoutExpired:
            return f"pip did not finish in {PATIENCE} s"
        return None

    def versions(self) -> dict[str, str]:
        """What is installed: names in lower case, and ``python``."""
        python = str(self.bin / "python")
        listed = _run(python, "-m", "pip", "list", "--format", "json")
        there = {"python": _run(python, "-c", _DESCRIBE).strip()}
        # An old pip says something else in other lines.
        line = next(line for line in listed.splitlines() if line.startswith("["))
        for each in json.loads(line):
            there[each["name"].lower()] = each["version"]
        return there


class _Ours(Home):
    """
    The environment that this runs in.
    """

    @property
    def bin(self) -> Path:
        return Path(sys.executable).parent

    def make(self) -> None:
        """It is there."""

    def versions(self) -> dict[str, str]:
        """Also whether ropewalk has its part in C, which needed a compiler."""
        there = super().versions()
        if importlib.util.find_spec("ropewalk.web._quick"):
            there["c part"] = "compiled"
        return there


OURS = _Ours("ours")


def _run(*words: str) -> str:
    """
    :return: What a command printed.
    :raise subprocess.CalledProcessError: When it failed.
    """
    return subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=True,
        text=True,
    ).stdout


def in_short(text: str) -> str:
    """
    What a program complained of, in a line: without the directories of this machine,
    or anybody's addresses.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = r"\w*(ERROR|Error)\b|Fatal Python error"
    errors = [line for line in lines if re.match(telling, line)]
    last = (errors or lines or ["it said nothing"])[-1]
    last = re.sub(r"\b\w+://\S+", "…", last)
    return re.sub(r"(?<![\w.])/[\w.+-]+(?:/[\w.+-]+)+", "…", last)[:200]


def _candidates(version: str) -> Iterable[str | None]:
    """Where a Python may be."""
    if sys.version.startswith(f"{version}."):
        yield sys.executable
    yield shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True):
        yield str(path)


def find_python(version: str) -> str | None:
    """
    A Python of this version that starts and can make virtual environments.
    """
    for path in _candidates(version):
        if path is None:
            continue
        try:
            if _run(path, "-c", _DESCRIBE).startswith(f"{version}."):
                return path
        except (OSError, subprocess.SubprocessError):
            continue  # a shim of pyenv's, say, whose version is not chosen here
    return None


def found(command: str) -> str:
    """
    Where a command is; also in the directories of administrators.

    :raise Absent: When it is nowhere.
    """
    places = [os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    path = shutil.which(command, path=os.pathsep.join(places))
    if path is None:
        raise Absent(f"{command} is not installed")
    return path


def compiled(source: Path) -> str:
    """
    A program that was made of a file in C.

    :raise Absent: When there is no compiler, or it does not take the file.
    """
    target = CACHE / "c" / source.stem
    if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
        return str(target)
    compiler = shutil.which("cc")
    if compiler is None:
        raise Absent("there is no C compiler")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _run(compiler, "-O2", "-Wall", "-o", str(target), str(source))
    except subprocess.SubprocessError as error:
        raise Absent(f"{source.name} was not compiled: {error}") from None
    return str(target)
