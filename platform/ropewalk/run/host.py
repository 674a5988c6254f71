# -*- test-case-name: tests.test_host -*-
"""
One process's shared parts, and what each plugin sees of them.

A host stops at ``makeService``: a plugin takes what it needs and passes it on.
"""

from __future__ import annotations

import traceback
from asyncio import iscoroutine
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field, frozen
from twisted.application.service import IService, MultiService
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger
from zope.interface import implementer

from ropewalk.errors import BadPlugin, Conflict, RopewalkError, StartFailed
from ropewalk.interfaces import IHealth, IHost, IHub, IWeb
from ropewalk.net.endpoints import Claim, claim
from ropewalk.net.listening import Listener, namer
from ropewalk.plugin import caller
from ropewalk.run.configuration import Plan, Planned, WebSettings
from ropewalk.run.lifecycle import Unit
from ropewalk.telemetry import Health, working
from ropewalk.web.access import AccessLog
from ropewalk.web.health import HealthPages
from ropewalk.web.home import Entry, Home
from ropewalk.web.mounts import Mount, Mounts, resource_for
from ropewalk.web.site import Site
from ropewalk.web.upgrade import UpgradeResource

__all__ = ["Host", "Owned", "PluginHost"]


@frozen
class Owned:
    """
    A listener, and who made it.

    :ivar owner: The service.
    :ivar place: Where in its source.
    """

    listener: Listener
    claim: Claim
    owner: str
    place: str


