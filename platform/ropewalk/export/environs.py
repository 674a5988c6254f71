# -*- test-case-name: tests.test_export -*-
"""
A site as a WSGI application (PEP 3333): the site in the reactor's thread, each request
in one of the server's.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote_to_bytes

from ropewalk.errors import RopewalkError, StartFailed
from ropewalk.export import guest
from ropewalk.export.scopes import SAFE

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from ropewalk.export.house import House
    from ropewalk.wire.replies import Reply

__all__ = ["Call", "Environs"]

Environ = dict[str, Any]

#: Bytes of a body that are asked for at once.
_PIECE = 64 * 1024

#: Seconds that services have to stop when the process ends.
_LAST = 30.0


class Environs:
    """
    A site for a server that speaks WSGI.

    :param settings: The settings file.
    :param site: The name of the site.
    :param listeners: Whether what else listens does so.
    """

    def __init__(self, settings: str, site: str, listeners: bool) -> None:
        self._settings, self._site, self._listeners = settings, site, listeners
        self._lock = threading.Lock()
        self._process = 0
        self._thread: guest.ReactorThread | None = None
        self._house: House | None = None
        self._failed: Exception | None = None

    def start(self) -> None:
        """
        Start the services, unless they have been started. A server that forks calls it
        in each process of its own (gunicorn: ``post_worker_init``).

        :raise ropewalk.errors.RopewalkError: When they do not start, each time.
        """
        with self._lock:
            self._check_process()
            if self._failed is not None:
                raise self._failed
            if self._house is None:
                try:
                    self._house = self._start()
                except Exception as error:
                    self._failed = error
                    raise

    def stop(self) -> None:
        """Stop the services. When the process ends, that happens by itself."""
        with self._lock:
            house, self._house = self._house, None
            if house is None or self._process != os.getpid():
                return
            self._failed = StartFailed("export", "it was stopped")
            assert self._thread is not None
            self._ask(house.stop, _LAST)
            self._thread.stop()

    def __call__(
        self, environ: Environ, start_response: Callable[..., Any]
    ) -> Iterator[bytes]:
        self.start()
        house, thread = self._house, self._thread
        assert house is not None and thread is not None
        return Call(house, thread, environ).run(start_response)

    def _check_process(self) -> None:
        if self._process and self._process != os.getpid():
            reason = (
                "it was started before the server forked, and threads stay behind; "
                "start it in each process (gunicorn: post_worker_init), or not at all"
            )
            raise StartFailed("export", reason)
        self._process = os.getpid()

    def _start(self) -> House:
        thread = self._thread = guest.ReactorThread()
        thread.start()
        house: House = self._ask(self._build)
        farewell = guest.Farewell(
            lambda name: thread.reactor.callFromThread(house.goodbye, name)
        )
        farewell.listen()
        atexit.register(self.stop)
        return house

    def _build(self) -> Deferred[House]:
        from ropewalk.export.house import House

        assert self._thread is not None
        reactor = self._thread.reactor
        house = House(
            self._settings, self._site, self._listeners, False, "WSGI", reactor
        )
        return house.start().addCallback(lambda _: house)

    def _ask(self, function: Callable[[], Any], seconds: float | None = None) -> Any:
        assert self._thread is not None
        return self._thread.ask(function, seconds)


class Call(Iterator[bytes]):
    """
    A request in a thread of the server's. All that is the site's is done in the
    reactor's thread.
    """

    def __init__(
        self, house: House, thread: guest.ReactorThread, environ: Environ
    ) -> None:
        from ropewalk.export.exchanges import Exchange

        self._house, self._thread, self._environ = house, thread, environ
        self._input = environ["wsgi.input"]
        length: str = environ.get("CONTENT_LENGTH") or ""
        self._left = int(length) if length.isdecimal() else None
        self._chunked = self._left is None and _is_terminated(environ)
        self._comes = self._chunked or bool(self._left)
        self._method: bytes = environ["REQUEST_METHOD"].encode("latin-1")
        self._exchange = Exchange(self._told, self._method)
        self._waiting: Deferred[list[Reply | bytes]] | None = None
        self._ready: deque[Reply | bytes] = deque()

    def run(self, start_response: Callable[..., Any]) -> Iterator[bytes]:
        """
        Have it answered: the head before this returns, then piece by piece.

        :return: has a ``close``, which the server calls whatever happens.
        """
        from ropewalk.export.exchanges import BadRequest, GoingDown, above
        from ropewalk.wire.replies import Reply

        try:
            self._ready += self._thread.ask(self._begin)
        except (BadRequest, GoingDown) as error:
            return _refuse(error, start_response)
        try:
            head = self._next()
            if not isinstance(head, Reply):
                raise ConnectionAbortedError("the site has cut the connection")
            headers = [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in above(head, _root(self._environ))
            ]
            reason = head.reason.decode("latin-1") or "Unknown"
            start_response(f"{head.code} {reason}", headers)
        except BaseException:
            self.close()
            raise
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = self._next()
        if piece is not None:
            return cast("bytes", piece)
        if not self._exchange.whole:
            raise ConnectionAbortedError("the site has cut its answer short")
        raise StopIteration

    def close(self) -> None:
        """The server is done with it, or its client has left."""
        if not self._exchange.over:
            self._thread.ask(self._exchange.leave)

    def _next(self) -> Reply | bytes | None:
        """
        The next of the answer, ``None`` at its end; meanwhile, the body goes to the
        site.
        """
        exchange = self._exchange
        while not self._ready:
            if exchange.over and exchange.is_empty:
                return None
            self._ready += self._thread.ask(self._wait)
            if not self._ready and not exchange.over:
                piece = self._read()
                self._comes = bool(piece)
                self._thread.ask(partial(self._send, piece))
        return self._ready.popleft()

    def _read(self) -> bytes:
        """A piece of the body; empty when there is no more."""
        if self._left is None:
            return cast("bytes", self._input.read(_PIECE))
        if not self._left:
            return b""
        piece: bytes = self._input.read(min(_PIECE, self._left))
        if not piece:
            raise ConnectionAbortedError("the client has left before its body was here")
        self._left -= len(piece)
        return piece

    # What is called in the reactor's thread.

    def _begin(self) -> Deferred[list[Reply | bytes]]:
        from ropewalk.export.exchanges import GoingDown, address_of, head_of

        environ = self._environ
        length = None if self._left is None else b"%d" % self._left
        head = head_of(
            self._method, _target(environ), _headers(environ), length, self._chunked
        )
        peer = environ.get("REMOTE_ADDR"), environ.get("REMOTE_PORT") or 0
        host = environ.get("SERVER_NAME"), environ.get("SERVER_PORT") or 0
        begun = self._exchange.begin(
            self._house.door,
            head,
            address_of(host),
            address_of(peer if peer[0] else None),
            environ.get("wsgi.url_scheme") == "https",
            self._chunked,
        )
        if not begun:
            raise GoingDown
        return self._wait()

    def _send(self, piece: bytes) -> None:
        if piece:
            self._exchange.feed(piece)
        else:
            self._exchange.end_body()

    def _wait(self) -> Deferred[list[Reply | bytes]]:
        """
        What has come of the answer, as soon as there is some; nothing when it is over,
        or the site takes more of the body.
        """
        from twisted.internet.defer import Deferred

        waiting = self._waiting = Deferred()
        self._told()
        return waiting

    def _told(self) -> None:
        # What is taken makes room, and more may be told before it is here.
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        exchange, batch = self._exchange, self._take()
        if batch or exchange.over or (self._comes and exchange.thirsty):
            waiting.callback(batch)
        else:
            self._waiting = waiting

    def _take(self) -> list[Reply | bytes]:
        """What has come; of much, a part."""
        batch: list[Reply | bytes] = []
        size = 0
        while size < _PIECE and (item := self._exchange.take()) is not None:
            batch.append(item)
            size += len(item) if isinstance(item, bytes) else 0
        return batch


def _refuse(
    error: RopewalkError, start_response: Callable[..., Any]
) -> Iterator[bytes]:
    """Answer without the site."""
    body = f"{error}\n".encode()
    headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", str(len(body))),
    ]
    start_response(f"{error.status} {HTTPStatus(error.status).phrase}", headers)
    return iter((body,))


def _is_terminated(environ: Environ) -> bool:
    """
    Whether there may be a body that ends where it ends: a server that has taken it out
    of its chunks says so (``wsgi.input_terminated``), and otherwise it has no end.
    """
    return bool(environ.get("wsgi.input_terminated")) and (
        environ.get("HTTP_TRANSFER_ENCODING") is not None
        or environ.get("SERVER_PROTOCOL", "HTTP/1.1").startswith(("HTTP/2", "HTTP/3"))
    )


def _root(environ: Environ) -> bytes:
    """The path below which the server has the site."""
    root: str = environ.get("SCRIPT_NAME", "").rstrip("/")
    return quote(root.encode("latin-1"), safe=SAFE).encode("ascii")


def _target(environ: Environ) -> bytes:
    """
    Path and query, as they were asked for if the server tells, and nobody has changed
    them on the way.
    """
    from ropewalk.export.exchanges import beneath

    root, rest = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
    whole: bytes = (root.rstrip("/") + rest).encode("latin-1")
    raw: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    asked = raw.partition("?")[0].encode("latin-1")
    if not raw.startswith("/") or unquote_to_bytes(asked) != whole:
        asked = quote(whole, safe=SAFE).encode("ascii")
    path = beneath(asked, _root(environ))
    query: bytes = environ.get("QUERY_STRING", "").encode("latin-1")
    return path + b"?" + query if query else path


def _headers(environ: Environ) -> Iterator[tuple[bytes, bytes]]:
    """What is the client's; the names are no more as it wrote them."""
    if environ.get("CONTENT_TYPE"):
        yield b"content-type", environ["CONTENT_TYPE"].encode("latin-1")
    if "HTTP_HOST" not in environ:
        yield b"host", environ.get("SERVER_NAME", "").encode("latin-1")
    for name, value in environ.items():
        # The server has told the client to go on already, or does when it is read.
        if name.startswith("HTTP_") and name != "HTTP_EXPECT":
            yield (
                name[5:].replace("_", "-").lower().encode("latin-1"),
                value.encode("latin-1"),
            )
