# -*- test-case-name: tests.test_host -*-
"""
What the services of a daemon share, and how each of them sees it.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from klein import Klein
from twisted.application.service import MultiService, Service
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from zope.interface.verify import verifyObject

from ropewalk.errors import StartFailed
from ropewalk.interfaces import IHealth, IHost, IHub, IOperations, IWeb
from ropewalk.plugin import ServiceModule, ServicePlugin
from ropewalk.run.configuration import (
    HostSettings,
    Plan,
    Planned,
    Unset,
    WebSettings,
)
from ropewalk.run.host import Host, PluginHost
from ropewalk.settings import parse
from ropewalk.telemetry import work


def planned(name: str, make: Any) -> Planned:
    """A service whose module has just this ``makeService``."""
    module = ModuleType(name, f"The service ``{name}``.\n\nAnd more.")
    module.makeService = make  # type: ignore[attr-defined]
    plugin = ServicePlugin(name, name)
    return Planned(name, ServiceModule(plugin, module, ()), Unset())


class HostTests(SynchronousTestCase):
    """
    Services are built, and may not get in each other's way.
    """

    def host(self, *makes: Any, settings: str = "") -> Host:
        """A host of services named a, b, c …"""
        services = tuple(
            planned(name, make) for name, make in zip("abcd", makes, strict=False)
        )
        document = parse(settings)
        web = document.read("web", WebSettings)
        plan = Plan(document, document.read("host", HostSettings), web, services)
        return Host(plan, MemoryReactorClock(), lambda: 0.0)

    def refusal(self, *makes: Any, **how: Any) -> str:
        """Why a host cannot be made."""
        error = self.assertRaises(StartFailed, self.host(*makes, **how).make)
        return str(error)

    def test_interfaces(self) -> None:
        """
        What a plugin sees is what the interfaces promise.
        """
        seen = PluginHost("a", self.host())
        verifyObject(IHost, seen)
        verifyObject(IWeb, seen.web)
        verifyObject(IHub, seen.hub)
        verifyObject(IHealth, seen.health)
        verifyObject(IOperations, seen.operations)

    def test_units(self) -> None:
        """
        Each service is made in its turn, as its own work, with the deadlines
        that are set for it.
        """
        made: list[tuple[str | None, str]] = []

        def make(settings: Unset, host: Any) -> Service:
            made.append((work.get().plugin, host.name))
            return Service()

        host = self.host(
            make,
            make,
            settings="[host]\nstart_deadline = 7\n[host.deadlines.b]\nstop = 1\n",
        )
        host.make()
        self.assertEqual(made, [("a", "a"), ("b", "b")])
        self.assertEqual(
            [(unit.name, unit.start_within, unit.stop_within) for unit in host.units],
            [("a", 7.0, 10.0), ("b", 7.0, 1.0)],
        )

    def test_web_where_it_is_used(self) -> None:
        """
        There is a site where somebody mounts something, or the settings ask for
        one; otherwise there is none.
        """

        def mounts(settings: Unset, host: Any) -> Service:
            host.web.mount("/a", Klein())
            return Service()

        used, asked, unused = (
            self.host(mounts),
            self.host(settings="[web]"),
            self.host(),
        )
        for host in (used, asked, unused):
            host.make()
        names = [[unit.name for unit in host.units] for host in (used, asked, unused)]
        self.assertEqual(names, [["a", "web"], ["web"], []])
        self.assertEqual([mount.path for mount in used.mounts], ["/a", "/health"])

    def test_no_service(self) -> None:
        """
        A ``makeService`` that returns no service is told what to return.
        """
        said = self.refusal(lambda settings, host: None)
        self.assertIn("makeService in a returned None, which is not an IService", said)

    def test_async(self) -> None:
        """
        Nor may it be ``async``: nothing is waited for while services are made.
        """

        async def make(settings: Unset, host: Any) -> Service:
            return Service()

        self.assertIn("makeService in a is async; make it a plain", self.refusal(make))
        self.assertEqual(self.flushWarnings(), [])

    def test_no_place_to_listen(self) -> None:
        """
        What cannot listen is told when the listener is made, with its string.
        """

        def make(settings: Unset, host: Any) -> Service:
            listener: Service = host.listener("7070", Factory())
            return listener

        self.assertIn("cannot listen at '7070': ", self.refusal(make))

    def test_makes_trouble(self) -> None:
        """
        One that raises is named, with the traceback.
        """

        def make(settings: Unset, host: Any) -> Service:
            raise ZeroDivisionError("no")

        said = self.refusal(make)
        self.assertIn("service 'a' did not start: makeService in a failed: no", said)
        self.assertIn("ZeroDivisionError", said)
        self.assertIn("test_host.py", said)

    def test_one_path_twice(self) -> None:
        """
        Two services that mount at one path are both named, and where they do.
        """

        def make(settings: Unset, host: Any) -> Service:
            host.web.mount("/a", Resource())
            return Service()

        def other(settings: Unset, host: Any) -> Service:
            host.web.socket("/a", object)
            return Service()

        said = self.refusal(make, other)
        self.assertRegex(said, r"the path '/a' is claimed twice")
        self.assertRegex(said, r"by service 'a' \(.*test_host\.py:\d+\)")
        self.assertRegex(said, r"by service 'b' \(.*test_host\.py:\d+\)")

    def test_nothing_to_mount(self) -> None:
        """
        What cannot be mounted is refused where it is mounted.
        """

        def make(settings: Unset, host: Any) -> Service:
            host.web.mount("/a", "a string")
            return Service()

        said = self.refusal(make)
        self.assertIn("cannot mount 'a string' at '/a'", said)
        self.assertRegex(said, r"test_host\.py:\d+")

    def test_one_port_twice(self) -> None:
        """
        Two listeners at one address are both named, with the place of each; a
        site's is its line in the settings.
        """

        def make(settings: Unset, host: Any) -> MultiService:
            group = MultiService()
            listener = host.listener("tcp:8080", Factory())
            listener.setServiceParent(group)
            return group

        said = self.refusal(make, settings='[web]\nlisten = ["tcp:8080"]\n')
        self.assertIn("service 'web' did not start: TCP port 8080", said)
        self.assertRegex(said, r"by service 'a' \(.*test_host\.py:\d+\)")
        self.assertIn("by service 'web' (ropewalk.toml:2)", said)

    def test_home(self) -> None:
        """
        The page at ``/`` tells of each service what its module says of itself.
        """

        def make(settings: Unset, host: Any) -> Service:
            host.web.mount("/a", Klein())
            host.web.socket("/live", object)
            return Service()

        host = self.host(make)
        host.make()
        entries = host._entries()
        self.assertEqual(
            [(entry.kind, entry.where, entry.what) for entry in entries[:2]],
            [
                ("Pages", "/a", "The service a."),
                ("WebSockets", "/live", "The service a."),
            ],
        )
