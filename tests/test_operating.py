# -*- test-case-name: tests.test_operating -*-
"""
What the page about operating says, done: the units, the sockets, the statuses, with
real daemons. systemd itself is not needed.
"""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps
from ropewalk.run.configuration import HostSettings
from ropewalk.run.statuses import Status
from tests.daemonry import PATIENCE, ROOT, TROUBLES, Daemon, Raw, reactor
from tests.pages import DAEMON, Player

PAGE = ROOT / "docs" / "operating.rst"
SAMPLES = ROOT / "docs" / "operating"
CHAT = ROOT / "docs" / "tutorial" / "drop8"

WEB = '[web]\nlisten = ["tcp:0:interface=127.0.0.1"]\n'

#: What systemd does between fork and exec: the numbers are those of the process
#: that is about to be the daemon.
_LAUNCHER = """
import os, sys
for name in sys.argv[1].split(","):
    os.environ[name] = str(os.getpid())
os.execvp(sys.argv[2], sys.argv[2:])
"""


def launcher(*variables: str) -> tuple[str, ...]:
    """A command that gives the daemon its own process's number in variables."""
    return (sys.executable, "-c", _LAUNCHER, ",".join(variables))


def unit(name: str) -> configparser.RawConfigParser:
    """A sample unit."""
    parser = configparser.RawConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((SAMPLES / name).read_text("utf-8").replace("\\\n", " "))
    return parser


def command_line() -> list[str]:
    """What the unit starts."""
    return shlex.split(unit("ropewalk.service")["Service"]["ExecStart"])


def twistd_options() -> tuple[str, ...]:
    """Of what the unit starts, what is between ``twistd`` and ``ropewalk``."""
    command = command_line()
    return tuple(command[1 : command.index("ropewalk")])


