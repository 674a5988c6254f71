# -*- test-case-name: tests.test_site -*-
"""
The site: a ``twisted.web`` site that knows its mounts, keeps limits, names its
requests and can be drained.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from itertools import count
from secrets import token_hex
from tempfile import TemporaryFile
from typing import Any
from urllib.parse import quote, unquote

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.resource import Resource

from ropewalk.web.compiling import is_resource, settle_route
from ropewalk.web.deadlines import Deadlines
from ropewalk.web.engine import Channel
from ropewalk.web.limits import HttpLimits
from ropewalk.web.lines import header_line
from ropewalk.web.media import NONE, Formats
from ropewalk.web.mounts import Mounts
from ropewalk.web.problems import Refused, respond
from ropewalk.web.proxies import Proxies
from ropewalk.web.requests import ABSOLUTE, BodyTooLong, Request
from ropewalk.web.routes import Options
from ropewalk.web.serving import Endpoint
from ropewalk.web.signals import Signals, tell
from ropewalk.web.signposts import Mounted
from ropewalk.web.table import Found, Missing, Moved
from ropewalk.wire.http1 import HeadLimits

__all__ = ["BodyTooLong", "Request", "Site"]

#: What a host may be called (RFC 3986, section 3.2.2), and its port.
_HOST = re.compile(r"[\w.~!$&'()*+,;=%:\[\]-]*", re.ASCII)


#: What Twisted says of bytes of which nobody says anything.
_HTML = b"Content-Type: text/html\r\n"


class Site(server.Site):
    """
    What is mounted, served.

    :param mounts: What is served where.
    :param reactor: The clock.
    :param home: Serves ``/`` unless something is mounted there.
    :ivar longest_body: Bytes of the longest request body taken.
    :ivar deadlines: Looks after its connections.
    :ivar lanes: The ways that need no search, by method and path.
    :ivar loud: Whether somebody wants to hear of requests that have ended.
    :ivar has_proxies: Whether somebody may say for whom they ask.
    :ivar is_quick: Whether requests may go by lanes.
    :ivar signals: Who is told of its requests.
    :ivar draining: Whether the site says goodbye.
    :ivar observe: Called with every request that is answered, and with those
        whose connection ended before.
    :ivar proxies: Who may say for whom they ask; ``None`` for nobody.
    :ivar request_id: The header that has a request's id; empty for none.
    :ivar explain: Makes the answer to a request that failed by accident, or ``None``
        where nothing is to be told; ``None`` in production.
    :ivar formats: Formats of its own, besides the built-in ones or in place of them.
    :ivar process: What the ids of this process begin with: 12 hexadecimal digits,
        so that in a million starts, the odds that two have the same are 1 in 500.
    """

    requestFactory = Request

    _log = Logger()
    _disputed = False

    def __init__(
        self,
        mounts: Mounts,
        reactor: IReactorTime,
        home: Resource | None = None,
        *,
        longest_body: int = 1024 * 1024,
        idle: float = 60.0,
        limits: HttpLimits | None = None,
        observe: Callable[[Request], None] | None = None,
        proxies: Proxies | None = None,
        request_id: str = "",
    ) -> None:
        root = _Nothing() if home is None else home
        super().__init__(root, reactor=reactor, timeout=idle)
        self.mounts = mounts
        self.lanes = mounts.lanes
        self.signals = Signals(changed=self._look_around)
        self._observe, self._proxies = observe, proxies
        self._look_around()
        self.longest_body = longest_body
        self.draining = False
        self._waiting: dict[object, Callable[[], None]] = {}
        self.request_id = request_id.encode("ascii")
        self.explain: Callable[[Request, Failure], bytes | None] | None = None
        self.formats: Formats = NONE
        self.process = token_hex(6)
        self.clock = reactor
        self.seconds = reactor.seconds
        self.numbers = count(1)
        self.limits = HttpLimits() if limits is None else limits
        self.deadlines = Deadlines(reactor)

    protocol: Any = Channel

    def drain(self) -> None:
        """
        Say goodbye from now on: each connection is closed when its request has been
        answered. Answers that wait for something to happen end.
        """
        if self.draining:
            return
        self.draining = True
        waiting, self._waiting = self._waiting, {}
        for call in waiting.values():
            try:
                call()
            except Exception:
                self._log.failure("{call} could not end what it waits for", call=call)

    def when_draining(self, call: Callable[[], None]) -> Callable[[], None]:
        """
        Have something called when the site says goodbye: at once, if it does already.

        :return: takes that back.
        """
        if self.draining:
            call()
            return lambda: None
        key = object()
        self._waiting[key] = call

        def forget() -> None:
            self._waiting.pop(key, None)

        return forget

    @property
    def limits(self) -> HttpLimits:
        """What clients may do."""
        return self._limits

    @limits.setter
    def limits(self, limits: HttpLimits) -> None:
        self._limits = limits
        self.head_limits = HeadLimits(limits.line, limits.headers, limits.header_bytes)

    @property
    def process(self) -> str:
        """See the class."""
        return self._process

    @process.setter
    def process(self, process: str) -> None:
        self._process = process
        self.id_start = b""
        if self.request_id:
            name, _, _ = _id_header(self.request_id, "").partition(b": ")
            self.id_start = b"%b: %b-r" % (name, process.encode("ascii"))

    def id_line(self, request: Request) -> bytes:
        """The header with a request's id; empty where there is none."""
        if request._id is not None and self.request_id:
            return _id_header(self.request_id, request._id)
        return b"%b%d\r\n" % (self.id_start, request.number) if self.id_start else b""

    def most_connections(self, address: Any) -> int:
        """How many connections a client may have; 0 for any number."""
        trusted = self.proxies is not None and self.proxies.trusts(address)
        return 0 if trusted else self.limits.connections

    def make_content(self, length: int | None) -> Any:
        """
        A place for a request's body.

        :param length: How long it will be; ``None`` when it will be long.
        """
        own = getattr(self, "getContentFile", None)  # as Twisted knows it
        if own is not None:
            return own(length)
        if length is None or length > self.limits.spool:
            return TemporaryFile()
        return BytesIO()

    @property
    def observe(self) -> Callable[[Request], None] | None:
        """See the class."""
        return self._observe

    @observe.setter
    def observe(self, observe: Callable[[Request], None] | None) -> None:
        self._observe = observe
        self._look_around()

    @property
    def proxies(self) -> Proxies | None:
        """See the class."""
        return self._proxies

    @proxies.setter
    def proxies(self, proxies: Proxies | None) -> None:
        self._proxies = proxies
        self._look_around()

    def _look_around(self) -> None:
        """Find out what has to be done for every request."""
        signals = self.signals
        self.loud = self._observe is not None or bool(signals.finished)
        self.has_proxies = self._proxies is not None
        self.is_quick = not signals.started

    @property
    def plain_body(self) -> int:
        """Bytes of a body that need not be thought about."""
        if hasattr(self, "getContentFile"):
            return 0
        most, shortest = min(self.longest_body, self.limits.spool), self.mounts.shortest
        return most if shortest is None else min(most, shortest)

    def way(self, request: Any) -> tuple[Any, dict[str, Any]] | None:
        """
        The lane to what answers, if there is one, and the arguments in the path.
        """
        table = self.mounts.table
        if not self.mounts.has_lanes:
            return None
        try:
            path, method = request.path.decode(), request.method.decode()
            found = table.find(path, method)
        except UnicodeDecodeError:
            return None
        request.found = found  # who goes the long way need not search again
        if not isinstance(found, Found):
            return self._beside(request, found)
        endpoint = found.entry.target
        if type(endpoint) is not Endpoint or endpoint.bare is None:
            return None
        lane = endpoint.lane
        if lane is None:
            direct = getattr(endpoint.bare, "direct", None)
            lane = endpoint.lane = (
                *(endpoint, direct, endpoint.is_kleins, _HTML),
                *(endpoint.bare, not self.formats),
            )
        if not found.args:
            self.mounts.learn(request.method, request.path, lane)
        return lane, found.args

    def _beside(
        self, request: Any, found: Moved | Missing[Any]
    ) -> tuple[Any, dict[str, Any]] | None:
        """
        The lane to a resource, if there is one. Remembers that a path belongs to a
        resource.
        """
        if not isinstance(found, Missing) or found.guard is None or found.allowed:
            return None
        target = found.guard.target
        if type(target) is not Mounted:
            return None
        lane = None if request.method == b"HEAD" else target.way()
        self.mounts.learn(request.method, request.path, lane or found)
        return None if lane is None else (lane, {})

    def getResourceFor(self, request: Any) -> Any:
        # As of any Twisted site, sessions are the site's, not the mount's.
        if not _is_direct(request):
            request.sitepath = []
        found = getattr(request, "found", None) or self._find(request)
        target = settle_route(request, found)
        if type(target) is Endpoint:
            return target.enter(request)
        if target is None:
            target = self.resource if request.postpath == [b""] else _Nothing()
            return self.mounts.beyond(request, target) or target
        if not isinstance(target, Mounted):  # it is nobody's in particular
            target = self.mounts.beyond(request, target) or target
        return target.enter(request)

    def _find(self, request: Any) -> Found[Any] | Moved | Missing[Any]:
        """
        :raise Refused: When no text can come of the path, or the ``Host`` header
            names no host (RFC 9112, section 3.2).
        """
        path, method = request.path.decode("latin-1"), request.method.decode("latin-1")
        find, host = self.mounts.table.find, ""
        if not _is_direct(request) or not self.mounts.has_lanes:
            host = (request.getHeader(b"host") or b"").decode("latin-1")
            if not _is_host(host):
                raise Refused(400, "the Host header names no host")
        try:
            return find(path, method, host)
        except UnicodeDecodeError:
            # A resource may have names that are no text; a route has not.
            found = find(quote(unquote(path, errors="replace")), method, host)
        if isinstance(found, Missing) and is_resource(found.guard):
            return found
        raise Refused(400, "the address is not text in UTF-8")

    def longest_body_of(self, request: Any) -> int:
        """
        How long a request's body may be, as soon as its headers are here.
        """
        self.mounts.table  # noqa: B018  # it says whether routes have limits of their own
        if self.mounts.shortest is None:
            return self.longest_body
        options = self._options_of(request)
        own = None if options is None else options.longest_body
        return self.longest_body if own is None else own

    def streams_to(self, request: Any) -> bool:
        """
        Whether what answers a request takes the body while it comes.
        """
        self.mounts.table  # noqa: B018  # as above
        if not self.mounts.streams:
            return False
        options = self._options_of(request)
        return options is not None and options.streams

    def _options_of(self, request: Any) -> Options | None:
        """
        The options of what will answer a request of which the headers are here.
        """
        target = ABSOLUTE.sub(b"", request.uri, count=1)
        path, host = target.partition(b"?")[0], request.getHeader(b"host") or b""
        asked = (each.decode("latin-1") for each in (path, request.method, host))
        try:
            found = self.mounts.table.find(*asked)
        except UnicodeDecodeError:
            return None
        if isinstance(found, Found):
            options: Options = found.entry.target.options
            return options
        guard = found.guard if isinstance(found, Missing) else None
        return None if guard is None else guard.target.options

    def log(self, request: Any) -> None:
        if self.signals.finished and request._started:
            tell(self.signals.finished, request)
        if self.observe is not None:
            self.observe(request)

    def warn_of_dispute(self, proxy: Any) -> None:
        """
        Say, once, that two kinds of headers of a proxy name different clients.
        """
        if self._disputed:
            return
        self._disputed = True
        self._log.warn(
            "the proxy {proxy} sends Forwarded and X-Forwarded-For, which name "
            "different clients: one of them it lets pass as anybody wrote it; set "
            "forwarded in [web] to the one that it writes",
            proxy=getattr(proxy, "host", "at our UNIX socket"),
        )

    def startFactory(self) -> None:
        """Twisted's own access log stays off; ``observe`` is ours."""

    def stopFactory(self) -> None:
        """See :meth:`startFactory`."""


def _is_direct(request: Any) -> bool:
    """Whether our engine has read a request; Twisted's may come here, too."""
    return getattr(request, "direct", False)


def _id_header(name: bytes, value: str) -> bytes:
    line = header_line(name, value)
    assert line is not None
    return line[1]


@lru_cache(1024)
def _is_host(host: str) -> bool:
    return _HOST.fullmatch(host) is not None


class _Nothing(Resource):
    """What is where nothing is."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        return respond(request, Refused(404, "there is nothing here; what there is: /"))
