"""
Tests for L{ropewalk.run.doctor}.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import twisted.plugins
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.plugin import Broken, Found, ServicePlugin
from ropewalk.run import doctor
from ropewalk.run.doctor import Finding, Report, examine
from tests.commandline import write


class ExamineTests(SynchronousTestCase):
    """
    What is found.
    """

    def examine(
        self,
        found: Found = Found(()),  # noqa: B008
        limits: tuple[int, int] = (65_536, 65_536),
        **environ: str,
    ) -> Report:
        return examine(found, environ, limits)

    def finding(self, report: Report, name: str) -> Finding:
        [finding] = [each for each in report.findings if each.name == name]
        return finding

    def without(self, *modules: str) -> None:
        """
        Have modules that cannot be imported.
        """
        blocked: dict[str, Any] = dict.fromkeys(modules)
        patched = mock.patch.dict(sys.modules, blocked)
        patched.start()
        self.addCleanup(patched.stop)

    def test_versions(self) -> None:
        """
        What it all runs on.
        """
        report = self.examine()
        python = self.finding(report, "Python")
        self.assertTrue(python.state.startswith("{}.{}.".format(*sys.version_info)))
        for name in ("ropewalk", "Twisted", "klein", "autobahn"):
            self.assertEqual(self.finding(report, name).level, "ok")

    def test_something_that_is_needed_is_missing(self) -> None:
        """
        It is a problem, and there is the command that brings it.
        """
        self.patch(doctor, "_version", lambda name: None)
        klein = self.finding(self.examine(), "klein")
        self.assertEqual((klein.level, klein.remedy), ("problem", "pip install klein"))

    def test_uvloop(self) -> None:
        """
        Which loop would run depends on it.
        """
        self.without("uvloop")
        report = self.examine()
        self.assertEqual(
            self.finding(report, "reactor").state, "asyncio, on Python's own loop"
        )
        uvloop = self.finding(report, "uvloop")
        self.assertEqual(uvloop.level, "note")
        self.assertEqual(uvloop.remedy, "pip install 'ropewalk[fast]'")

    def test_a_library_that_does_not_load(self) -> None:
        """
        One that is installed and cannot be imported is told from one that is not.
        """
        self.without("uvloop")
        self.patch(doctor, "_version", lambda name: "1.0")
        uvloop = self.finding(self.examine(), "uvloop")
        self.assertEqual(uvloop.state, "does not work here")
        self.patch(doctor, "_version", lambda name: None)
        self.assertEqual(self.finding(self.examine(), "uvloop").state, "not installed")

    def test_native_code(self) -> None:
        """
        Autobahn's and zope.interface's own C is looked for, and may be switched
        off.
        """
        report = self.examine(AUTOBAHN_USE_NVX="0")
        self.assertEqual(
            self.finding(report, "autobahn NVX").remedy, "unset AUTOBAHN_USE_NVX"
        )
        self.without("_nvx_xormasker", "zope.interface._zope_interface_coptimizations")
        report = self.examine()
        self.assertEqual(self.finding(report, "autobahn NVX").state, "not built")
        self.assertEqual(self.finding(report, "zope.interface").level, "note")

    def test_everything_says_what_it_gives(self) -> None:
        """
        Nobody has to look up what an accelerator or an extra is.
        """
        for finding in self.examine().findings:
            if finding.group in ("Accelerators", "Extras"):
                self.assertTrue(finding.gives, finding.name)

    def test_extras(self) -> None:
        """
        The command that brings one names it.
        """
        self.without("h2", "OpenSSL")
        report = self.examine()
        for name in ("http2", "tls"):
            self.assertEqual(
                self.finding(report, name).remedy, f"pip install 'ropewalk[{name}]'"
            )

    def test_open_files(self) -> None:
        """
        A low limit is a warning that says what it means.
        """
        low = self.finding(self.examine(limits=(1024, 8192)), "open files")
        self.assertEqual(low.level, "warning")
        self.assertEqual(low.state, "1024, 8192 at most")
        self.assertIn("about 960 at once", low.gives)
        self.assertIn("ulimit -n", low.remedy)
        high = self.finding(self.examine(limits=(4096, 4096)), "open files")
        self.assertEqual((high.level, high.state, high.remedy), ("ok", "4096", ""))
        endless = self.finding(self.examine(limits=(-1, -1)), "open files")
        self.assertEqual((endless.level, endless.state), ("ok", "unlimited"))

    def test_the_real_limit(self) -> None:
        """
        It is found out when nobody gives it.
        """
        state = self.finding(examine(Found(()), {}), "open files").state
        self.assertRegex(state, r"^(unlimited|\d+)")

    def test_systemd(self) -> None:
        """
        What systemd has told this process.
        """
        self.assertIn("did not", self.finding(self.examine(), "systemd").state)
        started = self.finding(self.examine(INVOCATION_ID="x"), "systemd")
        self.assertIn("Type=notify", started.gives)
        told = self.examine(INVOCATION_ID="x", NOTIFY_SOCKET="/x", LISTEN_FDS="1")
        self.assertEqual(
            self.finding(told, "systemd").state,
            "started us; is told when the daemon is ready, hands over sockets",
        )

    def test_plugins_that_cannot_be_used(self) -> None:
        """
        Each is a problem: a broken declaration, a name that two want, a module
        that is not there.
        """
        plugins = (
            ServicePlugin("chat", "json", place="a.py:1"),
            ServicePlugin("chat", "json", place="b.py:1"),
            ServicePlugin("lost", "nonsuch_rope", place="c.py:1"),
        )
        broken = Broken("d.py:1", "Traceback:\nImportError: no")
        report = self.examine(Found(plugins, (broken,)))
        problems = [each for each in report.findings if each.level == "problem"]
        self.assertEqual(
            [(each.name, each.state) for each in problems],
            [
                ("d.py:1", "ImportError: no"),
                ("chat", "the name 'chat' is claimed by b.py:1, too"),
                ("chat", "the name 'chat' is claimed by a.py:1, too"),
                ("lost", "there is no module nonsuch_rope"),
            ],
        )
        self.assertEqual(report.problems, 4)

    def test_hidden_plugins(self) -> None:
        """
        An ``__init__.py`` where none may be is found; Twisted's own are right.
        """
        root = Path(self.mktemp()).absolute()
        write(root, {"twisted/plugins/__init__.py": "", "twisted/__init__.py": ""})
        self.patch(sys, "path", [*sys.path, str(root)])
        hidden = [
            each for each in self.examine().findings if each.state == "in the way"
        ]
        self.assertEqual(
            [os.path.abspath(each.name) for each in hidden],
            [
                str(root / "twisted/plugins/__init__.py"),
                str(root / "twisted/__init__.py"),
            ],
        )
        self.assertEqual({each.level for each in hidden}, {"problem"})

    def test_a_cache_that_cannot_be_written(self) -> None:
        """
        It is a note, and only where it is needed.
        """
        root = write(Path(self.mktemp()), {"a_plugin.py": ""})
        self.patch(twisted.plugins, "__path__", [str(root), str(root / "none")])
        self.patch(os, "access", lambda path, mode: False)
        cache = self.finding(self.examine(), "dropin.cache")
        self.assertEqual(cache.level, "note")
        write(root, {"dropin.cache": ""})
        os.utime(root / "a_plugin.py", (0, 0))
        names = [each.name for each in self.examine().findings]
        self.assertNotIn("dropin.cache", names)


class ReportTests(SynchronousTestCase):
    """
    How it is told.
    """

    report = Report(
        (
            Finding("Versions", "Python", "ok", "3.11"),
            Finding("Extras", "tls", "note", "not installed", "ssl:", "pip install x"),
            Finding("Extras", "longer", "problem", "broken"),
        )
    )

    def test_the_page(self) -> None:
        """
        By group, each with its mark; what it gives and what to do below.
        """
        self.assertEqual(
            "\n".join(self.report.lines()),
            "Versions\n"
            "  +  Python  3.11\n"
            "\n"
            "Extras\n"
            "  -  tls     not installed\n"
            "       ssl:\n"
            "       → pip install x\n"
            "  x  longer  broken\n"
            "\n"
            "1 problem, marked x.",
        )

    def test_how_many(self) -> None:
        """
        The last line counts.
        """
        broken = Finding("Extras", "tls", "problem", "broken")
        self.assertEqual(list(Report(()).lines()), ["No problems."])
        self.assertEqual(
            list(Report((broken, broken)).lines())[-1], "2 problems, marked x."
        )

    def test_for_programs(self) -> None:
        """
        The same as plain data.
        """
        plain = json.loads(json.dumps(self.report.plain()))
        self.assertEqual(plain["problems"], 1)
        self.assertEqual(plain["findings"][1]["remedy"], "pip install x")
