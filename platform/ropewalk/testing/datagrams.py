# -*- test-case-name: tests.test_datagrams -*-
"""
Somebody at the other end of datagrams.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from twisted.internet.protocol import DatagramProtocol

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.testing.clients import Text, _Talker
from ropewalk.testing.reactor import MemoryReactor
from ropewalk.wire.proofs import HELLO, Prover

__all__ = ["DatagramClient"]


class DatagramClient(_Talker[None]):
    """
    Somebody who sends datagrams. :meth:`MemoryHost.datagrams` makes one.
    """

    def __init__(
        self, clock: MemoryReactor, target: tuple[str, int], peer: str, proof: bool
    ) -> None:
        super().__init__(clock, f"the datagrams of {target[0]}:{target[1]}")
        self._target = target
        self._prover = Prover() if proof else None
        self._proved = False
        self._receiver = _Receiver(self)
        self._port = clock.listenUDP(0, self._receiver, peer, 65_536)

    @inlineCallbacks
    def send(self, datagram: bytes | str) -> Steps[None]:
        """
        Send a datagram; text as UTF-8. The first time, prove to be there as well.

        :return: fires when it was heard, and all has happened that comes of it
            without time passing.
        """
        if isinstance(datagram, str):
            datagram = datagram.encode("utf-8")
        if self._prover is not None and not self._proved:
            self._prover.first = datagram
            self._write(HELLO)
        else:
            self._write(datagram)
        yield self._clock.settle()

    @inlineCallbacks
    def close(self) -> Steps[None]:
        """Be gone, without a word: nobody is told."""
        yield self._port.stopListening()
        self._end(None, "closed")
        yield self._clock.settle()

    def _write(self, datagram: bytes) -> None:
        transport: Any = self._receiver.transport
        transport.write(datagram, self._target)

    def _hear(self, datagram: bytes) -> None:
        if self._prover is None:
            self._take(datagram)
            return
        reply, said = self._prover.take(datagram)
        if reply is not None:
            self._proved = True
            self._write(reply)
        if said is not None:
            self._take(said)

    def _take(self, thing: Text | bytes) -> None:
        if isinstance(thing, bytes):
            with suppress(UnicodeDecodeError):  # it is no text, then
                thing = Text(thing.decode("utf-8"))
        super()._take(thing)

    def _never_open(self) -> None:
        return None


class _Receiver(DatagramProtocol):
    """
    The protocol of somebody who sends datagrams.
    """

    noisy = False

    def __init__(self, client: DatagramClient) -> None:
        self._client = client

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self._client._hear(datagram)
