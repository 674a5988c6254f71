# -*- test-case-name: tests.test_proxying -*-
"""
Other servers on a site of ours: what is asked below a path, they answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from twisted.internet.defer import Deferred

from ropewalk.errors import BadPlugin
from ropewalk.web.hosting.hosted import Hosted, Mounting, Place
from ropewalk.web.hosting.settings import BadMount
from ropewalk.web.proxying.backends import Backend, Backends, Balance
from ropewalk.web.proxying.gates import Gate
from ropewalk.web.proxying.heads import Manners
from ropewalk.web.proxying.pools import PoolLimits
from ropewalk.web.proxying.probes import Probes
from ropewalk.web.proxying.targets import Target, read_target

__all__ = [
    "LONGEST_BODY",
    "Proxied",
    "ProxyMounting",
    "Terms",
    "agree",
    "limits_of",
    "make_gate",
    "proxy",
]

#: Bytes of the longest request body, unless something else is said.
LONGEST_BODY = 100 * 1024 * 1024


class Terms(Struct, frozen=True, kw_only=True):
    """
    How requests are passed on. Seconds are more than 0.

    :ivar keep_prefix: Whether a back end is asked for the whole path, with that of the
        mount.
    :ivar rewrite: Whether the path of the mount, if it is left out, is put back in
        ``Location`` and in the paths of cookies.
    :ivar keep_host: Whether a back end is told which host the client asked for, rather
        than its own.
    :ivar balance: Whom the next request goes to: who has the fewest (``"least"``) or
        each in turn (``"round"``).
    :ivar connect: Seconds to connect.
    :ivar timeout: Seconds without a word after which a back end has failed.
    :ivar connections: How many there may be to each.
    :ivar queue: How many requests may wait for one.
    :ivar idle: Seconds for which one is kept that nobody uses.
    :ivar health: A path that each back end is asked for, to see whether it is well;
        empty for none.
    :ivar health_interval: Seconds between two such questions.
    :ivar trust: A file with the certificates that ``https:`` back ends are trusted by,
        in PEM; empty for those of the system.
    :ivar longest_body: Bytes of the longest request body.
    """

    keep_prefix: bool = True
    rewrite: bool = False
    keep_host: bool = True
    balance: Balance = "least"
    connect: float = 5.0
    timeout: float = 60.0
    connections: int = 256
    queue: int = 1000
    idle: float = 4.0
    health: str = ""
    health_interval: float = 5.0
    trust: str = ""
    longest_body: int | None = LONGEST_BODY

    def check(self) -> None:
        """:raise BadMount: When one of them makes no sense."""
        for key in ("connect", "timeout", "health_interval"):
            if getattr(self, key) <= 0:
                raise BadMount(key, f"{key} is more than 0 seconds")
        if self.connections < 1 or self.queue < 0 or self.idle < 0:
            problem = "connections is 1 or more, queue and idle are 0 or more"
            raise BadMount("connections", problem)
        if self.health and not self.health.startswith("/"):
            problem = f"health is a path such as '/health', not {self.health!r}"
            raise BadMount("health", problem)
        if self.balance not in ("least", "round"):
            problem = f"balance is 'least' or 'round', not {self.balance!r}"
            raise BadMount("balance", problem)
        if self.rewrite and self.keep_prefix:
            problem = "there is nothing to put back while keep_prefix is true"
            raise BadMount("rewrite", problem)


def proxy(targets: str | Sequence[str], **terms: Any) -> Proxied:
    """
    Pass requests on to other servers: ``proxy("http://127.0.0.1:9000")``.

    :param targets: Where they listen: ``"http://…"``, ``"https://…"``,
        ``"unix:/run/app.sock"``; or several of these, which are equals.
    :param terms: See :class:`Terms`.
    :raise BadMount: When it cannot be told where, or how.
    """
    urls = (targets,) if isinstance(targets, str) else tuple(targets)
    if not urls:
        raise BadMount("proxy", "there is nobody to pass requests to: name a server")
    if len(set(urls)) < len(urls):
        problem = f"one server is named twice among {', '.join(urls)}"
        raise BadMount("proxy", problem)
    agreed = agree(terms)
    try:
        return Proxied([read_target(each, agreed.trust) for each in urls], agreed)
    except ValueError as error:
        raise BadMount("proxy", str(error)) from None


def agree(terms: Mapping[str, Any]) -> Terms:
    """
    Read terms.

    :raise BadMount: When they make no sense.
    """
    unknown = [each for each in terms if each not in Terms.__struct_fields__]
    if unknown:
        known = ", ".join(Terms.__struct_fields__)
        problem = f"nothing is known of {unknown[0]}; what can be said: {known}"
        raise BadMount(unknown[0], problem)
    agreed = Terms(**terms)
    agreed.check()
    return agreed


class Proxied(Hosted):
    """
    Other servers.

    :param targets: Where they listen.
    """

    kind = "proxy"

    def __init__(self, targets: Sequence[Target], terms: Terms) -> None:
        self.targets = tuple(targets)
        self.terms = terms
        self.longest_body = terms.longest_body

    def at(self, place: Place) -> ProxyMounting:
        return ProxyMounting(place, self.targets, self.terms)

    @property
    def shown(self) -> str:
        written = ", ".join(each.written for each in self.targets)
        return f"{written} (proxy)"


class ProxyMounting(Mounting):
    """
    Other servers at their place.

    :ivar backends: They.
    """

    resource: Gate

    def __init__(self, place: Place, targets: Sequence[Target], terms: Terms) -> None:
        reactor, limits = place.network or place.reactor, limits_of(terms)
        try:
            made = [Backend(each, limits, reactor) for each in targets]
        except (OSError, ValueError) as error:
            problem = f"cannot pass requests to {targets[0].written}: {error}"
            raise BadPlugin(place.owner, place.origin, problem) from error
        self.backends = Backends(made, terms.balance)
        self.resource = make_gate(self.backends, place, terms)
        self._probes = Probes(made, terms.health, terms.health_interval, reactor)
        self._checks = bool(terms.health)

    def startService(self) -> None:
        super().startService()
        self.resource.start()
        if self._checks:
            self._probes.start()

    def stopService(self) -> Deferred[Any] | None:
        super().stopService()
        self._probes.stop()
        self.resource.stop()
        return None

    def problem(self) -> str | None:
        """
        Why nothing can be asked, or ``None``: a check for ``host.health.add``.
        """
        states = {each.target.written: each.state for each in self.backends}
        if any(state in ("ready", "resting") for state in states.values()):
            return None
        return "; ".join(f"{name} is {state}" for name, state in states.items())

    def leave(self, written: str) -> Deferred[Any]:
        """
        Take a back end out, as it is written: it gets no new requests.

        :return: fires when it has finished those that it has.
        :raise KeyError: When there is none.
        """
        return self._called(written).leave()

    def come_back(self, written: str) -> None:
        """
        Give it requests again.

        :raise KeyError: When there is none.
        """
        self._called(written).come_back()

    def figures(self) -> dict[str, dict[str, Any]]:
        """What can be said of each back end in numbers."""
        return self.backends.figures()

    def _called(self, written: str) -> Backend:
        for each in self.backends:
            if each.target.written == written:
                return each
        raise KeyError(written)


def limits_of(terms: Terms) -> PoolLimits:
    """What there may be of connections to each back end."""
    return PoolLimits(terms.connect, terms.connections, terms.queue, terms.idle)


def make_gate(backends: Backends, place: Place, terms: Terms) -> Gate:
    """What passes requests on from a place."""
    prefix = quote(place.prefix)
    manners = Manners(prefix, not terms.keep_prefix, terms.rewrite, terms.keep_host)
    clock, longest = place.reactor, terms.longest_body
    return Gate(backends, manners, clock, terms.timeout, longest)
