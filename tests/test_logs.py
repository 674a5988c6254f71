"""
Tests for L{ropewalk.run.logs}.
"""

from __future__ import annotations

import builtins
import io
import json
import logging
import os
import pty
import shutil
import socket
import tempfile
import time
import warnings
from enum import Enum
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.logger import (
    LogBeginner,
    Logger,
    LogLevel,
    LogPublisher,
    globalLogPublisher,
)
from twisted.python import log as legacy
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.run import logs
from ropewalk.run.configuration import HostSettings
from ropewalk.run.logs import (
    CannotLog,
    FromStandardLibrary,
    LogWriter,
    log_access,
    open_log,
)
from ropewalk.schema import Secret
from ropewalk.settings import parse
from ropewalk.telemetry import Work, working
from ropewalk.web.access import Access
from tests.visiting import blocks

#: 20 November 2026, noon.
NOON = 1_795_176_000.0

ACCESS = Access(
    NOON,
    Work("chat", "c1", "r2"),
    "10.9.8.7",
    "GET",
    "/chat/lobby?x=1",
    200,
    583,
    0.00123,
)


class Nasty:
    """
    Something that has nothing to say of itself.
    """

    def __repr__(self) -> str:
        raise ValueError("no words")

    __str__ = __repr__


class Colour(str, Enum):  # noqa: UP042
    """A str that is more."""

    RED = "red"


class WriterTestCase(SynchronousTestCase):
    """
    A log that is written into memory.
    """

    style = "json"

    def setUp(self) -> None:
        self.local = logs._local
        self.patch(logs, "_local", lambda seconds: f"@{seconds - int(NOON)}")
        self.output = io.BytesIO()
        self.writer = LogWriter.of(self.output, self.style, "info")
        self.log = Logger(namespace="acme.chat", observer=self.writer)

    def written(self) -> str:
        """What was written since."""
        text = self.output.getvalue().decode("utf-8")
        self.output.seek(0)
        self.output.truncate()
        return text

    def objects(self) -> list[dict[str, Any]]:
        """What was written since, as JSON."""
        written = self.written()
        self.assertTrue(written.endswith("\n") or not written)
        return [json.loads(line) for line in written.split("\n")[:-1]]

    def object(self) -> dict[str, Any]:
        """The one line that was written since."""
        (line,) = self.objects()
        return line

    def event(self, format: str = "", **values: Any) -> None:
        """Let the writer have an event made by hand."""
        self.writer(
            {
                "log_format": format,
                "log_level": LogLevel.info,
                "log_namespace": "acme.chat",
                "log_time": NOON,
                **values,
            }
        )


