"""
A service for tests that is in no file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.plugin import Found, ServiceModule, ServicePlugin
from ropewalk.run.configuration import Unset, make_plan
from ropewalk.run.daemon import Daemon
from ropewalk.run.host import Host
from ropewalk.run.systemd import Systemd
from ropewalk.settings import parse
from tests.daemonry import reactor


class Offering(ServicePlugin, frozen=True, eq=False):
    """
    A service that offers operations, and nothing else.

    :ivar make: Called with the host.
    """

    make: Any = None

    def load(self) -> ServiceModule:
        """Make its module, which is in no file."""
        module: Any = ModuleType(self.module, "Operations.")

        def make_service(settings: Unset, host: Any) -> Service:
            self.make(host)
            return Service()

        module.makeService = make_service
        return ServiceModule(self, module, ())


@inlineCallbacks
def begin(
    case: TestCase, make: Callable[[Any], None], settings: str = ""
) -> Steps[tuple[Host, str]]:
    """
    Start a daemon in this process, until a test ends.

    :param make: What its one service does with the host.
    :param settings: More of these.
    :return: fires with it, and with the address of its web site.
    """
    plugin = Offering("house", "house", make=make)
    web = '[web]\nlisten = ["tcp:0:interface=127.0.0.1"]\n'
    plan = make_plan(parse(f"[house]\n{settings}{web}"), Found((plugin,)))
    host = Host(plan, reactor, time.time)
    host.make()
    started: Deferred[str] = Deferred()
    daemon = Daemon(host, Systemd({}, 0, reactor), started.callback)
    daemon.privilegedStartService()
    daemon.startService()
    case.addCleanup(daemon.stopService)
    problem = yield started
    case.assertEqual(problem, "")
    return host, dict(host.places())["web"]
