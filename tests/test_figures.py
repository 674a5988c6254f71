# -*- test-case-name: tests.test_figures -*-
"""
What a daemon has counted, and who may see it.
"""

from __future__ import annotations

import json
import tomllib
from typing import Any

from klein import Klein
from twisted.application.service import Service
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ropewalk.errors import StartFailed
from ropewalk.hub import ANYONE, ChannelRule, Mailbox
from ropewalk.interfaces import Caller, IAuthoriser
from ropewalk.operations import operation
from ropewalk.run.configuration import HostSettings, HubSettings, Plan, WebSettings
from ropewalk.run.host import Host
from ropewalk.schema import to_plain
from ropewalk.settings import parse
from ropewalk.web.figures import LONG, REQUIREMENT, FigurePages
from tests.daemonry import ROOT
from tests.test_host import planned
from tests.visiting import Place, Visit, blocks, request


@implementer(IAuthoriser)
class Porter:
    """
    Knows who may see figures.
    """

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, str]] = []

    def permits(self, caller: Caller, requirement: str, what: str) -> Any:
        self.asked.append((caller.address, requirement, what))
        return self.answer


class WhoTests(SynchronousTestCase):
    """
    Nobody sees figures for whom they are not.
    """

    def setUp(self) -> None:
        self.read = 0

    def visit(self, answer: Any = False, address: str = "") -> Visit:
        """Somebody asks, from an address of another machine unless it is given."""

        def count() -> int:
            self.read += 1
            return self.read

        place = Place.of()
        self.porter = Porter(answer)
        pages = FigurePages({"state": count, "channels": count}, self.porter)
        place.mount("/figures", pages.routes, "web")
        visit = place.visit()
        if address:
            visit.wire.peerAddr = IPv4Address("TCP", address, 5555)
            visit.wire.hostAddr = IPv4Address("TCP", address, 8080)
        return visit

    def test_strangers(self) -> None:
        """
        Strangers do not, whichever they ask for, and nothing is read for them.
        """
        for path in ("/figures", "/figures/", "/figures/channels", "/figures/odd"):
            answer = self.visit().ask(path, "GET", "Host: localhost")
            self.assertEqual(answer.status, 403)
            self.assertIn("see what this daemon has counted", answer.text)
        self.assertEqual(self.read, 0)

    def test_this_machine(self) -> None:
        """
        Who sits at this machine does, and nobody is asked about them.
        """
        for path in ("/figures", "/figures/"):
            answer = self.visit(address="127.0.0.1").ask(path, "GET", "Host: localhost")
            self.assertEqual((answer.status, answer.json), (200, {"state": self.read}))
            self.assertEqual(answer.headers["content-type"], "application/json")
            self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual(self.porter.asked, [])

    def test_a_proxy(self) -> None:
        """
        A proxy of this machine speaks for others, and so may a page whose name was made
        to lead here.
        """
        for host, header in (
            ("localhost", "X-Forwarded-For: 192.0.2.1"),
            ("localhost", "Via: 1.1 proxy"),
            ("example.org", "Accept: */*"),
        ):
            visit = self.visit(address="127.0.0.1")
            answer = visit.ask("/figures", "GET", f"Host: {host}", header)
            self.assertEqual(answer.status, 403)

    def test_allowed(self) -> None:
        """
        The authoriser may let others see them, now or later.
        """
        later: Deferred[bool] = Deferred()
        for answer in (True, succeed(True), later):
            visit = self.visit(answer)
            visit.send(request("/figures/channels"))
            if answer is later:
                self.assertEqual(visit.wire.value(), b"")
                later.callback(True)
            self.assertEqual(visit.answer().json, self.read)
            asked = ("10.9.8.7", REQUIREMENT, "figures")
            self.assertEqual(self.porter.asked, [asked])

    def test_no_such(self) -> None:
        """
        Who may see them is told which there are.
        """
        answer = self.visit(True).ask("/figures/chanels")
        self.assertEqual(answer.status, 404)
        self.assertIn("there are state, channels", answer.text)


class Rooms:
    """Has an operation."""

    @operation
    def say(self, text: str) -> str:
        """Say it."""
        return text


SITE = '[web.sites.internal]\nlisten = ["tcp:8090:interface=127.0.0.1"]\n'


