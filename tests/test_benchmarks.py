"""
The benchmarks: what they ask, what they make of it, and how they tell it.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import socketserver
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from threading import Thread
from xml.etree import ElementTree

from attrs import evolve
from benchmarks import environments
from benchmarks.environments import Absent, Home, compiled, find_python, found, in_short
from benchmarks.goals import GOALS, Goal, Verdict
from benchmarks.loads import (
    BIG,
    HELLO,
    HTTP,
    LINES,
    LOADS,
    POSTED,
    Outcome,
    Wrong,
    check,
    read_outcome,
    sample,
)
from benchmarks.measure import Measurement
from benchmarks.peers import APPS, PEERS, Peer
from benchmarks.pictures import BARS, Bar, draw, in_figures
from benchmarks.report import Table, as_rst, as_text, pictures, publish, tables
from benchmarks.results import Facts, Results, Round, Slot, Spread, Start
from benchmarks.servers import Server, members
from twisted.trial.unittest import SynchronousTestCase

HAS_PROC = Path("/proc/self/smaps_rollup").exists()

#: What wrk says, and then our script.
WRK_SAYS = """\
Running 1s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.31ms    1.02ms  20.11ms   90.12%
    Req/Sec    14.65k     1.20k   16.02k    80.00%
  14601 requests in 1.00s, 1.99MB read
Requests/sec:  14546.11
Transfer/sec:      1.98MB
{"count": 14601, "seconds": 1.003773, "bytes": 2087943, "p50": 4.3100, \
"p99": 5.4200, "lost": 0, "refused": 0}
"""


#: Echoes short lines.
FRAGILE = """\
import os, socketserver, sys

class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            if len(line) > 60:
                print("Error: too much for me", flush=True)
                os._exit(1)
            self.wfile.write(line)

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 100

