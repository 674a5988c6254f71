# -*- test-case-name: tests.test_benchmarks -*-
"""
A run: starts, then rounds of short slots, in which the peers take turns.

First each peer is started by itself, several times: how long that takes, and what it
needs while connections wait. Then come rounds. In one, all peers are started; each load
is put on one peer after another, in an order that is another in each round, while the
others idle; and all are stopped. So what is compared was measured within seconds, and
no server's luck with its addresses or its hashes lasts for longer than a round.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from attrs import define, field

from benchmarks.environments import CACHE, Absent
from benchmarks.loads import Load, Outcome, Wrong, check, hold, read_outcome
from benchmarks.loads import sample as ask_once
from benchmarks.peers import Peer
from benchmarks.results import Facts, Results, Round, Slot, Start
from benchmarks.servers import Server

__all__ = ["Measurement"]

#: Connections that are held to see what one takes.
HELD = 5_000

#: Seconds in which a server lets go of what it needed to start, or to answer.
REST = 0.3

#: Seconds that a load may take longer than it was told.
PATIENCE = 30

#: What can go wrong with a peer.
_TROUBLE = (Absent, Wrong, OSError, subprocess.SubprocessError)


@define
class Measurement:
    """
    What is measured, and how far it got.

    :ivar cores: Which processor the servers have, and which the loads; ``None`` for
        both together on any.
    :ivar path: Where the results are kept, all along.
    :ivar directory: For what the servers read and write.
    """

    peers: list[Peer]
    loads: list[Load]
    results: Results
    path: Path
    cores: tuple[int, int] | None = None
    directory: Path = CACHE / "run"
    _known: dict[str, dict[str, str]] = field(factory=dict)
    _unfit: set[tuple[str, str]] = field(factory=set)

    def prepare(self) -> None:
        """
        Install the peers, and see that each does what it will be measured at.
        """
        for peer in list(self.peers):
            print(f"  {peer.title}", flush=True)
            try:
                peer.home.make()
                with self._started(peer) as server:
                    self._check(server)
                self.results.peers[peer.name] = self._describe(peer)
            except _TROUBLE as error:
                print(f"  {peer.title} is not measured: {error}", flush=True)
                self.results.absent[peer.title] = str(error)
                self.peers.remove(peer)
        self.results.save(self.path)

    def _describe(self, peer: Peer) -> Facts:
        home = peer.home
        there = self._known.get(home.name)
        if there is None:
            there = self._known[home.name] = home.versions()
        made_of = ("python", *peer.made_of) if peer.made_of else ()
        versions = {name: there[name] for name in made_of if name in there}
        return Facts(peer.title, versions, peer.note)

    def _check(self, server: Server) -> None:
        for load in self._loads_of(server.peer):
            try:
                check(load, server.port)
            except Wrong as error:
                self._fail(server.peer, load.name, str(error))
                self._unfit.add((server.peer.name, load.name))

    def _fail(self, peer: Peer, what: str, problem: str) -> None:
        """What happens to one peer is no reason not to measure the others."""
        print(f"  {peer.title}, {what}: {problem}", flush=True)
        self.results.failures.setdefault(peer.name, {})[what] = problem

    @contextmanager
    def _surviving(self, peer: Peer, what: str) -> Iterator[None]:
        try:
            yield
        except _TROUBLE as error:
            self._fail(peer, what, str(error))

    def _start(self, peer: Peer) -> Server:
        return Server(peer, self.cores and self.cores[0], self.directory)

    @contextmanager
    def _started(self, peer: Peer) -> Iterator[Server]:
        server = self._start(peer)
        try:
            yield server
        finally:
            server.stop()

    def _loads_of(self, peer: Peer) -> Iterator[Load]:
        for load in self.loads:
            unfit = (peer.name, load.name) in self._unfit
            if load.name in peer.serves and not unfit:
                yield load

    def start_each(self, idle: bool) -> None:
        """
        Start the peers one after another, each by itself.

        :param idle: Whether to see what connections take, too.
        """
        for peer in self.peers:
            with self._surviving(peer, "start"), self._started(peer) as server:
                time.sleep(REST)
                start = Start(server.seconds, server.memory())
                self.results.starts.setdefault(peer.name, []).append(start)
                if idle:
                    with self._surviving(peer, "idle"):
                        start.idle = self._hold(server, start.rest)
        self.results.save(self.path)

    def _hold(self, server: Server, before: float) -> float:
        """KiB for a connection."""
        with hold(server.port, HELD, server.peer.speaks_lines):
            time.sleep(REST)
            return (server.memory() - before) * 1024 / HELD

    def measure_round(self) -> None:
        """
        All peers under all loads.
        """
        number = len(self.results.rounds)
        this = Round(os.getloadavg()[0])
        self.results.rounds.append(this)
        servers: dict[str, Server] = {}
        try:
            self._start_all(servers)
            for load in self.loads:
                slots = this.slots.setdefault(load.name, {})
                chosen = [
                    name
                    for name, server in servers.items()
                    if load in self._loads_of(server.peer)
                ]
                Random(number).shuffle(chosen)
                for name in chosen:
                    self._measure(servers, name, load, slots)
                self._tell(load, slots)
                self.results.save(self.path)
            for name, server in servers.items():
                if server.runs:
                    this.memory[name] = server.memory()
        finally:
            for server in servers.values():
                server.stop()
            self.results.save(self.path)

    def _tell(self, load: Load, slots: dict[str, Slot]) -> None:
        """How far it is, for who watches."""
        ranked = sorted(slots.items(), key=lambda item: -item[1].rate)
        rates = ", ".join(f"{name} {slot.rate:,.0f}" for name, slot in ranked)
        print(f"  {load.title}: {rates}", flush=True)

    def _start_all(self, servers: dict[str, Server]) -> None:
        for peer in self.peers:
            with self._surviving(peer, "start"):
                servers[peer.name] = self._start(peer)

    def _measure(
        self, servers: dict[str, Server], name: str, load: Load, slots: dict[str, Slot]
    ) -> None:
        """One slot. Who has ended in an earlier one is started again."""
        peer = servers[name].peer
        with self._surviving(peer, load.name):
            if not servers[name].runs:
                servers[name].stop()
                servers[name] = self._start(peer)
            slots[name] = self._slot(servers[name], load)

    def _slot(self, server: Server, load: Load) -> Slot:
        """
        :raise Wrong: When an answer is not what it should be, or there is none.
        """
        try:
            before = ask_once(load, server.port)
            began = server.worked()
            outcome = self._ask(load, server.port)
            worked = server.worked() - began
            outcome.check(load, (before, ask_once(load, server.port)))
        except Wrong as error:
            if server.runs:
                raise
            raise Wrong(f"{error}; it ended: {server.last_words()}") from None
        if worked <= 0:
            raise Wrong("a process of it has ended")
        rate = outcome.count / outcome.seconds
        return Slot(rate, outcome.count / worked, outcome.p50, outcome.p99)

    def _ask(self, load: Load, port: int) -> Outcome:
        words = load.words(port, self.results.seconds)
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=self.results.seconds + PATIENCE,
            text=True,
        )
        return read_outcome(done.stdout)
