# -*- test-case-name: tests.test_daemon -*-
"""
The daemon as an operator has it: a process that starts or says why not, that
says goodbye, and that takes new settings; killed, hung and broken at each step.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import treq
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import Agent, HTTPConnectionPool

from ropewalk.awaiting import inlineCallbacks
from ropewalk.hub import ChannelRule
from ropewalk.interfaces import Steps
from ropewalk.plugin import Found
from ropewalk.run.configuration import make_plan
from ropewalk.run.daemon import Daemon as Service
from ropewalk.run.host import Host
from ropewalk.run.statuses import Status
from ropewalk.run.systemd import Systemd
from ropewalk.settings import parse
from tests.daemonry import (
    CHAT,
    PATIENCE,
    PYTHON,
    ROOT,
    RUN_TWISTD,
    TROUBLES,
    Daemon,
    Lines,
    Raw,
    reactor,
)

WEB = '[web]\nlisten = ["tcp:0:interface=127.0.0.1"]\n'


def troubled(extra: str = "", host: str = "") -> str:
    """Settings with a troubled service on some ground."""
    return f"{WEB}[host]\n{host}\n[trouble]\n{extra}\n[ground]\n"


class DaemonTestCase(TestCase):
    """
    Starts daemons and leaves none behind.
    """

    timeout = 2 * PATIENCE

    def setUp(self) -> None:
        self.pool = HTTPConnectionPool(reactor, persistent=False)
        self.agent = Agent(reactor, pool=self.pool)
        self.addCleanup(self.pool.closeCachedConnections)

    def launch(self, settings: str | None, **how: Any) -> Daemon:
        """Start one."""
        daemon = Daemon.start(self.mktemp(), settings, **how)
        self.addCleanup(daemon.stop)
        return daemon

    @inlineCallbacks
    def fetch(
        self, url: str, method: str = "GET", **how: Any
    ) -> Steps[tuple[int, str]]:
        """
        Ask for a page.

        :return: fires with the status and the text.
        """
        response = yield treq.request(method, url, agent=self.agent, **how)
        text = yield response.text()
        return response.code, text

    @inlineCallbacks
    def refused(self, settings: str | None, **how: Any) -> Steps[Daemon]:
        """Start one that is not going to stay."""
        daemon = self.launch(settings, **how)
        yield daemon.end()
        return daemon


class StartTests(DaemonTestCase):
    """
    A daemon has started when every service has, or it has not and says why.
    """

    @inlineCallbacks
    def test_start(self) -> Steps[None]:
        """
        Services start after what they require, each waited for, whatever it
        waits for; then the doors open.
        """
        daemon = self.launch(troubled('start = "asyncio"'))
        yield daemon.ready()
        messages = daemon.messages()
        expected = [
            "the ground has started",
            "trouble is starting",
            "trouble has started",
        ]
        self.assertEqual([each for each in messages if each in expected], expected)
        order = [
            next(n for n, each in enumerate(messages) if each.startswith(start))
            for start in ("trouble has started", "trouble answers", "ready: ")
        ]
        self.assertEqual(order, sorted(order))

    @inlineCallbacks
    def check_failure(self, extra: str, reason: str, host: str = "") -> Steps[None]:
        daemon = yield self.refused(troubled(extra, host))
        self.assertEqual(daemon.status, Status.START_FAILED)
        messages = daemon.messages()
        failed = [each for each in messages if each.startswith("service 'trouble'")]
        self.assertEqual(failed, [f"service 'trouble' did not start: {reason}"])
        self.assertIn("stopping what had started: ground", messages)
        self.assertIn("the ground has stopped", messages)
        self.assertNotIn("trouble is stopping", messages)
        self.assertEqual(daemon.places(), {})

    def test_raises(self) -> Deferred[None]:
        """
        A service that raises at start ends the daemon with status 1; what had
        started is stopped, and no door was opened.
        """
        return self.check_failure(
            'start = "raise"', "Trouble: ValueError: trouble at start"
        )

    def test_fails(self) -> Deferred[None]:
        """
        So does one whose start fails after a while.
        """
        return self.check_failure(
            'start = "fail"', "Trouble: ValueError: trouble while starting"
        )

    def test_hangs(self) -> Deferred[None]:
        """
        One that hangs is given up at its deadline.
        """
        return self.check_failure(
            'start = "hang"',
            "still starting after 0.2 seconds, in Trouble",
            "[host.deadlines]\ntrouble = { start = 0.2 }",
        )

    @inlineCallbacks
    def test_cannot_be_made(self) -> Steps[None]:
        """
        A makeService that raises ends the process before anything starts, with
        the traceback.
        """
        daemon = yield self.refused(troubled('make = "raise"'))
        self.assertEqual(daemon.status, Status.START_FAILED)
        self.assertIn(
            "makeService in trouble failed: trouble in the making", daemon.errors
        )
        self.assertIn("trouble.py", daemon.errors)
        self.assertEqual(daemon.messages(), [])

    @inlineCallbacks
    def test_exits(self) -> Steps[None]:
        """
        So does one that wants to end the process: it is named.
        """
        daemon = yield self.refused(troubled('make = "exit"'))
        self.assertEqual(daemon.status, Status.START_FAILED)
        self.assertIn("service 'trouble' did not start: makeService", daemon.errors)

    @inlineCallbacks
    def test_reload_too_early(self) -> Steps[None]:
        """
        SIGHUP does not kill, not even while services are made.
        """
        daemon = self.launch(troubled('make = "slowly"'))
        yield daemon.writes("trouble is being made")
        daemon.signal("SIGHUP")
        yield daemon.ready()
        self.assertIsNone(daemon.status)

    @inlineCallbacks
    def test_port_taken(self) -> Steps[None]:
        """
        A port that somebody has is known before any service starts.
        """
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        listen = f'listen = "tcp:{port}:interface=127.0.0.1"'
        daemon = yield self.refused(troubled(listen))
        self.assertEqual(daemon.status, Status.START_FAILED)
        (said,) = (each for each in daemon.messages() if "did not start" in each)
        self.assertIn(f"cannot listen on 127.0.0.1, port {port}", said)
        self.assertIn("in use", said)
        self.assertNotIn("the ground has started", daemon.messages())

    @inlineCallbacks
    def test_listener_forgotten(self) -> Steps[None]:
        """
        A listener that was made and not returned would stay closed unnoticed; it
        ends the start.
        """
        daemon = yield self.refused(troubled("forget = true"))
        self.assertEqual(daemon.status, Status.START_FAILED)
        (said,) = (each for each in daemon.messages() if "did not start" in each)
        self.assertRegex(
            said,
            r"^service 'trouble' did not start: it made a listener for tcp:0\S* "
            r"\(.*trouble\.py:\d+\) and did not return it from makeService$",
        )
        self.assertIn("trouble has stopped", daemon.messages())

    @inlineCallbacks
    def test_port_claimed_twice(self) -> Steps[None]:
        """
        Two services that claim one address stop the start; both are named,
        with the places where they do.
        """
        settings = troubled('listen = "tcp:17:interface=127.0.0.1"') + (
            '[chat]\nlisten = "tcp:17:interface=127.0.0.1"\n'
        )
        daemon = yield self.refused(settings, paths=(TROUBLES, CHAT))
        self.assertEqual(daemon.status, Status.START_FAILED)
        self.assertIn("TCP port 17 of 127.0.0.1 is claimed twice", daemon.errors)
        self.assertRegex(daemon.errors, r"service 'trouble' \(.*trouble\.py:\d+\)")
        self.assertRegex(daemon.errors, r"service 'chat' \(.*chatroom\.py:\d+\)")

    @inlineCallbacks
    def test_bad_settings(self) -> Steps[None]:
        """
        All faults of the settings are told at once, with status 2.
        """
        settings = WEB + '[chat]\nhistory = -1\nlisen = "x"\n[grund]\n[missing]\n'
        daemon = yield self.refused(settings, paths=(TROUBLES, CHAT))
        self.assertEqual(daemon.status, Status.BAD_SETTINGS)
        for line in (
            (
                "ropewalk.toml:4: [chat] history: "
                "expected an integer from 0 to 10000, got -1"
            ),
            "ropewalk.toml:5: [chat] lisen: unknown key; did you mean 'listen'?",
            "ropewalk.toml:6: [grund]: unknown table; did you mean [ground]?",
            "ropewalk.toml:7: [missing]: cannot import there_is_no_such_module",
        ):
            self.assertIn(line, daemon.errors)

    @inlineCallbacks
    def test_no_settings(self) -> Steps[None]:
        """
        Where there is no settings file, or nothing in it, that is what is said.
        """
        daemon = yield self.refused(None)
        self.assertEqual(daemon.status, Status.BAD_SETTINGS)
        self.assertIn("ropewalk.toml: no such file", daemon.errors)
        daemon = yield self.refused("")
        self.assertEqual(daemon.status, Status.BAD_SETTINGS)
        self.assertIn("ropewalk.toml: asks for nothing", daemon.errors)

    @inlineCallbacks
    def test_stopped_while_starting(self) -> Steps[None]:
        """
        A signal ends a start that takes long; what had started is stopped.
        """
        daemon = self.launch(troubled('start = "hang"'))
        yield daemon.says("trouble is starting")
        daemon.signal("SIGTERM")
        status = yield daemon.end()
        self.assertEqual(status, Status.STOPPED)
        self.assertIn("the ground has stopped", daemon.messages())

    @inlineCallbacks
    def test_another_reactor(self) -> Steps[None]:
        """
        ``twistd -r`` chooses the reactor. Where it is not asyncio's, the log says
        what cannot be had, and a service that wants it does not start.
        """
        twistd = ("-r", "poll", "-n", "--pidfile=")
        daemon = self.launch(troubled(), twistd=twistd)
        yield daemon.ready()
        self.assertTrue(any("not asyncio's" in each for each in daemon.messages()))
        other = yield self.refused(troubled('start = "asyncio"'), twistd=twistd)
        self.assertEqual(other.status, Status.START_FAILED)
        self.assertTrue(any("asyncio reactor" in each for each in other.messages()))


class StopTests(DaemonTestCase):
    """
    A daemon that is asked to stop says goodbye to everybody first.
    """

    @inlineCallbacks
    def test_goodbyes(self) -> Steps[None]:
        """
        A running request is answered whole, a WebSocket is closed with 1001 and
        a reason, a line protocol says goodbye, and services stop in reverse.
        """
        daemon = self.launch(troubled())
        places = yield daemon.ready()
        lines = yield Lines.to(places["trouble"])
        yield lines.hears("hello")
        web = yield open_socket(places["web"], "/trouble/echo")
        asking = self.fetch(places["web"] + "trouble/slow")
        yield daemon.says("a slow request is here")
        daemon.signal("SIGTERM")
        answer = yield asking
        closed = yield web.ended
        yield lines.ended
        status = yield daemon.end()
        self.assertEqual(answer, (200, "slow, but whole\n"))
        self.assertEqual(closed, (1001, "shutting down"))
        self.assertEqual(lines.heard, ["hello", "* goodbye: shutting down"])
        self.assertIn("GET /trouble/slow 200", daemon.messages())
        self.assertEqual(status, Status.STOPPED)
        self.assertEqual(
            daemon.messages()[-5:-1],
            [
                "trouble is stopping",
                "trouble has stopped",
                "the ground has stopped",
                "stopped",
            ],
        )

    @inlineCallbacks
    def test_not_ready_first(self) -> Steps[None]:
        """
        With a drain delay the daemon still answers, and that it is not ready.
        """
        daemon = self.launch(troubled(host="drain_delay = 30.0"))
        places = yield daemon.ready()
        before = yield self.fetch(places["web"] + "health/ready")
        daemon.signal("SIGTERM")
        yield daemon.says("not ready any more")
        code, text = yield self.fetch(places["web"] + "health/ready")
        self.assertEqual(before[0], 200)
        self.assertEqual((code, json.loads(text)["state"]), (503, "draining"))

    @inlineCallbacks
    def test_a_service_hangs(self) -> Steps[None]:
        """
        A service that does not stop is named and left behind; the others stop.
        """
        daemon = self.launch(troubled('stop = "hang"', "stop_deadline = 0.2"))
        yield daemon.ready()
        daemon.signal("SIGTERM")
        status = yield daemon.end()
        self.assertEqual(status, Status.LEFT_BEHIND)
        self.assertIn(
            "trouble did not stop within 0.2 seconds: left behind in Trouble",
            daemon.messages(),
        )
        self.assertIn("the ground has stopped", daemon.messages())

    @inlineCallbacks
    def test_a_service_fails_to_stop(self) -> Steps[None]:
        """
        One that raises on stopping is named, with its traceback.
        """
        daemon = self.launch(troubled('stop = "raise"'))
        yield daemon.ready()
        daemon.signal("SIGINT")
        status = yield daemon.end()
        self.assertEqual(status, Status.LEFT_BEHIND)
        (line,) = (
            each for each in daemon.log if "failed while stopping" in each["message"]
        )
        self.assertIn("trouble at stop", line["traceback"])
        self.assertIn("the ground has stopped", daemon.messages())

    @inlineCallbacks
    def test_a_request_hangs(self) -> Steps[None]:
        """
        A connection that is not done at the deadline is named and cut.
        """
        daemon = self.launch(troubled(host="stop_deadline = 0.2"))
        places = yield daemon.ready()
        asking = yield Raw.to(places["web"])
        asking.transport.write(b"GET /trouble/never HTTP/1.1\r\nHost: a\r\n\r\n")
        yield daemon.says("a request for ever is here")
        daemon.signal("SIGTERM")
        received = yield asking.ended
        status = yield daemon.end()
        self.assertEqual((received, status), (b"", Status.LEFT_BEHIND))
        (said,) = (each for each in daemon.messages() if "would not close" in each)
        self.assertRegex(said, r"within 0\.2 seconds, of 1: c\d+ from 127\.0\.0\.1:")

    @inlineCallbacks
    def test_second_signal(self) -> Steps[None]:
        """
        A second signal ends the goodbyes.
        """
        daemon = self.launch(troubled('stop = "hang"', "stop_deadline = 1000.0"))
        yield daemon.ready()
        daemon.signal("SIGTERM")
        yield daemon.says("trouble is stopping")
        daemon.signal("SIGTERM")
        status = yield daemon.end()
        self.assertEqual(status, Status.LEFT_BEHIND)
        self.assertIn("SIGTERM again: stopping at once", daemon.messages())
        self.assertFalse([each for each in daemon.log if "traceback" in each])

    @inlineCallbacks
    def test_second_signal_cuts_goodbyes(self) -> Steps[None]:
        """
        So it does while connections are said goodbye to; what is left behind is
        named.
        """
        daemon = self.launch(troubled(host="stop_deadline = 1000.0"))
        places = yield daemon.ready()
        asking = yield Raw.to(places["web"])
        asking.transport.write(b"GET /trouble/never HTTP/1.1\r\nHost: a\r\n\r\n")
        yield daemon.says("a request for ever is here")
        daemon.signal("SIGINT")
        yield daemon.says("saying goodbye")
        daemon.signal("SIGINT")
        status = yield daemon.end()
        self.assertEqual(status, Status.LEFT_BEHIND)
        self.assertIn("left behind: ground, trouble, web", daemon.messages())
        self.assertFalse([each for each in daemon.log if "traceback" in each])

    @inlineCallbacks
    def test_killed(self) -> Steps[None]:
        """
        After a ``kill -9`` with somebody connected, the same ports can be had
        at once.
        """
        daemon = self.launch(troubled())
        places = yield daemon.ready()
        lines = yield Lines.to(places["trouble"])
        yield lines.hears("hello")
        daemon.signal("SIGKILL")
        status = yield daemon.end()
        self.assertEqual(status, -9)
        port = places["trouble"].rpartition(":")[2]
        again = self.launch(troubled(f'listen = "tcp:{port}:interface=127.0.0.1"'))
        places = yield again.ready()
        lines = yield Lines.to(places["trouble"])
        yield lines.hears("hello")


class InterruptTests(SynchronousTestCase):
    """
    Signals may come faster than the reactor turns.
    """

    def test_twice_in_a_turn(self) -> None:
        """
        Two signals in one turn ask the reactor to stop once: it refuses to be
        asked again.
        """
        stopped: list[str] = []
        reactor = MemoryReactorClock()
        reactor.stop = lambda: stopped.append("stop")  # type: ignore[method-assign]
        plan = make_plan(parse("[web]"), Found(()))
        host = Host(plan, reactor, lambda: 0.0)
        service = Service(host, Systemd({}, 1, reactor))
        service.startService()
        service.interrupt("SIGTERM")
        service.interrupt("SIGINT")
        self.assertEqual(stopped, ["stop"])


class HubTests(SynchronousTestCase):
    """
    The hub is closed when nobody uses it any more.
    """

    def setUp(self) -> None:
        self.stopped: list[str] = []
        self.reactor = MemoryReactorClock()
        stop: Any = lambda: self.stopped.append("stop")  # noqa: E731
        self.reactor.stop = stop  # type: ignore[method-assign]
        plan = make_plan(parse("[web]"), Found(()))
        self.host = Host(plan, self.reactor, lambda: 0.0)
        self.host.hub.declare("news", ChannelRule(keep_for=3600))
        self.host.hub.publish("news", "it rains")
        self.service = Service(self.host, Systemd({}, 1, self.reactor))

    def start(self) -> None:
        self.service.startService()
        for call, args, kwargs in self.reactor.whenRunningHooks:
            call(*args, **kwargs)
        self.reactor.advance(0)

    def test_stopped(self) -> None:
        """
        That is when all services have stopped.
        """
        self.start()
        self.assertEqual(self.host.state, "ready")
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_not_started(self) -> None:
        """
        And when they have because something did not start.
        """
        # Somebody made a listener, and forgot it.
        self.host.listener("trouble", "trouble.py:1", "tcp:1", Factory())
        self.start()
        self.assertEqual((self.host.state, self.stopped), ("failed", ["stop"]))
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class ReloadTests(DaemonTestCase):
    """
    SIGHUP reads the settings again. It never kills.
    """

    @inlineCallbacks
    def test_reload(self) -> Steps[None]:
        """
        What changes is told, with what is in force and what needs a restart; a
        refusal and a bad file change nothing.
        """
        home = Path(self.mktemp())
        daemon = Daemon.start(home, troubled("level = 1"))
        self.addCleanup(daemon.stop)
        places = yield daemon.ready()

        def change(settings: str) -> None:
            (home / "ropewalk.toml").write_text(settings, encoding="utf-8")
            daemon.signal("SIGHUP")

        change(troubled('level = 2\nlisten = "tcp:1"'))
        yield daemon.says("^the level is 2")
        yield daemon.says(r"^\[trouble\] listen: .* → \"tcp:1\": needs a restart")
        yield daemon.says(r"^\[trouble\] level: 1 → 2: in force")
        change(troubled("level = 13"))
        yield daemon.says("^trouble refuses its settings: 13 is no level")
        yield daemon.says("^the level is 2")
        change(troubled("level = true"))
        bad = yield daemon.says("^the settings were not reloaded; nothing changes")
        self.assertIn("ropewalk.toml:6: [trouble] level: expected", bad["message"])
        code, _ = yield self.fetch(places["web"] + "health/ready")
        self.assertEqual(code, 200)

    @inlineCallbacks
    def test_terminal_closed(self) -> Steps[None]:
        """
        Where the daemon runs in a terminal, SIGHUP reloads as long as that is
        there; closed, it takes the daemon with it, politely.
        """
        settings = troubled(host='log = "json"')
        daemon = self.launch(settings, terminal=True)
        places = yield daemon.ready()
        lines = yield Lines.to(places["trouble"])
        yield lines.hears("hello")
        daemon.signal("SIGHUP")
        yield daemon.says("the settings were read again")
        transport: Any = daemon.transport
        transport.loseConnection()
        yield lines.hears("* goodbye: shutting down")
        status = yield daemon.end()
        self.assertEqual(status, Status.STOPPED)


class WhileRunningTests(DaemonTestCase):
    """
    What a running daemon tells of itself.
    """

    @inlineCallbacks
    def test_health(self) -> Steps[None]:
        """
        A service that is not well makes the daemon not ready, and says why; it
        lives all the same.
        """
        daemon = self.launch(troubled('health = "tired"'))
        places = yield daemon.ready()
        code, text = yield self.fetch(places["web"] + "health/ready")
        live, _ = yield self.fetch(places["web"] + "health/live")
        self.assertEqual((code, live), (503, 200))
        self.assertEqual(
            json.loads(text)["checks"],
            [{"service": "trouble", "check": "mood", "ok": False, "why": "tired"}],
        )

    @inlineCallbacks
    def test_log(self) -> Steps[None]:
        """
        A log line says which service, connection and request it belongs to, also
        where a handler failed; the client is told under which name.
        """
        daemon = self.launch(troubled())
        places = yield daemon.ready()
        code, text = yield self.fetch(places["web"] + "trouble/broken")
        line = yield daemon.says("GET /trouble/broken failed")
        self.assertEqual(line["plugin"], "trouble")
        self.assertIn("ValueError: a secret", line["traceback"])
        self.assertEqual(code, 500)
        self.assertNotIn("a secret", text)
        self.assertIn(line["request"], text)
        access = yield daemon.says("GET /trouble/broken 500")
        self.assertEqual(
            [access[each] for each in ("plugin", "connection", "request", "status")],
            ["trouble", line["connection"], line["request"], 500],
        )
        self.assertEqual(daemon.strange, [])

    @inlineCallbacks
    def test_log_of_a_socket(self) -> Steps[None]:
        """
        What is done for a WebSocket message is the work of the service that has
        the socket, and of the request that it began with.
        """
        daemon = self.launch(troubled())
        places = yield daemon.ready()
        web = yield open_socket(places["web"], "/trouble/echo")
        opened = yield daemon.says("^GET /trouble/echo 101")
        web.sendMessage(b"hello")
        line = yield daemon.says("a message was heard")
        names = ("plugin", "connection", "request")
        self.assertEqual(
            [line[each] for each in names], [opened[each] for each in names]
        )
        self.assertEqual(line["plugin"], "trouble")

    @inlineCallbacks
    def test_log_of_nobody(self) -> Steps[None]:
        """
        What a timer or a signal sets off is not the work of the request that
        happened to be answered when the timer was set.
        """
        daemon = self.launch(troubled())
        places = yield daemon.ready()
        yield self.fetch(places["web"] + "trouble/timer")
        line = yield daemon.says("the timer that a request has set")
        self.assertFalse({"plugin", "connection", "request"} & set(line))
        daemon.signal("SIGTERM")
        line = yield daemon.says("SIGTERM: stopping")
        self.assertFalse({"plugin", "connection", "request"} & set(line))

    @inlineCallbacks
    def test_any_await(self) -> Steps[None]:
        """
        An ``async def`` handler of a plain Klein app may wait for asyncio.
        """
        daemon = self.launch(troubled())
        places = yield daemon.ready()
        answer = yield self.fetch(places["web"] + "trouble/asyncio")
        self.assertEqual(answer, (200, "asyncio\n"))

    @inlineCallbacks
    def test_pay_for_what_is_used(self) -> Steps[None]:
        """
        A service that no table asks for is not imported.
        """
        daemon = self.launch(WEB + "[ground]\n", paths=(TROUBLES, CHAT))
        places = yield daemon.ready()
        self.assertEqual(list(places), ["web"])
        loaded = Path(f"/proc/{daemon.transport.pid}/maps")  # type: ignore[union-attr]
        if loaded.exists():
            self.assertNotIn("sqlite", loaded.read_text())


class TwistdTests(DaemonTestCase):
    """
    What twistd users expect of twistd.
    """

    @inlineCallbacks
    def twistd(self, home: Path, *options: str) -> Steps[tuple[str, str, int]]:
        """Type ``twistd … ropewalk``."""
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                [str(ROOT / "platform"), str(ROOT), str(TROUBLES)]
            ),
        }
        arguments = [PYTHON[1], RUN_TWISTD, *options, "ropewalk"]
        out, err, code = yield getProcessOutputAndValue(
            PYTHON[0], arguments, env=environ, path=str(home)
        )
        return out.decode(), err.decode(), code

    def home(self, settings: str) -> Path:
        """A directory with settings."""
        home = Path(self.mktemp()).absolute()
        home.mkdir()
        (home / "ropewalk.toml").write_text(settings, encoding="utf-8")
        return home

    @inlineCallbacks
    def test_daemonised(self) -> Steps[None]:
        """
        ``twistd ropewalk`` returns when the daemon is ready, which then has a
        pid file and a log; SIGTERM ends it and takes the pid file away.
        """
        home = self.home(troubled('start = "asyncio"'))
        _, err, code = yield self.twistd(home)
        self.assertEqual((err, code), ("", 0))
        log = home / "twistd.log"
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        self.assertTrue(any(each["message"].startswith("ready: ") for each in lines))
        pid = int((home / "twistd.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        yield gone(pid)
        self.assertFalse((home / "twistd.pid").exists())
        self.assertIn('"message":"stopped"', log.read_text())

    @inlineCallbacks
    def test_daemonised_start_fails(self) -> Steps[None]:
        """
        It returns 1, and why, when a service did not start.
        """
        home = self.home(troubled('start = "fail"'))
        _, err, code = yield self.twistd(home)
        self.assertEqual(code, 1)
        self.assertIn("service 'trouble' did not start", err)
        # Who has told so may still be tidying up.
        yield until(lambda: not (home / "twistd.pid").exists())

    @inlineCallbacks
    def test_logfile(self) -> Steps[None]:
        """
        ``--logfile`` is where the log goes. What is not a regular file is
        written to, and nothing else.
        """
        home = self.home(troubled('start = "fail"', 'log = "text"'))
        _, _, code = yield self.twistd(home, "-n", "--pidfile=", "--logfile=own.log")
        self.assertEqual(code, 1)
        self.assertIn(
            "CRITICAL service 'trouble' did not start", (home / "own.log").read_text()
        )
        _, _, code = yield self.twistd(home, "-n", "--pidfile=", "--logfile=/dev/null")
        self.assertEqual(code, 1)
        self.assertTrue(Path("/dev/null").is_char_device())

    @inlineCallbacks
    def test_no_logfile(self) -> Steps[None]:
        """
        A log that cannot be written is told before the process is a daemon.
        """
        home = self.home(troubled())
        _, err, code = yield self.twistd(home, "--logfile=/nowhere/at/all.log")
        self.assertEqual(code, Status.START_FAILED)
        self.assertRegex(err, r"^cannot log to /nowhere/at/all\.log: \w.*\n$")

    @inlineCallbacks
    def test_privileges(self) -> Steps[None]:
        """
        ``--uid`` and ``--gid``: ports are bound before privileges are given up,
        so that one below 1024 can be had, and services start without them.
        """
        if not hasattr(os, "geteuid") or os.geteuid() != 0:
            self.skipTest("only root can give up privileges")
        port = next(each for each in range(900, 1000) if is_free(each))
        home = self.home(troubled(f'listen = "tcp:{port}:interface=127.0.0.1"'))
        os.chown(home, 65534, 65534)
        _, err, code = yield self.twistd(home, "--uid=65534", "--gid=65534")
        self.assertEqual((err, code), ("", 0))
        pid = int((home / "twistd.pid").read_text())
        status = Path(f"/proc/{pid}/status").read_text()
        self.assertIn("Uid:\t65534\t65534", status)
        lines = yield Lines.to(f"127.0.0.1:{port}")
        yield lines.hears("hello")
        os.kill(pid, signal.SIGTERM)
        yield gone(pid)
        yield lines.ended

    @inlineCallbacks
    def test_chroot(self) -> Steps[None]:
        """
        ``--chroot``: what is below the new root is found there again, the
        settings file too; plugins that were found stay.
        """
        if not hasattr(os, "geteuid") or os.geteuid() != 0:
            self.skipTest("only root can change the root")
        home = self.home(troubled())
        (home / "dev").mkdir()
        os.mknod(home / "dev" / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        _, err, code = yield self.twistd(
            home, f"--chroot={home}", "--pidfile=/twistd.pid"
        )
        self.assertEqual((err, code), ("", 0))
        pid = int((home / "twistd.pid").read_text())
        log = home / "twistd.log"
        (place,) = re.findall(r"web answers at (http://[\d.:]+/)", log.read_text())
        code, _ = yield self.fetch(place + "trouble/asyncio")
        self.assertEqual(code, 200)
        (home / "ropewalk.toml").write_text(troubled("level = 4"), encoding="utf-8")
        os.kill(pid, signal.SIGHUP)
        yield until(lambda: "level: 0 → 4: in force" in log.read_text())
        os.kill(pid, signal.SIGTERM)
        yield gone(pid)

    @inlineCallbacks
    def test_broken_declaration(self) -> Steps[None]:
        """
        A plugin declaration that cannot be read is named, with its traceback;
        the other services run.
        """
        plugins = Path(self.mktemp()).absolute() / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "broken_one.py").write_text("import nonsense\n", encoding="utf-8")
        paths = (TROUBLES, plugins.parent.parent)
        daemon = self.launch(troubled(), paths=paths)
        yield daemon.ready()
        (said,) = (each for each in daemon.messages() if "plugin declaration" in each)
        self.assertRegex(said, r"broken_one\.py:1 cannot be read; the others can:")
        self.assertIn("No module named 'nonsense'", said)
        settings = WEB + "[broken]\n"
        refused = yield self.refused(settings, paths=paths)
        self.assertIn("broken_one.py:1 cannot be read", refused.errors)
        self.assertIn("ropewalk.toml:3: [broken]: unknown table", refused.errors)


class Closed(WebSocketClientProtocol):
    """A WebSocket that is only there to be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[Closed] = Deferred()
        self.ended: Deferred[tuple[int, str]] = Deferred()

    def onOpen(self) -> None:
        self.opened.callback(self)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.ended.callback((code, reason))


@inlineCallbacks
def open_socket(web: str, path: str) -> Steps[Closed]:
    """Open a WebSocket."""
    place = web.removeprefix("http://").rstrip("/")
    host, _, port = place.partition(":")
    factory = WebSocketClientFactory(f"ws://{place}{path}", reactor=reactor)
    factory.protocol = Closed
    endpoint = HostnameEndpoint(reactor, host.encode(), int(port))
    socket: Closed = yield endpoint.connect(factory)
    yield socket.opened
    return socket


def is_free(port: int) -> bool:
    """Whether nobody listens at a port of this machine."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def until(true: Callable[[], bool]) -> Deferred[None]:
    """
    Wait for something that another process does and tells nobody of.
    """
    done: Deferred[None] = Deferred()
    done.addTimeout(PATIENCE, reactor)

    def look() -> None:
        if done.called:
            return
        if true():
            done.callback(None)
        else:
            reactor.callLater(0.02, look)

    look()
    return done


def gone(pid: int) -> Deferred[None]:
    """Fires when a process that is not our child has ended."""

    def is_gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    return until(is_gone)
