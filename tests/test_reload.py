"""
Tests for L{ropewalk.run.reload}.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any

from attrs import Factory, define
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.plugin import ServiceModule, ServicePlugin
from ropewalk.run.configuration import HostSettings, Plan, Planned, WebSettings
from ropewalk.run.lifecycle import Unit
from ropewalk.run.reload import Reloaded, Reloader
from ropewalk.schema import Meta, Secret, Shape, field
from ropewalk.settings import Document, differences, parse
from ropewalk.telemetry import Work, work


class Limits(Shape):
    """A table in a table."""

    size: int = 8
    rate: int = 1


class Settings(Shape):
    """What can be set of each of the services here."""

    listen: str = "tcp:7070"
    history: Annotated[int, Meta(ge=0, le=1000)] = 100
    token: Secret = Secret("")
    limits: Limits = Limits()
    labels: dict[str, str] = field(default_factory=dict)
    rooms: dict[str, Limits] = field(default_factory=dict)
    dash_ed: int = field(default=1, name="dash-ed")
    maybe: Limits | None = None


class Ordered(Shape):
    """A shape of which not every mixture makes sense."""

    low: int = 1
    high: int = 2

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


class Taker(Service):
    """
    A service that takes new settings.

    :ivar taken: What it was given.
    :ivar answer: What it does about it.
    """

    def __init__(self, answer: Callable[[Any], Any] = lambda settings: None) -> None:
        self.taken: list[Any] = []
        self.works: list[Work] = []
        self.answer = answer

    def reconfigure(self, settings: Any) -> Any:
        self.taken.append(settings)
        self.works.append(work.get())
        return self.answer(settings)


@define
class Daemon:
    """
    As much of a host as a reload needs.
    """

    plan: Plan
    units: list[Unit]
    reactor: Clock = Factory(Clock)


def refuse(settings: Any) -> None:
    """Take no settings but the old ones."""
    if settings.history != 100:
        raise RopewalkError("not these")


def naming(*names: str) -> Callable[[Any], Any]:
    """Take settings, but for some that need a restart."""
    return lambda settings: names


class ReloadTestCase(SynchronousTestCase):
    """
    A daemon with some services, and a settings file that changes.
    """

    shape: type[Any] = Settings

    def setUp(self) -> None:
        self.environ: dict[str, str] = {}
        self.events: list[str] = []
        observer: Any = self.observe
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def observe(self, event: LogEvent) -> None:
        level = event["log_level"].name
        if level != "debug":
            self.events.append(f"{level}: {formatEvent(event)}")

    def logged(self) -> list[str]:
        """What was logged since."""
        events, self.events = self.events, []
        return events

    def start(self, text: str = "", **services: Any) -> None:
        """
        Run services by some settings.
        """
        self.text = text
        self.names = tuple(services)
        units = [Unit(name, service, 30, 10) for name, service in services.items()]
        self.daemon = Daemon(self.read(), units)
        self.applied: list[Plan] = []
        host: Any = self.daemon
        self.reloader = Reloader(host, self.read, self.apply)

    def apply(self, plan: Plan) -> None:
        self.daemon.plan = plan
        self.applied.append(plan)

    def read(self) -> Plan:
        """The plan that the file now asks for."""
        document = parse(self.text, "f", self.environ)
        services = []
        for name in self.names:
            module = ModuleType(name)
            module.Settings = self.shape  # type: ignore[attr-defined]
            plugin = ServicePlugin(name, f"acme.{name}")
            settings = document.read(name, self.shape)
            services.append(Planned(name, ServiceModule(plugin, module, ()), settings))
        host, web = self.ours(document)
        return Plan(document, host, web, tuple(services))

    def ours(self, document: Document) -> tuple[HostSettings, WebSettings]:
        return document.read("host", HostSettings), document.read("web", WebSettings)

    def reload(self, text: str) -> list[str]:
        """
        Change the file and reload; what became of each change.
        """
        self.text = text
        self.events.clear()
        return [str(each) for each in self.successResultOf(self.reloader.reload())]

    def settings(self, name: str = "chat") -> Any:
        """What is in force for a service."""
        tables = {table: value for table, _, value in self.daemon.plan.tables()}
        return tables[name]


class ReportTests(ReloadTestCase):
    """
    A reload says what became of each change.
    """

    def test_applied(self) -> None:
        """
        What a service takes is in force.
        """
        chat = Taker()
        self.start("[chat]\nhistory = 100", chat=chat)
        report = self.reload('[chat]\nhistory = 500\nlabels = { a = "b" }')
        expected = [
            "[chat] history: 100 → 500: in force",
            '[chat] labels.a: not set → "b": in force',
        ]
        self.assertEqual(report, expected)
        self.assertEqual(self.logged(), [f"info: {each}" for each in expected])
        self.assertEqual(chat.taken, [Settings(history=500, labels={"a": "b"})])
        self.assertEqual(chat.works, [Work("chat")])
        self.assertEqual(self.settings(), chat.taken[0])

    def test_restart(self) -> None:
        """
        What it says it cannot take needs a restart, and is said again each time
        until there is one or the file is as it was.
        """
        self.start("", chat=Taker(naming("listen")))
        text = '[chat]\nlisten = "tcp:1"\nhistory = 5'
        listen = '[chat] listen: "tcp:7070" → "tcp:1": needs a restart'
        self.assertEqual(
            self.reload(text), [listen, "[chat] history: 100 → 5: in force"]
        )
        self.assertEqual(
            self.logged(),
            [f"warn: {listen}", "info: [chat] history: 100 → 5: in force"],
        )
        for _ in range(2):
            self.assertEqual(self.reload(text), [listen])
        self.assertEqual(self.settings(), Settings(history=5))
        self.assertEqual(self.reload("[chat]\nhistory = 5"), [])

    def test_nothing(self) -> None:
        """
        When nothing has changed nobody is troubled.
        """
        chat = Taker()
        self.start("[chat]\nhistory = 5", chat=chat, mail=Taker())
        self.assertEqual(self.reload("# as before\n[chat]\nhistory = 5"), [])
        self.assertEqual(
            self.logged(), ["info: the settings were read again: nothing has changed"]
        )
        self.reload("[mail]\nhistory = 7\n[chat]\nhistory = 5")
        self.assertEqual(chat.taken, [])

    def test_who_takes_no_part(self) -> None:
        """
        Every change for a service that takes no part needs a restart.
        """
        self.start("", chat=Service(), mail=MultiService())
        self.assertEqual(
            self.reload("[chat]\nhistory = 5\n[mail.limits]\nsize = 9"),
            [
                "[chat] history: 100 → 5: needs a restart",
                "[mail] limits.size: 8 → 9: needs a restart",
            ],
        )
        self.assertEqual(self.settings(), Settings())

    def test_secrets(self) -> None:
        """
        Secrets are masked.
        """
        self.start('[chat]\ntoken = "old"', chat=Taker())
        report = self.reload('[chat]\ntoken = "new"')
        self.assertEqual(report, ["[chat] token: **** → ****: in force"])
        self.assertNotIn("new", str(self.logged()))
        self.assertEqual(self.settings().token, "new")

    def test_secrets_of_any_kind(self) -> None:
        """
        What is read from a variable or a file is a secret, even if it is a number;
        so it stays, also where it waits for a restart in the place of another.
        """
        self.environ = {"PIN": "31"}
        self.start('[chat]\nhistory = { env = "PIN" }', chat=Taker(naming("history")))
        for number in (6, 7):
            report = self.reload(f"[chat]\nhistory = {number}")
            self.assertEqual(report, ["[chat] history: **** → ****: needs a restart"])
        self.assertNotIn("31", str(self.logged()))

    def test_what_becomes_a_secret(self) -> None:
        """
        A key may come to be one.
        """
        self.environ = {"PIN": "31"}
        self.start("[chat]\nhistory = 5", chat=Taker())
        report = self.reload('[chat]\nhistory = { env = "PIN" }')
        self.assertEqual(report, ["[chat] history: **** → ****: in force"])

    def test_ours(self) -> None:
        """
        Of the daemon's own tables some keys can be changed.
        """
        self.start("", chat=Taker())
        report = self.reload(
            '[host]\nlog_level = "debug"\nlog = "json"\ndrain_delay = 1\n'
            "[web]\naccess_log = false\nlongest_body = 9\nidle = 9\n"
            "sockets = { ping = 9 }"
        )
        self.assertEqual(
            report,
            [
                '[host] log: "auto" → "json": needs a restart',
                '[host] log_level: "info" → "debug": in force',
                "[host] drain_delay: 0.0 → 1.0: in force",
                "[web] access_log: true → false: in force",
                "[web] longest_body: 1048576 → 9: in force",
                "[web] idle: 60.0 → 9.0: needs a restart",
                "[web] sockets.ping: 30.0 → 9.0: needs a restart",
            ],
        )
        (plan,) = self.applied
        self.assertEqual(plan.host, HostSettings(log_level="debug", drain_delay=1))
        self.assertEqual(plan.web, WebSettings(access_log=False, longest_body=9))

    def test_tables_that_come_and_go(self) -> None:
        """
        A service that is new or gone needs a restart, each time again.
        """
        self.start("", chat=Taker(), mail=Taker())
        self.names = ("chat", "news")
        for _ in range(2):
            self.assertEqual(
                self.reload("[chat]\n[news]"),
                [
                    "[mail] is gone: needs a restart",
                    "[news] is new: needs a restart",
                ],
            )
        self.assertEqual(len(self.daemon.plan.services), 2)

    def test_spelling(self) -> None:
        """
        A service may name a setting as it is spelled in Python or in the file,
        and a part of one.
        """
        for name in "dash_ed", "dash-ed":
            self.start("", chat=Taker(naming(name)))
            report = self.reload("[chat]\ndash-ed = 2\n")
            self.assertEqual(report, ["[chat] dash-ed: 1 → 2: needs a restart"])
        self.start("", chat=Taker(lambda settings: "limits.size"))
        self.assertEqual(
            self.reload("[chat.limits]\nsize = 9\nrate = 2"),
            [
                "[chat] limits.size: 8 → 9: needs a restart",
                "[chat] limits.rate: 1 → 2: in force",
            ],
        )
        self.assertEqual(self.settings().limits, Limits(8, 2))

    def test_new_as_a_whole(self) -> None:
        """
        Of a table that is new as a whole, nothing is in force if something cannot
        be.
        """
        self.start("", chat=Taker(naming("maybe.rate", "rooms.a.size")))
        self.assertEqual(
            self.reload("[chat.maybe]\nsize = 9\n[chat.rooms.a]\n[chat.rooms.b]"),
            [
                "[chat] rooms.a.size: not set → 8: needs a restart",
                "[chat] rooms.a.rate: not set → 1: needs a restart",
                "[chat] rooms.b.size: not set → 8: in force",
                "[chat] rooms.b.rate: not set → 1: in force",
                "[chat] maybe.size: not set → 9: needs a restart",
                "[chat] maybe.rate: not set → 1: needs a restart",
            ],
        )
        self.assertEqual(self.settings(), Settings(rooms={"b": Limits()}))

    def test_no_such_setting(self) -> None:
        """
        A service that names a setting it does not have is told on.
        """
        self.start("", chat=Taker(naming("lisen", "limits")))
        self.reload('[chat]\nlisten = "tcp:1"')
        self.assertEqual(
            self.logged()[0],
            "warn: chat says that lisen needs a restart, but there is no such setting",
        )


class TakingTests(ReloadTestCase):
    """
    A service may take its settings in any way.
    """

    def test_any_function(self) -> None:
        """
        At once, under C{inlineCallbacks}, in an C{async def}, or as a Deferred.
        """

        @inlineCallbacks
        def steps(settings: Any) -> Steps[list[str]]:
            name: str = yield succeed("listen")
            return [name]

        async def coroutine(settings: Any) -> set[str]:
            return {await succeed("listen")}

        def plain(settings: Any) -> tuple[str]:
            return ("listen",)

        for answer in steps, coroutine, plain, lambda _: succeed(("listen",)):
            self.start("", chat=Taker(answer))
            self.assertEqual(
                self.reload('[chat]\nlisten = "tcp:1"\nhistory = 1'),
                [
                    '[chat] listen: "tcp:7070" → "tcp:1": needs a restart',
                    "[chat] history: 100 → 1: in force",
                ],
            )

    def test_children(self) -> None:
        """
        The children of a group take part, one after another; what one of them
        cannot take is not in force.
        """
        group, inner = MultiService(), MultiService()
        one, two = Taker(), Taker(naming("history"))
        for child, parent in (
            (one, group),
            (Service(), group),
            (inner, group),
            (two, inner),
        ):
            child.setServiceParent(parent)
        self.start("", chat=group)
        report = self.reload("[chat]\nhistory = 1")
        self.assertEqual(report, ["[chat] history: 100 → 1: needs a restart"])
        self.assertEqual((len(one.taken), len(two.taken)), (1, 1))

    def test_a_group_of_its_own(self) -> None:
        """
        A group that takes part itself speaks for its children.
        """

        class Chat(MultiService):
            reconfigure = lambda self, settings: None  # noqa: E731

        chat, child = Chat(), Taker()
        child.setServiceParent(chat)
        self.start("", chat=chat)
        self.reload("[chat]\nhistory = 1")
        self.assertEqual(child.taken, [])

    def test_one_after_another(self) -> None:
        """
        A service has its settings before the next one gets its own.
        """
        waiting: Deferred[None] = Deferred()
        chat, mail = Taker(lambda settings: waiting), Taker()
        self.start("", chat=chat, mail=mail)
        self.text = "[chat]\nhistory = 1\n[mail]\nhistory = 2"
        reloading = self.reloader.reload()
        self.assertNoResult(reloading)
        self.assertEqual(mail.taken, [])
        waiting.callback(None)
        self.assertEqual(len(self.successResultOf(reloading)), 2)

    def test_two_reloads(self) -> None:
        """
        Two reloads at once are one after another; the second sees what the first
        has done.
        """
        waiting: Deferred[None] = Deferred()
        chat = Taker(lambda settings: waiting)
        self.start("", chat=chat)
        self.text = "[chat]\nhistory = 1"
        first = self.reloader.reload()
        self.text = "[chat]\nhistory = 2"
        second = self.reloader.reload()
        self.assertEqual([each.history for each in chat.taken], [1])
        waiting.callback(None)
        self.assertEqual(
            [str(self.successResultOf(each)[0]) for each in (first, second)],
            [
                "[chat] history: 100 → 1: in force",
                "[chat] history: 1 → 2: in force",
            ],
        )
        self.assertEqual([each.history for each in chat.taken], [1, 2])


class RefusalTests(ReloadTestCase):
    """
    What cannot be done changes nothing.
    """

    def assertUnchanged(self) -> None:
        self.assertEqual(self.applied, [])
        self.assertEqual(self.settings(), Settings())

    def test_a_bad_file(self) -> None:
        """
        A file with faults is told in the words of C{ropewalk check}.
        """
        chat = Taker()
        self.start("", chat=chat)
        self.assertEqual(self.reload("[chat]\nhistory = -1\ncolour = 5"), [])
        self.assertEqual(
            self.logged(),
            [
                (
                    "error: the settings were not reloaded; nothing changes:\n"
                    "f:2: [chat] history: expected an integer from 0 to 1000, got -1\n"
                    "f:3: [chat] colour: unknown key"
                )
            ],
        )
        self.assertEqual(chat.taken, [])
        self.assertUnchanged()

    def test_a_file_that_cannot_be_read(self) -> None:
        """
        Nor does anything else that happens while it is read.
        """
        self.start("", chat=Taker())
        self.text = None  # type: ignore[assignment]
        self.assertEqual(self.successResultOf(self.reloader.reload()), ())
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.assertUnchanged()

    def test_refused(self) -> None:
        """
        When one refuses, it and those that had taken theirs get the old ones
        back, the last first; those behind it are left alone.
        """
        order: list[str] = []

        def note(name: str) -> Taker:
            return Taker(lambda settings: order.append(f"{name} {settings.history}"))

        group = MultiService()
        one, two = note("one"), note("two")
        one.setServiceParent(group)
        two.setServiceParent(group)
        last = note("last")
        refusing = Taker(refuse)
        self.start("", chat=note("chat"), group=group, mail=refusing, last=last)
        text = "".join(f"[{name}]\nhistory = 5\n" for name in self.names)
        self.assertEqual(self.reload(text), [])
        self.assertEqual(
            order, ["chat 5", "one 5", "two 5", "two 100", "one 100", "chat 100"]
        )
        self.assertEqual([each.history for each in refusing.taken], [5, 100])
        self.assertEqual(
            self.logged(),
            [
                "error: mail refuses its settings: not these",
                "error: the settings were not reloaded: the old ones are in force",
            ],
        )
        self.assertUnchanged()

    def test_what_had_already_changed(self) -> None:
        """
        The old settings are those of the last reload that went well.
        """
        chat, mail = Taker(), Taker()
        self.start("", chat=chat, mail=mail)
        self.reload("[chat]\nhistory = 5")
        mail.answer = refuse
        self.reload("[chat]\nhistory = 6\n[mail]\nhistory = 6")
        self.assertEqual([each.history for each in chat.taken], [5, 6, 5])
        self.assertEqual(self.settings().history, 5)
        self.assertEqual(
            self.reload("[chat]\nhistory = 7"), ["[chat] history: 5 → 7: in force"]
        )

    def test_an_accident(self) -> None:
        """
        A service that fails has refused; the log has its traceback.
        """

        def fail(settings: Any) -> None:
            raise KeyError("history")

        chat = Taker()
        for answer in fail, lambda settings: 5:
            self.start("", chat=chat, mail=Taker(answer))
            self.assertEqual(
                self.reload("[chat]\nhistory = 5\n[mail]\nhistory = 5"), []
            )
            # Once for the new settings, and once for the old.
            self.assertEqual(len(self.flushLoggedErrors(KeyError, TypeError)), 2)
            self.assertEqual(chat.taken.pop(), Settings())
            self.assertUnchanged()

    def test_too_slow(self) -> None:
        """
        A service that never comes to an end with it has refused when the time for
        its start is over; the next reload is not kept waiting.
        """
        hanging: Deferred[None] = Deferred()
        chat = Taker(lambda settings: hanging)
        self.start("", chat=chat)
        self.text = "[chat]\nhistory = 5"
        reloading = self.reloader.reload()
        self.daemon.reactor.advance(29)
        self.assertNoResult(reloading)
        self.daemon.reactor.advance(1)
        self.assertEqual(self.successResultOf(reloading), ())
        self.assertEqual(
            self.logged()[0],
            "error: chat did not take its settings within 30 seconds",
        )
        chat.answer = lambda settings: None
        self.assertEqual(
            self.reload("[chat]\nhistory = 6"), ["[chat] history: 100 → 6: in force"]
        )

    def test_no_way_back(self) -> None:
        """
        A service that does not even take its old settings back is told on; the
        others get theirs.
        """
        chat, mail = Taker(), Taker()

        def only_new(settings: Any) -> None:
            if settings.history == 100:
                raise RopewalkError("no way back")

        mail.answer = only_new
        self.start("", chat=chat, mail=mail, last=Taker(refuse))
        text = "".join(f"[{name}]\nhistory = 5\n" for name in self.names)
        self.reload(text)
        self.assertEqual(
            self.logged(),
            [
                "error: last refuses its settings: not these",
                "error: mail refuses its settings: no way back",
                "error: mail did not take its old settings back: restart the daemon",
                "error: the settings were not reloaded: the old ones are in force",
            ],
        )
        self.assertEqual(chat.taken[-1].history, 100)

    def test_the_daemon_itself(self) -> None:
        """
        When the daemon cannot put a plan in force, the services get their old
        settings back.
        """
        chat = Taker()
        self.start("", chat=chat)

        def fail(plan: Plan) -> None:
            raise KeyError("x")

        self.reloader._apply = fail
        self.assertEqual(self.reload("[chat]\nhistory = 5"), [])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual([each.history for each in chat.taken], [5, 100])


class MixtureTests(ReloadTestCase):
    """
    What waits for a restart may leave a mixture in force.
    """

    shape = Ordered

    def test_a_mixture_that_makes_no_sense(self) -> None:
        """
        It is what there is, whatever the shape says of it.
        """
        self.start("[chat]\nlow = 1\nhigh = 2", chat=Taker(naming("high")))
        self.assertEqual(
            self.reload("[chat]\nlow = 5\nhigh = 6"),
            [
                "[chat] low: 1 → 5: in force",
                "[chat] high: 2 → 6: needs a restart",
            ],
        )
        self.assertEqual((self.settings().low, self.settings().high), (5, 2))


LIMITS = st.builds(Limits, st.integers(0, 2), st.integers(0, 2))
SETTINGS = st.builds(
    Settings,
    listen=st.sampled_from(["tcp:1", "tcp:2"]),
    history=st.integers(0, 2),
    token=st.sampled_from([Secret(""), Secret("a"), Secret("b")]),
    limits=LIMITS,
    labels=st.dictionaries(st.sampled_from(["a", "b c"]), st.sampled_from(["", "x"])),
    rooms=st.dictionaries(st.sampled_from(["a", "b.c"]), LIMITS, max_size=2),
    dash_ed=st.integers(0, 2),
    maybe=st.none() | LIMITS,
)
LATER = st.sets(
    st.sampled_from(
        "listen history token limits limits.size labels rooms rooms.a dash-ed maybe "
        "maybe.rate".split()
    )
)


class PropertyTests(SynchronousTestCase):
    """
    Whatever the settings, and whatever of them needs a restart.
    """

    def reload(self, in_force: Settings, new: Settings, later: set[str]) -> Any:
        """What is in force after a reload, and its report."""
        module = ModuleType("chat")
        module.Settings = Settings  # type: ignore[attr-defined]
        plugin = ServicePlugin("chat", "acme.chat")
        found = ServiceModule(plugin, module, ())

        def plan(settings: Settings) -> Plan:
            planned = Planned("chat", found, settings)
            return Plan(parse(""), HostSettings(), WebSettings(), (planned,))

        unit = Unit("chat", Taker(naming(*later)), 30, 10)
        host: Any = SimpleNamespace(plan=plan(in_force), units=[unit], reactor=Clock())
        plans: list[Plan] = []
        reloader = Reloader(host, lambda: plan(new), plans.append)
        report: tuple[Reloaded, ...] = self.successResultOf(reloader.reload())
        return plans[0].services[0].settings, report

    @settings(max_examples=30)
    @given(SETTINGS, SETTINGS, LATER)
    def test_there_and_back(self, a: Settings, b: Settings, later: set[str]) -> None:
        """
        From A to B and back to A, what is in force is A again.
        """
        between, _ = self.reload(a, b, later)
        after, report = self.reload(between, a, later)
        self.assertEqual(after, a)
        self.assertTrue(all(each.applied for each in report), report)

    @settings(max_examples=30)
    @given(SETTINGS, SETTINGS, LATER)
    def test_what_waits(self, a: Settings, b: Settings, later: set[str]) -> None:
        """
        Exactly what needs a restart is still different from the file, and a second
        reload says exactly that again.
        """
        between, report = self.reload(a, b, later)
        waiting = [each.change for each in report if not each.applied]
        self.assertEqual(list(differences(between, b)), waiting)
        same, again = self.reload(between, b, later)
        self.assertEqual(same, between)
        self.assertEqual([each.change for each in again], waiting)
        self.assertFalse(any(each.applied for each in again))
