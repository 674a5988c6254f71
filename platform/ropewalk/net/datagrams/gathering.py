# -*- test-case-name: tests.test_datagrams -*-
"""
Those who send datagrams to one place, and who is let in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import MessageLengthError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from ropewalk.net.datagrams.peers import DatagramPeer, address_of
from ropewalk.net.listening import Crowd, namer
from ropewalk.telemetry import Work, work
from ropewalk.wire.proofs import HELLO, MARK, Cookies, challenge, read_answer

__all__ = ["DatagramFigures", "Datagrams"]


class DatagramFigures(Struct):
    """
    What was heard and said, in numbers.

    :ivar heard: Datagrams that were handed on.
    :ivar sent: Datagrams that were sent; those of the proof are not counted.
    :ivar challenged: Strangers that were asked to prove where they are.
    :ivar refused: Newcomers that were not let in: there were too many.
    :ivar limited: Datagrams of peers that send too many.
    :ivar too_long: Datagrams that are too long.
    :ivar withheld: Datagrams not sent to peers that have proved nothing.
    :ivar lost: Datagrams that the network did not take.
    :ivar untold: What was not told to peers that are told too much.
    """

    heard: int = 0
    sent: int = 0
    challenged: int = 0
    refused: int = 0
    limited: int = 0
    too_long: int = 0
    withheld: int = 0
    lost: int = 0
    untold: int = 0


class Datagrams(DatagramProtocol):
    """
    The peers at one place: makes one of each address that sends something, and hands
    them what they send. Give it to ``host.datagrams``.

    :param make: Makes a peer: a subclass of :class:`DatagramPeer`, say.
    :param args: What it is called with.
    :param clock: Where time comes from.
    :param most: How many peers there may be.
    :param most_of_one: How many of them may have one address (of IPv6: one network of
        64 bits); 0 for any number.
    :param proof: Whether a peer is made only of who has proved to be there, as
        :mod:`ropewalk.wire.proofs` has it. Without that, a peer is made of anybody who
        sends something. Until :meth:`DatagramPeer.prove` is called, it is sent no more
        bytes than it has sent, and when there are too many it gives way to others.
    :ivar protocol: What makes a peer.
    :ivar work: Whose peers they are.
    :ivar next_name: Makes names for them.
    """

    noisy = False

    _log = Logger()

    def __init__(
        self,
        make: Callable[..., DatagramPeer],
        *args: Any,
        clock: IReactorTime,
        most: int = 1024,
        most_of_one: int = 64,
        proof: bool = True,
    ) -> None:
        self.work = Work()
        self.next_name: Callable[[], str] = namer()
        self.clock = clock
        self.protocol = make
        self._args = args
        self._most, self._most_of_one = most, most_of_one
        self.proof = proof
        self._cookies = Cookies()
        self._crowd = Crowd()
        self._peers: dict[tuple[str, int], tuple[DatagramPeer, str]] = {}
        self._unproven: dict[tuple[str, int], None] = {}
        self._figures = DatagramFigures()
        self._closed = self._full = False
        self._empty: list[Deferred[None]] = []

    @property
    def peers(self) -> tuple[DatagramPeer, ...]:
        """The peers, those first that came first."""
        return tuple(peer for peer, _ in self._peers.values())

    @property
    def figures(self) -> DatagramFigures:
        """What was done so far."""
        return replace(self._figures)

    def close(self, reason: str) -> Deferred[None]:
        """
        Let nobody in any more, and say goodbye to those who are.

        :return: fires when nobody is left; how long that takes is for them to say.
        """
        self._closed = True
        for peer in self.peers:
            self._within(peer, peer.part, reason)
        if not self._peers:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._empty.append(waiting)
        return waiting

    def abort(self) -> None:
        """Forget everybody at once."""
        for peer in self.peers:
            self._within(peer, peer.leave)

    # What Twisted calls.

    def startProtocol(self) -> None:
        self._closed = False

    def stopProtocol(self) -> None:
        self._closed = True
        self.abort()

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        known = self._peers.get(addr)
        if known is None:
            self._greet(datagram, addr)
        elif self.proof and datagram.startswith(MARK):
            self._hear_again(known[0], datagram, addr)
        else:
            self._within(known[0], known[0].take, datagram)

    # What peers call.

    def write(self, datagram: bytes, place: tuple[str, int]) -> bool:
        """Send something, if that is possible."""
        transport: Any = self.transport
        if transport is None:
            return False
        try:
            transport.write(datagram, place)
        except (OSError, ValueError, MessageLengthError) as error:
            # Full, unreachable or too long, today: nobody who uses UDP relies on it.
            self._log.debug("nothing was sent to {to}: {error}", to=place, error=error)
            self.count("lost")
            return False
        self.count("sent")
        return True

    def count(self, what: str) -> None:
        """Count one more of something."""
        setattr(self._figures, what, getattr(self._figures, what) + 1)

    def proved(self, place: tuple[str, int]) -> None:
        """Somebody has proved to be there."""
        self._unproven.pop(place, None)

    def forget(self, place: tuple[str, int]) -> None:
        """Somebody is gone."""
        _, whose = self._peers.pop(place)
        self._unproven.pop(place, None)
        self._crowd.leave(whose)
        self._full = False
        if not self._peers:
            waiting, self._empty = self._empty, []
            for each in waiting:
                each.callback(None)

    # Those who come.

    def _greet(self, datagram: bytes, place: tuple[str, int]) -> None:
        """Somebody sends something whom nobody knows."""
        if self._closed:
            return
        if not self.proof:
            peer = self._let_in(place, proven=False)
            if peer is not None:
                self._within(peer, peer.take, datagram)
            return
        first = self._proved(datagram, place)
        if first is None:
            return
        peer = self._let_in(place, proven=True)
        if peer is not None and first:
            self._within(peer, peer.take, first)

    def _hear_again(
        self, peer: DatagramPeer, datagram: bytes, place: tuple[str, int]
    ) -> None:
        """
        Somebody whom we know proves once more to be there: what we said did not come,
        or they have begun anew.
        """
        first = self._proved(datagram, place)
        if first:
            self._within(peer, peer.take, first)

    def _proved(self, datagram: bytes, place: tuple[str, int]) -> bytes | None:
        """
        What else somebody says who proves to be there; ``None`` for anybody else, who
        is asked to.
        """
        answered = read_answer(datagram)
        now = self.clock.seconds()
        if answered is not None and self._cookies.knows(answered[0], place, now):
            return answered[1]
        self._challenge(datagram, place)
        return None

    def _challenge(self, datagram: bytes, place: tuple[str, int]) -> None:
        if len(datagram) < len(HELLO) or self.transport is None:
            return
        self.count("challenged")
        cookie = self._cookies.make(place, self.clock.seconds())
        if self.write(challenge(cookie), place):
            self._figures.sent -= 1

    def _let_in(self, place: tuple[str, int], proven: bool) -> DatagramPeer | None:
        if len(self._peers) >= self._most and self._unproven:
            oldest, _ = self._peers[next(iter(self._unproven))]
            self._within(oldest, oldest.leave)
        if len(self._peers) >= self._most:
            self._refuse()
            return None
        whose = self._crowd.enter(address_of(place), self._most_of_one)
        if whose is None:
            self.count("refused")
            return None
        try:
            peer = self.protocol(*self._args)
        except Exception:
            self._log.failure("there is no peer for {place}", place=place)
            self._crowd.leave(whose)
            return None
        self._peers[place] = peer, whose
        if not proven:
            self._unproven[place] = None
        name = self.next_name()
        token = work.set(replace(self.work, connection=name))
        try:
            peer.begin(self, place, name, proven)
        finally:
            work.reset(token)
        return peer

    def _refuse(self) -> None:
        self.count("refused")
        if not self._full:
            self._full = True
            self._log.warn(
                "there are {most} peers; more are not let in till some are gone",
                most=self._most,
            )

    def _within(
        self, peer: DatagramPeer, function: Callable[..., Any], *args: Any
    ) -> None:
        token = work.set(peer.work)
        try:
            function(*args)
        except Exception:
            self._log.failure("{peer} failed", peer=peer)
        finally:
            work.reset(token)
