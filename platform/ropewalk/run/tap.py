# -*- test-case-name: tests.test_tap -*-
"""
``twistd ropewalk``: what twistd asks of a plugin of its own.

This is where the process is put together: the reactor, the settings, the log,
the host, the signals, and the status it ends with.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar, NoReturn

from twisted.application.service import Service
from twisted.logger import ILogObserver, Logger
from twisted.python import usage

from ropewalk import __version__
from ropewalk.errors import BadSettings, StartFailed
from ropewalk.run import reactors
from ropewalk.run.garbage import unsearched

with unsearched():
    # The reactor is chosen before anything below can import the default one.
    _reactor = reactors.choose()

    from ropewalk.plugin import Found, discover
    from ropewalk.run.configuration import Plan, make_plan
    from ropewalk.run.daemon import Daemon
    from ropewalk.run.host import Host
    from ropewalk.run.logs import (
        CannotLog,
        FromStandardLibrary,
        LogWriter,
        log_access,
        open_log,
    )
    from ropewalk.run.reload import Reloader
    from ropewalk.run.single import open_settings, with_file
    from ropewalk.run.statuses import Status
    from ropewalk.run.systemd import Systemd
    from ropewalk.web.access import AccessLog

__all__ = ["Options", "makeService"]

_log = Logger()


class Options(usage.Options):
    """The command line of ``twistd ropewalk``."""

    synopsis = "[--settings FILE]"
    longdesc = (
        "Run the services that a settings file asks for. `ropewalk check FILE` "
        "says what is in the file and what is wrong with it; `ropewalk plugins` "
        "lists what can be asked for."
    )
    optParameters: ClassVar = [
        [
            "settings",
            "s",
            os.environ.get("ROPEWALK_SETTINGS", "ropewalk.toml"),
            "The settings file (or name it in the variable ROPEWALK_SETTINGS).",
        ]
    ]
    compData = usage.Completions(optActions={"settings": usage.CompleteFiles("*.toml")})


@unsearched()
def makeService(options: Any) -> Service:
    """
    Put the daemon together. Nothing is started.

    A fault in the settings ends the process here, before it becomes a daemon,
    with the words of ``ropewalk check`` and its status.
    """
    if hasattr(signal, "SIGHUP"):
        # It would end the process while services are imported and made. The
        # settings are only now read: there is nothing to read again.
        signal.signal(signal.SIGHUP, lambda number, frame: None)
    twistd: dict[str, Any] = options.parent or {}
    # twistd changes its directory, and perhaps its root; the file is read again
    # on SIGHUP.
    given = options["settings"]
    path = _seen_from(twistd.get("chroot"), os.path.abspath(given))
    _import_for(twistd.get("chroot"))
    installed = Installed(given)
    try:
        plan = make_plan(open_settings(given, os.environ), installed.look())
    except BadSettings as error:
        _refuse(f"{installed.broken()}{error}", Status.BAD_SETTINGS)
    if installed.broken():
        _log.error("{broken}", broken=installed.broken().rstrip())
    try:
        writer = _log_writer(twistd, plan)
    except CannotLog as error:
        _refuse(str(error), Status.START_FAILED)
    write = log_access if writer is None else writer.access
    host = Host(plan, _reactor, time.time, AccessLog(write, _reactor, time.time))
    try:
        host.make()
    except StartFailed as error:
        _refuse(str(error), Status.START_FAILED)
    systemd = Systemd(os.environ, os.getpid(), _reactor)
    parent = Parent(twistd)
    daemon = Daemon(host, systemd, parent.tell)

    def read() -> Plan:
        return make_plan(open_settings(path, os.environ), installed.look())

    def apply(new: Plan) -> None:
        host.reconfigure(new)
        if writer is not None:
            writer.level = new.host.log_level

    process = Process(daemon, Reloader(host, read, apply), systemd, writer, parent)
    _end_with(daemon)
    return process


class Process(Service):
    """
    The daemon in its process: signals, and the log that twistd is to use.

    :param writer: The log; ``None`` leaves it to twistd.
    :param parent: Who waits for the start.
    """

    def __init__(
        self,
        daemon: Daemon,
        reloader: Reloader,
        systemd: Systemd,
        writer: LogWriter | None,
        parent: Parent,
    ) -> None:
        self._daemon = daemon
        self._reloader = reloader
        self._systemd = systemd
        self._writer = writer
        self._parent = parent
        self._on_terminal = _is_terminal(sys.__stdin__)

    def setServiceParent(self, parent: Any) -> None:
        """twistd takes the log observer of the application, if it has one."""
        super().setServiceParent(parent)
        if self._writer is not None:
            parent.setComponent(ILogObserver, self._writer)

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._daemon.privilegedStartService()

    def startService(self) -> None:
        super().startService()
        self._parent.wait()
        _log.info(
            "ropewalk {version} with {settings}, on {loop}",
            version=__version__,
            settings=self._daemon.host.plan.document.path,
            loop=reactors.describe(_reactor),
        )
        logging.getLogger().addHandler(FromStandardLibrary(logging.INFO))
        # After twistd and the reactor have installed theirs.
        _reactor.callWhenRunning(lambda: _reactor.callLater(0, self._handle_signals))
        self._daemon.startService()

    def stopService(self) -> Any:
        super().stopService()
        return self._daemon.stopService()

    def reload(self) -> None:
        """Read the settings again, and open the log file again."""
        if self._writer is not None:
            self._writer.reopen()
        if self._daemon.host.state == "ready":
            self._systemd.reloading()
        self._reloader.reload().addBoth(self._reloaded)

    def _hang_up(self) -> None:
        """
        Reload; but a daemon in the foreground whose terminal was closed is one
        that nobody wants any more.
        """
        if self._on_terminal and not _is_terminal(sys.__stdin__):
            self._daemon.interrupt("SIGHUP, for the terminal is gone")
        else:
            self.reload()

    def _reloaded(self, _: object) -> None:
        # A daemon that still starts, or already stops, is not to be called ready.
        if self._daemon.host.state == "ready":
            self._systemd.ready("ready")

    def _handle_signals(self) -> None:
        for name, do in {
            "SIGTERM": lambda: self._daemon.interrupt("SIGTERM"),
            "SIGINT": lambda: self._daemon.interrupt("SIGINT"),
            "SIGHUP": self._hang_up,
            "SIGUSR1": self._reopen,
        }.items():
            number = getattr(signal, name, None)
            if number is not None:
                signal.signal(number, _in_reactor(do))

    def _reopen(self) -> None:
        if self._writer is not None:
            self._writer.reopen()


def _in_reactor(do: Callable[[], None]) -> Callable[[int, Any], None]:
    return lambda number, frame: _reactor.callFromThread(do)


def _is_terminal(stream: Any) -> bool:
    try:
        return stream is not None and os.isatty(stream.fileno())
    except (OSError, ValueError):
        return False


def _log_writer(twistd: Mapping[str, Any], plan: Plan) -> LogWriter | None:
    """
    Our log, where twistd would have put its own; ``None`` where it was told to
    use another.
    """
    if twistd.get("syslog") or twistd.get("logger"):
        return None
    path = twistd.get("logfile")
    if path == "-" or (not path and twistd.get("nodaemon")):
        output: Any = sys.__stdout__
    else:
        output = open_log(path or "twistd.log")
    return LogWriter.of(output, plan.host.log, plan.host.log_level)


class Installed:
    """
    The plugins there are. One that was found stays: after ``--chroot`` its file
    can no longer be seen.
    """

    def __init__(self, settings: str = "") -> None:
        self._settings = settings
        self._found = Found(())

    def look(self) -> Found:
        """Find what is installed, and what was."""
        now = with_file(discover(), self._settings)
        known = {(plugin.name, plugin.module) for plugin in now.plugins}
        gone = [
            plugin
            for plugin in self._found.plugins
            if (plugin.name, plugin.module) not in known
        ]
        self._found = Found((*now.plugins, *gone), now.broken)
        return self._found

    def broken(self) -> str:
        """The declarations that cannot be read, with their tracebacks."""
        return "".join(
            f"the plugin declaration at {each.place} cannot be read; the others "
            f"can:\n{each.traceback}\n"
            for each in self._found.broken
        )


def _import_for(root: str | None) -> None:
    """Import what Werkzeug comes to want late, and ``--chroot`` would hide."""
    if root:
        import_module("encodings.idna")


def _seen_from(root: str | None, path: str) -> str:
    """A path as it is after ``--chroot``, if it is below the new root."""
    inside = os.path.relpath(path, root or "/")
    return path if inside.startswith(os.pardir) else f"/{inside}"


class Parent:
    """
    The ``twistd`` that was typed, waiting to hear how its daemon's start went.

    By itself twistd says that all is well as soon as ``startService`` has
    returned; we take its pipe, and say so when every service has started. The
    format is twistd's: ``0``, or ``1``, a blank and up to 98 bytes of why.
    """

    def __init__(self, twistd: dict[str, Any]) -> None:
        self._twistd = twistd
        self._pipe: int | None = None

    def wait(self) -> None:
        """Have it wait for us, if it is there."""
        self._pipe = self._twistd.pop("statusPipe", None)

    def tell(self, problem: str) -> None:
        """Say how it went."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            text = f"1 {problem}" if problem else "0"
            os.write(pipe, text.encode("ascii", "backslashreplace")[:100])
            os.close(pipe)


def _refuse(message: str, status: Status) -> NoReturn:
    """End the process before it has begun."""
    print(message, file=sys.stderr)
    raise SystemExit(int(status))


def _end_with(daemon: Daemon) -> None:
    """
    Have the process end with the daemon's status. ``twistd`` itself knows only
    of success once the reactor has run.
    """

    def end() -> None:
        if daemon.status:
            logging.shutdown()
            for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
                try:
                    if stream is not None:
                        stream.flush()
                except (OSError, ValueError):
                    pass
            os._exit(int(daemon.status))

    atexit.register(end)
