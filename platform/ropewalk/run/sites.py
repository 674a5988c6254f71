# -*- test-case-name: tests.test_sites -*-
"""
The web sites of a daemon: what is on each, and where it listens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService, Service
from zope.interface import implementer

from ropewalk.errors import BadPlugin, RopewalkError, StartFailed
from ropewalk.interfaces import IWeb
from ropewalk.net.transports import network
from ropewalk.plugin import caller
from ropewalk.run.configuration import SiteSettings
from ropewalk.run.replacing import load_formats, load_router
from ropewalk.schema import nearest
from ropewalk.schema.words import spell
from ropewalk.settings import Document
from ropewalk.settings.kinds import match_name
from ropewalk.web.access import AccessLog
from ropewalk.web.around import Middleware, check_middleware
from ropewalk.web.documenting import mount_documentation
from ropewalk.web.home import Home
from ropewalk.web.hosting.hosted import Hosted, Mounting
from ropewalk.web.hosting.hosted import Place as MountPlace
from ropewalk.web.hosting.settings import describe
from ropewalk.web.mounts import Mount, Mounts, resource_for
from ropewalk.web.proxies import Proxies
from ropewalk.web.site import Site

if TYPE_CHECKING:
    from ropewalk.web.upgrade import UpgradeResource

__all__ = ["PluginWeb", "Sites", "WebSite"]

#: Makes a listener: called with who it belongs to, where in the settings it is asked
#: for, an endpoint string and a factory.
Listen = Callable[[str, str, str, Any], Service]


class WebSite:
    """
    A web site.

    :param name: What the settings call it; empty for the default one.
    :param settings: Its settings.
    :param proxies: Who may say for whom they ask.
    :param home: Serves its ``/`` where nobody has mounted anything.
    :param access: Takes each answered request, for the access log.
    :ivar owner: Whose its listeners and its own pages are: ``"web"``, or
        ``"web.internal"``.
    :ivar mounts: What is on it.
    :ivar site: What answers.
    :ivar hosted: The applications of other frameworks on it, by their paths.
    """

    def __init__(
        self,
        name: str,
        settings: SiteSettings,
        proxies: Proxies,
        home: Home,
        reactor: Any,
        access: AccessLog | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.owner = f"web.{name}" if name else "web"
        self.mounts = Mounts()
        self.mounts.sockets = self._take_over
        self.site = Site(
            self.mounts,
            reactor,
            home,
            longest_body=settings.longest_body,
            idle=settings.idle,
            limits=settings.limits,
            observe=access if settings.access_log else None,
            proxies=proxies if proxies else None,
            request_id=settings.request_id,
        )
        self.site.formats = load_formats(settings.formats)
        if settings.router:
            self.mounts.table_class = load_router(settings.router)
        self._reactor = reactor
        self._access = access
        self._debugger: Any = None
        self._doorkeeper: UpgradeResource | None = None
        self._coming: list[Any] = []
        self.hosted: list[tuple[str, Mounting]] = []

    @property
    def table(self) -> str:
        """Its table in the settings."""
        return f"web.sites.{self.name}" if self.name else "web"

    def mount(
        self,
        plugin: str,
        place: str,
        path: str,
        app: Any,
        *,
        host: str | None = None,
        override: bool = False,
        gives_way: bool = False,
    ) -> None:
        """
        Serve something for a service.

        :param gives_way: See :class:`~ropewalk.web.mounts.Mount`.
        :raise BadPlugin: When it cannot be served, or not there.
        :raise Conflict: When the path is taken.
        """
        if isinstance(app, Hosted):
            app = self._host(plugin, place, path, app)
        resource = resource_for(app)
        if resource is None:
            problem = (
                f"cannot mount {app!r} at {path!r}: it is neither a klein.Klein, a "
                "twisted.web resource nor something of ropewalk.web.hosting"
            )
            raise BadPlugin(plugin, place, problem)
        mount = Mount(
            path, resource, plugin, place, "pages", app, host, override, gives_way
        )
        self.mounts.add(mount)

    def mount_hosted(self, document: Document) -> None:
        """
        Serve what the settings say that is hosted.

        :raise StartFailed: When it cannot be.
        """
        for path, settings in self.settings.mounts.items():
            place = document.origin(self.table, f"mounts.{spell([path])}")
            try:
                self.mount(
                    self.owner,
                    place,
                    path,
                    describe(settings, document.home),
                    host=settings.host or None,
                    override=settings.override,
                )
            except RopewalkError as error:
                raise StartFailed(self.owner, str(error)) from error

    def _host(self, plugin: str, place: str, path: str, app: Hosted) -> Any:
        """Put an application at its place, and have it start and stop with us."""
        mounting = app.at(
            MountPlace(
                path=path,
                owner=plugin,
                origin=place,
                reactor=self._reactor,
                network=network(self._reactor),
                sockets=self._take_over,
                check_socket=self.check_socket,
                make_socket=self.make_socket,
            )
        )
        resource: Any = mounting.resource
        resource.shown = app.shown
        if app.longest_body is not None:
            resource.longest_body = app.longest_body
        mounting.setName(f"{plugin} {path}")
        self.hosted.append((path, mounting))
        return resource

    def socket(
        self, plugin: str, place: str, path: str, make: Callable[[], Any], app: Any
    ) -> None:
        """
        Serve WebSockets for a service.

        :param make: Makes the protocol of each.
        :raise Conflict: When the path is taken.
        """
        resource = self._upgrade(make)
        self.mounts.add(Mount(path, resource, plugin, place, "socket", app))

    def serve(
        self,
        health: Any,
        document: Document,
        listen: Listen,
        about: Mapping[str, str],
    ) -> MultiService:
        """
        Have all that is on it in one table, and make its listeners.

        :param health: The daemon's own pages; they give way to anybody's.
        :param about: What the services are, by name, for the documentation.
        :raise StartFailed: When it cannot listen, or cannot serve what is on it.
        """
        if "/health" not in self.mounts:
            self.mount(self.owner, caller(0), "/health", health, gives_way=True)
        group = MultiService()
        origin = document.origin(self.table, "listen")
        try:
            for number, endpoint in enumerate(self.settings.listen):
                listener = listen(self.owner, origin, endpoint, self.site)
                listener.setName(f"listen[{number}]")
                listener.setServiceParent(group)
            if self._debugger is not None:
                self._mount_debugger(document, group)
            self.mounts.compile()
            if self.settings.openapi:
                self._mount_documentation(document, about)
        except RopewalkError as error:
            raise StartFailed(error.service or self.owner, str(error)) from error
        return group

    def develop(self, development: bool, secrets: Callable[[], Iterable[str]]) -> None:
        """
        Explain errors. Nothing of this is even imported in production.

        :param development: That this is no production.
        :param secrets: Gives what must not be shown.
        """
        from ropewalk.web.debugging import Debugger, Development, ErrorPages

        permission = Development(development)
        if self.settings.debugger:
            self._debugger = Debugger(permission, self._reactor)
        pages = ErrorPages(permission, secrets, self._debugger)
        self.site.explain = pages.explain

    def reconfigure(self, settings: SiteSettings) -> None:
        """Work by other settings, so far as a running site can."""
        self.settings = settings
        self.site.longest_body = settings.longest_body
        self.site.limits = settings.limits
        self.site.observe = self._access if settings.access_log else None

    def _mount_documentation(
        self, document: Document, about: Mapping[str, str]
    ) -> None:
        place = document.origin(self.table, "openapi")
        path, title = self.settings.openapi, self.settings.title
        mount_documentation(
            self.mounts,
            path,
            self.owner,
            place,
            title=title,
            about=about,
            formats=self.site.formats,
        )

    def _mount_debugger(self, document: Document, group: MultiService) -> None:
        from ropewalk.web.debugging import PATH

        place = document.origin(self.table, "debugger")
        self.mount(self.owner, place, PATH, self._debugger.resource)
        self._debugger.setServiceParent(group)

    def check_socket(self, request: Any) -> RopewalkError | None:
        """Why a request may not become a WebSocket; ``None`` when it may."""
        return self._door().refusal(request)

    def make_socket(self, *args: Any) -> Any:
        """A :class:`ropewalk.net.guests.GuestSocket`, made with what it takes."""
        from ropewalk.net.guests import GuestSocket

        return GuestSocket(*args)

    def _door(self) -> UpgradeResource:
        if self._doorkeeper is None:
            self._doorkeeper = self._upgrade(lambda: self._coming.pop())
        return self._doorkeeper

    def _take_over(self, request: Any, protocol: Any) -> Any:
        """Let a WebSocket's protocol, made for a request, have its connection."""
        door = self._door()
        self._coming.append(protocol)
        try:
            return door.render(request)
        finally:
            self._coming.clear()

    def _upgrade(self, make: Callable[[], Any]) -> UpgradeResource:
        # Autobahn is a good part of what there is to import; only who serves
        # WebSockets waits for it.
        from autobahn.twisted.resource import WebSocketResource

        from ropewalk.net.sockets import SocketFactory
        from ropewalk.web.upgrade import UpgradeResource

        factory = SocketFactory(make, self.settings.sockets, self._reactor)
        return UpgradeResource(WebSocketResource(factory), self.settings.origins)


