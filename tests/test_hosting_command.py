"""
Tests for L{ropewalk.web.hosting.command}, and for what keeps its processes running.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError, ProcessTerminated
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.web.hosting import Place as At
from ropewalk.web.hosting.children.keeper import DoesNotRun
from ropewalk.web.hosting.command import CommandMounting, command
from ropewalk.web.hosting.loading import load
from ropewalk.web.hosting.settings import BadMount
from tests.daemonry import ROOT
from tests.proxying import OK, Child, Line, RealSite
from tests.test_hosting_native import needs
from tests.visiting import Place, request

reactor: Any = global_reactor

#: Says what it was started with, and what it hears; on a port, or at a socket.
TELLS = """\
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Tells(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path.endswith("/die"):
            os._exit(3)
        told = {"words": sys.argv[1:], "pid": os.getpid(), "here": os.getcwd(),
                "mount": os.environ["ROPEWALK_MOUNT"], "own": os.environ.get("OWN")}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

print("it begins")
HTTPServer(("127.0.0.1", int(sys.argv[1])), Tells).serve_forever()
"""

#: A daemon with a program that does not end by itself, nor by SIGTERM, and that has
#: started another one. It tells their numbers.
HOUSE = """\
import sys
from ropewalk.run import reactors
reactor = reactors.choose()
from ropewalk.web.hosting import Place
from ropewalk.web.hosting.command import command
at = Place("/", "shop", "x.py:1", reactor, lambda *ignored: None)
command([sys.executable, "-c", sys.argv[1], "{port}"]).at(at).startService()
reactor.run()
"""

STUBBORN = """\
import os, signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
second = os.fork()
if second:
    with open(os.environ["TOLD"], "w") as told:
        print(os.getpid(), second, file=told)
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    time.sleep(60)
"""


GEVENT = """\
from gevent import monkey
monkey.patch_all()
import sys
from gevent.pywsgi import WSGIServer

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode() + b" from greenlets"]

WSGIServer(("127.0.0.1", int(sys.argv[1])), app).serve_forever()
"""


class _Run:
    """A process that is none."""

    pid = 17

    def __init__(self, protocol: Any, words: list[str], env: Any, path: str) -> None:
        self.protocol, self.words = protocol, words
        self.env, self.path = env, path
        self.told = b""
        protocol.makeConnection(self)

    def writeToChild(self, number: int, data: bytes) -> None:
        assert number == 3
        self.told += data

    def loseConnection(self) -> None:
        """It has no pipes."""

    def end(self, code: int | None = 1, number: int | None = None) -> None:
        """End."""
        reason = Failure(ProcessTerminated(code, number))
        self.protocol.processExited(reason)
        self.protocol.processEnded(reason)


class House(MemoryReactorClock):
    """
    A reactor whose processes are none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[_Run] = []

    def spawnProcess(
        self, protocol: Any, program: str, words: Any, env: Any, path: Any, **how: Any
    ) -> None:
        assert set(how["childFDs"]) == {0, 1, 2, 3}
        self.runs.append(_Run(protocol, list(words[4:]), env, path))


