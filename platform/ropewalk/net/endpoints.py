# -*- test-case-name: tests.test_endpoints -*-
"""
Where to listen: a Twisted endpoint string, of which we know early on which
address it will want, and which we can bind before we accept. And where to connect
to. What comes of either has the transports of :mod:`ropewalk.net.transports`.

Between binding and accepting lies the start of every service. A daemon that
binds first learns at once that its port is taken, may give up its privileges
before it runs anybody's code, and refuses connections until it can serve them.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorSocket,
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import getPlugins
from zope.interface import directlyProvides, implementer, providedBy

from ropewalk.errors import BadEndpoint, MissingExtra
from ropewalk.net.proxied import ProxiedFactory
from ropewalk.net.transports import LoopNetwork, network
from ropewalk.net.vanished import VANISHED, watch_peers
from ropewalk.schema import nearest

__all__ = [
    "BadDestination",
    "Claim",
    "Doorway",
    "bind",
    "claim",
    "claim_datagrams",
    "make_client",
]

#: The arguments of the endpoints that are Twisted's own, in the order in which
#: they come where they have no names.
_ARGUMENTS = {
    "tcp": ("port", "interface", "backlog"),
    "tcp6": ("port", "backlog", "interface"),
    "ssl": (
        *("port", "privateKey", "certKey", "sslmethod", "interface", "backlog"),
        *("extraCertChain", "dhParameters"),
    ),
    "tls": ("path", "port", "backlog", "interface"),
    "unix": ("address", "mode", "backlog", "lockfile"),
    "systemd": ("domain", "index", "name"),
}

#: The arguments of those that connect.
_REACHED = {
    "tcp": ("host", "port", "timeout", "bindAddress"),
    "ssl": (
        *("host", "port", "timeout", "bindAddress", "hostname"),
        *("privateKey", "certKey", "caCertsDir"),
    ),
    "tls": (
        *("host", "port", "timeout", "bindAddress", "certificate"),
        *("privateKey", "trustRoots", "endpoint"),
    ),
    "unix": ("path", "lockfile", "timeout"),
}

#: The ones that listen at one TCP port in the end, and what they mean unless told.
_TCP = {
    "tcp": {"interface": ""},
    "tcp6": {"interface": "::"},
    "ssl": {"interface": ""},
    "tls": {"interface": "::", "port": "443"},
}

#: The one for datagrams, which is ours, and what it means unless told.
_DATAGRAMS: dict[str, tuple[str, ...]] = {"udp": ("port", "interface")}
_UDP = {"udp": {"interface": ""}}

#: How many connections may wait to be accepted, where an endpoint does not say. Twisted
#: says 50: of a burst, the others come again only after a second.
_BACKLOG = 1024

#: What an endpoint begins with that is behind a proxy.
_PROXIED = "haproxy:"

_NOBODY_TRUSTED = (
    "haproxy: takes a proxy's word for who is calling, and no proxy is trusted; "
    'name yours in [host]: trusted_proxies = ["127.0.0.1"]'
)

_NO_DATAGRAMS = "datagrams come to udp: and a port, udp:7072:interface=127.0.0.1"

_DATAGRAMS_ONLY = (
    "udp: has datagrams and no connections; give host.datagrams() a protocol for them"
)

_NO_PATH = "write unix: and the path of the socket"

# A word up to a colon that no backslash stands before, and one up to an equals
# sign.
_WORD = re.compile(r"((?:\\.|[^\\:])*)(:|\Z)", re.DOTALL)
_NAMED = re.compile(r"((?:\\.|[^\\=])*)=(.*)", re.DOTALL)


class Claim(Struct, frozen=True):
    """
    What an endpoint takes for itself.

    :ivar kind: ``"tcp"``, ``"udp"``, ``"unix"``, or another endpoint's prefix.
    :ivar address: A port, an absolute path, the index or name of a socket
        that systemd passed on, or the rest of the string.
    :ivar interface: The address to listen on; empty for all those of IPv4,
        ``"::"`` for all there are.
    """

    kind: str
    address: str
    interface: str = ""

    def clashes(self, other: Claim) -> bool:
        """Whether both cannot be had at once. Port 0 is as many as one likes."""
        if (self.kind, self.address) != (other.kind, other.address):
            return False
        if self.kind not in ("tcp", "udp"):
            return True
        return self.address != "0" and (
            _covers(self.interface, other.interface)
            or _covers(other.interface, self.interface)
        )

    def __str__(self) -> str:
        if self.kind not in ("tcp", "udp"):
            return f"{self.kind}:{self.address}"
        interface = "" if self.interface == "::" else self.interface
        name = f"{self.kind.upper()} port {self.address}"
        return f"{name} of {interface or 'every interface'}"


def claim(description: str) -> Claim:
    """
    Say what an endpoint will take.

    :param description: As for
        :func:`twisted.internet.endpoints.serverFromString`.
    """
    kind, arguments = _parse(description)
    rest = description.partition(":")[2]
    if kind == "haproxy":
        return claim(rest)
    if kind in _TCP:
        port = arguments.get("port", "")
        with suppress(ValueError):
            port = str(int(port))
        interface = _known_as(arguments["interface"])
        if kind == "tcp6" and not interface:
            interface = "::"
        return Claim("tcp", port, interface)
    if kind == "udp":
        return _claim_udp(description)
    if kind == "unix" and arguments.get("address"):
        return Claim("unix", os.path.abspath(arguments["address"]))
    if kind == "systemd":
        return Claim("systemd", arguments.get("index") or arguments.get("name", ""))
    return Claim(kind, rest)


def claim_datagrams(description: str) -> Claim:
    """
    Say where datagrams are to come to.

    :param description: ``"udp:7072"``, ``"udp:7072:interface=127.0.0.1"``.
    :raise BadEndpoint: When it is no such string.
    """
    kind, arguments = _parse(description, _DATAGRAMS, _UDP)
    if kind != "udp":
        raise BadEndpoint(description, _NO_DATAGRAMS)
    slip = _slip(kind, arguments, _DATAGRAMS["udp"], ValueError())
    if slip is not None:
        raise BadEndpoint(description, slip)
    wanted = _claim_udp(description)
    if not _is_port(wanted.address):
        raise BadEndpoint(description, _no_port(wanted.address))
    return wanted


def _claim_udp(description: str) -> Claim:
    _, arguments = _parse(description, _DATAGRAMS, _UDP)
    port = arguments.get("port", "")
    with suppress(ValueError):
        port = str(int(port))
    return Claim("udp", port, _known_as(arguments["interface"]))


class BadDestination(BadEndpoint):
    """
    It cannot be told where to connect to.
    """

    def __str__(self) -> str:
        return f"cannot connect to {self.endpoint!r}: {self.problem}"


def make_client(description: str, reactor: Any) -> IStreamClientEndpoint:
    """
    Make an endpoint that connects.

    :param description: As for
        :func:`twisted.internet.endpoints.clientFromString`.
    :raise BadDestination: When the string is none.
    :raise MissingExtra: When it needs a library that is not installed.
    """
    kind, arguments = _parse(description, _REACHED, {})
    try:
        endpoint: IStreamClientEndpoint = clientFromString(
            network(reactor), description
        )
    except Exception as error:
        if kind in ("ssl", "tls") and not _has_tls():
            raise MissingExtra(f"the endpoint {description!r}", "tls") from error
        problem = _no_destination(description, error)
        raise BadDestination(description, problem) from error
    if kind in ("tcp", "ssl", "tls") and not _is_port(arguments["port"]):
        raise BadDestination(description, _no_port(arguments["port"]))
    if kind == "unix" and not arguments["path"]:
        raise BadDestination(description, _NO_PATH)
    return endpoint


class _EarlyReactor:
    """
    The reactor, but that a TCP port which is bound already is not bound again.
    Endpoints of any kind that end in ``listenTCP`` or ``listenSSL`` use it.

    :ivar bound: The socket that is bound, and its port; ``None`` for none.
    :ivar backlog: How many connections may wait to be accepted; 0 for as many as the
        endpoint says.
    :ivar admit: Puts something before each factory, where the bytes of a connection
        come first: before TLS.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = network(reactor)
        self.bound: tuple[int, socket.socket] | None = None
        self.backlog = 0
        self.admit: Callable[[Any], Any] = lambda factory: factory
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        factory, backlog = self.admit(factory), self.backlog or backlog
        if self.bound is None or self.bound[0] != port:
            ordinary: IListeningPort = self._reactor.listenTCP(
                port, factory, backlog=backlog, interface=interface
            )
            return ordinary
        bound = self.bound[1]
        try:
            bound.listen(backlog)
        except OSError as error:
            raise CannotListenError(interface, port, error) from error
        # The loop has to be told how many may wait, or there will be more.
        told = {"backlog": backlog} if isinstance(self._reactor, LoopNetwork) else {}
        opened: IListeningPort = self._reactor.adoptStreamPort(
            bound.fileno(), bound.family, factory, **told
        )
        return opened

    def listenSSL(
        self,
        port: int,
        factory: Any,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        from twisted.protocols.tls import TLSMemoryBIOFactory

        wrapped = TLSMemoryBIOFactory(contextFactory, False, factory, self._reactor)
        return self.listenTCP(port, wrapped, backlog, interface)

    def listenUNIX(self, address: str, factory: Any, **options: Any) -> IListeningPort:
        opened: IListeningPort = self._reactor.listenUNIX(
            address, self.admit(factory), **options
        )
        return opened

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: Any, factory: Any
    ) -> IListeningPort:
        opened: IListeningPort = self._reactor.adoptStreamPort(
            fileDescriptor, addressFamily, self.admit(factory)
        )
        return opened


