# -*- test-case-name: tests.test_logs -*-
"""
The log: lines for people on a terminal, a JSON object a line elsewhere, each
with the service, the connection and the request it belongs to.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import re
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, Protocol

import msgspec
from attrs import define
from msgspec import UNSET, UnsetType
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    formatEvent,
)
from twisted.python import threadable
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from zope.interface import implementer

from ropewalk.errors import RopewalkError
from ropewalk.schema import Secret
from ropewalk.schema.shape import MASK
from ropewalk.telemetry import Work, work
from ropewalk.web.access import Access

__all__ = ["CannotLog", "FromStandardLibrary", "LogWriter", "log_access", "open_log"]

#: A log file is rotated at this size …
_ROTATE_AT = 10 * 1024 * 1024

#: … and so many of the old ones are kept.
_ROTATED = 10

#: What is open already, under its names.
_STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}

_LEVELS = {level.name: number for number, level in enumerate(LogLevel.iterconstants())}

#: In which words Twisted's ports say what the daemon says better.
_PORT_NOISE = re.compile(r".* starting on ([0-9]+|b?'.*')|\([A-Z]+ Port .* Closed\)")

#: What need not be looked at twice: printable ASCII and the ends of lines.
_STRANGE = re.compile(r"[^\n -~]")

#: What may stand in JSON, but not in a line on anybody's terminal, and surrogates,
#: which stand for nothing.
_STRANGE_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")

#: What old-fashioned events have beside their values.
_NO_VALUES = ("format", "isError", "message", "system", "time", "why", "failure")


@define
class CannotLog(RopewalkError):
    """
    A log file cannot be written.

    :ivar path: The file.
    :ivar reason: Why not, in a few words.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"cannot log to {self.path}: {self.reason}"


class Output(Protocol):
    """
    What log lines are written to. ``write`` may take only a part and say how much
    that was.
    """

    def write(self, data: bytes, /) -> int | None: ...


def open_log(path: str) -> Any:
    """
    Open a log file. A regular file is rotated when it grows; what is not one (a
    pipe, ``/dev/stdout``, ``/dev/null``, a symbolic link) is written to and left
    alone.

    :return: something with ``write`` and ``reopen``, for :class:`LogWriter`.
    :raise CannotLog: When it cannot be written, or when it is a pipe that nobody
        reads.
    """
    try:
        return (_Rotated if _is_regular(path) else _Unrotated)(path)
    except (OSError, ValueError) as error:
        raise CannotLog(path, _reason(error)) from error


def _is_regular(path: str) -> bool:
    try:
        # Of the link, not of what it leads to: rotating would rename the link.
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return True


class _Rotated(LogFile):
    """
    A log file that goes on as it was when it cannot be rotated or reopened.
    """

    def __init__(self, path: str) -> None:
        path = os.path.abspath(path)
        super().__init__(
            os.path.basename(path),
            os.path.dirname(path),
            rotateLength=_ROTATE_AT,
            maxRotatedFiles=_ROTATED,
        )

    def write(self, data: bytes) -> int:
        if self.shouldRotate():
            self.rotate()
        written: int = self._file.write(data)
        self.size += written
        return written

    def rotate(self) -> None:
        try:
            super().rotate()
        except OSError:
            if self._file.closed:
                self._openFile()

    def reopen(self) -> None:
        if _is_open_at(self._file, self.path):
            # Nobody has moved it. It may have been opened with privileges that
            # are given up by now.
            return
        old = self._file
        try:
            self._openFile()
        except OSError:
            self._file = old
            raise
        old.close()


threadable.synchronize(_Rotated)


