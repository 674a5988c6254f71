"""
Tests for L{ropewalk.run.systemd}.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.run.systemd import Systemd

PID = 4711


class SystemdTestCase(SynchronousTestCase):
    """
    A service manager that listens, at a real socket.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        # Not trial's directory: the address of a socket has 107 bytes at most.
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.address = os.path.join(self.directory, "notify")
        self.listener = self.listen(self.address)

    def listen(self, address: str) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(address)
        listener.setblocking(False)
        return listener

    def make(self, **environ: str) -> Systemd:
        return Systemd({"NOTIFY_SOCKET": self.address, **environ}, PID, self.clock)

    def heard(self) -> list[str]:
        """What was told since."""
        messages = []
        while True:
            try:
                messages.append(self.listener.recv(4096).decode("utf-8"))
            except BlockingIOError:
                return messages


class NotifyTests(SystemdTestCase):
    """
    systemd hears how the daemon is.
    """

    def test_a_life(self) -> None:
        """
        From the start to the end, a message for each change.
        """
        systemd = self.make()
        systemd.status("starting")
        systemd.ready("ready")
        systemd.stopping("draining")
        systemd.stopped()
        self.assertEqual(
            self.heard(),
            [
                "STATUS=starting",
                "READY=1\nSTATUS=ready",
                "STOPPING=1\nSTATUS=draining",
            ],
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_reloading(self) -> None:
        """
        A reload says when it began, on the clock that systemd compares.
        """
        systemd = self.make()
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        systemd.reloading()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        systemd.ready("ready")
        reloading, ready = self.heard()
        word, usec = reloading.split("\nMONOTONIC_USEC=")
        self.assertEqual(word, "RELOADING=1")
        self.assertTrue(before // 1000 <= int(usec) <= after // 1000)
        self.assertEqual(ready, "READY=1\nSTATUS=ready")

    def test_one_line(self) -> None:
        """
        A status is a line, whatever is in it: it tells nothing else.
        """
        self.make().status("a\nREADY=1 ü \ud800")
        self.assertEqual(self.heard(), ["STATUS=a READY=1 ü ?"])

    def test_abstract(self) -> None:
        """
        An abstract socket is written with an at sign.
        """
        name = f"ropewalk-test-{os.getpid()}"
        self.listener = self.listen(f"\0{name}")
        self.make(NOTIFY_SOCKET=f"@{name}").status("here")
        self.assertEqual(self.heard(), ["STATUS=here"])

    def test_nobody(self) -> None:
        """
        Without systemd nothing is told, and no watchdog is fed; nor is a kind of
        address that we do not know.
        """
        for environ in {}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}:
            systemd = Systemd(environ, PID, self.clock)
            systemd.ready("ready")
            systemd.reloading()
            systemd.stopping("draining")
            systemd.stopped()
        self.assertEqual(self.heard(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class WatchdogTests(SystemdTestCase):
    """
    The watchdog hears from us twice as often as it wants to.
    """

    def beats(self, systemd: Systemd, seconds: float) -> int:
        """How often it is fed meanwhile."""
        self.heard()
        self.clock.pump([0.5] * int(seconds * 2))
        heard = self.heard()
        self.assertEqual(set(heard) - {"WATCHDOG=1"}, set())
        return len(heard)

    def test_fed(self) -> None:
        """
        From the start until the very end of the goodbyes.
        """
        systemd = self.make(WATCHDOG_USEC="4000000", WATCHDOG_PID=str(PID))
        systemd.status("starting")
        self.assertEqual(self.beats(systemd, 10), 0)
        systemd.ready("ready")
        self.assertEqual(self.heard(), ["READY=1\nSTATUS=ready", "WATCHDOG=1"])
        self.assertEqual(self.beats(systemd, 10), 5)
        systemd.stopping("draining")
        self.assertEqual(self.beats(systemd, 10), 5)
        systemd.stopped()
        self.assertEqual(self.beats(systemd, 10), 0)
        systemd.stopped()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_after_a_reload(self) -> None:
        """
        Being ready again does not feed it twice.
        """
        systemd = self.make(WATCHDOG_USEC="4000000")
        systemd.ready("ready")
        systemd.reloading()
        systemd.ready("ready")
        self.assertEqual(self.beats(systemd, 10), 5)

    def test_not_ours(self) -> None:
        """
        The watchdog of another process, or one that makes no sense, is not fed.
        """
        for environ in (
            {"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(PID + 1)},
            {"WATCHDOG_USEC": "0"},
            {"WATCHDOG_USEC": ""},
            {"WATCHDOG_USEC": "soon"},
            {"WATCHDOG_USEC": "-1"},
            {"WATCHDOG_USEC": "²"},
            {"WATCHDOG_PID": str(PID)},
        ):
            systemd = self.make(**environ)
            systemd.ready("ready")
            self.assertEqual(self.beats(systemd, 10), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TroubleTests(SystemdTestCase):
    """
    A systemd that does not listen is no reason to stop, nor to say so for ever.
    """

    def test_gone(self) -> None:
        """
        It is logged once; and once again if it came back and went.
        """
        os.rename(self.address, self.address + ".gone")
        systemd = self.make(WATCHDOG_USEC="2000000")
        systemd.ready("ready")
        self.clock.pump([1.0] * 5)
        self.assertEqual(len(self.flushLoggedErrors(FileNotFoundError)), 1)
        os.rename(self.address + ".gone", self.address)
        self.clock.pump([1.0] * 2)
        self.assertEqual(self.heard(), ["WATCHDOG=1"] * 2)
        os.remove(self.address)
        self.clock.pump([1.0] * 5)
        self.assertEqual(len(self.flushLoggedErrors(FileNotFoundError)), 1)
        systemd.stopped()

    def test_addresses_that_are_none(self) -> None:
        """
        Nor does an address that no socket can have raise.
        """
        for address in "/" + "x" * 200, "/x\0y", self.directory:
            self.make(NOTIFY_SOCKET=address).ready("ready")
            self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_busy(self) -> None:
        """
        One that does not read in time is not waited for.
        """
        systemd = self.make()
        for number in range(3000):
            systemd.status(f"{number}")
            if self.flushLoggedErrors(BlockingIOError):
                break
        else:
            self.fail("it took everything")