class Doorway:
    """
    One place to listen: bound, then opened, then closed.

    :param description: An endpoint string. The certificates that it names are
        read at once, while there are the privileges to do so.
    :param trusts: Whether an ``IAddress`` is a trusted proxy's, for ``haproxy:``;
        ``None`` where there are none.
    :param vanished: Seconds after which a peer is gone of whom nothing comes, not even
        an answer of its system's; 0 leaves it to ours.
    :raise BadEndpoint: When the string is none, or what it needs is not there.
    :raise MissingExtra: When it needs a library that is not installed.
    """

    __slots__ = (
        *("_claim", "_closed", "_early", "_endpoint", "_port", "_proxied"),
        *("_reactor", "_trusts", "_vanished", "description"),
    )

    def __init__(
        self,
        description: str,
        reactor: Any,
        trusts: Callable[[Any], bool] | None = None,
        vanished: float = VANISHED,
    ) -> None:
        self.description = description
        self._reactor, self._trusts, self._vanished = reactor, trusts, vanished
        self._port: IListeningPort | None = None
        self._closed = False
        self._proxied: list[ProxiedFactory] = []
        self._claim = claim(description)
        self._early = _EarlyReactor(reactor)
        kind, arguments = _parse(_behind(description))
        if "backlog" not in arguments:
            self._early.backlog = _BACKLOG
        self._endpoint = _endpoint(self._early, description, self._claim)
        if description.startswith(_PROXIED):
            self._expect_proxy(kind)

    def bind(self) -> None:
        """
        Take the address, where it is a TCP port; nobody can connect yet.

        :raise CannotListenError: When it cannot be had.
        """
        if (
            self._claim.kind == "tcp"
            and self._early.bound is None
            and IReactorSocket.providedBy(self._reactor)
        ):
            port = int(self._claim.address)
            bound = bind(self._claim.interface, port)
            watch_peers(bound, self._vanished)
            self._early.bound = port, bound

    def open(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Accept connections.

        :return: fires with the port.
        :raise CannotListenError: When the address cannot be had.
        """
        self._closed = False
        opening: Deferred[IListeningPort] = maybeDeferred(
            self._endpoint.listen, factory
        )
        return opening.addCallback(self._opened).addBoth(self._unbind)

    def close(self) -> Deferred[Any]:
        """Accept no more, and give the address back."""
        self._closed = True
        self._unbind(None)
        while self._proxied:
            self._proxied.pop().hang_up()
        port, self._port = self._port, None
        return maybeDeferred((lambda: None) if port is None else port.stopListening)

    @property
    def address(self) -> Any:
        """The address it accepts at, an ``IAddress``; ``None`` while closed."""
        return None if self._port is None else self._port.getHost()

    def _expect_proxy(self, kind: str) -> None:
        if self._trusts is None:
            raise BadEndpoint(self.description, _NOBODY_TRUSTED)
        if kind in _ARGUMENTS:
            self._early.admit = self._admit
        else:
            # Of those that are not Twisted's own, nobody knows how they listen.
            self._endpoint = _Wrapped(self._endpoint, self._admit)

    def _admit(self, factory: IProtocolFactory) -> ProxiedFactory:
        assert self._trusts is not None
        proxied = ProxiedFactory(factory, self._trusts, self._reactor, self.description)
        self._proxied.append(proxied)
        return proxied

    def _opened(self, port: IListeningPort) -> IListeningPort:
        self._port = port
        listening = getattr(port, "socket", None)  # no interface promises it
        if listening is not None:
            watch_peers(listening, self._vanished)
        if self._closed:
            self.close()  # it was closed while it was being opened
        return port

    def _unbind(self, result: Any) -> Any:
        bound, self._early.bound = self._early.bound, None
        if bound is not None:
            bound[1].close()
        return result


@implementer(IStreamServerEndpoint)
class _Wrapped:
    """
    An endpoint that puts something before each factory.
    """

    __slots__ = ("_endpoint", "_wrap")

    def __init__(
        self,
        endpoint: IStreamServerEndpoint,
        wrap: Callable[[IProtocolFactory], IProtocolFactory],
    ) -> None:
        self._endpoint, self._wrap = endpoint, wrap

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        listening: Deferred[IListeningPort] = self._endpoint.listen(
            self._wrap(protocolFactory)
        )
        return listening


def _parse(
    description: str,
    places: dict[str, tuple[str, ...]] = _ARGUMENTS,
    defaults: dict[str, dict[str, str]] = _TCP,
) -> tuple[str, dict[str, str]]:
    """
    An endpoint's prefix and arguments, by name; those that have no name and no
    known place are left out.
    """
    (_, kind), *words = _words(description)
    names = iter(places.get(kind, ()))
    arguments = dict(defaults.get(kind, {}))
    for name, value in words:
        place = next(names, None) if name is None else name
        if place is not None:
            arguments[place] = value
    return kind, arguments


def _words(description: str) -> Iterator[tuple[str | None, str]]:
    """
    The words of an endpoint string: their name, if they have one, and what they
    say.
    """
    for word in _WORD.finditer(description):
        named = _NAMED.fullmatch(word[1])
        name = _unquoted(named[1]) if named else None
        yield name, _unquoted(named[2] if named else word[1])
        if not word[2]:
            return


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL)


def _known_as(interface: str) -> str:
    """
    An interface by the name that all its names have in common.
    """
    if interface in ("0.0.0.0", "localhost"):
        return "" if interface == "0.0.0.0" else "127.0.0.1"
    try:
        return str(ip_address(interface))
    except ValueError:
        return interface


def _covers(wide: str, narrow: str) -> bool:
    """
    Whether who has one interface has the other. A socket of IPv6 takes IPv4's
    connections, too (ipv6(7), bindv6only).
    """
    return wide in (narrow, "::") or (not wide and ":" not in narrow)


def bind(
    interface: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM
) -> socket.socket:
    """
    Make a socket that has an address, and does not block.

    :raise CannotListenError: When it cannot be had.
    """
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    bound = socket.socket(family, kind)
    try:
        bound.setblocking(False)
        if os.name == "posix" and kind == socket.SOCK_STREAM:
            # As Twisted's own ports do: a restart need not wait for the last
            # connections of the process before it (TIME_WAIT).
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        [*_, address] = socket.getaddrinfo(
            interface or None, port, family, bound.type, 0, socket.AI_PASSIVE
        )[0]
        bound.bind(address)
    except (OSError, ValueError) as error:  # or a name that no name can be: IDNA
        bound.close()
        raise CannotListenError(interface, port, error) from error
    return bound


def _endpoint(reactor: Any, description: str, wanted: Claim) -> IStreamServerEndpoint:
    """
    Make a Twisted endpoint, or say what is wrong with its string.
    """
    # Who speaks for others is asked by us, not by Twisted: see `_admit`.
    behind = _behind(description)
    kind, arguments = _parse(behind)
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, behind)
        if kind == "tls":
            os.listdir(arguments["path"])  # Twisted would not miss it before long
    except Exception as error:
        if kind in ("ssl", "tls") and not _has_tls():
            raise MissingExtra(f"the endpoint {description!r}", "tls") from error
        raise BadEndpoint(description, _problem(description, error)) from error
    if wanted.kind == "tcp" and not _is_port(wanted.address):
        raise BadEndpoint(description, _no_port(wanted.address))
    if wanted.kind == "unix" and not wanted.address:
        raise BadEndpoint(description, _NO_PATH)
    if kind == "haproxy":
        raise BadEndpoint(description, "write haproxy: once")
    return endpoint


def _behind(description: str) -> str:
    """An endpoint string without what says that a proxy is before it."""
    return description.removeprefix(_PROXIED)


def _problem(description: str, error: Exception) -> str:
    """
    What is wrong with an endpoint string, in words for whoever wrote it.
    """
    kind, arguments = _parse(description)
    if kind == "haproxy":
        return _problem(description.partition(":")[2], error)
    if kind == "udp":
        return _DATAGRAMS_ONLY
    known = _ARGUMENTS.get(kind, ())
    slip = _slip(kind, arguments, known, error)
    if slip is not None:
        return slip
    if kind in _TCP and not _is_port(arguments.get("port", "")):
        return _no_port(arguments.get("port", ""))
    if kind == "systemd" and isinstance(error, LookupError):
        return "systemd passed on no such socket (sd_listen_fds(3))"
    if known and isinstance(error, TypeError):
        return f"{kind}: takes {', '.join(known)}"
    if known or "Unknown endpoint type" not in str(error):
        return f"{type(error).__name__}: {error}"
    return _no_such_kind(kind, description)


def _no_destination(description: str, error: Exception) -> str:
    """
    What is wrong with the endpoint string of a client.
    """
    kind, arguments = _parse(description, _REACHED, {})
    known = _REACHED.get(kind, ())
    slip = _slip(kind, arguments, known, error)
    if slip is not None:
        return slip
    port = arguments.get("port")
    if known and port is not None and not _is_port(port):
        return _no_port(port)
    if known and isinstance(error, LookupError | TypeError):
        return f"{kind}: takes {', '.join(known)}"
    if known or "Unknown endpoint type" not in str(error):
        return f"{type(error).__name__}: {error}"
    parsers = getPlugins(IStreamClientEndpointStringParserWithReactor)
    return _no_kind(kind, {*_REACHED, *(each.prefix for each in parsers)})


def _slip(
    kind: str, arguments: dict[str, str], known: tuple[str, ...], error: Exception
) -> str | None:
    """
    What is wrong with an endpoint string, if that is nothing of its kind's own.
    """
    strange = [name for name in arguments if known and name not in known]
    cause = getattr(error, "originalException", error)  # of a FilePath's
    if isinstance(cause, OSError) and cause.filename is not None:
        return f"cannot read {os.fsdecode(cause.filename)}: {cause.strerror}"
    if isinstance(error, RuntimeError):
        return "it ends with a backslash that has nothing to stand before"
    if not strange:
        return None
    meant = nearest(strange[0], known)
    hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(known)}"
    return f"{kind}: knows no {strange[0]!r}; {hint}"


def _no_port(word: str) -> str:
    return f"a port is a number from 0 to 65535, not {word!r}"


def _is_port(word: str) -> bool:
    return word.isascii() and word.isdigit() and int(word) < 65536


def _no_such_kind(kind: str, description: str) -> str:
    host, _, port = description.rpartition(":")
    if _is_port(port) and (not host or host == "localhost" or set(host) & {".", ":"}):
        interface = host.strip("[]").replace(":", "\\:")
        return f"write {f'tcp:{port}:interface={interface}' if host else f'tcp:{port}'}"
    parsers = getPlugins(IStreamServerEndpointStringParser)
    return _no_kind(kind, {"ssl", "tcp", "unix", *(each.prefix for each in parsers)})


def _no_kind(kind: str, there: set[str]) -> str:
    known = sorted(there)
    meant = nearest(kind, known)
    hint = f"did you mean {meant}:?" if meant else f"there are {', '.join(known)}"
    return f"there are no {kind!r} endpoints; {hint}"


def _has_tls() -> bool:
    try:
        import OpenSSL  # noqa: F401
    except ImportError:
        return False
    return True
