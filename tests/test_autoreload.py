"""
Tests for L{ropewalk.run.autoreload} and L{ropewalk.run.foreground}.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.run.autoreload import Autoreload, Files, Stamp, own_roots
from ropewalk.run.statuses import Status
from tests.commandline import Running, write


class FilesTests(SynchronousTestCase):
    """
    Which files are watched.
    """

    def setUp(self) -> None:
        self.root = Path(self.mktemp()).absolute()

    def watched(self, files: Files) -> list[str]:
        return sorted(os.path.relpath(path, self.root) for path in files())

    def test_sources(self) -> None:
        """
        What a project is written in, at any depth; not what it writes, nor what
        was installed beside it, nor its tests.
        """
        names = [
            "chat.py",
            "chat.sqlite",
            "notes.json",
            ".#chat.py",
            "pages/room.html",
            "pages/deep/room.css",
            "ropewalk.toml",
            "twisted/plugins/chat_plugin.py",
            "twisted/plugins/dropin.cache",
            "tests/test_chat.py",
            ".git/hook.py",
            "__pycache__/chat.py",
            "_trial_temp-1/a.py",
            "env/pyvenv.cfg",
            "env/lib/a.py",
        ]
        write(self.root, dict.fromkeys(names, ""))
        self.assertEqual(
            self.watched(Files((str(self.root),))),
            [
                "chat.py",
                "pages/deep/room.css",
                "pages/room.html",
                "ropewalk.toml",
                "twisted/plugins/chat_plugin.py",
            ],
        )

    def test_the_settings_file(self) -> None:
        """
        It is watched wherever it is, and whatever it is called; also while it is
        not there yet.
        """
        path = self.root / "elsewhere" / "settings"
        files = Files((), (str(path),))
        self.assertEqual(files(), {})
        write(self.root, {"elsewhere/settings": "[chat]"})
        self.assertEqual(self.watched(files), ["elsewhere/settings"])

    def test_a_change(self) -> None:
        """
        A file that was written is another, even within the same second.
        """
        path = write(self.root, {"chat.py": "a"}) / "chat.py"
        files = Files((str(self.root),))
        before = files()
        os.utime(path, ns=(1, before[str(path)][0] + 1))
        self.assertNotEqual(files(), before)
        os.utime(path, ns=(1, before[str(path)][0]))
        self.assertEqual(files(), before)

    def test_too_many(self) -> None:
        """
        Somebody may be in their home directory: there is an end to it.
        """
        write(self.root, {f"{number}.py": "" for number in range(20)})
        files = Files((str(self.root),), most=7)
        self.assertEqual(len(files()), 7)
        self.assertFalse(files.look()[1])
        self.assertTrue(Files((str(self.root),)).look()[1])

    def test_too_many_of_something_else(self) -> None:
        """
        Nor are endless directories of other things gone through.
        """
        write(self.root, {f"{number}.jpeg": "" for number in range(30)})
        self.assertTrue(Files((str(self.root),), most=3).look()[1])
        self.assertFalse(Files((str(self.root),), most=2).look()[1])


class RootsTests(SynchronousTestCase):
    """
    Where to watch.
    """

    def test_own_code(self) -> None:
        """
        The current directory and what was put on Python's path, not what was
        installed; each once, and none below another.
        """
        root = Path(self.mktemp()).absolute()
        write(root, {"here/a": "", "other/below/a": "", "venv/site-packages/a": ""})
        path = ["", "other", "other/below", "nowhere", "venv/site-packages"]
        path += [os.path.dirname(os.__file__), os.path.dirname(sys.executable)]
        self.assertEqual(
            own_roots(
                [str(root / name) if name else "" for name in path], f"{root}/here"
            ),
            (f"{root}/here", f"{root}/other"),
        )

    def test_a_directory_around_another(self) -> None:
        """
        The outer one has it all.
        """
        root = Path(self.mktemp()).absolute()
        write(root, {"here/a": ""})
        self.assertEqual(own_roots([str(root)], f"{root}/here"), (str(root),))


class FakeChild:
    """
    A daemon that does as the test says.

    :ivar told: What it was told.
    """

    def __init__(self, ended: Callable[[int], None]) -> None:
        self.end = ended
        self.told: list[str] = []

    def signal(self, name: str) -> None:
        self.told.append(name)

    def nudge(self) -> None:
        self.told.append("nudge")


class AutoreloadTests(SynchronousTestCase):
    """
    When a daemon is started again, and when all ends.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.children: list[FakeChild] = []
        self.said: list[str] = []
        self.files: dict[str, Stamp] = {"/srv/chat.py": (1, 1)}
        self.autoreload = Autoreload(
            self.spawn, lambda: dict(self.files), self.clock, self.said.append
        )
        self.ended: Deferred[int] = self.autoreload.start()

    def spawn(self, ended: Callable[[int], None]) -> FakeChild:
        child = FakeChild(ended)
        self.children.append(child)
        return child

    @property
    def child(self) -> FakeChild:
        """The last one."""
        return self.children[-1]

    def change(self, path: str = "/srv/chat.py") -> None:
        """Write to a file."""
        time, size = self.files.get(path, (0, 0))
        self.files[path] = (time + 1, size)

    def look(self, times: int = 2) -> None:
        """As much time as so many looks at the files take."""
        self.clock.pump([self.autoreload.every] * times)

    def assertEnded(self, status: int) -> None:
        self.assertEqual(self.successResultOf(self.ended), status)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_changes(self) -> None:
        """
        The daemon is started at once, and left alone.
        """
        self.look(100)
        self.assertEqual([child.told for child in self.children], [[]])
        self.assertEqual(self.said, [])

    def test_a_change(self) -> None:
        """
        The daemon is asked to stop, and the next one is started when it has.
        """
        self.change()
        self.look()
        self.assertEqual(self.said, ["chat.py changed: starting again"])
        self.assertEqual(self.child.told, ["TERM"])
        self.assertEqual(len(self.children), 1)
        self.child.end(0)
        self.assertEqual([child.told for child in self.children], [["TERM"], []])
        self.look(100)
        self.assertEqual(len(self.children), 2)

    def test_many_changes(self) -> None:
        """
        While files are still being written, nothing is done; then, once.
        """
        for name in ("/srv/a.py", "/srv/b.py", "/srv/c.py", "/srv/d.py"):
            self.change(name)
            self.look(1)
            self.assertEqual(self.said, [])
        self.look(1)
        self.assertEqual(
            self.said, ["a.py, b.py, c.py and 1 more changed: starting again"]
        )

    def test_a_file_that_goes(self) -> None:
        """
        That is a change as well.
        """
        self.files.clear()
        self.look()
        self.assertEqual(self.said, ["chat.py changed: starting again"])

    def test_a_change_that_is_taken_back(self) -> None:
        """
        It was none.
        """
        before = dict(self.files)
        self.change()
        self.look(1)
        self.files = before
        self.look(10)
        self.assertEqual(self.said, [])

    def test_a_change_while_the_daemon_stops(self) -> None:
        """
        The next one is started with it, and not once more for it.
        """
        self.change()
        self.look()
        self.change()
        self.look()
        self.child.end(0)
        self.look(10)
        self.assertEqual(len(self.children), 2)

    def test_a_daemon_that_cannot_start(self) -> None:
        """
        It is said, once, and the next one is started when something changes.
        """
        self.child.end(Status.BAD_SETTINGS)
        self.look(100)
        self.assertEqual(
            self.said,
            ["the daemon ended with status 2, see above; waiting for a file to change"],
        )
        self.change()
        self.look()
        self.assertEqual(len(self.children), 2)
        self.assertNoResult(self.ended)

    def test_a_daemon_that_crashes(self) -> None:
        """
        The signal that ended it is named.
        """
        self.child.end(-signal.SIGSEGV)
        self.assertEqual(
            self.said, ["the daemon was ended by SIGSEGV; waiting for a file to change"]
        )
        self.autoreload.interrupt("INT")
        self.assertEnded(128 + signal.SIGSEGV)

    def test_a_daemon_that_stops_by_itself(self) -> None:
        """
        Then all is over, with its status.
        """
        self.child.end(Status.LEFT_BEHIND)
        self.assertEnded(Status.LEFT_BEHIND)

    def test_interrupted_while_waiting(self) -> None:
        """
        The status is that of the daemon that could not start.
        """
        self.child.end(Status.START_FAILED)
        self.autoreload.interrupt("INT")
        self.assertEnded(Status.START_FAILED)

    def test_ctrl_c(self) -> None:
        """
        The terminal has told the daemon, too. It is told again only in a way that
        does not hurry it, and the status is its own.
        """
        self.autoreload.interrupt("INT")
        self.assertEqual(self.child.told, [])
        self.clock.advance(1)
        self.assertEqual(self.child.told, ["nudge"])
        self.change()
        self.look(10)
        self.child.end(Status.STOPPED)
        self.assertEqual(len(self.children), 1)
        self.assertEnded(Status.STOPPED)

    def test_ctrl_c_and_the_daemon_is_quick(self) -> None:
        """
        One that has ended is told nothing.
        """
        self.autoreload.interrupt("INT")
        self.child.end(Status.STOPPED)
        self.assertEnded(Status.STOPPED)
        self.assertEqual(self.child.told, [])

    def test_ctrl_c_twice(self) -> None:
        """
        It is to stop at once. One that does not is killed.
        """
        self.autoreload.interrupt("INT")
        self.clock.advance(1)
        self.autoreload.interrupt("INT")
        self.assertEqual(self.child.told, ["nudge", "INT"])
        self.clock.advance(self.autoreload.grace)
        self.assertEqual(self.child.told, ["nudge", "INT", "KILL"])
        self.assertEqual(self.said, ["it does not stop within 3 seconds: killing it"])
        self.child.end(-signal.SIGKILL)
        self.assertEnded(128 + signal.SIGKILL)

    def test_terminated(self) -> None:
        """
        SIGTERM comes from a program, to one process: the daemon has it from here.
        """
        self.autoreload.interrupt("TERM")
        self.assertEqual(self.child.told, ["TERM"])
        self.clock.advance(100)
        self.child.end(Status.STOPPED)
        self.assertEqual(self.child.told, ["TERM"])
        self.assertEnded(Status.STOPPED)

    def test_stopped_before_it_had_started(self) -> None:
        """
        A daemon that dies of the signal that was to stop it has stopped.
        """
        self.autoreload.interrupt("TERM")
        self.child.end(-signal.SIGTERM)
        self.assertEnded(Status.STOPPED)

    def test_interrupted_while_it_stops_for_a_change(self) -> None:
        """
        No other is started.
        """
        self.change()
        self.look()
        self.autoreload.interrupt("TERM")
        self.assertEqual(self.child.told, ["TERM"])
        self.child.end(Status.STOPPED)
        self.assertEqual(len(self.children), 1)
        self.assertEnded(Status.STOPPED)

    def test_it_does_not_stop_for_a_change(self) -> None:
        """
        It is hurried after a while, then killed; and the next one starts.
        """
        self.change()
        self.look()
        self.clock.advance(self.autoreload.patience)
        self.clock.advance(self.autoreload.grace)
        self.assertEqual(self.child.told, ["TERM", "INT", "KILL"])
        self.child.end(-signal.SIGKILL)
        self.assertEqual(len(self.children), 2)


