"""
Pages of the documentation that show handlers and what they answer, tried in memory.

- ``.. code-block:: python`` with a ``:caption:`` is a file; without one, it goes on
  with the file above it.
- ``.. code-block:: console`` without a caption asks what that file serves. Below
  ``$ curl …`` stands what comes: with ``-i``, the status line and some of the headers,
  an empty line, and the body. ``| python3 -m json.tool`` lays JSON out. ``…`` stands
  for any lines. ``$ echo text > file`` writes what a later command sends.
- Below ``$ ropewalk …`` stands what that says, in a directory with all files above
  it.
- ``.. code-block:: pycon`` is a session in which the file's names are there.

(What has a caption besides is played by :mod:`tests.pages`.)
"""

from __future__ import annotations

import doctest
import json
import linecache
import re
import shlex
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import SplitResult, urlsplit

from attrs import define, field, frozen
from twisted.internet.protocol import Factory, Protocol

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.testing import MemoryHost, TestCase
from tests.daemonry import PATIENCE, ROOT
from tests.visiting import Answer, parse

#: Where a file is, on a page.
HOME = "/home/ada/shop"

ANY = "…"

_LAID_OUT = " | python3 -m json.tool"

#: Seconds, of the test's clock, that an answer may take.
_LONGEST = 120

_BOUNDARY = "------------------------d74496d66958873e"


@frozen
class Block:
    """
    A block of a page.

    :ivar kind: ``"python"``, ``"console"`` or ``"pycon"``.
    :ivar line: Where its text begins in the page, from 1.
    """

    kind: str
    caption: str
    line: int
    text: str


def read_blocks(page: Path) -> Iterator[Block]:
    """A page's blocks, in order."""
    lines = page.read_text("utf-8").split("\n")
    for number, line in enumerate(lines):
        found = re.fullmatch(r"( *)\.\. code-block:: (python|console|pycon)", line)
        if found is None:
            continue
        inset = found[1] + "   "
        at, caption = number + 1, ""
        while option := re.fullmatch(rf"{inset}:([a-z-]+):(.*)", lines[at]):
            caption = option[2].strip() if option[1] == "caption" else caption
            at += 1
        body = []
        for each in lines[at + 1 :]:
            if each and not each.startswith(inset):
                break
            body.append(each[len(inset) :])
        yield Block(found[2], caption, at + 2, "\n".join(body).rstrip("\n") + "\n")


@frozen
class Command:
    """
    A command, and what it says.

    :ivar says: Line by line.
    """

    words: str
    says: tuple[str, ...]


def read_commands(text: str) -> Iterator[Command]:
    """The commands in a terminal."""
    for each in re.split(r"(?m)^\$ ", text)[1:]:
        words, _, rest = re.sub(r"\\\n\s*", "", each).partition("\n")
        yield Command(words, tuple(rest.rstrip("\n").split("\n")) if rest else ())