@define
class Host:
    """
    What the services of a daemon share.

    :param plan: What is to run.
    :param reactor: The reactor.
    :param hub: The channels.
    :param access: Takes each answered request, for the access log.
    :ivar units: The services, made and not started, in order.
    :ivar listeners: What they listen on, in the order in which it was made.
    :ivar state: ``"starting"``, ``"ready"``, ``"draining"`` …
    """

    plan: Plan
    reactor: Any
    hub: IHub
    _access: AccessLog | None = None
    health: Health = field(factory=Health, init=False)
    mounts: Mounts = field(factory=Mounts, init=False)
    listeners: list[Owned] = field(factory=list, init=False)
    units: tuple[Unit, ...] = field(default=(), init=False)
    state: str = field(default="starting", init=False)
    site: Site = field(init=False)
    _names: Callable[[], str] = field(factory=namer, init=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        web = self.plan.web
        self.site = Site(
            self.mounts,
            self.reactor,
            Home("Ropewalk", self._entries),
            longest_body=web.longest_body,
            idle=web.idle,
            observe=self._access if web.access_log else None,
        )

    def make(self) -> None:
        """
        Build every service. Nothing is started.

        :raise StartFailed: When one cannot be built.
        """
        made = [self._unit(each.name, self._make(each)) for each in self.plan.services]
        if self._has_web():
            made.append(self._unit("web", self._make_web(self.plan.web)))
        self.units = tuple(made)

    def listener(
        self, owner: str, place: str, endpoint: str, factory: IProtocolFactory
    ) -> Listener:
        """
        Make a listener for a service.

        :raise BadEndpoint: When there is nothing to listen at.
        :raise Conflict: When another listener wants the same address.
        """
        wanted = claim(endpoint)
        for other in self.listeners:
            if other.claim.clashes(wanted):
                raise Conflict(
                    str(wanted),
                    f"service {other.owner!r} ({other.place})",
                    f"service {owner!r} ({place})",
                )
        listener = Listener(endpoint, factory, owner, self.reactor, self._names)
        self.listeners.append(Owned(listener, wanted, owner, place))
        return listener

    def reconfigure(self, plan: Plan) -> None:
        """Work by other settings, so far as a running site can."""
        self.plan = plan
        self.site.longest_body = plan.web.longest_body
        self.site.observe = self._access if plan.web.access_log else None

    def flush_access_log(self) -> None:
        """Log the requests answered last: there may be no next turn."""
        if self._access is not None:
            self._access.flush()

    def owned_by(self, owner: str) -> tuple[Listener, ...]:
        """The listeners of a service."""
        return tuple(each.listener for each in self.listeners if each.owner == owner)

    def places(self) -> tuple[tuple[str, str], ...]:
        """
        Where people can go: what answers there, and the address or URL. Only
        listeners that are open have one.
        """
        return tuple(
            (
                each.owner,
                _url(each.listener) if each.owner == "web" else each.listener.place,
            )
            for each in self.listeners
            if each.listener.address is not None
        )

    def _has_web(self) -> bool:
        return bool(list(self.mounts)) or "web" in self.plan.document.tables

    def _make(self, planned: Planned) -> IService:
        plugin = planned.module.plugin
        host = PluginHost(planned.name, self)
        try:
            with working(plugin=planned.name):
                service = planned.module.make_service(planned.settings, host)
        except RopewalkError as error:
            raise StartFailed(planned.name, str(error)) from error
        except (Exception, SystemExit) as error:
            text = "".join(traceback.format_exception(error)).rstrip()
            reason = f"makeService in {plugin.module} failed: {error}\n{text}"
            raise StartFailed(planned.name, reason) from error
        if iscoroutine(service):
            service.close()
            reason = (
                f"makeService in {plugin.module} is async; make it a plain function: "
                "it builds, and what takes time is for startService"
            )
            raise StartFailed(planned.name, reason)
        if not IService.providedBy(service):
            reason = (
                f"makeService in {plugin.module} returned {service!r}, which is not "
                "an IService (a function that only mounts pages returns Service())"
            )
            raise StartFailed(planned.name, reason)
        adopted: IService = service
        return adopted

    def _make_web(self, settings: WebSettings) -> IService:
        pages = HealthPages(lambda: self.state, self.health, self.reactor)
        if "/health" not in self.mounts:
            self._mount("web", caller(0), "/health", pages.routes)
        group = MultiService()
        for number, endpoint in enumerate(settings.listen):
            origin = self.plan.document.origin("web", "listen")
            try:
                listener = self.listener("web", origin, endpoint, self.site)
            except RopewalkError as error:
                raise StartFailed("web", str(error)) from error
            listener.setName(f"listen[{number}]")
            listener.setServiceParent(group)
        return group

    def _mount(self, plugin: str, place: str, path: str, app: Any) -> None:
        resource = resource_for(app)
        if resource is None:
            problem = (
                f"cannot mount {app!r} at {path!r}: it is neither a klein.Klein "
                "nor a twisted.web resource"
            )
            raise BadPlugin(plugin, place, problem)
        self.mounts.add(Mount(path, resource, plugin, place, "pages", app))

    def _socket(
        self, plugin: str, place: str, path: str, make: Callable[[], Any], app: Any
    ) -> None:
        # Autobahn is a good part of what there is to import; only who serves
        # WebSockets waits for it.
        from autobahn.twisted.resource import WebSocketResource

        from ropewalk.net.sockets import SocketFactory

        web = self.plan.web
        factory = SocketFactory(make, web.sockets, self.reactor)
        resource = UpgradeResource(WebSocketResource(factory), web.origins)
        self.mounts.add(Mount(path, resource, plugin, place, "socket", app))

    def _unit(self, name: str, service: IService) -> Unit:
        host = self.plan.host
        return Unit(name, service, host.start_within(name), host.stop_within(name))

    def _entries(self) -> Sequence[Entry]:
        about = {each.name: _about(each) for each in self.plan.services}
        pages = [
            Entry("Pages", mount.path, about[mount.plugin], mount.path)
            for mount in self.mounts
            if mount.kind == "pages" and mount.plugin in about
        ]
        sockets = [
            Entry("WebSockets", mount.path, about[mount.plugin])
            for mount in self.mounts
            if mount.kind == "socket"
        ]
        listeners = [
            Entry("Lines", _command(each.listener), about[each.owner])
            for each in self.listeners
            if each.owner in about
        ]
        health = [
            Entry("Health", path, what, path)
            for path, what in (
                ("/health/live", "Whether the process lives."),
                ("/health/ready", "Whether it should be given work; if not, why not."),
            )
        ]
        return [*pages, *sockets, *listeners, *health]


@implementer(IHost)
@frozen
class PluginHost:
    """
    The host as one plugin sees it.

    :ivar name: The plugin's name.
    """

    name: str
    _host: Host

    @property
    def web(self) -> IWeb:
        """Pages and WebSockets."""
        return _PluginWeb(self.name, self._host)

    @property
    def hub(self) -> IHub:
        """The channels."""
        return self._host.hub

    @property
    def health(self) -> IHealth:
        """Health checks."""
        return self._host.health.of(self.name)

    @property
    def reactor(self) -> Any:
        """The reactor."""
        return self._host.reactor

    def listener(self, endpoint: str, factory: Any) -> Listener:
        """See :meth:`ropewalk.interfaces.IHost.listener`."""
        return self._host.listener(self.name, caller(), endpoint, factory)


@implementer(IWeb)
@frozen
class _PluginWeb:
    _name: str
    _host: Host

    def mount(self, path: str, app: Any) -> None:
        self._host._mount(self._name, caller(), path, app)

    def socket(
        self, path: str, protocol: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        def make() -> Any:
            return protocol(*args, **kwargs)

        self._host._socket(self._name, caller(), path, make, protocol)


def _about(planned: Planned) -> str:
    """The first sentence of the service module's docstring."""
    text = (planned.module.module.__doc__ or planned.module.plugin.module).strip()
    return " ".join(text.split("\n\n")[0].replace("``", "").split())


def _command(listener: Listener) -> str:
    """What to type to talk to a listener."""
    host, colon, port = listener.place.rpartition(":")
    return f"nc {host.strip('[]')} {port}" if colon else listener.place


def _url(listener: Listener) -> str:
    scheme = "https" if listener.description.startswith(("ssl:", "tls:")) else "http"
    place = listener.place
    return f"{scheme}://{place}/" if ":" in place else place
