# -*- test-case-name: tests.test_tap -*-
"""
What twistd asks of its plugin, as far as one process can show it; the rest is in
tests/test_daemon.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.run import tap
from ropewalk.run.configuration import make_plan
from ropewalk.settings import parse


class TapTests(SynchronousTestCase):
    """
    The process is put together as twistd's options say.
    """

    def test_options(self) -> None:
        """
        The settings file is ``ropewalk.toml``, unless an option says otherwise.
        """
        options = tap.Options()
        options.parseOptions([])
        self.assertEqual(options["settings"], "ropewalk.toml")
        options.parseOptions(["--settings", "other.toml"])
        self.assertEqual(options["settings"], "other.toml")
        self.assertRaises(UsageError, options.parseOptions, ["other.toml"])

    def test_pay_for_what_is_used(self) -> None:
        """
        A daemon without WebSockets, TLS or tests imports nothing of these.
        """
        program = "import sys, ropewalk.run.tap; print(*sys.modules)"
        paths = os.pathsep.join(each for each in sys.path if each)
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            check=True,
            text=True,
        )
        loaded = set(done.stdout.split())
        unused = {"autobahn", "txaio", "treq", "sqlite3", "click", "hypothesis"}
        unused |= {"importlib.metadata", "importlib.resources"}
        self.assertEqual(loaded & unused, set())

    def test_before_chroot(self) -> None:
        """
        What would be imported late is imported before ``--chroot``, and only then.
        """
        known = sys.modules.pop("encodings.idna", None)
        self.addCleanup(sys.modules.update, {"encodings.idna": known} if known else {})
        tap._import_for(None)
        self.assertNotIn("encodings.idna", sys.modules)
        tap._import_for("/srv")
        self.assertIn("encodings.idna", sys.modules)

    def writer(self, **twistd: Any) -> Any:
        """The log for some of twistd's options."""
        plan = make_plan(parse("[web]"), tap.Installed().look())
        return tap._log_writer(twistd, plan)

    def test_whose_log(self) -> None:
        """
        ``--syslog`` and ``--logger`` leave the log to twistd.
        """
        self.assertIsNone(self.writer(syslog=True, nodaemon=True))
        self.assertIsNone(self.writer(logger="a.b", nodaemon=True))
        self.assertIsNotNone(self.writer(nodaemon=True))

    def test_log_file(self) -> None:
        """
        Without a terminal the log is JSON, in the file that is named.
        """
        path = self.mktemp()
        writer = self.writer(logfile=path)
        self.addCleanup(writer._output.close)
        writer({"log_format": "hello", "log_time": 0.0})
        self.assertIn('"message":"hello"', Path(path).read_text())
        self.assertEqual(writer.style, "json")

    def test_parent(self) -> None:
        """
        The twistd that was typed is told how the start went, in its own words;
        nobody else has to be.
        """
        for problem, told in (
            ("", b"0"),
            ("no disk", b"1 no disk"),
            ("ü" * 200, b"1 " + b"\\xfc" * 24 + b"\\x"),
        ):
            read, write = os.pipe()
            self.addCleanup(os.close, read)
            twistd = {"statusPipe": write}
            parent = tap.Parent(twistd)
            parent.wait()
            self.assertEqual(twistd, {})
            parent.tell(problem)
            parent.tell("twice")
            self.assertEqual(os.read(read, 200), told)
        tap.Parent({}).tell("nobody")

    def test_after_chroot(self) -> None:
        """
        A path is seen from the new root, if it is below it.
        """
        self.assertEqual(tap._seen_from(None, "/etc/r.toml"), "/etc/r.toml")
        self.assertEqual(tap._seen_from("/jail", "/jail/etc/r.toml"), "/etc/r.toml")
        self.assertEqual(tap._seen_from("/jail", "/etc/r.toml"), "/etc/r.toml")

    def test_what_was_installed(self) -> None:
        """
        A plugin that was found is known as long as the process lives.
        """
        home = Path(self.mktemp()).absolute()
        plugins = home / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        declaration = plugins / "passing_by.py"
        declaration.write_text(
            "from ropewalk.plugin import ServicePlugin\n"
            "passing = ServicePlugin('passing', 'passing_by')\n",
            encoding="utf-8",
        )
        import twisted.plugins

        self.patch(
            twisted.plugins, "__path__", [*twisted.plugins.__path__, str(plugins)]
        )
        self.addCleanup(sys.modules.pop, "twisted.plugins.passing_by", None)
        installed = tap.Installed()
        self.assertIn("passing", installed.look().names)
        declaration.unlink()
        self.assertIn("passing", installed.look().names)
        self.assertEqual(installed.broken(), "")
