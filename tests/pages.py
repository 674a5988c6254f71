"""
Pages of the documentation that are played: what they show is typed into real
terminals, and what comes must be what they say.

- ``.. code-block:: console`` with a ``:caption:`` is what one sees in the terminal
  of that name. ``$`` starts a command; lines under ``:emphasize-lines:`` are typed;
  all others must come, one after the other. ``…`` stands for any lines.
- ``.. literalinclude::`` of a whole file, with a ``:caption:``, is a file of the
  project, which has it before anything is played.
- any other ``.. code-block::`` whose caption is a file of the project is a change to
  it, made when the page comes to it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from random import choice
from typing import Any

from attrs import define, field, frozen
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from tests.daemonry import PATIENCE, ROOT

reactor: Any = global_reactor

ANY = "…"

#: Where the project is, on a page.
HOME = "/home/ada/chat"

#: The terminal that the daemon runs in.
DAEMON = "The daemon"

#: What a reader has on the path, and what it is here.
_COMMANDS = {
    "ropewalk": ["-m", "ropewalk"],
    "twistd": ["-c", "from twisted.scripts.twistd import run; run()"],
    "python": [],
    "python3": [],
    "pip": ["-m", "pip", "--quiet", "--disable-pip-version-check"],
}

#: Options by which less than a file is included.
_PIECES = {"lines", "pyobject", "start-at", "start-after", "diff"}

#: What is never twice the same.
_FLEETING = (
    (r"\x1b(\[[0-9;]*m|\(B)", ""),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d([+-]\d\d:\d\d)?", "NOW"),
    (r"\b\d+\.\d ms$", "1.0 ms"),
    (r"\b\d+\.\d{3}s$", "0.100s"),
    (r"^(Date|Server): .*", r"\1: …"),
)


@frozen
class Block:
    """
    A block of a page.

    :ivar kind: ``"console"``, another language, or ``"include"``.
    :ivar caption: A terminal, or a file.
    :ivar line: Where it begins.
    :ivar typed: Which of its lines are on a coloured ground, from 0.
    :ivar source: Of an include, the file, as it is written there.
    """

    kind: str
    caption: str
    line: int
    lines: tuple[str, ...]
    typed: frozenset[int] = frozenset()
    source: str = ""


def read_page(path: Path) -> Iterator[Block]:
    """Find a page's blocks that have a caption."""
    lines = path.read_text("utf-8").split("\n")
    for number, line in enumerate(lines):
        found = re.fullmatch(r"\.\. (code-block|literalinclude):: (\S+)", line)
        if found is None:
            continue
        options: dict[str, str] = {}
        at = number + 1
        while option := re.fullmatch(r"   :([a-z-]+):(.*)", lines[at]):
            options[option[1]] = option[2].strip()
            at += 1
        body: list[str] = []
        for each in lines[at:]:
            if each and not each.startswith("   "):
                break
            body.append(each[3:])
        caption = options.get("caption", "")
        if found[1] == "literalinclude":
            if not _PIECES & set(options):
                marked = _numbers(options.get("emphasize-lines", ""))
                yield Block("include", caption, number + 1, (), marked, found[2])
        elif caption:
            text = "\n".join(body).strip("\n").split("\n")
            typed = _numbers(options.get("emphasize-lines", ""))
            yield Block(found[2], caption, number + 1, tuple(text), typed)


def _numbers(spec: str) -> frozenset[int]:
    """``"2, 4-5"`` are 1, 3 and 4."""
    numbers: set[int] = set()
    for part in filter(None, re.split(r"\s*,\s*", spec)):
        first, _, last = part.partition("-")
        numbers.update(range(int(first) - 1, int(last or first)))
    return frozenset(numbers)


