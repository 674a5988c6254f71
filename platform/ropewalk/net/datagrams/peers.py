# -*- test-case-name: tests.test_datagrams -*-
"""
Somebody who sends datagrams.
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec.structs import replace
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.errors import RopewalkError
from ropewalk.net.flow import Patience, Turns
from ropewalk.telemetry import Work
from ropewalk.wire.proofs import MARK

__all__ = ["DatagramPeer", "Home", "address_of"]

#: What UDP over IPv4 can say at once: RFC 768, less the headers.
_MOST = 65_507


class Home(Protocol):
    """
    Where a peer is at home: among all that send datagrams to one place.

    :ivar clock: Where time comes from.
    :ivar work: Whose peers they are.
    :ivar proof: Whether they have proved to be there before they are let in.
    """

    clock: IReactorTime
    work: Work
    proof: bool

    def write(self, datagram: bytes, place: tuple[str, int]) -> bool:
        """Send something, if that is possible."""

    def count(self, what: str) -> None:
        """Count one more of something."""

    def proved(self, place: tuple[str, int]) -> None:
        """Somebody has proved to be there."""

    def forget(self, place: tuple[str, int]) -> None:
        """Somebody is gone."""


class DatagramPeer:
    """
    Somebody who sends datagrams. Override :meth:`heard`, and the other methods where
    there is something to do. What :meth:`opened`, :meth:`heard` and :meth:`closed`
    return is waited for, if it can be awaited, before the next is called.

    :cvar longest: The longest datagram that is heard, in bytes. (1200 go through any
        network in one piece: RFC 9000, section 14.)
    :cvar idle: Seconds without a datagram after which the peer is forgotten; 0 never
        does.
    :cvar rate: How many datagrams a second are heard, in the long run.
    :cvar burst: How many are heard at once; the others are dropped.
    :cvar ahead: How many may wait for the answer to an earlier one; the others are
        dropped.
    :ivar address: Where it is, an ``IAddress``.
    :ivar name: ``"c17"``.
    :ivar proven: Whether it has proved to be there.
    """

    longest = 1200
    idle = 30.0
    rate = 100.0
    burst = 100
    ahead = 16

    address: Any
    name: str
    proven: bool
    work: Work

    _home: Home
    _place: tuple[str, int]
    _turns: Turns
    _patience: Patience
    _gone: bool
    _held: bool
    _credit: int
    _tokens: float
    _filled: float

    _log = Logger()

    # What to override.

    def opened(self) -> Any:
        """Somebody is there."""

    def heard(self, datagram: bytes) -> Any:
        """
        Take a datagram.

        Raising a :class:`~ropewalk.errors.RopewalkError` calls :meth:`complain`.
        """

    def closed(self) -> Any:
        """
        Nobody is there any more. Called once, after :meth:`opened`, and when nothing
        that was heard is still being worked on.
        """

    def complain(self, error: RopewalkError) -> None:
        """Say what is wrong. Unless overridden, nothing is said."""

    def goodbye(self, reason: str) -> bytes | None:
        """The last datagram before the peer is forgotten, if there is one."""
        return None

    # What to call.

    def send(self, datagram: bytes) -> bool:
        """
        Send a datagram. It may get lost, or come late.

        :return: whether the network has taken it. A peer that is gone is sent nothing,
            nor is one that has proved nothing and has sent fewer bytes than it was
            sent.
        :raise ValueError: When it is longer than UDP can say, or looks like a part of
            the proof.
        """
        if len(datagram) > _MOST:
            raise ValueError(f"UDP cannot say {len(datagram)} bytes at once")
        if self._home.proof and datagram.startswith(MARK):
            raise ValueError(f"a datagram may not begin with {MARK!r}")
        if self._gone:
            return False
        if not self.proven and len(datagram) > self._credit:
            self._home.count("withheld")
            return False
        self._credit -= len(datagram)
        return self._home.write(datagram, self._place)

    def prove(self) -> None:
        """
        It has proved to be there, by some way of yours: by saying what you had sent to
        it and nobody can guess.
        """
        self.proven = True
        self._home.proved(self._place)

    def leave(self, last: bytes | None = None) -> None:
        """Forget the peer, with a last datagram if there is one to say."""
        if self._gone:
            return
        if last is not None:
            self.send(last)
        self._gone = True
        self._patience.wait(0)
        self._home.forget(self._place)
        self._turns.end(self._close)

    def __str__(self) -> str:
        host, port = self._place
        return f"{self.name} from {f'[{host}]' if ':' in host else host}:{port}"

    # What the gathering of peers calls.

    def begin(
        self, home: Home, place: tuple[str, int], name: str, proven: bool
    ) -> None:
        """It is there."""
        self.address, self.name, self.proven = address_of(place), name, proven
        self.work = replace(home.work, connection=name)
        self._home, self._place = home, place
        self._gone = self._held = False
        self._credit = 0
        self._tokens, self._filled = float(self.burst), home.clock.seconds()
        self._turns = Turns(self._wrong, self._hold, home.clock, self.ahead)
        self._patience = Patience(self._silent, home.clock)
        self._patience.wait(self.idle)
        self._turns.take(self.opened)

    def take(self, datagram: bytes) -> None:
        """It has sent something, which may be nothing to be heard."""
        if self._gone:
            return
        now = self._home.clock.seconds()
        self._patience.since = now
        self._credit += len(datagram)
        if len(datagram) > self.longest:
            self._home.count("too_long")
        elif not self._may(now) or self._held:
            self._home.count("limited")
        else:
            self._home.count("heard")
            self._turns.take(self.heard, datagram)

    def part(self, reason: str) -> None:
        """Say goodbye when what it waits for is done."""
        self._turns.end(lambda: self.leave(self._last(reason)))

    def _may(self, now: float) -> bool:
        """Whether it may send one more: a bucket of tokens, filled by the rate."""
        more = (now - self._filled) * self.rate
        self._tokens, self._filled = min(float(self.burst), self._tokens + more), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _hold(self, hold: bool) -> None:
        self._held = hold

    def _silent(self) -> None:
        self.leave(self._last(f"nothing was heard for {self.idle:g} seconds"))

    def _last(self, reason: str) -> bytes | None:
        """What it says at last. One that does not know that goes without a word."""
        try:
            return self.goodbye(reason)
        except Exception:
            self._log.failure("{peer} could not say goodbye", peer=self)
            return None

    def _close(self) -> Any:
        return self.closed()

    def _wrong(self, failure: Failure) -> None:
        if isinstance(failure.value, RopewalkError):
            self.complain(failure.value)
            return
        self._log.failure("what was heard could not be answered", failure)
        self.complain(RopewalkError("something went wrong here; it is in our log"))


def address_of(place: tuple[str, int]) -> IPv4Address | IPv6Address:
    """A host and a port, as Twisted has them."""
    kind = IPv6Address if ":" in place[0] else IPv4Address
    return kind("UDP", *place)
