"""
Tests for L{ropewalk.run.configuration}.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.errors import BadSettings
from ropewalk.net.limits import CallSettings
from ropewalk.plugin import Found, ServicePlugin
from ropewalk.run.configuration import (
    OURS,
    Deadlines,
    HostSettings,
    HubSettings,
    Plan,
    SiteSettings,
    Unset,
    WebSettings,
    make_plan,
)
from ropewalk.run.configuration import _ordered as ordered
from ropewalk.settings import parse

#: A service with one setting.
CHAT = """
from ropewalk.schema import Shape

class Settings(Shape):
    history: int = 100

def makeService(settings, host):
    raise NotImplementedError
"""

#: A service without.
BARE = "def makeService(settings, host): raise NotImplementedError\n"


class PlanTestCase(SynchronousTestCase):
    """
    Services to be had, each a module in a directory of its own.
    """

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)
        self.plugins: list[ServicePlugin] = []
        self.patch(sys, "path", [str(self.directory), *sys.path])
        self.prefix = f"planned_{id(self)}_"
        self.addCleanup(self.forget)

    def forget(self) -> None:
        for name in [name for name in sys.modules if name.startswith(self.prefix)]:
            del sys.modules[name]

    def install(self, name: str, source: str = CHAT, requires: str = "") -> None:
        """
        Let there be a service.
        """
        module = self.prefix + str(len(self.plugins))
        if requires:
            source += f"\nrequires = {tuple(requires.split())!r}\n"
        path = self.directory / f"{module}.py"
        path.write_text(textwrap.dedent(source), "utf-8")
        importlib.invalidate_caches()
        place = f"{name}_plugin.py:{len(self.plugins) + 1}"
        self.plugins.append(ServicePlugin(name, module, place=place))

    def plan(self, text: str, **environ: str) -> Plan:
        found = Found(tuple(self.plugins))
        return make_plan(parse(textwrap.dedent(text), "f", environ), found)

    def order(self, text: str, **environ: str) -> list[str]:
        """The services, as they would start."""
        return [each.name for each in self.plan(text, **environ).services]

    def faults(self, text: str, **environ: str) -> list[str]:
        """What is wrong, a line each; of a traceback, the first line."""
        try:
            self.plan(text, **environ)
        except BadSettings as error:
            return [
                str(fault).replace(self.prefix, "acme").split("\n")[0]
                for fault in error.faults
            ]
        return []


class PlanTests(PlanTestCase):
    """
    A settings file without faults is a plan.
    """

    def test_plan(self) -> None:
        """
        It has the daemon's own tables and each service's, by what the file says
        and by default.
        """
        self.install("chat")
        self.install("clock", BARE)
        plan = self.plan(
            """
            [chat]
            history = 5
            [host]
            log = "json"
            [clock]
            [host.deadlines.chat]
            stop = 60
            """
        )
        self.assertEqual(
            plan.host, HostSettings(log="json", deadlines={"chat": Deadlines(stop=60)})
        )
        self.assertEqual(plan.web, WebSettings())
        chat, clock = plan.services
        self.assertEqual((chat.name, chat.settings.history), ("chat", 5))
        self.assertEqual((clock.name, clock.settings), ("clock", Unset()))
        self.assertEqual(
            plan.tables(),
            (
                ("host", HostSettings, plan.host),
                ("web", WebSettings, plan.web),
                ("operations", CallSettings, CallSettings()),
                ("hub", HubSettings, HubSettings()),
                ("chat", chat.module.module.Settings, chat.settings),
                ("clock", Unset, Unset()),
            ),
        )

    def test_sites(self) -> None:
        """
        The settings of each web site can be had by its name, those of the default one
        by none; and whether the file asks for it.
        """
        site = "[web.sites.x]\nlisten = ['tcp:1']\n"
        for text, default in (
            (site, False),
            (f"[web]\n{site}", True),
            (f"{site}[web]\n", True),
            (f"web.idle = 1\n{site}", True),
            ("web = {}\n", True),
            ("[host]\n", False),
        ):
            plan = self.plan(text)
            self.assertIs(plan.listens(""), default, text)
            self.assertEqual(plan.listens("x"), site in text)
            self.assertIs(plan.sites()[""], plan.web)
        self.assertEqual(self.plan(site).sites()["x"], SiteSettings(listen=("tcp:1",)))

    def test_sites_of_the_environment(self) -> None:
        """
        The environment may say where a site of the file listens, or have one by itself.
        """
        plan = self.plan(
            "[web.sites.for-us]\n",
            ROPEWALK_WEB__SITES__FOR_US__LISTEN="tcp:1",
            ROPEWALK_WEB__SITES__MORE__LISTEN="tcp:2",
        )
        listens = {name: site.listen for name, site in plan.web.sites.items()}
        self.assertEqual(listens, {"for-us": ("tcp:1",), "more": ("tcp:2",)})
        self.assertIs(plan.listens(""), False)
        self.assertIs(self.plan("", ROPEWALK_WEB__IDLE="1").listens(""), True)

    def test_other_values(self) -> None:
        """
        The same plan can be had with other values.
        """
        self.install("chat")
        plan, other = (
            self.plan("[chat]"),
            self.plan("[chat]\nhistory = 5\n[web]\nidle = 5"),
        )
        values = {name: value for name, _, value in other.tables()}
        mixed = plan.with_values(values)
        self.assertEqual(mixed.tables(), other.tables())
        self.assertIs(mixed.document, plan.document)

    def test_only_what_is_asked_for(self) -> None:
        """
        A service that no table asks for is not imported, broken or not.
        """
        self.install("chat")
        self.install("broken", "raise KeyError()")
        self.install("other")
        self.assertEqual(self.order("[chat]"), ["chat"])
        imported = {name for name in sys.modules if name.startswith(self.prefix)}
        self.assertEqual(imported, {f"{self.prefix}0"})

    def test_the_environment(self) -> None:
        """
        A variable asks for a service as well as a table does, whatever stands for
        its hyphens; one in the file keeps its place.
        """
        for name in "chat", "my-clock", "the_mail":
            self.install(name)
        plan = self.plan(
            "[the_mail]\n[host]",
            ROPEWALK_MY_CLOCK__HISTORY="7",
            ROPEWALK_CHAT__HISTORY="8",
            ROPEWALK_THE_MAIL__HISTORY="9",
        )
        found = {each.name: each.settings.history for each in plan.services}
        self.assertEqual(found, {"the_mail": 9, "chat": 8, "my-clock": 7})
        self.assertEqual(next(iter(found)), "the_mail")

    def test_hyphens(self) -> None:
        """
        A table is spelled as the service is.
        """
        self.install("my-clock")
        self.assertEqual(self.order("[my-clock]"), ["my-clock"])
        self.assertEqual(
            self.faults("[my_clock]"),
            [
                (
                    "f:1: [my_clock]: unknown table; did you mean [my-clock]? "
                    "`ropewalk plugins` lists those there are"
                )
            ],
        )

    def test_nothing(self) -> None:
        """
        A file that asks for nothing is a mistake; one that asks for the web site
        alone is not.
        """
        (fault,) = self.faults("")
        self.assertTrue(fault.startswith("f: asks for nothing: add a table"), fault)
        self.assertEqual(self.order("[web]"), [])


class OrderTests(PlanTestCase):
    """
    A service starts after what it requires; otherwise the file decides.
    """

    def test_the_file(self) -> None:
        """
        Where nobody requires anything, the order is that of the tables.
        """
        for name in "a", "b", "c":
            self.install(name)
        self.assertEqual(self.order("[c]\n[a]\n[b]"), ["c", "a", "b"])

    def test_requires(self) -> None:
        """
        What is required comes before, and nothing else moves.
        """
        self.install("a", requires="d")
        self.install("b")
        self.install("c", requires="b a")
        self.install("d")
        self.assertEqual(self.order("[c]\n[a]\n[b]\n[d]"), ["b", "d", "a", "c"])
        self.assertEqual(self.order("[b]\n[d]\n[a]\n[c]"), ["b", "d", "a", "c"])

    def test_ours(self) -> None:
        """
        The daemon's own tables are there whenever somebody requires them.
        """
        self.install("a", requires="web host")
        self.assertEqual(self.order("[a]"), ["a"])

    @given(st.permutations(range(6)), st.data())
    def test_any_order(self, places: list[int], data: st.DataObject) -> None:
        """
        Whatever the file's order, each comes after what it requires, and of those
        that could come next, the first in the file does.
        """
        requires = {
            str(place): tuple(
                str(other)
                for other in range(place)
                if data.draw(st.booleans(), f"{place} requires {other}")
            )
            for place in places
        }
        order = list(ordered(requires))
        self.assertEqual(sorted(order), sorted(requires))
        for at, name in enumerate(order):
            done = set(order[:at])
            able = [each for each in requires if done >= {*requires[each]} - {each}]
            self.assertEqual(name, next(each for each in able if each not in done))


class FaultTests(PlanTestCase):
    """
    Everything that is wrong is told at once, in the order of the file.
    """

    def test_all_at_once(self) -> None:
        """
        Of every kind, in the order of the lines; what is not in the file comes
        last.
        """
        self.install("chat", requires="mail clock")
        self.install("broken", "import acme_that_is_not_there")
        self.install("twice")
        self.install("twice")
        self.install("mail", requires="clock mail-out")
        self.install("clock", requires="chat")
        self.install("mail-outs")
        text = """\
            colour = "blue"
            [chta]
            [chat]
            history = "many"
            [host]
            log = "yes"
            start_deadline = 0
            [broken]
            [twice]
            [host.deadlines.cat]
            stop = 1
            [web]
            idle = -1
            colour = "red"
            origins = ["*", "example.org"]
            [mail]
            history = 1
            [clock]
            """
        expected = [
            (
                "f:1: colour: a key outside of any table; it belongs below a line like "
                "[chat]"
            ),
            (
                "f:2: [chta]: unknown table; did you mean [chat]? `ropewalk plugins` "
                "lists those there are"
            ),
            "f:3: [chat]: services require each other in a circle: chat → clock → chat",
            "f:4: [chat] history: expected an integer, got 'many'",
            "f:6: [host] log: expected one of 'auto', 'json', 'text', got 'yes'",
            (
                "f:7: [host] start_deadline: expected a number greater than 0 and of "
                "at most 86400, got 0"
            ),
            (
                "f:8: [broken]: cannot import acme1: No module named "
                "'acme_that_is_not_there'"
            ),
            "f:9: [twice]: the service name 'twice' is claimed twice:",
            (
                "f:13: [web] idle: expected a number greater than 0 and of at most "
                "86400, got -1"
            ),
            "f:14: [web] colour: unknown key",
            (
                "f:15: [web] origins[1]: expected an origin like https://example.org, "
                "or '*', got 'example.org'"
            ),
            (
                "f:16: [mail]: requires the service 'mail-out', which is not "
                "installed; did its author mean 'mail-outs'?"
            ),
            (
                "environment variable ROPEWALK_CLOCK__HISTORY: [clock] history: "
                "expected an integer, got 'x'"
            ),
        ]
        for _ in range(2):
            self.assertEqual(self.faults(text, ROPEWALK_CLOCK__HISTORY="x"), expected)

    def test_a_fault_does_not_hide_another(self) -> None:
        """
        Nor does a module that cannot be imported make others miss it.
        """
        self.install("chat", requires="broken absent")
        self.install("broken", "1 / 0")
        self.install("absent")
        self.assertEqual(
            self.faults("[chat]\n[broken]"),
            [
                (
                    "f:1: [chat]: requires the service 'absent', which no table turns "
                    "on: add [absent]"
                ),
                "f:2: [broken]: cannot import acme1: division by zero",
            ],
        )

    def test_the_traceback(self) -> None:
        """
        A module that cannot be imported is named with its traceback.
        """
        self.install("broken", "def explode():\n    1 / 0\nexplode()\n")
        error = self.assertRaises(BadSettings, self.plan, "[broken]")
        text = str(error)
        self.assertIn("in explode", text)
        self.assertIn("ZeroDivisionError: division by zero", text)

    def test_claimed_twice(self) -> None:
        """
        A name that two have claimed is told with both places.
        """
        self.install("chat")
        self.install("chat")
        error = self.assertRaises(BadSettings, self.plan, "[chat]")
        self.assertEqual(
            str(error).replace(self.prefix, "acme"),
            "f:1: [chat]: the service name 'chat' is claimed twice:\n"
            "  by acme0 (chat_plugin.py:1)\n"
            "  by acme1 (chat_plugin.py:2)",
        )

    def test_circles(self) -> None:
        """
        Each circle is told once, where it begins in the file, as who requires
        whom.
        """
        self.install("a", requires="b")
        self.install("b", requires="c")
        self.install("c", requires="a")
        self.install("d", requires="d a")
        self.install("e", requires="a")
        self.assertEqual(
            self.faults("[e]\n[c]\n[b]\n[d]\n[a]"),
            [
                "f:2: [c]: services require each other in a circle: c → a → b → c",
                "f:4: [d]: services require each other in a circle: d → d",
            ],
        )

    def test_deadlines(self) -> None:
        """
        A deadline for a service that does not exist is told, with what may have
        been meant; one for a service that is merely not on is not.
        """
        self.install("chat")
        self.install("my-clock")
        text = """\
            [chat]
            [host.deadlines]
            web = { stop = 1 }
            my-clock = { stop = 1 }
            chatt = { stop = 1 }
            "a b" = { stop = 1 }
            """
        self.assertEqual(
            self.faults(text),
            [
                (
                    "f:5: [host.deadlines] chatt: there is no service of this name; "
                    "did you mean 'chat'?"
                ),
                'f:6: [host.deadlines] "a b": there is no service of this name',
            ],
        )

    def test_settings_that_are_none(self) -> None:
        """
        A shape that nothing can be read into is the plugin's fault, and told.
        """
        self.install(
            "chat",
            """
            from ropewalk.schema import Shape

            class Settings(Shape):
                thing: int | list[int] | tuple[int, ...]

            def makeService(settings, host): ...
            """,
        )
        (fault,) = self.faults("[chat]\nthing = 5")
        self.assertIn("f:1: [chat]: acme0.Settings", fault)


class EndpointTests(PlanTestCase):
    """
    The places of the site are looked at before anything is made.
    """

    def test_no_place(self) -> None:
        """
        What is no endpoint is told with its line, and what to write instead.
        """
        faults = self.faults(
            """
            [web]
            listen = ["8080", "tcp:8081", "tpc:8082"]
            """
        )
        self.assertEqual(len(faults), 2)
        first, second = faults
        self.assertTrue(first.startswith("f:3: [web] listen[0]: cannot listen at"))
        self.assertIn("tcp:8080", first)
        self.assertTrue(second.startswith("f:3: [web] listen[2]: cannot listen at"))
        self.assertIn("tcp", second)


class DeadlineTests(SynchronousTestCase):
    """
    How long each service may take.
    """

    def read(self, text: str, **environ: str) -> HostSettings:
        return parse(text, "f", environ).read("host", HostSettings)

    def test_own(self) -> None:
        """
        A service has its own deadline, or everybody's.
        """
        host = self.read(
            "[host]\nstart_deadline = 5\nstop_deadline = 6\n"
            "[host.deadlines]\nchat = { start = 50 }\nmail = { stop = 0 }\n"
        )
        for name, deadlines in {
            "chat": (50, 6),
            "mail": (5, 0),
            "other": (5, 6),
        }.items():
            found = (host.start_within(name), host.stop_within(name))
            self.assertEqual(found, deadlines)

    def test_the_environment(self) -> None:
        """
        A variable can mean a service with a hyphen.
        """
        host = self.read("", ROPEWALK_HOST__DEADLINES__MY_CLOCK__START="7")
        self.assertEqual(host.start_within("my-clock"), 7)

    def test_not_for_ever(self) -> None:
        """
        Nobody waits for ever, nor for less than nothing.
        """
        for shape, keys in (
            (HostSettings, ("start_deadline", "stop_deadline", "drain_delay")),
            (WebSettings, ("idle",)),
        ):
            table = next(name for name, each in OURS.items() if each is shape)
            for key in keys:
                for value in "inf", "nan", "-1", "100000":
                    document = parse(f"[{table}]\n{key} = {value}")
                    read: Any = document.read
                    self.assertRaises(BadSettings, read, table, shape)