class JSONTests(WriterTestCase):
    """
    For programs, an event is an object on a line of its own.
    """

    def test_event(self) -> None:
        """
        It has the time, the level, who logged it, the message, and what was in
        it.
        """
        self.event("{count} rooms in {where}", count=3, where="Füssen")
        self.assertEqual(
            self.object(),
            {
                "time": "2026-11-20T12:00:00.000Z",
                "level": "info",
                "from": "acme.chat",
                "message": "3 rooms in Füssen",
                "values": {"count": 3, "where": "Füssen"},
            },
        )

    def test_whose_work(self) -> None:
        """
        It has the names of the plugin, the connection and the request that it
        belongs to.
        """
        with working(plugin="chat"):
            self.log.info("one")
            with working(connection="c1", request="r2"):
                self.log.warn("two")
        names = ("level", "plugin", "connection", "request", "message")
        self.assertEqual(
            [{name: line.get(name) for name in names} for line in self.objects()],
            [
                dict(zip(names, ("info", "chat", None, None, "one"), strict=True)),
                dict(zip(names, ("warn", "chat", "c1", "r2", "two"), strict=True)),
            ],
        )

    def test_failure(self) -> None:
        """
        A failure has its traceback, in one line as everything else.
        """
        try:
            raise KeyError("lobby")
        except KeyError:
            self.log.failure("no {room}", room="lobby")
        line = self.object()
        self.assertEqual((line["level"], line["message"]), ("critical", "no lobby"))
        self.assertEqual(
            line["traceback"].split("\n")[-1], "builtins.KeyError: 'lobby'"
        )
        self.assertIn("in test_failure", line["traceback"])
        self.assertEqual(line["values"], {"room": "lobby"})

    def test_values(self) -> None:
        """
        What JSON has a word for is kept as a value; the rest is in the message.
        """
        self.event(
            "",
            text="x",
            colour=Colour.RED,
            label=type("Label", (str,), {})("y"),
            count=type("Count", (int,), {})(6),
            share=type("Share", (float,), {})(0.25),
            raw=b"a\xff",
            number=5,
            fraction=0.5,
            true=True,
            nothing=None,
            much=10**5000,
            nan=float("nan"),
            endless=float("-inf"),
            a_list=[1],
            thing=object(),
            nasty=Nasty(),
        )
        self.assertEqual(
            self.object()["values"],
            {
                "text": "x",
                "colour": "red",
                "label": "y",
                "count": 6,
                "share": 0.25,
                "raw": "a\\xff",
                "number": 5,
                "fraction": 0.5,
                "true": True,
                "nothing": None,
                "much": hex(10**5000),
                "nan": "nan",
                "endless": "-inf",
            },
        )

    def test_secrets(self) -> None:
        """
        A secret is masked, in the message and among the values.
        """
        self.event("with {key} of {box}", key=Secret("x1"), box=[Secret("x1")])
        self.event("with {key}", key=Secret(""))
        one, two = self.objects()
        self.assertEqual(one["message"], "with **** of [Secret('****')]")
        self.assertEqual(one["values"], {"key": "****"})
        self.assertEqual(two["message"], "with ")

    def test_one_line(self) -> None:
        """
        Whatever is in it, an event is one line of text that no terminal obeys.
        """
        text = "".join(map(chr, range(0x100))) + "\u2028\u2029\ud800 ü"
        self.event("\x7f")
        self.assertEqual(self.written().count("\\u007f"), 1)
        self.event("{text}", text=text)
        written = self.written()
        self.assertEqual(len(written.splitlines()), 1)
        self.assertTrue(written[:-1].isprintable() or "\xa0" in written)
        self.assertFalse({*written} & {*map(chr, range(0x7F, 0xA0)), "\x1b", "\u2028"})
        line = json.loads(written)
        self.assertEqual(line["message"], text.replace("\ud800", "\ufffd"))

    def test_what_cannot_be_said(self) -> None:
        """
        An event that cannot be put into words is a line that says so.
        """
        self.event("{thing}", thing=Nasty())
        self.assertIn("no words", self.object()["message"])
        self.event("{missing} and {0}")
        self.assertIn("Unable to format event", self.object()["message"])
        self.event("fine", log_time=float("nan"))
        line = self.object()
        self.assertEqual(line["level"], "error")
        self.assertIn("an event could not be logged:", line["message"])
        self.assertGreater(line["time"], "2000")
        self.event("fine", log_level=None)
        self.assertEqual(self.object()["level"], "info")
        self.writer({})
        self.assertEqual(self.object()["message"], "")

    def test_a_failure_that_cannot_be_said(self) -> None:
        """
        So is a failure whose error has nothing to say.
        """

        class Mute(Exception):
            __str__ = Nasty.__str__
            __repr__ = Nasty.__repr__

        self.log.failure("failed", Failure(Mute()))
        self.assertIn("Mute", self.object()["traceback"])

    @given(
        st.dictionaries(
            st.text(max_size=10),
            st.one_of(
                st.text(max_size=10),
                st.binary(max_size=10),
                st.integers(),
                st.floats(),
                st.none(),
                st.builds(Nasty),
            ),
            max_size=5,
        ),
        st.text(alphabet="{}!:r.[]0a\n\x1b\ud800", max_size=10),
    )
    def test_anything(self, values: dict[str, Any], format: str) -> None:
        """
        Whatever is logged, a line of JSON comes of it, and of text a line that
        nobody can take for two.
        """
        for style in "json", "text":
            output = io.BytesIO()
            writer = LogWriter.of(output, style, "debug")
            writer({**values, "log_format": format, "log_time": NOON})
            written = output.getvalue().decode("utf-8")
            first, *more = written.splitlines()
            if style == "json":
                self.assertEqual(more, [])
                json.loads(first, parse_constant=self.fail)
            for line in more:
                self.assertTrue(line.startswith("    "))

    def test_access(self) -> None:
        """
        An answered request is a line of the same kind.
        """
        self.writer.access([ACCESS, ACCESS])
        self.assertEqual(
            self.objects(),
            [
                {
                    "time": "2026-11-20T12:00:00.000Z",
                    "level": "info",
                    "plugin": "chat",
                    "connection": "c1",
                    "request": "r2",
                    "from": "ropewalk.access",
                    "message": "GET /chat/lobby?x=1 200",
                    "peer": "10.9.8.7",
                    "method": "GET",
                    "uri": "/chat/lobby?x=1",
                    "status": 200,
                    "size": 583,
                    "milliseconds": 1.23,
                }
            ]
            * 2,
        )

    def test_aborted(self) -> None:
        """
        One whose client did not wait says so.
        """
        work, peer, method, uri = ACCESS.work, ACCESS.peer, ACCESS.method, ACCESS.uri
        self.writer.access([Access(NOON, work, peer, method, uri, 499, 0, 1.0, True)])
        line = self.object()
        self.assertEqual((line["status"], line["aborted"]), (499, True))

    def test_route(self) -> None:
        """
        What was answered by a route has its path.
        """
        self.writer.access([replace(ACCESS, route="/chat/<room>")])
        self.assertEqual(self.object()["route"], "/chat/<room>")


