"""
Real daemons in processes of their own, for tests: started, listened to, talked
to over sockets, and never left behind.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone, ProcessDone
from twisted.internet.protocol import ProcessProtocol, Protocol, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from ropewalk.awaiting import inlineCallbacks
from ropewalk.interfaces import Steps

reactor: Any = global_reactor
ROOT = Path(__file__).resolve().parent.parent
TROUBLES = ROOT / "tests" / "troubles"
CHAT = ROOT / "examples" / "chat"

PYTHON = (sys.executable, "-c")
RUN_TWISTD = "from twisted.scripts.twistd import run; run()"

#: Seconds in which a daemon is expected to say or do something. It takes a
#: fraction of one; a loaded machine may need more.
PATIENCE = 30.0


class Daemon(ProcessProtocol):
    """
    ``twistd -n ropewalk`` in a process of its own.

    :ivar log: What it has logged, an object for each line.
    :ivar errors: What it wrote to standard error.
    :ivar ended: Fires with the exit status, or minus the signal's number.
    """

    def __init__(self) -> None:
        self.log: list[dict[str, Any]] = []
        self.strange: list[str] = []
        self.errors = ""
        self.ended: Deferred[int] = Deferred()
        self._rest = b""
        self._waiting: list[tuple[re.Pattern[str], Deferred[dict[str, Any]]]] = []
        self._reading: list[tuple[str, Deferred[None]]] = []
        self._seen = 0
        self.status: int | None = None

    @classmethod
    def start(
        cls,
        directory: Path | str,
        settings: str | None,
        *,
        paths: tuple[Path, ...] = (TROUBLES,),
        twistd: tuple[str, ...] = ("-n", "--pidfile="),
        environ: dict[str, str] | None = None,
        launcher: tuple[str, ...] = (),
        descriptors: dict[int, int] | None = None,
        terminal: bool = False,
    ) -> Daemon:
        """
        Start one.

        :param directory: Where it runs; its settings are written there, if
            there are any.
        :param paths: Where its plugins are.
        :param launcher: A command that ends in running the one which follows it.
        :param descriptors: Files that it has open: by its number, ours.
        :param terminal: Whether it runs in a terminal of its own.
        """
        home = Path(directory)
        home.mkdir(parents=True, exist_ok=True)
        if settings is not None:
            (home / "ropewalk.toml").write_text(settings, encoding="utf-8")
        daemon = cls()
        python_path = [str(ROOT / "platform"), str(ROOT), *map(str, paths)]
        variables = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(python_path),
            "PYTHONUNBUFFERED": "1",
            **(environ or {}),
        }
        command = (*launcher, *PYTHON, RUN_TWISTD, *twistd, "ropewalk")
        files: dict[int, int | str] = {0: "w", 1: "r", 2: "r", **(descriptors or {})}
        reactor.spawnProcess(
            *(daemon, command[0], command, variables, str(home)),
            **({"usePTY": True} if terminal else {"childFDs": files}),
        )
        return daemon

    # What a test does with it.

    def says(self, pattern: str) -> Deferred[dict[str, Any]]:
        """
        Wait for a log line whose message matches, from the last one that was
        waited for.

        :return: fires with the line.
        """
        wanted = re.compile(pattern)
        waiting: Deferred[dict[str, Any]] = Deferred()
        waiting.addTimeout(PATIENCE, reactor)
        waiting.addErrback(self._never_said, pattern)
        self._waiting.append((wanted, waiting))
        self._look()
        return waiting

    def writes(self, text: str) -> Deferred[None]:
        """Wait until a text is on its standard error."""
        waiting: Deferred[None] = Deferred()
        waiting.addTimeout(PATIENCE, reactor)
        waiting.addErrback(self._never_said, text)
        self._reading.append((text, waiting))
        self.errReceived(b"")
        return waiting

    @inlineCallbacks
    def ready(self) -> Steps[dict[str, str]]:
        """
        Wait until it is.

        :return: fires with where people can go: ``{"chat": "127.0.0.1:7070",
            "web": "http://127.0.0.1:8080/"}``.
        """
        yield self.says("^ready: ")
        return self.places()

    def places(self) -> dict[str, str]:
        """Where people can go, by service."""
        found = [
            re.fullmatch(r"(\S+) answers at (\S+)", each["message"])
            for each in self.log
        ]
        return {match[1]: match[2] for match in found if match}

    def messages(self) -> list[str]:
        """What it logged."""
        return [each["message"] for each in self.log]

    def signal(self, name: str) -> None:
        """Send it a signal."""
        transport: Any = self.transport
        transport.signalProcess(name.removeprefix("SIG"))

    @inlineCallbacks
    def stop(self) -> Steps[int]:
        """End it, if it still runs."""
        if self.status is None:
            self.signal("SIGKILL")
        status: int = yield self.end()
        return status

    def end(self) -> Deferred[int]:
        """Wait for its end."""
        waiting: Deferred[int] = Deferred()
        waiting.addTimeout(PATIENCE, reactor)

        def ended(status: Any) -> Any:
            if not waiting.called:
                waiting.callback(status)
            return status

        self.ended.addBoth(ended)
        waiting.addErrback(self._never_said, "(its end)")
        return waiting

    # What Twisted calls.

    def outReceived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.strange.append(line.decode("utf-8", "replace"))
        self._look()

    def errReceived(self, data: bytes) -> None:
        self.errors += data.decode("utf-8", "replace")
        for text, waiting in list(self._reading):
            if text in self.errors:
                self._reading.remove((text, waiting))
                waiting.callback(None)

    def processEnded(self, reason: Failure) -> None:
        value: Any = reason.value
        if isinstance(value, ProcessDone):
            self.status = 0
        elif value.signal is not None:
            self.status = -value.signal
        else:
            self.status = value.exitCode
        self.ended.callback(self.status)
        for _, waiting in self._waiting:
            waiting.errback(AssertionError(f"it ended with status {self.status}"))
        self._waiting.clear()

    def _look(self) -> None:
        for wanted, waiting in list(self._waiting):
            for number in range(self._seen, len(self.log)):
                if wanted.search(self.log[number]["message"]):
                    self._seen = number + 1
                    self._waiting.remove((wanted, waiting))
                    waiting.callback(self.log[number])
                    break

    def _never_said(self, failure: Failure, pattern: str) -> None:
        said = "\n".join([*self.messages(), *self.strange, self.errors])
        raise AssertionError(
            f"{failure.getErrorMessage()}: never said {pattern!r}; it said\n{said}"
        )


class Lines(LineReceiver):
    """
    The other end of a line protocol.

    :ivar ended: Fires when the connection is closed, with whether it was closed
        cleanly.
    """

    delimiter = b"\n"

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.ended: Deferred[bool] = Deferred()
        self._waiting: list[tuple[str, Deferred[str]]] = []

    @classmethod
    def to(cls, place: str) -> Deferred[Lines]:
        """Connect to ``"127.0.0.1:7070"``."""
        host, _, port = place.rpartition(":")
        endpoint = TCP4ClientEndpoint(reactor, host, int(port), timeout=PATIENCE)
        connecting: Deferred[Lines] = connectProtocol(endpoint, cls())
        return connecting

    def type(self, line: str) -> None:
        """Send a line."""
        self.sendLine(line.encode("utf-8"))

    def hears(self, text: str) -> Deferred[str]:
        """Wait for a line with this text in it, from the start."""
        waiting: Deferred[str] = Deferred()
        waiting.addTimeout(PATIENCE, reactor)
        self._waiting.append((text, waiting))
        self._look()
        return waiting

    def lineReceived(self, line: bytes) -> None:
        self.heard.append(line.decode("utf-8"))
        self._look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(reason.check(ConnectionDone) is not None)

    def _look(self) -> None:
        for text, waiting in list(self._waiting):
            for line in self.heard:
                if text in line:
                    self._waiting.remove((text, waiting))
                    waiting.callback(line)
                    break


class Raw(Protocol):
    """A connection on which one says bytes and keeps what comes back."""

    def __init__(self) -> None:
        self.received = b""
        self.ended: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(self.received)

    @classmethod
    def to(cls, url: str) -> Deferred[Raw]:
        """Connect to the host and port of a URL."""
        host, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
        endpoint = TCP4ClientEndpoint(reactor, host, int(port), timeout=PATIENCE)
        connecting: Deferred[Raw] = connectProtocol(endpoint, cls())
        return connecting