class KeeperTests(SynchronousTestCase):
    """
    A program is run, asked until it answers, and run again when it has ended.
    """

    def setUp(self) -> None:
        self.house = House()
        self.place = Place.of()
        self.asked = 0
        self.mount()

    def mount(self, *words: Any, path: str = "/old", **terms: Any) -> None:
        self.house = House()
        at = At(path, "shop", "x.py:1", self.house, lambda *ignored: None)
        words = words or (sys.executable, "serve", "{port}", "at={prefix}")
        self.mounting: CommandMounting = command(words, **terms).at(at)
        self.place = Place.of()
        self.place.mount(path, self.mounting.resource)
        self.asked = 0

    def start(self) -> Deferred[None]:
        starting: Deferred[None] = self.mounting.startService()
        return starting

    def line(self) -> Line:
        """The next connection that the daemon wants."""
        wanted = self.house.tcpClients[self.asked]
        self.asked += 1
        return Line(wanted[2].buildProtocol(None))

    def refuse(self) -> None:
        wanted = self.house.tcpClients[self.asked]
        self.asked += 1
        nowhere: Any = None
        wanted[2].clientConnectionFailed(nowhere, Failure(ConnectionRefusedError()))

    def ready(self) -> None:
        """Start, and answer."""
        starting = self.start()
        self.line()
        self.successResultOf(starting)

    @property
    def run_of_it(self) -> _Run:
        """The last process."""
        return self.house.runs[-1]

    def test_told(self) -> None:
        """
        It is told where to listen, and where it is mounted.
        """
        self.mount(
            *(sys.executable, "serve", "{port}", "at={prefix}"),
            environment={"OWN": "1"},
            prefix_variable="MINE",
            directory="/",
        )
        self.patch(os, "environ", {**os.environ, "NOTIFY_SOCKET": "/x", "LEFT": "1"})
        self.start()
        run, port = self.run_of_it, self.house.tcpClients[0][1]
        self.assertEqual(run.words, [sys.executable, "serve", str(port), "at=/old"])
        told = {
            name: run.env[name] for name in ("PORT", "ROPEWALK_MOUNT", "OWN", "MINE")
        }
        self.assertEqual(
            told,
            {"PORT": str(port), "ROPEWALK_MOUNT": "/old", "OWN": "1", "MINE": "/old"},
        )
        self.assertEqual(run.path, "/")
        self.assertEqual(run.env["LEFT"], "1")
        self.assertNotIn("NOTIFY_SOCKET", run.env)  # that is between systemd and us

    def test_not_a_guests(self) -> None:
        """
        What an application in the daemon has put into the environment is not for it:
        another project of Django's would be served by the first one's settings.
        """
        home = Path(self.mktemp()).absolute()
        home.mkdir()
        text = "import os\nos.environ['SETTINGS_OF_GUEST'] = 'one'\ndef app(): ...\n"
        (home / "guest_of_command.py").write_text(text, "utf-8")
        self.patch(sys, "path", [*sys.path])
        load("guest_of_command", str(home))
        self.addCleanup(os.environ.pop, "SETTINGS_OF_GUEST")
        self.addCleanup(sys.modules.pop, "guest_of_command")
        self.start()
        self.assertEqual(os.environ["SETTINGS_OF_GUEST"], "one")
        self.assertNotIn("SETTINGS_OF_GUEST", self.run_of_it.env)

    def test_waited_for(self) -> None:
        """
        The start waits until it answers.
        """
        starting = self.start()
        self.refuse()
        self.assertNoResult(starting)
        self.house.advance(0.1)
        self.line()
        self.successResultOf(starting)
        self.assertIsNone(self.mounting.problem())
        visit = self.place.visit()
        visit.send(request("/old/x"))
        line = self.line()
        self.assertTrue(line.heard().startswith(b"GET /old/x HTTP/1.1\r\n"))
        line.say(OK)
        self.assertEqual(visit.answer().body, b"ok")

    def test_goodbye(self) -> None:
        """
        Who is only looked for is not told of a connection that was reset.
        """
        self.start()
        line = self.line()
        self.assertTrue(line.closed)
        self.assertFalse(line.wire.aborted)

    def test_health(self) -> None:
        """
        Where a path says whether it is ready, it is asked for that.
        """
        self.mount(health="/health")
        starting = self.start()
        line = self.line()
        self.assertTrue(line.heard().startswith(b"GET /health HTTP/1.1\r\n"))
        line.say(b"HTTP/1.1 503 Not Yet\r\n\r\n")
        self.house.advance(0.1)
        self.line().say(OK)
        self.successResultOf(starting)

    def test_started_again(self) -> None:
        """
        One that ends is started again after a while, longer each time; meanwhile who
        asks is told when to ask again.
        """
        self.ready()
        self.run_of_it.end()
        self.assertEqual(len(self.house.runs), 1)
        self.assertIn("no process answers", self.mounting.problem() or "")
        answer = self.place.visit().ask("/old/")
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
        self.house.advance(0.5)
        self.assertEqual(len(self.house.runs), 2)
        self.line()
        self.assertIsNone(self.mounting.problem())
        for number, longest in ((2, 1.0), (3, 2.0), (4, 4.0)):
            self.run_of_it.end()
            self.house.advance(longest / 2 - 0.01)
            self.assertEqual(len(self.house.runs), number)
            self.house.advance(longest / 2 + 0.01)
            self.assertEqual(len(self.house.runs), number + 1)
            self.line()
        self.assertEqual(
            [each["starts"] for each in self.mounting.figures().values()], [5]
        )

    def test_well_for_a_while(self) -> None:
        """
        One that has run for a minute is started again soon, whatever was before.
        """
        self.ready()
        self.run_of_it.end()
        self.house.advance(0.5)
        self.line()
        self.house.advance(60)
        self.run_of_it.end()
        self.house.advance(0.5)
        self.assertEqual(len(self.house.runs), 3)

    def test_does_not_run(self) -> None:
        """
        One that ends again and again before it has answered fails the start, with what
        it has said.
        """
        starting = self.start()
        for pause in (0.5, 1.0, 0.0):
            self.run_of_it.protocol.childDataReceived(2, b"no such tab")
            self.run_of_it.protocol.childDataReceived(2, b"le\n")
            self.run_of_it.end()
            self.house.advance(pause)
        error = self.failureResultOf(starting, DoesNotRun).value
        *_, problem, said = str(error).splitlines()
        self.assertIn("serve {port} at={prefix}' exited with 1, 3 times; it", problem)
        self.assertEqual(said, "no such table")
        self.assertEqual(len(self.house.runs), 3)

    def test_never_answers(self) -> None:
        """
        One that does not answer in time fails the start, and is killed.
        """
        self.mount(start=5)
        starting = self.start()
        self.house.advance(5)
        self.refuse()
        self.assertNoResult(starting)  # it has not ended
        self.assertIn(b"k", self.run_of_it.told)
        self.run_of_it.end(None, 9)
        error = self.failureResultOf(starting, DoesNotRun).value
        self.assertIn("does not answer after 5 seconds", str(error))

    def test_no_program(self) -> None:
        """
        A program that is not there is named.
        """
        self.mount("python2.4", "{port}")
        error = self.failureResultOf(self.start(), DoesNotRun).value
        self.assertIn("there is no program 'python2.4'", str(error))
        self.assertEqual(self.house.runs, [])

    def test_stopped(self) -> None:
        """
        It is asked to end, and killed if it does not.
        """
        self.ready()
        stopping = self.mounting.stopService()
        self.assertEqual(self.run_of_it.told, b"t")
        self.house.advance(10)
        self.assertEqual(self.run_of_it.told, b"tk")
        self.assertNoResult(stopping)
        self.run_of_it.end(None, 9)
        self.successResultOf(stopping)
        self.house.advance(60)
        self.assertEqual(len(self.house.runs), 1)
        self.assertEqual(self.house.getDelayedCalls(), [])

    def test_stopped_between(self) -> None:
        """
        One that is to be started again is not when the daemon stops.
        """
        self.ready()
        self.run_of_it.end()
        self.successResultOf(self.mounting.stopService())
        self.house.advance(60)
        self.assertEqual(len(self.house.runs), 1)

    def test_several(self) -> None:
        """
        There may be several, which share the work, each with a name in the log.
        """
        self.mount(processes=2)
        starting = self.start()
        self.line()
        self.assertNoResult(starting)
        self.line()
        self.successResultOf(starting)
        ports = {run.words[2] for run in self.house.runs}
        self.assertEqual(len(ports), 2)
        self.house.runs[0].end()
        self.assertIsNone(self.mounting.problem())
        visit = self.place.visit()
        visit.send(request("/old"))
        self.line().say(OK)
        self.assertEqual(visit.answer().status, 200)
        self.assertEqual([name[-2:] for name in self.mounting.figures()], ["#1", "#2"])

    def test_socket(self) -> None:
        """
        It may listen at a UNIX socket, in a directory that is nobody else's.
        """
        self.mount(sys.executable, "serve", "{socket}")
        starting = self.start()
        path, factory = self.house.unixClients[0][:2]
        self.assertEqual(self.run_of_it.words[2], path)
        self.assertNotIn("PORT", set(self.run_of_it.env) - set(os.environ))
        self.assertEqual(Path(path).parent.stat().st_mode & 0o777, 0o700)
        Line(factory.buildProtocol(None))
        self.successResultOf(starting)
        Path(path).touch()
        self.run_of_it.end()
        self.house.advance(0.5)
        self.assertEqual(self.run_of_it.words[2], path)
        self.assertFalse(Path(path).exists())
        stopping = self.mounting.stopService()
        self.run_of_it.end(0)
        self.successResultOf(stopping)
        self.assertFalse(Path(path).parent.exists())

    def test_log(self) -> None:
        """
        What it prints is in our log, line by line; not without end.
        """
        events: Any = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.ready()
        hear: Callable[[int, bytes], None] = self.run_of_it.protocol.childDataReceived
        hear(1, b"one\r\ntw")
        hear(2, b"three\n")
        hear(1, b"o\n\xff" + b"x" * 2500)
        self.run_of_it.end()
        lines = [each["line"] for each in events if "line" in each]
        self.assertEqual(lines[:3], ["one", "three", "two"])
        self.assertEqual(lines[3], "\\xff" + "x" * 1999)
        self.house.advance(0.5)
        hear = self.run_of_it.protocol.childDataReceived
        events.clear()
        hear(1, b"again\n" * 5000)
        self.house.advance(1)
        hear(1, b"last\n")
        lines = [each["line"] for each in events if "line" in each]
        self.assertEqual((len(lines), lines[-1]), (201, "last"))
        (told,) = [each["count"] for each in events if "count" in each]
        self.assertEqual(told, 4800)

    def test_refused(self) -> None:
        """
        What makes no sense is refused where it is written.
        """
        for words, terms, problem in (
            ("python app.py", {}, "are a list"),
            ([], {}, "are a list"),
            (["a"], {"processes": 0}, "processes is 1 or more"),
            (["a"], {"lives": 9}, "nothing is known of lives"),
        ):
            with self.assertRaisesRegex(BadMount, problem):
                command(words, **terms)  # type: ignore[arg-type]
        self.assertEqual(command(["a", "b"]).shown, "a b (command)")


