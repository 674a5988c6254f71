# -*- test-case-name: tests.test_hosting_calling -*-
"""
One call of a WSGI application, in a thread (PEP 3333, "Specification Details").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from ropewalk.web.hosting.wsgi.bodies import BodyLost
from ropewalk.web.hosting.wsgi.conveying import Conveyor, Departed, Head, Headers
from ropewalk.web.hosting.wsgi.files import FileWrapper

__all__ = ["BadAnswer", "Performance"]

#: RFC 9110, section 5.6.2.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

#: What no value of a header may have (RFC 9110, section 5.5).
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_STATUS = re.compile(r"([2-5][0-9]{2})(?: ([^\x00-\x1f\x7f]*))?")

#: Statuses whose answers have no body (RFC 9110, sections 15.3.5 and 15.4.5).
_NO_CONTENT, _NOT_MODIFIED = 204, 304


class BadAnswer(ValueError):
    """
    What an application says is no answer.
    """


class Performance:
    """
    One call of an application, and what becomes of its answer.

    :param application: What is called.
    :param environ: With what.
    :param conveyor: Where the answer goes.
    :param fail: Called in the thread with the failure of the application.
    """

    _log = Logger()

    __slots__ = (
        *("_application", "_begun", "_conveyor", "_done", "_environ", "_fail"),
        *("_headers", "_is_head", "_promised", "_reason", "_sent", "_status", "_told"),
    )

    def __init__(
        self,
        application: Callable[..., Any],
        environ: dict[str, Any],
        conveyor: Conveyor,
        fail: Callable[[Failure], object],
    ) -> None:
        self._application, self._environ = application, environ
        self._conveyor, self._fail = conveyor, fail
        self._is_head = environ["REQUEST_METHOD"] == "HEAD"
        self._status = self._sent = 0
        self._reason = b""
        self._headers: Headers = []
        self._promised: int | None = None
        # Whether a part of the answer has gone, and whether all has.
        self._begun = self._done = self._told = False

    def run(self) -> None:
        """Call it, and see its answer through."""
        try:
            answer = self._application(self._environ, self.start_response)
            close: Callable[[], object] = getattr(answer, "close", _nothing)
            try:
                if self._send_file(answer, close):
                    close = _nothing  # when it has been sent
                else:
                    self._send(answer)
            finally:
                close()
        except (BodyLost, Departed):
            pass  # the end of a request, and no fault of the application's
        except BaseException:
            # Whatever a guest raises, SystemExit too, ends no more than a request.
            self._fail(Failure())

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """
        PEP 3333, "The start_response() Callable".

        :raise BadAnswer: When status or headers cannot be sent.
        """
        try:
            if exc_info and (self._begun or self._done):
                raise exc_info[1].with_traceback(exc_info[2])
            if self._status and not exc_info:
                raise BadAnswer("start_response() was called twice, without exc_info")
        finally:
            exc_info = None  # it leads back to this frame
        self._status, self._reason = _read_status(status)
        self._headers = [_read_header(each) for each in headers]
        self._promised = _length_in(self._headers)
        if self._status == _NO_CONTENT and self._promised is not None:
            # RFC 9110, section 8.6.
            self._drop_length()
        return self.write

    def write(self, data: bytes) -> None:
        """
        PEP 3333, "The write() Callable".

        :raise Departed: When nobody is there any more.
        """
        self._check(data)
        data = self._cut(data)
        if not data or self._is_mute():
            return
        self._sent += len(data)
        if self._sent == self._promised:
            self._done = True
            if not self._begun:
                self._answer(data)
                return
        self._begin()
        self._conveyor.put(data)
        if self._done:
            self._conveyor.end()

    # How an answer is sent.

    def _send(self, answer: Iterable[bytes]) -> None:
        if type(answer) in (list, tuple) and not self._begun and self._status:
            self._send_all(answer)
        else:
            for piece in answer:
                self.write(piece)
                if piece and self._is_mute():
                    break  # whatever else there is, nobody is sent it
        if not self._done:
            self._end()

    def _send_all(self, pieces: Iterable[bytes]) -> None:
        """Send pieces that are all there."""
        for piece in pieces:
            self._check(piece)
        data = b"".join(pieces)
        if self._promised is not None or not data:
            self.write(data)
        else:
            self._done = True
            if self._is_head:
                # Nobody else knows it: the body is not sent.
                self._headers.append((b"content-length", b"%d" % len(data)))
            self._answer(b"" if self._is_mute() else data)

    def _end(self) -> None:
        """There is no more."""
        if not self._status:
            raise BadAnswer("the application returned without start_response()")
        lacks = 0 if self._is_mute() else (self._promised or self._sent) - self._sent
        if lacks:
            problem = f"the answer is {lacks} bytes shorter than its Content-Length"
            if not self._begun:
                raise BadAnswer(problem)
            self._log.warn("{problem}: {path}", problem=problem, path=self._path())
        if self._begun:
            self._conveyor.end(whole=not lacks)
        else:
            self._answer(b"")

    def _send_file(self, answer: Any, close: Callable[[], object]) -> bool:
        """Have a file sent by the reactor, where that is possible."""
        if not isinstance(answer, FileWrapper) or self._begun or not self._status:
            return False
        file = answer.on_disk()
        if file is None:
            return False
        if self._promised is None and self._status not in (_NO_CONTENT, _NOT_MODIFIED):
            self._promised = file.length
            self._headers.append((b"content-length", b"%d" % file.length))
        if self._promised is None or self._is_mute():
            return False
        self._conveyor.send_file(self._head(), file, self._promised, close)
        return True

    def _answer(self, data: bytes) -> None:
        self._conveyor.answer(self._head(), data)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._conveyor.start(self._head())

    def _head(self) -> Head:
        return self._status, self._headers, self._reason

    def _is_mute(self) -> bool:
        """Whether the answer is but a head."""
        return self._is_head or self._status in (_NO_CONTENT, _NOT_MODIFIED)

    def _check(self, data: object) -> None:
        if not isinstance(data, bytes):
            kind = type(data).__name__
            raise BadAnswer(f"a piece of an answer is bytes, not {kind}: {data!r:.60}")
        if not self._status:
            raise BadAnswer("a piece of an answer came before start_response()")

    def _cut(self, data: bytes) -> bytes:
        """As much of it as was promised."""
        if self._promised is None or self._is_mute():
            return data
        room = self._promised - self._sent
        if len(data) > room and not self._told:
            self._told = True
            self._log.warn(
                "an answer is longer than its Content-Length, {length}, and was cut: "
                "{path}",
                length=self._promised,
                path=self._path(),
            )
        return data[:room]

    def _drop_length(self) -> None:
        self._promised = None
        self._headers = [each for each in self._headers if each[0] != b"content-length"]

    def _path(self) -> str:
        path: str = self._environ["REQUEST_URI"]
        return path


def _nothing() -> None:
    """What an answer does that need not be closed."""


@lru_cache(256)
def _read_status(status: Any) -> tuple[int, bytes]:
    found = _STATUS.fullmatch(status) if isinstance(status, str) else None
    if found is None:
        raise BadAnswer(f"a status is like '404 Not Found', not {status!r:.60}")
    try:
        return int(found[1]), (found[2] or "").encode("latin-1")
    except UnicodeEncodeError:
        raise BadAnswer(f"a status is in Latin-1, not {status!r:.60}") from None


def _read_header(header: Any) -> tuple[bytes, bytes]:
    try:
        name, value = header
        if _FORBIDDEN.search(value):
            raise ValueError
        return _read_name(name), value.encode("latin-1")
    except (TypeError, ValueError):
        raise BadAnswer(
            f"a header is a name and a value, each a str in Latin-1 without line "
            f"breaks, not {header!r:.120}"
        ) from None


@lru_cache(1024)
def _read_name(name: str) -> bytes:
    if not _NAME.fullmatch(name):
        raise ValueError
    return name.lower().encode("ascii")


def _length_in(headers: Headers) -> int | None:
    """What is promised of the body's length."""
    for name, value in headers:
        if name == b"content-length":
            if not value.isdigit():
                raise BadAnswer(f"a Content-Length is digits, not {value!r:.60}")
            return int(value)
    return None
