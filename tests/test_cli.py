"""
Tests for L{ropewalk.run.cli}.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

import ropewalk as package
from ropewalk.run.cli import commands
from ropewalk.run.statuses import Status
from tests.commandline import PATIENCE, ROOT, Told, ropewalk, variables, write

PLUGINS = """\
from ropewalk.plugin import ServicePlugin

chat = ServicePlugin("ropechat", "ropechat")
"""

CHAT = '''\
"""
Says nothing.
"""

import sys
from typing import Annotated

from klein import Klein
from twisted.application.service import Service

from ropewalk.schema import Meta, Secret, Shape

print("imported", file=sys.stderr)

class Settings(Shape):
    history: Annotated[int, Meta(ge=0, le=10_000)] = 100
    token: Secret = Secret("")

class Pages:
    routes = Klein()

    @routes.route("/", methods=["GET"])
    def show(self, request):
        return b""

def makeService(settings, host):
    host.web.mount("/ropechat", Pages().routes)
    return Service()
'''

PROJECT = {"twisted/plugins/ropechat_plugin.py": PLUGINS, "ropechat.py": CHAT}
SILENT = {
    **PROJECT,
    "ropechat.py": CHAT.replace('print("imported", file=sys.stderr)', ""),
}


class HelpTests(SynchronousTestCase):
    """
    What somebody is told who asks.
    """

    def told(self, *words: str) -> str:
        result = CliRunner().invoke(commands, words, prog_name="ropewalk")
        self.assertEqual(result.exit_code, 0, result.output)
        return result.output

    def test_commands(self) -> None:
        """
        All of them, in the order in which one needs them, each with a whole
        sentence.
        """
        listed = re.findall(
            r"(?m)^  (\w+) +(\S.*)$", self.told("-h").split("Commands:")[1]
        )
        self.assertEqual(
            [name for name, _ in listed],
            ["new", "run", "check", "plugins", "routes", "call", "doctor"],
        )
        for _, sentence in listed:
            self.assertRegex(sentence, r"[a-z]\.$")

    def test_each_teaches(self) -> None:
        """
        Each has an example, and says where to go from there.
        """
        for name in commands.commands:
            told = self.told(name, "--help")
            self.assertIn("Next: ", told, name)
            if name != "doctor":
                self.assertRegex(told, rf"\$ (\S+=\S+ )?ropewalk {name}", name)
            for line in told.splitlines():
                self.assertLessEqual(len(line), 80, name)

    def test_examples(self) -> None:
        """
        What the examples call is there, with the options they use.
        """
        for name, command in commands.commands.items():
            told = self.told(name, "-h")
            for other, rest in re.findall(r"\$ (?:\S+=\S+ )?ropewalk (\w+)(.*)", told):
                used = commands.commands[other]
                if not used.context_settings.get("allow_interspersed_args", True):
                    rest = rest.partition("chat.")[0]  # what is behind is not its own
                known = {opt for param in used.params for opt in param.opts}
                words = set(re.findall(r"--[\w-]+", rest.partition("|")[0]))
                known |= {opt for param in used.params for opt in param.secondary_opts}
                self.assertLessEqual(words, known, command)

    def test_statuses(self) -> None:
        """
        Those that are documented are those there are.
        """
        told = " ".join(self.told("run", "--help").split())
        for status in Status:
            self.assertIn(f"{status.value} ", told.partition("exit status is")[2])

    def test_version(self) -> None:
        """
        The version, to a program that asks.
        """
        self.assertEqual(
            self.told("--version"), f"ropewalk, version {package.__version__}\n"
        )

    def test_quick(self) -> None:
        """
        Help imports nothing of Twisted's, so that it is there at once.
        """
        code = (
            "import sys; sys.argv = ['ropewalk', *sys.argv[1:]]\n"
            "from ropewalk.run.cli import main\n"
            "try: main()\n"
            "except SystemExit: pass\n"
            "print(sorted(each for each in sys.modules if each.startswith('twisted')))"
        )
        for words in (["--help"], ["run", "--help"], ["--version"]):
            done = subprocess.run(
                [sys.executable, "-c", code, *words],
                env=variables(),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
            self.assertEqual(done.stdout.splitlines()[-1], "[]", done.stderr)


class MistakeTests(SynchronousTestCase):
    """
    What somebody is told who made a mistake: a sentence, never a traceback.
    """

    def mistake(self, *words: str) -> str:
        result = CliRunner().invoke(commands, words, prog_name="ropewalk")
        self.assertEqual(result.exit_code, 2, result.output)
        return result.output.splitlines()[-1]

    def test_unknown_command(self) -> None:
        """
        The nearest one is named; where none is near, all of them.
        """
        self.assertEqual(
            self.mistake("chek"),
            "Error: there is no command 'chek'; did you mean 'check'?",
        )
        self.assertEqual(
            self.mistake("Routes"),
            "Error: there is no command 'Routes'; did you mean 'routes'?",
        )
        self.assertEqual(
            self.mistake("zzz"),
            "Error: there is no command 'zzz'; there are new, run, check, plugins, "
            "routes, call, doctor",
        )

    def test_unknown_option(self) -> None:
        """
        Click names the nearest one.
        """
        self.assertRegex(self.mistake("check", "--jsn"), "[Nn]o such option.*--jsn")

    def test_the_file_twice(self) -> None:
        """
        Nobody has to guess which of the two counts.
        """
        self.assertEqual(
            self.mistake("check", "a.toml", "--settings", "b.toml"),
            "Error: FILE is given twice; leave out --settings",
        )

    def test_a_project_that_hides_twisted(self) -> None:
        """
        An ``__init__.py`` in ``twisted/`` is named before it breaks everything.
        """
        root = write(Path(self.mktemp()), {"twisted/__init__.py": ""})
        told = ropewalk("plugins", cwd=root)
        self.assertEqual(told.status, 2)
        self.assertIn("twisted/__init__.py hides Twisted from Python", told.err)
        self.assertNotIn("Traceback", told.err)


class CommandTests(SynchronousTestCase):
    """
    The commands in processes of their own, in the directory of a project that is
    not installed.
    """

    def ropewalk(self, *words: str, **environ: str) -> Told:
        return ropewalk(*words, cwd=self.root, paths=(), **environ)

    def project(self, files: dict[str, str], settings: str) -> None:
        self.root = write(
            Path(self.mktemp()).absolute(), {**files, "ropewalk.toml": settings}
        )

    def twistd(self) -> Told:
        """
        What the daemon says that has the same settings.
        """
        done = subprocess.run(
            [
                *(sys.executable, "-c"),
                "from twisted.scripts.twistd import run; run()",
                *("-n", "--pidfile=", "ropewalk"),
            ],
            cwd=self.root,
            env=variables(self.root),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Told(done.returncode, done.stdout, done.stderr)

    def test_check(self) -> None:
        """
        The values on one side, nothing on the other, status 0.
        """
        self.project(SILENT, '[ropechat]\ntoken = "letmein"\n')
        told = self.ropewalk("check", ROPEWALK_ROPECHAT__HISTORY="7")
        self.assertEqual((told.status, told.err), (Status.STOPPED, ""))
        self.assertRegex(
            told.out, r"  history = 7 +environment variable ROPEWALK_ROPECHAT__HISTORY"
        )
        self.assertRegex(told.out, r"  token   = \*\*\*\* +ropewalk.toml:2")

    def test_check_says_what_the_daemon_says(self) -> None:
        """
        Both refuse on the same faults, in the same words, with the same status.
        """
        self.project(
            {
                **SILENT,
                "twisted/plugins/other_plugin.py": PLUGINS.replace(
                    '"ropechat", "ropechat"', '"ropeother", "ropeother"'
                ),
                "ropeother.py": "def x(:\n",
            },
            "[hots]\n\n[ropechat]\nhistory = -1\nhistroy = 3\n\n[ropeother]\n",
        )
        checked, refused = self.ropewalk("check"), self.twistd()
        self.assertIn(
            "ropewalk.toml:4: [ropechat] history: expected an integer from 0 to "
            "10000, got -1\n",
            checked.err,
        )
        self.assertIn("ropewalk.toml:5: [ropechat] histroy: unknown key;", checked.err)
        self.assertIn("ropewalk.toml:1: [hots]: unknown table;", checked.err)
        self.assertIn("ropewalk.toml:7: [ropeother]: cannot import", checked.err)
        self.assertEqual(checked.err, refused.err)
        self.assertEqual(checked.status, Status.BAD_SETTINGS)
        self.assertEqual(refused.status, Status.BAD_SETTINGS)
        self.assertRegex(checked.out, r"history = -1 +ropewalk.toml:4")

    def test_check_reads_what_it_is_told(self) -> None:
        """
        A file as argument, by option, by variable; the argument is the strongest.
        """
        self.project(SILENT, "[ropechat]\nhistory = 1\n")
        write(self.root, {"b.toml": "[ropechat]\nhistory = 2\n"})
        for words, variable, origin in (
            ((), "", "= 1 +ropewalk.toml:2"),
            (("b.toml",), "", "= 2 +b.toml:2"),
            (("-s", "b.toml"), "", "= 2 +b.toml:2"),
            ((), "b.toml", "= 2 +b.toml:2"),
            (("ropewalk.toml",), "b.toml", "= 1 +ropewalk.toml:2"),
        ):
            told = self.ropewalk("check", *words, ROPEWALK_SETTINGS=variable)
            self.assertRegex(told.out, f"history {origin}")

    def test_no_settings_file(self) -> None:
        """
        Every command that needs one says so in the same words.
        """
        self.project(SILENT, "")
        (self.root / "ropewalk.toml").unlink()
        for name in ("check", "routes", "run"):
            told = self.ropewalk(name)
            self.assertEqual(told.status, Status.BAD_SETTINGS)
            self.assertEqual(
                told.err,
                "ropewalk.toml: no such file; `ropewalk new NAME` writes one\n",
            )

    def test_plugins_imports_nothing(self) -> None:
        """
        What is told of a service is read from its text.
        """
        self.project(PROJECT, "[ropechat]\n")
        told = self.ropewalk("plugins")
        self.assertEqual((told.status, told.err), (0, ""))
        self.assertIn(
            "ropechat  Says nothing.\n"
            "  module    ropechat\n"
            "  from      not from a distribution\n"
            "  declared  twisted/plugins/ropechat_plugin.py:3\n"
            "  settings  history, token\n",
            told.out,
        )
        self.assertIn("imported", self.ropewalk("check").err)

    def test_broken_declarations(self) -> None:
        """
        ``plugins`` shows what happened, ``doctor`` counts it, ``check`` names it
        and lets the others run.
        """
        broken = {"twisted/plugins/bad_plugin.py": "\nimport nonsuch_rope\n"}
        self.project({**SILENT, **broken}, "[ropechat]\n")
        listed = self.ropewalk("plugins")
        self.assertEqual(listed.status, 1)
        self.assertIn("ropechat  Says nothing.", listed.out)
        self.assertIn("twisted/plugins/bad_plugin.py:2: this declaration", listed.err)
        self.assertIn("    import nonsuch_rope\n", listed.err)
        self.assertEqual(listed.err.count("Traceback"), 1)
        checked = self.ropewalk("check")
        self.assertEqual(checked.status, 0)
        self.assertEqual(
            checked.err,
            "twisted/plugins/bad_plugin.py:2: this plugin declaration is broken: "
            "ModuleNotFoundError: No module named 'nonsuch_rope'\n",
        )
        self.assertIn("Traceback", self.ropewalk("check", "--verbose").err)
        examined = self.ropewalk("doctor")
        self.assertEqual(examined.status, 1)
        self.assertRegex(examined.out, r"x  twisted/plugins/bad_plugin.py:2 +Module")

    def test_routes(self) -> None:
        """
        One page, without anything being started.
        """
        self.project(SILENT, '[ropechat]\n[web]\nlisten = ["tcp:1"]\n')
        told = self.ropewalk("routes")
        self.assertEqual((told.status, told.err), (0, ""))
        self.assertTrue(told.out.startswith("Web site at tcp:1\n"))
        self.assertRegex(
            told.out, r"\n  GET  /ropechat +Pages.show +ropechat +ropechat.py:22\n"
        )

    def test_routes_of_what_cannot_be_built(self) -> None:
        """
        The services' own mistakes are told in the daemon's words.
        """
        files = {
            **SILENT,
            "ropechat.py": SILENT["ropechat.py"].replace("/rope", "rope"),
        }
        self.project(files, "[ropechat]\n")
        told = self.ropewalk("routes")
        self.assertEqual((told.status, told.out), (Status.START_FAILED, ""))
        self.assertIn("service 'ropechat' did not start: ", told.err)
        self.assertIn("cannot mount at 'ropechat'", told.err)
        self.assertNotIn("Traceback", told.err)

    def test_json(self) -> None:
        """
        Programs get the same as people.
        """
        self.project(SILENT, "[ropechat]\n")
        for name, key in {
            "check": "tables",
            "plugins": "services",
            "routes": "routes",
            "doctor": "findings",
        }.items():
            told = self.ropewalk(name, "--json")
            self.assertIn(key, json.loads(told.out), told.err)

    def test_new_refuses(self) -> None:
        """
        In a sentence.
        """
        self.project(SILENT, "")
        told = self.ropewalk("new", "ropechat", "elsewhere")
        self.assertEqual((told.status, told.out), (1, ""))
        self.assertRegex(told.err, r"^ropewalk: there is a service 'ropechat' already")
        self.assertNotIn("Traceback", told.err)

    def test_half_a_page(self) -> None:
        """
        Whoever reads only the beginning gets no traceback for the rest.
        """
        self.project(SILENT, "[ropechat]\n")
        process = subprocess.Popen(
            [sys.executable, "-m", "ropewalk", "check"],
            cwd=self.root,
            env=variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.close()
        _, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual(errors, b"")


class PageTests(SynchronousTestCase):
    """
    The page in the documentation.
    """

    def test_every_command_is_explained(self) -> None:
        """
        With all its options.
        """
        page = (ROOT / "docs" / "cli.rst").read_text("utf-8")
        for name, command in commands.commands.items():
            self.assertIn(f"ropewalk {name}", page)
            for param in command.params:
                if isinstance(param, click.Option) and not param.hidden:
                    self.assertIn(f"``{param.opts[-1]}", page, name)

    def test_exit_statuses(self) -> None:
        """
        The table has the numbers that the code has.
        """
        page = (ROOT / "docs" / "cli.rst").read_text("utf-8")
        rows = re.findall(r"(?m)^   \* - (\d)$", page)
        self.assertEqual(rows, [str(status.value) for status in Status])
