# -*- test-case-name: tests.test_examples -*-
"""
The examples pass their own tests, run as their author would run them: in the
example's directory, with no more on Python's path than ropewalk. What they say that
one can type does what they say, over a socket.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import time
from pathlib import Path
from textwrap import dedent
from typing import Any

from attrs import define, field
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.plugin import Found
from ropewalk.run.configuration import make_plan
from ropewalk.run.daemon import Daemon
from ropewalk.run.host import Host
from ropewalk.run.single import open_settings, with_file
from ropewalk.run.systemd import Systemd
from tests.curling import ANY, Command, Curl, read_commands
from tests.daemonry import Raw
from tests.test_packaging import ROOT, run
from tests.visiting import parse

reactor: Any = global_reactor

EXAMPLES = ROOT / "examples"

#: Where the examples say that they are.
SAID = "http://127.0.0.1:8080/"


class ExampleTests(SynchronousTestCase):
    """
    Whatever is in ``examples/``.
    """

    def test_each_passes_its_own(self) -> None:
        """
        Each example has tests, and every one of them runs and passes.
        """
        examples = sorted({path.parent for path in EXAMPLES.glob("*/*.py")})
        self.assertIn(EXAMPLES / "chat", examples)
        for example in examples:
            modules = [path.stem for path in sorted(example.glob("test_*.py"))]
            self.assertNotEqual(modules, [], example)
            self.assertRegex(
                self.trial(example, *modules), r"\nPASSED \(successes=\d+\)"
            )

    def trial(self, example: Path, *modules: str) -> str:
        """
        What trial prints of an example's tests.
        """
        command = (sys.executable, "-W", "default", "-m", "twisted.trial")
        options = (
            "--reactor",
            "uvloop",
            "--temp-directory",
            Path(self.mktemp()).resolve(),
        )
        paths = (ROOT / "platform", ROOT, example)
        return run(
            *command,
            *options,
            *modules,
            cwd=example,
            PYTHONPATH=os.pathsep.join(map(str, paths)),
        )

    def test_hello_grows(self) -> None:
        """
        Hello is six lines at most, and whatever it grows into has them as they were.
        """
        hello, grown = (
            ast.parse((EXAMPLES / "hello" / name).read_text("utf-8")).body[1:]
            for name in ("hello.py", "greeting.py")
        )
        lines = [line for node in hello for line in ast.unparse(node).split("\n")]
        self.assertLessEqual(len(lines), 6)
        kept = {ast.unparse(node) for node in grown}
        self.assertEqual({ast.unparse(node) for node in hello} - kept, set())


@define
class Running:
    """
    A Python file, served as ``ropewalk run`` serves it, at a port of its own.

    :ivar url: Where.
    """

    file: Path
    url: str = ""
    _daemon: Daemon = field(init=False)

    @inlineCallbacks
    def start(self) -> Steps[None]:
        """Start it."""
        listen = json.dumps(["tcp:0:interface=127.0.0.1"])
        document = open_settings(self.file, {"ROPEWALK_WEB__LISTEN": listen})
        plan = make_plan(document, with_file(Found(()), self.file))
        host = Host(plan, reactor, time.time)
        host.make()
        started: Deferred[str] = Deferred()
        self._daemon = Daemon(host, Systemd({}, 0, reactor), started.callback)
        self._daemon.privilegedStartService()
        self._daemon.startService()
        problem = yield started
        assert not problem, problem
        self.url = dict(host.places())["web"]

    def stop(self) -> Deferred[None]:
        """Stop it."""
        return self._daemon.stopService()

    @inlineCallbacks
    def curl(self, words: str) -> Steps[str]:
        """
        What curl would print.

        :param words: The command, which names :data:`SAID`.
        """
        request = Curl.of(words.replace(SAID, self.url), {})
        request.headers["Connection"] = "close"
        peer: Raw = yield Raw.to(self.url)
        peer.transport.write(request.wire)  # type: ignore[union-attr]
        said: bytes = yield peer.ended
        (answer,) = parse(said, True, [request.method])
        head, _, _ = said.decode("latin-1").partition("\r\n\r\n")
        head = head.replace("\r\n", "\n") + "\n\n"
        return (head if request.shows_head else "") + answer.text


class SocketTests(TestCase):
    """
    What the docstrings of examples say.
    """

    def files(self) -> dict[str, Path]:
        """Those that can be run by themselves."""
        return {
            path.stem: path
            for path in sorted(EXAMPLES.glob("*/*.py"))
            if f"$ ropewalk run {path.name}\n" in path.read_text("utf-8")
        }

    def commands(self, file: Path) -> list[Command]:
        """What a file says that one can type."""
        told = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
        sessions = re.findall(r"(?m)^::\n\n((?:    .*\n?|\n)+)", told)
        return [each for session in sessions for each in read_commands(dedent(session))]

    def expected(self, command: Command) -> str:
        """A pattern of what a command says."""
        return "".join(
            r"(?:.*\n)*" if line == ANY else re.escape(line).replace(ANY, ".*") + r"\n"
            for line in command.says
        )

    @inlineCallbacks
    def play(self, file: Path) -> Steps[int]:
        """
        Run a file, and do what it says.

        :return: fires with how many answers were compared.
        """
        self.patch(sys, "path", [*sys.path])
        self.addCleanup(sys.modules.pop, file.stem, None)
        started, *rest = self.commands(file)
        self.assertEqual(started.words, f"ropewalk run {file.name}")
        running = Running(file)
        yield running.start()
        self.addCleanup(running.stop)
        for command in rest:
            said: str = yield running.curl(command.words)
            said = said.rstrip("\n") + "\n"
            self.assertRegex(said, rf"\A{self.expected(command)}\Z", command.words)
        return len(rest)

    @inlineCallbacks
    def test_each_does_what_it_says(self) -> Steps[None]:
        """
        Each is run, and asked over a socket what it says that one can ask; what comes
        is what it says.
        """
        files = self.files()
        self.assertIn("flask_view", files)
        for file in files.values():
            self.assertGreater((yield self.play(file)), 0, file)
        self.flushLoggedErrors(ConnectionRefusedError)  # the users of nobody

    def test_each_can_be_run(self) -> None:
        """
        Each framework's example is among them, and in the list of all examples.
        """
        frameworks = {path.stem for path in EXAMPLES.glob("frameworks/*.py")}
        frameworks -= {"test_frameworks"}
        self.assertEqual(frameworks - set(self.files()), set())
        listed = (EXAMPLES / "README.rst").read_text("utf-8")
        self.assertEqual({*re.findall(r"(?m)^    ``(\w+)\.py``", listed)}, frameworks)
