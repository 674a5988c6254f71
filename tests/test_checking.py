"""
Tests for L{ropewalk.run.checking}.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from twisted.trial.unittest import SynchronousTestCase

from ropewalk.plugin import Broken, Found, ServicePlugin
from ropewalk.run.checking import Checked, check
from ropewalk.run.statuses import Status
from ropewalk.schema import Meta, Secret, Shape


class Limits(Shape):
    """A table in a table."""

    size: int = 8


class Settings(Shape):
    """What can be set of the service that this very module is."""

    history: Annotated[int, Meta(ge=0, le=10_000)] = 100
    token: Secret = Secret("")
    limits: Limits = Limits()


requires: tuple[str, ...] = ()


def makeService(settings: Settings, host: Any) -> Any:
    """Nothing calls it: a check builds nothing."""
    raise NotImplementedError


def found(*names: str, broken: tuple[Broken, ...] = ()) -> Found:
    """
    Services of these names, all of this module.
    """
    plugins = tuple(ServicePlugin(name, __name__, place="a.py:1") for name in names)
    return Found(plugins, broken)


class CheckTests(SynchronousTestCase):
    """
    What is told of a settings file.
    """

    def check(self, text: str, installed: Found, **environ: str) -> Checked:
        path = Path(self.mktemp())
        path.write_text(text, "utf-8")
        self.name = str(path)
        return check(path, environ, installed)

    def told(self, checked: Checked) -> str:
        """
        What is told of the services' tables, the file called F.
        """
        text = "\n".join(checked.values()).replace(self.name, "F")
        return text[text.index("[chat]") :]

    def faults(self, checked: Checked) -> list[str]:
        return [str(fault).replace(self.name, "F") for fault in checked.faults]

    def test_values(self) -> None:
        """
        Each value with where it came from; secrets are masked.
        """
        checked = self.check(
            '[chat]\ntoken = "letmein"\n\n[chat.limits]\nsize = 3\n',
            found("chat"),
            ROPEWALK_CHAT__HISTORY="500",
        )
        self.assertEqual(
            self.told(checked),
            "[chat]\n"
            "  history     = 500   environment variable ROPEWALK_CHAT__HISTORY\n"
            "  token       = ****  F:2\n"
            "  limits.size = 3     F:5\n"
            "\n"
            "No faults. What would run: chat.",
        )
        self.assertEqual(checked.status, Status.STOPPED)

    def test_what_would_run(self) -> None:
        """
        What is hosted would run, too; without anything, the site would.
        """
        mounts = '[web.mounts]\n"/img" = { proxy = "http://127.0.0.1:9" }\n'
        checked = self.check(mounts, found("chat"))
        self.assertEqual(checked.services, ("web:/img",))
        site = '[web.sites.b]\nlisten = ["tcp:1"]\n' + mounts.replace(
            "web", "web.sites.b"
        )
        checked = self.check(f"[chat]\n{site}", found("chat"))
        self.assertEqual(checked.services, ("chat", "web.b:/img"))
        *_, last = self.check("[web]\n", found("chat")).values()
        self.assertIn("the web site, with nothing on it", last)

    def test_the_daemons_own_tables(self) -> None:
        """
        ``[host]``, ``[web]``, ``[operations]`` and ``[hub]`` are shown whether or not
        they are written.
        """
        checked = self.check("[chat]\n", found("chat"))
        self.assertEqual(
            [table.name for table in checked.tables],
            ["host", "web", "operations", "hub", "chat"],
        )

    def test_sites(self) -> None:
        """
        So is each web site, with what is not written.
        """
        text = "[chat]\n[web.sites.internal]\nlisten = ['tcp:1']\n"
        told = "\n".join(self.check(text, found("chat")).values())
        self.assertRegex(told, r'  sites\.internal\.listen + = \["tcp:1"\] +\S+:3\n')
        self.assertRegex(told, r"  sites\.internal\.idle + = 60\.0 +default\n")

    def test_hosted(self) -> None:
        """
        Of what is hosted at a path, only what goes with its kind is shown, and what
        somebody has set.
        """
        text = '[web.mounts]\n"/a.b" = { wsgi = "shop:app", threads = 4, health = "/" }'
        checked = self.check(text, found())
        (web,) = (each for each in checked.tables if each.name == "web")
        prefix = 'mounts."/a.b".'
        shown = {
            each.name.removeprefix(prefix): each.text
            for each in web.settings
            if each.name.startswith(prefix)
        }
        self.assertEqual((shown["threads"], shown["queue"]), ("4", "100"))
        self.assertIn("health", shown)
        for other in "asgi", "proxy", "lifespan", "processes", "keep_host":
            self.assertNotIn(other, shown)

    def test_all_faults_at_once(self) -> None:
        """
        Faults of different tables are told together, and the values are shown all
        the same: also the good ones of a table that has faults.
        """
        checked = self.check(
            "[chat]\nhistory = -1\n[other]\nhistory = 7\nsize = 1\n[chta]\n",
            found("chat", "other"),
        )
        told, *faults = sorted(self.faults(checked))
        self.assertEqual(
            told, "F:2: [chat] history: expected an integer from 0 to 10000, got -1"
        )
        self.assertEqual(faults[0], "F:5: [other] size: unknown key")
        self.assertIn("F:6: [chta]: unknown table; did you mean [chat]? ", faults[1])
        self.assertEqual(len(faults), 2)
        self.assertIn("  history     = -1  F:2\n", self.told(checked))
        self.assertIn("  history     = 7   F:4\n", self.told(checked))
        self.assertNotIn("No faults", self.told(checked))
        self.assertEqual(checked.status, Status.BAD_SETTINGS)

    def test_a_module_that_cannot_be_imported(self) -> None:
        """
        Its table cannot be read; the others can.
        """
        bad = ServicePlugin("bad", "tests.nonsuch", place="b.py:1")
        checked = self.check("[bad]\n[chat]\n", Found((*found("chat").plugins, bad)))
        [fault] = self.faults(checked)
        self.assertTrue(fault.startswith("F:1: [bad]: cannot import tests.nonsuch: "))
        self.assertEqual(
            [table.name for table in checked.tables],
            ["host", "web", "operations", "hub", "chat"],
        )

    def test_a_name_that_is_claimed_twice(self) -> None:
        """
        Both places are named.
        """
        other = ServicePlugin("chat", "tests.other", place="b.py:1")
        checked = self.check("[chat]\n", Found((*found("chat").plugins, other)))
        [fault] = self.faults(checked)
        self.assertIn("(a.py:1)", fault)
        self.assertIn("(b.py:1)", fault)

    def test_no_file(self) -> None:
        """
        That there is none is a fault like any other.
        """
        checked = check("nowhere.toml", {}, found())
        self.assertEqual(
            list(map(str, checked.faults)),
            ["nowhere.toml: no such file; `ropewalk new NAME` writes one"],
        )
        self.assertEqual(list(checked.values()), [])
        self.assertEqual(checked.status, Status.BAD_SETTINGS)

    def test_broken_declarations(self) -> None:
        """
        They are named in a line each, and keep nobody from starting. Their
        tracebacks are shown on request.
        """
        traceback = "Traceback:\n  file\nImportError: no"
        broken = Broken("/plugins/bad.py:3", traceback)
        checked = self.check("[chat]\n", found("chat", broken=(broken,)))
        line = "/plugins/bad.py:3: this plugin declaration is broken: ImportError: no"
        self.assertEqual(list(checked.warnings()), [line])
        self.assertEqual(list(checked.warnings(verbose=True)), [line, traceback])
        self.assertEqual(checked.status, Status.STOPPED)

    def test_for_programs(self) -> None:
        """
        The same as plain data; secrets are masked there, too.
        """
        checked = self.check('[chat]\ntoken = "letmein"\nx = 1\n', found("chat"))
        plain = json.loads(json.dumps(checked.plain()))
        self.assertNotIn("letmein", str(plain))
        self.assertEqual(
            plain["tables"]["chat"][1],
            {
                "name": "token",
                "text": "****",
                "origin": f"{self.name}:2",
                "hidden": True,
            },
        )
        self.assertEqual(
            plain["faults"],
            [
                {
                    "origin": f"{self.name}:3",
                    "table": "chat",
                    "key": "x",
                    "problem": "unknown key",
                    "text": f"{self.name}:3: [chat] x: unknown key",
                }
            ],
        )
        self.assertEqual(plain["services"], [])
