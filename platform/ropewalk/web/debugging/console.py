# -*- test-case-name: tests.test_debugging -*-
"""
A console in a frame that failed: Python, with the frame's variables.
"""

from __future__ import annotations

import ast
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from inspect import CO_COROUTINE
from io import StringIO
from types import CodeType, CoroutineType, FrameType
from typing import Any

from attrs import Factory, define
from msgspec import Struct
from twisted.internet.defer import TimeoutError
from twisted.internet.interfaces import IReactorTime

from ropewalk.awaiting import deferred, inlineCallbacks, within
from ropewalk.interfaces import Steps
from ropewalk.web.debugging.masking import Masker
from ropewalk.web.debugging.values import CutShort, Shower, limited

__all__ = ["Console", "Outcome"]

_NAME = "<console>"

#: The name that the value of the last expression has for a moment.
_VALUE = "__ropewalk_value__"

#: Characters of output, and of what is kept of it while it is written.
_OUTPUT, _KEPT = 10_000, 1_000_000


class Outcome(Struct, frozen=True):
    """
    What came of a piece of Python.

    :ivar output: What it printed.
    :ivar value: The value of its last expression, unless that is ``None``.
    :ivar error: What it raised, as Python tells it.
    """

    output: str = ""
    value: str = ""
    error: str = ""


class _Output(StringIO):
    """Keeps the beginning of what is written."""

    def write(self, text: str) -> int:
        if self.tell() < _KEPT:
            super().write(text)
        return len(text)


@define
class Console:
    """
    A console.

    What is assigned is kept for this console; the frame is over, and does not see
    it.

    :param frame: Whose variables there are.
    :param masker: What knows the secrets.
    :param timer: Tells the seconds that something takes.
    :ivar patience: Seconds that something may take, and be waited for.
    """

    _frame: FrameType
    _masker: Masker
    _clock: IReactorTime
    _timer: Callable[[], float]
    patience: float = 10.0
    _own: dict[str, Any] = Factory(dict)

    @inlineCallbacks
    def run(self, source: str) -> Steps[Outcome]:
        """
        Run statements, and show the value of the last if it is an expression. They
        may ``await`` whatever a handler may.

        :return: fires with what came of it, also if it raised.
        """
        output = _Output()
        names = {**self._frame.f_globals, **self._frame.f_locals, **self._own}
        names.setdefault("print", partial(print, file=output))
        before = dict(names)
        try:
            code = _compiled(source)
            with _captured(output), limited(self.patience, self._timer, closely=True):
                running = eval(code, names)
                waiting = deferred(running) if code.co_flags & CO_COROUTINE else None
            if waiting is not None:
                yield within(self.patience, waiting, self._clock)
        except CutShort:
            error = f"it was cut short after {self.patience:g} seconds\n"
        except TimeoutError:
            error = f"what it awaits did not come within {self.patience:g} seconds\n"
        except (Exception, SystemExit, KeyboardInterrupt) as raised:
            error = _told(raised)
        else:
            error = ""
        value = names.pop(_VALUE, None)
        self._own.update(
            (name, each)
            for name, each in names.items()
            if name not in before or before[name] is not each
        )
        shown = ""
        if value is not None:
            self._own["_"] = value
            shower = Shower(self._masker, self._timer)
            shower.learn("", value)
            shown = shower.show("", value)
            if isinstance(value, CoroutineType):
                shown += "  (nobody runs it: put `await` before what made it)"
        cut = self._masker.cut
        printed = output.getvalue()
        return Outcome(
            cut(printed[:_KEPT], _OUTPUT, len(printed)), shown, cut(error, _OUTPUT)
        )


def _compiled(source: str) -> CodeType:
    tree = ast.parse(source, _NAME)
    if tree.body and isinstance(last := tree.body[-1], ast.Expr):
        target = ast.Name(_VALUE, ast.Store())
        tree.body[-1] = ast.copy_location(ast.Assign([target], last.value), last)
        ast.fix_missing_locations(tree)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: CodeType = compile(tree, _NAME, "exec", flags=flags, dont_inherit=True)
    return code


@contextmanager
def _captured(output: StringIO) -> Iterator[None]:
    """
    Keep what is printed. There is nothing to read: whoever asks for input is not
    to wait for the daemon's terminal.
    """
    before, sys.stdin = sys.stdin, StringIO()
    try:
        with redirect_stdout(output), redirect_stderr(output):
            yield
    finally:
        sys.stdin = before


def _told(error: BaseException) -> str:
    """An error, without our own frames at its beginning."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != _NAME:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))
