# -*- test-case-name: tests.test_benchmarks -*-
"""
Results as tables and pictures: on a terminal, and in the documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from attrs import field, frozen

from benchmarks.goals import GOALS
from benchmarks.loads import HTTP, LINES, LOADS
from benchmarks.pictures import Bar, draw, in_figures
from benchmarks.results import Results, Spread

__all__ = ["Table", "as_rst", "as_text", "publish", "show", "tables"]

#: What one of ours is called begins so.
OURS = "ropewalk"

#: The loads that have a picture.
PICTURED = "plain users items pipelined lines".split()

#: Stands where nothing was measured.
NOTHING = "–"


@frozen
class Table:
    """
    Words in columns.
    """

    name: str
    title: str
    columns: list[str]
    rows: list[list[str]] = field(factory=list)


def told(spread: Spread | None) -> str:
    """
    A number, and its spread where there is one.
    """
    if spread is None:
        return NOTHING
    middle, low, high = map(in_figures, (spread.middle, spread.low, spread.high))
    return middle if low == high else f"{middle} ({low}–{high})"


def _ranked(results: Results, load: str) -> list[str]:
    """The peers that have been under a load, the fastest first."""
    base = LOADS[load].base
    found = [(results.ratios(load, peer, base), peer) for peer in results.peers]
    known = [(spread.middle, peer) for spread, peer in found if spread]
    return [peer for _, peer in sorted(known, reverse=True)]


def _listed(results: Results, loads: list[str]) -> list[str]:
    """All that have been under any of some loads, in the order of the first."""
    ranked = dict.fromkeys(peer for load in loads for peer in _ranked(results, load))
    return list(ranked)


def _measured(results: Results, loads: Iterable[str]) -> list[str]:
    """Of these loads, those that were put on anybody."""
    return [
        load for load in loads if any(each.slots.get(load) for each in results.rounds)
    ]


def _relative(
    results: Results, name: str, title: str, loads: tuple[str, ...], what: str = "rate"
) -> Table:
    """How many times as much as the one that is 1."""
    shown = _measured(results, loads)
    table = Table(name, title, ["", *(LOADS[load].title for load in shown)])
    for peer in _listed(results, shown):
        ratios = [results.ratios(each, peer, LOADS[each].base, what) for each in shown]
        table.rows.append([results.peers[peer].title, *map(told, ratios)])
    return table


def _middle(values: list[float]) -> str:
    spread = Spread.of(values)
    return in_figures(spread.middle) if spread else NOTHING


def _numbers(results: Results) -> Table:
    """What is no ratio, and holds on this machine only."""
    columns = ["", "a second", "a CPU second", "p50, ms", "p99, ms"]
    columns += ["p99 of 512, ms", "start, s", "MiB at rest", "MiB after", "KiB idle"]
    table = Table("numbers", "Plain text and lines, in numbers", columns)
    for load in _measured(results, ("plain", "lines")):
        for peer in _ranked(results, load):
            slots = results.slots(load, peer)
            many = results.slots("many", peer)
            middles = [
                _middle([slot.rate for slot in slots]),
                _middle([slot.work for slot in slots]),
                _middle([slot.p50 for slot in slots]),
                _middle([slot.p99 for slot in slots]),
                _middle([slot.p99 for slot in many]),
            ]
            kept = [results.start(peer), results.rest(peer)]
            kept += [results.memory(peer), results.idle(peer)]
            middles += [in_figures(each.middle) if each else NOTHING for each in kept]
            table.rows.append([results.peers[peer].title, *middles])
    return table


def _ours(results: Results) -> Table:
    """How many times as fast as each peer we are."""
    shown = _measured(results, HTTP)
    title = "Ropewalk, relative to each"
    table = Table("ours", title, ["", *(LOADS[load].title for load in shown)])
    for peer in _listed(results, shown) if OURS in results.peers else []:
        if not peer.startswith(OURS):
            ratios = [results.ratios(load, OURS, peer) for load in shown]
            table.rows.append([results.peers[peer].title, *map(told, ratios)])
    return table


def _goals(results: Results) -> Table:
    table = Table("goals", "Goals", ["", "stage", "measured", "reached"])
    words = {True: "yes", False: "not yet", None: NOTHING}
    for goal in GOALS:
        verdict = goal.verdict(results)
        reached = words[verdict.reached]
        table.rows.append([goal.what, goal.stage, verdict.told, reached])
    return table


def _missing(results: Results) -> Table:
    """Whoever is not in the other tables, or not in all of them."""
    table = Table("missing", "Not measured, or not always", ["", "at", "why"])
    for title, reason in results.absent.items():
        table.rows.append([title, "all", reason])
    for peer, failures in results.failures.items():
        for load, problem in failures.items():
            where = LOADS[load].title if load in LOADS else load
            table.rows.append([results.peers[peer].title, where, problem])
    return table


def _versions(results: Results) -> Table:
    table = Table("versions", "Versions", ["", "made of", ""])
    for facts in results.peers.values():
        made_of = ", ".join(" ".join(item) for item in facts.versions.items())
        table.rows.append([facts.title, made_of or NOTHING, facts.note])
    return table


def _machine(results: Results) -> Table:
    rounds = [each.before for each in results.rounds]
    rows = [list(item) for item in results.machine.items()]
    rows += [
        ["day", results.when],
        ["rounds", f"{len(rounds)}, slots of {results.seconds:g} s"],
        ["load average before a round", told(Spread.of(rounds))],
    ]
    return Table("machine", "Where and how", ["", ""], rows)


def tables(results: Results) -> list[Table]:
    """
    All there is to tell.
    """
    http = "Answers a second, relative to Klein on twisted.web"
    lines = "Lines a second, relative to Twisted's LineReceiver"
    cpu = "Answers a second of the server's processor, relative to Klein"
    return [
        _relative(results, "http", http, HTTP),
        _relative(results, "lines", lines, LINES),
        _relative(results, "cpu", cpu, HTTP, "work"),
        _ours(results),
        _numbers(results),
        _goals(results),
        _missing(results),
        _versions(results),
        _machine(results),
    ]


def as_text(table: Table) -> str:
    """
    For a terminal.
    """
    rows = [table.columns, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "\n".join([table.title, *(line.rstrip() for line in lines), ""])


def _escaped(word: str) -> str:
    """Text that is no markup, with ranges that stay on one line (U+2060)."""
    for special in "\\*`|_<":
        word = word.replace(special, f"\\{special}")
    return re.sub(r"(?<=\d)–(?=\d)", "\u2060–\u2060", word)


def as_rst(table: Table) -> str:
    """
    For the documentation, between two comments by which a page finds it.
    """
    head = [table.columns] if any(table.columns) else []
    lines = [".. list-table::", f"   :header-rows: {len(head)}"]
    lines += ["   :widths: auto", ""]
    for row in [*head, *table.rows]:
        marks = ["   * -", *["     -"] * (len(row) - 1)]
        cells = zip(marks, row, strict=True)
        lines += [f"{mark} {_escaped(word)}".rstrip() for mark, word in cells]
    if not table.rows:
        lines = ["Nothing."]
    begin, end = f".. begin {table.name}", f".. end {table.name}"
    return "\n".join([begin, "", *lines, "", end, ""])


def show(results: Results) -> None:
    """
    Print the tables.
    """
    for table in tables(results):
        if table.rows:
            print()
            print(as_text(table))


def _bars(results: Results, load: str) -> list[Bar]:
    bars = []
    for peer in _ranked(results, load):
        spread = results.ratios(load, peer, LOADS[load].base)
        assert spread is not None, "who is ranked has been measured"
        bars.append(Bar(results.peers[peer].title, spread, peer.startswith(OURS)))
    return bars


def _least(results: Results, read: Callable[[str], Spread | None]) -> list[Bar]:
    """Of what is better the less it is."""
    bars = []
    for peer, facts in results.peers.items():
        spread = read(peer)
        if spread is not None:
            bars.append(Bar(facts.title, spread, peer.startswith(OURS)))
    return sorted(bars, key=lambda bar: bar.spread.middle)


def pictures(results: Results) -> dict[str, str]:
    """
    A picture for some loads, and one each for starts and for idle connections.
    """
    drawn = {}
    for load in map(LOADS.__getitem__, PICTURED):
        bars = _bars(results, load.name)
        if bars:
            base = results.peers[load.base].title
            title = load.title[0].upper() + load.title[1:]
            drawn[load.name] = draw(title, f"a second; {base} is 1", bars)
    starts, idle = _least(results, results.start), _least(results, results.idle)
    if starts:
        drawn["start"] = draw("Start", "seconds to the first answer", starts)
    if idle:
        drawn["idle"] = draw("Idle connections", "KiB for each", idle)
    return drawn


def publish(results: Results, directory: Path) -> None:
    """
    Write the tables and pictures of the documentation.
    """
    text = "\n".join(as_rst(table) for table in tables(results))
    path = directory / "performance-tables.txt"
    path.write_text(text, "utf-8")
    for name, picture in pictures(results).items():
        (directory / f"performance-{name}.svg").write_text(picture, "utf-8")