class TextTests(WriterTestCase):
    """
    For people, an event is a line to be read.
    """

    style = "text"

    def test_event(self) -> None:
        """
        It has the time, what it belongs to, and the message; its level where that
        matters.
        """
        self.event("one")
        with working(plugin="chat", connection="c1", request="r2"):
            self.event("two {x}", x="Füssen", log_level=LogLevel.warn)
        with working(plugin="chat"):
            self.event("three", log_level=LogLevel.critical)
        self.assertEqual(
            self.written(),
            "@0 one\n@0 WARN [chat c1 r2] two Füssen\n@0 CRITICAL [chat] three\n",
        )

    def test_failure(self) -> None:
        """
        The traceback of a failure stands below, indented.
        """
        self.event("failed", log_failure=Failure(KeyError("x"), KeyError))
        self.assertEqual(
            self.written(),
            "@0 failed\n    Traceback (most recent call last):\n"
            "    Failure: builtins.KeyError: 'x'\n",
        )

    def test_no_forgery(self) -> None:
        """
        What a stranger sent cannot look like a line of ours, nor command a
        terminal.
        """
        self.event("from {peer}", peer="x\n@0 [chat] all is well")
        self.event(
            "from {peer}", peer="x\r@0 y\r\n\x1b[2J\x9b2J\x07\u2028\x85\u202e\x7f"
        )
        self.assertEqual(
            self.written(),
            "@0 from x\n    @0 [chat] all is well\n"
            "@0 from x\\r@0 y\\r\n    \\x1b[2J\\x9b2J\\x07\\u2028\\x85\\u202e\\x7f\n",
        )

    def test_readable(self) -> None:
        """
        What can be read stays as it is.
        """
        self.event("Füße\t木 ⇄ 🪢")
        self.assertEqual(self.written(), "@0 Füße\t木 ⇄ 🪢\n")

    def test_access(self) -> None:
        """
        An answered request is a short line, whatever was asked.
        """
        self.writer.access([ACCESS])
        forged = Access(
            NOON, Work(None, None, "r9"), "", "G\nT", "/\x1b\r\n\u2028", 499, 0, 2, True
        )
        self.writer.access([forged])
        self.assertEqual(
            self.written(),
            "@0 [chat c1 r2] 10.9.8.7 GET /chat/lobby?x=1 200 583 B 1.2 ms\n"
            "@0 [r9] - G\\nT /\\x1b\\r\\n\\u2028 499 0 B 2000.0 ms aborted\n",
        )

    def test_time(self) -> None:
        """
        The time is that of the place, and says so.
        """
        here = os.environ.get("TZ")
        self.addCleanup(self.live_in, here)
        self.live_in("Asia/Tokyo")
        self.assertEqual(self.local(int(NOON)), "2026-11-20 21:00:00+09:00")

    def live_in(self, place: str | None) -> None:
        if place is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = place
        time.tzset()
        self.local.cache_clear()


