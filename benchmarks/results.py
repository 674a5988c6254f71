# -*- test-case-name: tests.test_benchmarks -*-
"""
What was measured, and the file that keeps it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import msgspec
from attrs import frozen
from msgspec import Struct, field

__all__ = ["Facts", "Results", "Round", "Slot", "Spread", "Start"]


class Slot(Struct):
    """
    One peer under one load, once.

    :ivar rate: Answers a second.
    :ivar work: Answers a second of the server's time on the processor.
    :ivar p50: Milliseconds that half of the answers took at most; of what is sent
        at once, until the last of it is there.
    :ivar p99: Milliseconds that 99 of 100 took at most.
    """

    rate: float
    work: float
    p50: float
    p99: float


class Start(Struct):
    """
    One start.

    :ivar seconds: Until the first answer.
    :ivar rest: MiB after the first answer.
    :ivar idle: KiB for each connection that has been answered once and is kept.
    """

    seconds: float
    rest: float
    idle: float | None = None


class Round(Struct):
    """
    Every peer under every load, once.

    :ivar before: How many programs wanted to run in the minute before it (the load
        average of the machine).
    :ivar slots: By load, then by peer.
    :ivar memory: MiB after all loads, by peer.
    """

    before: float
    slots: dict[str, dict[str, Slot]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)


class Facts(Struct):
    """
    What a peer is.

    :ivar versions: What it is made of: names and versions.
    """

    title: str
    versions: dict[str, str] = field(default_factory=dict)
    note: str = ""


@frozen
class Spread:
    """
    What came of several rounds.
    """

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread | None:
        """Nothing of nothing."""
        return cls(median(values), min(values), max(values)) if values else None


class Results(Struct):
    """
    A run.

    :ivar when: The day.
    :ivar machine: What it ran on, and with which tools.
    :ivar seconds: How long a slot was.
    :ivar peers: Those that were measured, by name.
    :ivar absent: Those that were not, by their titles, and why.
    :ivar failures: What a peer did not do, at least once: by peer, then by load, or
        ``"start"`` or ``"idle"``.
    """

    when: str
    machine: dict[str, str]
    seconds: float
    peers: dict[str, Facts] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    starts: dict[str, list[Start]] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)

    def __post_init__(self) -> None:
        # As it will be read again: to draw what is there changes nothing.
        self.seconds = float(self.seconds)

    @classmethod
    def load(cls, path: Path) -> Results:
        """
        :raise SystemExit: When there is no such file, or it has something else in it.
        """
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError) as error:
            raise SystemExit(f"{path} has no results: {error}") from None

    def save(self, path: Path) -> None:
        """Write all of it, or leave what was there."""
        new = path.with_name(f".{path.name}.new")
        new.write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")
        os.replace(new, path)

    def slots(self, load: str, peer: str) -> list[Slot]:
        """The rounds of a peer under a load."""
        found = [each.slots.get(load, {}).get(peer) for each in self.rounds]
        return [slot for slot in found if slot]

    def ratios(
        self, load: str, peer: str, base: str, what: str = "rate"
    ) -> Spread | None:
        """
        How many times as much as another, in the rounds that have both.

        :param what: Which attribute of a slot.
        """
        return Spread.of(list(self._ratios(load, peer, base, what)))

    def _ratios(self, load: str, peer: str, base: str, what: str) -> Iterator[float]:
        for each in self.rounds:
            slots = each.slots.get(load, {})
            if peer in slots and base in slots:
                yield getattr(slots[peer], what) / getattr(slots[base], what)

    def memory(self, peer: str) -> Spread | None:
        """MiB after the loads."""
        found = [each.memory.get(peer) for each in self.rounds]
        return Spread.of([each for each in found if each is not None])

    def start(self, peer: str) -> Spread | None:
        """Seconds until the first answer."""
        return Spread.of([each.seconds for each in self.starts.get(peer, [])])

    def rest(self, peer: str) -> Spread | None:
        """MiB after the first answer."""
        return Spread.of([each.rest for each in self.starts.get(peer, [])])

    def idle(self, peer: str) -> Spread | None:
        """KiB for each connection that is kept."""
        found = [each.idle for each in self.starts.get(peer, [])]
        return Spread.of([each for each in found if each is not None])