class Sites(Mapping[str, WebSite]):
    """
    All web sites of a daemon by their names, the default one first: it has none.
    """

    def __init__(self, sites: Iterable[WebSite]) -> None:
        self._sites = {site.name: site for site in sites}
        first = self[""].site
        for each in self.values():
            # One name in the log is one request's.
            each.site.numbers = first.numbers
            each.site.process = first.process

    def __getitem__(self, name: str) -> WebSite:
        return self._sites[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose the listeners of web sites are."""
        return tuple(each.owner for each in self.values())

    def called(self, name: str, plugin: str, place: str) -> WebSite:
        """
        The site that a service asks for.

        :param place: Where it does.
        :raise BadPlugin: When the settings do not have it.
        """
        known = match_name(name, self)
        if known is not None:
            return self[known]
        others = [each for each in self if each]
        meant = nearest(name, others)
        hint = f"did you mean {meant!r}? Otherwise " if meant else ""
        problem = (
            f"there is no web site {name!r}; {hint}add it to the settings: "
            f'[web.sites.{name}] with listen = ["tcp:8081:interface=127.0.0.1"], say'
        )
        raise BadPlugin(plugin, place, problem)


@implementer(IWeb)
class PluginWeb:
    """
    A web site as one plugin sees it.

    :param name: The plugin.
    """

    def __init__(self, name: str, sites: Sites, site: WebSite) -> None:
        self._name = name
        self._sites = sites
        self._site = site

    def site(self, name: str) -> IWeb:
        """See :meth:`ropewalk.interfaces.IWeb.site`."""
        site = self._sites.called(name, self._name, caller())
        return PluginWeb(self._name, self._sites, site)

    def mount(
        self, path: str, app: Any, *, host: str | None = None, override: bool = False
    ) -> None:
        """See :meth:`ropewalk.interfaces.IWeb.mount`."""
        place = caller()
        self._site.mount(self._name, place, path, app, host=host, override=override)

    def socket(
        self, path: str, protocol: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        """See :meth:`ropewalk.interfaces.IWeb.socket`."""

        def make() -> Any:
            return protocol(*args, **kwargs)

        self._site.socket(self._name, caller(), path, make, protocol)

    def use(self, *middleware: Middleware) -> None:
        """See :meth:`ropewalk.interfaces.IWeb.use`."""
        for each in middleware:
            check_middleware(each)
        self._site.mounts.middleware += middleware

    def component(
        self,
        function: Callable[..., Any],
        *,
        provides: Any = None,
        close: Callable[[Any], Any] | None = None,
        security: Mapping[str, Any] | None = None,
    ) -> None:
        """See :meth:`ropewalk.interfaces.IWeb.component`."""
        components = self._site.mounts.components
        components.add(function, provides=provides, close=close, security=security)

    def provide(self, kind: Any, value: Any) -> None:
        """See :meth:`ropewalk.interfaces.IWeb.provide`."""
        self._site.mounts.components.provide(kind, value)

    def when(self, moment: str, listener: Callable[..., object]) -> None:
        """See :meth:`ropewalk.interfaces.IWeb.when`."""
        self._site.site.signals.connect(moment, listener)
