# -*- test-case-name: tests.test_testing -*-
"""
The kit for those who write plugins: services run in memory, on a clock that the
test moves, and are talked to by clients with the same three verbs, ``send``,
``receive`` and ``close``, whatever they speak::

    class ChatTests(TestCase):
        @inlineCallbacks
        def test_hello(self):
            host = yield self.start("chat")
            ada = host.lines("chat")
            yield ada.send("/join lobby Ada")
            line = {"author": "Alan", "text": "hi"}
            yield host.http().post("/channels/rooms.lobby", json=line)
            self.assertIn("Alan: hi", (yield ada.received()))

Importing ``TestCase`` or ``MemoryHost`` installs the asyncio reactor, unless somebody
chose another. The others take the reactor that they are given.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ropewalk.testing.case import NeverRun, TestCase
    from ropewalk.testing.clients import (
        Closed,
        Closing,
        HTTPClient,
        LineClient,
        SocketClient,
        Text,
    )
    from ropewalk.testing.clock import Clock, Restless, Silence
    from ropewalk.testing.datagrams import DatagramClient
    from ropewalk.testing.host import LeftBehind, MemoryHost
    from ropewalk.testing.reactor import MemoryReactor
    from ropewalk.testing.response import Response
    from ropewalk.testing.synchronous import Client, NoAnswer

__all__ = [
    "Client",
    "Clock",
    "Closed",
    "Closing",
    "DatagramClient",
    "HTTPClient",
    "LeftBehind",
    "LineClient",
    "MemoryHost",
    "MemoryReactor",
    "NeverRun",
    "NoAnswer",
    "Response",
    "Restless",
    "Silence",
    "SocketClient",
    "TestCase",
    "Text",
]

#: The modules, and what can be had from each; as above, where type checkers look.
_HOMES = {
    "case": "NeverRun TestCase",
    "clients": "Closed Closing HTTPClient LineClient SocketClient Text",
    "clock": "Clock Restless Silence",
    "datagrams": "DatagramClient",
    "host": "LeftBehind MemoryHost",
    "reactor": "MemoryReactor",
    "response": "Response",
    "synchronous": "Client NoAnswer",
}

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


if not TYPE_CHECKING:  # who would then believe that there is any name

    def __getattr__(name: str) -> Any:
        """Import what is asked for (PEP 562)."""
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
