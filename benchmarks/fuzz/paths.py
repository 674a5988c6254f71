"""
Paths and links: the route table finds what Werkzeug's map finds, for any routes and any
paths, and its links lead where they say.

    python -m benchmarks.fuzz.paths CORPUS -max_total_time=300
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote

import atheris
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.routing import Map, Rule

with atheris.instrument_imports(include=["ropewalk"]):
    from ropewalk.web.patterns import BadLink, BadRule, adopt_all, parse
    from ropewalk.web.table import Entry, Found, Moved, Table

from tests.test_table import CONVERTER_MAP, REQUESTS, ROUTES, WerkzeugTests

#: Text, as clients percent-encode it; a slash in it is one. What line breaks and the
#: digits of other scripts are, Werkzeug and ours see differently on purpose.
CHARACTERS = st.characters(
    exclude_categories=("Cs", "Nd"),
    exclude_characters="\n",
    include_characters="0123456789",
)
TEXTS = st.text(CHARACTERS, max_size=8)
PATHS = st.lists(TEXTS, max_size=4).map(lambda each: "/" + "/".join(each))

#: Paths as no client should write them.
RAWS = st.lists(st.binary(max_size=20).map(lambda each: b"/" + each), max_size=5)

CASE = WerkzeugTests("test_alike")


def a_table(
    routes: Sequence[tuple[str, set[str] | None, bool]], merge_slashes: bool
) -> tuple[Table[int], Map]:
    """The same routes, here and at Werkzeug."""
    theirs = Map(converters=CONVERTER_MAP, merge_slashes=merge_slashes)
    converters = adopt_all(theirs)
    entries: list[Entry[int]] = []
    for number, (rule, methods, strict) in enumerate(routes):
        try:
            pattern = parse(rule, converters)
        except BadRule:
            continue
        theirs.add(Rule(rule, endpoint=number, methods=methods, strict_slashes=strict))
        entry: Any = Entry(
            pattern, number, methods, slashes="redirect" if strict else "ignore"
        )
        entries.append(entry)
    return Table(entries, merge_slashes=merge_slashes), theirs


def check_link(entry: Entry[int], args: dict[str, Any], theirs: Map) -> None:
    """A link to an entry leads there, and is Werkzeug's."""
    alone: Table[int] = Table([entry])
    try:
        link = alone.build(entry, args)
    except BadLink:
        return
    method = min(entry.methods or {"GET"})
    again = alone.find(link, method)
    assert isinstance(again, Found) and again.args == args, (entry, args, link, again)
    number: Any = entry.target
    other = theirs.bind("localhost").build(number, args, method)
    assert unquote(other) == unquote(link), (entry, args, link, other)


@settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROUTES, REQUESTS, st.lists(PATHS, max_size=10), RAWS, st.booleans())
def check(
    routes: Sequence[tuple[str, set[str] | None, bool]],
    requests: Sequence[tuple[str, str]],
    paths: Sequence[str],
    raws: Sequence[bytes],
    merge_slashes: bool,
) -> None:
    """One input: some routes, and some paths."""
    ours, theirs = a_table(routes, merge_slashes)
    for path, method in [*requests, *((path, "GET") for path in paths)]:
        one = CASE.find_ours(ours, path, method)
        other = CASE.find_theirs(theirs, path, method)
        assert one == other, (path, method, one, other)
        found = ours.find(quote(path), method)
        if isinstance(found, Found):
            check_link(found.entry, found.args, theirs)
    for raw in raws:
        check_raw(ours, raw.decode("latin-1"))


def check_raw(ours: Table[int], path: str) -> None:
    """Of what no client should send, there is an answer, or it is no text."""
    with suppress(UnicodeDecodeError):
        found = ours.find(path, "GET")
        if isinstance(found, Moved):
            assert re.fullmatch(r"/[!-~]*", found.path), found
            assert not found.path.startswith("//"), found


if __name__ == "__main__":
    target: Any = check
    atheris.Setup(sys.argv, target.hypothesis.fuzz_one_input)
    atheris.Fuzz()