def _is_open_at(file: Any, path: str) -> bool:
    """Whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False


class _Unrotated:
    """
    Something that is written to as it is.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._file = self._open()

    def _open(self) -> Any:
        if self._path in _STANDARD:
            # These may be sockets, which have a name and cannot be opened.
            return open(os.dup(_STANDARD[self._path]), "wb", buffering=0)
        # A pipe that nobody reads would be waited for, and all of us with it.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
        opened = os.open(self._path, flags, 0o666)
        os.set_blocking(opened, True)
        return open(opened, "wb", buffering=0)

    def write(self, data: bytes) -> int | None:
        written: int | None = self._file.write(data)
        return written

    def reopen(self) -> None:
        if self._path not in _STANDARD:
            old, self._file = self._file, self._open()
            old.close()

    def isatty(self) -> bool:
        return bool(self._file.isatty())

    def close(self) -> None:
        self._file.close()


class _Nothing:
    """
    Where a log goes that has no place.
    """

    def write(self, data: bytes) -> int:
        return len(data)


@implementer(ILogObserver)
class LogWriter:
    """
    Writes events as lines, and never raises: what cannot be written is lost.

    :param output: Where to.
    :ivar style: ``"text"`` or ``"json"``.
    :ivar level: What is less is not written.
    """

    __slots__ = ("_output", "_torn", "level", "style")

    _log = Logger()

    def __init__(
        self,
        output: Output,
        style: Literal["text", "json"] = "text",
        level: str = "info",
    ) -> None:
        self._output = output
        self.style, self.level = style, level
        self._torn = False

    @classmethod
    def of(cls, output: Any, style: str, level: str) -> LogWriter:
        """
        Make one.

        :param output: What :func:`open_log` returns, a text file such as
            ``sys.__stdout__``, or a binary one; ``None``, as that is when it was
            closed before we began, for nothing.
        :param style: ``"auto"`` looks whether the output is a terminal.
        """
        if style == "auto":
            on_terminal = bool(getattr(output, "isatty", lambda: False)())
            style = "text" if on_terminal else "json"
        return cls(_raw(output), "text" if style == "text" else "json", level)

    def __call__(self, event: LogEvent) -> None:
        """Write an event. Whatever is in it, a line comes of it."""
        try:
            line = self._line(event)
        except Exception:
            # Values of strangers, in an event of a stranger's making.
            about = Failure().getTraceback()
            line = self._line(_event("an event could not be logged:\n" + about))
        if line is not None:
            self._write(line + "\n")

    def access(self, batch: Sequence[Access]) -> None:
        """Write the requests that were answered."""
        if _LEVELS["info"] < _LEVELS[self.level]:
            return
        spell = _access_json if self.style == "json" else _access_text
        self._write("".join(spell(each) + "\n" for each in batch))

    def reopen(self) -> None:
        """
        Open the log file again: somebody has moved it away (logrotate). If that
        fails, the log says so and goes on where it was.
        """
        reopen = getattr(self._output, "reopen", None)
        if reopen is None:
            return
        try:
            reopen()
        except OSError as error:
            self._log.error(
                "the log file could not be opened again: {reason}",
                reason=_reason(error),
            )

    def _line(self, event: LogEvent) -> str | None:
        level = (event.get("log_level") or LogLevel.info).name
        if _LEVELS[level] < _LEVELS[self.level] or _is_noise(event):
            return None
        if event.get("isError") and "failure" in event:
            event = _modern(event)
        if any(isinstance(value, Secret) for value in event.values()):
            event = {key: _discreet(value) for key, value in event.items()}
        spell = _json_line if self.style == "json" else _text_line
        return spell(event, level, work.get())

    def _write(self, text: str) -> None:
        # A full disk or a closed pipe must not end the daemon, and there is
        # nowhere to log it.
        data = text.encode("utf-8", "backslashreplace")
        if self._torn:
            data = b"\n" + data
        left = len(data)
        try:
            while left:
                written = self._output.write(data[len(data) - left :])
                if written == 0:
                    break
                left = 0 if written is None else left - written
        except (OSError, ValueError):
            pass
        # What is written next, when it can be again, begins a line of its own.
        if left < len(data):
            self._torn = left > 0