class Terminal(ProcessProtocol):
    """
    A terminal, in which one command runs at a time.

    :param name: What the page calls it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.running = False
        self._screen = ""
        self._read = 0
        self._news: Deferred[None] | None = None

    def run(self, command: str, directory: Path, environ: dict[str, str]) -> None:
        """Type a command at the prompt."""
        self._screen, self._read, self.running = "", 0, True
        reactor.spawnProcess(
            self,
            "/bin/sh",
            ["sh", "-c", command],
            env=environ,
            path=str(directory),
            usePTY=True,
        )

    def type(self, line: str) -> None:
        """Type a line, or ``^C``."""
        transport: Any = self.transport
        transport.write(b"\x03" if line.startswith("^C") else f"{line}\n".encode())

    @inlineCallbacks
    def see(self, line: str, skip: bool) -> Steps[None]:
        """
        Wait for the next line.

        :param line: What it must be.
        :param skip: Whether others may come before it.
        """
        while True:
            for seen in self._lines():
                if steady(seen) == steady(line):
                    return
                if not skip:
                    raise AssertionError(
                        f"in {self.name!r}, instead of\n  {line}\nthere is\n  {seen}\n"
                        f"in\n{self._screen}"
                    )
            if not self.running:
                raise AssertionError(
                    f"{self.name!r} never says\n  {line}\nbut\n{self._screen}"
                )
            yield self._wait(f"never said {line!r}")

    @inlineCallbacks
    def end(self, skip: bool) -> Steps[None]:
        """Wait for the end of the command, after which there is nothing more."""
        while self.running:
            yield self._wait("did not end")
        rest = [] if skip else [*self._lines(), self._screen[self._read :]]
        if any(rest):
            raise AssertionError(f"in {self.name!r} there is more: {rest}")

    @inlineCallbacks
    def close(self) -> Steps[None]:
        """End whatever runs."""
        while self.running:
            try:
                # It leads a session, of which all are to end.
                transport: Any = self.transport
                os.killpg(transport.pid, signal.SIGKILL)
            except (ProcessLookupError, TypeError):
                pass  # it has ended, and is about to be noticed
            yield self._wait("would not be killed")

    def outReceived(self, data: bytes) -> None:
        self._screen += data.decode("utf-8", "replace").replace("\r\n", "\n")
        self._tell()

    def processEnded(self, reason: Failure) -> None:
        self.running = False
        self.status = 0 if reason.check(ProcessDone) else 1
        self._tell()

    def _lines(self) -> Iterator[str]:
        """The whole lines that were not looked at yet."""
        while (end := self._screen.find("\n", self._read)) >= 0:
            line = self._screen[self._read : end]
            self._read = end + 1
            yield line

    def _wait(self, what: str) -> Deferred[None]:
        self._news = Deferred()
        self._news.addTimeout(PATIENCE, reactor)

        def late(failure: Failure) -> None:
            raise AssertionError(f"{self.name!r} {what}; there is\n{self._screen}")

        return self._news.addErrback(late)

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            news.callback(None)


def steady(line: str) -> str:
    """A line, but for what is never twice the same."""
    for pattern, instead in _FLEETING:
        line = re.sub(pattern, instead, line)
    return line.rstrip()


@define
class Player:
    """
    Plays a page.

    :param page: The page.
    :param home: An empty directory to play in.
    :param installed: Whether the project counts as installed.
    :ivar instead: By the port or directory on the page, what is used instead.
    """

    page: Path
    home: Path
    installed: bool = False
    instead: dict[str, str] = field(init=False)
    _terminals: dict[str, Terminal] = field(factory=dict, init=False)
    _skipping: dict[str, bool] = field(factory=dict, init=False)
    _environ: dict[str, str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        web, lines = free_ports(2)
        self.instead = {"8080": web, "7070": lines, HOME: str(self.project)}
        commands = self.home / "bin"
        commands.mkdir(parents=True)
        for name, arguments in _COMMANDS.items():
            quoted = " ".join(f"'{each}'" for each in arguments)
            script = self._instead(name) + f'exec "{sys.executable}" {quoted} "$@"\n'
            (commands / name).write_text(f"#!/bin/sh\n{script}", "utf-8")
            (commands / name).chmod(0o755)
        paths = [ROOT / "platform", ROOT, self._site]
        if self.installed:
            paths.append(self.project)
        self._environ = {
            **os.environ,
            "PATH": os.pathsep.join([str(commands), os.environ.get("PATH", "")]),
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "ROPEWALK_WEB__LISTEN": f"tcp:{web}:interface=127.0.0.1",
            "LC_ALL": "C.UTF-8",
        }

    @property
    def project(self) -> Path:
        """The project's directory."""
        return self.home / "chat"

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        file = self.project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.translate(text), "utf-8")

    def prepare(self, before: Path | None) -> None:
        """
        Make the project as it is when its files were typed from the page.

        :param before: What was there already.
        """
        if before is not None:
            for file in files_of(before):
                self.write(str(file), (before / file).read_text("utf-8"))
        for block in read_page(self.page):
            if block.kind == "include" and block.caption:
                source = self.page.parent / block.source
                self.write(block.caption, source.read_text("utf-8"))

    def missing(self) -> list[str]:
        """Commands that the page needs and the machine does not have."""
        shown = "\n".join(
            line
            for block in read_page(self.page)
            if block.kind == "console"
            for line in block.lines
        )
        return [
            each
            for each in ("curl", "nc")
            if re.search(rf"(?m)^\$ {each}\b", shown) and shutil.which(each) is None
        ]

    @property
    def starts(self) -> bool:
        """Whether the page itself starts the daemon."""
        return any(
            line.startswith("$ ")
            for block in read_page(self.page)
            if block.caption == DAEMON
            for line in block.lines
        )

    @inlineCallbacks
    def play(self) -> Steps[None]:
        """Do what the page shows."""
        for block in read_page(self.page):
            try:
                if block.kind == "console":
                    yield self._play(block)
                elif block.kind != "include":
                    self.write(block.caption, "\n".join(block.lines) + "\n")
            except AssertionError as error:
                name = f"{self.page.name}:{block.line}"
                raise AssertionError(f"{name}: {error}") from error

    @inlineCallbacks
    def run(self, name: str, command: str) -> Steps[Terminal]:
        """Run a command in a terminal, after the one that ran there before."""
        terminal = self._terminals.setdefault(name, Terminal(name))
        yield terminal.end(self._skipping.get(name, False))
        self._skipping[name] = False
        terminal.run(self.translate(command), self.project, self._environ)
        return terminal

    @inlineCallbacks
    def end(self) -> Steps[None]:
        """Leave nothing running."""
        for terminal in self._terminals.values():
            yield terminal.close()

    def translate(self, text: str) -> str:
        """Put in what is used instead."""
        for shown, used in self.instead.items():
            text = re.sub(rf"(?<!\w){shown}\b", used, text)
        return text

    @property
    def _site(self) -> Path:
        """Where packages are installed, so that the suite's own are left alone."""
        return self.home / "site"

    def _instead(self, command: str) -> str:
        """What is done with a command's arguments that a reader does not do."""
        if command == "ropewalk":
            # Whoever edits ropewalk while the suite runs must not be noticed.
            return 'case "$1" in run) shift; set -- run --no-reload "$@" ;; esac\n'
        if command == "pip":
            offline = "--no-deps --no-build-isolation --no-index"
            return f'set -- "$@" {offline} --target "{self._site}"\n'
        return ""

    @inlineCallbacks
    def _play(self, block: Block) -> Steps[None]:
        name = block.caption
        number = 0
        while number < len(block.lines):
            line = block.lines[number]
            if line.startswith("$ "):
                while line.endswith("\\"):
                    number += 1
                    line = line[:-1] + block.lines[number].strip()
                yield self.run(name, line[2:])
            elif line == ANY:
                self._skipping[name] = True
            else:
                terminal = self._terminals[name]
                if number in block.typed:
                    terminal.type(line)
                yield terminal.see(self.translate(line), self._skipping[name])
                self._skipping[name] = False
            number += 1
        if not self._stays(block):
            yield self._terminals[name].end(self._skipping[name])

    def _stays(self, block: Block) -> bool:
        """Whether the page leaves a command running."""
        starts = [line for line in block.lines if line.startswith("$ ")]
        long = r"\$ (\w+=\S+ )*(nc|ropewalk run|twistd)\b"
        return not starts or re.match(long, starts[-1]) is not None


def files_of(directory: Path) -> list[Path]:
    """The files of a project, by their names in it."""
    files = (
        file.relative_to(directory) for file in directory.rglob("*") if file.is_file()
    )
    # The directory itself may well be in a _trial_temp.
    return sorted(
        file
        for file in files
        if file.name != "dropin.cache"
        and not {"__pycache__", "_trial_temp"} & set(file.parts)
    )


def free_ports(count: int) -> list[str]:
    """
    Ports of four digits, so that what is in columns stays in columns. They are
    not among those that the system gives out by itself.
    """
    ports: list[str] = []
    while len(ports) < count:
        port = choice(range(2000, 9999))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if str(port) not in ports:
            ports.append(str(port))
    return ports
