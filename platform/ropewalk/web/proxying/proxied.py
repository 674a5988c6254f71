# -*- test-case-name: tests.test_proxying -*-
"""
Other servers on a site of ours: what is asked below a path, they answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote

from msgspec import Struct
from twisted.internet.defer import Deferred

from ropewalk.errors import BadPlugin
from ropewalk.web.hosting.hosted import Hosted, Mounting, Place
from ropewalk.web.proxying.backends import Backend, Backends, Balance
from ropewalk.web.proxying.gates import Gate
from ropewalk.web.proxying.heads import Manners
from ropewalk.web.proxying.pools import PoolLimits
from ropewalk.web.proxying.probes import Probes
from ropewalk.web.proxying.targets import Target, read_target

__all__ = ["LONGEST_BODY", "Proxied", "ProxyMounting", "Terms", "proxy"]

#: Bytes of the longest request body, unless something else is said.
LONGEST_BODY = 100 * 1024 * 1024


class Terms(Struct, frozen=True, kw_only=True):
    """
    How requests are passed on. Seconds are more than 0.

    :ivar strip: Whether a back end is asked without the path of the mount.
    :ivar rewrite: Whether that is put back in ``Location`` and in the paths of cookies.
    :ivar host: Whether back ends are told the host that the client asked for
        (``"keep"``) or their own (``"replace"``).
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

    strip: bool = False
    rewrite: bool = False
    host: Literal["keep", "replace"] = "keep"
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

    def __post_init__(self) -> None:
        if min(self.connect, self.timeout, self.health_interval) <= 0:
            raise ValueError("connect, timeout and health_interval are more than 0")
        if self.connections < 1 or self.queue < 0 or self.idle < 0:
            raise ValueError("connections is 1 or more, queue and idle are 0 or more")
        if self.health and not self.health.startswith("/"):
            raise ValueError(f"health is a path such as '/health', not {self.health!r}")
        if self.host not in ("keep", "replace"):
            raise ValueError(f"host is 'keep' or 'replace', not {self.host!r}")
        if self.balance not in ("least", "round"):
            raise ValueError(f"balance is 'least' or 'round', not {self.balance!r}")


def proxy(targets: str | Sequence[str], **terms: Any) -> Proxied:
    """
    Pass requests on to other servers: ``proxy("http://127.0.0.1:9000")``.

    :param targets: Where they listen: ``"http://…"``, ``"https://…"``,
        ``"unix:/run/app.sock"``; or several of these, which are equals.
    :param terms: See :class:`Terms`.
    :raise ValueError: When it cannot be told where, or how.
    """
    urls = (targets,) if isinstance(targets, str) else tuple(targets)
    if not urls:
        raise ValueError("there is nobody to pass requests to: name a server")
    if len(set(urls)) < len(urls):
        raise ValueError(f"one server is named twice among {', '.join(urls)}")
    agreed = _agreed(terms)
    return Proxied([read_target(each, agreed.trust) for each in urls], agreed)


def _agreed(terms: dict[str, Any]) -> Terms:
    unknown = set(terms) - set(Terms.__struct_fields__)
    if unknown:
        names = ", ".join(sorted(unknown))
        known = ", ".join(Terms.__struct_fields__)
        raise ValueError(f"nothing is known of {names}; what can be said: {known}")
    return Terms(**terms)


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

    def __init__(self, place: Place, targets: Sequence[Target], terms: Terms) -> None:
        limits = PoolLimits(terms.connect, terms.connections, terms.queue, terms.idle)
        reactor = place.reactor
        try:
            made = [Backend(each, limits, reactor) for each in targets]
        except (OSError, ValueError) as error:
            problem = f"cannot pass requests to {targets[0].written}: {error}"
            raise BadPlugin(place.owner, place.origin, problem) from error
        self.backends = Backends(made, terms.balance)
        manners = Manners(
            *(quote(place.prefix), terms.strip, terms.rewrite, terms.host == "keep")
        )
        self.resource: Gate = Gate(
            *(self.backends, manners, reactor, terms.timeout, terms.longest_body)
        )
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