class LevelTests(WriterTestCase):
    """
    What is less than the level is not written.
    """

    def test_levels(self) -> None:
        """
        Whatever the level is, also when it changes.
        """
        names = ["debug", "info", "warn", "error", "critical"]
        for at, name in enumerate(names[:-1]):
            self.writer.level = name
            for level in LogLevel.iterconstants():
                self.log.emit(level, "x")
            found = [line["level"] for line in self.objects()]
            self.assertEqual(found, names[at:])

    def test_access(self) -> None:
        """
        Answered requests are C{info}.
        """
        self.writer.level = "warn"
        self.writer.access([ACCESS])
        self.assertEqual(self.objects(), [])

    def test_ports(self) -> None:
        """
        What Twisted's ports say is not repeated; what only looks alike is.
        """
        publisher = LogPublisher(self.writer)
        said = legacy.LogPublisher(publisher, publisher, logBeginner(publisher))
        for noise in (
            "Site starting on 8080",
            "chat (TLS) starting on 8443",
            "Lines starting on b'/run/lines'",
            "(TCP Port 8080 Closed)",
            "(UNIX Port '/run/lines' Closed)",
        ):
            said.msg(noise)
        self.assertEqual(self.objects(), [])
        said.msg("the game is starting on tuesday")
        self.log.info("Site starting on 8080")
        self.assertEqual(len(self.objects()), 2)


def logBeginner(publisher: LogPublisher) -> LogBeginner:
    """
    What begins logging, without the process noticing.
    """
    return LogBeginner(
        publisher, io.StringIO(), SimpleNamespace(), SimpleNamespace(showwarning=None)
    )


