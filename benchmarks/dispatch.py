"""
What it costs to find a route: ours beside Werkzeug's map, Starlette's router and
Falcon's compiled one, with ten to ten thousand routes.

    python benchmarks/dispatch.py [rounds]

Half of the routes are literal, half have an ``<int:id>`` in the middle or at the end,
as a REST service has them. Every router is asked for the same paths: some that it has,
and some that it has not. They take turns in one run, and every answer is checked; what
counts is the ratio, since the machine is the same for all. What is not installed is
named and left out: ``pip install starlette falcon``.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from attrs import define, field

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "platform"))

from ropewalk.web.patterns import parse
from ropewalk.web.table import Entry, Found, Table

SIZES = (10, 100, 1_000, 10_000)

ROUNDS = 9

#: Paths that are asked for in one go.
ASKED = 60

#: Seconds that one router is asked for at least, in one round.
SPELL = 0.02

AREAS = """
    accounts assets audit billing catalog chat claims contracts courses crm dispatch
    events expenses fleet forecasts grants hiring imports inventory invoices jobs
    kitchens ledgers legal library loans logistics mail maps markets meters news notes
    offers orders parking parts patients payroll permits plans policies projects quality
    reports rooms sales schools shops tickets
""".split()

NOUNS = """
    addresses agents alerts answers archives badges batches boards books budgets
    calendars cards carts categories channels comments companies contacts coupons
    customers devices documents drafts entries exports fields files filters forms
    goals groups images items keys labels links lists members messages metrics
    objects options owners pages people photos prices products questions queues