class UnitTests(SynchronousTestCase):
    """
    The sample units and settings.
    """

    def test_deadlines(self) -> None:
        """
        systemd waits for longer than the daemon, whose own deadlines add up.
        """
        settings = tomllib.loads((SAMPLES / "ropewalk.toml").read_text("utf-8"))
        host = HostSettings(**settings["host"])
        services = len(settings) - 1  # all but [host]
        stop = host.drain_delay + host.stop_deadline * (1 + services)
        service = unit("ropewalk.service")["Service"]
        self.assertGreater(int(service["TimeoutStopSec"]), stop)
        starting = host.start_deadline * services
        self.assertGreater(int(service["TimeoutStartSec"]), starting)

    def test_bad_settings(self) -> None:
        """
        A daemon whose settings cannot be used is not started again.
        """
        service = unit("ropewalk.service")["Service"]
        self.assertEqual(int(service["RestartPreventExitStatus"]), Status.BAD_SETTINGS)

    def test_names(self) -> None:
        """
        The settings ask for the socket under the name it has in its unit, and the
        unit for the settings where the page puts them.
        """
        name = unit("ropewalk.socket")["Socket"]["FileDescriptorName"]
        settings = tomllib.loads((SAMPLES / "ropewalk.toml").read_text("utf-8"))
        self.assertEqual(
            settings["web"]["listen"], [f"systemd:domain=INET6:name={name}"]
        )
        self.assertIn(f"ropewalk.toml {command_line()[-1]}", PAGE.read_text("utf-8"))

    def test_systemd_understands_them(self) -> None:
        """
        ``systemd-analyze`` finds nothing to say.
        """
        analyze = shutil.which("systemd-analyze")
        if analyze is None:
            raise SkipTest("there is no systemd-analyze here")
        home = Path(self.mktemp()).absolute()
        home.mkdir()
        # It looks whether the command exists.
        twistd = home / "twistd"
        twistd.write_text("#!/bin/sh\n", "utf-8")
        twistd.chmod(0o755)
        units = []
        for name in ("ropewalk.service", "ropewalk.socket"):
            text = (SAMPLES / name).read_text("utf-8")
            (home / name).write_text(text.replace(command_line()[0], str(twistd)))
            units.append(home / name)
        said = subprocess.run(
            [analyze, "verify", "--man=no", *map(str, units)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        # What it may complain of besides are units of the machine it is on.
        about_ours = [line for line in said.stderr.split("\n") if "ropewalk" in line]
        self.assertEqual(about_ours, [])


class SystemdTestCase(TestCase):
    """
    Starts daemons as systemd does.
    """

    timeout = 2 * PATIENCE

    def launch(self, settings: str, **how: Any) -> Daemon:
        """Start one, with the options of the unit."""
        how = {"paths": (CHAT,), "twistd": twistd_options(), **how}
        daemon = Daemon.start(self.mktemp(), settings, **how)
        self.addCleanup(daemon.stop)
        return daemon


class SocketTests(SystemdTestCase):
    """
    Sockets that systemd has opened.
    """

    def setUp(self) -> None:
        if not socket.has_dualstack_ipv6():
            raise SkipTest("this machine has no IPv6")
        self.socket = socket.create_server(
            ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True
        )
        self.addCleanup(self.socket.close)
        self.port = self.socket.getsockname()[1]

    def activate(self, endpoint: str) -> Daemon:
        """
        Start a daemon that is handed the socket.

        :param endpoint: Instead of the one in the sample settings.
        """
        settings = (SAMPLES / "ropewalk.toml").read_text("utf-8")
        settings = settings.replace("systemd:domain=INET6:name=web", endpoint)
        settings = settings.replace("tcp:7070:", "tcp:0:")
        settings = re.sub(r"drain_delay = [0-9.]+", "drain_delay = 0.0", settings)
        return self.launch(
            settings,
            environ={
                "LISTEN_FDS": "1",
                "LISTEN_FDNAMES": unit("ropewalk.socket")["Socket"][
                    "FileDescriptorName"
                ],
            },
            launcher=launcher("LISTEN_PID"),
            # systemd.socket(5): the first is number 3.
            descriptors={3: self.socket.fileno()},
        )

    @inlineCallbacks
    def ask(self) -> Steps[Raw]:
        """Ask for a page."""
        asking: Raw = yield Raw.to(f"http://127.0.0.1:{self.port}/")
        transport: Any = asking.transport
        transport.write(b"GET /chat HTTP/1.0\r\n\r\n")
        return asking

    @inlineCallbacks
    def test_by_name(self) -> Steps[None]:
        """
        Who connects before the daemon is there, or between two of them, waits and
        is served.
        """
        for _ in range(2):
            asking = yield self.ask()
            daemon = self.activate("systemd:domain=INET6:name=web")
            answer = yield asking.ended
            self.assertIn(b"200 OK", answer)
            self.assertIn(b"There is a room at /chat/lobby", answer)
            daemon.signal("SIGTERM")
            status = yield daemon.end()
            self.assertEqual(status, Status.STOPPED)

    @inlineCallbacks
    def test_by_index(self) -> Steps[None]:
        """
        A socket is also known by its place among all.
        """
        daemon = self.activate("systemd:domain=INET6:index=0")
        places = yield daemon.ready()
        asking = yield self.ask()
        answer = yield asking.ended
        self.assertIn(b"200 OK", answer)
        self.assertTrue(places["web"].endswith(f":{self.port}/"), places)


class Manager(DatagramProtocol):
    """
    Where the daemon reports to, in systemd's place.

    :ivar heard: What it has said, in order.
    """

    def __init__(self) -> None:
        self.heard: list[dict[str, str]] = []
        self._waiting: list[tuple[str, int, Deferred[dict[str, str]]]] = []

    def hears(self, key: str, times: int = 1) -> Deferred[dict[str, str]]:
        """Wait for a message that has a key, the first or a later one."""
        waiting: Deferred[dict[str, str]] = Deferred()
        waiting.addTimeout(PATIENCE, reactor)
        self._waiting.append((key, times, waiting))
        self._look()
        return waiting

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        lines = datagram.decode("utf-8").split("\n")
        self.heard.append(dict(line.split("=", 1) for line in lines))
        self._look()

    def _look(self) -> None:
        for each in list(self._waiting):
            key, times, waiting = each
            found = [message for message in self.heard if key in message]
            if len(found) >= times:
                self._waiting.remove(each)
                waiting.callback(found[times - 1])


class NotifyTests(SystemdTestCase):
    """
    What systemd hears of a daemon (``Type=notify``).
    """

    def setUp(self) -> None:
        # A socket's path is short (unix(7)); trial's directories are not.
        home = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, home)
        self.environ = {"NOTIFY_SOCKET": f"{home}/notify"}
        self.manager = Manager()
        port = reactor.listenUNIXDatagram(f"{home}/notify", self.manager)
        self.addCleanup(port.stopListening)

    @inlineCallbacks
    def test_life(self) -> Steps[None]:
        """
        That it starts, is ready, lives, reloads, is ready again, and stops.
        """
        manager = self.manager
        daemon = self.launch(
            WEB,
            environ={**self.environ, "WATCHDOG_USEC": "50000"},
            launcher=launcher("WATCHDOG_PID"),
        )
        starting = yield manager.hears("STATUS")
        self.assertEqual(starting, {"STATUS": "starting"})
        yield manager.hears("READY")
        yield daemon.ready()
        yield manager.hears("WATCHDOG", times=3)
        daemon.signal("SIGHUP")
        reloading = yield manager.hears("RELOADING")
        # systemd.service(5), "Type=notify-reload".
        self.assertTrue(reloading["MONOTONIC_USEC"].isdigit())
        yield manager.hears("READY", times=2)
        daemon.signal("SIGTERM")
        yield manager.hears("STOPPING")
        status = yield daemon.end()
        self.assertEqual(status, Status.STOPPED)
        heard = [next(iter(each)) for each in manager.heard]
        self.assertEqual(
            [each for each in heard if each != "WATCHDOG"],
            ["STATUS", "READY", "RELOADING", "READY", "STOPPING"],
        )

    @inlineCallbacks
    def test_reload_while_starting(self) -> Steps[None]:
        """
        A daemon that still starts is not ready for having read its settings again.
        """
        daemon = self.launch(
            WEB + '[trouble]\nstart = "hang"\n[ground]\n',
            paths=(TROUBLES,),
            environ=self.environ,
        )
        yield daemon.says("trouble is starting")
        daemon.signal("SIGHUP")
        yield daemon.says("nothing has changed")
        daemon.signal("SIGTERM")
        yield daemon.end()
        yield self.manager.hears("STOPPING")
        heard = [next(iter(each)) for each in self.manager.heard]
        self.assertEqual(heard, ["STATUS", "STOPPING"])


class PageTests(TestCase):
    """
    What is in the terminals and in the tables of the page.
    """

    timeout = 2 * PATIENCE

    @inlineCallbacks
    def test_played(self) -> Steps[None]:
        """
        Health, a file with a mistake, a file without.
        """
        home = Path(self.mktemp()).absolute()
        player = Player(PAGE, home, installed=True)
        self.addCleanup(player.end)
        missing = player.missing()
        if missing:
            raise SkipTest(f"not installed: {', '.join(missing)}")
        player.prepare(CHAT)
        player.write("ropewalk.toml", "[chat]\n")
        daemon = yield player.run(DAEMON, "twistd -n ropewalk")
        yield daemon.see("2026-11-20 18:00:00+01:00 ready: chat, web", skip=True)
        yield player.play()

    def test_statuses(self) -> None:
        """
        Every exit status is explained, and no other.
        """
        text = PAGE.read_text("utf-8")
        section = text.partition("_exit-statuses:")[2].partition("Signals\n---")[0]
        explained = re.findall(r"(?m)^   \* - (\d+)$", section)
        self.assertEqual(explained, [str(int(each)) for each in Status])

    def test_options(self) -> None:
        """
        twistd has the options that the page explains.
        """
        rows = re.findall(r"(?m)^   \* - (``-.*)$", PAGE.read_text("utf-8"))
        explained = set(re.findall(r"``--(\w+)=?", " ".join(rows)))
        known = {each.rstrip("=") for each in ServerOptions().longOpt}
        self.assertEqual(explained - known, set())
        self.assertGreaterEqual(len(explained), 9)