class OthersTests(WriterTestCase):
    """
    Libraries log in ways of their own; all of it ends up here.
    """

    def setUp(self) -> None:
        super().setUp()
        self.publisher = LogPublisher(self.writer)
        self.patch(logs, "Logger", self.logger)  # which would log to trial
        self.library = logging.Logger("acme.library")
        self.library.addHandler(FromStandardLibrary())

    def logger(self, namespace: str) -> Logger:
        return Logger(namespace=namespace, observer=self.publisher)

    def test_logging(self) -> None:
        """
        What the standard library's C{logging} is told has its level and its name.
        """
        for level in 5, 10, 20, 25, 30, 40, 45, 50, 60:
            self.library.log(level, "level %d of {braces}", level)
        self.writer.level = "debug"
        self.library.debug("debug")
        self.assertEqual(
            [(line["level"], line["message"]) for line in self.objects()],
            [
                ("info", "level 20 of {braces}"),
                ("info", "level 25 of {braces}"),
                ("warn", "level 30 of {braces}"),
                ("error", "level 40 of {braces}"),
                ("error", "level 45 of {braces}"),
                ("critical", "level 50 of {braces}"),
                ("critical", "level 60 of {braces}"),
                ("debug", "debug"),
            ],
        )

    def test_traceback(self) -> None:
        """
        With its traceback where it has one, and the stack if that was asked for.
        """
        try:
            raise KeyError("x")
        except KeyError:
            self.library.exception("failed")
        line = self.object()
        self.assertEqual((line["level"], line["from"]), ("error", "acme.library"))
        self.assertNotIn("values", line)
        self.assertIn("in test_traceback", line["traceback"])
        self.library.warning("here", stack_info=True)
        self.assertIn("in test_traceback", self.object()["message"])
        self.library.warning("nothing", exc_info=True)
        self.assertNotIn("traceback", self.object())

    def test_a_mistake(self) -> None:
        """
        A message that does not fit its arguments is logged as it was written.
        """
        self.library.warning("%d rooms", "many")
        message = self.object()["message"]
        self.assertTrue(message.startswith("'%d rooms' with ('many',): "), message)

    def test_no_loop(self) -> None:
        """
        An observer that logs by the standard library does not go round in
        circles.
        """

        def loop(event: Any) -> None:
            self.library.warning("and again")

        observer: Any = loop
        self.publisher.addObserver(observer)
        self.library.warning("once")
        self.assertEqual([line["message"] for line in self.objects()], ["once"])
        self.library.warning("twice")
        self.assertEqual([line["message"] for line in self.objects()], ["twice"])

    def test_warnings(self) -> None:
        """
        A warning is a warning, with its place.
        """
        module = SimpleNamespace(showwarning=None)
        publisher = LogPublisher()
        beginner = LogBeginner(publisher, io.StringIO(), SimpleNamespace(), module)
        beginner.beginLoggingTo([self.writer], redirectStandardIO=False)
        self.patch(warnings, "showwarning", module.showwarning)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = module.showwarning
            warnings.warn_explicit("old ways", DeprecationWarning, "chat.py", 12)
        line = self.object()
        self.assertEqual(line["level"], "warn")
        self.assertEqual(
            line["message"], "chat.py:12: builtins.DeprecationWarning: old ways"
        )

    def test_old_errors(self) -> None:
        """
        What is logged by Twisted's old C{log.err} has its traceback.
        """
        said = legacy.LogPublisher(
            self.publisher, self.publisher, logBeginner(self.publisher)
        )
        said.msg(failure=Failure(KeyError("x"), KeyError), isError=1, why="looking")
        line = self.object()
        self.assertEqual((line["level"], line["message"]), ("critical", "looking"))
        self.assertIn("KeyError", line["traceback"])
        self.writer.style = "text"
        said.msg(failure=Failure(KeyError("x"), KeyError), isError=1, log_time=NOON)
        self.assertEqual(
            self.written(),
            "@0 CRITICAL Unhandled error\n    Traceback (most recent call last):\n"
            "    Failure: builtins.KeyError: 'x'\n",
        )

    def test_another_observer(self) -> None:
        """
        Who chose another observer gets answered requests as events.
        """
        log_access([ACCESS])
        line = self.object()
        self.assertEqual(line["from"], "ropewalk.access")
        self.assertEqual(
            line["message"], "10.9.8.7 GET /chat/lobby?x=1 200 583 B 1.2 ms"
        )


class Full:
    """
    An output with so much room, and an error, if any, when there is none.
    """

    def __init__(self, room: int, error: Exception | None) -> None:
        self.room, self.error = room, error
        self.taken = b""

    def write(self, data: bytes) -> int:
        taken = data[: self.room]
        if not taken and self.error is not None:
            raise self.error
        self.taken += taken
        self.room -= len(taken)
        return len(taken)


