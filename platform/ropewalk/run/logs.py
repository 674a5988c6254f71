# -*- test-case-name: tests.test_logs -*-
"""
The log: lines for people on a terminal, a JSON object a line elsewhere, each
with the service, the connection and the request it belongs to.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Literal, Protocol

from attrs import define
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    formatEvent,
)
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from zope.interface import implementer

from ropewalk.telemetry import Work, work
from ropewalk.web.access import Access

__all__ = ["FromStandardLibrary", "LogWriter", "log_access", "open_log"]

#: A log file is rotated at this size …
_ROTATE_AT = 10 * 1024 * 1024

#: … and so many of the old ones are kept.
_ROTATED = 10

_LEVELS = {level.name: number for number, level in enumerate(LogLevel.iterconstants())}

_PORT_NOISE = re.compile(r".* starting on \S+|\(\w+ Port \S+ Closed\)")

#: The values of an event that are worth a place in a JSON line.
_PLAIN = (str, int, float, bool, type(None))


class Output(Protocol):
    """What log lines are written to."""

    def write(self, text: str, /) -> Any: ...

    def flush(self) -> None: ...


def open_log(path: str) -> Any:
    """
    Open a log file. A regular file is rotated when it grows; what is not one
    (a pipe, ``/dev/stdout``, ``/dev/null``) is written to and left alone.

    :return: a text file, or a :class:`twisted.python.logfile.LogFile`.
    """
    try:
        kind = os.stat(path).st_mode
    except FileNotFoundError:
        kind = stat.S_IFREG
    if stat.S_ISREG(kind):
        return LogFile.fromFullPath(
            path, rotateLength=_ROTATE_AT, maxRotatedFiles=_ROTATED
        )
    return open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115


@implementer(ILogObserver)
@define
class LogWriter:
    """
    Writes events as lines.

    :param output: Where to.
    :ivar style: ``"text"`` or ``"json"``.
    :ivar level: What is less is not written.
    """

    _output: Output
    style: Literal["text", "json"] = "text"
    level: str = "info"

    @classmethod
    def of(cls, output: Any, style: str, level: str) -> LogWriter:
        """
        Make one.

        :param style: ``"auto"`` looks whether the output is a terminal.
        """
        if style == "auto":
            on_terminal = bool(getattr(output, "isatty", lambda: False)())
            style = "text" if on_terminal else "json"
        return cls(output, "text" if style == "text" else "json", level)

    def __call__(self, event: LogEvent) -> None:
        """Write an event."""
        level = event.get("log_level", LogLevel.info).name
        if _LEVELS[level] < _LEVELS[self.level] or _is_noise(event):
            return
        now = work.get()
        if self.style == "json":
            line = _json_line(event, level, now)
        else:
            line = _text_line(event, level, now)
        self._write(line + "\n")

    def access(self, batch: Sequence[Access]) -> None:
        """Write the requests that were answered."""
        if _LEVELS["info"] < _LEVELS[self.level]:
            return
        spell = _access_json if self.style == "json" else _access_text
        self._write("".join(spell(each) + "\n" for each in batch))

    def reopen(self) -> None:
        """Open the log file again: somebody has moved it away (logrotate)."""
        reopen = getattr(self._output, "reopen", None)
        if reopen is not None:
            reopen()

    def _write(self, text: str) -> None:
        # A full disk or a closed pipe must not end the daemon, and there is
        # nowhere to log it.
        try:
            self._output.write(text)
            self._output.flush()
        except OSError:
            pass


class FromStandardLibrary(logging.Handler):
    """
    Puts what libraries say by :mod:`logging` into our log.
    """

    def emit(self, record: logging.LogRecord) -> None:
        level = {"WARNING": "warn", "ERROR": "error", "CRITICAL": "critical"}.get(
            record.levelname, "debug" if record.levelno < logging.INFO else "info"
        )
        extra: dict[str, Any] = {}
        if record.exc_info and record.exc_info[1] is not None:
            extra["log_failure"] = Failure(record.exc_info[1])
        Logger(namespace=record.name).emit(
            LogLevel.lookupByName(level), "{text}", text=record.getMessage(), **extra
        )


def log_access(batch: Sequence[Access]) -> None:
    """
    Log answered requests as ordinary events, for who chose another observer
    (``twistd --syslog``, ``--logger``).
    """
    log = Logger(namespace="ropewalk.access")
    for each in batch:
        log.info("{line}", line=_access_words(each))


def _is_noise(event: LogEvent) -> bool:
    """
    Whether it is one of the lines in which Twisted's ports say what the daemon
    has said better.
    """
    text = event.get("log_text") if event.get("log_namespace") == "log_legacy" else None
    return isinstance(text, str) and _PORT_NOISE.fullmatch(text) is not None


def _names(now: Work) -> dict[str, str]:
    names = {
        "plugin": now.plugin,
        "connection": now.connection,
        "request": now.request,
    }
    return {key: name for key, name in names.items() if name is not None}


def _json_line(event: LogEvent, level: str, now: Work) -> str:
    line: dict[str, Any] = {
        "time": _utc(event.get("log_time")),
        "level": level,
        **_names(now),
        "from": event.get("log_namespace", "log_legacy"),
        "message": formatEvent(event),
    }
    failure = event.get("log_failure")
    if failure is not None:
        line["traceback"] = failure.getTraceback()
    values = _values(event)
    if values:
        line["values"] = values
    return json.dumps(line, ensure_ascii=False, default=str)


def _values(event: LogEvent) -> Mapping[str, Any]:
    return {
        key: value
        for key, value in event.items()
        if isinstance(value, _PLAIN)
        and not key.startswith("log_")
        and key not in ("format", "isError", "message", "system", "time", "why")
    }


def _text_line(event: LogEvent, level: str, now: Work) -> str:
    words = [_local(event.get("log_time"))]
    if level in ("warn", "error", "critical"):
        words.append(level.upper())
    if now != Work():
        words.append(f"[{' '.join(_names(now).values())}]")
    words.append(formatEvent(event))
    failure = event.get("log_failure")
    text = " ".join(words)
    if failure is not None:
        text += "\n" + failure.getTraceback().rstrip()
    # What belongs to one event is indented below its first line.
    return text.replace("\n", "\n    ")


def _access_json(each: Access) -> str:
    return json.dumps(
        {
            "time": _utc(each.at),
            "level": "info",
            **_names(each.work),
            "from": "ropewalk.access",
            "message": f"{each.method} {each.uri} {each.status}",
            "peer": each.peer,
            "method": each.method,
            "uri": each.uri,
            "status": each.status,
            "size": each.size,
            "milliseconds": round(each.took * 1000, 2),
        },
        ensure_ascii=False,
    )


def _access_text(each: Access) -> str:
    names = " ".join(_names(each.work).values())
    return f"{_local(each.at)} [{names}] {_access_words(each)}"


def _access_words(each: Access) -> str:
    return (
        f"{each.peer} {each.method} {_printable(each.uri)} {each.status} "
        f"{each.size} B {each.took * 1000:.1f} ms"
    )


def _printable(text: str) -> str:
    """What a peer sent must not be able to write log lines of its own."""
    return "".join(
        char if char.isprintable() else f"\\x{ord(char):02x}" for char in text
    )


def _utc(seconds: float | None) -> str:
    moment = datetime.fromtimestamp(seconds or 0.0, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _local(seconds: float | None) -> str:
    moment = datetime.fromtimestamp(seconds or 0.0)
    return moment.isoformat(" ", timespec="seconds")

