"""
Servers of others in processes of their own, which serve a site of ours.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from ssl import SSLContext
from typing import Any

from twisted.trial.unittest import SkipTest
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from tests.commandline import PATIENCE, variables

__all__ = ["SERVERS", "Server", "Talk"]

#: It has no word to be started with on a socket that is open already.
_WAITRESS = """\
import socket, sys, waitress
from importlib import import_module
module, _, name = sys.argv[2].partition(":")
sys.path.insert(0, "")
application = getattr(import_module(module), name)
application.start()
waitress.serve(application, sockets=[socket.socket(fileno=int(sys.argv[1]))], threads=8)
"""

#: How each is started: the socket that it has is ``{fd}``, the application ``{app}``.
SERVERS = {
    "uvicorn": ("-m", "uvicorn", "--fd", "{fd}", "--ws", "wsproto", "{app}"),
    "hypercorn": ("-m", "hypercorn", "-w", "0", "-b", "fd://{fd}", "{app}"),
    "gunicorn": (
        *("-m", "gunicorn", "-b", "fd://{fd}", "--threads", "8"),
        *("--no-control-socket", "-c", "gunicorn.conf.py", "{app}"),
    ),
    "daphne": ("-m", "daphne", "--fd", "{fd}", "{app}"),
    "waitress": ("-c", _WAITRESS, "{fd}", "{app}"),
}


class Server:
    """
    A server, on a port of this machine.

    :param name: Which.
    :param app: What it serves, ``"module:name"``.
    :param more: More of its command line.
    :param environ: More of its environment.
    :ivar tls: How to talk to it, if that is not in the clear.
    """

    tls: SSLContext | None = None

    def __init__(
        self, name: str, app: str, cwd: Path, *more: str, **environ: str
    ) -> None:
        if find_spec(name) is None:
            if os.environ.get("CI"):
                raise AssertionError(f"{name} is not installed")
            raise SkipTest(f"{name} is not installed (pip install {name})")
        self.name = name
        listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = listening.getsockname()[1]
        fd = listening.fileno()
        words = [each.format(fd=fd, app=app) for each in SERVERS[name]]
        self.process = subprocess.Popen(
            [sys.executable, *words, *more],
            cwd=cwd,
            env=variables(**environ),
            pass_fds=[fd],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        listening.close()
        self.said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def ask(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, str]:
        """The status and the text of an answer."""
        connection = self.connect()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, names)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def connect(self) -> HTTPConnection:
        """A connection to it."""
        return HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def dial(self) -> socket.socket:
        """A connection to it, by TLS if it is to be."""
        dialled = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        return dialled if self.tls is None else self.tls.wrap_socket(dialled)

    def says(self, text: str) -> str:
        """Wait for a line with this text in it."""
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            self.said.append(line)
            if text in line:
                return line
        raise AssertionError(f"it ended without {text!r}: {self.said}")

    def end(self, number: signal.Signals | None = None) -> int:
        """
        Wait for its end.

        :param number: A signal to send it first.
        :return: its exit status.
        """
        if number is not None:
            self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            self.said.append(line)
        self._lines.put(None)
        return status

    def kill(self) -> None:
        """End it and its workers, if they still run."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.end()
        self._output.close()

    def _read(self) -> None:
        for line in self._output:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    @property
    def _output(self) -> Any:
        return self.process.stdout


class Talk:
    """
    A WebSocket, by wsproto, to a server or to a place such as ``"127.0.0.1:8080"``.

    :ivar refused: The status, if it was turned away, and the words.
    """

    def __init__(
        self, server: Server | str, path: str, *subprotocols: str, **headers: str
    ) -> None:
        if isinstance(server, str):
            host, _, port = server.rpartition(":")
            self._socket = socket.create_connection((host, int(port)), PATIENCE)
        else:
            self._socket, port = server.dial(), str(server.port)
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._events: list[Event] = []
        self.refused: tuple[int, str] | None = None
        more = [(name.encode(), value.encode()) for name, value in headers.items()]
        host = f"127.0.0.1:{port}"
        self._send(
            Request(host, path, subprotocols=list(subprotocols), extra_headers=more)
        )
        answer = self._next()
        self.subprotocol = None
        if isinstance(answer, AcceptConnection):
            self.subprotocol = answer.subprotocol
        elif isinstance(answer, RejectConnection):
            self.refused = answer.status_code, self._rest(answer)

    def say(self, message: str | bytes) -> None:
        """Say something."""
        if isinstance(message, str):
            self._send(TextMessage(message))
        else:
            self._send(BytesMessage(message))

    def hear(self) -> str | bytes | tuple[int, str]:
        """The next message; or with what it was closed, and why."""
        pieces: list[Any] = []
        while True:
            event = self._next()
            if isinstance(event, Ping):
                self._send(event.response())
                continue
            if isinstance(event, CloseConnection):
                self._send(event.response())
                self._socket.close()
                return event.code, event.reason or ""
            assert isinstance(event, TextMessage | BytesMessage), event
            pieces.append(event.data)
            if event.message_finished:
                is_text = isinstance(event, TextMessage)
                return "".join(pieces) if is_text else b"".join(pieces)

    def leave(self, code: int = 1000) -> None:
        """Close it, and wait until it is."""
        self._send(CloseConnection(code))
        while not isinstance(self._next(), CloseConnection):
            pass
        self._socket.close()

    def cut(self) -> None:
        """End it without a word."""
        self._socket.close()

    def _rest(self, answer: RejectConnection) -> str:
        pieces = []
        if answer.has_body:
            while isinstance(event := self._next(), RejectData):
                pieces.append(bytes(event.data))
                if event.body_finished:
                    break
        self._socket.close()
        return b"".join(pieces).decode()

    def _next(self) -> Event:
        while not self._events:
            data = self._socket.recv(65536)
            self._connection.receive_data(data or None)
            self._events += self._connection.events()
        return self._events.pop(0)

    def _send(self, event: Event) -> None:
        self._socket.sendall(self._connection.send(event))
