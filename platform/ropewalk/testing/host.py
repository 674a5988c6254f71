# -*- test-case-name: tests.test_testing -*-
"""
A whole host in memory: the real plan, the real services, the real doors, the real
goodbyes. Only the wire is not real.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import evolve
from msgspec import Struct
from msgspec.structs import replace
from twisted.application.service import MultiService
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import FailTest

import ropewalk.testing.chosen  # noqa: F401
from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadSettings, Fault, SettingFault, StartFailed
from ropewalk.interfaces import Caller, IHub, Steps
from ropewalk.net.endpoints import claim
from ropewalk.operations import Operations
from ropewalk.plugin import RESERVED, Found, ServiceModule, ServicePlugin, discover
from ropewalk.run.configuration import Plan, make_plan
from ropewalk.run.daemon import Daemon
from ropewalk.run.host import Host, Owned
from ropewalk.run.logs import log_access
from ropewalk.run.reload import Reloaded, Reloader
from ropewalk.run.single import with_file
from ropewalk.run.statuses import Status
from ropewalk.run.systemd import Systemd
from ropewalk.schema import to_plain
from ropewalk.settings import parse
from ropewalk.testing.clients import (
    HTTPClient,
    LineClient,
    SocketClient,
    trusting,
)
from ropewalk.testing.datagrams import DatagramClient
from ropewalk.testing.reactor import MemoryEndpoint, MemoryReactor
from ropewalk.web.access import AccessLog

__all__ = ["LeftBehind", "MemoryHost", "Served", "Service", "Wanted", "file_plugin"]

#: A service to run: the name of an installed one, or one that need not be
#: installed: a :class:`~ropewalk.plugin.ServicePlugin`, or a module that has
#: ``makeService``, whose table is the last word of its name.
Service = str | ServicePlugin | ModuleType


class Served(ServicePlugin, frozen=True, eq=False):
    """
    A service that is nothing but what it serves.

    :ivar app: What ``host.web.mount`` takes, for ``/``.
    """

    app: Any = None

    def load(self) -> ServiceModule:
        """Make its module, which is in no file."""
        module: Any = ModuleType(self.module, "What the test serves.")
        module.makeService = self._make
        return ServiceModule(self, module, ())

    def _make(self, _: object, host: Any) -> MultiService:
        host.web.mount("/", self.app)
        return MultiService()


def file_plugin(path: str) -> ServicePlugin:
    """
    The service in a Python file, as ``ropewalk run`` finds it.

    :raise BadSettings: When there is no such file.
    """
    for plugin in with_file(Found(()), path).plugins:
        return plugin
    problem = Fault("", "no such file, or its name does not end with .py")
    raise BadSettings((SettingFault(path, "", problem),))


class LeftBehind(FailTest):
    """
    The host was told to stop, and something would not, or is still there.
    """


class Wanted(Struct, frozen=True):
    """
    What a test asks to have run.

    :ivar services: The services.
    :ivar settings: TOML, or the file it is in.
    :ivar environ: The environment's variables.
    :ivar values: Settings of the one service.
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
        name, directory, text = "the test's settings", "", self.settings
        if isinstance(text, Path):
            name, directory = os.fspath(text), os.fspath(text.parent)
            text = text.read_text("utf-8")
        tables = parse(text, name, self.environ, directory).tables
        names = [_name(each) for each in self.services]
        if self.values and (len(names) != 1 or names[0] in tables):
            raise TypeError(
                f"whose settings are {', '.join(self.values)}? Give them as TOML, "
                "or name one service that has no table there"
            )
        for service in names:
            if service not in tables:
                text += f"\n[{service}]\n{_toml(self.values)}"
        document = parse(text, name, self.environ, directory)
        return make_plan(document, self._found(document.tables))

    def _found(self, tables: Sequence[str]) -> Found:
        """What the test brings, and what is installed if that is not enough."""
        brought = {
            _name(each): _plugin(each)
            for each in self.services
            if not isinstance(each, str)
        }
        if RESERVED.union(brought).issuperset(tables):
            return Found(tuple(brought.values()))
        others = (each for each in discover().plugins if each.name not in brought)
        return Found((*brought.values(), *others))


