# -*- test-case-name: tests.test_autoreload -*-
"""
``ropewalk run``: twistd in the foreground, in this process; alone, or at the end
of a lifeline that another process holds.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

from ropewalk.errors import BadSettings
from ropewalk.run.single import open_settings
from ropewalk.run.statuses import Status
from ropewalk.schema import Shape

__all__ = ["STOP", "develop", "hold", "serve"]

#: What is said on the lifeline to have the daemon stop, unless it already does.
STOP = b"stop\n"

#: What says that somebody develops.
_VARIABLE = "ROPEWALK_HOST__DEVELOPMENT"

#: Seconds the daemon has to stop after the lifeline has broken. Whoever held it
#: is not there any more to end a daemon that hangs.
_ALONE = 30.0


def serve(settings: str, lifeline: int | None = None) -> None:
    """
    Run the daemon until it ends; the process ends with it.

    :param settings: The settings file.
    :param lifeline: A file descriptor; see :func:`hold`.
    """
    develop(settings, os.environ)
    # Until the daemon has its own ways to stop, it just ends, without the
    # traceback of a KeyboardInterrupt from somewhere in an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if lifeline is not None:
        hold(lifeline)
    sys.argv = [
        "twistd",
        "--nodaemon",
        "--pidfile=",
        "ropewalk",
        "--settings",
        settings,
    ]
    from twisted.scripts.twistd import run

    run()


def develop(settings: str, environ: MutableMapping[str, str]) -> None:
    """
    Turn ``[host] development`` on, by its variable, unless the settings file or the
    environment says something of it.

    :param settings: The settings file.
    """
    try:
        document = open_settings(settings, environ)
    except BadSettings:
        return  # the daemon says so, in more words
    shown = document.show("host", _Development)
    is_open = any(
        (each.name, each.origin) == ("development", "default") for each in shown
    )
    # A file that asks for nothing is to go on doing so.
    if is_open and document.tables:
        environ[_VARIABLE] = "true"


class _Development(Shape):
    """What is asked of the table ``[host]``."""

    development: bool = False


def hold(lifeline: int) -> None:
    """
    Have the daemon stop when it is told to through a pipe, and also when nobody
    is at the other end any more: a daemon started by ``ropewalk run`` does not
    outlive it, however that ended. That it is told twice, or was already told by
    a signal, does no harm.

    :param lifeline: The end of the pipe to read from.
    """
    os.set_inheritable(lifeline, False)
    # A thread: it lives also while the reactor is blocked.
    threading.Thread(target=_wait, args=(lifeline,), daemon=True).start()


def _wait(lifeline: int) -> None:
    while said := os.read(lifeline, 4096):
        if STOP in said:
            _stop()
    _stop()
    time.sleep(_ALONE)
    os._exit(Status.LEFT_BEHIND)


def _stop() -> None:
    # Not to be imported before the daemon has chosen which it is; until then,
    # there is nothing to stop but the process.
    if "twisted.internet.reactor" not in sys.modules:
        os.kill(os.getpid(), signal.SIGTERM)
        return
    from twisted.internet import reactor as running
    from twisted.internet.error import ReactorNotRunning

    reactor: Any = running

    def stop() -> None:
        with suppress(ReactorNotRunning):  # it stops already
            reactor.stop()

    reactor.callFromThread(stop)
