"""
A client of a site, for tests: one connection in memory, which says what it is told
to, byte for byte, and reads what comes back.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define, frozen
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from ropewalk.net.listening import Connection, ConnectionFactory, namer
from ropewalk.telemetry import Work
from ropewalk.web.mounts import Mount, Mounts, resource_for
from ropewalk.web.site import Request, Site


@frozen
class Answer:
    """
    What a server said to one request.

    :ivar headers: By name in lower case; of several, the last.
    :ivar whole: Whether the client can take it for all of the answer.
    """

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    whole: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


class Wire(StringTransport):
    """
    A transport that is as a real one: it still sends what is written while it
    closes.
    """

    aborted = False

    def __init__(self) -> None:
        super().__init__(
            IPv4Address("TCP", "10.0.0.1", 8080),
            IPv4Address("TCP", "10.9.8.7", 5555),
            lenient=True,
        )

    def unregisterProducer(self) -> None:
        """Real ones do not mind when there is none."""
        self.producer = self.streaming = None

    def abortConnection(self) -> None:
        super().abortConnection()
        self.aborted = True
        self.disconnecting = True


class Visit:
    """
    A connection to a site.

    :ivar connection: The server's end, as a listener of the daemon makes it.
    """

    def __init__(self, site: Site) -> None:
        factory = ConnectionFactory(site, Work(plugin="web"), namer())
        self.wire = Wire()
        peer: Any = self.wire.peerAddr
        connection = factory.buildProtocol(peer)
        assert connection is not None
        self.connection: Connection = connection
        self.connection.makeConnection(self.wire)
        self.lost = False

    def send(self, *pieces: bytes) -> None:
        """Say something, piece by piece; a server that closes hears no more."""
        for piece in pieces:
            if not self.closed:
                self.connection.dataReceived(piece)

    def ask(
        self,
        path: str = "/",
        method: str = "GET",
        *headers: str,
        body: bytes = b"",
    ) -> Answer:
        """Send one request and take the answer that must be there."""
        self.send(request(path, method, *headers, body=body))
        return self.answer(method)

    def answer(self, method: str = "GET") -> Answer:
        """Take the only answer."""
        (answer,) = self.answers(method)
        return answer

    def answers(self, *methods: str) -> list[Answer]:
        """
        Take what has been answered since.

        :param methods: What was asked, as far as it was not by GET.
        """
        said = self.wire.value()
        self.wire.clear()
        return parse(said, self.closed and not self.wire.aborted, methods)

    @property
    def closed(self) -> bool:
        """Whether the server has closed the connection."""
        return bool(self.wire.disconnecting)

    def leave(self) -> None:
        """Lose the connection; or, if the server has closed it, let it be lost."""
        self.lost = True
        reason = ConnectionAborted() if self.wire.aborted else ConnectionDone()
        self.connection.connectionLost(Failure(reason))


def request(
    path: str = "/", method: str = "GET", *headers: str, body: bytes = b""
) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", *headers]
    if not any(line.lower().startswith("host:") for line in headers):
        lines.insert(1, "Host: example.org")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(*chunks: bytes) -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in (*chunks, b""))


def parse(said: bytes, ended: bool, methods: Sequence[str] = ()) -> list[Answer]:
    """
    Read answers.

    :param ended: Whether the connection was closed properly behind them.
    """
    answers = []
    asked = iter(methods)
    while said:
        head, end, said = said.partition(b"\r\n\r\n")
        assert end, head
        line, *lines = head.decode("latin-1").split("\r\n")
        version, status, reason = line.split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0"), version
        headers = {
            name.lower(): value
            for name, value in (each.split(": ", 1) for each in lines)
        }
        if status == "100":
            continue
        whole = True
        if next(asked, "GET") == "HEAD" or status in ("204", "304"):
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body, said, whole = _dechunk(said)
        elif "content-length" in headers:
            length = int(headers["content-length"])
            body, said = said[:length], said[length:]
            whole = len(body) == length
        else:
            body, said, whole = said, b"", ended
        answers.append(Answer(int(status), reason, headers, body, whole))
    return answers


def _dechunk(said: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while True:
        size, end, rest = said.partition(b"\r\n")
        if not end:
            return body, said, False
        length = int(size, 16)
        body += rest[:length]
        said = rest[length + 2 :]
        if length == 0:
            return body, said, True


@define
class Place:
    """
    A site to visit, and what it noted of its visitors.
    """

    site: Site
    clock: Clock
    seen: list[Request]

    @classmethod
    def of(cls, home: Any = None, /, **settings: Any) -> Place:
        """
        Make one.

        :param settings: As a ``Site`` takes them.
        """
        clock, seen = Clock(), list[Request]()
        return cls(
            Site(Mounts(), clock, home, observe=seen.append, **settings), clock, seen
        )

    def mount(self, path: str, app: Any, plugin: str = "chat") -> None:
        """Serve something, as ``host.web.mount`` does."""
        resource = resource_for(app)
        self.site.mounts.add(Mount(path, resource, plugin, "x.py:1", "pages", app))

    def visit(self) -> Visit:
        """Connect to it."""
        return Visit(self.site)

    def noted(self) -> list[tuple[str, str, int]]:
        """What went to the access log: method, address and status."""
        return [
            (each.method.decode(), each.uri.decode(), each.code) for each in self.seen
        ]


def blocks(page: str, language: str) -> list[str]:
    """
    The blocks of code on a page of the documentation.

    :param page: Its name: ``"web"``.
    """
    path = Path(__file__).resolve().parent.parent / "docs" / f"{page}.rst"
    text = path.read_text("utf-8")
    found = re.findall(
        rf"(?m)^\.\. code-block:: {language}\n\n((?:(?:   .*)?\n)+)", text
    )
    return [textwrap.dedent(block).strip("\n") + "\n" for block in found]
