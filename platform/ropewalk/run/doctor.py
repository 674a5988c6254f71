# -*- test-case-name: tests.test_doctor -*-
"""
``ropewalk doctor``: what this installation has, what it lacks, and what would
come of mending it.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import asdict

from ropewalk.plugin import Found
from ropewalk.run.columns import align, near
from ropewalk.run.installed import take_inventory

__all__ = ["Finding", "Report", "examine"]

#: ``ok`` is as it should be; ``note`` could be better; ``warning`` will hurt
#: under load; ``problem`` does not work.
Level = Literal["ok", "note", "warning", "problem"]

_MARKS: Mapping[Level, str] = {"ok": "+", "note": "-", "warning": "!", "problem": "x"}

#: Fewer open files than this are too few for a server. 4096 is what systemd and
#: most distributions give as the hard limit to whoever does not ask for more.
_FILES = 4096

#: What a process has open for itself: libraries, logs, listeners, the reactor.
_OWN_FILES = 64

_RAISE_FILES = "`ulimit -n 65536`, or `LimitNOFILE=65536` in systemd's unit"


class Finding(Struct, frozen=True):
    """
    One thing that was looked at.

    :ivar group: The heading it belongs under.
    :ivar name: What was looked at.
    :ivar level: How it is.
    :ivar state: What was found: ``"0.22.1"``, ``"not installed"``.
    :ivar gives: What it is good for, or what follows from its state.
    :ivar remedy: What to do about it, if something should be done.
    """

    group: str
    name: str
    level: Level
    state: str
    gives: str = ""
    remedy: str = ""


class Report(Struct, frozen=True):
    """
    All that was found.
    """

    findings: tuple[Finding, ...]

    @property
    def problems(self) -> int:
        """How much of it does not work."""
        return sum(each.level == "problem" for each in self.findings)

    def lines(self) -> Iterator[str]:
        """The page."""
        for group in dict.fromkeys(each.group for each in self.findings):
            yield group
            yield from self._group(group)
            yield ""
        match self.problems:
            case 0:
                yield "No problems."
            case 1:
                yield "1 problem, marked x."
            case more:
                yield f"{more} problems, marked x."

    def _group(self, group: str) -> Iterator[str]:
        here = [each for each in self.findings if each.group == group]
        heads = align(((_MARKS[each.level], each.name, each.state) for each in here), 2)
        for each, head in zip(here, heads, strict=True):
            yield head
            for text in (each.gives, each.remedy and f"→ {each.remedy}"):
                if text:
                    yield f"       {text}"

    def plain(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "problems": self.problems,
            "findings": [asdict(each) for each in self.findings],
        }


def examine(
    found: Found, environ: Mapping[str, str], limits: tuple[int, int] | None = None
) -> Report:
    """
    Look at everything.

    :param found: The plugins that are installed.
    :param environ: The environment's variables.
    :param limits: How many files this process may have open, and how many it may
        ask for; found out when not given.
    """
    return Report(
        (
            *_versions(),
            *_accelerators(environ),
            *_extras(),
            *_plugins(found),
            _open_files(*(limits or _file_limits())),
            _systemd(environ),
        )
    )


# What it runs on.


def _versions() -> Iterator[Finding]:
    group = "Versions"
    implementation = platform.python_implementation()
    python = f"{platform.python_version()} ({implementation}, {sys.executable})"
    yield Finding(group, "Python", "ok", python)
    for name in ("ropewalk", "Twisted", "klein", "autobahn", "msgspec"):
        version = _version(name)
        if version is None and name == "ropewalk":
            import ropewalk

            version = f"{ropewalk.__version__}, from a checkout"
        if version is None:
            remedy = f"pip install {name}"
            yield Finding(group, name, "problem", "not installed", "", remedy)
        else:
            yield Finding(group, name, "ok", version)
    yield Finding(group, "reactor", "ok", _reactor())


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _reactor() -> str:
    if _importable("uvloop"):
        return "asyncio, on uvloop's loop"
    return "asyncio, on Python's own loop"


def _importable(*modules: str) -> bool:
    """
    Whether modules not only are there, but work: a library of C code may have
    been built for another Python.
    """
    try:
        for module in modules:
            import_module(module)
    except ImportError:
        return False
    return True


# What makes it faster. Only what the code, as it is, gains by.


def _accelerators(environ: Mapping[str, str]) -> Iterator[Finding]:
    group = "Accelerators"
    yield _library(
        group,
        "uvloop",
        ("uvloop",),
        "asyncio's loop in C, whose own transports serve the connections: that halves "
        "what a request costs",
        "pip install 'ropewalk[fast]'",
    )
    yield _quick(group, environ)
    yield _nvx(group, environ)
    if _importable("zope.interface._zope_interface_coptimizations"):
        works, state, remedy = True, _version("zope.interface") or "in C", ""
    else:
        works, state = False, "in Python only"
        remedy = "unset PURE_PYTHON; pip install --force-reinstall zope.interface"
    gives = "interfaces looked up in C, some for every connection and request"
    yield Finding(
        group, "zope.interface", "ok" if works else "note", state, gives, remedy
    )


def _quick(group: str, environ: Mapping[str, str]) -> Finding:
    name = "ropewalk's own"
    gives = "the usual way of a request, and of a line, in C: up to eight times as fast"
    parts = "net._segments", "web._quick", "wire._lines"
    if environ.get("ROPEWALK_NATIVE", "1") == "0":
        remedy = "unset ROPEWALK_NATIVE"
        return Finding(group, name, "note", "switched off", gives, remedy)
    if not _importable(*(f"ropewalk.{part}" for part in parts)):
        remedy = (
            "install a C compiler and Python's headers (on Debian: gcc python3-dev), "
            "then pip install --force-reinstall --no-deps ropewalk"
        )
        return Finding(group, name, "note", "not built", gives, remedy)
    return Finding(group, name, "ok", "built", gives)


def _nvx(group: str, environ: Mapping[str, str]) -> Finding:
    name = "autobahn NVX"
    gives = (
        "WebSocket messages unmasked and checked in C: those of 16 KiB 25 times as fast"
    )
    if not _importable("_nvx_utf8validator", "_nvx_xormasker"):
        remedy = (
            "pip install --force-reinstall autobahn, where it has a wheel for this "
            "Python; without one, a C compiler builds it"
        )
        return Finding(group, name, "note", "not built", gives, remedy)
    if environ.get("AUTOBAHN_USE_NVX", "").strip().lower() in ("0", "no", "false"):
        return Finding(
            group, name, "note", "switched off", gives, "unset AUTOBAHN_USE_NVX"
        )
    return Finding(group, name, "ok", _version("autobahn") or "built", gives)


def _library(
    group: str, name: str, modules: Sequence[str], gives: str, remedy: str
) -> Finding:
    if _importable(*modules):
        return Finding(group, name, "ok", _version(name) or "installed", gives)
    state = "not installed" if _version(name) is None else "does not work here"
    return Finding(group, name, "note", state, gives, remedy)


# What else it can do.


def _extras() -> Iterator[Finding]:
    for name, modules, gives in (
        (
            "tls",
            ("OpenSSL", "service_identity"),
            "endpoints like ssl:8443:privateKey=…",
        ),
        ("http2", ("h2", "priority"), "HTTP/2, over TLS, for clients that ask for it"),
    ):
        remedy = f"pip install 'ropewalk[{name}]'"
        if _importable(*modules):
            yield Finding("Extras", name, "ok", "installed", gives)
        else:
            yield Finding("Extras", name, "note", "not installed", gives, remedy)


# The plugins.


def _plugins(found: Found) -> Iterator[Finding]:
    group = "Plugins"
    names = ", ".join(found.names) or "none; `ropewalk new NAME` writes one"
    yield Finding(group, "services", "ok", names)
    for broken in found.broken:
        state = broken.traceback.rpartition("\n")[2]
        remedy = "`ropewalk plugins` shows the traceback"
        yield Finding(group, near(broken.place), "problem", state, "", remedy)
    for service in take_inventory(found).services:
        if service.problem:
            gives = f"{service.module}, declared in {near(service.place)}"
            yield Finding(group, service.name, "problem", service.problem, gives)
    yield from _hidden_plugins(group)
    yield from _caches(group)


def _hidden_plugins(group: str) -> Iterator[Finding]:
    """
    An ``__init__.py`` in a directory ``twisted/plugins`` that is not Twisted's own
    takes that directory's plugins away; one in ``twisted/`` takes Twisted away.
    """
    import twisted.plugins

    own = Path(twisted.plugins.__file__).parent
    for entry in dict.fromkeys(sys.path):
        directory = Path(entry or ".", "twisted", "plugins")
        for init in (directory / "__init__.py", directory.parent / "__init__.py"):
            if init.exists() and not init.parent.samefile(
                own if init.parent.name == "plugins" else own.parent
            ):
                gives = f"it hides the plugins in {near(str(directory.absolute()))}"
                yield Finding(
                    group,
                    near(str(init.absolute())),
                    "problem",
                    "in the way",
                    gives,
                    "remove it",
                )


def _caches(group: str) -> Iterator[Finding]:
    import twisted.plugins

    for entry in twisted.plugins.__path__:
        directory = Path(entry)
        modules = [*directory.glob("*.py")]
        cache = directory / "dropin.cache"
        if not modules or os.access(cache if cache.exists() else directory, os.W_OK):
            continue
        newest = max(module.stat().st_mtime for module in modules)
        if cache.exists() and cache.stat().st_mtime > newest:
            continue
        gives = f"Twisted looks at all of {near(entry)} again on every start"
        remedy = "as a user who may write there: `ropewalk plugins`"
        yield Finding(group, "dropin.cache", "note", "cannot be written", gives, remedy)


# The machine.


def _file_limits() -> tuple[int, int]:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)


def _open_files(soft: int, hard: int) -> Finding:
    few = 0 <= soft < _FILES
    state = _count(soft)
    if soft != hard:
        state += f", {_count(hard)} at most"
    connections = f"each connection is one: about {soft - _OWN_FILES} at once"
    gives = f"{connections}, and no more are let in" if soft >= 0 else ""
    level: Level = "warning" if few else "ok"
    return Finding(
        "Machine", "open files", level, state, gives, _RAISE_FILES if few else ""
    )


def _count(limit: int) -> str:
    return "unlimited" if limit < 0 else str(limit)


def _systemd(environ: Mapping[str, str]) -> Finding:
    told = {
        "NOTIFY_SOCKET": "is told when the daemon is ready",
        "WATCHDOG_USEC": "has a watchdog",
        "LISTEN_FDS": "hands over sockets",
    }
    has = [text for name, text in told.items() if environ.get(name)]
    if has:
        return Finding("Machine", "systemd", "ok", f"started us; {', '.join(has)}")
    if environ.get("INVOCATION_ID"):
        gives = "with `Type=notify` it would know when the daemon is ready"
        return Finding("Machine", "systemd", "note", "started us", gives)
    return Finding("Machine", "systemd", "ok", "did not start this command")
