"""
Plays in the arena: goes round in it, and prints where everybody is.

::

    $ python player.py Ada

"""

from __future__ import annotations

import json
import math
import socket
import sys
import time
from typing import Any

from ropewalk.wire.proofs import HELLO, Prover

WHERE = ("127.0.0.1", 7072)


class Player:
    """
    Somebody who plays.

    :param where: The host and port of the arena.
    :param name: What to be called.
    """

    def __init__(self, where: tuple[str, int], name: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(where)
        self._socket.settimeout(1.0)
        self._name = name
        self._prover = Prover()
        self._say_hello()

    def move(self, x: float, y: float) -> None:
        """Say where to go: each from -1 to 1."""
        self._say(move=[x, y])

    def leave(self) -> None:
        """Go out of the arena."""
        self._say(leave=True)
        self._socket.close()

    def see(self) -> Any:
        """
        What is told next: ``{"step": 7, "players": {"Ada": [50.0, 50.0]}}``.

        :return: it; ``None`` when nothing was told for a second.
        """
        try:
            datagram = self._socket.recv(2048)
        except TimeoutError:
            self._say_hello()  # something got lost, or everything begins anew
            return None
        reply, said = self._prover.take(datagram)
        if reply is not None:
            self._socket.send(reply)
        return None if said is None else json.loads(said)

    def _say_hello(self) -> None:
        self._prover.first = json.dumps({"join": self._name}).encode()
        self._socket.send(HELLO)

    def _say(self, **said: Any) -> None:
        self._socket.send(json.dumps(said).encode())


def main(name: str, seconds: float = 30.0) -> None:
    """Go round for a while."""
    player = Player(WHERE, name)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sys.stdout.write(f"{player.see()}\n")
        angle = time.monotonic()
        player.move(math.cos(angle), math.sin(angle))
    player.leave()


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else "Ada")
