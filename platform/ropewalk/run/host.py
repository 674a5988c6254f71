# -*- test-case-name: tests.test_host -*-
"""
One process's shared parts, and what each plugin sees of them.

A host stops at ``makeService``: a plugin takes what it needs and passes it on.
"""

from __future__ import annotations

import traceback
from asyncio import iscoroutine
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen
from msgspec import Struct
from msgspec.structs import asdict
from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from ropewalk.errors import Conflict, RopewalkError, StartFailed
from ropewalk.interfaces import IAuthoriser, IHealth, IHost, IOperations, IWeb
from ropewalk.net.doors import Door
from ropewalk.net.endpoints import Claim, claim, claim_datagrams
from ropewalk.net.listening import Listener, namer
from ropewalk.plugin import caller
from ropewalk.run.authority import Authority
from ropewalk.run.configuration import Plan, Planned, SiteSettings
from ropewalk.run.lifecycle import Unit
from ropewalk.run.sites import PluginWeb, Sites, WebSite
from ropewalk.telemetry import Check, Health, working
from ropewalk.web.access import AccessLog
from ropewalk.web.health import HealthPages
from ropewalk.web.home import Entry, Home
from ropewalk.web.mounts import Mount, Mounts
from ropewalk.web.proxies import Proxies
from ropewalk.web.site import Site

if TYPE_CHECKING:
    from ropewalk.hub import MemoryHub
    from ropewalk.interfaces import IHub
    from ropewalk.net.datagrams.listening import DatagramListener
    from ropewalk.operations import Operations

__all__ = ["Host", "Owned", "PluginHost"]


class Owned(Struct, frozen=True):
    """
    A listener, and who made it.

    :ivar owner: The service.
    :ivar place: Where in its source.
    """

    listener: Door
    claim: Claim
    owner: str
    place: str