class TroubleTests(WriterTestCase):
    """
    A log that cannot be written is lost; the daemon goes on.
    """

    style = "text"

    def test_full(self) -> None:
        """
        When there is room again, the next line is one, and not the end of one
        that was torn.
        """
        errors = OSError(28, "full"), BrokenPipeError(), ValueError("closed"), None
        for error in errors:
            output = Full(8, error)
            log = Logger(observer=LogWriter.of(output, "text", "info"))
            log.info("one")
            log.info("two")
            output.room = 100
            log.info("three")
            log.info("four")
            lines = output.taken.decode().split("\n")
            self.assertEqual(len(lines), 4)
            self.assertEqual(
                [line.split()[-1] for line in lines[1:3]], ["three", "four"]
            )

    def test_in_pieces(self) -> None:
        """
        An output that takes a little at a time gets all of it.
        """

        class Slow(io.BytesIO):
            def write(self, data: Any) -> int:
                return super().write(data[:3])

        self.output = Slow()
        self.writer = LogWriter.of(self.output, "text", "info")
        self.event("one")
        self.event("two")
        self.assertEqual(self.written(), "@0 one\n@0 two\n")

    def test_nothing_to_write_to(self) -> None:
        """
        A process that was started without standard output logs to nothing.
        """
        LogWriter.of(None, "auto", "info")({"log_format": "x", "log_time": NOON})

    def test_the_encoding_of_the_terminal(self) -> None:
        """
        A log is UTF-8, whatever the process thinks of the terminal; and what is
        no text at all can still be read.
        """
        raw = io.BytesIO()
        output = io.TextIOWrapper(io.BufferedWriter(raw), encoding="ascii")
        output.write("before\n")
        self.output, self.writer = raw, LogWriter.of(output, "text", "info")
        self.event("Füße \ud800")
        self.assertEqual(self.written(), "before\n@0 Füße \\ud800\n")


