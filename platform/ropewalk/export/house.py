# -*- test-case-name: tests.test_export -*-
"""
A daemon that is none: its services and one of its sites, for a server that listens and
ends by itself.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger, globalLogBeginner, globalLogPublisher

from ropewalk import __version__
from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import StartFailed
from ropewalk.export import guest
from ropewalk.export.wires import WireDoor
from ropewalk.interfaces import Steps
from ropewalk.net.endpoints import claim, claim_datagrams
from ropewalk.plugin import discover
from ropewalk.run.configuration import HostSettings, Plan, WebSettings, make_plan
from ropewalk.run.daemon import Daemon
from ropewalk.run.host import Host, Owned
from ropewalk.run.logs import LogWriter
from ropewalk.run.single import open_settings, with_file
from ropewalk.run.sites import WebSite
from ropewalk.run.systemd import Systemd
from ropewalk.web.access import AccessLog

__all__ = ["ExportHost", "House", "left_behind"]

_log = Logger(namespace="ropewalk.export")

_writer: LogWriter | None = None


@define
class ExportHost(Host):
    """
    A host one of whose sites another server serves.

    :param exported: The name of that site.
    :param opens: Whether what else listens does so.
    """

    exported: str = ""
    opens: bool = True

    def serves(self, site: WebSite) -> bool:
        """The exported site is there, whoever asks for it."""
        return site.name == self.exported or super().serves(site)

    def listener(
        self, owner: str, place: str, endpoint: str, factory: IProtocolFactory
    ) -> Any:
        """A listener; or where requests come in; or one that stays closed."""
        if owner != self.sites[self.exported].owner and self.opens:
            return super().listener(owner, place, endpoint, factory)
        door = self._door(owner, endpoint, factory)
        self.listeners.append(Owned(door, claim(endpoint), owner, place))
        return door

    def datagrams(
        self, owner: str, place: str, endpoint: str, protocol: DatagramProtocol
    ) -> Any:
        """The same for datagrams."""
        if self.opens:
            return super().datagrams(owner, place, endpoint, protocol)
        door = self._door(owner, endpoint, protocol)
        self.listeners.append(Owned(door, claim_datagrams(endpoint), owner, place))
        return door

    def _door(self, owner: str, endpoint: str, serves: Any) -> WireDoor:
        return WireDoor(endpoint, serves, owner, self.reactor, self._names)

    @property
    def door(self) -> WireDoor:
        """Where requests come in."""
        door, *_ = self.owned_by(self.sites[self.exported].owner)
        assert isinstance(door, WireDoor)
        return door


class House:
    """
    A site with its services, made of a settings file.

    :param settings: The file.
    :param site: The name of the site.
    :param opens: Whether what else listens does so.
    :param sockets: Whether the server can pass WebSockets on.
    :param server: What it speaks: ``"ASGI"`` or ``"WSGI"``.
    :ivar door: Where requests come in.
    :raise ropewalk.errors.BadSettings: When the settings cannot be used.
    :raise ropewalk.errors.StartFailed: When a service cannot be built.
    """

    def __init__(
        self,
        settings: str,
        site: str,
        opens: bool,
        sockets: bool,
        server: str,
        reactor: Any,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        _look_beside(settings)
        found = with_file(discover(), settings)
        plan = make_plan(open_settings(settings, environ), found)
        if site not in plan.sites():
            raise StartFailed("export", _no_site(plan, site))
        writer = begin_log(plan, guest.is_ours(reactor))
        access = AccessLog(writer.access, reactor, time.time)
        self.host = ExportHost(
            plan, reactor, time.time, access, exported=site, opens=opens
        )
        self.host.make()
        self.door = self.host.door
        self._sockets, self._server = sockets, server
        self._ended: Deferred[str] = Deferred()
        # What systemd is to be told is the server's to tell.
        systemd = Systemd({}, os.getpid(), reactor)
        self._daemon = Daemon(self.host, systemd, self._ended.callback)

    @inlineCallbacks
    def start(self) -> Steps[None]:
        """
        Start the services.

        :return: fires when all have started.
        :raise ropewalk.errors.StartFailed: When one has not.
        """
        path = self.host.plan.document.path
        _log.info(
            "ropewalk {version} with {settings}, in a server of {server}",
            version=__version__,
            settings=path,
            server=self._server,
        )
        for line in left_behind(self.host, self._sockets):
            _log.info("this does not travel: {what}", what=line)
        self._daemon.privilegedStartService()
        self._daemon.startService()
        problem: str = yield self._ended
        if problem:
            raise self._daemon.failed or StartFailed("export", problem)

    def goodbye(self, signal: str) -> None:
        """The server is about to stop: end what would not end by itself."""
        _log.info("{signal}: saying goodbye", signal=signal)
        self.host.state = "draining"
        self.host.sites[self.host.exported].site.drain()
        self.door.goodbye("shutting down")

    def stop(self) -> Deferred[None]:
        """
        Stop the services.

        :return: fires when they have, or their deadlines are over.
        """
        return self._daemon.stopService()


def left_behind(host: ExportHost, sockets: bool) -> Iterator[str]:
    """
    What the settings ask for and another server does otherwise, or not at all.

    :param sockets: Whether it passes WebSockets on.
    """
    site = host.sites[host.exported]
    told = _set_keys(host, site)
    for owned in host.listeners:
        where = owned.listener.description
        if owned.owner == site.owner:
            if "listen" not in told:
                continue
            yield f"[{site.table}] listen = {where!r}: the server says where it listens"
        elif not host.opens:
            yield f"{where}, where {owned.owner} would listen: it stays closed"
    for key, what in _TOLD_BY_THE_SERVER.items():
        if key in told:
            yield f"{key}: {what}, the server says"
    if not sockets:
        for mount in site.mounts:
            if mount.kind == "socket":
                yield f"WebSockets at {mount.path}: there are none by WSGI"


#: Settings that have no effect elsewhere.
_TOLD_BY_THE_SERVER = {
    "idle": "how long connections last",
    "limits.connections": "how many connections there may be",
    "drain_delay": "when it closes its listeners",
}


def _set_keys(host: ExportHost, site: WebSite) -> set[str]:
    """The keys that somebody has set: of the site, and of ``[host]``."""
    document = host.plan.document
    before = f"sites.{site.name}." if site.name else ""
    shown = [*document.show("web", WebSettings), *document.show("host", HostSettings)]
    return {
        each.name.removeprefix(before) for each in shown if each.origin != "default"
    }


def _no_site(plan: Plan, site: str) -> str:
    others = ", ".join(repr(each) for each in plan.sites() if each) or "no other"
    return (
        f"there is no web site {site!r} in {plan.document.path}: there is the default "
        f"one, {''!r}, and {others}"
    )


def _look_beside(settings: str) -> None:
    """Find the plugins of the project that a settings file belongs to."""
    directory = os.path.dirname(os.path.abspath(settings))
    if directory not in sys.path:
        sys.path.insert(0, directory)


def begin_log(plan: Plan, first: bool = True) -> LogWriter:
    """
    Log as the daemon would in the foreground, but on standard error: there the servers
    log, too.

    :param first: Whether nobody else has Twisted log in this process.
    """
    global _writer
    if _writer is None:
        _writer = LogWriter.of(sys.stderr, plan.host.log, plan.host.log_level)
        if first:
            globalLogBeginner.beginLoggingTo([_writer], redirectStandardIO=False)
        else:
            globalLogPublisher.addObserver(_writer)
    return _writer
