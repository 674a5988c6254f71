# -*- test-case-name: tests.test_systemd -*-
"""
Telling systemd how the daemon is: sd_notify(3) and its watchdog. Without systemd
nothing is told and nothing is needed.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

__all__ = ["Systemd"]


class Systemd:
    """
    The service manager that started us, if one did.

    :param environ: ``NOTIFY_SOCKET`` is where it listens, ``WATCHDOG_USEC`` how
        often it wants to hear from us, ``WATCHDOG_PID`` from whom.
    :param pid: Our process.
    :param clock: Where time comes from.
    """

    __slots__ = ("_beat", "_clock", "_deaf", "_environ", "_pid")

    _log = Logger()

    def __init__(
        self, environ: Mapping[str, str], pid: int, clock: IReactorTime
    ) -> None:
        self._environ, self._pid, self._clock = environ, pid, clock
        self._beat: LoopingCall | None = None
        self._deaf = False

    def ready(self, status: str) -> None:
        """
        The services have started, or have their new settings. From now on the
        watchdog is fed.
        """
        self._tell("READY=1", f"STATUS={status}")
        every = self._watchdog()
        if every is not None and self._beat is None:
            self._beat = LoopingCall(self._tell, "WATCHDOG=1")
            self._beat.clock = self._clock
            self._beat.start(every)

    def reloading(self) -> None:
        """The settings are being read again; :meth:`ready` says when it is done."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """The daemon says its goodbyes. The watchdog is still fed."""
        self._tell("STOPPING=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """Something for ``systemctl status`` to show."""
        self._tell(f"STATUS={status}")

    def stopped(self) -> None:
        """The watchdog is not fed any more."""
        beat, self._beat = self._beat, None
        if beat is not None and beat.running:
            beat.stop()

    def _watchdog(self) -> float | None:
        """Seconds between two signs of life: half of what systemd allows."""
        usec = self._environ.get("WATCHDOG_USEC", "")
        pid = self._environ.get("WATCHDOG_PID") or str(self._pid)
        if pid != str(self._pid) or not (usec.isascii() and usec.isdigit()):
            return None
        return int(usec) / 1_000_000 / 2 or None

    def _tell(self, *lines: str) -> None:
        address = self._environ.get("NOTIFY_SOCKET", "")
        if address.startswith("@"):  # an abstract socket, unix(7)
            address = "\0" + address[1:]
        elif not address.startswith("/"):
            return
        message = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as talk:
                talk.setblocking(False)
                talk.sendto(message.encode("utf-8", "replace"), address)
        except (OSError, ValueError):
            # The watchdog would have us say so again and again.
            if not self._deaf:
                self._deaf = True
                self._log.failure("systemd cannot be told {message!r}", message=message)
        else:
            self._deaf = False
