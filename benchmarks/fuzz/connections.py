"""
Connections to a site, in memory: whatever comes, and whatever happens meanwhile,
nothing is raised, what is answered is HTTP, and C and Python answer the same.

    python -m benchmarks.fuzz.connections CORPUS -max_total_time=300

Without the compiled module, Python is compared with itself.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import atheris
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogBeginner
from twisted.python import components

#: Between the pieces of an input. The byte behind it says what happens there.
MARK = b"\xff"

#: What is logged where something has failed that is no handler.
ACCIDENT = "the protocol of {connection} failed"

#: What is answered in place of a body that nobody could see.
BODILESS = "204", "304"

HEAD = re.compile(
    rb"HTTP/1\.[01] ([1-5][0-9][0-9]) [\t\x20-\x7e\x80-\xff]*\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n"
)
DATE = re.compile(rb"(?m)^Date: [^\r\n]*")

#: C and Python, and how their connections have failed.
SIDES: list[Side] = []
FAILED: list[str] = []


def twin(native: str) -> ModuleType:
    """
    All of ropewalk, as if it were alone here.

    :param native: C{"0"} for Python's, C{"1"} for C's, if it is there.
    :return: its L{tests.streams}.
    """
    for name in list(sys.modules):
        if name.partition(".")[0] in ("ropewalk", "tests"):
            del sys.modules[name]
    os.environ["ROPEWALK_NATIVE"] = native
    components.ALLOW_DUPLICATES = True  # adapters are registered once more
    return import_module("tests.streams")


class Side:
    """
    The sites of one of the twins, all with the same pages.
    """

    def __init__(self, streams: Any) -> None:
        self._streams = streams
        self._first = streams.Place.of()
        self._pages = streams.Pages(self._first)
        self._first.mount("/", self._pages.routes)

    def run(self, data: bytes) -> Any:
        """What becomes of an input: two bytes that choose limits, and what happens."""
        place, pages = self.place(data[0], data[1]), self._pages
        pages.place, pages.waiting, pages.heard = place, [], []
        visits = [place.visit()]
        methods: list[str] = []
        place.site.observe = lambda request: methods.append(request.method.decode())
        for what, piece in happenings(data[2:]):
            self.happen(what, visits, pages)
            if piece:
                visits[-1].send(piece)
        self.finish(visits, pages)
        for visit in visits:
            self.read(visit)
        said = [DATE.sub(b"Date: -", each.wire.value()) for each in visits]
        return said, [each.closed for each in visits], methods

    def place(self, one: int, two: int) -> Any:
        """A site with limits that two bytes choose."""
        streams, clock = self._streams, Clock()
        site = type(self._first.site)(
            self._first.site.mounts,
            clock,
            longest_body=(20, 100_000)[one & 1],
            request_id=("", "X-Request-Id")[one >> 1 & 1],
            limits=streams.HttpLimits(
                line=(64, 8192)[one >> 2 & 1],
                headers=(5, 100)[one >> 3 & 1],
                header_bytes=(100, 32_768)[one >> 4 & 1],
                requests=(0, 3)[two & 1],
                unsent=(262_144, 100)[two >> 1 & 1],
                spool=(65_536, 0)[two >> 2 & 1],
            ),
        )
        site.process = "0123456789ab"
        return streams.Place(site, clock, [])

    def happen(self, what: bytes, visits: list[Any], pages: Any) -> None:
        """Something happens between two pieces."""
        visit = visits[-1]
        channel = visit.connection.wrappedProtocol
        if what == b"f":
            pages.fire(0)
        elif what == b"F" and pages.waiting:
            waiting = pages.waiting.pop()
            if not waiting.called:
                waiting.errback(ValueError("failed"))
        elif what in b"tT":
            pages.place.clock.pump([1] * (1 if what == b"t" else 15))
        elif what == b"n":
            visits.append(pages.place.visit())
        elif channel is None or channel._lost:
            return
        elif what == b"p":
            channel.pauseProducing()
        elif what == b"r":
            channel.resumeProducing()
        elif what == b"l":
            visit.leave()
            visits.append(pages.place.visit())

    def finish(self, visits: list[Any], pages: Any) -> None:
        """Let the rest happen."""
        for visit in visits:
            channel = visit.connection.wrappedProtocol
            if channel is not None and not channel._lost:
                channel.resumeProducing()
        while pages.waiting:
            pages.fire(0)

    def read(self, visit: Any) -> None:
        """
        Read what was answered, as strictly as a client may.

        :raise AssertionError: When it is no HTTP.
        """
        said = visit.wire.value()
        while said:
            head = HEAD.match(said)
            assert head is not None, said
            said = said[head.end() :]
            status, lines = head[1].decode(), head[2].decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[:-1])
            if status == "100":
                continue
            if status in BODILESS or is_head(said):
                continue
            if headers.get("transfer-encoding") == "chunked":
                said = dechunked(said)
            elif "content-length" in headers:
                said = said[int(headers["content-length"]) :]
            else:
                assert visit.closed or visit.lost, head[0]
                return


def is_head(said: bytes) -> bool:
    """Whether the answer to HEAD is before something: the next, or nothing."""
    return not said or said.startswith(b"HTTP/1.")


def dechunked(said: bytes) -> bytes:
    """What is behind a body in chunks; nothing where that is cut off."""
    while True:
        size = re.match(rb"([0-9a-f]+)\r\n", said)
        if size is None:
            assert not said, said
            return b""
        end = size.end() + int(size[1], 16)
        assert said[end : end + 2] in (b"\r\n", b"\r", b""), said
        said = said[end + 2 :]
        if int(size[1], 16) == 0:
            return said


def happenings(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """An input: what happens, and what comes then."""
    first, *others = data.split(MARK)
    yield b"", first
    for each in others:
        yield each[:1], each[1:]


def check(data: bytes) -> None:
    """One input: two bytes that choose limits, and what happens."""
    if len(data) < 2:
        return
    one, other = (side.run(data) for side in SIDES)
    assert one == other, (one, other)
    assert not FAILED, FAILED


def observe(event: LogEvent) -> None:
    """Notice that a connection has failed."""
    if event.get("log_format") == ACCIDENT:
        FAILED.append(event["log_failure"].getTraceback())


if __name__ == "__main__":
    observer: Any = observe
    globalLogBeginner.beginLoggingTo([observer], True, False)
    SIDES.append(Side(twin("1")))
    native = sys.modules["ropewalk.web.quick"].is_native
    print(f"C is {'' if native else 'not '}compared with Python")
    with atheris.instrument_imports(include=["ropewalk.web", "ropewalk.wire"]):
        SIDES.append(Side(twin("0")))
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