class FromStandardLibrary(logging.Handler):
    """
    Puts what libraries say by :mod:`logging` into our log.
    """

    _here = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record, unless it comes of our doing so."""
        if getattr(self._here, "busy", False):
            return
        self._here.busy = True
        try:
            self._emit(record)
        finally:
            self._here.busy = False

    def _emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception as mistake:
            # logging would print this to where nobody looks.
            text = f"{record.msg!r} with {record.args!r}: {mistake}"
        if record.stack_info:
            text += f"\n{record.stack_info}"
        values: dict[str, Any] = {}
        if record.exc_info and record.exc_info[1] is not None:
            kind, error, trace = record.exc_info
            values["log_failure"] = Failure(error, kind, trace)
        log = Logger(namespace=record.name)
        log.emit(_level(record.levelno), "{log_text}", log_text=text, **values)


def log_access(batch: Sequence[Access]) -> None:
    """
    Log answered requests as ordinary events, for who chose another observer
    (``twistd --syslog``, ``--logger``).
    """
    log = Logger(namespace="ropewalk.access")
    for each in batch:
        log.info("{line}", line=_access_words(each))


def _raw(output: Any) -> Any:
    """
    What is behind a text file: nothing keeps there what could not be written, and
    any text can be.
    """
    if output is None:
        return _Nothing()
    buffer = getattr(output, "buffer", None)
    if buffer is None:
        return output
    output.flush()
    return getattr(buffer, "raw", buffer)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENXIO:
        return "nobody reads this pipe or socket"
    return getattr(error, "strerror", None) or str(error)


def _level(number: int) -> Any:
    """A level of the standard library's, as Twisted knows it."""
    for least, level in (
        (logging.CRITICAL, LogLevel.critical),
        (logging.ERROR, LogLevel.error),
        (logging.WARNING, LogLevel.warn),
        (logging.INFO, LogLevel.info),
    ):
        if number >= least:
            return level
    return LogLevel.debug


def _is_noise(event: LogEvent) -> bool:
    """
    Whether it is one of the lines in which Twisted's ports say what the daemon
    has said better.
    """
    text = event.get("log_text") if event.get("log_namespace") == "log_legacy" else None
    return isinstance(text, str) and _PORT_NOISE.fullmatch(text) is not None


def _event(text: str) -> LogEvent:
    return {
        "log_level": LogLevel.error,
        "log_namespace": __name__,
        "log_format": "{text}",
        "text": text,
    }


def _when(event: LogEvent) -> float:
    at: float | None = event.get("log_time")
    return time.time() if at is None else at


def _modern(event: LogEvent) -> LogEvent:
    """
    What :func:`twisted.python.log.err` made, with the traceback not in the text.
    """
    why = str(event.get("why") or "Unhandled error")
    failure = event.get("log_failure", event["failure"])
    return {**event, "log_format": "{why}", "why": why, "log_failure": failure}


def _discreet(value: Any) -> Any:
    return (MASK if value else "") if isinstance(value, Secret) else value


def _names(now: Work) -> dict[str, str]:
    names = {
        "plugin": now.plugin,
        "connection": now.connection,
        "request": now.request,
    }
    return {key: name for key, name in names.items() if name is not None}


# As JSON.


def _json_line(event: LogEvent, level: str, now: Work) -> str:
    line: dict[str, Any] = {
        "time": _utc(_when(event)),
        "level": level,
        **_names(now),
        "from": str(event.get("log_namespace", "log_legacy")),
        "message": formatEvent(event),
    }
    failure = event.get("log_failure")
    if failure is not None:
        line["traceback"] = _traceback(failure)
    values = dict(_values(event))
    if values:
        line["values"] = values
    return _dump(line)


