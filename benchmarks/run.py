# -*- test-case-name: tests.test_benchmarks -*-
"""
Ropewalk beside its peers, in one run.

    make bench                 # all of it, in 25 minutes
    make bench QUICK=1         # a glance, in three
    make bench-report          # draw the tables and pictures again

    python -m benchmarks.run --peers klein,ropewalk,aiohttp --loads plain,users
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import signal
import subprocess
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from benchmarks.environments import CACHE, ROOT, Absent, found
from benchmarks.loads import LOADS
from benchmarks.measure import HELD, Measurement
from benchmarks.peers import PEERS
from benchmarks.report import publish, show
from benchmarks.results import Results

__all__ = ["main"]

#: Where the documentation has the results of the last whole run.
KEPT = ROOT / "docs" / "performance.json"

#: Starts of each peer by itself, and in how many of them connections are held.
STARTS = 5
HOLDS = 2

#: What there is at a glance, and how often.
GLANCE = "plain users items pipelined lines".split()
GLANCED_AT = """
    klein resource ropewalk ropewalk-resource aiohttp sanic starlette granian socketify
    japronto nginx line-receiver line-protocol ropewalk-lines
""".split()
GLANCES = 2


def _choose(there: Iterable[str], text: str) -> list[str]:
    """
    Names that are separated by commas; all for none.
    """
    known = list(there)
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            raise SystemExit(f"{name!r} is none of: {', '.join(known)}")
    return names or known


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--peers", default="", help="which, with commas; all otherwise")
    add("--loads", default="", help="which, with commas; all otherwise")
    add("--rounds", type=int, default=100, help="at most so many")
    add("--minutes", type=float, default=21, help="begin no round that ends later")
    add("--seconds", type=float, default=1, help="for each slot; wrk knows whole ones")
    add("--starts", type=int, default=STARTS, help="of each peer by itself")
    add("--quick", action="store_true", help="a few peers and loads; kept nowhere")
    add("--report", action="store_true", help="measure nothing, draw what there is")
    add("--results", type=Path, help="where they are kept, or are to be drawn from")
    options = parser.parse_args()
    if options.quick:
        options.peers = options.peers or ",".join(GLANCED_AT)
        options.loads = options.loads or ",".join(GLANCE)
        options.rounds, options.starts = min(options.rounds, GLANCES), 1
    return options


def _cores() -> tuple[int, int] | None:
    """A processor for the servers and one for the loads, if there are two."""
    there = sorted(os.sched_getaffinity(0))
    return (there[0], there[1]) if len(there) > 1 else None


def _tool(*words: str) -> str:
    """The first line of what a tool says of its version."""
    try:
        path = found(words[0])
    except Absent:
        return "none"
    done = subprocess.run(
        [path, *words[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
    )
    return done.stdout.partition("\n")[0].partition(" [")[0].partition(" (")[0].strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _machine(cores: tuple[int, int] | None) -> dict[str, str]:
    """What is measured on, and with what."""
    return {
        "processor": _processor(),
        "cores": "one for the servers, one for the loads"
        if cores
        else "one, for servers and loads together",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        "wrk": _tool("wrk", "-v").removeprefix("wrk ").removeprefix("debian/"),
        "nginx": _tool("nginx", "-v").rpartition("/")[2],
        "C compiler": _tool("cc", "-dumpfullversion"),
    }


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """What is running is stopped on the way out."""
    raise SystemExit(f"stopped by {signal.Signals(number).name}")


def _settle(cores: tuple[int, int] | None) -> None:
    """Leave the servers their processor, and take as many files as there are."""
    signal.signal(signal.SIGTERM, _stop)
    if cores:
        os.sched_setaffinity(0, {cores[1]})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < HELD + 100:
        raise SystemExit(f"{most} open files are too few: ulimit -Hn {HELD + 1000}")


def _measure(options: argparse.Namespace, path: Path) -> Results:
    loads = _choose(LOADS, options.loads)
    chosen = [PEERS[name] for name in _choose(PEERS, options.peers)]
    cores = _cores()
    _settle(cores)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    results = Results(today, _machine(cores), max(1, round(options.seconds)))
    run = Measurement(
        [peer for peer in chosen if set(peer.serves) & set(loads)],
        [LOADS[name] for name in loads],
        results,
        path,
        cores,
    )
    print("installing and checking", flush=True)
    run.prepare()
    deadline = time.monotonic() + options.minutes * 60
    for number in range(options.starts):
        print(f"start {number + 1}", flush=True)
        run.start_each(idle=number < HOLDS)
    _rounds(run, options.rounds, deadline)
    return results


def _rounds(run: Measurement, most: int, deadline: float) -> None:
    """As many as there is time for, and one in any case."""
    longest = 0.0
    for number in range(max(1, most)):
        began = time.monotonic()
        if number and began + longest > deadline:
            return
        print(f"round {number + 1}", flush=True)
        run.measure_round()
        longest = max(longest, time.monotonic() - began)


def _keep(results: Results) -> None:
    """Tell all, and have the documentation tell it."""
    show(results)
    results.save(KEPT)
    publish(results, KEPT.parent)


def main() -> None:
    options = _options()
    if options.report:
        _keep(Results.load(options.results or KEPT))
        return
    if not Path("/proc/self/smaps_rollup").exists():
        raise SystemExit("what a server takes is read from Linux's /proc; not here")
    try:
        found("wrk")
    except Absent as error:
        raise SystemExit(f"{error}: apt install wrk") from None
    CACHE.mkdir(exist_ok=True)
    path = options.results or CACHE / "results.json"
    results = _measure(options, path)
    if options.results or options.quick or options.peers or options.loads:
        show(results)
    else:
        _keep(results)


if __name__ == "__main__":
    main()
