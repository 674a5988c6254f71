# -*- test-case-name: tests.test_reactors -*-
"""
The reactor that ropewalk chooses.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps

ROOT = Path(__file__).resolve().parent.parent

CHILDREN = """
import sys
from ropewalk.run import reactors
{install}
from twisted.internet import reactor, protocol, task

class Child(protocol.ProcessProtocol):
    left = 20
    def processEnded(self, reason):
        Child.left -= 1
        if not Child.left:
            print("all ended on", reactor._asyncioEventloop.__class__.__module__)
            reactor.stop()

def start():
    # Its pipes are closed well before it ends: only SIGCHLD tells of the end.
    command = ["sh", "-c", "exec <&- >&- 2>&-; sleep 0.05"]
    for _ in range(20):
        reactor.spawnProcess(Child(), "/bin/sh", command)

reactor.callWhenRunning(start)
reactor.run()
"""


class ReactorTests(TestCase):
    """
    Asyncio's reactor, on uvloop where that is installed.
    """

    timeout = 60

    @inlineCallbacks
    def run_program(self, program: str) -> Steps[str]:
        """Run Python in a process of its own, and have what it printed."""
        environ = {**os.environ, "PYTHONPATH": str(ROOT / "platform")}
        out, err, code = yield getProcessOutputAndValue(
            sys.executable, ["-c", program], env=environ
        )
        self.assertEqual((err.decode(), code), ("", 0))
        printed: str = out.decode().strip()
        return printed

    @inlineCallbacks
    def test_children_on_uvloop(self) -> Steps[None]:
        """
        The end of a child process is noticed on uvloop.
        """
        try:
            import uvloop  # noqa: F401
        except ImportError:
            self.skipTest("pip install 'ropewalk[fast]' brings uvloop")
        printed = yield self.run_program(CHILDREN.format(install="reactors.install()"))
        self.assertEqual(printed, "all ended on uvloop")

    @inlineCallbacks
    def test_children_on_asyncio(self) -> Steps[None]:
        """
        So it is on asyncio's own loop, which is taken where uvloop is not.
        """
        install = "sys.modules['uvloop'] = None; reactors.choose()"
        printed = yield self.run_program(CHILDREN.format(install=install))
        self.assertEqual(printed, "all ended on asyncio.unix_events")

    def test_chosen_once(self) -> Deferred[None]:
        """
        A reactor that was chosen before (``twistd -r``) stays.
        """
        program = (
            "from twisted.internet import selectreactor; selectreactor.install()\n"
            "from ropewalk.run import reactors\n"
            "print(type(reactors.choose()).__name__)"
        )
        running: Deferred[Any] = self.run_program(program)
        return running.addCallback(self.assertEqual, "SelectReactor")