class HostTests(SynchronousTestCase):
    """
    What there is to see of a daemon.
    """

    def host(self, settings: str, make: Any = lambda settings, host: Service()) -> Host:
        document = parse(settings)
        web = document.read("web", WebSettings)
        services = (planned("chat", make),)
        plan = Plan(document, document.read("host", HostSettings), web, services)
        made = Host(plan, MemoryReactorClock(), lambda: 0.0)
        made.make()
        return made

    def test_nowhere(self) -> None:
        """
        Unless the settings say where, there are no figures.
        """
        host = self.host("[web]\n" + SITE)
        for site in host.sites.values():
            self.assertEqual(site.settings.figures, "")
            self.assertNotIn("/figures", site.mounts)

    def test_a_site_of_its_own(self) -> None:
        """
        They are on the site that says so, and on no other, where its list has them.
        """
        host = self.host(SITE + 'figures = "/figures"\n')
        self.assertNotIn("/figures", host.mounts)
        self.assertIn("/figures", host.sites["internal"].mounts)
        told = [each for each in host._entries("internal") if each.kind == "Figures"]
        self.assertEqual([each.where for each in told], ["/figures"])

    def test_taken(self) -> None:
        """
        Where a service has a page of its own, the daemon does not start.
        """

        def make(settings: Any, host: Any) -> Service:
            pages = Klein()
            pages.route("/")(lambda request: b"")
            host.web.mount("/figures", pages)
            return Service()

        with self.assertRaises(StartFailed) as caught:
            self.host('[web]\nfigures = "/figures"\n', make)
        self.assertIn("/figures", str(caught.exception))

    def test_nothing_yet(self) -> None:
        """
        A daemon without channels and operations has none of these figures, and makes
        none to show them.
        """
        host = self.host("[web]\n")
        told = {name: read() for name, read in host.figures().items()}
        self.assertEqual(told["state"], "starting")
        self.assertEqual((told["hub"], told["channels"]), (None, {}))
        self.assertEqual(told["operations"], {})
        self.assertIsNone(host._hub)

    def test_figures(self) -> None:
        """
        What channels, operations and listeners have counted, as JSON says it.
        """

        def make(settings: Any, host: Any) -> Service:
            host.operations.add("chat", Rooms())
            host.hub.declare("rooms.*", ChannelRule(publish=ANYONE))
            return Service()

        host = self.host("[web]\n", make)
        box = Mailbox(limit=1, when_full="oldest")
        host.hub.subscribe("rooms.lobby", box)
        for number in range(3):
            host.hub.publish("rooms.lobby", number)
        host.operations.call("chat.say", {"text": "hi"}, Caller("test"))
        told = json.loads(
            json.dumps(
                to_plain({name: read() for name, read in host.figures().items()})
            )
        )
        self.assertEqual(told["hub"]["published"], 3)
        self.assertEqual((told["hub"]["dropped"], told["hub"]["channels"]), (2, 1))
        self.assertEqual(told["channels"]["rooms.lobby"]["dropped"], 2)
        self.assertEqual(told["operations"]["chat.say"]["calls"], 1)
        (listener,) = told["listeners"]
        self.assertEqual((listener["service"], listener["connections"]), ("web", 0))


class PageTests(SynchronousTestCase):
    """
    ``docs/figures.rst`` is true.
    """

    def test_settings(self) -> None:
        """
        What it shows to be written in the file can be.
        """
        (text,) = blocks("figures", "toml")
        site = parse(text).read("web", WebSettings).sites["internal"]
        self.assertEqual(site.figures, "/figures")

    def test_answers(self) -> None:
        """
        The answers that it shows have just the keys that there are.
        """
        host = HostTests().host("[web]\n")
        host.hub.declare("**", ChannelRule())
        host.hub.publish("rooms.lobby", 1)
        figures = host.figures()
        whole, channels = (json.loads(text) for text in blocks("figures", "json"))
        self.assertEqual([*whole], [name for name in figures if name != LONG])
        self.assertEqual([*whole["hub"]], [*figures["hub"]()])
        self.assertEqual([*whole["listeners"][0]], [*figures["listeners"]()[0]])
        there = to_plain(figures["channels"]())
        self.assertEqual([*channels["rooms.lobby"]], [*there["rooms.lobby"]])

    def test_every_figure(self) -> None:
        """
        It says of each figure of the channels what it is.
        """
        page = (ROOT / "docs" / "figures.rst").read_text("utf-8")
        whole, channels = (json.loads(text) for text in blocks("figures", "json"))
        for name in {*whole["hub"], *channels["rooms.lobby"]}:
            self.assertIn(f"``{name}``", page)

    def test_bounds(self) -> None:
        """
        What ``docs/hub.rst`` shows of ``[hub]`` is all there is, with the defaults.
        """
        (text,) = blocks("hub", "toml")
        self.assertEqual(tomllib.loads(text)["hub"], to_plain(HubSettings()))