class FileTests(WriterTestCase):
    """
    Log files of all kinds: real ones.
    """

    def setUp(self) -> None:
        super().setUp()
        # Not trial's directory: pipes and sockets should not stay there.
        self.directory = tempfile.mkdtemp()
        self.addCleanup(self.remove)
        self.path = os.path.join(self.directory, "x.log")
        self.patch(logs, "_ROTATE_AT", 100)

    def remove(self) -> None:
        shutil.rmtree(self.directory)

    def open(self, path: str | None = None, style: str = "text") -> LogWriter:
        output = open_log(path or self.path)
        self.addCleanup(output.close)
        return LogWriter.of(output, style, "info")

    def write(self, writer: LogWriter, *lines: str) -> None:
        for line in lines:
            writer({"log_format": line, "log_time": NOON})

    def read(self, name: str = "x.log") -> str:
        with open(os.path.join(self.directory, name), encoding="utf-8") as log:
            return log.read()

    def assertCannot(self, path: str, reason: str) -> None:
        error = self.assertRaises(CannotLog, open_log, path)
        self.assertEqual(str(error), f"cannot log to {path}: {reason}")

    def test_a_new_file(self) -> None:
        """
        A file is made where there is none, and one that is there is continued.
        """
        self.write(self.open(), "one")
        self.write(self.open(), "two")
        self.assertEqual(self.read(), "@0 one\n@0 two\n")

    def test_rotated(self) -> None:
        """
        A regular file is rotated when it has grown.
        """
        writer = self.open()
        self.write(writer, *(f"{number:096}" for number in range(3)))
        self.assertEqual(
            sorted(os.listdir(self.directory)), ["x.log", "x.log.1", "x.log.2"]
        )
        self.assertIn("2\n", self.read())
        self.assertIn("0\n", self.read("x.log.2"))

    def test_not_too_many(self) -> None:
        """
        Of the old ones, the oldest go.
        """
        self.patch(logs, "_ROTATED", 2)
        self.write(self.open(), *("x" * 100 for _ in range(9)))
        names = sorted(os.listdir(self.directory))
        self.assertEqual(names, ["x.log", "x.log.1", "x.log.2"])

    def test_moved(self) -> None:
        """
        A file that was moved away is opened anew when we are told; until then it
        is written where it went.
        """
        writer = self.open()
        self.write(writer, "one")
        os.rename(self.path, self.path + ".old")
        self.write(writer, "two")
        writer.reopen()
        self.write(writer, "three")
        self.assertEqual(self.read("x.log.old"), "@0 one\n@0 two\n")
        self.assertEqual(self.read(), "@0 three\n")

    def test_not_moved(self) -> None:
        """
        A file that is where it was stays open: it may have been opened with
        privileges that are gone.
        """
        writer = self.open()
        self.write(writer, "one")
        opening = self.patch(builtins, "open", self.refuse)
        writer.reopen()
        opening.restore()
        self.write(writer, "two")
        self.assertEqual(self.read(), "@0 one\n@0 two\n")

    def test_cannot_be_reopened(self) -> None:
        """
        When that fails, the log says so and goes on in the old place.
        """
        writer = self.open()
        self.patch(LogWriter, "_log", Logger(observer=writer))
        self.write(writer, "one")
        os.rename(self.directory, self.directory + ".gone")
        writer.reopen()
        self.write(writer, "two")
        self.directory += ".gone"
        one, why, two = self.read().splitlines()
        self.assertEqual((one, two), ("@0 one", "@0 two"))
        self.assertIn("ERROR the log file could not be opened again: No such", why)

    def test_cannot_be_rotated(self) -> None:
        """
        Nor does a file end that cannot be rotated.
        """
        writer = self.open()
        self.patch(os, "rename", self.refuse)
        self.write(writer, "x" * 100, "y" * 100, "z")
        self.assertEqual(len(self.read().splitlines()), 3)

    def refuse(self, *names: Any, **more: Any) -> None:
        raise PermissionError(1, "not permitted")

    def test_cannot_be_written(self) -> None:
        """
        A file that cannot be written is a clear error.
        """
        absent = os.path.join(self.directory, "absent", "x.log")
        self.assertCannot(absent, "No such file or directory")
        self.assertCannot(self.directory, "Is a directory")
        error = self.assertRaises(CannotLog, open_log, "x\0y")
        self.assertIn("embedded null", error.reason)

    def test_a_pipe(self) -> None:
        """
        A pipe is written to and never rotated; when its reader has gone, what is
        logged is lost, until there is another.
        """
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        writer = self.open()
        self.write(writer, "x" * 200, "y")
        self.assertEqual(len(os.read(reader, 1000).splitlines()), 2)
        os.close(reader)
        self.write(writer, "lost")
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.write(writer, "found")
        self.assertEqual(os.read(reader, 1000), b"@0 found\n")
        writer.reopen()
        self.write(writer, "again")
        self.assertEqual(os.read(reader, 1000), b"@0 again\n")
        self.assertEqual(os.listdir(self.directory), ["x.log"])

    def test_a_pipe_without_a_reader(self) -> None:
        """
        A pipe that nobody reads is not waited for.
        """
        os.mkfifo(self.path)
        self.assertCannot(self.path, "nobody reads this pipe or socket")

    def test_a_socket(self) -> None:
        """
        A socket is no log file.
        """
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(self.path)
            self.assertCannot(self.path, "nobody reads this pipe or socket")

    def test_devices(self) -> None:
        """
        A device is written to as it is: one that takes all, and one that is full.
        """
        for device in "/dev/null", "/dev/full":
            writer = self.open(device)
            self.write(writer, *("x" * 100 for _ in range(3)))
            writer.reopen()
            self.write(writer, "y")
            self.assertFalse(os.path.exists(device + ".1"))

    def test_a_link(self) -> None:
        """
        A link is left alone, whatever it leads to: rotating it would move the
        link. What it leads to may be moved.
        """
        os.symlink("y.log", self.path)
        writer = self.open()
        self.write(writer, "x" * 100, "y" * 100, "z" * 100)
        self.assertEqual(sorted(os.listdir(self.directory)), ["x.log", "y.log"])
        self.assertEqual(len(self.read("y.log").splitlines()), 3)
        os.rename(os.path.join(self.directory, "y.log"), self.path + ".old")
        writer.reopen()
        self.write(writer, "new")
        self.assertEqual(self.read("y.log"), "@0 new\n")

    def test_standard_output(self) -> None:
        """
        C{/dev/stdout} is what it is, be it a socket, and stays that.
        """
        for name, number in ("/dev/stdout", 1), ("/dev/stderr", 2):
            ours, theirs = socket.socketpair()
            self.addCleanup(theirs.close)
            kept = os.dup(number)
            os.dup2(ours.fileno(), number)
            ours.close()
            try:
                writer = self.open(name)
            finally:
                os.dup2(kept, number)
                os.close(kept)
            self.write(writer, "one")
            writer.reopen()
            self.write(writer, "two")
            self.assertEqual(theirs.recv(100), b"@0 one\n@0 two\n")

    def test_a_terminal(self) -> None:
        """
        On a terminal the log is for people, elsewhere for programs; unless
        somebody decided.
        """
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        name = os.ttyname(slave)
        os.close(slave)
        self.assertEqual(self.open(name, "auto").style, "text")
        self.assertEqual(self.open(name, "json").style, "json")
        self.assertEqual(self.open(self.path, "auto").style, "json")
        self.assertEqual(self.open(self.path, "text").style, "text")
        self.assertEqual(LogWriter.of(io.BytesIO(), "auto", "info").style, "json")


