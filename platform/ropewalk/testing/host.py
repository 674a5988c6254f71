# -*- test-case-name: tests.test_testing -*-
"""
A whole host in memory: the real plan, the real services, the real doors, the real
goodbyes. Only the wire is not real.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import FailTest

from ropewalk.awaiting import inlineCallbacks
from ropewalk.hub import MemoryHub
from ropewalk.interfaces import IHub, Steps
from ropewalk.net.endpoints import claim
from ropewalk.net.listening import Listener
from ropewalk.plugin import Found, ServicePlugin, discover
from ropewalk.run.configuration import Plan, make_plan
from ropewalk.run.daemon import Daemon
from ropewalk.run.host import Host
from ropewalk.run.logs import log_access
from ropewalk.run.reload import Reloaded, Reloader
from ropewalk.run.statuses import Status
from ropewalk.run.systemd import Systemd
from ropewalk.settings import parse
from ropewalk.testing.clients import HTTPClient, LineClient, SocketClient
from ropewalk.testing.reactor import MemoryEndpoint, MemoryReactor
from ropewalk.web.access import AccessLog

__all__ = ["LeftBehind", "MemoryHost", "Request", "Service"]

#: A service to start: the name of an installed one, or one that nobody declared
#: but the test: a :class:`~ropewalk.plugin.ServicePlugin`, or the module itself.
Service = str | ServicePlugin | ModuleType


class LeftBehind(FailTest):
    """
    The host was told to stop, and something in it would not.
    """


@frozen
class Request:
    """
    What a test asks to have run.

    :ivar services: The services.
    :ivar settings: TOML, or a file of it.
    :ivar environ: The environment's variables.
    :ivar values: The settings of the one service.
    """

    services: tuple[Service, ...]
    settings: str | Path
    environ: Mapping[str, str]
    values: Mapping[str, Any]

    def plan(self) -> Plan:
        """
        Read the settings, as the daemon does.

        :raise BadSettings: With everything that is wrong with them.
        """
        declared = [_declared(each) for each in self.services]