@define
class Host:
    """
    What the services of a daemon share.

    :param plan: What is to run.
    :param reactor: The reactor.
    :param now: Seconds since the epoch.
    :param access: Takes each answered request, for the access log.
    :ivar authority: Who is asked what callers may do.
    :ivar sites: The web sites by their names; the default one has none.
    :ivar units: The services, made and not started, in order.
    :ivar listeners: What they listen on, in the order in which it was made.
    :ivar state: ``"starting"``, ``"ready"``, ``"draining"`` …
    """

    plan: Plan
    reactor: Any
    _now: Callable[[], float]
    _access: AccessLog | None = None
    authority: Authority = field(factory=Authority, init=False)
    _hub: MemoryHub | None = field(default=None, init=False)
    health: Health = field(factory=Health, init=False)
    listeners: list[Owned] = field(factory=list, init=False)
    units: tuple[Unit, ...] = field(default=(), init=False)
    state: str = field(default="starting", init=False)
    sites: Sites = field(init=False)
    _proxies: Proxies = field(init=False)
    _operations: Any = field(default=None, init=False)
    _names: Callable[[], str] = field(factory=namer, init=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._proxies = Proxies(self.plan.host.trusted_proxies)
        self.sites = Sites(
            self._site(name, settings) for name, settings in self.plan.sites().items()
        )
        development = self.plan.host.development
        if development:
            for each in self.sites.values():
                each.develop(development, lambda: self.plan.secrets())

    @property
    def site(self) -> Site:
        """The default web site."""
        return self.sites[""].site

    @property
    def mounts(self) -> Mounts:
        """What is on the default web site."""
        return self.sites[""].mounts

    @property
    def hub(self) -> MemoryHub:
        """The channels."""
        if self._hub is None:
            # Only who has channels waits for what it takes to be imported.
            from ropewalk.hub import MemoryHub

            bounds = self.plan.hub
            self._hub = MemoryHub(
                self._now,
                clock=self.reactor,
                authoriser=self.authority,
                limit=bounds.subscribers,
                channels=bounds.channels,
                from_one=bounds.from_one,
                away=bounds.away,
                history_bytes=bounds.history_bytes,
            )
        return self._hub

    def close_hub(self) -> Deferred[None]:
        """Close the channels, if there are some."""
        return succeed(None) if self._hub is None else self._hub.close()

    @property
    def operations(self) -> Operations:
        """What can be called."""
        if self._operations is None:
            # Only who offers something waits for what it takes to be imported.
            from ropewalk.operations import Operations

            self._operations = Operations(self.reactor)
            self._operations.authorise(self.authority)
            self._observe_calls()
        operations: Operations = self._operations
        return operations

    def make(self) -> None:
        """
        Build every service. Nothing is started.

        :raise StartFailed: When one cannot be built.
        """
        made = [self._unit(each.name, self._make(each)) for each in self.plan.services]
        made += self._offer()
        pages = HealthPages(lambda: self.state, self.health, self.reactor)
        document, about = self.plan.document, self._about()
        self._show_figures()
        made += self._hosted()
        for site in self.sites.values():
            if self.serves(site):
                served = site.serve(pages.routes, document, self.listener, about)
                made.append(self._unit(site.owner, served, "web"))
        self.units = tuple(made)

    def serves(self, site: WebSite) -> bool:
        """Whether a site is there: somebody asks for it, or it has something on it."""
        return bool(list(site.mounts)) or self.plan.listens(site.name)

    def _hosted(self) -> list[Unit]:
        """What is hosted, and before that what it may ask the daemon for."""
        units = []
        for site in self.sites.values():
            site.mount_hosted(self.plan.document)
            for path, mounting in site.hosted:
                units.append(self._unit(f"{site.owner}:{path}", mounting, "web"))
                check = Check(site.owner, f"what is at {path}", mounting.problem)
                self.health.add(check)
        if not units:
            return []
        from ropewalk.run.hosting import Attachment

        attachment = Attachment(PluginHost("web", self))
        return [self._unit("hosting", attachment, "web"), *units]

    def listener(
        self, owner: str, place: str, endpoint: str, factory: IProtocolFactory
    ) -> Listener:
        """
        Make a listener for a service.

        :raise BadEndpoint: When there is nothing to listen at.
        :raise Conflict: When another listener wants the same address.
        """
        wanted = claim(endpoint)
        self._see_that_free(wanted, owner, place)
        trusts = self._proxies.trusts if self._proxies else None
        listener = Listener(
            endpoint,
            factory,
            owner,
            self.reactor,
            self._names,
            trusts,
            self.plan.host.vanished,
        )
        self.listeners.append(Owned(listener, wanted, owner, place))
        return listener

    def datagrams(
        self, owner: str, place: str, endpoint: str, protocol: DatagramProtocol
    ) -> DatagramListener:
        """
        The same for datagrams.

        :raise BadEndpoint: When none can come there.
        :raise Conflict: When others want the same address.
        """
        # Only who has datagrams waits for what it takes to be imported.
        from ropewalk.net.datagrams.listening import DatagramListener

        wanted = claim_datagrams(endpoint)
        self._see_that_free(wanted, owner, place)
        listener = DatagramListener(
            endpoint, protocol, owner, self.reactor, self._names
        )
        self.listeners.append(Owned(listener, wanted, owner, place))
        return listener

    def _see_that_free(self, wanted: Claim, owner: str, place: str) -> None:
        for other in self.listeners:
            if other.claim.clashes(wanted):
                raise Conflict(
                    str(wanted),
                    f"service {other.owner!r} ({other.place})",
                    f"service {owner!r} ({place})",
                )

    def reconfigure(self, plan: Plan) -> None:
        """Work by other settings, so far as a running site can."""
        self.plan = plan
        for name, settings in plan.sites().items():
            self.sites[name].reconfigure(settings)
        if self._operations is not None:
            self._observe_calls()

    def flush_access_log(self) -> None:
        """Log the requests answered last: there may be no next turn."""
        if self._access is not None:
            self._access.flush()

    def owned_by(self, owner: str) -> tuple[Door, ...]:
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
                _url(each.listener)
                if each.owner in self.sites.owners
                else each.listener.place,
            )
            for each in self.listeners
            if each.listener.address is not None
        )

    def _site(self, name: str, settings: SiteSettings) -> WebSite:
        title = settings.title or (f"Ropewalk: {name}" if name else "Ropewalk")
        home = Home(title, partial(self._entries, name))
        proxies = Proxies(self.plan.host.trusted_proxies, settings.forwarded)
        return WebSite(name, settings, proxies, home, self.reactor, self._access)

    def _offer(self) -> list[Unit]:
        """
        Offer operations and channels on what the settings say, where a service has
        some, or says who may do what: those who are connected may offer operations.
        """
        settings, document = self.plan.operations, self.plan.document
        listen = settings.listen()
        declared = self._hub is not None and self._hub.declared()
        named = self.authority.named
        there = self._operations is not None or bool(declared) or named
        if not listen and not there:
            return []
        from ropewalk.run.offering import offer_on

        what = self.operations, self.hub, settings
        if there:
            for site in self.sites.values():
                offer_on(site, *what, document, self.reactor)
        if not listen:
            return []
        group = MultiService()
        for name, endpoint in listen.items():
            listener = self._offered(name, endpoint)
            listener.setName(name)
            listener.setServiceParent(group)
        return [self._unit("operations", group)]

    def _offered(self, name: str, endpoint: str) -> Service:
        """
        A listener for those who call and hear.

        :param name: By what, as the settings call it.
        """
        from ropewalk.run.offering import datagrams_of, factory_of

        what = self.operations, self.hub, self.plan.operations
        place = self.plan.document.origin("operations", name)
        try:
            if name == "datagrams":
                peers = datagrams_of(*what, self.reactor)
                return self.datagrams("operations", place, endpoint, peers)
            factory = factory_of(name, *what, self.reactor)
            return self.listener("operations", place, endpoint, factory)
        except RopewalkError as error:
            raise StartFailed("operations", str(error)) from error

    def _show_figures(self) -> None:
        """Show what is counted on the sites whose settings say so."""
        for site in self.sites.values():
            if not site.settings.figures:
                continue
            from ropewalk.web.figures import FigurePages

            pages = FigurePages(self.figures(), self.authority)
            place = self.plan.document.origin(site.table, "figures")
            try:
                site.mount(site.owner, place, site.settings.figures, pages.routes)
            except RopewalkError as error:
                raise StartFailed(site.owner, str(error)) from error

    def figures(self) -> Mapping[str, Callable[[], Any]]:
        """
        What is counted, by name: each gives its figures when it is called, as values
        that JSON can say.
        """
        return {
            "state": lambda: self.state,
            "listeners": self._listeners_in_numbers,
            "operations": self._operations_in_numbers,
            "hub": self._hub_in_numbers,
            "channels": lambda: self._hub.figures().channels if self._hub else {},
            "hosted": self._hosted_in_numbers,
        }

    def _listeners_in_numbers(self) -> list[dict[str, Any]]:
        return [
            {
                "service": each.owner,
                "place": each.listener.place,
                "connections": len(each.listener.connections),
            }
            for each in self.listeners
        ]

    def _operations_in_numbers(self) -> Mapping[str, Any]:
        return {} if self._operations is None else self._operations.figures()

    def _hosted_in_numbers(self) -> dict[str, Any]:
        """What is hosted, by site and path."""
        return {
            f"{site.owner}:{path}": mounting.figures()
            for site in self.sites.values()
            for path, mounting in site.hosted
        }

    def _hub_in_numbers(self) -> dict[str, Any] | None:
        """The channels together; those of each are apart."""
        if self._hub is None:
            return None
        figures = self._hub.figures()
        return {**asdict(figures), "channels": len(figures.channels)}

    def _observe_calls(self) -> None:
        from ropewalk.run.offering import log_call

        self.operations.observe(log_call if self.plan.operations.log else None)

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

    def _unit(self, name: str, service: IService, known_as: str = "") -> Unit:
        """
        :param known_as: What its deadlines are set for, if not its name.
        """
        host, called = self.plan.host, known_as or name
        return Unit(name, service, host.start_within(called), host.stop_within(called))

    def _about(self) -> dict[str, str]:
        """What the services are, by name."""
        return {each.name: _about(each) for each in self.plan.services}

    def _entries(self, site: str = "") -> Sequence[Entry]:
        """What is told at ``/`` of a site."""
        mounts, about = self.sites[site].mounts, self._about()
        pages = [
            _page(mount, about[mount.plugin])
            for mount in mounts
            if mount.kind == "pages" and mount.plugin in about
        ]
        pages += [
            Entry("Pages", mount.path, mount.resource.shown, mount.path)
            for mount in mounts
            if mount.plugin not in about and hasattr(mount.resource, "shown")
        ]
        sockets = [
            Entry("WebSockets", mount.path, about[mount.plugin])
            for mount in mounts
            if mount.kind == "socket" and mount.plugin in about
        ]
        listeners = [
            Entry(_sort(each.listener), _command(each.listener), about[each.owner])
            for each in self.listeners
            if each.owner in about
        ]
        told = "Operations and channels, for people: type help."
        listeners += [
            Entry("Lines", _command(each.listener), told)
            for each in self.listeners
            if each.owner == "operations"
            and each.listener.description == self.plan.operations.text
        ]
        health = [
            Entry("Health", path, what, path)
            for path, what in (
                ("/health/live", "Whether the process lives."),
                ("/health/ready", "Whether it should be given work; if not, why not."),
            )
        ]
        path = self.sites[site].settings.openapi
        told = "What can be asked of the handlers here, and a way to try it."
        documented = path in mounts
        documentation = [Entry("Documentation", path, told, path)] if documented else []
        path = self.sites[site].settings.operations
        told = "What can be called: by POST below it, by WebSocket at /live."
        offered = self._operations is not None and path in mounts
        calls = [Entry("Operations", path, told, path)] if offered else []
        path = self.sites[site].settings.figures
        told = "What is counted, for who sits at this machine or is allowed to see it."
        figures = [Entry("Figures", path, told, path)] if path in mounts else []
        return [
            *(*pages, *documentation, *calls, *sockets, *listeners, *health),
            *figures,
        ]


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
        sites = self._host.sites
        return PluginWeb(self.name, sites, sites[""])

    @property
    def hub(self) -> IHub:
        """The channels."""
        return self._host.hub

    @property
    def operations(self) -> IOperations:
        """What can be called."""
        return self._host.operations.of(self.name)

    @property
    def health(self) -> IHealth:
        """Health checks."""
        return self._host.health.of(self.name)

    @property
    def reactor(self) -> Any:
        """The reactor."""
        return self._host.reactor

    def authorise(self, authoriser: IAuthoriser) -> None:
        """See :meth:`ropewalk.interfaces.IHost.authorise`."""
        place = f"service {self.name!r} ({caller()})"
        self._host.authority.name(authoriser, place)

    def listener(self, endpoint: str, factory: Any) -> Listener:
        """See :meth:`ropewalk.interfaces.IHost.listener`."""
        return self._host.listener(self.name, caller(), endpoint, factory)

    def datagrams(self, endpoint: str, protocol: Any) -> DatagramListener:
        """See :meth:`ropewalk.interfaces.IHost.datagrams`."""
        return self._host.datagrams(self.name, caller(), endpoint, protocol)