""".split()

#: What a router finds: the rule of ours, and the arguments.
Answer = tuple[str, dict[str, Any]] | None


@define
class Router:
    """
    One of those that are compared.

    :ivar ask: Finds what answers to GET for a path.
    :ivar read: What it found, of what ``ask`` gave.
    """

    name: str
    ask: Callable[[str], Any]
    read: Callable[[Any], Answer]
    times: list[float] = field(factory=list)


def make_rules(count: int) -> list[str]:
    """
    Rules for as many routes: four for each collection.
    """
    rules = []
    # Ten thousand are fifty areas of fifty collections.
    width = max(1, round((count / 4) ** 0.5))
    for area in AREAS[:width]:
        for noun in NOUNS[: width + 2]:
            rules += [
                f"/{area}/{noun}",
                f"/{area}/{noun}/<int:id>",
                f"/{area}/{noun}/recent",
                f"/{area}/{noun}/<int:id>/history",
            ]
    if len(rules) < count:
        raise SystemExit(f"there are {len(rules)} rules only, not {count}")
    return rules[:count]


def make_hits(rules: list[str], random: Random) -> list[tuple[str, Answer]]:
    """
    Paths that are there, and what is found at them.
    """
    hits: list[tuple[str, Answer]] = []
    for _ in range(ASKED):
        rule = random.choice(rules)
        number = random.randrange(1, 1_000_000)
        args = {"id": number} if "<" in rule else {}
        hits.append((rule.replace("<int:id>", str(number)), (rule, args)))
    return hits


def make_misses(rules: list[str], random: Random) -> list[tuple[str, Answer]]:
    """
    Paths that are not there, some of them nearly.
    """
    misses: list[tuple[str, Answer]] = []
    for at in range(ASKED):
        path = random.choice(rules).replace("<int:id>", str(random.randrange(1_000)))
        wrong = [f"{path}/nothing", path.replace("/", "/no-", 1), f"/wp-admin{path}"]
        misses.append((wrong[at % 3], None))
    return misses


def make_ropewalk(rules: list[str]) -> Router:
    table = Table([Entry(parse(rule), rule, {"GET"}) for rule in rules])

    def ask(path: str) -> Any:
        return table.find(path, "GET")

    def read(found: Any) -> Answer:
        return (found.entry.target, found.args) if isinstance(found, Found) else None

    return Router("ropewalk", ask, read)


def make_werkzeug(rules: list[str]) -> Router:
    from werkzeug.exceptions import NotFound
    from werkzeug.routing import Map, Rule

    url_map = Map([Rule(rule, endpoint=rule, methods=["GET"]) for rule in rules])
    match = url_map.bind("localhost").match  # Klein binds for each request, too

    def ask(path: str) -> Any:
        try:
            return match(path, "GET")
        except NotFound:
            return None

    return Router(f"werkzeug {version('werkzeug')}", ask, lambda found: found)


def make_starlette(rules: list[str]) -> Router:
    from starlette.exceptions import HTTPException
    from starlette.routing import Route
    from starlette.routing import Router as StarletteRouter

    class Target:
        """An application that does nothing, so that finding it is all there is."""

        def __init__(self, rule: str) -> None:
            self.rule = rule

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            return

    routes = [
        Route(rule.replace("<int:id>", "{id:int}"), Target(rule), methods=["GET"])
        for rule in rules
    ]
    app: Any = StarletteRouter(routes).app
    # What "scope" has beside the path, once and for all.
    ours: dict[str, Any] = {"type": "http", "method": "GET", "app": app}
    ours |= {"headers": [], "query_string": b"", "scheme": "http", "root_path": ""}

    def ask(path: str) -> Any:
        scope = {**ours, "path": path}
        try:
            app(scope, None, None).send(None)
        except StopIteration:
            return scope
        except HTTPException:
            return None

    def read(scope: Any) -> Answer:
        return (scope["endpoint"].rule, scope["path_params"]) if scope else None

    return Router(f"starlette {version('starlette')}", ask, read)


def make_falcon(rules: list[str]) -> Router:
    from falcon.routing import CompiledRouter

    class Target:
        """A resource that answers to GET."""

        def __init__(self, rule: str) -> None:
            self.rule = rule

        def on_get(self, request: Any, response: Any, **args: Any) -> None:
            return

    router = CompiledRouter()
    for rule in rules:
        router.add_route(rule.replace("<int:id>", "{id:int}"), Target(rule))
    find = router.find

    def ask(path: str) -> Any:
        found = find(path)
        return found and (found[1]["GET"], found)

    def read(found: Any) -> Answer:
        return (found[1][0].rule, found[1][2]) if found else None

    return Router(f"falcon {version('falcon')}", ask, read)


MAKERS: dict[str, Callable[[list[str]], Router]] = {
    "ropewalk": make_ropewalk,
    "werkzeug": make_werkzeug,
    "starlette": make_starlette,
    "falcon": make_falcon,
}


def check(router: Router, asked: list[tuple[str, Answer]]) -> None:
    for path, expected in asked:
        found = router.read(router.ask(path))
        if found != expected:
            raise SystemExit(
                f"{router.name} finds {found!r} at {path}, not {expected!r}"
            )


def measure(router: Router, paths: list[str]) -> float:
    """
    One round.

    :return: microseconds a request.
    """
    ask = router.ask
    asked = 0
    began = time.perf_counter()
    while True:
        for path in paths:
            ask(path)
        asked += len(paths)
        spent = time.perf_counter() - began
        if spent >= SPELL:
            return spent / asked * 1e6


def compare(
    routers: list[Router], asked: list[tuple[str, Answer]], rounds: int
) -> None:
    """
    Ask all of them, by turns, and keep what it took.
    """
    paths = [path for path, _ in asked]
    for router in routers:
        check(router, asked)
        router.times.clear()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for router in routers:
                router.times.append(measure(router, paths))
    finally:
        gc.enable()


def report(what: str, routers: list[Router]) -> None:
    ours = median(routers[0].times)
    for router in routers:
        spread = f"{min(router.times):.2f} to {max(router.times):.2f}"
        middle = median(router.times)
        print(
            f"{what:25}  {router.name:17}  {middle:8.2f} us  {spread:>18}"
            f"  {middle / ours:7.1f} x"
        )
        what = ""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    for name in MAKERS:
        if find_spec(name) is None:
            print(f"not compared, for it is not installed: {name}")
    print(
        f"Python {sys.version.split()[0]}; median of {rounds}, least to most, to ours"
    )
    random = Random(1)
    for size in SIZES:
        rules = make_rules(size)
        routers = [make(rules) for name, make in MAKERS.items() if find_spec(name)]
        for what, make in ("found", make_hits), ("not found", make_misses):
            compare(routers, make(rules, random), rounds)
            report(f"{size:6,} routes, {what}", routers)


if __name__ == "__main__":
    main()
