# -*- test-case-name: tests.test_hosting_command -*-
"""
Runs a program, and ends it when whoever asked for it is gone, killed or not.

This file is run by itself, between the daemon and the program. Descriptor 3 is a pipe
from the daemon: ``t`` says that the program is to terminate, ``k`` that it is killed.
At its end the daemon is gone, and so is the program, with all that it has started in
its process group. The exit status is the program's, 128 and the number for a signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

_PIPE = 3

#: Seconds from SIGTERM to SIGKILL, when the daemon is gone.
_PATIENCE = 3.0

#: prctl(2): the signal that is sent to this process when its parent dies.
_PR_SET_PDEATHSIG = 1

#: As a shell says that there is no such command.
_NOT_FOUND = 127


def main(arguments: list[str]) -> int:
    """Run the program whose name and arguments these are."""
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *ignored: None)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Whoever sends them to all processes of a terminal or a unit sends them to the
        # program as well; we stay until it is gone.
        signal.signal(number, signal.SIG_IGN)
    mine = os.getpid()
    child = os.fork()
    if child == 0:
        _become(arguments, mine)
    return _mind(child, wake)


def _become(arguments: list[str], parent: int) -> None:
    """In the new process: be the program."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.close(_PIPE)
        _die_with(parent)
        os.execvp(arguments[0], arguments)
    except OSError as error:
        os.write(2, f"cannot run {arguments[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(_NOT_FOUND)


def _die_with(parent: int) -> None:
    """Be killed when that process dies, where the system can do it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(_NOT_FOUND)


def _mind(child: int, wake: int) -> int:
    """Wait until the program has ended; the exit status."""
    watched, deadline = [wake, _PIPE], float("inf")
    while True:
        left = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(watched, [], [], min(left, 3600.0))
        if wake in ready:
            os.read(wake, 1024)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _signal(child, signal.SIGKILL)  # what it has left behind
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if _PIPE in ready:
            said = os.read(_PIPE, 16)
            if not said:
                watched, deadline = [wake], time.monotonic() + _PATIENCE
            _signal(child, signal.SIGKILL if b"k" in said else signal.SIGTERM)
        elif not left:
            _signal(child, signal.SIGKILL)


def _signal(child: int, number: int) -> None:
    """Send a signal to the program and what it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
