# -*- test-case-name: tests.test_standing -*-
"""
Files that are to be served and start a server of their own as soon as they are run.
"""

from __future__ import annotations

import ast
import os
import re
import socket
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define

from ropewalk.errors import RopewalkError

__all__ = ["OwnServer", "engine_line", "no_servers"]

#: Where Python's own modules are, and those that were installed (Bottle's puts itself
#: among the scripts, which Python may look at first); and the frozen ones.
_PLACES = "|".join(
    re.escape(sysconfig.get_path(each) + os.sep) for each in ("stdlib", "scripts")
)
_INSTALLED = re.compile(rf"^({_PLACES}|<)|[\\/](site|dist)-packages[\\/]")


@define
class OwnServer(RopewalkError):
    """
    A file starts a server while it is imported.

    :ivar place: The line that does, ``file:line``.
    """

    place: str

    def __str__(self) -> str:
        return (
            f"{self.place} starts a server of its own, before this one could; put that "
            "line below if __name__ == '__main__': or leave it out"
        )


@contextmanager
def no_servers() -> Iterator[None]:
    """
    Refuse whatever wants to listen in this thread meanwhile.

    :raise OwnServer: In the middle of what does. A port that the system chooses is no
        server's: who asks for one looks for a free one.
    """
    bind, thread = socket.socket.bind, threading.get_ident()
    patched = socket.socket  # gevent may put another in its place

    def refuse(self: socket.socket, address: Any) -> None:
        if threading.get_ident() == thread and _is_server(self, address):
            raise OwnServer(_place())
        bind(self, address)

    patched.bind = refuse  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        # It was inherited from where nothing can be set.
        del patched.bind


def engine_line(source: str) -> int:
    """
    The line on which a file starts CherryPy's engine as soon as it is run, which serves
    in a thread of its own; 0 when it does not.
    """
    if "cherrypy" not in source:
        return 0
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return 0  # to be told by whoever imports it
    for node in tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = ast.unparse(node.value.func)
            if re.search(r"(^|\.)(quickstart|engine\.start)$", called):
                return node.lineno
    return 0


def _is_server(bound: Any, address: Any) -> bool:
    if bound.type != socket.SOCK_STREAM or bound.family not in (
        socket.AF_INET,
        socket.AF_INET6,
    ):
        return False
    return isinstance(address, tuple) and len(address) > 1 and address[1] != 0


def _place() -> str:
    """The innermost line of somebody's own: libraries are where they were installed."""
    frame: Any = sys._getframe(1)
    first = ""
    while frame is not None:
        file: str = frame.f_code.co_filename
        if file != __file__ and not _INSTALLED.search(file):
            return f"{file}:{frame.f_lineno}"
        first = first or f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return first