@define
class Curl:
    """
    A request, as curl makes it of its arguments.

    :ivar shows_head: Whether curl shows status and headers.
    """

    url: str = ""
    method: str = ""
    headers: dict[str, str] = field(factory=lambda: {"Accept": "*/*"})
    body: bytes = b""
    shows_head: bool = False
    _fields: list[str] = field(factory=list)

    @classmethod
    def of(cls, command: str, files: dict[str, str]) -> Curl:
        """
        :param files: By name, what is in them.
        """
        curl = cls()
        _, *words = shlex.split(command)
        rest = iter(words)
        for word in rest:
            if not word.startswith("-"):
                curl.url = word
            elif word.startswith("--") or len(word) == 2:
                curl._take(word, rest)
            else:  # several in one, of which the last may take a value
                for letter in word[1:]:
                    curl._take(f"-{letter}", rest)
        if curl._fields:
            curl._send_form(files)
        return curl

    def _split(self) -> SplitResult:
        return urlsplit(self.url if "://" in self.url else f"http://{self.url}")

    def _take(self, option: str, rest: Iterator[str]) -> None:
        match option:
            case "-i":
                self.shows_head = True
            case "-I":
                self.method, self.shows_head = "HEAD", True
            case "-s" | "-N":
                pass
            case "-X":
                self.method = next(rest)
            case "-H":
                name, _, value = next(rest).partition(":")
                self.headers[name.title()] = value.strip()
            case "-b":
                self.headers["Cookie"] = next(rest)
            case "-u":
                secret = b64encode(next(rest).encode()).decode()
                self.headers["Authorization"] = f"Basic {secret}"
            case "--json":
                self._send(next(rest), "application/json")
                self.headers["Accept"] = "application/json"
            case "-d" | "--data-binary":
                self._send(next(rest), "application/x-www-form-urlencoded")
            case "-F":
                self._fields.append(next(rest))
            case _:
                raise AssertionError(f"what does curl do with {option}?")

    def _send(self, body: str, content_type: str) -> None:
        self.method = self.method or "POST"
        joint = b"&" if self.body else b""
        self.body += joint + body.encode()
        self.headers.setdefault("Content-Type", content_type)

    def _send_form(self, files: dict[str, str]) -> None:
        parts = []
        for each in self._fields:
            name, _, value = each.partition("=")
            said = f'form-data; name="{name}"'
            if value.startswith("@"):
                said += f'; filename="{value[1:]}"\r\nContent-Type: text/plain'
                value = files[value[1:]]
            parts.append(
                f"--{_BOUNDARY}\r\nContent-Disposition: {said}\r\n\r\n{value}\r\n"
            )
        self._send("".join([*parts, f"--{_BOUNDARY}--\r\n"]), "")
        self.headers["Content-Type"] = f"multipart/form-data; boundary={_BOUNDARY}"

    @property
    def port(self) -> int:
        """Where to ask."""
        return self._split().port or 80

    @property
    def wire(self) -> bytes:
        """The request, on the wire."""
        url = self._split()
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        lines = [f"{self.method or 'GET'} {target} HTTP/1.1"]
        headers = {"Host": url.netloc, "User-Agent": "curl/8.5.0", **self.headers}
        if self.body:
            headers["Content-Length"] = str(len(self.body))
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


class _Wire(Protocol):
    """A connection, and what came over it."""

    def __init__(self) -> None:
        self.came = b""

    def dataReceived(self, data: bytes) -> None:
        self.came += data