class PageTests(SynchronousTestCase):
    """
    What C{docs/logs.rst} shows is what is written.
    """

    def setUp(self) -> None:
        self.patch(logs, "_local", lambda seconds: "2026-11-20 18:00:00+01:00")
        self.patch(logs, "_utc", lambda seconds: "2026-11-20T17:00:00.000Z")
        self.work = Work("chat", "c17", "r42")

    def written(self, style: str) -> str:
        """What the page's class says, in the name of the page's request."""
        output = io.BytesIO()
        writer = LogWriter.of(output, style, "info")
        globalLogPublisher.addObserver(writer)
        self.addCleanup(globalLogPublisher.removeObserver, writer)
        (source,) = blocks("logs", "python")
        names: dict[str, Any] = {"__name__": "acme.rooms"}
        exec(source, names)
        rooms = names["Rooms"]()
        with working(plugin="chat", connection="c17", request="r42"):
            rooms.open("lobby", 8)
            rooms.close("lobby")
        self.flushLoggedErrors(KeyError)
        globalLogPublisher.removeObserver(writer)
        return output.getvalue().decode("utf-8")

    def access(self, style: str) -> str:
        output = io.BytesIO()
        peer, uri = "192.0.2.7", "/chat/lobby?token=****"
        seen = Access(NOON, self.work, peer, "GET", uri, 200, 68, 0.00153)
        seen = replace(seen, route="/chat/<room>")
        LogWriter.of(output, style, "info").access([seen])
        return output.getvalue().decode("utf-8")

    def test_for_people(self) -> None:
        """
        As text.
        """
        shown, access, _ = blocks("logs", "text")
        before, after = shown.split("    …\n")
        written = self.written("text")
        self.assertTrue(written.startswith(before), written)
        self.assertTrue(written.endswith(after), written)
        self.assertEqual(self.access("text"), access)

    def test_for_programs(self) -> None:
        """
        As JSON.
        """
        shown, access = blocks("logs", "json")
        first, second = self.written("json").splitlines()
        self.assertEqual(json.loads(first), json.loads(shown))
        self.assertIn("traceback", json.loads(second))
        self.assertEqual(json.loads(self.access("json")), json.loads(access))

    def test_settings(self) -> None:
        """
        The settings shown are those by default.
        """
        (shown,) = blocks("logs", "toml")
        settings = parse(shown).read("host", HostSettings)
        self.assertEqual(settings, HostSettings())

    def test_numbers(self) -> None:
        """
        The numbers on the page are those in force.
        """
        page = " ".join("".join(blocks("logs", "text")).split())
        self.assertIn("size 9M", page)
        self.assertEqual((logs._ROTATE_AT, logs._ROTATED), (10 * 2**20, 10))