Server(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""


def slot(rate: float, work: float = 1.0, p99: float = 2.0) -> Slot:
    return Slot(rate, work, 1.0, p99)


def make_results() -> Results:
    """
    Two rounds; of the second, Klein is missing under one load.
    """
    results = Results("2026-11-28", {"processor": "one"}, 1)
    for name, title in ("klein", "Klein"), ("ropewalk", "Ropewalk"), ("x", "<X>"):
        results.peers[name] = Facts(title, {"python": "3.13.0"})
    results.absent["Nobody"] = "there is no Nobody"
    results.failures["x"] = {"idle": "it ended"}
    results.starts["ropewalk"] = [Start(0.3, 40.0, 2.5), Start(0.2, 42.0)]
    first = {"klein": slot(10.0), "ropewalk": slot(80.0), "x": slot(40.0)}
    second = {"klein": slot(20.0, p99=8.0), "ropewalk": slot(120.0), "x": slot(20.0)}
    results.rounds = [
        Round(0.1, {"plain": first, "users": {"x": slot(3.0)}}, {"klein": 30.0}),
        Round(0.2, {"plain": second}, {"klein": 50.0}),
    ]
    return results


class OutcomeTests(SynchronousTestCase):
    """
    What the programs say that ask.
    """

    def test_wrk(self) -> None:
        """
        Of all that wrk prints, the line of JSON counts.
        """
        outcome = read_outcome(WRK_SAYS)
        self.assertEqual(
            outcome, Outcome(14601, 1.003773, 4.31, 5.42, 0, 0, 0, 2087943)
        )

    def test_silence(self) -> None:
        """
        A program that did not tell what came of it is quoted.
        """
        for silence in ("unable to connect to 127.0.0.1:8080\n", '{"p50": nan}\n'):
            with self.assertRaisesRegex(Wrong, re.escape(silence[:8])):
                read_outcome(silence)

    def test_good(self) -> None:
        """
        As many bytes as that many answers have are right, with those that had begun
        to come when the time was up.
        """
        plain = LOADS["plain"]
        read_outcome(WRK_SAYS).check(plain, (143, 143))
        begun = plain.connections * 143
        Outcome(1000, 1.0, 1.0, 1.0, 0, bytes=143_000 + begun).check(plain, (143, 143))

    def test_sizes_between(self) -> None:
        """
        An answer may grow in the meantime, by a number in a header.
        """
        outcome = Outcome(1_000_000, 1.0, 1.0, 1.0, 0, bytes=177_000_000)
        outcome.check(LOADS["plain"], (174, 178))

    def test_bad(self) -> None:
        """
        A slot with an answer too few, too many or too short does not count.
        """
        for problem, wrong in (
            ("1 answers were lost", Outcome(1000, 1.0, 1.0, 1.0, 1)),
            ("2 refused", Outcome(1000, 1.0, 1.0, 1.0, 0, refused=2)),
            ("3 bytes wrong", Outcome(1000, 1.0, 1.0, 1.0, 0, wrong=3)),
            ("no answer", Outcome(0, 1.0, 0.0, 0.0, 0)),
            ("are not 100000 bytes", Outcome(1000, 1.0, 1.0, 1.0, 0, bytes=100_000)),
            ("are not 190000 bytes", Outcome(1000, 1.0, 1.0, 1.0, 0, bytes=190_000)),
        ):
            with self.assertRaisesRegex(Wrong, problem):
                wrong.check(LOADS["plain"], (143, 143))


class Canned(socketserver.ThreadingTCPServer):
    """
    Answers each connection with the same bytes, once something was said, and closes
    those that have been told nothing.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        super().__init__(("127.0.0.1", 0), Told)


class Told(socketserver.BaseRequestHandler):
    server: Canned

    def handle(self) -> None:
        self.request.recv(65536)
        self.request.sendall(self.server.answer)
        while self.server.answer and self.request.recv(65536):
            pass


class CheckTests(SynchronousTestCase):
    """
    Who does something else than the others is not measured beside them.
    """

    def serve(self, answer: bytes) -> int:
        server = Canned(answer)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        port: int = server.server_address[1]
        return port

    def answer(
        self, body: bytes, kind: str = "text/plain", status: str = "200 OK"
    ) -> int:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        return self.serve(head.encode() + body)

    def test_size(self) -> None:
        """
        The bytes of an answer are those of its head and its body, in one piece or
        in chunks.
        """
        whole = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
        chunked = whole + b"Transfer-Encoding: chunked\r\n\r\n"
        chunked += b"7\r\nHello, \r\n6\r\nworld!\r\n0\r\n\r\n"
        whole += b"Content-Length: 13\r\n\r\nHello, world!"
        for answer in whole, chunked:
            self.assertEqual(sample(LOADS["plain"], self.serve(answer)), len(answer))

    def test_wrong(self) -> None:
        """
        A wrong status, type or body is told, and so is a connection that breaks.
        """
        plain = LOADS["plain"]
        for problem, port in (
            ("the answer is a 500", self.answer(HELLO, status="500 Oh")),
            ("'text/html', not text/plain", self.answer(HELLO, "text/html")),
            ("Hello, World", self.answer(b"Hello, World!")),
            ("RemoteDisconnected", self.serve(b"")),
            ("BadStatusLine", self.serve(b"one\n")),
        ):
            with self.assertRaisesRegex(Wrong, problem):
                check(plain, port)
        with self.assertRaisesRegex(Wrong, "no JSON"):
            check(LOADS["json"], self.answer(b"no JSON", "application/json"))

    def test_no_refusal(self) -> None:
        """
        Whoever takes anything for an integer, or anything for an item, is out.
        """
        user = self.answer(b'{"id": 42}', "application/json")
        with self.assertRaisesRegex(
            Wrong, "GET /users/nobody HTTP/1.1 should be refused"
        ):
            check(LOADS["users"], user)
        item = self.answer(POSTED, "application/json")
        with self.assertRaisesRegex(Wrong, "POST /items .* should be refused"):
            check(LOADS["items"], item)

    def test_lines(self) -> None:
        """
        Lines have to come back as they were.
        """
        check(LOADS["lines"], self.serve(b"one\nanother\n"))
        with self.assertRaisesRegex(Wrong, "ONE"):
            check(LOADS["lines"], self.serve(b"ONE\nANOTHER\n"))


class LoadTests(SynchronousTestCase):
    """
    What is asked.
    """

    def test_requests(self) -> None:
        """
        A request is complete, and what is posted is 200 bytes of JSON.
        """
        request = LOADS["users"].request()
        self.assertEqual(request, b"GET /users/42 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        self.assertEqual(len(POSTED), 200)
        request = LOADS["items"].request()
        self.assertIn(b"\r\nContent-Length: 200\r\n\r\n{", request)
        self.assertTrue(request.startswith(b"POST /items HTTP/1.1\r\n"))

    def test_the_same_for_all(self) -> None:
        """
        What is served is what is expected; also by the one that shares nothing.
        """
        goods = runpy.run_path(str(APPS / "goods.py"))
        self.assertEqual(goods["BIG"], BIG)
        self.assertEqual(goods["HELLO"].encode(), HELLO)
        self.assertEqual(len(BIG), 64 * 1024)
        line = next(
            line
            for line in (APPS / "japronto_app.py").read_text("utf-8").splitlines()
            if line.startswith("BIG = ")
        )
        self.assertEqual(eval(line.removeprefix("BIG = ")), BIG)


class PeerTests(SynchronousTestCase):
    """
    The table of peers.
    """

    def test_whole(self) -> None:
        """
        Each serves loads that there are, HTTP or lines; and those are there that
        others are compared with.
        """
        for peer in PEERS.values():
            self.assertTrue(set(peer.serves) <= set(HTTP) or peer.serves == LINES, peer)
        for load in LOADS.values():
            self.assertIn(load.name, PEERS[load.base].serves)
        for goal in GOALS:
            self.assertLessEqual({goal.ours, *goal.others}, set(PEERS))
        self.assertEqual(len({peer.title for peer in PEERS.values()}), len(PEERS))

    def test_files(self) -> None:
        """
        Each application has its file, and each file in a language is somebody's.
        """
        commands = " ".join(peer.command for peer in PEERS.values())
        for module in re.findall(r"\b(\w+_app)\b", commands):
            self.assertTrue((APPS / f"{module}.py").exists(), module)
        for path in [*APPS.glob("*_app.py"), *APPS.glob("line_*.py")]:
            if path.stem != "ropewalk_app":  # twistd finds it by its plugin
                self.assertIn(path.stem, commands)

    def test_templates(self) -> None:
        """
        Whatever is left open in a template is filled in.
        """
        always = {"port", "other", "directory", "user"}
        for peer in PEERS.values():
            if peer.template:
                text = (APPS / peer.template).read_text("utf-8")
                open_ = set(re.findall(r"@(\w+)@", text))
                self.assertLessEqual(open_ - always, set(peer.values), peer.name)

    def test_words(self) -> None:
        """
        A command is split into words before it is filled in, so that directories may
        have blanks in their names.
        """
        words = PEERS["klein"].words(8080, Path("/a b/c"))
        self.assertEqual(words[1:], ["klein_app.py", "8080"])
        words = PEERS["ropewalk"].words(8080, Path("/a b/c"))
        self.assertEqual(words[-1], "/a b/c")


class EnvironmentTests(SynchronousTestCase):
    """
    What is not to be had is named.
    """

    def test_in_short(self) -> None:
        """
        A complaint is a line, without directories or addresses.
        """
        said = "Looking in links: /opt/wheels\nERROR: No x at https://example.org/x\n\n"
        self.assertEqual(in_short(said), "ERROR: No x at …")
        trace = 'Traceback …\n  File "/srv/a/b.py"\nImportError: /srv/lib/x.so is bad\n'
        self.assertEqual(in_short(trace), "ImportError: … is bad")
        crash = "Fatal Python error: Segmentation fault\n\nExtension modules: x\n"
        self.assertEqual(in_short(crash), "Fatal Python error: Segmentation fault")
        self.assertEqual(in_short(""), "it said nothing")

    def test_python(self) -> None:
        """
        A Python is found by its version: the one that runs this, but none of old.
        """
        ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
        self.assertIsNotNone(find_python(ours))
        self.assertIsNone(find_python("1.4"))

    def test_absent(self) -> None:
        """
        All reasons are given why an environment cannot be made; a command and a
        compiler that are missing are named.
        """
        self.patch(environments, "CACHE", Path(self.mktemp()))
        home = Home("old", (), ("1.4", "1.5"))
        with self.assertRaises(Absent) as caught:
            home.make()
        self.assertEqual(
            str(caught.exception), "there is no Python 1.4; there is no Python 1.5"
        )
        with self.assertRaisesRegex(Absent, "no-such-command is not installed"):
            found("no-such-command")
        self.patch(os, "environ", {**os.environ, "PATH": self.mktemp()})
        with self.assertRaisesRegex(Absent, "there is no C compiler"):
            compiled(APPS / "echo.c")


class ResultsTests(SynchronousTestCase):
    """
    What is made of rounds.
    """

    def test_ratios(self) -> None:
        """
        A ratio is that of one round; rounds without the other do not count.
        """
        results = make_results()
        ratios = results.ratios("plain", "ropewalk", "klein")
        self.assertEqual(ratios, Spread(7.0, 6.0, 8.0))
        self.assertEqual(
            results.ratios("plain", "klein", "ropewalk", "p99"), Spread(2.5, 1.0, 4.0)
        )
        self.assertIsNone(results.ratios("users", "x", "klein"))
        self.assertIsNone(results.ratios("nothing", "x", "klein"))

    def test_memory_and_starts(self) -> None:
        """
        The median is told, and the least and the most. Connections need not have been
        held at each start.
        """
        results = make_results()
        self.assertEqual(results.memory("klein"), Spread(40.0, 30.0, 50.0))
        self.assertIsNone(results.memory("x"))
        self.assertEqual(results.start("ropewalk"), Spread(0.25, 0.2, 0.3))
        self.assertEqual(results.rest("ropewalk"), Spread(41.0, 40.0, 42.0))
        self.assertEqual(results.idle("ropewalk"), Spread(2.5, 2.5, 2.5))

    def test_file(self) -> None:
        """
        What was saved is loaded; a file with something else is refused.
        """
        path = Path(self.mktemp())
        make_results().save(path)
        self.assertEqual(Results.load(path), make_results())
        written = path.read_bytes()
        Results.load(path).save(path)
        self.assertEqual(path.read_bytes(), written)
        path.write_text('{"when": 1}')
        with self.assertRaisesRegex(SystemExit, "has no results"):
            Results.load(path)


class GoalTests(SynchronousTestCase):
    """
    Whether a goal is reached.
    """

    def goal(self, *others: str, limit: float = 5.0, kind: str = "rate") -> Verdict:
        goal = Goal("", "first", "ropewalk", "plain", others, limit, kind)
        return goal.verdict(make_results())

    def test_rate(self) -> None:
        """
        The worst of several counts; of somebody who was not there, nobody knows.
        """
        self.assertEqual(self.goal("klein"), Verdict(True, "7.0 × Klein"))
        self.assertEqual(self.goal("klein", "x"), Verdict(False, "4.0 × <X>"))
        self.assertEqual(self.goal("nobody"), Verdict(None, "not measured"))
        self.assertEqual(self.goal("klein", "nobody"), Verdict(None, "7.0 × Klein"))
        self.assertEqual(self.goal("x", "nobody"), Verdict(False, "4.0 × <X>"))

    def test_less_is_better(self) -> None:
        """
        Of delays and starts, at most so much.
        """
        verdict = self.goal("klein", limit=1.0, kind="p99")
        self.assertEqual(verdict, Verdict(True, "0.62 × Klein"))
        self.assertEqual(self.goal(limit=0.2, kind="start"), Verdict(False, "0.25 s"))
        self.assertEqual(self.goal(limit=0.3, kind="start"), Verdict(True, "0.25 s"))

    def test_starts_beside_others(self) -> None:
        """
        Of starts, also at most so many times as long as another's.
        """
        results = make_results()
        for seconds, reached in ((0.2, False), (0.25, True)):
            results.starts["x"] = [Start(seconds, 1.0)]
            goal = Goal("", "first", "ropewalk", "", ("x",), 1.1, "start")
            told = f"{in_figures(0.25 / seconds)} × <X>"
            self.assertEqual(goal.verdict(results), Verdict(reached, told))
        unknown = self.goal("klein", kind="start")
        self.assertEqual(unknown, Verdict(None, "not measured"))


class TableTests(SynchronousTestCase):
    """
    Results, told.
    """

    def test_figures(self) -> None:
        """
        A number has as many figures as it is worth.
        """
        numbers = (123456.7, 20.4, 19.96, 7.04, 1.0, 0.126, 0.0)
        told = [in_figures(number) for number in numbers]
        self.assertEqual(told, "123,457 20 20.0 7.0 1.0 0.13 0.00".split())

    def test_text(self) -> None:
        """
        On a terminal, columns are as wide as they have to be.
        """
        table = Table("x", "Title", ["", "rate"], [["Klein", "1.0"], ["aiohttp", "2"]])
        text = "Title\n         rate\nKlein    1.0\naiohttp  2\n"
        self.assertEqual(as_text(table), text)

    def test_rst(self) -> None:
        """
        In the documentation, words are no markup, and a range is not broken.
        """
        table = Table("x", "Title", ["", "<int:id>"], [["a_b*", "–"], ["c", "2–3"]])
        self.assertEqual(
            as_rst(table),
            ".. begin x\n\n.. list-table::\n   :header-rows: 1\n   :widths: auto\n\n"
            "   * -\n     - \\<int:id>\n   * - a\\_b\\*\n     - –\n"
            "   * - c\n     - 2\u2060–\u20603\n\n.. end x\n",
        )

    def test_empty(self) -> None:
        """
        A table without rows would be none.
        """
        text = as_rst(Table("x", "Title", ["", "why"]))
        self.assertEqual(text, ".. begin x\n\nNothing.\n\n.. end x\n")

    def test_all(self) -> None:
        """
        Whoever was under any load is in the table, the fastest first; whoever was
        not is named with the reason.
        """
        told = {table.name: table for table in tables(make_results())}
        self.assertEqual(told["http"].columns, ["", "plain text", "<int:id>, JSON"])
        self.assertEqual(
            told["http"].rows,
            [
                ["Ropewalk", "7.0 (6.0–8.0)", "–"],
                ["<X>", "2.5 (1.0–4.0)", "–"],
                ["Klein", "1.0", "–"],
            ],
        )
        self.assertEqual(told["ours"].rows[0], ["<X>", "4.0 (2.0–6.0)", "–"])
        self.assertEqual(
            told["missing"].rows,
            [["Nobody", "all", "there is no Nobody"], ["<X>", "idle", "it ended"]],
        )
        self.assertEqual(told["lines"].rows, [])

    def test_published(self) -> None:
        """
        The documentation finds each table and each picture where it looks for it.
        """
        directory = Path(self.mktemp())
        directory.mkdir()
        publish(make_results(), directory)
        text = (directory / "performance-tables.txt").read_text("utf-8")
        root = Path(__file__).resolve().parent.parent
        page = (root / "docs" / "performance.rst").read_text("utf-8")
        sought = set(re.findall(r"(?:start-after|end-before): (\.\. .+)", page))
        self.assertEqual(sought, set(re.findall(r"(?m)^\.\. (?:begin|end) .+$", text)))
        drawn = {path.name for path in directory.glob("*.svg")}
        self.assertEqual(
            drawn,
            {"performance-plain.svg", "performance-start.svg", "performance-idle.svg"},
        )
        self.assertLessEqual(drawn, set(re.findall(r"image:: (.+)", page)))


class PictureTests(SynchronousTestCase):
    """
    Bars.
    """

    def draw(self, *bars: Bar) -> ElementTree.Element:
        return ElementTree.fromstring(draw("A < B", "times", list(bars)))

    def find(self, picture: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
        return picture.findall(f"{{http://www.w3.org/2000/svg}}{tag}")

    def test_bars(self) -> None:
        """
        A bar is as long as its number, and the longest line fits.
        """
        picture = self.draw(
            Bar("one & all", Spread(10.0, 5.0, 20.0), True),
            Bar("other", Spread(5.0, 5.0, 5.0)),
        )
        _, one, other = self.find(picture, "rect")
        self.assertEqual(float(one.attrib["width"]), BARS / 2)
        self.assertEqual(float(other.attrib["width"]), BARS / 4)
        self.assertNotEqual(one.attrib["fill"], other.attrib["fill"])
        line = self.find(picture, "line")[0]
        length = float(line.attrib["x2"]) - float(line.attrib["x1"])
        self.assertEqual(length, BARS * 0.75)

    def test_words(self) -> None:
        """
        It says what it is, who is who, and how much, whatever they are called.
        """
        picture = self.draw(Bar("one & all", Spread(10.0, 5.0, 20.0)))
        texts = [text.text for text in self.find(picture, "text")]
        self.assertEqual(texts, ["A < B", "times", "one & all", "10.0"])
        self.assertEqual(self.find(picture, "title")[0].text, "A < B")

    def test_nothing(self) -> None:
        """
        Of nothing, and of zeros, there is a picture, too.
        """
        self.assertEqual(self.find(self.draw(), "title")[0].text, "A < B")
        picture = self.draw(Bar("zero", Spread(0.0, 0.0, 0.0)))
        self.assertIn("zero", [text.text for text in self.find(picture, "text")])

    def test_of_results(self) -> None:
        """
        The fastest is at the top; of starts, the shortest.
        """
        drawn = pictures(make_results())
        self.assertEqual(set(drawn), {"plain", "start", "idle"})
        picture = ElementTree.fromstring(drawn["plain"])
        labels = [text.text for text in self.find(picture, "text")[2::2]]
        self.assertEqual(labels, ["Ropewalk", "<X>", "Klein"])


class ServerTests(SynchronousTestCase):
    """
    The peers that can be had everywhere, for real.
    """

    if not HAS_PROC:
        skip = "what a server takes is read from Linux's /proc"

    def start(self, name: str) -> Server:
        directory = Path(self.mktemp()).absolute()
        server = Server(PEERS[name], None, directory)
        self.addCleanup(server.stop)
        return server

    def check(self, name: str) -> None:
        server = self.start(name)
        for load in PEERS[name].serves:
            check(LOADS[load], server.port)

    def test_klein(self) -> None:
        """
        Klein does all that is asked, and so it does on ropewalk.
        """
        self.check("klein")
        self.check("ropewalk-klein")

    def test_resource(self) -> None:
        """
        Resources do all that is asked, and so they do on ropewalk.
        """
        self.check("resource")
        self.check("ropewalk-resource")

    def test_ropewalk(self) -> None:
        """
        Routes and typed handlers do all that is asked.
        """
        self.check("ropewalk")

    def test_lines(self) -> None:
        """
        Twisted and ropewalk echo lines.
        """
        self.check("line-receiver")
        self.check("ropewalk-lines")

    def test_life(self) -> None:
        """
        A server has started when it answers, takes time and memory, and leaves
        nothing behind.
        """
        server = self.start("line-receiver")
        self.assertTrue(server.runs)
        self.assertGreater(server.seconds, 0)
        self.assertGreater(server.worked(), 0)
        self.assertGreater(server.memory(), 1)
        session = server._process.pid
        self.assertEqual(list(members(session)), [session])
        server.stop()
        self.assertFalse(server.runs)
        self.assertEqual(list(members(session)), [])

    def test_end(self) -> None:
        """
        Whoever does not start is told with its last words.
        """
        broken = evolve(PEERS["klein"], command="{python} no_such_app.py {port}")
        with self.assertRaisesRegex(Absent, "does not start: .*No such file"):
            Server(broken, None, Path(self.mktemp()).absolute())


class MeasurementTests(SynchronousTestCase):
    """
    A run, with two that can be had everywhere and one that cannot.
    """

    if not HAS_PROC or shutil.which("cc") is None:
        skip = "needs Linux's /proc and a C compiler"

    def measure(self, *peers: Peer, loads: tuple[str, ...] = ("lines",)) -> Results:
        """
        A start of each, and a round of very short slots.
        """
        path = self.directory / "results.json"
        run = Measurement(
            list(peers),
            [LOADS[load] for load in loads],
            Results("2026-11-28", {}, 0.05),
            path,
            directory=self.directory,
        )
        with redirect_stdout(StringIO()):
            run.prepare()
            run.start_each(idle=False)
            run.measure_round()
        return Results.load(path)

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.patch(environments, "CACHE", self.directory)

    def test_round(self) -> None:
        """
        What is there is measured and kept; what is not is named, and stops nobody.
        """
        home = Home("nowhere", pythons=("1.4",))
        nowhere = evolve(PEERS["c"], name="nowhere", title="Nowhere", home=home)
        results = self.measure(PEERS["line-receiver"], nowhere, PEERS["c"])
        both = {"line-receiver", "c"}
        self.assertEqual(results.absent, {"Nowhere": "there is no Python 1.4"})
        self.assertEqual(results.failures, {})
        self.assertEqual(set(results.rounds[0].slots["lines"]), both)
        self.assertEqual(set(results.rounds[0].memory), both)
        self.assertEqual(set(results.starts), both)
        self.assertIsNotNone(results.ratios("lines", "c", "line-receiver"))
        self.assertIn("twisted", results.peers["line-receiver"].versions)

    def test_end(self) -> None:
        """
        Who ends under a load is told with its last words, and started again for the
        next load.
        """
        script = self.directory / "fragile.py"
        script.write_text(FRAGILE)
        command = f"{{python}} {script} {{port}}"
        fragile = evolve(PEERS["line-streams"], name="fragile", command=command)
        results = self.measure(PEERS["c"], fragile, loads=LINES)
        self.assertEqual(set(results.failures["fragile"]), set(LINES))
        for problem in results.failures["fragile"].values():
            self.assertRegex(problem, "; it ended: Error: too much for me$")
        for load in LINES:
            self.assertEqual(set(results.rounds[0].slots[load]), {"c"})