def _about(planned: Planned) -> str:
    """The first sentence of the service module's docstring."""
    text = (planned.module.module.__doc__ or planned.module.plugin.module).strip()
    return " ".join(text.split("\n\n")[0].replace("``", "").split())


def _page(mount: Mount, about: str) -> Entry:
    """Where to find something; on another host, nobody knows the port."""
    if mount.host is None:
        return Entry("Pages", mount.path, about, mount.path)
    return Entry("Pages", mount.host + mount.path, about)


def _sort(listener: Door) -> str:
    """What comes there, for people."""
    return "Datagrams" if listener.description.startswith("udp:") else "Lines"


def _command(listener: Door) -> str:
    """What to type to talk to a listener; datagrams take more than typing."""
    if listener.description.startswith("udp:"):
        return f"udp:{listener.place}"
    host, colon, port = listener.place.rpartition(":")
    if listener.description.startswith("haproxy:"):
        return listener.place  # only a proxy can talk to it
    return f"nc {host.strip('[]')} {port}" if colon else listener.place


def _url(listener: Door) -> str:
    endpoint = listener.description.removeprefix("haproxy:")
    scheme = "https" if endpoint.startswith(("ssl:", "tls:")) else "http"
    place = listener.place
    return f"{scheme}://{place}/" if ":" in place else place