class PageCase(TestCase):
    """
    Plays a page.
    """

    #: One that is there for the whole page.
    timeout = 60

    def setUp(self) -> None:
        self.module: ModuleType | None = None
        self.source = ""
        self.files: dict[str, str] = {}
        self.host: MemoryHost | None = None
        self.wrong: list[str] = []
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    @inlineCallbacks
    def play(self, page: Path) -> Steps[int]:
        """
        Do what a page shows.

        :return: fires with how many answers were compared.
        """
        count = 0
        for block in read_blocks(page):
            told = len(self.wrong)
            try:
                if block.kind == "python":
                    yield self._leave()
                    self._type(block)
                elif block.kind == "pycon":
                    self._talk(block)
                elif not block.caption:
                    for command in read_commands(block.text):
                        yield self._do(command)
                        count += 1
            except Exception as error:
                self.wrong.append(f"{type(error).__name__}: {error}")
            if self.wrong[told:]:
                self.wrong[told] = f"{page.name}:{block.line}\n{self.wrong[told]}"
        if self.wrong:
            self.fail("the page should have\n" + "\n".join(self.wrong))
        return count

    # Files.

    def _type(self, block: Block) -> None:
        """Type a file, or go on with one."""
        if block.caption:
            name = block.caption.removesuffix(".py").replace("/", ".")
            self.module = ModuleType(name)
            self.module.__file__ = f"{HOME}/{block.caption}"
            self.addCleanup(_restore, name, sys.modules.get(name))
            sys.modules[name] = self.module
            self.source = ""
        assert self.module is not None, "a page begins with a file"
        file = str(self.module.__file__)
        before = self.source.count("\n")
        self.source += block.text
        self.files[str(Path(file).relative_to(HOME))] = self.source
        lines = self.source.splitlines(keepends=True)
        linecache.cache[file] = (len(self.source), None, lines, file)
        code = compile("\n" * before + block.text, file, "exec", dont_inherit=True)
        exec(code, vars(self.module))

    def _talk(self, block: Block) -> None:
        """Hold a session."""
        names = vars(self.module) if self.module else {}
        parser, said = doctest.DocTestParser(), list[str]()
        session = parser.get_doctest(block.text, names, "page", "page", block.line)
        session.globs = names
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        runner.run(session, out=said.append, clear_globs=False)
        self.assertEqual("".join(said), "")

    # Terminals.

    @inlineCallbacks
    def _do(self, command: Command) -> Steps[None]:
        words = command.words
        if written := re.fullmatch(r"echo (.*) > (\S+)", words):
            (text,) = shlex.split(written[1])
            self.files[written[2]] = f"{text}\n"
        elif words.startswith("ropewalk "):
            self._compare(command, self._ropewalk(words).split("\n"))
        else:
            curl = Curl.of(words.removesuffix(_LAID_OUT), self.files)
            answer: Answer = yield self._ask(curl)
            self._compare(command, _shown(curl, answer, command))

    def _compare(self, command: Command, came: Sequence[str]) -> None:
        """See that what came is what the page has."""
        pattern = "".join(
            r"(?:.*\n)*?" if line.strip() == ANY else re.escape(line) + r"\n"
            for line in command.says
        )
        text = "".join(f"{line}\n" for line in came).rstrip("\n") + "\n"
        if not re.fullmatch(pattern or r"\n?", text):
            self.wrong.append(f"$ {command.words}\n{text}")

    def _ropewalk(self, words: str) -> str:
        """What the command says of the files."""
        for name, text in self.files.items():
            file = self.directory / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(words)],
            cwd=self.directory,
            env={"PYTHONPATH": f"{ROOT / 'platform'}", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        said = done.stdout + done.stderr
        return said.replace(str(self.directory), HOME).rstrip("\n")

    @inlineCallbacks
    def _ask(self, curl: Curl) -> Steps[Answer]:
        if self.host is None:
            assert self.module is not None, "there is nothing to ask"
            self.host = yield self.start(self.module)
        endpoint = self.host.endpoint(f"tcp:{curl.port}:interface=127.0.0.1")
        wire: Any = yield endpoint.connect(Factory.forProtocol(_Wire))
        wire.transport.write(curl.wire)
        answer = None
        for _ in range(_LONGEST):
            yield self.clock.settle()
            answer = _answer(wire.came, curl.method)
            if answer is not None:
                break
            yield self.clock.advance(1)
        wire.transport.loseConnection()
        yield self.clock.settle()
        assert answer is not None, f"no answer, only {wire.came!r}"
        if answer.status == 500:
            self.flushLoggedErrors()
        return answer

    @inlineCallbacks
    def _leave(self) -> Steps[None]:
        host, self.host = self.host, None
        if host is not None:
            yield host.stop()


def _restore(name: str, module: ModuleType | None) -> None:
    sys.modules.pop(name, None)
    if module is not None:
        sys.modules[name] = module


def _answer(came: bytes, method: str) -> Answer | None:
    """The answer, if it is complete."""
    try:
        answers = parse(came, False, [method])
    except AssertionError:
        return None
    if len(answers) != 1 or not answers[0].whole:
        return None
    return answers[0]


def _shown(curl: Curl, answer: Answer, command: Command) -> list[str]:
    """What curl shows of an answer: of its headers, those that the page has."""
    text = answer.text
    if command.words.endswith(_LAID_OUT):
        text = json.dumps(json.loads(text), indent=4)
    lines = text.rstrip("\n").split("\n") if text else []
    if not curl.shows_head:
        return lines
    head = [f"HTTP/1.1 {answer.status} {answer.reason}"]
    said = command.says[1:]
    asked = said[: said.index("")] if "" in said else said
    for each in asked:
        name = each.partition(":")[0]
        value = answer.headers.get(name.lower())
        head.append(each if value is None and each == ANY else f"{name}: {value}")
    return [*head, "", *lines] if lines or "" in said else head