PLUGIN = """\
from ropewalk.plugin import ServicePlugin

rope = ServicePlugin("rope", "rope")
"""

SERVICE = """\
import os
from twisted.application.service import Service
from twisted.logger import Logger

class Rope(Service):
    def startService(self):
        Logger().info("version {number} in {pid}", number=NUMBER, pid=os.getpid())

def makeService(settings, host):
    return Rope()

NUMBER = 1
"""

HANGS = SERVICE.replace(
    "    return Rope()",
    """\
    def hang():
        Logger().info("hanging")
        while True:
            pass
    host.reactor.callLater(0.1, hang)
    return Rope()""",
)


class ProcessTests(SynchronousTestCase):
    """
    ``ropewalk run``, for real.
    """

    def run_project(
        self, service: str = SERVICE, words: tuple[str, ...] = ("--watch", ".")
    ) -> Running:
        files = {
            "twisted/plugins/rope_plugin.py": PLUGIN,
            "rope.py": service,
            "ropewalk.toml": '[host]\nlog = "text"\n\n[rope]\n',
        }
        self.root = write(Path(self.mktemp()).absolute(), files)
        # What Python has compiled is known by its second and size.
        running = Running("run", *words, cwd=self.root, PYTHONDONTWRITEBYTECODE="1")
        self.addCleanup(running.kill)
        return running

    def save(self, service: str) -> None:
        write(self.root, {"rope.py": service})

    def test_change_break_mend_interrupt(self) -> None:
        """
        A change starts the daemon again; a mistake waits for the change that
        mends it; an interrupt ends both, with the daemon's status.
        """
        running = self.run_project()
        running.says("version 1 ")
        running.says("ready: ")
        self.save(SERVICE.replace("NUMBER = 1", "NUMBER = 2"))
        running.says("rope.py changed: starting again")
        running.says("stopped")
        running.says("version 2 ")
        running.says("ready: ")
        self.save(SERVICE.replace("NUMBER = 1", "NUMBER = "))
        running.says("SyntaxError")
        running.says("status 2, see above; waiting for a file to change")
        self.save(SERVICE.replace("NUMBER = 1", "NUMBER = 3"))
        running.says("version 3 ")
        running.says("ready: ")
        running.signal(signal.SIGINT)
        running.says("stopped")
        self.assertEqual(running.end(), Status.STOPPED)
        running.falls_silent()

    def test_killed(self) -> None:
        """
        The daemon does not outlive the command, even where that was killed: it
        stops as if it had been asked to.
        """
        running = self.run_project()
        running.says("ready: ")
        running.signal(signal.SIGKILL)
        running.says("stopped")
        running.falls_silent()

    def test_terminated(self) -> None:
        """
        SIGTERM reaches the daemon once.
        """
        running = self.run_project()
        running.says("ready: ")
        running.signal(signal.SIGTERM)
        running.says("SIGTERM: stopping")
        self.assertEqual(running.end(), Status.STOPPED)
        self.assertNotIn("again", " ".join(running.said))

    def test_a_daemon_that_hangs(self) -> None:
        """
        A service that never gives the reactor back cannot be asked; the second
        interrupt ends it all the same.
        """
        running = self.run_project(HANGS)
        running.says("hanging")
        running.signal(signal.SIGINT)
        running.signal(signal.SIGTERM)
        running.says("killing it")
        self.assertEqual(running.end(), 128 + signal.SIGKILL)
        running.falls_silent()

    def test_without_reload(self) -> None:
        """
        Then it is just the daemon. So it is, too, where nobody looks: the output
        is no terminal.
        """
        for words in (("--no-reload",), ()):
            running = self.run_project(words=words)
            pid = running.says("version 1 in ").rpartition(" ")[2]
            self.assertEqual(int(pid), running.process.pid)
            running.says("ready: ")
            running.signal(signal.SIGINT)
            self.assertEqual(running.end(), Status.STOPPED)

    def test_status(self) -> None:
        """
        Without reload, what cannot start ends with the daemon's status.
        """
        running = self.run_project(words=("--no-reload", "nowhere.toml"))
        running.says("nowhere.toml: no such file")
        self.assertEqual(running.end(), Status.BAD_SETTINGS)