class MemoryHost:
    """
    A daemon that runs in a test. :meth:`TestCase.start
    <ropewalk.testing.TestCase.start>` makes it, starts it, and stops it when the
    test is over.

    :ivar clock: Where its time comes from, and where it listens: the test's.
    """

    def __init__(self, wanted: Wanted, clock: MemoryReactor) -> None:
        self.clock = clock
        self._wanted = wanted
        self._host = Host(
            wanted.plan(), clock, clock.now, AccessLog(log_access, clock, clock.now)
        )
        self._started: Deferred[str] = Deferred()
        self._stopped_by_test = False
        self._doors: dict[Owned, _Door] = {}
        self._host.make()
        self._daemon = Daemon(self._host, Systemd({}, 0, clock), self._started.callback)
        clock.addSystemEventTrigger("before", "shutdown", self._daemon.stopService)

    # The ways in.

    def http(
        self, where: str | None = None, *, peer: str = "127.0.0.1", cut: int = 0
    ) -> HTTPClient:
        """
        Somebody who speaks HTTP, keeps cookies and follows no redirects.

        :param where: Which listener: ``"tcp:7070"``, whatever else its endpoint
            string says; or the name of the service whose only one it is. The site
            ``[web.sites.internal]`` is the service ``"web.internal"``. Unless it is
            said, the first one of a web site.
        :param peer: The address to come from.
        :param cut: Bytes of the longest piece in which anything arrives, in
            both directions; 0 for as much as there is.
        """
        door = self._door(where)
        endpoint = door.endpoint(self.clock, peer, cut)
        return HTTPClient(self.clock, endpoint, door.origin("http"))

    def socket(
        self,
        path: str,
        where: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        protocols: Sequence[str] = (),
        peer: str = "127.0.0.1",
        cut: int = 0,
    ) -> SocketClient:
        """
        Somebody who speaks WebSocket, connecting from now on.

        :param path: ``"/live"``.
        :param headers: More headers for the handshake: ``{"Origin": …}``.
        :param protocols: The subprotocols to offer.

        The others are as for :meth:`http`.
        """
        door = self._door(where)
        endpoint = door.endpoint(self.clock, peer, cut)
        url = door.origin("ws") + path
        return SocketClient(self.clock, endpoint, url, headers or {}, protocols)

    def lines(self, where: str, *, peer: str = "127.0.0.1", cut: int = 0) -> LineClient:
        """
        Somebody who types lines, connecting from now on. The parameters are as
        for :meth:`http`.
        """
        return LineClient(self.clock, self.endpoint(where, peer=peer, cut=cut), where)

    def datagrams(
        self, where: str, *, peer: str = "127.0.0.1", proof: bool = True
    ) -> DatagramClient:
        """
        Somebody who sends datagrams.

        :param where: Where to: ``"udp:7072"``, or the name of the service that takes
            datagrams at one place only.
        :param peer: The address to come from.
        :param proof: Whether they prove to be there, as
            :mod:`ropewalk.wire.proofs` has it.
        """
        address: Any = self._find(where, datagrams=True).listener.address
        return DatagramClient(self.clock, (address.host, address.port), peer, proof)

    def endpoint(
        self, where: str, *, peer: str = "127.0.0.1", cut: int = 0
    ) -> IStreamClientEndpoint:
        """
        Where to connect a protocol of your own to. Where TLS is spoken it is
        spoken here, too, and any certificate is believed. The parameters are as
        for :meth:`http`.
        """
        return self._door(where).endpoint(self.clock, peer, cut)

    def call(self, name: str, /, **arguments: Any) -> Deferred[Any]:
        """
        Call an operation, as somebody on this machine whom nobody knows:
        ``host.call("chat.say", room="lobby", …)``. See :attr:`operations` for whoever
        else.

        :param arguments: What JSON can say; typed values are taken as what they are
            written as.
        :return: fires with the result, as a client would have it of JSON; or fails,
            as :meth:`ropewalk.operations.Operations.call` does. Cancelling it cancels
            the call.
        """
        caller = Caller("test", "127.0.0.1")
        plain: dict[str, Any] = to_plain(arguments)
        return self.operations.call(name, plain, caller, write=to_plain)

    @property
    def operations(self) -> Operations:
        """What can be called."""
        return self._host.operations

    @property
    def hub(self) -> IHub:
        """The channels, as every service sees them."""
        return self._host.hub

    # Its life.

    @inlineCallbacks
    def start(self) -> Steps[None]:
        """
        Start every service and let people in.

        :raise StartFailed: When one does not start. As that would have ended
            the process, every other host of the test stops as well.
        """
        self._daemon.privilegedStartService()
        self._daemon.startService()
        problem = yield self.clock.patiently(self._started, self._still_starting)
        if problem:
            yield self.clock.settle()
            raise self._daemon.failed or StartFailed("host", problem)
        for owned in self._host.listeners:
            if owned.claim.kind != "udp":
                self._doors[owned] = _Door.of(owned)

    @inlineCallbacks
    def stop(self) -> Steps[Status]:
        """
        Stop as the daemon does on SIGTERM, goodbyes and all. What takes its
        time takes the clock's.

        :return: fires when it has stopped, with how the process would have
            ended.
        """
        self._stopped_by_test = True
        stopping = self._daemon.stopService()
        yield self.clock.patiently(stopping, lambda: "the host has not stopped yet")
        yield self.clock.settle()
        return self._daemon.status

    def reload(
        self, settings: str | Path | None = None, **values: Any
    ) -> Deferred[tuple[Reloaded, ...]]:
        """
        Read other settings as the daemon does on SIGHUP.

        :param settings: TOML, or the file it is in; unless it is said, what the
            host was started with.
        :param values: The settings of the one service, in place of those it was
            started with.
        :return: fires with what became of each change.
        """
        wanted = replace(self._wanted, values=values)
        if settings is not None:
            wanted = replace(wanted, settings=settings)
        return Reloader(self._host, wanted.plan, self._host.reconfigure).reload()

    @inlineCallbacks
    def end(self) -> Steps[None]:
        """
        Stop if that is still to be done, however much of the clock it takes.

        :raise LeftBehind: When something would not stop.
        """
        with _complaints() as complaints:
            stopping = self._daemon.stopService()
            yield self.clock.settle()
            if not stopping.called:
                yield self.clock.advance(self._longest())
            yield self.clock.patiently(stopping, lambda: "the host does not stop")
        if self._daemon.status is Status.LEFT_BEHIND and not self._stopped_by_test:
            raise LeftBehind("; ".join(complaints))

    def _longest(self) -> float:
        """Seconds after which the daemon gives up stopping."""
        patience = sum(2 * unit.stop_within for unit in self._host.units)
        return self._host.plan.host.drain_delay + patience + 1

    def _still_starting(self) -> str:
        begun = [unit.name for unit in self._host.units if unit.service.running]
        return f"the service {begun[-1]!r} is still starting" if begun else "no start"

    def _door(self, where: str | None) -> _Door:
        return self._doors[self._find(where)]

    def _find(self, where: str | None, datagrams: bool = False) -> Owned:
        there = [
            each
            for each in self._host.listeners
            if (each.claim.kind == "udp") is datagrams
        ]
        if where is None:
            sites = self._host.sites.owners
            named = [each for each in there if each.owner in sites][:1]
        elif ":" in where:
            named = [each for each in there if each.claim.clashes(claim(where))]
        else:
            named = [each for each in there if each.owner == where]
        if len(named) == 1:
            return named[0]
        problem = "several listeners are meant" if named else "nobody listens"
        told = [f"{each.listener.description} of {each.owner}" for each in there]
        raise LookupError(f"{problem} at {where or 'the web site'}; there are {told}")