def _values(event: LogEvent) -> Iterator[tuple[str, Any]]:
    """The values of an event that are worth a place of their own."""
    for key, value in event.items():
        if key.startswith("log_") or key in _NO_VALUES:
            continue
        if value is None or isinstance(value, bool):
            yield key, value
        elif isinstance(value, str):
            yield key, str.__str__(value)
        elif isinstance(value, bytes):
            yield key, value.decode("utf-8", "backslashreplace")
        elif isinstance(value, int):
            # JSON's numbers are what others can read: not any number of digits.
            yield key, int(value) if value.bit_length() < 64 else hex(value)
        elif isinstance(value, float):
            yield key, float(value) if math.isfinite(value) else repr(float(value))


_encode = msgspec.json.Encoder().encode


def _dump(line: dict[str, Any] | _AccessLine) -> str:
    try:
        text = _encode(line).decode("utf-8")
    except UnicodeEncodeError:  # half a character
        plain = line if isinstance(line, dict) else msgspec.to_builtins(line)
        text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    if text.isascii() and "\x7f" not in text:
        return text
    return _STRANGE_IN_JSON.sub(_escape_in_json, text)


def _escape_in_json(found: re.Match[str]) -> str:
    code = ord(found[0])
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}"


def _utc(seconds: float) -> str:
    return _utc_millisecond(int(seconds * 1000))


@lru_cache(maxsize=64)
def _utc_millisecond(milliseconds: int) -> str:
    # Many requests end in one.
    seconds, part = divmod(milliseconds, 1000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{part:03}Z"


# As text.


def _text_line(event: LogEvent, level: str, now: Work) -> str:
    words = [_local(int(_when(event)))]
    if level in ("warn", "error", "critical"):
        words.append(level.upper())
    if now != Work():
        words.append(f"[{' '.join(_names(now).values())}]")
    words.append(formatEvent(event))
    failure = event.get("log_failure")
    text = " ".join(words)
    if failure is not None:
        text += "\n" + _traceback(failure)
    # What belongs to one event is indented below its first line.
    return _tame(text).replace("\n", "\n    ")


def _tame(text: str) -> str:
    """
    A text that can be shown: what strangers sent must not write lines of its own,
    nor command anybody's terminal.
    """
    return text if _STRANGE.search(text) is None else _STRANGE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    if char == "\t" or char.isprintable():
        return char
    return char.encode("unicode_escape").decode("ascii")


@lru_cache(maxsize=16)
def _local(seconds: int) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.astimezone().isoformat(" ", timespec="seconds")


def _traceback(failure: Any) -> str:
    text: str = failure.getTraceback()
    return text.rstrip()


# The access log.


class _AccessLine(msgspec.Struct, rename={"origin": "from"}):
    """A line of the access log: made and written in C, since there are many."""

    time: str
    level: str
    plugin: str | UnsetType
    connection: str | UnsetType
    request: str | UnsetType
    origin: str
    message: str
    peer: str
    method: str
    uri: str
    status: int
    size: int
    milliseconds: float
    route: str | UnsetType
    aborted: bool | UnsetType


def _access_json(each: Access) -> str:
    now, method, uri, status = each.work, each.method, each.uri, each.status
    line = _AccessLine(
        _utc(each.at),
        "info",
        now.plugin or UNSET,
        now.connection or UNSET,
        now.request or UNSET,
        "ropewalk.access",
        f"{method} {uri} {status}",
        each.peer,
        method,
        uri,
        status,
        each.size,
        round(each.took * 1000, 2),
        each.route or UNSET,
        each.aborted or UNSET,
    )
    return _dump(line)


def _access_text(each: Access) -> str:
    names = " ".join(_names(each.work).values())
    return f"{_local(int(each.at))} [{names}] {_access_words(each)}"


def _access_words(each: Access) -> str:
    words = (
        f"{each.peer or '-'} {each.method} {each.uri} {each.status} {each.size} B "
        f"{each.took * 1000:.1f} ms{' aborted' * each.aborted}"
    )
    return _tame(words).replace("\n", "\\n")