def is_there(pid: int) -> bool:
    """Whether there is a process that runs."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


@inlineCallbacks
def until(holds: Callable[[], bool]) -> Steps[None]:
    """Wait until something holds; a test has its own limit."""
    while not holds():
        yield deferLater(reactor, 0.02)


class ProcessTests(TestCase):
    """
    Real programs.
    """

    timeout = 60

    def at(self, path: str = "/old") -> At:
        return At(path, "shop", "x.py:1", reactor, lambda *ignored: None)

    @inlineCallbacks
    def test_program(self) -> Steps[None]:
        """
        A program is started, asked, started again when it dies, and ended.
        """
        here = Path(self.mktemp()).absolute()
        here.mkdir()
        (here / "tells.py").write_text(TELLS, "utf-8")
        mounting = command(
            [sys.executable, "tells.py", "{port}", "{prefix}"],
            directory=str(here),
            environment={"OWN": "1"},
            health="/",
        ).at(self.at())
        site = yield RealSite.of("/old", mounting)
        self.addCleanup(site.stop)
        status, body = yield site.get("/old/a")
        told = json.loads(body)
        self.assertEqual(status, 200)
        self.assertEqual(told["here"], os.path.realpath(here))
        self.assertEqual((told["mount"], told["own"]), ("/old", "1"))
        self.assertEqual(told["words"][1], "/old")
        first = told["pid"]
        status, _ = yield site.get("/old/die")
        self.assertEqual(status, 502)
        yield until(lambda: mounting.problem() is None)
        status, body = yield site.get("/old/b")
        second = json.loads(body)["pid"]
        self.assertNotEqual(first, second)
        yield site.stop()
        self.assertFalse(is_there(second))

    @inlineCallbacks
    def test_gevent(self) -> Steps[None]:
        """
        A program of gevent, which wants its process for itself, has one.
        """
        needs("gevent")
        mounting = command([sys.executable, "-c", GEVENT, "{port}"]).at(self.at("/"))
        site = yield RealSite.of("/", mounting)
        self.addCleanup(site.stop)
        self.assertEqual((yield site.get("/hello")), (200, b"/hello from greenlets"))
        yield site.stop()

    @inlineCallbacks
    def test_killed(self) -> Steps[None]:
        """
        When the daemon is killed, the program goes, too, with what it has started, even
        if it does not mind SIGTERM.
        """
        told = Path(self.mktemp()).absolute()
        daemon = Child(
            [sys.executable, "-c", HOUSE, STUBBORN],
            {**os.environ, "PYTHONPATH": str(ROOT / "platform"), "TOLD": str(told)},
        )
        self.addCleanup(daemon.kill)
        yield until(lambda: told.exists() and told.read_text().endswith("\n"))
        pids = [int(each) for each in told.read_text().split()]
        self.assertEqual([is_there(pid) for pid in pids], [True, True])
        daemon.kill()
        yield until(lambda: not any(map(is_there, pids)))

    @inlineCallbacks
    def test_leash_killed(self) -> Steps[None]:
        """
        It is also started again when what stands between was killed, and the old one
        does not stay.
        """
        if sys.platform != "linux":
            return
        mounting = command([sys.executable, "-c", TELLS, "{port}"]).at(self.at())
        site = yield RealSite.of("/old", mounting)
        self.addCleanup(site.stop)
        _, body = yield site.get("/old/")
        first = json.loads(body)["pid"]
        os.kill(mounting.keepers[0].pid or 0, signal.SIGKILL)
        yield until(lambda: not is_there(first))
        yield until(lambda: mounting.keepers[0].starts == 2)
        yield until(lambda: mounting.problem() is None)
        yield site.stop()