class _Door(Struct, frozen=True):
    """
    A listener, from outside.
    """

    address: Any
    secure: bool

    @classmethod
    def of(cls, owned: Owned) -> _Door:
        address: Any = owned.listener.address
        if not isinstance(address, UNIXAddress):
            # Who listens everywhere is called at one place.
            one = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
            address = evolve(address, host=one)
        return cls(address, owned.listener.description.startswith(("ssl:", "tls:")))

    def endpoint(
        self, reactor: MemoryReactor, peer: str, cut: int
    ) -> IStreamClientEndpoint:
        endpoint = MemoryEndpoint(reactor, self.address, peer, cut)
        return trusting(endpoint) if self.secure else endpoint

    def origin(self, scheme: str) -> str:
        """
        :param scheme: ``"http"`` or ``"ws"``.
        """
        scheme += "s" if self.secure else ""
        if isinstance(self.address, UNIXAddress):
            return f"{scheme}://localhost"
        # treq cannot read the URL of an IPv6 address.
        host = "localhost" if ":" in self.address.host else self.address.host
        return f"{scheme}://{host}:{self.address.port}"


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What is logged as an error meanwhile."""
    found: list[str] = []

    def notice(event: LogEvent) -> None:
        if event.get("log_level", LogLevel.info) >= LogLevel.error:
            found.append(formatEvent(event))

    observer: Any = notice
    globalLogPublisher.addObserver(observer)
    try:
        yield found
    finally:
        globalLogPublisher.removeObserver(observer)


def _name(service: Service) -> str:
    return service if isinstance(service, str) else _plugin(service).name


def _plugin(service: Service) -> ServicePlugin:
    if isinstance(service, ModuleType):
        name = service.__name__
        return ServicePlugin(name.rpartition(".")[2], name, place=str(service.__file__))
    assert isinstance(service, ServicePlugin), service
    return service


def _toml(values: Mapping[str, Any]) -> str:
    """A table's lines."""
    return "".join(
        f"{json.dumps(key)} = {_literal(value)}\n" for key, value in values.items()
    )


def _literal(value: Any) -> str:
    """A value in TOML, which has JSON's spelling of all but tables."""
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(key)} = {_literal(each)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if not isinstance(value, str | int | float):
        raise TypeError(f"settings cannot say {value!r}")
    return json.dumps(value)
